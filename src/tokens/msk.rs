//! Tokens of Managed Streaming for Apache Kafka.

use std::time::{Duration, SystemTime};

use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::{
    Token,
    request::{QUARTER, Request, check_field, host_in},
};
use crate::{Credentials, Error, canonical::query};

/// A bearer token with which a Kafka client connects to MSK: SASL/OAUTHBEARER over TLS, port 9098.
///
/// It is good for all clusters of the region; policies on `kafka-cluster:*` say for which.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::Msk};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let token = Msk::new("us-east-1").with_user_agent("billing/2.1").sign(&credentials, SystemTime::now())?;
/// // What librdkafka and the Java client want beside the token.
/// let milliseconds =
///     token.life().expires_at().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
/// # let _ = milliseconds;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Msk<'a> {
    region: &'a str,
    user_agent: &'a str,
    expires_in: Duration,
}

impl<'a> Msk<'a> {
    /// For the clusters of a region.
    pub fn new(region: &'a str) -> Msk<'a> {
        let user_agent = concat!("countersign/", env!("CARGO_PKG_VERSION"));
        Msk { region, user_agent, expires_in: QUARTER }
    }

    /// What the client calls itself in the logs of AWS: the only part of the token that is not signed.
    #[must_use]
    pub fn with_user_agent(self, user_agent: &'a str) -> Msk<'a> {
        Msk { user_agent, ..self }
    }

    /// A token that can be used for so long from its signing: 15 minutes at most.
    #[must_use]
    pub fn with_expires_in(self, duration: Duration) -> Msk<'a> {
        Msk { expires_in: duration, ..self }
    }

    /// Makes the token: base64url, without padding, of a presigned URL.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidScope`](crate::ErrorKind::InvalidScope) for a region that is none,
    /// [`ErrorKind::InvalidTokenField`](crate::ErrorKind::InvalidTokenField) for an empty user agent or one of
    /// more than 256 characters, [`ErrorKind::InvalidExpiry`](crate::ErrorKind::InvalidExpiry), or what is
    /// wrong with the credentials or the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        check_field("user agent", self.user_agent, LONGEST_USER_AGENT)?;
        let host = host_in("kafka", self.region)?;
        let mut agent = Vec::new();
        query::write_parameter("User-Agent", &[self.user_agent], &mut agent);
        let agent = format!("&{}", String::from_utf8_lossy(&agent));
        let query = [("Action", "kafka-cluster:Connect")];
        let request = Request::new("kafka-cluster", self.region, &host, &query);
        let url = Request { expires_in: self.expires_in, ..request }.sign(
            "https://",
            &agent,
            credentials,
            at,
        )?;
        Ok(url.encoded("", &BASE64_URL_SAFE_NO_PAD))
    }
}

const LONGEST_USER_AGENT: usize = 256;
