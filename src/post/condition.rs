//! What a policy asks of a form.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::document::Members;
use crate::{Error, ErrorKind};

/// What a [`Policy`](super::Policy) asks of a form: of one of its fields, or of the file's length.
///
/// Names of fields match in any case, values byte for byte. A condition on a field that the form does
/// not have does not hold.
///
/// Reads the JSON of a policy's condition, too, and `Debug` shows the names of fields but no values.
///
/// ```
/// use countersign::post::Condition;
///
/// let exact: Condition = r#"{"acl": "public-read"}"#.parse()?;
/// assert_eq!(exact, r#"["eq", "$acl", "public-read"]"#.parse()?);
/// assert_eq!(exact, Condition::equals("acl", "public-read"));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Condition(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Equals { name: String, value: Zeroizing<String> },
    Length { least: u64, most: u64 },
    StartsWith { name: String, prefix: Zeroizing<String> },
}

impl Condition {
    /// The field has this value and no other.
    pub fn equals(name: impl Into<String>, value: impl Into<String>) -> Condition {
        let (name, value) = (name.into(), Zeroizing::new(value.into()));
        Condition(Kind::Equals { name, value })
    }

    /// The field is there, and its value begins so; `""` allows any.
    ///
    /// If `content-type` holds commas, each part between them must begin so.
    ///
    /// ```
    /// # use countersign::post::Condition;
    /// let image = Condition::starts_with("Content-Type", "image/");
    /// assert_eq!(image, r#"["starts-with", "$Content-Type", "image/"]"#.parse()?);
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn starts_with(name: impl Into<String>, prefix: impl Into<String>) -> Condition {
        let (name, prefix) = (name.into(), Zeroizing::new(prefix.into()));
        Condition(Kind::StartsWith { name, prefix })
    }

    /// The file has so many bytes, both ends included.
    ///
    /// ```
    /// # use countersign::post::Condition;
    /// let length = Condition::content_length_range(1..=1_048_576);
    /// assert_eq!(length, r#"["content-length-range", 1, "1048576"]"#.parse()?);
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn content_length_range(bytes: RangeInclusive<u64>) -> Condition {
        Condition(Kind::Length { least: *bytes.start(), most: *bytes.end() })
    }

    /// Reads one element of `conditions`; what is wrong with it.
    pub(super) fn read(json: &RawValue) -> Result<Condition, String> {
        let json = json.get();
        if json.starts_with('{') {
            let only_one = "is an object without exactly one property";
            let Members(members) = serde_json::from_str(json).map_err(|_| only_one.to_owned())?;
            let [(name, value)] = &members[..] else { return Err(only_one.to_owned()) };
            return Ok(Condition::equals(name, text(value)?));
        }
        let parts: Vec<&RawValue> = serde_json::from_str(json)
            .map_err(|_| "is neither an object nor an array".to_owned())?;
        let [operator, first, second] = parts[..] else {
            return Err("is an array that has not three elements".to_owned());
        };
        let field = || {
            let name = text(first)?.strip_prefix('$').map(str::to_owned);
            name.ok_or_else(|| "names a field without a `$` in front".to_owned())
        };
        match text(operator)?.as_str() {
            "eq" => Ok(Condition::equals(field()?, text(second)?)),
            "starts-with" => Ok(Condition::starts_with(field()?, text(second)?)),
            "content-length-range" => match (number(first)?, number(second)?) {
                (least, most) if least <= most => Ok(Condition::content_length_range(least..=most)),
                _ => Err("is a content-length-range that ends before it begins".to_owned()),
            },
            _ => Err("begins with none of eq, starts-with and content-length-range".to_owned()),
        }
    }

    /// Appends the condition as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Kind::Equals { name, value } => {
                out.push(b'{');
                write_text(name, out);
                out.push(b':');
                write_text(value, out);
                out.push(b'}');
            }
            Kind::Length { least, most } => {
                let text = format!(r#"["content-length-range",{least},{most}]"#);
                out.extend_from_slice(text.as_bytes());
            }
            Kind::StartsWith { name, prefix } => {
                out.extend_from_slice(br#"["starts-with","#);
                write_text(&format!("${name}"), out);
                out.push(b',');
                write_text(prefix, out);
                out.push(b']');
            }
        }
    }

    /// How many bytes [`Condition::write`] appends at most: an escape takes six bytes.
    pub(super) fn bound(&self) -> usize {
        let text = match &self.0 {
            Kind::Equals { name, value } => name.len() + value.len(),
            Kind::Length { .. } => 2 * 20,
            Kind::StartsWith { name, prefix } => name.len() + prefix.len(),
        };
        6 * text + 32
    }

    /// The field that it is about.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.0 {
            Kind::Equals { name, .. } | Kind::StartsWith { name, .. } => Some(name),
            Kind::Length { .. } => None,
        }
    }

    pub(super) fn is_about(&self, field: &str) -> bool {
        self.name().is_some_and(|name| name.eq_ignore_ascii_case(field))
    }

    /// The only value that it allows.
    pub(super) fn value(&self) -> Option<&str> {
        match &self.0 {
            Kind::Equals { value, .. } => Some(value),
            _ => None,
        }
    }

    /// What the value must begin with.
    pub(super) fn prefix(&self) -> Option<&str> {
        match &self.0 {
            Kind::StartsWith { prefix, .. } => Some(prefix),
            _ => None,
        }
    }

    /// The lengths of a file that it allows.
    pub(super) fn lengths(&self) -> Option<RangeInclusive<u64>> {
        match self.0 {
            Kind::Length { least, most } => Some(least..=most),
            _ => None,
        }
    }

    /// Whether it holds for the value of its field. What it asks of the file is looked at elsewhere.
    pub(super) fn holds(&self, value: Option<&[u8]>) -> bool {
        match (&self.0, value) {
            (Kind::Length { .. }, _) => true,
            (_, None) => false,
            (Kind::Equals { value: wanted, .. }, Some(value)) => wanted.as_bytes() == value,
            (Kind::StartsWith { name, prefix }, Some(value)) => {
                let begins = |part: &[u8]| part.starts_with(prefix.as_bytes());
                if name.eq_ignore_ascii_case("content-type") {
                    value.split(|byte| *byte == b',').all(begins)
                } else {
                    begins(value)
                }
            }
        }
    }

    /// The condition as S3 shows one that does not hold, less what may be secret.
    pub(super) fn shown(&self) -> String {
        let (operator, name, value) = match &self.0 {
            Kind::Equals { name, value } => ("eq", name, value),
            Kind::StartsWith { name, prefix } => ("starts-with", name, prefix),
            Kind::Length { least, most } => {
                return format!(r#"["content-length-range", {least}, {most}]"#);
            }
        };
        let value = if is_secret(name) { "…" } else { value.as_str() };
        let mut out = format!(r#"["{operator}", "#).into_bytes();
        write_text(&format!("${name}"), &mut out);
        out.extend_from_slice(b", ");
        write_text(value, &mut out);
        out.push(b']');
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(json: &str) -> Result<Condition, Error> {
        let read = serde_json::from_str(json)
            .map_err(|_| "is not JSON".to_owned())
            .and_then(Condition::read);
        read.map_err(|problem| {
            Error::new(ErrorKind::InvalidPolicy, format!("the condition {problem}"))
        })
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Equals { name, .. } => f.debug_tuple("Equals").field(name).finish(),
            Kind::Length { least, most } => {
                f.debug_tuple("ContentLengthRange").field(&(least..=most)).finish()
            }
            Kind::StartsWith { name, .. } => f.debug_tuple("StartsWith").field(name).finish(),
        }
    }
}

/// Whether the value of a field is no one's to see: a session token, or a key that S3 encrypts with.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "x-amz-security-token" || name.contains("customer-key")
}

/// Appends a string as JSON.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a Vec takes all, and text is JSON");
}

fn text(json: &RawValue) -> Result<String, String> {
    serde_json::from_str(json.get()).map_err(|_| "holds what is no string".to_owned())
}

/// A length: S3 takes it as a number and as a string.
fn number(json: &RawValue) -> Result<u64, String> {
    let digits = text(json).unwrap_or_else(|_| json.get().to_owned());
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_whole.then(|| digits.parse().ok()).flatten();
    number.ok_or_else(|| "has a bound that is no whole number of bytes".to_owned())
}
