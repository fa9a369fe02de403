//! What a proxy asks of the program that it runs in.

use std::{sync::Arc, time::SystemTime};

use countersign::providers::ProvideCredentials;

/// What a proxy asks of the program that it runs in.
///
/// ```
/// use std::sync::Arc;
/// use countersign::{Credentials, providers::ProvideCredentials};
/// use countersign_proxy::Outside;
///
/// /// One key for all, and a scope only where the settings name one.
/// struct OneKey(Credentials);
///
/// impl Outside for OneKey {
///     fn credentials(&self, _profile: Option<&str>) -> Arc<dyn ProvideCredentials> {
///         Arc::new(self.0.clone())
///     }
///     fn scope(&self, host: &str, _: &str, _: Option<&str>, _: Option<&str>) -> Result<(String, String), String> {
///         Err(format!("nothing is known of {host}"))
///     }
/// }
/// # let _ = OneKey(Credentials::new("AKIDEXAMPLE", "secret"));
/// ```
pub trait Outside: Send + Sync {
    /// Who has the credentials of a profile, or without one the standard ones. It is asked with each
    /// request, so it should keep them.
    fn credentials(&self, profile: Option<&str>) -> Arc<dyn ProvideCredentials>;

    /// The region and the service to sign for at a host and path, where the settings name only one of
    /// them or neither.
    ///
    /// # Errors
    /// Why that cannot be told, for the client: nothing is signed by a guess.
    fn scope(
        &self,
        authority: &str,
        path: &str,
        service: Option<&str>,
        region: Option<&str>,
    ) -> Result<(String, String), String>;

    /// The time.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
