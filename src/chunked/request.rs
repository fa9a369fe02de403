//! Signing a request whose body comes in chunks.

use std::time::SystemTime;

use http::HeaderMap;

use super::{ChunkSigner, Chunks};
use crate::{Credentials, Error, ErrorKind, Head, Headers, SignRequest, Signer};

impl Signer {
    /// Signs the head of a request whose body comes in chunks, and returns what signs these.
    ///
    /// `chunks` is the length of the body in bytes, or [`Chunks`], which says more. Beside what
    /// [`Signer::sign`] writes, this sets `content-encoding` (`aws-chunked`, before any other coding),
    /// `content-length`, `x-amz-decoded-content-length` and, with trailers, `x-amz-trailer`. What an
    /// earlier call set is replaced, so a retry may sign the same request again.
    ///
    /// # Errors
    /// As [`Signer::sign_head`] and [`Chunks::encoded_len`]; [`ErrorKind::UnsupportedPayload`] for VPC
    /// Lattice, which takes no chunks. The request is then untouched.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Credentials, Signer, chunked::Chunks};
    ///
    /// let mut put = http::Request::put("https://bucket.s3.eu-central-1.amazonaws.com/cat.svgz")
    ///     .header("content-encoding", "gzip")
    ///     .body(())?;
    /// let chunks = Chunks::signed(3 << 20).with_chunk_size(1 << 20);
    /// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// let signer = Signer::new("eu-central-1", "s3")
    ///     .sign_chunked(&mut put, chunks, &credentials, SystemTime::now())?;
    /// assert_eq!(put.headers()["content-encoding"], "aws-chunked,gzip");
    /// assert_eq!(signer.next_len(), 1 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign_chunked(
        &self,
        request: &mut impl SignRequest,
        chunks: impl Into<Chunks>,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<ChunkSigner, Error> {
        let chunks = chunks.into().with_algorithm(self.algorithm());
        let mut headers = request.headers_mut().clone();
        chunks.set_headers(request.head()?, &mut headers)?;
        self.pool.lend(|scratch| {
            let head = Head { headers: Headers::Map(&headers), ..request.head()? };
            let signed = self.sign_head(head, chunks.payload(), credentials, at, scratch)?;
            let signer = ChunkSigner::new(&signed, chunks)?;
            std::mem::swap(request.headers_mut(), &mut headers);
            request.apply(&signed).inspect_err(|_| {
                std::mem::swap(request.headers_mut(), &mut headers);
            })?;
            Ok(signer)
        })
    }
}

impl Chunks {
    /// Sets on `headers`, a copy of those of `head`, what goes with the body.
    fn set_headers(&self, head: Head<'_>, headers: &mut HeaderMap) -> Result<(), Error> {
        for name in self.replaced_headers() {
            headers.remove(name);
        }
        for (name, value) in self.headers(head)? {
            let before = headers.len();
            headers.try_insert(name, value).map_err(|_| {
                Error::new(
                    ErrorKind::InvalidHeader,
                    format!("the request has {before} headers, too many to add those of a body"),
                )
            })?;
        }
        Ok(())
    }
}
