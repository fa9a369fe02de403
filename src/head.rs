//! The head of a request, borrowed: what a signature covers but the body.

use std::fmt;

use http::{HeaderMap, request::Parts};

use crate::{
    Error, ErrorKind,
    bytes::{any, any_up_to, split_at},
};

/// A borrowed request head, from the `http` crate's types or from raw bytes.
///
/// It can hold what `http::Uri` refuses (a raw space, bytes that are not UTF-8), which old test
/// vectors, proxies and debuggers need. Nothing is checked before it is signed.
///
/// ```
/// use countersign::{Head, Headers};
///
/// let headers: [(&[u8], &[u8]); 1] = [(b"Host", b"example.amazonaws.com")];
/// let head = Head::parse(b"GET", b"/a path?q=1", Headers::Pairs(&headers))?;
/// assert_eq!(head.path, b"/a path");
/// assert_eq!(head.query, Some(&b"q=1"[..]));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The method, a token, as it is sent.
    pub method: &'a [u8],
    /// Whether the request goes over TLS: it tells which port is the default one.
    pub https: bool,
    /// The authority of an absolute URL, or HTTP/2's `:authority`.
    pub authority: Option<&'a [u8]>,
    /// The path on the wire, percent-encoded by whoever built the URL.
    pub path: &'a [u8],
    /// The query on the wire, without its `?`.
    pub query: Option<&'a [u8]>,
    /// The headers in the order of the wire.
    pub headers: Headers<'a>,
}

/// The headers of a [`Head`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Headers<'a> {
    /// The `http` crate's map.
    Map(&'a HeaderMap),
    /// Names and values as raw bytes, in the order of the wire, repeats included.
    Pairs(&'a [(&'a [u8], &'a [u8])]),
}

impl<'a> Head<'a> {
    /// Takes apart a request target: an absolute URL, or a path with an optional query.
    ///
    /// A fragment is dropped. The bytes of path and query stay as they are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`] if it is neither, or of a scheme that is not HTTP or WebSocket.
    pub fn parse(
        method: &'a [u8],
        target: &'a [u8],
        headers: Headers<'a>,
    ) -> Result<Head<'a>, Error> {
        let (target, _) = split_at(target, b'#');
        // What is a scheme's `://` stands behind the first colon.
        let (scheme, rest) = split_at(target, b':');
        let rest = rest.and_then(|rest| rest.strip_prefix(b"//"));
        let (https, authority, rest) = match rest {
            _ if target.starts_with(b"/") => (true, None, target),
            Some(rest) if is_scheme(scheme) => {
                let https = is_https(scheme)?;
                let (authority, _) = split_at(rest, b'/');
                let (authority, _) = split_at(authority, b'?');
                (https, Some(authority), &rest[authority.len()..])
            }
            _ => return Err(relative(target)),
        };
        let (path, query) = split_at(rest, b'?');
        Ok(Head { method, https, authority, path, query, headers })
    }

    /// The value that is signed as `host`.
    pub(crate) fn host(&self, header: Option<&'a [u8]>) -> Result<&'a [u8], Error> {
        // A browser takes a backslash for the end of the host.
        let is_bad = |byte| (byte <= b' ') | (byte >= 0x7f) | (byte == b'\\');
        let authority = match self.authority {
            Some(text) if any(text, |byte| is_bad(byte) | (byte == b'@')) => {
                let text = without_userinfo(text);
                if any(text, is_bad) {
                    return Err(Error::new(
                        ErrorKind::InvalidUrl,
                        format!(
                            "the URL's authority `{}` holds a byte that no host has",
                            text.escape_ascii()
                        ),
                    ));
                }
                Some(text)
            }
            usual => usual,
        };
        // A port alone is no host either.
        let authority = authority
            .map(|text| without_default_port(text, self.https))
            .filter(|text| !text.is_empty() && !text.starts_with(b":"));
        match (header.map(trim_blanks), authority) {
            (None | Some(b""), None) => Err(Error::new(
                ErrorKind::MissingHost,
                "the request has no `host` header and its URL no authority, so no host can be signed",
            )),
            (None, Some(authority)) => Ok(authority),
            (Some(host), Some(authority))
                if !without_default_port(host, self.https).eq_ignore_ascii_case(authority) =>
            {
                Err(Error::new(
                    ErrorKind::ConflictingHost,
                    format!(
                        "the `host` header says `{}` but the URL says `{}`",
                        without_userinfo(host).escape_ascii(),
                        authority.escape_ascii()
                    ),
                ))
            }
            (Some(host), _) => Ok(host),
        }
    }
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Head<'a> {
        from_http(&parts.method, &parts.uri, &parts.headers)
    }
}

impl<'a, B> From<&'a http::Request<B>> for Head<'a> {
    fn from(request: &'a http::Request<B>) -> Head<'a> {
        from_http(request.method(), request.uri(), request.headers())
    }
}

impl fmt::Debug for Head<'_> {
    /// Userinfo, header values and the query are left out: they may carry secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method.escape_ascii().to_string())
            .field(
                "authority",
                &self.authority.map(|text| without_userinfo(text).escape_ascii().to_string()),
            )
            .field("path", &self.path.escape_ascii().to_string())
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl<'a> Headers<'a> {
    /// The headers in order, repeats included.
    pub(crate) fn for_each(
        self,
        mut visit: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.for_each_unchecked(|name, value, needs_check| {
            if needs_check {
                check_header(name, value)?;
            }
            visit(name, value)
        })
    }

    /// The same, of which those that need it are checked by whoever visits them: the flag says that this one
    /// does.
    #[inline]
    pub(crate) fn for_each_unchecked(
        self,
        mut visit: impl FnMut(&'a [u8], &'a [u8], bool) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Headers::Map(map) => map.iter().try_for_each(|(name, value)| {
                // The map's own types have checked them.
                visit(name.as_str().as_bytes(), value.as_bytes(), false)
            }),
            Headers::Pairs(pairs) => {
                pairs.iter().try_for_each(|&(name, value)| visit(name, value, true))
            }
        }
    }

    /// The same again, once nothing wrong was found.
    pub(crate) fn for_each_checked(self, mut visit: impl FnMut(&'a [u8], &'a [u8])) {
        match self {
            Headers::Map(map) => {
                map.iter()
                    .for_each(|(name, value)| visit(name.as_str().as_bytes(), value.as_bytes()));
            }
            Headers::Pairs(pairs) => pairs.iter().for_each(|&(name, value)| visit(name, value)),
        }
    }
}

impl fmt::Debug for Headers<'_> {
    /// The names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Headers::Map(map) => f.debug_list().entries(map.keys()).finish(),
            Headers::Pairs(pairs) => f
                .debug_list()
                .entries(pairs.iter().map(|(name, _)| name.escape_ascii().to_string()))
                .finish(),
        }
    }
}

/// The head of an `http` request that is to be signed.
///
/// # Errors
/// [`ErrorKind::InvalidUrl`] for what `http::Uri` takes and [`Head::parse`] does not.
pub(crate) fn from_uri<'a>(
    method: &'a http::Method,
    uri: &'a http::Uri,
    headers: &'a HeaderMap,
) -> Result<Head<'a>, Error> {
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), _) => is_https(scheme.as_bytes()).map(|_| ()),
        (None, Some(word)) => Err(relative(word.as_str().as_bytes())),
        (None, None) => Ok(()),
    }?;
    Ok(from_http(method, uri, headers))
}

fn from_http<'a>(method: &'a http::Method, uri: &'a http::Uri, headers: &'a HeaderMap) -> Head<'a> {
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let (authority, path) = match (uri.scheme(), authority) {
        // `http::Uri` takes a bare word for an authority; to a signer it is a relative URL.
        (None, Some(word)) => (None, word),
        (_, authority) => (authority, uri.path().as_bytes()),
    };
    Head {
        method: method.as_str().as_bytes(),
        https: !uri.scheme_str().is_some_and(|scheme| {
            scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws")
        }),
        authority,
        path,
        query: uri.query().map(str::as_bytes),
        headers: Headers::Map(headers),
    }
}

/// Whether `text` is a token (RFC 9110, §5.6.2), as methods and header names are.
pub(crate) fn is_token(text: &[u8]) -> bool {
    // Most hold nothing but letters, digits and hyphens, which is told of many bytes at once.
    let is_rare = |byte: u8| {
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let is_digit = byte.wrapping_sub(b'0') < 10;
        !(is_letter | is_digit | (byte == b'-'))
    };
    let is_token = |text: &[u8]| text.iter().all(|&byte| IS_TOKEN[usize::from(byte)]);
    // Few are looked at one by one.
    !text.is_empty() && ((text.len() >= 8 && !any(text, is_rare)) || is_token(text))
}

const IS_TOKEN: [bool; 256] = {
    let mut is_token = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        is_token[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [byte, rest @ ..] = others {
        is_token[*byte as usize] = true;
        others = rest;
    }
    is_token
};

pub(crate) fn relative(target: &[u8]) -> Error {
    // A query may hold a signature and a session token, and what stands before an `@` a password.
    let shown = without_userinfo(split_at(target, b'?').0);
    Error::new(
        ErrorKind::InvalidUrl,
        format!(
            "`{}` is a relative URL: it needs a scheme and a host, or to begin with `/`",
            shown.escape_ascii()
        ),
    )
}

#[inline]
pub(crate) fn check_header(name: &[u8], value: &[u8]) -> Result<(), Error> {
    // One comparison for each byte of the value: a tab may stand there, but hardly ever does.
    if is_token(name) && !any_up_to(value, b'\r') {
        return Ok(());
    }
    check_rare_header(name, value)
}

/// The same for a header whose name is a token.
#[inline]
pub(crate) fn check_value(name: &[u8], value: &[u8]) -> Result<(), Error> {
    if any_up_to(value, b'\r') { check_rare_header(name, value) } else { Ok(()) }
}

#[cold]
fn check_rare_header(name: &[u8], value: &[u8]) -> Result<(), Error> {
    if !is_token(name) {
        return Err(Error::new(
            ErrorKind::InvalidHeader,
            format!("the header name `{}` is not a token", name.escape_ascii()),
        ));
    }
    let is_bad = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    let Some((at, bad)) = (0..).zip(value).find(|(_, byte)| is_bad(byte)) else { return Ok(()) };
    Err(Error::new(
        ErrorKind::InvalidHeader,
        format!(
            "header `{}` contains byte 0x{bad:02x} at position {at} of its value, which no header may \
             hold",
            name.escape_ascii()
        ),
    ))
}

fn is_scheme(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn is_https(scheme: &[u8]) -> Result<bool, Error> {
    let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
    match () {
        () if is(b"https") || is(b"wss") => Ok(true),
        () if is(b"http") || is(b"ws") => Ok(false),
        () => Err(Error::new(
            ErrorKind::InvalidUrl,
            format!("the scheme `{}` is none of http, https, ws and wss", scheme.escape_ascii()),
        )),
    }
}

fn without_userinfo(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|&byte| byte == b'@') {
        Some(at) => &authority[at + 1..],
        None => authority,
    }
}

/// Drops the port that the scheme implies, and a colon with none behind it.
fn without_default_port(authority: &[u8], https: bool) -> &[u8] {
    // An IPv6 address keeps its colons: it ends in a bracket.
    match authority {
        [host @ .., b':', b'4', b'4', b'3'] if https => host,
        [host @ .., b':', b'8', b'0'] if !https => host,
        [host @ .., b':'] => host,
        _ => authority,
    }
}

/// A value without the SP and HTAB around it.
pub(crate) fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(target: &[u8]) -> Result<Head<'_>, Error> {
        Head::parse(b"GET", target, Headers::Pairs(&[]))
    }

    fn host(target: &str) -> String {
        let head = parse(target.as_bytes()).expect("a target");
        String::from_utf8(head.host(None).expect("a host").to_vec()).expect("text")
    }

    #[test]
    fn the_host_is_the_authority_without_userinfo_and_default_port() {
        assert_eq!(host("https://example.com/"), "example.com");
        assert_eq!(host("https://user:p@ss@example.com:443"), "example.com");
        assert_eq!(host("http://example.com:443/"), "example.com:443");
        assert_eq!(host("ws://example.com:80/"), "example.com");
        assert_eq!(host("WSS://Example.com:8443?x"), "Example.com:8443");
        assert_eq!(host("https://[fd00::1]:443/"), "[fd00::1]");
        assert_eq!(host("https://[fd00::443]/"), "[fd00::443]");
        assert_eq!(host("http://example.com:/"), "example.com");
    }

    #[test]
    fn a_port_alone_is_no_host() {
        for target in
            ["https://:443/", "http://:80/", "https://:8080/", "https://u:p@:443/", "https:///"]
        {
            let error = parse(target.as_bytes()).expect("a target").host(None).expect_err(target);
            assert_eq!(error.kind(), ErrorKind::MissingHost, "{target}");
            let header =
                parse(target.as_bytes()).expect("a target").host(Some(b"h")).expect(target);
            assert_eq!(header, b"h");
        }
    }

    #[test]
    fn a_target_is_taken_apart_byte_for_byte() {
        let head = parse(b"https://h?a=/b?c#d").expect("a target");
        assert_eq!((head.path, head.query), (&b""[..], Some(&b"a=/b?c"[..])));
        let head = parse(b"/a://b?").expect("a target");
        assert_eq!((head.path, head.query, head.authority), (&b"/a://b"[..], Some(&b""[..]), None));
    }

    #[test]
    fn a_token_is_of_the_bytes_of_rfc_9110() {
        for byte in 0..=255_u8 {
            let is_expected = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            for before in [&b""[..], b"a", b"x-amz-meta-a-name", &[b'A'; 40]] {
                let text = [before, &[byte]].concat();
                assert_eq!(is_token(&text), is_expected, "{byte}");
            }
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn a_relative_or_foreign_url_is_refused() {
        for target in [
            "",
            "a/b",
            "example.com/a",
            "ftp://example.com/",
            "?a=b",
            "//\u{e9}".trim_start_matches('/'),
        ] {
            let error = parse(target.as_bytes()).map(|_| ()).expect_err(target);
            assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{target}");
        }
    }
}
