//! A command line that cannot be read.

use std::{error::Error, io::Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::{
    credential_options::no_credentials_here, failure::Failure, printed, raw_http::first_word,
};

/// Says on standard error what is wrong with it.
pub(crate) fn tell(error: &clap::Error) {
    if let Some(failure) = better(error) {
        return printed::tell(failure);
    }
    let text = error.render().ansi().to_string();
    // Help that nobody asked for begins with no such word.
    let text = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => text,
        _ => text.replacen("error:", "countersign:", 1),
    };
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// What the parser says less well, or with a value that nobody else should see.
fn better(error: &clap::Error) -> Option<Failure> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(&**text),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg)?;
    match error.kind() {
        ErrorKind::UnknownArgument => no_credentials_here(argument),
        ErrorKind::ValueValidation if argument.starts_with("--header ") => {
            let value = text(ContextKind::InvalidValue)?.as_bytes();
            let (word, why) = (first_word(value), error.source()?);
            Some(match word.len() == value.len() {
                // A value without a name, perhaps.
                true => Failure::input(format_args!("a value of `--header` cannot be used: {why}")),
                false => Failure::input(format_args!(
                    "the value of `--header` that begins with `{}` cannot be used: {why}",
                    word.escape_ascii(),
                )),
            })
        }
        _ => None,
    }
}
