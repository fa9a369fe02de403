//! The data of `-d` and its kin, put together as curl does.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Seek, Write},
};

use tempfile::SpooledTempFile;

use super::{bytes::path_of, table::Encoding, url::is_unreserved};
use crate::{body::Body, failure::Failure};

/// What one option adds to the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The option, as it was written.
    pub(super) option: Vec<u8>,
    pub(super) encoding: Encoding,
    pub(super) value: Vec<u8>,
}

/// Where the bytes of a piece are.
enum Source<'a> {
    File { path: &'a [u8], filter: Filter<'a> },
    Here(Vec<u8>),
}

/// What is done to the bytes of a file.
#[derive(Clone, Copy)]
enum Filter<'a> {
    Encode { name: &'a [u8] },
    None,
    Strip,
}

impl Piece {
    /// Whether the piece is read from standard input.
    pub(super) fn is_stdin(&self) -> bool {
        self.file() == Some(b"-")
    }

    /// The file that the piece is read from.
    pub(super) fn file(&self) -> Option<&[u8]> {
        match self.source() {
            Source::File { path, .. } => Some(path),
            Source::Here(_) => None,
        }
    }

    fn source(&self) -> Source<'_> {
        let at = self.value.strip_prefix(b"@");
        match (self.encoding, at) {
            (Encoding::Binary | Encoding::Json, Some(path)) => {
                Source::File { path, filter: Filter::None }
            }
            (Encoding::Text, Some(path)) => Source::File { path, filter: Filter::Strip },
            (Encoding::UrlEncode, _) => self.url_encoded(),
            _ => Source::Here(self.value.clone()),
        }
    }

    fn url_encoded(&self) -> Source<'_> {
        let value = &self.value[..];
        // An `@` counts where there is no `=` at all.
        let position = |wanted| value.iter().position(|&byte| byte == wanted);
        let (name, content) = match (position(b'='), position(b'@')) {
            (Some(at), _) => (&value[..at], &value[at + 1..]),
            (None, Some(at)) => {
                let filter = Filter::Encode { name: &value[..at] };
                return Source::File { path: &value[at + 1..], filter };
            }
            (None, None) => (&b""[..], value),
        };
        let mut encoded = Vec::with_capacity(value.len());
        if !name.is_empty() {
            encoded.extend_from_slice(name);
            encoded.push(b'=');
        }
        encode(content, &mut encoded);
        Source::Here(encoded)
    }

    fn write(&self, out: &mut impl Write) -> Result<(), Failure> {
        match self.source() {
            Source::Here(bytes) => out.write_all(&bytes).map_err(lost),
            Source::File { path: b"-", filter } => {
                let unreadable =
                    |error| Failure::input(format_args!("cannot read standard input: {error}"));
                filter.copy(io::stdin().lock(), out, unreadable)
            }
            Source::File { path, filter } => {
                let path = path_of(path);
                let unreadable = |error| Failure::unreadable(&path, &error);
                let file = File::open(&path).map_err(unreadable)?;
                filter.copy(BufReader::new(file), out, unreadable)
            }
        }
    }
}

impl Filter<'_> {
    fn copy(
        self,
        mut input: impl BufRead,
        out: &mut impl Write,
        unreadable: impl Fn(io::Error) -> Failure,
    ) -> Result<(), Failure> {
        let mut filtered = Vec::new();
        let mut first = true;
        loop {
            let bytes = input.fill_buf().map_err(&unreadable)?;
            if bytes.is_empty() {
                return Ok(());
            }
            filtered.clear();
            match self {
                Filter::None => filtered.extend_from_slice(bytes),
                Filter::Strip => {
                    filtered.extend(bytes.iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
                }
                Filter::Encode { name } => {
                    // The name of an empty file is not sent either.
                    if first && !name.is_empty() {
                        filtered.extend_from_slice(name);
                        filtered.push(b'=');
                    }
                    encode(bytes, &mut filtered);
                }
            }
            first = false;
            let len = bytes.len();
            input.consume(len);
            out.write_all(&filtered).map_err(lost)?;
        }
    }
}

/// The body that the pieces make: as it is in a file or in memory if it can be handed to curl so,
/// else put together in a temporary file.
pub(super) fn body_of(pieces: &[Piece]) -> Result<Body, Failure> {
    if let [Piece { encoding: Encoding::Binary | Encoding::Json, .. }] = pieces
        && let Some(path) = pieces[0].file()
        && is_regular(path)
    {
        return Ok(Body::File(path_of(path)));
    }
    if pieces.iter().all(|piece| piece.file().is_none()) {
        let mut bytes = Vec::new();
        write(pieces, &mut bytes)?;
        // Elsewhere than on Unix, an argument does not reach curl byte for byte.
        if bytes.len() <= LONGEST_ARGUMENT && (cfg!(unix) || bytes.is_ascii()) {
            return Ok(Body::Bytes(bytes));
        }
    }
    let mut spool = SpooledTempFile::new(SPOOL_FROM);
    write(pieces, &mut spool)?;
    spool.rewind().map_err(lost)?;
    Ok(Body::Spooled(spool))
}

/// Writes the pieces with `&` in between.
pub(super) fn write(pieces: &[Piece], out: &mut impl Write) -> Result<(), Failure> {
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 && piece.encoding != Encoding::Json {
            out.write_all(b"&").map_err(lost)?;
        }
        piece.write(out)?;
    }
    Ok(())
}

/// Whether there is a file that can be read more than once.
pub(super) fn is_regular(path: &[u8]) -> bool {
    fs::metadata(path_of(path)).is_ok_and(|metadata| metadata.is_file())
}

/// Encodes a value for a form: a space is `+`.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b' ' => out.push(b'+'),
            byte if is_unreserved(byte) => out.push(byte),
            byte => {
                out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn lost(error: io::Error) -> Failure {
    Failure::input(format_args!("cannot write the body to a temporary file: {error}"))
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Linux takes arguments of 128 KiB.
pub(super) const LONGEST_ARGUMENT: usize = 100 * 1024;

const SPOOL_FROM: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(encoding: Encoding, value: &str) -> Piece {
        Piece { option: b"-d".to_vec(), encoding, value: value.into() }
    }

    fn joined(pieces: &[Piece]) -> String {
        let mut out = Vec::new();
        write(pieces, &mut out).expect("pieces");
        String::from_utf8_lossy(&out).into_owned()
    }

    /// A file with line ends, a NUL and a byte that is no text.
    fn file() -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"one=1&\r\nt wo\rx\n\0\xff\n").expect("written");
        file
    }

    #[test]
    fn pieces_are_joined_by_an_ampersand_but_json_is_not() {
        use Encoding::{Json, Raw, Text};
        assert_eq!(joined(&[piece(Text, "a=b"), piece(Raw, "@c"), piece(Text, "")]), "a=b&@c&");
        assert_eq!(joined(&[piece(Text, ""), piece(Text, "x")]), "&x");
        assert_eq!(joined(&[piece(Json, "{"), piece(Json, "}")]), "{}");
        assert_eq!(joined(&[piece(Json, "a"), piece(Text, "b")]), "a&b");
        assert_eq!(joined(&[piece(Text, "a"), piece(Json, "b")]), "ab");
    }

    #[test]
    fn all_forms_of_data_urlencode_are_understood() {
        for (given, expected) in [
            ("a b&c=d e&\u{fc}", "a b&c=d+e%26%C3%BC"),
            ("=f=g", "f%3Dg"),
            ("h i~.-_*", "h+i~.-_%2A"),
            ("a=", "a="),
            ("=", ""),
            ("", ""),
            ("a=b@c", "a=b%40c"),
            ("a@b=c", "a@b=c"),
        ] {
            assert_eq!(joined(&[piece(Encoding::UrlEncode, given)]), expected, "{given}");
        }
    }

    #[test]
    fn a_file_is_stripped_kept_or_encoded() {
        let file = file();
        let path = file.path().display();
        let read = |encoding, prefix: &str| joined(&[piece(encoding, &format!("{prefix}@{path}"))]);
        assert_eq!(read(Encoding::Text, ""), "one=1&t wox\u{fffd}");
        assert_eq!(read(Encoding::Binary, ""), "one=1&\r\nt wo\rx\n\0\u{fffd}\n");
        assert_eq!(read(Encoding::UrlEncode, ""), "one%3D1%26%0D%0At+wo%0Dx%0A%00%FF%0A");
        assert_eq!(read(Encoding::UrlEncode, "n"), "n=one%3D1%26%0D%0At+wo%0Dx%0A%00%FF%0A");
        let empty = tempfile::NamedTempFile::new().expect("a file");
        let value = format!("n@{}", empty.path().display());
        assert_eq!(joined(&[piece(Encoding::UrlEncode, &value)]), "");
    }

    #[test]
    fn a_body_stays_where_it_is_if_curl_can_read_it_there() {
        let file = file();
        let at = format!("@{}", file.path().display());
        let body = |pieces: &[Piece]| body_of(pieces).expect("a body");
        let binary = piece(Encoding::Binary, &at);
        assert!(matches!(body(std::slice::from_ref(&binary)), Body::File(_)));
        assert!(matches!(body(&[binary.clone(), binary]), Body::Spooled(_)));
        assert!(matches!(body(&[piece(Encoding::Text, &at)]), Body::Spooled(_)));
        assert!(matches!(body(&[piece(Encoding::Text, "a")]), Body::Bytes(_)));
        let long = "a".repeat(LONGEST_ARGUMENT + 1);
        assert!(matches!(body(&[piece(Encoding::Text, &long)]), Body::Spooled(_)));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = body_of(&[piece(Encoding::Text, "@/no/such/file")]).expect_err("no file");
        assert!(failure.message.contains("/no/such/file"), "{failure}");
    }
}
