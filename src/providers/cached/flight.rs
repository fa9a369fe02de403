//! One refresh, which all who wait for it drive together.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::{FutureExt, future::Shared};
use tracing::{debug, warn};

use super::state::{Answer, Moment, State, Verdict};
use crate::providers::{BoxFuture, Ports, ProvideCredentials, ProviderError, ProviderErrorKind};

/// A provider, and what is known from its answers.
pub(super) struct Source {
    pub(super) provider: Arc<dyn ProvideCredentials>,
    pub(super) ports: Ports,
    pub(super) state: ArcSwap<State>,
    advisory: Option<Duration>,
}

/// A refresh under way. A clone waits for the same one.
#[derive(Clone)]
pub(super) struct Flight {
    answer: Shared<BoxFuture<'static, Answer>>,
    was_left_alone: Arc<AtomicBool>,
}

impl Source {
    pub(super) fn new(
        provider: Arc<dyn ProvideCredentials>,
        ports: Ports,
        advisory: Option<Duration>,
    ) -> Source {
        Source { provider, ports, state: ArcSwap::default(), advisory }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.state.load().verdict(self.ports.clock().now())
    }

    pub(super) fn reject(&self, access_key_id: &str) {
        self.state.rcu(|state| match state.rejected(access_key_id) {
            Some(rejected) => Arc::new(rejected),
            None => state.clone(),
        });
    }

    async fn ask(&self) -> Answer {
        // The answer of a panic must not stay for ever, nor strike all who wait.
        let answer = AssertUnwindSafe(async { self.provider.provide().await }).catch_unwind();
        answer.await.unwrap_or_else(|_| {
            let name = self.provider.name().to_owned();
            Err(ProviderError::new(name, ProviderErrorKind::Failed, "the provider panicked"))
        })
    }

    /// Takes an answer into the state, and says what those who waited get.
    fn settle(&self, answer: Answer) -> Answer {
        let moment = Moment {
            now: self.ports.clock().now(),
            chance: self.ports.chance(),
            advisory: self.advisory,
            provider: self.provider.name(),
        };
        let is_new = matches!(answer, Ok(Some(_)));
        let mut settled = None;
        self.state.rcu(|state| {
            let then = state.settled(answer.clone(), &moment);
            let state = Arc::new(then.state);
            settled = Some((then.answer, then.kept));
            state
        });
        let (answer, kept) = settled.expect("the state was replaced");
        match kept {
            Some((error, pause)) => warn!(
                "Credential refresh failed: {}. The SDK will continue using cached credentials. A \
                 refresh of these credentials will be attempted again after {} seconds.",
                error.with_sources(),
                pause.as_secs(),
            ),
            None if is_new => debug!(provider = moment.provider, "loaded credentials"),
            None => {}
        }
        answer
    }
}

impl Flight {
    pub(super) fn new(source: &Arc<Source>) -> Flight {
        let was_left_alone = Arc::new(AtomicBool::new(false));
        let (source, left_alone) = (source.clone(), was_left_alone.clone());
        let answer = async move {
            let mut answer = source.ask().await;
            // Nobody read what came in the meantime, so that it failed says nothing of the provider.
            let failed = answer.as_ref().is_err_and(|error| error.kind().is_transient());
            if failed && left_alone.load(Ordering::Relaxed) {
                answer = source.ask().await;
            }
            source.settle(answer)
        };
        Flight { answer: answer.boxed().shared(), was_left_alone }
    }

    /// One more who waits. The first after a time without any drives on.
    pub(super) fn join(&self) -> Flight {
        if !self.is_driven() {
            self.was_left_alone.store(true, Ordering::Relaxed);
        }
        self.clone()
    }

    /// Whether somebody waits, beside the cache itself.
    pub(super) fn is_driven(&self) -> bool {
        self.answer.strong_count().is_some_and(|count| count > 1)
    }

    pub(super) fn is_over(&self) -> bool {
        self.answer.peek().is_some()
    }
}

impl Future for Flight {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        Pin::new(&mut self.answer).poll(context)
    }
}
