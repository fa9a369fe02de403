//! The names in SignedHeaders.

use std::borrow::Cow;

use super::{Error, Place, parts::malformed, text::Text};
use crate::{
    bytes::{any, split},
    canonical::Name,
    head::is_token,
};

/// The names of the headers that a signature covers: tokens in lower case, each there once.
pub(super) struct SignedNames<'a> {
    /// With `;` between them.
    text: Text<'a>,
    is_sorted: bool,
    /// Whether they name those that every verifier asks for.
    pub(super) has_host: bool,
    pub(super) has_date: bool,
    pub(super) has_content_sha256: bool,
}

impl<'a> SignedNames<'a> {
    #[inline]
    pub(super) fn new(place: Place, text: Text<'a>) -> Result<SignedNames<'a>, Error> {
        let has_rare = any(text.as_bytes(), is_rare);
        let (mut has_host, mut has_date, mut has_content_sha256) = (false, false, false);
        let (mut seen, mut last, mut is_sorted) = (0, Name::default(), true);
        for name in split(text.as_bytes(), b';') {
            if name.is_empty() || (has_rare && !is_lower_token(name)) {
                return Err(malformed(
                    place,
                    "SignedHeaders holds a name that is no token in lower case",
                ));
            }
            has_host |= name == b"host";
            has_date |= name == b"date";
            has_content_sha256 |= name == b"x-amz-content-sha256";
            let name = Name::new(name);
            is_sorted &= last < name;
            last = name;
            seen += 1;
            if seen > MOST {
                return Err(malformed(
                    place,
                    "SignedHeaders names more headers than any request has",
                ));
            }
        }
        let names = || split(text.as_bytes(), b';');
        let is_twice = |(at, name): (usize, &[u8])| names().take(at).any(|other| *other == *name);
        if !is_sorted && names().enumerate().any(is_twice) {
            return Err(malformed(place, "SignedHeaders names a header twice"));
        }
        Ok(SignedNames { text, is_sorted, has_host, has_date, has_content_sha256 })
    }

    /// The names as they stand, with `;` between them.
    pub(super) fn into_text(self) -> Text<'a> {
        self.text
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.as_str().split(';')
    }

    /// Whether `name` is among them, which is in lower case too.
    pub(super) fn has(&self, name: &str) -> bool {
        split(self.text.as_bytes(), b';').any(|signed| *signed == *name.as_bytes())
    }

    /// The same text with the names sorted; if they were not, this takes allocations.
    pub(super) fn sorted(&self) -> Cow<'_, [u8]> {
        if self.is_sorted {
            return Cow::Borrowed(self.text.as_bytes());
        }
        let mut names: Vec<&[u8]> = split(self.text.as_bytes(), b';').collect();
        names.sort_unstable();
        Cow::Owned(names.join(&b';'))
    }
}

fn is_lower_token(name: &[u8]) -> bool {
    is_token(name) && !name.iter().any(u8::is_ascii_uppercase)
}

/// Whether a byte is in hardly any header's name, though it may be.
fn is_rare(byte: u8) -> bool {
    let is_letter = byte.wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    !(is_letter | is_digit | (byte == b'-') | (byte == b';'))
}

/// Names are compared with one another and with each header, so their number is bounded.
const MOST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_token_in_lower_case() {
        for byte in 0..=b'\x7f' {
            let text = ["a".as_bytes(), &[byte], b"b"].concat();
            // RFC 9110, 5.6.2; the semicolon stands between two names.
            let is_in_token = byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || b"!#$%&'*+-.^_`|~;".contains(&byte);
            let names = SignedNames::new(Place::Header, Text::ascii(&text));
            assert_eq!(names.is_ok(), is_in_token, "{}", text.escape_ascii());
            let text = [byte];
            let names = SignedNames::new(Place::Header, Text::ascii(&text));
            assert_eq!(names.is_ok(), is_in_token && byte != b';', "{}", text.escape_ascii());
        }
    }
}
