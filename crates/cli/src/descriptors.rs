//! How many connections the system lets this program have.

/// Raises the number of descriptors that may be open. A shell allows 1,024 as a rule, which is about as many
/// connections.
#[cfg(unix)]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = match limit.maximum {
        Some(maximum) => Some(maximum.min(DESCRIPTORS)),
        None => Some(DESCRIPTORS),
    };
    // Without it there are fewer connections at a time; the others wait.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(not(unix))]
pub(crate) fn raise_limit() {}

#[cfg(unix)]
const DESCRIPTORS: u64 = 64 * 1024;
