//! Arbitrary request heads, read as lines: whatever a client sends, a server gets an answer.
#![no_main]

use std::time::{Duration, SystemTime};

use countersign::{
    Head, Headers, Payload, Scratch, SigningKey,
    verify::{Dialect, Known, Verifier, Wire},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (settings, input) = input.split_first().unwrap_or((&0, input));
    let is_set = |bit: u8| settings & (1 << bit) != 0;
    let mut lines = input.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let mut words = first.splitn(2, |&byte| byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<(&[u8], &[u8])> = lines
        .map(|line| match line.iter().position(|&byte| byte == b':') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        })
        .collect();
    // Also targets that no parser lets through.
    let parsed = Head::parse(method, target, Headers::Pairs(&headers));
    let head = parsed.unwrap_or(Head {
        method,
        https: true,
        authority: None,
        path: target,
        query: None,
        headers: Headers::Pairs(&headers),
    });
    let mut verifier = Verifier::new()
        .with_debugging(is_set(0))
        .with_uniform_refusals(is_set(1))
        .with_unsigned_payloads(is_set(2));
    if is_set(3) {
        verifier = verifier.with_services(["s3"]);
    }
    if is_set(4) {
        verifier = verifier.with_region("us-east-1").with_required_headers(["content-type"]);
    }
    // Any time of signing is near enough.
    verifier = verifier.with_clock_skew(Duration::from_secs(u64::from(u32::MAX)));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let error = match verifier.claim(head, now) {
        Ok(claim) => {
            let _ = (format!("{claim:?}"), claim.session_token(), claim.payload());
            let key = SigningKey::derive("secret", &claim.scope());
            let known = Known::new(&key).with_session_token("token");
            let known = (!is_set(5)).then_some(known);
            let body = claim.payload().is_none().then_some(Payload::EMPTY);
            match claim.verify(known, body, &mut Scratch::new()) {
                // Who fuzzes does not know the key, and finds no signature of it.
                Ok((verified, _)) => panic!("a signature was made up: {verified:?}"),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    for wire in [Wire::Json, Wire::QueryXml, Wire::S3Xml] {
        let body = error.body(wire, "ID");
        assert!(body.contains(wire.code(&error)), "{body}");
    }
    for dialect in [Dialect::General, Dialect::S3] {
        assert!((400..600).contains(&error.status(dialect)));
    }
});
