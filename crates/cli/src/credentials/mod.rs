//! `countersign credentials`: which provider has credentials, and why the others have none.

mod output;
mod source;
mod table;
mod watch;

use std::io;

use clap::{Args, ValueEnum};
use countersign::providers::AssumeRole;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

use self::source::Source;
use crate::{failure::Failure, presign::Expires, printed::print, warnings};

/// Show which provider has credentials, and why the others have none
///
/// Asks what every command that signs asks, and shows each provider: what it looked at, what it
/// answered, how long it took. Nothing of it is kept.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign credentials
  countersign credentials --profile work --output json
  eval \"$(countersign credentials --output env \\
    --role-arn arn:aws:iam::123456789012:role/audit)\"
  countersign credentials --watch

As a credential_process of other tools, in ~/.aws/config:
  [profile audit]
  credential_process = countersign credentials --profile work \\
      --output process --role-arn arn:aws:iam::123456789012:role/audit

Exit codes: 0 there are credentials, 2 bad input, 3 there are none, or what is configured is broken, 4 \
network.")]
pub(crate) struct CredentialsCommand {
    /// The form of what is printed; all but the table hold the secret
    #[arg(long, value_enum, default_value = "table")]
    output: Output,

    /// The profile in the shared credentials and config files [default: AWS_PROFILE, `default`]; keys in
    /// the environment then do not count
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Stay, and show the credentials each time they are replaced; a signal ends it
    #[arg(long, conflicts_with = "output")]
    watch: bool,

    /// Log to standard error what providers do; no secret is in it
    #[arg(long)]
    debug: bool,

    #[command(flatten)]
    role: RoleOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// `export` lines for a shell
    Env,
    /// One JSON object
    Json,
    /// The JSON that a credential_process prints
    Process,
    /// A row for each provider
    Table,
}

/// A role to assume with what the chain gives.
#[derive(Args)]
#[command(next_help_heading = "Role options")]
struct RoleOptions {
    /// Assume this role with the credentials found
    #[arg(long, value_name = "ARN", value_parser = role_arn)]
    role_arn: Option<String>,

    /// The word by which the role's owner knows who asks
    #[arg(long, value_name = "ID", requires = "role_arn")]
    external_id: Option<String>,

    /// The session's name [default: one with the time in it]
    #[arg(long, value_name = "NAME", requires = "role_arn")]
    role_session_name: Option<String>,

    /// How long they hold: seconds, or a number with s, m, h or d; from 15m to 12h [default: the
    /// service's, 1h]
    #[arg(long, value_name = "DURATION", requires = "role_arn", value_parser = of_session)]
    duration: Option<Expires>,

    /// The device whose code the role wants; it is asked for at the terminal
    #[arg(long, value_name = "SERIAL", requires = "role_arn")]
    mfa_serial: Option<String>,

    /// The region in which STS is asked [default: AWS_REGION, AWS_DEFAULT_REGION, the profile, the
    /// instance's]
    #[arg(long, value_name = "REGION", requires = "role_arn")]
    region: Option<String>,
}

impl CredentialsCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.debug {
            true => log_to_stderr(),
            false => warnings::show(),
        }
        let source = Source::new(self.profile, self.role.request(), self.role.region);
        if self.watch {
            return watch::run(source);
        }
        let rows = pollster::block_on(source.ask());
        let outcome = source.outcome(&rows);
        if let (Ok(found), true) = (&outcome, self.output != Output::Table) {
            found.note_expiry(source.ports().clock().now());
        }
        match (self.output, &outcome) {
            (Output::Table, _) => table::print(&rows, &outcome)?,
            (Output::Json, _) => print(&*output::json(&rows, outcome.as_ref().ok()))?,
            (Output::Env, Ok(found)) => print(&*output::env(found.credentials))?,
            (Output::Process, Ok(found)) => print(&*output::process(found.credentials))?,
            (Output::Env | Output::Process, Err(_)) => {}
        }
        outcome.map(drop)
    }
}

impl RoleOptions {
    fn request(&self) -> Option<AssumeRole> {
        let mut request = AssumeRole::new(self.role_arn.as_ref()?);
        if let Some(id) = &self.external_id {
            request = request.with_external_id(id);
        }
        if let Some(name) = &self.role_session_name {
            request = request.with_session_name(name);
        }
        if let Some(Expires(duration)) = self.duration {
            request = request.with_duration(duration);
        }
        if let Some(serial) = &self.mfa_serial {
            request = request.with_mfa_serial(serial);
        }
        Some(request)
    }
}

/// The name of a role. Other makers of STS have other names behind `arn:`.
fn role_arn(text: &str) -> Result<String, String> {
    match text.starts_with("arn:") {
        true => Ok(text.to_owned()),
        false => Err("it is not like arn:aws:iam::123456789012:role/NAME".to_owned()),
    }
}

/// How long STS lets a session last.
fn of_session(text: &str) -> Result<Expires, String> {
    let Expires(duration) = text.parse()?;
    match (15 * MINUTE..=12 * 60 * MINUTE).contains(&duration.as_secs()) {
        true => Ok(Expires(duration)),
        false => Err("it is not from 15m to 12h".to_owned()),
    }
}

const MINUTE: u64 = 60;

/// Of this program alone: what its dependencies log, others wrote.
fn log_to_stderr() {
    let filter = Targets::new().with_target("countersign", LevelFilter::DEBUG);
    let layer = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_timer(fmt::time::uptime())
        .with_filter(filter);
    registry().with(layer).init();
}
