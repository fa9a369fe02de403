//! `countersign explain`: each step on the way to a signature.

use std::fmt::Write as _;

use anstyle::Style;
use clap::{Args, ValueEnum};
use countersign::Explanation;
use serde_json::json;

use crate::{
    body::print, failure::Failure, options::SigningOptions, raw_http::RawRequest, sign::RequestArgs,
};

/// Show each step on the way to a signature
///
/// Secrets and session tokens are masked, so the output can be shown to others; the signature is left
/// out of it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign explain https://iam.amazonaws.com/?Action=ListUsers
  countersign explain --http request.http --service execute-api --region eu-west-1
  countersign explain https://bucket.s3.eu-central-1.amazonaws.com/a=b --output json")]
pub(crate) struct ExplainCommand {
    #[command(flatten)]
    request: RequestArgs,

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
        let RawRequest { mut request, .. } = self.request.parse()?;
        let signing = self.signing.resolve(request.host().as_deref())?;
        let explanation = request.sign(&self.signing, &signing, |signed| Ok(signed.explain()))?;
        match self.output {
            Output::Json => print(format!("{:#}\n", as_json(&explanation))),
            Output::Text => {
                let text = render(&explanation);
                let choice = anstream::AutoStream::choice(&std::io::stdout());
                print(match choice {
                    anstream::ColorChoice::Never => anstream::adapter::strip_str(&text).to_string(),
                    _ => text,
                })
            }
        }
    }
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
        // A value may hold bytes that would steer a terminal.
        let value: String =
            value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let _ = writeln!(self.text, "  {dim}{label:<14}{dim:#}  {value}");
    }
}
