//! `countersign sign --jsonl`.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{
    Algorithm, Credentials, KeyCache, Presign, Scratch, Signer, Timestamp,
    chunked::{ChunkSigner, Chunks},
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use zeroize::Zeroizing;

use super::{Answer, Body, overridden, request};
use crate::{
    failure::Failure,
    framing::{self, Checksum},
    options::{Ambient, Given, PayloadChoice, SigningOptions},
    request::Request,
    signed::Signature,
};

/// Signs each line of standard input.
pub(crate) fn run(options: &SigningOptions) -> Result<(), Failure> {
    let mut coprocess = Coprocess::new(options);
    super::run(|line| coprocess.answer(line))
}

/// A request as JSON Lines spell it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignLine<'l> {
    #[serde(borrow)]
    id: Option<&'l RawValue>,
    method: Option<String>,
    url: String,
    headers: Option<Vec<(String, String)>>,
    body: Option<String>,
    body_base64: Option<String>,
    body_file: Option<String>,
    payload: Option<String>,
    #[serde(rename = "as")]
    form: Option<Form>,
    expires: Option<Value>,
    exclude: Option<Vec<String>>,
    trailer: Option<String>,
    region: Option<String>,
    service: Option<String>,
    time: Option<String>,
    algorithm: Option<String>,
    region_set: Option<String>,
    credentials: Option<Keys>,
    rules: Option<Map<String, Value>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Form {
    Headers,
    Query,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

/// What lasts from line to line.
struct Coprocess<'o> {
    ambient: Ambient<'o>,
    keys: KeyCache,
    scratch: Scratch,
}

impl Coprocess<'_> {
    fn new(options: &SigningOptions) -> Coprocess<'_> {
        Coprocess {
            ambient: Ambient::new(options),
            keys: KeyCache::default(),
            scratch: Scratch::new(),
        }
    }

    fn answer(&mut self, text: &[u8]) -> Answer {
        let line: SignLine<'_> = match serde_json::from_slice(text) {
            Ok(line) => line,
            Err(error) => return Answer::not_a_request(text, &error),
        };
        let id = line.id;
        match self.sign(line) {
            Ok(fields) => Answer::new(id, fields),
            Err(failure) => Answer::error(id, failure.kind, &failure.message),
        }
    }

    fn sign(&mut self, line: SignLine<'_>) -> Result<Map<String, Value>, Failure> {
        let algorithm = line.algorithm.as_deref().map(algorithm).transpose()?;
        if algorithm == Some(Algorithm::HmacSha256) && line.region_set.is_some() {
            return Err(Failure::input("`region_set` goes with the algorithm `sigv4a`"));
        }
        let body = Body::of(line.body, line.body_base64, line.body_file)?;
        let choice = payload(line.payload.as_deref())?;
        let checksum = checksum(line.trailer.as_deref(), choice)?;
        let mut request = request(line.method, line.url, line.headers);
        let at = match &line.time {
            Some(time) => SystemTime::from(time.parse::<Timestamp>()?),
            None => self.ambient.options.at(),
        };
        let signer = self.signer(
            Given {
                algorithm,
                region: line.region,
                region_set: line.region_set,
                service: line.service,
            },
            &line.rules.unwrap_or_default(),
            line.exclude.unwrap_or_default(),
            &request,
        )?;
        let credentials = match line.credentials {
            Some(keys) => keys.into(),
            None => self.ambient.credentials()?,
        };
        let scratch = &mut self.scratch;
        let mut wire = None;
        let signature = match line.form.unwrap_or(Form::Headers) {
            Form::Headers => {
                let framed = to_frame(choice, &body, checksum, signer.algorithm())?;
                if let Some(framed) = &framed {
                    framing::set_headers(&mut request, &framed.chunks)?;
                }
                let payload = match choice {
                    PayloadChoice::Given(payload) => framing::by(payload, signer.algorithm()),
                    PayloadChoice::Hash => body.hash()?,
                };
                request.with_head(|head| {
                    let signed = signer.sign_head(head, payload, &credentials, at, scratch)?;
                    if let Some(ToFrame { data, chunks }) = framed {
                        wire = Some(framing::framed(ChunkSigner::new(&signed, chunks)?, &data)?);
                    }
                    Ok(Signature::from(&signed))
                })
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
                request.with_head(|head| {
                    let signed = signer.presign_head(head, presign, &credentials, at, scratch)?;
                    Ok(Signature::from(&signed))
                })
            }
        }?;
        let mut fields = signature.into_json(&request);
        if let Some(wire) = wire {
            fields.insert("body_base64".to_owned(), BASE64_STANDARD.encode(wire).into());
        }
        Ok(fields)
    }

    fn signer(
        &self,
        given: Given,
        rules: &Map<String, Value>,
        exclude: Vec<String>,
        request: &Request,
    ) -> Result<Signer, Failure> {
        let scope = self.ambient.scope(given, || request.target())?;
        let signer = self.ambient.signer(scope, exclude).with_key_cache(self.keys.clone());
        let rules = overridden(signer.rules(), rules)?;
        Ok(signer.with_rules(rules))
    }
}

impl From<Keys> for Credentials {
    fn from(keys: Keys) -> Credentials {
        let credentials = Credentials::new(keys.access_key_id, keys.secret_access_key.as_str());
        match keys.session_token {
            Some(token) => credentials.with_session_token(token.as_str()),
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
    body: &'b Body,
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
             crc64nvme, sha1, sha256",
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(line: &str) -> Value {
        let mut text = Vec::new();
        let answer = Coprocess::new(&SigningOptions::default()).answer(line.as_bytes());
        answer.write(&mut text).expect("memory takes all");
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
