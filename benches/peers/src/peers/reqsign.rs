//! `reqsign-aws-v4`. It reads the clock, so it signs all requests for now.

use countersign::{Credentials, Payload, Signer, Timestamp};
use http::{HeaderValue, request::Parts};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, SignRequest};

use super::ready;
use crate::{
    measure::Peer,
    support::{ACCESS_KEY_ID, Call, Case, REGION, SECRET_ACCESS_KEY, signature_in},
};

pub(crate) struct Request {
    signer: RequestSigner,
    context: Context,
    credential: Credential,
    service: &'static str,
}

impl Request {
    pub(crate) fn new(case: &Case) -> Request {
        Request {
            signer: RequestSigner::new(case.service, REGION),
            context: Context::new(),
            credential: Credential {
                access_key_id: ACCESS_KEY_ID.to_owned(),
                secret_access_key: SECRET_ACCESS_KEY.to_owned(),
                session_token: None,
                expires_in: None,
            },
            service: case.service,
        }
    }
}

impl Peer for Request {
    const NAME: &'static str = "reqsign-aws-v4";
    type Input<'c> = Parts;

    /// The hash of the body stands there already: it would sign `UNSIGNED-PAYLOAD` otherwise.
    fn input<'c>(&self, call: &'c Call) -> Parts {
        let (mut parts, _) = call.request().into_parts();
        parts.headers.insert("x-amz-content-sha256", HeaderValue::from_static(super::EMPTY));
        parts
    }

    fn sign(&mut self, parts: &mut Parts) {
        let signed = self.signer.sign_request(&self.context, parts, Some(&self.credential), None);
        ready(signed).expect("it can be signed");
    }

    /// Compared here, at the time that it read, and with none of the others.
    fn outcome(&mut self, parts: &mut Parts) -> Option<String> {
        let mut ours = parts.clone();
        self.sign(parts);
        let text = |parts: &Parts, name| {
            let value: &HeaderValue = &parts.headers[name];
            value.to_str().expect("text").to_owned()
        };
        let at: Timestamp = text(parts, "x-amz-date").parse().expect("a time");
        let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY);
        Signer::new(REGION, self.service)
            .sign(&mut ours, Payload::EMPTY, &credentials, at.into())
            .expect("the request can be signed");
        let signature = |parts| signature_in(text(parts, "authorization").as_bytes());
        assert_eq!(signature(parts), signature(&ours), "reqsign-aws-v4 signs otherwise");
        None
    }
}
