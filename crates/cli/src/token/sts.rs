//! `countersign token sts`: proofs of identity.

use std::{collections::BTreeMap, str::FromStr};

use clap::{Args, ValueEnum};
use countersign::tokens::CallerIdentity;
use serde::Serialize;

use super::{
    options::{Signing, TokenOptions},
    print_token, warn,
};
use crate::{
    failure::Failure,
    presign::Expires,
    printed::{print, wiped_json},
};

/// Print a proof of who you are: a signed request for STS GetCallerIdentity, for somebody else to send
///
/// Whoever sends it learns whose it is, so it should name whom it is for, in a header that is signed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  curl \"$(countersign token sts --region eu-west-1)\"
  countersign token sts --output vault --role dev --host sts.amazonaws.com \\
    -H 'X-Vault-AWS-IAM-Server-ID: vault.example.com' |
    vault write auth/aws/login -
  countersign token sts --output json -H 'x-for: build.example.com'")]
pub(crate) struct Sts {
    /// What is printed
    #[arg(long, value_name = "FORM", default_value = "url")]
    output: Output,

    /// A header that is signed, and that whoever sends the request sends along; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<Header>,

    /// Another host of STS than the region's own; Vault asks sts.amazonaws.com unless it is told otherwise
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// The role to log in as at Vault
    #[arg(long, value_name = "NAME")]
    role: Option<String>,

    /// How long a URL can be used: seconds, or a number with s or m; 15 minutes at most, and unless it is
    /// given
    #[arg(long, value_name = "DURATION")]
    expires: Option<Expires>,

    #[command(flatten)]
    signing: TokenOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A POST as one object: `method`, `url`, `headers` and `body`
    Json,
    /// A URL to be fetched by GET
    Url,
    /// What `vault write auth/aws/login -` reads
    Vault,
}

impl Sts {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.role.is_some() && self.output != Output::Vault {
            return Err(Failure::input("--role is a role of Vault's: give --output vault with it"));
        }
        if self.expires.is_some() && self.output != Output::Url {
            return Err(Failure::input(
                "--expires is about a URL: the signed POST can be used for 15 minutes",
            ));
        }
        let Signing { region, credentials, at } =
            self.signing.resolve("sts", self.host.as_deref())?;
        let identity = CallerIdentity::new(&region);
        let identity = match self.expires {
            Some(Expires(expires)) => identity.with_expires_in(expires),
            None => identity,
        };
        let identity = match &self.host {
            Some(host) => identity.with_host(host),
            None => identity,
        };
        let identity = self
            .headers
            .iter()
            .fold(identity, |identity, header| identity.with_header(&header.name, &header.value));
        if self.output == Output::Url {
            return print_token(&identity.sign_url(&credentials, at)?);
        }
        let request = identity.sign(&credentials, at)?;
        warn(request.life());
        match self.output {
            Output::Vault => {
                let login = request.vault_login();
                let role = self.role.as_deref().map(|role| ("role", role));
                print(&*wiped_json(
                    &role.into_iter().chain(login.fields()).collect::<BTreeMap<_, _>>(),
                ))
            }
            Output::Json | Output::Url => print(&*wiped_json(&Whole {
                body: request.body(),
                headers: request.headers().collect(),
                method: "POST",
                url: request.url(),
            })),
        }
    }
}

/// A POST, as whoever sends it needs it.
#[derive(Serialize)]
struct Whole<'r> {
    body: &'r str,
    headers: BTreeMap<&'r str, &'r str>,
    method: &'static str,
    url: &'r str,
}

/// A header as curl's `-H` takes it.
#[derive(Clone, Debug)]
struct Header {
    name: String,
    value: String,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Header, String> {
        let (name, value) = text.split_once(':').ok_or("it is not like `Name: value`")?;
        Ok(Header { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}
