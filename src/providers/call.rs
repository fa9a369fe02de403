//! Requests that are sent again as long as what failed may pass.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use super::{HttpErrorKind, HttpLimits, Ports, ProviderError, ProviderErrorKind};

/// Who asks, for what, and for how long.
pub(super) struct Call<'a> {
    pub(super) ports: &'a Ports,
    pub(super) provider: &'static str,
    /// What messages call it: the action.
    pub(super) what: &'a str,
    /// For each attempt.
    pub(super) timeout: Duration,
}

impl Call<'_> {
    /// The answer that stays: a success, a failure that does not pass, or the last of three.
    ///
    /// Each attempt sends a request of its own, for a signature has a time in it.
    pub(super) async fn answer(
        &self,
        request: impl Fn() -> Result<Request<Bytes>, ProviderError> + Send + Sync,
        may_pass: impl Fn(&Response<Bytes>) -> bool + Send + Sync,
    ) -> Result<Response<Bytes>, ProviderError> {
        let mut attempt = 1;
        loop {
            let is_last = attempt == ATTEMPTS;
            match self.attempt(request()?).await {
                Ok(response) if is_last || !may_pass(&response) => return Ok(response),
                Err((error, is_worth_a_retry)) if is_last || !is_worth_a_retry => {
                    return Err(error);
                }
                Ok(response) => {
                    let status = response.status().as_u16();
                    tracing::debug!(attempt, status, "sending {} again", self.what);
                }
                Err((error, _)) => tracing::debug!(attempt, %error, "sending {} again", self.what),
            }
            self.ports.clock().sleep(self.pause(attempt)).await;
            attempt += 1;
        }
    }

    pub(super) fn error(&self, kind: ProviderErrorKind, message: String) -> ProviderError {
        ProviderError::new(self.provider, kind, message)
    }

    async fn attempt(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, (ProviderError, bool)> {
        let mut limits = HttpLimits::new(self.timeout).with_connect(self.timeout.min(CONNECT));
        limits.max_body = MOST_ANSWER;
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        self.ports.http().send(request, limits).await.map_err(|error| {
            let (kind, is_worth_a_retry) = match error.kind() {
                HttpErrorKind::Unavailable => (ProviderErrorKind::Unsupported, false),
                HttpErrorKind::TooLarge => (ProviderErrorKind::Failed, false),
                _ => (ProviderErrorKind::Failed, true),
            };
            let message = format!("{} got no answer from {host}", self.what);
            (self.error(kind, message).with_source(error), is_worth_a_retry)
        })
    }

    /// From nothing up to one second, then up to two.
    fn pause(&self, attempt: u32) -> Duration {
        let most = 1000 << (attempt - 1);
        Duration::from_millis(self.ports.chance() % (most + 1))
    }
}

/// Whether a status says that the service is at fault, or has too much to do.
pub(super) fn is_the_servers(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

const ATTEMPTS: u32 = 3;
const CONNECT: Duration = Duration::from_secs(3);
const MOST_ANSWER: usize = 256 << 10;
