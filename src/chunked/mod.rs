//! Bodies that are signed while they stream: `aws-chunked`, with and without trailers.
//!
//! The head of such a request is signed first, with the length of the whole body in it, and each chunk
//! of the body signs the one before. So neither side ever holds more than a chunk.
//!
//! ```
//! use std::time::SystemTime;
//! use countersign::{Credentials, Signer, chunked::ChunkBuffer};
//!
//! let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let mut put = http::Request::put("https://bucket.s3.eu-central-1.amazonaws.com/cat.mp4").body(())?;
//! let signer = Signer::new("eu-central-1", "s3");
//! let mut chunks = signer.sign_chunked(&mut put, 9, &credentials, SystemTime::now())?;
//!
//! let mut wire = ChunkBuffer::new();
//! for piece in [&b"meow"[..], b" ", b"meow"] {
//!     chunks.push(piece, &mut wire)?;
//!     // Send what wire.split() returns.
//! }
//! chunks.finish(&mut wire)?;
//! assert!(wire.split().starts_with(b"9;chunk-signature="));
//! assert_eq!(put.headers()["x-amz-decoded-content-length"], "9");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A server takes such a body out of its chunks with the [`BodyCheck`](crate::verify::BodyCheck) that comes with
//! the proof of a request; what it believes, and when, stands at [`ChunkVerifier`].
//!
//! [`Chunks`] says more of the body than its length: the size of the chunks, a checksum that travels
//! behind it, whether the chunks are signed at all. Feature `body` wraps a whole HTTP body into a signed
//! one, and feature `checksums` has the checksums that AWS knows.

mod buffer;
mod checksum;
pub(crate) mod chunks;
mod frame;
mod request;
mod sign;
mod trailer;
mod verify;

pub use buffer::ChunkBuffer;
pub use checksum::Checksum;
pub use chunks::Chunks;
pub use sign::{ChunkSigner, Frame};
pub use trailer::Trailers;
pub use verify::{Checksums, ChunkVerifier};

pub(crate) use verify::CHUNK_LIMIT;
