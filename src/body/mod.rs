//! Bodies in chunks as [`http_body::Body`], for whatever sends or receives them.

mod sign;
mod verify;

pub use sign::ChunkedBody;
pub use verify::VerifiedBody;

/// Any error, as bodies pass them on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
