//! `object_store`, by what it signs its own requests with. It reads the clock, so it signs all requests for now.

use object_store::{
    aws::{AwsAuthorizer, AwsCredential},
    client::{HttpRequest, HttpRequestBody},
};

use super::assert_accepted;
use crate::{
    measure::Peer,
    support::{ACCESS_KEY_ID, Call, Case, REGION, SECRET_ACCESS_KEY},
};

pub(crate) struct Request {
    credential: AwsCredential,
    service: &'static str,
}

impl Request {
    pub(crate) fn new(case: &Case) -> Request {
        Request {
            credential: AwsCredential {
                key_id: ACCESS_KEY_ID.to_owned(),
                secret_key: SECRET_ACCESS_KEY.to_owned(),
                token: case.session_token.map(|token| token()),
            },
            service: case.service,
        }
    }
}

impl Peer for Request {
    const NAME: &'static str = "object_store";
    type Input<'c> = (HttpRequest, &'c [u8]);

    fn input<'c>(&self, call: &'c Call) -> (HttpRequest, &'c [u8]) {
        (call.request().map(HttpRequestBody::from), &call.body)
    }

    fn sign(&mut self, (request, _): &mut (HttpRequest, &[u8])) {
        AwsAuthorizer::new(&self.credential, self.service, REGION)
            .try_authorize(request, None)
            .expect("it can be signed");
    }

    /// Verified here, at the time that it read, and compared with none of the others.
    fn outcome(&mut self, input: &mut (HttpRequest, &[u8])) -> Option<String> {
        self.sign(input);
        let (request, body) = input;
        let (parts, _) = request.clone().into_parts();
        assert_accepted(Request::NAME, self.service, &parts, body);
        None
    }
}
