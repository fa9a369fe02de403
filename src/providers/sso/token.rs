//! The token of a session, renewed while it can be.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request,
    header::{ACCEPT, CONTENT_TYPE},
};

use super::{Exchange, Failure, NAME, address, file, file::Held, sign_in};
use crate::{
    Timestamp,
    providers::{
        BoxFuture, EndpointService, Endpoints, Ports, ProvideToken, ProviderError,
        ProviderErrorKind, SsoSettings, Token,
        session::{Document, SessionFile, is_gone},
        token::homeless,
    },
};

/// The bearer token of a session of IAM Identity Center that somebody signed in to.
///
/// It is read from where `aws sso login` keeps it: `~/.aws/sso/cache/`, in a file that is named by the SHA-1
/// of the session's name, or of the start URL if there is no session. One that lives for less than 5 more
/// minutes is renewed if the file holds a registration to do that with, which only sessions have: at most
/// once in 30 seconds, and the file then holds the new one. A failure of that matters only once the token
/// has expired. What another process renewed meanwhile is taken over.
///
/// Clones share the file.
///
/// ```
/// use countersign::providers::{Ports, SsoSettings, SsoTokenProvider};
///
/// let settings = SsoSettings::new("eu-west-1", "https://cats.awsapps.com/start").with_session("cats");
/// let provider = SsoTokenProvider::new(&Ports::system(), settings);
/// # let _ = provider;
/// ```
#[derive(Clone)]
pub struct SsoTokenProvider {
    ports: Ports,
    settings: SsoSettings,
    endpoints: Endpoints,
    /// `None` if there is no home directory.
    file: Option<Arc<SessionFile>>,
    last_attempt: Arc<Mutex<Option<SystemTime>>>,
}

impl SsoTokenProvider {
    /// The token of these settings' session; their account and role do not matter.
    pub fn new(ports: &Ports, settings: SsoSettings) -> SsoTokenProvider {
        let file = file::path(ports, &settings).map(|path| SessionFile::new(ports, path, NAME));
        SsoTokenProvider {
            ports: ports.clone(),
            settings,
            endpoints: Endpoints::new(ports),
            file: file.map(Arc::new),
            last_attempt: Arc::default(),
        }
    }

    /// The same provider with the service that renews tokens found so.
    #[must_use]
    pub fn with_endpoints(self, endpoints: Endpoints) -> SsoTokenProvider {
        SsoTokenProvider { endpoints, ..self }
    }

    pub(in crate::providers) fn settings(&self) -> &SsoSettings {
        &self.settings
    }

    pub(super) async fn token(&self) -> Result<Token, ProviderError> {
        let file = self.file.as_deref().ok_or_else(|| homeless(NAME))?;
        let held = |document: &Document| Held::of(document).map_err(|seen| file.broken(&seen));
        let token = held(&file.read()?)?;
        if token.is_fresh(self.now()) {
            return Ok(token.token);
        }
        let _turn = file.turn().await;
        // Whoever had the turn before, or another process, may have renewed it.
        let document = file.read()?;
        let token = held(&document)?;
        if token.is_fresh(self.now()) {
            return Ok(token.token);
        }
        let error = match self.renew(file, &document).await {
            Ok(renewed) => return Ok(held(&renewed)?.token),
            Err(error) => error,
        };
        // Of two processes that ask with one refresh token, the second may be refused.
        match file.read() {
            Err(gone) if is_gone(&gone) => return Err(gone),
            Ok(other) if other != document => match held(&other) {
                Ok(other) if other.is_fresh(self.now()) => return Ok(other.token),
                _ => {}
            },
            _ => {}
        }
        if !token.is_live(self.now()) {
            return Err(error);
        }
        if self.settings.session().is_some() {
            tracing::debug!(%error, "the SSO token is not renewed, and is still good");
        }
        Ok(token.token)
    }

    /// What the file holds from now on. The error is about an expired token.
    async fn renew(
        &self,
        file: &SessionFile,
        document: &Document,
    ) -> Result<Document, ProviderError> {
        let registration = self.registration(document).map_err(|why| self.expired(FINAL, &why))?;
        self.begin().map_err(|why| self.expired(ProviderErrorKind::Failed, &why))?;
        let (region, service) = (self.settings.region(), EndpointService::SsoOidc);
        let endpoint = self.endpoints.find(service, Some(region))?;
        let body = Document::default()
            .with("clientId", registration.id)
            .with("clientSecret", registration.secret)
            .with("grantType", "refresh_token")
            .with("refreshToken", registration.refresh_token);
        // What the HTTP client is given cannot be wiped.
        let mut request = Request::new(Bytes::copy_from_slice(&body.to_json()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = address(&endpoint, "/token", NAME)?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json.clone());
        request.headers_mut().insert(ACCEPT, json);
        let mut secrets = vec![registration.secret, registration.refresh_token];
        secrets.extend(document.text("accessToken"));
        let exchange =
            Exchange { ports: &self.ports, provider: NAME, what: "CreateToken", secrets };
        let asked_at = self.now();
        let broken = |failure| match failure {
            Failure::Broken(error) => {
                self.expired(error.kind(), "there is no answer").with_source(error)
            }
            Failure::Refused(refusal) => {
                let is_over =
                    refusal.status.is_client_error() && refusal.is_one_of(&CODES_OF_THE_END);
                let kind = if is_over { FINAL } else { ProviderErrorKind::Failed };
                self.expired(kind, &refusal.text)
            }
        };
        let answer = exchange.ask(request).await.map_err(broken)?;
        let renewed =
            Renewed::of(&answer, asked_at).map_err(|seen| broken(exchange.unreadable(&seen)))?;
        file.renew(
            document,
            |other| Held::of(other).is_ok_and(|other| other.is_fresh(self.now())),
            |kept| {
                kept.set("accessToken", renewed.token);
                kept.set_moment("expiresAt", renewed.expires_at);
                if let Some(token) = renewed.refresh_token {
                    kept.set("refreshToken", token);
                }
            },
        )
    }

    /// What a token is renewed with, or why that cannot be.
    fn registration<'d>(&self, document: &'d Document) -> Result<Registration<'d>, String> {
        if self.settings.session().is_none() {
            return Err("the profile names no sso_session".to_owned());
        }
        let registration = Registration {
            id: document.needed("clientId")?,
            secret: document.needed("clientSecret")?,
            refresh_token: document.needed("refreshToken")?,
        };
        match document.moment("registrationExpiresAt")? <= self.now() {
            true => Err("its registration has expired too".to_owned()),
            false => Ok(registration),
        }
    }

    /// Notes an attempt, if the last one is long enough ago.
    fn begin(&self) -> Result<(), String> {
        let now = self.now();
        let mut last = self.last_attempt.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back lets nobody wait for ever.
        let since = last.and_then(|last| now.duration_since(last).ok());
        if let Some(since) = since.filter(|since| *since < PAUSE) {
            return Err(format!("the last attempt was {} seconds ago", since.as_secs()));
        }
        *last = Some(now);
        Ok(())
    }

    fn expired(&self, kind: ProviderErrorKind, why: &str) -> ProviderError {
        let message = format!(
            "the SSO token has expired and cannot be refreshed: {why}. {}",
            sign_in(&self.settings)
        );
        ProviderError::new(NAME, kind, message)
    }

    fn now(&self) -> SystemTime {
        self.ports.clock().now()
    }
}

impl ProvideToken for SsoTokenProvider {
    fn provide_token(&self) -> BoxFuture<'_, Result<Option<Token>, ProviderError>> {
        Box::pin(async { self.token().await.map(Some) })
    }

    fn name(&self) -> &str {
        NAME
    }
}

impl fmt::Debug for SsoTokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SsoTokenProvider")
            .field("settings", &self.settings)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

struct Registration<'d> {
    id: &'d str,
    secret: &'d str,
    refresh_token: &'d str,
}

struct Renewed<'d> {
    token: &'d str,
    expires_at: Timestamp,
    refresh_token: Option<&'d str>,
}

impl Renewed<'_> {
    fn of(answer: &Document, asked_at: SystemTime) -> Result<Renewed<'_>, String> {
        let seconds = answer.whole_number("expiresIn").ok_or("expiresIn is no whole number")?;
        let expires_at = asked_at.checked_add(Duration::from_secs(seconds));
        let expires_at = expires_at.and_then(|at| Timestamp::try_from(at).ok());
        Ok(Renewed {
            token: answer.needed("accessToken")?,
            expires_at: expires_at.ok_or("expiresIn is too far off")?,
            refresh_token: answer.text("refreshToken"),
        })
    }
}

const PAUSE: Duration = Duration::from_secs(30);
const FINAL: ProviderErrorKind = ProviderErrorKind::Refused;

/// What says that only a person can begin a new session.
const CODES_OF_THE_END: [&str; 12] = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidClientException",
    "InvalidGrantException",
    "UnauthorizedClientException",
    "access_denied",
    "expired_token",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "UnauthorizedException",
    "unauthorized",
];
