//! Verifying: whether a request was signed by who says so.
//!
//! A server goes three steps, and believes nothing before the last:
//! 1. [`Verifier::claim`] takes the request's own word for who signed it, and checks what can be checked
//!    without a key: its parts, scope and time.
//! 2. The server looks the key up, by whatever means it has, and may find none.
//! 3. [`Claim::verify`] compares signatures. What it returns, [`Verified`], only it can make.
//!
//! The body is checked last, in pieces, by the [`BodyCheck`] that comes with the proof. It also takes a body
//! in chunks, as `aws-chunked` uploads have it, out of its frame.
//!
//! What is accepted is accepted without an allocation, the [`Scratch`](crate::Scratch) being warm, but
//! where a request has more than 24 headers, SignedHeaders that are not sorted, or a presigned URL's part
//! with escapes that have to be decoded, as its SignedHeaders with more than one name.
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{
//!     Credentials, Head, KeyCache, Payload, Scratch, Signer,
//!     verify::{Known, Verifier},
//! };
//!
//! // A request as a client sent it.
//! let now = SystemTime::now();
//! let credentials = Credentials::new("AKIDEXAMPLE", "secret");
//! let mut request = http::Request::put("https://bucket.s3.eu-west-1.amazonaws.com/key").body("meow")?;
//! let payload = Payload::hash(request.body());
//! Signer::new("eu-west-1", "s3").sign(&mut request, payload, &credentials, now)?;
//!
//! let verifier = Verifier::new().with_region("eu-west-1").with_services(["s3"]);
//! let keys = KeyCache::default();
//! let (parts, body) = request.into_parts();
//! let claim = verifier.claim(Head::from(&parts), now)?;
//! let secret = (claim.access_key_id() == "AKIDEXAMPLE").then_some("secret");
//! let key = secret.map(|secret| keys.key(claim.access_key_id(), secret, &claim.scope()));
//! let known = key.as_ref().map(Known::new);
//! let (verified, mut check) = claim.verify(known, None, &mut Scratch::new())?;
//! check.push(body.as_bytes())?;
//! check.finish()?;
//! assert_eq!(verified.access_key_id(), "AKIDEXAMPLE");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a server must still do
//!
//! A signature covers the headers that it names. Of the others a server should believe none: use
//! [`Verifier::with_required_headers`] for those that decide something. A presigned URL may be used
//! again until it expires, and a signed request for as long as the clock skew allows.

pub mod against;
mod body;
mod claim;
mod diagnose;
pub(crate) mod error;
pub(crate) mod key;
mod names;
pub(crate) mod parts;
mod region_set;
pub(crate) mod text;
mod wire;

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use self::{
    key::AnyKey,
    parts::{Credential, Parts, malformed},
};
use crate::{
    Algorithm, Head, Rules, SigningKey, Timestamp,
    asymmetric::AsymmetricKey,
    chunked::{CHUNK_LIMIT, Checksums},
};

pub use body::BodyCheck;
pub use claim::{Claim, Verified};
pub use diagnose::{
    Cause, Diagnosis, Difference, Differences, MOST_TRIALS, ReceivedBody, Side, Used, diagnose,
    differences,
};
pub use error::{Dialect, Error, Place, Refusal};
pub use key::Key;
pub use wire::Wire;

/// What a server accepts.
///
/// The rules by which a request is canonicalized follow from the service in its scope.
///
/// ```
/// use std::time::Duration;
/// use countersign::verify::Verifier;
///
/// let verifier = Verifier::new()
///     .with_region("eu-west-1")
///     .with_services(["s3", "s3express"])
///     .with_clock_skew(Duration::from_secs(5 * 60));
/// # let _ = verifier;
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    pub(crate) clock_skew: Duration,
    pub(crate) longest_expiry: Duration,
    pub(crate) region: Option<String>,
    pub(crate) services: Option<Vec<String>>,
    required_headers: Vec<String>,
    tolerated_headers: Vec<String>,
    pub(crate) rules: Option<Rules>,
    accepts_unsigned: bool,
    checksums: Option<Checksums>,
    chunk_limit: usize,
    pub(crate) is_uniform: bool,
    is_debugging: bool,
    /// Signs in place of a key that nobody has, so that its absence takes as long.
    pub(crate) stand_in: SigningKey,
    /// The same for asymmetric signatures; without it they are refused.
    pub(crate) asymmetric: Option<Arc<dyn AsymmetricKey>>,
}

impl Verifier {
    /// A verifier that allows 15 minutes of clock skew and presigned URLs of a week, for any region and
    /// service.
    ///
    /// A server should name [its region](Verifier::with_region) and [its
    /// services](Verifier::with_services): otherwise a request that was signed for another one, and is
    /// known to whoever runs that, is good here too.
    pub fn new() -> Verifier {
        Verifier {
            clock_skew: Duration::from_secs(15 * 60),
            longest_expiry: Duration::from_secs(604_800),
            region: None,
            services: None,
            required_headers: Vec::new(),
            tolerated_headers: Vec::new(),
            rules: None,
            accepts_unsigned: false,
            checksums: None,
            chunk_limit: CHUNK_LIMIT,
            is_uniform: false,
            is_debugging: false,
            stand_in: SigningKey::from_bytes(&[0; 32]),
            asymmetric: None,
        }
    }

    /// Allows the client's clock to be off by this much, in either direction.
    #[must_use]
    pub fn with_clock_skew(self, skew: Duration) -> Verifier {
        Verifier { clock_skew: skew, ..self }
    }

    /// Refuses presigned URLs that were made to hold for longer.
    #[must_use]
    pub fn with_longest_expiry(self, longest: Duration) -> Verifier {
        Verifier { longest_expiry: longest, ..self }
    }

    /// Accepts this region alone; of a SigV4A signature, the sets that hold it.
    #[must_use]
    pub fn with_region(self, region: impl Into<String>) -> Verifier {
        Verifier { region: Some(region.into()), ..self }
    }

    /// Accepts these signing names alone.
    #[must_use]
    pub fn with_services(self, names: impl IntoIterator<Item = impl Into<String>>) -> Verifier {
        Verifier { services: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    /// Insists that these headers are signed, beside `host`.
    #[must_use]
    pub fn with_required_headers(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Verifier {
        let lower = |name: String| name.to_ascii_lowercase();
        let names = names.into_iter().map(Into::into).map(lower).collect();
        Verifier { required_headers: names, ..self }
    }

    /// Tolerates these `x-amz-*` headers unsigned: those that a hop in front of the server adds, as
    /// CloudFront adds `x-amz-cf-id`.
    #[must_use]
    pub fn with_tolerated_headers(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Verifier {
        Verifier { tolerated_headers: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Canonicalizes by these rules, whatever the service.
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Verifier {
        Verifier { rules: Some(rules), ..self }
    }

    /// Accepts `UNSIGNED-PAYLOAD` for services that do not take it, too.
    #[must_use]
    pub fn with_unsigned_payloads(self, yes: bool) -> Verifier {
        Verifier { accepts_unsigned: yes, ..self }
    }

    /// Computes the checksums that bodies in chunks have in their trailers by this function.
    ///
    /// Without it, a request that declares such a trailer is refused with
    /// [`Refusal::UnsupportedPayload`]: no checksum is accepted unverified. Feature `checksums` has those
    /// that AWS knows.
    ///
    /// ```
    /// use countersign::{chunked::Checksum, verify::Verifier};
    ///
    /// #[derive(Debug, Default)]
    /// struct Xor(u8);
    ///
    /// impl Checksum for Xor {
    ///     fn name(&self) -> &str {
    ///         "x-amz-checksum-xor"
    ///     }
    ///     fn update(&mut self, data: &[u8]) {
    ///         self.0 = data.iter().fold(self.0, |all, byte| all ^ byte);
    ///     }
    ///     fn value_len(&self) -> usize {
    ///         2
    ///     }
    ///     fn write(&self, out: &mut Vec<u8>) {
    ///         out.extend_from_slice(format!("{:02x}", self.0).as_bytes());
    ///     }
    /// }
    ///
    /// let verifier = Verifier::new().with_checksums(|name| match name {
    ///     "x-amz-checksum-xor" => Some(Box::new(Xor::default())),
    ///     _ => None,
    /// });
    /// # let _ = verifier;
    /// ```
    #[must_use]
    pub fn with_checksums(self, by_name: Checksums) -> Verifier {
        Verifier { checksums: Some(by_name), ..self }
    }

    /// Refuses signed chunks of a body that are longer: a chunk is held in memory until its signature held.
    /// 16 MiB unless it is set.
    #[must_use]
    pub fn with_chunk_limit(self, bytes: usize) -> Verifier {
        Verifier { chunk_limit: bytes, ..self }
    }

    /// Answers an unknown key and a wrong token as it answers a wrong signature, so that nobody can try
    /// out which access key ids exist.
    #[must_use]
    pub fn with_uniform_refusals(self, yes: bool) -> Verifier {
        Verifier { is_uniform: yes, ..self }
    }

    /// Tells with each signature that differs what canonical request was compared: for people who debug
    /// a client. The request's session token may stand in it.
    #[must_use]
    pub fn with_debugging(self, yes: bool) -> Verifier {
        Verifier { is_debugging: yes, ..self }
    }

    /// Takes the request's word for who signed it, and checks what can be checked without a key.
    ///
    /// # Errors
    /// A [`Refusal`] of parts that are missing or malformed, of the scope or of the time.
    pub fn claim<'a>(&'a self, head: Head<'a>, now: SystemTime) -> Result<Claim<'a>, Error> {
        Claim::parse(self, head, now)
    }

    #[inline]
    fn check_algorithm(&self, parts: &Parts<'_>) -> Result<(), Error> {
        if parts.algorithm == Algorithm::HmacSha256 || self.asymmetric.is_some() {
            return Ok(());
        }
        let message = format!("signatures by {} are not accepted here", parts.algorithm);
        Err(malformed(parts.place, message))
    }

    /// Whether a credential is one for this verifier, and of the day of the timestamp. The region is that of
    /// the scope, or one that the set holds.
    pub(crate) fn check_scope(
        &self,
        place: Place,
        credential: &Credential<'_>,
        at: Timestamp,
        region_set: Option<&str>,
    ) -> Result<(), Error> {
        let Credential { date, region, service, terminator, .. } = credential;
        let refuse = |message| Err(Error::new(Refusal::WrongScope, place, message));
        if terminator.as_bytes() != b"aws4_request" || date.as_bytes() != at.day() {
            return refuse(
                "the credential scope does not end in aws4_request, or is of another day than the \
                 timestamp",
            );
        }
        let is_there = |wanted: &String| match region_set {
            Some(set) => region_set::holds(set, wanted),
            None => wanted.as_bytes() == region.as_bytes(),
        };
        if !self.region.as_ref().is_none_or(is_there) {
            return refuse("the credential scope is of another region");
        }
        let is_wanted = |wanted: &String| wanted.as_bytes() == service.as_bytes();
        if self.services.as_ref().is_some_and(|services| !services.iter().any(is_wanted)) {
            return refuse("the credential scope is of another service");
        }
        Ok(())
    }

    /// What does the work of a key where there is none.
    fn stand_in(&self, algorithm: Algorithm) -> AnyKey<'_> {
        match &self.asymmetric {
            Some(key) if algorithm == Algorithm::EcdsaP256Sha256 => AnyKey::Asymmetric(&**key),
            _ => AnyKey::Hmac(&self.stand_in),
        }
    }
}

impl Default for Verifier {
    fn default() -> Verifier {
        Verifier::new()
    }
}

/// The Credential that a request names, its access key id before the first slash and its scope behind it, however
/// malformed the rest of it is.
///
/// To say in a log whose request [`Verifier::claim`] refused; it is not to be believed.
///
/// ```
/// use countersign::{Head, Headers, verify::claimed_credential};
///
/// let query = b"X-Amz-Credential=AKID%2F20150830%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=what";
/// let target = [b"/key?", &query[..]].concat();
/// let head = Head::parse(b"GET", &target, Headers::Pairs(&[]))?;
/// let credential = claimed_credential(head).expect("the query holds one");
/// let (access_key_id, scope) = credential.split_once('/').expect("it has a scope");
/// assert_eq!((access_key_id, scope), ("AKID", "20150830/us-east-1/s3/aws4_request"));
/// # Ok::<(), countersign::Error>(())
/// ```
pub fn claimed_credential(head: Head<'_>) -> Option<Cow<'_, str>> {
    parts::claimed_credential(head)
}

/// The service that a request names in its scope, however malformed the rest of it is.
///
/// To choose by it how to answer, or which rules to verify by; it is not to be believed.
///
/// ```
/// use countersign::{Head, Headers, verify::claimed_service};
///
/// let authorization = b"AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/s3/aws4_request, what";
/// let headers: [(&[u8], &[u8]); 1] = [(b"authorization", authorization)];
/// let head = Head::parse(b"GET", b"/", Headers::Pairs(&headers))?;
/// assert_eq!(claimed_service(head).as_deref(), Some("s3"));
/// # Ok::<(), countersign::Error>(())
/// ```
pub fn claimed_service(head: Head<'_>) -> Option<Cow<'_, str>> {
    parts::claimed_service(head)
}

/// A key that a server looked up, for the access key id, the date, the region and the service of a claim.
///
/// ```
/// use countersign::{Scope, SigningKey, verify::Known};
///
/// let key = SigningKey::derive("secret", &Scope::parse("20150830/us-east-1/iam/aws4_request")?);
/// let permanent = Known::new(&key);
/// let temporary = Known::new(&key).with_session_token("token");
/// # let _ = (permanent, temporary);
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    pub(crate) key: AnyKey<'k>,
    pub(crate) session_token: Option<SecretText<'k>>,
}

impl<'k> Known<'k> {
    /// The key of long-lived credentials. One of another algorithm than the claim's makes no signature
    /// that matches.
    pub fn new(key: &'k (impl Key + ?Sized)) -> Known<'k> {
        Known { key: key.as_any(), session_token: None }
    }

    /// The session token that must come with the key; an empty one is none, as it is to a [`Signer`](crate::Signer).
    #[must_use]
    pub fn with_session_token(self, token: &'k str) -> Known<'k> {
        let session_token = Some(SecretText(token)).filter(|token| !token.0.is_empty());
        Known { session_token, ..self }
    }
}

/// Text that `Debug` does not show.
#[derive(Clone, Copy)]
pub(crate) struct SecretText<'k>(pub(crate) &'k str);

impl fmt::Debug for SecretText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}
