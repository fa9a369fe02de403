//! The keys that requests are verified against.

use std::path::{Path, PathBuf};

use countersign::{
    Credentials,
    verify::{Claim, Key},
};
use zeroize::Zeroizing;

use crate::{
    body,
    failure::Failure,
    keys,
    options::{Ambient, SigningOptions},
    process_json,
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
            let credentials = read(path)?;
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

fn read(path: &Path) -> Result<Credentials, Failure> {
    let text = Zeroizing::new(body::read_text(path)?);
    process_json::parse(&text).map_err(|problem| {
        Failure::credentials(format_args!("the credentials in `{}` {problem}", path.display()))
    })
}
