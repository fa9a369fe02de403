//! `scratchstack-aws-signature`, a verifier. The key is at hand for it too.

use std::error::Error;

use chrono::{DateTime, Utc};
use http::Request;
use scratchstack_aws_signature::{
    GetSigningKeyRequest, GetSigningKeyResponse, KSecretKey, KSigningKey,
    NO_ADDITIONAL_SIGNED_HEADERS, SignatureOptions, principal::User, service_for_signing_key_fn,
    sigv4_validate_request,
};

use super::{ACCEPTED, REFUSED, datetime, ready};
use crate::{
    measure::Peer,
    support::{Call, Case, REGION, SECRET_ACCESS_KEY},
};

pub(crate) struct Verify {
    service: &'static str,
    options: SignatureOptions,
    key: KSigningKey,
    user: User,
}

impl Verify {
    pub(crate) fn new(case: &Case) -> Verify {
        let secret: KSecretKey = SECRET_ACCESS_KEY.parse().expect("a secret");
        let day = DateTime::<Utc>::UNIX_EPOCH.date_naive();
        Verify {
            service: case.service,
            options: match case.service {
                "s3" => SignatureOptions::S3,
                _ => SignatureOptions::default(),
            },
            key: secret.to_ksigning(day, REGION, case.service),
            user: User::new("aws", "123456789012", "/", "somebody").expect("a user"),
        }
    }

    fn accepts(&self, request: Request<Vec<u8>>, at: DateTime<Utc>) -> bool {
        let (key, user) = (self.key, self.user.clone());
        // Passed at once, it would be taken for a closure that can be called but once.
        let find = move |_: GetSigningKeyRequest| {
            let user = user.clone();
            async move {
                let mut found = GetSigningKeyResponse::builder();
                let found = found.principal(user).signing_key(key).build()?;
                Ok::<_, Box<dyn Error + Send + Sync>>(found)
            }
        };
        let mut keys = service_for_signing_key_fn(find);
        let verified = sigv4_validate_request(
            request,
            REGION,
            self.service,
            &mut keys,
            at,
            &NO_ADDITIONAL_SIGNED_HEADERS,
            self.options,
        );
        ready(verified).is_ok()
    }
}

impl Peer for Verify {
    const NAME: &'static str = "scratchstack";
    type Input<'c> = (Option<Request<Vec<u8>>>, DateTime<Utc>);

    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c> {
        (Some(Request::from_parts(call.received_parts(), call.body.clone())), datetime(call.at))
    }

    fn sign(&mut self, (request, at): &mut Self::Input<'_>) {
        let request = request.take().expect("each is verified once");
        assert!(self.accepts(request, *at), "the request is rightly signed");
    }

    fn outcome(&mut self, (request, at): &mut Self::Input<'_>) -> Option<String> {
        let request = request.take().expect("each is verified once");
        Some(if self.accepts(request, *at) { ACCEPTED } else { REFUSED }.to_owned())
    }
}
