//! Bodies that are signed while they stream: `aws-chunked`, with and without trailers.

mod buffer;
mod checksum;

pub use buffer::ChunkBuffer;
pub use checksum::Checksum;
