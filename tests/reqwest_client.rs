//! reqwest as the HTTP client of providers, against servers on loopback.

use std::{
    error::Error,
    io::{Read, Write},
    net::{IpAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use bytes::Bytes;
use countersign::{
    providers::{HttpClient, HttpErrorKind, HttpLimits},
    reqwest::ReqwestClient,
};
use http::Request;

#[test]
fn an_answer_comes_back_whole_whatever_its_status() {
    let server = Server::answering("HTTP/1.1 403 No\r\nx-a: b\r\ncontent-length: 4\r\n\r\nmeow");
    let answer = get(&server.url("/a?b=c"), HttpLimits::new(SECOND)).unwrap();
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (403, &b"meow"[..]));
    assert_eq!(answer.headers()["x-a"], "b");
    assert!(server.asked().starts_with("GET /a?b=c HTTP/1.1\r\n"));
}

#[test]
fn a_redirect_is_an_answer_and_not_followed() {
    let server = Server::answering(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    );
    assert_eq!(get(&server.url("/"), HttpLimits::new(SECOND)).unwrap().status(), 302);
}

#[test]
fn an_answer_longer_than_its_limit_is_refused_said_beforehand_or_not() {
    for length in ["content-length: 5", "connection: close"] {
        let server = Server::answering(&format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\n12345"));
        let mut limits = HttpLimits::new(SECOND);
        limits.max_body = 4;
        let error = get(&server.url("/"), limits).unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::TooLarge, "{length}");
        limits.max_body = 5;
        assert!(get(&server.url("/"), limits).is_ok(), "{length}");
    }
}

#[test]
fn nobody_there_is_told_from_nobody_answering() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = get(&format!("http://{closed}/?token=hush"), HttpLimits::new(SECOND)).unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Connect);
    let mut source: Option<&dyn Error> = Some(&error);
    while let Some(error) = source {
        assert!(!error.to_string().contains("hush"), "{error}");
        source = error.source();
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let error = get(&url, HttpLimits::new(Duration::from_millis(50))).unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::TimedOut);
}

#[test]
fn the_address_that_was_checked_is_the_one_asked_and_no_proxy_is() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let url = server.url("/").replace("127.0.0.1", "metadata.invalid");
    let limits = HttpLimits::new(SECOND).with_address(IpAddr::from([127, 0, 0, 1]));
    assert!(get_through_a_dead_proxy(&url, limits).is_ok());
    assert!(server.asked().contains("host: metadata.invalid:"));
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(get_through_a_dead_proxy(&server.url("/"), HttpLimits::new(SECOND)).is_err());
    assert!(get_through_a_dead_proxy(&server.url("/"), HttpLimits::new(SECOND).direct()).is_ok());
}

fn get(
    url: &str,
    limits: HttpLimits,
) -> Result<http::Response<Bytes>, countersign::providers::HttpError> {
    ask(&ReqwestClient::new(builder), url, limits)
}

fn get_through_a_dead_proxy(
    url: &str,
    limits: HttpLimits,
) -> Result<http::Response<Bytes>, countersign::providers::HttpError> {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = format!("http://{closed}");
    let begin = move || builder().proxy(reqwest::Proxy::all(&proxy).expect("a URL"));
    ask(&ReqwestClient::new(begin), url, limits)
}

fn ask(
    client: &ReqwestClient,
    url: &str,
    limits: HttpLimits,
) -> Result<http::Response<Bytes>, countersign::providers::HttpError> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.send(request, limits))
}

/// A client that is about to be built. Together with the program reqwest has rustls, and no cryptography
/// for it unless it is told of some.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    // The first test to say so is heard.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// A server that answers every request with the same bytes.
struct Server {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<String>>,
}

impl Server {
    fn answering(answer: &str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(String::new()));
        let (answer, noted) = (answer.to_owned(), asked.clone());
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut head = [0; 4096];
                let len = stream.read(&mut head).unwrap_or_default();
                noted.lock().unwrap().push_str(&String::from_utf8_lossy(&head[..len]));
                // Whoever had enough has gone.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Server { address, asked }
    }

    fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().clone()
    }
}

const SECOND: Duration = Duration::from_secs(5);
