//! What may be uploaded with a form, and what the form holds beforehand.

use std::{
    fmt,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use zeroize::Zeroizing;

use super::{
    Condition, FILENAME, LONGEST_FORM,
    condition::write_text,
    document::Document,
    fields::{is_exempt, is_of_signature},
};
use crate::{Error, ErrorKind, Timestamp, head::is_token};

/// What may be uploaded with a form, by whoever has it: where to, until when, and under which
/// conditions.
///
/// [`Signer::post`](crate::Signer::post) makes a form of it. Every field that the form will have needs
/// a condition, or S3 refuses the upload: [`Policy::with_field`] gives both at once,
/// [`Policy::with_starts_with`] a condition alone, whose field the form's user fills in, and
/// [`Policy::with_value`] a value for such a field to begin with.
///
/// ```
/// use std::time::Duration;
/// use countersign::post::Policy;
///
/// let policy = Policy::expires_in(Duration::from_secs(3600), "bucket", "user/eric/${filename}")
///     .with_field("acl", "public-read")
///     .with_starts_with("Content-Type", "image/")
///     .with_content_length_range(1..=10 * 1024 * 1024);
/// # let _ = policy;
/// ```
///
/// `Debug` shows the names of fields but no values.
#[derive(Clone)]
pub struct Policy {
    expiry: Expiry,
    bucket: String,
    conditions: Vec<Condition>,
    fields: Fields,
}

/// The fields of a form, in order.
pub(super) type Fields = Vec<(String, Zeroizing<String>)>;

#[derive(Clone, Copy, Debug)]
enum Expiry {
    At(SystemTime),
    In(Duration),
}

impl Policy {
    /// A policy that holds for this long from the moment of signing: from one second to a week.
    ///
    /// `key` is the name of the object. `${filename}` in it stands for the name of the file that the
    /// user chooses; then the policy allows every key that begins with what stands before it, since a
    /// policy can ask no more of a part that is not known yet.
    pub fn expires_in(
        duration: Duration,
        bucket: impl Into<String>,
        key: impl Into<String>,
    ) -> Policy {
        Policy::new(Expiry::In(duration), bucket.into(), key.into())
    }

    /// A policy that holds until a moment, which lies behind that of signing and a week at most.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use countersign::post::Policy;
    ///
    /// let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    /// let policy = Policy::expires_at(tomorrow, "bucket", "cat.jpg");
    /// # let _ = policy;
    /// ```
    pub fn expires_at(at: SystemTime, bucket: impl Into<String>, key: impl Into<String>) -> Policy {
        Policy::new(Expiry::At(at), bucket.into(), key.into())
    }

    /// Reads a policy from its JSON.
    ///
    /// Each exact condition gives the form a field, `["starts-with", "$key", "user/"]` the field `key`
    /// with `user/${filename}`. Conditions on what signing adds (`x-amz-algorithm`,
    /// `x-amz-credential`, `x-amz-date`, `x-amz-security-token`) are dropped, since it adds its own.
    /// The JSON is written anew when the policy is signed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPolicy`] if it is no policy, or one that does not name its bucket and key.
    ///
    /// ```
    /// use countersign::post::Policy;
    ///
    /// let policy = Policy::parse(br#"{
    ///     "expiration": "2015-12-30T12:00:00.000Z",
    ///     "conditions": [{"bucket": "bucket"}, ["starts-with", "$key", "user/"], {"acl": "private"}]
    /// }"#)?;
    /// # let _ = policy;
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn parse(json: &[u8]) -> Result<Policy, Error> {
        let Document { expiration, conditions } = Document::parse(json).map_err(invalid)?;
        let (of_bucket, others): (Vec<_>, Vec<_>) =
            conditions.into_iter().partition(|condition| condition.is_about("bucket"));
        let bucket = match &of_bucket[..] {
            [condition] => condition.value(),
            _ => None,
        };
        let bucket = bucket.ok_or_else(|| {
            invalid("the policy does not name one bucket, as {\"bucket\": \"name\"} does")
        })?;
        let mut policy = Policy {
            expiry: Expiry::At(expiration.into()),
            bucket: bucket.to_owned(),
            conditions: Vec::new(),
            fields: Vec::new(),
        };
        // An exact key before one that the user completes, and of those the longest.
        let of_key = || others.iter().filter(|condition| condition.is_about("key"));
        let exact = of_key().find_map(|condition| condition.value()).map(str::to_owned);
        let prefix = of_key().filter_map(|condition| condition.prefix()).max_by_key(|p| p.len());
        let key = exact.or_else(|| prefix.map(|prefix| format!("{prefix}{FILENAME}")));
        let key = key.ok_or_else(|| invalid("the policy has no condition on `key`"))?;
        policy = policy.with_value("key", key);
        Ok(others.into_iter().fold(policy, Policy::with_condition))
    }

    /// Gives the form a field, which must have this value and no other.
    ///
    /// As `acl`, `success_action_redirect`, `x-amz-meta-…` or `x-amz-server-side-encryption`.
    #[must_use]
    pub fn with_field(self, name: impl Into<String>, value: impl Into<String>) -> Policy {
        self.with_condition(Condition::equals(name, value))
    }

    /// Allows a field whose value begins so, which the form's user fills in; `""` allows any value.
    #[must_use]
    pub fn with_starts_with(self, name: impl Into<String>, prefix: impl Into<String>) -> Policy {
        self.with_condition(Condition::starts_with(name, prefix))
    }

    /// Gives a field the value that it has unless the form's user changes it. It needs a condition
    /// that allows it, but for fields that begin with `x-ignore-`.
    ///
    /// ```
    /// # use {countersign::post::Policy, std::time::Duration};
    /// let policy = Policy::expires_in(Duration::from_secs(600), "bucket", "cat")
    ///     .with_starts_with("Content-Type", "image/")
    ///     .with_value("Content-Type", "image/jpeg");
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn with_value(mut self, name: impl Into<String>, value: impl Into<String>) -> Policy {
        let (name, value) = (name.into(), Zeroizing::new(value.into()));
        let has_name = |field: &&mut (String, _)| field.0.eq_ignore_ascii_case(&name);
        match self.fields.iter_mut().find(has_name) {
            Some(field) => field.1 = value,
            None => self.fields.push((name, value)),
        }
        self
    }

    /// Allows files of so many bytes alone, both ends included.
    #[must_use]
    pub fn with_content_length_range(self, bytes: RangeInclusive<u64>) -> Policy {
        self.with_condition(Condition::content_length_range(bytes))
    }

    /// Adds a condition; an exact one gives the form its field, too, if that has no value yet.
    #[must_use]
    pub fn with_condition(mut self, condition: Condition) -> Policy {
        let fills = condition.name().zip(condition.value());
        if let Some((name, value)) = fills.filter(|(name, _)| !self.has_field(name)) {
            self.fields.push((name.to_owned(), Zeroizing::new(value.to_owned())));
        }
        self.conditions.push(condition);
        self
    }

    /// The bucket that it allows uploads to.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    fn new(expiry: Expiry, bucket: String, key: String) -> Policy {
        let condition = match key.split_once(FILENAME) {
            Some((prefix, _)) => Condition::starts_with("key", prefix),
            None => Condition::equals("key", key.as_str()),
        };
        let policy = Policy { expiry, bucket, conditions: Vec::new(), fields: Vec::new() };
        policy.with_value("key", key).with_condition(condition)
    }

    fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name))
    }

    /// The moment from which the policy, signed at `at`, no longer holds.
    pub(super) fn expiration(&self, at: Timestamp) -> Result<Timestamp, Error> {
        let signed_at = SystemTime::from(at);
        let expires_at = match self.expiry {
            Expiry::At(moment) => Some(moment),
            // What is no week is refused below, what no clock can hold here.
            Expiry::In(duration) => signed_at.checked_add(duration),
        };
        let out_of_range = || {
            Error::new(
                ErrorKind::InvalidExpiry,
                format!(
                    "a POST policy that is signed at {at} must expire later than that, and within a week"
                ),
            )
        };
        let expiration = Timestamp::try_from(expires_at.ok_or_else(out_of_range)?)?;
        match SystemTime::from(expiration).duration_since(signed_at) {
            Ok(life) if !life.is_zero() && life <= WEEK => Ok(expiration),
            _ => Err(out_of_range()),
        }
    }

    /// The fields that the form has before it is signed.
    ///
    /// Refuses what S3 would refuse whatever the user does.
    pub(super) fn checked_fields(&self) -> Result<Fields, Error> {
        if self.bucket.is_empty() || self.bucket.contains('/') {
            return Err(invalid("the name of the bucket is empty, or holds a `/`"));
        }
        if self.conditions.iter().filter_map(Condition::lengths).any(|lengths| lengths.is_empty()) {
            return Err(invalid("a content-length-range ends before it begins"));
        }
        let mut names = self.conditions.iter().filter_map(Condition::name);
        if let Some(name) = names.find(|name| !is_token(name.as_bytes())) {
            let name = name.escape_debug();
            return Err(invalid(format!(
                "a condition is on `{name}`, which no header could be called"
            )));
        }
        let mut fields: Fields = Vec::new();
        for (name, value) in self.fields.iter().filter(|(name, _)| !is_of_signature(name)) {
            let refuse =
                |why: &str| Err(invalid(format!("the field `{}` {why}", name.escape_debug())));
            if !is_token(name.as_bytes()) {
                return refuse("has a name that no header could have");
            }
            if ["bucket", "file"].iter().any(|other| name.eq_ignore_ascii_case(other)) {
                return refuse("is not the policy's to fill");
            }
            if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                return refuse("has a value with a line end or NUL, which no form sends as it is");
            }
            if name.eq_ignore_ascii_case("key") && value.is_empty() {
                return refuse("is empty: it names the object");
            }
            let mut conditions = self.conditions.iter().filter(|c| c.is_about(name)).peekable();
            if conditions.peek().is_none() && !is_exempt(name) {
                return refuse("has no condition, and so S3 would refuse it");
            }
            // What stands for the file's name is not known here.
            let is_final = !value.contains(FILENAME);
            if is_final && !conditions.all(|condition| condition.holds(Some(value.as_bytes()))) {
                return refuse("has a value that one of its conditions does not allow");
            }
            fields.push((name.clone(), value.clone()));
        }
        Ok(fields)
    }

    /// The fields that have conditions and no value, and what each must begin with.
    pub(super) fn blanks(&self) -> Vec<(String, String)> {
        let open = self.conditions.iter().filter_map(|c| c.name().zip(c.prefix()));
        let is_settled = |name: &str| {
            self.has_field(name) || is_of_signature(name) || name.eq_ignore_ascii_case("bucket")
        };
        let open = open.filter(|(name, _)| !is_settled(name));
        let mut blanks: Vec<(String, String)> = Vec::new();
        for (name, prefix) in open {
            // The longest says most, where there are several.
            match blanks.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
                Some((_, other)) if other.len() < prefix.len() => *other = prefix.to_owned(),
                Some(_) => {}
                None => blanks.push((name.to_owned(), prefix.to_owned())),
            }
        }
        blanks
    }

    /// The policy as JSON, with `added` among its conditions.
    pub(super) fn document(
        &self,
        expiration: Timestamp,
        added: &[(&str, &str)],
    ) -> Zeroizing<Vec<u8>> {
        let bucket = Condition::equals("bucket", self.bucket.as_str());
        let kept = self.conditions.iter().filter(|c| !c.name().is_some_and(is_of_signature));
        let added: Vec<Condition> =
            added.iter().map(|(name, value)| Condition::equals(*name, *value)).collect();
        let conditions = || [&bucket].into_iter().chain(kept.clone()).chain(&added);
        let bound = 64 + conditions().map(|c| c.bound() + 1).sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(bound));
        out.extend_from_slice(b"{\"expiration\":");
        write_text(&Document::time_text(expiration), &mut out);
        out.extend_from_slice(b",\"conditions\":");
        for (at, condition) in conditions().enumerate() {
            out.push(if at == 0 { b'[' } else { b',' });
            condition.write(&mut out);
        }
        out.extend_from_slice(b"]}");
        debug_assert!(out.len() <= bound, "a buffer that grows leaves a token behind");
        out
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Policy")
            .field("expiry", &self.expiry)
            .field("bucket", &self.bucket)
            .field("conditions", &self.conditions)
            .field("fields", &names)
            .finish()
    }
}

/// Refuses a form whose fields are longer than S3 takes.
pub(super) fn check_length(fields: &Fields) -> Result<(), Error> {
    let len: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if len <= LONGEST_FORM {
        return Ok(());
    }
    Err(invalid(format!(
        "the fields of the form are {len} bytes long, and S3 takes {LONGEST_FORM} at most"
    )))
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidPolicy, message.into())
}

/// The longest life of a policy: its credential scope holds no longer.
const WEEK: Duration = Duration::from_secs(604_800);
