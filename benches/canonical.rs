//! Canonical paths and queries.
//!
//! Neither can be had alone through the public API, so each row signs a whole request in buffers and
//! stands beside its limit, which is the SHA-256 of just that request. What a path or query costs to
//! canonicalize is its row less its limit, less the same difference of the row `bare` (`/` and no
//! query, which is what every signature costs besides). The paths have 1 KiB and the queries 2 KiB, so
//! that this is most of what is left.
#![forbid(unsafe_code)]

#[path = "support/rows.rs"]
mod rows;
mod support;

use criterion::Criterion;

use support::{Call, Case, HEADER_HEAVY};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("canonical");
    for (name, service, request) in [
        ("bare", "s3", (|_| call("/".to_owned(), None)) as fn(u64) -> Call),
        ("path, unreserved, S3", "s3", |n| path(n, "pictures/")),
        ("path, unreserved", "execute-api", |n| path(n, "pictures/")),
        ("path, escapes, S3", "s3", |n| path(n, "%C3%A9t%C3%A9/")),
        ("path, escapes", "execute-api", |n| path(n, "%C3%A9t%C3%A9/")),
        ("path, dot segments", "execute-api", |n| path(n, "a/./b/../")),
        ("query, sorted", "s3", |n| query(n, |p| p, "value")),
        ("query, reversed", "s3", |n| query(n, |p| 99 - p, "value")),
        ("query, shuffled", "s3", |n| query(n, |p| p * 37 % 100, "value")),
        ("query, escapes", "s3", |n| query(n, |p| p, "%2F+%C3%A9")),
    ] {
        let case = Case { title: name, service, request, ..HEADER_HEAVY };
        rows::limit(&mut group, &format!("{name}: limit"), case.limit());
        rows::buffers(&mut group, name, &case, Case::call);
    }
    group.finish();
    criterion.final_summary();
}

/// A path of 1 KiB: a number, then one part over and over.
fn path(n: u64, part: &str) -> Call {
    let mut path = format!("/{n:06}/");
    path.extend(std::iter::repeat_n(part, (1024 - path.len()) / part.len()));
    call(path, None)
}

/// A query of 100 parameters in some order.
fn query(n: u64, order: fn(u64) -> u64, value: &str) -> Call {
    let parameters: Vec<String> =
        (0..100).map(|p| format!("parameter{:02}={value}{:03}", order(p), n % 1000)).collect();
    call("/".to_owned(), Some(parameters.join("&")))
}

fn call(path: String, query: Option<String>) -> Call {
    Call { path, query, headers: Vec::new(), ..(HEADER_HEAVY.request)(0) }
}
