//! Uploads a file to S3 in chunks that the library signs while `reqwest` sends them.
//!
//!     upload REGION FORM CHECKSUM FILE URL
//!
//! FORM is `streaming`, `streaming-trailer` or `unsigned-trailer`. The key comes from the environment.
//! A refusal is printed, and the exit code is then 1.

use std::{
    env,
    error::Error,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use countersign::{Credentials, Signer, body::ChunkedBody, checksums::by_name, chunked::Chunks};
use reqwest::{Body, Client, Method, Request, redirect};
use tokio::fs::File;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [region, form, checksum, file, url] = &arguments[..] else {
        return Err("usage: upload REGION FORM CHECKSUM FILE URL".into());
    };
    let file = File::open(file).await?;
    let length = file.metadata().await?.len();
    let name = format!("x-amz-checksum-{checksum}");
    let checksum = by_name(&name).ok_or("the checksum is not known")?;
    let chunks = match form.as_str() {
        "streaming" => Chunks::signed(length),
        "streaming-trailer" => Chunks::signed(length).with_checksum(checksum),
        "unsigned-trailer" => Chunks::unsigned(length, checksum),
        _ => return Err("the form is not known".into()),
    };
    let credentials =
        Credentials::new(env::var("AWS_ACCESS_KEY_ID")?, env::var("AWS_SECRET_ACCESS_KEY")?);

    let mut put = Request::new(Method::PUT, url.parse()?);
    let signer = Signer::new(region.as_str(), "s3").sign_chunked(
        &mut put,
        chunks,
        &credentials,
        SystemTime::now(),
    )?;
    *put.body_mut() = Some(Body::wrap(ChunkedBody::new(Body::from(file), signer)));

    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(Duration::from_secs(120))
        .no_proxy()
        .build()?;
    let answer = client.execute(put).await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("{status}: {}", answer.text().await?);
    Ok(ExitCode::FAILURE)
}
