//! Settings that take the place of others while the proxy serves.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use rustls::ServerConfig;
use tokio_util::task::TaskTracker;

use crate::{
    Config, ConfigError, Limits, Outside,
    body::{self, Holding},
    connect::Connecting,
    connection,
    forward::Engine,
    inbound::{Gate, tls},
    metrics::Metrics,
    refuse::Ids,
    resign::{Resign, audit::Audit},
    route::Route,
    upstream,
};

/// Gives a proxy other settings while it serves. Clones lead to the same proxy.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use countersign_proxy::{Config, Outside, Proxy};
/// # async fn run(config: Config, outside: Arc<dyn Outside>) -> Result<(), Box<dyn std::error::Error>> {
/// let bound = Proxy::new(config, outside)?.bind().await?;
/// let handle = bound.handle();
/// tokio::spawn(bound.serve(std::future::pending()));
///
/// let text = std::fs::read_to_string("proxy.toml")?;
/// match toml::from_str(&text) {
///     Ok(config) => handle.reload(config)?,
///     Err(error) => eprintln!("the old settings stay: {error}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    outside: Arc<dyn Outside>,
    current: ArcSwap<Serving>,
    /// What serves by now, held while it is replaced.
    config: Mutex<Config>,
    /// Audit logs whose place others took, while there are requests that write to them.
    replaced: Mutex<Vec<Arc<Audit>>>,
}

/// What new connections and requests are served by.
pub(crate) struct Serving {
    pub(crate) engine: Arc<Engine>,
    pub(crate) builder: auto::Builder<TokioExecutor>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Handle {
    pub(crate) fn new(config: Config, outside: Arc<dyn Outside>) -> Result<Handle, ConfigError> {
        let current = ArcSwap::from_pointee(Serving::new(&config, &outside, None)?);
        let (config, replaced) = (Mutex::new(config), Mutex::default());
        Ok(Handle(Arc::new(Shared { outside, current, config, replaced })))
    }

    /// Serves by these settings from now on, and reads all files anew that they name. What is under way ends by the
    /// old ones; connections stay, with the certificates that they were made with.
    ///
    /// A client whose certificate is trusted no more keeps the connections that it has, and one whose secret is
    /// withdrawn the tunnels. One that showed no certificate is refused on its connections once they are asked for.
    ///
    /// Where it listens and how many connections it takes stays as it was: these are settings for the next start. The
    /// others must be right for both: where it listens now, and where it will.
    /// May block: it reads files, and asks for scopes.
    ///
    /// # Errors
    /// What of the settings cannot be, or cannot be together. Then the old ones stay.
    pub fn reload(&self, config: Config) -> Result<(), ConfigError> {
        let mut last = self.0.config.lock().unwrap_or_else(PoisonError::into_inner);
        // What could not be started with is no good settings either.
        config.check()?;
        let stays = last.listen != config.listen
            || last.admin != config.admin
            || last.limits.connections != config.limits.connections;
        // What it listens on is what it was bound to, and who may be let in follows from that.
        let config = Config {
            listen: last.listen.clone(),
            admin: last.admin,
            limits: Limits { connections: last.limits.connections, ..config.limits },
            ..config
        };
        let serving = Serving::new(&config, &self.0.outside, Some((&last, &self.current())))?;
        if stays {
            tracing::warn!(
                "where to listen and how many connections to take changes at the next start"
            );
        }
        let before = self.0.current.swap(Arc::new(serving));
        let engine = self.engine();
        before.engine.hand_over(&engine);
        engine.warn();
        let mut replaced = self.0.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(audit) = &before.engine.audit
            && engine.audit.as_ref().is_none_or(|now| !Arc::ptr_eq(now, audit))
        {
            audit.flush();
            replaced.push(Arc::clone(audit));
        }
        drop(before);
        replaced.retain(|audit| {
            let is_used = Arc::strong_count(audit) > 1;
            if !is_used {
                audit.flush();
            }
            is_used
        });
        *last = config;
        Ok(())
    }

    /// Waits, not for ever, until all audit logs are written. Blocks.
    pub(crate) fn flush(&self) {
        let replaced = self.0.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.iter().chain(&self.engine().audit).for_each(|audit| audit.flush());
    }

    pub(crate) fn current(&self) -> Arc<Serving> {
        self.0.current.load_full()
    }

    pub(crate) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.0.current.load().engine)
    }
}

impl Engine {
    /// Says what is amiss with the settings, though all works.
    pub(crate) fn warn(&self) {
        self.connecting.iter().for_each(|it| it.warn());
        self.routes.iter().filter_map(|route| route.resign.as_ref()).for_each(Resign::warn);
    }

    /// Leaves what is counted to the one that takes its place.
    fn hand_over(&self, next: &Engine) {
        for route in &self.routes {
            self.metrics.renewed(&route.name, route.signing.renewals());
            if !next.routes.iter().any(|other| other.name == route.name) {
                self.metrics.expires(&route.name, None);
            }
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Serving {
    /// `last` is what it takes the place of, and shares what is counted and limited for both together.
    fn new(
        config: &Config,
        outside: &Arc<dyn Outside>,
        last: Option<(&Config, &Serving)>,
    ) -> Result<Serving, ConfigError> {
        config.check()?;
        let to_services = upstream::tls(config.ca_file.as_deref());
        let needs_tls = config.routes.iter().any(|route| match &route.upstream {
            Some(upstream) => upstream.https,
            None => !route.plain_http,
        });
        let to_services = match to_services {
            Err(error) if needs_tls || config.ca_file.is_some() => return Err(error),
            Err(_) => upstream::no_tls(),
            Ok(tls) => tls,
        };
        let mut routes: Vec<Route> = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            let route = Route::new(route, outside, &to_services, &config.timeouts)?;
            if routes.iter().any(|other| other.name == route.name) {
                return Err(ConfigError::new(format!("two routes are called `{}`", route.name)));
            }
            routes.push(route);
        }
        let gate = Gate::new(config, last.map(|(config, last)| (config, &last.engine.gate)))?;
        let audit = match last {
            // Those who end by the old settings write there too.
            Some((last_config, last)) if last_config.audit == config.audit => {
                last.engine.audit.iter().for_each(|audit| audit.reopen());
                last.engine.audit.clone()
            }
            _ => config.audit.as_deref().map(Audit::open).transpose()?.map(Arc::new),
        };
        let connecting = config.connect.as_ref().map(|it| Connecting::new(it, outside));
        let limits = &config.limits;
        let requests =
            last.filter(|(config, _)| config.limits.requests == limits.requests).map(|it| it.1);
        let spooled =
            last.filter(|(config, _)| config.limits.spooled == limits.spooled).map(|it| it.1);
        let last = last.map(|(_, serving)| &*serving.engine);
        let mut holding = Holding::new(limits, config.timeouts.body);
        if let Some(last) = spooled {
            holding.share(&last.engine.holding);
        }
        let engine = Engine {
            routes,
            gate,
            audit,
            room: match requests {
                Some(last) => Arc::clone(&last.engine.room),
                None => body::room(limits.requests),
            },
            holding,
            timeouts: config.timeouts.clone(),
            metrics: last.map_or_else(Metrics::new, |last| last.metrics.clone()),
            ids: last.map_or_else(Ids::default, |last| last.ids.clone()),
            nowhere: Arc::from(""),
            upgraded: last.map_or_else(TaskTracker::new, |last| last.upgraded.clone()),
            cut: last.map_or_else(Arc::default, |last| Arc::clone(&last.cut)),
            connecting: connecting.transpose()?.map(Arc::new),
        };
        Ok(Serving {
            engine: Arc::new(engine),
            builder: connection::builder(config),
            tls: config.tls.as_ref().map(tls::server).transpose()?,
        })
    }
}
