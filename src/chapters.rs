//! The examples in `docs`, as tests.
#![doc = include_str!("../docs/start.md")]
#![doc = include_str!("../docs/signing.md")]
#![doc = include_str!("../docs/verifying.md")]
