//! Vectors, through `sign --jsonl`: what a program in another language would get.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{countersign, run};

/// The folder of external vectors; `None`, said aloud, if this machine has none.
pub(crate) fn external_data(of: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("COUNTERSIGN_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("{of}: did not run, COUNTERSIGN_DATA names no folder of external vectors");
    }
    folder
}

/// Signs all requests in one run of the program and compares what is expected of each.
fn compare(cases: &[(String, Value, Value)]) {
    let lines: String = cases.iter().map(|(_, request, _)| format!("{request}\n")).collect();
    let output = run(countersign(&["sign", "--jsonl"]), lines.as_bytes());
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), cases.len());
    for ((name, request, expect), answer) in cases.iter().zip(answers.lines()) {
        let answer: Value = serde_json::from_str(answer).unwrap();
        for (field, value) in expect.as_object().unwrap() {
            assert_eq!(&answer[field], value, "{field} of {name}: {request} gave {answer}");
        }
    }
}

#[test]
fn two_thousand_differential_cases_sign_as_expected() {
    let Some(data) = external_data("differential.jsonl") else { return };
    let text = fs::read_to_string(data.join("signing/differential.jsonl")).unwrap();
    let cases: Vec<(String, Value, Value)> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            (line["in"]["id"].to_string(), line["in"].clone(), line["expect"].clone())
        })
        .collect();
    assert_eq!(cases.len(), 2000);
    compare(&cases);
}

#[test]
fn the_official_suite_signs_as_expected() {
    let Some(data) = external_data("aws-c-auth/v4") else { return };
    let mut cases = Vec::new();
    for folder in fs::read_dir(data.join("signing/aws-c-auth/v4")).unwrap() {
        let folder = folder.unwrap().path();
        for form in ["header", "query"] {
            cases.push(official(&folder, form));
        }
    }
    assert_eq!(cases.len(), 76);
    compare(&cases);
}

fn official(folder: &Path, form: &str) -> (String, Value, Value) {
    let read = |name: String| fs::read_to_string(folder.join(name)).unwrap();
    let context: Value = serde_json::from_str(&read("context.json".to_owned())).unwrap();
    let text = read("request.txt".to_owned());
    let (head, body) = text.trim_start().split_once("\n\n").unwrap_or((text.trim_start(), ""));
    // A folded line goes on with the one before, and counts as a space.
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    let (method, rest) = lines[0].split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap();
    let headers: Vec<[&str; 2]> =
        lines[1..].iter().map(|line| line.split_once(':').unwrap().into()).collect();
    let signs_body = context["sign_body"].as_bool().unwrap();
    let time = context["timestamp"].as_str().unwrap();
    let request = json!({
        "method": method,
        "url": target,
        "headers": headers,
        "body": if signs_body { body } else { "" },
        "as": if form == "header" { "headers" } else { "query" },
        "expires": context["expiration_in_seconds"],
        "region": context["region"],
        "service": context["service"],
        "time": time,
        "credentials": {
            "access_key_id": context["credentials"]["access_key_id"],
            "secret_access_key": context["credentials"]["secret_access_key"],
            "session_token": context["credentials"]["token"],
        },
        "rules": {
            "normalize_path": context["normalize"],
            "content_sha256_header": signs_body && form == "header",
            "token_after_signing": context["omit_session_token"].as_bool().unwrap_or(false),
        },
    });
    let expect = json!({
        "canonical_request": read(format!("{form}-canonical-request.txt")),
        "string_to_sign": read(format!("{form}-string-to-sign.txt")),
        "signature": read(format!("{form}-signature.txt")),
    });
    (format!("{} {form}", folder.display()), request, expect)
}

#[test]
fn the_whole_requests_of_the_s3_documents_sign_as_expected() {
    let Some(data) = external_data("s3-doc-examples.json") else { return };
    let text = fs::read_to_string(data.join("signing/s3-doc-examples.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let whole = |case: &&Value| matches!(case["kind"].as_str(), Some("header" | "presigned"));
    let cases: Vec<(String, Value, Value)> = document["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(whole)
        .map(|case| {
            let request = &case["request"];
            let query = request["query"].as_str().unwrap();
            let mark = if query.is_empty() { "" } else { "?" };
            let payload = match case["payload_hash"].as_str().unwrap() {
                "UNSIGNED-PAYLOAD" => "unsigned",
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => "streaming",
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => "streaming-trailer",
                hash => hash,
            };
            // The trailer's example does not sign its length.
            let canonical_request = case["canonical_request"].as_str().unwrap();
            let signs_length = canonical_request.contains("\ncontent-length:");
            let line = json!({
                "method": request["method"],
                "url": format!("{}{mark}{query}", request["path"].as_str().unwrap()),
                "headers": request["headers"],
                "payload": payload,
                "as": if case["kind"] == "header" { "headers" } else { "query" },
                "expires": case["expires"].as_u64().unwrap_or(900),
                "exclude": if signs_length { json!([]) } else { json!(["content-length"]) },
                "region": case["region"],
                "service": case["service"],
                "time": case["timestamp"],
                "credentials": case["credentials"],
            });
            let expect = json!({
                "canonical_request": canonical_request,
                "string_to_sign": case["string_to_sign"],
                "signature": case["expected_signature"],
            });
            (case["name"].to_string(), line, expect)
        })
        .collect();
    println!(
        "{} whole requests; the chunks and the POST policy are for streaming bodies",
        cases.len()
    );
    assert_eq!(cases.len(), 8);
    compare(&cases);
}

#[test]
fn our_own_vectors_sign_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test-vectors");
    let mut cases = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        // The program signs no bodies in chunks.
        let is_other =
            path.file_name().is_some_and(|name| name == "chunked.json" || name == "tokens.json");
        if is_other || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let family: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for case in family["cases"].as_array().unwrap() {
            let mut expect = case["expect"].clone();
            match expect.as_object_mut() {
                // What is set and dropped shows in `headers`; the library's own tests compare it.
                Some(expect) => {
                    expect.retain(|field, _| !matches!(field.as_str(), "writes" | "drops"));
                }
                None => expect = json!({}),
            }
            cases.push((
                format!("{}: {}", family["family"], case["name"]),
                case["in"].clone(),
                expect,
            ));
        }
    }
    assert!(cases.len() >= 150, "{} cases", cases.len());
    compare(&cases);
}
