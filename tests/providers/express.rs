//! S3 Express: what a session is asked for with, when, and by whom.

use std::{
    collections::VecDeque,
    future::{poll_fn, ready},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use countersign::{
    Credentials, Payload, Scratch, Signer, SigningKey,
    providers::{
        BoxFuture, Chain, HttpClient, HttpError, HttpErrorKind, HttpLimits, Ports,
        ProvideCredentials, ProviderError, ProviderErrorKind, S3ExpressSessions,
    },
    verify::{Known, Verifier},
};
use http::{Request, Response};
use proptest::prelude::*;

use super::world::{Hands, Servers, answer, chain_of, head_of, refused, run};
use crate::support::at;

#[test]
fn a_session_is_asked_for_with_ones_own_credentials() {
    let world = World::answering([granted(1)]);
    let session = run(world.sessions().session(HOST, REGION)).unwrap();
    assert_eq!(session.access_key_id(), "ASIASESSION1");
    assert_eq!(session.secret_access_key(), "hush/session");
    assert_eq!(session.session_token(), Some("whisper&session"));
    assert_eq!(session.expires_at(), Some(at("20150830T124100Z")));
    assert!(session.is_s3_express_session());
    assert!(!session.has_static_stability());
    let (request, limits) = world.servers.take().remove(0);
    assert_eq!(request.method(), "GET");
    assert_eq!(request.uri().to_string(), format!("https://{HOST}/?session"));
    assert!(!request.headers().contains_key("x-amz-create-session-mode"));
    assert_eq!(limits.total, Duration::from_secs(15));
    let verifier = Verifier::new().with_region(REGION).with_services(["s3express"]);
    let claim = verifier.claim(head_of(&request), at("20150830T123600Z")).unwrap();
    assert_eq!(claim.access_key_id(), "AKIDBASE");
    let key = SigningKey::derive("hush", &claim.scope());
    let known = Known::new(&key).with_session_token("whisper-base");
    let (verified, _) =
        claim.verify(Some(known), Some(Payload::EMPTY), &mut Scratch::new()).unwrap();
    assert!(verified.signed_headers().any(|name| name == "x-amz-security-token"));
}

#[test]
fn a_session_may_be_for_reading_alone() {
    let world = World::answering([granted(1)]);
    let sessions = world.sessions().with_read_only(true).with_timeout(Duration::from_secs(2));
    run(sessions.session(HOST, REGION)).unwrap();
    let (request, limits) = world.servers.take().remove(0);
    assert_eq!(request.headers()["x-amz-create-session-mode"], "ReadOnly");
    let authorization = request.headers()["authorization"].to_str().unwrap();
    assert!(authorization.contains("x-amz-create-session-mode"), "{authorization}");
    assert_eq!((limits.total, limits.connect), (Duration::from_secs(2), Duration::from_secs(2)));
}

#[test]
fn requests_signed_with_a_session_carry_its_token_under_the_name_that_s3_express_knows() {
    let world = World::answering([granted(1)]);
    let session = run(world.sessions().session(HOST, REGION)).unwrap();
    let mut request = Request::get(format!("https://{HOST}/cat.jpg")).body(()).unwrap();
    Signer::new(REGION, "s3express")
        .sign(&mut request, Payload::EMPTY, &session, at("20150830T123600Z"))
        .unwrap();
    assert_eq!(request.headers()["x-amz-s3session-token"], "whisper&session");
    assert!(!request.headers().contains_key("x-amz-security-token"));
    let authorization = request.headers()["authorization"].to_str().unwrap();
    assert!(authorization.contains("x-amz-s3session-token"), "{authorization}");
}

#[test]
fn a_session_is_kept_for_its_bucket_region_and_access_key_id() {
    let world = World::answering([granted(1), granted(2), granted(3), granted(4)]);
    let own = Switch(Arc::new(Mutex::new(base())));
    let sessions = S3ExpressSessions::new(own.clone(), &world.ports);
    let id = |host: &str, region: &str| {
        run(sessions.session(host, region)).unwrap().access_key_id().to_owned()
    };
    for _ in 0..2 {
        assert_eq!(id(HOST, REGION), "ASIASESSION1");
        assert_eq!(id(&HOST.to_ascii_uppercase(), REGION), "ASIASESSION1");
        assert_eq!(id(OTHER_HOST, REGION), "ASIASESSION2");
        assert_eq!(id(HOST, "eu-west-1"), "ASIASESSION3");
    }
    *own.0.lock().unwrap() = Credentials::new("AKIDNEXT", "hush");
    assert_eq!(id(HOST, REGION), "ASIASESSION4");
    *own.0.lock().unwrap() = base();
    assert_eq!(id(HOST, REGION), "ASIASESSION1");
}

#[test]
fn a_session_is_replaced_in_its_last_minute_and_not_before() {
    let world = World::answering([granted(1), granted_until(2, "2015-08-30T12:45:00Z")]);
    let sessions = world.sessions();
    for (time, expected) in [
        ("20150830T123600Z", "ASIASESSION1"),
        ("20150830T123959Z", "ASIASESSION1"),
        ("20150830T124000Z", "ASIASESSION2"),
        ("20150830T124100Z", "ASIASESSION2"),
    ] {
        world.hands.set(at(time));
        assert_eq!(world.id(&sessions).unwrap(), expected, "{time}");
    }
}

#[test]
fn a_failure_ahead_of_time_is_no_harm_and_is_not_repeated_at_once() {
    let answers =
        [granted(1), failure(403, "AccessDenied", "no"), failure(404, "NoSuchBucket", "")];
    let world = World::answering(answers);
    let sessions = world.sessions();
    for (time, asked) in [
        ("20150830T123600Z", 1),
        ("20150830T124001Z", 2),
        ("20150830T124005Z", 2),
        ("20150830T124006Z", 3),
    ] {
        world.hands.set(at(time));
        assert_eq!(world.id(&sessions).unwrap(), "ASIASESSION1", "{time}");
        assert_eq!(world.servers.asked().len(), asked, "{time}");
    }
}

#[test]
fn nobody_goes_on_with_a_session_in_its_last_seconds() {
    let world = World::answering([
        granted(1),
        failure(403, "AccessDenied", "not any more"),
        failure(403, "AccessDenied", "not any more"),
        granted_until(2, "2015-08-30T12:46:00Z"),
    ]);
    let sessions = world.sessions();
    world.id(&sessions).unwrap();
    world.hands.set(at("20150830T124050Z"));
    for _ in 0..2 {
        let error = world.id(&sessions).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Refused);
    }
    assert_eq!(world.id(&sessions).unwrap(), "ASIASESSION2");
}

#[test]
fn all_who_wait_wait_for_one_answer() {
    let gate = Gate::new([granted(1)]);
    let ports = Ports::empty().with_clock(Hands::at(at(START)));
    let sessions = S3ExpressSessions::new(base(), &ports.with_http(gate.clone()));
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..10).map(|_| sessions.session(HOST, REGION)).collect();
    for future in &mut waiting {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    // Whoever asked first goes away; the others drive on.
    drop(waiting.remove(0));
    gate.open();
    for future in waiting {
        assert_eq!(run(future).unwrap().access_key_id(), "ASIASESSION1");
    }
    assert_eq!(gate.servers.asked().len(), 1);
}

#[test]
fn while_one_replaces_a_session_the_others_go_on_with_it() {
    let gate = Gate::new([granted(1), granted_until(2, "2015-08-30T12:46:00Z")]);
    let hands = Hands::at(at(START));
    let ports = Ports::empty().with_clock(hands.clone()).with_http(gate.clone());
    let sessions = S3ExpressSessions::new(base(), &ports);
    let id = || run(sessions.session(HOST, REGION)).unwrap().access_key_id().to_owned();
    gate.open();
    assert_eq!(id(), "ASIASESSION1");
    gate.close();
    hands.set(at("20150830T124030Z"));
    let mut context = Context::from_waker(Waker::noop());
    let mut first = pin!(sessions.session(HOST, REGION));
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert_eq!(id(), "ASIASESSION1");
    gate.open();
    assert_eq!(run(first).unwrap().access_key_id(), "ASIASESSION2");
    assert_eq!(id(), "ASIASESSION2");
    assert_eq!(gate.servers.asked().len(), 2);
}

#[test]
fn a_request_that_all_left_is_begun_anew_by_the_next() {
    let gate = Gate::new([granted(1), granted(2)]);
    let hands = Hands::at(at(START));
    let ports = Ports::empty().with_clock(hands.clone()).with_http(gate.clone());
    let sessions = S3ExpressSessions::new(base(), &ports);
    let mut left = sessions.session(HOST, REGION);
    assert!(left.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(left);
    gate.open();
    hands.set(at("20150830T123900Z"));
    assert_eq!(run(sessions.session(HOST, REGION)).unwrap().access_key_id(), "ASIASESSION2");
    let dates = gate
        .servers
        .take()
        .into_iter()
        .map(|(request, _)| request.headers()["x-amz-date"].to_str().unwrap().to_owned());
    assert_eq!(dates.collect::<Vec<_>>(), [START, "20150830T123900Z"]);
}

#[test]
fn a_session_that_ends_or_is_refused_while_its_successor_fails_is_not_given() {
    for ends in [true, false] {
        let gate = Gate::new([granted(1), failure(403, "AccessDenied", "not any more")]);
        let hands = Hands::at(at(START));
        let ports = Ports::empty().with_clock(hands.clone()).with_http(gate.clone());
        let sessions = S3ExpressSessions::new(base(), &ports);
        gate.open();
        run(sessions.session(HOST, REGION)).unwrap();
        gate.close();
        hands.set(at("20150830T124010Z"));
        let mut next = sessions.session(HOST, REGION);
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        match ends {
            true => hands.set(at("20150830T124055Z")),
            false => sessions.invalidate("ASIASESSION1"),
        }
        gate.open();
        let error = run(next).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::Refused, "{error}");
    }
}

#[test]
fn there_are_no_more_sessions_than_there_is_room_for() {
    let world = World::answering((1..=4).map(granted));
    let sessions = world.sessions().with_capacity(2);
    let id = |host: &str| run(sessions.session(host, REGION)).unwrap().access_key_id().to_owned();
    assert_eq!(id(HOST), "ASIASESSION1");
    assert_eq!(id(OTHER_HOST), "ASIASESSION2");
    assert_eq!(id(HOST), "ASIASESSION1");
    assert_eq!(id("third.example.com"), "ASIASESSION3");
    // The other bucket was not asked for the longest.
    assert_eq!(id(HOST), "ASIASESSION1");
    assert_eq!(id(OTHER_HOST), "ASIASESSION4");
}

#[test]
fn a_session_that_s3_refused_is_asked_for_anew() {
    let world = World::answering([granted(1), granted(2)]);
    let provider = world.sessions().provider(HOST, REGION);
    let id = || run(provider.provide()).unwrap().unwrap().access_key_id().to_owned();
    assert_eq!(id(), "ASIASESSION1");
    provider.invalidate("AKIDBASE");
    assert_eq!(id(), "ASIASESSION1");
    provider.invalidate("ASIASESSION1");
    assert_eq!(id(), "ASIASESSION2");
    assert!(!format!("{provider:?}").contains("hush"), "{provider:?}");
}

#[test]
fn clones_share_their_sessions_and_other_settings_begin_anew() {
    let world = World::answering([granted(1), granted(2)]);
    let sessions = world.sessions();
    assert_eq!(world.id(&sessions).unwrap(), "ASIASESSION1");
    assert_eq!(world.id(&sessions.clone()).unwrap(), "ASIASESSION1");
    assert_eq!(world.id(&sessions.with_read_only(true)).unwrap(), "ASIASESSION2");
}

#[test]
fn what_may_pass_is_asked_three_times_and_the_rest_once() {
    for (failure, kind, count) in [
        (failure(503, "SlowDown", "x"), ProviderErrorKind::Failed, 3),
        (failure(500, "InternalError", "x"), ProviderErrorKind::Failed, 3),
        (failure(400, "RequestTimeout", "x"), ProviderErrorKind::Failed, 3),
        (answer(502, "<html>"), ProviderErrorKind::Failed, 3),
        (failure(403, "AccessDenied", "x"), ProviderErrorKind::Refused, 1),
        (failure(404, "NoSuchBucket", "x"), ProviderErrorKind::InvalidConfiguration, 1),
        (failure(403, "InvalidAccessKeyId", "x"), ProviderErrorKind::InvalidConfiguration, 1),
        (failure(403, "SignatureDoesNotMatch", "x"), ProviderErrorKind::InvalidConfiguration, 1),
        (failure(403, "AllAccessDisabled", "x"), ProviderErrorKind::Failed, 1),
        (failure(403, "RequestTimeTooSkewed", "x"), ProviderErrorKind::Failed, 1),
        (answer(301, ""), ProviderErrorKind::Failed, 1),
        (answer(200, "<html/>"), ProviderErrorKind::Failed, 1),
    ] {
        let failure = failure.unwrap();
        let seen = format!("{failure:?}");
        let again =
            move |_: &Request<Bytes>| answer(failure.status().as_u16(), failure.body().clone());
        let world = World::of(Servers::answering(again));
        let error = world.id(&world.sessions()).unwrap_err();
        assert_eq!(error.kind(), kind, "{seen}: {error}");
        assert_eq!(world.servers.asked().len(), count, "{seen}");
        assert_eq!(world.hands.slept().len(), count - 1, "{seen}");
    }
    for (kind, expected, count) in [
        (HttpErrorKind::TimedOut, ProviderErrorKind::Failed, 3),
        (HttpErrorKind::Failed, ProviderErrorKind::Failed, 3),
        (HttpErrorKind::TooLarge, ProviderErrorKind::Failed, 1),
        (HttpErrorKind::Unavailable, ProviderErrorKind::Unsupported, 1),
    ] {
        let world = World::of(Servers::answering(move |_| Err(HttpError::new(kind, "x"))));
        let error = world.id(&world.sessions()).unwrap_err();
        assert_eq!(error.kind(), expected, "{kind:?}");
        assert_eq!(world.servers.asked().len(), count, "{kind:?}");
    }
}

#[test]
fn a_server_that_is_back_in_time_was_never_away() {
    let world = World::answering([refused(), failure(503, "SlowDown", "x"), granted(1)]);
    assert_eq!(world.id(&world.sessions()).unwrap(), "ASIASESSION1");
}

#[test]
fn an_error_says_what_s3_said_and_no_secret() {
    let world = World::answering([failure(403, "AccessDenied", "not for\u{1b} you")]);
    let error = world.id(&world.sessions()).unwrap_err();
    let expected =
        format!("s3_express: CreateSession for {HOST} failed: AccessDenied: not for\\u{{1b}} you");
    assert_eq!(error.to_string(), expected);
    for secret in ["hush", "whisper-base"] {
        let world = World::answering([failure(403, "AccessDenied", secret)]);
        let error = world.id(&world.sessions()).unwrap_err();
        assert!(!chain_of(&error).contains(secret), "{error}");
    }
}

#[test]
fn credentials_that_s3_calls_expired_are_invalidated_where_they_came_from() {
    for (code, is_stale) in
        [("ExpiredToken", true), ("InvalidToken", true), ("AccessDenied", false)]
    {
        let world = World::answering([failure(400, code, "x")]);
        let noted = Noted::default();
        let sessions = S3ExpressSessions::new(noted.clone(), &world.ports);
        assert!(run(sessions.session(HOST, REGION)).is_err());
        let expected: &[&str] = if is_stale { &["AKIDBASE"] } else { &[] };
        assert_eq!(*noted.0.lock().unwrap(), expected, "{code}");
    }
}

#[test]
fn what_could_not_be_sent_is_not_sent() {
    let world = World::answering([]);
    for host in ["", "a b", "user@host", "host/path", "host?x", "host\u{0}"] {
        let error = run(world.sessions().session(host, REGION)).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{host}: {error}");
    }
    let error = run(world.sessions().session(HOST, "")).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{error}");
    let nobody = S3ExpressSessions::new(Chain::standard(&Ports::empty()), &world.ports);
    let error = run(nobody.session(HOST, REGION)).unwrap_err();
    assert!(error.to_string().contains("no credentials to ask with"), "{error}");
    assert_eq!(world.servers.asked(), [""; 0]);
}

#[test]
fn a_client_that_panics_fails_and_strikes_nobody_else() {
    let world = World::answering([]);
    let panics = AtomicBool::new(true);
    let http = move |_: Request<Bytes>, _: HttpLimits| {
        assert!(!panics.swap(false, Ordering::Relaxed), "the client's own mistake");
        granted(1)
    };
    let sessions = S3ExpressSessions::new(base(), &world.ports.clone().with_http(http));
    let error = world.id(&sessions).unwrap_err();
    assert!(error.to_string().contains("the HTTP client panicked"), "{error}");
    assert_eq!(world.id(&sessions).unwrap(), "ASIASESSION1");
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic_or_repeat_it(status in 100_u16..600, body in ".{0,200}") {
        let body = format!("{body}hush");
        let answers = [(); 3].map(|()| answer(status, body.clone()));
        let world = World::answering(answers);
        let error = world.id(&world.sessions()).unwrap_err();
        prop_assert!(!chain_of(&error).contains("hush"), "{error}");
    }
}

type Answer = Result<Response<Bytes>, HttpError>;

/// An S3 that answers these in turn.
struct World {
    hands: Hands,
    servers: Servers,
    ports: Ports,
}

impl World {
    fn answering(answers: impl IntoIterator<Item = Answer>) -> World {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        World::of(Servers::answering(move |_| answers.pop_front().expect("no more is asked")))
    }

    fn of(servers: Servers) -> World {
        let hands = Hands::at(at(START));
        let ports = Ports::empty()
            .with_clock(hands.clone())
            .with_http(servers.clone())
            .with_random(|bytes: &mut [u8]| bytes.fill(0x2a));
        World { hands, servers, ports }
    }

    fn sessions(&self) -> S3ExpressSessions {
        S3ExpressSessions::new(base(), &self.ports)
    }

    fn id(&self, sessions: &S3ExpressSessions) -> Result<String, ProviderError> {
        let session = run(sessions.session(HOST, REGION))?;
        Ok(session.access_key_id().to_owned())
    }
}

/// Servers behind a gate: as long as it is closed, no answer gets through.
#[derive(Clone)]
struct Gate {
    servers: Servers,
    is_open: Arc<AtomicBool>,
}

impl Gate {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Gate {
        let servers = World::answering(answers).servers;
        Gate { servers, is_open: Arc::default() }
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }
}

impl HttpClient for Gate {
    fn send(&self, request: Request<Bytes>, limits: HttpLimits) -> BoxFuture<'_, Answer> {
        let mut answer = self.servers.send(request, limits);
        Box::pin(poll_fn(move |context| match self.is_open.load(Ordering::Relaxed) {
            true => answer.as_mut().poll(context),
            false => Poll::Pending,
        }))
    }
}

/// Credentials that a test changes.
#[derive(Clone, Debug)]
struct Switch(Arc<Mutex<Credentials>>);

impl ProvideCredentials for Switch {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(ready(Ok(Some(self.0.lock().unwrap().clone()))))
    }
}

/// A provider that notes what is invalidated.
#[derive(Clone, Debug, Default)]
struct Noted(Arc<Mutex<Vec<String>>>);

impl ProvideCredentials for Noted {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(ready(Ok(Some(base()))))
    }

    fn invalidate(&self, access_key_id: &str) {
        self.0.lock().unwrap().push(access_key_id.to_owned());
    }
}

fn base() -> Credentials {
    Credentials::new("AKIDBASE", "hush").with_session_token("whisper-base")
}

fn granted(number: u32) -> Answer {
    granted_until(number, "2015-08-30T12:41:00Z")
}

fn granted_until(number: u32, end: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <CreateSessionResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Credentials>\
         <SessionToken>whisper&amp;session</SessionToken>\
         <SecretAccessKey>hush/session</SecretAccessKey>\
         <AccessKeyId>ASIASESSION{number}</AccessKeyId><Expiration>{end}</Expiration>\
         </Credentials></CreateSessionResult>"
    );
    answer(200, body)
}

fn failure(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<Error><Code>{code}</Code><Message>{message}</Message><RequestId>1</RequestId></Error>"
    );
    answer(status, body)
}

const HOST: &str = "cats--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com";
const OTHER_HOST: &str = "dogs--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com";
const REGION: &str = "us-east-1";
const START: &str = "20150830T123600Z";
