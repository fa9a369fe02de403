//! Event streams, whose messages are signed one by one: `application/vnd.amazon.eventstream`, as
//! Transcribe streaming, Lex and Bedrock's bidirectional streams use it.
//!
//! A client signs the head of the request with [`Payload::Events`](crate::Payload::Events). Then it
//! wraps each of its messages in another one, whose headers are the date and a signature over that
//! date, the message inside and the signature before it: the first signs over the request's own. A
//! wrapping without a message inside ends the stream, so nobody can take a message out, put one in,
//! change their order or cut the end off.
//!
//! [`Signer::sign_events`](crate::Signer::sign_events) makes the [`EventSigner`] of a stream,
//! [`Claim::verify_events`](crate::verify::Claim::verify_events) its [`EventVerifier`]. Neither reads
//! or writes a stream itself: bytes are pushed in and come out, and the time is an argument.
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{
//!     Credentials, Head, KeyCache, Scratch, Signer,
//!     eventstream::{Message, Value},
//!     verify::{Known, Verifier},
//! };
//!
//! // The client signs the head, then each message.
//! let now = SystemTime::now();
//! let credentials = Credentials::new("AKIDEXAMPLE", "secret");
//! let mut request = http::Request::post("https://transcribestreaming.us-east-1.amazonaws.com/stream-transcription")
//!     .header("content-type", "application/vnd.amazon.eventstream")
//!     .body(())?;
//! let signer = Signer::new("us-east-1", "transcribe");
//! let mut events = signer.sign_events(&mut request, &credentials, now)?;
//!
//! let headers = [
//!     (":message-type", Value::String("event")),
//!     (":event-type", Value::String("AudioEvent")),
//!     (":content-type", Value::String("application/octet-stream")),
//! ];
//! let (mut inner, mut wire) = (Vec::new(), Vec::new());
//! Message::encode(&headers, b"a piece of sound", &mut inner)?;
//! events.sign(&inner, now, &mut wire)?;
//! events.finish(now, &mut wire)?;
//!
//! // The server believes the head, then each message.
//! let verifier = Verifier::new();
//! let keys = KeyCache::default();
//! let claim = verifier.claim(Head::from(&request), now)?;
//! let key = keys.key("AKIDEXAMPLE", "secret", &claim.scope());
//! let (_, mut events) = claim.verify_events(Some(Known::new(&key)), &mut Scratch::new())?;
//! for piece in wire.chunks(10) {
//!     events.push(piece);
//!     while let Some(event) =
//!         events.next_event(now, |scope| Some(keys.key("AKIDEXAMPLE", "secret", scope)))?
//!     {
//!         assert_eq!(event.message()?.payload(), b"a piece of sound");
//!     }
//! }
//! events.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chain;
mod decoder;
mod message;
mod sign;
mod verify;

pub use decoder::Decoder;
pub use message::{Message, MessageError, Value};
pub use sign::{EventSigner, Wrapping};
pub use verify::{Event, EventVerifier};
