//! Credentials from environment variables.

use std::time::SystemTime;

use super::{BoxFuture, Ports, ProvideCredentials, ProviderError, ProviderErrorKind};
use crate::{Credentials, Timestamp};

/// Credentials from environment variables.
///
/// | Variable | |
/// |---|---|
/// | `AWS_ACCESS_KEY_ID` | needed |
/// | `AWS_SECRET_ACCESS_KEY`, or the old `SECRET_ACCESS_KEY` | needed |
/// | `AWS_SESSION_TOKEN`, or the old `AWS_SECURITY_TOKEN` | of temporary credentials |
/// | `AWS_ACCOUNT_ID` | optional |
/// | `AWS_CREDENTIAL_EXPIRATION` | optional, RFC 3339 |
///
/// A blank variable counts as unset; nothing else is trimmed. One half of the key pair without the
/// other is an error that names the missing one. The variables are read anew each time.
///
/// ```
/// use std::collections::HashMap;
/// use countersign::providers::{EnvironmentProvider, Ports, ProvideCredentials};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let future = pin!(async {
/// let ports = Ports::empty().with_env(HashMap::from([
///     ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
///     ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
/// ]));
/// let credentials = EnvironmentProvider::new(&ports).provide().await?;
/// assert_eq!(credentials.unwrap().access_key_id(), "AKIDEXAMPLE");
/// # Ok(())
/// # });
/// # let mut context = Context::from_waker(Waker::noop());
/// # let Poll::Ready(done) = future.poll(&mut context) else { panic!() };
/// # done
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EnvironmentProvider {
    ports: Ports,
}

impl EnvironmentProvider {
    /// Reads the environment of these ports.
    pub fn new(ports: &Ports) -> EnvironmentProvider {
        EnvironmentProvider { ports: ports.clone() }
    }

    fn read(&self) -> Result<Option<Credentials>, ProviderError> {
        let text = |name| self.ports.text(NAME, name);
        let (id, secret) = match (text(ACCESS_KEY_ID)?, text(SECRET_ACCESS_KEY)?) {
            (Some(id), Some(secret)) => (id, secret),
            // The old name is too general to mean anything by itself.
            (Some(id), None) => match text("SECRET_ACCESS_KEY")? {
                Some(secret) => (id, secret),
                None => return Err(partial(SECRET_ACCESS_KEY)),
            },
            (None, Some(_)) => return Err(partial(ACCESS_KEY_ID)),
            (None, None) => return Ok(None),
        };
        let mut credentials = Credentials::new(id, secret);
        let token = match text("AWS_SESSION_TOKEN")? {
            Some(token) => Some(token),
            None => text("AWS_SECURITY_TOKEN")?,
        };
        if let Some(token) = token {
            credentials = credentials.with_session_token(token);
        }
        if let Some(account_id) = text("AWS_ACCOUNT_ID")? {
            credentials = credentials.with_account_id(account_id);
        }
        if let Some(at) = text(EXPIRATION)? {
            let at: Timestamp = at.parse().map_err(|error: crate::Error| {
                invalid(format!("{EXPIRATION} is no time")).with_source(error)
            })?;
            credentials = credentials.with_expires_at(SystemTime::from(at));
        }
        Ok(Some(credentials))
    }
}

impl ProvideCredentials for EnvironmentProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async { self.read() })
    }

    fn name(&self) -> &str {
        NAME
    }

    fn looks_at(&self) -> String {
        format!("{ACCESS_KEY_ID}, {SECRET_ACCESS_KEY}")
    }

    fn absence(&self) -> String {
        format!("neither {ACCESS_KEY_ID} nor {SECRET_ACCESS_KEY} is set")
    }
}

fn partial(missing: &str) -> ProviderError {
    invalid(format!("Partial credentials found in env, missing: {missing}"))
}

fn invalid(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
}

pub(super) const NAME: &str = "environment";
pub(super) const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const EXPIRATION: &str = "AWS_CREDENTIAL_EXPIRATION";
