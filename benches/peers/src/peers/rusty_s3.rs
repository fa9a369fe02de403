//! `rusty-s3`, which presigns.

use std::{hint::black_box, time::Duration};

use jiff::Timestamp;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle, actions::GetObject};

use crate::{
    measure::Peer,
    support::{ACCESS_KEY_ID, Call, Case, REGION, SECRET_ACCESS_KEY, signature_in},
};

pub(crate) struct Presign {
    bucket: Bucket,
    credentials: Credentials,
    expires_in: Duration,
}

impl Presign {
    pub(crate) fn new(case: &Case) -> Presign {
        let endpoint = "https://s3.eu-central-1.amazonaws.com".parse().expect("a URL");
        let bucket = Bucket::new(endpoint, UrlStyle::VirtualHost, "examplebucket", REGION);
        Presign {
            bucket: bucket.expect("a bucket"),
            credentials: Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY),
            expires_in: case.expires_in.expect("a request that is presigned"),
        }
    }

    fn url(&self, call: &Call, at: &Timestamp) -> String {
        let object = call.path.trim_start_matches('/');
        let get = GetObject::new(&self.bucket, Some(&self.credentials), object);
        get.sign_with_time(self.expires_in, at).into()
    }
}

impl Peer for Presign {
    const NAME: &'static str = "rusty-s3";
    type Input<'c> = (&'c Call, Timestamp);

    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c> {
        let at = Timestamp::from_second(super::datetime(call.at).timestamp());
        (call, at.expect("a time that it knows"))
    }

    fn sign(&mut self, (call, at): &mut Self::Input<'_>) {
        black_box(self.url(call, at));
    }

    fn outcome(&mut self, (call, at): &mut Self::Input<'_>) -> Option<String> {
        Some(signature_in(self.url(call, at).as_bytes()))
    }
}
