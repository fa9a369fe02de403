//! Files with secrets in them.

use std::path::Path;

/// Whether anybody on this machine may read a file.
///
/// A group says nothing: it is how orchestrators let a process read what another user owns.
#[cfg(unix)]
pub(crate) fn is_open(path: &Path) -> bool {
    use std::{fs, os::unix::fs::PermissionsExt};

    fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o007 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_open(_: &Path) -> bool {
    false
}
