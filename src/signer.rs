//! Signing: in headers, or in the query of a presigned URL.

use std::{fmt, sync::Arc, time::SystemTime};

use crate::{
    Algorithm, Credentials, Error, ErrorKind, Explanation, Head, KeyCache, Life, Payload, Presign,
    Rules, Scope, Scratch, SignRequest, Timestamp,
    asymmetric::{AsymmetricSigner, LONGEST_SIGNATURE},
    canonical::{self, Buffers, Layout, Lines, PathForm, query, room, room_for_text},
    head::{check_header, check_value},
    payload::PayloadLine,
    pool::Pool,
    remembered::{Remembered, Signs},
    rules::ContentSha256,
    scope,
    sha256::{self, PADDING},
    shape::{Chooser, Names},
    signed::{Form, Presigned, Signed, SignedWith},
    unsigned::Fate,
};

/// Signs requests for one region and service.
///
/// Each call takes the credentials to sign with, so one signer serves many tenants. It keeps those that each of up
/// to 16 threads signed with last, and derived keys, until others take their place or the last clone of the signer
/// is dropped. Cloning is cheap, and clones share the cache of derived keys. Signing is sync and pure; the time is
/// an argument.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, Payload, Signer};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
/// let signer = Signer::new("eu-central-1", "dynamodb");
/// let mut request = http::Request::post("https://dynamodb.eu-central-1.amazonaws.com/")
///     .header("content-type", "application/x-amz-json-1.0")
///     .header("x-amz-target", "DynamoDB_20120810.ListTables")
///     .body("{}")?;
/// let payload = Payload::hash(request.body());
/// signer.sign(&mut request, payload, &credentials, SystemTime::now())?;
/// assert!(request.headers().contains_key("authorization"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Signer {
    /// The region set, if signatures are asymmetric.
    region: Arc<str>,
    service: Arc<str>,
    /// Whether a scope can hold region and service.
    has_scope: bool,
    /// The rules, and which of the caller's headers are signed.
    chooser: Chooser,
    pub(crate) keys: KeyCache,
    /// What signs in place of the keys.
    pub(crate) asymmetric: Option<Arc<dyn AsymmetricSigner>>,
    pub(crate) pool: Pool,
}

impl Signer {
    /// A signer with the rules that go with the service's signing name.
    ///
    /// Nothing is checked here; signing refuses a region or service that no scope can hold
    /// ([`ErrorKind::InvalidScope`]).
    pub fn new(region: impl Into<Arc<str>>, service: impl Into<Arc<str>>) -> Signer {
        Signer::with_asymmetric(region.into(), service.into(), None)
    }

    /// A signer whose signatures are asymmetric, if this is there to make them; then the region is a set.
    pub(crate) fn with_asymmetric(
        region: Arc<str>,
        service: Arc<str>,
        asymmetric: Option<Arc<dyn AsymmetricSigner>>,
    ) -> Signer {
        let mut signer = Signer {
            has_scope: false,
            chooser: Chooser::new(Rules::for_service(&service)),
            region,
            service,
            keys: KeyCache::default(),
            asymmetric,
            pool: Pool::default(),
        };
        signer.has_scope = signer.check_scope().is_ok();
        signer
    }

    /// The same signer with other rules than the service's own.
    ///
    /// ```
    /// # use countersign::{Rules, Signer};
    /// let minio = Signer::new("us-east-1", "my-store").with_rules(Rules::S3);
    /// assert_eq!(minio.rules(), Rules::S3);
    /// ```
    #[must_use]
    pub fn with_rules(self, rules: Rules) -> Signer {
        Signer { chooser: Chooser { rules, ..self.chooser }, ..self }
    }

    /// The same signer with a cache of keys that others use too.
    ///
    /// ```
    /// # use countersign::{KeyCache, Signer};
    /// let keys = KeyCache::new(10_000);
    /// let s3 = Signer::new("eu-west-1", "s3").with_key_cache(keys.clone());
    /// let sts = Signer::new("eu-west-1", "sts").with_key_cache(keys);
    /// # let _ = (s3, sts);
    /// ```
    #[must_use]
    pub fn with_key_cache(self, keys: KeyCache) -> Signer {
        Signer { keys, ..self }
    }

    /// Leaves these headers of the caller's unsigned, beside those that are never signed.
    ///
    /// For headers that something between here and the service changes. `host` and what the signer
    /// writes itself are signed all the same.
    ///
    /// ```
    /// # use countersign::Signer;
    /// let signer = Signer::new("eu-west-1", "s3").with_unsigned_headers(["content-length"]);
    /// # let _ = signer;
    /// ```
    #[must_use]
    pub fn with_unsigned_headers(
        self,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Signer {
        let before = self.chooser.left_out.iter().cloned();
        let left_out = before.chain(names.into_iter().map(Into::into)).collect();
        Signer { chooser: Chooser { left_out, ..self.chooser }, ..self }
    }

    /// Signs no more of the caller's headers than AWS insists on: `host`, `content-type`,
    /// `content-md5` and every `x-amz-*`.
    ///
    /// ```
    /// # use countersign::Signer;
    /// let signer = Signer::new("eu-west-1", "s3").with_minimal_headers();
    /// # let _ = signer;
    /// ```
    #[must_use]
    pub fn with_minimal_headers(self) -> Signer {
        Signer { chooser: Chooser { minimal: true, ..self.chooser }, ..self }
    }

    /// The algorithm of its signatures.
    ///
    /// ```
    /// # use countersign::{Algorithm, Signer};
    /// assert_eq!(Signer::new("eu-west-1", "s3").algorithm(), Algorithm::HmacSha256);
    /// ```
    pub fn algorithm(&self) -> Algorithm {
        match self.asymmetric {
            Some(_) => Algorithm::EcdsaP256Sha256,
            None => Algorithm::HmacSha256,
        }
    }

    /// The region of the scope; empty for SigV4A, see [`Signer::region_set`].
    pub fn region(&self) -> &str {
        if self.asymmetric.is_none() { &self.region } else { "" }
    }

    /// The regions in which SigV4A signatures hold, as `us-east-1,eu-*`; `None` for other signatures.
    ///
    /// ```
    /// # use countersign::Signer;
    /// assert_eq!(Signer::new("eu-west-1", "s3").region_set(), None);
    /// ```
    pub fn region_set(&self) -> Option<&str> {
        self.asymmetric.is_some().then_some(&*self.region)
    }

    /// The signing name of the scope.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The cache of keys that this signer shares with its clones.
    pub fn key_cache(&self) -> &KeyCache {
        &self.keys
    }

    /// The rules by which this signer canonicalizes.
    pub fn rules(&self) -> Rules {
        self.chooser.rules
    }

    /// Signs a request in its headers: an `http::Request`, `http::request::Parts` or (with feature
    /// `reqwest`) a `reqwest::Request`.
    ///
    /// Writes `authorization`, `x-amz-date` and, where they belong, `x-amz-security-token`,
    /// `x-amz-content-sha256` and `x-amz-region-set`. A signature that is there already is replaced, so a retry may sign the
    /// same request again.
    ///
    /// # Errors
    /// As [`Signer::sign_head`]; the request is then untouched.
    pub fn sign(
        &self,
        request: &mut impl SignRequest,
        payload: Payload,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<(), Error> {
        self.pool.lend(|scratch| {
            let head = request.head()?;
            let signed = self.sign_head(head, payload, credentials, at, scratch)?;
            request.apply(&signed)
        })
    }

    /// Signs a request in its query, so that the URL alone is enough to send it.
    ///
    /// Edits the URL, takes a signature that is there already out of the headers, and returns what the
    /// caller should know of the result. `host` and every header of the request that is not
    /// [left out](Signer::with_unsigned_headers) is signed, so whoever uses the URL must send them.
    ///
    /// # Errors
    /// As [`Signer::presign_head`]; the request is then untouched.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use countersign::{Credentials, Presign, Signer};
    ///
    /// let mut get = http::Request::get("https://bucket.s3.eu-central-1.amazonaws.com/cat.jpg").body(())?;
    /// let presign = Presign::expires_in(Duration::from_secs(15 * 60));
    /// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// let signer = Signer::new("eu-central-1", "s3");
    /// let life = signer.presign(&mut get, presign, &credentials, SystemTime::now())?;
    /// assert!(get.uri().query().is_some_and(|query| query.contains("&X-Amz-Signature=")));
    /// assert_eq!(life.cut_short_at(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn presign(
        &self,
        request: &mut impl SignRequest,
        presign: Presign,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<Life, Error> {
        self.pool.lend(|scratch| {
            let head = request.head()?;
            let presigned = self.presign_head(head, presign, credentials, at, scratch)?;
            request.apply_query(&presigned)?;
            Ok(presigned.life())
        })
    }

    /// Signs a borrowed head in the buffers given, without an allocation once they have grown.
    ///
    /// The result borrows the buffers; [`Signed::headers`] are to be set on the request.
    ///
    /// # Errors
    /// What is wrong with the request, the credentials or the time, as [`ErrorKind`] lists it.
    pub fn sign_head<'s>(
        &self,
        head: Head<'_>,
        payload: Payload,
        credentials: &'s Credentials,
        at: SystemTime,
        scratch: &'s mut Scratch,
    ) -> Result<Signed<'s>, Error> {
        let at = self.check(credentials, at, scratch)?;
        let payload = if self.rules().always_unsigned { Payload::Unsigned } else { payload };
        let line = payload.line();
        let Scratch { buffers, remembered, shape } = scratch;
        let mut lines = Lines::new();
        let mut names = shape.names(&self.chooser);
        let found = self.select(head, &mut names, &mut lines)?;
        let mut own = |name: &'static str, value| {
            names.own(name.as_bytes());
            lines.push(name.as_bytes(), value);
        };
        own("x-amz-date", at.as_bytes());
        let token = Token::of(credentials);
        if let Some(token) = token.filter(|_| !self.rules().token_after_signing) {
            own(token.header, token.value.as_bytes());
        }
        if let Some(region_set) = self.region_set() {
            own("x-amz-region-set", region_set.as_bytes());
        }
        let writes_hash = match self.rules().content_sha256 {
            ContentSha256::Always => true,
            ContentSha256::Never => false,
            ContentSha256::Unguessable => found.content_sha256 || !payload.is_hash(),
        };
        if writes_hash {
            own("x-amz-content-sha256", line.as_bytes());
        }
        let names = names.sort(&mut lines);

        buffers.own_query.clear();
        let last = self.remember(credentials, at, remembered);
        let headers = (&lines, names);
        let (signature, with) = self.finish(head, headers, &line, credentials, buffers, last)?;
        if signature.layout.left_out {
            let sent = head.query.unwrap_or_default();
            room(&mut buffers.query, sent.len());
            query::write_unsigned(sent, &mut buffers.query);
        }
        Ok(Signed {
            form: Form {
                algorithm: self.algorithm(),
                buffers,
                signature,
                at,
                credentials,
                replaces: found.replaces(),
            },
            with,
            payload,
            content_sha256: writes_hash.then_some(line),
            region_set: self.asymmetric.is_some().then(|| Arc::clone(&self.region)),
            token: token.map(|token| (token.header, token.value)),
        })
    }

    /// Presigns a borrowed head in the buffers given; [`Presigned::query`] is the query to send.
    ///
    /// # Errors
    /// As [`Signer::sign_head`], and [`ErrorKind::InvalidExpiry`].
    pub fn presign_head<'s>(
        &self,
        head: Head<'_>,
        presign: Presign,
        credentials: &'s Credentials,
        at: SystemTime,
        scratch: &'s mut Scratch,
    ) -> Result<Presigned<'s>, Error> {
        let at = self.check(credentials, at, scratch)?;
        let seconds = presign.seconds()?;
        let payload = match presign.payload {
            _ if self.rules().always_unsigned => Payload::Unsigned,
            Some(payload) => payload,
            None if self.rules().presigned_unsigned => Payload::Unsigned,
            None => Payload::EMPTY,
        }
        .line();
        let Scratch { buffers, remembered, shape } = scratch;
        let mut lines = Lines::new();
        let mut names = shape.names(&self.chooser);
        let found = self.select(head, &mut names, &mut lines)?;
        // The caller means to send the header, and the service believes it before the query.
        let writes_hash =
            found.content_sha256 && self.rules().content_sha256 != ContentSha256::Never;
        if writes_hash {
            names.own(b"x-amz-content-sha256");
            lines.push(b"x-amz-content-sha256", payload.as_bytes());
        }
        let names = names.sort(&mut lines);

        let last = self.remember(credentials, at, remembered);
        let token = Token::of(credentials);
        let (token_before, token_behind) =
            if self.rules().token_after_signing { (None, token) } else { (token, None) };
        let (own, begin) = (&mut buffers.own_query, last.own_query());
        room(own, {
            let token = token_before.map_or(0, |token| token.value.len());
            let region_set = self.region_set().map_or(0, str::len);
            begin.len() + 3 * (token + names.len() + region_set) + PARAMETERS
        });
        // In the order in which they are signed.
        own.extend_from_slice(begin);
        own.extend_from_slice(Digits::of(seconds).as_bytes());
        let region_set = own.len();
        if let Some(region_set) = self.region_set() {
            query::write_parameter(query::REGION_SET, &[region_set], own);
        }
        let token = own.len();
        if let Some(token) = token_before {
            query::write_parameter(token.parameter, &[token.value], own);
        }
        let signed_headers = own.len();
        query::write_parameter(query::SIGNED_HEADERS, &[names], own);

        let headers = (&lines, names);
        let (signature, _) = self.finish(head, headers, &payload, credentials, buffers, last)?;
        let Buffers { text, own_query: own, query, .. } = buffers;
        let sent = head.query.unwrap_or_default();
        let token_len = token_behind.map_or(0, |token| 3 * token.value.len());
        room(query, sent.len() + own.len() + token_len + PARAMETERS);
        if signature.layout.left_out {
            query::write_unsigned(sent, query);
        } else {
            query.extend_from_slice(sent);
        }
        query.extend_from_slice(if query.is_empty() { b"" } else { b"&" });
        query.extend_from_slice(&own[..region_set]);
        // As others send them.
        for part in [signed_headers..own.len(), token..signed_headers, region_set..token] {
            query.extend_from_slice(&own[part]);
        }
        for part in [b"&", query::SIGNATURE.as_bytes(), b"=", &text[signature.hex.clone()]] {
            query.extend_from_slice(part);
        }
        if let Some(token) = token_behind {
            query::write_parameter(token.parameter, &[token.value], query);
        }
        Ok(Presigned {
            form: Form {
                algorithm: self.algorithm(),
                buffers,
                signature,
                at,
                credentials,
                replaces: found.replaces(),
            },
            content_sha256: writes_hash.then_some(payload),
            life: Life {
                expires_at: SystemTime::from(at) + presign.expires_in,
                credentials_expire_at: credentials.expires_at(),
            },
        })
    }

    /// Signs a head and shows each step on the way; the session token is masked.
    ///
    /// # Errors
    /// As [`Signer::sign_head`].
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Credentials, Head, Headers, Payload, Signer};
    ///
    /// let head = Head::parse(b"GET", b"https://iam.amazonaws.com/?b=2&a=1", Headers::Pairs(&[]))?;
    /// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// let explanation = Signer::new("us-east-1", "iam")
    ///     .explain(head, Payload::EMPTY, &credentials, SystemTime::now())?;
    /// assert_eq!(explanation.query(), "a=1&b=2");
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn explain(
        &self,
        head: Head<'_>,
        payload: Payload,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<Explanation, Error> {
        let mut scratch = Scratch::new();
        Ok(self.sign_head(head, payload, credentials, at, &mut scratch)?.explain())
    }

    /// Refuses what no request could be signed with; the moment of signing.
    pub(crate) fn check(
        &self,
        credentials: &Credentials,
        at: SystemTime,
        scratch: &Scratch,
    ) -> Result<Timestamp, Error> {
        if !self.has_scope {
            self.check_scope()?;
        }
        let last = scratch.remembered.as_ref();
        // Those that were signed with last were checked then.
        if !last.is_some_and(|last| last.has(credentials)) {
            check_credentials(credentials)?;
        }
        last.map_or_else(|| Timestamp::try_from(at), |last| last.at().moved_to(at))
    }

    /// Refuses a region or service that no scope can hold.
    fn check_scope(&self) -> Result<(), Error> {
        match self.asymmetric {
            Some(_) => scope::check_region_set(&self.region),
            None => scope::check_name("region", &self.region),
        }?;
        scope::check_name("service", &self.service)
    }

    /// Collects the headers to sign, `host` among them, but none that the signer writes itself.
    fn select<'a>(
        &self,
        head: Head<'a>,
        names: &mut Names<'_>,
        lines: &mut Lines<'a>,
    ) -> Result<Found, Error> {
        let mut found = Found::default();
        let mut host: Option<&[u8]> = None;
        head.headers.for_each_unchecked(|name, value, needs_check| {
            let fate = names.fate(name);
            match fate {
                _ if !needs_check => {}
                Some(_) => check_value(name, value)?,
                None => check_header(name, value)?,
            }
            let fate = fate.unwrap_or_else(|| {
                let fate = self.chooser.fate(name);
                names.learn(name, fate);
                fate
            });
            match fate {
                Fate::Host if host.is_some() => {
                    return Err(Error::new(
                        ErrorKind::ConflictingHost,
                        "the request has two `host` headers",
                    ));
                }
                Fate::Host => host = Some(value),
                Fate::ContentSha256 => found.content_sha256 = true,
                Fate::Signed => lines.push(name, value),
                Fate::Replaced => found.replaced = true,
                Fate::Unsigned => {}
            }
            Ok(())
        })?;
        names.own(b"host");
        lines.push(b"host", head.host(host)?);
        Ok(found)
    }

    pub(crate) fn scope(&self, at: Timestamp) -> Scope<'_> {
        Scope::new_unchecked(at, self.region(), &self.service)
    }

    /// Writes the canonical request and the string to sign, and signs it; what with.
    fn finish<'r>(
        &self,
        head: Head<'_>,
        (lines, names): (&Lines<'_>, &str),
        payload: &PayloadLine,
        credentials: &Credentials,
        buffers: &mut Buffers,
        last: &'r mut Remembered,
    ) -> Result<(Signature, SignedWith<'r>), Error> {
        let Buffers { text, authorization, own_query, spare, .. } = buffers;
        let request = canonical::Request {
            method: head.method,
            path: head.path,
            query: head.query.unwrap_or_default(),
            own_query,
            leave_out: query::is_of_signature,
            lines,
            names: Some(names.as_bytes()),
            payload: payload.as_bytes(),
            rules: self.rules(),
            path_form: PathForm::Canonical,
        };
        // Behind the canonical request come the string to sign and the signature.
        let behind = last.string_to_sign().len() + 64 + LONGEST_SIGNATURE;
        room(text, request.bound() + behind.max(PADDING));
        let capacity = text.capacity();
        let layout = request.write(text, spare)?;
        let hash = last.digest(text);
        let last = &*last;
        let string_to_sign = last.string_to_sign();
        // What does not wait for the hash is written while it is computed.
        let start = text.len();
        text.extend_from_slice(string_to_sign);
        let is_in_header = own_query.is_empty();
        if is_in_header {
            let behind = names.len() + SIGNATURE.len() + LONGEST_SIGNATURE;
            room_for_text(authorization, last.authorization().len() + behind);
            for part in [last.authorization(), names, SIGNATURE] {
                authorization.push_str(part);
            }
        }
        text.extend_from_slice(&sha256::hex(&hash));
        let end = text.len();
        let mut write = |hex: &str, text: &mut Vec<u8>| {
            text.extend_from_slice(hex.as_bytes());
            if is_in_header {
                authorization.push_str(hex);
            }
        };
        let with = match last.signs() {
            Signs::Asymmetric(signer) => {
                let hex = signer.sign(credentials, &text[start..]);
                write(&hex, text);
                SignedWith::Asymmetric(Arc::clone(signer))
            }
            Signs::Hmac(key, begun) => {
                let hex = sha256::hex(&key.sign_begun(begun, &text[start..]));
                write(ascii(&hex), text);
                SignedWith::Hmac(key)
            }
        };
        debug_assert_eq!(text.capacity(), capacity, "a buffer that grows leaves a token behind");
        let scope = start + self.algorithm().as_str().len() + 1 + 17;
        let scope = scope..start + string_to_sign.len() - 1;
        let signature =
            Signature { layout, string_to_sign: start..end, scope, hex: end..text.len() };
        Ok((signature, with))
    }

    /// What is the same for all requests signed at this moment: it is at hand, or the key is one from the
    /// cache, or a new one.
    fn remember<'r>(
        &self,
        credentials: &Credentials,
        at: Timestamp,
        remembered: &'r mut Option<Box<Remembered>>,
    ) -> &'r mut Remembered {
        let (algorithm, names) = (self.algorithm(), [&self.region, &self.service]);
        let by = self.asymmetric.as_ref();
        let is_it = |last: &&mut Box<Remembered>| last.is_of(credentials, algorithm, names, at, by);
        if let Some(last) = remembered.as_mut().filter(is_it) {
            last.move_to(credentials, at);
        } else {
            let scope = self.scope(at);
            let signs = match &self.asymmetric {
                Some(signer) => Signs::Asymmetric(Arc::clone(signer)),
                None => {
                    let id = credentials.access_key_id();
                    let key = self.keys.key(id, credentials.secret_access_key(), &scope);
                    let nothing = key.begin(b"");
                    Signs::Hmac(key, nothing)
                }
            };
            let texts = remembered.as_mut().map(|last| last.take_texts()).unwrap_or_default();
            let new = Remembered::new(credentials, algorithm, names, at, &scope, signs, texts);
            match remembered {
                Some(last) => **last = new,
                None => *remembered = Some(Box::new(new)),
            }
        }
        remembered.as_mut().expect("remembered just now, if not before")
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field(if self.asymmetric.is_some() { "region_set" } else { "region" }, &self.region)
            .field("service", &self.service)
            .field("rules", &self.rules())
            .finish_non_exhaustive()
    }
}

/// A signature and where its parts stand in [`Buffers::text`].
pub(crate) struct Signature {
    pub(crate) layout: Layout,
    pub(crate) string_to_sign: std::ops::Range<usize>,
    pub(crate) scope: std::ops::Range<usize>,
    /// The signature's own text.
    pub(crate) hex: std::ops::Range<usize>,
}

/// What the headers held that the signer writes itself.
#[derive(Clone, Copy, Default)]
struct Found {
    content_sha256: bool,
    replaced: bool,
}

impl Found {
    fn replaces(self) -> bool {
        self.content_sha256 || self.replaced
    }
}

/// A session token and the names under which it travels.
#[derive(Clone, Copy)]
struct Token<'a> {
    header: &'static str,
    parameter: &'static str,
    value: &'a str,
}

impl<'a> Token<'a> {
    fn of(credentials: &'a Credentials) -> Option<Token<'a>> {
        let value = credentials.session_token().filter(|token| !token.is_empty())?;
        Some(if credentials.is_s3_express_session() {
            Token { header: "x-amz-s3session-token", parameter: query::S3_SESSION_TOKEN, value }
        } else {
            Token { header: "x-amz-security-token", parameter: query::SECURITY_TOKEN, value }
        })
    }
}

/// A number of seconds in decimal, without an allocation.
struct Digits {
    text: [u8; 10],
    start: usize,
}

impl Digits {
    fn of(mut number: u32) -> Digits {
        let mut digits = Digits { text: [b'0'; 10], start: 10 };
        while number > 0 {
            digits.start -= 1;
            digits.text[digits.start] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        digits
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }
}

/// Text of digits alone.
fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).expect("digits are ASCII")
}

pub(crate) fn check_credentials(credentials: &Credentials) -> Result<(), Error> {
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidCredentials, message));
    let id = credentials.access_key_id();
    if id.is_empty() {
        return invalid("the access key id is empty".to_owned());
    }
    let is_bad = |byte: &u8| matches!(byte, b'/' | b',' | b' ') || byte.is_ascii_control();
    if let Some(bad) = id.bytes().find(is_bad) {
        return invalid(format!(
            "the access key id contains byte 0x{bad:02x}, which no credential scope can hold"
        ));
    }
    if credentials.secret_access_key().is_empty() {
        return invalid(format!("the secret access key of `{id}` is empty"));
    }
    let token = credentials.session_token().unwrap_or_default();
    if let Some(bad) = token.bytes().find(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return invalid(format!(
            "the session token of `{id}` contains byte 0x{bad:02x}, which no header may hold"
        ));
    }
    Ok(())
}

/// What stands in an Authorization header between the names of the signed headers and the signature.
const SIGNATURE: &str = ", Signature=";

/// More than the names of a presigned URL's parameters take, and their values of a fixed length.
const PARAMETERS: usize = 512;
