//! The SHA-256 that a signature needs at the least.

use sha2::block_api::compress256;

/// The compressions that signing with a cached key cannot do without, and nothing else: those of the
/// body, of the canonical request, and of an HMAC whose key was hashed before.
pub(crate) struct Limit {
    /// How many blocks each message has, in the order in which they are hashed.
    messages: [usize; 4],
    blocks: Vec<[u8; 64]>,
    state: [u32; 8],
}

impl Limit {
    /// For these lengths in bytes. An empty body is not hashed: its hash is known.
    pub(crate) fn new(body: usize, canonical_request: usize, string_to_sign: usize) -> Limit {
        let digest = 32;
        let body = if body == 0 { 0 } else { blocks(body) };
        let messages = [body, blocks(canonical_request), blocks(string_to_sign), blocks(digest)];
        let longest = messages.into_iter().max().unwrap_or_default();
        Limit { messages, blocks: vec![[0x5a; 64]; longest], state: [0; 8] }
    }

    pub(crate) fn compressions(&self) -> usize {
        self.messages.iter().sum()
    }

    /// Compresses as often as one signature does. Each call goes on from the state of the last one, so
    /// none can begin before its predecessor ends and none repeats another.
    pub(crate) fn run(&mut self) -> &[u32; 8] {
        for &count in &self.messages {
            compress256(&mut self.state, &self.blocks[..count]);
        }
        &self.state
    }
}

/// How many blocks a message has with its padding: one byte, and the length in eight.
fn blocks(len: usize) -> usize {
    (len + 9).div_ceil(64)
}
