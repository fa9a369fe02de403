//! Vectors that others publish. They lie outside the repository; `COUNTERSIGN_DATA` says where.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign::{
    Credentials, Head, Headers, Payload, Presign, Rules, Scope, Scratch, Signer, SigningKey,
    chunked::{ChunkBuffer, Chunks},
};
use serde_json::Value;

use crate::support::{Case, at, credentials, external_data, pair, reference::sha256, text};

#[test]
fn the_official_suite_signs_as_recorded() {
    let Some(data) = external_data("the official suite") else {
        return;
    };
    let mut count = 0;
    let mut in_http = 0;
    for folder in fs::read_dir(data.join("aws-c-auth/v4")).unwrap() {
        let folder = folder.unwrap().path();
        if folder.is_dir() {
            in_http += usize::from(Suite::read(folder).run());
            count += 1;
        }
    }
    println!("{count} cases in both forms, {in_http} of them in http too");
    assert_eq!(count, 38);
    assert_eq!(in_http, 36);
}

/// One folder of the official suite.
pub(crate) struct Suite {
    pub(crate) folder: PathBuf,
    pub(crate) request: Message,
    pub(crate) signer: Signer,
    pub(crate) credentials: Credentials,
    pub(crate) context: Value,
}

/// An HTTP/1.1 message as old vectors write it.
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Suite {
    pub(crate) fn read(folder: PathBuf) -> Suite {
        let context: Value = serde_json::from_str(&read(&folder.join("context.json"))).unwrap();
        // A field that is unread would be a rule that is not tested.
        for key in context.as_object().unwrap().keys() {
            let known = [
                "credentials",
                "expiration_in_seconds",
                "normalize",
                "omit_session_token",
                "region",
                "service",
                "sign_body",
                "timestamp",
            ];
            assert!(known.contains(&&**key), "{}: {key}", folder.display());
        }
        let part = |key: &str| context[key].as_str().unwrap().to_owned();
        let mut rules = Rules::GENERAL
            .with_normalize_path(context["normalize"].as_bool().unwrap())
            .with_token_after_signing(context["omit_session_token"].as_bool().unwrap_or(false));
        if context["sign_body"].as_bool().unwrap() {
            rules = rules.with_content_sha256_header(true);
        }
        Suite {
            request: Message::parse(&read(&folder.join("request.txt"))),
            signer: Signer::new(part("region"), part("service")).with_rules(rules),
            credentials: credentials(&context["credentials"]),
            context,
            folder,
        }
    }

    /// Compares all that is recorded; whether an `http::Request` could hold the request too.
    fn run(&self) -> bool {
        let name = self.folder.display();
        let at = at(self.context["timestamp"].as_str().unwrap());
        let payload = if self.context["sign_body"] == true {
            Payload::hash(&self.request.body)
        } else {
            Payload::EMPTY
        };
        let pairs = self.request.pairs();
        let (method, target) = (self.request.method.as_bytes(), self.request.target.as_bytes());
        let head = Head::parse(method, target, Headers::Pairs(&pairs)).unwrap();
        let mut scratch = Scratch::new();
        let mut in_http = self.request.as_http();

        let signed =
            self.signer.sign_head(head, payload, &self.credentials, at, &mut scratch).unwrap();
        self.compare("header-canonical-request", &text(signed.canonical_request()));
        self.compare("header-string-to-sign", signed.string_to_sign());
        self.compare("header-signature", signed.signature());
        let expected = Message::parse(&self.recorded("header-signed-request"));
        assert_eq!(expected.target, self.request.target, "{name}");
        assert_eq!(signed.query(), None, "{name}");
        let mut headers = self.request.sorted();
        for (name, value) in signed.headers() {
            headers.push((name.to_owned(), value.to_owned()));
        }
        headers.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(headers, expected.sorted(), "{name}");
        if let Some(request) = &mut in_http {
            let mut request = request.clone();
            self.signer.sign(&mut request, payload, &self.credentials, at).unwrap();
            let headers = &mut crate::support::Sent::new("", request.headers()).headers;
            let expected = expected.sorted().into_iter();
            let expected: Vec<_> = expected.map(|(n, v)| (n, v.into_bytes())).collect();
            assert_eq!(*headers, expected, "{name}");
        }

        let seconds = self.context["expiration_in_seconds"].as_u64().unwrap();
        let presign = Presign::expires_in(Duration::from_secs(seconds)).with_payload(payload);
        let presigned =
            self.signer.presign_head(head, presign, &self.credentials, at, &mut scratch).unwrap();
        self.compare("query-canonical-request", &text(presigned.canonical_request()));
        self.compare("query-string-to-sign", presigned.string_to_sign());
        self.compare("query-signature", presigned.signature());
        let expected = Message::parse(&self.recorded("query-signed-request"));
        assert_eq!(presigned.headers().count(), 0, "{name}");
        assert_eq!(expected.sorted(), self.request.sorted(), "{name}");
        let (path, query) = expected.target.split_once('?').unwrap();
        assert_eq!(path.as_bytes(), head.path, "{name}");
        // The suite orders the parameters otherwise.
        assert_eq!(pieces(&text(presigned.query())), pieces(query), "{name}");
        if let Some(request) = &mut in_http {
            self.signer.presign(request, presign, &self.credentials, at).unwrap();
            assert_eq!(request.uri().path().as_bytes(), head.path, "{name}");
            assert_eq!(pieces(request.uri().query().unwrap()), pieces(query), "{name}");
        }
        in_http.is_some()
    }

    pub(crate) fn recorded(&self, of: &str) -> String {
        read(&self.folder.join(format!("{of}.txt")))
    }

    pub(crate) fn compare(&self, of: &str, seen: &str) {
        assert_eq!(seen, self.recorded(of), "{of} of {}", self.folder.display());
    }
}

impl Message {
    /// Reads leniently: raw spaces in the target, an empty line before the first, folded lines.
    pub(crate) fn parse(text: &str) -> Message {
        let text = text.trim_start_matches('\n');
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap().strip_suffix(" HTTP/1.1").unwrap();
        let (method, target) = first.split_once(' ').unwrap();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            match line.strip_prefix([' ', '\t']) {
                // A folded line stands for a space and what is on it.
                Some(more) => {
                    let (_, value) = headers.last_mut().unwrap();
                    value.push(' ');
                    value.push_str(more.trim_start());
                }
                None => {
                    let (name, value) = line.split_once(':').unwrap();
                    headers.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        Message {
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            body: body.to_owned(),
        }
    }

    pub(crate) fn pairs(&self) -> Vec<(&[u8], &[u8])> {
        let pairs = self.headers.iter();
        pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    pub(crate) fn sorted(&self) -> Vec<(String, String)> {
        let pairs = self.headers.iter();
        let mut pairs: Vec<_> = pairs.map(|(n, v)| (n.to_lowercase(), v.clone())).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs
    }

    fn as_http(&self) -> Option<http::Request<()>> {
        let mut builder = http::Request::builder().method(self.method.as_str()).uri(&self.target);
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder.body(()).ok()
    }
}

#[test]
fn two_thousand_differential_cases_sign_as_expected() {
    let Some(data) = external_data("differential.jsonl") else {
        return;
    };
    let (mut count, mut in_http, mut in_reqwest) = (0, 0, 0);
    for line in read(&data.join("differential.jsonl")).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let case = Case::parse(&line["in"]);
        let outcome = case.sign_head().unwrap_or_else(|kind| panic!("{kind}: {line}"));
        let expect = &line["expect"];
        assert_eq!(outcome.canonical_request, expect["canonical_request"], "{line}");
        assert_eq!(outcome.string_to_sign, expect["string_to_sign"], "{line}");
        assert_eq!(outcome.signed_headers, expect["signed_headers"], "{line}");
        assert_eq!(outcome.signature, expect["signature"], "{line}");
        if let Some(sent) = case.sign_http() {
            let sent = sent.unwrap_or_else(|kind| panic!("{kind}, in http: {line}"));
            assert_eq!(sent, outcome.sent.as_http(), "{line}");
            in_http += 1;
        }
        if let Some(sent) = case.sign_reqwest() {
            let sent = sent.unwrap_or_else(|kind| panic!("{kind}, in reqwest: {line}"));
            assert_eq!(sent, outcome.sent.as_reqwest(), "{line}");
            in_reqwest += 1;
        }
        count += 1;
    }
    println!("{count} cases, {in_http} of them in http, {in_reqwest} in reqwest");
    assert_eq!((count, in_http), (2000, 2000));
    // The `url` crate writes the others otherwise.
    assert!(in_reqwest > 1500 || cfg!(not(feature = "reqwest")), "{in_reqwest}");
}

#[test]
fn the_examples_of_the_s3_documents_sign_as_published() {
    let Some(data) = external_data("s3-doc-examples.json") else {
        return;
    };
    let (mut requests, mut keys, mut policies, mut bodies) = (0, 0, 0, 0);
    let all = cases(&data.join("s3-doc-examples.json"));
    for case in &all {
        let part = |key: &str| case[key].as_str().unwrap();
        match part("kind") {
            "header" | "presigned" => {
                check_whole(case, &case["request"], Rules::for_service(part("service")));
                requests += 1;
            }
            "signing_key" => {
                let mut key = [0; 32];
                hex::decode_to_slice(part("expected_signing_key_hex"), &mut key).unwrap();
                let scope =
                    format!("{}/{}/{}/aws4_request", part("date"), part("region"), part("service"));
                let scope = Scope::parse(&scope).unwrap();
                let derived = SigningKey::derive(part("secret_access_key"), &scope);
                assert_eq!(derived.sign(b"text"), SigningKey::from_bytes(&key).sign(b"text"));
                keys += 1;
            }
            "post_policy" => {
                check_policy(case, part("policy_base64"), part("expected_signature"));
                policies += 1;
            }
            "chunked" => {
                let seed = all.iter().find(|other| other["name"] == case["seed"]).unwrap();
                check_chunked(case, seed);
                bodies += 1;
            }
            "chunked_raw_key" => {
                check_chain(case);
                bodies += 1;
            }
            other => panic!("nobody reads the kind {other}"),
        }
    }
    println!("{requests} requests, {keys} keys, {policies} policy, {bodies} bodies in chunks");
    assert_eq!((requests, keys, policies, bodies), (8, 2, 1, 3));
}

#[test]
fn the_facts_of_other_sdks_unit_tests_hold() {
    let Some(data) = external_data("sdk-unit-facts.json") else {
        return;
    };
    let (mut count, mut inexpressible) = (0, Vec::new());
    for case in cases(&data.join("sdk-unit-facts.json")) {
        let name = case["name"].as_str().unwrap();
        let mut rules = Rules::for_service(case["service"].as_str().unwrap());
        match name {
            "go-codecommit-git" => {
                inexpressible.push((name.to_owned(), "no request: see the tests of tokens"));
            }
            "go-query" | "go-query-session" => {
                inexpressible.push((name.to_owned(), "presigned without an expiry"));
            }
            _ => {
                // These two sign the payload line without the header that tells it.
                if name.starts_with("go-unsigned-payload") {
                    rules = rules.with_content_sha256_header(false);
                }
                check_whole(&case, &case, rules);
                count += 1;
            }
        }
    }
    println!("{count} facts; not expressible: {inexpressible:?}");
    assert_eq!((count, inexpressible.len()), (10, 3));
}

#[test]
fn tokens_that_are_presigned_urls_come_out_as_boto3_makes_them() {
    let Some(data) = external_data("tokens.json") else {
        return;
    };
    let (mut urls, mut policies) = (0, 0);
    for case in cases(&data.join("tokens.json")) {
        if let Some(policy) = case["fields"]["policy"].as_str() {
            check_policy(&case, policy, case["signature"].as_str().unwrap());
            policies += 1;
        } else {
            check_token(&case);
            urls += 1;
        }
    }
    println!("{urls} URLs, {policies} policies");
    assert_eq!((urls, policies), (38, 4));
}

/// Signs the request that a case spells out in parts, and compares each step.
fn check_whole(case: &Value, request: &Value, rules: Rules) {
    let part = |key: &str| case[key].as_str().unwrap();
    let (path, query) = (request["path"].as_str().unwrap(), request["query"].as_str().unwrap());
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let headers: Vec<_> = request["headers"].as_array().unwrap().iter().map(pair).collect();
    let pairs: Vec<(&[u8], &[u8])> =
        headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let method = request["method"].as_str().unwrap().as_bytes();
    let head = Head::parse(method, target.as_bytes(), Headers::Pairs(&pairs)).unwrap();
    let payload = Payload::from_line(part("payload_hash")).unwrap();
    if let Some(body) = request["body_utf8"].as_str() {
        assert_eq!(payload, Payload::hash(body), "{case}");
    }
    let signer = Signer::new(part("region"), part("service")).with_rules(rules);
    let (credentials, at) = (credentials(&case["credentials"]), at(part("timestamp")));
    let mut scratch = Scratch::new();
    let (canonical_request, string_to_sign, signature) = match case["expires"].as_u64() {
        Some(seconds) => {
            let presign = Presign::expires_in(Duration::from_secs(seconds)).with_payload(payload);
            let signed =
                signer.presign_head(head, presign, &credentials, at, &mut scratch).unwrap();
            let (_, query) = part("url").split_once('?').unwrap();
            assert_eq!(text(signed.query()), query, "{case}");
            (
                text(signed.canonical_request()),
                signed.string_to_sign().to_owned(),
                signed.signature().to_owned(),
            )
        }
        None => {
            let signed = signer.sign_head(head, payload, &credentials, at, &mut scratch).unwrap();
            if let Some(authorization) = case["authorization"].as_str() {
                // Published without the spaces behind the commas.
                assert_eq!(signed.authorization().replace(", ", ","), authorization, "{case}");
            }
            (
                text(signed.canonical_request()),
                signed.string_to_sign().to_owned(),
                signed.signature().to_owned(),
            )
        }
    };
    assert_eq!(canonical_request, part("canonical_request"));
    assert_eq!(string_to_sign, part("string_to_sign"));
    assert_eq!(signature, part("expected_signature"), "{case}");
    if let Some(hash) = case["expected_canonical_request_sha256"].as_str() {
        assert_eq!(sha256(canonical_request.as_bytes()), hash);
    }
}

/// Signs a body in chunks behind the head that another case records, and compares each signature.
fn check_chunked(case: &Value, seed: &Value) {
    let part = |key: &str| seed[key].as_str().unwrap();
    let request = &seed["request"];
    let mut body = Vec::new();
    for chunk in case["chunks"].as_array().unwrap() {
        let byte = chunk["byte"].as_str().unwrap_or("-").as_bytes()[0];
        body.resize(body.len() + chunk["size"].as_u64().unwrap() as usize, byte);
    }
    let mut chunks = Chunks::signed(body.len() as u64);
    let mut expected: Vec<&str> =
        case["chunks"].as_array().unwrap().iter().map(signature).collect();
    if let Some(trailers) = case["trailer"]["headers"].as_array() {
        for (name, value) in trailers.iter().map(pair) {
            chunks = chunks.with_trailer(name, value);
        }
        expected.push(signature(&case["trailer"]));
    }
    if let Some(length) = case["wire_body_length"].as_u64() {
        assert_eq!(chunks.encoded_len().unwrap(), length, "{case}");
    }

    // The head has no more than what the caller knows; the rest is the signer's to add.
    let url = format!("https://s3.amazonaws.com{}", request["path"].as_str().unwrap());
    let mut put = http::Request::put(url).body(()).unwrap();
    put.headers_mut().insert("x-amz-storage-class", "REDUCED_REDUNDANCY".parse().unwrap());
    let mut signer = Signer::new(part("region"), part("service"));
    if !part("signed_headers").split(';').any(|name| name == "content-length") {
        signer = signer.with_unsigned_headers(["content-length"]);
    }
    let (credentials, at) = (credentials(&seed["credentials"]), at(part("timestamp")));
    let mut chunks = signer.sign_chunked(&mut put, chunks, &credentials, at).unwrap();
    let authorization = put.headers()["authorization"].to_str().unwrap();
    assert_eq!(authorization.replace(", ", ","), part("authorization"), "{case}");

    let mut wire = ChunkBuffer::new();
    body.chunks(1000).for_each(|piece| chunks.push(piece, &mut wire).unwrap());
    chunks.finish(&mut wire).unwrap();
    let wire = text(wire.ready());
    let signatures: Vec<&str> = wire
        .lines()
        .filter_map(|line| line.split_once("-signature=").or(line.split_once("-signature:")))
        .map(|(_, signature)| signature)
        .collect();
    assert_eq!(signatures, expected, "{case}");
    if let Some(hash) = case["wire_body_sha256"].as_str() {
        assert_eq!(sha256(wire.as_bytes()), hash);
    }
}

/// Chunks of four bytes behind a seed that is no signature, which only the rule itself can express.
fn check_chain(case: &Value) {
    let part = |key: &str| case[key].as_str().unwrap();
    let mut key = [0; 32];
    let short = part("signing_key_utf8").as_bytes();
    key[..short.len()].copy_from_slice(short);
    let key = SigningKey::from_bytes(&key);
    let sign = |kind: &str, previous: &str, rest: String| {
        let (time, scope) = (part("timestamp"), part("scope"));
        let text = format!("AWS4-HMAC-SHA256-{kind}\n{time}\n{scope}\n{previous}\n{rest}");
        hex::encode(key.sign(text.as_bytes()))
    };
    let mut last = part("seed_signature").to_owned();
    for chunk in case["chunks"].as_array().unwrap() {
        let data = chunk["data"].as_str().unwrap();
        last = sign("PAYLOAD", &last, format!("{}\n{}", sha256(b""), sha256(data.as_bytes())));
        assert_eq!(last, signature(chunk));
    }
    assert_eq!(sign("TRAILER", &last, sha256(b"")), part("empty_trailer_signature"));
}

fn signature(case: &Value) -> &str {
    case["expected_signature"].as_str().unwrap()
}

/// Presigns the URL that a token is made of, less what was added to it.
fn check_token(case: &Value) {
    let part = |key: &str| case[key].as_str().unwrap();
    let url = part("url");
    let url = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
    let (bare, query) = url.split_once('?').unwrap();
    let is_added = |piece: &&str| piece.starts_with("X-Amz-") || piece.starts_with("User-Agent=");
    let own: Vec<&str> = query.split('&').filter(|piece| !is_added(piece)).collect();
    let target = format!("{bare}?{}", own.join("&"));
    let expires = query.split('&').find_map(|piece| piece.strip_prefix("X-Amz-Expires="));
    let expires: u64 = expires.unwrap().parse().unwrap();
    let extra: Vec<(String, String)> = case["signed_extra_headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let pairs: Vec<(&[u8], &[u8])> =
        extra.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let method = part("method").as_bytes();
    let head = Head::parse(method, target.as_bytes(), Headers::Pairs(&pairs)).unwrap();
    let mut presign = Presign::expires_in(Duration::from_secs(expires));
    if let Some(line) = case["payload_hash"].as_str() {
        presign = presign.with_payload(Payload::from_line(line).unwrap());
    }
    let (credentials, at) = (credentials(&case["credentials"]), at(part("timestamp")));
    let mut scratch = Scratch::new();
    let signer = Signer::new(part("region"), part("service"));
    let signed = signer.presign_head(head, presign, &credentials, at, &mut scratch).unwrap();
    assert_eq!(text(signed.canonical_request()), part("canonical_request"), "{case}");
    assert_eq!(signed.string_to_sign(), part("string_to_sign"), "{case}");
    assert_eq!(signed.signature(), part("signature"), "{case}");
    let mut expected = pieces(query);
    expected.retain(|piece| !piece.starts_with("User-Agent="));
    assert_eq!(pieces(&text(signed.query())), expected, "{case}");
}

/// The signature of a POST policy is that of the key over the policy as it is sent.
fn check_policy(case: &Value, policy: &str, signature: &str) {
    let part = |key: &str| case[key].as_str().unwrap();
    let date = &part("timestamp")[..8];
    let scope = format!("{date}/{}/{}/aws4_request", part("region"), part("service"));
    let credentials = credentials(&case["credentials"]);
    let secret = credentials.secret_access_key();
    let key = SigningKey::derive(secret, &Scope::parse(&scope).unwrap());
    assert_eq!(hex::encode(key.sign(policy.as_bytes())), signature, "{case}");
}

/// The pieces of a query, sorted.
pub(crate) fn pieces(query: &str) -> Vec<&str> {
    let mut pieces: Vec<&str> = query.split('&').collect();
    pieces.sort_unstable();
    pieces
}

/// The cases of a file, each with a name of its own.
fn cases(path: &Path) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(&read(path)).unwrap();
    let Value::Array(cases) = file["cases"].take() else {
        panic!("{} has no cases", path.display());
    };
    let names: BTreeSet<_> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), cases.len());
    cases
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
