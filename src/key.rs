//! The key of a credential scope, and a cache of such keys.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use sha2::block_api::compress256;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    Scope,
    bytes::is_same_secret,
    sha256::{self, BLOCK, INITIAL, State},
};

/// The key that signs for one credential scope, derived from a secret access key.
///
/// Held as the two states into which HMAC turns a key, so that neither signing nor verifying hashes
/// the key again. Wiped from memory when dropped.
///
/// ```
/// use countersign::{Scope, SigningKey};
///
/// let scope = Scope::parse("20150830/us-east-1/iam/aws4_request")?;
/// let key = SigningKey::derive("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &scope);
/// assert_eq!(format!("{key:?}"), "SigningKey(<redacted>)");
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    /// The state after the block of the key xored with `ipad`.
    inner: State,
    /// The state after the block of the key xored with `opad`.
    outer: State,
}

impl SigningKey {
    /// Derives the key: `AWS4` and the secret, then date, region, service and `aws4_request`.
    pub fn derive(secret_access_key: &str, scope: &Scope<'_>) -> SigningKey {
        let mut secret = Zeroizing::new(Vec::with_capacity(4 + secret_access_key.len()));
        secret.extend_from_slice(b"AWS4");
        secret.extend_from_slice(secret_access_key.as_bytes());
        let mut key = SigningKey::from_secret(&secret);
        for part in scope.parts() {
            key = SigningKey::from_bytes(&Zeroizing::new(key.sign(part.as_bytes())));
        }
        key
    }

    /// The key whose 32 bytes were derived before, perhaps elsewhere, so that the secret need not be here.
    ///
    /// ```
    /// # use countersign::SigningKey;
    /// let key = SigningKey::from_bytes(&[7; 32]);
    /// assert_eq!(key.sign(b"text"), SigningKey::from_bytes(&[7; 32]).sign(b"text"));
    /// ```
    pub fn from_bytes(key: &[u8; 32]) -> SigningKey {
        SigningKey::from_secret(key)
    }

    /// The key of an HMAC, which may have any length (RFC 2104, §2).
    #[inline]
    fn from_secret(secret: &[u8]) -> SigningKey {
        let hashed;
        let secret = if secret.len() > BLOCK {
            hashed = Zeroizing::new(sha256::digest(secret));
            &hashed[..]
        } else {
            secret
        };
        let padded = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK]);
            block.iter_mut().zip(secret).for_each(|(byte, secret)| *byte ^= secret);
            let mut state = INITIAL;
            compress256(&mut state, std::slice::from_ref(&block));
            state
        };
        SigningKey { inner: padded(0x36), outer: padded(0x5c) }
    }

    /// The HMAC-SHA256 of a string to sign.
    ///
    /// ```
    /// # use countersign::{Scope, SigningKey};
    /// let key = SigningKey::derive("secret", &Scope::parse("20150830/us-east-1/iam/aws4_request")?);
    /// assert_eq!(key.sign(b"AWS4-HMAC-SHA256\n...").len(), 32);
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn sign(&self, string_to_sign: &[u8]) -> [u8; 32] {
        let inner = sha256::finish(self.inner, BLOCK, string_to_sign);
        sha256::finish(self.outer, BLOCK, &inner)
    }

    /// Hashes as much as can be of strings to sign that all begin like this.
    pub(crate) fn begin(&self, start: &[u8]) -> Begun {
        let (blocks, _) = start.as_chunks();
        let mut state = self.inner;
        compress256(&mut state, blocks);
        Begun { state, len: blocks.as_flattened().len() }
    }

    /// The HMAC-SHA256 of a string to sign that begins as `begun` does.
    pub(crate) fn sign_begun(&self, begun: &Begun, string_to_sign: &[u8]) -> [u8; 32] {
        let inner = sha256::finish(begun.state, BLOCK + begun.len, &string_to_sign[begun.len..]);
        sha256::finish(self.outer, BLOCK, &inner)
    }
}

/// The start of a string to sign, hashed with a key. Wiped from memory when dropped.
pub(crate) struct Begun {
    state: State,
    len: usize,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.state.zeroize();
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(<redacted>)")
    }
}

/// A bounded cache of signing keys, shared by its clones and safe under threads.
///
/// A key is found only by the access key id, the whole secret (compared in constant time), the date,
/// the region and the service: a secret that was replaced under the same id never finds the old key.
/// The least recently used keys make room for new ones, wiped.
///
/// ```
/// use countersign::{KeyCache, Scope};
///
/// let cache = KeyCache::new(1000);
/// let scope = Scope::parse("20150830/us-east-1/iam/aws4_request")?;
/// let key = cache.key("AKIDEXAMPLE", "secret", &scope);
/// assert_eq!(key.sign(b"text"), cache.key("AKIDEXAMPLE", "secret", &scope).sign(b"text"));
/// assert_eq!(cache.len(), 1);
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone)]
pub struct KeyCache(Arc<Shards>);

struct Shards {
    shards: Box<[Mutex<Shard>]>,
    capacity_each: usize,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    entries: Vec<Entry>,
    /// Counts look-ups; the entry with the lowest count was used the longest ago.
    clock: u64,
}

struct Entry {
    hash: u64,
    used: u64,
    access_key_id: Box<str>,
    secret_access_key: Zeroizing<Box<[u8]>>,
    date: Box<str>,
    region: Box<str>,
    service: Box<str>,
    key: SigningKey,
}

impl KeyCache {
    /// A cache of at most `capacity` keys: at least one, and a million at most.
    pub fn new(capacity: usize) -> KeyCache {
        let capacity = capacity.clamp(1, MOST_KEYS);
        // A shard is searched from end to end, so it stays short; a lock is held for that long alone.
        let shards = capacity.div_ceil(ENTRIES_IN_A_SHARD).min(MOST_SHARDS);
        let shards = shards.next_power_of_two().min(capacity);
        KeyCache(Arc::new(Shards {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            capacity_each: capacity / shards,
            hasher: RandomState::new(),
        }))
    }

    /// The key of this secret for this scope, derived now unless it is in the cache.
    pub fn key(&self, access_key_id: &str, secret: &str, scope: &Scope<'_>) -> SigningKey {
        let hash = self.0.hasher.hash_one((access_key_id, scope));
        let shard = &self.0.shards[hash as usize % self.0.shards.len()];
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = lock().find(hash, access_key_id, secret, scope) {
            return key;
        }
        // Derived outside the lock, so that a cold key holds nobody up.
        let key = SigningKey::derive(secret, scope);
        let mut shard = lock();
        // Another thread may have derived it meanwhile.
        if let Some(key) = shard.find(hash, access_key_id, secret, scope) {
            return key;
        }
        shard.insert(
            Entry {
                hash,
                used: 0,
                access_key_id: access_key_id.into(),
                secret_access_key: Zeroizing::new(secret.as_bytes().into()),
                date: scope.date().into(),
                region: scope.region().into(),
                service: scope.service().into(),
                key: key.clone(),
            },
            self.0.capacity_each,
        );
        key
    }

    /// How many keys are in the cache.
    pub fn len(&self) -> usize {
        let lengths = self
            .0
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).entries.len());
        lengths.sum()
    }

    /// Whether no key is in the cache.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for KeyCache {
    /// A cache of 256 keys: some tenants, regions and services, or one each and many days.
    fn default() -> KeyCache {
        KeyCache::new(256)
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Shard {
    fn find(
        &mut self,
        hash: u64,
        access_key_id: &str,
        secret: &str,
        scope: &Scope<'_>,
    ) -> Option<SigningKey> {
        self.clock += 1;
        let entry = self.entries.iter_mut().find(|entry| {
            entry.hash == hash
                && *entry.access_key_id == *access_key_id
                && *entry.date == *scope.date()
                && *entry.region == *scope.region()
                && *entry.service == *scope.service()
                && is_same_secret(&entry.secret_access_key, secret.as_bytes())
        })?;
        entry.used = self.clock;
        Some(entry.key.clone())
    }

    fn insert(&mut self, mut entry: Entry, capacity: usize) {
        self.clock += 1;
        entry.used = self.clock;
        if self.entries.len() < capacity {
            // All at once: a vector that grows leaves the keys behind where they were.
            self.entries.reserve_exact(capacity - self.entries.len());
            self.entries.push(entry);
        } else if let Some(oldest) = self.entries.iter_mut().min_by_key(|entry| entry.used) {
            *oldest = entry;
        }
    }
}

const ENTRIES_IN_A_SHARD: usize = 32;

const MOST_SHARDS: usize = 1 << 15;

const MOST_KEYS: usize = MOST_SHARDS * ENTRIES_IN_A_SHARD;

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::*;

    /// As the hmac crate has it.
    fn hmac(key: &[u8], message: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(message.as_bytes());
        mac.finalize().into_bytes().into()
    }

    const SCOPE: &str = "20150830/us-east-1/iam/aws4_request";

    fn scope(text: &str) -> Scope<'_> {
        Scope::parse(text).expect("a scope")
    }

    fn mark(cache: &KeyCache, id: &str, secret: &str, at: &str) -> [u8; 32] {
        cache.key(id, secret, &scope(at)).sign(b"text")
    }

    #[test]
    fn the_published_example_derives_rightly() {
        // AWS General Reference, "Examples of how to derive a signing key".
        let hex = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
        let expected = sha256::from_hex(hex.as_bytes()).expect("a hash");
        let key = SigningKey::derive("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &scope(SCOPE));
        assert_eq!(key.sign(b"text"), hmac(&expected, "text"));
    }

    #[test]
    fn a_secret_of_any_length_derives_as_by_hmac() {
        for len in [0, 1, 31, 32, 40, 59, 60, 61, 64, 200] {
            let secret = "s".repeat(len);
            let key = SCOPE
                .split('/')
                .fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part).to_vec());
            let derived = SigningKey::derive(&secret, &scope(SCOPE));
            assert_eq!(derived.sign(b"text"), hmac(&key, "text"), "{len} bytes");
        }
    }

    #[test]
    fn signing_is_hmac_sha256_for_every_length() {
        let key = [0x5a; 32];
        let signing = SigningKey::from_bytes(&key);
        for len in 0..300 {
            let text = "x".repeat(len);
            let expected = hmac(&key, &text);
            assert_eq!(signing.sign(text.as_bytes()), expected, "{len} bytes");
            let begun = signing.begin(&text.as_bytes()[..len / 2]);
            assert_eq!(signing.sign_begun(&begun, text.as_bytes()), expected, "{len} bytes");
        }
    }

    #[test]
    fn a_replaced_secret_never_finds_the_old_key() {
        let cache = KeyCache::new(16);
        let old = mark(&cache, "AKID", "old", SCOPE);
        let new = mark(&cache, "AKID", "new", SCOPE);
        assert_ne!(old, new);
        assert_eq!(new, SigningKey::derive("new", &scope(SCOPE)).sign(b"text"));
        assert_eq!(old, mark(&cache, "AKID", "old", SCOPE));
    }

    #[test]
    fn the_key_changes_at_midnight() {
        let cache = KeyCache::new(16);
        let before = mark(&cache, "AKID", "secret", SCOPE);
        let after = mark(&cache, "AKID", "secret", "20150831/us-east-1/iam/aws4_request");
        assert_ne!(before, after);
        assert_eq!(before, mark(&cache, "AKID", "secret", SCOPE));
    }

    #[test]
    fn interleaved_tenants_get_their_own_keys() {
        let cache = KeyCache::new(2);
        for _ in 0..10 {
            for (id, secret) in [("AKIDA", "a"), ("AKIDB", "b"), ("AKIDC", "c"), ("AKIDA", "b")] {
                let expected = SigningKey::derive(secret, &scope(SCOPE)).sign(b"text");
                assert_eq!(mark(&cache, id, secret, SCOPE), expected);
            }
        }
    }

    #[test]
    fn parts_that_join_to_the_same_text_do_not_collide() {
        let cache = KeyCache::new(16);
        let one = mark(&cache, "AKID", "secret", "20150830/us-east-1/iam/aws4_request");
        let two = mark(&cache, "AKID", "secret", "20150830/us-east-1i/am/aws4_request");
        assert_ne!(one, two);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn the_bound_holds_and_the_last_used_keys_stay() {
        for capacity in [0, 1, 7, 32, 33, 100] {
            let cache = KeyCache::new(capacity);
            for tenant in 0..1000 {
                cache.key(&format!("AKID{tenant}"), "secret", &scope(SCOPE));
                assert!(cache.len() <= capacity.max(1), "{} of {capacity}", cache.len());
            }
            assert!(!cache.is_empty());
        }
        assert!(KeyCache::new(usize::MAX).is_empty());
        let cache = KeyCache::new(2);
        for id in ["A", "B", "A", "C", "A"] {
            cache.key(id, "secret", &scope(SCOPE));
        }
        let shard = cache.0.shards[0].lock().expect("not poisoned");
        let mut kept: Vec<&str> = shard.entries.iter().map(|entry| &*entry.access_key_id).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["A", "C"]);
    }

    #[test]
    fn threads_that_share_a_cache_agree() {
        let cache = KeyCache::new(8);
        std::thread::scope(|threads| {
            for thread in 0..4 {
                let cache = cache.clone();
                threads.spawn(move || {
                    for round in 0..500 {
                        let (id, secret) =
                            (format!("AKID{}", round % 12), format!("s{}", (round + thread) % 3));
                        let expected = SigningKey::derive(&secret, &scope(SCOPE)).sign(b"text");
                        assert_eq!(mark(&cache, &id, &secret, SCOPE), expected);
                    }
                });
            }
        });
    }

    #[test]
    fn threads_that_derive_the_same_key_leave_one_entry() {
        let cache = KeyCache::new(64);
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    barrier.wait();
                    cache.key("AKID", "secret", &scope(SCOPE))
                });
            }
        });
        assert_eq!(cache.len(), 1);
    }
}
