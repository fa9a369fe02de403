//! Signs an `http::Request`: CloudWatch PutMetricData.
//!
//!     cargo run --example sign_http

use std::{error::Error, time::SystemTime};

use countersign::{Credentials, Payload, Signer};

fn main() -> Result<(), Box<dyn Error>> {
    // Kept for as long as the program runs: it caches the derived key.
    let signer = Signer::new("eu-central-1", "monitoring");
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        .with_session_token("a/session/token==");

    let body = "Action=PutMetricData&Version=2010-08-01&Namespace=app\
                &MetricData.member.1.MetricName=started&MetricData.member.1.Value=1";
    let mut request = http::Request::post("https://monitoring.eu-central-1.amazonaws.com/")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(body)?;
    signer.sign(&mut request, Payload::hash(body), &credentials, SystemTime::now())?;

    // The token's value is marked sensitive, so it is not shown.
    for (name, value) in request.headers() {
        println!("{name}: {value:?}");
    }
    Ok(())
}
