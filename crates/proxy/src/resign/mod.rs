//! Verifying what a client signed with a key of the proxy's own, and signing it again with one that services
//! know.
//!
//! What was signed is what goes on: the path and the query as they came, and a body that is what its signature
//! says. Nothing of the first signature does.

pub(crate) mod audit;
mod body;
mod keys;
mod policy;

use std::{path::Path, sync::Arc};

use countersign::{
    Credentials, Head, KeyCache, Scratch, Signer, checksums,
    verify::{BodyCheck, Known, Verified, Verifier, Wire, claimed_credential, claimed_service},
};
use http::{
    Uri,
    header::{AUTHORIZATION, CONNECTION},
    request::Parts,
};
use hyper::body::Incoming;

use self::{audit::Decision, keys::KeyFile, policy::Asked};
use crate::{
    Authority, ConfigError, Outside, RouteConfig,
    body::{Held, Holding},
    head,
    refuse::{Codes, Reason, Refusal, Speech},
    sign::Signing,
};

/// What a route verifies by, before it signs again.
#[derive(Debug)]
pub(crate) struct Resign {
    keys: KeyFile,
    verifier: Verifier,
    derived: KeyCache,
    /// Does the work of a key that nobody has.
    nobody: Credentials,
    /// What was derived for nobody, so that strangers push none of those out that have a key.
    of_nobody: KeyCache,
}

/// A request whose signature held, and which its key allows.
pub(crate) struct Admitted {
    /// For the scope of the first signature.
    pub(crate) signer: Signer,
    verified: Verified<'static>,
    check: BodyCheck,
    /// The body, where it had to be read before the signature could be compared.
    held: Option<Held>,
}

/// A request as it came, and where it would go.
pub(crate) struct Came<'r> {
    pub(crate) parts: &'r Parts,
    pub(crate) url: &'r Uri,
    pub(crate) host: &'r Authority,
    pub(crate) https: bool,
}

impl Resign {
    pub(crate) fn new(
        path: &Path,
        config: &RouteConfig,
        outside: &Arc<dyn Outside>,
    ) -> Result<Resign, ConfigError> {
        let mut verifier =
            Verifier::new().with_checksums(checksums::by_name).with_chunk_limit(CHUNK_LIMIT);
        if let Some(region) = &config.region {
            verifier = verifier.with_region(region);
        }
        if let Some(service) = &config.service {
            verifier = verifier.with_services([service]);
        }
        Ok(Resign {
            keys: KeyFile::open(path, config, outside)?,
            verifier,
            derived: KeyCache::default(),
            nobody: Credentials::new("NOBODY", "never signs anything"),
            of_nobody: KeyCache::default(),
        })
    }

    /// Says what whoever runs the proxy should mend.
    pub(crate) fn warn(&self) {
        self.keys.warn();
    }

    /// Whether a request is signed by a key that may do what it asks, and what signs it then.
    pub(crate) async fn admit(
        &self,
        came: Came<'_>,
        body: &mut Incoming,
        holding: &Holding,
        signing: &Signing,
        decision: &mut Decision,
    ) -> Result<(Signing, Admitted), Refusal> {
        let Came { parts, url, host, https } = came;
        if is_version_2(parts) {
            let message = "Signature Version 2 is not taken: have the client use AWS4-HMAC-SHA256";
            return Err(Refusal::coded(Codes::of_all(400, "InvalidRequest"), message));
        }
        let claim = self.verifier.claim(Head::from(parts), signing.clock()).map_err(|error| {
            // Who was refused is of more interest than who was let through.
            let credential = claimed_credential(Head::from(parts)).unwrap_or_default();
            // Whoever reads the log on a terminal is spared what moves the cursor.
            let credential: String = credential.escape_default().collect();
            if !credential.is_empty() {
                let (id, scope) = credential.split_once('/').unwrap_or((&credential, ""));
                decision.claims(id, scope);
            }
            Refusal::unverified(&error)
        })?;
        decision.claims(claim.access_key_id(), &claim.scope().to_string());
        let key = self.keys.keys().find(claim.access_key_id());
        // A signature over the whole body that does not name its hash. Nothing is held for a stranger: that the
        // refusal then does not wait for the body tells which ids are known, and only ids, which are no secrets.
        let held = match claim.payload() {
            None if key.is_some() => Some(holding.within(OF_CLAIMANTS).hold(body).await?),
            _ => None,
        };
        // Otherwise an unknown key takes the same work as a known one.
        let (derived, credentials) = match &key {
            Some(key) => (&self.derived, &key.credentials),
            None => (&self.of_nobody, &self.nobody),
        };
        let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
        let derived = derived.key(id, secret, &claim.scope());
        let known = key.as_ref().map(|_| Known::new(&derived));
        let (verified, check) = claim
            .verify(known, held.as_ref().map(|held| held.payload), &mut Scratch::new())
            .map_err(|error| Refusal::unverified(&error))?;
        let Some(key) = key else {
            return Err(Refusal::new(Reason::NotVerified, "the access key id is not known"));
        };
        decision.is_from(&key.name);
        check_connection(parts, &verified)?;
        let scope = verified.scope();
        let (region, service) = (scope.region(), scope.service());
        let headers = &parts.headers;
        let asked = Asked { region, service, method: &parts.method, host, https, url, headers };
        key.policy.check(asked).map_err(|why| Refusal::new(Reason::NotAllowed, why))?;
        // The service itself insists on the scope that goes with the host, so a client cannot gain by another.
        let signer = signing.signer_for(region, service)?;
        let signing = signing.with_provider(key.role.clone());
        Ok((signing, Admitted { signer, verified: verified.into_owned(), check, held }))
    }
}

/// The form in which a client of a re-signing route reads errors, by the service that it says it signed for.
pub(crate) fn wire(parts: &Parts, speech: Speech, service: &str) -> Wire {
    let claimed = match is_version_2(parts) {
        true => Some("s3".into()),
        false => claimed_service(Head::from(parts)),
    };
    speech.with(claimed.as_deref().unwrap_or(service))
}

/// Whether a request is signed as only S3 still knows it, and some SDKs still presign for hosts that they do not know.
fn is_version_2(parts: &Parts) -> bool {
    let in_header =
        parts.headers.get(AUTHORIZATION).is_some_and(|it| it.as_bytes().starts_with(b"AWS "));
    let query = parts.uri.query().unwrap_or_default();
    in_header || query.split('&').any(|pair| pair.starts_with("AWSAccessKeyId="))
}

/// Refuses to leave out what was signed, because a header that is not signed says so.
fn check_connection(parts: &Parts, verified: &Verified<'_>) -> Result<(), Refusal> {
    let is_listed = |name: &&str| head::has_token(&parts.headers, &CONNECTION, name);
    match verified.signed_headers().filter(|name| !OF_THE_CONNECTION.contains(name)).find(is_listed)
    {
        None => Ok(()),
        Some(name) => {
            let message = format!("the connection header names `{name}`, which is signed");
            Err(Refusal::new(Reason::Malformed, message))
        }
    }
}

/// Headers that stay behind anyway, signed or not.
const OF_THE_CONNECTION: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// Bytes of a body that is read before its signature can be compared, from whoever knows the id of a key. What is larger goes to
/// services whose requests name the hash.
const OF_CLAIMANTS: u64 = 128 << 20;

/// Bytes of a chunk, which is in memory until its signature held. The chunks of SDKs have 64 KiB to 1 MiB.
const CHUNK_LIMIT: usize = 4 << 20;
