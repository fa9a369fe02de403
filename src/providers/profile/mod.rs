//! Credentials from a profile of the shared files.

mod chain;
mod execute;
mod location;
mod parse;
mod set;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    BoxFuture, Endpoints, MfaPrompt, Ports, ProvideCredentials, ProviderError, ProviderErrorKind,
    instance::Memory,
};
use crate::Credentials;

pub use chain::{CredentialSource, ProfileBase, ProfileChain, ProfileRole, SsoSettings};
pub use location::ProfileFiles;
pub use set::{ProfileSet, Section, Warning};

/// The credentials of the selected profile, however it says to get them.
///
/// The profile is the one [named in code](ProfileProvider::with_name), else in `AWS_PROFILE`, else
/// `default`. A profile that was named and does not exist is an error; a missing `default`, or a
/// profile that holds settings but nothing about credentials, is `Ok(None)`.
///
/// A profile that says several things means the first of these:
///
/// | Settings | |
/// |---|---|
/// | `role_arn`, `web_identity_token_file` | the role by the token in a file |
/// | `role_arn`, `source_profile` | the role by what another profile says, or this one besides |
/// | `role_arn`, `credential_source` | the role by the `Environment`, `EcsContainer` or `Ec2InstanceMetadata` |
/// | `sso_session`, or `sso_start_url` and `sso_region`; `sso_account_id`, `sso_role_name` | IAM Identity Center |
/// | `login_session` | a session that somebody began on a console |
/// | `credential_process` | what a command writes |
/// | `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token`, `aws_account_id` | static keys |
///
/// A profile that begins with a login session takes feature `login`; without it that is an error of kind
/// [`Unsupported`](ProviderErrorKind::Unsupported).
///
/// A role may also have `role_session_name`, `duration_seconds` and, but for one by a token, `external_id` and
/// `mfa_serial`; who [can be asked](ProfileProvider::with_mfa) for the code of that device must be said. STS is asked in the
/// region that the environment names, else in that of the role's profile, and at the endpoint that the
/// selected profile [configures](super::Endpoints).
///
/// The files are read anew each time. One that the environment names and that is missing, and any that cannot
/// be read or is not UTF-8, counts as empty, which is logged as a warning; so is a part of them that is ignored, if a profile in use may be meant by it.
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
    mfa: Option<MfaPrompt>,
    /// Where the chain began the last time, and the provider of that.
    kept: Arc<Mutex<Option<Box<Kept>>>>,
    /// What was learned of the instance when its region was needed.
    of_instance: Arc<Memory>,
}

/// A provider that may remember something, and what it was made of.
#[derive(Debug)]
struct Kept {
    base: ProfileBase,
    endpoints: Endpoints,
    region: Option<String>,
    provider: Arc<dyn ProvideCredentials>,
}

impl ProfileProvider {
    /// The selected profile of the files that these ports show.
    pub fn new(ports: &Ports) -> ProfileProvider {
        ProfileProvider {
            ports: ports.clone(),
            name: None,
            files: None,
            mfa: None,
            kept: Arc::default(),
            of_instance: Arc::default(),
        }
    }

    /// The same provider for the profile named here, whatever `AWS_PROFILE` says.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> ProfileProvider {
        ProfileProvider { name: Some(name.into()), ..self.without_memories() }
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
        ProfileProvider { files: Some(files), ..self.without_memories() }
    }

    /// The same provider with somebody to ask for the codes of devices (`mfa_serial`).
    ///
    /// ```
    /// use countersign::providers::{MfaPrompt, Ports, ProfileProvider};
    ///
    /// let prompt = MfaPrompt::new(|_serial| async { Ok("123456".to_owned()) });
    /// let provider = ProfileProvider::new(&Ports::system()).with_mfa(prompt);
    /// # let _ = provider;
    /// ```
    #[must_use]
    pub fn with_mfa(self, prompt: MfaPrompt) -> ProfileProvider {
        ProfileProvider { mfa: Some(prompt), ..self }
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

    async fn find(&self) -> Result<Option<Credentials>, ProviderError> {
        let name = self.selected()?;
        let profiles = self.load()?;
        if profiles.profile(&name).is_none() && name != DEFAULT {
            return Err(self.missing(&name, &profiles));
        }
        profiles.log_warnings(&name);
        if profiles.profile(&name).is_none() {
            return Ok(None);
        }
        let Some(chain) = ProfileChain::resolve(&profiles, &name)? else {
            return Ok(None);
        };
        let provider = self.build(&profiles, &name, &chain).await?;
        let credentials = provider.provide().await?;
        credentials.map(Some).ok_or_else(|| {
            let message = format!(
                "the profile `{name}` names where its credentials come from, and there are none: the \
                 credential provider was not enabled: {}: {}",
                provider.name(),
                provider.absence()
            );
            ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
        })
    }

    fn missing(&self, name: &str, profiles: &ProfileSet) -> ProviderError {
        let (shown, places) = (name.escape_debug(), profiles.places());
        let by = match self.name {
            Some(_) => "",
            None => ", and AWS_PROFILE names it",
        };
        let ignored = profiles.ignored(name);
        let message =
            format!("The config profile ({shown}) could not be found in {places}{by}{ignored}");
        ProviderError::new(NAME, ProviderErrorKind::MissingProfile, message)
    }

    /// The same for other settings, which may mean other services.
    fn without_memories(self) -> ProfileProvider {
        ProfileProvider { kept: Arc::default(), of_instance: Arc::default(), ..self }
    }

    /// What is known of the instance, for whoever asks it for its region by this provider's settings.
    pub(super) fn memory_of_instance(&self) -> Arc<Memory> {
        self.of_instance.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Option<Box<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
        Box::pin(self.find())
    }

    fn invalidate(&self, access_key_id: &str) {
        let kept = self.kept().as_ref().map(|kept| kept.provider.clone());
        if let Some(provider) = kept {
            provider.invalidate(access_key_id);
        }
    }

    fn name(&self) -> &str {
        NAME
    }

    fn looks_at(&self) -> String {
        match (self.selected(), self.load()) {
            (Ok(name), Ok(profiles)) => {
                format!("the profile `{}` in {}", name.escape_debug(), profiles.places())
            }
            _ => "the shared files".to_owned(),
        }
    }

    fn absence(&self) -> String {
        self.why_nothing().unwrap_or_else(|error| error.to_string())
    }
}

const NAME: &str = "profile";
const DEFAULT: &str = "default";
const ACCESS_KEY_ID: &str = "aws_access_key_id";
const SECRET_ACCESS_KEY: &str = "aws_secret_access_key";
const SESSION_TOKEN: &str = "aws_session_token";
