//! Other programs, as providers see them.

use std::{fmt, future, io, time::Duration};

use zeroize::Zeroizing;

use super::Nothing;
use crate::providers::BoxFuture;

/// What runs commands.
///
/// A function is one, which is enough for tests:
///
/// ```
/// use countersign::providers::{CommandOutput, Ports};
///
/// let ports = Ports::empty().with_commands(|line: &str| Ok(CommandOutput::success(line)));
/// # let _ = ports;
/// ```
pub trait Commands: Send + Sync {
    /// Runs a command line as the platform's shell does, with no input, and waits for its end.
    ///
    /// # Errors
    /// If it could not be started, or went past a limit: [`io::ErrorKind::TimedOut`],
    /// [`io::ErrorKind::FileTooLarge`]. A command that fails is no error; see
    /// [`CommandOutput::failure`].
    fn run<'a>(
        &'a self,
        line: &'a str,
        limits: CommandLimits,
    ) -> BoxFuture<'a, io::Result<CommandOutput>>;
}

impl<F: Fn(&str) -> io::Result<CommandOutput> + Send + Sync> Commands for F {
    fn run<'a>(
        &'a self,
        line: &'a str,
        _: CommandLimits,
    ) -> BoxFuture<'a, io::Result<CommandOutput>> {
        Box::pin(future::ready(self(line)))
    }
}

impl Commands for Nothing {
    fn run<'a>(&'a self, _: &'a str, _: CommandLimits) -> BoxFuture<'a, io::Result<CommandOutput>> {
        Box::pin(future::ready(Err(io::ErrorKind::Unsupported.into())))
    }
}

/// How long a command may take and how much it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandLimits {
    /// From its start to its end; its shell is killed then.
    pub total: Duration,
    /// How many bytes it may write to its standard output. Of its standard error the first 4 KiB are kept.
    pub max_output: usize,
}

impl CommandLimits {
    /// A command that may take this long and write 1 MiB.
    ///
    /// ```
    /// use std::time::Duration;
    /// use countersign::providers::CommandLimits;
    ///
    /// assert_eq!(CommandLimits::new(Duration::from_secs(60)).max_output, 1 << 20);
    /// ```
    pub fn new(total: Duration) -> CommandLimits {
        CommandLimits { total, max_output: 1 << 20 }
    }
}

/// What a command left behind.
///
/// `Debug` shows nothing of what it wrote, for that may be a secret; it is wiped when dropped.
#[derive(Clone)]
pub struct CommandOutput {
    stdout: Zeroizing<Vec<u8>>,
    failure: Option<String>,
    stderr: Zeroizing<Vec<u8>>,
}

impl CommandOutput {
    /// A command that ended well and wrote this.
    pub fn success(stdout: impl AsRef<[u8]>) -> CommandOutput {
        let stdout = Zeroizing::new(stdout.as_ref().to_owned());
        CommandOutput { stdout, failure: None, stderr: Zeroizing::default() }
    }

    /// A command that failed: how it ended, as in `exit status: 1`, and what it wrote to its standard
    /// error.
    ///
    /// ```
    /// use countersign::providers::CommandOutput;
    ///
    /// let output = CommandOutput::failed("exit status: 1", "not logged in");
    /// assert_eq!(output.failure(), Some("exit status: 1"));
    /// ```
    pub fn failed(status: impl Into<String>, stderr: impl AsRef<[u8]>) -> CommandOutput {
        let stderr = Zeroizing::new(stderr.as_ref().to_owned());
        CommandOutput { stdout: Zeroizing::default(), failure: Some(status.into()), stderr }
    }

    /// What it wrote to its standard output.
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// How it ended, if it failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// What it wrote to its standard error.
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }
}

impl fmt::Debug for CommandOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandOutput").field("failure", &self.failure).finish_non_exhaustive()
    }
}
