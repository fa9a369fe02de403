//! What all tokens are signed with.

use std::{path::PathBuf, time::SystemTime};

use clap::Args;
use countersign::{Credentials, Timestamp};

use crate::{
    failure::Failure,
    host::Target,
    options::{Ambient, Given, SigningOptions},
};

/// Who signs, where and when.
#[derive(Args)]
#[command(next_help_heading = "Signing options")]
pub(super) struct TokenOptions {
    /// The region [default: what the host says, if there is one, then AWS_REGION, AWS_DEFAULT_REGION, the
    /// profile]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// The profile in the shared credentials and config files [default: AWS_PROFILE, `default`]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// The moment of signing, as 20150830T123600Z or in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    time: Option<Timestamp>,

    /// A file with credentials as a credential_process prints them, `-` for standard input
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
}

/// All that a token needs beside its own fields.
pub(super) struct Signing {
    pub(super) region: String,
    pub(super) credentials: Credentials,
    pub(super) at: SystemTime,
}

impl TokenOptions {
    /// Finds out who signs and for which region, which `host` may say.
    pub(super) fn resolve(self, service: &str, host: Option<&str>) -> Result<Signing, Failure> {
        let options = self.into_signing(service);
        let ambient = Ambient::new(&options);
        let names = ambient.scope(Given::default(), || host.map(Target::parse))?;
        let region = ambient.signer(names, Vec::new()).region().to_owned();
        Ok(Signing { region, credentials: ambient.credentials()?, at: options.at() })
    }

    /// The same for a region that a host says of itself, unless the options do.
    pub(super) fn resolve_in(
        self,
        service: &str,
        region: Option<String>,
    ) -> Result<Signing, Failure> {
        TokenOptions { region: self.region.or(region), ..self }.resolve(service, None)
    }

    /// Whether the credentials come from standard input.
    pub(super) fn reads_stdin(&self) -> bool {
        self.credentials_file.as_deref().is_some_and(|path| path.as_os_str() == "-")
    }

    fn into_signing(self, service: &str) -> SigningOptions {
        SigningOptions {
            region: self.region,
            service: Some(service.to_owned()),
            profile: self.profile,
            time: self.time,
            credentials_file: self.credentials_file,
            ..SigningOptions::default()
        }
    }
}
