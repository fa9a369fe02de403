//! `rusoto_signature`. It reads the clock, so it signs all requests for now.

use std::time::Duration;

use http::request::Parts;
use rusoto_credential::AwsCredentials;
use rusoto_signature::{Region, SignedRequest};

use super::assert_accepted;
use crate::{
    measure::Peer,
    support::{ACCESS_KEY_ID, Call, Case, SECRET_ACCESS_KEY},
};

pub(crate) struct Request {
    credentials: AwsCredentials,
    region: Region,
    service: &'static str,
    expires_in: Option<Duration>,
}

/// A request, and its URL if that is what is signed.
pub(crate) struct Signing {
    request: SignedRequest,
    url: Option<String>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(case: &Case) -> Request {
        let token = case.session_token.map(|token| token());
        Request {
            credentials: AwsCredentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, token, None),
            region: Region::EuCentral1,
            service: case.service,
            expires_in: case.expires_in,
        }
    }
}

impl Peer for Request {
    const NAME: &'static str = "rusoto_signature";
    type Input<'c> = Signing;

    fn input<'c>(&self, call: &'c Call) -> Signing {
        let mut request = SignedRequest::new(call.method, self.service, &self.region, &call.path);
        request.set_hostname(Some(call.authority.to_owned()));
        for (name, value) in &call.headers {
            request.add_header(name, value);
        }
        for pair in call.query.iter().flat_map(|query| query.split('&')) {
            let (name, value) = pair.split_once('=').expect("a name and a value");
            request.add_param(name.to_owned(), value.replace("%20", " "));
        }
        if !call.body.is_empty() {
            request.set_payload(Some(call.body.clone()));
        }
        Signing { request, url: None, body: call.body.clone() }
    }

    fn sign(&mut self, Signing { request, url, .. }: &mut Signing) {
        match &self.expires_in {
            Some(time) => {
                *url = Some(request.generate_presigned_url(&self.credentials, time, false));
            }
            None => request.sign(&self.credentials),
        }
    }

    /// Verified here, at the time that it read, and compared with none of the others.
    fn outcome(&mut self, signing: &mut Signing) -> Option<String> {
        self.sign(signing);
        assert_accepted(Request::NAME, self.service, &signing.parts(), &signing.body);
        None
    }
}

impl Signing {
    fn parts(&self) -> Parts {
        let Signing { request, url, .. } = self;
        let mut sent = http::Request::builder().method(request.method());
        if let Some(url) = url {
            return sent.uri(url).body(()).expect("a request").into_parts().0;
        }
        for (name, values) in request.headers() {
            for value in values {
                sent = sent.header(name, &value[..]);
            }
        }
        let query = match request.canonical_query_string() {
            "" => String::new(),
            query => format!("?{query}"),
        };
        sent = sent.uri(request.canonical_path() + &query);
        sent.body(()).expect("a request").into_parts().0
    }
}
