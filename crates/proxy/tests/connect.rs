//! Tunnels: what a client may ask for, and what it gets.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::providers::{BoxFuture, ProvideCredentials};
use countersign_proxy::{Config, ConnectConfig, NewCa, Others, Outside, Proxy, RouteConfig};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy_bidirectional, duplex},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::support::{
    Running, Service, World, body, config, credentials, exchange, has_tool, loopback, raw,
    read_until, s3,
};

const HOST: &str = "s3.eu-west-1.test";
const CONNECT: &str =
    "CONNECT s3.eu-west-1.test:443 HTTP/1.1\r\nhost: s3.eu-west-1.test:443\r\n\r\n";
const GET: &str = "GET /k HTTP/1.1\r\nhost: s3.eu-west-1.test\r\nconnection: close\r\n\r\n";

/// An authority in two files.
struct Files {
    folder: tempfile::TempDir,
    certificate: String,
}

impl Files {
    fn new() -> Files {
        Files::of(&["test"])
    }

    fn of(permitted: &[&str]) -> Files {
        let ca = NewCa::generate(permitted, SystemTime::now(), DAY).unwrap();
        let files = Files {
            folder: tempfile::tempdir().unwrap(),
            certificate: ca.certificate().to_owned(),
        };
        std::fs::write(files.path("ca.pem"), ca.certificate()).unwrap();
        std::fs::write(files.path("ca.key"), ca.key()).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> ConnectConfig {
        ConnectConfig::new(self.path("ca.pem"), self.path("ca.key"))
    }

    /// The settings of a route with tunnels.
    fn config(&self, route: RouteConfig) -> Config {
        let mut config = config(route);
        config.connect = Some(self.settings());
        config
    }

    /// A client that trusts this authority and no other.
    fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// TLS through a tunnel, to a host of this name.
    async fn shake(&self, tunnel: TcpStream, host: &str) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).unwrap();
        TlsConnector::from(Arc::new(self.client())).connect(name, tunnel).await
    }

    /// A tunnel to `HOST`, with TLS in it.
    async fn open(&self, proxy: &Running) -> TlsStream<TcpStream> {
        let (tunnel, answer) = ask(proxy, CONNECT).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        self.shake(tunnel, HOST).await.unwrap()
    }
}

/// A route for `HOST`, whose requests get to this address.
fn route(service: SocketAddr) -> RouteConfig {
    let mut route = s3(service);
    route.sign_host = Some(HOST.parse().unwrap());
    route
}

/// Asks for a tunnel; the head of the answer.
async fn ask(proxy: &Running, connect: &str) -> (TcpStream, String) {
    let mut stream = proxy.connect().await;
    stream.write_all(connect.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    (stream, answer)
}

/// Sends a request, and reads until the end.
async fn say(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn metrics(proxy: &Running) -> String {
    exchange(proxy.admin, "GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await
}

#[tokio::test]
async fn requests_in_a_tunnel_are_signed_as_any_other() {
    let service = Service::start().await;
    let files = Files::new();
    let proxy = Running::start(files.config(route(service.address))).await;
    for (connect, sni) in [
        (CONNECT, HOST),
        ("CONNECT S3.EU-West-1.Test:443 HTTP/1.1\r\nhost: s3.eu-west-1.test\r\n\r\n", HOST),
        ("CONNECT s3.eu-west-1.test.:443 HTTP/1.1\r\nhost: s3.eu-west-1.test.:443\r\n\r\n", HOST),
        ("CONNECT s3.eu-west-1.test:443 HTTP/1.0\r\n\r\n", "S3.EU-WEST-1.TEST"),
    ] {
        let (tunnel, answer) = ask(&proxy, connect).await;
        assert!(answer.contains(" 200 OK\r\n") && !answer.contains("content-length"), "{answer}");
        let mut inside = files.shake(tunnel, sni).await.unwrap();
        for host in [HOST, "S3.eu-west-1.test:443", "s3.eu-west-1.test."] {
            let put = format!(
                "PUT /a//b HTTP/1.1\r\nhost: {host}\r\ncontent-length: 4\r\n\
                 authorization: AWS4-HMAC-SHA256 Credential=PLACEHOLDER\r\n\r\nmeow"
            );
            inside.write_all(put.as_bytes()).await.unwrap();
            let answer = read_until(&mut inside, "meow").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let seen = service.only();
            assert_eq!((seen.header("host"), seen.target()), (Some(HOST), "/a//b"));
        }
        let absolute = GET.replace("/k", "https://s3.eu-west-1.test/k");
        let answer = say(inside, &absolute).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(service.only().target(), "/k");
    }
}

#[tokio::test]
async fn a_client_that_begins_tls_before_it_is_answered_is_served() {
    let service = Service::start().await;
    let files = Files::new();
    let proxy = Running::start(files.config(route(service.address))).await;
    let (ours, theirs) = duplex(64 << 10);
    tokio::spawn(hasty(theirs, proxy.connect().await));
    let name = ServerName::try_from(HOST).unwrap();
    let inside = TlsConnector::from(Arc::new(files.client())).connect(name, ours).await.unwrap();
    let answer = say(inside, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Sends CONNECT and the first bytes of TLS in one piece.
async fn hasty(mut client: DuplexStream, mut proxy: TcpStream) {
    let mut first = CONNECT.as_bytes().to_vec();
    client.read_buf(&mut first).await.unwrap();
    proxy.write_all(&first).await.unwrap();
    read_until(&mut proxy, "\r\n\r\n").await;
    let _ = copy_bidirectional(&mut client, &mut proxy).await;
}

#[tokio::test]
async fn requests_over_http_2_in_a_tunnel_are_for_its_host_alone() {
    let service = Service::start().await;
    let files = Files::new();
    let proxy = Running::start(files.config(route(service.address))).await;
    let mut client = files.client();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let (tunnel, _) = ask(&proxy, CONNECT).await;
    let name = ServerName::try_from(HOST).unwrap();
    let inside = TlsConnector::from(Arc::new(client)).connect(name, tunnel).await.unwrap();
    assert_eq!(inside.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(inside))
            .await
            .unwrap();
    tokio::spawn(connection);
    for (method, uri, expected) in [
        ("GET", "https://s3.eu-west-1.test/k", 200),
        ("GET", "https://S3.eu-west-1.test:443/k", 200),
        ("GET", "https://sqs.eu-west-1.test/k", 421),
        ("GET", "https://s3.eu-west-1.test:8443/k", 421),
        ("GET", "http://s3.eu-west-1.test/k", 421),
        ("CONNECT", "sqs.eu-west-1.test:443", 405),
    ] {
        let request =
            Request::builder().method(method).uri(uri).body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), expected, "{method} {uri}");
    }
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn a_request_for_another_host_than_the_tunnel_s_is_refused() {
    let service = Service::start().await;
    let files = Files::new();
    let mut route = route(service.address);
    route.hosts = vec!["*.test".parse().unwrap()];
    let proxy = Running::start(files.config(route)).await;
    for (request, expected) in [
        (GET.replace(HOST, "sqs.eu-west-1.test"), 421),
        (GET.replace(HOST, "s3.eu-west-1.test:444"), 421),
        (GET.replace(HOST, "s3.eu-west-1.test:80"), 421),
        (GET.replace(HOST, "127.0.0.1"), 421),
        (GET.replace("/k", "https://sqs.eu-west-1.test/k"), 400),
        (
            GET.replace(HOST, "sqs.eu-west-1.test").replace("/k", "https://sqs.eu-west-1.test/k"),
            421,
        ),
        (GET.replace("/k", "http://s3.eu-west-1.test/k"), 421),
        (GET.replace("host: s3.eu-west-1.test\r\n", ""), 400),
        (GET.replace("host:", "host: s3.eu-west-1.test\r\nhost:"), 400),
        (GET.replace("GET /k", "CONNECT sqs.eu-west-1.test:443"), 405),
        (GET.replace("GET /k", "CONNECT s3.eu-west-1.test:443"), 405),
        (GET.replace("GET", "TRACE"), 405),
        (GET.to_owned(), 200),
    ] {
        let inside = files.open(&proxy).await;
        let answer = say(inside, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{request}: {answer}");
    }
    assert_eq!(service.count(), 1);
    let counted = metrics(&proxy).await;
    let line = "countersign_proxy_refusals_total{reason=\"misdirected\"} 6";
    assert!(counted.contains(line), "{counted}");
}

#[tokio::test]
async fn tls_for_another_name_is_refused_and_for_none_is_the_tunnel_s() {
    let service = Service::start().await;
    let files = Files::new();
    let proxy = Running::start(files.config(route(service.address))).await;
    let (tunnel, _) = ask(&proxy, CONNECT).await;
    let error = files.shake(tunnel, "sqs.eu-west-1.test").await.unwrap_err();
    assert!(error.to_string().contains("alert"), "{error}");

    let mut client = files.client();
    client.enable_sni = false;
    let (tunnel, _) = ask(&proxy, CONNECT).await;
    let name = ServerName::try_from(HOST).unwrap();
    let inside = TlsConnector::from(Arc::new(client)).connect(name, tunnel).await.unwrap();
    let answer = say(inside, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    // What is no TLS gets nowhere, whether it comes with CONNECT or after it.
    let (tunnel, _) = ask(&proxy, CONNECT).await;
    let answer = say(tunnel, GET).await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    let answer = proxy.exchange(format!("{CONNECT}{GET}")).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(service.count(), 1);
    let counted = metrics(&proxy).await;
    for line in [
        "countersign_proxy_connects_total{outcome=\"allowed\",reason=\"\"} 4",
        "countersign_proxy_tunnel_failures_total{reason=\"name\"} 1",
        "countersign_proxy_tunnel_failures_total{reason=\"handshake\"} 2",
        "countersign_proxy_tunnels 0",
    ] {
        assert!(counted.contains(line), "{line}: {counted}");
    }
}

#[tokio::test]
async fn tunnels_elsewhere_are_refused_and_nothing_behind_is_read() {
    let service = Service::start().await;
    let files = Files::new();
    let mut allowing = RouteConfig::to_allowed([
        "*.eu-west-1.test".parse().unwrap(),
        "odd.test:8443".parse().unwrap(),
        // Not even so: an address is no name for which a certificate could be.
        "127.0.0.1".parse().unwrap(),
    ]);
    allowing.name = "allowing".to_owned();
    allowing.hosts = vec!["*.test".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    let mut config = files.config(allowing);
    // Requests to any host go here, but no tunnel to any.
    config.routes.push(s3(service.address));
    let proxy = Running::start(config).await;
    for (target, expected, reason) in [
        ("evil.test:443", 403, "not_allowed"),
        ("s3.eu-west-1.test:80", 403, "not_allowed"),
        ("s3.eu-west-1.test:8443", 403, "not_allowed"),
        ("odd.test:443", 403, "not_allowed"),
        ("s3.eu-west-1.test.evil.example:443", 403, "not_allowed"),
        ("eu-west-1.test:443", 403, "not_allowed"),
        ("LOCALHOST:443", 403, "not_allowed"),
        ("localhost.:443", 403, "not_allowed"),
        ("127.0.0.1:443", 403, "address"),
        ("2130706433:443", 403, "address"),
        ("0x7f.1:443", 403, "address"),
        ("0177.0.0.1:443", 403, "address"),
        ("[::1]:443", 403, "address"),
        ("[::ffff:169.254.169.254]:443", 403, "address"),
        ("169.254.169.254:80", 403, "address"),
        ("s3!eu-west-1.test:443", 403, "not_allowed"),
        ("s3..eu-west-1.test:443", 403, "not_allowed"),
        ("s3.eu-west-1.test", 400, "malformed"),
        ("https://s3.eu-west-1.test:443/", 400, "malformed"),
        ("/k", 400, "malformed"),
        ("user@s3.eu-west-1.test:443", 400, "malformed"),
    ] {
        let request = format!("CONNECT {target} HTTP/1.1\r\n\r\n{GET}");
        let answer = proxy.exchange(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{target}: {answer}");
        let said = format!("x-countersign-refusal: {reason}\r\n");
        assert!(answer.contains(&said) && answer.contains("connection: close"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{target}: {answer}");
    }
    // What parses HTTP here takes it for no target.
    let answer = proxy.exchange("CONNECT s3%2eeu-west-1.test:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    for header in ["host: evil.test:443", "content-length: 4", "transfer-encoding: chunked"] {
        let request = CONNECT.replace("host: s3.eu-west-1.test:443", header);
        let answer = proxy.exchange(format!("{request}meow")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{header}: {answer}");
    }
    assert_eq!(service.count(), 0);
    for connect in ["CONNECT a.b.eu-west-1.test:443", "CONNECT odd.test:8443"] {
        let (_, answer) = ask(&proxy, &format!("{connect} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{connect}: {answer}");
    }
    let counted = metrics(&proxy).await;
    for line in [
        "countersign_proxy_connects_total{outcome=\"refused\",reason=\"not_allowed\"} 10",
        "countersign_proxy_connects_total{outcome=\"refused\",reason=\"address\"} 7",
        "countersign_proxy_connects_total{outcome=\"refused\",reason=\"malformed\"} 7",
        "countersign_proxy_connects_total{outcome=\"allowed\",reason=\"\"} 2",
    ] {
        assert!(counted.contains(line), "{line}: {counted}");
    }
}

#[tokio::test]
async fn a_tunnel_leads_to_the_route_of_its_host_though_another_takes_any() {
    let (first, second) = (Service::start().await, Service::start().await);
    let files = Files::new();
    let mut config = files.config(s3(first.address));
    let mut other = route(second.address);
    other.name = "other".to_owned();
    config.routes.push(other);
    let proxy = Running::start(config).await;
    let answer = say(files.open(&proxy).await, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!((first.count(), second.count()), (0, 1));
}

#[tokio::test]
async fn without_an_authority_connect_is_refused_with_a_hint() {
    let service = Service::start().await;
    let proxy = Running::start(config(route(service.address))).await;
    let (_, answer) = ask(&proxy, CONNECT).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let answer = proxy.exchange(CONNECT.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
    assert!(body(&answer).contains("no CA"), "{answer}");
}

#[tokio::test]
async fn tunnels_are_taken_over_http_1_alone() {
    let service = Service::start().await;
    let files = Files::new();
    let proxy = Running::start(files.config(route(service.address))).await;
    let stream = TokioIo::new(proxy.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::connect("s3.eu-west-1.test:443").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_name_for_which_clients_would_not_trust_the_authority_is_refused() {
    let service = Service::start().await;
    for (permitted, expected) in [
        (&["eu-west-1.test"][..], 200),
        (&["other.test", HOST], 200),
        (&[], 200),
        (&["west-1.test"], 403),
        (&["other.test"], 403),
    ] {
        let files = Files::of(permitted);
        let proxy = Running::start(files.config(route(service.address))).await;
        let (tunnel, answer) = ask(&proxy, CONNECT).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{permitted:?}: {answer}");
        if expected == 200 {
            files.shake(tunnel, HOST).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_websocket_in_a_tunnel_is_signed_and_carries_bytes() {
    let service = raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.contains("authorization: AWS4-HMAC-SHA256 "), "{head}");
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                      connection: upgrade\r\n\r\nhello";
        stream.write_all(agreed.as_bytes()).await.unwrap();
        let said = read_until(&mut stream, "ping").await;
        stream.write_all(said.to_uppercase().as_bytes()).await.unwrap();
    })
    .await;
    let files = Files::new();
    let proxy = Running::start(files.config(route(service))).await;
    let mut inside = files.open(&proxy).await;
    let head = "GET /chat HTTP/1.1\r\nhost: s3.eu-west-1.test\r\nupgrade: websocket\r\n\
                connection: Upgrade\r\n\r\n";
    inside.write_all(head.as_bytes()).await.unwrap();
    let agreed = read_until(&mut inside, "hello").await;
    assert!(agreed.starts_with("HTTP/1.1 101"), "{agreed}");
    assert_eq!(say(inside, "ping").await, "PING");
}

#[tokio::test]
async fn a_client_that_does_not_begin_tls_is_dropped_and_gives_its_room_back() {
    let service = Service::start().await;
    let files = Files::new();
    let mut config = files.config(route(service.address));
    config.timeouts.head = Duration::from_millis(200);
    config.limits.connections = 1;
    let proxy = Running::start(config).await;
    let (mut silent, _) = ask(&proxy, CONNECT).await;
    // Waits until there is room.
    let inside = files.open(&proxy);
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    let inside = timeout(PATIENCE, inside).await.unwrap();
    // A tunnel without a request is no more patient than a connection.
    let (_, next) = tokio::join!(say(inside, ""), files.open(&proxy));
    let answer = say(next, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let counted = metrics(&proxy).await;
    let line = "countersign_proxy_tunnel_failures_total{reason=\"timeout\"} 1";
    assert!(counted.contains(line), "{counted}");
}

#[tokio::test]
async fn a_proxy_that_stops_does_not_wait_for_tls_that_nobody_begins() {
    let service = Service::start().await;
    let files = Files::new();
    let mut config = files.config(route(service.address));
    config.timeouts.head = PATIENCE * 2;
    config.timeouts.drain = PATIENCE * 2;
    let mut proxy = Running::start(config).await;
    let (_silent, _) = ask(&proxy, CONNECT).await;
    proxy.stop();
    timeout(PATIENCE / 3, proxy.ended()).await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_stops_answers_what_is_asked_in_tunnels_and_then_ends_them() {
    let (asked, asks) = oneshot::channel();
    let (go, gone) = oneshot::channel::<()>();
    let gates = Arc::new(Mutex::new(Some((asked, gone))));
    let service = raw(move |mut stream| {
        let gates = gates.lock().unwrap().take();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let (asked, gone) = gates.unwrap();
            asked.send(()).unwrap();
            gone.await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmeow";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let files = Files::new();
    let mut proxy = Running::start(files.config(route(service))).await;
    let mut inside = files.open(&proxy).await;
    inside.write_all(GET.replace("connection: close\r\n", "").as_bytes()).await.unwrap();
    asks.await.unwrap();
    proxy.stop();
    go.send(()).unwrap();
    let mut answer = String::new();
    inside.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("meow"), "{answer}");
    timeout(PATIENCE, proxy.ended()).await.unwrap();
}

#[tokio::test]
async fn openssl_trusts_what_the_proxy_shows_by_the_strictest_rules() {
    if !has_tool("openssl") {
        return;
    }
    let service = Service::start().await;
    let files = Files::new();
    let proxy = Running::start(files.config(route(service.address))).await;
    for options in [&["-tls1_2"][..], &["-tls1_3"], &["-tls1_3", "-noservername"]] {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-connect", "s3.eu-west-1.test:443", "-proxy"])
            .arg(proxy.address.to_string())
            .args(["-x509_strict", "-verify_return_error", "-verify_hostname", HOST, "-CAfile"])
            .arg(files.path("ca.pem"))
            .args(options)
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{options:?}: {said} {errors}");
        assert!(said.contains("Verify return code: 0 (ok)"), "{options:?}: {said} {errors}");
    }
}

#[test]
fn an_authority_that_cannot_be_used_is_named() {
    let files = Files::new();
    let others = Files::new();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([HOST.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(files.path("leaf.pem"), leaf.pem()).unwrap();
    std::fs::write(files.path("leaf.key"), key.serialize_pem()).unwrap();
    let before = SystemTime::now() - 3 * DAY;
    let old = NewCa::generate(&["test"], before, DAY).unwrap();
    std::fs::write(files.path("old.pem"), old.certificate()).unwrap();
    std::fs::write(files.path("old.key"), old.key()).unwrap();
    std::fs::write(files.path("empty"), "").unwrap();
    for (ca, key, expected) in [
        (files.path("none.pem"), files.path("ca.key"), "no certificate can be read"),
        (files.path("empty"), files.path("ca.key"), "empty` holds no certificate"),
        (files.path("ca.pem"), files.path("none.key"), "none.key` cannot be read"),
        (files.path("ca.pem"), files.path("empty"), "holds no key"),
        (files.path("ca.pem"), files.path("ca.pem"), "holds no key"),
        (files.path("ca.pem"), others.path("ca.key"), "is not the key of"),
        (files.path("leaf.pem"), files.path("leaf.key"), "no certificate of an authority"),
        (files.path("old.pem"), files.path("old.key"), "does not hold now"),
    ] {
        let mut config = config(s3(loopback()));
        config.connect = Some(ConnectConfig::new(ca, key));
        let error = Proxy::new(config, Arc::new(World::new(None))).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    Proxy::new(files.config(s3(loopback())), Arc::new(World::new(None))).unwrap();
}

/// An outside with its own resolver, which counts, and perhaps with more that may be reached.
struct Names {
    world: World,
    names: Vec<(&'static str, Vec<SocketAddr>)>,
    asked: Mutex<Vec<String>>,
    reach: Vec<IpAddr>,
}

impl Names {
    fn new(names: Vec<(&'static str, Vec<SocketAddr>)>) -> Names {
        let world = World::new(Some(credentials()));
        Names { world, names, asked: Mutex::default(), reach: Vec::new() }
    }
}

impl Outside for Names {
    fn credentials(&self, profile: Option<&str>) -> Arc<dyn ProvideCredentials> {
        self.world.credentials(profile)
    }

    fn scope(
        &self,
        authority: &str,
        path: &str,
        service: Option<&str>,
        region: Option<&str>,
    ) -> Result<(String, String), String> {
        self.world.scope(authority, path, service, region)
    }

    fn resolve<'a>(&'a self, host: &'a str, _: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let found = self.names.iter().find(|(name, _)| *name == host).map(|(_, to)| to.clone());
        Box::pin(async { found.ok_or_else(|| io::Error::other("nobody knows it")) })
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        self.reach.contains(&address) || World::new(None).may_reach(address)
    }
}

/// A proxy that lets tunnels past, in this outside.
async fn blind(
    files: &Files,
    outside: Arc<Names>,
    drain: Duration,
) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let mut config = files.config(route(loopback()));
    config.timeouts.drain = drain;
    config.connect.as_mut().unwrap().others = Others::Tunnel;
    let bound = Proxy::new(config, outside).unwrap().bind().await.unwrap();
    let address = bound.addresses()[0];
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(bound.serve(async move {
        let _ = stopped.await;
    }));
    (address, stop, serving)
}

#[tokio::test]
async fn tunnels_past_the_routes_lead_to_public_addresses_alone() {
    // Nobody gets there: a connection would be seen.
    let inner = TcpListener::bind(loopback()).await.unwrap();
    let to_inner = inner.local_addr().unwrap();
    let at = |address: &str| SocketAddr::new(address.parse().unwrap(), to_inner.port());
    let names = Names::new(vec![
        ("loop.example", vec![to_inner]),
        ("mapped.example", vec![at("::ffff:127.0.0.1")]),
        ("metadata.example", vec![at("169.254.169.254")]),
        ("metadata6.example", vec![at("fd00:ec2::254")]),
        ("private.example", vec![at("10.0.0.1")]),
        ("mixed.example", vec![at("192.0.2.1"), to_inner]),
        ("public-and-mixed.example", vec![at("1.1.1.1"), to_inner]),
    ]);
    let all: Vec<&str> = names.names.iter().map(|(name, _)| *name).collect();
    let outside = Arc::new(names);
    let files = Files::new();
    let (proxy, _stop, _) = blind(&files, outside.clone(), PATIENCE).await;
    for name in &all {
        let answer = exchange(proxy, format!("CONNECT {name}:443 HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{name}: {answer}");
        assert!(answer.contains("x-countersign-refusal: address\r\n"), "{name}: {answer}");
        let tells = ["127.0.0.1", "169.254", "10.0.0.1"].iter().any(|it| answer.contains(it));
        assert!(!tells, "{answer}");
    }
    assert_eq!(*outside.asked.lock().unwrap(), all);
    // These are not even looked up.
    for target in ["127.0.0.1:443", "2130706433:443", "[::1]:443", "loop.example:22", "a..b:443"] {
        let answer = exchange(proxy, format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{target}: {answer}");
    }
    let answer = exchange(proxy, "CONNECT unknown.example:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("nobody knows it"), "{answer}");
    assert_eq!(outside.asked.lock().unwrap().len(), all.len() + 1);
    let nobody = timeout(Duration::from_millis(1), inner.accept()).await;
    assert!(nobody.is_err(), "{nobody:?}");
}

#[tokio::test]
async fn a_tunnel_past_the_routes_carries_bytes_to_the_address_that_was_looked_at() {
    let there = raw(|mut stream| async move {
        let said = read_until(&mut stream, "ping").await;
        stream.write_all(said.to_uppercase().as_bytes()).await.unwrap();
    })
    .await;
    let mut names = Names::new(vec![("there.example", vec![there])]);
    names.reach = vec![there.ip()];
    let outside = Arc::new(names);
    let files = Files::new();
    let (proxy, _stop, _) = blind(&files, outside.clone(), PATIENCE).await;
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(b"CONNECT there.example:443 HTTP/1.1\r\n\r\nbe").await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(say(stream, "fore ping").await, "BEFORE PING");
    assert_eq!(*outside.asked.lock().unwrap(), ["there.example"]);
}

#[tokio::test]
async fn a_tunnel_past_the_routes_is_cut_when_the_drain_is_over() {
    let there = raw(|mut stream| async move {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
    })
    .await;
    let mut names = Names::new(vec![("there.example", vec![there])]);
    names.reach = vec![there.ip()];
    let files = Files::new();
    let (proxy, stop, serving) = blind(&files, Arc::new(names), Duration::from_millis(100)).await;
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(b"CONNECT there.example:443 HTTP/1.1\r\n\r\n").await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    stop.send(()).unwrap();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty());
    timeout(PATIENCE, serving).await.unwrap().unwrap();
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PATIENCE: Duration = Duration::from_secs(30);
