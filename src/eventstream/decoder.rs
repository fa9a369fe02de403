//! Messages out of bytes that come in any pieces.

use std::fmt;

use super::message::{Limits, Message, MessageError, PRELUDE, Prelude, error};

/// Reads messages out of a stream that comes in pieces of any size.
///
/// Both checksums, the lengths and the headers of each message are checked before it is given out;
/// lengths as soon as they are there, so that a message that is too large is refused before it came. No
/// more is kept than what was pushed and not read.
///
/// It checks no signatures: it is for the messages that a service sends, which are not signed. A server
/// uses the [`EventVerifier`](super::EventVerifier).
///
/// ```
/// use countersign::eventstream::{Decoder, Message};
///
/// let mut wire = Vec::new();
/// Message::encode(&[], b"one", &mut wire)?;
/// Message::encode(&[], b"two", &mut wire)?;
///
/// let mut decoder = Decoder::new();
/// let mut payloads = Vec::new();
/// for piece in wire.chunks(7) {
///     decoder.push(piece);
///     while let Some(message) = decoder.next_message()? {
///         payloads.push(message.payload().to_vec());
///     }
/// }
/// decoder.finish()?;
/// assert_eq!(payloads, [b"one", b"two"]);
/// # Ok::<(), countersign::eventstream::MessageError>(())
/// ```
#[derive(Default)]
pub struct Decoder {
    limits: Limits,
    buffer: Vec<u8>,
    /// Where the next message begins in the buffer.
    start: usize,
    /// Where the buffer begins in the stream.
    offset: u64,
    failed: Option<MessageError>,
}

/// Where a message lies in the buffer.
pub(super) struct Found {
    prelude: Prelude,
    start: usize,
}

impl Decoder {
    /// A decoder that takes messages of at most 24 MiB, with headers of at most 128 KiB.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Refuses messages of more than this many bytes, checksums and all.
    #[must_use]
    pub fn with_largest_message(mut self, bytes: usize) -> Decoder {
        self.limits.message = bytes;
        self
    }

    /// Refuses messages whose headers have more than this many bytes.
    #[must_use]
    pub fn with_largest_headers(mut self, bytes: usize) -> Decoder {
        self.limits.headers = bytes;
        self
    }

    /// Takes the next piece of the stream; none once the stream was refused.
    pub fn push(&mut self, piece: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.buffer.drain(..self.start);
        self.offset += self.start as u64;
        self.start = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The next message, or `None` before all of it was pushed.
    ///
    /// Call it until it gives none before more is pushed.
    ///
    /// # Errors
    /// A checksum differs, a length is too large or does not fit, or a header is malformed. There is no
    /// way on from there: each later call fails in the same way.
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, MessageError> {
        Ok(self.advance()?.map(|found| self.message(&found)))
    }

    /// Whether the stream, of which no more comes, ends behind a whole message that was read.
    ///
    /// # Errors
    /// It does not, or was refused before.
    pub fn finish(&self) -> Result<(), MessageError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.left() {
            0 => Ok(()),
            left => Err(error(format!(
                "the stream ends with {left} bytes that are no whole message, or were not read"
            ))
            .at(self.position())),
        }
    }

    /// How many bytes were pushed and not read.
    pub(super) fn left(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Goes behind the next message, if all of it is there and right; where it lies until the next push.
    pub(super) fn advance(&mut self) -> Result<Option<Found>, MessageError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.find() {
            Ok(Some(found)) => {
                self.start += found.prelude.total;
                Ok(Some(found))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                let error = error.at(self.position());
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// The message at a place to which [`Decoder::advance`] came.
    pub(super) fn message(&self, found: &Found) -> Message<'_> {
        Message::lying_in(found.prelude, &self.buffer[found.start..])
    }

    fn find(&self) -> Result<Option<Found>, MessageError> {
        let rest = &self.buffer[self.start..];
        let Some((prelude, _)) = rest.split_first_chunk::<PRELUDE>() else { return Ok(None) };
        let prelude = Prelude::read(prelude, self.limits)?;
        let Some(bytes) = rest.get(..prelude.total) else { return Ok(None) };
        Message::checked(prelude, bytes)?;
        Ok(Some(Found { prelude, start: self.start }))
    }

    /// Where the next message begins in the stream.
    fn position(&self) -> u64 {
        self.offset + self.start as u64
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}
