//! The keys by which requests are verified, for either algorithm.

use countersign::{
    Algorithm, Credentials, KeyCache, sigv4a,
    verify::{Claim, Key},
};

/// Keys that were derived before.
#[derive(Clone, Default)]
pub(crate) struct Keys {
    sigv4: KeyCache,
    sigv4a: sigv4a::KeyCache,
}

impl Keys {
    /// The key of these credentials for a claim.
    pub(crate) fn key(&self, credentials: &Credentials, claim: &Claim<'_>) -> Box<dyn Key> {
        let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
        match claim.algorithm() {
            Algorithm::EcdsaP256Sha256 => Box::new(self.sigv4a.key(id, secret)),
            _ => Box::new(self.sigv4.key(id, secret, &claim.scope())),
        }
    }
}
