//! What is told of a request: to the terminal, to a program that reads JSON, and to the page.

use serde_json::{Map, Value, json};

use super::{
    received::{is_token, without_token},
    said::{Said, place_name},
};

/// A request and the verdict on it, without any secret.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) said: Option<Said>,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Accepted {
        /// What the signature says of the body, as JSON Lines call it.
        payload: &'static str,
    },
    Refused(Box<Refused>),
}

/// Why a request was refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) status: u16,
    pub(super) message: String,
    /// What is likely or proved to be wrong, a sentence each.
    pub(super) causes: Vec<String>,
    pub(super) difference: Option<Difference>,
    /// What was verified.
    pub(super) ours: Option<Steps>,
    /// What the client signed, if that is known.
    pub(super) theirs: Option<Steps>,
}

/// The first difference between what was verified and what the client signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Which part of the canonical request it is, as `path` or `header host`.
    pub(super) part: String,
    pub(super) ours: String,
    pub(super) theirs: String,
}

/// The steps on the way to a signature, session tokens masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) canonical_request: String,
    pub(super) string_to_sign: String,
}

impl Record {
    /// The object that `--json` prints.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("method", json!(self.method));
        put("target", json!(self.target));
        put("ok", json!(matches!(self.verdict, Verdict::Accepted { .. })));
        if let Verdict::Refused(refused) = &self.verdict {
            put("code", json!(refused.code));
            put("status", json!(refused.status));
            put("message", json!(refused.message));
            put("causes", json!(refused.causes));
            put("difference", json!(refused.difference.as_ref().map(Difference::to_json)));
        }
        if let Some(said) = &self.said {
            put("access_key_id", json!(said.access_key_id));
            put("scope", json!(said.scope));
            put("signed_headers", json!(said.signed_headers));
            put("place", json!(place_name(said.place)));
        }
        if let Verdict::Accepted { payload } = &self.verdict {
            put("payload", json!(payload));
        }
        object
    }
}

impl Difference {
    pub(super) fn to_json(&self) -> Value {
        json!({ "part": self.part, "ours": self.ours, "theirs": self.theirs })
    }
}

impl Steps {
    pub(super) fn masked(canonical_request: &str, string_to_sign: &str) -> Steps {
        Steps {
            canonical_request: masked(canonical_request),
            string_to_sign: string_to_sign.to_owned(),
        }
    }
}

/// A canonical request without the session token that may stand in its query and its headers.
fn masked(canonical_request: &str) -> String {
    let lines = (0..).zip(canonical_request.split('\n')).map(|(number, line)| {
        if number == QUERY_LINE {
            return line.split('&').map(without_token).collect::<Vec<_>>().join("&");
        }
        match line.split_once(':') {
            Some((name, value)) if number > QUERY_LINE && is_token(name) => {
                format!("{name}:<session token of {} bytes>", value.len())
            }
            _ => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Method and path stand before it, the headers behind.
const QUERY_LINE: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_masked_wherever_it_is_signed() {
        let canonical = "GET\n/a:b\na=1&X-Amz-Security-Token=a%2Fb\nhost:h\nX-Amz-Security-Token:abc\n\nhost\nhash";
        assert_eq!(
            masked(canonical),
            "GET\n/a:b\na=1&X-Amz-Security-Token=<session token of 3 bytes>\nhost:h\n\
             X-Amz-Security-Token:<session token of 3 bytes>\n\nhost\nhash"
        );
    }
}
