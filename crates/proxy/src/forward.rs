//! One request, from its head to the end of its answer.

use std::{
    borrow::Cow,
    error::Error,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use countersign::{
    Credentials, Payload, Signer,
    body::ChunkedBody,
    verify::{Dialect, Wire},
};
use futures_util::{StreamExt, stream};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING},
    request::Parts,
};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::{body::Incoming, upgrade};
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep_until,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Authority, PayloadMode, Timeouts,
    body::{self, Answer, Body, Held, Holding, Progress, Timed, Watch},
    carry::carry,
    connect::{self, Connecting},
    head, host,
    inbound::Gate,
    metrics::{Metrics, OfRoute, Seat},
    pool::{Lease, NotSent},
    refuse::{Id, Ids, Reason, Refusal, Speech},
    resign::{
        self, Came,
        audit::{Audit, Decision},
    },
    route::Route,
    sign::{self, LookOut, Signing},
    upstream::{Connections, TimedOut},
};

/// All that a request needs on its way.
pub(crate) struct Engine {
    pub(crate) routes: Vec<Route>,
    pub(crate) audit: Option<Arc<Audit>>,
    pub(crate) gate: Gate,
    /// For requests under way.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) holding: Holding,
    pub(crate) timeouts: Timeouts,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ids: Ids,
    /// The name of the route of requests that no route takes.
    pub(crate) nowhere: Arc<str>,
    /// Connections that were made WebSockets or tunnels, which outlive their request.
    pub(crate) upgraded: TaskTracker,
    /// Ends what is still in flight when there is no more time for it.
    pub(crate) cut: Arc<CancellationToken>,
    /// What is done with tunnels, unless they are refused.
    pub(crate) connecting: Option<Arc<Connecting>>,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: Option<IpAddr>,
    /// What it proved to be.
    pub(crate) name: Option<Arc<str>>,
    /// Whether TLS found its certificate good, or it is on this machine, by a Unix socket.
    pub(crate) is_verified: bool,
    /// Whether it said a secret of the settings.
    pub(crate) is_known: bool,
    pub(crate) https: bool,
    /// The host of the tunnel through which it came.
    pub(crate) tunnel: Option<Arc<Authority>>,
    /// Its connection's, also once that is a WebSocket.
    pub(crate) seat: Arc<Seat>,
}

/// What is told of a request once it is over: when this is dropped.
struct Record {
    id: Id,
    began: Instant,
    peer: Peer,
    method: Method,
    host: Option<Authority>,
    /// As the client asked for it.
    uri: Uri,
    route: Arc<str>,
    counts: Option<Arc<OfRoute>>,
    /// For the audit log, if the client signs.
    decision: Option<Decision>,
    status: u16,
    reason: Option<Reason>,
    sent: Option<Progress>,
    received: u64,
    is_whole: bool,
    /// Free once this is over.
    room: Option<OwnedSemaphorePermit>,
    /// What of the client's this is a part of, as it said.
    trace: [Option<HeaderValue>; 2],
    metrics: Arc<Metrics>,
    cut: Arc<CancellationToken>,
}

impl Engine {
    /// The answer to a request: the service's, or a refusal. It is logged and counted when its body has
    /// passed.
    pub(crate) fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send {
        self.metrics.in_flight.inc();
        let mut record = Record {
            id: self.ids.next(),
            began: Instant::now(),
            peer,
            method: request.method().clone(),
            host: None,
            uri: request.uri().clone(),
            route: Arc::clone(&self.nowhere),
            counts: None,
            decision: None,
            status: 0,
            reason: None,
            sent: None,
            received: 0,
            is_whole: false,
            room: None,
            trace: [TRACE_PARENT, TRACE_STATE].map(|name| request.headers().get(name).cloned()),
            metrics: Arc::clone(&self.metrics),
            cut: Arc::clone(&self.cut),
        };
        let speech = Speech::of(request.headers());
        let mut wire = speech.with("");
        let client = upgrade::on(&mut request);
        let is_http_1 = request.version() < Version::HTTP_2;
        async move {
            let answered = self.forward(request, &mut record, (speech, &mut wire), client).await;
            let (response, look_out, lease) = answered.unwrap_or_else(|refusal| {
                self.metrics.refused(refusal.reason);
                if let Some(decision) = &mut record.decision {
                    decision.refuse(&refusal, self.audit.as_deref());
                }
                record.reason = Some(refusal.reason);
                let mut response = refusal.response(wire, record.id);
                // Whatever comes behind a malformed request may be a part of it.
                if is_http_1 && refusal.reason == Reason::Malformed {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                (response, None, None)
            });
            record.status = response.status().as_u16();
            let says_length = is_http_1
                && response.status() == StatusCode::NOT_MODIFIED
                && head::has_length(response.headers());
            let passing = Passing { record, look_out, lease };
            response.map(|body| {
                let answer = Answer::new(body, passing);
                if says_length { body::untold(answer) } else { answer.boxed_unsync() }
            })
        }
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        record: &mut Record,
        (speech, wire): (Speech, &mut Wire),
        client: upgrade::OnUpgrade,
    ) -> Result<(Response<Body>, Option<LookOut>, Option<Lease>), Refusal> {
        let (mut parts, mut body) = request.into_parts();
        self.gate.check_connection(&parts, &record.peer)?;
        let identified = self.gate.identify(&parts, &mut record.peer);
        let found = self.route(&parts, &record.peer);
        if let Ok((route, _)) = &found {
            record.route = Arc::clone(&route.name);
            record.counts = Some(Arc::clone(route.counts(&self.metrics)));
            *wire = speech.with(route.signing.service());
            if route.resign.is_some() {
                *wire = resign::wire(&parts, speech, route.signing.service());
                let (client, now) = (record.peer.address, route.signing.clock());
                let id = record.id.to_string();
                let decision = Decision::new(now, &id, &route.name, &parts.method, client);
                record.decision = Some(decision);
            }
        }
        self.gate.check_rate(&record.peer)?;
        // What is served here is the business of clients that are known.
        if !found.as_ref().is_ok_and(|(route, _)| route.resign.is_some()) {
            identified?;
            self.gate.strip(&mut parts);
        }
        let (route, asked) = found?;
        let leads = route.check_site(&asked, &parts.headers).and_then(|()| {
            let host = route.host(&asked)?;
            record.host = Some(host.clone());
            let url = route.url(&host, &parts.uri)?;
            Ok((host, url))
        });
        if let Some(decision) = &mut record.decision {
            let (host, url) = match &leads {
                Ok((host, url)) => (host, url),
                Err(_) => (&asked, &parts.uri),
            };
            decision.leads_to(host.as_str(), url.path(), url.query());
        }
        let (host, url) = leads?;
        let room = Arc::clone(&self.room).try_acquire_owned();
        record.room = Some(room.map_err(|_| {
            Refusal::new(Reason::Busy, "too many requests are under way: try again later")
        })?);
        if let Some(length) = body.size_hint().exact() {
            self.holding.check(length)?;
        }
        let mut admitted = None;
        let mut of_key = None;
        if let (Some(resign), Some(decision)) = (&route.resign, &mut record.decision) {
            let came = Came { parts: &parts, url: &url, host: &host, https: route.https };
            let (signing, holding) = (&route.signing, &self.holding);
            // Apart, as all that is large and not for every request: it would have room in each.
            let admitting = Box::pin(resign.admit(came, &mut body, holding, signing, decision));
            let (signing, one) = admitting.await?;
            (of_key, admitted) = (Some(Box::new(signing)), Some(Box::new(one)));
        }
        parts.uri = url;
        let signing = of_key.as_deref().unwrap_or(&route.signing);
        let signer = match &admitted {
            Some(admitted) => Cow::Owned(admitted.signer.clone()),
            None => signing.signer(&host, parts.uri.path())?,
        };
        *wire = speech.with(signer.service());
        // Before anything of the body is asked for: a client that expects `100 Continue` keeps it.
        let credentials = signing.credentials().await?;

        let has_length = parts.headers.contains_key(CONTENT_LENGTH);
        let is_upgrade = head::leave_client(&mut parts.headers)
            .map_err(|what| Refusal::new(Reason::Malformed, what))?
            // With another method it is no WebSocket, whoever asks for one (RFC 6455, §4.1).
            && (parts.version, &parts.method) == (Version::HTTP_11, &Method::GET);
        route.edit(&mut parts.headers, record.peer.address, &asked, record.peer.https);
        let value = HeaderValue::from_str(host.as_str())
            .map_err(|_| Refusal::new(Reason::Malformed, "the host cannot be forwarded"))?;
        parts.headers.insert(HOST, value);
        // Which version is spoken to the service follows from what it offers.
        parts.version = Version::HTTP_11;
        parts.extensions.clear();

        let (body, again, mut credentials) = match admitted {
            Some(admitted) => {
                let https = route.https;
                let holding = &self.holding;
                let signed =
                    Box::pin(admitted.sign(signing, holding, https, &mut parts, body, has_length));
                signed.await?
            }
            None => self.sign(route, &signer, credentials, &mut parts, body, has_length).await?,
        };
        if let Some(decision) = &mut record.decision {
            decision.allow(self.audit.as_deref())?;
        }
        if is_upgrade {
            head::set_upgrade(&mut parts.headers);
        }
        let progress = Progress::new();
        record.sent = Some(progress.clone());
        let request = Request::from_parts(parts, progress.watch(body));
        let sent = signing.clock();
        let exchange = Exchange {
            connections: &route.connections,
            signing,
            signer: &signer,
            is_upgrade,
            again,
            progress: &progress,
        };
        // Until here a request may wait long for its body.
        let exchange = Box::pin(exchange.run(request, &mut credentials));
        let (mut response, lease) = self.in_time(exchange, &progress).await?;
        // Whoever can forge a date decides when signatures begin to hold.
        if route.https {
            signing.observe(response.headers(), sent);
        }
        let mut look_out = matches!(response.status().as_u16(), 400 | 401 | 403).then(|| {
            let mut look_out = signing.look_out(&credentials);
            look_out.headers(response.headers());
            look_out
        });
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if !is_upgrade {
                let message = "the service changed the protocol, which nobody asked for";
                return Err(Refusal::new(Reason::UpstreamFailed, message));
            }
            let service = upgrade::on(&mut response);
            let (limit, seat) = (self.timeouts.websocket, Arc::clone(&record.peer.seat));
            let carrying = tunnel(client, service, limit, seat);
            let cut = CancellationToken::clone(&self.cut);
            self.upgraded.spawn(cut.run_until_cancelled_owned(carrying));
        }
        let mut response = self.pass(response);
        if let Some(look_out) = &mut look_out {
            response = refused(response, look_out, &credentials).await?;
        }
        Ok((response, look_out, lease))
    }

    /// The route of a request, and the host that it asks for.
    fn route(&self, parts: &Parts, peer: &Peer) -> Result<(&Route, Authority), Refusal> {
        let tunnel = peer.tunnel.as_deref();
        // What a service echoes of a TRACE would hold the signature and the session token.
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            let hint = match parts.method {
                Method::CONNECT if tunnel.is_some() => ", within another tunnel",
                Method::CONNECT => {
                    ": the proxy has no CA by which it could look into TLS (`connect`)"
                }
                _ => "",
            };
            let message = format!("the method {} is not taken here{hint}", parts.method);
            return Err(Refusal::new(Reason::MethodNotAllowed, message));
        }
        let malformed = |what: &str| Refusal::new(Reason::Malformed, what);
        head::check_framing(&parts.headers).map_err(malformed)?;
        let asked = host::requested(&parts.uri, &parts.headers, peer.https).map_err(malformed)?;
        if !parts.uri.path().starts_with('/') {
            return Err(malformed("the request target is no path"));
        }
        let asked = match tunnel {
            Some(tunnel) => {
                connect::check(tunnel, &asked, &parts.uri)?;
                tunnel.clone()
            }
            None => asked,
        };
        let mut routes = self.routes.iter().filter(|route| tunnel.is_none_or(|it| route.opens(it)));
        let route = routes.find(|route| route.takes(&asked, parts.uri.path()));
        let route = route.ok_or_else(|| {
            Refusal::new(Reason::NoRoute, format!("no route takes this path at `{asked}`"))
        })?;
        Ok((route, asked))
    }

    /// Signs the head, and makes of the body what goes with the signature.
    async fn sign(
        &self,
        route: &Route,
        signer: &Signer,
        credentials: Credentials,
        parts: &mut Parts,
        mut body: Incoming,
        has_length: bool,
    ) -> Result<Ready, Refusal> {
        let signing = &route.signing;
        let length = body.size_hint().exact();
        if body.is_end_stream() {
            return sign_empty(signing, signer, parts, has_length, credentials);
        }
        let mode = match said(&parts.headers) {
            Some(Payload::StreamingUnsignedTrailer) => {
                if !route.https || Dialect::of_service(signer.service()) != Dialect::S3 {
                    let message = "a body that is not signed is passed on over TLS and to S3 alone";
                    return Err(Refusal::new(Reason::NotSignable, message));
                }
                Mode::Pass(Payload::StreamingUnsignedTrailer)
            }
            Some(said) if !said.is_hash() && said != Payload::Unsigned => {
                let message = "the body is signed in chunks, by a key that is not the proxy's";
                return Err(Refusal::new(Reason::NotSignable, message));
            }
            _ => match (route.payload, length) {
                (PayloadMode::Unsigned, _) => Mode::Pass(Payload::Unsigned),
                (PayloadMode::Chunks, Some(length))
                    if !self.holding.fits_memory(length) && takes_chunks(parts) =>
                {
                    Mode::Chunks(length)
                }
                _ => Mode::Hold,
            },
        };
        match mode {
            Mode::Hold => {
                let held = self.holding.hold(&mut body).await?;
                sign_held(signing, signer, parts, held).await
            }
            Mode::Pass(payload) => {
                let again = sign_passing(signing, signer, parts, (payload, length), &credentials)?;
                Ok((self.holding.pass(body), again, credentials))
            }
            Mode::Chunks(length) => {
                parts.headers.remove(TRAILER);
                let chunks = signing.sign_chunked(signer, parts, length, &credentials)?;
                let body = ChunkedBody::new(self.holding.pass(body), chunks);
                Ok((body.boxed_unsync(), Again::NEVER, credentials))
            }
        }
    }

    /// Waits for an answer as long as the service takes what comes.
    async fn in_time<T>(
        &self,
        mut answer: impl Future<Output = Result<T, Refusal>> + Unpin,
        progress: &Progress,
    ) -> Result<T, Refusal> {
        let limit = self.timeouts.response;
        loop {
            let until = progress.last() + limit;
            tokio::select! {
                biased;
                answered = &mut answer => return answered,
                () = sleep_until(until) => if progress.last() + limit <= until {
                    let message = format!("the service did not answer within {limit:?}");
                    return Err(Refusal::new(Reason::UpstreamTimeout, message));
                }
            }
        }
    }

    /// The answer as the client gets it, while it still comes.
    fn pass(&self, response: Response<Incoming>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        let is_upgrade = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        head::leave_service(&mut parts.headers);
        if is_upgrade {
            head::set_upgrade(&mut parts.headers);
        }
        let body = match body.is_end_stream() {
            true => body.map_err(Into::into).boxed_unsync(),
            false => Timed::new(body, self.timeouts.response_body).boxed_unsync(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        response
    }
}

/// How a signed request is sent.
struct Exchange<'a> {
    connections: &'a Connections,
    signing: &'a Signing,
    signer: &'a Signer,
    is_upgrade: bool,
    again: Again,
    progress: &'a Progress,
}

impl Exchange<'_> {
    /// Sends it and waits for the head of the answer.
    ///
    /// A connection that was kept may end at the moment of its use. Then the request is signed anew and sent
    /// once more, on another: if nothing of it was sent, or if it may be sent twice.
    async fn run(
        self,
        request: Request<Body>,
        credentials: &mut Credentials,
    ) -> Result<(Response<Incoming>, Option<Lease>), Refusal> {
        let Connections { any, upgradable } = self.connections;
        let why = |error: NotSent| not_sent(&error, self.progress);
        let line = match self.is_upgrade {
            true => upgradable.open(request.uri(), true).await,
            false => any.line(request.uri()).await,
        };
        let line = line.map_err(why)?;
        if !line.is_kept {
            return line.send(request).await.map_err(why);
        }
        let copy = self.again.copy(&request, self.progress);
        let mut failed = match line.send(request).await {
            Ok(sent) => return Ok(sent),
            Err(failed) => failed,
        };
        let unsent = failed.request.take().map(|request| *request);
        let Some(request) = unsent.or(copy).filter(|_| failed.is_end()) else {
            return Err(why(failed));
        };
        let (mut parts, body) = request.into_parts();
        if let Some(payload) = self.again.payload {
            *credentials = self.signing.credentials().await?;
            self.signing.sign(self.signer, &mut parts, payload, credentials)?;
        }
        let line = any.open(&parts.uri, false).await.map_err(why)?;
        line.send(Request::from_parts(parts, body)).await.map_err(why)
    }
}

/// A body that goes with its signature, what it takes to send both once more, and who signed.
pub(crate) type Ready = (Body, Again, Credentials);

/// Signs a head without a body.
pub(crate) fn sign_empty(
    signing: &Signing,
    signer: &Signer,
    parts: &mut Parts,
    has_length: bool,
    credentials: Credentials,
) -> Result<Ready, Refusal> {
    // A service that insists on a length is not left in doubt.
    if has_length || matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    parts.headers.remove(TRAILER);
    signing.sign(signer, parts, Payload::EMPTY, &credentials)?;
    let again = Again { payload: Some(Payload::EMPTY), body: Some(Bytes::new()) };
    Ok((body::whole(Bytes::new()), again, credentials))
}

/// Signs a head over a body that is there as a whole.
pub(crate) async fn sign_held(
    signing: &Signing,
    signer: &Signer,
    parts: &mut Parts,
    held: Held,
) -> Result<Ready, Refusal> {
    // What comes behind a body wants chunks around it, and passes if it is announced.
    let length = held.trailer.is_none().then_some(held.length);
    match held.trailer {
        Some(names) => parts.headers.insert(TRAILER, names),
        None => parts.headers.remove(TRAILER),
    };
    set_length(&mut parts.headers, length);
    // Reading may have taken long; these are the ones of now.
    let credentials = signing.credentials().await?;
    signing.sign(signer, parts, held.payload, &credentials)?;
    set_chunked(&mut parts.headers, length);
    let again = Again { payload: Some(held.payload), body: held.whole };
    Ok((held.body, again, credentials))
}

/// Signs a head whose body passes as it comes.
pub(crate) fn sign_passing(
    signing: &Signing,
    signer: &Signer,
    parts: &mut Parts,
    (payload, length): (Payload, Option<u64>),
    credentials: &Credentials,
) -> Result<Again, Refusal> {
    set_length(&mut parts.headers, length);
    signing.sign(signer, parts, payload, credentials)?;
    set_chunked(&mut parts.headers, length);
    Ok(Again { payload: Some(payload), body: None })
}

/// What it takes to send a request once more.
pub(crate) struct Again {
    /// What its signature says of the body; nothing where chunks are signed over the signature.
    payload: Option<Payload>,
    /// The body, if all of it is in memory.
    body: Option<Bytes>,
}

impl Again {
    /// For chunks, each of which is signed over the one before.
    pub(crate) const NEVER: Again = Again { payload: None, body: None };

    /// The same request, if a service that got it twice would do what it says once.
    fn copy(&self, request: &Request<Body>, progress: &Progress) -> Option<Request<Body>> {
        let body = self.body.clone().filter(|_| request.method().is_idempotent())?;
        let mut copy = Request::new(progress.watch(body::whole(body)));
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        Some(copy)
    }
}

/// A service's refusal, if it is for the client. Services repeat what they compared when a signature is not what
/// they computed, and name keys and tokens that they do not take: the proxy's are nobody else's.
async fn refused(
    response: Response<Body>,
    look_out: &mut LookOut,
    credentials: &Credentials,
) -> Result<Response<Body>, Refusal> {
    let (parts, mut body) = response.into_parts();
    let length = body.size_hint().exact();
    let (mut seen, mut frames, mut is_whole) = (Vec::new(), Vec::new(), false);
    while seen.len() < LONGEST_REFUSAL {
        let Some(frame) = body.frame().await else {
            is_whole = true;
            break;
        };
        // A body that failed has no end that says so.
        let is_broken = frame.is_err();
        if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
            seen.extend_from_slice(data);
        }
        frames.push(frame);
        if is_broken {
            break;
        }
    }
    if sign::repeats(&parts.headers, &seen, credentials) {
        look_out.piece(&seen);
        let message = match sign::code(&seen) {
            Some(code) => format!("the service refused the proxy's own key with {code}"),
            None => "the service refused the proxy's own key".to_owned(),
        };
        tracing::warn!("{message}");
        return Err(Refusal::new(Reason::KeyRefused, message));
    }
    let is_data = |frame: &Result<Frame<Bytes>, _>| frame.as_ref().is_ok_and(Frame::is_data);
    if is_whole && frames.iter().all(is_data) {
        return Ok(Response::from_parts(parts, body::whole(Bytes::from(seen))));
    }
    let rest = StreamBody::new(stream::iter(frames).chain(BodyStream::new(body)));
    let body = match length {
        Some(length) => body::sized(rest, length),
        None => rest.boxed_unsync(),
    };
    Ok(Response::from_parts(parts, body))
}

/// Services name the key before they repeat what they compared, of which heads are the longest part.
const LONGEST_REFUSAL: usize = 256 << 10;

/// What becomes of a body.
enum Mode {
    Chunks(u64),
    Hold,
    Pass(Payload),
}

/// Whether S3 takes the body of this request in chunks: it does of objects and of their parts alone.
fn takes_chunks(parts: &Parts) -> bool {
    let mut names = parts.uri.query().unwrap_or_default().split('&');
    // Any other names a thing of the object's or of the bucket's, as `tagging`.
    let is_of_object = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        matches!(name, "" | "partNumber" | "uploadId" | "x-id") || name.starts_with("X-Amz-")
    };
    parts.method == Method::PUT && parts.uri.path() != "/" && names.all(is_of_object)
}

/// Says how long a body is, if that is known; it is signed, if at all, with the other headers.
fn set_length(headers: &mut HeaderMap, length: Option<u64>) {
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Says that a body of unknown length follows: of its own accord hyper sends none with a GET. No signature covers
/// what concerns a connection alone.
fn set_chunked(headers: &mut HeaderMap, length: Option<u64>) {
    if length.is_none() {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// What the client itself says of the body.
fn said(headers: &HeaderMap) -> Option<Payload> {
    Payload::from_line(headers.get(CONTENT_SHA256)?.to_str().ok()?)
}

/// Why there is no answer, as far as the client should know.
fn not_sent(error: &NotSent, progress: &Progress) -> Refusal {
    if let Some(refusal) = progress.failed() {
        return refusal.clone();
    }
    let mut cause: &dyn Error = error;
    loop {
        if cause.is::<TimedOut>() {
            return Refusal::new(Reason::UpstreamTimeout, format!("the service: {cause}"));
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    if error.is_connect {
        return Refusal::new(
            Reason::UpstreamConnect,
            format!("the service cannot be reached: {cause}"),
        );
    }
    Refusal::new(Reason::UpstreamFailed, format!("the service did not answer: {cause}"))
}

/// Carries bytes both ways until both sides have ended, or nothing came for this long. Until then it keeps
/// the seat of its connection.
async fn tunnel(
    client: upgrade::OnUpgrade,
    service: upgrade::OnUpgrade,
    limit: Duration,
    seat: Arc<Seat>,
) {
    let (Ok(client), Ok(service)) = tokio::join!(client, service) else { return };
    carry(TokioIo::new(client), TokioIo::new(service), limit).await;
    drop(seat);
}

/// Looks at an answer while it passes.
struct Passing {
    record: Record,
    look_out: Option<LookOut>,
    /// The connection on which it comes.
    lease: Option<Lease>,
}

impl Watch for Passing {
    fn piece(&mut self, data: &[u8]) {
        self.record.received += data.len() as u64;
        if let Some(look_out) = &mut self.look_out {
            look_out.piece(data);
        }
    }

    fn end(&mut self) {
        self.record.is_whole = true;
        if let Some(lease) = self.lease.take() {
            lease.end();
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        let status = match self.status {
            // There was no more time for an answer.
            0 if self.cut.is_cancelled() => StatusCode::SERVICE_UNAVAILABLE.as_u16(),
            // The client went away before there was one.
            0 => CLIENT_GONE,
            status => status,
        };
        let took = self.began.elapsed();
        let sent = self.sent.as_ref().map_or(0, Progress::bytes);
        match &self.counts {
            Some(counts) => counts.ended(status, took, sent, self.received),
            None => self.metrics.of_route(&self.route).ended(status, took, sent, self.received),
        }
        let [parent, state] = &self.trace;
        tracing::info!(
            id = %self.id,
            route = &*self.route,
            client = self.peer.address.map(tracing::field::display),
            name = self.peer.name.as_deref(),
            method = self.method.as_str(),
            host = self.host.as_ref().map_or("", Authority::as_str),
            // Without the query, which may hold what is nobody's business.
            path = self.uri.path(),
            key = self.decision.as_ref().and_then(Decision::name),
            status,
            refusal = self.reason.map(Reason::as_str),
            sent,
            received = self.received,
            whole = self.is_whole,
            milliseconds = milliseconds(took),
            traceparent = text(parent.as_ref()),
            tracestate = text(state.as_ref()),
            "request"
        );
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}

fn milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

// Names that are made beforehand are not looked at byte by byte with each request.
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// What others log for it.
const CLIENT_GONE: u16 = 499;
