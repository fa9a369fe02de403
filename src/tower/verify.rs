//! Verifying each request before a service sees it.

use std::{
    error, fmt,
    hash::{BuildHasher, RandomState},
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::SystemTime,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING},
    request::Parts,
};
use tower_layer::Layer;
use tower_service::Service;
use zeroize::Zeroizing;

use super::{
    BODY_LIMIT, Body, BoxError, Clock,
    body::{NotRead, read},
};
use crate::{
    Algorithm, Head, Payload, Scope, Scratch, Timestamp,
    chunked::chunks::other_codings,
    verify::{BodyCheck, Claim, Dialect, Error, Key, Known, Verified, Verifier, Wire},
};

/// Lets through the requests that are signed with a key that the server knows.
///
/// A request that is let through has its proof, [`Verified<'static>`](Verified), among its extensions.
/// Any other is answered as AWS would, in the [`Wire`] form chosen; why, stands as [`Refused`] among the
/// extensions of the answer, for a layer outside that logs.
///
/// The key is found by an asynchronous function of the server's own. Whether it finds one shows in the
/// time that it takes, if it lets that show: the layer itself takes as long for an unknown key as for a
/// wrong signature.
///
/// Put it around the outermost router: see the [module](super).
///
/// ```
/// use std::convert::Infallible;
/// use countersign::{KeyCache, tower::{KeyFound, LookUp, VerifyLayer}, verify::{Verifier, Wire}};
///
/// let verifier = Verifier::new().with_region("eu-west-1").with_services(["sqs"]);
/// let keys = KeyCache::default();
/// let layer = VerifyLayer::new(verifier, Wire::Json, move |wanted: LookUp| {
///     let keys = keys.clone();
///     async move {
///         // From a database, in earnest.
///         let secret = (wanted.access_key_id() == "AKIDEXAMPLE").then_some("secret");
///         let key = secret.map(|secret| keys.key(wanted.access_key_id(), secret, &wanted.scope()));
///         Ok::<_, Infallible>(key.map(KeyFound::new))
///     }
/// });
/// # let _ = layer;
/// ```
///
/// # Bodies
///
/// A body whose hash is signed is read into memory and checked before the service sees anything of the
/// request, up to a [limit](VerifyLayer::with_body_limit); where the request names the hash, not before
/// its signature held. [`VerifyLayer::with_streamed_bodies`] hands such a body on as it comes instead. A
/// body that the signature does not cover (`UNSIGNED-PAYLOAD`) is handed on as it comes, without a limit.
/// Trailers of a signed body are dropped: no signature covers them.
///
/// A body in chunks (`aws-chunked`) is taken out of them while it is read, as a
/// [`VerifiedBody`](crate::body::VerifiedBody): the service gets each signed chunk after its signature held,
/// in memory for the longest chunk that [`Verifier::with_chunk_limit`] allows and without a limit on the
/// whole, and an error where something is wrong. **Chunks that are not signed may turn out not to be what was
/// sent when the checksum behind them is compared**, so the service must not act on what it read before the
/// body ended. `content-length` and `content-encoding` are made to say what the service reads; that they were
/// signed otherwise is past. A checksum needs [`Verifier::with_checksums`].
#[derive(Clone)]
pub struct VerifyLayer {
    verifier: Arc<Verifier>,
    wire: Wire,
    find: Arc<Find>,
    clock: Clock,
    request_id: Arc<MakeId>,
    body_limit: usize,
    streams_bodies: bool,
    pool: Arc<Mutex<Vec<Scratch>>>,
}

type Find = dyn Fn(LookUp) -> Pin<Box<Finding>> + Send + Sync;
type Finding = dyn Future<Output = Result<Option<KeyFound>, BoxError>> + Send;
type MakeId = dyn Fn(&Parts) -> String + Send + Sync;

impl VerifyLayer {
    /// A layer that asks `find` for keys and answers refusals in the form `wire`.
    ///
    /// `find` says `Ok(None)` for an access key id that nobody has. An error is not the client's fault:
    /// it is answered with status 500.
    pub fn new<F, R, E>(verifier: Verifier, wire: Wire, find: F) -> VerifyLayer
    where
        F: Fn(LookUp) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<KeyFound>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        VerifyLayer {
            verifier: Arc::new(verifier),
            wire,
            find: Arc::new(move |wanted| {
                let finding = find(wanted);
                Box::pin(async { finding.await.map_err(Into::into) })
            }),
            clock: Clock::system(),
            request_id: random_ids(),
            body_limit: BODY_LIMIT,
            streams_bodies: false,
            pool: Arc::default(),
        }
    }

    /// The same layer by another clock than the system's.
    #[must_use]
    pub fn with_clock(self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> VerifyLayer {
        VerifyLayer { clock: Clock::new(now), ..self }
    }

    /// Refuses bodies that are to be read into memory and are longer than this; 2 MiB unless it is set.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> VerifyLayer {
        VerifyLayer { body_limit: bytes, ..self }
    }

    /// Hands a body whose hash the request names on while it is read, in flat memory and without a limit.
    ///
    /// The last piece is held back until the hash held; if it does not, the service gets an error in its
    /// place. So the service must not act on what it read before the body ended.
    #[must_use]
    pub fn with_streamed_bodies(self, yes: bool) -> VerifyLayer {
        VerifyLayer { streams_bodies: yes, ..self }
    }

    /// Takes the id of a request from this function, as where another layer gave it one; otherwise each
    /// refused request gets a random one.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use countersign::{tower::VerifyLayer, verify::{Verifier, Wire}};
    /// # let layer = VerifyLayer::new(Verifier::new(), Wire::Json, async |_| Ok::<_, Infallible>(None));
    /// let layer = layer.with_request_id(|parts| {
    ///     let id = parts.headers.get("x-request-id").and_then(|id| id.to_str().ok());
    ///     id.unwrap_or("none").to_owned()
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn with_request_id(
        self,
        make: impl Fn(&Parts) -> String + Send + Sync + 'static,
    ) -> VerifyLayer {
        VerifyLayer { request_id: Arc::new(make), ..self }
    }

    async fn let_through<B>(&self, request: Request<B>) -> Result<Request<Body<B>>, Answer>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let (mut parts, body) = request.into_parts();
        match self.verify(&parts, body).await {
            Ok((verified, body)) => {
                if verified.payload().is_in_chunks() {
                    describe_decoded(&mut parts.headers, &body);
                }
                parts.extensions.insert(verified);
                Ok(Request::from_parts(parts, body))
            }
            Err(refused) => Err(self.answer(&parts, refused)),
        }
    }

    async fn verify<B>(
        &self,
        parts: &Parts,
        body: B,
    ) -> Result<(Verified<'static>, Body<B>), Refused>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let claim = self.verifier.claim(Head::from(parts), self.clock.now())?;
        if claim.payload().is_none() {
            // Read before the key is looked up, known or not: nothing of it shows in the time.
            let data = self.read(body).await?;
            let (verified, check) = self.compare(claim, Some(Payload::hash(&data))).await?;
            check.finish()?;
            return Ok((verified, Body::from(data)));
        }
        let (verified, mut check) = self.compare(claim, None).await?;
        let body = match verified.payload() {
            Payload::Unsigned => Body::passed(body),
            payload if self.streams_bodies || payload.is_in_chunks() => Body::checked(body, check),
            _ => {
                let data = self.read(body).await?;
                check.push(&data)?;
                check.finish()?;
                Body::from(data)
            }
        };
        Ok((verified, body))
    }

    async fn compare(
        &self,
        claim: Claim<'_>,
        body: Option<Payload>,
    ) -> Result<(Verified<'static>, BodyCheck), Refused> {
        let found = (self.find)(LookUp::of(&claim)).await;
        let found = found.map_err(|error| Refused::LookUp(error.into()))?;
        let lock = || self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = lock().pop().unwrap_or_default();
        let result = claim
            .verify(found.as_ref().map(KeyFound::known), body, &mut scratch)
            .map(|(verified, check)| (verified.into_owned(), check));
        let mut pool = lock();
        if pool.len() < POOLED {
            pool.push(scratch);
        }
        Ok(result?)
    }

    async fn read<B>(&self, body: B) -> Result<Bytes, Refused>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
    {
        match read(body, self.body_limit).await {
            Ok(whole) => Ok(whole.data),
            Err(NotRead::TooLong) => Err(Refused::BodyTooLong { limit: self.body_limit }),
            Err(NotRead::Failed(error)) => Err(Refused::Body(error.into())),
        }
    }

    fn answer(&self, parts: &Parts, refused: Refused) -> Answer {
        let (wire, id) = (self.wire, (self.request_id)(parts));
        let (status, code, body) = match &refused {
            Refused::Signature(error) => {
                (error.status(wire.dialect()), wire.code(error), error.body(wire, &id))
            }
            _ => {
                let (status, code, message) = refused.own_words(wire.dialect());
                (status, code, wire.body(status, code, message, &id))
            }
        };
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire.content_type()));
        if let Ok(id) = HeaderValue::try_from(id) {
            headers.insert(HeaderName::from_static(wire.request_id_header()), id);
        }
        if wire == Wire::Json {
            // Clients look here before they read the body.
            headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
        }
        answer.extensions_mut().insert(refused);
        Box::new(answer)
    }
}

type Answer = Box<Response<Bytes>>;

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify { inner, layer: Arc::new(self.clone()) }
    }
}

impl fmt::Debug for VerifyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyLayer")
            .field("verifier", &self.verifier)
            .field("wire", &self.wire)
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}

/// A service behind a [`VerifyLayer`]. It is ready when the inner one is.
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use countersign::{tower::VerifyLayer, verify::{Verifier, Wire}};
/// use http_body_util::{Empty, Full};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let service = ServiceBuilder::new()
///     .layer(VerifyLayer::new(Verifier::new(), Wire::S3Xml, async |_| Ok::<_, Infallible>(None)))
///     .service(service_fn(async |_| Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default()))));
/// let unsigned = http::Request::get("https://b.s3.amazonaws.com/").body(Empty::new())?;
/// assert_eq!(service.oneshot(unsigned).await?.status(), 403);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verify<S> {
    inner: S,
    layer: Arc<VerifyLayer>,
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<Body<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that is ready goes with the request; its clone may not be.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let layer = Arc::clone(&self.layer);
        Box::pin(async move {
            match layer.let_through(request).await {
                Ok(request) => Ok(inner.call(request).await?.map(Body::passed)),
                Err(answer) => Ok(answer.map(Body::from)),
            }
        })
    }
}

/// What a server needs to find a key: the request's own word, which is not to be believed.
///
/// See [`VerifyLayer`] for an example.
#[derive(Clone)]
pub struct LookUp {
    algorithm: Algorithm,
    access_key_id: String,
    at: Timestamp,
    region: String,
    service: String,
    session_token: Option<Zeroizing<Vec<u8>>>,
}

impl LookUp {
    fn of(claim: &Claim<'_>) -> LookUp {
        let scope = claim.scope();
        LookUp {
            algorithm: claim.algorithm(),
            access_key_id: claim.access_key_id().to_owned(),
            at: claim.at(),
            region: scope.region().to_owned(),
            service: scope.service().to_owned(),
            session_token: claim.session_token().map(|token| Zeroizing::new(token.into_owned())),
        }
    }

    /// What the key is to be for: [`Algorithm::HmacSha256`], unless the verifier accepts others.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whose key is wanted.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The scope that the key is to be derived for.
    pub fn scope(&self) -> Scope<'_> {
        Scope::new_unchecked(self.at, &self.region, &self.service)
    }

    /// The session token that came with the request, for servers whose tokens say what the key is.
    ///
    /// Others leave it alone: it is compared with the one of [`KeyFound::with_session_token`].
    pub fn session_token(&self) -> Option<&[u8]> {
        self.session_token.as_ref().map(|token| token.as_slice())
    }
}

impl fmt::Debug for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookUp")
            .field("algorithm", &self.algorithm)
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope())
            .field("session_token", &self.session_token.as_ref().map(|_| "<redacted>"))
            .finish()
    }
}

/// A key that a server found. See [`VerifyLayer`] for an example.
#[derive(Clone)]
pub struct KeyFound {
    key: Arc<dyn Key>,
    session_token: Option<Zeroizing<String>>,
}

impl KeyFound {
    /// The key of long-lived credentials.
    pub fn new(key: impl Key + 'static) -> KeyFound {
        KeyFound { key: Arc::new(key), session_token: None }
    }

    /// The session token that must come with the key.
    #[must_use]
    pub fn with_session_token(self, token: impl Into<String>) -> KeyFound {
        KeyFound { session_token: Some(Zeroizing::new(token.into())), ..self }
    }

    fn known(&self) -> Known<'_> {
        let known = Known::new(&*self.key);
        match &self.session_token {
            Some(token) => known.with_session_token(token),
            None => known,
        }
    }
}

impl fmt::Debug for KeyFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFound(<redacted>)")
    }
}

/// Why [`Verify`] answered a request itself: among the extensions of its answer, for logs.
///
/// ```
/// use countersign::{tower::Refused, verify::Refusal};
///
/// fn is_attack<B>(answer: &http::Response<B>) -> bool {
///     let refused = answer.extensions().get::<Refused>();
///     matches!(refused, Some(Refused::Signature(e)) if e.refusal() == Refusal::SignatureDiffers)
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Refused {
    /// The body could not be read to its end.
    Body(Arc<dyn error::Error + Send + Sync>),
    /// The body is longer than the server reads.
    BodyTooLong {
        /// The most bytes that it reads.
        limit: usize,
    },
    /// The look-up of the key failed.
    LookUp(Arc<dyn error::Error + Send + Sync>),
    /// The request is not signed as it must be.
    Signature(Arc<Error>),
}

impl Refused {
    /// Status, code and message of what is no refusal of the verifier.
    fn own_words(&self, dialect: Dialect) -> (u16, &'static str, &'static str) {
        let is_s3 = dialect == Dialect::S3;
        match self {
            Refused::Body(_) => (400, "IncompleteBody", "The request body terminated unexpectedly"),
            Refused::BodyTooLong { .. } if is_s3 => {
                (400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
            }
            Refused::BodyTooLong { .. } => {
                (413, "RequestEntityTooLarge", "The request is longer than this service takes.")
            }
            Refused::LookUp(_) | Refused::Signature(_) => {
                let code = if is_s3 { "InternalError" } else { "InternalFailure" };
                (500, code, "We encountered an internal error. Please try again.")
            }
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Signature(Arc::new(error))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Body(_) => f.write_str("the body could not be read"),
            Refused::BodyTooLong { limit } => {
                write!(f, "the body is longer than the {limit} bytes that are read")
            }
            Refused::LookUp(_) => f.write_str("the key could not be looked up"),
            Refused::Signature(_) => f.write_str("the request is not signed as it must be"),
        }
    }
}

impl error::Error for Refused {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Refused::Body(error) | Refused::LookUp(error) => Some(&**error),
            Refused::BodyTooLong { .. } => None,
            Refused::Signature(error) => Some(&**error),
        }
    }
}

/// Makes the headers say what is read of a body that came in chunks.
fn describe_decoded<B>(headers: &mut HeaderMap, body: &Body<B>)
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    headers.remove(CONTENT_LENGTH);
    if let Some(len) = http_body::Body::size_hint(body).exact() {
        // A head that has both says two things of where the body ends.
        headers.remove(TRANSFER_ENCODING);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    }
    let codings: Vec<HeaderValue> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| other_codings(value.as_bytes()))
        .filter_map(|coding| HeaderValue::from_bytes(coding).ok())
        .collect();
    headers.remove(CONTENT_ENCODING);
    for coding in codings {
        headers.append(CONTENT_ENCODING, coding);
    }
}

/// Sixteen digits as S3 has them, of which nobody can guess the next.
fn random_ids() -> Arc<MakeId> {
    let (state, count) = (RandomState::new(), AtomicU64::new(0));
    Arc::new(move |_| format!("{:016X}", state.hash_one(count.fetch_add(1, Ordering::Relaxed))))
}

/// How many buffers are kept for reuse: one for each thread that verifies at the same moment.
const POOLED: usize = 16;
