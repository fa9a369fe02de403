//! A body that is checked while it is read.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::BoxError;
use crate::{
    chunked::{ChunkBuffer, Trailers},
    verify::BodyCheck,
};

pin_project! {
    /// A body that is read as it comes and checked on the way, and taken out of its chunks if it comes in
    /// any.
    ///
    /// Of signed chunks each one is handed on after its own signature held. Of a body whose hash is signed,
    /// and of **chunks that are not signed**, what is handed on is not known to be what was sent before the
    /// body ended. The last piece is held back until then; if the body is not the one that was signed, an
    /// error takes its place, which is a [`verify::Error`](crate::verify::Error) in a box. So act on nothing
    /// before the body ended, or be ready to take it back.
    ///
    /// At most one chunk and one piece are held in memory. The trailers that came with chunks, and that a
    /// signature or a checksum vouches for, are handed on behind the data; all others are dropped, since no
    /// signature covers them. Dropped early, it leaves nothing behind.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{
    ///     Head, Payload, Scratch, Signer, SigningKey,
    ///     body::VerifiedBody,
    ///     verify::{Known, Verifier},
    /// };
    /// use http_body_util::{BodyExt, Full};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let now = SystemTime::now();
    /// # let body = Full::<bytes::Bytes>::from("meow");
    /// # let mut request = http::Request::put("https://b.s3.amazonaws.com/k").body(body)?;
    /// # let credentials = countersign::Credentials::new("AKIDEXAMPLE", "secret");
    /// # Signer::new("eu-west-1", "s3").sign(&mut request, Payload::hash("meow"), &credentials, now)?;
    /// // `request` is what a server was sent.
    /// let verifier = Verifier::new();
    /// let (parts, body) = request.into_parts();
    /// let claim = verifier.claim(Head::from(&parts), now)?;
    /// let key = SigningKey::derive("secret", &claim.scope());
    /// let (_, check) = claim.verify(Some(Known::new(&key)), None, &mut Scratch::new())?;
    /// let body = VerifiedBody::new(body, check);
    /// assert_eq!(body.collect().await?.to_bytes(), "meow");
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub struct VerifiedBody<B> {
        #[pin]
        body: B,
        // Gone once the body ended or failed.
        check: Option<BodyCheck>,
        out: ChunkBuffer,
        held: Option<Bytes>,
        trailers: Option<HeaderMap>,
        // How many bytes are still to be handed on, if that is known.
        left: Option<u64>,
    }
}

impl<B> VerifiedBody<B> {
    /// The body of a request whose signature held, and the check that came with the proof.
    pub fn new(body: B, check: BodyCheck) -> VerifiedBody<B> {
        let left = check.decoded_len();
        VerifiedBody {
            body,
            check: Some(check),
            out: ChunkBuffer::new(),
            held: None,
            trailers: None,
            left,
        }
    }
}

impl<B> http_body::Body for VerifiedBody<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        let handed_on = loop {
            let Some(checking) = this.check else {
                match this.held.take() {
                    Some(data) => break data,
                    None => {
                        let trailers = this.trailers.take().map(Frame::trailers);
                        return Poll::Ready(trailers.map(Ok));
                    }
                }
            };
            let failed = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let believed = if checking.is_in_chunks() {
                        checking.push_into(&data, this.out).map(|()| this.out.split())
                    } else {
                        checking.push(&data).map(|()| data)
                    };
                    match believed {
                        Ok(data) if data.is_empty() => continue,
                        Ok(data) => match this.held.replace(data) {
                            Some(data) => break data,
                            None => continue,
                        },
                        Err(error) => error.into(),
                    }
                }
                Some(Err(error)) => error.into(),
                None => match this.check.take().map(BodyCheck::finish) {
                    Some(Err(error)) => error.into(),
                    Some(Ok(trailers)) if !trailers.is_empty() => {
                        *this.trailers = Some(as_headers(&trailers));
                        continue;
                    }
                    _ => continue,
                },
            };
            (*this.check, *this.held, *this.left) = (None, None, Some(0));
            *this.out = ChunkBuffer::new();
            return Poll::Ready(Some(Err(failed)));
        };
        if let Some(left) = this.left {
            *left = left.saturating_sub(handed_on.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(handed_on))))
    }

    fn is_end_stream(&self) -> bool {
        self.check.is_none() && self.held.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // A body that does not come to so much ends in an error.
        if let Some(left) = self.left {
            return SizeHint::with_exact(left);
        }
        let held = self.held.as_ref().map_or(0, |data| data.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(held);
        match &self.check {
            None => hint.set_exact(held),
            // How much of what is still to come is frame is not known.
            Some(check) if check.is_in_chunks() => {}
            Some(_) => {
                let rest = self.body.size_hint();
                if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(held)) {
                    hint.set_upper(upper);
                }
                hint.set_lower(rest.lower().saturating_add(held));
            }
        }
        hint
    }
}

impl<B> fmt::Debug for VerifiedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedBody").finish_non_exhaustive()
    }
}

fn as_headers(trailers: &Trailers) -> HeaderMap {
    let pair = |(name, value): (&str, &[u8])| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(value).ok()?))
    };
    trailers.iter().filter_map(pair).collect()
}
