//! What the program does before it does what it was asked to: next to nothing.

use std::{fs, process::Command, thread, time::Duration};

use crate::support::{SECRET, countersign, run};

#[cfg(unix)]
#[test]
fn with_keys_in_the_environment_no_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = |name: &str| {
        let path = folder.path().join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    };
    // Whoever opened one of these would wait for a writer for ever.
    let (config, credentials, certificates) = (pipe("config"), pipe("credentials"), pipe("roots"));
    for args in [
        &["sign", "https://sqs.eu-west-1.amazonaws.com/"][..],
        &["sign", "http://localhost/", "--service", "s3", "--region", "eu-west-1"],
        &["presign", "https://bucket.s3.eu-west-1.amazonaws.com/cat.jpg"],
        &["token", "rds", "db.abc.eu-west-1.rds.amazonaws.com:5432", "--user", "me"],
    ] {
        let mut command = countersign(args);
        command
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_SHARED_CREDENTIALS_FILE", &credentials)
            .env("AWS_CA_BUNDLE", &certificates)
            .env("SSL_CERT_FILE", &certificates);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        let ended = (0..600).find_map(|_| {
            thread::sleep(Duration::from_millis(50));
            child.try_wait().unwrap()
        });
        if ended.is_none() {
            child.kill().unwrap();
        }
        let status = ended.unwrap_or_else(|| panic!("{args:?} waits for a file it does not need"));
        assert!(status.success(), "{args:?}: {status}");
    }
}

/// As one reads of a process in `/proc`.
#[cfg(target_os = "linux")]
#[test]
fn a_coprocess_with_keys_in_the_environment_has_one_thread() {
    use std::io::{BufRead, BufReader, Write};

    let mut child = countersign(&["sign", "--jsonl"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    stdin.write_all(b"{\"url\":\"https://sqs.eu-west-1.amazonaws.com/\"}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stdout).read_line(&mut answer).unwrap();
    assert!(answer.contains("\"authorization\""), "{answer}");
    let threads = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().count();
    drop(stdin);
    child.wait().unwrap();
    assert_eq!(threads, 1);
}

#[test]
fn urls_of_a_list_come_while_the_list_is_written() {
    use std::io::{BufRead, BufReader, Write};

    let mut command = countersign(&[
        "presign",
        "https://bucket.s3.amazonaws.com",
        "--from-file",
        "-",
        "--time",
        "20150830T123600Z",
    ]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut urls = BufReader::new(stdout).lines();
    for key in ["cat.jpg", "a b.jpg"] {
        stdin.write_all(format!("{key}\r\n").as_bytes()).unwrap();
        let url = urls.next().unwrap().unwrap();
        let start = format!("https://bucket.s3.amazonaws.com/{}?", key.replace(' ', "%20"));
        assert!(url.starts_with(&start) && url.contains("X-Amz-Signature="), "{url}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_line_that_is_no_key_is_told_by_its_number_and_the_rest_is_signed() {
    let command = countersign(&["presign", "https://bucket.s3.amazonaws.com/", "--from-file", "-"]);
    let output = run(command, b"a\n\xff\nb\n\xfe\n");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 2: ") && said.contains("line 4: "), "{said}");
    assert!(!said.contains(SECRET), "{said}");
}
