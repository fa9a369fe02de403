//! Why the program stops, and with which exit code.

use std::{error::Error, fmt, path::Path};

use countersign::providers::{HttpError, HttpErrorKind, ProviderError};

/// One sentence for stderr and the exit code that goes with it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// What JSON Lines call it.
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl Failure {
    /// The command line or its input cannot be used: exit code 2.
    pub(crate) fn input(message: impl fmt::Display) -> Failure {
        Failure { code: 2, kind: "invalid_request", message: message.to_string() }
    }

    /// There are no credentials to sign with: exit code 3.
    pub(crate) fn credentials(message: impl fmt::Display) -> Failure {
        Failure { code: 3, kind: "no_credentials", message: message.to_string() }
    }

    /// A provider of credentials failed: because of the network, if it got no answer from whom it asked.
    pub(crate) fn of_provider(error: &ProviderError) -> Failure {
        let fail = if is_the_networks(error) { Failure::network } else { Failure::credentials };
        fail(with_sources(error))
    }

    /// The network failed: exit code 4.
    pub(crate) fn network(message: impl fmt::Display) -> Failure {
        Failure { code: 4, kind: "network", message: message.to_string() }
    }

    /// A file that cannot be read: exit code 2.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
        let message = format!("cannot read `{}`: {error}", path.display());
        Failure { code: 2, kind: "unreadable_file", message }
    }

    /// The same failure with the exit code of another program's contract.
    pub(crate) fn with_code(self, code: u8) -> Failure {
        Failure { code, ..self }
    }
}

/// Whether somebody was asked and did not answer. What is too long is an answer, and without a client nobody was
/// asked.
fn is_the_networks(error: &ProviderError) -> bool {
    use HttpErrorKind::{Connect, Failed, TimedOut};

    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return matches!(error.kind(), Connect | Failed | TimedOut);
        }
        cause = error.source();
    }
    false
}

/// An error and all that led to it, in one line.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Some errors say what their source says.
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = error.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<countersign::Error> for Failure {
    fn from(error: countersign::Error) -> Failure {
        Failure { kind: error.kind().as_str(), ..Failure::input(error) }
    }
}
