//! Arguments as bytes: curl's command line is no text.

use std::{ffi::OsString, path::PathBuf};

use crate::failure::Failure;

/// The bytes of an argument, as curl sees them.
#[cfg(unix)]
pub(super) fn bytes_of(arg: OsString) -> Result<Vec<u8>, Failure> {
    Ok(std::os::unix::ffi::OsStringExt::into_vec(arg))
}

#[cfg(not(unix))]
pub(super) fn bytes_of(arg: OsString) -> Result<Vec<u8>, Failure> {
    arg.into_string().map(String::into_bytes).map_err(|arg| {
        Failure::input(format_args!("the argument `{}` is not Unicode", arg.to_string_lossy()))
    })
}

/// An argument with these bytes, which were an argument or parts of some.
#[cfg(unix)]
pub(super) fn os(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
pub(super) fn os(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

pub(super) fn path_of(bytes: &[u8]) -> PathBuf {
    os(bytes).into()
}
