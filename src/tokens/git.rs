//! What git says when it logs in at CodeCommit, and whether it is true.

use std::{fmt, time::SystemTime};

use super::{CodeCommit, codecommit::SERVICE};
use crate::{
    Scope, Timestamp,
    bytes::is_same_secret,
    verify::{Error, Known, Place, Refusal, Verifier, error::MISMATCH, key::AnyKey, parts::Value},
};

impl Verifier {
    /// Takes the word of a git client for who it is, and checks what can be checked without a key.
    ///
    /// `user` and `password` are those of basic authentication, decoded, and `repository` is the one that
    /// was asked for: its path without `/info/refs` and what else git adds. Region, services, clock skew
    /// and uniform refusals count as for signed requests.
    ///
    /// # Errors
    /// A [`Refusal`] of a user name or a password that is no signature, of the scope or of the time.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Credentials, KeyCache, tokens::CodeCommit, verify::{Known, Verifier}};
    ///
    /// let now = SystemTime::now();
    /// let repository = CodeCommit::new("git.example.com", "/v1/repos/app", "us-east-1");
    /// # let sent = repository.sign(&Credentials::new("AKIDEXAMPLE", "secret"), now)?;
    /// # let (user, password) = (sent.user().as_bytes(), sent.password().as_bytes());
    /// let verifier = Verifier::new();
    /// let keys = KeyCache::default();
    /// let claim = verifier.claim_git(repository, user, password, now)?;
    /// let secret = (claim.access_key_id() == "AKIDEXAMPLE").then_some("secret");
    /// let key = secret.map(|secret| keys.key(claim.access_key_id(), secret, &claim.scope()));
    /// let user = claim.verify(key.as_ref().map(Known::new))?;
    /// assert_eq!(user.access_key_id(), "AKIDEXAMPLE");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn claim_git<'a>(
        &'a self,
        repository: CodeCommit<'a>,
        user: &'a [u8],
        password: &'a [u8],
        now: SystemTime,
    ) -> Result<GitClaim<'a>, Error> {
        GitClaim::parse(self, repository, user, password, now)
    }
}

/// What git says of who it is: parsed, and not believed.
///
/// Made by [`Verifier::claim_git`].
pub struct GitClaim<'a> {
    verifier: &'a Verifier,
    repository: CodeCommit<'a>,
    access_key_id: &'a str,
    token: Option<&'a [u8]>,
    at: Timestamp,
    signature: &'a [u8],
}

/// The proof that a git client has the key of its access key id.
///
/// Only [`GitClaim::verify`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitUser {
    access_key_id: String,
    at: Timestamp,
}

impl<'a> GitClaim<'a> {
    fn parse(
        verifier: &'a Verifier,
        repository: CodeCommit<'a>,
        user: &'a [u8],
        password: &'a [u8],
        now: SystemTime,
    ) -> Result<GitClaim<'a>, Error> {
        if user.is_empty() && password.is_empty() {
            return Err(refuse(Refusal::NoCredentials, "git sent neither user name nor password"));
        }
        let (id, token) = match user.iter().position(|&byte| byte == b'%') {
            Some(at) => (&user[..at], Some(&user[at + 1..])),
            None => (user, None),
        };
        let id = str::from_utf8(id).ok().filter(|id| !id.is_empty());
        let id =
            id.ok_or_else(|| refuse(Refusal::Malformed, "git's user name is no access key id"))?;
        let no_signature = || {
            let message = "git's password is not a time like 20150830T123600Z and a signature";
            refuse(Refusal::Malformed, message)
        };
        let (time, signature) = password.split_at_checked(16).ok_or_else(no_signature)?;
        let at = str::from_utf8(time)
            .ok()
            .and_then(|time| time.parse::<Timestamp>().ok().filter(|at| at.as_str() == time));
        let at = at.filter(|_| signature.len() == 64).ok_or_else(no_signature)?;
        let wrong_scope = |message| Err(refuse(Refusal::WrongScope, message));
        if verifier.region.as_ref().is_some_and(|wanted| wanted != repository.region()) {
            return wrong_scope("the repository is of another region");
        }
        let services = verifier.services.as_ref();
        if services.is_some_and(|wanted| !wanted.iter().any(|wanted| wanted == SERVICE)) {
            return wrong_scope("git's signatures are of the service codecommit");
        }
        let signed_at = SystemTime::from(at);
        if now.duration_since(signed_at).unwrap_or_default() > verifier.clock_skew {
            let message = "Signature expired: the password is too old";
            return Err(refuse(Refusal::TimeSkewed, message));
        }
        if signed_at.duration_since(now).unwrap_or_default() > verifier.clock_skew {
            return Err(refuse(Refusal::TimeSkewed, "Signature not yet current"));
        }
        Ok(GitClaim { verifier, repository, access_key_id: id, token, at, signature })
    }

    /// Whose key signed, by git's own word.
    pub fn access_key_id(&self) -> &str {
        self.access_key_id
    }

    /// The scope that the key is to be derived for.
    pub fn scope(&self) -> Scope<'_> {
        Scope::new_unchecked(self.at, self.repository.region(), SERVICE)
    }

    /// The session token that came in the user name.
    pub fn session_token(&self) -> Option<&'a [u8]> {
        self.token
    }

    /// The moment of signing, by git's own word.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Compares signatures.
    ///
    /// `known` is the key that the server found, for `None` see [`Refusal::UnknownKey`]: that answer takes
    /// as long as the one for a wrong signature.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for a host or a path that no repository has, [`Refusal::UnknownKey`],
    /// [`Refusal::WrongToken`] or [`Refusal::SignatureDiffers`].
    pub fn verify(self, known: Option<Known<'_>>) -> Result<GitUser, Error> {
        let uniform = self.verifier.is_uniform;
        // The same work as for a key that is known, and never a match.
        let found = known.as_ref().and_then(|known| match known.key {
            AnyKey::Asymmetric(_) => None,
            AnyKey::Hmac(key) => Some(key),
        });
        let key = found.unwrap_or(&self.verifier.stand_in);
        let expected = self
            .repository
            .signature(key, self.at)
            .map_err(|error| refuse(Refusal::Malformed, error.to_string()))?;
        let matches = is_same_secret(&expected, self.signature) & found.is_some();
        let expected_token = known.and_then(|known| known.session_token);
        let has_token = match self.token {
            None => expected_token.is_none(),
            Some(token) => Value::header(token).is(expected_token.map(|expected| expected.0)),
        };
        if known.is_none() {
            let message = "The security token included in the request is invalid: the access key id is not known.";
            return Err(refuse(Refusal::UnknownKey, message).made_uniform(uniform));
        }
        if !has_token {
            let message = "The security token included in the request is invalid.";
            return Err(refuse(Refusal::WrongToken, message).made_uniform(uniform));
        }
        if !matches {
            return Err(refuse(Refusal::SignatureDiffers, MISMATCH));
        }
        Ok(GitUser { access_key_id: self.access_key_id.to_owned(), at: self.at })
    }
}

impl fmt::Debug for GitClaim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitClaim")
            .field("access_key_id", &self.access_key_id())
            .field("scope", &self.scope())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl GitUser {
    /// Whose key signed.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The moment of signing.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

fn refuse(refusal: Refusal, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(refusal, Place::Header, message)
}
