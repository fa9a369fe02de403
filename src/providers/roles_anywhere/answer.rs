//! What Roles Anywhere answers, in JSON.

use std::{fmt, mem};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Credentials, Timestamp,
    providers::{json, sts::answer::shown},
};

/// Reads an answer that grants what was asked for; the error says what was seen instead, and none of it.
pub(super) fn credentials(body: &[u8]) -> Result<Credentials, String> {
    // The crate's errors quote what they stumbled upon.
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| {
        format!(
            "it is not the JSON that was expected, at line {}, column {}",
            error.line(),
            error.column()
        )
    })?;
    let set = answer.credential_set.into_iter().next().ok_or("its credentialSet is empty")?;
    let text = |name: &str, value: &RawValue| {
        let text = json::text(value.get()).ok_or_else(|| format!("its {name} is no text"))?;
        if text.is_empty() { Err(format!("its {name} is empty")) } else { Ok(text) }
    };
    let Granted { access_key_id, secret_access_key, session_token, expiration } = set.credentials;
    let id = text("accessKeyId", access_key_id)?;
    let mut secret = text("secretAccessKey", secret_access_key)?;
    let mut token = text("sessionToken", session_token)?;
    let expiration = text("expiration", expiration)?;
    let at: Timestamp = expiration.parse().map_err(|_| "its expiration is no time".to_owned())?;
    Ok(Credentials::new(id.as_str(), mem::take(&mut *secret))
        .with_session_token(mem::take(&mut *token))
        .with_expires_at(at.into())
        .with_static_stability(true))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    credential_set: Vec<Set<'a>>,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    credentials: Granted<'a>,
}

/// As it stands in the body, so that no copy is left behind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted<'a> {
    #[serde(borrow)]
    access_key_id: &'a RawValue,
    #[serde(borrow)]
    secret_access_key: &'a RawValue,
    #[serde(borrow)]
    session_token: &'a RawValue,
    #[serde(borrow)]
    expiration: &'a RawValue,
}

/// An answer that grants nothing, and says why.
pub(super) struct Failure {
    status: StatusCode,
    code: Option<String>,
    message: Option<String>,
}

impl Failure {
    pub(super) fn of(response: &Response<Bytes>) -> Failure {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "__type", alias = "code")]
            code: Option<String>,
            #[serde(alias = "Message")]
            message: Option<String>,
        }
        let body: Option<Body> = serde_json::from_slice(response.body()).ok();
        let (in_body, message) = body.map(|body| (body.code, body.message)).unwrap_or_default();
        let header =
            response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let code = header.map(str::to_owned).or(in_body).and_then(|code| bare(&code));
        Failure { status: response.status(), code, message }
    }

    /// Whether its code says that it may be over soon.
    pub(super) fn is_passing(&self) -> bool {
        self.code.as_deref().is_some_and(|code| PASSING.contains(&code))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => f.write_str(code)?,
            None => write!(f, "status {} and no code that can be read", self.status.as_u16())?,
        }
        match &self.message {
            Some(message) => write!(f, ": {}", shown(message)),
            None => Ok(()),
        }
    }
}

/// A code without the name space before it and the address behind it.
fn bare(code: &str) -> Option<String> {
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let is_code =
        (1..=128).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_code.then(|| code.to_owned())
}

/// Codes of errors that may be over soon, whatever the status.
const PASSING: [&str; 4] = [
    "InternalServerException",
    "ServiceUnavailableException",
    "ThrottlingException",
    "TooManyRequestsException",
];
