//! Prints what each way of signing allocates, for one call.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use countersign_allocations::{calls::rows, counting::Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:33}{:24}{:>11}{:>8}{:>9}",
        "request", "how", "allocations", "bytes", "at most"
    )?;
    for row in rows() {
        let (request, how, counted) = (row.request, row.how, row.counted);
        writeln!(
            out,
            "{request:33}{how:24}{:>11}{:>8}{:>9}",
            counted.allocations, counted.bytes, row.at_most
        )?;
    }
    Ok(())
}
