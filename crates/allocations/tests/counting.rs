//! How much signing may allocate.
#![forbid(unsafe_code)]

use countersign::Payload;
use countersign_allocations::{
    calls::{peak_of_chunks, rows},
    counting::{Counting, count, peak},
    received::peak_of_received,
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
fn a_long_body_is_signed_in_the_memory_of_two_chunks_at_most() {
    // Without optimization a gibibyte takes minutes.
    let long = if cfg!(debug_assertions) { 8 << 20 } else { 1 << 30 };
    for (length, chunk_size) in [(1 << 20, 8 << 10), (long, 64 << 10), (8 << 20, 1 << 20)] {
        // Beside the chunks, the signer itself and a piece.
        let most = 2 * chunk_size + (24 << 10);
        let peak = peak_of_chunks(length, chunk_size);
        println!("{peak} bytes at most with chunks of {chunk_size}");
        assert!(peak <= most, "{peak} bytes with chunks of {chunk_size}, {most} at most");
    }
}

#[test]
fn a_body_in_chunks_is_verified_in_the_memory_of_a_few_chunks() {
    for payload in
        [Payload::Streaming, Payload::StreamingTrailer, Payload::StreamingUnsignedTrailer]
    {
        for (length, chunk_size) in [(4 << 20, 8 << 10), (32 << 20, 64 << 10), (32 << 20, 1 << 20)]
        {
            // A buffer that grows is there twice, and what was split off it once more.
            let most = 4 * chunk_size + (64 << 10);
            let peak = peak_of_received(payload, length, chunk_size);
            println!("{peak} bytes at most with chunks of {chunk_size}, {payload:?}");
            assert!(peak <= most, "{peak} bytes with chunks of {chunk_size}, {most} at most");
        }
    }
}

#[test]
fn the_most_that_is_held_at_one_time_is_counted() {
    let (text, most) = peak(|| {
        let mut text = vec![1u8; 100];
        drop(vec![2u8; 50]);
        text.reserve_exact(100);
        drop(vec![3u8; 60]);
        text
    });
    // 100 and 200 while it grows, more than 100 and 50 before or 200 and 60 behind it.
    assert_eq!(most, 300, "{text:?}");
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
