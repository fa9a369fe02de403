//! Each step on the way to a signature, for people.

use percent_encoding::percent_decode_str;

use crate::{Algorithm, canonical::query, signed::Form};

/// Each step on the way to a signature, as text for people to read.
///
/// The session token is masked wherever it stands, so the text can be shown; so is the signature,
/// which is not part of any step. Bytes that are not UTF-8 are shown as U+FFFD.
///
/// Made by [`Signer::explain`](crate::Signer::explain), [`Signed::explain`](crate::Signed::explain)
/// and [`Presigned::explain`](crate::Presigned::explain).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    canonical_request: String,
    string_to_sign: String,
    scope: String,
    access_key_id: String,
    algorithm: Algorithm,
}

impl Explanation {
    pub(crate) fn new(form: &Form<'_>) -> Explanation {
        Explanation {
            canonical_request: mask(&String::from_utf8_lossy(form.canonical_request())),
            string_to_sign: form.string_to_sign().to_owned(),
            scope: form.scope().to_owned(),
            access_key_id: form.credentials.access_key_id().to_owned(),
            algorithm: form.algorithm,
        }
    }

    /// The canonical request, its session token masked.
    pub fn canonical_request(&self) -> &str {
        &self.canonical_request
    }

    /// The string to sign; its last line is the hash of the canonical request.
    pub fn string_to_sign(&self) -> &str {
        &self.string_to_sign
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The credential scope, whose parts an HMAC's key is derived from one after the other.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Whose secret the key is derived from.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.line(0)
    }

    /// The canonical path.
    pub fn path(&self) -> &str {
        self.line(1)
    }

    /// The canonical query.
    pub fn query(&self) -> &str {
        self.line(QUERY_LINE)
    }

    /// The canonical headers, as `name:value`.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.canonical_request.split('\n').skip(3).take_while(|line| !line.is_empty())
    }

    /// The names of the signed headers.
    pub fn signed_headers(&self) -> &str {
        self.line(4 + self.headers().count())
    }

    /// The payload line.
    pub fn payload(&self) -> &str {
        self.line(5 + self.headers().count())
    }

    /// No value in a canonical request holds a line's end, so its lines are its parts.
    fn line(&self, at: usize) -> &str {
        self.canonical_request.split('\n').nth(at).unwrap_or_default()
    }
}

/// A canonical request without the session token that it may carry. Masked once, it stays as it is.
pub(crate) fn mask(canonical_request: &str) -> String {
    let lines = (0..).zip(canonical_request.split('\n')).map(masked);
    lines.collect::<Vec<_>>().join("\n")
}

/// A line of a canonical request without the session token that it may carry.
fn masked((number, line): (usize, &str)) -> String {
    let mask = |len: usize| format!("<session token of {len} bytes>");
    if number == QUERY_LINE {
        let pieces = line.split('&').map(|piece| match piece.split_once('=') {
            Some((name @ (query::SECURITY_TOKEN | query::S3_SESSION_TOKEN), value)) => {
                let len = percent_decode_str(value).count();
                format!("{name}={}", mask(len))
            }
            _ => piece.to_owned(),
        });
        return pieces.collect::<Vec<_>>().join("&");
    }
    match line.split_once(':') {
        Some((name @ ("x-amz-security-token" | "x-amz-s3session-token"), value))
            if number > QUERY_LINE =>
        {
            format!("{name}:{}", mask(value.len()))
        }
        // S3's own: the key that the object is encrypted with.
        Some((name, _)) if number > QUERY_LINE && name.ends_with("-customer-key") => {
            format!("{name}:<customer key>")
        }
        _ => line.to_owned(),
    }
}

/// Method and path stand before it, the headers behind.
const QUERY_LINE: usize = 2;
