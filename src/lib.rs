//! Signs requests to AWS with [Signature Version 4][docs], in headers or in a presigned URL, and verifies
//! such signatures, for every service, without an SDK.
//!
//! The core is pure: it reads no clock, no environment, no file and no socket, and it is not async. The
//! time is an argument, credentials are a value, and what is signed is a borrowed request head. On that
//! floor stand thin adapters for the `http` crate and for `reqwest`, and the providers that find
//! credentials.
//!
//! # Sign a request
//!
//! A [`Signer`] knows a region and a service, and so the [`Rules`] of that service. It takes the request,
//! a [`Payload`] that says what the signature covers of the body, [`Credentials`] and the time:
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{Credentials, Payload, Signer};
//!
//! let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let signer = Signer::new("eu-central-1", "monitoring");
//!
//! let mut request = http::Request::post("https://monitoring.eu-central-1.amazonaws.com/")
//!     .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
//!     .body("Action=ListMetrics&Version=2010-08-01")?;
//! let payload = Payload::hash(request.body());
//! signer.sign(&mut request, payload, &credentials, SystemTime::now())?;
//!
//! assert!(request.headers().contains_key("authorization"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The request is edited in place, wholly or, on an error, not at all. Signing it again replaces the
//! signature, so a retry signs the same request anew. Keep the signer: it and its clones share a
//! bounded cache of derived keys.
//!
//! `reqwest::Request` is signed by the same call under feature `reqwest`; whatever HTTP library you use
//! instead, [`Signer::sign_head`] signs raw bytes into buffers of yours and allocates nothing.
//!
//! # Presign a URL
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use countersign::{Credentials, Presign, Signer};
//!
//! let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let mut get = http::Request::get("https://bucket.s3.eu-central-1.amazonaws.com/cat.jpg").body(())?;
//! let a_quarter = Presign::expires_in(Duration::from_secs(15 * 60));
//! Signer::new("eu-central-1", "s3").presign(&mut get, a_quarter, &credentials, SystemTime::now())?;
//!
//! println!("{}", get.uri());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For all the objects of a listing at once there is [`Signer::presign_many`].
//!
//! # What is signed
//!
//! The signature is an HMAC over a *string to sign*: the algorithm, the time, the *credential scope*
//! (date, region, service) and the SHA-256 of the *canonical request*. That is the request in the one
//! form on which both sides must agree byte for byte:
//!
//! ```text
//! GET                                   the method
//! /cat.jpg                              the path
//! list-type=2&prefix=a%2Fb              the query, decoded, encoded anew and sorted
//! host:bucket.s3.amazonaws.com          each signed header, trimmed and folded, sorted by name
//! x-amz-date:20150830T123600Z
//!
//! host;x-amz-date                       the names of the signed headers
//! e3b0c44298fc1c149afbf4c8996fb924…     the SHA-256 of the body, or a word in its place
//! ```
//!
//! - **Path.** Most services want it normalized and percent-encoded once more than it is on the wire.
//!   The S3 family wants it as it is, encoded once. [`Rules`] holds what a service wants.
//! - **Headers.** All that the request has are signed, but those that something on the way may change,
//!   as `user-agent` and `connection`. [`Signer::with_unsigned_headers`] leaves out more, and
//!   [`Signer::with_minimal_headers`] all that AWS does not insist on. A header that is added after
//!   signing is not signed; S3 refuses such ones that begin with `x-amz-`.
//! - **Body.** [`Payload::hash`] for one in memory, [`Payload::Sha256`] for one that was hashed while it
//!   was read, [`Payload::Unsigned`] where a service takes that.
//!
//! When AWS answers `SignatureDoesNotMatch`, look at [`Signer::explain`]: it shows each of these steps.
//!
//! # Which service and region
//!
//! The host says both, if it is one of AWS's: [`Signer::for_uri`] and [`Signer::for_host`] look it up in a table that
//! [`endpoint`] documents, and refuse what is not certain.
//!
//! ```
//! use countersign::Signer;
//!
//! let signer = Signer::for_host("email.eu-west-1.amazonaws.com", "/")?;
//! assert_eq!((signer.service(), signer.region()), ("ses", "eu-west-1"));
//! # Ok::<(), countersign::endpoint::Unknown>(())
//! ```
//!
//! # Credentials
//!
//! [`Credentials`] are a value, and where they come from is yours to say. Feature `providers` has what AWS's own tools
//! ask: `providers::Chain::standard` looks into the environment, the shared files, web identities, containers and
//! instances, and `providers::Cached` keeps what was found and renews it in time.
//!
//! # Verify
//!
//! A server verifies in three steps, by the same canonicalizer: what the request claims, the server's own look-up of the
//! key, and the proof.
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{Head, Scratch, SigningKey, verify::{Known, Verifier}};
//!
//! # use countersign::{Credentials, Payload, Signer};
//! # let secret_of = |id: &str| (id == "AKIDEXAMPLE").then_some("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! # let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! # let mut request = http::Request::put("https://objects.example/cats/tom.jpg").body("meow")?;
//! # let payload = Payload::hash(request.body());
//! # Signer::new("eu-central-1", "s3").sign(&mut request, payload, &credentials, SystemTime::now())?;
//! # let (parts, body) = request.into_parts();
//! let verifier = Verifier::new().with_region("eu-central-1").with_services(["s3"]);
//! let claim = verifier.claim(Head::from(&parts), SystemTime::now())?;
//! let key = secret_of(claim.access_key_id()).map(|secret| SigningKey::derive(secret, &claim.scope()));
//! let (verified, mut check) = claim.verify(key.as_ref().map(Known::new), None, &mut Scratch::new())?;
//! check.push(body.as_bytes())?;
//! check.finish()?;
//! assert_eq!(verified.access_key_id(), "AKIDEXAMPLE");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Requests to S3 name the hash of their body. Where one does not ([`Claim::payload`](verify::Claim::payload) is
//! `None`), the body is read first, and `Some(Payload::hash(body))` given instead of `None`.
//!
//! [`verify`] says what each step believes, and how refusals become the answers that SDKs read. Bodies that come in
//! chunks are verified, and taken out of them, by the same check as any other body.
//!
//! # Stream a body
//!
//! A body too large to hold is sent in chunks, each with a signature: see [`chunked`] and
//! [`Signer::sign_chunked`].
//!
//! # Errors
//!
//! Signing fails on what cannot be signed, as a header value that is no text, and changes nothing then: [`Error`]
//! says what was seen and where, and [`ErrorKind`] is there to match. Verifying fails with a [`verify::Error`], which
//! has a code and a status; providers with an error of their own. None shows a secret.
//!
//! # Secrets
//!
//! Secrets and session tokens are wiped from memory when the last copy is dropped, as are derived keys
//! and buffers; no `Debug`, error or log of this crate shows them. Header values and URLs that were
//! handed to other crates are theirs: they are marked sensitive, but cannot be wiped.
//!
//! # Features
//!
//! None is on by default, and none changes what another does.
//!
//! - `body`: bodies in chunks, signed or verified, as [`http_body::Body`](https://docs.rs/http-body).
//! - `checksums`: the checksums that travel behind a body in chunks.
//! - `eventstream`: event streams, whose messages are signed one by one.
//! - `login`: credentials of sessions that somebody began on a console. Brings `providers`.
//! - `post`: forms with which a browser uploads to S3, signed and verified.
//! - `providers`: credentials from the environment and the shared files, kept and renewed in time.
//! - `reqwest`: [`SignRequest`] for `reqwest::Request`, and with `providers` an HTTP client for these. TLS
//!   stays your choice.
//! - `roles-anywhere`: credentials for an X.509 certificate, from IAM Roles Anywhere. Brings `providers`.
//! - `sigv4a`: signatures that hold in more regions than one, made and verified by ECDSA.
//! - `tokens`: passwords, bearer tokens and URLs that are signatures in disguise, for databases, caches,
//!   Kubernetes, Kafka, git and others.
//! - `tower`: layers that sign around a client, or verify around a server. Brings `body` and `providers`.
//!
//! [docs]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod algorithm;
mod asymmetric;
#[cfg(feature = "body")]
pub mod body;
mod bytes;
mod canonical;
mod chain;
#[cfg(doctest)]
mod chapters;
#[cfg(feature = "checksums")]
pub mod checksums;
pub mod chunked;
mod credentials;
pub mod endpoint;
mod error;
#[cfg(feature = "eventstream")]
pub mod eventstream;
mod explain;
mod head;
mod key;
mod payload;
mod pool;
#[cfg(feature = "post")]
pub mod post;
mod presign;
mod presign_many;
#[cfg(feature = "providers")]
pub mod providers;
mod remembered;
mod request;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod rules;
mod scope;
mod sha256;
mod shape;
mod signed;
mod signer;
#[cfg(feature = "sigv4a")]
pub mod sigv4a;
mod timestamp;
#[cfg(feature = "tokens")]
pub mod tokens;
#[cfg(feature = "tower")]
pub mod tower;
mod unsigned;
pub mod verify;

pub use algorithm::Algorithm;
pub use canonical::Scratch;
pub use credentials::Credentials;
pub use error::{Error, ErrorKind};
pub use explain::Explanation;
pub use head::{Head, Headers};
pub use key::{KeyCache, SigningKey};
pub use payload::{Payload, PayloadLine};
pub use presign::{Life, Presign};
pub use presign_many::PresignMany;
pub use request::SignRequest;
pub use rules::Rules;
pub use scope::Scope;
pub use signed::{Presigned, Signed};
pub use signer::Signer;
pub use timestamp::Timestamp;
