//! The process's own world: its environment, file system, clock, names, commands and chance. No other
//! file of the library names them.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Read, Write},
    net::{IpAddr, ToSocketAddrs},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use futures_timer::Delay;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::{
    BoxFuture, Clock, CommandLimits, CommandOutput, Commands, Env, Files, Ports, Random, Resolver,
};

impl Ports {
    /// The world this process lives in: its environment, its file system, its clock, the names and the
    /// commands that it knows. It has no HTTP client: see [`Ports::with_http`].
    ///
    /// Nothing is read before a provider asks, and each time afresh. Reading a file blocks the
    /// thread for as long as the file system takes; commands and names get threads of their own.
    ///
    /// ```
    /// use countersign::providers::{EnvironmentProvider, Ports};
    ///
    /// let provider = EnvironmentProvider::new(&Ports::system());
    /// # let _ = provider;
    /// ```
    pub fn system() -> Ports {
        Ports::empty()
            .with_env(System)
            .with_files(System)
            .with_clock(System)
            .with_resolver(System)
            .with_commands(System)
            .with_random(System)
    }
}

struct System;

impl Env for System {
    fn var(&self, name: &str) -> Option<OsString> {
        env::var_os(name)
    }
}

impl Files for System {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        // Made for the owner alone, and beside its place: only within a file system is a move atomic.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(contents)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Clock for System {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(Delay::new(duration))
    }
}

impl Random for System {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has randomness");
    }
}

impl Resolver for System {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let host = host.to_owned();
        on_a_thread(move || {
            let addresses = (host.as_str(), 0).to_socket_addrs()?.map(|address| address.ip());
            Ok(addresses.collect())
        })
    }
}

impl Commands for System {
    fn run<'a>(
        &'a self,
        line: &'a str,
        limits: CommandLimits,
    ) -> BoxFuture<'a, io::Result<CommandOutput>> {
        // It may hold a secret. What the child is given cannot be wiped.
        let line = Zeroizing::new(line.to_owned());
        on_a_thread(move || run(&line, limits))
    }
}

/// Runs what blocks on a thread of its own: a future that names no runtime has no other place for it.
fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> BoxFuture<'static, io::Result<T>> {
    let (sender, receiver) = oneshot::channel();
    let spawned = thread::Builder::new().name("countersign".to_owned()).spawn(move || {
        // Whoever waited may be gone.
        let _ = sender.send(work());
    });
    Box::pin(async move {
        spawned?;
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
}

fn run(line: &str, limits: CommandLimits) -> io::Result<CommandOutput> {
    let mut command = shell(line);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let end = watch(&mut child, limits);
    if end.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    end
}

/// The shell with the line that it runs.
///
/// In the group of who calls, for a command that asks something at the terminal could not read from it in
/// another. So what the shell itself began lives on if the shell is killed.
#[cfg(not(windows))]
fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(line);
    command
}

/// The shell with the line that it runs, whose quotes it reads itself.
#[cfg(windows)]
fn shell(line: &str) -> Command {
    let mut command = Command::new("cmd.exe");
    std::os::windows::process::CommandExt::raw_arg(&mut command, format!("/S /C \"{line}\""));
    command
}

/// Waits for the end of a command, and for that of what it writes, which may come later.
fn watch(child: &mut Child, limits: CommandLimits) -> io::Result<CommandOutput> {
    let now = Instant::now();
    let deadline = now.checked_add(limits.total.min(LONGEST)).unwrap_or(now);
    let stdout = reader(child.stdout.take(), limits.max_output, false)?;
    let stderr = reader(child.stderr.take(), MOST_STDERR, true)?;
    let left = || deadline.saturating_duration_since(Instant::now());
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let (written, is_all) = stdout.recv_timeout(left()).map_err(late)??;
    if !is_all {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if left().is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    if status.success() {
        return Ok(CommandOutput::success(written));
    }
    // A child of its own may hold the other end open; what it would say is not worth the wait.
    let said = stderr.recv_timeout(left().min(Duration::from_secs(1)));
    let said = said.ok().and_then(Result::ok).map(|(said, _)| said).unwrap_or_default();
    Ok(CommandOutput::failed(status.to_string(), said))
}

/// What a stream holds, up to a limit, and whether that was all. To drain it is to read it to its end in
/// any case, so that the writer never waits.
fn reader(
    stream: Option<impl Read + Send + 'static>,
    limit: usize,
    drain: bool,
) -> io::Result<mpsc::Receiver<Written>> {
    let (sender, receiver) = mpsc::channel();
    let stream = stream.ok_or(io::ErrorKind::BrokenPipe)?;
    thread::Builder::new().name("countersign".to_owned()).spawn(move || {
        let _ = sender.send(read(stream, limit, drain));
    })?;
    Ok(receiver)
}

/// What is read may be a secret: each place where a part of it was is wiped.
fn read(mut stream: impl Read, limit: usize, drain: bool) -> Written {
    let mut written = Zeroizing::new(Vec::with_capacity(PIECE));
    let mut piece = Zeroizing::new([0; PIECE]);
    let mut is_all = true;
    loop {
        let length = match stream.read(&mut *piece) {
            Ok(0) => return Ok((written, is_all)),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let kept = length.min(limit - written.len());
        is_all &= kept == length;
        if !is_all && !drain {
            return Ok((written, false));
        }
        if written.capacity() - written.len() < kept {
            // A vector that grows by itself leaves what it held where it was.
            let mut longer = Zeroizing::new(Vec::with_capacity(2 * (written.len() + kept)));
            longer.extend_from_slice(&written);
            written = longer;
        }
        written.extend_from_slice(&piece[..kept]);
    }
}

/// The beginning of what was written, and whether it is all of it.
type Written = io::Result<(Zeroizing<Vec<u8>>, bool)>;

const PIECE: usize = 4096;

/// As long as forever, and no overflow.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
const MOST_STDERR: usize = 4096;
