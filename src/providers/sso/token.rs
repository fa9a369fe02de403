//! The token of a session, renewed while it can be.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Exchange, Failure, NAME, address, command, file, sign_in};
use crate::providers::{
    BoxFuture, EndpointService, Endpoints, Ports, ProvideToken, ProviderError, ProviderErrorKind,
    SsoSettings, Token,
    call::is_the_servers,
    exchange::post,
    session::{Document, Held, Session, SessionFile, TooSoon},
    token::homeless,
};

/// The bearer token of a session of IAM Identity Center that somebody signed in to.
///
/// It is read from where `aws sso login` keeps it: `~/.aws/sso/cache/`, in a file that is named by the SHA-1
/// of the session's name, or of the start URL if there is no session. One that lives for less than 5 more
/// minutes is renewed if the file holds a registration to do that with, which only sessions have: at most
/// once in 30 seconds, by up to three requests, and the file then holds the new one. A failure of that matters only once the token
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
        let file = |path| SessionFile::new(ports, path, NAME, command(&settings));
        let file = file::path(ports, &settings).map(file);
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
        file.give(self).await
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
    fn begin(&self) -> Result<(), TooSoon> {
        let now = self.now();
        let mut last = self.last_attempt.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back lets nobody wait for ever.
        let since = last.and_then(|last| now.duration_since(last).ok());
        if let Some(since) = since.filter(|since| *since < PAUSE) {
            return Err(TooSoon(since));
        }
        *last = Some(now);
        Ok(())
    }

    fn failed(&self, document: &Document, failure: Failure) -> ProviderError {
        let refusal = match failure {
            Failure::Broken(error) => {
                let because = "there is no answer";
                return self.for_now(document, error.kind(), because).with_source(error);
            }
            Failure::Refused(refusal) => refusal,
        };
        if is_the_servers(refusal.status) {
            return self.for_now(document, ProviderErrorKind::Failed, &refusal.text);
        }
        let is_over = refusal.status.is_client_error() && refusal.is_one_of(&CODES_OF_THE_END);
        let kind = if is_over { FINAL } else { ProviderErrorKind::Failed };
        self.for_long(document, kind, &refusal.text)
    }

    /// An error that may pass: nobody has to sign in again for it.
    fn for_now(&self, document: &Document, kind: ProviderErrorKind, why: &str) -> ProviderError {
        let advice = "The session itself may be good: try again";
        self.not_renewed(document, kind, format_args!("{why}. {advice}"))
    }

    /// An error that most likely stays until somebody signs in.
    fn for_long(&self, document: &Document, kind: ProviderErrorKind, why: &str) -> ProviderError {
        self.not_renewed(document, kind, format_args!("{why}. {}", sign_in(&self.settings)))
    }

    fn not_renewed(
        &self,
        document: &Document,
        kind: ProviderErrorKind,
        why: fmt::Arguments<'_>,
    ) -> ProviderError {
        let lives = Self::held(document).is_ok_and(|held| self.now() < held.expires_at);
        let has = if lives { "" } else { "has expired and " };
        let message = format!("the SSO token {has}cannot be refreshed: {why}");
        ProviderError::new(NAME, kind, message)
    }

    fn now(&self) -> SystemTime {
        self.ports.clock().now()
    }
}

impl Session for SsoTokenProvider {
    type Given = Token;

    const ENDS_WHEN_REFUSED: bool = false;

    fn held(document: &Document) -> Result<Held<Token>, String> {
        let expires_at = document.moment("expiresAt")?;
        let token = Token::new(document.needed("accessToken")?).with_expires_at(expires_at);
        Ok(Held { given: token, expires_at })
    }

    async fn renew(&self, _: &SessionFile, document: &Document) -> Result<Document, ProviderError> {
        let registration =
            self.registration(document).map_err(|why| self.for_long(document, FINAL, &why))?;
        self.begin().map_err(|soon| {
            let kind = ProviderErrorKind::Failed;
            self.for_now(document, kind, &soon.to_string()).with_source(soon)
        })?;
        let (region, service) = (self.settings.region(), EndpointService::SsoOidc);
        let endpoint = self.endpoints.find(service, Some(region))?;
        let body = Document::default()
            .with("clientId", registration.id)
            .with("clientSecret", registration.secret)
            .with("grantType", "refresh_token")
            .with("refreshToken", registration.refresh_token);
        let request = post(address(&endpoint, "/token", NAME)?, &body);
        let mut secrets = vec![registration.secret, registration.refresh_token];
        secrets.extend(document.text("accessToken"));
        let exchange =
            Exchange { ports: &self.ports, provider: NAME, what: "CreateToken", secrets };
        let asked_at = self.now();
        let answer = exchange.ask(|| Ok(request.clone())).await;
        let answer = answer.map_err(|failure| self.failed(document, failure))?;
        changes(&answer, asked_at).map_err(|seen| self.failed(document, exchange.unreadable(&seen)))
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

/// What an answer changes in the file.
fn changes(answer: &Document, asked_at: SystemTime) -> Result<Document, String> {
    let mut changes = Document::default().with("accessToken", answer.needed("accessToken")?);
    changes.set("expiresAt", answer.end(asked_at)?.to_rfc3339());
    if let Some(token) = answer.text("refreshToken") {
        changes.set("refreshToken", token);
    }
    Ok(changes)
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
