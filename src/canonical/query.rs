//! The canonical query, and the parameters in which a presigned URL carries its signature.

use percent_encoding::percent_decode;

use super::{
    encode::{self, AMPERSAND, Decoding, EQUALS, Place, Recoder, UNRESERVED},
    scratch::{Spare, room},
};
use crate::{
    Error, ErrorKind,
    bytes::{split, split_at},
};

/// One `name=value` as it was written: where it begins, where its `=` stands, where it ends.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    /// The first bytes of the name, so that most comparisons are of one number.
    order: u128,
    start: u32,
    equals: u32,
    end: u32,
}

impl Piece {
    /// A piece of this name that begins at `start` and goes on to `end`.
    fn new(name: &[u8], start: usize, end: usize) -> Piece {
        let equals = (start + name.len()) as u32;
        Piece { order: order(name), start: start as u32, equals, end: end as u32 }
    }

    fn name(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.equals as usize]
    }

    fn value(self, text: &[u8]) -> &[u8] {
        &text[self.equals as usize + 1..self.end as usize]
    }

    fn whole(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}

/// The first bytes of a name as a number that sorts as they do.
///
/// No name holds a NUL, so what a short one is filled up with sorts before any byte of a longer one.
fn order(name: &[u8]) -> u128 {
    let half = |text: &[u8]| match (text.first_chunk(), text.last_chunk()) {
        (Some(eight), _) => u64::from_be_bytes(*eight),
        // The last four overlap with the first ones.
        (None, Some(four)) => {
            let last = u64::from(u32::from_be_bytes(*four)) << (64 - 8 * text.len());
            let first = text.first_chunk().map_or(0, |four| u32::from_be_bytes(*four));
            u64::from(first) << 32 | last
        }
        (None, None) => {
            text.iter().rev().fold(0, |order, &byte| order >> 8 | u64::from(byte) << 56)
        }
    };
    u128::from(half(name)) << 64 | u128::from(name.get(8..).map_or(0, half))
}

/// Appends the canonical form of the query that stands on the wire, and of the `own` parameters, which
/// are in canonical form and order. Whether pieces named by `leave_out` were left out.
///
/// Pieces are sorted by name and then by value, each on its own: sorted as the joined text, `a-b=`
/// would come before `a=`, and `Filter.10=` before `Filter.1=`.
pub(super) fn write(
    query: &[u8],
    own: &[u8],
    leave_out: fn(&[u8]) -> bool,
    spare: &mut Spare,
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    if query.is_empty() {
        out.extend_from_slice(own);
        return Ok(false);
    }
    let start = out.len();
    let bytes = query.len() + own.len();
    if u32::try_from(start + 4 * bytes).is_err() {
        return Err(Error::new(
            ErrorKind::InvalidUrl,
            format!("the query has {bytes} bytes, more than any server takes"),
        ));
    }
    spare.pieces.clear();
    let left_out = write_pieces(query, leave_out, &mut spare.pieces, out)?;
    if !own.is_empty() {
        out.extend_from_slice(if out.len() > start { b"&" } else { b"" });
        let start = out.len();
        out.extend_from_slice(own);
        push_pieces(own, start, &mut spare.pieces);
    }
    sort(start, spare, out);
    Ok(left_out)
}

/// Appends each piece, decoded and encoded anew, in one walk over the query.
fn write_pieces(
    query: &[u8],
    leave_out: fn(&[u8]) -> bool,
    pieces: &mut Vec<Piece>,
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    let first = out.len();
    let malformed = |at| malformed(query, at);
    let mut left_out = false;
    let mut walk = Recoder::new(query, FORM, out);
    while walk.next().is_some() {
        let start: Place = walk.place();
        walk.recode(UNRESERVED, EQUALS | AMPERSAND).map_err(malformed)?;
        let name = walk.since(start);
        let is_left_out = leave_out(name);
        if name.is_empty() || is_left_out {
            left_out |= is_left_out;
            walk.skip(AMPERSAND);
            walk.leave_out(start);
            continue;
        }
        let mut piece = Piece::new(name, start.out, start.out);
        if walk.next() == Some(b'=') {
            walk.keep();
            walk.recode(UNRESERVED, AMPERSAND).map_err(malformed)?;
        } else {
            walk.put(b'=');
        }
        piece.end = walk.place().out as u32;
        pieces.push(piece);
        if walk.next().is_some() {
            walk.keep();
        }
    }
    walk.copy();
    // What stood behind the last piece was left out, or there was nothing.
    if out.len() > first && out.ends_with(b"&") {
        out.pop();
    }
    Ok(left_out)
}

/// Notes the pieces of a canonical text that begins at `start`.
fn push_pieces(text: &[u8], mut start: usize, pieces: &mut Vec<Piece>) {
    for piece in split(text, b'&') {
        let (name, _) = halves(piece);
        let end = start + piece.len();
        pieces.push(Piece::new(name, start, end));
        start = end + 1;
    }
}

/// Brings the pieces that stand in `out` from `start` on into order.
fn sort(start: usize, spare: &mut Spare, out: &mut [u8]) {
    let Spare { bytes, pieces } = spare;
    let key = |piece: &Piece| (piece.name(out), piece.value(out));
    let compare = |a: &Piece, b: &Piece| match (a.order, b.order) {
        (a_order, b_order) if a_order != b_order => a_order.cmp(&b_order),
        _ => key(a).cmp(&key(b)),
    };
    if pieces.is_sorted_by(|a, b| compare(a, b).is_le()) {
        return;
    }
    // Equal pieces are alike to the last byte, so a sort that may swap them is as good.
    pieces.sort_unstable_by(compare);
    let len = out.len() - start;
    room(bytes, len + 1);
    for piece in pieces.iter() {
        bytes.extend_from_slice(piece.whole(out));
        bytes.push(b'&');
    }
    out[start..].copy_from_slice(&bytes[..len]);
}

/// Whether each `%` that is signed is an escape.
pub(super) fn check_escapes(query: &[u8]) -> Result<(), Error> {
    if encode::malformed_escape(query).is_none() {
        return Ok(());
    }
    let mut start = 0;
    for piece in split(query, b'&') {
        let is_dropped = matches!(piece.first(), None | Some(b'='));
        match encode::malformed_escape(piece).filter(|_| !is_dropped) {
            Some(at) => return Err(malformed(query, start + at)),
            None => start += piece.len() + 1,
        }
    }
    Ok(())
}

/// The names and values of a query as they stand on the wire.
pub(crate) fn pieces(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    split(query, b'&').map(halves)
}

/// Whether a parameter, its name in canonical form, belongs to a signature that is there already.
pub(crate) fn is_of_signature(name: &[u8]) -> bool {
    name.starts_with(b"X-Amz-") && OF_SIGNATURE.iter().any(|of| name == of.as_bytes())
}

/// Appends the query without the pieces of a signature that is there already, all others as they were.
pub(crate) fn write_unsigned(query: &[u8], out: &mut Vec<u8>) {
    let is_of_signature = |piece: &&[u8]| {
        let (name, _) = halves(piece);
        OF_SIGNATURE.iter().any(|of| percent_decode(name).eq(of.bytes()))
    };
    let mut first = true;
    for piece in query.split(|&byte| byte == b'&').filter(|piece| !is_of_signature(piece)) {
        if !first {
            out.push(b'&');
        }
        first = false;
        out.extend_from_slice(piece);
    }
}

/// Appends `&name=value` with the value encoded, or `name=value` if nothing stands there yet.
pub(crate) fn write_parameter(name: &str, value: &[&str], out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b'&');
    }
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    for part in value {
        encode::write_component(part.as_bytes(), out);
    }
}

pub(crate) const ALGORITHM: &str = "X-Amz-Algorithm";
pub(crate) const CONTENT_SHA256: &str = "X-Amz-Content-Sha256";
pub(crate) const CREDENTIAL: &str = "X-Amz-Credential";
pub(crate) const DATE: &str = "X-Amz-Date";
pub(crate) const EXPIRES: &str = "X-Amz-Expires";
pub(crate) const REGION_SET: &str = "X-Amz-Region-Set";
pub(crate) const S3_SESSION_TOKEN: &str = "X-Amz-S3session-Token";
pub(crate) const SECURITY_TOKEN: &str = "X-Amz-Security-Token";
pub(crate) const SIGNATURE: &str = "X-Amz-Signature";
pub(crate) const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";

const OF_SIGNATURE: [&str; 10] = [
    ALGORITHM,
    CONTENT_SHA256,
    CREDENTIAL,
    DATE,
    EXPIRES,
    REGION_SET,
    S3_SESSION_TOKEN,
    SECURITY_TOKEN,
    SIGNATURE,
    SIGNED_HEADERS,
];

/// The name and value of a piece: what stands before and behind its first `=`.
pub(crate) fn halves(piece: &[u8]) -> (&[u8], &[u8]) {
    let (name, value) = split_at(piece, b'=');
    (name, value.unwrap_or_default())
}

/// A query is a form: `+` is a space, and a `%` that is no escape is a mistake.
const FORM: Decoding = Decoding { plus_is_space: true, malformed_is_itself: false };

/// Says in which parameter, and where in it, the `%` at byte `at` of the query stands.
fn malformed(query: &[u8], at: usize) -> Error {
    let start = query[..at].iter().rposition(|&byte| byte == b'&').map_or(0, |amp| amp + 1);
    let (name, value) = halves(until_ampersand(&query[start..]));
    let (half, at) = match at - start {
        at if at < name.len() => ("name", at),
        at => ("value", at - name.len() - 1),
    };
    debug_assert!(half == "name" || value[at] == b'%', "the `%` that was found");
    Error::new(
        ErrorKind::MalformedEscape,
        format!(
            "the {half} of query parameter `{}` has a `%` at byte {at} without two hexadecimal digits \
             behind it; a `%` that is meant is written `%25`",
            name.escape_ascii()
        ),
    )
}

fn until_ampersand(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == b'&').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(query: &[u8]) -> Result<String, Error> {
        let mut out = Vec::new();
        write(query, b"", |_| false, &mut Spare::default(), &mut out)?;
        Ok(String::from_utf8(out).expect("a canonical query is ASCII"))
    }

    #[test]
    fn pieces_are_decoded_encoded_and_sorted() {
        for (query, expected) in [
            (&b""[..], ""),
            (b"&&", ""),
            (b"=x&a", "a="),
            (b"b=2&a=1", "a=1&b=2"),
            (b"a=2&a=1&a", "a=&a=1&a=2"),
            (b"a-b=1&a=2", "a=2&a-b=1"),
            (b"Filter.10=x&Filter.1=y", "Filter.1=y&Filter.10=x"),
            (b"a=b=c", "a=b%3Dc"),
            (b"a=b+c%2bd", "a=b%20c%2Bd"),
            (b"a=%e4%FF\xe4", "a=%E4%FF%E4"),
            (b"%41=~%7e*", "A=~~%2A"),
        ] {
            assert_eq!(canonical(query).expect("a query"), expected);
        }
    }

    #[test]
    fn a_malformed_escape_names_its_parameter() {
        let error = canonical(b"a=1&flour=100%&b=2").expect_err("malformed");
        assert_eq!(error.kind(), ErrorKind::MalformedEscape);
        assert!(error.to_string().contains("`flour`"), "{error}");
    }

    #[test]
    fn only_the_pieces_of_a_signature_are_left_out() {
        let query = b"b=2&X-Amz-Date=%&&X-Amz-Meta=1&%58-Amz%2dSignature=y&x-amz-date=3&a";
        let (mut out, mut spare) = (Vec::new(), Spare::default());
        let mut canonical = |query| {
            out.clear();
            let left_out = write(query, b"", is_of_signature, &mut spare, &mut out);
            (left_out.expect("a query"), String::from_utf8_lossy(&out).into_owned())
        };
        let expected = "X-Amz-Meta=1&a=&b=2&x-amz-date=3".to_owned();
        assert_eq!(canonical(query), (true, expected.clone()));
        let mut unsigned = Vec::new();
        write_unsigned(query, &mut unsigned);
        assert_eq!(unsigned, b"b=2&&X-Amz-Meta=1&x-amz-date=3&a");
        assert_eq!(canonical(&unsigned), (false, expected));
    }

    #[test]
    fn own_parameters_are_sorted_among_the_others() {
        let mut out = b"before\n".to_vec();
        let own = b"X-Amz-Algorithm=2&X-Amz-Date=1";
        let left_out = write(b"z=%2f&A=+", own, |_| false, &mut Spare::default(), &mut out);
        assert!(!left_out.expect("a query"));
        let expected = "before\nA=%20&X-Amz-Algorithm=2&X-Amz-Date=1&z=%2F";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn names_of_any_length_are_sorted_by_all_their_bytes() {
        let mut names: Vec<String> = Vec::new();
        for len in 1..=20 {
            for at in 0..len {
                names.extend(
                    ["a", "c"]
                        .map(|odd| format!("{}{odd}{}", "b".repeat(at), "b".repeat(len - at - 1))),
                );
            }
        }
        names.sort_unstable();
        // Values that would be sorted the other way round.
        let mut pieces: Vec<String> =
            names.iter().zip(0..).map(|(name, n)| format!("{name}={}", 999 - n)).collect();
        let expected = pieces.join("&");
        pieces.reverse();
        assert_eq!(canonical(pieces.join("&").as_bytes()).expect("a query"), expected);
    }

    #[test]
    fn a_malformed_escape_is_placed_in_its_parameter() {
        for (query, expected) in [
            (
                &b"a=1&flour=100%&b=2"[..],
                "the value of query parameter `flour` has a `%` at byte 3 ",
            ),
            (b"=%&&a&fl%ur=1", "the name of query parameter `fl%ur` has a `%` at byte 2 "),
            (b"%", "the name of query parameter `%` has a `%` at byte 0 "),
        ] {
            let checked = check_escapes(query).expect_err("malformed");
            for error in [checked, canonical(query).expect_err("malformed")] {
                assert!(error.to_string().contains(expected), "{error}");
            }
        }
    }
}
