//! Where and when a signature holds.

use std::fmt;

use crate::{Error, ErrorKind, Timestamp};

/// A credential scope: date, region and service, written `20150830/us-east-1/iam/aws4_request`.
///
/// The scope of a SigV4A signature names no region: `20150830/iam/aws4_request`.
///
/// ```
/// use countersign::Scope;
///
/// let at = "20150830T123600Z".parse()?;
/// let scope = Scope::new(at, "us-east-1", "iam")?;
/// assert_eq!(scope.to_string(), "20150830/us-east-1/iam/aws4_request");
/// assert_eq!(Scope::parse("20150830/us-east-1/iam/aws4_request")?, scope);
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope<'a> {
    date: [u8; 8],
    region: &'a str,
    service: &'a str,
}

/// The last part of each scope.
const TERMINATOR: &str = "aws4_request";

impl<'a> Scope<'a> {
    /// The scope of a signature made at `at`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidScope`] if the region or service is empty, or holds `/`, `,` or a control byte.
    pub fn new(at: Timestamp, region: &'a str, service: &'a str) -> Result<Scope<'a>, Error> {
        check_name("region", region)?;
        check_name("service", service)?;
        Ok(Scope::new_unchecked(at, region, service))
    }

    /// The scope of a SigV4A signature made at `at`: it names no region.
    ///
    /// ```
    /// # use countersign::Scope;
    /// let scope = Scope::without_region("20150830T123600Z".parse()?, "s3")?;
    /// assert_eq!(scope.to_string(), "20150830/s3/aws4_request");
    /// # Ok::<(), countersign::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidScope`] if the service is empty, or holds `/`, `,` or a control byte.
    pub fn without_region(at: Timestamp, service: &'a str) -> Result<Scope<'a>, Error> {
        check_name("service", service)?;
        Ok(Scope::new_unchecked(at, "", service))
    }

    /// The scope of names that were checked before; no region is an empty one.
    pub(crate) fn new_unchecked(at: Timestamp, region: &'a str, service: &'a str) -> Scope<'a> {
        Scope { date: *at.day(), region, service }
    }

    /// Reads a scope as it stands in an Authorization header.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidScope`] if it is not a date, a region or none, a service and `aws4_request`.
    pub fn parse(text: &'a str) -> Result<Scope<'a>, Error> {
        let mut parts = text.split('/');
        let mut next = || parts.next();
        let (date, region, service) = match (next(), next(), next(), next(), next()) {
            (Some(date), Some(region), Some(service), Some(TERMINATOR), None) => {
                (date, Some(region), service)
            }
            (Some(date), Some(service), Some(TERMINATOR), None, None) => (date, None, service),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidScope,
                    format!(
                        "`{}` is not a credential scope like 20150830/us-east-1/iam/aws4_request",
                        text.escape_debug()
                    ),
                ));
            }
        };
        let date = <[u8; 8]>::try_from(date.as_bytes())
            .ok()
            .filter(|date| date.iter().all(u8::is_ascii_digit))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidScope,
                    format!(
                        "`{}` in a credential scope is not a date like 20150830",
                        date.escape_debug()
                    ),
                )
            })?;
        region.map_or(Ok(()), |region| check_name("region", region))?;
        check_name("service", service)?;
        Ok(Scope { date, region: region.unwrap_or_default(), service })
    }

    /// The day of the signature in UTC, eight digits.
    pub fn date(&self) -> &str {
        std::str::from_utf8(&self.date).expect("a Scope's date is ASCII digits")
    }

    /// The region in which the signature holds; empty in the scope of a SigV4A signature.
    pub fn region(&self) -> &'a str {
        self.region
    }

    /// The signing name of the service for which the signature holds.
    pub fn service(&self) -> &'a str {
        self.service
    }

    /// The four parts as text.
    pub(crate) fn parts(&self) -> [&str; 4] {
        [self.date(), self.region, self.service, TERMINATOR]
    }

    /// At least as many bytes as [`Scope::write`] appends.
    pub(crate) fn text_len(&self) -> usize {
        self.date.len() + self.region.len() + self.service.len() + TERMINATOR.len() + 3
    }

    /// Appends the scope as text.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write(&self.date, self.region.as_bytes(), self.service.as_bytes(), out);
    }
}

/// Appends a scope of these parts as text; no region is an empty one.
#[inline]
pub(crate) fn write(date: &[u8; 8], region: &[u8], service: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(date);
    if !region.is_empty() {
        out.push(b'/');
        out.extend_from_slice(region);
    }
    for part in [service, TERMINATOR.as_bytes()] {
        out.push(b'/');
        out.extend_from_slice(part);
    }
}

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.region {
            "" => write!(f, "{}/{}/{TERMINATOR}", self.date(), self.service),
            region => write!(f, "{}/{region}/{}/{TERMINATOR}", self.date(), self.service),
        }
    }
}

/// Whether a region or service may stand in a scope, and that in an Authorization header.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    check(what, name, |c| matches!(c, '/' | ',') || c.is_ascii_control())
}

/// Whether a set of regions, which has commas between them, can be sent.
pub(crate) fn check_region_set(set: &str) -> Result<(), Error> {
    check("region set", set, |c| c == '/' || c.is_ascii_control())
}

fn check(what: &str, name: &str, is_bad: impl Fn(char) -> bool) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::InvalidScope, format!("the {what} is empty")));
    }
    match name.chars().find(|&c| is_bad(c)) {
        Some(bad) => Err(Error::new(
            ErrorKind::InvalidScope,
            format!(
                "the {what} `{}` contains {bad:?}, which a credential scope cannot hold",
                name.escape_debug()
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_back_with_a_region_and_without() {
        for text in ["20150830/us-east-1/iam/aws4_request", "20150830/iam/aws4_request"] {
            let scope = Scope::parse(text).expect("a scope");
            let mut written = Vec::new();
            scope.write(&mut written);
            assert_eq!((&*scope.to_string(), &*written), (text, text.as_bytes()));
            assert!(written.len() <= scope.text_len());
        }
    }

    #[test]
    fn text_that_is_no_scope_is_refused() {
        for text in [
            "",
            "20150830/us-east-1/iam",
            "20150830/aws4_request",
            "20150830//aws4_request",
            "20150830/us-east-1/iam/aws4_request/",
            "20150830/us-east-1/iam/aws4",
            "2015083/us-east-1/iam/aws4_request",
            "2015083x/us-east-1/iam/aws4_request",
            "20150830//iam/aws4_request",
            "20150830/us-east-1//aws4_request",
            "20150830/us\neast/iam/aws4_request",
            "20150830/us-east-1,eu-west-1/iam/aws4_request",
        ] {
            assert!(Scope::parse(text).is_err(), "{text:?}");
        }
    }
}
