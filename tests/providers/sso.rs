//! Sessions of IAM Identity Center: which file, when they are renewed, and who else renews them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::providers::{
    Chain, HttpError, Platform, Ports, ProfileProvider, ProfileSet, ProvideCredentials,
    ProvideToken, ProviderError, ProviderErrorKind, SsoProvider, SsoSettings, SsoTokenProvider,
    Token, TokenChain,
};
use http::{Request, Response};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    cached::Log,
    world::{Disk, Hands, Servers, Slow, answer, chain_of, ports, refused, run},
};
use crate::support::at;

// Credentials.

#[test]
fn the_portal_is_asked_unsigned_with_the_token_in_a_header() {
    let world = World::holding(session(HOUR));
    let credentials = run(world.provider().provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "ASIASSO");
    assert_eq!(credentials.secret_access_key(), "hush");
    assert_eq!(credentials.session_token(), Some("whisper"));
    assert_eq!(credentials.account_id(), Some("123456789012"));
    assert_eq!(credentials.expires_at(), Some(now() + 8 * HOUR));
    assert!(credentials.has_static_stability());
    let [(request, _)] = &world.servers.take()[..] else { panic!() };
    assert_eq!(request.method(), "GET");
    assert_eq!(
        request.uri(),
        "https://portal.sso.eu-west-1.amazonaws.com/federation/credentials\
         ?role_name=Audit%2BRead&account_id=123456789012"
    );
    assert_eq!(request.headers().len(), 1);
    let token = &request.headers()["x-amz-sso_bearer_token"];
    assert_eq!(token, "secret-token");
    assert!(token.is_sensitive());
}

#[test]
fn who_is_refused_by_the_portal_is_told_to_sign_in() {
    for (status, body, kind, expected) in [
        (
            401,
            r#"{"message": "Session token not found or invalid"}"#,
            ProviderErrorKind::Refused,
            "failed: status 401: Session token not found or invalid. To refresh this SSO session run aws \
             sso login --sso-session cats",
        ),
        (
            403,
            r#"{"__type": "com.amazonaws.sso#ForbiddenException:http://x", "message": "No access"}"#,
            ProviderErrorKind::InvalidConfiguration,
            "failed: ForbiddenException: No access",
        ),
        (
            400,
            r#"{"__type": "UnauthorizedException"}"#,
            ProviderErrorKind::Refused,
            "run aws sso login",
        ),
        (503, "", ProviderErrorKind::Failed, "failed: status 503"),
        (500, r#"{"message": "secret-token\n"}"#, ProviderErrorKind::Failed, "it repeats a secret"),
        (500, r#"{"message": "a\u001b[2Jb"}"#, ProviderErrorKind::Failed, r"a\u{1b}[2Jb"),
    ] {
        let world = World::new(session(HOUR), move |_| answer(status, body));
        let error = run(world.provider().provide()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        let lead = "an error occurred while loading credentials: GetRoleCredentials of the role Audit+Read \
                    in the account 123456789012 failed: ";
        assert!(error.to_string().contains(lead), "{error}");
        no_secret(&error);
    }
}

#[test]
fn a_portal_that_stumbles_is_asked_again() {
    for stumble in [|| answer(500, ""), || answer(503, ""), || answer(429, "{}"), refused] {
        let attempts = Arc::new(AtomicUsize::new(0));
        let count = attempts.clone();
        let world =
            World::new(session(HOUR), move |request| match count.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => stumble(),
                _ => granted(request),
            });
        let credentials = run(world.provider().provide()).unwrap().unwrap();
        assert_eq!(credentials.access_key_id(), "ASIASSO");
        assert_eq!((world.servers.asked().len(), world.hands.slept().len()), (3, 2));
    }
    for (status, attempts) in [(500, 3), (429, 3), (400, 1), (401, 1), (403, 1), (404, 1)] {
        let world = World::new(session(HOUR), move |_| answer(status, "{}"));
        run(world.provider().provide()).unwrap_err();
        assert_eq!(world.servers.asked().len(), attempts, "{status}");
    }
}

#[test]
fn a_renewal_that_stumbles_is_tried_again_and_nobody_is_sent_to_sign_in_for_it() {
    for stumble in [|| answer(500, ""), || answer(503, ""), || answer(429, "{}"), refused] {
        let attempts = Arc::new(AtomicUsize::new(0));
        let count = attempts.clone();
        let world = World::new(session(Duration::ZERO), move |request| {
            match count.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => stumble(),
                _ => granted(request),
            }
        });
        assert_eq!(run(world.tokens().provide_token()).unwrap().unwrap().text(), "new-token");
        assert_eq!(world.servers.asked().len(), 3);
        let world = World::new(session(Duration::ZERO), move |_| stumble());
        let error = run(world.tokens().provide_token()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed);
        assert!(error.to_string().ends_with("may be good: try again"), "{error}");
        assert!(!error.to_string().contains("aws sso login"), "{error}");
    }
}

#[test]
fn an_answer_of_the_portal_that_lacks_something_is_a_failure() {
    let whole = json!({"accessKeyId": "A", "secretAccessKey": "hush", "sessionToken": "whisper",
        "expiration": 1_440_966_960_000_u64});
    let mut answers: Vec<Bytes> = vec!["".into(), "[]".into(), "{".into(), "{}".into()];
    for (name, wrong) in [
        ("accessKeyId", json!(1)),
        ("secretAccessKey", json!("")),
        ("sessionToken", Value::Null),
        ("expiration", json!("soon")),
        ("expiration", json!(-1)),
    ] {
        let mut role = whole.clone();
        role[name] = wrong;
        answers.push(json!({"roleCredentials": role}).to_string().into());
    }
    for body in answers {
        let said = body.clone();
        let world = World::new(session(HOUR), move |_| answer(200, said.clone()));
        let error = run(world.provider().provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed, "{error}");
        assert!(error.to_string().contains("cannot be used"), "{body:?}: {error}");
        no_secret(&error);
    }
}

#[test]
fn a_portal_that_does_not_answer_is_a_failure_and_no_client_is_unsupported() {
    let world = World::new(session(HOUR), |_| refused());
    let error = run(world.provider().provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    assert!(chain_of(&error).contains("connection refused"));
    let without = Ports::empty()
        .with_env(HashMap::from([("HOME", "/home/cat")]))
        .with_files(world.disk.clone())
        .with_clock(now())
        .with_platform(Platform::Unix);
    let error = run(SsoProvider::new(&without, settings()).provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Unsupported);
}

#[test]
fn settings_without_a_role_are_about_tokens() {
    let world = World::holding(session(HOUR));
    let settings = SsoSettings::new("eu-west-1", START).with_session("cats");
    let error = run(SsoProvider::new(&world.ports, settings).provide()).unwrap_err();
    let expected = "selected profile will resolve an access token instead of credentials";
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(world.servers.asked(), [""; 0]);
}

#[test]
fn a_provider_made_in_code_asks_where_the_environment_says() {
    let world = World::new(session(MINUTE), granted);
    let env = HashMap::from([("HOME", "/home/cat"), ("AWS_USE_FIPS_ENDPOINT", "true")]);
    let ports = world.ports.clone().with_env(env);
    run(SsoProvider::new(&ports, settings()).provide()).unwrap();
    let asked = world.servers.asked();
    assert_eq!(asked[0], "POST https://oidc-fips.eu-west-1.amazonaws.com/token");
    assert!(
        asked[1].starts_with("GET https://portal.sso-fips.eu-west-1.amazonaws.com/"),
        "{asked:?}"
    );
}

// The file.

#[test]
fn the_file_is_named_by_the_session_or_else_by_the_start_url() {
    let world = World::holding(session(HOUR));
    world.disk.remove(FILE);
    // echo -n cats | sha1sum; echo -n https://cats.awsapps.com/start | sha1sum
    for (settings, name, way) in [
        (settings(), FILE, "run aws sso login --sso-session cats"),
        (SsoSettings::new("eu-west-1", START), LEGACY_FILE, "run aws sso login"),
    ] {
        let error = run(SsoTokenProvider::new(&world.ports, settings).provide_token()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed);
        assert!(error.to_string().contains(&format!("failed to read `{name}`: ")), "{error}");
        assert!(error.to_string().ends_with(way), "{error}");
        assert!(chain_of(&error).ends_with(": the file of the session is not there"), "{error}");
    }
}

#[test]
fn without_a_home_directory_there_is_no_session() {
    let error = run(SsoTokenProvider::new(&Ports::empty(), settings()).provide_token());
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
    assert!(error.to_string().contains("set HOME"), "{error}");
}

#[test]
fn a_broken_file_says_what_is_wrong_and_not_what_it_holds() {
    use ProviderErrorKind::{Failed, InvalidConfiguration};
    for (contents, kind, expected) in [
        (
            json!({"expiresAt": "2015-08-30T13:36:00Z"}).to_string(),
            InvalidConfiguration,
            "accessToken is missing",
        ),
        (
            json!({"accessToken": "secret-token"}).to_string(),
            InvalidConfiguration,
            "expiresAt is missing",
        ),
        (
            json!({"accessToken": "secret-token", "expiresAt": "soon"}).to_string(),
            InvalidConfiguration,
            "expiresAt is no time",
        ),
        // What another program writes at this moment looks so.
        (json!(["secret-token"]).to_string(), Failed, "it is no JSON object"),
        (HALF.to_owned(), Failed, "it is no JSON around line 1"),
        (String::new(), Failed, "it is no JSON around line 1"),
    ] {
        let world = World::holding(Value::Null);
        world.disk.put(FILE, contents);
        let error = run(world.tokens().provide_token()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        no_secret(&error);
    }
}

#[test]
fn times_are_read_as_older_programs_wrote_them_too() {
    let mut held = session(HOUR);
    held["expiresAt"] = json!("2015-08-30T13:36:00UTC");
    let token = run(World::holding(held).tokens().provide_token()).unwrap().unwrap();
    assert_eq!(token.expires_at(), Some(now() + HOUR));
}

// Renewal.

#[test]
fn a_token_is_renewed_in_its_last_five_minutes_and_written_back() {
    let mut held = session(Duration::from_secs(299));
    held["added"] = json!({"by": ["others", 1.5]});
    let world = World::holding(held.clone());
    let token = run(world.tokens().provide_token()).unwrap().unwrap();
    assert_eq!((token.text(), token.expires_at()), ("new-token", Some(now() + HOUR)));
    let [(request, _)] = &world.servers.take()[..] else { panic!() };
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://oidc.eu-west-1.amazonaws.com/token");
    assert_eq!(request.headers()["content-type"], "application/json");
    assert!(!request.headers().contains_key("authorization"));
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let expected = json!({"clientId": "client", "clientSecret": "secret-client",
        "grantType": "refresh_token", "refreshToken": "secret-refresh"});
    assert_eq!(body, expected);
    held["accessToken"] = json!("new-token");
    held["expiresAt"] = json!("2015-08-30T13:36:00Z");
    held["refreshToken"] = json!("new-refresh");
    assert_eq!(world.disk.json(FILE), held);
    run(world.tokens().provide_token()).unwrap();
    assert_eq!(world.servers.asked(), [""; 0]);
}

#[test]
fn a_token_with_five_minutes_left_is_left_alone() {
    let world = World::holding(session(Duration::from_secs(300)));
    let token = run(world.tokens().provide_token()).unwrap().unwrap();
    assert_eq!(token.text(), "secret-token");
    assert_eq!(world.servers.asked(), [""; 0]);
}

#[test]
fn the_refresh_token_stays_if_there_is_no_new_one() {
    let world = World::new(session(MINUTE), |_| {
        answer(200, r#"{"accessToken": "new-token", "expiresIn": 60, "tokenType": "Bearer"}"#)
    });
    run(world.tokens().provide_token()).unwrap();
    assert_eq!(world.disk.json(FILE)["refreshToken"], "secret-refresh");
}

#[test]
fn what_cannot_be_renewed_is_used_to_its_end_and_then_refused() {
    let without = |name: &str| {
        let mut held = session(MINUTE);
        held.as_object_mut().unwrap().remove(name);
        held
    };
    let mut late = session(MINUTE);
    late["registrationExpiresAt"] = json!("2015-08-30T12:36:00Z");
    for held in [
        without("clientId"),
        without("clientSecret"),
        without("refreshToken"),
        without("registrationExpiresAt"),
        late,
    ] {
        let world = World::holding(held);
        let token = run(world.tokens().provide_token()).unwrap().unwrap();
        assert_eq!(token.text(), "secret-token");
        world.hands.advance(MINUTE);
        let error = run(world.tokens().provide_token()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Refused);
        let message = error.to_string();
        assert!(message.contains("the SSO token has expired and cannot be refreshed"), "{message}");
        assert!(message.contains("aws sso login --sso-session cats"), "{message}");
        assert_eq!(world.servers.asked(), [""; 0]);
        no_secret(&error);
    }
}

#[test]
fn a_token_without_a_session_is_never_renewed() {
    let world = World::holding(Value::Null);
    world.disk.put(LEGACY_FILE, session(MINUTE).to_string());
    let provider = SsoTokenProvider::new(&world.ports, SsoSettings::new("eu-west-1", START));
    assert_eq!(run(provider.provide_token()).unwrap().unwrap().text(), "secret-token");
    world.hands.advance(MINUTE);
    let error = run(provider.provide_token()).unwrap_err();
    assert!(error.to_string().contains("the profile names no sso_session"), "{error}");
    assert_eq!(world.servers.asked(), [""; 0]);
}

#[test]
fn a_failed_renewal_keeps_a_token_that_is_good_and_waits_thirty_seconds() {
    let world = World::new(session(MINUTE), |_| answer(500, "{}"));
    let provider = world.tokens();
    let attempts = |expected: usize| {
        assert_eq!(run(provider.provide_token()).unwrap().unwrap().text(), "secret-token");
        assert_eq!(world.servers.asked().len(), expected);
    };
    attempts(3);
    world.hands.advance(Duration::from_secs(29));
    attempts(3);
    world.hands.advance(Duration::from_secs(1));
    attempts(6);
    world.hands.advance(Duration::from_secs(30));
    let error = run(provider.provide_token()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    let message = error.to_string();
    assert!(message.contains("cannot be refreshed: CreateToken failed: status 500"), "{message}");
    let error = run(provider.provide_token()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    assert!(error.to_string().contains("the last attempt was 0 seconds ago"), "{error}");
}

#[test]
fn a_renewal_that_failed_is_a_warning_and_one_that_was_not_tried_is_none() {
    let world = World::new(session(MINUTE), |_| answer(500, "{}"));
    let provider = world.tokens();
    for is_warned in [true, false] {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || run(provider.provide_token()).unwrap());
        let lines = log.lines().join("\n");
        assert_eq!(lines.contains("WARN"), is_warned, "{lines}");
        assert!(lines.contains("the SSO token cannot be refreshed"), "{lines}");
        assert!(!lines.contains("has expired"), "{lines}");
    }
}

#[test]
fn an_expired_token_whose_grant_is_over_is_refused() {
    for (status, body, kind) in [
        (
            400,
            r#"{"error": "invalid_grant", "error_description": "secret-refresh"}"#,
            ProviderErrorKind::Refused,
        ),
        (400, r#"{"__type": "InvalidGrantException"}"#, ProviderErrorKind::Refused),
        (401, r#"{"error": "invalid_client"}"#, ProviderErrorKind::Refused),
        (400, r#"{"error": "slow_down"}"#, ProviderErrorKind::Failed),
        (500, r#"{"error": "server_error"}"#, ProviderErrorKind::Failed),
        (200, r#"{"accessToken": "new-token"}"#, ProviderErrorKind::Failed),
        (
            200,
            r#"{"accessToken": "new-token", "expiresIn": 18446744073709551615}"#,
            ProviderErrorKind::Failed,
        ),
        (200, "", ProviderErrorKind::Failed),
    ] {
        let world = World::new(session(Duration::ZERO), move |_| answer(status, body));
        let error = run(world.tokens().provide_token()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let expected = "the SSO token has expired and cannot be refreshed";
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(world.disk.json(FILE), session(Duration::ZERO));
        no_secret(&error);
    }
}

proptest! {
    #[test]
    fn nothing_that_is_answered_or_lies_in_the_file_breaks_anything(
        status in 200..600_u16,
        body in bodies(),
        held in bodies(),
    ) {
        let said = body.clone();
        let world = World::new(session(MINUTE), move |_| answer(status, said.clone()));
        for held in [session(HOUR).to_string().into(), session(Duration::ZERO).to_string().into(), held] {
            world.disk.put(FILE, held);
            if let Err(error) = run(world.provider().provide()) {
                no_secret(&error);
            }
        }
    }
}

/// Bytes, or JSON that looks like what is expected.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "roleCredentials",
        "accessKeyId",
        "expiration",
        "expiresIn",
        "expiresAt",
        "accessToken",
        "error",
        "message",
        "__type",
        "refreshToken",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!("secret-token")),
        Just(json!("2015-08-30T13:36:00UTC")),
        ".{0,20}".prop_map(Value::from),
    ];
    let json = leaf.prop_recursive(3, 16, 4, move |inner| {
        let fields = prop::collection::hash_map(name.clone(), inner, 0..4);
        fields.prop_map(|fields| {
            Value::Object(
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            )
        })
    });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        json.prop_map(|json| json.to_string().into_bytes()),
    ]
}

// Other processes.

#[test]
fn what_another_process_renewed_meanwhile_goes_before_ones_own() {
    let mut others = session(2 * HOUR);
    others["accessToken"] = json!("others-token");
    for own in [
        || answer(200, r#"{"accessToken": "new-token", "expiresIn": 3600}"#),
        || answer(400, r#"{"error": "invalid_grant"}"#),
        refused,
    ] {
        let (disk, theirs) = (Disk::default(), others.clone());
        disk.put(FILE, session(Duration::ZERO).to_string());
        let shared = disk.clone();
        let world = World::on(disk, move |_| {
            shared.put(FILE, theirs.to_string());
            own()
        });
        let token = run(world.tokens().provide_token()).unwrap().unwrap();
        assert_eq!(token.text(), "others-token");
        assert_eq!(world.disk.json(FILE), others);
    }
}

#[test]
fn what_another_process_adds_meanwhile_is_kept() {
    let disk = Disk::default();
    disk.put(FILE, session(MINUTE).to_string());
    let shared = disk.clone();
    let world = World::on(disk, move |request| {
        let mut held = session(MINUTE);
        held["added"] = json!("by others");
        shared.put(FILE, held.to_string());
        granted(request)
    });
    assert_eq!(run(world.tokens().provide_token()).unwrap().unwrap().text(), "new-token");
    let held = world.disk.json(FILE);
    assert_eq!((&held["added"], &held["accessToken"]), (&json!("by others"), &json!("new-token")));
}

#[test]
fn a_session_that_is_ended_meanwhile_is_not_begun_again() {
    let disk = Disk::default();
    disk.put(FILE, session(MINUTE).to_string());
    let shared = disk.clone();
    let world = World::on(disk, move |request| {
        shared.remove(FILE);
        granted(request)
    });
    let error = run(world.tokens().provide_token()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    assert!(error.to_string().contains("failed to read"), "{error}");
}

#[test]
fn a_token_that_cannot_be_saved_is_remembered_until_the_file_changes() {
    let world = World::holding(session(MINUTE));
    world.disk.is_full(true);
    let provider = world.tokens();
    let text = || run(provider.provide_token()).unwrap().unwrap().text().to_owned();
    assert_eq!((text(), text()), ("new-token".to_owned(), "new-token".to_owned()));
    assert_eq!(world.servers.take().len(), 1);
    assert_eq!(world.disk.json(FILE)["accessToken"], "secret-token");
    // The next renewal uses the new refresh token, and leaves it in the file once there is room.
    world.hands.advance(HOUR);
    world.disk.is_full(false);
    assert_eq!(text(), "new-token");
    let [(request, _)] = &world.servers.take()[..] else { panic!() };
    assert!(request.body().windows(11).any(|part| part == b"new-refresh"));
    assert_eq!(world.disk.json(FILE)["refreshToken"], "new-refresh");
    let mut others = session(2 * HOUR);
    others["accessToken"] = json!("others-token");
    world.disk.put(FILE, others.to_string());
    assert_eq!(text(), "others-token");
}

#[test]
fn a_file_that_cannot_be_read_after_the_answer_does_not_cost_the_new_token() {
    for meanwhile in [|disk: &Disk| disk.put(FILE, HALF), |disk: &Disk| disk.is_locked(true)] {
        let disk = Disk::default();
        disk.put(FILE, session(MINUTE).to_string());
        let shared = disk.clone();
        let world = World::on(disk, move |request| {
            meanwhile(&shared);
            granted(request)
        });
        let token = run(world.tokens().provide_token()).unwrap().unwrap();
        assert_eq!(token.text(), "new-token");
        assert_eq!(world.disk.json(FILE)["refreshToken"], "new-refresh");
        assert_eq!(world.disk.json(FILE)["clientId"], "client");
    }
}

#[test]
fn a_new_token_that_can_neither_be_saved_nor_compared_is_remembered() {
    let disk = Disk::default();
    disk.put(FILE, session(MINUTE).to_string());
    let shared = disk.clone();
    let world = World::on(disk, move |request| {
        shared.is_locked(true);
        shared.is_full(true);
        granted(request)
    });
    let provider = world.tokens();
    let text = || run(provider.provide_token()).unwrap().unwrap().text().to_owned();
    assert_eq!(text(), "new-token");
    world.disk.is_locked(false);
    assert_eq!(text(), "new-token");
    assert_eq!(world.servers.take().len(), 1);
    // Again, with a token that was remembered before.
    world.hands.advance(HOUR);
    assert_eq!(text(), "new-token");
    world.disk.is_locked(false);
    assert_eq!(text(), "new-token");
    let [(request, _)] = &world.servers.take()[..] else { panic!() };
    assert!(request.body().windows(11).any(|part| part == b"new-refresh"));
    assert_eq!(world.disk.json(FILE), session(MINUTE));
}

#[test]
fn a_file_that_cannot_be_read_after_a_failure_does_not_cost_a_token_that_is_good() {
    let disk = Disk::default();
    disk.put(FILE, session(MINUTE).to_string());
    let shared = disk.clone();
    let world = World::on(disk, move |_| {
        shared.put(FILE, HALF);
        answer(500, "{}")
    });
    let token = run(world.tokens().provide_token()).unwrap().unwrap();
    assert_eq!(token.text(), "secret-token");
}

#[test]
fn those_who_ask_at_once_renew_once() {
    let world = World::holding(session(MINUTE));
    let ports = world.ports.clone().with_http(Slow(world.servers.clone()));
    let provider = SsoTokenProvider::new(&ports, settings());
    let both = run(async { tokio::join!(provider.provide_token(), provider.provide_token()) });
    for token in [both.0, both.1] {
        assert_eq!(token.unwrap().unwrap().text(), "new-token");
    }
    assert_eq!(world.servers.asked().len(), 1);
}

#[test]
fn nothing_shown_holds_a_token() {
    let world = World::holding(session(HOUR));
    let token = run(world.tokens().provide_token()).unwrap().unwrap();
    let shown = format!("{token:?} {:?} {:?}", world.tokens(), world.provider());
    assert!(!shown.contains("secret-"), "{shown}");
    assert!(shown.contains(FILE), "{shown}");
}

// Profiles.

#[test]
fn a_profile_is_a_provider_of_its_session() {
    let world = World::holding(session(HOUR));
    world.disk.put(CONFIG, PROFILE);
    let profiles = ProfileSet::load(&world.ports).unwrap();
    let provider = SsoProvider::from_profile(&world.ports, &profiles, "default").unwrap().unwrap();
    assert_eq!(run(provider.provide()).unwrap().unwrap().access_key_id(), "ASIASSO");
    let error = SsoProvider::from_profile(&world.ports, &profiles, "nope").unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::MissingProfile);
    let credentials = run(Chain::standard(&world.ports).provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "ASIASSO");
}

#[test]
fn a_profile_s_provider_remembers_its_last_attempt() {
    let world = World::new(session(MINUTE), |request| match request.uri().path() {
        "/token" => answer(500, ""),
        _ => granted(request),
    });
    world.disk.put(CONFIG, PROFILE);
    let provider = ProfileProvider::new(&world.ports);
    run(provider.provide()).unwrap();
    run(provider.provide()).unwrap();
    let asked = world.servers.asked();
    assert_eq!(asked.iter().filter(|asked| asked.starts_with("POST")).count(), 3, "{asked:?}");
}

#[test]
fn an_endpoint_that_is_changed_in_the_files_is_asked_from_then_on() {
    let world = World::holding(session(HOUR));
    world.disk.put(CONFIG, PROFILE);
    let provider = ProfileProvider::new(&world.ports);
    run(provider.provide()).unwrap();
    let elsewhere = PROFILE.replace("[default]", "[default]\nendpoint_url = http://localhost:4566");
    world.disk.put(CONFIG, elsewhere);
    run(provider.provide()).unwrap();
    let query = "federation/credentials?role_name=Audit&account_id=123456789012";
    let expected = ["https://portal.sso.eu-west-1.amazonaws.com", "http://localhost:4566"];
    assert_eq!(world.servers.asked(), expected.map(|place| format!("GET {place}/{query}")));
}

#[test]
fn a_token_comes_from_the_variable_of_the_service_before_any_profile() {
    let world = World::holding(session(HOUR));
    world.disk.put(CONFIG, PROFILE);
    let ports = ports(&[("HOME", "/home/cat"), ("AWS_BEARER_TOKEN_CODE_CATALYST", "own")])
        .with_files(world.disk.clone())
        .with_clock(world.hands.clone())
        .with_platform(Platform::Unix);
    let chain = TokenChain::standard(&ports);
    let text = |chain: &TokenChain| run(chain.provide_token()).unwrap().unwrap().text().to_owned();
    assert_eq!(text(&chain), "secret-token");
    assert_eq!(text(&chain.clone().with_service("code-catalyst")), "own");
    assert_eq!(text(&chain.clone().with_service("bedrock")), "secret-token");
    let error = run(chain.with_profile("nope").provide_token()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::MissingProfile);
}

#[test]
fn a_profile_without_a_session_gives_no_token() {
    for config in ["", "[default]\nregion = x\n", "[default]\nsso_start_url = u\nsso_region = r\n"]
    {
        let world = World::holding(session(HOUR));
        world.disk.put(CONFIG, config);
        assert!(run(TokenChain::standard(&world.ports).provide_token()).unwrap().is_none());
    }
    let fixed = Token::new("fixed").with_expires_at(now());
    assert_eq!(run(fixed.provide_token()).unwrap().unwrap().text(), "fixed");
}

// The world around.

/// A home directory with a session, a portal that grants, and a service that renews.
struct World {
    ports: Ports,
    disk: Disk,
    hands: Hands,
    servers: Servers,
}

impl World {
    fn holding(held: Value) -> World {
        World::new(held, granted)
    }

    fn new(held: Value, answer: impl Fn(&Request<Bytes>) -> Answer + Send + 'static) -> World {
        let disk = Disk::default();
        disk.put(FILE, held.to_string());
        World::on(disk, answer)
    }

    fn on(disk: Disk, answer: impl Fn(&Request<Bytes>) -> Answer + Send + 'static) -> World {
        let servers = Servers::answering(answer);
        let hands = Hands::at(now());
        let ports = ports(&[("HOME", "/home/cat")])
            .with_files(disk.clone())
            .with_clock(hands.clone())
            .with_http(servers.clone())
            .with_platform(Platform::Unix);
        World { ports, disk, hands, servers }
    }

    fn tokens(&self) -> SsoTokenProvider {
        SsoTokenProvider::new(&self.ports, settings())
    }

    fn provider(&self) -> Arc<dyn ProvideCredentials> {
        Arc::new(SsoProvider::new(&self.ports, settings()))
    }
}

type Answer = Result<Response<Bytes>, HttpError>;

fn granted(request: &Request<Bytes>) -> Answer {
    let body = match request.uri().path() {
        "/token" => json!({"accessToken": "new-token", "expiresIn": 3600, "tokenType": "Bearer",
            "refreshToken": "new-refresh"}),
        _ => json!({"roleCredentials": {"accessKeyId": "ASIASSO", "secretAccessKey": "hush",
            "sessionToken": "whisper", "expiration": 1_440_966_960_000_u64}}),
    };
    answer(200, body.to_string())
}

/// A session whose token lives this much longer.
fn session(left: Duration) -> Value {
    let end = 1_440_938_160 + left.as_secs();
    let minutes = end / 60 % 1440;
    json!({
        "accessToken": "secret-token",
        "expiresAt": format!("2015-08-30T{:02}:{:02}:{:02}Z", minutes / 60, minutes % 60, end % 60),
        "refreshToken": "secret-refresh",
        "clientId": "client",
        "clientSecret": "secret-client",
        "registrationExpiresAt": "2015-09-30T12:36:00Z",
        "region": "eu-west-1",
        "startUrl": START,
    })
}

fn settings() -> SsoSettings {
    SsoSettings::new("eu-west-1", START)
        .with_session("cats")
        .with_role("123456789012", "Audit+Read")
}

fn no_secret(error: &ProviderError) {
    let shown = format!("{} {error:?}", chain_of(error));
    for secret in ["secret-", "hush", "whisper", "new-token", "new-refresh"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

fn now() -> SystemTime {
    at("20150830T123600Z")
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const START: &str = "https://cats.awsapps.com/start";
const CONFIG: &str = "/home/cat/.aws/config";
const FILE: &str = "/home/cat/.aws/sso/cache/8ebf601f8b808c32b8d2fb570c2e0fbdbb388add.json";
const LEGACY_FILE: &str = "/home/cat/.aws/sso/cache/407ca3292f7cfb41f3d36ee73c8cdc6da4e20bdd.json";

/// What a reader sees of a file that is written in its place.
const HALF: &str = r#"{"accessToken": "secret-token"#;
const PROFILE: &str = "\
[default]
sso_session = cats
sso_account_id = 123456789012
sso_role_name = Audit
[sso-session cats]
sso_region = eu-west-1
sso_start_url = https://cats.awsapps.com/start
";
