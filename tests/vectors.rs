//! The vectors of this repository, each through every way of signing that can hold its request.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use countersign::ErrorKind;
use serde_json::Value;

use crate::support::{Case, Outcome, Sent};

#[test]
fn every_vector_signs_or_is_refused_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("test-vectors");
    let mut total = Tally::default();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "json") {
            let known = [
                "README.md",
                "__pycache__",
                "chunked.py",
                "event-stream",
                "generate.py",
                "requirements.txt",
                "tokens.py",
            ];
            assert!(known.contains(&&*name), "nobody reads {name}");
            continue;
        }
        // Bodies and tokens, not heads alone: see the tests of those.
        if name == "chunked.json" || name == "tokens.json" {
            continue;
        }
        if name == "sigv4a.json" && cfg!(not(feature = "sigv4a")) {
            println!("{name}: did not run, it needs the feature");
            continue;
        }
        let file: Value = serde_json::from_slice(&fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let tally = run(&name, &file);
        println!("{name}: {tally}");
        total += tally;
    }
    println!("all: {total}");
    assert_eq!(total.paths, 4);
    assert!(total.cases >= 150, "no more than {} cases", total.cases);
    assert!(total.http >= 150, "no more than {} in http", total.http);
    let reqwest = total.reqwest;
    assert!(reqwest >= 150 || cfg!(not(feature = "reqwest")), "no more than {reqwest} in reqwest");
}

/// How many cases ran, and in how many of them a request type could hold the request.
#[derive(Default)]
struct Tally {
    cases: usize,
    errors: usize,
    http: usize,
    reqwest: usize,
    /// Of requests that the library takes and the vectors' form does not.
    paths: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.cases += other.cases;
        self.errors += other.errors;
        self.http += other.http;
        self.reqwest += other.reqwest;
        self.paths += other.paths;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { cases, errors, http, reqwest, paths } = self;
        write!(f, "{cases} cases, {errors} of them errors")?;
        write!(f, "; {http} in http, {reqwest} in reqwest; {paths} paths alone")
    }
}

fn run(file: &str, vectors: &Value) -> Tally {
    fields(file, vectors, &["family", "rule", "cases"], &[]);
    assert_eq!(format!("{}.json", vectors["family"].as_str().unwrap()), file);
    let cases = vectors["cases"].as_array().unwrap();
    assert!(!cases.is_empty(), "{file} is empty");
    let mut names = BTreeSet::new();
    let mut tally = Tally::default();
    for vector in cases {
        let name = vector["name"].as_str().unwrap();
        assert!(names.insert(name), "two cases of {file} are named {name}");
        tally.cases += 1;
        let about = format!("{file}, {name}");
        check_fields(&about, vector);
        let case = Case::parse(&vector["in"]);
        if case.url.starts_with('/') {
            check_path_alone(&about, &case, vector);
            tally.paths += 1;
            continue;
        }
        let (head, http, reqwest) = (case.sign_head(), case.sign_http(), case.sign_reqwest());
        tally.http += usize::from(http.is_some());
        tally.reqwest += usize::from(reqwest.is_some());
        if let Some(error) = vector.get("error") {
            tally.errors += 1;
            let kind = error["kind"].as_str().unwrap();
            let refused = |kind_seen: Option<&str>| assert_eq!(kind_seen, Some(kind), "{about}");
            refused(head.as_ref().err().map(|kind| kind.as_str()));
            if let Some(result) = http {
                refused(result.as_ref().err().map(|kind| kind.as_str()));
            }
            if let Some(result) = reqwest {
                refused(result.as_ref().err().map(|kind| kind.as_str()));
            }
            continue;
        }
        let expected = expected(&case, &vector["expect"]);
        let head = head.unwrap_or_else(|kind| panic!("{about}: {kind}"));
        assert_eq!(head, expected, "{about}");
        if let Some(result) = http {
            let sent = result.unwrap_or_else(|kind| panic!("{about}, in http: {kind}"));
            assert_eq!(sent, expected.sent.as_http(), "{about}, in http");
        }
        if let Some(result) = reqwest {
            let sent = result.unwrap_or_else(|kind| panic!("{about}, in reqwest: {kind}"));
            assert_eq!(sent, expected.sent.as_reqwest(), "{about}, in reqwest");
        }
    }
    tally
}

/// A URL in a vector has a scheme and a host. The library takes a path alone too, as it stands in
/// HTTP/1.1's request line, if a Host header says where it goes.
fn check_path_alone(about: &str, case: &Case, vector: &Value) {
    assert_eq!(vector["error"]["kind"], "invalid_url", "{about}");
    let refused = case.sign_head().err();
    let has_host = case.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    assert_eq!(refused, (!has_host).then_some(ErrorKind::MissingHost), "{about}");
}

/// What a vector expects: the steps, and the request after them.
fn expected(case: &Case, expect: &Value) -> Outcome {
    let text = |key: &str| expect[key].as_str().unwrap().to_owned();
    let mut sent = Sent {
        url: expect["url"].as_str().unwrap_or(&case.url).to_owned(),
        headers: case
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into_bytes()))
            .collect(),
    };
    for name in expect["drops"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        let before = sent.headers.len();
        sent.drop(name);
        assert!(sent.headers.len() < before, "there is no {name} to drop: {expect}");
    }
    for (name, value) in expect["writes"].as_object().into_iter().flatten() {
        sent.set(name, value.as_str().unwrap());
    }
    if let Some(authorization) = expect.get("authorization") {
        sent.set("authorization", authorization.as_str().unwrap());
    }
    Outcome {
        canonical_request: text("canonical_request"),
        string_to_sign: text("string_to_sign"),
        signed_headers: text("signed_headers"),
        signature: text("signature"),
        sent: sent.sorted(),
    }
}

fn check_fields(about: &str, vector: &Value) {
    fields(
        about,
        vector,
        &["name", "about", "in", "agree"],
        &["because", "error", "expect", "published", "source"],
    );
    assert_ne!(vector.get("expect").is_some(), vector.get("error").is_some(), "{about}");
    let request = &vector["in"];
    fields(
        about,
        request,
        &["method", "url", "headers", "as", "service", "time", "credentials"],
        &[
            "body",
            "body_base64",
            "payload",
            "expires",
            "exclude",
            "algorithm",
            "region",
            "region_set",
            "rules",
        ],
    );
    let place = if request["algorithm"] == "sigv4a" { "region_set" } else { "region" };
    assert!(request[place].is_string(), "{about} has no {place}");
    assert!(["headers", "query"].contains(&request["as"].as_str().unwrap()), "{about}");
    fields(
        about,
        &request["credentials"],
        &["access_key_id", "secret_access_key"],
        &["session_token"],
    );
    fields(about, &vector["agree"], &["botocore", "awscrt"], &[]);
    match vector.get("expect") {
        Some(expect) => {
            fields(
                about,
                expect,
                &["canonical_request", "string_to_sign", "signed_headers", "signature"],
                &["authorization", "drops", "url", "writes"],
            );
            let carrier = if request["as"] == "query" { "url" } else { "authorization" };
            assert!(expect[carrier].is_string(), "{about} has no {carrier}");
        }
        None => fields(about, &vector["error"], &["kind"], &[]),
    }
}

/// Fails on a field that is missing, and on one that nobody reads.
fn fields(about: &str, object: &Value, needed: &[&str], optional: &[&str]) {
    let object: BTreeMap<&str, &Value> = object
        .as_object()
        .unwrap_or_else(|| panic!("{about}: no object"))
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    for key in needed {
        assert!(object.contains_key(key), "{about} has no field `{key}`");
    }
    for key in object.keys() {
        let known = needed.contains(key) || optional.contains(key);
        assert!(known, "{about} has a field `{key}` that nobody reads");
    }
}
