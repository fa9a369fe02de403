//! `countersign token codecommit`: a credential helper of git's.

use std::{io::Read, time::SystemTime};

use clap::Args;
use countersign::{endpoint::Endpoint, tokens};
use zeroize::Zeroizing;

use super::{
    options::{Signing, TokenOptions},
    warn,
};
use crate::{failure::Failure, printed::print, sign::STDIN_TWICE};

/// Answer git as a credential helper does, for repositories of CodeCommit
///
/// git runs it with `get`, and says on standard input which repository it means; `store`, `erase` and
/// whatever else git may come to say is ignored. Hosts that are not CodeCommit's get no answer.
#[derive(Args)]
#[command(after_help = "\
Examples:
  git config --global \\
    credential.https://git-codecommit.eu-west-1.amazonaws.com.helper \\
    '!countersign token codecommit'
  git config --global \\
    credential.https://git-codecommit.eu-west-1.amazonaws.com.useHttpPath true
  git clone https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/app")]
pub(crate) struct CodeCommit {
    /// What git wants: get, store or erase
    #[arg(value_name = "OPERATION")]
    operation: String,

    /// A host that is CodeCommit's by another name, with the port if there is one, or a loopback one; give
    /// --region with it
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    #[command(flatten)]
    signing: TokenOptions,
}

impl CodeCommit {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.operation != "get" {
            return Ok(());
        }
        if self.signing.reads_stdin() {
            return Err(Failure::input(STDIN_TWICE));
        }
        let asked = Asked::read()?;
        let is_named = self.host.as_deref() == Some(&*asked.host);
        let region = region_of(&asked.host);
        if !is_named && region.is_none() {
            return Ok(());
        }
        let is_loopback = |host: &str| {
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            matches!(host, "localhost" | "127.0.0.1")
        };
        if asked.protocol != "https" && !(is_named && is_loopback(&asked.host)) {
            return Err(Failure::input(format_args!(
                "git asks for `{}` over `{}`: the password is sent over https alone",
                asked.host.escape_debug(),
                asked.protocol.escape_debug()
            )));
        }
        let Signing { region, credentials, at } = self.signing.resolve_in("codecommit", region)?;
        let git =
            tokens::CodeCommit::new(&asked.host, &asked.path, &region).sign(&credentials, at)?;
        warn(git.life());
        let until = git.life().cut_short_at().unwrap_or(git.life().expires_at());
        let until = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let text = Zeroizing::new(format!(
            "username={}\npassword={}\npassword_expiry_utc={}\n",
            git.user(),
            git.password(),
            until.as_secs()
        ));
        print(text.as_bytes())
    }
}

/// What git asks a password for.
#[derive(Default)]
struct Asked {
    protocol: String,
    host: String,
    path: String,
}

impl Asked {
    /// Reads lines of `key=value` from standard input, up to an empty one or the end.
    fn read() -> Result<Asked, Failure> {
        // Other helpers' passwords may come with it.
        let mut text = Zeroizing::new(String::with_capacity(MOST));
        let read = std::io::stdin().lock().take(MOST as u64).read_to_string(&mut text);
        read.map_err(|error| {
            Failure::input(format_args!("cannot read what git asks for: {error}"))
        })?;
        let mut asked = Asked::default();
        for line in text.lines().take_while(|line| !line.is_empty()) {
            match line.split_once('=') {
                Some(("protocol", value)) => asked.protocol = value.to_owned(),
                Some(("host", value)) => asked.host = value.to_owned(),
                Some(("path", value)) => asked.path = value.to_owned(),
                _ => {}
            }
        }
        Ok(asked)
    }
}

/// The region of a host, if that is CodeCommit's own: no other gets a password.
fn region_of(host: &str) -> Option<String> {
    let host = host.strip_suffix(":443").unwrap_or(host);
    let endpoint = Endpoint::of(host, "/").ok()?;
    let region = endpoint.region();
    // A VPC interface endpoint has its own name in front.
    let own = match host.split_once('.') {
        Some((name, rest)) if name.starts_with("vpce-") => rest,
        _ => host,
    };
    let domain = ["git-codecommit", "git-codecommit-fips"]
        .iter()
        .find_map(|name| own.strip_prefix(&format!("{name}.{region}.")))?;
    let domain = domain.strip_prefix("vpce.").unwrap_or(domain);
    DOMAINS.contains(&domain).then(|| region.to_owned())
}

/// Domains in which nobody but AWS has names.
const DOMAINS: [&str; 2] = ["amazonaws.com", "amazonaws.com.cn"];

/// More than git says, and less than would be a burden.
const MOST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecommits_hosts_say_their_region() {
        for (host, region) in [
            ("git-codecommit.us-east-1.amazonaws.com", "us-east-1"),
            ("git-codecommit.us-east-1.amazonaws.com:443", "us-east-1"),
            ("git-codecommit-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("git-codecommit.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("vpce-0a-1b.git-codecommit.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ] {
            assert_eq!(region_of(host).as_deref(), Some(region), "{host}");
        }
    }

    #[test]
    fn no_other_host_gets_a_password() {
        for host in [
            "",
            "github.com",
            "localhost",
            "git-codecommit.us-east-1.amazonaws.com.evil.example",
            "git-codecommit.us-east-1.evil.example",
            "git-codecommit.s3.us-east-1.amazonaws.com",
            "git-codecommit.us-east-1.s3.amazonaws.com",
            "git-codecommit.us-east-1.on.aws",
            "git-codecommit.us-east-1.elb.amazonaws.com",
            "evil.git-codecommit.us-east-1.amazonaws.com",
            "git-codecommit.us-east-1.amazonaws.com:80",
            "codecommit.us-east-1.amazonaws.com",
        ] {
            assert_eq!(region_of(host), None, "{host}");
        }
    }
}
