//! Signing the chunks of a body, here and by `aws-sigv4`, beside the SHA-256 of the same bytes.

use std::{
    hint::black_box,
    time::{Duration, Instant, SystemTime},
};

use aws_credential_types::Credentials as PeerCredentials;
use aws_sigv4::sign::v4::{self, SigningParams, sign_chunk, sign_trailer};
use aws_smithy_runtime_api::{client::identity::Identity, http::Headers};
use bytes::{Buf, Bytes};
use countersign::{
    Credentials, Signer,
    chunked::{ChunkBuffer, ChunkSigner, Chunks},
};
use sha2::{Digest, Sha256};

use crate::support::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// What one way of signing takes for a chunk at the least, and at the median.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) min_ns: u128,
    pub(crate) median_ns: u128,
}

/// Signs chunks of this size in each way, by turns. The first row is SHA-256 alone.
pub(crate) fn measure(chunk_size: usize, rounds: usize) -> Vec<Measured> {
    let data: Bytes = (0..chunk_size).map(|n| (n * 7 + n / 251) as u8).collect();
    let chunks = rounds + WARM_UP;
    let body = || Chunks::signed((chunks * chunk_size) as u64).with_chunk_size(chunk_size);
    let ((mut framed, _), (mut pushed, _)) = (ours(body()), ours(body()));
    let mut wire = ChunkBuffer::new();
    let identity = identity();
    let params = params(&identity);
    let mut running = "0".repeat(64);
    let mut rows: [Row<'_>; 4] = [
        (
            "SHA-256 alone",
            Box::new(|| {
                black_box(Sha256::digest(&data));
            }),
        ),
        (
            "ours-frame",
            Box::new(|| {
                black_box(framed.frame(&data).expect("the next chunk").head.len());
            }),
        ),
        (
            "ours-push",
            Box::new(|| {
                pushed.push(&data, &mut wire).expect("no more than declared");
                black_box(wire.ready().first());
                wire.advance(wire.remaining());
            }),
        ),
        (
            "aws-sigv4-chunk",
            Box::new(|| {
                let signed = sign_chunk(&data, &running, &params).expect("it can be signed");
                running = signed.into_parts().1;
            }),
        ),
    ];
    let mut times = [const { Vec::new() }; 4];
    for round in 0..chunks {
        for ((_, sign), times) in rows.iter_mut().zip(&mut times) {
            let start = Instant::now();
            sign();
            if round >= WARM_UP {
                times.push(start.elapsed());
            }
        }
    }
    let measured = rows.iter().zip(&mut times).map(|((name, _), times)| {
        times.sort_unstable();
        let at = |at: usize| times.get(at).copied().unwrap_or(Duration::MAX).as_nanos();
        Measured { name, min_ns: at(0), median_ns: at(times.len() / 2) }
    });
    measured.collect()
}

type Row<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// Refuses to measure unless both come to the same signatures, that of a trailer included.
pub(crate) fn check() {
    let data: Bytes = (0..20_000).map(|n| (n * 7 + n / 251) as u8).collect();
    let trailers = [("x-amz-meta-b", "1"), ("x-amz-meta-a", "2")];
    let chunks = Chunks::signed(data.len() as u64).with_chunk_size(8192);
    let chunks = trailers.iter().fold(chunks, |chunks, &(n, value)| chunks.with_trailer(n, value));
    let (mut signer, mut previous) = ours(chunks);
    let mut wire = ChunkBuffer::new();
    signer.push(&data, &mut wire).expect("no more than declared");
    signer.finish(&mut wire).expect("the whole body");
    let sent = String::from_utf8_lossy(wire.ready()).into_owned();

    let identity = identity();
    let params = params(&identity);
    let mut sizes: Vec<Bytes> = data.chunks(8192).map(Bytes::copy_from_slice).collect();
    sizes.push(Bytes::new());
    for chunk in sizes {
        let signed = sign_chunk(&chunk, &previous, &params).expect("it can be signed");
        previous = signed.into_parts().1;
        let head = format!("{:x};chunk-signature={previous}\r\n", chunk.len());
        assert!(sent.contains(&head), "aws-sigv4 signs a chunk otherwise");
    }
    let mut headers = Headers::new();
    for (name, value) in trailers {
        headers.insert(name, value);
    }
    let signed = sign_trailer(&headers, &previous, &params).expect("it can be signed");
    let line = format!("x-amz-trailer-signature:{}\r\n\r\n", signed.into_parts().1);
    assert!(sent.ends_with(&line), "aws-sigv4 signs the trailers otherwise");
}

/// Our signer of such a body, and the signature of its head.
fn ours(chunks: Chunks) -> (ChunkSigner, String) {
    let mut put =
        http::Request::put("https://bucket.s3.amazonaws.com/key").body(()).expect("a put");
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let signer = Signer::new(REGION, "s3")
        .sign_chunked(&mut put, chunks, &credentials, SystemTime::UNIX_EPOCH)
        .expect("it can be signed");
    (signer, crate::support::signature_in(put.headers()["authorization"].as_bytes()))
}

fn identity() -> Identity {
    PeerCredentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "benchmark").into()
}

fn params(identity: &Identity) -> SigningParams<'_, ()> {
    v4::SigningParams::builder()
        .identity(identity)
        .region(REGION)
        .name("s3")
        .time(SystemTime::UNIX_EPOCH)
        .settings(())
        .build()
        .expect("all is there")
}

const WARM_UP: usize = 20;
