//! The requests that the benchmarks sign: never the same one twice, always of the same length.
#![allow(dead_code, reason = "each benchmark uses another part")]

pub(crate) mod limit;

use std::{
    iter,
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials, Head, Headers, Payload, Presign, Scope, Scratch, Signer, SigningKey,
    verify::{self, Error, Verifier},
};
use http::{Request, header::HeaderMap};

use self::limit::Limit;

/// A kind of request, and who signs it.
pub(crate) struct Case {
    /// One letter, the same in every table.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) service: &'static str,
    pub(crate) session_token: Option<fn() -> String>,
    /// Signed in its query, for this long.
    pub(crate) expires_in: Option<Duration>,
    pub(crate) request: fn(u64) -> Call,
}

/// Small: three signed headers, no query, no body.
pub(crate) const S3_GET: Case = Case {
    id: "a",
    title: "S3 GET",
    service: "s3",
    session_token: None,
    expires_in: None,
    request: s3_get,
};

/// Typical: a body of 200 bytes and a session token of 800.
pub(crate) const DYNAMODB: Case = Case {
    id: "b",
    title: "DynamoDB POST",
    service: "dynamodb",
    session_token: Some(session_token),
    expires_in: None,
    request: dynamodb_post,
};

/// A body of 1 MiB, which is hashed.
pub(crate) const S3_PUT: Case = Case { id: "c", title: "S3 PUT, 1 MiB", request: s3_put, ..S3_GET };

/// Small, and signed in the query.
pub(crate) const PRESIGNED: Case = Case {
    id: "d",
    title: "S3 presigned GET",
    expires_in: Some(Duration::from_secs(900)),
    ..S3_GET
};

/// The same for temporary credentials, whose token then stands in the query.
pub(crate) const PRESIGNED_WITH_TOKEN: Case = Case {
    id: "d+token",
    title: "S3 presigned GET, session token",
    session_token: Some(session_token),
    ..PRESIGNED
};

/// 20 headers and 15 query parameters, out of order.
pub(crate) const HEADER_HEAVY: Case = Case {
    id: "e",
    title: "20 headers, 15 query parameters",
    service: "execute-api",
    session_token: None,
    expires_in: None,
    request: header_heavy,
};

pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ACCESS_KEY_ID: &str = "AKIDEXAMPLE123456789";
pub(crate) const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

impl Case {
    /// The `n`th request of this kind, one second later than the one before and on the same day.
    pub(crate) fn call(&self, n: u64) -> Call {
        let mut call = (self.request)(n);
        call.at = MIDNIGHT + Duration::from_secs(n % 86_400);
        call
    }

    /// The `n`th request of this kind, a day later than the one before. The days come round after more
    /// of them than a key cache holds, so that no key is found.
    pub(crate) fn cold_call(&self, n: u64) -> Call {
        let mut call = (self.request)(n);
        call.at = MIDNIGHT + Duration::from_secs(n % 4096 * 86_400);
        call
    }

    /// The `n`th request of this kind as it is sent: signed, and with its host in a header.
    pub(crate) fn signed_call(&self, n: u64) -> Call {
        let mut call = self.call(n);
        let mut ours = Ours::new(self);
        call.headers.insert(0, ("host", call.authority.to_owned()));
        let pairs = call.pairs();
        let (head, scratch) = (call.head(&pairs), &mut ours.scratch);
        if let Some(presign) = ours.presign {
            let presigned =
                ours.signer.presign_head(head, presign, &ours.credentials, call.at, scratch);
            let query = presigned.expect("the request can be signed").query().to_vec();
            call.query = Some(String::from_utf8(query).expect("a signed query is ASCII"));
            return call;
        }
        let signed =
            ours.signer.sign_head(head, call.payload(), &ours.credentials, call.at, scratch);
        let signed = signed.expect("the request can be signed");
        let headers: Vec<_> =
            signed.headers().map(|(name, value)| (name, value.to_owned())).collect();
        call.headers.extend(headers);
        call
    }

    /// The SHA-256 that no signature of such a request can do without.
    pub(crate) fn limit(&self) -> Limit {
        let call = self.call(0);
        let pairs = call.pairs();
        let (canonical_request, string_to_sign) = Ours::new(self).lengths(&call, &pairs);
        Limit::new(call.body.len(), canonical_request, string_to_sign)
    }
}

/// One request, owned.
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) authority: &'static str,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: SystemTime,
}

impl Call {
    pub(crate) fn url(&self) -> String {
        let mut url = format!("https://{}{}", self.authority, self.path);
        if let Some(query) = &self.query {
            url.extend(["?", query]);
        }
        url
    }

    /// The headers as [`Head`] borrows them.
    pub(crate) fn pairs(&self) -> Vec<(&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }

    pub(crate) fn head<'a>(&'a self, pairs: &'a [(&'a [u8], &'a [u8])]) -> Head<'a> {
        Head {
            method: self.method.as_bytes(),
            https: true,
            authority: Some(self.authority.as_bytes()),
            path: self.path.as_bytes(),
            query: self.query.as_deref().map(str::as_bytes),
            headers: Headers::Pairs(pairs),
        }
    }

    /// What is signed of the body: its hash, made now.
    pub(crate) fn payload(&self) -> Payload {
        payload(&self.body)
    }

    /// The head as a server reads it, the host in its header.
    pub(crate) fn received<'a>(&'a self, pairs: &'a [(&'a [u8], &'a [u8])]) -> Head<'a> {
        Head { authority: None, ..self.head(pairs) }
    }

    /// The head as a server of the `http` crate has it.
    pub(crate) fn received_parts(&self) -> http::request::Parts {
        let query = self.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = Request::builder().method(self.method).uri(self.path.clone() + &query);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    /// The request as the `http` crate has it, with room for the headers of a signature.
    pub(crate) fn request(&self) -> Request<Vec<u8>> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.url())
            .body(self.body.clone())
            .expect("a request");
        *request.headers_mut() = HeaderMap::with_capacity(self.headers.len() + 4);
        for (name, value) in &self.headers {
            let value = value.parse().expect("a header value");
            request.headers_mut().insert(*name, value);
        }
        request
    }
}

/// All that signs requests of one kind: in the header or in the query, as the kind has it.
pub(crate) struct Ours {
    signer: Signer,
    credentials: Credentials,
    presign: Option<Presign>,
    scratch: Scratch,
}

impl Ours {
    pub(crate) fn new(case: &Case) -> Ours {
        let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
        Ours {
            signer: Signer::new(REGION, case.service),
            credentials: match case.session_token {
                Some(token) => credentials.with_session_token(token()),
                None => credentials,
            },
            presign: case.expires_in.map(Presign::expires_in),
            scratch: Scratch::new(),
        }
    }

    /// Signs in reused buffers; what holds the signature.
    pub(crate) fn buffers(&mut self, call: &Call, pairs: &[(&[u8], &[u8])]) -> &[u8] {
        self.buffers_at(call, pairs, call.at)
    }

    /// The same at another time than the call's own.
    pub(crate) fn buffers_at(
        &mut self,
        call: &Call,
        pairs: &[(&[u8], &[u8])],
        at: SystemTime,
    ) -> &[u8] {
        let (head, scratch) = (call.head(pairs), &mut self.scratch);
        match self.presign {
            Some(presign) => self
                .signer
                .presign_head(head, presign, &self.credentials, at, scratch)
                .map(|presigned| presigned.query()),
            None => self
                .signer
                .sign_head(head, call.payload(), &self.credentials, at, scratch)
                .map(|signed| signed.authorization().as_bytes()),
        }
        .expect("the request can be signed")
    }

    /// Signs a request of the `http` crate.
    pub(crate) fn request(&self, request: &mut Request<Vec<u8>>, at: SystemTime) {
        match self.presign {
            Some(presign) => self.signer.presign(request, presign, &self.credentials, at).map(drop),
            None => {
                let payload = payload(request.body());
                self.signer.sign(request, payload, &self.credentials, at)
            }
        }
        .expect("the request can be signed");
    }

    /// How long the canonical request and the string to sign are.
    fn lengths(&mut self, call: &Call, pairs: &[(&[u8], &[u8])]) -> (usize, usize) {
        let (head, scratch) = (call.head(pairs), &mut self.scratch);
        match self.presign {
            Some(presign) => self
                .signer
                .presign_head(head, presign, &self.credentials, call.at, scratch)
                .map(|it| (it.canonical_request().len(), it.string_to_sign().len())),
            None => self
                .signer
                .sign_head(head, call.payload(), &self.credentials, call.at, scratch)
                .map(|it| (it.canonical_request().len(), it.string_to_sign().len())),
        }
        .expect("the request can be signed")
    }
}

/// All that verifies requests of one kind: a server that has the key at hand.
pub(crate) struct Server {
    verifier: Verifier,
    key: SigningKey,
    session_token: Option<String>,
    another_token: String,
    scratch: Scratch,
}

/// What a server knows of an access key id.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    Nobody,
    Well,
    WithAnotherToken,
}

impl Server {
    pub(crate) fn new(case: &Case) -> Server {
        let scope = format!("19700101/{REGION}/{}/aws4_request", case.service);
        let scope = Scope::parse(&scope).expect("a scope");
        Server {
            verifier: Verifier::new().with_region(REGION).with_services([case.service]),
            key: SigningKey::derive(SECRET_ACCESS_KEY, &scope),
            session_token: case.session_token.map(|token| token()),
            another_token: session_token().replace('x', "y"),
            scratch: Scratch::new(),
        }
    }

    /// The same server with the key of another secret.
    pub(crate) fn with_another_key(self) -> Server {
        Server { key: SigningKey::from_bytes(&[7; 32]), ..self }
    }

    /// Verifies a request whose body is in memory.
    pub(crate) fn verify(&mut self, head: Head<'_>, body: &[u8], at: SystemTime) -> usize {
        self.try_verify(head, body, at, Known::Well).expect("the request is rightly signed")
    }

    /// The same, where the request may be refused and the key may not be known.
    pub(crate) fn try_verify(
        &mut self,
        head: Head<'_>,
        body: &[u8],
        at: SystemTime,
        known: Known,
    ) -> Result<usize, Error> {
        let claim = self.verifier.claim(head, at)?;
        let token = match known {
            Known::WithAnotherToken => Some(&self.another_token),
            Known::Nobody | Known::Well => self.session_token.as_ref(),
        };
        let key = verify::Known::new(&self.key);
        let key = token.map_or(key, |token| key.with_session_token(token));
        let known = (!matches!(known, Known::Nobody)).then_some(key);
        let (verified, check) = claim.verify(known, Some(payload(body)), &mut self.scratch)?;
        check.finish()?;
        Ok(verified.access_key_id().len())
    }
}

/// The signature in a header's value or a URL: the 64 digits behind `Signature=`.
pub(crate) fn signature_in(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let (_, behind) = text.rsplit_once("Signature=").expect("a signature");
    behind[..64].to_owned()
}

pub(crate) fn payload(body: &[u8]) -> Payload {
    if body.is_empty() { Payload::EMPTY } else { Payload::hash(body) }
}

fn s3_get(n: u64) -> Call {
    Call {
        method: "GET",
        authority: "examplebucket.s3.eu-central-1.amazonaws.com",
        path: format!("/photos/{}/{:02}/cat.jpg", 1000 + n % 9000, 1 + n % 12),
        query: None,
        headers: Vec::new(),
        body: Vec::new(),
        at: MIDNIGHT,
    }
}

fn s3_put(n: u64) -> Call {
    let mut body: Vec<u8> = (0..1 << 20_u32).map(|at: u32| (at * 7 + at / 251) as u8).collect();
    body[..8].copy_from_slice(&n.to_le_bytes());
    Call { method: "PUT", body, ..s3_get(n) }
}

fn dynamodb_post(n: u64) -> Call {
    let mut body = format!(
        r#"{{"TableName":"Music","Key":{{"Artist":{{"S":"The Acme Band {n:06}"}},"SongTitle":{{"S":"Happy Day"}}}},"ConsistentRead":true,"ProjectionExpression":"AlbumTitle, Awards, Price"#
    );
    body.extend(iter::repeat_n('x', 198 - body.len()));
    body.push_str("\"}");
    Call {
        method: "POST",
        authority: "dynamodb.eu-central-1.amazonaws.com",
        path: "/".to_owned(),
        query: None,
        headers: vec![
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", "DynamoDB_20120810.GetItem".to_owned()),
        ],
        body: body.into_bytes(),
        at: MIDNIGHT,
    }
}

fn header_heavy(n: u64) -> Call {
    let parameters: Vec<String> = (0..15)
        .map(|p| format!("filter.{}=some%20value%20{:03}-{p}", (p * 7) % 15 + 1, n % 1000))
        .collect();
    let text = |text: &str| text.to_owned();
    let headers = vec![
        ("accept", text("application/json, application/problem+json;q=0.9")),
        ("content-type", text("application/json; charset=utf-8")),
        ("x-amz-meta-author", text("Jane Doe <jane.doe@example.com>")),
        ("cache-control", text("no-cache")),
        ("x-amz-meta-camera", format!("model-{:04}", n % 10_000)),
        ("accept-language", text("en-GB,en;q=0.7,is;q=0.5,de;q=0.3")),
        ("x-api-key", text("da2-fakeApiId123456")),
        ("x-request-id", format!("7f3c2a10-0b5e-4a5e-{n:012}")),
        ("origin", text("https://www.example.com")),
        ("pragma", text("no-cache")),
        ("x-amz-meta-place", text("Reykjavik, Iceland, 64.1466 N 21.9426 W")),
        ("x-client-version", text("4.18.2")),
        ("if-none-match", text("\"33a64df551425fcc55e4d42a148795d9f25f89d4\"")),
        ("x-amz-meta-album", text("summer  of   2024")),
        ("x-correlation-id", format!("1-67891233-{n:024x}")),
        ("x-tenant", text("tenant-0042")),
        ("date", text("Sun, 30 Aug 2015 12:36:00 GMT")),
        ("x-feature-flags", text("new-album=1, fast-upload=0, shared-links=1")),
        ("dnt", text("1")),
        ("x-amz-meta-rating", text("5")),
    ];
    Call {
        method: "GET",
        authority: "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
        path: format!("/prod/albums/{:04}/pictures", n % 10_000),
        query: Some(parameters.join("&")),
        headers,
        body: Vec::new(),
        at: MIDNIGHT,
    }
}

/// 800 bytes that look like a session token: base64, with what a query has to encode.
fn session_token() -> String {
    "IQoJb3JpZ2luX2VjEXAMPLEtoken/8yZ+Qw4vT1x".repeat(20)
}

const MIDNIGHT: SystemTime = SystemTime::UNIX_EPOCH;
