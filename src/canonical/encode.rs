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

/// Appends `text`, its escapes decoded and then encoded anew, up to the first byte of class `end`; what is
/// left, that byte first.
///
/// # Errors
/// What begins with a `%` that has no two hexadecimal digits behind it.
pub(super) fn write_recoded<'a>(
    text: &'a [u8],
    as_is: Class,
    end: Class,
    decoding: Decoding,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], &'a [u8]> {
    let mut rest = text;
    loop {
        let (canonical, behind) = rest.split_at(canonical_run(rest, as_is));
        out.extend_from_slice(canonical);
        rest = behind;
        let Some((&byte, behind)) = rest.split_first() else { return Ok(rest) };
        rest = match byte {
            b'%' => match escape(behind) {
                Some(byte) => {
                    put(byte, as_is, out);
                    &behind[2..]
                }
                None if decoding.malformed_is_itself => {
                    put(b'%', as_is, out);
                    behind
                }
                None => return Err(rest),
            },
            byte if CLASSES[usize::from(byte)] & end != 0 => return Ok(rest),
            b'+' if decoding.plus_is_space => {
                put(b' ', as_is, out);
                behind
            }
            byte => {
                put(byte, as_is, out);
                behind
            }
        };
    }
}

/// Whether each byte stands for itself in a path, which is told of many bytes at once.
pub(super) fn is_plain_path(text: &[u8]) -> bool {
    let is_letter = |byte: u8| (byte | 0x20).wrapping_sub(b'a') < 26;
    // The slash is between the dot and the digits.
    let is_other = |byte: u8| byte.wrapping_sub(b'-') <= b'9' - b'-';
    let is_mark = |byte: u8| (byte == b'_') | (byte == b'~');
    !any(text, |byte| !(is_letter(byte) | is_other(byte) | is_mark(byte)))
}

/// Whether each byte stands for itself in a query.
pub(super) fn is_unreserved(text: &[u8]) -> bool {
    text.iter().all(|&byte| CLASSES[usize::from(byte)] & UNRESERVED != 0)
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
        let (same, behind) = rest.split_at(run(rest, as_is));
        out.extend_from_slice(same);
        let Some((&byte, behind)) = behind.split_first() else {
            return;
        };
        put(byte, as_is, out);
        rest = behind;
    }
}

/// How long the start of `text` is in which each byte stands for itself.
fn run(text: &[u8], as_is: Class) -> usize {
    let is_other = |byte: &u8| CLASSES[usize::from(*byte)] & as_is == 0;
    text.iter().position(is_other).unwrap_or(text.len())
}

/// How long the start of `text` is that is the same when it is decoded and encoded anew.
fn canonical_run(text: &[u8], as_is: Class) -> usize {
    let mut end = 0;
    loop {
        end += run(&text[end..], as_is);
        match text[end..] {
            [b'%', high, low, ..] if is_canonical(high, low, as_is) => end += 3,
            _ => return end,
        }
    }
}

/// Whether these two digits behind a `%` are those of a byte that has to be encoded, in upper case.
fn is_canonical(high: u8, low: u8, as_is: Class) -> bool {
    let is_lower = high.is_ascii_lowercase() || low.is_ascii_lowercase();
    !is_lower && escape(&[high, low]).is_some_and(|byte| CLASSES[usize::from(byte)] & as_is == 0)
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
    let mut digits = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value];
        digits[digit as usize] = value as u8;
        digits[digit.to_ascii_uppercase() as usize] = value as u8;
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
