//! `countersign`, in both its forms.

use std::{hint::black_box, time::SystemTime};

use countersign::Head;

use super::{ACCEPTED, REFUSED};
use crate::{
    measure::Peer,
    support::{Call, Case, Known, Ours, Server, signature_in},
};

/// A borrowed head and reused buffers.
pub(crate) struct Buffers(Ours);

/// The same where 1000 requests are signed in each second.
pub(crate) struct ManyASecond(Ours);

/// A request of the `http` crate, edited in place.
pub(crate) struct Request(Ours);

/// A server that verifies a borrowed head, with the key at hand.
pub(crate) struct Verify(Server);

/// The same with the head as the `http` crate has it.
pub(crate) struct VerifyParts(Server);

impl Buffers {
    pub(crate) fn new(case: &Case) -> Buffers {
        Buffers(Ours::new(case))
    }
}

impl ManyASecond {
    pub(crate) fn new(case: &Case) -> ManyASecond {
        ManyASecond(Ours::new(case))
    }
}

impl Request {
    pub(crate) fn new(case: &Case) -> Request {
        Request(Ours::new(case))
    }
}

impl Verify {
    pub(crate) fn new(case: &Case) -> Verify {
        Verify(Server::new(case))
    }
}

impl VerifyParts {
    pub(crate) fn new(case: &Case) -> VerifyParts {
        VerifyParts(Server::new(case))
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

    fn outcome(&mut self, (call, pairs): &mut Self::Input<'_>) -> Option<String> {
        Some(signature_in(self.0.buffers(call, pairs)))
    }
}

impl Peer for ManyASecond {
    const NAME: &'static str = "ours-1000-a-second";
    type Input<'c> = (&'c Call, Vec<(&'c [u8], &'c [u8])>, SystemTime);

    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c> {
        let start = SystemTime::UNIX_EPOCH;
        let seconds = call.at.duration_since(start).expect("a time after 1970");
        (call, call.pairs(), start + seconds / 1000)
    }

    fn sign(&mut self, (call, pairs, at): &mut Self::Input<'_>) {
        black_box(self.0.buffers_at(call, pairs, *at));
    }

    fn outcome(&mut self, _: &mut Self::Input<'_>) -> Option<String> {
        None
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

    fn outcome(&mut self, input: &mut Self::Input<'_>) -> Option<String> {
        self.sign(input);
        Some(signature_of(&input.0))
    }
}

impl Peer for Verify {
    const NAME: &'static str = "ours-verify";
    type Input<'c> = (&'c Call, Vec<(&'c [u8], &'c [u8])>);

    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c> {
        (call, call.pairs())
    }

    fn sign(&mut self, (call, pairs): &mut Self::Input<'_>) {
        black_box(self.0.verify(call.received(pairs), &call.body, call.at));
    }

    fn outcome(&mut self, (call, pairs): &mut Self::Input<'_>) -> Option<String> {
        Some(word(&mut self.0, call.received(pairs), call))
    }
}

impl Peer for VerifyParts {
    const NAME: &'static str = "ours-verify-http";
    type Input<'c> = (&'c Call, http::request::Parts);

    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c> {
        (call, call.received_parts())
    }

    fn sign(&mut self, (call, parts): &mut Self::Input<'_>) {
        black_box(self.0.verify((&*parts).into(), &call.body, call.at));
    }

    fn outcome(&mut self, (call, parts): &mut Self::Input<'_>) -> Option<String> {
        Some(word(&mut self.0, (&*parts).into(), call))
    }
}

fn word(server: &mut Server, head: Head<'_>, call: &Call) -> String {
    let verified = server.try_verify(head, &call.body, call.at, Known::Well);
    if verified.is_ok() { ACCEPTED } else { REFUSED }.to_owned()
}

/// The signature that a request carries in its header or else in its query.
pub(crate) fn signature_of<B>(request: &http::Request<B>) -> String {
    match request.headers().get("authorization") {
        Some(value) => signature_in(value.as_bytes()),
        None => signature_in(request.uri().to_string().as_bytes()),
    }
}
