//! A signed request: what to send, and how it came about.

use countersign::{Presigned, Signed};

use crate::{
    object::Object,
    request::{Request, url_with_query, without_fragment},
};

/// What is printed of a signed request, in the one order in which all commands print it.
pub(crate) struct Shown<'s> {
    pub(crate) method: &'s [u8],
    pub(crate) url: &'s [u8],
    pub(crate) canonical_request: &'s [u8],
    pub(crate) string_to_sign: &'s str,
    pub(crate) signed_headers: &'s str,
    pub(crate) signature: &'s str,
    /// `None` if the signature is in the query.
    pub(crate) authorization: Option<&'s str>,
}

impl Shown<'_> {
    /// Writes its fields, and all headers that are to be sent.
    pub(crate) fn write<'h>(
        &self,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
        object: &mut Object<'_>,
    ) {
        object.field("method", self.method);
        object.field("url", self.url);
        object.pairs("headers", headers);
        object.field("canonical_request", self.canonical_request);
        object.field("string_to_sign", self.string_to_sign.as_bytes());
        object.field("signed_headers", self.signed_headers.as_bytes());
        object.field("signature", self.signature.as_bytes());
        if let Some(authorization) = self.authorization {
            object.field("authorization", authorization.as_bytes());
        }
    }
}

/// What a signature adds to a request, on its own.
pub(crate) struct Signature {
    /// Each to be sent in place of all that the request has under that name.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Those of an earlier signature, not to be sent.
    replaced: Vec<&'static str>,
    /// `None` if the query stays as given.
    query: Option<Vec<u8>>,
    canonical_request: String,
    string_to_sign: String,
    signed_headers: String,
    signature: String,
    /// `None` if the signature is in the query.
    authorization: Option<String>,
}

impl From<&Signed<'_>> for Signature {
    fn from(signed: &Signed<'_>) -> Signature {
        Signature {
            headers: owned(signed.headers()),
            replaced: signed.replaced_headers().collect(),
            query: signed.query().map(<[u8]>::to_vec),
            canonical_request: String::from_utf8_lossy(signed.canonical_request()).into_owned(),
            string_to_sign: signed.string_to_sign().to_owned(),
            signed_headers: signed.signed_headers().to_owned(),
            signature: signed.signature().to_owned(),
            authorization: Some(signed.authorization().to_owned()),
        }
    }
}

impl From<&Presigned<'_>> for Signature {
    fn from(presigned: &Presigned<'_>) -> Signature {
        Signature {
            headers: owned(presigned.headers()),
            replaced: presigned.replaced_headers().collect(),
            query: Some(presigned.query().to_vec()),
            canonical_request: String::from_utf8_lossy(presigned.canonical_request()).into_owned(),
            string_to_sign: presigned.string_to_sign().to_owned(),
            signed_headers: presigned.signed_headers().to_owned(),
            signature: presigned.signature().to_owned(),
            authorization: None,
        }
    }
}

impl Signature {
    /// The URL, or the request target, to send `request` to.
    pub(crate) fn url(&self, request: &Request) -> Vec<u8> {
        match &self.query {
            Some(query) => url_with_query(&request.url, query),
            None => without_fragment(&request.url).to_vec(),
        }
    }

    /// The host that is signed, which is the one to send.
    pub(crate) fn host(&self) -> &str {
        // Each canonical request has this line, and no value holds a line's end.
        let line = self.canonical_request.split('\n').find_map(|line| line.strip_prefix("host:"));
        line.unwrap_or_default()
    }

    /// Whether the URL to send is not the one that was given.
    pub(crate) fn changes_url(&self) -> bool {
        self.query.is_some()
    }

    /// All headers to send: the request's own less those that are replaced, then the signature's.
    pub(crate) fn all_headers(&self, request: &Request) -> Vec<(Vec<u8>, Vec<u8>)> {
        let is_replaced =
            |name: &[u8]| self.replaced.iter().any(|old| name.eq_ignore_ascii_case(old.as_bytes()));
        let kept = request.headers.iter().filter(|(name, _)| !is_replaced(name)).cloned();
        let added = self.headers.iter().map(|(name, value)| ((*name).into(), value.clone().into()));
        kept.chain(added).collect()
    }

    /// The signed request as JSON Lines print it.
    pub(crate) fn to_json(&self, request: &Request) -> Vec<u8> {
        let (url, headers) = (self.url(request), self.all_headers(request));
        let shown = Shown {
            method: request.method.as_bytes(),
            url: &url,
            canonical_request: self.canonical_request.as_bytes(),
            string_to_sign: &self.string_to_sign,
            signed_headers: &self.signed_headers,
            signature: &self.signature,
            authorization: self.authorization.as_deref(),
        };
        let mut json = Vec::new();
        let mut object = Object::begin(&mut json);
        shown.write(headers.iter().map(|(name, value)| (&**name, &**value)), &mut object);
        object.end();
        json
    }
}

fn owned<'a>(
    headers: impl Iterator<Item = (&'static str, &'a str)>,
) -> Vec<(&'static str, String)> {
    headers.map(|(name, value)| (name, value.to_owned())).collect()
}
