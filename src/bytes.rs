//! Questions about bytes that are asked of each request.

/// Whether any byte of `text` is one of those.
///
/// Looks at all of them without a branch, so that the compiler can look at many at once; who needs the
/// place searches again, in the rare case that there is one.
pub(crate) fn any(text: &[u8], is: impl Fn(u8) -> bool) -> bool {
    // A sum of u8 is vectorized, a sum of bool is not.
    text.iter().fold(0, |any, &byte| any | u8::from(is(byte))) != 0
}

/// Whether any byte and the one behind it are such a pair; looks at all, as [`any`].
pub(crate) fn any_pair(text: &[u8], is: impl Fn(u8, u8) -> bool) -> bool {
    let behind = text.get(1..).unwrap_or_default();
    text.iter().zip(behind).fold(0, |any, (&a, &b)| any | u8::from(is(a, b))) != 0
}
