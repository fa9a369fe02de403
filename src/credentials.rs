//! Who signs: an access key id, its secret and perhaps a session token.

use std::{fmt, sync::Arc, time::SystemTime};

use zeroize::Zeroizing;

/// An access key id with its secret, and what else AWS hands out beside them.
///
/// Cloning is cheap (one reference count), so a snapshot can travel with each request. The secret and
/// the session token are wiped from memory when the last clone is dropped, and never printed: `Debug`
/// shows the access key id and whether there is a token.
///
/// ```
/// use countersign::Credentials;
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
///     .with_session_token("AQoDYXdzEPT=");
/// assert_eq!(credentials.access_key_id(), "AKIDEXAMPLE");
/// assert!(!format!("{credentials:?}").contains("wJalr"));
/// ```
#[derive(Clone)]
pub struct Credentials(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
    s3_express_session: bool,
    static_stability: bool,
    expires_at: Option<SystemTime>,
    account_id: Option<String>,
}

impl Credentials {
    /// Long-lived credentials: an access key id and its secret access key.
    ///
    /// Nothing is checked here; signing refuses what cannot be signed with
    /// ([`ErrorKind::InvalidCredentials`](crate::ErrorKind::InvalidCredentials)).
    pub fn new(
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
    ) -> Credentials {
        Credentials(Arc::new(Parts {
            access_key_id: access_key_id.into(),
            secret_access_key: Zeroizing::new(secret_access_key.into()),
            session_token: None,
            s3_express_session: false,
            static_stability: false,
            expires_at: None,
            account_id: None,
        }))
    }

    /// The same credentials with the session token that temporary credentials carry.
    ///
    /// ```
    /// # use countersign::Credentials;
    /// let temporary = Credentials::new("ASIAEXAMPLE", "secret").with_session_token("token");
    /// assert_eq!(temporary.session_token(), Some("token"));
    /// ```
    #[must_use]
    pub fn with_session_token(self, token: impl Into<String>) -> Credentials {
        self.with(|parts| parts.session_token = Some(Zeroizing::new(token.into())))
    }

    /// Marks credentials that S3 Express CreateSession returned: their token travels as
    /// `x-amz-s3session-token`, not as `x-amz-security-token`.
    ///
    /// ```
    /// # use countersign::Credentials;
    /// let session = Credentials::new("AKID", "secret")
    ///     .with_session_token("token")
    ///     .with_s3_express_session(true);
    /// assert!(session.is_s3_express_session());
    /// ```
    #[must_use]
    pub fn with_s3_express_session(self, yes: bool) -> Credentials {
        self.with(|parts| parts.s3_express_session = yes)
    }

    /// The same credentials with the moment from which AWS refuses them.
    ///
    /// ```
    /// # use {countersign::Credentials, std::time::{Duration, SystemTime}};
    /// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    /// assert_eq!(Credentials::new("AKID", "secret").with_expires_at(at).expires_at(), Some(at));
    /// ```
    #[must_use]
    pub fn with_expires_at(self, at: SystemTime) -> Credentials {
        self.with(|parts| parts.expires_at = Some(at))
    }

    /// The same credentials with the account they belong to, where the source says so.
    ///
    /// ```
    /// # use countersign::Credentials;
    /// let credentials = Credentials::new("AKID", "secret").with_account_id("123456789012");
    /// assert_eq!(credentials.account_id(), Some("123456789012"));
    /// ```
    #[must_use]
    pub fn with_account_id(self, account_id: impl Into<String>) -> Credentials {
        self.with(|parts| parts.account_id = Some(account_id.into()))
    }

    /// Marks credentials of a service that renews them without end (instance metadata, a container's
    /// agent, a role, a session): while it cannot be reached, they are better than none, even past
    /// their expiry.
    ///
    /// Providers of such credentials say so, and a cache goes by it. Whoever gets credentials that
    /// somebody else renews (a process, an environment) cannot promise that.
    ///
    /// ```
    /// # use countersign::Credentials;
    /// let of_a_role = Credentials::new("ASIAEXAMPLE", "secret").with_static_stability(true);
    /// assert!(of_a_role.has_static_stability());
    /// ```
    #[must_use]
    pub fn with_static_stability(self, yes: bool) -> Credentials {
        self.with(|parts| parts.static_stability = yes)
    }

    /// The public half: it travels in the clear with each signed request.
    pub fn access_key_id(&self) -> &str {
        &self.0.access_key_id
    }

    /// The secret half: it never leaves the signer.
    pub fn secret_access_key(&self) -> &str {
        &self.0.secret_access_key
    }

    /// The token that temporary credentials must send along.
    pub fn session_token(&self) -> Option<&str> {
        self.0.session_token.as_ref().map(|token| token.as_str())
    }

    /// Whether the token is one of S3 Express's own sessions.
    pub fn is_s3_express_session(&self) -> bool {
        self.0.s3_express_session
    }

    /// Whether a cache may go on with them while their source fails, past their expiry.
    pub fn has_static_stability(&self) -> bool {
        self.0.static_stability
    }

    /// The moment from which AWS refuses these credentials; `None` if they do not expire.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.0.expires_at
    }

    /// The twelve-digit account, where the source of the credentials named it.
    pub fn account_id(&self) -> Option<&str> {
        self.0.account_id.as_deref()
    }

    /// Whether both are clones of one value. `false` says nothing about the contents.
    pub(crate) fn is_same(&self, other: &Credentials) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn with(mut self, edit: impl FnOnce(&mut Parts)) -> Credentials {
        edit(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.0.access_key_id)
            .field("secret_access_key", &"<redacted>")
            .field("session_token", &self.0.session_token.as_ref().map(|_| "<redacted>"))
            .field("expires_at", &self.0.expires_at)
            .field("account_id", &self.0.account_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_the_secret_nor_the_token() {
        let credentials = Credentials::new("AKID", "hush").with_session_token("whisper");
        let shown = format!("{credentials:?}");
        assert!(shown.contains("AKID"));
        assert!(!shown.contains("hush") && !shown.contains("whisper"), "{shown}");
    }

    #[test]
    fn editing_a_clone_leaves_the_original_alone() {
        let original = Credentials::new("AKID", "secret");
        let edited = original.clone().with_session_token("token");
        assert_eq!(original.session_token(), None);
        assert_eq!(edited.session_token(), Some("token"));
    }
}
