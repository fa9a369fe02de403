//! Requests that two parsers could understand in two ways.

use crate::support::{Running, Service, config, s3};

#[tokio::test]
async fn what_is_framed_in_two_ways_is_refused_or_reaches_the_service_in_one() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    // Two requests by one reading, one by the other.
    for both in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let request = format!(
            "PUT /k HTTP/1.1\r\nhost: h\r\n{both}\r\n4\r\nmeow\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: h\r\n\r\n"
        );
        let answer = proxy.exchange(request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = service.only();
        assert_eq!(seen.body, "meow");
        assert_eq!(seen.header("content-length"), Some("4"));
        assert_eq!(seen.header("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn malformed_framing_and_heads_are_answered_with_400_and_not_forwarded() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let head = "PUT /k HTTP/1.1\r\nhost: h\r\n";
    let chunked = "PUT /k HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    for request in [
        format!("{head}content-length: 4\r\ncontent-length: 5\r\n\r\nmeow!"),
        format!("{head}content-length: 4, 5\r\n\r\nmeow!"),
        format!("{head}content-length: +4\r\n\r\nmeow"),
        format!("{head}content-length: -1\r\n\r\n"),
        format!("{head}content-length: 4 \t5\r\n\r\nmeow"),
        format!("{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}x-a: b\r\n folded\r\n\r\n"),
        format!("{head}x-a: b\r\n\tfolded\r\n\r\n"),
        format!("{head}x a: b\r\n\r\n"),
        format!("{head} x-a: b\r\n\r\n"),
        format!("{head}x-a: b\0c\r\n\r\n"),
        format!("{head}host: other\r\n\r\n"),
        format!("{head}Host: h\r\n\r\n"),
        format!("{head}connection: content-length, host\r\n\r\n"),
        "PUT http://other/k HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
        "PUT /k HTTP/1.1\r\n\r\n".to_owned(),
        "PUT /k HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(),
        "PUT /k HTTP/1.1\r\nhost: user@h\r\n\r\n".to_owned(),
        "PUT /k HTTP/1.1\r\nhost:\r\n\r\n".to_owned(),
        "PUT /k HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        format!("{chunked}g\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked}-4\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked}4\r\nmeow!\r\n0\r\n\r\n"),
        format!("{chunked}ffffffffffffffff1\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked}4\nmeow\n0\n\n"),
    ] {
        let request =
            format!("{request}GET /hidden HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let answer = proxy.exchange(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer}");
        let paths: Vec<_> = service.seen.lock().unwrap().drain(..).map(|it| it.parts.uri).collect();
        assert!(paths.is_empty(), "{request:?}: {paths:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered_with_431() {
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.limits.head = 8192;
    let proxy = Running::start(config).await;
    let long = "a".repeat(9000);
    let answer = proxy.exchange(format!("GET / HTTP/1.1\r\nhost: h\r\nx: {long}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: String = (0..200).map(|at| format!("x-{at}: 1\r\n")).collect();
    let answer = proxy.exchange(format!("GET / HTTP/1.1\r\nhost: h\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn methods_that_would_give_the_signature_away_or_lead_elsewhere_are_refused() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    for request in [
        "TRACE / HTTP/1.1\r\nhost: h",
        "CONNECT 169.254.169.254:80 HTTP/1.1\r\nhost: 169.254.169.254:80",
    ] {
        let answer = proxy.exchange(format!("{request}\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    }
    assert_eq!(service.count(), 0);
}
