//! `countersign proxy`: signs requests of clients that cannot, and forwards them.

mod ca;
mod keys;
mod log;
#[cfg(feature = "otel")]
mod otel;
mod summary;
mod workers;
mod world;

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
};

use clap::{Args, Subcommand, ValueEnum};
use countersign_proxy::{
    AuthConfig, Authority, Config, ConnectConfig, Handle, HostPattern, ListenAddress, LogLevel,
    Others, PayloadMode, Prefix, Proxy, RouteConfig, SignedHeaders, TlsConfig, Upstream,
};

use self::{
    ca::CaCommand,
    keys::KeysCommand,
    log::{Levels, Log, Logging},
    workers::Workers,
    world::World,
};
use crate::{
    descriptors,
    failure::Failure,
    printed::{print_line, print_styled, tell},
    signals::{Order, Orders, Signals},
};

/// Sign requests of clients that cannot, and forward them
///
/// Listens for HTTP/1.1 and HTTP/2, plain or over TLS, signs each request with the credentials that sign elsewhere in
/// this program, and sends it on: to one service, or to the host that the client names, if that is allowed.
/// Without credentials nothing is forwarded: clients get 503, with the reason. A request is logged as a line of
/// JSON on standard error. Told to stop (SIGTERM, SIGINT), it ends what is in flight first. SIGHUP has it read its
/// settings and their files again; settings that cannot be used leave the old ones. SIGUSR1 has it log more, SIGUSR2 less.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  countersign proxy --upstream https://monitoring.eu-central-1.amazonaws.com
  curl http://127.0.0.1:8080/ -d 'Action=ListMetrics&Version=2010-08-01'

  countersign proxy --allow '*.eu-central-1.amazonaws.com' \\
    --listen 8080 --admin-listen 9901
  curl --proxy http://127.0.0.1:8080 \\
    http://sqs.eu-central-1.amazonaws.com/ -d 'Action=ListQueues'

  countersign proxy --upstream http://127.0.0.1:9000 \\
    --service s3 --region us-east-1 --payload chunks
  countersign proxy --config proxy.toml --check

  countersign proxy ca ./ca
  countersign proxy --allow '*.amazonaws.com' \\
    --connect-ca ca/ca.pem --connect-ca-key ca/ca.key
  HTTPS_PROXY=http://127.0.0.1:8080 AWS_CA_BUNDLE=ca/ca.pem \\
    aws --no-sign-request s3 ls

  countersign proxy keys new --name sandbox --service s3 \\
    --file keys.toml > sandbox.env
  countersign proxy --upstream https://s3.eu-central-1.amazonaws.com \\
    --keys keys.toml --audit-log audit.jsonl

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
  profile = \"objects\""
)]
pub(crate) struct ProxyCommand {
    #[command(subcommand)]
    task: Option<Task>,

    /// A TOML file with all settings; options that are not of one route go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check the settings, and do not listen
    #[arg(long)]
    check: bool,

    /// Where to listen: an address and a port, a port on loopback, or unix:PATH; may be repeated [default:
    /// 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = listening)]
    listen: Vec<ListenAddress>,

    /// Allow addresses other than loopback where clients prove nothing: whoever reaches them is signed for
    #[arg(long)]
    insecure_listen: bool,

    /// A PEM file of the certificate for TLS towards clients, and those behind it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// A PEM file of the private key for it
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// A PEM file of authorities: clients must have a certificate of one of them
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// A file of the clients that are known: lines of `bearer TOKEN` or `basic USER:PASSWORD`
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,

    /// Requests that each client may send in a second [default: any number]
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,

    /// Requests that each client may send at once, if it sent none for a while [default: as many as in a second]
    #[arg(long, value_name = "NUMBER")]
    burst: Option<NonZeroU32>,

    /// Serve /healthz, /readyz and /metrics here
    #[arg(long, value_name = "ADDR", value_parser = address)]
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

    /// The certificate of the authority by which clients that send CONNECT get TLS from the proxy: `countersign
    /// proxy ca` makes one
    #[arg(long, value_name = "FILE", requires = "connect_ca_key")]
    connect_ca: Option<PathBuf>,

    /// The key of that authority
    #[arg(long, value_name = "FILE", requires = "connect_ca")]
    connect_ca_key: Option<PathBuf>,

    /// What becomes of a CONNECT to a host that no route allows
    #[arg(long, value_enum, requires = "connect_ca")]
    connect_others: Option<ConnectOthers>,

    /// The profile in the shared credentials and config files [default: AWS_PROFILE, `default`]
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    profile: Option<String>,

    /// Take only requests that are signed with one of the keys in this TOML file, and sign them anew: see
    /// `countersign proxy keys new`
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    keys: Option<PathBuf>,

    /// Write who asked for what, and whether it was let through, to this file as lines of JSON
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,

    /// How much is logged [default: info]
    #[arg(long, value_enum)]
    log: Option<Log>,
}

/// What belongs to the proxy beside running it.
#[derive(Subcommand)]
enum Task {
    Ca(CaCommand),
    /// Make keys for clients that sign what the proxy signs anew
    Keys(KeysCommand),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ConnectOthers {
    /// It is refused, as it is unless something else is said
    Refuse,
    /// It leads there, to port 443 of public addresses, and the proxy does not look into it
    Tunnel,
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
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        match self.task.take() {
            Some(Task::Ca(command)) => return command.run(),
            Some(Task::Keys(command)) => return command.run(),
            None => {}
        }
        let config = self.config()?;
        let logging = Logging::start(self.level(&config));
        let world = Arc::new(World::default());
        // A check leaves nothing behind, least of all a file of whoever checked.
        let is_new = |path: &PathBuf| self.check && !path.exists();
        let audit = config.audit.clone().filter(is_new);
        let proxy = Proxy::new(config.clone(), world.clone()).map_err(Failure::input)?;
        if self.check {
            if let Some(path) = &audit {
                fs::remove_file(path).map_err(|error| {
                    let path = path.display();
                    Failure::input(format_args!("`{path}` was made to try it, and stays: {error}"))
                })?;
            }
            for line in summary::lines(&config) {
                print_line(line)?;
            }
            return print_line("the settings can be used");
        }
        descriptors::raise_limit();
        let no_start = |error: io::Error| Failure::network(format_args!("cannot start: {error}"));
        // Accepts connections, answers for health and renews credentials.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().map_err(no_start)?;
        let workers = Workers::start().map_err(no_start)?;
        let levels = logging.levels();
        runtime.block_on(serve(Arc::new(self), config, proxy, world, levels, &workers))
    }

    fn level(&self, config: &Config) -> LogLevel {
        self.log.map(LogLevel::from).or(config.log).unwrap_or_default()
    }

    /// The settings of the file and of the options.
    fn config(&self) -> Result<Config, Failure> {
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
            config.listen = self.listen.clone();
        }
        config.insecure_listen |= self.insecure_listen;
        config.admin = self.admin_listen.or(config.admin);
        config.ca_file = self.ca_file.clone().or(config.ca_file);
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            // Who asks for certificates in the file still does.
            let client_ca = config.tls.take().and_then(|tls| tls.client_ca);
            let mut tls = TlsConfig::new(certificate, key);
            tls.client_ca = client_ca;
            config.tls = Some(tls);
        }
        if let Some(file) = &self.client_ca {
            let tls = config.tls.take().ok_or_else(|| {
                Failure::input("--client-ca wants TLS: give --tls-cert and --tls-key as well")
            })?;
            config.tls = Some(tls.with_client_ca(file));
        }
        config.auth = self.auth_file.as_ref().map(AuthConfig::new).or(config.auth);
        config.limits.rate = self.rate.or(config.limits.rate);
        config.limits.burst = self.burst.or(config.limits.burst);
        if let (Some(ca), Some(key)) = (&self.connect_ca, &self.connect_ca_key) {
            let mut connect = ConnectConfig::new(ca, key);
            connect.others = match (self.connect_others, &config.connect) {
                (Some(ConnectOthers::Refuse), _) | (None, None) => Others::Refuse,
                (Some(ConnectOthers::Tunnel), _) => Others::Tunnel,
                (None, Some(of_file)) => of_file.others,
            };
            config.connect = Some(connect);
        }
        config.audit = self.audit_log.clone().or(config.audit);
        Ok(config)
    }

    /// Gives the proxy the settings as they are now; the log has their level again.
    fn reload(&self, handle: &Handle, world: &World, levels: &Levels) -> Result<(), Failure> {
        let config = self.config()?;
        let level = self.level(&config);
        world.ask_again();
        // Before the first request under the new settings, which may say that it is not to be logged.
        let before = levels.now();
        levels.set(level);
        handle.reload(config).map_err(|error| {
            levels.set(before);
            Failure::input(error)
        })
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
        route.keys = self.keys.clone();
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

async fn serve(
    command: Arc<ProxyCommand>,
    config: Config,
    proxy: Proxy,
    world: Arc<World>,
    levels: Levels,
    workers: &Workers,
) -> Result<(), Failure> {
    // Before anything is printed: whoever waits for that may send a signal at once.
    let cannot_wait = |error| Failure::network(format_args!("cannot wait for signals: {error}"));
    let mut signals = Signals::new().map_err(cannot_wait)?;
    let orders = Orders::new().map_err(cannot_wait)?;
    let bound = proxy.bind().await.map_err(Failure::network)?;
    let of_files = config.listen.iter().filter(|it| matches!(it, ListenAddress::Unix(_)));
    let addresses = bound.addresses().into_iter().map(ListenAddress::from);
    for address in addresses.chain(of_files.cloned()) {
        announce(format_args!("listening on {}", summary::shown(&address, config.tls.is_some())))?;
        warn_if_open(&address, &config);
    }
    if let Some(address) = bound.admin_address() {
        announce(format_args!("health and metrics on http://{address}"))?;
    }
    for refresher in world.refreshers() {
        tokio::spawn(refresher);
    }
    tokio::spawn(obey(orders, command, bound.handle(), world, levels));
    let bound = bound.with_workers(workers.handles());
    bound.serve(async move { signals.next().await }).await;
    Ok(())
}

/// Says where the proxy listens. Whoever has read enough of that may go: the proxy serves others.
fn announce(line: fmt::Arguments<'_>) -> Result<(), Failure> {
    print_styled(&format!("{line}\n"))
}

/// Says who could be signed for that should not.
fn warn_if_open(address: &ListenAddress, config: &Config) {
    let has_authority = config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if address.is_local() || has_authority {
        return;
    }
    match (&config.auth, &config.tls) {
        (None, _) if config.insecure_listen => tell(format_args!(
            "warning: {address} can be reached from other machines, and whoever reaches it is \
             signed for"
        )),
        (Some(_), None) => {
            tell(format_args!("warning: clients send their secrets to {address} without TLS"));
        }
        _ => {}
    }
}

/// Does what signals say, for as long as the proxy serves.
async fn obey(
    mut orders: Orders,
    command: Arc<ProxyCommand>,
    handle: Handle,
    world: Arc<World>,
    levels: Levels,
) {
    loop {
        match orders.next().await {
            Order::More => levels.step(true),
            Order::Less => levels.step(false),
            Order::Reload => {
                let (command, handle, levels) = (command.clone(), handle.clone(), levels.clone());
                let of_reload = Arc::clone(&world);
                // It reads files, and may ask for a region.
                let reloading = tokio::task::spawn_blocking(move || {
                    command.reload(&handle, &of_reload, &levels)
                });
                match reloading.await {
                    Ok(Ok(())) => {
                        tracing::info!("the settings are read again");
                        world.refreshers().into_iter().for_each(|it| drop(tokio::spawn(it)));
                    }
                    Ok(Err(failure)) => {
                        tracing::error!("the old settings stay: {}", failure.message);
                    }
                    Err(error) => tracing::error!("the old settings stay: {error}"),
                }
            }
        }
    }
}

/// An address and a port, a port on loopback, or a Unix socket.
fn listening(text: &str) -> Result<ListenAddress, String> {
    if text.starts_with("unix:") {
        return text.parse().map_err(|error: countersign_proxy::ConfigError| error.to_string());
    }
    let address = address(text).map_err(|why| format!("{why}, and not like unix:PATH"))?;
    Ok(address.into())
}

/// An address and a port, or a port on loopback.
fn address(text: &str) -> Result<SocketAddr, String> {
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
        for (text, expected) in
            [("8080", "127.0.0.1:8080"), ("[::]:1", "[::]:1"), ("unix:a", "unix:a")]
        {
            assert_eq!(listening(text), Ok(expected.parse().expect("an address")));
        }
        for text in ["", "localhost", "65536", "127.0.0.1", "unix:"] {
            listening(text).expect_err(text);
        }
    }
}
