//! Questions to services that answer in JSON, and what their answers mean.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE, HeaderName},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::{
    Endpoint, Ports, ProviderError, ProviderErrorKind,
    call::{Call, is_the_servers},
    session::Document,
    sts::answer::shown,
};

/// A question to a service, by a provider.
pub(super) struct Exchange<'a> {
    pub(super) ports: &'a Ports,
    pub(super) provider: &'static str,
    /// What is asked for, as messages say it.
    pub(super) what: &'a str,
    /// What no message may repeat.
    pub(super) secrets: Vec<&'a str>,
}

/// What a service said instead of what it was asked for.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The service's name for it, if it gives one.
    pub(super) code: Option<String>,
    /// All of it in words.
    pub(super) text: String,
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The service says no.
    Refused(Refusal),
    /// There is none, or it cannot be read.
    Broken(ProviderError),
}

impl Exchange<'_> {
    /// Asks until there is an answer that stays, three times at most: no answer, a server's failure and
    /// throttling may pass.
    ///
    /// Each attempt sends a request of its own, for a proof in it holds once.
    pub(super) async fn ask(
        &self,
        request: impl Fn() -> Result<Request<Bytes>, ProviderError> + Send + Sync,
    ) -> Result<Document, Failure> {
        let Exchange { ports, provider, what, .. } = *self;
        let call = Call { ports, provider, what, timeout: TIMEOUT };
        let may_pass = |response: &Response<Bytes>| is_the_servers(response.status());
        let response = call.answer(request, may_pass).await.map_err(Failure::Broken)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Refused(self.refusal(&response)));
        }
        Document::parse(response.body()).map_err(|seen| self.unreadable(&seen))
    }

    /// An answer that says yes and does not hold what it should.
    pub(super) fn unreadable(&self, seen: &str) -> Failure {
        let message = format!("{} got an answer that cannot be used: {seen}", self.what);
        Failure::Broken(ProviderError::new(self.provider, ProviderErrorKind::Failed, message))
    }

    /// What an answer that is no success says.
    pub(super) fn refusal(&self, response: &Response<Bytes>) -> Refusal {
        let status = response.status();
        let body = Document::parse(response.body()).unwrap_or_default();
        let of_header = response.headers().get("x-amzn-errortype");
        let of_header = of_header.and_then(|value| value.to_str().ok());
        // Services of OAuth say in `error` more than the type of the error does.
        let named = body.text("error").or(of_header).or(body.text("code")).or(body.text("__type"));
        let code = named.and_then(|code| self.code(code));
        let said = ["error_description", "message", "Message"].iter().find_map(|at| body.text(at));
        let text = format!(
            "{} failed: {}{}{}",
            self.what,
            code.clone().unwrap_or_else(|| format!("status {}", status.as_u16())),
            if said.is_some() { ": " } else { "" },
            said.map(|said| self.words(said)).unwrap_or_default(),
        );
        Refusal { status, code, text }
    }

    /// The bare name: services write it behind a namespace and before a URL.
    fn code(&self, code: &str) -> Option<String> {
        let code = code.split(':').next().unwrap_or(code);
        let code = code.rsplit('#').next().unwrap_or(code);
        let is_code = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_fine = (1..=LONGEST_CODE).contains(&code.len())
            && code.bytes().all(is_code)
            && !self.gives_away(code);
        is_fine.then(|| code.to_owned())
    }

    /// A service's words, shortened and with control characters escaped; without them if they hold what
    /// nobody should read.
    fn words(&self, said: &str) -> String {
        if self.gives_away(said) {
            return "the message is left out, for it repeats a secret".to_owned();
        }
        shown(said)
    }

    fn gives_away(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret))
    }
}

impl Refusal {
    pub(super) fn is_one_of(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }
}

/// The address of something at an endpoint, whose own path stays before it.
pub(super) fn address(
    endpoint: &Endpoint,
    path_and_query: &str,
    provider: &'static str,
) -> Result<Uri, ProviderError> {
    let url = endpoint.url().trim_end_matches('/');
    format!("{url}{path_and_query}").parse().map_err(|error| {
        let message = format!("`{}` cannot be asked", url.escape_debug());
        ProviderError::new(provider, ProviderErrorKind::InvalidConfiguration, message)
            .with_source(error)
    })
}

/// A question in JSON.
pub(super) fn post(uri: Uri, body: &Document) -> Request<Bytes> {
    // What the HTTP client is given cannot be wiped.
    let mut request = Request::new(Bytes::copy_from_slice(&body.to_json()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().extend([(CONTENT_TYPE, json.clone()), (ACCEPT, json)]);
    request
}

/// A header whose value no log shows.
pub(super) fn insert_secret(
    request: &mut Request<Bytes>,
    name: HeaderName,
    secret: &str,
) -> Result<(), String> {
    let mut value =
        HeaderValue::from_str(secret).map_err(|_| format!("it can be no header {name}"))?;
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Ok(())
}

/// What is escaped in queries and forms: everything but what RFC 3986 leaves unreserved.
pub(super) const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const TIMEOUT: Duration = Duration::from_secs(15);
const LONGEST_CODE: usize = 128;
