//! `countersign`, in both its forms.

use std::{hint::black_box, time::SystemTime};

use crate::{
    measure::Peer,
    support::{Call, Case, Ours, signature_in},
};

/// A borrowed head and reused buffers.
pub(crate) struct Buffers(Ours);

/// A request of the `http` crate, edited in place.
pub(crate) struct Request(Ours);

impl Buffers {
    pub(crate) fn new(case: &Case) -> Buffers {
        Buffers(Ours::new(case))
    }
}

impl Request {
    pub(crate) fn new(case: &Case) -> Request {
        Request(Ours::new(case))
    }
}

impl Peer for Buffers {
    const NAME: &'static str = "ours-buffers";
    type Input<'c> = (&'c Call, Vec<(&'c [u8], &'c [u8])>);

    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c> {
        (call, call.pairs())
    }

    fn sign(&mut self, (call, pairs): &mut Self::Input<'_>) {
        black_box(self.0.buffers(call, pairs));
    }

    fn signature(&mut self, (call, pairs): &mut Self::Input<'_>) -> Option<String> {
        Some(signature_in(self.0.buffers(call, pairs)))
    }
}

impl Peer for Request {
    const NAME: &'static str = "ours-http";
    type Input<'c> = (http::Request<Vec<u8>>, SystemTime);

    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c> {
        (call.request(), call.at)
    }

    fn sign(&mut self, (request, at): &mut Self::Input<'_>) {
        self.0.request(request, *at);
    }

    fn signature(&mut self, input: &mut Self::Input<'_>) -> Option<String> {
        self.sign(input);
        Some(signature_of(&input.0))
    }
}

/// The signature that a request carries in its header or else in its query.
pub(crate) fn signature_of<B>(request: &http::Request<B>) -> String {
    match request.headers().get("authorization") {
        Some(value) => signature_in(value.as_bytes()),
        None => signature_in(request.uri().to_string().as_bytes()),
    }
}
