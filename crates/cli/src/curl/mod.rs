//! `countersign curl`: placeholder until parse.rs and exec.rs stand here.

use std::ffi::OsString;

use clap::Args;

use crate::failure::Failure;

/// Sign what curl is about to send, then run curl
#[derive(Args)]
pub(crate) struct Curl {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Curl {
    pub(crate) fn run(self) -> Result<(), Failure> {
        Err(Failure::input(format_args!("{:?}", self.args)))
    }
}
