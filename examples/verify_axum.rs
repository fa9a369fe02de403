//! A server that lets only signed requests through, which sends itself one that is and one that was
//! altered on the way.
//!
//!     cargo run --example verify_axum --features tower

use std::{convert::Infallible, error::Error, time::SystemTime};

use axum::{Extension, Router, routing::post};
use countersign::{
    Credentials, KeyCache, Payload, Signer,
    tower::{KeyFound, LookUp, VerifyLayer},
    verify::{Verified, Verifier, Wire},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let keys = KeyCache::default();
    let find = move |wanted: LookUp| {
        let keys = keys.clone();
        async move {
            // A server asks its database here.
            let secret = (wanted.access_key_id() == "AKIDEXAMPLE").then_some("secret");
            let id = wanted.access_key_id();
            let key = secret.map(|secret| keys.key(id, secret, &wanted.scope()));
            Ok::<_, Infallible>(key.map(KeyFound::new))
        }
    };
    let verifier = Verifier::new().with_region("eu-central-1").with_services(["cats"]);

    // Around the outermost router: `nest` would strip a part of the path that was signed.
    let cats = Router::new().route("/feed", post(feed));
    let app = Router::new().nest("/cats", cats).layer(VerifyLayer::new(verifier, Wire::Json, find));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/cats/feed", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<axum::body::Bytes>>();
    for sent in ["meow", "woof"] {
        let mut request = http::Request::post(&url).body(Full::from(sent))?;
        let credentials = Credentials::new("AKIDEXAMPLE", "secret");
        let signer = Signer::new("eu-central-1", "cats");
        signer.sign(&mut request, Payload::hash("meow"), &credentials, SystemTime::now())?;
        let answer = client.request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        println!("{sent}: {status} {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

async fn feed(Extension(verified): Extension<Verified<'static>>, body: String) -> String {
    format!("{} of {} says {body}", verified.access_key_id(), verified.scope())
}
