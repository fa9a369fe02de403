//! What each request passes before anything is done for it.

use std::sync::Arc;

use http::{
    HeaderValue, Version,
    header::{
        AUTHORIZATION, CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RETRY_AFTER,
        WWW_AUTHENTICATE,
    },
    request::Parts,
};

use super::{clients::Clients, rate::Rate};
use crate::{
    Config, ConfigError,
    forward::Peer,
    refuse::{Reason, Refusal},
};

/// Lets in who is known and does not ask too much.
#[derive(Default)]
pub(crate) struct Gate {
    clients: Option<Clients>,
    /// Whether clients must have shown a certificate.
    asks_certificates: bool,
    rate: Option<Arc<Rate>>,
}

impl Gate {
    /// `last` is the one whose place it takes, and its settings.
    pub(crate) fn new(
        config: &Config,
        last: Option<(&Config, &Gate)>,
    ) -> Result<Gate, ConfigError> {
        let clients = config.auth.as_ref().map(|auth| Clients::read(&auth.file)).transpose()?;
        let asks_certificates = config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let share = |of: &Config| (of.limits.rate, of.limits.burst);
        let rate = match last.filter(|(last, _)| share(last) == share(config)) {
            // What a client has used up stays used up.
            Some((_, gate)) => gate.rate.clone(),
            None => Rate::new(&config.limits)?.map(Arc::new),
        };
        Ok(Gate { clients, asks_certificates, rate })
    }

    /// # Errors
    /// A refusal, if the connection was made when clients needed no certificate, and now they do.
    pub(crate) fn check_connection(&self, head: &Parts, peer: &Peer) -> Result<(), Refusal> {
        if peer.is_verified || !self.asks_certificates {
            return Ok(());
        }
        let message = "this proxy takes clients with a certificate alone: connect anew";
        let refusal = Refusal::new(Reason::Unauthorized, message);
        Err(match head.version < Version::HTTP_2 {
            true => refusal.with_header(CONNECTION, HeaderValue::from_static("close")),
            false => refusal,
        })
    }

    /// Finds out who sent a request, if clients have secrets, and notes it in `peer`. Whoever is known already
    /// stays so: what comes through a tunnel is sent by who asked for it.
    ///
    /// # Errors
    /// A refusal that asks for the secret. A route that knows its clients by other means lets them in all the same.
    pub(crate) fn identify(&self, head: &Parts, peer: &mut Peer) -> Result<(), Refusal> {
        let Some(clients) = &self.clients else { return Ok(()) };
        if peer.is_known {
            return Ok(());
        }
        // Who asks for a whole URL takes this for a proxy. Over HTTP/2 all do.
        let to_proxy = head.version < Version::HTTP_2 && head.uri.authority().is_some();
        let (reason, said, asked) = match to_proxy {
            true => (Reason::ProxyUnauthorized, PROXY_AUTHORIZATION, PROXY_AUTHENTICATE),
            false => (Reason::Unauthorized, AUTHORIZATION, WWW_AUTHENTICATE),
        };
        let mut all = head.headers.get_all(&said).iter();
        if let (Some(only), None) = (all.next(), all.next())
            && let Some(name) = clients.find(only)
        {
            peer.name = Some(name);
            peer.is_known = true;
            return Ok(());
        }
        let message = format!("this proxy signs for clients that it knows: send `{said}`");
        let refusal = Refusal::new(reason, message);
        Err(clients
            .challenges()
            .fold(refusal, |refusal, ask| refusal.with_header(asked.clone(), ask)))
    }

    /// Takes out what a client said to the proxy alone.
    pub(crate) fn strip(&self, head: &mut Parts) {
        if self.clients.is_some() {
            head.headers.remove(AUTHORIZATION);
        }
    }

    /// # Errors
    /// A refusal, if the client asks more than its share.
    pub(crate) fn check_rate(&self, peer: &Peer) -> Result<(), Refusal> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check(peer.name.as_ref(), peer.address).map_err(|wait| {
            // Who waits for less comes too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let message = format!("there are too many requests: try again in {seconds} seconds");
            Refusal::new(Reason::TooManyRequests, message)
                .with_header(RETRY_AFTER, HeaderValue::from(seconds))
        })
    }
}
