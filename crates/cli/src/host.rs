//! Where a request goes, and what follows from that where no option says it.

use std::str;

use countersign::{
    Head, Headers,
    endpoint::{Candidate, Endpoint, Partition, Unknown, UnknownKind},
};

use crate::failure::Failure;

/// The host of a request and its path, which at few hosts tells services apart.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) authority: String,
    pub(crate) path: String,
}

impl Target {
    /// A host, a host with a path, or a URL.
    pub(crate) fn parse(text: &str) -> Target {
        let text = text.split_once("://").map_or(text, |(_, text)| text);
        let end = text.find(['/', '?', '#']).unwrap_or(text.len());
        let path = text[end..].split(['?', '#']).next().unwrap_or_default();
        Target { authority: text[..end].to_owned(), path: path.to_owned() }
    }

    /// Where a request goes, if that is text: to the Host header's host, else the URL's.
    pub(crate) fn of(url: &[u8], headers: &[(&[u8], &[u8])]) -> Option<Target> {
        let head = Head::parse(b"GET", url, Headers::Pairs(&[])).ok();
        let authority = head.and_then(|head| head.authority);
        Target::new(authority, head.map_or(&b""[..], |head| head.path), headers)
    }

    /// The same for a request whose URL was taken apart.
    pub(crate) fn of_head(head: Head<'_>) -> Option<Target> {
        let Headers::Pairs(headers) = head.headers else { return None };
        Target::new(head.authority, head.path, headers)
    }

    fn new(authority: Option<&[u8]>, path: &[u8], headers: &[(&[u8], &[u8])]) -> Option<Target> {
        let header = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"host"));
        let authority = header.map(|(_, value)| *value).or(authority)?;
        let authority = str::from_utf8(authority).ok()?;
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host).trim();
        Some(Target {
            authority: authority.to_owned(),
            path: String::from_utf8_lossy(path).into_owned(),
        })
    }

    pub(crate) fn endpoint(&self) -> Result<Endpoint, Unknown> {
        Endpoint::of(&self.authority, &self.path)
    }
}

/// The region to sign for at a host, where no option names it: the host's own, else the user's.
///
/// Of the regions that a host has for several partitions it is the one of the user's partition.
pub(crate) fn region(
    endpoint: &Result<Endpoint, Unknown>,
    of_user: impl FnOnce() -> Result<Option<String>, Failure>,
) -> Result<Option<String>, Failure> {
    let unknown = match endpoint {
        Ok(endpoint) => return Ok(Some(endpoint.region().to_owned())),
        Err(unknown) => unknown,
    };
    if let Some(region) = unknown.region() {
        return Ok(Some(region.to_owned()));
    }
    match unknown.kind() {
        UnknownKind::RegionSet => Ok(None),
        UnknownKind::Ambiguous => {
            let Some(region) = of_user()? else { return Ok(None) };
            let partition = Partition::of_region(&region);
            let mut fits = unknown.candidates().map(Candidate::region);
            Ok(fits.find(|region| Partition::of_region(region) == partition).map(str::to_owned))
        }
        _ => of_user(),
    }
}

/// What is missing, and the options that give it.
pub(crate) fn refusal(unknown: &Unknown) -> Failure {
    let options = match unknown.kind() {
        UnknownKind::Ambiguous | UnknownKind::MissingRegion => {
            " (--region, AWS_REGION or a region in the profile)"
        }
        UnknownKind::Foreign => " (--service, --region)",
        UnknownKind::RegionSet => " (--region-set)",
        UnknownKind::UnknownService => " (--service)",
        _ => "",
    };
    Failure::input(format_args!("{unknown}{options}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region_of(host: &str, of_user: Option<&str>) -> Option<String> {
        let endpoint = Target::parse(host).endpoint();
        region(&endpoint, || Ok(of_user.map(str::to_owned))).expect("no file is read")
    }

    #[test]
    fn a_target_is_written_as_a_host_or_as_a_url() {
        for (text, authority, path) in [
            ("iam.amazonaws.com", "iam.amazonaws.com", ""),
            (
                "a-ats.iot.eu-west-1.amazonaws.com/mqtt",
                "a-ats.iot.eu-west-1.amazonaws.com",
                "/mqtt",
            ),
            ("https://iam.amazonaws.com:443/a?b=/c", "iam.amazonaws.com:443", "/a"),
            ("https://iam.amazonaws.com?b=/c", "iam.amazonaws.com", ""),
        ] {
            let target = Target::parse(text);
            assert_eq!((&*target.authority, &*target.path), (authority, path));
        }
    }

    #[test]
    fn the_host_s_region_goes_before_the_user_s() {
        for (host, of_user, expected) in [
            ("sqs.eu-west-1.amazonaws.com", Some("us-east-2"), Some("eu-west-1")),
            ("newest.eu-west-1.amazonaws.com", Some("us-east-2"), Some("eu-west-1")),
            ("b.s3-accelerate.amazonaws.com", Some("us-east-2"), Some("us-east-2")),
            ("b.s3-accelerate.amazonaws.com", None, None),
            ("localhost:9000", Some("us-east-2"), Some("us-east-2")),
            ("cloudfront.amazonaws.com", Some("eu-central-1"), Some("us-east-1")),
            ("cloudfront.amazonaws.com", Some("us-gov-east-1"), Some("us-gov-west-1")),
            ("cloudfront.amazonaws.com", Some("cn-north-1"), None),
            ("cloudfront.amazonaws.com", None, None),
            ("a.mrap.accesspoint.s3-global.amazonaws.com", Some("us-east-2"), None),
        ] {
            assert_eq!(region_of(host, of_user).as_deref(), expected, "{host} {of_user:?}");
        }
    }
}
