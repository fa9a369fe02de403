//! What a proxy is told to do, as data.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;

use crate::{
    host::{Authority, HostPattern},
    listen::ListenAddress,
    path::Prefix,
    upstream::Upstream,
};

/// All that a proxy is told: where it listens, what it takes, and where requests go.
///
/// Reads with serde from any format that knows maps and lists; unknown keys are errors. Durations are
/// text as `10s` or `5m`, sizes are bytes.
///
/// ```
/// use countersign_proxy::Config;
///
/// let config: Config = toml::from_str(r#"
///     listen = ["127.0.0.1:8080"]
///
///     [limits]
///     body = 1_000_000
///
///     [[route]]
///     name = "cloudwatch"
///     upstream = "https://monitoring.eu-central-1.amazonaws.com"
///     service = "monitoring"
///     region = "eu-central-1"
/// "#)?;
/// assert_eq!(config.routes[0].name, "cloudwatch");
/// assert!(toml::from_str::<Config>("lisen = []").is_err());
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; `127.0.0.1:8080` unless it is set.
    pub listen: Vec<ListenAddress>,
    /// Whether addresses other than loopback are allowed where nobody proves who they are: whoever reaches them is
    /// signed for.
    pub insecure_listen: bool,
    /// TLS at all addresses, but not on Unix sockets; none unless it is set.
    pub tls: Option<TlsConfig>,
    /// The secrets by which clients are known; they need none unless it is set.
    pub auth: Option<AuthConfig>,
    /// How much the program logs in which the proxy runs; that one reads it.
    pub log: Option<LogLevel>,
    /// Where health and metrics are served; nowhere unless it is set. May be `[::]:9901`: nothing is
    /// signed there.
    pub admin: Option<SocketAddr>,
    /// A PEM file of certificates that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The file to which each decision of a route with `keys` is written, as a line of JSON.
    pub audit: Option<PathBuf>,
    /// How much is taken.
    pub limits: Limits,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// What is done with `CONNECT`; it is refused unless this is set.
    pub connect: Option<ConnectConfig>,
    /// Where requests go: the first route that fits a request takes it.
    #[serde(rename = "route")]
    pub routes: Vec<RouteConfig>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)).into()],
            insecure_listen: false,
            tls: None,
            auth: None,
            log: None,
            admin: None,
            ca_file: None,
            audit: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            connect: None,
            routes: Vec::new(),
        }
    }
}

impl Config {
    /// # Errors
    /// What cannot be, as far as that is seen without looking elsewhere.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.routes.is_empty() {
            return Err(ConfigError::new("there is no route: give an upstream, or hosts to allow"));
        }
        if self.listen.is_empty() {
            return Err(ConfigError::new("there is no address to listen on"));
        }
        let Limits { connections, requests, head, .. } = self.limits;
        if connections == 0 || requests == 0 || head < LEAST_HEAD {
            return Err(ConfigError::new(format!(
                "the limits let nothing through: connections and requests must be 1 at the least, head \
                 {LEAST_HEAD}"
            )));
        }
        if let Some(open) = self.listen.iter().find(|address| !address.is_local())
            && !self.insecure_listen
            && !self.knows_clients()
        {
            return Err(ConfigError::new(format!(
                "{open} can be reached from other machines, and whoever reaches it is signed for: \
                 listen on loopback, have clients prove who they are (auth, or client_ca in tls), or allow it \
                 with insecure_listen"
            )));
        }
        self.timeouts.check()
    }

    /// Whether whoever is signed for has proved who they are.
    fn knows_clients(&self) -> bool {
        self.auth.is_some()
            || self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
            || self.routes.iter().all(RouteConfig::verifies)
    }
}

/// TLS towards clients: 1.2 and 1.3, with HTTP/2 and HTTP/1.1.
///
/// ```
/// use countersign_proxy::TlsConfig;
///
/// let tls = TlsConfig::new("server.pem", "server.key").with_client_ca("clients.pem");
/// assert_eq!(tls.client_ca.as_deref(), Some("clients.pem".as_ref()));
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsConfig {
    /// A PEM file of the proxy's certificate, and behind it those that lead to its authority.
    pub certificate: PathBuf,
    /// A PEM file of the private key.
    pub key: PathBuf,
    /// A PEM file of authorities: clients must have a certificate of one of them. They need none unless it is set.
    pub client_ca: Option<PathBuf>,
}

impl TlsConfig {
    /// TLS with this certificate and key, for whatever client.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> TlsConfig {
        TlsConfig { certificate: certificate.into(), key: key.into(), client_ca: None }
    }

    /// The same, for clients with a certificate of an authority in this file.
    #[must_use]
    pub fn with_client_ca(self, file: impl Into<PathBuf>) -> TlsConfig {
        TlsConfig { client_ca: Some(file.into()), ..self }
    }
}

/// The secrets by which clients are known.
///
/// They say them in `authorization`, or in `proxy-authorization` where they ask for a whole URL; neither goes on to
/// the service.
///
/// ```
/// use countersign_proxy::AuthConfig;
///
/// let auth = AuthConfig::new("clients.txt");
/// assert_eq!(auth.file.to_str(), Some("clients.txt"));
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthConfig {
    /// A file with a line for each: `bearer TOKEN` or `basic USER:PASSWORD`. Lines that begin with `#` say nothing.
    pub file: PathBuf,
}

impl AuthConfig {
    /// The clients of this file.
    pub fn new(file: impl Into<PathBuf>) -> AuthConfig {
        AuthConfig { file: file.into() }
    }
}

/// How much is logged: this, and what is graver.
///
/// ```
/// use countersign_proxy::LogLevel;
///
/// assert!(LogLevel::Off < LogLevel::Info && LogLevel::Info < LogLevel::Debug);
/// assert_eq!(LogLevel::default(), LogLevel::Info);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What fails for all, such as settings that cannot be read again.
    Error,
    /// What fails, such as a provider of credentials.
    Warn,
    /// Each request.
    #[default]
    Info,
    /// What concerns one client alone, such as a handshake that fails.
    Debug,
}

/// How much a proxy takes.
///
/// ```
/// assert_eq!(countersign_proxy::Limits::default().memory, 64 << 10);
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time, WebSockets among them; more wait to be accepted.
    pub connections: usize,
    /// Requests under way at a time, until their answers have passed; more are answered with 503.
    pub requests: usize,
    /// Requests each second of one client, in the long run; more are answered with 429. Clients are told apart by
    /// what they prove to be, or by their addresses: those of IPv6 by the first half. No limit unless it is set.
    pub rate: Option<f64>,
    /// Requests of one client at once, if it asked nothing for a while; as many as in a second unless it is set.
    pub burst: Option<NonZeroU32>,
    /// Bytes in the head of a request.
    pub head: usize,
    /// Headers in a request.
    pub headers: usize,
    /// Bytes in the body of a request; one that is longer is answered with 413.
    pub body: u64,
    /// Bytes of a body that is hashed which are kept in memory; what is longer goes to a file without a
    /// name.
    pub memory: usize,
    /// Bytes in all these files at a time; what does not fit is answered with 503.
    pub spooled: u64,
    /// The folder for these files; the system's own for temporary files unless it is set.
    pub spool: Option<PathBuf>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_000,
            requests: 10_000,
            rate: None,
            burst: None,
            head: 32 << 10,
            headers: 100,
            body: 5 << 30,
            memory: 64 << 10,
            spooled: 8 << 30,
            spool: None,
        }
    }
}

/// How long each phase of a request may take.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(countersign_proxy::Timeouts::default().connect, Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Timeouts {
    /// For the head of a client's request, and for the next one on an idle connection.
    #[serde(with = "humantime_serde")]
    pub head: Duration,
    /// Between two pieces of a client's body, and for a client to take a piece of what is written to it.
    #[serde(with = "humantime_serde")]
    pub body: Duration,
    /// For a connection to the service: its address, TCP and TLS.
    #[serde(with = "humantime_serde")]
    pub connect: Duration,
    /// For the service to take a piece of the body, or, after the last, to begin to answer.
    #[serde(with = "humantime_serde")]
    pub response: Duration,
    /// Between two pieces of the answer's body.
    #[serde(with = "humantime_serde")]
    pub response_body: Duration,
    /// For a WebSocket on which nothing passes either way.
    #[serde(with = "humantime_serde")]
    pub websocket: Duration,
    /// For how long an idle connection to a service is kept.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
    /// For what is in flight when the proxy is told to stop.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            response: Duration::from_secs(60),
            response_body: Duration::from_secs(300),
            websocket: Duration::from_secs(900),
            idle: Duration::from_secs(15),
            drain: Duration::from_secs(30),
        }
    }
}

impl Timeouts {
    /// # Errors
    /// A time-out that lets nothing through, or never ends.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Timeouts { head, body, connect, response, response_body, websocket, idle, drain } =
            *self;
        for (name, length, least) in [
            ("head", head, SHORTEST),
            ("body", body, SHORTEST),
            ("connect", connect, SHORTEST),
            ("response", response, SHORTEST),
            ("response_body", response_body, SHORTEST),
            ("websocket", websocket, SHORTEST),
            ("idle", idle, Duration::ZERO),
            ("drain", drain, Duration::ZERO),
        ] {
            if !(least..=LONGEST).contains(&length) {
                let message =
                    format!("the time-out `{name}` is {length:?}, not {least:?} to a year");
                return Err(ConfigError::new(message));
            }
        }
        Ok(())
    }
}

/// With which authority clients that send `CONNECT` get TLS.
///
/// ```
/// use countersign_proxy::{ConnectConfig, Others};
///
/// let connect = ConnectConfig::new("ca.pem", "ca.key");
/// assert_eq!(connect.others, Others::Refuse);
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ConnectConfig {
    /// A PEM file with the certificate of the authority, which clients trust; behind it those by which they
    /// do, if there are any.
    pub ca: PathBuf,
    /// A PEM file with its key. Whoever can read it can pretend to be a service towards these clients.
    pub ca_key: PathBuf,
    /// What becomes of tunnels to hosts to which no route leads.
    #[serde(default)]
    pub others: Others,
}

impl ConnectConfig {
    /// An authority of these two files; other hosts are refused.
    pub fn new(ca: impl Into<PathBuf>, ca_key: impl Into<PathBuf>) -> ConnectConfig {
        ConnectConfig { ca: ca.into(), ca_key: ca_key.into(), others: Others::default() }
    }
}

/// What becomes of tunnels to hosts to which no route leads.
///
/// ```
/// use countersign_proxy::Others;
///
/// assert_eq!(Others::default(), Others::Refuse);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Others {
    /// They are answered with 403.
    #[default]
    Refuse,
    /// They lead there, to port 443 of public addresses, and the proxy does not look into them.
    Tunnel,
}

/// Which requests are signed how, and where they go.
///
/// Either `upstream` says where, or `allow` lists the hosts that a client may name itself.
///
/// ```
/// use countersign_proxy::RouteConfig;
///
/// let route = RouteConfig::to("http://127.0.0.1:9000/base".parse()?).with_scope("us-east-1", "s3");
/// assert_eq!(route.service.as_deref(), Some("s3"));
/// # Ok::<(), countersign_proxy::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RouteConfig {
    /// What logs and metrics call it.
    pub name: String,
    /// The hosts by which clients ask for this route, as `metrics.local` or `*.local`; any if there is
    /// none.
    pub hosts: Vec<HostPattern>,
    /// How the paths begin that go here; it is taken off before `upstream`'s own path is put in front.
    pub path: Prefix,
    /// The URL of the service.
    pub upstream: Option<Upstream>,
    /// The hosts to which clients may address requests themselves, as `*.amazonaws.com`. Their clocks are not
    /// believed where this machine's differs, as that of an `upstream` over TLS is.
    pub allow: Vec<HostPattern>,
    /// Whether the hosts of `allow` are spoken to without TLS.
    pub plain_http: bool,
    /// The host that is signed and sent, where it is not the one to connect to.
    pub sign_host: Option<Authority>,
    /// The signing name of the service; what the host says unless it is set.
    pub service: Option<String>,
    /// The region; what the host says unless it is set.
    pub region: Option<String>,
    /// Which headers are signed.
    pub signed_headers: SignedHeaders,
    /// What the signature says of bodies.
    pub payload: PayloadMode,
    /// What becomes of headers that say who the client is.
    pub forwarded: Forwarded,
    /// Headers of the client's that are left out.
    pub strip: Vec<String>,
    /// Headers that are added to those of the client.
    pub add: BTreeMap<String, String>,
    /// Headers that take the place of the client's, or are added.
    pub replace: BTreeMap<String, String>,
    /// Whether web pages of other sites may send requests here.
    pub cross_site: bool,
    /// The profile whose credentials sign; the standard chain unless it is set.
    pub profile: Option<String>,
    /// The TOML file of the keys that clients sign with, if they sign: what one of these keys signed, and
    /// may ask for, is signed again. Then the scope is the one that the client signed for, and bodies are sent
    /// as it sent them.
    pub keys: Option<PathBuf>,
}

impl RouteConfig {
    /// A route to one service, whatever host clients name.
    pub fn to(upstream: Upstream) -> RouteConfig {
        RouteConfig { upstream: Some(upstream), ..RouteConfig::default() }
    }

    /// A route to these hosts, which clients name themselves.
    ///
    /// ```
    /// use countersign_proxy::RouteConfig;
    ///
    /// let route = RouteConfig::to_allowed(["*.amazonaws.com".parse()?]);
    /// assert!(route.upstream.is_none());
    /// # Ok::<(), countersign_proxy::ConfigError>(())
    /// ```
    pub fn to_allowed(hosts: impl IntoIterator<Item = HostPattern>) -> RouteConfig {
        RouteConfig { allow: hosts.into_iter().collect(), ..RouteConfig::default() }
    }

    /// The same route for clients that sign, with the keys in this file.
    ///
    /// ```
    /// use countersign_proxy::RouteConfig;
    ///
    /// let route = RouteConfig::to("https://s3.eu-central-1.amazonaws.com".parse()?).with_keys("keys.toml");
    /// assert!(route.keys.is_some());
    /// # Ok::<(), countersign_proxy::ConfigError>(())
    /// ```
    #[must_use]
    pub fn with_keys(self, file: impl Into<PathBuf>) -> RouteConfig {
        RouteConfig { keys: Some(file.into()), ..self }
    }

    /// The same route, signed for this region and service.
    #[must_use]
    pub fn with_scope(self, region: impl Into<String>, service: impl Into<String>) -> RouteConfig {
        RouteConfig { region: Some(region.into()), service: Some(service.into()), ..self }
    }

    /// Whether clients prove who they are to the route itself, by what they sign.
    pub(crate) fn verifies(&self) -> bool {
        self.keys.is_some()
    }
}

/// Which headers of a request are signed.
///
/// ```
/// use countersign_proxy::SignedHeaders;
///
/// assert_eq!(SignedHeaders::default(), SignedHeaders::Full);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SignedHeaders {
    /// All that nothing on the way may change.
    #[default]
    Full,
    /// `host`, `content-type`, `content-md5` and every `x-amz-*`.
    Minimal,
}

/// What the signature says of a body, and so how it is sent.
///
/// ```
/// use countersign_proxy::PayloadMode;
///
/// assert_eq!(PayloadMode::default(), PayloadMode::Hash);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PayloadMode {
    /// Its hash: the whole body is read before the first byte is sent on.
    #[default]
    Hash,
    /// Each chunk is signed as it passes, where the S3 family takes that: in a PUT of an object or of a part of
    /// one whose length is known and beyond [`Limits::memory`]. Other bodies are hashed.
    Chunks,
    /// Nothing; it passes as it comes: for the S3 family and VPC Lattice, over TLS.
    Unsigned,
}

/// What becomes of headers that say who the client is: `forwarded`, `x-forwarded-*` and `x-real-ip`.
///
/// ```
/// use countersign_proxy::Forwarded;
///
/// assert_eq!(Forwarded::default(), Forwarded::Drop);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Forwarded {
    /// They are left out.
    #[default]
    Drop,
    /// The client's address is added to `x-forwarded-for`; `x-forwarded-host` and `x-forwarded-proto` say
    /// what it asked for. What the client said of itself stays in front.
    Append,
    /// They are passed on as they came.
    Pass,
}

/// Why a proxy cannot be set up as it was told.
///
/// ```
/// use countersign_proxy::Upstream;
///
/// let error = "ftp://example.com".parse::<Upstream>().unwrap_err();
/// assert!(error.to_string().contains("neither http nor https"));
/// ```
#[derive(Debug)]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> ConfigError {
        ConfigError(message.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The head of a request with a session token in its query takes some.
const LEAST_HEAD: usize = 8 << 10;
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
