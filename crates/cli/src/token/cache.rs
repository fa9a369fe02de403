//! `countersign token elasticache` and `memorydb`: passwords of caches.

use clap::Args;
use countersign::tokens;

use super::{
    options::{Signing, TokenOptions},
    print_token,
};
use crate::failure::Failure;

/// Print a password for ElastiCache: Valkey or Redis
///
/// It can be used to authenticate for 15 minutes. The user must be one that authenticates by IAM.
#[derive(Args)]
#[command(after_help = "\
Example:
  REDISCLI_AUTH=\"$(countersign token elasticache my-cache \\
    --user iam-user-01 --region eu-west-1)\" \\
    redis-cli --tls --user iam-user-01 \\
    -h master.my-cache.abc.euw1.cache.amazonaws.com")]
pub(crate) struct ElastiCache {
    /// The name of the cache, or the id of the replication group; not the endpoint
    name: String,

    /// The user
    #[arg(long, value_name = "NAME")]
    user: String,

    /// The cache is a serverless one
    #[arg(long)]
    serverless: bool,

    #[command(flatten)]
    signing: TokenOptions,
}

impl ElastiCache {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Signing { region, credentials, at } = self.signing.resolve("elasticache", None)?;
        let cache = tokens::ElastiCache::new(&self.name, &self.user, &region);
        print_token(&cache.with_serverless(self.serverless).sign(&credentials, at)?)
    }
}

/// Print a password for MemoryDB
///
/// It can be used to authenticate for 15 minutes. The user must be one that authenticates by IAM.
#[derive(Args)]
#[command(after_help = "\
Example:
  REDISCLI_AUTH=\"$(countersign token memorydb my-cluster \\
    --user iam-user-01 --region eu-west-1)\" \\
    redis-cli -c --tls --user iam-user-01 \\
    -h clustercfg.my-cluster.abc.memorydb.eu-west-1.amazonaws.com")]
pub(crate) struct MemoryDb {
    /// The name of the cluster; not the endpoint
    name: String,

    /// The user
    #[arg(long, value_name = "NAME")]
    user: String,

    #[command(flatten)]
    signing: TokenOptions,
}

impl MemoryDb {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Signing { region, credentials, at } = self.signing.resolve("memorydb", None)?;
        let cluster = tokens::MemoryDb::new(&self.name, &self.user, &region);
        print_token(&cluster.sign(&credentials, at)?)
    }
}
