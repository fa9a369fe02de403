//! Credentials that are kept, and replaced before they expire.

mod flight;
mod refresher;
mod state;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use self::{
    flight::{Flight, Source},
    state::{Answer, Verdict},
};
use super::{BoxFuture, Ports, ProvideCredentials};

/// Keeps what a provider gave, and asks it again in time.
///
/// Whoever signs asks this instead of the provider, for each request. Nearly always the answer is at
/// hand: reading it takes no lock, and a refresh under way does not slow it down.
///
/// Credentials without an expiry are kept until a service refuses them. How others are renewed follows
/// from who gave them:
///
/// | | With [static stability][stable] | Without |
/// |---|---|---|
/// | Advisory window | 5 minutes before expiry if they live for up to 20 minutes, 15 if for less than 90, else 60: the first caller asks for new ones, the others get those at hand | – |
/// | Mandatory window | from the last minute on all wait for the one who asks | the last 10 seconds, the same |
/// | The provider [fails][failed] | those at hand are kept, even past their expiry, and it is asked again after 5 to 10 minutes | the error |
/// | It gives expired ones, or none | as if it failed | they are passed on |
/// | Its configuration is wrong by now, or anything else is but what follows | as if it failed | the error, for 1 to 5 seconds, then it is asked again |
/// | It [refuses][refused] | the error, for 1 to 5 seconds, then it is asked again | the same |
///
/// A window is at most three quarters of the life that is left when credentials come: that concerns
/// lives below 7 minutes, which would else be asked for at each call. The first load has everybody wait,
/// and its error is kept, for 1 to 5 seconds, unless it may [pass][transient]. However many callers wait,
/// the provider is asked once, and the caller who happens to drive that can go away: another drives on. A
/// refresh that was left alone and then fails is tried once more, for what it waited for may be gone.
///
/// A provider that panics counts as one that failed.
///
/// Clones share what they keep.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, Payload, Signer};
/// use countersign::providers::{Cached, Chain, Ports, ProvideCredentials};
///
/// async fn sign(
///     request: &mut http::Request<&[u8]>,
///     cached: &Cached,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let credentials = cached.provide().await?.ok_or("no credentials found")?;
///     let payload = Payload::hash(request.body());
///     Signer::new("eu-central-1", "sqs").sign(request, payload, &credentials, SystemTime::now())?;
///     Ok(())
/// }
///
/// let ports = Ports::system();
/// let cached = Cached::new(Chain::standard(&ports), &ports);
/// # let _ = (cached, sign);
/// ```
///
/// [stable]: crate::Credentials::with_static_stability
/// [failed]: super::ProviderErrorKind::Failed
/// [refused]: super::ProviderErrorKind::Refused
/// [transient]: super::ProviderErrorKind::is_transient
#[derive(Clone)]
pub struct Cached(Arc<Inner>);

struct Inner {
    source: Arc<Source>,
    /// The refresh under way, if there is one.
    flight: ArcSwapOption<Flight>,
    /// Held by who begins or forgets a refresh, for a moment; never while the provider is asked.
    turn: Mutex<()>,
    /// Tells refreshers that something changed, and by its end that nobody is left to refresh for.
    changes: watch::Sender<()>,
}

/// What there is to do for an answer.
enum Joined {
    Done(Answer),
    Waiting(Flight),
}

impl Cached {
    /// Keeps what this provider gives, by the clock and the chance of these ports.
    pub fn new(provider: impl ProvideCredentials + 'static, ports: &Ports) -> Cached {
        Cached::over(Source::new(Arc::new(provider), ports.clone(), None))
    }

    /// The same provider, behind an empty cache with this advisory window instead of the one that
    /// follows from the lifetime.
    ///
    /// It applies to credentials with [static stability][stable], and like any window it is at most
    /// three quarters of their life.
    ///
    /// ```
    /// use std::time::Duration;
    /// use countersign::Credentials;
    /// use countersign::providers::{Cached, Ports};
    ///
    /// let ports = Ports::system();
    /// let cached = Cached::new(Credentials::new("AKID", "secret"), &ports)
    ///     .with_advisory_window(Duration::from_secs(30 * 60));
    /// # let _ = cached;
    /// ```
    ///
    /// [stable]: crate::Credentials::with_static_stability
    #[must_use]
    pub fn with_advisory_window(self, window: Duration) -> Cached {
        let Source { provider, ports, .. } = &*self.0.source;
        Cached::over(Source::new(provider.clone(), ports.clone(), Some(window)))
    }

    /// When the provider will be asked next: the first call from then on asks it.
    ///
    /// `None` if never, because what is kept does not expire; a moment that has passed if the next call
    /// asks. After a failure it is the end of the pause.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use countersign::Credentials;
    /// use countersign::providers::{Cached, Ports, ProvideCredentials};
    ///
    /// # let future = std::pin::pin!(async {
    /// let now = SystemTime::UNIX_EPOCH;
    /// let hours = |count: u64| Duration::from_secs(count * 60 * 60);
    /// let of_a_role = Credentials::new("ASIAEXAMPLE", "secret")
    ///     .with_expires_at(now + hours(6))
    ///     .with_static_stability(true);
    /// let cached = Cached::new(of_a_role, &Ports::empty().with_clock(now));
    /// assert_eq!(cached.next_refresh(), Some(now));
    /// cached.provide().await.unwrap();
    /// assert_eq!(cached.next_refresh(), Some(now + hours(5)));
    /// # });
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// # assert!(future.poll(&mut context).is_ready());
    /// ```
    pub fn next_refresh(&self) -> Option<SystemTime> {
        self.0.next_refresh()
    }

    /// A future that keeps the credentials fresh, so that no caller waits; spawn it.
    ///
    /// It loads them at once, and again whenever [`next_refresh`](Cached::next_refresh) has come or a
    /// service refused them. What it cannot load it tries again after 5 to 10 minutes; callers try
    /// whenever they ask. It ends when the last clone of this cache is dropped.
    ///
    /// ```no_run
    /// use countersign::providers::{Cached, Chain, Ports};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let ports = Ports::system();
    /// let cached = Cached::new(Chain::standard(&ports), &ports);
    /// tokio::spawn(cached.refresher());
    /// # }
    /// ```
    pub fn refresher(&self) -> impl Future<Output = ()> + Send + use<> {
        refresher::run(&self.0)
    }

    fn over(source: Source) -> Cached {
        Cached(Arc::new(Inner {
            source: Arc::new(source),
            flight: ArcSwapOption::empty(),
            turn: Mutex::new(()),
            changes: watch::Sender::new(()),
        }))
    }
}

impl ProvideCredentials for Cached {
    fn provide(&self) -> BoxFuture<'_, Answer> {
        Box::pin(async {
            match self.0.source.verdict() {
                Verdict::Ready(answer) => return answer,
                Verdict::Advisory(credentials) if self.0.is_driven() => {
                    return Ok(Some(credentials));
                }
                _ => {}
            }
            match self.0.join(false) {
                Joined::Done(answer) => answer,
                Joined::Waiting(flight) => {
                    let answer = flight.await;
                    self.0.landed();
                    answer
                }
            }
        })
    }

    /// Has the next call ask for new credentials, and all callers wait for them, if these are the ones
    /// at hand. In a pause after a failure nobody is asked even so.
    ///
    /// Call it when a service answers `ExpiredToken`, `ExpiredTokenException` or `InvalidToken`; never
    /// for `AccessDenied`, which new credentials do not change.
    fn invalidate(&self, access_key_id: &str) {
        self.0.source.provider.invalidate(access_key_id);
        self.0.source.reject(access_key_id);
        self.0.changes.send_replace(());
    }

    fn name(&self) -> &str {
        self.0.source.provider.name()
    }

    fn looks_at(&self) -> String {
        self.0.source.provider.looks_at()
    }

    fn absence(&self) -> String {
        self.0.source.provider.absence()
    }
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("provider", &self.0.source.provider)
            .field("next_refresh", &self.next_refresh())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Joins the refresh under way, or begins one, if an answer needs it. Who is not patient waits for
    /// nothing that another drives as long as there are credentials.
    fn join(&self, is_patient: bool) -> Joined {
        let _turn = self.turn();
        // Looked at before the state: a refresh that ends in between has left its answer there.
        let under_way = self.flight.load_full().filter(|flight| !flight.is_over());
        let flight = match (self.source.verdict(), under_way) {
            (Verdict::Ready(answer), _) => return Joined::Done(answer),
            (Verdict::Advisory(credentials), Some(flight)) if !is_patient && flight.is_driven() => {
                return Joined::Done(Ok(Some(credentials)));
            }
            (_, Some(flight)) => flight.join(),
            (_, None) => {
                let flight = Flight::new(&self.source);
                self.flight.store(Some(Arc::new(flight.clone())));
                flight
            }
        };
        Joined::Waiting(flight)
    }

    /// To be called when a refresh is over.
    fn landed(&self) {
        {
            let _turn = self.turn();
            if self.flight.load().as_ref().is_some_and(|flight| flight.is_over()) {
                self.flight.store(None);
            }
        }
        self.changes.send_replace(());
    }

    /// Whether a refresh is under way, and somebody drives it.
    fn is_driven(&self) -> bool {
        self.flight.load().as_ref().is_some_and(|flight| !flight.is_over() && flight.is_driven())
    }

    fn next_refresh(&self) -> Option<SystemTime> {
        let now = self.source.ports.clock().now();
        self.source.state.load().next_refresh(now)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        // It guards nothing that somebody who panicked could have left half done.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
