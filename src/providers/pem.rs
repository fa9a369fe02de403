//! PEM (RFC 7468), read without a copy of what it holds being left behind, as readers of PEM at large do.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// A section of a file: what stands between two lines with one label.
pub(super) struct Section<'a> {
    pub(super) label: &'a [u8],
    body: &'a [u8],
}

/// The sections of a file, whatever stands around them. One without an end is `None`, and the last.
pub(super) fn sections(mut file: &[u8]) -> impl Iterator<Item = Option<Section<'_>>> {
    std::iter::from_fn(move || {
        let label = loop {
            if let Some(label) = marked(line(&mut file)?, b"-----BEGIN ") {
                break label;
            }
        };
        let from = file;
        loop {
            let length = from.len() - file.len();
            match line(&mut file) {
                None => return Some(None),
                Some(line) if marked(line, b"-----END ") == Some(label) => {
                    return Some(Some(Section { label, body: &from[..length] }));
                }
                Some(_) => {}
            }
        }
    })
}

impl Section<'_> {
    /// What it holds, in DER; `None` if it is no base64.
    pub(super) fn der(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(Vec::with_capacity(self.body.len()));
        text.extend(self.body.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let mut der = Zeroizing::new(vec![0; text.len()]);
        let length = Base64::decode(&*text, &mut der).ok()?.len();
        der.truncate(length);
        Some(der)
    }
}

/// The next line, without the white space around it.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|&byte| byte == b'\n');
    let (line, behind) = end.map_or((*rest, &[][..]), |end| (&rest[..end], &rest[end + 1..]));
    *rest = behind;
    Some(line.trim_ascii())
}

fn marked<'a>(line: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(mark)?.strip_suffix(b"-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_stand_between_whatever_else_is_there() {
        let file = b"Bag Attributes\r\n-----BEGIN A-----\r\naGVs\r\nbG8=\r\n-----END A-----\r\n\
            # and\n  -----BEGIN B C-----\naA==\n-----END A-----\n-----END B C-----\n\
            -----BEGIN D-----\n-----END D-----";
        let read: Vec<_> = sections(file)
            .map(|section| {
                let section = section.expect("the text is PEM");
                (section.label.to_vec(), section.der().map(|der| der.to_vec()))
            })
            .collect();
        let expected = [
            (b"A".to_vec(), Some(b"hello".to_vec())),
            (b"B C".to_vec(), None),
            (b"D".to_vec(), Some(Vec::new())),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_section_without_an_end_is_the_last() {
        for file in ["-----BEGIN A-----", "-----BEGIN A-----\naA==\n-----END B-----\n"] {
            let read: Vec<_> = sections(file.as_bytes()).map(|section| section.is_some()).collect();
            assert_eq!(read, [false], "{file}");
        }
        assert_eq!(sections(b"no PEM\n").count(), 0);
    }
}
