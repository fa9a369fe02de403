//! `CONNECT`: clients that want TLS to a service get it from the proxy, which then reads their requests.

mod blind;
mod target;

use std::{io, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version, header::CONNECTION, request::Parts};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

pub(crate) use self::blind::is_public;
use self::target::Target;
use crate::{
    Authority, ConfigError, ConnectConfig, Others, Outside,
    body::{self, Body},
    ca::{self, Ca},
    carry::carry,
    connection::{Server, before_the_end, serve_connection, tell},
    forward::{Engine, Peer},
    refuse::{Reason, Refusal, Speech},
    route::Route,
};

/// What is done with tunnels.
pub(crate) struct Connecting {
    ca: Ca,
    others: Others,
    outside: Arc<dyn Outside>,
}

/// Where a tunnel leads.
enum Way {
    /// To the proxy itself, which speaks for the service.
    Inside(Arc<ServerConfig>),
    /// To this connection, past all routes.
    Past(TcpStream),
}

impl Connecting {
    pub(crate) fn new(
        config: &ConnectConfig,
        outside: &Arc<dyn Outside>,
    ) -> Result<Connecting, ConfigError> {
        let ca = Ca::read(&config.ca, &config.ca_key, outside.now())?;
        Ok(Connecting { ca, others: config.others, outside: Arc::clone(outside) })
    }

    /// Says what is amiss, though all works.
    pub(crate) fn warn(&self) {
        for warning in &self.ca.warnings {
            tracing::warn!("{warning}");
        }
    }

    async fn way(&self, engine: &Engine, target: &Target) -> Result<Way, Refusal> {
        let Target { name, authority, .. } = target;
        if engine.routes.iter().any(|route| route.opens(authority)) {
            if !self.ca.permits(name) {
                let message =
                    format!("the proxy's CA may not vouch for `{name}`: make one that may");
                return Err(Refusal::new(Reason::NotAllowed, message));
            }
            let tls = self.ca.tls(name, self.outside.now());
            return tls.map(Way::Inside).map_err(|why| Refusal::new(Reason::Busy, why));
        }
        match self.others {
            Others::Refuse => {
                let message = format!("tunnels to `{authority}` are not allowed here");
                Err(Refusal::new(Reason::NotAllowed, message))
            }
            Others::Tunnel => {
                let limit = engine.timeouts.connect;
                blind::connect(&*self.outside, target, limit).await.map(Way::Past)
            }
        }
    }
}

/// Answers a CONNECT. What comes through its tunnel is served apart, and takes the room of the
/// connection until it ends.
pub(crate) async fn answer(
    server: Server,
    connecting: Arc<Connecting>,
    engine: Arc<Engine>,
    mut request: Request<Incoming>,
    mut peer: Peer,
) -> Response<Body> {
    let id = engine.ids.next();
    let client = upgrade::on(&mut request);
    let mut host = String::new();
    let (head, body) = request.into_parts();
    let found = async {
        engine.gate.check_connection(&head, &peer)?;
        let target = asked(&head, &body)?;
        let identified = engine.gate.identify(&head, &mut peer);
        engine.gate.check_rate(&peer)?;
        // Where a route knows its clients by what they sign, that is looked at inside.
        let verifies = |route: &Route| route.resign.is_some() && route.opens(&target.authority);
        if !engine.routes.iter().any(verifies) {
            identified?;
        }
        host = target.authority.to_string();
        let way = connecting.way(&engine, &target).await?;
        Ok((target, way))
    };
    let found = found.await;
    let outcome = match &found {
        Ok((_, Way::Inside(_))) => "allowed",
        Ok((_, Way::Past(_))) => "tunnelled",
        Err(_) => "refused",
    };
    let refusal = found.as_ref().err().map(|refusal: &Refusal| refusal.reason.as_str());
    engine.metrics.connected(outcome, refusal.unwrap_or_default());
    let address = peer.address.map(tracing::field::display);
    let shown = tracing::field::display(id);
    tracing::info!(id = shown, client = address, host, outcome, refusal, "connect");
    let (target, way) = match found {
        Ok(found) => found,
        Err(refusal) => {
            engine.metrics.refused(refusal.reason);
            let wire = Speech::of(&head.headers).with("");
            let mut response = refusal.response(wire, id);
            // What comes behind was meant for a tunnel.
            if head.version < Version::HTTP_2 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            return response;
        }
    };
    let tunnel = Tunnel { id: id.to_string(), target, peer, server };
    engine.upgraded.spawn(async move {
        match way {
            Way::Inside(tls) => tunnel.serve(client, tls).await,
            Way::Past(service) => tunnel.pass(client, service).await,
        }
    });
    Response::new(body::whole(Bytes::new()))
}

/// What a CONNECT asks for.
fn asked(head: &Parts, body: &Incoming) -> Result<Target, Refusal> {
    if head.version >= Version::HTTP_2 {
        // There, tunnels would be many on one connection, whose room they share.
        let message = "CONNECT is taken over HTTP/1.1 alone";
        return Err(Refusal::new(Reason::MethodNotAllowed, message));
    }
    if !body.is_end_stream() {
        return Err(Refusal::new(Reason::Malformed, "CONNECT has a body, which means nothing"));
    }
    Target::of(&head.uri, &head.headers)
}

/// Whether a request inside a tunnel is for the host of the tunnel.
///
/// # Errors
/// If it is not: who answers in a host's name answers for that host alone.
pub(crate) fn check(tunnel: &Authority, asked: &Authority, uri: &Uri) -> Result<(), Refusal> {
    if uri.scheme_str().is_some_and(|scheme| scheme != "https") {
        let message = "the request target is not https, but came through a tunnel for it";
        return Err(Refusal::new(Reason::Misdirected, message));
    }
    if target::plain(asked) == *tunnel {
        return Ok(());
    }
    let message = format!("the request is for `{asked}`, but the tunnel leads to `{tunnel}`");
    Err(Refusal::new(Reason::Misdirected, message))
}

/// A tunnel that was agreed to.
struct Tunnel {
    id: String,
    target: Target,
    /// Holds the room of the connection.
    peer: Peer,
    server: Server,
}

impl Tunnel {
    /// Ends TLS here, and answers what is asked inside as any other request.
    async fn serve(self, client: OnUpgrade, tls: Arc<ServerConfig>) {
        let serving = self.server.handle.current();
        let engine = &serving.engine;
        let Ok(client) = client.await else { return };
        let _open = engine.metrics.tunnel();
        let limit = engine.timeouts.head;
        // Apart: it has no room in the tunnel that outlives it.
        let shaking = shake(TokioIo::new(client), tls, &self.target.name);
        let shaking = Box::pin(timeout(limit, shaking));
        let Some(shaken) = before_the_end(&self.server.stopped, shaking).await else { return };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(Failed { reason, error })) => return self.failed(reason, &error.to_string()),
            Err(_) => return self.failed("timeout", "the TLS handshake took too long"),
        };
        let tunnel = Some(Arc::new(self.target.authority));
        let peer = Peer { https: true, tunnel, ..self.peer };
        let client = peer.address;
        let Server { handle, stopped, .. } = self.server;
        let served = serve_connection(stream, &serving, stopped, move |request| {
            handle.engine().answer(request, peer.clone())
        })
        .await;
        if let Err(refusal) = served {
            tell(&refusal, &serving, client);
        }
    }

    fn failed(&self, reason: &'static str, error: &str) {
        self.server.handle.engine().metrics.tunnel_failed(reason);
        tracing::info!(id = self.id, host = self.target.name, reason, error, "tunnel failed");
    }

    /// Carries bytes both ways, which nobody reads.
    async fn pass(self, client: OnUpgrade, service: TcpStream) {
        let Tunnel { id, target, peer, server } = self;
        let Ok(client) = client.await else { return };
        let engine = server.handle.engine();
        let _open = engine.metrics.tunnel();
        let began = Instant::now();
        tokio::select! {
            () = carry(TokioIo::new(client), service, engine.timeouts.websocket) => {}
            // Nobody can tell it to end in good order.
            () = engine.cut.cancelled() => {}
        }
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(id, host = target.name, milliseconds, "tunnel ended");
        drop(peer);
    }
}

/// Why there is no TLS.
struct Failed {
    reason: &'static str,
    error: io::Error,
}

/// TLS as the service of this name.
async fn shake<S>(stream: S, tls: Arc<ServerConfig>, name: &str) -> Result<TlsStream<S>, Failed>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let failed = |error| Failed { reason: "handshake", error };
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed)?;
    // The certificate is for one name, and refused to whoever names another; this says why.
    let is_meant = ca::is_meant(start.client_hello().server_name(), name);
    start
        .into_stream(tls)
        .await
        .map_err(|error| Failed { reason: if is_meant { "handshake" } else { "name" }, error })
}
