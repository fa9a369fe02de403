//! The answer to MongoDB's challenge.

use std::{fmt, time::SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::{CallerIdentity, request::invalid};
use crate::{Credentials, Error};

/// The second step of the SASL mechanism `MONGODB-AWS`: a proof of identity for the one server whose nonce is
/// signed in it.
///
/// In the first step the client sends its own nonce of 32 bytes (`r`) and the flag `n` (`p`, 110). The server
/// answers with a nonce of 64 bytes (`s`), which begins with the client's, and the host of STS that it will
/// ask (`h`). BSON is the client's business.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::MongoDb};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// # let client_nonce = [7; 32];
/// # let (server_nonce, host) = ([7; 64], "sts.eu-west-1.amazonaws.com");
/// let answer = MongoDb::new(host, &client_nonce, &server_nonce).sign(&credentials, SystemTime::now())?;
/// for (name, value) in answer.fields() {
///     // { a: authorization, d: date, t: session token }
/// #   assert!(["a", "d"].contains(&name) && !value.is_empty());
/// }
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct MongoDb<'a> {
    host: &'a str,
    client_nonce: &'a [u8; 32],
    server_nonce: &'a [u8],
}

impl<'a> MongoDb<'a> {
    /// For the server that asked for this host of STS, and whose nonce this is, as it came.
    pub fn new(host: &'a str, client_nonce: &'a [u8; 32], server_nonce: &'a [u8]) -> MongoDb<'a> {
        MongoDb { host, client_nonce, server_nonce }
    }

    /// Makes the answer.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTokenField`](crate::ErrorKind::InvalidTokenField) for a server's nonce that does not
    /// have 64 bytes or does not begin with the client's,
    /// [`ErrorKind::InvalidUrl`](crate::ErrorKind::InvalidUrl) for a host that is none, or what is wrong with
    /// the credentials or the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<MongoAnswer, Error> {
        if self.server_nonce.len() != 64 || !self.server_nonce.starts_with(self.client_nonce) {
            return Err(invalid(format!(
                "the server's nonce has {} bytes: it must have 64, and begin with the client's",
                self.server_nonce.len()
            )));
        }
        // The rule of all its drivers.
        let labels: Vec<&str> = self.host.split('.').collect();
        let region = match labels[..] {
            [_] => "us-east-1",
            _ if self.host == "sts.amazonaws.com" => "us-east-1",
            [_, region, ..] => region,
            [] => "",
        };
        if labels.contains(&"") {
            return Err(invalid(format!(
                "the host `{}` that the server names has an empty part",
                self.host.escape_debug()
            )));
        }
        let nonce = BASE64_STANDARD.encode(self.server_nonce);
        let request = CallerIdentity::new(region)
            .with_host(self.host)
            .with_header("x-mongodb-gs2-cb-flag", "n")
            .with_header("x-mongodb-server-nonce", &nonce)
            .sign(credentials, at)?;
        let value = |wanted: &str| {
            let found = request.headers().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| Zeroizing::new(value.to_owned()))
        };
        Ok(MongoAnswer {
            authorization: value("authorization").expect("what is signed has this header"),
            date: value("x-amz-date").expect("what is signed in its headers has this one"),
            session_token: value("x-amz-security-token"),
        })
    }
}

impl fmt::Debug for MongoDb<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoDb").field("host", &self.host).finish_non_exhaustive()
    }
}

/// What the client answers: a secret, of which `Debug` shows nothing.
///
/// Made by [`MongoDb::sign`].
#[derive(Clone)]
pub struct MongoAnswer {
    authorization: Zeroizing<String>,
    date: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

impl MongoAnswer {
    /// The fields of the document, by their names: `a` is the Authorization header, `d` its date, and `t`
    /// the session token, if there is one.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let token = self.session_token.as_ref().map(|token| ("t", token.as_str()));
        [("a", self.authorization.as_str()), ("d", self.date.as_str())].into_iter().chain(token)
    }
}

impl fmt::Debug for MongoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MongoAnswer(<redacted>)")
    }
}
