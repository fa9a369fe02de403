//! The signers, one file each.

mod aws_sigv4;
mod limit;
mod ours;

use crate::{measure::Row, support::Case};

/// All rows of the table of one kind of request, the limit first.
pub(crate) fn rows(case: &Case) -> Vec<Box<dyn Row>> {
    vec![
        Box::new(case.limit()),
        Box::new(ours::Buffers::new(case)),
        Box::new(ours::Request::new(case)),
        Box::new(aws_sigv4::Request::new(case)),
        Box::new(aws_sigv4::SignAlone::new(case)),
    ]
}
