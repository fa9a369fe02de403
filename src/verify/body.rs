//! Whether a body is the one that was signed.

use std::fmt;

use bytes::Buf;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Error, Place, Refusal, Verifier, key::AnyKey};
use crate::{
    Payload, Scope, Timestamp,
    canonical::Lines,
    chain::Verifies,
    chunked::{ChunkBuffer, ChunkVerifier, Trailers},
};

/// Checks a body against what its request's signature says of it, in pieces.
///
/// Give it each piece, in order. [`BodyCheck::push`] checks alone; [`BodyCheck::push_into`] also hands on
/// what the body holds, which of a body in chunks is less than what came. Believe none of it before
/// [`BodyCheck::finish`] said yes, but of signed chunks each one that is handed on.
///
/// Made by [`Claim::verify`](super::Claim::verify). The key that it holds for signed chunks is wiped when it
/// is dropped.
#[must_use = "a body that is not checked may be any"]
pub struct BodyCheck {
    place: Place,
    check: Check,
}

enum Check {
    /// The signature does not cover the body, or did so already.
    Nothing,
    Hash {
        signed: [u8; 32],
        hasher: Sha256,
    },
    Chunks(Box<Chunks>),
}

struct Chunks {
    verifier: ChunkVerifier,
    /// For what nobody wants to read.
    dropped: ChunkBuffer,
}

/// What the first chunk of a body signs: the request's own signature, and how it was made.
pub(super) struct Seed<'s> {
    pub(super) place: Place,
    pub(super) key: AnyKey<'s>,
    pub(super) at: Timestamp,
    pub(super) scope: Scope<'s>,
    pub(super) signature: &'s [u8],
}

impl BodyCheck {
    pub(super) fn new(payload: Payload, place: Place, is_checked: bool) -> BodyCheck {
        let check = match payload {
            Payload::Sha256(signed) if !is_checked => Check::Hash { signed, hasher: Sha256::new() },
            _ => Check::Nothing,
        };
        BodyCheck { place, check }
    }

    /// The check of a body in chunks, by what the signed headers, `lines`, say of it.
    pub(super) fn of_chunks(
        payload: Payload,
        seed: Seed<'_>,
        lines: &Lines<'_>,
        verifier: &Verifier,
    ) -> Result<BodyCheck, Error> {
        let Seed { place, key, at, scope, signature } = seed;
        let names = lines.values("x-amz-trailer").collect::<Vec<_>>().join(&b","[..]);
        let names = names.trim_ascii();
        let undeclared = |message| Err(Error::new(Refusal::MalformedTrailer, place, message));
        if !payload.has_trailer() && !names.is_empty() {
            return undeclared("x-amz-trailer names trailers, and the form of the body has none");
        }
        if payload.has_trailer() && names.is_empty() {
            return undeclared(
                "the form of the body has a trailer, and no x-amz-trailer names any",
            );
        }
        let chunks = if let Some(algorithm) = payload.chunk_algorithm() {
            let key = match key {
                AnyKey::Asymmetric(key) => Verifies::Asymmetric(key.shared()),
                AnyKey::Hmac(key) => Verifies::Hmac(key.clone()),
            };
            if key.algorithm() != algorithm {
                let message =
                    "the chunks of the body are signed by another algorithm than its head";
                return Err(Error::new(Refusal::UnsupportedPayload, place, message));
            }
            let chunks = ChunkVerifier::with_key(key, at, &scope, signature);
            if names.is_empty() {
                chunks
            } else {
                chunks.with_trailer(names, verifier.checksums)?
            }
        } else {
            ChunkVerifier::unsigned(names, verifier.checksums)?
        };
        let mut chunks = chunks.with_place(place).with_chunk_limit(verifier.chunk_limit);
        let mut lengths = lines.values("x-amz-decoded-content-length");
        if let Some(text) = lengths.next() {
            if lengths.next().is_some() {
                let message = "the request has two `x-amz-decoded-content-length` headers";
                return Err(Error::new(Refusal::Ambiguous, place, message));
            }
            let text = str::from_utf8(text.trim_ascii()).unwrap_or_default();
            let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let Some(len) = digits.and_then(|digits| digits.parse().ok()) else {
                let message = "x-amz-decoded-content-length is no number of bytes";
                return Err(Error::new(Refusal::IncompleteBody, place, message));
            };
            chunks = chunks.with_decoded_len(len);
        }
        let chunks = Chunks { verifier: chunks, dropped: ChunkBuffer::new() };
        Ok(BodyCheck { place, check: Check::Chunks(Box::new(chunks)) })
    }

    /// Takes the next piece of the body, as it was sent.
    ///
    /// # Errors
    /// Of a body in chunks, the [`Refusal`] of the first that is not as it must be. The check stays failed.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        match &mut self.check {
            Check::Nothing => Ok(()),
            Check::Hash { hasher, .. } => {
                hasher.update(piece);
                Ok(())
            }
            Check::Chunks(chunks) => {
                let Chunks { verifier, dropped } = &mut **chunks;
                let taken = verifier.push(piece, dropped);
                dropped.advance(dropped.remaining());
                taken
            }
        }
    }

    /// The same, and lets into `out` what may go on: of a body in chunks their data, once it may be believed
    /// as far as [`ChunkVerifier`] says; of any other body the piece itself.
    ///
    /// Use either this with the same buffer for all pieces, or [`BodyCheck::push`] for all.
    ///
    /// # Errors
    /// As [`BodyCheck::push`]. What was let into `out` before stays there.
    pub fn push_into(&mut self, piece: &[u8], out: &mut ChunkBuffer) -> Result<(), Error> {
        if let Check::Chunks(chunks) = &mut self.check {
            return chunks.verifier.push(piece, out);
        }
        self.push(piece)?;
        out.discard();
        out.hold(piece);
        out.release();
        Ok(())
    }

    /// How many bytes a body in chunks holds, if its request says so; others are refused.
    pub fn decoded_len(&self) -> Option<u64> {
        match &self.check {
            Check::Chunks(chunks) => chunks.verifier.decoded_len(),
            Check::Nothing | Check::Hash { .. } => None,
        }
    }

    /// Whether the body, of which no more comes, is the one that was signed. The trailers are those that a
    /// signature or a checksum vouches for; there are none but behind chunks.
    ///
    /// # Errors
    /// [`Refusal::BodyDiffers`]; [`Refusal::IncompleteBody`] or an earlier refusal of a body in chunks.
    pub fn finish(self) -> Result<Trailers, Error> {
        match self.check {
            Check::Nothing => Ok(Trailers::default()),
            Check::Hash { signed, hasher } => {
                let actual: [u8; 32] = hasher.finalize().into();
                if bool::from(actual.ct_eq(&signed)) {
                    Ok(Trailers::default())
                } else {
                    Err(differs(self.place))
                }
            }
            Check::Chunks(chunks) => chunks.verifier.finish(),
        }
    }

    /// Whether the body comes in chunks, so that what it holds is less than what was sent.
    pub fn is_in_chunks(&self) -> bool {
        matches!(self.check, Check::Chunks(_))
    }
}

impl fmt::Debug for BodyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyCheck").finish_non_exhaustive()
    }
}

pub(super) fn differs(place: Place) -> Error {
    Error::new(
        Refusal::BodyDiffers,
        place,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )
}
