//! Refusals as AWS writes them into the body of its answer.

use std::fmt::Write;

use super::{Dialect, Error, error::Steps};

/// The form in which a service writes its errors; clients read no other.
///
/// ```
/// use countersign::verify::{Dialect, Wire};
///
/// assert_eq!(Wire::S3Xml.dialect(), Dialect::S3);
/// assert_eq!(
///     Wire::Json.body(503, "ServiceUnavailable", "Try \"later\".", "4442587FB7D0A2F9"),
///     r#"{"__type":"ServiceUnavailable","message":"Try \"later\"."}"#,
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// As DynamoDB, KMS and the others that speak JSON.
    Json,
    /// As IAM, STS and the others that speak Query and XML.
    QueryXml,
    /// As S3.
    S3Xml,
}

impl Wire {
    /// Whose codes and statuses go with this form.
    pub fn dialect(self) -> Dialect {
        match self {
            Wire::Json | Wire::QueryXml => Dialect::General,
            Wire::S3Xml => Dialect::S3,
        }
    }

    /// The value of `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Wire::Json => "application/x-amz-json-1.1",
            Wire::QueryXml => "text/xml",
            Wire::S3Xml => "application/xml",
        }
    }

    /// The header in which clients look for the request's id.
    pub fn request_id_header(self) -> &'static str {
        match self {
            Wire::Json | Wire::QueryXml => "x-amzn-requestid",
            Wire::S3Xml => "x-amz-request-id",
        }
    }

    /// The code of a refusal as this form spells it: JSON has names of its own for some.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Head, Headers, verify::{Verifier, Wire}};
    ///
    /// let head = Head::parse(b"GET", b"https://kms.eu-west-1.amazonaws.com/", Headers::Pairs(&[]))?;
    /// let error = Verifier::new().claim(head, SystemTime::now()).unwrap_err();
    /// assert_eq!(Wire::QueryXml.code(&error), "MissingAuthenticationToken");
    /// assert_eq!(Wire::Json.code(&error), "MissingAuthenticationTokenException");
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn code(self, error: &Error) -> &'static str {
        match (self, error.code(self.dialect())) {
            (Wire::Json, "IncompleteSignature") => "IncompleteSignatureException",
            (Wire::Json, "InvalidClientTokenId") => "UnrecognizedClientException",
            (Wire::Json, "MissingAuthenticationToken") => "MissingAuthenticationTokenException",
            (Wire::Json, "SignatureDoesNotMatch") => "InvalidSignatureException",
            (_, code) => code,
        }
    }

    /// The body of an answer that says no for a reason of the server's own. For refusals see
    /// [`Error::body`].
    pub fn body(self, status: u16, code: &str, message: &str, request_id: &str) -> String {
        self.write(status, code, message, request_id, None)
    }

    fn write(
        self,
        status: u16,
        code: &str,
        message: &str,
        request_id: &str,
        steps: Option<&Steps>,
    ) -> String {
        let mut out = String::new();
        match self {
            Wire::Json => {
                out.push_str("{\"__type\":\"");
                escape_json(code, &mut out);
                out.push_str("\",\"message\":\"");
                escape_json(message, &mut out);
                if let Some(steps) = steps {
                    escape_json(&steps.as_message(), &mut out);
                }
                out.push_str("\"}");
            }
            Wire::QueryXml => {
                // The namespace of the front end that all Query services have in common.
                out.push_str("<ErrorResponse xmlns=\"http://webservices.amazon.com/AWSFault/2005-15-09\"><Error>");
                element("Type", if status < 500 { "Sender" } else { "Receiver" }, &mut out);
                element("Code", code, &mut out);
                match steps {
                    Some(steps) => {
                        let message = format!("{message}{}", steps.as_message());
                        element("Message", &message, &mut out);
                    }
                    None => element("Message", message, &mut out),
                }
                out.push_str("</Error>");
                element("RequestId", request_id, &mut out);
                out.push_str("</ErrorResponse>");
            }
            Wire::S3Xml => {
                out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
                element("Code", code, &mut out);
                element("Message", message, &mut out);
                if let Some(steps) = steps {
                    element("AWSAccessKeyId", &steps.access_key_id, &mut out);
                    element("StringToSign", &steps.string_to_sign, &mut out);
                    element("SignatureProvided", &steps.signature_provided, &mut out);
                    element("StringToSignBytes", &in_hex(&steps.string_to_sign), &mut out);
                    element("CanonicalRequest", &steps.canonical_request, &mut out);
                    element("CanonicalRequestBytes", &in_hex(&steps.canonical_request), &mut out);
                }
                element("RequestId", request_id, &mut out);
                out.push_str("</Error>");
            }
        }
        out
    }
}

impl Error {
    /// The body of the answer to the client.
    ///
    /// What a [debugging](super::Verifier::with_debugging) verifier compared stands in it, where AWS
    /// puts it: in elements of its own for S3, otherwise in the message. The signature that was
    /// expected never does.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Head, Headers, verify::{Verifier, Wire}};
    ///
    /// let head = Head::parse(b"GET", b"https://b.s3.amazonaws.com/k", Headers::Pairs(&[]))?;
    /// let error = Verifier::new().claim(head, SystemTime::now()).unwrap_err();
    /// let body = error.body(Wire::S3Xml, "4442587FB7D0A2F9");
    /// assert!(body.contains("<Error><Code>AccessDenied</Code><Message>"));
    /// assert!(body.ends_with("<RequestId>4442587FB7D0A2F9</RequestId></Error>"));
    /// # Ok::<(), countersign::Error>(())
    /// ```
    pub fn body(&self, wire: Wire, request_id: &str) -> String {
        let (status, steps) = (self.status(wire.dialect()), self.steps());
        wire.write(status, wire.code(self), self.message(), request_id, steps)
    }
}

impl Steps {
    /// How the general services add it to their message.
    fn as_message(&self) -> String {
        let Steps { canonical_request, string_to_sign, .. } = self;
        format!(
            "\n\nThe Canonical String for this request should have been\n'{canonical_request}'\n\n\
             The String-to-Sign should have been\n'{string_to_sign}'\n"
        )
    }
}

fn element(name: &str, text: &str, out: &mut String) {
    out.extend(["<", name, ">"]);
    escape_xml(text, out);
    out.extend(["</", name, ">"]);
}

fn escape_xml(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // A reader would take a bare one for the end of a line.
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            // XML 1.0 has no way to write these (§2.2).
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(c),
        }
    }
}

fn escape_json(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' | '\u{7f}' => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("a String takes all");
            }
            _ => out.push(c),
        }
    }
}

/// The bytes of a text as S3 writes them: two digits each, a space between.
fn in_hex(text: &str) -> String {
    let mut out = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        let space = if out.is_empty() { "" } else { " " };
        write!(out, "{space}{byte:02x}").expect("a String takes all");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::Place, *};
    use crate::verify::Refusal;

    const ODD: &str = "a<b>&\"c'\\\u{0}\u{1b}\r\n\t\u{7f}é\u{ffff}";

    #[test]
    fn xml_escapes_what_is_markup_and_replaces_what_it_cannot_hold() {
        let mut out = String::new();
        escape_xml(ODD, &mut out);
        assert_eq!(out, "a&lt;b&gt;&amp;&quot;c&apos;\\\u{fffd}\u{fffd}&#13;\n\t\u{7f}é\u{fffd}");
    }

    #[test]
    fn json_reads_back_what_was_written() {
        let body = Wire::Json.body(400, "Odd", ODD, "id");
        let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(value["message"], ODD);
        assert_eq!(value["__type"], "Odd");
        assert!(!body.bytes().any(|byte| byte.is_ascii_control()), "{body}");
    }

    #[test]
    fn each_form_is_the_one_of_its_services() {
        let error = Error::new(Refusal::UnknownKey, Place::Header, "no <such> key");
        assert_eq!(
            error.body(Wire::S3Xml, "ID&"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidAccessKeyId</Code>\
             <Message>no &lt;such&gt; key</Message><RequestId>ID&amp;</RequestId></Error>"
        );
        assert_eq!(
            error.body(Wire::QueryXml, "ID"),
            "<ErrorResponse xmlns=\"http://webservices.amazon.com/AWSFault/2005-15-09\"><Error>\
             <Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>no &lt;such&gt; key</Message>\
             </Error><RequestId>ID</RequestId></ErrorResponse>"
        );
        assert_eq!(
            error.body(Wire::Json, "ID"),
            "{\"__type\":\"UnrecognizedClientException\",\"message\":\"no <such> key\"}"
        );
    }

    #[test]
    fn each_form_has_its_type_and_its_name_of_a_requests_id() {
        for (wire, content_type, request_id) in [
            (Wire::Json, "application/x-amz-json-1.1", "x-amzn-requestid"),
            (Wire::QueryXml, "text/xml", "x-amzn-requestid"),
            (Wire::S3Xml, "application/xml", "x-amz-request-id"),
        ] {
            assert_eq!(wire.content_type(), content_type);
            assert_eq!(wire.request_id_header(), request_id);
        }
    }

    #[test]
    fn the_servers_own_failures_are_the_receivers() {
        let body = Wire::QueryXml.body(500, "InternalFailure", "", "ID");
        assert!(body.contains("<Type>Receiver</Type>"), "{body}");
    }

    #[test]
    fn what_a_debugging_verifier_compared_stands_where_aws_puts_it() {
        let steps = Steps {
            access_key_id: "AKID".to_owned(),
            canonical_request: "GET\n/<&".to_owned(),
            signature_provided: "f00d".to_owned(),
            string_to_sign: "AWS4".to_owned(),
        };
        let error = Error::new(Refusal::SignatureDiffers, Place::Header, "no");
        let error = error.with_steps(Some(steps));
        let s3 = error.body(Wire::S3Xml, "ID");
        assert!(
            s3.contains(
                "<Message>no</Message><AWSAccessKeyId>AKID</AWSAccessKeyId><StringToSign>AWS4\
                 </StringToSign><SignatureProvided>f00d</SignatureProvided><StringToSignBytes>41 57 53 \
                 34</StringToSignBytes><CanonicalRequest>GET\n/&lt;&amp;</CanonicalRequest>\
                 <CanonicalRequestBytes>47 45 54 0a 2f 3c 26</CanonicalRequestBytes><RequestId>ID"
            ),
            "{s3}"
        );
        let query = error.body(Wire::QueryXml, "ID");
        assert!(query.contains("should have been\n&apos;GET\n/&lt;&amp;&apos;\n\nThe"), "{query}");
        let json = error.body(Wire::Json, "ID");
        assert!(json.contains("The String-to-Sign should have been\\n'AWS4'\\n\"}"), "{json}");
    }
}
