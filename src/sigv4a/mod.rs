//! Signature Version 4A: signatures that hold in more regions than one (feature `sigv4a`).
//!
//! The algorithm is `AWS4-ECDSA-P256-SHA256`. A key pair is derived from the credentials alone, so the
//! credential scope names no region. What names them is a *region set*, a list like `us-east-1,eu-*` in
//! which `*` stands for anything, and it is signed as `x-amz-region-set`. S3's multi-Region access points
//! want such signatures.
//!
//! # Sign
//!
//! [`signer`] makes a [`Signer`] as any other: it signs requests and heads, presigns, explains, and goes
//! into layers.
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{Credentials, Payload, sigv4a};
//!
//! let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let signer = sigv4a::signer("*", "s3");
//! let mut request =
//!     http::Request::get("https://example.accesspoint.s3-global.amazonaws.com/cat.jpg").body(())?;
//! signer.sign(&mut request, Payload::EMPTY, &credentials, SystemTime::now())?;
//! assert_eq!(request.headers()["x-amz-region-set"], "*");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Signatures are deterministic (RFC 6979): no randomness is needed, and the same request signed twice at
//! the same second has the same signature. Other signers' vary from run to run.
//!
//! # Verify
//!
//! A verifier accepts such signatures only after [`Verifier::with_sigv4a`]. It needs the public key alone,
//! derived from the secret or received from whoever derived it:
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{
//!     Algorithm, Credentials, Head, Payload, Scratch, sigv4a,
//!     verify::{Known, Verifier},
//! };
//!
//! # let now = SystemTime::now();
//! # let mut request = http::Request::get("https://bucket.s3.amazonaws.com/cat.jpg").body(())?;
//! # sigv4a::signer("eu-*", "s3")
//! #     .sign(&mut request, Payload::EMPTY, &Credentials::new("AKIDEXAMPLE", "secret"), now)?;
//! let verifier = Verifier::new().with_sigv4a().with_region("eu-west-1").with_services(["s3"]);
//! let keys = sigv4a::KeyCache::default();
//!
//! let claim = verifier.claim(Head::from(&request), now)?;
//! assert_eq!(claim.algorithm(), Algorithm::EcdsaP256Sha256);
//! assert_eq!(claim.region_set(), Some("eu-*"));
//! let secret = (claim.access_key_id() == "AKIDEXAMPLE").then_some("secret");
//! let key = secret.map(|secret| keys.key(claim.access_key_id(), secret));
//! let known = key.as_ref().map(Known::new);
//! let (verified, check) = claim.verify(known, None, &mut Scratch::new())?;
//! check.finish()?;
//! assert_eq!(verified.region_set(), Some("eu-*"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A server that takes both algorithms looks at [`Claim::algorithm`](crate::verify::Claim::algorithm) to
//! find the right key: one of the other algorithm matches nothing.
//!
//! # Bodies in chunks
//!
//! [`Signer::sign_chunked`] signs the chunks of a body as it signs its head, and what
//! [`Claim::verify`](crate::verify::Claim::verify) returns verifies them. The length of a body on the wire is
//! told beforehand, so each signature in it has as many `*` behind it as make [`PADDED`] bytes. What the
//! next chunk signs has none.
//!
//! # Cost
//!
//! To derive a key costs as much as to sign with it, so keys are [cached](KeyCache). Both cost hundreds of
//! times what Signature Version 4 does.

mod cache;
mod key;
mod signature;

use std::sync::Arc;

use crate::{
    Credentials, Scope, Signer, Timestamp,
    asymmetric::{AsymmetricKey, AsymmetricSigner},
    chain::Verifies,
    chunked::ChunkVerifier,
    verify::{
        Key, Verifier,
        key::{AnyKey, sealed},
    },
};

pub use cache::KeyCache;
pub use key::{SigningKey, VerifyingKey};
pub use signature::{PADDED, Signature, without_padding};

/// A signer for a set of regions, as `*` or `us-east-1,eu-*`, and a service.
///
/// Its keys are in a cache of its own; [`KeyCache::signer`] shares one. What [`Signer`] says of its
/// region and of its [`KeyCache`](crate::KeyCache) does not concern it. Signing refuses a region set that is
/// empty or holds `/` or a control byte ([`ErrorKind::InvalidScope`](crate::ErrorKind::InvalidScope)).
///
/// ```
/// use countersign::{Algorithm, sigv4a};
///
/// let signer = sigv4a::signer("us-east-1,us-west-2", "s3");
/// assert_eq!(signer.algorithm(), Algorithm::EcdsaP256Sha256);
/// assert_eq!(signer.region_set(), Some("us-east-1,us-west-2"));
/// ```
pub fn signer(region_set: impl Into<Arc<str>>, service: impl Into<Arc<str>>) -> Signer {
    KeyCache::default().signer(region_set, service)
}

impl KeyCache {
    /// A signer for a set of regions and a service whose keys are in this cache.
    ///
    /// ```
    /// use countersign::sigv4a::KeyCache;
    ///
    /// let keys = KeyCache::new(1000);
    /// let (s3, events) = (keys.signer("*", "s3"), keys.signer("us-east-1,us-west-2", "events"));
    /// # let _ = (s3, events);
    /// ```
    pub fn signer(&self, region_set: impl Into<Arc<str>>, service: impl Into<Arc<str>>) -> Signer {
        let asymmetric = Arc::new(self.clone());
        Signer::with_asymmetric(region_set.into(), service.into(), Some(asymmetric))
    }
}

impl AsymmetricSigner for KeyCache {
    fn sign(&self, credentials: &Credentials, string_to_sign: &[u8]) -> String {
        let key = self.key(credentials.access_key_id(), credentials.secret_access_key());
        key.sign(string_to_sign).as_str().to_owned()
    }
}

impl Verifier {
    /// Accepts SigV4A signatures too, which are refused otherwise.
    ///
    /// [`Verifier::with_region`] then accepts those whose region set holds the region.
    ///
    /// ```
    /// # use countersign::verify::Verifier;
    /// let verifier = Verifier::new().with_sigv4a().with_region("eu-west-1");
    /// # let _ = verifier;
    /// ```
    #[must_use]
    pub fn with_sigv4a(mut self) -> Verifier {
        // What it says is never believed.
        self.asymmetric = Some(Arc::new(VerifyingKey::stand_in()));
        self
    }
}

impl ChunkVerifier {
    /// Verifies chunks that are signed by SigV4A, `STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD`.
    ///
    /// As [`ChunkVerifier::new`]; [`ChunkVerifier::with_trailer`] adds a signed trailer. `signature` is the
    /// request's own, which has no padding.
    ///
    /// ```
    /// use countersign::{Scope, chunked::{ChunkBuffer, ChunkVerifier}, sigv4a::SigningKey};
    ///
    /// let scope = Scope::parse("20150830/s3/aws4_request")?;
    /// let key = SigningKey::derive("AKIDEXAMPLE", "secret");
    /// let at = "20150830T123600Z".parse()?;
    /// let signature = key.sign(b"the string to sign of the request");
    /// let signature = signature.as_str().as_bytes();
    /// let mut chunks = ChunkVerifier::sigv4a(*key.verifying_key(), at, &scope, signature);
    ///
    /// let mut body = ChunkBuffer::new();
    /// let forged = format!("4;chunk-signature={}\r\nmeow\r\n", "0".repeat(144));
    /// assert!(chunks.push(forged.as_bytes(), &mut body).is_err());
    /// assert!(body.ready().is_empty());
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn sigv4a(
        key: VerifyingKey,
        at: Timestamp,
        scope: &Scope<'_>,
        signature: &[u8],
    ) -> ChunkVerifier {
        ChunkVerifier::with_key(Verifies::Asymmetric(Arc::new(key)), at, scope, signature)
    }
}

impl AsymmetricKey for VerifyingKey {
    fn is_signature(&self, string_to_sign: &[u8], signature: &[u8]) -> bool {
        VerifyingKey::is_signature(self, string_to_sign, signature)
    }

    fn of(&self, access_key_id: &str, secret_access_key: &str) -> Arc<dyn AsymmetricKey> {
        Arc::new(VerifyingKey::derive(access_key_id, secret_access_key))
    }

    fn shared(&self) -> Arc<dyn AsymmetricKey> {
        Arc::new(*self)
    }
}

impl Key for VerifyingKey {}

impl sealed::Key for VerifyingKey {
    fn as_any(&self) -> AnyKey<'_> {
        AnyKey::Asymmetric(self)
    }
}

impl Key for SigningKey {}

impl sealed::Key for SigningKey {
    fn as_any(&self) -> AnyKey<'_> {
        AnyKey::Asymmetric(self.verifying_key())
    }
}
