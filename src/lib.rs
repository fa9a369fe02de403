//! Signs AWS Signature Version 4 requests: a pure core that knows no clock, no I/O and no async.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod canonical;
mod credentials;
mod error;
mod explain;
mod head;
mod key;
mod payload;
#[cfg(feature = "providers")]
pub mod providers;
mod request;
#[cfg(feature = "reqwest")]
mod reqwest;
mod rules;
mod scope;
mod sha256;
mod signed;
mod signer;
mod timestamp;
mod unsigned;

pub use canonical::Scratch;
pub use credentials::Credentials;
pub use error::{Error, ErrorKind};
pub use explain::Explanation;
pub use head::{Head, Headers};
pub use key::{KeyCache, SigningKey};
pub use payload::{Payload, PayloadLine};
pub use request::SignRequest;
pub use rules::Rules;
pub use scope::Scope;
pub use signed::{Presigned, Signed};
pub use signer::{Life, Presign, Signer};
pub use timestamp::Timestamp;
