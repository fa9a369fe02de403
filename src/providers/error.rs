//! Why a provider that is configured has no credentials to give.

use std::{
    borrow::Cow,
    error,
    fmt::{self, Write},
    sync::Arc,
    time::SystemTime,
};

/// Why a provider that is configured has no credentials to give: which provider, and what is wrong.
///
/// The text never holds a secret, a session token or a control character. What lies beneath it (a line of a file, an I/O
/// error) is the [`source`](error::Error::source), so print the whole chain of sources. Cloning is cheap:
/// all who wait for one answer get the same error.
///
/// ```
/// use countersign::providers::{ProviderError, ProviderErrorKind};
///
/// let error = ProviderError::new("vault", ProviderErrorKind::Failed, "the vault is sealed");
/// assert_eq!(error.to_string(), "vault: the vault is sealed");
/// assert_eq!(error.provider(), "vault");
/// ```
#[derive(Clone)]
pub struct ProviderError {
    provider: Cow<'static, str>,
    kind: ProviderErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl ProviderError {
    /// An error of the provider named; the message says what was seen, in lower case, without
    /// secrets.
    pub fn new(
        provider: impl Into<Cow<'static, str>>,
        kind: ProviderErrorKind,
        message: impl Into<Cow<'static, str>>,
    ) -> ProviderError {
        ProviderError { provider: provider.into(), kind, message: message.into(), source: None }
    }

    /// The provider gave credentials that are of no use by this time.
    pub(super) fn expired(
        provider: impl Into<Cow<'static, str>>,
        at: SystemTime,
        now: SystemTime,
    ) -> ProviderError {
        let age = now.duration_since(at).unwrap_or_default().as_secs();
        let message = format!(
            "gave credentials that expired {age} seconds ago by the clock of this machine: set the clock if it is \
             wrong, and see to it that they are renewed where they come from"
        );
        ProviderError::new(provider, ProviderErrorKind::Failed, message)
    }

    /// The same error with what caused it.
    ///
    /// ```
    /// use std::{error::Error, io};
    /// use countersign::providers::{ProviderError, ProviderErrorKind};
    ///
    /// let error = ProviderError::new("vault", ProviderErrorKind::Failed, "no answer")
    ///     .with_source(io::Error::from(io::ErrorKind::TimedOut));
    /// assert!(error.source().is_some());
    /// ```
    #[must_use]
    pub fn with_source(
        self,
        source: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> ProviderError {
        ProviderError { source: Some(Arc::from(source.into())), ..self }
    }

    /// The same error with more to say.
    pub(super) fn with_note(self, note: &str) -> ProviderError {
        let message = Cow::from(format!("{}{note}", self.message));
        ProviderError { message, ..self }
    }

    /// The provider that failed.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// What sort of thing was wrong.
    pub fn kind(&self) -> ProviderErrorKind {
        self.kind
    }

    /// All of it in one line, for the log.
    pub(super) fn with_sources(&self) -> String {
        let mut text = self.to_string();
        let mut source = error::Error::source(self);
        while let Some(cause) = source {
            write!(text, ": {cause}").expect("a String takes everything");
            source = cause.source();
        }
        text
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and paths come from files that others write, and go to terminals and logs.
        write!(f, "{}: ", self.provider)?;
        for char in self.message.chars() {
            match char.is_control() {
                true => write!(f, "{}", char.escape_default())?,
                false => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderError")
            .field("provider", &self.provider)
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl error::Error for ProviderError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn error::Error + 'static))
    }
}

/// The sort of thing that kept a provider from giving credentials.
///
/// A [`Cached`](super::Cached) provider goes on with credentials that are better than none through errors of
/// every kind but [`Refused`](ProviderErrorKind::Refused), which it passes on at once.
///
/// ```
/// use countersign::providers::ProviderErrorKind;
///
/// assert_eq!(ProviderErrorKind::MissingProfile.as_str(), "missing_profile");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// The configuration may be right, but what it points to could not be had.
    Failed,
    /// The configuration is wrong: half a key pair, a file that cannot be parsed.
    InvalidConfiguration,
    /// A profile was named that is in neither file.
    MissingProfile,
    /// Whoever was asked refused, and would refuse again until a person acts: a role that may not be
    /// assumed, an identity that is not believed, a session that has ended. No less certain no is of
    /// this kind, for it takes even credentials that still work.
    Refused,
    /// The configuration asks for something that this version does not do.
    Unsupported,
}

impl ProviderErrorKind {
    /// Whether to ask again later may help: only if it merely [failed](ProviderErrorKind::Failed).
    ///
    /// ```
    /// # use countersign::providers::ProviderErrorKind;
    /// assert!(ProviderErrorKind::Failed.is_transient());
    /// assert!(!ProviderErrorKind::Refused.is_transient());
    /// ```
    pub fn is_transient(self) -> bool {
        self == ProviderErrorKind::Failed
    }

    /// The kind in `snake_case`, for logs and machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            ProviderErrorKind::Failed => "failed",
            ProviderErrorKind::InvalidConfiguration => "invalid_configuration",
            ProviderErrorKind::MissingProfile => "missing_profile",
            ProviderErrorKind::Refused => "refused",
            ProviderErrorKind::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for ProviderErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
