//! What memory holds after its secrets are gone: nothing of them.
//!
//! Each block is looked into just before it is freed. Looked for are the secret, the session token and
//! the derived key, each in pieces of eight bytes, and the key also in the two states that HMAC makes
//! of it.
#![forbid(unsafe_code)]

use std::{
    sync::Barrier,
    thread,
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials, Head, Headers, KeyCache, Payload, Presign, Scope, Scratch, Signer, SigningKey,
    chunked::{ChunkBuffer, ChunkSigner, ChunkVerifier, Chunks},
};
use countersign_allocations::watching::{Watching, leaks};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::{Sha256, block_api::compress256};

#[global_allocator]
static ALLOCATOR: Watching = Watching;

const SECRET: &str = "hR7/q0ZtVn3+xLw9bYc5dKf1gMs8PuJ2aEoTiQ6z";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEFkaCXVzLWVhc3QtMSJHMEUCIQDf8+Zx/k3mN7vP1sQwRt5yUa==";

#[test]
fn dropped_credentials_leave_no_secret() {
    let found = leaks(&needles(), || {
        let credentials = credentials();
        let edited = credentials.clone().with_account_id("123456789012");
        let replaced = edited.clone().with_session_token("another");
        drop((credentials, edited, replaced));
    });
    assert_eq!(found, 0);
}

#[test]
fn a_dropped_key_leaves_nothing_of_it() {
    let found = leaks(&needles(), || {
        let key = Box::new(SigningKey::derive(SECRET, &scope()));
        drop(key.clone());
        drop(key);
    });
    assert_eq!(found, 0);
}

#[test]
fn a_dropped_key_cache_leaves_neither_keys_nor_secrets() {
    let found = leaks(&needles(), || {
        let cache = KeyCache::new(2);
        cache.key("AKID", SECRET, &scope());
        cache.key("AKID", "another", &scope());
        cache.key("AKIDTOO", SECRET, &scope());
        drop(cache);
    });
    assert_eq!(found, 0);
}

#[test]
fn a_key_cache_that_fills_up_leaves_no_keys_behind() {
    let cache = KeyCache::new(32);
    let found = leaks(&needles(), || {
        for tenant in 0..32 {
            cache.key(&format!("AKID{tenant}"), SECRET, &scope());
        }
    });
    assert_eq!((cache.len(), found), (32, 0));
}

#[test]
fn a_key_that_makes_room_for_another_leaves_no_secret() {
    let cache = KeyCache::new(1);
    cache.key("AKID", SECRET, &scope());
    let found = leaks(&needles(), || {
        cache.key("AKID", "another", &scope());
    });
    assert_eq!((cache.len(), found), (1, 0));
}

#[test]
fn a_dropped_scratch_leaves_nothing() {
    let (signer, credentials) = (signer(), credentials());
    for form in FORMS {
        let found = leaks(&needles(), || {
            let mut scratch = Box::new(Scratch::new());
            form(&signer, &credentials, "/", &mut scratch);
            drop(scratch);
        });
        assert_eq!(found, 0);
    }
}

#[test]
fn a_scratch_that_grows_wipes_what_it_leaves_behind() {
    let (signer, credentials) = (signer(), credentials());
    for form in FORMS {
        let mut scratch = Scratch::new();
        let found = leaks(&needles(), || {
            for doublings in 0..8 {
                // In descending order, so that the query is sorted in a buffer of its own.
                let query: Vec<String> =
                    (0..1 << doublings).rev().map(|n| format!("a{n:03}")).collect();
                let path = format!("/{}?{}", "a/./".repeat(1 << doublings), query.join("&"));
                form(&signer, &credentials, &path, &mut scratch);
            }
        });
        assert_eq!(found, 0);
    }
}

#[test]
fn a_scratch_that_turns_to_another_key_wipes_the_one_it_had() {
    let (signer, credentials) = (signer(), credentials());
    let other = Credentials::new("AKIDTOO", "another");
    let mut scratch = Scratch::new();
    sign(&signer, &credentials, "/", &mut scratch);
    let found = leaks(&needles(), || {
        drop(credentials);
        sign(&signer, &other, "/", &mut scratch);
    });
    assert_eq!(found, 0);
}

#[test]
fn a_refused_request_leaves_nothing() {
    let (signer, credentials) = (signer(), credentials());
    let mut scratch = Box::new(Scratch::new());
    sign(&signer, &credentials, "/", &mut scratch);
    let found = leaks(&needles(), || {
        let head = head("/?a=%");
        let refused = signer.sign_head(head, Payload::EMPTY, &credentials, at(), &mut scratch);
        assert!(refused.is_err());
        let refused = signer.presign_head(head, presign(), &credentials, at(), &mut scratch);
        assert!(refused.is_err());
        drop(scratch);
    });
    assert_eq!(found, 0);
}

#[test]
fn a_dropped_signer_leaves_nothing() {
    // No session token: that stands in the requests, whose memory is the caller's.
    let credentials = Credentials::new("AKID", SECRET);
    let found = leaks(&needles(), || {
        let signer = signer();
        for path in ["/", "/a?b=c"] {
            let request = http::Request::get(format!("https://iam.amazonaws.com{path}"));
            let mut request = request.body(()).expect("a request");
            signer
                .sign(&mut request, Payload::EMPTY, &credentials, at())
                .expect("it can be signed");
        }
        drop(signer);
    });
    assert_eq!(found, 0);
}

#[test]
fn what_verifies_chunks_leaves_no_key_when_it_is_dropped_or_fails() {
    for fails in [false, true] {
        let found = leaks(&needles(), || {
            let at = "20150830T123600Z".parse().expect("a time");
            let key = SigningKey::derive(SECRET, &scope());
            let mut chunks = Box::new(ChunkVerifier::new(key, at, &scope(), &[b'0'; 64]));
            let mut out = ChunkBuffer::new();
            if fails {
                let chunk = format!("4;chunk-signature={}\r\nmeow\r\n", "0".repeat(64));
                assert!(chunks.push(chunk.as_bytes(), &mut out).is_err());
            }
            drop(chunks);
        });
        assert_eq!(found, 0);
    }
}

#[test]
fn what_signs_chunks_leaves_no_key_wherever_it_was_moved() {
    let found = leaks(&needles(), || {
        let mut request =
            http::Request::put("https://b.s3.amazonaws.com/k").body(()).expect("a request");
        let credentials = Credentials::new("AKID", SECRET);
        let signer = Signer::new("us-east-1", "iam").with_rules(countersign::Rules::S3);
        let chunks = signer.sign_chunked(&mut request, Chunks::signed(4), &credentials, at());
        let mut kept: Box<Option<ChunkSigner>> = Box::new(Some(chunks.expect("it can be signed")));
        let mut out = ChunkBuffer::new();
        let mut signer = kept.take().expect("it is there");
        signer.push(b"meow", &mut out).expect("as long as was said");
        signer.finish(&mut out).expect("as long as was said");
        drop(kept);
    });
    assert_eq!(found, 0);
}

#[test]
fn buffers_that_threads_give_back_leave_no_key_behind() {
    let (signer, credentials) = (signer(), Credentials::new("AKID", SECRET));
    // So long in the signing that all threads are at it at once, each with buffers of its own.
    let long = HeaderValue::from_bytes(&[b'a'; 1 << 20]).expect("a header value");
    let start = Barrier::new(THREADS);
    let (signer, credentials, long, start) = (&signer, &credentials, &long, &start);
    thread::scope(|threads| {
        let sign = move || {
            let request = http::Request::get("https://iam.amazonaws.com/").header("long", long);
            let mut request = request.body(()).expect("a request");
            start.wait();
            let found = leaks(&needles(), || {
                signer
                    .sign(&mut request, Payload::EMPTY, credentials, at())
                    .expect("it can be signed");
            });
            assert_eq!(found, 0);
        };
        for _ in 0..THREADS {
            threads.spawn(sign);
        }
    });
}

#[test]
fn what_is_not_wiped_is_found() {
    for needle in needles() {
        assert_eq!(leaks(&needles(), || drop(needle.clone())), 1);
    }
    let mut grown = TOKEN.as_bytes().to_vec();
    assert_eq!(leaks(&needles(), || grown.reserve(1000)), 1);
}

/// A way of signing a `GET` of some path.
type Sign = fn(&Signer, &Credentials, &str, &mut Scratch);

const FORMS: [Sign; 2] = [sign, |signer, credentials, path, scratch| {
    signer
        .presign_head(head(path), presign(), credentials, at(), scratch)
        .expect("the request can be signed");
}];

fn sign(signer: &Signer, credentials: &Credentials, path: &str, scratch: &mut Scratch) {
    signer
        .sign_head(head(path), Payload::EMPTY, credentials, at(), scratch)
        .expect("the request can be signed");
}

fn head(path: &str) -> Head<'_> {
    let headers = Headers::Pairs(&[(b"host", b"iam.amazonaws.com")]);
    Head::parse(b"GET", path.as_bytes(), headers).expect("a path")
}

fn signer() -> Signer {
    Signer::new("us-east-1", "iam")
}

fn credentials() -> Credentials {
    Credentials::new("AKID", SECRET).with_session_token(TOKEN)
}

fn presign() -> Presign {
    Presign::expires_in(Duration::from_secs(60))
}

fn scope() -> Scope<'static> {
    Scope::parse("20150830/us-east-1/iam/aws4_request").expect("a scope")
}

/// A moment of the day of [`scope`].
fn at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

/// All that must not be found in memory.
fn needles() -> Vec<Vec<u8>> {
    let hmac = |key: &[u8], message: &str| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(message.as_bytes());
        mac.finalize().into_bytes().into()
    };
    let date = hmac(format!("AWS4{SECRET}").as_bytes(), "20150830");
    let region = hmac(&date, "us-east-1");
    let service = hmac(&region, "iam");
    let key = hmac(&service, "aws4_request");
    let state = |pad: u8| -> Vec<u8> {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        let mut state = INITIAL;
        compress256(&mut state, &[block]);
        state.into_iter().flat_map(u32::to_ne_bytes).collect()
    };
    let (inner, outer) = (state(0x36), state(0x5c));
    let secrets: [&[u8]; 8] =
        [SECRET.as_bytes(), TOKEN.as_bytes(), &date, &region, &service, &key, &inner, &outer];
    secrets.into_iter().flat_map(|secret| secret.chunks_exact(8)).map(<[u8]>::to_vec).collect()
}

const THREADS: usize = 12;

/// The first state of SHA-256 (FIPS 180-4, §5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
