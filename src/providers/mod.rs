//! Where credentials come from: the environment, the shared files, the agents of containers, the metadata
//! service of EC2 instances, processes that print them, and the chain that asks them in turn.
//!
//! A provider has three answers, and a caller should keep them apart:
//! - `Ok(Some(credentials))`: here they are;
//! - `Ok(None)`: nothing is configured here, ask the next one;
//! - `Err(error)`: something is configured here and it is broken. Stop: going on would find other
//!   credentials than the ones that were meant.
//!
//! Providers never touch the process themselves. They see it through [`Ports`]: [`Ports::system`]
//! is the real one, and a `HashMap` stands in for an environment or a file system in tests.
//!
//! ```
//! use countersign::Credentials;
//! use countersign::providers::{Chain, Ports, ProvideCredentials};
//!
//! async fn credentials() -> Result<Credentials, Box<dyn std::error::Error>> {
//!     let chain = Chain::standard(&Ports::system());
//!     Ok(chain.provide().await?.ok_or_else(|| chain.explain())?)
//! }
//! ```
//!
//! # Secrets in memory
//! Credentials, tokens, the keys of sessions and certificates, the files and outputs that they were read
//! from, and the forms that they are sent in are wiped when they are dropped. Out of reach is what belongs to
//! others: headers, and bodies that an HTTP client sends or received; RSA keys of certificates; the
//! environment; what a container or the stack held before a value was moved.

mod cached;
mod call;
mod chain;
#[cfg(all(doctest, feature = "login", feature = "reqwest", feature = "roles-anywhere"))]
mod chapters;
mod container;
mod document;
mod endpoint;
mod environment;
mod error;
mod exchange;
mod express;
mod instance;
mod json;
#[cfg(feature = "login")]
mod login;
#[cfg(any(feature = "login", feature = "roles-anywhere"))]
mod pem;
mod ports;
mod process;
mod profile;
mod region;
#[cfg(feature = "roles-anywhere")]
mod roles_anywhere;
mod session;
mod skew;
mod sso;
mod sts;
mod system;
mod token;
mod trace;

use std::{any, fmt::Debug, future, pin::Pin, sync::Arc};

use crate::Credentials;

pub use cached::Cached;
pub use chain::{Chain, NoCredentials};
pub use container::ContainerProvider;
pub use endpoint::{Endpoint, EndpointService, Endpoints};
pub use environment::EnvironmentProvider;
pub use error::{ProviderError, ProviderErrorKind};
pub use express::{S3ExpressProvider, S3ExpressSessions};
pub use instance::{EndpointMode, InstanceProvider};
#[cfg(feature = "login")]
pub use login::LoginProvider;
pub use ports::{
    Clock, CommandLimits, CommandOutput, Commands, Env, Files, HttpClient, HttpError,
    HttpErrorKind, HttpLimits, Platform, Ports, Random, Resolver,
};
pub use process::ProcessProvider;
pub use profile::{
    CredentialSource, ProfileBase, ProfileChain, ProfileFiles, ProfileProvider, ProfileRole,
    ProfileSet, Section, SsoSettings, Warning,
};
pub use region::RegionChain;
#[cfg(feature = "roles-anywhere")]
pub use roles_anywhere::{RolesAnywhere, RolesAnywhereProvider};
pub use skew::Skew;
pub use sso::{SsoProvider, SsoTokenProvider};
pub use sts::{
    AssumeRole, AssumeRoleProvider, AssumeRoleWithSaml, AssumeRoleWithWebIdentity, FederationToken,
    FederationTokenProvider, MfaPrompt, SamlProvider, SessionToken, SessionTokenProvider, Sts,
    WebIdentityProvider,
};
pub use token::{ProvideToken, Token, TokenChain};
pub use trace::{ChainAnswer, ChainStep};

/// A future behind a pointer, so that a trait that returns it can be used as `dyn`.
///
/// It names no runtime: whatever polls it, drives it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A source of credentials.
///
/// Only [`provide`](ProvideCredentials::provide) must be written; the rest has defaults.
/// [`Credentials`] are a provider themselves: of themselves, for ever. Providers ask anew each time;
/// [`Cached`] keeps what they gave. One whose credentials are renewed without end, by whom it asks, marks
/// them with [static stability](Credentials::with_static_stability): then they outlive an outage.
///
/// ```
/// use countersign::Credentials;
/// use countersign::providers::{BoxFuture, ProvideCredentials, ProviderError};
///
/// /// Credentials from a vault that may hold none.
/// #[derive(Debug)]
/// struct Vault(Option<Credentials>);
///
/// impl ProvideCredentials for Vault {
///     fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
///         Box::pin(async { Ok(self.0.clone()) })
///     }
/// }
///
/// let provider: Box<dyn ProvideCredentials> = Box::new(Vault(None));
/// # let _ = provider;
/// ```
pub trait ProvideCredentials: Debug + Send + Sync {
    /// The credentials to sign with from now on; `Ok(None)` if none are configured here.
    ///
    /// # Errors
    /// What is configured here and broken. Whoever asks several providers stops at it.
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>>;

    /// Says that a service refused these credentials as expired or unknown.
    ///
    /// A provider that keeps credentials forgets them if they have this access key id, and only
    /// then; one that keeps nothing has nothing to do.
    fn invalidate(&self, _access_key_id: &str) {}

    /// What messages call this provider.
    fn name(&self) -> &str {
        any::type_name::<Self>()
    }

    /// What this provider looks at, whether it is there or not: variables, a profile, a host. Empty if
    /// there is nothing to say. Never a secret.
    fn looks_at(&self) -> String {
        String::new()
    }

    /// Why [`provide`](ProvideCredentials::provide) answered `Ok(None)`: what was looked at and not
    /// there. Never a secret.
    fn absence(&self) -> String {
        "nothing is configured".to_owned()
    }
}

impl ProvideCredentials for Credentials {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(future::ready(Ok(Some(self.clone()))))
    }

    fn name(&self) -> &str {
        "credentials"
    }
}

impl<P: ProvideCredentials + ?Sized> ProvideCredentials for Arc<P> {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        (**self).provide()
    }

    fn invalidate(&self, access_key_id: &str) {
        (**self).invalidate(access_key_id);
    }

    fn name(&self) -> &str {
        (**self).name()
    }

    fn looks_at(&self) -> String {
        (**self).looks_at()
    }

    fn absence(&self) -> String {
        (**self).absence()
    }
}
