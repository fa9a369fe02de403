//! `countersign proxy`, as a process of its own.

#![cfg(unix)]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread,
    time::SystemTime,
};

use countersign::{Credentials, Payload, Signer, chunked::ChunkBuffer};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{SECRET, countersign, run};

/// A proxy on a free port, and that port.
fn start(args: &[&str]) -> (Child, String) {
    start_with(countersign(&[&["proxy", "--listen", "0"], args].concat()))
}

fn start_with(mut command: Command) -> (Child, String) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let address = first.trim().strip_prefix("listening on http://");
    let address = address.unwrap_or_else(|| panic!("{first}")).to_owned();
    (child, address)
}

fn tell(child: &Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

/// What a client gets for a request.
fn get(address: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// Reads the log up to a line with this in it.
fn log_until(log: &mut BufReader<ChildStderr>, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.contains(text)) {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "no `{text}` in {lines:?}");
        lines.push(line);
    }
    lines
}

/// A service that answers each request with this.
fn service(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            read_head(&mut stream);
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    format!("http://{address}")
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    // What is left unread when a connection is closed takes the answer with it.
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |text| text.parse().unwrap());
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
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
    tell(&child, Signal::TERM);
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

/// The key in the lines that are printed for a client's environment.
fn key_in(lines: &[u8]) -> Credentials {
    let lines = str::from_utf8(lines).unwrap();
    let value = |name: &str| {
        let line = lines.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}: {lines}")).to_owned()
    };
    Credentials::new(value("AWS_ACCESS_KEY_ID="), value("AWS_SECRET_ACCESS_KEY="))
}

#[test]
fn a_key_is_printed_as_a_table_or_added_to_a_file_of_its_owner_s() {
    use std::os::unix::fs::PermissionsExt;

    let new = |args: &[&str]| {
        let output = run(countersign(&[&["proxy", "keys", "new"], args].concat()), b"");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let table: toml::Table =
        toml::from_str(str::from_utf8(&new(&["--name", "a \"b\""])).unwrap()).unwrap();
    let key = &table["key"][0];
    assert_eq!((key["name"].as_str(), key["services"][0].as_str()), (Some("a \"b\""), Some("*")));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "# mine").unwrap();
    let first = key_in(&new(&["--file", file, "--service", "s3", "--service", "sqs"]));
    let second = key_in(&new(&["--file", file]));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# mine\n"), "{text}");
    let table: toml::Table = toml::from_str(&text).unwrap();
    for (at, key) in [first, second].iter().enumerate() {
        let (id, secret) = (key.access_key_id(), key.secret_access_key());
        assert_eq!(table["key"][at]["access_key_id"].as_str(), Some(id));
        assert_eq!(table["key"][at]["secret_access_key"].as_str(), Some(secret));
        let rest = id.strip_prefix("CSPX").unwrap();
        assert!(rest.len() == 16 && rest.bytes().all(|it| matches!(it, b'A'..=b'Z' | b'2'..=b'7')));
        assert_eq!(secret.len(), 40);
    }
    assert_eq!(table["key"][0]["services"].as_array().unwrap().len(), 2);
    let upstream = ["proxy", "--check", "--upstream", "http://127.0.0.1:9", "--keys", file];
    assert!(run(countersign(&upstream), b"").status.success());
    std::fs::write(&path, "no = toml =").unwrap();
    let output = run(countersign(&["proxy", "keys", "new", "--file", file]), b"");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "no = toml =");
}

#[test]
fn keys_that_are_added_at_once_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let file = path.to_str().unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let output = run(countersign(&["proxy", "keys", "new", "--file", file]), b"");
                assert!(output.status.success(), "{output:?}");
            });
        }
    });
    let table: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(table["key"].as_array().unwrap().len(), 8);
}

/// A server that answers each request with this body, and tells the heads.
fn answering(body: String) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = read_head(&mut stream);
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
            if tell.send(head).is_err() {
                break;
            }
        }
    });
    (url, told)
}

#[test]
fn what_a_key_signed_goes_on_with_the_role_of_the_key_and_is_audited() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, audit) = (folder.path().join("keys.toml"), folder.path().join("audit.jsonl"));
    let (file, log) = (keys.to_str().unwrap(), audit.to_str().unwrap());
    let output =
        run(countersign(&["proxy", "keys", "new", "--name", "sandbox", "--file", file]), b"");
    let key = key_in(&output.stdout);
    let role = "\n[key.role]\narn = \"arn:aws:iam::123456789012:role/sandbox\"\n";
    let text = std::fs::read_to_string(&keys).unwrap() + role;
    std::fs::write(&keys, text).unwrap();

    let (upstream, services) = answering("meow".to_owned());
    let (sts, asked) = answering(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>of-the-role</SecretAccessKey>\
         <SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleResult></AssumeRoleResponse>"
            .to_owned(),
    );
    let arguments =
        ["proxy", "--listen", "0", "--upstream", &upstream, "--keys", file, "--audit-log", log];
    let mut command = countersign(&arguments);
    command.env("AWS_ENDPOINT_URL_STS", sts).env("AWS_REGION", "eu-west-1");
    let (mut child, address) = start_with(command);
    let mut get = http::Request::get("/a?b=c").header("host", &address).body(()).unwrap();
    let signer = Signer::new("eu-west-1", "sqs");
    signer.sign(&mut get, Payload::EMPTY, &key, SystemTime::now()).unwrap();
    let mut text = "GET /a?b=c HTTP/1.1\r\nconnection: close\r\n".to_owned();
    for (name, value) in get.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut client = TcpStream::connect(&address).unwrap();
    client.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("meow"), "{answer}");
    assert!(asked.recv().unwrap().contains("Credential=AKIDEXAMPLE/"));
    let head = services.recv().unwrap();
    assert!(head.contains("Credential=ASIAROLE/") && head.contains("/eu-west-1/sqs/"), "{head}");
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let line: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&audit).unwrap()).unwrap();
    assert_eq!((&line["verdict"], &line["name"]), (&"allow".into(), &"sandbox".into()));
    let all = said + &line.to_string() + &answer;
    for secret in [SECRET, key.secret_access_key(), "of-the-role"] {
        assert!(!all.contains(secret), "{all}");
    }
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
    let audit = folder.path().join("audit.jsonl");
    let audited = format!("audit = {:?}\n{route}", audit.display().to_string());
    assert_eq!(check(&audited), (Some(0), String::new()));
    assert!(!audit.exists(), "a check leaves nothing behind");
    std::fs::write(&audit, "{}\n").unwrap();
    assert_eq!(check(&audited), (Some(0), String::new()));
    assert_eq!(std::fs::read_to_string(&audit).unwrap(), "{}\n");
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

#[test]
fn a_check_says_what_would_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let text = "admin = \"127.0.0.1:9901\"\n\
                listen = [\"127.0.0.1:8080\", \"unix:/run/proxy.sock\"]\n\
                [limits]\nrate = 2.5\n\
                [[route]]\nname = \"queues\"\nhosts = [\"*.local\"]\npath = \"/q\"\n\
                upstream = \"https://sqs.eu-west-1.amazonaws.com\"\n\
                [[route]]\nallow = [\"*.amazonaws.com\"]\nservice = \"s3\"\npayload = \"chunks\"\n";
    std::fs::write(&path, text).unwrap();
    let output = run(countersign(&["proxy", "--check", "--config", path.to_str().unwrap()]), b"");
    assert_eq!(output.status.code(), Some(0));
    let expected = [
        "listens on http://127.0.0.1:8080",
        "listens on unix:/run/proxy.sock",
        "health and metrics on http://127.0.0.1:9901",
        "takes whatever client can connect",
        "takes 10000 connections and 10000 requests at a time, with bodies up to 5368709120 bytes",
        "takes 2.5 requests a second of each client",
        "route `queues`: *.local, /q to https://sqs.eu-west-1.amazonaws.com, for (by host) in (by host), \
         bodies hashed",
        "route: any host, / to *.amazonaws.com, for s3 in (by host), bodies signed in chunks",
        "the settings can be used",
    ];
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_check_says_that_clients_sign_and_what_is_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (ca, keys, audit, path) = (file("ca"), file("keys.toml"), file("audit"), file("p.toml"));
    assert!(run(countersign(&["proxy", "ca", &ca]), b"").status.success());
    let key = "[[key]]\naccess_key_id = \"CSPX7QAAAAAAAAAAAAAA\"\n\
               secret_access_key = \"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\"\nservices = [\"s3\"]\n";
    std::fs::write(&keys, key).unwrap();
    let text = format!(
        "audit = {audit:?}\n[connect]\nca = \"{ca}/ca.pem\"\nca_key = \"{ca}/ca.key\"\n\
         [[route]]\nkeys = {keys:?}\nallow = [\"*.amazonaws.com\"]\n"
    );
    std::fs::write(&path, text).unwrap();
    let output = run(countersign(&["proxy", "--check", "--config", &path]), b"");
    let said = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "takes clients that sign with a key of the route".to_owned(),
        format!(
            "looks into tunnels to its routes with the authority `{ca}/ca.pem`, refuses tunnels elsewhere"
        ),
        format!("writes decisions to `{audit}`"),
        format!(", bodies hashed, for clients with a key of `{keys}`"),
    ] {
        assert!(said.contains(&expected), "{expected}\n{said}");
    }
}

#[test]
fn options_take_nothing_from_the_tables_of_a_file_that_they_do_not_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (ca, path) = (file("ca"), file("p.toml"));
    assert!(run(countersign(&["proxy", "ca", &ca]), b"").status.success());
    let (certificate, key) = (format!("{ca}/ca.pem"), format!("{ca}/ca.key"));
    // Whom it lets in from elsewhere: without an authority for clients this address is refused.
    let text = format!(
        "listen = [\"0.0.0.0:8443\"]\n[tls]\ncertificate = \"none\"\nkey = \"none\"\nclient_ca = {certificate:?}\n\
         [connect]\nca = \"none\"\nca_key = \"none\"\nothers = \"tunnel\"\n\
         [[route]]\nupstream = \"https://sqs.eu-west-1.amazonaws.com\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let options =
        ["proxy", "--check", "--config", &path, "--tls-cert", &certificate, "--tls-key", &key];
    let options =
        [&options[..], &["--connect-ca", &certificate, "--connect-ca-key", &key]].concat();
    let output = run(countersign(&options), b"");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.contains("leads tunnels elsewhere") && !said.contains("refuses tunnels"),
        "{said}"
    );
    let output = run(countersign(&[&options[..], &["--connect-others", "refuse"]].concat()), b"");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("refuses tunnels elsewhere"), "{said}");
}

#[test]
fn on_sighup_the_settings_are_read_again_and_broken_ones_leave_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let write = |upstream: &str, rest: &str| {
        let route = format!(
            "[[route]]\nupstream = \"{upstream}\"\nservice = \"s3\"\nregion = \"eu-west-1\"\n"
        );
        std::fs::write(&path, format!("{rest}\n{route}")).unwrap();
    };
    let (first, second) = (service("first"), service("second"));
    write(&first, "");
    let (mut child, address) = start(&["--config", path.to_str().unwrap()]);
    let mut log = BufReader::new(child.stderr.take().unwrap());
    assert!(get(&address).ends_with("first"));
    write(&second, "");
    tell(&child, Signal::HUP);
    log_until(&mut log, "the settings are read again");
    assert!(get(&address).ends_with("second"));
    write(&first, "lisen = []");
    tell(&child, Signal::HUP);
    let lines = log_until(&mut log, "the old settings stay");
    let last = lines.last().unwrap();
    assert!(last.contains("\"ERROR\"") && last.contains("lisen"), "{last}");
    assert!(get(&address).ends_with("second"));
    write(&first, "log = \"error\"");
    tell(&child, Signal::HUP);
    while !get(&address).ends_with("first") {}
    // What is said of requests is said no more.
    tell(&child, Signal::TERM);
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    let requests = rest.matches("\"request\"").count();
    let of_first = rest.lines().filter(|line| line.contains("\"received\":5")).count();
    assert!(of_first == 0 && requests == rest.matches("\"received\":6").count(), "{rest}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn signals_have_it_log_more_and_less() {
    let upstream = service("meow");
    let options = ["--upstream", &upstream, "--service", "s3", "--region", "r", "--log", "error"];
    let (mut child, address) = start(&options);
    let mut log = BufReader::new(child.stderr.take().unwrap());
    get(&address);
    tell(&child, Signal::USR1);
    let lines = log_until(&mut log, "the level of the log is Warn now");
    assert_eq!(lines.len(), 1, "{lines:?}");
    get(&address);
    tell(&child, Signal::USR1);
    let lines = log_until(&mut log, "the level of the log is Info now");
    assert_eq!(lines.len(), 1, "{lines:?}");
    get(&address);
    log_until(&mut log, "\"message\":\"request\"");
    tell(&child, Signal::USR2);
    log_until(&mut log, "the level of the log is Warn now");
    get(&address);
    tell(&child, Signal::TERM);
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(child.wait().unwrap().success());
}

#[test]
fn clients_of_a_unix_socket_are_signed_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let upstream = service("meow");
    let listen = format!("unix:{}", path.display());
    let options = ["--upstream", &upstream, "--service", "s3", "--region", "r"];
    let mut command = countersign(&[&["proxy", "--listen", &listen], &options[..]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, format!("listening on {listen}\n"));
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("meow"), "{answer}");
    tell(&child, Signal::TERM);
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && log.contains("\"name\":\"uid "), "{log}");
    assert!(!path.exists());
}

#[cfg(feature = "otel")]
#[test]
fn a_span_of_each_request_goes_to_the_collector_as_a_part_of_the_clients() {
    let has = |body: &[u8], part: &[u8]| body.windows(part.len()).filter(|it| *it == part).count();
    // Spans go out however little is logged.
    for level in ["info", "off"] {
        let (body, log) = span(level);
        assert_eq!(has(&body, &hex::decode(TRACE).unwrap()), 1);
        assert_eq!(has(&body, &hex::decode("b7ad6b7169203331").unwrap()), 1);
        for text in ["countersign-proxy", "url.path", "/k", "countersign.request_id"] {
            assert!(has(&body, text.as_bytes()) >= 1, "{text}");
        }
        assert_eq!(log.is_empty(), level == "off", "{log}");
        if let Some(line) = log.lines().next() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(has(&body, line["id"].as_str().unwrap().as_bytes()), 1, "{log}");
        }
    }
}

#[cfg(feature = "otel")]
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// What the collector gets of a request, and the log.
#[cfg(feature = "otel")]
fn span(level: &str) -> (Vec<u8>, String) {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = service("meow");
    let options = ["--upstream", &upstream, "--service", "s3", "--region", "r", "--log", level];
    let mut command = countersign(&[&["proxy", "--listen", "0"], &options[..]].concat());
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let (child, address) = start_with(command);
    let mut client = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntraceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("meow"), "{answer}");
    tell(&child, Signal::TERM);
    // What has not been exported yet is at the end.
    let (stream, _) = collector.accept().unwrap();
    let mut reader = BufReader::new(&stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let from = head.len();
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        if let Some(text) = head[from..].to_ascii_lowercase().strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        }
    }
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    let output = child.wait_with_output().unwrap();
    (body, String::from_utf8(output.stderr).unwrap())
}

/// Uploads so many times this piece, in chunks that this key signs.
#[cfg(target_os = "linux")]
fn write_signed(client: &mut TcpStream, key: &Credentials, piece: &[u8], count: usize) {
    let mut put = http::Request::put("/k").header("host", "h").body(()).unwrap();
    let (signer, length) = (Signer::new("eu-west-1", "s3"), (count * piece.len()) as u64);
    let mut chunks = signer.sign_chunked(&mut put, length, key, SystemTime::now()).unwrap();
    let mut head = "PUT /k HTTP/1.1\r\nconnection: close\r\n".to_owned();
    for (name, value) in put.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    client.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let mut wire = ChunkBuffer::new();
    for _ in 0..count {
        chunks.push(piece, &mut wire).unwrap();
        client.write_all(&wire.split()).unwrap();
    }
    chunks.finish(&mut wire).unwrap();
    client.write_all(&wire.split()).unwrap();
}

#[test]
fn the_settings_of_the_sidecar_can_be_used() {
    let (_, settings) = SIDECAR.split_once("proxy.toml: |\n").unwrap();
    let (settings, _) = settings.split_once("---").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    std::fs::write(&path, settings).unwrap();
    let output = run(countersign(&["proxy", "--check", "--config", path.to_str().unwrap()]), b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_dashboard_shows_each_metric_and_no_other() {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", service.local_addr().unwrap());
    let mut command = countersign(&["proxy", "--listen", "0", "--admin-listen", "0"]);
    command.args(["--upstream", &upstream, "--service", "sqs", "--region", "eu-west-1"]);
    command.env("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00Z");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut address = || lines.next().unwrap().unwrap().rsplit_once('/').unwrap().1.to_owned();
    let (proxy, admin) = (address(), address());
    let ask = |address: &str, host: &str, path: &str| {
        let mut client = TcpStream::connect(address).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&proxy, "h", "/"));
        let (mut stream, _) = service.accept().unwrap();
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmeow").unwrap();
        assert!(asking.join().unwrap().ends_with("meow"));
    });
    assert!(ask(&proxy, "a-site.example", "/").starts_with("HTTP/1.1 403"));
    let metrics = ask(&admin, "h", "/metrics");
    child.kill().unwrap();
    child.wait().unwrap();
    let live: BTreeSet<&str> = metrics.lines().filter_map(metric).collect();
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let is_of_a_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let shown: BTreeSet<&str> = targets
        .flat_map(|target| target["expr"].as_str().unwrap().split(|char| !is_of_a_name(char)))
        .filter_map(metric)
        .collect();
    let hidden: Vec<_> = live.difference(&shown).collect();
    assert!(hidden.is_empty(), "the dashboard does not show {hidden:?}");
    let unknown: Vec<_> = shown.difference(&live).filter(|name| !LATER.contains(name)).collect();
    assert!(unknown.is_empty(), "there is no metric {unknown:?}: {metrics}");
    for name in shown {
        // The parts of a histogram are one metric.
        let name = ["_bucket", "_count", "_sum"]
            .iter()
            .fold(name, |name, part| name.strip_suffix(part).unwrap_or(name));
        assert!(CHAPTER.contains(&format!("`{name}`")), "docs/proxy.md does not name {name}");
    }
}

/// The metric of ours with whose name a text begins.
fn metric(text: &str) -> Option<&str> {
    let end = text.find(['{', ' ']).unwrap_or(text.len());
    text.starts_with("countersign_proxy_").then_some(&text[..end])
}

#[test]
fn each_option_is_in_the_chapter_and_no_other() {
    let help = run(countersign(&["proxy", "--help"]), b"");
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, options) = help.split_once("Options:").unwrap();
    let (options, _) = options.split_once("Examples:").unwrap();
    let of_help: BTreeSet<&str> = options
        .lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("--") && *word != "--help")
        .collect();
    let (_, part) = CHAPTER.split_once("\n## Options\n").unwrap();
    let (part, _) = part.split_once("\n## ").unwrap();
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let of_chapter: BTreeSet<&str> = rows
        .flat_map(|cell| cell.split([' ', '`', ',']))
        .filter(|word| word.starts_with("--"))
        .collect();
    let missing: Vec<_> = of_help.difference(&of_chapter).collect();
    assert!(missing.is_empty(), "docs/proxy.md does not name {missing:?}");
    let unknown: Vec<_> = of_chapter.difference(&of_help).collect();
    assert!(unknown.is_empty(), "there is no option {unknown:?}");
}

const SIDECAR: &str = include_str!("../../../deploy/kubernetes/sidecar.yaml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/dashboard.json");
const CHAPTER: &str = include_str!("../../../docs/proxy.md");

/// Metrics that are not there before somebody asks for a tunnel, or credentials were renewed.
const LATER: [&str; 4] = [
    "countersign_proxy_connects_total",
    "countersign_proxy_credential_renewals_total",
    "countersign_proxy_tunnel_failures_total",
    "countersign_proxy_tunnels",
];

#[cfg(target_os = "linux")]
#[test]
fn a_body_larger_than_memory_may_grow_passes_in_flat_memory() {
    const PIECES: usize = 1536;
    const PIECE: usize = 64 << 10;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.toml");
    let keys = keys.to_str().unwrap();
    let key = key_in(&run(countersign(&["proxy", "keys", "new", "--file", keys]), b"").stdout);
    for mode in ["hash", "chunks", "signed by the client"] {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = format!("http://{}", service.local_addr().unwrap());
        let options = ["--upstream", &upstream, "--service", "s3", "--region", "eu-west-1"];
        let is_signed = mode == "signed by the client";
        let more = if is_signed { ["--keys", keys] } else { ["--payload", mode] };
        let (mut child, address) = start(&[&options[..], &more].concat());
        let key = key.clone();
        let client = thread::spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            let length = PIECES * PIECE;
            let head = format!(
                "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
            );
            if is_signed {
                write_signed(&mut client, &key, &[b'a'; PIECE], PIECES);
            } else {
                client.write_all(head.as_bytes()).unwrap();
                for _ in 0..PIECES {
                    client.write_all(&[b'a'; PIECE]).unwrap();
                }
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

#[test]
fn a_new_authority_is_its_owner_s_alone_and_never_replaced_by_accident() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let make = |options: &[&str]| {
        let output =
            run(countersign(&[&["proxy", "ca", path.to_str().unwrap()], options].concat()), b"");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let mode = |name: &str| path.join(name).metadata().unwrap().permissions().mode() & 0o777;
    let (code, said) = make(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("AWS_CA_BUNDLE=") && !said.contains("PRIVATE KEY"), "{said}");
    assert_eq!(mode("ca.key"), 0o600);
    let first = (read("ca.pem"), read("ca.key"));
    assert!(first.0.starts_with("-----BEGIN CERTIFICATE") && first.1.contains("PRIVATE KEY"));

    let (code, said) = make(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--force"), "{said}");
    // One that is there is enough.
    std::fs::remove_file(path.join("ca.key")).unwrap();
    assert_eq!(make(&[]).0, Some(2));
    assert_eq!(read("ca.pem"), first.0);
    assert!(!path.join("ca.key").exists());

    let (code, said) = make(&["--force", "--permit", "example.com", "--days", "1"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("'*.example.com'"), "{said}");
    assert!(read("ca.pem") != first.0 && read("ca.key") != first.1);
    assert_eq!(mode("ca.key"), 0o600);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 2);
    for options in [&["--permit", "*.example.com"][..], &["--days", "0"], &["--listen", "1"]] {
        assert_eq!(make(&[options, &["--force"]].concat()).0, Some(2), "{options:?}");
    }
}

#[test]
fn a_tunnel_shows_a_certificate_that_openssl_verifies_and_signs_what_comes_through() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("COUNTERSIGN_NEED_TOOLS").is_none(), "there is no openssl here");
        println!("did not run: there is no openssl here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = run(countersign(&["proxy", "ca", folder.path().to_str().unwrap()]), b"");
    assert!(made.status.success());
    let [ca, key] = ["ca.pem", "ca.key"].map(|name| folder.path().join(name));
    let [ca, key] = [ca.to_str().unwrap(), key.to_str().unwrap()];
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", service.local_addr().unwrap());
    let host = "s3.eu-west-1.amazonaws.com";
    let (mut child, address) = start(&[
        "--upstream",
        &upstream,
        "--sign-host",
        host,
        "--connect-ca",
        ca,
        "--connect-ca-key",
        key,
    ]);
    let target = format!("{host}:443");
    let mut client = std::process::Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &target, "-proxy", &address, "-CAfile", ca])
        .args(["-verify_return_error", "-x509_strict", "-verify_hostname", host])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let request = format!("GET /k HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    client.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
    let (mut stream, _) = service.accept().unwrap();
    let head = read_head(&mut stream);
    assert!(head.contains("/eu-west-1/s3/aws4_request"), "{head}");
    assert!(head.contains("host: s3.eu-west-1.amazonaws.com\r\n"), "{head}");
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmeow").unwrap();
    let mut answer = String::new();
    client.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("meow"), "{answer}");
    client.wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}
