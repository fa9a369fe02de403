//! The matcher: what is regular in the names of AWS's hosts.
//!
//! A name is read from its end: the domain, `vpce` for an interface endpoint in somebody's network, the
//! region, and the labels of the service; what is left in front is a bucket or an identifier. `-fips`
//! behind a label, and `fips` or `dualstack` as one, say how to connect and not to what.

use super::{
    host::{Host, NoHost},
    partition::Partition,
    region::Region,
    service::{Domain, DomainKind, Service, first_bytes},
    table::{DOMAINS, ON_AWS, REGION_FIRST, REGIONS, SERVICES},
    unknown::Why,
};

/// What a host says.
pub(super) struct Found {
    pub(super) signing_name: &'static str,
    pub(super) region: Region,
}

pub(super) fn find(authority: &str, path: &str) -> Result<Found, Why> {
    let host = Host::parse(authority).map_err(|no_host| match no_host {
        NoHost::Address => Why::Foreign,
        NoHost::Malformed(problem) => Why::InvalidHost(problem),
    })?;
    let name = Name::split(host.as_str()).ok_or(Why::Foreign)?;
    let service = name.service().ok_or(Why::UnknownService { region: name.region })?;
    service.found(path)
}

/// A name without its service yet.
struct Name<'h> {
    host: &'h str,
    domain: &'static Domain,
    partition: Partition,
    /// Whether this is an interface endpoint in a virtual network.
    in_vpc: bool,
    region: Option<Region>,
    /// The labels before all of these.
    rest: &'h str,
}

/// A service, and the rest of what its host says.
struct Named<'h> {
    row: &'static Service,
    partition: Partition,
    region: Option<Region>,
    has_front: bool,
    /// The host without what stands in front of the service's labels.
    own: &'h str,
}

impl<'h> Name<'h> {
    fn split(host: &'h str) -> Option<Name<'h>> {
        let (rest, domain) = DOMAINS.iter().find_map(|domain| {
            // Most domains end in another letter, which costs no look at the rest.
            let rest = Some(host)
                .filter(|host| host.as_bytes().last() == domain.name.as_bytes().last())?
                .strip_suffix(domain.name)?;
            Some((rest.strip_suffix('.').or(rest.is_empty().then_some(""))?, domain))
        })?;
        let mut name =
            Name { host, domain, partition: domain.partition, in_vpc: false, region: None, rest };
        let (mut before, mut last) = last_label(rest);
        if last == "vpce" {
            name.in_vpc = true;
            name.rest = before;
            (before, last) = last_label(before);
        }
        let of_gov = last == "us-gov" && domain.partition == Partition::Aws;
        if of_gov || last == "global" {
            if of_gov {
                name.partition = Partition::AwsUsGov;
            }
            name.rest = before;
            (before, last) = last_label(before);
        }
        if let Some(region) = name.region_of(last) {
            name.partition = region.partition();
            (name.region, name.rest) = (Some(region), before);
        }
        Some(name)
    }

    /// A label as a region that can stand under the domain.
    fn region_of(&self, label: &str) -> Option<Region> {
        let region = Region::parse(label)?;
        // GovCloud has no domains of its own, and some new services have one host for all partitions.
        let shared = self.domain.partition == Partition::Aws;
        (shared || region.partition() == self.domain.partition).then_some(region)
    }

    fn service(&self) -> Option<Named<'h>> {
        let rows: &[Service] = match self.domain.kind {
            DomainKind::OnAws => &ON_AWS,
            DomainKind::Services => &SERVICES,
            DomainKind::Signin => {
                let row = REGION_FIRST.iter().find(|row| row.last == "signin")?;
                return self.rest.is_empty().then(|| Named {
                    row,
                    partition: self.partition,
                    // Without a region it is the partition's, as at all hosts that have none.
                    region: self
                        .region
                        .or_else(|| Some(Region::known(self.partition.global_region()))),
                    has_front: false,
                    own: self.host,
                });
            }
        };
        let (before, last) = service_label(self.rest);
        if self.region.is_some() {
            // The zone of a bucket stands in the label.
            let last = if last.starts_with("s3express-") && last != "s3express-control" {
                "s3express"
            } else {
                last
            };
            return self.named(rows, before, last, self.region);
        }
        let (in_front, region) = service_label(before);
        if let Some(region) = self.region_of(region)
            && let Some(named) = self.named(&REGION_FIRST, in_front, last, Some(region))
        {
            return Some(named);
        }
        // Once S3 wrote the region behind a hyphen.
        for (written, label) in [("s3-fips-", "s3"), ("s3-website-", "s3-website"), ("s3-", "s3")] {
            let region = last.strip_prefix(written).and_then(|region| self.region_of(region));
            if region.is_some() {
                return self.named(rows, before, label, region);
            }
        }
        self.named(rows, before, last, None)
    }

    /// The row with the most of these labels, `last` being the last and `before` what is before it.
    fn named(
        &self,
        rows: &'static [Service],
        before: &'h str,
        last: &str,
        region: Option<Region>,
    ) -> Option<Named<'h>> {
        let before = without_ways(before);
        let next = service_label(before).1;
        let key = (first_bytes(last), last);
        let begin = rows.partition_point(|row| (row.key, row.last) < key);
        let its = rows[begin..].iter().take_while(|row| row.last == last);
        let fits = its.filter_map(|row| {
            let front = match row.others {
                "" => before,
                others if ends_with_label(others, next) => front_of(before, others)?,
                _ => return None,
            };
            // An interface endpoint has its own name in front, and a bucket before that.
            (!self.in_vpc || last_label(front).1.starts_with("vpce-")).then_some((front, row))
        });
        let (front, row) = fits.min_by_key(|(front, _)| front.len())?;
        let partition = region.map_or(self.partition, |region| region.partition());
        let own = self.host[front.len()..].trim_start_matches('.');
        // What is behind an interface endpoint is what is behind the public host.
        let has_front = !front.is_empty() && (!self.in_vpc || !row.has_alone());
        Some(Named { row, partition, region, has_front, own })
    }
}

impl Named<'_> {
    fn found(self, path: &str) -> Result<Found, Why> {
        let Named { row, partition, region, has_front, own } = self;
        if let Some(reason) = row.unsigned {
            return Err(Why::Unsigned { reason, region });
        }
        let Some(signing_name) = row.signing_name(has_front, partition, path) else {
            return Err(Why::UnknownService { region });
        };
        if row.of_set {
            return Err(Why::RegionSet { signing_name });
        }
        let of_partition = || Region::known(partition.global_region());
        let region = match region {
            _ if row.is_pinned_in(partition) => of_partition(),
            Some(region) => region,
            None => match REGIONS.binary_search_by_key(&own, |(host, _)| *host) {
                Ok(place) => match REGIONS[place].1 {
                    [region] => Region::known(region),
                    regions => return Err(Why::Ambiguous { signing_name, regions }),
                },
                Err(_) if row.is_global_in(partition) => of_partition(),
                Err(_) => return Err(Why::MissingRegion { signing_name }),
            },
        };
        Ok(Found { signing_name, region })
    }
}

/// Whether this is the last of some labels.
fn ends_with_label(labels: &str, label: &str) -> bool {
    let others = labels.strip_suffix(label);
    others.is_some_and(|others| others.is_empty() || others.ends_with('.'))
}

/// What is left in front of `labels` at the end of a name, if it ends with them.
fn front_of<'h>(name: &'h str, labels: &str) -> Option<&'h str> {
    let (mut name, mut labels) = (without_ways(name), labels);
    while !labels.is_empty() {
        let (before, last) = service_label(name);
        let (others, label) = last_label(labels);
        if last != label {
            return None;
        }
        (name, labels) = (without_ways(before), others);
    }
    Some(name)
}

/// The last label that is no way to connect, without `-fips`, and what is before it.
fn service_label(mut name: &str) -> (&str, &str) {
    loop {
        match last_label(name) {
            (before, "dualstack" | "fips") => name = before,
            (before, last) => return (before, last.strip_suffix("-fips").unwrap_or(last)),
        }
    }
}

/// A name without the labels at its end that say how to connect.
fn without_ways(mut name: &str) -> &str {
    while let (before, "dualstack" | "fips") = last_label(name) {
        name = before;
    }
    name
}

/// The last label of a name, and what is before it.
fn last_label(name: &str) -> (&str, &str) {
    // Labels are short, so this is faster than a search that prepares itself.
    match name.as_bytes().iter().rposition(|&byte| byte == b'.') {
        Some(dot) => (&name[..dot], &name[dot + 1..]),
        None => ("", name),
    }
}
