//! The head of an HTTP/1 request, taken apart as it is on the wire.

use httparse::{EMPTY_HEADER, Error, Status};

use super::{check::Malformed, received::Received};
use crate::raw_http::{self, RequestLine};

/// A head, and what it says of the connection.
#[derive(Debug)]
pub(super) struct Http1Head {
    pub(super) request: Received,
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

/// Takes a head apart. What is malformed comes with as much of the request as there is.
pub(super) fn parse(head: &[u8]) -> Result<Http1Head, (Received, Malformed)> {
    let line_end = head.iter().position(|&byte| byte == b'\n').unwrap_or(head.len());
    let line = head[..line_end].strip_suffix(b"\r").unwrap_or(&head[..line_end]);
    let line = RequestLine::parse(line).map_err(|why| (Received::default(), bad(why)))?;
    let mut request = Received {
        method: line.method.to_vec(),
        target: line.target.to_vec(),
        ..Received::default()
    };
    let minor = match line.version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        other => {
            let message = format!("`{}` is not spoken here", other.escape_ascii());
            let why = Malformed { status: 505, code: "InvalidRequest", message };
            return Err((request, why));
        }
    };
    let mut headers = [EMPTY_HEADER; HEADERS];
    let strict =
        httparse::parse_headers(head.get(line_end + 1..).unwrap_or_default(), &mut headers);
    let is_odd = match strict {
        Ok(Status::Complete((_, headers))) => {
            let owned = |header: &httparse::Header<'_>| (header.name.into(), header.value.to_vec());
            request.headers = headers.iter().map(owned).collect();
            false
        }
        Err(Error::TooManyHeaders) => return Err((request, too_many())),
        // What no server would take is shown to the verifier, which says what is wrong with it.
        Ok(Status::Partial) | Err(_) => match raw_http::parse(head) {
            Ok(raw) if raw.request.headers.len() > HEADERS => return Err((request, too_many())),
            Ok(raw) => {
                request.headers = raw.request.headers;
                true
            }
            Err(why) => return Err((request, bad(why))),
        },
    };
    let framing = match Framing::of(&request, minor) {
        Ok(framing) => framing,
        Err(why) => return Err((request, why)),
    };
    let says = |name: &str, word: &str| {
        request.values(name).any(|value| {
            value
                .split(|&byte| byte == b',')
                .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    let keep_alive = !is_odd
        && if minor == 1 { !says("connection", "close") } else { says("connection", "keep-alive") };
    let waits = minor == 1 && says("expect", "100-continue");
    Ok(Http1Head { framing, keep_alive, waits, request })
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
        match parse(format!("POST /x HTTP/1.1\r\n{headers}\r\n").as_bytes()) {
            Ok(head) => Ok(head.framing),
            Err((_, why)) => Err((why.status, why.message)),
        }
    }

    #[test]
    fn target_and_headers_stay_as_they_are() {
        let head = parse(b"get /a b\xff?\xc3\xa9 HTTP/1.1\r\nX-Odd:  \x80 \r\nx-odd:2\r\n\r\n")
            .expect("a head");
        assert_eq!(head.request.method, b"get");
        assert_eq!(head.request.target, b"/a b\xff?\xc3\xa9");
        let expected: [(&[u8], &[u8]); 2] = [(b"X-Odd", b"\x80"), (b"x-odd", b"2")];
        let headers: Vec<(&[u8], &[u8])> =
            head.request.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        assert_eq!(headers, expected);
        assert!(head.keep_alive);
    }

    #[test]
    fn what_no_server_takes_is_for_the_verifier_and_ends_the_connection() {
        let head = parse(b"GET / HTTP/1.1\r\nX Y: 1\r\nFolded: a\r\n  b\r\nNul: \0\r\n\r\n")
            .expect("a head");
        assert!(!head.keep_alive);
        assert_eq!(head.request.value("folded"), Some(&b"a b"[..]));
        assert_eq!(head.request.value("x y"), Some(&b"1"[..]));
        assert_eq!(head.request.value("nul"), Some(&b"\0"[..]));
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
        parse(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").expect_err("of HTTP/1.0");
    }

    #[test]
    fn the_version_says_whether_the_connection_is_kept() {
        let kept = |text: &str| parse(text.as_bytes()).expect("a head").keep_alive;
        assert!(kept("GET / HTTP/1.1\r\n\r\n"));
        assert!(!kept("GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n"));
        assert!(!kept("GET / HTTP/1.0\r\n\r\n"));
        assert!(kept("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let (_, why) = parse(b"GET / HTTP/3.0\r\n\r\n").expect_err("a version");
        assert_eq!(why.status, 505);
    }

    #[test]
    fn headers_without_number_are_refused() {
        for odd in ["", "X Y: 1\r\n"] {
            let head = format!("GET / HTTP/1.1\r\n{odd}{}\r\n", "a: b\r\n".repeat(257));
            let (_, why) = parse(head.as_bytes()).expect_err("too many");
            assert_eq!(why.status, 431);
        }
    }
}
