//! The future that keeps a cache fresh while nobody asks.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

use futures_util::future::{Either, select};
use tokio::sync::watch;

use super::{
    Inner, Joined,
    state::{Answer, BACKOFF, between, until},
};

/// Keeps the cache fresh until it is dropped; while it waits, it holds nothing that keeps it alive.
pub(super) fn run(inner: &Arc<Inner>) -> impl Future<Output = ()> + Send + use<> {
    let (cache, source) = (Arc::downgrade(inner), inner.source.clone());
    let mut changes = inner.changes.subscribe();
    async move {
        let clock = source.ports.clock();
        let mut rest = Rest::default();
        loop {
            breathe().await;
            let Some(inner) = cache.upgrade() else {
                return;
            };
            changes.mark_unchanged();
            let now = clock.now();
            // By the same look at the clock: what is due at once is due at that moment, not after it.
            let due = source.state.load().next_refresh(now);
            let due = due.map_or(LONGEST, |due| until(due, now));
            let wait = due.max(rest.left(now)).min(LONGEST);
            if !wait.is_zero() {
                drop(inner);
                select(clock.sleep(wait), pin!(changes.changed())).await;
                continue;
            }
            let joined = inner.join(true);
            drop(inner);
            let answer = match joined {
                Joined::Done(answer) => answer,
                Joined::Waiting(flight) => match select(flight, pin!(closed(&mut changes))).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right(_) => return,
                },
            };
            if let Some(inner) = cache.upgrade() {
                inner.landed();
            }
            rest = Rest::after(&answer, clock.now(), source.ports.chance());
        }
    }
}

/// A time in which a provider is left alone that gave nothing.
#[derive(Default)]
struct Rest(Option<(SystemTime, SystemTime)>);

impl Rest {
    fn after(answer: &Answer, now: SystemTime, chance: u64) -> Rest {
        // What arrives expired is nothing to go on with, and there is no more of it for asking at once.
        let is_good = |at: SystemTime| at > now;
        let gave = matches!(answer, Ok(Some(given)) if given.expires_at().is_none_or(is_good));
        let end = now.checked_add(between(BACKOFF, chance));
        Rest(end.filter(|_| !gave).map(|end| (now, end)))
    }

    /// What is left of it; nothing if the clock was set back behind its beginning.
    fn left(&self, now: SystemTime) -> Duration {
        self.0.filter(|(from, _)| *from <= now).map_or(Duration::ZERO, |(_, end)| until(end, now))
    }
}

/// Is done when nobody is left who could change anything.
async fn closed(changes: &mut watch::Receiver<()>) {
    while changes.changed().await.is_ok() {}
}

/// Lets others on: by a clock whose sleep is over at once, the loop would never pause.
async fn breathe() {
    let mut is_second = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_second, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The longest sleep. A machine may be asleep meanwhile, or its clock be set.
const LONGEST: Duration = Duration::from_secs(60);
