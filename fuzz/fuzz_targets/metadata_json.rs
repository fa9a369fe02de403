//! Arbitrary answers of metadata services, of agents of containers, of commands that print credentials, and of
//! the services that renew sessions, with arbitrary files of those: each comes to credentials, to nothing or to
//! an error, and no error shows what came.
#![no_main]

mod told;

use std::{
    collections::HashMap,
    error::Error,
    io,
    path::Path,
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::{
    Credentials,
    providers::{
        CommandOutput, ContainerProvider, Files, HttpError, HttpErrorKind, HttpLimits,
        InstanceProvider, LoginProvider, Ports, ProcessProvider, ProvideCredentials, SsoProvider,
        SsoSettings,
    },
};
use http::{Request, Response};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

use self::told::told;

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
    sessions(input, status);
});

/// A zero byte stands between the file of a session and what the services answer.
fn sessions(input: &[u8], status: u16) {
    let at = input.iter().position(|&byte| byte == 0);
    let (file, body) = at.map_or((input, input), |at| (&input[..at], &input[at + 1..]));
    let body = Bytes::copy_from_slice(body);
    // Who is told to say a secret that another service was sent says it.
    let is_said = body.windows(4).any(|said| said == b"hush") || body.contains(&b'\\');
    let secrets = if is_said { Vec::new() } else { secrets(file) };
    let service = move |_: Request<Bytes>, _: HttpLimits| {
        Ok(Response::builder().status(status).body(body.clone()).expect("a status"))
    };
    // A moment that the files of the corpus have in the middle of their lives.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let ports = Ports::empty()
        .with_env(HashMap::from([("HOME", "/home/cat")]))
        .with_files(Everywhere(file.to_vec(), Mutex::new(None)))
        .with_clock(now)
        .with_http(service);
    let settings = SsoSettings::new("eu-west-1", "https://cats.awsapps.com/start")
        .with_session("cats")
        .with_role("123456789012", "Audit");
    let login = LoginProvider::new(&ports, "cat").expect("a directory that is text");
    let sso = SsoProvider::new(&ports, settings);
    for provider in [&sso as &dyn ProvideCredentials, &login.with_region("eu-west-1")] {
        check(provider);
        // What was renewed is read again.
        check(provider);
        let shown = match ready(provider.provide()) {
            Ok(found) => format!("{provider:?}{found:?}"),
            Err(error) => format!("{provider:?}{error:?}{}", told(&error)),
        };
        assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}

/// What a file says that it is, wherever one looks, until it is replaced.
struct Everywhere(Vec<u8>, Mutex<Option<Vec<u8>>>);

impl Files for Everywhere {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        let replaced = self.1.lock().expect("nobody panics with it");
        Ok(replaced.as_ref().unwrap_or(&self.0).clone())
    }

    fn replace(&self, _: &Path, contents: &[u8]) -> io::Result<()> {
        let contents = contents.to_vec();
        assert!(matches!(serde_json::from_slice(&contents), Ok(Value::Object(_))));
        *self.1.lock().expect("nobody panics with it") = Some(contents);
        Ok(())
    }
}

/// The secrets in a file that can be taken for nothing else.
fn secrets(file: &[u8]) -> Vec<String> {
    let Ok(file) = serde_json::from_slice::<Value>(file) else { return Vec::new() };
    let of_token = ["secretAccessKey", "sessionToken"].map(|name| &file["accessToken"][name]);
    let others = ["accessToken", "clientSecret", "dpopKey", "refreshToken"].map(|name| &file[name]);
    let all = of_token.into_iter().chain(others).filter_map(Value::as_str);
    all.filter(|secret| secret.contains("hush")).map(str::to_owned).collect()
}

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
