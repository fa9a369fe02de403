//! What is printed on standard output, and said on standard error.

use std::{
    fmt,
    io::{self, Write},
};

use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Writes the whole of an answer to standard output. A reader that went away is no failure, and changes none: the
/// exit code is that of the answer.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => written(result),
    }
}

/// The same for text that people read, without its colours where none belong.
pub(crate) fn print_styled(text: &str) -> Result<(), Failure> {
    match anstream::AutoStream::choice(&io::stdout()) {
        anstream::ColorChoice::Never => print(anstream::adapter::strip_str(text).to_string()),
        _ => print(text),
    }
}

/// Writes one of many lines to standard output as it is; a reader that went away ends the program without a word.
pub(crate) fn print_object(object: &Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    written(writeln!(out, "{object}").and_then(|()| out.flush()))
}

/// The same for a line that people read.
pub(crate) fn print_line(line: impl fmt::Display) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    written(writeln!(out, "{line}").and_then(|()| out.flush()))
}

/// Says on standard error what is no failure, or is one that does not end the program. Where that cannot
/// be written, there is nobody to tell.
pub(crate) fn tell(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "countersign: {text}");
}

/// A value as JSON on lines of its own, in a buffer that is wiped: what it holds is as good as credentials.
pub(crate) fn wiped_json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut length = Counted(0);
    serde_json::to_writer_pretty(&mut length, value).expect("texts and numbers can be JSON");
    // A buffer that grew would leave a copy where it was.
    let mut json = Zeroizing::new(Vec::with_capacity(length.0 + 1));
    serde_json::to_writer_pretty(&mut *json, value).expect("texts and numbers can be JSON");
    json.push(b'\n');
    json
}

/// Counts what is written.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether standard output took what was written; a reader that went away ends the program without a
/// word.
pub(crate) fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(|error| {
            Failure::input(format_args!("cannot write to standard output: {error}"))
        }),
    }
}
