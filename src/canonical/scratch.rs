//! The buffers that signing reuses.

use std::fmt;

use zeroize::Zeroize;

use super::query::Piece;
use crate::{remembered::Remembered, shape::Shape};

/// Buffers that are reused from one signature to the next, so that signing allocates nothing.
///
/// A fresh one grows to what its first requests need. It also remembers who signed last, for which scope and
/// second, the names of the last request's headers, and the last long request: what the next one shares with
/// it is neither looked up nor sorted nor hashed again.
/// Everything secret in it is wiped when it grows and when it is dropped.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, Head, Headers, Payload, Scratch, Signer};
///
/// let signer = Signer::new("us-east-1", "iam");
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let mut scratch = Scratch::new();
/// for target in [&b"https://iam.amazonaws.com/?Action=ListUsers"[..], b"https://iam.amazonaws.com/"] {
///     let head = Head::parse(b"GET", target, Headers::Pairs(&[]))?;
///     let now = SystemTime::now();
///     let signed = signer.sign_head(head, Payload::EMPTY, &credentials, now, &mut scratch)?;
///     assert_eq!(signed.signed_headers(), "host;x-amz-date");
/// }
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Default)]
pub struct Scratch {
    pub(crate) buffers: Buffers,
    /// In a box, so that a key stays where it is when the buffers go from hand to hand.
    pub(crate) remembered: Option<Box<Remembered>>,
    pub(crate) shape: Shape,
}

/// The bytes that make up a signature.
#[derive(Default)]
pub(crate) struct Buffers {
    /// The canonical request; signing, then the string to sign and the signature.
    pub(crate) text: Vec<u8>,
    /// Verifying, the string to sign.
    pub(crate) string_to_sign: Vec<u8>,
    /// The value of the Authorization header.
    pub(crate) authorization: String,
    /// A presigned URL's own parameters, but for its signature.
    pub(crate) own_query: Vec<u8>,
    /// The query that is to be sent, where it is not the one that was given.
    pub(crate) query: Vec<u8>,
    pub(crate) spare: Spare,
}

/// Room to normalize a path and to sort a query in.
#[derive(Default)]
pub(crate) struct Spare {
    pub(super) bytes: Vec<u8>,
    pub(super) pieces: Vec<Piece>,
}

impl Scratch {
    /// Empty buffers.
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// How many bytes it holds room for, but for what is remembered of one signer.
    pub(crate) fn size(&self) -> usize {
        self.buffers.size() + self.shape.size()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Buffers {
    /// How many bytes all of them hold room for.
    pub(crate) fn size(&self) -> usize {
        let bytes =
            [&self.text, &self.string_to_sign, &self.own_query, &self.query, &self.spare.bytes];
        let bytes: usize = bytes.iter().map(|buffer| buffer.capacity()).sum();
        let pieces = self.spare.pieces.capacity() * size_of::<Piece>();
        bytes + pieces + self.authorization.capacity()
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        self.text.zeroize();
        self.string_to_sign.zeroize();
        self.authorization.zeroize();
        self.own_query.zeroize();
        self.query.zeroize();
        self.spare.bytes.zeroize();
    }
}

/// Empties a buffer and makes sure that `len` bytes fit without growing it: a buffer that grows leaves
/// its old bytes behind in memory, so the old ones are wiped first.
pub(crate) fn room(buffer: &mut Vec<u8>, len: usize) {
    buffer.clear();
    if buffer.capacity() < len {
        buffer.zeroize();
        *buffer = Vec::with_capacity(len.next_power_of_two().max(1024));
    }
}

/// The same for text.
pub(crate) fn room_for_text(buffer: &mut String, len: usize) {
    buffer.clear();
    if buffer.capacity() < len {
        buffer.zeroize();
        *buffer = String::with_capacity(len.next_power_of_two().max(1024));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_with_room_is_kept_and_a_small_one_replaced() {
        let mut buffer = Vec::new();
        room(&mut buffer, 10);
        buffer.extend_from_slice(b"token");
        let (at, capacity) = (buffer.as_ptr(), buffer.capacity());
        room(&mut buffer, capacity);
        assert_eq!((buffer.as_ptr(), buffer.len()), (at, 0));
        room(&mut buffer, capacity + 1);
        assert!(buffer.capacity() > capacity && buffer.is_empty());
    }

    #[test]
    fn the_same_holds_of_text() {
        let mut text = String::from("token");
        let capacity = text.capacity();
        let at = text.as_ptr();
        room_for_text(&mut text, capacity);
        assert_eq!((text.as_ptr(), text.len()), (at, 0));
        room_for_text(&mut text, capacity + 1);
        assert!(text.capacity() > capacity && text.is_empty());
    }

    #[test]
    fn the_size_is_the_room_of_all_buffers() {
        let mut buffers = Buffers::default();
        assert_eq!(buffers.size(), 0);
        for buffer in [
            &mut buffers.text,
            &mut buffers.string_to_sign,
            &mut buffers.own_query,
            &mut buffers.query,
            &mut buffers.spare.bytes,
        ] {
            buffer.reserve_exact(8);
        }
        buffers.authorization.reserve_exact(32);
        buffers.spare.pieces.reserve_exact(3);
        assert_eq!(buffers.size(), 5 * 8 + 32 + 3 * size_of::<Piece>());
    }
}
