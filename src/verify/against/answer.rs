//! What a server said of a request that it refused, and what follows from that alone.

use std::{borrow::Cow, fmt, time::Duration};

use super::{Cause, differences::Parts};
use crate::{Timestamp, canonical::query, explain};

/// What a server said of a request that it refused: its code, its message, and whatever details
/// came with them, as `StringToSign` or `ServerTime`.
///
/// Details go by the names that S3 gives them; of others nothing is made. A general service puts
/// the canonical request and the string to sign into the message, where they are found as well.
///
/// ```
/// use countersign::verify::against::{Answer, Cause};
///
/// let answer = Answer::new(
///     "SignatureDoesNotMatch",
///     "Signature expired: 20150830T123600Z is now earlier than 20150830T124600Z \
///      (20150830T130100Z - 15 min.)",
/// );
/// assert!(matches!(answer.causes()[..], [Cause::ClockSkew { .. }]));
/// assert_eq!(answer.signed_at(), Some("20150830T123600Z".parse()?));
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Answer {
    code: String,
    message: String,
    details: Vec<(String, String)>,
}

impl Answer {
    /// An answer with a code, as `SignatureDoesNotMatch`, and a message; either may be empty.
    ///
    /// Of a code like `com.amazon.coral.service#InvalidSignatureException` the last part counts.
    pub fn new(code: &str, message: impl Into<String>) -> Answer {
        let code = code.rsplit_once('#').map_or(code, |(_, name)| name);
        let code = code.split_once(':').map_or(code, |(name, _)| name);
        Answer { code: code.trim().to_owned(), message: message.into(), details: Vec::new() }
    }

    /// Adds a detail; the first one of a name counts.
    #[must_use]
    pub fn with_detail(mut self, name: impl Into<String>, value: impl Into<String>) -> Answer {
        self.details.push((name.into(), value.into()));
        self
    }

    /// The code, empty if there was none.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What the message says to people: without canonical requests, and without the credentials
    /// that some services repeat.
    pub fn summary(&self) -> &str {
        let ends = SECRETIVE.iter().filter_map(|marker| self.message.find(marker));
        self.message[..ends.min().unwrap_or(self.message.len())].trim()
    }

    /// The server's canonical request, its session token masked.
    pub fn canonical_request(&self) -> Option<String> {
        self.raw_canonical_request().map(|text| explain::mask(&text))
    }

    /// The server's string to sign.
    pub fn string_to_sign(&self) -> Option<Cow<'_, str>> {
        let quoted = || between(&self.message, STRING_TO_SIGN, "'");
        self.text("StringToSign").or_else(|| quoted().map(Cow::Borrowed))
    }

    /// When the request was signed, by the server's word.
    pub fn signed_at(&self) -> Option<Timestamp> {
        let of_request = || {
            let text = self.raw_canonical_request()?;
            let parts = Parts::parse(&text);
            let header = parts.header("x-amz-date").or_else(|| parts.header("date"));
            header
                .or_else(|| parts.parameter(query::DATE))
                .and_then(|text| Timestamp::from_header(text.as_bytes()))
        };
        let text = self.string_to_sign();
        let of_text = text.as_deref().and_then(|text| text.split('\n').nth(1)?.parse().ok());
        of_text.or_else(of_request).or_else(|| self.clocks().0)
    }

    /// How long the URL was to hold, if the request was presigned.
    pub fn presigned_for(&self) -> Option<Duration> {
        let text = self.raw_canonical_request()?;
        let expires = Parts::parse(&text).parameter(query::EXPIRES)?.parse().ok()?;
        Some(Duration::from_secs(expires))
    }

    /// The names of the headers that the client signed, if the server repeats them.
    pub fn signed_headers(&self) -> Option<Vec<String>> {
        let text = self.raw_canonical_request()?;
        let names = Parts::parse(&text).signed_headers;
        (!names.is_empty()).then(|| names.split(';').map(str::to_owned).collect())
    }

    /// Why the request was refused, as far as the answer itself tells.
    pub fn causes(&self) -> Vec<Cause> {
        self.told().into_iter().collect()
    }

    pub(super) fn raw_canonical_request(&self) -> Option<Cow<'_, str>> {
        let quoted = || {
            let behind = self.message.split_once(CANONICAL_REQUEST)?.1;
            // A header's value may hold a quote: the last one before the next text is meant.
            let end = behind.find(SECRETIVE[1]).unwrap_or(behind.len());
            Some(Cow::Borrowed(&behind[..behind[..end].rfind('\'')?]))
        };
        self.text("CanonicalRequest").or_else(quoted)
    }

    pub(super) fn access_key_id(&self) -> Option<&str> {
        self.detail("AWSAccessKeyId")
    }

    pub(super) fn signature(&self) -> Option<&str> {
        self.detail("SignatureProvided")
    }

    fn detail(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A detail that may also be there as bytes, which survive what a document does to white space.
    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let bytes = self.detail(&format!("{name}Bytes")).and_then(|text| {
            let digits: String = text.split_ascii_whitespace().collect();
            hex::decode(digits).ok().filter(|bytes| !bytes.is_empty())
        });
        match bytes {
            Some(bytes) => Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())),
            None => self.detail(name).map(Cow::Borrowed),
        }
    }

    fn told(&self) -> Option<Cause> {
        let is = |codes: &[&str]| codes.contains(&self.code.as_str());
        let says = |text: &str| self.message.contains(text);
        if is(&["RequestTimeTooSkewed"])
            || says("Signature expired")
            || says("Signature not yet current")
            || says("not yet valid")
        {
            let (signed_at, server_time, allowed) = self.clocks();
            return Some(Cause::ClockSkew { signed_at, server_time, allowed });
        }
        if is(&["AccessDenied"]) && says("Request has expired") {
            let expired_at = self.detail("Expires").map(str::to_owned);
            return Some(Cause::UrlExpired { expired_at });
        }
        if is(&["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"])
            || says("security token included in the request is expired")
        {
            return Some(Cause::TokenExpired);
        }
        if is(&["InvalidToken"]) {
            return Some(Cause::TokenInvalid);
        }
        if is(&[
            "AuthFailure",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
        ]) || says("security token included in the request is invalid")
        {
            let access_key_id = self.access_key_id().map(str::to_owned);
            return Some(Cause::KeyUnknown { access_key_id });
        }
        if let Some(cause) = self.scope_told() {
            return Some(cause);
        }
        if let Some(names) = self.unsigned_told() {
            return Some(Cause::HeadersUnsigned { names });
        }
        if is(&["XAmzContentSHA256Mismatch", "BadDigest"]) {
            let declared = self.detail("ClientComputedContentSHA256").map(str::to_owned);
            let found = self.detail("S3ComputedContentSHA256").map(str::to_owned);
            return Some(Cause::ContentHashWrong { declared, found });
        }
        if says("Missing required header for this request: x-amz-content-sha256") {
            return Some(Cause::ContentHashMissing);
        }
        if says("Please use AWS4-HMAC-SHA256") {
            return Some(Cause::OldSignature);
        }
        if is(&["MissingAuthenticationToken", "MissingAuthenticationTokenException"])
            || says("Missing Authentication Token")
        {
            return Some(Cause::NotSigned);
        }
        if is(&[
            "AuthorizationHeaderMalformed",
            "AuthorizationQueryParametersError",
            "IncompleteSignature",
            "IncompleteSignatureException",
        ]) || says("(missing equal-sign) in Authorization header")
        {
            let missing = self.message.split("requires '").skip(1);
            let missing = missing.filter_map(|text| text.split_once('\'')).map(|(name, _)| name);
            return Some(Cause::Malformed { missing: missing.map(str::to_owned).collect() });
        }
        let is_denied = is(&["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"]);
        (is_denied && (self.message == "Access Denied" || says("not authorized to perform")))
            .then_some(Cause::NotAuthorized)
    }

    /// What is said of the region, the service and the day.
    fn scope_told(&self) -> Option<Cause> {
        let quoted = |before: &str, quote: &str| {
            between(&self.message, &format!("{before}{quote}"), quote).map(str::to_owned)
        };
        if self.message.contains("the region '") || self.message.contains("valid region") {
            let signed = quoted("the region ", "'").or_else(|| quoted("not ", "'"));
            let expected = self.detail("Region").map(str::to_owned);
            let expected = expected.or_else(|| quoted("expecting ", "'"));
            return Some(Cause::RegionRefused { signed, expected });
        }
        let expected = quoted("correct service: ", "'").or_else(|| quoted("belongs to ", "\""));
        if let Some(expected) = expected {
            return Some(Cause::ServiceRefused { signed: quoted("service ", "\""), expected });
        }
        let says = |text: &str| self.message.contains(text);
        (says("Date in Credential scope does not match") || says("invalid credential date"))
            .then_some(Cause::ScopeDateRefused)
    }

    /// The headers that were there and should have been signed.
    fn unsigned_told(&self) -> Option<Vec<String>> {
        if self.message.contains("headers present in the request which were not signed") {
            let names = self.detail("HeadersNotSigned").unwrap_or_default();
            let names = names.split([',', ' ']).filter(|name| !name.is_empty());
            return Some(names.map(str::to_owned).collect());
        }
        let (before, _) = self.message.split_once(" must be a 'SignedHeader'")?;
        let name = before.split('\'').nth(1)?.to_ascii_lowercase();
        Some(vec![name])
    }

    /// The client's clock, the server's, and by how much they may differ.
    fn clocks(&self) -> (Option<Timestamp>, Option<Timestamp>, Option<Duration>) {
        let time = |name: &str| {
            let text = self.detail(name)?;
            Timestamp::from_header(text.as_bytes()).or_else(|| text.parse().ok())
        };
        // "A is now earlier than B (C - 15 min.)": C is the server's time.
        let words = self.message.split(|c: char| !c.is_ascii_alphanumeric());
        let mut said = words.filter_map(|word| word.parse::<Timestamp>().ok());
        let (signed, limit, now) = (said.next(), said.next(), said.next());
        let allowed = self.detail("MaxAllowedSkewMilliseconds").and_then(|text| text.parse().ok());
        let between = || limit.zip(now).map(|(limit, now)| super::offset(limit, now).1);
        (
            time("RequestTime").or(signed),
            time("ServerTime").or(now).or_else(|| time("Date")),
            allowed.map(Duration::from_millis).or_else(between),
        )
    }
}

impl fmt::Debug for Answer {
    /// Without the details: a token may stand in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("code", &self.code).finish_non_exhaustive()
    }
}

/// What stands behind `start` and before the next `end`.
fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let (_, behind) = text.split_once(start)?;
    behind.split_once(end).map(|(inner, _)| inner)
}

/// How a general service's message goes on.
const CANONICAL_REQUEST: &str = "The Canonical String for this request should have been\n'";
const STRING_TO_SIGN: &str = "The String-to-Sign should have been\n'";

/// Behind these a message repeats what the client sent.
const SECRETIVE: [&str; 4] = [
    "The Canonical String for this request",
    "The String-to-Sign should",
    "Authorization=",
    "Authorization header: '",
];
