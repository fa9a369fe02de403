//! `countersign proxy`, as a process of its own.

#![cfg(unix)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{SECRET, countersign, run};

/// A proxy on a free port, and that port.
fn start(args: &[&str]) -> (Child, String) {
    let mut command = countersign(&[&["proxy", "--listen", "0"], args].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let address = first.trim().strip_prefix("listening on http://");
    let address = address.unwrap_or_else(|| panic!("{first}")).to_owned();
    (child, address)
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    head
}

#[test]
fn a_proxy_that_is_told_to_stop_ends_what_is_in_flight_and_logs_it_without_secrets() {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", service.local_addr().unwrap());
    let (mut child, address) =
        start(&["--upstream", &upstream, "--service", "sqs", "--region", "eu-west-1"]);
    let (asked, asks) = mpsc::channel();
    let client = thread::spawn(move || {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"GET /a//b?secret=query HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        asked.send(answer).unwrap();
    });
    let (mut stream, _) = service.accept().unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("GET /a//b?secret=query HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{head}");
    assert!(head.contains("/eu-west-1/sqs/aws4_request"), "{head}");
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmeow").unwrap();
    let answer = asks.recv().unwrap();
    client.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("meow"), "{answer}");
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(child.wait().unwrap().success(), "{log}");
    let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!((&line["path"], &line["status"]), (&"/a//b".into(), &200.into()));
    assert!(!log.contains("secret=query") && !log.contains(SECRET), "{log}");
}

#[test]
fn settings_are_read_from_a_file_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let output =
            run(countersign(&["proxy", "--check", "--config", path.to_str().unwrap()]), b"");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let route = "[[route]]\nupstream = \"https://sqs.eu-west-1.amazonaws.com\"\n";
    assert_eq!(check(route), (Some(0), String::new()));
    for (text, expected) in [
        ("", "there is no route"),
        ("lisen = []", "unknown field `lisen`"),
        ("[timeouts]\nhead = \"soon\"", "invalid value"),
        (
            "listen = [\"0.0.0.0:80\"]\n[[route]]\nupstream = \"http://h\"\nservice = \"s\"\nregion = \"r\"",
            "insecure_listen",
        ),
        ("[[route]]\nupstream = \"http://user:hunter2@h\"", "user name"),
    ] {
        let (code, said) = check(text);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_body_larger_than_memory_may_grow_passes_in_flat_memory() {
    const PIECES: usize = 1536;
    const PIECE: usize = 64 << 10;
    for mode in ["hash", "chunks"] {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = format!("http://{}", service.local_addr().unwrap());
        let options = ["--upstream", &upstream, "--service", "s3", "--region", "eu-west-1"];
        let (mut child, address) = start(&[&options[..], &["--payload", mode]].concat());
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            let length = PIECES * PIECE;
            let head = format!(
                "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
            );
            client.write_all(head.as_bytes()).unwrap();
            for _ in 0..PIECES {
                client.write_all(&[b'a'; PIECE]).unwrap();
            }
            let mut received = 0;
            let mut piece = vec![0; PIECE];
            loop {
                match client.read(&mut piece).unwrap() {
                    0 => break received,
                    count => received += count,
                }
            }
        });
        let (stream, _) = service.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        assert!(length >= PIECES * PIECE);
        let copied = std::io::copy(&mut reader.take(length as u64), &mut std::io::sink()).unwrap();
        assert_eq!(copied, length as u64);
        // The same back.
        let mut stream = &stream;
        let length = PIECES * PIECE;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..PIECES {
            stream.write_all(&[b'b'; PIECE]).unwrap();
        }
        assert!(client.join().unwrap() > length);
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // A tenth of a gibibyte went each way.
        assert!(peak < 48 << 10, "{mode}: {peak} kB");
    }
}
