//! Regions, known by their shape.

use std::fmt;

use super::partition::Partition;

/// The name of a region, held in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Region {
    bytes: [u8; LONGEST],
    len: u8,
    partition: Partition,
}

/// Longer than any region is, and than any that its shape lets expect.
const LONGEST: usize = 24;

impl Region {
    /// A label that has the shape of a region: `eu-central-1`, `us-gov-west-1`, `eusc-de-east-1`.
    pub(super) fn parse(label: &str) -> Option<Region> {
        // Almost no label ends in a digit behind a hyphen, and all regions do.
        let words = match label.as_bytes() {
            [words @ .., b'-', b'0'..=b'9'] => words,
            [words @ .., b'-', b'1'..=b'9', b'0'..=b'9'] => words,
            _ => return None,
        };
        if label.len() > LONGEST {
            return None;
        }
        let (mut hyphens, mut word) = (0, 0);
        for byte in words {
            match byte {
                b'a'..=b'z' => word += 1,
                // What it lies in, as a country, comes first.
                b'-' if word > 0 && (hyphens > 0 || (2..=4).contains(&word)) => {
                    (hyphens, word) = (hyphens + 1, 0);
                }
                _ => return None,
            }
        }
        (word > 0 && (1..=3).contains(&hyphens)).then(|| Region::held(label))
    }

    /// A region that the table names.
    pub(super) fn known(name: &'static str) -> Region {
        Region::held(name)
    }

    fn held(name: &str) -> Region {
        let mut bytes = [0; LONGEST];
        let len = name.len().min(LONGEST);
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Region { bytes, len: len as u8, partition: Partition::of_region(name) }
    }

    pub(super) fn partition(&self) -> Partition {
        self.partition
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
        for name in named.chain(PARTITIONS.iter().map(|area| area.global_region)) {
            assert_eq!(Region::known(name).as_str(), name);
        }
    }
}
