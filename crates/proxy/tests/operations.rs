//! Health, metrics, refusals that clients can read.

use crate::support::{Running, Service, body, config, credentials, exchange, s3};

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
