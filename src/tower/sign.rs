//! Signing each request before a client sends it.

use std::{
    error, fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    BODY_LIMIT, Body, BoxError, Clock,
    body::{NotRead, read},
};
use crate::{
    Error, Payload, Signer,
    providers::{ProvideCredentials, ProviderError},
};

/// Signs requests with the credentials of a provider, then hands them to a client.
///
/// Put it inside a retry layer, so that each attempt is signed anew, and switch off the redirects of the
/// client: see the [module](super). A signature that is there already is replaced.
///
/// ```
/// use std::sync::Arc;
/// use countersign::{Credentials, Signer, tower::SignLayer};
///
/// let signer = Signer::new("eu-west-1", "sqs");
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let layer = SignLayer::new(signer, Arc::new(credentials));
/// # let _ = layer;
/// ```
///
/// # Bodies
///
/// What the signature says of the body is, the first of these that holds:
/// 1. the [`Payload`] among the request's extensions, for a caller who hashed the body while writing it;
/// 2. the hash of a body that says how long it is, as those in memory do, and is not longer than the
///    [limit](SignLayer::with_body_limit): it is read into memory;
/// 3. what [`SignLayer::with_long_bodies`] says of all others.
#[derive(Clone, Debug)]
pub struct SignLayer {
    signer: Signer,
    provider: Arc<dyn ProvideCredentials>,
    clock: Clock,
    body_limit: usize,
    long_bodies: LongBody,
}

/// What becomes of a request whose body is too long to be hashed in memory, or of unknown length.
///
/// ```
/// use countersign::tower::LongBody;
///
/// assert_eq!(LongBody::default(), LongBody::Refuse);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LongBody {
    /// It is not sent: [`SignError::LongBody`].
    #[default]
    Refuse,
    /// Its body is left unsigned, `UNSIGNED-PAYLOAD`; S3 takes that, over TLS.
    Unsigned,
}

impl SignLayer {
    /// A layer that asks `provider` for credentials with each request, so that it should be one that
    /// keeps them.
    pub fn new(signer: Signer, provider: Arc<dyn ProvideCredentials>) -> SignLayer {
        SignLayer {
            signer,
            provider,
            clock: Clock::system(),
            body_limit: BODY_LIMIT,
            long_bodies: LongBody::Refuse,
        }
    }

    /// The same layer by another clock than the system's.
    #[must_use]
    pub fn with_clock(self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> SignLayer {
        SignLayer { clock: Clock::new(now), ..self }
    }

    /// Reads bodies up to this length into memory to hash them; 2 MiB unless it is set.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> SignLayer {
        SignLayer { body_limit: bytes, ..self }
    }

    /// What becomes of longer bodies, and of those that do not say how long they are.
    #[must_use]
    pub fn with_long_bodies(self, policy: LongBody) -> SignLayer {
        SignLayer { long_bodies: policy, ..self }
    }

    async fn sign<B>(&self, request: Request<B>) -> Result<Request<Body<B>>, SignError>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (parts, body) = request.into_parts();
        let (payload, body) = self.payload(parts.extensions.get(), body).await?;
        let mut request = Request::from_parts(parts, body);
        let provided = self.provider.provide().await.map_err(SignError::Provider)?;
        let credentials =
            provided.ok_or_else(|| SignError::NoCredentials(self.provider.absence()))?;
        self.signer
            .sign(&mut request, payload, &credentials, self.clock.now())
            .map_err(SignError::Signing)?;
        Ok(request)
    }

    async fn payload<B>(
        &self,
        given: Option<&Payload>,
        body: B,
    ) -> Result<(Payload, Body<B>), SignError>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
    {
        if let Some(&payload) = given {
            return Ok((payload, Body::passed(body)));
        }
        let len = body.size_hint().exact();
        if len.is_some_and(|len| len <= self.body_limit as u64) {
            return match read(body, self.body_limit).await {
                Ok(whole) => {
                    Ok((Payload::hash(&whole.data), Body::whole(whole.data, whole.trailers)))
                }
                Err(NotRead::Failed(error)) => Err(SignError::Body(error)),
                Err(NotRead::TooLong) => Err(self.too_long(len)),
            };
        }
        match self.long_bodies {
            LongBody::Refuse => Err(self.too_long(len)),
            LongBody::Unsigned => Ok((Payload::Unsigned, Body::passed(body))),
        }
    }

    fn too_long(&self, len: Option<u64>) -> SignError {
        SignError::LongBody { len, limit: self.body_limit }
    }
}

impl<S> Layer<S> for SignLayer {
    type Service = Sign<S>;

    fn layer(&self, inner: S) -> Sign<S> {
        Sign { inner, layer: Arc::new(self.clone()) }
    }
}

/// A client behind a [`SignLayer`]. It is ready when the inner one is.
///
/// Its errors are those of the inner one, and [`SignError`]s.
///
/// ```
/// use std::{convert::Infallible, sync::Arc};
/// use bytes::Bytes;
/// use countersign::{Credentials, Signer, tower::SignLayer};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let client = ServiceBuilder::new()
///     .layer(SignLayer::new(Signer::new("eu-west-1", "sqs"), Arc::new(credentials)))
///     .service(service_fn(async |request: http::Request<_>| {
///         Ok::<_, Infallible>(request.headers()["authorization"].clone())
///     }));
/// let request = http::Request::post("https://sqs.eu-west-1.amazonaws.com/").body(Full::from("{}"))?;
/// assert!(client.oneshot(request).await.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sign<S> {
    inner: S,
    layer: Arc<SignLayer>,
}

impl<S, B> Service<Request<B>> for Sign<S>
where
    S: Service<Request<Body<B>>, Error: Into<BoxError>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready goes with the request; its clone may not be.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let layer = Arc::clone(&self.layer);
        Box::pin(async move {
            let request = layer.sign(request).await?;
            inner.call(request).await.map_err(Into::into)
        })
    }
}

/// Why [`Sign`] did not send a request.
///
/// ```
/// use countersign::tower::{BoxError, SignError};
///
/// fn is_setup(error: &BoxError) -> bool {
///     matches!(error.downcast_ref(), Some(SignError::NoCredentials(_)))
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SignError {
    /// The body could not be read.
    Body(BoxError),
    /// The body is too long to be hashed, and [`LongBody::Refuse`] holds.
    LongBody {
        /// How long it says that it is.
        len: Option<u64>,
        /// The most bytes that are read.
        limit: usize,
    },
    /// The provider has none; what it looked at.
    NoCredentials(String),
    /// The provider failed.
    Provider(ProviderError),
    /// The request cannot be signed.
    Signing(Error),
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignError::Body(_) => f.write_str("the body to sign could not be read"),
            SignError::LongBody { len: Some(len), limit } => {
                write!(f, "the body of {len} bytes is longer than the {limit} that are hashed")
            }
            SignError::LongBody { len: None, .. } => {
                f.write_str("the body does not say how long it is, so it is not hashed")
            }
            SignError::NoCredentials(absence) => write!(f, "no credentials: {absence}"),
            SignError::Provider(_) => f.write_str("the provider of credentials failed"),
            SignError::Signing(_) => f.write_str("the request cannot be signed"),
        }
    }
}

impl error::Error for SignError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            SignError::Body(error) => Some(&**error),
            SignError::LongBody { .. } | SignError::NoCredentials(_) => None,
            SignError::Provider(error) => Some(error),
            SignError::Signing(error) => Some(error),
        }
    }
}
