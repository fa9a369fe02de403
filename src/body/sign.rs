//! A body that is signed in chunks while it is sent.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::BoxError;
use crate::chunked::{ChunkBuffer, ChunkSigner};

pin_project! {
    /// A body that is signed in chunks while it is sent. Give it to whatever takes an
    /// [`http_body::Body`]: hyper, axum, or reqwest by way of `reqwest::Body::wrap`.
    ///
    /// Its length is known, and the head already says it. It holds a chunk and a piece of the body at
    /// most, and asks the body for more only when all before was handed on. An error of the body is
    /// passed on; a body that is longer or shorter than was declared ends in an
    /// [`Error`](crate::Error) of kind [`BodyLength`](crate::ErrorKind::BodyLength), before the bytes
    /// that would make it look whole. HTTP trailers of the body are dropped: `aws-chunked` has its own.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Credentials, Signer, body::ChunkedBody};
    /// use http_body_util::{BodyExt, Full};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let body = Full::new(bytes::Bytes::from_static(b"meow"));
    /// let mut put = http::Request::put("https://bucket.s3.amazonaws.com/cat").body(())?;
    /// let (credentials, now) = (Credentials::new("AKIDEXAMPLE", "secret"), SystemTime::now());
    /// let signer = Signer::new("us-east-1", "s3").sign_chunked(&mut put, 4, &credentials, now)?;
    /// let put = put.map(|()| ChunkedBody::new(body, signer));
    ///
    /// let sent = put.into_body().collect().await?.to_bytes();
    /// assert!(sent.starts_with(b"4;chunk-signature="));
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub struct ChunkedBody<B>
    where
        B: Body,
    {
        #[pin]
        body: B,
        // What came of the body and was not signed yet.
        piece: Option<B::Data>,
        // Gone once the end was written, or an error was.
        signer: Option<ChunkSigner>,
        // Small chunks are handed on by the dozen. A large one goes alone: the next would take room of its
        // own beside it.
        is_small: bool,
        wire: ChunkBuffer,
        // How many bytes are still to be handed on.
        left: u64,
    }
}

impl<B: Body> ChunkedBody<B> {
    /// The body in chunks that `signer` signs.
    pub fn new(body: B, signer: ChunkSigner) -> ChunkedBody<B> {
        let (left, is_small) = (signer.encoded_len(), signer.next_len() < LARGE);
        let wire = ChunkBuffer::new();
        ChunkedBody { body, piece: None, signer: Some(signer), is_small, wire, left }
    }
}

impl<B> Body for ChunkedBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        loop {
            if this.wire.has_remaining() {
                let ready = this.wire.split();
                *this.left -= ready.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(ready))));
            }
            let Some(signer) = this.signer.as_mut() else {
                return Poll::Ready(None);
            };
            let result = match this.piece.as_mut().filter(Buf::has_remaining) {
                Some(piece) => {
                    let now = piece.chunk();
                    let most = match *this.is_small {
                        true => AT_ONCE,
                        // Behind the last chunk as well, where a byte more is told to be too many.
                        false => signer.until_end().clamp(1, AT_ONCE),
                    };
                    let now = &now[..now.len().min(most)];
                    let result = signer.push(now, this.wire);
                    let count = now.len();
                    piece.advance(count);
                    result.map_err(Into::into)
                }
                None => match ready!(this.body.as_mut().poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        *this.piece = frame.into_data().ok();
                        Ok(())
                    }
                    Some(Err(error)) => Err(error.into()),
                    None => {
                        let signer = this.signer.take().expect("it is there: see above");
                        signer.finish(this.wire).map_err(Into::into)
                    }
                },
            };
            if let Err(error) = result {
                // What was held back of a chunk must not follow.
                (*this.signer, *this.piece, *this.left) = (None, None, 0);
                drop(mem::take(this.wire));
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.signer.is_none() && !self.wire.has_remaining()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl<B: Body> fmt::Debug for ChunkedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkedBody").field("left", &self.left).finish_non_exhaustive()
    }
}

/// How much of a piece is signed before what is ready of it is handed on: a piece may be a file in
/// memory, which is not to be there twice.
const AT_ONCE: usize = 64 << 10;
/// From here on a chunk is large.
const LARGE: usize = 16 << 10;
