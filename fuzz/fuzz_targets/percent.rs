//! Percent-encoding undone, apart from the library's own way.

/// A `%` without two digits is itself.
pub(crate) fn decoded(text: &[u8], plus_is_space: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &behind[2..];
                continue;
            }
            (b'+', ..) if plus_is_space => out.push(b' '),
            (byte, ..) => out.push(*byte),
        }
        rest = behind;
    }
    out
}
