//! Signing in the query.
#![forbid(unsafe_code)]

#[path = "support/rows.rs"]
mod rows;
mod support;

use criterion::Criterion;

use support::{Case, HEADER_HEAVY, PRESIGNED, PRESIGNED_WITH_TOKEN};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let heavy = Case { expires_in: PRESIGNED.expires_in, ..HEADER_HEAVY };
    for case in [PRESIGNED, PRESIGNED_WITH_TOKEN, heavy] {
        rows::group(&mut criterion, "presign", &case);
    }
    criterion.final_summary();
}
