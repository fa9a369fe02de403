//! `countersign post-policy`: a form with which a browser uploads to S3.

use std::{
    fmt::Write as _,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use countersign::{
    Signer, Timestamp,
    endpoint::Partition,
    post::{Condition, Policy, PostForm},
};
use serde_json::{Map, Value, json};

use crate::{
    body,
    failure::Failure,
    host::Target,
    options::{Ambient, Given, SigningOptions},
    presign::{Expires, time_text},
    printed::{print, tell},
    sign::STDIN_TWICE,
};

/// Print a form with which a browser uploads to S3
///
/// Whoever has the form can upload, as its conditions allow, until it expires. The fields are to be
/// sent as multipart/form-data, and behind them all the file, as the field `file`.
///
/// Every field that is sent needs a condition. --field gives a field and the condition that it has that
/// very value; --starts-with a condition alone, and if --field names the same field, that is the value
/// it begins with and the form's user may change.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign post-policy --bucket photos --key 'eric/${filename}' \\
    --region eu-central-1
  countersign post-policy --bucket photos --key 'eric/${filename}' \\
    --field acl=private --starts-with Content-Type=image/ \\
    --content-length-range 1..10485760 --expires-in 15m --html
  countersign post-policy --policy policy.json \\
    --endpoint http://localhost:9000")]
pub(crate) struct PostPolicyCommand {
    /// The bucket to upload to
    #[arg(long, value_name = "NAME", required_unless_present = "policy")]
    bucket: Option<String>,

    /// The key of the object; `${filename}` in it stands for the name of the file that is uploaded
    #[arg(long, value_name = "KEY", required_unless_present = "policy")]
    key: Option<String>,

    /// A field that the form holds, as acl=private; may be repeated
    #[arg(long = "field", value_name = "NAME=VALUE")]
    fields: Vec<Pair>,

    /// Allows a field whose value begins so, as Content-Type=image/; may be repeated
    #[arg(long, value_name = "NAME=PREFIX", conflicts_with = "policy")]
    starts_with: Vec<Pair>,

    /// How many bytes the file may have, both ends included
    #[arg(long, value_name = "MIN..MAX", conflicts_with = "policy")]
    content_length_range: Option<Lengths>,

    /// One more condition as JSON, as '["eq", "$acl", "private"]'; may be repeated
    #[arg(long = "condition", value_name = "JSON", conflicts_with = "policy")]
    conditions: Vec<Condition>,

    /// How long the form can be used: seconds, or a number with s, m, h or d; a week at most
    #[arg(long, value_name = "DURATION", default_value = "1h", conflicts_with = "policy")]
    expires_in: Expires,

    /// A policy as JSON to sign in place of one from options, `-` for standard input; conditions on what
    /// signing adds are replaced
    #[arg(long, value_name = "FILE", conflicts_with = "bucket")]
    policy: Option<PathBuf>,

    /// The URL of a server that is not AWS's, or not where the bucket's region says
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Print a form in HTML; without it, JSON with `url` and `fields`
    #[arg(long)]
    html: bool,

    #[command(flatten)]
    signing: PostOptions,
}

/// Who signs, where and when.
#[derive(Args)]
#[command(next_help_heading = "Signing options")]
struct PostOptions {
    /// The region of the bucket [default: what the endpoint's host says, then AWS_REGION,
    /// AWS_DEFAULT_REGION, the profile]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// The signing name of the service
    #[arg(long, value_name = "NAME", default_value = "s3")]
    service: String,

    /// The profile in the shared credentials and config files [default: AWS_PROFILE, `default`]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// The moment of signing, as 20150830T123600Z or in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    time: Option<Timestamp>,

    /// A file with credentials as a credential_process prints them, `-` for standard input
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
}

impl PostPolicyCommand {
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let PostOptions { region, service, profile, time, credentials_file } = &mut self.signing;
        let options = SigningOptions {
            region: region.take(),
            service: Some(std::mem::take(service)),
            profile: profile.take(),
            time: time.take(),
            credentials_file: credentials_file.take(),
            ..SigningOptions::default()
        };
        if options.reads_stdin() && self.policy.as_deref() == Some(Path::new("-")) {
            return Err(Failure::input(STDIN_TWICE));
        }
        let policy = self.policy()?;
        let ambient = Ambient::new(&options);
        let names =
            ambient.scope(Given::default(), || self.endpoint.as_deref().map(Target::parse))?;
        let signer = ambient.signer(names, Vec::new());
        let url = self.url(&policy, &signer);
        let form = signer.post(&url, &policy, &ambient.credentials()?, options.at())?;
        if let Some(at) = form.life().cut_short_at() {
            tell(format_args!(
                "note: the credentials expire at {}, and the form with them, before the {} \
                 that was asked for",
                time_text(at),
                time_text(form.life().expires_at()),
            ));
        }
        if self.html {
            return print(html(&form));
        }
        for (name, prefix) in form.blanks() {
            let beginning = match prefix {
                "" => String::new(),
                prefix => format!(" that begins with `{}`", prefix.escape_debug()),
            };
            tell(format_args!(
                "note: the form needs a field `{}`{beginning}, which whoever uploads fills in",
                name.escape_debug(),
            ));
        }
        let fields = form.fields().map(|(name, value)| (name.to_owned(), value.into()));
        let fields: Map<String, Value> = fields.collect();
        print(format!("{:#}\n", json!({ "url": form.url(), "fields": fields })))
    }

    fn policy(&mut self) -> Result<Policy, Failure> {
        let fields = std::mem::take(&mut self.fields);
        if let Some(path) = &self.policy {
            let policy = Policy::parse(&body::read_text(path)?)?;
            let key = self.key.take().map(|key| Pair { name: "key".to_owned(), value: key });
            let values = fields.into_iter().chain(key);
            return Ok(
                values.fold(policy, |policy, Pair { name, value }| policy.with_value(name, value))
            );
        }
        // clap asks for both where there is no file.
        let bucket = self.bucket.take().unwrap_or_default();
        let key = self.key.take().unwrap_or_default();
        let mut policy = Policy::expires_in(self.expires_in.0, bucket, key);
        for Pair { name, value } in fields {
            let is_open = self.starts_with.iter().any(|open| open.name.eq_ignore_ascii_case(&name));
            policy = match is_open {
                true => policy.with_value(name, value),
                false => policy.with_field(name, value),
            };
        }
        for Pair { name, value } in self.starts_with.drain(..) {
            policy = policy.with_starts_with(name, value);
        }
        if let Some(Lengths(lengths)) = self.content_length_range.take() {
            policy = policy.with_content_length_range(lengths);
        }
        Ok(self.conditions.drain(..).fold(policy, Policy::with_condition))
    }

    /// Where the form is sent: by the bucket's own host, unless its name is none that a certificate
    /// covers, or by its path.
    fn url(&self, policy: &Policy, signer: &Signer) -> String {
        let (bucket, region) = (policy.bucket(), signer.region());
        match &self.endpoint {
            Some(endpoint) => {
                let endpoint = endpoint.trim_end_matches('/');
                let host = self.endpoint_host().unwrap_or_default();
                match host.strip_prefix(bucket) {
                    Some(rest) if rest.starts_with('.') => format!("{endpoint}/"),
                    _ => format!("{endpoint}/{bucket}"),
                }
            }
            None => {
                let host = format!("s3.{region}.{}", Partition::of_region(region).dns_suffix());
                match bucket.contains('.') {
                    true => format!("https://{host}/{bucket}"),
                    false => format!("https://{bucket}.{host}/"),
                }
            }
        }
    }

    fn endpoint_host(&self) -> Option<String> {
        let uri: http::Uri = self.endpoint.as_ref()?.parse().ok()?;
        uri.host().map(str::to_owned)
    }
}

/// The form for a page: what the user fills in, the file, and a button.
fn html(form: &PostForm) -> String {
    let mut out = String::new();
    let url = Escaped(form.url());
    let _ = writeln!(
        out,
        "<form action=\"{url}\" method=\"post\" enctype=\"multipart/form-data\" \
         accept-charset=\"utf-8\">"
    );
    for (name, value) in form.fields() {
        let (name, value) = (Escaped(name), Escaped(value));
        let _ = writeln!(out, "  <input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
    }
    for (name, prefix) in form.blanks() {
        let (name, prefix) = (Escaped(name), Escaped(prefix));
        let _ = writeln!(
            out,
            "  <label>{name} <input type=\"text\" name=\"{name}\" value=\"{prefix}\"></label>"
        );
    }
    out.push_str("  <input type=\"file\" name=\"file\" required>\n");
    out.push_str("  <button>Upload</button>\n</form>\n");
    out
}

/// Text as an attribute or an element holds it.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

/// A field's name, and its value or what that begins with.
#[derive(Clone, Debug)]
struct Pair {
    name: String,
    value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Pair, String> {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = pair.ok_or("it is not like NAME=VALUE")?;
        Ok(Pair { name: name.to_owned(), value: value.to_owned() })
    }
}

/// The lengths of a file, as `MIN..MAX`.
#[derive(Clone, Debug)]
struct Lengths(RangeInclusive<u64>);

impl FromStr for Lengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Lengths, String> {
        let number = |text: &str| text.parse::<u64>().ok();
        text.split_once("..")
            .and_then(|(least, most)| Some((number(least)?, number(most)?)))
            .filter(|(least, most)| least <= most)
            .map(|(least, most)| Lengths(least..=most))
            .ok_or_else(|| "it is not like 1..1048576, two numbers of bytes in order".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_markup_is_escaped() {
        assert_eq!(Escaped("a<b>&\"c'é").to_string(), "a&lt;b&gt;&amp;&quot;c&#39;é");
    }

    #[test]
    fn lengths_are_two_numbers_in_order() {
        for text in ["0..0", "1..1048576", "0..18446744073709551615"] {
            assert!(text.parse::<Lengths>().is_ok(), "{text}");
        }
        for text in
            ["", "1", "..", "1..", "..1", "2..1", "1..=2", "-1..2", "1..18446744073709551616"]
        {
            assert!(text.parse::<Lengths>().is_err(), "{text}");
        }
    }
}
