//! Whether it can be told by the time that it takes which access key ids exist.
//!
//! Prints how long a verifier takes to refuse a key that nobody has, a known key whose session token is
//! another, a known key whose signature differs, and a second round of the last: the noise against which
//! the others are to be compared. A token that does not match is of the same length, or, where the
//! request has none, missing.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "this is what it is for")]

mod support;

use std::{env, hint::black_box, time::Instant};

use support::{
    Call, Case, DYNAMODB, HEADER_HEAVY, Known, PRESIGNED, PRESIGNED_WITH_TOKEN, S3_GET, Server,
};

fn main() {
    let rounds = if env::args().any(|argument| argument == "--test") { 100 } else { 100_000 };
    println!("medians of {rounds} refusals each, in ns");
    println!(
        "{:34}{:>10}{:>10}{:>12}{:>12}",
        "request", "unknown", "token", "signature", "once more"
    );
    for case in [S3_GET, DYNAMODB, PRESIGNED, PRESIGNED_WITH_TOKEN, HEADER_HEAVY] {
        let [unknown, token, differs, again] = medians(&case, rounds);
        println!("{:34}{unknown:>10}{token:>10}{differs:>12}{again:>12}", case.title);
    }
}

/// One after the other in each round, each first as often as the others: what else the machine does
/// falls on all alike.
fn medians(case: &Case, rounds: usize) -> [u128; 4] {
    let mut server = Server::new(case).with_another_key();
    let calls: Vec<Call> = (0..512).map(|n| case.signed_call(n)).collect();
    let inputs: Vec<_> = calls.iter().map(|call| (call, call.pairs())).collect();
    let mut times = [const { Vec::new() }; 4];
    for round in 0..rounds {
        let (call, pairs) = &inputs[round % inputs.len()];
        for turn in 0..4 {
            let which = (round + turn) % 4;
            let known = [Known::Nobody, Known::WithAnotherToken, Known::Well, Known::Well][which];
            let start = Instant::now();
            let result = server.try_verify(call.received(pairs), &call.body, call.at, known);
            let is_refused = black_box(result.is_err());
            times[which].push(start.elapsed().as_nanos());
            assert!(is_refused, "the key is another");
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}
