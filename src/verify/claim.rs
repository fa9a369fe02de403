//! What a request says of its own signature, and the proof that it is true.

use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

use super::{
    BodyCheck, Error, Known, Place, Refusal, Verifier,
    body::{self, Seed},
    error::{MISMATCH, Steps},
    key::AnyKey,
    names::SignedNames,
    parts::{self, Credential, Found, Parts, S3_SESSION_TOKEN, TOKEN, Value, is_name, malformed},
    region_set,
    text::Text,
};
use crate::{
    Algorithm, Head, Payload, Rules, Scope, Scratch, Timestamp,
    canonical::{self, Buffers, Lines, PathForm, query, room},
    rules::has_s3_sessions,
    scope,
    sha256::{self, PADDING},
};

/// What a request says of its own signature: parsed, and not believed.
///
/// Made by [`Verifier::claim`].
pub struct Claim<'a> {
    verifier: &'a Verifier,
    head: Head<'a>,
    rules: Rules,
    place: Place,
    algorithm: Algorithm,
    credential: Credential<'a>,
    signed: SignedNames<'a>,
    signature: Cow<'a, [u8]>,
    token: Option<Value<'a>>,
    region_set: Option<Cow<'a, str>>,
    at: Timestamp,
    expires_at: Option<SystemTime>,
    /// `None`: the hash of the whole body.
    payload: Option<Payload>,
    /// The same as the request spells it, if a header does.
    payload_line: Option<&'a [u8]>,
    host: &'a [u8],
}

/// The proof that a request was signed with the key of its access key id.
///
/// Only [`Claim::verify`] makes it. It holds no key, so it can be kept with the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    algorithm: Algorithm,
    access_key_id: Text<'a>,
    region: Text<'a>,
    region_set: Option<Cow<'a, str>>,
    service: Text<'a>,
    signed_headers: Text<'a>,
    place: Place,
    at: Timestamp,
    expires_at: Option<SystemTime>,
    payload: Payload,
}

impl<'a> Claim<'a> {
    pub(super) fn parse(
        verifier: &'a Verifier,
        head: Head<'a>,
        now: SystemTime,
    ) -> Result<Claim<'a>, Error> {
        let found = Found::collect(head)?;
        let parts = Parts::parse(head, &found)?;
        let place = parts.place;
        let refuse = |refusal, message| Error::new(refusal, place, message);
        verifier.check_algorithm(&parts)?;
        let service = parts.credential.service.as_bytes();
        let rules = verifier.rules.unwrap_or_else(|| Rules::for_service_bytes(service));
        let host = head.host(found.host).map_err(|error| malformed(place, error.to_string()))?;
        canonical::check_request_line(head, rules)
            .map_err(|error| malformed(place, error.to_string()))?;
        let at = parts.timestamp()?;
        let payload = parts.payload(rules)?;
        let expires = parts.expiry(rules, verifier.longest_expiry)?;
        let region_set = match parts.algorithm.names_region() {
            true => None,
            false => Some(region_set::claimed(&parts)?),
        };

        verifier.check_scope(place, &parts.credential, at, region_set.as_deref())?;

        let signed_at = SystemTime::from(at);
        let skew = verifier.clock_skew;
        let (behind, ahead) = match now.duration_since(signed_at) {
            Ok(behind) => (behind, Duration::ZERO),
            Err(error) => (Duration::ZERO, error.duration()),
        };
        let expires_at = match (place, expires) {
            (Place::Header, _) if behind > skew => {
                return Err(refuse(
                    Refusal::TimeSkewed,
                    "Signature expired: the request is too old",
                ));
            }
            (Place::Header, _) if ahead > skew => {
                return Err(refuse(Refusal::TimeSkewed, "Signature not yet current"));
            }
            (Place::Header, _) => None,
            (Place::Query, _) if ahead > skew => {
                return Err(refuse(Refusal::Expired, "Request is not yet valid"));
            }
            (Place::Query, expires) if behind > expires.unwrap_or(skew) => {
                return Err(refuse(Refusal::Expired, "Request has expired"));
            }
            (Place::Query, expires) => signed_at.checked_add(expires.unwrap_or(skew)),
        };
        let payload_line = parts.payload_line();
        let Parts { algorithm, credential, signed, signature, token, .. } = parts;
        Ok(Claim {
            verifier,
            head,
            rules,
            place,
            algorithm,
            credential,
            signed,
            signature,
            token,
            region_set,
            at,
            expires_at,
            payload,
            payload_line,
            host,
        })
    }

    /// The algorithm of the signature, and so of the key that is wanted.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whose key signed, by the request's own word.
    pub fn access_key_id(&self) -> &str {
        self.credential.access_key_id.as_str()
    }

    /// The scope that the key is to be derived for.
    pub fn scope(&self) -> Scope<'_> {
        let Credential { region, service, .. } = &self.credential;
        Scope::new_unchecked(self.at, region.as_str(), service.as_str())
    }

    /// The regions in which a SigV4A signature holds, as `us-east-1,eu-*`; `None` for other signatures.
    ///
    /// [`Verifier::with_region`] looks at it.
    pub fn region_set(&self) -> Option<&str> {
        self.region_set.as_deref()
    }

    /// The session token that came with the request.
    pub fn session_token(&self) -> Option<Cow<'a, [u8]>> {
        self.token.map(Value::decode)
    }

    /// The moment of signing, by the request's own word.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Where the request carries its signature.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The signature, as the request carries it: not to be believed.
    ///
    /// The first chunk or message of a body that streams is signed over it.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// By how much the verifier allows the client's clock to be off.
    pub fn clock_skew(&self) -> Duration {
        self.verifier.clock_skew
    }

    /// What the request says of its body; `None` if the signature covers the hash of the whole body
    /// without naming it, so that [`Claim::verify`] must be told the hash.
    pub fn payload(&self) -> Option<Payload> {
        self.payload
    }

    /// Compares signatures.
    ///
    /// `known` is the key that the server found, for `None` see [`Refusal::UnknownKey`]: that answer
    /// takes as long as the one for a wrong signature. `body` is the payload by
    /// [`Payload::hash`], needed if [`Claim::payload`] is `None`; otherwise it may be given if the body
    /// was hashed already, and is checked. Of a body in chunks the hash says nothing. [`Payload::Events`]
    /// says that the caller verifies the messages of an event stream, which the [`BodyCheck`] does not.
    ///
    /// # Errors
    /// A [`Refusal`] from [`Refusal::NotSigned`] on.
    pub fn verify(
        self,
        known: Option<Known<'_>>,
        body: Option<Payload>,
        scratch: &mut Scratch,
    ) -> Result<(Verified<'a>, BodyCheck), Error> {
        let (place, uniform) = (self.place, self.verifier.is_uniform);
        let payload = self.payload.or(body).unwrap_or(Payload::EMPTY);
        let mut lines = Lines::new();
        let names = self.signed.sorted();
        let (all_there, unsigned) = self.select(&names, &mut lines);
        let structure = self.check_headers(unsigned);
        // Before the key is looked at, so that the answer says nothing of the key.
        let structure = if uniform { Ok(structure?) } else { structure };
        // Those that have no line are not written.
        let names = all_there.then_some(&*names);
        let (matches, steps) =
            self.compare(known.as_ref(), payload, &lines, names, &mut scratch.buffers)?;
        let matches = matches && all_there;
        let expected_token = known.and_then(|known| known.session_token);
        let has_token = match (self.token, expected_token) {
            (None, expected) => expected.is_none(),
            (Some(token), expected) => token.is(expected.map(|expected| expected.0)),
        };
        let refuse = |refusal, message: &'static str| Error::new(refusal, place, message);
        let refused = match (known.is_some(), has_token, &structure) {
            (false, ..) => Some((
                Refusal::UnknownKey,
                "The security token included in the request is invalid: the access key id is not known.",
            )),
            (_, false, _) => Some((
                Refusal::WrongToken,
                "The security token included in the request is invalid.",
            )),
            (.., Ok(())) if !matches => Some((Refusal::SignatureDiffers, MISMATCH)),
            _ => None,
        };
        // One way out for all three, which takes as long for each.
        if let Some((refusal, message)) = refused {
            // Uniform refusals have them all: by who has them it could be told who is known.
            let steps = steps.filter(|_| uniform || refusal == Refusal::SignatureDiffers);
            return Err(refuse(refusal, message).made_uniform(uniform).with_steps(steps));
        }
        structure?;
        match payload {
            Payload::Sha256(_) => {}
            // Whoever says so of the body checks each message of it: see `Claim::verify_events`.
            Payload::Events if body == Some(Payload::Events) => {}
            Payload::Unsigned if self.takes_unsigned() => {}
            payload if payload.chunk_algorithm().is_some() => {}
            Payload::StreamingUnsignedTrailer if self.takes_unsigned() => {}
            Payload::Unsigned | Payload::StreamingUnsignedTrailer => {
                let message = "the service does not take requests whose payload is unsigned";
                return Err(refuse(Refusal::UnsignedPayload, message));
            }
            _ => {
                let message = "the body is an event stream, and this server takes none: the messages of one are \
                               verified by Claim::verify_events";
                return Err(refuse(Refusal::UnsupportedPayload, message));
            }
        }
        let is_checked = body.is_some();
        if body.is_some_and(|body| payload.is_hash() && body != payload) {
            return Err(body::differs(place));
        }
        let check = match known.filter(|_| payload.is_in_chunks()) {
            Some(known) => {
                let signature = &self.signature;
                let seed =
                    Seed { place, key: known.key, at: self.at, scope: self.scope(), signature };
                BodyCheck::of_chunks(payload, seed, &lines, self.verifier)?
            }
            None => BodyCheck::new(payload, place, is_checked),
        };
        let Credential { access_key_id, region, service, .. } = self.credential;
        let verified = Verified {
            algorithm: self.algorithm,
            access_key_id,
            region,
            region_set: self.region_set,
            service,
            signed_headers: self.signed.into_text(),
            place,
            at: self.at,
            expires_at: self.expires_at,
            payload,
        };
        Ok((verified, check))
    }

    fn has_s3_sessions(&self) -> bool {
        has_s3_sessions(self.credential.service.as_bytes())
    }

    fn takes_unsigned(&self) -> bool {
        let rules = self.rules;
        self.verifier.accepts_unsigned || rules.presigned_unsigned || rules.always_unsigned
    }

    /// Whether all is signed that must be.
    fn check_headers(&self, unsigned: Option<&[u8]>) -> Result<(), Error> {
        let place = self.place;
        let signed = &self.signed;
        let mut others = self.verifier.required_headers.iter().map(String::as_str);
        let required =
            if signed.has_host { others.find(|name| !signed.has(name)) } else { Some("host") };
        if let Some(name) = required {
            let message = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
            return Err(Error::new(Refusal::NotSigned, place, message));
        }
        unsigned.map_or(Ok(()), |name| Err(parts::unsigned(place, name)))
    }

    /// Whether the signature is the one that this key makes, in any of the accepted forms.
    fn compare(
        &self,
        known: Option<&Known<'_>>,
        payload: Payload,
        lines: &Lines<'_>,
        names: Option<&[u8]>,
        buffers: &mut Buffers,
    ) -> Result<(bool, Option<Steps>), Error> {
        let place = self.place;
        let (key, is_known) = self.key(known);
        let written;
        let payload = match self.payload_line {
            Some(line) => line,
            None => {
                written = payload.line();
                written.as_bytes()
            }
        };
        let leave_out = match place {
            Place::Query if !self.rules.token_after_signing => is_signature,
            Place::Query if self.has_s3_sessions() => is_signature_or_any_token,
            Place::Query => is_signature_or_token,
            Place::Header => is_signature,
        };
        let mut request = canonical::Request {
            method: self.head.method,
            path: self.head.path,
            query: self.head.query.unwrap_or_default(),
            own_query: b"",
            leave_out,
            lines,
            names,
            payload,
            rules: self.rules,
            path_form: PathForm::Canonical,
        };
        let [region, service] =
            [&self.credential.region, &self.credential.service].map(Text::as_bytes);
        let Buffers { text, string_to_sign, spare, .. } = buffers;
        room(string_to_sign, region.len() + service.len() + 160);
        let write = |text: &mut Vec<u8>| scope::write(self.at.day(), region, service, text);
        canonical::begin_string_to_sign(self.algorithm, self.at, write, string_to_sign);
        let start = string_to_sign.len();
        // It waits for nothing, so that a processor can do it beside what comes next.
        let begun = key.begin(string_to_sign);
        let mut steps = None;
        let mut matches = false;
        let mut form = Some(PathForm::Canonical);
        while let Some(path_form) = form {
            request.path_form = path_form;
            room(text, request.bound() + PADDING);
            let layout =
                request.write(text, spare).map_err(|error| malformed(place, error.to_string()))?;
            let hash = sha256::hex(&sha256::digest_in_place(text));
            string_to_sign.truncate(start);
            string_to_sign.extend_from_slice(&hash);
            matches |= key.is_signature_begun(begun.as_ref(), string_to_sign, &self.signature);
            // A second form that is no other would have the same signature.
            let may_differ =
                path_form == PathForm::Canonical && text[layout.path.clone()] != *self.head.path;
            form = may_differ.then(|| PathForm::other(self.head.path, self.rules)).flatten();
            if self.verifier.is_debugging && steps.is_none() {
                steps = Some(Steps {
                    access_key_id: self.access_key_id().to_owned(),
                    signature_provided: String::from_utf8_lossy(&self.signature).into_owned(),
                    canonical_request: String::from_utf8_lossy(text).into_owned(),
                    string_to_sign: String::from_utf8_lossy(string_to_sign).into_owned(),
                });
            }
        }
        Ok((matches && is_known, steps))
    }

    /// The key to compare with, and whether it is the one that was found: where there is none of the
    /// claim's algorithm, another does the same work, and what it says is no match.
    fn key<'k>(&'k self, known: Option<&Known<'k>>) -> (AnyKey<'k>, bool) {
        let stand_in = self.verifier.stand_in(self.algorithm);
        match known {
            Some(known) if known.key.is_like(stand_in) => (known.key, true),
            _ => (stand_in, false),
        }
    }

    /// Collects the headers of these names, which are those that the signature names, sorted; whether all
    /// of them are there, and an `x-amz-*` header that is not named and must be.
    fn select(&self, names: &[u8], lines: &mut Lines<'a>) -> (bool, Option<&'a [u8]>) {
        lines.push(b"host", self.host);
        self.head.headers.for_each_checked(|name, value| {
            if !is_name(name, "host") && !is_name(name, "authorization") {
                lines.push(name, value);
            }
        });
        lines.sort();
        // Of the two forms of a token that is not signed, the one that is compared is exempt.
        let token_is_exempt = self.rules.token_after_signing && self.place == Place::Header;
        let tolerated = |name: &[u8]| {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            let is_token = || is(TOKEN) || (is(S3_SESSION_TOKEN) && self.has_s3_sessions());
            (token_is_exempt && is_token())
                || self.verifier.tolerated_headers.iter().any(|other| is(other))
        };
        let mut unsigned = None;
        let left_out = |name: &'a [u8]| {
            let is_amz = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"x-amz-"));
            if is_amz && unsigned.is_none() && !tolerated(name) {
                unsigned = Some(name);
            }
        };
        let all_there = lines.keep(names, left_out);
        (all_there, unsigned)
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("access_key_id", &self.access_key_id())
            .field("scope", &self.scope())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<'a> Verified<'a> {
    /// Whose key signed.
    pub fn access_key_id(&self) -> &str {
        self.access_key_id.as_str()
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The scope for which the signature holds.
    pub fn scope(&self) -> Scope<'_> {
        Scope::new_unchecked(self.at, self.region.as_str(), self.service.as_str())
    }

    /// The regions in which a SigV4A signature holds, as `us-east-1,eu-*`; `None` for other signatures.
    pub fn region_set(&self) -> Option<&str> {
        self.region_set.as_deref()
    }

    /// The names of the headers that the signature covers; believe no others.
    pub fn signed_headers(&self) -> impl Iterator<Item = &str> {
        self.signed_headers.as_str().split(';')
    }

    /// What the signature says of the body.
    pub fn payload(&self) -> Payload {
        self.payload
    }

    /// Where the request carried its signature.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The moment of signing.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The last moment at which a presigned URL is accepted; `None` for a request signed in its headers, and for
    /// a URL that holds longer than any clock can tell.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// The same proof, which no longer borrows the request: it can go where the request goes.
    pub fn into_owned(self) -> Verified<'static> {
        let owned = |set: Cow<'a, str>| Cow::Owned(set.into_owned());
        Verified {
            algorithm: self.algorithm,
            access_key_id: self.access_key_id.into_owned(),
            region: self.region.into_owned(),
            region_set: self.region_set.map(owned),
            service: self.service.into_owned(),
            signed_headers: self.signed_headers.into_owned(),
            place: self.place,
            at: self.at,
            expires_at: self.expires_at,
            payload: self.payload,
        }
    }
}

fn is_signature(name: &[u8]) -> bool {
    name == query::SIGNATURE.as_bytes()
}

fn is_signature_or_token(name: &[u8]) -> bool {
    is_signature(name) || name == query::SECURITY_TOKEN.as_bytes()
}

fn is_signature_or_any_token(name: &[u8]) -> bool {
    is_signature_or_token(name) || name == query::S3_SESSION_TOKEN.as_bytes()
}
