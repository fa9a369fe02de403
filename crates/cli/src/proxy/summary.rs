//! What settings say, in words.

use std::fmt::Display;

use countersign_proxy::{Config, ListenAddress, Others, PayloadMode, RouteConfig};

/// A line for each thing that these settings decide.
pub(super) fn lines(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    for address in &config.listen {
        lines.push(format!("listens on {}", shown(address, config.tls.is_some())));
    }
    lines.extend(config.admin.map(|it| format!("health and metrics on http://{it}")));
    lines.push(clients(config));
    let limits = &config.limits;
    lines.push(format!(
        "takes {} connections and {} requests at a time, with bodies up to {} bytes",
        limits.connections, limits.requests, limits.body
    ));
    lines.extend(limits.rate.map(|rate| match limits.burst {
        Some(burst) => format!("takes {rate} requests a second of each client, {burst} at once"),
        None => format!("takes {rate} requests a second of each client"),
    }));
    lines.extend(config.connect.as_ref().map(|it| {
        let others = match it.others {
            Others::Tunnel => "leads tunnels elsewhere past the routes",
            _ => "refuses tunnels elsewhere",
        };
        format!(
            "looks into tunnels to its routes with the authority `{}`, {others}",
            it.ca.display()
        )
    }));
    lines.extend(config.audit.as_ref().map(|it| format!("writes decisions to `{}`", it.display())));
    lines.extend(config.routes.iter().map(route));
    lines
}

/// How an address is reached.
pub(super) fn shown(address: &ListenAddress, is_tls: bool) -> String {
    match address {
        ListenAddress::Tcp(address) if is_tls => format!("https://{address}"),
        ListenAddress::Tcp(address) => format!("http://{address}"),
        other => other.to_string(),
    }
}

fn clients(config: &Config) -> String {
    let file = config.auth.as_ref().map(|it| format!("a secret of `{}`", it.file.display()));
    let authority = config.tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
    let authority = authority.map(|it| format!("a certificate of `{}`", it.display()));
    let signs = |route: &RouteConfig| route.keys.is_some();
    match (authority, file) {
        (None, None) if config.routes.iter().all(signs) => {
            "takes clients that sign with a key of the route".to_owned()
        }
        (None, None) => "takes whatever client can connect".to_owned(),
        (Some(one), None) | (None, Some(one)) => format!("takes clients with {one}"),
        (Some(one), Some(other)) => format!("takes clients with {one} and {other}"),
    }
}

fn route(route: &RouteConfig) -> String {
    let name = if route.name.is_empty() { String::new() } else { format!(" `{}`", route.name) };
    let hosts = if route.hosts.is_empty() { "any host".to_owned() } else { list(&route.hosts) };
    let to = match &route.upstream {
        Some(upstream) => upstream.to_string(),
        None => list(&route.allow),
    };
    let said = |value: &Option<String>| value.clone().unwrap_or_else(|| "(by host)".to_owned());
    let payload = match route.payload {
        PayloadMode::Chunks => "signed in chunks",
        PayloadMode::Unsigned => "unsigned",
        _ => "hashed",
    };
    let keys = route.keys.as_ref();
    let keys = keys.map(|it| format!(", for clients with a key of `{}`", it.display()));
    format!(
        "route{name}: {hosts}, {} to {to}, for {} in {}, bodies {payload}{}",
        route.path,
        said(&route.service),
        said(&route.region),
        keys.unwrap_or_default(),
    )
}

fn list(all: &[impl Display]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
