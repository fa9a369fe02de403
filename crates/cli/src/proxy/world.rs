//! The world as the proxy sees it: the chain of providers, and the table of endpoints.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use countersign::providers::{
    AssumeRole, AssumeRoleProvider, Cached, ProvideCredentials, RegionChain, Sts,
};
use countersign_proxy::Outside;

use crate::{
    failure::{Failure, with_sources},
    host::{self, Target},
    http_client, options,
};

/// The world as this program sees it: the chain of providers, and the table of endpoints.
#[derive(Default)]
pub(super) struct World {
    /// By profile; each is asked by all routes that name it.
    providers: Mutex<HashMap<Option<String>, Cached>>,
    /// The profiles whose credentials are renewed in time.
    refreshed: Mutex<HashSet<Option<String>>>,
    region: Mutex<Option<Result<Option<String>, String>>>,
}

impl World {
    /// What renews credentials in time, of the profiles for which nobody was asked yet.
    pub(super) fn refreshers(&self) -> Vec<impl Future<Output = ()> + Send + use<>> {
        let mut refreshed = self.refreshed.lock().unwrap_or_else(PoisonError::into_inner);
        let providers = self.providers();
        let new = providers.iter().filter(|(profile, _)| refreshed.insert((*profile).clone()));
        new.map(|(_, cached)| cached.refresher()).collect()
    }

    fn providers(&self) -> std::sync::MutexGuard<'_, HashMap<Option<String>, Cached>> {
        self.providers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The region of the environment, the profile or the instance, which is asked once: a request waits for it.
    fn region(&self) -> Result<Option<String>, Failure> {
        let mut region = self.region.lock().unwrap_or_else(PoisonError::into_inner);
        let found = region.get_or_insert_with(|| {
            let chain = RegionChain::standard(&http_client::ports(None));
            pollster::block_on(chain.provide()).map_err(|error| with_sources(&error))
        });
        found.clone().map_err(Failure::credentials)
    }

    /// Asks anew what could not be told.
    pub(super) fn ask_again(&self) {
        let mut region = self.region.lock().unwrap_or_else(PoisonError::into_inner);
        region.take_if(|found| !matches!(found, Ok(Some(_))));
    }
}

impl Outside for World {
    fn credentials(&self, profile: Option<&str>) -> Arc<dyn ProvideCredentials> {
        let mut providers = self.providers();
        let cached = providers.entry(profile.map(str::to_owned)).or_insert_with(|| {
            let ports = http_client::ports(profile);
            Cached::new(options::chain(&ports, profile), &ports)
        });
        Arc::new(cached.clone())
    }

    fn role(
        &self,
        profile: Option<&str>,
        role: AssumeRole,
    ) -> Result<Arc<dyn ProvideCredentials>, String> {
        let ports = http_client::ports(profile);
        let sts = match profile {
            Some(profile) => Sts::new(&ports).with_profile(profile),
            None => Sts::new(&ports),
        };
        let provider = AssumeRoleProvider::new(&ports, self.credentials(profile), role);
        Ok(Arc::new(Cached::new(provider.with_sts(sts), &ports)))
    }

    fn scope(
        &self,
        authority: &str,
        path: &str,
        service: Option<&str>,
        region: Option<&str>,
    ) -> Result<(String, String), String> {
        let target = Target { authority: authority.to_owned(), path: path.to_owned() };
        let endpoint = target.endpoint();
        let region = match region {
            Some(region) => Some(region.to_owned()),
            None => host::region(&endpoint, || self.region()).map_err(|why| why.to_string())?,
        };
        let service = match (service, &endpoint) {
            (Some(service), _) => service.to_owned(),
            (None, Ok(endpoint)) => endpoint.signing_name().to_owned(),
            (None, Err(unknown)) => return Err(host::refusal(unknown).to_string()),
        };
        match (region, &endpoint) {
            (Some(region), _) => Ok((region, service)),
            (None, Err(unknown)) => Err(host::refusal(unknown).to_string()),
            (None, Ok(_)) => Err("no region is known: give --region, or set AWS_REGION".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_that_could_not_be_told_is_asked_for_again() {
        for (found, stays) in [
            (Ok(Some("eu-west-1".to_owned())), true),
            (Ok(None), false),
            (Err("the metadata service is away".to_owned()), false),
        ] {
            let world = World { region: Mutex::new(Some(found.clone())), ..World::default() };
            assert_eq!(world.region().ok(), found.ok());
            world.ask_again();
            assert_eq!(world.region.lock().expect("nobody panics here").is_some(), stays);
        }
    }

    #[test]
    fn a_scope_is_what_settings_and_host_say_together() {
        let world = World::default();
        for (host, service, region, expected) in [
            ("sqs.eu-west-1.amazonaws.com", None, None, Ok(("eu-west-1", "sqs"))),
            ("sqs.eu-west-1.amazonaws.com", None, Some("eu-west-2"), Ok(("eu-west-2", "sqs"))),
            ("newest.eu-west-1.amazonaws.com", Some("new"), None, Ok(("eu-west-1", "new"))),
            ("localhost:9000", Some("s3"), Some("r"), Ok(("r", "s3"))),
            ("localhost:9000", None, Some("r"), Err("--service")),
        ] {
            match (world.scope(host, "/", service, region), expected) {
                (Ok((region, service)), Ok(expected)) => {
                    assert_eq!((region.as_str(), service.as_str()), expected, "{host}");
                }
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                (other, _) => panic!("{host}: {other:?}"),
            }
        }
    }
}
