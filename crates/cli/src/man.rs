//! `countersign man`: the manual pages, one for the program and one for each command.

use std::{fs, path::PathBuf};

use clap::Args;

use crate::failure::Failure;

/// Write the manual pages to a folder
#[derive(Args)]
#[command(after_help = "Example:\n  countersign man ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// The folder; it is made if it does not exist
    folder: PathBuf,
}

impl Man {
    pub(crate) fn run(self, program: clap::Command) -> Result<(), Failure> {
        let failed = |error| {
            Failure::input(format_args!("cannot write to `{}`: {error}", self.folder.display()))
        };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        clap_mangen::generate_to(program, &self.folder).map_err(failed)
    }
}
