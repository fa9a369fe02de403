//! The faults that matter most, each of a real provider behind a cache, by a clock that a test moves.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use countersign::{
    Credentials, Payload, Signer, Timestamp,
    providers::{
        AssumeRole, AssumeRoleProvider, Cached, Clock, CommandOutput, ContainerProvider, HttpError,
        InstanceProvider, Platform, Ports, ProcessProvider, ProvideCredentials, ProvideToken,
        ProviderErrorKind, SsoSettings, SsoTokenProvider, Sts, WebIdentityProvider,
    },
};
use http::{Request, Response};
use serde_json::{Value, json};

use super::world::{Disk, Hands, Servers, Slow, answer, ports, refused, run};
use crate::support::at;

#[test]
fn an_instance_signs_through_twelve_hours_without_its_metadata_service() {
    let world = World::new(metadata);
    let cached = world.cache(InstanceProvider::new(&world.ports));
    world.sign(&cached);
    let before = world.servers.asked().len();
    world.is_down(true);
    // One request a second, of credentials that expire after one hour.
    for _ in 0..12 * 3600 {
        world.hands.advance(SECOND);
        world.sign(&cached);
    }
    // The first question comes 15 minutes before the end; between two lie 5 minutes at least, and of none
    // is there more than one request: what times out or is refused is not tried again.
    let most = (12 * 60 - 45) / 5 + 1;
    let asked = world.servers.asked().len() - before;
    assert!((most / 2..=most).contains(&asked), "{asked} requests, {most} at most");
    println!("{asked} requests in 12 hours without metadata, {most} at most");
    world.is_down(false);
    for _ in 0..10 * 60 {
        world.hands.advance(SECOND);
    }
    world.sign(&cached);
    let fresh = run(cached.provide()).unwrap().unwrap();
    assert_eq!(fresh.expires_at(), Some(world.hands.now() + HOUR));
}

#[test]
fn a_role_is_kept_while_sts_throttles_and_sts_is_asked_little() {
    let world = World::new(role);
    let cached = world.cache(world.role());
    world.sign(&cached);
    world.is_down(true);
    for _ in 0..3 * 3600 {
        world.hands.advance(SECOND);
        world.sign(&cached);
    }
    // As above, and each question is sent three times.
    let most = 3 * ((3 * 60 - 45) / 5 + 1);
    let asked = world.servers.asked().len() - 1;
    assert!(
        asked > 0 && asked <= most && asked.is_multiple_of(3),
        "{asked} requests, {most} at most"
    );
    world.is_down(false);
    world.hands.advance(10 * MINUTE);
    world.sign(&cached);
    let fresh = run(cached.provide()).unwrap().unwrap();
    assert!(fresh.expires_at().unwrap() > world.hands.now() + 59 * MINUTE);
}

#[test]
fn what_sts_refuses_is_told_in_the_forms_of_other_servers_too() {
    let error = "<Error><Code>AccessDenied</Code><Message>no cats</Message></Error>";
    for form in [
        format!("<ErrorResponse>{error}</ErrorResponse>"),
        format!("<ErrorResponse><Errors>{error}</Errors></ErrorResponse>"),
        error.to_owned(),
    ] {
        let world = World::new(move |_, _| answer(403, form.clone()));
        let error = run(world.role().provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Refused);
        assert!(error.to_string().ends_with("failed: AccessDenied: no cats"), "{error}");
        assert_eq!(world.servers.asked().len(), 1);
    }
}

#[test]
fn a_web_identity_s_token_that_rotates_is_the_new_one_at_each_refresh() {
    let world = World::new(role);
    let sts = Sts::new(&world.ports).with_region("eu-west-1");
    let cached =
        world.cache(WebIdentityProvider::of_file(&world.ports, ROLE, "/token").with_sts(sts));
    for turn in 0..5 {
        world.disk.put("/token", format!("token-of-turn-{turn}"));
        for _ in 0..10 {
            world.sign(&cached);
        }
        world.hands.advance(46 * MINUTE);
    }
    let sent: Vec<_> =
        world.servers.take().into_iter().map(|(request, _)| request.into_body()).collect();
    assert_eq!(sent.len(), 5);
    for (turn, body) in sent.iter().enumerate() {
        let token = format!("WebIdentityToken=token-of-turn-{turn}");
        assert!(str::from_utf8(body).unwrap().contains(&token), "{turn}");
    }
}

#[test]
fn a_web_identity_whose_file_is_gone_for_a_while_keeps_its_role() {
    let world = World::new(role);
    world.disk.put("/token", "token");
    let sts = Sts::new(&world.ports).with_region("eu-west-1");
    let cached =
        world.cache(WebIdentityProvider::of_file(&world.ports, ROLE, "/token").with_sts(sts));
    world.sign(&cached);
    world.disk.remove("/token");
    world.hands.advance(2 * HOUR);
    world.sign(&cached);
    assert_eq!(world.servers.asked().len(), 1);
    world.disk.put("/token", "token");
    world.hands.advance(10 * MINUTE);
    world.sign(&cached);
    assert_eq!(world.servers.asked().len(), 2);
}

#[test]
fn a_thousand_callers_at_the_start_cost_one_request() {
    let world = World::new(agent);
    let slow = world.ports.clone().with_http(Slow(world.servers.clone()));
    let cached = world.cache(ContainerProvider::new(&slow));
    run(async {
        let callers = (0..1000).map(|_| cached.provide());
        for credentials in futures_util::future::join_all(callers).await {
            assert_eq!(credentials.unwrap().unwrap().access_key_id(), "ASIA");
        }
    });
    assert_eq!(world.servers.asked().len(), 1);
}

#[test]
fn a_thousand_callers_in_threads_cost_one_request() {
    let world = World::new(agent);
    let slow = world.ports.clone().with_http(Slow(world.servers.clone()));
    let cached = world.cache(ContainerProvider::new(&slow));
    let start = Barrier::new(20);
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                start.wait();
                let callers = (0..50).map(|_| cached.provide());
                run(async {
                    for credentials in futures_util::future::join_all(callers).await {
                        assert!(credentials.unwrap().is_some());
                    }
                });
            });
        }
    });
    assert_eq!(world.servers.asked().len(), 1);
}

#[test]
fn a_caller_who_goes_away_in_the_middle_of_a_refresh_leaves_it_to_the_next() {
    let world = World::new(agent);
    let slow = world.ports.clone().with_http(Slow(world.servers.clone()));
    let cached = world.cache(ContainerProvider::new(&slow));
    for turn in 1..4 {
        run(async {
            let mut first = cached.provide();
            let mut context = Context::from_waker(Waker::noop());
            assert!(first.as_mut().poll(&mut context).is_pending());
            drop(first);
            assert!(cached.provide().await.unwrap().is_some());
        });
        assert_eq!(world.servers.asked().len(), turn);
        world.hands.advance(HOUR);
    }
}

#[test]
fn a_secret_that_a_process_rotates_is_used_from_when_the_old_one_ends() {
    let world = World::new(agent);
    let turn = Arc::new(AtomicUsize::new(0));
    let (runs, clock) = (turn.clone(), world.hands.clone());
    let print = move |_: &str| {
        let turn = runs.fetch_add(1, Ordering::Relaxed);
        let printed = json!({"Version": 1, "AccessKeyId": "AKID", "Expiration": end(&clock, HOUR),
            "SecretAccessKey": format!("secret-{turn}")});
        Ok(CommandOutput::success(printed.to_string().into_bytes()))
    };
    let cached =
        world.cache(ProcessProvider::new(&world.ports.clone().with_commands(print), "print"));
    let secret = || run(cached.provide()).unwrap().unwrap().secret_access_key().to_owned();
    for expected in ["secret-0", "secret-1", "secret-2"] {
        for _ in 0..59 {
            assert_eq!(secret(), expected);
            world.hands.advance(MINUTE);
        }
        assert_eq!(secret(), expected);
        world.hands.advance(MINUTE);
    }
    assert_eq!(turn.load(Ordering::Relaxed), 3);
    // One that is revoked before its end is replaced when a service refuses it.
    assert_eq!(secret(), "secret-3");
    cached.invalidate("AKID");
    assert_eq!(secret(), "secret-4");
}

#[test]
fn an_agent_that_gives_what_has_expired_is_one_that_fails() {
    let world = World::new(agent);
    let cached = world.cache(ContainerProvider::new(&world.ports));
    world.sign(&cached);
    // It goes on to give what it gave at first.
    let stale = agent_until(&end(&world.hands, HOUR));
    world.hands.advance(2 * HOUR);
    world.servers_say(move |_, _| answer(200, stale.clone()));
    for _ in 0..299 {
        world.sign(&cached);
        world.hands.advance(SECOND);
    }
    assert_eq!(world.servers.asked().len(), 2);
    world.servers_say(agent);
    world.hands.advance(6 * MINUTE);
    world.sign(&cached);
    let fresh = run(cached.provide()).unwrap().unwrap();
    assert_eq!(fresh.expires_at(), Some(world.hands.now() + HOUR));
}

#[test]
fn two_processes_that_renew_one_sso_session_leave_it_whole_and_both_have_a_token() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".aws/sso/cache/8ebf601f8b808c32b8d2fb570c2e0fbdbb388add.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let hands = Hands::at(at("20150830T123600Z"));
    let session = json!({"accessToken": "token-0", "expiresAt": end(&hands, 4 * MINUTE),
        "refreshToken": "refresh-0", "clientId": "client", "clientSecret": "secret",
        "registrationExpiresAt": "2015-12-30T12:36:00Z", "added": {"by": "others"}});
    fs::write(&path, session.to_string()).unwrap();
    // A service that takes each refresh token once.
    let turn = Arc::new(Mutex::new(0));
    let count = turn.clone();
    let servers = Servers::answering(move |request: &Request<Bytes>| {
        let mut turn = count.lock().unwrap();
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        if body["refreshToken"] != format!("refresh-{turn}") {
            return answer(400, json!({"error": "invalid_grant"}).to_string());
        }
        *turn += 1;
        let granted = json!({"accessToken": format!("token-{turn}"), "expiresIn": 600,
            "refreshToken": format!("refresh-{turn}"), "tokenType": "Bearer"});
        answer(200, granted.to_string())
    });
    // Real files; nothing but them is shared.
    let process = || {
        let home = home.path().to_str().unwrap().to_owned();
        let ports = Ports::system()
            .with_env(HashMap::from([("HOME".to_owned(), home)]))
            .with_clock(hands.clone())
            .with_http(Slow(servers.clone()));
        let settings = SsoSettings::new("eu-west-1", "https://cats.awsapps.com/start");
        SsoTokenProvider::new(&ports, settings.with_session("cats"))
    };
    let processes = [process(), process()];
    for round in 1..=25 {
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for process in &processes {
                scope.spawn(|| {
                    start.wait();
                    let token = run(process.provide_token()).unwrap().unwrap();
                    assert!(token.expires_at().unwrap() > hands.now(), "round {round}");
                });
            }
        });
        let turn = *turn.lock().unwrap();
        assert!(turn >= round, "somebody renews in each round");
        let held: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(held["refreshToken"], format!("refresh-{turn}"), "the last one is kept");
        assert_eq!(held["accessToken"], format!("token-{turn}"));
        assert_eq!(held["added"], session["added"]);
        assert_eq!(files_in(path.parent().unwrap()), 1, "no file is left over");
        hands.advance(6 * MINUTE);
    }
}

fn files_in(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

// The world around.

type Answer = Result<Response<Bytes>, HttpError>;

type Serve = Box<dyn Fn(&Request<Bytes>, &Hands) -> Answer + Send>;

/// A machine with one service, which can be down.
struct World {
    ports: Ports,
    hands: Hands,
    disk: Disk,
    servers: Servers,
    is_down: Arc<AtomicBool>,
    serve: Arc<Mutex<Serve>>,
}

impl World {
    fn new(serve: impl Fn(&Request<Bytes>, &Hands) -> Answer + Send + 'static) -> World {
        let hands = Hands::at(at("20150830T123600Z"));
        let is_down = Arc::new(AtomicBool::new(false));
        let serve: Arc<Mutex<Serve>> = Arc::new(Mutex::new(Box::new(serve)));
        let (clock, down, now) = (hands.clone(), is_down.clone(), serve.clone());
        let servers = Servers::answering(move |request| match down.load(Ordering::Relaxed) {
            true if request.uri().host() == Some("sts.eu-west-1.amazonaws.com") => answer(
                400,
                "<ErrorResponse><Error><Code>Throttling</Code><Message>slower</Message></Error></ErrorResponse>",
            ),
            true => refused(),
            false => (now.lock().unwrap())(request, &clock),
        });
        let disk = Disk::default();
        let variables = [("HOME", "/home/cat"), ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/")];
        let chance = AtomicUsize::new(0);
        let ports = ports(&variables)
            .with_files(disk.clone())
            .with_clock(hands.clone())
            .with_platform(Platform::Unix)
            .with_http(servers.clone())
            // Some chance or other, the same each time.
            .with_random(move |bytes: &mut [u8]| {
                let count = chance.fetch_add(1, Ordering::Relaxed) as u8;
                bytes.fill(count.wrapping_mul(37));
            });
        World { ports, hands, disk, servers, is_down, serve }
    }

    fn cache(&self, provider: impl ProvideCredentials + 'static) -> Cached {
        Cached::new(provider, &self.ports)
    }

    fn role(&self) -> AssumeRoleProvider {
        let base = Credentials::new("AKID", "secret");
        let sts = Sts::new(&self.ports).with_region("eu-west-1");
        AssumeRoleProvider::new(&self.ports, base, AssumeRole::new(ROLE)).with_sts(sts)
    }

    fn is_down(&self, yes: bool) {
        self.is_down.store(yes, Ordering::Relaxed);
    }

    fn servers_say(&self, serve: impl Fn(&Request<Bytes>, &Hands) -> Answer + Send + 'static) {
        *self.serve.lock().unwrap() = Box::new(serve);
    }

    /// Signs a request, as a program would.
    fn sign(&self, cached: &Cached) {
        let credentials = run(cached.provide()).unwrap().unwrap();
        let mut request = Request::get("https://sqs.eu-west-1.amazonaws.com/").body(()).unwrap();
        let signer = Signer::new("eu-west-1", "sqs");
        signer.sign(&mut request, Payload::EMPTY, &credentials, self.hands.now()).unwrap();
    }
}

fn metadata(request: &Request<Bytes>, hands: &Hands) -> Answer {
    match request.uri().path() {
        "/latest/api/token" => {
            let response =
                Response::builder().header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
            Ok(response.body("token".into()).unwrap())
        }
        path if path.ends_with('/') => answer(200, "role"),
        _ => agent(request, hands),
    }
}

fn agent(_: &Request<Bytes>, hands: &Hands) -> Answer {
    answer(200, agent_until(&end(hands, HOUR)))
}

fn agent_until(until: &str) -> String {
    json!({"Code": "Success", "AccessKeyId": "ASIA", "SecretAccessKey": "secret", "Token": "token",
        "Expiration": until})
    .to_string()
}

fn role(request: &Request<Bytes>, hands: &Hands) -> Answer {
    let body = str::from_utf8(request.body()).unwrap();
    let action = body.strip_prefix("Action=").unwrap().split('&').next().unwrap();
    let until = end(hands, HOUR);
    answer(
        200,
        format!(
            "<{action}Response><{action}Result><Credentials><AccessKeyId>ASIA</AccessKeyId>\
             <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
             <Expiration>{until}</Expiration></Credentials></{action}Result></{action}Response>"
        ),
    )
}

/// The moment that is this far off.
fn end(hands: &Hands, from_now: Duration) -> String {
    Timestamp::try_from(hands.now() + from_now).unwrap().to_string()
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const ROLE: &str = "arn:aws:iam::123456789012:role/audit";
