//! Names of hosts, as providers see them.

use std::{
    borrow::Borrow,
    collections::HashMap,
    future,
    hash::{BuildHasher, Hash},
    io,
    net::IpAddr,
};

use crate::providers::BoxFuture;

/// What finds the addresses of a host.
///
/// A `HashMap` is one:
///
/// ```
/// use std::{collections::HashMap, net::IpAddr};
/// use countersign::providers::{Ports, Resolver};
///
/// let hosts = HashMap::from([("localhost", vec![IpAddr::from([127, 0, 0, 1])])]);
/// let ports = Ports::empty().with_resolver(hosts);
/// # let _ = ports.resolver().resolve("localhost");
/// ```
pub trait Resolver: Send + Sync {
    /// All addresses of a host name; of an address in its text form, that one.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if the name has none; any other kind if nobody could say.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

impl<K, S> Resolver for HashMap<K, Vec<IpAddr>, S>
where
    K: Borrow<str> + Eq + Hash + Send + Sync,
    S: BuildHasher + Send + Sync,
{
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let literal = || host.parse().ok().map(|address| vec![address]);
        let found = self.get(host).cloned().or_else(literal);
        Box::pin(future::ready(found.ok_or_else(|| io::ErrorKind::NotFound.into())))
    }
}
