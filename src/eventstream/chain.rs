//! The chain of signatures over a stream's messages.

use std::{fmt, sync::Arc};

use crate::{Algorithm, Error, ErrorKind, Scope, SigningKey, Timestamp, scope, sha256};

/// The end of a chain: its last signature, and what the next one is made of.
pub(super) struct Chain {
    region: Arc<str>,
    service: Arc<str>,
    /// The last signature; before the first message, the request's own.
    last: [u8; 64],
    /// The key of the day on which the last message was signed. In a box, for who is moved leaves copies
    /// behind that nobody wipes.
    key: Option<Box<([u8; 8], SigningKey)>>,
    string_to_sign: Vec<u8>,
}

/// The header that says when a message was signed, as it stands in the message and is signed.
pub(super) struct DateHeader(pub(super) [u8; DATE_HEADER]);

impl Chain {
    pub(super) fn new(region: Arc<str>, service: Arc<str>, seed: &str) -> Result<Chain, Error> {
        scope::check_name("region", &region)?;
        scope::check_name("service", &service)?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let last = <[u8; 64]>::try_from(seed.as_bytes())
            .ok()
            .filter(|seed| seed.iter().all(is_digit))
            .ok_or_else(|| {
                let message = "an event stream begins with the signature of its request, which is \
                    64 lower-case hexadecimal digits; what was given is not";
                Error::new(ErrorKind::InvalidEvent, message)
            })?;
        let string_to_sign = Vec::with_capacity(region.len() + service.len() + FIXED);
        Ok(Chain { region, service, last, key: None, string_to_sign })
    }

    /// The signature that the next message has; `None` if there is no key for its day. The chain does
    /// not go on before [`Chain::follow`].
    pub(super) fn sign(
        &mut self,
        date: &DateHeader,
        at: Timestamp,
        inner: &[u8],
        key_of: impl FnOnce(&Scope<'_>) -> Option<SigningKey>,
    ) -> Option<[u8; 32]> {
        let scope = Scope::new_unchecked(at, &self.region, &self.service);
        let text = &mut self.string_to_sign;
        write_string_to_sign(at, &scope, &self.last, &date.0, inner, text);
        let key = match &mut self.key {
            Some(kept) if kept.0 == at.date().as_bytes() => &kept.1,
            other => &other.insert(Box::new((day_of(at), key_of(&scope)?))).1,
        };
        Some(key.sign(text))
    }

    /// Goes on behind a message with this signature.
    pub(super) fn follow(&mut self, signature: &[u8; 32]) {
        self.last = sha256::hex(signature);
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("region", &self.region)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl DateHeader {
    /// The header for a moment in milliseconds since 1970.
    pub(super) fn new(milliseconds: i64) -> DateHeader {
        let mut bytes = *b"\x05:date\x0800000000";
        bytes[7..].copy_from_slice(&milliseconds.to_be_bytes());
        DateHeader(bytes)
    }
}

/// The header's bytes, without the length of all headers before them.
pub(super) const DATE_HEADER: usize = 15;

/// The header of the signature but for its value, of which the length is the last byte.
pub(super) const SIGNATURE_HEADER: &[u8; 20] = b"\x10:chunk-signature\x06\x00\x20";

/// The headers of a wrapping.
pub(super) const HEADERS: usize = DATE_HEADER + SIGNATURE_HEADER.len() + 32;

fn write_string_to_sign(
    at: Timestamp,
    scope: &Scope<'_>,
    last: &[u8; 64],
    headers: &[u8],
    inner: &[u8],
    out: &mut Vec<u8>,
) {
    out.clear();
    for part in [Algorithm::HmacSha256.as_str(), "-PAYLOAD\n", at.as_str(), "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    scope.write(out);
    for hash in [last, &sha256::hex(&sha256::digest(headers)), &sha256::hex(&sha256::digest(inner))]
    {
        out.push(b'\n');
        out.extend_from_slice(hash);
    }
}

fn day_of(at: Timestamp) -> [u8; 8] {
    let mut day = [0; 8];
    day.copy_from_slice(at.date().as_bytes());
    day
}

/// More than a string to sign takes beside its region and service.
const FIXED: usize = 288;
