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
    /// Where in a body in chunks it went wrong.
    part: Option<Part>,
}

#[derive(Clone, Copy)]
struct Part {
    chunk: Option<u64>,
    offset: u64,
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
    /// A field that a POST form must have is missing, or holds what it cannot.
    MalformedForm,
    /// The fields of a POST form are longer than S3 takes.
    FormTooLong,
    /// A signature in the header and in the query, a part of one twice, or a field of a form twice.
    Ambiguous,
    /// A presigned URL's life is missing, no number, or not from one second to a week.
    InvalidExpiry,
    /// S3 insists on `x-amz-content-sha256`, and it is not there.
    MissingContentSha256,
    /// The scope is of another day than the timestamp, or of another region or service than wanted.
    WrongScope,
    /// The timestamp is off by more than the clock skew allowed.
    TimeSkewed,
    /// A presigned URL or a POST policy has expired, or is dated too far ahead.
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
    /// A POST policy that was signed is no policy.
    InvalidPolicy,
    /// A POST form does not keep to its policy.
    PolicyNotMet,
    /// A payload that may not be left unsigned is.
    UnsignedPayload,
    /// A form of streaming body that cannot be checked, or a trailer for which nothing vouches.
    UnsupportedPayload,
    /// The body is not the one whose hash was signed.
    BodyDiffers,
    /// A chunk of the body, or its trailer, does not have the signature that it would have.
    ChunkSignatureDiffers,
    /// A chunk is longer than what may be held until its signature held.
    ChunkTooLong,
    /// A checksum in the trailer is not the one of the body.
    ChecksumDiffers,
    /// The body ends too early or goes on too long, or its length is not the one that the request says.
    IncompleteBody,
    /// What frames a chunk cannot be read.
    MalformedChunk,
    /// The trailer cannot be read, or its lines are not those that the request declares.
    MalformedTrailer,
    /// A message of an event stream cannot be read, or comes behind the end.
    MalformedMessage,
    /// The file of a POST form is larger than its policy allows.
    FileTooLarge,
    /// The file of a POST form is smaller than its policy asks.
    FileTooSmall,
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
        Error { refusal, place, message: message.into(), uniform: false, debug: None, part: None }
    }

    /// The same refusal, which outwardly is no other than a wrong signature.
    pub(crate) fn made_uniform(self, yes: bool) -> Error {
        Error { uniform: self.uniform || yes, ..self }
    }

    pub(crate) fn with_steps(self, steps: Option<Steps>) -> Error {
        Error { debug: steps.map(Box::new), ..self }
    }

    /// The same refusal, of this part of a body in chunks.
    pub(crate) fn with_part(self, chunk: Option<u64>, offset: u64) -> Error {
        Error { part: Some(Part { chunk, offset }), ..self }
    }

    /// The same refusal, said once more.
    pub(crate) fn again(&self) -> Error {
        let Error { refusal, place, uniform, debug, part, .. } = self;
        Error {
            refusal: *refusal,
            place: *place,
            message: self.message.clone(),
            uniform: *uniform,
            debug: debug.clone(),
            part: *part,
        }
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

    /// Which chunk of the body was refused, counted from 1; `None` for all else, the trailer too.
    pub fn chunk(&self) -> Option<u64> {
        self.part.and_then(|part| part.chunk)
    }

    /// Where in the body, as it was sent, the chunk or the trailer begins that was refused; `None` for what
    /// is no part of a body in chunks.
    pub fn body_offset(&self) -> Option<u64> {
        self.part.map(|part| part.offset)
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
            Refusal::MalformedForm => (("InvalidArgument", 400), ("InvalidArgument", 400)),
            Refusal::FormTooLong => (
                ("MaxPostPreDataLengthExceededError", 400),
                ("MaxPostPreDataLengthExceededError", 400),
            ),
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
            Refusal::SignatureDiffers | Refusal::ChunkSignatureDiffers => {
                (("SignatureDoesNotMatch", 403), ("SignatureDoesNotMatch", 403))
            }
            Refusal::InvalidPolicy => {
                (("InvalidPolicyDocument", 400), ("InvalidPolicyDocument", 400))
            }
            Refusal::PolicyNotMet => (("AccessDenied", 403), ("AccessDenied", 403)),
            Refusal::UnsupportedPayload => (("NotImplemented", 501), ("NotImplemented", 501)),
            Refusal::BodyDiffers | Refusal::UnsignedPayload => {
                (("XAmzContentSHA256Mismatch", 400), ("SignatureDoesNotMatch", 403))
            }
            Refusal::ChunkTooLong => (("EntityTooLarge", 400), ("RequestEntityTooLarge", 413)),
            // Only S3 and its like take bodies in chunks, so the codes are S3's in both.
            Refusal::ChecksumDiffers => (("BadDigest", 400), ("BadDigest", 400)),
            Refusal::IncompleteBody => (("IncompleteBody", 400), ("IncompleteBody", 400)),
            Refusal::MalformedChunk => (("InvalidRequest", 400), ("InvalidRequest", 400)),
            Refusal::MalformedTrailer => {
                (("MalformedTrailerError", 400), ("MalformedTrailerError", 400))
            }
            Refusal::MalformedMessage => (("InvalidRequest", 400), ("IncompleteSignature", 400)),
            // Only S3 takes forms, so there is one way to say these.
            Refusal::FileTooLarge => (("EntityTooLarge", 400), ("EntityTooLarge", 400)),
            Refusal::FileTooSmall => (("EntityTooSmall", 400), ("EntityTooSmall", 400)),
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
