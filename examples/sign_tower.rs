//! A client that signs each attempt anew: the layer that signs stands inside the one that retries.
//!
//!     cargo run --example sign_tower --features tower
//!
//! The server is one of the example's own, which fails at first.

use std::{
    error::Error,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{Router, body::Bytes, http::HeaderMap, routing::put};
use countersign::{Credentials, Signer, tower::SignLayer};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt, retry::Policy};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = serve().await?;

    // Credentials that never change; any provider may stand here. The client follows no redirects.
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let mut client = ServiceBuilder::new()
        .retry(TwiceAtMost(2))
        .layer(SignLayer::new(Signer::new("eu-central-1", "s3"), Arc::new(credentials)))
        .service(Client::builder(TokioExecutor::new()).build_http());

    let request = Request::put(url).body(Full::<Bytes>::from("meow"))?;
    let answer = client.ready().await?.call(request).await?;
    println!("{}", answer.status());
    let body = answer.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body));
    Ok(())
}

/// Tries again what the server could not do.
#[derive(Clone)]
struct TwiceAtMost(u32);

impl<B: Clone, R, E> Policy<Request<B>, Response<R>, E> for TwiceAtMost {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<B>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Ready<()>> {
        let failed = result.as_ref().is_ok_and(|answer| answer.status().is_server_error());
        (failed && self.0 > 0).then(|| {
            self.0 -= 1;
            ready(())
        })
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

async fn serve() -> Result<String, Box<dyn Error + Send + Sync>> {
    let attempts = AtomicU32::new(0);
    let answer = move |headers: HeaderMap, body: Bytes| {
        let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let date = headers.get("x-amz-date");
        println!("attempt {attempt} of {} bytes, signed at {date:?}", body.len());
        let is_first = attempt == 1;
        ready(if is_first {
            (StatusCode::SERVICE_UNAVAILABLE, "")
        } else {
            (StatusCode::OK, "fed")
        })
    };
    let answer = Arc::new(answer);
    let app = Router::new()
        .route("/cat.jpg", put(move |headers: HeaderMap, body: Bytes| answer(headers, body)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/cat.jpg", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(url)
}
