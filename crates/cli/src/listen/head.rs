//! The head of an HTTP/1 request, taken apart as it is on the wire.

use httparse::{EMPTY_HEADER, Error, Status};

use super::{check::Malformed, received::Received};
use crate::raw_http::{self, RequestLine};

/// What a head says of the body and of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) waits: bool,
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Chunked,
    Length(u64),
}

/// Takes a head apart. Of one that is malformed there is as much as could be read.
pub(super) fn parse(head: &[u8]) -> (Received, Result<Terms, Malformed>) {
    let mut request = Received::default();
    let terms = read(head, &mut request);
    (request, terms)
}

fn read(head: &[u8], request: &mut Received) -> Result<Terms, Malformed> {
    let line_end = head.iter().position(|&byte| byte == b'\n').unwrap_or(head.len());
    let line = head[..line_end].strip_suffix(b"\r").unwrap_or(&head[..line_end]);
    let line = RequestLine::parse(line).map_err(bad)?;
    request.method = line.method.to_vec();
    request.target = line.target.to_vec();
    let minor = match line.version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        other => {
            let message = format!("`{}` is not spoken here", other.escape_ascii());
            return Err(Malformed { status: 505, code: "InvalidRequest", message });
        }
    };
    let mut headers = [EMPTY_HEADER; HEADERS];
    let fields = head.get(line_end + 1..).unwrap_or_default();
    let is_odd = match httparse::parse_headers(fields, &mut headers) {
        Ok(Status::Complete((_, headers))) => {
            let owned = |header: &httparse::Header<'_>| (header.name.into(), header.value.to_vec());
            request.headers = headers.iter().map(owned).collect();
            false
        }
        Err(Error::TooManyHeaders) => return Err(too_many()),
        // What no server would take is shown to the verifier, which says what is wrong with it.
        Ok(Status::Partial) | Err(_) => {
            request.headers = raw_http::parse(head).map_err(bad)?.request.headers;
            true
        }
    };
    if request.headers.len() > HEADERS {
        return Err(too_many());
    }
    let framing = Framing::of(request, minor)?;
    let says = |name: &str, word: &[u8]| {
        let mut words = request.values(name).flat_map(|value| value.split(|&byte| byte == b','));
        words.any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
    };
    let kept =
        if minor == 1 { !says("connection", b"close") } else { says("connection", b"keep-alive") };
    let waits = minor == 1 && says("expect", b"100-continue");
    Ok(Terms { framing, keep_alive: kept && !is_odd, waits })
}

impl Framing {
    /// The one way in which the head delimits the body (RFC 9112, §6.3): where two could be read into
    /// it, another server might take the other one, and so another request.
    fn of(request: &Received, minor: u8) -> Result<Framing, Malformed> {
        let mut lengths = request.values("content-length");
        let length = lengths.next();
        let mut codings = request.values("transfer-encoding");
        match (length, codings.next()) {
            _ if lengths.next().is_some() => Err(bad("the request has two Content-Length headers")),
            _ if codings.next().is_some() => {
                Err(bad("the request has two Transfer-Encoding headers"))
            }
            (Some(_), Some(_)) => {
                Err(bad("the request has both Content-Length and Transfer-Encoding"))
            }
            (None, None) => Ok(Framing::Length(0)),
            (None, Some(_)) if minor == 0 => {
                Err(bad("a request of HTTP/1.0 has a Transfer-Encoding"))
            }
            (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (None, Some(coding)) => Err(Malformed {
                status: 501,
                code: "NotImplemented",
                message: format!(
                    "the Transfer-Encoding `{}` is not known: only `chunked` is",
                    coding.escape_ascii()
                ),
            }),
            (Some(text), None) => {
                let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
                let length = digits.then(|| str::from_utf8(text).ok()?.parse().ok()).flatten();
                length.map(Framing::Length).ok_or_else(|| {
                    bad(format_args!("the Content-Length `{}` is no length", text.escape_ascii()))
                })
            }
        }
    }
}

/// A request that no server would take.
pub(super) fn bad(message: impl std::fmt::Display) -> Malformed {
    Malformed { status: 400, code: "InvalidRequest", message: message.to_string() }
}

fn too_many() -> Malformed {
    let message = format!("the request has more than {HEADERS} headers");
    Malformed { status: 431, code: "RequestHeaderSectionTooLarge", message }
}

/// So many headers a request may have.
const HEADERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(headers: &str) -> Result<Framing, (u16, String)> {
        let (_, terms) = parse(format!("POST /x HTTP/1.1\r\n{headers}\r\n").as_bytes());
        terms.map(|terms| terms.framing).map_err(|why| (why.status, why.message))
    }

    #[test]
    fn target_and_headers_stay_as_they_are() {
        let (request, terms) =
            parse(b"get /a b\xff?\xc3\xa9 HTTP/1.1\r\nX-Odd:  \x80 \r\nx-odd:2\r\n\r\n");
        assert_eq!(request.method, b"get");
        assert_eq!(request.target, b"/a b\xff?\xc3\xa9");
        let expected: [(&[u8], &[u8]); 2] = [(b"X-Odd", b"\x80"), (b"x-odd", b"2")];
        let headers: Vec<(&[u8], &[u8])> =
            request.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        assert_eq!(headers, expected);
        assert!(terms.expect("a head").keep_alive);
    }

    #[test]
    fn what_no_server_takes_is_for_the_verifier_and_ends_the_connection() {
        let (request, terms) =
            parse(b"GET / HTTP/1.1\r\nX Y: 1\r\nFolded: a\r\n  b\r\nNul: \0\r\n\r\n");
        assert!(!terms.expect("a head").keep_alive);
        assert_eq!(request.value("folded"), Some(&b"a b"[..]));
        assert_eq!(request.value("x y"), Some(&b"1"[..]));
        assert_eq!(request.value("nul"), Some(&b"\0"[..]));
    }

    #[test]
    fn a_body_is_delimited_in_one_way_or_not_at_all() {
        assert_eq!(framing(""), Ok(Framing::Length(0)));
        assert_eq!(framing("Content-Length: 12 \r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("transfer-encoding: CHUNKED\r\n"), Ok(Framing::Chunked));
        for (headers, status, said) in [
            ("Content-Length: 1\r\nContent-Length: 1\r\n", 400, "two Content-Length"),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400, "both"),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
                400,
                "two Transfer-Encoding",
            ),
            ("Transfer-Encoding: gzip, chunked\r\n", 501, "gzip, chunked"),
            ("Content-Length: +1\r\n", 400, "`+1`"),
            ("Content-Length: 1, 1\r\n", 400, "`1, 1`"),
            ("Content-Length: 99999999999999999999\r\n", 400, "no length"),
            ("Content-Length:\r\n", 400, "no length"),
        ] {
            let (found, message) = framing(headers).expect_err(headers);
            assert_eq!(found, status, "{headers}");
            assert!(message.contains(said), "{message}");
        }
        let (_, terms) = parse(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
        terms.expect_err("of HTTP/1.0");
    }

    #[test]
    fn the_version_says_whether_the_connection_is_kept() {
        let kept = |text: &str| parse(text.as_bytes()).1.expect("a head").keep_alive;
        assert!(kept("GET / HTTP/1.1\r\n\r\n"));
        assert!(!kept("GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n"));
        assert!(!kept("GET / HTTP/1.0\r\n\r\n"));
        assert!(kept("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let (_, terms) = parse(b"GET / HTTP/3.0\r\n\r\n");
        assert_eq!(terms.expect_err("a version").status, 505);
    }

    #[test]
    fn headers_without_number_are_refused() {
        for odd in ["", "X Y: 1\r\n"] {
            let head = format!("GET / HTTP/1.1\r\n{odd}{}\r\n", "a: b\r\n".repeat(257));
            let (_, terms) = parse(head.as_bytes());
            assert_eq!(terms.expect_err("too many").status, 431);
        }
    }
}
