//! How a signer is measured.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use countersign_allocations::counting::{Count, count};

use crate::{support::Call, table::Table};

/// A way of signing or of verifying, to be measured.
pub(crate) trait Peer {
    /// The name of its row.
    const NAME: &'static str;

    /// What one call works on. Made beforehand and dropped afterwards, neither of which is measured.
    type Input<'c>;

    /// What the call is to be signed with.
    fn input<'c>(&self, call: &'c Call) -> Self::Input<'c>;

    /// Signs or verifies: what is measured.
    fn sign(&mut self, input: &mut Self::Input<'_>);

    /// What [`Peer::sign`] comes to, for the rows to be compared: the signature in hexadecimal, or a
    /// verifier's word. `None` if there is nothing to compare.
    fn outcome(&mut self, input: &mut Self::Input<'_>) -> Option<String>;
}

/// A [`Peer`] of any type.
pub(crate) trait Row {
    fn name(&self) -> &'static str;
    fn time(&mut self, calls: &[Call]) -> Duration;
    fn count(&mut self, calls: &[Call]) -> Count;
    fn outcome(&mut self, call: &Call) -> Option<String>;
}

/// What was measured of one row, for one call.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) min_ns: f64,
    pub(crate) median_ns: f64,
    pub(crate) allocations: f64,
    pub(crate) bytes: f64,
}

impl<P: Peer> Row for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn time(&mut self, calls: &[Call]) -> Duration {
        let mut inputs: Vec<_> = calls.iter().map(|call| self.input(call)).collect();
        let start = Instant::now();
        sign_all(self, &mut inputs);
        start.elapsed()
    }

    fn count(&mut self, calls: &[Call]) -> Count {
        let mut inputs: Vec<_> = calls.iter().map(|call| self.input(call)).collect();
        let ((), count) = count(|| sign_all(self, &mut inputs));
        count
    }

    fn outcome(&mut self, call: &Call) -> Option<String> {
        let mut input = self.input(call);
        P::outcome(self, &mut input)
    }
}

/// All that is measured and nothing else: a profiler can be told to look at this function alone.
#[inline(never)]
fn sign_all<P: Peer>(peer: &mut P, inputs: &mut [P::Input<'_>]) {
    for input in inputs {
        peer.sign(black_box(input));
    }
}

/// Measures all rows by turns, so that whatever else the machine does befalls all of them alike.
///
/// Each turn signs requests that none before it signed.
pub(crate) fn measure(table: &Table, rows: &mut [Box<dyn Row>], rounds: usize) -> Vec<Measured> {
    let at_once = table.batch;
    let batch = |round: usize| -> Vec<Call> {
        (round * at_once..(round + 1) * at_once).map(|n| table.call(n as u64)).collect()
    };
    let mut times = vec![Vec::new(); rows.len()];
    for round in 0..rounds + WARM_UP {
        let calls = batch(round);
        for (row, times) in rows.iter_mut().zip(&mut times) {
            let time = row.time(&calls);
            if round >= WARM_UP {
                times.push(time.as_nanos() as f64 / at_once as f64);
            }
        }
    }
    let calls = batch(rounds + WARM_UP);
    rows.iter_mut()
        .zip(times)
        .map(|(row, mut times)| {
            times.sort_by(f64::total_cmp);
            let count = row.count(&calls);
            Measured {
                name: row.name(),
                min_ns: times.first().copied().unwrap_or(f64::NAN),
                median_ns: times.get(times.len() / 2).copied().unwrap_or(f64::NAN),
                allocations: count.allocations as f64 / at_once as f64,
                bytes: count.bytes as f64 / at_once as f64,
            }
        })
        .collect()
}

const WARM_UP: usize = 50;
