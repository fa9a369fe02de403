//! Credentials for other programs: here alone is the secret printed.

use std::{fmt::Write, time::SystemTime};

use countersign::{Credentials, Timestamp, providers::ChainAnswer};
use serde::Serialize;
use zeroize::Zeroizing;

use super::source::{Found, Row};
use crate::{failure::with_sources, printed::wiped_json};

/// What was found, and who was asked. `credentials` are in the form that JSON Lines take.
pub(super) fn json(rows: &[Row], found: Option<&Found<'_>>) -> Zeroizing<Vec<u8>> {
    let credentials = found.map(|found| found.credentials);
    wiped_json(&Whole {
        provider: found.map(|found| found.provider),
        credentials: credentials.map(|credentials| Keys {
            access_key_id: credentials.access_key_id(),
            secret_access_key: credentials.secret_access_key(),
            session_token: credentials.session_token(),
        }),
        expires_at: credentials.and_then(Credentials::expires_at).and_then(rfc_3339),
        account_id: credentials.and_then(Credentials::account_id),
        providers: rows.iter().map(Asked::from).collect(),
    })
}

/// What a `credential_process` prints.
pub(super) fn process(credentials: &Credentials) -> Zeroizing<Vec<u8>> {
    wiped_json(&Process {
        version: 1,
        access_key_id: credentials.access_key_id(),
        secret_access_key: credentials.secret_access_key(),
        session_token: credentials.session_token(),
        expiration: credentials.expires_at().and_then(rfc_3339),
        account_id: credentials.account_id(),
    })
}

/// Lines for a shell to evaluate.
pub(super) fn env(credentials: &Credentials) -> Zeroizing<String> {
    let expiration = credentials.expires_at().and_then(rfc_3339);
    let variables = [
        ("AWS_ACCESS_KEY_ID", Some(credentials.access_key_id())),
        ("AWS_SECRET_ACCESS_KEY", Some(credentials.secret_access_key())),
        ("AWS_SESSION_TOKEN", credentials.session_token()),
        ("AWS_CREDENTIAL_EXPIRATION", expiration.as_deref()),
        ("AWS_ACCOUNT_ID", credentials.account_id()),
    ];
    // Long enough to stay where it is: what a string grows out of is not wiped.
    let len: usize = variables.iter().map(|(_, value)| 64 + 4 * value.unwrap_or("").len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(len));
    for (name, value) in variables {
        let Some(value) = value else { continue };
        // Writing to a string never fails.
        let _ = write!(text, "export {name}=");
        push_quoted(&mut text, value);
        text.push('\n');
    }
    text
}

/// A moment as `2015-08-30T12:36:00Z`; those before 1970 and after 9999 have no such form.
pub(super) fn rfc_3339(at: SystemTime) -> Option<String> {
    Timestamp::try_from(at).ok().map(Timestamp::to_rfc3339)
}

/// A word as a shell takes it. Others than AWS may have made it up, so it is quoted where it must be.
fn push_quoted(text: &mut String, value: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+=/:.,@%".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) {
        text.push_str(value);
        return;
    }
    text.push('\'');
    for (at, part) in value.split('\'').enumerate() {
        text.push_str(if at == 0 { "" } else { r"'\''" });
        text.push_str(part);
    }
    text.push('\'');
}

#[derive(Serialize)]
struct Whole<'a> {
    provider: Option<&'a str>,
    credentials: Option<Keys<'a>>,
    expires_at: Option<String>,
    account_id: Option<&'a str>,
    providers: Vec<Asked<'a>>,
}

#[derive(Serialize)]
struct Keys<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a str>,
}

#[derive(Serialize)]
struct Asked<'a> {
    provider: &'a str,
    looked_at: &'a str,
    answer: &'static str,
    message: Option<String>,
    milliseconds: u64,
}

impl<'a> From<&'a Row> for Asked<'a> {
    fn from(row: &'a Row) -> Asked<'a> {
        let (answer, message) = match &row.answer {
            ChainAnswer::Credentials(_) => ("credentials", None),
            ChainAnswer::Failed(error) => ("failed", Some(with_sources(error))),
            ChainAnswer::NotAsked(why) => ("not_asked", Some(why.clone())),
            ChainAnswer::Nothing(why) => ("nothing", Some(why.clone())),
            other => ("nothing", Some(other.to_string())),
        };
        let milliseconds = row.took.as_millis().try_into().unwrap_or(u64::MAX);
        Asked { provider: &row.provider, looked_at: &row.looked_at, answer, message, milliseconds }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Process<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn temporary() -> Credentials {
        Credentials::new("ASIAEXAMPLE", "secret/+=")
            .with_session_token("token==")
            .with_expires_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160))
            .with_account_id("123456789012")
    }

    #[test]
    fn a_process_document_reads_back_as_the_same_credentials() {
        let credentials = temporary();
        let text = process(&credentials);
        let shown = String::from_utf8_lossy(&text);
        assert!(shown.contains(r#""Expiration": "2015-08-30T12:36:00Z""#), "{shown}");
        let read = Credentials::from_process_json(&text).expect("credentials");
        assert_eq!(read.secret_access_key(), credentials.secret_access_key());
        assert_eq!(read.session_token(), credentials.session_token());
        assert_eq!(read.expires_at(), credentials.expires_at());
        assert_eq!(read.account_id(), credentials.account_id());
    }

    #[test]
    fn what_a_shell_would_run_is_quoted() {
        let lines = env(&Credentials::new("AKID", "$(rm -rf ~)'\n;x"));
        assert_eq!(
            *lines,
            "export AWS_ACCESS_KEY_ID=AKID\nexport AWS_SECRET_ACCESS_KEY='$(rm -rf ~)'\\''\n;x'\n"
        );
        assert_eq!(
            *env(&temporary()),
            "export AWS_ACCESS_KEY_ID=ASIAEXAMPLE\nexport AWS_SECRET_ACCESS_KEY=secret/+=\n\
             export AWS_SESSION_TOKEN=token==\n\
             export AWS_CREDENTIAL_EXPIRATION=2015-08-30T12:36:00Z\n\
             export AWS_ACCOUNT_ID=123456789012\n"
        );
    }
}
