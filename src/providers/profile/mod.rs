//! Credentials from a profile of the shared files.

mod location;
mod parse;
mod set;

use super::{BoxFuture, Ports, ProvideCredentials, ProviderError, ProviderErrorKind};
use crate::Credentials;

pub use location::ProfileFiles;
pub use set::{ProfileSet, Section, Warning};

/// The static keys of the selected profile: `aws_access_key_id`, `aws_secret_access_key`,
/// `aws_session_token` and `aws_account_id`.
///
/// The profile is the one [named in code](ProfileProvider::with_name), else in `AWS_PROFILE`, else
/// `default`. A profile that was named and does not exist is an error; a missing `default`, or a
/// profile that holds settings but nothing about credentials, is `Ok(None)`.
///
/// A profile that gets its credentials in another way (a role, SSO, a process) is an error that
/// names the setting. `role_arn` goes before the profile's own keys, so a profile with both is such
/// an error too, rather than a signature by another identity than the one configured.
///
/// The files are read anew each time.
///
/// ```
/// use std::{collections::HashMap, path::PathBuf};
/// use countersign::providers::{Ports, ProfileProvider, ProvideCredentials};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let future = pin!(async {
/// let keys = "\
/// [work]
/// aws_access_key_id = AKIDWORK
/// aws_secret_access_key = secret
/// ";
/// let ports = Ports::empty()
///     .with_env(HashMap::from([("HOME", "/home/cat")]))
///     .with_files(HashMap::from([(PathBuf::from("/home/cat/.aws/credentials"), keys)]));
/// let default = ProfileProvider::new(&ports);
/// assert!(default.provide().await?.is_none());
/// let work = default.with_name("work");
/// assert_eq!(work.provide().await?.unwrap().access_key_id(), "AKIDWORK");
/// # Ok(())
/// # });
/// # let mut context = Context::from_waker(Waker::noop());
/// # let Poll::Ready(done) = future.poll(&mut context) else { panic!() };
/// # done
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProfileProvider {
    ports: Ports,
    name: Option<String>,
    files: Option<ProfileFiles>,
}

impl ProfileProvider {
    /// The selected profile of the files that these ports show.
    pub fn new(ports: &Ports) -> ProfileProvider {
        ProfileProvider { ports: ports.clone(), name: None, files: None }
    }

    /// The same provider for the profile named here, whatever `AWS_PROFILE` says.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> ProfileProvider {
        ProfileProvider { name: Some(name.into()), ..self }
    }

    /// The same provider over these files, whatever the environment says.
    ///
    /// ```
    /// use countersign::providers::{Ports, ProfileFiles, ProfileProvider};
    ///
    /// let ports = Ports::system();
    /// let files = ProfileFiles::locate(&ports).with_credentials("/run/secrets/aws");
    /// let provider = ProfileProvider::new(&ports).with_files(files);
    /// # let _ = provider;
    /// ```
    #[must_use]
    pub fn with_files(self, files: ProfileFiles) -> ProfileProvider {
        ProfileProvider { files: Some(files), ..self }
    }

    /// The name of the selected profile, whether it exists or not.
    ///
    /// # Errors
    /// If `AWS_PROFILE` is needed and not UTF-8.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use countersign::providers::{Ports, ProfileProvider};
    ///
    /// let ports = Ports::empty().with_env(HashMap::from([("AWS_PROFILE", "work")]));
    /// assert_eq!(ProfileProvider::new(&ports).selected()?, "work");
    /// assert_eq!(ProfileProvider::new(&Ports::empty()).selected()?, "default");
    /// # Ok::<(), countersign::providers::ProviderError>(())
    /// ```
    pub fn selected(&self) -> Result<String, ProviderError> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let name = self.ports.text(NAME, "AWS_PROFILE")?;
        Ok(name.unwrap_or_else(|| DEFAULT.to_owned()))
    }

    /// What the files say, of all profiles.
    ///
    /// # Errors
    /// As [`ProfileFiles::load`].
    pub fn load(&self) -> Result<ProfileSet, ProviderError> {
        match &self.files {
            Some(files) => files.load(&self.ports),
            None => ProfileSet::load(&self.ports),
        }
    }

    fn read(&self) -> Result<Option<Credentials>, ProviderError> {
        let name = self.selected()?;
        let profiles = self.load()?;
        match profiles.profile(&name) {
            Some(profile) => credentials(profile),
            None if name == DEFAULT => Ok(None),
            None => {
                let (shown, places) = (name.escape_debug(), profiles.places());
                let by = match self.name {
                    Some(_) => "",
                    None => ", and AWS_PROFILE names it",
                };
                Err(ProviderError::new(
                    NAME,
                    ProviderErrorKind::MissingProfile,
                    format!("The config profile ({shown}) could not be found in {places}{by}"),
                ))
            }
        }
    }

    fn why_nothing(&self) -> Result<String, ProviderError> {
        let name = self.selected()?;
        let profiles = self.load()?;
        let places = profiles.places();
        let mut text = match profiles.profile(&name) {
            Some(_) => format!("the profile `{name}` in {places} says nothing of credentials"),
            None => format!("there is no profile `{name}` in {places}"),
        };
        for warning in profiles.warnings() {
            text += &format!(", and {warning}");
        }
        Ok(text)
    }
}

impl ProvideCredentials for ProfileProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async { self.read() })
    }

    fn name(&self) -> &str {
        NAME
    }

    fn absence(&self) -> String {
        self.why_nothing().unwrap_or_else(|error| error.to_string())
    }
}

/// What the profile that was selected says of credentials.
fn credentials(profile: &Section) -> Result<Option<Credentials>, ProviderError> {
    let filled = |name| profile.get(name).filter(|value| !value.trim().is_empty());
    let unsupported = |setting: &str| {
        let message = format!(
            "the profile `{}` sets {setting}, and this version takes static keys only \
             ({ACCESS_KEY_ID} and {SECRET_ACCESS_KEY})",
            profile.name()
        );
        ProviderError::new(NAME, ProviderErrorKind::Unsupported, message)
    };
    let missing = |setting: &str| {
        let message = format!(
            "the profile `{0}` holds half of the static keys: profile missing {setting}",
            profile.name()
        );
        ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
    };
    if filled(ROLE_ARN).is_some() {
        return Err(unsupported(ROLE_ARN));
    }
    let token = filled(SESSION_TOKEN);
    let (id, secret) = match (filled(ACCESS_KEY_ID), filled(SECRET_ACCESS_KEY)) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) if token.is_none() => {
            return match OTHER_SOURCES.iter().find(|name| filled(name).is_some()) {
                Some(setting) => Err(unsupported(setting)),
                None => Ok(None),
            };
        }
        (Some(_), None) => return Err(missing(SECRET_ACCESS_KEY)),
        (None, _) => return Err(missing(ACCESS_KEY_ID)),
    };
    let mut credentials = Credentials::new(id, secret);
    if let Some(token) = token {
        credentials = credentials.with_session_token(token);
    }
    if let Some(account_id) = filled("aws_account_id") {
        credentials = credentials.with_account_id(account_id);
    }
    Ok(Some(credentials))
}

const NAME: &str = "profile";
const DEFAULT: &str = "default";
const ACCESS_KEY_ID: &str = "aws_access_key_id";
const SECRET_ACCESS_KEY: &str = "aws_secret_access_key";
const SESSION_TOKEN: &str = "aws_session_token";
const ROLE_ARN: &str = "role_arn";

/// Settings that ask for credentials in another way than by static keys.
const OTHER_SOURCES: [&str; 7] = [
    "credential_source",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
    "login_session",
    "credential_process",
    "source_profile",
];
