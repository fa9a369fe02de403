//! Providers that ask STS.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use zeroize::Zeroizing;

use super::{
    AssumeRole, AssumeRoleWithSaml, AssumeRoleWithWebIdentity, FederationToken, MfaPrompt,
    SessionToken, Sts, is_about_stale_credentials, mfa,
    requests::{FEDERATION_TOKEN, ROLE, SAML, SESSION_TOKEN, WEB_IDENTITY},
};
use crate::{
    Credentials,
    providers::{BoxFuture, Ports, ProvideCredentials, ProviderError, ProviderErrorKind},
};

/// The credentials of a role, asked for with those of another provider.
///
/// Each time it asks the other provider and then STS; [`Cached`](crate::providers::Cached) keeps the
/// answer. What STS refuses as expired is [invalidated](ProvideCredentials::invalidate) there.
///
/// ```
/// use countersign::providers::{AssumeRole, AssumeRoleProvider, Cached, Chain, Ports};
///
/// let ports = Ports::system();
/// let role = AssumeRole::new("arn:aws:iam::123456789012:role/audit");
/// let provider = AssumeRoleProvider::new(&ports, Chain::standard(&ports), role);
/// let cached = Cached::new(provider, &ports);
/// # let _ = cached;
/// ```
#[derive(Clone, Debug)]
pub struct AssumeRoleProvider {
    sts: Sts,
    base: Arc<dyn ProvideCredentials>,
    request: AssumeRole,
    mfa: Option<MfaPrompt>,
    /// The profile that says so.
    profile: Option<String>,
}

impl AssumeRoleProvider {
    /// Asks for this role with what `base` provides.
    pub fn new(
        ports: &Ports,
        base: impl ProvideCredentials + 'static,
        request: AssumeRole,
    ) -> AssumeRoleProvider {
        let (sts, base) = (Sts::new(ports), Arc::new(base));
        AssumeRoleProvider { sts, base, request, mfa: None, profile: None }
    }

    /// The same provider of a role that this profile names.
    pub(in crate::providers) fn of_profile(self, name: &str) -> AssumeRoleProvider {
        AssumeRoleProvider { profile: Some(name.to_owned()), ..self }
    }

    /// The same provider with another client of STS.
    #[must_use]
    pub fn with_sts(self, sts: Sts) -> AssumeRoleProvider {
        AssumeRoleProvider { sts, ..self }
    }

    /// The same provider with somebody to ask for the code, if the request names a device.
    ///
    /// ```
    /// # use countersign::providers::{AssumeRole, AssumeRoleProvider, Chain, MfaPrompt, Ports};
    /// # let ports = Ports::empty();
    /// let role = AssumeRole::new("arn:aws:iam::123456789012:role/admin")
    ///     .with_mfa_serial("arn:aws:iam::123456789012:mfa/cat");
    /// let prompt = MfaPrompt::new(|_| async { Ok("123456".to_owned()) });
    /// let provider = AssumeRoleProvider::new(&ports, Chain::standard(&ports), role)
    ///     .with_mfa(prompt);
    /// # let _ = provider;
    /// ```
    #[must_use]
    pub fn with_mfa(self, prompt: MfaPrompt) -> AssumeRoleProvider {
        AssumeRoleProvider { mfa: Some(prompt), ..self }
    }
}

impl ProvideCredentials for AssumeRoleProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async {
            let base = self.base.provide().await?.ok_or_else(|| {
                let of_profile = self
                    .profile
                    .as_ref()
                    .map(|name| format!(" for the role of the profile `{}`", name.escape_debug()));
                absent(&*self.base, ROLE, &of_profile.unwrap_or_default())
            })?;
            let answer = match self.request.mfa_serial() {
                Some(serial) => {
                    let code = mfa::code(self.mfa.as_ref(), serial, ROLE).await?;
                    let request = self.request.clone().with_mfa_code(code);
                    self.sts.assume_role(&base, &request).await
                }
                None => self.sts.assume_role(&base, &self.request).await,
            };
            answered(answer, &*self.base, &base)
        })
    }

    fn name(&self) -> &str {
        ROLE
    }
}

/// The credentials of a role, asked for with a token that a file holds: what Kubernetes and others give
/// to a program.
///
/// The file is read anew each time, for whoever wrote it replaces the token before it expires.
///
/// | Variable | |
/// |---|---|
/// | `AWS_WEB_IDENTITY_TOKEN_FILE` | the file; without it nothing is configured here |
/// | `AWS_ROLE_ARN` | the role, needed |
/// | `AWS_ROLE_SESSION_NAME` | optional |
///
/// ```
/// use countersign::providers::{Ports, WebIdentityProvider};
///
/// let ports = Ports::system();
/// let by_environment = WebIdentityProvider::new(&ports);
/// let by_hand = WebIdentityProvider::of_file(
///     &ports,
///     "arn:aws:iam::123456789012:role/pod",
///     "/var/run/secrets/token",
/// );
/// # let _ = (by_environment, by_hand);
/// ```
#[derive(Clone, Debug)]
pub struct WebIdentityProvider {
    ports: Ports,
    sts: Sts,
    settings: Option<Settings>,
}

/// Where a token is, and what for.
#[derive(Clone, Debug)]
struct Settings {
    role_arn: String,
    token_file: PathBuf,
    session_name: Option<String>,
    duration: Option<Duration>,
}

impl WebIdentityProvider {
    /// Asks for what the environment names.
    pub fn new(ports: &Ports) -> WebIdentityProvider {
        WebIdentityProvider { ports: ports.clone(), sts: Sts::new(ports), settings: None }
    }

    /// Asks for this role by the token in this file, whatever the environment names.
    pub fn of_file(
        ports: &Ports,
        role_arn: impl Into<String>,
        token_file: impl Into<PathBuf>,
    ) -> WebIdentityProvider {
        let (role_arn, token_file) = (role_arn.into(), token_file.into());
        let settings = Some(Settings { role_arn, token_file, session_name: None, duration: None });
        WebIdentityProvider { settings, ..WebIdentityProvider::new(ports) }
    }

    /// The same provider with a name for the session, if the environment is not asked.
    #[must_use]
    pub fn with_session_name(self, name: impl Into<String>) -> WebIdentityProvider {
        let named = |settings| Settings { session_name: Some(name.into()), ..settings };
        WebIdentityProvider { settings: self.settings.map(named), ..self }
    }

    /// The same provider with credentials that are to live this long, if the environment is not asked: whole
    /// seconds, from 15 minutes to 12 hours.
    ///
    /// ```
    /// use std::time::Duration;
    /// use countersign::providers::{Ports, WebIdentityProvider};
    ///
    /// let role = "arn:aws:iam::123456789012:role/pod";
    /// let provider = WebIdentityProvider::of_file(&Ports::system(), role, "/var/run/secrets/token")
    ///     .with_duration(Duration::from_secs(15 * 60));
    /// # let _ = provider;
    /// ```
    #[must_use]
    pub fn with_duration(self, duration: Duration) -> WebIdentityProvider {
        let lasting = |settings| Settings { duration: Some(duration), ..settings };
        WebIdentityProvider { settings: self.settings.map(lasting), ..self }
    }

    /// The same provider with another client of STS.
    #[must_use]
    pub fn with_sts(self, sts: Sts) -> WebIdentityProvider {
        WebIdentityProvider { sts, ..self }
    }

    fn settings(&self) -> Result<Option<Settings>, ProviderError> {
        if let Some(settings) = &self.settings {
            return Ok(Some(settings.clone()));
        }
        let text = |name| self.ports.text(WEB_IDENTITY, name);
        let Some(token_file) = self.ports.filled(TOKEN_FILE) else {
            return Ok(None);
        };
        let role_arn = text(ROLE_ARN)?.ok_or_else(|| {
            let message =
                format!("{ROLE_ARN} environment variable must be set, for {TOKEN_FILE} is");
            ProviderError::new(WEB_IDENTITY, ProviderErrorKind::InvalidConfiguration, message)
        })?;
        let session_name = text("AWS_ROLE_SESSION_NAME")?;
        let token_file = token_file.into();
        Ok(Some(Settings { role_arn, token_file, session_name, duration: None }))
    }

    fn token(&self, path: &Path) -> Result<Zeroizing<String>, ProviderError> {
        let failed = |seen: &str| {
            let message = format!("the web identity token file {} {seen}", path.display());
            ProviderError::new(WEB_IDENTITY, ProviderErrorKind::Failed, message)
        };
        let bytes = self.ports.files().read(path);
        let bytes = bytes.map_err(|error| failed("could not be read").with_source(error))?;
        let bytes = Zeroizing::new(bytes);
        let text = str::from_utf8(&bytes).map_err(|_| failed("is not valid UTF-8"))?;
        // No token ends in white space, and many an editor adds a line's end.
        match text.trim_ascii_end() {
            // Whoever replaces it may be about to write.
            "" => Err(failed("is empty")),
            token => Ok(Zeroizing::new(token.to_owned())),
        }
    }
}

impl ProvideCredentials for WebIdentityProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async {
            let Some(settings) = self.settings()? else {
                return Ok(None);
            };
            let token = self.token(&settings.token_file)?;
            let mut request = AssumeRoleWithWebIdentity::new(settings.role_arn, &**token);
            if let Some(name) = settings.session_name {
                request = request.with_session_name(name);
            }
            if let Some(duration) = settings.duration {
                request = request.with_duration(duration);
            }
            self.sts.assume_role_with_web_identity(&request).await.map(Some)
        })
    }

    fn name(&self) -> &str {
        WEB_IDENTITY
    }

    fn looks_at(&self) -> String {
        match &self.settings {
            Some(settings) => format!("the token in `{}`", settings.token_file.display()),
            None => format!("{TOKEN_FILE}, {ROLE_ARN}"),
        }
    }

    fn absence(&self) -> String {
        format!("{TOKEN_FILE} is not set")
    }
}

/// The credentials of a role, asked for with an assertion that a SAML identity provider gives each time.
///
/// ```
/// use countersign::providers::{Ports, SamlProvider};
///
/// let provider = SamlProvider::new(
///     &Ports::system(),
///     "arn:aws:iam::123456789012:role/staff",
///     "arn:aws:iam::123456789012:saml-provider/directory",
///     || async { Ok("PHNhbWxwOlJlc3BvbnNl".to_owned()) },
/// );
/// # let _ = provider;
/// ```
#[derive(Clone)]
pub struct SamlProvider {
    sts: Sts,
    role_arn: String,
    principal_arn: String,
    assertion: Arc<Assertion>,
}

type Assertion = dyn Fn() -> BoxFuture<'static, Result<String, ProviderError>> + Send + Sync;

impl SamlProvider {
    /// Asks for the role with this ARN by what `assertion` gives, in base64, of the identity provider with
    /// that ARN.
    pub fn new<Answer>(
        ports: &Ports,
        role_arn: impl Into<String>,
        principal_arn: impl Into<String>,
        assertion: impl Fn() -> Answer + Send + Sync + 'static,
    ) -> SamlProvider
    where
        Answer: Future<Output = Result<String, ProviderError>> + Send + 'static,
    {
        SamlProvider {
            sts: Sts::new(ports),
            role_arn: role_arn.into(),
            principal_arn: principal_arn.into(),
            assertion: Arc::new(move || Box::pin(assertion())),
        }
    }

    /// The same provider with another client of STS.
    #[must_use]
    pub fn with_sts(self, sts: Sts) -> SamlProvider {
        SamlProvider { sts, ..self }
    }
}

impl ProvideCredentials for SamlProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async {
            let assertion = (self.assertion)().await?;
            let request = AssumeRoleWithSaml::new(&*self.role_arn, &*self.principal_arn, assertion);
            self.sts.assume_role_with_saml(&request).await.map(Some)
        })
    }

    fn name(&self) -> &str {
        SAML
    }
}

impl fmt::Debug for SamlProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamlProvider")
            .field("sts", &self.sts)
            .field("role_arn", &self.role_arn)
            .field("principal_arn", &self.principal_arn)
            .finish_non_exhaustive()
    }
}

/// Temporary credentials of a user, for what asks for a code of the user's device.
///
/// ```
/// use countersign::providers::{Chain, MfaPrompt, Ports, SessionToken, SessionTokenProvider};
///
/// let ports = Ports::system();
/// let request = SessionToken::new().with_mfa_serial("arn:aws:iam::123456789012:mfa/cat");
/// let prompt = MfaPrompt::new(|_| async { Ok("123456".to_owned()) });
/// let provider = SessionTokenProvider::new(&ports, Chain::standard(&ports), request)
///     .with_mfa(prompt);
/// # let _ = provider;
/// ```
#[derive(Clone, Debug)]
pub struct SessionTokenProvider {
    sts: Sts,
    base: Arc<dyn ProvideCredentials>,
    request: SessionToken,
    mfa: Option<MfaPrompt>,
}

impl SessionTokenProvider {
    /// Asks with what `base` provides, which are the user's own credentials.
    pub fn new(
        ports: &Ports,
        base: impl ProvideCredentials + 'static,
        request: SessionToken,
    ) -> SessionTokenProvider {
        SessionTokenProvider { sts: Sts::new(ports), base: Arc::new(base), request, mfa: None }
    }

    /// The same provider with another client of STS.
    #[must_use]
    pub fn with_sts(self, sts: Sts) -> SessionTokenProvider {
        SessionTokenProvider { sts, ..self }
    }

    /// The same provider with somebody to ask for the code, if the request names a device.
    #[must_use]
    pub fn with_mfa(self, prompt: MfaPrompt) -> SessionTokenProvider {
        SessionTokenProvider { mfa: Some(prompt), ..self }
    }
}

impl ProvideCredentials for SessionTokenProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async {
            let base = from_base(&*self.base, SESSION_TOKEN).await?;
            let mut request = self.request.clone();
            if let Some(serial) = self.request.mfa_serial() {
                let code = mfa::code(self.mfa.as_ref(), serial, SESSION_TOKEN).await?;
                request = request.with_mfa_code(code);
            }
            answered(self.sts.session_token(&base, &request).await, &*self.base, &base)
        })
    }

    fn name(&self) -> &str {
        SESSION_TOKEN
    }
}

/// Temporary credentials for somebody that a user vouches for.
///
/// ```
/// use countersign::providers::{Chain, FederationToken, FederationTokenProvider, Ports};
///
/// let ports = Ports::system();
/// let request = FederationToken::new("kitten")
///     .with_policy_arn("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess");
/// let provider = FederationTokenProvider::new(&ports, Chain::standard(&ports), request);
/// # let _ = provider;
/// ```
#[derive(Clone, Debug)]
pub struct FederationTokenProvider {
    sts: Sts,
    base: Arc<dyn ProvideCredentials>,
    request: FederationToken,
}

impl FederationTokenProvider {
    /// Asks with what `base` provides, which are the user's own credentials.
    pub fn new(
        ports: &Ports,
        base: impl ProvideCredentials + 'static,
        request: FederationToken,
    ) -> FederationTokenProvider {
        FederationTokenProvider { sts: Sts::new(ports), base: Arc::new(base), request }
    }

    /// The same provider with another client of STS.
    #[must_use]
    pub fn with_sts(self, sts: Sts) -> FederationTokenProvider {
        FederationTokenProvider { sts, ..self }
    }
}

impl ProvideCredentials for FederationTokenProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async {
            let base = from_base(&*self.base, FEDERATION_TOKEN).await?;
            let answer = self.sts.federation_token(&base, &self.request).await;
            answered(answer, &*self.base, &base)
        })
    }

    fn name(&self) -> &str {
        FEDERATION_TOKEN
    }
}

/// The credentials to ask with. Without them there is nothing to fall back on: somebody meant to ask.
pub(in crate::providers) async fn from_base(
    base: &dyn ProvideCredentials,
    provider: &'static str,
) -> Result<Credentials, ProviderError> {
    base.provide().await?.ok_or_else(|| absent(base, provider, ""))
}

fn absent(base: &dyn ProvideCredentials, provider: &'static str, what_for: &str) -> ProviderError {
    let message = format!(
        "there are no credentials to ask with{what_for}: the credential provider was not enabled: {}: {}",
        base.name(),
        base.absence()
    );
    ProviderError::new(provider, ProviderErrorKind::InvalidConfiguration, message)
}

/// Tells whoever gave the credentials if they are no longer good.
fn answered(
    answer: Result<Credentials, ProviderError>,
    base: &dyn ProvideCredentials,
    used: &Credentials,
) -> Result<Option<Credentials>, ProviderError> {
    if answer.as_ref().is_err_and(is_about_stale_credentials) {
        base.invalidate(used.access_key_id());
    }
    answer.map(Some)
}

const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE_ARN: &str = "AWS_ROLE_ARN";
