//! One message of an event stream: headers with types, and a payload.

use std::{borrow::Cow, error, fmt, iter, str};

use crc32fast::Hasher;

/// A message of an event stream: headers and a payload, borrowed from the bytes that they were read
/// from.
///
/// On the wire it is the lengths of the whole and of the headers with a checksum over both (the
/// *prelude*), the headers, the payload, and a checksum over all before.
///
/// ```
/// use countersign::eventstream::{Message, Value};
///
/// let mut wire = Vec::new();
/// Message::encode(&[(":message-type", Value::String("event"))], b"{}", &mut wire)?;
/// let message = Message::decode(&wire)?;
/// assert_eq!(message.header(":message-type"), Some(Value::String("event")));
/// assert_eq!(message.payload(), b"{}");
/// # Ok::<(), countersign::eventstream::MessageError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Read to the end once, so that each of them is whole.
    headers: &'a [u8],
    payload: &'a [u8],
}

/// The value of a header, of one of the types of the format.
///
/// ```
/// # use countersign::eventstream::Value;
/// assert_ne!(Value::Short(1), Value::Int(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    /// Yes or no (types 0 and 1).
    Bool(bool),
    /// Eight bits (type 2).
    Byte(i8),
    /// Sixteen bits (type 3).
    Short(i16),
    /// Thirty-two bits (type 4).
    Int(i32),
    /// Sixty-four bits (type 5).
    Long(i64),
    /// At most 32767 bytes (type 6).
    Bytes(&'a [u8]),
    /// Text of at most 32767 bytes (type 7).
    String(&'a str),
    /// Milliseconds since 1970, negative before (type 8).
    Timestamp(i64),
    /// The sixteen bytes of a UUID (type 9).
    Uuid([u8; 16]),
}

/// Why a message cannot be written or read: what was seen, and where.
///
/// ```
/// use countersign::eventstream::Message;
///
/// let error = Message::decode(b"no message").unwrap_err();
/// assert_eq!(error.to_string(), "10 bytes are no message, which takes 16 at least");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageError(Cow<'static, str>);

impl<'a> Message<'a> {
    /// Appends a message to `out`.
    ///
    /// # Errors
    /// A header's name is empty or longer than 255 bytes, a value is longer than 32767, the headers
    /// together are longer than 128 KiB or the message than 24 MiB; nothing is appended then.
    pub fn encode(
        headers: &[(&str, Value<'_>)],
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), MessageError> {
        let len = headers.iter().try_fold(0usize, |sum, &(name, value)| {
            check_header(name, value)?;
            Ok(sum.saturating_add(1 + name.len() + 1 + value.encoded_len()))
        })?;
        let head = Prelude::of(len, payload.len(), Limits::default())?.write();
        let start = out.len();
        out.reserve(PRELUDE + len + payload.len() + CHECKSUM);
        out.extend_from_slice(&head);
        for &(name, value) in headers {
            // Checked above: at most 255 bytes.
            out.push(name.len() as u8);
            out.extend_from_slice(name.as_bytes());
            value.write(out);
        }
        out.extend_from_slice(payload);
        let checksum = checksum(&out[start..], b"");
        out.extend_from_slice(&checksum);
        Ok(())
    }

    /// Reads one message that is here from its first byte to its last.
    ///
    /// What comes in pieces is read by a [`Decoder`](super::Decoder).
    ///
    /// # Errors
    /// The bytes are not one whole message, a checksum differs, or a header is malformed.
    pub fn decode(bytes: &'a [u8]) -> Result<Message<'a>, MessageError> {
        let Some((prelude, _)) = bytes.split_first_chunk::<PRELUDE>() else {
            return Err(too_short(bytes.len()));
        };
        let prelude = Prelude::read(prelude, Limits::default())?;
        if prelude.total != bytes.len() {
            return Err(error(format!(
                "the message says that it has {} bytes, and {} are here",
                prelude.total,
                bytes.len()
            )));
        }
        Message::checked(prelude, bytes)
    }

    /// The headers, in their order; names may repeat.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let mut rest = self.headers;
        iter::from_fn(move || {
            let (header, behind) = read_header(rest).ok()?;
            rest = behind;
            Some(header)
        })
    }

    /// The value of the first header with this name.
    pub fn header(&self, name: &str) -> Option<Value<'a>> {
        self.headers().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// What the message carries.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The message that lies in `bytes`, which are as many as its prelude says, if it is right.
    pub(super) fn checked(prelude: Prelude, bytes: &'a [u8]) -> Result<Message<'a>, MessageError> {
        let (covered, sum) = bytes.split_last_chunk().ok_or_else(|| too_short(bytes.len()))?;
        if checksum(covered, b"") != *sum {
            return Err(error("the checksum of the message is not that of its bytes"));
        }
        let message = Message::lying_in(prelude, bytes);
        let mut rest = message.headers;
        while !rest.is_empty() {
            (_, rest) = read_header(rest)?;
        }
        Ok(message)
    }

    /// The message that lies in `bytes` and was found right before.
    pub(super) fn lying_in(prelude: Prelude, bytes: &'a [u8]) -> Message<'a> {
        let inside = &bytes[PRELUDE..prelude.total - CHECKSUM];
        let (headers, payload) = inside.split_at(prelude.headers);
        Message { headers, payload }
    }
}

impl fmt::Debug for Message<'_> {
    /// Names and lengths: what a message carries is nobody's business here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("headers", &self.headers().map(|(name, _)| name).collect::<Vec<_>>())
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

impl Value<'_> {
    /// How many bytes it takes behind its type.
    fn encoded_len(self) -> usize {
        match self {
            Value::Bool(_) => 0,
            Value::Byte(_) => 1,
            Value::Short(_) => 2,
            Value::Int(_) => 4,
            Value::Long(_) | Value::Timestamp(_) => 8,
            Value::Bytes(bytes) => 2 + bytes.len(),
            Value::String(text) => 2 + text.len(),
            Value::Uuid(_) => 16,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, bytes: &[u8]| {
            out.push(kind);
            out.extend_from_slice(bytes);
        };
        match self {
            Value::Bool(true) => put(0, &[]),
            Value::Bool(false) => put(1, &[]),
            Value::Byte(number) => put(2, &number.to_be_bytes()),
            Value::Short(number) => put(3, &number.to_be_bytes()),
            Value::Int(number) => put(4, &number.to_be_bytes()),
            Value::Long(number) => put(5, &number.to_be_bytes()),
            Value::Timestamp(milliseconds) => put(8, &milliseconds.to_be_bytes()),
            Value::Uuid(bytes) => put(9, &bytes),
            // `check_header` saw to it that the length fits.
            Value::Bytes(bytes) => {
                put(6, &(bytes.len() as u16).to_be_bytes());
                out.extend_from_slice(bytes);
            }
            Value::String(text) => {
                put(7, &(text.len() as u16).to_be_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for MessageError {}

impl MessageError {
    /// The same, with where in a stream the message begins.
    pub(super) fn at(self, offset: u64) -> MessageError {
        error(format!("in the message that begins at byte {offset} of the stream: {self}"))
    }
}

/// How large a message may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) message: usize,
    pub(super) headers: usize,
}

impl Default for Limits {
    /// What AWS's own libraries take.
    fn default() -> Limits {
        Limits { message: 24 << 20, headers: 128 << 10 }
    }
}

/// The lengths that a message begins with.
#[derive(Clone, Copy)]
pub(super) struct Prelude {
    pub(super) total: usize,
    headers: usize,
}

impl Prelude {
    /// The prelude of a message with headers and a payload of these lengths.
    pub(super) fn of(
        headers: usize,
        payload: usize,
        limits: Limits,
    ) -> Result<Prelude, MessageError> {
        let total = headers.saturating_add(payload).saturating_add(PRELUDE + CHECKSUM);
        Prelude { total, headers }.within(limits)
    }

    pub(super) fn read(bytes: &[u8; PRELUDE], limits: Limits) -> Result<Prelude, MessageError> {
        let (words, _) = bytes.as_chunks::<4>();
        let [total, headers] = [words[0], words[1]].map(u32::from_be_bytes);
        if checksum(&bytes[..8], b"") != words[2] {
            return Err(error("the checksum of the prelude is not that of its bytes"));
        }
        // Both hold 32 bits, and nothing runs where a usize holds less.
        let (total, headers) = (total as usize, headers as usize);
        if total < PRELUDE + CHECKSUM || total - PRELUDE - CHECKSUM < headers {
            return Err(error(format!(
                "{headers} bytes of headers do not fit in a message of {total}"
            )));
        }
        Prelude { total, headers }.within(limits)
    }

    pub(super) fn write(self) -> [u8; PRELUDE] {
        let mut bytes = [0; PRELUDE];
        // `within` saw to it that both fit.
        bytes[..4].copy_from_slice(&(self.total as u32).to_be_bytes());
        bytes[4..8].copy_from_slice(&(self.headers as u32).to_be_bytes());
        let checksum = checksum(&bytes[..8], b"");
        bytes[8..].copy_from_slice(&checksum);
        bytes
    }

    fn within(self, limits: Limits) -> Result<Prelude, MessageError> {
        let most = limits.message.min(u32::MAX as usize);
        if self.headers > limits.headers {
            return Err(error(format!(
                "the headers have {} bytes, more than the {} allowed",
                self.headers, limits.headers
            )));
        }
        if self.total > most {
            return Err(error(format!(
                "the message has {} bytes, more than the {most} allowed",
                self.total
            )));
        }
        Ok(self)
    }
}

/// The checksum (CRC-32) of bytes that lie in two pieces.
pub(super) fn checksum(head: &[u8], payload: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize().to_be_bytes()
}

fn check_header(name: &str, value: Value<'_>) -> Result<(), MessageError> {
    if !(1..=LONGEST_NAME).contains(&name.len()) {
        return Err(error(format!(
            "the name of a header has {} bytes; it must have 1 to {LONGEST_NAME}",
            name.len()
        )));
    }
    let len = match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::String(text) => text.len(),
        _ => 0,
    };
    if len > LONGEST_VALUE {
        return Err(error(format!(
            "the value of the header `{}` has {len} bytes, more than the {LONGEST_VALUE} allowed",
            name.escape_debug()
        )));
    }
    Ok(())
}

/// The first header, and what is behind it.
fn read_header(bytes: &[u8]) -> Result<((&str, Value<'_>), &[u8]), MessageError> {
    let cut_short = || error("a header goes on behind the end of the headers");
    let (&len, rest) = bytes.split_first().ok_or_else(cut_short)?;
    if len == 0 {
        return Err(error("the name of a header is empty"));
    }
    let (name, rest) = rest.split_at_checked(usize::from(len)).ok_or_else(cut_short)?;
    let name = str::from_utf8(name).map_err(|_| {
        error(format!("the name of a header is not UTF-8: {}", name.escape_ascii()))
    })?;
    let (&kind, mut rest) = rest.split_first().ok_or_else(cut_short)?;
    let value = match kind {
        0 => Value::Bool(true),
        1 => Value::Bool(false),
        2 => Value::Byte(i8::from_be_bytes(*take(&mut rest).ok_or_else(cut_short)?)),
        3 => Value::Short(i16::from_be_bytes(*take(&mut rest).ok_or_else(cut_short)?)),
        4 => Value::Int(i32::from_be_bytes(*take(&mut rest).ok_or_else(cut_short)?)),
        5 => Value::Long(i64::from_be_bytes(*take(&mut rest).ok_or_else(cut_short)?)),
        6 => Value::Bytes(take_long(name, &mut rest)?.ok_or_else(cut_short)?),
        7 => {
            let text = take_long(name, &mut rest)?.ok_or_else(cut_short)?;
            Value::String(str::from_utf8(text).map_err(|_| {
                error(format!("the text of the header `{}` is not UTF-8", name.escape_debug()))
            })?)
        }
        8 => Value::Timestamp(i64::from_be_bytes(*take(&mut rest).ok_or_else(cut_short)?)),
        9 => Value::Uuid(*take(&mut rest).ok_or_else(cut_short)?),
        other => {
            return Err(error(format!(
                "the header `{}` is of type {other}, which does not exist",
                name.escape_debug()
            )));
        }
    };
    Ok(((name, value), rest))
}

/// A value of a fixed length.
fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (value, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(value)
}

/// A value with its length before it; `None` if it is not all there.
fn take_long<'a>(name: &str, rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, MessageError> {
    let Some(len) = take(rest).map(|len| usize::from(u16::from_be_bytes(*len))) else {
        return Ok(None);
    };
    if len > LONGEST_VALUE {
        return Err(error(format!(
            "the value of the header `{}` has {len} bytes, more than the {LONGEST_VALUE} allowed",
            name.escape_debug()
        )));
    }
    let Some((value, behind)) = rest.split_at_checked(len) else { return Ok(None) };
    *rest = behind;
    Ok(Some(value))
}

fn too_short(len: usize) -> MessageError {
    error(format!("{len} bytes are no message, which takes {} at least", PRELUDE + CHECKSUM))
}

pub(super) fn error(message: impl Into<Cow<'static, str>>) -> MessageError {
    MessageError(message.into())
}

/// Two lengths and their checksum.
pub(super) const PRELUDE: usize = 12;

/// The checksum at the end.
pub(super) const CHECKSUM: usize = 4;

const LONGEST_NAME: usize = 255;

const LONGEST_VALUE: usize = i16::MAX as usize;
