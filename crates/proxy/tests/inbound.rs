//! Who clients are, how they connect, and how much each may ask.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use countersign_proxy::{AuthConfig, Config, Proxy, RouteConfig, TlsConfig};
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::support::{Running, Service, World, config, exchange, s3};

/// An authority, whose files are in a folder.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Authority { issuer, folder: tempfile::tempdir().unwrap() };
        std::fs::write(authority.file("ca"), authority.issuer.pem()).unwrap();
        authority
    }

    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key`, a certificate for `localhost` that calls its owner so.
    pub(crate) fn issue(&self, name: &str) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    pub(crate) fn tls(&self, name: &str) -> TlsConfig {
        TlsConfig::new(self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")))
    }

    /// A connection that trusts this authority, with a certificate of these files or none.
    pub(crate) async fn connect(
        &self,
        proxy: &Running,
        own: Option<(&Authority, &str)>,
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((authority, name)) => {
                let read = |end: &str| authority.file(&format!("{name}.{end}"));
                let certificate = CertificateDer::from_pem_file(read("pem")).unwrap();
                let key = PrivateKeyDer::from_pem_file(read("key")).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(proxy.address).await?;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect("localhost".try_into().unwrap(), stream).await
    }
}

/// What comes back for a request.
async fn ask(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    request: &str,
) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn tls_is_spoken_to_clients_over_both_versions_of_http() {
    let service = Service::start().await;
    let authority = Authority::new();
    authority.issue("server");
    let mut config = config(s3(service.address));
    config.tls = Some(authority.tls("server"));
    config.routes[0].forwarded = countersign_proxy::Forwarded::Append;
    let proxy = Running::start(config).await;

    let mut stream = authority.connect(&proxy, None, "http/1.1").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let answer = ask(&mut stream, GET).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("meow"), "{answer}");
    assert_eq!(service.only().header("x-forwarded-proto"), Some("https"));

    let stream = authority.connect(&proxy, None, "h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://h/k").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "meow");
    assert_eq!(service.only().target(), "/k");
}

#[tokio::test]
async fn a_connection_of_http_2_on_which_nothing_is_asked_gives_its_room_back() {
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.timeouts.head = Duration::from_millis(200);
    let proxy = Running::start(config).await;
    let stream = TokioIo::new(proxy.connect().await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, connection) = handshake.await.unwrap();
    // It answers pings as long as the connection lasts.
    let connection = tokio::spawn(connection);
    let began = std::time::Instant::now();
    for _ in 0..4 {
        let request = Request::get("http://h/k").body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "meow");
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    // Longer than the limit in all, and with less between them.
    assert!(began.elapsed() > Duration::from_millis(300));
    let ended = tokio::time::timeout(Duration::from_secs(5), connection);
    ended.await.expect("the proxy ends it").unwrap().unwrap();
}

#[tokio::test]
async fn only_a_certificate_of_the_authority_lets_a_client_in() {
    let service = Service::start().await;
    let (authority, other) = (Authority::new(), Authority::new());
    for name in ["server", "client"] {
        authority.issue(name);
        other.issue(name);
    }
    let mut config = config(s3(service.address));
    config.tls = Some(authority.tls("server").with_client_ca(authority.file("ca")));
    config.limits.rate = Some(0.001);
    let proxy = Running::start(config).await;
    for own in [None, Some((&other, "client"))] {
        // In TLS 1.3 a client learns only when it reads that it was refused.
        let answer = match authority.connect(&proxy, own, "http/1.1").await {
            Ok(mut stream) => ask(&mut stream, GET).await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        assert_eq!(answer, "");
    }
    assert_eq!(service.count(), 0);
    // Clients are told apart by what their certificates call them, though all have one address.
    for (name, expected) in [("client", "200"), ("client", "429"), ("server", "200")] {
        let own = Some((&authority, name));
        let mut stream = authority.connect(&proxy, own, "http/1.1").await.unwrap();
        let answer = ask(&mut stream, GET).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{name}: {answer}");
    }
}

#[tokio::test]
async fn handshakes_that_fail_or_never_end_keep_nobody_waiting() {
    let service = Service::start().await;
    let authority = Authority::new();
    authority.issue("server");
    let mut config = config(s3(service.address));
    config.tls = Some(authority.tls("server"));
    config.timeouts.head = Duration::from_millis(200);
    // The silent one has the only place, until its time is over.
    config.limits.connections = 1;
    let proxy = Running::start(config).await;
    let answer = proxy.exchange(GET).await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    let mut silent = proxy.connect().await;
    let mut stream = authority.connect(&proxy, None, "http/1.1").await.unwrap();
    let answer = ask(&mut stream, GET).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_for_owner_and_group_and_gone_with_the_proxy() {
    use std::os::unix::fs::PermissionsExt;

    let service = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let with_socket = || {
        let mut config = config(s3(service.address));
        config.listen.push(format!("unix:{}", path.display()).parse().unwrap());
        config
    };
    // One that somebody left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut proxy = Running::start(with_socket()).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let answer = ask(&mut stream, GET).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // One at which somebody answers is not taken away.
    let second = Proxy::new(with_socket(), Arc::new(World::new(None))).unwrap();
    let error = second.bind().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
    proxy.stop();
    proxy.ended().await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // A file of somebody's is no socket.
    std::fs::write(&path, "precious").unwrap();
    let second = Proxy::new(with_socket(), Arc::new(World::new(None))).unwrap();
    let error = second.bind().await.unwrap_err();
    assert!(error.to_string().contains("proxy.sock"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

/// A file of clients.
pub(crate) fn clients(lines: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    file
}

pub(crate) fn with_clients(mut config: Config, file: &Path) -> Config {
    config.auth = Some(AuthConfig::new(file));
    config
}

#[tokio::test]
async fn only_clients_that_are_known_are_signed_for_and_their_secret_goes_no_further() {
    let service = Service::start().await;
    let file = clients("bearer hunter2\nbasic ann:correct horse\n");
    let proxy = Running::start(with_clients(config(s3(service.address)), file.path())).await;
    // `ann:correct horse`, and another password.
    let (right, wrong) = ("Basic YW5uOmNvcnJlY3QgaG9yc2U=", "Basic YW5uOmhvcnNl");
    for (target, headers, expected) in [
        ("/", String::new(), "HTTP/1.1 401"),
        ("/", format!("authorization: {wrong}\r\n"), "HTTP/1.1 401"),
        ("/", "authorization: Bearer hunter3\r\n".to_owned(), "HTTP/1.1 401"),
        ("/", "proxy-authorization: Bearer hunter2\r\n".to_owned(), "HTTP/1.1 401"),
        // Two of them could be read either way.
        (
            "/",
            format!("authorization: Bearer hunter2\r\nauthorization: {wrong}\r\n"),
            "HTTP/1.1 401",
        ),
        ("http://h/", String::new(), "HTTP/1.1 407"),
        ("http://h/", "authorization: Bearer hunter2\r\n".to_owned(), "HTTP/1.1 407"),
        // Nor is it told what is served here.
        ("/..%zz", "x: y\r\n".to_owned(), "HTTP/1.1 401"),
        ("/", "authorization: Bearer hunter2\r\n".to_owned(), "HTTP/1.1 200"),
        ("/", format!("authorization: {right}\r\n"), "HTTP/1.1 200"),
        ("http://h/", format!("proxy-authorization: {right}\r\n"), "HTTP/1.1 200"),
        (
            "http://h/",
            format!("proxy-authorization: {right}\r\nauthorization: Bearer other\r\n"),
            "HTTP/1.1 200",
        ),
    ] {
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}\r\n");
        let answer = proxy.exchange(&request).await;
        assert!(answer.starts_with(expected), "{request}{answer}");
        assert!(!answer.contains("hunter") && !answer.contains("horse"), "{answer}");
        match expected {
            "HTTP/1.1 200" => {
                let seen = service.only();
                assert!(seen.header("authorization").unwrap().starts_with("AWS4-HMAC-SHA256 "));
                let all = format!("{:?}", seen.parts.headers);
                assert!(!all.contains("hunter2") && !all.contains("YW5u"), "{all}");
            }
            _ => {
                assert_eq!(service.count(), 0, "{request}");
                let ask = if expected.ends_with("407") {
                    "proxy-authenticate"
                } else {
                    "www-authenticate"
                };
                for scheme in ["Bearer", "Basic"] {
                    assert!(answer.contains(&format!("{ask}: {scheme} realm=")), "{answer}");
                }
                assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_secret_over_http_2_stands_in_authorization() {
    let service = Service::start().await;
    let file = clients("bearer hunter2\n");
    let proxy = Running::start(with_clients(config(s3(service.address)), file.path())).await;
    let stream = TokioIo::new(proxy.connect().await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    for (name, expected) in [("authorization", 200), ("proxy-authorization", 401)] {
        let request = Request::get("http://h/").header(name, "Bearer hunter2");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), expected, "{name}");
    }
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn who_asks_too_much_waits_and_others_do_not() {
    let service = Service::start().await;
    for (name, header, expected) in [
        ("s3", "x: y", "<Code>SlowDown</Code>"),
        ("sts", "x: y", "<Code>Throttling</Code>"),
        ("dynamodb", "x-amz-target: T", "\"__type\":\"ThrottlingException\""),
    ] {
        let file = clients("bearer one\nbearer two\n");
        let mut config = with_clients(config(s3(service.address)), file.path());
        config.routes[0].service = Some(name.to_owned());
        config.limits.rate = Some(0.001);
        config.limits.burst = std::num::NonZeroU32::new(2);
        let proxy = Running::start(config).await;
        let get = |token: &str| {
            format!(
                "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
                 {header}\r\n\r\n"
            )
        };
        for status in ["200", "200", "429"] {
            let answer = proxy.exchange(get("one")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
            let wait = answer.split_once("retry-after: ").map(|(_, rest)| rest);
            let wait = wait.and_then(|rest| rest.split_once("\r\n")).map(|(wait, _)| wait);
            assert_eq!(wait.is_some(), status == "429", "{answer}");
            if let Some(wait) = wait {
                assert!((900..=1000).contains(&wait.parse::<u64>().unwrap()), "{wait}");
                assert!(answer.contains(expected), "{answer}");
            }
        }
        let answer = proxy.exchange(get("two")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // Guesses are counted by address.
        for status in ["401", "401", "429"] {
            let answer = proxy.exchange(get("guess")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn where_others_reach_the_proxy_clients_prove_who_they_are() {
    let authority = Authority::new();
    authority.issue("server");
    let file = clients("bearer token\n");
    let route = || RouteConfig::to("http://h".parse().unwrap()).with_scope("r", "s3");
    let tls = authority.tls("server");
    let mutual = tls.clone().with_client_ca(authority.file("ca"));
    for (address, change, is_safe) in [
        ("0.0.0.0:0", Box::new(|_: &mut Config| {}) as Box<dyn Fn(&mut Config)>, false),
        ("[::]:0", Box::new(|_| {}), false),
        ("0.0.0.0:0", Box::new(|it| it.tls = Some(tls.clone())), false),
        ("0.0.0.0:0", Box::new(|it| it.tls = Some(mutual.clone())), true),
        ("0.0.0.0:0", Box::new(|it| it.auth = Some(AuthConfig::new(file.path()))), true),
        ("0.0.0.0:0", Box::new(|it| it.insecure_listen = true), true),
        ("127.0.0.1:0", Box::new(|_| {}), true),
        ("unix:/nowhere/proxy.sock", Box::new(|_| {}), true),
    ] {
        let mut config = config(route());
        config.listen = vec![address.parse().unwrap()];
        change(&mut config);
        let made = Proxy::new(config, Arc::new(World::new(None)));
        assert_eq!(made.is_ok(), is_safe, "{address}: {made:?}");
    }
}

#[tokio::test]
async fn health_answers_while_slow_clients_have_all_places() {
    const CLIENTS: usize = 400;
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.limits.connections = CLIENTS;
    let proxy = Running::start(config).await;
    let mut slow = Vec::new();
    for _ in 0..CLIENTS + 20 {
        let mut client = proxy.connect().await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-le").await.unwrap();
        slow.push(client);
    }
    for path in ["/healthz", "/readyz"] {
        let answer = exchange(proxy.admin, GET.replace(" / ", &format!(" {path} "))).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    // All that there is room for are counted.
    loop {
        let answer = exchange(proxy.admin, GET.replace(" / ", " /metrics ")).await;
        if answer.contains(&format!("countersign_proxy_connections {CLIENTS}\n")) {
            break;
        }
        tokio::task::yield_now().await;
    }
}
