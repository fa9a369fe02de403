//! Signs raw bytes into buffers that are reused, as a proxy or another HTTP library would.
//!
//!     cargo run --example sign_head

use std::time::SystemTime;

use countersign::{Credentials, Error, Head, Headers, Payload, Scratch, Signer};

fn main() -> Result<(), Error> {
    let signer = Signer::new("eu-central-1", "s3");
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let mut scratch = Scratch::new();

    // From the second one on, signing allocates nothing.
    for key in ["cat.jpg", "a=b (1).txt", "%C3%A9t%C3%A9"] {
        let target = format!("/photos/{key}");
        let headers: [(&[u8], &[u8]); 2] =
            [(b"Host", b"bucket.s3.eu-central-1.amazonaws.com"), (b"Range", b"bytes=0-9")];
        let head = Head::parse(b"GET", target.as_bytes(), Headers::Pairs(&headers))?;
        let now = SystemTime::now();
        let signed = signer.sign_head(head, Payload::EMPTY, &credentials, now, &mut scratch)?;
        println!("GET {target}");
        for (name, value) in signed.headers() {
            println!("{name}: {value}");
        }
        println!();
    }
    Ok(())
}
