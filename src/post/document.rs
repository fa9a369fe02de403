//! The JSON of a policy.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::Condition;
use crate::Timestamp;

/// A policy, taken apart.
pub(super) struct Document {
    /// Fractions of a second are dropped: a policy ends early, if anything.
    pub(super) expiration: Timestamp,
    pub(super) conditions: Vec<Condition>,
}

impl Document {
    /// Reads a policy; what is wrong with it, without a word of what it holds.
    pub(super) fn parse(json: &[u8]) -> Result<Document, String> {
        let json = str::from_utf8(json).map_err(|_| "the policy is not UTF-8".to_owned())?;
        let unescaped = json.contains(ESCAPED_DOLLAR).then(|| without_escaped_dollars(json));
        let json = unescaped.as_ref().map_or(json, |text| text);
        let no_json = |what: &str, error: serde_json::Error| {
            format!("{what}: line {}, column {} is not as it must be", error.line(), error.column())
        };
        let Members(members) = serde_json::from_str(json)
            .map_err(|error| no_json("the policy is not a JSON object", error))?;
        let (mut expiration, mut conditions) = (None, None);
        for (name, value) in members {
            let slot = match &*name {
                "expiration" => &mut expiration,
                "conditions" => &mut conditions,
                _ => {
                    let message = "the policy holds more than its expiration and its conditions";
                    return Err(message.to_owned());
                }
            };
            if slot.replace(value).is_some() {
                return Err(format!("the policy holds `{name}` twice"));
            }
        }
        let expiration = expiration.ok_or("the policy is missing its expiration")?;
        let expiration = serde_json::from_str::<String>(expiration.get())
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or("the expiration is not a time like 2015-12-30T12:00:00.000Z")?;
        let conditions = conditions.ok_or("the policy is missing its conditions")?;
        let conditions: Vec<&RawValue> = serde_json::from_str(conditions.get())
            .map_err(|_| "the conditions are not an array".to_owned())?;
        let conditions = conditions.into_iter().enumerate().map(|(at, json)| {
            Condition::read(json).map_err(|problem| format!("condition {} {problem}", at + 1))
        });
        Ok(Document { expiration, conditions: conditions.collect::<Result<_, _>>()? })
    }

    /// A moment as a policy writes it.
    pub(super) fn time_text(at: Timestamp) -> String {
        at.to_rfc3339().replace('Z', ".000Z")
    }
}

/// An escape of S3's that JSON does not know.
const ESCAPED_DOLLAR: &str = r"\$";

fn without_escaped_dollars(json: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(json.len()));
    let mut chars = json.chars();
    while let Some(char) = chars.next() {
        match (char, chars.clone().next()) {
            ('\\', Some('$')) => {}
            // A backslash that is escaped escapes nothing.
            ('\\', Some(_)) => text.extend([char].into_iter().chain(chars.next())),
            _ => text.push(char),
        }
    }
    text
}

/// The members of an object, each as often as it stands there.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'de>, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dollar_may_be_escaped_as_s3_has_it() {
        let parse = |value: &str| {
            let json = format!(
                r#"{{"expiration":"2015-12-30T12:00:00.000Z","conditions":[{{"key":"{value}"}}]}}"#
            );
            let document = Document::parse(json.as_bytes()).ok()?;
            document.conditions[0].value().map(str::to_owned)
        };
        for (value, expected) in [
            (r"k\$x", Some("k$x")),
            (r"k\\$x", Some(r"k\$x")),
            (r#"k\\\$x\"\$"#, Some(r#"k\$x"$"#)),
            (r"k$x", Some("k$x")),
            (r"k\x\$", None),
        ] {
            assert_eq!(parse(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_moment_survives_being_written_into_a_policy() {
        let at: Timestamp = "20151230T120001Z".parse().expect("a time");
        let text = Document::time_text(at);
        assert_eq!(text, "2015-12-30T12:00:01.000Z");
        assert_eq!(text.parse::<Timestamp>().expect("a time"), at);
    }
}
