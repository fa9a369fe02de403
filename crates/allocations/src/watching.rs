//! An allocator that looks into each block before it is freed.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
};

/// The system's allocator, looking for secrets within [`leaks`].
///
/// It hands out zeroed blocks, so that what is found in one was written by its owner; and a block that
/// grows always moves, as the system's allocator may do at any time.
///
/// ```
/// use countersign_allocations::watching::{Watching, leaks};
///
/// #[global_allocator]
/// static ALLOCATOR: Watching = Watching;
///
/// let secret = [b"a secret".to_vec()];
/// assert_eq!(leaks(&secret, || drop(secret[0].clone())), 1);
/// ```
#[derive(Debug)]
pub struct Watching;

/// How many of the blocks that `run` frees on this thread hold any of the needles, whole.
pub fn leaks(needles: &[Vec<u8>], run: impl FnOnce()) -> usize {
    // Never freed, so that neither finds itself.
    let needles: &'static [Vec<u8>] = needles.to_vec().leak();
    clean_the_stack();
    WATCH.set(Some(Watch { needles, found: 0 }));
    run();
    WATCH.take().map_or(0, |watch| watch.found)
}

/// Overwrites what ran before on this stack, which may have been another thread's: padding in a block that is
/// written from the stack would hold it.
///
/// ```
/// countersign_allocations::watching::clean_the_stack();
/// ```
#[inline(never)]
pub fn clean_the_stack() {
    black_box([0_u8; 512 << 10]);
}

#[derive(Clone, Copy)]
struct Watch {
    needles: &'static [Vec<u8>],
    found: usize,
}

thread_local! {
    /// What is looked for; `None` outside of [`leaks`]. Needs no destructor and no allocation, so that
    /// the allocator may use it at any time.
    static WATCH: Cell<Option<Watch>> = const { Cell::new(None) };
}

/// Looks into a block.
///
/// # Safety
/// `block` must be one that [`Watching`] handed out with this layout and has not freed.
unsafe fn look(block: *mut u8, layout: Layout) {
    let Some(watch) = WATCH.get() else { return };
    // SAFETY: the block is the caller's, of that size, and no one writes to it while it is being freed.
    // Each byte was initialized by `alloc_zeroed` below, if by nobody else. (What was moved over it may
    // have had padding; behind the system's allocator that is some byte, which is all that counts here.)
    let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
    let holds = |needle: &Vec<u8>| bytes.windows(needle.len()).any(|window| window == *needle);
    if watch.needles.iter().any(holds) {
        WATCH.set(Some(Watch { found: watch.found + 1, ..watch }));
    }
}

// SAFETY: each block is one of the system's allocator, handed out and freed as the caller asked; the
// default `realloc` is made of these.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the promises of `alloc`, which are those of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller says that the block was handed out here with this layout.
        unsafe { look(block, layout) };
        // SAFETY: the caller keeps the promises of `dealloc`, and the block is one of the system's.
        unsafe { System.dealloc(block, layout) }
    }
}
