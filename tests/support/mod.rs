//! What the tests share: cases in the JSON form of the vectors, and a reference to check against.

pub(crate) mod chunks;
pub(crate) mod reference;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{
    Credentials, Error, ErrorKind, Head, Headers, Payload, Presign, Rules, Scratch, SignRequest,
    Signer, Timestamp,
};
use serde_json::Value;

/// The folder of external vectors; `None`, said aloud, if this machine has none.
pub(crate) fn external_data(of: &str) -> Option<PathBuf> {
    match std::env::var_os("COUNTERSIGN_DATA") {
        Some(folder) => Some(PathBuf::from(folder).join("signing")),
        None => {
            println!("{of}: did not run, COUNTERSIGN_DATA names no folder of external vectors");
            None
        }
    }
}

/// A moment that JSON or a test writes as text.
pub(crate) fn at(text: &str) -> SystemTime {
    text.parse::<Timestamp>().unwrap().into()
}

/// A sign request as JSON Lines write it.
pub(crate) struct Case {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) payload: Option<Payload>,
    pub(crate) presign: bool,
    pub(crate) expires: Duration,
    pub(crate) signer: Signer,
    pub(crate) credentials: Credentials,
    pub(crate) at: String,
}

/// What a signature is compared by.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) canonical_request: String,
    pub(crate) string_to_sign: String,
    pub(crate) signed_headers: String,
    pub(crate) signature: String,
    pub(crate) sent: Sent,
}

/// A request as it is sent: its URL, and its headers sorted by name, repeats in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
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
        let is_asymmetric = text(request, "algorithm").as_deref() == Some("sigv4a");
        let payload = match text(request, "payload").as_deref() {
            None | Some("hash") => None,
            Some("unsigned") => Some(Payload::Unsigned),
            Some("streaming") if is_asymmetric => Some(Payload::StreamingEcdsa),
            Some("streaming-trailer") if is_asymmetric => Some(Payload::StreamingEcdsaTrailer),
            Some("streaming") => Some(Payload::Streaming),
            Some("streaming-trailer") => Some(Payload::StreamingTrailer),
            Some("unsigned-trailer") => Some(Payload::StreamingUnsignedTrailer),
            Some(line) => Some(Payload::from_line(line).unwrap()),
        };
        let service = text(request, "service").unwrap();
        let mut rules = Rules::for_service(&service);
        for (name, yes) in request["rules"].as_object().into_iter().flatten() {
            let yes = yes.as_bool().unwrap();
            rules = match name.as_str() {
                "double_encode" => rules.with_double_encode(yes),
                "normalize_path" => rules.with_normalize_path(yes),
                "content_sha256_header" => rules.with_content_sha256_header(yes),
                "token_after_signing" => rules.with_token_after_signing(yes),
                other => panic!("the rule `{other}` in {request}"),
            };
        }
        let exclude = request["exclude"].as_array().into_iter().flatten();
        let signer = match is_asymmetric {
            true => sigv4a_signer(text(request, "region_set").unwrap(), service),
            false => Signer::new(text(request, "region").unwrap(), service),
        };
        let signer = signer
            .with_rules(rules)
            .with_unsigned_headers(exclude.map(|name| name.as_str().unwrap().to_owned()));
        let headers = request["headers"].as_array().into_iter().flatten();
        Case {
            method: text(request, "method").unwrap_or_else(|| "GET".to_owned()),
            url: text(request, "url").unwrap(),
            headers: headers.map(pair).collect(),
            body,
            payload,
            presign,
            // What is no number of seconds at all is refused like zero.
            expires: match request.get("expires") {
                None => Duration::from_secs(900),
                Some(seconds) => Duration::from_secs(seconds.as_u64().unwrap_or(0)),
            },
            signer,
            credentials: credentials(&request["credentials"]),
            at: text(request, "time").unwrap(),
        }
    }

    /// Signs through the borrowed floor of the library.
    pub(crate) fn sign_head(&self) -> Result<Outcome, ErrorKind> {
        self.try_sign_head().map_err(|error| error.kind())
    }

    fn try_sign_head(&self) -> Result<Outcome, Error> {
        let at = self.at()?;
        let pairs: Vec<(&[u8], &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let (method, url) = (self.method.as_bytes(), self.url.as_bytes());
        let head = Head::parse(method, url, Headers::Pairs(&pairs))?;
        let mut scratch = Scratch::new();
        if self.presign {
            let signed = self.signer.presign_head(
                head,
                self.as_presign(),
                &self.credentials,
                at,
                &mut scratch,
            )?;
            return Ok(Outcome {
                canonical_request: text(signed.canonical_request()),
                string_to_sign: signed.string_to_sign().to_owned(),
                signed_headers: signed.signed_headers().to_owned(),
                signature: signed.signature().to_owned(),
                sent: self.sent(signed.replaced_headers(), signed.headers(), Some(signed.query())),
            });
        }
        let signed =
            self.signer.sign_head(head, self.payload(), &self.credentials, at, &mut scratch)?;
        assert!(signed.authorization().ends_with(signed.signature()));
        Ok(Outcome {
            canonical_request: text(signed.canonical_request()),
            string_to_sign: signed.string_to_sign().to_owned(),
            signed_headers: signed.signed_headers().to_owned(),
            signature: signed.signature().to_owned(),
            sent: self.sent(signed.replaced_headers(), signed.headers(), signed.query()),
        })
    }

    /// Signs as an `http::Request`; `None` where the `http` crate cannot hold the request.
    pub(crate) fn sign_http(&self) -> Option<Result<Sent, ErrorKind>> {
        let mut builder = http::Request::builder().method(self.method.as_str()).uri(&self.url);
        for (name, value) in &self.headers {
            builder = builder.header(name, value.as_bytes());
        }
        let mut request = builder.body(()).ok()?;
        let result = self.sign(&mut request);
        Some(result.map(|()| Sent::new(&request.uri().to_string(), request.headers())))
    }

    /// Signs as a `reqwest::Request`; `None` where that cannot hold the request, or not as written.
    #[cfg(feature = "reqwest")]
    pub(crate) fn sign_reqwest(&self) -> Option<Result<Sent, ErrorKind>> {
        let url = reqwest::Url::parse(&self.url).ok()?;
        let method = reqwest::Method::from_bytes(self.method.as_bytes()).ok()?;
        if url.as_str() != with_path(&self.url) {
            return None;
        }
        let mut request = reqwest::Request::new(method, url);
        for (name, value) in &self.headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
            let value = http::HeaderValue::from_bytes(value.as_bytes()).ok()?;
            request.headers_mut().append(name, value);
        }
        let result = self.sign(&mut request);
        Some(result.map(|()| Sent::new(request.url().as_str(), request.headers()).as_reqwest()))
    }

    #[cfg(not(feature = "reqwest"))]
    pub(crate) fn sign_reqwest(&self) -> Option<Result<Sent, ErrorKind>> {
        None
    }

    fn sign(&self, request: &mut impl SignRequest) -> Result<(), ErrorKind> {
        let mut sign = || {
            let at = self.at()?;
            if self.presign {
                let presign = self.as_presign();
                let life = self.signer.presign(request, presign, &self.credentials, at)?;
                assert_eq!(life.expires_at(), at + self.expires);
                Ok(())
            } else {
                self.signer.sign(request, self.payload(), &self.credentials, at)
            }
        };
        sign().map_err(|error: Error| error.kind())
    }

    fn at(&self) -> Result<SystemTime, Error> {
        self.at.parse::<Timestamp>().map(SystemTime::from)
    }

    fn payload(&self) -> Payload {
        self.payload.unwrap_or_else(|| Payload::hash(&self.body))
    }

    fn as_presign(&self) -> Presign {
        let presign = Presign::expires_in(self.expires);
        let unsigned = self.signer.rules().presigns_unsigned();
        match self.payload {
            Some(payload) => presign.with_payload(payload),
            None if self.body.is_empty() || unsigned => presign,
            None => presign.with_payload(Payload::hash(&self.body)),
        }
    }

    /// The request after a caller did with it what the results of signing say.
    fn sent<'a>(
        &self,
        replaced: impl Iterator<Item = &'static str>,
        set: impl Iterator<Item = (&'static str, &'a str)>,
        query: Option<&[u8]>,
    ) -> Sent {
        let mut sent = Sent {
            url: self.url.clone(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into_bytes()))
                .collect(),
        };
        for name in replaced {
            sent.drop(name);
        }
        for (name, value) in set {
            sent.set(name, value);
        }
        if let Some(query) = query {
            let bare = self.url.split(['?', '#']).next().unwrap_or_default();
            sent.url = match text(query) {
                query if query.is_empty() => bare.to_owned(),
                query => format!("{bare}?{query}"),
            };
        }
        sent.sorted()
    }
}

impl Sent {
    pub(crate) fn new(url: &str, headers: &http::HeaderMap) -> Sent {
        Sent {
            url: url.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
        }
        .sorted()
    }

    pub(crate) fn drop(&mut self, name: &str) {
        self.headers.retain(|(other, _)| other != name);
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.drop(name);
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    }

    pub(crate) fn sorted(mut self) -> Sent {
        self.headers.sort_by(|a, b| a.0.cmp(&b.0));
        self
    }

    /// The same request with its URL as the `http` crate spells it.
    pub(crate) fn as_http(&self) -> Sent {
        Sent {
            url: self.url.parse::<http::Uri>().unwrap().to_string(),
            headers: self.headers.clone(),
        }
    }

    /// The same request with its URL as the `url` crate spells it, less the fragment.
    pub(crate) fn as_reqwest(&self) -> Sent {
        let url = with_path(&self.url);
        Sent {
            url: url.split('#').next().unwrap_or_default().to_owned(),
            headers: self.headers.clone(),
        }
    }
}

#[cfg(feature = "sigv4a")]
pub(crate) fn sigv4a_signer(region_set: String, service: String) -> Signer {
    countersign::sigv4a::signer(region_set, service)
}

#[cfg(not(feature = "sigv4a"))]
pub(crate) fn sigv4a_signer(_: String, _: String) -> Signer {
    panic!("SigV4A needs its feature")
}

/// Credentials as the vectors write them.
pub(crate) fn credentials(keys: &Value) -> Credentials {
    let credentials = Credentials::new(
        keys["access_key_id"].as_str().unwrap(),
        keys["secret_access_key"].as_str().unwrap(),
    );
    // Suites write it as `token` too, and a token that is not there as null.
    match keys["session_token"].as_str().or(keys["token"].as_str()) {
        Some(token) => credentials.with_session_token(token),
        None => credentials,
    }
}

/// A header as the vectors write it.
pub(crate) fn pair(pair: &Value) -> (String, String) {
    let half = |at: usize| pair[at].as_str().unwrap().to_owned();
    (half(0), half(1))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The URL with the `/` that the `url` crate gives to one without a path.
fn with_path(url: &str) -> String {
    let authority = url.find("://").map_or(0, |at| at + 3);
    match url[authority..].find(['/', '?', '#']).map(|at| at + authority) {
        Some(at) if url[at..].starts_with('/') => url.to_owned(),
        Some(at) => format!("{}/{}", &url[..at], &url[at..]),
        None => format!("{url}/"),
    }
}
