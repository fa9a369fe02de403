//! The signers and verifiers, one file each.

mod aws_sign_v4;
mod aws_sigv4;
mod limit;
mod object_store;
mod ours;
mod reqsign;
mod rusoto;
mod rust_s3;
mod rusty_s3;
mod scratchstack;

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use chrono::{DateTime, Utc};
use countersign::{
    Head, Scratch, SigningKey,
    verify::{Known, Verifier},
};
use http::request::Parts;

use crate::{
    measure::Row,
    support::{self, Case, REGION, SECRET_ACCESS_KEY},
};

/// All rows of the table of one kind of request that is signed, the limit first.
pub(crate) fn signers(case: &Case) -> Vec<Box<dyn Row>> {
    let mut rows: Vec<Box<dyn Row>> = vec![
        Box::new(case.limit()),
        Box::new(ours::Buffers::new(case)),
        Box::new(ours::ManyASecond::new(case)),
        Box::new(ours::Request::new(case)),
        Box::new(aws_sigv4::Request::new(case)),
        Box::new(aws_sigv4::SignAlone::new(case)),
    ];
    // The others as far as they can: the README says what stands in the way.
    match case.id {
        "a" => {
            rows.push(Box::new(aws_sign_v4::Request::new(case)));
            rows.push(Box::new(reqsign::Request::new(case)));
            rows.push(Box::new(rust_s3::Request));
        }
        "b" => rows.push(Box::new(aws_sign_v4::Request::new(case))),
        "d" => rows.push(Box::new(rusty_s3::Presign::new(case))),
        _ => {}
    }
    if case.id != "d" {
        rows.push(Box::new(object_store::Request::new(case)));
    }
    if case.id != "e" {
        rows.push(Box::new(rusoto::Request::new(case)));
    }
    rows
}

/// All rows of the table of one kind of request that is verified, the limit first.
pub(crate) fn verifiers(case: &Case) -> Vec<Box<dyn Row>> {
    let mut rows: Vec<Box<dyn Row>> = vec![
        Box::new(case.limit()),
        Box::new(ours::Verify::new(case)),
        Box::new(ours::VerifyParts::new(case)),
    ];
    if matches!(case.id, "a" | "b") {
        rows.push(Box::new(scratchstack::Verify::new(case)));
    }
    rows
}

/// What a verifier says of a request.
pub(crate) const ACCEPTED: &str = "accepted";
pub(crate) const REFUSED: &str = "refused";

/// The SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Fails unless our verifier accepts what a peer signed for now: what it signed cannot be told beforehand.
fn assert_accepted(peer: &str, service: &str, parts: &Parts, body: &[u8]) {
    let now = SystemTime::now();
    let verifier = Verifier::new().with_region(REGION).with_services([service]);
    let claim = verifier.claim(Head::from(parts), now).expect("a signed request");
    let key = SigningKey::derive(SECRET_ACCESS_KEY, &claim.scope());
    let token =
        parts.headers.get("x-amz-security-token").map(|token| token.to_str().expect("text"));
    let known = Known::new(&key);
    let known = token.map_or(known, |token| known.with_session_token(token));
    let verified = claim.verify(Some(known), Some(support::payload(body)), &mut Scratch::new());
    assert!(verified.is_ok(), "{peer} signs otherwise: {verified:?}");
}

fn datetime(at: SystemTime) -> DateTime<Utc> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
    DateTime::from_timestamp(since.as_secs() as i64, 0).expect("a time before 9999")
}

/// What a future comes to that waits for nothing.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}
