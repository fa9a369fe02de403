//! What the proxy promises, seen from both of its sides. One binary, one file for each behaviour.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod bodies;
mod boundaries;
mod connect;
mod docs;
mod drain;
mod faults;
mod framing;
mod inbound;
mod isolation;
mod logs;
mod operations;
mod passing;
mod reload;
mod resign;
mod support;
mod tls;
