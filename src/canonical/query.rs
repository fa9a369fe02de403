//! The canonical query, and the parameters in which a presigned URL carries its signature.

use percent_encoding::percent_decode;

use super::{
    encode::{self, Malformed, Plus, UNRESERVED},
    scratch::{Spare, room},
};
use crate::{Error, ErrorKind};

/// One `name=value` as it was written: where it begins, where its `=` stands, where it ends.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    start: u32,
    equals: u32,
    end: u32,
}

impl Piece {
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

/// Appends the canonical form of the query that stands on the wire.
///
/// Pieces are sorted by name and then by value, each on its own: sorted as the joined text, `a-b=`
/// would come before `a=`, and `Filter.10=` before `Filter.1=`.
pub(super) fn write(query: &[u8], spare: &mut Spare, out: &mut Vec<u8>) -> Result<(), Error> {
    if query.is_empty() {
        return Ok(());
    }
    if u32::try_from(out.len() + 4 * query.len()).is_err() {
        return Err(Error::new(
            ErrorKind::InvalidUrl,
            format!("the query has {} bytes, more than any server takes", query.len()),
        ));
    }
    let start = out.len();
    let pieces = &mut spare.pieces;
    pieces.clear();
    let mut sorted = true;
    for piece in query.split(|&byte| byte == b'&') {
        let (name, value) = halves(piece);
        if name.is_empty() {
            continue;
        }
        if out.len() > start {
            out.push(b'&');
        }
        let begin = out.len();
        write_component(name, name, "name", out)?;
        let equals = out.len();
        out.push(b'=');
        write_component(value, name, "value", out)?;
        let piece = Piece { start: begin as u32, equals: equals as u32, end: out.len() as u32 };
        if let Some(&last) = pieces.last() {
            sorted &= (last.name(out), last.value(out)) <= (piece.name(out), piece.value(out));
        }
        pieces.push(piece);
    }
    if !sorted {
        // Equal pieces are alike to the last byte, so a sort that may swap them is as good.
        pieces
            .sort_unstable_by(|a, b| (a.name(out), a.value(out)).cmp(&(b.name(out), b.value(out))));
        room(&mut spare.bytes, out.len() - start);
        for piece in pieces.iter() {
            if !spare.bytes.is_empty() {
                spare.bytes.push(b'&');
            }
            spare.bytes.extend_from_slice(piece.whole(out));
        }
        out[start..].copy_from_slice(&spare.bytes);
    }
    Ok(())
}

/// Whether any piece of the query belongs to a signature that is there already.
pub(crate) fn is_signed(query: &[u8]) -> bool {
    // Most queries hold no such name, and few hold an escape in a name.
    let could_be = |piece: &&[u8]| matches!(piece.first(), Some(b'X' | b'%'));
    query.split(|&byte| byte == b'&').filter(could_be).any(is_of_signature)
}

/// Appends the query without the pieces of a signature that is there already, all others as they were.
pub(crate) fn write_unsigned(query: &[u8], out: &mut Vec<u8>) {
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
pub(crate) fn write_parameter(name: &str, value: &[&[u8]], out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b'&');
    }
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
    for part in value {
        encode::write_component(part, out);
    }
}

pub(crate) const ALGORITHM: &str = "X-Amz-Algorithm";
pub(crate) const CREDENTIAL: &str = "X-Amz-Credential";
pub(crate) const DATE: &str = "X-Amz-Date";
pub(crate) const EXPIRES: &str = "X-Amz-Expires";
pub(crate) const REGION_SET: &str = "X-Amz-Region-Set";
pub(crate) const S3_SESSION_TOKEN: &str = "X-Amz-S3session-Token";
pub(crate) const SECURITY_TOKEN: &str = "X-Amz-Security-Token";
pub(crate) const SIGNATURE: &str = "X-Amz-Signature";
pub(crate) const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";

const OF_SIGNATURE: [&str; 9] = [
    ALGORITHM,
    CREDENTIAL,
    DATE,
    EXPIRES,
    REGION_SET,
    S3_SESSION_TOKEN,
    SECURITY_TOKEN,
    SIGNATURE,
    SIGNED_HEADERS,
];

fn is_of_signature(piece: &[u8]) -> bool {
    let (name, _) = halves(piece);
    OF_SIGNATURE.iter().any(|of| percent_decode(name).eq(of.bytes()))
}

/// The name and value of a piece: what stands before and behind its first `=`.
fn halves(piece: &[u8]) -> (&[u8], &[u8]) {
    match piece.iter().position(|&byte| byte == b'=') {
        Some(at) => (&piece[..at], &piece[at + 1..]),
        None => (piece, b""),
    }
}

fn write_component(text: &[u8], name: &[u8], half: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    encode::write_recoded(text, UNRESERVED, Plus::IsSpace, Malformed::IsError, out).map_err(|at| {
        Error::new(
            ErrorKind::MalformedEscape,
            format!(
                "the {half} of query parameter `{}` has a `%` at byte {at} without two hexadecimal \
                 digits behind it; a `%` that is meant is written `%25`",
                name.escape_ascii()
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(query: &[u8]) -> Result<String, Error> {
        let mut out = Vec::new();
        write(query, &mut Spare::default(), &mut out)?;
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
    fn only_the_pieces_of_a_signature_are_dropped() {
        let query = b"b=2&X-Amz-Date=x&&X-Amz-Meta=1&X%2DAmz-Signature=y&x-amz-date=3&a";
        assert!(is_signed(query));
        let mut out = Vec::new();
        write_unsigned(query, &mut out);
        assert_eq!(out, b"b=2&&X-Amz-Meta=1&x-amz-date=3&a");
        assert!(!is_signed(&out));
    }
}
