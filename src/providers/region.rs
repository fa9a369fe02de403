//! Which region to sign for.

use super::{BoxFuture, InstanceProvider, Ports, ProfileProvider, ProviderError};

/// The places that may name a region, in the order in which they count: code, `AWS_REGION`,
/// `AWS_DEFAULT_REGION`, the selected profile's `region`, that of the profiles it builds upon
/// (`source_profile`), and the [metadata service](InstanceProvider::region) of an EC2 instance.
///
/// A profile that does not exist names no region. That it is missing is the credential
/// [`Chain`](super::Chain)'s business, which may do without it.
///
/// ```
/// use std::{collections::HashMap, path::PathBuf};
/// use countersign::providers::{Ports, RegionChain};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let future = pin!(async {
/// let config = "[profile work]\nregion = eu-west-1\n";
/// let ports = Ports::empty()
///     .with_env(HashMap::from([("HOME", "/home/cat")]))
///     .with_files(HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]));
/// let regions = RegionChain::standard(&ports);
/// assert_eq!(regions.provide().await?, None);
/// let regions = regions.with_profile("work");
/// assert_eq!(regions.provide().await?.as_deref(), Some("eu-west-1"));
/// let regions = regions.with_region("eu-central-1");
/// assert_eq!(regions.provide().await?.as_deref(), Some("eu-central-1"));
/// # Ok(())
/// # });
/// # let mut context = Context::from_waker(Waker::noop());
/// # let Poll::Ready(done) = future.poll(&mut context) else { panic!() };
/// # done
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RegionChain {
    ports: Ports,
    region: Option<String>,
    profile: ProfileProvider,
    instance: InstanceProvider,
}

impl RegionChain {
    /// The standard places, seen through these ports.
    pub fn standard(ports: &Ports) -> RegionChain {
        RegionChain::of_profile(ports, ProfileProvider::new(ports))
    }

    /// The standard chain with the profile that this provider selects, of the files that it reads.
    pub(super) fn of_profile(ports: &Ports, profile: ProfileProvider) -> RegionChain {
        let instance = InstanceProvider::of_profile(ports, profile.clone());
        let instance = instance.with_memory(profile.memory_of_instance());
        RegionChain { ports: ports.clone(), region: None, profile, instance }
    }

    /// The same places with the profile named here instead of `AWS_PROFILE`.
    #[must_use]
    pub fn with_profile(self, name: impl Into<String>) -> RegionChain {
        let RegionChain { ports, region, profile, .. } = self;
        RegionChain { region, ..RegionChain::of_profile(&ports, profile.with_name(name)) }
    }

    /// The same places with a region that goes before all others.
    #[must_use]
    pub fn with_region(self, region: impl Into<String>) -> RegionChain {
        RegionChain { region: Some(region.into()), ..self }
    }

    /// The first region that is named; `Ok(None)` if none is.
    ///
    /// # Errors
    /// A shared file that cannot be parsed, a variable that is not UTF-8, or settings of the metadata service
    /// that are wrong. That the service does not answer, or not well, is none: it is the last to be asked, and
    /// a region that nobody wrote down.
    pub fn provide(&self) -> BoxFuture<'_, Result<Option<String>, ProviderError>> {
        Box::pin(async {
            let Some(region) = self.find()? else { return self.of_instance().await };
            Ok(Some(region))
        })
    }

    async fn of_instance(&self) -> Result<Option<String>, ProviderError> {
        match self.instance.region().await {
            Err(error) if error.kind().is_transient() => {
                let error = error.with_sources();
                tracing::warn!(%error, "the region of the instance is not known");
                Ok(None)
            }
            found => found,
        }
    }

    /// The first region that is named, for who cannot do without one: a metadata service that answers, and
    /// not well, is an error then. It may do better the next time, and that no region is known would be
    /// said of the configuration.
    pub(super) async fn needed(&self) -> Result<Option<String>, ProviderError> {
        if let Some(region) = self.find()? {
            return Ok(Some(region));
        }
        self.instance.region().await.map_err(|error| {
            let message = "no region is named, and the metadata service does not tell its own";
            ProviderError::new(NAME, error.kind(), message).with_source(error)
        })
    }

    /// The first region that is named, for STS: whoever signs cannot do without one.
    pub(super) async fn for_sts(&self, signs: bool) -> Result<Option<String>, ProviderError> {
        if signs { self.needed().await } else { self.provide().await }
    }

    fn find(&self) -> Result<Option<String>, ProviderError> {
        if let Some(region) = self.before_profiles()? {
            return Ok(Some(region));
        }
        let name = self.profile.selected()?;
        let profiles = self.profile.load()?;
        profiles.log_warnings(&name);
        Ok(profiles.region(&name).map(str::to_owned))
    }

    /// The region that is named in code or in the environment.
    pub(super) fn before_profiles(&self) -> Result<Option<String>, ProviderError> {
        if let Some(region) = &self.region {
            return Ok(Some(region.clone()));
        }
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            if let Some(region) = self.ports.text(NAME, name)? {
                return Ok(Some(region));
            }
        }
        Ok(None)
    }
}

const NAME: &str = "region";
