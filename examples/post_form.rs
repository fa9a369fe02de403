//! A bucket of its own that takes uploads from forms, and three that are sent there: one as its policy
//! allows, one whose file is too long, and one with a field that was changed.
//!
//!     cargo run --example post_form --features post

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::{Multipart, Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use countersign::{
    Credentials, KeyCache, Signer,
    post::{LengthCheck, Policy, Received, Upload},
    verify::{self, Known, Verifier, Wire},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Arc::new(Server {
        verifier: Verifier::new().with_region("eu-central-1").with_services(["s3"]),
        keys: KeyCache::default(),
    });
    let app = Router::new().route("/{bucket}", post(upload)).with_state(server);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/cats", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });

    // What a page would give to its visitors.
    let policy = Policy::expires_in(Duration::from_secs(600), "cats", "eric/${filename}")
        .with_field("acl", "private")
        .with_starts_with("Content-Type", "image/")
        .with_content_length_range(1..=1024);
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let signer = Signer::new("eu-central-1", "s3");
    let form = signer.post(&url, &policy, &credentials, SystemTime::now())?;

    // What a browser makes of it.
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<axum::body::Bytes>>();
    for (what, acl, len) in [
        ("as allowed", "private", 1024),
        ("too long", "private", 1025),
        ("changed", "public-read", 1024),
    ] {
        let mut body = String::new();
        for (name, value) in form.fields().chain([("Content-Type", "image/png")]) {
            let value = if name == "acl" { acl } else { value };
            let disposition = format!("Content-Disposition: form-data; name=\"{name}\"");
            body += &format!("--{BOUNDARY}\r\n{disposition}\r\n\r\n{value}\r\n");
        }
        let disposition = "Content-Disposition: form-data; name=\"file\"; filename=\"cat.png\"";
        let file = "x".repeat(len);
        body += &format!("--{BOUNDARY}\r\n{disposition}\r\n\r\n{file}\r\n--{BOUNDARY}--\r\n");
        let request = http::Request::post(form.url())
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
            .body(Full::from(body))?;
        let answer = client.request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        println!("{what}: {status} {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

struct Server {
    verifier: Verifier,
    keys: KeyCache,
}

/// Takes the form apart with a multipart parser, and believes nothing of it before the proof.
async fn upload(
    State(server): State<Arc<Server>>,
    Path(bucket): Path<String>,
    mut form: Multipart,
) -> Response {
    let mut fields = Vec::new();
    while let Ok(Some(mut field)) = form.next_field().await {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "file" {
            let Ok(value) = field.bytes().await else { break };
            fields.push((name, value));
            continue;
        }
        let pairs: Vec<(&[u8], &[u8])> =
            fields.iter().map(|(name, value)| (name.as_bytes(), &value[..])).collect();
        let file_name = field.file_name().unwrap_or_default().to_owned();
        let received = Received::new(&bucket, &pairs).with_file_name(file_name.as_bytes());
        return match server.check(received) {
            Err(error) => refuse(&error),
            Ok((upload, mut length)) => {
                while let Ok(Some(piece)) = field.chunk().await {
                    // A file that is too long is not received to its end.
                    if let Err(error) = length.push(piece.len() as u64) {
                        return refuse(&error);
                    }
                }
                match length.finish() {
                    Ok(()) => format!("{} uploaded {}", upload.access_key_id(), upload.key())
                        .into_response(),
                    Err(error) => refuse(&error),
                }
            }
        };
    }
    (StatusCode::BAD_REQUEST, "the form has no file").into_response()
}

impl Server {
    fn check<'a>(&'a self, form: Received<'a>) -> Result<(Upload<'a>, LengthCheck), verify::Error> {
        let claim = self.verifier.claim_post(form, SystemTime::now())?;
        // A server asks its database here.
        let secret = (claim.access_key_id() == "AKIDEXAMPLE").then_some("secret");
        let id = claim.access_key_id();
        let key = secret.map(|secret| self.keys.key(id, secret, &claim.scope()));
        claim.verify(key.as_ref().map(Known::new))
    }
}

fn refuse(error: &verify::Error) -> Response {
    let wire = Wire::S3Xml;
    let status = StatusCode::from_u16(error.status(wire.dialect())).unwrap_or_default();
    (status, error.body(wire, "4442587FB7D0A2F9")).into_response()
}

const BOUNDARY: &str = "----countersign";
