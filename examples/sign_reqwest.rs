//! Signs a `reqwest::Request` with the credentials that the environment or the shared files hold.
//!
//!     cargo run -p countersign --example sign_reqwest --features reqwest,providers
//!
//! Sending it needs one of reqwest's TLS features, which this library leaves to you.

use std::{error::Error, time::SystemTime};

use countersign::{
    Credentials, Payload, Signer,
    providers::{Chain, Ports, ProvideCredentials},
};
use reqwest::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let chain = Chain::standard(&Ports::system());
    let credentials = chain.provide().await?.unwrap_or_else(|| {
        println!("({}; so an example key signs)", chain.explain());
        Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    });

    // Redirects off: they would carry the session token to whatever host answers.
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let mut request = client
        .post("https://sts.eu-central-1.amazonaws.com/")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(body)
        .build()?;
    let signer = Signer::new("eu-central-1", "sts");
    signer.sign(&mut request, Payload::hash(body), &credentials, SystemTime::now())?;

    println!("{} {}", request.method(), request.url());
    for (name, value) in request.headers() {
        println!("{name}: {value:?}");
    }
    // client.execute(request).await? sends it.
    Ok(())
}
