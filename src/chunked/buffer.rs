//! Bytes on their way through a chunk signer or verifier.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes on their way, of which only the first may go on: a signer has still to put a signature before
/// the others, or a verifier to find theirs good.
///
/// What may go on is read as from any [`Buf`], or taken as [`Bytes`] without a copy. The buffer keeps its
/// room for the chunks that follow.
///
/// ```
/// use bytes::Buf;
/// use countersign::chunked::ChunkBuffer;
///
/// let mut wire = ChunkBuffer::new();
/// assert!(!wire.has_remaining());
/// assert!(wire.split().is_empty());
/// ```
#[derive(Default)]
pub struct ChunkBuffer {
    bytes: BytesMut,
    ready: usize,
}

impl ChunkBuffer {
    /// An empty buffer.
    pub fn new() -> ChunkBuffer {
        ChunkBuffer::default()
    }

    /// An empty buffer with room for this many bytes.
    pub fn with_capacity(bytes: usize) -> ChunkBuffer {
        ChunkBuffer { bytes: BytesMut::with_capacity(bytes), ready: 0 }
    }

    /// Takes all that may go on, without a copy.
    pub fn split(&mut self) -> Bytes {
        self.bytes.split_to(std::mem::take(&mut self.ready)).freeze()
    }

    /// What may go on.
    pub fn ready(&self) -> &[u8] {
        &self.bytes[..self.ready]
    }

    /// Makes room for `more` bytes, so that holding them allocates nothing.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.bytes.reserve(more);
    }

    /// Appends bytes that may not go on yet.
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What may not go on yet, in the order in which it came.
    pub(crate) fn held(&mut self) -> &mut [u8] {
        &mut self.bytes[self.ready..]
    }

    /// Lets all go on.
    pub(crate) fn release(&mut self) {
        self.ready = self.bytes.len();
    }

    /// Forgets what may not go on.
    pub(crate) fn discard(&mut self) {
        self.bytes.truncate(self.ready);
    }
}

impl Buf for ChunkBuffer {
    fn remaining(&self) -> usize {
        self.ready
    }

    fn chunk(&self) -> &[u8] {
        self.ready()
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.ready, "cannot advance past what may go on");
        self.ready -= count;
        self.bytes.advance(count);
    }
}

impl fmt::Debug for ChunkBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkBuffer")
            .field("ready", &self.ready)
            .field("held", &(self.bytes.len() - self.ready))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_go_on_is_read_as_from_any_buffer() {
        let mut buffer = ChunkBuffer::new();
        buffer.hold(b"meow");
        buffer.release();
        buffer.hold(b"purr");
        assert_eq!(format!("{buffer:?}"), "ChunkBuffer { ready: 4, held: 4 }");
        assert_eq!(&buffer.copy_to_bytes(1)[..], b"m");
        buffer.advance(1);
        assert_eq!((buffer.chunk(), buffer.remaining()), (&b"ow"[..], 2));
        assert_eq!(buffer.held(), b"purr");
        buffer.release();
        assert_eq!(&buffer.copy_to_bytes(6)[..], b"owpurr");
        assert!(!buffer.has_remaining());
    }
}
