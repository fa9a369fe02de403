//! Bodies in chunks as HTTP libraries take them.

use std::{
    cell::Cell,
    collections::VecDeque,
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use countersign::{
    Credentials, Error, ErrorKind, Signer,
    body::ChunkedBody,
    chunked::{ChunkBuffer, ChunkSigner, Chunks},
};
use http::{HeaderMap, Request};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};

use crate::support::at;

fn sign(chunks: impl Into<Chunks>) -> ChunkSigner {
    let mut put = Request::put("https://bucket.s3.amazonaws.com/key").body(()).unwrap();
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let at = at("20130524T000000Z");
    Signer::new("us-east-1", "s3").sign_chunked(&mut put, chunks, &credentials, at).unwrap()
}

/// What is sent of these pieces when they are pushed by hand.
fn by_hand(chunks: impl Into<Chunks>, pieces: &[Bytes]) -> Bytes {
    let (mut signer, mut wire) = (sign(chunks), ChunkBuffer::new());
    pieces.iter().for_each(|piece| signer.push(piece, &mut wire).unwrap());
    signer.finish(&mut wire).unwrap();
    wire.split()
}

/// What a body does when it is polled.
enum Step {
    Data(Bytes),
    Fail(&'static str),
    Trailers,
    Wait,
}

/// A body of steps, which counts how often it was polled.
struct Steps {
    steps: VecDeque<Step>,
    polls: Rc<Cell<usize>>,
}

impl Steps {
    fn new(steps: impl IntoIterator<Item = Step>) -> (Steps, Rc<Cell<usize>>) {
        let polls = Rc::new(Cell::new(0));
        (Steps { steps: steps.into_iter().collect(), polls: polls.clone() }, polls)
    }
}

impl Body for Steps {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.polls.set(self.polls.get() + 1);
        Poll::Ready(match self.steps.pop_front() {
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Fail(why)) => Some(Err(why)),
            Some(Step::Trailers) => Some(Ok(Frame::trailers(HeaderMap::new()))),
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => None,
        })
    }
}

/// Polls once; what comes, if anything does.
fn poll<B>(body: &mut ChunkedBody<B>) -> Poll<Option<Result<Bytes, String>>>
where
    B: Body<Error: Into<countersign::body::BoxError>> + Unpin,
    B::Data: Unpin,
{
    let frame = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
    frame.map(|frame| {
        frame.map(|frame| match frame {
            Ok(frame) => Ok(frame.into_data().unwrap()),
            Err(error) => Err(error.to_string()),
        })
    })
}

#[tokio::test]
async fn a_body_is_sent_as_if_it_had_been_pushed() {
    for length in [0, 1, 8192, 8193, 70_000, 300_000] {
        let data = Bytes::from(vec![b'm'; length]);
        let chunks = || Chunks::signed(length as u64).with_chunk_size(8192);
        let expected = by_hand(chunks(), std::slice::from_ref(&data));
        let body = ChunkedBody::new(Full::new(data), sign(chunks()));
        assert_eq!(body.size_hint().exact(), Some(expected.len() as u64), "{length}");
        assert!(!body.is_end_stream());
        assert!(body.collect().await.unwrap().to_bytes() == expected, "{length}");
    }
}

#[tokio::test]
async fn the_size_told_is_what_is_left() {
    let data = Bytes::from(vec![b'm'; 200_000]);
    let mut body = pin!(ChunkedBody::new(Full::new(data), sign(200_000)));
    let mut left = body.size_hint().exact().unwrap();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        left -= frame.unwrap().into_data().unwrap().len() as u64;
        assert_eq!(body.size_hint().exact(), Some(left));
        assert_eq!(body.is_end_stream(), left == 0);
    }
    assert_eq!(left, 0);
}

#[test]
fn the_inner_body_is_asked_only_when_nothing_is_ready() {
    let piece = || Step::Data(Bytes::from(vec![b'm'; 20_000]));
    let (steps, polls) = Steps::new([piece(), Step::Wait, piece(), Step::Trailers]);
    let chunks = || Chunks::signed(40_000).with_chunk_size(8192);
    let mut body = ChunkedBody::new(steps, sign(chunks()));
    let mut sent = Vec::new();
    let mut seen = Vec::new();
    loop {
        match poll(&mut body) {
            Poll::Pending => seen.push((polls.get(), 0)),
            Poll::Ready(Some(data)) => {
                let data = data.unwrap();
                seen.push((polls.get(), data.len()));
                sent.extend(data);
            }
            Poll::Ready(None) => break,
        }
    }
    // Two whole chunks of the first piece, then nothing until the second is there.
    let head = "2000;chunk-signature=".len() + 64 + 2;
    let chunk = head + 8192 + 2;
    let last = "1c40;chunk-signature=".len() + 64 + 2 + 7232 + 2;
    let end = "0;chunk-signature=".len() + 64 + 4;
    assert_eq!(seen, [(1, 2 * chunk), (2, 0), (3, 2 * chunk + last), (5, end)]);
    let pieces = [Bytes::from(vec![b'm'; 40_000])];
    assert!(by_hand(chunks(), &pieces) == sent);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert_eq!(polls.get(), 5, "an ended body is not asked again");
}

#[test]
fn a_large_piece_is_handed_on_bit_by_bit() {
    let length = 10 << 20;
    let (steps, polls) = Steps::new([Step::Data(Bytes::from(vec![b'm'; length]))]);
    let mut body = ChunkedBody::new(steps, sign(length as u64));
    while let Poll::Ready(Some(data)) = poll(&mut body) {
        assert!(data.unwrap().len() < 70_000);
        assert!(polls.get() == 1 || body.is_end_stream());
    }
    assert_eq!(body.size_hint().exact(), Some(0));
}

#[test]
fn an_error_of_the_body_is_passed_on_and_nothing_follows() {
    let piece = Step::Data(Bytes::from_static(b"me"));
    let (steps, _) = Steps::new([piece, Step::Fail("the cat left"), Step::Wait]);
    let mut body = ChunkedBody::new(steps, sign(4));
    assert_eq!(poll(&mut body), Poll::Ready(Some(Err("the cat left".to_owned()))));
    assert!(body.is_end_stream());
    assert_eq!(poll(&mut body), Poll::Ready(None));
}

#[tokio::test]
async fn a_body_of_another_length_never_looks_whole() {
    for (declared, length) in
        [(5, 4), (3, 4), (0, 4), (100_000, 4), (100_000, 100_001), (65_536, 65_537)]
    {
        let data = Bytes::from(vec![b'm'; length]);
        let body = ChunkedBody::new(Full::new(data), sign(declared));
        let whole = body.size_hint().exact().unwrap();
        let mut body = pin!(body);
        let mut sent = 0;
        let error = loop {
            match poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap() {
                Ok(frame) => sent += frame.into_data().unwrap().len() as u64,
                Err(error) => break error,
            }
        };
        assert!(sent < whole, "{declared}");
        let error = error.downcast::<Error>().unwrap();
        assert_eq!(error.kind(), ErrorKind::BodyLength);
        assert!(body.is_end_stream());
    }
}

#[tokio::test]
async fn a_poll_that_was_given_up_loses_nothing() {
    let piece = |data: &'static str| Step::Data(Bytes::from_static(data.as_bytes()));
    let (steps, _) = Steps::new([piece("me"), Step::Wait, piece(""), Step::Wait, piece("ow")]);
    let mut body = ChunkedBody::new(steps, sign(4));
    let mut sent = Vec::new();
    loop {
        // The future of each poll is dropped before the next.
        match poll(&mut body) {
            Poll::Pending => {}
            Poll::Ready(Some(data)) => sent.extend(data.unwrap()),
            Poll::Ready(None) => break,
        }
    }
    assert!(by_hand(4, &[Bytes::from_static(b"meow")]) == sent);
}

#[test]
fn a_body_fits_where_hyper_axum_and_reqwest_take_one() {
    fn is_shared<T: Body<Data = Bytes> + Send + Sync + 'static>(_: &T) {}
    let body = ChunkedBody::new(Full::new(Bytes::from_static(b"meow")), sign(4));
    is_shared(&body);
    #[cfg(feature = "reqwest")]
    assert_eq!(Body::size_hint(&reqwest::Body::wrap(body)).exact(), Some(171 + 5));
}

/// A client and a server that others wrote send and receive such a body.
#[tokio::test]
async fn hyper_sends_a_body_and_axum_receives_it() {
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = axum::routing::put(|headers: HeaderMap, body: Bytes| async move {
        assert_eq!(headers["content-length"], body.len().to_string());
        assert_eq!(headers["content-encoding"], "aws-chunked");
        assert!(!headers.contains_key("transfer-encoding"));
        Ok::<_, Infallible>(body)
    });
    let app = axum::Router::new().route("/key", echo);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let data = Bytes::from(vec![b'm'; 1 << 20]);
    let mut put = Request::put(format!("http://{address}/key")).body(()).unwrap();
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let at = at("20130524T000000Z");
    let signer = Signer::new("us-east-1", "s3")
        .sign_chunked(&mut put, data.len() as u64, &credentials, at)
        .unwrap();
    let put = put.map(|()| ChunkedBody::new(Full::new(data), signer));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(put).await.unwrap();
    assert_eq!(answer.status(), 200);
    let received = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(received.starts_with(b"10000;chunk-signature="));
    assert!(received.ends_with(b"\r\n\r\n"));
}
