//! The calls that are counted, and how much each may allocate.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Buf;
use countersign::{
    Credentials, KeyCache, Payload, Presign, Signer,
    chunked::{ChunkBuffer, ChunkSigner, Chunks},
    endpoint::Endpoint,
    eventstream::{EventSigner, EventVerifier},
};
use http::{Request, header::HeaderValue};

use crate::{
    counting::{Count, count, peak},
    received::{self, READS},
    support::{
        ACCESS_KEY_ID, Call, Case, DYNAMODB, HEADER_HEAVY, Ours, PRESIGNED, PRESIGNED_WITH_TOKEN,
        REGION, S3_GET, SECRET_ACCESS_KEY, Server,
    },
};

/// A way of signing or verifying one kind of request.
#[derive(Debug)]
pub struct Row {
    /// The kind of request.
    pub request: &'static str,
    /// How it is signed or verified.
    pub how: &'static str,
    /// How many blocks a call may allocate.
    pub at_most: u64,
    /// The most blocks that a call did allocate, of many, and the most bytes.
    pub counted: Count,
}

/// Signs and verifies each kind of request in each way, and counts.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for case in [S3_GET, DYNAMODB, HEADER_HEAVY, PRESIGNED, PRESIGNED_WITH_TOKEN] {
        let mut add = |how, at_most, counted| {
            rows.push(Row { request: case.title, how, at_most, counted });
        };
        add("buffers", 0, buffers(&case, Case::call));
        add("buffers, cold key", 8, buffers(&case, Case::cold_call));
        add("http::Request", 4, requests(&case, |_, call| call.request()));
        add("http::Request, again", 4, requests(&case, signed));
        add("http::Request, no room", 6, requests(&case, full));
        add("verify, buffers", 0, verified(&case));
        add("verify, http::Parts", 0, verified_parts(&case));
    }
    for case in [PRESIGNED, PRESIGNED_WITH_TOKEN] {
        let counted = one_of_many(&case);
        rows.push(Row { request: case.title, how: "one of many", at_most: 0, counted });
    }
    for (host, path) in HOSTS {
        let counted = count(|| Endpoint::of(host, path).expect("a host of AWS's")).1;
        rows.push(Row { request: "a host", how: host, at_most: 0, counted });
    }
    let mut add = |how, counted| {
        rows.push(Row { request: "message of an event stream", how, at_most: 0, counted });
    };
    add("sign", signed_messages());
    add("verify", verified_messages());
    let mut add = |how, counted| {
        rows.push(Row { request: "a chunk of 8 KiB", how, at_most: 0, counted });
    };
    add("push, drained", pushed(|wire| wire.advance(wire.remaining())));
    add("push, split and sent", pushed(|wire| drop(wire.split())));
    add("frame", framed());
    for (how, read) in READS {
        // What is counted is the most of the three.
        let forms =
            [Payload::Streaming, Payload::StreamingTrailer, Payload::StreamingUnsignedTrailer];
        let of =
            |payload| most(received::counts(payload, 8 << 10, CALLS as usize, read).into_iter());
        add(how, most_of(forms.map(of)));
    }
    rows
}

/// Pushes chunks in pieces that do not fit them, and sends what is ready as `send` does.
fn pushed(send: fn(&mut ChunkBuffer)) -> Count {
    let (mut signer, mut wire) = (chunk_signer(body_of_calls()), ChunkBuffer::new());
    let data = vec![b'm'; CHUNK];
    most((0..CALLS).map(|_| {
        count(|| {
            for piece in data.chunks(3000) {
                signer.push(piece, &mut wire).expect("a body of the declared length");
                send(&mut wire);
            }
        })
        .1
    }))
}

fn framed() -> Count {
    let mut signer = chunk_signer(body_of_calls());
    let data = vec![b'm'; CHUNK];
    most((0..CALLS).map(|_| count(|| signer.frame(&data).map(|frame| frame.head.len())).1))
}

/// Signs a body of `length` bytes in chunks of `chunk_size`, in pieces of 16 KiB that are sent at once,
/// and returns how many bytes more than before were held at the same time.
pub fn peak_of_chunks(length: u64, chunk_size: usize) -> usize {
    let piece = vec![b'm'; 16 << 10];
    let ((), peak) = peak(|| {
        let chunks = Chunks::signed(length).with_chunk_size(chunk_size);
        let (mut signer, mut wire) = (chunk_signer(chunks), ChunkBuffer::new());
        for _ in 0..length / piece.len() as u64 {
            signer.push(&piece, &mut wire).expect("a body of the declared length");
            drop(wire.split());
        }
        signer.finish(&mut wire).expect("a body of the declared length");
    });
    peak
}

fn chunk_signer(chunks: impl Into<Chunks>) -> ChunkSigner {
    let mut put = Request::put("https://bucket.s3.amazonaws.com/key").body(()).expect("a request");
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let signer = Signer::new(REGION, "s3");
    signer
        .sign_chunked(&mut put, chunks, &credentials, UNIX_EPOCH)
        .expect("the request can be signed")
}

fn body_of_calls() -> Chunks {
    Chunks::signed(CALLS * CHUNK as u64).with_chunk_size(CHUNK)
}

const CHUNK: usize = 8 << 10;

fn buffers(case: &Case, call: fn(&Case, u64) -> Call) -> Count {
    let mut ours = Ours::new(case);
    most((0..CALLS).map(|n| {
        let call = call(case, n);
        let pairs = call.pairs();
        count(|| ours.buffers(&call, &pairs).len()).1
    }))
}

fn one_of_many(case: &Case) -> Count {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let credentials = match case.session_token {
        Some(token) => credentials.with_session_token(token()),
        None => credentials,
    };
    let presign = case.expires_in.map(Presign::expires_in).expect("a case of presigning");
    let pattern = Call { path: "/".to_owned(), ..case.call(0) };
    let mut urls = Signer::new(REGION, case.service)
        .presign_many(pattern.head(&[]), presign, &credentials, pattern.at)
        .expect("the pattern can be signed");
    most((0..CALLS).map(|n| {
        let call = case.call(n);
        count(|| urls.key(&call.path[1..]).len()).1
    }))
}

fn requests(case: &Case, make: fn(&Ours, &Call) -> Request<Vec<u8>>) -> Count {
    let ours = Ours::new(case);
    most((0..CALLS).map(|n| {
        let call = case.call(n);
        let mut request = make(&ours, &call);
        count(|| ours.request(&mut request, call.at)).1
    }))
}

fn verified(case: &Case) -> Count {
    let mut server = Server::new(case);
    most((0..CALLS).map(|n| {
        let call = case.signed_call(n);
        let pairs = call.pairs();
        count(|| server.verify(call.received(&pairs), &call.body, call.at)).1
    }))
}

fn verified_parts(case: &Case) -> Count {
    let mut server = Server::new(case);
    most((0..CALLS).map(|n| {
        let call = case.signed_call(n);
        let parts = call.received_parts();
        count(|| server.verify((&parts).into(), &call.body, call.at)).1
    }))
}

fn signed_messages() -> Count {
    let (mut events, at, mut wire) = (event_signer(), SystemTime::now(), Vec::new());
    most((0..CALLS).map(|_| {
        wire.clear();
        count(|| events.sign(&MESSAGE, at, &mut wire).expect("a message to sign")).1
    }))
}

fn verified_messages() -> Count {
    let (mut sender, at, keys) = (event_signer(), SystemTime::now(), KeyCache::default());
    let mut events = EventVerifier::new(REGION, SERVICE, &seed()).expect("a seed");
    most((0..CALLS).map(|_| {
        let mut wire = Vec::new();
        sender.sign(&MESSAGE, at, &mut wire).expect("a message to sign");
        let receive = || {
            events.push(&wire);
            let event = events.next_event(at, |scope| Some(keys.key("AKID", "secret", scope)));
            event.expect("what was signed").expect("a whole message").bytes().len()
        };
        count(receive).1
    }))
}

fn event_signer() -> EventSigner {
    let (signer, keys) = (Signer::new(REGION, SERVICE), Credentials::new("AKID", "secret"));
    EventSigner::new(&signer, &keys, &seed()).expect("a seed")
}

fn seed() -> String {
    "0".repeat(64)
}

/// A request whose header map has no room for what a signature adds, as clones have none.
fn full(_: &Ours, call: &Call) -> Request<Vec<u8>> {
    let mut request = call.request();
    if call.headers.is_empty() {
        request.headers_mut().insert("accept", HeaderValue::from_static("*/*"));
    }
    request.clone()
}

/// A request with an earlier signature.
fn signed(ours: &Ours, call: &Call) -> Request<Vec<u8>> {
    let mut request = call.request();
    ours.request(&mut request, call.at);
    request
}

fn most_of(counts: impl IntoIterator<Item = Count>) -> Count {
    counts.into_iter().fold(Count::default(), |most, count| Count {
        allocations: most.allocations.max(count.allocations),
        bytes: most.bytes.max(count.bytes),
    })
}

/// The most that one call allocates once the first calls have grown the buffers.
fn most(counts: impl Iterator<Item = Count>) -> Count {
    most_of(counts.skip(WARM_UP))
}

const HOSTS: [(&str, &str); 5] = [
    ("email.us-west-2.amazonaws.com:443", "/"),
    ("A.B.S3-FIPS.dualstack.us-east-1.amazonaws.com.", "/cat.jpg"),
    ("point-123.accesspoint.vpce-0a1b-2c3d.s3.us-east-1.vpce.amazonaws.com", "/"),
    ("a1b2c3-ats.iot.cn-north-1.amazonaws.com.cn", "/mqtt"),
    ("iam.us-gov.amazonaws.com", "/"),
];

const MESSAGE: [u8; 3200] = [7; 3200];

const SERVICE: &str = "transcribe";

const CALLS: u64 = 600;

/// More than the 256 keys of a cache, so that the cold keys of the calls behind them take the place of
/// others.
const WARM_UP: usize = 300;
