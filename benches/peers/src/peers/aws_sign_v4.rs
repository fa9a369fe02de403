//! `aws-sign-v4`. It signs the headers that it is given, so the caller writes those of the signature.

use chrono::{DateTime, Utc};
use http::{HeaderValue, header};

use super::{datetime, ours::signature_of};
use crate::{
    measure::Peer,
    support::{ACCESS_KEY_ID, Call, Case, REGION, SECRET_ACCESS_KEY},
};

pub(crate) struct Request {
    service: &'static str,
    token: Option<String>,
}

impl Request {
    pub(crate) fn new(case: &Case) -> Request {
        Request { service: case.service, token: case.session_token.map(|token| token()) }
    }
}

impl Peer for Request {
    const NAME: &'static str = "aws-sign-v4";
    type Input<'c> = (http::Request<Vec<u8>>, DateTime<Utc>);

    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c> {
        (call.request(), datetime(call.at))
    }

    fn sign(&mut self, (request, at): &mut Self::Input<'_>) {
        let url = request.uri().to_string();
        let text = |text: &str| HeaderValue::from_str(text).expect("a header value");
        let host = text(request.uri().host().expect("an absolute URL"));
        let headers = request.headers_mut();
        headers.insert(header::HOST, host);
        headers.insert("x-amz-date", text(&at.format("%Y%m%dT%H%M%SZ").to_string()));
        if self.service == "s3" {
            headers.insert("x-amz-content-sha256", HeaderValue::from_static(super::EMPTY));
        }
        if let Some(token) = &self.token {
            headers.insert("x-amz-security-token", text(token));
        }
        let authorization = aws_sign_v4::AwsSign::new(
            request.method().as_str(),
            &url,
            at,
            request.headers(),
            REGION,
            ACCESS_KEY_ID,
            SECRET_ACCESS_KEY,
            self.service,
            request.body(),
        )
        .sign();
        request.headers_mut().insert(header::AUTHORIZATION, text(&authorization));
    }

    fn outcome(&mut self, input: &mut Self::Input<'_>) -> Option<String> {
        self.sign(input);
        Some(signature_of(&input.0))
    }
}
