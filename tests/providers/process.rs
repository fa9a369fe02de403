//! Credentials that another program prints.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials, ErrorKind,
    providers::{
        BoxFuture, CommandLimits, CommandOutput, Commands, Ports, ProcessProvider, ProfileSet,
        ProvideCredentials, ProviderError, ProviderErrorKind,
    },
};

use serde_json::Value;

use super::world::{chain_of, run};
use crate::support::{at, external_data};

#[test]
fn what_a_command_prints_is_taken() {
    let json = r#"{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "hush", "SessionToken": "whisper",
        "Expiration": "2030-01-01T02:00:00+02:00", "AccountId": "123456789012"}"#;
    let found = print(json).unwrap();
    assert_eq!((found.access_key_id(), found.secret_access_key()), ("AKID", "hush"));
    assert_eq!(found.session_token(), Some("whisper"));
    assert_eq!(found.account_id(), Some("123456789012"));
    assert_eq!(found.expires_at(), Some(at("20300101T000000Z")));
    assert!(!found.has_static_stability(), "who knows whether the process renews them");
    let found = print(r#"{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"hush"}"#).unwrap();
    assert_eq!((found.session_token(), found.expires_at(), found.account_id()), (None, None, None));
}

#[test]
fn the_account_of_the_profile_fills_in_for_one_that_is_missing() {
    for (json, account) in [
        (r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s"}"#, "210987654321"),
        (
            r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "AccountId": "123456789012"}"#,
            "123456789012",
        ),
    ] {
        let ports = Ports::empty().with_commands(move |_: &str| Ok(CommandOutput::success(json)));
        let provider = ProcessProvider::new(&ports, "vault").with_account_id("210987654321");
        let found = run(provider.provide()).unwrap().unwrap();
        assert_eq!(found.account_id(), Some(account));
    }
}

#[test]
fn an_account_may_be_a_number_whose_first_zeros_are_lost() {
    for (account, expected) in [
        ("123456789012", Some("123456789012")),
        ("23456789012", Some("023456789012")),
        ("7", Some("000000000007")),
        ("\"7\"", Some("7")),
        ("7, \"ACCOUNTID\": \"000000000007\"", Some("000000000007")),
        ("null", None),
    ] {
        let json = format!(
            r#"{{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "AccountId": {account}}}"#
        );
        assert_eq!(print(&json).unwrap().account_id(), expected, "{account}");
    }
    for account in ["-7", "7.0", "1e11", "[7]", "true", "7, \"ACCOUNTID\": 8"] {
        let json = format!(
            r#"{{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "AccountId": {account}}}"#
        );
        assert!(print(&json).is_err(), "{account}");
    }
}

#[test]
fn what_is_printed_wrongly_is_refused_and_not_shown() {
    let parse = "Error retrieving credentials from external process, could not parse response: ";
    let no_json = format!("{parse}invalid JSON in response");
    let version = |version: &str| {
        let rest = "for credential process provider, supported versions: 1";
        format!("Unsupported version '{version}' {rest}")
    };
    for (text, part) in [
        ("invalid json", no_json.clone()),
        ("", no_json.clone()),
        ("hush", no_json.clone()),
        ("\"hush\"", no_json.clone()),
        (r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": ["hush"]}"#, no_json.clone()),
        (r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "hush"} hush"#, no_json),
        (
            r#"{"AccessKeyId": "A", "SecretAccessKey": "hush"}"#,
            format!("{parse}Version is missing"),
        ),
        (r#"{"Version": 2, "AccessKeyId": "A", "SecretAccessKey": "hush"}"#, version("2")),
        (
            r#"{"Version": 1.0, "AccessKeyId": "A", "SecretAccessKey": "hush"}"#,
            "without quotes".to_owned(),
        ),
        (r#"{"Version": "hush", "AccessKeyId": "A"}"#, "without quotes".to_owned()),
        (r#"{"Version": 1, "SecretAccessKey": "hush"}"#, format!("{parse}AccessKeyId is missing")),
        (r#"{"Version": 1, "AccessKeyId": "A"}"#, format!("{parse}SecretAccessKey is missing")),
        (
            r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "hush", "Expiration": "hush"}"#,
            format!("{parse}the Expiration is no time"),
        ),
    ] {
        let error = print(text).expect_err(text);
        let shown = format!("{} {error:?}", chain_of(&error));
        assert!(shown.contains(&part), "{text}: {shown}");
        assert!(!shown.contains("hush"), "{shown}");
        let direct = Credentials::from_process_json(text.as_bytes()).unwrap_err();
        assert_eq!(direct.kind(), ErrorKind::InvalidCredentials);
        assert!(!direct.to_string().contains("hush"), "{direct}");
    }
    let not_text = Credentials::from_process_json(b"{\"Version\": 1, \"AccessKeyId\": \"\xff\"}");
    assert!(not_text.is_err());
}

#[test]
fn a_command_that_fails_is_an_error_with_what_it_said() {
    let said = format!("not\u{7} logged in\n{}", "x".repeat(5000));
    let ports = Ports::empty()
        .with_commands(move |_: &str| Ok(CommandOutput::failed("exit status: 1", &said)));
    let error = run(ProcessProvider::new(&ports, "vault --key hush").provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    let text = error.to_string();
    let start = r"process: Error retrieving credentials: external process exited with code exit status: 1. Stderr: not\u{7} logged in\nxxx";
    assert!(text.starts_with(start) && text.len() < 1000, "{text}");
}

#[test]
fn a_command_that_cannot_be_run_or_goes_too_far_is_an_error() {
    for (kind, part) in [
        (io::ErrorKind::TimedOut, "it did not end within 60s"),
        (io::ErrorKind::FileTooLarge, "it printed over 1048576 bytes"),
        (io::ErrorKind::NotFound, "it cannot be run"),
    ] {
        let ports = Ports::empty().with_commands(move |_: &str| Err(kind.into()));
        let provider = ProcessProvider::new(&ports, "vault --key hush");
        let error = run(provider.provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed);
        let shown = format!("{} {error:?} {provider:?}", chain_of(&error));
        assert!(shown.contains(part), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}

#[test]
fn a_command_gets_its_line_unchanged_and_a_minute_or_what_is_said() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let ports = Ports::empty().with_commands(Watched(seen.clone()));
    let line = "echo 'a  b' | cat";
    run(ProcessProvider::new(&ports, line).provide()).unwrap();
    let quick = ProcessProvider::new(&ports, line).with_time_limit(Duration::from_secs(5));
    run(quick.provide()).unwrap();
    let expected = [60, 5].map(|limit| (line.to_owned(), Duration::from_secs(limit)));
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[cfg(unix)]
#[test]
fn a_real_shell_runs_it() {
    let line =
        r#"printf '{"Version": 1, "AccessKeyId": "AKID", ' | cat; echo '"SecretAccessKey": "s"}'"#;
    let found = run(ProcessProvider::new(&Ports::system(), line).provide()).unwrap().unwrap();
    assert_eq!(found.access_key_id(), "AKID");
    // More than fits in one piece, and in the buffer that is begun with.
    let line = r#"printf '{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "'
        head -c 20000 /dev/zero | tr '\0' x; echo '"}'"#;
    let found = run(ProcessProvider::new(&Ports::system(), line).provide()).unwrap().unwrap();
    assert_eq!(found.secret_access_key(), "x".repeat(20_000));
    let failing = ProcessProvider::new(&Ports::system(), "echo no >&2; exit 3");
    let text = run(failing.provide()).unwrap_err().to_string();
    assert!(text.ends_with("code exit status: 3. Stderr: no"), "{text}");
}

#[cfg(unix)]
#[test]
fn the_commands_of_recorded_machines_give_what_others_got() {
    let Some(data) = external_data("the commands of recorded machines") else {
        return;
    };
    let folder = data.with_file_name("credentials/smithy-rs/aws-config/profile-provider");
    for name in ["", "_account_id_fallback", "_failure", "_invalid"] {
        let folder = folder.join(format!("credential_process{name}"));
        let config = fs::read(folder.join("fs/home/.aws/config")).unwrap();
        let ports = Ports::system()
            .with_env(HashMap::from([("AWS_CONFIG_FILE", "/c"), ("HOME", "/home")]))
            .with_files(HashMap::from([(PathBuf::from("/c"), config)]));
        let profiles = ProfileSet::load(&ports).unwrap();
        let profile = profiles.profile("default").unwrap();
        let mut provider = ProcessProvider::new(&ports, profile.get("credential_process").unwrap());
        if let Some(account_id) = profile.get("aws_account_id") {
            provider = provider.with_account_id(account_id);
        }
        let text = fs::read(folder.join("test-case.json")).unwrap();
        let expected: Value = serde_json::from_slice(&text).unwrap();
        let (expected, found) = (&expected["result"], run(provider.provide()));
        if let Some(part) = expected["ErrorContains"].as_str() {
            // The lead is that of whoever asks the provider.
            let part =
                part.strip_prefix("an error occurred while loading credentials: ").unwrap_or(part);
            let text = found.unwrap_err().to_string();
            assert!(text.contains(part), "{name}: {text}");
            continue;
        }
        let (found, expected) = (found.unwrap().unwrap(), &expected["Ok"]);
        let text = |key: &str| expected[key].as_str();
        assert_eq!(Some(found.access_key_id()), text("access_key_id"), "{name}");
        assert_eq!(Some(found.secret_access_key()), text("secret_access_key"), "{name}");
        assert_eq!(found.session_token(), text("session_token"), "{name}");
        assert_eq!(found.account_id(), text("account_id"), "{name}");
        let expiry = found.expires_at().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(Some(expiry.as_secs()), expected["expiry"].as_u64(), "{name}");
    }
}

fn print(text: &str) -> Result<Credentials, ProviderError> {
    let text = text.to_owned();
    let ports = Ports::empty().with_commands(move |_: &str| Ok(CommandOutput::success(&text)));
    run(ProcessProvider::new(&ports, "vault").provide()).map(Option::unwrap)
}

/// Commands that all print credentials, and are noted.
struct Watched(Arc<Mutex<Vec<(String, Duration)>>>);

impl Commands for Watched {
    fn run<'a>(
        &'a self,
        line: &'a str,
        limits: CommandLimits,
    ) -> BoxFuture<'a, io::Result<CommandOutput>> {
        self.0.lock().unwrap().push((line.to_owned(), limits.total));
        let json = r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s"}"#;
        Box::pin(async move { Ok(CommandOutput::success(json)) })
    }
}
