//! Two canonical requests, or two strings to sign, with their differences marked.

use std::borrow::Cow;

use serde_json::{Value, json};

/// A line of ours beside the one of theirs that stands for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Which part it is, as `path` or `header host`.
    pub(super) part: Cow<'static, str>,
    /// `None`: there is no such line.
    pub(super) ours: Option<Vec<Piece>>,
    pub(super) theirs: Option<Vec<Piece>>,
}

/// A stretch of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    text: String,
    differs: bool,
}

/// The rows of two canonical requests.
pub(super) fn canonical_requests(ours: &str, theirs: &str) -> Vec<Row> {
    rows(labelled(ours), labelled(theirs))
}

/// The rows of two strings to sign.
pub(super) fn strings_to_sign(ours: &str, theirs: &str) -> Vec<Row> {
    let names = ["algorithm", "time", "scope", "hash"].into_iter().chain(std::iter::repeat("more"));
    let labelled = |text| names.clone().map(Cow::Borrowed).zip(str::split(text, '\n')).collect();
    rows(labelled(ours), labelled(theirs))
}

impl Row {
    /// Whether both lines are there and the same.
    pub(super) fn is_same(&self) -> bool {
        self.ours == self.theirs
    }

    pub(super) fn to_json(&self) -> Value {
        let side = |pieces: &Option<Vec<Piece>>| match pieces {
            None => Value::Null,
            Some(pieces) => {
                pieces.iter().map(|Piece { text, differs }| json!([text, differs])).collect()
            }
        };
        json!({ "part": self.part, "ours": side(&self.ours), "theirs": side(&self.theirs) })
    }
}

/// The whole line.
pub(super) fn text(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

type Labelled<'t> = Vec<(Cow<'static, str>, &'t str)>;

/// Each line of a canonical request with the part that it is.
fn labelled(text: &str) -> Labelled<'_> {
    let mut lines = Vec::new();
    let mut is_head = true;
    let mut behind = ["signed headers", "payload"].into_iter();
    for (number, line) in text.split('\n').enumerate() {
        let label = match number {
            0 => "method".into(),
            1 => "path".into(),
            2 => "query".into(),
            _ if is_head && line.is_empty() => {
                is_head = false;
                "empty line".into()
            }
            _ if is_head => {
                let name = line.split(':').next().unwrap_or_default();
                format!("header {}", name.to_ascii_lowercase()).into()
            }
            _ => behind.next().unwrap_or("more").into(),
        };
        lines.push((label, line));
    }
    lines
}

/// Puts lines with the same label beside each other, in the order of both.
fn rows(ours: Labelled<'_>, theirs: Labelled<'_>) -> Vec<Row> {
    let ours_labels: Vec<_> = ours.iter().map(|(label, _)| label).collect();
    let theirs_labels: Vec<_> = theirs.iter().map(|(label, _)| label).collect();
    let mut rows = Vec::new();
    let (mut our, mut their) = (0, 0);
    let ends = [(ours.len(), theirs.len())];
    for (at, other) in common(&ours_labels, &theirs_labels).into_iter().chain(ends) {
        for (part, line) in &ours[our..at] {
            rows.push(Row { part: part.clone(), ours: Some(whole(line)), theirs: None });
        }
        for (part, line) in &theirs[their..other] {
            rows.push(Row { part: part.clone(), ours: None, theirs: Some(whole(line)) });
        }
        if let (Some((part, a)), Some((_, b))) = (ours.get(at), theirs.get(other)) {
            let (ours, theirs) = marked(a, b);
            rows.push(Row { part: part.clone(), ours: Some(ours), theirs: Some(theirs) });
        }
        (our, their) = (at + 1, other + 1);
    }
    rows
}

fn whole(line: &str) -> Vec<Piece> {
    vec![Piece { text: line.to_owned(), differs: true }]
}

/// Both lines, each in stretches that the other has or has not.
fn marked(ours: &str, theirs: &str) -> (Vec<Piece>, Vec<Piece>) {
    let (a, b): (Vec<char>, Vec<char>) = (ours.chars().collect(), theirs.chars().collect());
    let common = common(&a, &b);
    let pieces = |line: &[char], kept: &mut dyn Iterator<Item = usize>| {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut kept = kept.peekable();
        for (at, &c) in line.iter().enumerate() {
            let differs = kept.next_if_eq(&at).is_none();
            match pieces.last_mut() {
                Some(piece) if piece.differs == differs => piece.text.push(c),
                _ => pieces.push(Piece { text: c.into(), differs }),
            }
        }
        pieces
    };
    let (ours, theirs) = (
        pieces(&a, &mut common.iter().map(|&(at, _)| at)),
        pieces(&b, &mut common.iter().map(|&(_, at)| at)),
    );
    (ours, theirs)
}

/// The positions of a longest common subsequence; where that would take long, of what both begin and
/// end with.
fn common<T: PartialEq>(a: &[T], b: &[T]) -> Vec<(usize, usize)> {
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a_rest, b_rest) = (&a[start..], &b[start..]);
    let end = a_rest.iter().rev().zip(b_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a_mid, b_mid) = (&a_rest[..a_rest.len() - end], &b_rest[..b_rest.len() - end]);
    let mut pairs: Vec<(usize, usize)> = (0..start).map(|at| (at, at)).collect();
    if a_mid.len().saturating_mul(b_mid.len()) <= MOST_WORK {
        pairs.extend(longest(a_mid, b_mid).into_iter().map(|(a, b)| (start + a, start + b)));
    }
    pairs.extend((0..end).rev().map(|back| (a.len() - 1 - back, b.len() - 1 - back)));
    pairs
}

fn longest<T: PartialEq>(a: &[T], b: &[T]) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    // How long the longest of a[i..] and b[j..] is.
    let mut lengths = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i * width + j] = if a[i] == b[j] {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// So many comparisons are made for two lines.
const MOST_WORK: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// The line with what differs in brackets.
    fn shown(pieces: &Option<Vec<Piece>>) -> String {
        let Some(pieces) = pieces else { return "none".to_owned() };
        let shown = pieces.iter().map(
            |Piece { text, differs }| {
                if *differs { format!("[{text}]") } else { text.clone() }
            },
        );
        shown.collect()
    }

    fn differing(ours: &str, theirs: &str) -> Vec<(String, String, String)> {
        let rows = canonical_requests(ours, theirs);
        let rows = rows.iter().filter(|row| !row.is_same());
        rows.map(|row| (row.part.to_string(), shown(&row.ours), shown(&row.theirs))).collect()
    }

    #[test]
    fn differences_are_marked_character_by_character() {
        let ours = "GET\n/a%20b\nx=1\nhost:h:80\n\nhost\nhash";
        let theirs = "GET\n/a+b\nx=1\nhost:h\n\nhost\nhash";
        let row = |part: &str, ours: &str, theirs: &str| (part.into(), ours.into(), theirs.into());
        assert_eq!(
            differing(ours, theirs),
            [row("path", "/a[%20]b", "/a[+]b"), row("header host", "host:h[:80]", "host:h"),]
        );
        assert_eq!(differing(ours, ours), []);
    }

    #[test]
    fn a_header_that_one_side_lacks_stands_alone() {
        let ours = "GET\n/\n\na:1\nb:2\n\na;b\nhash";
        let theirs = "GET\n/\n\nb:2\n\nb\nhash";
        let row = |part: &str, ours: &str, theirs: &str| (part.into(), ours.into(), theirs.into());
        assert_eq!(
            differing(ours, theirs),
            [row("header a", "[a:1]", "none"), row("signed headers", "[a;]b", "b")]
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_compared_at_its_ends() {
        let ours = format!("GET\n/{}x", "ab".repeat(5000));
        let theirs = format!("GET\n/{}x", "ba".repeat(5000));
        let differing = differing(&ours, &theirs);
        assert_eq!(differing.len(), 1);
        assert!(differing[0].1.starts_with("/[ab") && differing[0].1.ends_with("]x"));
    }

    #[test]
    fn strings_to_sign_are_compared_line_by_line() {
        let rows = strings_to_sign("A\n1\ns\nh", "A\n1\nt\nh\n");
        let parts: Vec<_> =
            rows.iter().filter(|row| !row.is_same()).map(|row| row.part.as_ref()).collect();
        assert_eq!(parts, ["scope", "more"]);
    }
}
