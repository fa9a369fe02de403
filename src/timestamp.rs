//! The moment of signing, as AWS writes it.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use time::{Date, Month, PrimitiveDateTime, Time, UtcDateTime, UtcOffset};

use crate::{Error, ErrorKind};

/// A moment in whole seconds, written `20150830T123600Z`.
///
/// Reads the basic form that AWS uses and RFC 3339 (`2015-08-30T12:36:00Z`, with any offset). Moments
/// before 1970 or after 9999 do not exist.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::Timestamp;
///
/// let at: Timestamp = "20150830T123600Z".parse()?;
/// assert_eq!(at, "2015-08-30T14:36:00+02:00".parse()?);
/// assert_eq!(SystemTime::from(at), SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160));
/// assert_eq!(at.date(), "20150830");
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Since 1970.
    seconds: u64,
    /// The same in ASCII digits, `T` and `Z`.
    text: [u8; 16],
}

impl Timestamp {
    /// The timestamp as AWS writes it: `20150830T123600Z`.
    pub fn as_str(&self) -> &str {
        ascii(&self.text)
    }

    /// The date alone, as a credential scope begins: `20150830`.
    pub fn date(&self) -> &str {
        ascii(&self.text[..8])
    }

    /// The timestamp as RFC 3339 has it, and JSON that AWS reads.
    ///
    /// ```
    /// # use countersign::Timestamp;
    /// let at: Timestamp = "20150830T123600Z".parse()?;
    /// assert_eq!(at.to_rfc3339(), "2015-08-30T12:36:00Z");
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn to_rfc3339(self) -> String {
        let (date, time) = self.as_str().split_at(8);
        let [year, month, day] = [&date[..4], &date[4..6], &date[6..]];
        let [hour, minute, second] = [&time[1..3], &time[3..5], &time[5..7]];
        format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")
    }

    /// Reads a date as HTTP writes it (RFC 9110, §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) fn from_http(text: &str) -> Option<Timestamp> {
        parse_http(text).and_then(|at| Timestamp::from_utc(at).ok())
    }

    /// Reads `20150830T123600Z`, the one form that `x-amz-date` may have.
    pub(crate) fn from_basic(text: &[u8]) -> Option<Timestamp> {
        let (seconds, text) = basic(text)?;
        Some(Timestamp { seconds: seconds.try_into().ok()?, text })
    }

    /// Reads a `date` header: AWS's own form, or the one of HTTP (RFC 9110, §5.6.7).
    pub(crate) fn from_header(text: &[u8]) -> Option<Timestamp> {
        Timestamp::from_basic(text).or_else(|| Timestamp::from_http(str::from_utf8(text).ok()?))
    }

    pub(crate) fn is_same_day(self, other: Timestamp) -> bool {
        self.seconds / DAY == other.seconds / DAY
    }

    /// The date alone, in ASCII digits.
    pub(crate) fn day(&self) -> &[u8; 8] {
        self.text.first_chunk().expect("the text has 16 bytes")
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.text
    }

    /// Another moment, for which most of the text is at hand if it is of the same day.
    pub(crate) fn moved_to(self, at: SystemTime) -> Result<Timestamp, Error> {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs());
        match seconds {
            Ok(seconds) if seconds == self.seconds => Ok(self),
            Ok(seconds) if seconds / DAY == self.seconds / DAY => {
                let (mut text, of_day) = (self.text, (seconds % DAY) as u32);
                put_pair(&mut text, 9, (of_day / 3600) as u8);
                put_pair(&mut text, 11, (of_day / 60 % 60) as u8);
                put_pair(&mut text, 13, (of_day % 60) as u8);
                Ok(Timestamp { seconds, text })
            }
            _ => Timestamp::try_from(at),
        }
    }

    fn from_utc(at: UtcDateTime) -> Result<Timestamp, Error> {
        let (year, month, day) = at.to_calendar_date();
        if !(1970..=9999).contains(&year) {
            return Err(out_of_range(format_args!("the year {year}")));
        }
        let (hour, minute, second) = at.as_hms();
        let mut text = *b"00000000T000000Z";
        // The range was checked above, so the year fits two pairs of digits.
        let year = year.unsigned_abs();
        put_pair(&mut text, 0, (year / 100) as u8);
        put_pair(&mut text, 2, (year % 100) as u8);
        put_pair(&mut text, 4, u8::from(month));
        put_pair(&mut text, 6, day);
        put_pair(&mut text, 9, hour);
        put_pair(&mut text, 11, minute);
        put_pair(&mut text, 13, second);
        Ok(Timestamp { seconds: at.unix_timestamp().unsigned_abs(), text })
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = Error;

    /// Fractions of a second are dropped.
    fn try_from(at: SystemTime) -> Result<Timestamp, Error> {
        at.duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_secs()).ok())
            .and_then(|seconds| UtcDateTime::from_unix_timestamp(seconds).ok())
            .ok_or_else(|| out_of_range("the system time given"))
            .and_then(Timestamp::from_utc)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(at.seconds)
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Timestamp, Error> {
        if let Some((seconds, basic)) = basic(text.as_bytes()) {
            return match seconds.try_into() {
                Ok(seconds) => Ok(Timestamp { seconds, text: basic }),
                Err(_) => Err(out_of_range(format_args!("the year {}", ascii(&basic[..4])))),
            };
        }
        parse_rfc3339(text)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidTime,
                    format!(
                        "`{}` is not a time like 20150830T123600Z or 2015-08-30T12:36:00Z",
                        text.escape_debug()
                    ),
                )
            })
            .and_then(Timestamp::from_utc)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The seconds of a day, which has no leap seconds in a system's time.
const DAY: u64 = 86_400;

fn out_of_range(what: impl fmt::Display) -> Error {
    Error::new(
        ErrorKind::InvalidTime,
        format!("{what} lies outside 1970 to 9999, the years a signature can carry"),
    )
}

fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).expect("a Timestamp holds ASCII alone")
}

fn put_pair(text: &mut [u8; 16], at: usize, value: u8) {
    text[at] = b'0' + value / 10;
    text[at + 1] = b'0' + value % 10;
}

/// The seconds since 1970 of a time as AWS writes it, and the time itself. By arithmetic alone: one stands in
/// each request.
fn basic(text: &[u8]) -> Option<(i64, [u8; 16])> {
    let text: [u8; 16] = text.try_into().ok()?;
    let [y1, y2, y3, y4, n1, n2, d1, d2, b'T', h1, h2, m1, m2, s1, s2, b'Z'] = text else {
        return None;
    };
    let [century, year, month, day] = pairs([y1, y2, y3, y4, n1, n2, d1, d2])?;
    let [hour, minute, second, _] = pairs([h1, h2, m1, m2, s1, s2, b'0', b'0'])?;
    // Of the years that end a century, each fourth one is a leap year.
    let is_leap = if year == 0 { century } else { year } % 4 == 0;
    let year = 100 * century + year;
    let (before, len) = *MONTHS_DAYS.get((month as usize).wrapping_sub(1))?;
    let is_day = 1 <= day && day <= len + u64::from(is_leap && month == 2);
    (is_day && hour < 24 && minute < 60 && second < 60).then_some(())?;
    let leap_days = |before: u64| (before / 4 + before / 400) as i64 - (before / 100) as i64;
    let leap_days = leap_days(year.saturating_sub(1)) - leap_days(1969);
    let of_year = (before + day - 1 + u64::from(is_leap && month > 2)) as i64;
    let days = 365 * (year as i64 - 1970) + leap_days + of_year;
    Some((DAY as i64 * days + (3600 * hour + 60 * minute + second) as i64, text))
}

/// What each two of eight decimal digits come to.
fn pairs(text: [u8; 8]) -> Option<[u64; 4]> {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let digits = u64::from_le_bytes(text) ^ (EACH * u64::from(b'0'));
    // The high bit of each byte that is ten or more.
    let is_more = (digits.wrapping_add(EACH * (0x80 - 10)) | digits) & (EACH << 7);
    // The first digit is in the lowest byte.
    let pairs = (10 * (digits & (EACH * 15))) + (digits >> 8);
    (is_more == 0).then_some([0, 16, 32, 48].map(|at| pairs >> at & 0xff))
}

/// How many days of a year are before each month, and in it, where there is no leap day.
const MONTHS_DAYS: [(u64, u64); 12] = [
    (0, 31),
    (31, 28),
    (59, 31),
    (90, 30),
    (120, 31),
    (151, 30),
    (181, 31),
    (212, 31),
    (243, 30),
    (273, 31),
    (304, 30),
    (334, 31),
];

/// RFC 3339, with a fraction of a second dropped and any offset.
fn parse_rfc3339(text: &str) -> Option<UtcDateTime> {
    let text = text.as_bytes();
    let (head, mut rest) = text.split_at_checked(19)?;
    (head[4] == b'-' && head[7] == b'-' && head[13] == b':' && head[16] == b':').then_some(())?;
    matches!(head[10], b'T' | b't' | b' ').then_some(())?;
    let date = date(&head[0..4], &head[5..7], &head[8..10])?;
    let time = time_of_day(&head[11..13], &head[14..16], &head[17..19])?;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (digits > 0).then_some(())?;
        rest = &fraction[digits..];
    }
    let offset = match rest {
        b"Z" | b"z" => UtcOffset::UTC,
        [sign @ (b'+' | b'-'), hours @ .., _, _, _] if hours.len() == 2 && rest[3] == b':' => {
            let sign = if *sign == b'-' { -1 } else { 1 };
            let (hours, minutes) = (digits(hours)?, digits(&rest[4..6])?);
            UtcOffset::from_hms(sign * hours as i8, sign * minutes as i8, 0).ok()?
        }
        _ => return None,
    };
    PrimitiveDateTime::new(date, time).assume_offset(offset).checked_to_utc()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, or one of the two older forms (RFC 9110, §5.6.7); the name of the day is not
/// looked at. As mail has it, the day may have one digit and the zone be `-0000`: so botocore writes it.
fn parse_http(text: &str) -> Option<UtcDateTime> {
    let (year, month, day, time) = match text.split_once(", ") {
        Some((_, text)) => {
            let (text, zone) = text.rsplit_once(' ')?;
            matches!(zone, "GMT" | "UTC" | "+0000" | "-0000").then_some(())?;
            let (date, time) = text.rsplit_once(' ')?;
            let (day, rest) = date.split_once([' ', '-'])?;
            let (month, year) = rest.split_once([' ', '-'])?;
            (year, month, day, time)
        }
        None => {
            let (_, text) = text.split_once(' ')?;
            let (month, text) = text.split_once(' ')?;
            let (day, text) = text.trim_start().split_once(' ')?;
            let (time, year) = text.split_once(' ')?;
            (year, month, day, time)
        }
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let month = Month::try_from(month as u8).ok()?;
    let number = |text: &str| digits(text.as_bytes()).map(i32::from);
    let year = match year.len() {
        4 => number(year)?,
        // There is no year before 1970.
        2 => number(year).map(|year| if year < 70 { 2000 + year } else { 1900 + year })?,
        _ => return None,
    };
    matches!(day.len(), 1 | 2).then_some(())?;
    let date = Date::from_calendar_date(year, month, number(day)? as u8);
    let time = match time.as_bytes() {
        [h1, h2, b':', m1, m2, b':', s1, s2] => time_of_day(&[*h1, *h2], &[*m1, *m2], &[*s1, *s2])?,
        _ => return None,
    };
    Some(PrimitiveDateTime::new(date.ok()?, time).as_utc())
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn date(year: &[u8], month: &[u8], day: &[u8]) -> Option<Date> {
    let month = Month::try_from(digits(month)? as u8).ok()?;
    Date::from_calendar_date(i32::from(digits(year)?), month, digits(day)? as u8).ok()
}

fn time_of_day(hour: &[u8], minute: &[u8], second: &[u8]) -> Option<Time> {
    Time::from_hms(digits(hour)? as u8, digits(minute)? as u8, digits(second)? as u8).ok()
}

/// Up to four decimal digits; anything else is `None`.
fn digits(text: &[u8]) -> Option<u16> {
    text.iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_millennia_survives_the_round_trip() {
        for day in (0..2_932_897_u64).step_by(13) {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + day % 86_400);
            let stamp = Timestamp::try_from(at).expect("in range");
            assert_eq!(SystemTime::from(stamp), at, "{stamp}");
            assert_eq!(stamp.as_str().parse::<Timestamp>().expect("its own text"), stamp);
            assert_eq!(stamp.to_rfc3339().parse::<Timestamp>().expect("its own text"), stamp);
        }
    }

    #[test]
    fn a_day_exists_if_the_calendar_has_it() {
        for year in (0..=2400).chain(9990..=9999) {
            for (month, day) in (0..=13).flat_map(|month| (0..=32).map(move |day| (month, day))) {
                let text = format!("{year:04}{month:02}{day:02}T010203Z");
                let date = Month::try_from(month).ok();
                let date = date.and_then(|month| Date::from_calendar_date(year, month, day).ok());
                let expected = date.filter(|_| year >= 1970).map(|date| {
                    let time = Time::from_hms(1, 2, 3).expect("a time");
                    PrimitiveDateTime::new(date, time).as_utc().unix_timestamp().unsigned_abs()
                });
                let at = Timestamp::from_header(text.as_bytes());
                assert_eq!(at.map(|at| at.seconds), expected, "{text}");
                assert_eq!(text.parse::<Timestamp>().ok(), at, "{text}");
            }
        }
    }

    #[test]
    fn a_moment_moved_to_is_the_one_read_anew() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let noon = Timestamp::try_from(at(1_440_936_000)).expect("in range");
        for seconds in
            [0, 1_440_892_799, 1_440_892_800, 1_440_936_000, 1_440_979_199, 1_440_979_200]
                .into_iter()
                .chain((1_440_892_800..1_440_979_200).step_by(97))
        {
            let moved = noon.moved_to(at(seconds)).expect("in range");
            assert_eq!(moved, Timestamp::try_from(at(seconds)).expect("in range"));
        }
        assert!(noon.moved_to(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).is_err());
    }

    #[test]
    fn times_outside_1970_to_9999_are_refused() {
        let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        assert_eq!(
            Timestamp::try_from(last).expect("the last second").as_str(),
            "99991231T235959Z"
        );
        assert!(Timestamp::try_from(last + Duration::from_secs(1)).is_err());
        assert!(Timestamp::try_from(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).is_err());
        assert!("19691231T235959Z".parse::<Timestamp>().is_err());
    }

    #[test]
    fn a_date_header_is_read_in_both_forms() {
        let at = Timestamp::from_header(b"20130524T000000Z");
        assert!(at.is_some());
        for text in [
            "Fri, 24 May 2013 00:00:00 GMT",
            "Fri, 24 May 2013 00:00:00 -0000",
            "Fri, 24 May 2013 00:00:00 +0000",
            "Friday, 24-May-13 00:00:00 GMT",
            "Fri May 24 00:00:00 2013",
        ] {
            assert_eq!(Timestamp::from_header(text.as_bytes()), at, "{text}");
        }
        let at = Timestamp::from_header(b"19941106T084937Z");
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 UTC",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(Timestamp::from_header(text.as_bytes()), at, "{text}");
        }
        for text in [
            "Fri, 24 May 2013 00:00:00",
            "Fri, 24 May 2013 00:00:00 CET",
            "Fri, 24 May 2013 00:00:00 +0100",
            "Fri, 24 May 013 00:00:00 GMT",
            "Fri, 024 May 2013 00:00:00 GMT",
            "Fri,  May 2013 00:00:00 GMT",
            "Fri May 24 00:00:00",
            "Fri May 24 00:00:00 2013 GMT",
            "Fri, 24 Mai 2013 00:00:00 GMT",
            "24 May 2013 00:00:00 GMT",
            "Fri, 31 Apr 2013 00:00:00 GMT",
            "Fri, 24 May 2013 0:00:00 GMT",
            "2013-05-24T00:00:00Z",
            "19691231T235959Z",
            "20130524T000000",
        ] {
            assert_eq!(Timestamp::from_header(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_time_is_refused() {
        for text in [
            "",
            "20150830",
            "20150230T000000Z",
            "20150830T240000Z",
            "2015-08-30T12:36:00",
            "2015-08-30T12:36:00+2:00",
            "20150830T12360éZ",
            "2015-08-30T12:36:00.Z",
            "+0150830T123600Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
