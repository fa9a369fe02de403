//! Credentials as a `credential_process` prints them.

use std::time::SystemTime;

use countersign::{Credentials, Timestamp};
use serde::Deserialize;
use zeroize::Zeroizing;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    version: u64,
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
    expiration: Option<String>,
    account_id: Option<String>,
}

/// Reads `{"Version": 1, "AccessKeyId": "…", "SecretAccessKey": "…", …}`; the problem, as the end of a
/// sentence, never quotes the text.
pub(crate) fn parse(text: &[u8]) -> Result<Credentials, String> {
    let answer: Answer = serde_json::from_slice(text).map_err(|error| {
        // The message of a type error would quote the value.
        format!(
            "are not the JSON of a credential_process: see line {}, column {}",
            error.line(),
            error.column()
        )
    })?;
    if answer.version != 1 {
        return Err(format!("are of version {}; this program knows version 1", answer.version));
    }
    let mut credentials = Credentials::new(answer.access_key_id, answer.secret_access_key.as_str());
    if let Some(token) = answer.session_token {
        credentials = credentials.with_session_token(token.as_str());
    }
    if let Some(expiration) = answer.expiration {
        let at: Timestamp = expiration
            .parse()
            .map_err(|error| format!("have an Expiration that is no time: {error}"))?;
        credentials = credentials.with_expires_at(SystemTime::from(at));
    }
    if let Some(account) = answer.account_id {
        credentials = credentials.with_account_id(account);
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_shape_is_read() {
        let credentials = parse(
            br#"{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "hush", "SessionToken": "t",
                 "Expiration": "2030-01-01T00:00:00+00:00", "AccountId": "123456789012"}"#,
        )
        .expect("credentials");
        assert_eq!(credentials.secret_access_key(), "hush");
        assert_eq!(credentials.session_token(), Some("t"));
        assert_eq!(credentials.account_id(), Some("123456789012"));
        assert!(credentials.expires_at().is_some());
    }

    #[test]
    fn a_problem_never_quotes_a_secret() {
        for text in [
            r#"{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": ["hush"]}"#,
            r#"{"Version": "hush"}"#,
            "hush",
            r#"{"Version": 2, "AccessKeyId": "AKID", "SecretAccessKey": "hush"}"#,
        ] {
            let problem = parse(text.as_bytes()).expect_err(text);
            assert!(!problem.contains("hush"), "{problem}");
        }
    }
}
