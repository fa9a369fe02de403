//! Connections to services, kept for the next request.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    hash::{Hash, Hasher},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::{Request, Response, Uri, uri::Authority};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::{
    client::legacy::connect::Connection as _,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{
    runtime,
    time::{Instant, sleep, timeout},
};
use tower_service::Service;

use crate::{
    BoxError,
    body::Body,
    upstream::{BUFFER, Connector},
};

/// Connections by the authority that a request names. Each is used on the runtime on which it was opened, for
/// another would have to be woken for it.
pub(crate) struct Pool {
    connector: Connector,
    /// For how long one that nobody uses is kept.
    idle: Duration,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_place: HashMap<Place, Connections>,
    /// Whether somebody looks for those that were idle for too long.
    is_swept: bool,
}

#[derive(Default)]
struct Connections {
    /// Those of HTTP/1.1 on which nothing is under way, the last used last.
    idle: Vec<(http1::SendRequest<Body>, Instant)>,
    /// The one of HTTP/2, which all requests share, and when the last one took it.
    shared: Option<(http2::SendRequest<Body>, Instant)>,
}

/// A connection that takes one request.
pub(crate) struct Line {
    sender: Sender,
    /// Whether it was kept: then its service may have given it up meanwhile.
    pub(crate) is_kept: bool,
    home: Home,
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// Where a connection goes once its answer has passed.
struct Home {
    pool: Weak<Pool>,
    place: Place,
}

/// A runtime, and the authority to which a connection leads, in the letters of the request.
#[derive(Clone)]
struct Place {
    runtime: runtime::Id,
    authority: Authority,
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        self.runtime == other.runtime && self.authority.as_str() == other.authority.as_str()
    }
}

impl Eq for Place {}

impl Hash for Place {
    /// All letters at once: an [`Authority`] lowers and hashes one after the other.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.runtime.hash(state);
        self.authority.as_str().hash(state);
    }
}

/// A connection whose answer passes. Dropped before the end of that, it is closed.
pub(crate) struct Lease {
    sender: http1::SendRequest<Body>,
    home: Home,
}

impl Pool {
    pub(crate) fn new(connector: Connector, idle: Duration) -> Arc<Pool> {
        Arc::new(Pool { connector, idle, kept: Mutex::default() })
    }

    /// A connection for a request with this absolute URL: one that is kept, or a new one.
    pub(crate) async fn line(self: &Arc<Pool>, uri: &Uri) -> Result<Line, NotSent> {
        match self.take(uri) {
            Some(line) => Ok(line),
            None => self.open(uri, false).await,
        }
    }

    /// A new connection. One that can be upgraded is never kept.
    pub(crate) async fn open(self: &Arc<Pool>, uri: &Uri, upgrades: bool) -> Result<Line, NotSent> {
        // Rare, and larger than all else that a request needs while it waits.
        Box::pin(self.connect(uri, upgrades)).await
    }

    async fn connect(self: &Arc<Pool>, uri: &Uri, upgrades: bool) -> Result<Line, NotSent> {
        let stream = self.connector.clone().call(uri.clone()).await.map_err(NotSent::connect)?;
        let is_http_2 = stream.connected().is_negotiated_h2();
        let mut home = self.home(uri)?;
        if upgrades {
            // Also if the service upgraded nothing: nobody would take it again.
            home.pool = Weak::new();
        }
        let sender = if is_http_2 {
            let (sender, connection) =
                http_2().handshake(stream).await.map_err(NotSent::connect)?;
            tokio::spawn(connection);
            let shared = Some((sender.clone(), Instant::now()));
            self.keep(home.place.clone(), |connections| connections.shared = shared);
            Sender::Http2(sender)
        } else {
            let mut builder = http1::Builder::new();
            // Room for them is taken anew with each answer, which costs some 35 ns however many they are.
            builder.max_buf_size(BUFFER).max_headers(MOST_HEADERS);
            let (sender, connection) = builder.handshake(stream).await.map_err(NotSent::connect)?;
            match upgrades {
                true => drop(tokio::spawn(connection.with_upgrades())),
                false => drop(tokio::spawn(connection)),
            }
            Sender::Http1(sender)
        };
        Ok(Line { sender, is_kept: false, home })
    }

    fn take(self: &Arc<Pool>, uri: &Uri) -> Option<Line> {
        let home = self.home(uri).ok()?;
        let mut kept = self.kept();
        let connections = kept.by_place.get_mut(&home.place)?;
        connections.shared.take_if(|(shared, _)| shared.is_closed());
        if let Some((shared, last)) = &mut connections.shared {
            *last = Instant::now();
            return Some(Line { sender: Sender::Http2(shared.clone()), is_kept: true, home });
        }
        while let Some((sender, since)) = connections.idle.pop() {
            if sender.is_ready() && since.elapsed() < self.idle {
                return Some(Line { sender: Sender::Http1(sender), is_kept: true, home });
            }
        }
        None
    }

    fn home(self: &Arc<Pool>, uri: &Uri) -> Result<Home, NotSent> {
        let authority = uri.authority().ok_or_else(|| NotSent::connect("the URL has no host"))?;
        let place =
            Place { runtime: runtime::Handle::current().id(), authority: authority.clone() };
        Ok(Home { pool: Arc::downgrade(self), place })
    }

    fn keep(self: &Arc<Pool>, place: Place, put: impl FnOnce(&mut Connections)) {
        if self.idle.is_zero() {
            return;
        }
        let mut kept = self.kept();
        put(kept.by_place.entry(place).or_default());
        if !std::mem::replace(&mut kept.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.idle));
        }
    }

    fn keep_idle(self: &Arc<Pool>, place: Place, sender: http1::SendRequest<Body>) {
        self.keep(place, |connections| connections.idle.push((sender, Instant::now())));
    }

    /// Nothing is left half done while it is held, so a panic elsewhere does not matter.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that were idle for too long and forgets where they led, until there are none.
async fn sweep(pool: Weak<Pool>, idle: Duration) {
    loop {
        sleep(idle).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut kept = pool.kept();
        kept.by_place.retain(|_, of| {
            of.idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < idle);
            // What is under way on it ends first.
            of.shared.take_if(|(shared, last)| shared.is_closed() || last.elapsed() >= idle);
            !of.idle.is_empty() || of.shared.is_some()
        });
        if kept.by_place.is_empty() {
            kept.is_swept = false;
            return;
        }
    }
}

impl Line {
    /// Sends a request with an absolute URL, and waits for the head of the answer.
    pub(crate) async fn send(
        self,
        mut request: Request<Body>,
    ) -> Result<(Response<Incoming>, Option<Lease>), NotSent> {
        let Line { sender, home, .. } = self;
        match sender {
            Sender::Http1(mut sender) => {
                let uri = std::mem::replace(request.uri_mut(), Uri::from_static("/"));
                *request.uri_mut() =
                    uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
                match sender.try_send_request(request).await {
                    Ok(response) => Ok((response, Some(Lease { sender, home }))),
                    Err(mut failed) => {
                        let mut request = failed.take_message();
                        if let Some(request) = &mut request {
                            *request.uri_mut() = uri;
                        }
                        Err(NotSent::request(failed.into_error(), request))
                    }
                }
            }
            Sender::Http2(mut sender) => match sender.try_send_request(request).await {
                Ok(response) => Ok((response, None)),
                Err(mut failed) => {
                    let request = failed.take_message();
                    Err(NotSent::request(failed.into_error(), request))
                }
            },
        }
    }
}

impl Lease {
    /// Keeps the connection for the next request: its answer has passed.
    pub(crate) fn end(self) {
        let Lease { mut sender, home: Home { pool, place } } = self;
        let Some(pool) = pool.upgrade().filter(|_| !sender.is_closed()) else { return };
        if sender.is_ready() {
            return pool.keep_idle(place, sender);
        }
        // The service answered before it had read the whole request.
        tokio::spawn(async move {
            if let Ok(Ok(())) = timeout(pool.idle, sender.ready()).await {
                pool.keep_idle(place, sender);
            }
        });
    }
}

fn http_2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(PING))
        .keep_alive_timeout(PING)
        .max_send_buf_size(BUFFER)
        .max_header_list_size(LONGEST_HEAD)
        // A service has one connection, on which all answers come: only an answer may wait for its reader,
        // never the connection.
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(LARGEST_WINDOW);
    builder
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct NotSent {
    error: BoxError,
    /// Whether there was no connection to begin with.
    pub(crate) is_connect: bool,
    /// The request, if nothing of it was sent.
    pub(crate) request: Option<Box<Request<Body>>>,
}

impl NotSent {
    fn connect(error: impl Into<BoxError>) -> NotSent {
        NotSent { error: error.into(), is_connect: true, request: None }
    }

    fn request(error: hyper::Error, request: Option<Request<Body>>) -> NotSent {
        NotSent { error: error.into(), is_connect: false, request: request.map(Box::new) }
    }

    /// Whether the connection ended before there was an answer, as one does that its service gave up
    /// at the same moment.
    pub(crate) fn is_end(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*self.error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<hyper::Error>()
                && (error.is_canceled() || error.is_closed() || error.is_incomplete_message())
            {
                return true;
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return ENDS.contains(&error.kind());
            }
            cause = error.source();
        }
        false
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for NotSent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

const ENDS: [io::ErrorKind; 4] = [
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::NotConnected,
];
/// Of an answer over HTTP/1.1: as many as S3 can make of an object's own metadata, and more.
const MOST_HEADERS: usize = 1024;
/// Of an answer over HTTP/2, which counts 32 bytes for each header beside its own.
const LONGEST_HEAD: u32 = 64 << 10;
const PING: Duration = Duration::from_secs(30);
/// So much of an answer over HTTP/2 comes before it is asked for.
const WINDOW: u32 = 1 << 20;
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
