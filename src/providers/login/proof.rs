//! Proofs of possession (DPoP, RFC 9449): a token is renewed only for who holds the key that it was given
//! to.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::{
    SecretKey,
    ecdsa::{Signature, SigningKey, signature::Signer},
};
use zeroize::Zeroizing;

use crate::providers::{pem, session::Document};

/// The private key of a session. It is wiped when it is dropped.
pub(super) struct ProofKey(SigningKey);

impl ProofKey {
    /// Reads a key in PEM (SEC 1, RFC 5915).
    pub(super) fn from_pem(text: &str) -> Option<ProofKey> {
        let section = pem::sections(text.as_bytes()).next()??;
        let der = section.der().filter(|_| section.label == b"EC PRIVATE KEY")?;
        let key = SecretKey::from_sec1_der(&der).ok()?;
        Some(ProofKey(SigningKey::from(&key)))
    }

    /// A JSON web token (RFC 7515) for one request, good for a moment and once.
    pub(super) fn prove(
        &self,
        method: &str,
        url: &str,
        at: SystemTime,
        id: [u8; 16],
    ) -> Zeroizing<String> {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let claims = Document::default()
            .with("htm", method)
            .with("htu", url)
            .with("iat", seconds)
            .with("jti", uuid(id));
        let mut proof = Zeroizing::new(format!(
            "{}.{}",
            self.header(),
            URL_SAFE_NO_PAD.encode(claims.to_json())
        ));
        let signature: Signature = self.0.sign(proof.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
        proof.push('.');
        proof.push_str(&signature);
        proof
    }

    /// What each proof by this key begins with.
    pub(super) fn header(&self) -> String {
        let point = self.0.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let key = Document::default()
            .with("kty", "EC")
            .with("crv", "P-256")
            .with("x", URL_SAFE_NO_PAD.encode(x))
            .with("y", URL_SAFE_NO_PAD.encode(y));
        let header =
            Document::default().with("typ", "dpop+jwt").with("alg", "ES256").with("jwk", key);
        URL_SAFE_NO_PAD.encode(header.to_json())
    }
}

/// Chance in the form of a UUID (RFC 9562, version 4).
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
