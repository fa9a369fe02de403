//! `countersign explain --against`: what a server says of a request that it refused, beside ours.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read},
    path::Path,
};

use anstyle::{AnsiColor, Style};
use countersign::verify::against::{Answer, Cause, Comparison, Line, Ours, compare};
use roxmltree::Document;
use serde_json::{Map, Value, json};

use crate::{
    explain::printable,
    failure::Failure,
    options::SigningOptions,
    printed::{print, print_styled},
    raw_http::RawRequest,
    sign::RequestArgs,
};

/// Compares, prints, and fails with exit code 1 if there is a cause.
pub(crate) fn run(
    path: &Path,
    request: RequestArgs,
    signing: SigningOptions,
    as_json: bool,
) -> Result<(), Failure> {
    if path == Path::new("-") && (request.reads_stdin() || signing.reads_stdin()) {
        return Err(Failure::input(
            "`--against -` and the request or its credentials both want standard input, which can \
             be read once only: give one of them a file",
        ));
    }
    let refusal = Refusal::read(path)?;
    let report = match request.is_given() {
        true => Report::compare(refusal, request, signing)?,
        false => Report::of_answer(refusal)?,
    };
    match as_json {
        true => print(format!("{:#}\n", report.as_json()))?,
        false => print_styled(&report.render())?,
    }
    let Some(cause) = report.causes.first() else { return Ok(()) };
    let more = match report.causes.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let message =
        format!("the request was refused for a cause named above: {}{more}", cause.name());
    Err(Failure { code: 1, kind: "refused", message })
}

/// An answer, and whether its message is one, or the whole of some text.
struct Refusal {
    answer: Answer,
    has_message: bool,
}

/// All that is printed.
struct Report {
    refusal: Refusal,
    causes: Vec<Cause>,
    comparison: Option<Comparison>,
    /// Headers of the request that we left unsigned because the client did.
    left_unsigned: Vec<String>,
}

impl Report {
    /// What the answer tells by itself.
    fn of_answer(refusal: Refusal) -> Result<Report, Failure> {
        let causes = refusal.answer.causes();
        if causes.is_empty() && refusal.answer.canonical_request().is_some() {
            return Err(Failure::input(
                "there is no request to compare with the server's: give a URL, or --http with a \
                 file",
            ));
        }
        Ok(Report { refusal, causes, comparison: None, left_unsigned: Vec::new() })
    }

    /// Signs the request as the client did, as far as the server tells how, and compares.
    fn compare(
        refusal: Refusal,
        request: RequestArgs,
        mut signing: SigningOptions,
    ) -> Result<Report, Failure> {
        let answer = &refusal.answer;
        let RawRequest { mut request, .. } = request.parse()?;
        signing.time = signing.time.or_else(|| answer.signed_at());
        let mut left_unsigned = Vec::new();
        if let Some(signed) = answer.signed_headers() {
            let names = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
            left_unsigned.extend(names.filter_map(|name| String::from_utf8(name).ok()));
            // Those that a server insists on are signed: if they were not, that is the cause.
            left_unsigned.retain(|name| {
                let is_needed = name == "host" || name.starts_with("x-amz-");
                !is_needed && name != "authorization" && !signed.contains(name)
            });
            left_unsigned.dedup();
            signing.exclude.extend_from_slice(&left_unsigned);
        }
        let resolved = signing.resolve(request.target())?;
        let comparison = match answer.presigned_for() {
            Some(life) => request.presign(&signing, &resolved, life, |presigned| {
                let explanation = presigned.explain();
                let ours = Ours::from(&explanation).with_signature(presigned.signature());
                Ok(compare(&ours, answer))
            }),
            None => request.sign(&signing, &resolved, |signed| {
                let explanation = signed.explain();
                let ours = Ours::from(&explanation).with_signature(signed.signature());
                Ok(compare(&ours, answer))
            }),
        }?;
        let causes = comparison.causes().to_vec();
        Ok(Report { refusal, causes, comparison: Some(comparison), left_unsigned })
    }

    /// The report for people, coloured.
    fn render(&self) -> String {
        let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
        let mut text = String::new();
        let _ = write!(text, "{bold}The server's answer{bold:#}");
        let code = self.refusal.answer.code();
        if !code.is_empty() {
            let _ = write!(text, " {}", printable(code));
        }
        if let Some(said) = self.refusal.said() {
            let _ = write!(text, " {dim}— {}{dim:#}", printable(said));
        }
        text.push('\n');
        if self.causes.is_empty() {
            text.push_str("  nothing in it says that the signature was refused\n");
        }
        for (number, cause) in (1..).zip(&self.causes) {
            let red = AnsiColor::Red.on_default().bold();
            let _ = writeln!(text, "{red}Cause {number}{red:#} {bold}{}{bold:#}", cause.name());
            let _ = writeln!(text, "  {}", printable(&cause.to_string()));
            let _ = writeln!(text, "  {dim}what to do:{dim:#} {}", cause.advice());
        }
        if !self.left_unsigned.is_empty() {
            let names = self.left_unsigned.join(", ");
            let _ = writeln!(
                text,
                "{bold}Left out{bold:#} {dim}— as the client did not sign them:{dim:#} {}",
                printable(&names)
            );
        }
        if let Some(comparison) = &self.comparison {
            let lines = comparison.canonical_request();
            render_lines("Canonical request", lines, &mut text);
            render_lines("String to sign", comparison.string_to_sign(), &mut text);
        }
        text
    }

    fn as_json(&self) -> Value {
        let causes = self.causes.iter().map(|cause| {
            json!({
                "cause": cause.name(),
                "message": cause.to_string(),
                "advice": cause.advice(),
            })
        });
        let lines = |lines: &[Line]| -> Value {
            let lines = lines.iter().map(|line| {
                json!({
                    "part": line.part,
                    "ours": line.ours,
                    "theirs": line.theirs,
                    "differs_at": line.differs_at,
                })
            });
            lines.collect()
        };
        let comparison = self.comparison.as_ref();
        json!({
            "code": self.refusal.answer.code(),
            "message": self.refusal.said(),
            "causes": causes.collect::<Value>(),
            "left_unsigned": self.left_unsigned,
            "canonical_request": comparison.map(|comparison| lines(comparison.canonical_request())),
            "string_to_sign": comparison.map(|comparison| lines(comparison.string_to_sign())),
        })
    }
}

/// Our lines beside the server's: what is equal once, what differs twice, with a mark below the
/// place.
fn render_lines(heading: &str, lines: &[Line], text: &mut String) {
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let (red, green) = (AnsiColor::Red.on_default(), AnsiColor::Green.on_default());
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "{bold}{heading}{bold:#} {dim}— ours `-`, the server's `+`{dim:#}");
    for Line { part, ours, theirs, differs_at, .. } in lines {
        let Some(at) = differs_at else {
            let value = printable(ours.as_deref().unwrap_or_default());
            let _ = writeln!(text, "  {dim}{part:<14}{dim:#}    {value}");
            continue;
        };
        let mut label = *part;
        for (sign, style, side) in [('-', red, ours), ('+', green, theirs)] {
            let Some(side) = side else { continue };
            let value = printable(side);
            let _ = writeln!(text, "  {dim}{label:<14}{dim:#}  {style}{sign} {value}{style:#}");
            label = "";
        }
        if ours.is_some() && theirs.is_some() {
            let _ = writeln!(text, "  {:<14}    {:at$}^", "", "");
        }
    }
}

impl Refusal {
    /// Reads an answer from a file or, for `-`, from standard input.
    fn read(path: &Path) -> Result<Refusal, Failure> {
        let mut bytes = Vec::new();
        let limit = LARGEST as u64 + 1;
        let result = match path == Path::new("-") {
            true => io::stdin().lock().take(limit).read_to_end(&mut bytes),
            false => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
        };
        result.map_err(|error| Failure::unreadable(path, &error))?;
        if bytes.len() > LARGEST {
            return Err(Failure::input(format_args!(
                "`{}` holds more than {LARGEST} bytes, and no error of AWS does",
                path.display()
            )));
        }
        Refusal::parse(&String::from_utf8_lossy(&bytes)).map_err(|problem| {
            Failure::input(format_args!("`{}` {}", path.display(), printable(&problem)))
        })
    }

    /// Takes an answer apart: an XML or JSON document, with or without the head of the response
    /// before it, or text in which a program repeats the message.
    fn parse(text: &str) -> Result<Refusal, String> {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let (head, body) = match text.starts_with("HTTP/") {
            true => split_head(text),
            false => ("", text),
        };
        let body = body.trim();
        let mut found = match body.bytes().next() {
            Some(b'<') => parse_xml(body)?,
            Some(b'{' | b'[') => parse_json(body)?,
            Some(_) => parse_text(body),
            None => Found::default(),
        };
        for line in head.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("x-amzn-errortype") && found.code.is_empty() {
                found.code = value.trim().to_owned();
            }
            if name.eq_ignore_ascii_case("date") {
                found.details.push(("Date".to_owned(), value.trim().to_owned()));
            }
        }
        let Found { code, message, details, has_message } = found;
        let answer =
            details.into_iter().fold(Answer::new(&code, message), |answer, (name, value)| {
                answer.with_detail(name, value)
            });
        let is_empty = answer.code().is_empty()
            && answer.causes().is_empty()
            && answer.canonical_request().is_none()
            && answer.string_to_sign().is_none();
        if is_empty {
            return Err("holds no error of AWS: it should be the body of the response, in XML or \
                        JSON, as the server sent it"
                .to_owned());
        }
        Ok(Refusal { answer, has_message })
    }

    /// What the server said, if it is known where that begins and ends.
    fn said(&self) -> Option<&str> {
        Some(self.answer.summary()).filter(|said| self.has_message && !said.is_empty())
    }
}

/// What a document holds.
#[derive(Default)]
struct Found {
    code: String,
    message: String,
    details: Vec<(String, String)>,
    has_message: bool,
}

impl Found {
    fn take(details: Vec<(String, String)>) -> Found {
        let find = |names: &[&str]| {
            let mut values = names
                .iter()
                .filter_map(|name| details.iter().find(|(other, _)| other == name))
                .map(|(_, value)| value.clone());
            values.next().unwrap_or_default()
        };
        Found {
            code: find(&["__type", "Code", "code", "errorCode"]),
            message: find(&["Message", "message", "errorMessage"]),
            details,
            has_message: true,
        }
    }
}

/// The head of a response, or the last one of several, and its body.
fn split_head(text: &str) -> (&str, &str) {
    let end = text.find("\r\n\r\n").map(|at| (at, at + 4));
    let bare = text.find("\n\n").map(|at| (at, at + 2));
    let Some((head, body)) = end.into_iter().chain(bare).min() else { return (text, "") };
    let (head, body) = (&text[..head], &text[body..]);
    // `100 Continue`, or a proxy's answer to CONNECT.
    if body.starts_with("HTTP/") { split_head(body) } else { (head, body) }
}

/// S3's `<Error>`, the Query protocol's `<ErrorResponse><Error>`, EC2's
/// `<Response><Errors><Error>`.
fn parse_xml(text: &str) -> Result<Found, String> {
    let document =
        Document::parse(text).map_err(|error| format!("begins like XML and is none: {error}"))?;
    let mut elements = document.descendants().filter(roxmltree::Node::is_element);
    let error = elements
        .find(|node| node.tag_name().name() == "Error")
        .unwrap_or_else(|| document.root_element());
    let children = error.children().filter(roxmltree::Node::is_element);
    let details = children.map(|node| {
        // An element may hold its text in pieces.
        let text: String = node
            .descendants()
            .filter(roxmltree::Node::is_text)
            .filter_map(|node| node.text())
            .collect();
        (node.tag_name().name().to_owned(), text)
    });
    Ok(Found::take(details.collect()))
}

/// `{"__type": …, "message": …}`, or the same inside `errors`, `error` or `Error`.
fn parse_json(text: &str) -> Result<Found, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| format!("begins like JSON and is none: {error}"))?;
    let object = innermost(&value).ok_or("holds JSON without an error in it")?;
    let strings =
        object.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    Ok(Found::take(strings.collect()))
}

fn innermost(value: &Value) -> Option<&Map<String, Value>> {
    match value {
        Value::Array(items) => innermost(items.first()?),
        Value::Object(object) => {
            let inner = ["errors", "Errors", "error", "Error"].iter();
            inner.filter_map(|name| object.get(*name)).find_map(innermost).or(Some(object))
        }
        _ => None,
    }
}

/// A message as programs print it, as the AWS CLI's `An error occurred (Code) when calling …`.
fn parse_text(text: &str) -> Found {
    let mut message = text.replace("\r\n", "\n");
    // From a log, in which line ends are escaped.
    if message.contains("should have been\\n'") {
        message = message.replace("\\n", "\n");
    }
    let code = message
        .split_once("An error occurred (")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(code, _)| code.to_owned());
    Found { code: code.unwrap_or_default(), message, details: Vec::new(), has_message: false }
}

/// A larger answer is none of AWS.
const LARGEST: usize = 1 << 20;
