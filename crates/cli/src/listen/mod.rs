//! `countersign listen`: an endpoint that says of each request whether its signature holds.

mod address;
mod answer;
mod body;
mod check;
mod connection;
mod head;
mod history;
mod http1;
mod http2;
mod keys;
mod log;
mod page;
mod received;
mod record;
mod said;
mod server;
mod side_by_side;
mod terminal;
mod tls;

use std::path::PathBuf;

use clap::Args;
use countersign::{checksums, verify::Verifier};

use crate::failure::Failure;

use self::{address::Address, check::Endpoint};

/// Verify whatever a client sends, and answer with the verdict
///
/// Point any client at it: each request is verified against the known keys, answered in the form that
/// the client expects, and shown here: who signed, for which scope, which headers, and of a refusal
/// the first difference and its likely cause. Speaks HTTP/1 and HTTP/2, with --tls both over TLS.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign listen
  countersign listen 127.0.0.1:8000 --credentials-file keys.json \\
    --service s3 --json
  countersign listen --ui
  aws --endpoint-url http://127.0.0.1:9099 sts get-caller-identity")]
pub(crate) struct Listen {
    /// Where to listen: an address and a port, or a port on loopback; port 0 is a free one
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9099")]
    address: Address,

    /// A file with known credentials as a credential_process prints them, `-` for standard input; may
    /// be repeated [default: the credentials that would sign]
    #[arg(long, value_name = "FILE")]
    credentials_file: Vec<PathBuf>,

    /// The profile whose key is known [default: AWS_PROFILE, `default`]
    #[arg(long, value_name = "NAME", conflicts_with = "credentials_file")]
    profile: Option<String>,

    /// The region that the scope must name [default: any]
    #[arg(long, value_name = "NAME")]
    region: Option<String>,

    /// A signing name that the scope may hold; may be repeated [default: any]
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,

    /// Print one JSON object per line: first the addresses, then one for each request
    #[arg(long)]
    json: bool,

    /// Speak TLS, with the certificate chain and the private key in these PEM files
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Option<Vec<PathBuf>>,

    /// Show the requests on a page for the browser too, on a loopback port of its own
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    ui: Option<Address>,
}

impl Listen {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if let Some(page) = self.ui.filter(|page| !page.is_loopback()) {
            return Err(Failure::input(format_args!(
                "the page cannot be served on {page}: it is for this machine alone, as on 127.0.0.1:0"
            )));
        }
        let keys = keys::load(&self.credentials_file, self.profile.as_deref())?;
        let tls = match self.tls.as_deref() {
            Some([certificate, key]) => Some(tls::acceptor(certificate, key)?),
            _ => None,
        };
        let mut verifier =
            Verifier::new().with_sigv4a().with_debugging(true).with_checksums(checksums::by_name);
        if let Some(region) = self.region {
            verifier = verifier.with_region(region);
        }
        let alone = match &self.service[..] {
            [service] => Some(service.clone()),
            _ => None,
        };
        if !self.service.is_empty() {
            verifier = verifier.with_services(self.service);
        }
        let endpoint = Endpoint::new(verifier, keys, alone);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::network(format_args!("cannot start: {error}")))?;
        let ended = runtime.block_on(server::run(self.address, tls, endpoint, self.json, self.ui));
        // A diagnosis that is still being made is of no use to anybody.
        runtime.shutdown_background();
        ended
    }
}
