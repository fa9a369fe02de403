//! The process's own environment and file system. No other file of the library names them.

use std::{env, ffi::OsString, fs, io, path::Path};

use super::{Env, Files, Ports};

impl Ports {
    /// The world this process lives in: its environment and its file system.
    ///
    /// Nothing is read before a provider asks, and each time afresh. Reading a file blocks the
    /// thread for as long as the file system takes.
    ///
    /// ```
    /// use countersign::providers::{EnvironmentProvider, Ports};
    ///
    /// let provider = EnvironmentProvider::new(&Ports::system());
    /// # let _ = provider;
    /// ```
    pub fn system() -> Ports {
        Ports::empty().with_env(System).with_files(System)
    }
}

struct System;

impl Env for System {
    fn var(&self, name: &str) -> Option<OsString> {
        env::var_os(name)
    }
}

impl Files for System {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }
}
