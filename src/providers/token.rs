//! Bearer tokens, and who gives them.

use std::{
    any, fmt, future,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use zeroize::Zeroizing;

use super::{
    BoxFuture, Endpoints, Ports, ProfileProvider, ProviderError, ProviderErrorKind, SsoSettings,
    SsoTokenProvider,
};

/// A bearer token: whoever shows it is let in, so it is never printed, and wiped from memory when its last
/// clone is dropped.
///
/// ```
/// use countersign::providers::Token;
///
/// let token = Token::new("aoaAAAAAGEXAMPLE");
/// assert_eq!(token.text(), "aoaAAAAAGEXAMPLE");
/// assert!(!format!("{token:?}").contains("EXAMPLE"));
/// ```
#[derive(Clone)]
pub struct Token {
    text: Arc<Zeroizing<String>>,
    expires_at: Option<SystemTime>,
}

impl Token {
    /// A token that does not expire.
    pub fn new(text: impl Into<String>) -> Token {
        Token { text: Arc::new(Zeroizing::new(text.into())), expires_at: None }
    }

    /// The same token with the moment from which it lets nobody in.
    ///
    /// ```
    /// # use {countersign::providers::Token, std::time::SystemTime};
    /// let at = SystemTime::UNIX_EPOCH;
    /// assert_eq!(Token::new("aoaEXAMPLE").with_expires_at(at).expires_at(), Some(at));
    /// ```
    #[must_use]
    pub fn with_expires_at(self, at: SystemTime) -> Token {
        Token { expires_at: Some(at), ..self }
    }

    /// What goes behind `Bearer ` in the `authorization` header.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The moment from which it lets nobody in; `None` if it does not expire.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("text", &"<redacted>")
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// A source of bearer tokens, as [`ProvideCredentials`](super::ProvideCredentials) is one of credentials.
///
/// ```
/// use countersign::providers::{BoxFuture, ProvideToken, ProviderError, Token};
///
/// #[derive(Debug)]
/// struct Vault;
///
/// impl ProvideToken for Vault {
///     fn provide_token(&self) -> BoxFuture<'_, Result<Option<Token>, ProviderError>> {
///         Box::pin(async { Ok(Some(Token::new("aoaEXAMPLE"))) })
///     }
/// }
///
/// let provider: Box<dyn ProvideToken> = Box::new(Vault);
/// # let _ = provider;
/// ```
pub trait ProvideToken: fmt::Debug + Send + Sync {
    /// The token to show from now on; `Ok(None)` if none is configured here.
    ///
    /// # Errors
    /// What is configured here and broken.
    fn provide_token(&self) -> BoxFuture<'_, Result<Option<Token>, ProviderError>>;

    /// What messages call this provider.
    fn name(&self) -> &str {
        any::type_name::<Self>()
    }
}

impl ProvideToken for Token {
    fn provide_token(&self) -> BoxFuture<'_, Result<Option<Token>, ProviderError>> {
        Box::pin(future::ready(Ok(Some(self.clone()))))
    }

    fn name(&self) -> &str {
        "token"
    }
}

impl<P: ProvideToken + ?Sized> ProvideToken for Arc<P> {
    fn provide_token(&self) -> BoxFuture<'_, Result<Option<Token>, ProviderError>> {
        (**self).provide_token()
    }

    fn name(&self) -> &str {
        (**self).name()
    }
}

/// The places that bearer tokens come from: `AWS_BEARER_TOKEN_<SERVICE>` for the service
/// [named](TokenChain::with_service), then the `sso_session` of the selected profile.
///
/// ```
/// use countersign::providers::{Ports, ProvideToken, ProviderError, Token, TokenChain};
///
/// async fn token(ports: &Ports) -> Result<Option<Token>, ProviderError> {
///     TokenChain::standard(ports).with_service("bedrock").provide_token().await
/// }
/// # let _ = token;
/// ```
#[derive(Clone, Debug)]
pub struct TokenChain {
    ports: Ports,
    profile: ProfileProvider,
    service: Option<String>,
    /// The provider of the last time, which remembers when it asked.
    kept: Arc<Mutex<Option<SsoTokenProvider>>>,
}

impl TokenChain {
    /// The standard places, seen through these ports.
    pub fn standard(ports: &Ports) -> TokenChain {
        TokenChain {
            ports: ports.clone(),
            profile: ProfileProvider::new(ports),
            service: None,
            kept: Arc::default(),
        }
    }

    /// The same places with the profile named here instead of `AWS_PROFILE`.
    #[must_use]
    pub fn with_profile(self, name: impl Into<String>) -> TokenChain {
        TokenChain { profile: self.profile.with_name(name), kept: Arc::default(), ..self }
    }

    /// The same places with the variable of this service: `bedrock` has `AWS_BEARER_TOKEN_BEDROCK`.
    #[must_use]
    pub fn with_service(self, service: impl Into<String>) -> TokenChain {
        TokenChain { service: Some(service.into()), ..self }
    }

    async fn find(&self) -> Result<Option<Token>, ProviderError> {
        if let Some(service) = &self.service {
            let spell = |char: char| match char.is_ascii_alphanumeric() {
                true => char.to_ascii_uppercase(),
                false => '_',
            };
            let service: String = service.chars().map(spell).collect();
            if let Some(text) = self.ports.text(NAME, &format!("AWS_BEARER_TOKEN_{service}"))? {
                return Ok(Some(Token::new(text)));
            }
        }
        let name = self.profile.selected()?;
        let profiles = self.profile.load()?;
        if name == "default" && profiles.profile(&name).is_none() {
            return Ok(None);
        }
        let settings = SsoSettings::from_profile(&profiles, &name)?;
        let Some(settings) = settings.filter(|settings| settings.session().is_some()) else {
            return Ok(None);
        };
        let endpoints = Endpoints::load(&self.ports, &profiles, &name)?;
        let provider = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let same = kept.take().filter(|kept| *kept.settings() == settings);
            let provider = same.unwrap_or_else(|| SsoTokenProvider::new(&self.ports, settings));
            kept.insert(provider.with_endpoints(endpoints)).clone()
        };
        provider.provide_token().await
    }
}

impl ProvideToken for TokenChain {
    fn provide_token(&self) -> BoxFuture<'_, Result<Option<Token>, ProviderError>> {
        Box::pin(self.find())
    }

    fn name(&self) -> &str {
        NAME
    }
}

/// An error that a home directory is needed for the file of a session.
pub(super) fn homeless(provider: &'static str) -> ProviderError {
    let message = "no home directory is known to look for the session in: set HOME";
    ProviderError::new(provider, ProviderErrorKind::InvalidConfiguration, message)
}

const NAME: &str = "token chain";
