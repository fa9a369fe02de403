//! The canonical path.

use super::{
    encode::{self, Decoding, Recoder, SLASH, UNRESERVED},
    scratch::room,
};
use crate::{Error, ErrorKind, Rules, bytes::any_run, head::relative};

/// A form in which a path may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathForm {
    /// As the rules say, and as we sign.
    Canonical,
    /// As it stands on the wire: so boto3 and the CRT sign for S3.
    Verbatim,
    /// Without the final slash that stands for a trailing `/.` or `/..`: so they sign for all others.
    WithoutFinalSlash,
}

impl PathForm {
    /// The form other than the canonical one in which a verifier accepts this path; no third is tried.
    pub(crate) fn other(path: &[u8], rules: Rules) -> Option<PathForm> {
        if rules.strict_path && !rules.double_encode {
            let is_printable = path.iter().all(|byte| matches!(byte, 0x21..=0x7e));
            is_printable.then_some(PathForm::Verbatim)
        } else {
            let ends_in_dots = path.ends_with(b"/.") || path.ends_with(b"/..");
            (rules.normalize_path && ends_in_dots).then_some(PathForm::WithoutFinalSlash)
        }
    }
}

/// Whether this is a path, in which each `%` is an escape where the rules insist on it.
pub(super) fn check(path: &[u8], rules: Rules) -> Result<(), Error> {
    match path.first() {
        None | Some(b'/') => check_escapes(path, rules),
        Some(_) => Err(relative(path)),
    }
}

/// Whether each `%` is an escape, where the rules insist on it.
fn check_escapes(path: &[u8], rules: Rules) -> Result<(), Error> {
    if !rules.strict_path || rules.double_encode {
        return Ok(());
    }
    encode::malformed_escape(path).map_or(Ok(()), |at| Err(malformed(path, at)))
}

/// Appends the path that stands on the wire in a form that is signed; `spare` is room to normalize in.
pub(super) fn write(
    path: &[u8],
    form: PathForm,
    rules: Rules,
    spare: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match path.first() {
        None => out.push(b'/'),
        Some(b'/') if form == PathForm::Verbatim => out.extend_from_slice(path),
        Some(b'/') if rules.normalize_path && !is_normal(path) => {
            // Also in a segment that goes.
            check_escapes(path, rules)?;
            room(spare, path.len() + 1);
            normalize(path, spare);
            if form == PathForm::WithoutFinalSlash && spare.len() > 1 {
                spare.pop();
            }
            write_encoded(spare, rules, out)?;
        }
        Some(b'/') => write_encoded(path, rules, out)?,
        Some(_) => return Err(relative(path)),
    }
    Ok(())
}

/// Whether there is no empty and no dot segment, as in most paths.
fn is_normal(path: &[u8]) -> bool {
    // Such a segment begins behind a slash, with another slash or a dot.
    !any_run(path, |[a, b]| (a == b'/') & ((b == b'/') | (b == b'.')))
}

/// Appends the path without its empty and dot segments to an empty `out`.
///
/// This comes before any decoding: `%2F` ends no segment and `%2e` is no dot.
pub(crate) fn normalize(path: &[u8], out: &mut Vec<u8>) {
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => out.truncate(out.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
            kept => {
                out.push(b'/');
                out.extend_from_slice(kept);
            }
        }
    }
    if [&b"/"[..], b"/.", b"/.."].iter().any(|end| path.ends_with(end)) || out.is_empty() {
        out.push(b'/');
    }
}

fn write_encoded(text: &[u8], rules: Rules, out: &mut Vec<u8>) -> Result<(), Error> {
    if encode::is_plain_path(text) {
        out.extend_from_slice(text);
        return Ok(());
    }
    if rules.double_encode {
        encode::write_path(text, out);
        return Ok(());
    }
    let decoding = Decoding { plus_is_space: false, malformed_is_itself: !rules.strict_path };
    let mut path = Recoder::new(text, decoding, out);
    path.recode(UNRESERVED | SLASH, 0).map_err(|at| malformed(text, at))?;
    path.copy();
    Ok(())
}

fn malformed(path: &[u8], at: usize) -> Error {
    Error::new(
        ErrorKind::MalformedEscape,
        format!(
            "the path `{}` has a `%` at byte {at} without two hexadecimal digits behind it; a `%` that \
             is meant is written `%25`",
            path.escape_ascii()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str, rules: Rules) -> Result<String, Error> {
        let mut out = Vec::new();
        write(path.as_bytes(), PathForm::Canonical, rules, &mut Vec::new(), &mut out)?;
        Ok(String::from_utf8(out).expect("a canonical path is ASCII"))
    }

    #[test]
    fn general_paths_are_normalized_and_encoded_again() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/..", "/"),
            ("/.", "/"),
            ("/a/..", "/"),
            ("/a/../..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/../", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/b/.", "/a/b/"),
            ("//a//b//", "/a/b/"),
            ("/a/...", "/a/..."),
            ("/.a/..b", "/.a/..b"),
            ("/%2e%2E/a", "/%252e%252E/a"),
            ("/a%2Fb", "/a%252Fb"),
            ("/100%", "/100%25"),
            ("/a b", "/a%20b"),
            ("/é", "/%C3%A9"),
        ] {
            assert_eq!(canonical(path, Rules::GENERAL).expect(path), expected, "{path}");
        }
    }

    #[test]
    fn a_decoded_slash_is_no_boundary_for_dots() {
        let rules = Rules::GENERAL.with_double_encode(false);
        assert_eq!(canonical("/a/b%2Fc/../d", rules).expect("a path"), "/a/d");
        assert_eq!(canonical("/a/b%2F../d%zz", rules).expect("a path"), "/a/b/../d%25zz");
    }

    #[test]
    fn s3_paths_are_decoded_once_and_encoded_once() {
        for (path, expected) in [
            ("", "/"),
            ("//a/../b/.", "//a/../b/."),
            ("/a=b(1)", "/a%3Db%281%29"),
            ("/%3d+%2B~%7e", "/%3D%2B%2B~~"),
            ("/a%2Fb", "/a/b"),
            ("/%FF", "/%FF"),
        ] {
            assert_eq!(canonical(path, Rules::S3).expect(path), expected, "{path}");
        }
    }

    #[test]
    fn a_malformed_escape_in_an_s3_path_is_an_error_that_says_where() {
        let normalized = Rules::S3.with_normalize_path(true);
        for (path, at) in [("/100%", 4), ("/%4", 1), ("/a%41%zz", 5), ("/%zz/..", 1)] {
            for rules in [Rules::S3, normalized] {
                let error = canonical(path, rules).expect_err(path);
                assert_eq!(error.kind(), ErrorKind::MalformedEscape);
                assert!(error.to_string().contains(&format!("at byte {at} ")), "{error}");
            }
        }
    }

    #[test]
    fn a_path_may_be_signed_in_one_other_form() {
        let s3 = Rules::S3;
        let general = Rules::GENERAL;
        for (path, rules, expected) in [
            ("/a+b", s3, Some(PathForm::Verbatim)),
            ("/a b", s3, None),
            ("/a/.", general, Some(PathForm::WithoutFinalSlash)),
            ("/a/..", general, Some(PathForm::WithoutFinalSlash)),
            ("/a/", general, None),
            ("/a/.", general.with_normalize_path(false), None),
            ("/a/.", general.with_double_encode(false), Some(PathForm::WithoutFinalSlash)),
        ] {
            assert_eq!(PathForm::other(path.as_bytes(), rules), expected, "{path} by {rules:?}");
        }
    }

    #[test]
    fn the_final_slash_goes_unless_it_is_the_whole_path() {
        for (path, expected) in [("/a/.", "/a"), ("/a/b/..", "/a"), ("/.", "/"), ("/a/..", "/")] {
            let (form, mut out) = (PathForm::WithoutFinalSlash, Vec::new());
            write(path.as_bytes(), form, Rules::GENERAL, &mut Vec::new(), &mut out).expect(path);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{path}");
        }
    }
}
