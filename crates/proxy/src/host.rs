//! Hosts, as clients name them and as settings allow them.

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderValue, Uri, header::HOST, uri};
use serde::{Deserialize, Deserializer, de};

use crate::ConfigError;

/// A host that settings name, or all hosts below a domain: `sqs.eu-west-1.amazonaws.com`,
/// `*.amazonaws.com`, `localhost:9000`.
///
/// Case makes no difference. A pattern without a port stands for the default one of the scheme; `*.`
/// stands for one label or more.
///
/// ```
/// use countersign_proxy::HostPattern;
///
/// let pattern: HostPattern = "*.amazonaws.com".parse()?;
/// assert!(pattern.holds("SQS.eu-west-1.amazonaws.com", 443));
/// assert!(!pattern.holds("amazonaws.com", 443) && !pattern.holds("evilamazonaws.com", 443));
/// assert!(!pattern.holds("sqs.eu-west-1.amazonaws.com:8443", 443));
/// # Ok::<(), countersign_proxy::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// With the dot in front, if hosts below it are meant.
    name: String,
    below: bool,
    port: Option<u16>,
}

impl HostPattern {
    /// Whether an authority is one of these hosts, where this port goes without saying.
    pub fn holds(&self, authority: &str, default_port: u16) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        self.holds_authority(&authority, default_port)
    }

    pub(crate) fn holds_authority(&self, authority: &Authority, default_port: u16) -> bool {
        let port = authority.port().unwrap_or(default_port);
        self.is_name_of(authority) && port == self.port.unwrap_or(default_port)
    }

    /// The same, but a pattern without a port stands for all: whichever one the proxy listens on.
    pub(crate) fn holds_at_any_port(&self, authority: &Authority) -> bool {
        self.is_name_of(authority) && self.port.is_none_or(|port| authority.port() == Some(port))
    }

    fn is_name_of(&self, authority: &Authority) -> bool {
        let host = authority.host();
        // A fully qualified name is the same host.
        let host = host.strip_suffix('.').unwrap_or(host);
        match self.below {
            true => host.len() > self.name.len() && host.ends_with(&self.name),
            false => host == self.name,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below {
            f.write_str("*")?;
        }
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for HostPattern {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<HostPattern, ConfigError> {
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let authority: Authority = rest.parse()?;
        let host = authority.host();
        if host.contains('*') {
            return Err(ConfigError::new(format!(
                "`{text}` has a star elsewhere than in front, as in `*.amazonaws.com`"
            )));
        }
        let name = if below { format!(".{host}") } else { host.to_owned() };
        Ok(HostPattern { name, below, port: authority.port() })
    }
}

/// A host and perhaps a port, in lower case, without userinfo.
///
/// ```
/// use countersign_proxy::Authority;
///
/// let authority: Authority = "SQS.eu-west-1.amazonaws.com".parse()?;
/// assert_eq!(authority.to_string(), "sqs.eu-west-1.amazonaws.com");
/// assert!("user@sqs.eu-west-1.amazonaws.com".parse::<Authority>().is_err());
/// # Ok::<(), countersign_proxy::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    whole: uri::Authority,
    /// Where the host ends, which is asked several times of each request.
    host_end: usize,
}

impl Authority {
    pub(crate) fn as_str(&self) -> &str {
        self.whole.as_str()
    }

    pub(crate) fn host(&self) -> &str {
        &self.as_str()[..self.host_end]
    }

    pub(crate) fn port(&self) -> Option<u16> {
        let has_port = self.host_end < self.as_str().len();
        has_port.then(|| self.whole.port_u16()).flatten()
    }

    pub(crate) fn to_uri_part(&self) -> uri::Authority {
        self.whole.clone()
    }

    /// The same without a port that the scheme makes superfluous.
    pub(crate) fn without_default_port(self, https: bool) -> Authority {
        let default = if https { ":443" } else { ":80" };
        match self.as_str().strip_suffix(default).map(str::parse) {
            Some(Ok(shorter)) => shorter,
            _ => self,
        }
    }
}

impl FromStr for Authority {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Authority, ConfigError> {
        let refuse = || ConfigError::new(format!("`{}` is no host", text.escape_debug()));
        let whole = match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            false => uri::Authority::try_from(text),
            true => uri::Authority::try_from(text.to_ascii_lowercase()),
        };
        let whole = whole.map_err(|_| refuse())?;
        // With userinfo the host would begin elsewhere.
        if text.bytes().any(|byte| byte == b'@') {
            return Err(refuse());
        }
        let host_end = whole.host().len();
        let has_port = whole.as_str().len() > host_end;
        if host_end == 0 || (has_port && whole.port_u16().is_none()) {
            return Err(refuse());
        }
        Ok(Authority { whole, host_end })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The host that a client asks for, over a connection with TLS or without.
///
/// # Errors
/// What is wrong, for the client: no host, two of them, or two that differ.
pub(crate) fn requested(
    uri: &Uri,
    headers: &HeaderMap,
    https: bool,
) -> Result<Authority, &'static str> {
    let parse = |text: &[u8]| str::from_utf8(text).ok()?.parse::<Authority>().ok();
    let mut hosts = headers.get_all(HOST).iter();
    let header = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err("the request has two host headers");
    }
    let of_header = header.map(|text| parse(text).ok_or("the host header names no host"));
    let of_uri = uri.authority().map(|authority| {
        parse(authority.as_str().as_bytes()).ok_or("the request target names no host")
    });
    let https = uri.scheme_str().map_or(https, |scheme| scheme == "https");
    let plain = |authority: Authority| authority.without_default_port(https);
    match (of_header.transpose()?.map(plain), of_uri.transpose()?.map(plain)) {
        (Some(header), Some(uri)) if header != uri => {
            Err("the host header and the request target name different hosts")
        }
        (_, Some(host)) | (Some(host), None) => Ok(host),
        (None, None) => Err("the request names no host"),
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<HostPattern, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Authority {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Authority, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_holds_no_other_host() {
        let below: HostPattern = "*.amazonaws.com".parse().expect("a pattern");
        let one: HostPattern = "localhost:9000".parse().expect("a pattern");
        for (pattern, host, expected) in [
            (&below, "a.amazonaws.com", true),
            (&below, "a.b.amazonaws.com:443", true),
            (&below, "a.amazonaws.com.", true),
            (&below, ".amazonaws.com", false),
            (&below, "a.amazonaws.com.evil.example", false),
            (&below, "a.amazonaws.com:80", false),
            (&below, "evil.example@a.amazonaws.com", false),
            (&below, "a.amazonaws.com@evil.example", false),
            (&below, "a.amazonaws.com:", false),
            (&below, "a.amazonaws.com/", false),
            (&one, "LOCALHOST:9000", true),
            (&one, "localhost", false),
            (&one, "a.localhost:9000", false),
        ] {
            assert_eq!(pattern.holds(host, 443), expected, "{host}");
        }
        for text in ["", "*", "*.", "a.*.b", "a b", "user@host"] {
            text.parse::<HostPattern>().expect_err(text);
        }
    }
}
