//! What a signature says of the body.

use crate::{Algorithm, sha256};

/// The payload line of a canonical request: what the signature says of the body.
///
/// `Copy`, so that hashing a body and then changing its request never fight over a borrow.
///
/// ```
/// use countersign::Payload;
///
/// assert_eq!(Payload::hash(""), Payload::EMPTY);
/// assert_eq!(
///     Payload::EMPTY.line().as_str(),
///     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
/// );
/// assert_eq!(Payload::Unsigned.line().as_str(), "UNSIGNED-PAYLOAD");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Payload {
    /// The messages of an event stream, each signed on its own.
    Events,
    /// The SHA-256 of the whole body.
    Sha256([u8; 32]),
    /// A body in signed chunks. The head alone is signed here: a body sent with this line must be
    /// framed and signed chunk by chunk.
    Streaming,
    /// A body in signed chunks with a signed trailer. As with [`Payload::Streaming`], the head alone.
    StreamingTrailer,
    /// A body in chunks that are signed by SigV4A. As with [`Payload::Streaming`], the head alone.
    StreamingEcdsa,
    /// A body in chunks that are signed by SigV4A, with a signed trailer. The head alone.
    StreamingEcdsaTrailer,
    /// A body in unsigned chunks with a trailer, as current SDKs upload to S3. The head alone.
    StreamingUnsignedTrailer,
    /// Nothing: the body may be anything. Only some services take this, over TLS.
    Unsigned,
}

impl Payload {
    /// The payload of a request without a body.
    pub const EMPTY: Payload = Payload::Sha256([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// The payload of a request with this whole body.
    ///
    /// A body too large to hold is hashed in pieces by whatever SHA-256 is at hand, and goes into
    /// [`Payload::Sha256`].
    ///
    /// ```
    /// # use countersign::Payload;
    /// assert_ne!(Payload::hash(b"Action=ListUsers"), Payload::EMPTY);
    /// ```
    pub fn hash(body: impl AsRef<[u8]>) -> Payload {
        Payload::Sha256(sha256::digest(body.as_ref()))
    }

    /// Reads a payload line; `None` if it is none that is known.
    ///
    /// ```
    /// # use countersign::Payload;
    /// assert_eq!(Payload::from_line("UNSIGNED-PAYLOAD"), Some(Payload::Unsigned));
    /// assert_eq!(Payload::from_line(Payload::EMPTY.line().as_str()), Some(Payload::EMPTY));
    /// assert_eq!(Payload::from_line("unsigned"), None);
    /// ```
    pub fn from_line(line: &str) -> Option<Payload> {
        Payload::from_bytes(line.as_bytes())
    }

    pub(crate) fn from_bytes(line: &[u8]) -> Option<Payload> {
        let marker = MARKERS.iter().find(|(_, text)| text.as_bytes() == line);
        // Lower case only: the line is compared as text wherever it is signed.
        let hash = || sha256::from_hex(line).map(Payload::Sha256);
        marker.map(|(payload, _)| *payload).or_else(hash)
    }

    /// The line as it stands in a canonical request and in `x-amz-content-sha256`.
    pub fn line(&self) -> PayloadLine {
        let mut line = PayloadLine { text: [0; LONGEST], len: 0 };
        match self {
            Payload::Sha256(digest) => {
                line.len = 64;
                line.text[..64].copy_from_slice(&sha256::hex(digest));
            }
            marker => {
                let (_, text) = MARKERS
                    .iter()
                    .find(|(payload, _)| payload == marker)
                    .expect("each payload but a hash stands in MARKERS");
                line.len = text.len();
                line.text[..text.len()].copy_from_slice(text.as_bytes());
            }
        }
        line
    }

    /// Whether the line is the hash of the whole body.
    pub fn is_hash(&self) -> bool {
        matches!(self, Payload::Sha256(_))
    }

    /// Whether the body comes in chunks, which are to be taken out of their frame.
    ///
    /// ```
    /// # use countersign::Payload;
    /// assert!(Payload::Streaming.is_in_chunks());
    /// assert!(!Payload::Unsigned.is_in_chunks());
    /// ```
    pub fn is_in_chunks(&self) -> bool {
        self.chunk_algorithm().is_some() || *self == Payload::StreamingUnsignedTrailer
    }

    /// By which the chunks are signed, if they are.
    pub(crate) fn chunk_algorithm(&self) -> Option<Algorithm> {
        match self {
            Payload::Streaming | Payload::StreamingTrailer => Some(Algorithm::HmacSha256),
            Payload::StreamingEcdsa | Payload::StreamingEcdsaTrailer => {
                Some(Algorithm::EcdsaP256Sha256)
            }
            _ => None,
        }
    }

    /// Whether a trailer comes behind the chunks.
    pub(crate) fn has_trailer(&self) -> bool {
        matches!(
            self,
            Payload::StreamingTrailer
                | Payload::StreamingEcdsaTrailer
                | Payload::StreamingUnsignedTrailer
        )
    }
}

/// A payload line as text, without an allocation.
///
/// ```
/// assert_eq!(countersign::Payload::Unsigned.line().as_str(), "UNSIGNED-PAYLOAD");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PayloadLine {
    text: [u8; LONGEST],
    len: usize,
}

impl PayloadLine {
    /// The line.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a payload line is ASCII")
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

const LONGEST: usize = 64;

const MARKERS: [(Payload, &str); 7] = [
    (Payload::Events, "STREAMING-AWS4-HMAC-SHA256-EVENTS"),
    (Payload::Streaming, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    (Payload::StreamingTrailer, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
    (Payload::StreamingEcdsa, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"),
    (Payload::StreamingEcdsaTrailer, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"),
    (Payload::StreamingUnsignedTrailer, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    (Payload::Unsigned, "UNSIGNED-PAYLOAD"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_marker_reads_back_as_itself() {
        for (payload, text) in MARKERS {
            assert_eq!(payload.line().as_str(), text);
            assert_eq!(Payload::from_line(text), Some(payload));
        }
    }

    #[test]
    fn an_upper_case_hash_is_no_payload_line() {
        let line = Payload::EMPTY.line().as_str().to_uppercase();
        assert_eq!(Payload::from_line(&line), None);
    }
}
