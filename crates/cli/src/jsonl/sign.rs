//! `countersign sign --jsonl`.

use std::{
    borrow::Cow,
    ops::Deref,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{
    Algorithm, Credentials, Head, Headers, KeyCache, Presign, Scratch, Signer, Timestamp,
    chunked::{ChunkSigner, Chunks},
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::{Answer, Body, overridden};
use crate::{
    failure::Failure,
    framing::{self, Checksum},
    host::Target,
    object::Object,
    options::{Ambient, Given, Names, PayloadChoice, SigningOptions},
    request::{Request, check_line, url_with_query, without_fragment},
    signed::Shown,
};

/// Signs each line of standard input.
pub(crate) fn run(options: &SigningOptions) -> Result<(), Failure> {
    let mut coprocess = Coprocess::new(options);
    coprocess.ambient.read_file()?;
    super::run(|line, out| coprocess.answer(line, out))
}

/// A request as JSON Lines spell it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignLine<'l> {
    #[serde(borrow)]
    id: Option<&'l RawValue>,
    #[serde(borrow)]
    method: Option<Text<'l>>,
    #[serde(borrow)]
    url: Text<'l>,
    #[serde(borrow)]
    headers: Option<Vec<(Text<'l>, Text<'l>)>>,
    #[serde(borrow)]
    body: Option<Text<'l>>,
    #[serde(borrow)]
    body_base64: Option<Text<'l>>,
    #[serde(borrow)]
    body_file: Option<Text<'l>>,
    #[serde(borrow)]
    payload: Option<Text<'l>>,
    #[serde(rename = "as")]
    form: Option<Form>,
    expires: Option<Value>,
    exclude: Option<Vec<String>>,
    #[serde(borrow)]
    trailer: Option<Text<'l>>,
    region: Option<String>,
    service: Option<String>,
    #[serde(borrow)]
    time: Option<Text<'l>>,
    #[serde(borrow)]
    algorithm: Option<Text<'l>>,
    region_set: Option<String>,
    #[serde(borrow)]
    credentials: Option<Keys<'l>>,
    rules: Option<Map<String, Value>>,
}

/// Text that is borrowed from its line, unless there is an escape in it.
#[derive(Deserialize)]
struct Text<'l>(#[serde(borrow)] Cow<'l, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Form {
    Headers,
    Query,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = r#"credentials, as in {"access_key_id": "…", "secret_access_key": "…"}"#
)]
struct Keys<'l> {
    #[serde(borrow)]
    access_key_id: Text<'l>,
    #[serde(borrow)]
    secret_access_key: Secret<'l>,
    #[serde(borrow)]
    session_token: Option<Secret<'l>>,
    /// Whether they are what CreateSession of S3 Express gave.
    #[serde(default)]
    s3_express_session: bool,
}

/// The same as [`Text`], wiped if it is not borrowed.
#[derive(Deserialize)]
struct Secret<'l>(#[serde(borrow)] Cow<'l, str>);

impl Secret<'_> {
    /// Compares in a time that depends on the lengths alone.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl Drop for Secret<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(secret) = &mut self.0 {
            secret.zeroize();
        }
    }
}

/// What lasts from line to line.
struct Coprocess<'o> {
    ambient: Ambient<'o>,
    keys: KeyCache,
    /// Those of the last scopes, the latest at the end.
    signers: Vec<(Names, Signer)>,
    /// Those of the last line that has its own.
    credentials: Option<Credentials>,
    scratch: Scratch,
}

impl Coprocess<'_> {
    fn new(options: &SigningOptions) -> Coprocess<'_> {
        Coprocess {
            ambient: Ambient::new(options),
            keys: KeyCache::default(),
            signers: Vec::new(),
            credentials: None,
            scratch: Scratch::new(),
        }
    }

    fn answer(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let line: SignLine<'_> = match serde_json::from_slice(text) {
            Ok(line) => line,
            Err(error) => return Answer::not_a_request(text, &error).write(out),
        };
        let (id, start) = (line.id, out.len());
        if let Err(failure) = self.sign(line, out) {
            out.truncate(start);
            Answer::error(id, failure.kind, &failure.message).write(out);
        }
    }

    fn sign(&mut self, line: SignLine<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let algorithm = line.algorithm.as_deref().map(algorithm).transpose()?;
        if algorithm == Some(Algorithm::HmacSha256) && line.region_set.is_some() {
            return Err(Failure::input("`region_set` goes with the algorithm `sigv4a`"));
        }
        let body = Body::of(cow(line.body), cow(line.body_base64), cow(line.body_file))?;
        let choice = payload(line.payload.as_deref())?;
        let checksum = checksum(line.trailer.as_deref(), choice)?;
        let at = match &line.time {
            Some(time) => SystemTime::from(time.parse::<Timestamp>()?),
            None => self.ambient.options.at(),
        };
        let (method, url) = (line.method.as_deref().unwrap_or("GET"), &*line.url);
        check_line(url.as_bytes())?;
        let headers = line.headers.unwrap_or_default();
        // Where the headers of a body in chunks are.
        let request: Request;
        let mut pairs: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let given = Given {
            algorithm,
            region: line.region,
            region_set: line.region_set,
            service: line.service,
        };
        let names = self.ambient.scope(given, || Target::of(url.as_bytes(), &pairs));
        // What is no URL has no host to tell anything.
        let names = names.or_else(|failure| {
            Head::parse(method.as_bytes(), url.as_bytes(), Headers::Pairs(&pairs))?;
            Err(failure)
        })?;
        let (rules, exclude) = (line.rules.unwrap_or_default(), line.exclude.unwrap_or_default());
        let signer = self.signer(names, &rules, exclude)?;
        let credentials = match line.credentials {
            Some(keys) => self.credentials_of(&keys),
            None => self.ambient.credentials()?,
        };
        let scratch = &mut self.scratch;
        match line.form.unwrap_or(Form::Headers) {
            Form::Headers => {
                let framed = to_frame(choice, &body, checksum, signer.algorithm())?;
                if let Some(framed) = &framed {
                    let mut with_chunks = Request::new(method, url.as_bytes(), &pairs);
                    framing::set_headers(&mut with_chunks, &framed.chunks)?;
                    request = with_chunks;
                    pairs = request.pairs();
                }
                let payload = match choice {
                    PayloadChoice::Given(payload) => framing::by(payload, signer.algorithm()),
                    PayloadChoice::Hash => body.hash()?,
                };
                let head = Head::parse(method.as_bytes(), url.as_bytes(), Headers::Pairs(&pairs))?;
                let signed = signer.sign_head(head, payload, &credentials, at, scratch)?;
                let wire = match framed {
                    Some(ToFrame { data, chunks }) => {
                        Some(framing::framed(ChunkSigner::new(&signed, chunks)?, &data)?)
                    }
                    None => None,
                };
                let replaced = || signed.replaced_headers();
                let url = match signed.query() {
                    Some(query) => url_with_query(url.as_bytes(), query).into(),
                    None => Cow::Borrowed(without_fragment(url.as_bytes())),
                };
                let shown = Shown {
                    method: method.as_bytes(),
                    url: &url,
                    canonical_request: signed.canonical_request(),
                    string_to_sign: signed.string_to_sign(),
                    signed_headers: signed.signed_headers(),
                    signature: signed.signature(),
                    authorization: Some(signed.authorization()),
                };
                let mut object = Object::begin_with_id(line.id, out);
                let headers = kept(&pairs, replaced).chain(bytes(signed.headers()));
                shown.write(headers, &mut object);
                if let Some(wire) = wire {
                    object.field("body_base64", BASE64_STANDARD.encode(wire).as_bytes());
                }
                object.end();
            }
            Form::Query => {
                let mut presign = Presign::expires_in(expiry(line.expires.as_ref())?);
                match choice {
                    PayloadChoice::Given(payload)
                        if payload.is_in_chunks() && !matches!(body, Body::None) =>
                    {
                        return Err(unsupported(
                            "a body in chunks goes with a signature in headers, not in the query",
                        ));
                    }
                    PayloadChoice::Given(payload) => {
                        let payload = framing::by(payload, signer.algorithm());
                        presign = presign.with_payload(payload);
                    }
                    PayloadChoice::Hash if signer.rules().presigns_unsigned() => {}
                    PayloadChoice::Hash => presign = presign.with_payload(body.hash()?),
                }
                let head = Head::parse(method.as_bytes(), url.as_bytes(), Headers::Pairs(&pairs))?;
                let signed = signer.presign_head(head, presign, &credentials, at, scratch)?;
                let replaced = || signed.replaced_headers();
                let shown = Shown {
                    method: method.as_bytes(),
                    url: &url_with_query(url.as_bytes(), signed.query()),
                    canonical_request: signed.canonical_request(),
                    string_to_sign: signed.string_to_sign(),
                    signed_headers: signed.signed_headers(),
                    signature: signed.signature(),
                    authorization: None,
                };
                let mut object = Object::begin_with_id(line.id, out);
                shown.write(kept(&pairs, replaced).chain(bytes(signed.headers())), &mut object);
                object.end();
            }
        }
        out.push(b'\n');
        Ok(())
    }

    /// The credentials of a line: most often those of the line before, of which the signer knows all.
    fn credentials_of(&mut self, keys: &Keys<'_>) -> Credentials {
        let is_token = |last: Option<&str>| match (&keys.session_token, last) {
            (Some(token), Some(last)) => token.is(last),
            (token, last) => token.is_none() && last.is_none(),
        };
        let is_last = |last: &&Credentials| {
            *keys.access_key_id == *last.access_key_id()
                && keys.secret_access_key.is(last.secret_access_key())
                && is_token(last.session_token())
                && keys.s3_express_session == last.is_s3_express_session()
        };
        let last = self.credentials.as_ref().filter(is_last).cloned();
        let credentials = last.unwrap_or_else(|| keys.into());
        self.credentials = Some(credentials.clone());
        credentials
    }

    /// The signer for a scope, with the line's own rules.
    fn signer(
        &mut self,
        names: Names,
        rules: &Map<String, Value>,
        exclude: Vec<String>,
    ) -> Result<Signer, Failure> {
        let ambient = &self.ambient;
        let keys = &self.keys;
        let signer = |names, exclude| ambient.signer(names, exclude).with_key_cache(keys.clone());
        if !rules.is_empty() || !exclude.is_empty() {
            let signer = signer(names, exclude);
            let rules = overridden(signer.rules(), rules)?;
            return Ok(signer.with_rules(rules));
        }
        match self.signers.iter().rposition(|(of, _)| *of == names) {
            Some(at) => self.signers[at..].rotate_left(1),
            None => {
                if self.signers.len() == SIGNERS {
                    self.signers.remove(0);
                }
                self.signers.push((names.clone(), signer(names, Vec::new())));
            }
        }
        Ok(self.signers.last().expect("found or pushed").1.clone())
    }
}

fn cow(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0)
}

/// The headers of a request but those that the signature replaces.
fn kept<'p, R: Iterator<Item = &'static str>>(
    pairs: &'p [(&'p [u8], &'p [u8])],
    replaced: impl Fn() -> R,
) -> impl Iterator<Item = (&'p [u8], &'p [u8])> {
    pairs
        .iter()
        .copied()
        .filter(move |(name, _)| !replaced().any(|old| name.eq_ignore_ascii_case(old.as_bytes())))
}

fn bytes<'s>(
    headers: impl Iterator<Item = (&'static str, &'s str)>,
) -> impl Iterator<Item = (&'s [u8], &'s [u8])> {
    headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

impl From<&Keys<'_>> for Credentials {
    fn from(keys: &Keys<'_>) -> Credentials {
        let credentials = Credentials::new(&*keys.access_key_id, &*keys.secret_access_key.0)
            .with_s3_express_session(keys.s3_express_session);
        match &keys.session_token {
            Some(token) => credentials.with_session_token(&*token.0),
            None => credentials,
        }
    }
}

/// What a line says of its payload.
fn payload(text: Option<&str>) -> Result<PayloadChoice, Failure> {
    let Some(text) = text else { return Ok(PayloadChoice::Hash) };
    let choice = text.to_ascii_lowercase().parse();
    choice.map_err(|why| {
        Failure::input(format_args!("the payload `{}` is not known: {why}", text.escape_debug()))
    })
}

/// A body that is to be framed; `None` without a body, and for one that is sent as it is.
fn to_frame<'b>(
    choice: PayloadChoice,
    body: &'b Body<'_>,
    checksum: Checksum,
    algorithm: Algorithm,
) -> Result<Option<ToFrame<'b>>, Failure> {
    let PayloadChoice::Given(payload) = choice else { return Ok(None) };
    if !payload.is_in_chunks() {
        return Ok(None);
    }
    let Some(data) = body.bytes()? else { return Ok(None) };
    let chunks = framing::chunks(payload, data.len() as u64, checksum);
    Ok(chunks.map(|chunks| ToFrame { data, chunks: chunks.with_algorithm(algorithm) }))
}

/// A body, and how it is framed.
struct ToFrame<'b> {
    data: Cow<'b, [u8]>,
    chunks: Chunks,
}

/// The checksum of a line's trailer.
fn checksum(trailer: Option<&str>, payload: PayloadChoice) -> Result<Checksum, Failure> {
    let Some(name) = trailer else { return Ok(Checksum::default()) };
    if !matches!(payload, PayloadChoice::Given(payload) if framing::has_trailer(payload)) {
        return Err(Failure::input(
            "a `trailer` goes with the payload `streaming-trailer` or `unsigned-trailer`",
        ));
    }
    Checksum::of_trailer(name).ok_or_else(|| {
        unsupported(&format!(
            "the trailer `{}` is not known: it is `x-amz-checksum-` and one of crc32, crc32c, \
             crc64nvme, sha1, sha256, sha512",
            name.escape_debug()
        ))
    })
}

fn unsupported(message: &str) -> Failure {
    Failure { kind: "unsupported", ..Failure::input(message) }
}

/// The `expires` of a line, in whole seconds.
fn expiry(field: Option<&Value>) -> Result<Duration, Failure> {
    let Some(field) = field else { return Ok(Duration::from_secs(900)) };
    field.as_u64().map(Duration::from_secs).ok_or_else(|| {
        let message =
            format!("`expires` is {field}: it is a whole number of seconds from 1 to 604800");
        Failure { kind: "invalid_expiry", ..Failure::input(message) }
    })
}

/// The algorithm that a line names.
fn algorithm(name: &str) -> Result<Algorithm, Failure> {
    match name {
        "sigv4" => Ok(Algorithm::HmacSha256),
        "sigv4a" => Ok(Algorithm::EcdsaP256Sha256),
        other => Err(Failure::input(format_args!(
            "the algorithm `{}` is neither `sigv4` nor `sigv4a`",
            other.escape_debug()
        ))),
    }
}

/// How many signers are kept: a coprocess signs for few scopes in turn.
const SIGNERS: usize = 32;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(line: &str) -> Value {
        let mut text = Vec::new();
        Coprocess::new(&SigningOptions::default()).answer(line.as_bytes(), &mut text);
        serde_json::from_slice(&text).expect("an answer is JSON")
    }

    const KEYS: &str = r#""credentials":{"access_key_id":"AKID","secret_access_key":"hush"}"#;

    #[test]
    fn a_line_is_signed_and_its_id_comes_back() {
        let answer = answer(&format!(
            r#"{{"id":[1],"method":"GET","url":"https://iam.amazonaws.com/?b=1&a=2","time":"20150830T123600Z",{KEYS}}}"#
        ));
        assert_eq!(answer["id"], json!([1]));
        assert_eq!(answer["signed_headers"], "host;x-amz-date");
        assert!(
            answer["authorization"].as_str().expect("text").contains("/us-east-1/iam/aws4_request")
        );
    }

    #[test]
    fn each_line_is_signed_with_its_own_credentials() {
        let options = SigningOptions::default();
        let mut coprocess = Coprocess::new(&options);
        let keys = |id: &str, secret: &str, token: &str| {
            format!(r#"{{"access_key_id":"{id}","secret_access_key":"{secret}"{token}}}"#)
        };
        let token = |token: &str| format!(r#","session_token":"{token}""#);
        let all = [
            keys("A", "s", ""),
            keys("B", "s", ""),
            keys("A", "t", ""),
            keys("A", "t", &token("u")),
            keys("A", "t", &token("v")),
            keys("A", "\\u0074", &token("v")),
            keys("A", "t", ""),
        ];
        for keys in all.iter().flat_map(|keys| [keys, keys]) {
            let line = format!(
                r#"{{"url":"https://iam.amazonaws.com/","time":"20150830T123600Z","credentials":{keys}}}"#
            );
            let mut text = Vec::new();
            coprocess.answer(line.as_bytes(), &mut text);
            let together: Value = serde_json::from_slice(&text).expect("an answer is JSON");
            assert!(together["signature"].is_string(), "{together}");
            assert_eq!(together, answer(&line));
        }
    }

    #[test]
    fn a_bad_line_is_answered_with_its_kind() {
        for (line, kind) in [
            ("", "invalid_json"),
            ("{", "invalid_json"),
            ("[]", "invalid_request"),
            (r#"{"id":7}"#, "invalid_request"),
            (r#"{"id":7,"url":"https://iam.amazonaws.com/","regoin":"x"}"#, "invalid_request"),
            (r#"{"id":7,"url":"/","service":"s","region":"r",KEYS}"#, "missing_host"),
            (r#"{"id":7,"url":"a","service":"s","region":"r",KEYS}"#, "invalid_url"),
            (
                r#"{"id":7,"url":"https://h/?%","service":"s","region":"r",KEYS}"#,
                "malformed_escape",
            ),
            (r#"{"id":7,"url":"https://h/","service":"s","region":"",KEYS}"#, "invalid_scope"),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","time":"x",KEYS}"#,
                "invalid_time",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","as":"query","expires":0,KEYS}"#,
                "invalid_expiry",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","as":"query","expires":-1,KEYS}"#,
                "invalid_expiry",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","as":"query","expires":604801,KEYS}"#,
                "invalid_expiry",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","body_file":"/no/such/file",KEYS}"#,
                "unreadable_file",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","body":"","body_base64":"",KEYS}"#,
                "invalid_request",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","body_base64":"*",KEYS}"#,
                "invalid_request",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","payload":"x",KEYS}"#,
                "invalid_request",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","rules":{"x":true},KEYS}"#,
                "invalid_request",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","algorithm":"sigv5",KEYS}"#,
                "invalid_request",
            ),
            (
                r#"{"id":7,"url":"https://h/","service":"s","region":"r","algorithm":"sigv4","region_set":"*",KEYS}"#,
                "invalid_request",
            ),
            (r#"{"id":7,"url":"https://h/","service":"s","region_set":"",KEYS}"#, "invalid_scope"),
        ] {
            let answer = answer(&line.replace("KEYS", KEYS));
            assert_eq!(answer["error"]["kind"], kind, "{line}: {answer}");
            assert!(!answer.to_string().contains("hush"), "{answer}");
            let has_id = line.contains("\"id\":7");
            assert_eq!(answer["id"], if has_id { json!(7) } else { Value::Null }, "{line}");
        }
    }

    #[test]
    fn a_wrong_type_never_quotes_a_secret() {
        for line in [
            r#"{"url":"u","credentials":{"access_key_id":"A","secret_access_key":["hush"]}}"#,
            r#"{"url":"u","credentials":"hush"}"#,
            r#"{"url":"u","credentials":{"access_key_id":"A","secret_access_key":"hush","session_token":1}}"#,
            r#"{"url":"u","headers":"a \"hush\" b"}"#,
        ] {
            let answer = answer(line);
            assert!(answer["error"]["kind"] == "invalid_request", "{answer}");
            assert!(!answer.to_string().contains("hush"), "{answer}");
        }
    }
}
