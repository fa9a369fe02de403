//! A proxy on loopback, what stands behind it and what stands in front.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use bytes::Bytes;
use countersign::{
    Credentials, Head, KeyCache, Payload, Scratch, checksums,
    providers::{AssumeRole, BoxFuture, ProvideCredentials, ProviderError},
    verify::{Known, Verifier},
};
use countersign_proxy::{Config, ConfigError, Handle, Outside, Proxy, RouteConfig};
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use crate::logs;

pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

pub(crate) const TOKEN: &str = "token//of+a==session";

/// The credentials that sign, unless a test takes them away.
pub(crate) fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", SECRET).with_session_token(TOKEN)
}

/// The outside of a proxy: one provider, whatever the profile.
#[derive(Clone)]
pub(crate) struct World(pub(crate) Arc<Provider>, Arc<Role>);

/// The one role that can be assumed, and what was asked of it.
#[derive(Default)]
struct Role {
    provider: Option<Arc<Provider>>,
    asked: Mutex<Option<AssumeRole>>,
}

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) has: Mutex<Option<Credentials>>,
    pub(crate) invalidated: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn new(credentials: Option<Credentials>) -> World {
        logs::listen();
        World(Provider::new(credentials), Arc::default())
    }

    /// The same with credentials for a role.
    pub(crate) fn with_role(self, credentials: Credentials) -> World {
        let provider = Some(Provider::new(Some(credentials)));
        World(self.0, Arc::new(Role { provider, asked: Mutex::default() }))
    }

    pub(crate) fn role(&self) -> Option<Arc<Provider>> {
        self.1.provider.clone()
    }

    /// The role that was asked for.
    pub(crate) fn asked(&self) -> Option<AssumeRole> {
        self.1.asked.lock().unwrap().clone()
    }
}

impl Provider {
    fn new(credentials: Option<Credentials>) -> Arc<Provider> {
        let has = Mutex::new(credentials);
        Arc::new(Provider { has, invalidated: Mutex::default() })
    }
}

impl Outside for World {
    fn credentials(&self, _: Option<&str>) -> Arc<dyn ProvideCredentials> {
        self.0.clone()
    }

    fn role(
        &self,
        _: Option<&str>,
        role: AssumeRole,
    ) -> Result<Arc<dyn ProvideCredentials>, String> {
        let Some(provider) = World::role(self) else {
            return Err(format!("has the role `{}`, and roles are not supported", role.role_arn()));
        };
        *self.1.asked.lock().unwrap() = Some(role);
        Ok(provider)
    }

    /// `service.region.test`, and nothing else.
    fn scope(
        &self,
        authority: &str,
        _: &str,
        _: Option<&str>,
        _: Option<&str>,
    ) -> Result<(String, String), String> {
        match authority.split(['.', ':']).collect::<Vec<_>>()[..] {
            [service, region, "test", ..] => Ok((region.to_owned(), service.to_owned())),
            _ => Err(format!("`{authority}` is no host that is known")),
        }
    }
}

impl ProvideCredentials for Provider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async { Ok(self.has.lock().unwrap().clone()) })
    }

    fn invalidate(&self, access_key_id: &str) {
        self.invalidated.lock().unwrap().push(access_key_id.to_owned());
    }

    fn absence(&self) -> String {
        "the drawer is empty".to_owned()
    }
}

/// A proxy that serves until it is dropped or told to stop.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) world: World,
    pub(crate) handle: Handle,
    config: Config,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

/// A configuration with this route, on free ports.
pub(crate) fn config(route: RouteConfig) -> Config {
    let mut config = Config::default();
    config.listen = vec![loopback().into()];
    config.admin = Some(loopback());
    config.routes = vec![route];
    config
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A route to an address, for S3.
pub(crate) fn s3(upstream: SocketAddr) -> RouteConfig {
    RouteConfig::to(format!("http://{upstream}").parse().unwrap()).with_scope("eu-west-1", "s3")
}

impl Running {
    pub(crate) async fn start(config: Config) -> Running {
        Running::start_in(World::new(Some(credentials())), config).await
    }

    pub(crate) async fn start_in(world: World, config: Config) -> Running {
        let bound =
            Proxy::new(config.clone(), Arc::new(world.clone())).unwrap().bind().await.unwrap();
        let (address, admin) = (bound.addresses()[0], bound.admin_address().unwrap());
        let handle = bound.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(bound.serve(async move {
            let _ = stopped.await;
        }));
        Running { address, admin, world, handle, config, stop: Some(stop), ended }
    }

    /// Has it read all its files again.
    pub(crate) fn reload(&self) -> Result<(), ConfigError> {
        self.handle.reload(self.config.clone())
    }

    /// Tells it to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn ended(self) {
        self.ended.await.unwrap();
    }

    /// Sends bytes, and reads until the proxy closes.
    pub(crate) async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        exchange(self.address, request).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and nothing behind them, and reads until the proxy closes.
    pub(crate) async fn break_off(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.write_all(request.as_ref()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer).await;
        answer
    }

    /// What is counted by now.
    pub(crate) async fn metrics(&self) -> String {
        exchange(self.admin, "GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await
    }
}

pub(crate) async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A proxy that refuses may close before all is written.
    let _ = stream.write_all(request.as_ref()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until what came ends so, and nothing beyond; what came.
pub(crate) async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        match stream.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&read)),
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// A request that the service got.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<http::HeaderMap>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn target(&self) -> &str {
        self.parts.uri.path_and_query().unwrap().as_str()
    }
}

/// A service that verifies each request, as AWS does, and keeps what it got.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Service {
    /// Answers 200 to what is signed, 403 to what is not.
    pub(crate) async fn start() -> Service {
        Service::start_with(|_| Response::new(Full::new(Bytes::from("meow")))).await
    }

    /// Answers what is signed by this function.
    pub(crate) async fn start_with<F>(answer: F) -> Service
    where
        F: Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let service = Service { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (seen, answer, keys) = (service.seen.clone(), Arc::new(answer), KeyCache::default());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer, keys) = (seen.clone(), answer.clone(), keys.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (seen, answer, keys) = (seen.clone(), answer.clone(), keys.clone());
                    async move {
                        let (parts, body) = request.into_parts();
                        let Ok(body) = body.collect().await else {
                            return Ok::<_, Infallible>(status(400));
                        };
                        let trailers = body.trailers().cloned();
                        let one = Seen { parts, body: body.to_bytes(), trailers };
                        let response = match verify(&one, &keys) {
                            Ok(()) => answer(&one),
                            Err(why) => status(403).map(|_| Full::new(Bytes::from(why))),
                        };
                        seen.lock().unwrap().push(one);
                        Ok(response)
                    }
                });
                tokio::spawn(async move {
                    auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                });
            }
        });
        service
    }

    /// The only request that it got.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.pop().unwrap()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

pub(crate) fn status(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// Verifies a request as its service would, its body included.
pub(crate) fn verify(seen: &Seen, keys: &KeyCache) -> Result<(), String> {
    let verifier = Verifier::new().with_checksums(checksums::by_name);
    let say = |error: countersign::verify::Error| error.to_string();
    let claim = verifier.claim(Head::from(&seen.parts), SystemTime::now()).map_err(say)?;
    let known = credentials();
    let key = keys.key(known.access_key_id(), known.secret_access_key(), &claim.scope());
    let known = Known::new(&key).with_session_token(known.session_token().unwrap());
    let hash = Payload::hash(&seen.body);
    let (_, mut check) = claim.verify(Some(known), Some(hash), &mut Scratch::new()).map_err(say)?;
    check.push(&seen.body).map_err(say)?;
    check.finish().map_err(say)?;
    Ok(())
}

/// A service that does with each connection what this function says.
pub(crate) async fn raw<F, R>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// The body of an answer.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// Whether a program is there that a test drives. Without it the test says that it did not run; where
/// COUNTERSIGN_NEED_TOOLS is set, as in CI, it fails.
pub(crate) fn has_tool(name: &str) -> bool {
    let is_there = std::process::Command::new(name).arg("version").output().is_ok();
    if !is_there {
        assert!(std::env::var_os("COUNTERSIGN_NEED_TOOLS").is_none(), "there is no {name} here");
        println!("did not run: there is no {name} here");
    }
    is_there
}
