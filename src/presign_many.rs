//! Presigned URLs that differ in their path alone.

use std::{fmt, str, sync::Arc, time::SystemTime};

use zeroize::Zeroizing;

use crate::{
    Credentials, Error, ErrorKind, Head, Life, Presign, Presigned, Rules, Signer, SigningKey,
    asymmetric::{AsymmetricSigner, LONGEST_SIGNATURE},
    bytes::any,
    canonical::{self, Buffers, query, room},
    key::Begun,
    payload::PayloadLine,
    sha256,
};

/// Presigned URLs that differ in their path alone: many objects of one bucket.
///
/// Made by [`Signer::presign_many`]. What all of them share is made once: the scope, the key, the query
/// and the headers, and the hash over the beginning of the string to sign. Each URL is the one that
/// [`Signer::presign`] comes to, and is lent until the next one is asked for; once the buffers have
/// grown, it costs no allocation but for
/// SigV4A's signatures. Needs no lifetime but its own, so each thread can have one.
pub struct PresignMany {
    rules: Rules,
    /// The scheme and the authority, as the URL has them.
    origin: String,
    /// The path under which the keys are.
    directory: String,
    /// What stands before the path in the canonical request.
    before: Vec<u8>,
    /// What stands behind it.
    behind: Zeroizing<Vec<u8>>,
    /// What stands between the path and the signature in the URL.
    query: Zeroizing<String>,
    /// What stands behind the signature.
    end: Zeroizing<String>,
    /// With the hash of the last canonical request.
    string_to_sign: Vec<u8>,
    with: With,
    content_sha256: Option<PayloadLine>,
    life: Life,
    /// The canonical request and the path, both of them the last ones.
    buffers: Buffers,
    /// The last URL.
    url: Zeroizing<String>,
}

/// What the strings are signed with.
enum With {
    Asymmetric(Arc<dyn AsymmetricSigner>, Credentials),
    /// The key, and how far it got with what the strings begin with.
    Hmac(SigningKey, Begun),
}

impl Signer {
    /// Presigns many URLs that differ in their path alone.
    ///
    /// `head` is the pattern: its method, host, query and headers are those of all the URLs, and its path
    /// is the one under which the keys of [`PresignMany::key`] are, as `/` or, with the bucket in the path,
    /// `/bucket/`. The URLs begin with `https://` or `http://` as its [`Head::https`] has it; without an
    /// authority they begin with the path.
    ///
    /// # Errors
    /// As [`Signer::presign_head`] for the pattern, and [`ErrorKind::InvalidUrl`] if its path or its query
    /// is not UTF-8.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use countersign::{Credentials, Head, Headers, Presign, Signer};
    ///
    /// let bucket = b"https://bucket.s3.eu-central-1.amazonaws.com/";
    /// let head = Head::parse(b"GET", bucket, Headers::Pairs(&[]))?;
    /// let an_hour = Presign::expires_in(Duration::from_secs(3600));
    /// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// let mut urls = Signer::new("eu-central-1", "s3")
    ///     .presign_many(head, an_hour, &credentials, SystemTime::now())?;
    /// for key in ["photos/cat 1.jpg", "photos/cat 2.jpg"] {
    ///     let url = urls.key(key);
    ///     assert!(url.starts_with("https://bucket.s3.eu-central-1.amazonaws.com/photos/cat%20"));
    /// }
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn presign_many(
        &self,
        head: Head<'_>,
        presign: Presign,
        credentials: &Credentials,
        at: SystemTime,
    ) -> Result<PresignMany, Error> {
        self.pool.lend(|scratch| {
            let presigned = self.presign_head(head, presign, credentials, at, scratch)?;
            self.many_like(&presigned, head, credentials)
        })
    }

    /// Takes the signed pattern apart.
    fn many_like(
        &self,
        presigned: &Presigned<'_>,
        head: Head<'_>,
        credentials: &Credentials,
    ) -> Result<PresignMany, Error> {
        let (text, signature) = (&presigned.form.buffers.text, &presigned.form.signature);
        let layout = &signature.layout;
        let string_to_sign = text[signature.string_to_sign.clone()].to_vec();
        let with = match &self.asymmetric {
            Some(signer) => With::Asymmetric(Arc::clone(signer), credentials.clone()),
            None => {
                let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
                let key = self.keys.key(id, secret, &self.scope(presigned.form.at));
                let begun = key.begin(&string_to_sign[..string_to_sign.len() - HASH]);
                With::Hmac(key, begun)
            }
        };
        let query = text_of("query", presigned.query())?;
        let (query, end) = around_signature(query);
        Ok(PresignMany {
            rules: self.rules(),
            origin: origin(head)?,
            directory: directory(head.path)?,
            before: text[..layout.path.start].to_vec(),
            behind: Zeroizing::new(text[layout.path.end..layout.end].to_vec()),
            query: Zeroizing::new(["?", query].concat()),
            end: Zeroizing::new(end.to_owned()),
            string_to_sign,
            with,
            content_sha256: presigned.content_sha256,
            life: presigned.life(),
            buffers: Buffers::default(),
            url: Zeroizing::default(),
        })
    }
}

impl PresignMany {
    /// The URL of an object, lent until the next one.
    ///
    /// The key is the object's name as the bucket lists it, not encoded: it is percent-encoded here, and put
    /// behind the path of the pattern and a `/`, unless that path ends in one.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use countersign::{Credentials, Head, Headers, Presign, Signer};
    /// # let head = Head::parse(b"GET", b"https://s3.us-east-1.amazonaws.com/bucket", Headers::Pairs(&[]))?;
    /// # let (presign, now) = (Presign::expires_in(Duration::from_secs(60)), SystemTime::now());
    /// # let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// # let signer = Signer::new("us-east-1", "s3");
    /// let mut urls = signer.presign_many(head, presign, &credentials, now)?;
    /// let url = urls.key("50% (é)+.txt");
    /// assert!(url.starts_with("https://s3.us-east-1.amazonaws.com/bucket/50%25%20%28%C3%A9%29%2B.txt?"));
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn key(&mut self, key: &str) -> &str {
        let path = &mut self.buffers.own_query;
        room(path, self.directory.len() + 3 * key.len());
        path.extend_from_slice(self.directory.as_bytes());
        canonical::encode_path(key, path);
        self.sign().expect("the path was signed before, and what is encoded has no `%` of its own")
    }

    /// The URL with another path, as it stands on the wire, lent until the next one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidUrl`] if the path does not begin with `/`, or holds `?`, `#` or a control
    /// character (an empty one is `/`; a space stays as it is, as [`Head::parse`] has it); [`ErrorKind::MalformedEscape`] as [`Signer::presign_head`] has it. The next path is signed
    /// all the same.
    ///
    /// ```
    /// # use std::time::{Duration, SystemTime};
    /// # use countersign::{Credentials, Head, Headers, Presign, Signer};
    /// # let head = Head::parse(b"GET", b"https://bucket.s3.amazonaws.com/", Headers::Pairs(&[]))?;
    /// # let (presign, now) = (Presign::expires_in(Duration::from_secs(60)), SystemTime::now());
    /// # let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    /// # let signer = Signer::new("us-east-1", "s3");
    /// let mut urls = signer.presign_many(head, presign, &credentials, now)?;
    /// assert!(urls.path("/a%20cat.jpg")?.starts_with("https://bucket.s3.amazonaws.com/a%20cat.jpg?"));
    /// assert!(urls.path("/100%").is_err());
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn path(&mut self, path: &str) -> Result<&str, Error> {
        if any(path.as_bytes(), |byte| (byte < b' ') | matches!(byte, b'?' | b'#' | 0x7f)) {
            return Err(Error::new(
                ErrorKind::InvalidUrl,
                format!(
                    "the path `{}` holds a `?`, a `#` or a control character, which no path can: \
                     percent-encode it",
                    path.escape_debug()
                ),
            ));
        }
        // As `http::Uri` has it, a URL without a path has the path `/`.
        let path = if path.is_empty() { "/" } else { path };
        let copy = &mut self.buffers.own_query;
        room(copy, path.len());
        copy.extend_from_slice(path.as_bytes());
        self.sign()
    }

    /// The headers to set on each request: `x-amz-content-sha256` if the pattern had one, nothing else.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.content_sha256.iter().map(|line| ("x-amz-content-sha256", line.as_str()))
    }

    /// How long the URLs hold.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The URL of the path that was written to its buffer.
    fn sign(&mut self) -> Result<&str, Error> {
        let Buffers { text, own_query: path, spare, .. } = &mut self.buffers;
        room(text, self.before.len() + 3 * path.len() + 1 + self.behind.len());
        text.extend_from_slice(&self.before);
        canonical::write_path(path, self.rules, spare, text)?;
        text.extend_from_slice(&self.behind);

        let hash = sha256::hex(&sha256::digest(text));
        let string = &mut self.string_to_sign;
        let start = string.len() - HASH;
        string[start..].copy_from_slice(&hash);

        let url = &mut self.url;
        url.clear();
        let fixed = self.origin.len() + self.query.len() + self.end.len();
        let len = fixed + path.len() + LONGEST_SIGNATURE;
        if url.capacity() < len {
            // Wiped before it grows.
            *url = Zeroizing::new(String::with_capacity(len.next_power_of_two()));
        }
        url.push_str(&self.origin);
        url.push_str(str::from_utf8(path).expect("paths are made of text"));
        url.push_str(&self.query);
        match &self.with {
            With::Hmac(key, begun) => {
                let signature = key.sign_begun(begun, string);
                url.push_str(str::from_utf8(&sha256::hex(&signature)).expect("digits are ASCII"));
            }
            With::Asymmetric(signer, credentials) => {
                url.push_str(&signer.sign(credentials, string));
            }
        }
        url.push_str(&self.end);
        Ok(url)
    }
}

impl fmt::Debug for PresignMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresignMany").field("life", &self.life).finish_non_exhaustive()
    }
}

/// The URL of a head up to its path; empty if only its headers name the host.
fn origin(head: Head<'_>) -> Result<String, Error> {
    let scheme = if head.https { "https://" } else { "http://" };
    let Some(authority) = head.authority else { return Ok(String::new()) };
    Ok([scheme, text_of("authority", authority)?].concat())
}

/// The path under which the keys are: with a `/` at its end.
fn directory(path: &[u8]) -> Result<String, Error> {
    let path = text_of("path", path)?;
    let slash = if path.ends_with('/') { "" } else { "/" };
    Ok([path, slash].concat())
}

/// What stands before and behind the signature in a presigned query.
fn around_signature(query: &str) -> (&str, &str) {
    // A parameter before it may have the same name in its value, none behind it can: that is encoded.
    let name = [query::SIGNATURE, "="].concat();
    let at = query.rfind(&name).expect("a presigned query has its signature") + name.len();
    let (before, signature) = query.split_at(at);
    (before, signature.find('&').map_or("", |end| &signature[end..]))
}

fn text_of<'a>(what: &str, part: &'a [u8]) -> Result<&'a str, Error> {
    str::from_utf8(part).map_err(|_| {
        Error::new(
            ErrorKind::InvalidUrl,
            format!("the {what} is not UTF-8: percent-encode the bytes that are not ASCII"),
        )
    })
}

/// The digits of the hash with which a string to sign ends.
const HASH: usize = 64;
