//! `aws-sigv4`, the signer of the AWS SDK for Rust.

use std::{hint::black_box, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
        SigningInstructions, SigningParams, SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;

use super::ours::signature_of;
use crate::{
    measure::Peer,
    support::{ACCESS_KEY_ID, Call, Case, REGION, SECRET_ACCESS_KEY},
};

/// All of what a client does with a request of the `http` crate: borrow it, sign, apply.
pub(crate) struct Request(Setup);

/// `sign` on its own. What goes into it is made beforehand, and what comes out is not applied.
pub(crate) struct SignAlone(Setup);

/// What stays the same from call to call.
struct Setup {
    identity: &'static Identity,
    service: &'static str,
    settings: SigningSettings,
}

impl Request {
    pub(crate) fn new(case: &Case) -> Request {
        Request(Setup::new(case))
    }
}

impl SignAlone {
    pub(crate) fn new(case: &Case) -> SignAlone {
        SignAlone(Setup::new(case))
    }
}

impl Peer for Request {
    const NAME: &'static str = "aws-sigv4-http";
    type Input<'c> = (http::Request<Vec<u8>>, SystemTime);

    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c> {
        (call.request(), call.at)
    }

    fn sign(&mut self, (request, at): &mut Self::Input<'_>) {
        let params = self.0.params(*at);
        let signable = self.0.signable(request);
        let (instructions, _) = sign(signable, &params).expect("it can be signed").into_parts();
        instructions.apply_to_request_http1x(request);
    }

    fn outcome(&mut self, input: &mut Self::Input<'_>) -> Option<String> {
        self.sign(input);
        Some(signature_of(&input.0))
    }
}

/// What [`SignAlone`] works on, and what comes out of it.
pub(crate) struct Prepared<'c> {
    signable: Option<SignableRequest<'c>>,
    params: SigningParams<'static>,
    signed: Option<(SigningInstructions, String)>,
}

impl Peer for SignAlone {
    const NAME: &'static str = "aws-sigv4-sign-alone";
    type Input<'c> = Prepared<'c>;

    fn input<'c>(&self, call: &'c Call) -> Prepared<'c> {
        let headers = call.headers.iter().map(|(name, value)| (*name, &**value));
        let body = self.0.body(&call.body);
        let signable = SignableRequest::new(call.method, call.url(), headers, body);
        Prepared {
            signable: Some(signable.expect("it can be signed")),
            params: self.0.params(call.at),
            signed: None,
        }
    }

    fn sign(&mut self, input: &mut Prepared<'_>) {
        let signable = input.signable.take().expect("each input is signed once");
        let signed = sign(signable, &input.params).expect("it can be signed").into_parts();
        black_box(input.signed.insert(signed));
    }

    fn outcome(&mut self, input: &mut Prepared<'_>) -> Option<String> {
        self.sign(input);
        input.signed.take().map(|(_, signature)| signature)
    }
}

impl Setup {
    fn new(case: &Case) -> Setup {
        let token = case.session_token.map(|token| token());
        let credentials =
            Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, token, None, "benchmark");
        let mut settings = SigningSettings::default();
        if case.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        if let Some(expires_in) = case.expires_in {
            settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(expires_in);
        }
        Setup {
            // Leaked, so that what borrows it needs no lifetime of its own.
            identity: Box::leak(Box::new(credentials.into())),
            service: case.service,
            settings,
        }
    }

    /// The parameters hold the time, so each call needs its own.
    fn params(&self, at: SystemTime) -> SigningParams<'static> {
        v4::SigningParams::builder()
            .identity(self.identity)
            .region(REGION)
            .name(self.service)
            .time(at)
            .settings(self.settings.clone())
            .build()
            .expect("all is there")
            .into()
    }

    fn signable<'r>(&self, request: &'r http::Request<Vec<u8>>) -> SignableRequest<'r> {
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("a value of text")));
        SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            self.body(request.body()),
        )
        .expect("it can be signed")
    }

    fn body<'r>(&self, body: &'r [u8]) -> SignableBody<'r> {
        match self.settings.signature_location {
            SignatureLocation::QueryParams => SignableBody::UnsignedPayload,
            _ => SignableBody::Bytes(body),
        }
    }
}
