//! Prints how long signing takes, here and elsewhere, beside the SHA-256 that it needs at the least.
#![forbid(unsafe_code)]

mod chunks;
mod measure;
mod peers;
mod report;
#[path = "../../support/mod.rs"]
mod support;
mod table;

use std::{env, error::Error, str::FromStr};

use countersign_allocations::counting::Counting;

use crate::{
    measure::{Row, measure},
    peers::{ACCEPTED, REFUSED},
    table::{TABLES, Table},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
    for table in &TABLES {
        let mut rows = table.rows();
        check(table, &mut rows);
        let measured = measure(table, &mut rows, rounds);
        if json {
            report::json(table, &measured);
        } else {
            report::markdown(table, &measured);
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
    let table = TABLES.iter().find(|table| table.id == id).ok_or("no such request")?;
    let mut rows = table.rows();
    let row = rows.iter_mut().find(|row| row.name() == name).ok_or("no such row")?;
    let calls: Vec<_> = (0..16 * table.batch as u64).map(|n| table.call(n)).collect();
    for batch in calls.chunks(table.batch).cycle().take(count.div_ceil(table.batch)) {
        row.time(batch);
    }
    Ok(())
}

/// Refuses to measure unless all signers come to the same signature, and all verifiers accept a request
/// that is rightly signed and no other.
fn check(table: &Table, rows: &mut [Box<dyn Row>]) {
    for n in [0, 1, 12_345] {
        let mut call = table.call(n);
        let outcomes: Vec<_> =
            rows.iter_mut().filter_map(|row| Some((row.outcome(&call)?, row.name()))).collect();
        for pair in outcomes.windows(2) {
            let [(expected, _), (outcome, name)] = pair else { continue };
            assert_eq!(outcome, expected, "{name} comes to another result of {}", table.id);
        }
        if table.is_verified {
            assert!(outcomes.iter().all(|(word, _)| word == ACCEPTED), "{outcomes:?}");
            call.path.push('x');
            for row in rows.iter_mut() {
                let word = row.outcome(&call).unwrap_or_else(|| REFUSED.to_owned());
                assert_eq!(word, REFUSED, "{} accepts a request of another path", row.name());
            }
        }
    }
}

fn number<N: FromStr>(argument: Option<String>) -> Result<N, Box<dyn Error>> {
    argument.and_then(|text| text.parse().ok()).ok_or_else(|| "a number is missing".into())
}
