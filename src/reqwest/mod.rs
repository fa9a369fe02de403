//! reqwest's requests to sign, and its client for providers to ask with.

#[cfg(feature = "providers")]
mod client;
mod sign;

#[cfg(feature = "providers")]
pub use client::ReqwestClient;
