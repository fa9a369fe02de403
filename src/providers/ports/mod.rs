//! What providers ask of the world outside: one object-safe trait for each thing.

mod clock;
mod commands;
mod env;
mod files;
mod http;
mod platform;
mod random;
mod resolver;

use std::{
    collections::HashMap, ffi::OsString, fmt, net::IpAddr, path::PathBuf, sync::Arc,
    time::SystemTime,
};

use super::{ProviderError, ProviderErrorKind};

pub use clock::Clock;
pub use commands::{CommandLimits, CommandOutput, Commands};
pub use env::Env;
pub use files::Files;
pub use http::{HttpClient, HttpError, HttpErrorKind, HttpLimits};
pub use platform::Platform;
pub use random::Random;
pub use resolver::Resolver;

/// The world as providers see it: an environment, a file system, a clock, and ways to ask others.
///
/// Cloning is cheap. `Debug` shows nothing of what is inside, for environments hold secrets.
///
/// ```
/// use std::{collections::HashMap, path::{Path, PathBuf}};
/// use countersign::providers::{Platform, Ports};
///
/// let ports = Ports::empty()
///     .with_env(HashMap::from([("HOME", "/home/cat")]))
///     .with_files(HashMap::from([(PathBuf::from("/home/cat/.aws/config"), "[default]")]))
///     .with_platform(Platform::Unix);
/// assert_eq!(ports.home().as_deref(), Some(Path::new("/home/cat")));
/// assert_eq!(ports.files().read(Path::new("/home/cat/.aws/config"))?, b"[default]");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Ports {
    env: Arc<dyn Env>,
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    http: Arc<dyn HttpClient>,
    resolver: Arc<dyn Resolver>,
    commands: Arc<dyn Commands>,
    random: Arc<dyn Random>,
    platform: Platform,
}

impl Ports {
    /// A world with nothing in it: no variable is set, no file exists, no host answers, no command
    /// runs, chance always throws zero, and the clock stands still at the start of 1970.
    ///
    /// Each port that is not replaced stays that way, so a test sees what it was given and no more.
    ///
    /// ```
    /// # use countersign::providers::Ports;
    /// assert_eq!(Ports::empty().env().var("HOME"), None);
    /// ```
    pub fn empty() -> Ports {
        Ports {
            env: Arc::new(HashMap::<String, OsString>::new()),
            files: Arc::new(HashMap::<PathBuf, Vec<u8>>::new()),
            clock: Arc::new(SystemTime::UNIX_EPOCH),
            http: Arc::new(Nothing),
            resolver: Arc::new(HashMap::<String, Vec<IpAddr>>::new()),
            commands: Arc::new(Nothing),
            random: Arc::new(|bytes: &mut [u8]| bytes.fill(0)),
            platform: Platform::HOST,
        }
    }

    /// The same world with another environment.
    #[must_use]
    pub fn with_env(self, env: impl Env + 'static) -> Ports {
        Ports { env: Arc::new(env), ..self }
    }

    /// The same world with another file system.
    #[must_use]
    pub fn with_files(self, files: impl Files + 'static) -> Ports {
        Ports { files: Arc::new(files), ..self }
    }

    /// The same world with another clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Ports {
        Ports { clock: Arc::new(clock), ..self }
    }

    /// The same world, reached through this HTTP client.
    ///
    /// [`Ports::system`] has none: which one, with which TLS, is the program's choice. Feature `reqwest`
    /// brings one.
    #[must_use]
    pub fn with_http(self, http: impl HttpClient + 'static) -> Ports {
        Ports { http: Arc::new(http), ..self }
    }

    /// The same world with other addresses behind its names.
    #[must_use]
    pub fn with_resolver(self, resolver: impl Resolver + 'static) -> Ports {
        Ports { resolver: Arc::new(resolver), ..self }
    }

    /// The same world with other commands to run.
    #[must_use]
    pub fn with_commands(self, commands: impl Commands + 'static) -> Ports {
        Ports { commands: Arc::new(commands), ..self }
    }

    /// The same world with another source of chance.
    #[must_use]
    pub fn with_random(self, random: impl Random + 'static) -> Ports {
        Ports { random: Arc::new(random), ..self }
    }

    /// The same world by the rules of another platform.
    #[must_use]
    pub fn with_platform(self, platform: Platform) -> Ports {
        Ports { platform, ..self }
    }

    /// The environment.
    pub fn env(&self) -> &dyn Env {
        &*self.env
    }

    /// The file system.
    pub fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The HTTP client.
    pub fn http(&self) -> &dyn HttpClient {
        &*self.http
    }

    /// What finds the addresses of a host.
    pub fn resolver(&self) -> &dyn Resolver {
        &*self.resolver
    }

    /// What runs commands.
    pub fn commands(&self) -> &dyn Commands {
        &*self.commands
    }

    /// The source of chance.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Whose rules paths and the home directory follow.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The home directory: `HOME`; on Windows then `USERPROFILE`, then `HOMEDRIVE` with `HOMEPATH`.
    ///
    /// ```
    /// use std::{collections::HashMap, path::PathBuf};
    /// use countersign::providers::{Platform, Ports};
    ///
    /// let env = HashMap::from([("HOMEDRIVE", "C:"), ("HOMEPATH", r"\users\cat")]);
    /// let ports = Ports::empty().with_env(env);
    /// let home = ports.clone().with_platform(Platform::Windows).home();
    /// assert_eq!(home, Some(PathBuf::from(r"C:\users\cat")));
    /// assert_eq!(ports.with_platform(Platform::Unix).home(), None);
    /// ```
    pub fn home(&self) -> Option<PathBuf> {
        let on_windows = || {
            (self.platform == Platform::Windows).then_some(())?;
            self.filled("USERPROFILE").or_else(|| {
                let mut home = self.filled("HOMEDRIVE")?;
                home.push(self.filled("HOMEPATH")?);
                Some(home)
            })
        };
        self.filled("HOME").or_else(on_windows).map(PathBuf::from)
    }

    /// A number by chance, each as likely as another.
    pub(in crate::providers) fn chance(&self) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// The variable, unless it is blank: an empty variable is how many shells spell an unset one.
    pub(in crate::providers) fn filled(&self, name: &str) -> Option<OsString> {
        let blank = |value: &OsString| value.to_str().is_some_and(|text| text.trim().is_empty());
        self.env.var(name).filter(|value| !blank(value))
    }

    /// The variable as text, unless it is blank. What is set but is no text is an error: to call it
    /// unset could find other credentials than the ones that were meant.
    pub(in crate::providers) fn text(
        &self,
        provider: &'static str,
        name: &str,
    ) -> Result<Option<String>, ProviderError> {
        let text = self.filled(name).map(OsString::into_string);
        text.transpose().map_err(|_| {
            ProviderError::new(
                provider,
                ProviderErrorKind::InvalidConfiguration,
                format!("the environment variable {name} is not valid UTF-8"),
            )
        })
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("platform", &self.platform).finish_non_exhaustive()
    }
}

/// Where there is nothing to ask.
struct Nothing;
