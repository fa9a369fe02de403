//! How far a service's clock is ahead, by its answers.

use std::{
    thread,
    time::{Duration, SystemTime},
};

use countersign::providers::Skew;
use http::HeaderMap;
use proptest::prelude::*;

use super::world::Hands;
use crate::support::at;

#[test]
fn nothing_is_known_at_first() {
    let now = at("19941106T084937Z");
    assert_eq!(Skew::new().now(&now), now);
}

#[test]
fn a_date_that_contradicts_the_clock_sets_the_skew_to_the_middle_of_what_it_allows() {
    // Sent, received, and what a clock that shows the middle of them is corrected to; the date itself
    // may stand for any part of its second.
    for (sent, received, corrected) in [
        ("19941106T084937Z", "19941106T084937Z", "19941106T084937Z"),
        ("19941106T094937Z", "19941106T094939Z", "19941106T084937Z"),
        ("19941106T074900Z", "19941106T074910Z", "19941106T084937Z"),
        ("19941107T084937Z", "19941107T084957Z", "19941106T084937Z"),
    ] {
        let (sent, received) = (at(sent), at(received));
        let skew = Skew::new();
        skew.observe(&date(DATE), sent, received);
        let middle = sent + received.duration_since(sent).unwrap() / 2;
        let off = skew.now(&middle).duration_since(at(corrected)).unwrap();
        assert!(off <= Duration::from_millis(500), "{sent:?}: {off:?}");
    }
}

#[test]
fn an_answer_that_agrees_changes_nothing() {
    let sent = at("19941106T084930Z");
    let skew = Skew::new();
    skew.observe(&date(DATE), sent, sent + Duration::from_secs(10));
    assert_eq!(skew.now(&sent), sent, "it took its time, but the clock may be right");
    skew.observe(&date(DATE), sent, sent);
    let known = skew.now(&sent);
    assert_eq!(known, sent + Duration::from_millis(7500));
    skew.observe(&date(DATE), sent - Duration::from_secs(3), sent + Duration::from_secs(3));
    assert_eq!(skew.now(&sent), known);
}

#[test]
fn answers_that_tell_nothing_of_the_time_are_ignored() {
    let (sent, received) = (at("20150830T123600Z"), at("20150830T123601Z"));
    let mut aged = date(DATE);
    aged.insert("age", "0".parse().unwrap());
    let mut twice = date(DATE);
    twice.append("date", "Sun, 06 Nov 1994 08:49:38 GMT".parse().unwrap());
    let mut binary = HeaderMap::new();
    binary.insert("date", http::HeaderValue::from_bytes(b"Sun\xff").unwrap());
    let mut headers = vec![HeaderMap::new(), aged, twice, binary];
    for text in [
        "",
        "now",
        "19941106T084937Z",
        "1994-11-06T08:49:37Z",
        "Sunday, 06-Nov-94 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
    ] {
        headers.push(date(text));
    }
    let skew = Skew::new();
    for headers in &headers {
        skew.observe(headers, sent, received);
        assert_eq!(skew.now(&sent), sent, "{headers:?}");
    }
    skew.observe(&date(DATE), received, sent);
    assert_eq!(skew.now(&sent), sent, "the clock was set in between");
    skew.observe(&date(DATE), sent, received);
    assert_ne!(skew.now(&sent), sent);
}

#[test]
fn a_clock_that_is_set_right_is_noticed() {
    let hands = Hands::at(at("20150830T123600Z"));
    let skew = Skew::new();
    for now in ["20150830T123600Z", "19941106T084937Z"] {
        hands.set(at(now));
        skew.observe(&date(DATE), at(now), at(now));
        assert_eq!(seconds(skew.now(&hands)), seconds(at("19941106T084937Z")), "{now}");
    }
}

#[test]
fn clones_share_what_threads_learn() {
    let skew = Skew::new();
    let sent = at("19941106T084600Z");
    thread::scope(|scope| {
        for _ in 0..4 {
            let skew = skew.clone();
            scope.spawn(move || {
                for _ in 0..1000 {
                    skew.observe(&date(DATE), sent, sent);
                    let corrected = skew.now(&sent);
                    assert_eq!(seconds(corrected), seconds(at("19941106T084937Z")));
                }
            });
        }
    });
    assert_ne!(skew.now(&sent), sent);
}

proptest! {
    #[test]
    fn after_an_answer_the_time_is_right_to_half_of_its_travel_and_half_a_second(
        ahead in -10_000_000_i64..10_000_000,
        there in 0_u64..60_000,
        back in 0_u64..60_000,
    ) {
        // Moments in milliseconds by the clock of the service, which is right.
        let (sent, written) = (EPOCH, EPOCH + there);
        let by_ours = |moment: u64| SystemTime::UNIX_EPOCH
            + Duration::from_millis(moment.checked_add_signed(-ahead).unwrap());
        let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(written / 1000);
        let skew = Skew::new();
        skew.observe(&date(&http_date(whole)), by_ours(sent), by_ours(written + back));
        let right = SystemTime::UNIX_EPOCH + Duration::from_millis(written);
        let corrected = skew.now(&by_ours(written));
        let off = corrected.duration_since(right).unwrap_or_else(|early| early.duration());
        // A clock that may be right is left alone, so what it is off counts as well.
        let most = Duration::from_millis(there + back + 1001);
        prop_assert!(off <= most, "{off:?} of {most:?}");
        if u64::try_from(ahead.abs()).unwrap() > there + back + 1000 {
            prop_assert!(off <= most / 2 + Duration::from_millis(1), "{off:?} of {most:?}");
        }
    }
}

/// A moment of 2015 in milliseconds.
const EPOCH: u64 = 1_440_938_160_123;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn date(text: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::DATE, text.parse().unwrap())])
}

/// The date as HTTP writes it; nobody looks at the day of the week.
fn http_date(at: SystemTime) -> String {
    let stamp = countersign::Timestamp::try_from(at).unwrap();
    let text = stamp.as_str();
    let month = match &text[4..6] {
        "08" => "Aug",
        other => panic!("month {other}"),
    };
    let (year, day) = (&text[..4], &text[6..8]);
    let (hour, minute, second) = (&text[9..11], &text[11..13], &text[13..15]);
    format!("Sun, {day} {month} {year} {hour}:{minute}:{second} GMT")
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
