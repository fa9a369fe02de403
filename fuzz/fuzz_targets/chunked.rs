//! Bodies in chunks, of all forms: arbitrary bytes, and bodies that the library framed and someone edited.
//!
//! - What is let through of signed chunks is the beginning of what was signed, up to the end of a chunk.
//! - What is accepted is what was sent, whole.
//! - Where a body is split makes no difference.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use countersign::{
    Credentials, Head, Scratch, Signer, SigningKey,
    chunked::{Checksum, ChunkBuffer, Chunks},
    verify::{BodyCheck, Known, Verifier},
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    form: Form,
    /// Repeated, because the library makes no chunks of less than 8 KiB.
    piece: Vec<u8>,
    repeats: u8,
    chunk_size: u8,
    edits: Vec<Edit>,
    /// In place of what was signed.
    raw: Option<Vec<u8>>,
    splits: Vec<u16>,
    chunk_limit: Option<u16>,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Signed,
    SignedTrailer,
    UnsignedTrailer,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Cut(u16),
    Flip(u16, u8),
    Insert(u16, u8),
    Move(u16, u16, u8),
    Remove(u16, u8),
}

fuzz_target!(|input: Input| {
    let data = input.piece.repeat(1 + usize::from(input.repeats));
    let data = &data[..data.len().min(MOST)];
    let chunks = chunks(&input, data.len() as u64);
    let mut head = http::Request::put("https://b.s3.amazonaws.com/k").body(()).expect("a request");
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let signer = Signer::new("us-east-1", "s3").sign_chunked(&mut head, chunks, &credentials, now);
    let mut signer = signer.expect("it can be signed");
    let mut sent = ChunkBuffer::new();
    signer.push(data, &mut sent).expect("the declared length");
    signer.finish(&mut sent).expect("the declared length");
    let sent = sent.ready();

    let mut wire = input.raw.clone().unwrap_or_else(|| sent.to_vec());
    input.edits.iter().for_each(|edit| edit.apply(&mut wire));

    let check = || {
        let mut verifier = Verifier::new().with_checksums(checksums);
        if let Some(limit) = input.chunk_limit {
            verifier = verifier.with_chunk_limit(usize::from(limit));
        }
        let claim = verifier.claim(Head::from(&head), now).expect("a claim");
        let key = SigningKey::derive("secret", &claim.scope());
        claim.verify(Some(Known::new(&key)), None, &mut Scratch::new()).expect("it holds").1
    };
    let (whole, verdict) = read(check(), [&wire[..]]);
    let mut splits: Vec<usize> =
        input.splits.iter().map(|split| usize::from(*split) % (wire.len() + 1)).collect();
    splits.extend([0, wire.len()]);
    splits.sort_unstable();
    let pieces = splits.windows(2).map(|pair| &wire[pair[0]..pair[1]]);
    assert_eq!((&whole, &verdict), (&read(check(), pieces).0, &read(check(), wire.chunks(1)).1));

    if input.form != Form::UnsignedTrailer {
        assert!(data.starts_with(&whole), "what was not signed was let through");
        let size = chunk_size(&input);
        assert!(whole.len() % size == 0 || whole.len() == data.len(), "a part of a chunk");
    }
    let is_edited = input.raw.is_none() || input.form != Form::UnsignedTrailer;
    if verdict.is_ok() && is_edited {
        assert_eq!(whole, data, "what was not sent was accepted");
    }
    if wire == sent && input.chunk_limit.is_none() {
        assert_eq!(verdict, Ok(()));
    }
});

/// What is let through, and the verdict.
fn read<'w>(
    mut check: BodyCheck,
    pieces: impl IntoIterator<Item = &'w [u8]>,
) -> (Vec<u8>, Result<(), String>) {
    let (mut out, mut all) = (ChunkBuffer::new(), Vec::new());
    for piece in pieces {
        let pushed = check.push_into(piece, &mut out);
        all.extend_from_slice(&out.split());
        if let Err(error) = pushed {
            assert!(check.push_into(b"0\r\n\r\n", &mut out).is_err(), "it recovered");
            assert!(out.ready().is_empty() && check.finish().is_err());
            return (all, Err(error.to_string()));
        }
    }
    (all, check.finish().map(drop).map_err(|error| error.to_string()))
}

fn chunks(input: &Input, len: u64) -> Chunks {
    let chunks = match input.form {
        Form::Signed => Chunks::signed(len),
        Form::SignedTrailer => Chunks::signed(len).with_checksum(Sum::default()),
        Form::UnsignedTrailer => Chunks::unsigned(len, Sum::default()),
    };
    chunks.with_chunk_size(chunk_size(input))
}

fn chunk_size(input: &Input) -> usize {
    8192 + usize::from(input.chunk_size)
}

impl Edit {
    fn apply(&self, wire: &mut Vec<u8>) {
        if wire.is_empty() {
            return;
        }
        let len = wire.len();
        let at = |position: u16| usize::from(position) % len;
        match *self {
            Edit::Cut(position) => wire.truncate(at(position)),
            Edit::Flip(position, bits) => wire[at(position)] ^= bits,
            Edit::Insert(position, byte) => wire.insert(at(position), byte),
            Edit::Move(from, to, count) => {
                let from = at(from);
                let moved = wire[from..len.min(from + usize::from(count))].to_vec();
                let to = at(to);
                wire.splice(to..to, moved);
            }
            Edit::Remove(position, count) => {
                let from = at(position);
                wire.drain(from..len.min(from + usize::from(count)));
            }
        }
    }
}

/// FNV-1a: nothing that a fuzzer finds a collision of.
#[derive(Debug)]
struct Sum(u64);

impl Default for Sum {
    fn default() -> Sum {
        Sum(0xcbf2_9ce4_8422_2325)
    }
}

impl Checksum for Sum {
    fn name(&self) -> &str {
        "x-amz-checksum-fnv"
    }

    fn update(&mut self, data: &[u8]) {
        for byte in data {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn value_len(&self) -> usize {
        16
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:016x}", self.0).as_bytes());
    }
}

fn checksums(name: &str) -> Option<Box<dyn Checksum>> {
    (name == "x-amz-checksum-fnv").then(|| Box::<Sum>::default() as Box<dyn Checksum>)
}

/// The longest body: three chunks and more.
const MOST: usize = 30_000;
