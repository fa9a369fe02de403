//! What the host of a request says: the service and region to sign for.
//!
//! Who has a URL need not know a signing name. Most hosts of AWS name service and region, and where the
//! name that is signed is another (`email` is signed as `ses`, `runtime.sagemaker` as `sagemaker`), a
//! table has it, made of the models that AWS publishes. Regions are known by their shape, so those that do
//! not exist yet are known too.
//!
//! ```
//! use countersign::{Signer, endpoint::Endpoint};
//!
//! let endpoint = Endpoint::of("email.eu-west-1.amazonaws.com", "/v2/email/outbound-emails")?;
//! assert_eq!((endpoint.signing_name(), endpoint.region()), ("ses", "eu-west-1"));
//!
//! let signer = Signer::for_host("my.bucket.s3.dualstack.eu-west-3.amazonaws.com", "/cat.jpg")?;
//! assert_eq!((signer.service(), signer.region()), ("s3", "eu-west-3"));
//! # Ok::<(), countersign::endpoint::Unknown>(())
//! ```
//!
//! Known are, in every partition, the endpoints of all services with FIPS and dual stack, global
//! endpoints, interface endpoints (`vpce-….ec2.eu-west-1.vpce.amazonaws.com`), all forms of S3, and hosts
//! that services give out: of APIs, functions, domains, clusters, devices. What is not certain is never
//! guessed: it is [`Unknown`], which says what is missing. No call here allocates, but for that error.

mod find;
mod host;
mod partition;
mod region;
mod service;
mod table;
mod unknown;

use std::fmt;

use http::Uri;

pub use partition::Partition;
pub use unknown::{Candidate, Unknown, UnknownKind};

use crate::{Rules, Signer};
use find::Found;
use region::Region;
use unknown::Why;

/// The service and region behind a host.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    signing_name: &'static str,
    region: Region,
}

impl Endpoint {
    /// What an authority or the value of a `host` header says: a name, and perhaps a port.
    ///
    /// Case, port and a final dot make no difference. At few hosts the path decides: requests to `/mqtt`
    /// of IoT are for its device gateway. Without a path, give `/`.
    ///
    /// # Errors
    /// [`Unknown`], whose [kind](Unknown::kind) tells whether the host is not AWS's, is not known, or
    /// leaves the region open.
    ///
    /// ```
    /// use countersign::endpoint::Endpoint;
    ///
    /// let signing_name = |host, path| Endpoint::of(host, path).map(|endpoint| endpoint.signing_name());
    /// assert_eq!(signing_name("sts.amazonaws.com", "/"), Ok("sts"));
    /// assert_eq!(signing_name("a1b2c3-ats.iot.eu-west-1.amazonaws.com", "/mqtt"), Ok("iotdevicegateway"));
    /// assert!(signing_name("localhost:9000", "/").is_err());
    /// ```
    pub fn of(authority: &str, path: &str) -> Result<Endpoint, Unknown> {
        match find::find(authority, path) {
            Ok(Found { signing_name, region }) => Ok(Endpoint { signing_name, region }),
            Err(why) => Err(Unknown::new(authority, why)),
        }
    }

    /// What a URL says.
    ///
    /// # Errors
    /// As [`Endpoint::of`]; a URL without a host is [`UnknownKind::InvalidHost`].
    ///
    /// ```
    /// use countersign::{Rules, endpoint::Endpoint};
    ///
    /// let uri = "https://bucket.s3.amazonaws.com/cat.jpg".parse()?;
    /// let endpoint = Endpoint::of_uri(&uri)?;
    /// assert_eq!((endpoint.region(), endpoint.rules()), ("us-east-1", Rules::S3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_uri(uri: &Uri) -> Result<Endpoint, Unknown> {
        match uri.authority() {
            Some(authority) => Endpoint::of(authority.as_str(), uri.path()),
            None => Err(Unknown::new("", Why::InvalidHost("is missing, for the URL is relative"))),
        }
    }

    /// The name of the service in the scope.
    pub fn signing_name(&self) -> &'static str {
        self.signing_name
    }

    /// The region in the scope.
    pub fn region(&self) -> &str {
        self.region.as_str()
    }

    /// The partition of that region.
    pub fn partition(&self) -> Partition {
        self.region.partition()
    }

    /// The rules of the service.
    pub fn rules(&self) -> Rules {
        Rules::for_service(self.signing_name)
    }

    /// A signer for the service and region.
    ///
    /// Keep it, for it caches keys; other hosts of the same service and region can share it.
    ///
    /// ```
    /// # use countersign::endpoint::Endpoint;
    /// let signer = Endpoint::of("sqs.us-east-2.amazonaws.com", "/")?.signer();
    /// assert_eq!((signer.service(), signer.region()), ("sqs", "us-east-2"));
    /// # Ok::<(), countersign::endpoint::Unknown>(())
    /// ```
    pub fn signer(&self) -> Signer {
        Signer::new(self.region(), self.signing_name)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("signing_name", &self.signing_name)
            .field("region", &self.region)
            .field("partition", &self.partition())
            .finish()
    }
}

impl Signer {
    /// A signer for the service and region that a host names.
    ///
    /// # Errors
    /// As [`Endpoint::of`].
    ///
    /// ```
    /// use countersign::Signer;
    ///
    /// let signer = Signer::for_host("abc.lambda-url.eu-central-1.on.aws", "/")?;
    /// assert_eq!((signer.service(), signer.region()), ("lambda", "eu-central-1"));
    /// # Ok::<(), countersign::endpoint::Unknown>(())
    /// ```
    pub fn for_host(authority: &str, path: &str) -> Result<Signer, Unknown> {
        Endpoint::of(authority, path).map(|endpoint| endpoint.signer())
    }

    /// A signer for the service and region that a URL names.
    ///
    /// # Errors
    /// As [`Endpoint::of_uri`].
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Credentials, Payload, Signer};
    ///
    /// let mut request = http::Request::get("https://ec2.eu-west-1.amazonaws.com/?Action=DescribeVpcs")
    ///     .body(())?;
    /// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// let signer = Signer::for_uri(request.uri())?;
    /// signer.sign(&mut request, Payload::EMPTY, &credentials, SystemTime::now())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_uri(uri: &Uri) -> Result<Signer, Unknown> {
        Endpoint::of_uri(uri).map(|endpoint| endpoint.signer())
    }
}
