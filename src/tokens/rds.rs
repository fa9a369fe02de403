//! Passwords of RDS and Aurora.

use std::time::{Duration, SystemTime};

use super::{
    Token,
    request::{QUARTER, Request, check_field, check_host, invalid},
};
use crate::{Credentials, Error};

/// A password with which a database user of RDS or Aurora connects: PostgreSQL, MySQL or MariaDB.
///
/// The user must be one that authenticates by IAM, and the connection one over TLS. MySQL sends the
/// password in clear text inside it, for which its clients want `--enable-cleartext-plugin`.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::Rds};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let rds = Rds::new("db.abc.eu-central-1.rds.amazonaws.com", 5432, "app", "eu-central-1");
/// let password = rds.sign(&credentials, SystemTime::now())?;
/// // PGPASSWORD, or the password of any driver.
/// # let _ = password;
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rds<'a> {
    host: &'a str,
    port: u16,
    user: &'a str,
    region: &'a str,
    expires_in: Duration,
}

impl<'a> Rds<'a> {
    /// For a user of the database at this endpoint: the host's own name, no alias of it and no address,
    /// since the database knows itself by that alone.
    pub fn new(host: &'a str, port: u16, user: &'a str, region: &'a str) -> Rds<'a> {
        Rds { host, port, user, region, expires_in: QUARTER }
    }

    /// A password that can be used for so long from its signing: 15 minutes at most.
    #[must_use]
    pub fn with_expires_in(self, duration: Duration) -> Rds<'a> {
        Rds { expires_in: duration, ..self }
    }

    /// Makes the password.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`](crate::ErrorKind::InvalidUrl) for a host that is none,
    /// [`ErrorKind::InvalidTokenField`](crate::ErrorKind::InvalidTokenField) for port 0 and a user that is
    /// empty or longer than 63 characters, [`ErrorKind::InvalidExpiry`](crate::ErrorKind::InvalidExpiry), or
    /// what is wrong with the credentials, the region or the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        check_host(self.host)?;
        check_field("database user", self.user, LONGEST_USER)?;
        if self.port == 0 {
            return Err(invalid("port 0 is no database's".to_owned()));
        }
        let authority = format!("{}:{}", self.host, self.port);
        let query = [("Action", "connect"), ("DBUser", self.user)];
        let request = Request::new("rds-db", self.region, &authority, &query);
        Request { expires_in: self.expires_in, ..request }.sign("", "", credentials, at)
    }
}

/// In PostgreSQL, whose users have the longest names.
const LONGEST_USER: usize = 63;
