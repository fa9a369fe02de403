//! Vectors that others publish. They lie outside the repository; `COUNTERSIGN_DATA` says where.

use std::fs;

use crate::support::{Case, external_data};

#[test]
fn two_thousand_differential_cases_sign_as_expected() {
    let Some(data) = external_data("differential.jsonl") else {
        return;
    };
    let text = fs::read_to_string(data.join("signing/differential.jsonl")).unwrap();
    let mut count = 0;
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let case = Case::parse(&line["in"]);
        let outcome = case
            .sign_head()
            .unwrap_or_else(|kind| panic!("{kind}: {line}"));
        let expect = &line["expect"];
        assert_eq!(
            outcome.canonical_request, expect["canonical_request"],
            "{line}"
        );
        assert_eq!(outcome.string_to_sign, expect["string_to_sign"], "{line}");
        assert_eq!(outcome.signed_headers, expect["signed_headers"], "{line}");
        assert_eq!(outcome.signature, expect["signature"], "{line}");
        let signature = expect["signature"].as_str().unwrap();
        if let Some(request) = case.sign_http() {
            let request = request.unwrap_or_else(|kind| panic!("{kind}: {line}"));
            let carrier = if case.presign {
                request.uri().to_string()
            } else {
                String::from_utf8_lossy(request.headers()["authorization"].as_bytes()).into_owned()
            };
            assert!(carrier.ends_with(signature), "{carrier}: {line}");
        }
        count += 1;
    }
    assert_eq!(count, 2000);
}
