//! An answer as JSON, written field by field: a tree of values would cost more than the signature.

use std::{borrow::Cow, str};

use serde_json::value::RawValue;

/// A line with one object, to whose end fields are appended.
pub(super) struct Object<'o>(&'o mut Vec<u8>);

impl<'o> Object<'o> {
    /// An object with its id, which is as it was written.
    pub(super) fn begin(id: Option<&RawValue>, out: &'o mut Vec<u8>) -> Object<'o> {
        out.extend_from_slice(b"{\"id\":");
        out.extend_from_slice(id.map_or("null", RawValue::get).as_bytes());
        Object(out)
    }

    /// A field with what may be text.
    pub(super) fn field(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        write_text(value, self.0);
    }

    /// A field with pairs of what may be text.
    pub(super) fn pairs<'p>(
        &mut self,
        name: &'static str,
        pairs: impl Iterator<Item = (&'p [u8], &'p [u8])>,
    ) {
        self.name(name);
        self.0.push(b'[');
        for (at, (name, value)) in pairs.enumerate() {
            self.0.extend_from_slice(if at > 0 { b",[" } else { b"[" });
            write_text(name, self.0);
            self.0.push(b',');
            write_text(value, self.0);
            self.0.push(b']');
        }
        self.0.push(b']');
    }

    /// Fields that are JSON already: an object, of which the first brace is left away.
    pub(super) fn fields_of(&mut self, object: &[u8]) {
        self.0.push(b',');
        self.0.extend_from_slice(&object[1..object.len() - 1]);
    }

    pub(super) fn end(self) {
        self.0.extend_from_slice(b"}\n");
    }

    fn name(&mut self, name: &'static str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

/// Appends text as JSON. What is no UTF-8 becomes U+FFFD.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let text = str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text), Cow::Borrowed);
    out.push(b'"');
    // Little is escaped in what is signed but the ends of lines.
    for (at, line) in text.split('\n').enumerate() {
        out.extend_from_slice(if at > 0 { b"\\n" } else { b"" });
        // Without a branch, so that many bytes are looked at at once.
        let is_escaped = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
        if line.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
            let json = serde_json::to_string(line).expect("text is JSON");
            out.extend_from_slice(&json.as_bytes()[1..json.len() - 1]);
        } else {
            out.extend_from_slice(line.as_bytes());
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_written_as_serde_json_writes_it(text in "(\\PC|[\0-\x20\"\\\\\n\x7f])*") {
            let mut out = Vec::new();
            write_text(text.as_bytes(), &mut out);
            prop_assert_eq!(out, serde_json::to_vec(&text).expect("text is JSON"));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut out = Vec::new();
        write_text(b"a\xff\n", &mut out);
        assert_eq!(out, "\"a\u{fffd}\\n\"".as_bytes());
    }
}
