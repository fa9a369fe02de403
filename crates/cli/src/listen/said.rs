//! What a request says of its own signature, for people: read leniently and not believed.

use countersign::verify::Place;

use super::received::Received;

/// Who signed, for which scope and which headers, by the request's own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) access_key_id: String,
    pub(super) scope: String,
    pub(super) signed_headers: String,
    pub(super) place: Place,
}

impl Said {
    /// `None` for a request that carries no signature.
    pub(super) fn of(request: &Received) -> Option<Said> {
        let (credential, signed_headers, place) = match request.value("authorization") {
            Some(value) => {
                let value = String::from_utf8_lossy(value);
                let field = |name: &str| {
                    let (_, rest) = value.split_once(name)?;
                    rest.split([',', ' ', '\t']).next().map(str::to_owned)
                };
                (field("Credential=")?, field("SignedHeaders="), Place::Header)
            }
            None => (
                request.parameter("X-Amz-Credential")?,
                request.parameter("X-Amz-SignedHeaders"),
                Place::Query,
            ),
        };
        let (access_key_id, scope) = credential.split_once('/').unwrap_or((&credential, ""));
        Some(Said {
            access_key_id: access_key_id.to_owned(),
            scope: scope.to_owned(),
            signed_headers: signed_headers.unwrap_or_default(),
            place,
        })
    }

    /// The signing name of the service in the scope.
    pub(super) fn service(&self) -> Option<&str> {
        // Behind a region, which SigV4A's scope does not name.
        let mut parts = self.scope.split('/').skip(1);
        match (parts.next()?, parts.next()?) {
            (service, "aws4_request") => Some(service),
            (_, service) => Some(service),
        }
    }
}

/// Where the signature is, as JSON calls it.
pub(super) fn place_name(place: Place) -> &'static str {
    match place {
        Place::Header => "header",
        Place::Query => "query",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_spaces_is_read_too() {
        let value = b"AWS4-HMAC-SHA256 Credential=AKID/20150830/r/s/aws4_request,SignedHeaders=a;b,Signature=f";
        let headers = vec![(b"Authorization".to_vec(), value.to_vec())];
        let said = Said::of(&Received { headers, ..Received::default() }).expect("a signature");
        assert_eq!(said.access_key_id, "AKID");
        assert_eq!(said.scope, "20150830/r/s/aws4_request");
        assert_eq!(said.signed_headers, "a;b");
        assert_eq!(said.service(), Some("s"));
    }

    #[test]
    fn a_scope_without_a_region_names_its_service_too() {
        let value =
            b"AWS4-ECDSA-P256-SHA256 Credential=AKID/20150830/s/aws4_request, SignedHeaders=a";
        let headers = vec![(b"Authorization".to_vec(), value.to_vec())];
        let said = Said::of(&Received { headers, ..Received::default() }).expect("a signature");
        assert_eq!(said.service(), Some("s"));
    }

    #[test]
    fn a_query_is_decoded() {
        let target =
            b"/?X-Amz-Credential=AKID%2F20150830%2Fr%2Fs%2Faws4_request&X-Amz-SignedHeaders=a%3Bb";
        let said = Said::of(&Received { target: target.to_vec(), ..Received::default() });
        let said = said.expect("a signature");
        assert_eq!(said.scope, "20150830/r/s/aws4_request");
        assert_eq!((said.signed_headers.as_str(), said.place), ("a;b", Place::Query));
    }

    #[test]
    fn a_request_that_says_nothing_is_not_signed() {
        assert_eq!(Said::of(&Received::default()), None);
    }
}
