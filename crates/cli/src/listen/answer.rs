//! What a client is told, in the form that it can read.

use countersign::verify::{Dialect, Error, Wire};

use super::{body::Body, received::Received};

/// An answer, whichever version of HTTP it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// Writes answers to one request.
#[derive(Clone, Debug)]
pub(super) struct Answerer {
    pub(super) wire: Wire,
    id: String,
}

impl Answerer {
    /// `service` is the one that the request names, or else the only one that is served here.
    pub(super) fn new(request: &Received, service: &str, id: String) -> Answerer {
        let is_json = request.value("x-amz-target").is_some()
            || request.value("content-type").is_some_and(|value| {
                let kind = b"application/x-amz-json";
                value.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind))
            });
        let wire = match Dialect::of_service(service) {
            Dialect::S3 => Wire::S3Xml,
            _ if is_json => Wire::Json,
            _ => Wire::QueryXml,
        };
        Answerer { wire, id }
    }

    /// The signature holds: the least that the client takes for a success.
    pub(super) fn accepted(&self, request: &Received, body: &Body) -> Answer {
        let text = match self.wire {
            Wire::S3Xml => return self.answer(200, None, Vec::new()),
            Wire::Json => "{}".to_owned(),
            _ => self.query_result(&action(request, body)),
        };
        self.answer(200, Some(self.wire.content_type()), text.into_bytes())
    }

    /// The verifier said no.
    pub(super) fn refused(&self, error: &Error) -> Answer {
        let status = error.status(self.wire.dialect());
        let body = error.body(self.wire, &self.id).into_bytes();
        self.answer(status, Some(self.wire.content_type()), body)
            .with_code(self.wire, self.wire.code(error))
    }

    /// There was nothing that could be verified.
    pub(super) fn failed(&self, status: u16, code: &'static str, message: &str) -> Answer {
        let body = self.wire.body(status, code, message, &self.id).into_bytes();
        self.answer(status, Some(self.wire.content_type()), body).with_code(self.wire, code)
    }

    fn answer(&self, status: u16, content_type: Option<&str>, body: Vec<u8>) -> Answer {
        let mut headers = vec![
            ("server", "countersign".to_owned()),
            (self.wire.request_id_header(), self.id.clone()),
        ];
        if let Some(content_type) = content_type {
            headers.push(("content-type", content_type.to_owned()));
        }
        Answer { status, headers, body }
    }

    /// Query clients look for an element named after the action.
    fn query_result(&self, action: &str) -> String {
        let result = if action.is_empty() { String::new() } else { format!("<{action}Result/>") };
        let id = &self.id;
        format!(
            "<?xml version=\"1.0\"?>\n<{action}Response>{result}<ResponseMetadata><RequestId>{id}\
             </RequestId></ResponseMetadata></{action}Response>\n"
        )
    }
}

impl Answer {
    /// Clients of services that speak JSON over REST look for the code in a header.
    fn with_code(mut self, wire: Wire, code: &str) -> Answer {
        if wire.dialect() == Dialect::General {
            self.headers.push(("x-amzn-errortype", code.to_owned()));
        }
        self
    }
}

/// The `Action` of a Query request, in its query or in its form; empty if there is none that could
/// name an element.
fn action(request: &Received, body: &Body) -> String {
    let of_form = || {
        let form = String::from_utf8_lossy(body.beginning());
        form.split('&').find_map(|piece| piece.strip_prefix("Action=")).map(str::to_owned)
    };
    let action = request.parameter("Action").or_else(of_form).unwrap_or_default();
    let is_name = action.starts_with(|c: char| c.is_ascii_alphabetic())
        && action.len() <= 128
        && action.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_name { action } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::{super::body::Reading, *};

    fn accepted(service: &str, target: &str, headers: &[(&str, &str)], form: &str) -> String {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let request =
            Received { target: target.into(), headers: headers.collect(), ..Received::default() };
        let mut body = Reading::default();
        body.push(form.as_bytes());
        let answerer = Answerer::new(&request, service, "ID".to_owned());
        String::from_utf8(answerer.accepted(&request, &body.finish()).body).expect("text")
    }

    #[test]
    fn a_success_has_the_form_of_the_protocol() {
        assert_eq!(accepted("s3", "/", &[], ""), "");
        assert_eq!(accepted("dynamodb", "/", &[("X-Amz-Target", "T")], ""), "{}");
        assert_eq!(
            accepted("kms", "/", &[("content-type", "Application/X-Amz-JSON-1.1")], ""),
            "{}"
        );
        let of_sts = accepted("sts", "/", &[], "Action=GetCallerIdentity&Version=1");
        assert!(
            of_sts.contains("<GetCallerIdentityResponse><GetCallerIdentityResult/>"),
            "{of_sts}"
        );
        let of_ec2 = accepted("ec2", "/?Action=A", &[], "");
        assert!(of_ec2.contains("<AResponse><AResult/>"), "{of_ec2}");
        for hostile in ["<x>", "1a", "a b"] {
            let xml = accepted("sts", "/", &[], &format!("Action={hostile}"));
            assert!(xml.contains("<Response><ResponseMetadata><RequestId>ID<"), "{xml}");
        }
    }
}
