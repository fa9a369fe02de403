//! The request that a token is the presigned form of, which nobody means to send.

use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::Token;
use crate::{
    Credentials, Error, ErrorKind, Head, Headers, Presign, Scratch, Signer, canonical::query,
    endpoint::Partition,
};

/// A request to be presigned.
pub(super) struct Request<'a> {
    pub(super) service: &'static str,
    pub(super) region: &'a str,
    /// The host, and the port if there is one.
    pub(super) authority: &'a str,
    pub(super) path: &'static str,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// Signed, and to be sent by whoever uses the URL.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) method: &'static [u8],
    pub(super) expires_in: Duration,
    /// For how long the service takes it at most.
    pub(super) longest: Duration,
}

impl<'a> Request<'a> {
    /// A GET of `/` that holds for 15 minutes, which most services insist on.
    pub(super) fn new(
        service: &'static str,
        region: &'a str,
        authority: &'a str,
        query: &'a [(&'a str, &'a str)],
    ) -> Request<'a> {
        Request {
            service,
            region,
            authority,
            path: "/",
            query,
            headers: &[],
            method: b"GET",
            expires_in: QUARTER,
            longest: QUARTER,
        }
    }

    /// The presigned URL, with `before` in place of its scheme and `behind` added to it unsigned.
    pub(super) fn sign(
        &self,
        before: &str,
        behind: &str,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<Token, Error> {
        check_credentials(credentials)?;
        let Request { authority, path, .. } = *self;
        if self.expires_in > self.longest {
            return Err(Error::new(
                ErrorKind::InvalidExpiry,
                format!(
                    "a token for `{}` cannot hold for {} seconds: {} are the most that it takes",
                    self.service,
                    self.expires_in.as_secs_f64(),
                    self.longest.as_secs()
                ),
            ));
        }
        let mut own = Vec::new();
        for (name, value) in self.query {
            query::write_parameter(name, &[value], &mut own);
        }
        let headers: Vec<(&[u8], &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let head = Head {
            method: self.method,
            https: true,
            authority: Some(authority.as_bytes()),
            path: path.as_bytes(),
            query: Some(&own),
            headers: Headers::Pairs(&headers),
        };
        let mut scratch = Scratch::new();
        let presigned = Signer::new(self.region, self.service).presign_head(
            head,
            Presign::expires_in(self.expires_in),
            credentials,
            at,
            &mut scratch,
        )?;
        let query = str::from_utf8(presigned.query()).expect("parameters are written in ASCII");
        let parts = [before, authority, path, "?", query, behind];
        let mut text =
            Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| text.push_str(part));
        Ok(Token::new(text, presigned.life()))
    }
}

/// Refuses credentials that are good for one bucket and nothing else.
pub(super) fn check_credentials(credentials: &Credentials) -> Result<(), Error> {
    match credentials.is_s3_express_session() {
        true => Err(Error::new(
            ErrorKind::InvalidCredentials,
            "the session credentials of S3 Express sign no tokens: give those that the session was made with",
        )),
        false => Ok(()),
    }
}

/// Refuses what is no host's name, as it would stand elsewhere in the URL than at its host.
pub(super) fn check_host(host: &str) -> Result<(), Error> {
    let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if (1..=253).contains(&host.len()) && host.bytes().all(is_ours) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidUrl,
        format!(
            "`{}` is no host's name: letters, digits, `.`, `-` and `_` make one, without a scheme, \
             port or path",
            host.escape_debug()
        ),
    ))
}

/// Refuses a field that is empty or longer than its service takes.
pub(super) fn check_field(what: &str, value: &str, longest: usize) -> Result<(), Error> {
    match value.chars().count() {
        0 => Err(invalid(format!("the {what} is empty"))),
        length if length > longest => Err(invalid(format!(
            "the {what} has {length} characters, and {longest} is the most there can be"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidTokenField, message)
}

/// The host of a service in a region. A region that is none makes no host, which is refused.
pub(super) fn host_in(prefix: &str, region: &str) -> Result<String, Error> {
    let is_ours = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if region.is_empty() || region.len() > 63 || !region.bytes().all(is_ours) {
        return Err(Error::new(
            ErrorKind::InvalidScope,
            format!(
                "`{}` is no region like eu-central-1, so there is no host in it",
                region.escape_debug()
            ),
        ));
    }
    Ok(format!("{prefix}.{region}.{}", Partition::of_region(region).dns_suffix()))
}

/// How long a token holds unless its service takes another life.
pub(super) const QUARTER: Duration = Duration::from_secs(900);

/// How long a presigned URL holds at most.
pub(super) const WEEK: Duration = Duration::from_secs(604_800);
