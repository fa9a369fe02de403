//! Why a request was not signed.

use std::{borrow::Cow, error, fmt};

/// Why a request was not signed: what was seen, where, and so what to mend.
///
/// The request is untouched when this is returned. The text never holds a secret, a session token or a
/// signature.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::{Credentials, ErrorKind, Payload, Signer};
///
/// let mut request = http::Request::get("/no/host").body(())?;
/// let error = Signer::new("eu-central-1", "sts")
///     .sign(&mut request, Payload::EMPTY, &Credentials::new("AKID", "secret"), SystemTime::UNIX_EPOCH)
///     .unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::MissingHost);
/// assert!(error.to_string().contains("no `host` header"));
/// # Ok::<(), http::Error>(())
/// ```
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error { kind, message: message.into() }
    }

    /// What sort of thing was wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({}: {})", self.kind, self.message)
    }
}

impl error::Error for Error {}

/// The sort of thing that kept a request from being signed.
///
/// ```
/// assert_eq!(countersign::ErrorKind::MalformedEscape.as_str(), "malformed_escape");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A body in chunks that is longer or shorter than was declared, or too long to have a length.
    BodyLength,
    /// Two `host` headers, or one that differs from the authority in the URL.
    ConflictingHost,
    /// An access key id, secret or session token with which nothing can be signed.
    InvalidCredentials,
    /// The seed of an event stream that is no signature, or a message that cannot be wrapped.
    InvalidEvent,
    /// A presigned URL's life that is not a whole number of seconds from 1 to 604800, or a POST
    /// policy's that is not within them.
    InvalidExpiry,
    /// A header name that is not a token, or a value with CR, LF or NUL.
    InvalidHeader,
    /// A method that is not a token.
    InvalidMethod,
    /// A POST policy that S3 would refuse, or a form that cannot keep to its policy.
    InvalidPolicy,
    /// An empty region or service, or one with `/`, `,` or a control byte; a region set may have commas.
    InvalidScope,
    /// A time before 1970 or after 9999.
    InvalidTime,
    /// A field of a token that its service would not take, as an empty user, or a cache's endpoint in
    /// place of its name.
    InvalidTokenField,
    /// A relative URL, or one that cannot be taken apart or put together again.
    InvalidUrl,
    /// A `%` without two hexadecimal digits behind it.
    MalformedEscape,
    /// Neither a `host` header nor an authority in the URL.
    MissingHost,
    /// A body in chunks behind a head that was signed for another payload, or for a service that takes no
    /// chunks.
    UnsupportedPayload,
}

impl ErrorKind {
    /// The kind as the JSON Lines interface spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::BodyLength => "body_length",
            ErrorKind::ConflictingHost => "conflicting_host",
            ErrorKind::InvalidCredentials => "invalid_credentials",
            ErrorKind::InvalidEvent => "invalid_event",
            ErrorKind::InvalidExpiry => "invalid_expiry",
            ErrorKind::InvalidHeader => "invalid_header",
            ErrorKind::InvalidMethod => "invalid_method",
            ErrorKind::InvalidPolicy => "invalid_policy",
            ErrorKind::InvalidScope => "invalid_scope",
            ErrorKind::InvalidTime => "invalid_time",
            ErrorKind::InvalidTokenField => "invalid_token_field",
            ErrorKind::InvalidUrl => "invalid_url",
            ErrorKind::MalformedEscape => "malformed_escape",
            ErrorKind::MissingHost => "missing_host",
            ErrorKind::UnsupportedPayload => "unsupported_payload",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
