//! Requests that two parsers could understand in two ways.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    logs::Logged,
    support::{Running, Service, config, read_until, s3},
};

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
        format!("{head}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: , chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: chunked,\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: chunked;a=b\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding:\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n"),
        format!("{head}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}x-a: b\r\n folded\r\n\r\n"),
        format!("{head}x-a: b\r\n\tfolded\r\n\r\n"),
        format!("{head}x a: b\r\n\r\n"),
        format!("{head} x-a: b\r\n\r\n"),
        format!("{head}x-a: b\0c\r\n\r\n"),
        format!("{head}x-a: b\rc\r\n\r\n"),
        format!("{head}: b\r\n\r\n"),
        format!("{head}x-a\r\n\r\n"),
        format!("{head}content-length: 0x4\r\n\r\nmeow"),
        format!("{head}content-length: 4,4\r\n\r\nmeow"),
        format!("{head}content-length: 18446744073709551620\r\n\r\nmeow"),
        format!("{head}content-length:\r\n\r\nmeow"),
        "PUT  /k HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
        "PUT /k HTTP/1.1 x\r\nhost: h\r\n\r\n".to_owned(),
        "PUT /k HTTP/1.2\r\nhost: h\r\n\r\n".to_owned(),
        "PUT /k\r\nhost: h\r\n\r\n".to_owned(),
        "PUT /k HTTP/1.1\r\n host: h\r\n\r\n".to_owned(),
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
        format!("{chunked}+4\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked}0x4\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked} 4\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked}4 4\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked}\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked};a=b\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked}4;a\nmeow\r\n0\r\n\r\n"),
        format!("{chunked}4\rmeow\r\n0\r\n\r\n"),
        format!("{chunked}4\r\nmeow0\r\n\r\n"),
        format!("{chunked}3\r\nmeow\r\n0\r\n\r\n"),
        format!("{chunked}4\r\nmeow\r\n0\r\nx a: b\r\n\r\n"),
        format!("{chunked}4\r\nmeow\r\n0\r\nx-a: b\0\r\n\r\n"),
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
async fn what_is_no_request_is_counted_and_logged_though_nobody_answers_it_here() {
    let logged = Logged::begin();
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let head = "PUT /k HTTP/1.1\r\nhost: h\r\n";
    let many: String = (0..120).map(|at| format!("x-{at}: 1\r\n")).collect();
    for (request, status, refusal) in [
        (format!("{head}content-length: 4\r\ncontent-length: 5\r\n\r\nmeow!"), 400, "malformed"),
        (format!("{head}x-a: b\r\n folded\r\n\r\n"), 400, "malformed"),
        (format!("{head}x-a: b\rc\r\n\r\n"), 400, "malformed"),
        (format!("{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"), 400, "malformed"),
        ("\x16\x03\x01 is no HTTP\r\n\r\n".to_owned(), 400, "malformed"),
        (format!("{head}x: {}\r\n\r\n", "a".repeat(40_000)), 431, "head_too_long"),
        (format!("{head}{many}\r\n"), 431, "head_too_long"),
    ] {
        let before = count(&proxy, refusal).await;
        let answer = proxy.exchange(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {answer}");
        assert!(!answer.contains("x-countersign-refusal") && answer.ends_with("\r\n\r\n"));
        assert_eq!(count(&proxy, refusal).await, before + 1, "{request:?}");
        let lines = logged.lines_with("message=no request");
        let last = lines.last().unwrap();
        assert!(last.starts_with("DEBUG") && last.contains("client=127.0.0.1"), "{last}");
        assert!(last.contains(&format!("refusal=\"{refusal}\"")), "{last}");
    }
    assert_eq!(logged.lines_with("message=no request").len(), 7);
    // A client that leaves within a head is refused nothing.
    assert_eq!(proxy.break_off("GET / HTTP/1.1\r\nhost: h\r\n").await, "");
    assert_eq!(logged.lines_with("message=no request").len(), 7);
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_head_that_is_slow_is_counted_and_a_connection_on_which_nothing_is_asked_is_not() {
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.timeouts.head = Duration::from_millis(200);
    let proxy = Running::start(config).await;
    let get = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    let long = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(10_000));
    for (asked, slow, expected) in [
        ("", "", 0),
        (get, "", 0),
        ("", "P", 1),
        ("", "GET / HTTP/1.1\r\nhost: h\r\n", 1),
        ("", &long, 1),
        (get, "GET / HTTP/1.1\r\nhost: h\r\n", 1),
    ] {
        let before = count(&proxy, "head_timeout").await;
        let mut client = proxy.connect().await;
        client.write_all(asked.as_bytes()).await.unwrap();
        read_until(&mut client, if asked.is_empty() { "" } else { "meow" }).await;
        client.write_all(slow.as_bytes()).await.unwrap();
        let mut rest = String::new();
        let _ = client.read_to_string(&mut rest).await;
        assert_eq!(rest, "", "{asked:?}, {slow:?}");
        let counted = count(&proxy, "head_timeout").await - before;
        assert_eq!(counted, expected, "{asked:?}, {slow:?}");
    }
    let before = count(&proxy, "head_timeout").await;
    let stream = TokioIo::new(proxy.connect().await);
    let (sender, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    let _ = connection.await;
    drop(sender);
    assert_eq!(count(&proxy, "head_timeout").await, before);
}

/// How often this was refused.
async fn count(proxy: &Running, reason: &str) -> u64 {
    let metrics = proxy.metrics().await;
    let name = format!("countersign_proxy_refusals_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
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

#[tokio::test]
async fn each_of_two_requests_in_one_write_is_answered_by_itself() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let first = "PUT /first HTTP/1.1\r\nhost: h\r\ntransfer-encoding: Chunked\r\n\r\n4\r\nmeow\r\n0\r\n\r\n";
    let second =
        "PUT /second HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 4\r\n\r\nmeow";
    let answer = proxy.exchange(format!("{first}{second}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    let seen = service.seen.lock().unwrap();
    let seen: Vec<_> = seen.iter().map(|it| (it.target(), &it.body[..])).collect();
    assert_eq!(seen, [("/first", &b"meow"[..]), ("/second", b"meow")]);
}

#[tokio::test]
async fn malformed_framing_and_heads_in_http_2_are_not_forwarded() {
    const BEGIN: [(&str, &str); 4] =
        [(":method", "PUT"), (":scheme", "http"), (":path", "/k"), (":authority", "h")];
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let with = |more: &[(&'static str, &'static str)]| [&BEGIN[..], more].concat();
    for (headers, expected) in [
        (with(&[]), true),
        (with(&[("content-length", "4")]), true),
        (with(&[("host", "h")]), true),
        (with(&[("content-length", "5")]), false),
        (with(&[("content-length", "3")]), false),
        (with(&[("content-length", "+4")]), false),
        (with(&[("content-length", "4"), ("content-length", "5")]), false),
        (with(&[("transfer-encoding", "chunked")]), false),
        (with(&[("connection", "keep-alive")]), false),
        (with(&[("keep-alive", "1")]), false),
        (with(&[("proxy-connection", "keep-alive")]), false),
        (with(&[("upgrade", "h2c")]), false),
        (with(&[("te", "gzip")]), false),
        (with(&[("host", "other")]), false),
        (with(&[("host", "h"), ("host", "h")]), false),
        (with(&[("X-A", "b")]), false),
        (with(&[("x a", "b")]), false),
        (with(&[("x-a\r\nx-b", "c")]), false),
        (with(&[("x-a", "b\r\nx-amz-acl: public-read")]), false),
        (with(&[("x-a", "b\0")]), false),
        (with(&[(":path", "/other")]), false),
        (with(&[(":authority", "other")]), false),
        (with(&[("x-a", "b"), (":scheme", "http")]), false),
        (with(&[(":status", "200")]), false),
        (BEGIN[..2].to_vec(), false),
        (BEGIN[..3].to_vec(), false),
        (vec![BEGIN[0], BEGIN[1], (":path", ""), BEGIN[3]], false),
        (vec![BEGIN[0], BEGIN[1], (":path", "k"), BEGIN[3]], false),
        (vec![BEGIN[0], BEGIN[1], (":path", "/k HTTP/1.1\r\nx: y"), BEGIN[3]], false),
        (vec![(":method", "GET /hidden HTTP/1.1\r\nx: y"), BEGIN[1], BEGIN[2], BEGIN[3]], false),
    ] {
        let is_served = served_over_http_2(proxy.address, &headers, b"meow").await;
        assert_eq!(is_served, expected, "{headers:?}");
        let seen: Vec<_> = service.seen.lock().unwrap().drain(..).collect();
        assert_eq!(seen.len(), usize::from(expected), "{headers:?}: {seen:?}");
    }
}

/// Sends what no library would, and says whether the answer is 200.
async fn served_over_http_2(address: SocketAddr, headers: &[(&str, &str)], body: &[u8]) -> bool {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    /// The whole field of the static table, as the first of a head.
    const STATUS_200: u8 = 0x88;
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let mut block = Vec::new();
    for (name, value) in headers {
        // A literal that nobody remembers, and whose name is one too.
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let all = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &[]),
        frame(HEADERS, 4, 1, &block),
        frame(0, 1, 1, body),
    ];
    stream.write_all(&all.concat()).await.unwrap();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return false;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        match head[3] {
            RST_STREAM | GOAWAY => return false,
            HEADERS => {
                // Before it the encoder may say how large its table is.
                let first = payload.iter().find(|byte| **byte & 0xe0 != 0x20);
                return first == Some(&STATUS_200);
            }
            _ => {}
        }
    }
}
