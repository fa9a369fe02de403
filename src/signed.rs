//! What signing returns: borrowed from the buffers it was written to.

use std::{sync::Arc, time::SystemTime};

use crate::{
    Algorithm, Credentials, Explanation, Life, Payload, SigningKey, Timestamp,
    asymmetric::AsymmetricSigner, canonical::Buffers, payload::PayloadLine, signer::Signature,
};

/// What both forms of a signature have in common.
pub(crate) struct Form<'s> {
    pub(crate) buffers: &'s Buffers,
    pub(crate) signature: Signature,
    pub(crate) algorithm: Algorithm,
    pub(crate) at: Timestamp,
    pub(crate) credentials: &'s Credentials,
    /// Whether the request has headers of an earlier signature.
    pub(crate) replaces: bool,
}

/// What a request was signed with, for what is to be signed behind it.
pub(crate) enum SignedWith<'s> {
    /// And with the same credentials.
    Asymmetric(Arc<dyn AsymmetricSigner>),
    Hmac(&'s SigningKey),
}

/// A signature that travels in headers. See [`Signer::sign_head`](crate::Signer::sign_head).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::{Credentials, Head, Headers, Payload, Scratch, Signer};
///
/// let head = Head::parse(b"GET", b"https://iam.amazonaws.com/", Headers::Pairs(&[]))?;
/// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let mut scratch = Scratch::new();
/// let signed = Signer::new("us-east-1", "iam")
///     .sign_head(head, Payload::EMPTY, &credentials, at, &mut scratch)?;
/// let names: Vec<&str> = signed.headers().map(|(name, _)| name).collect();
/// assert_eq!(names, ["x-amz-date", "authorization"]);
/// # Ok::<(), countersign::Error>(())
/// ```
pub struct Signed<'s> {
    pub(crate) form: Form<'s>,
    pub(crate) with: SignedWith<'s>,
    pub(crate) payload: Payload,
    pub(crate) content_sha256: Option<PayloadLine>,
    pub(crate) region_set: Option<Arc<str>>,
    pub(crate) token: Option<(&'static str, &'s str)>,
}

/// A signature that travels in the query. See [`Signer::presign_head`](crate::Signer::presign_head).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::{Credentials, Head, Headers, Presign, Scratch, Signer};
///
/// let head = Head::parse(b"GET", b"https://b.s3.amazonaws.com/k?x=1", Headers::Pairs(&[]))?;
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let presign = Presign::expires_in(Duration::from_secs(60));
/// let mut scratch = Scratch::new();
/// let presigned = Signer::new("us-east-1", "s3")
///     .presign_head(head, presign, &credentials, SystemTime::now(), &mut scratch)?;
/// assert!(presigned.query().starts_with(b"x=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&"));
/// # Ok::<(), countersign::Error>(())
/// ```
pub struct Presigned<'s> {
    pub(crate) form: Form<'s>,
    pub(crate) content_sha256: Option<PayloadLine>,
    pub(crate) life: Life,
}

impl<'s> Signed<'s> {
    /// The value of the Authorization header.
    pub fn authorization(&self) -> &'s str {
        &self.form.buffers.authorization
    }

    /// The headers to set on the request, each in place of all that it has under that name.
    ///
    /// Before that, what is left of an earlier signature is to be removed: see
    /// [`Signed::replaced_headers`].
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let date = Some(("x-amz-date", self.form.at.as_str()));
        let hash = self.content_sha256.as_ref().map(|line| ("x-amz-content-sha256", line.as_str()));
        let region_set = self.region_set.as_deref().map(|set| ("x-amz-region-set", set));
        let authorization = Some(("authorization", self.authorization()));
        [date, hash, self.token, region_set, authorization].into_iter().flatten()
    }

    /// The headers to remove from the request before [`Signed::headers`] are set: those of an earlier
    /// signature.
    pub fn replaced_headers(&self) -> impl Iterator<Item = &'static str> + use<> {
        replaced_headers()
    }

    /// The query to send, if it is not the one that was given: one from which an earlier signature was
    /// taken.
    pub fn query(&self) -> Option<&'s [u8]> {
        self.form.signature.layout.left_out.then_some(&self.form.buffers.query[..])
    }

    /// The value of the security token header, and the header's name.
    pub fn token(&self) -> Option<(&'static str, &'s str)> {
        self.token
    }
}

impl<'s> Presigned<'s> {
    /// The whole query to send, without its `?`.
    pub fn query(&self) -> &'s [u8] {
        &self.form.buffers.query
    }

    /// The headers to set on the request: `x-amz-content-sha256` if it had one, nothing else.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.content_sha256.as_ref().map(|line| ("x-amz-content-sha256", line.as_str())).into_iter()
    }

    /// The headers to remove from the request before [`Presigned::headers`] are set: those of an
    /// earlier signature.
    pub fn replaced_headers(&self) -> impl Iterator<Item = &'static str> + use<> {
        replaced_headers()
    }

    /// The moment from which the URL is refused.
    pub fn expires_at(&self) -> SystemTime {
        self.life.expires_at()
    }

    /// How long the URL really holds.
    pub fn life(&self) -> Life {
        self.life
    }
}

fn replaced_headers() -> impl Iterator<Item = &'static str> {
    crate::unsigned::REPLACED.into_iter().chain(["authorization", "x-amz-content-sha256"])
}

/// What can be read of either form.
macro_rules! steps {
    ($form:ident) => {
        impl<'s> $form<'s> {
            /// The signature in lower-case hexadecimal: 64 digits, or up to 144 for SigV4A.
            pub fn signature(&self) -> &'s str {
                self.form.signature()
            }

            /// The names of the signed headers, sorted, with `;` between them.
            pub fn signed_headers(&self) -> &'s str {
                self.form.signed_headers()
            }

            /// The moment of signing.
            pub fn at(&self) -> Timestamp {
                self.form.at
            }

            /// The credential scope, as in `20150830/us-east-1/iam/aws4_request`.
            pub fn scope(&self) -> &'s str {
                self.form.scope()
            }

            /// The canonical request. A session token that was signed stands in it.
            pub fn canonical_request(&self) -> &'s [u8] {
                self.form.canonical_request()
            }

            /// The string to sign.
            pub fn string_to_sign(&self) -> &'s str {
                self.form.string_to_sign()
            }

            /// Each step on the way to the signature; the session token is masked.
            pub fn explain(&self) -> Explanation {
                Explanation::new(&self.form)
            }
        }

        impl std::fmt::Debug for $form<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($form))
                    .field("scope", &self.scope())
                    .field("signed_headers", &self.signed_headers())
                    .finish_non_exhaustive()
            }
        }
    };
}

steps!(Signed);
steps!(Presigned);

impl<'s> Form<'s> {
    pub(crate) fn canonical_request(&self) -> &'s [u8] {
        &self.buffers.text[..self.signature.layout.end]
    }

    pub(crate) fn string_to_sign(&self) -> &'s str {
        utf8(&self.buffers.text[self.signature.string_to_sign.clone()])
    }

    pub(crate) fn signed_headers(&self) -> &'s str {
        utf8(&self.buffers.text[self.signature.layout.signed_headers.clone()])
    }

    pub(crate) fn signature(&self) -> &'s str {
        utf8(&self.buffers.text[self.signature.hex.clone()])
    }

    pub(crate) fn scope(&self) -> &'s str {
        utf8(&self.buffers.text[self.signature.scope.clone()])
    }
}

/// Text that the signer wrote from `str`s and ASCII alone.
fn utf8(text: &[u8]) -> &str {
    std::str::from_utf8(text).expect("made of strings and ASCII")
}
