//! Bodies in chunks, framed and signed a second time, by hmac and sha2 alone.

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{Payload, chunked::Checksum};

use super::reference::{hmac, sha256};

/// A body in chunks: what goes into it.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    pub(crate) payload: Payload,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// Who signs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signing<'s> {
    pub(crate) secret: &'s str,
    pub(crate) at: &'s str,
    pub(crate) region: &'s str,
    /// The request's own signature.
    pub(crate) seed: &'s str,
}

/// What was framed, and where its parts begin.
#[derive(Clone, Debug)]
pub(crate) struct Framed {
    pub(crate) wire: Vec<u8>,
    /// Where each chunk begins, the last, empty one too.
    pub(crate) starts: Vec<usize>,
    /// Where the trailer begins.
    pub(crate) trailer: usize,
}

impl Chunked {
    /// With the CRC-32 of the chunks for a trailer, if the form has one.
    pub(crate) fn new(payload: Payload, chunks: &[&[u8]]) -> Chunked {
        let all = chunks.concat();
        let crc = ("x-amz-checksum-crc32".to_owned(), Crc::crc32().text_of(&all));
        let trailers = if payload == Payload::Streaming { vec![] } else { vec![crc] };
        Chunked { payload, chunks: chunks.iter().map(|chunk| chunk.to_vec()).collect(), trailers }
    }

    pub(crate) fn data(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub(crate) fn frame(&self, signing: &Signing<'_>) -> Framed {
        let date = &signing.at[..8];
        let mut key = format!("AWS4{}", signing.secret).into_bytes();
        for part in [date, signing.region, "s3", "aws4_request"] {
            key = hmac(&key, part);
        }
        let scope = format!("{date}/{}/s3/aws4_request", signing.region);
        let string_to_sign = |kind: &str, previous: &str, rest: &str| {
            format!("AWS4-HMAC-SHA256-{kind}\n{}\n{scope}\n{previous}\n{rest}", signing.at)
        };
        let is_signed = self.payload != Payload::StreamingUnsignedTrailer;
        let mut previous = signing.seed.to_owned();
        let mut framed = Framed { wire: Vec::new(), starts: Vec::new(), trailer: 0 };
        let wire = &mut framed.wire;
        for chunk in self.chunks.iter().chain([&Vec::new()]) {
            framed.starts.push(wire.len());
            wire.extend(format!("{:x}", chunk.len()).bytes());
            if is_signed {
                let rest = format!("{}\n{}", sha256(b""), sha256(chunk));
                previous = hex::encode(hmac(&key, &string_to_sign("PAYLOAD", &previous, &rest)));
                wire.extend(format!(";chunk-signature={previous}").bytes());
            }
            wire.extend(b"\r\n");
            if !chunk.is_empty() {
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
        }
        framed.trailer = wire.len();
        for (name, value) in &self.trailers {
            wire.extend(format!("{name}:{value}\r\n").bytes());
        }
        if self.payload == Payload::StreamingTrailer {
            let lines = self.trailers.iter();
            let mut lines: Vec<String> = lines
                .map(|(name, value)| format!("{}:{}\n", name.to_lowercase(), value.trim()))
                .collect();
            lines.sort();
            let text = string_to_sign("TRAILER", &previous, &sha256(lines.concat().as_bytes()));
            let signature = hex::encode(hmac(&key, &text));
            wire.extend(format!("x-amz-trailer-signature:{signature}\r\n").bytes());
        }
        wire.extend(b"\r\n");
        framed
    }
}

/// A CRC of 32 bits, bit by bit.
#[derive(Debug)]
pub(crate) struct Crc {
    name: &'static str,
    polynomial: u32,
    state: u32,
}

impl Crc {
    pub(crate) fn crc32() -> Crc {
        Crc { name: "x-amz-checksum-crc32", polynomial: 0xedb8_8320, state: !0 }
    }

    pub(crate) fn crc32c() -> Crc {
        Crc { name: "x-amz-checksum-crc32c", polynomial: 0x82f6_3b78, state: !0 }
    }

    pub(crate) fn text_of(mut self, data: &[u8]) -> String {
        self.update(data);
        let mut text = Vec::new();
        self.write(&mut text);
        String::from_utf8(text).unwrap()
    }
}

impl Checksum for Crc {
    fn name(&self) -> &str {
        self.name
    }

    fn update(&mut self, data: &[u8]) {
        for byte in data {
            self.state ^= u32::from(*byte);
            for _ in 0..8 {
                let out = self.state & 1;
                self.state = (self.state >> 1) ^ (out * self.polynomial);
            }
        }
    }

    fn value_len(&self) -> usize {
        8
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(BASE64_STANDARD.encode((!self.state).to_be_bytes()).bytes());
    }
}

/// The two that the tests have.
pub(crate) fn checksums(name: &str) -> Option<Box<dyn Checksum>> {
    match name {
        "x-amz-checksum-crc32" => Some(Box::new(Crc::crc32())),
        "x-amz-checksum-crc32c" => Some(Box::new(Crc::crc32c())),
        _ => None,
    }
}
