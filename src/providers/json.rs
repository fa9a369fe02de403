//! Texts in JSON, read without a copy of them being left behind.
//!
//! serde_json unescapes a text in a buffer of its own and frees that as it is. What may be a secret is
//! therefore taken as it stands in the document, as a [`RawValue`](serde_json::value::RawValue), and
//! unescaped here.

use std::str::Chars;

use zeroize::Zeroizing;

/// What a text in JSON says; `None` if it is something else, or holds half a character.
///
/// `json` is one value, without white space around it, whose form the reader of JSON has looked at.
pub(super) fn text(json: &str) -> Option<Zeroizing<String>> {
    let quoted = json.strip_prefix('"')?.strip_suffix('"')?;
    // An escape is never shorter than what it stands for, so this does not grow.
    let mut text = Zeroizing::new(String::with_capacity(quoted.len()));
    let mut chars = quoted.chars();
    while let Some(char) = chars.next() {
        text.push(match char {
            '\\' => escape(&mut chars)?,
            char => char,
        });
    }
    Some(text)
}

/// What the characters behind a backslash stand for.
fn escape(chars: &mut Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        char @ ('"' | '\\' | '/') => char,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = unit(chars)?;
            let is_half = (0xd800..0xdc00).contains(&first);
            let second = match is_half {
                true if (chars.next(), chars.next()) != (Some('\\'), Some('u')) => return None,
                true => Some(unit(chars)?),
                false => None,
            };
            char::decode_utf16([first].into_iter().chain(second)).next()?.ok()?
        }
        _ => return None,
    })
}

/// Four hexadecimal digits.
fn unit(chars: &mut Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0, |unit, _| Some(unit << 4 | chars.next()?.to_digit(16)? as u16))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_mean_what_json_says() {
        for (json, expected) in [
            (r#""""#, Some("")),
            (r#""a\/b\"\\""#, Some("a/b\"\\")),
            (r#""\b\f\n\r\t""#, Some("\u{8}\u{c}\n\r\t")),
            (r#""\u0041\u00e9\uFFFD""#, Some("Aé\u{fffd}")),
            (r#""\ud83d\udE00!""#, Some("😀!")),
            (r#""\ud83d""#, None),
            (r#""\ud83d\n""#, None),
            (r#""\ud83d\ud83d""#, None),
            (r#""\ude00""#, None),
            (r#""\u12""#, None),
            (r#""\x""#, None),
            (r#"""#, None),
            ("null", None),
            ("12", None),
            ("", None),
        ] {
            assert_eq!(text(json).as_deref().map(String::as_str), expected, "{json}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(quoted in r#"([a-zé😀 ]|\\["\\/bfnrtx]|\\u[dD0][89abcdefCDE0][0-9a-f]{2}){0,8}"#) {
            let json = format!("\"{quoted}\"");
            let expected = serde_json::from_str::<String>(&json).ok();
            prop_assert_eq!(text(&json).map(|text| text.to_string()), expected);
        }
    }
}
