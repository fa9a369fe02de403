//! The compressions alone, which no signer can do without.

use std::hint::black_box;

use crate::{
    measure::Peer,
    support::{Call, limit::Limit},
};

impl Peer for Limit {
    const NAME: &'static str = "limit";
    type Input<'c> = ();

    fn input(&self, _: &Call) {}

    fn sign(&mut self, (): &mut ()) {
        black_box(self.run()[0]);
    }

    fn outcome(&mut self, (): &mut ()) -> Option<String> {
        None
    }
}
