//! The JSON objects in which metadata services and processes hand out credentials.

use std::{fmt, mem, time::SystemTime};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::json;
use crate::{Credentials, Timestamp};

/// A JSON object with credentials, or with the reason why there are none.
///
/// The case of its names does not count, unknown ones are passed over, and `null` is as good as nothing.
/// An account may be a number. What is secret is wiped.
#[derive(Default)]
pub(super) struct Document {
    version: Option<String>,
    code: Field,
    message: Field,
    access_key_id: Field,
    secret_access_key: Field,
    token: Field,
    expiration: Field,
    account_id: Field,
}

type Field = Option<Zeroizing<String>>;

impl Document {
    pub(super) fn parse(text: &[u8]) -> Result<Document, Problem> {
        // The message of a type error would quote the value.
        serde_json::from_slice(text)
            .map_err(|error| Problem::NoJson { line: error.line(), column: error.column() })
    }

    /// The version, as a number is written.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The code of a failure; that of success is none.
    pub(super) fn code(&self) -> Option<&str> {
        let code = self.code.as_deref().map(String::as_str);
        code.filter(|code| !code.eq_ignore_ascii_case("Success"))
    }

    /// `[code]: message`, as a message shows it.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure_without(|_| false)
    }

    /// The same without what holds what nobody should read.
    pub(super) fn failure_without(&self, is_secret: impl Fn(&str) -> bool) -> Option<String> {
        if is_secret(self.code()?) || self.message.as_ref().is_some_and(|said| is_secret(said)) {
            return Some("the reason is left out, for it repeats a secret".to_owned());
        }
        let code = shown(self.code()?.as_bytes(), 64);
        let message = self.message.as_ref().map_or("no reason was given", |message| message);
        Some(format!("[{code}]: {}", shown(message.as_bytes(), 512)))
    }

    /// Credentials that live for a while, and say how long.
    pub(super) fn temporary(self) -> Result<Credentials, Problem> {
        let missing = |name, field: &Field| match filled(field) {
            true => Ok(()),
            false => Err(Problem::Missing(name)),
        };
        missing("AccessKeyId", &self.access_key_id)?;
        missing("SecretAccessKey", &self.secret_access_key)?;
        missing("Token", &self.token)?;
        missing("Expiration", &self.expiration)?;
        self.credentials()
    }

    /// Credentials of any kind.
    pub(super) fn credentials(self) -> Result<Credentials, Problem> {
        let id = take(self.access_key_id).ok_or(Problem::Missing("AccessKeyId"))?;
        let secret = take(self.secret_access_key).ok_or(Problem::Missing("SecretAccessKey"))?;
        let mut credentials = Credentials::new(id, secret);
        if let Some(token) = take(self.token) {
            credentials = credentials.with_session_token(token);
        }
        if let Some(expiration) = take(self.expiration) {
            let at: Timestamp = expiration.parse().map_err(|_| Problem::NoTime)?;
            credentials = credentials.with_expires_at(SystemTime::from(at));
        }
        if let Some(account_id) = take(self.account_id) {
            credentials = credentials.with_account_id(account_id);
        }
        Ok(credentials)
    }

    fn field(&mut self, name: Name) -> &mut Field {
        match name {
            Name::AccessKeyId => &mut self.access_key_id,
            Name::AccountId => &mut self.account_id,
            Name::Code => &mut self.code,
            Name::Expiration => &mut self.expiration,
            Name::Message => &mut self.message,
            Name::SecretAccessKey => &mut self.secret_access_key,
            Name::Token => &mut self.token,
        }
    }
}

fn filled(field: &Field) -> bool {
    field.as_ref().is_some_and(|value| !value.trim().is_empty())
}

/// The text itself, so that no second copy of it is made.
fn take(field: Field) -> Option<String> {
    let mut value = field.filter(|value| !value.trim().is_empty())?;
    Some(mem::take(&mut *value))
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with credentials")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        while let Some(name) = members.next_key::<String>()? {
            if name.eq_ignore_ascii_case("Version") {
                let version: &RawValue = members.next_value()?;
                document.version = Some(shown(version.get().as_bytes(), 16));
                continue;
            }
            let Some(name) = Name::of(&name) else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let (value, field) = (members.next_value::<&RawValue>()?.get(), document.field(name));
            // Words about a failure may be told twice, one time for people and one for programs.
            let is_told = field.is_some() && matches!(name, Name::Code | Name::Message);
            if value == "null" || is_told {
                continue;
            }
            let value = match name {
                Name::AccountId => account(value).or_else(|| json::text(value)),
                _ => json::text(value),
            };
            let value = value.ok_or_else(|| A::Error::custom("no text"))?;
            // The same under two names is how some agents please all.
            if field.as_ref().is_some_and(|before| *before != value) {
                return Err(A::Error::custom("a member is there twice"));
            }
            *field = Some(value);
        }
        Ok(document)
    }
}

/// An account that is written as a number, which has no zeros in front: accounts have twelve digits.
fn account(json: &str) -> Option<Zeroizing<String>> {
    let is_whole = json.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| Zeroizing::new(format!("{json:0>12}")))
}

/// What is wrong with a document. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// A member that is needed is missing, or blank.
    Missing(&'static str),
    /// No JSON object, or one with a member of the wrong type.
    NoJson { line: usize, column: usize },
    /// The expiration is no time.
    NoTime,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing(name) => write!(f, "{name} is missing"),
            Problem::NoJson { line, column } => {
                write!(f, "invalid JSON in response: see line {line}, column {column}")
            }
            Problem::NoTime => f.write_str("the Expiration is no time like 2015-08-30T12:36:00Z"),
        }
    }
}

/// What others wrote, as a message may show it: no control characters, and not too much of it.
pub(super) fn shown(text: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let mut shown: String = text.chars().take(most).flat_map(char::escape_debug).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

#[derive(Clone, Copy)]
enum Name {
    AccessKeyId,
    AccountId,
    Code,
    Expiration,
    Message,
    SecretAccessKey,
    Token,
}

impl Name {
    fn of(text: &str) -> Option<Name> {
        let is = |known: &&str| text.eq_ignore_ascii_case(known);
        Some(NAMES.iter().find(|(names, _)| names.iter().any(is))?.1)
    }
}

const NAMES: [(&[&str], Name); 7] = [
    (&["AccessKeyId"], Name::AccessKeyId),
    (&["AccountId"], Name::AccountId),
    (&["Code"], Name::Code),
    (&["Expiration", "ExpiresAt"], Name::Expiration),
    (&["Message"], Name::Message),
    (&["SecretAccessKey"], Name::SecretAccessKey),
    (&["Token", "SessionToken"], Name::Token),
];
