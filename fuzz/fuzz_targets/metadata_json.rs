//! Arbitrary answers of metadata services, of agents of containers, and of commands that print credentials:
//! each comes to credentials, to nothing or to an error, and no error shows what came.
#![no_main]

use std::{
    collections::HashMap,
    error::Error,
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use countersign::{
    Credentials,
    providers::{
        CommandOutput, ContainerProvider, HttpError, HttpErrorKind, HttpLimits, InstanceProvider,
        Ports, ProcessProvider, ProvideCredentials,
    },
};
use http::{Request, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (settings, input) = input.split_first().unwrap_or((&0, input));
    let body = input.to_vec();
    let _ = Credentials::from_process_json(input);
    let ports = Ports::empty().with_commands(move |_: &str| Ok(CommandOutput::success(&body)));
    check(&ProcessProvider::new(&ports, "print").with_account_id("123456789012"));

    let path = HashMap::from([("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/")]);
    let statuses = [200, 200, 200, 403, 500, 302];
    let status = statuses[usize::from(settings & 7) % statuses.len()];
    let body = Bytes::copy_from_slice(input);
    let agent = move |_: Request<Bytes>, _: HttpLimits| {
        Ok(Response::builder().status(status).body(body.clone()).expect("a status"))
    };
    check(&ContainerProvider::new(&Ports::empty().with_env(path).with_http(agent)));

    // Lines answer the metadata service's requests in turn; the first byte of each is its status.
    let lines: Vec<Vec<u8>> = input.splitn(8, |&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let lines = Mutex::new(lines.into_iter());
    let is_well = settings & 8 != 0;
    let service = move |request: Request<Bytes>, _: HttpLimits| {
        if is_well && request.method() == http::Method::PUT {
            return Ok(token(b"token".to_vec(), "21600"));
        }
        let Some(line) = lines.lock().expect("nobody panics with it").next() else {
            return Err(HttpError::new(HttpErrorKind::TimedOut, "no more lines"));
        };
        let Some((first, rest)) = line.split_first() else {
            return Ok(token(line, "60"));
        };
        let statuses = [200, 401, 403, 404, 429, 503];
        let mut response = token(rest.to_vec(), "60");
        *response.status_mut() = match first {
            b'0'..=b'5' => statuses[usize::from(first - b'0')],
            _ => 200,
        }
        .try_into()
        .expect("a status");
        Ok(response)
    };
    let provider = InstanceProvider::new(&Ports::empty().with_http(service));
    for _ in 0..3 {
        check(&provider);
        if let Ok(Some(region)) = ready(provider.region()) {
            assert!(region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        }
    }
});

fn token(body: Vec<u8>, life: &str) -> Response<Bytes> {
    let response = Response::builder().header("x-aws-ec2-metadata-token-ttl-seconds", life);
    response.body(body.into()).expect("a header")
}

fn check(provider: &dyn ProvideCredentials) {
    match ready(provider.provide()) {
        Ok(Some(found)) => {
            assert!(!found.access_key_id().trim().is_empty());
            assert!(!found.secret_access_key().trim().is_empty());
        }
        Ok(None) => assert!(!provider.absence().is_empty()),
        Err(error) => {
            let mut next: Option<&dyn Error> = Some(&error);
            while let Some(error) = next {
                let text = error.to_string();
                // At most a code, a message and a role's name, each shortened before it is escaped.
                assert!(text.len() < 10_000, "{} bytes", text.len());
                assert!(!text.chars().any(char::is_control), "{text:?}");
                next = error.source();
            }
        }
    }
}

/// What a future comes to whose ports never wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}
