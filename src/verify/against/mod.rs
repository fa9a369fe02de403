//! A server's canonical request beside ours: what differs, and why.
//!
//! A server that answers `SignatureDoesNotMatch` often tells what it signed. Whatever differs from
//! what we would sign of the same request is the cause: something on the way changed the request,
//! or one side canonicalizes by other rules. If nothing differs, the secret does.
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{
//!     Credentials, Head, Headers, Payload, Rules, Scratch, Signer,
//!     verify::against::{Answer, Cause, Ours, compare},
//! };
//!
//! // The service takes the path encoded once.
//! let signer = Signer::new("eu-west-1", "execute-api");
//! let head = Head::parse(b"GET", b"https://api.example.com/a%20b", Headers::Pairs(&[]))?;
//! let credentials = Credentials::new("AKIDEXAMPLE", "secret");
//! let mut scratch = Scratch::new();
//! let at = SystemTime::UNIX_EPOCH;
//! let signed = signer.sign_head(head, Payload::EMPTY, &credentials, at, &mut scratch)?;
//! let explanation = signed.explain();
//!
//! let theirs = explanation.canonical_request().replace("%2520", "%20");
//! let answer = Answer::new(
//!     "InvalidSignatureException",
//!     format!("The Canonical String for this request should have been\n'{theirs}'\n"),
//! );
//! let comparison = compare(&Ours::from(&explanation), &answer);
//! assert_eq!(comparison.causes(), [Cause::PathEncodedTwice]);
//! # Ok::<(), countersign::Error>(())
//! ```

mod answer;
mod cause;
mod differences;

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::differences::Differences;
use crate::{Explanation, Timestamp, explain};

pub use answer::Answer;
pub use cause::Cause;

/// What we would sign.
///
/// ```
/// use countersign::verify::against::Ours;
///
/// let ours = Ours::new("GET\n/\n\nhost:h\n\nhost\nUNSIGNED-PAYLOAD", "AWS4-HMAC-SHA256\n…");
/// let ours = ours.with_access_key_id("AKIDEXAMPLE");
/// # let _ = ours;
/// ```
#[derive(Clone)]
pub struct Ours<'a> {
    /// Its session token masked.
    canonical_request: Cow<'a, str>,
    string_to_sign: &'a str,
    access_key_id: Option<&'a str>,
    signature: Option<&'a str>,
}

impl<'a> Ours<'a> {
    /// A canonical request and a string to sign.
    pub fn new(canonical_request: &str, string_to_sign: &'a str) -> Ours<'a> {
        Ours {
            canonical_request: Cow::Owned(explain::mask(canonical_request)),
            string_to_sign,
            access_key_id: None,
            signature: None,
        }
    }

    /// Whose key we would sign with.
    #[must_use]
    pub fn with_access_key_id(self, id: &'a str) -> Ours<'a> {
        Ours { access_key_id: Some(id), ..self }
    }

    /// The signature that we would make. It is compared and never shown.
    #[must_use]
    pub fn with_signature(self, signature: &'a str) -> Ours<'a> {
        Ours { signature: Some(signature), ..self }
    }
}

impl<'a> From<&'a Explanation> for Ours<'a> {
    fn from(explanation: &'a Explanation) -> Ours<'a> {
        Ours {
            canonical_request: Cow::Borrowed(explanation.canonical_request()),
            string_to_sign: explanation.string_to_sign(),
            access_key_id: Some(explanation.access_key_id()),
            signature: None,
        }
    }
}

impl fmt::Debug for Ours<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ours").field("string_to_sign", &self.string_to_sign).finish_non_exhaustive()
    }
}

/// A line of ours beside the server's.
///
/// Session tokens and the values of other headers that hold secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// What the line is: `method`, `path`, `query`, `header`, `signed headers`, `payload`; or
    /// `algorithm`, `time`, `scope`, `hash`.
    pub part: &'static str,
    /// Our line, if we have it.
    pub ours: Option<String>,
    /// The server's line, if it has it.
    pub theirs: Option<String>,
    /// Before how many characters the two differ first; `None` if they are equal.
    pub differs_at: Option<usize>,
}

/// What [`compare`] found.
#[derive(Clone, Debug)]
pub struct Comparison {
    causes: Vec<Cause>,
    canonical_request: Vec<Line>,
    string_to_sign: Vec<Line>,
}

impl Comparison {
    /// Why the request was refused: what the server says itself first, then each difference in the
    /// order of the canonical request.
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// The lines of both canonical requests; none if the server did not show its own.
    pub fn canonical_request(&self) -> &[Line] {
        &self.canonical_request
    }

    /// The lines of both strings to sign; none if the server did not show its own.
    pub fn string_to_sign(&self) -> &[Line] {
        &self.string_to_sign
    }
}

/// Lays what a server says beside what we would sign.
pub fn compare(ours: &Ours<'_>, answer: &Answer) -> Comparison {
    let mut found = Differences::new(answer.causes());
    let theirs = answer.raw_canonical_request();
    let text = answer.string_to_sign();
    let scope = text.as_deref().unwrap_or(ours.string_to_sign).split('\n').nth(2);
    let service = scope.and_then(|scope| scope.split('/').rev().nth(1)).unwrap_or_default();
    if let (Some(ours), Some(theirs)) = (ours.access_key_id, answer.access_key_id()) {
        found.key(ours, theirs);
    }
    if let Some(theirs) = &theirs {
        found.canonical_request(&ours.canonical_request, &explain::mask(theirs), service);
    }
    if let Some(text) = &text {
        found.string_to_sign(ours.string_to_sign, text);
    }
    if ours.access_key_id.is_some_and(|id| id.starts_with("ASIA"))
        && !ours.canonical_request.to_ascii_lowercase().contains("token")
    {
        found.add(Cause::TokenMissing);
    }
    if found.causes.is_empty() {
        found.causes.extend(hidden(ours, answer, theirs.as_deref(), text.as_deref()));
    }
    found.finish()
}

/// The cause where all lines look the same.
fn hidden(
    ours: &Ours<'_>,
    answer: &Answer,
    theirs: Option<&str>,
    string_to_sign: Option<&str>,
) -> Option<Cause> {
    let last = |text: &str| text.rsplit('\n').next().unwrap_or_default().to_owned();
    let hash = last(ours.string_to_sign);
    let shown = theirs.map(|text| hex::encode(Sha256::digest(text)));
    let said = string_to_sign.map(last);
    match (shown, said) {
        // Neither text: the answer is of something else.
        (None, None) => return None,
        (None, Some(said)) if said != hash => return Some(Cause::CanonicalRequestHidden),
        (Some(shown), said) if shown != hash => {
            // What is shown is what was signed, so it differs where it is masked.
            let is_exact = said.is_none_or(|said| said == shown);
            return Some(if is_exact && ours.canonical_request.contains("<session token of ") {
                Cause::TokenDiffers
            } else {
                Cause::AnswerAltered
            });
        }
        (Some(_), Some(said)) if said != hash => return Some(Cause::AnswerAltered),
        _ => {}
    }
    let is_other = ours
        .signature
        .zip(answer.signature())
        .is_some_and(|(ours, theirs)| !bool::from(ours.as_bytes().ct_eq(theirs.as_bytes())));
    Some(if is_other { Cause::SignedOtherwise } else { Cause::SecretDiffers })
}

/// Whether `at` is behind `reference`, and how far apart they are.
fn offset(at: Timestamp, reference: Timestamp) -> (bool, Duration) {
    let (at, reference) = (SystemTime::from(at), SystemTime::from(reference));
    match at.duration_since(reference) {
        Ok(ahead) => (false, ahead),
        Err(behind) => (true, behind.duration()),
    }
}
