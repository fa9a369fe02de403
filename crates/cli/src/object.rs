//! JSON objects, written field by field: a tree of values would cost more than a signature.

use serde_json::value::RawValue;

/// An object to whose end fields are appended.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    /// An object without fields.
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out, is_empty: true }
    }

    /// The answer to a line with this id, which comes back as it was written.
    pub(crate) fn begin_with_id(id: Option<&RawValue>, out: &'o mut Vec<u8>) -> Object<'o> {
        let mut object = Object::begin(out);
        object.name("id");
        object.out.extend_from_slice(id.map_or("null", RawValue::get).as_bytes());
        object
    }

    /// A field with what may be text.
    pub(crate) fn field(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        write_text(value, self.out);
    }

    /// A field with pairs of what may be text.
    pub(crate) fn pairs<'p>(
        &mut self,
        name: &'static str,
        pairs: impl Iterator<Item = (&'p [u8], &'p [u8])>,
    ) {
        self.name(name);
        self.out.push(b'[');
        for (at, (name, value)) in pairs.enumerate() {
            self.out.extend_from_slice(if at > 0 { b",[" } else { b"[" });
            write_text(name, self.out);
            self.out.push(b',');
            write_text(value, self.out);
            self.out.push(b']');
        }
        self.out.push(b']');
    }

    /// Fields that are JSON already: an object, of which the braces are left away.
    pub(crate) fn fields_of(&mut self, object: &[u8]) {
        self.separate();
        self.out.extend_from_slice(&object[1..object.len() - 1]);
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &'static str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn separate(&mut self) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
    }
}

/// Appends text as JSON. What is no UTF-8 becomes U+FFFD.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (plain, behind) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        rest = match behind {
            [] => break,
            // Little else is escaped in what is signed.
            [b'\n', behind @ ..] => {
                out.extend_from_slice(b"\\n");
                behind
            }
            _ => {
                let json = serde_json::to_string(&String::from_utf8_lossy(behind));
                let json = json.expect("text is JSON");
                out.extend_from_slice(&json.as_bytes()[1..json.len() - 1]);
                break;
            }
        };
    }
    out.push(b'"');
}

/// How long the start of `text` is that stands in JSON as it is, told of 16 bytes at once: ASCII but for
/// control characters, quotes and backslashes.
fn plain_len(text: &[u8]) -> usize {
    let is_odd = |byte: u8| {
        let is_visible = byte.wrapping_sub(b' ') < 0x80 - b' ';
        !is_visible | (byte == b'"') | (byte == b'\\')
    };
    let first_odd = |sixteen: &[u8; 16]| {
        // All bits of each byte that is odd; the first one is the lowest.
        let odd = sixteen.map(|byte| u8::from(is_odd(byte)).wrapping_neg());
        let odd = u128::from_le_bytes(odd);
        (odd != 0).then(|| odd.trailing_zeros() as usize / 8)
    };
    let Some(last) = text.last_chunk() else {
        return text.iter().position(|&byte| is_odd(byte)).unwrap_or(text.len());
    };
    for (at, sixteen) in text.as_chunks().0.iter().enumerate() {
        if let Some(place) = first_odd(sixteen) {
            return 16 * at + place;
        }
    }
    // These overlap with those before, of which none is odd.
    first_odd(last).map_or(text.len(), |place| text.len() - 16 + place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_written_as_serde_json_writes_it(text in "([ -~]{0,40}(\\PC|[\0-\x20\"\\\\\n\x7f]))*") {
            let mut out = Vec::new();
            write_text(text.as_bytes(), &mut out);
            prop_assert_eq!(out, serde_json::to_vec(&text).expect("text is JSON"));
        }
    }

    #[test]
    fn what_is_escaped_is_found_wherever_it_stands() {
        for len in 0..70 {
            assert_eq!(plain_len(&vec![b'a'; len]), len);
            for at in 0..len {
                for odd in *b"\"\\\n\0\x1f\x80\xff" {
                    let mut text = vec![b'~'; len];
                    text[at..].fill(odd);
                    assert_eq!(plain_len(&text), at, "{odd} in {len}");
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut out = Vec::new();
        write_text(b"a\xff\n", &mut out);
        assert_eq!(out, "\"a\u{fffd}\\n\"".as_bytes());
    }
}
