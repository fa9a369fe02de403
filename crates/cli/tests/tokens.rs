//! `countersign token`, as the programs use it that it is for.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    thread,
    time::SystemTime,
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use countersign::{
    SigningKey,
    tokens::CodeCommit,
    verify::{Known, Verifier},
};
use serde_json::Value;

use crate::support::{SECRET, TOKEN, countersign, has_tool, run};

/// git in a folder of its own, with our program as its helper and nobody to ask.
fn git(home: &Path, helper: &str, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    let program = env!("CARGO_BIN_EXE_countersign");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_SESSION_TOKEN", TOKEN)
        .env("AWS_CONFIG_FILE", "/nonexistent/config")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
        .args(["-c", "credential.useHttpPath=true", "-c", "protocol.version=0"])
        .arg("-c")
        .arg(format!("credential.helper=!'{program}' token codecommit {helper}"))
        .args(args)
        .current_dir(home);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn git_credential_fill_asks_our_helper() {
    if !has_tool("git") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let fill = |host: &str, helper: &str| -> Output {
        let asked = format!("protocol=https\nhost={host}\npath=v1/repos/app\n\n");
        run(git(home.path(), helper, &["credential", "fill"]), asked.as_bytes())
    };
    let host = "git-codecommit.eu-west-1.amazonaws.com";
    let output = fill(host, "");
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said} {}", text(&output.stderr));
    assert!(said.contains(&format!("username=AKIDEXAMPLE%{TOKEN}\n")), "{said}");
    let password = said.lines().find_map(|line| line.strip_prefix("password=")).unwrap();
    verify(host, "eu-west-1", password, SystemTime::now()).unwrap();

    // A password that is too old is none to git.
    let output = fill(host, "--time 20260102T030405Z");
    assert!(!output.status.success());
    // Somebody else's host learns neither the key's id nor the token.
    let output = fill("git.example.com", "");
    assert!(!output.status.success());
    assert!(!text(&output.stdout).contains("AKID"));
}

/// What our verifier says of a password for the repository at this host.
fn verify(host: &str, region: &str, password: &str, now: SystemTime) -> Result<(), String> {
    let user = format!("AKIDEXAMPLE%{TOKEN}");
    let repository = CodeCommit::new(host, "/v1/repos/app", region);
    let verifier = Verifier::new();
    let claim = verifier
        .claim_git(repository, user.as_bytes(), password.as_bytes(), now)
        .map_err(|error| error.to_string())?;
    let key = SigningKey::derive(SECRET, &claim.scope());
    let known = Known::new(&key).with_session_token(TOKEN);
    claim.verify(Some(known)).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn git_ls_remote_logs_in_at_a_server_that_verifies() {
    if !has_tool("git") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let mut answers = Vec::new();
        for connection in listener.incoming() {
            answers.push(answer(connection.unwrap()));
            if answers.last() != Some(&401) {
                return answers;
            }
        }
        answers
    });
    let url = format!("http://{address}/v1/repos/app");
    let helper = format!("--host {address} --region eu-west-1");
    let output = git(home.path(), &helper, &["ls-remote", &url]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), format!("{COMMIT}\tHEAD\n{COMMIT}\trefs/heads/main\n"));
    assert_eq!(server.join().unwrap(), [401, 200]);
}

/// Answers one request of git's, and says with which status.
fn answer(mut connection: TcpStream) -> u16 {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert_eq!(first, "GET /v1/repos/app/info/refs?service=git-upload-pack HTTP/1.1");
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let basic = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.strip_prefix("Basic "))?
    });
    let verdict = basic.map(|basic| {
        let login = String::from_utf8(BASE64_STANDARD.decode(basic).unwrap()).unwrap();
        let (user, password) = login.split_once(':').unwrap();
        assert_eq!(user, format!("AKIDEXAMPLE%{TOKEN}"));
        verify("127.0.0.1", "eu-west-1", password, SystemTime::now())
    });
    let (status, kind, body) = match verdict {
        None => (401, "text/plain", String::new()),
        Some(Err(error)) => (403, "text/plain", error),
        Some(Ok(())) => (200, "application/x-git-upload-pack-advertisement", advertisement()),
    };
    write!(
        connection,
        "HTTP/1.1 {status} \r\nContent-Type: {kind}\r\nWWW-Authenticate: Basic realm=\"git\"\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    status
}

/// A repository with one commit, as git-http-backend would advertise it.
fn advertisement() -> String {
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    [
        line("# service=git-upload-pack\n".to_owned()),
        "0000".to_owned(),
        line(format!("{COMMIT} HEAD\0agent=test\n")),
        line(format!("{COMMIT} refs/heads/main\n")),
        "0000".to_owned(),
    ]
    .concat()
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The program's answer to kubectl.
fn eks(info: Option<&str>, args: &[&str]) -> Output {
    let mut command = countersign(&["token", "eks", "my-cluster", "--region", "eu-west-1"]);
    command.args(args.iter().map(OsStr::new));
    if let Some(info) = info {
        command.env("KUBERNETES_EXEC_INFO", info);
    }
    run(command, b"")
}

#[test]
fn kubectl_gets_the_version_that_it_asks_for() {
    for (info, args, version) in [
        (None, &[][..], "v1"),
        (Some(""), &[], "v1"),
        (Some(r#"{"apiVersion":"client.authentication.k8s.io/v1","spec":{}}"#), &[], "v1"),
        (Some(r#"{"apiVersion":"client.authentication.k8s.io/v1beta1"}"#), &[], "v1beta1"),
        (
            Some(r#"{"apiVersion":"client.authentication.k8s.io/v1"}"#),
            &["--api-version", "v1beta1"],
            "v1beta1",
        ),
    ] {
        let output = eks(info, args);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["apiVersion"], format!("client.authentication.k8s.io/{version}"));
        assert_eq!(answer["kind"], "ExecCredential");
        // No more than kubectl knows: a token and the end of its life in RFC 3339.
        let status = answer["status"].as_object().unwrap();
        assert_eq!(status.keys().collect::<Vec<_>>(), ["expirationTimestamp", "token"]);
        let until = status["expirationTimestamp"].as_str().unwrap();
        let until: SystemTime = until.parse::<countersign::Timestamp>().unwrap().into();
        let left = until.duration_since(SystemTime::now()).unwrap().as_secs();
        assert!((13 * 60..=14 * 60).contains(&left), "{left}");
        let token = status["token"].as_str().unwrap().strip_prefix("k8s-aws-v1.").unwrap();
        let url = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
        assert!(url.starts_with("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&"));
    }
    for info in ["{", r#"{"apiVersion":"client.authentication.k8s.io/v1alpha1"}"#] {
        let output = eks(Some(info), &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("KUBERNETES_EXEC_INFO"));
    }
}

#[test]
fn credentials_that_end_before_the_token_are_said_to() {
    let credentials = br#"{"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "hush",
        "SessionToken": "whisper", "Expiration": "2026-01-02T03:05:05Z"}"#;
    let args = ["token", "msk", "--region", "eu-west-1", "--time", "20260102T030405Z"];
    let args = [&args[..], &["--output", "json", "--credentials-file", "-"]].concat();
    let output = run(countersign(&args), credentials);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["expires_at_ms"], 1_767_323_105_000_u64);
    let said = text(&output.stderr);
    assert!(said.contains("the credentials expire at 20260102T030505Z"), "{said}");
    assert!(!said.contains("hush") && !said.contains("whisper"), "{said}");
}

#[test]
fn the_helper_of_git_does_not_read_its_input_twice() {
    let args = ["token", "codecommit", "get", "--credentials-file", "-"];
    let output = run(countersign(&args), b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("standard input"));
}
