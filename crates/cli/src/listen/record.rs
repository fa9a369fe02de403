//! What is told of a request: to the terminal, to a program that reads JSON, and to the page.

use countersign::verify::Diagnosis;
use serde_json::{Map, Value, json};

use super::{
    said::{Said, place_name},
    side_by_side::{Row, canonical_requests, strings_to_sign, text},
};
use crate::verify::RefusedPart;

/// A request and the verdict on it, without any secret.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) said: Option<Said>,
    pub(super) verdict: Verdict,
    /// What was verified.
    pub(super) ours: Option<Steps>,
    /// What the client signed, if that is known.
    pub(super) theirs: Option<Steps>,
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
    pub(super) causes: Vec<Cause>,
    pub(super) difference: Option<Difference>,
    /// Which part of a body in chunks it is.
    pub(super) part: Option<RefusedPart>,
}

/// What is wrong with a request, for machines and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) code: &'static str,
    pub(super) sentence: String,
}

/// The first difference between what was verified and what the client signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Which part of the canonical request or of the string to sign it is, as `path`.
    pub(super) part: String,
    /// `None`: there is no such line.
    pub(super) ours: Option<String>,
    pub(super) theirs: Option<String>,
}

/// The steps on the way to a signature, session tokens masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) canonical_request: String,
    pub(super) string_to_sign: String,
}

impl Record {
    /// Adds what was found out about a signature. Its causes are those of a signature that differs;
    /// where something else was wrong, the steps alone are of interest.
    pub(super) fn explain(&mut self, diagnosis: &Diagnosis) {
        let steps = |canonical_request: &str, string_to_sign: &str| Steps {
            canonical_request: canonical_request.to_owned(),
            string_to_sign: string_to_sign.to_owned(),
        };
        let ours = steps(diagnosis.server_canonical_request(), diagnosis.server_string_to_sign());
        let theirs = diagnosis.client_canonical_request().zip(diagnosis.client_string_to_sign());
        self.theirs = theirs.map(|(canonical, string)| steps(canonical, string));
        self.ours = Some(ours);
        let Verdict::Refused(refused) = &mut self.verdict else { return };
        if !refused.causes.is_empty() || diagnosis.is_right() {
            return;
        }
        refused.causes = if diagnosis.is_explained() {
            let causes = diagnosis.causes().iter();
            causes.map(|cause| Cause { code: cause.code(), sentence: cause.to_string() }).collect()
        } else {
            vec![Cause { code: "unexplained", sentence: diagnosis.to_string() }]
        };
        if let (Some(ours), Some(theirs)) = (&self.ours, &self.theirs) {
            let rows = ours.beside(theirs);
            let first = rows.iter().flatten().find(|row| !row.is_same());
            refused.difference = first.map(Difference::of);
        }
    }

    /// The object that `--json` prints.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("method", json!(self.method));
        put("target", json!(self.target));
        put("ok", json!(matches!(self.verdict, Verdict::Accepted { .. })));
        if let Verdict::Refused(refused) = &self.verdict {
            let of = |value: fn(&Cause) -> Value| refused.causes.iter().map(value).collect();
            put("code", json!(refused.code));
            put("status", json!(refused.status));
            put("message", json!(refused.message));
            put("causes", of(|cause| json!(cause.sentence)));
            put("cause_codes", of(|cause| json!(cause.code)));
            put("difference", json!(refused.difference.as_ref().map(Difference::to_json)));
            for (name, value) in refused.part.iter().flat_map(RefusedPart::as_json) {
                put(name, value);
            }
        }
        if let Some(said) = &self.said {
            put("access_key_id", json!(said.access_key_id));
            put("scope", json!(said.scope));
            put("signed_headers", json!(said.signed_headers));
        }
        if let Verdict::Accepted { payload } = &self.verdict {
            put("payload", json!(payload));
        }
        if let Some(said) = &self.said {
            put("place", json!(place_name(said.place)));
        }
        object
    }

    /// The object that the page is given.
    pub(super) fn to_page_json(&self, number: u64) -> Value {
        let mut object = self.to_json();
        object.insert("number".to_owned(), json!(number));
        if let Some(ours) = &self.ours {
            let beside = ours.beside(self.theirs.as_ref().unwrap_or(ours));
            let [canonical_request, string_to_sign] =
                beside.map(|rows| rows.iter().map(Row::to_json).collect::<Value>());
            object.insert("canonical_request".to_owned(), canonical_request);
            object.insert("string_to_sign".to_owned(), string_to_sign);
            let client_is_known = self.theirs.as_ref().is_some_and(|theirs| theirs != ours);
            object.insert("client_is_known".to_owned(), json!(client_is_known));
        }
        Value::Object(object)
    }
}

impl Difference {
    fn of(row: &Row) -> Difference {
        Difference {
            part: row.part.to_string(),
            ours: row.ours.as_deref().map(text),
            theirs: row.theirs.as_deref().map(text),
        }
    }

    fn to_json(&self) -> Value {
        json!({ "part": self.part, "server": self.ours, "client": self.theirs })
    }
}

impl Steps {
    /// The canonical requests side by side, and the strings to sign.
    fn beside(&self, theirs: &Steps) -> [Vec<Row>; 2] {
        [
            canonical_requests(&self.canonical_request, &theirs.canonical_request),
            strings_to_sign(&self.string_to_sign, &theirs.string_to_sign),
        ]
    }
}
