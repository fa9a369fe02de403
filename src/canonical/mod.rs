//! The canonical request: the one text over which a client and AWS must agree byte for byte.
//!
//! There is one writer, and both who sign and who verify call it, so what is signed and what is
//! accepted cannot drift apart. They differ in which headers they choose ([`Lines`]) and in which part
//! of the query they leave out.

mod encode;
mod headers;
mod path;
pub(crate) mod query;
mod scratch;

use std::ops::Range;

pub(crate) use headers::{Lines, Name};
pub(crate) use path::{PathForm, normalize};
pub use scratch::Scratch;
pub(crate) use scratch::{Buffers, Spare, room, room_for_text};

use crate::{Algorithm, Error, ErrorKind, Head, Rules, Timestamp, head::is_token};

/// What goes into a canonical request.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) query: &'a [u8],
    /// Parameters of the signature's own, in canonical form but for their order.
    pub(crate) own_query: &'a [u8],
    /// Which parameters of the query are no part of what is signed, by their canonical names.
    pub(crate) leave_out: fn(&[u8]) -> bool,
    pub(crate) lines: &'a Lines<'a>,
    /// The names of the lines, if they are at hand as [`Lines::write_names`] writes them.
    pub(crate) names: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
    pub(crate) rules: Rules,
    pub(crate) path_form: PathForm,
}

/// Where the parts of a canonical request stand in the buffer that it was written to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) path: Range<usize>,
    pub(crate) query: Range<usize>,
    pub(crate) headers: Range<usize>,
    pub(crate) signed_headers: Range<usize>,
    pub(crate) end: usize,
    /// Whether parameters of the query were left out.
    pub(crate) left_out: bool,
}

impl Request<'_> {
    /// An upper bound on what [`Request::write`] appends.
    pub(crate) fn bound(&self) -> usize {
        // Each byte of path and query can become three, each query piece can gain a `=`.
        self.method.len()
            + 3 * self.path.len()
            + 4 * self.query.len()
            + self.own_query.len()
            + self.lines.bound()
            + self.payload.len()
            + 8
    }

    /// Appends the canonical request to an empty `out`, in which there is [room](Request::bound).
    pub(crate) fn write(&self, out: &mut Vec<u8>, spare: &mut Spare) -> Result<Layout, Error> {
        check_method(self.method)?;
        let mut layout = Layout::default();
        out.extend_from_slice(self.method);
        out.push(b'\n');
        layout.path = part(out, |out| {
            path::write(self.path, self.path_form, self.rules, &mut spare.bytes, out)
        })?;
        layout.query = part(out, |out| {
            layout.left_out = query::write(self.query, self.own_query, self.leave_out, spare, out)?;
            Ok(())
        })?;
        let names = match self.names {
            Some(names) => names,
            None => {
                room(&mut spare.bytes, self.lines.bound());
                self.lines.write_names(&mut spare.bytes);
                &spare.bytes
            }
        };
        layout.headers = part(out, |out| {
            self.lines.write(names, out);
            Ok(())
        })?;
        layout.signed_headers = part(out, |out| {
            out.extend_from_slice(names);
            Ok(())
        })?;
        out.extend_from_slice(self.payload);
        layout.end = out.len();
        Ok(layout)
    }
}

/// Appends a string to sign but for its last line, the hash of the request, and tells where its scope stands.
pub(crate) fn begin_string_to_sign(
    algorithm: Algorithm,
    at: Timestamp,
    write_scope: impl FnOnce(&mut Vec<u8>),
    text: &mut Vec<u8>,
) -> Range<usize> {
    text.extend_from_slice(algorithm.as_str().as_bytes());
    text.push(b'\n');
    text.extend_from_slice(at.as_bytes());
    text.push(b'\n');
    let start = text.len();
    write_scope(text);
    let end = text.len();
    text.push(b'\n');
    start..end
}

/// Appends a path in canonical form, as it stands in the canonical request.
pub(crate) fn write_path(
    path: &[u8],
    rules: Rules,
    spare: &mut Spare,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    path::write(path, PathForm::Canonical, rules, &mut spare.bytes, out)
}

/// Appends the name of an object, or of a part of it, as the path of a URL spells it.
pub(crate) fn encode_path(name: &str, out: &mut Vec<u8>) {
    encode::write_path(name.as_bytes(), out);
}

/// Whether a canonical request can be written of method, path and query: what [`Request::write`] finds wrong with
/// them, without writing it.
pub(crate) fn check_request_line(head: Head<'_>, rules: Rules) -> Result<(), Error> {
    check_method(head.method)?;
    path::check(head.path, rules)?;
    query::check_escapes(head.query.unwrap_or_default())
}

fn check_method(method: &[u8]) -> Result<(), Error> {
    if is_token(method) {
        return Ok(());
    }
    let message = format!("the method `{}` is not a token", method.escape_ascii());
    Err(Error::new(ErrorKind::InvalidMethod, message))
}

/// Appends one part and the line's end behind it.
fn part(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>,
) -> Result<Range<usize>, Error> {
    let start = out.len();
    write(out)?;
    let end = out.len();
    out.push(b'\n');
    Ok(start..end)
}
