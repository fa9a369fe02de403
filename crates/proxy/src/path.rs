//! Paths, byte for byte.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::ConfigError;

/// How the paths begin that a route takes: whole segments, as `/metrics`; `/` is all of them.
///
/// ```
/// use countersign_proxy::Prefix;
///
/// let prefix: Prefix = "/metrics/".parse()?;
/// assert_eq!(prefix, "/metrics".parse()?);
/// assert!("metrics".parse::<Prefix>().is_err());
/// # Ok::<(), countersign_proxy::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// What comes behind the prefix, if the path begins with it.
    pub(crate) fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&self.0)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    pub(crate) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prefix {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Prefix, ConfigError> {
        let is_path = text.parse::<http::uri::PathAndQuery>().is_ok_and(|path| path == text);
        if !text.starts_with('/') || text.contains('?') || !is_path || has_dot_segment(text) {
            return Err(ConfigError::new(format!(
                "`{}` is no path such as `/metrics`, without dot segments and query",
                text.escape_debug()
            )));
        }
        Ok(Prefix(text.trim_end_matches('/').to_owned()))
    }
}

/// Whether something behind us could take a segment of the path for `.` or `..`, however it is written.
///
/// It could decode escapes once or more, take `\` for `/`, or cut parameters off a segment.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    let mut decoded = path.as_bytes().to_vec();
    // Each round shortens it, so this ends.
    while let Some(shorter) = decode(&decoded) {
        decoded = shorter;
    }
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        matches!(name, b"." | b"..")
    })
}

/// The path with its escapes of `.`, `/`, `\`, `;` and `%` decoded once; `None` if there are none.
fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, behind @ ..] = rest {
        let escape = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| {
            let digits = [hex[0].to_ascii_lowercase(), hex[1].to_ascii_lowercase()];
            ESCAPES.iter().find(|(text, _)| **text == digits).map(|(_, byte)| *byte)
        });
        out.push(escape.unwrap_or(*first));
        rest = if escape.is_some() { &behind[2..] } else { behind };
    }
    (out.len() < path.len()).then_some(out)
}

const ESCAPES: [(&[u8; 2], u8); 5] =
    [(b"2e", b'.'), (b"2f", b'/'), (b"5c", b'\\'), (b"3b", b';'), (b"25", b'%')];

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Prefix, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_whole_segments() {
        let prefix: Prefix = "/a".parse().expect("a prefix");
        for (path, rest) in [
            ("/a", Some("")),
            ("/a/", Some("/")),
            ("/a//b%2F", Some("//b%2F")),
            ("/ab", None),
            ("/", None),
            ("//a", None),
            ("/%61", None),
        ] {
            assert_eq!(prefix.rest(path), rest, "{path}");
        }
        assert_eq!(Prefix::default().rest("//x"), Some("//x"));
    }

    #[test]
    fn dot_segments_are_seen_however_they_are_written() {
        for path in [
            "/..",
            "/a/../b",
            "/.",
            "/a/.",
            "/%2e%2E/b",
            "/a/%2e.",
            "/a%2F..%2fb",
            "/a\\..\\b",
            "/%252e%252e/",
            "/..;x=1/",
            "/a%5c..",
            "/%25252e./",
        ] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in ["/", "/a..b", "/...", "/a.", "/%2e%2e%2e", "/a%", "/%2", "/.a/b", "//"] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }
}
