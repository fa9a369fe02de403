//! Bodies on their way: read and hashed before they go on, or passed as they come.

use std::{
    error::Error,
    fmt,
    io::{self, SeekFrom},
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use countersign::{Payload, verify};
use futures_util::TryStreamExt;
use http::HeaderValue;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{
    BodyExt, BodyStream, Full, LengthLimitError, StreamBody, combinators::UnsyncBoxBody,
};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_util::io::ReaderStream;

use crate::{
    BoxError, Limits, head,
    refuse::{Reason, Refusal},
    upstream::BUFFER,
};

/// A body of either direction.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that was read to its end.
pub(crate) struct Held {
    pub(crate) length: u64,
    pub(crate) payload: Payload,
    /// The names of what comes behind it.
    pub(crate) trailer: Option<HeaderValue>,
    pub(crate) body: Body,
    /// All of it, if that is in memory and has nothing behind it.
    pub(crate) whole: Option<Bytes>,
}

/// Where bodies are held while they are hashed.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    memory: usize,
    limit: u64,
    folder: Option<PathBuf>,
    /// A permit for each KiB in files.
    room: Arc<Semaphore>,
    patience: Duration,
}

/// Room for so many at a time.
pub(crate) fn room(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
}

pub(crate) fn whole(data: Bytes) -> Body {
    Full::new(data).map_err(|never| match never {}).boxed_unsync()
}

impl Holding {
    pub(crate) fn new(limits: &Limits, patience: Duration) -> Holding {
        Holding {
            memory: limits.memory,
            limit: limits.body,
            folder: limits.spool.clone(),
            room: room(usize::try_from(limits.spooled / KIB).unwrap_or(usize::MAX)),
            patience,
        }
    }

    /// Takes the room for files of another, whose bodies are still there.
    pub(crate) fn share(&mut self, other: &Holding) {
        self.room = Arc::clone(&other.room);
    }

    /// The same for bodies that are not longer than this.
    pub(crate) fn within(&self, limit: u64) -> Holding {
        Holding { limit: self.limit.min(limit), ..self.clone() }
    }

    /// Reads a body to its end and hashes it on the way: into memory, and what is longer into a file
    /// without a name, which is gone with the last who has it open.
    pub(crate) async fn hold(&self, body: &mut Incoming) -> Result<Held, Refusal> {
        let mut hash = Sha256::new();
        let mut length = 0;
        let mut only = Bytes::new();
        let mut memory = BytesMut::new();
        let mut file = None;
        let mut trailers = None;
        while let Some(frame) = self.frame(body).await? {
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    trailers = frame.into_trailers().ok().and_then(head::passing_trailers);
                    continue;
                }
            };
            length += data.len() as u64;
            self.check(length)?;
            hash.update(&data);
            match &mut file {
                Some((file, taken)) => {
                    self.take(taken, length)?;
                    write(file, &data).await?;
                }
                // A body in one piece is not copied.
                None if length == data.len() as u64 && data.len() <= self.memory => only = data,
                None => {
                    memory.extend_from_slice(&std::mem::take(&mut only));
                    if length <= self.memory as u64 {
                        memory.extend_from_slice(&data);
                        continue;
                    }
                    let mut taken = None;
                    self.take(&mut taken, length)?;
                    let mut opened = self.open().await?;
                    write(&mut opened, &std::mem::take(&mut memory)).await?;
                    write(&mut opened, &data).await?;
                    file = Some((opened, taken));
                }
            }
        }
        let payload = Payload::Sha256(hash.finalize().into());
        let trailer = trailers.as_ref().and_then(head::names);
        let in_memory = if memory.is_empty() { only } else { memory.freeze() };
        let (data, whole) = match file {
            Some((file, taken)) => (read_back(file, length, taken).await.map_err(spool)?, None),
            None => (whole(in_memory.clone()), Some(in_memory).filter(|_| trailer.is_none())),
        };
        let body = match trailers {
            // As a stream it has no length, with which no trailers would be sent.
            Some(trailers) => {
                let both = data.with_trailers(async { Some(Ok(trailers)) });
                StreamBody::new(BodyStream::new(both)).boxed_unsync()
            }
            None => data,
        };
        Ok(Held { length, payload, trailer, body, whole })
    }

    /// Passes a body on as it comes, within the same limits.
    pub(crate) fn pass(&self, body: Incoming) -> Body {
        let body = Timed::new(body.map_err(Broken), self.patience);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let body = http_body_util::Limited::new(body, limit);
        body.map_frame(|frame| match frame.into_trailers() {
            Ok(trailers) => Frame::trailers(head::passing_trailers(trailers).unwrap_or_default()),
            Err(frame) => frame,
        })
        .boxed_unsync()
    }

    /// Whether a body of this length is held in memory.
    pub(crate) fn fits_memory(&self, length: u64) -> bool {
        length <= self.memory as u64
    }

    /// Refuses a body that says that it is too long.
    pub(crate) fn check(&self, length: u64) -> Result<(), Refusal> {
        if length <= self.limit {
            return Ok(());
        }
        let message = format!("the body is longer than the {} bytes that are taken", self.limit);
        Err(Refusal::new(Reason::BodyTooLong, message))
    }

    async fn frame(&self, body: &mut Incoming) -> Result<Option<Frame<Bytes>>, Refusal> {
        match timeout(self.patience, body.frame()).await {
            Ok(frame) => frame.transpose().map_err(|error| Broken(error).refusal()),
            Err(_) => {
                let message = format!("nothing of the body came within {:?}", self.patience);
                Err(Refusal::new(Reason::BodyTimeout, message))
            }
        }
    }

    /// Takes room for a file of this length, beyond what it has.
    fn take(&self, taken: &mut Option<OwnedSemaphorePermit>, length: u64) -> Result<(), Refusal> {
        let has = taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) as u64;
        let more = u32::try_from(length.div_ceil(KIB).saturating_sub(has)).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.room).try_acquire_many_owned(more) else {
            let message =
                "the bodies of other requests leave no room for this one: try again later";
            return Err(Refusal::new(Reason::Spool, message));
        };
        match taken {
            Some(taken) => taken.merge(more),
            None => *taken = Some(more),
        }
        Ok(())
    }

    async fn open(&self) -> Result<File, Refusal> {
        let folder = self.folder.clone();
        let open = move || match folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        };
        let opened = spawn_blocking(open).await.map_err(io::Error::other).and_then(|file| file);
        let mut file = File::from_std(opened.map_err(spool)?);
        file.set_max_buf_size(BUFFER);
        Ok(file)
    }
}

async fn write(file: &mut File, data: &[u8]) -> Result<(), Refusal> {
    file.write_all(data).await.map_err(spool)
}

/// What was written to the file, from its beginning; its room is free when it is dropped.
async fn read_back(
    mut file: File,
    length: u64,
    room: Option<OwnedSemaphorePermit>,
) -> io::Result<Body> {
    file.flush().await?;
    file.seek(SeekFrom::Start(0)).await?;
    let pieces = ReaderStream::with_capacity(file, BUFFER).map_ok(Frame::data).err_into();
    let body = StreamBody::new(pieces);
    Ok(Sized { body, left: length, room }.boxed_unsync())
}

fn spool(error: io::Error) -> Refusal {
    let message = format!("the body cannot be held until its hash is known: {error}");
    Refusal::new(Reason::Spool, message)
}

/// A body that is so long.
pub(crate) fn sized<B>(body: B, length: u64) -> Body
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    Sized { body, left: length, room: None }.boxed_unsync()
}

pin_project! {
    /// A body whose length is known.
    struct Sized<B> {
        #[pin]
        body: B,
        left: u64,
        room: Option<OwnedSemaphorePermit>,
    }
}

impl<B: http_body::Body<Data = Bytes>> http_body::Body for Sized<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            *this.left =
                this.left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

pin_project! {
    /// A body of which each piece must come in time. Only who waits for one is timed.
    pub(crate) struct Timed<B> {
        #[pin]
        body: B,
        #[pin]
        sleep: Option<Sleep>,
        limit: Duration,
    }
}

impl<B> Timed<B> {
    pub(crate) fn new(body: B, limit: Duration) -> Timed<B> {
        Timed { body, sleep: None, limit }
    }
}

impl<B: http_body::Body<Error: Into<BoxError>>> http_body::Body for Timed<B> {
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            this.sleep.set(None);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep(*this.limit)));
        }
        match this.sleep.as_mut().as_pin_mut().map(|sleep| sleep.poll(cx)) {
            Some(Poll::Ready(())) => {
                // Whoever asks once more waits once more.
                this.sleep.set(None);
                Poll::Ready(Some(Err(Late.into())))
            }
            _ => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of a body did not come in time.
#[derive(Debug)]
struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the next piece of the body did not come in time")
    }
}

impl Error for Late {}

/// A client's body has no end: the client left, or framed it wrong.
#[derive(Debug)]
struct Broken(hyper::Error);

impl Broken {
    fn refusal(&self) -> Refusal {
        Refusal::new(Reason::BodyBroken, self.to_string())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body cannot be read: {}", self.0)
    }
}

impl Error for Broken {}

/// Why a client's body did not come to its end, as far as the client should know.
fn cut_short(error: &BoxError) -> Option<Refusal> {
    let mut cause: &(dyn Error + 'static) = &**error;
    loop {
        if let Some(error) = cause.downcast_ref::<verify::Error>() {
            return Some(Refusal::unverified(error));
        }
        if let Some(broken) = cause.downcast_ref::<Broken>() {
            return Some(broken.refusal());
        }
        if cause.is::<LengthLimitError>() {
            let message = "the body is longer than what is taken";
            return Some(Refusal::new(Reason::BodyTooLong, message));
        }
        if cause.is::<Late>() {
            let message = "the body did not arrive in time";
            return Some(Refusal::new(Reason::BodyTimeout, message));
        }
        cause = cause.source()?;
    }
}

/// The same body, that does not say how long it is, or that it has ended. Of one that does, HTTP/1.1 lets a 304 not
/// say how long the body of a 200 would be.
pub(crate) fn untold<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    StreamBody::new(BodyStream::new(body)).boxed_unsync()
}

/// When something last passed, such as a piece of a body that a service took, and why no more did.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    began: Instant,
    noted: Arc<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    /// In milliseconds since it began.
    last: AtomicU64,
    bytes: AtomicU64,
    failed: OnceLock<Refusal>,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress { began: Instant::now(), noted: Arc::default() }
    }

    pub(crate) fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.noted.last.load(Ordering::Relaxed))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.noted.bytes.load(Ordering::Relaxed)
    }

    /// What was wrong with the body, if that is why it has no end.
    pub(crate) fn failed(&self) -> Option<&Refusal> {
        self.noted.failed.get()
    }

    /// The same body, which notes when somebody takes a piece of it.
    pub(crate) fn watch(&self, body: Body) -> Body {
        Watched { body, progress: self.clone() }.boxed_unsync()
    }

    pub(crate) fn note(&self, length: usize) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.noted.last.store(now, Ordering::Relaxed);
        self.noted.bytes.fetch_add(length as u64, Ordering::Relaxed);
    }
}

pin_project! {
    struct Watched {
        #[pin]
        body: Body,
        progress: Progress,
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        // Who waits for a piece of the client's does not wait for the service.
        let length = match &frame {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        this.progress.note(length);
        if let Poll::Ready(Some(Err(error))) = &frame
            && let Some(refusal) = cut_short(error)
        {
            // Over HTTP/2 the connection to the service does not pass it on.
            let _ = this.progress.noted.failed.set(refusal);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Watches an answer on its way to the client.
pub(crate) trait Watch: Send + 'static {
    /// A piece passes.
    fn piece(&mut self, data: &[u8]);
    /// All of it has passed, trailers included.
    fn end(&mut self);
}

pin_project! {
    /// An answer that somebody watches; dropped before its end if nobody wanted the rest.
    pub(crate) struct Answer<W> {
        #[pin]
        body: Body,
        // What has not passed, where the answer says how long it is: then nobody asks for its end.
        left: Option<u64>,
        watch: W,
    }
}

impl<W: Watch> Answer<W> {
    pub(crate) fn new(body: Body, mut watch: W) -> Answer<W> {
        let left = body.size_hint().exact();
        if body.is_end_stream() || left == Some(0) {
            watch.end();
        }
        Answer { body, left, watch }
    }
}

impl<W: Watch> http_body::Body for Answer<W> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let frame = this.body.as_mut().poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.watch.piece(data);
                    *this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                }
                if *this.left == Some(0) || this.body.is_end_stream() {
                    this.watch.end();
                }
            }
            Poll::Ready(None) => this.watch.end(),
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

const KIB: u64 = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Ends(Arc<AtomicU64>);

    impl Watch for Ends {
        fn piece(&mut self, _: &[u8]) {}

        fn end(&mut self) {
            self.0.store(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn an_answer_of_known_length_is_whole_with_its_last_byte_however_it_is_wrapped() {
        for (taken, expected) in [(1, 0), (2, 1)] {
            let ends = Ends::default();
            let pieces = ["me", "ow"].map(|it| Ok::<_, BoxError>(Frame::data(Bytes::from(it))));
            let body = StreamBody::new(futures_util::stream::iter(pieces));
            let body = Sized { body, left: 4, room: None };
            let body = Timed::new(body, Duration::from_secs(9));
            let mut answer = Answer::new(body.boxed_unsync(), ends.clone());
            for _ in 0..taken {
                answer.frame().await.expect("there is a piece").expect("which is whole");
            }
            drop(answer);
            assert_eq!(ends.0.load(Ordering::Relaxed), expected, "{taken}");
        }
    }
}
