//! `countersign token`: passwords, bearer tokens and URLs that are signatures in disguise.

mod cache;
mod codecommit;
mod database;
mod eks;
mod options;
mod sts;
mod url;

use clap::{Args, Subcommand};
use countersign::{Life, tokens::Token};

use crate::{
    failure::Failure,
    presign::time_text,
    printed::{print, tell},
};

/// Print a token that is a signature in disguise: a password, a bearer token or a URL
///
/// Databases, caches, clusters, brokers and repositories take them to know who is asking. No token takes a
/// call to AWS. Each is a credential until it expires: give it to a program by its environment or standard
/// input rather than on its command line.
#[derive(Args)]
#[command(after_help = "\
Examples:
  PGPASSWORD=\"$(countersign token rds --user app \\
    db.abc.eu-west-1.rds.amazonaws.com:5432)\" \\
    psql \"host=db.abc.eu-west-1.rds.amazonaws.com user=app \\
    sslmode=verify-full sslrootcert=rds.pem\"
  countersign token eks my-cluster --region eu-west-1
  git config --global \\
    credential.https://git-codecommit.eu-west-1.amazonaws.com.helper \\
    '!countersign token codecommit'

Redshift takes no such token: see `countersign token redshift-serverless`.")]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    Rds(database::Rds),
    Dsql(database::Dsql),
    Elasticache(cache::ElastiCache),
    Memorydb(cache::MemoryDb),
    Eks(eks::Eks),
    Msk(url::Msk),
    Codecommit(codecommit::CodeCommit),
    Iot(url::Iot),
    Transcribe(url::Transcribe),
    Bedrock(url::Bedrock),
    Sts(sts::Sts),
    #[command(hide = true, alias = "redshift")]
    RedshiftServerless(database::Redshift),
}

impl TokenCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.kind {
            Kind::Rds(command) => command.run(),
            Kind::Dsql(command) => command.run(),
            Kind::Elasticache(command) => command.run(),
            Kind::Memorydb(command) => command.run(),
            Kind::Eks(command) => command.run(),
            Kind::Msk(command) => command.run(),
            Kind::Codecommit(command) => command.run(),
            Kind::Iot(command) => command.run(),
            Kind::Transcribe(command) => command.run(),
            Kind::Bedrock(command) => command.run(),
            Kind::Sts(command) => command.run(),
            Kind::RedshiftServerless(command) => command.run(),
        }
    }
}

/// Prints a token on a line of its own.
fn print_token(token: &Token) -> Result<(), Failure> {
    warn(token.life());
    print_line(token.as_str())
}

/// Prints a line without a copy of what it holds.
fn print_line(text: &str) -> Result<(), Failure> {
    print(text)?;
    print("\n")
}

/// Says so if the credentials end before the token.
fn warn(life: Life) {
    if let Some(at) = life.cut_short_at() {
        tell(format_args!(
            "note: the credentials expire at {}, and the token with them, before the {} that \
             it would hold until",
            time_text(at),
            time_text(life.expires_at()),
        ));
    }
}
