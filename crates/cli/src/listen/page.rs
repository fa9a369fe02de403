//! The page: the last requests and why they were refused, for a browser on this machine.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{history::History, server::Stop};

/// Serves the page until the program stops.
pub(super) async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    history: Arc<History>,
    mut stop: Stop,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, address, Arc::clone(&history)));
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            () = stop.wanted() => return,
        }
    }
}

async fn converse(stream: TcpStream, address: SocketAddr, history: Arc<History>) {
    let service = service_fn(|request| {
        let history = Arc::clone(&history);
        async move { Ok::<_, Infallible>(answer(&request, address, &history).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    // A connection that breaks was given up by the browser.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: &Request<Incoming>,
    address: SocketAddr,
    history: &History,
) -> Response<Full<Bytes>> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| is_ours(host, address)) {
        return respond(
            StatusCode::FORBIDDEN,
            "text/plain",
            "this page is for loopback names only",
        );
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is answered here");
    }
    match request.uri().path() {
        "/" => respond(StatusCode::OK, "text/html; charset=utf-8", include_str!("page/index.html")),
        "/icon.svg" => respond(StatusCode::OK, "image/svg+xml", include_str!("page/icon.svg")),
        "/page.css" => {
            respond(StatusCode::OK, "text/css; charset=utf-8", include_str!("page/page.css"))
        }
        "/page.js" => {
            let script = include_str!("page/page.js");
            respond(StatusCode::OK, "text/javascript; charset=utf-8", script)
        }
        "/requests" => {
            let after = request.uri().query().and_then(|query| query.strip_prefix("after="));
            let after = after.and_then(|number| number.parse().ok()).unwrap_or(0);
            // The browser asks again at once, so it learns of a request when it comes.
            let _ = timeout(POLL, history.changed(after)).await;
            let (newest, requests) = history.since(after);
            let text = json!({ "newest": newest, "requests": requests }).to_string();
            respond(StatusCode::OK, "application/json", text)
        }
        _ => respond(StatusCode::NOT_FOUND, "text/plain", "there is no such page"),
    }
}

/// Whether a Host header names this machine as only it can be meant. A name of somebody else's that
/// leads here belongs to a site which would read the page (DNS rebinding).
fn is_ours(host: &str, address: SocketAddr) -> bool {
    let is_port = |port: &str| port.parse() == Ok(address.port());
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let own = match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    // Browsers leave out the port 80.
    let has_port = port.map_or(address.port() == 80, is_port);
    has_port && (name.eq_ignore_ascii_case("localhost") || name == own)
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// An answer without a request is given after so long.
const POLL: Duration = Duration::from_secs(20);
const HEAD: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_with_the_port_are_ours() {
        let address: SocketAddr = "127.0.0.1:8000".parse().expect("an address");
        for host in ["127.0.0.1:8000", "localhost:8000", "LOCALHOST:8000"] {
            assert!(is_ours(host, address), "{host}");
        }
        for host in [
            "example.com:8000",
            "127.0.0.1.example.com:8000",
            "127.0.0.1",
            "localhost:81",
            ":8000",
            "",
        ] {
            assert!(!is_ours(host, address), "{host}");
        }
        let address: SocketAddr = "[::1]:8000".parse().expect("an address");
        assert!(is_ours("[::1]:8000", address) && !is_ours("[::1]", address));
    }
}
