//! Signing in headers.
#![forbid(unsafe_code)]

#[path = "support/rows.rs"]
mod rows;
mod support;

use criterion::Criterion;

use support::{DYNAMODB, HEADER_HEAVY, S3_GET};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for case in [S3_GET, DYNAMODB, HEADER_HEAVY] {
        rows::group(&mut criterion, "sign", &case);
    }
    criterion.final_summary();
}
