//! A thread for each processor, on which connections are served.

use std::{io, num::NonZero, thread};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// Runtimes of one thread each, which end when this is dropped.
pub(super) struct Workers {
    handles: Vec<Handle>,
    threads: Vec<(oneshot::Sender<()>, thread::JoinHandle<()>)>,
}

impl Workers {
    /// As many as the system lets this program have processors.
    pub(super) fn start() -> io::Result<Workers> {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let mut workers = Workers { handles: Vec::new(), threads: Vec::new() };
        for _ in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.handles.push(runtime.handle().clone());
            let (end, ended) = oneshot::channel();
            let drive = move || {
                let _ = runtime.block_on(ended);
            };
            let thread = thread::Builder::new().name("worker".to_owned()).spawn(drive)?;
            workers.threads.push((end, thread));
        }
        Ok(workers)
    }

    pub(super) fn handles(&self) -> impl Iterator<Item = Handle> + use<> {
        self.handles.clone().into_iter()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (end, thread) in self.threads.drain(..) {
            let _ = end.send(());
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}
