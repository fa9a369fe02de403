//! From the description of a chain to the providers that do what it says.

use std::sync::Arc;

use super::{
    NAME, ProfileProvider, ProfileSet,
    chain::{CredentialSource, ProfileBase, ProfileChain},
};
use crate::providers::{
    AssumeRoleProvider, Endpoint, EndpointService, Endpoints, EnvironmentProvider,
    ProvideCredentials, ProviderError, ProviderErrorKind, RegionChain, Sts, WebIdentityProvider,
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
            ProfileBase::Sso(settings) if settings.account_id().is_none() => {
                let message = format!(
                    "the profile `{}` names neither sso_account_id nor sso_role_name: selected profile \
                     will resolve an access token instead of credentials",
                    settings.profile().escape_debug()
                );
                return Err(ProviderError::new(
                    NAME,
                    ProviderErrorKind::InvalidConfiguration,
                    message,
                ));
            }
            ProfileBase::Source { profile, source } => {
                return Err(unsupported(
                    profile,
                    &format!("credential_source = {}", source.as_str()),
                ));
            }
            ProfileBase::Sso(settings) => return Err(unsupported(settings.profile(), "SSO")),
            ProfileBase::Login { profile, .. } => {
                return Err(unsupported(profile, "login_session"));
            }
            ProfileBase::Process { profile, .. } => {
                return Err(unsupported(profile, "credential_process"));
            }
        })
    }

    /// STS for a role of this profile: in the region that code or environment name, else that of the
    /// role's profile, else that of the one that was selected; by the selected one's settings.
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
        let regions = RegionChain::of_profile(&self.ports, self.clone());
        let region = match regions.before_profiles()? {
            Some(region) => Some(region),
            None => match profiles.region(profile).or_else(|| profiles.region(selected)) {
                Some(region) => Some(region.to_owned()),
                None => regions.provide().await?,
            },
        };
        let endpoints = Endpoints::load(&self.ports, profiles, selected)?;
        endpoints.find(EndpointService::Sts, region.as_deref())
    }
}

fn unsupported(profile: &str, setting: &str) -> ProviderError {
    let message = format!(
        "the profile `{}` gets its credentials by {setting}, which this version does not do",
        profile.escape_debug()
    );
    ProviderError::new(NAME, ProviderErrorKind::Unsupported, message)
}
