//! Sessions that somebody signed in to, and the files that they are kept in, which other programs read and
//! write too.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt, io, mem,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, value::RawValue};
use tokio::sync;
use zeroize::{Zeroize, Zeroizing};

use super::{Ports, ProviderError, ProviderErrorKind, json};
use crate::Timestamp;

/// A session: what it gives, and how it is renewed.
pub(super) trait Session: Sync {
    /// What is signed with, or shown.
    type Given: Send;

    /// Whether a refusal of the service ends what is still good.
    const ENDS_WHEN_REFUSED: bool;

    /// What a file gives. The error says what was seen instead, and none of it.
    fn held(document: &Document) -> Result<Held<Self::Given>, String>;

    /// Asks the service, and gives what its answer changes in the file.
    fn renew(
        &self,
        file: &SessionFile,
        document: &Document,
    ) -> impl Future<Output = Result<Document, ProviderError>> + Send;
}

/// What a session gives, and until when it is good.
pub(super) struct Held<T> {
    pub(super) given: T,
    pub(super) expires_at: SystemTime,
}

impl<T> Held<T> {
    fn is_live(&self, now: SystemTime) -> bool {
        now < self.expires_at
    }

    /// Whether nothing needs to be done.
    fn is_fresh(&self, now: SystemTime) -> bool {
        self.expires_at.duration_since(now).is_ok_and(|left| left >= EARLY)
    }
}

/// The file of a session: a JSON object that whoever signed in left there, and that whoever renews the
/// session writes anew.
///
/// Several processes may renew one session, and nothing locks them out: each reads the file again before
/// it writes, and what another one renewed meanwhile goes before its own.
pub(super) struct SessionFile {
    ports: Ports,
    path: PathBuf,
    provider: &'static str,
    /// The command by which somebody signs in.
    sign_in: String,
    /// Held by who renews, so that the others of this process find the file renewed.
    turn: sync::Mutex<()>,
    /// What could not be written: what the file held then, and what it should hold.
    unsaved: Mutex<Option<(Document, Document)>>,
}

impl SessionFile {
    pub(super) fn new(
        ports: &Ports,
        path: PathBuf,
        provider: &'static str,
        sign_in: String,
    ) -> SessionFile {
        SessionFile {
            ports: ports.clone(),
            path,
            provider,
            sign_in,
            turn: sync::Mutex::new(()),
            unsaved: Mutex::default(),
        }
    }

    /// What the session gives: renewed in its last minutes if that can be, and else as long as it is good.
    pub(super) async fn give<S: Session>(&self, session: &S) -> Result<S::Given, ProviderError> {
        let (_, held) = self.look::<S>()?;
        if held.is_fresh(self.now()) {
            return Ok(held.given);
        }
        let _turn = self.turn.lock().await;
        // Whoever had the turn before, or another process, may have renewed it.
        let (document, held) = self.look::<S>()?;
        if held.is_fresh(self.now()) {
            return Ok(held.given);
        }
        let changes = session.renew(self, &document).await;
        let error = match changes.and_then(|changes| self.save::<S>(&document, changes)) {
            Ok(renewed) => return Ok(renewed.given),
            Err(error) => error,
        };
        // Of two processes that ask with one refresh token, the second may be refused.
        match self.look::<S>() {
            Err(gone) if is_gone(&gone) => return Err(gone),
            Ok((other, held)) if other != document && held.is_fresh(self.now()) => {
                return Ok(held.given);
            }
            _ => {}
        }
        let is_over = S::ENDS_WHEN_REFUSED && error.kind() == ProviderErrorKind::Refused;
        if is_over || !held.is_live(self.now()) {
            return Err(error);
        }
        let why = error.with_sources();
        if is_too_soon(&error) {
            tracing::debug!(error = %why, "the session is not renewed yet");
        } else {
            tracing::warn!(error = %why, "the session is not renewed, and is used to its end");
        }
        Ok(held.given)
    }

    /// An error about what the file holds.
    pub(super) fn broken(&self, seen: &str) -> ProviderError {
        self.no_session(ProviderErrorKind::InvalidConfiguration, seen)
    }

    /// What the file holds, or should hold by what it could not be given.
    fn look<S: Session>(&self) -> Result<(Document, Held<S::Given>), ProviderError> {
        let document = self.meant_by(self.read()?);
        let held = S::held(&document).map_err(|seen| self.broken(&seen))?;
        Ok((document, held))
    }

    /// Writes a session that was renewed from what `before` holds, unless another process renewed it
    /// meanwhile. Gives what holds from now on.
    ///
    /// The service may take the old token no more, so the new one is lost only with the file: one that is
    /// gone was ended by somebody, and is not begun again.
    fn save<S: Session>(
        &self,
        before: &Document,
        changes: Document,
    ) -> Result<Held<S::Given>, ProviderError> {
        let in_file = match self.read() {
            Ok(in_file) => in_file,
            Err(gone) if is_gone(&gone) => return Err(gone),
            Err(error) => {
                tracing::warn!(%error, "the renewed session takes the place of what cannot be read");
                match &*self.unsaved() {
                    Some((in_file, meant)) if meant == before => in_file.clone(),
                    _ => before.clone(),
                }
            }
        };
        let mut document = self.meant_by(in_file.clone());
        if document != *before
            && let Ok(held) = S::held(&document)
            && held.is_fresh(self.now())
        {
            tracing::debug!(path = %self.path.display(), "another process renewed the session");
            return Ok(held);
        }
        document.merge(changes);
        let unsaved = match self.ports.files().replace(&self.path, &document.to_json()) {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(
                    path = %self.path.display(),
                    %error,
                    "the renewed session cannot be saved, and is known to this process alone"
                );
                Some((in_file, document.clone()))
            }
        };
        *self.unsaved() = unsaved;
        S::held(&document).map_err(|seen| self.broken(&seen))
    }

    fn meant_by(&self, in_file: Document) -> Document {
        match &*self.unsaved() {
            Some((before, meant)) if *before == in_file => meant.clone(),
            _ => in_file,
        }
    }

    fn read(&self) -> Result<Document, ProviderError> {
        let bytes = self.ports.files().read(&self.path).map(Zeroizing::new).map_err(|error| {
            let message = format!("failed to read `{}`: {error}", self.path.display());
            let failed = |message: String| {
                ProviderError::new(self.provider, ProviderErrorKind::Failed, message)
            };
            match error.kind() {
                io::ErrorKind::NotFound => {
                    failed(format!("{message}; nobody has signed in: run {}", self.sign_in))
                        .with_source(Gone)
                }
                _ => failed(message),
            }
        })?;
        // Another program may be writing it in its place, and be done the next time.
        Document::parse(&bytes).map_err(|seen| self.no_session(ProviderErrorKind::Failed, &seen))
    }

    fn no_session(&self, kind: ProviderErrorKind, seen: &str) -> ProviderError {
        let message = format!("`{}` holds no session: {seen}", self.path.display());
        ProviderError::new(self.provider, kind, message)
    }

    fn now(&self) -> SystemTime {
        self.ports.clock().now()
    }

    fn unsaved(&self) -> MutexGuard<'_, Option<(Document, Document)>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SessionFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How long before its end a session is renewed.
const EARLY: Duration = Duration::from_secs(5 * 60);

/// Marks an error by which there is no file. That ends a session, but not the credentials that it gave: no
/// service refused them.
#[derive(Debug)]
struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file of the session is not there")
    }
}

impl Error for Gone {}

fn is_gone(error: &ProviderError) -> bool {
    error.source().is_some_and(<dyn Error>::is::<Gone>)
}

/// Marks an error by which nobody was asked, for the last attempt was just now.
#[derive(Debug)]
pub(super) struct TooSoon(pub(super) Duration);

impl fmt::Display for TooSoon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the last attempt was {} seconds ago", self.0.as_secs())
    }
}

impl Error for TooSoon {}

fn is_too_soon(error: &ProviderError) -> bool {
    error.source().is_some_and(<dyn Error>::is::<TooSoon>)
}

/// A JSON object that may hold secrets: it is wiped when it is dropped, and never shown.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Document(Map<String, Value>);

impl Document {
    /// Reads an object; the error says what was seen instead, and none of it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Document, String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let fields: Fields<'_> = serde_json::from_slice(bytes).map_err(|error| {
            if error.is_data() {
                return "it is no JSON object".to_owned();
            }
            format!("it is no JSON around line {}, column {}", error.line(), error.column())
        })?;
        let mut document = Document::default();
        for (name, field) in fields {
            let value = match field.get().starts_with('{') {
                true => Document::within(field.get()).map(Value::from),
                false => value(field.get()),
            };
            document.set(&name, value.ok_or("one of its fields is no JSON")?);
        }
        Ok(document)
    }

    /// An object within a document: none of what stands deeper is ours.
    fn within(json: &str) -> Option<Document> {
        let fields: Fields<'_> = serde_json::from_str(json).ok()?;
        let mut document = Document::default();
        for (name, field) in fields {
            document.set(&name, value(field.get())?);
        }
        Some(document)
    }

    pub(super) fn to_json(&self) -> Zeroizing<Vec<u8>> {
        // Room for all of it, so that nothing is left behind where it grew.
        let mut len = Count(0);
        serde_json::to_writer(&mut len, &self.0).expect("counting never fails");
        let mut json = Zeroizing::new(Vec::with_capacity(len.0));
        serde_json::to_writer(&mut *json, &self.0).expect("a vector takes all that is written");
        json
    }

    /// A text that is there and says something.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// The same, or words for its absence.
    pub(super) fn needed(&self, name: &str) -> Result<&str, String> {
        self.text(name).ok_or_else(|| format!("{name} is missing"))
    }

    pub(super) fn whole_number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    /// A moment that is there.
    pub(super) fn moment(&self, name: &str) -> Result<SystemTime, String> {
        let text = self.needed(name)?;
        // Older programs end it so.
        let parsed = match text.strip_suffix("UTC") {
            Some(bare) => format!("{bare}Z").parse::<Timestamp>(),
            None => text.parse(),
        };
        parsed.map(SystemTime::from).map_err(|_| format!("{name} is no time"))
    }

    /// The moment that `expiresIn` names in an answer, in seconds from when it was asked for.
    pub(super) fn end(&self, asked_at: SystemTime) -> Result<Timestamp, String> {
        let seconds = self.whole_number("expiresIn").ok_or("expiresIn is no whole number")?;
        let end = asked_at.checked_add(Duration::from_secs(seconds));
        let end = end.and_then(|end| Timestamp::try_from(end).ok());
        end.ok_or_else(|| "expiresIn is too far off".to_owned())
    }

    /// An object within this one.
    pub(super) fn object(&self, name: &str) -> Option<Document> {
        self.0.get(name)?.as_object().cloned().map(Document)
    }

    /// Takes over what another one says, and keeps what it says nothing of.
    fn merge(&mut self, mut changes: Document) {
        merge(&mut self.0, mem::take(&mut changes.0));
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        put(&mut self.0, name.to_owned(), value.into());
    }

    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Document {
        self.set(name, value);
        self
    }
}

impl From<Document> for Value {
    fn from(mut document: Document) -> Value {
        Value::Object(mem::take(&mut document.0))
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

/// The fields of an object as they stand there.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

fn value(json: &str) -> Option<Value> {
    match json.starts_with('"') {
        true => Some(Value::String(mem::take(&mut *json::text(json)?))),
        false => serde_json::from_str(json).ok(),
    }
}

fn merge(fields: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, value) in changes {
        match (fields.get_mut(&name), value) {
            (Some(Value::Object(fields)), Value::Object(changes)) => merge(fields, changes),
            (_, value) => put(fields, name, value),
        }
    }
}

fn put(fields: &mut Map<String, Value>, name: String, value: Value) {
    if let Some(mut old) = fields.insert(name, value) {
        wipe(&mut old);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        _ => {}
    }
}

/// Counts what is written to it.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
