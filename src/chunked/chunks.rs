//! What a body in chunks is, before its first byte.

use http::HeaderValue;

use super::Checksum;
use crate::{
    Algorithm, Error, ErrorKind, Head, Payload,
    head::{check_header, is_token, trim_blanks},
};

/// A body that is to be sent in chunks: how long it is, how it is cut, and what travels behind it.
///
/// ```
/// use countersign::{Payload, chunked::Chunks};
///
/// let chunks = Chunks::signed(66_560);
/// assert_eq!(chunks.encoded_len()?, 66_824);
/// assert_eq!(chunks.payload(), Payload::Streaming);
///
/// let chunks = chunks.with_trailer("x-amz-meta-mood", "calm");
/// assert_eq!(chunks.payload(), Payload::StreamingTrailer);
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Debug)]
pub struct Chunks {
    pub(super) length: u64,
    pub(super) chunk_size: usize,
    pub(super) form: Form,
    pub(super) trailers: Vec<Trailer>,
}

/// How the chunks vouch for the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Each has a signature by this algorithm.
    Signed(Algorithm),
    /// None has; the connection and the checksum in the trailer must do.
    Unsigned,
}

/// A line behind the body.
#[derive(Debug)]
pub(super) enum Trailer {
    /// Known when the body is at its end.
    Computed(Box<dyn Checksum>),
    Known {
        name: String,
        value: Vec<u8>,
    },
}

impl Chunks {
    /// The least that a chunk holds in bytes, the last one excepted: S3 refuses less.
    pub const LEAST: usize = 8 << 10;

    /// The most that a chunk holds in bytes: a signer and a verifier keep a whole one in memory.
    pub const MOST: usize = 64 << 20;

    /// A body of `length` bytes, in chunks of 64 KiB each of which is signed.
    pub fn signed(length: u64) -> Chunks {
        let form = Form::Signed(Algorithm::HmacSha256);
        Chunks { length, chunk_size: USUAL, form, trailers: Vec::new() }
    }

    /// A body of `length` bytes in chunks that are not signed, with a checksum behind it: what current
    /// SDKs upload to S3. TLS alone keeps it from being changed on the way.
    ///
    /// ```
    /// # #[cfg(feature = "checksums")] {
    /// use countersign::{Payload, checksums::Crc32, chunked::Chunks};
    ///
    /// let chunks = Chunks::unsigned(5, Crc32::new());
    /// assert_eq!(chunks.payload(), Payload::StreamingUnsignedTrailer);
    /// // 5␍␊meow!␍␊0␍␊x-amz-checksum-crc32:AAAAAA==␍␊␍␊
    /// assert_eq!(chunks.encoded_len()?, 46);
    /// # }
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn unsigned(length: u64, checksum: impl Checksum + 'static) -> Chunks {
        Chunks { form: Form::Unsigned, ..Chunks::signed(length) }.with_checksum(checksum)
    }

    /// The same body in chunks of so many bytes, but the last: what is less than [`Chunks::LEAST`] or
    /// more than [`Chunks::MOST`] is taken for that.
    ///
    /// ```
    /// # use countersign::chunked::Chunks;
    /// let (small, least) = (Chunks::signed(1 << 20).with_chunk_size(1), Chunks::LEAST);
    /// let same = Chunks::signed(1 << 20).with_chunk_size(least);
    /// assert_eq!(small.encoded_len()?, same.encoded_len()?);
    /// # Ok::<(), countersign::Error>(())
    /// ```
    #[must_use]
    pub fn with_chunk_size(self, bytes: usize) -> Chunks {
        Chunks { chunk_size: bytes.clamp(Chunks::LEAST, Chunks::MOST), ..self }
    }

    /// The same body with a checksum that is computed while it goes by, and sent behind it.
    ///
    /// Its name and value are checked as those of [`Chunks::with_trailer`]. S3 takes one checksum.
    ///
    /// ```
    /// # #[cfg(feature = "checksums")] {
    /// use countersign::{checksums::Crc64Nvme, chunked::Chunks};
    ///
    /// let chunks = Chunks::signed(9).with_checksum(Crc64Nvme::new());
    /// # let _ = chunks;
    /// # }
    /// ```
    #[must_use]
    pub fn with_checksum(mut self, checksum: impl Checksum + 'static) -> Chunks {
        self.trailers.push(Trailer::Computed(Box::new(checksum)));
        self
    }

    /// The same body with a trailer whose value is known beforehand.
    ///
    /// The name is lower-cased, and the blanks around the value are dropped. Nothing else is checked
    /// here: [`Chunks::encoded_len`] and signing refuse a name that is no token or stands twice, and a
    /// value with CR, LF or NUL.
    ///
    /// ```
    /// # use countersign::chunked::Chunks;
    /// let chunks = Chunks::signed(9).with_trailer("X-Amz-Meta-Mood", "calm\r\nx-amz-acl: public-read");
    /// assert!(chunks.encoded_len().is_err());
    /// ```
    #[must_use]
    pub fn with_trailer(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Chunks {
        let name = name.into().to_ascii_lowercase();
        let value = trim_blanks(&value.into()).to_vec();
        self.trailers.push(Trailer::Known { name, value });
        self
    }

    /// The same body whose chunks, if they are signed, are signed by this algorithm; it makes them longer
    /// or shorter.
    ///
    /// [`Signer::sign_chunked`](crate::Signer::sign_chunked) sets its own. For
    /// [`ChunkSigner::new`](super::ChunkSigner::new) it must be the one that signs the head; without it,
    /// chunks are signed by [`Algorithm::HmacSha256`].
    ///
    /// ```
    /// # use countersign::{Algorithm, Payload, chunked::Chunks};
    /// let chunks = Chunks::signed(66_560).with_algorithm(Algorithm::EcdsaP256Sha256);
    /// assert_eq!(chunks.payload(), Payload::StreamingEcdsa);
    /// assert_eq!(chunks.encoded_len()?, 67_064);
    /// # Ok::<(), countersign::Error>(())
    /// ```
    #[must_use]
    pub fn with_algorithm(self, algorithm: Algorithm) -> Chunks {
        let form = match self.form {
            Form::Signed(_) => Form::Signed(algorithm),
            Form::Unsigned => Form::Unsigned,
        };
        Chunks { form, ..self }
    }

    /// How many bytes the body has.
    ///
    /// ```
    /// # use countersign::chunked::Chunks;
    /// assert_eq!(Chunks::from(9).length(), 9);
    /// ```
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What the signature of the head says of the body.
    pub fn payload(&self) -> Payload {
        let Form::Signed(algorithm) = self.form else { return Payload::StreamingUnsignedTrailer };
        match (algorithm, self.trailers.is_empty()) {
            (Algorithm::EcdsaP256Sha256, true) => Payload::StreamingEcdsa,
            (Algorithm::EcdsaP256Sha256, false) => Payload::StreamingEcdsaTrailer,
            (Algorithm::HmacSha256, true) => Payload::Streaming,
            (Algorithm::HmacSha256, false) => Payload::StreamingTrailer,
        }
    }

    /// How many bytes are sent for the body: the `content-length` of the request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidHeader`] for trailers that cannot be sent, and [`ErrorKind::BodyLength`] if
    /// the number is larger than a `u64`.
    pub fn encoded_len(&self) -> Result<u64, Error> {
        // Wide enough for any body: a chunk adds less to it than it holds.
        let size = self.chunk_size as u64;
        let (full, rest) = (self.length / size, (self.length % size) as usize);
        let full = u128::from(full) * self.form.chunk_len(self.chunk_size) as u128;
        let rest = if rest > 0 { self.form.chunk_len(rest) } else { 0 };
        let all = full + rest as u128 + self.end_len()? as u128;
        u64::try_from(all).map_err(|_| {
            Error::new(
                ErrorKind::BodyLength,
                format!(
                    "a body of {} bytes is too long: with its chunks it takes {all}, and no length is \
                     larger than {}",
                    self.length,
                    u64::MAX
                ),
            )
        })
    }

    /// The headers to set on the request before its head is signed, each in place of all that it has
    /// under that name: `content-encoding` (with what `head` says of it behind `aws-chunked`),
    /// `content-length`, `x-amz-decoded-content-length` and, with trailers, `x-amz-trailer`.
    ///
    /// Before that, those of an earlier body are to be removed: see [`Chunks::replaced_headers`].
    /// [`Signer::sign_chunked`](crate::Signer::sign_chunked) does all that; this is for heads that
    /// [`Signer::sign_head`](crate::Signer::sign_head) signs.
    ///
    /// # Errors
    /// As [`Chunks::encoded_len`], and [`ErrorKind::InvalidHeader`] for a header of `head` that cannot be
    /// sent.
    ///
    /// ```
    /// use countersign::{Head, Headers, chunked::Chunks};
    ///
    /// let gzip: [(&[u8], &[u8]); 1] = [(b"Content-Encoding", b"gzip")];
    /// let head = Head::parse(b"PUT", b"https://b.s3.amazonaws.com/k", Headers::Pairs(&gzip))?;
    /// let headers: Vec<_> = Chunks::signed(9).headers(head)?.collect();
    /// assert_eq!(headers[0].0, "content-encoding");
    /// assert_eq!(headers[0].1, "aws-chunked,gzip");
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn headers(
        &self,
        head: Head<'_>,
    ) -> Result<impl Iterator<Item = (&'static str, HeaderValue)> + use<>, Error> {
        let mut encoding = CODING.to_vec();
        head.headers.for_each(|name, value| {
            if name.eq_ignore_ascii_case(CONTENT_ENCODING.as_bytes()) {
                for coding in other_codings(value) {
                    encoding.push(b',');
                    encoding.extend_from_slice(coding);
                }
            }
            Ok(())
        })?;
        let names: Vec<&str> = self.trailers.iter().map(Trailer::name).collect();
        let value = |name, bytes: &[u8]| {
            let value = HeaderValue::from_bytes(bytes).map_err(|_| {
                Error::new(
                    ErrorKind::InvalidHeader,
                    format!("`{name}` would contain a byte that no header may hold"),
                )
            })?;
            Ok((name, value))
        };
        let lengths = [(CONTENT_LENGTH, self.encoded_len()?), (DECODED_LENGTH, self.length)];
        let [sent, decoded] = lengths.map(|(name, length)| (name, HeaderValue::from(length)));
        let encoding = value(CONTENT_ENCODING, &encoding)?;
        let trailer = (!names.is_empty()).then(|| value(TRAILER, names.join(",").as_bytes()));
        Ok([Some(encoding), Some(sent), Some(decoded), trailer.transpose()?].into_iter().flatten())
    }

    /// The headers to remove from the request before [`Chunks::headers`] are set: those of an earlier
    /// body.
    ///
    /// ```
    /// # use countersign::chunked::Chunks;
    /// assert!(Chunks::signed(9).replaced_headers().any(|name| name == "x-amz-trailer"));
    /// ```
    pub fn replaced_headers(&self) -> impl Iterator<Item = &'static str> + use<> {
        // HTTP's own chunks would contradict the length, which is signed.
        [CONTENT_ENCODING, CONTENT_LENGTH, DECODED_LENGTH, TRAILER, TRANSFER_ENCODING].into_iter()
    }

    /// How long the last chunk and what is behind it are on the wire, if the trailers can be sent.
    pub(super) fn end_len(&self) -> Result<usize, Error> {
        let refuse = |message| Err(Error::new(ErrorKind::InvalidHeader, message));
        let mut len = 0_usize;
        for (at, trailer) in self.trailers.iter().enumerate() {
            let name = trailer.name();
            if !is_token(name.as_bytes()) || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                let name = name.escape_debug();
                return refuse(format!("the trailer name `{name}` is not a token in lower case"));
            }
            if name == SIGNATURE || self.trailers[..at].iter().any(|other| other.name() == name) {
                return refuse(format!("the trailer `{name}` would be sent twice"));
            }
            if let Trailer::Known { value, .. } = trailer {
                check_header(name.as_bytes(), value)?;
            }
            let line = name.len().saturating_add(trailer.value_len()).saturating_add(3);
            len = len.saturating_add(line);
        }
        if len > LONGEST_TRAILERS {
            return refuse(format!(
                "the trailers take {len} bytes, of which {LONGEST_TRAILERS} at most can be sent"
            ));
        }
        let signature = self.form.signature_len();
        if signature > 0 && !self.trailers.is_empty() {
            len += SIGNATURE.len() + 1 + signature + 2;
        }
        // The chunk of no bytes has no line end of its own before the trailers; the one behind them.
        Ok(self.form.head_len(0) + len + 2)
    }
}

impl From<u64> for Chunks {
    /// A body of so many bytes in signed chunks.
    fn from(length: u64) -> Chunks {
        Chunks::signed(length)
    }
}

impl Form {
    /// How long the line before a chunk of `size` bytes is.
    pub(super) fn head_len(self, size: usize) -> usize {
        let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1) as usize;
        match self {
            Form::Signed(_) => digits + CHUNK_SIGNATURE.len() + self.signature_len() + 2,
            Form::Unsigned => digits + 2,
        }
    }

    /// How long a signature is on the wire; 0 where there are none.
    pub(super) fn signature_len(self) -> usize {
        match self {
            Form::Signed(algorithm) => algorithm.signature_len(),
            Form::Unsigned => 0,
        }
    }

    /// How long a chunk of `size` bytes is on the wire.
    fn chunk_len(self, size: usize) -> usize {
        self.head_len(size) + size + 2
    }
}

impl Trailer {
    pub(super) fn name(&self) -> &str {
        match self {
            Trailer::Computed(checksum) => checksum.name(),
            Trailer::Known { name, .. } => name,
        }
    }

    fn value_len(&self) -> usize {
        match self {
            Trailer::Computed(checksum) => checksum.value_len(),
            Trailer::Known { value, .. } => value.len(),
        }
    }

    /// The value, once the whole body went by.
    pub(super) fn value(&self) -> Result<Vec<u8>, Error> {
        let checksum = match self {
            Trailer::Computed(checksum) => checksum,
            Trailer::Known { value, .. } => return Ok(value.clone()),
        };
        let (mut value, promised) = (Vec::new(), checksum.value_len());
        checksum.write(&mut value);
        check_header(checksum.name().as_bytes(), &value)?;
        if value.len() != promised {
            return Err(Error::new(
                ErrorKind::InvalidHeader,
                format!(
                    "the checksum `{}` wrote {} bytes after it had promised {promised}",
                    checksum.name(),
                    value.len()
                ),
            ));
        }
        Ok(value)
    }
}

/// The codings of a content-encoding header but for that of the chunks.
pub(crate) fn other_codings(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim_blanks)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(CODING))
}

/// What stands between a chunk's length and its signature.
pub(super) const CHUNK_SIGNATURE: &str = ";chunk-signature=";

/// The name of the trailer that signs the others.
pub(super) const SIGNATURE: &str = "x-amz-trailer-signature";

const CODING: &[u8] = b"aws-chunked";

const CONTENT_ENCODING: &str = "content-encoding";

const CONTENT_LENGTH: &str = "content-length";

const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

const TRANSFER_ENCODING: &str = "transfer-encoding";
const TRAILER: &str = "x-amz-trailer";

const USUAL: usize = 64 << 10;

/// Far more than servers take, and little to hold.
const LONGEST_TRAILERS: usize = 64 << 10;
