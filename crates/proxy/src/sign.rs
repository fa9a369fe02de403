//! Who signs, for which scope, at which time.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwapOption;
use countersign::{
    Credentials, KeyCache, Payload, Signer,
    chunked::{ChunkSigner, Chunks},
    providers::{ProvideCredentials, Skew},
    verify::Dialect,
};
use http::{HeaderMap, HeaderName, request::Parts};

use crate::{
    Authority, ConfigError, Outside, RouteConfig, SignedHeaders,
    refuse::{Reason, Refusal},
    upstream::BUFFER,
};

/// What one route signs with.
#[derive(Clone)]
pub(crate) struct Signing {
    outside: Arc<dyn Outside>,
    provider: Arc<dyn ProvideCredentials>,
    service: Option<String>,
    region: Option<String>,
    minimal: bool,
    /// The one of a fixed scope.
    signer: Option<Signer>,
    keys: KeyCache,
    /// How far the service's clock is ahead. Of many services no one speaks for the others.
    skew: Option<Skew>,
    renewals: Arc<Renewals>,
}

impl Signing {
    /// `host` is the one that is always signed, if there is one: the scope is found out now.
    pub(crate) fn new(
        config: &RouteConfig,
        host: Option<&Authority>,
        outside: &Arc<dyn Outside>,
    ) -> Result<Signing, ConfigError> {
        let mut signing = Signing {
            outside: Arc::clone(outside),
            provider: outside.credentials(config.profile.as_deref()),
            service: config.service.clone(),
            region: config.region.clone(),
            minimal: config.signed_headers == SignedHeaders::Minimal,
            signer: None,
            keys: KeyCache::default(),
            skew: host.map(|_| Skew::new()),
            renewals: Arc::default(),
        };
        let is_fixed = config.service.is_some() && config.region.is_some();
        // Where clients sign themselves, they say for which scope.
        signing.signer = match host.filter(|_| config.keys.is_none()) {
            // At few hosts the path decides: these ask for a service in the settings.
            Some(host) => Some(signing.find(host, "/").map_err(ConfigError::new)?),
            None if is_fixed => Some(signing.find_named().map_err(ConfigError::new)?),
            None => None,
        };
        Ok(signing)
    }

    /// The service, as far as it is known without a request.
    pub(crate) fn service(&self) -> &str {
        let of_signer = self.signer.as_ref().map(Signer::service);
        of_signer.or(self.service.as_deref()).unwrap_or_default()
    }

    pub(crate) fn is_of_s3(&self) -> bool {
        Dialect::of_service(self.service()) == Dialect::S3
    }

    /// The signer for a host and path.
    pub(crate) fn signer(&self, host: &Authority, path: &str) -> Result<Cow<'_, Signer>, Refusal> {
        if let Some(signer) = &self.signer {
            return Ok(Cow::Borrowed(signer));
        }
        let found = self.find(host, path);
        found.map(Cow::Owned).map_err(|why| Refusal::new(Reason::NotSignable, why))
    }

    /// The signer for a scope that somebody named.
    pub(crate) fn signer_for(&self, region: &str, service: &str) -> Result<Signer, Refusal> {
        let signer = self.begin(region.to_owned(), service.to_owned());
        signer.map_err(|why| Refusal::new(Reason::NotSignable, why))
    }

    /// The same with the credentials of another one, if there is one.
    pub(crate) fn with_provider(&self, other: Option<Arc<dyn ProvideCredentials>>) -> Signing {
        let mut signing = self.clone();
        if let Some(other) = other {
            signing.provider = other;
            // Those of the route are counted.
            signing.renewals = Arc::default();
        }
        signing
    }

    /// Credentials, or why nothing can be forwarded.
    pub(crate) async fn credentials(&self) -> Result<Credentials, Refusal> {
        let why = match self.provider.provide().await {
            Ok(Some(credentials)) => {
                self.renewals.note(&credentials);
                return Ok(credentials);
            }
            Ok(None) => self.provider.absence(),
            // What a helper said while it failed is for who runs the proxy, not for clients.
            Err(error) => {
                tracing::warn!(%error, "there are no credentials");
                format!("{} failed, and the log says why", error.provider())
            }
        };
        let message = format!("there are no credentials to sign with: {why}");
        Err(Refusal::new(Reason::NoCredentials, message))
    }

    /// Whether there are credentials, and when they expire.
    pub(crate) async fn readiness(&self) -> Result<Option<SystemTime>, String> {
        self.credentials().await.map(|it| it.expires_at()).map_err(|refusal| refusal.message)
    }

    /// How often other credentials came since this was asked last.
    pub(crate) fn renewals(&self) -> u64 {
        self.renewals.count.swap(0, Ordering::Relaxed)
    }

    /// Signs a head.
    pub(crate) fn sign(
        &self,
        signer: &Signer,
        head: &mut Parts,
        payload: Payload,
        credentials: &Credentials,
    ) -> Result<(), Refusal> {
        signer.sign(head, payload, credentials, self.now()).map_err(not_signable)
    }

    /// Signs a head whose body follows in chunks.
    pub(crate) fn sign_chunked(
        &self,
        signer: &Signer,
        head: &mut Parts,
        length: u64,
        credentials: &Credentials,
    ) -> Result<ChunkSigner, Refusal> {
        self.sign_chunks(signer, head, Chunks::signed(length).with_chunk_size(BUFFER), credentials)
    }

    /// The same with chunks of which more is known.
    pub(crate) fn sign_chunks(
        &self,
        signer: &Signer,
        head: &mut Parts,
        chunks: Chunks,
        credentials: &Credentials,
    ) -> Result<ChunkSigner, Refusal> {
        signer.sign_chunked(head, chunks, credentials, self.now()).map_err(not_signable)
    }

    /// Learns from an answer how far the clock of the route's one service is ahead.
    pub(crate) fn observe(&self, headers: &HeaderMap, sent: SystemTime) {
        if let Some(skew) = &self.skew {
            skew.observe(headers, sent, self.outside.now());
        }
    }

    pub(crate) fn clock(&self) -> SystemTime {
        self.outside.now()
    }

    /// What looks into a refusal of the service's for credentials that it no longer takes.
    pub(crate) fn look_out(&self, credentials: &Credentials) -> LookOut {
        LookOut {
            provider: Arc::clone(&self.provider),
            access_key_id: credentials.access_key_id().to_owned(),
            seen: Vec::new(),
        }
    }

    fn now(&self) -> SystemTime {
        let now = self.outside.now();
        self.skew.as_ref().map_or(now, |skew| skew.now(&now))
    }

    fn find(&self, host: &Authority, path: &str) -> Result<Signer, String> {
        if self.service.is_some() && self.region.is_some() {
            return self.find_named();
        }
        let (region, service) = self
            .outside
            .scope(host.as_str(), path, self.service.as_deref(), self.region.as_deref())
            .map_err(|why| format!("which scope to sign for cannot be told: {why}"))?;
        self.begin(region, service)
    }

    fn find_named(&self) -> Result<Signer, String> {
        let (region, service) = (self.region.as_deref(), self.service.as_deref());
        self.begin(region.unwrap_or_default().to_owned(), service.unwrap_or_default().to_owned())
    }

    fn begin(&self, region: String, service: String) -> Result<Signer, String> {
        for (what, name) in [("region", &region), ("service", &service)] {
            let is_bad = |byte: u8| byte == b'/' || byte.is_ascii_control();
            if name.is_empty() || name.bytes().any(is_bad) {
                return Err(format!("`{}` is no {what}", name.escape_debug()));
            }
        }
        let signer = Signer::new(region, service).with_key_cache(self.keys.clone());
        Ok(if self.minimal { signer.with_minimal_headers() } else { signer })
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing")
            .field("service", &self.service)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// Sees by the credentials that they are others than before.
#[derive(Default)]
struct Renewals {
    last: ArcSwapOption<(String, Option<SystemTime>)>,
    count: AtomicU64,
}

impl Renewals {
    fn note(&self, credentials: &Credentials) {
        let is_same = |(id, expiry): &(String, Option<SystemTime>)| {
            id == credentials.access_key_id() && *expiry == credentials.expires_at()
        };
        let last = self.last.load();
        if last.as_ref().is_some_and(|last| is_same(last)) {
            return;
        }
        let these = (credentials.access_key_id().to_owned(), credentials.expires_at());
        let before = self.last.swap(Some(Arc::new(these)));
        // The first ones renew nothing; and of several that see the same at once, one counts.
        if before.is_some_and(|before| !is_same(&before)) {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Reads the beginning of a refusal while it passes.
pub(crate) struct LookOut {
    provider: Arc<dyn ProvideCredentials>,
    access_key_id: String,
    seen: Vec<u8>,
}

impl LookOut {
    pub(crate) fn headers(&mut self, headers: &HeaderMap) {
        if let Some(value) = headers.get(ERROR_TYPE) {
            let code = value.as_bytes().split(|byte| *byte == b':').next().unwrap_or_default();
            self.tell_if(is_expired(code));
        }
    }

    pub(crate) fn piece(&mut self, data: &[u8]) {
        let left = MOST_SEEN.saturating_sub(self.seen.len());
        if left == 0 {
            return;
        }
        self.seen.extend_from_slice(&data[..data.len().min(left)]);
        let is_expired = CODES.iter().any(|(opening, closing)| {
            let Some(at) = find(&self.seen, opening) else { return false };
            let behind = &self.seen[at + opening.len()..];
            let end = behind.iter().position(|byte| byte == closing);
            is_expired(end.map_or(&b""[..], |end| &behind[..end]))
        });
        self.tell_if(is_expired);
    }

    fn tell_if(&mut self, is_expired: bool) {
        if is_expired && !self.access_key_id.is_empty() {
            self.provider.invalidate(&std::mem::take(&mut self.access_key_id));
        }
    }
}

/// Whether an answer repeats of these credentials what is for nobody's eyes.
pub(crate) fn repeats(headers: &HeaderMap, body: &[u8], credentials: &Credentials) -> bool {
    let token = credentials.session_token().unwrap_or_default();
    // In JSON what is neither a letter nor a digit may be escaped.
    let is_mark = |char: char| !char.is_ascii_alphanumeric();
    let parts = token.split(is_mark).filter(|part| part.len() >= 16);
    let mut secrets = [credentials.access_key_id(), credentials.secret_access_key(), token]
        .into_iter()
        .chain(parts)
        .filter(|secret| !secret.is_empty());
    secrets.any(|secret| {
        let holds = |text: &[u8]| find(text, secret.as_bytes()).is_some();
        holds(body) || headers.values().any(|value| holds(value.as_bytes()))
    })
}

/// The code of a service's error.
pub(crate) fn code(body: &[u8]) -> Option<&str> {
    CODES.iter().find_map(|(opening, closing)| {
        let behind = &body[find(body, opening)? + opening.len()..];
        let end = behind.iter().position(|byte| byte == closing)?;
        let code = behind[..end].rsplit(|byte| *byte == b'#').next()?;
        let is_code = (1..100).contains(&code.len()) && code.iter().all(u8::is_ascii_alphanumeric);
        std::str::from_utf8(code).ok().filter(|_| is_code)
    })
}

fn not_signable(error: countersign::Error) -> Refusal {
    Refusal::new(Reason::NotSignable, format!("the request cannot be signed: {error}"))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Whether a code, perhaps behind its name space, says that other credentials would do.
fn is_expired(code: &[u8]) -> bool {
    let code = code.rsplit(|byte| *byte == b'#').next().unwrap_or_default();
    matches!(
        code,
        b"ExpiredToken" | b"ExpiredTokenException" | b"InvalidToken" | b"TokenRefreshRequired"
    )
}

/// What stands before and behind the code of an error. Elsewhere in it a client's own words may stand,
/// with these signs escaped.
const CODES: [(&[u8], u8); 3] =
    [(b"<Code>", b'<'), (b"\"__type\":\"", b'"'), (b"\"code\":\"", b'"')];

/// Where some services repeat the code, with the service's name space before it or a URL behind.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// As long as the errors of services are.
const MOST_SEEN: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use countersign::providers::{BoxFuture, ProviderError};

    use super::*;

    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<String>>);

    impl ProvideCredentials for Told {
        fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
            Box::pin(async { Ok(None) })
        }

        fn invalidate(&self, access_key_id: &str) {
            self.0.lock().expect("nobody panics here").push(access_key_id.to_owned());
        }
    }

    #[test]
    fn an_expired_token_is_told_once_however_it_comes() {
        for (pieces, expected) in [
            (&["<Error><Code>Expired", "Token</Code>", "<Code>ExpiredToken</Code>"][..], 1),
            (&["{\"__type\":\"com.amazon#ExpiredTokenException\"}"], 1),
            (&["<Error><Code>InvalidToken</Code>"], 1),
            (&["{\"__type\":\"com.amazon#InvalidToken\"}"], 1),
            (&["{\"message\":\"no\",\"code\":\"InvalidToken\"}"], 1),
            // What a client asked for is no code.
            (
                &["<Error><Code>AccessDenied</Code><Message>no access to b/ExpiredToken</Message>"],
                0,
            ),
            (&["{\"__type\":\"AccessDenied\",\"message\":\"ExpiredToken\"}"], 0),
        ] {
            let told = Arc::new(Told::default());
            let mut look_out = look_out(&told);
            for piece in pieces {
                look_out.piece(piece.as_bytes());
            }
            let told = told.0.lock().expect("nobody panics here");
            assert_eq!(told.len(), expected, "{pieces:?}");
            assert!(told.iter().all(|id| id == "AKID"));
        }
    }

    #[test]
    fn a_header_tells_of_a_token_that_is_no_longer_good() {
        for (code, expected) in [
            ("ExpiredToken", 1),
            ("InvalidToken:http://internal.amazon.com/coral/", 1),
            ("com.amazon#ExpiredTokenException", 1),
            ("AccessDenied", 0),
        ] {
            let told = Arc::new(Told::default());
            let value = code.parse().expect("a code is a header's value");
            look_out(&told).headers(&HeaderMap::from_iter([(ERROR_TYPE, value)]));
            assert_eq!(told.0.lock().expect("nobody panics here").len(), expected, "{code}");
        }
    }

    fn look_out(told: &Arc<Told>) -> LookOut {
        let provider = told.clone();
        LookOut { provider, access_key_id: "AKID".to_owned(), seen: Vec::new() }
    }
}
