//! reqwest as the HTTP client of providers.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use reqwest::{Client, ClientBuilder, redirect::Policy};

use crate::providers::{BoxFuture, HttpClient, HttpError, HttpErrorKind, HttpLimits};

/// The HTTP client of providers, over reqwest. Runs on tokio, as reqwest does.
///
/// Made of a function that begins a client as the program wants it: with its TLS, its roots, its proxies.
/// Redirects are switched off whatever that function says, and so are proxies for what must go past them.
///
/// ```
/// use countersign::{providers::Ports, reqwest::ReqwestClient};
///
/// let client = ReqwestClient::new(|| reqwest::Client::builder().https_only(false));
/// let ports = Ports::system().with_http(client);
/// # let _ = ports;
/// ```
pub struct ReqwestClient {
    begin: Box<dyn Fn() -> ClientBuilder + Send + Sync>,
    /// Those made so far, the newest last. reqwest knows these settings by client, not by request.
    clients: Mutex<Vec<(Settings, Client)>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Settings {
    connect: Duration,
    direct: bool,
    address: Option<(String, IpAddr)>,
}

impl ReqwestClient {
    /// Clients begun by this function, which is called again for each combination of limits.
    pub fn new(begin: impl Fn() -> ClientBuilder + Send + Sync + 'static) -> ReqwestClient {
        ReqwestClient { begin: Box::new(begin), clients: Mutex::default() }
    }

    fn client(&self, settings: Settings) -> Result<Client, reqwest::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(made, _)| *made == settings) {
            return Ok(client.clone());
        }
        let mut builder = (self.begin)()
            .redirect(Policy::none())
            .connect_timeout(settings.connect)
            .referer(false);
        if settings.direct {
            builder = builder.no_proxy();
        }
        if let Some((host, address)) = &settings.address {
            // Port 0 stands for the one in the URL.
            builder = builder.resolve(host, SocketAddr::new(*address, 0)).no_proxy();
        }
        let client = builder.build()?;
        if clients.len() == MOST_CLIENTS {
            clients.remove(0);
        }
        clients.push((settings, client.clone()));
        Ok(client)
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        limits: HttpLimits,
    ) -> Result<Response<Bytes>, HttpError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let settings = Settings {
            connect: limits.connect,
            direct: limits.direct,
            address: limits.address.map(|address| (host, address)),
        };
        let client = self.client(settings).map_err(|error| {
            HttpError::new(HttpErrorKind::Unavailable, "the HTTP client cannot be made")
                .with_source(error)
        })?;
        let mut request = reqwest::Request::try_from(request).map_err(failed)?;
        *request.timeout_mut() = Some(limits.total);
        let mut answer = client.execute(request).await.map_err(failed)?;
        let too_large = || {
            let message = format!("the answer is longer than {} bytes", limits.max_body);
            HttpError::new(HttpErrorKind::TooLarge, message)
        };
        if answer.content_length().is_some_and(|length| length > limits.max_body as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if piece.len() > limits.max_body - body.len() {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        let mut whole = Response::new(body.freeze());
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(whole)
    }
}

impl HttpClient for ReqwestClient {
    fn send(
        &self,
        request: Request<Bytes>,
        limits: HttpLimits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, HttpError>> {
        Box::pin(self.exchange(request, limits))
    }
}

impl fmt::Debug for ReqwestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestClient").finish_non_exhaustive()
    }
}

/// What reqwest says, without the URL, whose query may hold what is nobody's business.
fn failed(error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    let kind = match () {
        () if error.is_timeout() => HttpErrorKind::TimedOut,
        () if error.is_connect() => HttpErrorKind::Connect,
        () => HttpErrorKind::Failed,
    };
    // reqwest's own text says where it failed; what failed is at the end of its chain of sources.
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let message = match kind {
        HttpErrorKind::TimedOut => "no answer in time".to_owned(),
        HttpErrorKind::Connect => format!("cannot connect: {cause}"),
        _ => format!("the exchange failed: {cause}"),
    };
    HttpError::new(kind, message).with_source(error)
}

/// A metadata service and an endpoint or two, each with its own limits.
const MOST_CLIENTS: usize = 8;
