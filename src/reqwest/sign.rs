//! Signing `reqwest` requests.

use reqwest::{Request, header::HeaderMap};

use crate::{
    Error, ErrorKind, Head, Headers, Presigned, SignRequest, Signed,
    request::{sealed, set_headers, set_presigned_headers},
};

/// Signs the request that reqwest is about to send. Headers that reqwest adds while it sends
/// (`accept`, `content-length`) are not signed.
///
/// Switch reqwest's redirects off: they would carry the session token to whatever host answers.
impl SignRequest for Request {}

impl sealed::Request for Request {
    fn head(&self) -> Result<Head<'_>, Error> {
        Head::parse(
            self.method().as_str().as_bytes(),
            self.url().as_str().as_bytes(),
            Headers::Map(self.headers()),
        )
    }

    fn apply(&mut self, signed: &Signed<'_>) -> Result<(), Error> {
        let query = signed.query().map(text).transpose()?.map(str::to_owned);
        set_headers(self.headers_mut(), signed)?;
        if let Some(query) = query {
            self.url_mut().set_query((!query.is_empty()).then_some(&query));
        }
        Ok(())
    }

    fn apply_query(&mut self, presigned: &Presigned<'_>) -> Result<(), Error> {
        let query = text(presigned.query())?;
        set_presigned_headers(self.headers_mut(), presigned)?;
        self.url_mut().set_query(Some(query));
        Ok(())
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        Request::headers_mut(self)
    }
}

/// A query that came out of a `Url`, and what was added to it, is ASCII.
fn text(query: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(query)
        .map_err(|_| Error::new(ErrorKind::InvalidUrl, "the query is not text, which no `Url` is"))
}
