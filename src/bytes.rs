//! Questions about bytes that are asked of each request.
//!
//! They look at all bytes without a branch, so that the compiler can look at many at once; who needs
//! the place searches again, in the rare case that there is one.

use std::array;

use subtle::ConstantTimeEq;

/// Whether any byte of `text` is one of those.
#[inline]
pub(crate) fn any(text: &[u8], is: impl Fn(u8) -> bool) -> bool {
    any_run(text, |[byte]| is(byte))
}

/// Whether any byte of `text` is `most` or less, which takes the fewest instructions to tell.
#[inline]
pub(crate) fn any_up_to(text: &[u8], most: u8) -> bool {
    // What the last ones have in common with those before does no harm.
    if let Some(last) = text.last_chunk::<32>() {
        least(*last, text) <= most
    } else if let Some(last) = text.last_chunk::<16>() {
        least(*last, text) <= most
    } else {
        any(text, |byte| byte <= most)
    }
}

/// The least byte of those and of the whole blocks of `text`.
#[inline]
fn least<const BLOCK: usize>(mut least: [u8; BLOCK], text: &[u8]) -> u8 {
    for block in text.as_chunks::<BLOCK>().0 {
        for (least, byte) in least.iter_mut().zip(block) {
            *least = *byte.min(least);
        }
    }
    least.iter().fold(u8::MAX, |least, &byte| byte.min(least))
}

/// Whether any `N` bytes in a row are such ones.
#[inline]
pub(crate) fn any_run<const N: usize>(text: &[u8], is: impl Fn([u8; N]) -> bool) -> bool {
    match (text.len() + 1).saturating_sub(N) {
        places @ 32.. => any_at_once::<32, N>(text, places - 32, is),
        places @ 16.. => any_at_once::<16, N>(text, places - 16, is),
        places @ 8.. => any_at_once::<8, N>(text, places - 8, is),
        places => (0..places).fold(false, |any, at| any | is(array::from_fn(|n| text[at + n]))),
    }
}

/// The same for `AT_ONCE` places at once, the last of which begin at `last`.
#[inline]
fn any_at_once<const AT_ONCE: usize, const N: usize>(
    text: &[u8],
    last: usize,
    is: impl Fn([u8; N]) -> bool,
) -> bool {
    let mut found = [0; AT_ONCE];
    let mut start = 0;
    loop {
        let text = &text[start..start + AT_ONCE + N - 1];
        for (at, found) in found.iter_mut().enumerate() {
            // All bits of the byte, as a comparison of vectors leaves them.
            *found |= u8::from(is(array::from_fn(|n| text[at + n]))).wrapping_neg();
        }
        if start == last {
            // A sum of u8 is vectorized, a sum of bool is not.
            return found.iter().fold(0, |any, found| any | found) != 0;
        }
        // The last ones overlap with those before, which does no harm.
        start = last.min(start + AT_ONCE);
    }
}

/// Where `wanted` stands first, found eight bytes at a time.
#[inline]
pub(crate) fn find(text: &[u8], wanted: u8) -> Option<usize> {
    let first = |eight: &[u8; 8]| {
        let differing = u64::from_le_bytes(*eight) ^ (EACH * u64::from(wanted));
        // The lowest bit set is the high bit of the first byte that does not differ.
        let same = differing.wrapping_sub(EACH) & !differing & (EACH << 7);
        (same != 0).then(|| same.trailing_zeros() as usize / 8)
    };
    let Some(last) = text.last_chunk() else { return text.iter().position(|&byte| byte == wanted) };
    for (at, eight) in text.as_chunks().0.iter().enumerate() {
        if let Some(place) = first(eight) {
            return Some(8 * at + place);
        }
    }
    // These overlap with those before, in which it is not.
    first(last).map(|place| text.len() - 8 + place)
}

/// What stands before the first `at`, and what behind it, if it is there.
#[inline]
pub(crate) fn split_at(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match find(text, at) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

/// The pieces between each `at`.
#[inline]
pub(crate) fn split(text: &[u8], at: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (piece, behind) = split_at(rest?, at);
        rest = behind;
        Some(piece)
    })
}

/// What stands before the first `at`, which is ASCII, and what behind it, if it is there.
#[inline]
pub(crate) fn split_text(text: &str, at: u8) -> (&str, Option<&str>) {
    match find(text.as_bytes(), at) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

/// Eight bytes in lower case.
#[inline]
pub(crate) fn lower(eight: [u8; 8]) -> [u8; 8] {
    let word = u64::from_ne_bytes(eight);
    let low = word & !(EACH << 7);
    // The high bit of each byte that is `A` or more, and of each that is more than `Z`.
    let from_a = low + EACH * u64::from(0x80 - b'A');
    let past_z = low + EACH * u64::from(0x80 - b'Z' - 1);
    let is_upper = from_a & !past_z & !word & (EACH << 7);
    (word | is_upper >> 2).to_ne_bytes()
}

/// Compares in a time that depends on the lengths alone, eight bytes at once: tokens are long.
pub(crate) fn is_same_secret(a: &[u8], b: &[u8]) -> bool {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    if a.len() != b.len() {
        return false;
    }
    // Or and xor take no branch; what they come to is told by a comparison that takes none either.
    let differing = a_words
        .iter()
        .zip(b_words)
        .fold(0, |differing, (a, b)| differing | (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)));
    (differing.ct_eq(&0) & a_rest.ct_eq(b_rest)).into()
}

/// One in each byte.
const EACH: u64 = u64::from_ne_bytes([1; 8]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for len in 0..70 {
            assert_eq!(find(&vec![0x80; len], 0), None);
            for at in 0..len {
                let mut text = vec![1; len];
                text[at..].fill(0);
                assert_eq!(find(&text, 0), Some(at), "of {len}");
                let mut text = vec![b'a'; len];
                text[at] = b'=';
                assert!(any(&text, |byte| byte == b'='), "{at} of {len}");
                assert!(!any(&text, |byte| byte == b'b'));
                assert!(any_up_to(&text, b'=') && !any_up_to(&text, b'<'), "{at} of {len}");
                assert_eq!(any_run(&text, |pair| pair == *b"=a"), at + 1 < len, "{at} of {len}");
                assert_eq!(any_run(&text, |run| run == *b"aa="), at > 1, "{at} of {len}");
            }
        }
    }

    #[test]
    fn eight_bytes_are_lowered_each_on_its_own() {
        for byte in 0..=255_u8 {
            for other in [0, b'A', b'z', 0xff] {
                let eight = [other, byte, other, byte, byte, other, other, byte];
                assert_eq!(lower(eight), eight.map(|byte| byte.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn pieces_are_split_as_the_standard_library_does() {
        for text in ["", ";", "a", ";a", "a;;b;", "host;x-amz-content-sha256;x-amz-date"] {
            let expected = text.as_bytes().split(|&byte| byte == b';');
            assert!(split(text.as_bytes(), b';').eq(expected), "{text}");
        }
    }

    #[test]
    fn secrets_are_the_same_only_if_each_byte_is() {
        for len in 0..40 {
            let secret = vec![b's'; len];
            assert!(is_same_secret(&secret, &vec![b's'; len]));
            assert!(!is_same_secret(&secret, &vec![b's'; len + 1]));
            for at in 0..len {
                let mut other = secret.clone();
                other[at] ^= 0x80;
                assert!(!is_same_secret(&secret, &other), "{at} of {len}");
            }
        }
    }
}
