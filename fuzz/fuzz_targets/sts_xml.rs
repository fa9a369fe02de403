//! Arbitrary answers of STS: each ends in credentials or in an error that tells no secret.
#![no_main]

use std::{
    error::Error,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::{
    Credentials,
    providers::{
        AssumeRole, AssumeRoleWithWebIdentity, HttpLimits, Ports, ProviderError, SessionToken, Sts,
    },
};
use http::{Request, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (choice, body) = input.split_first().unwrap_or((&0, input));
    let status = [200, 400, 403, 429, 500, 503, 302][usize::from(choice >> 2) % 7];
    let body = Bytes::copy_from_slice(body);
    let answer = move |_: Request<Bytes>, _: HttpLimits| {
        Ok(Response::builder().status(status).body(body.clone()).expect("a status and a body"))
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let ports = Ports::empty().with_clock(now).with_http(answer);
    let sts = Sts::new(&ports).with_region("eu-west-1");
    let base = Credentials::new("AKID", "hush").with_session_token("whisper");
    let answered = match choice & 3 {
        0 => ready(sts.assume_role(&base, &AssumeRole::new(ROLE))),
        1 => ready(sts.session_token(&base, &SessionToken::new())),
        _ => {
            let request = AssumeRoleWithWebIdentity::new(ROLE, "whisper");
            ready(sts.assume_role_with_web_identity(&request))
        }
    };
    match answered {
        Ok(credentials) => {
            assert_eq!(status, 200);
            assert!(!credentials.access_key_id().is_empty());
            assert!(!credentials.secret_access_key().is_empty());
            assert!(credentials.session_token().is_some_and(|token| !token.is_empty()));
            assert!(credentials.expires_at().is_some());
        }
        Err(error) => {
            let told = told(&error);
            let is_signed = choice & 3 < 2;
            assert!(!told.contains("whisper") && !(is_signed && told.contains("hush")), "{told}");
            assert!(told.len() < 8192 && !told.chars().any(char::is_control), "{told:?}");
        }
    }
});

/// What a future that never waits comes to.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// An error with all that caused it.
fn told(error: &ProviderError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

const ROLE: &str = "arn:aws:iam::123456789012:role/fuzz";
