//! Bodies in chunks that are signed by SigV4A: how they are sent, and what is accepted of them.

use std::{fs, time::SystemTime};

use countersign::{
    Algorithm, Credentials, ErrorKind, Head, Headers, Payload, Scope, Scratch, Signer,
    SigningKey as HmacKey,
    chunked::{ChunkBuffer, ChunkSigner, ChunkVerifier, Chunks, Trailers},
    sigv4a::{self, SigningKey, VerifyingKey, without_padding},
    verify::{BodyCheck, Error, Known, Refusal, Verifier},
};
use http::Request;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use crate::support::{
    at,
    chunks::{Crc, checksums},
    external_data, pair,
    reference::sha256,
};

const TIME: &str = "20150830T123600Z";
const SCOPE: &str = "20150830/s3/aws4_request";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const CRC: &str = "x-amz-checksum-crc32";
/// A trailer for which nothing but its signature vouches.
const MOOD: &str = "x-amz-meta-mood";

fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", SECRET)
}

fn key() -> SigningKey {
    SigningKey::derive("AKIDEXAMPLE", SECRET)
}

fn signer() -> Signer {
    sigv4a::signer("us-*", "s3")
}

fn now() -> SystemTime {
    at(TIME)
}

fn sign(chunks: impl Into<Chunks>) -> (Request<()>, ChunkSigner) {
    let mut put = Request::put("https://bucket.s3.amazonaws.com/key").body(()).unwrap();
    let signer = signer().sign_chunked(&mut put, chunks, &credentials(), now()).unwrap();
    (put, signer)
}

fn header<'r>(request: &'r Request<()>, name: &str) -> &'r str {
    request.headers()[name].to_str().unwrap()
}

/// The request's own signature.
fn seed(request: &Request<()>) -> &str {
    header(request, "authorization").rsplit_once('=').unwrap().1
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| (7 * n + n / 251) as u8).collect()
}

fn pushed<'p>(mut signer: ChunkSigner, pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut wire = ChunkBuffer::new();
    for piece in pieces {
        signer.push(piece, &mut wire).unwrap();
    }
    signer.finish(&mut wire).unwrap();
    wire.split().to_vec()
}

/// A body in chunks as it is sent, and where its parts begin: each chunk, and the trailer.
struct Framed {
    wire: Vec<u8>,
    starts: Vec<usize>,
    trailer: usize,
}

/// Frames and signs a body a second time, its strings to sign written out.
fn framed(seed: &str, chunks: &[&[u8]], trailers: &[(&str, &str)]) -> Framed {
    let (key, mut previous) = (key(), seed.to_owned());
    let mut sign = |kind: &str, rest: String| {
        let first = format!("AWS4-ECDSA-P256-SHA256-{kind}\n{TIME}\n{SCOPE}\n");
        let signature = key.sign(format!("{first}{previous}\n{rest}").as_bytes());
        previous = signature.to_string();
        format!("{previous:*<144}")
    };
    let mut framed = Framed { wire: Vec::new(), starts: Vec::new(), trailer: 0 };
    let wire = &mut framed.wire;
    for chunk in chunks.iter().chain([&&b""[..]]) {
        framed.starts.push(wire.len());
        let signature = sign("PAYLOAD", format!("{}\n{}", sha256(b""), sha256(chunk)));
        wire.extend(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(if chunk.is_empty() { b"" } else { b"\r\n" });
    }
    framed.trailer = wire.len();
    if !trailers.is_empty() {
        let mut lines: Vec<_> = trailers.iter().map(|(n, value)| format!("{n}:{value}")).collect();
        wire.extend(lines.iter().flat_map(|line| line.bytes().chain(*b"\r\n")));
        lines.sort();
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let signature = sign("TRAILER", sha256(lines.as_bytes()));
        wire.extend(format!("x-amz-trailer-signature:{signature}\r\n").bytes());
    }
    wire.extend_from_slice(b"\r\n");
    framed
}

fn check(request: &Request<()>) -> Result<BodyCheck, Error> {
    let verifier = Verifier::new().with_sigv4a().with_checksums(checksums);
    let claim = verifier.claim(Head::from(request), now())?;
    let key = key();
    Ok(claim.verify(Some(Known::new(&key)), None, &mut Scratch::new())?.1)
}

/// What is let through of a body, and the verdict.
fn read<'p>(
    request: &Request<()>,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> (Vec<u8>, Result<Trailers, Error>) {
    let (mut check, mut out) = (check(request).unwrap(), ChunkBuffer::new());
    for piece in pieces {
        if let Err(error) = check.push_into(piece, &mut out) {
            return (out.split().to_vec(), Err(error));
        }
    }
    (out.split().to_vec(), check.finish())
}

#[test]
fn chunks_are_signed_by_the_rules_and_accepted() {
    for (length, has_trailer) in
        [(0, false), (1, true), (8192, false), (8193, true), (20_000, false), (20_000, true)]
    {
        let body = body(length);
        let chunks = || {
            let chunks = Chunks::signed(length as u64).with_chunk_size(8192);
            match has_trailer {
                true => chunks.with_trailer("x-amz-meta-b", "1").with_checksum(Crc::crc32()),
                false => chunks,
            }
        };
        let (request, signer) = sign(chunks());
        let crc = Crc::crc32().text_of(&body);
        let trailers = [("x-amz-meta-b", "1"), (CRC, &*crc)];
        let trailers = if has_trailer { &trailers[..] } else { &[] };
        let cut: Vec<&[u8]> = body.chunks(8192).collect();
        let expected = framed(seed(&request), &cut, trailers).wire;
        assert_eq!(signer.encoded_len(), expected.len() as u64);
        assert_eq!(header(&request, "content-length"), expected.len().to_string());
        assert_eq!(header(&request, "content-encoding"), "aws-chunked");
        let marker = match has_trailer {
            true => "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
            false => "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        };
        assert_eq!(header(&request, "x-amz-content-sha256"), marker);
        assert_eq!(pushed(signer, body.chunks(1000)), expected);

        let (mut signer, mut sent) = (sign(chunks()).1, Vec::new());
        for chunk in &cut {
            let frame = signer.frame(chunk).unwrap();
            sent.extend([frame.head, chunk, frame.tail].concat());
        }
        sent.extend(signer.end().unwrap());
        assert_eq!(sent, expected);

        let (data, verdict) = read(&request, expected.chunks(999));
        assert_eq!(data, body);
        let mut trailers: Vec<_> = trailers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        trailers.sort();
        assert_eq!(verdict.unwrap().iter().collect::<Vec<_>>(), trailers);
    }
}

proptest! {
    // To sign and to verify takes milliseconds where nothing is optimized.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_signed_is_accepted_wherever_it_is_cut(
        length in 0..20_000_usize,
        size in 8192..12_000_usize,
        has_trailer: bool,
        cuts in vec(1..9000_usize, 1..8),
    ) {
        let body = body(length);
        let chunks = Chunks::signed(length as u64).with_chunk_size(size);
        let chunks = if has_trailer { chunks.with_checksum(Crc::crc32()) } else { chunks };
        let len = chunks.with_algorithm(Algorithm::EcdsaP256Sha256);
        let (len, chunks) = (len.encoded_len().unwrap(), len.with_algorithm(Algorithm::HmacSha256));
        let (request, signer) = sign(chunks);
        let cut = |mut rest: &[u8]| {
            let mut pieces = Vec::new();
            for at in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at(rest.len().min(*at));
                pieces.push(piece.to_vec());
                rest = behind;
            }
            pieces
        };
        let wire = pushed(signer, cut(&body).iter().map(|piece| &**piece));
        prop_assert_eq!(wire.len() as u64, len);
        let pieces: Vec<&[u8]> = body.chunks(size).collect();
        let crc = Crc::crc32().text_of(&body);
        let trailers: &[(&str, &str)] = if has_trailer { &[(CRC, &crc)] } else { &[] };
        prop_assert_eq!(&wire, &framed(seed(&request), &pieces, trailers).wire);
        let (data, verdict) = read(&request, cut(&wire).iter().map(|piece| &**piece));
        prop_assert_eq!(data, body);
        prop_assert_eq!(verdict.unwrap().is_empty(), !has_trailer);
    }
}

/// Three chunks and a trailer behind a signature, and that signature.
fn stream() -> (String, [&'static [u8]; 3], Framed) {
    // One whose every part is padded, so that there is padding to alter.
    let data: [&[u8]; 3] = [b"meow meow meow", b"\r\n0\r\n", b"purr"];
    let is_padded = |framed: &Framed| {
        framed.wire.split(|&byte| byte == b'\n').filter(|line| line.ends_with(b"*\r")).count() == 5
    };
    let seeds = (0..).map(|n: u32| key().sign(&n.to_be_bytes()).to_string());
    let mut streams = seeds.map(|seed| (framed(&seed, &data, &[(MOOD, "calm")]), seed));
    let (framed, seed) = streams.find(|(framed, _)| is_padded(framed)).unwrap();
    (seed, data, framed)
}

fn verifier(seed: &[u8]) -> ChunkVerifier {
    let scope = Scope::parse(SCOPE).unwrap();
    let chunks = ChunkVerifier::sigv4a(*key().verifying_key(), TIME.parse().unwrap(), &scope, seed);
    chunks.with_trailer(MOOD.as_bytes(), None).unwrap()
}

fn read_by(mut verifier: ChunkVerifier, wire: &[u8]) -> (Vec<u8>, Result<Trailers, Error>) {
    let mut out = ChunkBuffer::new();
    let pushed = verifier.push(wire, &mut out);
    (out.split().to_vec(), pushed.and_then(|()| verifier.finish()))
}

/// The signature in the line that begins here.
fn signature(line: &[u8]) -> std::ops::Range<usize> {
    let is_before = |byte: &u8| matches!(byte, b'=' | b':');
    let start = line.iter().position(is_before).unwrap() + 1;
    start..start + 144
}

#[test]
fn every_change_of_a_byte_is_refused() {
    let (seed, data, framed) = stream();
    let mut seed = seed.into_bytes();
    let mut tried = 0;
    // Each chunk with what is behind it, from the signature before it on: so little is verified twice.
    let ends = framed.starts[1..].iter().copied().chain([framed.wire.len()]);
    for ((number, &start), end) in framed.starts.iter().enumerate().zip(ends) {
        let from_here = &framed.wire[start..];
        read_by(verifier(&seed), from_here).1.unwrap();
        for position in 0..end - start {
            let was = from_here[position];
            // Of digits one or the other, for most bytes are digits, and to verify takes its time.
            let others = match (was.is_ascii_hexdigit(), position.is_multiple_of(2)) {
                (true, true) => &[was ^ 1][..],
                (true, false) => b"*",
                (false, _) => &[was ^ 1, b'*'],
            };
            for &other in others.iter().filter(|&&other| other != was) {
                let mut wire = from_here.to_vec();
                wire[position] = other;
                let (read, verdict) = read_by(verifier(&seed), &wire);
                verdict.expect_err(&format!("byte {position} of part {number} as {other:#x}"));
                // The data before the byte, and nothing of a chunk that has it.
                let behind = end - start - 2;
                let held = data.get(number).filter(|_| position >= behind);
                assert_eq!(read, held.copied().unwrap_or_default(), "byte {position} of {number}");
                tried += 1;
            }
        }
        seed = without_padding(&from_here[signature(from_here)]).to_vec();
    }
    assert!(tried > framed.wire.len());
}

#[test]
fn upper_case_is_refused_in_signatures_and_accepted_in_names() {
    let (seed, data, framed) = stream();
    for start in framed.starts.iter().copied() {
        let mut wire = framed.wire.clone();
        let range = signature(&wire[start..]);
        wire[start..][range].make_ascii_uppercase();
        let error = read_by(verifier(seed.as_bytes()), &wire).1.unwrap_err();
        assert_eq!(error.refusal(), Refusal::ChunkSignatureDiffers);
    }
    let mut wire = framed.wire.clone();
    wire[framed.trailer..][..MOOD.len()].make_ascii_uppercase();
    let (read, verdict) = read_by(verifier(seed.as_bytes()), &wire);
    assert_eq!(read, data.concat());
    verdict.unwrap();
}

#[test]
fn a_body_that_is_cut_short_or_goes_on_is_refused() {
    let (seed, data, framed) = stream();
    let wire = &framed.wire;
    // All but most of what is within a signature, where each place is like the next.
    let lines: Vec<usize> = (1..wire.len()).filter(|&at| wire[at - 1] == b'\n').collect();
    let near = |at: usize| lines.iter().any(|line| line.abs_diff(at) < 4) || at.is_multiple_of(37);
    for len in (0..wire.len()).filter(|&len| near(len)) {
        let (read, verdict) = read_by(verifier(seed.as_bytes()), &wire[..len]);
        assert_eq!(verdict.unwrap_err().refusal(), Refusal::IncompleteBody, "{len} bytes");
        assert!(data.concat().starts_with(&read));
    }
    for more in [&b"\r\n"[..], b"0", b"*"] {
        let verdict = read_by(verifier(seed.as_bytes()), &[wire, more].concat()).1;
        assert_eq!(verdict.unwrap_err().refusal(), Refusal::IncompleteBody);
    }
}

#[test]
fn padding_is_exactly_what_it_must_be() {
    let (seed, _, framed) = stream();
    let trailer_line = framed.trailer
        + framed.wire[framed.trailer..].iter().position(|&byte| byte == b'\n').unwrap()
        + 1;
    for line in framed.starts.iter().copied().chain([trailer_line]) {
        let range = signature(&framed.wire[line..]);
        let (before, behind) =
            (&framed.wire[..line + range.start], &framed.wire[line + range.end..]);
        let padded = &framed.wire[line..][range];
        let bare = without_padding(padded);
        let stars = |count| vec![b'*'; count];
        let missing = padded.len() - bare.len();
        assert!(missing > 0 && missing.is_multiple_of(2));
        let (first, second) = bare.split_at(10);
        let with = |signature: &[u8]| {
            let wire = [before, signature, behind].concat();
            read_by(verifier(seed.as_bytes()), &wire).1.map(drop).map_err(|error| error.refusal())
        };
        assert_eq!(with(padded), Ok(()));
        let of_length = |len: usize| match line == trailer_line {
            false if len != 144 => Refusal::MalformedChunk,
            _ => Refusal::ChunkSignatureDiffers,
        };
        for other in [
            bare.to_vec(),
            [bare, &stars(missing - 1)].concat(),
            [bare, &stars(missing + 1)].concat(),
            [&stars(missing), bare].concat(),
            [first, &stars(missing), second].concat(),
            [&bare[..bare.len() - 2], &stars(missing), &bare[bare.len() - 2..]].concat(),
            [&bare[..bare.len() - 2], &stars(missing + 2)].concat(),
            [&bare[..bare.len() - 1], &stars(missing + 1)].concat(),
            [bare, &stars(missing - 1), b"0"].concat(),
            [bare, &vec![b'0'; missing]].concat(),
            [bare, &vec![b'-'; missing]].concat(),
            [bare, &vec![0; missing]].concat(),
            stars(144),
            vec![],
        ] {
            let shown = other.escape_ascii().to_string();
            assert_eq!(with(&other), Err(of_length(other.len())), "{shown}");
        }
    }
}

#[test]
fn a_chunk_of_another_place_is_refused() {
    let (seed, data, framed) = stream();
    let Framed { wire, starts, .. } = &framed;
    for moved in [
        [&wire[starts[1]..starts[2]], &wire[..starts[1]], &wire[starts[2]..]].concat(),
        wire[starts[1]..].to_vec(),
    ] {
        let (read, verdict) = read_by(verifier(seed.as_bytes()), &moved);
        assert_eq!(verdict.unwrap_err().refusal(), Refusal::ChunkSignatureDiffers);
        assert!(read.is_empty());
    }
    let twice = [&wire[..starts[1]], wire].concat();
    let (read, verdict) = read_by(verifier(seed.as_bytes()), &twice);
    assert_eq!(verdict.unwrap_err().chunk(), Some(2));
    assert_eq!(read, data[0]);
    let padded = format!("{seed:*<146}");
    let error = read_by(verifier(padded.as_bytes()), wire).1.unwrap_err();
    assert_eq!(error.refusal(), Refusal::ChunkSignatureDiffers, "the first signs no padding");
}

#[test]
fn a_body_is_signed_by_the_algorithm_of_its_head() {
    let verifier = Verifier::new().with_sigv4a();
    let hmac = |request: &Request<()>| {
        let claim = verifier.claim(Head::from(request), now()).unwrap();
        HmacKey::derive(SECRET, &claim.scope())
    };
    let asymmetric = [Payload::StreamingEcdsa, Payload::StreamingEcdsaTrailer];
    let both = [Payload::Streaming, Payload::StreamingTrailer, asymmetric[0], asymmetric[1]];
    for signer in [signer(), Signer::new("us-east-1", "s3")] {
        for payload in both {
            let put = Request::put("https://bucket.s3.amazonaws.com/key");
            let put = if format!("{payload:?}").ends_with("Trailer") {
                put.header("x-amz-trailer", "x-amz-meta-a")
            } else {
                put
            };
            let mut request = put.body(()).unwrap();
            signer.sign(&mut request, payload, &credentials(), now()).unwrap();
            let (hmac, ecdsa) = (hmac(&request), key());
            let [of_head, other] = match signer.algorithm() {
                Algorithm::HmacSha256 => [Known::new(&hmac), Known::new(&ecdsa)],
                _ => [Known::new(&ecdsa), Known::new(&hmac)],
            };
            let verify = |known| {
                let claim = verifier.claim(Head::from(&request), now()).unwrap();
                let checked = claim.verify(Some(known), None, &mut Scratch::new());
                checked.map(|(_, check)| check.is_in_chunks()).map_err(|error| error.refusal())
            };
            assert_eq!(verify(other), Err(Refusal::SignatureDiffers));
            let is_alike =
                asymmetric.contains(&payload) == (signer.algorithm() == Algorithm::EcdsaP256Sha256);
            let expected = if is_alike { Ok(true) } else { Err(Refusal::UnsupportedPayload) };
            assert_eq!(verify(of_head), expected, "{payload:?} by {}", signer.algorithm());
        }
    }
}

#[test]
fn unsigned_chunks_follow_a_head_that_is_signed_so() {
    let body = body(10_000);
    let (request, signer) = sign(Chunks::unsigned(10_000, Crc::crc32()));
    let marker = header(&request, "x-amz-content-sha256");
    assert_eq!(marker, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    assert!(header(&request, "authorization").starts_with("AWS4-ECDSA-P256-SHA256 "));
    let wire = pushed(signer, [&body[..]]);
    assert_eq!(header(&request, "content-length"), wire.len().to_string());
    assert!(!wire.windows(9).any(|window| window == b"signature"));
    let (data, verdict) = read(&request, [&wire[..]]);
    assert_eq!((data, verdict.unwrap().iter().count()), (body, 1));
    let mut altered = wire;
    altered[100] ^= 1;
    let error = read(&request, [&altered[..]]).1.unwrap_err();
    assert_eq!(error.refusal(), Refusal::ChecksumDiffers);
}

#[test]
fn a_raw_head_is_signed_as_a_request_is() {
    let (request, chunks) = sign(4);
    let wire = pushed(chunks, [&b"meow"[..]]);
    let signer = signer();
    let (credentials, mut scratch) = (credentials(), Scratch::new());
    let url = b"https://bucket.s3.amazonaws.com/key";
    let bare = Head::parse(b"PUT", url, Headers::Pairs(&[])).unwrap();
    let chunks = Chunks::signed(4).with_algorithm(signer.algorithm());
    let own: Vec<_> = chunks.headers(bare).unwrap().collect();
    let pairs: Vec<_> = own.iter().map(|(name, v)| (name.as_bytes(), v.as_bytes())).collect();
    let head = Head { headers: Headers::Pairs(&pairs), ..bare };
    let mut sign = |payload, algorithm| {
        let signed = signer.sign_head(head, payload, &credentials, now(), &mut scratch);
        let signed = signed.unwrap();
        let right = ChunkSigner::new(&signed, Chunks::signed(4).with_algorithm(algorithm));
        (signed.signature().to_owned(), right)
    };
    let (signature, right) = sign(chunks.payload(), signer.algorithm());
    assert_eq!(signature, seed(&request));
    assert_eq!(pushed(right.unwrap(), [&b"meow"[..]]), wire);
    // Of the other algorithm, which the head is not.
    let error = sign(Payload::Streaming, Algorithm::HmacSha256).1.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedPayload);
    let message = error.to_string();
    let [ours, theirs] = ["by AWS4-ECDSA-P256-SHA256,", "by AWS4-HMAC-SHA256:"];
    assert!(message.contains(ours) && message.contains(theirs), "{message}");
}

#[test]
fn the_recorded_upload_is_signed_as_it_was_recorded() {
    let Some(data) = external_data("sigv4a.json: chunks") else { return };
    let file = fs::read_to_string(data.join("sigv4a.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let case = &file["chunked"];
    let keys = file["kdf"].as_array().unwrap();
    let keys = keys.iter().find(|keys| keys["name"] == "chunked-test").unwrap();
    let part = |name: &str| keys[name].as_str().unwrap();
    let credentials = Credentials::new(part("access_key_id"), part("secret_access_key"));
    let point = hex::decode(format!("04{}{}", part("public_x"), part("public_y"))).unwrap();
    let key = VerifyingKey::from_sec1(&point).unwrap();
    let signer = sigv4a::signer("us-east-1", "s3");
    let (at, mut scratch) = (at("20130524T000000Z"), Scratch::new());

    // The head, to the byte. It has the length of another algorithm's chunks, so it is signed bare.
    let recorded = case["seed_canonical_request"].as_str().unwrap();
    let headers: Vec<(&[u8], &[u8])> = recorded
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| !matches!(*name, "x-amz-date" | "x-amz-region-set"))
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let url = b"https://s3.amazonaws.com/examplebucket/chunkObject.txt";
    let head = Head::parse(b"PUT", url, Headers::Pairs(&headers)).unwrap();
    let payload = Payload::StreamingEcdsa;
    let signed = signer.sign_head(head, payload, &credentials, at, &mut scratch).unwrap();
    assert_eq!(signed.canonical_request(), recorded.as_bytes());
    let string_to_sign = signed.string_to_sign().as_bytes();
    assert!(key.is_signature(string_to_sign, signed.signature().as_bytes()));

    // The chunks and the trailer: strings to sign by hand, with the hash that was recorded.
    let trailers: Vec<_> = case["trailers"].as_array().unwrap().iter().map(pair).collect();
    let chunks = Chunks::signed(66_560);
    let chunks = trailers.iter().fold(chunks, |chunks, (n, v)| chunks.with_trailer(n, v.as_str()));
    let mut put =
        Request::put("https://s3.amazonaws.com/examplebucket/chunkObject.txt").body(()).unwrap();
    let chunks = signer.sign_chunked(&mut put, chunks, &credentials, at).unwrap();
    let wire = pushed(chunks, [&[b'a'; 66_560][..]]);
    assert_eq!(header(&put, "x-amz-trailer"), "first,second,third");
    let mut previous = seed(&put).to_owned();
    let mut rest = &wire[..];
    let mut holds = |kind: &str, signature: &[u8], behind: &str| {
        let text = format!(
            "AWS4-ECDSA-P256-SHA256-{kind}\n20130524T000000Z\n20130524/s3/aws4_request\n{previous}\n{behind}"
        );
        let bare = without_padding(signature);
        assert!(key.is_signature(text.as_bytes(), bare), "{text}");
        previous = String::from_utf8(bare.to_vec()).unwrap();
    };
    for size in [65_536, 1024, 0] {
        let digest = sha256(&vec![b'a'; size]);
        holds("PAYLOAD", &rest[signature(rest)], &format!("{}\n{digest}", sha256(b"")));
        let start = format!("{size:x};chunk-signature=");
        assert!(rest.starts_with(start.as_bytes()));
        let data = if size > 0 { size + 2 } else { 0 };
        rest = &rest[start.len() + 144 + 2 + data..];
    }
    let lines = b"first:1st\r\nsecond:2nd\r\nthird:3rd\r\n";
    rest = rest.strip_prefix(lines).unwrap();
    assert!(rest.starts_with(b"x-amz-trailer-signature:"));
    let recorded = case["trailer_canonical_sha256"].as_str().unwrap();
    holds("TRAILER", &rest[signature(rest)], recorded);
    assert_eq!(&rest[signature(rest).end..], b"\r\n\r\n");
}

#[test]
fn nothing_shown_of_a_signer_is_secret() {
    let (request, signer) = sign(Chunks::signed(9).with_trailer("x-amz-meta-a", "b"));
    let shown = format!("{signer:?} {:?}", check(&request).unwrap());
    assert!(!shown.contains(SECRET) && !shown.contains(seed(&request)), "{shown}");
}
