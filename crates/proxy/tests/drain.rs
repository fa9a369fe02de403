//! The end of a proxy.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::Instant,
};

use crate::{
    logs::Logged,
    support::{Running, config, raw, read_until, s3},
};

#[tokio::test]
async fn a_proxy_that_is_told_to_stop_answers_what_is_in_flight_and_takes_nothing_new() {
    const FLIGHT: usize = 100;
    let (go, gates) = mpsc::channel::<mpsc::Sender<()>>(FLIGHT);
    let mut gates = gates;
    let service = raw(move |mut stream| {
        let go = go.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let (open, mut opened) = mpsc::channel(1);
            go.send(open).await.unwrap();
            opened.recv().await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nmeow";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let mut proxy = Running::start(config(s3(service))).await;
    let mut clients = Vec::new();
    for _ in 0..FLIGHT {
        let mut client = proxy.connect().await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    let mut held = Vec::new();
    for _ in 0..FLIGHT {
        held.push(gates.recv().await.unwrap());
    }
    let address = proxy.address;
    proxy.stop();
    // The listener is gone once nothing can connect.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    for gate in held {
        gate.send(()).await.unwrap();
    }
    for mut client in clients {
        let answer = read_until(&mut client, "meow").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    proxy.ended().await;
}

#[tokio::test]
async fn a_request_that_was_sent_before_the_stop_is_answered_though_nobody_read_it_yet() {
    let service = crate::support::Service::start().await;
    let mut proxy = Running::start(config(s3(service.address))).await;
    // On one thread the proxy sees neither before this test waits.
    let mut client = std::net::TcpStream::connect(proxy.address).unwrap();
    std::io::Write::write_all(&mut client, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    proxy.stop();
    client.set_nonblocking(true).unwrap();
    let mut client = tokio::net::TcpStream::from_std(client).unwrap();
    let answer = read_until(&mut client, "meow").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    proxy.ended().await;
}

#[tokio::test]
async fn a_next_request_that_was_sent_before_the_stop_is_answered_though_nobody_read_it_yet() {
    let service = crate::support::Service::start().await;
    let mut proxy = Running::start(config(s3(service.address))).await;
    let mut client = proxy.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    read_until(&mut client, "meow").await;
    // The proxy runs on the same thread, and so sees neither before this test waits.
    let mut client = client.into_std().unwrap();
    std::io::Write::write_all(&mut client, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    proxy.stop();
    let mut client = tokio::net::TcpStream::from_std(client).unwrap();
    let answer = read_until(&mut client, "meow").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    proxy.ended().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_in_time_is_cut_off() {
    const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                          connection: upgrade\r\n\r\n";
    let logged = Logged::begin();
    for upgrade in ["", "upgrade: websocket\r\nconnection: upgrade\r\n"] {
        let (saw, mut seen) = mpsc::channel(1);
        let service = raw(move |mut stream| {
            let saw = saw.clone();
            async move {
                let head = read_until(&mut stream, "\r\n\r\n").await;
                if head.contains("upgrade: websocket") {
                    stream.write_all(AGREED.as_bytes()).await.unwrap();
                }
                saw.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }
        })
        .await;
        let mut config = config(s3(service));
        let long = Duration::from_secs(86_400);
        config.timeouts.response = long;
        config.timeouts.websocket = long;
        config.timeouts.drain = Duration::from_secs(30);
        let mut proxy = Running::start(config).await;
        let mut client = proxy.connect().await;
        let head = format!("GET / HTTP/1.1\r\nhost: h\r\n{upgrade}\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        seen.recv().await.unwrap();
        let agreed = if upgrade.is_empty() { "" } else { "\r\n\r\n" };
        read_until(&mut client, agreed).await;
        let began = Instant::now();
        proxy.stop();
        proxy.ended().await;
        let took = began.elapsed().as_secs();
        assert!((30..40).contains(&took), "it ended after {took} s");
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "");
        let took = began.elapsed().as_secs();
        assert!(took < 40, "the client was let go after {took} s");
        // The client was still there.
        let status = if upgrade.is_empty() { " status=503 " } else { " status=101 " };
        let lines = logged.lines_with("message=request");
        assert!(lines.last().unwrap().contains(status), "{lines:?}");
    }
}
