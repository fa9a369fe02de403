//! How much signing may allocate.
#![forbid(unsafe_code)]

use countersign_allocations::{
    calls::rows,
    counting::{Counting, count},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn no_call_allocates_more_than_it_may() {
    for row in rows() {
        assert!(row.counted.allocations <= row.at_most, "{row:?}");
    }
}

#[test]
fn each_block_and_each_growth_is_counted() {
    let (text, counted) = count(|| {
        let mut text = Vec::with_capacity(10);
        text.extend_from_slice(&[1u8; 10]);
        text.reserve_exact(20);
        text
    });
    assert_eq!((counted.allocations, counted.bytes), (2, 40), "{text:?}");
}
