//! The body of a request: hashed while it is read, verified chunk by chunk if it comes in chunks, and only
//! its beginning kept.

use countersign::{
    Payload,
    verify::{BodyCheck, Error, ReceivedBody},
};
use sha2::{Digest, Sha256};

/// A body that is being read.
#[derive(Default)]
pub(super) struct Reading {
    hasher: Sha256,
    len: u64,
    first: Vec<u8>,
    chunks: Option<Chunks>,
}

/// What checks a body in chunks, or what was wrong with the first that was refused.
type Chunks = Result<BodyCheck, Error>;

/// A body that was read to its end.
#[derive(Debug)]
pub(super) struct Body {
    hash: [u8; 32],
    len: u64,
    first: Vec<u8>,
    checked: Option<Option<Error>>,
}

impl Reading {
    /// Of a body in chunks, whose request is signed as it says.
    pub(super) fn in_chunks(check: BodyCheck) -> Reading {
        Reading { chunks: Some(Ok(check)), ..Reading::default() }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        if let Some(Ok(check)) = &mut self.chunks
            && let Err(error) = check.push(piece)
        {
            self.chunks = Some(Err(error));
        }
        self.hasher.update(piece);
        self.len += piece.len() as u64;
        let room = KEPT - self.first.len();
        self.first.extend_from_slice(&piece[..room.min(piece.len())]);
    }

    pub(super) fn finish(self) -> Body {
        let checked = self.chunks.map(|chunks| chunks.and_then(BodyCheck::finish).err());
        Body { hash: self.hasher.finalize().into(), len: self.len, first: self.first, checked }
    }
}

impl Body {
    pub(super) fn payload(&self) -> Payload {
        Payload::Sha256(self.hash)
    }

    /// All of it, if it is small enough to have been kept; else its hash.
    pub(super) fn received(&self) -> ReceivedBody<'_> {
        if self.first.len() as u64 == self.len {
            ReceivedBody::Whole(&self.first)
        } else {
            ReceivedBody::Hash(self.hash)
        }
    }

    /// What was wrong with it, if it was verified chunk by chunk; `None` if it was not.
    pub(super) fn take_checked(&mut self) -> Option<Option<Error>> {
        self.checked.take()
    }

    /// How it begins.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.first
    }
}

/// So much of a body is kept.
const KEPT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_is_hashed_and_not_kept() {
        let piece = [7; 1000];
        let (mut reading, mut all) = (Reading::default(), Vec::new());
        for _ in 0..100 {
            reading.push(&piece);
            all.extend_from_slice(&piece);
        }
        let body = reading.finish();
        assert_eq!(body.payload(), Payload::hash(&all));
        assert_eq!(body.beginning().len(), KEPT);
        assert!(
            matches!(body.received(), ReceivedBody::Hash(hash) if Payload::Sha256(hash) == body.payload())
        );
    }

    #[test]
    fn a_small_body_is_kept_whole() {
        let mut reading = Reading::default();
        reading.push(b"me");
        reading.push(b"ow");
        let body = reading.finish();
        assert_eq!(body.payload(), Payload::hash("meow"));
        assert!(matches!(body.received(), ReceivedBody::Whole(b"meow")));
    }
}
