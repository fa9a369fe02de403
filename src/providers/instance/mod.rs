//! Credentials of an EC2 instance's role, from its metadata service.

mod client;
mod settings;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use self::{
    client::{Client, Token, Trouble},
    settings::{DISABLED, Given, Settings, is_role_name},
};
use super::{
    BoxFuture, Ports, ProfileProvider, ProvideCredentials, ProviderError, ProviderErrorKind,
    document::Document, endpoint::is_region,
};
use crate::Credentials;

pub use settings::EndpointMode;

/// Credentials of the role of the EC2 instance that this runs on, from its metadata service (IMDS).
///
/// Version 2 alone is spoken: a token first, and nothing without it. Where nobody answers, or the instance
/// has no role, the answer is `Ok(None)`: this is then no place for such credentials. Off EC2 that takes
/// two seconds at most. Its token, its role and its region are remembered by all clones; the credentials are
/// not: keep them in a [`Cached`](super::Cached).
///
/// A service that cannot renew credentials goes on to give those that have expired, and other services then
/// take them. They get 10 to 15 minutes more, with a warning in the log, unless better ones were given before:
/// then they are given out as they are, and a cache keeps what it has.
///
/// | Variable | In the selected profile | |
/// |---|---|---|
/// | `AWS_EC2_METADATA_DISABLED` | | `true`: not asked |
/// | `AWS_EC2_METADATA_SERVICE_ENDPOINT` | `ec2_metadata_service_endpoint` | another URL |
/// | `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` | `ec2_metadata_service_endpoint_mode` | `IPv4` or `IPv6` |
/// | `AWS_EC2_INSTANCE_PROFILE_NAME` | `ec2_instance_profile_name` | asks for this one without looking |
/// | `AWS_METADATA_SERVICE_TIMEOUT` | `metadata_service_timeout` | seconds to connect, and again to answer; 1 |
/// | `AWS_METADATA_SERVICE_NUM_ATTEMPTS` | `metadata_service_num_attempts` | 4 |
///
/// What fails on the service's side (a status of 500 and above) is asked again, and a token that is
/// refused is renewed; a time-out is final.
///
/// ```
/// use countersign::providers::{InstanceProvider, Ports, ProvideCredentials};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let future = pin!(async {
/// // Without an HTTP client nobody answers.
/// let provider = InstanceProvider::new(&Ports::empty());
/// assert!(provider.provide().await?.is_none());
/// assert!(provider.absence().contains("http://169.254.169.254"));
/// # Ok(())
/// # });
/// # let mut context = Context::from_waker(Waker::noop());
/// # let Poll::Ready(done) = future.poll(&mut context) else { panic!() };
/// # done
/// # }
/// ```
#[derive(Clone)]
pub struct InstanceProvider {
    given: Given,
    memory: Arc<Memory>,
}

/// What was learned of the service.
#[derive(Default)]
pub(super) struct Memory {
    token: Mutex<Option<Token>>,
    learned: Mutex<Learned>,
}

#[derive(Default)]
struct Learned {
    /// The path that had credentials.
    api: Option<Api>,
    /// The role that was discovered.
    role: Option<String>,
    /// Why there was nothing.
    absence: Option<String>,
    /// An endpoint, and the region that the service there said.
    region: Option<(String, String)>,
    /// The latest end of the credentials that it gave, by its own word.
    latest_end: Option<SystemTime>,
}

impl fmt::Debug for Memory {
    /// Without what it holds: a token is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl InstanceProvider {
    /// The metadata service that these ports reach.
    pub fn new(ports: &Ports) -> InstanceProvider {
        InstanceProvider::of_profile(ports, ProfileProvider::new(ports))
    }

    /// The same with the settings of the profile that this provider selects, of the files that it reads.
    pub(super) fn of_profile(ports: &Ports, profile: ProfileProvider) -> InstanceProvider {
        let ports = ports.clone();
        InstanceProvider::from(Given { ports, profile, endpoint: None, mode: None, role: None })
    }

    /// The same provider with what others learned of the service, and learn from now on.
    pub(super) fn with_memory(self, memory: Arc<Memory>) -> InstanceProvider {
        InstanceProvider { memory, ..self }
    }

    /// The same provider for a service at this URL, whatever anybody else says.
    ///
    /// ```
    /// use countersign::providers::{InstanceProvider, Ports};
    ///
    /// let provider = InstanceProvider::new(&Ports::system()).with_endpoint("http://127.0.0.1:1338");
    /// # let _ = provider;
    /// ```
    #[must_use]
    pub fn with_endpoint(self, url: impl Into<String>) -> InstanceProvider {
        InstanceProvider::from(Given { endpoint: Some(url.into()), ..self.given })
    }

    /// The same provider for this address of the service, unless an endpoint is set anywhere.
    #[must_use]
    pub fn with_endpoint_mode(self, mode: EndpointMode) -> InstanceProvider {
        InstanceProvider::from(Given { mode: Some(mode), ..self.given })
    }

    /// The same provider for the instance profile of this name. It is not looked for then, and one that
    /// the service does not know is an error.
    #[must_use]
    pub fn with_instance_profile(self, name: impl Into<String>) -> InstanceProvider {
        InstanceProvider::from(Given { role: Some(name.into()), ..self.given })
    }

    /// The same provider with the settings of the shared files' profile named here, instead of
    /// `AWS_PROFILE`'s.
    #[must_use]
    pub fn with_profile(self, name: impl Into<String>) -> InstanceProvider {
        let profile = self.given.profile.with_name(name);
        InstanceProvider::from(Given { profile, ..self.given })
    }

    /// The region that the instance is in; `Ok(None)` if nobody answers, the service does not say, or it
    /// may not be asked. One that was said once is remembered: an instance stays where it is.
    ///
    /// # Errors
    /// Settings that are wrong, and a service that answers otherwise.
    pub fn region(&self) -> BoxFuture<'_, Result<Option<String>, ProviderError>> {
        Box::pin(async {
            if self.given.is_disabled()? {
                return Ok(None);
            }
            let settings = self.given.settle()?;
            if let Some((endpoint, region)) = &self.learned().region
                && *endpoint == settings.endpoint
            {
                return Ok(Some(region.clone()));
            }
            let region = match self.client(&settings).get(REGION_PATH).await {
                Ok(Some(region)) => region,
                Ok(None) | Err(Trouble::Silence(_)) => return Ok(None),
                Err(Trouble::Broken(error)) => return Err(error),
            };
            match str::from_utf8(region.trim_ascii()).ok().filter(|text| is_region(text)) {
                Some(region) => {
                    let region = region.to_owned();
                    self.learned().region = Some((settings.endpoint, region.clone()));
                    Ok(Some(region))
                }
                None => {
                    let length = region.len();
                    Err(failed(format!("the metadata service's region is none, {length} bytes")))
                }
            }
        })
    }

    async fn find(&self) -> Result<Option<Credentials>, ProviderError> {
        if self.given.is_disabled()? {
            return Ok(None);
        }
        let settings = self.given.settle()?;
        let error = match self.fetch(&settings).await {
            Ok(credentials) => return Ok(credentials.map(|given| self.extended(given))),
            Err(Trouble::Broken(error)) => return Err(error),
            Err(Trouble::Silence(error)) => error,
        };
        let mut learned = self.learned();
        let endpoint = &settings.endpoint;
        if learned.api.is_some() {
            let message = format!("the metadata service at {endpoint} answers no longer");
            return Err(failed(message).with_source(error));
        }
        learned.absence = Some(format!("no metadata service answers at {endpoint}: {error}"));
        Ok(None)
    }

    async fn fetch(&self, settings: &Settings) -> Result<Option<Credentials>, Trouble> {
        let client = self.client(settings);
        let known = self.learned().api;
        let (mut api, mut is_certain) = (known.unwrap_or(Api::Extended), known.is_some());
        let mut may_discover_again = true;
        loop {
            let remembered = self.learned().role.clone();
            let role = match settings.role.clone().or(remembered) {
                Some(role) => role,
                None => match discover(&client, api).await? {
                    Some(role) => {
                        is_certain = true;
                        role
                    }
                    None if !is_certain && api == Api::Extended => {
                        api = Api::Legacy;
                        continue;
                    }
                    None => {
                        let endpoint = &settings.endpoint;
                        let absence = format!("the instance has no role, says {endpoint}");
                        self.learned().absence = Some(absence);
                        return Ok(None);
                    }
                },
            };
            if let Some(body) = client.get(&format!("{}{role}", api.path())).await? {
                let mut learned = self.learned();
                learned.api = Some(api);
                learned.role = settings.role.is_none().then_some(role);
                return read(&body).map(Some).map_err(Trouble::Broken);
            }
            if settings.role.is_some() {
                if !is_certain && api == Api::Extended {
                    api = Api::Legacy;
                    continue;
                }
                return Err(Trouble::Broken(invalid_profile(&role, known)));
            }
            // The instance got another role, or has none now.
            self.learned().role = None;
            if !may_discover_again {
                let message =
                    format!("the metadata service names the role {role} and has none such");
                return Err(Trouble::Broken(failed(message)));
            }
            may_discover_again = false;
        }
    }

    /// The same credentials with more time, if they have expired and no better ones were given before.
    fn extended(&self, credentials: Credentials) -> Credentials {
        let ports = &self.given.ports;
        let Some(end) = credentials.expires_at() else { return credentials };
        let before = self.learned().latest_end.replace(end);
        if let Some(before) = before.filter(|before| *before > end) {
            self.learned().latest_end = Some(before);
            return credentials;
        }
        let now = ports.clock().now();
        if end > now {
            return credentials;
        }
        let extension = EXTENSION + Duration::from_secs(ports.chance() % (MOST_JITTER + 1));
        let age = now.duration_since(end).unwrap_or_default().as_secs();
        tracing::warn!(
            "Attempting credential expiration extension due to a credential service availability issue: the \
             metadata service gives credentials that expired {age} seconds ago by the clock of this machine. They \
             are used for {} more seconds, and others are asked for before that",
            extension.as_secs()
        );
        credentials.with_expires_at(now + extension)
    }

    fn client<'a>(&'a self, settings: &'a Settings) -> Client<'a> {
        Client { ports: &self.given.ports, settings, token: &self.memory.token }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.memory.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Given> for InstanceProvider {
    fn from(given: Given) -> InstanceProvider {
        InstanceProvider { given, memory: Arc::default() }
    }
}

impl ProvideCredentials for InstanceProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(self.find())
    }

    fn name(&self) -> &str {
        NAME
    }

    fn looks_at(&self) -> String {
        match self.given.settle() {
            Ok(settings) => settings.endpoint,
            Err(_) => "the metadata service".to_owned(),
        }
    }

    fn absence(&self) -> String {
        match self.given.is_disabled() {
            Err(error) => error.to_string(),
            Ok(true) => format!("{DISABLED} is true"),
            Ok(false) => {
                let absence = self.learned().absence.clone();
                absence.unwrap_or_else(|| "the metadata service was not asked".to_owned())
            }
        }
    }
}

impl fmt::Debug for InstanceProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceProvider").field("given", &self.given).finish_non_exhaustive()
    }
}

/// The role that the service lists first.
async fn discover(client: &Client<'_>, api: Api) -> Result<Option<String>, Trouble> {
    let Some(list) = client.get(api.path()).await? else { return Ok(None) };
    let first = list.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    match str::from_utf8(first).ok().filter(|role| is_role_name(role)) {
        Some(role) => Ok(Some(role.to_owned())),
        None if list.trim_ascii().is_empty() => Err(Trouble::Broken(failed(format!(
            "the metadata service lists no role: its answer for {} is empty; give the instance a role, or set \
             {DISABLED}=true",
            api.path()
        )))),
        None => {
            let length = first.len();
            Err(Trouble::Broken(failed(format!(
                "the metadata service lists a role by a name that is none, {length} bytes"
            ))))
        }
    }
}

fn read(body: &[u8]) -> Result<Credentials, ProviderError> {
    let unreadable = |problem| failed(format!("the metadata service's credentials: {problem}"));
    let document = Document::parse(body).map_err(unreadable)?;
    if let Some(failure) = document.failure() {
        let kind = match document.code() {
            Some("AssumeRoleUnauthorizedAccess") => ProviderErrorKind::InvalidConfiguration,
            _ => ProviderErrorKind::Failed,
        };
        let message = format!("failed to load credentials {failure}");
        return Err(ProviderError::new(NAME, kind, message));
    }
    let credentials = document.temporary().map_err(unreadable)?;
    Ok(credentials.with_static_stability(true))
}

/// One that worked before may be there again later.
fn invalid_profile(name: &str, known: Option<Api>) -> ProviderError {
    let kind = match known {
        Some(_) => ProviderErrorKind::Failed,
        None => ProviderErrorKind::InvalidConfiguration,
    };
    let message = format!("invalid profile: the instance has no instance profile named {name}");
    ProviderError::new(NAME, kind, message)
}

fn failed(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::Failed, message)
}

/// Where the service keeps credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    /// With the account's id.
    Extended,
    /// What older services have.
    Legacy,
}

impl Api {
    fn path(self) -> &'static str {
        match self {
            Api::Extended => "/latest/meta-data/iam/security-credentials-extended/",
            Api::Legacy => "/latest/meta-data/iam/security-credentials/",
        }
    }
}

const NAME: &str = "instance";

/// How much longer credentials that have expired are used, at least; and the seconds that chance adds at most, so
/// that a fleet does not ask all at once.
const EXTENSION: Duration = Duration::from_secs(10 * 60);
const MOST_JITTER: u64 = 5 * 60;

const REGION_PATH: &str = "/latest/meta-data/placement/region";
