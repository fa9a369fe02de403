//! Bodies that are checked while an HTTP library reads them.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use countersign::{
    Credentials, Head, Payload, Scratch, Signer, SigningKey,
    body::VerifiedBody,
    chunked::Chunks,
    verify::{BodyCheck, Error, Known, Refusal, Verifier},
};
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::support::{
    at,
    chunks::{Chunked, Crc, Signing, checksums},
};

const AT: &str = "20150830T123600Z";
const DATA: &[&[u8]] = &[b"meow meow", b"purr", b"hiss!"];

/// A body that comes in steps; `None` is one at which nothing is there yet.
struct Steps(VecDeque<Option<Result<Frame<Bytes>, &'static str>>>);

impl Steps {
    fn of<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Steps {
        let data = |piece: &[u8]| Some(Ok(Frame::data(Bytes::copy_from_slice(piece))));
        Steps(pieces.into_iter().map(data).collect())
    }
}

impl Body for Steps {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.0.pop_front() {
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Some(step)) => Poll::Ready(Some(step)),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let len = self.0.iter().flatten().flatten().filter_map(Frame::data_ref).map(Bytes::len);
        SizeHint::with_exact(len.sum::<usize>() as u64)
    }
}

/// The check of an upload, and its body on the wire.
fn upload(payload: Payload, declares_len: bool) -> (BodyCheck, Vec<u8>) {
    let mut request = Request::put("https://b.s3.amazonaws.com/k").body(()).unwrap();
    let headers = request.headers_mut();
    if payload != Payload::Streaming {
        headers.insert("x-amz-trailer", "x-amz-checksum-crc32".parse().unwrap());
    }
    if declares_len {
        headers.insert("x-amz-decoded-content-length", "18".parse().unwrap());
    }
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    Signer::new("us-east-1", "s3").sign(&mut request, payload, &credentials, at(AT)).unwrap();
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let seed = authorization.rsplit_once('=').unwrap().1;
    let signing = Signing { secret: "secret", at: AT, region: "us-east-1", seed };
    let wire = Chunked::new(payload, DATA).frame(&signing).wire;
    (check(&request), wire)
}

fn check<B>(request: &Request<B>) -> BodyCheck {
    let verifier = Verifier::new().with_checksums(checksums);
    let claim = verifier.claim(Head::from(request), at(AT)).unwrap();
    let key = SigningKey::derive("secret", &claim.scope());
    claim.verify(Some(Known::new(&key)), None, &mut Scratch::new()).unwrap().1
}

const FORMS: [Payload; 3] =
    [Payload::Streaming, Payload::StreamingTrailer, Payload::StreamingUnsignedTrailer];

#[tokio::test]
async fn what_the_chunks_hold_is_read_and_the_trailers_behind_it() {
    for (payload, size) in FORMS.into_iter().zip([1, 7, 1000]) {
        let (check, wire) = upload(payload, true);
        let mut steps = Steps::of(wire.chunks(size));
        // Neither waiting nor the trailers of HTTP make a difference.
        let trailers = HeaderMap::from_iter([("x-other".parse().unwrap(), "1".parse().unwrap())]);
        steps.0.insert(1, None);
        steps.0.push_back(Some(Ok(Frame::trailers(trailers))));
        let read = VerifiedBody::new(steps, check).collect().await.unwrap();
        let trailers = read.trailers().cloned().unwrap_or_default();
        assert_eq!(read.to_bytes(), DATA.concat());
        let crc = Crc::crc32().text_of(&DATA.concat());
        let expected = (payload != Payload::Streaming).then_some(crc);
        let found = trailers.get("x-amz-checksum-crc32").map(|value| value.to_str().unwrap());
        assert_eq!((found, trailers.get("x-other")), (expected.as_deref(), None));
    }
}

#[tokio::test]
async fn each_chunk_is_read_once_the_next_holds_and_the_last_at_the_end() {
    let (check, wire) = upload(Payload::Streaming, false);
    let mut body = pin!(VerifiedBody::new(Steps::of(wire.chunks(1)), check));
    for expected in DATA {
        assert!(!body.is_end_stream());
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), *expected);
    }
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn the_size_is_exact_where_the_request_says_it_and_open_where_it_does_not() {
    let (check, wire) = upload(Payload::StreamingTrailer, true);
    let mut body = pin!(VerifiedBody::new(Steps::of(wire.chunks(9)), check));
    let mut left = 18;
    for expected in DATA {
        assert_eq!(body.size_hint().exact(), Some(left));
        body.frame().await.unwrap().unwrap();
        left -= expected.len() as u64;
    }
    assert_eq!((left, body.size_hint().exact()), (0, Some(0)));
    assert!(body.frame().await.unwrap().unwrap().is_trailers());

    let (check, wire) = upload(Payload::StreamingTrailer, false);
    let mut body = pin!(VerifiedBody::new(Steps::of(wire.chunks(9)), check));
    for _ in DATA {
        let hint = body.size_hint();
        assert!(hint.lower() <= 18 && hint.upper().is_none(), "{hint:?}");
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!(body.size_hint().exact(), Some(0));
}

/// Reads to the end or to an error.
async fn read(
    body: VerifiedBody<Steps>,
) -> (Vec<u8>, Option<Box<dyn std::error::Error + Send + Sync>>) {
    let (mut body, mut all) = (pin!(body), Vec::new());
    loop {
        match body.frame().await {
            Some(Ok(frame)) => all.extend(frame.into_data().unwrap_or_default()),
            Some(Err(error)) => {
                // And nothing after it.
                assert!(body.is_end_stream() && body.frame().await.is_none());
                assert_eq!(body.size_hint().exact(), Some(0));
                return (all, Some(error));
            }
            None => return (all, None),
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_was_signed_ends_in_an_error_before_it_is_whole() {
    for payload in FORMS {
        let len = upload(payload, true).1.len();
        for position in 0..len {
            let (check, mut wire) = upload(payload, true);
            wire[position] ^= 1;
            let (read, error) = read(VerifiedBody::new(Steps::of(wire.chunks(11)), check)).await;
            error.expect("an error").downcast::<Error>().expect("the verifier's");
            assert!(read.len() < 18, "byte {position} of {payload:?}");
            if payload != Payload::StreamingUnsignedTrailer {
                assert!(DATA.concat().starts_with(&read), "byte {position} of {payload:?}");
            }
        }
        for cut in 0..len {
            let (check, wire) = upload(payload, true);
            let (read, error) =
                read(VerifiedBody::new(Steps::of(wire[..cut].chunks(11)), check)).await;
            let error = error.expect("an error").downcast::<Error>().expect("the verifier's");
            assert_eq!(error.refusal(), Refusal::IncompleteBody);
            assert!(read.len() < 18);
        }
    }
}

#[tokio::test]
async fn an_error_of_the_body_is_passed_on() {
    let (check, wire) = upload(Payload::Streaming, true);
    let mut steps = Steps::of(wire.chunks(11));
    steps.0.pop_back();
    steps.0.push_back(Some(Err("the connection is gone")));
    let (data, error) = read(VerifiedBody::new(steps, check)).await;
    assert_eq!(error.unwrap().to_string(), "the connection is gone");
    assert!(data.len() < 18);
}

#[tokio::test]
async fn the_body_is_asked_for_more_only_when_the_reader_asks() {
    let (check, wire) = upload(Payload::Streaming, true);
    let mut steps = Steps::of(wire.chunks(wire.len()));
    steps.0.push_front(None);
    let mut body = pin!(VerifiedBody::new(steps, check));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(body.as_mut().poll_frame(&mut cx).is_pending());
    // All at once: nothing is left to hold back for.
    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), DATA.concat());
}

#[tokio::test]
async fn a_body_whose_hash_is_signed_is_checked_too() {
    for (body, is_right) in [("meow", true), ("mew", false), ("", false)] {
        let mut request = Request::put("https://b.s3.amazonaws.com/k").body(()).unwrap();
        let credentials = Credentials::new("AKIDEXAMPLE", "secret");
        let signer = Signer::new("us-east-1", "s3");
        signer.sign(&mut request, Payload::hash("meow"), &credentials, at(AT)).unwrap();
        let steps = Steps::of(body.as_bytes().chunks(2));
        let body = VerifiedBody::new(steps, check(&request));
        assert_eq!(body.collect().await.is_ok(), is_right);
    }
}

#[tokio::test]
async fn what_the_signing_side_sends_the_verifying_side_reads() {
    let data = b"meow".repeat(10_000);
    for chunks in [
        Chunks::signed(40_000),
        Chunks::signed(40_000).with_checksum(Crc::crc32()),
        Chunks::signed(40_000).with_checksum(Crc::crc32c()).with_chunk_size(8192),
        Chunks::unsigned(40_000, Crc::crc32c()),
    ] {
        let mut put = Request::put("https://b.s3.amazonaws.com/k").body(()).unwrap();
        let credentials = Credentials::new("AKIDEXAMPLE", "secret");
        let signer = Signer::new("us-east-1", "s3")
            .sign_chunked(&mut put, chunks, &credentials, at(AT))
            .unwrap();
        let sent = countersign::body::ChunkedBody::new(Steps::of(data.chunks(777)), signer);
        let read = VerifiedBody::new(sent, check(&put)).collect().await.unwrap();
        assert_eq!(read.to_bytes(), data);
    }
}
