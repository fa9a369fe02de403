//! Prints how long signing takes, here and elsewhere, beside the SHA-256 that it needs at the least.
#![forbid(unsafe_code)]

mod chunks;
mod measure;
mod peers;
mod report;
#[path = "../../support/mod.rs"]
mod support;

use std::{env, error::Error, str::FromStr};

use countersign_allocations::counting::Counting;

use crate::{
    measure::{BATCH, Row, measure},
    support::{Case, DYNAMODB, HEADER_HEAVY, PRESIGNED, S3_GET},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CASES: [Case; 4] = [S3_GET, DYNAMODB, PRESIGNED, HEADER_HEAVY];

const USAGE: &str = "usage: countersign-peers [--json] [--rounds N]
       countersign-peers --only REQUEST/ROW --count N

Measures each signer at each request and prints a table, or JSON lines. With --only it signs so many
requests in one way and prints nothing: to be run under a profiler.";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (mut json, mut rounds, mut count, mut only) = (false, 2000, 10_000, None);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--json" => json = true,
            "--rounds" => rounds = number(arguments.next())?,
            "--count" => count = number(arguments.next())?,
            "--only" => only = arguments.next(),
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            other => return Err(format!("`{other}` is no option\n{USAGE}").into()),
        }
    }
    if let Some(only) = only {
        return repeat(&only, count);
    }
    for case in CASES {
        let mut rows = peers::rows(&case);
        check(&case, &mut rows);
        let measured = measure(&case, &mut rows, rounds);
        if json {
            report::json(&case, &measured);
        } else {
            report::table(&case, &measured);
        }
    }
    chunks::check();
    for chunk_size in [64 << 10, 1 << 20] {
        report::chunks(chunk_size, &chunks::measure(chunk_size, rounds.min(2000)), json);
    }
    Ok(())
}

/// Signs as one row does, for a profiler to look at.
fn repeat(only: &str, count: usize) -> Result<(), Box<dyn Error>> {
    let (id, name) = only.split_once('/').ok_or(USAGE)?;
    let case = CASES.into_iter().find(|case| case.id == id).ok_or("no such request")?;
    let mut rows = peers::rows(&case);
    let row = rows.iter_mut().find(|row| row.name() == name).ok_or("no such row")?;
    let calls: Vec<_> = (0..1024).map(|n| case.call(n)).collect();
    for batch in calls.chunks(BATCH).cycle().take(count.div_ceil(BATCH)) {
        row.time(batch);
    }
    Ok(())
}

/// Refuses to measure unless all signers come to the same signature.
fn check(case: &Case, rows: &mut [Box<dyn Row>]) {
    for n in [0, 1, 12_345] {
        let call = case.call(n);
        let signatures: Vec<_> =
            rows.iter_mut().filter_map(|row| Some((row.signature(&call)?, row.name()))).collect();
        let (first, _) = &signatures[0];
        for (signature, name) in &signatures {
            assert_eq!(signature, first, "{name} signs request {} otherwise", case.id);
        }
    }
}

fn number<N: FromStr>(argument: Option<String>) -> Result<N, Box<dyn Error>> {
    argument.and_then(|text| text.parse().ok()).ok_or_else(|| "a number is missing".into())
}
