//! Login sessions: which file, how they are renewed, and what proves who asks.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use countersign::providers::{
    Chain, Endpoints, HttpError, LoginProvider, Platform, Ports, ProfileSet, ProvideCredentials,
    ProviderError, ProviderErrorKind,
};
use http::{Request, Response};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use serde_json::{Value, json};

use super::world::{Disk, Hands, Servers, Slow, answer, chain_of, ports, refused, run};
use crate::support::at;

#[test]
fn credentials_that_live_are_given_as_they_are() {
    let world = World::holding(session(Duration::from_secs(300)));
    let credentials = run(world.provider().provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "ASIAOLD");
    assert_eq!(credentials.secret_access_key(), "secret-old");
    assert_eq!(credentials.session_token(), Some("secret-old-token"));
    assert_eq!(credentials.account_id(), Some("123456789012"));
    assert_eq!(credentials.expires_at(), Some(now() + Duration::from_secs(300)));
    assert!(credentials.has_static_stability());
    assert_eq!(world.servers.asked(), [""; 0]);
}

#[test]
fn in_the_last_five_minutes_they_are_renewed_and_written_back() {
    let mut held = session(Duration::from_secs(299));
    held["added"] = json!({"by": "others"});
    held["accessToken"]["added"] = json!(7);
    let world = World::holding(held.clone());
    let credentials = run(world.provider().provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "ASIANEW");
    assert_eq!(credentials.account_id(), Some("123456789012"));
    assert_eq!(credentials.expires_at(), Some(now() + Duration::from_secs(900)));
    let [(request, _)] = &world.servers.take()[..] else { panic!() };
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), URL);
    assert_eq!(request.headers()["content-type"], "application/json");
    assert!(!request.headers().contains_key("authorization"));
    assert!(request.headers()["dpop"].is_sensitive());
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    let expected = json!({"clientId": "arn:aws:signin:::devtools/same-device",
        "grantType": "refresh_token", "refreshToken": "secret-refresh"});
    assert_eq!(body, expected);
    held["accessToken"]["accessKeyId"] = json!("ASIANEW");
    held["accessToken"]["secretAccessKey"] = json!("secret-new");
    held["accessToken"]["sessionToken"] = json!("secret-new-token");
    held["accessToken"]["expiresAt"] = json!("2015-08-30T12:51:00Z");
    held["refreshToken"] = json!("secret-next-refresh");
    assert_eq!(world.disk.json(FILE), held);
}

#[test]
fn a_service_that_stumbles_is_asked_again_with_another_proof() {
    for stumble in [|| answer(500, ""), || answer(503, ""), || answer(429, "{}"), refused] {
        let attempts = Arc::new(AtomicUsize::new(0));
        let count = attempts.clone();
        let world = World::new(session(Duration::ZERO), move |_| {
            if count.fetch_add(1, Ordering::Relaxed) < 2 { stumble() } else { granted() }
        });
        let chance = AtomicU8::new(1);
        let ports = world.ports.clone().with_random(move |bytes: &mut [u8]| {
            bytes.fill(chance.fetch_add(1, Ordering::Relaxed));
        });
        let credentials = run(at_home(&ports).provide()).unwrap().unwrap();
        assert_eq!(credentials.access_key_id(), "ASIANEW");
        assert_eq!(world.hands.slept().len(), 2);
        let asked = world.servers.take();
        let proofs = asked.iter().map(|(request, _)| request.headers()["dpop"].clone());
        assert_eq!(proofs.collect::<HashSet<_>>().len(), 3);
        for (request, _) in &asked {
            let claims = request.headers()["dpop"].to_str().unwrap().split('.').nth(1).unwrap();
            let claims: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
            assert!(claims["iat"].as_u64() >= Some(1_440_938_160), "{claims}");
        }
    }
}

#[test]
fn a_proof_that_is_repeated_is_not_shown() {
    let world = World::new(session(Duration::ZERO), |request| {
        let proof = request.headers()["dpop"].to_str().unwrap();
        answer(400, json!({"error": "INVALID_REQUEST", "message": proof}).to_string())
    });
    let error = run(world.provider().provide()).unwrap_err().to_string();
    assert!(error.contains("it repeats a secret"), "{error}");
}

#[test]
fn a_proof_is_signed_by_the_key_of_the_session_for_one_request() {
    let world = World::holding(session(Duration::ZERO));
    let ports = world.ports.clone().with_random(|bytes: &mut [u8]| bytes.fill(0xab));
    run(at_home(&ports).provide()).unwrap();
    let [(request, _)] = &world.servers.take()[..] else { panic!() };
    let proof = request.headers()["dpop"].to_str().unwrap();
    let parts: Vec<&str> = proof.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{proof}") };
    let json = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    // The public half, as `openssl ec -text` shows it.
    let public = hex::decode(concat!(
        "04ffdd4bda7e8ddbc351819f24e1dff065465af05305ce49d6971326760f0f91",
        "cbe52ab8e8d321f7ba4dbe7451289ccccb0224255046829d125ecbe1dec5ee21",
        "11"
    ))
    .unwrap();
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(&public[1..33]),
        "y": URL_SAFE_NO_PAD.encode(&public[33..])});
    assert_eq!(json(header), json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}));
    let expected = json!({"htm": "POST", "htu": URL, "iat": 1_440_938_160,
        "jti": "abababab-abab-4bab-abab-abababababab"});
    assert_eq!(json(claims), expected);
    let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let signed = format!("{header}.{claims}");
    VerifyingKey::from_sec1_bytes(&public).unwrap().verify(signed.as_bytes(), &signature).unwrap();
}

#[test]
fn the_region_and_the_endpoint_are_those_that_were_said() {
    let world = World::holding(session(Duration::ZERO));
    let elsewhere = Endpoints::new(&world.ports).with_url("http://localhost:4566/signin/");
    run(world.provider().with_endpoints(elsewhere).provide()).unwrap();
    assert_eq!(world.servers.asked(), ["POST http://localhost:4566/signin/v1/token"]);
    for (of_instance, kind, expected) in [
        (refused as fn() -> Answer, ProviderErrorKind::InvalidConfiguration, "Missing Region"),
        (granted, ProviderErrorKind::Failed, "the metadata service does not tell its own"),
    ] {
        let world = World::new(session(Duration::ZERO), move |_| of_instance());
        let provider = LoginProvider::new(&world.ports, SESSION).unwrap();
        let error = run(provider.provide()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_provider_made_in_code_asks_where_the_environment_says() {
    let world = World::holding(session(Duration::ZERO));
    let env = HashMap::from([("HOME", "/home/cat"), ("AWS_USE_FIPS_ENDPOINT", "true")]);
    run(at_home(&world.ports.clone().with_env(env)).provide()).unwrap();
    let asked = ["POST https://signin-fips.eu-west-1.amazonaws.com/v1/token"];
    assert_eq!(world.servers.asked(), asked);
}

#[test]
fn a_profile_names_a_session_and_its_region() {
    let config = format!("[default]\nregion = cn-north-1\nlogin_session =  {SESSION} \n");
    let world = World::holding(session(Duration::ZERO));
    world.disk.put("/home/cat/.aws/config", config.as_str());
    let profiles = ProfileSet::load(&world.ports).unwrap();
    let provider = LoginProvider::from_profile(&world.ports, &profiles, "default").unwrap();
    run(provider.unwrap().provide()).unwrap();
    assert_eq!(world.servers.asked(), ["POST https://cn-north-1.signin.amazonaws.cn/v1/token"]);
    let world = World::holding(session(Duration::ZERO));
    world.disk.put("/home/cat/.aws/config", config.as_str());
    let credentials = run(Chain::standard(&world.ports).provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "ASIANEW");
    assert_eq!(world.servers.asked(), ["POST https://cn-north-1.signin.amazonaws.cn/v1/token"]);
}

#[test]
fn the_directory_may_be_another() {
    let world = World::holding(Value::Null);
    let name = FILE.rsplit('/').next().unwrap();
    world.disk.put(&format!("/else/where/{name}"), session(HOUR).to_string());
    let ports = ports(&[("AWS_LOGIN_CACHE_DIRECTORY", "/else/where")])
        .with_files(world.disk.clone())
        .with_clock(now())
        .with_platform(Platform::Unix);
    assert!(run(at_home(&ports).provide()).unwrap().is_some());
    let error = run(at_home(&Ports::empty()).provide()).unwrap_err();
    assert!(error.to_string().contains("set HOME"), "{error}");
}

#[test]
fn what_is_missing_is_named_and_nothing_else_shown() {
    for (name, expected) in [
        ("accessToken", "accessToken is missing"),
        ("clientId", "clientId is missing"),
        ("refreshToken", "refreshToken is missing"),
        ("dpopKey", "dpopKey is missing"),
    ] {
        let mut held = session(Duration::ZERO);
        held.as_object_mut().unwrap().remove(name);
        let world = World::holding(held);
        let error = run(world.provider().provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(world.servers.asked(), [""; 0]);
        no_secret(&error);
    }
    let mut held = session(Duration::ZERO);
    held["dpopKey"] = json!("secret-old");
    let error = run(World::holding(held).provider().provide()).unwrap_err();
    assert!(error.to_string().contains("dpopKey is no P-256 key in PEM"), "{error}");
    let world = World::holding(Value::Null);
    world.disk.remove(FILE);
    let error = run(world.provider().provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    assert!(error.to_string().contains(&format!("failed to read `{FILE}`")), "{error}");
    assert!(error.to_string().ends_with("nobody has signed in: run aws login"), "{error}");
}

#[test]
fn codes_of_the_end_are_refusals_even_while_credentials_live() {
    for (status, code, expected) in [
        (401, "TOKEN_EXPIRED", "the login session has expired: run aws login"),
        (403, "USER_CREDENTIALS_CHANGED", "the password was changed since: run aws login"),
        (403, "INSUFFICIENT_PERMISSIONS", "signin:CreateOAuth2Token"),
    ] {
        let body = json!({"error": code, "message": "no"}).to_string();
        let world = World::new(session(MINUTE), move |_| answer(status, body.clone()));
        let error = run(world.provider().provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Refused);
        let message = error.to_string();
        assert!(message.contains(expected) && message.contains(code), "{message}");
        no_secret(&error);
    }
}

#[test]
fn whatever_else_fails_matters_once_the_credentials_have_expired() {
    let token = json!({"accessKeyId": "A", "secretAccessKey": "secret-new", "sessionToken": "x"});
    let half = json!({"accessToken": {"accessKeyId": "A"}, "expiresIn": 900}).to_string();
    for said in [
        (500, String::new()),
        (400, r#"{"error": "INVALID_REQUEST", "message": "secret-refresh"}"#.to_owned()),
        (429, r#"{"error": "TOO_MANY_REQUESTS_ERROR"}"#.to_owned()),
        (200, "{}".to_owned()),
        (200, half),
        (200, json!({"accessToken": token, "expiresIn": "900"}).to_string()),
        (200, json!({"accessToken": token, "expiresIn": u64::MAX}).to_string()),
    ] {
        let (status, body) = said.clone();
        let world = World::new(session(MINUTE), move |_| answer(status, body.clone()));
        let credentials = run(world.provider().provide()).unwrap().unwrap();
        assert_eq!(credentials.access_key_id(), "ASIAOLD", "{said:?}");
        world.hands.advance(MINUTE);
        let error = run(world.provider().provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Failed, "{error}");
        assert_eq!(world.disk.json(FILE), session(MINUTE));
        no_secret(&error);
    }
    let world = World::new(session(Duration::ZERO), |_| refused());
    let error = run(world.provider().provide()).unwrap_err();
    assert!(chain_of(&error).contains("connection refused"), "{error}");
}

#[test]
fn what_another_process_renewed_meanwhile_goes_before_ones_own() {
    let mut others = session(HOUR);
    others["accessToken"]["accessKeyId"] = json!("ASIAOTHER");
    for own in [granted, || answer(401, r#"{"error": "TOKEN_EXPIRED"}"#), refused] {
        let (disk, theirs) = (Disk::default(), others.clone());
        disk.put(FILE, session(Duration::ZERO).to_string());
        let shared = disk.clone();
        let world = World::on(disk, move |_| {
            shared.put(FILE, theirs.to_string());
            own()
        });
        let credentials = run(world.provider().provide()).unwrap().unwrap();
        assert_eq!(credentials.access_key_id(), "ASIAOTHER");
        assert_eq!(world.disk.json(FILE), others);
    }
}

#[test]
fn a_file_that_is_half_written_costs_neither_new_credentials_nor_those_that_live() {
    for (said, expected) in [(200, "ASIANEW"), (500, "ASIAOLD")] {
        let disk = Disk::default();
        disk.put(FILE, session(MINUTE).to_string());
        let shared = disk.clone();
        let world = World::on(disk, move |_| {
            shared.put(FILE, r#"{"accessToken": {"acc"#);
            if said == 200 { granted() } else { answer(said, "") }
        });
        let credentials = run(world.provider().provide()).unwrap().unwrap();
        assert_eq!(credentials.access_key_id(), expected);
    }
}

#[test]
fn those_who_ask_at_once_renew_once() {
    let world = World::holding(session(Duration::ZERO));
    let provider = at_home(&world.ports.clone().with_http(Slow(world.servers.clone())));
    let both = run(async { tokio::join!(provider.provide(), provider.provide()) });
    for credentials in [both.0, both.1] {
        assert_eq!(credentials.unwrap().unwrap().access_key_id(), "ASIANEW");
    }
    assert_eq!(world.servers.asked().len(), 1);
}

#[test]
fn nothing_shown_holds_a_secret() {
    let world = World::holding(session(HOUR));
    let shown = format!("{:?} {:?}", world.provider(), run(world.provider().provide()));
    assert!(!shown.contains("secret-") && !shown.contains("PRIVATE"), "{shown}");
}

// The world around.

struct World {
    ports: Ports,
    disk: Disk,
    hands: Hands,
    servers: Servers,
}

impl World {
    fn holding(held: Value) -> World {
        World::new(held, |_| granted())
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

    fn provider(&self) -> LoginProvider {
        at_home(&self.ports)
    }
}

fn at_home(ports: &Ports) -> LoginProvider {
    LoginProvider::new(ports, SESSION).unwrap().with_region("eu-west-1")
}

type Answer = Result<Response<Bytes>, HttpError>;

fn granted() -> Answer {
    let token = json!({"accessKeyId": "ASIANEW", "secretAccessKey": "secret-new",
        "sessionToken": "secret-new-token"});
    let body = json!({"accessToken": token, "tokenType": "urn:aws:params:oauth:token-type:access_token_sigv4",
        "expiresIn": 900, "refreshToken": "secret-next-refresh"});
    answer(200, body.to_string())
}

/// A session whose credentials live this much longer.
fn session(left: Duration) -> Value {
    let end = 1_440_938_160 + left.as_secs();
    let minutes = end / 60 % 1440;
    let end = format!("2015-08-30T{:02}:{:02}:{:02}Z", minutes / 60, minutes % 60, end % 60);
    json!({
        "accessToken": {
            "accessKeyId": "ASIAOLD",
            "secretAccessKey": "secret-old",
            "sessionToken": "secret-old-token",
            "accountId": "123456789012",
            "expiresAt": end,
        },
        "tokenType": "urn:aws:params:oauth:token-type:access_token_sigv4",
        "refreshToken": "secret-refresh",
        "idToken": "secret-id",
        "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": KEY,
    })
}

fn no_secret(error: &ProviderError) {
    let shown = format!("{} {error:?}", chain_of(error));
    for secret in ["secret-", "PRIVATE", "MHcCAQ"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

fn now() -> SystemTime {
    at("20150830T123600Z")
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const SESSION: &str = "arn:aws:sts::123456789012:assumed-role/Admin/cat";
const URL: &str = "https://eu-west-1.signin.aws.amazon.com/v1/token";
const FILE: &str = "/home/cat/.aws/login/cache/2e69704e69664134a7e16e5075956ae6dcac828485c4527b57026a043dd09157.json";
const KEY: &str = "\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIL28iF1JxYg21rsbzA3ZncD8HBcVJQsu3KlGkk7aTxhJoAoGCCqGSM49
AwEHoUQDQgAE/91L2n6N28NRgZ8k4d/wZUZa8FMFzknWlxMmdg8PkcvlKrjo0yH3
uk2+dFEonMzLAiQlUEaCnRJey+Hexe4hEQ==
-----END EC PRIVATE KEY-----
";
