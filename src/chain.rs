//! Chains of signatures over the parts of a body, each of which signs the one before it.

use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::{
    Algorithm, Credentials, Scope, SigningKey, Timestamp,
    asymmetric::{AsymmetricKey, AsymmetricSigner, PADDING, without_padding},
    sha256,
};

/// The end of a chain that goes on by signing.
pub(crate) struct SigningChain {
    key: Signs,
    strings: Strings,
}

/// The end of a chain that goes on as far as what comes is signed.
pub(crate) struct VerifyingChain {
    key: Verifies,
    strings: Strings,
}

/// What signs the parts.
pub(crate) enum Signs {
    Asymmetric(Arc<dyn AsymmetricSigner>, Credentials),
    Hmac(SigningKey),
}

/// What the parts' signatures are verified with.
pub(crate) enum Verifies {
    Asymmetric(Arc<dyn AsymmetricKey>),
    Hmac(SigningKey),
}

impl SigningChain {
    /// The chain that begins with a request's own signature, `seed`.
    pub(crate) fn new(key: Signs, at: Timestamp, scope: &Scope<'_>, seed: &[u8]) -> SigningChain {
        let algorithm = match key {
            Signs::Asymmetric(..) => Algorithm::EcdsaP256Sha256,
            Signs::Hmac(_) => Algorithm::HmacSha256,
        };
        SigningChain { key, strings: Strings::new(algorithm, at, scope, seed) }
    }

    /// Signs the next chunk, of this SHA-256, and fills `out` with the signature as it is sent:
    /// [`Algorithm::signature_len`] bytes.
    pub(crate) fn sign_chunk(&mut self, digest: &[u8; 32], out: &mut [u8]) {
        self.strings.write_chunk(digest);
        self.sign(out);
    }

    /// The same for the trailer, whose lines have this SHA-256.
    pub(crate) fn sign_trailer(&mut self, digest: &[u8; 32], out: &mut [u8]) {
        self.strings.write_trailer(digest);
        self.sign(out);
    }

    fn sign(&mut self, out: &mut [u8]) {
        match &self.key {
            Signs::Asymmetric(signer, credentials) => {
                let signature = signer.sign(credentials, &self.strings.text);
                let (digits, padding) = out.split_at_mut(signature.len());
                digits.copy_from_slice(signature.as_bytes());
                padding.fill(PADDING);
                self.strings.follow(signature.as_bytes());
            }
            Signs::Hmac(key) => {
                let signature = sha256::hex(&key.sign(&self.strings.text));
                out.copy_from_slice(&signature);
                self.strings.follow(&signature);
            }
        }
    }
}

impl VerifyingChain {
    /// The chain that begins with a request's own signature, `seed`, which was verified.
    pub(crate) fn new(
        key: Verifies,
        at: Timestamp,
        scope: &Scope<'_>,
        seed: &[u8],
    ) -> VerifyingChain {
        let strings = Strings::new(key.algorithm(), at, scope, seed);
        VerifyingChain { key, strings }
    }

    /// Whether the next chunk, of this SHA-256, has this signature, as it was sent. No chain goes on
    /// behind one that has not.
    pub(crate) fn accepts_chunk(&mut self, digest: &[u8; 32], signature: &[u8]) -> bool {
        self.strings.write_chunk(digest);
        self.accepts(signature)
    }

    /// The same of the trailer, whose lines have this SHA-256.
    pub(crate) fn accepts_trailer(&mut self, digest: &[u8; 32], signature: &[u8]) -> bool {
        self.strings.write_trailer(digest);
        self.accepts(signature)
    }

    fn accepts(&mut self, signature: &[u8]) -> bool {
        match &self.key {
            Verifies::Asymmetric(key) => {
                let digits = without_padding(signature);
                let is_right = signature.len() == self.key.algorithm().signature_len()
                    && key.is_signature(&self.strings.text, digits);
                self.strings.follow(digits);
                is_right
            }
            Verifies::Hmac(key) => {
                let expected = sha256::hex(&key.sign(&self.strings.text));
                self.strings.follow(&expected);
                expected[..].ct_eq(signature).into()
            }
        }
    }
}

impl Verifies {
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Verifies::Asymmetric(_) => Algorithm::EcdsaP256Sha256,
            Verifies::Hmac(_) => Algorithm::HmacSha256,
        }
    }
}

/// The strings to sign, one after the other.
struct Strings {
    /// What all of them begin with, the last signature, and behind it what changes.
    text: Vec<u8>,
    /// How long the algorithm's name is.
    algorithm: usize,
    /// Where the last signature begins.
    last: usize,
}

impl Strings {
    fn new(algorithm: Algorithm, at: Timestamp, scope: &Scope<'_>, seed: &[u8]) -> Strings {
        let (name, signature) = (algorithm.as_str(), algorithm.signature_len());
        let mut text = Vec::with_capacity(name.len() + scope.text_len() + signature + 192);
        for part in [name, CHUNK, at.as_str(), "\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        scope.write(&mut text);
        text.push(b'\n');
        let mut strings = Strings { algorithm: name.len(), last: text.len(), text };
        strings.follow(seed);
        strings
    }

    fn write_chunk(&mut self, digest: &[u8; 32]) {
        self.begin(CHUNK);
        self.text.extend_from_slice(&NOTHING);
        self.text.push(b'\n');
        self.text.extend_from_slice(&sha256::hex(digest));
    }

    fn write_trailer(&mut self, digest: &[u8; 32]) {
        self.begin(TRAILER);
        self.text.extend_from_slice(&sha256::hex(digest));
    }

    fn begin(&mut self, kind: &str) {
        self.text[self.algorithm..][..kind.len()].copy_from_slice(kind.as_bytes());
    }

    /// Leaves what the string to sign behind this signature begins with.
    fn follow(&mut self, signature: &[u8]) {
        self.text.truncate(self.last);
        self.text.extend_from_slice(signature);
        self.text.push(b'\n');
    }
}

/// What follows the algorithm in the first line of a chunk's string to sign.
const CHUNK: &str = "-PAYLOAD\n";

/// The same of a trailer's. A published example prints the other; servers refuse that.
const TRAILER: &str = "-TRAILER\n";

/// The SHA-256 of nothing, where a chunk's string to sign has room for headers that no chunk has.
const NOTHING: [u8; 64] = *b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
