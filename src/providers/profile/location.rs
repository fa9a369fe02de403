//! Where the shared files lie, and how each is read.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    NAME, ProfileSet,
    set::{Kind, Warning},
};
use crate::providers::{Platform, Ports, ProviderError, ProviderErrorKind};

/// Where the config file and the credentials file lie.
///
/// `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE`, else `.aws/config` and `.aws/credentials`
/// in the [home directory](Ports::home). A `~` that is the whole first component of a variable's
/// path stands for the home directory.
///
/// ```
/// use std::{collections::HashMap, path::Path};
/// use countersign::providers::{Platform, Ports, ProfileFiles};
///
/// let env = HashMap::from([("HOME", "/home/cat"), ("AWS_CONFIG_FILE", "~/aws.ini")]);
/// let files = ProfileFiles::locate(&Ports::empty().with_env(env).with_platform(Platform::Unix));
/// assert_eq!(files.config(), Some(Path::new("/home/cat/aws.ini")));
/// assert_eq!(files.credentials(), Some(Path::new("/home/cat/.aws/credentials")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileFiles {
    config: Location,
    credentials: Location,
}

impl ProfileFiles {
    /// The files that the environment names, or the default ones.
    pub fn locate(ports: &Ports) -> ProfileFiles {
        ProfileFiles {
            config: Location::find(ports, "AWS_CONFIG_FILE", "config"),
            credentials: Location::find(ports, "AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        }
    }

    /// The same files but for the config file, which must exist then. A `~` is not expanded.
    #[must_use]
    pub fn with_config(self, path: impl Into<PathBuf>) -> ProfileFiles {
        ProfileFiles { config: Location::Code(path.into()), ..self }
    }

    /// The same files but for the credentials file, which must exist then. A `~` is not expanded.
    #[must_use]
    pub fn with_credentials(self, path: impl Into<PathBuf>) -> ProfileFiles {
        ProfileFiles { credentials: Location::Code(path.into()), ..self }
    }

    /// The config file; `None` if there is neither a variable nor a home directory.
    pub fn config(&self) -> Option<&Path> {
        self.config.path()
    }

    /// The credentials file; `None` if there is neither a variable nor a home directory.
    pub fn credentials(&self) -> Option<&Path> {
        self.credentials.path()
    }

    /// Reads and merges both files.
    ///
    /// A file that is missing or cannot be read counts as empty, with a [`Warning`] unless it is a
    /// default file that does not exist.
    ///
    /// # Errors
    /// A file that breaks the grammar, and a file named in code that cannot be read.
    pub fn load(&self, ports: &Ports) -> Result<ProfileSet, ProviderError> {
        let mut profiles = ProfileSet::default();
        for (location, kind) in
            [(&self.config, Kind::Config), (&self.credentials, Kind::Credentials)]
        {
            let Some(path) = location.path() else {
                continue;
            };
            let contents = location.read(path, ports, &mut profiles)?;
            profiles.add(kind, path, &contents)?;
        }
        Ok(profiles)
    }
}

/// Where one file lies, and who says so: that decides how bad it is if it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Location {
    Default(Option<PathBuf>),
    Variable(&'static str, PathBuf),
    Code(PathBuf),
}

impl Location {
    fn find(ports: &Ports, variable: &'static str, file: &str) -> Location {
        let home = ports.home();
        if let Some(path) = ports.filled(variable) {
            return Location::Variable(variable, expand(path.into(), home, ports.platform()));
        }
        let path = |home| join(join(home, ".aws", ports.platform()), file, ports.platform());
        Location::Default(home.map(path))
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Location::Default(path) => path.as_deref(),
            Location::Variable(_, path) | Location::Code(path) => Some(path),
        }
    }

    /// The text of the file, or nothing and a warning where it is not to be had.
    fn read(
        &self,
        path: &Path,
        ports: &Ports,
        profiles: &mut ProfileSet,
    ) -> Result<Zeroizing<String>, ProviderError> {
        let bytes = ports.files().read(path).map(Zeroizing::new);
        let text = bytes.and_then(|bytes| match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
                    "it is UTF-16, not UTF-8"
                } else {
                    "it is not valid UTF-8"
                },
            )),
        });
        let error = match text {
            Ok(text) => return Ok(text),
            Err(error) => error,
        };
        let missing = error.kind() == io::ErrorKind::NotFound;
        let message = match self {
            Location::Code(_) => {
                let message = format!("could not read {}, which was named in code", path.display());
                return Err(
                    ProviderError::new(NAME, ProviderErrorKind::Failed, message).with_source(error)
                );
            }
            Location::Default(_) if missing => return Ok(Zeroizing::default()),
            Location::Variable(variable, _) if missing => {
                format!("there is no such file, though {variable} names it")
            }
            _ => format!("could not be read: {error}"),
        };
        profiles.warn(Warning::new(path, message));
        Ok(Zeroizing::default())
    }
}

/// The path with the home directory for a `~` that is its whole first component.
fn expand(path: PathBuf, home: Option<PathBuf>, platform: Platform) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home,
        (Ok(rest), Some(home)) => join(home, rest, platform),
        _ => path,
    }
}

/// Joins by the rules of a platform that need not be the host's.
fn join(path: PathBuf, rest: impl AsRef<Path>, platform: Platform) -> PathBuf {
    let separator = platform.separator();
    let mut joined = OsString::from(path);
    if !joined.as_encoded_bytes().ends_with(separator.as_bytes()) {
        joined.push(separator);
    }
    joined.push(rest.as_ref());
    joined.into()
}
