//! Where the token of a session is kept.

use std::path::PathBuf;

use sha1::{Digest, Sha1};

use crate::providers::{Ports, SsoSettings};

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
