//! `countersign token rds` and `dsql`: passwords of databases. `redshift-serverless` has none.

use std::str::FromStr;

use clap::Args;
use countersign::tokens;

use super::{
    options::{Signing, TokenOptions},
    print_token,
};
use crate::{failure::Failure, presign::Expires};

/// Print a password for RDS or Aurora: PostgreSQL, MySQL or MariaDB
///
/// It can be used to connect for 15 minutes. The database user must be one that authenticates by IAM, and
/// the connection one over TLS.
#[derive(Args)]
#[command(after_help = "\
Examples:
  PGPASSWORD=\"$(countersign token rds --user app \\
    db.abc.eu-west-1.rds.amazonaws.com:5432)\" \\
    psql \"host=db.abc.eu-west-1.rds.amazonaws.com user=app \\
    sslmode=verify-full sslrootcert=rds.pem\"
  MYSQL_PWD=\"$(countersign token rds --user app \\
    db.abc.eu-west-1.rds.amazonaws.com:3306)\" \\
    mysql -h db.abc.eu-west-1.rds.amazonaws.com -u app \\
    --enable-cleartext-plugin --ssl-mode=VERIFY_IDENTITY --ssl-ca=rds.pem

rds.pem stands for the certificates that AWS publishes for RDS.")]
pub(crate) struct Rds {
    /// The database's own endpoint, and its port
    #[arg(value_name = "HOST:PORT")]
    endpoint: Endpoint,

    /// The database user
    #[arg(long, value_name = "NAME")]
    user: String,

    #[command(flatten)]
    signing: TokenOptions,
}

impl Rds {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Endpoint { host, port } = &self.endpoint;
        let Signing { region, credentials, at } = self.signing.resolve("rds-db", Some(host))?;
        let rds = tokens::Rds::new(host, *port, &self.user, &region);
        print_token(&rds.sign(&credentials, at)?)
    }
}

/// Print a password for Aurora DSQL
///
/// The user `admin` wants another one than all others: --admin.
#[derive(Args)]
#[command(after_help = "\
Example:
  PGPASSWORD=\"$(countersign token dsql abc.dsql.us-east-1.on.aws --admin)\" \\
    psql \"host=abc.dsql.us-east-1.on.aws user=admin dbname=postgres \\
    sslmode=verify-full sslrootcert=system\"")]
pub(crate) struct Dsql {
    /// The cluster's endpoint
    host: String,

    /// For the user `admin`
    #[arg(long)]
    admin: bool,

    /// How long it can be used to connect: seconds, or a number with s, m, h or d; a week at most
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    expires: Expires,

    #[command(flatten)]
    signing: TokenOptions,
}

impl Dsql {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Signing { region, credentials, at } = self.signing.resolve("dsql", Some(&self.host))?;
        let dsql = match self.admin {
            true => tokens::Dsql::admin(&self.host, &region),
            false => tokens::Dsql::new(&self.host, &region),
        };
        print_token(&dsql.with_expires_in(self.expires.0).sign(&credentials, at)?)
    }
}

/// Say how one gets a password for Redshift, which takes no token
#[derive(Args)]
#[command(after_help = REDSHIFT)]
pub(crate) struct Redshift {
    /// Whatever one would give for a token
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<String>,
}

impl Redshift {
    pub(super) fn run(self) -> Result<(), Failure> {
        Err(Failure::input(
            "Redshift takes no signature for a password: AWS makes one for who asks, as `countersign \
             token redshift-serverless --help` shows",
        ))
    }
}

const REDSHIFT: &str = "\
AWS makes the passwords of its IAM users, and answers a signed request with one:
  countersign curl https://redshift-serverless.eu-west-1.amazonaws.com/ \\
    --service redshift-serverless \\
    -H 'content-type: application/x-amz-json-1.1' \\
    -H 'x-amz-target: RedshiftServerless.GetCredentials' \\
    -d '{\"workgroupName\": \"default\"}'
  countersign curl https://redshift.eu-west-1.amazonaws.com/ \\
    -d Action=GetClusterCredentialsWithIAM \\
    -d Version=2012-12-01 -d ClusterIdentifier=my-cluster";

/// A host and its port.
#[derive(Clone, Debug)]
struct Endpoint {
    host: String,
    port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoint, String> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = parts.ok_or("it is not like db.abc.eu-west-1.rds.amazonaws.com:5432")?;
        Ok(Endpoint { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        let endpoint: Endpoint = "db.example.com:5432".parse().expect("an endpoint");
        assert_eq!((&*endpoint.host, endpoint.port), ("db.example.com", 5432));
        for text in ["", "db", "db:", "db:x", "db:65536"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
