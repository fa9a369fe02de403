//! What each provider of a chain answered.

use std::{fmt, time::Duration};

use super::ProviderError;
use crate::Credentials;

/// One provider of a [`Chain`](super::Chain) that was [traced](super::Chain::trace): what it looked at,
/// what it answered, and how long that took.
///
/// `Debug` and `Display` show no secret.
#[derive(Clone, Debug)]
pub struct ChainStep {
    provider: String,
    looked_at: String,
    answer: ChainAnswer,
    took: Duration,
}

impl ChainStep {
    pub(super) fn new(
        provider: &str,
        looked_at: String,
        answer: ChainAnswer,
        took: Duration,
    ) -> ChainStep {
        ChainStep { provider: provider.to_owned(), looked_at, answer, took }
    }

    /// The provider's name.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// What it [looks at](super::ProvideCredentials::looks_at).
    pub fn looked_at(&self) -> &str {
        &self.looked_at
    }

    /// What it answered.
    pub fn answer(&self) -> &ChainAnswer {
        &self.answer
    }

    /// How long that took; nothing, if it was not asked.
    pub fn took(&self) -> Duration {
        self.took
    }
}

/// What a provider of a chain answered.
///
/// ```
/// use countersign::{Credentials, providers::ChainAnswer};
///
/// let answer = ChainAnswer::Credentials(Credentials::new("AKIDEXAMPLE", "secret"));
/// assert_eq!(answer.to_string(), "credentials of the access key id AKIDEXAMPLE");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChainAnswer {
    /// Here they are.
    Credentials(Credentials),
    /// Something is configured, and it is broken: nobody else is asked.
    Failed(ProviderError),
    /// Nothing is configured, and why.
    Nothing(String),
    /// It was not asked, and why.
    NotAsked(String),
}

impl fmt::Display for ChainAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChainAnswer::Credentials(credentials) => {
                write!(f, "credentials of the access key id {}", credentials.access_key_id())
            }
            ChainAnswer::Failed(error) => error.fmt(f),
            ChainAnswer::Nothing(why) => f.write_str(why),
            ChainAnswer::NotAsked(why) => write!(f, "not asked, because {why}"),
        }
    }
}
