//! From the description of a chain to the providers that do what it says.

use std::sync::{Arc, OnceLock};

use super::{
    Kept, ProfileProvider, ProfileSet,
    chain::{CredentialSource, ProfileBase, ProfileChain},
};
#[cfg(feature = "login")]
use crate::providers::LoginProvider;
use crate::providers::{
    AssumeRoleProvider, ContainerProvider, Endpoint, Endpoints, EnvironmentProvider,
    InstanceProvider, ProcessProvider, ProvideCredentials, ProviderError, RegionChain, SsoProvider,
    Sts, WebIdentityProvider,
};

impl ProfileProvider {
    /// The provider of a chain's last credentials.
    pub(super) async fn build(
        &self,
        profiles: &ProfileSet,
        selected: &str,
        chain: &ProfileChain,
    ) -> Result<Arc<dyn ProvideCredentials>, ProviderError> {
        let endpoints = Endpoints::load(&self.ports, profiles, selected)?;
        let around = Around { profiles, selected, endpoints, of_instance: OnceLock::new() };
        let mut provider = self.kept_or_new(&around, chain.base()).await?;
        for role in chain.roles() {
            let sts = self.sts(&around, role.profile(), true).await;
            let mut role = AssumeRoleProvider::new(&self.ports, provider, role.request().clone())
                .of_profile(role.profile())
                .with_sts(sts);
            if let Some(prompt) = &self.mfa {
                role = role.with_mfa(prompt.clone());
            }
            provider = Arc::new(role);
        }
        Ok(provider)
    }

    /// The provider of a base: the one of the last time if nothing changed, for it may remember something.
    async fn kept_or_new(
        &self,
        around: &Around<'_>,
        base: &ProfileBase,
    ) -> Result<Arc<dyn ProvideCredentials>, ProviderError> {
        let region = match base {
            // If nothing names one, it is found when the session is renewed.
            ProfileBase::Login { profile, .. } => self.named_region(around, profile)?,
            _ => None,
        };
        if let Some(kept) = &*self.kept()
            && kept.base.is_same(base)
            && kept.endpoints.is_same(&around.endpoints)
            && kept.region == region
        {
            return Ok(kept.provider.clone());
        }
        let provider = self.base(around, base, region.as_deref()).await?;
        // Static keys, and what else has nothing to remember, are the same as no other, nor as themselves.
        *self.kept() = base.is_same(base).then(|| {
            let (base, provider) = (base.clone(), provider.clone());
            Box::new(Kept { base, endpoints: around.endpoints.clone(), region, provider })
        });
        Ok(provider)
    }

    /// The one place where the providers of bases are made.
    #[cfg_attr(
        not(feature = "login"),
        allow(unused_variables, reason = "logins alone have a region")
    )]
    async fn base(
        &self,
        around: &Around<'_>,
        base: &ProfileBase,
        region: Option<&str>,
    ) -> Result<Arc<dyn ProvideCredentials>, ProviderError> {
        let ports = &self.ports;
        Ok(match base {
            ProfileBase::Static(credentials) => Arc::new(credentials.clone()),
            ProfileBase::WebIdentity { profile, role_arn, token_file, session_name, duration } => {
                let mut provider = WebIdentityProvider::of_file(ports, role_arn, token_file)
                    .with_sts(self.sts(around, profile, false).await);
                if let Some(name) = session_name {
                    provider = provider.with_session_name(name);
                }
                if let Some(duration) = duration {
                    provider = provider.with_duration(*duration);
                }
                Arc::new(provider)
            }
            ProfileBase::Source { source: CredentialSource::Environment, .. } => {
                Arc::new(EnvironmentProvider::new(ports))
            }
            ProfileBase::Source { source: CredentialSource::EcsContainer, .. } => {
                Arc::new(ContainerProvider::new(ports))
            }
            ProfileBase::Source { source: CredentialSource::Ec2InstanceMetadata, .. } => {
                // Not with what is kept here, for that would keep itself alive.
                let profile = ProfileProvider { kept: Arc::default(), ..self.clone() };
                Arc::new(InstanceProvider::of_profile(ports, profile))
            }
            ProfileBase::Sso(settings) => {
                let provider = SsoProvider::new(ports, settings.clone());
                Arc::new(provider.with_endpoints(around.endpoints.clone()))
            }
            #[cfg(feature = "login")]
            ProfileBase::Login { session, .. } => {
                let provider =
                    LoginProvider::new(ports, session)?.with_endpoints(around.endpoints.clone());
                Arc::new(match region {
                    Some(region) => provider.with_region(region),
                    None => provider,
                })
            }
            #[cfg(not(feature = "login"))]
            ProfileBase::Login { profile, .. } => {
                return Err(unsupported(profile, "login_session"));
            }
            ProfileBase::Process { command, account_id, .. } => {
                let provider = ProcessProvider::new(ports, command.as_str());
                Arc::new(match account_id {
                    Some(account_id) => provider.with_account_id(account_id),
                    None => provider,
                })
            }
        })
    }

    /// STS for a role of this profile, by the selected one's settings, for requests that are signed or not.
    async fn sts(&self, around: &Around<'_>, profile: &str, signs: bool) -> Sts {
        // Where STS is matters only to who has something to ask it with.
        Sts::found(&self.ports, self.endpoint(around, profile, signs).await)
    }

    async fn endpoint(
        &self,
        around: &Around<'_>,
        profile: &str,
        signs: bool,
    ) -> Result<Endpoint, ProviderError> {
        let region = match self.named_region(around, profile)? {
            Some(region) => Some(region),
            // Where it is known, and nothing is signed, nobody needs to know of a region.
            None if !signs && around.endpoints.named("sts")?.is_some() => None,
            None => self.of_instance(around, signs).await?,
        };
        around.endpoints.sts(region.as_deref(), signs)
    }

    /// The region that code or environment name, else that of this profile, else that of the one that was
    /// selected.
    fn named_region(
        &self,
        Around { profiles, selected, .. }: &Around<'_>,
        profile: &str,
    ) -> Result<Option<String>, ProviderError> {
        let region = RegionChain::of_profile(&self.ports, self.clone()).before_profiles()?;
        let of_profiles = || profiles.region(profile).or_else(|| profiles.region(selected));
        Ok(region.or_else(|| of_profiles().map(str::to_owned)))
    }

    /// The region of the instance, which is asked once, however many roles there are.
    async fn of_instance(
        &self,
        around: &Around<'_>,
        signs: bool,
    ) -> Result<Option<String>, ProviderError> {
        if let Some(region) = around.of_instance.get() {
            return Ok(region.clone());
        }
        let region = RegionChain::of_profile(&self.ports, self.clone()).for_sts(signs).await?;
        Ok(around.of_instance.get_or_init(|| region).clone())
    }
}

/// What there is to know while the providers of a chain are made.
struct Around<'a> {
    profiles: &'a ProfileSet,
    selected: &'a str,
    endpoints: Endpoints,
    of_instance: OnceLock<Option<String>>,
}

#[cfg(not(feature = "login"))]
fn unsupported(profile: &str, setting: &str) -> ProviderError {
    let message = format!(
        "the profile `{}` gets its credentials by {setting}, which this version does not do",
        profile.escape_debug()
    );
    let kind = crate::providers::ProviderErrorKind::Unsupported;
    ProviderError::new(super::NAME, kind, message)
}
