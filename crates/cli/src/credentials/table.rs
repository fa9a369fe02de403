//! Who was asked for credentials, for people. No secret is in it.

use std::{
    fmt::{self, Write as _},
    time::{Duration, SystemTime},
};

use anstyle::{AnsiColor, Style};
use countersign::{Credentials, providers::ChainAnswer};

use super::{
    output::rfc_3339,
    source::{Found, Row},
};
use crate::{
    failure::{Failure, with_sources},
    printed::print_styled,
};

pub(super) fn print(rows: &[Row], outcome: &Result<Found<'_>, Failure>) -> Result<(), Failure> {
    print_styled(&render(rows, outcome, SystemTime::now()))
}

fn render(rows: &[Row], outcome: &Result<Found<'_>, Failure>, now: SystemTime) -> String {
    let mut text = String::new();
    let mut line = |row: fmt::Arguments<'_>| {
        // Writing to a string never fails.
        let _ = writeln!(text, "{row}");
    };
    let bold = Style::new().bold();
    line(format_args!(
        "{bold}{:<13} {:<12} {:>6}  {}{bold:#}",
        "PROVIDER", "ANSWER", "TIME", "LOOKED AT"
    ));
    for row in rows {
        let (style, answer) = answer(&row.answer);
        let time = match row.answer {
            ChainAnswer::NotAsked(_) => "-".to_owned(),
            _ => duration(row.took),
        };
        let why = why(&row.answer);
        let (first, second) = match row.looked_at.is_empty() {
            true => (why.as_deref().unwrap_or_default(), None),
            false => (&*row.looked_at, why.as_deref()),
        };
        line(format_args!("{:<13} {style}{answer:<12}{style:#} {time:>6}  {first}", row.provider));
        if let Some(second) = second {
            line(format_args!("{:<34}{second}", ""));
        }
    }
    if let Ok(Found { provider, credentials }) = outcome {
        line(format_args!("\n{}", summary(provider, credentials, now)));
    }
    text
}

/// One line about credentials, without what is secret.
pub(super) fn summary(provider: &str, credentials: &Credentials, now: SystemTime) -> String {
    let mut text = format!("{provider}: access key id {}", credentials.access_key_id());
    if let Some(account) = credentials.account_id() {
        text += &format!(", account {account}");
    }
    text += match credentials.session_token() {
        Some(_) => ", with a session token",
        None => ", without a session token",
    };
    match credentials.expires_at() {
        None => text += ", no expiry",
        Some(at) => {
            let left = match at.duration_since(now) {
                Ok(left) => format!("in {}", duration(left)),
                Err(_) => "already".to_owned(),
            };
            text += &format!(", expires at {} ({left})", rfc_3339(at).unwrap_or_default());
        }
    }
    text
}

fn answer(answer: &ChainAnswer) -> (Style, &'static str) {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match answer {
        ChainAnswer::Credentials(_) => (colour(AnsiColor::Green), "credentials"),
        ChainAnswer::Failed(_) => (colour(AnsiColor::Red), "failed"),
        ChainAnswer::NotAsked(_) => (Style::new().dimmed(), "not asked"),
        _ => (Style::new(), "nothing"),
    }
}

fn why(answer: &ChainAnswer) -> Option<String> {
    match answer {
        ChainAnswer::Credentials(_) => None,
        ChainAnswer::Failed(error) => Some(with_sources(error)),
        ChainAnswer::Nothing(why) | ChainAnswer::NotAsked(why) => Some(why.clone()),
        _ => None,
    }
}

/// With two digits that count.
fn duration(time: Duration) -> String {
    let (seconds, milliseconds) = (time.as_secs(), time.as_millis());
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..10 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_long_as_people_can_use() {
        for (milliseconds, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_250, "1.2 s"),
            (59_900, "59 s"),
            (3_600_000, "60 min"),
            (43_200_000, "12 h"),
            (604_800_000, "7 days"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }
}
