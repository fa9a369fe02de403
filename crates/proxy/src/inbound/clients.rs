//! Clients that are known by a secret.

use std::{fmt, fs, path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::{ConfigError, secrets};

/// The clients of a file, in which each line is `bearer TOKEN` or `basic USER:PASSWORD`; empty lines and those that
/// begin with `#` say nothing.
pub(crate) struct Clients {
    all: Vec<Client>,
}

struct Client {
    scheme: Scheme,
    name: Arc<str>,
    /// Of the token, or of name and password.
    digest: Zeroizing<[u8; 32]>,
}

/// How a client says its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer,
}

impl Clients {
    /// # Errors
    /// If the file cannot be read, names nobody or has another line; the text says which, not what is in it.
    pub(crate) fn read(path: &Path) -> Result<Clients, ConfigError> {
        let shown = path.display();
        let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
            ConfigError::new(format!("the clients in `{shown}` cannot be read: {error}"))
        })?;
        if secrets::is_open(path) {
            tracing::warn!("others may read the secrets in `{shown}`: chmod 600 it");
        }
        Clients::parse(&text).map_err(|wrong| {
            ConfigError::new(match wrong {
                Some(line) => format!(
                    "line {line} of `{shown}` is neither `bearer TOKEN` nor `basic USER:PASSWORD`"
                ),
                None => format!("`{shown}` names no client, so that nobody would be let in"),
            })
        })
    }

    /// # Errors
    /// The number of the line that cannot be read, or none if there is no client.
    fn parse(text: &str) -> Result<Clients, Option<usize>> {
        let mut all = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            all.push(Client::parse(line, number).ok_or(Some(number))?);
        }
        if all.is_empty() {
            return Err(None);
        }
        Ok(Clients { all })
    }

    /// What the client is called that says this; it takes as long whoever it is, and if it is nobody.
    pub(crate) fn find(&self, said: &HeaderValue) -> Option<Arc<str>> {
        let said = said.as_bytes();
        let end = said.iter().position(|byte| *byte == b' ')?;
        let (scheme, secret) = (&said[..end], said[end..].trim_ascii());
        let (scheme, digest) = if scheme.eq_ignore_ascii_case(b"bearer") {
            (Scheme::Bearer, digest(secret))
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            (Scheme::Basic, digest(&Zeroizing::new(STANDARD.decode(secret).ok()?)))
        } else {
            return None;
        };
        let mut found = u32::MAX;
        for (index, client) in (0..).zip(&self.all).filter(|(_, it)| it.scheme == scheme) {
            found.conditional_assign(&index, client.digest.ct_eq(&*digest));
        }
        self.all.get(usize::try_from(found).ok()?).map(|client| Arc::clone(&client.name))
    }

    /// What to ask of whoever is not known: values of `www-authenticate` or `proxy-authenticate`.
    pub(crate) fn challenges(&self) -> impl Iterator<Item = HeaderValue> {
        let asks = |scheme| self.all.iter().any(|client| client.scheme == scheme);
        let bearer = asks(Scheme::Bearer).then_some("Bearer realm=\"countersign\"");
        let basic = asks(Scheme::Basic).then_some("Basic realm=\"countersign\", charset=\"UTF-8\"");
        bearer.into_iter().chain(basic).map(HeaderValue::from_static)
    }
}

impl Client {
    fn parse(line: &str, number: usize) -> Option<Client> {
        let (scheme, secret) = line.split_once(' ')?;
        let (scheme, secret, name) = match scheme {
            "bearer" => {
                let token = secret.trim();
                let is_token =
                    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
                // A token is a secret as a whole.
                (Scheme::Bearer, is_token.then_some(token)?, format!("bearer:{number}"))
            }
            "basic" => {
                let (user, password) = secret.split_once(':')?;
                let is_pair = !user.is_empty() && !password.is_empty();
                (Scheme::Basic, is_pair.then_some(secret)?, user.to_owned())
            }
            _ => return None,
        };
        Some(Client { scheme, name: name.into(), digest: digest(secret.as_bytes()) })
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|client| &client.name)).finish()
    }
}

fn digest(secret: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Sha256::digest(secret).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Ours.\n\nbearer t0ken+/=\r\nbasic ann:pass word:x \nbasic bob:ünsafe\n";

    #[test]
    fn a_client_is_who_says_its_secret_to_the_letter() {
        let clients = Clients::parse(FILE).expect("a file");
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (said, expected) in [
            ("Bearer t0ken+/=".to_owned(), Some("bearer:3")),
            ("bearer   t0ken+/= ".to_owned(), Some("bearer:3")),
            (basic("ann:pass word:x "), Some("ann")),
            (basic("bob:ünsafe"), Some("bob")),
            (basic("ann:pass word:x"), None),
            (basic("ann:ünsafe"), None),
            (basic("t0ken+/="), None),
            ("Basic t0ken+/=".to_owned(), None),
            ("Bearer ann:pass word:x ".to_owned(), None),
            ("Bearer".to_owned(), None),
            ("Bearer ".to_owned(), None),
            (String::new(), None),
            ("AWS4-HMAC-SHA256 Credential=t0ken+/=".to_owned(), None),
        ] {
            let said = HeaderValue::from_str(&said).expect("a header");
            assert_eq!(clients.find(&said).as_deref(), expected, "{said:?}");
        }
        assert_eq!(clients.challenges().count(), 2);
    }

    #[test]
    fn what_is_no_line_is_named_by_its_number_alone() {
        for (text, expected) in [
            ("", None),
            ("# nobody\n", None),
            ("bearer a\nhunter2", Some(2)),
            ("bearer ", Some(1)),
            ("bearer two words", Some(1)),
            ("basic hunter2", Some(1)),
            ("basic :hunter2", Some(1)),
            ("basic user:", Some(1)),
            ("digest a:b", Some(1)),
        ] {
            assert_eq!(Clients::parse(text).expect_err(text), expected, "{text}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let clients = Clients::parse(FILE).expect("a file");
        assert_eq!(format!("{clients:?}"), "[\"bearer:3\", \"ann\", \"bob\"]");
    }
}
