//! A request that is about to be signed, as bytes, and what signing makes of it.

use std::time::Duration;

use countersign::{Head, Headers, Presign, Presigned, Scratch, Signed, Signer};

use crate::{
    body::Body,
    failure::Failure,
    framing,
    host::Target,
    options::{PayloadChoice, Signing, SigningOptions},
};

/// A request as the user wrote it.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// An absolute URL, or the target of a request with a Host header; its path and query are kept byte for byte.
    pub(crate) url: Vec<u8>,
    /// In order, repeats included. Without a Host header the URL's authority counts.
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Body,
}

impl Request {
    /// A request without a body.
    pub(crate) fn new(method: &str, url: &[u8], headers: &[(&[u8], &[u8])]) -> Request {
        Request {
            method: method.to_owned(),
            url: url.to_vec(),
            headers: headers.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            body: Body::None,
        }
    }

    /// Refuses a URL that cannot be one, before anything is asked of its host.
    pub(crate) fn check_url(&self) -> Result<(), Failure> {
        check_line(&self.url)?;
        match at_s3(&self.url) {
            Some(failure) => Err(failure),
            None => self.with_head(|_| Ok(())),
        }
    }

    /// Takes the URL apart and hands the head to `sign`.
    pub(crate) fn with_head<T>(
        &self,
        sign: impl FnOnce(Head<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let pairs = self.pairs();
        let head = Head::parse(self.method.as_bytes(), &self.url, Headers::Pairs(&pairs))?;
        sign(head)
    }

    /// Where the request goes, if that is text: to the Host header's host, else the URL's.
    pub(crate) fn target(&self) -> Option<Target> {
        Target::of(&self.url, &self.pairs())
    }

    /// The headers as [`Headers`] borrows them.
    pub(crate) fn pairs(&self) -> Vec<(&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect()
    }

    /// Signs in headers. Of a body in chunks the head alone is signed, so it must not be here.
    pub(crate) fn sign<T>(
        &mut self,
        options: &SigningOptions,
        signing: &Signing,
        then: impl FnOnce(&Signed<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let payload = match options.payload {
            Some(PayloadChoice::Given(payload))
                if payload.is_in_chunks() && !matches!(self.body, Body::None) =>
            {
                return Err(Failure::input(
                    "what is printed has no room for a body in chunks: leave the body out to sign the \
                     head alone, or use `countersign curl` or `countersign sign --jsonl`",
                ));
            }
            Some(PayloadChoice::Given(payload)) => framing::by(payload, signing.signer.algorithm()),
            Some(PayloadChoice::Hash) | None => self.body.hash()?,
        };
        let mut scratch = Scratch::new();
        self.with_head(|head| {
            let Signing { signer, credentials, at } = signing;
            then(&signer.sign_head(head, payload, credentials, *at, &mut scratch)?)
        })
    }

    /// Signs in the query.
    pub(crate) fn presign<T>(
        &mut self,
        options: &SigningOptions,
        signing: &Signing,
        expires: Duration,
        then: impl FnOnce(&Presigned<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let presign = self.presign_of(options, &signing.signer, expires)?;
        let mut scratch = Scratch::new();
        self.with_head(|head| {
            let Signing { signer, credentials, at } = signing;
            then(&signer.presign_head(head, presign, credentials, *at, &mut scratch)?)
        })
    }

    /// How long a URL holds, and for which body.
    pub(crate) fn presign_of(
        &mut self,
        options: &SigningOptions,
        signer: &Signer,
        expires: Duration,
    ) -> Result<Presign, Failure> {
        let presign = Presign::expires_in(expires);
        Ok(match (options.payload, &self.body) {
            (Some(PayloadChoice::Given(payload)), _) if payload.is_in_chunks() => {
                return Err(Failure::input(
                    "a body in chunks goes with a signature in headers: presign with `hash` or \
                     `unsigned`",
                ));
            }
            (Some(PayloadChoice::Given(payload)), _) => presign.with_payload(payload),
            // Unless told otherwise, the service's own rule decides whether the body counts.
            (None, Body::None) => presign,
            (None, _) if signer.rules().presigns_unsigned() => presign,
            (Some(PayloadChoice::Hash) | None, _) => presign.with_payload(self.body.hash()?),
        })
    }
}

/// Refuses a URL that would end the line in which it is sent.
pub(crate) fn check_line(url: &[u8]) -> Result<(), Failure> {
    let is_bad = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    let Some((at, bad)) = (0..).zip(url).find(|(_, byte)| is_bad(byte)) else { return Ok(()) };
    Err(Failure::input(format_args!(
        "the URL holds byte 0x{bad:02x} at position {at}, with which no request can be sent; one that is meant is \
         written `%{bad:02X}`"
    )))
}

/// Where the object of an `s3://` URI is in HTTP.
fn at_s3(uri: &[u8]) -> Option<Failure> {
    let (scheme, rest) = uri.split_at_checked(5)?;
    if !scheme.eq_ignore_ascii_case(b"s3://") {
        return None;
    }
    // A query may hold what is secret.
    let rest = rest.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    let slash = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let is_of_bucket = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let (bucket, key) = (rest[..slash].escape_ascii(), rest[slash..].escape_ascii());
    let key = if slash == rest.len() { "/".to_owned() } else { key.to_string() };
    let url = match rest[..slash].contains(&b'.') {
        // Some write their keys in front of the bucket.
        _ if !rest[..slash].iter().all(is_of_bucket) => {
            "https://BUCKET.s3.REGION.amazonaws.com/KEY".to_owned()
        }
        // A certificate vouches for one label.
        true => format!("https://s3.REGION.amazonaws.com/{bucket}{key}"),
        false => format!("https://{bucket}.s3.REGION.amazonaws.com{key}"),
    };
    Some(Failure::input(format_args!(
        "`s3://` is how other programs call an object, and no request goes there: give {url}, with the \
         bucket's region"
    )))
}

/// A URL with another query and without its fragment.
pub(crate) fn url_with_query(url: &[u8], query: &[u8]) -> Vec<u8> {
    let url = without_fragment(url);
    let end = url.iter().position(|byte| *byte == b'?').unwrap_or(url.len());
    let mut with = url[..end].to_vec();
    if !query.is_empty() {
        with.push(b'?');
        with.extend_from_slice(query);
    }
    with
}

/// A URL as it is sent.
pub(crate) fn without_fragment(url: &[u8]) -> &[u8] {
    url.split(|byte| *byte == b'#').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_no_http_is_refused_with_one_that_is() {
        for (url, said) in [
            ("s3://photos/a/b.jpg", "https://photos.s3.REGION.amazonaws.com/a/b.jpg,"),
            ("S3://photos", "https://photos.s3.REGION.amazonaws.com/,"),
            (
                "s3://my.photos/b.jpg?versionId=1",
                "https://s3.REGION.amazonaws.com/my.photos/b.jpg,",
            ),
            ("sts.amazonaws.com/x", "`sts.amazonaws.com/x` is a relative URL"),
            ("", "`` is a relative URL"),
        ] {
            let failure = Request::new("GET", url.as_bytes(), &[]).check_url().expect_err(url);
            assert!(failure.message.contains(said), "{failure}");
            assert_eq!(failure.code, 2);
        }
        let failure = at_s3(b"s3://AKIA:hu/sh@b/k").expect("an s3:// URI");
        assert!(failure.message.contains(" https://BUCKET.s3.REGION."), "{failure}");
        assert!(!failure.message.contains("hu") && !failure.message.contains("sh@"), "{failure}");
        for url in ["https://h/", "/s3://a"] {
            assert!(Request::new("GET", url.as_bytes(), &[]).check_url().is_ok(), "{url}");
        }
    }
}
