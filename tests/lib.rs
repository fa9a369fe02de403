//! What the library promises, seen from outside. One binary, one file for each behaviour.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test may")]

mod against;
#[cfg(feature = "body")]
mod body;
mod chunk_verifier;
mod chunked;
mod diagnose;
#[cfg(feature = "providers")]
mod docs;
mod endpoint;
#[cfg(feature = "eventstream")]
mod eventstream;
mod external;
mod mutations;
#[cfg(all(feature = "body", feature = "checksums", feature = "tokens"))]
mod pages;
#[cfg(feature = "post")]
mod post;
mod presign_many;
mod properties;
#[cfg(feature = "providers")]
mod providers;
mod regressions;
#[cfg(all(feature = "providers", feature = "reqwest"))]
mod reqwest_client;
#[cfg(feature = "sigv4a")]
mod sigv4a;
#[cfg(feature = "sigv4a")]
mod sigv4a_chunks;
mod support;
#[cfg(feature = "tokens")]
mod tokens;
#[cfg(feature = "tower")]
mod tower;
mod types;
mod vectors;
#[cfg(feature = "body")]
mod verified_body;
mod verifier_settings;
mod verify;
