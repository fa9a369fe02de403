//! A form as a server receives it.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use super::{FILENAME, LONGEST_FORM};
use crate::verify::{Error, Place, Refusal};

/// A form as a server received it, up to the file.
///
/// ```
/// use countersign::post::Received;
///
/// let fields: [(&[u8], &[u8]); 2] = [(b"key", b"user/${filename}"), (b"policy", b"eyJ9")];
/// let received = Received::new("bucket", &fields).with_file_name(b"cat.jpg");
/// # let _ = received;
/// ```
///
/// `Debug` shows the names of fields but no values.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    pub(super) bucket: &'a str,
    fields: &'a [(&'a [u8], &'a [u8])],
    pub(super) file_name: &'a [u8],
}

impl<'a> Received<'a> {
    /// A form that was sent to a bucket: names and values of its fields in the order of their arrival,
    /// up to the field `file`. S3 does not look at what comes behind that, and nor should a server.
    pub fn new(bucket: &'a str, fields: &'a [(&'a [u8], &'a [u8])]) -> Received<'a> {
        Received { bucket, fields, file_name: b"" }
    }

    /// The name of the file, as its part of the form has it; `${filename}` in a field's value stands
    /// for what of it comes behind the last `/` or `\`.
    #[must_use]
    pub fn with_file_name(self, name: &'a [u8]) -> Received<'a> {
        let end = name.iter().rposition(|byte| matches!(byte, b'/' | b'\\'));
        Received { file_name: &name[end.map_or(0, |at| at + 1)..], ..self }
    }

    /// The fields by their names in lower case.
    pub(super) fn by_name(self) -> Result<ByName<&'a [u8]>, Error> {
        let len: usize = self.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        if len > LONGEST_FORM {
            return Err(too_long());
        }
        let mut by_name = ByName::new();
        for (name, value) in self.fields {
            if by_name.insert(name.to_ascii_lowercase(), *value).is_some() {
                return Err(refuse(
                    Refusal::Ambiguous,
                    format!("the form has two fields `{}`", name.escape_ascii()),
                ));
            }
        }
        Ok(by_name)
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.fields.iter().map(|(name, _)| name.escape_ascii().to_string());
        f.debug_struct("Received")
            .field("bucket", &self.bucket)
            .field("fields", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The values of fields by their names in lower case.
pub(super) type ByName<V> = BTreeMap<Vec<u8>, V>;

/// The fields with the file's name in the values that ask for it.
pub(super) fn expand<'a>(
    fields: ByName<&'a [u8]>,
    file_name: &[u8],
) -> Result<ByName<Cow<'a, [u8]>>, Error> {
    let mut room = LONGEST_FORM;
    let mut expand = |(name, value): (Vec<u8>, &'a [u8])| {
        let is_of_signature = str::from_utf8(&name).is_ok_and(is_of_signature);
        let count = if is_of_signature { 0 } else { places(value).count() };
        if count == 0 {
            return Ok((name, Cow::Borrowed(value)));
        }
        // Before it is made, since few bytes can ask for many.
        let len = value.len() - count * FILENAME.len() + count * file_name.len();
        room = room.checked_sub(len).ok_or_else(too_long)?;
        let mut expanded = Vec::with_capacity(len);
        let mut from = 0;
        for at in places(value) {
            expanded.extend_from_slice(&value[from..at]);
            expanded.extend_from_slice(file_name);
            from = at + FILENAME.len();
        }
        expanded.extend_from_slice(&value[from..]);
        Ok((name, Cow::Owned(expanded)))
    };
    fields.into_iter().map(&mut expand).collect()
}

/// Where the file's name is asked for.
fn places(value: &[u8]) -> impl Iterator<Item = usize> {
    value
        .windows(FILENAME.len())
        .enumerate()
        .filter(|(_, window)| *window == FILENAME.as_bytes())
        .map(|(at, _)| at)
}

/// Whether signing writes the field.
pub(super) fn is_of_signature(name: &str) -> bool {
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    [
        "policy",
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-signature",
    ]
    .iter()
    .any(is)
}

/// Whether a form may have the field without a condition on it.
pub(super) fn is_exempt(name: &str) -> bool {
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    ["file", "policy", "x-amz-signature"].iter().any(is)
        || name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("x-ignore-"))
}

pub(super) fn refuse(refusal: Refusal, message: impl Into<Cow<'static, str>>) -> Error {
    // S3 names the faults of a form's credential as those of a query's.
    Error::new(refusal, Place::Query, message)
}

fn too_long() -> Error {
    refuse(
        Refusal::FormTooLong,
        "Your POST request fields preceding the upload file were too large.",
    )
}
