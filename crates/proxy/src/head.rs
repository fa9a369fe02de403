//! Headers that pass, and those that concern one connection alone.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};

use crate::Forwarded;

/// Takes out what concerns the connection to the client alone, and what frames the body; `te: trailers`
/// stays. Says whether the client asks for a WebSocket.
///
/// # Errors
/// If `connection` names a header that a request needs beyond this connection: dropping it would make
/// another request.
pub(crate) fn leave_client(headers: &mut HeaderMap) -> Result<bool, &'static str> {
    let wants_trailers = has_token(headers, &TE, "trailers");
    // No other protocol: `h2c` would begin a conversation that nobody signs.
    let is_websocket = has_token(headers, &CONNECTION, "upgrade")
        && headers.get_all(UPGRADE).iter().count() == 1
        && headers.get(UPGRADE).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let named = named_by_connection(headers);
    if named.iter().any(|name| NEEDED.contains(&name.as_str()) || is_amazon(name)) {
        return Err("the connection header names a header that is not of the connection");
    }
    remove_hop_by_hop(headers, named);
    for name in [PROXY_AUTHORIZATION, EXPECT, CONTENT_LENGTH] {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    join_cookies(headers);
    Ok(is_websocket)
}

/// Makes one header of a cookie in crumbs, as it is one again where HTTP/2 ends (RFC 9113, §8.2.3): signed apart,
/// they would be joined otherwise than the service joins them.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

/// Refuses a framing that two parsers could understand in two ways: of the codings of a body `chunked` is known
/// here, once.
pub(crate) fn check_framing(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |it: &HeaderValue| it.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if is_chunked(only) => Ok(()),
        _ => Err("the body has another transfer coding than `chunked` alone"),
    }
}

/// Takes out of an answer what concerns the connection to the service alone.
pub(crate) fn leave_service(headers: &mut HeaderMap) {
    let named = named_by_connection(headers);
    // An answer in one framing only: with both, hyper took the body by its chunks.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(headers, named);
}

/// Whether one length is said, and it is one.
pub(crate) fn has_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
    let is_number = |it: &[u8]| it.iter().all(u8::is_ascii_digit) && (1..19).contains(&it.len());
    lengths.next().is_some_and(is_number) && lengths.next().is_none()
}

/// Asks for a WebSocket, or agrees to one.
pub(crate) fn set_upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Says who the client is, as the policy has it.
pub(crate) fn set_forwarded(
    headers: &mut HeaderMap,
    policy: Forwarded,
    client: Option<IpAddr>,
    host: &str,
    https: bool,
) {
    match policy {
        Forwarded::Pass => {}
        Forwarded::Drop => {
            let is_one = |name: &&HeaderName| {
                name.as_str().starts_with("x-forwarded-") || matches!(name.as_str(), "x-real-ip")
            };
            let names: Vec<HeaderName> = headers.keys().filter(is_one).cloned().collect();
            for name in names {
                headers.remove(name);
            }
            headers.remove(FORWARDED);
        }
        Forwarded::Append => {
            if let Some(client) = client {
                let before = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
                let own = client.to_string();
                let all = before.chain([own.as_bytes()]).collect::<Vec<_>>().join(&b", "[..]);
                if let Ok(value) = HeaderValue::from_bytes(&all) {
                    headers.insert(FORWARDED_FOR, value);
                }
            }
            if let Ok(value) = HeaderValue::from_str(host) {
                headers.insert("x-forwarded-host", value);
            }
            let scheme = if https { "https" } else { "http" };
            headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
        }
    }
}

/// The trailers of a request that pass: no signature covers them, so none that a service could take for
/// one of its own headers.
pub(crate) fn passing_trailers(mut trailers: HeaderMap) -> Option<HeaderMap> {
    let is_bad = |name: &&HeaderName| is_amazon(name) || NEEDED.contains(&name.as_str());
    let names: Vec<HeaderName> = trailers.keys().filter(is_bad).cloned().collect();
    for name in names {
        trailers.remove(name);
    }
    (!trailers.is_empty()).then_some(trailers)
}

/// The names of these headers, as a list.
pub(crate) fn names(headers: &HeaderMap) -> Option<HeaderValue> {
    let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).ok()
}

/// Whether a header that lists tokens has this one.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|it| {
        // Behind a `;` stands a weight.
        let it = it.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        it.eq_ignore_ascii_case(token.as_bytes())
    })
}

pub(crate) fn tokens<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'h [u8]> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &CONNECTION).filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
}

fn remove_hop_by_hop(headers: &mut HeaderMap, named: Vec<HeaderName>) {
    for name in named {
        // Says what comes behind a body that passes.
        if name != TRAILER {
            headers.remove(name);
        }
    }
    // Most have none of them, and to take one out is to look for it.
    if headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        for name in &HOP_BY_HOP {
            headers.remove(name);
        }
    }
}

fn is_amazon(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-amz-")
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What makes a request the one that it is.
const NEEDED: [&str; 7] = [
    "authorization",
    "content-encoding",
    "content-length",
    "content-md5",
    "content-type",
    "cookie",
    "host",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_connection_lists_stays_behind() {
        let mut all = headers(&[
            ("connection", "x-mine, Keep-Alive"),
            ("connection", "x-other"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("x-other", "1"),
            ("x-kept", "1"),
            ("te", "gzip, Trailers;q=1"),
            ("transfer-encoding", "chunked"),
            ("proxy-connection", "close"),
            ("expect", "100-continue"),
        ]);
        assert_eq!(leave_client(&mut all), Ok(false));
        assert_eq!(all, headers(&[("x-kept", "1"), ("te", "trailers")]));
    }

    #[test]
    fn connection_cannot_take_out_what_a_request_needs() {
        for name in ["host", "content-type", "X-Amz-Target", "authorization"] {
            let mut all = HeaderMap::new();
            all.insert("connection", HeaderValue::from_static(name));
            assert!(leave_client(&mut all).is_err(), "{name}");
        }
    }

    #[test]
    fn a_cookie_in_crumbs_is_one_header() {
        let mut all = headers(&[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2"), ("x", "2")]);
        assert_eq!(leave_client(&mut all), Ok(false));
        assert_eq!(all, headers(&[("cookie", "a=1; b=2"), ("x", "1"), ("x", "2")]));
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        for (protocol, expected) in [("WebSocket", true), ("h2c", false), ("websocket, h2c", false)]
        {
            let mut all = headers(&[("connection", "Upgrade"), ("upgrade", protocol)]);
            assert_eq!(leave_client(&mut all), Ok(expected), "{protocol}");
            assert!(all.is_empty());
        }
        assert_eq!(leave_client(&mut headers(&[("upgrade", "websocket")])), Ok(false));
    }

    #[test]
    fn forwarded_headers_follow_the_policy() {
        let client = Some(IpAddr::from([10, 0, 0, 1]));
        let sent =
            headers(&[("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=x"), ("x-real-ip", "y")]);
        let after = |policy| {
            let mut all = sent.clone();
            set_forwarded(&mut all, policy, client, "h", false);
            all
        };
        assert!(after(Forwarded::Drop).is_empty());
        assert_eq!(after(Forwarded::Pass), sent);
        assert_eq!(after(Forwarded::Append)["x-forwarded-for"], "1.2.3.4, 10.0.0.1");
        assert_eq!(after(Forwarded::Append)["x-forwarded-host"], "h");
    }
}
