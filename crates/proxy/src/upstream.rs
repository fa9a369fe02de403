//! The services behind: where they are, and the connections that are kept to them.

use std::{
    fmt,
    path::Path,
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::{Deserialize, Deserializer, de};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::{Authority, BoxError, ConfigError, Timeouts, path::has_dot_segment, pool::Pool};

/// The URL of a service: http or https, a host, and perhaps a path that goes in front of the client's.
///
/// ```
/// use countersign_proxy::Upstream;
///
/// let upstream: Upstream = "https://sqs.eu-west-1.amazonaws.com".parse()?;
/// assert_eq!(upstream.to_string(), "https://sqs.eu-west-1.amazonaws.com");
/// for text in ["sqs", "ftp://sqs", "https://user:password@sqs", "https://sqs/?a=b", "https://sqs/a/.."] {
///     assert!(text.parse::<Upstream>().is_err());
/// }
/// # Ok::<(), countersign_proxy::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub(crate) https: bool,
    pub(crate) authority: Authority,
    /// Without a slash at its end.
    pub(crate) base: String,
}

impl FromStr for Upstream {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Upstream, ConfigError> {
        // The text is not repeated: it may hold a password.
        let refuse = |what: &str| ConfigError::new(format!("the URL of the upstream {what}"));
        let uri: Uri = text.parse().map_err(|_| refuse("cannot be read"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(refuse("is of a scheme that is neither http nor https")),
            None => return Err(refuse("has no scheme, as https://")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("has a user name in it, which AWS does not take"));
        }
        if uri.query().is_some() {
            return Err(refuse("has a query"));
        }
        if has_dot_segment(uri.path()) {
            return Err(refuse("has a dot segment in its path"));
        }
        let authority: Authority = authority.as_str().parse()?;
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Upstream { https, authority: authority.without_default_port(https), base })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base)
    }
}

impl<'de> Deserialize<'de> for Upstream {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Upstream, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// The connections of one route. No other route uses them, for they may lead elsewhere than the host in
/// a request says.
pub(crate) struct Connections {
    pub(crate) any: Arc<Pool>,
    /// HTTP/1.1 alone, in which connections can be upgraded.
    pub(crate) upgradable: Arc<Pool>,
}

impl Connections {
    /// Connections to this service, or without one to the host that a request names.
    pub(crate) fn new(
        to: Option<&Upstream>,
        tls: &ClientConfig,
        timeouts: &Timeouts,
    ) -> Connections {
        let to = to.map(|upstream| {
            let scheme = if upstream.https { Scheme::HTTPS } else { Scheme::HTTP };
            let mut parts = http::uri::Parts::default();
            parts.scheme = Some(scheme);
            parts.authority = Some(upstream.authority.to_uri_part());
            parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
            Uri::from_parts(parts).expect("it has all parts of a URL")
        });
        let connector = |inner| Connector { inner, to: to.clone(), limit: timeouts.connect };
        let pool = |inner| Pool::new(connector(inner), timeouts.idle);
        let begin = || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        Connections {
            any: pool(begin().enable_all_versions().wrap_connector(tcp())),
            upgradable: pool(begin().enable_http1().wrap_connector(tcp())),
        }
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp
}

/// TLS 1.2 and 1.3 with forward secrecy: rustls has no other suites.
///
/// # Errors
/// If the file holds no certificate, or nobody is trusted.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    // Some systems hold certificates that cannot be read; the others are enough.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let shown = path.display();
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| {
                ConfigError::new(format!("a certificate in `{shown}` cannot be trusted: {error}"))
            })?;
        }
    }
    if roots.is_empty() {
        return Err(ConfigError::new(
            "this system trusts no certificate authority: install its CA certificates, or give ca_file",
        ));
    }
    Ok(trusting(roots))
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let shown = path.display();
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            ConfigError::new(format!("no certificate can be read from `{shown}`: {error}"))
        })?;
    if certificates.is_empty() {
        return Err(ConfigError::new(format!("`{shown}` holds no certificate")));
    }
    Ok(certificates)
}

/// TLS that trusts nobody, for routes that know none.
pub(crate) fn no_tls() -> ClientConfig {
    trusting(RootCertStore::empty())
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Connects to one service whatever a request says, within a limit of time.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    to: Option<Uri>,
    limit: Duration,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(self.to.clone().unwrap_or(uri));
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(TimedOut(limit).into()),
            }
        })
    }
}

/// There was no connection in time.
#[derive(Debug)]
pub(crate) struct TimedOut(Duration);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection within {:?}", self.0)
    }
}

impl std::error::Error for TimedOut {}

/// So much is read ahead of what passes on, and written ahead of what is taken.
pub(crate) const BUFFER: usize = 32 << 10;
const KEEP_ALIVE: Duration = Duration::from_secs(60);
