//! Which headers a signature covers, as far as it does not depend on the caller.

use crate::Rules;

/// What becomes of a header of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// `x-amz-content-sha256`, whose value the payload decides.
    ContentSha256,
    /// `host`, of which there is one.
    Host,
    /// Part of an earlier signature, which this one replaces.
    Replaced,
    Signed,
    /// Something on the way may change it.
    Unsigned,
}

/// What becomes of the header with this name, in any case.
///
/// The never-signed are the union of what the SDKs learnt: each is something that a hop may change.
/// (`accept-encoding` is among them because look-alike stores rewrite it.)
pub(crate) fn fate(name: &[u8], rules: Rules) -> Fate {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let any = |others: &[&str]| others.iter().any(|other| is(other));
    let starts = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    // The first letter rules out most names at once.
    let unsigned = match name.first().map(u8::to_ascii_lowercase) {
        Some(b'a') if is("authorization") => return Fate::Replaced,
        Some(b'h') if is("host") => return Fate::Host,
        Some(b'x') if starts("x-amz-") => {
            if is("x-amz-content-sha256") {
                return Fate::ContentSha256;
            }
            if any(&REPLACED) {
                return Fate::Replaced;
            }
            false
        }
        Some(b'a') => is("accept-encoding"),
        Some(b'b') => is("baggage"),
        Some(b'c') => is("connection") || (rules.content_length_unsigned && is("content-length")),
        Some(b'e') => is("expect"),
        Some(b'f') => is("forwarded"),
        Some(b'k') => is("keep-alive"),
        Some(b'm') => is("max-forwards"),
        Some(b'p') => starts("proxy-"),
        Some(b's') => starts("sec-"),
        Some(b't') => any(&["te", "trailer", "transfer-encoding", "traceparent", "tracestate"]),
        Some(b'u') => any(&["upgrade", "user-agent"]),
        Some(b'v') => is("via"),
        Some(b'x') => starts("x-forwarded-") || is("x-amzn-trace-id"),
        _ => false,
    };
    if unsigned { Fate::Unsigned } else { Fate::Signed }
}

/// Whether the header belongs to the least that AWS insists on.
pub(crate) fn is_essential(name: &[u8]) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    is("content-type")
        || is("content-md5")
        || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"x-amz-"))
}

/// The headers of an earlier signature, beside `authorization`.
pub(crate) const REPLACED: [&str; 4] =
    ["x-amz-date", "x-amz-security-token", "x-amz-s3session-token", "x-amz-region-set"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_in_any_case() {
        for (name, expected) in [
            ("Authorization", Fate::Replaced),
            ("X-AMZ-DATE", Fate::Replaced),
            ("x-amz-region-set", Fate::Replaced),
            ("X-Amz-Content-Sha256", Fate::ContentSha256),
            ("HOST", Fate::Host),
            ("Accept", Fate::Signed),
            ("Accept-Encoding", Fate::Unsigned),
            ("Proxy-Authorization", Fate::Unsigned),
            ("Sec-Fetch-Mode", Fate::Unsigned),
            ("X-Forwarded-For", Fate::Unsigned),
            ("x-forwarded", Fate::Signed),
            ("X-Amzn-Trace-Id", Fate::Unsigned),
            ("x-amzn-requestid", Fate::Signed),
            ("Date", Fate::Signed),
            ("TE", Fate::Unsigned),
            ("content-length", Fate::Signed),
            ("", Fate::Signed),
        ] {
            assert_eq!(fate(name.as_bytes(), Rules::GENERAL), expected, "{name}");
        }
        assert_eq!(fate(b"Content-Length", Rules::OPENSEARCH_SERVERLESS), Fate::Unsigned);
    }
}
