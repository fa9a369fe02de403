//! The keys that a signature is compared with.

use std::fmt;

use crate::{SigningKey, asymmetric::AsymmetricKey, bytes::is_same_secret, key::Begun, sha256};

/// A key that a signature is compared with: [`SigningKey`], and with feature `sigv4a` that module's
/// keys. Sealed.
///
/// ```
/// use countersign::{SigningKey, verify::{Key, Known}};
///
/// fn permanent(key: &impl Key) -> Known<'_> {
///     Known::new(key)
/// }
/// let key = SigningKey::from_bytes(&[7; 32]);
/// # let _ = permanent(&key);
/// ```
pub trait Key: sealed::Key {}

impl Key for SigningKey {}

impl sealed::Key for SigningKey {
    fn as_any(&self) -> AnyKey<'_> {
        AnyKey::Hmac(self)
    }
}

pub(crate) mod sealed {
    use super::AnyKey;

    /// What a verifier needs of a key.
    pub trait Key: Send + Sync {
        fn as_any(&self) -> AnyKey<'_>;
    }
}

/// A key of either algorithm.
#[derive(Clone, Copy)]
pub enum AnyKey<'k> {
    Asymmetric(&'k dyn AsymmetricKey),
    Hmac(&'k SigningKey),
}

impl AnyKey<'_> {
    /// Whether both are of one algorithm.
    pub(super) fn is_like(self, other: AnyKey<'_>) -> bool {
        matches!(
            (self, other),
            (AnyKey::Asymmetric(_), AnyKey::Asymmetric(_)) | (AnyKey::Hmac(_), AnyKey::Hmac(_))
        )
    }

    /// What the key makes of the start of strings to sign, if that is a part of the work.
    #[inline]
    pub(super) fn begin(self, start: &[u8]) -> Option<Begun> {
        match self {
            AnyKey::Asymmetric(_) => None,
            AnyKey::Hmac(key) => Some(key.begin(start)),
        }
    }

    /// The same as [`AnyKey::is_signature`] for a string to sign of which that is the start.
    #[inline]
    pub(super) fn is_signature_begun(
        self,
        begun: Option<&Begun>,
        string_to_sign: &[u8],
        signature: &[u8],
    ) -> bool {
        match (self, begun) {
            (AnyKey::Hmac(key), Some(begun)) => {
                is_same_secret(&sha256::hex(&key.sign_begun(begun, string_to_sign)), signature)
            }
            _ => self.is_signature(string_to_sign, signature),
        }
    }

    /// Whether `signature`, as it was received, is this key's for a string to sign.
    pub(crate) fn is_signature(self, string_to_sign: &[u8], signature: &[u8]) -> bool {
        match self {
            AnyKey::Asymmetric(key) => key.is_signature(string_to_sign, signature),
            AnyKey::Hmac(key) => is_same_secret(&sha256::hex(&key.sign(string_to_sign)), signature),
        }
    }
}

impl fmt::Debug for AnyKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnyKey::Asymmetric(key) => key.fmt(f),
            AnyKey::Hmac(key) => key.fmt(f),
        }
    }
}
