//! Keys: deriving one, finding one among thousands, and one signer on two threads.
//!
//! A key that is not at hand costs four HMACs more: 18 compressions, the first key's two blocks and those of
//! the key that they lead to included.
#![forbid(unsafe_code)]

mod support;

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant, SystemTime},
};

use countersign::{Credentials, KeyCache, Payload, Scope, Scratch, Signer, SigningKey};
use criterion::{Criterion, Throughput};
use sha2::block_api::compress256;

use support::{ACCESS_KEY_ID, REGION, S3_GET, SECRET_ACCESS_KEY};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    derive(&mut criterion);
    rotate(&mut criterion);
    share(&mut criterion);
    criterion.final_summary();
}

fn derive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a key");
    let (mut state, block) = ([0; 8], [0x5a; 64]);
    group.bench_function("limit, 18 compressions", |bench| {
        bench.iter(|| {
            for _ in 0..18 {
                compress256(&mut state, &[block]);
            }
            black_box(state[0])
        });
    });
    let scope = Scope::parse(SCOPE).expect("a scope");
    group.bench_function("derived", |bench| {
        bench.iter(|| SigningKey::derive(black_box(SECRET_ACCESS_KEY), &scope));
    });
    group.finish();
}

/// 10,000 tenants, one after the other and over again, through caches of other sizes. What a look-up
/// takes tells how many were found: one that was not takes as long as deriving.
fn rotate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("10,000 tenants");
    let scope = Scope::parse(SCOPE).expect("a scope");
    let ids: Vec<String> = (0..10_000).map(|n| format!("AKID{n:016}")).collect();
    for capacity in [1_000, 10_000, 20_000] {
        let cache = KeyCache::new(capacity);
        for threads in [1, 2] {
            group.throughput(Throughput::Elements(threads));
            group.bench_function(format!("capacity {capacity}, threads: {threads}"), |bench| {
                bench.iter_custom(|count| {
                    on_threads(threads, || {
                        for id in ids.iter().cycle().take(count as usize) {
                            black_box(cache.key(id, SECRET_ACCESS_KEY, &scope));
                        }
                    })
                });
            });
        }
    }
    group.finish();
}

/// One signer, its pool of buffers or a thread's own buffers.
fn share(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one signer");
    let signer = Signer::new(REGION, "s3");
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let at = SystemTime::UNIX_EPOCH;
    for threads in [1, 2] {
        group.throughput(Throughput::Elements(threads));
        group.bench_function(format!("buffers, threads: {threads}"), |bench| {
            bench.iter_custom(|count| {
                on_threads(threads, || {
                    let mut scratch = Scratch::new();
                    let call = S3_GET.call(7);
                    let pairs = call.pairs();
                    for _ in 0..count {
                        let signed = signer.sign_head(
                            call.head(&pairs),
                            Payload::EMPTY,
                            &credentials,
                            at,
                            &mut scratch,
                        );
                        black_box(signed.expect("it can be signed").signature().len());
                    }
                })
            });
        });
        group.bench_function(format!("http::Request, threads: {threads}"), |bench| {
            bench.iter_custom(|count| {
                on_threads(threads, || {
                    let mut request = S3_GET.call(7).request();
                    for _ in 0..count {
                        let signed = signer.sign(&mut request, Payload::EMPTY, &credentials, at);
                        signed.expect("it can be signed");
                    }
                })
            });
        });
    }
    group.finish();
}

/// How long it takes until each of the threads is done with its work.
fn on_threads(threads: u64, work: impl Fn() + Sync) -> Duration {
    let start = Barrier::new(threads as usize);
    let timed = || {
        start.wait();
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(timed)).collect();
        let times = threads.into_iter().map(|thread| thread.join().expect("no work panics"));
        times.max().unwrap_or_default()
    })
}

const SCOPE: &str = "20150830/eu-central-1/s3/aws4_request";
