//! Counts what `countersign` allocates, and looks into what it frees.
//!
//! The one crate here without `#![forbid(unsafe_code)]`: a global allocator is an `unsafe` trait, and
//! there is no other way to see each allocation. All that is unsafe is in [`counting`] and
//! [`watching`], neither of which is part of anything that is published.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod calls;
pub mod counting;
pub mod received;
#[path = "../../../benches/support/mod.rs"]
mod support;
pub mod watching;
