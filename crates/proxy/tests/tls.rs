//! TLS to the service.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use countersign::KeyCache;
use countersign_proxy::{Config, PayloadMode, RouteConfig};
use futures_util::stream::{self, StreamExt};
use http::{HeaderName, HeaderValue, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{io::AsyncWriteExt, net::TcpListener, sync::mpsc, time::timeout};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::support::{Running, Seen, config, has_tool, loopback, verify};

#[tokio::test]
async fn a_connection_of_http_2_that_nobody_uses_is_closed() {
    let (acceptor, ca) = acceptor(&["h2"]);
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let mut config = config(route("localhost", listener.local_addr().unwrap().port()));
    config.ca_file = Some(ca.path().to_owned());
    config.timeouts.idle = Duration::from_millis(100);
    let proxy = Running::start(config).await;
    let service = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
        let answer = service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("meow"))))
        });
        http2::Builder::new(TokioExecutor::new()).serve_connection(stream, answer).await
    });
    let answer = proxy.exchange("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let ended = timeout(Duration::from_secs(10), service).await;
    let _ = ended.expect("the proxy ends it").unwrap();
}

/// A service with its own certificate for `localhost`, which answers one request after the other and
/// tells what it read.
async fn secure() -> (u16, tempfile::NamedTempFile, mpsc::Receiver<String>) {
    let (acceptor, file) = acceptor(&[]);
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n") && !read.ends_with(b"meow") {
                tokio::io::AsyncReadExt::read_buf(&mut stream, &mut read).await.unwrap();
            }
            tell.send(String::from_utf8(read).unwrap()).await.unwrap();
            // A service that lives a century ahead.
            let answer = "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2099 00:00:00 GMT\r\n\
                          content-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    (port, file, told)
}

/// A service that speaks these protocols, answers each request, and tells what it got and what it thinks of the
/// signature.
pub(crate) async fn verifying(
    protocols: &[&str],
) -> (u16, tempfile::NamedTempFile, mpsc::Receiver<(Seen, Result<(), String>)>) {
    let (acceptor, file) = acceptor(protocols);
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
            let tell = tell.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let tell = tell.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let Ok(body) = body.collect().await else {
                        return Ok::<_, Infallible>(Response::default());
                    };
                    let trailers = body.trailers().cloned();
                    let seen = Seen { parts, body: body.to_bytes(), trailers };
                    let verdict = verify(&seen, &KeyCache::default());
                    tell.send((seen, verdict)).await.unwrap();
                    Ok(Response::new(Full::new(Bytes::from("meow"))))
                }
            });
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
            });
        }
    });
    (port, file, told)
}

/// TLS with a certificate for `localhost`, and the file in which that stands.
fn acceptor(protocols: &[&str]) -> (TlsAcceptor, tempfile::NamedTempFile) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(cert.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), file)
}

fn route(host: &str, port: u16) -> RouteConfig {
    let url = format!("https://{host}:{port}");
    RouteConfig::to(url.parse().unwrap()).with_scope("eu-west-1", "s3")
}

const PUT: &str = "PUT / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 4\r\n\r\nmeow";

#[tokio::test]
async fn a_service_is_trusted_by_an_authority_of_the_settings_and_by_its_name() {
    let (port, ca, mut told) = secure().await;
    let mut trusting = config(route("localhost", port));
    trusting.ca_file = Some(ca.path().to_owned());
    // What is signed may be another name; who answers is known by the one that is connected to.
    trusting.routes[0].sign_host = Some("bucket.s3.eu-west-1.amazonaws.com".parse().unwrap());
    trusting.routes[0].payload = PayloadMode::Unsigned;
    let proxy = Running::start(trusting).await;
    let answer = proxy.exchange(PUT).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let head = told.recv().await.unwrap();
    assert!(head.contains("x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"), "{head}");
    assert!(head.contains("host: bucket.s3.eu-west-1.amazonaws.com\r\n"), "{head}");

    let mut other_name = config(route("127.0.0.1", port));
    other_name.ca_file = Some(ca.path().to_owned());
    let proxy = Running::start(other_name).await;
    let answer = proxy.exchange(PUT).await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("certificate"), "{answer}");
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_what_the_service_says() {
    let (port, ca, mut told) = secure().await;
    let mut trusting = config(route("localhost", port));
    trusting.ca_file = Some(ca.path().to_owned());
    let proxy = Running::start(trusting).await;
    for expected in [false, true] {
        proxy.exchange(PUT).await;
        let head = told.recv().await.unwrap();
        let is_ahead = head.contains("x-amz-date: 2099") || head.contains("x-amz-date: 20981231");
        assert_eq!(is_ahead, expected, "{head}");
    }
}

#[tokio::test]
async fn the_clock_of_a_host_that_the_client_names_is_not_believed() {
    let (port, ca, mut told) = secure().await;
    let host = format!("localhost:{port}");
    let allowed = RouteConfig::to_allowed([host.parse().unwrap()]).with_scope("eu-west-1", "s3");
    let mut trusting = config(allowed);
    trusting.ca_file = Some(ca.path().to_owned());
    let proxy = Running::start(trusting).await;
    for _ in 0..2 {
        proxy.exchange(PUT.replace("host: h", &format!("host: {host}"))).await;
        let head = told.recv().await.unwrap();
        assert!(head.contains("x-amz-date: 20") && !head.contains("x-amz-date: 209"), "{head}");
    }
}

/// Bodies go on to this port as they come, over TLS.
fn unsigned(port: u16, ca: &tempfile::NamedTempFile) -> Config {
    let mut trusting = config(route("localhost", port));
    trusting.ca_file = Some(ca.path().to_owned());
    trusting.routes[0].payload = PayloadMode::Unsigned;
    trusting
}

#[tokio::test]
async fn an_unsigned_body_of_unknown_length_goes_on_with_a_get() {
    for protocol in ["http/1.1", "h2"] {
        let (port, ca, mut told) = verifying(&[protocol]).await;
        let proxy = Running::start(unsigned(port, &ca)).await;
        let request = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
                       \r\n4\r\nmeow\r\n0\r\n\r\n";
        let answer = proxy.exchange(request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{protocol}: {answer}");
        let (seen, verdict) = told.recv().await.unwrap();
        assert_eq!(verdict, Ok(()));
        assert_eq!(seen.body, "meow", "{protocol}");
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_what_passes_is_to_blame_whatever_the_service_speaks() {
    for protocol in ["http/1.1", "h2"] {
        let (port, ca, mut told) = verifying(&[protocol]).await;
        let proxy = Running::start(unsigned(port, &ca)).await;
        let bodies = [
            "transfer-encoding: chunked\r\n\r\n4\r\nmeow\r\n",
            "transfer-encoding: chunked\r\n\r\n4\r\nmeow\r\nno length\r\n",
            "content-length: 9\r\n\r\nmeow",
        ];
        for body in bodies {
            let request = format!("PUT / HTTP/1.1\r\nhost: h\r\n{body}");
            let answer = proxy.break_off(request).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{protocol}, {body}: {answer}");
            assert!(answer.contains("x-countersign-refusal: body_broken"), "{answer}");
        }
        let metrics = proxy.metrics().await;
        for line in [
            "countersign_proxy_refusals_total{reason=\"body_broken\"} 3\n",
            "countersign_proxy_requests_total{route=\"default\",status=\"4xx\"} 3\n",
        ] {
            assert!(metrics.contains(line), "{protocol}: {metrics}");
        }
        assert!(told.try_recv().is_err());
    }
}

#[tokio::test]
async fn http_2_is_spoken_to_services_that_offer_it() {
    let (port, ca, mut told) = verifying(&["h2", "http/1.1"]).await;
    let mut trusting = config(route("localhost", port));
    trusting.ca_file = Some(ca.path().to_owned());
    trusting.limits.memory = 2;
    let proxy = Running::start(trusting).await;
    for _ in 0..2 {
        let answer = proxy.exchange(PUT).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("meow"), "{answer}");
        let (seen, verdict) = told.recv().await.unwrap();
        assert_eq!(verdict, Ok(()));
        assert_eq!((seen.parts.version, &seen.body[..]), (Version::HTTP_2, &b"meow"[..]));
        assert_eq!(seen.parts.uri.authority().unwrap().as_str(), format!("localhost:{port}"));
    }
}

#[tokio::test]
async fn an_answer_has_as_many_headers_as_an_object_has_metadata() {
    for protocol in ["http/1.1", "h2"] {
        for (count, expected) in [(100, "200"), (1000, "200"), (2000, "502")] {
            let (acceptor, ca) = acceptor(&[protocol]);
            let listener = TcpListener::bind(loopback()).await.unwrap();
            let mut trusting = config(route("localhost", listener.local_addr().unwrap().port()));
            trusting.ca_file = Some(ca.path().to_owned());
            let proxy = Running::start(trusting).await;
            tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
                let answer = service_fn(move |_: Request<Incoming>| async move {
                    let mut response = Response::new(Full::new(Bytes::from("meow")));
                    for at in 0..count {
                        let name: HeaderName = format!("x-amz-meta-{at}").parse().unwrap();
                        response.headers_mut().insert(name, HeaderValue::from_static("1"));
                    }
                    Ok::<_, Infallible>(response)
                });
                auto::Builder::new(TokioExecutor::new()).serve_connection(stream, answer).await
            });
            let get = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
            let answer = proxy.exchange(get).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {expected}")),
                "{protocol}, {count}: {answer}"
            );
            let passed = answer.matches("x-amz-meta-").count();
            assert_eq!(passed, if expected == "200" { count } else { 0 }, "{protocol}");
        }
    }
}

#[tokio::test]
async fn unsigned_chunks_with_a_trailer_pass_as_they_are() {
    let (port, ca, mut told) = verifying(&[]).await;
    let mut trusting = config(route("localhost", port));
    trusting.ca_file = Some(ca.path().to_owned());
    let proxy = Running::start(trusting).await;
    let wire = "4\r\nmeow\r\n0\r\nx-amz-checksum-crc32:8OQk9g==\r\n\r\n";
    let checksum = {
        let mut checksum = countersign::checksums::by_name("x-amz-checksum-crc32").unwrap();
        checksum.update(b"meow");
        let mut text = Vec::new();
        checksum.write(&mut text);
        String::from_utf8(text).unwrap()
    };
    let wire = wire.replace("8OQk9g==", &checksum);
    let request = format!(
        "PUT /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-encoding: aws-chunked\r\n\
         x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nx-amz-decoded-content-length: 4\r\n\
         x-amz-trailer: x-amz-checksum-crc32\r\ncontent-length: {}\r\n\r\n{wire}",
        wire.len()
    );
    let answer = proxy.exchange(request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (seen, verdict) = told.recv().await.unwrap();
    assert_eq!(verdict, Ok(()));
    assert_eq!(seen.body, Bytes::from(wire));
}

#[tokio::test]
async fn answers_that_nobody_reads_leave_room_for_others_on_an_http_2_connection() {
    const UNREAD: usize = 12;
    const PIECE: usize = 16 << 10;
    let (acceptor, ca) = acceptor(&["h2"]);
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, mut told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
            let tell = tell.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let tell = tell.clone();
                async move {
                    let pieces = match request.uri().path() {
                        "/large" => 1 << 20,
                        _ => 1,
                    };
                    let pieces = stream::iter(0..pieces).map(move |_| {
                        tell.send(PIECE).unwrap();
                        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'a'; PIECE])))
                    });
                    Ok::<_, Infallible>(Response::new(StreamBody::new(pieces)))
                }
            });
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.max_send_buf_size(PIECE);
            tokio::spawn(builder.serve_connection(stream, service));
        }
    });
    let mut trusting = config(route("localhost", port));
    trusting.ca_file = Some(ca.path().to_owned());
    let proxy = Running::start(trusting).await;
    let stream = TokioIo::new(proxy.connect().await);
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(PIECE as u32);
    let (mut sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut get = |path: &str| {
        let request = Request::get(format!("http://h{path}")).body(Empty::<Bytes>::new()).unwrap();
        sender.send_request(request)
    };
    let mut unread = Vec::new();
    for _ in 0..UNREAD {
        unread.push(get("/large").await.unwrap());
    }
    let others = async {
        // More than a connection takes by default.
        let mut sent = 0;
        while sent < 10 << 20 {
            sent += told.recv().await.unwrap();
        }
        get("/small").await.unwrap().into_body().collect().await.unwrap().to_bytes()
    };
    let small = timeout(Duration::from_secs(30), others).await.expect("others are answered");
    assert_eq!(small.len(), PIECE);
    drop(unread);
}

#[tokio::test]
async fn a_service_without_forward_secrecy_or_of_an_older_tls_is_refused() {
    if !has_tool("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for (offered, expected) in [
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"][..], "HTTP/1.1 200"),
        (&["-tls1_3"], "HTTP/1.1 200"),
        // The session's key is sent to the service, whose own key opens it for ever.
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "HTTP/1.1 502"),
        (&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], "HTTP/1.1 502"),
    ] {
        let mut server = Command::new("openssl")
            .args(["s_server", "-www", "-accept", "0", "-key"])
            .arg(&key)
            .arg("-cert")
            .arg(&certificate)
            .args(offered)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ACCEPT") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "openssl does not offer {offered:?}");
        }
        let port = line.trim_end().rsplit(':').next().unwrap().parse().unwrap();
        let mut trusting = config(route("localhost", port));
        trusting.ca_file = Some(certificate.clone());
        let proxy = Running::start(trusting).await;
        let get = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        let answer = proxy.exchange(get).await;
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(answer.starts_with(expected), "{offered:?}: {answer}");
    }
}
