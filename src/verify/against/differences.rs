//! Two canonical requests and two strings to sign, line beside line.

use std::{borrow::Cow, collections::BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Cause, Comparison, Line};
use crate::{
    Payload, Rules,
    canonical::query,
    unsigned::{Fate, fate},
};

/// A canonical request taken apart; what is missing is empty.
pub(super) struct Parts<'t> {
    method: &'t str,
    path: &'t str,
    query: &'t str,
    headers: Vec<(&'t str, &'t str)>,
    pub(super) signed_headers: &'t str,
    payload: &'t str,
}

impl<'t> Parts<'t> {
    pub(super) fn parse(text: &'t str) -> Parts<'t> {
        let mut lines = text.split('\n');
        let mut next = || lines.next().unwrap_or_default();
        let (method, path, query) = (next(), next(), next());
        let headers = lines.by_ref().take_while(|line| !line.is_empty());
        let headers = headers.map(|line| line.split_once(':').unwrap_or((line, ""))).collect();
        let mut next = || lines.next().unwrap_or_default();
        Parts { method, path, query, headers, signed_headers: next(), payload: next() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&'t str> {
        self.headers.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// A parameter of the query, if its value needs no escape.
    pub(super) fn parameter(&self, name: &str) -> Option<&'t str> {
        pieces(self.query).find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    fn signs(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|other| other == name)
    }
}

/// What was found so far.
pub(super) struct Differences {
    pub(super) causes: Vec<Cause>,
    canonical_request: Vec<Line>,
    string_to_sign: Vec<Line>,
}

impl Differences {
    pub(super) fn new(causes: Vec<Cause>) -> Differences {
        Differences { causes, canonical_request: Vec::new(), string_to_sign: Vec::new() }
    }

    /// Adds a cause, once.
    pub(super) fn add(&mut self, cause: Cause) {
        if !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }

    pub(super) fn finish(self) -> Comparison {
        let Differences { causes, canonical_request, string_to_sign } = self;
        Comparison { causes, canonical_request, string_to_sign }
    }

    pub(super) fn canonical_request(&mut self, ours: &str, theirs: &str, service: &str) {
        let (ours, theirs) = (loosely_masked(ours), loosely_masked(theirs));
        let (ours, theirs) = (Parts::parse(&ours), Parts::parse(&theirs));
        let rules = Rules::for_service(service);
        let count = self.causes.len();
        self.canonical_line("method", Some(ours.method), Some(theirs.method));
        if ours.method != theirs.method {
            let (ours, theirs) = (ours.method.to_owned(), theirs.method.to_owned());
            self.add(Cause::MethodChanged { ours, theirs });
        }
        self.canonical_line("path", Some(ours.path), Some(theirs.path));
        if ours.path != theirs.path {
            let host = ours.header("host").unwrap_or_default();
            self.add(path_cause(ours.path, theirs.path, host, rules));
        }
        self.canonical_line("query", Some(ours.query), Some(theirs.query));
        if ours.query != theirs.query {
            self.query(ours.query, theirs.query);
        }
        self.headers(&ours, &theirs, rules);
        self.canonical_line(
            "signed headers",
            Some(ours.signed_headers),
            Some(theirs.signed_headers),
        );
        self.canonical_line("payload", Some(ours.payload), Some(theirs.payload));
        if ours.payload != theirs.payload {
            self.add(payload_cause(&ours, &theirs));
        }
        if self.causes.len() == count && ours.signed_headers != theirs.signed_headers {
            self.add(Cause::SignedHeadersDiffer);
        }
    }

    pub(super) fn string_to_sign(&mut self, ours: &str, theirs: &str) {
        let mut lines = (ours.split('\n'), theirs.split('\n'));
        for part in ["algorithm", "time", "scope", "hash"] {
            let (ours, theirs) = (lines.0.next(), lines.1.next());
            self.string_to_sign.extend(line(part, ours, theirs));
            let (Some(ours), Some(theirs)) = (ours, theirs) else { continue };
            if ours == theirs {
                continue;
            }
            match part {
                "algorithm" => {
                    let (ours, theirs) = (ours.to_owned(), theirs.to_owned());
                    self.add(Cause::AlgorithmDiffers { ours, theirs });
                }
                "time" => self.time(ours, theirs),
                "scope" => self.scope(ours, theirs),
                // It follows from the canonical request.
                _ => {}
            }
        }
    }

    pub(super) fn key(&mut self, ours: &str, theirs: &str) {
        if ours != theirs {
            self.add(Cause::KeyDiffers { ours: ours.to_owned(), theirs: theirs.to_owned() });
        }
    }

    fn canonical_line(&mut self, part: &'static str, ours: Option<&str>, theirs: Option<&str>) {
        self.canonical_request.extend(line(part, ours, theirs));
    }

    fn time(&mut self, ours: &str, theirs: &str) {
        self.add(Cause::TimeDiffers { ours: ours.to_owned(), theirs: theirs.to_owned() });
    }

    fn scope(&mut self, ours: &str, theirs: &str) {
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            (ours.split('/').collect(), theirs.split('/').collect());
        let ([day, region, service, end], [other_day, other_region, other_service, other_end]) =
            (&ours[..], &theirs[..])
        else {
            return self.add(Cause::ScopeDiffers);
        };
        if region != other_region {
            let (ours, theirs) = ((*region).to_owned(), (*other_region).to_owned());
            self.add(Cause::RegionDiffers { ours, theirs });
        }
        if service != other_service {
            let (ours, theirs) = ((*service).to_owned(), (*other_service).to_owned());
            self.add(Cause::ServiceDiffers { ours, theirs });
        }
        let is_told = self.causes.iter().any(|cause| matches!(cause, Cause::TimeDiffers { .. }));
        if end != other_end || (day != other_day && !is_told) {
            self.add(Cause::ScopeDiffers);
        }
    }

    fn query(&mut self, ours: &str, theirs: &str) {
        let mut theirs: Vec<_> = pieces(theirs).collect();
        let mut ours: Vec<_> = pieces(ours).collect();
        ours.retain(|piece| {
            let at = theirs.iter().position(|other| other == piece);
            at.map(|at| theirs.remove(at)).is_none()
        });
        if ours.is_empty() && theirs.is_empty() {
            return self.add(Cause::QueryReordered);
        }
        // The day of its scope follows from the time.
        ours.sort_by_key(|(name, _)| *name == query::CREDENTIAL);
        for (name, value) in ours {
            let same = |(other, _): &(&str, &str)| fully_decoded(other) == fully_decoded(name);
            // Of several with that name, the one that is the same but for its escapes.
            let akin = |other: &(&str, &str)| {
                same(other) && fully_decoded(other.1) == fully_decoded(value)
            };
            let at = theirs.iter().position(akin).or_else(|| theirs.iter().position(same));
            let other = at.map(|at| theirs.remove(at));
            self.parameter(name, value, other);
        }
        for (name, _) in theirs {
            match name {
                query::SECURITY_TOKEN | query::S3_SESSION_TOKEN => self.add(Cause::TokenUnexpected),
                _ => self.add(Cause::ParameterAdded { name: shown(name) }),
            }
        }
    }

    fn parameter(&mut self, name: &str, value: &str, theirs: Option<(&str, &str)>) {
        let is_token = matches!(name, query::SECURITY_TOKEN | query::S3_SESSION_TOKEN);
        let Some((other_name, other)) = theirs else {
            return self.add(match is_token {
                true => Cause::TokenMissing,
                false => Cause::ParameterDropped { name: shown(name) },
            });
        };
        match name {
            _ if is_token => return self.add(Cause::TokenDiffers),
            query::DATE => return self.time(value, other),
            // The headers themselves tell.
            query::SIGNED_HEADERS => return,
            query::CREDENTIAL => {
                let split = |text: &str| {
                    let text = percent_decode_str(text).decode_utf8_lossy().into_owned();
                    let (id, scope) = text.split_once('/').unwrap_or((&text, ""));
                    (id.to_owned(), scope.to_owned())
                };
                let ((id, scope), (other_id, other_scope)) = (split(value), split(other));
                self.key(&id, &other_id);
                if scope != other_scope {
                    self.scope(&scope, &other_scope);
                }
                return;
            }
            _ => {}
        }
        let (ours, theirs) = (format!("{name}={value}"), format!("{other_name}={other}"));
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let name = shown(name);
        self.add(if decoded(&theirs) == ours.as_bytes() {
            Cause::QueryEncodedAgain { name }
        } else if decoded(&ours) == theirs.as_bytes() && ours.contains("%25") {
            Cause::QueryDecoded { name }
        } else if decoded(&ours) == decoded(&theirs) {
            Cause::QueryEscapes { name }
        } else if spaceless(&ours) == spaceless(&theirs) {
            Cause::QueryPlus { name }
        } else if fully_decoded(&ours) == fully_decoded(&theirs) {
            Cause::QueryEscapes { name }
        } else {
            Cause::ParameterChanged { name }
        });
    }

    fn headers(&mut self, ours: &Parts<'_>, theirs: &Parts<'_>, rules: Rules) {
        let names: BTreeSet<&str> =
            ours.headers.iter().chain(&theirs.headers).map(|(name, _)| *name).collect();
        for name in names {
            let (value, other) = (ours.header(name), theirs.header(name));
            let whole = |value: Option<&str>| value.map(|value| format!("{name}:{value}"));
            self.canonical_line("header", whole(value).as_deref(), whole(other).as_deref());
            if value != other {
                self.header(name, value, other, theirs.signs(name), rules);
            }
        }
    }

    fn header(
        &mut self,
        name: &str,
        ours: Option<&str>,
        theirs: Option<&str>,
        is_signed: bool,
        rules: Rules,
    ) {
        // A header that is signed and was not there is shown without a value.
        let is_empty = |value: &str| value.is_empty() || value == "<session token of 0 bytes>";
        let theirs = theirs.filter(|value| !(is_empty(value) && is_signed && ours != Some("")));
        let owned = || name.to_owned();
        let is_token = matches!(name, "x-amz-security-token" | "x-amz-s3session-token");
        let cause = match (ours, theirs) {
            (Some(_), Some(_)) if is_token => Cause::TokenDiffers,
            (Some(_), None) if is_token => Cause::TokenMissing,
            (None, Some(_)) if is_token => Cause::TokenUnexpected,
            (Some(ours), Some(theirs)) if matches!(name, "x-amz-date" | "date") => {
                return self.time(ours, theirs);
            }
            (Some(ours), Some(theirs)) if name == "host" => host_cause(ours, theirs),
            // The payload line tells.
            (Some(_), Some(_)) if name == "x-amz-content-sha256" => return,
            (Some(ours), Some(theirs)) => {
                let sorted = |text: &str| {
                    let mut parts: Vec<String> =
                        text.split(',').map(|part| part.trim().to_owned()).collect();
                    parts.sort();
                    parts
                };
                if ours.split_whitespace().eq(theirs.split_whitespace()) {
                    Cause::HeaderRespaced { name: owned() }
                } else if sorted(ours) == sorted(theirs) {
                    Cause::HeaderReordered { name: owned() }
                } else {
                    Cause::HeaderChanged { name: owned() }
                }
            }
            (Some(_), None) if !is_signed => Cause::HeaderLeftUnsigned { name: owned() },
            (_, None) => Cause::HeaderDropped { name: owned() },
            (None, Some(_)) if fate(name.as_bytes(), rules) == Fate::Unsigned => {
                Cause::VolatileHeaderSigned { name: owned() }
            }
            (None, Some(_)) => Cause::HeaderAdded { name: owned() },
        };
        self.add(cause);
    }
}

fn path_cause(ours: &str, theirs: &str, host: &str, rules: Rules) -> Cause {
    let decoded = |path: &str| percent_decode_str(path).collect::<Vec<u8>>();
    // An escape of an escape.
    let is_twice = |path: &str| path.contains("%25");
    if is_twice(theirs) && encoded(ours) == theirs {
        return match rules.double_encode {
            true => Cause::PathEncodedOnce,
            false => Cause::PathSentEncodedTwice,
        };
    }
    if is_twice(ours) && encoded(theirs) == ours {
        return match rules.double_encode {
            true => Cause::PathEncodedTwice,
            false => Cause::PathDecoded,
        };
    }
    if ours.trim_end_matches('/') == theirs.trim_end_matches('/') {
        return Cause::PathFinalSlash;
    }
    let (flat, other_flat) = (normalized(ours), normalized(theirs));
    if flat == other_flat {
        return match other_flat == theirs {
            true => Cause::PathNormalized,
            false => Cause::PathNotNormalized,
        };
    }
    if decoded(ours) == decoded(theirs) {
        return Cause::PathEscapes;
    }
    if spaceless(ours) == spaceless(theirs) {
        return Cause::PathPlus;
    }
    if fully_decoded(ours) == fully_decoded(theirs) {
        return Cause::PathEscapes;
    }
    let prefix = |long: &str, short: &str| {
        let prefix = long.strip_suffix(short).filter(|prefix| prefix.starts_with('/'));
        prefix.filter(|_| short.starts_with('/')).map(str::to_owned)
    };
    let is_bucket = |prefix: &str| host.starts_with(&format!("{}.", &prefix[1..]));
    if let Some(prefix) = prefix(theirs, ours) {
        return match is_bucket(&prefix) {
            true => Cause::BucketMoved,
            false => Cause::PathPrefixAdded { prefix },
        };
    }
    match prefix(ours, theirs) {
        Some(prefix) => Cause::PathPrefixDropped { prefix },
        None => Cause::PathChanged,
    }
}

fn host_cause(ours: &str, theirs: &str) -> Cause {
    let split = |host: &'_ str| -> String {
        let port = host
            .rsplit_once(':')
            .filter(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
        port.map_or(host, |(name, _)| name).to_ascii_lowercase()
    };
    let is_same = split(ours) == split(theirs);
    let is_case = ours.eq_ignore_ascii_case(theirs);
    let (ours, theirs) = (ours.to_owned(), theirs.to_owned());
    match is_same && !is_case {
        true => Cause::PortRewritten { ours, theirs },
        false => Cause::HostRewritten { ours, theirs },
    }
}

fn payload_cause(ours: &Parts<'_>, theirs: &Parts<'_>) -> Cause {
    let is_hash = |line: &str| Payload::from_line(line).is_some_and(|payload| payload.is_hash());
    let empty = Payload::EMPTY.line();
    let declared = theirs.header("x-amz-content-sha256");
    if !is_hash(ours.payload) || !is_hash(theirs.payload) {
        let (ours, theirs) = (ours.payload.to_owned(), theirs.payload.to_owned());
        Cause::PayloadDiffers { ours, theirs }
    } else if ours.payload == empty.as_str() {
        Cause::BodyAdded
    } else if theirs.payload == empty.as_str() {
        Cause::BodyDropped
    } else if declared == Some(theirs.payload) {
        // The server believes the header here and did not look at the body.
        Cause::ContentHashDiffers
    } else {
        Cause::BodyChanged
    }
}

/// The two lines, if there is one, with the place where they differ.
fn line(part: &'static str, ours: Option<&str>, theirs: Option<&str>) -> Option<Line> {
    let differs_at = (ours != theirs).then(|| {
        let chars = ours.unwrap_or_default().chars().zip(theirs.unwrap_or_default().chars());
        chars.take_while(|(ours, theirs)| ours == theirs).count()
    });
    let is_secret = |text: &str| {
        let name = text.split_once(':').map_or("", |(name, _)| name);
        part == "header" && SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret))
    };
    let masked = |text: &str| match text.split_once(':') {
        Some((name, value)) if is_secret(text) => format!("{name}:<{} bytes>", value.len()),
        _ => text.to_owned(),
    };
    let is_masked = ours.or(theirs).is_some_and(is_secret);
    let (ours, theirs) = (ours.map(masked), theirs.map(masked));
    let either = ours.as_deref().or(theirs.as_deref())?;
    // Where a secret differs is nobody's business.
    let behind_name = either.find(':').map_or(0, |at| at + 1);
    let differs_at = differs_at.map(|at| if is_masked { at.min(behind_name) } else { at });
    Some(Line { part, ours, theirs, differs_at })
}

/// The text without whatever may be a session token, even where a server shows it out of its place.
fn loosely_masked(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    if !TOKENS.iter().any(|name| lower.contains(name)) {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((end, stop)) = token_value(rest) {
        masked.push_str(&rest[..end]);
        rest = &rest[end..];
        let len = rest.find(stop).unwrap_or(rest.len());
        if rest.starts_with(MASK) {
            masked.push_str(&rest[..len]);
        } else if len > 0 {
            masked.push_str(&format!("{MASK}{len} bytes>"));
        }
        rest = &rest[len..];
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

/// Where the next token's value begins, and what it ends before.
fn token_value(text: &str) -> Option<(usize, &'static [char])> {
    let lower = text.to_ascii_lowercase();
    let starts = TOKENS.iter().flat_map(|name| {
        lower.match_indices(name).filter_map(|(at, name)| {
            let end = at + name.len();
            match lower.as_bytes().get(end)? {
                b':' => Some((end + 1, &['\n'][..])),
                b'=' => Some((end + 1, &['&', '\n', ' '][..])),
                _ => None,
            }
        })
    });
    starts.min_by_key(|(at, _)| *at)
}

fn pieces(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// A name of a parameter, for people.
fn shown(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

fn encoded(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// Decoded until nothing is left to decode, `+` as a space.
fn fully_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    loop {
        let next: Vec<u8> = percent_encoding::percent_decode(&bytes).collect();
        if next == bytes {
            break;
        }
        bytes = next;
    }
    bytes.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect()
}

/// With one sign for whatever stands for a space or a plus.
fn spaceless(text: &str) -> String {
    ["%252B", "%2520", "%2B", "%20"].iter().fold(text.to_owned(), |text, sign| {
        text.replace(sign, "+").replace(&sign.to_ascii_lowercase(), "+")
    })
}

/// Without empty and dot segments.
fn normalized(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end)) && !kept.is_empty();
    format!("/{}{}", kept.join("/"), if is_folder { "/" } else { "" })
}

const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

const TOKENS: [&str; 2] = ["x-amz-security-token", "x-amz-s3session-token"];

/// How a masked token begins.
const MASK: &str = "<session token of ";

/// Headers, beside the session token's, whose values are secrets.
const SECRET: [&str; 7] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-amz-access-token",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key",
    "x-api-key",
];
