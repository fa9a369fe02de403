//! A proxy from its settings to its end.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use tokio::{
    runtime,
    sync::{Semaphore, watch},
    task::spawn_blocking,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::{
    Config, ConfigError, ListenAddress, Outside, body,
    connection::{self, Server},
    listen::Listener,
    reload::Handle,
    workers::Workers,
};

/// A proxy that is set up, and does not listen yet.
///
/// See the [crate] for an example.
pub struct Proxy {
    config: Config,
    handle: Handle,
}

impl Proxy {
    /// Sets a proxy up.
    ///
    /// # Errors
    /// What of the settings cannot be, or cannot be together; nothing is left to go wrong with them later.
    pub fn new(config: Config, outside: Arc<dyn Outside>) -> Result<Proxy, ConfigError> {
        let handle = Handle::new(config.clone(), outside)?;
        Ok(Proxy { config, handle })
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// If an address cannot be listened on; the text names it.
    pub async fn bind(self) -> io::Result<Bound> {
        let Proxy { config, handle } = self;
        handle.engine().warn();
        let mut listeners = Vec::with_capacity(config.listen.len());
        for address in &config.listen {
            listeners.push(Listener::bind(address).await?);
        }
        let admin = match config.admin {
            Some(address) => Some(Listener::bind(&ListenAddress::Tcp(address)).await?),
            None => None,
        };
        Ok(Bound { config, handle, listeners, admin, workers: Workers::default() })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("listen", &self.config.listen).finish_non_exhaustive()
    }
}

/// A proxy that listens; connections wait until it [serves](Bound::serve).
#[derive(Debug)]
pub struct Bound {
    config: Config,
    handle: Handle,
    listeners: Vec<Listener>,
    admin: Option<Listener>,
    workers: Workers,
}

impl Bound {
    /// The same, which serves connections on these runtimes, in turn, and not on the one that
    /// [`serve`](Bound::serve) runs on.
    ///
    /// Each should have one thread, which drives it until `serve` has ended: then what belongs to a request
    /// stays on one thread, and none waits for another.
    #[must_use]
    pub fn with_workers(self, runtimes: impl IntoIterator<Item = runtime::Handle>) -> Bound {
        Bound { workers: Workers::new(runtimes), ..self }
    }

    /// The addresses on which it listens, with the ports that the system chose; not the Unix sockets, which are
    /// where the settings say.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::address).collect()
    }

    /// The address of health and metrics.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(Listener::address)
    }

    /// What gives it other settings while it serves.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `stop` is done; then takes no more connections and ends what is in flight, for as
    /// long as `timeouts.drain` allows. Must run on tokio, with its time and I/O.
    ///
    /// What clients had sent by then is answered. Health answers until the end, so that whoever watches
    /// sees the proxy go.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Bound { config, handle, listeners, admin, workers } = self;
        let (stopping, stopped) = watch::channel(false);
        let room = body::room(config.limits.connections);
        let connections = TaskTracker::new();
        let server = Server { handle: handle.clone(), stopped, workers };
        let accepting = TaskTracker::new();
        for listener in listeners {
            let (server, room) = (server.clone(), Arc::clone(&room));
            accepting.spawn(connection::accept(listener, server, room, connections.clone()));
        }
        let admin = admin.map(|listener| {
            // Its own few connections, so that a full house does not look like a dead one.
            let room = Arc::new(Semaphore::new(ADMIN_CONNECTIONS));
            let (never, stopped) = watch::channel(false);
            let server = Server { stopped, ..server.clone() };
            let serving = connection::accept_admin(listener, server, room);
            tokio::spawn(async move {
                serving.await;
                drop(never);
            })
        });
        stop.await;
        stopping.send_replace(true);
        let engine = handle.engine();
        accepting.close();
        connections.close();
        engine.upgraded.close();
        let drained = async {
            accepting.wait().await;
            connections.wait().await;
            engine.upgraded.wait().await;
        };
        let limit = engine.timeouts.drain;
        if timeout(limit, drained).await.is_err() {
            tracing::warn!("what was still in flight after {limit:?} is cut off");
            engine.cut.cancel();
            connections.wait().await;
            engine.upgraded.wait().await;
        }
        if let Some(admin) = admin {
            admin.abort();
        }
        let _ = spawn_blocking(move || handle.flush()).await;
    }
}

const ADMIN_CONNECTIONS: usize = 64;
