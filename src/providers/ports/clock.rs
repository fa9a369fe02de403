//! The time, as providers see it.

use std::{
    future,
    time::{Duration, SystemTime},
};

use crate::providers::BoxFuture;

/// A clock, and a way to wait.
///
/// A [`SystemTime`] is a clock that stands still; waiting by it is over at once.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::providers::Clock;
///
/// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// assert_eq!(at.now(), at);
/// ```
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> SystemTime;

    /// Is done when this much time has passed. Providers wait so between two attempts, and for
    /// nothing else.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

impl Clock for SystemTime {
    fn now(&self) -> SystemTime {
        *self
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }
}
