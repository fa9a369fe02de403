//! How the metadata service is asked: a token first, and with it whatever else.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header::InvalidHeaderValue,
};

use super::{NAME, settings::Settings};
use crate::providers::{
    HttpError, HttpErrorKind, HttpLimits, Ports, ProviderError, ProviderErrorKind,
};

/// Version 2 of the metadata service, and no other: a request without a token is one that somebody
/// else can talk a server into.
pub(super) struct Client<'a> {
    pub(super) ports: &'a Ports,
    pub(super) settings: &'a Settings,
    pub(super) token: &'a Mutex<Option<Token>>,
}

/// A token that the service gave out.
#[derive(Clone)]
pub(super) struct Token {
    value: HeaderValue,
    renewed_at: SystemTime,
}

/// Why there is no answer.
pub(super) enum Trouble {
    /// There is an answer, and it is no good; or none to one who holds a token.
    Broken(ProviderError),
    /// Nobody answers: perhaps this is no instance.
    Silence(HttpError),
}

impl Client<'_> {
    /// What lies at a path; `None` if nothing does.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Bytes>, Trouble> {
        let mut attempt = 1;
        loop {
            let token = self.token().await?;
            let answer = self.send(Method::GET, path, (TOKEN, token.clone())).await?;
            let answer = answer.map_err(|error| {
                failed(format!("the metadata service did not answer for {path}")).with_source(error)
            });
            let answer = answer.map_err(Trouble::Broken)?;
            match answer.status() {
                StatusCode::OK => return Ok(Some(answer.into_body())),
                StatusCode::NOT_FOUND => return Ok(None),
                StatusCode::UNAUTHORIZED if attempt < self.settings.attempts => self.forget(&token),
                status if status.is_server_error() && attempt < self.settings.attempts => {
                    self.pause(attempt).await;
                }
                status => {
                    let message = format!("the metadata service answered {status} for {path}");
                    return Err(Trouble::Broken(failed(message)));
                }
            }
            attempt += 1;
        }
    }

    /// The token that is remembered, or a new one if its time is nearly up.
    async fn token(&self) -> Result<HeaderValue, Trouble> {
        let now = self.ports.clock().now();
        let remembered = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = remembered.filter(|token| now < token.renewed_at) {
            return Ok(token.value);
        }
        let answer = self.ask_for_token().await?;
        let token = read_token(&answer, now).map_err(|problem| {
            Trouble::Broken(failed(format!("the metadata service gave no token: {problem}")))
        })?;
        let value = token.value.clone();
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(value)
    }

    async fn ask_for_token(&self) -> Result<Response<Bytes>, Trouble> {
        let life = HeaderValue::from_static(TOKEN_SECONDS);
        let mut attempt = 1;
        loop {
            let answer = self.send(Method::PUT, TOKEN_PATH, (TOKEN_TTL, life.clone())).await?;
            let answer = answer.map_err(|error| match error.kind() {
                HttpErrorKind::TooLarge => {
                    let message = "the metadata service gave no token";
                    Trouble::Broken(failed(message.to_owned()).with_source(error))
                }
                _ => Trouble::Silence(error),
            })?;
            let message = match answer.status() {
                StatusCode::OK => return Ok(answer),
                status if status.is_server_error() && attempt < self.settings.attempts => {
                    self.pause(attempt).await;
                    attempt += 1;
                    continue;
                }
                StatusCode::FORBIDDEN => FORBIDDEN.to_owned(),
                status => format!(
                    "the metadata service answered {status} when asked for a token; where this is no instance \
                     of EC2, set AWS_EC2_METADATA_DISABLED=true"
                ),
            };
            return Err(Trouble::Broken(failed(message)));
        }
    }

    /// The outer error is a request that cannot be made.
    async fn send(
        &self,
        method: Method,
        path: &str,
        (name, mut value): (HeaderName, HeaderValue),
    ) -> Result<Result<Response<Bytes>, HttpError>, Trouble> {
        let uri = Uri::try_from(format!("{}{path}", self.settings.endpoint)).map_err(|error| {
            let kind = ProviderErrorKind::InvalidConfiguration;
            let message = "the endpoint is no URL of a metadata service";
            Trouble::Broken(ProviderError::new(NAME, kind, message).with_source(error))
        })?;
        value.set_sensitive(name == TOKEN);
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().insert(name, value);
        let timeout = self.settings.timeout;
        let mut limits = HttpLimits::new(timeout * 2).with_connect(timeout).direct();
        limits.max_body = MOST_BODY;
        Ok(self.ports.http().send(request, limits).await)
    }

    fn forget(&self, value: &HeaderValue) {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        // Another caller may have a new one by now.
        if token.as_ref().is_some_and(|token| token.value == value) {
            *token = None;
        }
    }

    /// Waits by chance up to 100 ms, and up to twice as long each time.
    async fn pause(&self, attempt: u32) {
        let most = 100 << (attempt - 1).min(4);
        let pause = Duration::from_millis(self.ports.chance() % (most + 1));
        self.ports.clock().sleep(pause).await;
    }
}

fn read_token(answer: &Response<Bytes>, now: SystemTime) -> Result<Token, &'static str> {
    let life =
        answer.headers().get(TOKEN_TTL).ok_or("the answer does not say how long it lives")?;
    let life = life.to_str().ok().and_then(|life| life.trim().parse::<u32>().ok());
    let life = life.ok_or("the answer does not say in seconds how long it lives")?;
    let text = answer.body().trim_ascii();
    if text.is_empty() {
        return Err("the answer is empty");
    }
    let value = HeaderValue::from_bytes(text);
    let value = value.map_err(|_: InvalidHeaderValue| "the answer is no text for a header")?;
    let life = Duration::from_secs(u64::from(life)).saturating_sub(EARLY);
    Ok(Token { value, renewed_at: now + life })
}

fn failed(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::Failed, message)
}

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const TOKEN_TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN_SECONDS: &str = "21600";
const FORBIDDEN: &str =
    "request forbidden: IMDS is disabled or the caller has insufficient permissions";

/// A token is renewed this much before its end.
const EARLY: Duration = Duration::from_secs(120);

/// A document of credentials has a few KiB at most.
const MOST_BODY: usize = 1 << 16;
