//! The grammar of the shared files: lines to sections and properties, not yet what they mean.
//!
//! - A section is a line that begins with `[`; a property is a line with `=`; neither is indented.
//! - A line that begins with `#` or `;` is a comment. Behind a section `#` and `;` begin one
//!   anywhere, behind a property only after white space. White space is space and tab, nothing
//!   else.
//! - An indented line goes on with the property above it, comment characters and all. Under a
//!   property without a value, each indented line must be a property itself.

/// A section as written.
pub(super) struct RawSection<'a> {
    /// What stands between the brackets.
    pub(super) header: &'a str,
    pub(super) line: usize,
    pub(super) properties: Vec<RawProperty<'a>>,
}

/// A property as written. The value may be a secret, so there is no `Debug` here.
pub(super) struct RawProperty<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
    /// The value with its continuation lines.
    pub(super) value: Vec<&'a str>,
}

/// Where and how a file breaks the grammar. The message never quotes the line: it may hold a
/// secret.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) message: &'static str,
}

/// Takes a file apart, in the order of its lines.
pub(super) fn parse(text: &str) -> Result<Vec<RawSection<'_>>, SyntaxError> {
    let mut sections: Vec<RawSection<'_>> = Vec::new();
    // Windows editors begin a file with a byte-order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (text, line) in text.lines().zip(1..) {
        let fault = |message| SyntaxError { line, message };
        if text.trim_matches(BLANK).is_empty() || text.starts_with(COMMENT) {
            continue;
        }
        if let Some(text) = text.strip_prefix('[') {
            let header = before_comment(text, |_| true)
                .strip_suffix(']')
                .ok_or_else(|| fault("Profile definition must end with ']'"))?;
            sections.push(RawSection {
                header: header.trim_matches(BLANK),
                line,
                properties: Vec::new(),
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            return Err(fault("Expected a profile definition"));
        };
        if !text.starts_with(BLANK) {
            let (name, value) = split(text).map_err(|flaw| fault(flaw.of_property()))?;
            section.properties.push(RawProperty { name, line, value: vec![value] });
            continue;
        }
        let Some(property) = section.properties.last_mut() else {
            return Err(fault("Expected a property definition, found continuation"));
        };
        if property.value.first().is_some_and(|value| value.is_empty()) {
            split(text).map_err(|flaw| fault(flaw.of_sub_property()))?;
        }
        property.value.push(text.trim_matches(BLANK));
    }
    Ok(sections)
}

/// The name and value of a line `name = value`, without the comment behind it.
pub(super) fn split(text: &str) -> Result<(&str, &str), Flaw> {
    let text = before_comment(text.trim_matches(BLANK), |before| before.ends_with(BLANK));
    let (name, value) = text.split_once('=').ok_or(Flaw::NoEquals)?;
    match name.trim_matches(BLANK) {
        "" => Err(Flaw::NoName),
        name => Ok((name, value.trim_matches(BLANK))),
    }
}

/// What keeps a line from being a property.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flaw {
    NoEquals,
    NoName,
}

impl Flaw {
    fn of_property(self) -> &'static str {
        match self {
            Flaw::NoEquals => "Expected an '=' sign defining a property",
            Flaw::NoName => "Property did not have a name",
        }
    }

    fn of_sub_property(self) -> &'static str {
        match self {
            Flaw::NoEquals => "Expected an '=' sign defining a sub-property",
            Flaw::NoName => "Sub-property did not have a name",
        }
    }
}

/// What stands before the first comment character that may begin a comment after what precedes it.
fn before_comment(text: &str, may_follow: impl Fn(&str) -> bool) -> &str {
    text.match_indices(COMMENT)
        .map(|(at, _)| &text[..at])
        .find(|before| may_follow(before))
        .unwrap_or(text)
        .trim_matches(BLANK)
}

pub(super) const BLANK: [char; 2] = [' ', '\t'];
const COMMENT: [char; 2] = ['#', ';'];
