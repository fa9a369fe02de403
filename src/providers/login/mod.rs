//! Sessions that somebody began on a console (`aws login`).

mod proof;

use std::{fmt, path::PathBuf, sync::Arc, time::SystemTime};

use http::header::HeaderName;
use sha2::{Digest, Sha256};

use self::proof::ProofKey;
use super::{
    BoxFuture, Endpoint, EndpointService, Endpoints, Ports, ProfileProvider, ProfileSet,
    ProvideCredentials, ProviderError, ProviderErrorKind, RegionChain,
    exchange::{Exchange, Failure, address, insert_secret, post},
    session::{Document, Held, Session, SessionFile},
    token::homeless,
};
use crate::Credentials;

/// The credentials of a session that somebody began on a console (`aws login`, `login_session` in a
/// profile).
///
/// They are read from `~/.aws/login/cache/`, or the directory that `AWS_LOGIN_CACHE_DIRECTORY` names, in a
/// file that is named by the SHA-256 of the session. Those that live for less than 5 more minutes are
/// renewed: the request proves that it comes from who holds the session's key (DPoP, RFC 9449). The file
/// then holds the new ones; what another process renewed meanwhile is taken over. The service is asked up to
/// three times; while it merely fails, credentials that still live are given.
///
/// ```
/// use countersign::providers::{Cached, LoginProvider, Ports};
///
/// let ports = Ports::system();
/// let session = "arn:aws:sts::123456789012:assumed-role/Admin/cat";
/// let cached = Cached::new(LoginProvider::new(&ports, session)?.with_region("eu-west-1"), &ports);
/// # let _ = cached;
/// # Ok::<(), countersign::providers::ProviderError>(())
/// ```
#[derive(Clone)]
pub struct LoginProvider {
    ports: Ports,
    session: String,
    region: Option<String>,
    endpoints: Endpoints,
    /// `None` if there is neither a variable nor a home directory.
    file: Option<Arc<SessionFile>>,
}

impl LoginProvider {
    /// The session named here, which is the ARN of who signed in. It is renewed in the region that the
    /// [environment or the selected profile](RegionChain) names.
    ///
    /// # Errors
    /// `AWS_LOGIN_CACHE_DIRECTORY` that is no text.
    pub fn new(ports: &Ports, session: impl Into<String>) -> Result<LoginProvider, ProviderError> {
        let session = session.into();
        let file = |path| SessionFile::new(ports, path, NAME, "aws login".to_owned());
        let file = path(ports, &session)?.map(file);
        Ok(LoginProvider {
            ports: ports.clone(),
            session,
            region: None,
            endpoints: Endpoints::new(ports),
            file: file.map(Arc::new),
        })
    }

    /// The session of a profile, renewed in the region and at the endpoint that it says; `Ok(None)` if it
    /// names none.
    ///
    /// # Errors
    /// As [`LoginProvider::new`], and a setting that is none of what it may be.
    ///
    /// ```
    /// use countersign::providers::{LoginProvider, Ports, ProfileSet};
    ///
    /// let ports = Ports::empty();
    /// let profiles = ProfileSet::load(&ports)?;
    /// assert!(LoginProvider::from_profile(&ports, &profiles, "default")?.is_none());
    /// # Ok::<(), countersign::providers::ProviderError>(())
    /// ```
    pub fn from_profile(
        ports: &Ports,
        profiles: &ProfileSet,
        profile: &str,
    ) -> Result<Option<LoginProvider>, ProviderError> {
        let section = profiles.profile(profile);
        let session = section.and_then(|section| section.get("login_session"));
        let Some(session) = session.filter(|session| !session.trim().is_empty()) else {
            return Ok(None);
        };
        let endpoints = Endpoints::load(ports, profiles, profile)?;
        let provider = LoginProvider::new(ports, session)?.with_endpoints(endpoints);
        let regions = RegionChain::of_profile(ports, ProfileProvider::new(ports));
        let region = regions.before_profiles()?;
        let region = region.or_else(|| profiles.region(profile).map(str::to_owned));
        Ok(Some(match region {
            Some(region) => provider.with_region(region),
            None => provider,
        }))
    }

    /// The same provider that renews its session in the region named here.
    #[must_use]
    pub fn with_region(self, region: impl Into<String>) -> LoginProvider {
        LoginProvider { region: Some(region.into()), ..self }
    }

    /// The same provider with the service that renews sessions found so.
    #[must_use]
    pub fn with_endpoints(self, endpoints: Endpoints) -> LoginProvider {
        LoginProvider { endpoints, ..self }
    }

    async fn find(&self) -> Result<Credentials, ProviderError> {
        let file = self.file.as_deref().ok_or_else(|| homeless(NAME))?;
        file.give(self).await
    }

    async fn endpoint(&self) -> Result<Endpoint, ProviderError> {
        let region = match &self.region {
            Some(region) => Some(region.clone()),
            // Nothing is signed for a region: where the service is known, nobody needs to know of one.
            None if self.endpoints.named(EndpointService::Signin.id())?.is_some() => None,
            None => RegionChain::standard(&self.ports).needed().await?,
        };
        self.endpoints.find(EndpointService::Signin, region.as_deref())
    }

    fn failed(&self, failure: Failure) -> ProviderError {
        let refusal = match failure {
            Failure::Broken(error) => return error,
            Failure::Refused(refusal) => refusal,
        };
        let end = ENDS.iter().find(|(code, _)| refusal.is_one_of(&[code]));
        let (kind, hint) = match end {
            Some((_, hint)) => (ProviderErrorKind::Refused, *hint),
            None => (ProviderErrorKind::Failed, "the login session is not renewed"),
        };
        ProviderError::new(NAME, kind, format!("{hint}: {}", refusal.text))
    }
}

impl Session for LoginProvider {
    type Given = Credentials;

    const ENDS_WHEN_REFUSED: bool = true;

    fn held(document: &Document) -> Result<Held<Credentials>, String> {
        let token = document.object(ACCESS_TOKEN).ok_or("accessToken is missing")?;
        let expires_at = token.moment("expiresAt")?;
        let credentials =
            Credentials::new(token.needed("accessKeyId")?, token.needed("secretAccessKey")?)
                .with_session_token(token.needed("sessionToken")?)
                .with_expires_at(expires_at)
                .with_static_stability(true);
        let credentials = match token.text("accountId") {
            Some(account) => credentials.with_account_id(account),
            None => credentials,
        };
        Ok(Held { given: credentials, expires_at })
    }

    async fn renew(
        &self,
        file: &SessionFile,
        document: &Document,
    ) -> Result<Document, ProviderError> {
        let needed = |name| document.needed(name).map_err(|seen| file.broken(&seen));
        let (id, refresh_token) = (needed("clientId")?, needed("refreshToken")?);
        let key = ProofKey::from_pem(needed("dpopKey")?)
            .ok_or_else(|| file.broken("dpopKey is no P-256 key in PEM"))?;
        let uri = address(&self.endpoint().await?, "/v1/token", NAME)?;
        let body = Document::default()
            .with("clientId", id)
            .with("grantType", "refresh_token")
            .with("refreshToken", refresh_token);
        let request = || {
            let mut id_of_proof = [0; 16];
            self.ports.random().fill(&mut id_of_proof);
            let proof = key.prove("POST", &uri.to_string(), self.ports.clock().now(), id_of_proof);
            let mut request = post(uri.clone(), &body);
            insert_secret(&mut request, DPOP, &proof)
                .expect("a proof is made of letters, digits, `-`, `_` and `.`");
            Ok(request)
        };
        let of_proofs = key.header();
        let exchange = Exchange {
            ports: &self.ports,
            provider: NAME,
            what: "CreateOAuth2Token",
            secrets: vec![refresh_token, needed("dpopKey")?, &of_proofs],
        };
        let asked_at = self.ports.clock().now();
        let answer = exchange.ask(request).await.map_err(|failure| self.failed(failure))?;
        changes(&answer, asked_at).map_err(|seen| self.failed(exchange.unreadable(&seen)))
    }
}

impl ProvideCredentials for LoginProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async { self.find().await.map(Some) })
    }

    fn name(&self) -> &str {
        NAME
    }
}

impl fmt::Debug for LoginProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginProvider")
            .field("session", &self.session)
            .field("region", &self.region)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

fn path(ports: &Ports, session: &str) -> Result<Option<PathBuf>, ProviderError> {
    let separator = ports.platform().separator();
    let (mut path, parts) = match ports.text(NAME, "AWS_LOGIN_CACHE_DIRECTORY")? {
        Some(directory) => (directory.into(), &[][..]),
        None => match ports.home() {
            Some(home) => (home.into_os_string(), &[".aws", "login", "cache"][..]),
            None => return Ok(None),
        },
    };
    let name = format!("{}.json", hex::encode(Sha256::digest(session.trim())));
    for part in parts.iter().copied().chain([&*name]) {
        path.push(separator);
        path.push(part);
    }
    Ok(Some(path.into()))
}

/// What an answer changes in the file. It tells no account: the one there stays.
fn changes(answer: &Document, asked_at: SystemTime) -> Result<Document, String> {
    let parts = answer.object(ACCESS_TOKEN).ok_or("accessToken is missing")?;
    let mut token = Document::default();
    for name in ["accessKeyId", "secretAccessKey", "sessionToken"] {
        token.set(name, parts.needed(name)?);
    }
    token.set("expiresAt", answer.end(asked_at)?.to_rfc3339());
    let mut changes = Document::default().with(ACCESS_TOKEN, token);
    for name in ["refreshToken", "idToken", "tokenType"] {
        if let Some(value) = answer.text(name) {
            changes.set(name, value);
        }
    }
    Ok(changes)
}

const ACCESS_TOKEN: &str = "accessToken";
const DPOP: HeaderName = HeaderName::from_static("dpop");
const NAME: &str = "login";

/// The codes by which the service says that somebody has to sign in again, and what to tell them.
const ENDS: [(&str, &str); 3] = [
    (
        "INSUFFICIENT_PERMISSIONS",
        "who signed in may not renew the session (signin:CreateOAuth2Token)",
    ),
    ("TOKEN_EXPIRED", "the login session has expired: run aws login"),
    ("USER_CREDENTIALS_CHANGED", "the password was changed since: run aws login"),
];
