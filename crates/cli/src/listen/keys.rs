//! The keys that requests are verified against.

use std::path::PathBuf;

use countersign::Credentials;

use crate::{
    failure::Failure,
    keys::{Derived, Keys},
    options::{Ambient, SigningOptions, read_credentials},
};

/// The credentials in the files; without any, those that this program would sign with.
pub(super) fn load(files: &[PathBuf], profile: Option<&str>) -> Result<Keys, Failure> {
    if files.is_empty() {
        let profile = profile.map(str::to_owned);
        let options = SigningOptions { profile, ..SigningOptions::default() };
        return Ok(Keys::new([Ambient::new(&options).credentials()?], Derived::default()));
    }
    let mut known: Vec<Credentials> = Vec::new();
    for path in files {
        let credentials = read_credentials(path)?;
        let id = credentials.access_key_id();
        if known.iter().any(|other| other.access_key_id() == id) {
            return Err(Failure::input(format_args!(
                "two of the credentials files are for the access key id `{id}`"
            )));
        }
        known.push(credentials);
    }
    Ok(Keys::new(known, Derived::default()))
}
