//! Connections, from the first byte to the last.

use std::{
    convert::Infallible,
    future::pending,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{Method, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{either::Either, task::TaskTracker};

use crate::{
    BoxError, Config, Limits, admin,
    body::{Answer, Body, Watch},
    connect,
    first::Begun,
    forward::Peer,
    inbound::tls,
    listen::{Listener, Origin, Socket},
    metrics::Seat,
    refuse::{Reason, Refusal},
    reload::{Handle, Serving},
    upstream::BUFFER,
    workers::Workers,
};

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) handle: Handle,
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) workers: Workers,
}

/// How HTTP is spoken.
pub(crate) fn builder(config: &Config) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.timeouts.head)
        .max_buf_size(config.limits.head);
    // Told how many, hyper takes room for them anew with each request.
    if config.limits.headers != Limits::default().headers {
        builder.http1().max_headers(config.limits.headers);
    }
    let head = u32::try_from(config.limits.head).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(config.timeouts.head))
        .max_header_list_size(head)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(16 * WINDOW)
        .max_send_buf_size(BUFFER);
    builder
}

/// Takes connections until it is time to stop, and then those that were made before.
pub(crate) async fn accept(
    mut listener: Listener,
    server: Server,
    room: Arc<Semaphore>,
    connections: TaskTracker,
) {
    let mut stopped = server.stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener, &room) => accepted,
            () = wanted(&mut stopped) => break,
        };
        server.workers.spawn(&connections, converse(accepted, server.clone()));
    }
    listener.leave();
    // Their clients were told that they are connected.
    let until = Instant::now() + SWEEP;
    while let Ok(accepted) = timeout_at(until, next(&listener, &room)).await {
        server.workers.spawn(&connections, converse(accepted, server.clone()));
    }
}

/// The same for health and metrics.
pub(crate) async fn accept_admin(listener: Listener, server: Server, room: Arc<Semaphore>) {
    loop {
        let (socket, _, permit) = next(&listener, &room).await;
        let server = server.clone();
        tokio::spawn(async move {
            let serving = server.handle.current();
            let handle = server.handle.clone();
            let answer = move |request| {
                let engine = handle.engine();
                async move { admin::answer(&engine, request).await }
            };
            let stream = limited(socket, &serving);
            // What is no request for metrics is no matter of theirs.
            let _ = serve_connection(stream, &serving, server.stopped, answer).await;
            drop(permit);
        });
    }
}

type Accepted = (Socket, Origin, OwnedSemaphorePermit);

/// The next connection, once there is room for one more.
async fn next(listener: &Listener, room: &Arc<Semaphore>) -> Accepted {
    let permit = Arc::clone(room).acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((socket, origin)) => return (socket, origin, permit),
            // Too many descriptors, or a connection that was gone at once.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A connection whose other end takes what is written to it.
type Plain = Pin<Box<TimeoutStream<Socket>>>;

/// Whoever reads nothing would keep the service's answer waiting for ever.
fn limited(socket: Socket, serving: &Serving) -> Plain {
    let mut stream = TimeoutStream::new(socket);
    stream.set_write_timeout(Some(serving.engine.timeouts.body));
    Box::pin(stream)
}

async fn converse((socket, origin, permit): Accepted, server: Server) {
    let Ok(socket) = server.workers.adopt(socket) else { return };
    let serving = server.handle.current();
    // What never leaves the machine needs no TLS.
    let is_tcp = matches!(socket, Either::Left(_));
    let mut peer = Peer {
        address: origin.address,
        name: origin.name,
        is_verified: !is_tcp,
        is_known: false,
        https: false,
        tunnel: None,
        seat: Arc::new(Seat::take(&serving.engine.metrics, permit)),
    };
    let tls = serving.tls.as_ref().filter(|_| is_tcp);
    let stream = limited(socket, &serving);
    let stream = match tls {
        None => Either::Left(stream),
        Some(tls) => {
            // Apart, as the stream is: most connections are plain, and each would have room for this.
            let shaking = Box::pin(shake(tls, stream, serving.engine.timeouts.head));
            let Some((stream, name)) = before_the_end(&server.stopped, shaking).await.flatten()
            else {
                return;
            };
            peer.https = true;
            // It is asked for where it is looked at.
            peer.is_verified = name.is_some();
            peer.name = name;
            Either::Right(stream)
        }
    };
    let stopped = server.stopped.clone();
    let served = serve_connection(stream, &serving, stopped, move |request| {
        let (engine, peer) = (server.handle.engine(), peer.clone());
        let connecting = engine.connecting.as_ref().filter(|_| request.method() == Method::CONNECT);
        match connecting.map(Arc::clone) {
            // Rare, and larger than all else.
            Some(connecting) => {
                let server = server.clone();
                Either::Left(Box::pin(connect::answer(server, connecting, engine, request, peer)))
            }
            None => Either::Right(engine.answer(request, peer)),
        }
    })
    .await;
    if let Err(refusal) = served {
        tell(&refusal, &serving, origin.address);
    }
}

/// Tells what was refused before it was a request, which nothing else does.
pub(crate) fn tell(refusal: &Refusal, serving: &Serving, client: Option<IpAddr>) {
    serving.engine.metrics.refused(refusal.reason);
    let client = client.map(tracing::field::display);
    let (refusal, why) = (refusal.reason.as_str(), &*refusal.message);
    tracing::debug!(client, refusal, why, "no request");
}

/// The connection within TLS, and what the client's certificate calls it. A handshake that fails concerns nobody
/// but its client.
async fn shake(
    tls: &Arc<ServerConfig>,
    stream: Plain,
    limit: Duration,
) -> Option<(Box<TlsStream<Plain>>, Option<Arc<str>>)> {
    let acceptor = TlsAcceptor::from(Arc::clone(tls));
    match timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates();
            let name = certificates.and_then(<[_]>::first).map(tls::name);
            Some((Box::new(stream), name))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a client failed at TLS");
            None
        }
        Err(_) => {
            tracing::debug!("a client did not end its TLS handshake within {limit:?}");
            None
        }
    }
}

/// Nothing if it takes long after it is time to stop.
pub(crate) async fn before_the_end<T>(
    stopped: &watch::Receiver<bool>,
    doing: impl Future<Output = T>,
) -> Option<T> {
    let mut stopped = stopped.clone();
    tokio::select! {
        done = doing => Some(done),
        () = async { wanted(&mut stopped).await; sleep(GRACE).await; } => None,
    }
}

/// Serves a connection to its end. What goes wrong with it concerns nobody but its client.
///
/// # Errors
/// Why its end is that of something that is no request: HTTP has answered it, or nobody has.
pub(crate) async fn serve_connection<S, A, F>(
    stream: S,
    serving: &Serving,
    mut stopped: watch::Receiver<bool>,
    answer: A,
) -> Result<(), Refusal>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (under_way, mut requests) = watch::channel(0);
    let under_way = Arc::new(under_way);
    let service = service_fn(move |request: Request<Incoming>| {
        let one = match request.version() {
            Version::HTTP_2 => Some(UnderWay::begin(&under_way)),
            // hyper itself limits how long the next one takes. So it never ends here; once is enough, and
            // asking is cheaper than telling.
            _ => {
                if *under_way.borrow() == 0 {
                    under_way.send_replace(1);
                }
                None
            }
        };
        // Apart from the connection, which most of the time has no request.
        let answering = Box::pin(answer(request));
        async move {
            let response = answering.await;
            Ok::<_, Infallible>(match one {
                Some(one) => response.map(|body| Answer::new(body, one).boxed_unsync()),
                None => response,
            })
        }
    });
    let limit = serving.engine.timeouts.head;
    // Before its first request nothing else limits how long a connection may say nothing, and to shut it down
    // would lose a request that is on its way.
    let mut stop = stopped.clone();
    let mut at_last = pin!(async {
        tokio::select! {
            () = sleep(limit) => true,
            () = async { wanted(&mut stop).await; sleep(GRACE).await; } => false,
        }
    });
    let mut stream = Begun::new(stream);
    let asking = stream.asking();
    let late = || {
        let message = format!("the head of a request did not come within {limit:?}");
        Err(Refusal::new(Reason::HeadTimeout, message))
    };
    let is_stopping = tokio::select! {
        // What has come is read before anything else is decided.
        biased;
        first = stream.wait() => match first {
            Ok(()) => false,
            Err(_) => return Ok(()),
        },
        is_late = at_last.as_mut() => match is_late {
            _ if stream.is_empty() => return Ok(()),
            true => return late(),
            // What was begun may be ended.
            false => true,
        },
    };
    // Of HTTP/2 there is more to say than requests.
    let is_http_1 = !stream.is_http_2();
    let is_slow = || is_http_1 && asking.is_so();
    let mut connection =
        pin!(serving.builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    if !is_stopping {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return refused(ended, is_slow),
            _ = requests.changed() => {}
            is_late = at_last => if is_late {
                return if is_slow() { late() } else { Ok(()) };
            }
        }
    }
    tokio::select! {
        biased;
        ended = connection.as_mut() => return refused(ended, is_slow),
        () = wanted(&mut stopped) => {}
        () = idle(&mut requests, limit) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection => {}
                // Nothing begins any more, but what was answered may not have been read.
                () = idle(&mut requests, serving.engine.timeouts.body) => {}
                () = serving.engine.cut.cancelled() => {}
            }
            return Ok(());
        }
    }
    // The next request may have come, and the system not have told so yet.
    if let Ok(ended) = timeout(NEXT, connection.as_mut()).await {
        return refused(ended, is_slow);
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => refused(ended, is_slow),
        () = serving.engine.cut.cancelled() => Ok(()),
    }
}

/// What of a connection's end is a refusal: a client that leaves is none, and neither is one that has asked
/// nothing for long.
fn refused(ended: Result<(), BoxError>, is_slow: impl Fn() -> bool) -> Result<(), Refusal> {
    let Err(error) = ended else { return Ok(()) };
    let Some(error) = error.downcast_ref::<hyper::Error>() else { return Ok(()) };
    let reason = match () {
        () if error.is_parse_too_large() => Reason::HeadTooLong,
        () if error.is_parse() => Reason::Malformed,
        () if error.is_timeout() && is_slow() => Reason::HeadTimeout,
        () => return Ok(()),
    };
    Err(Refusal::new(reason, error.to_string()))
}

/// Waits until no request has been under way for so long.
async fn idle(requests: &mut watch::Receiver<usize>, limit: Duration) {
    loop {
        let _ = requests.wait_for(|under_way| *under_way == 0).await;
        match timeout(limit, requests.changed()).await {
            Ok(Ok(())) => {}
            // The connection has ended, which says so itself.
            Ok(Err(_)) => return pending().await,
            Err(_) => return,
        }
    }
}

/// A request of HTTP/2, until its answer has been taken or given up.
struct UnderWay(Arc<watch::Sender<usize>>);

impl UnderWay {
    fn begin(all: &Arc<watch::Sender<usize>>) -> UnderWay {
        all.send_modify(|under_way| *under_way += 1);
        UnderWay(Arc::clone(all))
    }
}

impl Watch for UnderWay {
    fn piece(&mut self, _: &[u8]) {}

    fn end(&mut self) {}
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|under_way| *under_way -= 1);
    }
}

/// Waits until it is true, or nobody is left to say so.
pub(crate) async fn wanted(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|is| *is).await;
}

/// On one connection, at a time.
const STREAMS: u32 = 128;
/// So much of a body comes before it is asked for.
const WINDOW: u32 = 64 << 10;
/// For connections that the system has taken when the proxy is told to stop.
const SWEEP: Duration = Duration::from_millis(50);
/// For a next request that has come when the proxy is told to stop: less than is taken for connections, so
/// that whoever can no longer connect is no longer kept either.
const NEXT: Duration = Duration::from_millis(10);
/// For the first request on a connection that is there when the proxy is told to stop.
const GRACE: Duration = Duration::from_secs(1);
