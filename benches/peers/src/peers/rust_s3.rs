//! `rust-s3`, by the public functions from which it makes the signature of its own requests.

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use s3::{Region, signing};
use sha2::Sha256;
use time::{OffsetDateTime, macros::format_description};
use url::Url;

use crate::{
    measure::Peer,
    support::{ACCESS_KEY_ID, Call, SECRET_ACCESS_KEY, signature_in},
};

pub(crate) struct Request;

/// A request, and when it is signed.
pub(crate) struct Signing<'c> {
    call: &'c Call,
    url: Url,
    headers: HeaderMap,
    at: OffsetDateTime,
}

impl Peer for Request {
    const NAME: &'static str = "rust-s3";
    type Input<'c> = Signing<'c>;

    fn input<'c>(&self, call: &'c Call) -> Signing<'c> {
        let (parts, _) = call.request().into_parts();
        let url = parts.uri.to_string().parse().expect("a URL");
        Signing { call, url, headers: parts.headers, at: call.at.into() }
    }

    fn sign(&mut self, Signing { call, url, headers, at }: &mut Signing<'_>) {
        let stamp = format_description!("[year][month][day]T[hour][minute][second]Z");
        let stamp = at.format(stamp).expect("a time");
        headers.insert("host", call.authority.parse().expect("a host"));
        headers.insert("x-amz-content-sha256", super::EMPTY.parse().expect("text"));
        headers.insert("x-amz-date", stamp.parse().expect("text"));
        let region = &Region::EuCentral1;
        let request = signing::canonical_request(call.method, url, headers, super::EMPTY);
        let text = signing::string_to_sign(at, region, &request.expect("text"));
        let key = signing::signing_key(at, SECRET_ACCESS_KEY, region, "s3");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.expect("a key")).expect("of any length");
        mac.update(text.expect("text").as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let names = signing::signed_header_string(headers);
        let value = signing::authorization_header(ACCESS_KEY_ID, at, region, &names, &signature);
        let value = value.expect("text").parse().expect("a header value");
        headers.insert("authorization", value);
    }

    fn outcome(&mut self, signing: &mut Signing<'_>) -> Option<String> {
        self.sign(signing);
        Some(signature_in(signing.headers["authorization"].as_bytes()))
    }
}
