//! User names and passwords with which git talks to CodeCommit.

use std::{fmt, time::SystemTime};

use zeroize::Zeroizing;

use super::request::{QUARTER, check_credentials, check_host};
use crate::{
    Credentials, Error, ErrorKind, Life, Scope, Scratch, Signer, SigningKey, Timestamp,
    canonical::{self, Lines, PathForm, Spare, room},
    rules::Rules,
    sha256,
};

/// A repository of CodeCommit, for which git wants a user name and a password.
///
/// The signature is of a dialect of its own. The method is `GIT`; of the host the port is left out; no
/// payload is signed, so that the canonical request ends behind the names of the signed headers; and the
/// time in the string to sign has no `Z`.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::CodeCommit};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let host = "git-codecommit.us-east-1.amazonaws.com";
/// let git = CodeCommit::new(host, "/v1/repos/app", "us-east-1").sign(&credentials, SystemTime::now())?;
/// assert_eq!(git.user(), "AKIDEXAMPLE");
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CodeCommit<'a> {
    host: &'a str,
    path: &'a str,
    region: &'a str,
}

impl<'a> CodeCommit<'a> {
    /// The repository at this host and path, as in `/v1/repos/app`, the first slash or none.
    pub fn new(host: &'a str, path: &'a str, region: &'a str) -> CodeCommit<'a> {
        CodeCommit { host, path: path.strip_prefix('/').unwrap_or(path), region }
    }

    /// Makes the user name and the password.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`] for a host that is none and a path that is no repository's: letters, digits,
    /// `-`, `.`, `_`, `~` and `/` make one. [`ErrorKind::InvalidCredentials`] for an access key id or a
    /// session token that no user name can hold, or what else is wrong with the credentials, the region or
    /// the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<GitCredential, Error> {
        check_credentials(credentials)?;
        let signer = Signer::new(self.region, SERVICE);
        let at = signer.check(credentials, at, &Scratch::new())?;
        let id = credentials.access_key_id();
        let token = credentials.session_token().filter(|token| !token.is_empty());
        // The token stands behind the first `%`, and basic authentication ends a user's name at a `:`.
        if id.contains(['%', ':']) || token.is_some_and(|token| token.contains(':')) {
            return Err(Error::new(
                ErrorKind::InvalidCredentials,
                "git's user name for CodeCommit can hold no access key id with `%` or `:`, and no \
                 session token with `:`",
            ));
        }
        let scope = signer.scope(at);
        let key = signer.key_cache().key(id, credentials.secret_access_key(), &scope);
        let signature = self.signature(&key, at)?;
        let joined = |parts: &[&str]| {
            let len = parts.iter().map(|part| part.len()).sum();
            let mut text = Zeroizing::new(String::with_capacity(len));
            parts.iter().for_each(|part| text.push_str(part));
            text
        };
        let signature = str::from_utf8(&signature).expect("hexadecimal digits are ASCII");
        Ok(GitCredential {
            user: match token {
                Some(token) => joined(&[id, "%", token]),
                None => joined(&[id]),
            },
            password: joined(&[at.as_str(), signature]),
            life: Life {
                expires_at: SystemTime::from(at) + QUARTER,
                credentials_expire_at: credentials.expires_at(),
            },
        })
    }

    pub(super) fn region(&self) -> &'a str {
        self.region
    }

    /// The signature that this key makes.
    pub(super) fn signature(&self, key: &SigningKey, at: Timestamp) -> Result<[u8; 64], Error> {
        Ok(sha256::hex(&key.sign(&self.string_to_sign(at)?)))
    }

    fn string_to_sign(&self, at: Timestamp) -> Result<Vec<u8>, Error> {
        let host = match self.host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => self.host,
        };
        check_host(host)?;
        let is_ours = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/')
        };
        if self.path.is_empty() || !self.path.bytes().all(is_ours) {
            return Err(Error::new(
                ErrorKind::InvalidUrl,
                format!(
                    "`{}` is no path of a repository, as /v1/repos/app is; git must be told to name \
                     it: `git config credential.useHttpPath true`",
                    self.path.escape_debug()
                ),
            ));
        }
        let path = format!("/{}", self.path);
        let mut lines = Lines::new();
        lines.push(b"host", host.as_bytes());
        lines.sort();
        let request = canonical::Request {
            method: b"GIT",
            path: path.as_bytes(),
            query: b"",
            own_query: b"",
            leave_out: |_| false,
            lines: &lines,
            names: None,
            // Its line is there, and empty.
            payload: b"",
            rules: Rules::GENERAL,
            path_form: PathForm::Verbatim,
        };
        let mut text = Vec::new();
        room(&mut text, request.bound());
        request.write(&mut text, &mut Spare::default())?;
        let hash = sha256::hex(&sha256::digest(&text));
        let without_z = &at.as_bytes()[..15];
        text.clear();
        text.extend_from_slice(b"AWS4-HMAC-SHA256\n");
        text.extend_from_slice(without_z);
        text.push(b'\n');
        Scope::new_unchecked(at, self.region, SERVICE).write(&mut text);
        text.push(b'\n');
        text.extend_from_slice(&hash);
        Ok(text)
    }
}

/// A user name and a password for git, which are secrets: with temporary credentials the session token
/// stands in the user name.
///
/// `Debug` shows how long they hold and nothing else, and they are wiped from memory when dropped.
///
/// Made by [`CodeCommit::sign`].
#[derive(Clone)]
pub struct GitCredential {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
    life: Life,
}

impl GitCredential {
    /// The access key id, and behind a `%` the session token, if there is one.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The time and the signature.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// How long they can be used, and whether the credentials expire before.
    pub fn life(&self) -> Life {
        self.life
    }
}

impl fmt::Debug for GitCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitCredential").field("life", &self.life).finish_non_exhaustive()
    }
}

pub(super) const SERVICE: &str = "codecommit";
