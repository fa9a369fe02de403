//! TLS to the service.

use std::{io::Write, sync::Arc};

use countersign_proxy::{PayloadMode, RouteConfig};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{io::AsyncWriteExt, net::TcpListener, sync::mpsc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::support::{Running, config, loopback};

/// A service with its own certificate for `localhost`, which answers one request after the other and
/// tells what it read.
async fn secure() -> (u16, tempfile::NamedTempFile, mpsc::Receiver<String>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(cert.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
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
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    (port, file, told)
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
