//! The files that sessions are kept in, which other programs read and write too.

use std::{
    collections::BTreeMap,
    fmt, io, mem,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde_json::{Map, Value, value::RawValue};
use tokio::sync;
use zeroize::{Zeroize, Zeroizing};

use super::{Ports, ProviderError, ProviderErrorKind, json};
use crate::Timestamp;

/// The file of a session: a JSON object that whoever signed in left there, and that whoever renews the
/// session writes anew.
///
/// Several processes may renew one session, and nothing locks them out: each reads the file again before
/// it writes, and what another one renewed meanwhile goes before its own.
pub(super) struct SessionFile {
    ports: Ports,
    path: PathBuf,
    provider: &'static str,
    /// Held by who renews, so that the others of this process find the file renewed.
    turn: sync::Mutex<()>,
    /// What could not be written: what the file held then, and what it should hold.
    unsaved: Mutex<Option<(Document, Document)>>,
}

impl SessionFile {
    pub(super) fn new(ports: &Ports, path: PathBuf, provider: &'static str) -> SessionFile {
        SessionFile {
            ports: ports.clone(),
            path,
            provider,
            turn: sync::Mutex::new(()),
            unsaved: Mutex::default(),
        }
    }

    /// Waits until nobody else of this process renews the session.
    pub(super) async fn turn(&self) -> sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// What the file holds, or should hold by what it could not be given.
    pub(super) fn read(&self) -> Result<Document, ProviderError> {
        Ok(self.meant_by(self.held()?))
    }

    /// Writes a session that was renewed from what `before` holds, unless another process renewed it
    /// meanwhile. Gives what holds from now on.
    ///
    /// The service may take the old token no more, so the new one is lost only with the file: one that is
    /// gone was ended by somebody, and is not begun again.
    pub(super) fn renew(
        &self,
        before: &Document,
        is_fresh: impl Fn(&Document) -> bool,
        edit: impl FnOnce(&mut Document),
    ) -> Result<Document, ProviderError> {
        let held = match self.held() {
            Ok(held) => held,
            Err(gone) if is_gone(&gone) => return Err(gone),
            Err(error) => {
                tracing::warn!(%error, "the renewed session takes the place of what cannot be read");
                match &*self.unsaved() {
                    Some((held, meant)) if meant == before => held.clone(),
                    _ => before.clone(),
                }
            }
        };
        let mut document = self.meant_by(held.clone());
        if document != *before && is_fresh(&document) {
            tracing::debug!(path = %self.path.display(), "another process renewed the session");
            return Ok(document);
        }
        edit(&mut document);
        let unsaved = match self.ports.files().replace(&self.path, &document.to_json()) {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(
                    path = %self.path.display(),
                    %error,
                    "the renewed session cannot be saved, and is known to this process alone"
                );
                Some((held, document.clone()))
            }
        };
        *self.unsaved() = unsaved;
        Ok(document)
    }

    fn meant_by(&self, held: Document) -> Document {
        match &*self.unsaved() {
            Some((before, meant)) if *before == held => meant.clone(),
            _ => held,
        }
    }

    fn held(&self) -> Result<Document, ProviderError> {
        let bytes = self.ports.files().read(&self.path).map(Zeroizing::new).map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::NotFound => GONE,
                _ => ProviderErrorKind::Failed,
            };
            let message = format!("failed to read `{}`: {error}", self.path.display());
            ProviderError::new(self.provider, kind, message)
        })?;
        // Another program may be writing it in its place, and be done the next time.
        Document::parse(&bytes).map_err(|seen| self.no_session(ProviderErrorKind::Failed, &seen))
    }

    /// An error about what the file holds.
    pub(super) fn broken(&self, seen: &str) -> ProviderError {
        self.no_session(ProviderErrorKind::InvalidConfiguration, seen)
    }

    fn no_session(&self, kind: ProviderErrorKind, seen: &str) -> ProviderError {
        let message = format!("`{}` holds no session: {seen}", self.path.display());
        ProviderError::new(self.provider, kind, message)
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

/// Whether what was read says that somebody ended the session.
pub(super) fn is_gone(error: &ProviderError) -> bool {
    error.kind() == GONE
}

const GONE: ProviderErrorKind = ProviderErrorKind::Refused;

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

    /// An object within this one.
    pub(super) fn object(&self, name: &str) -> Option<Document> {
        self.0.get(name)?.as_object().cloned().map(Document)
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        if let Some(mut old) = self.0.insert(name.to_owned(), value.into()) {
            wipe(&mut old);
        }
    }

    pub(super) fn set_moment(&mut self, name: &str, at: Timestamp) {
        // 20150830T123600Z
        let basic = at.as_str();
        let (date, time) = (&basic[..8], &basic[9..15]);
        self.set(
            name,
            format!(
                "{}-{}-{}T{}:{}:{}Z",
                &date[..4],
                &date[4..6],
                &date[6..],
                &time[..2],
                &time[2..4],
                &time[4..]
            ),
        );
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
