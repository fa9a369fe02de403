//! SHA-256 over bytes that lie in one piece, and the state behind it.
//!
//! The compression function is sha2's own; what stands here is the padding (FIPS 180-4, §5.1.1). The
//! general-purpose hashers buffer and count for input that comes in pieces, which signing never has,
//! and cannot start from a key's saved state without a copy of that buffer.

use std::array;

use sha2::block_api::compress256;

use crate::bytes::any;

/// The chaining value between two blocks.
pub(crate) type State = [u32; 8];

pub(crate) const BLOCK: usize = 64;

/// The first chaining value (FIPS 180-4, §5.3.3).
pub(crate) const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The SHA-256 of `data`.
pub(crate) fn digest(data: &[u8]) -> [u8; 32] {
    finish(INITIAL, 0, data)
}

/// The SHA-256 of the text, which is padded where it stands and then as it was: in a buffer with
/// [room](PADDING) behind it, that spares a copy.
pub(crate) fn digest_in_place(text: &mut Vec<u8>) -> [u8; 32] {
    finish_in_place(INITIAL, 0, text)
}

/// The same where the first blocks led to `state`.
pub(crate) fn finish_in_place(mut state: State, blocks: usize, text: &mut Vec<u8>) -> [u8; 32] {
    let len = text.len();
    let bits = len as u64 * 8;
    text.push(0x80);
    text.resize((len + 9).next_multiple_of(BLOCK) - 8, 0);
    text.extend_from_slice(&bits.to_be_bytes());
    compress256(&mut state, &text.as_chunks().0[blocks..]);
    text.truncate(len);
    to_bytes(&state)
}

/// So many bytes padding takes at most.
pub(crate) const PADDING: usize = BLOCK + 8;

/// The hash of all that led to `state`, which is `before` bytes, and of `data` behind it.
pub(crate) fn finish(mut state: State, before: usize, data: &[u8]) -> [u8; 32] {
    debug_assert!(before.is_multiple_of(BLOCK), "a state stands between two blocks");
    let (blocks, tail) = data.as_chunks::<BLOCK>();
    if !blocks.is_empty() {
        compress256(&mut state, blocks);
    }
    let mut last = [[0; BLOCK]; 2];
    last[0][..tail.len()].copy_from_slice(tail);
    last[0][tail.len()] = 0x80;
    // The length in bits takes the last eight bytes, so a long tail spills into a second block.
    let used = if tail.len() < BLOCK - 8 { 1 } else { 2 };
    let bits = (before + data.len()) as u64 * 8;
    last[used - 1][BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
    compress256(&mut state, &last[..used]);
    to_bytes(&state)
}

fn to_bytes(state: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (four, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *four = word.to_be_bytes();
    }
    bytes
}

/// The digest in lower-case hexadecimal.
pub(crate) fn hex(digest: &[u8; 32]) -> [u8; 64] {
    let digit = |four_bits: u8| four_bits + if four_bits < 10 { b'0' } else { b'a' - 10 };
    let mut text = [0; 64];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    text
}

/// The digest that such text stands for; `None` if it is no such text.
pub(crate) fn from_hex(text: &[u8]) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let is_decimal = |digit: u8| digit.wrapping_sub(b'0') < 10;
    let is_letter = |digit: u8| digit.wrapping_sub(b'a') < 6;
    let value = |digit: u8| digit.wrapping_sub(if is_decimal(digit) { b'0' } else { b'a' - 10 });
    // First all values, then the pairs of them: so both are vectorized.
    let values = text.map(value);
    let digest = array::from_fn(|at| values[2 * at] << 4 | values[2 * at + 1]);
    (!any(text, |digit| !(is_decimal(digit) | is_letter(digit)))).then_some(digest)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn every_length_up_to_five_blocks_agrees_with_sha2() {
        let data: Vec<u8> = (0..=255).cycle().take(5 * BLOCK).collect();
        for len in 0..=data.len() {
            let expected: [u8; 32] = Sha256::digest(&data[..len]).into();
            assert_eq!(digest(&data[..len]), expected, "{len} bytes");
            let mut text = Vec::with_capacity(len + PADDING);
            text.extend_from_slice(&data[..len]);
            let capacity = text.capacity();
            assert_eq!(digest_in_place(&mut text), expected, "{len} bytes in place");
            assert_eq!((&*text, text.capacity()), (&data[..len], capacity));
        }
    }

    #[test]
    fn hexadecimal_agrees_with_the_hex_crate() {
        let digest = digest(b"countersign");
        assert_eq!(&hex(&digest)[..], ::hex::encode(digest).as_bytes());
        assert_eq!(from_hex(&hex(&digest)), Some(digest));
        for byte in 0..=255 {
            let mut text = [b'0'; 64];
            text[63] = byte;
            let mut expected = [0; 32];
            let is_digit = ::hex::decode_to_slice(text, &mut expected).is_ok();
            let is_digit = is_digit && !byte.is_ascii_uppercase();
            assert_eq!(from_hex(&text), is_digit.then_some(expected), "byte {byte}");
        }
        assert_eq!((from_hex(&[b'0'; 63]), from_hex(&[b'0'; 65])), (None, None));
    }
}
