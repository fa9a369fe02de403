//! A command line that cannot be read.

use std::{error::Error, io::Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::{failure::Failure, printed, raw_http::first_word};

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

/// Where credentials come from, for whoever gave them as an option of this name.
pub(crate) fn no_credentials_here(option: &str) -> Option<Failure> {
    let option = option.split('=').next()?;
    let name = option.strip_prefix("--")?.replace('_', "-");
    let name = name.strip_prefix("aws-").unwrap_or(&name);
    CREDENTIALS.contains(&name).then(|| {
        Failure::input(format_args!(
            "`{option}` is no option, for every process can read another's command line: credentials come \
             from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), from a \
             profile, or from a file or standard input by `--credentials-file`"
        ))
    })
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

const CREDENTIALS: [&str; 6] = [
    "access-key",
    "access-key-id",
    "secret-access-key",
    "secret-key",
    "security-token",
    "session-token",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_other_programs_are_known_for_credentials() {
        for option in [
            "--secret-access-key",
            "--access_key",
            "--session_token=hush",
            "--aws-secret-access-key",
        ] {
            let failure = no_credentials_here(option).expect(option);
            assert!(failure.message.contains("AWS_SECRET_ACCESS_KEY"), "{failure}");
            assert!(!failure.message.contains("hush"), "{failure}");
        }
        for option in ["--secrets", "-s", "secret-key", "--credentials-file"] {
            assert!(no_credentials_here(option).is_none(), "{option}");
        }
    }
}
