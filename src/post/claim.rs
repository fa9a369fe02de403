//! What a form says of its own signature.

use std::{fmt, time::SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::{
    LengthCheck, Received, Upload,
    document::Document,
    fields::{ByName, expand, is_exempt, refuse},
};
use crate::{
    Algorithm, Rules, Scope, Timestamp,
    verify::{
        Error, Known, Place, Refusal, Verifier,
        error::MISMATCH,
        key::AnyKey,
        parts::{Credential, Value},
    },
};

impl Verifier {
    /// Takes a form's word for who signed its policy, and checks what can be checked without a key.
    ///
    /// Region, services, clock skew, the longest life and uniform refusals count as for presigned URLs;
    /// what says something of headers or bodies does not count here. See [`post`](crate::post).
    ///
    /// # Errors
    /// A [`Refusal`] of fields that are missing or malformed, of the scope or of the time.
    pub fn claim_post<'a>(
        &'a self,
        form: Received<'a>,
        now: SystemTime,
    ) -> Result<PostClaim<'a>, Error> {
        PostClaim::parse(self, form, now)
    }
}

/// What a form says of its own signature: parsed, and not believed.
///
/// Made by [`Verifier::claim_post`].
pub struct PostClaim<'a> {
    verifier: &'a Verifier,
    form: Received<'a>,
    fields: ByName<&'a [u8]>,
    credential: Credential<'a>,
    at: Timestamp,
    now: SystemTime,
    policy: &'a [u8],
    signature: &'a [u8],
}

impl<'a> PostClaim<'a> {
    fn parse(
        verifier: &'a Verifier,
        form: Received<'a>,
        now: SystemTime,
    ) -> Result<PostClaim<'a>, Error> {
        let mut fields = form.by_name()?;
        let (policy, signature) = match (fields.remove(&b"policy"[..]), fields.remove(SIGNATURE)) {
            (None, None) => {
                let message = "Access Denied: the form carries neither a policy nor a signature";
                return Err(refuse(Refusal::NoCredentials, message));
            }
            (policy, signature) => (
                policy.ok_or_else(|| missing("policy"))?,
                signature.ok_or_else(|| missing("x-amz-signature"))?,
            ),
        };
        if fields.get(&b"key"[..]).is_none_or(|key| key.is_empty()) {
            return Err(missing("key"));
        }
        let bucket = fields.insert(b"bucket".to_vec(), form.bucket.as_bytes());
        if bucket.is_some_and(|bucket| bucket != form.bucket.as_bytes()) {
            let message = "the form's field `bucket` is not the bucket that it was sent to";
            return Err(refuse(Refusal::MalformedForm, message));
        }

        let text = |name: &'static str| {
            let value = fields.get(name.as_bytes()).copied().ok_or_else(|| missing(name))?;
            str::from_utf8(value)
                .map_err(|_| malformed(format!("the form's field `{name}` is not text")))
        };
        if text("x-amz-algorithm")? != Algorithm::HmacSha256.as_str() {
            let algorithm = Algorithm::HmacSha256;
            return Err(malformed(format!("the form's x-amz-algorithm is not {algorithm}")));
        }
        let credential = text("x-amz-credential")?;
        let credential = Credential::from_text(Place::Query, Algorithm::HmacSha256, credential)?;
        let date = text("x-amz-date")?;
        let at = date.parse::<Timestamp>().ok().filter(|at| at.as_str() == date);
        let at = at.ok_or_else(|| {
            malformed("the form's x-amz-date is not like 20150830T123600Z".to_owned())
        })?;
        let claim = PostClaim { verifier, form, fields, credential, at, now, policy, signature };
        claim.check_scope()?;
        claim.check_time()?;
        Ok(claim)
    }

    /// Whose key signed, by the form's own word.
    pub fn access_key_id(&self) -> &str {
        self.credential.access_key_id.as_str()
    }

    /// The scope that the key is to be derived for.
    pub fn scope(&self) -> Scope<'_> {
        let Credential { region, service, .. } = &self.credential;
        Scope::new_unchecked(self.at, region.as_str(), service.as_str())
    }

    /// The session token that came with the form.
    pub fn session_token(&self) -> Option<&'a [u8]> {
        self.fields.get(TOKEN).copied()
    }

    /// The moment of signing, by the form's own word.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Compares signatures, and holds the form to its policy.
    ///
    /// `known` is the key that the server found, for `None` see [`Refusal::UnknownKey`]: that answer
    /// takes as long as the one for a wrong signature. The policy is not read before its signature held.
    ///
    /// # Errors
    /// A [`Refusal`] from [`Refusal::UnknownKey`] on, or [`Refusal::Expired`].
    pub fn verify(self, known: Option<Known<'_>>) -> Result<(Upload<'a>, LengthCheck), Error> {
        let uniform = self.verifier.is_uniform;
        // The same work as for a key that is known, and never a match.
        let found = known.map(|known| known.key).filter(|key| matches!(key, AnyKey::Hmac(_)));
        let key = found.unwrap_or(AnyKey::Hmac(&self.verifier.stand_in));
        let matches = key.is_signature(self.policy, self.signature) & found.is_some();
        let expected_token = known.and_then(|known| known.session_token);
        let has_token = match self.session_token() {
            None => expected_token.is_none(),
            Some(token) => Value::header(token).is(expected_token.map(|expected| expected.0)),
        };
        if known.is_none() {
            let message = "The AWS access key Id you provided does not exist in our records.";
            return Err(refuse(Refusal::UnknownKey, message).made_uniform(uniform));
        }
        if !has_token {
            let message = "The provided token is malformed or otherwise invalid.";
            return Err(refuse(Refusal::WrongToken, message).made_uniform(uniform));
        }
        if !matches {
            return Err(refuse(Refusal::SignatureDiffers, MISMATCH));
        }
        self.enforce()
    }

    fn check_scope(&self) -> Result<(), Error> {
        self.verifier.check_scope(Place::Query, &self.credential, self.at, None)?;
        let service = self.credential.service.as_bytes();
        let rules = self.verifier.rules.unwrap_or_else(|| Rules::for_service_bytes(service));
        if !rules.presigns_unsigned() {
            let message = "the credential scope is of a service that takes no POST forms";
            return Err(refuse(Refusal::WrongScope, message));
        }
        Ok(())
    }

    fn check_time(&self) -> Result<(), Error> {
        let signed_at = SystemTime::from(self.at);
        let ahead = signed_at.duration_since(self.now).unwrap_or_default();
        let behind = self.now.duration_since(signed_at).unwrap_or_default();
        if ahead > self.verifier.clock_skew {
            return Err(refuse(Refusal::Expired, "Request is not yet valid"));
        }
        if behind > self.verifier.longest_expiry {
            return Err(refuse(Refusal::Expired, "Request has expired"));
        }
        Ok(())
    }

    /// Reads the policy, whose signature held, and asks of the form what it asks.
    fn enforce(self) -> Result<(Upload<'a>, LengthCheck), Error> {
        let no_policy =
            |problem: String| refuse(Refusal::InvalidPolicy, format!("Invalid Policy: {problem}."));
        let document = BASE64_STANDARD.decode(self.policy).map(Zeroizing::new);
        let document = document.map_err(|_| no_policy("the policy is not base64".to_owned()))?;
        let Document { expiration, conditions } = Document::parse(&document).map_err(no_policy)?;
        let expiration = SystemTime::from(expiration);
        if self.now >= expiration {
            let message = "Invalid according to Policy: Policy expired.";
            return Err(refuse(Refusal::Expired, message));
        }

        let mut fields = expand(self.fields, self.form.file_name)?;
        let not_met = |problem| {
            refuse(Refusal::PolicyNotMet, format!("Invalid according to Policy: {problem}"))
        };
        // What they are called is looked up once more below.
        let mut names = Vec::with_capacity(conditions.len());
        let mut length = LengthCheck::any();
        for condition in &conditions {
            let name = condition.name().map(|name| name.as_bytes().to_ascii_lowercase());
            let value = name.as_ref().and_then(|name| match &name[..] {
                b"policy" => Some(self.policy),
                SIGNATURE => Some(self.signature),
                name => fields.get(name).map(|value| &**value),
            });
            if !condition.holds(value) {
                return Err(not_met(format!("Policy Condition failed: {}", condition.shown())));
            }
            if let Some(lengths) = condition.lengths() {
                length.narrow(lengths);
            }
            names.extend(name);
        }
        names.sort_unstable();
        let is_covered = |name: &Vec<u8>| names.binary_search(name).is_ok();
        let is_allowed = |name: &[u8]| str::from_utf8(name).is_ok_and(is_exempt);
        let extra: Vec<String> = fields
            .keys()
            .filter(|name| !is_covered(name) && !is_allowed(name))
            .map(|name| name.escape_ascii().to_string())
            .collect();
        if !extra.is_empty() {
            return Err(not_met(format!("Extra input fields: {}", extra.join(", "))));
        }

        // Believed are those that a condition covers, which no one needs the token of any more.
        fields.retain(|name, _| is_covered(name) && name != TOKEN);
        let upload = Upload::new(self.credential, self.at, expiration, fields)?;
        Ok((upload, length))
    }
}

impl fmt::Debug for PostClaim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostClaim")
            .field("access_key_id", &self.access_key_id())
            .field("scope", &self.scope())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

fn missing(name: &str) -> Error {
    let message = format!(
        "Bucket POST must contain a field named '{name}'. If it is specified, please check the order \
         of the fields."
    );
    refuse(Refusal::MalformedForm, message)
}

fn malformed(message: String) -> Error {
    refuse(Refusal::Malformed, message)
}

const SIGNATURE: &[u8] = b"x-amz-signature";

const TOKEN: &[u8] = b"x-amz-security-token";
