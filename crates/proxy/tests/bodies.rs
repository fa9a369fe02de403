//! Bodies of all sizes, and what the signature says of them.

use std::time::Duration;

use countersign_proxy::PayloadMode;
use sha2::{Digest, Sha256};
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::support::{Running, Service, config, credentials, raw, read_until, s3};

fn put(length: usize) -> Vec<u8> {
    let head = format!(
        "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut request = head.into_bytes();
    request.extend(bytes_of(length));
    request
}

fn in_chunks(length: usize, size: usize) -> Vec<u8> {
    let head =
        "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut request = head.as_bytes().to_vec();
    for chunk in bytes_of(length).chunks(size) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

fn bytes_of(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn bodies_around_the_limit_of_memory_arrive_whole_and_hashed() {
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.limits.memory = 1000;
    let proxy = Running::start(config).await;
    for length in [0, 1, 999, 1000, 1001, 4096, 70_000, 300_000] {
        for request in [put(length), in_chunks(length, 333), in_chunks(length, 100_000)] {
            let answer = proxy.exchange(request).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{length}: {answer}");
            let seen = service.only();
            assert_eq!(seen.body, bytes_of(length), "{length}");
            assert_eq!(seen.header("content-length"), Some(length.to_string().as_str()));
            let hash = Sha256::digest(bytes_of(length));
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(seen.header("x-amz-content-sha256"), Some(hash.as_str()));
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_whether_it_says_so_or_not() {
    let service = Service::start().await;
    for mode in [PayloadMode::Hash, PayloadMode::Chunks] {
        let mut route = s3(service.address);
        route.payload = mode;
        let mut config = config(route);
        config.limits.body = 1000;
        config.limits.memory = 500;
        let proxy = Running::start(config).await;
        for request in [put(1001), in_chunks(1001, 100)] {
            let answer = proxy.exchange(request).await;
            assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
            assert!(answer.contains("<Code>EntityTooLarge</Code>"), "{answer}");
        }
        assert_eq!(service.count(), 0);
        assert!(proxy.exchange(put(1000)).await.starts_with("HTTP/1.1 200"));
        service.only();
    }
}

#[tokio::test]
async fn bodies_that_find_no_room_in_files_are_refused_until_others_have_gone() {
    let service = Service::start().await;
    let mut config = config(s3(service.address));
    config.limits.memory = 1000;
    config.limits.spooled = 4096;
    let proxy = Running::start(config).await;
    let answer = proxy.exchange(put(4097)).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("x-countersign-refusal: spool"), "{answer}");
    for _ in 0..3 {
        assert!(proxy.exchange(put(4096)).await.starts_with("HTTP/1.1 200"));
    }
    assert!(proxy.exchange(put(1000)).await.starts_with("HTTP/1.1 200"));
    let mut half = proxy.connect().await;
    half.write_all(&put(4096)[..3000]).await.unwrap();
    // When the proxy reads it, and when it sees that it has gone, is the proxy's affair.
    let others = async {
        while proxy.exchange(put(4096)).await.starts_with("HTTP/1.1 200") {}
        assert!(proxy.exchange(put(1000)).await.starts_with("HTTP/1.1 200"));
        drop(half);
        while proxy.exchange(put(4096)).await.starts_with("HTTP/1.1 503") {}
    };
    timeout(Duration::from_secs(20), others).await.expect("room is taken, and free again");
}

#[tokio::test]
async fn bodies_in_chunks_are_signed_as_they_come() {
    let service = Service::start().await;
    let mut route = s3(service.address);
    route.payload = PayloadMode::Chunks;
    let mut config = config(route);
    config.limits.memory = 0;
    let proxy = Running::start(config).await;
    for length in [1, 65_536, 200_000] {
        let answer = proxy.exchange(put(length)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = service.only();
        assert_eq!(seen.header("x-amz-content-sha256"), Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"));
        assert_eq!(seen.header("x-amz-decoded-content-length"), Some(length.to_string().as_str()));
        assert_eq!(seen.header("content-encoding"), Some("aws-chunked"));
    }
    // Nobody can say beforehand how long these are.
    assert!(proxy.exchange(in_chunks(200_000, 999)).await.starts_with("HTTP/1.1 200"));
    assert_eq!(service.only().body, bytes_of(200_000));
}

#[tokio::test]
async fn only_objects_and_parts_that_do_not_fit_memory_are_sent_in_chunks() {
    let service = Service::start().await;
    let mut route = s3(service.address);
    route.payload = PayloadMode::Chunks;
    let mut config = config(route);
    config.limits.memory = 1000;
    let proxy = Running::start(config).await;
    for (request, length, expected) in [
        ("PUT /k", 1001, true),
        ("PUT /k?x-id=PutObject", 1001, true),
        ("PUT /k?partNumber=1&uploadId=a%2Fb", 1001, true),
        ("PUT /k", 1000, false),
        ("PUT /", 1001, false),
        ("PUT /k?tagging", 1001, false),
        ("PUT /k?acl=", 1001, false),
        ("PUT /k?partNumber=1&uploadId=a&lifecycle", 1001, false),
        ("POST /?delete", 1001, false),
        ("POST /k?uploadId=a", 1001, false),
        ("GET /k", 1001, false),
    ] {
        let request = format!(
            "{request} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        let answer = proxy.exchange([request.as_bytes(), &bytes_of(length)].concat()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{request}: {answer}");
        let seen = service.only();
        let is_chunked = seen.header("content-encoding") == Some("aws-chunked");
        assert_eq!(is_chunked, expected, "{request}");
        assert_eq!(seen.body == bytes_of(length), !expected, "{request}");
    }
    proxy.exchange("GET /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    let seen = service.only();
    assert_eq!((seen.header("content-encoding"), seen.header("content-length")), (None, None));
}

#[tokio::test]
async fn a_body_in_chunks_goes_on_whatever_the_method_and_its_trailers_are_announced() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "REPORT"] {
        for (announced, trailer, expected) in [
            ("", "", None),
            ("trailer: x-sum\r\n", "", None),
            ("", "x-sum: 9\r\nx-other: 1\r\n", Some("x-sum, x-other")),
            ("trailer: x-sum, x-amz-acl\r\n", "x-amz-acl: a\r\nx-sum: 9\r\n", Some("x-sum")),
        ] {
            let answer = proxy.exchange(format!(
                "{method} /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{announced}\
                 transfer-encoding: chunked\r\n\r\n4\r\nmeow\r\n0\r\n{trailer}\r\n"
            ));
            let answer = answer.await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{method}: {answer}");
            let seen = service.only();
            assert_eq!(seen.body, "meow", "{method}");
            assert_eq!(seen.header("trailer"), expected, "{method}");
            assert_eq!(seen.trailers.is_some(), expected.is_some(), "{method}");
            let length = seen.header("content-length");
            assert_eq!(length.is_none(), expected.is_some(), "{method}: {length:?}");
            assert_eq!(seen.header("transfer-encoding"), expected.map(|_| "chunked"));
        }
    }
}

#[tokio::test]
async fn a_chunk_goes_on_before_the_next_one_comes() {
    let (chunk, mut chunks) = tokio::sync::mpsc::channel::<usize>(8);
    let service = raw(move |mut stream| {
        let chunk = chunk.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            read_until(&mut stream, "a\r\n").await;
            chunk.send(1).await.unwrap();
            read_until(&mut stream, "0;chunk-signature=").await;
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let mut route = s3(service);
    route.payload = PayloadMode::Chunks;
    let proxy = Running::start(config(route)).await;
    let mut client = proxy.connect().await;
    let head = "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 65537\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&[b'a'; 65_536]).await.unwrap();
    assert_eq!(chunks.recv().await, Some(1));
    client.write_all(b"b").await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn chunks_that_another_key_signed_are_refused() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let answer = proxy
        .exchange(
            "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 4\r\n\
             x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n\r\nmeow",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("by a key that is not the proxy"), "{answer}");
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn without_credentials_nothing_is_forwarded_and_the_reason_is_said() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    *proxy.world.0.has.lock().unwrap() = None;
    let head = "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    let answer = proxy.exchange(head).await;
    // The client is not asked for its body.
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("x-countersign-refusal: no_credentials"), "{answer}");
    assert!(answer.contains("the drawer is empty"), "{answer}");
    assert_eq!(service.count(), 0);
    *proxy.world.0.has.lock().unwrap() = Some(credentials());
    assert!(proxy.exchange(put(4)).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn credentials_that_go_while_a_body_comes_sign_nothing() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let mut client = proxy.connect().await;
    let head = "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut client, "100 Continue\r\n\r\n").await;
    *proxy.world.0.has.lock().unwrap() = None;
    client.write_all(b"meow").await.unwrap();
    let answer = read_until(&mut client, "</Error>").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(service.count(), 0);
}
