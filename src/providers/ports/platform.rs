//! Whose rules paths follow.

/// Whose rules the home directory and paths follow.
///
/// ```
/// # use countersign::providers::{Platform, Ports};
/// assert_eq!(Ports::empty().platform(), Platform::HOST);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Platform {
    /// Linux, macOS, the BSDs and whatever else is not Windows.
    Unix,
    /// Windows.
    Windows,
}

impl Platform {
    /// The platform this was compiled for.
    pub const HOST: Platform = if cfg!(windows) { Platform::Windows } else { Platform::Unix };

    /// What stands between the components of a path.
    pub(in crate::providers) fn separator(self) -> &'static str {
        match self {
            Platform::Unix => "/",
            Platform::Windows => "\\",
        }
    }
}
