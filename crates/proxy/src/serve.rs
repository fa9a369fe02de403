//! The ports, from the first connection to the last.

use std::{convert::Infallible, fmt, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{Method, Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, ConfigError, Limits, Outside, Timeouts, admin,
    body::{self, Body, Holding},
    connect::{self, Connecting},
    forward::{Engine, Peer},
    metrics::Metrics,
    refuse::Ids,
    route::Route,
    upstream::{self, BUFFER},
    workers::Workers,
};

/// A proxy that is set up, and does not listen yet.
///
/// See the [crate] for an example.
pub struct Proxy {
    config: Config,
    engine: Arc<Engine>,
}

impl Proxy {
    /// Sets a proxy up.
    ///
    /// # Errors
    /// What of the settings cannot be, or cannot be together; nothing is left to go wrong with them later.
    pub fn new(config: Config, outside: Arc<dyn Outside>) -> Result<Proxy, ConfigError> {
        if config.routes.is_empty() {
            return Err(ConfigError::new("there is no route: give an upstream, or hosts to allow"));
        }
        if config.listen.is_empty() {
            return Err(ConfigError::new("there is no address to listen on"));
        }
        let Limits { connections, requests, head, .. } = config.limits;
        if connections == 0 || requests == 0 || head < LEAST_HEAD {
            return Err(ConfigError::new(format!(
                "the limits let nothing through: connections and requests must be 1 at the least, head \
                 {LEAST_HEAD}"
            )));
        }
        if let Some(open) = config.listen.iter().find(|address| !address.ip().is_loopback())
            && !config.insecure_listen
        {
            return Err(ConfigError::new(format!(
                "{open} can be reached from other machines, and whoever reaches it is signed for: \
                 listen on loopback, or allow it with insecure_listen"
            )));
        }
        config.timeouts.check()?;
        let tls = upstream::tls(config.ca_file.as_deref());
        let needs_tls = config.routes.iter().any(|route| match &route.upstream {
            Some(upstream) => upstream.https,
            None => !route.plain_http,
        });
        let tls = match tls {
            Err(error) if needs_tls || config.ca_file.is_some() => return Err(error),
            Err(_) => upstream::no_tls(),
            Ok(tls) => tls,
        };
        let mut routes: Vec<Route> = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            let route = Route::new(route, &outside, &tls, &config.timeouts)?;
            if routes.iter().any(|other| other.name == route.name) {
                return Err(ConfigError::new(format!("two routes are called `{}`", route.name)));
            }
            routes.push(route);
        }
        let connecting = config.connect.as_ref().map(|it| Connecting::new(it, &outside));
        let connecting = connecting.transpose()?;
        let engine = Engine {
            routes,
            room: body::room(config.limits.requests),
            holding: Holding::new(&config.limits, config.timeouts.body),
            timeouts: config.timeouts.clone(),
            metrics: Metrics::new(),
            ids: Ids::default(),
            nowhere: Arc::from(""),
            upgraded: TaskTracker::new(),
            cut: CancellationToken::new(),
            connecting: connecting.map(Arc::new),
        };
        Ok(Proxy { config, engine: Arc::new(engine) })
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// If an address cannot be listened on; the text names it.
    pub async fn bind(self) -> io::Result<Bound> {
        if let Some(connecting) = &self.engine.connecting {
            connecting.warn();
        }
        let mut listeners = Vec::with_capacity(self.config.listen.len());
        for address in &self.config.listen {
            listeners.push(bind(*address).await?);
        }
        let admin = match self.config.admin {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Bound { proxy: self, listeners, admin, workers: Workers::default() })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("listen", &self.config.listen).finish_non_exhaustive()
    }
}

/// A proxy that listens; connections wait until it [serves](Bound::serve).
#[derive(Debug)]
pub struct Bound {
    proxy: Proxy,
    listeners: Vec<TcpListener>,
    admin: Option<TcpListener>,
    workers: Workers,
}

impl Bound {
    /// The same, which serves connections on these runtimes, in turn, and not on the one that
    /// [`serve`](Bound::serve) runs on.
    ///
    /// Each should have one thread, which drives it until `serve` has ended: then what belongs to a request
    /// stays on one thread, and none waits for another.
    #[must_use]
    pub fn with_workers(self, runtimes: impl IntoIterator<Item = runtime::Handle>) -> Bound {
        Bound { workers: Workers::new(runtimes), ..self }
    }

    /// The addresses on which it listens, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// The address of health and metrics.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `stop` is done; then takes no more connections and ends what is in flight, for as
    /// long as `timeouts.drain` allows. Must run on tokio, with its time and I/O.
    ///
    /// What clients had sent by then is answered. Health answers until the end, so that whoever watches
    /// sees the proxy go.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Bound { proxy: Proxy { config, engine }, listeners, admin, workers } = self;
        let (stopping, stopped) = watch::channel(false);
        let room = body::room(config.limits.connections);
        let connections = TaskTracker::new();
        let server = Arc::new(Server {
            builder: builder(&config),
            engine,
            stopped,
            timeouts: config.timeouts.clone(),
            workers,
        });
        let accepting = TaskTracker::new();
        for listener in listeners {
            let accept =
                accept(listener, Arc::clone(&server), Arc::clone(&room), connections.clone());
            accepting.spawn(accept);
        }
        let admin = admin.map(|listener| {
            // Its own few connections, so that a full house does not look like a dead one.
            let room = Arc::new(Semaphore::new(ADMIN_CONNECTIONS));
            let (never, stopped) = watch::channel(false);
            let server = Arc::new(Server { stopped, ..Server::clone(&server) });
            let serving = accept_admin(listener, server, room);
            tokio::spawn(async move {
                serving.await;
                drop(never);
            })
        });
        stop.await;
        stopping.send_replace(true);
        accepting.close();
        connections.close();
        server.engine.upgraded.close();
        let drained = async {
            accepting.wait().await;
            connections.wait().await;
            server.engine.upgraded.wait().await;
        };
        if timeout(config.timeouts.drain, drained).await.is_err() {
            tracing::warn!("what was still in flight after {:?} is cut off", config.timeouts.drain);
            server.engine.cut.cancel();
            connections.wait().await;
            server.engine.upgraded.wait().await;
        }
        if let Some(admin) = admin {
            admin.abort();
        }
    }
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Server {
    builder: auto::Builder<TokioExecutor>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) timeouts: Timeouts,
    workers: Workers,
}

fn builder(config: &Config) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.timeouts.head)
        .max_headers(config.limits.headers)
        .max_buf_size(config.limits.head);
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
async fn accept(
    listener: TcpListener,
    server: Arc<Server>,
    room: Arc<Semaphore>,
    connections: TaskTracker,
) {
    let mut stopped = server.stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener, &room) => accepted,
            () = wanted(&mut stopped) => break,
        };
        server.workers.spawn(&connections, converse(accepted, Arc::clone(&server)));
    }
    // Their clients were told that they are connected.
    let until = Instant::now() + SWEEP;
    while let Ok(accepted) = timeout_at(until, next(&listener, &room)).await {
        server.workers.spawn(&connections, converse(accepted, Arc::clone(&server)));
    }
}

type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// The next connection, once there is room for one more.
async fn next(listener: &TcpListener, room: &Arc<Semaphore>) -> Accepted {
    let permit = Arc::clone(room).acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Answers are written in one piece.
                let _ = stream.set_nodelay(true);
                return (stream, address, permit);
            }
            // Too many descriptors, or a connection that was gone at once.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn converse((stream, address, permit): Accepted, server: Arc<Server>) {
    let Ok(stream) = server.workers.adopt(stream) else { return };
    let room = Arc::new(permit);
    let peer = Peer { address: Some(address.ip()), https: false, tunnel: None, room };
    server.engine.metrics.connections.inc();
    let answering = Arc::clone(&server);
    serve_connection(stream, &server, move |request| {
        let (server, peer) = (Arc::clone(&answering), peer.clone());
        async move {
            match &server.engine.connecting {
                Some(connecting) if request.method() == Method::CONNECT => {
                    let connecting = Arc::clone(connecting);
                    // Rare, and larger than all else.
                    Box::pin(connect::answer(server, connecting, request, peer)).await
                }
                _ => server.engine.answer(request, peer).await,
            }
        }
    })
    .await;
    server.engine.metrics.connections.dec();
}

async fn accept_admin(listener: TcpListener, server: Arc<Server>, room: Arc<Semaphore>) {
    loop {
        let (stream, _, permit) = next(&listener, &room).await;
        let server = Arc::clone(&server);
        let engine = Arc::clone(&server.engine);
        tokio::spawn(async move {
            let answer = move |request| {
                let engine = Arc::clone(&engine);
                async move { admin::answer(&engine, request).await }
            };
            serve_connection(stream, &server, answer).await;
            drop(permit);
        });
    }
}

/// Serves a connection to its end. What goes wrong with it concerns nobody but its client.
pub(crate) async fn serve_connection<S, A, F>(stream: S, server: &Server, answer: A)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Server { builder, engine, timeouts, .. } = server;
    let mut stopped = server.stopped.clone();
    let mut stream = TimeoutStream::new(stream);
    // Whoever reads nothing would keep the service's answer waiting for ever.
    stream.set_write_timeout(Some(timeouts.body));
    let (begun, mut begins) = watch::channel(false);
    let begun = Arc::new(begun);
    let service = service_fn(move |request| {
        // Once is enough, and asking is cheaper than telling.
        if !*begun.borrow() {
            begun.send_replace(true);
        }
        let answering = answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(Box::pin(stream)), service));
    // Before its first request nothing limits how long a connection may say nothing, and to shut it down
    // would lose a request that is on its way.
    tokio::select! {
        // What has come is read before anything else is decided.
        biased;
        _ = connection.as_mut() => return,
        () = wanted(&mut begins) => {}
        () = sleep(timeouts.head) => return,
        () = async { wanted(&mut stopped).await; sleep(GRACE).await; } => {}
    }
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = wanted(&mut stopped) => {}
    }
    // The next request may have come, and the system not have told so yet.
    if timeout(NEXT, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection => {}
            () = engine.cut.cancelled() => {}
        }
    }
}

/// Waits until it is true, or nobody is left to say so.
pub(crate) async fn wanted(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|is| *is).await;
}

/// The head of a request with a session token in its query takes some.
const LEAST_HEAD: usize = 8 << 10;
const ADMIN_CONNECTIONS: usize = 64;
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
