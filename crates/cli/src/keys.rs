//! Whose requests can be verified, and by which keys.

use countersign::{
    Algorithm, Credentials, KeyCache, sigv4a,
    verify::{Claim, Key, Known},
};

/// The credentials that are known, and the keys that were derived of them.
pub(crate) struct Keys {
    known: Vec<Credentials>,
    derived: Derived,
}

/// Keys that were derived before, for either algorithm.
#[derive(Clone, Default)]
pub(crate) struct Derived {
    sigv4: KeyCache,
    sigv4a: sigv4a::KeyCache,
}

/// The key for a claim, and the token that goes with it.
pub(crate) struct KeyOfClaim<'k> {
    key: Box<dyn Key>,
    session_token: Option<&'k str>,
}

impl Keys {
    pub(crate) fn new(known: impl IntoIterator<Item = Credentials>, derived: Derived) -> Keys {
        Keys { known: known.into_iter().collect(), derived }
    }

    /// The access key ids, for people.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(Credentials::access_key_id)
    }

    /// The credentials with this access key id.
    pub(crate) fn find(&self, access_key_id: &str) -> Option<&Credentials> {
        self.known.iter().find(|known| known.access_key_id() == access_key_id)
    }

    /// The key for a claim, if who makes it is known.
    pub(crate) fn of_claim(&self, claim: &Claim<'_>) -> Option<KeyOfClaim<'_>> {
        let credentials = self.find(claim.access_key_id())?;
        let key = self.derived.key(credentials, claim);
        Some(KeyOfClaim { key, session_token: credentials.session_token() })
    }
}

impl Derived {
    fn key(&self, credentials: &Credentials, claim: &Claim<'_>) -> Box<dyn Key> {
        let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
        match claim.algorithm() {
            Algorithm::EcdsaP256Sha256 => Box::new(self.sigv4a.key(id, secret)),
            _ => Box::new(self.sigv4.key(id, secret, &claim.scope())),
        }
    }
}

impl KeyOfClaim<'_> {
    pub(crate) fn as_known(&self) -> Known<'_> {
        let known = Known::new(&*self.key);
        match self.session_token {
            Some(token) => known.with_session_token(token),
            None => known,
        }
    }
}
