//! A chain of signatures over the parts of a body, each of which signs the one before it.

use subtle::ConstantTimeEq;

use crate::{Scope, SigningKey, Timestamp, sha256, signer::ALGORITHM};

/// The end of a chain: its last signature, and what the next one is made of.
pub(crate) struct Chain {
    key: SigningKey,
    /// What all strings to sign begin with, the last signature, and behind it those that change.
    text: Vec<u8>,
    /// Where the last signature begins.
    last: usize,
}

impl Chain {
    /// The chain that begins with a request's own signature, `seed`.
    pub(crate) fn new(key: SigningKey, at: Timestamp, scope: &Scope<'_>, seed: &[u8; 64]) -> Chain {
        let mut text = Vec::with_capacity(ALGORITHM.len() + scope.text_len() + 256);
        for part in [ALGORITHM, CHUNK, at.as_str(), "\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        scope.write(&mut text);
        text.push(b'\n');
        let last = text.len();
        text.extend_from_slice(seed);
        text.push(b'\n');
        Chain { key, text, last }
    }

    /// Signs the next chunk, of this SHA-256.
    pub(crate) fn sign_chunk(&mut self, digest: &[u8; 32]) -> [u8; 64] {
        self.begin(CHUNK);
        self.text.extend_from_slice(&NOTHING);
        self.text.push(b'\n');
        self.sign(digest)
    }

    /// Signs the trailer, whose lines have this SHA-256.
    pub(crate) fn sign_trailer(&mut self, digest: &[u8; 32]) -> [u8; 64] {
        self.begin(TRAILER);
        self.sign(digest)
    }

    /// Whether the next chunk has this signature; the chain goes on only if it does.
    pub(crate) fn accepts_chunk(&mut self, digest: &[u8; 32], signature: &[u8]) -> bool {
        self.sign_chunk(digest)[..].ct_eq(signature).into()
    }

    /// Whether the trailer has this signature.
    pub(crate) fn accepts_trailer(&mut self, digest: &[u8; 32], signature: &[u8]) -> bool {
        self.sign_trailer(digest)[..].ct_eq(signature).into()
    }

    /// Leaves what a string to sign of this kind begins with.
    fn begin(&mut self, kind: &str) {
        let start = ALGORITHM.len();
        self.text[start..start + kind.len()].copy_from_slice(kind.as_bytes());
        self.text.truncate(self.last + SIGNATURE + 1);
    }

    fn sign(&mut self, digest: &[u8; 32]) -> [u8; 64] {
        self.text.extend_from_slice(&sha256::hex(digest));
        let signature = sha256::hex(&self.key.sign(&self.text));
        self.text[self.last..self.last + SIGNATURE].copy_from_slice(&signature);
        signature
    }
}

/// What follows the algorithm in the first line of a chunk's string to sign.
const CHUNK: &str = "-PAYLOAD\n";

/// The same of a trailer's. A published example prints the other; servers refuse that.
const TRAILER: &str = "-TRAILER\n";

const SIGNATURE: usize = 64;

/// The SHA-256 of nothing, where a chunk's string to sign has room for headers that no chunk has.
const NOTHING: [u8; 64] = *b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
