//! HTTP, as providers see it.

use std::{error, fmt, future, net::IpAddr, time::Duration};

use ::http::{Request, Response};
use bytes::Bytes;

use super::Nothing;
use crate::providers::BoxFuture;

/// An HTTP client: one request, one whole answer, within [limits](HttpLimits).
///
/// It never follows a redirect: what a request carries is for the host that it names. TLS is the client's
/// own business; it must check certificates.
///
/// A function is one, which is enough for tests:
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use countersign::providers::{HttpLimits, Ports};
///
/// let answer = |request: Request<Bytes>, _: HttpLimits| {
///     Ok(Response::new(Bytes::from(request.uri().path().to_owned())))
/// };
/// let ports = Ports::empty().with_http(answer);
/// # let _ = ports;
/// ```
pub trait HttpClient: Send + Sync {
    /// Sends a request, whose URI is absolute, and reads the whole answer.
    ///
    /// # Errors
    /// If there is no answer within the limits. An answer with a status of failure is an answer.
    fn send(
        &self,
        request: Request<Bytes>,
        limits: HttpLimits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, HttpError>>;
}

impl<F> HttpClient for F
where
    F: Fn(Request<Bytes>, HttpLimits) -> Result<Response<Bytes>, HttpError> + Send + Sync,
{
    fn send(
        &self,
        request: Request<Bytes>,
        limits: HttpLimits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, HttpError>> {
        Box::pin(future::ready(self(request, limits)))
    }
}

impl HttpClient for Nothing {
    fn send(
        &self,
        _: Request<Bytes>,
        _: HttpLimits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, HttpError>> {
        let message = "no HTTP client was given (Ports::with_http)";
        Box::pin(future::ready(Err(HttpError::new(HttpErrorKind::Unavailable, message))))
    }
}

/// How long a request may take, how much may come back, and which way it goes.
///
/// ```
/// use std::time::Duration;
/// use countersign::providers::HttpLimits;
///
/// let limits = HttpLimits::new(Duration::from_secs(5)).with_connect(Duration::from_secs(2)).direct();
/// assert!(limits.direct);
/// assert_eq!(limits.max_body, 1 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpLimits {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// From the first step to the last byte of the answer.
    pub total: Duration,
    /// How many bytes the answer's body may have.
    pub max_body: usize,
    /// Whether to go past any proxy: metadata addresses are this machine's own.
    pub direct: bool,
    /// The address to connect to, whatever the host's name stands for by now: the one that was looked
    /// at and found good.
    pub address: Option<IpAddr>,
}

impl HttpLimits {
    /// A request that may take this long, to connect too, with an answer of at most 1 MiB.
    pub fn new(total: Duration) -> HttpLimits {
        HttpLimits { connect: total, total, max_body: 1 << 20, direct: false, address: None }
    }

    /// The same limits with this much of the time for the connection.
    #[must_use]
    pub fn with_connect(self, connect: Duration) -> HttpLimits {
        HttpLimits { connect, ..self }
    }

    /// The same limits, past any proxy.
    #[must_use]
    pub fn direct(self) -> HttpLimits {
        HttpLimits { direct: true, ..self }
    }

    /// The same limits with the address to connect to.
    #[must_use]
    pub fn with_address(self, address: IpAddr) -> HttpLimits {
        HttpLimits { address: Some(address), ..self }
    }
}

/// Why there is no answer.
///
/// ```
/// use countersign::providers::{HttpError, HttpErrorKind};
///
/// let error = HttpError::new(HttpErrorKind::TimedOut, "no answer within 5 s");
/// assert_eq!(error.to_string(), "no answer within 5 s");
/// ```
pub struct HttpError {
    kind: HttpErrorKind,
    message: String,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

impl HttpError {
    /// An error of this kind; the message says what was seen, without secrets.
    pub fn new(kind: HttpErrorKind, message: impl Into<String>) -> HttpError {
        HttpError { kind, message: message.into(), source: None }
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> HttpError {
        HttpError { source: Some(source.into()), ..self }
    }

    /// What sort of thing went wrong.
    pub fn kind(&self) -> HttpErrorKind {
        self.kind
    }
}

/// What sort of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// There is no client, or the client cannot do this.
    Unavailable,
    /// Nobody took the connection.
    Connect,
    /// A limit of time was reached.
    TimedOut,
    /// The answer is longer than it may be.
    TooLarge,
    /// Anything else: a connection that broke, an answer that is no HTTP.
    Failed,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl error::Error for HttpError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn error::Error + 'static))
    }
}
