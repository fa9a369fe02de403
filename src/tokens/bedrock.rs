//! Short-term API keys of Bedrock.

use std::time::{Duration, SystemTime};

use base64::prelude::BASE64_STANDARD;

use super::{Token, request::Request};
use crate::{Credentials, Error};

/// A short-term API key of Bedrock: the bearer token for `AWS_BEARER_TOKEN_BEDROCK`, or for the API key of a
/// client that speaks OpenAI's dialect.
///
/// It can do what whoever signed it can, as far as policies on `bedrock:CallWithBearerToken` let it, in its
/// region alone.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::{Credentials, tokens::Bedrock};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let key = Bedrock::new("us-west-2")
///     .with_expires_in(Duration::from_secs(3600))
///     .sign(&credentials, SystemTime::now())?;
/// assert!(key.as_str().starts_with("bedrock-api-key-"));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Bedrock<'a> {
    region: &'a str,
    expires_in: Duration,
}

impl<'a> Bedrock<'a> {
    /// For the models of a region.
    pub fn new(region: &'a str) -> Bedrock<'a> {
        Bedrock { region, expires_in: LONGEST }
    }

    /// A key that can be used for so long from its signing: 12 hours at most, and if this is not called.
    #[must_use]
    pub fn with_expires_in(self, duration: Duration) -> Bedrock<'a> {
        Bedrock { expires_in: duration, ..self }
    }

    /// Makes the key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidExpiry`](crate::ErrorKind::InvalidExpiry), or what is wrong with the credentials,
    /// the region or the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        // One host for all regions: the scope says which is meant.
        let query = [("Action", "CallWithBearerToken")];
        let request = Request::new("bedrock", self.region, "bedrock.amazonaws.com", &query);
        let url =
            Request { method: b"POST", expires_in: self.expires_in, longest: LONGEST, ..request }
                .sign("", "&Version=1", credentials, at)?;
        Ok(url.encoded("bedrock-api-key-", &BASE64_STANDARD))
    }
}

const LONGEST: Duration = Duration::from_secs(12 * 3600);
