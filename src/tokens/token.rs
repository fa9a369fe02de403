//! A token that was made.

use std::{fmt, time::Duration};

use base64::Engine;
use zeroize::Zeroizing;

use crate::{Life, Timestamp};

/// A token: a credential, whoever holds it.
///
/// `Debug` shows how long it holds and nothing of its text, there is no `Display`, and it is wiped from
/// memory when it is dropped.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::Msk};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let token = Msk::new("eu-west-1").sign(&credentials, SystemTime::now())?;
/// assert!(!format!("{token:?}").contains(token.as_str()));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone)]
pub struct Token {
    text: Zeroizing<String>,
    life: Life,
}

impl Token {
    pub(super) fn new(text: Zeroizing<String>, life: Life) -> Token {
        Token { text, life }
    }

    /// The text that is sent, a secret.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How long it can be used to connect, and whether the credentials expire before.
    ///
    /// What was connected stays so, as far as the service allows.
    pub fn life(&self) -> Life {
        self.life
    }

    /// A prefix and the token in base64.
    pub(super) fn encoded(&self, prefix: &str, engine: &impl Engine) -> Token {
        let len = prefix.len() + self.text.len().div_ceil(3) * 4;
        let mut text = Zeroizing::new(String::with_capacity(len));
        text.push_str(prefix);
        engine.encode_string(self.text.as_bytes(), &mut text);
        Token { text, life: self.life }
    }

    /// The same token, which holds for so long from its signing, whatever it says itself.
    pub(super) fn held_for(self, at: Timestamp, duration: Duration) -> Token {
        let expires_at = std::time::SystemTime::from(at) + duration;
        Token { life: Life { expires_at, ..self.life }, ..self }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("text", &"<redacted>").field("life", &self.life).finish()
    }
}
