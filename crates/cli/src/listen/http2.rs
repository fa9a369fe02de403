//! A connection that speaks HTTP/2.

use std::{
    convert::Infallible,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    check::Malformed,
    received::Received,
    server::{Shared, Stop},
};

/// Answers the requests of a connection.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    shared: Arc<Shared>,
    mut stop: Stop,
) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, &shared).await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(PING))
        .max_header_list_size(64 * 1024);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        done = connection.as_mut() => done,
        () = stop.wanted() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

async fn answer(request: Request<Incoming>, shared: &Arc<Shared>) -> Response<Full<Bytes>> {
    let now = SystemTime::now();
    let (parts, mut body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let request = received(&parts);
    let mut reading = shared.begin(&request, now);
    let broken = loop {
        match timeout(BODY, body.frame()).await {
            Ok(None) => break None,
            Ok(Some(Ok(frame))) => {
                if let Some(piece) = frame.data_ref() {
                    reading.push(piece);
                }
            }
            Ok(Some(Err(_))) => {
                break Some((400, "IncompleteBody", "the stream ended within the body"));
            }
            Err(_) => break Some((408, "RequestTimeout", "the body did not arrive in time")),
        }
    };
    let answer = match broken {
        None => shared.answer(request, reading.finish(), now).await,
        Some((status, code, message)) => {
            let message = message.to_owned();
            shared.malformed(&request, &Malformed { status, code, message }).await
        }
    };
    let mut response =
        Response::builder().status(StatusCode::from_u16(answer.status).unwrap_or_default());
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    let body = if is_head {
        response = response.header("content-length", answer.body.len());
        Bytes::new()
    } else {
        answer.body.into()
    };
    response.body(Full::new(body)).unwrap_or_default()
}

/// The head with HTTP/2's own parts in their places.
fn received(parts: &Parts) -> Received {
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(parts.headers.len());
    for (name, value) in &parts.headers {
        // Crumbs of a cookie are one header again where HTTP/2 ends (RFC 9113, §8.2.3).
        match headers.iter_mut().find(|(other, _)| name == "cookie" && other == b"cookie") {
            Some((_, crumbs)) => {
                crumbs.extend_from_slice(b"; ");
                crumbs.extend_from_slice(value.as_bytes());
            }
            None => headers.push((name.as_str().into(), value.as_bytes().to_vec())),
        }
    }
    let uri = &parts.uri;
    let https = uri.scheme_str() == Some("https");
    Received {
        method: parts.method.as_str().into(),
        target: uri.path_and_query().map_or("/", |target| target.as_str()).into(),
        authority: uri.authority().map(|authority| (authority.as_str().into(), https)),
        headers,
    }
}

/// Between two signs of life that are asked of an idle client.
const PING: Duration = Duration::from_secs(30);
/// For the next bytes of a body.
const BODY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_in_crumbs_is_one_header() {
        let request = Request::get("http://h:1/a?b")
            .header("cookie", "a=1")
            .header("x", "1")
            .header("cookie", "b=2")
            .header("x", "2")
            .body(())
            .expect("a request");
        let received = received(&request.into_parts().0);
        assert_eq!(received.values("cookie").collect::<Vec<_>>(), [b"a=1; b=2"]);
        assert_eq!(received.values("x").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(received.target, b"/a?b");
        assert_eq!(received.authority, Some((b"h:1".to_vec(), false)));
    }
}
