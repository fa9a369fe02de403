//! From the description of a chain to the providers that do what it says.

use std::sync::Arc;

use super::{
    ProfileProvider, ProfileSet,
    chain::{CredentialSource, ProfileBase, ProfileChain},
};
#[cfg(feature = "login")]
use crate::providers::LoginProvider;
use crate::providers::{
    AssumeRoleProvider, ContainerProvider, Endpoint, EndpointService, Endpoints,
    EnvironmentProvider, InstanceProvider, ProcessProvider, ProvideCredentials, ProviderError,
    RegionChain, SsoProvider, Sts, WebIdentityProvider,
};

impl ProfileProvider {
    /// The provider of a chain's last credentials.
    pub(super) async fn build(
        &self,
        profiles: &ProfileSet,
        selected: &str,
        chain: &ProfileChain,
    ) -> Result<Arc<dyn ProvideCredentials>, ProviderError> {
        let mut provider = self.kept_or_new(profiles, selected, chain.base()).await?;
        for role in chain.roles() {
            let sts = self.sts(profiles, selected, role.profile()).await;
            let mut role = AssumeRoleProvider::new(&self.ports, provider, role.request().clone())
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
        profiles: &ProfileSet,
        selected: &str,
        base: &ProfileBase,
    ) -> Result<Arc<dyn ProvideCredentials>, ProviderError> {
        if let Some((kept, provider)) = &*self.kept()
            && kept.is_same(base)
        {
            return Ok(provider.clone());
        }
        let provider = self.base(profiles, selected, base).await?;
        // Static keys, and what else has nothing to remember, are the same as no other, nor as themselves.
        *self.kept() = base.is_same(base).then(|| (base.clone(), provider.clone()));
        Ok(provider)
    }

    /// The one place where the providers of bases are made.
    async fn base(
        &self,
        profiles: &ProfileSet,
        selected: &str,
        base: &ProfileBase,
    ) -> Result<Arc<dyn ProvideCredentials>, ProviderError> {
        let ports = &self.ports;
        Ok(match base {
            ProfileBase::Static(credentials) => Arc::new(credentials.clone()),
            ProfileBase::WebIdentity { profile, role_arn, token_file, session_name } => {
                let provider = WebIdentityProvider::of_file(ports, role_arn, token_file)
                    .with_sts(self.sts(profiles, selected, profile).await);
                Arc::new(match session_name {
                    Some(name) => provider.with_session_name(name),
                    None => provider,
                })
            }
            ProfileBase::Source { source: CredentialSource::Environment, .. } => {
                Arc::new(EnvironmentProvider::new(ports))
            }
            ProfileBase::Source { source: CredentialSource::EcsContainer, .. } => {
                Arc::new(ContainerProvider::new(ports))
            }
            ProfileBase::Source { source: CredentialSource::Ec2InstanceMetadata, .. } => {
                Arc::new(InstanceProvider::of_profile(ports, self.clone()))
            }
            ProfileBase::Sso(settings) => {
                let endpoints = Endpoints::load(ports, profiles, selected)?;
                Arc::new(SsoProvider::new(ports, settings.clone()).with_endpoints(endpoints))
            }
            #[cfg(feature = "login")]
            ProfileBase::Login { profile, session } => {
                let endpoints = Endpoints::load(ports, profiles, selected)?;
                let provider = LoginProvider::new(ports, session)?.with_endpoints(endpoints);
                Arc::new(match self.region(profiles, selected, profile).await? {
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

    /// STS for a role of this profile, by the selected one's settings.
    async fn sts(&self, profiles: &ProfileSet, selected: &str, profile: &str) -> Sts {
        // Where STS is matters only to who has something to ask it with.
        Sts::found(&self.ports, self.endpoint(profiles, selected, profile).await)
    }

    async fn endpoint(
        &self,
        profiles: &ProfileSet,
        selected: &str,
        profile: &str,
    ) -> Result<Endpoint, ProviderError> {
        let region = self.region(profiles, selected, profile).await?;
        let endpoints = Endpoints::load(&self.ports, profiles, selected)?;
        endpoints.find(EndpointService::Sts, region.as_deref())
    }

    /// The region that code or environment name, else that of this profile, else that of the one that was
    /// selected.
    async fn region(
        &self,
        profiles: &ProfileSet,
        selected: &str,
        profile: &str,
    ) -> Result<Option<String>, ProviderError> {
        let regions = RegionChain::of_profile(&self.ports, self.clone());
        if let Some(region) = regions.before_profiles()? {
            return Ok(Some(region));
        }
        match profiles.region(profile).or_else(|| profiles.region(selected)) {
            Some(region) => Ok(Some(region.to_owned())),
            None => regions.provide().await,
        }
    }
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
