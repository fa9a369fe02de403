//! `countersign man`: the manual pages, one for the program and one for each command.

use std::{fs, io, path::PathBuf};

use clap::{Args, builder::Resettable};
use clap_mangen::roff::{Roff, roman};

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
        let mut program = program.disable_help_subcommand(true);
        program.build();
        self.write(&program).map_err(failed)
    }

    /// Writes the page of a command and those of the commands below.
    fn write(&self, command: &clap::Command) -> io::Result<()> {
        command
            .get_subcommands()
            .filter(|below| !below.is_hide_set())
            .try_for_each(|below| self.write(below))?;
        // Whoever renders the rest would fill the lines of examples.
        let bare = clap_mangen::Man::new(command.clone().after_help(Resettable::Reset));
        let mut page = Vec::new();
        bare.render(&mut page)?;
        if let Some(help) = command.get_after_help() {
            page.extend(sections(&help.to_string()).render().into_bytes());
        }
        fs::write(self.folder.join(bare.get_filename()), page)
    }
}

/// What the help says behind the options: examples as they are, notes, and what the exit codes mean.
fn sections(help: &str) -> Roff {
    let mut page = Roff::new();
    let mut section = "";
    let (mut is_example, mut is_apart) = (false, false);
    for line in help.lines() {
        if line.is_empty() {
            is_apart = true;
            continue;
        }
        let example = line.strip_prefix("  ");
        match (is_example, example) {
            (false, Some(_)) => page.control("nf", []),
            (true, None) => page.control("fi", []),
            (true, Some(_)) if is_apart => page.text([roman("")]),
            _ => &mut page,
        };
        is_example = example.is_some();
        let (of, text) = match (example, line.strip_prefix("Exit codes: ")) {
            (Some(text), _) => (section, text),
            (None, Some(codes)) => ("EXIT STATUS", codes),
            (None, None) if line == "Example:" || line == "Examples:" => ("EXAMPLES", ""),
            (None, None) if line.starts_with("Example, ") => ("EXAMPLES", line),
            (None, None) => ("NOTES", line),
        };
        if of != section {
            page.control("SH", [of]);
            section = of;
        } else if is_apart && !is_example {
            page.control("PP", []);
        }
        if !text.is_empty() {
            page.text([roman(text)]);
        }
        is_apart = false;
    }
    if is_example {
        page.control("fi", []);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines_and_the_rest_is_filled() {
        let help =
            "Examples:\n  a -b \\\n    'c'\n\n  .d\n\nA note:\n  e\n\nMore.\n\nExit codes: 0 done.";
        let page = sections(help).to_roff();
        let expected = ".SH EXAMPLES\n.nf\na \\-b \\\\\n  'c'\n\n\\&.d\n.fi\n.SH NOTES\nA note:\n.nf\ne\n.fi\n\
                        .PP\nMore.\n.SH \"EXIT STATUS\"\n0 done.\n";
        assert_eq!(page, expected);
    }
}
