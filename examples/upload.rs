//! Uploads a file to S3, or to a server like it, without holding more than a chunk of it in memory.
//!
//!     cargo run -p countersign --example upload --features body,checksums,providers,reqwest -- FILE URL [REGION]
//!
//! With neither file nor URL it uploads itself to a server of its own. An `https` URL needs one of
//! reqwest's TLS features, which this library leaves to you.

use std::{env, error::Error, io, time::SystemTime};

use axum::{Router, body::Bytes, http::HeaderMap, routing::put};
use bytes::BytesMut;
use countersign::{
    Credentials, Signer,
    body::ChunkedBody,
    checksums::Crc64Nvme,
    chunked::Chunks,
    providers::{Chain, Ports, ProvideCredentials},
};
use http_body_util::channel::Channel;
use reqwest::{Body, Client, redirect::Policy};
use tokio::{fs::File, io::AsyncReadExt, net::TcpListener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (path, url) = match (arguments.next(), arguments.next()) {
        (Some(path), Some(url)) => (path, url),
        _ => (file!().to_owned(), serve().await?),
    };
    let region = arguments.next().unwrap_or_else(|| "us-east-1".to_owned());
    let credentials = Chain::standard(&Ports::system()).provide().await?.unwrap_or_else(|| {
        println!("(no credentials found, so an example key signs)");
        Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    });

    // Redirects off: they would carry the session token to whatever host answers.
    let client = Client::builder().redirect(Policy::none()).build()?;
    let mut request = client.put(url).build()?;
    let file = File::open(&path).await?;
    let length = file.metadata().await?.len();
    let chunks = Chunks::signed(length).with_checksum(Crc64Nvme::new());
    let signer = Signer::new(region, "s3").sign_chunked(
        &mut request,
        chunks,
        &credentials,
        SystemTime::now(),
    )?;
    // A file that is shortened or grows meanwhile ends the upload in an error, not in a torn object.
    *request.body_mut() = Some(Body::wrap(ChunkedBody::new(read(file), signer)));

    let answer = client.execute(request).await?;
    println!("{} after {length} bytes of {path}", answer.status());
    println!("{}", answer.text().await?);
    Ok(())
}

/// The file as a body that is read as fast as it is sent.
fn read(mut file: File) -> Channel<Bytes, io::Error> {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        loop {
            let mut piece = BytesMut::with_capacity(64 << 10);
            match file.read_buf(&mut piece).await {
                Ok(0) => return,
                Ok(_) => {
                    if sender.send_data(piece.freeze()).await.is_err() {
                        return;
                    }
                }
                Err(error) => return sender.abort(error),
            }
        }
    });
    body
}

/// A server that tells what came.
async fn serve() -> Result<String, Box<dyn Error>> {
    let answer = |headers: HeaderMap, body: Bytes| async move {
        let end = body.windows(5).rposition(|window| window == b"\r\n0;c").unwrap_or_default();
        format!("{headers:#?}\n{}", String::from_utf8_lossy(&body[end..]))
    };
    let app = Router::new().route("/bucket/upload.rs", put(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/bucket/upload.rs", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(url)
}
