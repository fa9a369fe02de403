//! Passwords of caches: ElastiCache and MemoryDB.

use std::time::{Duration, SystemTime};

use super::{
    Token,
    request::{QUARTER, Request, check_field, check_host, invalid},
};
use crate::{Credentials, Error};

/// A password with which a user of ElastiCache for Valkey or Redis connects.
///
/// The user must be one that authenticates by IAM, whose id and name are the same. A connection is
/// closed after 12 hours unless it authenticates again, with a new password.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::ElastiCache};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let cache = ElastiCache::new("my-cache", "iam-user-01", "us-east-1").with_serverless(true);
/// let password = cache.sign(&credentials, SystemTime::now())?;
/// assert!(password.as_str().contains("&ResourceType=ServerlessCache&"));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ElastiCache<'a> {
    cache: Cache<'a>,
    is_serverless: bool,
}

/// A password with which a user of MemoryDB connects.
///
/// The user must be one that authenticates by IAM. A connection is closed after 12 hours unless it
/// authenticates again, with a new password.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::MemoryDb};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let password =
///     MemoryDb::new("my-cluster", "iam-user-01", "us-east-1").sign(&credentials, SystemTime::now())?;
/// assert!(password.as_str().starts_with("my-cluster/?Action=connect&User=iam-user-01&"));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MemoryDb<'a>(Cache<'a>);

/// What both have in common.
#[derive(Clone, Copy, Debug)]
struct Cache<'a> {
    name: &'a str,
    user: &'a str,
    region: &'a str,
    expires_in: Duration,
}

impl<'a> ElastiCache<'a> {
    /// For a user of the cache with this name: the id of the replication group, or the name of a
    /// [serverless](ElastiCache::with_serverless) cache, and not the endpoint.
    pub fn new(name: &'a str, user: &'a str, region: &'a str) -> ElastiCache<'a> {
        ElastiCache {
            cache: Cache { name, user, region, expires_in: QUARTER },
            is_serverless: false,
        }
    }

    /// Whether the cache is a serverless one.
    #[must_use]
    pub fn with_serverless(self, yes: bool) -> ElastiCache<'a> {
        ElastiCache { is_serverless: yes, ..self }
    }

    /// A password that can be used for so long from its signing: 15 minutes at most.
    #[must_use]
    pub fn with_expires_in(self, duration: Duration) -> ElastiCache<'a> {
        ElastiCache { cache: Cache { expires_in: duration, ..self.cache }, ..self }
    }

    /// Makes the password.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTokenField`](crate::ErrorKind::InvalidTokenField) for a name that is no cache's,
    /// as an endpoint or one in upper case, and a user that is empty or longer than 120 characters;
    /// [`ErrorKind::InvalidExpiry`](crate::ErrorKind::InvalidExpiry), or what is wrong with the credentials,
    /// the region or the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        let resource = self.is_serverless.then_some(("ResourceType", "ServerlessCache"));
        self.cache.sign("elasticache", resource, credentials, at)
    }
}

impl<'a> MemoryDb<'a> {
    /// For a user of the cluster with this name, which is not its endpoint.
    pub fn new(name: &'a str, user: &'a str, region: &'a str) -> MemoryDb<'a> {
        MemoryDb(Cache { name, user, region, expires_in: QUARTER })
    }

    /// A password that can be used for so long from its signing: 15 minutes at most.
    #[must_use]
    pub fn with_expires_in(self, duration: Duration) -> MemoryDb<'a> {
        MemoryDb(Cache { expires_in: duration, ..self.0 })
    }

    /// Makes the password.
    ///
    /// # Errors
    /// As [`ElastiCache::sign`].
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        self.0.sign("memorydb", None, credentials, at)
    }
}

impl Cache<'_> {
    fn sign(
        &self,
        service: &'static str,
        resource: Option<(&'static str, &'static str)>,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<Token, Error> {
        let name = self.name;
        check_field("name of the cache", name, LONGEST_NAME)?;
        if name.contains('.') {
            return Err(invalid(format!(
                "`{}` is an endpoint: the token names the cache by its own name, which has no dot",
                name.escape_debug()
            )));
        }
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(invalid(format!(
                "`{}` has upper-case letters: the service knows the cache in lower case",
                name.escape_debug()
            )));
        }
        check_host(name)?;
        check_field("user of the cache", self.user, LONGEST_USER)?;
        let mut query = vec![("Action", "connect"), ("User", self.user)];
        query.extend(resource);
        let request = Request::new(service, self.region, name, &query);
        Request { expires_in: self.expires_in, ..request }.sign("", "", credentials, at)
    }
}

const LONGEST_NAME: usize = 63;
const LONGEST_USER: usize = 120;
