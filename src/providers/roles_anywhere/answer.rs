//! What Roles Anywhere answers, in JSON.

use std::mem;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Credentials, Timestamp, providers::json};

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
