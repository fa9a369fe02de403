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
        its.find(|area| region.starts_with(area.regions))
            .map_or(Partition::Aws, |area| area.partition)
    }

    /// The partition of this name.
    ///
    /// ```
    /// # use countersign::endpoint::Partition;
    /// assert_eq!(Partition::from_name("aws-us-gov"), Some(Partition::AwsUsGov));
    /// assert_eq!(Partition::from_name("aws-moon"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Partition> {
        PARTITIONS.iter().find(|area| area.name == name).map(|area| area.partition)
    }

    /// The name as ARNs spell it: `aws`, `aws-cn`, `aws-us-gov` …
    pub fn as_str(self) -> &'static str {
        self.area().name
    }

    /// What the names of hosts end with, but for those with IPv6 addresses.
    ///
    /// ```
    /// # use countersign::endpoint::Partition;
    /// assert_eq!(Partition::of_region("cn-north-1").dns_suffix(), "amazonaws.com.cn");
    /// ```
    pub fn dns_suffix(self) -> &'static str {
        self.area().dns_suffix
    }

    /// What the names of hosts end with that have IPv6 addresses too.
    ///
    /// ```
    /// # use countersign::endpoint::Partition;
    /// assert_eq!(Partition::Aws.dual_stack_suffix(), "api.aws");
    /// ```
    pub fn dual_stack_suffix(self) -> &'static str {
        self.area().dual_stack_suffix
    }

    /// The region for which its global services are signed.
    pub(super) fn global_region(self) -> &'static str {
        self.area().global_region
    }

    fn area(self) -> &'static Area {
        &PARTITIONS[self as usize]
    }
}

/// What there is to know of a partition.
pub(super) struct Area {
    pub(super) partition: Partition,
    pub(super) name: &'static str,
    /// What the names of its regions begin with.
    pub(super) regions: &'static str,
    pub(super) global_region: &'static str,
    pub(super) dns_suffix: &'static str,
    pub(super) dual_stack_suffix: &'static str,
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
        for (index, area) in PARTITIONS.iter().enumerate() {
            let (name, region) = (area.name, area.global_region);
            assert_eq!(area.partition as usize, index, "{name}");
            assert!(region.starts_with(area.regions), "{name}");
            assert_eq!(Partition::of_region(region), area.partition, "{name}");
        }
    }
}
