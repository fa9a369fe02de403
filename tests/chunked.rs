//! Bodies in chunks, as they are signed.

use std::{fmt::Write as _, time::Duration};

use bytes::Buf;
#[cfg(feature = "checksums")]
use countersign::checksums::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use countersign::{
    Algorithm, Credentials, ErrorKind, Head, Headers, Payload, Presign, Scope, Scratch,
    SignRequest, Signer, SigningKey,
    chunked::{Checksum, ChunkBuffer, ChunkSigner, Chunks},
};
use http::{HeaderMap, Request};
use proptest::prelude::*;

use crate::support::{at, reference::sha256, text};
#[cfg(feature = "checksums")]
use crate::support::{credentials as from_json, pair, sigv4a_signer};

const TIME: &str = "20130524T000000Z";
const SCOPE: &str = "20130524/us-east-1/s3/aws4_request";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const URL: &str = "https://bucket.s3.amazonaws.com/key";

fn credentials() -> Credentials {
    Credentials::new("AKIAIOSFODNN7EXAMPLE", SECRET)
}

fn s3() -> Signer {
    Signer::new("us-east-1", "s3")
}

fn put() -> Request<()> {
    Request::put(URL).body(()).unwrap()
}

fn sign(request: &mut impl SignRequest, chunks: impl Into<Chunks>) -> ChunkSigner {
    s3().sign_chunked(request, chunks, &credentials(), at(TIME)).unwrap()
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

fn signature(headers: &HeaderMap) -> String {
    header(headers, "authorization")[0].rsplit_once('=').unwrap().1.to_owned()
}

/// What is sent of a body that comes in these pieces.
fn pushed<'p>(mut signer: ChunkSigner, pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
    let (mut wire, mut sent) = (ChunkBuffer::new(), Vec::new());
    for piece in pieces {
        signer.push(piece, &mut wire).unwrap();
        sent.extend_from_slice(&wire.split());
    }
    signer.finish(&mut wire).unwrap();
    sent.extend_from_slice(&wire.split());
    sent
}

/// What is sent of a body that comes chunk by chunk.
fn framed(mut signer: ChunkSigner, mut body: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    while signer.next_len() > 0 {
        let (data, rest) = body.split_at(signer.next_len());
        let frame = signer.frame(data).unwrap();
        [frame.head, data, frame.tail].iter().for_each(|part| sent.extend_from_slice(part));
        body = rest;
    }
    assert!(body.is_empty());
    sent.extend(signer.end().unwrap());
    sent
}

/// The same by the rules, read plainly. A seed is there if the chunks are signed.
fn expected(
    seed: Option<&str>,
    body: &[u8],
    chunk_size: usize,
    trailers: &[(&str, &str)],
) -> Vec<u8> {
    let key = SigningKey::derive(SECRET, &Scope::parse(SCOPE).unwrap());
    let mut previous = seed.map(str::to_owned);
    let sign = |kind: &str, rest: String, previous: &mut Option<String>| {
        previous.as_mut().map(|previous| {
            let text = format!("AWS4-HMAC-SHA256-{kind}\n{TIME}\n{SCOPE}\n{previous}\n{rest}");
            *previous = hex::encode(key.sign(text.as_bytes()));
            previous.clone()
        })
    };
    let mut sent = Vec::new();
    for chunk in body.chunks(chunk_size).chain([&b""[..]]) {
        let rest = format!("{}\n{}", sha256(b""), sha256(chunk));
        let signature = sign("PAYLOAD", rest, &mut previous);
        let signature = signature.map(|hex| format!(";chunk-signature={hex}")).unwrap_or_default();
        sent.extend(format!("{:x}{signature}\r\n", chunk.len()).into_bytes());
        sent.extend(chunk);
        if !chunk.is_empty() {
            sent.extend(b"\r\n");
        }
    }
    let mut sorted = trailers.to_vec();
    sorted.sort_unstable();
    let lines: String = sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    for (name, value) in trailers {
        sent.extend(format!("{name}:{value}\r\n").into_bytes());
    }
    let is_sealed = !trailers.is_empty();
    if is_sealed && let Some(hex) = sign("TRAILER", sha256(lines.as_bytes()), &mut previous) {
        sent.extend(format!("x-amz-trailer-signature:{hex}\r\n").into_bytes());
    }
    sent.extend(b"\r\n");
    sent
}

/// The sum of all bytes, in eight digits.
#[derive(Debug, Default)]
struct Sum(u64);

impl Checksum for Sum {
    fn name(&self) -> &str {
        "x-amz-meta-sum"
    }
    fn update(&mut self, data: &[u8]) {
        self.0 += data.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    }
    fn value_len(&self) -> usize {
        16
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.text().into_bytes());
    }
}

impl Sum {
    fn of(body: &[u8]) -> String {
        let mut sum = Sum::default();
        sum.update(body);
        sum.text()
    }

    fn text(&self) -> String {
        format!("{:016}", self.0)
    }
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 + n / 251) as u8).collect()
}

#[test]
fn sizes_around_a_chunk_are_framed_by_the_rules() {
    let size = Chunks::LEAST;
    for length in [0, 1, 9, size - 1, size, size + 1, 2 * size - 1, 2 * size, 3 * size + 17] {
        let body = body(length);
        let mut request = put();
        let signer = sign(&mut request, Chunks::signed(length as u64).with_chunk_size(size));
        let seed = signature(request.headers());
        assert_eq!(
            pushed(signer, [&body[..]]),
            expected(Some(&seed), &body, size, &[]),
            "{length}"
        );

        let chunks = Chunks::unsigned(length as u64, Sum::default()).with_chunk_size(size);
        let sum = Sum::of(&body);
        let wire = pushed(sign(&mut request, chunks), [&body[..]]);
        assert_eq!(wire, expected(None, &body, size, &[("x-amz-meta-sum", &sum)]), "{length}");
    }
}

#[test]
fn an_empty_body_is_its_last_chunk_alone() {
    let mut request = put();
    let signer = sign(&mut request, 0);
    assert_eq!(signer.next_len(), 0);
    let sent = text(&pushed(signer, []));
    assert!(sent.starts_with("0;chunk-signature=") && sent.ends_with("\r\n\r\n"), "{sent}");
    assert_eq!(header(request.headers(), "content-length"), [sent.len().to_string()]);

    let sent = text(&pushed(sign(&mut request, Chunks::unsigned(0, Sum::default())), []));
    assert_eq!(sent, "0\r\nx-amz-meta-sum:0000000000000000\r\n\r\n");
}

#[test]
fn the_head_says_what_the_body_is() {
    let mut request = put();
    let chunks = Chunks::signed(100_000).with_trailer("X-Amz-Meta-B", " b ").with_checksum(Sum(0));
    let signer = sign(&mut request, chunks);
    let headers = request.headers();
    let lines = [
        ("content-encoding", "aws-chunked"),
        ("content-length", &signer.encoded_len().to_string()),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "100000"),
        ("x-amz-trailer", "x-amz-meta-b,x-amz-meta-sum"),
    ];
    for (name, value) in lines {
        assert_eq!(header(headers, name), [value], "{name}");
        assert!(header(headers, "authorization")[0].contains(name), "{name} is signed");
    }
}

#[test]
fn other_codings_stand_behind_ours() {
    for (before, after) in [
        (&["gzip"][..], "aws-chunked,gzip"),
        (&["aws-chunked"], "aws-chunked"),
        (&["AWS-Chunked, gzip"], "aws-chunked,gzip"),
        (&["gzip", "br ,, deflate"], "aws-chunked,gzip,br,deflate"),
        (&[""], "aws-chunked"),
    ] {
        let mut request = put();
        for coding in before {
            request.headers_mut().append("content-encoding", coding.parse().unwrap());
        }
        drop(sign(&mut request, 9));
        assert_eq!(header(request.headers(), "content-encoding"), [after]);
    }
}

#[test]
fn the_length_that_is_signed_is_not_contradicted_by_http_s_own_chunks() {
    let mut request = put();
    request.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
    drop(sign(&mut request, 9));
    assert_eq!(header(request.headers(), "transfer-encoding"), [""; 0]);
    assert_eq!(header(request.headers(), "content-length").len(), 1);
}

#[test]
fn signing_again_replaces_all_of_it() {
    let mut request = put();
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let mut again = request.clone();
    drop(sign(&mut again, Chunks::signed(70_000).with_trailer("x-amz-meta-a", "b")));
    drop(sign(&mut again, 9));
    drop(sign(&mut request, 9));
    assert_eq!(again.headers(), request.headers());

    let wire = |request: &mut Request<()>| pushed(sign(request, 9), [&b"meow meow"[..]]);
    let first = wire(&mut request);
    assert_eq!(wire(&mut request), first);
    assert_eq!(header(request.headers(), "content-encoding"), ["aws-chunked,gzip"]);
}

#[test]
fn parts_and_requests_are_signed_alike() {
    let mut request = put();
    let wire = pushed(sign(&mut request, 4), [&b"meow"[..]]);
    let (mut parts, ()) = put().into_parts();
    assert_eq!(pushed(sign(&mut parts, 4), [&b"meow"[..]]), wire);
    assert_eq!(&parts.headers, request.headers());
}

#[cfg(feature = "reqwest")]
#[test]
fn reqwests_requests_are_signed_alike() {
    let mut request = put();
    let wire = pushed(sign(&mut request, 4), [&b"meow"[..]]);
    let mut other = reqwest::Request::new(reqwest::Method::PUT, URL.parse().unwrap());
    assert_eq!(pushed(sign(&mut other, 4), [&b"meow"[..]]), wire);
    assert_eq!(other.headers(), request.headers());
}

#[test]
fn a_raw_head_is_signed_as_a_request_is() {
    let mut request = put();
    let wire = pushed(sign(&mut request, 4), [&b"meow"[..]]);

    let chunks = Chunks::signed(4);
    let head = Head::parse(b"PUT", URL.as_bytes(), Headers::Pairs(&[])).unwrap();
    let own: Vec<_> = chunks.headers(head).unwrap().collect();
    let pairs: Vec<_> =
        own.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let head = Head { headers: Headers::Pairs(&pairs), ..head };
    let (credentials, mut scratch) = (credentials(), Scratch::new());
    let signed =
        s3().sign_head(head, chunks.payload(), &credentials, at(TIME), &mut scratch).unwrap();
    assert_eq!(signed.signature(), signature(request.headers()));
    let signer = ChunkSigner::new(&signed, chunks).unwrap();
    assert_eq!(pushed(signer, [&b"meow"[..]]), wire);
}

#[test]
fn a_head_signed_for_another_body_signs_no_chunks() {
    let (credentials, mut scratch) = (credentials(), Scratch::new());
    let head = Head::parse(b"PUT", URL.as_bytes(), Headers::Pairs(&[])).unwrap();
    for payload in [Payload::EMPTY, Payload::Unsigned, Payload::StreamingTrailer] {
        let signed = s3().sign_head(head, payload, &credentials, at(TIME), &mut scratch).unwrap();
        let error = ChunkSigner::new(&signed, 4).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedPayload);
        assert!(error.to_string().contains(payload.line().as_str()), "{error}");
    }
}

#[test]
fn a_service_that_takes_no_chunks_is_told_before_anything_is_sent() {
    let mut request = put();
    let error = Signer::new("us-east-1", "vpc-lattice-svcs")
        .sign_chunked(&mut request, 4, &credentials(), at(TIME))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedPayload);
    assert!(request.headers().is_empty());
}

#[test]
fn what_cannot_be_sent_is_refused_and_the_request_untouched() {
    #[derive(Debug)]
    struct Named(&'static str, usize);
    impl Checksum for Named {
        fn name(&self) -> &str {
            self.0
        }
        fn update(&mut self, _: &[u8]) {}
        fn value_len(&self) -> usize {
            self.1
        }
        fn write(&self, _: &mut Vec<u8>) {}
    }
    let chunks = || Chunks::signed(4);
    for (what, chunks, kind) in [
        ("CR", chunks().with_trailer("a", "b\rc"), ErrorKind::InvalidHeader),
        ("LF", chunks().with_trailer("a", "b\nc"), ErrorKind::InvalidHeader),
        ("NUL", chunks().with_trailer("a", "b\0c"), ErrorKind::InvalidHeader),
        ("no token", chunks().with_trailer("a b", "c"), ErrorKind::InvalidHeader),
        ("a comma", chunks().with_trailer("a,b", "c"), ErrorKind::InvalidHeader),
        ("no name", chunks().with_trailer("", "c"), ErrorKind::InvalidHeader),
        ("upper case", chunks().with_checksum(Named("A", 4)), ErrorKind::InvalidHeader),
        ("twice", chunks().with_trailer("a", "b").with_trailer("A", "c"), ErrorKind::InvalidHeader),
        ("ours", chunks().with_trailer("x-amz-trailer-signature", "c"), ErrorKind::InvalidHeader),
        ("long", chunks().with_trailer("a", "b".repeat(65_533)), ErrorKind::InvalidHeader),
        ("endless", chunks().with_checksum(Named("a", usize::MAX)), ErrorKind::InvalidHeader),
        ("too long", Chunks::signed(u64::MAX), ErrorKind::BodyLength),
    ] {
        assert_eq!(chunks.encoded_len().unwrap_err().kind(), kind, "{what}");
        let mut request = put();
        let error = s3().sign_chunked(&mut request, chunks, &credentials(), at(TIME)).unwrap_err();
        assert_eq!(error.kind(), kind, "{what}");
        assert!(request.headers().is_empty(), "{what}");
    }
    assert!(chunks().with_trailer("a", "b".repeat(65_532)).encoded_len().is_ok());
    let mut relative = Request::put("/key").body(()).unwrap();
    assert!(s3().sign_chunked(&mut relative, 4, &credentials(), at(TIME)).is_err());
    assert!(relative.headers().is_empty());
}

#[test]
fn a_checksum_that_breaks_its_promise_ends_no_body() {
    #[derive(Debug)]
    struct Writes(&'static [u8]);
    impl Checksum for Writes {
        fn name(&self) -> &str {
            "x-amz-checksum-odd"
        }
        fn update(&mut self, _: &[u8]) {}
        fn value_len(&self) -> usize {
            4
        }
        fn write(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(self.0);
        }
    }
    for value in [&b"three"[..], b"", b"a\r\nb"] {
        let signer = sign(&mut put(), Chunks::unsigned(0, Writes(value)));
        let mut wire = ChunkBuffer::new();
        let error = signer.finish(&mut wire).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidHeader);
        assert!(!wire.has_remaining());
    }
    let signer = sign(&mut put(), Chunks::unsigned(0, Writes(b"four")));
    assert!(signer.end().is_ok());
}

#[test]
fn a_body_of_another_length_is_refused() {
    for chunks in [|| Chunks::signed(9), || Chunks::unsigned(9, Sum(0))] {
        let mut wire = ChunkBuffer::new();
        let mut signer = sign(&mut put(), chunks());
        signer.push(b"meow", &mut wire).unwrap();
        let more = signer.push(b"meow meow", &mut wire).unwrap_err();
        assert_eq!(more.kind(), ErrorKind::BodyLength);
        assert!(more.to_string().ends_with("9 bytes: 13 came"), "{more}");
        let fewer = signer.finish(&mut wire).unwrap_err();
        assert_eq!(fewer.kind(), ErrorKind::BodyLength);
        assert!(fewer.to_string().ends_with("9 bytes: it ended after 4"), "{fewer}");

        let mut signer = sign(&mut put(), chunks());
        for data in [&b""[..], b"meow", b"meow meow!"] {
            assert_eq!(signer.frame(data).unwrap_err().kind(), ErrorKind::BodyLength);
        }
        assert_eq!(signer.end().unwrap_err().kind(), ErrorKind::BodyLength);
        let mut signer = sign(&mut put(), chunks());
        signer.frame(b"meow meow").unwrap();
        assert_eq!(signer.frame(b"").unwrap_err().kind(), ErrorKind::BodyLength);
    }
}

#[test]
fn a_refused_piece_leaves_the_body_as_it_was() {
    let mut request = put();
    let mut signer = sign(&mut request, Chunks::signed(4).with_checksum(Sum(0)));
    let mut wire = ChunkBuffer::new();
    signer.push(b"me", &mut wire).unwrap();
    signer.push(b"o, wow", &mut wire).unwrap_err();
    signer.push(b"ow", &mut wire).unwrap();
    signer.finish(&mut wire).unwrap();
    let seed = signature(request.headers());
    let sum = Sum::of(b"meow");
    assert_eq!(
        &wire.split()[..],
        expected(Some(&seed), b"meow", 8192, &[("x-amz-meta-sum", &sum)])
    );
}

#[test]
fn a_chunk_is_ended_where_it_was_begun() {
    let (mut wire, mut other) = (ChunkBuffer::new(), ChunkBuffer::new());
    let mut signer = sign(&mut put(), 9);
    signer.push(b"meow", &mut wire).unwrap();
    assert_eq!(signer.push(b" ", &mut other).unwrap_err().kind(), ErrorKind::BodyLength);
    assert_eq!(signer.frame(b" meow").unwrap_err().kind(), ErrorKind::BodyLength);
    // Nor may another signer's body come between.
    let mut second = sign(&mut put(), 9);
    assert_eq!(second.push(b"hiss", &mut wire).unwrap_err().kind(), ErrorKind::BodyLength);
    signer.push(b" meow", &mut wire).unwrap();
    assert_eq!(signer.next_len(), 0);
    signer.finish(&mut wire).unwrap();
    assert!(!other.has_remaining() && wire.has_remaining());
}

#[test]
fn a_signer_tells_how_much_ends_its_chunk() {
    let chunks = Chunks::signed(10_000).with_chunk_size(8192);
    assert_eq!(chunks.length(), 10_000);
    let (mut signer, mut wire) = (sign(&mut put(), chunks), ChunkBuffer::new());
    for (pushed, until_end) in [(0, 8192), (8000, 192), (192, 1808), (8, 1800), (1800, 0)] {
        signer.push(&body(pushed), &mut wire).unwrap();
        assert_eq!(signer.until_end(), until_end);
    }
}

#[test]
fn unsigned_data_goes_on_as_it_comes_and_signed_data_when_its_chunk_is_whole() {
    let mut wire = ChunkBuffer::new();
    let mut signer = sign(&mut put(), Chunks::unsigned(9, Sum(0)));
    signer.push(b"meow", &mut wire).unwrap();
    assert_eq!(&wire.split()[..], b"9\r\nmeow");
    signer.push(b" meow", &mut wire).unwrap();
    assert_eq!(&wire.split()[..], b" meow\r\n");

    let mut signer = sign(&mut put(), 9);
    signer.push(b"meow", &mut wire).unwrap();
    assert!(!wire.has_remaining());
    signer.push(b" meow", &mut wire).unwrap();
    assert!(wire.split().ends_with(b"meow meow\r\n"));
}

#[test]
fn nothing_shown_of_a_signer_is_secret() {
    let mut request = put();
    let signer = sign(&mut request, Chunks::signed(9).with_trailer("x-amz-meta-a", "b"));
    let shown = format!("{signer:?}");
    assert_eq!(shown, "ChunkSigner { length: 9, left: 9, chunk_size: 65536, .. }");
    assert!(!shown.contains(&signature(request.headers())) && !shown.contains("key"), "{shown}");
}

#[test]
fn lengths_agree_with_a_count_of_chunks() {
    // Independent of the library's arithmetic: chunk after chunk, each head written out.
    let slow = |length: u64, size: u64, digits: u64, trailers: u64| {
        let signature = if digits > 0 { ";chunk-signature=".len() as u64 + digits } else { 0 };
        let chunk = |size: u64| format!("{size:x}").len() as u64 + signature + 2 + size + 2;
        let (mut left, mut sum) = (length, 0_u64);
        while left > 0 {
            // Many equal chunks at once, or a terabyte takes too long.
            let many = if left >= size { left / size } else { 1 };
            let one = left.min(size);
            sum += chunk(one) * many;
            left -= one * many;
        }
        sum + 1 + signature + 2 + trailers + 2
    };
    let mut lengths: Vec<u64> = (0..=40).map(|power| 1 << power).collect();
    lengths.extend((13..=40).flat_map(|power| [(1 << power) - 1, (1 << power) + 1]));
    lengths.extend([0, 5_000_000_000_000, 999_999_999_999]);
    for &length in &lengths {
        for size in [8 << 10, 10_000, 64 << 10, 65_537, 1 << 20, 64 << 20] {
            for (algorithm, digits) in
                [(Algorithm::HmacSha256, 64), (Algorithm::EcdsaP256Sha256, 144)]
            {
                let signed = Chunks::signed(length).with_chunk_size(size).with_algorithm(algorithm);
                assert_eq!(signed.encoded_len().unwrap(), slow(length, size as u64, digits, 0));
                let trailer = "a:bc\r\n".len() as u64;
                let seal = "x-amz-trailer-signature:".len() as u64 + digits + 2;
                let signed = signed.with_trailer("a", "bc");
                let expected = slow(length, size as u64, digits, trailer + seal);
                assert_eq!(signed.encoded_len().unwrap(), expected);
                let unsigned = Chunks::unsigned(length, Sum(0)).with_chunk_size(size);
                let unsigned = unsigned.with_algorithm(algorithm);
                let trailer = "x-amz-meta-sum:".len() as u64 + 16 + 2;
                let expected = slow(length, size as u64, 0, trailer);
                assert_eq!(unsigned.encoded_len().unwrap(), expected);
            }
        }
    }
    // The longest body whose length on the wire can still be told.
    let whole = |length: u64| Chunks::signed(length).with_chunk_size(64 << 20).encoded_len();
    let (mut fits, mut too_long) = (0, u64::MAX);
    while too_long - fits > 1 {
        let middle = fits + (too_long - fits) / 2;
        if whole(middle).is_ok() { fits = middle } else { too_long = middle }
    }
    assert_eq!(whole(fits).unwrap(), u64::MAX);
    assert_eq!(whole(too_long).unwrap_err().kind(), ErrorKind::BodyLength);
}

#[test]
fn sessions_of_s3_express_sign_in_every_form() {
    let signer = Signer::new("us-east-1", "s3express");
    let session = credentials().with_session_token("token").with_s3_express_session(true);
    let url = "https://bucket--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/key";
    let make = || Request::put(url).body(()).unwrap();
    let check = |headers: &HeaderMap| {
        assert_eq!(header(headers, "x-amz-s3session-token"), ["token"]);
        assert!(!headers.contains_key("x-amz-security-token"));
        let authorization = header(headers, "authorization")[0];
        assert!(authorization.contains("/us-east-1/s3express/aws4_request, "));
        assert!(authorization.contains(";x-amz-s3session-token"));
    };

    let mut request = make();
    signer.sign(&mut request, Payload::Unsigned, &session, at(TIME)).unwrap();
    check(request.headers());

    let mut request = make();
    let mut chunks = signer.sign_chunked(&mut request, 4, &session, at(TIME)).unwrap();
    check(request.headers());
    let mut wire = ChunkBuffer::new();
    chunks.push(b"meow", &mut wire).unwrap();
    let scope = Scope::parse("20130524/us-east-1/s3express/aws4_request").unwrap();
    let mut string_to_sign = format!("AWS4-HMAC-SHA256-PAYLOAD\n{TIME}\n{scope}\n");
    let seed = signature(request.headers());
    write!(string_to_sign, "{seed}\n{}\n{}", sha256(b""), sha256(b"meow")).unwrap();
    let expected = SigningKey::derive(SECRET, &scope).sign(string_to_sign.as_bytes());
    let expected = format!("4;chunk-signature={}\r\nmeow\r\n", hex::encode(expected));
    assert_eq!(text(&wire.split()), expected);

    let mut request = make();
    let presign = Presign::expires_in(Duration::from_secs(60));
    signer.presign(&mut request, presign, &session, at(TIME)).unwrap();
    let query = request.uri().query().unwrap();
    assert!(query.contains("%2Fs3express%2Faws4_request&"), "{query}");
    assert!(query.contains("&X-Amz-S3session-Token=token&"), "{query}");
    assert!(!query.contains("X-Amz-Security-Token"), "{query}");

    // A retry with an ordinary token leaves none of the session behind, and the other way round.
    let mut request = make();
    let ordinary = credentials().with_session_token("ordinary");
    drop(signer.sign_chunked(&mut request, 4, &ordinary, at(TIME)).unwrap());
    drop(signer.sign_chunked(&mut request, 4, &session, at(TIME)).unwrap());
    check(request.headers());
}

#[cfg(feature = "checksums")]
#[test]
fn every_vector_of_bodies_comes_out() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../test-vectors/chunked.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        let (request, expect) = (&case["in"], &case["expect"]);
        let part = |key: &str| request[key].as_str().unwrap();
        let number = |key: &str| request[key].as_u64().unwrap();
        let mut put = Request::put(part("url")).body(()).unwrap();
        for (name, value) in request["headers"].as_array().unwrap().iter().map(pair) {
            put.headers_mut()
                .insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let (length, size) = (number("length"), number("chunk_size") as usize);
        let chunks = match (part("form"), request["checksum"].as_str()) {
            ("signed", None) => Chunks::signed(length),
            ("signed", Some(name)) => with_checksum(Chunks::signed(length), name),
            (_, name) => unsigned(length, name.unwrap()),
        };
        let trailers = request["trailers"].as_array().unwrap().iter().map(pair);
        let chunks = trailers.fold(chunks.with_chunk_size(size), |chunks, (name, value)| {
            chunks.with_trailer(name, value)
        });
        let signer = match request["algorithm"].as_str() {
            Some("sigv4a") if cfg!(not(feature = "sigv4a")) => {
                println!("{}: did not run, it needs the feature", case["name"]);
                continue;
            }
            Some("sigv4a") => {
                sigv4a_signer(part("region_set").to_owned(), part("service").to_owned())
            }
            _ => Signer::new(part("region"), part("service")),
        };
        let signer = signer
            .sign_chunked(&mut put, chunks, &from_json(&request["credentials"]), at(part("time")))
            .unwrap();

        assert_eq!(header(put.headers(), "authorization"), [&expect["authorization"]], "{case}");
        for (name, value) in expect["headers"].as_array().unwrap().iter().map(pair) {
            assert_eq!(header(put.headers(), &name), [value], "{case}");
        }
        assert_eq!(signer.encoded_len(), expect["wire_length"].as_u64().unwrap(), "{case}");
        let wire = pushed(signer, body(length as usize).chunks(1000));
        assert_eq!(sha256(&wire), expect["wire_sha256"].as_str().unwrap(), "{case}");
    }
    assert!(cases.len() >= 30, "no more than {} cases", cases.len());
}

#[cfg(feature = "checksums")]
fn with_checksum(chunks: Chunks, name: &str) -> Chunks {
    match name {
        "crc32" => chunks.with_checksum(Crc32::new()),
        "crc32c" => chunks.with_checksum(Crc32c::new()),
        "crc64nvme" => chunks.with_checksum(Crc64Nvme::new()),
        "sha1" => chunks.with_checksum(Sha1::new()),
        "sha256" => chunks.with_checksum(Sha256::new()),
        other => panic!("the checksum `{other}`"),
    }
}

#[cfg(feature = "checksums")]
fn unsigned(length: u64, name: &str) -> Chunks {
    match name {
        "crc32" => Chunks::unsigned(length, Crc32::new()),
        "crc32c" => Chunks::unsigned(length, Crc32c::new()),
        "crc64nvme" => Chunks::unsigned(length, Crc64Nvme::new()),
        "sha1" => Chunks::unsigned(length, Sha1::new()),
        "sha256" => Chunks::unsigned(length, Sha256::new()),
        other => panic!("the checksum `{other}`"),
    }
}

#[cfg(feature = "checksums")]
#[test]
fn each_checksum_travels_behind_the_body() {
    let body = body(20_000);
    for (name, value) in [
        ("x-amz-checksum-crc32", 8),
        ("x-amz-checksum-crc32c", 8),
        ("x-amz-checksum-crc64nvme", 12),
        ("x-amz-checksum-sha1", 28),
        ("x-amz-checksum-sha256", 44),
    ] {
        let mut checksum = countersign::checksums::by_name(name).unwrap();
        checksum.update(&body);
        let mut expected_value = Vec::new();
        checksum.write(&mut expected_value);
        assert_eq!(expected_value.len(), value);
        let expected_value = text(&expected_value);

        let mut request = put();
        let chunks = Chunks::signed(20_000).with_chunk_size(8192);
        let short = name.strip_prefix("x-amz-checksum-").unwrap();
        let chunks = with_checksum(chunks, short);
        let wire = pushed(sign(&mut request, chunks), body.chunks(777));
        let seed = signature(request.headers());
        assert_eq!(wire, expected(Some(&seed), &body, 8192, &[(name, &expected_value)]), "{name}");
        assert_eq!(header(request.headers(), "x-amz-trailer"), [name]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn how_a_body_is_cut_makes_no_difference(
        length in 0_usize..60_000,
        size in 8192_usize..20_000,
        cuts in proptest::collection::vec(1_usize..9000, 1..12),
        trailers in proptest::collection::btree_map("[a-z][a-z0-9-]{0,12}", "[!-~]{0,20}", 0..4),
        is_signed: bool,
    ) {
        let body = body(length);
        let chunks = || {
            let chunks = if is_signed {
                Chunks::signed(length as u64).with_checksum(Sum(0))
            } else {
                Chunks::unsigned(length as u64, Sum(0))
            };
            // In an order that is not sorted.
            let all = trailers.iter().rev();
            all.fold(chunks.with_chunk_size(size), |chunks, (name, value)| {
                chunks.with_trailer(name.as_str(), value.as_str())
            })
        };
        let mut request = put();
        let signer = sign(&mut request, chunks());
        let (seed, encoded_len) = (signature(request.headers()), signer.encoded_len());
        let mut rest = &body[..];
        let pieces = cuts.iter().cycle().map_while(|&cut| {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        });
        let in_pieces = pushed(signer, pieces);

        let sum = Sum::of(&body);
        let own = trailers.iter().rev().map(|(name, value)| (name.as_str(), value.as_str()));
        let lines: Vec<_> = [("x-amz-meta-sum", &*sum)].into_iter().chain(own).collect();
        let by_the_rules = expected(is_signed.then_some(&*seed), &body, size, &lines);
        prop_assert!(in_pieces == by_the_rules);
        prop_assert_eq!(in_pieces.len() as u64, encoded_len);
        prop_assert_eq!(chunks().encoded_len().unwrap(), encoded_len);
        prop_assert!(pushed(sign(&mut request, chunks()), [&body[..]]) == in_pieces);
        prop_assert!(framed(sign(&mut request, chunks()), &body) == in_pieces);
    }
}

#[test]
fn a_signer_is_sent_to_other_threads() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<ChunkSigner>();
    is_shared::<Chunks>();
}
