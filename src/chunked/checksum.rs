//! A checksum of a body, which travels behind it.

use std::fmt;

/// A checksum that is computed while a body goes by, and sent or compared as a trailer.
///
/// Those that AWS knows come with feature `checksums`; any other may be implemented outside.
///
/// ```
/// use countersign::chunked::Checksum;
///
/// #[derive(Debug, Default)]
/// struct Length(u64);
///
/// impl Checksum for Length {
///     fn name(&self) -> &str {
///         "x-amz-meta-length"
///     }
///     fn update(&mut self, data: &[u8]) {
///         self.0 += data.len() as u64;
///     }
///     fn value_len(&self) -> usize {
///         20
///     }
///     fn write(&self, out: &mut Vec<u8>) {
///         out.extend_from_slice(format!("{:020}", self.0).as_bytes());
///     }
/// }
///
/// let mut length = Length::default();
/// length.update(b"meow");
/// let mut value = Vec::new();
/// length.write(&mut value);
/// assert_eq!(value.len(), length.value_len());
/// ```
pub trait Checksum: fmt::Debug + Send + Sync {
    /// The trailer's name, in lower case, as in `x-amz-checksum-crc32`.
    fn name(&self) -> &str;

    /// Takes the next piece of the body.
    fn update(&mut self, data: &[u8]);

    /// How long the value is as text: always the same, so that the length of what is sent is known
    /// before its first byte.
    fn value_len(&self) -> usize;

    /// Appends the value as text: for those that AWS knows, the base64 of the digest in big-endian
    /// order.
    fn write(&self, out: &mut Vec<u8>);
}

impl<C: Checksum + ?Sized> Checksum for Box<C> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn update(&mut self, data: &[u8]) {
        (**self).update(data);
    }

    fn value_len(&self) -> usize {
        (**self).value_len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}
