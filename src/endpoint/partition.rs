//! The parts of AWS that share nothing with one another.

use std::fmt;

use super::table::PARTITIONS;

/// A part of AWS that shares neither accounts nor regions with the others.
///
/// ```
/// use countersign::endpoint::{Endpoint, Partition};
///
/// let endpoint = Endpoint::of("sqs.cn-north-1.amazonaws.com.cn", "/")?;
/// assert_eq!(endpoint.partition(), Partition::AwsCn);
/// assert_eq!(endpoint.partition().as_str(), "aws-cn");
/// # Ok::<(), countersign::endpoint::Unknown>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// China.
    AwsCn,
    /// The European Sovereign Cloud.
    AwsEusc,
    /// The isolated regions of the United States, top secret.
    AwsIso,
    /// The isolated regions of the United States, secret.
    AwsIsoB,
    /// The isolated regions in Europe.
    AwsIsoE,
    /// The isolated regions of the United States, third part.
    AwsIsoF,
    /// GovCloud in the United States.
    AwsUsGov,
}

impl Partition {
    /// The partition that has a region of this name.
    ///
    /// A region that nobody knows belongs to `aws`, which grows most.
    ///
    /// ```
    /// # use countersign::endpoint::Partition;
    /// assert_eq!(Partition::of_region("us-gov-west-1"), Partition::AwsUsGov);
    /// assert_eq!(Partition::of_region("eu-west-9"), Partition::Aws);
    /// ```
    pub fn of_region(region: &str) -> Partition {
        // The first begins with anything.
        let mut its = PARTITIONS.iter().skip(1);
        its.find(|(_, _, prefix, _)| region.starts_with(prefix))
            .map_or(Partition::Aws, |(partition, ..)| *partition)
    }

    /// The name as ARNs spell it: `aws`, `aws-cn`, `aws-us-gov` …
    pub fn as_str(self) -> &'static str {
        PARTITIONS[self as usize].1
    }

    /// The region for which its global services are signed.
    pub(super) fn global_region(self) -> &'static str {
        PARTITIONS[self as usize].3
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_stands_in_its_place() {
        for (index, (partition, name, prefix, region)) in PARTITIONS.iter().enumerate() {
            assert_eq!(*partition as usize, index, "{name}");
            assert!(region.starts_with(prefix), "{name}");
            assert_eq!(Partition::of_region(region), *partition, "{name}");
        }
    }
}
