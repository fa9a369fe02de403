//! IAM Identity Center: a session that somebody signed in to, and the credentials of its roles.

mod file;
mod token;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, StatusCode, header::HeaderName};
use percent_encoding::utf8_percent_encode;

use super::{
    BoxFuture, EndpointService, Endpoints, Ports, ProfileSet, ProvideCredentials, ProviderError,
    ProviderErrorKind, SsoSettings,
    exchange::{ESCAPED, Exchange, Failure, address, insert_secret},
    session::Document,
};
use crate::Credentials;

pub use token::SsoTokenProvider;

/// The credentials of a role, by a session of IAM Identity Center that somebody signed in to
/// (`aws sso login`).
///
/// The token of the session comes from an [`SsoTokenProvider`]. The portal is asked anew each time, up to
/// three times if it does not answer, fails or throttles; keep what it gives in a [`Cached`](super::Cached).
///
/// ```
/// use countersign::providers::{Cached, Ports, SsoProvider, SsoSettings};
///
/// let ports = Ports::system();
/// let settings = SsoSettings::new("eu-west-1", "https://cats.awsapps.com/start")
///     .with_session("cats")
///     .with_role("123456789012", "Audit");
/// let cached = Cached::new(SsoProvider::new(&ports, settings), &ports);
/// # let _ = cached;
/// ```
#[derive(Clone, Debug)]
pub struct SsoProvider {
    ports: Ports,
    token: SsoTokenProvider,
    endpoints: Endpoints,
}

impl SsoProvider {
    /// Asks by these settings, at the endpoints that follow from their region and the environment.
    pub fn new(ports: &Ports, settings: SsoSettings) -> SsoProvider {
        SsoProvider {
            ports: ports.clone(),
            token: SsoTokenProvider::new(ports, settings),
            endpoints: Endpoints::new(ports),
        }
    }

    /// Asks as a profile says; `Ok(None)` if it says nothing of IAM Identity Center.
    ///
    /// # Errors
    /// A profile that is not there, that says half of what is needed, or that has a setting which is none
    /// of what it may be.
    ///
    /// ```
    /// # use std::{collections::HashMap, path::PathBuf};
    /// use countersign::providers::{Ports, ProfileSet, SsoProvider};
    ///
    /// # let env = HashMap::from([("HOME", "/home/cat")]);
    /// let config = "[default]\nregion = eu-west-1";
    /// let files = HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]);
    /// let ports = Ports::empty().with_env(env).with_files(files);
    /// let profiles = ProfileSet::load(&ports)?;
    /// assert!(SsoProvider::from_profile(&ports, &profiles, "default")?.is_none());
    /// # Ok::<(), countersign::providers::ProviderError>(())
    /// ```
    pub fn from_profile(
        ports: &Ports,
        profiles: &ProfileSet,
        profile: &str,
    ) -> Result<Option<SsoProvider>, ProviderError> {
        let Some(settings) = SsoSettings::from_profile(profiles, profile)? else {
            return Ok(None);
        };
        let endpoints = Endpoints::load(ports, profiles, profile)?;
        Ok(Some(SsoProvider::new(ports, settings).with_endpoints(endpoints)))
    }

    /// The same provider with the portal and the token service found so.
    #[must_use]
    pub fn with_endpoints(self, endpoints: Endpoints) -> SsoProvider {
        let token = self.token.with_endpoints(endpoints.clone());
        SsoProvider { token, endpoints, ..self }
    }

    async fn ask(&self) -> Result<Credentials, ProviderError> {
        let settings = self.token.settings();
        let (Some(account), Some(role)) = (settings.account_id(), settings.role_name()) else {
            let message = format!(
                "{} names neither sso_account_id nor sso_role_name: selected profile will resolve an access \
                 token instead of credentials",
                whose(settings)
            );
            return Err(invalid(message));
        };
        let token = self.token.token().await?;
        let endpoint = self.endpoints.find(EndpointService::Sso, Some(settings.region()))?;
        let query = format!(
            "/federation/credentials?role_name={}&account_id={}",
            utf8_percent_encode(role, ESCAPED),
            utf8_percent_encode(account, ESCAPED)
        );
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = address(&endpoint, &query, NAME)?;
        insert_secret(&mut request, BEARER, token.text())
            .map_err(|seen| invalid(format!("the token of the SSO session is wrong: {seen}")))?;
        let what = format!(
            "GetRoleCredentials of the role {} in the account {}",
            role.escape_debug(),
            account.escape_debug()
        );
        let exchange = Exchange {
            ports: &self.ports,
            provider: NAME,
            what: &what,
            secrets: vec![token.text()],
        };
        let answer =
            exchange.ask(|| Ok(request.clone())).await.map_err(|failure| self.failed(failure))?;
        let credentials = granted(&answer, account);
        credentials.map_err(|seen| self.failed(exchange.unreadable(&seen)))
    }

    fn failed(&self, failure: Failure) -> ProviderError {
        let refusal = match failure {
            Failure::Broken(error) => return error,
            Failure::Refused(refusal) => refusal,
        };
        let lead = "an error occurred while loading credentials";
        if refusal.status == StatusCode::UNAUTHORIZED
            || refusal.is_one_of(&["UnauthorizedException", "ExpiredTokenException"])
        {
            let message = format!("{lead}: {}. {}", refusal.text, sign_in(self.token.settings()));
            return ProviderError::new(NAME, ProviderErrorKind::Refused, message);
        }
        let kind = match refusal.status {
            // An account or a role that is not theirs.
            StatusCode::FORBIDDEN => ProviderErrorKind::InvalidConfiguration,
            _ => ProviderErrorKind::Failed,
        };
        ProviderError::new(NAME, kind, format!("{lead}: {}", refusal.text))
    }
}

impl ProvideCredentials for SsoProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async { self.ask().await.map(Some) })
    }

    fn name(&self) -> &str {
        NAME
    }
}

/// What the portal granted; the error says what was seen instead, and none of it.
fn granted(answer: &Document, account: &str) -> Result<Credentials, String> {
    let role = answer.object("roleCredentials").ok_or("roleCredentials is missing")?;
    let expiration = role.whole_number("expiration").ok_or("expiration is no whole number")?;
    let expires_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(expiration));
    Ok(Credentials::new(role.needed("accessKeyId")?, role.needed("secretAccessKey")?)
        .with_session_token(role.needed("sessionToken")?)
        .with_account_id(account)
        .with_expires_at(expires_at.ok_or("expiration is too far off")?)
        .with_static_stability(true))
}

/// What a person can do about it.
fn sign_in(settings: &SsoSettings) -> String {
    format!("To refresh this SSO session run {}", command(settings))
}

/// How a person signs in.
fn command(settings: &SsoSettings) -> String {
    let which = match (settings.session(), settings.profile()) {
        (Some(session), _) => format!(" --sso-session {}", session.escape_debug()),
        (None, Some(profile)) => format!(" --profile {}", profile.escape_debug()),
        (None, None) => String::new(),
    };
    format!("aws sso login{which}")
}

fn whose(settings: &SsoSettings) -> String {
    match settings.profile() {
        Some(profile) => format!("the profile `{}`", profile.escape_debug()),
        None => "what was said in code".to_owned(),
    }
}

fn invalid(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
}

const BEARER: HeaderName = HeaderName::from_static("x-amz-sso_bearer_token");
const NAME: &str = "sso";
