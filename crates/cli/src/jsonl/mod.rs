//! `sign --jsonl` and `verify --jsonl`: a coprocess for programs in any language.
//!
//! One request as JSON per line in, one answer or error object per line out, in the same order.

pub(crate) mod sign;
pub(crate) mod verify;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{Payload, Rules};
use serde_json::{Map, Value, json};
use zeroize::Zeroize;

use crate::{body, failure::Failure, options::RuleSwitch};

/// Answers each line of standard input until it ends.
fn run(mut answer: impl FnMut(&[u8]) -> Value) -> Result<(), Failure> {
    let mut input = BufReader::with_capacity(BUFFER, io::stdin().lock());
    let mut output = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let mut line = Vec::new();
    loop {
        // Whoever waits for an answer gets it before the next read can block.
        if !input.buffer().contains(&b'\n') {
            written(output.flush());
        }
        // A line may hold a secret, and a buffer that grows would leave it behind.
        line.zeroize();
        if line.capacity() > BUFFER {
            line = Vec::new();
        }
        let is_whole = read_line(&mut input, &mut line)
            .map_err(|error| Failure::input(format_args!("cannot read standard input: {error}")))?;
        let answer = match is_whole {
            Line::End => break,
            Line::TooLong => error_object(
                Value::Null,
                "line_too_long",
                &format!("a line is longer than {} MiB", LONGEST >> 20),
            ),
            Line::Whole => answer(&line),
        };
        written(serde_json::to_writer(&mut output, &answer).map_err(io::Error::from));
        written(output.write_all(b"\n"));
    }
    written(output.flush());
    Ok(())
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
}

/// Why a line is no request. The line itself is not quoted: it may hold a secret.
fn not_a_request(text: &[u8], error: &serde_json::Error) -> Value {
    let place = format!("column {}", error.column());
    match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(mut object)) => {
            let id = object.remove("id").unwrap_or_default();
            let problem = without_values(&error.to_string());
            error_object(id, "invalid_request", &format!("the line is no request: {problem}"))
        }
        Ok(_) => error_object(Value::Null, "invalid_request", "the line is JSON but no object"),
        Err(_) => error_object(
            Value::Null,
            "invalid_json",
            &format!("the line is not JSON, see its {place}"),
        ),
    }
}

/// serde quotes field names between backticks and values between double quotes; the values go.
fn without_values(message: &str) -> String {
    let mut parts = message.splitn(2, '"');
    let before = parts.next().unwrap_or_default();
    match parts.next().and_then(|rest| rest.rsplit_once('"')) {
        Some((_, after)) => format!("{before}\"…\"{after}"),
        None => message.to_owned(),
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

fn error_object(id: Value, kind: &str, message: &str) -> Value {
    json!({ "id": id, "error": { "kind": kind, "message": message } })
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

/// Answers that nobody can read any more end the program without a word.
fn written(result: io::Result<()>) {
    if result.is_err() {
        std::process::exit(0);
    }
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
