//! The private key of a certificate.

use std::fmt;

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::pkcs8::DecodePrivateKey;
use ring::{error::KeyRejected, rand::SystemRandom, rsa, signature::KeyPair};

use crate::{providers::pem, sha256};

/// A private key that can sign for a certificate. It is wiped when it is dropped, but for one of RSA: ring
/// does not.
pub(super) enum PrivateKey {
    // In boxes: of what is moved into a future and out of it a copy stays there, and so does what the stack
    // held where a smaller variant leaves room.
    P256(Box<p256::ecdsa::SigningKey>),
    P384(Box<p384::ecdsa::SigningKey>),
    Rsa(Box<rsa::KeyPair>),
}

impl PrivateKey {
    /// Reads the first private key of a PEM file, whatever else it holds. The error says what was seen, and
    /// nothing of the key.
    pub(super) fn parse(file: &[u8]) -> Result<PrivateKey, &'static str> {
        let malformed = || match is_encrypted(file) {
            true => ENCRYPTED,
            false => "is no well-formed PEM",
        };
        for section in pem::sections(file) {
            let section = section.ok_or_else(malformed)?;
            let der = section.der().ok_or_else(malformed)?;
            let key = match section.label {
                b"EC PRIVATE KEY" => PrivateKey::from_sec1(&der),
                b"PRIVATE KEY" => PrivateKey::from_pkcs8(&der),
                b"RSA PRIVATE KEY" => PrivateKey::from_rsa(rsa::KeyPair::from_der(&der)),
                _ => continue,
            };
            return key.ok_or(
                "holds no key that can be used: RSA of 2048 to 4096 bits, or ECDSA on the curve P-256 or \
                 P-384",
            );
        }
        Err(match is_encrypted(file) {
            true => ENCRYPTED,
            false => "holds no private key in PEM (PKCS#8, PKCS#1 or SEC1)",
        })
    }

    /// The algorithm, as the Authorization header names it.
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            PrivateKey::P256(_) | PrivateKey::P384(_) => "AWS4-X509-ECDSA-SHA256",
            PrivateKey::Rsa(_) => "AWS4-X509-RSA-SHA256",
        }
    }

    /// The signature over the SHA-256 of a text: PKCS#1 v1.5 for RSA, DER for ECDSA on whatever curve.
    pub(super) fn sign(&self, text: &[u8]) -> Vec<u8> {
        let hash = sha256::digest(text);
        match self {
            PrivateKey::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash(&hash).expect("a SHA-256 is long enough for the curve");
                signature.to_der().as_bytes().to_vec()
            }
            PrivateKey::P384(key) => {
                let signature: p384::ecdsa::Signature =
                    key.sign_prehash(&hash).expect("a SHA-256 is long enough for the curve");
                signature.to_der().as_bytes().to_vec()
            }
            PrivateKey::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                // This padding has no randomness in it; the source is there for the type alone.
                key.sign(
                    &ring::signature::RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    text,
                    &mut signature,
                )
                .expect("the signature is as long as the modulus");
                signature
            }
        }
    }

    /// Whether a certificate with this public key, as its `subjectPublicKey` has it, is this key's.
    pub(super) fn is_of(&self, public: &[u8]) -> bool {
        match self {
            PrivateKey::P256(key) => {
                let other = p256::ecdsa::VerifyingKey::from_sec1_bytes(public);
                other.is_ok_and(|other| other == *key.verifying_key())
            }
            PrivateKey::P384(key) => {
                let other = p384::ecdsa::VerifyingKey::from_sec1_bytes(public);
                other.is_ok_and(|other| other == *key.verifying_key())
            }
            PrivateKey::Rsa(key) => key.public_key().as_ref() == public,
        }
    }

    fn from_sec1(der: &[u8]) -> Option<PrivateKey> {
        let on_p256 = || {
            p256::SecretKey::from_sec1_der(der)
                .ok()
                .map(|key| PrivateKey::P256(Box::new(key.into())))
        };
        let on_p384 = || {
            p384::SecretKey::from_sec1_der(der)
                .ok()
                .map(|key| PrivateKey::P384(Box::new(key.into())))
        };
        on_p256().or_else(on_p384)
    }

    fn from_rsa(key: Result<rsa::KeyPair, KeyRejected>) -> Option<PrivateKey> {
        key.ok().map(|key| PrivateKey::Rsa(Box::new(key)))
    }

    fn from_pkcs8(der: &[u8]) -> Option<PrivateKey> {
        let by_rsa = || PrivateKey::from_rsa(rsa::KeyPair::from_pkcs8(der));
        let on_p256 = || {
            p256::SecretKey::from_pkcs8_der(der)
                .ok()
                .map(|key| PrivateKey::P256(Box::new(key.into())))
        };
        let on_p384 = || {
            p384::SecretKey::from_pkcs8_der(der)
                .ok()
                .map(|key| PrivateKey::P384(Box::new(key.into())))
        };
        by_rsa().or_else(on_p256).or_else(on_p384)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm())
    }
}

fn is_encrypted(file: &[u8]) -> bool {
    file.windows(9).any(|window| window == b"ENCRYPTED")
}

const ENCRYPTED: &str =
    "holds an encrypted private key, which this version cannot read: decrypt it";
