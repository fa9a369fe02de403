//! How long a presigned URL holds.

use std::time::{Duration, SystemTime};

use crate::{Error, ErrorKind, Payload};

/// How long a presigned URL holds, and for which body.
///
/// ```
/// use std::time::Duration;
/// use countersign::{Payload, Presign};
///
/// let presign = Presign::expires_in(Duration::from_secs(900)).with_payload(Payload::hash("meow"));
/// # let _ = presign;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Presign {
    pub(crate) expires_in: Duration,
    pub(crate) payload: Option<Payload>,
}

impl Presign {
    /// A URL that holds for this long: whole seconds from 1 to 604800, a week.
    ///
    /// Its body is unsigned for the S3 family and empty for all other services, unless said otherwise.
    pub fn expires_in(duration: Duration) -> Presign {
        Presign { expires_in: duration, payload: None }
    }

    /// The same for a request with a body that is known now.
    ///
    /// S3 looks at the body of a presigned request only if the request has `x-amz-content-sha256`, so
    /// give it that header too: any value, signing sets the right one, and whoever uses the URL sends it.
    #[must_use]
    pub fn with_payload(self, payload: Payload) -> Presign {
        Presign { payload: Some(payload), ..self }
    }

    pub(crate) fn seconds(&self) -> Result<u32, Error> {
        let seconds = self.expires_in.as_secs();
        let whole = self.expires_in.subsec_nanos() == 0;
        u32::try_from(seconds).ok().filter(|s| whole && (1..=WEEK).contains(s)).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidExpiry,
                format!(
                    "a presigned URL cannot expire in {} seconds: it holds for a whole number of \
                     them, from 1 to {WEEK}",
                    self.expires_in.as_secs_f64()
                ),
            )
        })
    }
}

/// How long a presigned URL really holds.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::{Credentials, Presign, Signer};
///
/// let now = SystemTime::now();
/// let soon = now + Duration::from_secs(60);
/// let credentials = Credentials::new("ASIAEXAMPLE", "secret").with_expires_at(soon);
/// let mut get = http::Request::get("https://bucket.s3.amazonaws.com/cat.jpg").body(())?;
/// let life = Signer::new("us-east-1", "s3")
///     .presign(&mut get, Presign::expires_in(Duration::from_secs(900)), &credentials, now)?;
/// assert_eq!(life.cut_short_at(), Some(soon));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub(crate) expires_at: SystemTime,
    pub(crate) credentials_expire_at: Option<SystemTime>,
}

impl Life {
    /// The moment that the URL names as its end.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// The moment at which the credentials expire and the URL with them, if that comes first: worth a
    /// warning to the user.
    pub fn cut_short_at(&self) -> Option<SystemTime> {
        self.credentials_expire_at.filter(|at| *at < self.expires_at)
    }
}

/// The longest life of a presigned URL, in seconds.
const WEEK: u32 = 604_800;
