//! Running curl, with the headers where no other process can read them.

use std::{
    fs::File,
    io::{self, Seek, Write},
    process::Command,
};

use super::{
    bytes::{bytes_of, os},
    headers::HeaderArg,
    transfer::{Sending, SignedTransfer, is_stdin},
};
use crate::{body::Body, failure::Failure};

/// Runs curl in place of this program; it returns only if that fails.
pub(super) fn run(transfer: SignedTransfer) -> Result<(), Failure> {
    let config = config(&transfer);
    let mut command = Command::new("curl");
    // The secret signed the request: curl need not have it.
    command.env_remove("AWS_SECRET_ACCESS_KEY").env_remove("AWS_SESSION_TOKEN");
    platform::run(command, transfer, &config)
}

/// All headers, as the lines of a config file: `\` and `"` are escaped.
fn config(transfer: &SignedTransfer) -> Vec<u8> {
    let added = transfer.added.iter().map(|(name, value)| format!("{name}: {value}").into_bytes());
    let given = transfer.headers.iter().flat_map(|HeaderArg { lines, .. }| lines.iter().cloned());
    let mut config = Vec::new();
    for line in added.chain(given).filter(|line| !line.is_empty()) {
        config.extend_from_slice(b"header = \"");
        for byte in line {
            if matches!(byte, b'\\' | b'"') {
                config.push(b'\\');
            }
            config.push(byte);
        }
        config.extend_from_slice(b"\"\n");
    }
    config
}

/// How curl is told of its body; `hand_over` makes a temporary file a path that curl can read.
fn body_arguments(
    body: Sending,
    mut hand_over: impl FnMut(File) -> Result<Vec<u8>, Failure>,
) -> Result<Vec<Vec<u8>>, Failure> {
    let (option, value) = match body {
        Sending::Framed(..) => ("-T", b"-".to_vec()),
        Sending::Own | Sending::Data(Body::None) => return Ok(Vec::new()),
        Sending::Data(Body::Bytes(bytes)) => ("--data-raw", bytes),
        Sending::Data(Body::File(path)) => {
            ("--data-binary", [b"@", &bytes_of(path.into_os_string())?[..]].concat())
        }
        Sending::Data(Body::Spooled(spool)) => {
            let file = spool.into_file().map_err(lost)?;
            ("--data-binary", [b"@", &hand_over(file)?[..]].concat())
        }
        Sending::Upload(_, Body::Spooled(spool)) => {
            ("-T", hand_over(spool.into_file().map_err(lost)?)?)
        }
        Sending::Upload(name, _) => ("-T", name),
    };
    Ok(vec![option.into(), value])
}

fn not_started(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::input("there is no `curl` in PATH to run: install it").with_code(127)
        }
        _ => Failure::input(format_args!("cannot run curl: {error}")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn lost(error: io::Error) -> Failure {
    Failure::input(format_args!("cannot hand the request to curl: {error}"))
}

#[cfg(unix)]
mod platform {
    use std::{
        os::{
            fd::{AsFd, AsRawFd, OwnedFd},
            unix::process::{CommandExt, ExitStatusExt},
        },
        process::Stdio,
    };

    use countersign::chunked::ChunkSigner;

    use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};

    use super::*;
    use crate::framing::{self, Broken};

    /// Descriptors without the flag that closes them are curl's once it runs in this process.
    pub(super) fn run(
        mut command: Command,
        transfer: SignedTransfer,
        config: &[u8],
    ) -> Result<(), Failure> {
        let config = readable(config).and_then(|fd| inherit(&fd).map(|path| (fd, path)));
        let (_config, config_path) = config.map_err(lost)?;
        command.arg("-q").arg("--config").arg(config_path);
        let (mut inherited, mut framed) = (None, None);
        let body = match transfer.body {
            Sending::Framed(body, chunks) => {
                framed = Some((body, chunks));
                vec![b"-T".to_vec(), b"-".to_vec()]
            }
            // curl goes on reading standard input, which is now what was read from it.
            Sending::Upload(name, Body::Spooled(spool)) if is_stdin(&name) => {
                let mut file = spool.into_file().map_err(lost)?;
                file.rewind().map_err(lost)?;
                command.stdin(Stdio::from(file));
                vec![b"-T".to_vec(), name]
            }
            other => body_arguments(other, |mut file| {
                file.rewind().map_err(lost)?;
                let path = inherit(&file).map_err(lost)?;
                inherited = Some(file);
                Ok(path.into_bytes())
            })?,
        };
        command.args(body.iter().chain(&transfer.arguments).map(|arg| os(arg)));
        if let Some((body, chunks)) = framed {
            return feed(command, body, *chunks);
        }
        let error = command.exec();
        drop(inherited);
        Err(not_started(&error))
    }

    /// Runs curl beside this program, which frames the body as fast as curl reads it.
    fn feed(mut command: Command, mut body: Body, chunks: ChunkSigner) -> Result<(), Failure> {
        let input = body.reader()?.unwrap_or_else(|| Box::new(io::empty()));
        let curl = command.stdin(Stdio::piped()).spawn();
        let mut curl = curl.map_err(|error| not_started(&error))?;
        let mut pipe = curl.stdin.take().expect("its standard input is a pipe");
        match framing::write(chunks, input, &mut pipe) {
            Ok(()) => {}
            // curl has left early, and says why.
            Err(Broken::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(broken) => {
                // What it has sent by now lacks its end, so no server takes it for the body.
                curl.kill().and_then(|()| curl.wait()).map_err(lost)?;
                return Err(match broken {
                    Broken::Input(failure) => failure,
                    Broken::Output(error) => lost(error),
                });
            }
        }
        drop(pipe);
        let status = curl.wait().map_err(lost)?;
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => std::process::exit(code),
            (None, signal) => std::process::exit(128 + signal.unwrap_or_default()),
        }
    }

    /// A descriptor from which `text` can be read: a pipe, which leaves no trace on a disk, or an
    /// unlinked temporary file if the pipe is too short.
    fn readable(text: &[u8]) -> io::Result<OwnedFd> {
        let (reader, mut writer) = io::pipe()?;
        ioctl_fionbio(&writer, true)?;
        if writer.write(text).is_ok_and(|written| written == text.len()) {
            return Ok(reader.into());
        }
        let mut file = tempfile::tempfile()?;
        file.write_all(text)?;
        file.rewind()?;
        Ok(file.into())
    }

    /// Leaves a descriptor open for curl; the path by which curl finds it.
    fn inherit(file: &impl AsFd) -> io::Result<String> {
        let fd = file.as_fd();
        fcntl_setfd(fd, FdFlags::empty())?;
        Ok(format!("/dev/fd/{}", fd.as_raw_fd()))
    }

    #[cfg(test)]
    mod tests {
        use std::io::Read;

        use super::*;

        #[test]
        fn a_text_of_any_length_can_be_read_from_a_descriptor() {
            for len in [0, 1000, 3 << 20] {
                let text = vec![b'x'; len];
                let fd = readable(&text).expect("a descriptor");
                let path = inherit(&fd).expect("a path");
                assert!(path.starts_with("/dev/fd/"));
                let mut read = Vec::new();
                File::from(fd).read_to_end(&mut read).expect("readable");
                assert_eq!(read.len(), len);
            }
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use std::process::Stdio;

    use super::*;
    use crate::framing::{self, Broken};

    /// curl reads the headers from its standard input, and bodies from named temporary files.
    pub(super) fn run(
        mut command: Command,
        transfer: SignedTransfer,
        config: &[u8],
    ) -> Result<(), Failure> {
        command.arg("-q").arg("--config").arg("-");
        let mut handed_over = None;
        let is_unread_stdin =
            |name: &[u8], body: &Body| is_stdin(name) && matches!(body, Body::None);
        let body = match transfer.body {
            // Its standard input is taken, so it reads the chunks from a file.
            Sending::Framed(mut body, chunks) => {
                let input = body.reader()?.unwrap_or_else(|| Box::new(io::empty()));
                let mut named = tempfile::NamedTempFile::new().map_err(lost)?;
                match framing::write(*chunks, input, &mut named) {
                    Ok(()) => {}
                    Err(Broken::Input(failure)) => return Err(failure),
                    Err(Broken::Output(error)) => return Err(lost(error)),
                }
                let path = named.into_temp_path();
                let name = bytes_of(path.as_os_str().to_owned())?;
                handed_over = Some(path);
                Sending::Upload(name, Body::None)
            }
            Sending::Upload(name, body) if is_unread_stdin(&name, &body) => {
                let body = Body::spool(io::stdin().lock())?;
                Sending::Upload(name, body)
            }
            body => body,
        };
        let body = body_arguments(body, |mut file| {
            let mut named = tempfile::NamedTempFile::new().map_err(lost)?;
            file.rewind().and_then(|()| io::copy(&mut file, &mut named)).map_err(lost)?;
            let path = named.into_temp_path();
            let name = bytes_of(path.as_os_str().to_owned());
            handed_over = Some(path);
            name
        })?;
        command.args(body.iter().chain(&transfer.arguments).map(|arg| os(arg)));
        let mut curl =
            command.stdin(Stdio::piped()).spawn().map_err(|error| not_started(&error))?;
        if let Some(mut input) = curl.stdin.take() {
            input.write_all(config).map_err(lost)?;
        }
        let status = curl.wait().map_err(lost)?;
        drop(handed_over);
        match status.code() {
            Some(0) => Ok(()),
            code => std::process::exit(code.unwrap_or(125)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_are_escaped_in_the_config() {
        let transfer = SignedTransfer {
            added: vec![("x-amz-date", "20260102T030405Z".to_owned())],
            headers: vec![HeaderArg::line("X-One: \"a\\b\"\t\u{fc}"), HeaderArg::line("")],
            body: Sending::Own,
            data: Vec::new(),
            arguments: Vec::new(),
        };
        assert_eq!(
            String::from_utf8(config(&transfer)).expect("text"),
            "header = \"x-amz-date: 20260102T030405Z\"\n\
             header = \"X-One: \\\"a\\\\b\\\"\t\u{fc}\"\n"
        );
    }

    #[test]
    fn a_missing_curl_has_the_exit_code_of_a_missing_command() {
        assert_eq!(not_started(&io::ErrorKind::NotFound.into()).code, 127);
        assert_ne!(not_started(&io::ErrorKind::PermissionDenied.into()).code, 127);
    }
}
