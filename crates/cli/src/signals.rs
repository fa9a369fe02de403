//! Being told to stop, and what else signals say.

use std::io;

/// The signals that ask a program to stop.
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Waits for them from now on.
    pub(crate) fn new() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> io::Result<Signals> {
        Ok(Signals {})
    }

    pub(crate) async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// What a program that goes on is told by signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGUSR2: say less.
    Less,
    /// SIGUSR1: say more.
    More,
    /// SIGHUP: read the settings again.
    Reload,
}

/// The signals that tell a program what to do while it goes on.
pub(crate) struct Orders {
    #[cfg(unix)]
    reload: tokio::signal::unix::Signal,
    #[cfg(unix)]
    more: tokio::signal::unix::Signal,
    #[cfg(unix)]
    less: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Orders {
    /// Waits for them from now on.
    pub(crate) fn new() -> io::Result<Orders> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Orders {
            reload: signal(SignalKind::hangup())?,
            more: signal(SignalKind::user_defined1())?,
            less: signal(SignalKind::user_defined2())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.reload.recv() => Order::Reload,
            _ = self.more.recv() => Order::More,
            _ = self.less.recv() => Order::Less,
        }
    }
}

#[cfg(not(unix))]
impl Orders {
    pub(crate) fn new() -> io::Result<Orders> {
        Ok(Orders {})
    }

    /// Nothing tells it anything here.
    pub(crate) async fn next(&mut self) -> Order {
        std::future::pending().await
    }
}
