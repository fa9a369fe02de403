//! Presigns URLs: one to download an object, one to upload with a fixed content type.
//!
//!     cargo run --example presign

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use countersign::{Credentials, Presign, Signer};

fn main() -> Result<(), Box<dyn Error>> {
    let now = SystemTime::now();
    let signer = Signer::new("eu-central-1", "s3");
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        .with_expires_at(now + Duration::from_secs(3600));

    let url = "https://bucket.s3.eu-central-1.amazonaws.com/cat%20%281%29.jpg";
    let mut download = http::Request::get(url).body(())?;
    signer.presign(
        &mut download,
        Presign::expires_in(Duration::from_secs(900)),
        &credentials,
        now,
    )?;
    println!("curl '{}'", download.uri());

    // The header is signed, so whoever uploads must send it.
    let mut upload = http::Request::put(url).header("content-type", "image/jpeg").body(())?;
    let a_day = Presign::expires_in(Duration::from_secs(86_400));
    let life = signer.presign(&mut upload, a_day, &credentials, now)?;
    println!("curl -T cat.jpg -H 'content-type: image/jpeg' '{}'", upload.uri());
    if let Some(at) = life.cut_short_at() {
        println!("This one ends with its credentials, at {at:?}.");
    }
    Ok(())
}
