//! Command lines of curl, an argument a line: each is read or refused, and the arguments that curl gets as they are
//! say nothing more of the request than was read.
#![no_main]

// What reads them is a part of the program, which is no library: its files stand here as they are.
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../crates/cli/src/body.rs"]
mod body;
#[path = "../../crates/cli/src/credential_options.rs"]
mod credential_options;
mod curl;
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../crates/cli/src/failure.rs"]
mod failure;
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../crates/cli/src/printed.rs"]
mod printed;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| curl::check(text));
