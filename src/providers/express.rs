//! Sessions of S3 Express One Zone: credentials for one bucket, good for five minutes.

use std::{
    collections::HashMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{FutureExt, future::Shared};
use http::{HeaderValue, Request, Response, StatusCode, Uri};

use super::{
    BoxFuture, Ports, ProvideCredentials, ProviderError, ProviderErrorKind,
    call::{Call, is_the_servers},
    sts::{
        answer::{Failure, credentials_in},
        from_base, gives_away,
    },
};
use crate::{Credentials, Payload, Signer};

/// The sessions with directory buckets of S3 Express One Zone.
///
/// Requests for the objects of such a bucket are signed with a session instead of one's own credentials.
/// S3 gives it for these (`CreateSession`), and it is good for five minutes. Here it is kept, for each
/// bucket and access key id, and replaced in time: in its last minute one caller asks for the next one
/// while the others go on with the one at hand, in its last ten seconds all wait. However many wait, S3
/// is asked once. That S3 fails is not kept, and no harm while the session at hand is good.
///
/// The credentials are [marked as such a session](Credentials::is_s3_express_session), so a
/// [`Signer`] for the service `s3express` sends their token as `x-amz-s3session-token`. They are for
/// the objects of a bucket; buckets themselves are created and listed with one's own credentials.
///
/// Clones share what they keep. It asks `base` each time: give it a [`Cached`](super::Cached) provider.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Payload, Signer};
/// use countersign::providers::{Cached, Chain, Ports, S3ExpressSessions};
///
/// async fn sign(
///     request: &mut http::Request<&[u8]>,
///     sessions: &S3ExpressSessions,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let host = "cats--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com";
///     let session = sessions.session(host, "us-east-1").await?;
///     let payload = Payload::hash(request.body());
///     Signer::new("us-east-1", "s3express").sign(request, payload, &session, SystemTime::now())?;
///     Ok(())
/// }
///
/// let ports = Ports::system();
/// let own = Cached::new(Chain::standard(&ports), &ports);
/// let sessions = S3ExpressSessions::new(own, &ports);
/// # let _ = (sessions, sign);
/// ```
#[derive(Clone)]
pub struct S3ExpressSessions {
    source: Source,
    most: usize,
    table: Arc<Mutex<Table>>,
}

impl S3ExpressSessions {
    /// Sessions for what `base` provides, by the client, the clock and the chance of these ports.
    pub fn new(base: impl ProvideCredentials + 'static, ports: &Ports) -> S3ExpressSessions {
        let source = Source {
            ports: ports.clone(),
            base: Arc::new(base),
            is_read_only: false,
            timeout: TIMEOUT,
        };
        S3ExpressSessions { source, most: MOST, table: Arc::default() }
    }

    /// The same with sessions that may read and no more, and with none kept yet.
    ///
    /// ```
    /// use countersign::Credentials;
    /// use countersign::providers::{Ports, S3ExpressSessions};
    ///
    /// let own = Credentials::new("AKIDEXAMPLE", "secret");
    /// let readers = S3ExpressSessions::new(own, &Ports::system()).with_read_only(true);
    /// # let _ = readers;
    /// ```
    #[must_use]
    pub fn with_read_only(self, yes: bool) -> S3ExpressSessions {
        let source = Source { is_read_only: yes, ..self.source };
        S3ExpressSessions { source, table: Arc::default(), ..self }
    }

    /// The same with this many sessions at most, 100 unless this is called, and with none kept yet.
    ///
    /// A further one takes the place of the one that was not asked for the longest.
    ///
    /// ```
    /// # use countersign::{Credentials, providers::{Ports, S3ExpressSessions}};
    /// # let own = Credentials::new("AKIDEXAMPLE", "secret");
    /// let sessions = S3ExpressSessions::new(own, &Ports::system()).with_capacity(1_000);
    /// # let _ = sessions;
    /// ```
    #[must_use]
    pub fn with_capacity(self, most: usize) -> S3ExpressSessions {
        S3ExpressSessions { most: most.max(1), table: Arc::default(), ..self }
    }

    /// The same with this much time for each attempt, 15 seconds unless this is called, and with no
    /// session kept yet.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> S3ExpressSessions {
        let source = Source { timeout, ..self.source };
        S3ExpressSessions { source, table: Arc::default(), ..self }
    }

    /// The session with a bucket: the one at hand, or a new one.
    ///
    /// The bucket is named by its host, as in
    /// `cats--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com`; a port may stand behind it.
    ///
    /// # Errors
    /// What the base provider or S3 says. What may be over soon was tried three times by then. That the
    /// base has no credentials is an error too. An `ExpiredToken` or `InvalidToken` of S3 is passed on
    /// to the base as [invalidation](ProvideCredentials::invalidate).
    pub fn session<'a>(
        &'a self,
        bucket_host: &'a str,
        region: &'a str,
    ) -> BoxFuture<'a, Result<Credentials, ProviderError>> {
        Box::pin(async move {
            let base = from_base(&*self.source.base, NAME).await?;
            let key = Key {
                host: bucket_host.to_ascii_lowercase(),
                region: region.to_owned(),
                access_key_id: base.access_key_id().to_owned(),
            };
            match self.join(&key, base) {
                Joined::Done(session) => Ok(session),
                // While it was asked for, the one at hand may have come to its end, or been refused.
                Joined::Waiting(flight) => {
                    flight.await.or_else(|error| self.at_hand(&key).ok_or(error))
                }
            }
        })
    }

    /// The sessions with one bucket, as a provider.
    ///
    /// ```
    /// # use countersign::{Credentials, providers::{Ports, S3ExpressSessions}};
    /// # let own = Credentials::new("AKIDEXAMPLE", "secret");
    /// let sessions = S3ExpressSessions::new(own, &Ports::system());
    /// let host = "cats--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com";
    /// let provider = sessions.provider(host, "us-east-1");
    /// # let _ = provider;
    /// ```
    pub fn provider(
        &self,
        bucket_host: impl Into<String>,
        region: impl Into<String>,
    ) -> S3ExpressProvider {
        let (bucket_host, region) = (bucket_host.into(), region.into());
        S3ExpressProvider { sessions: self.clone(), bucket_host, region }
    }

    /// Forgets the session with this access key id. Call it when S3 refuses one as expired or unknown.
    ///
    /// The access key id is the session's own, not that of the base's credentials.
    pub fn invalidate(&self, access_key_id: &str) {
        let is_it = |session: &Credentials| session.access_key_id() == access_key_id;
        for kept in lock(&self.table).sessions.values_mut() {
            if kept.session.as_ref().is_some_and(is_it) {
                kept.session = None;
            }
        }
    }

    /// The session at hand, or the request for the next one: the one under way, or a new one.
    fn join(&self, key: &Key, base: Credentials) -> Joined {
        let now = self.source.ports.clock().now();
        let mut table = lock(&self.table);
        table.turn += 1;
        let turn = table.turn;
        if !table.sessions.contains_key(key) && table.sessions.len() >= self.most {
            table.forget_one();
        }
        let kept = table.sessions.entry(key.clone()).or_default();
        kept.used = turn;
        if let Some(session) = kept.at_hand(now) {
            let others_do = kept.is_driven() || kept.paused_until.is_some_and(|until| now < until);
            if others_do || is_good_for(session, now, AHEAD) {
                return Joined::Done(session.clone());
            }
        }
        // One that nobody waited for any more was signed at another time, perhaps by other credentials.
        let under_way = kept.flight.as_ref().filter(|_| kept.is_driven());
        Joined::Waiting(match under_way {
            Some((_, flight)) => flight.clone(),
            None => {
                let flight = self.flight(key.clone(), base, turn);
                kept.flight = Some((turn, flight.clone()));
                flight
            }
        })
    }

    fn at_hand(&self, key: &Key) -> Option<Credentials> {
        let now = self.source.ports.clock().now();
        lock(&self.table).sessions.get(key)?.at_hand(now).cloned()
    }

    fn flight(&self, key: Key, base: Credentials, turn: u64) -> Flight {
        // The table holds the flight: a strong pointer back would keep both for ever.
        let (source, table) = (self.source.clone(), Arc::downgrade(&self.table));
        let flight = async move {
            // The answer of a panic must not stay for ever, nor strike all who wait.
            let answer = AssertUnwindSafe(source.create(&key, &base)).catch_unwind().await;
            let answer = answer.unwrap_or_else(|_| {
                Err(ProviderError::new(NAME, ProviderErrorKind::Failed, "the HTTP client panicked"))
            });
            Table::settle(&table, &key, turn, &answer, source.ports.clock().now());
            answer
        };
        flight.boxed().shared()
    }
}

impl fmt::Debug for S3ExpressSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3ExpressSessions")
            .field("base", &self.source.base)
            .field("is_read_only", &self.source.is_read_only)
            .finish_non_exhaustive()
    }
}

/// The sessions with one bucket, as a provider; made by [`S3ExpressSessions::provider`].
///
/// It needs no [`Cached`](super::Cached) around it: the sessions are kept already.
#[derive(Clone, Debug)]
pub struct S3ExpressProvider {
    sessions: S3ExpressSessions,
    bucket_host: String,
    region: String,
}

impl ProvideCredentials for S3ExpressProvider {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async { self.sessions.session(&self.bucket_host, &self.region).await.map(Some) })
    }

    fn invalidate(&self, access_key_id: &str) {
        self.sessions.invalidate(access_key_id);
    }

    fn name(&self) -> &str {
        NAME
    }
}

/// Who gives sessions, and for what.
#[derive(Clone)]
struct Source {
    ports: Ports,
    base: Arc<dyn ProvideCredentials>,
    is_read_only: bool,
    timeout: Duration,
}

impl Source {
    async fn create(&self, key: &Key, base: &Credentials) -> Result<Credentials, ProviderError> {
        let Source { ports, timeout, .. } = self;
        let call = Call { ports, provider: NAME, what: ACTION, timeout: *timeout };
        let may_pass = |response: &Response<Bytes>| {
            let passes = |failure: Failure| failure.is_one_of(&PASSING);
            is_the_servers(response.status())
                || !response.status().is_success()
                    && Failure::parse_in(&["Error"], response.body()).is_some_and(passes)
        };
        let response = call.answer(|| self.request(key, base), may_pass).await?;
        if response.status() != StatusCode::OK {
            return Err(self.failure(key, base, &response));
        }
        let granted = credentials_in(&["CreateSessionResult"], response.body());
        let granted = granted.map_err(|seen| {
            let message = format!(
                "{ACTION} failed: what {} answered is no answer of S3: {seen}",
                key.host.escape_debug()
            );
            call.error(ProviderErrorKind::Failed, message)
        })?;
        // The session is kept here, by rules of its own: past its expiry it is good for nothing.
        Ok(granted.with_static_stability(false).with_s3_express_session(true))
    }

    fn request(&self, key: &Key, base: &Credentials) -> Result<Request<Bytes>, ProviderError> {
        let invalid = |message: String| {
            ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
        };
        let uri = Uri::builder().scheme("https").authority(&*key.host).path_and_query("/?session");
        // What stands before an `@` is no host, and would be signed for whoever is behind it.
        let uri = uri.build().ok().filter(|_| !key.host.contains('@'));
        let uri = uri.ok_or_else(|| {
            invalid(format!("`{}` can be no host of a bucket", key.host.escape_debug()))
        })?;
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        if self.is_read_only {
            let mode = HeaderValue::from_static("ReadOnly");
            request.headers_mut().insert("x-amz-create-session-mode", mode);
        }
        let now = self.ports.clock().now();
        Signer::new(&*key.region, "s3express")
            .sign(&mut request, Payload::EMPTY, base, now)
            .map_err(|error| invalid(format!("{ACTION} could not be signed")).with_source(error))?;
        Ok(request)
    }

    /// What an answer that is no success means.
    fn failure(&self, key: &Key, base: &Credentials, response: &Response<Bytes>) -> ProviderError {
        let (host, status) = (key.host.escape_debug(), response.status());
        let Some(failure) = Failure::parse_in(&["Error"], response.body()) else {
            let message = format!(
                "{ACTION} failed: {host} answered with status {} and no error that can be read",
                status.as_u16()
            );
            return ProviderError::new(NAME, ProviderErrorKind::Failed, message);
        };
        if failure.is_one_of(&STALE) {
            self.base.invalidate(base.access_key_id());
        }
        let kind = if failure.is_one_of(&[DENIED]) {
            ProviderErrorKind::Refused
        } else if failure.is_one_of(&WRONG) {
            ProviderErrorKind::InvalidConfiguration
        } else {
            ProviderErrorKind::Failed
        };
        let text = failure.message_without(|text| gives_away(base, text));
        let message = format!("{ACTION} for {host} failed: {}: {text}", failure.name());
        ProviderError::new(NAME, kind, message)
    }
}

/// What a session is for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    region: String,
    access_key_id: String,
}

/// All sessions.
#[derive(Default)]
struct Table {
    sessions: HashMap<Key, Kept>,
    /// Counts who asked.
    turn: u64,
}

impl Table {
    /// Makes room: those that nobody waits for go first, and of them the one that was not asked for the
    /// longest.
    fn forget_one(&mut self) {
        let oldest = self.sessions.iter().min_by_key(|(_, kept)| (kept.is_driven(), kept.used));
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.sessions.remove(&key);
        }
    }

    /// Takes an answer into the table, if that is still there and still waits for it.
    fn settle(
        table: &Weak<Mutex<Table>>,
        key: &Key,
        turn: u64,
        answer: &Result<Credentials, ProviderError>,
        now: SystemTime,
    ) {
        let Some(table) = table.upgrade() else { return };
        let mut table = lock(&table);
        let kept = table.sessions.get_mut(key);
        let is_its = |kept: &&mut Kept| matches!(&kept.flight, Some((its, _)) if *its == turn);
        let Some(kept) = kept.filter(is_its) else { return };
        kept.flight = None;
        match answer {
            Ok(session) => {
                kept.session = Some(session.clone());
                kept.paused_until = None;
            }
            Err(error) => {
                tracing::debug!(%error, "a session was not replaced");
                kept.paused_until = Some(now + PAUSE);
            }
        }
    }
}

/// What there is for one key.
#[derive(Default)]
struct Kept {
    session: Option<Credentials>,
    /// The request for the next one, and the turn in which it began.
    flight: Option<(u64, Flight)>,
    /// Until when nobody asks ahead of time again.
    paused_until: Option<SystemTime>,
    /// The turn in which somebody asked last.
    used: u64,
}

impl Kept {
    /// The session, if one may go on with it.
    fn at_hand(&self, now: SystemTime) -> Option<&Credentials> {
        self.session.as_ref().filter(|session| is_good_for(session, now, LAST))
    }

    /// Whether somebody waits for a request under way, beside the table itself.
    fn is_driven(&self) -> bool {
        let count = self.flight.as_ref().and_then(|(_, flight)| flight.strong_count());
        count.is_some_and(|count| count > 1)
    }
}

/// A request under way. A clone waits for the same one.
type Flight = Shared<BoxFuture<'static, Result<Credentials, ProviderError>>>;

/// What there is to do for a session.
enum Joined {
    Done(Credentials),
    /// To wait, and if that brings nothing, to go on with the one at hand.
    Waiting(Flight),
}

fn is_good_for(session: &Credentials, now: SystemTime, least: Duration) -> bool {
    session.expires_at().is_none_or(|end| end > now + least)
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // Nobody panics between two steps that belong together.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The code by which S3 says that the base's credentials may not have a session.
const DENIED: &str = "AccessDenied";

/// Codes of errors that another bucket, region or key would mend, and asking again does not.
const WRONG: [&str; 5] = [
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "NoSuchBucket",
    "PermanentRedirect",
    "SignatureDoesNotMatch",
];

/// Codes of errors that may be over soon, whatever the status.
const PASSING: [&str; 5] =
    ["InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling"];

/// Codes by which S3 says that the base's credentials are no longer good.
const STALE: [&str; 2] = ["ExpiredToken", "InvalidToken"];

const NAME: &str = "s3_express";
const ACTION: &str = "CreateSession";
const MOST: usize = 100;
const TIMEOUT: Duration = Duration::from_secs(15);

/// So long before its end a session is replaced.
const AHEAD: Duration = Duration::from_secs(60);

/// So long before its end nobody goes on with it.
const LAST: Duration = Duration::from_secs(10);

/// So long nobody asks ahead of time after a failure.
const PAUSE: Duration = Duration::from_secs(5);
