//! Routes, ready to take requests.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, OnceLock},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::ORIGIN,
    uri::{PathAndQuery, Scheme},
};
use rustls::ClientConfig;

use crate::{
    Authority, ConfigError, Forwarded, HostPattern, Outside, PayloadMode, Prefix, RouteConfig,
    Timeouts, Upstream, head,
    metrics::{Metrics, OfRoute},
    path::has_dot_segment,
    refuse::{Reason, Refusal},
    resign::Resign,
    sign::Signing,
    upstream::Connections,
};

/// One route, with the connections and the signer that no other shares.
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    hosts: Vec<HostPattern>,
    prefix: Prefix,
    to: To,
    sign_host: Option<Authority>,
    pub(crate) https: bool,
    pub(crate) payload: PayloadMode,
    forwarded: Forwarded,
    strip: Vec<HeaderName>,
    add: Vec<(HeaderName, HeaderValue)>,
    replace: Vec<(HeaderName, HeaderValue)>,
    cross_site: bool,
    pub(crate) signing: Signing,
    /// For clients that sign themselves.
    pub(crate) resign: Option<Resign>,
    pub(crate) connections: Connections,
    counts: OnceLock<Arc<OfRoute>>,
}

/// Where a route leads.
enum To {
    /// To the host that the client names, if it is one of these.
    Allowed(Vec<HostPattern>),
    Upstream(Upstream),
}

impl Route {
    pub(crate) fn new(
        config: &RouteConfig,
        outside: &Arc<dyn Outside>,
        tls: &ClientConfig,
        timeouts: &Timeouts,
    ) -> Result<Route, ConfigError> {
        let name = if config.name.is_empty() { config.path_name() } else { config.name.clone() };
        let wrong = |what: &str| ConfigError::new(format!("route `{name}` {what}"));
        let to = match (&config.upstream, &config.allow[..]) {
            (Some(upstream), []) => To::Upstream(upstream.clone()),
            (None, [_, ..]) => To::Allowed(config.allow.clone()),
            (None, []) => {
                return Err(wrong("leads nowhere: give it an `upstream`, or hosts to `allow`"));
            }
            (Some(_), _) => return Err(wrong("has both an `upstream` and hosts to `allow`")),
        };
        let https = match &to {
            To::Upstream(_) if config.plain_http => {
                return Err(wrong("has `plain_http` beside an `upstream`, whose URL says that"));
            }
            To::Upstream(upstream) => upstream.https,
            To::Allowed(_) => !config.plain_http,
        };
        let sign_host = match (&config.sign_host, &to) {
            (Some(_), To::Allowed(_)) => {
                return Err(wrong("has a `sign_host`, but signs the host that the client names"));
            }
            (Some(host), _) => Some(host.clone()),
            (None, To::Upstream(upstream)) => Some(upstream.authority.clone()),
            (None, To::Allowed(_)) => None,
        };
        let signing = Signing::new(config, sign_host.as_ref(), outside)
            .map_err(|error| wrong(&format!("cannot sign: {error}")))?;
        let resign = match &config.keys {
            Some(_) if config.payload != PayloadMode::Hash => {
                return Err(wrong(
                    "has a `payload` beside `keys`, whose clients say how bodies are sent",
                ));
            }
            Some(path) => Some(
                Resign::new(path, config, outside)
                    .map_err(|error| wrong(&format!("cannot verify: {error}")))?,
            ),
            None => None,
        };
        let takes_unsigned = signing.is_of_s3() || signing.service() == "vpc-lattice-svcs";
        match config.payload {
            PayloadMode::Chunks if !signing.is_of_s3() => {
                return Err(wrong("has `payload = \"chunks\"`, which the S3 family alone takes"));
            }
            PayloadMode::Unsigned if !takes_unsigned => {
                return Err(wrong("has `payload = \"unsigned\"`, which its service does not take"));
            }
            PayloadMode::Unsigned if !https => {
                return Err(wrong(
                    "leaves bodies unsigned without TLS, where anybody could change them",
                ));
            }
            _ => {}
        }
        let named = |text: &str| {
            HeaderName::from_bytes(text.as_bytes())
                .ok()
                .filter(|name| !OURS.contains(&name.as_str()))
                .ok_or_else(|| wrong(&format!("names a header that it cannot set: `{text}`")))
        };
        let pairs = |of: &std::collections::BTreeMap<String, String>| {
            let pair = |(name, value): (&String, &String)| {
                let value = HeaderValue::from_str(value)
                    .map_err(|_| wrong(&format!("has a value of `{name}` that no header holds")))?;
                Ok((named(name)?, value))
            };
            of.iter().map(pair).collect::<Result<Vec<_>, ConfigError>>()
        };
        Ok(Route {
            connections: Connections::new(config.upstream.as_ref(), tls, timeouts),
            hosts: config.hosts.clone(),
            prefix: config.path.clone(),
            https,
            sign_host,
            payload: config.payload,
            forwarded: config.forwarded,
            strip: config.strip.iter().map(|name| named(name)).collect::<Result<_, _>>()?,
            add: pairs(&config.add)?,
            replace: pairs(&config.replace)?,
            cross_site: config.cross_site,
            signing,
            resign,
            to,
            counts: OnceLock::new(),
            name: name.into(),
        })
    }

    /// Whether requests for this host and path go here.
    pub(crate) fn takes(&self, host: &Authority, path: &str) -> bool {
        let is_host = self.hosts.is_empty()
            || self.hosts.iter().any(|pattern| pattern.holds_at_any_port(host));
        is_host && self.prefix.rest(path).is_some()
    }

    /// Whether requests that come through a tunnel to this host go here: it is one of those that clients may
    /// name, or the one that is spoken to.
    pub(crate) fn opens(&self, host: &Authority) -> bool {
        let has = |patterns: &[HostPattern]| {
            patterns.iter().any(|pattern| pattern.holds_authority(host, 443))
        };
        match &self.to {
            To::Allowed(allowed) => {
                let is_named = |pattern: &HostPattern| pattern.holds_at_any_port(host);
                has(allowed) && (self.hosts.is_empty() || self.hosts.iter().any(is_named))
            }
            To::Upstream(_) if !self.hosts.is_empty() => has(&self.hosts),
            To::Upstream(upstream) => {
                let own = [self.sign_host.as_ref(), Some(&upstream.authority)];
                own.into_iter().flatten().any(|own| own.clone().without_default_port(true) == *host)
            }
        }
    }

    /// The host to sign for a client that asks for `host`.
    pub(crate) fn host(&self, host: &Authority) -> Result<Authority, Refusal> {
        let allowed = match (&self.sign_host, &self.to) {
            (Some(host), _) => return Ok(host.clone()),
            (None, To::Upstream(upstream)) => return Ok(upstream.authority.clone()),
            (None, To::Allowed(allowed)) => allowed,
        };
        let port = if self.https { 443 } else { 80 };
        // Who sent it for `http://host:80` spoke to the proxy so, not to the service.
        let host = host.clone().without_default_port(false).without_default_port(self.https);
        if allowed.iter().any(|pattern| pattern.holds_authority(&host, port)) {
            return Ok(host);
        }
        let message = format!("requests to `{host}` are not allowed here");
        Err(Refusal::new(Reason::NotAllowed, message))
    }

    /// The URL to request: path and query byte for byte, but for the prefix.
    pub(crate) fn url(&self, host: &Authority, target: &Uri) -> Result<Uri, Refusal> {
        let base = match &self.to {
            To::Upstream(upstream) => upstream.base.as_str(),
            To::Allowed(_) => "",
        };
        let path = target.path();
        let is_bounded = !self.prefix.is_all() || !base.is_empty();
        if is_bounded && has_dot_segment(path) {
            let message = "the path has a dot segment, which could lead out of what is served here";
            return Err(Refusal::new(Reason::NotAllowed, message));
        }
        let malformed =
            || Refusal::new(Reason::Malformed, "the request target cannot be forwarded");
        let whole = if is_bounded {
            let rest = self.prefix.rest(path).ok_or_else(malformed)?;
            let slash = if base.is_empty() && rest.is_empty() { "/" } else { "" };
            let (mark, query) = target.query().map_or(("", ""), |query| ("?", query));
            let text = [base, slash, rest, mark, query].concat();
            PathAndQuery::try_from(text).map_err(|_| malformed())?
        } else {
            target.path_and_query().cloned().ok_or_else(malformed)?
        };
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(if self.https { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(host.to_uri_part());
        parts.path_and_query = Some(whole);
        Uri::from_parts(parts).map_err(|_| malformed())
    }

    /// Refuses what a web page of another site has a browser send.
    pub(crate) fn check_site(&self, host: &Authority, headers: &HeaderMap) -> Result<(), Refusal> {
        // No page of another site has a key to sign with.
        if self.cross_site || self.resign.is_some() {
            return Ok(());
        }
        if !self.is_known(host) {
            let message = format!(
                "`{host}` may be the name of a web site that leads here: list it in the `hosts` of the route \
                 (--host) if it is the proxy's own"
            );
            return Err(Refusal::new(Reason::CrossSite, message));
        }
        let is_foreign = |origin: &HeaderValue| {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            origin.is_none_or(|(scheme, authority)| {
                let https = scheme.eq_ignore_ascii_case("https");
                let authority = authority.parse::<Authority>();
                !authority.is_ok_and(|it| {
                    it.without_default_port(https) == host.clone().without_default_port(https)
                })
            })
        };
        let says_so =
            |value: &HeaderValue| matches!(value.as_bytes(), b"cross-site" | b"same-site");
        let is_cross_site = headers.get_all(ORIGIN).iter().any(is_foreign)
            || headers.get_all(FETCH_SITE).iter().any(says_so);
        if !is_cross_site {
            return Ok(());
        }
        let message = "a web page of another site sent this; `cross_site` allows that";
        Err(Refusal::new(Reason::CrossSite, message))
    }

    /// Whether this can only be a name of the proxy or of the service. Any other could belong to a site whose
    /// pages reach the proxy by a name that they own (DNS rebinding). A name without a dot is nobody's.
    fn is_known(&self, host: &Authority) -> bool {
        let name = host.host();
        !self.hosts.is_empty()
            || matches!(self.to, To::Allowed(_))
            || !name.contains('.')
            || name.parse::<Ipv4Addr>().is_ok()
            || name.ends_with(".localhost")
            || self.sign_host.as_ref().is_some_and(|own| own.host() == name)
            || matches!(&self.to, To::Upstream(to) if to.authority.host() == name)
    }

    /// What is counted of it.
    pub(crate) fn counts(&self, metrics: &Metrics) -> &Arc<OfRoute> {
        self.counts.get_or_init(|| Arc::new(metrics.of_route(&self.name)))
    }

    /// Makes the client's headers those that the service gets.
    pub(crate) fn edit(
        &self,
        headers: &mut HeaderMap,
        client: Option<IpAddr>,
        host: &Authority,
        https: bool,
    ) {
        head::set_forwarded(headers, self.forwarded, client, host.as_str(), https);
        for name in &self.strip {
            headers.remove(name);
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
        for (name, value) in &self.replace {
            headers.insert(name, value.clone());
        }
    }
}

impl RouteConfig {
    /// What a route without a name is called.
    fn path_name(&self) -> String {
        if self.path.is_all() { "default".to_owned() } else { self.path.as_str().to_owned() }
    }
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the proxy itself decides.
const OURS: [&str; 9] = [
    "authorization",
    "connection",
    "content-length",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amz-date",
];
