//! Signing in the query.
#![forbid(unsafe_code)]

#[path = "support/rows.rs"]
mod rows;
mod support;

use std::hint::black_box;

use countersign::{Credentials, Presign, Signer};
use criterion::Criterion;

use support::{
    ACCESS_KEY_ID, Call, Case, HEADER_HEAVY, PRESIGNED, PRESIGNED_WITH_TOKEN, REGION,
    SECRET_ACCESS_KEY,
};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let heavy = Case { expires_in: PRESIGNED.expires_in, ..HEADER_HEAVY };
    for case in [PRESIGNED, PRESIGNED_WITH_TOKEN, heavy] {
        rows::group(&mut criterion, "presign", &case);
    }
    many(&mut criterion, &PRESIGNED);
    criterion.final_summary();
}

/// The URLs of one kind of request, all of them at one time.
fn many(criterion: &mut Criterion, case: &Case) {
    let mut group = criterion.benchmark_group(format!("presign_many {}", case.title));
    rows::limit(&mut group, "limit of one alone", case.limit());
    let calls: Vec<Call> = (0..512).map(|n| case.call(n)).collect();
    let keys: Vec<&str> = calls.iter().map(|call| &call.path[1..]).collect();
    let mut keys = keys.iter().cycle();
    let presign = case.expires_in.map(Presign::expires_in).expect("a case of presigning");
    let pattern = Call { path: "/".to_owned(), ..case.call(0) };
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let mut urls = Signer::new(REGION, case.service)
        .presign_many(pattern.head(&[]), presign, &credentials, pattern.at)
        .expect("the pattern can be signed");
    group.bench_function("key", |bench| {
        bench.iter(|| black_box(urls.key(keys.next().expect("a cycle has no end")).len()));
    });
    group.finish();
}
