//! What is accepted of bodies in chunks, and what of them is let through.

use std::{fs, time::SystemTime};

use countersign::{
    Credentials, Head, Payload, Scope, Scratch, Signer, SigningKey,
    chunked::{ChunkBuffer, ChunkVerifier, Trailers},
    verify::{BodyCheck, Dialect, Error, Known, Refusal, Verifier},
};
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use crate::support::{
    at,
    chunks::{Chunked, Crc, Framed, Signing, checksums},
    credentials, external_data, pair,
};

const AT: &str = "20150830T123600Z";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const FORMS: [Payload; 3] =
    [Payload::Streaming, Payload::StreamingTrailer, Payload::StreamingUnsignedTrailer];
const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";

fn signing() -> Signing<'static> {
    Signing { secret: SECRET, at: AT, region: "us-east-1", seed: SEED }
}

/// Three chunks and a trailer.
fn stream(payload: Payload) -> Chunked {
    Chunked::new(payload, &[b"meow meow meow", b"\r\n0\r\n", b"purr"])
}

fn verifier(payload: Payload) -> ChunkVerifier {
    let names = b"x-amz-checksum-crc32";
    let signed = || {
        let scope = Scope::parse("20150830/us-east-1/s3/aws4_request").unwrap();
        let key = SigningKey::derive(SECRET, &scope);
        ChunkVerifier::new(key, AT.parse().unwrap(), &scope, SEED.as_bytes().try_into().unwrap())
    };
    match payload {
        Payload::Streaming => signed(),
        Payload::StreamingTrailer => signed().with_trailer(names, Some(checksums)).unwrap(),
        _ => ChunkVerifier::unsigned(names, Some(checksums)).unwrap(),
    }
}

/// What is let through, and the verdict.
fn read_by<'p>(
    mut verifier: ChunkVerifier,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> (Vec<u8>, Result<Trailers, Error>) {
    let (mut out, mut all) = (ChunkBuffer::new(), Vec::new());
    for piece in pieces {
        let pushed = verifier.push(piece, &mut out);
        all.extend_from_slice(&out.split());
        if let Err(error) = pushed {
            // It stays failed, whatever comes.
            let again = verifier.push(b"0\r\n", &mut out).unwrap_err();
            assert_eq!((again.refusal(), again.message()), (error.refusal(), error.message()));
            verifier.push(b"", &mut out).unwrap_err();
            assert_eq!(format!("{out:?}"), "ChunkBuffer { ready: 0, held: 0 }");
            assert_eq!(verifier.finish().unwrap_err().refusal(), error.refusal());
            return (all, Err(error));
        }
    }
    (all, verifier.finish())
}

fn read(payload: Payload, wire: &[u8]) -> (Vec<u8>, Result<Trailers, Error>) {
    read_by(verifier(payload), wire.chunks(7))
}

fn refusal(payload: Payload, wire: &[u8]) -> Refusal {
    read(payload, wire).1.unwrap_err().refusal()
}

/// How many bytes may be believed where the byte at this position is not as it was.
fn believed(stream: &Chunked, framed: &Framed, position: usize) -> usize {
    // What is behind the data of a chunk says nothing of them.
    let whole = framed.starts[1..].iter().filter(|&&next| next - 2 <= position).count();
    stream.chunks.iter().take(whole).map(Vec::len).sum()
}

#[test]
fn what_was_sent_is_read_in_all_forms() {
    for payload in FORMS {
        let stream = stream(payload);
        let framed = stream.frame(&signing());
        let (data, verdict) = read(payload, &framed.wire);
        let trailers = verdict.unwrap();
        assert_eq!(data, stream.data());
        let expected: Vec<(&str, &[u8])> =
            stream.trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(trailers.iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_body_without_a_byte_is_its_end_alone() {
    for payload in FORMS {
        let stream = Chunked::new(payload, &[]);
        let (data, verdict) = read(payload, &stream.frame(&signing()).wire);
        assert_eq!(verdict.unwrap().is_empty(), payload == Payload::Streaming);
        assert!(data.is_empty());
    }
}

#[test]
fn every_change_of_a_byte_is_refused_but_the_case_of_sizes_and_names() {
    for payload in FORMS {
        // A chunk of 171 bytes, `ab`, has a size with a case.
        let stream = Chunked::new(payload, &[&[b'm'; 0xab], b"\r\n0\r\n", b"purr"]);
        let framed = stream.frame(&signing());
        let data = stream.data();
        let is_signed = payload != Payload::StreamingUnsignedTrailer;
        let mut harmless = 0;
        for position in 0..framed.wire.len() {
            // Each bit, and each byte that means something somewhere.
            let was = framed.wire[position];
            let bytes = b"\r\n;:= \t0fFz\0".iter().map(|byte| byte ^ was);
            for flip in bytes.chain((0..8).map(|bit| 1 << bit)).filter(|flip| *flip != 0) {
                let mut wire = framed.wire.clone();
                wire[position] ^= flip;
                let (read, verdict) = read_by(verifier(payload), [&wire[..]]);
                let is_case = flip == 0x20 && framed.wire[position].is_ascii_alphabetic();
                let in_size =
                    framed.starts.iter().any(|start| (*start..start + 2).contains(&position));
                let line = framed.wire[..position].rsplit(|&byte| byte == b'\n').next().unwrap();
                let in_name = position >= framed.trailer && !line.contains(&b':');
                if is_case && (in_size || in_name) {
                    verdict.unwrap();
                    assert_eq!(read, data);
                    harmless += 1;
                    continue;
                }
                verdict.expect_err(&format!("byte {position} ^ {flip:#x} of {payload:?}"));
                if is_signed {
                    let believed = believed(&stream, &framed, position);
                    assert_eq!(read, data[..believed], "byte {position} ^ {flip:#x}");
                }
            }
        }
        let names: usize = match payload {
            Payload::Streaming => 0,
            Payload::StreamingTrailer => "xamzchecksumcrcxamztrailersignature".len(),
            _ => "xamzchecksumcrc".len(),
        };
        assert_eq!(harmless, "ab".len() + names);
    }
}

#[test]
fn nothing_of_a_chunk_is_let_through_before_its_signature_held() {
    for payload in [Payload::Streaming, Payload::StreamingTrailer] {
        let stream = stream(payload);
        let framed = stream.frame(&signing());
        let mut chunks = verifier(payload);
        let mut out = ChunkBuffer::new();
        let (mut ends, mut before) = (Vec::new(), 0);
        for (position, byte) in framed.wire.iter().enumerate() {
            chunks.push(&[*byte], &mut out).unwrap();
            if out.ready().len() > before {
                ends.push((position, out.ready().len() - before));
                before = out.ready().len();
            }
        }
        // With the last byte of each chunk's data.
        let expected = stream.chunks.iter().zip(&framed.starts[1..]);
        let expected: Vec<_> = expected.map(|(chunk, next)| (next - 3, chunk.len())).collect();
        assert_eq!(ends, expected);
        assert_eq!(out.ready(), stream.data());
    }
}

#[test]
fn a_chunk_of_another_place_or_of_another_request_is_refused() {
    for payload in [Payload::Streaming, Payload::StreamingTrailer] {
        let stream = stream(payload);
        let framed = stream.frame(&signing());
        let (wire, starts) = (&framed.wire, &framed.starts);
        let chunk =
            |at: usize| &wire[starts[at]..starts.get(at + 1).map_or(wire.len(), |end| *end)];
        for order in [[1, 0, 2, 3], [0, 2, 1, 3], [0, 0, 1, 2], [0, 1, 1, 3], [0, 1, 3, 3]] {
            let moved: Vec<u8> = order.iter().flat_map(|at| chunk(*at).to_vec()).collect();
            assert_eq!(refusal(payload, &moved), Refusal::ChunkSignatureDiffers, "{order:?}");
        }
        let others = [
            Signing { seed: &SEED.replace('4', "5"), ..signing() },
            Signing { secret: "another", ..signing() },
            Signing { at: "20150830T123601Z", ..signing() },
            Signing { region: "us-east-2", ..signing() },
        ]
        .map(|signing| stream.frame(&signing).wire);
        for other in others {
            let (data, verdict) = read(payload, &other);
            let error = verdict.unwrap_err();
            assert_eq!(error.refusal(), Refusal::ChunkSignatureDiffers);
            assert_eq!((error.chunk(), error.body_offset()), (Some(1), Some(0)));
            assert!(data.is_empty());
        }
    }
}

#[test]
fn a_body_that_is_cut_short_anywhere_is_refused() {
    for payload in FORMS {
        let stream = stream(payload);
        let framed = stream.frame(&signing());
        for len in 0..framed.wire.len() {
            let (data, verdict) = read(payload, &framed.wire[..len]);
            assert_eq!(verdict.unwrap_err().refusal(), Refusal::IncompleteBody, "{len} bytes");
            assert!(stream.data().starts_with(&data));
        }
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    for payload in FORMS {
        let framed = stream(payload).frame(&signing());
        for more in [&b"\r\n"[..], b"0", b"\0"] {
            let wire = [&framed.wire[..], more].concat();
            assert_eq!(refusal(payload, &wire), Refusal::IncompleteBody);
        }
        let twice = [&framed.wire[..], &framed.wire[..]].concat();
        assert_eq!(refusal(payload, &twice), Refusal::IncompleteBody);
    }
}

#[test]
fn an_error_names_the_chunk_and_where_it_begins() {
    let stream = stream(Payload::StreamingTrailer);
    let framed = stream.frame(&signing());
    for (number, start) in (1..).zip(&framed.starts) {
        let mut wire = framed.wire.clone();
        // The last digit of the signature.
        let line = wire[*start..].iter().position(|&byte| byte == b'\r').unwrap();
        wire[start + line - 1] ^= 1;
        let error = read(Payload::StreamingTrailer, &wire).1.unwrap_err();
        assert_eq!(error.refusal(), Refusal::ChunkSignatureDiffers);
        assert_eq!((error.chunk(), error.body_offset()), (Some(number), Some(*start as u64)));
        let expected = format!("with chunk {number}, which begins at byte {start} of the body");
        assert!(error.message().contains(&expected), "{error}");
        assert_eq!(
            (error.code(Dialect::S3), error.status(Dialect::S3)),
            ("SignatureDoesNotMatch", 403)
        );
    }
    let mut wire = framed.wire.clone();
    let last = wire.len() - 5;
    wire[last] ^= 1;
    let error = read(Payload::StreamingTrailer, &wire).1.unwrap_err();
    assert_eq!((error.chunk(), error.body_offset()), (None, Some(framed.trailer as u64)));
    assert!(error.message().contains("with the trailer, which begins at byte"), "{error}");

    // The same of what cannot be read.
    for (wire, chunk, offset, what) in [
        ("4\r\nmeow\r\n-1\r\n", Some(2), 9, "chunk 2, which begins at byte 9 of the body, "),
        ("0\r\nmeow\r\n", None, 3, "the trailer, which begins at byte 3 of the body, "),
    ] {
        let error = read(Payload::StreamingUnsignedTrailer, wire.as_bytes()).1.unwrap_err();
        assert_eq!((error.chunk(), error.body_offset()), (chunk, Some(offset)));
        assert!(error.message().starts_with(what), "{error}");
    }
}

#[test]
fn framing_that_is_not_exactly_as_it_must_be_is_refused() {
    let signature = "0".repeat(64);
    let signed = |line: String| (Payload::Streaming, line, Refusal::MalformedChunk);
    let unsigned =
        |line: &str| (Payload::StreamingUnsignedTrailer, line.to_owned(), Refusal::MalformedChunk);
    for (payload, wire, expected) in [
        signed("4\r\nmeow\r\n".to_owned()),
        signed(format!("4;chunk-signature={signature}\n")),
        signed(format!("4;chunk-signature={signature} \r\n")),
        signed(format!("4; chunk-signature={signature}\r\n")),
        signed(format!("4;a=b;chunk-signature={signature}\r\n")),
        signed(format!("4;chunk-signature={signature};a=b\r\n")),
        signed(format!("4;Chunk-Signature={signature}\r\n")),
        signed(format!("4;chunk-signature={}\r\n", &signature[1..])),
        signed(format!(";chunk-signature={signature}\r\n")),
        signed("0".repeat(200)),
        unsigned("\r\n"),
        unsigned("4;a=b\r\nmeow\r\n"),
        unsigned("4;\r\nmeow\r\n"),
        unsigned("4 \r\nmeow\r\n"),
        unsigned("4\nmeow\r\n"),
        unsigned("4\r\nmeow\n"),
        unsigned("4\r\nmeow!\r\n"),
        unsigned("-1\r\n"),
        unsigned("0x4\r\nmeow\r\n"),
        unsigned("00000000000000004\r\nmeow\r\n"),
        unsigned("11111111111111111111"),
    ] {
        assert_eq!(refusal(payload, wire.as_bytes()), expected, "{wire:?}");
    }
    let framed = stream(Payload::Streaming).frame(&signing());
    let text = |wire: &[u8]| String::from_utf8(wire.to_vec()).unwrap();
    let upper = text(&framed.wire[..framed.starts[1]]);
    let (before, signature) = upper.split_once('=').unwrap();
    let upper = format!("{before}={}{}", signature[..64].to_uppercase(), &signature[64..]);
    assert_eq!(refusal(Payload::Streaming, upper.as_bytes()), Refusal::ChunkSignatureDiffers);
}

#[test]
fn a_line_in_pieces_may_be_as_long_as_one_that_comes_at_once() {
    let crc = Crc::crc32().text_of(b"meow");
    for (len, refused) in [(2048, None), (2049, Some(Refusal::MalformedTrailer))] {
        let blanks = " ".repeat(len - "x-amz-checksum-crc32:\r\n".len() - crc.len());
        let wire = format!("4\r\nmeow\r\n0\r\nx-amz-checksum-crc32:{blanks}{crc}\r\n\r\n");
        for piece in [1, 1000, 2000, wire.len()] {
            let verifier = verifier(Payload::StreamingUnsignedTrailer);
            let (_, read) = read_by(verifier, wire.as_bytes().chunks(piece));
            assert_eq!(read.err().map(|error| error.refusal()), refused, "pieces of {piece}");
        }
    }
}

#[test]
fn a_verifier_shows_how_far_it_is() {
    let mut verifier = verifier(Payload::StreamingUnsignedTrailer);
    verifier.push(b"4\r\nmeow\r\n", &mut ChunkBuffer::new()).unwrap();
    let shown = format!("{verifier:?}");
    assert_eq!(shown, "ChunkVerifier { algorithm: None, chunk: 2, offset: 9, .. }");
}

#[test]
fn leading_zeros_and_the_case_of_sizes_change_nothing() {
    let crc = Crc::crc32().text_of(&[b'm'; 0xab]);
    for size in ["ab", "AB", "aB", "00000000000000Ab"] {
        let wire =
            format!("{size}\r\n{}\r\n000\r\nx-amz-checksum-crc32:{crc}\r\n\r\n", "m".repeat(0xab));
        read(Payload::StreamingUnsignedTrailer, wire.as_bytes()).1.unwrap();
    }
}

#[test]
fn trailers_are_exactly_those_that_are_declared() {
    let crc = format!("x-amz-checksum-crc32:{}", Crc::crc32().text_of(b"meow"));
    let wire = |lines: &str| format!("4\r\nmeow\r\n0\r\n{lines}");
    for lines in [
        format!("{crc}\r\n\r\n"),
        format!("{}\r\n\r\n", crc.replacen("x-amz-checksum-crc", "X-Amz-Checksum-CRC", 1)),
        format!("{}\t \r\n\r\n", crc.replacen(':', ": \t", 1)),
    ] {
        let wire = wire(&lines);
        let trailers = read(Payload::StreamingUnsignedTrailer, wire.as_bytes()).1.unwrap();
        let expected = crc.split_once(':').unwrap().1.as_bytes();
        assert_eq!(trailers.get("x-amz-checksum-crc32"), Some(expected));
    }
    for lines in [
        "\r\n".to_owned(),
        format!("{crc}\r\n{crc}\r\n\r\n"),
        format!("{crc}\r\nx-amz-meta-a:1\r\n\r\n"),
        format!("{crc}\r\nx-amz-trailer-signature:{}\r\n\r\n", "0".repeat(64)),
        format!("x-amz-meta-a:1\r\n{crc}\r\n\r\n"),
        format!("{crc}\n\n"),
        format!("{crc} \n\r\n"),
        format!("{crc}\n\r\n\n\n"),
        format!("{crc}\n\r\nx\r\n"),
        format!("{crc}\r\n\n"),
        format!("\r\n{crc}\r\n\r\n"),
        format!(" {crc}\r\n\r\n"),
        format!("{}\r\n\r\n", crc.replacen(':', " :", 1)),
        format!("{}\r\n\r\n", crc.replacen(':', ";", 1)),
        format!("{crc}\r\r\n\r\n"),
        format!("{crc}\0\r\n\r\n"),
        format!("x-amz-checksum-crc32:{}\r\n\r\n", "A".repeat(4000)),
        "x".repeat(4000),
    ] {
        let refusal = refusal(Payload::StreamingUnsignedTrailer, wire(&lines).as_bytes());
        assert_eq!(refusal, Refusal::MalformedTrailer, "{lines:.40?}");
    }
    let wrong = wire(&format!("{}\r\n\r\n", crc.replacen("==", "A=", 1)));
    let (data, verdict) = read(Payload::StreamingUnsignedTrailer, wrong.as_bytes());
    let error = verdict.unwrap_err();
    // Nothing but the checksum could tell: the data were let through.
    assert_eq!((&data[..], error.refusal()), (&b"meow"[..], Refusal::ChecksumDiffers));
    assert_eq!((error.code(Dialect::S3), error.status(Dialect::S3)), ("BadDigest", 400));
}

/// MinIO's client for Go has it so.
#[test]
fn the_lines_of_trailers_may_end_in_lf_alone_with_an_empty_line_behind_them() {
    for (payload, behind) in
        [(Payload::StreamingTrailer, ""), (Payload::StreamingUnsignedTrailer, "\r\n")]
    {
        let stream = stream(payload);
        let framed = stream.frame(&signing());
        let (before, trailer) = framed.wire.split_at(framed.trailer);
        let trailer = String::from_utf8(trailer.to_vec()).unwrap();
        let (crc, rest) = trailer.split_once("\r\n").unwrap();
        let empty = if behind.is_empty() { "\r\n" } else { "" };
        let wire = |text: String| [before, text.as_bytes()].concat();
        for loose in [format!("{crc}\n{empty}{rest}{behind}"), format!("{crc}\n{rest}")] {
            let (data, verdict) = read(payload, &wire(loose.clone()));
            assert_eq!((data, verdict.unwrap().is_empty()), (stream.data(), false), "{loose:?}");
        }
        let twice = format!("{crc}\n{empty}{rest}{behind}\r\n");
        assert_eq!(refusal(payload, &wire(twice)), Refusal::IncompleteBody);
        let cut = format!("{crc}\n{empty}{rest}{behind}");
        let cut = cut.strip_suffix('\n').unwrap().to_owned();
        assert_eq!(refusal(payload, &wire(cut)), Refusal::IncompleteBody);
    }
    let signed = stream(Payload::StreamingTrailer).frame(&signing());
    let (before, trailer) = signed.wire.split_at(signed.trailer);
    let trailer = String::from_utf8(trailer.to_vec()).unwrap();
    let (crc, rest) = trailer.split_once("\r\n").unwrap();
    for lines in [
        format!("{crc}\n\r\n\r\n{rest}"),
        format!("{crc}\n\r\n"),
        format!("{crc}\r\n\r\n{rest}"),
        format!("\r\n{crc}\n{rest}"),
    ] {
        let wire = [before, lines.as_bytes()].concat();
        let expected = match lines.ends_with("\n\r\n") && !lines.contains("signature") {
            true => Refusal::IncompleteBody,
            false => Refusal::MalformedTrailer,
        };
        assert_eq!(refusal(Payload::StreamingTrailer, &wire), expected, "{lines:?}");
    }
}

#[test]
fn the_signature_of_a_trailer_comes_last_and_is_not_left_out() {
    let stream = stream(Payload::StreamingTrailer);
    let framed = stream.frame(&signing());
    let (before, trailer) = framed.wire.split_at(framed.trailer);
    let trailer = String::from_utf8(trailer.to_vec()).unwrap();
    let lines: Vec<&str> = trailer.split("\r\n").collect();
    let [crc, signature, "", ""] = lines[..] else { panic!("{trailer}") };
    for (lines, expected) in [
        (format!("{crc}\r\n\r\n"), Refusal::MalformedTrailer),
        (format!("{signature}\r\n{crc}\r\n\r\n"), Refusal::MalformedTrailer),
        (format!("{signature}\r\n\r\n"), Refusal::MalformedTrailer),
        (format!("{crc}\r\n{signature}\r\n{signature}\r\n\r\n"), Refusal::MalformedTrailer),
        (format!("{crc}\r\n{signature}\n\r\n"), Refusal::MalformedTrailer),
        (format!("{crc}\n{signature}\n\r\n"), Refusal::MalformedTrailer),
        (format!("{crc}\r\n\r\n{signature}\r\n\r\n"), Refusal::MalformedTrailer),
        (format!("{crc}\r\n{}\r\n\r\n", &signature[..40]), Refusal::ChunkSignatureDiffers),
        (format!("{crc}\r\n{}\r\n\r\n", signature.to_uppercase()), Refusal::ChunkSignatureDiffers),
        (format!("{crc}=\r\n{signature}\r\n\r\n"), Refusal::ChunkSignatureDiffers),
    ] {
        let wire = [before, lines.as_bytes()].concat();
        assert_eq!(refusal(Payload::StreamingTrailer, &wire), expected, "{lines:?}");
    }
    // Signed, and yet not the checksum of the body.
    let mut wrong = stream.clone();
    wrong.trailers[0].1 = Crc::crc32().text_of(b"woof");
    let wire = wrong.frame(&signing()).wire;
    assert_eq!(refusal(Payload::StreamingTrailer, &wire), Refusal::ChecksumDiffers);
}

#[test]
fn signed_trailers_may_be_other_than_checksums_and_in_any_order() {
    let mut stream = stream(Payload::StreamingTrailer);
    stream.trailers.insert(0, ("X-Amz-Meta-Mood".to_owned(), " purring\t".to_owned()));
    let wire = stream.frame(&signing()).wire;
    let names = b"X-AMZ-META-MOOD, x-amz-checksum-crc32";
    let chunks = verifier(Payload::Streaming).with_trailer(names, Some(checksums)).unwrap();
    let trailers = read_by(chunks, wire.chunks(9)).1.unwrap();
    let names: Vec<&str> = trailers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["x-amz-checksum-crc32", "x-amz-meta-mood"]);
    assert_eq!(trailers.get("x-amz-meta-mood"), Some(&b"purring"[..]));
}

#[test]
fn a_declaration_must_be_one_of_trailers_that_can_be_verified() {
    let long = vec!["x"; 20].iter().zip(0..).map(|(x, n)| format!("{x}{n}")).collect::<Vec<_>>();
    for (names, refusal) in [
        ("", Refusal::MalformedTrailer),
        (",", Refusal::MalformedTrailer),
        ("x-amz-checksum-crc32,", Refusal::MalformedTrailer),
        ("x-amz-checksum-crc32 x", Refusal::MalformedTrailer),
        ("x-amz-checksum-crc32,X-Amz-Checksum-CRC32", Refusal::MalformedTrailer),
        ("x-amz-checksum-crc32,x-amz-trailer-signature", Refusal::MalformedTrailer),
        (&long.join(","), Refusal::MalformedTrailer),
        ("x-amz-checksum-sha512", Refusal::UnsupportedPayload),
    ] {
        let signed = verifier(Payload::Streaming).with_trailer(names.as_bytes(), Some(checksums));
        assert_eq!(signed.unwrap_err().refusal(), refusal, "{names}");
        let unsigned = ChunkVerifier::unsigned(names.as_bytes(), Some(checksums));
        let refusals = [refusal, Refusal::UnsupportedPayload];
        assert!(refusals.contains(&unsigned.unwrap_err().refusal()), "{names}");
    }
    // Nothing would vouch for it.
    let error = ChunkVerifier::unsigned(b"x-amz-meta-mood", Some(checksums)).unwrap_err();
    assert_eq!(error.refusal(), Refusal::UnsupportedPayload);
    let error = ChunkVerifier::unsigned(b"x-amz-checksum-crc32", None).unwrap_err();
    assert!(error.message().contains("Verifier::with_checksums"), "{error}");
}

#[test]
fn the_decoded_length_is_kept_and_too_much_is_refused_before_it_comes() {
    for payload in FORMS {
        let stream = stream(payload);
        let framed = stream.frame(&signing());
        let len = stream.data().len() as u64;
        let of = |len| verifier(payload).with_decoded_len(len);
        read_by(of(len), [&framed.wire[..]]).1.unwrap();
        for wrong in [0, 1, len - 1, len + 1, u64::MAX] {
            let (data, verdict) = read_by(of(wrong), framed.wire.chunks(5));
            assert_eq!(verdict.unwrap_err().refusal(), Refusal::IncompleteBody);
            assert!(data.len() as u64 <= wrong);
        }
        // By its size line, before any of its data.
        let line = framed.wire.iter().position(|&byte| byte == b'\n').unwrap();
        let (_, verdict) = read_by(of(13), [&framed.wire[..=line]]);
        assert_eq!(verdict.unwrap_err().refusal(), Refusal::IncompleteBody);
    }
    // The sum may not overflow.
    let wire = "1\r\nm\r\nffffffffffffffff\r\n";
    assert_eq!(
        refusal(Payload::StreamingUnsignedTrailer, wire.as_bytes()),
        Refusal::IncompleteBody
    );
}

#[test]
fn a_signed_chunk_over_the_limit_is_refused_by_its_size() {
    let framed = stream(Payload::Streaming).frame(&signing());
    let of = |limit| verifier(Payload::Streaming).with_chunk_limit(limit);
    read_by(of(14), [&framed.wire[..]]).1.unwrap();
    let line = framed.wire.iter().position(|&byte| byte == b'\n').unwrap();
    let (_, verdict) = read_by(of(13), [&framed.wire[..=line]]);
    assert_eq!(verdict.unwrap_err().refusal(), Refusal::ChunkTooLong);
    for (size, refused) in [("1000000", false), ("1000001", true), ("ffffffffffffffff", true)] {
        let line = format!("{size};chunk-signature={}\r\n", "0".repeat(64));
        let mut chunks = verifier(Payload::Streaming);
        let pushed = chunks.push(line.as_bytes(), &mut ChunkBuffer::new());
        assert_eq!(pushed.is_err(), refused, "{size}");
    }
}

#[test]
fn a_verifier_hands_its_limit_of_chunks_on_and_keeps_its_other_settings() {
    let (request, seed) = signed_request(Payload::Streaming, "s3", &[]);
    let wire = stream(Payload::Streaming).frame(&Signing { seed: &seed, ..signing() }).wire;
    for (limit, expected) in [(13, Err(Refusal::ChunkTooLong)), (14, Ok(()))] {
        let verifier = Verifier::new().with_region("us-east-1").with_chunk_limit(limit);
        let mut check = check_of(&verifier, Head::from(&request), at(AT)).unwrap();
        assert_eq!(check.push(&wire).map_err(|error| error.refusal()), expected);
        let elsewhere = Verifier::new().with_region("eu-west-1").with_chunk_limit(limit);
        let error = check_of(&elsewhere, Head::from(&request), at(AT)).unwrap_err();
        assert_eq!(error.refusal(), Refusal::WrongScope);
    }
}

#[test]
fn another_buffer_in_the_middle_of_a_chunk_is_refused() {
    let framed = stream(Payload::Streaming).frame(&signing());
    let mut chunks = verifier(Payload::Streaming);
    let (mut first, mut second) = (ChunkBuffer::new(), ChunkBuffer::new());
    let (begin, rest) = framed.wire.split_at(90);
    chunks.push(begin, &mut first).unwrap();
    let error = chunks.push(rest, &mut second).unwrap_err();
    assert!(error.message().contains("another buffer"), "{error}");
    assert!(first.ready().is_empty() && second.ready().is_empty());
}

proptest! {
    #[test]
    fn where_a_body_is_split_makes_no_difference(
        form in 0..3_usize,
        chunks in vec(vec(any::<u8>(), 1..40), 0..5),
        splits in vec(0..2000_usize, 0..20),
        change in proptest::option::of((0..2000_usize, 1..=255_u8)),
    ) {
        let payload = FORMS[form];
        let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let mut wire = Chunked::new(payload, &chunks).frame(&signing()).wire;
        if let Some((position, flip)) = change {
            let position = position % wire.len();
            wire[position] ^= flip;
        }
        let mut splits: Vec<usize> = splits.iter().map(|split| split % wire.len()).collect();
        splits.extend([0, wire.len()]);
        splits.sort_unstable();
        let (whole, verdict) = read_by(verifier(payload), [&wire[..]]);
        let pieces = splits.windows(2).map(|pair| &wire[pair[0]..pair[1]]);
        let (split, split_verdict) = read_by(verifier(payload), pieces);
        prop_assert_eq!(whole, split);
        let said = |verdict: Result<Trailers, Error>| verdict.map_err(|error| error.to_string());
        let (verdict, split_verdict) = (said(verdict), said(split_verdict));
        prop_assert_eq!(&verdict, &split_verdict);
        prop_assert!(change.is_some() || verdict.is_ok());
    }
}

#[cfg(feature = "checksums")]
#[test]
fn every_checksum_that_aws_knows_is_verified() {
    use countersign::checksums::by_name;

    for algorithm in ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"] {
        let name = format!("x-amz-checksum-{algorithm}");
        let value = |data: &[u8]| {
            let (mut checksum, mut value) = (by_name(&name).unwrap(), Vec::new());
            checksum.update(data);
            checksum.write(&mut value);
            String::from_utf8(value).unwrap()
        };
        for payload in [Payload::StreamingTrailer, Payload::StreamingUnsignedTrailer] {
            for is_right in [true, false] {
                let mut stream = stream(payload);
                let of = if is_right { stream.data() } else { b"another body".to_vec() };
                stream.trailers = vec![(name.clone(), value(&of))];
                let chunks = match payload {
                    Payload::StreamingTrailer => verifier(Payload::Streaming)
                        .with_trailer(name.as_bytes(), Some(by_name))
                        .unwrap(),
                    _ => ChunkVerifier::unsigned(name.as_bytes(), Some(by_name)).unwrap(),
                };
                let (_, verdict) = read_by(chunks, stream.frame(&signing()).wire.chunks(5));
                match verdict {
                    Ok(trailers) => assert!(is_right && trailers.get(&name).is_some()),
                    Err(error) => {
                        assert!(!is_right, "{error}");
                        assert_eq!(error.refusal(), Refusal::ChecksumDiffers);
                    }
                }
            }
        }
    }
}

/// A request in chunks, signed; the caller's headers are signed too.
fn signed_request(
    payload: Payload,
    service: &str,
    headers: &[(&str, &str)],
) -> (http::Request<()>, String) {
    let mut builder = http::Request::put("https://b.s3.amazonaws.com/k");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let mut request = builder.body(()).unwrap();
    let keys = Credentials::new("AKIDEXAMPLE", SECRET);
    Signer::new("us-east-1", service).sign(&mut request, payload, &keys, at(AT)).unwrap();
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let seed = authorization.rsplit_once('=').unwrap().1.to_owned();
    (request, seed)
}

fn check_of(verifier: &Verifier, head: Head<'_>, now: SystemTime) -> Result<BodyCheck, Error> {
    let claim = verifier.claim(head, now)?;
    let key = SigningKey::derive(SECRET, &claim.scope());
    claim.verify(Some(Known::new(&key)), None, &mut Scratch::new()).map(|(_, check)| check)
}

#[test]
fn the_head_says_what_the_body_must_be() {
    let with = Verifier::new().with_checksums(checksums);
    let trailer = ("x-amz-trailer", "x-amz-checksum-crc32");
    for payload in FORMS {
        let stream = stream(payload);
        let mut headers = vec![("x-amz-decoded-content-length", "23")];
        headers.extend((payload != Payload::Streaming).then_some(trailer));
        let (request, seed) = signed_request(payload, "s3", &headers);
        let wire = stream.frame(&Signing { seed: &seed, ..signing() }).wire;
        let mut check = check_of(&with, Head::from(&request), at(AT)).unwrap();
        assert_eq!((check.is_in_chunks(), check.decoded_len()), (true, Some(23)));
        let (mut out, mut only_checked) =
            (ChunkBuffer::new(), check_of(&with, Head::from(&request), at(AT)).unwrap());
        for piece in wire.chunks(11) {
            check.push_into(piece, &mut out).unwrap();
            only_checked.push(piece).unwrap();
        }
        assert_eq!(out.ready(), stream.data());
        assert_eq!(check.finish().unwrap(), only_checked.finish().unwrap());
    }
    let (stream, none) = (Payload::Streaming, ("x-note", ""));
    let unsigned = Payload::StreamingUnsignedTrailer;
    for (payload, service, headers, refusal) in [
        (stream, "s3", [trailer, none], Refusal::MalformedTrailer),
        (Payload::StreamingTrailer, "s3", [none, none], Refusal::MalformedTrailer),
        (
            Payload::StreamingTrailer,
            "s3",
            [("x-amz-trailer", " "), none],
            Refusal::MalformedTrailer,
        ),
        (Payload::StreamingTrailer, "s3", [trailer, trailer], Refusal::MalformedTrailer),
        (unsigned, "s3", [none, none], Refusal::MalformedTrailer),
        (
            unsigned,
            "s3",
            [("x-amz-trailer", "x-amz-checksum-md5"), none],
            Refusal::UnsupportedPayload,
        ),
        (unsigned, "sqs", [trailer, none], Refusal::UnsignedPayload),
        (Payload::Events, "s3", [none, none], Refusal::UnsupportedPayload),
    ] {
        let (request, _) = signed_request(payload, service, &headers);
        let refused = check_of(&with, Head::from(&request), at(AT)).unwrap_err();
        assert_eq!(refused.refusal(), refusal, "{payload:?} {headers:?}");
    }
    for (len, refusal) in [
        ("", Refusal::IncompleteBody),
        ("+1", Refusal::IncompleteBody),
        ("-1", Refusal::IncompleteBody),
        ("1.0", Refusal::IncompleteBody),
        ("0x1", Refusal::IncompleteBody),
        ("18446744073709551616", Refusal::IncompleteBody),
    ] {
        let headers = [("x-amz-decoded-content-length", len)];
        let (request, _) = signed_request(stream, "s3", &headers);
        let refused = check_of(&with, Head::from(&request), at(AT)).unwrap_err();
        assert_eq!(refused.refusal(), refusal, "{len}");
    }
    let twice = [("x-amz-decoded-content-length", "1"), ("x-amz-decoded-content-length", "1")];
    let (request, _) = signed_request(stream, "s3", &twice);
    let refused = check_of(&with, Head::from(&request), at(AT)).unwrap_err();
    assert_eq!(refused.refusal(), Refusal::Ambiguous);
}

#[test]
fn a_body_that_is_not_in_chunks_goes_on_as_it_is() {
    let (request, _) = signed_request(Payload::hash("meow"), "s3", &[]);
    let check = || check_of(&Verifier::new(), Head::from(&request), at(AT)).unwrap();
    for (body, is_right) in [("meow", true), ("mew", false)] {
        let (mut check, mut out) = (check(), ChunkBuffer::new());
        assert_eq!((check.is_in_chunks(), check.decoded_len()), (false, None));
        check.push_into(body.as_bytes(), &mut out).unwrap();
        assert_eq!(out.split(), body);
        assert_eq!(check.finish().is_ok(), is_right);
    }
}

#[test]
fn the_published_bodies_are_accepted_as_they_are_and_no_other() {
    let Some(data) = external_data("s3-doc-examples.json in chunks") else { return };
    let text = fs::read_to_string(data.join("s3-doc-examples.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let cases = all["cases"].as_array().unwrap();
    let named = |name: &str| cases.iter().find(|case| case["name"] == name).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for name in ["chunked-upload", "chunked-upload-trailer"] {
        let case = named(name);
        let seed = named(case["seed"].as_str().unwrap());
        let request = &seed["request"];
        let mut headers: Vec<(String, String)> =
            request["headers"].as_array().unwrap().iter().map(pair).collect();
        headers.push(("authorization".to_owned(), text(&seed["authorization"])));
        let pairs: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let path = text(&request["path"]);
        let headers = countersign::Headers::Pairs(&pairs);
        let head = Head::parse(b"PUT", path.as_bytes(), headers).unwrap();
        let verifier = Verifier::new().with_checksums(checksums);
        let secret = credentials(&seed["credentials"]);
        let check = || {
            let claim = verifier.claim(head, at(seed["timestamp"].as_str().unwrap())).unwrap();
            let key = SigningKey::derive(secret.secret_access_key(), &claim.scope());
            claim.verify(Some(Known::new(&key)), None, &mut Scratch::new()).unwrap().1
        };
        // As printed: the signatures of the document, not ours.
        let mut wire = Vec::new();
        for chunk in case["chunks"].as_array().unwrap() {
            let size = chunk["size"].as_u64().unwrap() as usize;
            let signature = text(&chunk["expected_signature"]);
            wire.extend(format!("{size:x};chunk-signature={signature}\r\n").bytes());
            if size > 0 {
                wire.extend(vec![b'a'; size]);
                wire.extend(b"\r\n");
            }
        }
        let trailer = |signature: &str| match &case["trailer"] {
            Value::Null => "\r\n".to_owned(),
            trailer => {
                let (name, value) = pair(&trailer["headers"][0]);
                format!("{name}:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n")
            }
        };
        let right = case["trailer"]["expected_signature"].as_str().unwrap_or_default();
        let whole = [&wire[..], trailer(right).as_bytes()].concat();
        assert_eq!(crate::support::reference::sha256(&whole), text(&case["wire_body_sha256"]));
        let read = |wire: &[u8]| {
            let (mut check, mut out) = (check(), ChunkBuffer::new());
            for piece in wire.chunks(1000) {
                check.push_into(piece, &mut out)?;
            }
            assert_eq!(out.ready(), [b'a'; 66_560]);
            check.finish()
        };
        read(&whole).unwrap();
        if let Some(wrong) = case["trailer"]["commonly_printed_wrong_signature"].as_str() {
            let whole = [&wire[..], trailer(wrong).as_bytes()].concat();
            let error: Error = read(&whole).unwrap_err();
            assert_eq!(error.refusal(), Refusal::ChunkSignatureDiffers);
        }
    }
}
