//! Health, metrics, refusals that clients can read.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use crate::support::{Running, Service, body, config, credentials, exchange, raw, read_until, s3};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn ready_is_who_has_credentials_and_healthy_who_answers() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    assert!(exchange(proxy.admin, get("/readyz")).await.starts_with("HTTP/1.1 200"));
    *proxy.world.0.has.lock().unwrap() = None;
    let answer = exchange(proxy.admin, get("/readyz")).await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("the drawer is empty"),
        "{answer}"
    );
    assert!(exchange(proxy.admin, get("/healthz")).await.starts_with("HTTP/1.1 200"));
    assert!(exchange(proxy.admin, get("/")).await.starts_with("HTTP/1.1 404"));
    // The ports of traffic keep no path for themselves.
    *proxy.world.0.has.lock().unwrap() = Some(credentials());
    assert!(proxy.exchange(get("/healthz")).await.starts_with("HTTP/1.1 200"));
    assert_eq!(service.only().target(), "/healthz");
}

#[tokio::test]
async fn metrics_count_requests_bytes_and_refusals() {
    let service = Service::start().await;
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    let proxy = Running::start(config(s3(service.address))).await;
    *proxy.world.0.has.lock().unwrap() = Some(credentials().with_expires_at(at));
    let put = "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    proxy.exchange(put).await;
    proxy.exchange("TRACE / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    let answer = exchange(proxy.admin, get("/metrics")).await;
    for line in [
        "countersign_proxy_requests_total{route=\"default\",status=\"2xx\"} 1",
        "countersign_proxy_refusals_total{reason=\"method_not_allowed\"} 1",
        "countersign_proxy_sent_bytes_total{route=\"default\"} 5",
        "countersign_proxy_received_bytes_total{route=\"default\"} 4",
        "countersign_proxy_request_duration_seconds_count{route=\"default\"} 1",
        "countersign_proxy_requests_in_flight 0",
        "countersign_proxy_credential_expiry_seconds{route=\"default\"} 4000000000",
        "# EOF",
    ] {
        assert!(body(&answer).contains(line), "{line}: {answer}");
    }
    assert!(!answer.contains(crate::support::SECRET));
}

#[tokio::test]
async fn what_clients_received_are_bodies_of_the_proxys_own_as_well_and_its_help_says_so() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    *proxy.world.0.has.lock().unwrap() = None;
    let refused = proxy.exchange(get("/")).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    let metrics = proxy.metrics().await;
    let length = body(&refused).len();
    let line = format!("countersign_proxy_received_bytes_total{{route=\"default\"}} {length}\n");
    assert!(length > 0 && metrics.contains(&line), "{line}: {metrics}");
    let help = metrics.lines().find(|line| line.starts_with("# HELP countersign_proxy_received_"));
    let help = help.unwrap();
    assert!(help.contains("to clients") && help.contains("the proxy's own"), "{help}");
}

#[tokio::test]
async fn refusals_have_the_form_of_the_service() {
    let service = Service::start().await;
    for (name, header, expected, kind) in [
        ("s3", "x: y", "<Error><Code>MethodNotAllowed</Code>", "application/xml"),
        ("sts", "x: y", "<ErrorResponse", "text/xml"),
        (
            "dynamodb",
            "x-amz-target: T",
            "{\"__type\":\"MethodNotAllowed\"",
            "application/x-amz-json-1.1",
        ),
    ] {
        let mut route = s3(service.address);
        route.service = Some(name.to_owned());
        let proxy = Running::start(config(route)).await;
        *proxy.world.0.has.lock().unwrap() = None;
        let request =
            format!("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{header}\r\n\r\n");
        let answer = proxy.exchange(request).await;
        let expected = expected.replace("MethodNotAllowed", "ServiceUnavailable");
        assert!(answer.contains(&expected), "{name}: {answer}");
        assert!(answer.contains(&format!("content-type: {kind}\r\n")), "{name}: {answer}");
        assert!(answer.contains("x-amz-request-id: ") || answer.contains("x-amzn-requestid: "));
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_health_answers_all_the_same() {
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.limits.connections = 1;
    let proxy = Running::start(config).await;
    let first = proxy.connect().await;
    let second = tokio::spawn(exchange(proxy.address, get("/second")));
    assert!(exchange(proxy.admin, get("/healthz")).await.starts_with("HTTP/1.1 200"));
    assert_eq!(service.count(), 0);
    drop(first);
    assert!(second.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_websocket_takes_the_room_of_its_connection_until_it_ends() {
    let service = agreeable().await;
    let mut config = config(s3(service));
    config.limits.connections = 1;
    let proxy = Running::start(config).await;
    let first = websocket(&proxy).await;
    let metrics = exchange(proxy.admin, get("/metrics")).await;
    assert!(metrics.contains("countersign_proxy_connections 1\n"), "{metrics}");
    // One that is refused before any service sees it.
    let mut second = tokio::spawn(exchange(proxy.address, get("/").replace("GET", "TRACE")));
    let waited = timeout(Duration::from_millis(100), &mut second).await;
    assert!(waited.is_err(), "{waited:?}");
    drop(first);
    assert!(second.await.unwrap().starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn a_websocket_on_which_nothing_passes_is_ended() {
    let service = agreeable().await;
    let mut config = config(s3(service));
    config.timeouts.websocket = Duration::from_millis(100);
    let proxy = Running::start(config).await;
    let mut client = websocket(&proxy).await;
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(30), client.read_to_end(&mut rest)).await;
    ended.expect("it is ended").unwrap();
}

#[tokio::test]
async fn a_websocket_on_which_one_side_speaks_goes_on() {
    let service = agreeable().await;
    let mut config = config(s3(service));
    config.timeouts.websocket = Duration::from_millis(700);
    let proxy = Running::start(config).await;
    let mut client = websocket(&proxy).await;
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(1000) {
        client.write_all(b"a").await.unwrap();
        let quiet = timeout(Duration::from_millis(50), client.read_u8()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_until_an_answer_has_passed() {
    let (began, mut begun) = mpsc::channel::<mpsc::Sender<()>>(1);
    let service = raw(move |mut stream| {
        let began = began.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nme").await.unwrap();
            let (go, mut gone) = mpsc::channel(1);
            began.send(go).await.unwrap();
            gone.recv().await;
            stream.write_all(b"ow").await.unwrap();
        }
    })
    .await;
    let mut config = config(s3(service));
    config.limits.requests = 1;
    let proxy = Running::start(config).await;
    for _ in 0..2 {
        let mut first = proxy.connect().await;
        first.write_all(get("/").as_bytes()).await.unwrap();
        let go = begun.recv().await.unwrap();
        let answer = proxy.exchange(get("/")).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("x-countersign-refusal: busy"), "{answer}");
        assert!(answer.contains("<Error><Code>SlowDown</Code>"), "{answer}");
        go.send(()).await.unwrap();
        let mut rest = String::new();
        first.read_to_string(&mut rest).await.unwrap();
        assert!(rest.ends_with("meow"), "{rest}");
    }
}

/// A service that agrees to WebSockets, and says nothing on them.
async fn agreeable() -> std::net::SocketAddr {
    raw(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(AGREED.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await
}

async fn websocket(proxy: &Running) -> TcpStream {
    let mut client = proxy.connect().await;
    let head = "GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let agreed = read_until(&mut client, "\r\n\r\n").await;
    assert!(agreed.starts_with("HTTP/1.1 101"), "{agreed}");
    client
}

const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                      connection: upgrade\r\n\r\n";
