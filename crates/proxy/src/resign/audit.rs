//! Who asked for what, and whether it was let through: a line of JSON for each decision.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, SystemTime},
};

use http::Method;
use serde::{Serialize, Serializer};

use crate::{
    ConfigError,
    refuse::{Reason, Refusal},
};

/// The audit log. A thread of its own writes it, so that no request waits for a disk.
///
/// It fails closed: once a line could not be written, or while more wait than are kept, nothing is let through.
#[derive(Clone)]
pub(crate) struct Audit {
    lines: SyncSender<Message>,
    /// Bytes of the lines that nobody took yet.
    waiting: Arc<AtomicUsize>,
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
    /// The names of the parameters, a `&` behind each.
    #[serde(serialize_with = "as_list")]
    query: String,
    /// Whether something was too long to be shown as a whole.
    #[serde(skip_serializing_if = "is_not")]
    shortened: bool,
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
    Line {
        line: Vec<u8>,
        /// Whether it tells of nothing that went on.
        is_denial: bool,
    },
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
        let mut decision = Decision {
            time: humantime::format_rfc3339_millis(now).to_string(),
            id: id.to_owned(),
            route: route.to_owned(),
            client,
            ..Decision::default()
        };
        decision.method = decision.short(method.as_str(), LONGEST_TEXT);
        decision
    }

    /// Where the request is to go, as far as that is known.
    pub(crate) fn leads_to(&mut self, host: &str, path: &str, query: Option<&str>) {
        self.host = self.short(host, LONGEST_TEXT);
        self.path = self.short(path, LONGEST_PATH);
        self.query.clear();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            if self.query.len() + name.len() >= LONGEST_QUERY {
                self.shortened = true;
                break;
            }
            self.query.push_str(name);
            self.query.push('&');
        }
    }

    /// As much of a text of the client's as is shown.
    fn short(&mut self, text: &str, limit: usize) -> String {
        if text.len() <= limit {
            return text.to_owned();
        }
        self.shortened = true;
        let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at));
        text[..end.unwrap_or_default()].to_owned()
    }

    /// Who it says that it is.
    pub(super) fn claims(&mut self, key: &str, scope: &str) {
        self.key = Some(self.short(key, LONGEST_TEXT));
        self.scope = Some(self.short(scope, LONGEST_TEXT));
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

    /// Writes that the request does not go on, or no further. What went wrong behind the proxy, or with its own
    /// key, is no decision.
    pub(crate) fn refuse(&mut self, refusal: &Refusal, log: Option<&Audit>) {
        self.verdict = match (self.verdict, refusal.reason) {
            (Verdict::Deny, _) => Verdict::Deny,
            (_, Reason::UpstreamConnect | Reason::UpstreamFailed | Reason::UpstreamTimeout) => {
                return;
            }
            (_, Reason::KeyRefused | Reason::NoCredentials) => return,
            _ => Verdict::Cut,
        };
        let reason = format!("{}: {}", refusal.reason.as_str(), refusal.message);
        self.reason = Some(self.short(&reason, LONGEST_TEXT));
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
        let audit = Audit {
            lines,
            waiting: Arc::default(),
            is_broken: Arc::default(),
            lost: Arc::default(),
        };
        let writer = Writer::new(path, file, &audit);
        thread::Builder::new()
            .name("countersign-audit".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| ConfigError::new(format!("the audit log cannot begin: {error}")))?;
        Ok(audit)
    }

    fn write(&self, decision: &Decision) -> Result<(), Refusal> {
        let mut line = serde_json::to_vec(decision).expect("texts and lists can be JSON");
        line.push(b'\n');
        let length = line.len();
        let is_denial = decision.verdict == Verdict::Deny;
        let has_room =
            self.waiting.fetch_add(length, Ordering::Relaxed) + length <= MOST_WAITING_BYTES;
        let sent = match has_room {
            true => self.lines.try_send(Message::Line { line, is_denial }),
            false => Err(TrySendError::Full(Message::Line { line, is_denial })),
        };
        sent.map_err(|error| {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
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
    waiting: Arc<AtomicUsize>,
    is_broken: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn new(path: &Path, file: File, audit: &Audit) -> Writer {
        Writer {
            path: path.to_owned(),
            file,
            pending: Vec::new(),
            waiting: Arc::clone(&audit.waiting),
            is_broken: Arc::clone(&audit.is_broken),
            lost: Arc::clone(&audit.lost),
        }
    }

    /// Until nobody is left who decides.
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            // What waits is written in one piece.
            let mut next = Some(message);
            let mut flushed = Vec::new();
            while let Some(message) = next {
                match message {
                    Message::Line { line, is_denial } => self.take(&line, is_denial),
                    Message::Flush(done) => flushed.push(done),
                    Message::Reopen => self.reopen(),
                }
                // What is taken is kept: the rest waits until there is room.
                next = match self.pending.len() < AT_ONCE {
                    true => messages.try_recv().ok(),
                    false => None,
                };
            }
            self.write();
            for done in flushed {
                let _ = done.send(());
            }
        }
    }

    /// Keeps a line until it is written: a denial if there is room, and whatever went on in any case. Of those no
    /// more come than waited, since nothing is let through while the file cannot be written.
    fn take(&mut self, line: &[u8], is_denial: bool) {
        self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
        if is_denial && self.pending.len() >= MOST_PENDING {
            self.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            self.pending.extend_from_slice(line);
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

fn as_list<S: Serializer>(names: &str, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(names.split_terminator('&'))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_not(it: &bool) -> bool {
    !it
}

/// Lines; more would take the memory of a proxy whose disk stands still.
const MOST_WAITING: usize = 4096;
/// Bytes of these lines.
const MOST_WAITING_BYTES: usize = 4 << 20;
/// Bytes that are kept while they cannot be written.
const MOST_PENDING: usize = 1 << 20;
/// Bytes that are written in one piece.
const AT_ONCE: usize = 64 << 10;
const LAST_WAIT: Duration = Duration::from_secs(5);

// Bytes of what a client says, and a line repeats before anybody knows who it is.
const LONGEST_PATH: usize = 4 << 10;
const LONGEST_QUERY: usize = 4 << 10;
const LONGEST_TEXT: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn decision() -> Decision {
        Decision::new(SystemTime::UNIX_EPOCH, "1", "r", &Method::GET, None)
    }

    /// A log whose lines nobody takes but this receiver.
    fn log() -> (Audit, Receiver<Message>) {
        let (lines, receiver) = sync_channel(MOST_WAITING);
        let (waiting, is_broken, lost) = (Arc::default(), Arc::default(), Arc::default());
        (Audit { lines, waiting, is_broken, lost }, receiver)
    }

    fn writer(audit: &Audit) -> (tempfile::NamedTempFile, Writer) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let writer = Writer::new(file.path(), append_to(file.path()).expect("a file"), audit);
        (file, writer)
    }

    #[test]
    fn no_line_and_no_flush_is_lost_when_much_waits() {
        let (audit, receiver) = log();
        let mut decision = decision();
        decision.leads_to("h", &"/a".repeat(2000), None);
        for _ in 0..100 {
            decision.allow(Some(&audit)).expect("room");
        }
        let (done, is_done) = sync_channel(1);
        audit.lines.send(Message::Flush(done)).expect("a receiver");
        let (file, writer) = writer(&audit);
        let waiting = Arc::clone(&audit.waiting);
        drop(audit);
        writer.run(&receiver);
        let text = std::fs::read_to_string(file.path()).expect("a file");
        assert_eq!((text.lines().count(), is_done.try_recv()), (100, Ok(())));
        assert_eq!(waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn only_denials_are_lost_while_nothing_can_be_written() {
        let (audit, _receiver) = log();
        let (_file, mut writer) = writer(&audit);
        writer.pending = vec![b'x'; MOST_PENDING];
        audit.waiting.store(12, Ordering::Relaxed);
        writer.take(b"denied", true);
        assert_eq!((writer.pending.len(), audit.lost.load(Ordering::Relaxed)), (MOST_PENDING, 1));
        writer.take(b"allow\n", false);
        assert!(writer.pending.ends_with(b"xallow\n"));
        assert_eq!(audit.lost.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn lines_that_wait_are_bounded_by_their_bytes() {
        let (audit, _receiver) = log();
        let mut decision = decision();
        decision.leads_to("h", &"/a".repeat(2000), None);
        let taken = (0..MOST_WAITING).take_while(|_| decision.allow(Some(&audit)).is_ok()).count();
        assert!((900..1100).contains(&taken), "{taken}");
        assert!(audit.waiting.load(Ordering::Relaxed) <= MOST_WAITING_BYTES);
        assert_eq!(decision.verdict, Verdict::Deny);
    }

    #[test]
    fn what_a_client_says_is_shown_as_far_as_a_line_has_room() {
        let mut long = decision();
        long.leads_to(&"h".repeat(60_000), &"/é".repeat(20_000), Some(&"a&".repeat(32_000)));
        long.claims(&"k".repeat(60_000), &"s".repeat(60_000));
        long.refuse(&Refusal::new(Reason::Malformed, "m".repeat(60_000)), None);
        let line = serde_json::to_string(&long).expect("JSON");
        assert!(line.len() < 32 << 10 && long.query.capacity() <= 8 << 10, "{}", line.len());
        assert!(line.contains("\"shortened\":true"), "{line}");
        let mut whole = decision();
        whole.leads_to("h", "/", Some("a=1&b&&=x&c=%20=2"));
        let line = serde_json::to_value(&whole).expect("JSON");
        assert_eq!(line["query"], serde_json::json!(["a", "b", "", "c"]));
        assert!(line.get("shortened").is_none());
    }

    #[test]
    fn what_goes_wrong_behind_the_proxy_is_no_decision() {
        for (reason, expected) in [
            (Reason::KeyRefused, Verdict::Allow),
            (Reason::NoCredentials, Verdict::Allow),
            (Reason::UpstreamFailed, Verdict::Allow),
            (Reason::NotVerified, Verdict::Cut),
            (Reason::BodyTimeout, Verdict::Cut),
        ] {
            let (audit, _receiver) = log();
            let mut decision = decision();
            decision.allow(Some(&audit)).expect("room");
            decision.refuse(&Refusal::new(reason, "why"), Some(&audit));
            assert_eq!(decision.verdict, expected, "{}", reason.as_str());
        }
    }
}
