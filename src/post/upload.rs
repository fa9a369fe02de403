//! The proof that a form may upload, and how long its file may be.

use std::{borrow::Cow, fmt, ops::RangeInclusive, time::SystemTime};

use super::fields::{ByName, refuse};
use crate::{
    Scope, Timestamp,
    verify::{Error, Refusal, parts::Credential, text::Text},
};

/// The proof that a form's policy was signed with the key of its access key id, and that the form keeps
/// to it.
///
/// Only [`PostClaim::verify`](super::PostClaim::verify) makes it. It holds neither a key nor the session
/// token, and of the form those fields alone that the policy has a condition on; believe no others.
/// `Debug` shows their names.
#[derive(Clone, PartialEq, Eq)]
pub struct Upload<'a> {
    access_key_id: Text<'a>,
    region: Text<'a>,
    service: Text<'a>,
    at: Timestamp,
    expires_at: SystemTime,
    key: String,
    fields: ByName<Cow<'a, [u8]>>,
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        credential: Credential<'a>,
        at: Timestamp,
        expires_at: SystemTime,
        fields: ByName<Cow<'a, [u8]>>,
    ) -> Result<Upload<'a>, Error> {
        let key = fields.get(&b"key"[..]).and_then(|key| str::from_utf8(key).ok());
        let Some(key) = key.filter(|key| !key.is_empty()).map(str::to_owned) else {
            let message =
                "the form's key is empty once the file's name is in it, or it is not UTF-8";
            return Err(refuse(Refusal::MalformedForm, message));
        };
        let Credential { access_key_id, region, service, .. } = credential;
        Ok(Upload { access_key_id, region, service, at, expires_at, key, fields })
    }

    /// Whose key signed.
    pub fn access_key_id(&self) -> &str {
        self.access_key_id.as_str()
    }

    /// The scope for which the signature holds.
    pub fn scope(&self) -> Scope<'_> {
        Scope::new_unchecked(self.at, self.region.as_str(), self.service.as_str())
    }

    /// The moment of signing.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The moment from which the policy no longer holds.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// The key of the object, the file's name in it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value of a field, its name in any case; the file's name is in it where it was asked for.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(&name.as_bytes().to_ascii_lowercase()).map(|value| &**value)
    }

    /// The fields, sorted by their names, which are in lower case; `bucket` and `key` are among them.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_slice(), &**value))
    }

    /// The same proof, which no longer borrows the form.
    pub fn into_owned(self) -> Upload<'static> {
        let fields = self.fields.into_iter();
        Upload {
            access_key_id: self.access_key_id.into_owned(),
            region: self.region.into_owned(),
            service: self.service.into_owned(),
            at: self.at,
            expires_at: self.expires_at,
            key: self.key,
            fields: fields.map(|(name, value)| (name, Cow::Owned(value.into_owned()))).collect(),
        }
    }
}

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.fields.keys().map(|name| name.escape_ascii().to_string());
        f.debug_struct("Upload")
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope())
            .field("key", &self.key)
            .field("fields", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Checks that a file is as long as its policy asks, while it is received.
///
/// Give it the length of each piece, or of the whole file where that is known. It says no as soon as the
/// file is too long, so that a server need not receive the rest; that the file is long enough is known
/// only when [`LengthCheck::finish`] said so.
///
/// Made by [`PostClaim::verify`](super::PostClaim::verify).
#[derive(Clone, Debug)]
#[must_use = "a file whose length is not checked may have any"]
pub struct LengthCheck {
    least: u64,
    most: u64,
    seen: u64,
}

impl LengthCheck {
    pub(super) fn any() -> LengthCheck {
        LengthCheck { least: 0, most: u64::MAX, seen: 0 }
    }

    /// Allows only what is in this range, too.
    pub(super) fn narrow(&mut self, lengths: RangeInclusive<u64>) {
        self.least = self.least.max(*lengths.start());
        self.most = self.most.min(*lengths.end());
    }

    /// The lengths in bytes that the policy allows, both ends included; empty if no length will do.
    pub fn allowed(&self) -> RangeInclusive<u64> {
        self.least..=self.most
    }

    /// Takes the length of the next piece.
    ///
    /// # Errors
    /// [`Refusal::FileTooLarge`] once there are more bytes than the policy allows.
    pub fn push(&mut self, bytes: u64) -> Result<(), Error> {
        self.seen = self.seen.saturating_add(bytes);
        if self.seen > self.most {
            let message = "Your proposed upload exceeds the maximum allowed size";
            return Err(refuse(Refusal::FileTooLarge, message));
        }
        Ok(())
    }

    /// Whether the file, of which no more comes, is long enough.
    ///
    /// # Errors
    /// [`Refusal::FileTooSmall`], and [`Refusal::FileTooLarge`] if a push said so before.
    pub fn finish(mut self) -> Result<(), Error> {
        self.push(0)?;
        if self.seen < self.least {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            return Err(refuse(Refusal::FileTooSmall, message));
        }
        Ok(())
    }
}
