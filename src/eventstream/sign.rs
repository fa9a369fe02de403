//! Signing a stream of messages.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    chain::{Chain, DATE_HEADER, DateHeader, HEADERS, SIGNATURE_HEADER},
    message::{CHECKSUM, Limits, PRELUDE, Prelude, checksum},
};
use crate::{
    Credentials, Error, ErrorKind, KeyCache, Payload, Scope, Scratch, SignRequest, Signer,
    Timestamp, signer::check_credentials,
};

impl Signer {
    /// Signs the head of a request whose body is an event stream, as [`Signer::sign`] with
    /// [`Payload::Events`]; the result signs its messages.
    ///
    /// # Errors
    /// As [`Signer::sign_head`]; the request is then untouched.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Credentials, Signer};
    ///
    /// let mut request = http::Request::post("https://transcribestreaming.us-east-1.amazonaws.com/")
    ///     .header("content-type", "application/vnd.amazon.eventstream")
    ///     .body(())?;
    /// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// let now = SystemTime::now();
    /// let mut events = Signer::new("us-east-1", "transcribe")
    ///     .sign_events(&mut request, &credentials, now)?;
    /// let mut wire = Vec::new();
    /// events.finish(now, &mut wire)?;
    /// assert_eq!(request.headers()["x-amz-content-sha256"], "STREAMING-AWS4-HMAC-SHA256-EVENTS");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign_events(
        &self,
        request: &mut impl SignRequest,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<EventSigner, Error> {
        let mut scratch = Scratch::new();
        let head = request.head()?;
        let signed = self.sign_head(head, Payload::Events, credentials, at, &mut scratch)?;
        let events = EventSigner::new(self, credentials, signed.signature())?;
        request.apply(&signed)?;
        Ok(events)
    }
}

/// Signs the messages of an event stream, each over the one before it.
///
/// Made by [`Signer::sign_events`]. Each message is wrapped in another one, which has the headers `:date`
/// and `:chunk-signature` and carries the message that was given, whole. Dates are written in whole
/// seconds: the string to sign holds no fraction, so that date and string tell the same moment.
///
/// The day of a message may be another than the request's: the key is that of the message's own day,
/// from the signer's cache of keys. Once `out` has room, signing a message allocates nothing.
pub struct EventSigner {
    chain: Chain,
    credentials: Credentials,
    keys: KeyCache,
}

/// What goes before and behind a message on the wire.
///
/// Made by [`EventSigner::wrap`], for those who write in several pieces at once and copy no message.
#[derive(Clone, Copy)]
pub struct Wrapping {
    head: [u8; HEAD],
    tail: [u8; CHECKSUM],
}

impl EventSigner {
    /// A signer of messages for a request that was signed in any other way: as raw bytes by
    /// [`Signer::sign_head`], or as the presigned URL of a WebSocket.
    ///
    /// `signer` tells region and service and `seed` is the request's own signature, 64 lower-case
    /// hexadecimal digits.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`] if the seed is not that, [`ErrorKind::InvalidScope`] and
    /// [`ErrorKind::InvalidCredentials`] as when signing a request.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Credentials, Head, Headers, Payload, Scratch, Signer, eventstream::EventSigner};
    ///
    /// let signer = Signer::new("us-east-1", "transcribe");
    /// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// let target = b"https://transcribestreaming.us-east-1.amazonaws.com/stream-transcription";
    /// let head = Head::parse(b"POST", target, Headers::Pairs(&[]))?;
    /// let (now, mut scratch) = (SystemTime::now(), Scratch::new());
    /// let signed = signer.sign_head(head, Payload::Events, &credentials, now, &mut scratch)?;
    /// let events = EventSigner::new(&signer, &credentials, signed.signature())?;
    /// # let _ = events;
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn new(
        signer: &Signer,
        credentials: &Credentials,
        seed: &str,
    ) -> Result<EventSigner, Error> {
        check_credentials(credentials)?;
        Ok(EventSigner {
            chain: Chain::new(signer.region().into(), signer.service().into(), seed)?,
            credentials: credentials.clone(),
            keys: signer.key_cache().clone(),
        })
    }

    /// Appends a message to `out`, wrapped and signed.
    ///
    /// `message` is a whole message, as [`Message::encode`](super::Message::encode) writes it; it is not
    /// looked into.
    ///
    /// # Errors
    /// As [`EventSigner::wrap`]; nothing is appended then.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use countersign::{Credentials, Signer, eventstream::{EventSigner, Message}};
    /// # let (signer, credentials) = (Signer::new("us-east-1", "lex"), Credentials::new("AKID", "secret"));
    /// # let mut events = EventSigner::new(&signer, &credentials, &"0".repeat(64))?;
    /// let (mut inner, mut wire) = (Vec::new(), Vec::new());
    /// Message::encode(&[], b"meow", &mut inner)?;
    /// events.sign(&inner, SystemTime::now(), &mut wire)?;
    ///
    /// let wrapped = Message::decode(&wire)?;
    /// let names: Vec<&str> = wrapped.headers().map(|(name, _)| name).collect();
    /// assert_eq!(names, [":date", ":chunk-signature"]);
    /// assert_eq!(wrapped.payload(), inner);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign(&mut self, message: &[u8], at: SystemTime, out: &mut Vec<u8>) -> Result<(), Error> {
        let Wrapping { head, tail } = self.wrap(message, at)?;
        out.reserve(HEAD + message.len() + CHECKSUM);
        out.extend_from_slice(&head);
        out.extend_from_slice(message);
        out.extend_from_slice(&tail);
        Ok(())
    }

    /// Signs a message and returns what goes before and behind it on the wire.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`] if the message is empty, which would end the stream, or larger than
    /// 24 MiB when it is wrapped; [`ErrorKind::InvalidTime`]. The stream then goes on as if it had not
    /// been called.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use countersign::{Credentials, Signer, eventstream::{EventSigner, Message}};
    /// # let (signer, credentials) = (Signer::new("us-east-1", "lex"), Credentials::new("AKID", "secret"));
    /// # let mut events = EventSigner::new(&signer, &credentials, &"0".repeat(64))?;
    /// # let mut inner = Vec::new();
    /// Message::encode(&[], b"meow", &mut inner)?;
    /// let wrapping = events.wrap(&inner, SystemTime::now())?;
    /// let pieces = [wrapping.head(), &inner, wrapping.tail()];
    /// assert_eq!(Message::decode(&pieces.concat())?.payload(), inner);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wrap(&mut self, message: &[u8], at: SystemTime) -> Result<Wrapping, Error> {
        if message.is_empty() {
            let message = "an empty message would end the event stream: use `finish` for that";
            return Err(Error::new(ErrorKind::InvalidEvent, message));
        }
        self.wrap_any(message, at)
    }

    /// Appends the message that ends the stream.
    ///
    /// Without it a service takes the stream for one that was cut off.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTime`]; nothing is appended then.
    pub fn finish(mut self, at: SystemTime, out: &mut Vec<u8>) -> Result<(), Error> {
        let Wrapping { head, tail } = self.wrap_any(b"", at)?;
        out.reserve(HEAD + CHECKSUM);
        out.extend_from_slice(&head);
        out.extend_from_slice(&tail);
        Ok(())
    }

    fn wrap_any(&mut self, message: &[u8], at: SystemTime) -> Result<Wrapping, Error> {
        let prelude = Prelude::of(HEADERS, message.len(), Limits::default())
            .map_err(|error| Error::new(ErrorKind::InvalidEvent, error.to_string()))?;
        let at = Timestamp::try_from(at)?;
        let date = DateHeader::new(milliseconds(at));
        let (credentials, keys) = (&self.credentials, &self.keys);
        let key_of = |scope: &Scope<'_>| {
            Some(keys.key(credentials.access_key_id(), credentials.secret_access_key(), scope))
        };
        let signature =
            self.chain.sign(&date, at, message, key_of).expect("there is a key for each day");
        self.chain.follow(&signature);

        let mut head = [0; HEAD];
        let (start, headers) = head.split_at_mut(PRELUDE);
        start.copy_from_slice(&prelude.write());
        let (first, second) = headers.split_at_mut(DATE_HEADER);
        first.copy_from_slice(&date.0);
        let (name, value) = second.split_at_mut(SIGNATURE_HEADER.len());
        name.copy_from_slice(SIGNATURE_HEADER);
        value.copy_from_slice(&signature);
        Ok(Wrapping { tail: checksum(&head, message), head })
    }
}

impl fmt::Debug for EventSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSigner")
            .field("chain", &self.chain)
            .field("access_key_id", &self.credentials.access_key_id())
            .finish_non_exhaustive()
    }
}

impl Wrapping {
    /// What goes before the message: the lengths and the headers.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// What goes behind the message: the checksum.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }
}

impl fmt::Debug for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrapping").finish_non_exhaustive()
    }
}

fn milliseconds(at: Timestamp) -> i64 {
    let since = SystemTime::from(at).duration_since(UNIX_EPOCH).unwrap_or_default();
    // The year 9999, the last of a timestamp, ends after some 2.5e14 milliseconds.
    since.as_millis() as i64
}

const HEAD: usize = PRELUDE + HEADERS;
