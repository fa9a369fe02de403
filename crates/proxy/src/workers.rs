//! The runtimes on which connections are served.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{net::TcpStream, runtime::Handle};
use tokio_util::{either::Either, task::TaskTracker};

use crate::listen::Socket;

/// Runtimes that take connections in turn; without any, the one that accepts them serves them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workers {
    handles: Arc<[Handle]>,
    next: Arc<AtomicUsize>,
}

impl Workers {
    pub(crate) fn new(handles: impl IntoIterator<Item = Handle>) -> Workers {
        Workers { handles: handles.into_iter().collect(), next: Arc::default() }
    }

    /// Gives a task to the next of them.
    pub(crate) fn spawn(
        &self,
        tracker: &TaskTracker,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        if self.handles.is_empty() {
            tracker.spawn(task);
            return;
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len();
        tracker.spawn_on(task, &self.handles[next]);
    }

    /// The same stream, of which this runtime hears: it was accepted on another.
    pub(crate) fn adopt(&self, socket: Socket) -> io::Result<Socket> {
        if self.handles.is_empty() {
            return Ok(socket);
        }
        Ok(match socket {
            Either::Left(stream) => Either::Left(TcpStream::from_std(stream.into_std()?)?),
            #[cfg(unix)]
            Either::Right(stream) => {
                Either::Right(tokio::net::UnixStream::from_std(stream.into_std()?)?)
            }
            #[cfg(not(unix))]
            Either::Right(stream) => Either::Right(TcpStream::from_std(stream.into_std()?)?),
        })
    }
}
