//! The headers of `-H`, as curl reads them.

use std::fs;

use super::{bytes::path_of, data::is_regular};
use crate::failure::Failure;

/// A value of `-H`: one header, or a file with one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeaderArg {
    /// The whole value, if it names a file.
    pub(super) file: Option<Vec<u8>>,
    pub(super) lines: Vec<Vec<u8>>,
}

impl HeaderArg {
    /// Reads the value, and the file that it names.
    pub(super) fn read(value: Vec<u8>) -> Result<HeaderArg, Failure> {
        let Some(path) = value.strip_prefix(b"@") else {
            return Ok(HeaderArg::line(value));
        };
        if path == b"-" {
            return Err(Failure::input(
                "`-H @-` would take the headers from standard input: give them one by one, or in \
                 a file",
            ));
        }
        let path = path_of(path);
        let text = fs::read(&path).map_err(|error| Failure::unreadable(&path, &error))?;
        let lines = text.split(|&byte| byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let lines: Vec<Vec<u8>> =
            lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        if lines.iter().any(|line| line.starts_with(b"@")) {
            return Err(Failure::input(format_args!(
                "a line of the header file `{}` begins with `@`, as no header does",
                path.display()
            )));
        }
        Ok(HeaderArg { file: Some(value), lines })
    }

    /// A single header.
    pub(super) fn line(line: impl Into<Vec<u8>>) -> HeaderArg {
        HeaderArg { file: None, lines: vec![line.into()] }
    }

    /// Takes out the headers with these names. A file that holds one is of no more use to curl.
    pub(super) fn remove(&mut self, names: &[&str]) {
        let before = self.lines.len();
        self.lines.retain(|line| !names.iter().any(|name| is_about(line, name)));
        if self.lines.len() < before {
            self.file = None;
        }
    }

    /// The value for `-H`, if it names a file that can be read again.
    pub(super) fn reusable_file(&self) -> Option<&[u8]> {
        self.file.as_deref().filter(|file| is_regular(&file[1..]))
    }
}

/// The header that curl sends for a line; `None` if it sends none, as for `Accept:`.
pub(super) fn sent(line: &[u8]) -> Option<(&[u8], &[u8])> {
    match line.iter().position(|&byte| byte == b':') {
        Some(0) => None,
        Some(at) => {
            let value = &line[at + 1..];
            let is_blank = value.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0x0b);
            (!is_blank).then_some((&line[..at], value))
        }
        // `Name;` is a header without a value.
        None => match line.strip_suffix(b";") {
            Some(name) if !name.contains(&b';') => Some((name, b"")),
            _ => None,
        },
    }
}

/// Whether a line is about this header, be it that it sends or that it suppresses it.
pub(super) fn is_about(line: &[u8], name: &str) -> bool {
    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        && matches!(line.get(name.len()), Some(b':' | b';'))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_line_is_sent_as_curl_sends_it() {
        for (line, expected) in [
            ("X-One: 1", Some(("X-One", " 1"))),
            ("X-One:1:2", Some(("X-One", "1:2"))),
            ("X;Y: z", Some(("X;Y", " z"))),
            ("X-One;", Some(("X-One", ""))),
            ("X-One:", None),
            ("X-One: \t ", None),
            ("X-One; ", None),
            ("X-One;x", None),
            ("X-One", None),
            (": x", None),
            ("", None),
            (";", Some(("", ""))),
        ] {
            let expected = expected.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            assert_eq!(sent(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_file_holds_a_header_a_line() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"X-One: 1\r\n\nX-Two: 2").expect("written");
        let value = format!("@{}", file.path().display()).into_bytes();
        let read = HeaderArg::read(value.clone()).expect("headers");
        assert_eq!(read.lines, [b"X-One: 1", b"X-Two: 2"]);
        assert_eq!(read.file, Some(value));
        assert!(read.reusable_file().is_some());
    }

    #[test]
    fn a_file_that_holds_a_replaced_header_is_not_read_again() {
        let mut arg = HeaderArg {
            file: Some(b"@f".to_vec()),
            lines: vec![b"X-One: 1".to_vec(), b"X-Amz-Date: x".to_vec()],
        };
        arg.remove(&["x-amz-date"]);
        assert_eq!(arg, HeaderArg::line("X-One: 1"));
    }

    #[test]
    fn headers_from_standard_input_or_from_nowhere_are_refused() {
        for value in ["@-", "@/no/such/file"] {
            assert!(HeaderArg::read(value.into()).is_err(), "{value}");
        }
    }

    #[test]
    fn a_line_is_about_a_header_whether_it_sends_it_or_not() {
        assert!(is_about(b"content-type: x", "Content-Type"));
        assert!(is_about(b"Content-Type:", "Content-Type"));
        assert!(is_about(b"Content-Type;", "Content-Type"));
        assert!(!is_about(b"Content-Type : x", "Content-Type"));
        assert!(!is_about(b"Content-Type-X: x", "Content-Type"));
    }
}
