//! Requests in the JSON form that the vectors share with the program's JSON Lines.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{
    Credentials, Error, ErrorKind, Head, Headers, Payload, Presign, Rules, Scratch, Signer,
    Timestamp,
};
use serde_json::Value;

/// The folder of external vectors; `None`, said aloud, if this machine has none.
pub(crate) fn external_data(of: &str) -> Option<PathBuf> {
    match std::env::var_os("COUNTERSIGN_DATA") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => {
            println!("{of}: did not run, COUNTERSIGN_DATA names no folder of external vectors");
            None
        }
    }
}

/// A sign request as JSON Lines write it.
pub(crate) struct Case {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub payload: Option<Payload>,
    pub presign: bool,
    pub expires: Duration,
    pub signer: Signer,
    pub credentials: Credentials,
    pub at: Result<Timestamp, Error>,
}

/// What a signature is compared by.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub canonical_request: String,
    pub string_to_sign: String,
    pub signed_headers: String,
    pub signature: String,
    /// Header form alone.
    pub authorization: Option<String>,
    /// The query to send; `None` for "as given".
    pub query: Option<String>,
}

impl Case {
    pub(crate) fn parse(request: &Value) -> Case {
        let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
        let presign = text(request, "as").as_deref() == Some("query");
        let body = match (text(request, "body"), text(request, "body_base64")) {
            (Some(body), None) => body.into_bytes(),
            (None, Some(body)) => BASE64_STANDARD.decode(body).unwrap(),
            (None, None) => Vec::new(),
            _ => panic!("two bodies in {request}"),
        };
        let payload = match text(request, "payload").as_deref() {
            None | Some("hash") => None,
            Some("unsigned") => Some(Payload::Unsigned),
            Some("streaming") => Some(Payload::Streaming),
            Some("streaming-trailer") => Some(Payload::StreamingTrailer),
            Some("unsigned-trailer") => Some(Payload::StreamingUnsignedTrailer),
            Some(line) => Some(Payload::from_line(line).unwrap()),
        };
        let service = text(request, "service").unwrap();
        let mut rules = Rules::for_service(&service);
        let switch = |name: &str| request["rules"][name].as_bool();
        if let Some(yes) = switch("double_encode") {
            rules = rules.with_double_encode(yes);
        }
        if let Some(yes) = switch("normalize_path") {
            rules = rules.with_normalize_path(yes);
        }
        if let Some(yes) = switch("content_sha256_header") {
            rules = rules.with_content_sha256_header(yes);
        }
        if let Some(yes) = switch("token_after_signing") {
            rules = rules.with_token_after_signing(yes);
        }
        let exclude = request["exclude"].as_array().into_iter().flatten();
        let signer = Signer::new(text(request, "region").unwrap(), service)
            .with_rules(rules)
            .with_unsigned_headers(exclude.map(|name| name.as_str().unwrap().to_owned()));
        let keys = &request["credentials"];
        let mut credentials = Credentials::new(
            text(keys, "access_key_id").unwrap(),
            text(keys, "secret_access_key").unwrap(),
        );
        if let Some(token) = text(keys, "session_token") {
            credentials = credentials.with_session_token(token);
        }
        let headers = request["headers"].as_array().cloned().unwrap_or_default();
        Case {
            method: text(request, "method").unwrap_or_else(|| "GET".to_owned()),
            url: text(request, "url").unwrap(),
            headers: headers
                .iter()
                .map(|pair| {
                    let half = |at: usize| pair[at].as_str().unwrap().to_owned();
                    (half(0), half(1))
                })
                .collect(),
            body,
            payload,
            presign,
            expires: Duration::from_secs(
                request["expires"]
                    .as_i64()
                    .unwrap_or(900)
                    .try_into()
                    .unwrap_or(0),
            ),
            signer,
            credentials,
            at: text(request, "time").unwrap().parse(),
        }
    }

    /// Signs through the borrowed floor of the library.
    pub(crate) fn sign_head(&self) -> Result<Outcome, ErrorKind> {
        let at = SystemTime::from(*self.at.as_ref().map_err(Error::kind)?);
        let pairs: Vec<(&[u8], &[u8])> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
            .collect();
        let mut scratch = Scratch::new();
        let head = Head::parse(
            self.method.as_bytes(),
            self.url.as_bytes(),
            Headers::Pairs(&pairs),
        )
        .map_err(|error| error.kind())?;
        if self.presign {
            let signed = self
                .signer
                .presign_head(head, self.as_presign(), &self.credentials, at, &mut scratch)
                .map_err(|error| error.kind())?;
            return Ok(Outcome {
                canonical_request: String::from_utf8(signed.canonical_request().to_vec()).unwrap(),
                string_to_sign: signed.string_to_sign().to_owned(),
                signed_headers: signed.signed_headers().to_owned(),
                signature: signed.signature().to_owned(),
                authorization: None,
                query: Some(String::from_utf8(signed.query().to_vec()).unwrap()),
            });
        }
        let payload = self.payload.unwrap_or_else(|| Payload::hash(&self.body));
        let signed = self
            .signer
            .sign_head(head, payload, &self.credentials, at, &mut scratch)
            .map_err(|error| error.kind())?;
        Ok(Outcome {
            canonical_request: String::from_utf8(signed.canonical_request().to_vec()).unwrap(),
            string_to_sign: signed.string_to_sign().to_owned(),
            signed_headers: signed.signed_headers().to_owned(),
            signature: signed.signature().to_owned(),
            authorization: Some(signed.authorization().to_owned()),
            query: signed
                .query()
                .map(|query| String::from_utf8(query.to_vec()).unwrap()),
        })
    }

    /// Signs as an `http::Request`, where the `http` crate can hold the request: what is then sent.
    pub(crate) fn sign_http(&self) -> Option<Result<http::Request<()>, ErrorKind>> {
        let at = SystemTime::from(*self.at.as_ref().ok()?);
        let mut builder = http::Request::builder()
            .method(self.method.as_str())
            .uri(&self.url);
        for (name, value) in &self.headers {
            builder = builder.header(name, value.as_bytes());
        }
        let mut request = builder.body(()).ok()?;
        let result = if self.presign {
            self.signer
                .presign(&mut request, self.as_presign(), &self.credentials, at)
                .map(|_| ())
        } else {
            let payload = self.payload.unwrap_or_else(|| Payload::hash(&self.body));
            self.signer
                .sign(&mut request, payload, &self.credentials, at)
        };
        Some(result.map(|()| request).map_err(|error| error.kind()))
    }

    fn as_presign(&self) -> Presign {
        let presign = Presign::expires_in(self.expires);
        match self.payload {
            Some(payload) => presign.with_payload(payload),
            None if !self.body.is_empty() && self.signer.rules() != Rules::S3 => {
                presign.with_payload(Payload::hash(&self.body))
            }
            None => presign,
        }
    }
}
