//! What STS answers, in XML; and S3, where it gives credentials too.

use std::cell::Cell;

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use zeroize::Zeroizing;

use crate::{Credentials, Timestamp};

/// The credentials that the answer to an action grants; the error says what was seen instead, and none of
/// it.
pub(super) fn credentials(action: &str, body: &[u8]) -> Result<Credentials, String> {
    credentials_in(&[&format!("{action}Response"), &format!("{action}Result")], body)
}

/// The same of an answer whose result stands in these elements, one in the other.
pub(in crate::providers) fn credentials_in(
    place: &[&str],
    body: &[u8],
) -> Result<Credentials, String> {
    let is_root = Cell::new(false);
    let mut texts = Texts::read(body, |path| {
        is_root.set(is_root.get() || path.first().map(String::as_str) == place.first().copied());
        Field::of_result(within(place, path)?)
    })?;
    if !is_root.get() {
        let root = place.first().expect("a place has a first element");
        return Err(format!("it is XML, and no {root}"));
    }
    let at = texts.take(Field::Expiration)?;
    let at: Timestamp = at.parse().map_err(|_| "its Expiration is no time".to_owned())?;
    let credentials =
        Credentials::new(&*texts.take(Field::AccessKeyId)?, &*texts.take(Field::SecretAccessKey)?)
            .with_session_token(&*texts.take(Field::SessionToken)?)
            .with_expires_at(at.into())
            .with_static_stability(true);
    let arn = texts.take(Field::Arn).ok();
    Ok(match arn.as_deref().and_then(|arn| account_id(arn)) {
        Some(account_id) => credentials.with_account_id(account_id),
        None => credentials,
    })
}

/// An answer that grants nothing, and says why.
pub(in crate::providers) struct Failure {
    code: String,
    message: String,
}

impl Failure {
    /// Reads the body of an error; `None` if it cannot be read.
    pub(super) fn parse(body: &[u8]) -> Option<Failure> {
        // As AWS writes it, then as radosgw and moto do.
        let places: [&[&str]; 3] =
            [&["ErrorResponse", "Error"], &["Error"], &["ErrorResponse", "Errors", "Error"]];
        places.into_iter().find_map(|place| Failure::parse_in(place, body))
    }

    /// Reads an error that stands in these elements, one in the other.
    pub(in crate::providers) fn parse_in(place: &[&str], body: &[u8]) -> Option<Failure> {
        let mut texts = Texts::read(body, |path| Field::of_error(within(place, path)?)).ok()?;
        let code = texts.take(Field::Code).ok()?;
        let is_code = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
        if code.len() > LONGEST_CODE || !code.bytes().all(is_code) {
            return None;
        }
        let message = texts.take(Field::Message).unwrap_or_default();
        Some(Failure { code: code.to_string(), message: message.to_string() })
    }

    pub(in crate::providers) fn is_one_of(&self, codes: &[&str]) -> bool {
        codes.iter().any(|code| bare(code) == bare(&self.code))
    }

    /// The error as SDKs name it, which for some is not the code.
    pub(in crate::providers) fn name(&self) -> String {
        let suffix = if MODELLED.contains(&&*self.code) { "Exception" } else { "" };
        format!("{}{suffix}", self.code)
    }

    /// The service's words, shortened and with control characters escaped; without them if they hold what
    /// nobody should read.
    pub(in crate::providers) fn message_without(&self, is_secret: impl Fn(&str) -> bool) -> String {
        if is_secret(&self.message) {
            return "the message is left out, for it repeats a secret".to_owned();
        }
        shown(&self.message)
    }
}

/// What a service says, shortened and with control characters escaped.
pub(in crate::providers) fn shown(message: &str) -> String {
    let message = message.trim();
    let mut shown: String = message.chars().take(LONGEST_MESSAGE).collect();
    if shown.len() < message.len() {
        shown.push('…');
    }
    // Quotes stay as they are: only what could disturb a terminal or a log is escaped.
    let escape = |char: char| match char.is_control() {
        true => char.escape_default().collect(),
        false => String::from(char),
    };
    shown.chars().map(escape).collect()
}

/// The rest of a path that leads on from a place.
fn within<'p>(place: &[&str], path: &'p [String]) -> Option<&'p [String]> {
    let (first, rest) = path.split_at_checked(place.len())?;
    (first == place).then_some(rest)
}

/// What is read of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    AccessKeyId,
    Arn,
    Code,
    Expiration,
    Message,
    SecretAccessKey,
    SessionToken,
}

impl Field {
    fn of_result(path: &[String]) -> Option<Field> {
        let [outer, inner] = path else { return None };
        match (outer.as_str(), inner.as_str()) {
            ("AssumedRoleUser" | "FederatedUser", "Arn") => Some(Field::Arn),
            ("Credentials", "AccessKeyId") => Some(Field::AccessKeyId),
            ("Credentials", "Expiration") => Some(Field::Expiration),
            ("Credentials", "SecretAccessKey") => Some(Field::SecretAccessKey),
            ("Credentials", "SessionToken") => Some(Field::SessionToken),
            _ => None,
        }
    }

    fn of_error(path: &[String]) -> Option<Field> {
        match path {
            [name] if name == "Code" => Some(Field::Code),
            [name] if name == "Message" => Some(Field::Message),
            _ => None,
        }
    }
}

/// The texts of the elements that were looked for, each there once.
struct Texts(Vec<(Field, Zeroizing<String>)>);

impl Texts {
    /// Reads a whole document, and keeps the text of each element that the path of local names leads to.
    fn read(body: &[u8], field: impl Fn(&[String]) -> Option<Field>) -> Result<Texts, String> {
        let text = str::from_utf8(body).map_err(|_| "it is no UTF-8".to_owned())?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        reader.config_mut().expand_empty_elements = true;
        let mut texts = Texts(Vec::new());
        let mut path: Vec<String> = Vec::new();
        let mut has_root = false;
        loop {
            // The reader's own errors may quote what it read.
            let event = reader.read_event().map_err(|_| malformed(&reader))?;
            match event {
                Event::Start(start) => {
                    if path.is_empty() && has_root || path.len() == DEEPEST {
                        return Err(malformed(&reader));
                    }
                    has_root = true;
                    path.push(name(&start));
                    texts.begin(field(&path))?;
                }
                Event::End(_) => {
                    path.pop();
                }
                Event::Text(text) => texts.push(field(&path), &text.xml10_content()),
                Event::CData(text) => texts.push(field(&path), &text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let named = match &*reference {
                        "amp" => Some('&'),
                        "apos" => Some('\''),
                        "gt" => Some('>'),
                        "lt" => Some('<'),
                        "quot" => Some('"'),
                        _ => reference.resolve_char_ref().ok().flatten(),
                    };
                    let char = named.ok_or_else(|| malformed(&reader))?;
                    texts.push(field(&path), char.encode_utf8(&mut [0; 4]));
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                // The reader was told to let empty elements begin and end.
                Event::Empty(_) => return Err(malformed(&reader)),
                Event::DocType(_) => return Err("it has a document type".to_owned()),
                Event::Eof if path.is_empty() && has_root => return Ok(texts),
                Event::Eof => return Err("it is no whole XML document".to_owned()),
            }
        }
    }

    fn begin(&mut self, field: Option<Field>) -> Result<(), String> {
        let Some(field) = field else { return Ok(()) };
        if self.0.iter().any(|(other, _)| *other == field) {
            return Err(format!("it holds {field:?} twice"));
        }
        self.0.push((field, Zeroizing::default()));
        Ok(())
    }

    fn push(&mut self, field: Option<Field>, text: &str) {
        let place = self.0.iter_mut().find(|(other, _)| Some(*other) == field);
        if let Some((_, kept)) = place {
            push_wiping(kept, text);
        }
    }

    /// A text that is there and says something.
    fn take(&mut self, field: Field) -> Result<Zeroizing<String>, String> {
        let at = self.0.iter().position(|(other, text)| *other == field && !text.is_empty());
        let at = at.ok_or_else(|| format!("it holds no {field:?}"))?;
        Ok(self.0.swap_remove(at).1)
    }
}

/// Appends without leaving the text as it was behind in memory that is given back.
pub(super) fn push_wiping(kept: &mut Zeroizing<String>, text: &str) {
    let len = kept.len() + text.len();
    if len > kept.capacity() {
        let mut grown = Zeroizing::new(String::with_capacity(len.max(2 * kept.capacity())));
        grown.push_str(kept);
        *kept = grown;
    }
    kept.push_str(text);
}

fn name(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

fn malformed(reader: &Reader<&[u8]>) -> String {
    format!("it is no well-formed XML around byte {}", reader.buffer_position())
}

/// A code without the ending that some services and lists of codes give it, and others do not.
fn bare(code: &str) -> &str {
    code.strip_suffix("Exception").unwrap_or(code)
}

/// The account in the ARN of a role or a user.
fn account_id(arn: &str) -> Option<&str> {
    let account_id = arn.split(':').nth(4)?;
    let is_number = !account_id.is_empty() && account_id.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(account_id)
}

/// Errors whose names in SDKs end in `Exception` and whose codes do not.
const MODELLED: [&str; 5] = [
    "IDPCommunicationError",
    "IDPRejectedClaim",
    "InvalidIdentityToken",
    "MalformedPolicyDocument",
    "PackedPolicyTooLarge",
];

const DEEPEST: usize = 32;
const LONGEST_CODE: usize = 128;
const LONGEST_MESSAGE: usize = 512;
