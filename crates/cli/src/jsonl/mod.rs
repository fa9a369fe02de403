//! `sign --jsonl` and `verify --jsonl`: a coprocess for programs in any language.
//!
//! One request as JSON per line in, one answer or error object per line out, in the same order.

pub(crate) mod sign;
pub(crate) mod verify;

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{Payload, Rules};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json, value::RawValue};
use zeroize::Zeroize;

use crate::{body, failure::Failure, options::RuleSwitch, printed::written, request::Request};

/// Answers each line of standard input until it ends.
fn run(mut answer: impl FnMut(&[u8]) -> Answer) -> Result<(), Failure> {
    let mut input = BufReader::with_capacity(BUFFER, io::stdin().lock());
    let mut output = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let mut line = Vec::new();
    loop {
        // Whoever waits for an answer gets it before the next read can block.
        if !input.buffer().contains(&b'\n') {
            written(output.flush())?;
        }
        // A line may hold a secret, and a buffer that grows would leave it behind.
        line.as_mut_slice().zeroize();
        line.clear();
        if line.capacity() > BUFFER {
            line = Vec::new();
        }
        let is_whole = read_line(&mut input, &mut line)
            .map_err(|error| Failure::input(format_args!("cannot read standard input: {error}")))?;
        let answer = match is_whole {
            Line::End => break,
            Line::TooLong => Answer::error(
                None,
                "line_too_long",
                &format!("a line is longer than {} MiB", LONGEST >> 20),
            ),
            Line::Whole => answer(&line),
        };
        written(answer.write(&mut output))?;
    }
    written(output.flush())
}

/// The body of a line, in one of its three spellings.
enum Body {
    Bytes(Vec<u8>),
    File(String),
    None,
}

impl Body {
    fn of(
        text: Option<String>,
        base64: Option<String>,
        file: Option<String>,
    ) -> Result<Body, Failure> {
        match (text, base64, file) {
            (None, None, None) => Ok(Body::None),
            (Some(text), None, None) => Ok(Body::Bytes(text.into_bytes())),
            (None, Some(base64), None) => {
                BASE64_STANDARD.decode(base64).map(Body::Bytes).map_err(|error| {
                    Failure::input(format_args!("`body_base64` is not base64: {error}"))
                })
            }
            (None, None, Some(file)) => Ok(Body::File(file)),
            _ => Err(Failure::input(
                "more than one of `body`, `body_base64` and `body_file` is given",
            )),
        }
    }

    /// All of it, if there is one: a file must be no longer than a line.
    fn bytes(&self) -> Result<Option<Cow<'_, [u8]>>, Failure> {
        let path = match self {
            Body::None => return Ok(None),
            Body::Bytes(bytes) => return Ok(Some(Cow::Borrowed(bytes))),
            Body::File(path) => Path::new(path),
        };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
        match read {
            Err(error) => Err(Failure::unreadable(path, &error)),
            Ok(read) if read as u64 > LONGEST => Err(Failure::input(format_args!(
                "`{}` is longer than {} MiB, too long to come back framed in a line: use `countersign \
                 curl`, or the library",
                path.display(),
                LONGEST >> 20
            ))),
            Ok(_) => Ok(Some(Cow::Owned(bytes))),
        }
    }

    fn hash(&self) -> Result<Payload, Failure> {
        match self {
            Body::None => Ok(Payload::EMPTY),
            Body::Bytes(bytes) => Ok(Payload::hash(bytes)),
            Body::File(path) => {
                let path = Path::new(path);
                let hash = File::open(path).and_then(body::hash);
                hash.map_err(|error| Failure::unreadable(path, &error))
            }
        }
    }

    /// Reads it from its beginning; `None` if there is none.
    fn reader(&self) -> Result<Option<Box<dyn Read + '_>>, Failure> {
        match self {
            Body::None => Ok(None),
            Body::Bytes(bytes) => Ok(Some(Box::new(&bytes[..]))),
            Body::File(path) => match File::open(path) {
                Ok(file) => Ok(Some(Box::new(file))),
                Err(error) => Err(Failure::unreadable(Path::new(path), &error)),
            },
        }
    }
}

/// What is answered to a line.
struct Answer {
    /// As it was written, to the last digit; `None` for a line without one.
    id: Option<Box<RawValue>>,
    fields: Map<String, Value>,
}

impl Answer {
    fn new(id: Option<&RawValue>, fields: Map<String, Value>) -> Answer {
        Answer { id: id.map(RawValue::to_owned), fields }
    }

    fn error(id: Option<&RawValue>, kind: &str, message: &str) -> Answer {
        let error = json!({ "kind": kind, "message": message });
        Answer::new(id, Map::from_iter([("error".to_owned(), error)]))
    }

    /// Why a line is no request. The line itself is not quoted: it may hold a secret.
    fn not_a_request(line: &[u8], error: &serde_json::Error) -> Answer {
        #[derive(Deserialize)]
        struct WithId<'l> {
            #[serde(borrow)]
            id: Option<&'l RawValue>,
        }
        let id = serde_json::from_slice::<WithId<'_>>(line).ok().and_then(|line| line.id);
        match (serde_json::from_slice::<IgnoredAny>(line), line.trim_ascii_start().first()) {
            (Err(_), _) if id.is_none() => Answer::error(
                None,
                "invalid_json",
                &format!("the line is not JSON, see its column {}", error.column()),
            ),
            (_, Some(b'{')) => {
                let problem = without_values(&error.to_string());
                Answer::error(id, "invalid_request", &format!("the line is no request: {problem}"))
            }
            _ => Answer::error(None, "invalid_request", "the line is JSON but no object"),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let id = self.id.as_ref().map_or("null", |id| id.get());
        let fields = serde_json::to_vec(&self.fields)?;
        out.write_all(b"{\"id\":")?;
        out.write_all(id.as_bytes())?;
        out.write_all(b",")?;
        // There is at least one field, behind the opening brace.
        out.write_all(&fields[1..])?;
        out.write_all(b"\n")
    }
}

/// Why serde refused a value, without the value: it quotes one between quotation marks or, behind
/// `invalid type` and `invalid value`, between backticks.
fn without_values(message: &str) -> String {
    let is_value = message.starts_with("invalid");
    match message.split_once(", expected ") {
        Some((before, expected)) if is_value => {
            let kind = before.split(['"', '`']).next().unwrap_or_default().trim_end();
            format!("{kind}, expected {expected}")
        }
        _ => message.to_owned(),
    }
}

/// The head of a line's request.
fn request(method: Option<String>, url: String, headers: Option<Vec<(String, String)>>) -> Request {
    let headers = headers.unwrap_or_default().into_iter();
    Request {
        method: method.unwrap_or_else(|| "GET".to_owned()),
        url: url.into_bytes(),
        headers: headers.map(|(name, value)| (name.into(), value.into())).collect(),
        ..Request::default()
    }
}

/// The rules of a service with what a line says of them.
fn overridden(mut rules: Rules, line: &Map<String, Value>) -> Result<Rules, Failure> {
    for (name, on) in line {
        let switch = on.as_bool().and_then(|on| RuleSwitch::new(name, on)).ok_or_else(|| {
            Failure::input(format_args!(
                "the rule `{name}`: {on} is not known: see `countersign sign --help`"
            ))
        })?;
        rules = switch.apply(rules);
    }
    Ok(rules)
}

enum Line {
    End,
    TooLong,
    Whole,
}

/// Reads one line without its end; of one that is too long, the rest is skipped.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    let read = input.by_ref().take(LONGEST + 1).read_until(b'\n', line)?;
    if read == 0 {
        return Ok(Line::End);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Line::Whole);
    }
    if line.len() as u64 <= LONGEST {
        return Ok(Line::Whole);
    }
    input.skip_until(b'\n')?;
    Ok(Line::TooLong)
}

const BUFFER: usize = 256 * 1024;

/// 64 MiB.
const LONGEST: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_up_to_their_limit() {
        let long = vec![b'x'; LONGEST as usize + 1];
        let mut input = io::Cursor::new([&long[..], b"\nnext\nlast"].concat());
        let mut line = Vec::new();
        assert!(matches!(read_line(&mut input, &mut line), Ok(Line::TooLong)));
        for expected in [&b"next"[..], b"last"] {
            line.clear();
            assert!(matches!(read_line(&mut input, &mut line), Ok(Line::Whole)));
            assert_eq!(line, expected);
        }
        assert!(matches!(read_line(&mut input, &mut line), Ok(Line::End)));
    }
}
