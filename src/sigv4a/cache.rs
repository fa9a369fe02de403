//! A cache of derived keys.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use zeroize::Zeroizing;

use super::SigningKey;
use crate::bytes::is_same_secret;

/// A bounded cache of derived keys, shared by its clones and safe under threads.
///
/// A key is found only by the access key id and the whole secret (compared in constant time): a secret
/// that was replaced under the same id never finds the old key, and takes its place. The least recently
/// used keys make room for new ones, wiped.
///
/// ```
/// use countersign::sigv4a::KeyCache;
///
/// let cache = KeyCache::new(1000);
/// let key = cache.key("AKIDEXAMPLE", "secret");
/// assert_eq!(key.verifying_key(), cache.key("AKIDEXAMPLE", "secret").verifying_key());
/// assert_eq!(cache.len(), 1);
/// ```
#[derive(Clone)]
pub struct KeyCache(Arc<Mutex<Entries>>);

struct Entries {
    /// By access key id. No entry holds a key or a secret itself, so a table that grows leaves none behind.
    entries: HashMap<Box<str>, Entry>,
    capacity: usize,
    /// Counts look-ups; the entry with the lowest count was used the longest ago.
    clock: u64,
}

struct Entry {
    secret_access_key: Zeroizing<Box<[u8]>>,
    key: SigningKey,
    used: u64,
}

impl KeyCache {
    /// A cache of at most `capacity` keys, at least one.
    pub fn new(capacity: usize) -> KeyCache {
        let capacity = capacity.max(1);
        KeyCache(Arc::new(Mutex::new(Entries { entries: HashMap::new(), capacity, clock: 0 })))
    }

    /// The key of this access key id and secret, derived now unless it is in the cache.
    pub fn key(&self, access_key_id: &str, secret_access_key: &str) -> SigningKey {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = lock().find(access_key_id, secret_access_key) {
            return key;
        }
        // Derived outside the lock, so that a cold key holds nobody up.
        let key = SigningKey::derive(access_key_id, secret_access_key);
        lock().insert(access_key_id, secret_access_key, key.clone());
        key
    }

    /// How many keys are in the cache.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    /// Whether no key is in the cache.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for KeyCache {
    /// A cache of 256 keys.
    fn default() -> KeyCache {
        KeyCache::new(256)
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Entries {
    fn find(&mut self, access_key_id: &str, secret: &str) -> Option<SigningKey> {
        self.clock += 1;
        let entry = self.entries.get_mut(access_key_id)?;
        if !is_same_secret(&entry.secret_access_key, secret.as_bytes()) {
            return None;
        }
        entry.used = self.clock;
        Some(entry.key.clone())
    }

    fn insert(&mut self, access_key_id: &str, secret: &str, key: SigningKey) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(access_key_id) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                self.entries.remove(&oldest);
            }
        }
        self.clock += 1;
        let secret_access_key = Zeroizing::new(secret.as_bytes().into());
        let entry = Entry { secret_access_key, key, used: self.clock };
        self.entries.insert(access_key_id.into(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(cache: &KeyCache) -> Vec<String> {
        let entries = cache.0.lock().expect("not poisoned");
        let mut ids: Vec<String> = entries.entries.keys().map(ToString::to_string).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn a_replaced_secret_never_finds_the_old_key() {
        let cache = KeyCache::new(16);
        let (old, new) = (cache.key("AKID", "old"), cache.key("AKID", "new"));
        assert_ne!(old.verifying_key(), new.verifying_key());
        assert_eq!(new.verifying_key(), SigningKey::derive("AKID", "new").verifying_key());
        assert_eq!(cache.key("AKID", "old").verifying_key(), old.verifying_key());
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn the_bound_holds_and_the_last_used_keys_stay() {
        let cache = KeyCache::new(2);
        for id in ["A", "B", "A", "C", "A"] {
            cache.key(id, "secret");
        }
        assert_eq!(ids(&cache), ["A", "C"]);
        cache.key("C", "another");
        assert_eq!(ids(&cache), ["A", "C"]);
        let cache = KeyCache::new(0);
        assert!(cache.is_empty());
        for id in ["A", "B"] {
            cache.key(id, "secret");
            assert_eq!(cache.len(), 1);
        }
    }

    #[test]
    fn threads_that_share_a_cache_agree() {
        let cache = KeyCache::new(2);
        std::thread::scope(|threads| {
            for thread in 0..3 {
                let cache = cache.clone();
                threads.spawn(move || {
                    for round in 0..6 {
                        let (id, secret) = (format!("A{}", round % 3), format!("{}", thread % 2));
                        let expected = SigningKey::derive(&id, &secret);
                        assert_eq!(
                            cache.key(&id, &secret).verifying_key(),
                            expected.verifying_key()
                        );
                    }
                });
            }
        });
        assert!(cache.len() <= 2);
    }
}
