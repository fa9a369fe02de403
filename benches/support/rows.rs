//! The rows that each benchmark has.
#![allow(dead_code, reason = "each benchmark uses another part")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkGroup, Criterion, measurement::WallTime};

use super::support::{Call, Case, Ours, Server, limit::Limit};

/// All rows of one kind of request, the limit first, so that a ratio can be read from one run.
pub(crate) fn group(criterion: &mut Criterion, what: &str, case: &Case) {
    let mut group = criterion.benchmark_group(format!("{what} {}", case.title));
    limit(&mut group, "limit", case.limit());
    buffers(&mut group, "buffers", case, Case::call);
    buffers(&mut group, "buffers, cold key", case, Case::cold_call);
    request(&mut group, "http::Request", case, Case::call);
    request(&mut group, "http::Request, cold key", case, Case::cold_call);
    group.finish();
}

pub(crate) fn limit(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut limit: Limit) {
    let name = format!("{name}, {} compressions", limit.compressions());
    group.bench_function(name, |bench| {
        bench.iter(|| black_box(limit.run()[0]));
    });
}

pub(crate) fn buffers(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    case: &Case,
    call: fn(&Case, u64) -> Call,
) {
    let mut ours = Ours::new(case);
    let calls: Vec<Call> = (0..CALLS).map(|n| call(case, n)).collect();
    let inputs: Vec<_> = calls.iter().map(|call| (call, call.pairs())).collect();
    let mut inputs = inputs.iter().cycle();
    group.bench_function(name, |bench| {
        bench.iter(|| {
            let (call, pairs) = inputs.next().expect("a cycle has no end");
            black_box(ours.buffers(call, pairs).len())
        });
    });
}

pub(crate) fn verify(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, case: &Case) {
    let mut server = Server::new(case);
    let calls: Vec<Call> = (0..CALLS).map(|n| case.signed_call(n)).collect();
    let inputs: Vec<_> = calls.iter().map(|call| (call, call.pairs())).collect();
    let mut inputs = inputs.iter().cycle();
    group.bench_function(name, |bench| {
        bench.iter(|| {
            let (call, pairs) = inputs.next().expect("a cycle has no end");
            black_box(server.verify(call.received(pairs), &call.body, call.at))
        });
    });
}

pub(crate) fn verify_parts(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, case: &Case) {
    let mut server = Server::new(case);
    let calls: Vec<Call> = (0..CALLS).map(|n| case.signed_call(n)).collect();
    let inputs: Vec<_> = calls.iter().map(|call| (call, call.received_parts())).collect();
    let mut inputs = inputs.iter().cycle();
    group.bench_function(name, |bench| {
        bench.iter(|| {
            let (call, parts) = inputs.next().expect("a cycle has no end");
            black_box(server.verify(parts.into(), &call.body, call.at))
        });
    });
}

fn request(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    case: &Case,
    call: fn(&Case, u64) -> Call,
) {
    let ours = Ours::new(case);
    let mut calls = (0..).map(|n| call(case, n));
    group.bench_function(name, |bench| {
        bench.iter_batched_ref(
            || {
                let call = calls.next().expect("numbers have no end");
                (call.request(), call.at)
            },
            |(request, at)| ours.request(request, *at),
            BatchSize::SmallInput,
        );
    });
}

/// More than the 256 keys of a cache, so that a cold key stays cold when the calls come round.
const CALLS: u64 = 512;
