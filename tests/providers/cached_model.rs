//! A cache against a model of it, in whatever order callers come and go, answers arrive, services
//! refuse and time passes.

use std::{mem, task::Poll, time::Duration};

use countersign::{
    Credentials,
    providers::{BoxFuture, Cached, Clock, Ports, ProvideCredentials, ProviderError},
};
use proptest::{collection, prelude::*};

use super::{
    cached::{Scripted, failed, poll, refusal, stable, wrong},
    world::Hands,
};
use crate::support::at;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_cache_does_what_its_model_does(
        configured in prop::option::of(1_u64..8000),
        events in collection::vec(event(), 1..60),
    ) {
        Run::new(configured).through(&events);
    }
}

#[derive(Clone, Debug)]
enum Event {
    /// So many seconds pass.
    Advance(u64),
    /// The clock is set back by so many.
    SetBack(u64),
    /// A caller comes.
    Call,
    /// A caller who waits goes away.
    Leave(usize),
    /// The provider answers, if somebody waits for it.
    Reply(Reply),
    /// A service refuses the credentials at hand, or others.
    Refuse(bool),
}

#[derive(Clone, Copy, Debug)]
enum Reply {
    Dated { life: u64, is_stable: bool },
    Undated,
    Nothing,
    Failed,
    Refused,
    Wrong,
}

fn event() -> impl Strategy<Value = Event> {
    let life = prop_oneof![0_u64..300, 300_u64..9000];
    let reply = prop_oneof![
        4 => (life, prop::bool::weighted(0.8))
            .prop_map(|(life, is_stable)| Reply::Dated { life, is_stable }),
        1 => Just(Reply::Undated),
        1 => Just(Reply::Nothing),
        3 => Just(Reply::Failed),
        1 => Just(Reply::Refused),
        1 => Just(Reply::Wrong),
    ];
    prop_oneof![
        3 => prop_oneof![0_u64..12, 0_u64..700, 0_u64..9000].prop_map(Event::Advance),
        1 => (1_u64..9000).prop_map(Event::SetBack),
        6 => Just(Event::Call),
        1 => (0_usize..4).prop_map(Event::Leave),
        5 => reply.prop_map(Event::Reply),
        1 => prop::bool::weighted(0.7).prop_map(Event::Refuse),
    ]
}

/// What is expected, in whole seconds since long before the beginning.
#[derive(Debug, Default)]
struct Model {
    now: u64,
    /// When the pause began that is the last; set back behind it, the clock ends it.
    pause_from: u64,
    configured: Option<u64>,
    held: Option<Held>,
    backoff_until: u64,
    refused_until: u64,
    /// The request under way.
    request: Option<Request>,
    requests: usize,
}

#[derive(Clone, Debug)]
struct Held {
    id: String,
    expires_at: Option<u64>,
    is_stable: bool,
    /// Quarters of seconds, as three quarters of a life have them.
    advisory: u64,
    mandatory: u64,
    is_rejected: bool,
}

/// A request under way, or left alone by all who waited.
#[derive(Debug)]
struct Request {
    waiting: usize,
    may_repeat: bool,
    is_repeated: bool,
}

/// What a caller gets: an access key id, nothing, or an error of this kind.
type Outcome = Result<Option<String>, &'static str>;

impl Model {
    /// What a caller gets at once; `None` if they wait.
    fn call(&mut self) -> Option<Outcome> {
        if let Some(held) = &self.held {
            let at_hand = Some(Ok(Some(held.id.clone())));
            let left = match held.expires_at {
                _ if held.is_rejected => 0,
                None => return at_hand,
                Some(at) => 4 * at.saturating_sub(self.now),
            };
            if left > held.advisory || self.is_before(self.backoff_until) {
                return at_hand;
            }
            let is_driven = self.request.as_ref().is_some_and(|request| request.waiting > 0);
            if !self.is_before(self.refused_until) && left > held.mandatory && is_driven {
                return at_hand;
            }
        }
        if self.is_before(self.refused_until) {
            return Some(Err("refused"));
        }
        match &mut self.request {
            Some(request) => {
                request.may_repeat |= request.waiting == 0;
                request.waiting += 1;
            }
            None => {
                self.requests += 1;
                self.request = Some(Request { waiting: 1, may_repeat: false, is_repeated: false });
            }
        }
        None
    }

    /// Whether a pause lasts that ends then.
    fn is_before(&self, end: u64) -> bool {
        self.pause_from <= self.now && self.now < end
    }

    /// What those who wait get; `None` if they wait on.
    fn reply(&mut self, reply: Reply, id: &str) -> Option<Outcome> {
        let request = self.request.as_mut().expect("somebody waits");
        if matches!(reply, Reply::Failed) && request.may_repeat && !request.is_repeated {
            request.is_repeated = true;
            self.requests += 1;
            return None;
        }
        self.request = None;
        let kept = self.held.clone().filter(|held| held.is_stable);
        let is_final = match reply {
            Reply::Refused => true,
            Reply::Wrong => !kept.as_ref().is_some_and(|held| {
                !held.is_rejected && held.expires_at.is_none_or(|at| at > self.now)
            }),
            _ => false,
        };
        let installed = match reply {
            _ if is_final => {
                self.pause_from = self.now;
                self.refused_until = self.now + 3;
                self.backoff_until = 0;
                return Some(Err("refused"));
            }
            Reply::Dated { life, is_stable } if life > 0 || !(is_stable || kept.is_some()) => {
                let advisory = match (is_stable, self.configured, life) {
                    (false, ..) => 10,
                    (true, Some(window), _) => window,
                    (true, None, ..=1200) => 300,
                    (true, None, 1201..5400) => 900,
                    (true, None, _) => 3600,
                };
                Some((Some(self.now + life), is_stable, (4 * advisory).min(3 * life)))
            }
            Reply::Undated => Some((None, false, 0)),
            Reply::Nothing if kept.is_none() => {
                self.held = None;
                self.refused_until = 0;
                return Some(Ok(None));
            }
            _ => None,
        };
        match (installed, kept) {
            (Some((expires_at, is_stable, advisory)), _) => {
                let (id, is_rejected) = (id.to_owned(), false);
                let mandatory = advisory.min(240);
                let held = Held { id, expires_at, is_stable, advisory, mandatory, is_rejected };
                self.held = Some(held.clone());
                (self.backoff_until, self.refused_until) = (0, 0);
                Some(Ok(Some(held.id)))
            }
            (None, Some(held)) => {
                self.pause_from = self.now;
                self.backoff_until = self.now + 450;
                self.refused_until = 0;
                Some(Ok(Some(held.id)))
            }
            (None, None) => {
                (self.backoff_until, self.refused_until) = (0, 0);
                Some(Err("failed"))
            }
        }
    }
}

/// A cache and its model, side by side.
struct Run {
    hands: Hands,
    source: Scripted,
    cached: Cached,
    model: Model,
}

impl Run {
    fn new(configured: Option<u64>) -> Run {
        let hands = Hands::at(at("20150830T123600Z"));
        // In the middle: pauses of 450 seconds, and of 3.
        let ports = Ports::empty()
            .with_clock(hands.clone())
            .with_random(|bytes: &mut [u8]| bytes.copy_from_slice(&(1_u64 << 63).to_le_bytes()));
        let source = Scripted::default();
        source.hold(true);
        let mut cached = Cached::new(source.clone(), &ports);
        if let Some(window) = configured {
            cached = cached.with_advisory_window(Duration::from_secs(window));
        }
        Run { hands, source, cached, model: Model { configured, now: 1 << 32, ..Model::default() } }
    }

    fn through(mut self, events: &[Event]) {
        let cached = self.cached.clone();
        let mut waiting: Vec<BoxFuture<'_, _>> = Vec::new();
        for (number, event) in events.iter().enumerate() {
            match *event {
                Event::Advance(seconds) => {
                    self.hands.advance(Duration::from_secs(seconds));
                    self.model.now += seconds;
                }
                Event::SetBack(seconds) => {
                    self.hands.set(self.hands.now() - Duration::from_secs(seconds));
                    self.model.now -= seconds;
                }
                Event::Call => {
                    let mut caller = cached.provide();
                    let found = poll(&mut caller);
                    match self.model.call() {
                        None => {
                            assert!(found.is_pending(), "event {number}: {found:?}");
                            waiting.push(caller);
                        }
                        Some(expected) => {
                            assert_eq!(found.map(outcome), Poll::Ready(expected), "event {number}");
                        }
                    }
                }
                Event::Leave(who) if who < waiting.len() => {
                    drop(waiting.remove(who));
                    let request = self.model.request.as_mut().expect("they waited for it");
                    request.waiting -= 1;
                }
                Event::Reply(reply) if !waiting.is_empty() => {
                    let id = format!("AKID-{number}");
                    self.source.say(self.answer(reply, &id));
                    let expected = self.model.reply(reply, &id);
                    for mut caller in mem::take(&mut waiting) {
                        let found = poll(&mut caller).map(outcome);
                        match &expected {
                            Some(expected) => {
                                let expected = Poll::Ready(expected.clone());
                                assert_eq!(found, expected, "event {number}");
                            }
                            None => {
                                assert!(found.is_pending(), "event {number}: {found:?}");
                                waiting.push(caller);
                            }
                        }
                    }
                }
                Event::Refuse(is_ours) => {
                    let id = match &mut self.model.held {
                        Some(held) if is_ours => {
                            held.is_rejected = true;
                            held.id.clone()
                        }
                        _ => "AKID-OTHER".to_owned(),
                    };
                    cached.invalidate(&id);
                }
                Event::Leave(_) | Event::Reply(_) => {}
            }
            assert_eq!(self.source.count(), self.model.requests, "event {number}");
        }
    }

    fn answer(&self, reply: Reply, id: &str) -> Result<Option<Credentials>, ProviderError> {
        match reply {
            Reply::Dated { life, is_stable } => {
                let credentials = stable(id, self.hands.now() + Duration::from_secs(life));
                Ok(Some(credentials.with_static_stability(is_stable)))
            }
            Reply::Undated => Ok(Some(Credentials::new(id, "hush"))),
            Reply::Nothing => Ok(None),
            Reply::Failed => Err(failed()),
            Reply::Refused => Err(refusal()),
            Reply::Wrong => Err(wrong()),
        }
    }
}

fn outcome(answer: Result<Option<Credentials>, ProviderError>) -> Outcome {
    match answer {
        Ok(found) => Ok(found.map(|credentials| credentials.access_key_id().to_owned())),
        Err(error) if error.kind().is_transient() => Err("failed"),
        Err(_) => Err("refused"),
    }
}
