//! Signing a body in chunks, beside the SHA-256 of the same bytes, which no signer can do without.
#![forbid(unsafe_code)]

use std::{hint::black_box, time::UNIX_EPOCH};

use bytes::Buf;
use countersign::{
    Credentials, Signer,
    chunked::{ChunkBuffer, ChunkSigner, Chunks},
};
use criterion::{Criterion, Throughput};
use sha2::{Digest, Sha256};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (title, chunk_size) in [("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        let mut group = criterion.benchmark_group(format!("chunks of {title}"));
        group.throughput(Throughput::Bytes(BODY as u64));
        let body: Vec<u8> = (0..BODY).map(|n| (n * 7 + n / 251) as u8).collect();
        group.bench_function("SHA-256 alone", |bench| {
            bench.iter(|| {
                for chunk in body.chunks(chunk_size) {
                    black_box(Sha256::digest(chunk));
                }
            });
        });
        group.bench_function("frame", |bench| {
            bench.iter(|| {
                let mut signer = signer(chunk_size);
                for chunk in body.chunks(chunk_size) {
                    black_box(signer.frame(chunk).expect("the next chunk").head.len());
                }
                black_box(signer.end().expect("the whole body").len())
            });
        });
        let mut wire = ChunkBuffer::new();
        for (name, piece) in [("push, 64 KiB at a time", 64 << 10), ("push, 8000 at a time", 8000)]
        {
            group.bench_function(name, |bench| {
                bench.iter(|| {
                    let mut signer = signer(chunk_size);
                    for piece in body.chunks(piece) {
                        signer.push(piece, &mut wire).expect("no more than declared");
                        send(&mut wire);
                    }
                    signer.finish(&mut wire).expect("the whole body");
                    send(&mut wire);
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

fn signer(chunk_size: usize) -> ChunkSigner {
    let mut put =
        http::Request::put("https://bucket.s3.amazonaws.com/key").body(()).expect("a put");
    let chunks = Chunks::signed(BODY as u64).with_chunk_size(chunk_size);
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let signer = Signer::new("eu-central-1", "s3");
    signer.sign_chunked(&mut put, chunks, &credentials, UNIX_EPOCH).expect("it can be signed")
}

/// Hands on what is ready, as a socket takes it.
fn send(wire: &mut ChunkBuffer) {
    black_box(wire.ready().first());
    wire.advance(wire.remaining());
}

/// So large that signing the head is no part of the figures.
const BODY: usize = 16 << 20;
