//! Signs or verifies so many requests in one way, for an instrument to count instructions.
#![forbid(unsafe_code)]

#[path = "../../support/mod.rs"]
mod support;

use std::{env, error::Error, hint::black_box};

use crate::support::{Call, Case, DYNAMODB, HEADER_HEAVY, Ours, PRESIGNED, S3_GET, Server};

/// What can be done, by the name that is an argument.
const ROWS: [(&str, Run, Case); 6] = [
    ("sign a", sign, S3_GET),
    ("sign b", sign, DYNAMODB),
    ("sign d", sign, PRESIGNED),
    ("sign e", sign, HEADER_HEAVY),
    ("verify a", verify, S3_GET),
    ("verify b", verify, DYNAMODB),
];

const USAGE: &str = "usage: countersign-guard ROW COUNT, where ROW is as `sign a`";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [row, count] = &arguments[..] else { return Err(USAGE.into()) };
    let (_, run, case) = ROWS.into_iter().find(|(name, ..)| name == row).ok_or(USAGE)?;
    run(&case, count.parse()?);
    Ok(())
}

type Run = fn(&Case, usize);

/// Signs in buffers that have grown and with a key at hand.
fn sign(case: &Case, count: usize) {
    let mut ours = Ours::new(case);
    let calls: Vec<Call> = (0..64).map(|n| case.call(n)).collect();
    let inputs: Vec<_> = calls.iter().map(|call| (call, call.pairs())).collect();
    let mut sign = |(call, pairs): &(&Call, Vec<_>)| {
        black_box(ours.buffers(call, pairs).len());
    };
    inputs.iter().for_each(&mut sign);
    counted(&inputs, count, sign);
}

/// Verifies as a server that has the key at hand.
fn verify(case: &Case, count: usize) {
    let mut server = Server::new(case);
    let calls: Vec<Call> = (0..64).map(|n| case.signed_call(n)).collect();
    let inputs: Vec<_> = calls.iter().map(|call| (call, call.pairs())).collect();
    let mut verify = |(call, pairs): &(&Call, Vec<_>)| {
        black_box(server.verify(call.received(pairs), &call.body, call.at));
    };
    inputs.iter().for_each(&mut verify);
    counted(&inputs, count, verify);
}

/// The part whose instructions are counted: the script knows it by this name.
#[inline(never)]
fn counted<I>(inputs: &[I], count: usize, mut call: impl FnMut(&I)) {
    for input in inputs.iter().cycle().take(count) {
        call(black_box(input));
    }
}
