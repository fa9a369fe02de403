//! What can be asked of STS.

use std::{
    fmt,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use zeroize::Zeroizing;

use super::form::{Form, Limits};
use crate::providers::ProviderError;

/// A request for the credentials of a role.
///
/// The limits of STS are checked before it is sent: an error then names the field.
///
/// ```
/// use std::time::Duration;
/// use countersign::providers::AssumeRole;
///
/// let role = AssumeRole::new("arn:aws:iam::123456789012:role/audit")
///     .with_session_name("cat")
///     .with_external_id("an agreed word")
///     .with_duration(Duration::from_secs(60 * 60))
///     .with_tag("team", "cats")
///     .with_transitive_tag("team");
/// assert_eq!(role.role_arn(), "arn:aws:iam::123456789012:role/audit");
/// ```
#[derive(Clone)]
pub struct AssumeRole {
    role_arn: String,
    session_name: Option<String>,
    /// What a default session name begins with.
    prefix: &'static str,
    scope: SessionScope,
    duration: Option<Duration>,
    tags: Vec<(String, String)>,
    transitive_tags: Vec<String>,
    external_id: Option<String>,
    mfa: Mfa,
    source_identity: Option<String>,
    contexts: Vec<(String, Zeroizing<String>)>,
}

impl AssumeRole {
    /// The role with this ARN, with nothing else said.
    pub fn new(role_arn: impl Into<String>) -> AssumeRole {
        AssumeRole {
            role_arn: role_arn.into(),
            session_name: None,
            prefix: "countersign",
            scope: SessionScope::default(),
            duration: None,
            tags: Vec::new(),
            transitive_tags: Vec::new(),
            external_id: None,
            mfa: Mfa::default(),
            source_identity: None,
            contexts: Vec::new(),
        }
    }

    /// The ARN of the role.
    pub fn role_arn(&self) -> &str {
        &self.role_arn
    }

    /// The session's name, if one was given.
    pub fn session_name(&self) -> Option<&str> {
        self.session_name.as_deref()
    }

    /// The word by which the role's owner knows who asks.
    pub fn external_id(&self) -> Option<&str> {
        self.external_id.as_deref()
    }

    /// The serial number or ARN of the device that the role asks a code of.
    pub fn mfa_serial(&self) -> Option<&str> {
        self.mfa.serial.as_deref()
    }

    /// The session's name, 2 to 64 of letters, digits and `_+=,.@-`. Without one, it is made of the time.
    #[must_use]
    pub fn with_session_name(self, name: impl Into<String>) -> AssumeRole {
        AssumeRole { session_name: Some(name.into()), ..self }
    }

    /// How long the credentials are to live: whole seconds, from 15 minutes to 12 hours.
    #[must_use]
    pub fn with_duration(self, duration: Duration) -> AssumeRole {
        AssumeRole { duration: Some(duration), ..self }
    }

    /// The word by which the role's owner knows who asks.
    #[must_use]
    pub fn with_external_id(self, id: impl Into<String>) -> AssumeRole {
        AssumeRole { external_id: Some(id.into()), ..self }
    }

    /// A policy, in JSON, that narrows what the session may do.
    #[must_use]
    pub fn with_policy(self, policy: impl Into<String>) -> AssumeRole {
        AssumeRole { scope: self.scope.with_policy(policy.into()), ..self }
    }

    /// One more managed policy that narrows what the session may do.
    #[must_use]
    pub fn with_policy_arn(self, arn: impl Into<String>) -> AssumeRole {
        AssumeRole { scope: self.scope.with_policy_arn(arn.into()), ..self }
    }

    /// One more tag of the session, 50 at most.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> AssumeRole {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// One more key of a tag that goes along when the session assumes further roles.
    #[must_use]
    pub fn with_transitive_tag(mut self, key: impl Into<String>) -> AssumeRole {
        self.transitive_tags.push(key.into());
        self
    }

    /// Who is behind the session; it stays in further roles and in logs.
    #[must_use]
    pub fn with_source_identity(self, identity: impl Into<String>) -> AssumeRole {
        AssumeRole { source_identity: Some(identity.into()), ..self }
    }

    /// One more context assertion of a provider, 5 at most.
    #[must_use]
    pub fn with_provided_context(
        mut self,
        provider_arn: impl Into<String>,
        assertion: impl Into<String>,
    ) -> AssumeRole {
        self.contexts.push((provider_arn.into(), Zeroizing::new(assertion.into())));
        self
    }

    /// The device that the role asks a code of.
    #[must_use]
    pub fn with_mfa_serial(self, serial: impl Into<String>) -> AssumeRole {
        AssumeRole { mfa: Mfa { serial: Some(serial.into()), ..self.mfa }, ..self }
    }

    /// The six digits that the device shows. They are good for one request.
    #[must_use]
    pub fn with_mfa_code(self, code: impl Into<String>) -> AssumeRole {
        AssumeRole { mfa: self.mfa.with_code(code.into()), ..self }
    }

    pub(in crate::providers) fn of_a_profile(self) -> AssumeRole {
        AssumeRole { prefix: "assume-role-from-profile", ..self }
    }

    pub(super) fn form(&self, now: SystemTime) -> Result<Form, ProviderError> {
        let mut form = Form::new(ROLE, "AssumeRole").about(&self.role_arn);
        form.field("RoleArn", &self.role_arn, &ARN)?;
        session_name(&mut form, self.session_name.as_deref(), self.prefix, now)?;
        self.scope.write(&mut form)?;
        form.duration(self.duration, OF_A_ROLE)?;
        write_tags(&mut form, &self.tags)?;
        form.at_most(MOST_TAGS, "TransitiveTagKeys", self.transitive_tags.len())?;
        for (number, key) in (1..).zip(&self.transitive_tags) {
            form.field(format_args!("TransitiveTagKeys.member.{number}"), key, &TAG_KEY)?;
        }
        if let Some(id) = &self.external_id {
            form.field("ExternalId", id, &Limits::words(2, 1224, "+=,.@:/-"))?;
        }
        self.mfa.write(&mut form)?;
        if let Some(identity) = &self.source_identity {
            form.field("SourceIdentity", identity, &SESSION_NAME)?;
        }
        form.at_most(MOST_CONTEXTS, "ProvidedContexts", self.contexts.len())?;
        for (number, (provider, assertion)) in (1..).zip(&self.contexts) {
            let name = format!("ProvidedContexts.member.{number}");
            form.field(format_args!("{name}.ProviderArn"), provider, &ARN)?;
            form.secret(&format!("{name}.ContextAssertion"), assertion, &Limits::any(4, 2048))?;
        }
        Ok(form)
    }
}

impl fmt::Debug for AssumeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRole")
            .field("role_arn", &self.role_arn)
            .field("session_name", &self.session_name)
            .field("duration", &self.duration)
            .field("mfa_serial", &self.mfa.serial)
            .finish_non_exhaustive()
    }
}

/// A request for the credentials of a role by the token of an OpenID Connect provider.
///
/// ```
/// use countersign::providers::AssumeRoleWithWebIdentity;
///
/// let role = AssumeRoleWithWebIdentity::new("arn:aws:iam::123456789012:role/pod", "a token")
///     .with_session_name("cat");
/// assert!(!format!("{role:?}").contains("a token"));
/// ```
#[derive(Clone)]
pub struct AssumeRoleWithWebIdentity {
    role_arn: String,
    token: Zeroizing<String>,
    session_name: Option<String>,
    scope: SessionScope,
    duration: Option<Duration>,
}

impl AssumeRoleWithWebIdentity {
    /// The role with this ARN, by this token.
    pub fn new(role_arn: impl Into<String>, token: impl Into<String>) -> AssumeRoleWithWebIdentity {
        AssumeRoleWithWebIdentity {
            role_arn: role_arn.into(),
            token: Zeroizing::new(token.into()),
            session_name: None,
            scope: SessionScope::default(),
            duration: None,
        }
    }

    /// The session's name, 2 to 64 of letters, digits and `_+=,.@-`. Without one, it is made of the time.
    #[must_use]
    pub fn with_session_name(self, name: impl Into<String>) -> AssumeRoleWithWebIdentity {
        AssumeRoleWithWebIdentity { session_name: Some(name.into()), ..self }
    }

    /// How long the credentials are to live: whole seconds, from 15 minutes to 12 hours.
    #[must_use]
    pub fn with_duration(self, duration: Duration) -> AssumeRoleWithWebIdentity {
        AssumeRoleWithWebIdentity { duration: Some(duration), ..self }
    }

    /// A policy, in JSON, that narrows what the session may do.
    #[must_use]
    pub fn with_policy(self, policy: impl Into<String>) -> AssumeRoleWithWebIdentity {
        AssumeRoleWithWebIdentity { scope: self.scope.with_policy(policy.into()), ..self }
    }

    /// One more managed policy that narrows what the session may do.
    #[must_use]
    pub fn with_policy_arn(self, arn: impl Into<String>) -> AssumeRoleWithWebIdentity {
        AssumeRoleWithWebIdentity { scope: self.scope.with_policy_arn(arn.into()), ..self }
    }

    pub(super) fn form(&self, now: SystemTime) -> Result<Form, ProviderError> {
        let mut form = Form::new(WEB_IDENTITY, "AssumeRoleWithWebIdentity").about(&self.role_arn);
        form.field("RoleArn", &self.role_arn, &ARN)?;
        session_name(&mut form, self.session_name.as_deref(), "web-identity-token", now)?;
        form.secret("WebIdentityToken", &self.token, &Limits::any(4, 20_000))?;
        self.scope.write(&mut form)?;
        form.duration(self.duration, OF_A_ROLE)?;
        Ok(form)
    }
}

impl fmt::Debug for AssumeRoleWithWebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRoleWithWebIdentity")
            .field("role_arn", &self.role_arn)
            .field("session_name", &self.session_name)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

/// A request for the credentials of a role by an assertion of a SAML identity provider.
///
/// ```
/// use countersign::providers::AssumeRoleWithSaml;
///
/// let role = AssumeRoleWithSaml::new(
///     "arn:aws:iam::123456789012:role/staff",
///     "arn:aws:iam::123456789012:saml-provider/directory",
///     "PHNhbWxwOlJlc3BvbnNl",
/// );
/// assert!(!format!("{role:?}").contains("PHNhbWxw"));
/// ```
#[derive(Clone)]
pub struct AssumeRoleWithSaml {
    role_arn: String,
    principal_arn: String,
    assertion: Zeroizing<String>,
    scope: SessionScope,
    duration: Option<Duration>,
}

impl AssumeRoleWithSaml {
    /// The role with this ARN, by this assertion, in base64, of the identity provider with that ARN.
    pub fn new(
        role_arn: impl Into<String>,
        principal_arn: impl Into<String>,
        assertion: impl Into<String>,
    ) -> AssumeRoleWithSaml {
        AssumeRoleWithSaml {
            role_arn: role_arn.into(),
            principal_arn: principal_arn.into(),
            assertion: Zeroizing::new(assertion.into()),
            scope: SessionScope::default(),
            duration: None,
        }
    }

    /// How long the credentials are to live: whole seconds, from 15 minutes to 12 hours.
    #[must_use]
    pub fn with_duration(self, duration: Duration) -> AssumeRoleWithSaml {
        AssumeRoleWithSaml { duration: Some(duration), ..self }
    }

    /// A policy, in JSON, that narrows what the session may do.
    #[must_use]
    pub fn with_policy(self, policy: impl Into<String>) -> AssumeRoleWithSaml {
        AssumeRoleWithSaml { scope: self.scope.with_policy(policy.into()), ..self }
    }

    /// One more managed policy that narrows what the session may do.
    #[must_use]
    pub fn with_policy_arn(self, arn: impl Into<String>) -> AssumeRoleWithSaml {
        AssumeRoleWithSaml { scope: self.scope.with_policy_arn(arn.into()), ..self }
    }

    pub(super) fn form(&self) -> Result<Form, ProviderError> {
        let mut form = Form::new(SAML, "AssumeRoleWithSAML").about(&self.role_arn);
        form.field("RoleArn", &self.role_arn, &ARN)?;
        form.field("PrincipalArn", &self.principal_arn, &ARN)?;
        form.secret("SAMLAssertion", &self.assertion, &Limits::any(4, 100_000))?;
        self.scope.write(&mut form)?;
        form.duration(self.duration, OF_A_ROLE)?;
        Ok(form)
    }
}

impl fmt::Debug for AssumeRoleWithSaml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRoleWithSaml")
            .field("role_arn", &self.role_arn)
            .field("principal_arn", &self.principal_arn)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

/// A request for temporary credentials of the user who asks.
///
/// ```
/// use countersign::providers::SessionToken;
///
/// let request = SessionToken::new()
///     .with_mfa_serial("arn:aws:iam::123456789012:mfa/cat")
///     .with_mfa_code("123456");
/// assert!(!format!("{request:?}").contains("123456\""));
/// ```
#[derive(Clone, Default)]
pub struct SessionToken {
    duration: Option<Duration>,
    mfa: Mfa,
}

impl SessionToken {
    /// A request with nothing said.
    pub fn new() -> SessionToken {
        SessionToken::default()
    }

    /// The serial number or ARN of the device that shows codes.
    pub fn mfa_serial(&self) -> Option<&str> {
        self.mfa.serial.as_deref()
    }

    /// How long the credentials are to live: whole seconds, from 15 minutes to 36 hours.
    #[must_use]
    pub fn with_duration(self, duration: Duration) -> SessionToken {
        SessionToken { duration: Some(duration), ..self }
    }

    /// The device that shows codes.
    #[must_use]
    pub fn with_mfa_serial(self, serial: impl Into<String>) -> SessionToken {
        SessionToken { mfa: Mfa { serial: Some(serial.into()), ..self.mfa }, ..self }
    }

    /// The six digits that the device shows. They are good for one request.
    #[must_use]
    pub fn with_mfa_code(self, code: impl Into<String>) -> SessionToken {
        SessionToken { mfa: self.mfa.with_code(code.into()), ..self }
    }

    pub(super) fn form(&self) -> Result<Form, ProviderError> {
        let mut form = Form::new(SESSION_TOKEN, "GetSessionToken");
        form.duration(self.duration, OF_A_USER)?;
        self.mfa.write(&mut form)?;
        Ok(form)
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken")
            .field("duration", &self.duration)
            .field("mfa_serial", &self.mfa.serial)
            .finish_non_exhaustive()
    }
}

/// A request for temporary credentials for somebody that the user who asks vouches for.
///
/// ```
/// use countersign::providers::FederationToken;
///
/// let request = FederationToken::new("kitten").with_tag("litter", "2026");
/// # let _ = request;
/// ```
#[derive(Clone, Debug)]
pub struct FederationToken {
    name: String,
    scope: SessionScope,
    duration: Option<Duration>,
    tags: Vec<(String, String)>,
}

impl FederationToken {
    /// Credentials for somebody of this name, 2 to 32 of letters, digits and `_+=,.@-`.
    pub fn new(name: impl Into<String>) -> FederationToken {
        FederationToken {
            name: name.into(),
            scope: SessionScope::default(),
            duration: None,
            tags: Vec::new(),
        }
    }

    /// How long the credentials are to live: whole seconds, from 15 minutes to 36 hours.
    #[must_use]
    pub fn with_duration(self, duration: Duration) -> FederationToken {
        FederationToken { duration: Some(duration), ..self }
    }

    /// A policy, in JSON, that says what the credentials may do. Without any they may do next to nothing.
    #[must_use]
    pub fn with_policy(self, policy: impl Into<String>) -> FederationToken {
        FederationToken { scope: self.scope.with_policy(policy.into()), ..self }
    }

    /// One more managed policy that says what the credentials may do.
    #[must_use]
    pub fn with_policy_arn(self, arn: impl Into<String>) -> FederationToken {
        FederationToken { scope: self.scope.with_policy_arn(arn.into()), ..self }
    }

    /// One more tag of the session, 50 at most.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> FederationToken {
        self.tags.push((key.into(), value.into()));
        self
    }

    pub(super) fn form(&self) -> Result<Form, ProviderError> {
        let mut form = Form::new(FEDERATION_TOKEN, "GetFederationToken").about(&self.name);
        form.field("Name", &self.name, &Limits::words(2, 32, "+=,.@-"))?;
        self.scope.write(&mut form)?;
        form.duration(self.duration, OF_A_USER)?;
        write_tags(&mut form, &self.tags)?;
        Ok(form)
    }
}

/// The policies that narrow what a session may do.
#[derive(Clone, Debug, Default)]
struct SessionScope {
    policy: Option<String>,
    policy_arns: Vec<String>,
}

impl SessionScope {
    fn with_policy(self, policy: String) -> SessionScope {
        SessionScope { policy: Some(policy), ..self }
    }

    fn with_policy_arn(mut self, arn: String) -> SessionScope {
        self.policy_arns.push(arn);
        self
    }

    fn write(&self, form: &mut Form) -> Result<(), ProviderError> {
        for (number, arn) in (1..).zip(&self.policy_arns) {
            form.field(format_args!("PolicyArns.member.{number}.arn"), arn, &ARN)?;
        }
        match &self.policy {
            Some(policy) => form.field("Policy", policy, &Limits::any(1, usize::MAX)),
            None => Ok(()),
        }
    }
}

/// A device that shows codes, and one of them.
#[derive(Clone, Default)]
struct Mfa {
    serial: Option<String>,
    code: Option<Zeroizing<String>>,
}

impl Mfa {
    fn with_code(self, code: String) -> Mfa {
        Mfa { code: Some(Zeroizing::new(code)), ..self }
    }

    fn write(&self, form: &mut Form) -> Result<(), ProviderError> {
        if let Some(serial) = &self.serial {
            form.field("SerialNumber", serial, &Limits::words(9, 256, "+=/:,.@-"))?;
        }
        match &self.code {
            Some(code) => form.secret("TokenCode", code, &Limits::digits(6)),
            None => Ok(()),
        }
    }
}

fn session_name(
    form: &mut Form,
    name: Option<&str>,
    prefix: &str,
    now: SystemTime,
) -> Result<(), ProviderError> {
    if let Some(name) = name {
        return form.field("RoleSessionName", name, &SESSION_NAME);
    }
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    form.field("RoleSessionName", &format!("{prefix}-{}", since.as_millis()), &SESSION_NAME)
}

fn write_tags(form: &mut Form, tags: &[(String, String)]) -> Result<(), ProviderError> {
    form.at_most(MOST_TAGS, "Tags", tags.len())?;
    for (number, (key, value)) in (1..).zip(tags) {
        form.field(format_args!("Tags.member.{number}.Key"), key, &TAG_KEY)?;
        form.field(format_args!("Tags.member.{number}.Value"), value, &Limits::any(0, 256))?;
    }
    Ok(())
}

pub(super) const ROLE: &str = "assume role";
pub(in crate::providers) const WEB_IDENTITY: &str = "web identity";
pub(super) const SAML: &str = "saml";
pub(super) const SESSION_TOKEN: &str = "session token";
pub(super) const FEDERATION_TOKEN: &str = "federation token";

// STS itself wants 20 characters or more; what speaks like it, and is none of AWS's, may not.
const ARN: Limits = Limits::any(1, 2048);
const SESSION_NAME: Limits = Limits::words(2, 64, "+=,.@-");
const TAG_KEY: Limits = Limits::any(1, 128);
const MOST_TAGS: usize = 50;
const MOST_CONTEXTS: usize = 5;
const OF_A_ROLE: RangeInclusive<u64> = 900..=43_200;
const OF_A_USER: RangeInclusive<u64> = 900..=129_600;
