//! How far the clock of a service is ahead of ours, by the answers it gives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::header::{AGE, DATE, HeaderMap};

use super::Clock;
use crate::Timestamp;

/// How far the clock of a service is ahead of the one of this machine, learnt from the `Date` of its
/// answers.
///
/// A signature is refused if its time is more than some minutes off (`RequestTimeTooSkewed`,
/// `SignatureDoesNotMatch`). A client that signs at [`now`](Skew::now) and feeds each answer to
/// [`observe`](Skew::observe) is right from the second request on, whatever its clock says.
///
/// A date tells the second in which an answer was written, between sending the request and receiving
/// the answer. An answer that agrees with what is known changes nothing, so a clock that is right stays
/// untouched. One that contradicts it sets the skew to the middle of what it allows.
///
/// Clones share what they learnt, and any number of threads may feed and read it: it is one atomic
/// number. Keep one for each service, and feed it with answers that came from there alone, over TLS:
/// whoever can forge a date decides when signatures begin to hold.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::providers::Skew;
/// use http::HeaderMap;
///
/// let skew = Skew::new();
/// let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_177);
/// let received = sent + Duration::from_secs(1);
/// assert_eq!(skew.now(&sent), sent);
///
/// // By this machine it is 08:39:37; the service says otherwise.
/// let mut headers = HeaderMap::new();
/// headers.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse()?);
/// skew.observe(&headers, sent, received);
/// let three_hours = Duration::from_secs(3 * 60 * 60);
/// assert_eq!(skew.now(&(sent + three_hours)), sent + three_hours + Duration::from_secs(600));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Skew(Arc<AtomicI64>);

impl Skew {
    /// No skew, until an answer tells of one.
    pub fn new() -> Skew {
        Skew::default()
    }

    /// Learns from the headers of an answer, and the moments by the clock of this machine at which its
    /// request was sent and it was received.
    ///
    /// Tells nothing: an answer with an `Age` (a cache wrote it down earlier), without a single `Date`
    /// in the form of HTTP (RFC 9110, §5.6.7), or received before it was sent, as when the clock was set.
    pub fn observe(&self, headers: &HeaderMap, sent: SystemTime, received: SystemTime) {
        let Some((least, most)) = allowed(headers, sent, received) else {
            return;
        };
        if !(least..=most).contains(&self.0.load(Ordering::Relaxed)) {
            self.0.store(least.midpoint(most), Ordering::Relaxed);
        }
    }

    /// The time at the service, if it is now by this clock.
    ///
    /// ```
    /// use countersign::providers::{Ports, Skew};
    ///
    /// let ports = Ports::system();
    /// let at = Skew::new().now(ports.clock());
    /// # let _ = at;
    /// ```
    pub fn now(&self, clock: &dyn Clock) -> SystemTime {
        let now = clock.now();
        let skew = self.0.load(Ordering::Relaxed);
        let length = Duration::from_millis(skew.unsigned_abs());
        let there = if skew < 0 { now.checked_sub(length) } else { now.checked_add(length) };
        there.unwrap_or(now)
    }
}

/// The least and the most skew, in milliseconds, by which an answer can have its date.
fn allowed(headers: &HeaderMap, sent: SystemTime, received: SystemTime) -> Option<(i64, i64)> {
    let mut dates = headers.get_all(DATE).iter();
    let (date, None) = (dates.next()?, dates.next()) else {
        return None;
    };
    if headers.contains_key(AGE) || received < sent {
        return None;
    }
    let date = SystemTime::from(Timestamp::from_http(date.to_str().ok()?)?);
    Some((ahead(date, received)?, ahead(date.checked_add(SECOND)?, sent)?))
}

/// How many milliseconds one moment is ahead of another.
fn ahead(there: SystemTime, here: SystemTime) -> Option<i64> {
    match there.duration_since(here) {
        Ok(ahead) => i64::try_from(ahead.as_millis()).ok(),
        Err(behind) => i64::try_from(behind.duration().as_millis()).ok().map(|ms| -ms),
    }
}

/// What a date leaves open.
const SECOND: Duration = Duration::from_secs(1);
