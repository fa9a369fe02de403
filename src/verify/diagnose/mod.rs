//! Why a signature does not match: found by trying, and so proved.

mod cause;
mod difference;
mod form;
mod request;
mod search;
mod ways;

use std::{fmt, fmt::Write as _};

use percent_encoding::percent_decode;

use self::{
    form::{Form, Texts},
    request::{Parameter, Received},
};
use super::{Error, Verifier};
use crate::{Credentials, Head, canonical::query};

pub use cause::{Cause, Used};
pub use difference::{Difference, Differences, Side, differences};
pub use request::ReceivedBody;

/// Finds out what a client signed whose signature does not match.
///
/// `credentials` are those of the access key id that the request [claims](super::Claim::access_key_id).
/// The ways in which clients and the hops behind them go wrong are tried, alone and in pairs, until one
/// makes the signature that came with the request: then it is proved, as no other text has that
/// signature. The verifier gives its rules and, as guesses, its region and services; whether the request
/// has expired and the like is not looked at.
///
/// At most [`MOST_TRIALS`] signatures are made, each a hash of the request's head: thousands of times
/// what verifying costs. So this is for tools and for people who debug. **Never let a server answer
/// strangers with it**: it spends that work on whoever sends a wrong signature, and what it finds out
/// about a secret (that it was used with a blank behind it, say) is for its owner alone.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use countersign::{
///     Credentials, Head, Payload, Rules, Signer,
///     verify::{Cause, ReceivedBody, Verifier, diagnose},
/// };
///
/// // A client that signs for S3 by the general rules.
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let mut request = http::Request::get("https://bucket.s3.eu-west-1.amazonaws.com/a%20b").body("")?;
/// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
/// Signer::new("eu-west-1", "s3")
///     .with_rules(Rules::GENERAL.with_content_sha256_header(true))
///     .sign(&mut request, Payload::EMPTY, &credentials, at)?;
///
/// let head = Head::from(&request);
/// let diagnosis = diagnose(&Verifier::new(), head, ReceivedBody::Whole(b""), &credentials)?;
/// assert_eq!(diagnosis.causes(), [Cause::PathEncodedTwice]);
/// let path = diagnosis.differences().next().unwrap();
/// assert_eq!(path.client().unwrap().text(), "/a%2520b");
/// assert_eq!(path.server().unwrap().text(), "/a%20b");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A [`Refusal`](super::Refusal) of a request that carries no signature or one that cannot be read.
pub fn diagnose(
    verifier: &Verifier,
    head: Head<'_>,
    body: ReceivedBody<'_>,
    credentials: &Credentials,
) -> Result<Diagnosis, Error> {
    let received = Received::new(verifier, head, body)?;
    let right = received.right(credentials);
    let ways = ways::all(&received, verifier, credentials);
    let found = search::search(&received, &right, &ways);
    let masks = Masks::new(&received, credentials);
    let steps = |form: &Form<'_>| Steps::new(form, &received, &masks);
    let (client, causes) = found.matched.map(|(form, causes)| (steps(&form), causes)).unzip();
    Ok(Diagnosis {
        causes: causes.unwrap_or_default(),
        client,
        server: steps(&right),
        missing: received.missing().map(|line| line.name.clone()).collect(),
        trials: found.trials,
    })
}

/// So many signatures a diagnosis makes at most.
pub const MOST_TRIALS: usize = 5000;

/// What [`diagnose`] found: how the client came to its signature, or that no way that is known leads
/// there.
///
/// It can be shown to whoever owns the key: session tokens are masked wherever they stand, as are S3's
/// customer keys, and it holds no secret, no key and no signature. Bytes that are not UTF-8 are shown as U+FFFD.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    causes: Vec<Cause>,
    /// What the client signed, if it was found.
    client: Option<Steps>,
    server: Steps,
    /// Headers that are named as signed and did not arrive.
    missing: Vec<String>,
    trials: usize,
}

#[derive(Clone, Debug)]
struct Steps {
    canonical_request: String,
    string_to_sign: String,
}

impl Diagnosis {
    /// What went wrong: one or more causes that together make the client's signature. None if the
    /// signature [is right](Diagnosis::is_right), or if nothing that was tried makes it.
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// Whether the signature is the one that the request should have: what was wrong with it, if it was
    /// refused, is something else.
    pub fn is_right(&self) -> bool {
        self.causes.is_empty() && self.client.is_some()
    }

    /// Whether the causes were found.
    pub fn is_explained(&self) -> bool {
        !self.causes.is_empty()
    }

    /// The canonical request that the client signed, if that was found.
    pub fn client_canonical_request(&self) -> Option<&str> {
        self.client.as_ref().map(|steps| steps.canonical_request.as_str())
    }

    /// The string to sign that the client signed, if that was found.
    pub fn client_string_to_sign(&self) -> Option<&str> {
        self.client.as_ref().map(|steps| steps.string_to_sign.as_str())
    }

    /// The canonical request that the client should have signed for what arrived.
    pub fn server_canonical_request(&self) -> &str {
        &self.server.canonical_request
    }

    /// The string to sign that the client should have signed for what arrived.
    pub fn server_string_to_sign(&self) -> &str {
        &self.server.string_to_sign
    }

    /// How many signatures were made.
    pub fn trials(&self) -> usize {
        self.trials
    }

    /// Where the canonical requests differ; where they do not, the strings to sign. Empty if neither
    /// does, as with a secret that was used wrongly, or if nothing was found.
    pub fn differences(&self) -> Differences<'_> {
        let Some(client) = &self.client else { return differences("", "") };
        let all = differences(&client.canonical_request, &self.server.canonical_request);
        if all.len() > 0 { all } else { self.string_differences() }
    }

    /// Where the strings to sign differ, the hash of canonical requests that differ among them.
    pub fn string_differences(&self) -> Differences<'_> {
        let Some(client) = &self.client else { return differences("", "") };
        differences(&client.string_to_sign, &self.server.string_to_sign)
    }
}

impl fmt::Display for Diagnosis {
    /// A sentence or a few for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_right() {
            return f.write_str(
                "The signature is the right one for this request; if the request was refused, then for \
                 something else.",
            );
        }
        if let [first, others @ ..] = &self.causes[..] {
            write!(f, "{first}")?;
            return others.iter().try_for_each(|cause| write!(f, "\n{cause}"));
        }
        if self.trials == 0 {
            return f.write_str(
                "The signature is not hexadecimal digits as its algorithm writes them, so no key makes it.",
            );
        }
        write!(
            f,
            "None of {} ways in which clients go wrong makes this signature. Most likely the client used \
             another secret than the one known here for this access key id; or something on the way \
             changed what was signed, beyond guessing.",
            self.trials
        )?;
        self.missing.iter().try_for_each(|name| {
            write!(f, " The header `{name}` is named as signed and did not arrive.")
        })
    }
}

impl Steps {
    fn new<'w>(form: &Form<'w>, received: &Received<'_>, masks: &Masks) -> Steps {
        let mut texts = Texts::default();
        texts.write(form, received);
        Steps {
            canonical_request: masks.apply(&texts.request),
            string_to_sign: String::from_utf8_lossy(&texts.string).into_owned(),
        }
    }
}

/// Hides session tokens in a canonical request, however wrongly they stand there, and customer keys.
struct Masks(Vec<Vec<u8>>);

impl Masks {
    fn new(received: &Received<'_>, credentials: &Credentials) -> Masks {
        let mut tokens: Vec<Vec<u8>> = Vec::new();
        tokens.extend(credentials.session_token().map(Into::into));
        tokens.extend(HEADERS.iter().filter_map(|name| received.header(name)).map(<[u8]>::to_vec));
        for piece in received.query.split(|&byte| byte == b'&') {
            let Parameter { name, value } = Parameter::new(piece);
            if is_token(name) {
                let value = value.unwrap_or_default();
                tokens.push(value.to_vec());
                tokens.push(percent_decode(value).collect());
            }
        }
        let mut all = tokens.clone();
        for token in &tokens {
            all.push(token.trim_ascii().to_vec());
            all.push(token.to_ascii_lowercase());
            let mut encoded = Vec::new();
            query::write_parameter("", &[&String::from_utf8_lossy(token)], &mut encoded);
            all.push(encoded.split_off(1));
        }
        // Shorter ones may be a word of anything; by name they are masked all the same.
        all.retain(|token| token.len() >= 8);
        all.sort_by_key(|token| std::cmp::Reverse(token.len()));
        all.dedup();
        Masks(all)
    }

    fn apply(&self, text: &[u8]) -> String {
        let mut out = String::with_capacity(text.len());
        for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
            if number > 0 {
                out.push('\n');
            }
            let name = line.iter().position(|&byte| byte == b':').map(|at| &line[..at]);
            match name {
                Some(name) if HEADERS.iter().any(|other| is(name, other)) => {
                    out.push_str(&String::from_utf8_lossy(name));
                    out.push(':');
                    hide(line.len() - name.len() - 1, &mut out);
                }
                // S3's own: the key that the object is encrypted with.
                Some(name) if name.to_ascii_lowercase().ends_with(b"-customer-key") => {
                    out.push_str(&String::from_utf8_lossy(name));
                    out.push_str(":<customer key>");
                }
                // The query, on its own line or behind the path.
                _ if number < 3 => self.apply_to_query(line, &mut out),
                _ => self.apply_to_text(line, &mut out),
            }
        }
        out
    }

    fn apply_to_query(&self, line: &[u8], out: &mut String) {
        let ends = |byte: &u8| matches!(byte, b'&' | b'?');
        for piece in line.split_inclusive(ends) {
            let (piece, end) = match piece.split_last() {
                Some((last, rest)) if ends(last) => (rest, Some(char::from(*last))),
                _ => (piece, None),
            };
            let Parameter { name, value } = Parameter::new(piece);
            match value.filter(|_| is_token(name)) {
                Some(value) => {
                    out.push_str(&String::from_utf8_lossy(name));
                    out.push('=');
                    hide(percent_decode(value).count(), out);
                }
                None => self.apply_to_text(piece, out),
            }
            out.extend(end);
        }
    }

    fn apply_to_text(&self, text: &[u8], out: &mut String) {
        let (mut start, mut at) = (0, 0);
        while at < text.len() {
            match self.0.iter().find(|token| text[at..].starts_with(token)) {
                Some(token) => {
                    out.push_str(&String::from_utf8_lossy(&text[start..at]));
                    hide(token.len(), out);
                    at += token.len();
                    start = at;
                }
                None => at += 1,
            }
        }
        out.push_str(&String::from_utf8_lossy(&text[start..]));
    }
}

fn is(name: &[u8], other: &str) -> bool {
    name.eq_ignore_ascii_case(other.as_bytes())
}

/// Whether the name, encoded once or twice, is that of a token.
fn is_token(name: &[u8]) -> bool {
    let name: Vec<u8> = percent_decode(name).collect();
    let name: Vec<u8> = percent_decode(&name).collect();
    is(&name, query::SECURITY_TOKEN) || is(&name, query::S3_SESSION_TOKEN)
}

fn hide(len: usize, out: &mut String) {
    write!(out, "<session token of {len} bytes>").expect("a String takes all");
}

const HEADERS: [&str; 2] = ["x-amz-security-token", "x-amz-s3session-token"];
