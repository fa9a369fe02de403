//! The bodies that the layers hand on.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::BoxError;
use crate::{body::VerifiedBody, verify::BodyCheck};

pin_project! {
    /// A body behind a layer: read into memory, passed on as it comes, or checked while it is read.
    ///
    /// [`Verify`](super::Verify) and [`Sign`](super::Sign) hand their inner service requests with such a
    /// body, and the former answers with one. Read it as any [`http_body::Body`].
    ///
    /// ```
    /// use countersign::tower::Body;
    /// use http_body::Body as _;
    ///
    /// let body = Body::<String>::from(bytes::Bytes::from_static(b"meow"));
    /// assert_eq!(body.size_hint().exact(), Some(4));
    /// ```
    pub struct Body<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = Projected]
    enum Kind<B> {
        Whole { data: Option<Bytes>, trailers: Option<HeaderMap> },
        Passed { #[pin] body: B },
        Checked { #[pin] body: VerifiedBody<B> },
    }
}

impl<B> Body<B> {
    pub(super) fn whole(data: Bytes, trailers: Option<HeaderMap>) -> Body<B> {
        let data = Some(data).filter(|data| !data.is_empty());
        Body { kind: Kind::Whole { data, trailers } }
    }

    pub(super) fn passed(body: B) -> Body<B> {
        Body { kind: Kind::Passed { body } }
    }

    pub(super) fn checked(body: B, check: BodyCheck) -> Body<B> {
        Body { kind: Kind::Checked { body: VerifiedBody::new(body, check) } }
    }
}

impl<B> From<Bytes> for Body<B> {
    fn from(data: Bytes) -> Body<B> {
        Body::whole(data, None)
    }
}

impl<B> http_body::Body for Body<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            Projected::Whole { data, trailers } => {
                let data = data.take().map(Frame::data);
                Poll::Ready(data.or_else(|| trailers.take().map(Frame::trailers)).map(Ok))
            }
            Projected::Passed { body } => {
                body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Projected::Checked { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole { data, trailers } => data.is_none() && trailers.is_none(),
            Kind::Passed { body } => body.is_end_stream(),
            Kind::Checked { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole { data, .. } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Kind::Passed { body } => body.size_hint(),
            Kind::Checked { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for Body<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

/// A body that was read to its end.
pub(super) struct Whole {
    pub(super) data: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

/// Why a body was not read to its end.
pub(super) enum NotRead {
    TooLong,
    Failed(BoxError),
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read<B>(body: B, limit: usize) -> Result<Whole, NotRead>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(NotRead::TooLong);
    }
    let mut body = pin!(body);
    let mut only = Bytes::new();
    let mut all = BytesMut::new();
    let mut trailers = None;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let data = match frame.map_err(|error| NotRead::Failed(error.into()))?.into_data() {
            Ok(data) => data,
            Err(frame) => {
                trailers = frame.into_trailers().ok();
                continue;
            }
        };
        if data.len() > limit - only.len().max(all.len()) {
            return Err(NotRead::TooLong);
        }
        // A body in one piece is not copied.
        if only.is_empty() && all.is_empty() {
            only = data;
            continue;
        }
        all.extend_from_slice(&std::mem::take(&mut only));
        all.extend_from_slice(&data);
    }
    let data = if all.is_empty() { only } else { all.freeze() };
    Ok(Whole { data, trailers })
}
