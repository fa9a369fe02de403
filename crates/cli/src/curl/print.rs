//! `--print`: the command that sends the same, for a shell.

use super::{
    data::{LONGEST_ARGUMENT, Piece, is_regular},
    transfer::{Sending, SignedTransfer, is_stdin},
};
use crate::{body::Body, failure::Failure, options::SigningOptions};

/// A command line for a POSIX shell, and whether it wants the body on standard input.
pub(super) fn command(transfer: &mut SignedTransfer) -> Result<(String, bool), Failure> {
    let mut words = vec!["curl".to_owned(), "-q".to_owned()];
    for (name, value) in &transfer.added {
        words.push("-H".to_owned());
        words.push(match *name {
            // The token is a secret; the signature holds for one request, and not for long.
            "x-amz-security-token" | "x-amz-s3session-token" => {
                format!("\"{name}: $AWS_SESSION_TOKEN\"")
            }
            _ => quote(format!("{name}: {value}").as_bytes())?,
        });
    }
    for arg in &transfer.headers {
        let values = match arg.reusable_file() {
            Some(file) => vec![file],
            None => arg.lines.iter().map(Vec::as_slice).collect(),
        };
        for value in values {
            words.push("-H".to_owned());
            words.push(quote(value)?);
        }
    }
    let mut wants_stdin = false;
    let mut add = |option: &[u8], value: &[u8]| -> Result<(), Failure> {
        words.push(quote(option)?);
        words.push(quote(value)?);
        Ok(())
    };
    match &mut transfer.body {
        Sending::Framed(..) => {
            return Err(Failure::input(
                "a body in chunks is framed while it is sent, which no printed command can do: leave \
                 out --print, or use --payload hash",
            ));
        }
        Sending::Own => {}
        Sending::Data(Body::Bytes(bytes)) => add(b"--data-raw", bytes)?,
        Sending::Data(body) => {
            let is_piped = transfer.data.iter().any(Piece::is_stdin);
            // Curls of different ages encode a space and strip a file in different ways.
            if let Some(text) = (!is_piped).then(|| short_text(body)).transpose()?.flatten() {
                add(b"--data-raw", text.as_bytes())?;
            } else {
                for piece in &transfer.data {
                    if let Some(file) = piece.file() {
                        wants_stdin |= file == b"-";
                        check_reusable(file)?;
                    }
                    add(&piece.option, &piece.value)?;
                }
            }
        }
        Sending::Upload(name, _) => {
            wants_stdin = is_stdin(name);
            check_reusable(name)?;
            add(b"-T", name)?;
        }
    }
    for argument in &transfer.arguments {
        words.push(quote(argument)?);
    }
    Ok((words.join(" ") + "\n", wants_stdin))
}

/// What is to be done where the environment does not hold the token that a command names.
pub(super) fn way_to_token(options: &SigningOptions) -> String {
    let way = match (&options.credentials_file, &options.profile) {
        (Some(_), _) => "set it to that of --credentials-file".to_owned(),
        // Whoever is asked again may give another token, for which another signature is made.
        (None, None) => {
            "run eval \"$(countersign credentials --output env)\" first, and then this again"
                .to_owned()
        }
        (None, Some(name)) => format!(
            "run eval \"$(countersign credentials --profile {} --output env)\" first, and then this without \
             --profile",
            word(name)
        ),
    };
    format!(
        "note: the command names $AWS_SESSION_TOKEN, and the environment does not hold that token: {way}"
    )
}

/// What was put together from files, if it is a text that fits in an argument.
fn short_text(body: &mut Body) -> Result<Option<String>, Failure> {
    if !matches!(body, Body::Spooled(_)) || body.len()? > LONGEST_ARGUMENT as u64 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    body.copy_to(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}

/// Refuses a file that was read and cannot be read again, as the pipe of `<(…)`.
fn check_reusable(file: &[u8]) -> Result<(), Failure> {
    if is_stdin(file) || is_regular(file) {
        return Ok(());
    }
    Err(Failure::input(format_args!(
        "`{}` can be read only once, which is done: a printed command needs a file",
        file.escape_ascii()
    )))
}

/// A word that a POSIX shell reads as these bytes.
fn quote(bytes: &[u8]) -> Result<String, Failure> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Failure::input(format_args!(
            "`{}` is not UTF-8, so it cannot be printed: run the command without --print",
            bytes.escape_ascii()
        )));
    };
    Ok(word(text))
}

fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curl::{headers::HeaderArg, table::Encoding};

    fn transfer(body: Sending) -> SignedTransfer {
        SignedTransfer {
            added: vec![
                ("x-amz-date", "20260102T030405Z".to_owned()),
                ("x-amz-security-token", "hush".to_owned()),
            ],
            headers: vec![HeaderArg::line("X-One: it's $HOME")],
            body,
            data: Vec::new(),
            arguments: vec![b"-s".to_vec(), b"https://h/?a=b".to_vec()],
        }
    }

    fn printed(mut transfer: SignedTransfer) -> (String, bool) {
        command(&mut transfer).expect("a command")
    }

    #[test]
    fn the_token_is_named_and_never_shown() {
        let (command, wants_stdin) = printed(transfer(Sending::Data(Body::Bytes(b"a b".to_vec()))));
        assert_eq!(
            command,
            "curl -q -H 'x-amz-date: 20260102T030405Z' \
             -H \"x-amz-security-token: $AWS_SESSION_TOKEN\" -H 'X-One: it'\\''s $HOME' \
             --data-raw 'a b' -s 'https://h/?a=b'\n"
        );
        assert!(!wants_stdin);
    }

    fn piece(value: &str) -> Piece {
        Piece { option: b"-d".to_vec(), encoding: Encoding::Text, value: value.into() }
    }

    #[test]
    fn data_from_standard_input_is_printed_as_it_was_written() {
        let mut piped = transfer(Sending::Data(spooled(b"a=b&c")));
        piped.data = vec![piece("a=b"), piece("@-")];
        let (command, wants_stdin) = printed(piped);
        assert!(command.contains(" -d 'a=b' -d @- -s "), "{command}");
        assert!(wants_stdin);
        let (command, wants_stdin) = printed(transfer(Sending::Upload(b"-".to_vec(), Body::None)));
        assert!(command.contains(" -T - -s ") && wants_stdin);
    }

    #[test]
    fn data_from_files_is_printed_as_it_is_sent_if_it_is_a_short_text() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let at = format!("@{}", file.path().display());
        for (bytes, expected) in [
            (&b"it's"[..], " --data-raw 'it'\\''s' -s ".to_owned()),
            (b"\xff", format!(" -d {at} -s ")),
            (b"a\0b", format!(" -d {at} -s ")),
            (&[b'a'; LONGEST_ARGUMENT + 1], format!(" -d {at} -s ")),
        ] {
            let mut read = transfer(Sending::Data(spooled(bytes)));
            read.data = vec![piece(&at)];
            let (command, wants_stdin) = printed(read);
            assert!(command.contains(&expected), "{command}");
            assert!(!wants_stdin);
        }
    }

    fn spooled(bytes: &[u8]) -> Body {
        Body::spool(bytes).expect("a body")
    }

    #[test]
    fn what_cannot_be_sent_again_is_refused() {
        let mut pipe = transfer(Sending::Upload(b"/dev/null".to_vec(), Body::None));
        assert!(command(&mut pipe).is_err());
        let mut bytes = transfer(Sending::Own);
        bytes.arguments.push(b"\xff".to_vec());
        assert!(command(&mut bytes).is_err());
    }

    #[cfg(unix)]
    mod shell {
        use std::process::Command;

        use proptest::prelude::*;

        use super::*;

        #[test]
        fn a_shell_reads_every_quoted_word_as_it_was() {
            let words: Vec<String> =
                (1..=0x17f).filter_map(char::from_u32).map(String::from).collect();
            let words =
                [&words[..], &["".into(), "'".into(), "''a'' b\\'".into(), "-n".into()]].concat();
            assert_eq!(Some(words.concat()), read_by_shell(&words).or(Some(words.concat())));
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(32))]
            #[test]
            fn a_shell_reads_any_text_as_it_was(
                words in prop::collection::vec("[^\\x00]{0,12}", 0..5)
            ) {
                if let Some(read) = read_by_shell(&words) {
                    prop_assert_eq!(read, words.concat());
                }
            }
        }

        /// `None` if there is no shell.
        fn read_by_shell(words: &[String]) -> Option<String> {
            let words: Vec<String> =
                words.iter().map(|word| quote(word.as_bytes()).expect("text")).collect();
            let script = format!("printf %s {}", words.join(" "));
            let output = Command::new("sh").arg("-c").arg(script).output().ok()?;
            Some(String::from_utf8(output.stdout).expect("text"))
        }
    }
}
