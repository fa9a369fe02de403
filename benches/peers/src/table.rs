//! What is measured: a table for each kind of request, and what is done with it.

use crate::{
    measure::Row,
    peers,
    support::{Call, Case, DYNAMODB, HEADER_HEAVY, PRESIGNED, S3_GET, S3_PUT},
};

/// One kind of request, and whether it is signed or verified.
pub(crate) struct Table {
    /// What the table is called on the command line.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) case: Case,
    pub(crate) is_verified: bool,
    /// How many calls are timed at once.
    pub(crate) batch: usize,
}

pub(crate) const TABLES: [Table; 9] = [
    signed("a", S3_GET.title, S3_GET),
    signed("b", DYNAMODB.title, DYNAMODB),
    Table { batch: 2, ..signed("c", S3_PUT.title, S3_PUT) },
    signed("d", PRESIGNED.title, PRESIGNED),
    signed("e", HEADER_HEAVY.title, HEADER_HEAVY),
    verified("va", "S3 GET, verified", S3_GET),
    verified("vb", "DynamoDB POST, verified", DYNAMODB),
    verified("vd", "S3 presigned GET, verified", PRESIGNED),
    verified("ve", "20 headers, 15 query parameters, verified", HEADER_HEAVY),
];

const fn signed(id: &'static str, title: &'static str, case: Case) -> Table {
    Table { id, title, case, is_verified: false, batch: BATCH }
}

const fn verified(id: &'static str, title: &'static str, case: Case) -> Table {
    Table { is_verified: true, ..signed(id, title, case) }
}

impl Table {
    /// The `n`th request: of a table of verifiers, as a client sent it.
    pub(crate) fn call(&self, n: u64) -> Call {
        if self.is_verified { self.case.signed_call(n) } else { self.case.call(n) }
    }

    /// The ways of doing it, the limit first.
    pub(crate) fn rows(&self) -> Vec<Box<dyn Row>> {
        if self.is_verified { peers::verifiers(&self.case) } else { peers::signers(&self.case) }
    }
}

/// Enough that reading the clock costs less than a nanosecond of each call, and few enough that their
/// requests stay in the cache.
const BATCH: usize = 64;
