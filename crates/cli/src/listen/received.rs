//! A request as it was received, whichever version of HTTP it came by.

use std::borrow::Cow;

use countersign::{Error, Head, Headers};
use percent_encoding::percent_decode_str;

/// The head of a request, byte for byte.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) method: Vec<u8>,
    /// As the request line or `:path` has it.
    pub(super) target: Vec<u8>,
    /// HTTP/2's `:authority`, and whether its `:scheme` is `https`.
    pub(super) authority: Option<(Vec<u8>, bool)>,
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Received {
    /// Shows the request as the verifier takes it.
    pub(super) fn with_head<T>(&self, then: impl FnOnce(Result<Head<'_>, Error>) -> T) -> T {
        let pairs: Vec<(&[u8], &[u8])> =
            self.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let head = Head::parse(&self.method, &self.target, Headers::Pairs(&pairs));
        then(head.map(|head| match &self.authority {
            Some((authority, https)) => Head { authority: Some(authority), https: *https, ..head },
            None => head,
        }))
    }

    /// The values of a header, in the order of the wire.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let is_name = move |other: &[u8]| other.eq_ignore_ascii_case(name.as_bytes());
        let found = self.headers.iter().filter(move |(other, _)| is_name(other));
        found.map(|(_, value)| value.trim_ascii())
    }

    /// The first value of a header.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The first value of a query parameter, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let target = String::from_utf8_lossy(&self.target);
        let (_, query) = target.split_once('?')?;
        let mut pairs = query.split('&').map(|piece| piece.split_once('=').unwrap_or((piece, "")));
        let (_, value) = pairs.find(|(found, _)| decode(found) == name)?;
        Some(decode(value).into_owned())
    }

    /// The method, for people and for JSON.
    pub(super) fn shown_method(&self) -> String {
        String::from_utf8_lossy(&self.method).into_owned()
    }

    /// The target without the session token and the userinfo that it may hold.
    pub(super) fn shown_target(&self) -> String {
        let target = String::from_utf8_lossy(&self.target);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*target, None),
        };
        let path = match path.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('@')))
        {
            Some((scheme, Some((userinfo, rest)))) if !userinfo.contains('/') => {
                format!("{scheme}://{rest}")
            }
            _ => path.to_owned(),
        };
        match query {
            Some(query) => {
                let pieces: Vec<Cow<'_, str>> = query.split('&').map(without_token).collect();
                format!("{path}?{}", pieces.join("&"))
            }
            None => path,
        }
    }
}

/// A piece of a query, its value masked if it is a session token.
fn without_token(piece: &str) -> Cow<'_, str> {
    match piece.split_once('=') {
        Some((name, value)) if is_token(&decode(name)) => {
            Cow::Owned(format!("{name}=<session token of {} bytes>", decode(value).len()))
        }
        _ => Cow::Borrowed(piece),
    }
}

/// Whether a header or a query parameter of this name holds a session token.
fn is_token(name: &str) -> bool {
    ["x-amz-security-token", "x-amz-s3session-token"]
        .iter()
        .any(|token| name.eq_ignore_ascii_case(token))
}

fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(target: &str) -> String {
        Received { target: target.into(), ..Received::default() }.shown_target()
    }

    #[test]
    fn neither_token_nor_userinfo_is_shown() {
        assert_eq!(
            shown("/a@b?x=1&X-Amz-Security-Token=a%2Fb&y"),
            "/a@b?x=1&X-Amz-Security-Token=<session token of 3 bytes>&y"
        );
        assert_eq!(
            shown("/?x%2damz-s3session-token=abc"),
            "/?x%2damz-s3session-token=<session token of 3 bytes>"
        );
        assert_eq!(shown("http://user:hush@host/a@b"), "http://host/a@b");
        assert_eq!(shown("http://host/a@b"), "http://host/a@b");
    }

    #[test]
    fn parameters_are_decoded() {
        let received = Received { target: b"/?a&b=%2F&b=2".to_vec(), ..Received::default() };
        assert_eq!(received.parameter("b").as_deref(), Some("/"));
        assert_eq!(received.parameter("a").as_deref(), Some(""));
        assert_eq!(received.parameter("c"), None);
    }
}
