//! `sign --jsonl` and `verify --jsonl`: a coprocess for programs in any language.
//!
//! One request as JSON per line in, one answer or error object per line out, in the same order.

pub(crate) mod sign;
pub(crate) mod verify;

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{Payload, Rules};
use memchr::memchr;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json, value::RawValue};
use zeroize::Zeroize;

use crate::{
    body,
    failure::Failure,
    lines::{LONGEST, Line, read_line},
    object::Object,
    options::RuleSwitch,
    printed::written,
};

/// Answers each line of standard input until it ends. An answer is appended to what was said before it.
fn run(mut answer: impl FnMut(&[u8], &mut Vec<u8>)) -> Result<(), Failure> {
    let mut input = BufReader::with_capacity(BUFFER, io::stdin().lock());
    let mut output = io::stdout().lock();
    let (mut line, mut said) = (Vec::new(), Vec::with_capacity(2 * BUFFER));
    loop {
        if let Some(end) = memchr(b'\n', input.buffer()) {
            answer(&input.buffer()[..end], &mut said);
            input.consume(end + 1);
            if said.len() < BUFFER {
                continue;
            }
        }
        let is_pause = !input.buffer().contains(&b'\n');
        // Whoever waits for an answer gets it before the next read can block.
        written(output.write_all(&said).and_then(|()| output.flush()))?;
        said.clear();
        said.shrink_to(2 * BUFFER);
        if !is_pause {
            continue;
        }
        // A line may hold a secret, and a buffer that grows would leave it behind.
        line.as_mut_slice().zeroize();
        line.clear();
        if line.capacity() > BUFFER {
            line = Vec::new();
        }
        let is_whole = read_line(&mut input, &mut line)
            .map_err(|error| Failure::input(format_args!("cannot read standard input: {error}")))?;
        match is_whole {
            Line::End => return Ok(()),
            Line::TooLong => {
                let message = format!("a line is longer than {} MiB", LONGEST >> 20);
                Answer::error(None, "line_too_long", &message).write(&mut said);
            }
            Line::Whole => answer(&line, &mut said),
        }
    }
}

/// The body of a line, in one of its three spellings.
enum Body<'l> {
    Bytes(Cow<'l, [u8]>),
    File(Cow<'l, str>),
    None,
}

impl<'l> Body<'l> {
    fn of(
        text: Option<Cow<'l, str>>,
        base64: Option<Cow<'l, str>>,
        file: Option<Cow<'l, str>>,
    ) -> Result<Body<'l>, Failure> {
        match (text, base64, file) {
            (None, None, None) => Ok(Body::None),
            (Some(Cow::Borrowed(text)), None, None) => Ok(Body::Bytes(text.as_bytes().into())),
            (Some(Cow::Owned(text)), None, None) => Ok(Body::Bytes(text.into_bytes().into())),
            (None, Some(base64), None) => {
                let bytes = BASE64_STANDARD.decode(base64.as_bytes()).map_err(|error| {
                    Failure::input(format_args!("`body_base64` is not base64: {error}"))
                })?;
                Ok(Body::Bytes(bytes.into()))
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
            Body::File(path) => Path::new(&**path),
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
                let path = Path::new(&**path);
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
            Body::File(path) => match File::open(&**path) {
                Ok(file) => Ok(Some(Box::new(file))),
                Err(error) => Err(Failure::unreadable(Path::new(&**path), &error)),
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

    fn write(&self, out: &mut Vec<u8>) {
        let fields = serde_json::to_vec(&self.fields).expect("a map of JSON is JSON");
        // There is at least one.
        let mut object = Object::begin_with_id(self.id.as_deref(), out);
        object.fields_of(&fields);
        object.end();
        out.push(b'\n');
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

/// The rules of a service with what a line says of them.
fn overridden(mut rules: Rules, line: &Map<String, Value>) -> Result<Rules, Failure> {
    for (name, on) in line {
        let on = on.as_bool().ok_or_else(|| {
            Failure::input(format_args!("the rule `{name}` is neither true nor false"))
        })?;
        let switch = RuleSwitch::new(name, on).ok_or_else(|| {
            Failure::input(format_args!("the rule `{name}` is not known: {}", RuleSwitch::NAMES))
        })?;
        rules = switch.apply(rules);
    }
    Ok(rules)
}

const BUFFER: usize = 256 * 1024;
