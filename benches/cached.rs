//! Reading cached credentials on one thread and on two, at rest and while a refresh is under way.
#![forbid(unsafe_code)]

use std::{
    future,
    hint::black_box,
    pin::pin,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant, SystemTime},
};

use countersign::{
    Credentials,
    providers::{BoxFuture, Cached, Clock, Ports, ProvideCredentials, ProviderError},
};
use criterion::{Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("cached credentials");
    let cached = Cached::new(Once::default(), &Ports::system().with_clock(Ahead));
    read(&cached);
    let mut refresh = pin!(cached.provide());
    for state in ["at rest", "refreshing"] {
        if state == "refreshing" {
            AHEAD.store(90 * 60, Ordering::Relaxed);
            let mut context = Context::from_waker(Waker::noop());
            assert!(refresh.as_mut().poll(&mut context).is_pending(), "nobody answers it");
        }
        for threads in [1, 2] {
            group.throughput(Throughput::Elements(threads));
            group.bench_function(format!("{state}, threads: {threads}"), |bencher| {
                bencher.iter_custom(|reads| on_threads(threads, reads, &cached));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

/// How long it takes until each of the threads has read this often.
fn on_threads(threads: u64, reads: u64, cached: &Cached) -> Duration {
    let start = Barrier::new(threads as usize);
    let work = || {
        start.wait();
        let begun = Instant::now();
        for _ in 0..reads {
            black_box(read(cached));
        }
        begun.elapsed()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let times = threads.into_iter().map(|thread| thread.join().expect("no read panics"));
        times.max().unwrap_or_default()
    })
}

fn read(cached: &Cached) -> Credentials {
    match cached.provide().as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Some(credentials))) => credentials,
        other => panic!("{other:?}"),
    }
}

/// Answers the first time, and then never again.
#[derive(Debug, Default)]
struct Once(AtomicBool);

impl ProvideCredentials for Once {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        if self.0.swap(true, Ordering::Relaxed) {
            return Box::pin(future::pending());
        }
        let credentials = Credentials::new("ASIAEXAMPLE", "secret")
            .with_expires_at(SystemTime::now() + Duration::from_secs(2 * 60 * 60))
            .with_static_stability(true);
        Box::pin(future::ready(Ok(Some(credentials))))
    }
}

/// The clock of the system, put forward.
struct Ahead;

static AHEAD: AtomicU64 = AtomicU64::new(0);

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_secs(AHEAD.load(Ordering::Relaxed))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(future::pending())
    }
}
