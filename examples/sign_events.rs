//! Signs an event stream message by message, and reads it as a service would.
//!
//!     cargo run --example sign_events --features eventstream

use std::{error::Error, time::SystemTime};

use countersign::{
    Credentials, Head, KeyCache, Scratch, Signer,
    eventstream::{Message, Value},
    verify::{Known, Verifier},
};

fn main() -> Result<(), Box<dyn Error>> {
    let now = SystemTime::now();
    let (id, secret) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let credentials = Credentials::new(id, secret);
    let signer = Signer::new("eu-central-1", "transcribe");
    let url = "https://transcribestreaming.eu-central-1.amazonaws.com/stream-transcription";
    let mut request = http::Request::post(url)
        .header("content-type", "application/vnd.amazon.eventstream")
        .header("x-amzn-transcribe-language-code", "en-US")
        .header("x-amzn-transcribe-media-encoding", "pcm")
        .header("x-amzn-transcribe-sample-rate", "16000")
        .body(())?;
    let mut events = signer.sign_events(&mut request, &credentials, now)?;

    // A tenth of a second of silence in each message, sent as it comes.
    let headers = [
        (":message-type", Value::String("event")),
        (":event-type", Value::String("AudioEvent")),
        (":content-type", Value::String("application/octet-stream")),
    ];
    let (mut inner, mut wire) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        inner.clear();
        Message::encode(&headers, &[0; 3200], &mut inner)?;
        events.sign(&inner, SystemTime::now(), &mut wire)?;
    }
    events.finish(SystemTime::now(), &mut wire)?;
    println!("{} bytes in three messages and the end", wire.len());

    // The service checks the head, then gives out each message whose signature holds.
    let verifier = Verifier::new().with_region("eu-central-1").with_services(["transcribe"]);
    let keys = KeyCache::default();
    let claim = verifier.claim(Head::from(&request), now)?;
    let key = keys.key(id, secret, &claim.scope());
    let (verified, mut events) =
        claim.verify_events(Some(Known::new(&key)), &mut Scratch::new())?;
    for piece in wire.chunks(1000) {
        events.push(piece);
        while let Some(event) =
            events.next_event(SystemTime::now(), |scope| Some(keys.key(id, secret, scope)))?
        {
            let message = event.message()?;
            println!(
                "{} of {}: {} bytes",
                message.header(":event-type").map_or("?", |value| match value {
                    Value::String(text) => text,
                    _ => "?",
                }),
                verified.access_key_id(),
                message.payload().len()
            );
        }
    }
    events.finish()?;
    println!("the stream is whole");
    Ok(())
}
