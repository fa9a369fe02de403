//! An allocator that counts.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

/// The system's allocator, counting within [`count`].
///
/// A program that wants to count says so:
///
/// ```
/// use countersign_allocations::counting::{Counting, count};
///
/// #[global_allocator]
/// static ALLOCATOR: Counting = Counting;
///
/// let (text, counted) = count(|| "text".to_owned());
/// assert_eq!((counted.allocations, counted.bytes), (1, text.len() as u64));
/// ```
#[derive(Debug)]
pub struct Counting;

/// What was allocated: on this thread, by whoever it was, each growth of a block as one more block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many blocks.
    pub allocations: u64,
    /// How many bytes all of them have.
    pub bytes: u64,
}

/// What `run` returns, and what it allocates on this thread.
pub fn count<T>(run: impl FnOnce() -> T) -> (T, Count) {
    COUNT.set(Some(Count::default()));
    let result = run();
    (result, COUNT.take().unwrap_or_default())
}

/// What `run` returns, and the most bytes that it holds at one time on this thread, beside those that
/// were there before.
///
/// A block that grows is there twice while it does, as the system's allocator may have it.
pub fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    HELD.set(Some((0, 0)));
    let result = run();
    let (_, most) = HELD.take().unwrap_or_default();
    (result, most.unsigned_abs())
}

thread_local! {
    /// How many bytes are held now, and the most that were; `None` outside of [`peak`]. As [`COUNT`].
    static HELD: Cell<Option<(isize, isize)>> = const { Cell::new(None) };

    /// What was counted so far; `None` outside of [`count`]. Needs no destructor and no allocation, so
    /// that the allocator may use it at any time.
    static COUNT: Cell<Option<Count>> = const { Cell::new(None) };
}

/// Notes that so many bytes more are held, or fewer if they are negative.
fn hold(bytes: isize) {
    if let Some((held, most)) = HELD.get() {
        let held = held + bytes;
        HELD.set(Some((held, most.max(held))));
    }
}

fn add(bytes: usize) {
    hold(bytes.cast_signed());
    if let Some(count) = COUNT.get() {
        COUNT.set(Some(Count {
            allocations: count.allocations + 1,
            bytes: count.bytes + bytes as u64,
        }));
    }
}

// SAFETY: each call is handed to the system's allocator as it is, and what that returns is returned.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        hold(-layout.size().cast_signed());
        // SAFETY: the caller keeps the promises of `dealloc`, and the block is one of the system's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add(new_size);
        // SAFETY: the caller keeps the promises of `realloc`, and the block is one of the system's.
        let block = unsafe { System.realloc(block, layout, new_size) };
        hold(-layout.size().cast_signed());
        block
    }
}
