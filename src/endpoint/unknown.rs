//! Why a host does not say what is to be signed.

use std::fmt;

use super::region::Region;

/// A host that does not say for which service and region requests to it are signed.
///
/// What the host does say is there all the same: a signing name without a region, a region without a
/// signing name, or the [candidates](Unknown::candidates) of which one must be chosen.
///
/// ```
/// use countersign::endpoint::{Endpoint, UnknownKind};
///
/// let unknown = Endpoint::of("bucket.s3-accelerate.amazonaws.com", "/cat.jpg").unwrap_err();
/// assert_eq!(unknown.kind(), UnknownKind::MissingRegion);
/// assert_eq!(unknown.signing_name(), Some("s3"));
///
/// let unknown = Endpoint::of("newest.eu-west-1.amazonaws.com", "/").unwrap_err();
/// assert_eq!(unknown.kind(), UnknownKind::UnknownService);
/// assert_eq!(unknown.region(), Some("eu-west-1"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    authority: Box<str>,
    why: Why,
}

/// What is the matter with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownKind {
    /// Requests are signed in more ways than one, and neither host nor path tells in which.
    Ambiguous,
    /// The host is not AWS's.
    Foreign,
    /// No name that a host can have.
    InvalidHost,
    /// The service is known and its region is not.
    MissingRegion,
    /// Signatures hold for a set of regions: they are made by SigV4A.
    RegionSet,
    /// What is behind the host takes no signed requests.
    Unsigned,
    /// The host is AWS's, and its service is not in the table.
    UnknownService,
}

/// One of the ways to sign for a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    signing_name: &'static str,
    region: &'static str,
}

impl Candidate {
    /// The signing name of the service.
    pub fn signing_name(self) -> &'static str {
        self.signing_name
    }

    /// The region.
    pub fn region(self) -> &'static str {
        self.region
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Ambiguous { signing_name: &'static str, regions: &'static [&'static str] },
    Foreign,
    InvalidHost(&'static str),
    MissingRegion { signing_name: &'static str },
    RegionSet { signing_name: &'static str },
    Unsigned { reason: &'static str, region: Option<Region> },
    UnknownService { region: Option<Region> },
}

impl Unknown {
    pub(super) fn new(authority: &str, why: Why) -> Unknown {
        // What stands before an `@` may be secret, and what is too long is no help.
        let authority = if matches!(why, Why::InvalidHost(_)) { "" } else { authority };
        Unknown { authority: authority.into(), why }
    }

    /// What is the matter.
    pub fn kind(&self) -> UnknownKind {
        match self.why {
            Why::Ambiguous { .. } => UnknownKind::Ambiguous,
            Why::Foreign => UnknownKind::Foreign,
            Why::InvalidHost(_) => UnknownKind::InvalidHost,
            Why::MissingRegion { .. } => UnknownKind::MissingRegion,
            Why::RegionSet { .. } => UnknownKind::RegionSet,
            Why::Unsigned { .. } => UnknownKind::Unsigned,
            Why::UnknownService { .. } => UnknownKind::UnknownService,
        }
    }

    /// The signing name, if the host says so much.
    pub fn signing_name(&self) -> Option<&'static str> {
        match self.why {
            Why::Ambiguous { signing_name, .. }
            | Why::MissingRegion { signing_name }
            | Why::RegionSet { signing_name } => Some(signing_name),
            Why::Foreign
            | Why::InvalidHost(_)
            | Why::Unsigned { .. }
            | Why::UnknownService { .. } => None,
        }
    }

    /// The region, if the host says so much.
    pub fn region(&self) -> Option<&str> {
        match &self.why {
            Why::Unsigned { region, .. } | Why::UnknownService { region } => {
                region.as_ref().map(Region::as_str)
            }
            _ => None,
        }
    }

    /// The ways to sign of which one must be chosen; none unless the host is ambiguous.
    ///
    /// ```
    /// use countersign::endpoint::Endpoint;
    ///
    /// let unknown = Endpoint::of("cloudfront.amazonaws.com", "/").unwrap_err();
    /// let regions: Vec<_> = unknown.candidates().map(|candidate| candidate.region()).collect();
    /// assert_eq!(regions, ["us-east-1", "us-gov-west-1"]);
    /// ```
    pub fn candidates(&self) -> impl ExactSizeIterator<Item = Candidate> + use<> {
        let (signing_name, regions) = match self.why {
            Why::Ambiguous { signing_name, regions } => (signing_name, regions),
            _ => ("", &[][..]),
        };
        regions.iter().map(move |region| Candidate { signing_name, region })
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.authority.escape_debug();
        match self.why {
            Why::Ambiguous { signing_name, regions } => {
                write!(f, "`{host}` is signed as {signing_name} for ")?;
                for (index, region) in regions.iter().enumerate() {
                    let between = match index {
                        0 => "",
                        _ if index + 1 == regions.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{between}{region}")?;
                }
                f.write_str(", which it does not tell: name the region")
            }
            Why::Foreign => write!(
                f,
                "`{host}` is no host of AWS's, so it does not say which service is meant: name the \
                 service and the region"
            ),
            Why::InvalidHost(problem) => write!(f, "the host {problem}"),
            Why::MissingRegion { signing_name } => write!(
                f,
                "`{host}` is signed as {signing_name} for a region that it does not tell: name the \
                 region"
            ),
            Why::RegionSet { signing_name } => write!(
                f,
                "`{host}` is signed as {signing_name} for a set of regions: sign by SigV4A, and name \
                 the set"
            ),
            Why::Unsigned { reason, .. } => {
                write!(f, "`{host}` takes no signed requests: {reason}")
            }
            Why::UnknownService { .. } => write!(
                f,
                "`{host}` is a host of AWS's, and whose is not known here: name the service"
            ),
        }
    }
}

impl std::error::Error for Unknown {}
