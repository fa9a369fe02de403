//! `countersign listen`, by way of the wire.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Stdio},
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials, Head, Headers, Payload, Presign, Scope, Scratch, Signer, SigningKey, Timestamp,
    sigv4a,
};
use serde_json::Value;

use crate::support::{SECRET, TOKEN, countersign, forms_of_chunks, run, upload, upload_by};

/// A running endpoint that knows the credentials of the environment.
struct Listening {
    child: Child,
    output: BufReader<ChildStdout>,
    address: String,
    page: Option<String>,
}

impl Listening {
    /// With `--json` on a free port.
    fn start(args: &[&str]) -> Listening {
        let mut command = countersign(&[&["listen", ":0", "--json"], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let first: Value = next_json(&mut output);
        let of = |name: &str| first[name].as_str()?.split_once("://").map(|(_, to)| to.to_owned());
        Listening { child, output, address: of("listening").unwrap(), page: of("page") }
    }

    /// What is printed of the next request.
    fn verdict(&mut self) -> Value {
        next_json(&mut self.output)
    }

    fn connect(&self) -> Client {
        Client::connect(&self.address)
    }

    /// Sends one request and returns the answer and the verdict.
    fn ask(&mut self, wire: &[u8]) -> (Answer, Value) {
        let mut client = self.connect();
        client.send(wire);
        (client.answer(), self.verdict())
    }

    #[cfg(unix)]
    fn terminate(&self) {
        use rustix::process::{Pid, Signal, kill_process};

        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next_json(output: &mut impl BufRead) -> Value {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line).expect("a line of JSON")
}

/// A connection that reads one answer at a time.
struct Client {
    stream: BufReader<TcpStream>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    fn send(&mut self, wire: &[u8]) {
        self.stream.get_mut().write_all(wire).unwrap();
    }

    fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    fn answer_to(&mut self, method: &str) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut head).unwrap(), 0, "no answer: {head}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.stream.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: String::from_utf8(body).unwrap() }
    }

    fn is_closed(&mut self) -> bool {
        self.stream.read(&mut [0]).unwrap() == 0
    }
}

fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", SECRET).with_session_token(TOKEN)
}

/// A request in HTTP/1.1, signed in its headers now.
fn signed(
    service: &str,
    method: &str,
    target: &[u8],
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    signed_by(&credentials(), Payload::hash(body), service, method, target, headers, body)
}

fn signed_by(
    credentials: &Credentials,
    payload: Payload,
    service: &str,
    method: &str,
    target: &[u8],
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut wire = head_signed_by(credentials, payload, service, method, target, headers);
    if !body.is_empty() {
        wire.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(body);
    wire
}

/// The head alone, without the empty line behind it.
fn head_signed_by(
    credentials: &Credentials,
    payload: Payload,
    service: &str,
    method: &str,
    target: &[u8],
    headers: &[(&str, &str)],
) -> Vec<u8> {
    let all = [&[("Host", HOST)], headers].concat();
    let pairs: Vec<(&[u8], &[u8])> =
        all.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let head = Head::parse(method.as_bytes(), target, Headers::Pairs(&pairs)).unwrap();
    let mut scratch = Scratch::new();
    let signer = Signer::new("eu-west-1", service);
    let signed = signer.sign_head(head, payload, credentials, SystemTime::now(), &mut scratch);
    let signed = signed.unwrap();
    let mut wire = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
    let mut put = |name: &str, value: &str| {
        wire.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    };
    all.iter().for_each(|(name, value)| put(name, value));
    signed.headers().for_each(|(name, value)| put(name, value));
    wire
}

const HOST: &str = "service.example.com";

#[test]
fn a_right_request_is_accepted_and_shown() {
    let mut endpoint = Listening::start(&[]);
    let (answer, verdict) = endpoint.ask(&signed("s3", "PUT", b"/a=b", &[], b"meow"));
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(verdict["ok"], true);
    assert_eq!(verdict["access_key_id"], "AKIDEXAMPLE");
    assert!(verdict["scope"].as_str().unwrap().ends_with("/eu-west-1/s3/aws4_request"));
    assert_eq!(
        verdict["signed_headers"],
        "host;x-amz-content-sha256;x-amz-date;x-amz-security-token"
    );
    assert_eq!((&verdict["payload"], &verdict["place"]), (&"hash".into(), &"header".into()));
}

#[test]
fn each_protocol_is_answered_in_its_own_form() {
    let mut endpoint = Listening::start(&[]);
    let form = &b"Action=GetCallerIdentity&Version=2011-06-15"[..];
    for (service, headers, body, accepted, refused, code) in [
        (
            "s3",
            &[][..],
            &b""[..],
            "",
            "<Error><Code>SignatureDoesNotMatch</Code>",
            "SignatureDoesNotMatch",
        ),
        (
            "dynamodb",
            &[("x-amz-target", "DynamoDB_20120810.ListTables")],
            b"{}",
            "{}",
            "{\"__type\":\"InvalidSignatureException\"",
            "InvalidSignatureException",
        ),
        (
            "sts",
            &[("content-type", "application/x-www-form-urlencoded")],
            form,
            "<GetCallerIdentityResponse><GetCallerIdentityResult/>",
            "<Code>SignatureDoesNotMatch</Code>",
            "SignatureDoesNotMatch",
        ),
    ] {
        let wire = signed(service, "POST", b"/", headers, body);
        let (answer, _) = endpoint.ask(&wire);
        assert_eq!(answer.status, 200, "{service}");
        assert!(answer.body.contains(accepted), "{}", answer.body);
        let altered = String::from_utf8(wire).unwrap().replace("POST / ", "POST /x ");
        let (answer, verdict) = endpoint.ask(altered.as_bytes());
        assert_eq!(answer.status, 403, "{service}");
        assert!(answer.body.contains(refused), "{}", answer.body);
        assert_eq!((&verdict["ok"], &verdict["code"]), (&false.into(), &code.into()));
    }
}

#[test]
fn a_refusal_says_where_the_first_difference_is_and_why() {
    let mut endpoint = Listening::start(&[]);
    let wire = signed("sts", "GET", b"/a%20b", &[], b"");
    let altered = String::from_utf8(wire).unwrap().replace("GET ", "HEAD ");
    let mut client = endpoint.connect();
    client.send(altered.as_bytes());
    let answer = client.answer_to("HEAD");
    assert_eq!(answer.status, 403);
    let verdict = endpoint.verdict();
    assert_eq!(verdict["cause_codes"], serde_json::json!(["method"]));
    let difference = serde_json::json!({ "part": "method", "server": "HEAD", "client": "GET" });
    assert_eq!(verdict["difference"], difference);
    assert!(verdict["causes"][0].as_str().unwrap().contains("`GET`"), "{verdict}");
    // There is no body behind the head: the next answer follows at once.
    client.send(&signed("sts", "GET", b"/", &[], b""));
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_body_in_chunks_is_verified_while_it_comes() {
    let mut endpoint = Listening::start(&[]);
    let data = b"purr ".repeat(30_000);
    for (form, chunks) in forms_of_chunks(data.len() as u64) {
        let (head, body) = upload(chunks, &data, SystemTime::now());
        let (answer, verdict) = endpoint.ask(&[&head[..], &body].concat());
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!((&verdict["ok"], &verdict["payload"]), (&true.into(), &form.into()));
        let mut bad = body.clone();
        bad[9000] ^= 1;
        let (answer, verdict) = endpoint.ask(&[&head[..], &bad].concat());
        let (status, code, chunk) = match form {
            "unsigned-trailer" => (400, "BadDigest", Value::Null),
            _ => (403, "SignatureDoesNotMatch", 2.into()),
        };
        assert_eq!(answer.status, status);
        assert!(answer.body.contains(&format!("<Code>{code}</Code>")), "{}", answer.body);
        assert_eq!((&verdict["code"], &verdict["chunk"]), (&code.into(), &chunk));
        assert_eq!(verdict["payload"], form);
        assert!(verdict["body_offset"].as_u64().unwrap() > 8192, "{verdict}");
        assert_eq!(verdict["cause_codes"], serde_json::json!(["chunks_differ"]));
        // A head that is not signed as it says is still found out about.
        let other = String::from_utf8(head).unwrap().replacen("PUT ", "POST ", 1);
        let (answer, verdict) = endpoint.ask(&[other.as_bytes(), &body].concat());
        assert_eq!((answer.status, &verdict["cause_codes"]), (403, &serde_json::json!(["method"])));
        assert!(verdict.get("chunk").is_none(), "{verdict}");
    }
}

#[test]
fn no_chunks_hide_behind_blanks_in_a_query() {
    let mut endpoint = Listening::start(&[]);
    let host = endpoint.address.clone();
    let (credentials, at) = (credentials(), Timestamp::try_from(SystemTime::now()).unwrap());
    let scope = Scope::new(at, "eu-west-1", "s3").unwrap();
    let key = SigningKey::derive(credentials.secret_access_key(), &scope);
    for blank in ["%20", "+", "%09"] {
        let marker = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
        let signed = |blank: &str| {
            format!(
                "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256={blank}{marker}\
                 &X-Amz-Credential={}%2F{}&X-Amz-Date={at}&X-Amz-Expires=60\
                 &X-Amz-Security-Token={}&X-Amz-SignedHeaders=host",
                credentials.access_key_id(),
                encoded(&scope.to_string()),
                encoded(TOKEN),
            )
        };
        let canonical = format!(
            "PUT\n/k\n{}\nhost:{host}\n\nhost\n{marker}",
            signed(&blank.replace('+', "%20"))
        );
        let hash = Payload::hash(canonical);
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hash.line().as_str());
        let signature: String =
            key.sign(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let wire = format!(
            "PUT /k?{}&X-Amz-Signature={signature} HTTP/1.1\r\nHost: {host}\r\n\
             Content-Length: 4\r\n\r\nmeow",
            signed(blank)
        );
        let (answer, verdict) = endpoint.ask(wire.as_bytes());
        let code = "AuthorizationQueryParametersError";
        assert_eq!((answer.status, &verdict["code"]), (400, &code.into()), "{verdict}");
    }
}

/// A value of a query in its canonical form.
fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if keep(byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}

#[test]
fn chunks_that_are_signed_by_sigv4a_are_verified_while_they_come() {
    let mut endpoint = Listening::start(&[]);
    let (signer, data) = (sigv4a::signer("*", "s3"), b"purr ".repeat(3000));
    for (form, chunks) in forms_of_chunks(data.len() as u64) {
        let (head, body) = upload_by(&signer, chunks, &data, SystemTime::now());
        let (answer, verdict) = endpoint.ask(&[&head[..], &body].concat());
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!((&verdict["ok"], &verdict["payload"]), (&true.into(), &form.into()));
        // No region, as by no other algorithm.
        assert_eq!(verdict["scope"].as_str().unwrap()[8..], *"/s3/aws4_request");
        let mut bad = body;
        bad[9000] ^= 1;
        let (_, verdict) = endpoint.ask(&[&head[..], &bad].concat());
        let (code, chunk) = match form {
            "unsigned-trailer" => ("BadDigest", Value::Null),
            _ => ("SignatureDoesNotMatch", 2.into()),
        };
        assert_eq!((&verdict["code"], &verdict["chunk"]), (&code.into(), &chunk), "{verdict}");
    }
}

#[test]
fn another_body_is_told_from_another_signature() {
    let mut endpoint = Listening::start(&[]);
    let wire = signed("s3", "PUT", b"/k", &[], b"meow");
    let altered = [&wire[..wire.len() - 4], b"woof"].concat();
    let (answer, verdict) = endpoint.ask(&altered);
    assert_eq!(answer.status, 400);
    assert_eq!(verdict["code"], "XAmzContentSHA256Mismatch");
    assert_eq!(verdict["difference"]["server"], Payload::hash("woof").line().as_str());
    assert_eq!(verdict["difference"]["client"], Payload::hash("meow").line().as_str());
}

#[test]
fn a_presigned_url_is_verified_and_its_token_not_shown() {
    let mut endpoint = Listening::start(&[]);
    let target = format!("http://{}/cat.jpg", endpoint.address);
    let head = Head::parse(b"GET", target.as_bytes(), Headers::Pairs(&[])).unwrap();
    let mut scratch = Scratch::new();
    let (presign, credentials) = (Presign::expires_in(Duration::from_secs(60)), credentials());
    let presigned = Signer::new("eu-west-1", "s3")
        .presign_head(head, presign, &credentials, SystemTime::now(), &mut scratch)
        .unwrap();
    let query = str::from_utf8(presigned.query()).unwrap();
    for (query, status) in
        [(query.to_owned(), 200), (query.replace("Expires=60", "Expires=61"), 403)]
    {
        let host = &endpoint.address;
        let wire = format!("GET /cat.jpg?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (answer, verdict) = endpoint.ask(wire.as_bytes());
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(verdict["place"], "query");
        let said = verdict.to_string();
        assert!(!said.contains("session%2Ftoken") && !said.contains(TOKEN), "{said}");
        assert!(said.contains("X-Amz-Security-Token=<session token of 23 bytes>"), "{said}");
    }
}

#[test]
fn bytes_that_a_server_library_refuses_reach_the_verifier() {
    let mut endpoint = Listening::start(&[]);
    for target in [&b"/a b c?d e=f"[..], b"/\xff\xc3\xa9?\xe4", b"/\"<>\\^`{|}?%3d&&"] {
        let (answer, verdict) = endpoint.ask(&signed("sts", "GET", target, &[], b""));
        assert_eq!(answer.status, 200, "{}: {verdict}", target.escape_ascii());
    }
    for (odd, said) in [("X Y: 1", "`X Y`"), ("Nul: \0", "0x00"), ("Bare", "no `:`")] {
        let (answer, verdict) = endpoint.ask(format!("GET / HTTP/1.1\r\n{odd}\r\n\r\n").as_bytes());
        assert_eq!(answer.status, 400);
        assert!(verdict["message"].as_str().unwrap().contains(said), "{verdict}");
    }
    let (answer, verdict) = endpoint.ask(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status, &verdict["code"]), (400, &"InvalidURI".into()));
}

#[test]
fn a_connection_is_kept_and_requests_may_follow_at_once() {
    let mut endpoint = Listening::start(&[]);
    let mut client = endpoint.connect();
    let put = signed("s3", "PUT", b"/1", &[], b"meow");
    let get = signed("s3", "GET", b"/2", &[("Connection", "close")], b"");
    client.send(&[&put[..], b"\r\n", &put, &get].concat());
    for target in ["/1", "/1", "/2"] {
        assert_eq!(client.answer().status, 200);
        assert_eq!(endpoint.verdict()["target"], target);
    }
    assert!(client.is_closed());
}

#[test]
fn a_body_in_chunks_is_verified_whole() {
    let mut endpoint = Listening::start(&[]);
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for payload in [Payload::hash(&body), Payload::Unsigned] {
        let mut wire = head_signed_by(&credentials(), payload, "s3", "PUT", b"/k", &[]);
        wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        for (number, piece) in body.chunks(7777).enumerate() {
            wire.extend_from_slice(format!("{:X};n={number}\r\n", piece.len()).as_bytes());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
        let (answer, verdict) = endpoint.ask(&wire);
        assert_eq!(answer.status, 200, "{verdict}");
    }
}

#[test]
fn who_waits_for_100_continue_gets_it() {
    let mut endpoint = Listening::start(&[]);
    let wire = signed("s3", "PUT", b"/k", &[("Expect", "100-continue")], b"meow");
    let mut client = endpoint.connect();
    client.send(&wire[..wire.len() - 4]);
    assert_eq!(client.answer().status, 100);
    client.send(b"meow");
    assert_eq!(client.answer().status, 200);
    assert_eq!(endpoint.verdict()["ok"], true);
}

#[test]
fn a_body_that_could_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let mut endpoint = Listening::start(&[]);
    let wire = signed("s3", "PUT", b"/k", &[("Transfer-Encoding", "chunked")], b"meow");
    let mut client = endpoint.connect();
    client.send(&[&wire[..], b"GET /smuggled HTTP/1.1\r\n\r\n"].concat());
    assert_eq!(client.answer().status, 400);
    assert!(client.is_closed());
    let verdict = endpoint.verdict();
    assert_eq!((&verdict["target"], &verdict["status"]), (&"/k".into(), &400.into()));
}

#[test]
fn a_body_that_is_cut_short_is_refused() {
    let mut endpoint = Listening::start(&[]);
    let wire = signed("s3", "PUT", b"/k", &[], b"meow");
    let mut client = endpoint.connect();
    client.send(&wire[..wire.len() - 2]);
    client.stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.answer().status, 400);
    assert_eq!(endpoint.verdict()["code"], "IncompleteBody");
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_body_is_not_kept_in_memory() {
    let mut endpoint = Listening::start(&[]);
    let piece = vec![b'x'; 1 << 20];
    let pieces = 96;
    let wire = head_signed_by(&credentials(), Payload::Unsigned, "s3", "PUT", b"/k", &[]);
    let mut client = endpoint.connect();
    client.send(&wire);
    client.send(format!("Content-Length: {}\r\n\r\n", pieces << 20).as_bytes());
    for _ in 0..pieces {
        client.send(&piece);
    }
    assert_eq!(client.answer().status, 200);
    assert_eq!(endpoint.verdict()["ok"], true);
    let status = std::fs::read_to_string(format!("/proc/{}/status", endpoint.child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 40 * 1024, "{kilobytes} kB at the most");
}

#[cfg(unix)]
#[test]
fn a_thousand_clients_are_served_at_a_time() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map(|maximum| maximum.min(4096)).or(Some(4096));
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut endpoint = Listening::start(&[]);
    let wire = signed("s3", "PUT", b"/k", &[], b"meow");
    let mut clients: Vec<Client> = (0..1000).map(|_| endpoint.connect()).collect();
    // All of them are in the middle of a request before the first one ends.
    for client in &mut clients {
        client.send(&wire[..wire.len() - 2]);
    }
    for client in &mut clients {
        client.send(&wire[wire.len() - 2..]);
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    for _ in 0..1000 {
        assert_eq!(endpoint.verdict()["ok"], true);
    }
}

#[cfg(unix)]
#[test]
fn told_to_stop_it_ends_what_is_in_flight() {
    let mut endpoint = Listening::start(&[]);
    let wire = signed("s3", "PUT", b"/k", &[], b"meow");
    let (mut idle, mut busy) = (endpoint.connect(), endpoint.connect());
    idle.send(&wire);
    assert_eq!(idle.answer().status, 200);
    busy.send(&wire[..wire.len() - 2]);
    // The endpoint has taken the connection when it has answered one that came behind it.
    endpoint.ask(&wire);
    endpoint.terminate();
    assert!(idle.is_closed());
    busy.send(&wire[wire.len() - 2..]);
    let answer = busy.answer();
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert_eq!(endpoint.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    endpoint.output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().count(), 2, "{rest}");
}

#[test]
fn keys_come_from_files_and_region_and_service_may_be_required() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, id: &str| -> PathBuf {
        let path = folder.path().join(name);
        let text =
            format!(r#"{{"Version": 1, "AccessKeyId": "{id}", "SecretAccessKey": "hush{id}"}}"#);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (one, two) = (file("one", "AKIDONE"), file("two", "AKIDTWO"));
    let options =
        ["--credentials-file", one.to_str().unwrap(), "--credentials-file", two.to_str().unwrap()];
    let mut endpoint = Listening::start(&[&options[..], &["--service", "s3"]].concat());
    let request = |id: &str, service: &str| {
        let credentials = Credentials::new(id, format!("hush{id}"));
        signed_by(&credentials, Payload::EMPTY, service, "GET", b"/", &[], b"")
    };
    assert_eq!(endpoint.ask(&request("AKIDONE", "s3")).0.status, 200);
    assert_eq!(endpoint.ask(&request("AKIDTWO", "s3")).0.status, 200);
    assert_eq!(endpoint.ask(&request("AKIDTHREE", "s3")).1["code"], "InvalidAccessKeyId");
    assert_eq!(endpoint.ask(&request("AKIDTWO", "sts")).1["code"], "SignatureDoesNotMatch");
    let (answer, verdict) = endpoint.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(verdict["code"], "AccessDenied");
    assert!(answer.body.contains("<Error><Code>AccessDenied</Code>"), "{}", answer.body);
}

#[test]
fn nothing_in_a_request_steers_the_terminal() {
    let mut command = countersign(&["listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://").expect(&line);
    let mut client = Client::connect(address);
    client.send(b"GET /\x1b[2J\xc2\x9b1m HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().status, 403);
    line.clear();
    while !line.contains("message") {
        assert_ne!(output.read_line(&mut line).unwrap(), 0);
    }
    let _ = child.kill();
    let _ = child.wait();
    assert!(line.contains(r"refused 403 GET /\u{1b}[2J\u{9b}1m"), "{line}");
    assert!(!line.contains(['\u{1b}', '\u{9b}']), "{line}");
}

#[test]
fn an_address_that_others_reach_comes_with_a_warning() {
    let mut command = countersign(&["listen", "0.0.0.0:0"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert!(line.contains("warning: 0.0.0.0:"), "{line}");
    let output = run(countersign(&["listen", ":0", "--ui", "0.0.0.0:0"]), b"");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_page_is_told_of_requests_and_no_other_site_is() {
    let mut endpoint = Listening::start(&["--ui"]);
    let page = endpoint.page.clone().unwrap();
    assert_ne!(page, endpoint.address);
    let mut client = Client::connect(&page);
    client.send(format!("GET /requests?after=0 HTTP/1.1\r\nHost: {page}\r\n\r\n").as_bytes());
    endpoint.ask(&signed("s3", "GET", b"/<img>", &[], b""));
    let answer = client.answer();
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(told["requests"][0]["target"], "/<img>");
    let path = &told["requests"][0]["canonical_request"][1];
    assert_eq!(path["ours"], serde_json::json!([["/%3Cimg%3E", false]]));
    assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{}", answer.head);
    assert!(!answer.body.contains(TOKEN));
    client.send(b"GET / HTTP/1.1\r\nHost: rebound.example.com\r\n\r\n");
    assert_eq!(client.answer().status, 403);
}

/// A client that knows beforehand that HTTP/2 is spoken, over whatever lies below.
mod http2 {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::{body::Incoming, client::conn::http2};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::{
        io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
        net::TcpStream,
    };
    use tokio_rustls::{
        TlsConnector,
        client::TlsStream,
        rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer},
    };

    use super::*;

    fn request(url: &str) -> Request<Full<Bytes>> {
        let mut request = Request::put(url).body(Full::from("meow")).unwrap();
        let signer = Signer::new("eu-west-1", "s3");
        signer
            .sign(&mut request, Payload::hash("meow"), &credentials(), SystemTime::now())
            .unwrap();
        request
    }

    async fn send<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        stream: S,
        requests: Vec<Request<Full<Bytes>>>,
    ) -> Vec<Response<Incoming>> {
        let stream = TokioIo::new(stream);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let mut sent = Vec::new();
        for request in requests {
            sent.push(sender.clone().send_request(request));
        }
        let mut answers = Vec::new();
        for answer in sent {
            answers.push(answer.await.unwrap());
        }
        answers
    }

    #[tokio::test]
    async fn it_is_spoken_with_who_begins_so() {
        let mut endpoint = Listening::start(&[]);
        let url = format!("http://{}/a=b?c", endpoint.address);
        let mut altered = request(&url);
        *altered.uri_mut() = url.replace("?c", "?d").parse().unwrap();
        let stream = TcpStream::connect(&endpoint.address).await.unwrap();
        let answers = send(stream, vec![request(&url), altered]).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status().as_u16()).collect();
        assert_eq!(statuses, [200, 403]);
        let body = answers.into_iter().nth(1).unwrap().into_body().collect().await.unwrap();
        assert!(
            body.to_bytes().starts_with(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>")
        );
        let (one, two) = (endpoint.verdict(), endpoint.verdict());
        assert_ne!(one["ok"], two["ok"]);
    }

    #[tokio::test]
    async fn both_versions_are_spoken_over_tls() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        let mut endpoint = Listening::start(&["--tls", certificate, key]);
        let port = endpoint.address.rsplit_once(':').unwrap().1.to_owned();

        let stream = tls(&endpoint.address, made.cert.der(), b"h2").await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let url = format!("https://localhost:{port}/k");
        assert_eq!(send(stream, vec![request(&url)]).await[0].status(), 200);
        assert_eq!(endpoint.verdict()["ok"], true);

        let mut stream = tls(&endpoint.address, made.cert.der(), b"http/1.1").await;
        let wire = signed("s3", "GET", b"/k", &[("Connection", "close")], b"");
        stream.write_all(&wire).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(endpoint.verdict()["ok"], true);
    }

    async fn tls(
        address: &str,
        certificate: &CertificateDer<'static>,
        protocol: &[u8],
    ) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }
}
