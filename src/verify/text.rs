//! Text that a request holds.

use std::{borrow::Cow, fmt};

/// Text as a request holds it, checked when it was read.
///
/// Kept as bytes: these are what is compared and signed, and only who asks for a `str` pays for one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(Cow<'a, [u8]>);

impl<'a> Text<'a> {
    /// Text that was seen to be ASCII.
    #[inline]
    pub(super) fn ascii(text: &'a [u8]) -> Text<'a> {
        debug_assert!(text.is_ascii(), "who calls has looked");
        Text(Cow::Borrowed(text))
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        // There is no way to make one but of ASCII and of a `str`.
        str::from_utf8(&self.0).expect("checked when it was read")
    }

    pub(crate) fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Text<'a> {
        Text(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}
