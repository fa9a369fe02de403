//! Paths, byte for byte.

use std::{fmt, str::FromStr};

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

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_all() { "/" } else { self.as_str() })
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
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded: Vec<u8> = Vec::with_capacity(path.len());
    for &byte in path.as_bytes() {
        decoded.push(byte);
        // What is decoded may complete another escape.
        while let [.., b'%', high, low] = decoded[..]
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            decoded.truncate(decoded.len() - 3);
            decoded.push((high * 16 + low) as u8);
        }
    }
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        matches!(name, b"." | b"..")
    })
}

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
    fn a_path_of_nothing_but_escapes_is_read_once() {
        let path = format!("/%{}2e./", "25".repeat(1 << 20));
        assert!(has_dot_segment(&path));
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
            "/%25%32%65%25%32%65/out",
            "/%%32e./",
            "/a%2%66../b",
        ] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in ["/", "/a..b", "/...", "/a.", "/%2e%2e%2e", "/a%", "/%2", "/.a/b", "//"] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }
}
