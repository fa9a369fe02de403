//! Writing a signature into a request.

use bytes::{BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{AUTHORIZATION, HeaderName},
    request::Parts,
    uri::PathAndQuery,
};

use crate::{Error, ErrorKind, Head, Presigned, Signed, head::from_uri};

/// A request that a [`Signer`](crate::Signer) can edit. Sealed: a type of your own goes through
/// [`Signer::sign_head`](crate::Signer::sign_head).
pub trait SignRequest: sealed::Request {}

impl<B> SignRequest for http::Request<B> {}
impl SignRequest for Parts {}

pub(crate) mod sealed {
    use super::{Error, Head, HeaderMap, Presigned, Signed};

    /// What a signer needs of a request. Each `apply` edits the request wholly or not at all.
    pub trait Request {
        fn head(&self) -> Result<Head<'_>, Error>;
        fn apply(&mut self, signed: &Signed<'_>) -> Result<(), Error>;
        fn apply_query(&mut self, presigned: &Presigned<'_>) -> Result<(), Error>;
        fn headers_mut(&mut self) -> &mut HeaderMap;
    }
}

impl<B> sealed::Request for http::Request<B> {
    fn head(&self) -> Result<Head<'_>, Error> {
        from_uri(self.method(), self.uri(), self.headers())
    }

    fn apply(&mut self, signed: &Signed<'_>) -> Result<(), Error> {
        let uri = signed.query().map(|query| with_query(self.uri(), query)).transpose()?;
        set_headers(self.headers_mut(), signed)?;
        if let Some(uri) = uri {
            *self.uri_mut() = uri;
        }
        Ok(())
    }

    fn apply_query(&mut self, presigned: &Presigned<'_>) -> Result<(), Error> {
        let uri = with_query(self.uri(), presigned.query())?;
        set_presigned_headers(self.headers_mut(), presigned)?;
        *self.uri_mut() = uri;
        Ok(())
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        http::Request::headers_mut(self)
    }
}

impl sealed::Request for Parts {
    fn head(&self) -> Result<Head<'_>, Error> {
        from_uri(&self.method, &self.uri, &self.headers)
    }

    fn apply(&mut self, signed: &Signed<'_>) -> Result<(), Error> {
        let uri = signed.query().map(|query| with_query(&self.uri, query)).transpose()?;
        set_headers(&mut self.headers, signed)?;
        if let Some(uri) = uri {
            self.uri = uri;
        }
        Ok(())
    }

    fn apply_query(&mut self, presigned: &Presigned<'_>) -> Result<(), Error> {
        let uri = with_query(&self.uri, presigned.query())?;
        set_presigned_headers(&mut self.headers, presigned)?;
        self.uri = uri;
        Ok(())
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
}

/// Sets the headers of a signature in place of those of an earlier one.
pub(crate) fn set_headers(headers: &mut HeaderMap, signed: &Signed<'_>) -> Result<(), Error> {
    let mut pairs = [None; MOST_HEADERS];
    pairs.iter_mut().zip(signed.headers()).for_each(|(slot, pair)| *slot = Some(pair));
    let pairs = || pairs.iter().flatten();
    // All values lie in one piece of memory, which the header values share.
    let mut all = BytesMut::with_capacity(pairs().map(|(_, value)| value.len()).sum());
    pairs().for_each(|(_, value)| all.put_slice(value.as_bytes()));
    let mut all = all.freeze();
    let mut values = [const { None }; MOST_HEADERS];
    for (slot, (name, value)) in values.iter_mut().zip(pairs()) {
        let value = header_value(name, all.split_to(value.len()))?;
        *slot = Some((header_name(name), value));
    }
    reserve(headers, pairs().count())?;
    if signed.form.replaces {
        for name in signed.replaced_headers() {
            headers.remove(name);
        }
    }
    for (name, value) in values.into_iter().flatten() {
        headers.insert(name, value);
    }
    Ok(())
}

/// Takes an earlier signature out of the headers of a request that is signed in its query.
pub(crate) fn set_presigned_headers(
    headers: &mut HeaderMap,
    presigned: &Presigned<'_>,
) -> Result<(), Error> {
    let hash = presigned.headers().next().map(|(name, value)| {
        header_value(name, Bytes::copy_from_slice(value.as_bytes())).map(|value| (name, value))
    });
    let hash = hash.transpose()?;
    if presigned.form.replaces {
        for name in presigned.replaced_headers() {
            headers.remove(name);
        }
    }
    if let Some((name, value)) = hash {
        headers.insert(name, value);
    }
    Ok(())
}

/// The name as the map takes it; most are not made anew.
fn header_name(name: &'static str) -> HeaderName {
    match name {
        "authorization" => AUTHORIZATION,
        "x-amz-content-sha256" => X_AMZ_CONTENT_SHA256.clone(),
        "x-amz-date" => X_AMZ_DATE.clone(),
        "x-amz-security-token" => X_AMZ_SECURITY_TOKEN.clone(),
        rare => HeaderName::from_static(rare),
    }
}

static X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
static X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
static X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

fn header_value(name: &str, value: Bytes) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| {
        Error::new(
            ErrorKind::InvalidCredentials,
            format!("the value of `{name}` would contain a byte that no header may hold: look at the access key id, the region and the session token"),
        )
    })?;
    value.set_sensitive(name == AUTHORIZATION || name.ends_with("-token"));
    Ok(value)
}

fn reserve(headers: &mut HeaderMap, count: usize) -> Result<(), Error> {
    headers.try_reserve(count).map_err(|_| {
        Error::new(
            ErrorKind::InvalidHeader,
            format!("the request has {} headers, too many to add a signature", headers.len()),
        )
    })
}

fn with_query(uri: &Uri, query: &[u8]) -> Result<Uri, Error> {
    let mut text = BytesMut::with_capacity(uri.path().len() + 1 + query.len());
    text.put_slice(uri.path().as_bytes());
    if !query.is_empty() {
        text.put_u8(b'?');
        text.put_slice(query);
    }
    let len = text.len();
    let invalid = || {
        Error::new(
            ErrorKind::InvalidUrl,
            format!("the signed path and query of {len} bytes do not fit in a URL"),
        )
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query =
        Some(PathAndQuery::from_maybe_shared(text.freeze()).map_err(|_| invalid())?);
    Uri::from_parts(parts).map_err(|_| invalid())
}

/// So many headers a signature has at most.
const MOST_HEADERS: usize = 5;
