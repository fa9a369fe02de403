//! What providers ask of the world outside: one object-safe trait for each thing.

use std::{
    borrow::Borrow,
    collections::HashMap,
    ffi::{OsStr, OsString},
    fmt,
    hash::{BuildHasher, Hash},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{ProviderError, ProviderErrorKind};

/// The world as providers see it: an environment, a file system, and whose rules they follow.
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
    platform: Platform,
}

impl Ports {
    /// A world with nothing in it: no variable is set and no file exists.
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

    /// The variable, unless it is blank: an empty variable is how many shells spell an unset one.
    pub(super) fn filled(&self, name: &str) -> Option<OsString> {
        let blank = |value: &OsString| value.to_str().is_some_and(|text| text.trim().is_empty());
        self.env.var(name).filter(|value| !blank(value))
    }

    /// The variable as text, unless it is blank. What is set but is no text is an error: to call it
    /// unset could find other credentials than the ones that were meant.
    pub(super) fn text(
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

/// Environment variables.
///
/// Values are what the platform holds, UTF-8 or not: a path may be neither. Providers that need
/// text refuse a variable that is none, rather than call it unset. A variable that is blank
/// (nothing but white space) counts as unset everywhere.
///
/// A `HashMap` is an environment:
///
/// ```
/// use std::collections::HashMap;
/// use countersign::providers::Env;
///
/// let env = HashMap::from([("AWS_REGION", "eu-central-1")]);
/// assert_eq!(env.var("AWS_REGION"), Some("eu-central-1".into()));
/// assert_eq!(env.var("HOME"), None);
/// ```
pub trait Env: Send + Sync {
    /// The value of a variable; `None` if it is not set.
    fn var(&self, name: &str) -> Option<OsString>;
}

impl<K, V, S> Env for HashMap<K, V, S>
where
    K: Borrow<str> + Eq + Hash + Send + Sync,
    V: AsRef<OsStr> + Send + Sync,
    S: BuildHasher + Send + Sync,
{
    fn var(&self, name: &str) -> Option<OsString> {
        self.get(name).map(|value| value.as_ref().to_owned())
    }
}

/// A file system.
///
/// A `HashMap` from paths to text or bytes is one:
///
/// ```
/// use std::{collections::HashMap, io, path::{Path, PathBuf}};
/// use countersign::providers::Files;
///
/// let files = HashMap::from([(PathBuf::from("/etc/cat"), "meow")]);
/// assert_eq!(files.read(Path::new("/etc/cat"))?, b"meow");
/// let missing = files.read(Path::new("/etc/dog")).unwrap_err();
/// assert_eq!(missing.kind(), io::ErrorKind::NotFound);
/// # Ok::<(), io::Error>(())
/// ```
pub trait Files: Send + Sync {
    /// The whole of a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file; any other kind if it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

impl<K, V, S> Files for HashMap<K, V, S>
where
    K: Borrow<Path> + Eq + Hash + Send + Sync,
    V: AsRef<[u8]> + Send + Sync,
    S: BuildHasher + Send + Sync,
{
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.get(path)
            .map(|contents| contents.as_ref().to_owned())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Whose rules the home directory and paths follow.
///
/// ```
/// # use countersign::providers::{Platform, Ports};
/// assert_eq!(Ports::empty().platform(), Platform::HOST);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Platform {
    /// Linux, macOS, the BSDs and whatever else is not Windows.
    Unix,
    /// Windows.
    Windows,
}

impl Platform {
    /// The platform this was compiled for.
    pub const HOST: Platform = if cfg!(windows) { Platform::Windows } else { Platform::Unix };

    /// What stands between the components of a path.
    pub(super) fn separator(self) -> &'static str {
        match self {
            Platform::Unix => "/",
            Platform::Windows => "\\",
        }
    }
}
