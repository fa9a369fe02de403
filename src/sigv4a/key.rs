//! Key pairs, derived from credentials.

use std::{fmt, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::{
    DerSignature,
    signature::{Signer, Verifier},
};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Signature;
use crate::{Algorithm, Error, ErrorKind};

/// The private key of an access key id and its secret, good for every day, region and service.
///
/// Wiped from memory when the last clone is dropped.
///
/// ```
/// use countersign::sigv4a::SigningKey;
///
/// let key = SigningKey::derive("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
/// assert_eq!(format!("{key:?}"), "SigningKey(<redacted>)");
/// let signature = key.sign(b"AWS4-ECDSA-P256-SHA256\n...");
/// let public = key.verifying_key();
/// assert!(public.is_signature(b"AWS4-ECDSA-P256-SHA256\n...", signature.as_str().as_bytes()));
/// ```
#[derive(Clone)]
pub struct SigningKey(Arc<Pair>);

struct Pair {
    private: p256::ecdsa::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// Derives the key.
    pub fn derive(access_key_id: &str, secret_access_key: &str) -> SigningKey {
        let mut key = Zeroizing::new(Vec::with_capacity(5 + secret_access_key.len()));
        key.extend_from_slice(b"AWS4A");
        key.extend_from_slice(secret_access_key.as_bytes());
        let mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        // NIST SP 800-108, in counter mode: the counter, the label, a zero byte, the context (which has a
        // counter of its own) and the number of bits.
        let candidate = |counter: u8| {
            let mac = mac
                .clone()
                .chain_update([0, 0, 0, 1])
                .chain_update(Algorithm::EcdsaP256Sha256.as_str())
                .chain_update([0])
                .chain_update(access_key_id)
                .chain_update([counter])
                .chain_update([0, 0, 1, 0]);
            let candidate = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
            to_scalar(&candidate)
        };
        let scalar = (1..=254)
            .find_map(candidate)
            .expect("each candidate fails once in 2^32, so 254 in a row never do");
        let private = p256::ecdsa::SigningKey::from_slice(&scalar[..])
            .expect("a scalar from 1 to the order of the curve less 1");
        SigningKey::new(private)
    }

    /// The key whose 32 bytes were derived before, perhaps elsewhere, so that the secret need not be here.
    ///
    /// ```
    /// # use countersign::sigv4a::SigningKey;
    /// assert!(SigningKey::from_bytes(&[7; 32]).is_ok());
    /// assert!(SigningKey::from_bytes(&[0xff; 32]).is_err());
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCredentials`] if they are no private key: zero, or not less than the order of
    /// the curve.
    pub fn from_bytes(key: &[u8; 32]) -> Result<SigningKey, Error> {
        let private = p256::ecdsa::SigningKey::from_slice(key);
        private.map(SigningKey::new).map_err(|_| {
            Error::new(ErrorKind::InvalidCredentials, "the 32 bytes are no private key of P-256")
        })
    }

    fn new(private: p256::ecdsa::SigningKey) -> SigningKey {
        let public = VerifyingKey(*private.verifying_key());
        SigningKey(Arc::new(Pair { private, public }))
    }

    /// The public key.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.0.public
    }

    /// The signature of a string to sign. The same string has the same signature (RFC 6979).
    pub fn sign(&self, string_to_sign: &[u8]) -> Signature {
        let signature: DerSignature = self.0.private.sign(string_to_sign);
        Signature::from_der(signature.as_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(<redacted>)")
    }
}

/// The public key of an access key id: it verifies and cannot sign.
///
/// ```
/// use countersign::sigv4a::VerifyingKey;
///
/// let key = VerifyingKey::derive("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
/// // To servers that shall not know the secret.
/// let received = VerifyingKey::from_sec1(&key.to_sec1())?;
/// assert_eq!(received, key);
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(p256::ecdsa::VerifyingKey);

impl VerifyingKey {
    /// A key that does the work of one that nobody has: a point like any other, published in RFC 6979.
    pub(super) fn stand_in() -> VerifyingKey {
        VerifyingKey::from_sec1(&STAND_IN).expect("a point of P-256, as the tests say")
    }

    /// Derives the key.
    pub fn derive(access_key_id: &str, secret_access_key: &str) -> VerifyingKey {
        *SigningKey::derive(access_key_id, secret_access_key).verifying_key()
    }

    /// Reads a point (SEC 1, §2.3.4): byte 4 and both coordinates, 65 bytes; or byte 2 or 3 and the first
    /// coordinate, 33 bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCredentials`] if it is no point of the curve.
    pub fn from_sec1(point: &[u8]) -> Result<VerifyingKey, Error> {
        p256::ecdsa::VerifyingKey::from_sec1_bytes(point).map(VerifyingKey).map_err(|_| {
            Error::new(
                ErrorKind::InvalidCredentials,
                format!("the {} bytes of the public key are no point of P-256", point.len()),
            )
        })
    }

    /// The point: byte 4 and both coordinates.
    pub fn to_sec1(&self) -> [u8; 65] {
        let mut bytes = [0; 65];
        bytes.copy_from_slice(self.0.to_sec1_point(false).as_bytes());
        bytes
    }

    /// Whether `signature` is this key's for a string to sign: DER in lower-case hexadecimal, without
    /// padding.
    ///
    /// Of the two signatures that are equally good, either is: AWS's own signers do not choose.
    ///
    /// ```
    /// # use countersign::sigv4a::SigningKey;
    /// let key = SigningKey::derive("AKIDEXAMPLE", "secret");
    /// let signature = key.sign(b"text");
    /// assert!(key.verifying_key().is_signature(b"text", signature.as_str().as_bytes()));
    /// assert!(!key.verifying_key().is_signature(b"another", signature.as_str().as_bytes()));
    /// ```
    pub fn is_signature(&self, string_to_sign: &[u8], signature: &[u8]) -> bool {
        let mut der = [0; Signature::LONGEST_DER];
        let Some(der) = der.get_mut(..signature.len() / 2) else {
            return false;
        };
        // Upper case is a difference, as it is in an HMAC.
        if signature.iter().any(u8::is_ascii_uppercase)
            || hex::decode_to_slice(signature, der).is_err()
        {
            return false;
        }
        let Ok(parsed) = p256::ecdsa::Signature::from_der(der) else {
            return false;
        };
        // One signature, one text: what could be written shorter is none.
        parsed.to_der().as_bytes() == der && self.0.verify(string_to_sign, &parsed).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    /// The point in hexadecimal: it is public.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", hex::encode(self.to_sec1()))
    }
}

/// A candidate plus 1, unless it is larger than the order of the curve less 2. How large it is shows in no
/// time but that which the next candidate takes.
fn to_scalar(candidate: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    // Subtracts from the last byte on; what is borrowed in the end says which is larger.
    let bytes = candidate.iter().zip(&ORDER_LESS_2).rev();
    let borrowed = bytes.fold(0, |borrowed, (&byte, &order)| {
        u16::from(order).wrapping_sub(u16::from(byte)).wrapping_sub(borrowed) >> 15
    });
    if borrowed == 1 {
        return None;
    }
    let mut scalar = Zeroizing::new(*candidate);
    scalar.iter_mut().rev().fold(1, |carried, byte| {
        let sum = u16::from(*byte) + carried;
        *byte = sum as u8;
        sum >> 8
    });
    Some(scalar)
}

/// The order of P-256 (FIPS 186-4, D.1.2.3) less 2.
const ORDER_LESS_2: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];

/// The public key of RFC 6979, A.2.5.
const STAND_IN: [u8; 65] = [
    0x04, 0x60, 0xfe, 0xd4, 0xba, 0x25, 0x5a, 0x9d, 0x31, 0xc9, 0x61, 0xeb, 0x74, 0xc6, 0x35, 0x6d,
    0x68, 0xc0, 0x49, 0xb8, 0x92, 0x3b, 0x61, 0xfa, 0x6c, 0xe6, 0x69, 0x62, 0x2e, 0x60, 0xf2, 0x9f,
    0xb6, 0x79, 0x03, 0xfe, 0x10, 0x08, 0xb8, 0xbc, 0x99, 0xa4, 0x1a, 0xe9, 0xe9, 0x56, 0x28, 0xbc,
    0x64, 0xf2, 0xf1, 0xb2, 0x0c, 0x2d, 0x7e, 0x9f, 0x51, 0x77, 0xa3, 0xc2, 0x94, 0xd4, 0x46, 0x22,
    0x99,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_go_from_1_to_the_order_less_1() {
        let at = |last: u8| {
            let mut bytes = ORDER_LESS_2;
            bytes[31] = last;
            bytes
        };
        let scalar = |candidate| to_scalar(&candidate).map(|scalar| *scalar);
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(scalar([0; 32]), Some(one));
        assert_eq!(scalar(at(0x4e)), Some(at(0x4f)));
        assert_eq!(scalar(at(0x4f)), Some(at(0x50)));
        assert_eq!(scalar(at(0x50)), None);
        assert_eq!(scalar([0xff; 32]), None);
        // A larger byte in front decides, whatever follows, and a smaller one too.
        let mut larger = [0; 32];
        larger[..5].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x01]);
        assert_eq!(scalar(larger), None);
        let mut smaller = [0xff; 32];
        smaller[3] = 0xfe;
        let mut next = [0; 32];
        next[..4].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(scalar(smaller), Some(next));
        assert!(SigningKey::from_bytes(&one).is_ok());
        assert!(SigningKey::from_bytes(&at(0x50)).is_ok());
        assert!(SigningKey::from_bytes(&at(0x51)).is_err());
        assert!(SigningKey::from_bytes(&[0; 32]).is_err());
    }

    #[test]
    fn signatures_are_those_of_rfc_6979() {
        // RFC 6979, A.2.5, with SHA-256.
        let mut key = [0; 32];
        let private = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
        hex::decode_to_slice(private, &mut key).expect("hexadecimal");
        let key = SigningKey::from_bytes(&key).expect("a key");
        assert_eq!(*key.verifying_key(), VerifyingKey::stand_in());
        assert_eq!(
            key.sign(b"sample").as_str(),
            "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716022100f7cb1c942d65\
             7c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        );
        assert_eq!(
            key.sign(b"test").as_str(),
            "3045022100f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d383670220019f4113742a2b\
             14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"
        );
    }
}
