//! Credentials that are kept, and replaced before they expire.

use std::{
    collections::VecDeque,
    fmt, fs,
    future::{pending, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials, Payload, Signer,
    providers::{
        BoxFuture, Cached, Clock, HttpLimits, Ports, ProvideCredentials, ProviderError,
        ProviderErrorKind,
    },
};
use serde_json::Value;
use tokio::sync::watch;
use tracing::{Event, Metadata, field, span};

use super::world::{Hands, Servers, answer, refused, run};
use crate::support::{at, external_data};

type Answer = Result<Option<Credentials>, ProviderError>;

// What others publish.

#[test]
fn refreshes_go_as_all_sdks_agreed() {
    let Some(data) = external_data("the refreshes of credentials") else {
        return;
    };
    let path = "credentials/smithy-rs-feature-consistent-credentials-refresh";
    let path = data.with_file_name(path).join("credential-refresh-tests.json");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mut steps = 0;
    for case in &cases {
        steps += run_case(case);
    }
    println!("{} cases with {steps} steps", cases.len());
    assert_eq!((cases.len(), steps), (24, 46));
}

fn run_case(case: &Value) -> usize {
    let name = case["documentation"].as_str().unwrap();
    let given = &case["given"];
    for key in given.as_object().unwrap().keys() {
        let known = [
            "cachedCredentials",
            "accessKeyId",
            "refreshBackoffSeconds",
            "configuredAdvisoryWindowSeconds",
        ];
        assert!(known.contains(&&**key), "{name}: {key}");
    }
    let seconds = |value: &Value| value.as_u64().map(Duration::from_secs);
    let backoff = seconds(&given["refreshBackoffSeconds"]).unwrap_or(Duration::from_secs(300));
    let mut world = World::with_backoff(backoff);
    if let Some(window) = seconds(&given["configuredAdvisoryWindowSeconds"]) {
        world.cached = world.cached.with_advisory_window(window);
    }
    let mut id = given["accessKeyId"].as_str().unwrap_or("AKID-GIVEN").to_owned();
    let ahead = match given["cachedCredentials"].as_str().unwrap() {
        "none" => None,
        "valid" => Some(Duration::ZERO),
        "advisory" => Some(61 * MINUTE),
        "mandatory" => Some(2 * HOUR - Duration::from_secs(30)),
        "expired" => Some(2 * HOUR + MINUTE),
        other => panic!("{name}: {other}"),
    };
    if let Some(ahead) = ahead {
        world.source.say(Ok(Some(world.living(&id, 2 * HOUR))));
        assert_eq!(world.id(), id, "{name}");
        world.hands.advance(ahead);
    }
    let mut failed_at = None;
    let steps = case["steps"].as_array().unwrap();
    for (number, step) in steps.iter().enumerate() {
        let place = format!("{name}: step {number}");
        match step["type"].as_str().unwrap() {
            "advanceTime" => {
                world.hands.advance(seconds(&step["seconds"]).unwrap());
                continue;
            }
            "invalidate" => {
                world.cached.invalidate(step["rejectedAccessKeyId"].as_str().unwrap());
                continue;
            }
            "getCredentials" => {}
            other => panic!("{place}: {other}"),
        }
        let new = format!("AKID-NEW-{number}");
        let life = seconds(&step["lifetimeSeconds"]).unwrap_or(2 * HOUR);
        if let Some(response) = step["response"].as_str() {
            world.source.say(match response {
                "freshCredentials" => Ok(Some(world.living(&new, life))),
                "staleCredentials" => Ok(Some(world.living("AKID-STALE", Duration::ZERO))),
                "error" => Err(failed()),
                "nonRecoverableError" => Err(refusal()),
                other => panic!("{place}: {other}"),
            });
        }
        let expected = &step["expected"];
        let before = world.source.count();
        match (expected["result"].as_str().unwrap(), world.provide()) {
            ("newCredentials", Ok(Some(found))) => {
                assert_eq!(found.access_key_id(), new, "{place}");
                id = new;
            }
            ("cachedCredentials", Ok(Some(found))) => {
                assert_eq!(found.access_key_id(), id, "{place}");
            }
            ("noCredentialsError", Err(error)) => {
                assert_eq!(error.kind(), ProviderErrorKind::Failed, "{place}");
            }
            ("nonRecoverableError", Err(error)) => {
                assert_eq!(error.kind(), ProviderErrorKind::Refused, "{place}");
            }
            (expected, found) => panic!("{place}: {expected}, but {found:?}"),
        }
        let is_asked = world.source.count() > before;
        assert_eq!(is_asked, expected["sourceContacted"].as_bool().unwrap(), "{place}");
        if is_asked && matches!(step["response"].as_str(), Some("error" | "staleCredentials")) {
            failed_at = Some(world.hands.now());
        }
        let next = world.cached.next_refresh();
        let is_limited = !is_asked && failed_at.is_some_and(|at| next == Some(at + backoff));
        assert_eq!(is_limited, expected["rateLimited"].as_bool().unwrap(), "{place}");
        if let Some(window) = seconds(&expected["advisoryWindowSeconds"]) {
            assert_eq!(next, Some(world.hands.now() + life - window), "{place}");
        }
    }
    steps.len()
}

// When the source fails.

#[test]
fn twelve_hours_without_metadata_stop_no_signing_and_cost_few_requests() {
    let hands = Hands::at(at("20150830T123600Z"));
    let is_down = Arc::new(AtomicUsize::new(0));
    let (clock, down) = (hands.clone(), is_down.clone());
    let servers = Servers::answering(move |_| match down.load(Ordering::Relaxed) {
        0 => answer(200, seconds_since_1970(clock.now() + HOUR).to_string()),
        _ => refused(),
    });
    let ports = Ports::empty()
        .with_clock(hands.clone())
        .with_http(servers.clone())
        .with_random(counting_chance());
    let cached = Cached::new(FromMetadata(ports.clone()), &ports);
    let sign = || {
        let credentials = run(cached.provide()).unwrap().unwrap();
        let mut request =
            http::Request::get("https://sqs.eu-west-1.amazonaws.com/").body(()).unwrap();
        let signer = Signer::new("eu-west-1", "sqs");
        signer.sign(&mut request, Payload::EMPTY, &credentials, hands.now()).unwrap();
    };
    sign();
    is_down.store(1, Ordering::Relaxed);
    let step = Duration::from_secs(10);
    for _ in 0..12 * 360 {
        hands.advance(step);
        sign();
    }
    // The first fails 15 minutes before the expiry, 45 after the start; then one in 5 to 10 minutes,
    // the latter rounded up to when somebody asks.
    let outage = (12 * HOUR - 45 * MINUTE).as_secs();
    let failures = servers.asked().len() as u64 - 1;
    assert!(failures <= outage / 300 + 1, "{failures} requests");
    assert!(failures > outage / 610, "{failures} requests");
    println!("{failures} requests in 12 hours, {} at most", outage / 300 + 1);
    is_down.store(0, Ordering::Relaxed);
    for _ in 0..60 {
        hands.advance(step);
        sign();
    }
    let fresh = run(cached.provide()).unwrap().unwrap();
    assert!(fresh.expires_at().unwrap() > hands.now() + 49 * MINUTE, "it recovers in 10 minutes");
}

#[test]
fn a_source_that_throttles_is_asked_once_in_a_pause() {
    let world = World::new();
    world.load(2 * HOUR);
    world.hands.advance(3 * HOUR);
    for _ in 0..3 {
        world.source.say(Err(ProviderError::new("test", ProviderErrorKind::Failed, "Throttling")));
        let before = world.source.count();
        for _ in 0..1000 {
            assert_eq!(world.id(), "AKID");
        }
        assert_eq!(world.source.count(), before + 1);
        world.hands.advance(5 * MINUTE);
    }
}

#[test]
fn a_first_load_that_fails_is_tried_again_by_the_next_caller() {
    let world = World::new();
    for _ in 0..3 {
        world.source.say(Err(failed()));
        assert_eq!(world.provide().unwrap_err().kind(), ProviderErrorKind::Failed);
    }
    world.load(HOUR);
    assert_eq!(world.source.count(), 4);
}

#[test]
fn a_first_load_of_expired_credentials_is_a_failure() {
    let world = World::new();
    world.source.say(Ok(Some(world.living("AKID", Duration::ZERO))));
    let error = world.provide().unwrap_err().to_string();
    assert!(error.contains("gave credentials that expired 0 seconds ago"), "{error}");
}

#[test]
fn a_refusal_is_said_again_for_some_seconds_and_never_for_ever() {
    let world = World::with_backoff(Duration::from_secs(599));
    for _ in 0..3 {
        world.source.say(Err(refusal()));
        let before = world.source.count();
        for _ in 0..100 {
            assert_eq!(world.provide().unwrap_err().kind(), ProviderErrorKind::Refused);
        }
        assert_eq!(world.source.count(), before + 1);
        world.hands.advance(Duration::from_secs(5));
    }
    world.load(HOUR);
}

#[test]
fn nothing_but_a_refusal_takes_credentials_away_that_work() {
    use ProviderErrorKind::{Failed, InvalidConfiguration, MissingProfile, Refused, Unsupported};

    for kind in [Failed, InvalidConfiguration, MissingProfile, Refused, Unsupported] {
        let world = World::new();
        world.load(2 * HOUR);
        world.hands.advance(2 * HOUR - MINUTE);
        world.source.say(Err(ProviderError::new("test", kind, "half of a file")));
        let next = match world.provide() {
            Ok(kept) => {
                assert_eq!(kept.unwrap().access_key_id(), "AKID", "{kind}");
                5 * MINUTE
            }
            Err(error) => {
                assert_eq!(error.kind(), Refused);
                Duration::from_secs(1)
            }
        };
        assert_eq!(kind == Refused, next < MINUTE, "{kind}");
        assert_eq!(world.cached.next_refresh(), Some(world.hands.now() + next), "{kind}");
    }
}

#[test]
fn credentials_that_are_over_or_rejected_outlive_a_failure_alone() {
    use ProviderErrorKind::{Failed, InvalidConfiguration, MissingProfile, Refused, Unsupported};

    for kind in [Failed, InvalidConfiguration, MissingProfile, Refused, Unsupported] {
        for is_rejected in [false, true] {
            let world = World::new();
            world.load(2 * HOUR);
            match is_rejected {
                true => world.cached.invalidate("AKID"),
                false => world.hands.advance(2 * HOUR),
            }
            world.source.say(Err(ProviderError::new("test", kind, "half of a file")));
            let answer = world.provide().map(|kept| kept.unwrap().access_key_id().to_owned());
            match kind {
                Failed => assert_eq!(answer.unwrap(), "AKID"),
                _ => assert_eq!(answer.unwrap_err().kind(), kind),
            }
        }
    }
}

#[test]
fn without_credentials_that_are_better_than_none_only_a_failure_is_not_kept() {
    use ProviderErrorKind::{Failed, InvalidConfiguration, MissingProfile, Refused, Unsupported};

    for kind in [Failed, InvalidConfiguration, MissingProfile, Refused, Unsupported] {
        let world = World::new();
        world.source.say(Ok(Some(world.living("AKID", HOUR).with_static_stability(false))));
        assert_eq!(world.id(), "AKID");
        world.hands.advance(HOUR);
        world.source.say(Err(ProviderError::new("test", kind, "half of a file")));
        assert_eq!(world.provide().unwrap_err().kind(), kind);
        let pause = Duration::from_secs(if kind == Failed { 0 } else { 1 });
        let next = world.cached.next_refresh().unwrap();
        assert_eq!(next.max(world.hands.now()), world.hands.now() + pause, "{kind}");
    }
}

#[test]
fn a_source_that_is_gone_is_one_that_fails() {
    let world = World::new();
    world.load(2 * HOUR);
    world.hands.advance(3 * HOUR);
    world.source.say(Ok(None));
    assert_eq!(world.id(), "AKID");
    assert_eq!(world.cached.next_refresh(), Some(world.hands.now() + 5 * MINUTE));
}

#[test]
fn where_nothing_is_configured_nothing_is_kept() {
    let world = World::new();
    for _ in 0..2 {
        world.source.say(Ok(None));
        assert!(world.provide().unwrap().is_none());
    }
    world.load(HOUR);
}

#[test]
fn a_provider_that_panics_has_failed_and_is_asked_again() {
    let world = World::new();
    assert!(world.provide().unwrap_err().to_string().contains("panicked"), "nothing was said");
    world.load(2 * HOUR);
    world.hands.advance(3 * HOUR);
    assert_eq!(world.id(), "AKID");
}

#[test]
fn a_failed_refresh_warns_without_telling_secrets() {
    let world = World::with_backoff(Duration::from_secs(420));
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        world.load(2 * HOUR);
        world.hands.advance(3 * HOUR);
        let cause = std::io::Error::other("connection refused");
        world.source.say(Err(failed().with_source(cause)));
        assert_eq!(world.id(), "AKID");
    });
    let lines = log.lines().join("\n");
    let warning = "WARN Credential refresh failed: test: no answer: connection refused. The SDK will \
                   continue using cached credentials. A refresh of these credentials will be \
                   attempted again after 420 seconds.";
    assert!(lines.contains(warning), "{lines}");
    let shown = format!("{lines}{:?}", world.cached);
    assert!(!shown.contains("hush") && !shown.contains("whisper"), "{shown}");
}

// The clock.

#[test]
fn a_clock_set_back_ends_a_pause() {
    let world = World::new();
    world.load(2 * HOUR);
    world.hands.advance(3 * HOUR);
    world.source.say(Err(failed()));
    assert_eq!(world.id(), "AKID");
    world.hands.set(world.hands.now() - 61 * MINUTE);
    world.source.say(Err(refusal()));
    assert!(world.provide().is_err(), "it is asked, for one minute is left");
    world.hands.set(world.hands.now() - Duration::from_secs(1));
    world.source.say(Ok(Some(world.living("AKID-NEW", HOUR))));
    assert_eq!(world.id(), "AKID-NEW");
}

#[test]
fn a_clock_set_back_makes_credentials_live_longer_and_no_more() {
    let world = World::new();
    world.load(2 * HOUR);
    world.hands.set(world.hands.now() - 24 * HOUR);
    assert_eq!(world.id(), "AKID");
    world.cached.invalidate("AKID");
    world.source.say(Ok(Some(world.living("AKID-NEW", HOUR))));
    assert_eq!(world.id(), "AKID-NEW");
    assert_eq!(world.source.count(), 2);
}

#[test]
fn undated_credentials_are_kept_for_ever() {
    let world = World::new();
    world.source.say(Ok(Some(Credentials::new("AKID", "hush"))));
    assert_eq!(world.id(), "AKID");
    world.hands.advance(100 * 365 * 24 * HOUR);
    assert_eq!(world.id(), "AKID");
    assert_eq!(world.cached.next_refresh(), None);
    assert_eq!(world.source.count(), 1);
}

#[test]
fn short_lives_are_not_asked_for_at_each_call() {
    let world = World::new();
    world.load(4 * MINUTE);
    assert_eq!(world.cached.next_refresh(), Some(world.hands.now() + MINUTE));
    world.hands.advance(Duration::from_secs(59));
    assert_eq!(world.id(), "AKID");
    assert_eq!(world.source.count(), 1);
}

// Credentials that somebody else renews.

#[test]
fn credentials_without_stability_are_asked_for_in_their_last_ten_seconds() {
    let world = World::new();
    world.source.say(Ok(Some(world.living("AKID", HOUR).with_static_stability(false))));
    assert_eq!(world.id(), "AKID");
    world.hands.advance(HOUR - Duration::from_secs(11));
    assert_eq!((world.id(), world.source.count()), ("AKID".to_owned(), 1));
    world.hands.advance(Duration::from_secs(1));
    for _ in 0..2 {
        world.source.say(Err(failed()));
        assert_eq!(world.provide().unwrap_err().kind(), ProviderErrorKind::Failed);
    }
    let expired = world.living("AKID-EXPIRED", Duration::ZERO).with_static_stability(false);
    world.source.say(Ok(Some(expired)));
    assert_eq!(world.id(), "AKID-EXPIRED");
    assert_eq!(world.source.count(), 4);
}

#[test]
fn a_secret_that_a_process_rotated_is_fetched_once_the_old_one_is_refused() {
    let world = World::new();
    world.source.say(Ok(Some(Credentials::new("AKID", "hush"))));
    assert_eq!(world.provide().unwrap().unwrap().secret_access_key(), "hush");
    world.source.say(Ok(Some(Credentials::new("AKID", "rotated"))));
    assert_eq!(world.provide().unwrap().unwrap().secret_access_key(), "hush");
    world.cached.invalidate("AKID-OTHER");
    assert_eq!(world.provide().unwrap().unwrap().secret_access_key(), "hush");
    world.cached.invalidate("AKID");
    for _ in 0..2 {
        assert_eq!(world.provide().unwrap().unwrap().secret_access_key(), "rotated");
    }
    assert_eq!(world.source.count(), 2);
    assert_eq!(world.source.invalidated(), ["AKID-OTHER", "AKID"]);
}

// Many callers.

#[test]
fn a_thousand_callers_at_the_start_make_one_request() {
    let (gate, asked, cached) = gated(None);
    run(async {
        let mut callers: Vec<_> = (0..1000).map(|_| cached.provide()).collect();
        for caller in &mut callers {
            assert!(poll(caller).is_pending());
        }
        gate.send_replace(true);
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().access_key_id(), "AKID");
        }
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_thousand_threads_at_the_start_make_one_request() {
    let (gate, asked, cached) = gated(None);
    let waiting = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..1000 {
            let ask = || {
                let mut caller = cached.provide();
                assert!(poll(&mut caller).is_pending());
                if waiting.fetch_add(1, Ordering::Relaxed) == 999 {
                    gate.send_replace(true);
                }
                assert_eq!(run(caller).unwrap().unwrap().access_key_id(), "AKID");
            };
            thread::Builder::new().stack_size(1 << 19).spawn_scoped(scope, ask).unwrap();
        }
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn threads_that_come_and_go_while_credentials_expire_ask_once_for_each() {
    let hands = Hands::at(at("20150830T123600Z"));
    let ports = Ports::empty().with_clock(hands.clone());
    let asked = Arc::new(AtomicUsize::new(0));
    let cached = Cached::new(Counting(hands.clone(), asked.clone()), &ports);
    let rounds = 50;
    for _ in 0..rounds {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        assert!(run(cached.provide()).unwrap().is_some());
                    }
                });
            }
        });
        hands.advance(2 * HOUR);
    }
    assert_eq!(asked.load(Ordering::Relaxed), rounds);
}

#[test]
fn a_caller_who_goes_away_takes_the_refresh_from_nobody() {
    let (gate, asked, cached) = gated(None);
    run(async {
        let mut first = cached.provide();
        assert!(poll(&mut first).is_pending(), "it drives");
        let second = tokio::join!(
            async {
                let mut second = cached.provide();
                poll_fn(|context| {
                    assert!(second.as_mut().poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
                drop(first);
                gate.send_replace(true);
                second.await
            },
            cached.provide(),
        );
        assert!(second.0.is_ok() && second.1.is_ok());
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_refresh_that_all_left_is_driven_on_by_the_next_caller() {
    let (gate, asked, cached) = gated(None);
    for _ in 0..3 {
        assert!(poll(&mut cached.provide()).is_pending());
    }
    gate.send_replace(true);
    assert!(poll(&mut cached.provide()).is_ready());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn while_one_refreshes_early_the_others_get_what_is_at_hand() {
    let hands = Hands::at(at("20150830T123600Z"));
    let (gate, asked, cached) = gated(Some(hands.clone()));
    gate.send_replace(true);
    let first = run(cached.provide()).unwrap().unwrap();
    gate.send_replace(false);
    hands.advance(61 * MINUTE);
    let mut driver = cached.provide();
    assert!(poll(&mut driver).is_pending());
    let Poll::Ready(Ok(Some(other))) = poll(&mut cached.provide()) else { panic!("it waits") };
    assert_eq!(other.expires_at(), first.expires_at());
    drop(driver);
    let mut heir = cached.provide();
    assert!(poll(&mut heir).is_pending(), "somebody must drive");
    hands.advance(58 * MINUTE + Duration::from_secs(1));
    assert!(poll(&mut cached.provide()).is_pending(), "in the last minute all wait");
    gate.send_replace(true);
    assert!(run(heir).unwrap().unwrap().expires_at() > first.expires_at());
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_refresh_that_was_left_alone_and_fails_is_tried_once_more() {
    let world = World::new();
    world.load(2 * HOUR);
    world.hands.advance(3 * HOUR);
    world.source.hold(true);
    assert!(poll(&mut world.cached.provide()).is_pending());
    world.source.hold(false);
    world.source.say(Err(failed()));
    world.source.say(Ok(Some(world.living("AKID-NEW", HOUR))));
    assert_eq!(world.id(), "AKID-NEW");
    assert_eq!(world.source.count(), 3);

    world.hands.advance(2 * HOUR);
    world.source.hold(true);
    assert!(poll(&mut world.cached.provide()).is_pending());
    world.source.hold(false);
    world.source.say(Err(failed()));
    world.source.say(Err(failed()));
    assert_eq!(world.id(), "AKID-NEW", "and then not again");
    assert_eq!(world.id(), "AKID-NEW");
    assert_eq!(world.source.count(), 5);
}

#[test]
fn readers_pass_while_a_provider_blocks_its_thread() {
    let hands = Hands::at(at("20150830T123600Z"));
    let (entered, is_in) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel();
    let source = Blocking { hands: hands.clone(), entered, may_leave: Mutex::new(may_leave) };
    let cached = Cached::new(source, &Ports::empty().with_clock(hands.clone()));
    leave.send(()).unwrap();
    run(cached.provide()).unwrap().unwrap();
    is_in.recv().unwrap();
    hands.advance(61 * MINUTE);
    thread::scope(|scope| {
        scope.spawn(|| run(cached.provide()).unwrap().unwrap());
        is_in.recv().unwrap();
        // That thread now sits in the middle of a poll.
        for _ in 0..100 {
            assert!(poll(&mut cached.provide()).is_ready());
        }
        leave.send(()).unwrap();
    });
}

#[test]
fn clones_share_what_they_keep() {
    let world = World::new();
    world.load(HOUR);
    let clone = world.cached.clone();
    assert_eq!(run(clone.provide()).unwrap().unwrap().access_key_id(), "AKID");
    assert_eq!(world.source.count(), 1);
}

// In the background.

#[test]
fn a_refresher_loads_at_once_and_again_in_time() {
    let (time, ports) = Time::new();
    let world = World::over(ports, time.0.borrow().to_owned());
    let mut refresher = Box::pin(world.cached.refresher());
    world.source.say(Ok(Some(time.living("AKID", 2 * HOUR))));
    settle(&mut refresher);
    assert_eq!(world.source.count(), 1);
    time.advance(59 * MINUTE);
    settle(&mut refresher);
    assert_eq!(world.source.count(), 1);
    world.source.say(Ok(Some(time.living("AKID-NEW", 2 * HOUR))));
    time.advance(MINUTE);
    settle(&mut refresher);
    assert_eq!(world.source.count(), 2);
    assert_eq!(world.id(), "AKID-NEW");
    world.source.say(Ok(Some(time.living("AKID-NEWER", 2 * HOUR))));
    world.cached.invalidate("AKID-NEW");
    settle(&mut refresher);
    assert_eq!(world.source.count(), 3);
}

#[test]
fn a_refresher_leaves_a_provider_alone_that_gave_nothing() {
    let expired = Credentials::new("AKID", "hush").with_expires_at(SystemTime::UNIX_EPOCH);
    for nothing in [Ok(None), Ok(Some(expired)), Err(failed()), Err(refusal())] {
        let (time, ports) = Time::new();
        let world = World::over(ports, time.0.borrow().to_owned());
        let mut refresher = Box::pin(world.cached.refresher());
        world.source.say(nothing);
        settle(&mut refresher);
        for _ in 0..4 {
            time.advance(MINUTE);
            settle(&mut refresher);
        }
        assert_eq!(world.source.count(), 1);
        world.source.say(Ok(Some(time.living("AKID", 2 * HOUR))));
        time.advance(MINUTE);
        settle(&mut refresher);
        assert_eq!(world.source.count(), 2);
    }
}

#[test]
fn a_refresher_ends_with_its_cache_and_keeps_nothing_alive() {
    for is_asking in [false, true] {
        let (time, ports) = Time::new();
        let world = World::over(ports, time.0.borrow().to_owned());
        let mut refresher = Box::pin(world.cached.refresher());
        match is_asking {
            true => world.source.hold(true),
            false => world.source.say(Ok(Some(time.living("AKID", 2 * HOUR)))),
        }
        settle(&mut refresher);
        drop(world);
        let end = poll(&mut refresher);
        assert!(end.is_ready() || poll(&mut refresher).is_ready(), "asking: {is_asking}");
    }
}

#[test]
fn a_refresher_by_a_clock_that_stands_still_lets_others_on() {
    let world = World::over(Ports::empty(), SystemTime::UNIX_EPOCH);
    world.source.say(Ok(Some(Credentials::new("AKID", "hush"))));
    let mut refresher = Box::pin(world.cached.refresher());
    for _ in 0..100 {
        assert!(poll(&mut refresher).is_pending());
    }
    assert_eq!(world.source.count(), 1);
}

#[test]
fn a_refresher_loads_by_a_clock_that_goes_on_while_it_is_looked_at() {
    // As a real one does. The end of a sleep never comes here, so what loads does so at once.
    #[derive(Clone, Default)]
    struct Going(Arc<AtomicU64>);

    impl Clock for Going {
        fn now(&self) -> SystemTime {
            let looks = self.0.fetch_add(1, Ordering::Relaxed);
            SystemTime::UNIX_EPOCH + Duration::from_nanos(looks)
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
            Box::pin(pending())
        }
    }

    let world = World::over(Ports::empty().with_clock(Going::default()), SystemTime::UNIX_EPOCH);
    world.source.say(Ok(Some(Credentials::new("AKID", "hush"))));
    settle(&mut Box::pin(world.cached.refresher()));
    assert_eq!(world.source.count(), 1);
}

// What stands for the rest of the world.

/// A cache over a source that says what it is told to, by a clock that a test moves.
struct World {
    hands: Hands,
    source: Scripted,
    cached: Cached,
}

impl World {
    fn new() -> World {
        World::with_backoff(5 * MINUTE)
    }

    /// Chance has it that each pause after a failure is this long.
    fn with_backoff(backoff: Duration) -> World {
        let part = u128::from((backoff - 5 * MINUTE).as_secs());
        let chance = (part << 64).div_ceil((5 * MINUTE).as_secs().into()) as u64;
        let hands = Hands::at(at("20150830T123600Z"));
        let random = move |bytes: &mut [u8]| bytes.copy_from_slice(&chance.to_le_bytes());
        let ports = Ports::empty().with_clock(hands.clone()).with_random(random);
        World { hands, ..World::over(ports, SystemTime::UNIX_EPOCH) }
    }

    fn over(ports: Ports, now: SystemTime) -> World {
        let source = Scripted::default();
        let cached = Cached::new(source.clone(), &ports);
        World { hands: Hands::at(now), source, cached }
    }

    /// Has credentials loaded that live this long.
    fn load(&self, life: Duration) {
        self.source.say(Ok(Some(self.living("AKID", life))));
        assert_eq!(self.id(), "AKID");
    }

    fn living(&self, id: &str, life: Duration) -> Credentials {
        stable(id, self.hands.now() + life)
    }

    fn provide(&self) -> Answer {
        run(self.cached.provide())
    }

    fn id(&self) -> String {
        self.provide().unwrap().unwrap().access_key_id().to_owned()
    }
}

/// A source that says what it was told to say, and panics if it was not.
#[derive(Clone, Debug, Default)]
pub(super) struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<Answer>,
    count: usize,
    is_held: bool,
    invalidated: Vec<String>,
}

impl Scripted {
    pub(super) fn say(&self, answer: Answer) {
        self.0.lock().unwrap().answers.push_back(answer);
    }

    /// Has it wait when there is nothing to say.
    pub(super) fn hold(&self, is_held: bool) {
        self.0.lock().unwrap().is_held = is_held;
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().count
    }

    fn invalidated(&self) -> Vec<String> {
        self.0.lock().unwrap().invalidated.clone()
    }
}

impl ProvideCredentials for Scripted {
    fn provide(&self) -> BoxFuture<'_, Answer> {
        self.0.lock().unwrap().count += 1;
        Box::pin(poll_fn(|_| {
            let (answer, is_held) = {
                let mut script = self.0.lock().unwrap();
                (script.answers.pop_front(), script.is_held)
            };
            if answer.is_none() && is_held {
                return Poll::Pending;
            }
            Poll::Ready(answer.expect("it was told what to say"))
        }))
    }

    fn invalidate(&self, access_key_id: &str) {
        self.0.lock().unwrap().invalidated.push(access_key_id.to_owned());
    }
}

/// Gives credentials for two hours once the gate is open.
#[derive(Debug)]
struct Gated {
    open: watch::Receiver<bool>,
    asked: Arc<AtomicUsize>,
    clock: Clocked,
}

struct Clocked(Box<dyn Clock>);

impl fmt::Debug for Clocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clocked")
    }
}

impl ProvideCredentials for Gated {
    fn provide(&self) -> BoxFuture<'_, Answer> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.clone();
        Box::pin(async move {
            open.wait_for(|open| *open).await.unwrap();
            Ok(Some(stable("AKID", self.clock.0.now() + 2 * HOUR)))
        })
    }
}

fn gated(hands: Option<Hands>) -> (watch::Sender<bool>, Arc<AtomicUsize>, Cached) {
    let hands = hands.unwrap_or_else(|| Hands::at(at("20150830T123600Z")));
    let (gate, open) = watch::channel(false);
    let asked = Arc::new(AtomicUsize::new(0));
    let clock = Clocked(Box::new(hands.clone()));
    let source = Gated { open, asked: asked.clone(), clock };
    (gate, asked, Cached::new(source, &Ports::empty().with_clock(hands)))
}

/// Gives credentials for two hours at once, and counts.
#[derive(Debug)]
struct Counting(Hands, Arc<AtomicUsize>);

impl ProvideCredentials for Counting {
    fn provide(&self) -> BoxFuture<'_, Answer> {
        Box::pin(async {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(Some(stable("AKID", self.0.now() + 2 * HOUR)))
        })
    }
}

/// Blocks the thread that polls it, as a slow file system would.
#[derive(Debug)]
struct Blocking {
    hands: Hands,
    entered: mpsc::Sender<()>,
    may_leave: Mutex<mpsc::Receiver<()>>,
}

impl ProvideCredentials for Blocking {
    fn provide(&self) -> BoxFuture<'_, Answer> {
        Box::pin(async {
            self.entered.send(()).unwrap();
            self.may_leave.lock().unwrap().recv().unwrap();
            Ok(Some(stable("AKID", self.hands.now() + 2 * HOUR)))
        })
    }
}

/// Asks a server for the second in which credentials expire.
#[derive(Debug)]
struct FromMetadata(Ports);

impl ProvideCredentials for FromMetadata {
    fn provide(&self) -> BoxFuture<'_, Answer> {
        Box::pin(async {
            let request = http::Request::get("http://169.254.169.254/").body(bytes::Bytes::new());
            let sent = self.0.http().send(request.unwrap(), HttpLimits::new(MINUTE)).await;
            let answer = sent.map_err(|error| failed().with_source(error))?;
            let seconds = str::from_utf8(answer.body()).unwrap().parse().unwrap();
            let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            Ok(Some(stable("AKID", expires_at)))
        })
    }
}

/// A clock by which sleepers wake when a test moves it.
#[derive(Clone)]
struct Time(Arc<watch::Sender<SystemTime>>);

impl Time {
    fn new() -> (Time, Ports) {
        let time = Time(Arc::new(watch::Sender::new(at("20150830T123600Z"))));
        (time.clone(), Ports::empty().with_clock(time))
    }

    fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now += by);
    }

    fn living(&self, id: &str, life: Duration) -> Credentials {
        stable(id, self.now() + life)
    }
}

impl Clock for Time {
    fn now(&self) -> SystemTime {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let (until, mut moves) = (self.now() + duration, self.0.subscribe());
        Box::pin(async move {
            if moves.wait_for(|now| *now >= until).await.is_err() {
                pending::<()>().await;
            }
        })
    }
}

/// What was logged, a line for each event.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut |_: &field::Field, value: &dyn fmt::Debug| {
            line.push_str(&format!(" {value:?}"));
        });
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

pub(super) fn stable(id: &str, expires_at: SystemTime) -> Credentials {
    Credentials::new(id, "hush")
        .with_session_token("whisper")
        .with_expires_at(expires_at)
        .with_static_stability(true)
}

pub(super) fn failed() -> ProviderError {
    ProviderError::new("test", ProviderErrorKind::Failed, "no answer")
}

pub(super) fn refusal() -> ProviderError {
    ProviderError::new("test", ProviderErrorKind::Refused, "never")
}

pub(super) fn wrong() -> ProviderError {
    ProviderError::new("test", ProviderErrorKind::InvalidConfiguration, "half of a file")
}

/// Chance that runs through all numbers in big steps.
fn counting_chance() -> impl Fn(&mut [u8]) + Send + Sync {
    let next = AtomicU64::new(1);
    move |bytes| {
        let number = next.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        bytes.copy_from_slice(&number.to_le_bytes());
    }
}

fn seconds_since_1970(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Polls once, for nobody.
pub(super) fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls until there is certainly nothing left to do at this moment.
fn settle(future: &mut (impl Future<Output = ()> + Unpin)) {
    for _ in 0..20 {
        assert!(poll(future).is_pending());
    }
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
