//! The ports, from the first connection to the last.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, SystemTime},
};

use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    address::Address,
    answer::Answer,
    body::{Body, Reading},
    check::{Endpoint, Malformed},
    connection,
    history::History,
    log::Log,
    page,
    received::Received,
    record::Record,
};
use crate::{descriptors, failure::Failure, printed::tell, signals::Signals};

/// What all connections share.
pub(super) struct Shared {
    endpoint: Endpoint,
    log: Log,
    /// For the page, if there is one.
    history: Option<Arc<History>>,
    /// How many diagnoses may be made at a time.
    diagnoses: Semaphore,
}

/// Whether the program is asked to stop.
#[derive(Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Shared {
    pub(super) fn new(endpoint: Endpoint, log: Log, history: Option<Arc<History>>) -> Shared {
        let at_a_time = available_parallelism().map_or(1, usize::from);
        Shared { endpoint, log, history, diagnoses: Semaphore::new(at_a_time) }
    }

    /// Begins to read the body of a request.
    pub(super) fn begin(&self, request: &Received, now: SystemTime) -> Reading {
        self.endpoint.begin(request, now)
    }

    /// Verifies a request, tells of it and says what to answer.
    pub(super) async fn answer(
        self: &Arc<Shared>,
        request: Received,
        mut body: Body,
        now: SystemTime,
    ) -> Answer {
        let mut judgement = self.endpoint.judge(&request, &mut body, now);
        // The page shows the steps of what is right too.
        if judgement.is_puzzling || self.history.is_some() {
            let permit = self.diagnoses.acquire().await;
            let shared = Arc::clone(self);
            let diagnose = move || shared.endpoint.diagnose(&request, &body);
            if let Ok(Some(diagnosis)) = spawn_blocking(diagnose).await {
                judgement.record.explain(&diagnosis);
            }
            drop(permit);
        }
        self.tell(&judgement.record).await;
        judgement.answer
    }

    /// The same for what is no request.
    pub(super) async fn malformed(&self, request: &Received, why: &Malformed) -> Answer {
        let judgement = self.endpoint.malformed(request, why);
        self.tell(&judgement.record).await;
        judgement.answer
    }

    /// Says on stderr what concerns no request.
    pub(super) fn note(&self, text: &str) {
        tell(text);
    }

    async fn tell(&self, record: &Record) {
        if let Some(history) = &self.history {
            history.put(record);
        }
        self.log.put(record).await;
    }
}

impl Stop {
    /// Becomes true when the program is to stop.
    pub(super) fn new() -> (watch::Sender<bool>, Stop) {
        let (stopping, stop) = watch::channel(false);
        (stopping, Stop(stop))
    }

    /// Waits until it is.
    pub(super) async fn wanted(&mut self) {
        // Without a sender nobody is left to serve.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    pub(super) fn is_wanted(&self) -> bool {
        *self.0.borrow()
    }
}

/// Listens until the program is told to stop, then ends what is in flight.
pub(super) async fn run(
    address: Address,
    tls: Option<TlsAcceptor>,
    endpoint: Endpoint,
    json: bool,
    ui: Option<Address>,
) -> Result<(), Failure> {
    descriptors::raise_limit();
    // Before anything is printed: whoever waits for that may send a signal at once.
    let mut signals = Signals::new()
        .map_err(|error| Failure::network(format_args!("cannot wait for signals: {error}")))?;
    let (listener, bound) = bind(address).await?;
    if !address.is_loopback() {
        tell(format_args!(
            "warning: {bound} can be reached from other machines; whoever sends a request \
             there learns whether its signature holds, and of one that does not what was verified"
        ));
    }
    let page = match ui {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let url = format!("{}://{bound}", if tls.is_some() { "https" } else { "http" });
    let page_url = page.as_ref().map(|(_, bound)| format!("http://{bound}"));
    let (log, written) = match json {
        // Bytes of a client's that would be taken for a terminal's are a part of its text here.
        true => Log::start(json, || io::stdout().lock()),
        false => Log::start(json, || anstream::stdout().lock()),
    };
    if json {
        log.put_line(json!({ "listening": url, "page": page_url }).to_string()).await;
    } else {
        log.put_line(format!("listening on {url}")).await;
        if let Some(url) = page_url {
            log.put_line(format!("page on {url}")).await;
        }
        let ids: Vec<&str> = endpoint.access_key_ids().collect();
        log.put_line(format!("known keys: {}", ids.join(", "))).await;
    }

    let (stopping, stop) = Stop::new();
    let history = page.map(|(listener, bound)| {
        let history = Arc::new(History::new());
        tokio::spawn(page::serve(listener, bound, Arc::clone(&history), stop.clone()));
        history
    });
    let shared = Arc::new(Shared::new(endpoint, log, history));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Answers are written in one piece.
                    let _ = stream.set_nodelay(true);
                    let serve = connection::serve(stream, tls.clone(), Arc::clone(&shared), stop.clone());
                    connections.spawn(serve);
                }
                // Too many descriptors, or a connection that was gone at once.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            () = signals.next() => break,
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(GRACE, ended) => {}
        // Whoever asks twice means it.
        () = signals.next() => {}
    }
    connections.shutdown().await;
    drop(shared);
    let _ = timeout(GRACE, written).await;
    Ok(())
}

async fn bind(address: Address) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = TcpListener::bind(address.0).await;
    let bound = listener.and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| Failure::network(format_args!("cannot listen on {address}: {error}")))
}

/// For what is in flight when the program is told to stop.
const GRACE: Duration = Duration::from_secs(10);
