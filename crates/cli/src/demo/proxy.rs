//! A signing proxy on loopback, in front of the endpoint.

use std::{future, net::SocketAddr, sync::Arc};

use countersign::{Credentials, providers::ProvideCredentials};
use countersign_proxy::{Config, ConfigError, Outside, Proxy, RouteConfig};

use super::{REGION, STEPS, Step, network};
use crate::failure::Failure;

/// Starts the proxy in the background; it ends with the runtime.
///
/// Clients name the hosts of the services, which it signs for, and all requests go to the endpoint.
pub(super) async fn start(
    endpoint: SocketAddr,
    credentials: Credentials,
) -> Result<SocketAddr, Failure> {
    let config = config(endpoint).map_err(Failure::input)?;
    let proxy = Proxy::new(config, Arc::new(OneKey(credentials))).map_err(Failure::input)?;
    let bound = proxy.bind().await.map_err(|error| network(&error))?;
    let address =
        *bound.addresses().first().expect("it listens on the one address of its settings");
    tokio::spawn(bound.serve(future::pending()));
    Ok(address)
}

fn config(endpoint: SocketAddr) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    for Step { service, .. } in &STEPS {
        if config.routes.iter().any(|route| route.name == *service) {
            continue;
        }
        let upstream = format!("http://{endpoint}").parse()?;
        let mut route = RouteConfig::to(upstream).with_scope(REGION, *service);
        route.name = (*service).to_owned();
        route.hosts = vec![host_of(service).parse()?];
        route.sign_host = Some(host_of(service).parse()?);
        config.routes.push(route);
    }
    Ok(config)
}

/// The host at which AWS has the service.
pub(super) fn host_of(service: &str) -> String {
    format!("{service}.{REGION}.amazonaws.com")
}

/// One key for all: each route says its scope itself.
struct OneKey(Credentials);

impl Outside for OneKey {
    fn credentials(&self, _: Option<&str>) -> Arc<dyn ProvideCredentials> {
        Arc::new(self.0.clone())
    }

    fn scope(
        &self,
        host: &str,
        _: &str,
        _: Option<&str>,
        _: Option<&str>,
    ) -> Result<(String, String), String> {
        Err(format!("nothing is known of {host}"))
    }
}
