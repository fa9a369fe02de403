//! `explain --against`: errors as AWS sends them, in each of its shapes, and what is made of them.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{SECRET, TOKEN, countersign, run};

/// A server's canonical request and string to sign.
struct Texts {
    canonical_request: String,
    string_to_sign: String,
}

/// What the server makes of a request that was changed by these edits on its way.
fn texts(args: &[&str], edits: &[(&str, &str)]) -> Texts {
    let output =
        run(without_token(&[&["explain", "--output", "json", "--time", TIME], args].concat()), b"");
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |name: &str| {
        let text = explained[name].as_str().unwrap().to_owned();
        edits.iter().fold(text, |text, (from, to)| text.replace(from, to))
    };
    let canonical_request = text("canonical_request");
    let string_to_sign = text("string_to_sign");
    let head = string_to_sign.rsplit_once('\n').unwrap().0;
    let hash = hex::encode(Sha256::digest(&canonical_request));
    Texts { string_to_sign: format!("{head}\n{hash}"), canonical_request }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn s3_xml(texts: &Texts) -> String {
    let bytes =
        |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let Texts { canonical_request, string_to_sign } = texts;
    format!(
        "<?xml version=\"1.0\" \
         encoding=\"UTF-8\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>\
         {MISMATCH}</Message><AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId><StringToSign>{}\
         </StringToSign><SignatureProvided>{}</SignatureProvided><StringToSignBytes>{}\
         </StringToSignBytes><CanonicalRequest>{}</CanonicalRequest><CanonicalRequestBytes>{}\
         </CanonicalRequestBytes><RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId></Error>",
        escaped(string_to_sign),
        "c".repeat(64),
        bytes(string_to_sign),
        escaped(canonical_request),
        bytes(canonical_request),
    )
}

fn message(texts: &Texts) -> String {
    let Texts { canonical_request, string_to_sign } = texts;
    format!(
        "{MISMATCH} Consult the service documentation for details.\n\nThe Canonical String for \
         this \
         request should have been\n'{canonical_request}'\n\nThe String-to-Sign should have been\n\
         '{string_to_sign}'\n"
    )
}

fn query_xml(texts: &Texts) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\n  <Error>\n    \
         <Type>Sender\
         </Type>\n    <Code>SignatureDoesNotMatch</Code>\n    <Message>{}</Message>\n  </Error>\n  \
         <RequestId>5d2ffbf1</RequestId>\n</ErrorResponse>\n",
        escaped(&message(texts))
    )
}

fn json(texts: &Texts) -> String {
    serde_json::json!({
        "__type": "com.amazon.coral.service#InvalidSignatureException",
        "message": message(texts),
    })
    .to_string()
}

fn gateway_json(texts: &Texts) -> String {
    let error = serde_json::json!({ "message": message(texts), "code": "InvalidSignature" });
    serde_json::json!({ "errors": [error] }).to_string()
}

fn with_head(texts: &Texts) -> String {
    let body = serde_json::json!({ "message": message(texts) }).to_string();
    format!(
        "HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: InvalidSignatureException:http://internal/\r\n\
         content-type: application/json\r\n\r\n{body}"
    )
}

fn printed(texts: &Texts) -> String {
    format!(
        "An error occurred (SignatureDoesNotMatch) when calling the ListUsers operation: {}",
        message(texts)
    )
}

fn logged(texts: &Texts) -> String {
    printed(texts).replace('\n', "\\n")
}

fn without_token(args: &[&str]) -> std::process::Command {
    let mut command = countersign(args);
    command.env_remove("AWS_SESSION_TOKEN");
    command
}

/// The causes that are named of an answer.
fn causes(args: &[&str], answer: &str) -> Vec<String> {
    let args = [&["explain", "--output", "json", "--against", "-"], args].concat();
    let output = run(without_token(&args), answer.as_bytes());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let causes = report["causes"].as_array().unwrap();
    causes.iter().map(|cause| cause["cause"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_shape_of_answer_leads_to_the_cause() {
    let api = ["https://abc.execute-api.eu-west-1.amazonaws.com/prod/a%20b?q=x%20y&r=1"].as_slice();
    let s3 = ["https://bucket.s3.eu-central-1.amazonaws.com/a%20b//c"].as_slice();
    let form =
        ["https://iam.amazonaws.com/", "-d", "Action=ListUsers", "-H", "content-type: text/plain"]
            .as_slice();
    let empty = "\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let other = format!("\n{}", "0f".repeat(32));
    let body = format!("\n{}", hex::encode(Sha256::digest("Action=ListUsers")));
    for (args, edits, cause) in [
        (api, &[("%2520b", "%252520b")][..], "path_encoded_once"),
        (api, &[("%2520b", "%20b")], "path_encoded_twice"),
        (api, &[("/prod/", "/")], "path_prefix_dropped"),
        (api, &[("q=x%20y&r=1", "r=1&q=x%20y")], "query_reordered"),
        (api, &[("x%20y", "x%2By")], "query_plus"),
        (api, &[("x%20y", "x%2520y")], "query_encoded_again"),
        (api, &[("&r=1", "")], "parameter_dropped"),
        (api, &[("&r=1", "&r=1&utm=2")], "parameter_added"),
        (
            api,
            &[("host:abc.execute-api.eu-west-1.amazonaws.com", "host:localhost:8080")],
            "host_rewritten",
        ),
        (api, &[("amazonaws.com\n", "amazonaws.com:443\n")], "port_rewritten"),
        (api, &[("GET", "HEAD")], "method_changed"),
        (api, &[("/eu-west-1/", "/us-east-1/")], "region_differs"),
        (api, &[("/execute-api/", "/apigateway/")], "service_differs"),
        (s3, &[("%20b", "%2520b")], "path_sent_encoded_twice"),
        (s3, &[("//c", "/c")], "path_normalized"),
        (
            s3,
            &[
                ("\nx-amz-date", "\nx-amz-acl:private\nx-amz-date"),
                (";x-amz-date", ";x-amz-acl;x-amz-date"),
            ],
            "header_added",
        ),
        (
            form,
            &[("content-type:text/plain", "content-type:text/plain; charset=utf-8")],
            "header_changed",
        ),
        (form, &[("content-type:text/plain", "content-type:")], "header_dropped"),
        (form, &[(&*body, &*other)], "body_changed"),
        (form, &[(&*body, empty)], "body_dropped"),
    ] {
        let texts = texts(args, edits);
        for shape in [s3_xml, query_xml, json, gateway_json, with_head, printed, logged] {
            let answer = shape(&texts);
            assert_eq!(causes(args, &answer), [cause], "{answer}");
        }
    }
    let texts = texts(form, &[]);
    assert_eq!(causes(form, &query_xml(&texts)), ["secret_differs"]);
    assert_eq!(causes(form, &s3_xml(&texts)), ["signed_otherwise"]);
}

#[test]
fn what_the_client_left_unsigned_is_left_out_of_ours() {
    let url = "https://iam.amazonaws.com/";
    let texts = texts(&[url], &[]);
    let args = [url, "-H", "content-length: 0", "-H", "accept: */*", "-H", "x-amz-acl: private"];
    assert_eq!(causes(&args, &json(&texts)), ["header_left_unsigned"]);
    let args = ["explain", "--against", "-", url, "-H", "accept: */*"];
    let output = run(without_token(&args), json(&texts).as_bytes());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("as the client did not sign them: accept\n"), "{said}");
}

#[test]
fn the_time_is_the_servers_unless_it_is_given() {
    let url = "https://iam.amazonaws.com/";
    let answer = query_xml(&texts(&[url], &[]));
    assert_eq!(causes(&[url], &answer), ["secret_differs"]);
    assert_eq!(causes(&[url, "--time", "20160101T000000Z"], &answer), ["time_differs"]);
}

#[test]
fn a_presigned_request_is_presigned_for_the_comparison() {
    let url = "https://bucket.s3.eu-central-1.amazonaws.com/cat.jpg?x=1";
    let presigned = run(countersign(&["presign", url, "--expires", "15m", "--time", TIME]), b"");
    let presigned = String::from_utf8(presigned.stdout).unwrap();
    // As the server sees it: sorted, without the signature.
    let (_, query) = presigned.trim().split_once('?').unwrap();
    let mut pieces: Vec<_> =
        query.split('&').filter(|piece| !piece.starts_with("X-Amz-Signature=")).collect();
    pieces.sort_unstable();
    let canonical_request = format!(
        "GET\n/cat.jpg\n{}\nhost:bucket.s3.eu-central-1.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD",
        pieces.join("&")
    );
    let hash = hex::encode(Sha256::digest(&canonical_request));
    let scope = "20150830/eu-central-1/s3/aws4_request";
    let string_to_sign = format!("AWS4-HMAC-SHA256\n{TIME}\n{scope}\n{hash}");
    let answer = s3_xml(&Texts { canonical_request, string_to_sign });
    let output = run(countersign(&["explain", url, "--against", "-"]), answer.as_bytes());
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("signed_otherwise"), "{said}");
    assert!(!said.contains("token%2BEXAMPLE") && said.contains("<session token of "), "{said}");
}

#[test]
fn neither_tokens_nor_signatures_nor_secrets_are_printed() {
    let url = "https://bucket.s3.eu-central-1.amazonaws.com/cat.jpg";
    let token = "x-amz-security-token:FwoGZXIvYXdzEXAMPLE/+=\nx-amz-x";
    let edits = [
        ("x-amz-date:", "x-amz-c:1\nx-amz-date:"),
        ("x-amz-x", token),
        ("\n\nhost", &format!("\n{token}\n\nhost")),
    ];
    let texts = texts(&[url], &edits);
    let invalid = format!(
        "<Error><Code>InvalidToken</Code><Message>The provided token is malformed or otherwise \
         invalid.</Message><Token-0>{TOKEN}</Token-0></Error>"
    );
    let bearer = "<ErrorResponse><Error><Code>IncompleteSignature</Code><Message>Authorization \
    header \
                  requires 'Credential' parameter. Authorization=Bearer FwoGZXIvYXdzEXAMPLE</Message>\
                  </Error></ErrorResponse>";
    let logged = logged(&texts);
    for answer in
        [s3_xml(&texts), json(&texts), printed(&texts), logged, invalid, bearer.to_owned()]
    {
        for form in ["text", "json"] {
            let args = ["explain", url, "--against", "-", "--output", form];
            let output = run(countersign(&args), answer.as_bytes());
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            for secret in ["FwoGZXIvYXdz", TOKEN, SECRET, &"c".repeat(64)] {
                assert!(!said.contains(secret), "{said}");
            }
            assert_eq!(output.status.code(), Some(1), "{said}");
        }
    }
}

#[test]
fn what_would_steer_a_terminal_is_taken_out() {
    let url = "https://iam.amazonaws.com/";
    let texts = texts(&[url], &[("host:iam", "host:\u{1b}]0;iam\u{202e}\u{9b}2J")]);
    let output = run(without_token(&["explain", url, "--against", "-"]), json(&texts).as_bytes());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("host_rewritten"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{said:?}");
}

#[test]
fn an_answer_that_cannot_be_read_is_bad_input() {
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let deep_json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let large = " ".repeat((1 << 20) + 1);
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><Error><Code>&b;</Code></Error>";
    for (answer, said) in [
        ("", "holds no error of AWS"),
        ("hello", "holds no error of AWS"),
        ("<html><body>502</body></html>", "holds no error of AWS"),
        ("<Error><Code>", "begins like XML and is none"),
        ("{\"message\":", "begins like JSON and is none"),
        ("{}", "holds no error of AWS"),
        ("[1]", "holds JSON without an error"),
        (bomb, "begins like XML"),
        (&deep, ""),
        (&deep_json, "begins like JSON"),
        (&large, "more than 1048576 bytes"),
    ] {
        let args = ["explain", "https://iam.amazonaws.com/", "--against", "-"];
        let output = run(countersign(&args), answer.as_bytes());
        let shown = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{shown}");
        assert!(shown.contains(said) && shown.len() < 400, "{shown}");
    }
    let args = ["explain", "--http", "-", "--against", "-"];
    assert_eq!(run(countersign(&args), b"").status.code(), Some(2));
    let args = ["explain", "https://iam.amazonaws.com/", "--against", "/nonexistent/error.xml"];
    assert_eq!(run(countersign(&args), b"").status.code(), Some(2));
}

#[test]
fn an_answer_of_something_else_is_no_failure() {
    let answer = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not \
    exist.</Message></Error>";
    let args = ["explain", "https://bucket.s3.eu-central-1.amazonaws.com/k", "--against", "-"];
    let output = run(countersign(&args), answer);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("nothing in it says that the signature was refused"), "{said}");
}

const TIME: &str = "20150830T123600Z";

const MISMATCH: &str = "The request signature we calculated does not match the signature you \
    provided. Check your key and signing method.";
