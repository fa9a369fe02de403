//! What users and scripts rely on: the program, run as a process.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod against;
mod commands;
mod credentials;
mod curl;
mod endpoint;
mod first_steps;
mod jsonl;
mod listen;
mod proxy;
mod requests;
mod start;
mod support;
mod tokens;
mod vectors;
mod verify;
