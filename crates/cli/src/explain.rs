//! `countersign explain`: each step on the way to a signature.

use std::{fmt::Write as _, path::PathBuf};

use anstyle::Style;
use clap::{Args, ValueEnum};
use countersign::{Algorithm, Explanation};
use serde_json::json;

use crate::{
    against,
    failure::Failure,
    options::SigningOptions,
    printed::{print, print_styled},
    raw_http::RawRequest,
    sign::{RequestArgs, STDIN_TWICE},
};

/// Show each step on the way to a signature
///
/// Secrets and session tokens are masked, so the output can be shown to others; the signature is left
/// out of it.
///
/// With --against, what a server said of the request that it refused is laid beside ours, and the
/// causes are named. The exit code is then 1 if there is one, and 0 if the answer is not about a
/// signature. Without a request, what the answer tells by itself is named.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign explain 'https://iam.amazonaws.com/?Action=ListUsers'
  countersign explain --http request.http \\
    --service execute-api --region eu-west-1
  countersign explain --output json \\
    https://bucket.s3.eu-central-1.amazonaws.com/a=b
  countersign explain --against error.xml \\
    https://bucket.s3.eu-central-1.amazonaws.com/a=b
  curl -i … | countersign explain --http request.http --against -")]
pub(crate) struct ExplainCommand {
    #[command(flatten)]
    request: RequestArgs,

    /// The error that a server answered with, as it came: XML, JSON, or text that repeats its message;
    /// `-` is standard input. What is signed, when (unless --time is given) and in which form follow it
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// The form of what is printed
    #[arg(long, value_enum, default_value = "text")]
    output: Output,

    #[command(flatten)]
    signing: SigningOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One JSON object
    Json,
    /// Labelled parts, for people
    Text,
}

impl ExplainCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if self.signing.reads_stdin() && self.request.reads_stdin() {
            return Err(Failure::input(STDIN_TWICE));
        }
        if let Some(path) = &self.against {
            let as_json = self.output == Output::Json;
            return against::run(path, self.request, self.signing, as_json);
        }
        let RawRequest { mut request, .. } = self.request.parse()?;
        let signing = self.signing.resolve(request.target())?;
        let explanation = request.sign(&self.signing, &signing, |signed| Ok(signed.explain()))?;
        match self.output {
            Output::Json => print(format!("{:#}\n", as_json(&explanation))),
            Output::Text => print_styled(&render(&explanation)),
        }
    }
}

/// The text with each character escaped that would steer a terminal or turn the direction of writing
/// (UAX #9).
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The steps as text with labels, coloured; whoever prints it takes the colours out where none belong.
pub(crate) fn render(explanation: &Explanation) -> String {
    let mut text = Text::default();
    text.heading("Canonical request", "what is signed, in the one form both sides agree on");
    text.row("method", explanation.method());
    text.row("path", explanation.path());
    text.row("query", explanation.query());
    for header in explanation.headers() {
        text.row("header", header);
    }
    text.row("signed headers", explanation.signed_headers());
    text.row("payload", explanation.payload());
    text.heading("String to sign", "when, where, and the SHA-256 of the canonical request");
    for (label, line) in
        ["algorithm", "time", "scope", "hash"].iter().zip(explanation.string_to_sign().split('\n'))
    {
        text.row(label, line);
    }
    if explanation.algorithm() == Algorithm::EcdsaP256Sha256 {
        text.heading("Signing key", "on P-256, from the secret and the access key id; masked");
        let id = explanation.access_key_id();
        text.row("secret", &format!("\"AWS4A\" + the secret access key of {id}"));
        text.row("key", &format!("1 + HMAC(secret, \"{id}\" and a counter)"));
        text.heading("Signature", "hexadecimal, of DER");
        text.row("signature", "ECDSA(key, string to sign), deterministic by RFC 6979");
        return text.text;
    }
    text.heading("Signing key", "HMAC-SHA256 from one part of the scope to the next; masked");
    text.row(
        "secret",
        &format!("\"AWS4\" + the secret access key of {}", explanation.access_key_id()),
    );
    let mut last = "secret";
    for (name, part) in
        ["date", "region", "service", "key"].into_iter().zip(explanation.scope().split('/'))
    {
        text.row(name, &format!("HMAC({last}, \"{part}\")"));
        last = name;
    }
    text.heading("Signature", "hexadecimal");
    text.row("signature", "HMAC(key, string to sign)");
    text.text
}

fn as_json(explanation: &Explanation) -> serde_json::Value {
    json!({
        "canonical_request": explanation.canonical_request(),
        "method": explanation.method(),
        "path": explanation.path(),
        "query": explanation.query(),
        "headers": explanation.headers().collect::<Vec<_>>(),
        "signed_headers": explanation.signed_headers(),
        "payload": explanation.payload(),
        "string_to_sign": explanation.string_to_sign(),
        "scope": explanation.scope(),
        "access_key_id": explanation.access_key_id(),
    })
}

#[derive(Default)]
struct Text {
    text: String,
}

impl Text {
    fn heading(&mut self, heading: &str, meaning: &str) {
        let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
        let _ = writeln!(self.text, "{bold}{heading}{bold:#} {dim}— {meaning}{dim:#}");
    }

    fn row(&mut self, label: &str, value: &str) {
        let dim = Style::new().dimmed();
        let value = printable(value);
        let _ = writeln!(self.text, "  {dim}{label:<14}{dim:#}  {value}");
    }
}
