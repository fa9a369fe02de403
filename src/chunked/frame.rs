//! The line before each chunk.

use super::chunks::CHUNK_SIGNATURE;

/// What a chunk says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Size<'l> {
    pub(super) bytes: u64,
    /// As it was sent; empty if the chunks are not signed.
    pub(super) signature: &'l [u8],
}

/// Reads the line before a chunk, without its end: `hex-len;chunk-signature=SIG`, or `hex-len` alone
/// where the chunks are not signed. `signature_len` is how long a signature is, 0 for none.
///
/// A size has 1 to 16 digits, of either case; nothing else may stand in the line.
pub(super) fn size(line: &[u8], signature_len: usize) -> Result<Size<'_>, &'static str> {
    let end = line.iter().position(|&byte| byte == b';').unwrap_or(line.len());
    let (digits, extension) = line.split_at(end);
    let is_hex =
        (1..=MOST_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let size = str::from_utf8(digits).ok().filter(|_| is_hex);
    let Some(bytes) = size.and_then(|size| u64::from_str_radix(size, 16).ok()) else {
        return Err("does not begin with its size, 1 to 16 hexadecimal digits");
    };
    if signature_len == 0 {
        return match extension {
            [] => Ok(Size { bytes, signature: b"" }),
            _ => Err("has an extension behind its size; chunks that are not signed have none"),
        };
    }
    let signature = extension
        .strip_prefix(CHUNK_SIGNATURE.as_bytes())
        .ok_or("has no `;chunk-signature=` behind its size, or something else")?;
    if signature.len() != signature_len {
        return Err("has a signature of another length than signatures have");
    }
    Ok(Size { bytes, signature })
}

/// How long such a line may be, its end included.
pub(super) const fn longest(signature_len: usize) -> usize {
    match signature_len {
        0 => MOST_DIGITS + 2,
        _ => MOST_DIGITS + CHUNK_SIGNATURE.len() + signature_len + 2,
    }
}

/// As many as a number of 64 bits has.
const MOST_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_to_sixteen_digits_of_either_case() {
        for (line, bytes) in [
            ("0", 0),
            ("00", 0),
            ("aB", 0xab),
            ("0000000000000010", 16),
            ("ffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(size(line.as_bytes(), 0), Ok(Size { bytes, signature: b"" }));
            let line = format!("{line};chunk-signature=s1");
            assert_eq!(size(line.as_bytes(), 2), Ok(Size { bytes, signature: b"s1" }));
            assert!(line.len() <= longest(2));
        }
        assert_eq!(longest(0), "0123456789abcdef\r\n".len());
        assert_eq!(longest(64), "0123456789abcdef;chunk-signature=\r\n".len() + 64);
        for line in
            ["", "+1", "-1", "0x1", " 1", "1 ", "1_0", "g", "00000000000000001", "1;", "1;a"]
        {
            assert!(size(line.as_bytes(), 0).is_err(), "{line}");
        }
    }

    #[test]
    fn a_signed_chunk_has_its_signature_and_no_other_extension() {
        for extension in [
            "",
            ";",
            ";chunk-signature=",
            ";chunk-signature=s",
            ";chunk-signature=s12",
            ";Chunk-Signature=s1",
            "; chunk-signature=s1",
            ";chunk-signature =s1",
            ";chunk-signature=s1;a=b",
            ";a=b;chunk-signature=s1",
        ] {
            assert!(size(format!("1{extension}").as_bytes(), 2).is_err(), "{extension}");
        }
    }
}
