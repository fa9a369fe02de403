//! Standard output, written by a thread of its own: a reader that falls far behind holds up the
//! answers, but not the signals.

use std::{io::Write, process, thread};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{record::Record, terminal};

/// Where records go.
pub(super) struct Log {
    lines: mpsc::Sender<String>,
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
        let (lines, mut waiting) = mpsc::channel::<String>(WAITING);
        let (done, written) = oneshot::channel();
        thread::spawn(move || {
            let mut out = out();
            while let Some(line) = waiting.blocking_recv() {
                if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                    // Whoever read went away.
                    process::exit(0);
                }
            }
            let _ = done.send(());
        });
        (Log { lines, json }, written)
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
        // The other end stands until the last sender is gone.
        let _ = self.lines.send(line).await;
    }
}

/// So many records may wait to be written: a few megabytes.
const WAITING: usize = 10_000;
