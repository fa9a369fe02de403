//! What travels behind the chunks.

use std::borrow::Cow;

use super::{Checksum, Checksums, chunks::SIGNATURE};
use crate::{
    head::{is_token, trim_blanks},
    sha256,
    verify::{Error, Place, Refusal},
};

/// The trailers of a body that was verified: each name in lower case, with its value.
///
/// ```
/// use countersign::chunked::Trailers;
///
/// let none = Trailers::default();
/// assert!(none.is_empty());
/// assert_eq!(none.get("x-amz-checksum-crc32"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailers {
    pairs: Vec<(String, Vec<u8>)>,
}

impl Trailers {
    /// The value of a trailer, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there are none: as of each body that is not in chunks.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// The trailers that a request declares, and what came of them.
pub(super) struct Declared {
    /// Sorted by name.
    trailers: Vec<Trailer>,
}

struct Trailer {
    /// In lower case.
    name: String,
    /// What the value is compared with; `None` if the trailer's signature alone vouches for it.
    checksum: Option<Box<dyn Checksum>>,
    value: Option<Vec<u8>>,
}

impl Declared {
    /// Reads the value of `x-amz-trailer`. Of trailers that are not signed each must be a checksum: nothing
    /// else would vouch for them.
    pub(super) fn parse(
        names: &[u8],
        checksums: Option<Checksums>,
        are_signed: bool,
    ) -> Result<Declared, Error> {
        let mut trailers: Vec<Trailer> = Vec::new();
        for name in names.split(|&byte| byte == b',') {
            let name = name.trim_ascii();
            if !is_token(name) || name.eq_ignore_ascii_case(SIGNATURE.as_bytes()) {
                return Err(malformed("x-amz-trailer holds what is no name of a trailer"));
            }
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if trailers.len() == MOST_TRAILERS {
                return Err(malformed("x-amz-trailer names more trailers than any request has"));
            }
            if trailers.iter().any(|other| other.name == name) {
                return Err(malformed(format!("x-amz-trailer names `{name}` twice")));
            }
            let checksum = checksums.and_then(|by_name| by_name(&name));
            let is_needed = !are_signed || name.starts_with(CHECKSUM);
            if checksum.is_none() && is_needed {
                return Err(unsupported(&name));
            }
            trailers.push(Trailer { name, checksum, value: None });
        }
        trailers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Declared { trailers })
    }

    /// Takes the next piece of the decoded body.
    pub(super) fn update(&mut self, data: &[u8]) {
        for checksum in self.trailers.iter_mut().filter_map(|trailer| trailer.checksum.as_mut()) {
            checksum.update(data);
        }
    }

    /// Takes the line of a trailer, without its end.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), Cow<'static, str>> {
        let (name, value) = split(line)?;
        let mut trailers = self.trailers.iter_mut();
        let Some(trailer) = trailers.find(|known| name.eq_ignore_ascii_case(known.name.as_bytes()))
        else {
            let name = name.escape_ascii();
            return Err(format!("holds `{name}`, which x-amz-trailer does not name").into());
        };
        let name = &trailer.name;
        // As the value of a header.
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(format!("holds a `{name}` with a control byte").into());
        }
        match trailer.value.replace(value.to_vec()) {
            None => Ok(()),
            Some(_) => Err(format!("holds `{name}` twice").into()),
        }
    }

    /// The name of a trailer that is declared and did not come.
    pub(super) fn missing(&self) -> Option<&str> {
        self.trailers.iter().find(|trailer| trailer.value.is_none()).map(|trailer| &*trailer.name)
    }

    /// The hash of the lines, as the trailer's signature has it.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut lines = Vec::new();
        for Trailer { name, value, .. } in &self.trailers {
            let value = value.as_deref().unwrap_or_default();
            for part in [name.as_bytes(), b":", value, b"\n"] {
                lines.extend_from_slice(part);
            }
        }
        sha256::digest(&lines)
    }

    /// The name of a checksum that is not the one of what came.
    pub(super) fn differing(&self) -> Option<&str> {
        let mut expected = Vec::new();
        let differs = |trailer: &&Trailer| {
            trailer.checksum.as_ref().is_some_and(|checksum| {
                expected.clear();
                checksum.write(&mut expected);
                trailer.value.as_deref() != Some(&expected[..])
            })
        };
        self.trailers.iter().find(differs).map(|trailer| &*trailer.name)
    }

    pub(super) fn into_trailers(self) -> Trailers {
        let pairs = self.trailers.into_iter();
        let pairs = pairs.filter_map(|trailer| Some((trailer.name, trailer.value?)));
        Trailers { pairs: pairs.collect() }
    }
}

/// The signature of a trailer, if this is the line that holds it.
pub(super) fn signature(line: &[u8]) -> Option<&[u8]> {
    let (name, value) = split(line).ok()?;
    name.eq_ignore_ascii_case(SIGNATURE.as_bytes()).then_some(value)
}

/// Splits a line at its first colon; blanks around the value are no part of it.
fn split(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or("holds a line without a colon")?;
    Ok((&line[..colon], trim_blanks(&line[colon + 1..])))
}

fn malformed(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Refusal::MalformedTrailer, Place::Header, message)
}

fn unsupported(name: &str) -> Error {
    let message = if name.starts_with(CHECKSUM) {
        format!(
            "the request declares the trailer `{name}`, and this verifier has no such checksum: set \
             one that has with Verifier::with_checksums"
        )
    } else {
        format!(
            "the request declares the trailer `{name}`, for which neither a signature nor a checksum \
             vouches"
        )
    };
    Error::new(Refusal::UnsupportedPayload, Place::Header, message)
}

const CHECKSUM: &str = "x-amz-checksum-";

/// Names are compared with one another and with each line, so their number is bounded.
const MOST_TRAILERS: usize = 16;

/// How long a line of a trailer may be, its end included.
pub(super) const LONGEST_LINE: usize = 2048;
