//! The key of a credential scope, and a cache of such keys.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
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
        let mut block = Zeroizing::new([0; BLOCK]);
        let (prefix, rest) = block.split_at_mut(4);
        prefix.copy_from_slice(b"AWS4");
        let mut key = match rest.split_at_mut_checked(secret_access_key.len()) {
            Some((secret, _)) => {
                secret.copy_from_slice(secret_access_key.as_bytes());
                SigningKey::from_block(&mut block)
            }
            None => {
                let whole = Zeroizing::new(["AWS4", secret_access_key].concat());
                SigningKey::from_secret(whole.as_bytes(), &mut block)
            }
        };
        // Both are wiped once, behind all of them.
        let mut derived = Zeroizing::new([0; 32]);
        for part in scope.parts() {
            *derived = key.sign(part.as_bytes());
            key = SigningKey::from_secret(&derived[..], &mut block);
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
        SigningKey::from_secret(key, &mut Zeroizing::new([0; BLOCK]))
    }

    /// The key of an HMAC, which may have any length (RFC 2104, §2); `block` is room for it.
    #[inline]
    fn from_secret(secret: &[u8], block: &mut [u8; BLOCK]) -> SigningKey {
        block.fill(0);
        match block.get_mut(..secret.len()) {
            Some(start) => start.copy_from_slice(secret),
            None => block[..32].copy_from_slice(&Zeroizing::new(sha256::digest(secret))[..]),
        }
        SigningKey::from_block(block)
    }

    /// The key of an HMAC, filled up with zeros, which comes to be padded where it stands.
    fn from_block(block: &mut [u8; BLOCK]) -> SigningKey {
        let (ipad, opad) = (0x36, 0x5c);
        let mut padded = |pad: u8| {
            block.iter_mut().for_each(|byte| *byte ^= pad);
            let mut state = INITIAL;
            compress256(&mut state, std::slice::from_ref(block));
            state
        };
        // The second takes the first pad away again.
        SigningKey { inner: padded(ipad), outer: padded(ipad ^ opad) }
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
/// the region and the service: a secret that was replaced under the same id never finds the old key, and its
/// own key takes that one's place. When it is full, or the part of it to which a key belongs, a new key takes the
/// place of one of two that are drawn by lot, the one that was not used for longer; what was there is wiped. So a
/// cache that is somewhat too small for keys that are used in turn still finds most of them.
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
    /// Where the entry of each hash stands.
    places: HashMap<u64, usize, BuildHasherDefault<Hashed>>,
    entries: Vec<Entry>,
    /// Counts look-ups; of two entries the one with the lower count was used longer ago.
    clock: u64,
}

/// What a key is found by.
struct Identity<'a> {
    /// Of all but the secret.
    hash: u64,
    access_key_id: &'a str,
    secret: &'a str,
    scope: &'a Scope<'a>,
}

struct Entry {
    hash: u64,
    used: u64,
    /// The [parts](Identity::parts) of the identity, one behind the other.
    text: Zeroizing<Vec<u8>>,
    /// How long each of them is.
    lengths: [usize; 5],
    key: SigningKey,
}

/// Takes a number as it is, for one that is a hash already or is spread well enough.
#[derive(Default)]
pub(crate) struct Hashed(u64);

impl KeyCache {
    /// A cache of at most `capacity` keys: at least one, and a million at most.
    pub fn new(capacity: usize) -> KeyCache {
        let capacity = capacity.clamp(1, MOST_KEYS);
        // Large enough that chance fills them much alike, and as many as keep threads apart.
        let shards = (capacity / ENTRIES_IN_A_SHARD).clamp(1, MOST_SHARDS).next_power_of_two();
        KeyCache(Arc::new(Shards {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            capacity_each: capacity / shards,
            hasher: RandomState::new(),
        }))
    }

    /// The key of this secret for this scope, derived now unless it is in the cache.
    pub fn key(&self, access_key_id: &str, secret: &str, scope: &Scope<'_>) -> SigningKey {
        let hash = self.0.hasher.hash_one((access_key_id, scope));
        let identity = Identity { hash, access_key_id, secret, scope };
        let shard = self.0.shard(hash);
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = lock().find(&identity) {
            return key;
        }
        // Derived outside the lock, so that a cold key holds nobody up.
        let key = SigningKey::derive(secret, scope);
        // Another thread may have derived it meanwhile: then it takes its own place.
        lock().insert(&identity, key.clone(), self.0.capacity_each);
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

impl Shards {
    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The other half of the hash tells where in the shard it is.
        &self.shards[(hash >> 32) as usize % self.shards.len()]
    }
}

impl Shard {
    fn find(&mut self, identity: &Identity<'_>) -> Option<SigningKey> {
        self.clock += 1;
        let entry = &mut self.entries[*self.places.get(&identity.hash)?];
        if !entry.is_of(identity) {
            return None;
        }
        entry.used = self.clock;
        Some(entry.key.clone())
    }

    fn insert(&mut self, identity: &Identity<'_>, key: SigningKey, capacity: usize) {
        self.clock += 1;
        let Shard { places, entries, clock } = self;
        let at = match places.get(&identity.hash) {
            Some(&at) => at,
            None if entries.len() < capacity => {
                // All at once: a vector that grows leaves the keys behind where they were.
                entries.reserve_exact(capacity - entries.len());
                places.insert(identity.hash, entries.len());
                entries.push(Entry::new(identity, *clock, key));
                return;
            }
            None => {
                let at = drawn(entries, identity.hash ^ clock.wrapping_mul(ODD));
                places.remove(&entries[at].hash);
                places.insert(identity.hash, at);
                at
            }
        };
        entries[at] = Entry::new(identity, *clock, key);
    }
}

/// Which of two entries that are drawn by lot was not used for longer.
fn drawn(entries: &[Entry], lot: u64) -> usize {
    let (len, lots) = (entries.len(), [lot as u32 as usize, (lot >> 32) as usize]);
    let one = lots[0] % len;
    let other = (one + 1 + lots[1] % (len - 1).max(1)) % len;
    if entries[one].used <= entries[other].used { one } else { other }
}

impl Identity<'_> {
    fn parts(&self) -> [&[u8]; 5] {
        let [date, region, service, _] = self.scope.parts();
        [self.access_key_id, date, region, service, self.secret].map(str::as_bytes)
    }
}

impl Entry {
    fn new(identity: &Identity<'_>, used: u64, key: SigningKey) -> Entry {
        let parts = identity.parts();
        let lengths = parts.map(<[u8]>::len);
        let mut text = Zeroizing::new(Vec::with_capacity(lengths.iter().sum()));
        parts.into_iter().for_each(|part| text.extend_from_slice(part));
        Entry { hash: identity.hash, used, text, lengths, key }
    }

    /// The secret is compared in a time that tells nothing of it.
    fn is_of(&self, identity: &Identity<'_>) -> bool {
        let parts = identity.parts();
        let [.., secret] = parts;
        let (others, own_secret) = self.text.split_at(self.text.len() - self.lengths[4]);
        self.lengths == parts.map(<[u8]>::len)
            && parts[..4].iter().try_fold(others, |rest, part| rest.strip_prefix(*part)).is_some()
            && is_same_secret(own_secret, secret)
    }
}

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(ODD) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Spreads what the clock counts over all bits.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

const ENTRIES_IN_A_SHARD: usize = 64;

const MOST_SHARDS: usize = 64;

const MOST_KEYS: usize = 1 << 20;

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

    fn is_there(cache: &KeyCache, access_key_id: &str) -> bool {
        let scope = scope(SCOPE);
        let hash = cache.0.hasher.hash_one((access_key_id, &scope));
        let identity = Identity { hash, access_key_id, secret: "secret", scope: &scope };
        cache.0.shard(hash).lock().expect("not poisoned").find(&identity).is_some()
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
        assert_eq!(["A", "B", "C"].map(|id| is_there(&cache, id)), [true, false, true]);
    }

    #[test]
    fn each_use_of_a_key_is_later_than_all_before() {
        let scope = scope(SCOPE);
        let [a, b] = [1, 2].map(|hash| Identity {
            hash,
            access_key_id: "AKID",
            secret: "secret",
            scope: &scope,
        });
        let mut shard = Shard::default();
        for identity in [&a, &b] {
            shard.insert(identity, SigningKey::from_bytes(&[7; 32]), 2);
        }
        assert!(shard.entries[0].used < shard.entries[1].used);
        assert!(shard.find(&a).is_some());
        assert!(shard.entries[0].used > shard.entries[1].used);
    }

    #[test]
    fn of_two_others_that_are_drawn_the_one_that_was_not_used_for_longer_goes() {
        let scope = scope(SCOPE);
        let identity = Identity { hash: 0, access_key_id: "AKID", secret: "secret", scope: &scope };
        let used = [5, 3, 9, 1];
        let entries =
            used.map(|used| Entry::new(&identity, used, SigningKey::from_bytes(&[7; 32])));
        for (one, behind) in (0..8_usize).flat_map(|one| (0..6_usize).map(move |n| (one, n))) {
            let (first, second) = (one % 4, (one + 1 + behind % 3) % 4);
            let expected = if used[first] < used[second] { first } else { second };
            assert_eq!(drawn(&entries, (behind as u64) << 32 | one as u64), expected);
        }
        // Where there is one alone, it is both.
        assert_eq!(drawn(&entries[..1], u64::MAX), 0);
    }

    #[test]
    fn keys_that_are_used_in_turn_are_found_as_far_as_there_is_room() {
        // The share that is found, of those that come round again.
        let found = |capacity: usize| {
            let (tenants, rounds) = (10_000, 4);
            let cache = KeyCache::new(capacity);
            let key = SigningKey::from_bytes(&[7; 32]);
            let scope = scope(SCOPE);
            let mut found = 0;
            for tenant in (0..tenants).cycle().take(tenants * rounds) {
                let id = format!("AKID{tenant:016}");
                let hash = cache.0.hasher.hash_one((&*id, &scope));
                let identity =
                    Identity { hash, access_key_id: &id, secret: "secret", scope: &scope };
                let mut shard = cache.0.shard(hash).lock().expect("not poisoned");
                match shard.find(&identity) {
                    Some(_) => found += 1,
                    None => shard.insert(&identity, key.clone(), cache.0.capacity_each),
                }
            }
            assert!(cache.len() <= capacity);
            f64::from(found) / (tenants * (rounds - 1)) as f64
        };
        let (half, as_many, twice) = (found(5_000), found(10_000), found(20_000));
        assert!(half > 0.05, "{half} of 10,000 in 5,000");
        assert!(as_many > 0.85, "{as_many} of 10,000 in 10,000");
        assert!(twice == 1.0, "{twice} of 10,000 in 20,000");
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
