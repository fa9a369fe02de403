//! URLs of MQTT over WebSocket at AWS IoT.

use std::time::{Duration, SystemTime};

use super::{
    Token,
    request::{QUARTER, Request, WEEK, check_host},
};
use crate::{Credentials, Error};

/// A URL at which an MQTT client connects to AWS IoT over WebSocket, with no certificate of its own.
///
/// The session token is no part of what is signed: it is added behind the signature.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::Iot};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let url = Iot::new("abcdef-ats.iot.us-east-1.amazonaws.com", "us-east-1")
///     .sign(&credentials, SystemTime::now())?;
/// assert!(url.as_str().starts_with("wss://abcdef-ats.iot.us-east-1.amazonaws.com/mqtt?X-Amz-"));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Iot<'a> {
    host: &'a str,
    region: &'a str,
    expires_in: Duration,
}

impl<'a> Iot<'a> {
    /// For the data endpoint of an account: `…-ats.iot.REGION.amazonaws.com`.
    pub fn new(host: &'a str, region: &'a str) -> Iot<'a> {
        Iot { host, region, expires_in: QUARTER }
    }

    /// A URL that can be used for so long from its signing: a week at most, 15 minutes if this is not
    /// called.
    #[must_use]
    pub fn with_expires_in(self, duration: Duration) -> Iot<'a> {
        Iot { expires_in: duration, ..self }
    }

    /// Makes the URL.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`](crate::ErrorKind::InvalidUrl) for a host that is none,
    /// [`ErrorKind::InvalidExpiry`](crate::ErrorKind::InvalidExpiry), or what is wrong with the credentials,
    /// the region or the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        check_host(self.host)?;
        // Its rules add the session token behind the signature.
        let request = Request::new("iotdevicegateway", self.region, self.host, &[]);
        Request { path: "/mqtt", expires_in: self.expires_in, longest: WEEK, ..request }.sign(
            "wss://",
            "",
            credentials,
            at,
        )
    }
}
