//! Bodies in chunks as [`http_body::Body`], for whatever sends or receives them.

mod sign;

pub use sign::ChunkedBody;

/// Any error, as bodies pass them on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
