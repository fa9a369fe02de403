//! The door through which a feature brings signatures that are no HMAC.
//!
//! The core knows two algorithms as data and makes one of them. What makes and checks the other's
//! signatures stands behind these traits, so that neither its arithmetic nor its crates are here.

use std::{fmt, sync::Arc};

use crate::Credentials;

/// Signs with keys that it derives from credentials.
pub(crate) trait AsymmetricSigner: Send + Sync {
    /// The signature of a string to sign, in hexadecimal: at most [`LONGEST_SIGNATURE`] digits.
    fn sign(&self, credentials: &Credentials, string_to_sign: &[u8]) -> String;
}

/// A public key, and the way to other ones.
pub trait AsymmetricKey: fmt::Debug + Send + Sync {
    /// Whether `signature`, as it was received, is this key's for a string to sign.
    fn is_signature(&self, string_to_sign: &[u8], signature: &[u8]) -> bool;

    /// The key of other credentials.
    fn of(&self, access_key_id: &str, secret_access_key: &str) -> Arc<dyn AsymmetricKey>;

    /// The same key, to be kept.
    fn shared(&self) -> Arc<dyn AsymmetricKey>;
}

/// A signature without what fills it up where its length is told beforehand.
pub(crate) fn without_padding(signature: &[u8]) -> &[u8] {
    let len = signature.iter().rposition(|&byte| byte != PADDING).map_or(0, |last| last + 1);
    &signature[..len]
}

/// What stands behind a shorter signature where the longest would fit.
pub(crate) const PADDING: u8 = b'*';

/// The digits of the longest signature: two integers of 33 bytes in DER.
pub(crate) const LONGEST_SIGNATURE: usize = 144;
