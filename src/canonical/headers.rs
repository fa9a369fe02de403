//! The canonical headers.

use std::cmp::Ordering;

use crate::bytes::{any_run, any_up_to, lower, split_at};

/// The headers that a signature covers, sorted by name; repeats keep their order.
///
/// Names and values are borrowed as they were received and written in canonical form.
pub(crate) struct Lines<'a> {
    few: [Line<'a>; FEW],
    len: usize,
    /// All of them, once there are more than a few.
    many: Vec<Line<'a>>,
}

/// How many lines fit without an allocation.
const FEW: usize = 24;

#[derive(Clone, Copy, Default)]
struct Line<'a> {
    name: Name<'a>,
    value: &'a [u8],
}

/// A header's name, which sorts as it does in lower case.
#[derive(Clone, Copy, Default)]
pub(crate) struct Name<'a> {
    /// The first bytes in lower case, so that most comparisons are of one number. Lines that were not sorted
    /// have none, which is alike for all of them.
    order: u64,
    text: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(crate) fn new() -> Lines<'a> {
        Lines { few: [Line::default(); FEW], len: 0, many: Vec::new() }
    }

    /// Adds a header; the name in any case.
    pub(crate) fn push(&mut self, name: &'a [u8], value: &'a [u8]) {
        let line = Line { name: Name { order: 0, text: name }, value };
        if self.len < FEW {
            self.few[self.len] = line;
        } else {
            if self.many.is_empty() {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push(line);
        }
        self.len += 1;
    }

    /// Sorts by name. Lines of one name stay in the order in which they came.
    pub(crate) fn sort(&mut self) {
        let lines = self.as_mut_slice();
        lines.iter_mut().for_each(|line| line.name = Name::new(line.name.text));
        lines.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// The same, and tells into an empty `swaps` with which line each one changes places, one after the other:
    /// so [`Lines::swap`] sorts other lines of these names.
    pub(crate) fn sort_by_swaps(&mut self, swaps: &mut Vec<usize>) {
        let lines = self.as_mut_slice();
        lines.iter_mut().for_each(|line| line.name = Name::new(line.name.text));
        swaps.extend(0..lines.len());
        swaps.sort_unstable_by(|&a, &b| lines[a].name.cmp(&lines[b].name).then(a.cmp(&b)));
        for at in 0..swaps.len() {
            // Where the line is now that belongs here: what stood there may have made way for others.
            while swaps[at] < at {
                swaps[at] = swaps[swaps[at]];
            }
        }
        self.swap(swaps);
    }

    /// Sorts lines whose names are those of the ones from which `swaps` were made.
    pub(crate) fn swap(&mut self, swaps: &[usize]) {
        let lines = self.as_mut_slice();
        for (at, &with) in swaps.iter().enumerate() {
            lines.swap(at, with);
        }
    }

    /// Keeps of the sorted lines those of `names`, which are sorted too, in lower case, each there once
    /// and with `;` between them; whether all of these have a line. `left_out` sees the names of the
    /// lines that go.
    pub(crate) fn keep(&mut self, names: &[u8], mut left_out: impl FnMut(&'a [u8])) -> bool {
        let lines = self.as_mut_slice();
        let (mut read, mut kept) = (0, 0);
        let mut all_there = true;
        let mut rest = Some(names);
        while let Some(names) = rest {
            let before = kept;
            // Most often the next name is the next line's.
            let next = lines.get(read).filter(|line| is_first(line.name.text, names));
            let name = match next {
                Some(&line) => {
                    rest = names.get(line.name.text.len() + 1..);
                    lines[kept] = line;
                    (kept, read) = (kept + 1, read + 1);
                    line.name
                }
                None => {
                    let (name, behind) = split_at(names, b';');
                    rest = behind;
                    Name::new(name)
                }
            };
            while let Some(&line) = lines.get(read) {
                match line.name.cmp(&name) {
                    Ordering::Equal => {
                        lines[kept] = line;
                        kept += 1;
                    }
                    Ordering::Less => left_out(line.name.text),
                    Ordering::Greater => break,
                }
                read += 1;
            }
            all_there &= kept > before;
        }
        lines[read..].iter().for_each(|line| left_out(line.name.text));
        self.len = kept;
        self.many.truncate(kept);
        all_there
    }

    /// The values of the lines of this name, in lower case, in the order in which they came.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_bytes();
        let is_name = move |line: &&Line<'_>| line.name.text.eq_ignore_ascii_case(name);
        self.as_slice().iter().filter(is_name).map(|line| line.value)
    }

    /// An upper bound on what [`Lines::write`] and [`Lines::write_names`] append together.
    pub(crate) fn bound(&self) -> usize {
        self.as_slice().iter().map(|line| 2 * line.name.text.len() + line.value.len() + 3).sum()
    }

    /// Appends one `name:value` line for each name, the values of repeats joined with commas. `names` is
    /// what [`Lines::write_names`] wrote.
    pub(crate) fn write(&self, mut names: &[u8], out: &mut Vec<u8>) {
        let mut last: Option<&Line<'_>> = None;
        for line in self.as_slice() {
            if last.is_some_and(|last| last.name == line.name) {
                // Takes back the end of the line that this value goes on.
                out.pop();
                out.push(b',');
            } else {
                let (name, behind) = names.split_at(line.name.text.len());
                out.extend_from_slice(name);
                out.push(b':');
                names = behind.get(1..).unwrap_or_default();
            }
            write_folded(line.value, out);
            out.push(b'\n');
            last = Some(line);
        }
    }

    /// Appends the names, each once, with `;` between them.
    pub(crate) fn write_names(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for name in self.names() {
            out.extend_from_slice(name);
            out.push(b';');
        }
        out.truncate(out.len().saturating_sub(1).max(start));
        out[start..].make_ascii_lowercase();
    }

    fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut last: Option<&Line<'_>> = None;
        self.as_slice().iter().filter_map(move |line| {
            let is_repeat = last.is_some_and(|last| last.name == line.name);
            last = Some(line);
            (!is_repeat).then_some(line.name.text)
        })
    }

    fn as_slice(&self) -> &[Line<'a>] {
        if self.many.is_empty() { &self.few[..self.len] } else { &self.many }
    }

    fn as_mut_slice(&mut self) -> &mut [Line<'a>] {
        if self.many.is_empty() { &mut self.few[..self.len] } else { &mut self.many }
    }
}

impl<'a> Name<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Name<'a> {
        // Names hold no NUL, so what a short one is filled up with sorts before any byte of a longer one.
        let first = match (text.first_chunk(), text.first_chunk(), text.last_chunk()) {
            (Some(eight), _, _) => u64::from_be_bytes(*eight),
            (None, Some(first), Some(last)) => {
                // The last four overlap with the first four, or stand right behind them.
                let last = u64::from(u32::from_be_bytes(*last)) << (64 - 8 * text.len());
                u64::from(u32::from_be_bytes(*first)) << 32 | last
            }
            _ => text.iter().rev().fold(0, |order, &byte| order >> 8 | u64::from(byte) << 56),
        };
        let order = u64::from_be_bytes(lower(first.to_be_bytes()));
        Name { order, text }
    }
}

/// Whether `name`, as it is written, is the first of `names`, between which stands `;`.
fn is_first(name: &[u8], names: &[u8]) -> bool {
    matches!(names.get(name.len()), None | Some(b';')) && names.starts_with(name)
}

impl Ord for Name<'_> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (*self, *other);
        // No call to itself: names may be as long as a request.
        loop {
            let order = a.order.cmp(&b.order);
            if order.is_ne() {
                return order;
            }
            match (a.text.get(8..), b.text.get(8..)) {
                (Some(rest), Some(other)) => (a, b) = (Name::new(rest), Name::new(other)),
                _ => return a.text.len().cmp(&b.text.len()),
            }
        }
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
            && (self.text == other.text || self.text.eq_ignore_ascii_case(other.text))
    }
}

impl Eq for Name<'_> {}

/// Appends a value without the blanks around it, each run of blanks within it as one space.
///
/// Blanks are SP and HTAB. Every other byte stays, a no-break space too; quotes protect nothing.
fn write_folded(value: &[u8], out: &mut Vec<u8>) {
    // Most values hold no blank, which takes fewer comparisons to tell than that none is folded.
    if !any_up_to(value, b' ') {
        out.extend_from_slice(value);
        return;
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let is_folded = |[a, b]: [u8; 2]| (b == b'\t') | ((a == b' ') & (b == b' '));
    let is_trimmed = !value.first().is_some_and(is_blank) && !value.last().is_some_and(is_blank);
    if is_trimmed && !any_run(value, is_folded) {
        out.extend_from_slice(value);
        return;
    }
    let Some(first) = value.iter().position(|byte| !is_blank(byte)) else {
        return;
    };
    let mut rest = &value[first..];
    loop {
        // Up to the next byte at which something is to be folded: a tab, or a blank behind a blank.
        let end = rest
            .windows(2)
            .position(|pair| is_blank(&pair[0]) && (pair[0] == b'\t' || is_blank(&pair[1])))
            .unwrap_or(rest.len());
        out.extend_from_slice(&rest[..end]);
        let Some(next) = rest[end..].iter().position(|byte| !is_blank(byte)) else {
            break;
        };
        out.push(b' ');
        rest = &rest[end + next..];
    }
    while out.last().is_some_and(is_blank) {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_folded(value, &mut out);
        out
    }

    #[test]
    fn blanks_are_trimmed_and_folded() {
        for (value, expected) in [
            (&b""[..], &b""[..]),
            (b" \t ", b""),
            (b"a", b"a"),
            (b"a ", b"a"),
            (b"a\t", b"a"),
            (b" a b ", b"a b"),
            (b"a    b", b"a b"),
            (b"a\tb", b"a b"),
            (b"a \t b\t", b"a b"),
            (b"\"a  b\"  ", b"\"a b\""),
            (b"\xc2\xa0a  b\xc2\xa0", b"\xc2\xa0a b\xc2\xa0"),
            (b"a: b, c", b"a: b, c"),
        ] {
            assert_eq!(fold(value), expected, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn lines_are_sorted_by_name_and_repeats_keep_their_order() {
        let mut lines = Lines::new();
        for (name, value) in [
            ("X-Amz-Meta-B", "2"),
            ("a-b", "x"),
            ("x-amz-meta-b", "1"),
            ("A", " y "),
            ("x-amz-meta", ""),
        ] {
            lines.push(name.as_bytes(), value.as_bytes());
        }
        lines.sort();
        let (mut out, mut names) = (Vec::new(), Vec::new());
        lines.write_names(&mut names);
        lines.write(&names, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "a:y\na-b:x\nx-amz-meta:\nx-amz-meta-b:2,1\n");
        assert_eq!(String::from_utf8_lossy(&names), "a;a-b;x-amz-meta;x-amz-meta-b");
        assert!(out.len() + names.len() <= lines.bound());
    }

    #[test]
    fn lines_are_kept_by_name() {
        for more in [0, 3 * FEW] {
            let names: Vec<String> = (0..more).map(|n| format!("z{n}")).collect();
            let mut lines = Lines::new();
            for name in ["B", "a", "c", "b", "x-long-name-2", "X-Long-Name-1", "d"] {
                lines.push(name.as_bytes(), b"v");
            }
            names.iter().for_each(|name| lines.push(name.as_bytes(), b"v"));
            lines.sort();
            let mut left_out = Vec::new();
            assert!(!lines.keep(b"b;bb;d;x-long-name-1", |name| left_out.push(name)));
            assert_eq!(left_out[..3], [&b"a"[..], b"c", b"x-long-name-2"]);
            assert_eq!(left_out.len(), 3 + more);
            let mut out = Vec::new();
            lines.write(b"b;d;x-long-name-1", &mut out);
            assert_eq!(String::from_utf8_lossy(&out), "b:v,v\nd:v\nx-long-name-1:v\n");
            assert!(lines.keep(b"b;d;x-long-name-1", |_| panic!("all are wanted")));
            assert!(!lines.keep(b"", |_| {}));
            assert_eq!(lines.bound(), 0);
        }
    }

    #[test]
    fn more_than_a_few_lines_are_kept_too() {
        let names: Vec<String> = (0..3 * FEW).map(|n| format!("x-{:03}", 999 - n)).collect();
        let mut lines = Lines::new();
        for name in &names {
            lines.push(name.as_bytes(), b"v");
        }
        lines.sort();
        let mut out = Vec::new();
        lines.write_names(&mut out);
        let mut expected: Vec<&str> = names.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(String::from_utf8_lossy(&out), expected.join(";"));
    }
}
