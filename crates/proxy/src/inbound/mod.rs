//! Who clients are, and how much each may ask: before anything is signed for them.

mod clients;
mod gate;
mod rate;
pub(crate) mod tls;

pub(crate) use gate::Gate;
