//! Bodies in chunks, as a server receives them.

use std::time::UNIX_EPOCH;

use bytes::Buf;
use countersign::{
    Credentials, Head, Payload, Scratch, Signer, SigningKey,
    chunked::{Checksum, ChunkBuffer, Chunks},
    verify::{BodyCheck, Known, Verifier},
};
use http::Request;

use crate::{
    counting::{Count, count, peak},
    support::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY},
};

/// The ways in which a server reads a body in chunks.
pub(crate) const READS: [(&str, Read); 3] = [
    ("verify, dropped", |check, piece, _| {
        check.push(piece).expect("a body that holds");
    }),
    ("verify, drained", |check, piece, out| {
        check.push_into(piece, out).expect("a body that holds");
        out.advance(out.remaining());
    }),
    ("verify, split and read", |check, piece, out| {
        check.push_into(piece, out).expect("a body that holds");
        drop(out.split());
    }),
];

pub(crate) type Read = fn(&mut BodyCheck, &[u8], &mut ChunkBuffer);

/// What each chunk allocates, in pieces that do not fit the chunks.
pub(crate) fn counts(payload: Payload, chunk: usize, chunks: usize, read: Read) -> Vec<Count> {
    let upload = Upload::new(payload, chunk * chunks, chunk);
    let (mut check, mut out) = (upload.check(), ChunkBuffer::new());
    // Without the last, which ends in the trailer.
    let each = upload.body.chunks(upload.body.len() / chunks).take(chunks - 1);
    each.map(|chunk| {
        count(|| chunk.chunks(10_000).for_each(|piece| read(&mut check, piece, &mut out))).1
    })
    .collect()
}

/// Reads a body of `length` bytes in chunks of `chunk_size` and in pieces of 16 KiB, and returns how many
/// bytes more than before were held at the same time.
pub fn peak_of_received(payload: Payload, length: usize, chunk_size: usize) -> usize {
    let upload = Upload::new(payload, length, chunk_size);
    let ((), peak) = peak(|| {
        let (mut check, mut out) = (upload.check(), ChunkBuffer::new());
        for piece in upload.body.chunks(16 << 10) {
            check.push_into(piece, &mut out).expect("a body that holds");
            drop(out.split());
        }
        check.finish().expect("a body that is whole");
    });
    peak
}

/// An upload that was signed.
struct Upload {
    head: Request<()>,
    body: Vec<u8>,
}

impl Upload {
    fn new(payload: Payload, length: usize, chunk_size: usize) -> Upload {
        let len = length as u64;
        let chunks = match payload {
            Payload::Streaming => Chunks::signed(len),
            Payload::StreamingTrailer => Chunks::signed(len).with_checksum(Xor(0)),
            _ => Chunks::unsigned(len, Xor(0)),
        };
        let mut head =
            Request::put("https://bucket.s3.amazonaws.com/key").body(()).expect("a request");
        let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
        let mut signer = Signer::new(REGION, "s3")
            .sign_chunked(&mut head, chunks.with_chunk_size(chunk_size), &credentials, UNIX_EPOCH)
            .expect("the request can be signed");
        let mut body = ChunkBuffer::new();
        signer.push(&vec![b'm'; length], &mut body).expect("a body of the declared length");
        signer.finish(&mut body).expect("a body of the declared length");
        Upload { head, body: body.ready().to_vec() }
    }

    fn check(&self) -> BodyCheck {
        let checksums = |name: &str| -> Option<Box<dyn Checksum>> {
            (name == Xor(0).name()).then(|| Box::new(Xor(0)) as Box<dyn Checksum>)
        };
        let verifier = Verifier::new().with_checksums(checksums);
        let claim = verifier.claim(Head::from(&self.head), UNIX_EPOCH).expect("a claim");
        let key = SigningKey::derive(SECRET_ACCESS_KEY, &claim.scope());
        let verified = claim.verify(Some(Known::new(&key)), None, &mut Scratch::new());
        verified.expect("a signature that holds").1
    }
}

/// All bytes in one: the simplest of checksums.
#[derive(Debug)]
struct Xor(u8);

impl Checksum for Xor {
    fn name(&self) -> &str {
        "x-amz-checksum-xor"
    }

    fn update(&mut self, data: &[u8]) {
        self.0 = data.iter().fold(self.0, |all, byte| all ^ byte);
    }

    fn value_len(&self) -> usize {
        2
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:02x}", self.0).as_bytes());
    }
}
