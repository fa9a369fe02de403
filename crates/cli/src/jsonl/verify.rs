//! `countersign verify --jsonl`.

use std::{borrow::Cow, collections::HashMap, time::SystemTime};

use countersign::{Credentials, Scratch, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use zeroize::Zeroizing;

use super::{Answer, Body, overridden};
use crate::{
    failure::Failure,
    keys::{Derived, Keys},
    request::Request,
    verify::{Given, Outcome, Wanted, check},
};

/// Verifies each line of standard input; what a line leaves open is as `wanted` says.
pub(crate) fn run(wanted: &Wanted) -> Result<(), Failure> {
    let (known, derived) = (wanted.keys()?, Derived::default());
    let mut coprocess = Coprocess { wanted, known, derived, scratch: Scratch::new() };
    super::run(|line, out| coprocess.answer(line).write(out))
}

/// A request as it was received.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyLine<'l> {
    #[serde(borrow)]
    id: Option<&'l RawValue>,
    method: Option<String>,
    url: String,
    headers: Option<Vec<(String, String)>>,
    body: Option<String>,
    body_base64: Option<String>,
    body_file: Option<String>,
    credentials: Option<HashMap<String, Secret>>,
    time: Option<String>,
    region: Option<String>,
    service: Option<String>,
    rules: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = r#"in `credentials` stands for each access key id its secret, or {"secret_access_key": "…", "session_token": "…"}"#
)]
enum Secret {
    Alone(Zeroizing<String>),
    WithToken { secret_access_key: Zeroizing<String>, session_token: Option<Zeroizing<String>> },
}

/// What lasts from line to line.
struct Coprocess<'w> {
    wanted: &'w Wanted,
    /// Who is known besides those that a line names.
    known: Option<Credentials>,
    derived: Derived,
    scratch: Scratch,
}

impl Coprocess<'_> {
    fn answer(&mut self, text: &[u8]) -> Answer {
        let line: VerifyLine<'_> = match serde_json::from_slice(text) {
            Ok(line) => line,
            Err(error) => return Answer::not_a_request(text, &error),
        };
        let id = line.id;
        match self.verify(line) {
            Ok(outcome) => Answer::new(id, outcome.as_json()),
            Err(failure) => Answer::error(id, failure.kind, &failure.message),
        }
    }

    fn verify(&mut self, line: VerifyLine<'_>) -> Result<Outcome, Failure> {
        let owned = |text: Option<String>| text.map(Cow::Owned);
        let body = Body::of(owned(line.body), owned(line.body_base64), owned(line.body_file))?;
        let at = match &line.time {
            Some(time) => SystemTime::from(time.parse::<Timestamp>()?),
            None => self.wanted.at(),
        };
        let headers = line.headers.unwrap_or_default().into_iter();
        let request = Request {
            method: line.method.unwrap_or_else(|| "GET".to_owned()),
            url: line.url.into_bytes(),
            headers: headers.map(|(name, value)| (name.into(), value.into())).collect(),
            ..Request::default()
        };
        let keys = line.credentials.unwrap_or_default();
        if keys.contains_key("secret_access_key") {
            return Err(Failure::input(
                "`credentials` names keys by their ids, as in {\"AKIDEXAMPLE\": \"its secret\"}; what this \
                 line has is what `sign` takes",
            ));
        }
        let keys = keys.into_iter().map(|(id, secret)| {
            let (secret, token) = match secret {
                Secret::Alone(secret) => (secret, None),
                Secret::WithToken { secret_access_key, session_token } => {
                    (secret_access_key, session_token)
                }
            };
            let credentials = Credentials::new(id, secret.as_str());
            match token {
                Some(token) => credentials.with_session_token(token.as_str()),
                None => credentials,
            }
        });
        let keys = Keys::new(keys.chain(self.known.clone()), self.derived.clone());
        let body = Given::new(body.hash()?, || body.reader());
        let wanted = self.wanted.clone().made_for(line.region, line.service);
        let overrides = line.rules.unwrap_or_default();
        let rules = |of_service| overridden(wanted.apply_rules(of_service), &overrides);
        request.with_head(|head| check(head, body, &wanted, rules, &keys, at, &mut self.scratch))
    }
}
