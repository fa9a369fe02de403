//! Verifying, beside signing the same requests.
#![forbid(unsafe_code)]

#[path = "support/rows.rs"]
mod rows;
mod support;

use criterion::Criterion;

use support::{Case, DYNAMODB, HEADER_HEAVY, PRESIGNED, S3_GET};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for case in [S3_GET, DYNAMODB, PRESIGNED, HEADER_HEAVY] {
        let mut group = criterion.benchmark_group(format!("verify {}", case.title));
        rows::limit(&mut group, "limit", case.limit());
        rows::buffers(&mut group, "sign", &case, Case::call);
        rows::verify(&mut group, "verify", &case);
        rows::verify_parts(&mut group, "verify http::Parts", &case);
        group.finish();
    }
    criterion.final_summary();
}
