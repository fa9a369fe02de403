//! Why a request was refused, and how AWS says it.

use std::{borrow::Cow, error, fmt};

use crate::Rules;

/// Why a request was refused: what was seen, and what AWS would answer.
///
/// The text never holds the signature that was expected, a secret or a token: the first of these would
/// sign the attacker's request.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Head, Headers, verify::{Dialect, Refusal, Verifier}};
///
/// let headers: [(&[u8], &[u8]); 1] = [(b"host", b"bucket.s3.amazonaws.com")];
/// let head = Head::parse(b"GET", b"/cat.jpg", Headers::Pairs(&headers))?;
/// let verifier = Verifier::new();
/// let error = verifier.claim(head, SystemTime::now()).unwrap_err();
/// assert_eq!(error.refusal(), Refusal::NoCredentials);
/// assert_eq!(error.code(Dialect::S3), "AccessDenied");
/// assert_eq!(error.code(Dialect::General), "MissingAuthenticationToken");
/// assert_eq!(error.status(Dialect::S3), 403);
/// # Ok::<(), countersign::Error>(())
/// ```
pub struct Error {
    refusal: Refusal,
    place: Place,
    message: Cow<'static, str>,
    uniform: bool,
    debug: Option<Box<Steps>>,
}

/// The sort of thing for which a request is refused, in the order in which it is looked for.
///
/// ```
/// use countersign::verify::Refusal;
///
/// assert_ne!(Refusal::UnknownKey, Refusal::SignatureDiffers);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// There is neither an Authorization header nor a signature in the query.
    NoCredentials,
    /// The Authorization header, the query, an escape or a header cannot be read.
    Malformed,
    /// A signature in the header and in the query, or a part of one twice.
    Ambiguous,
    /// A presigned URL's life is missing, no number, or not from one second to a week.
    InvalidExpiry,
    /// S3 insists on `x-amz-content-sha256`, and it is not there.
    MissingContentSha256,
    /// The scope is of another day than the timestamp, or of another region or service than wanted.
    WrongScope,
    /// The timestamp is off by more than the clock skew allowed.
    TimeSkewed,
    /// A presigned URL has expired, or is dated too far ahead.
    Expired,
    /// `host`, or another header that must be signed, is not.
    NotSigned,
    /// An `x-amz-*` header is there that is not signed.
    UnsignedHeader,
    /// Nobody has this access key id.
    UnknownKey,
    /// The session token is missing, unexpected, or not the key's.
    WrongToken,
    /// The signature is not the one that the request would have.
    SignatureDiffers,
    /// A payload that may not be left unsigned is.
    UnsignedPayload,
    /// A form of streaming body that cannot be checked.
    UnsupportedPayload,
    /// The body is not the one whose hash was signed.
    BodyDiffers,
    /// A body that streams cannot be taken apart, or goes on behind its end.
    MalformedBody,
    /// A body that streams breaks off before its end.
    IncompleteBody,
}

/// How a service says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// As all services but S3.
    General,
    /// As S3.
    S3,
}

impl Dialect {
    /// How the service with this signing name says no.
    ///
    /// ```
    /// use countersign::verify::Dialect;
    ///
    /// assert_eq!(Dialect::of_service("s3-outposts"), Dialect::S3);
    /// assert_eq!(Dialect::of_service("sts"), Dialect::General);
    /// ```
    pub fn of_service(signing_name: &str) -> Dialect {
        if Rules::for_service(signing_name).presigns_unsigned() {
            Dialect::S3
        } else {
            Dialect::General
        }
    }
}

/// Where a request carries its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the Authorization header.
    Header,
    /// In the query: a presigned URL.
    Query,
}

/// What the verifier made of a request; only a debugging verifier tells.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    pub(crate) access_key_id: String,
    pub(crate) canonical_request: String,
    /// The signature that came with the request, not the one that was expected.
    pub(crate) signature_provided: String,
    pub(crate) string_to_sign: String,
}

impl Error {
    pub(crate) fn new(
        refusal: Refusal,
        place: Place,
        message: impl Into<Cow<'static, str>>,
    ) -> Error {
        Error { refusal, place, message: message.into(), uniform: false, debug: None }
    }

    /// The same refusal, which outwardly is no other than a wrong signature.
    pub(crate) fn made_uniform(self, yes: bool) -> Error {
        Error { uniform: self.uniform || yes, ..self }
    }

    pub(crate) fn with_steps(self, steps: Option<Steps>) -> Error {
        Error { debug: steps.map(Box::new), ..self }
    }

    /// What was wrong. For logs and decisions of the server's own: the client is told [`Error::code`].
    pub fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// AWS's code for it, as `SignatureDoesNotMatch`.
    pub fn code(&self, dialect: Dialect) -> &'static str {
        self.answer(dialect).0
    }

    /// The HTTP status that goes with the code.
    pub fn status(&self, dialect: Dialect) -> u16 {
        self.answer(dialect).1
    }

    /// What the client may be told.
    pub fn message(&self) -> &str {
        if self.uniform { MISMATCH } else { &self.message }
    }

    /// The canonical request as the verifier saw it, if the signature differed and the verifier
    /// [debugs](super::Verifier::with_debugging).
    pub fn canonical_request(&self) -> Option<&str> {
        self.debug.as_ref().map(|steps| steps.canonical_request.as_str())
    }

    /// The string to sign as the verifier saw it, under the same conditions.
    pub fn string_to_sign(&self) -> Option<&str> {
        self.debug.as_ref().map(|steps| steps.string_to_sign.as_str())
    }

    pub(super) fn steps(&self) -> Option<&Steps> {
        self.debug.as_deref()
    }

    fn answer(&self, dialect: Dialect) -> (&'static str, u16) {
        if self.uniform {
            return ("SignatureDoesNotMatch", 403);
        }
        let malformed = match self.place {
            Place::Header => "AuthorizationHeaderMalformed",
            Place::Query => "AuthorizationQueryParametersError",
        };
        let (s3, general) = match self.refusal {
            Refusal::NoCredentials => (("AccessDenied", 403), ("MissingAuthenticationToken", 403)),
            Refusal::Malformed | Refusal::InvalidExpiry => {
                ((malformed, 400), ("IncompleteSignature", 400))
            }
            Refusal::Ambiguous => (("InvalidArgument", 400), ("IncompleteSignature", 400)),
            Refusal::MissingContentSha256 => {
                (("InvalidRequest", 400), ("IncompleteSignature", 400))
            }
            Refusal::WrongScope => ((malformed, 400), ("SignatureDoesNotMatch", 403)),
            Refusal::TimeSkewed => (("RequestTimeTooSkewed", 403), ("SignatureDoesNotMatch", 403)),
            Refusal::Expired | Refusal::NotSigned | Refusal::UnsignedHeader => {
                (("AccessDenied", 403), ("SignatureDoesNotMatch", 403))
            }
            Refusal::UnknownKey => (("InvalidAccessKeyId", 403), ("InvalidClientTokenId", 403)),
            Refusal::WrongToken => (("InvalidToken", 400), ("InvalidClientTokenId", 403)),
            Refusal::SignatureDiffers => {
                (("SignatureDoesNotMatch", 403), ("SignatureDoesNotMatch", 403))
            }
            Refusal::UnsupportedPayload => (("NotImplemented", 501), ("NotImplemented", 501)),
            Refusal::BodyDiffers | Refusal::UnsignedPayload => {
                (("XAmzContentSHA256Mismatch", 400), ("SignatureDoesNotMatch", 403))
            }
            Refusal::MalformedBody => (("InvalidRequest", 400), ("IncompleteSignature", 400)),
            Refusal::IncompleteBody => (("IncompleteBody", 400), ("IncompleteBody", 400)),
        };
        match dialect {
            Dialect::General => general,
            Dialect::S3 => s3,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {})", self.refusal, self.message)
    }
}

impl error::Error for Error {}

/// What AWS says of every signature that differs.
pub(crate) const MISMATCH: &str = "The request signature we calculated does not match the \
    signature you provided. Check your key and signing method.";
