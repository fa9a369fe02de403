//! Credentials of an EC2 instance's role.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use countersign::{
    Credentials,
    providers::{
        AssumeRole, AssumeRoleProvider, Cached, Chain, EndpointMode, HttpError, HttpErrorKind,
        HttpLimits, InstanceProvider, Platform, Ports, ProfileProvider, ProvideCredentials,
        ProviderError, ProviderErrorKind, RegionChain,
    },
};
use http::{Method, Request, Response};
use serde_json::Value;

use super::{
    cached::Log,
    world::{Hands, Servers, answer, chain_of, ports, refused, run},
};
use crate::support::{at, external_data};

type Reply = Result<Response<Bytes>, HttpError>;

// What others publish.

#[test]
fn the_endpoint_is_found_as_others_find_it() {
    let Some(data) = external_data("the endpoints of instance metadata") else {
        return;
    };
    let path = data.with_file_name("credentials/smithy-rs/aws-config/imds-config");
    let text = fs::read(path.join("imds-endpoint-tests.json")).unwrap();
    let cases: Value = serde_json::from_slice(&text).unwrap();
    let cases = cases["tests"].as_array().unwrap();
    for case in cases {
        let name = &case["docs"];
        let env: HashMap<String, String> = serde_json::from_value(case["env"].clone()).unwrap();
        let files: HashMap<PathBuf, String> = serde_json::from_value(case["fs"].clone()).unwrap();
        let servers = Servers::answering(|_| refused());
        let ports = Ports::empty()
            .with_env(env)
            .with_files(files)
            .with_platform(Platform::Unix)
            .with_http(servers.clone());
        let mut provider = InstanceProvider::new(&ports);
        if let Some(endpoint) = case["endpoint_override"].as_str() {
            provider = provider.with_endpoint(endpoint);
        }
        if let Some(mode) = case["mode_override"].as_str() {
            provider = provider.with_endpoint_mode(mode.parse().unwrap());
        }
        let answer = run(provider.provide());
        match (case["result"]["Ok"].as_str(), case["result"]["Err"].as_str()) {
            (Some(url), None) => {
                assert!(answer.unwrap().is_none(), "{name}");
                assert_eq!(servers.asked(), [format!("PUT {url}")], "{name}");
            }
            (None, Some(part)) => {
                let error = answer.unwrap_err();
                assert!(chain_of(&error).contains(part), "{name}: {error}");
                assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{name}");
                assert_eq!(servers.asked(), [""; 0], "{name}");
            }
            _ => panic!("{name}: no result"),
        }
    }
    println!("{} endpoints", cases.len());
    assert_eq!(cases.len(), 14);
}

#[test]
fn the_extended_api_and_the_legacy_one_are_used_as_others_use_them() {
    let Some(data) = external_data("the extended API of instance metadata") else {
        return;
    };
    let path =
        data.with_file_name("credentials/aws-sdk-kotlin/imds-credentials-extended-tests.json");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let (mut answers, mut asked) = (0, 0);
    for case in &cases {
        let name = case["summary"].as_str().unwrap();
        let mut expected: VecDeque<Value> = case["expectations"].as_array().unwrap().clone().into();
        let left = Arc::new(Mutex::new(expected.len()));
        asked += expected.len();
        let (count, summary) = (left.clone(), name.to_owned());
        let servers = Servers::answering(move |request| {
            if request.method() == Method::PUT {
                return token("TOKEN");
            }
            let next = expected.pop_front().unwrap_or_else(|| panic!("{summary}: {request:?}"));
            *count.lock().unwrap() -= 1;
            let path = request.uri().path().trim_end_matches('/');
            assert_eq!(Some(path), next["get"].as_str(), "{summary}");
            assert_eq!(request.headers()[TOKEN], "TOKEN", "{summary}");
            let body = &next["response"]["body"];
            let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            answer(next["response"]["status"].as_u64().unwrap() as u16, body)
        });
        let env = case["config"].get("envVars").filter(|env| !env.is_null()).cloned();
        let env: HashMap<String, String> =
            env.map(|env| serde_json::from_value(env).unwrap()).unwrap_or_default();
        let ports = Ports::empty().with_env(env).with_http(servers);
        let mut provider = InstanceProvider::new(&ports);
        if let Some(role) = case["config"]["ec2InstanceProfileName"].as_str() {
            provider = provider.with_instance_profile(role);
        }
        for outcome in case["outcomes"].as_array().unwrap() {
            answers += 1;
            match (outcome["result"].as_str().unwrap(), run(provider.provide())) {
                ("credentials", Ok(Some(found))) => {
                    assert_eq!(found.account_id(), outcome["accountId"].as_str(), "{name}");
                    assert_eq!(found.access_key_id(), "ASIAIOSFODNN7EXAMPLE", "{name}");
                }
                ("no credentials", Ok(None)) => {}
                ("invalid profile", Err(error)) => {
                    assert!(error.to_string().contains("invalid profile"), "{name}: {error}");
                    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{name}");
                }
                (result, found) => panic!("{name}: {result}, but {found:?}"),
            }
        }
        assert_eq!(*left.lock().unwrap(), 0, "{name}: not all was asked");
    }
    println!("{} cases, {asked} requests, {answers} answers", cases.len());
    assert_eq!((cases.len(), asked, answers), (13, 39, 22));
}

// Whether it is asked at all.

#[test]
fn a_service_that_is_switched_off_is_not_asked() {
    for text in ["true", "TRUE", "True"] {
        let world = World::new(|_| panic!("asked"));
        let provider = world.provider_with(&[("AWS_EC2_METADATA_DISABLED", text)]);
        assert!(run(provider.provide()).unwrap().is_none());
        assert!(run(provider.region()).unwrap().is_none());
        assert_eq!(provider.absence(), "AWS_EC2_METADATA_DISABLED is true");
    }
    let world = World::new(|_| refused());
    run(world.provider_with(&[("AWS_EC2_METADATA_DISABLED", "false")]).provide()).unwrap();
    assert_eq!(world.servers.asked().len(), 1);
}

#[test]
fn settings_that_are_wrong_are_errors_and_nobody_is_asked() {
    for (variable, text, part) in [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "169.254.169.254", "is no URL"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ftp://169.254.169.254", "is no URL"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://cat@169.254.169.254", "is no URL"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "6", "`6` is not a valid endpoint mode"),
        ("AWS_EC2_INSTANCE_PROFILE_NAME", "", "is no name of an instance profile"),
        ("AWS_EC2_INSTANCE_PROFILE_NAME", " ", "is no name of an instance profile"),
        ("AWS_EC2_INSTANCE_PROFILE_NAME", "..", "is no name of an instance profile"),
        ("AWS_EC2_INSTANCE_PROFILE_NAME", "a/b", "is no name of an instance profile"),
        ("AWS_EC2_INSTANCE_PROFILE_NAME", "a?b", "is no name of an instance profile"),
        ("AWS_METADATA_SERVICE_TIMEOUT", "0", "is no whole number"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "many", "is no whole number"),
    ] {
        let world = World::new(|_| panic!("asked"));
        let provider = world.provider_with(&[(variable, text)]);
        let error = run(provider.provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{variable}={text}");
        assert!(error.to_string().contains(part), "{variable}={text}: {error}");
        assert!(error.to_string().contains(variable), "{variable}={text}: {error}");
    }
}

#[test]
fn a_profile_says_how_the_service_is_asked_unless_the_environment_does() {
    let config = "\
[profile work]
ec2_instance_profile_name = of-profile
metadata_service_num_attempts = 2
metadata_service_timeout = 3
[profile blank]
ec2_instance_profile_name =
";
    let world = World::new(|request| match request.method() {
        &Method::PUT => token("TOKEN"),
        _ => answer(500, ""),
    });
    let files = HashMap::from([(PathBuf::from("/c"), config)]);
    let with = |env: &[(&str, &str)]| {
        let env: Vec<_> = [("AWS_CONFIG_FILE", "/c")].iter().chain(env).copied().collect();
        let ports = ports(&env).with_files(files.clone()).with_http(world.servers.clone());
        InstanceProvider::new(&ports)
    };
    run(with(&[("AWS_PROFILE", "work")]).provide()).unwrap_err();
    let seen = world.servers.take();
    assert_eq!(seen.len(), 3, "a token, and two attempts");
    assert!(seen[2].0.uri().path().ends_with("/of-profile"));
    assert_eq!(seen[2].1.connect, Duration::from_secs(3));
    let name = ("AWS_EC2_INSTANCE_PROFILE_NAME", "of-environment");
    run(with(&[name]).with_profile("work").provide()).unwrap_err();
    let seen = world.servers.take();
    assert!(seen[2].0.uri().path().ends_with("/of-environment"));
    let error = run(with(&[]).with_profile("blank").provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
}

#[test]
fn code_goes_before_the_environment() {
    let world = World::new(|_| refused());
    let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://of.environment")];
    let provider = world.provider_with(&env).with_endpoint_mode(EndpointMode::Ipv6);
    run(provider.clone().provide()).unwrap();
    run(provider.with_endpoint("http://of.code/base/").provide()).unwrap();
    assert_eq!(
        world.servers.asked(),
        ["PUT http://of.environment/latest/api/token", "PUT http://of.code/base/latest/api/token"]
    );
}

// The token.

#[test]
fn nothing_is_asked_without_a_token_which_goes_nowhere_else() {
    let world = World::healthy();
    let found = run(world.provider().provide()).unwrap().unwrap();
    assert_eq!(found.access_key_id(), "ASIAINSTANCE");
    assert_eq!(found.session_token(), Some("whisper"));
    assert_eq!(found.account_id(), Some("123456789012"));
    assert_eq!(found.expires_at(), Some(at("20300101T000000Z")));
    assert!(found.has_static_stability());
    let seen = world.servers.take();
    let paths: Vec<String> = seen.iter().map(|(request, _)| request.uri().to_string()).collect();
    assert_eq!(
        paths,
        [
            "http://169.254.169.254/latest/api/token",
            "http://169.254.169.254/latest/meta-data/iam/security-credentials-extended/",
            "http://169.254.169.254/latest/meta-data/iam/security-credentials-extended/role",
        ]
    );
    let (first, _) = &seen[0];
    assert_eq!(first.method(), Method::PUT);
    assert_eq!(first.headers()["x-aws-ec2-metadata-token-ttl-seconds"], "21600");
    assert!(first.headers().get(TOKEN).is_none());
    for (request, limits) in &seen {
        assert!(limits.direct, "past any proxy");
        assert_eq!(limits.connect, Duration::from_secs(1));
        assert_eq!(limits.total, Duration::from_secs(2));
        if request.method() == Method::GET {
            assert_eq!(request.headers()[TOKEN], "TOKEN");
            assert!(request.headers()[TOKEN].is_sensitive());
            assert!(!format!("{request:?}").contains("TOKEN"), "{request:?}");
        }
    }
}

#[test]
fn a_token_is_renewed_two_minutes_before_its_end() {
    let world = World::healthy();
    let provider = world.provider();
    run(provider.provide()).unwrap();
    world.servers.take();
    for (ahead, tokens) in [(21_600 - 121, 0), (1, 1), (60, 0), (21_600 - 120 - 60, 1)] {
        world.hands.advance(Duration::from_secs(ahead));
        run(provider.provide()).unwrap();
        let asked = world.servers.take();
        let puts = asked.iter().filter(|(request, _)| request.method() == Method::PUT).count();
        assert_eq!(puts, tokens, "{ahead} seconds later");
        assert_eq!(asked.len() - puts, 1, "the role is remembered, its credentials are not");
    }
}

#[test]
fn a_token_that_is_refused_is_replaced_by_a_new_one() {
    let (mut given, mut refused) = (0, 0);
    let world = World::new(move |request| {
        if request.method() == Method::PUT {
            given += 1;
            return token(&format!("TOKEN-{given}"));
        }
        if request.headers()[TOKEN] == "TOKEN-1" && request.uri().path().ends_with("/role") {
            refused += 1;
            assert_eq!(refused, 1);
            return answer(401, "");
        }
        healthy(request)
    });
    assert!(run(world.provider().provide()).unwrap().is_some());
    assert_eq!(world.servers.asked().len(), 5);
    assert!(world.hands.slept().is_empty(), "that is no reason to wait");
}

#[test]
fn a_service_that_refuses_every_token_is_left_alone_after_four() {
    let world = World::new(|request| match request.method() {
        &Method::PUT => token("TOKEN"),
        _ => answer(401, ""),
    });
    let error = run(world.provider().provide()).unwrap_err();
    assert!(error.to_string().contains("answered 401 Unauthorized"), "{error}");
    assert_eq!(world.servers.asked().len(), 8);
}

#[test]
fn who_is_asked_for_a_token_and_answers_is_no_reason_to_go_on() {
    let forbidden =
        "request forbidden: IMDS is disabled or the caller has insufficient permissions";
    let no_life: Reply = answer(200, "TOKEN");
    let long = HttpError::new(HttpErrorKind::TooLarge, "too long");
    let with = |life: &str, body: &'static str| -> Reply {
        let header = ("x-aws-ec2-metadata-token-ttl-seconds", life);
        Ok(Response::builder().header(header.0, header.1).body(body.into()).unwrap())
    };
    for (reply, requests, part) in [
        (answer(403, "hush"), 1, forbidden),
        (answer(400, "hush"), 1, "answered 400 Bad Request when asked for a token"),
        (answer(404, "hush"), 1, "answered 404"),
        (answer(405, "hush"), 1, "answered 405"),
        (answer(301, "hush"), 1, "answered 301"),
        (answer(429, "hush"), 1, "answered 429"),
        (answer(500, "hush"), 4, "answered 500"),
        (no_life, 1, "does not say how long it lives"),
        (with("soon", "hush"), 1, "does not say in seconds"),
        (with("-1", "hush"), 1, "does not say in seconds"),
        (with("21600", " \n"), 1, "the answer is empty"),
        (with("21600", "hu\nsh"), 1, "no text for a header"),
        (Err(long), 1, "gave no token"),
    ] {
        let mut reply = Some(reply);
        let world = World::new(move |_| match &reply {
            Some(Ok(found)) if found.status().is_server_error() => {
                answer(found.status().as_u16(), "")
            }
            _ => reply.take().unwrap(),
        });
        let error = run(world.provider().provide()).expect_err(part);
        assert_eq!(error.kind(), ProviderErrorKind::Failed, "{part}");
        let text = chain_of(&error);
        assert!(text.contains(part), "{part}: {text}");
        assert!(!text.contains("hush"), "{text}");
        assert_eq!(world.servers.asked().len(), requests, "{part}");
    }
}

// Nobody there.

#[test]
fn where_nobody_answers_there_is_nothing_and_it_is_known_at_once() {
    for kind in [
        HttpErrorKind::Connect,
        HttpErrorKind::TimedOut,
        HttpErrorKind::Unavailable,
        HttpErrorKind::Failed,
    ] {
        let world = World::new(move |_| Err(HttpError::new(kind, "nobody home")));
        let provider = world.provider();
        assert!(run(provider.provide()).unwrap().is_none(), "{kind:?}");
        assert!(run(provider.region()).unwrap().is_none(), "{kind:?}");
        let absence = provider.absence();
        assert!(absence.contains("no metadata service answers at http://169.254.169.254"));
        assert!(absence.contains("nobody home"), "{absence}");
        let seen = world.servers.take();
        assert_eq!(seen.len(), 2, "one request each, tried once");
        assert!(seen[0].1.total < Duration::from_secs(3), "the longest that it can take");
        assert!(world.hands.slept().is_empty());
    }
}

#[test]
fn an_instance_without_a_role_has_nothing() {
    let world = World::new(|request| match request.method() {
        &Method::PUT => token("TOKEN"),
        _ => answer(404, "<html>"),
    });
    let provider = world.provider();
    for _ in 0..2 {
        assert!(run(provider.provide()).unwrap().is_none());
        let asked = world.servers.take();
        let last = asked.last().unwrap().0.uri().path();
        assert_eq!(last, "/latest/meta-data/iam/security-credentials/");
    }
    assert!(provider.absence().contains("the instance has no role"));
}

#[test]
fn a_service_that_answered_before_and_falls_silent_is_an_error() {
    let is_up = Arc::new(Mutex::new(true));
    let up = is_up.clone();
    let world = World::new(move |request| match *up.lock().unwrap() {
        true => healthy(request),
        false => Err(HttpError::new(HttpErrorKind::TimedOut, "no answer in time")),
    });
    let provider = world.provider();
    run(provider.provide()).unwrap().unwrap();
    *is_up.lock().unwrap() = false;
    // With the token it has, and without.
    for ahead in [0, 21_600] {
        world.hands.advance(Duration::from_secs(ahead));
        world.servers.take();
        let error = run(provider.provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed);
        assert!(chain_of(&error).contains("no answer in time"), "{error}");
        assert_eq!(world.servers.asked().len(), 1, "a time-out is final");
    }
}

// Answers of all kinds.

#[test]
fn what_fails_on_the_other_side_is_asked_again_after_a_pause_by_chance() {
    let mut failures = 0;
    let world = World::new(move |request| {
        if failures < 3 {
            failures += 1;
            return answer(503, "");
        }
        failures = 0;
        healthy(request)
    });
    let nines = |bytes: &mut [u8]| bytes.fill(0x99);
    let provider = InstanceProvider::new(&world.ports(&[]).with_random(nines));
    assert!(run(provider.provide()).unwrap().is_some());
    assert_eq!(world.servers.asked().len(), 12);
    let slept = world.hands.slept();
    let most = [100, 200, 400].map(Duration::from_millis);
    assert_eq!(slept.len(), 9);
    assert!(slept.iter().zip(most.iter().cycle()).all(|(slept, most)| slept <= most), "{slept:?}");
    assert!(slept.iter().any(|slept| !slept.is_zero()));
}

#[test]
fn an_answer_that_is_no_good_is_an_error_that_quotes_nothing_of_it() {
    let huge = format!("{{\"AccessKeyId\": \"{}\"", "hush".repeat(10_000));
    let missing = r#"{"Code": "Success", "AccessKeyId": "ASIA", "SecretAccessKey": "hush"}"#;
    let blank = r#"{"AccessKeyId": "ASIA", "SecretAccessKey": " ", "Token": "hush",
                    "Expiration": "2030-01-01T00:00:00Z"}"#;
    let no_time = r#"{"AccessKeyId": "ASIA", "SecretAccessKey": "hush", "Token": "hush",
                      "Expiration": "hush"}"#;
    let twice = r#"{"AccessKeyId": "ASIA", "accesskeyid": "hush"}"#;
    for (status, body, part) in [
        (200, "hush", "invalid JSON in response: see line 1, column 1"),
        (200, "", "invalid JSON"),
        (200, "<html>hush</html>", "invalid JSON"),
        (200, "[\"hush\"]", "invalid JSON"),
        (200, r#"{"SecretAccessKey": ["hush"]}"#, "invalid JSON"),
        (200, huge.as_str(), "invalid JSON"),
        (200, twice, "invalid JSON"),
        (200, "{}", "AccessKeyId is missing"),
        (200, missing, "Token is missing"),
        (200, blank, "SecretAccessKey is missing"),
        (200, no_time, "Expiration is no time"),
        (302, "hush", "answered 302 Found"),
        (403, "hush", "answered 403 Forbidden"),
        (429, "hush", "answered 429 Too Many Requests"),
        (500, "hush", "answered 500 Internal Server Error"),
    ] {
        let body = body.to_owned();
        let world = World::new(move |request| match request.uri().path().ends_with("/role") {
            true => answer(status, body.clone()),
            false => healthy(request),
        });
        let error = run(world.provider().provide()).expect_err(part);
        assert_eq!(error.kind(), ProviderErrorKind::Failed, "{part}");
        let text = format!("{} {error:?}", chain_of(&error));
        assert!(text.contains(part), "{part}: {text}");
        assert!(!text.contains("hush"), "{text}");
        let attempts = if status == 500 { 4 } else { 1 };
        assert_eq!(world.servers.asked().len(), 2 + attempts, "{part}");
    }
}

#[test]
fn what_the_service_says_is_wrong_is_passed_on_shortened() {
    for (code, kind) in [
        ("AssumeRoleUnauthorizedAccess", ProviderErrorKind::InvalidConfiguration),
        ("Failed", ProviderErrorKind::Failed),
    ] {
        let message = format!("EC2 cannot\\nassume it {}", "x".repeat(5000));
        let body = format!(r#"{{"Code": "{code}", "Message": "{message}"}}"#);
        let world = World::new(move |request| match request.uri().path().ends_with("/role") {
            true => answer(200, body.clone()),
            false => healthy(request),
        });
        let error = run(world.provider().provide()).unwrap_err();
        assert_eq!(error.kind(), kind, "{code}");
        let text = error.to_string();
        let start =
            format!("instance: failed to load credentials [{code}]: EC2 cannot\\nassume it");
        assert!(text.starts_with(&start) && text.len() < 1000, "{text}");
    }
}

#[test]
fn a_role_is_a_name_and_no_path() {
    for list in ["../../dynamic", "a b", "role?x", "<html>", "röle"] {
        let world = World::new(move |request| {
            match request.uri().path().ends_with("security-credentials-extended/") {
                true => answer(200, list),
                false => healthy(request),
            }
        });
        let error = run(world.provider().provide()).unwrap_err();
        assert!(error.to_string().contains("lists a role by a name that is none"), "{error}");
        assert_eq!(world.servers.asked().len(), 2, "{list}");
    }
    let world = World::new(|request| {
        match request.uri().path().ends_with("security-credentials-extended/") {
            true => answer(200, "role\nother\n"),
            false => healthy(request),
        }
    });
    assert!(run(world.provider().provide()).unwrap().is_some(), "the first one is taken");
}

#[test]
fn a_role_that_is_listed_and_not_there_is_looked_for_twice() {
    let world = World::new(|request| match request.uri().path().ends_with("/role") {
        true => answer(404, ""),
        false => healthy(request),
    });
    let error = run(world.provider().provide()).unwrap_err();
    assert!(error.to_string().contains("names the role role and has none such"), "{error}");
    assert_eq!(world.servers.asked().len(), 5);
}

#[test]
fn an_empty_list_of_roles_is_called_that() {
    let world = World::new(|request| match request.uri().path().ends_with('/') {
        true => answer(200, "\n"),
        false => healthy(request),
    });
    let error = run(world.provider().provide()).unwrap_err().to_string();
    assert!(error.contains("lists no role") && error.contains("is empty; give"), "{error}");
    assert_eq!(world.servers.asked().len(), 2);
}

#[test]
fn a_chain_that_ends_at_something_else_than_the_service_says_why_the_others_had_nothing() {
    for status in [403, 404, 405] {
        let world = World::new(move |_| answer(status, ""));
        let chain = Chain::standard(&world.ports(&[("HOME", "/home/cat")]));
        let error = run(chain.provide()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("instance: "), "{text}");
        assert_eq!(text.contains("set AWS_EC2_METADATA_DISABLED=true"), status != 403, "{text}");
        for (provider, reason) in chain.explain().reasons().take(4) {
            assert!(text.contains(&format!("{provider}: {reason}")), "{text}");
        }
    }
}

#[test]
fn an_answer_that_has_expired_is_extended_with_a_warning() {
    let world = World::healthy();
    world.hands.set(at("20400101T000000Z"));
    for (chance, seconds) in [(0_u64, 600), (7, 607), (300, 900), (301, 600)] {
        let ports = world.ports(&[]).with_random(move |bytes: &mut [u8]| {
            bytes.copy_from_slice(&chance.to_le_bytes()[..bytes.len()]);
        });
        let log = Log::default();
        let found = tracing::subscriber::with_default(log.clone(), || {
            run(Cached::new(InstanceProvider::new(&ports), &ports).provide()).unwrap().unwrap()
        });
        let end = at("20400101T000000Z") + Duration::from_secs(seconds);
        assert_eq!(found.expires_at(), Some(end));
        let lines = log.lines().join("\n");
        let warning = "Attempting credential expiration extension due to a credential service availability issue";
        assert!(lines.contains("WARN") && lines.contains(warning), "{lines}");
        // The whole chain does not mind.
        let found = run(Chain::standard(&ports).provide()).unwrap().unwrap();
        assert_eq!(found.expires_at(), Some(end));
    }
}

#[test]
fn an_answer_that_has_expired_takes_the_place_of_no_better_one() {
    let end = Arc::new(Mutex::new("2015-08-30T22:36:00Z"));
    let said = end.clone();
    let world = World::new(move |request| match request.uri().path().ends_with("/role") {
        true => {
            let body = str::from_utf8(healthy(request).unwrap().body()).unwrap().to_owned();
            answer(200, body.replace("2030-01-01T00:00:00Z", *said.lock().unwrap()))
        }
        false => healthy(request),
    });
    world.hands.set(at("20150830T123600Z"));
    let ports = world.ports(&[]);
    let provider = InstanceProvider::new(&ports);
    let cached = Cached::new(provider.clone(), &ports);
    let best = run(cached.provide()).unwrap().unwrap();
    // In the window of the cache the service says that they ended long ago.
    world.hands.set(at("20150830T220000Z"));
    *end.lock().unwrap() = "2015-08-30T12:40:00Z";
    assert_eq!(run(cached.provide()).unwrap().unwrap().expires_at(), best.expires_at());
    let stale = run(provider.provide()).unwrap().unwrap();
    assert_eq!(stale.expires_at(), Some(at("20150830T124000Z")));
    // Those that it has had a good while longer are extended as often as it takes.
    *end.lock().unwrap() = "2015-08-30T22:36:00Z";
    for time in ["20150830T230000Z", "20150830T231000Z"] {
        world.hands.set(at(time));
        let kept = run(cached.provide()).unwrap().unwrap();
        assert!(kept.expires_at() > Some(at(time)), "{kept:?}");
    }
}

#[test]
fn while_the_service_is_away_a_cache_goes_on_with_what_it_gave() {
    let is_up = Arc::new(Mutex::new(true));
    let up = is_up.clone();
    let world = World::new(move |request| match *up.lock().unwrap() {
        true => healthy(request),
        false => refused(),
    });
    let ports = world.ports(&[]);
    let cached = Cached::new(InstanceProvider::new(&ports), &ports);
    run(cached.provide()).unwrap().unwrap();
    *is_up.lock().unwrap() = false;
    world.hands.set(at("20300102T000000Z"));
    assert_eq!(run(cached.provide()).unwrap().unwrap().access_key_id(), "ASIAINSTANCE");
}

// The region.

#[test]
fn a_profile_that_begins_with_the_instance_keeps_nothing_alive() {
    let held = Arc::new(());
    let (kept, alive) = (held.clone(), Arc::downgrade(&held));
    drop(held);
    let config = "[default]\nrole_arn = arn:aws:iam::123456789012:role/a\n\
                  credential_source = Ec2InstanceMetadata\n";
    let ports = ports(&[("HOME", "/home/cat"), ("AWS_REGION", "eu-west-1")])
        .with_files(HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]))
        .with_http(move |_: Request<Bytes>, _: HttpLimits| {
            let _ = &kept;
            refused()
        });
    let provider = ProfileProvider::new(&ports);
    assert!(run(provider.provide()).is_err());
    drop((provider, ports));
    assert!(alive.upgrade().is_none());
}

#[test]
fn the_region_is_asked_for_last_of_all() {
    let world = World::healthy();
    let chain = RegionChain::standard(&world.ports(&[]));
    assert_eq!(run(chain.provide()).unwrap().as_deref(), Some("eu-central-1"));
    assert_eq!(
        world.servers.take()[1].0.uri(),
        "http://169.254.169.254/latest/meta-data/placement/region"
    );
    let chain = RegionChain::standard(&world.ports(&[("AWS_REGION", "eu-west-1")]));
    assert_eq!(run(chain.provide()).unwrap().as_deref(), Some("eu-west-1"));
    let disabled = [("AWS_EC2_METADATA_DISABLED", "true")];
    assert_eq!(run(RegionChain::standard(&world.ports(&disabled)).provide()).unwrap(), None);
    assert_eq!(world.servers.asked(), [""; 0]);
}

#[test]
fn a_service_that_cannot_tell_the_region_stops_nobody() {
    for (status, body) in [(403, ""), (404, ""), (500, ""), (200, "<html>"), (200, "")] {
        let world = World::new(move |request| match request.method() {
            &Method::PUT => token("TOKEN"),
            _ => answer(status, body),
        });
        let chain = RegionChain::standard(&world.ports(&[]));
        assert_eq!(run(chain.provide()).unwrap(), None, "{status} {body}");
        let direct = run(world.provider().region());
        assert_eq!(direct.is_err(), status != 404, "{status} {body}");
    }
}

#[test]
fn a_role_says_that_the_service_fails_to_tell_the_region() {
    let world = World::new(|request| match request.method() {
        &Method::PUT => token("TOKEN"),
        _ => answer(500, ""),
    });
    let ports = with_role(&world);
    let of_code = AssumeRoleProvider::new(&ports, own(), AssumeRole::new(ROLE));
    let of_profile = ProfileProvider::new(&ports);
    for provider in [&of_code as &dyn ProvideCredentials, &of_profile] {
        let error = run(provider.provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed, "{error}");
        let expected = "the metadata service does not tell its own: instance: the metadata service \
                        answered 500";
        assert!(chain_of(&error).contains(expected), "{}", chain_of(&error));
    }
}

#[test]
fn a_role_asks_for_the_region_of_the_instance_once() {
    let world = World::new(|request| match request.uri().host() {
        Some("169.254.169.254") => healthy(request),
        _ => answer(200, GRANTED),
    });
    let ports = with_role(&world);
    let of_code = AssumeRoleProvider::new(&ports, own(), AssumeRole::new(ROLE));
    let of_profile = ProfileProvider::new(&ports);
    for provider in [&of_code as &dyn ProvideCredentials, &of_profile] {
        for _ in 0..2 {
            assert_eq!(run(provider.provide()).unwrap().unwrap().access_key_id(), "ASIAROLE");
        }
        let sts = "POST https://sts.eu-central-1.amazonaws.com/";
        let asked = [
            "PUT http://169.254.169.254/latest/api/token",
            "GET http://169.254.169.254/latest/meta-data/placement/region",
            sts,
            sts,
        ];
        assert_eq!(world.servers.asked(), asked);
        world.servers.take();
    }
}

/// The world with a profile that is a role by its own keys, and names no region.
fn with_role(world: &World) -> Ports {
    let config = format!(
        "[default]\nrole_arn = {ROLE}\nsource_profile = default\n\
         aws_access_key_id = AKID\naws_secret_access_key = hush\n"
    );
    let files = HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]);
    world.ports(&[("HOME", "/home/cat")]).with_files(files).with_platform(Platform::Unix)
}

fn own() -> Credentials {
    Credentials::new("AKID", "hush")
}

/// A metadata service, and a clock.
struct World {
    servers: Servers,
    hands: Hands,
}

impl World {
    fn new(reply: impl FnMut(&Request<Bytes>) -> Reply + Send + 'static) -> World {
        World { servers: Servers::answering(reply), hands: Hands::at(at("20290101T000000Z")) }
    }

    fn healthy() -> World {
        World::new(healthy)
    }

    fn ports(&self, env: &[(&str, &str)]) -> Ports {
        ports(env).with_http(self.servers.clone()).with_clock(self.hands.clone())
    }

    fn provider(&self) -> InstanceProvider {
        self.provider_with(&[])
    }

    fn provider_with(&self, env: &[(&str, &str)]) -> InstanceProvider {
        InstanceProvider::new(&self.ports(env))
    }
}

fn healthy(request: &Request<Bytes>) -> Reply {
    if request.method() == Method::PUT {
        return token("TOKEN");
    }
    assert!(request.headers().contains_key(TOKEN));
    match request.uri().path() {
        "/latest/meta-data/iam/security-credentials-extended/" => answer(200, "role"),
        "/latest/meta-data/iam/security-credentials-extended/role" => answer(200, CREDENTIALS),
        "/latest/meta-data/placement/region" => answer(200, "eu-central-1"),
        _ => answer(404, ""),
    }
}

fn token(text: &str) -> Reply {
    let life = ("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    Ok(Response::builder().header(life.0, life.1).body(text.to_owned().into()).unwrap())
}

#[test]
fn nothing_shows_a_secret() {
    let world = World::healthy();
    let provider = world.provider();
    let answer: Result<Option<Credentials>, ProviderError> = run(provider.provide());
    let shown = format!("{provider:?} {answer:?} {}", provider.absence());
    for secret in ["hush", "whisper", "TOKEN"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

const TOKEN: &str = "x-aws-ec2-metadata-token";
const CREDENTIALS: &str = r#"{"Code": "Success", "LastUpdated": "2029-01-01T00:00:00Z",
    "Type": "AWS-HMAC", "AccessKeyId": "ASIAINSTANCE", "SecretAccessKey": "hush",
    "Token": "whisper", "Expiration": "2030-01-01T00:00:00Z", "AccountId": "123456789012",
    "More": {"Version": [1, 2]}}"#;
const ROLE: &str = "arn:aws:iam::123456789012:role/audit";
const GRANTED: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
    <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>hush</SecretAccessKey>\
    <SessionToken>whisper</SessionToken><Expiration>2029-01-01T01:00:00Z</Expiration>\
    </Credentials></AssumeRoleResult></AssumeRoleResponse>";
