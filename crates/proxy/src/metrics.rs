//! What is counted, for Prometheus.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use tokio::sync::OwnedSemaphorePermit;

use crate::refuse::Reason;

/// What is counted.
pub(crate) struct Metrics {
    requests: Family<Answered, Counter>,
    duration: Family<Routed, Histogram>,
    refusals: Family<Refused, Counter>,
    sent: Family<Routed, Counter>,
    received: Family<Routed, Counter>,
    pub(crate) in_flight: Gauge,
    connections: Gauge,
    expiry: Family<Routed, Gauge<f64, AtomicU64>>,
    renewals: Family<Routed, Counter>,
    connects: Family<Connected, Counter>,
    tunnels: Gauge,
    tunnel_failures: Family<Refused, Counter>,
    registry: Registry,
}

/// What is counted of one route, looked up once.
#[derive(Debug)]
pub(crate) struct OfRoute {
    /// By the first digit of the status, from 1.
    requests: [Counter; 5],
    duration: Histogram,
    sent: Counter,
    received: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: Arc<str>,
    /// As `2xx`: the exact one is in the log.
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Connected {
    /// `allowed`, `tunnelled` or `refused`.
    outcome: &'static str,
    reason: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Metrics> {
        let mut registry = Registry::with_prefix("countersign_proxy");
        let requests = Family::default();
        let duration: Family<Routed, Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        let refusals = Family::default();
        let (sent, received) = (Family::default(), Family::default());
        let (in_flight, connections) = (Gauge::default(), Gauge::default());
        let (expiry, renewals) = (Family::default(), Family::default());
        registry.register("requests", "Answered requests", requests.clone());
        let help = "From the head of a request to the end of its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, duration.clone());
        registry.register("refusals", "Requests that the proxy answered itself", refusals.clone());
        registry.register_with_unit("sent", "Of bodies, to services", Unit::Bytes, sent.clone());
        let help = "Of bodies, to clients: of services' answers and of the proxy's own";
        registry.register_with_unit("received", help, Unit::Bytes, received.clone());
        registry.register("requests_in_flight", "Requests under way", in_flight.clone());
        registry.register("connections", "Open connections of clients", connections.clone());
        let help = "When the credentials expire, in Unix time; absent if they do not";
        registry.register_with_unit("credential_expiry", help, Unit::Seconds, expiry.clone());
        let help = "Times that other credentials took the place of those before";
        registry.register("credential_renewals", help, renewals.clone());
        let (connects, tunnel_failures) = (Family::default(), Family::default());
        let tunnels = Gauge::default();
        registry.register("connects", "Answered CONNECTs", connects.clone());
        registry.register("tunnels", "Open tunnels of CONNECTs", tunnels.clone());
        let help = "Tunnels in which there was no TLS";
        registry.register("tunnel_failures", help, tunnel_failures.clone());
        Arc::new(Metrics {
            requests,
            duration,
            refusals,
            sent,
            received,
            in_flight,
            connections,
            expiry,
            renewals,
            connects,
            tunnels,
            tunnel_failures,
            registry,
        })
    }

    /// What is counted of a route: for all that have this name the same.
    pub(crate) fn of_route(&self, route: &Arc<str>) -> OfRoute {
        let of = |status| Answered { route: Arc::clone(route), status };
        let labels = Routed { route: Arc::clone(route) };
        OfRoute {
            requests: CLASSES.map(|status| self.requests.get_or_create(&of(status)).clone()),
            duration: self.duration.get_or_create(&labels).clone(),
            sent: self.sent.get_or_create(&labels).clone(),
            received: self.received.get_or_create(&labels).clone(),
        }
    }

    pub(crate) fn refused(&self, reason: Reason) {
        self.refusals.get_or_create(&Refused { reason: reason.as_str() }).inc();
    }

    pub(crate) fn connected(&self, outcome: &'static str, reason: &'static str) {
        self.connects.get_or_create(&Connected { outcome, reason }).inc();
    }

    /// Counts a tunnel until this is dropped.
    pub(crate) fn tunnel(&self) -> Open {
        self.tunnels.inc();
        Open(self.tunnels.clone())
    }

    pub(crate) fn tunnel_failed(&self, reason: &'static str) {
        self.tunnel_failures.get_or_create(&Refused { reason }).inc();
    }

    pub(crate) fn expires(&self, route: &Arc<str>, at: Option<SystemTime>) {
        let labels = Routed { route: Arc::clone(route) };
        match at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
            Some(at) => {
                self.expiry.get_or_create(&labels).set(at.as_secs_f64());
            }
            None => {
                self.expiry.remove(&labels);
            }
        }
    }

    pub(crate) fn renewed(&self, route: &Arc<str>, times: u64) {
        self.renewals.get_or_create(&Routed { route: Arc::clone(route) }).inc_by(times);
    }

    /// All of it, as Prometheus reads it.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Nothing written to a string fails.
            Err(_) => String::new(),
        }
    }
}

impl OfRoute {
    /// Counts a request that is over; the lengths are those of the bodies.
    pub(crate) fn ended(&self, status: u16, took: Duration, sent: u64, received: u64) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len());
        self.requests[class - 1].inc();
        self.duration.observe(took.as_secs_f64());
        self.sent.inc_by(sent);
        self.received.inc_by(received);
    }
}

/// Something that is open.
pub(crate) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A place among the connections: counted, and free for another once nobody has it.
#[derive(Debug)]
pub(crate) struct Seat {
    connections: Gauge,
    _room: OwnedSemaphorePermit,
}

impl Seat {
    pub(crate) fn take(metrics: &Metrics, room: OwnedSemaphorePermit) -> Seat {
        metrics.connections.inc();
        Seat { connections: metrics.connections.clone(), _room: room }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
