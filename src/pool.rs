//! Buffers that threads share without waiting for one another.

use std::{
    hash::{BuildHasher, BuildHasherDefault},
    sync::{Arc, Mutex, TryLockError},
    thread,
};

use crate::{Scratch, key::Hashed};

/// The buffers of a signer and its clones.
///
/// Each thread begins at a place of its own and takes the next one that is free, so that two threads seldom
/// meet, and nobody ever waits.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<[Place; PLACES]>);

/// On a line of the processor's cache of its own: what one thread writes, no other has to fetch.
#[derive(Default)]
#[repr(align(128))]
struct Place(Mutex<Option<Box<Scratch>>>);

impl Pool {
    /// Lends buffers, which were used before if any are free.
    pub(crate) fn lend<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        // Threads are numbered one after the other, so each of a few has a place of its own.
        let number = BuildHasherDefault::<Hashed>::default().hash_one(thread::current().id());
        let first = number as usize % PLACES;
        for n in 0..PLACES {
            let place = &self.0[(first + n) % PLACES].0;
            let mut place = match place.try_lock() {
                Ok(place) => place,
                Err(TryLockError::WouldBlock) => continue,
                // Whoever panicked with it may have left anything in it.
                Err(TryLockError::Poisoned(left)) => {
                    place.clear_poison();
                    let mut left = left.into_inner();
                    *left = None;
                    left
                }
            };
            let scratch = place.get_or_insert_default();
            let result = work(scratch);
            if scratch.size() > LARGEST_KEPT {
                *place = None;
            }
            return result;
        }
        work(&mut Scratch::new())
    }
}

/// How many buffers are kept: one for each thread that signs at the same moment.
const PLACES: usize = 16;

/// Buffers that one uncommon request made larger are not kept for it.
const LARGEST_KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(pool: &Pool) -> usize {
        pool.lend(|scratch| scratch.buffers.text.capacity())
    }

    #[test]
    fn buffers_are_lent_again_unless_they_grew_too_large() {
        let pool = Pool::default();
        pool.lend(|scratch| scratch.buffers.text.reserve_exact(1000));
        assert_eq!(capacity(&pool), 1000);
        pool.lend(|scratch| scratch.buffers.text.reserve_exact(LARGEST_KEPT + 1));
        assert_eq!(capacity(&pool), 0);
    }

    #[test]
    fn a_panic_leaves_nothing_in_the_buffers_of_who_comes_next() {
        let pool = Pool::default();
        let panics = || {
            pool.lend(|scratch| {
                scratch.buffers.text.reserve_exact(1000);
                panic!("in the middle");
            })
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).expect_err("it panics");
        assert_eq!(capacity(&pool), 0);
        pool.lend(|scratch| scratch.buffers.text.reserve_exact(10));
        assert_eq!(capacity(&pool), 10);
    }

    #[test]
    fn nobody_waits_for_buffers_that_are_lent() {
        fn lend_all(pool: &Pool, depth: usize) {
            pool.lend(|scratch| {
                assert_eq!(scratch.buffers.text.capacity(), 0);
                scratch.buffers.text.reserve_exact(10);
                if depth > 0 {
                    lend_all(pool, depth - 1);
                }
            });
        }
        lend_all(&Pool::default(), 2 * PLACES);
    }
}
