//! The last requests, for the page.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use tokio::sync::watch;

use super::record::Record;

/// The last requests, numbered from one on.
pub(super) struct History {
    records: Mutex<VecDeque<(u64, Value)>>,
    /// The number of the last one.
    newest: watch::Sender<u64>,
}

impl History {
    pub(super) fn new() -> History {
        History { records: Mutex::default(), newest: watch::Sender::new(0) }
    }

    pub(super) fn put(&self, record: &Record) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *self.newest.borrow() + 1;
        records.push_back((number, record.to_page_json(number)));
        if records.len() > KEPT {
            records.pop_front();
        }
        self.newest.send_replace(number);
    }

    /// The requests behind the one with this number, and the number of the last one.
    pub(super) fn since(&self, number: u64) -> (u64, Vec<Value>) {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = *self.newest.borrow();
        // Who asks for what is yet to come remembers an earlier run.
        let number = if number > newest { 0 } else { number };
        let behind = records.iter().filter(|(other, _)| *other > number);
        (newest, behind.map(|(_, record)| record.clone()).collect())
    }

    /// Waits for a request other than the one with this number to be the last.
    pub(super) async fn changed(&self, number: u64) {
        // The sender stands as long as `self`.
        let _ = self.newest.subscribe().wait_for(|newest| *newest != number).await;
    }
}

/// So many are kept.
const KEPT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::record::Verdict;

    #[test]
    fn the_last_two_hundred_are_kept() {
        let history = History::new();
        for number in 0..300 {
            history.put(&Record {
                method: "GET".to_owned(),
                target: format!("/{number}"),
                said: None,
                verdict: Verdict::Accepted { payload: "hash" },
                ours: None,
                theirs: None,
            });
        }
        let (newest, all) = history.since(0);
        assert_eq!((newest, all.len()), (300, 200));
        assert_eq!(all[0]["number"], 101);
        assert_eq!(history.since(299).1[0]["target"], "/299");
        assert_eq!(history.since(300).1.len(), 0);
        assert_eq!(history.since(301).1.len(), 200);
    }
}
