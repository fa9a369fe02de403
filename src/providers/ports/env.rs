//! The environment, as providers see it.

use std::{
    borrow::Borrow,
    collections::HashMap,
    ffi::{OsStr, OsString},
    hash::{BuildHasher, Hash},
};

/// Environment variables.
///
/// Values are what the platform holds, UTF-8 or not: a path may be neither. Providers that need
/// text refuse a variable that is none, rather than call it unset. A variable that is blank
/// (nothing but white space) counts as unset everywhere.
///
/// A `HashMap` is an environment:
///
/// ```
/// use std::collections::HashMap;
/// use countersign::providers::Env;
///
/// let env = HashMap::from([("AWS_REGION", "eu-central-1")]);
/// assert_eq!(env.var("AWS_REGION"), Some("eu-central-1".into()));
/// assert_eq!(env.var("HOME"), None);
/// ```
pub trait Env: Send + Sync {
    /// The value of a variable; `None` if it is not set.
    fn var(&self, name: &str) -> Option<OsString>;
}

impl<K, V, S> Env for HashMap<K, V, S>
where
    K: Borrow<str> + Eq + Hash + Send + Sync,
    V: AsRef<OsStr> + Send + Sync,
    S: BuildHasher + Send + Sync,
{
    fn var(&self, name: &str) -> Option<OsString> {
        self.get(name).map(|value| value.as_ref().to_owned())
    }
}
