//! `countersign sign`: the headers that sign a request.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Args, ValueEnum};
use countersign::{Head, Headers};
use serde_json::Value;

use crate::{
    body::{self, Body},
    failure::Failure,
    jsonl,
    options::SigningOptions,
    printed::{print, tell},
    raw_http::{self, RawRequest},
    request::Request,
    signed::Signature,
};

/// Print the headers that sign a request
///
/// Headers that are there already and that the signature replaces (authorization, x-amz-date,
/// x-amz-security-token, x-amz-content-sha256) are to be sent in the printed form alone.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign sign https://sts.amazonaws.com/ \\
    -d 'Action=GetCallerIdentity&Version=2011-06-15'
  countersign sign https://bucket.s3.amazonaws.com/cat.jpg \\
    -X PUT -d @cat.jpg --output json
  countersign sign --http request.http --output http \\
    --service execute-api --region eu-west-1
  countersign sign --jsonl <requests.jsonl >signed.jsonl")]
pub(crate) struct Sign {
    #[command(flatten)]
    request: RequestArgs,

    /// The form of what is printed
    #[arg(long, value_enum, default_value = "headers")]
    output: Output,

    /// Read one request as JSON per line from standard input, print one signed request per line
    #[arg(long, conflicts_with_all = ["url", "method", "headers", "data", "http", "output", "payload"])]
    jsonl: bool,

    #[command(flatten)]
    signing: SigningOptions,
}

/// A request on the command line.
#[derive(Args)]
pub(crate) struct RequestArgs {
    /// The absolute URL; its path and query are signed byte for byte as written
    #[arg(conflicts_with = "http")]
    url: Option<String>,

    /// The method [default: GET, with a body POST]
    #[arg(short = 'X', long = "request", value_name = "METHOD", conflicts_with = "http")]
    method: Option<String>,

    /// A header that will be sent; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", conflicts_with = "http")]
    headers: Vec<HeaderArg>,

    /// The body: text, `@FILE` or `@-` for standard input, byte for byte; several are joined by `&`
    #[arg(short = 'd', long = "data", value_name = "DATA", conflicts_with = "http")]
    data: Vec<String>,

    /// The text of an HTTP/1.1 request; `-` is standard input
    #[arg(long, value_name = "FILE")]
    http: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A config file for `curl --config`
    CurlConfig,
    /// `name: value` lines, to add to the request
    Headers,
    /// The whole request as HTTP/1.1 text
    Http,
    /// One JSON object
    Json,
}

impl Sign {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if self.signing.reads_stdin() && (self.jsonl || self.request.reads_stdin()) {
            return Err(Failure::input(STDIN_TWICE));
        }
        if self.jsonl {
            return jsonl::sign::run(&self.signing);
        }
        let mut raw = self.request.parse()?;
        let signing = self.signing.resolve(raw.request.target())?;
        signing.note_expiry(&self.signing);
        let signature =
            raw.request.sign(&self.signing, &signing, |signed| Ok(Signature::from(signed)))?;
        if signature.changes_url() && matches!(self.output, Output::CurlConfig | Output::Headers) {
            tell(format_args!(
                "note: an earlier signature was taken out of the query; send the request \
                 to {}",
                signature.url(&raw.request).escape_ascii()
            ));
        }
        match self.output {
            Output::CurlConfig => print(curl_config(&signature)),
            Output::Headers => print(header_lines(&signature)),
            Output::Http => print_http(&signature, raw),
            Output::Json => {
                check_text(&signature, &raw.request)?;
                let json = signature.to_json(&raw.request);
                let json: Value = serde_json::from_slice(&json).expect("it was written as JSON");
                print(format!("{json:#}\n"))
            }
        }
    }
}

impl RequestArgs {
    /// Whether there is a request at all.
    pub(crate) fn is_given(&self) -> bool {
        self.url.is_some() || self.http.is_some()
    }

    /// Whether the request comes from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.data.iter().any(|data| data == "@-") || self.http.as_deref() == Some(Path::new("-"))
    }

    /// The request without a body that the command line describes, perhaps without a URL.
    pub(crate) fn pattern(self) -> Request {
        Request {
            method: self.method.unwrap_or_else(|| "GET".to_owned()),
            url: self.url.unwrap_or_default().into_bytes(),
            headers: sent(self.headers),
            body: Body::None,
        }
    }

    /// The request that the command line describes.
    pub(crate) fn parse(self) -> Result<RawRequest, Failure> {
        let raw = self.read()?;
        raw.request.check_url()?;
        Ok(raw)
    }

    fn read(self) -> Result<RawRequest, Failure> {
        if let Some(path) = self.http {
            return raw_http::parse(&body::read_text(&path)?);
        }
        let Some(url) = self.url else {
            return Err(Failure::input(
                "there is no request to sign: give a URL, or --http with a file",
            ));
        };
        let body = joined(self.data)?;
        let method = match (self.method, &body) {
            (Some(method), _) => method,
            (None, Body::None) => "GET".to_owned(),
            (None, _) => "POST".to_owned(),
        };
        let headers = sent(self.headers);
        Ok(RawRequest {
            version: b"HTTP/1.1".to_vec(),
            request: Request { method, url: url.into_bytes(), headers, body },
        })
    }
}

/// The body that is given piece by piece.
fn joined(data: Vec<String>) -> Result<Body, Failure> {
    if data.iter().filter(|data| *data == "@-").count() > 1 {
        return Err(Failure::input("`-d @-` is given twice, and standard input can be read once"));
    }
    let piece = |data: String| match data.strip_prefix('@') {
        Some(path) => Body::from_path(path),
        None => Ok(Body::Bytes(data.into_bytes())),
    };
    let mut pieces = data.into_iter().map(piece).collect::<Result<Vec<_>, _>>()?;
    if pieces.len() < 2 {
        return Ok(pieces.pop().unwrap_or_default());
    }
    let mut bytes = Vec::new();
    for (at, piece) in pieces.iter_mut().enumerate() {
        if at > 0 {
            bytes.push(b'&');
        }
        piece.copy_to(&mut bytes)?;
    }
    Ok(Body::Bytes(bytes))
}

/// A header as curl's `-H` takes it.
#[derive(Clone, Debug)]
struct HeaderArg {
    name: Vec<u8>,
    /// `None` for `Name:`, of which curl sends none.
    value: Option<Vec<u8>>,
}

/// The headers that are sent.
fn sent(headers: Vec<HeaderArg>) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers.into_iter().filter_map(|header| Some((header.name, header.value?))).collect()
}

impl FromStr for HeaderArg {
    type Err = String;

    fn from_str(text: &str) -> Result<HeaderArg, String> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => {
                let value = value.trim_matches(BLANKS);
                (name, (!value.is_empty()).then_some(value))
            }
            None => match text.strip_suffix(';') {
                Some(name) => (name, Some("")),
                None => {
                    return Err("it is not like `Name: value`, or `Name;` for one without a value"
                        .to_owned());
                }
            },
        };
        Ok(HeaderArg { name: name.trim_matches(BLANKS).into(), value: value.map(Into::into) })
    }
}

/// What to say when two options read the same stream.
pub(crate) const STDIN_TWICE: &str = "`--credentials-file -` and the request both want standard input: \
    put one of them into a file";

const BLANKS: [char; 2] = [' ', '\t'];

fn header_lines(signature: &Signature) -> String {
    signature.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// Refuses what JSON could only hold altered, and would then not be what was signed.
fn check_text(signature: &Signature, request: &Request) -> Result<(), Failure> {
    let refuse = |what: fmt::Arguments<'_>| {
        Err(Failure::input(format_args!(
            "{what} holds a byte that is not UTF-8, which JSON cannot: use --output http"
        )))
    };
    for (name, value) in signature.all_headers(request) {
        if [&name, &value].into_iter().any(|text| str::from_utf8(text).is_err()) {
            return refuse(format_args!("the header `{}`", name.escape_ascii()));
        }
    }
    match str::from_utf8(&signature.url(request)) {
        Ok(_) => Ok(()),
        Err(_) => refuse(format_args!("the URL")),
    }
}

/// Lines for `curl --config`: its own escapes within double quotes.
fn curl_config(signature: &Signature) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let lines = signature.headers.iter();
    lines.map(|(name, value)| format!("header = \"{name}: {}\"\n", escape(value))).collect()
}

/// The whole request as it goes over the wire, with the Host and the length that it lacks.
fn print_http(signature: &Signature, raw: RawRequest) -> Result<(), Failure> {
    let RawRequest { mut request, version, .. } = raw;
    let mut headers = signature.all_headers(&request);
    let has = |headers: &[(Vec<u8>, Vec<u8>)], wanted: &str| {
        headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    let len = request.body.len()?;
    if len > 0 && !has(&headers, "content-length") && !has(&headers, "transfer-encoding") {
        headers.push((b"content-length".to_vec(), len.to_string().into()));
    }
    if !has(&headers, "host") {
        headers.insert(0, (b"host".to_vec(), signature.host().into()));
    }
    let target = target_of(&signature.url(&request));
    // Whoever reads the text would see another request behind a line's end.
    if let Some(bad) = target.iter().find(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(Failure::input(format_args!(
            "the URL contains byte 0x{bad:02x}, which no request line can hold: write it %{bad:02X}"
        )));
    }
    let mut head = request.method.clone().into_bytes();
    head.push(b' ');
    head.extend(target);
    head.push(b' ');
    head.extend(version);
    head.extend(b"\r\n");
    for (name, value) in headers {
        head.extend([&name[..], b": ", &value, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    print(head)?;
    request.body.copy_to(&mut io::stdout().lock())
}

/// The target of a request line: what stands behind the authority of a URL.
fn target_of(url: &[u8]) -> Vec<u8> {
    let Ok(head) = Head::parse(b"GET", url, Headers::Pairs(&[])) else { return url.to_vec() };
    let mut target = if head.path.is_empty() { b"/".to_vec() } else { head.path.to_vec() };
    if let Some(query) = head.query {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_curl_reads_them() {
        for (text, name, value) in [
            ("A: b", "A", Some("b")),
            ("A:b: c", "A", Some("b: c")),
            ("A;", "A", Some("")),
            ("A:", "A", None),
            ("A: \t", "A", None),
            ("A: b;", "A", Some("b;")),
        ] {
            let header: HeaderArg = text.parse().expect(text);
            let value = value.map(|value| value.as_bytes().to_vec());
            assert_eq!((header.name, header.value), (name.into(), value), "{text}");
        }
        let kept: HeaderArg = "A: \u{a0}b\r\n".parse().expect("a header");
        let value = kept.value.expect("a value");
        assert_eq!(value, "\u{a0}b\r\n".as_bytes(), "for the signer to sign or to refuse");
        assert!("nothing".parse::<HeaderArg>().is_err());
    }

    #[test]
    fn the_target_is_what_stands_behind_the_authority() {
        for (url, target) in [
            ("https://h", "/"),
            ("https://h?a=b", "/?a=b"),
            ("https://h/a//b?c#d", "/a//b?c"),
            ("/a b", "/a b"),
        ] {
            assert_eq!(target_of(url.as_bytes()), target.as_bytes(), "{url}");
        }
    }
}
