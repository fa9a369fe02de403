//! Bodies that the program itself frames in chunks.

use std::io::{self, BufReader, Read, Write};

use bytes::Bytes;
use clap::ValueEnum;
use countersign::{
    Algorithm, Payload,
    checksums::by_name,
    chunked::{ChunkBuffer, ChunkSigner, Chunks},
};

use crate::{failure::Failure, request::Request};

/// A checksum that travels behind a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Checksum {
    #[default]
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
    Sha512,
}

impl Checksum {
    /// The trailer that carries it.
    fn trailer(self) -> &'static str {
        match self {
            Checksum::Crc32 => "x-amz-checksum-crc32",
            Checksum::Crc32c => "x-amz-checksum-crc32c",
            Checksum::Crc64nvme => "x-amz-checksum-crc64nvme",
            Checksum::Sha1 => "x-amz-checksum-sha1",
            Checksum::Sha256 => "x-amz-checksum-sha256",
            Checksum::Sha512 => "x-amz-checksum-sha512",
        }
    }

    /// The checksum that a trailer of this name carries.
    pub(crate) fn of_trailer(name: &str) -> Option<Checksum> {
        let mut known = Checksum::value_variants().iter().copied();
        known.find(|checksum| name.eq_ignore_ascii_case(checksum.trailer()))
    }
}

/// The same payload as this algorithm signs chunks.
pub(crate) fn by(payload: Payload, algorithm: Algorithm) -> Payload {
    match (algorithm, payload) {
        (Algorithm::EcdsaP256Sha256, Payload::Streaming) => Payload::StreamingEcdsa,
        (Algorithm::EcdsaP256Sha256, Payload::StreamingTrailer) => Payload::StreamingEcdsaTrailer,
        _ => payload,
    }
}

/// Whether a checksum travels behind a body with this payload.
pub(crate) fn has_trailer(payload: Payload) -> bool {
    matches!(payload, Payload::StreamingTrailer | Payload::StreamingUnsignedTrailer)
}

/// How a body of `length` bytes with this payload is framed; `None` if it is sent as it is.
pub(crate) fn chunks(payload: Payload, length: u64, checksum: Checksum) -> Option<Chunks> {
    let checksum = || by_name(checksum.trailer()).expect("each trailer above has its checksum");
    match payload {
        Payload::Streaming => Some(Chunks::signed(length)),
        Payload::StreamingTrailer => Some(Chunks::signed(length).with_checksum(checksum())),
        Payload::StreamingUnsignedTrailer => Some(Chunks::unsigned(length, checksum())),
        _ => None,
    }
}

/// What a body in chunks changes of its head.
pub(crate) struct Changed {
    /// The headers that are not to be sent as they were given.
    pub(crate) replaced: Vec<&'static str>,
    pub(crate) set: Vec<(&'static str, String)>,
}

/// Sets on a request the headers that go with the body, in place of those of another.
pub(crate) fn set_headers(request: &mut Request, chunks: &Chunks) -> Result<Changed, Failure> {
    let own = request.with_head(|head| Ok(chunks.headers(head)?.collect::<Vec<_>>()))?;
    let replaced: Vec<_> = chunks.replaced_headers().collect();
    request.headers.retain(|(name, _)| {
        !replaced.iter().any(|replaced| name.eq_ignore_ascii_case(replaced.as_bytes()))
    });
    let mut set = Vec::new();
    for (name, value) in own {
        let text = String::from_utf8(value.as_bytes().to_vec()).map_err(|_| {
            Failure::input(format_args!("the header `{name}` is not UTF-8: leave it out"))
        })?;
        request.headers.push((name.into(), value.as_bytes().to_vec()));
        set.push((name, text));
    }
    Ok(Changed { replaced, set })
}

/// A body in chunks, whole.
pub(crate) fn framed(mut chunks: ChunkSigner, body: &[u8]) -> Result<Bytes, Failure> {
    let mut wire = ChunkBuffer::new();
    chunks.push(body, &mut wire)?;
    chunks.finish(&mut wire)?;
    Ok(wire.split())
}

/// Why a body did not go out in chunks.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It cannot be read, or is not as long as it was.
    Input(Failure),
    /// Nobody takes it.
    Output(io::Error),
}

/// Writes a body in chunks, of which one at a time is in memory.
pub(crate) fn write(
    mut chunks: ChunkSigner,
    input: impl Read,
    out: &mut impl Write,
) -> Result<(), Broken> {
    let changed = |how: &str| {
        Broken::Input(Failure::input(format_args!(
            "the body became {how} while it was sent: it must stay as it was when it was signed"
        )))
    };
    let mut input = BufReader::with_capacity(READ_AT_ONCE, input);
    let mut data = Vec::new();
    while chunks.next_len() > 0 {
        data.resize(chunks.next_len(), 0);
        input.read_exact(&mut data).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => changed("shorter"),
            _ => Broken::Input(unreadable(&error)),
        })?;
        let frame = chunks.frame(&data).map_err(|error| Broken::Input(error.into()))?;
        for part in [frame.head, &data, frame.tail] {
            out.write_all(part).map_err(Broken::Output)?;
        }
    }
    match input.read(&mut [0]) {
        Ok(0) => {}
        Ok(_) => return Err(changed("longer")),
        Err(error) => return Err(Broken::Input(unreadable(&error))),
    }
    let end = chunks.end().map_err(|error| Broken::Input(error.into()))?;
    out.write_all(&end).and_then(|()| out.flush()).map_err(Broken::Output)
}

fn unreadable(error: &io::Error) -> Failure {
    Failure {
        kind: "unreadable_file",
        ..Failure::input(format_args!("cannot read the body: {error}"))
    }
}

const READ_AT_ONCE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use countersign::{Credentials, Scratch, Signer};

    use super::*;

    fn signer(length: u64) -> ChunkSigner {
        let chunks = Chunks::signed(length);
        let mut request = Request {
            method: "PUT".to_owned(),
            url: b"https://bucket.s3.amazonaws.com/key".to_vec(),
            ..Request::default()
        };
        set_headers(&mut request, &chunks).expect("headers");
        let credentials = Credentials::new("AKID", "secret");
        let mut scratch = Scratch::new();
        request
            .with_head(|head| {
                let signer = Signer::new("us-east-1", "s3");
                let now = SystemTime::now();
                let payload = chunks.payload();
                let signed = signer.sign_head(head, payload, &credentials, now, &mut scratch)?;
                Ok(ChunkSigner::new(&signed, chunks)?)
            })
            .expect("a signer")
    }

    #[test]
    fn what_is_written_has_the_length_that_was_declared() {
        for length in [0, 1, 65_535, 65_536, 200_000] {
            let signer = signer(length);
            let (declared, mut wire) = (signer.encoded_len(), Vec::new());
            write(signer, &vec![7; length as usize][..], &mut wire).expect("written");
            assert_eq!(wire.len() as u64, declared, "{length}");
        }
    }

    #[test]
    fn a_body_that_changed_its_length_is_not_ended() {
        for (now, how) in [(99_999, "shorter"), (100_001, "longer")] {
            let mut wire = Vec::new();
            let broken = write(signer(100_000), &vec![7; now][..], &mut wire);
            let Err(Broken::Input(failure)) = broken else { panic!("{now}: {broken:?}") };
            assert!(failure.message.contains(how), "{failure}");
            assert!(!wire.ends_with(b"\r\n\r\n"), "{now}");
        }
    }

    #[test]
    fn headers_of_another_body_are_replaced() {
        let header = |name: &str, value: &str| (name.into(), value.into());
        let mut request = Request {
            method: "PUT".to_owned(),
            url: b"https://bucket.s3.amazonaws.com/key".to_vec(),
            headers: vec![
                header("Content-Length", "3"),
                header("Content-Encoding", "gzip"),
                header("Transfer-Encoding", "chunked"),
                header("X-Amz-Trailer", "x-amz-checksum-sha1"),
                header("X-Amz-Meta-A", "b"),
            ],
            ..Request::default()
        };
        let chunks = chunks(Payload::StreamingUnsignedTrailer, 5, Checksum::Crc32);
        set_headers(&mut request, &chunks.expect("chunks")).expect("headers");
        let lines: Vec<String> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
            .collect();
        assert_eq!(
            lines,
            [
                "X-Amz-Meta-A: b",
                "content-encoding: aws-chunked,gzip",
                "content-length: 46",
                "x-amz-decoded-content-length: 5",
                "x-amz-trailer: x-amz-checksum-crc32",
            ]
        );
    }

    #[test]
    fn each_checksum_is_found_by_its_trailer() {
        for checksum in Checksum::value_variants() {
            let trailer = checksum.trailer();
            assert_eq!(Checksum::of_trailer(&trailer.to_uppercase()), Some(*checksum));
            assert!(by_name(trailer).is_some(), "{trailer}");
        }
        assert_eq!(Checksum::of_trailer("x-amz-checksum-md5"), None);
    }
}
