//! The regions in which a SigV4A signature holds.

use std::borrow::Cow;

use super::{
    Error, Place,
    parts::{BLANKS, Parts, malformed},
};
use crate::canonical::query;

/// The region set of a claim whose scope names no region: the signed header, or the query parameter.
pub(super) fn claimed<'a>(parts: &Parts<'a>) -> Result<Cow<'a, str>, Error> {
    let name = if parts.place == Place::Header { HEADER } else { query::REGION_SET };
    let bad = |message: String| malformed(parts.place, message);
    let missing = || bad(format!("the request carries no signed {name}"));
    let value = parts.region_set.ok_or_else(missing)?;
    value.text().ok_or_else(|| bad(format!("{name} is not text")))
}

/// Whether a set like `us-east-1,eu-*` holds the region.
pub(super) fn holds(set: &str, region: &str) -> bool {
    set.split(',').any(|pattern| matches(pattern.trim_matches(BLANKS), region))
}

/// Whether the pattern, in which a `*` stands for anything, is the whole of `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    // The first place for each part leaves the most for those behind it.
    for part in middle.split('*') {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(end)
}

pub(super) const HEADER: &str = "x-amz-region-set";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_held_by_name_or_by_pattern() {
        for (set, region, expected) in [
            ("us-east-1", "us-east-1", true),
            ("us-east-1", "us-east-10", false),
            ("us-east-1", "US-EAST-1", false),
            ("us-east-1,eu-west-1", "eu-west-1", true),
            ("us-east-1 ,\teu-west-1 ", "eu-west-1", true),
            ("us-east-1,eu-west-1", "us-east-1,eu-west-1", false),
            ("*", "eu-west-1", true),
            ("us-*", "us-east-1", true),
            ("us-*", "us-", true),
            ("us-*", "eu-west-1", false),
            ("*-1", "eu-west-1", true),
            ("*-1", "eu-west-2", false),
            ("*west*", "eu-west-1", true),
            ("*east*", "eu-west-1", false),
            ("us-*-1", "us-east-1", true),
            ("us-*-1", "us-1", false),
            ("us-*-*-1", "us-gov-east-1", true),
            ("us-*-*-1", "us-east-1", false),
            ("u*s*1", "us-east-1", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a**b", "a-b", true),
            ("*ab*b", "aab", false),
            ("*ab*b", "aabb", true),
            ("eu-west-?", "eu-west-1", false),
            ("", "eu-west-1", false),
            (",", "eu-west-1", false),
            ("eu-wést-*", "eu-wést-1", true),
        ] {
            assert_eq!(holds(set, region), expected, "{set} and {region}");
        }
    }
}
