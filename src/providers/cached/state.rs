//! What a cache knows, and what follows from it at a moment. Asks nobody and reads no clock.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use crate::{
    Credentials,
    providers::{ProviderError, ProviderErrorKind},
};

/// What a provider answers.
pub(super) type Answer = Result<Option<Credentials>, ProviderError>;

/// What a cache knows. It is never changed, only replaced.
#[derive(Clone, Default)]
pub(super) struct State {
    held: Option<Held>,
    pause: Option<Pause>,
}

/// Credentials, and how long before their expiry others are to be had.
#[derive(Clone)]
struct Held {
    credentials: Credentials,
    advisory: Duration,
    mandatory: Duration,
    is_rejected: bool,
}

/// A time in which the provider is left alone.
#[derive(Clone)]
struct Pause {
    from: SystemTime,
    until: SystemTime,
    /// What to say meanwhile; `None` if there are credentials to go on with.
    error: Option<ProviderError>,
}

/// What a caller gets at a moment.
pub(super) enum Verdict {
    /// This, at once.
    Ready(Answer),
    /// One caller should ask for others; the rest can have these.
    Advisory(Credentials),
    /// What the provider answers next.
    Mandatory,
}

/// When an answer came, from whom, and what else decides what follows from it.
pub(super) struct Moment<'a> {
    pub(super) now: SystemTime,
    /// Any number, each as likely as another.
    pub(super) chance: u64,
    /// The window that was set, if one was.
    pub(super) advisory: Option<Duration>,
    pub(super) provider: &'a str,
}

/// What follows from an answer.
pub(super) struct Settled {
    pub(super) state: State,
    pub(super) answer: Answer,
    /// Why credentials were kept that should have been replaced, and for how long.
    pub(super) kept: Option<(ProviderError, Duration)>,
}

impl State {
    pub(super) fn verdict(&self, now: SystemTime) -> Verdict {
        let ready = |held: &Held| Verdict::Ready(Ok(Some(held.credentials.clone())));
        let left = self.held.as_ref().map(|held| (held, held.left(now)));
        match left {
            Some((held, Some(left))) if left > held.advisory => return ready(held),
            Some((held, None)) => return ready(held),
            _ => {}
        }
        match (&self.pause, left) {
            (Some(pause), _) if pause.is_on(now) => match (&pause.error, &self.held) {
                (Some(error), _) => Verdict::Ready(Err(error.clone())),
                (None, Some(held)) => ready(held),
                (None, None) => Verdict::Mandatory,
            },
            (_, Some((held, Some(left)))) if left > held.mandatory => {
                Verdict::Advisory(held.credentials.clone())
            }
            _ => Verdict::Mandatory,
        }
    }

    /// When the provider is to be asked next; `None` if never, a moment gone by if at once.
    pub(super) fn next_refresh(&self, now: SystemTime) -> Option<SystemTime> {
        let due = match &self.held {
            Some(held) if !held.is_rejected => {
                let at = held.credentials.expires_at()?;
                at.checked_sub(held.advisory).unwrap_or(SystemTime::UNIX_EPOCH)
            }
            _ => now,
        };
        match &self.pause {
            Some(pause) if pause.is_on(now) => Some(due.max(pause.until)),
            _ => Some(due),
        }
    }

    /// The same knowledge after a service refused the credentials with this access key id; `None` if
    /// it was told nothing new.
    pub(super) fn rejected(&self, access_key_id: &str) -> Option<State> {
        let held = self.held.as_ref()?;
        let is_news = !held.is_rejected && held.credentials.access_key_id() == access_key_id;
        is_news.then(|| State {
            held: Some(Held { is_rejected: true, ..held.clone() }),
            pause: self.pause.clone(),
        })
    }

    /// What follows from an answer.
    pub(super) fn settled(&self, answer: Answer, moment: &Moment<'_>) -> Settled {
        let stable = self.held.as_ref().filter(|held| held.credentials.has_static_stability());
        let error = match answer {
            Ok(Some(credentials)) => match moment.expired(&credentials, stable.is_some()) {
                Some(error) => error,
                None => {
                    let held = Held::new(credentials.clone(), moment);
                    let state = State { held: Some(held), pause: None };
                    return Settled { state, answer: Ok(Some(credentials)), kept: None };
                }
            },
            // Who gave credentials and now says that none are configured is as good as out of reach.
            Ok(None) if stable.is_some() => moment.failed("has no credentials any more"),
            Ok(None) => return Settled { state: State::default(), answer: Ok(None), kept: None },
            Err(error) => error,
        };
        let held = self.held.clone();
        // Credentials that work outlive whatever else goes wrong, but for a refusal that stays one: a file
        // that somebody edits just now, say. Those that no longer work outlive what may pass.
        let work = |held: &&Held| held.left(moment.now).is_none_or(|left| !left.is_zero());
        let is_final = match stable.filter(work) {
            Some(_) => error.kind() == ProviderErrorKind::Refused,
            None => !error.kind().is_transient(),
        };
        if is_final {
            let pause = Pause::new(moment, REFUSED, Some(error.clone()));
            let state = State { held, pause: Some(pause) };
            return Settled { state, answer: Err(error), kept: None };
        }
        let Some(credentials) = stable.map(|held| held.credentials.clone()) else {
            return Settled { state: State { held, pause: None }, answer: Err(error), kept: None };
        };
        let pause = Pause::new(moment, BACKOFF, None);
        let length = until(pause.until, pause.from);
        let state = State { held, pause: Some(pause) };
        Settled { state, answer: Ok(Some(credentials)), kept: Some((error, length)) }
    }
}

impl Moment<'_> {
    /// What is wrong with credentials that are expired when they come. Those of a source that promises
    /// nothing are passed on as they are, unless better ones would go.
    fn expired(&self, credentials: &Credentials, replaces_stable: bool) -> Option<ProviderError> {
        let at = credentials.expires_at().filter(|at| *at <= self.now)?;
        let is_stable = replaces_stable || credentials.has_static_stability();
        is_stable.then(|| ProviderError::expired(self.provider.to_owned(), at, self.now))
    }

    fn failed(&self, message: impl Into<Cow<'static, str>>) -> ProviderError {
        ProviderError::new(self.provider.to_owned(), ProviderErrorKind::Failed, message)
    }
}

impl Held {
    fn new(credentials: Credentials, moment: &Moment<'_>) -> Held {
        let expires_at = credentials.expires_at();
        let life = expires_at.map_or(Duration::MAX, |at| until(at, moment.now));
        let (advisory, mandatory) = if credentials.has_static_stability() {
            (moment.advisory.unwrap_or_else(|| advisory_for(life)), MANDATORY)
        } else {
            (BUFFER, BUFFER)
        };
        // Credentials that are born inside of their window would be asked for at each call. No window
        // of the table is cut for lives of 400 seconds and more.
        let most = life / 4 * 3;
        let (advisory, mandatory) = (advisory.min(most), mandatory.min(most));
        Held { credentials, advisory, mandatory, is_rejected: false }
    }

    /// How long they can still be used: not at all once rejected, `None` without an end.
    fn left(&self, now: SystemTime) -> Option<Duration> {
        if self.is_rejected {
            return Some(Duration::ZERO);
        }
        self.credentials.expires_at().map(|at| until(at, now))
    }
}

impl Pause {
    fn new(
        moment: &Moment<'_>,
        range: (Duration, Duration),
        error: Option<ProviderError>,
    ) -> Pause {
        let from = moment.now;
        let until = from.checked_add(between(range, moment.chance)).unwrap_or(from);
        Pause { from, until, error }
    }

    /// A clock that was set back behind the beginning ends a pause: it would last far too long.
    fn is_on(&self, now: SystemTime) -> bool {
        self.from <= now && now < self.until
    }
}

fn advisory_for(life: Duration) -> Duration {
    if life <= minutes(20) {
        minutes(5)
    } else if life < minutes(90) {
        minutes(15)
    } else {
        minutes(60)
    }
}

/// The time from one moment to a later one; nothing if it is not later.
pub(super) fn until(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// A length between two, as far from the first as `chance` is from zero.
pub(super) fn between((least, most): (Duration, Duration), chance: u64) -> Duration {
    let range = (most - least).as_nanos();
    let part = (u128::from(chance) * range) >> 64;
    least + Duration::from_nanos(u64::try_from(part).expect("a part of some minutes"))
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// The time before expiry in which everybody waits for new credentials.
const MANDATORY: Duration = minutes(1);

/// The same for credentials that cannot be used past their expiry, which have no other window.
const BUFFER: Duration = Duration::from_secs(10);

/// How long a provider that fails is left alone while there are credentials to go on with.
pub(super) const BACKOFF: (Duration, Duration) = (minutes(5), minutes(10));

/// How long a provider that refused is not asked again.
const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
