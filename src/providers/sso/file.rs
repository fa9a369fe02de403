//! Where the token of a session is kept, and what is in it.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use sha1::{Digest, Sha1};

use crate::providers::{Ports, SsoSettings, Token, session::Document};

/// The file: named by the session, or by where one signs in if the profile says all of it itself.
pub(super) fn path(ports: &Ports, settings: &SsoSettings) -> Option<PathBuf> {
    let name = settings.session().unwrap_or(settings.start_url());
    let name = format!("{}.json", hex::encode(Sha1::digest(name)));
    let separator = ports.platform().separator();
    let mut path = ports.home()?.into_os_string();
    for part in [".aws", "sso", "cache", &name] {
        path.push(separator);
        path.push(part);
    }
    Some(path.into())
}

/// The token in a file, and how long it is good.
pub(super) struct Held {
    pub(super) token: Token,
    expires_at: SystemTime,
}

impl Held {
    pub(super) fn of(document: &Document) -> Result<Held, String> {
        let expires_at = document.moment("expiresAt")?;
        let token = Token::new(document.needed("accessToken")?).with_expires_at(expires_at);
        Ok(Held { token, expires_at })
    }

    pub(super) fn is_live(&self, now: SystemTime) -> bool {
        now < self.expires_at
    }

    /// Whether nothing needs to be done.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        self.expires_at.duration_since(now).is_ok_and(|left| left >= EARLY)
    }
}

/// How long before the end a token is renewed.
const EARLY: Duration = Duration::from_secs(5 * 60);
