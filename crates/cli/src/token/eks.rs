//! `countersign token eks`: what kubectl wants of its credential plugins.

use std::env;

use clap::{Args, ValueEnum};
use countersign::tokens::{self, ExecVersion, exec_credential};
use serde::Deserialize;

use super::{
    options::{Signing, TokenOptions},
    print_line, print_token, warn,
};
use crate::failure::Failure;

/// Print a token for a Kubernetes cluster of EKS, as kubectl's plugins do
///
/// kubectl runs it as the `exec` of a user, and says in KUBERNETES_EXEC_INFO which version of the answer it
/// wants.
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubectl config set-credentials eks --exec-command=countersign \\
    --exec-api-version=client.authentication.k8s.io/v1 \\
    --exec-interactive-mode=Never --exec-arg=token --exec-arg=eks \\
    --exec-arg=my-cluster --exec-arg=--region --exec-arg=eu-west-1
  kubectl --user=eks get pods
  countersign token eks my-cluster --region eu-west-1 --output token")]
pub(crate) struct Eks {
    /// The name of the cluster; of a local one on Outposts, its id
    cluster: String,

    /// What is printed
    #[arg(long, value_name = "FORM", default_value = "exec-credential")]
    output: Output,

    /// The version of the answer [default: what KUBERNETES_EXEC_INFO says, then v1]
    #[arg(long, value_name = "VERSION")]
    api_version: Option<ApiVersion>,

    /// Another host of STS than the region's own
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    #[command(flatten)]
    signing: TokenOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The JSON that kubectl reads
    ExecCredential,
    /// The token alone
    Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ApiVersion {
    /// client.authentication.k8s.io/v1
    V1,
    /// client.authentication.k8s.io/v1beta1
    V1beta1,
}

impl Eks {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Signing { region, credentials, at } =
            self.signing.resolve("sts", self.host.as_deref())?;
        let eks = tokens::Eks::new(&self.cluster, &region);
        let eks = match &self.host {
            Some(host) => eks.with_host(host),
            None => eks,
        };
        let token = eks.sign(&credentials, at)?;
        if self.output == Output::Token {
            return print_token(&token);
        }
        let version = match self.api_version {
            Some(ApiVersion::V1) => ExecVersion::V1,
            Some(ApiVersion::V1beta1) => ExecVersion::V1Beta1,
            None => asked_version()?,
        };
        warn(token.life());
        print_line(&exec_credential(&token, version))
    }
}

/// The version that kubectl asks for.
fn asked_version() -> Result<ExecVersion, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Info {
        api_version: String,
    }
    let Some(info) = env::var("KUBERNETES_EXEC_INFO").ok().filter(|info| !info.is_empty()) else {
        return Ok(ExecVersion::default());
    };
    let info: Info = serde_json::from_str(&info).map_err(|_| {
        Failure::input(
            "KUBERNETES_EXEC_INFO is not the JSON of an ExecCredential: give --api-version",
        )
    })?;
    ExecVersion::from_api(&info.api_version).ok_or_else(|| {
        Failure::input(format_args!(
            "KUBERNETES_EXEC_INFO asks for `{}`, which this program does not know: let the kubeconfig ask \
             for client.authentication.k8s.io/v1",
            info.api_version.escape_debug()
        ))
    })
}
