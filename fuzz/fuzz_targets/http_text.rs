//! The text of a request, as people write it into a file: it is read or refused, nothing of it is lost, and what is
//! read can be signed and reads back as itself.
#![no_main]

// What reads it is a part of the program, which is no library: its files stand here as they are, and of what lies
// around them no more than they ask for.
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../crates/cli/src/body.rs"]
mod body;
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../crates/cli/src/failure.rs"]
mod failure;
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../crates/cli/src/printed.rs"]
mod printed;
#[allow(dead_code, reason = "the program asks more of it")]
#[path = "../../crates/cli/src/raw_http.rs"]
mod raw_http;

/// What is read, in the program's shape.
mod request {
    use crate::body::Body;

    #[derive(Debug)]
    pub(crate) struct Request {
        pub(crate) method: String,
        pub(crate) url: Vec<u8>,
        pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
        pub(crate) body: Body,
    }
}

use std::time::{Duration, SystemTime};

use body::Body;
use countersign::{Credentials, Head, Headers, Payload, Scratch, Signer};
use libfuzzer_sys::fuzz_target;
use raw_http::RawRequest;
use request::Request;

fuzz_target!(|text: &[u8]| {
    let RawRequest { request, version } = match raw_http::parse(text) {
        Ok(raw) => raw,
        Err(failure) => {
            assert!(!failure.message.chars().any(char::is_control), "{failure:?}");
            return;
        }
    };
    assert!(version.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"HTTP/")));
    assert!(!request.url.is_empty() && !request.url.contains(&b'\n'));
    let body = bytes(&request.body);
    assert!(text.ends_with(body) || declares_length(&request), "{request:?}");
    for (name, value) in &request.headers {
        assert!(!name.contains(&b':') && !name.contains(&b'\n') && !value.contains(&b'\n'));
    }
    reads_back(&request, &version);

    let pairs: Vec<(&[u8], &[u8])> =
        request.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let Ok(head) = Head::parse(request.method.as_bytes(), &request.url, Headers::Pairs(&pairs))
    else {
        return;
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let credentials = Credentials::new("AKIDEXAMPLE", "hush-hush");
    let mut scratch = Scratch::new();
    let signer = Signer::new("us-east-1", "service");
    if let Err(error) = signer.sign_head(head, Payload::hash(body), &credentials, now, &mut scratch)
    {
        let said = error.to_string();
        let is_said = text.windows(4).any(|window| window == b"hush");
        assert!(is_said || !said.contains("hush"), "{said:?}");
        assert!(!said.chars().any(char::is_control), "{said:?}");
    }
});

/// Written in the one way that leaves nothing open, it is the same request.
fn reads_back(request: &Request, version: &[u8]) {
    // What people meant by an odd name or by a method that is none can be read once only.
    let is_token = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_alphanumeric);
    if !is_token(request.method.as_bytes())
        || !request.headers.iter().all(|(name, _)| is_token(name))
        || declares_length(request)
        // Folded lines of nothing but blanks leave one at an end.
        || request.headers.iter().any(|(_, value)| {
            value.contains(&b'\r') || value.starts_with(b" ") || value.ends_with(b" ")
        })
        || request.url.contains(&b'\r')
        || version.contains(&b'\r')
    {
        return;
    }
    let mut text = [request.method.as_bytes(), b" ", &request.url, b" ", version, b"\r\n"].concat();
    for (name, value) in &request.headers {
        text.extend([&name[..], b": ", value, b"\r\n"].concat());
    }
    text.extend([b"\r\n", bytes(&request.body)].concat());
    let again = raw_http::parse(&text).expect("it was read before");
    assert_eq!(again.request.url, request.url);
    assert_eq!(again.request.method, request.method);
    assert_eq!(again.request.headers, request.headers);
    assert_eq!(bytes(&again.request.body), bytes(&request.body));
    assert_eq!(again.version, version);
}

fn declares_length(request: &Request) -> bool {
    request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length"))
}

fn bytes(body: &Body) -> &[u8] {
    match body {
        Body::Bytes(bytes) => bytes,
        Body::None => b"",
        Body::File(_) | Body::Spooled(_) => panic!("a text holds its body"),
    }
}
