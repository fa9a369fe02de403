//! The security token service: credentials for credentials, for a web identity or for an assertion.

pub(super) mod answer;
mod form;
mod mfa;
mod providers;
mod requests;

use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};

use self::{answer::Failure, form::Form};
use super::{
    BoxFuture, Endpoint, Endpoints, HttpErrorKind, HttpLimits, Ports, ProfileProvider,
    ProviderError, ProviderErrorKind, RegionChain, Skew,
};
use crate::{Credentials, Payload, Signer};

pub use mfa::MfaPrompt;
pub(super) use providers::from_base;
pub use providers::{
    AssumeRoleProvider, FederationTokenProvider, SamlProvider, SessionTokenProvider,
    WebIdentityProvider,
};
pub(super) use requests::WEB_IDENTITY;
pub use requests::{
    AssumeRole, AssumeRoleWithSaml, AssumeRoleWithWebIdentity, FederationToken, SessionToken,
};

/// A client of the security token service (STS), which gives temporary credentials.
///
/// It asks the endpoint of the region that a [`RegionChain`] finds, or the one that was
/// [configured](Endpoints). The answers' credentials have an expiry and
/// [static stability](Credentials::with_static_stability).
///
/// What may be over soon is tried up to three times, with a pause before each that grows and is up to
/// chance: no answer, a server's failure, throttling, an identity provider that STS could not reach.
/// Whatever else STS says is final, but that the time of a signature is wrong: then it is asked once more
/// by the time that its answer [tells](Skew).
///
/// ```
/// use countersign::{Credentials, providers::{AssumeRole, Ports, ProviderError, Sts}};
///
/// async fn audit(ports: &Ports, own: &Credentials) -> Result<Credentials, ProviderError> {
///     let role = AssumeRole::new("arn:aws:iam::123456789012:role/audit").with_session_name("cat");
///     Sts::new(ports).assume_role(own, &role).await
/// }
/// # let _ = audit;
/// ```
#[derive(Clone, Debug)]
pub struct Sts {
    ports: Ports,
    place: Place,
    timeout: Duration,
    /// What the answers said of the clock, for all clones.
    skew: Skew,
}

/// Where STS is.
#[derive(Clone)]
enum Place {
    /// As the environment and a profile say when it is asked, but for what was said in code.
    Ambient { profile: ProfileProvider, region: Option<String>, url: Option<String> },
    /// Here, or nowhere, which is an error once it is asked.
    At(Result<Endpoint, ProviderError>),
}

impl fmt::Debug for Place {
    /// Without the URL: nobody has looked yet at what stands in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Ambient { profile, region, .. } => f
                .debug_struct("Ambient")
                .field("profile", profile)
                .field("region", region)
                .finish_non_exhaustive(),
            Place::At(endpoint) => f.debug_tuple("At").field(endpoint).finish(),
        }
    }
}

impl Sts {
    /// STS as the environment and the selected profile say.
    pub fn new(ports: &Ports) -> Sts {
        Sts::of_profile(ports, ProfileProvider::new(ports))
    }

    /// STS at this endpoint, whatever is configured.
    ///
    /// ```
    /// use countersign::providers::{EndpointService, Endpoints, Ports, Sts};
    ///
    /// let ports = Ports::empty();
    /// let legacy = Endpoints::new(&ports).with_legacy_sts(true);
    /// let sts = Sts::at(&ports, legacy.find(EndpointService::Sts, Some("eu-west-1"))?);
    /// # let _ = sts;
    /// # Ok::<(), countersign::providers::ProviderError>(())
    /// ```
    pub fn at(ports: &Ports, endpoint: Endpoint) -> Sts {
        Sts::found(ports, Ok(endpoint))
    }

    pub(in crate::providers) fn found(
        ports: &Ports,
        endpoint: Result<Endpoint, ProviderError>,
    ) -> Sts {
        Sts {
            ports: ports.clone(),
            place: Place::At(endpoint),
            timeout: TIMEOUT,
            skew: Skew::new(),
        }
    }

    pub(in crate::providers) fn of_profile(ports: &Ports, profile: ProfileProvider) -> Sts {
        let place = Place::Ambient { profile, region: None, url: None };
        Sts { ports: ports.clone(), place, timeout: TIMEOUT, skew: Skew::new() }
    }

    /// The same client with the endpoint and the region of the profile named here, instead of
    /// `AWS_PROFILE`'s. Of one that is [at an endpoint](Sts::at) it changes nothing.
    ///
    /// ```
    /// use countersign::providers::{Ports, Sts};
    ///
    /// let sts = Sts::new(&Ports::system()).with_profile("work");
    /// # let _ = sts;
    /// ```
    #[must_use]
    pub fn with_profile(self, name: impl Into<String>) -> Sts {
        let place = match self.place {
            Place::Ambient { profile, region, url } => {
                Place::Ambient { profile: profile.with_name(name), region, url }
            }
            at => at,
        };
        Sts { place, ..self }
    }

    /// The same client with the region named here, before any that is configured.
    ///
    /// ```
    /// use countersign::providers::{Ports, Sts};
    ///
    /// let sts = Sts::new(&Ports::system()).with_region("eu-west-1");
    /// # let _ = sts;
    /// ```
    #[must_use]
    pub fn with_region(self, named: impl Into<String>) -> Sts {
        let named = named.into();
        let place = match self.place {
            Place::Ambient { profile, url, .. } => {
                Place::Ambient { profile, region: Some(named), url }
            }
            Place::At(endpoint) => Place::At(endpoint.map(|endpoint| endpoint.with_region(named))),
        };
        Sts { place, ..self }
    }

    /// The same client with the URL of the endpoint named here, before any that is configured; that of a
    /// VPC interface endpoint, say.
    ///
    /// What signs still needs a region.
    ///
    /// ```
    /// use countersign::providers::{Ports, Sts};
    ///
    /// let sts = Sts::new(&Ports::system())
    ///     .with_endpoint_url("https://vpce-0example.sts.eu-west-1.vpce.amazonaws.com");
    /// # let _ = sts;
    /// ```
    #[must_use]
    pub fn with_endpoint_url(self, named: impl Into<String>) -> Sts {
        let named = Some(named.into());
        let (profile, region) = match self.place {
            Place::Ambient { profile, region, .. } => (profile, region),
            Place::At(endpoint) => {
                let region =
                    endpoint.ok().and_then(|endpoint| endpoint.region().map(str::to_owned));
                (ProfileProvider::new(&self.ports), region)
            }
        };
        Sts { place: Place::Ambient { profile, region, url: named }, ..self }
    }

    /// The same client with this much time for each attempt, 15 seconds unless this is called.
    ///
    /// ```
    /// use std::time::Duration;
    /// use countersign::providers::{Ports, Sts};
    ///
    /// let sts = Sts::new(&Ports::system()).with_timeout(Duration::from_secs(5));
    /// # let _ = sts;
    /// ```
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Sts {
        Sts { timeout, ..self }
    }

    /// The credentials of a role (`AssumeRole`), asked for with others.
    ///
    /// # Errors
    /// A request that STS could only refuse, which is then not sent, and whatever STS says.
    pub fn assume_role<'a>(
        &'a self,
        base: &'a Credentials,
        request: &'a AssumeRole,
    ) -> BoxFuture<'a, Result<Credentials, ProviderError>> {
        Box::pin(async {
            let form = request.form(self.ports.clock().now())?;
            self.ask(&form, Some(base)).await
        })
    }

    /// The credentials of a role, asked for with the token of an OpenID Connect provider
    /// (`AssumeRoleWithWebIdentity`). The request is not signed.
    ///
    /// # Errors
    /// A request that STS could only refuse, which is then not sent, and whatever STS says.
    pub fn assume_role_with_web_identity<'a>(
        &'a self,
        request: &'a AssumeRoleWithWebIdentity,
    ) -> BoxFuture<'a, Result<Credentials, ProviderError>> {
        Box::pin(async {
            let form = request.form(self.ports.clock().now())?;
            self.ask(&form, None).await
        })
    }

    /// The credentials of a role, asked for with a SAML assertion (`AssumeRoleWithSAML`). The request is
    /// not signed.
    ///
    /// # Errors
    /// A request that STS could only refuse, which is then not sent, and whatever STS says.
    pub fn assume_role_with_saml<'a>(
        &'a self,
        request: &'a AssumeRoleWithSaml,
    ) -> BoxFuture<'a, Result<Credentials, ProviderError>> {
        Box::pin(async { self.ask(&request.form()?, None).await })
    }

    /// Temporary credentials of a user (`GetSessionToken`), for those that do not expire.
    ///
    /// # Errors
    /// A request that STS could only refuse, which is then not sent, and whatever STS says.
    pub fn session_token<'a>(
        &'a self,
        base: &'a Credentials,
        request: &'a SessionToken,
    ) -> BoxFuture<'a, Result<Credentials, ProviderError>> {
        Box::pin(async {
            let credentials = self.ask(&request.form()?, Some(base)).await?;
            Ok(match base.account_id() {
                Some(account_id) => credentials.with_account_id(account_id),
                None => credentials,
            })
        })
    }

    /// Temporary credentials for somebody that a user vouches for (`GetFederationToken`).
    ///
    /// # Errors
    /// A request that STS could only refuse, which is then not sent, and whatever STS says.
    pub fn federation_token<'a>(
        &'a self,
        base: &'a Credentials,
        request: &'a FederationToken,
    ) -> BoxFuture<'a, Result<Credentials, ProviderError>> {
        Box::pin(async { self.ask(&request.form()?, Some(base)).await })
    }

    /// Where STS is to be asked, what `signs` with the region of the place that it is in.
    pub(in crate::providers) async fn endpoint(
        &self,
        signs: bool,
    ) -> Result<Endpoint, ProviderError> {
        let (profile, region, url) = match &self.place {
            Place::At(endpoint) => return endpoint.clone(),
            Place::Ambient { profile, region, url } => (profile, region, url),
        };
        let name = profile.selected()?;
        let mut endpoints = Endpoints::load(&self.ports, &profile.load()?, &name)?;
        if let Some(url) = url {
            endpoints = endpoints.with_url(url);
        }
        let region = match region {
            Some(region) => Some(region.clone()),
            // Where it is known, and nothing is signed, nobody needs to know of a region.
            None if !signs && endpoints.named("sts")?.is_some() => None,
            None => RegionChain::of_profile(&self.ports, profile.clone()).for_sts(signs).await?,
        };
        endpoints.sts(region.as_deref(), signs)
    }

    /// Sends the form, signed if there is somebody to sign it, until there is an answer that stays.
    async fn ask(
        &self,
        form: &Form,
        signer: Option<&Credentials>,
    ) -> Result<Credentials, ProviderError> {
        let endpoint = self.endpoint(signer.is_some()).await?;
        let mut attempt = 1;
        loop {
            let refused = match self.ask_once(form, signer, &endpoint).await {
                Ok(credentials) => return Ok(credentials),
                Err(refused) => refused,
            };
            if !refused.is_worth_a_retry || attempt == ATTEMPTS {
                return Err(refused.error);
            }
            tracing::debug!(attempt, error = %refused.error, "asking STS again");
            self.ports.clock().sleep(self.pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn ask_once(
        &self,
        form: &Form,
        signer: Option<&Credentials>,
        endpoint: &Endpoint,
    ) -> Result<Credentials, Refused> {
        let clock = self.ports.clock();
        let (sent, signed_at) = (clock.now(), self.skew.now(clock));
        let request = self.request(form, signer, endpoint, signed_at)?;
        let mut limits = HttpLimits::new(self.timeout).with_connect(self.timeout.min(CONNECT));
        limits.max_body = MOST_ANSWER;
        let response = self.ports.http().send(request, limits).await.map_err(|error| {
            let (kind, is_worth_a_retry) = match error.kind() {
                HttpErrorKind::Unavailable => (ProviderErrorKind::Unsupported, false),
                HttpErrorKind::TooLarge => (ProviderErrorKind::Failed, false),
                _ => (ProviderErrorKind::Failed, true),
            };
            let message = format!("{} got no answer from {}", form.action(), endpoint.url());
            let error = ProviderError::new(form.provider(), kind, message).with_source(error);
            Refused { error, is_worth_a_retry }
        })?;
        self.skew.observe(response.headers(), sent, clock.now());
        if response.status() == StatusCode::OK {
            let granted = answer::credentials(form.action(), response.body());
            return Ok(granted.map_err(|seen| {
                form.failed(format_args!(
                    "what {} answered is no answer of STS: {seen}",
                    endpoint.url()
                ))
            })?);
        }
        let is_skewed = signer.is_some() && off(signed_at, self.skew.now(clock)) > MOST_SKEW;
        Err(self.failure(form, signer, endpoint, &response, is_skewed))
    }

    fn request(
        &self,
        form: &Form,
        signer: Option<&Credentials>,
        endpoint: &Endpoint,
        at: SystemTime,
    ) -> Result<Request<Bytes>, ProviderError> {
        // What the HTTP client is given cannot be wiped.
        let body = Bytes::copy_from_slice(form.text().as_bytes());
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.uri();
        *request.headers_mut() = HeaderMap::from_iter([(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        )]);
        let Some(credentials) = signer else {
            return Ok(request);
        };
        let Some(region) = endpoint.region() else {
            let message = format!(
                "{} has to be signed for a region, and none is known: set AWS_REGION, or `region` in the \
                 profile",
                form.action()
            );
            return Err(form.error(ProviderErrorKind::InvalidConfiguration, message));
        };
        let payload = Payload::hash(request.body());
        Signer::new(region, "sts").sign(&mut request, payload, credentials, at).map_err(
            |error| {
                let message = format!("{} could not be signed", form.action());
                form.error(ProviderErrorKind::InvalidConfiguration, message).with_source(error)
            },
        )?;
        Ok(request)
    }

    /// What an answer that is no success means. It may be that the signature's time was not the server's.
    fn failure(
        &self,
        form: &Form,
        signer: Option<&Credentials>,
        endpoint: &Endpoint,
        response: &Response<Bytes>,
        is_skewed: bool,
    ) -> Refused {
        let (status, body) = (response.status(), response.body());
        let is_secret = |text: &str| {
            form.gives_away(text) || signer.is_some_and(|signer| gives_away(signer, text))
        };
        let failure = Failure::parse(body).filter(|failure| !is_secret(&failure.name()));
        let Some(failure) = failure else {
            let error = form.failed(format_args!(
                "{} answered with status {} and no error that can be read",
                endpoint.url(),
                status.as_u16()
            ));
            return Refused { error, is_worth_a_retry: is_the_servers(status) };
        };
        let is_final = failure.is_one_of(&FINAL);
        let kind = if is_final { ProviderErrorKind::Refused } else { ProviderErrorKind::Failed };
        let (code, text) = (failure.name(), failure.message_without(is_secret));
        let message = format!("{} failed: {code}: {text}", form.what());
        let mut error = form.error(kind, message);
        if signer.is_some() && failure.is_one_of(&STALE) {
            error = error.with_source(StaleCredentials);
        }
        let may_pass = is_the_servers(status)
            || failure.is_one_of(&PASSING)
            || is_skewed && failure.is_one_of(&ABOUT_TIME);
        Refused { error, is_worth_a_retry: may_pass && !is_final }
    }

    /// From nothing up to one second, then up to two.
    fn pause(&self, attempt: u32) -> Duration {
        let most = 1000 << (attempt - 1);
        Duration::from_millis(self.ports.chance() % (most + 1))
    }
}

/// An attempt that came to nothing.
struct Refused {
    error: ProviderError,
    is_worth_a_retry: bool,
}

impl From<ProviderError> for Refused {
    fn from(error: ProviderError) -> Refused {
        Refused { error, is_worth_a_retry: false }
    }
}

/// Whether an error says that the credentials that asked are themselves no longer good.
fn is_about_stale_credentials(error: &ProviderError) -> bool {
    error.source().is_some_and(<dyn Error>::is::<StaleCredentials>)
}

/// Marks an error by which a service says that credentials have expired.
#[derive(Debug)]
struct StaleCredentials;

impl fmt::Display for StaleCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credentials that the request was signed with are no longer good")
    }
}

impl Error for StaleCredentials {}

/// How far apart two moments are.
fn off(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|behind| behind.duration())
}

fn is_the_servers(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Whether a text holds a secret of these credentials.
pub(super) fn gives_away(credentials: &Credentials, text: &str) -> bool {
    let secrets = [Some(credentials.secret_access_key()), credentials.session_token()];
    secrets.into_iter().flatten().any(|secret| !secret.is_empty() && text.contains(secret))
}

/// Codes of errors that asking again does not mend.
const FINAL: [&str; 6] = [
    "AccessDenied",
    "IDPRejectedClaim",
    "InvalidIdentityToken",
    "MalformedPolicyDocument",
    "PackedPolicyTooLarge",
    "RegionDisabled",
];

/// Codes of errors that may be over soon, whatever the status.
const PASSING: [&str; 15] = [
    "BandwidthLimitExceeded",
    "IDPCommunicationError",
    "InternalFailure",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttled",
    "ThrottledException",
    "Throttling",
    "TooManyRequests",
];

/// Codes of errors by which the time of a signature is refused, among other things.
const ABOUT_TIME: [&str; 5] = [
    "AuthFailure",
    "InvalidSignature",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];

/// So far may a clock be off before a signature's time is what was wrong with it.
const MOST_SKEW: Duration = Duration::from_secs(4 * 60);

/// Codes by which a service says that the credentials themselves are no longer good.
const STALE: [&str; 2] = ["ExpiredToken", "InvalidToken"];

const ATTEMPTS: u32 = 3;
const CONNECT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(15);
const MOST_ANSWER: usize = 256 << 10;
