//! Health and metrics, on a port of their own.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Incoming;

use crate::{
    body::{self, Body},
    forward::Engine,
};

/// Answers `/healthz`, `/readyz` and `/metrics`.
pub(crate) async fn answer(engine: &Arc<Engine>, request: Request<Incoming>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => ready(engine).await,
        "/metrics" => {
            for route in &engine.routes {
                if let Ok(expiry) = route.signing.readiness().await {
                    engine.metrics.expires(&route.name, expiry);
                }
                engine.metrics.renewed(&route.name, route.signing.renewals());
            }
            let mut response = text(StatusCode::OK, engine.metrics.text());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
            response
        }
        _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n"),
    }
}

/// Ready is who has credentials for all routes.
async fn ready(engine: &Engine) -> Response<Body> {
    let mut wrong = String::new();
    for route in &engine.routes {
        if let Err(why) = route.signing.readiness().await {
            wrong.extend([&*route.name, ": ", &why, "\n"]);
        }
    }
    if wrong.is_empty() {
        return text(StatusCode::OK, "ok\n");
    }
    text(StatusCode::SERVICE_UNAVAILABLE, wrong)
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body::whole(text.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
