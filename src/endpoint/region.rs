//! Regions, known by their shape.

use std::fmt;

/// The name of a region, held in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Region {
    bytes: [u8; LONGEST],
    len: u8,
}

/// Longer than any region is, and than any that its shape lets expect.
const LONGEST: usize = 24;

impl Region {
    /// A label that has the shape of a region: `eu-central-1`, `us-gov-west-1`, `eusc-de-east-1`.
    pub(super) fn parse(label: &str) -> Option<Region> {
        // Almost no label ends in a digit behind a hyphen, and all regions do.
        let number = label.rfind('-').map(|hyphen| &label.as_bytes()[hyphen + 1..])?;
        if !matches!(number, [b'0'..=b'9'] | [b'1'..=b'9', b'0'..=b'9']) || label.len() > LONGEST {
            return None;
        }
        let words = &label[..label.len() - number.len() - 1];
        let mut count = 0;
        for word in words.split('-') {
            // What it lies in, as a country, comes first.
            let is_short = count > 0 || (2..=4).contains(&word.len());
            if word.is_empty() || !is_short || !word.bytes().all(|b| b.is_ascii_lowercase()) {
                return None;
            }
            count += 1;
        }
        (2..=4).contains(&count).then(|| Region::held(label))
    }

    /// A region that the table names.
    pub(super) fn known(name: &'static str) -> Region {
        Region::held(name)
    }

    fn held(name: &str) -> Region {
        let mut bytes = [0; LONGEST];
        let len = name.len().min(LONGEST);
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Region { bytes, len: len as u8 }
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)])
            .expect("a region is made of an ASCII name")
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::table::{PARTITIONS, REGIONS};

    #[test]
    fn regions_are_known_by_their_shape() {
        for name in [
            "us-east-1",
            "ap-southeast-12",
            "us-gov-west-1",
            "us-isob-east-1",
            "eusc-de-east-1",
            "zz-newplace-1",
        ] {
            assert_eq!(Region::parse(name).as_ref().map(Region::as_str), Some(name));
        }
        for label in [
            "",
            "-",
            "s3",
            "us-east",
            "us-east-",
            "us-east-0x",
            "us-east-01",
            "us-east-123",
            "us--east-1",
            "-east-1",
            "US-east-1",
            "service-east-1",
            "route53-east-1",
            "a-b-1",
            "us-1",
            "us-a-b-c-d-1",
            "ap-averyveryverylongname-1",
            "s3-external-1",
        ] {
            assert_eq!(Region::parse(label), None, "{label}");
        }
    }

    #[test]
    fn the_regions_of_the_table_can_be_held() {
        let named = REGIONS.iter().flat_map(|(_, regions)| regions.iter().copied());
        for name in named.chain(PARTITIONS.iter().map(|partition| partition.3)) {
            assert_eq!(Region::known(name).as_str(), name);
        }
    }
}
