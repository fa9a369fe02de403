//! Passwords of Aurora DSQL.

use std::time::{Duration, SystemTime};

use super::{
    Token,
    request::{QUARTER, Request, WEEK, check_host},
};
use crate::{Credentials, Error};

/// A password for a cluster of Aurora DSQL.
///
/// It names no user: what the IAM policy says of `dsql:DbConnect` and the cluster's own grants decide for
/// whom it is good. The user `admin` wants one of its own, of [`Dsql::admin`].
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::{Credentials, tokens::Dsql};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let password = Dsql::admin("abc.dsql.us-east-1.on.aws", "us-east-1")
///     .with_expires_in(Duration::from_secs(3600))
///     .sign(&credentials, SystemTime::now())?;
/// assert!(password.as_str().starts_with("abc.dsql.us-east-1.on.aws/?Action=DbConnectAdmin&"));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dsql<'a> {
    host: &'a str,
    action: &'static str,
    region: &'a str,
    expires_in: Duration,
}

impl<'a> Dsql<'a> {
    /// For any user but `admin` of the cluster with this endpoint.
    pub fn new(host: &'a str, region: &'a str) -> Dsql<'a> {
        Dsql { host, action: "DbConnect", region, expires_in: QUARTER }
    }

    /// For the user `admin`.
    pub fn admin(host: &'a str, region: &'a str) -> Dsql<'a> {
        Dsql { action: "DbConnectAdmin", ..Dsql::new(host, region) }
    }

    /// A password that can be used for so long from its signing: a week at most, 15 minutes if this is
    /// not called.
    #[must_use]
    pub fn with_expires_in(self, duration: Duration) -> Dsql<'a> {
        Dsql { expires_in: duration, ..self }
    }

    /// Makes the password.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`](crate::ErrorKind::InvalidUrl) for a host that is none,
    /// [`ErrorKind::InvalidExpiry`](crate::ErrorKind::InvalidExpiry), or what is wrong with the credentials,
    /// the region or the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        check_host(self.host)?;
        let query = [("Action", self.action)];
        let request = Request::new("dsql", self.region, self.host, &query);
        Request { expires_in: self.expires_in, longest: WEEK, ..request }.sign(
            "",
            "",
            credentials,
            at,
        )
    }
}
