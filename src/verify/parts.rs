//! The parts of a signature, as a request carries them in its Authorization header or its query.

use std::{borrow::Cow, hint::black_box, time::Duration};

use percent_encoding::percent_decode;

use super::{Error, Place, Refusal, names::SignedNames, region_set, text::Text};
use crate::{
    Algorithm, Head, Payload, Rules, Timestamp,
    bytes::{any, any_run, find, is_same_secret, split, split_text},
    canonical::query,
    head::{check_header, check_value, trim_blanks},
    rules::{ContentSha256, has_s3_sessions},
};

/// The parts of a signature.
pub(super) struct Parts<'a> {
    pub(super) place: Place,
    pub(super) algorithm: Algorithm,
    pub(super) credential: Credential<'a>,
    pub(super) signed: SignedNames<'a>,
    pub(super) signature: Cow<'a, [u8]>,
    pub(super) token: Option<Value<'a>>,
    date: Option<Value<'a>>,
    /// Whether that is the `date` header, which may have the form of HTTP.
    is_http_date: bool,
    expires: Option<Value<'a>>,
    content_sha256: Option<Value<'a>>,
    /// Whether there is an `x-amz-content-sha256` that is not signed.
    has_unsigned_hash: bool,
    pub(super) region_set: Option<Value<'a>>,
}

/// `AKID/20150830/us-east-1/iam/aws4_request`, taken apart; the region is empty where the algorithm's
/// scope names none.
#[derive(Debug, PartialEq)]
pub(crate) struct Credential<'a> {
    pub(crate) access_key_id: Text<'a>,
    pub(crate) date: Text<'a>,
    pub(crate) region: Text<'a>,
    pub(crate) service: Text<'a>,
    pub(crate) terminator: Text<'a>,
}

/// The headers that say something of the signature.
#[derive(Default)]
pub(super) struct Found<'a> {
    authorization: Option<&'a [u8]>,
    pub(super) host: Option<&'a [u8]>,
    amz_date: Option<&'a [u8]>,
    date: Option<&'a [u8]>,
    /// Whether there was more than one, which counts where it tells the time.
    has_dates: bool,
    token: Option<&'a [u8]>,
    s3_session_token: Option<&'a [u8]>,
    content_sha256: Option<&'a [u8]>,
    region_set: Option<&'a [u8]>,
}

/// The value of a header or of a query parameter, as it was received.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    raw: &'a [u8],
    is_encoded: bool,
}

impl<'a> Found<'a> {
    #[inline]
    pub(super) fn collect(head: Head<'a>) -> Result<Found<'a>, Error> {
        let mut found = Found::default();
        let mut twice = None;
        let visited = head.headers.for_each_unchecked(|name, value, needs_check| {
            let is = |other: &str| is_name(name, other);
            let slot = match () {
                () if is("authorization") => &mut found.authorization,
                () if is("host") => &mut found.host,
                () if is("x-amz-date") => &mut found.amz_date,
                () if is("date") => &mut found.date,
                () if is("x-amz-content-sha256") => &mut found.content_sha256,
                () if is(region_set::HEADER) => &mut found.region_set,
                () if is(TOKEN) => &mut found.token,
                () if is(S3_SESSION_TOKEN) => &mut found.s3_session_token,
                () if needs_check => return check_header(name, value),
                () => return Ok(()),
            };
            // Their names are tokens.
            if needs_check {
                check_value(name, value)?;
            }
            // An ordinary header that is repeated is joined; `host` says so itself below.
            if slot.replace(value).is_some() {
                match is("date") {
                    true => found.has_dates = true,
                    false => twice = Some(name),
                }
            }
            Ok(())
        });
        visited.map_err(|error| malformed(Place::Header, error.to_string()))?;
        match twice {
            None => Ok(found),
            Some(name) if name.eq_ignore_ascii_case(b"host") => {
                Err(malformed(Place::Header, "the request has two `host` headers"))
            }
            Some(name) => Err(Error::new(
                Refusal::Ambiguous,
                Place::Header,
                format!("the request has two `{}` headers", name.escape_ascii()),
            )),
        }
    }
}

impl<'a> Parts<'a> {
    #[inline]
    pub(super) fn parse(head: Head<'a>, found: &Found<'a>) -> Result<Parts<'a>, Error> {
        let mut parameters = Parameters::default();
        parameters.collect(head.query.unwrap_or_default())?;
        match (found.authorization, parameters.are_a_signature()) {
            (None, false) => Err(Error::new(
                Refusal::NoCredentials,
                Place::Header,
                "Missing Authentication Token: the request carries no signature",
            )),
            (Some(_), true) => Err(Error::new(
                Refusal::Ambiguous,
                Place::Query,
                "Only one auth mechanism allowed: the request has an Authorization header and a \
                 signature in its query",
            )),
            (Some(value), false) => Parts::from_header(value, found, &parameters),
            (None, true) => Parts::from_query(found, &parameters),
        }
    }

    #[inline]
    fn from_header(
        value: &'a [u8],
        found: &Found<'a>,
        parameters: &Parameters<'a>,
    ) -> Result<Parts<'a>, Error> {
        let place = Place::Header;
        let fields = usual_fields(value).map_or_else(|| fields(value), Ok)?;
        let Fields { algorithm, credential, signed_headers, signature } = fields;
        let token = token_of(place, &credential, [found.token, found.s3_session_token])?;
        let signed = SignedNames::new(place, signed_headers)?;
        // A `date` header counts where there is no x-amz-date, if it is signed.
        let date = found.amz_date.or_else(|| found.date.filter(|_| signed.has_date));
        if found.has_dates && found.amz_date.is_none() && signed.has_date {
            let message = "the request has two `date` headers and no `x-amz-date`";
            return Err(Error::new(Refusal::Ambiguous, place, message));
        }
        let hash = found.content_sha256.filter(|_| signed.has_content_sha256);
        let region_set = found.region_set.filter(|_| signed.has(region_set::HEADER));
        Ok(Parts {
            place,
            algorithm,
            credential,
            signature: Cow::Borrowed(signature),
            token: token.map(Value::header),
            date: date.map(Value::header),
            is_http_date: found.amz_date.is_none(),
            expires: None,
            content_sha256: hash.map(Value::header).or(parameters.content_sha256),
            has_unsigned_hash: found.content_sha256.is_some() && hash.is_none(),
            region_set: region_set.map(Value::header),
            signed,
        })
    }

    #[inline(never)]
    fn from_query(found: &Found<'a>, parameters: &Parameters<'a>) -> Result<Parts<'a>, Error> {
        let place = Place::Query;
        let needed = |value: Option<Value<'a>>, name: &str| {
            value.ok_or_else(|| malformed(place, format!("the query lacks {name}")))
        };
        let algorithm = needed(parameters.algorithm, query::ALGORITHM)?.text();
        let Some((algorithm, "")) = algorithm.as_deref().and_then(Algorithm::split_from) else {
            let expected = Algorithm::HmacSha256;
            return Err(malformed(place, format!("{} is not {expected}", query::ALGORITHM)));
        };
        let credential = needed(parameters.credential, query::CREDENTIAL)?;
        let signed_headers = needed(parameters.signed_headers, query::SIGNED_HEADERS)?.text();
        let signed_headers = signed_headers
            .ok_or_else(|| malformed(place, format!("{} is not text", query::SIGNED_HEADERS)))?;
        let signed = SignedNames::new(place, signed_headers.into())?;
        let hash = found.content_sha256.filter(|_| signed.has_content_sha256);
        let credential = Credential::from_value(place, algorithm, credential)?;
        let signature = parameters.signature.filter(|value| !value.raw.is_empty());
        let tokens = [parameters.token, parameters.s3_session_token];
        Ok(Parts {
            place,
            algorithm,
            token: token_of(place, &credential, tokens)?,
            credential,
            signature: needed(signature, query::SIGNATURE)?.decode(),
            date: Some(needed(parameters.date, query::DATE)?),
            is_http_date: false,
            expires: parameters.expires,
            content_sha256: hash.map(Value::header).or(parameters.content_sha256),
            has_unsigned_hash: found.content_sha256.is_some() && hash.is_none(),
            region_set: parameters.region_set,
            signed,
        })
    }

    /// The moment of signing.
    pub(super) fn timestamp(&self) -> Result<Timestamp, Error> {
        let missing = || {
            malformed(
                self.place,
                "the request carries no date: neither x-amz-date nor a signed date",
            )
        };
        let date = self.date.ok_or_else(missing)?.plain();
        let at = match self.is_http_date {
            false => Timestamp::from_basic(&date),
            true => Timestamp::from_header(&date),
        };
        at.ok_or_else(|| {
            malformed(self.place, "the date of the request is not like 20150830T123600Z")
        })
    }

    /// What the signature says of the body; `None`: its hash, unnamed.
    pub(super) fn payload(&self, rules: Rules) -> Result<Option<Payload>, Error> {
        if let Some(value) = self.content_sha256 {
            let payload = Payload::from_bytes(&value.plain());
            let unknown = || {
                malformed(
                    self.place,
                    "x-amz-content-sha256 is neither a SHA-256 in lower-case hexadecimal nor a marker that is known",
                )
            };
            return payload.map(Some).ok_or_else(unknown);
        }
        match self.place {
            Place::Query if rules.presigned_unsigned => Ok(Some(Payload::Unsigned)),
            _ if rules.always_unsigned => Ok(Some(Payload::Unsigned)),
            Place::Header
                if rules.presigned_unsigned && rules.content_sha256 == ContentSha256::Always =>
            {
                if self.has_unsigned_hash {
                    return Err(unsigned(self.place, b"x-amz-content-sha256"));
                }
                Err(Error::new(
                    Refusal::MissingContentSha256,
                    self.place,
                    "Missing required header for this request: x-amz-content-sha256",
                ))
            }
            _ => Ok(None),
        }
    }

    /// What the signature says of the body, as a header spells it.
    pub(super) fn payload_line(&self) -> Option<&'a [u8]> {
        self.content_sha256.filter(|value| !value.is_encoded).map(|value| trim_blanks(value.raw))
    }

    /// The life of a presigned URL; `None` for a request signed in its headers, and where the rules
    /// leave it open.
    pub(super) fn expiry(
        &self,
        rules: Rules,
        longest: Duration,
    ) -> Result<Option<Duration>, Error> {
        let invalid =
            |message: String| Err(Error::new(Refusal::InvalidExpiry, self.place, message));
        match (self.place, self.expires) {
            (Place::Header, _) => Ok(None),
            (Place::Query, None) if rules.presigned_unsigned => {
                invalid(format!("the query lacks {}", query::EXPIRES))
            }
            (Place::Query, None) => Ok(None),
            (Place::Query, Some(value)) => {
                let text = value.text();
                let digits =
                    text.as_deref().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                let seconds =
                    digits.and_then(|digits| digits.parse().ok()).map(Duration::from_secs);
                match seconds.filter(|life| !life.is_zero() && *life <= longest) {
                    Some(life) => Ok(Some(life)),
                    None => invalid(format!(
                        "{} must be a number of seconds from 1 to {}",
                        query::EXPIRES,
                        longest.as_secs()
                    )),
                }
            }
        }
    }
}

/// What stands in an Authorization header.
#[derive(Debug, PartialEq)]
struct Fields<'a> {
    algorithm: Algorithm,
    credential: Credential<'a>,
    signed_headers: Text<'a>,
    signature: &'a [u8],
}

/// The fields of a header that is written as the SDKs write it, a blank behind each comma and the
/// signature of an HMAC last. Of all others [`fields`] makes the same or an error.
#[inline]
fn usual_fields(value: &[u8]) -> Option<Fields<'_>> {
    // Not a comma or a blank, with which another field may begin, nor what is no text.
    let is_odd = |byte: u8| byte.wrapping_sub(b'-') > b'~' - b'-';
    let algorithm = Algorithm::HmacSha256;
    let fields = value.strip_prefix(b"AWS4-HMAC-SHA256 Credential=")?;
    let (fields, signature) = fields.split_at_checked(fields.len().checked_sub(64)?)?;
    let fields = fields.strip_suffix(b", Signature=")?;
    let (credential, fields) = Credential::usual(algorithm, fields, b"/", is_odd)?;
    let signed_headers = fields.strip_prefix(b", SignedHeaders=")?;
    let is_usual = !any(signed_headers, is_odd) && !any(signature, is_odd);
    let fields = || {
        let signed_headers = Text::ascii(signed_headers);
        Fields { algorithm, credential, signed_headers, signature }
    };
    is_usual.then(fields)
}

fn fields(value: &[u8]) -> Result<Fields<'_>, Error> {
    let place = Place::Header;
    let value = str::from_utf8(value)
        .map_err(|_| malformed(place, "the Authorization header is not text"))?;
    let Some((algorithm, fields)) = Algorithm::split_from(value.trim_matches(BLANKS)) else {
        return Err(malformed(
            place,
            format!("the Authorization header does not begin with {}", Algorithm::HmacSha256),
        ));
    };
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    let mut rest = Some(fields);
    while let Some(fields) = rest {
        let (field, behind) = split_text(fields, b',');
        rest = behind;
        let field = field.trim_matches(BLANKS);
        let (slot, name) = match field.as_bytes().first() {
            Some(b'C') => (&mut credential, "Credential"),
            Some(b'S') if field.starts_with("SignedHeaders") => {
                (&mut signed_headers, "SignedHeaders")
            }
            _ => (&mut signature, "Signature"),
        };
        let Some(value) = field.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')) else {
            let message = "the Authorization header holds an unknown part";
            return Err(malformed(place, message));
        };
        if slot.replace(value).is_some() {
            let message = format!("the Authorization header holds {name} twice");
            return Err(Error::new(Refusal::Ambiguous, place, message));
        }
    }
    let (Some(credential), Some(signed_headers), Some(signature)) =
        (credential, signed_headers, signature)
    else {
        return Err(malformed(
            place,
            "the Authorization header lacks one of Credential, SignedHeaders and Signature",
        ));
    };
    if signature.is_empty() {
        return Err(malformed(place, "the Signature of the Authorization header is empty"));
    }
    let credential = Credential::from_text(place, algorithm, credential)?;
    let signed_headers = Cow::Borrowed(signed_headers).into();
    Ok(Fields { algorithm, credential, signed_headers, signature: signature.as_bytes() })
}

impl<'a> Credential<'a> {
    pub(crate) fn from_text(
        place: Place,
        algorithm: Algorithm,
        text: &'a str,
    ) -> Result<Credential<'a>, Error> {
        let usual = Credential::usual(algorithm, text.as_bytes(), b"/", is_odd);
        if let Some((usual, b"")) = usual {
            return Ok(usual);
        }
        let mut parts = [""; 5];
        let mut rest = Some(text);
        for part in &mut parts[..parts_of(algorithm)] {
            (*part, rest) = rest.map_or(("", None), |rest| split_text(rest, b'/'));
        }
        let is_text = !any(text.as_bytes(), |byte| byte.is_ascii_control());
        Credential::new(place, algorithm, parts.map(Cow::Borrowed), rest.is_none() && is_text)
    }

    /// Splits at slashes, escaped or not; the parts themselves are seldom escaped.
    fn from_value(
        place: Place,
        algorithm: Algorithm,
        value: Value<'a>,
    ) -> Result<Credential<'a>, Error> {
        let usual = Credential::usual(algorithm, value.raw, b"%2F", is_odd_in_query);
        if let Some((usual, b"")) = usual {
            return Ok(usual);
        }
        let mut parts = [const { Cow::Borrowed("") }; 5];
        let mut rest = Some(value.raw);
        for part in &mut parts[..parts_of(algorithm)] {
            let value;
            (value, rest) = rest.map_or((Value::header(b""), None), split_at_slash);
            *part = value.text().unwrap_or_default();
        }
        let is_text = |part: &Cow<'_, str>| !any(part.as_bytes(), |byte| byte.is_ascii_control());
        let is_whole = rest.is_none() && parts.iter().all(is_text);
        Credential::new(place, algorithm, parts, is_whole)
    }

    /// A Credential like nearly all, its parts found by where they stand, and what stands behind it: no part
    /// is empty or holds a byte that is odd, no ASCII, or begins a `slash`.
    #[inline]
    fn usual(
        algorithm: Algorithm,
        text: &'a [u8],
        slash: &[u8],
        is_odd: impl Fn(u8) -> bool,
    ) -> Option<(Credential<'a>, &'a [u8])> {
        let until_slash = |text: &'a [u8]| {
            let (part, rest) = text.split_at_checked(find(text, slash[0])?)?;
            Some((part, rest.strip_prefix(slash)?))
        };
        let (id, rest) = until_slash(text)?;
        let (date, rest) = rest.split_at_checked(8)?;
        let (region, rest) = until_slash(rest.strip_prefix(slash)?)?;
        let (service, rest) = until_slash(rest)?;
        let (terminator, behind) = rest.split_at_checked(TERMINATOR.len())?;
        let is_usual = algorithm.names_region()
            && ![id, region, service].iter().any(|part| part.is_empty())
            && find(date, slash[0]).is_none()
            && terminator == TERMINATOR.as_bytes()
            && !any(&text[..text.len() - behind.len()], |byte| !byte.is_ascii() | is_odd(byte));
        is_usual.then(|| {
            let [access_key_id, date, region, service, terminator] =
                [id, date, region, service, terminator].map(Text::ascii);
            (Credential { access_key_id, date, region, service, terminator }, behind)
        })
    }

    fn new(
        place: Place,
        algorithm: Algorithm,
        mut parts: [Cow<'a, str>; 5],
        is_whole: bool,
    ) -> Result<Credential<'a>, Error> {
        if !is_whole || parts[..parts_of(algorithm)].iter().any(|part| part.is_empty()) {
            let message = match algorithm.names_region() {
                true => "the Credential is not like AKID/20150830/us-east-1/iam/aws4_request",
                false => "the Credential is not like AKID/20150830/iam/aws4_request",
            };
            return Err(malformed(place, message));
        }
        if !algorithm.names_region() {
            // The empty one behind the others goes where the region would stand.
            parts[2..].rotate_right(1);
        }
        let [access_key_id, date, region, service, terminator] = parts.map(Text::from);
        Ok(Credential { access_key_id, date, region, service, terminator })
    }
}

/// Whether a byte is in hardly any Credential: it is no ASCII, or a control byte, which none may hold.
fn is_odd(byte: u8) -> bool {
    !(b' '..=b'~').contains(&byte)
}

/// The same, or it is a slash or a space in a query, if it stands there unescaped.
fn is_odd_in_query(byte: u8) -> bool {
    is_odd(byte) | (byte == b'/') | (byte == b'+')
}

const TERMINATOR: &str = "aws4_request";

/// How many parts a Credential has.
fn parts_of(algorithm: Algorithm) -> usize {
    if algorithm.names_region() { 5 } else { 4 }
}

/// What stands before the first slash, escaped or not, and what behind it, if it is there.
fn split_at_slash(text: &[u8]) -> (Value<'_>, Option<&[u8]>) {
    let (mut end, mut is_encoded) = (0, false);
    while let Some(at) = text[end..].iter().position(|byte| matches!(byte, b'/' | b'%' | b'+')) {
        end += at;
        if let [b'/', behind @ ..] | [b'%', b'2', b'F' | b'f', behind @ ..] = &text[end..] {
            return (Value { raw: &text[..end], is_encoded }, Some(behind));
        }
        (end, is_encoded) = (end + 1, true);
    }
    (Value { raw: text, is_encoded }, None)
}

impl<'a> Value<'a> {
    pub(crate) fn header(raw: &'a [u8]) -> Value<'a> {
        Value { raw, is_encoded: false }
    }

    pub(super) fn encoded(raw: &'a [u8]) -> Value<'a> {
        Value { raw, is_encoded: true }
    }

    /// The value, its escapes decoded.
    pub(super) fn decode(self) -> Cow<'a, [u8]> {
        if !self.is_encoded || !any(self.raw, |byte| (byte == b'%') | (byte == b'+')) {
            return Cow::Borrowed(self.raw);
        }
        Cow::Owned(self.bytes().collect())
    }

    /// The value as it counts where it is no secret: a header's without the blanks around it.
    fn plain(self) -> Cow<'a, [u8]> {
        if self.is_encoded { self.decode() } else { Cow::Borrowed(trim_blanks(self.raw)) }
    }

    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self.decode() {
            Cow::Borrowed(bytes) => str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        }
    }

    /// Whether the value is this one, in a time that depends on the value itself and takes as long where
    /// none is expected.
    pub(crate) fn is(self, expected: Option<&str>) -> bool {
        let expected = expected.map(str::as_bytes);
        let (mut is_same, mut len) = (true, 0);
        let mut compare = |run: &[u8]| {
            let other = expected.and_then(|expected| expected.get(len..len + run.len()));
            is_same &= is_same_secret(run, other.unwrap_or(black_box(run))) & other.is_some();
            len += run.len();
        };
        let mut rest = if self.is_encoded { self.raw } else { b"" };
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| matches!(byte, b'%' | b'+'));
            let (run, behind) = rest.split_at(end.unwrap_or(rest.len()));
            compare(run);
            let (escape, behind) = behind.split_at(match behind.first() {
                // Whatever begins with a `%` is an escape: it was checked.
                Some(b'%') => behind.len().min(3),
                Some(_) => 1,
                None => 0,
            });
            Value::encoded(escape).bytes().for_each(|byte| compare(&[byte]));
            rest = behind;
        }
        if !self.is_encoded {
            compare(self.raw.trim_ascii());
        }
        is_same & expected.is_some_and(|expected| expected.len() == len)
    }

    /// The bytes that the escapes of a query spell.
    fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        // A `+` is a space before it is decoded, never after.
        self.raw.split_inclusive(|&byte| byte == b'+').flat_map(|part| {
            let (text, plus) = match part.split_last() {
                Some((b'+', text)) => (text, Some(b' ')),
                _ => (part, None),
            };
            percent_decode(text).chain(plus)
        })
    }
}

/// The parameters of a query that belong to a signature.
#[derive(Default)]
struct Parameters<'a> {
    algorithm: Option<Value<'a>>,
    credential: Option<Value<'a>>,
    date: Option<Value<'a>>,
    expires: Option<Value<'a>>,
    signed_headers: Option<Value<'a>>,
    signature: Option<Value<'a>>,
    token: Option<Value<'a>>,
    s3_session_token: Option<Value<'a>>,
    content_sha256: Option<Value<'a>>,
    region_set: Option<Value<'a>>,
}

impl<'a> Parameters<'a> {
    fn collect(&mut self, query: &'a [u8]) -> Result<(), Error> {
        let may_begin = |byte| (byte == b'X') | (byte == b'%');
        let may_be = |piece: &&[u8]| piece.first().is_some_and(|&byte| may_begin(byte));
        // Most queries hold none, which can be told of many bytes at once.
        if !may_be(&query) && !any_run(query, |[a, b]| (a == b'&') & may_begin(b)) {
            return Ok(());
        }
        for (name, raw) in split(query, b'&').filter(may_be).map(query::halves) {
            let slot = match self.slot(name) {
                None if name.contains(&b'%') => self.slot(&Value::encoded(name).decode()),
                slot => slot,
            };
            if slot.is_some_and(|slot| slot.replace(Value::encoded(raw)).is_some()) {
                let message = format!("the query holds `{}` twice", name.escape_ascii());
                return Err(Error::new(Refusal::Ambiguous, Place::Query, message));
            }
        }
        Ok(())
    }

    /// Where the value of the parameter with this decoded name goes.
    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<Value<'a>>> {
        let is = |other: &str| *name == *other.as_bytes();
        Some(match () {
            () if is(query::ALGORITHM) => &mut self.algorithm,
            () if is(query::CREDENTIAL) => &mut self.credential,
            () if is(query::DATE) => &mut self.date,
            () if is(query::EXPIRES) => &mut self.expires,
            () if is(query::SIGNED_HEADERS) => &mut self.signed_headers,
            () if is(query::SIGNATURE) => &mut self.signature,
            () if is(query::SECURITY_TOKEN) => &mut self.token,
            () if is(query::S3_SESSION_TOKEN) => &mut self.s3_session_token,
            () if is(query::CONTENT_SHA256) => &mut self.content_sha256,
            () if is(query::REGION_SET) => &mut self.region_set,
            () => return None,
        })
    }

    fn are_a_signature(&self) -> bool {
        self.algorithm.is_some() || self.credential.is_some() || self.signature.is_some()
    }
}

/// The Credential that a request names, however malformed the rest is: not to be believed.
pub(super) fn claimed_credential(head: Head<'_>) -> Option<Cow<'_, str>> {
    let mut authorization = None;
    // Whatever is wrong with the others.
    head.headers.for_each_checked(|name, value| {
        if name.eq_ignore_ascii_case(b"authorization") {
            authorization = Some(value);
        }
    });
    let credential = match authorization {
        Some(value) => {
            let (_, credential) = str::from_utf8(value).ok()?.split_once("Credential=")?;
            let (credential, _) = split_text(credential, b',');
            Value::header(credential.trim_matches(BLANKS).as_bytes())
        }
        None => {
            let is = |name: &[u8]| percent_decode(name).eq(query::CREDENTIAL.bytes());
            let mut pieces = query::pieces(head.query.unwrap_or_default());
            let (_, raw) = pieces.find(|(name, _)| is(name))?;
            Value::encoded(raw)
        }
    };
    credential.text()
}

/// The service in it: to choose a dialect or rules by.
pub(super) fn claimed_service(head: Head<'_>) -> Option<Cow<'_, str>> {
    match claimed_credential(head)? {
        Cow::Borrowed(text) => service_in(text).map(Cow::Borrowed),
        Cow::Owned(text) => service_in(&text).map(|service| Cow::Owned(service.to_owned())),
    }
}

/// The service in a Credential, with a region before it or without.
fn service_in(credential: &str) -> Option<&str> {
    let mut parts = credential.split('/').skip(2);
    let (one, other) = (parts.next()?, parts.next()?);
    let is_region = parts.next().is_some();
    Some(if is_region { other } else { one })
}

/// The session token of a request: that of sessions of S3 Express counts there alone, beside which there is the
/// ordinary one for CreateSession.
fn token_of<T: Copy>(
    place: Place,
    credential: &Credential<'_>,
    [token, s3_session_token]: [Option<T>; 2],
) -> Result<Option<T>, Error> {
    match s3_session_token {
        Some(session) if has_s3_sessions(credential.service.as_bytes()) => match token {
            None => Ok(Some(session)),
            Some(_) => {
                let message =
                    "the request has a security token and a token of an S3 Express session";
                Err(Error::new(Refusal::Ambiguous, place, message))
            }
        },
        _ => Ok(token),
    }
}

/// Whether a header is of this name, which most often is written as it stands here.
#[inline]
pub(super) fn is_name(name: &[u8], other: &str) -> bool {
    *name == *other.as_bytes() || name.eq_ignore_ascii_case(other.as_bytes())
}

pub(super) const TOKEN: &str = "x-amz-security-token";

pub(super) const S3_SESSION_TOKEN: &str = "x-amz-s3session-token";

pub(super) const BLANKS: [char; 2] = [' ', '\t'];

pub(super) fn malformed(place: Place, message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Refusal::Malformed, place, message)
}

/// The answer to a header that is there and not signed, as it must be.
pub(super) fn unsigned(place: Place, name: &[u8]) -> Error {
    let name = name.escape_ascii();
    let message =
        format!("There were headers present in the request which were not signed: {name}");
    Error::new(Refusal::UnsignedHeader, place, message)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    proptest! {
        #[test]
        fn a_usual_header_has_the_fields_of_any_other(value in text_of(FIELDS, 9)) {
            let value = format!("AWS4-HMAC-SHA256 Credential={value}");
            if let Some(usual) = usual_fields(value.as_bytes()) {
                let fields = fields(value.as_bytes()).map_err(|error| error.to_string());
                prop_assert_eq!(Ok(usual), fields);
            }
        }

        #[test]
        fn a_usual_credential_has_the_parts_of_any_other(text in text_of(CREDENTIALS, 12)) {
            type IsOdd = fn(u8) -> bool;
            let kinds: [(&str, IsOdd); 2] = [("/", is_odd), ("%2F", is_odd_in_query)];
            for (slash, is_odd) in kinds {
                let text = text.replace('|', slash) + slash + "aws4_request";
                let usual =
                    Credential::usual(Algorithm::HmacSha256, text.as_bytes(), slash.as_bytes(), is_odd);
                let Some((Credential { access_key_id, date, region, service, terminator }, behind)) =
                    usual
                else {
                    continue;
                };
                let usual = [&access_key_id, &date, &region, &service, &terminator].map(Text::as_str);
                prop_assert!(text[..text.len() - behind.len()].split(slash).eq(usual), "{text:?}");
                prop_assert!(!usual.contains(&""), "{text:?}");
                let usual = usual.concat();
                prop_assert!(!usual.contains(|c: char| c.is_control() || !c.is_ascii()), "{text:?}");
                prop_assert!(slash == "/" || !usual.contains(['/', '%', '+']), "{text:?}");
            }
        }
    }

    #[test]
    fn a_usual_header_holds_no_odd_byte() {
        for (byte, at) in (0..=u8::MAX).flat_map(|byte| [(byte, 0), (byte, 1), (byte, 2)]) {
            let mut parts = [b"AKID".to_vec(), b"host".to_vec(), vec![b'0'; 64]];
            parts[at][1] = byte;
            let value = [
                &b"AWS4-HMAC-SHA256 Credential="[..],
                &parts[0],
                b"/20150830/us-east-1/s3/aws4_request, SignedHeaders=",
                &parts[1],
                b", Signature=",
                &parts[2],
            ]
            .concat();
            let expected = (b'-'..=b'~').contains(&byte) && (at > 0 || byte != b'/');
            assert_eq!(usual_fields(&value).is_some(), expected, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_credential_is_read_however_it_is_escaped_and_holds_no_control_byte() {
        let algorithm = Algorithm::HmacSha256;
        let id = |text: &str| {
            let value = Value::encoded(text.as_bytes());
            let credential = Credential::from_value(Place::Query, algorithm, value).ok()?;
            Some(credential.access_key_id.as_str().to_owned())
        };
        let rest = "20150830%2Fus-east-1%2Fs3%2Faws4_request";
        for (start, expected) in [
            ("AKID%2F", Some("AKID")),
            ("AKID/", Some("AKID")),
            ("AK+ID%2F", Some("AK ID")),
            ("AK%2BID%2F", Some("AK+ID")),
            ("AK/ID%2F", None),
            ("AK%01ID%2F", None),
            ("AK\u{1}ID%2F", None),
        ] {
            assert_eq!(id(&format!("{start}{rest}")).as_deref(), expected, "{start}");
        }
        assert_eq!(id(&format!("AKID%2F{rest}%2Fx")), None);
        let text = "AK\u{1}ID/20150830/us-east-1/s3/aws4_request";
        assert!(Credential::from_text(Place::Header, algorithm, text).is_err());
    }

    #[test]
    fn a_value_of_a_query_is_decoded_and_one_of_a_header_is_not() {
        for (raw, decoded) in
            [("a", "a"), ("+", " "), ("%2B", "+"), ("a%20b+c", "a b c"), ("%E4", "\u{e4}")]
        {
            let bytes: Vec<u8> = decoded.chars().map(|c| c as u8).collect();
            assert_eq!(*Value::encoded(raw.as_bytes()).decode(), bytes, "{raw}");
            assert_eq!(*Value::header(raw.as_bytes()).decode(), *raw.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn a_value_is_the_expected_one_to_the_last_byte() {
        let forms = [Value::header, Value::encoded];
        for (raw, expected, is_same) in [
            ("token", Some("token"), [true, true]),
            ("tokeN", Some("token"), [false, false]),
            ("Token", Some("token"), [false, false]),
            ("toke", Some("token"), [false, false]),
            ("tokens", Some("token"), [false, false]),
            ("", Some("token"), [false, false]),
            ("token", None, [false, false]),
            ("t%6Fken", Some("token"), [false, true]),
            ("t%6Eken", Some("token"), [false, false]),
            ("to+ken", Some("to ken"), [false, true]),
            ("to%2Bken", Some("to+ken"), [false, true]),
            ("to%2Bken", Some("to%2Bken"), [true, false]),
        ] {
            let is = forms.map(|form| form(raw.as_bytes()).is(expected));
            assert_eq!(is, is_same, "{raw} and {expected:?}");
        }
    }

    #[test]
    fn what_the_sdks_write_is_usual() {
        let signature = "0".repeat(64);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let fields = usual_fields(value.as_bytes()).expect("usual");
        assert_eq!(fields.signed_headers.as_str(), "host;x-amz-date");
        assert_eq!(fields.signature, signature.as_bytes());
        let text = b"AKID%2F20150830%2Fus-east-1%2Fs3%2Faws4_request";
        let usual = Credential::usual(Algorithm::HmacSha256, text, b"%2F", is_odd_in_query);
        assert_eq!(usual, Some((fields.credential, &b""[..])));
    }

    fn text_of(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
        vec(select(pieces), 0..most).prop_map(|pieces| pieces.concat())
    }

    const FIELDS: &[&str] = &[
        "AKID/20150830/us-east-1/s3/aws4_request",
        ", SignedHeaders=",
        ", SignedHeaders=host",
        ";x-amz-date",
        ", Signature=",
        ", Signature=",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef",
        "f",
        ",",
        " ",
        "\t",
        "é",
        "=",
    ];

    const CREDENTIALS: &[&str] = &[
        "AKID",
        "20150830",
        "s3",
        "aws4_request",
        "|",
        "|",
        "|",
        "/",
        "%2F",
        "%2f",
        "%",
        "+",
        "\n",
        "é",
        "1",
    ];
}
