//! Layers for [tower](https://docs.rs/tower): a server verifies with [`VerifyLayer`], a client signs
//! with [`SignLayer`].
//!
//! # Where they belong
//!
//! - **[`SignLayer`] inside a retry layer**, next to the client, so that each attempt is signed anew: a
//!   signature holds for a quarter of an hour, and credentials change.
//! - **[`VerifyLayer`] outside of what changes the request.** The signature covers the path as the client
//!   sent it, and axum's `nest` strips a part of that before inner layers see it; so put the layer around
//!   the outermost `Router`.
//! - **Redirects off**, in reqwest and other clients that follow them below the layer: they would carry
//!   the signature and the session token to whatever host answers, and sign nothing anew.
//! - Nothing between [`SignLayer`] and the wire, or between the wire and [`VerifyLayer`], may change
//!   method, path, query, a signed header or the body.
//!
//! Both layers are `Clone`, name no runtime, and lose nothing when their futures are dropped.

mod body;
mod sign;
mod verify;

use std::{error::Error, fmt, sync::Arc, time::SystemTime};

pub use body::Body;
pub use sign::{LongBody, Sign, SignError, SignLayer};
pub use verify::{KeyFound, LookUp, Refused, Verify, VerifyLayer};

/// An error of any type, as tower's own middleware returns it.
///
/// ```
/// let error: countersign::tower::BoxError = "any".into();
/// assert_eq!(error.to_string(), "any");
/// ```
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What tells the time.
#[derive(Clone)]
struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    fn system() -> Clock {
        Clock::new(SystemTime::now)
    }

    fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// How much of a body is held in memory, unless it is set otherwise: 2 MiB.
const BODY_LIMIT: usize = 2 << 20;
