//! Signing a policy: the form that uploads by it.

use std::{fmt, time::SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::Uri;
use zeroize::Zeroizing;

use super::{
    Policy,
    policy::{Fields, check_length, invalid},
};
use crate::{Algorithm, Credentials, Error, ErrorKind, Life, Scratch, Signer, sha256};

impl Signer {
    /// Signs a policy, and returns the form with which a browser uploads by it.
    ///
    /// `url` is where the form is sent: that of the bucket, as
    /// `https://bucket.s3.eu-central-1.amazonaws.com/` or, for look-alikes and buckets with a dot in
    /// their name, `https://host/bucket`.
    ///
    /// # Errors
    /// What is wrong with the credentials, the time, the URL ([`ErrorKind::InvalidUrl`]), the life of
    /// the policy ([`ErrorKind::InvalidExpiry`]) or the policy itself ([`ErrorKind::InvalidPolicy`]).
    /// Only S3 takes forms, and what signs [by its rules](Signer::with_rules).
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use countersign::{Credentials, Signer, post::Policy};
    ///
    /// let policy = Policy::expires_in(Duration::from_secs(3600), "bucket", "user/eric/${filename}")
    ///     .with_starts_with("Content-Type", "image/");
    /// let form = Signer::new("eu-central-1", "s3").post(
    ///     "https://bucket.s3.eu-central-1.amazonaws.com/",
    ///     &policy,
    ///     &Credentials::new("AKIDEXAMPLE", "secret"),
    ///     SystemTime::now(),
    /// )?;
    /// assert_eq!(form.field("key"), Some("user/eric/${filename}"));
    /// assert_eq!(form.blanks().collect::<Vec<_>>(), [("Content-Type", "image/")]);
    /// for (name, value) in form.fields() {
    ///     println!("{name}: {value}");
    /// }
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn post(
        &self,
        url: &str,
        policy: &Policy,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<PostForm, Error> {
        let at = self.check(credentials, at, &Scratch::new())?;
        if !self.rules().presigns_unsigned() {
            return Err(invalid(format!(
                "`{}` takes no POST forms: S3 does, and what signs by its rules",
                self.service()
            )));
        }
        if self.algorithm() != Algorithm::HmacSha256 {
            return Err(invalid(format!("no POST form is signed by {}", self.algorithm())));
        }
        if credentials.is_s3_express_session() {
            let message = "the session credentials of S3 Express sign no POST form";
            return Err(Error::new(ErrorKind::InvalidCredentials, message));
        }
        check_url(url)?;
        let expiration = policy.expiration(at)?;
        let mut fields = policy.checked_fields()?;
        let scope = self.scope(at);
        let id = credentials.access_key_id();
        let credential = format!("{id}/{scope}");
        let token = credentials.session_token().filter(|token| !token.is_empty());
        let mut added = vec![
            ("x-amz-algorithm", Algorithm::HmacSha256.as_str()),
            ("x-amz-credential", &*credential),
            ("x-amz-date", at.as_str()),
        ];
        added.extend(token.map(|token| ("x-amz-security-token", token)));

        let document = policy.document(expiration, &added);
        let mut encoded = Zeroizing::new(String::with_capacity(document.len().div_ceil(3) * 4));
        BASE64_STANDARD.encode_string(&*document, &mut encoded);
        let key = self.keys.key(id, credentials.secret_access_key(), &scope);
        let signature = sha256::hex(&key.sign(encoded.as_bytes()));
        let signature = String::from_utf8_lossy(&signature).into_owned();

        let mut add = |name: &str, value| fields.push((name.to_owned(), value));
        for (name, value) in added {
            add(name, Zeroizing::new(value.to_owned()));
        }
        add("policy", encoded);
        add("x-amz-signature", Zeroizing::new(signature));
        check_length(&fields)?;
        Ok(PostForm {
            url: url.to_owned(),
            fields,
            blanks: policy.blanks(),
            life: Life {
                expires_at: expiration.into(),
                credentials_expire_at: credentials.expires_at(),
            },
        })
    }
}

/// A form that uploads one file, whoever sends it.
///
/// It is sent to [`PostForm::url`] as `multipart/form-data`: all of [`PostForm::fields`], those of
/// [`PostForm::blanks`] filled in, and behind them all the file as `file`. Whoever has it can upload
/// until it expires, as often as they like. `Debug` shows the names of fields but no values, and the
/// values are wiped from memory when it is dropped.
///
/// Made by [`Signer::post`].
#[derive(Clone)]
pub struct PostForm {
    url: String,
    fields: Fields,
    blanks: Vec<(String, String)>,
    life: Life,
}

impl PostForm {
    /// Where the form is sent.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The fields and their values, in the order in which to send them: `policy`, `x-amz-signature`
    /// and what else belongs to the signature come last.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a field, its name in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The fields that the form's user must fill in, and what each must begin with.
    pub fn blanks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.blanks.iter().map(|(name, prefix)| (name.as_str(), prefix.as_str()))
    }

    /// How long the form can be used.
    pub fn life(&self) -> Life {
        self.life
    }
}

impl fmt::Debug for PostForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.fields().map(|(name, _)| name).collect();
        f.debug_struct("PostForm")
            .field("url", &self.url)
            .field("fields", &names)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// A form is sent to a bucket, by its URL alone.
fn check_url(url: &str) -> Result<(), Error> {
    let refuse = |message: &'static str| Err(Error::new(ErrorKind::InvalidUrl, message));
    let Ok(parsed) = url.parse::<Uri>() else {
        return refuse("the URL that the form is sent to cannot be read");
    };
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return refuse("the URL that the form is sent to begins with neither https:// nor http://");
    }
    if parsed.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return refuse("the URL that the form is sent to has no host, or a user before it");
    }
    if url.contains(['?', '#']) {
        return refuse("the URL that the form is sent to has a query or a fragment");
    }
    Ok(())
}
