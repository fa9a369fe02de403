//! Whether a body is the one that was signed.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Error, Place, Refusal};
use crate::Payload;

/// Checks a body against what its request's signature says of it, in pieces.
///
/// Give it each piece and believe none of them before [`BodyCheck::finish`] said yes.
///
/// Made by [`Claim::verify`](super::Claim::verify).
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
}

impl BodyCheck {
    pub(super) fn new(payload: Payload, place: Place, is_checked: bool) -> BodyCheck {
        let check = match payload {
            Payload::Sha256(signed) if !is_checked => Check::Hash { signed, hasher: Sha256::new() },
            _ => Check::Nothing,
        };
        BodyCheck { place, check }
    }

    /// Takes the next piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        if let Check::Hash { hasher, .. } = &mut self.check {
            hasher.update(piece);
        }
    }

    /// Whether the body, of which no more comes, is the one that was signed.
    ///
    /// # Errors
    /// [`Refusal::BodyDiffers`].
    pub fn finish(self) -> Result<(), Error> {
        match self.check {
            Check::Nothing => Ok(()),
            Check::Hash { signed, hasher } => {
                let actual: [u8; 32] = hasher.finalize().into();
                if bool::from(actual.ct_eq(&signed)) { Ok(()) } else { Err(differs(self.place)) }
            }
        }
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
