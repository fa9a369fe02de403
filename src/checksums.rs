//! The checksums that AWS knows, to travel behind a body in chunks.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use crc_fast::CrcAlgorithm;
use sha2::Digest;

use crate::chunked::Checksum;

/// The checksum that travels under this name, as in `x-amz-checksum-crc32`; `None` for any other name.
///
/// ```
/// use countersign::checksums;
///
/// let mut checksum = checksums::by_name("x-amz-checksum-crc32").ok_or("not known")?;
/// checksum.update(b"123456789");
/// let mut value = Vec::new();
/// checksum.write(&mut value);
/// assert_eq!(value, b"y/Q5Jg==");
/// # Ok::<(), &'static str>(())
/// ```
pub fn by_name(name: &str) -> Option<Box<dyn Checksum>> {
    Some(match name {
        Crc32::NAME => Box::new(Crc32::new()),
        Crc32c::NAME => Box::new(Crc32c::new()),
        Crc64Nvme::NAME => Box::new(Crc64Nvme::new()),
        Sha1::NAME => Box::new(Sha1::new()),
        Sha256::NAME => Box::new(Sha256::new()),
        Sha512::NAME => Box::new(Sha512::new()),
        _ => return None,
    })
}

/// A checksum type: its documentation, its name on the wire, its algorithm and how long its digest is.
macro_rules! checksum {
    ($(#[$about:meta])* $type:ident, $name:literal, $bytes:literal, $state:ty, $new:expr, $digest:expr) => {
        $(#[$about])*
        ///
        /// ```
        /// use countersign::{checksums, chunked::Checksum};
        ///
        #[doc = concat!("let mut checksum = checksums::", stringify!($type), "::new();")]
        /// checksum.update(b"meow");
        #[doc = concat!("assert_eq!(checksum.name(), \"", $name, "\");")]
        /// ```
        #[derive(Clone)]
        pub struct $type($state);

        impl $type {
            const NAME: &'static str = $name;

            /// The checksum of nothing yet.
            pub fn new() -> $type {
                $type($new)
            }
        }

        impl Default for $type {
            fn default() -> $type {
                $type::new()
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        }

        impl Checksum for $type {
            fn name(&self) -> &str {
                $type::NAME
            }

            fn update(&mut self, data: &[u8]) {
                self.0.update(data);
            }

            fn value_len(&self) -> usize {
                usize::div_ceil($bytes, 3) * 4
            }

            fn write(&self, out: &mut Vec<u8>) {
                let digest: [u8; $bytes] = $digest(&self.0);
                out.extend_from_slice(BASE64_STANDARD.encode(digest).as_bytes());
            }
        }
    };
}

checksum! {
    /// CRC-32 as in gzip and PNG.
    Crc32, "x-amz-checksum-crc32", 4,
    crc_fast::Digest, crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc), four
}

checksum! {
    /// CRC-32C (Castagnoli), as in iSCSI.
    Crc32c, "x-amz-checksum-crc32c", 4,
    crc_fast::Digest, crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi), four
}

checksum! {
    /// CRC-64 as in NVMe: what S3 computes of an object that came without a checksum.
    Crc64Nvme, "x-amz-checksum-crc64nvme", 8,
    crc_fast::Digest, crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme), eight
}

checksum! {
    /// SHA-1. It tells of a mishap on the way, not of malice.
    Sha1, "x-amz-checksum-sha1", 20,
    sha1::Sha1, sha1::Sha1::new(), sha1
}

checksum! {
    /// SHA-256.
    Sha256, "x-amz-checksum-sha256", 32,
    sha2::Sha256, sha2::Sha256::new(), sha256
}

checksum! {
    /// SHA-512.
    Sha512, "x-amz-checksum-sha512", 64,
    sha2::Sha512, sha2::Sha512::new(), sha512
}

fn four(crc: &crc_fast::Digest) -> [u8; 4] {
    (crc.finalize() as u32).to_be_bytes()
}

fn eight(crc: &crc_fast::Digest) -> [u8; 8] {
    crc.finalize().to_be_bytes()
}

fn sha1(hasher: &sha1::Sha1) -> [u8; 20] {
    hasher.clone().finalize().into()
}

fn sha256(hasher: &sha2::Sha256) -> [u8; 32] {
    hasher.clone().finalize().into()
}

fn sha512(hasher: &sha2::Sha512) -> [u8; 64] {
    hasher.clone().finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_checksum_has_its_published_check_value() {
        // The catalogue of CRCs and FIPS 180 give them for these nine bytes, or for `abc`.
        for (name, data, expected) in [
            ("x-amz-checksum-crc32", "123456789", "cbf43926"),
            ("x-amz-checksum-crc32c", "123456789", "e3069283"),
            ("x-amz-checksum-crc64nvme", "123456789", "ae8b14860a799888"),
            ("x-amz-checksum-sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "x-amz-checksum-sha256",
                "abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "x-amz-checksum-sha512",
                "abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            let mut checksum = by_name(name).expect(name);
            for piece in data.as_bytes().chunks(2) {
                checksum.update(piece);
            }
            let mut value = b"before ".to_vec();
            checksum.write(&mut value);
            let value = value.strip_prefix(b"before ").expect("it appends");
            assert_eq!(::hex::encode(BASE64_STANDARD.decode(value).expect(name)), expected);
            assert_eq!((checksum.name(), checksum.value_len()), (name, value.len()));
        }
    }

    #[test]
    fn other_names_have_no_checksum() {
        for name in
            ["", "crc32", "x-amz-checksum-crc64", "X-Amz-Checksum-Crc32", "x-amz-checksum-md5"]
        {
            assert!(by_name(name).is_none(), "{name}");
        }
    }
}
