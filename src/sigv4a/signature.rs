//! Signatures as text.

use std::fmt;

use crate::asymmetric::{self, LONGEST_SIGNATURE, PADDING};

/// A signature as it is sent: DER in lower-case hexadecimal, 142 digits as a rule and up to 144.
///
/// Made by [`SigningKey::sign`](super::SigningKey::sign).
///
/// ```
/// use countersign::sigv4a::{SigningKey, without_padding};
///
/// let signature = SigningKey::derive("AKIDEXAMPLE", "secret").sign(b"text");
/// assert!(signature.as_str().len() <= 144);
/// assert_eq!(signature.padded().len(), 144);
/// assert_eq!(without_padding(&signature.padded()), signature.as_str().as_bytes());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Padded.
    text: [u8; PADDED],
    len: usize,
}

impl Signature {
    /// Two integers of 33 bytes, and what DER puts in front of them.
    pub(super) const LONGEST_DER: usize = PADDED / 2;

    /// The signature with these bytes, at most [`Signature::LONGEST_DER`].
    pub(super) fn from_der(der: &[u8]) -> Signature {
        let mut signature = Signature { text: [PADDING; PADDED], len: 2 * der.len() };
        hex::encode_to_slice(der, &mut signature.text[..2 * der.len()])
            .expect("two digits for each byte");
        signature
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..self.len]).expect("digits are ASCII")
    }

    /// The digits with as many `*` behind them as make 144 bytes: so chunks carry it, whose length is
    /// told beforehand.
    pub fn padded(&self) -> [u8; PADDED] {
        self.text
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature").finish_non_exhaustive()
    }
}

/// A chunk's signature without the `*` behind it: what is verified, and what the next chunk signs.
///
/// ```
/// assert_eq!(countersign::sigv4a::without_padding(b"3044**"), b"3044");
/// ```
pub fn without_padding(signature: &[u8]) -> &[u8] {
    asymmetric::without_padding(signature)
}

/// The length of a padded signature in bytes.
pub const PADDED: usize = LONGEST_SIGNATURE;
