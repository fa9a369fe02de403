//! Where two texts differ, line by line and within the line.

use std::vec;

/// The differences between two canonical requests or two strings to sign: the one a client signed and
/// the one a server made, each with its lines.
///
/// Lines are aligned, so that one header more is one difference and not one for each line behind it.
///
/// ```
/// use countersign::verify::differences;
///
/// let client = "GET\n/a%20b\n\nhost:h\n\nhost\nUNSIGNED-PAYLOAD";
/// let server = "GET\n/a%2520b\n\nhost:h\nx-amz-date:1\n\nhost\nUNSIGNED-PAYLOAD";
/// let mut all = differences(client, server);
/// let path = all.next().unwrap();
/// assert_eq!(path.column(), 5);
/// assert_eq!(path.client().unwrap().parts(), ["/a%2", "", "0b"]);
/// assert_eq!(path.server().unwrap().parts(), ["/a%2", "52", "0b"]);
/// let header = all.next().unwrap();
/// assert!(header.client().is_none());
/// assert_eq!(header.server().unwrap().line(), 5);
/// assert!(all.next().is_none());
/// ```
pub fn differences<'t>(client: &'t str, server: &'t str) -> Differences<'t> {
    Differences(between(client, server).into_iter())
}

/// The differences between two texts, from the first line to the last. Made by [`differences`] and by
/// [`Diagnosis::differences`](super::Diagnosis::differences).
#[derive(Clone, Debug)]
pub struct Differences<'t>(vec::IntoIter<Difference<'t>>);

/// A line that differs, or that one of the two lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference<'t> {
    client: Option<Side<'t>>,
    server: Option<Side<'t>>,
    column: usize,
}

/// One side's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side<'t> {
    line: usize,
    text: &'t str,
    /// Where the part that differs begins and ends.
    start: usize,
    end: usize,
}

impl<'t> Iterator for Differences<'t> {
    type Item = Difference<'t>;

    fn next(&mut self) -> Option<Difference<'t>> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Differences<'_> {}

impl<'t> Difference<'t> {
    /// The client's line; `None` if it has none there.
    pub fn client(&self) -> Option<Side<'t>> {
        self.client
    }

    /// The server's line; `None` if it has none there.
    pub fn server(&self) -> Option<Side<'t>> {
        self.server
    }

    /// The first character that differs, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    fn new(client: Option<(usize, &'t str)>, server: Option<(usize, &'t str)>) -> Difference<'t> {
        let text = |side: Option<(usize, &'t str)>| side.map_or("", |(_, text)| text);
        let (a, b) = (text(client), text(server));
        let same = |(a, b): &(char, char)| a == b;
        let before: usize =
            a.chars().zip(b.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
        let rests = a[before..].chars().rev().zip(b[before..].chars().rev());
        let behind: usize = rests.take_while(same).map(|(c, _)| c.len_utf8()).sum();
        let side = |(line, text): (usize, &'t str)| Side {
            line: line + 1,
            text,
            start: before,
            end: text.len() - behind,
        };
        Difference {
            client: client.map(side),
            server: server.map(side),
            column: a[..before].chars().count() + 1,
        }
    }
}

impl<'t> Side<'t> {
    /// The line's number, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The line.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// What both lines begin with, what differs, and what both end with.
    pub fn parts(&self) -> [&'t str; 3] {
        [&self.text[..self.start], &self.text[self.start..self.end], &self.text[self.end..]]
    }
}

pub(super) fn between<'t>(client: &'t str, server: &'t str) -> Vec<Difference<'t>> {
    let lines = |text: &'t str| -> Vec<(usize, &'t str)> { (0..).zip(text.split('\n')).collect() };
    let (client, server) = (lines(client), lines(server));
    let same = |(a, b): &(&(usize, &str), &(usize, &str))| a.1 == b.1;
    let before = client.iter().zip(&server).take_while(same).count();
    let (client, server) = (&client[before..], &server[before..]);
    let behind = client.iter().rev().zip(server.iter().rev()).take_while(same).count();
    let (client, server) = (&client[..client.len() - behind], &server[..server.len() - behind]);

    let mut found = Vec::new();
    let (mut at, mut server_at) = (0, 0);
    for (i, j) in common(client, server).into_iter().chain([(client.len(), server.len())]) {
        pair(&client[at..i], &server[server_at..j], &mut found);
        (at, server_at) = (i + 1, j + 1);
    }
    found
}

/// The indexes of a longest common sequence of lines.
fn common(a: &[(usize, &str)], b: &[(usize, &str)]) -> Vec<(usize, usize)> {
    if a.len().saturating_mul(b.len()) > MOST_CELLS {
        return Vec::new();
    }
    let width = b.len() + 1;
    let mut longest = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i].1 == b[j].1 {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i].1 == b[j].1 {
            found.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// Pairs lines between two that are the same: by place if there are as many, else by header name.
fn pair<'t>(
    client: &[(usize, &'t str)],
    server: &[(usize, &'t str)],
    found: &mut Vec<Difference<'t>>,
) {
    if client.len() == server.len() {
        let pairs = client.iter().zip(server);
        found.extend(pairs.map(|(&a, &b)| Difference::new(Some(a), Some(b))));
        return;
    }
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.to_ascii_lowercase());
    let mut rest = server;
    for &line in client {
        let of_same_name = name(line.1).and_then(|wanted| {
            rest.iter().position(|other| name(other.1).as_ref() == Some(&wanted))
        });
        let Some(at) = of_same_name else {
            found.push(Difference::new(Some(line), None));
            continue;
        };
        found.extend(rest[..at].iter().map(|&other| Difference::new(None, Some(other))));
        found.push(Difference::new(Some(line), Some(rest[at])));
        rest = &rest[at + 1..];
    }
    found.extend(rest.iter().map(|&other| Difference::new(None, Some(other))));
}

/// Texts with more lines than a request can have are compared place by place.
const MOST_CELLS: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(client: &str, server: &str) -> Vec<(Option<String>, Option<String>)> {
        let side = |side: Side<'_>| format!("{}:{}", side.line(), side.parts().join("|"));
        let all = differences(client, server);
        all.map(|one| (one.client().map(side), one.server().map(side))).collect()
    }

    #[test]
    fn equal_texts_do_not_differ() {
        assert_eq!(shown("a\nb", "a\nb"), []);
    }

    #[test]
    fn a_changed_line_shows_what_both_begin_and_end_with() {
        let difference = (Some("2:b|é|c".to_owned()), Some("2:b|èx|c".to_owned()));
        assert_eq!(shown("a\nbéc\nd", "a\nbèxc\nd"), [difference]);
    }

    #[test]
    fn overlapping_ends_are_not_counted_twice() {
        let difference = (Some("1:aa||".to_owned()), Some("1:aa|a|".to_owned()));
        assert_eq!(shown("aa", "aaa"), [difference]);
    }

    #[test]
    fn one_line_more_is_one_difference() {
        let more = (None, Some("2:|b:2|".to_owned()));
        assert_eq!(shown("a:1\nc:3\nd", "a:1\nb:2\nc:3\nd"), [more]);
        let fewer = (Some("2:|b:2|".to_owned()), None);
        let other = (Some("3:c:|3|".to_owned()), Some("2:c:|4|".to_owned()));
        assert_eq!(shown("a:1\nb:2\nc:3\nd", "a:1\nc:4\nd"), [fewer, other]);
    }

    #[test]
    fn texts_of_any_length_are_compared() {
        let text = |end: &str| format!("{}{end}", "x\ny\n".repeat(3000));
        assert_eq!(differences(&text("a"), &text("b")).len(), 1);
        let reversed = "y\nx\n".repeat(3000);
        assert!(differences(&text(""), &reversed).len() > 0);
    }
}
