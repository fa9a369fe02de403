//! The rows of the table: domains, and the services behind their hosts.

use super::partition::Partition;

/// A domain whose hosts are AWS's.
pub(super) struct Domain {
    pub(super) name: &'static str,
    /// The partition; `aws` where `aws-us-gov` has the domain too.
    pub(super) partition: Partition,
    pub(super) kind: DomainKind,
}

/// What stands before a domain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum DomainKind {
    /// A service.
    Services,
    /// A service that gives out hosts under `on.aws`.
    OnAws,
    /// A region alone: the domain is signin's.
    Signin,
}

impl Domain {
    pub(super) const fn of(name: &'static str, partition: Partition) -> Domain {
        Domain { name, partition, kind: DomainKind::Services }
    }

    pub(super) const fn on_aws(name: &'static str, partition: Partition) -> Domain {
        Domain { name, partition, kind: DomainKind::OnAws }
    }

    pub(super) const fn signin(name: &'static str, partition: Partition) -> Domain {
        Domain { name, partition, kind: DomainKind::Signin }
    }
}

/// A service, found by labels of its hosts.
pub(super) struct Service {
    /// The last of the labels that name it, without `-fips`.
    pub(super) last: &'static str,
    /// Its first bytes, by which rows are found without a look at the rest.
    pub(super) key: u64,
    /// The labels before it, without `fips` and `dualstack`; most have none.
    pub(super) others: &'static str,
    /// The signing name where nothing stands in front of the labels.
    alone: Option<&'static str>,
    /// The signing name where a bucket or an identifier does.
    behind: Option<&'static str>,
    /// A path, and the signing name at it and below it.
    at: Option<(&'static str, &'static str)>,
    /// Partitions, and the signing name there.
    signs_in: Option<(&'static [Partition], &'static str)>,
    /// The partitions in which a host without a region is the whole partition's.
    global_in: &'static [Partition],
    /// The partitions in which the partition's own region is signed, whatever the host says.
    pinned_in: &'static [Partition],
    /// Signatures are for a set of regions, by SigV4A.
    pub(super) of_set: bool,
    /// Why no signed requests are taken.
    pub(super) unsigned: Option<&'static str>,
}

/// An API whose signing name is the label of its hosts.
pub(super) const fn api(labels: &'static str) -> Service {
    let mut begin = labels.len();
    while begin > 0 && labels.as_bytes()[begin - 1] != b'.' {
        begin -= 1;
    }
    let (others, last) = labels.split_at(begin);
    Service {
        last,
        key: first_bytes(last),
        others: others.split_at(begin.saturating_sub(1)).0,
        alone: Some(labels),
        behind: None,
        at: None,
        signs_in: None,
        global_in: &[],
        pinned_in: &[],
        of_set: false,
        unsigned: None,
    }
}

/// The first eight bytes of a label as a number, which sorts as they do.
pub(super) const fn first_bytes(label: &str) -> u64 {
    let bytes = label.as_bytes();
    let (mut number, mut at) = (0, 0);
    while at < 8 {
        let byte = if at < bytes.len() { bytes[at] } else { 0 };
        number = number << 8 | byte as u64;
        at += 1;
    }
    number
}

/// A service whose hosts begin with a bucket or an identifier.
pub(super) const fn behind(labels: &'static str, signing_name: &'static str) -> Service {
    Service { alone: None, behind: Some(signing_name), ..api(labels) }
}

/// What takes no signed requests.
pub(super) const fn unsigned(labels: &'static str, reason: &'static str) -> Service {
    Service { alone: None, unsigned: Some(reason), ..api(labels) }
}

impl Service {
    pub(super) const fn signs(self, signing_name: &'static str) -> Service {
        Service { alone: Some(signing_name), ..self }
    }

    pub(super) const fn behind(self, signing_name: &'static str) -> Service {
        Service { behind: Some(signing_name), ..self }
    }

    pub(super) const fn at(self, path: &'static str, signing_name: &'static str) -> Service {
        Service { at: Some((path, signing_name)), ..self }
    }

    pub(super) const fn signs_in(
        self,
        partitions: &'static [Partition],
        signing_name: &'static str,
    ) -> Service {
        Service { signs_in: Some((partitions, signing_name)), ..self }
    }

    pub(super) const fn global_in(self, partitions: &'static [Partition]) -> Service {
        Service { global_in: partitions, ..self }
    }

    pub(super) const fn pinned_in(self, partitions: &'static [Partition]) -> Service {
        Service { pinned_in: partitions, ..self }
    }

    pub(super) const fn of_set(self) -> Service {
        Service { of_set: true, ..self }
    }

    /// The signing name at hosts with something in front of the labels, or with nothing.
    pub(super) fn signing_name(
        &self,
        has_front: bool,
        partition: Partition,
        path: &str,
    ) -> Option<&'static str> {
        let name = if has_front { self.behind } else { self.alone }?;
        if let Some((partitions, there)) = self.signs_in
            && partitions.contains(&partition)
        {
            return Some(there);
        }
        // Where hosts of both kinds are, the paths are those of the ones with something in front.
        if let Some((below, there)) = self.at
            && has_front == self.behind.is_some()
            && path.strip_prefix(below).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            return Some(there);
        }
        Some(name)
    }

    /// Whether anything is behind its hosts where nothing stands in front.
    pub(super) fn has_alone(&self) -> bool {
        self.alone.is_some()
    }

    pub(super) fn is_global_in(&self, partition: Partition) -> bool {
        self.global_in.contains(&partition)
    }

    pub(super) fn is_pinned_in(&self, partition: Partition) -> bool {
        self.pinned_in.contains(&partition)
    }
}
