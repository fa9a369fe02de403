//! Codes of devices (MFA), asked of whoever sits at the terminal.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    thread,
};

use countersign::providers::{MfaPrompt, ProviderError, ProviderErrorKind};
use tokio::sync::oneshot;

/// Asks at the terminal, whatever standard input and output are.
pub(crate) fn prompt() -> MfaPrompt {
    MfaPrompt::new(|serial| async move {
        let (sender, receiver) = oneshot::channel();
        // Reading blocks, and a signal may have to be seen meanwhile.
        let asked = serial.clone();
        let spawned = thread::Builder::new().spawn(move || {
            // Whoever waited may be gone.
            let _ = sender.send(open(INPUT, OUTPUT).and_then(|(from, to)| ask(from, to, &asked)));
        });
        let answer = match spawned {
            Ok(_) => receiver.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
            Err(error) => Err(error),
        };
        match answer {
            Ok(code) if code.is_empty() => Err(nothing_entered(&serial)),
            Ok(code) => Ok(code),
            Err(cause) => Err(no_terminal(&serial, cause)),
        }
    })
}

fn open(input: &str, output: &str) -> io::Result<(File, File)> {
    Ok((File::open(input)?, File::options().write(true).open(output)?))
}

/// What is typed in answer, which the terminal shows: a code holds once.
fn ask(from: impl Read, mut to: impl Write, serial: &str) -> io::Result<String> {
    write!(to, "Enter MFA code for {}: ", serial.escape_debug())?;
    to.flush()?;
    let mut line = String::new();
    BufReader::new(from.take(MOST_TYPED)).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Whoever was asked may answer the next time.
fn nothing_entered(serial: &str) -> ProviderError {
    error(ProviderErrorKind::Failed, "no code was entered", serial)
}

/// A program in the background has nobody to ask, and none of that says no.
fn no_terminal(serial: &str, cause: io::Error) -> ProviderError {
    let seen = "there is no terminal to ask for it at";
    error(ProviderErrorKind::Unsupported, seen, serial).with_source(cause)
}

fn error(kind: ProviderErrorKind, seen: &str, serial: &str) -> ProviderError {
    let message = format!(
        "Cannot refresh credentials: MFA token required, a code of {}, and {seen}",
        serial.escape_debug()
    );
    ProviderError::new("terminal", kind, message)
}

/// A code has six digits.
const MOST_TYPED: u64 = 256;

#[cfg(unix)]
const INPUT: &str = "/dev/tty";
#[cfg(unix)]
const OUTPUT: &str = "/dev/tty";
#[cfg(windows)]
const INPUT: &str = "CONIN$";
#[cfg(windows)]
const OUTPUT: &str = "CONOUT$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_named_and_the_line_is_the_code() {
        let mut shown = Vec::new();
        let code =
            ask(&b" 123456 \nmore"[..], &mut shown, "arn:aws:iam::1:mfa/c\x1b").expect("a line");
        assert_eq!(code, "123456");
        assert_eq!(shown, b"Enter MFA code for arn:aws:iam::1:mfa/c\\u{1b}: ");
    }

    #[test]
    fn an_ended_input_is_an_empty_code_and_an_endless_line_is_cut() {
        assert_eq!(ask(&b""[..], io::sink(), "d").expect("a line"), "");
        assert_eq!(ask(io::repeat(b'1'), io::sink(), "d").expect("a line").len(), 256);
    }

    #[test]
    fn where_there_is_no_terminal_nobody_refuses() {
        let cause = open("/nonexistent/tty", "/nonexistent/tty").expect_err("there is none");
        assert_eq!(no_terminal("d", cause).kind(), ProviderErrorKind::Unsupported);
        assert_eq!(nothing_entered("d").kind(), ProviderErrorKind::Failed);
    }
}
