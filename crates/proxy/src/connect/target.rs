//! What a `CONNECT` asks for.

use http::{HeaderMap, HeaderValue, Uri, header::HOST};

use crate::{
    Authority, ca,
    refuse::{Reason, Refusal},
};

/// The host and the port that a client wants a tunnel to: a name, never an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// In lower case, without a dot at its end.
    pub(crate) name: String,
    pub(crate) port: u16,
    /// Both, without the port that TLS makes superfluous.
    pub(crate) authority: Authority,
}

impl Target {
    /// # Errors
    /// Whatever is not plainly a name and a port: what can be read in two ways is read in none.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> Result<Target, Refusal> {
        let malformed = |what: &str| Refusal::new(Reason::Malformed, what);
        let named = match (uri.scheme(), uri.authority(), uri.path_and_query()) {
            (None, Some(authority), None) => authority.as_str().parse::<Authority>().ok(),
            _ => None,
        };
        let named = named.ok_or_else(|| malformed("CONNECT names no host as `host:443`"))?;
        let port = named.port().ok_or_else(|| malformed("CONNECT names no port"))?;
        let name = without_dot(named.host());
        if is_address(name) {
            let message = "tunnels lead to names, not to addresses";
            return Err(Refusal::new(Reason::Address, message));
        }
        if !ca::is_name(name) {
            let message = format!("`{name}` is no name that a tunnel could lead to");
            return Err(Refusal::new(Reason::NotAllowed, message));
        }
        let mut hosts = headers.get_all(HOST).iter();
        let of_header = hosts.next().map(HeaderValue::as_bytes);
        if hosts.next().is_some() {
            return Err(malformed("the request has two host headers"));
        }
        // Some clients leave the port out.
        let is_same = |text: &[u8]| {
            let said = str::from_utf8(text).ok().and_then(|text| text.parse::<Authority>().ok());
            said.is_some_and(|said| {
                without_dot(said.host()) == name && said.port().is_none_or(|said| said == port)
            })
        };
        if of_header.is_some_and(|text| !is_same(text)) {
            return Err(malformed("the host header and CONNECT name different hosts"));
        }
        let authority = format!("{name}:{port}").parse::<Authority>();
        let authority = authority.map_err(|_| malformed("CONNECT names no host"))?;
        Ok(Target { name: name.to_owned(), port, authority: authority.without_default_port(true) })
    }
}

/// The same host, named as tunnels are: a fully qualified name is the same, and the port goes without
/// saying.
pub(super) fn plain(host: &Authority) -> Authority {
    let host = host.clone().without_default_port(true);
    let name = without_dot(host.host());
    let text = match host.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    };
    text.parse().unwrap_or(host)
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether some resolver could take this for an address: in brackets, or with a number at its end, of
/// which inet_aton(3) knows decimal, octal and hexadecimal ones.
fn is_address(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let of_hex = last.strip_prefix("0x");
    let is_hex = of_hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    name.starts_with('[') || is_decimal || is_hex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str, host: &[&str]) -> Result<String, Reason> {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, HeaderValue::from_str(host).expect("a header"));
        }
        // Others never come so far.
        let uri = uri.parse().map_err(|_| Reason::Malformed)?;
        let target = Target::of(&uri, &headers).map_err(|refusal| refusal.reason)?;
        Ok(target.authority.to_string())
    }

    #[test]
    fn a_target_is_a_name_and_a_port() {
        for (uri, expected) in [
            ("s3.eu-west-1.amazonaws.com:443", Ok("s3.eu-west-1.amazonaws.com")),
            ("S3.EU-WEST-1.AmazonAWS.com:443", Ok("s3.eu-west-1.amazonaws.com")),
            ("s3.eu-west-1.amazonaws.com.:443", Ok("s3.eu-west-1.amazonaws.com")),
            ("s3:0443", Ok("s3")),
            ("my_bucket.s3:8443", Ok("my_bucket.s3:8443")),
            ("1.2.3.com:443", Ok("1.2.3.com")),
            ("s3", Err(Reason::Malformed)),
            ("s3:99999", Err(Reason::Malformed)),
            ("user@s3:443", Err(Reason::Malformed)),
            ("https://s3:443/", Err(Reason::Malformed)),
            ("/s3:443", Err(Reason::Malformed)),
            ("127.0.0.1:443", Err(Reason::Address)),
            ("127.0.0.1.:443", Err(Reason::Address)),
            ("127.1:443", Err(Reason::Address)),
            ("2130706433:443", Err(Reason::Address)),
            ("0177.0.0.1:443", Err(Reason::Address)),
            ("0x7f000001:443", Err(Reason::Address)),
            ("0X7F.1:443", Err(Reason::Address)),
            ("127.0.0.0x1:443", Err(Reason::Address)),
            ("a.0x:443", Err(Reason::Address)),
            ("[::1]:443", Err(Reason::Address)),
            ("[::ffff:127.0.0.1]:443", Err(Reason::Address)),
            ("s3%2eamazonaws.com:443", Err(Reason::Malformed)),
            ("s3..amazonaws.com:443", Err(Reason::NotAllowed)),
            (".amazonaws.com:443", Err(Reason::NotAllowed)),
            ("s3.amazonaws.com..:443", Err(Reason::NotAllowed)),
            ("*.amazonaws.com:443", Err(Reason::NotAllowed)),
            ("a!b.amazonaws.com:443", Err(Reason::NotAllowed)),
        ] {
            assert_eq!(of(uri, &[]), expected.map(str::to_owned), "{uri}");
        }
        let long = format!("{}.com:443", "a".repeat(64));
        assert_eq!(of(&long, &[]), Err(Reason::NotAllowed));
    }

    #[test]
    fn the_host_header_names_the_same_or_is_not_there() {
        for (host, is_good) in [
            (&["s3:443"][..], true),
            (&["S3"], true),
            (&["s3."], true),
            (&["s3:444"], false),
            (&["sqs:443"], false),
            (&["s3:443", "s3:443"], false),
            (&[""], false),
        ] {
            assert_eq!(of("s3:443", host).is_ok(), is_good, "{host:?}");
        }
    }
}
