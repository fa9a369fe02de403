//! Running the program.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    thread,
    time::SystemTime,
};

use countersign::{
    Credentials, Signer,
    checksums::{Crc32, Crc32c},
    chunked::{ChunkBuffer, Chunks},
};
use serde_json::Value;

/// The program in an environment that holds credentials and nothing else.
pub(crate) fn countersign(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .args(args)
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_SESSION_TOKEN", TOKEN)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent/config")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials");
    command
}

pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const TOKEN: &str = "session/token+EXAMPLE==";

/// Runs the program with `input` on its standard input.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Written from another thread: the program may answer before it has read all.
    let writer = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A program that refuses its input need not read it.
    let _ = writer.join().unwrap();
    output
}

/// The three forms of a body in chunks, of 8 KiB each, for so many bytes.
pub(crate) fn forms_of_chunks(len: u64) -> [(&'static str, Chunks); 3] {
    [
        ("streaming", Chunks::signed(len)),
        ("streaming-trailer", Chunks::signed(len).with_checksum(Crc32c::new())),
        ("unsigned-trailer", Chunks::unsigned(len, Crc32::new())),
    ]
    .map(|(name, chunks)| (name, chunks.with_chunk_size(8192)))
}

/// An upload to S3 in chunks as HTTP/1.1, its head and its body apart.
pub(crate) fn upload(chunks: Chunks, data: &[u8], at: SystemTime) -> (Vec<u8>, Vec<u8>) {
    upload_by(&Signer::new("eu-west-1", "s3"), chunks, data, at)
}

/// The same by another signer.
pub(crate) fn upload_by(
    signer: &Signer,
    chunks: Chunks,
    data: &[u8],
    at: SystemTime,
) -> (Vec<u8>, Vec<u8>) {
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET).with_session_token(TOKEN);
    let mut put = http::Request::put("https://b.s3.eu-west-1.amazonaws.com/k").body(()).unwrap();
    let mut signer = signer.sign_chunked(&mut put, chunks, &credentials, at).unwrap();
    let mut body = ChunkBuffer::new();
    signer.push(data, &mut body).unwrap();
    signer.finish(&mut body).unwrap();
    let mut head = b"PUT /k HTTP/1.1\r\nhost: b.s3.eu-west-1.amazonaws.com\r\n".to_vec();
    for (name, value) in put.headers() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    (head, body.split().to_vec())
}

/// A running coprocess: a line in, a line out.
pub(crate) struct Coprocess {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Coprocess {
    pub(crate) fn start(args: &[&str]) -> Coprocess {
        let mut child =
            countersign(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Coprocess { input: child.stdin.take(), child, output }
    }

    pub(crate) fn ask(&mut self, line: &str) -> Value {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
        input.write_all(b"\n").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Ends the input; the exit code.
    pub(crate) fn finish(mut self) -> i32 {
        drop(self.input.take());
        self.child.wait().unwrap().code().unwrap()
    }
}

/// Whether a program is there that a test drives. Without it the test says that it did not run; where
/// COUNTERSIGN_NEED_TOOLS is set, as in CI, it fails.
pub(crate) fn has_tool(name: &str) -> bool {
    let is_there = Command::new(name).arg("--version").output().is_ok();
    if !is_there {
        assert!(std::env::var_os("COUNTERSIGN_NEED_TOOLS").is_none(), "there is no {name} here");
        println!("did not run: there is no {name} here");
    }
    is_there
}
