//! What signing keeps from one request to the next.

use std::{mem, sync::Arc};

use sha2::block_api::compress256;
use zeroize::Zeroize;

use crate::{
    Algorithm, Credentials, Scope, SigningKey, Timestamp,
    asymmetric::AsymmetricSigner,
    bytes::is_same_secret,
    canonical::{self, query, room},
    key::Begun,
    sha256::{self, BLOCK, INITIAL, State},
};

/// What is the same for all requests that somebody signs for one scope in one second.
pub(crate) struct Remembered {
    credentials: Credentials,
    algorithm: Algorithm,
    /// The signer's, which is a region set if its signatures are asymmetric.
    region: Arc<str>,
    service: Arc<str>,
    at: Timestamp,
    /// The string to sign but for its last line, the hash of the request.
    string_to_sign: Vec<u8>,
    /// The value of an Authorization header up to the names of the signed headers.
    authorization: String,
    /// The query of a presigned URL up to the value of `X-Amz-Expires`, once there was one.
    own_query: Vec<u8>,
    signs: Signs,
    request: Request,
}

/// The last long canonical request, and how far it was like the one before.
struct Request {
    text: Vec<u8>,
    /// How many blocks led to the state.
    blocks: usize,
    state: State,
}

/// The buffers of texts that hold no secret.
#[derive(Default)]
pub(crate) struct Texts {
    string_to_sign: Vec<u8>,
    authorization: String,
    own_query: Vec<u8>,
}

/// What signs the strings to sign.
pub(crate) enum Signs {
    Asymmetric(Arc<dyn AsymmetricSigner>),
    /// A key, and how far it got with what they begin with.
    Hmac(SigningKey, Begun),
}

impl Remembered {
    /// For requests signed at `at`, whose scope this is.
    pub(crate) fn new(
        credentials: &Credentials,
        algorithm: Algorithm,
        [region, service]: [&Arc<str>; 2],
        at: Timestamp,
        scope: &Scope<'_>,
        mut signs: Signs,
        Texts { mut string_to_sign, mut authorization, mut own_query }: Texts,
    ) -> Remembered {
        string_to_sign.clear();
        authorization.clear();
        own_query.clear();
        let write = |text: &mut Vec<u8>| scope.write(text);
        canonical::begin_string_to_sign(algorithm, at, write, &mut string_to_sign);
        for part in [algorithm.as_str(), CREDENTIAL, credentials.access_key_id()] {
            authorization.push_str(part);
        }
        for part in scope.parts().into_iter().filter(|part| !part.is_empty()) {
            authorization.push('/');
            authorization.push_str(part);
        }
        authorization.push_str(SIGNED_HEADERS);
        signs.begin(&string_to_sign);
        Remembered {
            credentials: credentials.clone(),
            algorithm,
            region: Arc::clone(region),
            service: Arc::clone(service),
            at,
            string_to_sign,
            authorization,
            own_query,
            signs,
            request: Request { text: Vec::new(), blocks: 0, state: INITIAL },
        }
    }

    /// The buffers of its texts, for the one that takes its place.
    pub(crate) fn take_texts(&mut self) -> Texts {
        Texts {
            string_to_sign: mem::take(&mut self.string_to_sign),
            authorization: mem::take(&mut self.authorization),
            own_query: mem::take(&mut self.own_query),
        }
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether these are the credentials themselves, which were checked when they came.
    pub(crate) fn has(&self, credentials: &Credentials) -> bool {
        self.credentials.is_same(credentials)
    }

    /// Whether all but the time of day is that of these.
    pub(crate) fn is_of(
        &self,
        credentials: &Credentials,
        algorithm: Algorithm,
        [region, service]: [&Arc<str>; 2],
        at: Timestamp,
        asymmetric: Option<&Arc<dyn AsymmetricSigner>>,
    ) -> bool {
        let is_same = |a: &Arc<str>, b: &Arc<str>| Arc::ptr_eq(a, b) || a == b;
        let is_by = match (&self.signs, asymmetric) {
            (Signs::Asymmetric(signer), Some(other)) => Arc::ptr_eq(signer, other),
            (Signs::Hmac(..), None) => true,
            _ => false,
        };
        is_by
            && self.algorithm == algorithm
            && self.at.is_same_day(at)
            && is_same(&self.region, region)
            && is_same(&self.service, service)
            && is_same_identity(&self.credentials, credentials)
    }

    /// Turns to requests that are signed at another time of the same day, perhaps with a copy of the
    /// credentials.
    pub(crate) fn move_to(&mut self, credentials: &Credentials, at: Timestamp) {
        if !self.has(credentials) {
            self.credentials = credentials.clone();
        }
        if self.at == at {
            return;
        }
        self.at = at;
        let start = self.algorithm.as_str().len() + 1;
        self.string_to_sign[start..][..at.as_bytes().len()].copy_from_slice(at.as_bytes());
        self.signs.begin(&self.string_to_sign);
        if let Some(before) = self.own_query.len().checked_sub(at.as_bytes().len() + BEHIND_DATE) {
            self.own_query[before..][..at.as_bytes().len()].copy_from_slice(at.as_bytes());
        }
    }

    /// The query of a presigned URL up to the value of `X-Amz-Expires`, in canonical form.
    pub(crate) fn own_query(&mut self) -> &[u8] {
        let own = &mut self.own_query;
        if own.is_empty() {
            let algorithm = self.algorithm.as_str();
            let (_, credential) = self.authorization.split_at(algorithm.len() + CREDENTIAL.len());
            let (credential, _) = credential.split_at(credential.len() - SIGNED_HEADERS.len());
            query::write_parameter(query::ALGORITHM, &[algorithm], own);
            query::write_parameter(query::CREDENTIAL, &[credential], own);
            query::write_parameter(query::DATE, &[self.at.as_str()], own);
            query::write_parameter(query::EXPIRES, &[], own);
        }
        own
    }

    /// The SHA-256 of a canonical request, in a buffer with [room](sha256::PADDING) behind it.
    ///
    /// A long one most often has a session token, up to which it is the same as the last one of this
    /// second. That start is not hashed again. (A verifier has no such memory: how long it takes would
    /// tell what others sent before. Who signs for several clients with one key lets each of them time, in
    /// nanoseconds, whether its request begins like the last one, in whole blocks.)
    pub(crate) fn digest(&mut self, text: &mut Vec<u8>) -> [u8; 32] {
        if text.len() < LONG {
            return sha256::digest_in_place(text);
        }
        let Request { text: last, blocks: hashed, state } = &mut self.request;
        let blocks = text.as_chunks::<BLOCK>().0;
        let pairs = blocks.iter().zip(last.as_chunks::<BLOCK>().0);
        let alike = pairs.take_while(|(block, last)| block == last).count();
        if *hashed > alike {
            (*hashed, *state) = (0, INITIAL);
        }
        compress256(state, &blocks[*hashed..alike]);
        *hashed = alike;
        if last.capacity() < text.len() {
            room(last, text.len());
        }
        last.truncate(alike * BLOCK);
        last.extend_from_slice(&text[last.len()..]);
        sha256::finish_in_place(*state, alike, text)
    }

    pub(crate) fn string_to_sign(&self) -> &[u8] {
        &self.string_to_sign
    }

    pub(crate) fn authorization(&self) -> &str {
        &self.authorization
    }

    pub(crate) fn signs(&self) -> &Signs {
        &self.signs
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.text.zeroize();
        self.state.zeroize();
    }
}

impl Signs {
    fn begin(&mut self, string_to_sign: &[u8]) {
        if let Signs::Hmac(key, begun) = self {
            *begun = key.begin(string_to_sign);
        }
    }
}

fn is_same_identity(a: &Credentials, b: &Credentials) -> bool {
    a.is_same(b)
        || (a.access_key_id() == b.access_key_id()
            && is_same_secret(a.secret_access_key().as_bytes(), b.secret_access_key().as_bytes()))
}

/// What stands between the algorithm and the credential in an Authorization header.
const CREDENTIAL: &str = " Credential=";

/// What stands between the credential and the names of the signed headers.
const SIGNED_HEADERS: &str = ", SignedHeaders=";

/// How much of the query stands behind the date.
const BEHIND_DATE: usize = 1 + query::EXPIRES.len() + 1;

/// Shorter requests take less to hash than to compare and keep.
const LONG: usize = 10 * BLOCK;
