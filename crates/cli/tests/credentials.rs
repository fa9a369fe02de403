//! `countersign credentials` against services on loopback that answer well, badly, late or never.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime},
};

use countersign::{Credentials, Timestamp};
use serde_json::{Value, json};

use crate::support::{countersign, has_tool, run};

#[test]
fn each_service_that_answers_well_gives_its_credentials() {
    for service in Service::ALL {
        let server = Server::of(service, Fault::None);
        let outcome = ask(service, server.address, &[]);
        assert_eq!(outcome.code, Some(0), "{service:?}: {}", outcome.said);
        let found: Value = serde_json::from_str(&outcome.printed).unwrap();
        assert_eq!(found["credentials"]["access_key_id"], ID, "{service:?}");
        assert_eq!(found["credentials"]["secret_access_key"], HUSH, "{service:?}");
        assert_eq!(found["credentials"]["session_token"], HUSH, "{service:?}");
        let name = ["instance", "container", "profile"][service as usize];
        assert_eq!(found["provider"], name);
        // By which other programs sign.
        let mut line = json!({"method": "GET", "url": "https://sqs.eu-west-1.amazonaws.com/"});
        line["credentials"] = found["credentials"].clone();
        let signed = run(countersign(&["sign", "--jsonl"]), line.to_string().as_bytes());
        assert!(String::from_utf8(signed.stdout).unwrap().contains(ID), "{service:?}");
    }
}

#[test]
fn a_fault_ends_in_credentials_or_in_an_error_that_names_it() {
    use Fault::*;
    use Service::*;
    for (service, fault, code, named) in [
        (Instance, Status(500), 3, "answered 500"),
        (Instance, Status(429), 3, "answered 429"),
        (Instance, Garbage, 3, "the metadata service's credentials: "),
        (Instance, Huge, 3, "longer than 65536 bytes"),
        (Instance, Redirect, 3, "answered 307"),
        (Instance, WrongType, 0, ""),
        (Instance, Expired, 0, "warning: Attempting credential expiration extension"),
        (Container, Status(500), 3, "failed to load credentials (status 500"),
        (Container, Status(429), 3, "failed to load credentials (status 429"),
        (Container, Garbage, 3, "the agent's answer: "),
        (Container, Huge, 3, "longer than 65536 bytes"),
        (Container, Redirect, 3, "failed to load credentials (status 307"),
        (Container, WrongType, 0, ""),
        (Container, Expired, 3, "container: gave credentials that expired "),
        (Role, Status(500), 3, "status 500"),
        (Role, Status(429), 3, "status 429"),
        (Role, Garbage, 3, "is no answer of STS"),
        (Role, Huge, 3, "longer than 262144 bytes"),
        (Role, Redirect, 3, "status 307"),
        (Role, WrongType, 0, ""),
        (Role, Expired, 3, "profile: gave credentials that expired "),
    ] {
        let elsewhere = Server::of(service, Fault::None);
        let server = Server::answering(service, fault, elsewhere.address);
        let outcome = ask(service, server.address, &[]);
        let seen = format!("{service:?}, {fault:?}: {} in {:?}", outcome.said, outcome.took);
        assert_eq!(outcome.code, Some(code), "{seen}");
        assert!(outcome.said.contains(named), "{seen}");
        assert!(!outcome.said.contains(HUSH), "{seen}");
        assert!(outcome.took < Duration::from_secs(15), "{seen}");
        assert_eq!(elsewhere.heads(), Vec::<String>::new(), "{seen}");
    }
}

#[test]
fn credentials_that_have_expired_are_used_or_not_by_every_command_alike() {
    for (service, code) in [(Service::Instance, 0), (Service::Container, 3), (Service::Role, 3)] {
        let server = Server::of(service, Fault::Expired);
        let url = "https://sqs.eu-west-1.amazonaws.com/";
        for args in [
            &["sign", url][..],
            &["credentials"],
            &["credentials", "--output", "json"],
            &["credentials", "--output", "env"],
            &["credentials", "--output", "process"],
        ] {
            let outcome = ask_by(args, service, server.address, |_| {});
            assert_eq!(outcome.code, Some(code), "{service:?} {args:?}: {}", outcome.said);
        }
    }
    let config = "[default]\ncredential_process = echo '{\"Version\": 1, \"AccessKeyId\": \"AKID\", \
                  \"SecretAccessKey\": \"s\", \"Expiration\": \"2020-01-01T00:00:00Z\"}'\n";
    let config = file("config", config);
    for output in ["json", "env", "process"] {
        let mut command = bare(&["credentials", "--output", output]);
        command.env("AWS_CONFIG_FILE", &config.1).env("PATH", std::env::var_os("PATH").unwrap());
        let outcome = Outcome::of(command);
        assert_eq!(outcome.code, Some(0), "{}", outcome.said);
        let note = "note: the credentials expired at 20200101T000000Z";
        assert!(outcome.said.contains(note), "{}", outcome.said);
    }
}

#[test]
fn where_nobody_listens_that_is_said() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (service, code, named) in [
        (Service::Instance, 3, "no metadata service answers at http://127.0.0.1"),
        (Service::Container, 4, "the container's agent at 127.0.0.1"),
        (Service::Role, 4, "AssumeRole got no answer from http://127.0.0.1"),
    ] {
        let outcome = ask(service, closed, &[]);
        assert_eq!(outcome.code, Some(code), "{}", outcome.said);
        let url = "https://sqs.eu-west-1.amazonaws.com/";
        let signed = ask_by(&["sign", url], service, closed, |_| {});
        assert_eq!(signed.code, Some(code), "{}", signed.said);
        assert!(outcome.said.contains(named), "{}", outcome.said);
        assert!(outcome.took < Duration::from_secs(10), "{:?}", outcome.took);
    }
}

#[test]
fn who_hangs_or_drips_is_given_up_within_the_time_that_is_documented() {
    // Side by side, for they take their time: attempts times seconds, and the pauses between.
    let cases = [
        (Service::Instance, Fault::Hang, 4, 3),
        (Service::Instance, Fault::Drip, 4, 3),
        (Service::Container, Fault::Hang, 4, 3 * 7 + 2),
        (Service::Container, Fault::Drip, 4, 3 * 7 + 2),
        (Service::Role, Fault::Hang, 4, 3 * 15 + 5),
        (Service::Role, Fault::Drip, 4, 3 * 15 + 5),
    ];
    thread::scope(|scope| {
        for (service, fault, code, seconds) in cases {
            scope.spawn(move || {
                let server = Server::of(service, fault);
                let outcome = ask(service, server.address, &[]);
                let seen =
                    format!("{service:?}, {fault:?}: {} in {:?}", outcome.said, outcome.took);
                assert_eq!(outcome.code, Some(code), "{seen}");
                assert!(outcome.said.contains("no answer in time"), "{seen}");
                assert!(outcome.took < Duration::from_secs(seconds + 2), "{seen}");
            });
        }
    });
}

#[test]
fn with_nothing_anywhere_the_answer_comes_in_less_than_three_seconds() {
    // Takes connections, for the system does, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = bare(&["credentials"]);
    command.env_remove("AWS_EC2_METADATA_DISABLED");
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url_of(silent.local_addr().unwrap()));
    let outcome = Outcome::of(command);
    assert_eq!(outcome.code, Some(3));
    assert!(outcome.took < Duration::from_secs(3), "{:?}", outcome.took);
    for provider in ["environment: ", "profile: ", "web identity: ", "container: ", "instance: "] {
        assert!(outcome.said.contains(provider), "{}", outcome.said);
    }
}

#[test]
fn a_region_and_keys_that_are_known_never_ask_the_metadata_service() {
    let server = Server::of(Service::Instance, Fault::None);
    for (args, variables) in [
        (&["sign", "https://sqs.eu-west-1.amazonaws.com/"][..], &[][..]),
        (&["sign", "http://localhost/", "--service", "sqs"], &[("AWS_REGION", "eu-west-1")]),
    ] {
        let mut command = countersign(args);
        command.env_remove("AWS_EC2_METADATA_DISABLED").envs(variables.iter().copied());
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url_of(server.address));
        assert_eq!(Outcome::of(command).code, Some(0), "{args:?}");
    }
    assert_eq!(server.heads(), Vec::<String>::new());
}

#[test]
fn keys_of_the_environment_sign_without_a_file_and_without_a_second_thread() {
    // Whoever reads it fails.
    let broken = file("config", "no profile");
    let mut command = countersign(&["sign", "--jsonl"]);
    command.env("AWS_CONFIG_FILE", &broken.1).env("AWS_CA_BUNDLE", &broken.1);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let line = "{\"method\": \"GET\", \"url\": \"https://sqs.eu-west-1.amazonaws.com/\"}\n";
    child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    assert!(answer.contains("Credential=AKIDEXAMPLE/"), "{answer}");
    if cfg!(target_os = "linux") {
        let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().count();
        assert_eq!(threads, 1);
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn every_command_that_signs_asks_the_whole_chain() {
    let server = Server::of(Service::Instance, Fault::None);
    let url = "http://localhost/";
    for args in [
        &["sign", url, "--service", "sqs"][..],
        &["presign", url, "--service", "sqs"],
        &["explain", url, "--service", "sqs"],
        &["curl", "--print", "--service", "sqs", url],
        &["post-policy", "--bucket", "b", "--key", "k"],
    ] {
        let mut command = bare(args);
        command.env_remove("AWS_EC2_METADATA_DISABLED");
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url_of(server.address));
        let outcome = Outcome::of(command);
        assert_eq!(outcome.code, Some(0), "{args:?}: {}", outcome.said);
        let printed = &outcome.printed;
        assert!(printed.contains(ID) && printed.contains("ap-south-1"), "{args:?}: {printed}");
    }
}

#[test]
fn what_the_library_warns_of_is_said_once_by_every_command() {
    let config = file("config", "[work]\nregion = eu-west-1\n[others]\n");
    let keys = "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n";
    let keys = file("credentials", keys);
    let url = "http://localhost/";
    let scope = ["--service", "sqs", "--region", "eu-west-1", "--profile", "work"];
    for args in [
        &["sign", url][..],
        &["presign", url],
        &["explain", url],
        &["curl", "--print", url],
        &["token", "eks", "c", "--region", "eu-west-1", "--profile", "work"],
        &["credentials", "--profile", "work"],
        &["credentials", "--profile", "work", "--output", "process"],
    ] {
        let options = if args.contains(&"--profile") { &[][..] } else { &scope };
        let (command, rest) = args.split_at(1);
        let mut command = bare(&[command, options, rest].concat());
        command.env("AWS_CONFIG_FILE", &config.1).env("AWS_SHARED_CREDENTIALS_FILE", &keys.1);
        let outcome = Outcome::of(command);
        assert_eq!(outcome.code, Some(0), "{args:?}: {}", outcome.said);
        let said: Vec<&str> = outcome.said.lines().collect();
        let [warning] = said[..] else { panic!("{args:?}: {}", outcome.said) };
        assert!(warning.starts_with("countersign: warning: "), "{warning}");
        assert!(warning.contains("line 1: [work] is ignored"), "{warning}");
    }
    for (args, is_said) in [(&["credentials", "--debug"][..], true), (&["credentials"], false)] {
        let mut command = countersign(args);
        command.env("AWS_PROFILE", "work");
        let outcome = Outcome::of(command);
        assert_eq!(outcome.said.contains("AWS_PROFILE names `work`"), is_said, "{}", outcome.said);
    }
}

#[test]
fn a_coprocess_replaces_credentials_that_expire() {
    let (folder, _) = file("asked", "");
    let expired = r#"{"Version": 1, "AccessKeyId": "AKIDPROCESS", "SecretAccessKey": "s",
        "Expiration": "2020-01-01T00:00:00Z"}"#;
    let script = folder.path().join("keys.sh");
    std::fs::write(&script, format!("echo >>\"$ASKED\"; echo '{expired}'\n")).unwrap();
    let config =
        file("config", &format!("[default]\ncredential_process = sh {}\n", script.display()));
    let mut command = bare(&["sign", "--jsonl", "--service", "sqs", "--region", "eu-west-1"]);
    command.env("ASKED", folder.path().join("asked")).env("AWS_CONFIG_FILE", &config.1);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let line = "{\"method\": \"GET\", \"url\": \"http://localhost/\"}\n";
    let output = run(command, line.repeat(3).as_bytes());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.lines().all(|line| line.contains("AKIDPROCESS/")), "{printed}");
    assert_eq!(std::fs::read(folder.path().join("asked")).unwrap(), b"\n\n\n");
}

#[test]
fn proxies_are_for_services_far_away_alone() {
    let proxy = Server::of(Service::Role, Fault::None);
    let proxies = [
        ("HTTP_PROXY", url_of(proxy.address)),
        ("http_proxy", url_of(proxy.address)),
        ("ALL_PROXY", url_of(proxy.address)),
        ("HTTPS_PROXY", url_of(proxy.address)),
    ];
    // Metadata services are asked past it, and so is what NO_PROXY names.
    for service in Service::ALL {
        let server = Server::of(service, Fault::None);
        let outcome = ask_with(service, server.address, &[], |command| {
            command.envs(proxies.clone());
            if service == Service::Role {
                command.env("NO_PROXY", "example.com,127.0.0.1");
            }
        });
        assert_eq!(outcome.code, Some(0), "{service:?}: {}", outcome.said);
        assert_eq!(proxy.heads(), Vec::<String>::new(), "{service:?}");
    }
    for none in ["*", "example.com, *"] {
        let server = Server::of(Service::Role, Fault::None);
        let outcome = ask_with(Service::Role, server.address, &[], |command| {
            command.envs(proxies.clone()).env("no_proxy", none);
        });
        assert_eq!(outcome.code, Some(0), "{none}: {}", outcome.said);
        assert_eq!(proxy.heads(), Vec::<String>::new(), "{none}");
    }
    // Whatever else goes through it.
    let outcome = ask_with(Service::Role, proxy.address, &[], |command| {
        command.env("HTTP_PROXY", url_of(proxy.address));
        command.env("AWS_ENDPOINT_URL_STS", "http://sts.invalid/");
    });
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    assert!(proxy.heads()[0].starts_with("POST http://sts.invalid/ HTTP/1.1\r\n"));
}

#[test]
fn a_proxy_that_does_not_answer_is_named_without_its_password() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = ask_with(Service::Role, closed, &[], |command| {
        command.env("HTTP_PROXY", format!("http://cat:hush@{closed}"));
        command.env("AWS_ENDPOINT_URL_STS", "http://sts.invalid/");
    });
    assert_eq!(outcome.code, Some(4), "{}", outcome.said);
    let named = format!("through the proxy http://{closed}: cannot connect");
    assert!(outcome.said.contains(&named), "{}", outcome.said);
    assert!(!outcome.said.contains("hush"), "{}", outcome.said);
}

#[test]
fn what_goes_through_a_proxy_over_tls_is_a_tunnel() {
    let proxy = Server::of(Service::Role, Fault::Status(403));
    let authority = rcgen::generate_simple_self_signed(["sts.invalid".to_owned()]).unwrap();
    let bundle = file("ca.pem", &authority.cert.pem());
    let outcome = ask_with(Service::Role, proxy.address, &[], |command| {
        command.env("HTTPS_PROXY", url_of(proxy.address));
        command.env("AWS_CA_BUNDLE", &bundle.1);
        command.env("AWS_ENDPOINT_URL_STS", "https://sts.invalid/");
    });
    assert_eq!(outcome.code, Some(4), "{}", outcome.said);
    let named = format!("through the proxy {}: cannot connect", url_of(proxy.address));
    assert!(outcome.said.contains(&named), "{}", outcome.said);
    let heads = proxy.heads();
    assert!(heads.iter().all(|head| head.starts_with("CONNECT sts.invalid:443 ")), "{heads:?}");
    assert!(!heads.is_empty());
}

#[test]
fn without_root_certificates_nothing_is_sent_and_the_remedy_is_named() {
    let server = Server::of(Service::Role, Fault::None);
    for (name, value, named) in [
        ("SSL_CERT_FILE", "/nonexistent/roots.pem", "install the package ca-certificates"),
        ("AWS_CA_BUNDLE", "/nonexistent/bundle.pem", "`/nonexistent/bundle.pem`"),
    ] {
        let outcome = ask_with(Service::Role, server.address, &[], |command| {
            let url = format!("https://localhost:{}", server.address.port());
            command.env("AWS_ENDPOINT_URL_STS", url).env(name, value);
        });
        assert_eq!(outcome.code, Some(3), "{}", outcome.said);
        assert!(outcome.said.contains(named), "{}", outcome.said);
    }
    assert_eq!(server.heads(), Vec::<String>::new());
}

#[test]
fn a_role_is_assumed_with_what_the_chain_gives() {
    let server = Server::of(Service::Role, Fault::None);
    let role = "arn:aws:iam::123456789012:role/audit";
    let mut command = countersign(&[
        "credentials",
        "--output",
        "process",
        "--role-arn",
        role,
        "--external-id",
        "cat",
        "--duration",
        "15m",
        "--role-session-name",
        "eric",
        "--region",
        "eu-west-1",
    ]);
    command.env("AWS_ENDPOINT_URL_STS", url_of(server.address));
    let outcome = Outcome::of(command);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    let found = Credentials::from_process_json(outcome.printed.as_bytes()).unwrap();
    assert_eq!(found.access_key_id(), ID);
    assert_eq!(found.account_id(), Some("123456789012"));
    assert!(found.expires_at().unwrap() > SystemTime::now());
    let asked = &server.heads()[0];
    assert!(asked.contains("Credential=AKIDEXAMPLE/"), "{asked}");
    for part in ["DurationSeconds=900", "ExternalId=cat", "RoleSessionName=eric"] {
        assert!(asked.contains(part), "{asked}");
    }
}

#[test]
fn what_is_asked_for_a_role_is_input() {
    let role = "arn:aws:iam::123456789012:role/audit";
    for (args, named) in [
        (&["--role-arn", role][..], "Missing Region"),
        (&["--role-arn", role, "--region", "a b"], "`a b` can be no region"),
        (&["--role-arn", "notarn", "--region", "eu-west-1"], "arn:aws:iam::123456789012:role/NAME"),
        (&["--role-arn", role, "--duration", "13h"], "from 15m to 12h"),
        (&["--role-arn", role, "--duration", "14m"], "from 15m to 12h"),
    ] {
        let outcome = Outcome::of(countersign(&[&["credentials"], args].concat()));
        assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.said);
        assert!(outcome.said.starts_with("countersign: "), "{}", outcome.said);
        assert!(outcome.said.contains(named), "{args:?}: {}", outcome.said);
    }
}

#[test]
fn the_profile_named_says_where_sts_is() {
    let server = Server::of(Service::Role, Fault::None);
    let config = format!(
        "[profile work]\nregion = eu-north-1\nendpoint_url = {}\n\
         aws_access_key_id = AKIDWORK\naws_secret_access_key = s\n",
        url_of(server.address)
    );
    let config = file("config", &config);
    let mut command = countersign(&[
        "credentials",
        "--profile",
        "work",
        "--role-arn",
        "arn:aws:iam::123456789012:role/audit",
        "--debug",
    ]);
    command.env("AWS_CONFIG_FILE", &config.1);
    let outcome = Outcome::of(command);
    assert_eq!(outcome.code, Some(0), "{}", outcome.said);
    assert!(server.heads()[0].contains("Credential=AKIDWORK/"));
    assert!(server.heads()[0].contains("/eu-north-1/sts/"));
    // Keys are in the environment too, and a profile that was named goes before them.
    assert!(outcome.said.contains("the keys in the environment do not count"), "{}", outcome.said);
    assert!(outcome.printed.contains(&format!("role: access key id {ID}")), "{}", outcome.printed);
    assert!(!outcome.printed.contains(HUSH) && !outcome.said.contains(HUSH));
}

#[test]
fn the_code_of_a_device_is_asked_at_the_terminal_and_nowhere_else() {
    if !has_tool("python3") {
        return;
    }
    let server = Server::of(Service::Role, Fault::None);
    let role = "arn:aws:iam::123456789012:role/audit";
    let args = [
        "credentials",
        "--role-arn",
        role,
        "--region",
        "eu-west-1",
        "--mfa-serial",
        "GAHT12345678",
    ];
    let mut program = countersign(&args);
    program.env("AWS_ENDPOINT_URL_STS", url_of(server.address));
    // What has no terminal is in a session of its own. Python can begin one, with a terminal and without.
    let in_python = |script: &str, input: &[u8]| {
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(program.get_program()).args(program.get_args());
        command.env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        run(command, input)
    };
    let without =
        in_python("import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])", b"123456\n");
    let said = String::from_utf8(without.stderr).unwrap();
    assert_eq!(without.status.code(), Some(3), "{said}");
    assert!(said.contains("MFA token required") && said.contains("no terminal"), "{said}");
    assert_eq!(server.heads(), Vec::<String>::new());
    let with = in_python(
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))",
        b"123456\n",
    );
    let shown = String::from_utf8(with.stdout).unwrap();
    assert_eq!(with.status.code(), Some(0), "{shown}");
    assert!(shown.contains("Enter MFA code for GAHT12345678: "), "{shown}");
    let asked = &server.heads()[0];
    assert!(asked.contains("TokenCode=123456") && asked.contains("SerialNumber=GAHT12345678"));
}

#[test]
#[cfg(unix)]
fn who_watches_sees_each_refresh_until_a_signal_ends_it() {
    let server = Server::of(Service::Instance, Fault::ShortLife);
    let mut command = bare(&["credentials", "--watch"]);
    command.env_remove("AWS_EC2_METADATA_DISABLED");
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url_of(server.address));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&format!("instance: access key id {ID}, ")), "{line}");
        assert!(line.contains("asked again at ") && !line.contains(HUSH), "{line}");
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Who gives credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Instance,
    Container,
    /// Of a profile, by STS.
    Role,
}

impl Service {
    const ALL: [Service; 3] = [Service::Instance, Service::Container, Service::Role];
}

/// How it fails to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Drip,
    Expired,
    Garbage,
    Hang,
    Huge,
    None,
    Redirect,
    ShortLife,
    Status(u16),
    WrongType,
}

struct Outcome {
    code: Option<i32>,
    printed: String,
    said: String,
    took: Duration,
}

impl Outcome {
    fn of(command: Command) -> Outcome {
        let began = Instant::now();
        let output = run(command, b"");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Outcome {
            code: output.status.code(),
            printed: text(output.stdout),
            said: text(output.stderr),
            took: began.elapsed(),
        }
    }
}

fn ask(service: Service, address: SocketAddr, args: &[&str]) -> Outcome {
    ask_with(service, address, args, |_| ())
}

/// What the program finds if this service alone is configured.
fn ask_with(
    service: Service,
    address: SocketAddr,
    args: &[&str],
    adjust: impl FnOnce(&mut Command),
) -> Outcome {
    ask_by(&[&["credentials", "--output", "json"], args].concat(), service, address, adjust)
}

/// The same of any command.
fn ask_by(
    args: &[&str],
    service: Service,
    address: SocketAddr,
    adjust: impl FnOnce(&mut Command),
) -> Outcome {
    let mut command = bare(args);
    let url = url_of(address);
    let config = file(
        "config",
        "[default]\nregion = eu-west-1\nrole_arn = arn:aws:iam::123456789012:role/audit\n\
         source_profile = default\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n",
    );
    match service {
        Service::Instance => command
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url),
        Service::Container => command
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{url}/creds"))
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "for-the-agent"),
        Service::Role => command.env("AWS_CONFIG_FILE", &config.1).env("AWS_ENDPOINT_URL_STS", url),
    };
    adjust(&mut command);
    Outcome::of(command)
}

/// The program without any credentials at hand.
fn bare(args: &[&str]) -> Command {
    let mut command = countersign(args);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        command.env_remove(name);
    }
    command
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A file in a folder that is gone when this is dropped.
fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// A service on loopback that keeps what it was asked.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn of(service: Service, fault: Fault) -> Server {
        Server::answering(service, fault, SocketAddr::from(([127, 0, 0, 1], 1)))
    }

    /// The same, which redirects there, if it does.
    fn answering(service: Service, fault: Fault, elsewhere: SocketAddr) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = heads.clone();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let noted = noted.clone();
                thread::spawn(move || serve(stream, service, fault, elsewhere, &noted));
            }
        });
        Server { address, heads }
    }

    /// Each request so far: its head, and its body if it has one.
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    service: Service,
    fault: Fault,
    elsewhere: SocketAddr,
    noted: &Mutex<Vec<String>>,
) {
    let Some(request) = read_request(&mut stream) else { return };
    noted.lock().unwrap().push(request.clone());
    let path = request.split(' ').nth(1).unwrap_or_default();
    // On the way to its document the metadata service is well.
    let before = match (service, path.rsplit('/').next()) {
        (Service::Instance, Some("token")) => Some("token"),
        (Service::Instance, Some("region")) => Some("ap-south-1"),
        (Service::Instance, Some("")) => Some("role"),
        _ => None,
    };
    let life = match fault {
        Fault::Expired => -60,
        Fault::ShortLife => 8,
        _ => 6 * 3600,
    };
    let fine = (before.map(str::to_owned)).unwrap_or_else(|| document(service, life));
    let fault = if before.is_some() { Fault::None } else { fault };
    let (status, kind, body) = match fault {
        Fault::Hang => {
            // Until whoever asked goes away.
            let _ = stream.read(&mut [0]);
            return;
        }
        Fault::Garbage => (200, "application/json", "\u{1}\u{2}<not>{json".to_owned()),
        Fault::Huge => (200, "application/json", "x".repeat(1 << 20)),
        Fault::Redirect => (307, "text/plain", String::new()),
        Fault::Status(status) => (status, "text/plain", "slow down".to_owned()),
        Fault::WrongType => (200, "image/png", fine),
        _ => (200, "application/json", fine),
    };
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
         location: http://{elsewhere}/\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    let whole = head + &body;
    if fault != Fault::Drip {
        // Who has had enough is gone.
        let _ = stream.write_all(whole.as_bytes());
        return;
    }
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    for byte in whole.bytes() {
        // The pause is a read that finds nothing.
        if stream.write_all(&[byte]).is_err() || stream.read(&mut [0]).is_ok() {
            return;
        }
    }
}

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        if reader.read_line(&mut text).ok()? == 0 {
            return None;
        }
    }
    let len = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; len.map_or(0, |len| len.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(text + &String::from_utf8(body).unwrap())
}

/// Credentials that live for so many seconds, as the service writes them.
fn document(service: Service, life: i64) -> String {
    let (now, span) = (SystemTime::now(), Duration::from_secs(life.unsigned_abs()));
    let at = if life < 0 { now - span } else { now + span };
    let at = Timestamp::try_from(at).unwrap();
    let (date, time) = at.as_str().split_once('T').unwrap();
    let expiry = format!(
        "{}-{}-{}T{}:{}:{}",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    match service {
        Service::Role => format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
             <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/audit/s</Arn>\
             <AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser><Credentials>\
             <AccessKeyId>{ID}</AccessKeyId><SecretAccessKey>{HUSH}</SecretAccessKey>\
             <SessionToken>{HUSH}</SessionToken><Expiration>{expiry}</Expiration></Credentials>\
             </AssumeRoleResult></AssumeRoleResponse>"
        ),
        _ => json!({
            "Code": "Success", "AccessKeyId": ID, "SecretAccessKey": HUSH, "Token": HUSH,
            "Expiration": expiry,
        })
        .to_string(),
    }
}

const ID: &str = "ASIALOOPBACK";
const HUSH: &str = "hush/secret";
