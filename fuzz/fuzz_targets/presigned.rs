//! Presigned URLs whose parameters are in place and whose values are arbitrary: each gets an answer, and what a claim
//! says is what stands in the URL.
#![no_main]

mod percent;

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use countersign::{
    Head, Headers, Payload, Scratch, SigningKey,
    verify::{Known, Place, Verifier},
};
use libfuzzer_sys::fuzz_target;

use self::percent::decoded;

#[derive(Arbitrary, Debug)]
struct Plan {
    path: Vec<u8>,
    parameters: Vec<(Name, Value)>,
    has_debugging: bool,
    has_uniform_refusals: bool,
}

#[derive(Arbitrary, Debug)]
enum Name {
    Any(Vec<u8>),
    Ours(u8),
}

#[derive(Arbitrary, Debug)]
enum Value {
    Any(Vec<u8>),
    /// One that such a parameter has.
    Usual,
    /// The usual one with some bytes in place of others.
    Edited {
        at: u8,
        out: u8,
        put: Vec<u8>,
    },
}

fuzz_target!(|plan: Plan| {
    let mut query = Vec::new();
    for (name, value) in plan.parameters.iter().take(30) {
        if !query.is_empty() {
            query.push(b'&');
        }
        let usual = match name {
            Name::Any(name) => {
                query.extend_from_slice(name);
                &b"value"[..]
            }
            Name::Ours(at) => {
                let (name, usual) = USUAL[usize::from(*at) % USUAL.len()];
                query.extend_from_slice(name.as_bytes());
                usual.as_bytes()
            }
        };
        query.push(b'=');
        match value {
            Value::Any(value) => query.extend_from_slice(value),
            Value::Usual => query.extend_from_slice(usual),
            Value::Edited { at, out, put } => {
                let start = usize::from(*at) % (usual.len() + 1);
                let end = (start + usize::from(*out)).min(usual.len());
                query.extend([&usual[..start], put, &usual[end..]].concat());
            }
        }
    }
    let headers: [(&[u8], &[u8]); 1] = [(b"Host", b"example.amazonaws.com")];
    let path = [b"/", &plan.path[..]].concat();
    let head = Head {
        method: b"GET",
        https: true,
        authority: None,
        path: &path,
        query: Some(&query),
        headers: Headers::Pairs(&headers),
    };
    let verifier = Verifier::new()
        .with_debugging(plan.has_debugging)
        .with_uniform_refusals(plan.has_uniform_refusals);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let error = match verifier.claim(head, now) {
        Ok(claim) => {
            assert_eq!(claim.place(), Place::Query);
            let scope = claim.scope();
            assert!(!scope.service().is_empty() && !claim.access_key_id().is_empty());
            assert!(claim.at().as_str().starts_with(scope.date()), "{claim:?}");
            // The same text stands in the URL, in whatever way it is escaped.
            let written = decoded(&query, true);
            for text in [claim.access_key_id(), &scope.to_string(), claim.at().as_str()] {
                let is_there = written.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(is_there, "{claim:?} of {}", query.escape_ascii());
            }
            let key = SigningKey::derive("secret", &scope);
            let body = claim.payload().is_none().then_some(Payload::EMPTY);
            match claim.verify(Some(Known::new(&key)), body, &mut Scratch::new()) {
                Ok((verified, _)) => panic!("a signature was made up: {verified:?}"),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
});

const USUAL: [(&str, &str); 8] = [
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    ("X-Amz-Credential", "AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fs3%2Faws4_request"),
    ("X-Amz-Date", "20150830T123600Z"),
    ("X-Amz-Expires", "900"),
    ("X-Amz-SignedHeaders", "host"),
    ("X-Amz-Signature", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("X-Amz-Security-Token", "token"),
    ("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"),
];
