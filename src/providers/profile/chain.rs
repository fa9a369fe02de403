//! What a profile asks for: where its credentials begin, and the roles on the way to it.

use std::{fmt, path::PathBuf, time::Duration};

use zeroize::Zeroizing;

use super::{ACCESS_KEY_ID, NAME, ProfileSet, SECRET_ACCESS_KEY, SESSION_TOKEN, Section};
use crate::{
    Credentials,
    providers::{AssumeRole, ProviderError, ProviderErrorKind},
};

/// What a profile asks for: where its credentials begin, and the roles that are assumed from there on.
///
/// It is a description alone; [`ProfileProvider`](super::ProfileProvider) does what it says.
///
/// ```
/// # use std::{collections::HashMap, path::PathBuf};
/// use countersign::providers::{Ports, ProfileBase, ProfileChain, ProfileSet};
///
/// # let env = HashMap::from([("HOME", "/home/cat")]);
/// let config = "\
/// [profile audit]
/// role_arn = arn:aws:iam::123456789012:role/audit
/// source_profile = work
/// [profile work]
/// credential_process = keys
/// ";
/// let files = HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]);
/// let profiles = ProfileSet::load(&Ports::empty().with_env(env).with_files(files))?;
/// let chain = ProfileChain::resolve(&profiles, "audit")?.unwrap();
/// assert!(matches!(chain.base(), ProfileBase::Process { profile, .. } if profile == "work"));
/// assert_eq!(chain.roles()[0].role_arn(), "arn:aws:iam::123456789012:role/audit");
/// # Ok::<(), countersign::providers::ProviderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProfileChain {
    base: ProfileBase,
    roles: Vec<ProfileRole>,
}

impl ProfileChain {
    /// Follows a profile to where its credentials begin; `Ok(None)` if it says nothing of credentials.
    ///
    /// In the profile itself a role goes before static keys; in those that it builds upon, static keys
    /// end the search.
    ///
    /// # Errors
    /// A profile that is not there, or that contradicts itself: half a key pair, two sources or none, a
    /// circle. Static keys that hold a control character, as an indented comment below them makes.
    pub fn resolve(
        profiles: &ProfileSet,
        profile: &str,
    ) -> Result<Option<ProfileChain>, ProviderError> {
        let mut visited: Vec<&str> = Vec::new();
        let mut roles = Vec::new();
        let mut name = profile;
        let base = loop {
            let section = profiles
                .profile(name)
                .ok_or_else(|| not_there(profiles, name, visited.last().copied()))?;
            if visited.last() == Some(&name) {
                // It names itself: the role is assumed by what else it says.
                break ProfileBase::of(profiles, section)?;
            }
            if visited.contains(&name) {
                return Err(circle(&visited, name));
            }
            visited.push(name);
            if visited.len() > 1
                && let Some(credentials) = static_keys(section)?
            {
                break Some(ProfileBase::Static(credentials));
            }
            let role = role(section)?;
            let Some(role) = role.filter(|_| filled(section, WEB_IDENTITY_FILE).is_none()) else {
                break ProfileBase::of(profiles, section)?;
            };
            roles.push(ProfileRole::of(section, role)?);
            match (filled(section, SOURCE_PROFILE), filled(section, CREDENTIAL_SOURCE)) {
                (Some(source), None) => name = source,
                (None, Some(source)) => break Some(ProfileBase::named(section, source)?),
                (Some(_), Some(_)) => {
                    return Err(wrong(
                        section,
                        "profile contained both source_profile and credential_source",
                    ));
                }
                (None, None) => {
                    return Err(wrong(
                        section,
                        "profile must contain `source_profile` or `credential_source` but neither were \
                         defined",
                    ));
                }
            }
        };
        roles.reverse();
        match base {
            Some(base) => Ok(Some(ProfileChain { base, roles })),
            None if visited.len() == 1 && roles.is_empty() => Ok(None),
            None => Err(invalid(format!(
                "profile `{}` did not contain credential information",
                name.escape_debug()
            ))),
        }
    }

    /// Where the credentials begin.
    pub fn base(&self) -> &ProfileBase {
        &self.base
    }

    /// The roles, in the order in which they are assumed.
    pub fn roles(&self) -> &[ProfileRole] {
        &self.roles
    }
}

/// Where the credentials of a profile begin.
///
/// `Debug` shows no secret, and nothing of a command line, which may hold one.
#[derive(Clone)]
#[non_exhaustive]
pub enum ProfileBase {
    /// `credential_source`: whatever that is on this machine.
    Source {
        /// The profile that says so.
        profile: String,
        /// What it names.
        source: CredentialSource,
    },
    /// `login_session`: a session that somebody began on a console.
    Login {
        /// The profile that says so.
        profile: String,
        /// The session.
        session: String,
    },
    /// `credential_process`: what a command writes.
    Process {
        /// The profile that says so.
        profile: String,
        /// The command line.
        command: Zeroizing<String>,
        /// The account if the command names none.
        account_id: Option<String>,
    },
    /// `sso_session` or `sso_start_url`: the portal of IAM Identity Center.
    Sso(SsoSettings),
    /// Static keys.
    Static(Credentials),
    /// `web_identity_token_file`: a role by the token in a file.
    WebIdentity {
        /// The profile that says so.
        profile: String,
        /// The role.
        role_arn: String,
        /// The file.
        token_file: PathBuf,
        /// The session's name, if there is one.
        session_name: Option<String>,
        /// How long the credentials are to live, if that is said.
        duration: Option<Duration>,
    },
}

impl ProfileBase {
    /// What a profile says, but for a role and who is to assume it.
    fn of(profiles: &ProfileSet, section: &Section) -> Result<Option<ProfileBase>, ProviderError> {
        let filled = |name| filled(section, name);
        let owned = |name| filled(name).map(str::to_owned);
        let profile = || section.name().to_owned();
        if let Some(token_file) = filled(WEB_IDENTITY_FILE) {
            let role_arn = owned(ROLE_ARN).ok_or_else(|| {
                wrong(section, "`web_identity_token_file` was specified but `role_arn` was missing")
            })?;
            return Ok(Some(ProfileBase::WebIdentity {
                profile: profile(),
                role_arn,
                token_file: token_file.into(),
                session_name: owned(SESSION_NAME),
                duration: duration(section)?,
            }));
        }
        if let Some(source) = filled(CREDENTIAL_SOURCE) {
            return ProfileBase::named(section, source).map(Some);
        }
        if let Some(settings) = SsoSettings::of(profiles, section)? {
            return Ok(Some(ProfileBase::Sso(settings)));
        }
        if let Some(session) = owned(LOGIN_SESSION) {
            return Ok(Some(ProfileBase::Login { profile: profile(), session }));
        }
        if let Some(command) = filled(CREDENTIAL_PROCESS) {
            return Ok(Some(ProfileBase::Process {
                profile: profile(),
                command: Zeroizing::new(command.to_owned()),
                account_id: owned(ACCOUNT_ID),
            }));
        }
        Ok(static_keys(section)?.map(ProfileBase::Static))
    }

    fn named(section: &Section, source: &str) -> Result<ProfileBase, ProviderError> {
        let named = CredentialSource::ALL
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(source));
        let source = named.ok_or_else(|| {
            let shown = source.escape_debug();
            wrong(
                section,
                &format!(
                    "profile referenced `{shown}` provider but that provider is not supported"
                ),
            )
        })?;
        Ok(ProfileBase::Source { profile: section.name().to_owned(), source })
    }

    /// Whether both mean the same, so that one provider serves for both. Static keys need none.
    pub(super) fn is_same(&self, other: &ProfileBase) -> bool {
        match (self, other) {
            (
                ProfileBase::Source { profile, source },
                ProfileBase::Source { profile: other_profile, source: other },
            ) => profile == other_profile && source == other,
            (
                ProfileBase::Login { profile, session },
                ProfileBase::Login { profile: other_profile, session: other },
            ) => profile == other_profile && session == other,
            (ProfileBase::Sso(settings), ProfileBase::Sso(other)) => settings == other,
            // The others keep nothing from one time to the next.
            _ => false,
        }
    }
}

impl fmt::Debug for ProfileBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProfileBase::Source { profile, source } => {
                write!(f, "Source({} of {profile})", source.as_str())
            }
            ProfileBase::Login { profile, .. } => write!(f, "Login({profile})"),
            ProfileBase::Process { profile, .. } => write!(f, "Process({profile})"),
            ProfileBase::Sso(settings) => settings.fmt(f),
            ProfileBase::Static(credentials) => f.debug_tuple("Static").field(credentials).finish(),
            ProfileBase::WebIdentity { profile, role_arn, .. } => {
                write!(f, "WebIdentity({role_arn} of {profile})")
            }
        }
    }
}

/// What `credential_source` may name. The case does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialSource {
    /// The metadata service of an EC2 instance.
    Ec2InstanceMetadata,
    /// The endpoint of a container.
    EcsContainer,
    /// The environment.
    Environment,
}

impl CredentialSource {
    const ALL: [CredentialSource; 3] = [
        CredentialSource::Ec2InstanceMetadata,
        CredentialSource::EcsContainer,
        CredentialSource::Environment,
    ];

    /// The source as a profile names it.
    ///
    /// ```
    /// # use countersign::providers::CredentialSource;
    /// assert_eq!(CredentialSource::EcsContainer.as_str(), "EcsContainer");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialSource::Ec2InstanceMetadata => "Ec2InstanceMetadata",
            CredentialSource::EcsContainer => "EcsContainer",
            CredentialSource::Environment => "Environment",
        }
    }
}

/// What a profile says of IAM Identity Center.
///
/// With an account and a role it is about credentials; with neither, about a bearer token alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsoSettings {
    profile: Option<String>,
    session: Option<String>,
    region: String,
    start_url: String,
    account_and_role: Option<(String, String)>,
}

impl SsoSettings {
    /// Settings named in code: the region of the portal, and where a user signs in. The token is the one
    /// that is kept for the start URL, and nothing is said of a role.
    ///
    /// ```
    /// use countersign::providers::SsoSettings;
    ///
    /// let settings = SsoSettings::new("eu-west-1", "https://cats.awsapps.com/start")
    ///     .with_session("cats")
    ///     .with_role("123456789012", "Audit");
    /// assert_eq!(settings.role_name(), Some("Audit"));
    /// ```
    pub fn new(region: impl Into<String>, start_url: impl Into<String>) -> SsoSettings {
        SsoSettings {
            profile: None,
            session: None,
            region: region.into(),
            start_url: start_url.into(),
            account_and_role: None,
        }
    }

    /// What a profile says; `Ok(None)` if it says nothing of IAM Identity Center.
    ///
    /// # Errors
    /// A profile that is not there, or that says half of what is needed.
    pub fn from_profile(
        profiles: &ProfileSet,
        profile: &str,
    ) -> Result<Option<SsoSettings>, ProviderError> {
        let section =
            profiles.profile(profile).ok_or_else(|| not_there(profiles, profile, None))?;
        SsoSettings::of(profiles, section)
    }

    /// The same settings with a session's name, for which the token is kept.
    #[must_use]
    pub fn with_session(self, name: impl Into<String>) -> SsoSettings {
        SsoSettings { session: Some(name.into()), ..self }
    }

    /// The same settings with the account and the name of the role in it.
    #[must_use]
    pub fn with_role(
        self,
        account_id: impl Into<String>,
        role_name: impl Into<String>,
    ) -> SsoSettings {
        SsoSettings { account_and_role: Some((account_id.into(), role_name.into())), ..self }
    }

    fn of(profiles: &ProfileSet, section: &Section) -> Result<Option<SsoSettings>, ProviderError> {
        let own = |name| filled(section, name);
        let profile = section.name().escape_debug();
        let account_and_role = match (own(SSO_ACCOUNT_ID), own(SSO_ROLE_NAME)) {
            (Some(account), Some(role)) => Some((account.to_owned(), role.to_owned())),
            (None, None) => None,
            (None, Some(_)) => return Err(half(section, SSO_ROLE_NAME, SSO_ACCOUNT_ID)),
            (Some(_), None) => return Err(half(section, SSO_ACCOUNT_ID, SSO_ROLE_NAME)),
        };
        let session = own(SSO_SESSION);
        let (region, start_url) = match session {
            Some(name) => {
                if let Some(setting) =
                    [SSO_REGION, SSO_START_URL].into_iter().find(|name| own(name).is_some())
                {
                    return Err(wrong(
                        section,
                        &format!(
                            "`{setting}` can only be specified in the [sso-session] config when a session \
                             name is given"
                        ),
                    ));
                }
                let session = profiles.sso_session(name).ok_or_else(|| {
                    invalid(format!(
                        "sso-session named `{}` (referenced by profile `{profile}`) was not found{}",
                        name.escape_debug(),
                        profiles.ignored(name)
                    ))
                })?;
                (filled(session, SSO_REGION), filled(session, SSO_START_URL))
            }
            None if own(SSO_START_URL).is_none()
                && own(SSO_REGION).is_none()
                && account_and_role.is_none() =>
            {
                return Ok(None);
            }
            None => (own(SSO_REGION), own(SSO_START_URL)),
        };
        let needed = |value: Option<&str>, name: &str| {
            let place = match session {
                Some(session) => format!("the sso-session `{}`", session.escape_debug()),
                None => format!("the profile `{profile}`"),
            };
            value.map(str::to_owned).ok_or_else(|| invalid(format!("{place} is missing {name}")))
        };
        Ok(Some(SsoSettings {
            region: needed(region, SSO_REGION)?,
            start_url: needed(start_url, SSO_START_URL)?,
            profile: Some(section.name().to_owned()),
            session: session.map(str::to_owned),
            account_and_role,
        }))
    }

    /// The profile that says so; `None` if code does.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The `[sso-session]`, if there is one.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The region of the portal.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Where a user signs in.
    pub fn start_url(&self) -> &str {
        &self.start_url
    }

    /// The account, if it is about credentials.
    pub fn account_id(&self) -> Option<&str> {
        self.account_and_role.as_ref().map(|(account, _)| account.as_str())
    }

    /// The name of the role, if it is about credentials.
    pub fn role_name(&self) -> Option<&str> {
        self.account_and_role.as_ref().map(|(_, role)| role.as_str())
    }
}

/// A role that a profile says to assume.
#[derive(Clone, Debug)]
pub struct ProfileRole {
    profile: String,
    request: AssumeRole,
}

impl ProfileRole {
    fn of(section: &Section, role_arn: &str) -> Result<ProfileRole, ProviderError> {
        let mut request = AssumeRole::new(role_arn).of_a_profile();
        if let Some(name) = filled(section, SESSION_NAME) {
            request = request.with_session_name(name);
        }
        if let Some(id) = filled(section, EXTERNAL_ID) {
            request = request.with_external_id(id);
        }
        if let Some(serial) = filled(section, MFA_SERIAL) {
            request = request.with_mfa_serial(serial);
        }
        if let Some(duration) = duration(section)? {
            request = request.with_duration(duration);
        }
        Ok(ProfileRole { profile: section.name().to_owned(), request })
    }

    /// The profile that says so.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// The ARN of the role.
    pub fn role_arn(&self) -> &str {
        self.request.role_arn()
    }

    /// The session's name, if there is one.
    pub fn session_name(&self) -> Option<&str> {
        self.request.session_name()
    }

    /// The word by which the role's owner knows who asks.
    pub fn external_id(&self) -> Option<&str> {
        self.request.external_id()
    }

    /// The device that the role asks a code of.
    pub fn mfa_serial(&self) -> Option<&str> {
        self.request.mfa_serial()
    }

    /// What STS is asked.
    pub fn request(&self) -> &AssumeRole {
        &self.request
    }
}

/// The role of a profile. One that is left blank beside whom to assume it with was meant to be one: without it
/// others would be signed for.
fn role(section: &Section) -> Result<Option<&str>, ProviderError> {
    let role = filled(section, ROLE_ARN);
    let mut sources = [SOURCE_PROFILE, CREDENTIAL_SOURCE].into_iter();
    let source = sources.find(|source| filled(section, source).is_some());
    match (role, section.get(ROLE_ARN), source) {
        (None, Some(_), Some(source)) => {
            let message =
                format!("`{ROLE_ARN}` is blank beside `{source}`: name the role, or delete both");
            Err(wrong(section, &message))
        }
        _ => Ok(role),
    }
}

/// How long the credentials of a profile's role are to live, if it says so.
fn duration(section: &Section) -> Result<Option<Duration>, ProviderError> {
    let Some(seconds) = filled(section, DURATION) else { return Ok(None) };
    let seconds = seconds.trim().parse().map_err(|_| {
        let shown = seconds.escape_debug();
        wrong(section, &format!("{DURATION} is `{shown}`, and must be a whole number"))
    })?;
    Ok(Some(Duration::from_secs(seconds)))
}

/// The static keys of a profile, if it has any.
fn static_keys(section: &Section) -> Result<Option<Credentials>, ProviderError> {
    let filled = |name| filled(section, name);
    let all = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN];
    let is_broken = |value: &str| value.contains(char::is_control);
    if let Some(name) = all.into_iter().find(|name| filled(name).is_some_and(is_broken)) {
        // No key has one, and a service would say no more than that the signature is wrong.
        return Err(wrong(
            section,
            &format!(
                "{name} holds a line break or another control character. An indented line goes on with the \
                 value above it: a comment begins in the first column"
            ),
        ));
    }
    let missing = |setting: &str| {
        wrong(section, &format!("it holds half of the static keys: profile missing {setting}"))
    };
    let token = filled(SESSION_TOKEN);
    let (id, secret) = match (filled(ACCESS_KEY_ID), filled(SECRET_ACCESS_KEY)) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) if token.is_none() => return Ok(None),
        (Some(_), None) => return Err(missing(SECRET_ACCESS_KEY)),
        (None, _) => return Err(missing(ACCESS_KEY_ID)),
    };
    let mut credentials = Credentials::new(id, secret);
    if let Some(token) = token {
        credentials = credentials.with_session_token(token);
    }
    if let Some(account_id) = filled(ACCOUNT_ID) {
        credentials = credentials.with_account_id(account_id);
    }
    Ok(Some(credentials))
}

/// The value of a property that is there and says something.
fn filled<'s>(section: &'s Section, name: &str) -> Option<&'s str> {
    section.get(name).filter(|value| !value.trim().is_empty())
}

fn not_there(profiles: &ProfileSet, name: &str, from: Option<&str>) -> ProviderError {
    let shown = name.escape_debug();
    let Some(from) = from else {
        let places = profiles.places();
        let lead = match profiles.profiles().next() {
            Some(_) => "",
            None => "No profiles were defined: ",
        };
        let ignored = profiles.ignored(name);
        let message =
            format!("{lead}The config profile ({shown}) could not be found in {places}{ignored}");
        return ProviderError::new(NAME, ProviderErrorKind::MissingProfile, message);
    };
    invalid(format!(
        "could not find source profile {shown} referenced from {}{}",
        from.escape_debug(),
        profiles.ignored(name)
    ))
}

fn circle(visited: &[&str], again: &str) -> ProviderError {
    invalid(format!(
        "profile formed an infinite loop. first we loaded {visited:?}, then attempted to reload {}",
        again.escape_debug()
    ))
}

fn half(section: &Section, present: &str, missing: &str) -> ProviderError {
    wrong(section, &format!("if `{present}` is set, then `{missing}` must also be set"))
}

fn wrong(section: &Section, problem: &str) -> ProviderError {
    invalid(format!("the profile `{}` is wrong: {problem}", section.name().escape_debug()))
}

fn invalid(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
}

const ACCOUNT_ID: &str = "aws_account_id";
const CREDENTIAL_PROCESS: &str = "credential_process";
const CREDENTIAL_SOURCE: &str = "credential_source";
const DURATION: &str = "duration_seconds";
const EXTERNAL_ID: &str = "external_id";
const LOGIN_SESSION: &str = "login_session";
const MFA_SERIAL: &str = "mfa_serial";
const ROLE_ARN: &str = "role_arn";
const SESSION_NAME: &str = "role_session_name";
const SOURCE_PROFILE: &str = "source_profile";
const SSO_ACCOUNT_ID: &str = "sso_account_id";
const SSO_REGION: &str = "sso_region";
const SSO_ROLE_NAME: &str = "sso_role_name";
const SSO_SESSION: &str = "sso_session";
const SSO_START_URL: &str = "sso_start_url";
const WEB_IDENTITY_FILE: &str = "web_identity_token_file";
