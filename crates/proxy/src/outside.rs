//! What a proxy asks of the program that it runs in.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::SystemTime,
};

use countersign::providers::{AssumeRole, BoxFuture, ProvideCredentials};

use crate::connect;

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

    /// The addresses of a host to which a tunnel leads past all routes: those of the system's resolver.
    ///
    /// # Errors
    /// Why they are not known.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            // With a dot at its end a name is looked up as it is, not within the domains of this machine.
            let found = tokio::net::lookup_host((format!("{host}."), port)).await?;
            Ok(found.collect())
        })
    }

    /// Whether such a tunnel may lead to an address: only to public ones, so that a client gets to
    /// nothing on the inner side of the proxy.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use countersign::providers::ProvideCredentials;
    /// # struct Plain;
    /// # impl countersign_proxy::Outside for Plain {
    /// #     fn credentials(&self, _: Option<&str>) -> Arc<dyn ProvideCredentials> {
    /// #         Arc::new(countersign::Credentials::new("AKIDEXAMPLE", "secret"))
    /// #     }
    /// #     fn scope(&self, _: &str, _: &str, _: Option<&str>, _: Option<&str>) -> Result<(String, String), String> {
    /// #         Err("nothing is known".to_owned())
    /// #     }
    /// # }
    /// use countersign_proxy::Outside;
    ///
    /// assert!(Plain.may_reach("1.1.1.1".parse()?));
    /// for address in ["127.0.0.1", "169.254.169.254", "10.0.0.1", "fd00:ec2::254", "::ffff:10.0.0.1"] {
    ///     assert!(!Plain.may_reach(address.parse()?));
    /// }
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    fn may_reach(&self, address: IpAddr) -> bool {
        connect::is_public(address)
    }

    /// Who has the credentials of a role, which is assumed with those of a profile: for keys that clients of a
    /// re-signing route sign with, and that have a role of their own. It is asked once for each, and then with
    /// each request, so it should keep what it assumed.
    ///
    /// # Errors
    /// Why there is nobody; unless it is written anew, roles are not supported.
    fn role(
        &self,
        profile: Option<&str>,
        role: AssumeRole,
    ) -> Result<Arc<dyn ProvideCredentials>, String> {
        let _ = profile;
        Err(format!("has the role `{}`, and roles are not supported here", role.role_arn()))
    }

    /// The time.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
