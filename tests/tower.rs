//! What the tower layers let through, and what they send.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::{
    Credentials, KeyCache, Payload, Signer,
    chunked::{ChunkBuffer, Chunks},
    providers::{BoxFuture, ProvideCredentials, ProviderError},
    tower::{
        Body, BoxError, KeyFound, LongBody, LookUp, Refused, Sign, SignError, SignLayer, Verify,
        VerifyLayer,
    },
    verify::{Refusal, Verified, Verifier, Wire},
};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::chunks::{Crc, checksums};

const URL: &str = "https://sqs.us-east-1.amazonaws.com/queue?x=1";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "secret")
}

fn signed(service: &str, url: &str, body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::post(url).body(Full::from(body)).unwrap();
    let signer = Signer::new("us-east-1", service);
    signer.sign(&mut request, Payload::hash(body), &credentials(), now()).unwrap();
    request
}

/// A layer of a server that knows one key.
fn layer(verifier: Verifier, wire: Wire) -> VerifyLayer {
    let keys = KeyCache::default();
    let find = move |wanted: LookUp| {
        let secret = (wanted.access_key_id() == "AKIDEXAMPLE").then_some("secret");
        let key = secret.map(|secret| keys.key(wanted.access_key_id(), secret, &wanted.scope()));
        async { Ok::<_, Infallible>(key.map(KeyFound::new)) }
    };
    VerifyLayer::new(verifier, wire, find).with_clock(now).with_request_id(|_| "ID".to_owned())
}

fn json() -> VerifyLayer {
    layer(Verifier::new(), Wire::Json)
}

/// A service that answers with who signed and what it was sent, behind the layer.
async fn send<B>(layer: &VerifyLayer, request: Request<B>) -> (http::response::Parts, String)
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = layer.layer(service_fn(async |request: Request<Body<B>>| {
        let who =
            request.extensions().get::<Verified<'static>>().unwrap().access_key_id().to_owned();
        let body = match request.into_body().collect().await {
            Ok(body) => String::from_utf8(body.to_bytes().to_vec()).unwrap(),
            Err(error) => format!("<{error}>"),
        };
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(format!("{who}: {body}"))))
    }));
    let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, String::from_utf8(body.to_vec()).unwrap())
}

/// A body in pieces that does not say how long it is, and may end in an error or in trailers.
struct Pieces(Vec<Result<Frame<Bytes>, io::Error>>);

impl Pieces {
    fn of(pieces: &[&'static str]) -> Pieces {
        Pieces(
            pieces
                .iter()
                .rev()
                .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))
                .collect(),
        )
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.0.pop())
    }
}

#[tokio::test]
async fn a_signed_request_comes_through_with_its_proof_and_its_body() {
    let (parts, body) = send(&json(), signed("sqs", URL, "meow")).await;
    assert_eq!((parts.status.as_u16(), &*body), (200, "AKIDEXAMPLE: meow"));
    let s3 = signed("s3", "https://b.s3.amazonaws.com/k", "meow");
    let (parts, body) = send(&layer(Verifier::new(), Wire::S3Xml), s3).await;
    assert_eq!((parts.status.as_u16(), &*body), (200, "AKIDEXAMPLE: meow"));
}

#[tokio::test]
async fn what_is_not_signed_is_answered_as_aws_would_and_never_comes_through() {
    let unsigned = || Request::get(URL).body(Empty::<Bytes>::new()).unwrap();
    for (wire, kind, id, code) in [
        (
            Wire::Json,
            "application/x-amz-json-1.1",
            "x-amzn-requestid",
            "{\"__type\":\"MissingAuthenticationTokenException\",",
        ),
        (Wire::QueryXml, "text/xml", "x-amzn-requestid", "<Code>MissingAuthenticationToken</Code>"),
        (Wire::S3Xml, "application/xml", "x-amz-request-id", "<Code>AccessDenied</Code>"),
    ] {
        let (parts, body) = send(&layer(Verifier::new(), wire), unsigned()).await;
        assert_eq!(parts.status, 403);
        assert_eq!(
            (&parts.headers["content-type"], &parts.headers[id]),
            (&kind.parse().unwrap(), &"ID".parse().unwrap())
        );
        assert!(body.contains(code), "{body}");
        let Some(Refused::Signature(error)) = parts.extensions.get() else { panic!("no reason") };
        assert_eq!(error.refusal(), Refusal::NoCredentials);
    }
    let (parts, _) = send(&json(), unsigned()).await;
    assert_eq!(parts.headers["x-amzn-errortype"], "MissingAuthenticationTokenException");
}

#[tokio::test]
async fn an_altered_request_is_refused() {
    let mut altered = signed("sqs", URL, "meow");
    *altered.uri_mut() = URL.replace("x=1", "x=2").parse().unwrap();
    let (parts, body) = send(&json(), altered).await;
    assert_eq!(parts.status, 403);
    assert!(body.contains("InvalidSignatureException"), "{body}");
    for (service, url, wire, status, code) in [
        ("sqs", URL, Wire::QueryXml, 403, "SignatureDoesNotMatch"),
        ("s3", "https://b.s3.amazonaws.com/k", Wire::S3Xml, 400, "XAmzContentSHA256Mismatch"),
    ] {
        let altered = signed(service, url, "meow").map(|_| Full::<Bytes>::from("woof"));
        let (parts, body) = send(&layer(Verifier::new(), wire), altered).await;
        assert_eq!(parts.status, status);
        assert!(body.contains(code), "{body}");
    }
}

#[tokio::test]
async fn an_unknown_key_and_a_wrong_token_are_refused() {
    let mut request = Request::get(URL).body(Full::<Bytes>::default()).unwrap();
    let signer = Signer::new("us-east-1", "sqs");
    signer
        .sign(&mut request, Payload::EMPTY, &Credentials::new("AKIDOTHER", "secret"), now())
        .unwrap();
    let (parts, body) = send(&json(), request.clone()).await;
    assert_eq!(parts.status, 403);
    assert!(body.contains("UnrecognizedClientException"), "{body}");
    let uniform = layer(Verifier::new().with_uniform_refusals(true), Wire::Json);
    let (parts, body) = send(&uniform, request.clone()).await;
    assert_eq!(parts.headers["x-amzn-errortype"], "InvalidSignatureException");
    assert!(body.contains("InvalidSignatureException"), "{body}");
    let temporary = credentials().with_session_token("token");
    signer.sign(&mut request, Payload::EMPTY, &temporary, now()).unwrap();
    assert_eq!(send(&json(), request.clone()).await.0.status, 403);
    let knows = |token: &'static str| {
        VerifyLayer::new(Verifier::new(), Wire::Json, move |wanted: LookUp| async move {
            assert_eq!(wanted.session_token(), Some(&b"token"[..]));
            assert!(!format!("{wanted:?}").contains("token\""), "{wanted:?}");
            let key = countersign::SigningKey::derive("secret", &wanted.scope());
            Ok::<_, Infallible>(Some(KeyFound::new(key).with_session_token(token)))
        })
        .with_clock(now)
    };
    assert_eq!(send(&knows("token"), request.clone()).await.0.status, 200);
    assert_eq!(send(&knows("another"), request).await.0.status, 403);
}

#[tokio::test]
async fn a_look_up_that_fails_is_the_servers_fault() {
    let failing = VerifyLayer::new(Verifier::new(), Wire::QueryXml, async |_| {
        Err::<Option<KeyFound>, _>("the database is away")
    });
    let (parts, body) = send(&failing.with_clock(now), signed("sqs", URL, "")).await;
    assert_eq!(parts.status, 500);
    assert!(body.contains("<Type>Receiver</Type><Code>InternalFailure</Code>"), "{body}");
    assert!(!body.contains("database"), "{body}");
    let Some(Refused::LookUp(error)) = parts.extensions.get() else { panic!("no reason") };
    assert_eq!(error.to_string(), "the database is away");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_whether_or_not_it_says_its_length() {
    let small = json().with_body_limit(4);
    assert_eq!(send(&small, signed("sqs", URL, "meow")).await.0.status, 200);
    let (parts, body) = send(&small, signed("sqs", URL, "meow!")).await;
    assert_eq!(parts.status, 413);
    assert!(body.contains("RequestEntityTooLarge"), "{body}");
    let in_pieces = signed("sqs", URL, "meow!").map(|_| Pieces::of(&["me", "ow", "!"]));
    let (parts, _) = send(&small, in_pieces).await;
    assert!(matches!(parts.extensions.get(), Some(Refused::BodyTooLong { limit: 4 })));
    let s3 = layer(Verifier::new(), Wire::S3Xml).with_body_limit(4);
    let (parts, body) = send(&s3, signed("s3", "https://b.s3.amazonaws.com/k", "meow!")).await;
    assert_eq!(parts.status, 400);
    assert!(body.contains("EntityTooLarge"), "{body}");
}

#[tokio::test]
async fn a_body_whose_hash_is_named_is_not_read_before_the_signature_held() {
    let mut request = signed("s3", "https://b.s3.amazonaws.com/k", "meow");
    request.headers_mut().insert("x-amz-meta-a", "added".parse().unwrap());
    // Reading this one would be answered as IncompleteBody.
    let request = request.map(|_| Pieces(vec![Err(io::Error::other("read"))]));
    let (parts, _) = send(&layer(Verifier::new(), Wire::S3Xml), request).await;
    let Some(Refused::Signature(error)) = parts.extensions.get() else { panic!("no reason") };
    assert_eq!(error.refusal(), Refusal::UnsignedHeader);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_incomplete() {
    let mut pieces = Pieces::of(&["me"]);
    pieces.0.insert(0, Err(io::Error::other("reset")));
    let (parts, body) = send(&json(), signed("sqs", URL, "meow").map(|_| pieces)).await;
    assert_eq!(parts.status, 400);
    assert!(body.contains("IncompleteBody"), "{body}");
    assert!(matches!(parts.extensions.get(), Some(Refused::Body(_))));
}

#[tokio::test]
async fn pieces_are_joined_and_trailers_of_a_signed_body_dropped() {
    let mut pieces = Pieces::of(&["", "me", "", "ow"]);
    let trailers = HeaderMap::from_iter([("x-trailer".parse().unwrap(), "1".parse().unwrap())]);
    pieces.0.insert(0, Ok(Frame::trailers(trailers)));
    let service = json().layer(service_fn(async |request: Request<Body<Pieces>>| {
        let body = request.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none());
        assert_eq!(body.to_bytes(), "meow");
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    let answer = service.oneshot(signed("sqs", URL, "meow").map(|_| pieces)).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn an_unsigned_body_comes_through_as_it_is() {
    let mut request =
        Request::put("https://b.s3.amazonaws.com/k").body(Pieces::of(&["any", "thing"])).unwrap();
    let signer = Signer::new("us-east-1", "s3");
    signer.sign(&mut request, Payload::Unsigned, &credentials(), now()).unwrap();
    let small = layer(Verifier::new(), Wire::S3Xml).with_body_limit(0);
    let (parts, body) = send(&small, request).await;
    assert_eq!((parts.status.as_u16(), &*body), (200, "AKIDEXAMPLE: anything"));
}

#[tokio::test]
async fn a_streamed_body_is_never_whole_before_it_is_verified() {
    let streamed =
        layer(Verifier::new(), Wire::S3Xml).with_body_limit(0).with_streamed_bodies(true);
    let request = |pieces: &[&'static str]| {
        signed("s3", "https://b.s3.amazonaws.com/k", "meow").map(|_| Pieces::of(pieces))
    };
    let (_, body) = send(&streamed, request(&["me", "o", "w"])).await;
    assert_eq!(body, "AKIDEXAMPLE: meow");
    let (_, body) = send(&streamed, request(&["me", "o", "w", "!"])).await;
    assert!(body.starts_with("AKIDEXAMPLE: <The provided 'x-amz-content-sha256'"), "{body}");

    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let into = Arc::clone(&seen);
    let service = streamed.layer(service_fn(move |request: Request<Body<Pieces>>| {
        let into = Arc::clone(&into);
        async move {
            let mut body = request.into_body();
            assert!(!http_body::Body::is_end_stream(&body));
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { break };
                into.lock().unwrap().push_str(str::from_utf8(frame.data_ref().unwrap()).unwrap());
            }
            assert!(http_body::Body::is_end_stream(&body));
            assert!(body.frame().await.is_none());
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    }));
    service.oneshot(request(&["me", "o", "v"])).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), "meo");
}

#[tokio::test]
async fn an_empty_streamed_body_is_checked_too() {
    let streamed = layer(Verifier::new(), Wire::S3Xml).with_streamed_bodies(true);
    let request =
        |body| signed("s3", "https://b.s3.amazonaws.com/k", body).map(|_| Empty::<Bytes>::new());
    assert_eq!(send(&streamed, request("")).await.1, "AKIDEXAMPLE: ");
    let (_, body) = send(&streamed, request("meow")).await;
    assert!(body.starts_with("AKIDEXAMPLE: <The provided"), "{body}");
}

/// An upload of `meow meow` in chunks.
fn upload(chunks: Chunks) -> (http::request::Parts, Vec<u8>) {
    let mut put = Request::put("https://b.s3.amazonaws.com/k")
        .header("content-encoding", "gzip")
        .body(())
        .unwrap();
    let signer = Signer::new("us-east-1", "s3");
    let mut signer = signer.sign_chunked(&mut put, chunks, &credentials(), now()).unwrap();
    // As HTTP/1.1 may have sent it, whatever was signed.
    put.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
    let mut body = ChunkBuffer::new();
    signer.push(b"meow meow", &mut body).unwrap();
    signer.finish(&mut body).unwrap();
    (put.into_parts().0, body.split().to_vec())
}

#[tokio::test]
async fn a_body_in_chunks_is_taken_out_of_them_for_the_service() {
    let checks = layer(Verifier::new().with_checksums(checksums), Wire::S3Xml).with_body_limit(0);
    for chunks in [
        Chunks::signed(9),
        Chunks::signed(9).with_checksum(Crc::crc32()),
        Chunks::unsigned(9, Crc::crc32()),
    ] {
        let is_signed = chunks.payload() != Payload::StreamingUnsignedTrailer;
        let (parts, body) = upload(chunks);
        let service = checks.layer(service_fn(async |request: Request<Body<Full<Bytes>>>| {
            let (headers, body) = (request.headers(), request.body());
            assert_eq!(
                (&headers["content-length"], &headers["content-encoding"]),
                (&"9".parse().unwrap(), &"gzip".parse().unwrap())
            );
            assert!(!headers.contains_key("transfer-encoding"));
            assert_eq!(http_body::Body::size_hint(body).exact(), Some(9));
            let verified = request.extensions().get::<Verified<'static>>().unwrap();
            assert!(verified.payload().is_in_chunks());
            let read = request.into_body().collect().await.map_err(|error| error.to_string());
            Ok::<_, Infallible>(Response::new(match read {
                Ok(read) => Full::<Bytes>::from(read.to_bytes()),
                Err(error) => Full::from(format!("<{error}>")),
            }))
        }));
        let send = async |body: Vec<u8>| {
            let request = Request::from_parts(parts.clone(), Full::<Bytes>::from(body));
            let answer = service.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.unwrap().to_bytes()
        };
        assert_eq!(send(body.clone()).await, "meow meow");
        let at = body.windows(4).position(|four| four == b"meow").unwrap();
        let mut bad = body.clone();
        bad[at] = b'M';
        let said = String::from_utf8(send(bad).await.to_vec()).unwrap();
        let expected =
            if is_signed { "with chunk 1, which begins at byte 0" } else { "x-amz-checksum-crc32" };
        assert!(said.starts_with('<') && said.contains(expected), "{said}");
        let said = send(body[..body.len() - 1].to_vec()).await;
        assert!(said.ends_with(b"ends before it is whole>"), "{said:?}");
    }
}

#[tokio::test]
async fn a_checksum_that_the_layer_cannot_compute_is_answered() {
    let (parts, body) = upload(Chunks::signed(9).with_checksum(Crc::crc32()));
    let request = Request::from_parts(parts, Full::<Bytes>::from(body));
    let (parts, body) = send(&layer(Verifier::new(), Wire::S3Xml), request).await;
    assert_eq!(parts.status, 501);
    assert!(
        body.contains("<Code>NotImplemented</Code>") && body.contains("with_checksums"),
        "{body}"
    );
}

#[tokio::test]
async fn random_request_ids_differ() {
    let plain = VerifyLayer::new(Verifier::new(), Wire::S3Xml, async |_| Ok::<_, Infallible>(None));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let request = Request::get(URL).body(Empty::<Bytes>::new()).unwrap();
        let (parts, body) = send(&plain, request).await;
        let id = parts.headers["x-amz-request-id"].to_str().unwrap().to_owned();
        assert!(id.len() == 16 && body.contains(&id), "{body}");
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

/// A service that is ready once for each permit, and must be asked before each call.
#[derive(Debug)]
struct Permits {
    left: Arc<AtomicUsize>,
    is_ready: bool,
}

impl Clone for Permits {
    fn clone(&self) -> Permits {
        Permits { left: Arc::clone(&self.left), is_ready: false }
    }
}

impl<B> Service<Request<B>> for Permits {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if !self.is_ready {
            let take = |left: usize| left.checked_sub(1);
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
                return Poll::Pending;
            }
            self.is_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        std::future::ready(Ok(Response::new(Empty::new())))
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        if self.is_ready {
            self.left.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether the service is ready now.
async fn is_ready<S: Service<Request<Full<Bytes>>>>(service: &mut S) -> bool {
    poll_fn(|cx| Poll::Ready(service.poll_ready(cx).is_ready())).await
}

#[tokio::test]
async fn the_layers_are_ready_when_the_service_is_and_call_the_one_that_is() {
    let left = Arc::new(AtomicUsize::new(1));
    let permits = Permits { left: Arc::clone(&left), is_ready: false };
    let mut verify: Verify<Permits> = json().layer(permits.clone());
    let mut sign: Sign<Permits> = sign_layer("sqs").layer(permits);
    assert!(is_ready(&mut verify).await);
    assert!(!is_ready(&mut sign).await, "the only permit is taken");
    assert_eq!(verify.call(signed("sqs", URL, "meow")).await.unwrap().status(), 200);
    left.store(1, Ordering::Relaxed);
    // A request that is refused gives back what it was ready with.
    let unsigned = || Request::get(URL).body(Full::<Bytes>::default()).unwrap();
    assert!(is_ready(&mut verify).await);
    assert_eq!(verify.call(unsigned()).await.unwrap().status(), 403);
    assert!(is_ready(&mut sign).await);
    sign.call(unsigned()).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_the_layer_as_it_was() {
    let find = |_| pending::<Result<Option<KeyFound>, Infallible>>();
    let waiting = VerifyLayer::new(Verifier::new(), Wire::Json, find).with_clock(now);
    let permits = Permits { left: Arc::new(AtomicUsize::new(1)), is_ready: false };
    let mut service = waiting.layer(permits);
    assert!(is_ready(&mut service).await);
    let mut call = service.call(signed("sqs", URL, ""));
    assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await);
    assert!(!is_ready(&mut service).await);
    drop(call);
    assert!(is_ready(&mut service).await);
}

/// Signs and hands the request to this service.
async fn sent<B>(layer: &SignLayer, request: Request<B>) -> Result<Request<Bytes>, SignError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let client = layer.layer(service_fn(async |request: Request<Body<B>>| {
        let (parts, body) = request.into_parts();
        Ok::<_, BoxError>(Request::from_parts(parts, body.collect().await?.to_bytes()))
    }));
    client.oneshot(request).await.map_err(|error| *error.downcast().unwrap())
}

fn sign_layer(service: &str) -> SignLayer {
    SignLayer::new(Signer::new("us-east-1", service), Arc::new(credentials())).with_clock(now)
}

#[tokio::test]
async fn a_client_signs_as_the_signer_does_and_replaces_a_signature() {
    let expected = signed("sqs", URL, "meow").headers()["authorization"].clone();
    let plain = Request::post(URL).body(Full::<Bytes>::from("meow")).unwrap();
    let request = sent(&sign_layer("sqs"), plain).await.unwrap();
    assert_eq!(
        (&request.headers()["authorization"], &request.body()[..]),
        (&expected, &b"meow"[..])
    );
    let again = sent(&sign_layer("sqs"), request.map(Full::new)).await.unwrap();
    assert_eq!(again.headers()["authorization"], expected);
    assert_eq!(again.headers().get_all("x-amz-date").iter().count(), 1);
    let verified = send(&json(), again.map(Full::new)).await;
    assert_eq!(verified.1, "AKIDEXAMPLE: meow");
}

#[tokio::test]
async fn a_long_body_is_refused_or_left_unsigned() {
    let request =
        || Request::put("https://b.s3.amazonaws.com/k").body(Pieces::of(&["me", "ow"])).unwrap();
    let error = sent(&sign_layer("s3"), request()).await.unwrap_err();
    assert!(matches!(error, SignError::LongBody { len: None, .. }), "{error:?}");
    let unsigned = sign_layer("s3").with_long_bodies(LongBody::Unsigned).with_body_limit(3);
    let sent_request = sent(&unsigned, request()).await.unwrap();
    assert_eq!(sent_request.headers()["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert_eq!(sent_request.body(), "meow");
    let in_memory = |text: &'static str| request().map(|_| Full::<Bytes>::from(text));
    let hashed = sent(&unsigned, in_memory("mew")).await.unwrap();
    let hash = Payload::hash("mew");
    assert_eq!(hashed.headers()["x-amz-content-sha256"], hash.line().as_str());
    let hashed = sent(&unsigned, in_memory("meow")).await.unwrap();
    assert_eq!(hashed.headers()["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    let error = sent(&sign_layer("s3").with_body_limit(3), in_memory("meow")).await.unwrap_err();
    assert_eq!(error.to_string(), "the body of 4 bytes is longer than the 3 that are hashed");
}

#[tokio::test]
async fn a_payload_among_the_extensions_is_believed() {
    let mut request =
        Request::put("https://b.s3.amazonaws.com/k").body(Pieces::of(&["me", "ow"])).unwrap();
    request.extensions_mut().insert(Payload::hash("meow"));
    let request = sent(&sign_layer("s3"), request).await.unwrap();
    let hash = Payload::hash("meow");
    assert_eq!(request.headers()["x-amz-content-sha256"], hash.line().as_str());
}

#[tokio::test]
async fn trailers_are_sent_along() {
    /// A body that says how long it is and has a trailer.
    struct Trailing(Pieces);
    impl http_body::Body for Trailing {
        type Data = Bytes;
        type Error = io::Error;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(4)
        }
    }
    let mut pieces = Pieces::of(&["me", "ow"]);
    let trailers = HeaderMap::from_iter([("x-trailer".parse().unwrap(), "1".parse().unwrap())]);
    pieces.0.insert(0, Ok(Frame::trailers(trailers)));
    let client = sign_layer("sqs").layer(service_fn(async |request: Request<Body<Trailing>>| {
        let body = request.into_body().collect().await?;
        assert_eq!(body.trailers().unwrap()["x-trailer"], "1");
        Ok::<_, BoxError>(body.to_bytes())
    }));
    let request = Request::post(URL).body(Trailing(pieces)).unwrap();
    assert_eq!(client.oneshot(request).await.unwrap(), "meow");
}

#[derive(Debug)]
struct Nothing;

impl ProvideCredentials for Nothing {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async { Ok(None) })
    }
}

#[tokio::test]
async fn what_cannot_be_signed_is_not_sent() {
    let request = |url| Request::get(url).body(Empty::<Bytes>::new()).unwrap();
    let none = SignLayer::new(Signer::new("us-east-1", "sqs"), Arc::new(Nothing));
    let error = sent(&none, request(URL)).await.unwrap_err();
    assert_eq!(error.to_string(), "no credentials: nothing is configured");
    let error = sent(&sign_layer("sqs"), request("/no/host")).await.unwrap_err();
    assert!(matches!(&error, SignError::Signing(_)), "{error:?}");
    let failing = Request::get(URL).body(Failing).unwrap();
    let error = sent(&sign_layer("sqs"), failing).await.unwrap_err();
    assert!(matches!(&error, SignError::Body(_)), "{error:?}");
}

/// A body that says how long it is, and fails.
struct Failing;

impl http_body::Body for Failing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::Error::other("no"))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(1)
    }
}

#[cfg(feature = "sigv4a")]
#[tokio::test]
async fn a_request_signed_by_sigv4a_comes_through_where_that_is_accepted() {
    use countersign::{Algorithm, sigv4a};

    let signer = sigv4a::signer("us-*", "sqs");
    let sign = SignLayer::new(signer, Arc::new(credentials())).with_clock(now);
    let request = Request::post(URL).body(Full::from("body")).unwrap();
    let signed = sent(&sign, request).await.unwrap().map(Full::from);
    assert_eq!(signed.headers()["x-amz-region-set"], "us-*");

    let keys = (KeyCache::default(), sigv4a::KeyCache::default());
    let find = move |wanted: LookUp| {
        let id = wanted.access_key_id();
        let found = match wanted.algorithm() {
            Algorithm::EcdsaP256Sha256 => KeyFound::new(keys.1.key(id, "secret")),
            _ => KeyFound::new(keys.0.key(id, "secret", &wanted.scope())),
        };
        async { Ok::<_, Infallible>(Some(found)) }
    };
    let layer = |verifier| VerifyLayer::new(verifier, Wire::Json, find.clone()).with_clock(now);
    let verifier = Verifier::new().with_region("us-east-1");
    let (answer, _) = send(&layer(verifier.clone()), signed.clone()).await;
    assert_eq!(answer.status, 400);
    let (answer, text) = send(&layer(verifier.with_sigv4a()), signed).await;
    assert_eq!(answer.status, 200, "{text}");
    assert_eq!(text, "AKIDEXAMPLE: body");
}
