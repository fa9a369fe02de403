//! The file system, as providers see it.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher, Hash},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// A file system.
///
/// A `HashMap` from paths to text or bytes is one:
///
/// ```
/// use std::{collections::HashMap, io, path::{Path, PathBuf}};
/// use countersign::providers::Files;
///
/// let files = HashMap::from([(PathBuf::from("/etc/cat"), "meow")]);
/// assert_eq!(files.read(Path::new("/etc/cat"))?, b"meow");
/// let missing = files.read(Path::new("/etc/dog")).unwrap_err();
/// assert_eq!(missing.kind(), io::ErrorKind::NotFound);
/// # Ok::<(), io::Error>(())
/// ```
pub trait Files: Send + Sync {
    /// The whole of a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is no such file; any other kind if it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Puts a file of these contents in the place of the one at `path`, if there is one: wholly or not at
    /// all, so that no reader ever sees a part of it, and readable by its owner alone.
    ///
    /// Directories on the way are made if they are missing.
    ///
    /// # Errors
    /// What the file system says. A file system that cannot be written to refuses with
    /// [`io::ErrorKind::ReadOnlyFilesystem`], as this does unless it is written anew.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let _ = (path, contents);
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl<K, V, S> Files for HashMap<K, V, S>
where
    K: Borrow<Path> + Eq + Hash + Send + Sync,
    V: AsRef<[u8]> + Send + Sync,
    S: BuildHasher + Send + Sync,
{
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.get(path)
            .map(|contents| contents.as_ref().to_owned())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A file system that can be written to: for tests of what is kept.
impl<V: AsRef<[u8]> + From<Vec<u8>> + Send> Files for Mutex<HashMap<PathBuf, V>> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let files = self.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = files.get(path).map(|contents| contents.as_ref().to_owned());
        contents.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut files = self.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(path.to_owned(), contents.to_owned().into());
        Ok(())
    }
}
