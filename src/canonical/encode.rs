//! Percent-encoding as Signature Version 4 wants it: everything but `A–Z a–z 0–9 - . _ ~`, upper case.

use crate::bytes::{any, find};

/// Appends `text`, each byte encoded that is neither unreserved nor `/`.
pub(super) fn write_path(text: &[u8], out: &mut Vec<u8>) {
    write(text, UNRESERVED | SLASH, out);
}

/// Appends `text`, each byte encoded that is not unreserved.
pub(super) fn write_component(text: &[u8], out: &mut Vec<u8>) {
    write(text, UNRESERVED, out);
}

/// Whether each byte stands for itself in a path, which is told of many bytes at once.
pub(super) fn is_plain_path(text: &[u8]) -> bool {
    let is_letter = |byte: u8| (byte | 0x20).wrapping_sub(b'a') < 26;
    // The slash is between the dot and the digits.
    let is_other = |byte: u8| byte.wrapping_sub(b'-') <= b'9' - b'-';
    let is_mark = |byte: u8| (byte == b'_') | (byte == b'~');
    !any(text, |byte| !(is_letter(byte) | is_other(byte) | is_mark(byte)))
}

/// Text whose escapes are decoded and then encoded anew, from its start to its end.
///
/// What is in that form already is copied in long pieces.
pub(super) struct Recoder<'a, 'o> {
    text: &'a [u8],
    /// How much of the text was read.
    at: usize,
    /// How much of it stands in `out`; what was read behind that stays as it is.
    copied: usize,
    decoding: Decoding,
    out: &'o mut Vec<u8>,
}

/// A place in the text and where it comes to stand.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) text: usize,
    pub(super) out: usize,
}

impl<'a, 'o> Recoder<'a, 'o> {
    pub(super) fn new(text: &'a [u8], decoding: Decoding, out: &'o mut Vec<u8>) -> Self {
        Recoder { text, at: 0, copied: 0, decoding, out }
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place {
        Place { text: self.at, out: self.out.len() + self.at - self.copied }
    }

    /// The next byte, unless it is at the end.
    pub(super) fn next(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Leaves the next byte as it is.
    pub(super) fn keep(&mut self) {
        self.at += 1;
    }

    /// Goes on behind the first byte of class `end`, whatever stands before it.
    pub(super) fn skip(&mut self, end: Class) {
        let rest = &self.text[self.at..];
        let is_end = |byte: &u8| CLASSES[usize::from(*byte)] & end != 0;
        self.at += rest.iter().position(is_end).map_or(rest.len(), |at| at + 1);
    }

    /// Goes on to the first byte of class `end`.
    ///
    /// # Errors
    /// Where a `%` stands that has no two hexadecimal digits behind it.
    #[inline]
    pub(super) fn recode(&mut self, as_is: Class, end: Class) -> Result<(), usize> {
        let mut rest = &self.text[self.at..];
        loop {
            rest = behind_run(rest, as_is);
            rest = match *rest {
                [b'%', high, low, ref behind @ ..] if is_canonical(high, low, as_is) => behind,
                [] => {
                    self.at = self.text.len();
                    return Ok(());
                }
                [byte, ..] => {
                    self.at = self.text.len() - rest.len();
                    if CLASSES[usize::from(byte)] & end != 0 {
                        return Ok(());
                    }
                    self.write_next(as_is)?;
                    &self.text[self.at..]
                }
            };
        }
    }

    /// Decodes and encodes the next byte or escape, which is not in canonical form.
    fn write_next(&mut self, as_is: Class) -> Result<(), usize> {
        let (byte, len) = match self.text[self.at..] {
            [b'%', ref behind @ ..] => match escape(behind) {
                Some(byte) => (byte, 3),
                None if self.decoding.malformed_is_itself => (b'%', 1),
                None => return Err(self.at),
            },
            [b'+', ..] if self.decoding.plus_is_space => (b' ', 1),
            [byte, ..] => (byte, 1),
            [] => return Ok(()),
        };
        self.copy();
        put(byte, as_is, self.out);
        self.at += len;
        self.copied = self.at;
        Ok(())
    }

    /// Writes what was not there.
    pub(super) fn put(&mut self, byte: u8) {
        self.copy();
        self.out.push(byte);
    }

    /// What was read and written since it was at `place`.
    pub(super) fn since(&mut self, place: Place) -> &[u8] {
        if self.copied <= place.text {
            return &self.text[place.text..self.at];
        }
        self.copy();
        &self.out[place.out..]
    }

    /// Leaves out what was read since it was at `place`.
    pub(super) fn leave_out(&mut self, place: Place) {
        let before = self.text.get(self.copied..place.text).unwrap_or_default();
        self.out.extend_from_slice(before);
        self.out.truncate(place.out);
        self.copied = self.at;
    }

    /// Copies what was read.
    pub(super) fn copy(&mut self) {
        self.out.extend_from_slice(&self.text[self.copied..self.at]);
        self.copied = self.at;
    }
}

/// Where the first `%` stands that has no two hexadecimal digits behind it.
pub(super) fn malformed_escape(text: &[u8]) -> Option<usize> {
    if !any(text, |byte| byte == b'%') {
        return None;
    }
    let mut at = 0;
    loop {
        at += find(&text[at..], b'%')?;
        if escape(&text[at + 1..]).is_none() {
            return Some(at);
        }
        at += 3;
    }
}

/// How escapes are read.
#[derive(Clone, Copy)]
pub(super) struct Decoding {
    pub(super) plus_is_space: bool,
    /// Whether a `%` without two hexadecimal digits behind it stands for itself or is an error.
    pub(super) malformed_is_itself: bool,
}

/// A set of bytes, as bits in [`CLASSES`].
pub(super) type Class = u8;

/// The bytes that stand for themselves everywhere.
pub(super) const UNRESERVED: Class = 1;

/// `/`, which stands for itself in a path.
pub(super) const SLASH: Class = 2;

/// `&`, behind which a query's next piece begins.
pub(super) const AMPERSAND: Class = 4;

/// `=`, which stands between a name and its value.
pub(super) const EQUALS: Class = 8;

fn write(text: &[u8], as_is: Class, out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let behind = behind_run(rest, as_is);
        out.extend_from_slice(&rest[..rest.len() - behind.len()]);
        let Some((&byte, behind)) = behind.split_first() else {
            return;
        };
        put(byte, as_is, out);
        rest = behind;
    }
}

/// What is left of `text` behind a start in which each byte stands for itself.
#[inline]
fn behind_run(mut text: &[u8], as_is: Class) -> &[u8] {
    let class = |byte: &u8| CLASSES[usize::from(*byte)];
    while let Some((four, behind)) = text.split_first_chunk::<4>()
        && four.iter().fold(as_is, |all, byte| all & class(byte)) != 0
    {
        text = behind;
    }
    while let Some((byte, behind)) = text.split_first()
        && class(byte) & as_is != 0
    {
        text = behind;
    }
    text
}

/// Whether these two digits behind a `%` are those of a byte that has to be encoded, in upper case.
fn is_canonical(high: u8, low: u8, as_is: Class) -> bool {
    let [high, low] = [high, low].map(|digit| UPPER_DIGITS[usize::from(digit)]);
    high | low < 16 && CLASSES[usize::from(high << 4 | low)] & as_is == 0
}

fn put(byte: u8, as_is: Class, out: &mut Vec<u8>) {
    if CLASSES[usize::from(byte)] & as_is == 0 {
        let digit = |four_bits: u8| b"0123456789ABCDEF"[usize::from(four_bits)];
        out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
    } else {
        out.push(byte);
    }
}

/// The byte that the two digits behind a `%` spell.
fn escape(behind: &[u8]) -> Option<u8> {
    let [high, low] = *behind.first_chunk()?;
    let (high, low) = (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
    (high | low < 16).then_some(high << 4 | low)
}

/// What each hexadecimal digit is worth; all other bytes more than any.
const DIGITS: [u8; 256] = {
    let mut digits = UPPER_DIGITS;
    let mut letter = b'a';
    while letter <= b'f' {
        digits[letter as usize] = letter - b'a' + 10;
        letter += 1;
    }
    digits
};

/// The same without the letters in lower case.
const UPPER_DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

const CLASSES: [Class; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let char = byte as u8;
        if char.is_ascii_alphanumeric() || matches!(char, b'-' | b'.' | b'_' | b'~') {
            classes[byte] = UNRESERVED;
        }
        byte += 1;
    }
    classes[b'/' as usize] = SLASH;
    classes[b'&' as usize] = AMPERSAND;
    classes[b'=' as usize] = EQUALS;
    classes
};

#[cfg(test)]
mod tests {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode, percent_encode_byte};

    use super::*;

    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

    #[test]
    fn every_byte_is_encoded_as_the_percent_encoding_crate_does() {
        for byte in 0..=255 {
            let mut out = Vec::new();
            write_component(&[byte], &mut out);
            let expected = percent_encode(&[byte], &RESERVED).to_string();
            assert_eq!(out, expected.as_bytes(), "byte {byte}");
        }
    }

    #[test]
    fn a_plain_path_is_written_as_it_is() {
        for byte in 0..=255 {
            for before in [&b""[..], b"/a-path/of.some_length/~that/is/0/1/2"] {
                let text = [before, &[byte]].concat();
                let mut out = Vec::new();
                write_path(&text, &mut out);
                assert_eq!(is_plain_path(&text), out == text, "byte {byte}");
            }
        }
    }

    #[test]
    fn every_escape_decodes_to_its_byte_in_either_case() {
        for byte in 0..=255 {
            let upper = percent_encode_byte(byte);
            for text in [upper.to_owned(), upper.to_lowercase()] {
                assert_eq!(escape(&text.as_bytes()[1..]), Some(byte), "{text}");
            }
        }
        for text in ["", "4", "4g", "g4", "+4", " 4"] {
            assert_eq!(escape(text.as_bytes()), None, "{text}");
        }
    }
}
