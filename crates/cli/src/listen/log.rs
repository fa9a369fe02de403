//! Standard output, written by a thread of its own: a reader that falls far behind holds up the
//! answers, but not the signals.

use std::{io::Write, process, sync::Arc, thread};

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{record::Record, terminal};
use crate::printed;

/// Where records go.
pub(super) struct Log {
    lines: mpsc::UnboundedSender<(String, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    json: bool,
}

/// Says when all was written.
pub(super) type Written = oneshot::Receiver<()>;

impl Log {
    /// `out` is opened by the thread that writes.
    pub(super) fn start<W: Write>(
        json: bool,
        out: impl FnOnce() -> W + Send + 'static,
    ) -> (Log, Written) {
        let (lines, mut waiting) = mpsc::unbounded_channel::<(String, OwnedSemaphorePermit)>();
        let (done, written) = oneshot::channel();
        thread::spawn(move || {
            let mut out = out();
            while let Some((line, _room)) = waiting.blocking_recv() {
                // Nothing is verified that nobody could see.
                let put = writeln!(out, "{line}").and_then(|()| out.flush());
                if let Err(failure) = printed::written(put) {
                    printed::tell(&failure);
                    process::exit(failure.code.into());
                }
            }
            let _ = done.send(());
        });
        (Log { lines, room: Arc::new(Semaphore::new(ROOM)), json }, written)
    }

    pub(super) async fn put(&self, record: &Record) {
        let line = if self.json {
            Value::Object(record.to_json()).to_string()
        } else {
            terminal::render(record)
        };
        self.put_line(line).await;
    }

    pub(super) async fn put_line(&self, line: String) {
        let size = u32::try_from(line.len().min(ROOM)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(size).await;
        // The other end stands until the last sender is gone.
        let _ = self.lines.send((line, room.expect("nobody closes it")));
    }
}

/// So many bytes of records may wait to be written.
const ROOM: usize = 4 << 20;
