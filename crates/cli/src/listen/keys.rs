//! The keys that requests are verified against.

use std::path::PathBuf;

use countersign::{
    Credentials,
    verify::{Claim, Key},
};

use crate::{
    failure::Failure,
    keys,
    options::{Ambient, SigningOptions, read_credentials},
};

pub(super) struct Keys {
    known: Vec<Credentials>,
    derived: keys::Keys,
}

impl Keys {
    /// The credentials in the files; without any, those that this program would sign with.
    pub(super) fn load(files: &[PathBuf], profile: Option<&str>) -> Result<Keys, Failure> {
        if files.is_empty() {
            let profile = profile.map(str::to_owned);
            let options = SigningOptions { profile, ..SigningOptions::default() };
            return Ok(Keys::new(vec![Ambient::new(&options).credentials()?]));
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
        Ok(Keys::new(known))
    }

    pub(super) fn new(known: Vec<Credentials>) -> Keys {
        Keys { known, derived: keys::Keys::default() }
    }

    /// The credentials with this access key id.
    pub(super) fn find(&self, access_key_id: &str) -> Option<&Credentials> {
        self.known.iter().find(|known| known.access_key_id() == access_key_id)
    }

    /// The key of these credentials for a claim.
    pub(super) fn derive(&self, credentials: &Credentials, claim: &Claim<'_>) -> Box<dyn Key> {
        self.derived.key(credentials, claim)
    }

    /// The access key ids, for people.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(Credentials::access_key_id)
    }
}
