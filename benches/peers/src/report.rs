//! How what was measured is printed.

use crate::{chunks, measure::Measured, table::Table};

/// A table in Markdown. The first row is the limit.
pub(crate) fn markdown(table: &Table, rows: &[Measured]) {
    println!(
        "### {}: {} ({} compressions)",
        table.id,
        table.title,
        table.case.limit().compressions()
    );
    println!();
    println!("| {:20} | min ns | median ns | × limit | allocations |  bytes |", "");
    println!("|:{:-<20}-|-------:|----------:|--------:|------------:|-------:|", "");
    for row in rows {
        println!(
            "| {:20} | {:6.0} | {:9.0} | {:7.2} | {:11.0} | {:6.0} |",
            row.name,
            row.min_ns,
            row.median_ns,
            ratio(row, rows),
            row.allocations,
            row.bytes
        );
    }
    println!();
}

/// One object for each row, each on a line of its own. No text in it needs escaping.
pub(crate) fn json(table: &Table, rows: &[Measured]) {
    for row in rows {
        println!(
            r#"{{"request":"{}","title":"{}","compressions":{},"row":"{}","min_ns":{:.1},"median_ns":{:.1},"ratio":{:.3},"allocations":{:.2},"bytes":{:.1}}}"#,
            table.id,
            table.title,
            table.case.limit().compressions(),
            row.name,
            row.min_ns,
            row.median_ns,
            ratio(row, rows),
            row.allocations,
            row.bytes
        );
    }
}

/// The time that one chunk takes, and how fast that is beside SHA-256 alone, the first row.
pub(crate) fn chunks(chunk_size: usize, rows: &[chunks::Measured], json: bool) {
    if !json {
        println!("### chunks of {} KiB", chunk_size >> 10);
        println!();
        println!("| {:20} | min ns | median ns | of SHA-256 alone |", "");
        println!("|:{:-<20}-|-------:|----------:|-----------------:|", "");
    }
    for row in rows {
        let share = rows[0].min_ns as f64 / row.min_ns as f64;
        let (name, min_ns, median_ns) = (row.name, row.min_ns, row.median_ns);
        if json {
            println!(
                r#"{{"chunk":{chunk_size},"row":"{name}","min_ns":{min_ns},"median_ns":{median_ns},"share":{share:.3}}}"#
            );
        } else {
            println!("| {name:20} | {min_ns:6} | {median_ns:9} | {share:16.2} |");
        }
    }
    if !json {
        println!();
    }
}

/// The shortest time beside the limit's shortest.
fn ratio(row: &Measured, rows: &[Measured]) -> f64 {
    row.min_ns / rows[0].min_ns
}
