//! `countersign token sts`: proofs of identity.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use countersign::tokens::{CallerIdentity, IdentityRequest};
use serde_json::{Map, Value, json};

use super::{
    options::{Signing, TokenOptions},
    print_line, print_token, warn,
};
use crate::{failure::Failure, presign::Expires};

/// Print a proof of who you are: a signed request for STS GetCallerIdentity, for somebody else to send
///
/// Whoever sends it learns whose it is, so it should name whom it is for, in a header that is signed.
#[derive(Args)]
#[command(after_help = "\
Examples:
  curl \"$(countersign token sts --region eu-west-1)\"
  countersign token sts --output vault --role dev --host sts.amazonaws.com \\
    -H 'X-Vault-AWS-IAM-Server-ID: vault.example.com' | vault write auth/aws/login -
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

    /// How long a URL can be used: seconds, or a number with s or m; 15 minutes at most
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    expires: Expires,

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
        let Signing { region, credentials, at } =
            self.signing.resolve("sts", self.host.as_deref())?;
        let identity = CallerIdentity::new(&region).with_expires_in(self.expires.0);
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
        let value = match self.output {
            Output::Vault => vault(&request, self.role),
            Output::Json | Output::Url => whole(&request),
        };
        print_line(&format!("{value:#}"))
    }
}

fn vault(request: &IdentityRequest, role: Option<String>) -> Value {
    let login = request.vault_login();
    let role = role.map(|role| ("role", role));
    let fields = login.fields().map(|(name, value)| (name, value.to_owned()));
    let fields = role.into_iter().chain(fields);
    fields.map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
}

fn whole(request: &IdentityRequest) -> Value {
    let headers = request.headers().map(|(name, value)| (name.to_owned(), Value::from(value)));
    json!({
        "method": "POST",
        "url": request.url(),
        "headers": headers.collect::<Map<_, _>>(),
        "body": request.body(),
    })
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
