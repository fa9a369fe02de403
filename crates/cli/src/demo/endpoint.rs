//! A loopback endpoint that verifies whatever is sent to it, and answers as AWS does.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use countersign::{
    Credentials, Head, KeyCache, Payload, Scratch,
    verify::{Dialect, Error, Known, Verified, Verifier},
};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Starts the endpoint in the background; it ends with the runtime.
pub(super) async fn start(credentials: Credentials) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let endpoint = Arc::new(Endpoint {
        credentials,
        // Tells what it compared, which a server for anybody would not.
        verifier: Verifier::new().with_debugging(true),
        keys: KeyCache::default(),
        objects: Mutex::default(),
    });
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
    verifier: Verifier,
    keys: KeyCache,
    objects: Mutex<HashMap<String, Bytes>>,
}

impl Endpoint {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            let why = "<Error><Message>the body ended before its length</Message></Error>";
            return answer(400, why.into());
        };
        let body = body.to_bytes();
        match self.verify(&parts, &body) {
            Ok(verified) => {
                let mut answer = answer(200, self.serve(&parts, body, &verified));
                answer.headers_mut().extend(seen(&verified));
                answer
            }
            Err(error) => answer(error.status(Dialect::General), refusal(&error).into()),
        }
    }

    fn verify<'a>(&'a self, parts: &'a Parts, body: &[u8]) -> Result<Verified<'a>, Error> {
        let claim = self.verifier.claim(Head::from(parts), SystemTime::now())?;
        let (id, secret) = (self.credentials.access_key_id(), self.credentials.secret_access_key());
        let is_known = claim.access_key_id() == id;
        let key = is_known.then(|| self.keys.key(id, secret, &claim.scope()));
        let token = self.credentials.session_token().unwrap_or_default();
        let known = key.as_ref().map(|key| Known::new(key).with_session_token(token));
        let hash = Payload::hash(body);
        let (verified, check) = claim.verify(known, Some(hash), &mut Scratch::new())?;
        check.finish()?;
        Ok(verified)
    }

    fn serve(&self, parts: &Parts, body: Bytes, verified: &Verified<'_>) -> Bytes {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let path = parts.uri.path().to_owned();
        let (who, scope) = (verified.access_key_id(), verified.scope());
        match (scope.service(), parts.method.as_str()) {
            ("s3", "PUT") => {
                let len = body.len();
                objects.insert(path, body);
                format!("stored {len} bytes").into()
            }
            ("s3", _) => objects.get(&path).cloned().unwrap_or_default(),
            (service, _) => format!("<Message>signed by {who} for {service}</Message>").into(),
        }
    }
}

fn answer(status: u16, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    answer
}

/// For what was signed, for whoever did not sign it.
fn seen(verified: &Verified<'_>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let signed = verified.signed_headers().collect::<Vec<_>>().join(";");
    [(SCOPE, verified.scope().to_string()), (SIGNED, signed)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)))
}

/// Why not, with what was compared.
fn refusal(error: &Error) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let element = |name: &str, text: Option<&str>| {
        text.map(|text| format!("<{name}>{}</{name}>", escape(text))).unwrap_or_default()
    };
    let code = error.code(Dialect::General);
    let message = format!("{code}: {}", error.message());
    [
        "<Error>",
        &element("Code", Some(code)),
        &element("Message", Some(&message)),
        &element("CanonicalRequest", error.canonical_request()),
        &element("StringToSign", error.string_to_sign()),
        "</Error>",
    ]
    .concat()
}

/// The header of an answer that says for which scope the request was signed.
pub(super) const SCOPE: HeaderName = HeaderName::from_static("x-demo-scope");
/// The one that says which headers were.
pub(super) const SIGNED: HeaderName = HeaderName::from_static("x-demo-signed-headers");
