//! Who asked for what, and whether it was let through: a line of JSON for each decision.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, SystemTime},
};

use http::Method;
use serde::Serialize;

use crate::{
    ConfigError,
    refuse::{Reason, Refusal},
};

/// The audit log. A thread of its own writes it, so that no request waits for a disk.
///
/// It fails closed: while a line could not be written, or more wait than are kept, nothing is let through.
#[derive(Clone)]
pub(crate) struct Audit {
    lines: SyncSender<Message>,
    is_broken: Arc<AtomicBool>,
    /// Refusals for which there was no room.
    lost: Arc<AtomicU64>,
}

/// A decision, and all that led to it. Nothing of a secret, a signature or the values in a query.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Decision {
    time: String,
    id: String,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    route: String,
    /// The access key id, as far as the request says it; the name only if it was true.
    key: Option<String>,
    name: Option<String>,
    scope: Option<String>,
    method: String,
    host: String,
    /// As it goes on.
    path: String,
    /// The names of the parameters.
    query: Vec<String>,
    client: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Allow,
    /// Let through at first; then its body was not what was signed.
    Cut,
    #[default]
    Deny,
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
    Reopen,
}

impl Decision {
    /// Of a request that came at this time.
    pub(crate) fn new(
        now: SystemTime,
        id: &str,
        route: &str,
        method: &Method,
        client: Option<IpAddr>,
    ) -> Decision {
        Decision {
            time: humantime::format_rfc3339_millis(now).to_string(),
            id: id.to_owned(),
            route: route.to_owned(),
            method: method.to_string(),
            client,
            ..Decision::default()
        }
    }

    /// Where the request is to go, as far as that is known.
    pub(crate) fn leads_to(&mut self, host: &str, path: &str, query: Option<&str>) {
        let names = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        self.query = names.map(name).collect();
        (self.host, self.path) = (host.to_owned(), path.to_owned());
    }

    /// Who it says that it is.
    pub(super) fn claims(&mut self, key: &str, scope: String) {
        (self.key, self.scope) = (Some(key.to_owned()), Some(scope));
    }

    /// Who it is.
    pub(super) fn is_from(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    /// The name of the key that signed, once that is certain.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Writes that the request goes on.
    pub(crate) fn allow(&mut self, log: Option<&Audit>) -> Result<(), Refusal> {
        let Some(log) = log else { return Ok(()) };
        if log.is_broken.load(Ordering::Acquire) {
            let why = "the audit log cannot be written, so nothing is let through";
            return Err(Refusal::new(Reason::NoAudit, why));
        }
        self.verdict = Verdict::Allow;
        log.write(self).inspect_err(|_| self.verdict = Verdict::Deny)
    }

    /// Writes that the request does not go on, or no further. What went wrong behind the proxy is no decision.
    pub(crate) fn refuse(&mut self, refusal: &Refusal, log: Option<&Audit>) {
        self.verdict = match (self.verdict, refusal.reason) {
            (Verdict::Deny, _) => Verdict::Deny,
            (_, Reason::UpstreamConnect | Reason::UpstreamFailed | Reason::UpstreamTimeout) => {
                return;
            }
            _ => Verdict::Cut,
        };
        self.reason = Some(format!("{}: {}", refusal.reason.as_str(), refusal.message));
        // It is refused in any case.
        let _ = log.map(|log| log.write(self));
    }
}

impl Audit {
    /// Opens the file, and begins it if it is not there: readable by its owner alone.
    pub(crate) fn open(path: &Path) -> Result<Audit, ConfigError> {
        let file = append_to(path).map_err(|error| {
            let path = path.display();
            ConfigError::new(format!("the audit log `{path}` cannot be written: {error}"))
        })?;
        let (lines, receiver) = sync_channel(MOST_WAITING);
        let is_broken = Arc::new(AtomicBool::new(false));
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            path: path.to_owned(),
            file,
            pending: Vec::new(),
            is_broken: is_broken.clone(),
            lost: lost.clone(),
        };
        thread::Builder::new()
            .name("countersign-audit".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| ConfigError::new(format!("the audit log cannot begin: {error}")))?;
        Ok(Audit { lines, is_broken, lost })
    }

    fn write(&self, decision: &Decision) -> Result<(), Refusal> {
        let mut line = serde_json::to_vec(decision).expect("texts and lists can be JSON");
        line.push(b'\n');
        self.lines.try_send(Message::Line(line)).map_err(|error| {
            self.lost.fetch_add(1, Ordering::Relaxed);
            let why = match error {
                TrySendError::Full(_) => "the audit log is behind: try again later",
                TrySendError::Disconnected(_) => "the audit log has ended",
            };
            Refusal::new(Reason::NoAudit, why)
        })
    }

    /// Opens the file anew: what took its name meanwhile was put aside by whoever rotates logs.
    pub(crate) fn reopen(&self) {
        let _ = self.lines.send(Message::Reopen);
    }

    /// Waits, not for ever, until all that was decided is written. Blocks.
    pub(crate) fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if self.lines.send(Message::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(LAST_WAIT);
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").finish_non_exhaustive()
    }
}

struct Writer {
    path: PathBuf,
    file: File,
    /// What could not be written yet.
    pending: Vec<u8>,
    is_broken: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    /// Until nobody is left who decides.
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            // What waits is written in one piece.
            let mut next = Some(message);
            let mut flushed = Vec::new();
            while let Some(message) = next {
                match message {
                    Message::Line(line) if self.pending.len() < MOST_PENDING => {
                        self.pending.extend_from_slice(&line);
                    }
                    // What it tells of was refused: see `Decision::allow`.
                    Message::Line(_) => {
                        self.lost.fetch_add(1, Ordering::Relaxed);
                    }
                    Message::Flush(done) => flushed.push(done),
                    Message::Reopen => self.reopen(),
                }
                next = messages.try_recv().ok().filter(|_| self.pending.len() < AT_ONCE);
            }
            self.write();
            for done in flushed {
                let _ = done.send(());
            }
        }
    }

    fn write(&mut self) {
        let mut rest = &self.pending[..];
        let mut result = Ok(());
        while !rest.is_empty() && result.is_ok() {
            match self.file.write(rest) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        let written = self.pending.len() - rest.len();
        // The rest follows once it can be written, so that no line is lost or stands there in part.
        self.pending.drain(..written);
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "refusals are missing in the audit log, which is behind");
        }
        let was_broken = self.is_broken.swap(result.is_err(), Ordering::AcqRel);
        match result {
            Err(error) if !was_broken => {
                let path = self.path.display();
                tracing::error!("the audit log `{path}` cannot be written: {error}");
            }
            Ok(()) if was_broken => tracing::info!("the audit log is written again"),
            _ => {}
        }
    }

    fn reopen(&mut self) {
        self.write();
        match append_to(&self.path) {
            Ok(file) => self.file = file,
            Err(error) => {
                let path = self.path.display();
                tracing::error!("the audit log `{path}` cannot be opened again: {error}");
            }
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Lines; more would take the memory of a proxy whose disk stands still.
const MOST_WAITING: usize = 4096;
/// Bytes that are kept while they cannot be written.
const MOST_PENDING: usize = 1 << 20;
/// Bytes that are written in one piece.
const AT_ONCE: usize = 64 << 10;
const LAST_WAIT: Duration = Duration::from_secs(5);
