//! `countersign proxy`: signs requests of clients that cannot, and forwards them.

mod log;
mod workers;
mod world;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use clap::{Args, ValueEnum};
use countersign_proxy::{
    Authority, Config, HostPattern, PayloadMode, Prefix, Proxy, RouteConfig, SignedHeaders,
    Upstream,
};

use self::{log::Log, workers::Workers, world::World};
use crate::{descriptors, failure::Failure, signals::Signals};

/// Sign requests of clients that cannot, and forward them
///
/// Listens for plain HTTP/1.1 and HTTP/2, signs each request with the credentials that sign elsewhere in
/// this program, and sends it on: to one service, or to the host that the client names, if that is allowed.
/// Without credentials nothing is forwarded: clients get 503, with the reason. A request is logged as a line of
/// JSON on standard error. Told to stop (SIGTERM, SIGINT), it ends what is in flight first.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign proxy --upstream https://monitoring.eu-central-1.amazonaws.com
  curl http://127.0.0.1:8080/ -d 'Action=ListMetrics&Version=2010-08-01'

  countersign proxy --allow '*.eu-central-1.amazonaws.com' --listen 8080 --admin-listen 9901
  curl --proxy http://127.0.0.1:8080 http://sqs.eu-central-1.amazonaws.com/ -d 'Action=ListQueues'

  countersign proxy --upstream http://127.0.0.1:9000 --service s3 --region us-east-1 --payload chunks
  countersign proxy --config proxy.toml --check

A configuration:
  listen = [\"127.0.0.1:8080\"]
  admin = \"127.0.0.1:9901\"

  [[route]]
  name = \"metrics\"
  path = \"/metrics\"
  upstream = \"https://monitoring.eu-central-1.amazonaws.com\"

  [[route]]
  name = \"objects\"
  upstream = \"https://s3.eu-central-1.amazonaws.com\"
  payload = \"chunks\"
  profile = \"objects\"")]
pub(crate) struct ProxyCommand {
    /// A TOML file with all settings; options say where to listen all the same
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check the settings, and do not listen
    #[arg(long)]
    check: bool,

    /// Where to listen: an address and a port, or a port on loopback; may be repeated [default:
    /// 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = listening)]
    listen: Vec<SocketAddr>,

    /// Allow addresses other than loopback, where whoever reaches them is signed for
    #[arg(long)]
    insecure_listen: bool,

    /// Serve /healthz, /readyz and /metrics here
    #[arg(long, value_name = "ADDR", value_parser = listening)]
    admin_listen: Option<SocketAddr>,

    /// The URL of the service
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    upstream: Option<Upstream>,

    /// A host to which clients may address requests themselves, as `*.amazonaws.com`; may be repeated
    #[arg(long, value_name = "HOST", conflicts_with_all = ["config", "upstream"])]
    allow: Vec<HostPattern>,

    /// A name by which clients reach the proxy, as `metrics.local`: others that could be a web site's are
    /// refused; may be repeated
    #[arg(long = "host", value_name = "HOST", conflicts_with = "config")]
    hosts: Vec<HostPattern>,

    /// The host that is signed and sent, where it is not the one to connect to
    #[arg(long, value_name = "HOST", requires = "upstream")]
    sign_host: Option<Authority>,

    /// The signing name of the service, as in `s3` or `execute-api` [default: what the host says]
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    service: Option<String>,

    /// The region of the credential scope [default: what the host says, then AWS_REGION,
    /// AWS_DEFAULT_REGION, the profile, the instance's]
    #[arg(long, value_name = "REGION", conflicts_with = "config")]
    region: Option<String>,

    /// Take paths that begin so, which is taken off
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    path: Option<Prefix>,

    /// What the signature says of bodies
    #[arg(long, value_enum, default_value_t, conflicts_with = "config")]
    payload: Payload,

    /// Sign only what AWS insists on: `host`, `content-type`, `content-md5` and every `x-amz-*`
    #[arg(long, conflicts_with = "config")]
    minimal_headers: bool,

    /// A header of the client's that is left out; may be repeated
    #[arg(long, value_name = "HEADER", conflicts_with = "config")]
    strip: Vec<String>,

    /// A PEM file of certificates that are trusted beside those of the system
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// The profile in the shared credentials and config files [default: AWS_PROFILE, `default`]
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    profile: Option<String>,

    /// How much is logged
    #[arg(long, value_enum, default_value_t)]
    log: Log,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Payload {
    /// Each chunk is signed as it passes, for S3
    Chunks,
    /// Their hash: a body is read before the first byte is sent on
    #[default]
    Hash,
    /// Nothing: they pass as they come, for S3 over TLS
    Unsigned,
}

impl ProxyCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let check = self.check;
        let log = self.log;
        let config = self.into_config()?;
        let world = Arc::new(World::default());
        let proxy = Proxy::new(config, world.clone()).map_err(Failure::input)?;
        if check {
            anstream::println!("the settings can be used");
            return Ok(());
        }
        log.start();
        descriptors::raise_limit();
        let no_start = |error| Failure::network(format_args!("cannot start: {error}"));
        // Accepts connections, answers for health and renews credentials.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().map_err(no_start)?;
        let workers = Workers::start().map_err(no_start)?;
        runtime.block_on(serve(proxy, &world, &workers))
    }

    /// The settings of the file and of the options.
    fn into_config(self) -> Result<Config, Failure> {
        let mut config = match &self.config {
            Some(path) => {
                let text =
                    fs::read_to_string(path).map_err(|error| Failure::unreadable(path, &error))?;
                toml::from_str(&text).map_err(|error| {
                    let path = path.display();
                    Failure::input(format_args!("the settings in `{path}` cannot be read: {error}"))
                })?
            }
            None => {
                let mut config = Config::default();
                config.routes.push(self.route());
                config
            }
        };
        if !self.listen.is_empty() {
            config.listen = self.listen;
        }
        config.insecure_listen |= self.insecure_listen;
        config.admin = self.admin_listen.or(config.admin);
        config.ca_file = self.ca_file.or(config.ca_file);
        Ok(config)
    }

    fn route(&self) -> RouteConfig {
        let mut route = RouteConfig::to_allowed(self.allow.iter().cloned());
        route.upstream = self.upstream.clone();
        route.hosts = self.hosts.clone();
        route.sign_host = self.sign_host.clone();
        route.service = self.service.clone();
        route.region = self.region.clone();
        route.path = self.path.clone().unwrap_or_default();
        route.strip = self.strip.clone();
        route.profile = self.profile.clone();
        route.payload = match self.payload {
            Payload::Chunks => PayloadMode::Chunks,
            Payload::Hash => PayloadMode::Hash,
            Payload::Unsigned => PayloadMode::Unsigned,
        };
        if self.minimal_headers {
            route.signed_headers = SignedHeaders::Minimal;
        }
        route
    }
}

async fn serve(proxy: Proxy, world: &World, workers: &Workers) -> Result<(), Failure> {
    // Before anything is printed: whoever waits for that may send a signal at once.
    let mut signals = Signals::new()
        .map_err(|error| Failure::network(format_args!("cannot wait for signals: {error}")))?;
    let bound = proxy.bind().await.map_err(Failure::network)?;
    for address in bound.addresses() {
        anstream::println!("listening on http://{address}");
        if !address.ip().is_loopback() {
            anstream::eprintln!(
                "countersign: warning: {address} can be reached from other machines, and whoever \
                 reaches it is signed for"
            );
        }
    }
    if let Some(address) = bound.admin_address() {
        anstream::println!("health and metrics on http://{address}");
    }
    for cached in world.providers().values() {
        tokio::spawn(cached.refresher());
    }
    let bound = bound.with_workers(workers.handles());
    bound.serve(async move { signals.next().await }).await;
    Ok(())
}

/// An address and a port, or a port on loopback.
fn listening(text: &str) -> Result<SocketAddr, String> {
    let on_loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    text.parse()
        .or_else(|_| text.parse().map(on_loopback))
        .map_err(|_| "it is neither like 127.0.0.1:8080 or [::1]:8080 nor a port".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_on_loopback() {
        assert_eq!(listening("8080"), Ok("127.0.0.1:8080".parse().expect("an address")));
        assert_eq!(listening("[::]:1"), Ok("[::]:1".parse().expect("an address")));
        for text in ["", "localhost", "65536", "127.0.0.1"] {
            listening(text).expect_err(text);
        }
    }
}
