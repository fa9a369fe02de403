//! A record for people.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{
    record::{Cause, Record, Refused, Verdict},
    said::place_name,
};
use crate::explain::printable;

/// The record in coloured lines; whoever prints them takes the colours out where none belong.
pub(super) fn render(record: &Record) -> String {
    let mut text = String::new();
    let bold = Style::new().bold();
    let (colour, verdict) = match &record.verdict {
        Verdict::Accepted { .. } => (AnsiColor::Green, "accepted".to_owned()),
        Verdict::Refused(refused) => (AnsiColor::Red, format!("refused {}", refused.status)),
    };
    let style = bold.fg_color(Some(colour.into()));
    let _ = write!(
        text,
        "{style}{verdict}{style:#} {bold}{} {}{bold:#}",
        printable(&record.method),
        printable(&record.target)
    );
    if let Some(said) = &record.said {
        row(&mut text, "signed by", &said.access_key_id);
        row(&mut text, "scope", &format!("{} (in the {})", said.scope, place_name(said.place)));
        row(&mut text, "signed headers", &said.signed_headers);
    }
    match &record.verdict {
        Verdict::Accepted { payload } => row(&mut text, "payload", payload),
        Verdict::Refused(refused) => why(record, refused, &mut text),
    }
    text
}

fn why(record: &Record, refused: &Refused, text: &mut String) {
    row(text, "code", &refused.code);
    row(text, "message", &refused.message);
    for Cause { sentence, .. } in &refused.causes {
        row(text, "cause", sentence);
    }
    match (&refused.difference, &record.ours) {
        (Some(difference), _) => {
            let line = |line: &Option<String>| line.clone().unwrap_or("no such line".to_owned());
            row(text, "differs in", &difference.part);
            row(text, "  we see", &line(&difference.ours));
            row(text, "  they signed", &line(&difference.theirs));
        }
        (None, Some(ours)) => {
            let mut label = "we see";
            for line in ours.canonical_request.split('\n') {
                row(text, label, line);
                label = "";
            }
        }
        (None, None) => {}
    }
}

fn row(text: &mut String, label: &str, value: &str) {
    let dim = Style::new().dimmed();
    let _ = write!(text, "\n  {dim}{label:<14}{dim:#}  {}", printable(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_request_steers_the_terminal() {
        let shown = printable("/a\u{1b}[2J\u{9b}1m\r\u{202e}é");
        assert_eq!(shown, "/a\\u{1b}[2J\\u{9b}1m\\u{d}\\u{202e}é");
    }
}
