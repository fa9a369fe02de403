//! Credentials that another program prints.

use std::{fmt, io, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::{
    BoxFuture, CommandLimits, Ports, ProvideCredentials, ProviderError, ProviderErrorKind,
    document::{Document, Problem, shown},
};
use crate::{Credentials, Error, ErrorKind};

/// Credentials that a command prints: `credential_process` of a profile.
///
/// The command line goes to the platform's shell. What it prints is read as
/// [`Credentials::from_process_json`] does. It may take a minute, or [as long as you
/// say](ProcessProvider::with_time_limit), and then its shell is killed.
///
/// Neither the command line, which may hold a secret, nor what the command prints is ever shown; of a
/// command that fails, the beginning of its standard error is.
///
/// ```
/// use countersign::providers::{CommandOutput, Ports, ProcessProvider, ProvideCredentials};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let future = pin!(async {
/// let vault = |_: &str| Ok(CommandOutput::success(
///     r#"{"Version": 1, "AccessKeyId": "AKIDVAULT", "SecretAccessKey": "secret"}"#,
/// ));
/// let ports = Ports::empty().with_commands(vault);
/// let credentials = ProcessProvider::new(&ports, "vault print aws").provide().await?;
/// assert_eq!(credentials.unwrap().access_key_id(), "AKIDVAULT");
/// # Ok(())
/// # });
/// # let mut context = Context::from_waker(Waker::noop());
/// # let Poll::Ready(done) = future.poll(&mut context) else { panic!() };
/// # done
/// # }
/// ```
#[derive(Clone)]
pub struct ProcessProvider {
    ports: Ports,
    line: Arc<Zeroizing<String>>,
    limit: Duration,
    account_id: Option<String>,
}

impl ProcessProvider {
    /// What this command line prints.
    pub fn new(ports: &Ports, command_line: impl Into<String>) -> ProcessProvider {
        let line = Arc::new(Zeroizing::new(command_line.into()));
        ProcessProvider { ports: ports.clone(), line, limit: LIMIT, account_id: None }
    }

    /// The same provider with this much time for the command.
    #[must_use]
    pub fn with_time_limit(self, limit: Duration) -> ProcessProvider {
        ProcessProvider { limit, ..self }
    }

    /// The same provider with the account of credentials that name none: `aws_account_id` of the profile.
    #[must_use]
    pub fn with_account_id(self, account_id: impl Into<String>) -> ProcessProvider {
        ProcessProvider { account_id: Some(account_id.into()), ..self }
    }

    async fn ask(&self) -> Result<Credentials, ProviderError> {
        let limits = CommandLimits::new(self.limit);
        let output = self.ports.commands().run(&self.line, limits).await.map_err(|error| {
            let problem = match error.kind() {
                io::ErrorKind::TimedOut => format!("it did not end within {:?}", self.limit),
                io::ErrorKind::FileTooLarge => {
                    format!("it printed over {} bytes", limits.max_output)
                }
                _ => "it cannot be run".to_owned(),
            };
            let message = format!("Error retrieving credentials from external process: {problem}");
            failed(message).with_source(error)
        })?;
        if let Some(status) = output.failure() {
            let said = shown(output.stderr(), 512);
            return Err(failed(format!(
                "Error retrieving credentials: external process exited with code {status}. Stderr: {said}"
            )));
        }
        let credentials = read(output.stdout()).map_err(Wrong::into_provider_error)?;
        Ok(match (&self.account_id, credentials.account_id()) {
            (Some(account_id), None) => credentials.with_account_id(account_id),
            _ => credentials,
        })
    }
}

impl ProvideCredentials for ProcessProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async { self.ask().await.map(Some) })
    }

    fn name(&self) -> &str {
        NAME
    }
}

impl fmt::Debug for ProcessProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessProvider").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads what a `credential_process` prints, and what `aws configure export-credentials` writes:
    /// `{"Version": 1, "AccessKeyId": "…", "SecretAccessKey": "…"}`, with `SessionToken`, `Expiration` and
    /// `AccountId` where there are such.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidCredentials`] if it is no such JSON, or of another version. The message does not
    /// quote the text.
    ///
    /// ```
    /// use countersign::Credentials;
    ///
    /// let json = br#"{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "secret"}"#;
    /// assert_eq!(Credentials::from_process_json(json)?.access_key_id(), "AKID");
    /// let error = Credentials::from_process_json(b"secret").unwrap_err();
    /// assert_eq!(error.to_string(), "not the JSON of a credential_process: see line 1, column 1");
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn from_process_json(text: &[u8]) -> Result<Credentials, Error> {
        read(text).map_err(|wrong| {
            let message = match wrong {
                Wrong::Document(Problem::NoJson { line, column }) => {
                    format!(
                        "not the JSON of a credential_process: see line {line}, column {column}"
                    )
                }
                wrong => wrong.to_string(),
            };
            Error::new(ErrorKind::InvalidCredentials, message)
        })
    }
}

/// What is wrong with what was printed. Never quotes it, but for a version that is a number.
enum Wrong {
    Document(Problem),
    /// `None` if it is no whole number.
    Version(Option<String>),
}

impl Wrong {
    fn into_provider_error(self) -> ProviderError {
        match self {
            Wrong::Document(_) => failed(format!(
                "Error retrieving credentials from external process, could not parse response: {self}"
            )),
            Wrong::Version(_) => {
                ProviderError::new(NAME, ProviderErrorKind::Unsupported, self.to_string())
            }
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Document(problem) => write!(f, "{problem}"),
            Wrong::Version(Some(version)) => write!(
                f,
                "Unsupported version '{version}' for credential process provider, supported versions: 1"
            ),
            Wrong::Version(None) => f.write_str(
                "Unsupported version for credential process provider: it must be the number 1, as in \
                 \"Version\": 1 without quotes",
            ),
        }
    }
}

fn read(text: &[u8]) -> Result<Credentials, Wrong> {
    let document = Document::parse(text).map_err(Wrong::Document)?;
    match document.version() {
        Some("1") => document.credentials().map_err(Wrong::Document),
        None => Err(Wrong::Document(Problem::Missing("Version"))),
        Some(version) if version.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(Wrong::Version(Some(version.to_owned())))
        }
        Some(_) => Err(Wrong::Version(None)),
    }
}

fn failed(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::Failed, message)
}

const NAME: &str = "process";
const LIMIT: Duration = Duration::from_secs(60);
