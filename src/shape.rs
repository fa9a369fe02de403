//! What a request's headers have in common with those of the one before.

use std::{mem, sync::Arc};

use crate::{
    Rules,
    canonical::Lines,
    unsigned::{self, Fate},
};

/// The names of the last request's headers, and what came of them.
///
/// Most requests have headers of the same names as the one that was signed before. Then it is known what
/// becomes of each, how they are sorted, and how their names are written. A verifier has no such memory: how
/// long it takes would tell what others sent. (Who signs for several clients lets each of them time whether its headers
/// have the names of the last request's, and never more than names.)
#[derive(Default)]
pub(crate) struct Shape {
    chooser: Option<Chooser>,
    /// The names as they came, the signer's own behind the caller's, with nothing between them.
    text: Vec<u8>,
    seen: Vec<Seen>,
    /// How the lines are [sorted](Lines::sort_by_swaps); empty if that is not known.
    swaps: Vec<usize>,
    /// The names of the signed headers, as [`Lines::write_names`] writes them.
    names: String,
}

/// What decides which of the caller's headers are signed, beside their names.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Chooser {
    pub(crate) rules: Rules,
    /// Whether no more of them are than AWS insists on.
    pub(crate) minimal: bool,
    pub(crate) left_out: Arc<[String]>,
}

impl Chooser {
    /// All that these rules let sign.
    pub(crate) fn new(rules: Rules) -> Chooser {
        Chooser { rules, minimal: false, left_out: Arc::default() }
    }

    /// What becomes of the caller's header with this name.
    pub(crate) fn fate(&self, name: &[u8]) -> Fate {
        match unsigned::fate(name, self.rules) {
            Fate::Signed if !self.takes(name) => Fate::Unsigned,
            fate => fate,
        }
    }

    fn takes(&self, name: &[u8]) -> bool {
        if self.minimal && !unsigned::is_essential(name) {
            return false;
        }
        !self.left_out.iter().any(|out| out.as_bytes().eq_ignore_ascii_case(name))
    }
}

#[derive(Clone, Copy)]
struct Seen {
    /// Where the name ends.
    end: usize,
    /// `None` if the signer wrote the header.
    fate: Option<Fate>,
}

/// Looks at one name after the other, and whether it is the one that came last time.
pub(crate) struct Names<'s> {
    shape: &'s mut Shape,
    /// How many were looked at.
    count: usize,
    /// Where the next one begins.
    start: usize,
}

impl Shape {
    /// For the headers of another request, of which these are signed.
    pub(crate) fn names(&mut self, chooser: &Chooser) -> Names<'_> {
        if self.chooser.as_ref() != Some(chooser) {
            self.chooser = Some(chooser.clone());
            self.forget(0, 0);
        }
        Names { shape: self, count: 0, start: 0 }
    }

    /// How many bytes it holds room for.
    pub(crate) fn size(&self) -> usize {
        let seen = self.seen.capacity() * size_of::<Seen>();
        let swaps = self.swaps.capacity() * size_of::<usize>();
        self.text.capacity() + self.names.capacity() + seen + swaps
    }

    /// Forgets all but so many names, which end at `end`.
    fn forget(&mut self, count: usize, end: usize) {
        self.seen.truncate(count);
        self.text.truncate(end);
        self.swaps.clear();
    }
}

impl<'s> Names<'s> {
    /// What becomes of the header with the next name, as far as that is known.
    #[inline]
    pub(crate) fn fate(&mut self, name: &[u8]) -> Option<Fate> {
        let fate = self.seen(name)?.fate?;
        self.pass(name);
        Some(fate)
    }

    /// Notes what becomes of it.
    pub(crate) fn learn(&mut self, name: &[u8], fate: Fate) {
        self.note(name, Some(fate));
    }

    /// Notes a header that the signer writes itself.
    #[inline]
    pub(crate) fn own(&mut self, name: &[u8]) {
        match self.seen(name) {
            Some(Seen { fate: None, .. }) => self.pass(name),
            _ => self.note(name, None),
        }
    }

    /// Sorts the lines, which are all that are signed, and tells their names.
    pub(crate) fn sort(self, lines: &mut Lines<'_>) -> &'s str {
        let Names { shape, count, start } = self;
        if count < shape.seen.len() {
            shape.forget(count, start);
        }
        if shape.swaps.is_empty() {
            lines.sort_by_swaps(&mut shape.swaps);
            let mut names = mem::take(&mut shape.names).into_bytes();
            names.clear();
            lines.write_names(&mut names);
            shape.names = String::from_utf8(names).expect("tokens are ASCII");
        } else {
            lines.swap(&shape.swaps);
        }
        &shape.names
    }

    fn seen(&self, name: &[u8]) -> Option<Seen> {
        let seen = *self.shape.seen.get(self.count)?;
        (self.shape.text[self.start..seen.end] == *name).then_some(seen)
    }

    fn pass(&mut self, name: &[u8]) {
        self.count += 1;
        self.start += name.len();
    }

    #[cold]
    fn note(&mut self, name: &[u8], fate: Option<Fate>) {
        self.shape.forget(self.count, self.start);
        self.shape.text.extend_from_slice(name);
        self.pass(name);
        self.shape.seen.push(Seen { end: self.start, fate });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a request whose headers have these names, the last of which are the signer's own.
    fn lines(shape: &mut Shape, chooser: &Chooser, names: &[&str], own: &[&str]) -> String {
        let mut lines = Lines::new();
        let mut seen = shape.names(chooser);
        for name in names {
            let fate = seen.fate(name.as_bytes()).unwrap_or_else(|| {
                let fate = chooser.fate(name.as_bytes());
                seen.learn(name.as_bytes(), fate);
                fate
            });
            if fate == Fate::Signed {
                lines.push(name.as_bytes(), b"v");
            }
        }
        for name in own {
            seen.own(name.as_bytes());
            lines.push(name.as_bytes(), b"own");
        }
        let names = seen.sort(&mut lines);
        let mut out = Vec::new();
        lines.write(names.as_bytes(), &mut out);
        format!("{names}\n{}", String::from_utf8_lossy(&out))
    }

    #[test]
    fn what_is_remembered_of_other_requests_changes_nothing() {
        let all = Chooser::new(Rules::GENERAL);
        let minimal = Chooser { minimal: true, ..all.clone() };
        let without_b = Chooser { left_out: Arc::new(["B".to_owned()]), ..all.clone() };
        let requests: [(&[&str], &[&str]); 9] = [
            (&["b", "User-Agent", "a"], &["host", "x-amz-date"]),
            (&["b", "User-Agent", "a"], &["host"]),
            (&["b", "user-agent", "a"], &["host", "x-amz-date"]),
            (&["b", "User-Agent"], &["host", "x-amz-date"]),
            (&["b", "User-Agent", "a", "B", "a"], &["host", "x-amz-date"]),
            (&["host", "b"], &["host", "x-amz-date"]),
            (&[], &["host", "b"]),
            (&["bUser-Agenta"], &["host"]),
            (&["c", "content-type", "x-amz-b", "d", "A-b", "a"], &["host", "x-amz-date"]),
        ];
        for chooser in [&all, &minimal, &without_b] {
            let mut shape = Shape::default();
            for before in [&all, &minimal, &without_b] {
                for (first, then) in
                    requests.iter().flat_map(|a| requests.iter().map(move |b| (a, b)))
                {
                    lines(&mut shape, before, first.0, first.1);
                    let expected = lines(&mut Shape::default(), chooser, then.0, then.1);
                    for _ in 0..2 {
                        let again = lines(&mut shape, chooser, then.0, then.1);
                        assert_eq!(again, expected, "{then:?} behind {first:?}");
                    }
                }
            }
        }
    }
}
