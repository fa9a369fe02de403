//! IAM Roles Anywhere: the credentials of a role for a certificate.

mod answer;
mod certificate;
mod key;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use percent_encoding::utf8_percent_encode;
use zeroize::Zeroizing;

use self::{answer::credentials, certificate::Certificates, key::PrivateKey};
use super::{
    BoxFuture, Endpoint, EndpointService, Endpoints, Ports, ProfileProvider, ProvideCredentials,
    ProviderError, ProviderErrorKind,
    call::{Call, is_the_servers},
    exchange::{ESCAPED, Exchange, Refusal, address},
};
use crate::{Credentials, Head, Payload, Signer, Timestamp};

/// What is asked of Roles Anywhere: a role, through a profile, by a trust anchor.
///
/// ```
/// use std::time::Duration;
/// use countersign::providers::RolesAnywhere;
///
/// let request = RolesAnywhere::new(
///     "arn:aws:rolesanywhere:eu-west-1:123456789012:trust-anchor/0f1e2d3c",
///     "arn:aws:rolesanywhere:eu-west-1:123456789012:profile/4b5a6978",
///     "arn:aws:iam::123456789012:role/audit",
/// )
/// .with_duration(Duration::from_secs(15 * 60));
/// # let _ = request;
/// ```
#[derive(Clone, Debug)]
pub struct RolesAnywhere {
    trust_anchor_arn: String,
    profile_arn: String,
    role_arn: String,
    duration: Option<Duration>,
    session_name: Option<String>,
}

impl RolesAnywhere {
    /// The ARNs of the trust anchor, of the profile and of the role. The first two must be of one region,
    /// which is the one that is asked.
    pub fn new(
        trust_anchor_arn: impl Into<String>,
        profile_arn: impl Into<String>,
        role_arn: impl Into<String>,
    ) -> RolesAnywhere {
        RolesAnywhere {
            trust_anchor_arn: trust_anchor_arn.into(),
            profile_arn: profile_arn.into(),
            role_arn: role_arn.into(),
            duration: None,
            session_name: None,
        }
    }

    /// How long the credentials are to live: whole seconds, from 15 minutes to 12 hours; an hour unless
    /// this is called.
    #[must_use]
    pub fn with_duration(self, duration: Duration) -> RolesAnywhere {
        RolesAnywhere { duration: Some(duration), ..self }
    }

    /// The session's name, 2 to 64 of letters, digits and `_+=,.@-`. The profile must allow it; without
    /// one, it is the certificate's serial number.
    #[must_use]
    pub fn with_session_name(self, name: impl Into<String>) -> RolesAnywhere {
        RolesAnywhere { session_name: Some(name.into()), ..self }
    }

    /// The region of trust anchor and profile.
    fn region(&self) -> Result<&str, ProviderError> {
        let region = region("trust anchor", &self.trust_anchor_arn, "trust-anchor/")?;
        let of_profile = region_of_profile(&self.profile_arn)?;
        if region != of_profile {
            return Err(invalid(format!(
                "the trust anchor is of the region {region} and the profile of {of_profile}: both must be \
                 of one"
            )));
        }
        if arn(&self.role_arn, "iam", "role/").is_none() {
            return Err(invalid(format!("`{}` is no ARN of a role", shown(&self.role_arn))));
        }
        Ok(region)
    }

    fn query(&self) -> String {
        let value = |value| utf8_percent_encode(value, ESCAPED);
        format!(
            "profileArn={}&roleArn={}&trustAnchorArn={}",
            value(&self.profile_arn),
            value(&self.role_arn),
            value(&self.trust_anchor_arn)
        )
    }

    fn body(&self) -> Result<Bytes, ProviderError> {
        let duration = self.duration.unwrap_or(Duration::from_secs(3600));
        let seconds = duration.as_secs();
        if duration.subsec_nanos() != 0 || !(900..=43_200).contains(&seconds) {
            return Err(invalid(format!(
                "{ACTION} was not sent: the duration is {} seconds, and must be a whole number from 900 to \
                 43200",
                duration.as_secs_f64()
            )));
        }
        let mut body = serde_json::json!({ "durationSeconds": seconds });
        if let Some(name) = &self.session_name {
            let is_fit = |char: char| char.is_ascii_alphanumeric() || "_+=,.@-".contains(char);
            if !(2..=64).contains(&name.len()) || !name.chars().all(is_fit) {
                return Err(invalid(format!(
                    "{ACTION} was not sent: the session name `{}` must be 2 to 64 letters, digits and \
                     `_+=,.@-`",
                    shown(name)
                )));
            }
            body["roleSessionName"] = name.as_str().into();
        }
        Ok(body.to_string().into())
    }
}

/// The credentials of a role for a certificate, from IAM Roles Anywhere.
///
/// Certificate and private key are PEM files, read anew each time: whoever wrote them replaces them before
/// the certificate expires. The key is one of RSA (2048 to 4096 bits) or ECDSA (P-256, P-384), in PKCS#8,
/// PKCS#1 or SEC1, and not encrypted. Certificates behind the first are sent as its chain, and so are those
/// of the [chain's file](RolesAnywhereProvider::with_chain); more than five are too many.
///
/// The endpoint is that of the trust anchor's region, unless the environment or the selected profile
/// [configure](Endpoints) another. No profile names these settings: the provider is made in code.
///
/// Each time it asks the service; [`Cached`](super::Cached) keeps the answer.
///
/// ```
/// use countersign::providers::{Cached, Ports, RolesAnywhere, RolesAnywhereProvider};
///
/// let request = RolesAnywhere::new(
///     "arn:aws:rolesanywhere:eu-west-1:123456789012:trust-anchor/0f1e2d3c",
///     "arn:aws:rolesanywhere:eu-west-1:123456789012:profile/4b5a6978",
///     "arn:aws:iam::123456789012:role/audit",
/// );
/// let ports = Ports::system();
/// let provider = RolesAnywhereProvider::new(&ports, request, "/etc/cat/cert.pem", "/etc/cat/key.pem");
/// let cached = Cached::new(provider, &ports);
/// # let _ = cached;
/// ```
#[derive(Clone, Debug)]
pub struct RolesAnywhereProvider {
    ports: Ports,
    request: RolesAnywhere,
    certificate: PathBuf,
    private_key: PathBuf,
    chain: Option<PathBuf>,
    endpoint: Option<Endpoint>,
    timeout: Duration,
}

impl RolesAnywhereProvider {
    /// Asks by the certificate in one file and the private key in the other, which may be the same.
    pub fn new(
        ports: &Ports,
        request: RolesAnywhere,
        certificate: impl Into<PathBuf>,
        private_key: impl Into<PathBuf>,
    ) -> RolesAnywhereProvider {
        RolesAnywhereProvider {
            ports: ports.clone(),
            request,
            certificate: certificate.into(),
            private_key: private_key.into(),
            chain: None,
            endpoint: None,
            timeout: TIMEOUT,
        }
    }

    /// The same provider with a file of the certificates between the certificate and the trust anchor.
    #[must_use]
    pub fn with_chain(self, path: impl Into<PathBuf>) -> RolesAnywhereProvider {
        RolesAnywhereProvider { chain: Some(path.into()), ..self }
    }

    /// The same provider with this endpoint, whatever is configured. What signs keeps to the region of the
    /// trust anchor.
    #[must_use]
    pub fn with_endpoint(self, endpoint: Endpoint) -> RolesAnywhereProvider {
        RolesAnywhereProvider { endpoint: Some(endpoint), ..self }
    }

    /// The same provider with this much time for each attempt, 15 seconds unless this is called.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> RolesAnywhereProvider {
        RolesAnywhereProvider { timeout, ..self }
    }

    async fn ask(&self) -> Result<Credentials, ProviderError> {
        let region = self.request.region()?;
        let body = self.request.body()?;
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => self.configured(region)?,
        };
        let uri = address(&endpoint, &format!("/sessions?{}", self.request.query()), NAME)?;
        let (certificates, key) = (self.certificates()?, self.key()?);
        if !key.is_of(&certificates.public_key) {
            return Err(invalid(format!(
                "the private key in {} is not the one of the certificate in {}",
                self.private_key.display(),
                self.certificate.display()
            )));
        }
        let Self { ports, timeout, .. } = self;
        let call = Call { ports, provider: NAME, what: ACTION, timeout: *timeout };
        let request = || {
            let mut request = Request::new(body.clone());
            *request.method_mut() = Method::POST;
            *request.uri_mut() = uri.clone();
            self.sign(&mut request, region, &certificates, &key)?;
            Ok(request)
        };
        let may_pass = |response: &Response<Bytes>| {
            is_the_servers(response.status())
                || !response.status().is_success() && self.refusal(response).is_one_of(&PASSING)
        };
        let response = call.answer(request, may_pass).await?;
        if !response.status().is_success() {
            return Err(self.failure(&response));
        }
        let credentials = credentials(response.body()).map_err(|seen| {
            let message = format!(
                "{ACTION} failed: what {endpoint} answered is no answer of Roles Anywhere: {seen}"
            );
            ProviderError::new(NAME, ProviderErrorKind::Failed, message)
        })?;
        let account_id = arn(&self.request.role_arn, "iam", "role/").map(|arn| arn.account_id);
        Ok(match account_id {
            Some(account_id) => credentials.with_account_id(account_id),
            None => credentials,
        })
    }

    fn configured(&self, region: &str) -> Result<Endpoint, ProviderError> {
        let profile = ProfileProvider::new(&self.ports);
        let endpoints = Endpoints::load(&self.ports, &profile.load()?, &profile.selected()?)?;
        endpoints.find(EndpointService::RolesAnywhere, Some(region))
    }

    fn certificates(&self) -> Result<Certificates, ProviderError> {
        let problem = |path: &Path| {
            let path = path.display().to_string();
            move |seen: String| invalid(format!("the certificate file {path} {seen}"))
        };
        let read = |path: &Path| self.read("certificate", path);
        let certificate = &self.certificate;
        let mut certificates =
            Certificates::parse(&read(certificate)?).map_err(problem(certificate))?;
        if let Some(chain) = &self.chain {
            certificates.extend(&read(chain)?).map_err(problem(chain))?;
        }
        let count = certificates.chain.len();
        if count > LONGEST_CHAIN {
            let seen = format!("has {count} further ones in its chain, {LONGEST_CHAIN} at most");
            return Err(problem(certificate)(seen));
        }
        if certificates.not_after < self.ports.clock().now() {
            let at = Timestamp::try_from(certificates.not_after);
            let at = at.map(|at| at.to_string()).unwrap_or_default();
            // The next time there may be another one in its place.
            let message =
                format!("the certificate in {} expired at {at}: renew it", certificate.display());
            return Err(ProviderError::new(NAME, ProviderErrorKind::Failed, message));
        }
        Ok(certificates)
    }

    fn key(&self) -> Result<PrivateKey, ProviderError> {
        let path = &self.private_key;
        PrivateKey::parse(&self.read("private key", path)?)
            .map_err(|seen| invalid(format!("the private key file {} {seen}", path.display())))
    }

    fn read(&self, what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, ProviderError> {
        self.ports.files().read(path).map(Zeroizing::new).map_err(|error| {
            let message = format!("the {what} file {} could not be read", path.display());
            ProviderError::new(NAME, ProviderErrorKind::Failed, message).with_source(error)
        })
    }

    fn sign(
        &self,
        request: &mut Request<Bytes>,
        region: &str,
        certificates: &Certificates,
        key: &PrivateKey,
    ) -> Result<(), ProviderError> {
        let unfit = |_| invalid("the certificates are too long for a header".to_owned());
        let at = self.ports.clock().now();
        let own = HeaderValue::try_from(&certificates.own).map_err(unfit)?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().extend([(CONTENT_TYPE, json), (X509, own)]);
        if !certificates.chain.is_empty() {
            let chain = HeaderValue::try_from(certificates.chain.join(",")).map_err(unfit)?;
            request.headers_mut().insert(X509_CHAIN, chain);
        }
        let unsigned = |error| invalid(format!("{ACTION} could not be signed")).with_source(error);
        // All but the first line of what is signed is the same as for a secret access key; the one that
        // stands here signs nothing that is sent.
        let nobody = Credentials::new(&*certificates.serial, "none");
        let payload = Payload::hash(request.body());
        let explanation = Signer::new(region, SERVICE)
            .explain(Head::from(&*request), payload, &nobody, at)
            .map_err(unsigned)?;
        let (_, rest) = explanation.string_to_sign().split_once('\n').unwrap_or_default();
        let algorithm = key.algorithm();
        let signature = hex::encode(key.sign(format!("{algorithm}\n{rest}").as_bytes()));
        let authorization = format!(
            "{algorithm} Credential={}/{}, SignedHeaders={}, Signature={signature}",
            certificates.serial,
            explanation.scope(),
            explanation.signed_headers()
        );
        let date = Timestamp::try_from(at).map_err(unsigned)?;
        let headers = [
            (HeaderName::from_static("x-amz-date"), date.to_string()),
            (AUTHORIZATION, authorization),
        ];
        for (name, value) in headers {
            request.headers_mut().insert(name, HeaderValue::try_from(value).map_err(unfit)?);
        }
        Ok(())
    }

    fn refusal(&self, response: &Response<Bytes>) -> Refusal {
        let what = format!("{ACTION} of {}", shown(&self.request.role_arn));
        // Nothing secret was sent.
        Exchange { ports: &self.ports, provider: NAME, what: &what, secrets: Vec::new() }
            .refusal(response)
    }

    /// What an answer that is no success means.
    fn failure(&self, response: &Response<Bytes>) -> ProviderError {
        let (refusal, status) = (self.refusal(response), response.status());
        let passes = is_the_servers(status)
            || refusal.is_one_of(&PASSING)
            || !status.is_client_error()
            || status == StatusCode::REQUEST_TIMEOUT;
        let kind = if passes {
            ProviderErrorKind::Failed
        } else if refusal.is_one_of(&[DENIED]) {
            ProviderErrorKind::Refused
        } else {
            ProviderErrorKind::InvalidConfiguration
        };
        ProviderError::new(NAME, kind, refusal.text)
    }
}

impl ProvideCredentials for RolesAnywhereProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async { self.ask().await.map(Some) })
    }

    fn name(&self) -> &str {
        NAME
    }
}

/// What an ARN says.
struct Arn<'a> {
    region: &'a str,
    account_id: &'a str,
}

fn arn<'a>(text: &'a str, service: &str, resource: &str) -> Option<Arn<'a>> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next();
    let ("arn", Some(_), its_service, Some(region), Some(account_id), Some(rest)) =
        (next()?, next(), next()?, next(), next(), next())
    else {
        return None;
    };
    let is_one =
        its_service == service && rest.starts_with(resource) && rest.len() > resource.len();
    is_one.then_some(Arn { region, account_id })
}

fn region<'a>(what: &str, text: &'a str, resource: &str) -> Result<&'a str, ProviderError> {
    let arn = arn(text, SERVICE, resource).filter(|arn| !arn.region.is_empty());
    let arn = arn.ok_or_else(|| invalid(format!("`{}` is no ARN of a {what}", shown(text))))?;
    Ok(arn.region)
}

fn region_of_profile(text: &str) -> Result<&str, ProviderError> {
    region("profile of Roles Anywhere", text, "profile/")
}

/// What a configuration calls something, fit for a message.
fn shown(text: &str) -> String {
    text.chars().take(256).collect::<String>().escape_debug().to_string()
}

fn invalid(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
}

/// The code by which the service says that the certificate may not have the role.
const DENIED: &str = "AccessDeniedException";

/// Codes of errors that may be over soon, whatever the status.
const PASSING: [&str; 4] = [
    "InternalServerException",
    "ServiceUnavailableException",
    "ThrottlingException",
    "TooManyRequestsException",
];

const NAME: &str = "roles_anywhere";
const ACTION: &str = "CreateSession";
const SERVICE: &str = "rolesanywhere";
const X509: HeaderName = HeaderName::from_static("x-amz-x509");
const X509_CHAIN: HeaderName = HeaderName::from_static("x-amz-x509-chain");
const LONGEST_CHAIN: usize = 5;
const TIMEOUT: Duration = Duration::from_secs(15);
