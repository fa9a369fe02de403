//! What passes, in both directions.

use std::time::Duration;

use bytes::Bytes;
use countersign_proxy::{Forwarded, RouteConfig};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::support::{Running, Service, body, config, raw, read_until, s3, status};

#[tokio::test]
async fn a_connection_that_was_to_be_upgraded_and_was_not_is_closed() {
    let (ended, mut ends) = tokio::sync::mpsc::channel(1);
    let service = raw(move |mut stream| {
        let ended = ended.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmeow").await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            ended.send(()).await.unwrap();
        }
    })
    .await;
    let proxy = Running::start(config(s3(service))).await;
    let mut client = proxy.connect().await;
    let upgrade = "GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    client.write_all(upgrade.as_bytes()).await.unwrap();
    read_until(&mut client, "meow").await;
    timeout(Duration::from_secs(10), ends.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn odd_targets_pass_byte_for_byte_and_signed() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    for target in [
        "/",
        "//",
        "/a//b/",
        "/a/../b/./c",
        "/a%2Fb%2f..%2E",
        "/a=b(1)+%C3%A9~!$&'()*,;:@",
        "/%zz",
        "/?",
        "/?a",
        "/?a=%2f&a=&=b&&c=d%20e+f",
        "/k?versions&prefix=a/b%2Fc&X=1",
        "/a|b^{c}",
        // A fragment is no part of what is asked for.
        "/a?b#c",
    ] {
        let answer = proxy
            .exchange(format!("GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"));
        let answer = answer.await;
        if target == "/%zz" {
            // No S3 takes it, so it is not signed.
            assert!(answer.contains("400 Bad Request") && answer.contains("cannot be signed"));
            continue;
        }
        assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer}");
        assert_eq!(service.only().target(), target.split('#').next().unwrap());
    }
}

#[tokio::test]
async fn what_is_no_target_is_answered_with_400() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    for target in [&b"/a b"[..], b"/a`b", b"/\xff", b"/\x01", b"a", b"", b"*"] {
        let request =
            [b"GET ", target, b" HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"].concat();
        let answer = proxy.exchange(request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{target:?}: {answer}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn headers_of_the_connection_stay_behind_and_the_others_are_signed() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let answer = proxy
        .exchange(
            "GET /k HTTP/1.1\r\nhost: whatever\r\nconnection: close, X-Mine\r\nx-mine: 1\r\n\
             keep-alive: timeout=1\r\nte: gzip, trailers\r\nproxy-connection: close\r\n\
             proxy-authorization: Basic YTpi\r\nupgrade: h2c\r\nx-kept: a\r\nx-kept:  b  c \r\n\
             x-amz-meta-cat: \"meow\"\r\nx-forwarded-for: 1.2.3.4\r\nforwarded: for=x\r\n\
             user-agent: cat\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = service.only();
    let names: Vec<&str> = seen.parts.headers.keys().map(HeaderName::as_str).collect();
    for gone in [
        "x-mine",
        "keep-alive",
        "connection",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "x-forwarded-for",
        "forwarded",
    ] {
        assert!(!names.contains(&gone), "{gone}: {names:?}");
    }
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("user-agent"), Some("cat"));
    assert_eq!(seen.header("host"), Some(service.address.to_string().as_str()));
    let kept: Vec<_> = seen.parts.headers.get_all("x-kept").iter().collect();
    assert_eq!(kept, ["a", "b  c"]);
    let signed = seen.header("authorization").unwrap();
    for name in ["host", "x-amz-meta-cat", "x-kept", "x-amz-security-token", "x-amz-content-sha256"]
    {
        assert!(signed.contains(name), "{name}: {signed}");
    }
}

#[tokio::test]
async fn headers_are_stripped_added_and_replaced_before_they_are_signed() {
    let service = Service::start().await;
    let mut route = s3(service.address);
    route.strip = vec!["X-Gone".to_owned()];
    route.add.insert("x-amz-tagging".to_owned(), "a=b".to_owned());
    route.replace.insert("x-amz-acl".to_owned(), "private".to_owned());
    route.forwarded = Forwarded::Append;
    route.sign_host = Some("bucket.s3.eu-west-1.amazonaws.com".parse().unwrap());
    let proxy = Running::start(config(route)).await;
    proxy
        .exchange(
            "PUT /k HTTP/1.1\r\nhost: h:1\r\nconnection: close\r\nx-gone: 1\r\nx-amz-acl: public-read\r\n\r\n",
        )
        .await;
    let seen = service.only();
    assert_eq!(seen.header("x-gone"), None);
    assert_eq!(seen.header("x-amz-tagging"), Some("a=b"));
    assert_eq!(seen.header("x-amz-acl"), Some("private"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some("h:1"));
    assert_eq!(seen.header("host"), Some("bucket.s3.eu-west-1.amazonaws.com"));
    assert_eq!(seen.header("content-length"), Some("0"));
    let signed = seen.header("authorization").unwrap();
    assert!(signed.contains("x-amz-acl;") && signed.contains("x-amz-tagging"), "{signed}");
}

#[tokio::test]
async fn the_minimal_set_signs_no_more_than_aws_insists_on() {
    let service = Service::start().await;
    let mut route = s3(service.address);
    route.signed_headers = countersign_proxy::SignedHeaders::Minimal;
    let proxy = Running::start(config(route)).await;
    proxy
        .exchange(
            "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-mine: 1\r\nx-amz-acl: a\r\n\r\n",
        )
        .await;
    let seen = service.only();
    let signed = seen.header("authorization").unwrap();
    let names =
        "SignedHeaders=host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
    assert!(signed.contains(names), "{signed}");
    assert_eq!(seen.header("x-mine"), Some("1"));
}

#[tokio::test]
async fn a_signature_of_the_client_s_own_is_replaced() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    proxy
        .exchange(
            "GET /k?a=b&X-Amz-Signature=00&X-Amz-Credential=x&c HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=PLACEHOLDER/x, SignedHeaders=host, Signature=00\r\n\
             x-amz-security-token: theirs\r\nx-amz-date: 20150830T123600Z\r\n\r\n",
        )
        .await;
    let seen = service.only();
    assert_eq!(seen.target(), "/k?a=b&c");
    assert!(seen.header("authorization").unwrap().contains("Credential=AKIDEXAMPLE/"));
    assert_eq!(seen.header("x-amz-security-token"), Some("token//of+a==session"));
}

#[tokio::test]
async fn answers_without_a_body_keep_their_headers() {
    let service = Service::start_with(|seen| {
        let mut response = status(seen.target()[1..].parse().unwrap());
        response.headers_mut().insert("etag", HeaderValue::from_static("\"cat\""));
        if seen.parts.method == "HEAD" {
            response.headers_mut().insert("content-length", HeaderValue::from_static("1234"));
        }
        response
    })
    .await;
    let proxy = Running::start(config(s3(service.address))).await;
    for (request, first, length) in [
        ("HEAD /200", "HTTP/1.1 200 OK", Some("content-length: 1234\r\n")),
        ("GET /204", "HTTP/1.1 204 No Content", None),
        ("GET /304", "HTTP/1.1 304 Not Modified", None),
        ("HEAD /404", "HTTP/1.1 404 Not Found", Some("content-length: 1234\r\n")),
    ] {
        let answer =
            proxy.exchange(format!("{request} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"));
        let answer = answer.await;
        assert!(answer.starts_with(first) && answer.ends_with("\r\n\r\n"), "{request}: {answer}");
        assert!(answer.contains("etag: \"cat\"\r\n"), "{answer}");
        assert_eq!(body(&answer), "", "{request}");
        match length {
            Some(length) => assert!(answer.contains(length), "{answer}"),
            None => assert!(!answer.contains("transfer-encoding"), "{answer}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_nothing_was_modified_says_how_long_the_other_would_be() {
    for (said, expected) in [
        ("content-length: 5\r\n", Some("content-length: 5\r\n")),
        ("", None),
        // What is no length, or two, is nobody's.
        ("content-length: +5\r\n", None),
        ("content-length: 5\r\ncontent-length: 6\r\n", None),
    ] {
        let service = raw(move |mut stream| async move {
            // Both requests come on one connection.
            for _ in 0..2 {
                read_until(&mut stream, "\r\n\r\n").await;
                let answer = format!("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n{said}\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await;
        let proxy = Running::start(config(s3(service))).await;
        let mut client = proxy.connect().await;
        for _ in 0..2 {
            client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
            let answer = read_until(&mut client, "\r\n\r\n").await;
            assert!(
                answer.starts_with("HTTP/1.1 304") && answer.contains("etag: \"a\""),
                "{answer}"
            );
            let length = answer.split_inclusive('\n').find(|it| it.starts_with("content-length"));
            assert_eq!(length, expected, "{answer}");
        }
    }
}

#[tokio::test]
async fn redirects_are_passed_on_and_not_followed() {
    let service = Service::start_with(|_| {
        let mut response = status(307);
        let location = HeaderValue::from_static("http://169.254.169.254/latest");
        response.headers_mut().insert("location", location);
        response
    })
    .await;
    let proxy = Running::start(config(s3(service.address))).await;
    let answer = proxy.exchange("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 307"), "{answer}");
    assert!(answer.contains("location: http://169.254.169.254/latest"), "{answer}");
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn the_first_piece_of_an_answer_passes_at_once_and_trailers_behind_the_last() {
    let (asked, mut asks) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
    let service = raw(move |mut stream| {
        let asked = asked.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(b"5\r\nfirst\r\n").await.unwrap();
            let (tell, told) = tokio::sync::oneshot::channel();
            asked.send(tell).await.unwrap();
            told.await.unwrap();
            stream.write_all(b"4\r\nlast\r\n0\r\nx-sum: 9\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let proxy = Running::start(config(s3(service))).await;
    let mut client = proxy.connect().await;
    let request = "GET / HTTP/1.1\r\nhost: h\r\nte: trailers\r\nconnection: te\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    // The service says no more before this was read.
    let first = timeout(Duration::from_secs(20), read_until(&mut client, "first\r\n"));
    first.await.expect("it does not wait for the next");
    asks.recv().await.unwrap().send(()).unwrap();
    let rest = read_until(&mut client, "\r\n\r\n").await;
    assert_eq!(rest, "4\r\nlast\r\n0\r\nx-sum: 9\r\n\r\n");
}

#[tokio::test]
async fn trailers_of_a_request_pass_but_those_that_a_service_could_believe() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let answer = proxy
        .exchange(
            "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
             trailer: x-sum, x-amz-acl\r\n\r\n4\r\nmeow\r\n0\r\nx-sum: 9\r\nx-amz-acl: public-read\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = service.only();
    assert_eq!(seen.body, "meow");
    let mut expected = HeaderMap::new();
    expected.insert("x-sum", HeaderValue::from_static("9"));
    assert_eq!(seen.trailers, Some(expected));
}

#[tokio::test]
async fn a_client_that_expects_100_keeps_its_body_until_it_is_asked_for() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let mut client = proxy.connect().await;
    let head = "PUT /k HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let first = read_until(&mut client, "\r\n\r\n").await;
    assert!(first.starts_with("HTTP/1.1 100 Continue"), "{first}");
    client.write_all(b"meow").await.unwrap();
    let answer = read_until(&mut client, "meow").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(service.only().header("expect"), None);
}

#[tokio::test]
async fn http_2_is_spoken_to_clients() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let stream = TokioIo::new(proxy.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::put("http://proxy/a//b?c")
        .header("x-amz-meta-cat", "1")
        .body(Full::new(Bytes::from("meow")))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "meow");
    let seen = service.only();
    assert_eq!((seen.target(), &seen.body[..]), ("/a//b?c", &b"meow"[..]));
}

#[tokio::test]
async fn a_websocket_is_signed_and_then_carries_bytes_both_ways() {
    let service = raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"));
        assert!(head.contains("authorization: AWS4-HMAC-SHA256 ") && head.contains("sec-websocket-key: k"));
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                      sec-websocket-accept: a\r\n\r\nhello";
        stream.write_all(agreed.as_bytes()).await.unwrap();
        let said = read_until(&mut stream, "ping").await;
        stream.write_all(said.to_uppercase().as_bytes()).await.unwrap();
    })
    .await;
    let route = RouteConfig::to(format!("http://{service}").parse().unwrap())
        .with_scope("eu-west-1", "execute-api");
    let proxy = Running::start(config(route)).await;
    let mut client = proxy.connect().await;
    let head = "GET /chat HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                sec-websocket-key: k\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let agreed = read_until(&mut client, "hello").await;
    assert!(agreed.starts_with("HTTP/1.1 101"), "{agreed}");
    assert!(agreed.contains("sec-websocket-accept: a\r\n"), "{agreed}");
    client.write_all(b"ping").await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "PING");
}

#[tokio::test]
async fn only_a_get_can_become_a_websocket() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    for method in ["POST", "PUT", "HEAD"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n\r\n"
        );
        let answer = proxy.exchange(request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{method}: {answer}");
        let seen = service.only();
        assert_eq!((seen.header("upgrade"), seen.header("connection")), (None, None), "{method}");
    }
}

#[tokio::test]
async fn a_body_that_streams_from_the_service_has_no_length_and_none_is_made_up() {
    // Answers of HTTP/1.0's kind, which end with the connection.
    let service = raw(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nmeow").await.unwrap();
    })
    .await;
    let proxy = Running::start(config(s3(service))).await;
    let answer = proxy.exchange("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    assert_eq!(body(&answer), "4\r\nmeow\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_body_of_no_bytes_in_chunks_is_one_of_length_0() {
    let service = Service::start().await;
    let proxy = Running::start(config(s3(service.address))).await;
    let stream = TokioIo::new(proxy.connect().await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let nothing = Empty::<Bytes>::new().into_data_stream();
    let body = StreamBody::new(futures_util::StreamExt::map(nothing, |piece| {
        piece.map(http_body::Frame::data)
    }));
    let request = Request::put("/k").header("host", "h").body(body).unwrap();
    let response: Response<_> = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(service.only().header("content-length"), Some("0"));
}
