//! Credentials of a container's role, from the agent beside it.

use std::{ffi::OsString, fmt, net::IpAddr, path::PathBuf, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, Uri, header, uri::InvalidUri};
use zeroize::Zeroizing;

use bytes::Bytes;

use super::{
    BoxFuture, HttpError, HttpErrorKind, HttpLimits, Ports, ProvideCredentials, ProviderError,
    ProviderErrorKind, document::Document,
};
use crate::Credentials;

/// Credentials of the role of the container that this runs in: of an ECS task, an EKS pod (Pod Identity),
/// or whatever sets these variables.
///
/// | Variable | |
/// |---|---|
/// | `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` | a path at `http://169.254.170.2`; goes before the next |
/// | `AWS_CONTAINER_CREDENTIALS_FULL_URI` | a whole URL |
/// | `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` | a file whose contents are sent as `Authorization` |
/// | `AWS_CONTAINER_AUTHORIZATION_TOKEN` | sent as `Authorization`, unless there is a file |
///
/// With `https` any host will do. With `http` the token and the credentials can be read on the way, so all
/// addresses of the host must be this machine's own, or one of the agents' (169.254.170.2, 169.254.170.23
/// and fd00:ec2::23); what is asked then is an address that was looked at. Redirects are not followed.
///
/// Variables and file are read anew each time. A request that fails on the way or on the other side is
/// sent up to three times. An answer that has already expired is given out as it is: to
/// a [`Chain`](super::Chain) and to [`Cached`](super::Cached) it is a failure.
///
/// ```
/// use std::collections::HashMap;
/// use bytes::Bytes;
/// use countersign::providers::{ContainerProvider, HttpLimits, Ports, ProvideCredentials};
/// use http::{Request, Response};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let future = pin!(async {
/// let agent = |request: Request<Bytes>, _: HttpLimits| {
///     assert_eq!(request.uri(), "http://169.254.170.2/v2/credentials");
///     Ok(Response::new(Bytes::from(
///         r#"{"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret", "Token": "token",
///             "Expiration": "2030-01-01T00:00:00Z"}"#,
///     )))
/// };
/// let path = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials");
/// let ports = Ports::empty().with_env(HashMap::from([path])).with_http(agent);
/// let credentials = ContainerProvider::new(&ports).provide().await?;
/// assert_eq!(credentials.unwrap().access_key_id(), "ASIAEXAMPLE");
/// # Ok(())
/// # });
/// # let mut context = Context::from_waker(Waker::noop());
/// # let Poll::Ready(done) = future.poll(&mut context) else { panic!() };
/// # done
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ContainerProvider {
    ports: Ports,
}

impl ContainerProvider {
    /// The agent that the environment of these ports names.
    pub fn new(ports: &Ports) -> ContainerProvider {
        ContainerProvider { ports: ports.clone() }
    }

    async fn find(&self) -> Result<Option<Credentials>, ProviderError> {
        let Some(uri) = self.uri()? else { return Ok(None) };
        let agent = Agent { addresses: self.addresses(&uri).await?, uri };
        let token = self.token()?;
        let mut attempt = 0;
        loop {
            let failure = match self.ask(&agent, token.as_ref(), attempt).await {
                Ok(credentials) => return Ok(Some(credentials)),
                Err(failure) => failure,
            };
            attempt += 1;
            match failure {
                Failure::ForNow(_) if attempt < ATTEMPTS => self.pause(attempt).await,
                Failure::ForNow(error) | Failure::Final(error) => return Err(error),
            }
        }
    }

    /// Whom to ask; `None` if the environment names nobody.
    fn uri(&self) -> Result<Option<Uri>, ProviderError> {
        let unreadable =
            |variable: &str, error: InvalidUri| invalid(format!("{variable} is no URI: {error}"));
        if let Some(path) = self.ports.text(NAME, RELATIVE_URI)? {
            // Anything else would go on with the host's name.
            if !path.starts_with('/') {
                return Err(invalid(format!("{RELATIVE_URI} does not start with `/`")));
            }
            let uri = format!("http://{AGENT}{path}").parse();
            return uri.map(Some).map_err(|error| unreadable(RELATIVE_URI, error));
        }
        let Some(text) = self.ports.text(NAME, FULL_URI)? else { return Ok(None) };
        let uri: Uri = text.parse().map_err(|error| unreadable(FULL_URI, error))?;
        let wrong = |problem: &str| Err(invalid(format!("{FULL_URI}: {problem}")));
        let Some(authority) = uri.authority() else {
            return wrong("URI did not specify a host");
        };
        if authority.as_str().contains('@') {
            return wrong("URI holds a user's name, which nobody asks for");
        }
        match uri.scheme_str() {
            Some("http" | "https") => Ok(Some(uri)),
            _ => wrong("URI is of neither http nor https"),
        }
    }

    /// The addresses to ask, all of which are good; none if the host proves itself by TLS.
    async fn addresses(&self, uri: &Uri) -> Result<Vec<IpAddr>, ProviderError> {
        if uri.scheme_str() == Some("https") {
            return Ok(Vec::new());
        }
        let host = uri.host().unwrap_or_default();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let addresses = match literal.unwrap_or(host).parse() {
            Ok(address) => vec![address],
            Err(_) => self.ports.resolver().resolve(host).await.map_err(|error| {
                let message = format!("the addresses of the host `{host}` cannot be found");
                failed(message)
                    .with_source(HttpError::new(HttpErrorKind::Connect, error.to_string()))
            })?,
        };
        if addresses.is_empty() {
            return Err(failed(format!("the host `{host}` has no address")));
        }
        match addresses.iter().find(|address| !is_allowed(**address)) {
            None => Ok(addresses),
            Some(address) => Err(invalid(format!(
                "URI did not refer to an allowed IP address: `{host}` is at {address}; with http only \
                 loopback addresses, 169.254.170.2, 169.254.170.23 and fd00:ec2::23 are, with https all"
            ))),
        }
    }

    fn token(&self) -> Result<Option<HeaderValue>, ProviderError> {
        let (place, text) = match self.ports.filled(TOKEN_FILE).map(PathBuf::from) {
            Some(path) => {
                let text = self.ports.files().read(&path).map_err(|error| {
                    let message = format!("failed to read `{}` ({TOKEN_FILE})", path.display());
                    failed(message).with_source(error)
                })?;
                (format!("the token in `{}`", path.display()), Zeroizing::new(text))
            }
            None => match self.ports.filled(TOKEN).map(OsString::into_encoded_bytes) {
                Some(text) => (TOKEN.to_owned(), Zeroizing::new(text)),
                None => return Ok(None),
            },
        };
        if text.is_empty() {
            return Err(failed(format!("{place} is empty")));
        }
        if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(invalid(format!("{place} holds a line break, which no header can carry")));
        }
        let mut value = HeaderValue::from_bytes(&text)
            .map_err(|_| invalid(format!("{place} holds a byte that no header can carry")))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn ask(
        &self,
        agent: &Agent,
        token: Option<&HeaderValue>,
        attempt: u32,
    ) -> Result<Credentials, Failure> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = agent.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, token.clone());
        }
        let answer = self.ports.http().send(request, agent.limits(attempt)).await;
        let answer = answer.map_err(|error| match error.kind() {
            HttpErrorKind::Unavailable => {
                let message = format!("{agent} cannot be asked");
                let kind = ProviderErrorKind::Unsupported;
                Failure::Final(ProviderError::new(NAME, kind, message).with_source(error))
            }
            _ => Failure::ForNow(failed(format!("{agent} did not answer")).with_source(error)),
        })?;
        // An agent may say what it was sent.
        let token = token.and_then(|token| token.to_str().ok());
        let secrets = [token, agent.uri.query(), Some(agent.uri.path())];
        read(&answer, |text| {
            secrets.iter().flatten().any(|secret| secret.len() > 1 && text.contains(secret))
        })
    }

    /// Waits by chance up to 100 ms, and up to twice as long the next time.
    async fn pause(&self, attempt: u32) {
        let pause = Duration::from_millis(self.ports.chance() % ((100 << (attempt - 1)) + 1));
        self.ports.clock().sleep(pause).await;
    }
}

impl ProvideCredentials for ContainerProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(self.find())
    }

    fn name(&self) -> &str {
        NAME
    }

    fn looks_at(&self) -> String {
        format!("{RELATIVE_URI}, {FULL_URI}")
    }

    fn absence(&self) -> String {
        format!(
            "No environment variables were set to configure ECS provider: neither {RELATIVE_URI} nor \
             {FULL_URI} is set"
        )
    }
}

/// Whom to ask for credentials.
struct Agent {
    uri: Uri,
    addresses: Vec<IpAddr>,
}

impl Agent {
    /// A name may have two addresses, only one of which somebody listens at; each gets its turn.
    fn limits(&self, attempt: u32) -> HttpLimits {
        let mut limits =
            HttpLimits::new(Duration::from_secs(7)).with_connect(Duration::from_secs(2));
        limits.max_body = MOST_BODY;
        match self.addresses.get(attempt as usize % self.addresses.len().max(1)) {
            Some(address) => limits.direct().with_address(*address),
            None => limits,
        }
    }
}

/// Without path and query, which may hold what is nobody's business.
impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        write!(f, "the container's agent at {authority}")
    }
}

/// Why an attempt came to nothing.
enum Failure {
    Final(ProviderError),
    ForNow(ProviderError),
}

fn read(
    answer: &Response<Bytes>,
    is_secret: impl Fn(&str) -> bool,
) -> Result<Credentials, Failure> {
    let status = answer.status();
    let document = Document::parse(answer.body());
    if status != StatusCode::OK {
        let reason = document.ok().and_then(|document| document.failure_without(&is_secret));
        let reason = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
        let error = failed(format!("failed to load credentials{reason} (status {status})"));
        return Err(match status.is_server_error() {
            true => Failure::ForNow(error),
            false => Failure::Final(error),
        });
    }
    let unreadable = |problem| Failure::ForNow(failed(format!("the agent's answer: {problem}")));
    let document = document.map_err(unreadable)?;
    if let Some(reason) = document.failure_without(is_secret) {
        return Err(Failure::Final(failed(format!("failed to load credentials {reason}"))));
    }
    let credentials = document.temporary().map_err(unreadable)?;
    Ok(credentials.with_static_stability(true))
}

fn is_allowed(address: IpAddr) -> bool {
    address.is_loopback()
        || ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"]
            .iter()
            .any(|agent| agent.parse() == Ok(address))
}

fn invalid(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
}

fn failed(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::Failed, message)
}

const NAME: &str = "container";
const RELATIVE_URI: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const AGENT: &str = "169.254.170.2";
const ATTEMPTS: u32 = 3;

/// A document of credentials has a few KiB at most.
const MOST_BODY: usize = 1 << 16;
