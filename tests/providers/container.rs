//! Credentials of a container's role.

use std::{
    collections::HashMap,
    fs,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use countersign::providers::{
    Chain, ChainAnswer, ContainerProvider, HttpError, HttpErrorKind, Ports, ProvideCredentials,
    ProviderErrorKind,
};
use http::{Response, header};
use serde_json::Value;

use super::world::{Hands, Servers, answer, chain_of, ports, refused, run};
use crate::support::{at, external_data};

#[test]
fn an_answer_that_has_expired_stops_the_chain_and_says_whose_it_is() {
    let ports = ports(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/c")])
        .with_http(Servers::answering(|_| answer(200, CREDENTIALS)))
        .with_clock(at("20400101T000000Z"));
    let error = run(Chain::standard(&ports).provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    assert!(error.to_string().starts_with("container: gave credentials that expired "), "{error}");
    let steps = run(Chain::standard(&ports).trace());
    let failed = steps.iter().find(|step| matches!(step.answer(), ChainAnswer::Failed(_)));
    assert_eq!(failed.unwrap().answer().to_string(), error.to_string());
}

#[test]
fn the_uri_is_found_as_others_find_it() {
    let Some(data) = external_data("the URIs of containers") else {
        return;
    };
    let path = data.with_file_name("credentials/smithy-rs/aws-config/ecs-tests.json");
    let cases: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let cases = cases["tests"].as_array().unwrap();
    for case in cases {
        let name = &case["docs"];
        let env: HashMap<String, String> = serde_json::from_value(case["env"].clone()).unwrap();
        let servers = Servers::answering(|_| answer(200, CREDENTIALS));
        let hosts = HashMap::from([("localhost", vec![IpAddr::from([127, 0, 0, 1])])]);
        let ports = Ports::empty().with_env(env).with_resolver(hosts).with_http(servers.clone());
        let provider = ContainerProvider::new(&ports);
        let answer = run(provider.provide());
        match (case["result"]["Ok"].as_str(), case["result"]["ErrorContains"].as_str()) {
            (Some(uri), None) => {
                assert!(answer.unwrap().is_some(), "{name}");
                assert_eq!(servers.asked(), [format!("GET {uri}")], "{name}");
            }
            (None, Some(part)) => {
                let text = match answer {
                    Ok(None) => provider.absence(),
                    Ok(Some(found)) => panic!("{name}: {found:?}"),
                    Err(error) => chain_of(&error),
                };
                assert!(text.contains(part), "{name}: {text}");
                assert_eq!(servers.asked(), [""; 0], "{name}");
            }
            _ => panic!("{name}: no result"),
        }
    }
    println!("{} URIs", cases.len());
    assert_eq!(cases.len(), 11);
}

#[test]
fn an_agent_gives_credentials_that_outlive_an_outage() {
    let servers = Servers::answering(|_| answer(200, CREDENTIALS));
    let ports = ports(&[RELATIVE]).with_http(servers.clone());
    let found = run(ContainerProvider::new(&ports).provide()).unwrap().unwrap();
    assert_eq!(found.access_key_id(), "ASIACONTAINER");
    assert_eq!(found.secret_access_key(), "hush");
    assert_eq!(found.session_token(), Some("whisper"));
    assert_eq!(found.expires_at(), Some(at("20200101T000000Z")), "long ago, and given out");
    assert_eq!(found.account_id(), None);
    assert!(found.has_static_stability());
    let (request, limits) = servers.take().remove(0);
    assert_eq!(request.headers()[header::ACCEPT], "application/json");
    assert!(request.headers().get(header::AUTHORIZATION).is_none());
    assert_eq!(limits.connect, Duration::from_secs(2));
    assert_eq!(limits.total, Duration::from_secs(7));
    assert!(limits.direct, "past any proxy");
}

#[test]
fn names_in_the_answer_have_no_case_and_go_by_two() {
    for body in [
        r#"{"accesskeyid": "A", "SECRETACCESSKEY": "s", "sessionToken": "t",
            "expiresAt": "2030-01-01T00:00:00Z", "accountId": "123456789012", "message": null}"#,
        r#"{"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "SessionToken": "t",
            "Expiration": "2030-01-01T01:00:00+01:00", "AccountId": "123456789012", "Code": "success"}"#,
    ] {
        let ports = ports(&[RELATIVE]).with_http(Servers::answering(move |_| answer(200, body)));
        let found = run(ContainerProvider::new(&ports).provide()).unwrap().unwrap();
        assert_eq!((found.access_key_id(), found.session_token()), ("A", Some("t")));
        assert_eq!(found.expires_at(), Some(at("20300101T000000Z")));
        assert_eq!(found.account_id(), Some("123456789012"));
    }
}

#[test]
fn a_token_goes_to_an_address_that_was_looked_at_and_nowhere_else() {
    let (own, own6) = (IpAddr::from([127, 0, 0, 1]), "::1".parse().unwrap());
    let hosts = HashMap::from([
        ("agent", vec![own6, own]),
        ("both", vec![own, "192.0.2.1".parse().unwrap()]),
    ]);
    let servers = Servers::answering(|_| refused());
    let with = |uri: &str| {
        let env = [(FULL, uri), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "whisper")];
        let ports = ports(&env).with_resolver(hosts.clone()).with_http(servers.clone());
        run(ContainerProvider::new(&ports).provide())
    };
    with("http://agent:81/credentials?a=b").unwrap_err();
    let seen = servers.take();
    let addresses: Vec<_> = seen.iter().map(|(_, limits)| limits.address).collect();
    assert_eq!(addresses, [Some(own6), Some(own), Some(own6)], "each has its turn");
    for (request, limits) in &seen {
        assert_eq!(request.uri(), "http://agent:81/credentials?a=b");
        assert_eq!(request.headers()[header::AUTHORIZATION], "whisper");
        assert!(request.headers()[header::AUTHORIZATION].is_sensitive());
        assert!(limits.direct);
    }
    for uri in [
        "http://both/",
        "http://192.0.2.1/",
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:192.0.2.1]/",
        "http://10.0.0.1:80/",
    ] {
        let error = with(uri).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{uri}");
        let text = error.to_string();
        assert!(text.contains("URI did not refer to an allowed IP address"), "{uri}: {text}");
    }
    assert_eq!(servers.asked(), [""; 0], "nobody was told anything");
    // With TLS the host proves who it is, and a proxy may be on the way.
    with("https://192.0.2.1/").unwrap_err();
    let (_, limits) = servers.take().remove(0);
    assert_eq!((limits.direct, limits.address), (false, None));
}

#[test]
fn a_uri_that_is_none_is_refused() {
    for (variable, uri, part) in [
        (RELATIVE.0, "credentials", "does not start with `/`"),
        (RELATIVE.0, "@192.0.2.1/", "does not start with `/`"),
        (RELATIVE.0, ".example.com/", "does not start with `/`"),
        (RELATIVE.0, "/a b", "is no URI"),
        (FULL, "/credentials", "URI did not specify a host"),
        (FULL, "hush hush", "is no URI"),
        (FULL, "http://user:hush@127.0.0.1/", "a user's name"),
        (FULL, "ftp://127.0.0.1/", "neither http nor https"),
        (FULL, "127.0.0.1:80", "neither http nor https"),
    ] {
        let servers = Servers::answering(|_| panic!("asked"));
        let ports = ports(&[(variable, uri)]).with_http(servers);
        let error = run(ContainerProvider::new(&ports).provide()).expect_err(uri);
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{uri}");
        let text = chain_of(&error);
        assert!(text.contains(part) && text.contains(variable), "{uri}: {text}");
        assert!(!text.contains("hush"), "{text}");
    }
    let ports = ports(&[(FULL, "http://nowhere/")]);
    let error = run(ContainerProvider::new(&ports).provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    assert!(error.to_string().contains("the addresses of the host `nowhere`"), "{error}");
}

#[test]
fn the_token_is_read_from_its_file_each_time() {
    let servers = Servers::answering(|_| answer(200, CREDENTIALS));
    let files = Arc::new(Mutex::new(HashMap::from([(PathBuf::from("/token"), b"one".to_vec())])));
    let env = [
        RELATIVE,
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of the environment"),
    ];
    let ports = ports(&env).with_http(servers.clone()).with_files(Shared(files.clone()));
    let provider = ContainerProvider::new(&ports);
    for text in ["one", "two"] {
        files.lock().unwrap().insert("/token".into(), text.into());
        run(provider.provide()).unwrap().unwrap();
        let (request, _) = servers.take().remove(0);
        assert_eq!(request.headers()[header::AUTHORIZATION], text);
    }
    files.lock().unwrap().clear();
    let error = run(provider.provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    let text = chain_of(&error);
    assert!(text.contains("failed to read `/token`"), "{text}");
    assert_eq!(servers.asked(), [""; 0], "without its token nobody is asked");
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_and_not_shown() {
    for text in ["hush\n", "hu\rsh", "hush\r\nx-injected: 1", "hu\0sh"] {
        for from_file in [false, true] {
            let files = HashMap::from([(PathBuf::from("/token"), text)]);
            let variable = match from_file {
                true => ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token"),
                false => ("AWS_CONTAINER_AUTHORIZATION_TOKEN", text),
            };
            let servers = Servers::answering(|_| panic!("asked"));
            let ports = ports(&[RELATIVE, variable]).with_files(files).with_http(servers);
            let error = run(ContainerProvider::new(&ports).provide()).expect_err(text);
            assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
            let shown = format!("{} {error:?}", chain_of(&error));
            assert!(shown.contains("no header can carry") && !shown.contains("hu"), "{shown}");
        }
    }
}

#[test]
fn what_may_go_better_the_next_time_is_tried_three_times() {
    let lost = |kind| move || Err(HttpError::new(kind, "lost"));
    let replies: [(Reply, &str); 7] = [
        (Box::new(refused), "connection refused"),
        (Box::new(lost(HttpErrorKind::TimedOut)), "lost"),
        (Box::new(lost(HttpErrorKind::Failed)), "lost"),
        (Box::new(|| answer(500, "hush")), "status 500"),
        (Box::new(|| answer(503, r#"{"code": "Busy", "message": "later"}"#)), "[Busy]: later"),
        (Box::new(|| answer(200, "hush")), "invalid JSON"),
        (Box::new(|| answer(200, r#"{"AccessKeyId": "hush"}"#)), "SecretAccessKey is missing"),
    ];
    for (reply, part) in replies {
        let reply = Arc::new(Mutex::new(reply));
        for failures in [2, 3] {
            let (mut count, reply) = (0, reply.clone());
            let servers = Servers::answering(move |_| {
                count += 1;
                if count > failures { answer(200, CREDENTIALS) } else { reply.lock().unwrap()() }
            });
            let hands = Hands::at(at("20290101T000000Z"));
            let ports = ports(&[RELATIVE]).with_http(servers.clone()).with_clock(hands.clone());
            let found = run(ContainerProvider::new(&ports).provide());
            assert_eq!(servers.asked().len(), 3, "{part}");
            assert_eq!(hands.slept().len(), 2, "{part}");
            if failures == 2 {
                assert!(found.unwrap().is_some(), "{part}");
                continue;
            }
            let error = found.unwrap_err();
            assert_eq!(error.kind(), ProviderErrorKind::Failed, "{part}");
            let text = format!("{} {error:?}", chain_of(&error));
            assert!(text.contains(part), "{part}: {text}");
            assert!(!text.contains("hush"), "{text}");
        }
    }
}

#[test]
fn what_an_agent_refuses_is_final() {
    let long = format!(r#"{{"code": "Denied", "message": "no\u0007 {}"}}"#, "x".repeat(5000));
    let start = r"failed to load credentials [Denied]: no\u{7} xxx";
    for (status, body, part) in [
        (400, long.as_str(), start),
        (403, r#"{"Code": "Denied", "Message": "not you"}"#, "[Denied]: not you"),
        (
            403,
            r#"{"code": "Denied", "Code": 7, "message": "not you", "MESSAGE": "nobody"}"#,
            "[Denied]: not you",
        ),
        (404, "hush", "status 404"),
        (429, "hush", "status 429"),
        (301, "hush", "status 301"),
        (307, "hush", "status 307"),
        (204, "", "status 204"),
        (200, r#"{"code": "Denied", "message": "not you"}"#, "[Denied]: not you"),
    ] {
        let body = body.to_owned();
        let servers = Servers::answering(move |_| {
            let elsewhere = (header::LOCATION, "http://192.0.2.1/");
            let reply = Response::builder().status(status).header(elsewhere.0, elsewhere.1);
            Ok(reply.body(body.clone().into()).unwrap())
        });
        let env = [RELATIVE, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "whisper")];
        let ports = ports(&env).with_http(servers.clone());
        let error = run(ContainerProvider::new(&ports).provide()).expect_err(part);
        assert_eq!(error.kind(), ProviderErrorKind::Failed, "{part}");
        let text = format!("{} {error:?}", chain_of(&error));
        assert!(text.contains(part) && text.len() < 3000, "{part}: {text}");
        assert!(!text.contains("hush") && !text.contains("whisper"), "{text}");
        assert_eq!(servers.asked(), ["GET http://169.254.170.2/v2/credentials"], "{part}");
    }
}

#[test]
fn nothing_shows_where_the_agent_is_asked_or_what_it_gave() {
    let ports = ports(&[(FULL, "http://127.0.0.1/hush?hush")])
        .with_http(Servers::answering(|_| answer(200, CREDENTIALS)));
    let provider = ContainerProvider::new(&ports);
    let shown = format!("{provider:?} {:?} {}", run(provider.provide()), provider.absence());
    assert!(!shown.contains("hush") && !shown.contains("whisper"), "{shown}");
}

#[test]
fn a_container_is_asked_after_profiles_and_before_the_instance() {
    let servers = Servers::answering(|request| match request.uri().host() {
        Some("169.254.170.2") => answer(200, CREDENTIALS),
        _ => refused(),
    });
    let config = HashMap::from([(PathBuf::from("/c"), "[profile settings]\nregion = eu-west-1\n")]);
    let with = |env: &[(&str, &str)]| {
        let env: Vec<_> = [("AWS_CONFIG_FILE", "/c")].iter().chain(env).copied().collect();
        Chain::standard(&ports(&env).with_files(config.clone()).with_http(servers.clone()))
    };
    let keys = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s"), RELATIVE];
    let found = run(with(&keys).provide()).unwrap().unwrap();
    assert_eq!(found.access_key_id(), "AKID");
    assert_eq!(servers.asked(), [""; 0]);
    // Whoever names a profile in code takes the keys out of the chain, and not the container.
    let found = run(with(&keys).with_profile("settings").provide()).unwrap().unwrap();
    assert_eq!(found.access_key_id(), "ASIACONTAINER");
    assert_eq!(servers.take().len(), 1);
    assert!(run(with(&[]).provide()).unwrap().is_none());
    assert_eq!(servers.asked(), ["PUT http://169.254.169.254/latest/api/token"]);
}

type Reply = Box<dyn Fn() -> Result<Response<Bytes>, HttpError> + Send>;

/// Files that a test changes under the provider's eyes.
struct Shared(Arc<Mutex<HashMap<PathBuf, Vec<u8>>>>);

impl countersign::providers::Files for Shared {
    fn read(&self, path: &std::path::Path) -> std::io::Result<Vec<u8>> {
        self.0.read(path)
    }
}

const RELATIVE: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials");
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const CREDENTIALS: &str = r#"{"RoleArn": "arn:aws:iam::123456789012:role/task",
    "AccessKeyId": "ASIACONTAINER", "SecretAccessKey": "hush", "Token": "whisper",
    "Expiration": "2020-01-01T00:00:00Z"}"#;
