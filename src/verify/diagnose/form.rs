//! The form in which a client may have signed a request, right or wrong, and its text.

use percent_encoding::percent_decode;

use super::request::{Line, Parameter, Received};
use crate::{canonical::normalize, sha256};

/// All that decides what is signed: one choice for each part.
#[derive(Clone, Copy)]
pub(super) struct Form<'w> {
    pub(super) method: &'w [u8],
    pub(super) path: PathForm<'w>,
    pub(super) query: QueryForm<'w>,
    pub(super) headers: HeaderForm<'w>,
    /// `None`: the canonical request ends behind the names of the headers.
    pub(super) payload: Option<&'w [u8]>,
    pub(super) line_end: &'static str,
    pub(super) request_end: &'static str,
    pub(super) text: TextForm<'w>,
    pub(super) key: KeyForm<'w>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PathForm<'w> {
    pub(super) source: &'w [u8],
    pub(super) is_normalized: bool,
    /// Without the final slash that stands for dots at the end.
    pub(super) drops_final_slash: bool,
    pub(super) coding: Coding,
    pub(super) style: Style,
}

/// How often a path is encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Decoded,
    Once,
    Thrice,
    Twice,
    Verbatim,
}

/// How bytes are percent-encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `!'()*` stay, as `encodeURIComponent` leaves them.
    KeepMarks,
    /// All stay that may stand in a path or a query.
    KeepReserved,
    KeepSlash,
    LowerHex,
    Nothing,
    PlusForSpace,
    SlashToo,
    Strict,
    TildeToo,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct QueryForm<'w> {
    /// In place of all else.
    pub(super) text: Option<&'w [u8]>,
    pub(super) select: Select,
    pub(super) decode: Decode,
    pub(super) style: Style,
    pub(super) order: Order,
    /// Whether a parameter without a `=` gets one.
    pub(super) adds_equals: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Select {
    All,
    First,
    Last,
    WithValue,
    Without(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Decode {
    Form,
    NamesAlone,
    Nothing,
    PlusKept,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    AsText,
    ByDecoded,
    ByName,
    IgnoringCase,
    Pairs,
    Unsorted,
}

#[derive(Clone, Copy)]
pub(super) struct HeaderForm<'w> {
    pub(super) values: Values,
    pub(super) repeats: Repeats,
    pub(super) order: LineOrder,
    pub(super) names: Names,
    pub(super) has_blank_line: bool,
    pub(super) edits: [Option<&'w Edit>; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    Folded,
    FromLatin1,
    LowerCase,
    ToLatin1,
    Trimmed,
    Verbatim,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    First,
    Joined,
    Last,
    OnLines,
    Sorted,
    Spaced,
}

/// The order of the header lines and of their names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LineOrder {
    AsListed,
    NamesAsListed,
    Sorted,
    SortedAsText,
}

/// A header as it is written; without a value it is a name alone.
struct Written<'h> {
    name: &'h str,
    sent: &'h str,
    value: Option<Vec<u8>>,
    is_listed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    AsSentInLines,
    LowerCase,
    TitleCase,
    TitleCaseInLines,
}

/// What becomes of one header.
pub(super) struct Edit {
    pub(super) name: String,
    /// `None`: its line is left out.
    pub(super) value: Option<Vec<u8>>,
    pub(super) is_listed: bool,
}

/// The string to sign.
#[derive(Clone, Copy)]
pub(super) struct TextForm<'w> {
    pub(super) algorithm: &'w str,
    pub(super) time: &'w str,
    pub(super) date: &'w str,
    /// `None` where the algorithm's scope names none.
    pub(super) region: Option<&'w str>,
    pub(super) service: &'w str,
    pub(super) terminator: &'w str,
    pub(super) is_hash_upper: bool,
    pub(super) end: &'static str,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct KeyForm<'w> {
    pub(super) secret: &'w str,
    pub(super) prefix: &'static str,
    pub(super) date: &'w str,
    pub(super) region: &'w str,
    pub(super) service: &'w str,
    pub(super) terminator: &'w str,
    pub(super) is_hex: bool,
}

/// What a form comes to: reused from one trial to the next.
#[derive(Default)]
pub(super) struct Texts<'w> {
    pub(super) request: Vec<u8>,
    pub(super) string: Vec<u8>,
    path: Option<(PathForm<'w>, Vec<u8>)>,
    query: Option<(QueryForm<'w>, Vec<u8>)>,
}

impl<'w> Texts<'w> {
    pub(super) fn write(&mut self, form: &Form<'w>, received: &Received<'_>) {
        let Texts { request: out, string, path, query } = self;
        let end = form.line_end.as_bytes();
        let mut put = |text: &[u8], line_end: &[u8]| {
            out.extend_from_slice(text);
            out.extend_from_slice(line_end);
        };
        // Most trials leave path and query as the one before had them.
        if path.as_ref().is_none_or(|(last, _)| *last != form.path) {
            *path = Some((form.path, form.path.text()));
        }
        if query.as_ref().is_none_or(|(last, _)| *last != form.query) {
            *query = Some((form.query, form.query.text(received)));
        }
        let (path, query) = (path.as_ref(), query.as_ref());
        put(form.method, end);
        put(path.map_or(b"", |(_, text)| text), end);
        put(query.map_or(b"", |(_, text)| text), end);
        form.headers.write(received, end, &mut put);
        if let Some(payload) = form.payload {
            put(end, b"");
            put(payload, b"");
        }
        put(form.request_end.as_bytes(), b"");

        let TextForm { algorithm, time, date, region, service, terminator, .. } = form.text;
        let mut hash = sha256::hex(&sha256::digest(out));
        if form.text.is_hash_upper {
            hash.make_ascii_uppercase();
        }
        let slash = if terminator.is_empty() { "" } else { "/" };
        let (region, behind) = region.map_or(("", ""), |region| (region, "/"));
        let line_end = form.line_end;
        let parts = [
            algorithm, line_end, time, line_end, date, "/", region, behind, service, slash,
            terminator, line_end,
        ];
        parts.iter().for_each(|part| string.extend_from_slice(part.as_bytes()));
        string.extend_from_slice(&hash);
        string.extend_from_slice(form.text.end.as_bytes());
    }

    pub(super) fn clear(&mut self) {
        self.request.clear();
        self.string.clear();
    }
}

impl PathForm<'_> {
    pub(super) fn text(&self) -> Vec<u8> {
        let mut path = self.source.to_vec();
        if self.is_normalized {
            path.clear();
            normalize(self.source, &mut path);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        if self.drops_final_slash && path.len() > 1 {
            path.pop();
        }
        let encode = |text: &[u8], style| {
            let mut out = Vec::with_capacity(3 * text.len());
            write_encoded(text, style, b"/", &mut out);
            out
        };
        let decoded = |text: &[u8]| percent_decode(text).collect::<Vec<u8>>();
        match (self.coding, self.style) {
            (Coding::Decoded, _) => decoded(&path),
            (Coding::Once, style) => encode(&decoded(&path), style),
            // What these write is encoded again, as the wire's own escapes are.
            (Coding::Twice, style @ (Style::PlusForSpace | Style::SlashToo)) => {
                encode(&encode(&decoded(&path), style), Style::Strict)
            }
            (Coding::Twice, style) => encode(&path, style),
            (Coding::Thrice, style) => encode(&encode(&path, style), style),
            (Coding::Verbatim, _) => path,
        }
    }
}

impl QueryForm<'_> {
    fn text(&self, received: &Received<'_>) -> Vec<u8> {
        if let Some(text) = self.text {
            return text.to_vec();
        }
        let pieces = &received.parameters;
        let is_among = |name: &[u8], others: &[Parameter<'_>]| {
            others.iter().any(|other| percent_decode(other.name).eq(percent_decode(name)))
        };
        let kept = pieces.iter().enumerate().filter(|(at, piece)| match self.select {
            Select::All => true,
            Select::First => !is_among(piece.name, &pieces[..*at]),
            Select::Last => !is_among(piece.name, &pieces[at + 1..]),
            Select::WithValue => !piece.value.unwrap_or_default().is_empty(),
            Select::Without(left_out) => *at != left_out,
        });
        let names_decode = match self.decode {
            Decode::NamesAlone => Decode::Form,
            decode => decode,
        };
        let mut all: Vec<(Vec<u8>, Vec<u8>, &Parameter<'_>)> = kept
            .map(|(_, piece)| {
                let value = piece.value.unwrap_or_default();
                let coded = |raw, decode| recoded(raw, decode, self.style);
                (coded(piece.name, names_decode), coded(value, self.decode), piece)
            })
            .collect();
        match self.order {
            Order::AsText => {
                all.sort_by_cached_key(|(name, value, _)| [name, &b"="[..], value].concat());
            }
            Order::ByDecoded => all.sort_by_cached_key(|(_, _, piece)| {
                let decoded = |raw| percent_decode(raw).collect::<Vec<u8>>();
                (decoded(piece.name), decoded(piece.value.unwrap_or_default()))
            }),
            Order::ByName => all.sort_by(|a, b| a.0.cmp(&b.0)),
            Order::IgnoringCase => all.sort_by_cached_key(|(name, value, _)| {
                (name.to_ascii_lowercase(), value.to_ascii_lowercase())
            }),
            Order::Pairs => all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1))),
            Order::Unsorted => {}
        }
        let mut out = Vec::new();
        for (name, value, piece) in &all {
            out.extend_from_slice(if out.is_empty() { b"" } else { b"&" });
            out.extend_from_slice(name);
            out.extend_from_slice(if self.adds_equals || piece.value.is_some() {
                b"="
            } else {
                b""
            });
            out.extend_from_slice(value);
        }
        out
    }
}

/// A name or a value of a query, decoded and encoded anew.
fn recoded(raw: &[u8], decode: Decode, style: Style) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 * raw.len());
    match decode {
        Decode::Form => {
            let spaced: Vec<u8> =
                raw.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
            let decoded: Vec<u8> = percent_decode(&spaced).collect();
            write_encoded(&decoded, style, b"", &mut out);
        }
        Decode::PlusKept => {
            let decoded: Vec<u8> = percent_decode(raw).collect();
            write_encoded(&decoded, style, b"", &mut out);
        }
        Decode::NamesAlone | Decode::Nothing => write_encoded(raw, style, b"", &mut out),
    }
    out
}

impl HeaderForm<'_> {
    /// Hands the header lines, the line behind them and their names to `put`.
    fn write(&self, received: &Received<'_>, end: &[u8], put: &mut impl FnMut(&[u8], &[u8])) {
        let edit = |name: &str| self.edits.iter().flatten().find(|edit| edit.name == name);
        let mut lines: Vec<Written<'_>> = Vec::with_capacity(received.lines.len() + 2);
        for Line { name, sent, values } in &received.lines {
            let value = match edit(name) {
                Some(Edit { value: None, is_listed: false, .. }) => continue,
                Some(edit) => edit.value.clone(),
                None if values.is_empty() => continue,
                None => Some(self.joined(values, name, end)),
            };
            lines.push(Written { name, sent, value, is_listed: true });
        }
        for Edit { name, value, is_listed } in self.edits.iter().flatten() {
            if received.lines.iter().all(|line| line.name != *name) {
                let (value, is_listed) = (value.clone(), *is_listed);
                lines.push(Written { name, sent: name, value, is_listed });
            }
        }
        let mut order: Vec<usize> = (0..lines.len()).collect();
        let mut names = order.clone();
        if !matches!(self.order, LineOrder::AsListed) {
            order.sort_by_key(|&at| lines[at].name);
        }
        if !matches!(self.order, LineOrder::AsListed | LineOrder::NamesAsListed) {
            names.clone_from(&order);
        }
        if self.order == LineOrder::SortedAsText {
            order.sort_by_cached_key(|&at| {
                let Written { name, value, .. } = &lines[at];
                [name.as_bytes(), b":", value.as_deref().unwrap_or_default()].concat()
            });
        }
        for line in order.into_iter().map(|at| &lines[at]) {
            let Some(value) = &line.value else { continue };
            match self.names {
                Names::AsSentInLines => put(line.sent.as_bytes(), b":"),
                Names::LowerCase => put(line.name.as_bytes(), b":"),
                Names::TitleCase | Names::TitleCaseInLines => {
                    put(title_case(line.name).as_bytes(), b":");
                }
            }
            put(value, end);
        }
        if self.has_blank_line {
            put(end, b"");
        }
        let names = names.into_iter().map(|at| &lines[at]).filter(|line| line.is_listed);
        for (at, line) in names.enumerate() {
            put(if at == 0 { b"" } else { b";" }, b"");
            match self.names {
                Names::TitleCase => put(title_case(line.name).as_bytes(), b""),
                Names::AsSentInLines | Names::LowerCase | Names::TitleCaseInLines => {
                    put(line.name.as_bytes(), b"");
                }
            }
        }
    }

    fn joined(&self, values: &[&[u8]], name: &str, end: &[u8]) -> Vec<u8> {
        let mut values: Vec<Vec<u8>> = values.iter().map(|value| self.value(value)).collect();
        match self.repeats {
            Repeats::First => values.truncate(1),
            Repeats::Last => _ = values.drain(..values.len() - 1),
            Repeats::Sorted => values.sort_unstable(),
            Repeats::Joined | Repeats::OnLines | Repeats::Spaced => {}
        }
        match self.repeats {
            Repeats::OnLines => values.join(&[end, name.as_bytes(), b":"].concat()[..]),
            Repeats::Spaced => values.join(&b", "[..]),
            _ => values.join(&b","[..]),
        }
    }

    fn value(&self, value: &[u8]) -> Vec<u8> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let folded = || {
            let words = value.split(is_blank).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(&b' ')
        };
        match self.values {
            Values::Folded => folded(),
            Values::FromLatin1 => {
                folded().iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes()
            }
            Values::LowerCase => folded().to_ascii_lowercase(),
            Values::ToLatin1 => {
                let bytes = folded();
                let latin1 = str::from_utf8(&bytes)
                    .ok()
                    .and_then(|text| text.chars().map(|c| u8::try_from(c).ok()).collect());
                latin1.unwrap_or(bytes)
            }
            Values::Trimmed => {
                let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
                let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |at| at + 1);
                value[start..end].to_vec()
            }
            Values::Verbatim => value.to_vec(),
        }
    }
}

/// Appends `text`, each byte encoded that the style does not leave; `slash` stays but for one style.
pub(super) fn write_encoded(text: &[u8], style: Style, slash: &[u8], out: &mut Vec<u8>) {
    if style == Style::Nothing {
        out.extend_from_slice(text);
        return;
    }
    let digits: &[u8; 16] =
        if style == Style::LowerHex { b"0123456789abcdef" } else { b"0123456789ABCDEF" };
    for (at, &byte) in text.iter().enumerate() {
        let stays = match byte {
            b'~' => style != Style::TildeToo,
            b'-' | b'.' | b'_' => true,
            b'/' if slash.contains(&byte) => style != Style::SlashToo || at == 0,
            b'/' => matches!(style, Style::KeepSlash | Style::KeepReserved),
            b'!' | b'\'' | b'(' | b')' | b'*' => {
                matches!(style, Style::KeepMarks | Style::KeepReserved)
            }
            b':' | b'@' | b'$' | b',' | b';' => style == Style::KeepReserved,
            b'=' | b'+' | b'&' => style == Style::KeepReserved && !slash.is_empty(),
            b'?' => style == Style::KeepReserved && slash.is_empty(),
            byte => byte.is_ascii_alphanumeric(),
        };
        match byte {
            byte if stays => out.push(byte),
            b' ' if style == Style::PlusForSpace => out.push(b'+'),
            byte => {
                let digit = |four_bits: u8| digits[usize::from(four_bits)];
                out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

/// `x-amz-date` as `X-Amz-Date`.
fn title_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        let first = out.is_empty() || out.ends_with('-');
        out.push(if first { c.to_ascii_uppercase() } else { c });
    }
    out
}
