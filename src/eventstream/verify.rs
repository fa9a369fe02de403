//! Verifying a stream of messages.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use subtle::ConstantTimeEq;

use super::{
    chain::{Chain, DateHeader, HEADERS},
    decoder::{Decoder, Found},
    message::{Message, MessageError, Value},
};
use crate::{
    Payload, Scope, Scratch, SigningKey, Timestamp,
    verify::{Claim, Error, Known, Place, Refusal, Verified},
};

impl<'a> Claim<'a> {
    /// Compares signatures, as [`Claim::verify`], of a request whose body is an event stream; the
    /// second result verifies its messages.
    ///
    /// # Errors
    /// As [`Claim::verify`]; [`Refusal::UnsupportedPayload`] if the request does not say that its body is
    /// an event stream.
    pub fn verify_events(
        self,
        known: Option<Known<'_>>,
        scratch: &mut Scratch,
    ) -> Result<(Verified<'a>, EventVerifier), Error> {
        let place = self.place();
        if self.payload() != Some(Payload::Events) {
            let message = "the request does not say that its body is an event stream: its \
                x-amz-content-sha256 is not STREAMING-AWS4-HMAC-SHA256-EVENTS";
            return Err(Error::new(Refusal::UnsupportedPayload, place, message));
        }
        let seed = String::from_utf8_lossy(self.signature()).into_owned();
        let skew = self.clock_skew();
        let (verified, _) = self.verify(known, Some(Payload::Events), scratch)?;
        let scope = verified.scope();
        let events = EventVerifier::new(scope.region(), scope.service(), &seed)
            .map_err(|error| Error::new(Refusal::Malformed, place, error.to_string()))?;
        Ok((verified, EventVerifier { place, ..events.with_clock_skew(skew) }))
    }
}

/// Verifies the messages of an event stream, and gives out those whose signature holds.
///
/// Made by [`Claim::verify_events`]. [Push](EventVerifier::push) what comes, in pieces of any size, then
/// take [messages](EventVerifier::next_event) until there is none. The first thing that is wrong ends the
/// stream: nothing of the message it stands in, and nothing behind it, is ever given out. A stream is
/// good only once [`EventVerifier::finish`] said so, since what came before may lack its end.
///
/// Each message must lie in a wrapping with the headers `:date` and `:chunk-signature` and no other, and
/// be dated within the clock skew of the time given. It need not be younger than the one before it: the
/// chain of signatures already tells the order, and a client's clock may be set back.
#[derive(Debug)]
#[must_use = "a stream that is not verified may hold any messages"]
pub struct EventVerifier {
    decoder: Decoder,
    chain: Chain,
    clock_skew: Duration,
    place: Place,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open,
    /// The message that ends the stream came.
    Closed,
    Refused(Refusal),
}

/// A message that was signed by the one who signed the request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    at: SystemTime,
    bytes: &'a [u8],
}

impl EventVerifier {
    /// A verifier of the messages behind a request that was verified in any other way, as the presigned
    /// URL of a WebSocket is.
    ///
    /// `seed` is the request's own signature, 64 lower-case hexadecimal digits
    /// ([`Claim::signature`] has it). 15 minutes of clock skew and messages of 24 MiB are allowed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`](crate::ErrorKind::InvalidEvent) if the seed is not that, and
    /// [`ErrorKind::InvalidScope`](crate::ErrorKind::InvalidScope).
    ///
    /// ```
    /// use countersign::eventstream::EventVerifier;
    ///
    /// let seed = "e1d8e8c8815e60969f2a34765c9a15945ffc0badbaa4b7e3b163ea19131e949b";
    /// let events = EventVerifier::new("us-east-1", "transcribe", seed)?;
    /// assert!(events.finish().is_err());
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn new(region: &str, service: &str, seed: &str) -> Result<EventVerifier, crate::Error> {
        Ok(EventVerifier {
            // No wrapping that is right has more.
            decoder: Decoder::new().with_largest_headers(HEADERS),
            chain: Chain::new(region.into(), service.into(), seed)?,
            clock_skew: Duration::from_secs(15 * 60),
            place: Place::Header,
            state: State::Open,
        })
    }

    /// Allows the dates of messages to be off by this much, in either direction.
    pub fn with_clock_skew(self, skew: Duration) -> EventVerifier {
        EventVerifier { clock_skew: skew, ..self }
    }

    /// Refuses messages that have more than this many bytes with their wrapping.
    ///
    /// So many bytes are kept before it is known who sent them.
    pub fn with_largest_message(self, bytes: usize) -> EventVerifier {
        EventVerifier { decoder: self.decoder.with_largest_message(bytes), ..self }
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        if !matches!(self.state, State::Refused(_)) {
            self.decoder.push(piece);
        }
    }

    /// The next message, or `None` before all of it was pushed, and at the end of the stream.
    ///
    /// `key_of` is asked for the key of a scope, of the request's region and service: for the first
    /// message, and whenever a message is of another day than the one before. Dates are checked first, so
    /// the day is never another than that of a moment within the clock skew of `now`.
    ///
    /// # Errors
    /// - [`Refusal::MalformedMessage`]: a message cannot be read, is not wrapped as it must be, or stands
    ///   behind the end.
    /// - [`Refusal::TimeSkewed`]: a message is dated too early or too late.
    /// - [`Refusal::UnknownKey`]: `key_of` knows no key any more.
    /// - [`Refusal::SignatureDiffers`].
    ///
    /// Each later call fails with the same refusal.
    pub fn next_event(
        &mut self,
        now: SystemTime,
        key_of: impl FnOnce(&Scope<'_>) -> Option<SigningKey>,
    ) -> Result<Option<Event<'_>>, Error> {
        match self.verify_next(now, key_of) {
            Ok(None) => Ok(None),
            Ok(Some((at, found))) => {
                Ok(Some(Event { at, bytes: self.decoder.message(&found).payload() }))
            }
            Err((refusal, message)) => {
                self.state = State::Refused(refusal);
                Err(Error::new(refusal, self.place, message))
            }
        }
    }

    /// Whether the message that ends the stream came, and was signed.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether the stream, of which no more comes, was verified to its end.
    ///
    /// # Errors
    /// [`Refusal::IncompleteBody`] if the message that ends it did not come, or was not reached;
    /// [`Refusal::MalformedMessage`] if anything stands behind that; or what was refused before.
    pub fn finish(self) -> Result<(), Error> {
        let refuse = |refusal, message| Err(Error::new(refusal, self.place, message));
        match self.state {
            State::Open => refuse(
                Refusal::IncompleteBody,
                "the event stream ends without the signed empty message that must end it",
            ),
            State::Closed if self.decoder.left() > 0 => refuse(Refusal::MalformedMessage, BEHIND),
            State::Closed => Ok(()),
            State::Refused(refusal) => refuse(refusal, REFUSED),
        }
    }

    /// Goes behind the next message if it is good; its date, and where it lies.
    fn verify_next(
        &mut self,
        now: SystemTime,
        key_of: impl FnOnce(&Scope<'_>) -> Option<SigningKey>,
    ) -> Result<Option<(SystemTime, Found)>, Refused> {
        match self.state {
            State::Open => {}
            State::Closed if self.decoder.left() > 0 => {
                return Err((Refusal::MalformedMessage, BEHIND.into()));
            }
            State::Closed => return Ok(None),
            State::Refused(refusal) => return Err((refusal, REFUSED.into())),
        }
        let malformed = |error: MessageError| (Refusal::MalformedMessage, error.to_string());
        let Some(found) = self.decoder.advance().map_err(malformed)? else { return Ok(None) };
        let message = self.decoder.message(&found);
        let Some((milliseconds, provided)) = wrapping(&message) else {
            let message = "a message of the event stream is not wrapped in one whose headers are a \
                `:date` and a `:chunk-signature` of 32 bytes";
            return Err((Refusal::MalformedMessage, message.into()));
        };
        let at = self.check_date(milliseconds, now)?;
        let timestamp = Timestamp::try_from(at)
            .map_err(|error| (Refusal::MalformedMessage, error.to_string()))?;
        let date = DateHeader::new(milliseconds);
        let Some(expected) = self.chain.sign(&date, timestamp, message.payload(), key_of) else {
            let message = "no key is known for the day of a message of the event stream";
            return Err((Refusal::UnknownKey, message.into()));
        };
        if !bool::from(expected.ct_eq(provided)) {
            let message = "the signature of a message of the event stream does not match";
            return Err((Refusal::SignatureDiffers, message.into()));
        }
        self.chain.follow(&expected);
        if !message.payload().is_empty() {
            return Ok(Some((at, found)));
        }
        self.state = State::Closed;
        if self.decoder.left() > 0 {
            return Err((Refusal::MalformedMessage, BEHIND.into()));
        }
        Ok(None)
    }

    fn check_date(&self, milliseconds: i64, now: SystemTime) -> Result<SystemTime, Refused> {
        let at = u64::try_from(milliseconds)
            .ok()
            .and_then(|since| UNIX_EPOCH.checked_add(Duration::from_millis(since)))
            .ok_or_else(|| {
                let message = format!("no message is dated {milliseconds} milliseconds after 1970");
                (Refusal::MalformedMessage, message)
            })?;
        let behind = now.duration_since(at).unwrap_or_default();
        let ahead = at.duration_since(now).unwrap_or_default();
        if behind > self.clock_skew {
            let message = "Signature expired: a message of the event stream is too old";
            return Err((Refusal::TimeSkewed, message.into()));
        }
        if ahead > self.clock_skew {
            let message = "Signature not yet current: a message of the event stream is of a later \
                time";
            return Err((Refusal::TimeSkewed, message.into()));
        }
        Ok(at)
    }
}

impl<'a> Event<'a> {
    /// When it was signed, by the clock of who signed it.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// The bytes that were signed; at least one.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The message that these bytes are.
    ///
    /// # Errors
    /// They are none: whoever holds the key may sign anything.
    pub fn message(&self) -> Result<Message<'a>, MessageError> {
        Message::decode(self.bytes)
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("at", &self.at).field("len", &self.bytes.len()).finish()
    }
}

/// Why a stream is refused, and what to say of it.
type Refused = (Refusal, String);

/// The date and the signature of a wrapping that has these two headers and no other, in either order.
fn wrapping<'a>(message: &Message<'a>) -> Option<(i64, &'a [u8; 32])> {
    let mut headers = message.headers();
    let (first, second) = (headers.next()?, headers.next()?);
    if headers.next().is_some() {
        return None;
    }
    match (first, second) {
        ((DATE, Value::Timestamp(at)), (SIGNATURE, Value::Bytes(signature)))
        | ((SIGNATURE, Value::Bytes(signature)), (DATE, Value::Timestamp(at))) => {
            Some((at, signature.try_into().ok()?))
        }
        _ => None,
    }
}

const DATE: &str = ":date";

const SIGNATURE: &str = ":chunk-signature";

const BEHIND: &str = "there is more behind the message that ends the event stream";

const REFUSED: &str = "the event stream was refused before";
