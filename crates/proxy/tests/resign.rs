//! Requests that clients sign with keys of the proxy's own, and that it signs again.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::{
    Credentials, Payload, Presign, Signer, checksums,
    chunked::{ChunkBuffer, Chunks},
};
use countersign_proxy::{Config, Proxy, RouteConfig};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::{
    support::{Running, SECRET, Service, World, body, config, credentials, raw, read_until, s3},
    tls::verifying,
};

pub(crate) const PLACEHOLDER: &str = "cspx/secret+of+a+placeholder/key00000000";

pub(crate) const SECRET_OF_ROLE: &str = "secret/of+the+role+that+is+assumed";

/// The key that most tests sign with.
pub(crate) fn placeholder() -> Credentials {
    Credentials::new("CSPXAAAAAAAAAAAAAAAA", PLACEHOLDER)
}

/// A file of keys, and the folder that it is in.
pub(crate) struct KeysFile {
    folder: TempDir,
}

impl KeysFile {
    /// The placeholder's key with these lines beside its id and secret.
    pub(crate) fn with(lines: &str) -> KeysFile {
        let file = KeysFile { folder: tempfile::tempdir().unwrap() };
        file.write(&format!(
            "[[key]]\naccess_key_id = \"CSPXAAAAAAAAAAAAAAAA\"\nsecret_access_key = \"{PLACEHOLDER}\"\n\
             name = \"sandbox\"\n{lines}\n"
        ));
        file
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("keys.toml")
    }

    fn audit(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    /// A route for whatever its clients sign for.
    pub(crate) fn route(&self, service: &Service) -> RouteConfig {
        RouteConfig::to(format!("http://{}", service.address).parse().unwrap())
            .with_keys(self.path())
    }

    pub(crate) fn config(&self, service: &Service) -> Config {
        let mut config = config(self.route(service));
        config.audit = Some(self.audit());
        config
    }
}

/// A service, and a proxy in front of it that knows the placeholder's key for all.
async fn start() -> (KeysFile, Service, Running) {
    start_with("services = [\"*\"]").await
}

async fn start_with(lines: &str) -> (KeysFile, Service, Running) {
    let (keys, service) = (KeysFile::with(lines), Service::start().await);
    let proxy = Running::start(keys.config(&service)).await;
    (keys, service, proxy)
}

fn request(method: &str, target: &str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "h")
        .header("connection", "close")
        .body(Bytes::new())
        .unwrap()
}

fn with_body(body: impl Into<Bytes>) -> Request<Bytes> {
    let mut put = request("PUT", "/bucket/k");
    *put.body_mut() = body.into();
    put
}

/// Signs a request for S3 with the placeholder's key.
fn sign(mut request: Request<Bytes>) -> Request<Bytes> {
    let payload = Payload::hash(request.body());
    sign_as(&mut request, payload, "s3", &placeholder());
    request
}

fn sign_as(request: &mut Request<Bytes>, payload: Payload, service: &str, with: &Credentials) {
    let signer = Signer::new("eu-west-1", service);
    signer.sign(request, payload, with, SystemTime::now()).unwrap();
}

/// The request as it is on the wire.
fn wire(request: &Request<Bytes>) -> Vec<u8> {
    let mut out = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !request.headers().contains_key("content-length") && !request.body().is_empty() {
        out.extend_from_slice(format!("content-length: {}\r\n", request.body().len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(request.body());
    out
}

/// A body in chunks, whose head the placeholder's key signed.
fn in_chunks(chunks: Chunks, data: &[u8]) -> Request<Bytes> {
    let mut put = request("PUT", "/bucket/k");
    let (signer, now) = (Signer::new("eu-west-1", "s3"), SystemTime::now());
    let mut signer = signer.sign_chunked(&mut put, chunks, &placeholder(), now).unwrap();
    let mut out = ChunkBuffer::new();
    signer.push(data, &mut out).unwrap();
    signer.finish(&mut out).unwrap();
    *put.body_mut() = out.split();
    put
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn code(answer: &str) -> &str {
    let answer = body(answer);
    let between = |from: &str, to: &str| answer.split_once(from)?.1.split_once(to);
    let found = between("<Code>", "<").or_else(|| between("\"__type\":\"", "\""));
    found.map_or("", |(code, _)| code)
}

#[tokio::test]
async fn what_a_placeholder_key_signed_goes_on_with_the_real_one() {
    let (_keys, service, proxy) = start().await;
    let answer = proxy.exchange(wire(&sign(with_body("meow")))).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = service.only();
    assert_eq!((seen.target(), &seen.body[..]), ("/bucket/k", &b"meow"[..]));
    let authorization = seen.header("authorization").unwrap();
    assert!(authorization.contains("Credential=AKIDEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
    assert_eq!(seen.header("host"), Some(service.address.to_string().as_str()));
    assert_eq!(seen.header("x-amz-security-token"), credentials().session_token());
}

#[tokio::test]
async fn the_scope_is_the_one_that_the_client_signed_for() {
    let (_keys, service, proxy) = start().await;
    for name in ["sqs", "dynamodb", "execute-api"] {
        let mut post = request("POST", "/");
        *post.body_mut() = Bytes::from("Action=ListQueues");
        let payload = Payload::hash(post.body());
        sign_as(&mut post, payload, name, &placeholder());
        let answer = proxy.exchange(wire(&post)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = service.only();
        let scope = format!("/eu-west-1/{name}/aws4_request");
        assert!(seen.header("authorization").unwrap().contains(&scope));
        assert_eq!(seen.body, "Action=ListQueues");
    }
}

#[tokio::test]
async fn a_presigned_url_goes_on_signed_in_its_headers() {
    let (_keys, service, proxy) = start().await;
    for (name, method, body) in [("s3", "GET", ""), ("s3", "PUT", "meow"), ("sqs", "GET", "")] {
        let mut url = request(method, "/bucket/k?response-content-type=a%2Fb&x-id=GetObject");
        *url.body_mut() = Bytes::from(body);
        url.headers_mut().remove("connection");
        let life = Presign::expires_in(Duration::from_secs(60));
        let signer = Signer::new("eu-west-1", name);
        signer.presign(&mut url, life, &placeholder(), SystemTime::now()).unwrap();
        url.headers_mut().insert("connection", "close".parse().unwrap());
        let answer = proxy.exchange(wire(&url)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = service.only();
        assert_eq!(seen.target(), "/bucket/k?response-content-type=a%2Fb&x-id=GetObject");
        assert_eq!(seen.body, body);
        // The URL leaves its body open, and nothing but the signature would keep it without TLS.
        if name == "s3" {
            let hash = Payload::hash(body).line();
            assert_eq!(seen.header("x-amz-content-sha256"), Some(hash.as_str()));
        }
    }
}

#[tokio::test]
async fn unsigned_bodies_are_held_and_signed_where_nothing_keeps_them() {
    let (_keys, service, proxy) = start().await;
    let mut put = with_body(data(100_000));
    sign_as(&mut put, Payload::Unsigned, "s3", &placeholder());
    assert!(proxy.exchange(wire(&put)).await.starts_with("HTTP/1.1 200"));
    let seen = service.only();
    assert_eq!(seen.body, data(100_000));
    assert_eq!(
        seen.header("x-amz-content-sha256"),
        Some(Payload::hash(data(100_000)).line().as_str())
    );
    let mut post = with_body("meow");
    sign_as(&mut post, Payload::Unsigned, "sqs", &placeholder());
    let answer = proxy.exchange(wire(&post)).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn bodies_in_chunks_are_verified_and_signed_anew() {
    let (_keys, service, proxy) = start().await;
    let checksum = || checksums::by_name("x-amz-checksum-crc64nvme").unwrap();
    for length in [0, 1, 8192, 100_000, 300_001] {
        let all = length as u64;
        for (chunks, trailer) in [
            (Chunks::signed(all), None),
            (Chunks::signed(all).with_chunk_size(8192), None),
            (Chunks::signed(all).with_chunk_size(1 << 20), None),
            (Chunks::signed(all).with_checksum(checksum()), Some("x-amz-checksum-crc64nvme")),
            (Chunks::unsigned(all, checksum()), Some("x-amz-checksum-crc64nvme")),
        ] {
            let put = in_chunks(chunks, &data(length));
            let answer = proxy.exchange(wire(&put)).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{length}: {answer}");
            let seen = service.only();
            let hash = seen.header("x-amz-content-sha256").unwrap();
            let (expected, has_trailer) = match trailer {
                Some(_) => ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", true),
                None => ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", false),
            };
            assert_eq!(hash, expected);
            assert_eq!(seen.header("x-amz-trailer"), trailer);
            assert_eq!(seen.header("x-amz-decoded-content-length"), Some(&*all.to_string()));
            assert_eq!(seen.header("content-encoding"), Some("aws-chunked"));
            let wire = String::from_utf8_lossy(&seen.body);
            assert_eq!(wire.contains("x-amz-checksum-crc64nvme:"), has_trailer);
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_within_its_chunks_is_to_blame() {
    let (_keys, service, proxy) = start().await;
    let put = wire(&in_chunks(Chunks::signed(200_000), &data(200_000)));
    let answer = proxy.break_off(&put[..100_000]).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("x-countersign-refusal: body_broken"), "{answer}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn over_tls_what_s3_takes_unsigned_passes_as_it_comes() {
    let (port, ca, mut told) = verifying(&[]).await;
    let keys = KeysFile::with("services = [\"*\"]");
    let route = RouteConfig::to(format!("https://localhost:{port}").parse().unwrap());
    let mut config = config(route.with_keys(keys.path()));
    config.ca_file = Some(ca.path().to_owned());
    let proxy = Running::start(config).await;
    let checksum = checksums::by_name("x-amz-checksum-crc32").unwrap();
    let trailer = in_chunks(Chunks::unsigned(100_000, checksum), &data(100_000));
    let mut unsigned = with_body(data(100_000));
    sign_as(&mut unsigned, Payload::Unsigned, "s3", &placeholder());
    for (put, expected) in [
        (trailer, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        (unsigned, "UNSIGNED-PAYLOAD"),
        (in_chunks(Chunks::signed(100_000), &data(100_000)), "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        (sign(with_body(data(100_000))), Payload::hash(data(100_000)).line().as_str()),
    ] {
        let answer = proxy.exchange(wire(&put)).await;
        let (seen, verdict) = told.recv().await.unwrap();
        assert_eq!(verdict, Ok(()), "{expected}: {answer}");
        assert_eq!(seen.header("x-amz-content-sha256"), Some(expected));
        if put.headers()["x-amz-content-sha256"] != "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" {
            assert_eq!(seen.body, put.body());
        }
    }
}

#[tokio::test]
async fn http_2_is_verified_as_well() {
    let (_keys, service, proxy) = start().await;
    for (target, status) in [("/bucket/k", 200), ("/bucket/l", 403)] {
        let stream = TokioIo::new(proxy.connect().await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let mut put = Request::put("http://h/bucket/k").body(Bytes::from("meow")).unwrap();
        let payload = Payload::hash(put.body());
        sign_as(&mut put, payload, "s3", &placeholder());
        *put.uri_mut() = format!("http://h{target}").parse().unwrap();
        let response = sender.send_request(put.map(Full::new)).await.unwrap();
        assert_eq!(response.status(), status);
    }
    assert_eq!(service.only().target(), "/bucket/k");
}

#[tokio::test]
async fn unknown_keys_and_wrong_secrets_are_refused_in_the_words_of_the_service() {
    let (_keys, service, proxy) = start().await;
    let unknown = Credentials::new("CSPXBBBBBBBBBBBBBBBB", PLACEHOLDER);
    let wrong = Credentials::new("CSPXAAAAAAAAAAAAAAAA", "another secret");
    let token = placeholder().with_session_token("token");
    for (with, name, status, expected) in [
        (&unknown, "s3", 403, "InvalidAccessKeyId"),
        (&unknown, "sqs", 403, "InvalidClientTokenId"),
        (&wrong, "s3", 403, "SignatureDoesNotMatch"),
        (&wrong, "sqs", 403, "SignatureDoesNotMatch"),
        (&token, "s3", 400, "InvalidToken"),
        (&token, "sqs", 403, "InvalidClientTokenId"),
        // Nobody signs with the real key through the proxy, not even who has it.
        (&credentials(), "s3", 403, "InvalidAccessKeyId"),
    ] {
        let mut get = request("GET", "/");
        sign_as(&mut get, Payload::EMPTY, name, with);
        let answer = proxy.exchange(wire(&get)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{expected}: {answer}");
        assert_eq!(code(&answer), expected, "{answer}");
        assert!(answer.contains("x-countersign-refusal: not_verified"), "{answer}");
    }
    let mut json = request("POST", "/");
    json.headers_mut().insert("x-amz-target", "DynamoDB_20120810.ListTables".parse().unwrap());
    sign_as(&mut json, Payload::EMPTY, "dynamodb", &unknown);
    let answer = proxy.exchange(wire(&json)).await;
    assert_eq!(code(&answer), "UnrecognizedClientException");
    assert!(answer.contains("x-amzn-errortype: UnrecognizedClientException"), "{answer}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn no_body_is_read_for_a_key_that_nobody_has() {
    let (_keys, service, proxy) = start().await;
    let unknown = Credentials::new("CSPXBBBBBBBBBBBBBBBB", PLACEHOLDER);
    let mut post = request("POST", "/");
    *post.body_mut() = "meow".into();
    // Its hash is in no header, so that the signature can be compared only once all of it came.
    sign_as(&mut post, Payload::hash("meow"), "sqs", &unknown);
    let text = String::from_utf8(wire(&post)).unwrap();
    let head = text.strip_suffix("meow").unwrap();
    assert!(!head.contains("x-amz-content-sha256"), "{head}");
    let answer = tokio::time::timeout(Duration::from_secs(10), proxy.exchange(head)).await.unwrap();
    assert_eq!(code(&answer), "InvalidClientTokenId", "{answer}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn what_is_not_signed_as_it_must_be_is_refused() {
    let (_keys, service, proxy) = start().await;
    let edit = |edit: &dyn Fn(&mut Request<Bytes>)| {
        let mut get = sign(request("GET", "/bucket/k?a=b"));
        edit(&mut get);
        get
    };
    let insert = |name: &'static str, value: &'static str| {
        edit(&|get| {
            get.headers_mut().insert(name, value.parse().unwrap());
        })
    };
    let mut old = request("GET", "/");
    let hour = Duration::from_secs(3600);
    let signer = Signer::new("eu-west-1", "s3");
    signer.sign(&mut old, Payload::EMPTY, &placeholder(), SystemTime::now() - hour).unwrap();
    let mut url = request("GET", "/bucket/k");
    let life = Presign::expires_in(Duration::from_secs(60));
    signer.presign(&mut url, life, &placeholder(), SystemTime::now() - hour).unwrap();
    let both = {
        let query = url.uri().query().unwrap().to_owned();
        edit(&|get| *get.uri_mut() = format!("/bucket/k?{query}").parse().unwrap())
    };
    let second = edit(&|get| {
        let first = get.headers()["authorization"].clone();
        get.headers_mut().append("authorization", first);
    });
    let asymmetric = edit(&|get| {
        let text = get.headers()["authorization"].to_str().unwrap().to_owned();
        let text = text.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256");
        let text = text.replace("/eu-west-1", "");
        get.headers_mut().insert("authorization", text.parse().unwrap());
    });
    for (what, request, status, expected) in [
        ("nothing signed", request("GET", "/"), 403, "MissingAuthenticationToken"),
        (
            "a signature of before",
            request("GET", "/bucket/k?AWSAccessKeyId=CSPXAAAAAAAAAAAAAAAA&Signature=a&Expires=1"),
            400,
            "InvalidRequest",
        ),
        ("an old signature", old, 403, "RequestTimeTooSkewed"),
        ("an expired URL", url, 403, "AccessDenied"),
        ("header and query", both, 400, "InvalidArgument"),
        ("two authorizations", second, 400, "InvalidArgument"),
        ("another algorithm", asymmetric, 400, "AuthorizationHeaderMalformed"),
        (
            "another method",
            edit(&|get| *get.method_mut() = "DELETE".parse().unwrap()),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "another path",
            edit(&|get| *get.uri_mut() = "/bucket/l?a=b".parse().unwrap()),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "another query",
            edit(&|get| *get.uri_mut() = "/bucket/k?acl".parse().unwrap()),
            403,
            "SignatureDoesNotMatch",
        ),
        ("another host", insert("host", "i"), 403, "SignatureDoesNotMatch"),
        ("an unsigned copy source", insert("x-amz-copy-source", "/other/k"), 403, "AccessDenied"),
        ("an unsigned ACL", insert("x-amz-acl", "public-read"), 403, "AccessDenied"),
        ("an unsigned token", insert("x-amz-security-token", "t"), 400, "InvalidToken"),
        (
            "another hash",
            insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "a bad header",
            insert("authorization", "AWS4-HMAC-SHA256 what"),
            400,
            "IncompleteSignature",
        ),
    ] {
        let answer = proxy.exchange(wire(&request)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
        assert_eq!(code(&answer), expected, "{what}: {answer}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_body_that_is_not_the_one_that_was_signed_goes_nowhere() {
    let (_keys, service, proxy) = start().await;
    for (name, status, expected) in
        [("s3", 400, "XAmzContentSHA256Mismatch"), ("sqs", 403, "SignatureDoesNotMatch")]
    {
        for (signed, sent) in [("meow", "woof"), ("meow", ""), ("", "woof")] {
            let mut put = with_body(sent);
            sign_as(&mut put, Payload::hash(signed), name, &placeholder());
            let answer = proxy.exchange(wire(&put)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
            assert_eq!(code(&answer), expected, "{answer}");
        }
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn chunks_that_are_not_the_ones_that_were_signed_never_make_a_whole_request() {
    let (keys, service, proxy) = start().await;
    let all = data(200_000);
    let chunks = || Chunks::signed(200_000).with_chunk_size(65_536);
    let good = in_chunks(chunks(), &all);
    let crc32 = || checksums::by_name("x-amz-checksum-crc32").unwrap();
    let unsigned = in_chunks(Chunks::unsigned(200_000, crc32()), &all);
    let trailer = in_chunks(chunks().with_checksum(crc32()), &all);
    let flip = |put: &Request<Bytes>, at: usize| {
        let mut put = put.clone();
        let mut bytes = put.body().to_vec();
        bytes[at] ^= 1;
        *put.body_mut() = bytes.into();
        put
    };
    let end = good.body().len();
    // The second chunk in the place of the third.
    let length = 65_536 + 5 + 17 + 64 + 4;
    let mut replaced = good.clone();
    let mut bytes = good.body().to_vec();
    bytes.copy_within(length..2 * length, 2 * length);
    *replaced.body_mut() = bytes.into();
    // The chunks of a signature by the same key, over another head.
    let mut foreign = good.clone();
    *foreign.body_mut() = {
        let mut other = request("PUT", "/bucket/other");
        let signer = Signer::new("eu-west-1", "s3");
        let mut signer =
            signer.sign_chunked(&mut other, chunks(), &placeholder(), SystemTime::now()).unwrap();
        let mut out = ChunkBuffer::new();
        signer.push(&all, &mut out).unwrap();
        signer.finish(&mut out).unwrap();
        out.split()
    };
    // What is cut must say so, so its length may not be signed.
    let mut short = request("PUT", "/bucket/k");
    *short.body_mut() = {
        let signer = Signer::new("eu-west-1", "s3").with_minimal_headers();
        let mut signer =
            signer.sign_chunked(&mut short, chunks(), &placeholder(), SystemTime::now()).unwrap();
        let mut out = ChunkBuffer::new();
        signer.push(&all, &mut out).unwrap();
        signer.finish(&mut out).unwrap();
        out.split().slice(..2 * length)
    };
    short.headers_mut().remove("content-length");
    let unsigned_end = unsigned.body().len();
    let trailer_end = trailer.body().len();
    for (what, put, expected) in [
        ("a byte of the first chunk", flip(&good, 200), "SignatureDoesNotMatch"),
        ("a byte of the last chunk", flip(&good, end - 200), "SignatureDoesNotMatch"),
        ("the end's signature", flip(&good, end - 10), "SignatureDoesNotMatch"),
        ("a chunk in another's place", replaced, "SignatureDoesNotMatch"),
        ("chunks of another request", foreign, "SignatureDoesNotMatch"),
        ("no end", short, "IncompleteBody"),
        ("a byte of an unsigned chunk", flip(&unsigned, 100_000), "BadDigest"),
        ("the checksum", flip(&unsigned, unsigned_end - 8), "BadDigest"),
        ("the trailer's signature", flip(&trailer, trailer_end - 10), "SignatureDoesNotMatch"),
    ] {
        let answer = proxy.exchange(wire(&put)).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{what}: {answer}");
        assert_eq!(code(&answer), expected, "{what}: {answer}");
    }
    // A request whose body broke off was no request to the service.
    assert_eq!(service.count(), 0);
    let audit = audit_of(&keys, proxy).await;
    assert_eq!(audit.iter().filter(|line| line["verdict"] == "cut").count(), 9, "{audit:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_whole_request_behind() {
    let (_keys, service, proxy) = start().await;
    let put = in_chunks(Chunks::signed(100_000).with_chunk_size(8192), &data(100_000));
    let wire = wire(&put);
    let mut stream = proxy.connect().await;
    stream.write_all(&wire[..wire.len() - 10]).await.unwrap();
    drop(stream);
    // What comes later is answered, and alone.
    assert!(proxy.exchange(self::wire(&sign(request("GET", "/")))).await.contains("200 OK"));
    assert_eq!(service.only().parts.method, "GET");
}

#[tokio::test]
async fn a_body_in_chunks_passes_before_it_has_all_come() {
    let service = raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.contains("AKIDEXAMPLE"), "{head}");
        // The first chunk is here before the second was sent.
        read_until(&mut stream, "\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    })
    .await;
    let keys = KeysFile::with("services = [\"*\"]");
    let route =
        RouteConfig::to(format!("http://{service}").parse().unwrap()).with_keys(keys.path());
    let proxy = Running::start(config(route)).await;
    let put = in_chunks(Chunks::signed(300_000).with_chunk_size(8192), &data(300_000));
    let wire = wire(&put);
    let mut stream = proxy.connect().await;
    stream.write_all(&wire[..wire.len() - 100_000]).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_key_is_held_to_its_services_regions_methods_and_hosts() {
    for (lines, allowed) in [
        ("services = [\"*\"]", true),
        ("services = [\"sqs\", \"s3\"]", true),
        ("services = [\"sqs\"]", false),
        ("services = []", false),
        ("services = [\"s3\"]\nregions = [\"eu-west-1\"]", true),
        ("services = [\"s3\"]\nregions = [\"eu-west-2\"]", false),
        ("services = [\"s3\"]\nregions = []", false),
        ("services = [\"s3\"]\nmethods = [\"PUT\"]", true),
        ("services = [\"s3\"]\nmethods = [\"GET\", \"HEAD\"]", false),
        ("services = [\"s3\"]\nhosts = [\"h\"]", false),
        ("services = [\"s3\"]\npaths = [\"/bucket/*\"]", true),
        ("services = [\"s3\"]\npaths = [\"/bucket/l*\"]", false),
        ("services = [\"s3\"]\npaths = []", false),
    ] {
        let (_keys, service, proxy) = start_with(lines).await;
        let answer = proxy.exchange(wire(&sign(with_body("meow")))).await;
        let expected = if allowed { "HTTP/1.1 200" } else { "HTTP/1.1 403" };
        assert!(answer.starts_with(expected), "{lines}: {answer}");
        assert_eq!(service.count(), usize::from(allowed), "{lines}");
        if !allowed {
            assert_eq!(code(&answer), "AccessDenied");
            assert!(answer.contains("x-countersign-refusal: not_allowed"), "{answer}");
        }
    }
}

#[tokio::test]
async fn the_hosts_of_a_key_are_those_to_which_its_requests_go() {
    let service = Service::start().await;
    let own = service.address;
    for (hosts, allowed) in [(own.to_string(), true), ("h".to_owned(), false)] {
        let keys = KeysFile::with(&format!("services = [\"s3\"]\nhosts = [\"{hosts}\"]"));
        let proxy = Running::start(keys.config(&service)).await;
        let answer = proxy.exchange(wire(&sign(request("GET", "/")))).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), allowed, "{hosts}: {answer}");
    }
    // In the virtual-hosted style the bucket is in the host.
    let keys = KeysFile::with("services = [\"s3\"]\nhosts = [\"own.s3.eu-west-1.test\"]");
    let route = RouteConfig::to_allowed(["*.eu-west-1.test".parse().unwrap()]);
    let mut route = route.with_keys(keys.path());
    route.plain_http = true;
    let proxy = Running::start(config(route)).await;
    for (host, expected) in [
        ("own.s3.eu-west-1.test", "upstream_connect"),
        ("other.s3.eu-west-1.test", "not_allowed"),
        ("s3.eu-west-1.test", "not_allowed"),
        ("own.s3.eu-west-1.test.evil.example", "not_allowed"),
    ] {
        for target in ["/k".to_owned(), format!("http://{host}/k")] {
            let mut get = request("GET", &target);
            get.headers_mut().insert("host", host.parse().unwrap());
            let answer = proxy.exchange(wire(&sign(get))).await;
            let expected = format!("x-countersign-refusal: {expected}");
            assert!(answer.contains(&expected), "{host}: {answer}");
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_out_of_those_of_a_key() {
    let (_keys, service, proxy) =
        start_with("services = [\"s3\"]\npaths = [\"/own/*\", \"/shared/one\"]").await;
    for target in ["/own/", "/own/a/b", "/own/a%20b?c=../..", "/shared/one", "http://h/own/a"] {
        let answer = proxy.exchange(wire(&sign(request("GET", target)))).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer}");
        service.only();
    }
    for target in [
        "/other/a",
        "/own",
        "/OWN/a",
        "/own/../other/a",
        "/own/%2e%2e/other/a",
        "/own/.%2E/other/a",
        "/own/..%2fother/a",
        "/own%2f..%2fother/a",
        "/own/%252e%252e/other/a",
        "/own/..;/other/a",
        "/own/..%5cother",
        "/own//a",
        "//own/a",
        "/own/a%2fb",
        "/own/a%00",
        "/shared/one/",
        "/shared/one%00",
        "http://h/other/a",
        "http://h/own/../other/a",
    ] {
        let answer = proxy.exchange(wire(&sign(request("GET", target)))).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{target}: {answer}");
        assert_eq!(code(&answer), "AccessDenied", "{target}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn the_paths_of_a_key_are_those_to_which_its_requests_go() {
    let service = Service::start().await;
    let keys = KeysFile::with("services = [\"s3\"]\npaths = [\"/base/own/*\"]");
    let mut route = keys.route(&service);
    route.path = "/in".parse().unwrap();
    route.upstream = Some(format!("http://{}/base", service.address).parse().unwrap());
    let proxy = Running::start(config(route)).await;
    for (path, status) in [
        ("/in/own/a", 200),
        ("/in/other/a", 403),
        ("/in/base/own/a", 403),
        ("/in/own/../other/a", 403),
        ("/base/own/a", 404),
    ] {
        let answer = proxy.exchange(wire(&sign(request("GET", path)))).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
    assert_eq!(service.only().target(), "/base/own/a");
}

#[tokio::test]
async fn a_key_copies_only_from_where_it_may_read() {
    let (_keys, service, proxy) = start_with("services = [\"s3\"]\npaths = [\"/own/*\"]").await;
    for (source, allowed) in [
        ("/own/a", true),
        ("own/a%20b?versionId=1", true),
        ("/other/a", false),
        ("/own/../other/a", false),
        ("/own%2F%2e%2e%2Fother/a", false),
        ("own%2Fa", false),
        ("arn:aws:s3:eu-west-1:123456789012:accesspoint/p/object/a", false),
    ] {
        let mut put = request("PUT", "/own/copy");
        put.headers_mut().insert("x-amz-copy-source", source.parse().unwrap());
        let answer = proxy.exchange(wire(&sign(put))).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), allowed, "{source}: {answer}");
    }
    service.seen.lock().unwrap().clear();
    let mut two = request("PUT", "/own/copy");
    two.headers_mut().append("x-amz-copy-source", "/own/a".parse().unwrap());
    two.headers_mut().append("x-amz-copy-source", "/other/a".parse().unwrap());
    let renamed = {
        let mut put = request("PUT", "/own/copy?renameObject");
        put.headers_mut().insert("x-amz-rename-source", "/other/a".parse().unwrap());
        put
    };
    let in_query = request("PUT", "/own/copy?x-amz-copy-source=%2Fother%2Fa");
    for put in [two, renamed, in_query] {
        let answer = proxy.exchange(wire(&sign(put))).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn what_http_can_say_in_two_ways_is_refused() {
    let (_keys, service, proxy) = start_with("services = [\"s3\"]\nmethods = [\"GET\"]").await;
    let get = || sign(request("GET", "/bucket/k"));
    let text = |request: &Request<Bytes>| String::from_utf8(wire(request)).unwrap();
    let mut override_ = request("GET", "/bucket/k");
    override_.headers_mut().insert("x-http-method-override", "DELETE".parse().unwrap());
    let mut conditional = request("GET", "/bucket/k");
    conditional.headers_mut().insert("if-match", "\"etag\"".parse().unwrap());
    let conditional = text(&sign(conditional));
    let close = "connection: close";
    for (what, request, status) in [
        ("host and target", text(&get()).replacen("/bucket/k", "http://i/bucket/k", 1), 400),
        ("two hosts", text(&get()).replacen("host: h", "host: h\r\nhost: i", 1), 400),
        ("two hosts alike", text(&get()).replacen("host: h", "host: h\r\nhost: h", 1), 400),
        (
            "a signed header left out",
            conditional.replacen(close, "connection: close, if-match", 1),
            400,
        ),
        ("a method over the method", text(&sign(override_)), 403),
        ("a tunnel", text(&get()).replacen("GET /bucket/k", "CONNECT h:443", 1), 405),
        ("a trace", text(&get()).replacen("GET", "TRACE", 1), 405),
        ("a fragment", text(&get()).replacen("/bucket/k", "/bucket/k#/../l", 1), 200),
    ] {
        let answer = proxy.exchange(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
    }
    let seen = service.only();
    assert_eq!(seen.target(), "/bucket/k");
}

#[tokio::test]
async fn a_websocket_wants_a_signature_and_no_other_upgrade_passes() {
    let (_keys, service, proxy) = start().await;
    let upgrade = |protocol: &str, with: &Credentials| {
        let mut get = request("GET", "/");
        sign_as(&mut get, Payload::EMPTY, "execute-api", with);
        let text = String::from_utf8(wire(&get)).unwrap();
        text.replacen(
            "connection: close",
            &format!("connection: upgrade, close\r\nupgrade: {protocol}"),
            1,
        )
    };
    let wrong = Credentials::new("CSPXAAAAAAAAAAAAAAAA", "another secret");
    let answer = proxy.exchange(upgrade("websocket", &wrong)).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(service.count(), 0);
    let answer = proxy.exchange(upgrade("h2c", &placeholder())).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(service.only().header("upgrade"), None);
}

#[tokio::test]
async fn keys_change_while_the_proxy_serves() {
    let (keys, service, proxy) = start().await;
    let get = || wire(&sign(request("GET", "/")));
    assert!(proxy.exchange(get()).await.starts_with("HTTP/1.1 200"));
    // What is broken leaves the keys of before.
    keys.write("[[key]]\naccess");
    proxy.reload().unwrap_err();
    assert!(proxy.exchange(get()).await.starts_with("HTTP/1.1 200"));
    keys.write("");
    proxy.reload().unwrap();
    let answer = proxy.exchange(get()).await;
    assert_eq!(code(&answer), "InvalidAccessKeyId", "{answer}");
    // And by itself, a second later.
    let again = KeysFile::with("services = [\"*\"]");
    std::fs::rename(again.path(), keys.path()).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(proxy.exchange(get()).await.starts_with("HTTP/1.1 200"));
    assert_eq!(service.count(), 3);
}

#[tokio::test]
async fn a_key_with_a_role_signs_with_what_the_role_has() {
    let keys = KeysFile::with(
        "services = [\"*\"]\n[key.role]\narn = \"arn:aws:iam::123456789012:role/sandbox\"",
    );
    let service = raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.contains("Credential=ASIAROLE/"), "{head}");
        let answer = b"HTTP/1.1 403 no\r\ncontent-length: 40\r\n\r\n<Error><Code>ExpiredToken</Code></Error> ";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let route =
        RouteConfig::to(format!("http://{service}").parse().unwrap()).with_keys(keys.path());
    // Who knows of no roles says so at once.
    let nowhere = World::new(None);
    let error = Proxy::new(config(route.clone()), Arc::new(nowhere)).unwrap_err().to_string();
    assert!(error.contains("role/sandbox") && error.contains("not supported"), "{error}");
    let world = World::new(Some(credentials()));
    let world = world.with_role(Credentials::new("ASIAROLE", SECRET_OF_ROLE));
    let proxy = Running::start_in(world, config(route)).await;
    for _ in 0..2 {
        let answer = proxy.exchange(wire(&sign(request("GET", "/")))).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let role = proxy.world.role().unwrap();
    assert_eq!(*role.invalidated.lock().unwrap(), ["ASIAROLE", "ASIAROLE"]);
    assert!(proxy.world.0.invalidated.lock().unwrap().is_empty());
    let asked = proxy.world.asked().unwrap();
    assert_eq!(asked.role_arn(), "arn:aws:iam::123456789012:role/sandbox");
    assert_eq!(asked.session_name(), Some("sandbox"));
}

/// The lines of the audit log, once the proxy has ended.
async fn audit_of(keys: &KeysFile, mut proxy: Running) -> Vec<serde_json::Value> {
    proxy.stop();
    proxy.ended().await;
    let text = std::fs::read_to_string(keys.audit()).unwrap();
    for secret in [SECRET, PLACEHOLDER, credentials().session_token().unwrap()] {
        assert!(!text.contains(secret), "{text}");
    }
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_audit_log_that_is_left_holds_all_that_was_decided() {
    let (keys, service, proxy) = start_with("services = [\"s3\"]").await;
    let other = keys.folder.path().join("other.jsonl");
    let mut next = keys.config(&service);
    next.audit = Some(other.clone());
    for number in 1..=5 {
        proxy.exchange(wire(&sign(request("GET", "/bucket/k")))).await;
        proxy.handle.reload(next.clone()).unwrap();
        proxy.exchange(wire(&sign(request("GET", "/bucket/k")))).await;
        proxy.reload().unwrap();
        for log in [&keys.audit(), &other] {
            let text = std::fs::read_to_string(log).unwrap();
            assert_eq!(text.lines().count(), number, "{text}");
        }
    }
}

#[tokio::test]
async fn each_decision_is_a_line_of_the_audit_log() {
    let (keys, _service, proxy) = start_with("services = [\"s3\"]\npaths = [\"/bucket/*\"]").await;
    let mut url = request("GET", "/bucket/a%20b?secret=hunter2&acl");
    let life = Presign::expires_in(Duration::from_secs(60));
    url.headers_mut().remove("connection");
    Signer::new("eu-west-1", "s3")
        .presign(&mut url, life, &placeholder(), SystemTime::now())
        .unwrap();
    url.headers_mut().insert("connection", "close".parse().unwrap());
    let mut wrong = request("GET", "/bucket/k");
    let stranger = Credentials::new("CSPXSTRANGER", "secret");
    sign_as(&mut wrong, Payload::EMPTY, "s3", &stranger);
    for request in [
        url,
        sign(request("GET", "/other")),
        wrong,
        request("GET", "/bucket/k"),
        sign(with_body("meow")),
    ] {
        proxy.exchange(wire(&request)).await;
    }
    let lines = audit_of(&keys, proxy).await;
    let verdicts: Vec<_> = lines.iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["allow", "deny", "deny", "deny", "allow"], "{lines:?}");
    let first = &lines[0];
    assert_eq!(first["key"], "CSPXAAAAAAAAAAAAAAAA");
    assert_eq!(first["name"], "sandbox");
    assert_eq!(first["method"], "GET");
    assert_eq!(first["path"], "/bucket/a%20b");
    assert_eq!(first["query"][0], "secret");
    assert_eq!(first["client"], "127.0.0.1");
    assert!(first["scope"].as_str().unwrap().ends_with("/eu-west-1/s3/aws4_request"));
    assert!(first["time"].as_str().unwrap().ends_with('Z'));
    assert!(!first.to_string().contains("hunter2"), "{first}");
    assert!(lines[1]["reason"].as_str().unwrap().starts_with("not_allowed: "), "{}", lines[1]);
    assert_eq!((&lines[2]["key"], &lines[2]["name"]), (&"CSPXSTRANGER".into(), &().into()));
    assert!(lines[2]["reason"].as_str().unwrap().starts_with("not_verified: "), "{}", lines[2]);
    assert!(lines[3]["key"].is_null());
}

#[tokio::test]
async fn the_audit_log_says_whose_request_was_refused_before_anything_was_compared() {
    let (keys, service) = (KeysFile::with("services = [\"*\"]"), Service::start().await);
    let mut config = keys.config(&service);
    config.routes[0].region = Some("us-east-1".to_owned());
    let proxy = Running::start(config).await;
    let mut url = request("GET", "/bucket/k");
    url.headers_mut().remove("connection");
    let life = Presign::expires_in(Duration::from_secs(60));
    let signer = Signer::new("eu-west-1", "s3");
    signer.presign(&mut url, life, &placeholder(), SystemTime::now()).unwrap();
    url.headers_mut().insert("connection", "close".parse().unwrap());
    for request in [sign(request("GET", "/bucket/k")), url] {
        proxy.exchange(wire(&request)).await;
    }
    for line in audit_of(&keys, proxy).await {
        assert!(line["reason"].as_str().unwrap().contains("of another region"), "{line}");
        assert_eq!(line["key"], "CSPXAAAAAAAAAAAAAAAA");
        assert!(line["scope"].as_str().unwrap().ends_with("/eu-west-1/s3/aws4_request"), "{line}");
        assert!(line["name"].is_null());
    }
    assert_eq!(service.count(), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_let_through_while_the_audit_log_cannot_be_written() {
    let (keys, service) = (KeysFile::with("services = [\"*\"]"), Service::start().await);
    let mut config = keys.config(&service);
    config.audit = Some("/dev/full".into());
    let proxy = Running::start(config).await;
    let get = || wire(&sign(request("GET", "/")));
    // The first may pass: that it cannot be written is not known yet.
    let first = proxy.exchange(get()).await;
    let passed = usize::from(first.starts_with("HTTP/1.1 200"));
    let mut answer = String::new();
    for _ in 0..20 {
        answer = proxy.exchange(get()).await;
        if answer.starts_with("HTTP/1.1 503") {
            break;
        }
    }
    assert!(answer.contains("x-countersign-refusal: no_audit"), "{answer}");
    let before = service.count();
    assert!(before >= passed);
    assert!(proxy.exchange(get()).await.starts_with("HTTP/1.1 503"));
    assert_eq!(service.count(), before);
}

#[tokio::test]
async fn no_answer_holds_a_secret() {
    let service = Service::start_with(|_| {
        let mut answer = Response::new(Full::new(Bytes::from("meow")));
        *answer.status_mut() = http::StatusCode::TEMPORARY_REDIRECT;
        answer.headers_mut().insert("location", "https://elsewhere.test/".parse().unwrap());
        answer
    })
    .await;
    let keys = KeysFile::with("services = [\"s3\"]\npaths = [\"/bucket/*\"]");
    let proxy = Running::start(keys.config(&service)).await;
    let wrong = Credentials::new("CSPXAAAAAAAAAAAAAAAA", "another secret");
    let mut forged = request("GET", "/bucket/k");
    sign_as(&mut forged, Payload::EMPTY, "s3", &wrong);
    let right = {
        let mut same = request("GET", "/bucket/k");
        same.headers_mut().insert("x-amz-date", forged.headers()["x-amz-date"].clone());
        sign_as(&mut same, Payload::EMPTY, "s3", &placeholder());
        let text = same.headers()["authorization"].to_str().unwrap().to_owned();
        text.rsplit('=').next().unwrap().to_owned()
    };
    for request in [forged, sign(request("GET", "/bucket/k")), sign(request("GET", "/other"))] {
        let answer = proxy.exchange(wire(&request)).await;
        for secret in [SECRET, PLACEHOLDER, "AKIDEXAMPLE", right.as_str()] {
            assert!(!answer.contains(secret), "{answer}");
        }
    }
    // A redirect is the client's to follow, and to sign for.
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    let keys = KeysFile::with("services = [\"*\"]");
    let upstream = || RouteConfig::to("http://127.0.0.1:9".parse().unwrap());
    let error =
        |config: Config| Proxy::new(config, Arc::new(World::new(None))).unwrap_err().to_string();
    let missing = error(config(upstream().with_keys("/nowhere/keys.toml")));
    assert!(missing.contains("/nowhere/keys.toml"), "{missing}");
    let mut both = s3("127.0.0.1:9".parse().unwrap()).with_keys(keys.path());
    both.payload = countersign_proxy::PayloadMode::Chunks;
    assert!(error(config(both)).contains("`payload` beside `keys`"));
    let mut unwritable = config(upstream().with_keys(keys.path()));
    unwritable.audit = Some("/nowhere/audit.jsonl".into());
    assert!(error(unwritable).contains("/nowhere/audit.jsonl"));
    // Whoever has no key is not signed for, from wherever it comes.
    let mut open = config(upstream().with_keys(keys.path()));
    open.listen = vec!["0.0.0.0:0".parse().unwrap()];
    Proxy::new(open.clone(), Arc::new(World::new(None))).unwrap();
    let mut plain = upstream().with_scope("r", "s");
    plain.name = "plain".to_owned();
    open.routes.push(plain);
    assert!(error(open).contains("insecure_listen"));
}

#[tokio::test]
async fn a_route_that_names_its_scope_takes_no_other() {
    let (keys, service) = (KeysFile::with("services = [\"*\"]"), Service::start().await);
    let proxy = Running::start(config(s3(service.address).with_keys(keys.path()))).await;
    assert!(proxy.exchange(wire(&sign(request("GET", "/")))).await.starts_with("HTTP/1.1 200"));
    service.only();
    let mut get = request("GET", "/");
    sign_as(&mut get, Payload::EMPTY, "sqs", &placeholder());
    let answer = proxy.exchange(wire(&get)).await;
    assert_eq!(code(&answer), "SignatureDoesNotMatch", "{answer}");
    assert_eq!(service.count(), 0);
}
