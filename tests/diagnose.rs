//! Each way in which clients go wrong, signed so by a little signer of the tests' own, is found again.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{
    Credentials, Head, Headers, Payload, Presign, Rules, Scratch, Signer,
    verify::{
        Cause, Diagnosis, MOST_TRIALS, ReceivedBody, Refusal, Used, Verifier, diagnose, differences,
    },
};
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::Sha256;

use crate::support::{at, reference::sha256};

const KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE/token+with=odd";
const TIME: &str = "20150830T123600Z";
const DATE: &str = "20150830";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const NAMES: &str = "host;x-amz-date;x-note";
const S3_NAMES: &str = "host;x-amz-content-sha256;x-amz-date";

/// What a client sends, and, apart from it, what it signs.
#[derive(Clone)]
struct Client {
    method: &'static str,
    target: String,
    /// But for the authorization.
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    service: &'static str,
    names: &'static str,
    token: Option<&'static str>,
    presigned: bool,
    canonical: Vec<u8>,
    algorithm: &'static str,
    time: String,
    scope: String,
    line_end: &'static str,
    string_end: &'static str,
    hash: fn(&[u8]) -> String,
    secret: String,
    key_steps: Vec<String>,
    chain: fn(Vec<u8>) -> Vec<u8>,
    signature: fn(&[u8]) -> String,
}

/// A case: who signs, and what is to be found.
type Case = (Client, Vec<Cause>);

impl Client {
    fn new(service: &'static str, target: &str, canonical: &str) -> Client {
        let (names, mut headers) = match service {
            "s3" => (S3_NAMES, header("x-amz-content-sha256", EMPTY)),
            _ => (NAMES, header("x-note", "a")),
        };
        headers.extend(header("host", "h.example.com"));
        headers.extend(header("x-amz-date", TIME));
        let steps = [DATE, "us-west-2", service, "aws4_request"];
        Client {
            method: "GET",
            target: target.to_owned(),
            headers,
            body: Vec::new(),
            service,
            names,
            token: None,
            presigned: false,
            canonical: canonical.into(),
            algorithm: "AWS4-HMAC-SHA256",
            time: TIME.to_owned(),
            scope: steps.join("/"),
            line_end: "\n",
            string_end: "",
            hash: sha256,
            secret: format!("AWS4{SECRET}"),
            key_steps: steps.map(str::to_owned).into(),
            chain: |step| step,
            signature: |bytes| hex::encode(bytes),
        }
    }

    fn with(mut self, edit: impl FnOnce(&mut Client)) -> Client {
        edit(&mut self);
        self
    }

    /// Sends the header with this value, or another.
    fn sends(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Client {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    fn string_to_sign(&self) -> String {
        let hash = (self.hash)(&self.canonical);
        let lines = [self.algorithm, &self.time, &self.scope, &hash];
        lines.join(self.line_end) + self.string_end
    }

    fn sign(&self) -> String {
        let mut key = self.secret.clone().into_bytes();
        for step in &self.key_steps {
            key = (self.chain)(hmac(&key, step));
        }
        (self.signature)(&hmac(&key, &self.string_to_sign()))
    }

    fn credentials(&self) -> Credentials {
        let credentials = Credentials::new(KEY_ID, SECRET);
        match self.token {
            Some(token) => credentials.with_session_token(token),
            None => credentials,
        }
    }

    fn diagnose(&self) -> Diagnosis {
        self.diagnose_by(&Verifier::new(), &self.credentials())
    }

    fn diagnose_by(&self, verifier: &Verifier, credentials: &Credentials) -> Diagnosis {
        let signature = self.sign();
        let (mut target, mut headers) = (self.target.clone(), self.headers.clone());
        if self.presigned {
            target += &format!("&X-Amz-Signature={signature}");
        } else {
            let value = format!(
                "AWS4-HMAC-SHA256 Credential={KEY_ID}/{DATE}/us-west-2/{}/aws4_request, \
                 SignedHeaders={}, Signature={signature}",
                self.service, self.names
            );
            headers.extend(header("authorization", &value));
        }
        let headers: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (name.as_bytes(), &value[..])).collect();
        let head = Head::parse(self.method.as_bytes(), target.as_bytes(), Headers::Pairs(&headers));
        let body = ReceivedBody::Whole(&self.body);
        let diagnosis = diagnose(verifier, head.unwrap(), body, credentials).unwrap();
        assert!(diagnosis.trials() <= MOST_TRIALS);
        assert_nothing_leaks(&diagnosis, self.token);
        diagnosis
    }
}

/// A client of a general service; `canonical` is what it signs, but for the headers' end.
fn general(target: &str, path: &str, query: &str) -> Client {
    Client::new("service", target, &format!("GET\n{path}\n{query}\n{LINES}{NAMES}\n{EMPTY}"))
}

fn s3(target: &str, path: &str, query: &str) -> Client {
    Client::new("s3", target, &format!("GET\n{path}\n{query}\n{S3_LINES}{S3_NAMES}\n{EMPTY}"))
}

/// A client that signs these header lines and names.
fn with_lines(lines: &str, names: &'static str) -> Client {
    let canonical = format!("GET\n/\n\n{lines}{names}\n{EMPTY}");
    Client::new("service", "/", &canonical).with(|client| client.names = names)
}

/// A client that posts a body and signs a payload line, perhaps of another.
fn posts(body: &str, line: &str) -> Client {
    let canonical = format!("POST\n/\n\n{LINES}{NAMES}\n{line}");
    Client::new("service", "/", &canonical).with(|client| {
        client.method = "POST";
        client.body = body.into();
    })
}

/// A client of which the canonical request is right.
fn right() -> Client {
    general("/", "/", "")
}

fn header(name: &'static str, value: &str) -> Vec<(&'static str, Vec<u8>)> {
    vec![(name, value.into())]
}

const LINES: &str = "host:h.example.com\nx-amz-date:20150830T123600Z\nx-note:a\n\n";
const S3_LINES: &str = "host:h.example.com\nx-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41\
    e4649b934ca495991b7852b855\nx-amz-date:20150830T123600Z\n\n";

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn assert_found((client, causes): Case) {
    let diagnosis = client.diagnose();
    let signed = String::from_utf8_lossy(&client.canonical).into_owned();
    assert_eq!(diagnosis.causes(), causes, "{signed}\n{diagnosis}\n{diagnosis:#?}");
    assert!(diagnosis.is_explained() && !diagnosis.is_right());
    if client.token.is_none() {
        assert_eq!(diagnosis.client_canonical_request(), Some(&signed[..]));
    }
    assert_eq!(diagnosis.client_string_to_sign(), Some(&client.string_to_sign()[..]));
    for cause in &causes {
        let text = diagnosis.to_string();
        assert!(text.contains(&cause.seen()) && text.contains(cause.remedy()), "{text}");
    }
}

/// The texts hold neither secret nor token, nor a signature or key that would be right.
fn assert_nothing_leaks(diagnosis: &Diagnosis, token: Option<&str>) {
    let steps = [DATE, "us-west-2", "service", "aws4_request"];
    let mut key = format!("AWS4{SECRET}").into_bytes();
    steps.iter().for_each(|step| key = hmac(&key, step));
    let expected = hex::encode(hmac(&key, diagnosis.server_string_to_sign()));
    let shown = format!("{diagnosis:?}{diagnosis}");
    for secret in [SECRET, &expected, &hex::encode(&key)].into_iter().chain(token) {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn each_wrong_path_is_named() {
    paths().into_iter().for_each(assert_found);
}

fn paths() -> Vec<Case> {
    vec![
        (general("/a//b/../c", "/a//b/../c", ""), vec![Cause::PathNotNormalized]),
        (general("/a%20b", "/a%20b", ""), vec![Cause::PathEncodedOnce]),
        (general("/a(b", "/a(b", ""), vec![Cause::PathVerbatim]),
        (general("/a%20b", "/a b", ""), vec![Cause::PathDecoded]),
        (general("/a%20b", "/a%252520b", ""), vec![Cause::PathEncodedThrice]),
        (general("/a%20b", "/a%2Bb", ""), vec![Cause::PathPlusForSpace]),
        (general("/a/b", "/a/b/", ""), vec![Cause::PathFinalSlash]),
        (general("/a/b/", "/a/b", ""), vec![Cause::PathFinalSlash]),
        (general("/a/b", "/", ""), vec![Cause::PathRoot]),
        (
            general("/stage/b", "/b", ""),
            vec![Cause::PathFirstSegment { segment: "stage".to_owned() }],
        ),
        (general("/a?b=c", "/a?b=c", ""), vec![Cause::PathWithQuery]),
        (general("/a?b=c", "/a?b=c", "b=c"), vec![Cause::PathWithQuery]),
        (s3("/a%20b", "/a%2520b", ""), vec![Cause::PathEncodedTwice]),
        (s3("/a//b/./c", "/a/b/c", ""), vec![Cause::PathNormalized]),
        (s3("/a%C3%A9", "/a%c3%a9", ""), vec![Cause::PathLowerHex]),
        (s3("/a%28b%29%20", "/a(b)%20", ""), vec![Cause::PathReservedKept]),
        (s3("/a%3Db%2Cc%20", "/a=b,c%20", ""), vec![Cause::PathReservedKept]),
        (s3("/a%20b", "/a+b", ""), vec![Cause::PathPlusForSpace]),
        (s3("/a/b/c", "/a%2Fb%2Fc", ""), vec![Cause::PathSlashesEncoded]),
        (s3("/~a", "/%7Ea", ""), vec![Cause::PathTildeEncoded]),
        // Decoded would be the same, and is rarer.
        (s3("/a%3D", "/a=", ""), vec![Cause::PathReservedKept]),
        (s3("/k", "/h/k", ""), vec![Cause::PathWithBucket { bucket: "h".to_owned() }]),
    ]
}

#[test]
fn each_wrong_query_is_named() {
    queries().into_iter().for_each(assert_found);
}

fn queries() -> Vec<Case> {
    let left_out = |name: &str| Cause::QueryParameterLeftOut { name: name.to_owned() };
    vec![
        (general("/?b=+&a=2", "/", "b=+&a=2"), vec![Cause::QueryVerbatim]),
        (general("/?b=1&a=2", "/", "b=1&a=2"), vec![Cause::QueryUnsorted]),
        (general("/?b=+&a=2", "/", "a=2&b=+"), vec![Cause::QueryNotEncoded]),
        (
            general("/?Filter.1=y&Filter.10=x&a-b=1&a=2", "/", "Filter.10=x&Filter.1=y&a-b=1&a=2"),
            vec![Cause::QuerySortedAsText],
        ),
        (general("/?a=b+c", "/", "a=b%2Bc"), vec![Cause::QueryPlusKept]),
        (general("/?a=b%20c", "/", "a=b%2520c"), vec![Cause::QueryEncodedTwice]),
        (general("/?a%20=b%20c", "/", "a%2520=b%2520c"), vec![Cause::QueryEncodedTwice]),
        (general("/?a=b%20c", "/", "a=b+c"), vec![Cause::QuerySpaceAsPlus]),
        (general("/?a=%C3%A9", "/", "a=%c3%a9"), vec![Cause::QueryLowerHex]),
        (general("/?a=b%20c", "/", "a=b c"), vec![Cause::QueryDecoded]),
        (general("/?a=b", "/", ""), vec![Cause::QueryLeftOut]),
        (general("/?acl&b=", "/", "acl&b="), vec![Cause::QueryEqualsMissing]),
        (general("/?a=2&a=1&b=3", "/", "a=2&b=3"), vec![Cause::QueryRepeatsDropped]),
        (general("/?a=2&a=1&b=3", "/", "a=1&b=3"), vec![Cause::QueryRepeatsDropped]),
        (general("/?a=%2A&b=1", "/", "a=*&b=1"), vec![Cause::QueryReservedKept]),
        (general("/?a=%3A%40&b=1", "/", "a=:@&b=1"), vec![Cause::QueryReservedKept]),
        (general("/?a=b%2Fc", "/", "a=b/c"), vec![Cause::QuerySlashKept]),
        (general("/?b=1&a=2&a=1", "/", "a=2&a=1&b=1"), vec![Cause::QuerySortedByName]),
        (general("/?a=1&B=2&c=3", "/", "a=1&B=2&c=3"), vec![Cause::QueryUnsorted]),
        (general("/?c=3&a=1&B=2", "/", "a=1&B=2&c=3"), vec![Cause::QuerySortedIgnoringCase]),
        (general("/?z=0&0=1&%2A=2", "/", "%2A=2&0=1&z=0"), vec![]),
        (general("/?z=1&a%7C=2&aB=3", "/", "aB=3&a%7C=2&z=1"), vec![Cause::QuerySortedDecoded]),
        (general("/?a=~", "/", "a=%7E"), vec![Cause::QueryTildeEncoded]),
        (general("/?a=1&b=&c=2", "/", "a=1&c=2"), vec![Cause::QueryEmptyDropped]),
        (general("/?a=1&_=99&c=2", "/", "a=1&c=2"), vec![left_out("_")]),
    ]
    .into_iter()
    // One of them is right after all, and not for this table.
    .filter(|(_, causes)| !causes.is_empty())
    .collect()
}

#[test]
fn each_wrong_header_is_named() {
    headers().into_iter().for_each(assert_found);
}

fn headers() -> Vec<Case> {
    const MANY: &str = "accept;host;x-amz-date;x-note";
    let note = |value: &str| LINES.replace("x-note:a", &format!("x-note:{value}"));
    let named = |name: &str| name.to_owned();
    let repeats = |lines: &str| {
        let client = with_lines(&note("b").replace("x-note:b\n", lines), NAMES);
        let client = client.sends("x-note", "b");
        client.with(|client| client.headers.push(("x-note", "a".into())))
    };
    let with_bytes = |value: &[u8], sent: &[u8]| {
        with_lines(LINES, NAMES).sends("x-note", sent).with(|client| {
            let start = format!("GET\n/\n\n{}", LINES.replace("a\n\n", ""));
            let end = format!("\n\n{NAMES}\n{EMPTY}");
            client.canonical = [start.as_bytes(), value, end.as_bytes()].concat();
        })
    };
    vec![
        (with_lines(&note("a  b"), NAMES).sends("x-note", "a  b"), vec![Cause::HeadersUnfolded]),
        (with_lines(&note(" a b "), NAMES).sends("x-note", " a b "), vec![Cause::HeadersUntrimmed]),
        (repeats("x-note:a,b\n"), vec![Cause::RepeatsSorted]),
        (repeats("x-note:b, a\n"), vec![Cause::RepeatsSpaced]),
        (repeats("x-note:b\n"), vec![Cause::RepeatsDropped]),
        (repeats("x-note:a\n"), vec![Cause::RepeatsDropped]),
        (repeats("x-note:b\nx-note:a\n"), vec![Cause::RepeatsOnLines]),
        (
            with_lines(
                "x-note:a\nhost:h.example.com\nx-amz-date:20150830T123600Z\n\n",
                "x-note;host;x-amz-date",
            ),
            vec![Cause::HeadersUnsorted],
        ),
        (with_lines(LINES, "x-note;host;x-amz-date"), vec![Cause::HeadersUnsorted]),
        (
            with_lines(
                &LINES.replace("x-note:a\n", "x-note-b:b\nx-note:a\n"),
                "host;x-amz-date;x-note;x-note-b",
            )
            .sends("x-note-b", "b"),
            vec![Cause::HeadersSortedAsText],
        ),
        (
            right().with(|client| {
                let lines = "Host:h.example.com\nX-Amz-Date:20150830T123600Z\nX-Note:a\n\n";
                client.canonical = format!("GET\n/\n\n{lines}{NAMES}\n{EMPTY}").into();
            }),
            vec![Cause::HeaderNameCase],
        ),
        (
            right().with(|client| {
                let lines = "HOST:h.example.com\nX-AMZ-date:20150830T123600Z\nx-note:a\n\n";
                client.canonical = format!("GET\n/\n\n{lines}{NAMES}\n{EMPTY}").into();
                client.headers = [("x-note", "a"), ("HOST", "h.example.com"), ("X-AMZ-date", TIME)]
                    .map(|(name, value)| (name, value.into()))
                    .into();
            }),
            vec![Cause::HeaderNameCase],
        ),
        (
            with_lines(&note("A=B").to_lowercase(), NAMES).sends("x-note", "A=B"),
            vec![Cause::HeaderValueCase],
        ),
        (with_bytes("é".as_bytes(), b"\xe9"), vec![Cause::HeaderCharset]),
        (with_bytes(b"\xe9", "é".as_bytes()), vec![Cause::HeaderCharset]),
        (with_lines(&LINES.replace("\n\n", "\n"), NAMES), vec![Cause::BlankLineMissing]),
        (
            with_lines(&LINES.replace("x-note:a\n", ""), NAMES),
            vec![Cause::HeaderLeftOut { name: named("x-note") }],
        ),
        (with_lines(LINES, MANY), vec![Cause::HeaderAbsent { name: named("accept") }]),
        (
            with_lines(&format!("accept:\n{LINES}"), MANY),
            vec![Cause::HeaderAbsent { name: named("accept") }],
        ),
        (
            with_lines(LINES, NAMES).with(|client| client.names = MANY),
            vec![Cause::HeaderAbsent { name: named("accept") }],
        ),
        (
            with_lines(&format!("accept:*/*\n{LINES}"), MANY),
            vec![Cause::HeaderDropped { name: named("accept"), signed: named("*/*") }],
        ),
        (
            with_lines(
                &format!("accept-encoding:identity\n{LINES}"),
                "accept-encoding;host;x-amz-date;x-note",
            )
            .sends("accept-encoding", "gzip, br"),
            vec![Cause::HeaderChanged {
                name: named("accept-encoding"),
                signed: named("identity"),
            }],
        ),
        (
            with_lines(
                &format!("content-type:text/xml\n{LINES}"),
                "content-type;host;x-amz-date;x-note",
            )
            .sends("content-type", "text/xml; charset=iso-8859-1"),
            vec![Cause::HeaderChanged { name: named("content-type"), signed: named("text/xml") }],
        ),
        (
            with_lines(
                &format!("x-forwarded-for:1.1.1.1\n{LINES}"),
                "host;x-amz-date;x-forwarded-for;x-note",
            )
            .with(|client| {
                let lines = LINES.replace("x-note", "x-forwarded-for:1.1.1.1\nx-note");
                client.canonical = format!("GET\n/\n\n{lines}{}\n{EMPTY}", client.names).into();
            })
            .sends("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
            vec![Cause::HeaderChanged { name: named("x-forwarded-for"), signed: named("1.1.1.1") }],
        ),
        (
            with_lines(&format!("accept:x\n{LINES}"), NAMES).sends("accept", "x"),
            vec![Cause::HeaderNotListed { name: named("accept") }],
        ),
        (
            with_lines(&format!("accept:x\n{LINES}"), MANY)
                .sends("accept", "x")
                .with(|client| client.names = NAMES),
            vec![Cause::HeaderNotListed { name: named("accept") }],
        ),
    ]
}

#[test]
fn each_wrong_host_is_named() {
    hosts().into_iter().for_each(assert_found);
}

fn hosts() -> Vec<Case> {
    let signs = |host: &str| with_lines(&LINES.replace("h.example.com", host), NAMES);
    let named = |name: &str| name.to_owned();
    vec![
        (
            signs("h.example.com:443"),
            vec![Cause::HostDefaultPort { signed: named("h.example.com:443") }],
        ),
        (signs("h.example.com").sends("host", "h.example.com:8080"), vec![Cause::HostPortDropped]),
        (signs("h.example.com").sends("host", "H.Example.com"), vec![Cause::HostCase]),
        (
            signs("a.example.org").sends("x-forwarded-host", "a.example.org, b"),
            vec![Cause::HostForwarded { signed: named("a.example.org") }],
        ),
        (
            signs("a.example.org")
                .sends("forwarded", "for=1.1.1.1;host=\"a.example.org\";proto=https"),
            vec![Cause::HostForwarded { signed: named("a.example.org") }],
        ),
        (
            signs("a.example.org:8443")
                .sends("x-forwarded-host", "a.example.org")
                .sends("x-forwarded-port", "8443"),
            vec![Cause::HostForwarded { signed: named("a.example.org:8443") }],
        ),
        (
            signs("service.us-west-2.amazonaws.com").sends("host", "localhost:4566"),
            vec![Cause::HostRewritten { signed: named("service.us-west-2.amazonaws.com") }],
        ),
        (
            signs("localhost:9000").sends("host", "minio:9000"),
            vec![Cause::HostRewritten { signed: named("localhost:9000") }],
        ),
        (
            signs("h.example.com").sends("host", "h.example.com."),
            vec![Cause::HostRewritten { signed: named("h.example.com") }],
        ),
    ]
}

#[test]
fn each_wrong_payload_is_named() {
    payloads().into_iter().for_each(assert_found);
}

fn payloads() -> Vec<Case> {
    let hash = |text: &str| sha256(text.as_bytes());
    let with_header = |sent: &str, signed: &str| {
        let lines = S3_LINES.replace(EMPTY, sent);
        let canonical = format!("PUT\n/\n\n{lines}{S3_NAMES}\n{signed}");
        let client = Client::new("s3", "/", &canonical).sends("x-amz-content-sha256", sent);
        client.with(|client| {
            client.method = "PUT";
            client.body = b"a body".into();
        })
    };
    let marker = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    vec![
        (posts("a body", EMPTY), vec![Cause::PayloadEmpty]),
        (posts("a body", "UNSIGNED-PAYLOAD"), vec![Cause::PayloadUnsigned]),
        (with_header("UNSIGNED-PAYLOAD", &hash("a body")), vec![Cause::PayloadOfBody]),
        (
            with_header(&hash("a body"), marker),
            vec![Cause::PayloadMarker { signed: marker.to_owned() }],
        ),
        (posts("a body", &hash("a body\n")), vec![Cause::PayloadNewlineAdded]),
        (posts("a body", &hash("a body\r\n")), vec![Cause::PayloadNewlineAdded]),
        (posts("a body\n", &hash("a body")), vec![Cause::PayloadNewlineRemoved]),
        (posts("a\nbody\n", &hash("a\r\nbody\r\n")), vec![Cause::PayloadLineEnds]),
        (posts("a\r\nbody", &hash("a\nbody")), vec![Cause::PayloadLineEnds]),
        (posts("a body", &hash(&hash("a body"))), vec![Cause::PayloadHashedTwice]),
        (posts("a body", &hash("a body").to_uppercase()), vec![Cause::PayloadUpperCase]),
        (posts("a body", ""), vec![Cause::PayloadLineMissing]),
        (
            posts("a body", "").with(|client| _ = client.canonical.pop()),
            vec![Cause::PayloadLineMissing],
        ),
    ]
}

#[test]
fn each_wrong_method_is_named() {
    methods().into_iter().for_each(assert_found);
}

fn methods() -> Vec<Case> {
    let sends = |method: &'static str, client: Client| client.with(|client| client.method = method);
    vec![
        (sends("HEAD", right()), vec![Cause::Method { signed: "GET".to_owned() }]),
        (sends("get", right()), vec![Cause::MethodCase]),
        (
            right().with(|client| client.canonical[..3].make_ascii_lowercase()),
            vec![Cause::MethodCase],
        ),
    ]
}

#[test]
fn each_wrong_key_is_named() {
    keys().into_iter().for_each(assert_found);
}

fn keys() -> Vec<Case> {
    let uses = |secret: &str| right().with(|client| client.secret = format!("AWS4{secret}"));
    vec![
        (uses(&format!("{SECRET}\n")), vec![Cause::SecretWhiteSpace]),
        (uses(&format!(" {SECRET}")), vec![Cause::SecretWhiteSpace]),
        (uses(&format!("\"{SECRET}\"")), vec![Cause::SecretQuoted]),
        (uses(&SECRET.replace('/', "%2F").replace('+', "%2B")), vec![Cause::SecretEscaped]),
        (uses(&SECRET.replace('+', " ")), vec![Cause::SecretEscaped]),
        (uses(KEY_ID), vec![Cause::SecretIsKeyId]),
        (right().with(|client| client.secret = SECRET.to_owned()), vec![Cause::KeyPrefixMissing]),
        (
            right().with(|client| client.chain = |step| hex::encode(step).into_bytes()),
            vec![Cause::KeyHexChained],
        ),
        (
            right().with(|client| client.signature = |bytes| hex::encode_upper(bytes)),
            vec![Cause::SignatureUpperCase],
        ),
        (
            right().with(|client| client.signature = |bytes| BASE64_STANDARD.encode(bytes)),
            vec![Cause::SignatureBase64],
        ),
    ]
}

#[test]
fn each_wrong_scope_is_named() {
    scopes().into_iter().for_each(assert_found);
}

fn scopes() -> Vec<Case> {
    const ALL: [Used; 3] = [Used::Both, Used::Key, Used::StringToSign];
    let uses = |at: usize, part: &'static str, used: Used| {
        right().with(|client| {
            if used != Used::StringToSign {
                client.key_steps[at] = part.to_owned();
            }
            if used != Used::Key {
                let mut parts: Vec<&str> = client.scope.split('/').collect();
                parts[at] = part;
                client.scope = parts.join("/");
            }
        })
    };
    let mut cases = Vec::new();
    for used in ALL {
        for signed in ["20150831", "20150829"] {
            cases.push((
                uses(0, signed, used),
                vec![Cause::Day { signed: signed.to_owned(), used }],
            ));
        }
        for signed in ["us-east-1", "eu-south-2", ""] {
            let cause = Cause::Region { signed: signed.to_owned(), used };
            cases.push((uses(1, signed, used), vec![cause]));
        }
        for signed in ["execute-api", "h"] {
            let cause = Cause::Service { signed: signed.to_owned(), used };
            cases.push((uses(2, signed, used), vec![cause]));
        }
        let client = right().with(|client| {
            if used != Used::StringToSign {
                client.key_steps.pop();
            }
            if used != Used::Key {
                client.scope = client.scope.replace("/aws4_request", "");
            }
        });
        cases.push((client, vec![Cause::TerminatorMissing { used }]));
    }
    cases
}

#[test]
fn each_wrong_string_to_sign_is_named() {
    strings().into_iter().for_each(assert_found);
}

fn strings() -> Vec<Case> {
    let signs = |time: &str| right().with(|client| client.time = time.to_owned());
    let differs = |signed: &str| vec![Cause::TimestampDiffers { signed: signed.to_owned() }];
    let form = |signed: &str| vec![Cause::TimestampForm { signed: signed.to_owned() }];
    vec![
        (signs("20150830T123601Z"), differs("20150830T123601Z")),
        (signs("20150830T143600Z"), differs("20150830T143600Z")),
        (signs("2015-08-30T12:36:00Z"), form("2015-08-30T12:36:00Z")),
        (signs("20150830T123600"), form("20150830T123600")),
        (
            signs("Sun, 30 Aug 2015 12:36:00 GMT").sends("date", "Sun, 30 Aug 2015 12:36:00 GMT"),
            form("Sun, 30 Aug 2015 12:36:00 GMT"),
        ),
        (
            right().with(|client| client.algorithm = "AWS4-HMAC-SHA256-PAYLOAD"),
            vec![Cause::AlgorithmLine { signed: "AWS4-HMAC-SHA256-PAYLOAD".to_owned() }],
        ),
        (
            right().with(|client| client.hash = |text| sha256(text).to_uppercase()),
            vec![Cause::HashUpperCase],
        ),
        (right().with(|client| client.string_end = "\n"), vec![Cause::TrailingNewline]),
        (right().with(|client| client.canonical.push(b'\n')), vec![Cause::TrailingNewline]),
        (
            right().with(|client| {
                let text = String::from_utf8(client.canonical.clone()).unwrap();
                client.canonical = text.replace('\n', "\r\n").into();
                client.line_end = "\r\n";
            }),
            vec![Cause::LineEnds],
        ),
    ]
}

#[test]
fn each_wrong_token_is_named() {
    tokens().into_iter().for_each(assert_found);
}

fn tokens() -> Vec<Case> {
    const NAMED: &str = "host;x-amz-date;x-amz-security-token;x-note";
    let with_token = LINES.replace("x-note", &format!("x-amz-security-token:{TOKEN}\nx-note"));
    let temporary = |client: Client| client.with(|client| client.token = Some(TOKEN));
    let iot = |client: Client| {
        client.with(|client| {
            client.service = "iotdevicegateway";
            client.key_steps[2] = "iotdevicegateway".to_owned();
            client.scope = client.key_steps.join("/");
        })
    };
    let sends = |client: Client| client.sends("x-amz-security-token", TOKEN);
    let lists = |client: Client| client.with(|client| client.names = NAMED);
    vec![
        (temporary(lists(sends(with_lines(LINES, NAMES)))), vec![Cause::TokenNotSigned]),
        (temporary(sends(with_lines(LINES, NAMED))), vec![Cause::TokenNotSigned]),
        (temporary(with_lines(&with_token, NAMED)), vec![Cause::TokenDropped]),
        (
            temporary(with_lines(&with_token, NAMED)).with(|client| client.names = NAMES),
            vec![Cause::TokenDropped],
        ),
        (
            iot(temporary(sends(with_lines(&with_token, NAMED))))
                .with(|client| client.names = NAMES),
            vec![Cause::TokenSigned],
        ),
    ]
}

#[test]
fn presigned_urls_are_diagnosed_too() {
    presigned_urls().into_iter().for_each(assert_found);
}

fn presigned_urls() -> Vec<Case> {
    let query = |service: &str| {
        format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY_ID}%2F{DATE}%2Fus-west-2%2F{service}\
             %2Faws4_request&X-Amz-Date={TIME}&X-Amz-Expires=600&X-Amz-SignedHeaders=host"
        )
    };
    let client = |service: &'static str, sent: &str, signed: &str, payload: &str| {
        let canonical = format!("GET\n/k\n{signed}\nhost:h.example.com\n\nhost\n{payload}");
        Client::new(service, &format!("/k?{sent}"), &canonical).with(|client| {
            client.presigned = true;
            client.headers = header("host", "h.example.com");
        })
    };
    let (s3, other) = (query("s3"), query("service"));
    let token = format!("X-Amz-Security-Token={}", TOKEN.replace('/', "%2F").replace('+', "%2B"));
    let token = token.replace("with=", "with%3D");
    let with_token = format!("{s3}&{token}");
    let sorted = s3.replace("&X-Amz-SignedHeaders", &format!("&{token}&X-Amz-SignedHeaders"));
    let temporary = |client: Client| client.with(|client| client.token = Some(TOKEN));
    vec![
        (client("s3", &s3, &s3, EMPTY), vec![Cause::PayloadOfBody]),
        (client("service", &other, &other, "UNSIGNED-PAYLOAD"), vec![Cause::PayloadUnsigned]),
        (
            client("s3", &s3, &s3.replace("%2F", "/"), "UNSIGNED-PAYLOAD"),
            vec![Cause::QuerySlashKept],
        ),
        (
            client("s3", &format!("x-id=GetObject&{s3}"), &s3, "UNSIGNED-PAYLOAD"),
            vec![Cause::QueryParameterLeftOut { name: "x-id".to_owned() }],
        ),
        (
            temporary(client("s3", &with_token, &s3, "UNSIGNED-PAYLOAD")),
            vec![Cause::TokenNotSigned],
        ),
        (temporary(client("s3", &s3, &sorted, "UNSIGNED-PAYLOAD")), vec![Cause::TokenDropped]),
        (
            temporary(client(
                "iotdevicegateway",
                &format!("{}&{token}", query("iotdevicegateway")),
                &sorted.replace("%2Fs3%2F", "%2Fiotdevicegateway%2F"),
                EMPTY,
            )),
            vec![Cause::TokenSigned],
        ),
    ]
}

#[test]
fn two_causes_at_once_are_both_named() {
    pairs().into_iter().for_each(assert_found);
}

fn pairs() -> Vec<Case> {
    let region = |signed: &str| Cause::Region { signed: signed.to_owned(), used: Used::Both };
    let in_region = |client: Client, region: &'static str| {
        client.with(|client| {
            client.key_steps[1] = region.to_owned();
            client.scope = client.scope.replace("us-west-2", region);
        })
    };
    let note = LINES.replace("x-note:a", "x-note:a  b");
    vec![
        // By S3's rules for another service, and the other way round.
        (
            general("/a//b%20(c", "/a//b%20%28c", ""),
            vec![Cause::PathNotNormalized, Cause::PathEncodedOnce],
        ),
        (s3("/a//b%20c", "/a/b%2520c", ""), vec![Cause::PathNormalized, Cause::PathEncodedTwice]),
        (
            general("/a%20b?b=1&a=2", "/a%20b", "b=1&a=2"),
            vec![Cause::PathEncodedOnce, Cause::QueryUnsorted],
        ),
        (
            general("/?b=x+y&a=2", "/", "b=x%2By&a=2"),
            vec![Cause::QueryUnsorted, Cause::QueryPlusKept],
        ),
        (
            in_region(general("/a%20b", "/a%20b", ""), "us-east-1"),
            vec![Cause::PathEncodedOnce, region("us-east-1")],
        ),
        (
            right().with(|client| {
                client.secret = format!("AWS4{SECRET}\n");
                client.canonical.push(b'\n');
            }),
            vec![Cause::SecretWhiteSpace, Cause::TrailingNewline],
        ),
        (
            posts("a body", EMPTY).sends("host", "h.example.com:8080"),
            vec![Cause::HostPortDropped, Cause::PayloadEmpty],
        ),
        (
            with_lines(&note.replace("h.example.com", "h.example.com:443"), NAMES)
                .sends("x-note", "a  b"),
            vec![
                Cause::HeadersUnfolded,
                Cause::HostDefaultPort { signed: "h.example.com:443".to_owned() },
            ],
        ),
        // A proxy that puts the bucket of the host into the path.
        (
            s3("/h/k", "/k", "").sends("host", "example.com").with(|client| {
                assert_eq!(client.canonical.len(), s3("/k", "/k", "").canonical.len());
            }),
            vec![
                Cause::PathFirstSegment { segment: "h".to_owned() },
                Cause::HostRewritten { signed: "h.example.com".to_owned() },
            ],
        ),
        // What the path is accepted as beside the canonical form is no cause.
        (s3("/a=b?b=1&a=2", "/a=b", "b=1&a=2"), vec![Cause::QueryUnsorted]),
        (general("/a/b/..?b=1&a=2", "/a", "b=1&a=2"), vec![Cause::QueryUnsorted]),
        (
            s3("/a%20b", "/a%2520b", "")
                .with(|client| client.signature = |bytes| hex::encode_upper(bytes)),
            vec![Cause::PathEncodedTwice, Cause::SignatureUpperCase],
        ),
    ]
}

#[test]
fn each_of_all_causes_has_a_case_and_says_what_to_do() {
    let groups = [
        paths,
        queries,
        headers,
        hosts,
        payloads,
        methods,
        keys,
        scopes,
        strings,
        tokens,
        presigned_urls,
        pairs,
    ];
    let causes: Vec<Cause> =
        groups.iter().flat_map(|group| group()).flat_map(|(_, causes)| causes).collect();
    let codes: BTreeSet<&str> = causes.iter().map(Cause::code).collect();
    assert_eq!(codes.len(), ALL_CAUSES, "{codes:#?}");
    for cause in &causes {
        let text = cause.to_string();
        assert!(text.len() < 450 && text.ends_with('.') && !text.ends_with(".."), "{text}");
        assert!(cause.seen().starts_with("The client "), "{text}");
        for sentence in [cause.rule(), cause.remedy()] {
            assert!(sentence.ends_with('.'), "{sentence}");
        }
    }
}

/// How many variants [`Cause`] has.
const ALL_CAUSES: usize = 92;

#[test]
fn what_was_signed_rightly_is_right_at_once() {
    let diagnosis = right().diagnose();
    assert!(diagnosis.is_right() && !diagnosis.is_explained());
    assert_eq!((diagnosis.causes(), diagnosis.trials()), (&[][..], 1));
    assert_eq!(diagnosis.differences().len(), 0);
    assert_eq!(diagnosis.client_canonical_request(), Some(diagnosis.server_canonical_request()));
    assert!(diagnosis.to_string().starts_with("The signature is the right one"));
    // In the forms that are accepted beside, too.
    assert!(s3("/a=b", "/a=b", "").diagnose().is_right());
    assert!(general("/a/b/..", "/a", "").diagnose().is_right());
}

#[test]
fn another_secret_is_not_explained_and_the_answer_says_so() {
    let client = general("/a%20b//c?b=1&a=x+y&c", "/a%2520b/c", "a=x%20y&b=1&c=")
        .with(|client| client.secret = "AWS4another".to_owned());
    let diagnosis = client.diagnose();
    assert!(!diagnosis.is_explained() && !diagnosis.is_right());
    assert_eq!(diagnosis.client_canonical_request(), None);
    assert_eq!(diagnosis.differences().len(), 0);
    assert!(diagnosis.trials() > 2000, "{} trials", diagnosis.trials());
    let text = diagnosis.to_string();
    assert!(text.contains(&diagnosis.trials().to_string()), "{text}");
    assert!(text.contains("another secret"), "{text}");
}

#[test]
fn a_lost_header_is_mentioned_where_nothing_is_found() {
    let names = "host;x-amz-date;x-lost;x-note";
    let lines = LINES.replace("x-note", "x-lost:who knows\nx-note");
    let diagnosis = with_lines(&lines, names).diagnose();
    assert!(!diagnosis.is_explained());
    assert!(diagnosis.to_string().contains("`x-lost`"), "{diagnosis}");
}

#[test]
fn the_search_is_bounded_whatever_arrives() {
    let query: Vec<String> = (0..200).map(|n| format!("p{n}=%41+{n}&p{n}=~*/")).collect();
    let mut client = general(&format!("/a//b%20(é)/../c?{}", query.join("&")), "/", "")
        .with(|client| client.secret = "AWS4another".to_owned());
    for n in 0..100 {
        let name: &'static str = format!("x-{n:03}").leak();
        client.headers.push((name, b" a  b ".into()));
    }
    let diagnosis = client.diagnose();
    assert!(!diagnosis.is_explained());
    assert_eq!(diagnosis.trials(), MOST_TRIALS);
}

#[test]
fn a_signature_of_no_32_bytes_is_not_searched_for() {
    for text in ["f00d", "é", "z".repeat(64).leak(), "0".repeat(66).leak()] {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={KEY_ID}/{DATE}/us-west-2/service/aws4_request, \
             SignedHeaders={NAMES}, Signature={text}"
        );
        let client = right();
        let mut headers: Vec<(&[u8], &[u8])> =
            client.headers.iter().map(|(name, value)| (name.as_bytes(), &value[..])).collect();
        headers.push((b"authorization", value.as_bytes()));
        let head = Head::parse(b"GET", b"/", Headers::Pairs(&headers)).unwrap();
        let body = ReceivedBody::Hash([0; 32]);
        let diagnosis = diagnose(&Verifier::new(), head, body, &client.credentials()).unwrap();
        assert_eq!((diagnosis.trials(), diagnosis.is_explained()), (0, false));
        assert!(diagnosis.to_string().contains("hexadecimal digits as its"), "{diagnosis}");
    }
}

#[test]
fn a_request_without_a_signature_cannot_be_diagnosed() {
    let request = http::Request::get("https://h/").body("").unwrap();
    let body = ReceivedBody::Whole(b"");
    let error = diagnose(&Verifier::new(), Head::from(&request), body, &right().credentials());
    assert_eq!(error.unwrap_err().refusal(), Refusal::NoCredentials);
}

#[test]
fn the_verifier_gives_its_rules_and_guesses() {
    let elsewhere = right().with(|client| {
        client.key_steps[1] = "moon-1".to_owned();
        client.key_steps[2] = "cheese".to_owned();
        client.scope = client.key_steps.join("/");
    });
    assert!(!elsewhere.diagnose().is_explained());
    let verifier = Verifier::new().with_region("moon-1").with_services(["cheese"]);
    let causes = [
        Cause::Region { signed: "moon-1".to_owned(), used: Used::Both },
        Cause::Service { signed: "cheese".to_owned(), used: Used::Both },
    ];
    assert_eq!(elsewhere.diagnose_by(&verifier, &elsewhere.credentials()).causes(), causes);

    let once = general("/a%20b", "/a%20b", "");
    let verifier = Verifier::new().with_rules(Rules::GENERAL.with_double_encode(false));
    assert!(once.diagnose_by(&verifier, &once.credentials()).is_right());
}

#[test]
fn white_space_and_quotes_that_the_known_secret_has_are_found_as_well() {
    for (known, cause) in [
        (format!("{SECRET}\n"), Cause::SecretWhiteSpace),
        (format!("\"{SECRET}\""), Cause::SecretQuoted),
    ] {
        let credentials = Credentials::new(KEY_ID, known);
        let diagnosis = right().diagnose_by(&Verifier::new(), &credentials);
        assert_eq!(diagnosis.causes(), [cause]);
        assert!(!format!("{diagnosis:?}").contains(SECRET));
    }
}

#[test]
fn tokens_are_masked_in_every_form_in_which_they_are_shown() {
    let found: Vec<Case> = tokens().into_iter().chain(presigned_urls()).collect();
    let mut masked = 0;
    for (client, _) in found.iter().filter(|(client, _)| client.token.is_some()) {
        let diagnosis = client.diagnose();
        let shown = format!("{diagnosis:?}");
        for part in ["IQoJb3JpZ2luX2VjEXAMPLE", "with=odd", "with%3Dodd"] {
            assert!(!shown.contains(part), "{shown}");
        }
        masked += shown.matches("<session token of 38 bytes>").count();
    }
    assert!(masked >= 8, "{masked}");
    // In the path, where it does not belong; decoded; and beside a customer's key.
    let token = TOKEN.replace('/', "%2F").replace('+', "%2B").replace("with=", "with%3D");
    let target = format!("/k?X-Amz-Security-Token={token}");
    let lines =
        LINES.replace("x-note", "x-amz-server-side-encryption-customer-key:MzJieXRlcw==\nx-note");
    let names = "host;x-amz-date;x-amz-server-side-encryption-customer-key;x-note";
    for (path, query) in
        [(target.clone(), ""), ("/k".to_owned(), &format!("X-Amz-Security-Token={TOKEN}")[..])]
    {
        let canonical = format!("GET\n{path}\n{query}\n{lines}{names}\n{EMPTY}");
        let client = Client::new("service", &target, &canonical)
            .sends("x-amz-server-side-encryption-customer-key", "MzJieXRlcw==")
            .with(|client| client.names = names);
        let diagnosis = client.diagnose();
        assert!(diagnosis.is_explained(), "{path} {query}");
        let shown = format!("{diagnosis:?}");
        assert!(shown.contains("customer-key:<customer key>"), "{shown}");
        for secret in ["IQoJb3JpZ2luX2VjEXAMPLE", "odd", "MzJieXRlcw"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn the_differences_are_those_that_a_person_would_mark() {
    let (client, _) = headers().into_iter().find(|(_, causes)| {
        matches!(&causes[..], [Cause::HeaderNotListed { name }] if name == "accept")
    })
    .unwrap();
    let diagnosis = client.diagnose();
    let mut all = diagnosis.differences();
    let line = all.next().unwrap();
    assert_eq!(line.client().map(|side| (side.line(), side.text())), Some((4, "accept:x")));
    assert_eq!((line.server(), all.len()), (None, 0));

    let (client, _) = scopes().into_iter().next().unwrap();
    let diagnosis = client.diagnose();
    let line = diagnosis.differences().next().unwrap();
    assert_eq!(line.client().unwrap().parts(), ["2015083", "1", "/us-west-2/service/aws4_request"]);
    assert_eq!(line.column(), 8);
    // The same that anybody gets from the texts.
    let (signed, expected) =
        (diagnosis.client_string_to_sign().unwrap(), diagnosis.server_string_to_sign());
    assert_eq!(differences(signed, expected).collect::<Vec<_>>(), [line]);
}

proptest! {
    /// So the server's canonical request is the one by which requests are verified.
    #[test]
    fn whatever_this_library_signs_is_right_at_once(
        path in "(/|/[a/.%+~(=é ]{0,8}|/%[24C][0F9]|/\\.\\.?){1,5}",
        query in proptest::option::of("([aB0._~*+&=/%]|%2[0bF]|%e9| ){0,24}"),
        notes in prop::collection::vec("[ \ta\"é,:]{0,8}", 0..3),
        service in prop::sample::select(vec!["s3", "sts", "glacier", "iotdevicegateway"]),
        token in proptest::option::of("[A-Za-z0-9+/=]{1,40}"),
        is_presigned in any::<bool>(),
    ) {
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        let target = format!("https://h.example.com:8443{path}{query}");
        let mut headers: Vec<(&[u8], &[u8])> = vec![(b"Z-Last", b" 1\t 2 ")];
        headers.extend(notes.iter().map(|note| (&b"X-Note"[..], note.as_bytes())));
        let head = Head::parse(b"GET", target.as_bytes(), Headers::Pairs(&headers)).unwrap();
        let credentials = Credentials::new(KEY_ID, SECRET);
        let credentials = match &token {
            Some(token) => credentials.with_session_token(token.as_str()),
            None => credentials,
        };
        let (signer, mut scratch) = (Signer::new("us-west-2", service), Scratch::new());
        let body = ReceivedBody::Whole(b"");
        let check = |head: Head<'_>| {
            let diagnosis = diagnose(&Verifier::new(), head, body, &credentials).unwrap();
            prop_assert!(diagnosis.is_right(), "{diagnosis:#?}");
            prop_assert_eq!(diagnosis.trials(), 1);
            prop_assert_eq!(
                diagnosis.client_canonical_request(),
                Some(diagnosis.server_canonical_request())
            );
            Ok(())
        };
        if is_presigned {
            let presign = Presign::expires_in(Duration::from_secs(60));
            let signed = signer.presign_head(head, presign, &credentials, at(TIME), &mut scratch);
            // A malformed escape is an error, and nothing to diagnose.
            let Ok(signed) = signed else { return Ok(()) };
            check(Head { query: Some(signed.query()), ..head })?;
        } else {
            let signed =
                signer.sign_head(head, Payload::EMPTY, &credentials, at(TIME), &mut scratch);
            let Ok(signed) = signed else { return Ok(()) };
            let own: Vec<(&str, &str)> = signed.headers().collect();
            let own = own.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let sent: Vec<(&[u8], &[u8])> = headers.iter().copied().chain(own).collect();
            check(Head { headers: Headers::Pairs(&sent), ..head })?;
        }
    }
}

#[test]
fn what_this_library_signs_by_other_rules_is_recognized() {
    let credentials = Credentials::new(KEY_ID, SECRET).with_session_token(TOKEN);
    let now: SystemTime = at(TIME);
    let sign = |signer: &Signer, is_presigned: bool| {
        let url = "https://s3.us-west-2.amazonaws.com/b/a//%C3%A9(1)?list&prefix=a/b";
        let mut request = http::Request::get(url).header("x-amz-meta-a", "1").body("").unwrap();
        if is_presigned {
            let presign = Presign::expires_in(Duration::from_secs(60));
            signer.presign(&mut request, presign, &credentials, now).unwrap();
        } else {
            signer.sign(&mut request, Payload::EMPTY, &credentials, now).unwrap();
        }
        let body = ReceivedBody::Whole(b"");
        diagnose(&Verifier::new(), Head::from(&request), body, &credentials).unwrap()
    };
    let s3 = Signer::new("us-west-2", "s3");
    let normalizes = s3.clone().with_rules(Rules::S3.with_normalize_path(true));
    let twice = s3.clone().with_rules(Rules::S3.with_double_encode(true));
    for is_presigned in [false, true] {
        assert!(sign(&s3, is_presigned).is_right());
        assert_eq!(sign(&normalizes, is_presigned).causes(), [Cause::PathNormalized]);
        assert_eq!(sign(&twice, is_presigned).causes(), [Cause::PathEncodedTwice]);
    }
}
