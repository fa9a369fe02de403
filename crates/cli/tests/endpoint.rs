//! `endpoint`, of hosts that are none.

use serde_json::Value;

use crate::support::{countersign, run};

#[test]
fn a_host_longer_than_any_is_refused_beside_others() {
    let long = "a".repeat(70_000);
    let output = run(countersign(&["endpoint", "sts.amazonaws.com", &long]), b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.starts_with(b"sts.amazonaws.com "), "{output:.300?}");
}

#[test]
fn json_has_each_byte_of_a_host() {
    let output = run(countersign(&["endpoint", "-", "--output", "json"]), b"a\x7fb\n");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["host"], "a\u{7f}b");
}
