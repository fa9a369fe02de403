//! Proofs of identity: requests to STS that somebody else sends.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::{
    Token,
    request::{QUARTER, Request, check_credentials, check_host, host_in, invalid},
};
use crate::{
    Credentials, Error, Head, Headers, Life, Payload, Rules, Scratch, Signer,
    head::check_header,
    unsigned::{Fate, fate},
};

/// A proof of who you are: a signed request for `GetCallerIdentity`, which somebody else sends to STS, and
/// reads there whose it is.
///
/// So Vault, and others who log in by AWS, know their users. A proof is good for whoever has it, so it
/// should name whom it is for, in a header that is signed: [`CallerIdentity::with_header`].
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::CallerIdentity};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let identity = CallerIdentity::new("eu-west-1")
///     .with_header("x-vault-aws-iam-server-id", "vault.example.com");
/// let request = identity.sign(&credentials, SystemTime::now())?;
/// for (name, value) in request.vault_login().fields() {
///     println!("{name}={value}");
/// }
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CallerIdentity<'a> {
    region: &'a str,
    host: Option<&'a str>,
    headers: Vec<(&'a str, &'a str)>,
    expires_in: Duration,
}

impl<'a> CallerIdentity<'a> {
    /// At the host that STS has in this region.
    pub fn new(region: &'a str) -> CallerIdentity<'a> {
        CallerIdentity { region, host: None, headers: Vec::new(), expires_in: QUARTER }
    }

    /// At another host of STS. `sts.amazonaws.com`, which Vault asks unless it is told otherwise, is in
    /// us-east-1.
    #[must_use]
    pub fn with_host(self, host: &'a str) -> CallerIdentity<'a> {
        CallerIdentity { host: Some(host), ..self }
    }

    /// Adds a header, which is signed, and which whoever sends the request sends along.
    #[must_use]
    pub fn with_header(mut self, name: &'a str, value: &'a str) -> CallerIdentity<'a> {
        self.headers.push((name, value));
        self
    }

    /// Of a [URL](CallerIdentity::sign_url): how long it can be used from its signing, 15 minutes at most.
    #[must_use]
    pub fn with_expires_in(self, duration: Duration) -> CallerIdentity<'a> {
        CallerIdentity { expires_in: duration, ..self }
    }

    /// Makes the proof as a POST whose signature is in its headers.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`](crate::ErrorKind::InvalidUrl) for a host that is none;
    /// [`ErrorKind::InvalidTokenField`](crate::ErrorKind::InvalidTokenField) for a header that is there
    /// twice, that the signer writes itself or that is never signed;
    /// [`ErrorKind::InvalidHeader`](crate::ErrorKind::InvalidHeader), or what is wrong with the credentials, the
    /// region or the time.
    pub fn sign(
        &self,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<IdentityRequest, Error> {
        check_credentials(credentials)?;
        let host = self.checked_host()?;
        let mut scratch = Scratch::new();
        let length = BODY.len().to_string();
        let mut headers =
            vec![("host", &*host), ("content-type", FORM), ("content-length", &*length)];
        headers.extend_from_slice(&self.headers);
        let pairs: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let head = Head {
            method: b"POST",
            https: true,
            authority: None,
            path: b"/",
            query: None,
            headers: Headers::Pairs(&pairs),
        };
        let signer = Signer::new(self.region, "sts");
        let payload = Payload::hash(BODY);
        let signed = signer.sign_head(head, payload, credentials, at, &mut scratch)?;
        for (name, value) in signed.headers() {
            headers.push((name, value));
        }
        Ok(IdentityRequest {
            url: format!("https://{host}/"),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), Zeroizing::new(value.to_owned())))
                .collect(),
            life: Life {
                expires_at: at + QUARTER,
                credentials_expire_at: credentials.expires_at(),
            },
        })
    }

    /// Makes the proof as a URL to be fetched by GET, with the headers that were added.
    ///
    /// # Errors
    /// As [`CallerIdentity::sign`], and [`ErrorKind::InvalidExpiry`](crate::ErrorKind::InvalidExpiry).
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Credentials, tokens::CallerIdentity};
    ///
    /// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// let url = CallerIdentity::new("eu-west-1").sign_url(&credentials, SystemTime::now())?;
    /// assert!(url.as_str().starts_with("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&"));
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn sign_url(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        let host = self.checked_host()?;
        let request = Request::new("sts", self.region, &host, &QUERY);
        Request { headers: &self.headers, expires_in: self.expires_in, ..request }.sign(
            "https://",
            "",
            credentials,
            at,
        )
    }

    /// The host that is asked, once it and the headers were looked at.
    fn checked_host(&self) -> Result<String, Error> {
        let mut names: Vec<String> = Vec::new();
        for (name, value) in &self.headers {
            check_header(name.as_bytes(), value.as_bytes())?;
            let name = name.to_ascii_lowercase();
            let is_ours = OURS.contains(&&*name);
            if is_ours || fate(name.as_bytes(), Rules::GENERAL) != Fate::Signed {
                return Err(invalid(format!(
                    "the header `{name}` can be none of yours in a proof of identity: it is written \
                     by the signer, or never signed"
                )));
            }
            if names.contains(&name) {
                return Err(invalid(format!("the header `{name}` is there twice")));
            }
            names.push(name);
        }
        let host = match self.host {
            Some(host) => host.to_owned(),
            None => host_in("sts", self.region)?,
        };
        check_host(&host).map(|()| host)
    }
}

/// A signed request for `GetCallerIdentity`: a secret until it is 15 minutes old, headers and all.
///
/// It is a POST. `Debug` shows its URL and the names of its headers, and the values are wiped from memory
/// when it is dropped.
///
/// Made by [`CallerIdentity::sign`].
#[derive(Clone)]
pub struct IdentityRequest {
    url: String,
    headers: Vec<(String, Zeroizing<String>)>,
    life: Life,
}

impl IdentityRequest {
    /// Where it is to be sent.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The body that was signed.
    pub fn body(&self) -> &'static str {
        BODY
    }

    /// All headers, names in lower case; `host` is the first.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How long STS takes it, and whether the credentials expire before.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The request as Vault's login by AWS takes it: `auth/aws/login`, of type `iam`.
    pub fn vault_login(&self) -> VaultLogin {
        let headers: BTreeMap<&str, [&str; 1]> =
            self.headers().map(|(name, value)| (name, [value])).collect();
        // Six bytes for each that has to be escaped, and what stands between them.
        let len = self.headers().map(|(name, value)| 6 * (name.len() + value.len()) + 8).sum();
        let mut json = Zeroizing::new(Vec::with_capacity(len));
        serde_json::to_writer(&mut *json, &headers).expect("a map of strings can be JSON");
        let encode = |data: &[u8]| {
            let mut text = Zeroizing::new(String::with_capacity(data.len().div_ceil(3) * 4));
            BASE64_STANDARD.encode_string(data, &mut text);
            text
        };
        VaultLogin {
            url: encode(self.url.as_bytes()),
            body: encode(BODY.as_bytes()),
            headers: encode(&json),
        }
    }
}

impl fmt::Debug for IdentityRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers().map(|(name, _)| name).collect();
        f.debug_struct("IdentityRequest")
            .field("url", &self.url)
            .field("headers", &names)
            .field("life", &self.life)
            .finish()
    }
}

/// The fields by which one logs in at Vault, all but the role. `Debug` shows none of them.
///
/// Made by [`IdentityRequest::vault_login`].
#[derive(Clone)]
pub struct VaultLogin {
    url: Zeroizing<String>,
    body: Zeroizing<String>,
    headers: Zeroizing<String>,
}

impl VaultLogin {
    /// The names of the fields and their values.
    pub fn fields(&self) -> [(&'static str, &str); 4] {
        [
            ("iam_http_request_method", "POST"),
            ("iam_request_url", &self.url),
            ("iam_request_body", &self.body),
            ("iam_request_headers", &self.headers),
        ]
    }
}

impl fmt::Debug for VaultLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultLogin(<redacted>)")
    }
}

/// The request in a query.
pub(super) const QUERY: [(&str, &str); 2] =
    [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];

/// The request in a body.
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

const FORM: &str = "application/x-www-form-urlencoded";

/// Headers that are always there, and in a URL never.
const OURS: [&str; 3] = ["content-length", "content-type", "host"];
