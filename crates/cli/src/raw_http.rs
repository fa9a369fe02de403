//! The text of an HTTP/1.1 request, as in a `.http` or `.req` file.

use crate::{body::Body, failure::Failure, request::Request};

/// A request and the version of HTTP that its request line named.
pub(crate) struct RawRequest {
    pub(crate) request: Request,
    pub(crate) version: Vec<u8>,
}

/// Takes the text apart.
///
/// Written by people: lines may end in LF alone, blank lines and comments (`#`, `//`) may stand in front, the
/// target may hold spaces and bytes that no URL has, and a folded header counts as one line with a space. A request
/// line without a version is one of HTTP/1.1.
pub(crate) fn parse(text: &[u8]) -> Result<RawRequest, Failure> {
    let mut rest = text;
    let request_line = loop {
        let Some(line) = take_line(&mut rest) else {
            return Err(Failure::input(
                "the request text is empty: it should begin like `GET /path HTTP/1.1`",
            ));
        };
        if !line.is_empty() && !is_comment(line) {
            break line;
        }
    };
    let RequestLine { method, target, version } = RequestLine::parse(request_line)?;
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut number = 1;
    while let Some(line) = take_line(&mut rest).filter(|line| !line.is_empty()) {
        number += 1;
        if let (b' ' | b'\t', Some((_, value))) = (line[0], headers.last_mut()) {
            value.push(b' ');
            value.extend_from_slice(trim_blanks(line));
            continue;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return Err(Failure::input(format_args!(
                "line {number} of the request's head, which begins with `{}`, is no header: it has no `:`",
                first_word(line).escape_ascii()
            )));
        };
        headers.push((line[..colon].to_vec(), trim_blanks(&line[colon + 1..]).to_vec()));
    }
    let value = |wanted: &[u8]| {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| &value[..])
    };
    // An editor ends a file with a line's end that is no part of the body.
    let length = value(b"content-length");
    let length = length.and_then(|value| str::from_utf8(value).ok()?.trim().parse().ok());
    let rest = match length.and_then(|length: usize| rest.get(..length)) {
        Some(body) => body,
        None if value(b"transfer-encoding").is_some() => rest,
        None => check_alone(rest).map(|()| rest)?,
    };
    let body = if rest.is_empty() { Body::None } else { Body::Bytes(rest.to_vec()) };
    let method = String::from_utf8(method.to_vec()).map_err(|_| {
        Failure::input(format_args!("the method `{}` is not a token", method.escape_ascii()))
    })?;
    Ok(RawRequest {
        request: Request { method, url: target.to_vec(), headers, body },
        version: version.to_vec(),
    })
}

/// Editors that send what stands in such files know comments.
fn is_comment(line: &[u8]) -> bool {
    line.starts_with(b"#") || line.starts_with(b"//")
}

/// Refuses a body in which a line begins as those do which stand between two requests of a file.
fn check_alone(body: &[u8]) -> Result<(), Failure> {
    match body.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"###")) {
        false => Ok(()),
        true => Err(Failure::input(
            "the text holds two requests, for a line of the body begins with `###`: give one, or a \
             Content-Length if it is part of the body",
        )),
    }
}

/// Takes one line off the front, without its end; `None` behind the last one.
fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|&byte| byte == b'\n');
    let line = &rest[..end.unwrap_or(rest.len())];
    *rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// What may be shown of a line that cannot be read: the rest may hold a token.
pub(crate) fn first_word(line: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b':' | b'?' | b'@');
    line.split(is_end).next().unwrap_or_default()
}

fn is_version(text: &[u8]) -> bool {
    text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"HTTP/"))
}

/// Text without the SP and HTAB around it; all other bytes are the signer's to judge.
fn trim_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

pub(crate) struct RequestLine<'l> {
    pub(crate) method: &'l [u8],
    /// All that stands between the first and the last space.
    pub(crate) target: &'l [u8],
    pub(crate) version: &'l [u8],
}

impl RequestLine<'_> {
    pub(crate) fn parse(line: &[u8]) -> Result<RequestLine<'_>, Failure> {
        let malformed = || {
            Failure::input(format_args!(
                "the request line, which begins with `{}`, is not like `GET /path HTTP/1.1`",
                first_word(line).escape_ascii()
            ))
        };
        let space = line.iter().position(|&byte| byte == b' ').ok_or_else(malformed)?;
        let (method, rest) = (&line[..space], trim_blanks(&line[space..]));
        let (target, version) = match rest.iter().rposition(|&byte| byte == b' ') {
            Some(at) if is_version(&rest[at + 1..]) => (trim_blanks(&rest[..at]), &rest[at + 1..]),
            _ => (rest, &b"HTTP/1.1"[..]),
        };
        if target.is_empty() {
            return Err(malformed());
        }
        Ok(RequestLine { method, target, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_taken_apart_leniently() {
        let raw =
            parse(b"\n\r\nPOST /a b?c=d HTTP/1.1\nHost: h\r\nX:one\n  two\n\tthree\r\n\nbody\n")
                .expect("a request");
        assert_eq!(raw.request.url, b"/a b?c=d");
        assert_eq!(raw.version, b"HTTP/1.1");
        assert_eq!(raw.request.method, "POST");
        assert_eq!(
            raw.request.headers,
            [(b"Host".to_vec(), b"h".to_vec()), (b"X".to_vec(), b"one two three".to_vec())]
        );
        assert!(matches!(raw.request.body, Body::Bytes(body) if body == b"body\n"));
    }

    #[test]
    fn comments_stand_in_front_and_lines_that_separate_requests_do_not_follow() {
        let raw =
            parse(b"### who am I\r\n# @name who\n// or not\n\nGET https://h/ HTTP/1.1\nA: b\n\n");
        assert_eq!(raw.expect("a request").request.url, b"https://h/");
        let two = b"POST https://h/ HTTP/1.1\nA: b\n\none\n\n### next\nGET https://h/\n";
        let Err(failure) = parse(two) else { panic!("there are two") };
        assert!(failure.message.contains("two requests"), "{failure}");
        for length in ["x", "100"] {
            let two = format!("POST https://h/\nContent-Length: {length}\n\none\n### next\n");
            assert!(parse(two.as_bytes()).is_err(), "{length}");
        }
        let body = b"POST https://h/\nContent-Length: 12\n\none\n### two\n";
        assert!(
            matches!(parse(body).expect("one").request.body, Body::Bytes(body) if body.len() == 12)
        );
    }

    #[test]
    fn the_body_ends_where_its_length_says() {
        for (length, expected) in
            [("4", &b"body"[..]), ("5", b"body\n"), ("9", b"body\n"), ("x", b"body\n")]
        {
            let text = format!("POST / HTTP/1.1\nHost: h\nContent-Length: {length}\n\nbody\n");
            let raw = parse(text.as_bytes()).expect("a request");
            assert!(matches!(raw.request.body, Body::Bytes(body) if body == expected), "{length}");
        }
    }

    #[test]
    fn a_request_without_version_and_body_is_one() {
        let raw = parse(b"GET https://h/").expect("a request");
        assert_eq!(
            (&raw.request.url[..], &raw.version[..]),
            (&b"https://h/"[..], &b"HTTP/1.1"[..])
        );
        assert!(matches!(raw.request.body, Body::None));
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_line() {
        for (text, said) in [
            (&b""[..], "empty"),
            (b"\n\n", "empty"),
            (b"GET", "begins with `GET`"),
            (b"https://h/?X-Amz-Security-Token=hush", "begins with `https`"),
            (b"GET / HTTP/1.1\nX-Amz-Security-Token hush\n", "begins with `X-Amz-Security-Token`"),
            (b"GET ", "request line"),
            (b"GET HTTP/1.1\nno header here\n", "line 2"),
        ] {
            let Err(failure) = parse(text) else { panic!("{}", text.escape_ascii()) };
            assert!(failure.message.contains(said), "{failure}");
            assert!(!failure.message.contains("hush"), "{failure}");
        }
    }
}
