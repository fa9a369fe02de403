//! A loopback endpoint that checks signatures: it signs what it received once more and compares.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::{
    Credentials, Head, Headers, Payload, Presign, Scope, Scratch, Signer, Timestamp,
};
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

/// Starts the endpoint in the background; it ends with the runtime.
pub(super) async fn start(credentials: Credentials) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let endpoint = Arc::new(Endpoint { credentials, objects: Mutex::default() });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let endpoint = Arc::clone(&endpoint);
            let service = service_fn(move |request| {
                let endpoint = Arc::clone(&endpoint);
                async move { Ok::<_, Infallible>(endpoint.answer(request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

/// The text of the first XML element with this name.
pub(super) fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

pub(super) fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

struct Endpoint {
    credentials: Credentials,
    objects: Mutex<HashMap<String, Bytes>>,
}

/// Why a request is refused, as AWS says it.
struct Refusal {
    code: &'static str,
    message: &'static str,
    canonical_request: Option<String>,
}

impl Refusal {
    fn new(code: &'static str, message: &'static str) -> Refusal {
        Refusal { code, message, canonical_request: None }
    }
}

impl Endpoint {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let verdict = match body.collect().await {
            Ok(body) => {
                let body = body.to_bytes();
                self.check(&parts, &body).map(|scope| self.serve(&parts, body, &scope))
            }
            Err(_) => Err(Refusal::new("IncompleteBody", "the body ended before its length")),
        };
        let (status, body) = match verdict {
            Ok(body) => (200, body),
            Err(refusal) => {
                let escape = |text: &str| {
                    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
                };
                let canonical = refusal
                    .canonical_request
                    .map(|text| format!("<CanonicalRequest>{}</CanonicalRequest>", escape(&text)));
                let body = format!(
                    "<Error><Code>{}</Code><Message>{}: {}</Message>{}</Error>",
                    refusal.code,
                    refusal.code,
                    refusal.message,
                    canonical.unwrap_or_default()
                );
                (403, body.into())
            }
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        response
    }

    fn serve(&self, parts: &Parts, body: Bytes, service: &str) -> Bytes {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let path = parts.uri.path().to_owned();
        match (service, parts.method.as_str()) {
            ("s3", "PUT") => {
                let len = body.len();
                objects.insert(path, body);
                format!("stored {len} bytes").into()
            }
            ("s3", _) => objects.get(&path).cloned().unwrap_or_default(),
            (service, _) => format!(
                "<Message>signed by {} for {service}</Message>",
                self.credentials.access_key_id()
            )
            .into(),
        }
    }

    /// The service that the request was signed for.
    fn check(&self, parts: &Parts, body: &[u8]) -> Result<String, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let claim = Claim::parse(parts, query).ok_or_else(|| {
            Refusal::new("IncompleteSignature", "the request carries no signature that can be read")
        })?;
        let scope = Scope::parse(&claim.scope).map_err(|_| {
            Refusal::new("IncompleteSignature", "the credential scope cannot be read")
        })?;
        if claim.access_key_id != self.credentials.access_key_id() {
            return Err(Refusal::new(
                "InvalidClientTokenId",
                "the access key id is not known here",
            ));
        }
        let age = SystemTime::now()
            .duration_since(claim.at.into())
            .unwrap_or_else(|ahead| ahead.duration());
        if age > claim.expires.unwrap_or(SKEW) {
            return Err(Refusal::new(
                "RequestTimeTooSkewed",
                "the request is too old, or from the future",
            ));
        }
        let signed = |name: &str| claim.signed_headers.split(';').any(|signed| signed == name);
        if !signed("host") {
            return Err(Refusal::new("SignatureDoesNotMatch", "the host is not signed"));
        }
        // The signer writes its own headers; the rest is taken as signed, and none beside.
        let pairs: Vec<(&[u8], &[u8])> = parts
            .headers
            .iter()
            .filter(|(name, _)| signed(name.as_str()))
            .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
            .collect();
        let head = Head { headers: Headers::Pairs(&pairs), ..Head::from(parts) };
        let signer = Signer::new(scope.region(), scope.service());
        let at = SystemTime::from(claim.at);
        let mut scratch = Scratch::new();
        let (matches, canonical_request) = if let Some(expires) = claim.expires {
            let presigned = signer.presign_head(
                head,
                Presign::expires_in(expires),
                &self.credentials,
                at,
                &mut scratch,
            );
            let presigned = presigned.map_err(malformed)?;
            (
                is_same(presigned.signature(), &claim.signature),
                presigned.canonical_request().to_vec(),
            )
        } else {
            let signed =
                signer.sign_head(head, Payload::hash(body), &self.credentials, at, &mut scratch);
            let signed = signed.map_err(malformed)?;
            (is_same(signed.signature(), &claim.signature), signed.canonical_request().to_vec())
        };
        if !matches {
            return Err(Refusal {
                canonical_request: Some(String::from_utf8_lossy(&canonical_request).into_owned()),
                ..Refusal::new(
                    "SignatureDoesNotMatch",
                    "the signature is not the one that this request would have",
                )
            });
        }
        Ok(scope.service().to_owned())
    }
}

/// What a request says of its own signature.
struct Claim {
    access_key_id: String,
    scope: String,
    signed_headers: String,
    signature: String,
    at: Timestamp,
    /// A presigned URL's life.
    expires: Option<Duration>,
}

impl Claim {
    fn parse(parts: &Parts, query: &str) -> Option<Claim> {
        match parts.headers.get("authorization") {
            Some(value) => {
                let rest = value.to_str().ok()?.strip_prefix("AWS4-HMAC-SHA256 Credential=")?;
                let (credential, rest) = rest.split_once(", SignedHeaders=")?;
                let (signed_headers, signature) = rest.split_once(", Signature=")?;
                let at = parts.headers.get("x-amz-date")?.to_str().ok()?;
                Claim::new(credential, signed_headers, signature, at, None)
            }
            None => {
                let parameter = |name: &str| {
                    let pairs = query.split('&').filter_map(|piece| piece.split_once('='));
                    let (_, value) = pairs.into_iter().find(|(found, _)| *found == name)?;
                    Some(percent_decode_str(value).decode_utf8().ok()?.into_owned())
                };
                let expires = parameter("X-Amz-Expires")?.parse().ok()?;
                Claim::new(
                    &parameter("X-Amz-Credential")?,
                    &parameter("X-Amz-SignedHeaders")?,
                    &parameter("X-Amz-Signature")?,
                    &parameter("X-Amz-Date")?,
                    Some(Duration::from_secs(expires)),
                )
            }
        }
    }

    fn new(
        credential: &str,
        signed_headers: &str,
        signature: &str,
        at: &str,
        expires: Option<Duration>,
    ) -> Option<Claim> {
        let (access_key_id, scope) = credential.split_once('/')?;
        Some(Claim {
            access_key_id: access_key_id.to_owned(),
            scope: scope.to_owned(),
            signed_headers: signed_headers.to_owned(),
            signature: signature.to_owned(),
            at: at.parse().ok()?,
            expires,
        })
    }
}

fn is_same(expected: &str, claimed: &str) -> bool {
    expected.as_bytes().ct_eq(claimed.as_bytes()).into()
}

fn malformed(_: countersign::Error) -> Refusal {
    Refusal::new("IncompleteSignature", "the request cannot be brought into canonical form")
}

const SKEW: Duration = Duration::from_secs(15 * 60);
