//! `countersign verify`: whether a request is signed as it says.

use std::{
    borrow::Cow,
    io::Read,
    mem,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use countersign::{
    Credentials, Head, Payload, Rules, Scratch, Timestamp, checksums,
    verify::{
        Diagnosis, Dialect, Error, ReceivedBody, Verified, Verifier, claimed_service, diagnose,
    },
};
use serde_json::{Map, Value};

use crate::{
    body::{Body, for_each_piece},
    explain::printable,
    failure::Failure,
    host::Target,
    jsonl,
    keys::{Derived, KeyOfClaim, Keys},
    options::{Ambient, RuleSwitch, SigningOptions},
    printed::{print, print_styled},
    raw_http::RawRequest,
    sign::{RequestArgs, STDIN_TWICE},
};

/// Check a signed request or presigned URL against the known keys
///
/// The keys are those of the credentials in use, or of --credentials-file; with --jsonl those in the
/// line, and of --profile or --credentials-file. The exit code is 0 if the signature holds, 1 if it
/// does not.
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign verify 'https://bucket.s3.amazonaws.com/cat.jpg?X-Amz-…'
  countersign verify --http captured-request.txt --time 20150830T123600Z
  countersign verify --jsonl <requests.jsonl >verdicts.jsonl")]
pub(crate) struct VerifyCommand {
    #[command(flatten)]
    request: RequestArgs,

    /// The form of what is printed
    #[arg(long, value_enum, default_value = "text")]
    output: Output,

    /// Read one request as JSON per line from standard input, print one verdict per line
    #[arg(long, conflicts_with_all = ["url", "method", "headers", "data", "http", "output"])]
    jsonl: bool,

    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One JSON object
    Json,
    /// For people
    Text,
}

/// What a signature must be made for, and by which keys.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Verifying options")]
pub(crate) struct Wanted {
    /// The region that the scope must name [default: any]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// The signing name that the scope must hold [default: any]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,

    /// The profile whose key is known [default: AWS_PROFILE, `default`]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// A file with the known credentials as a credential_process prints them, `-` for standard input
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,

    /// The moment of verifying, as 20150830T123600Z or in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    time: Option<Timestamp>,

    /// Overrides a rule of the service, as in `double_encode=false`; may be repeated
    #[arg(long = "rule", value_name = "RULE=BOOL")]
    rules: Vec<RuleSwitch>,
}

impl VerifyCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let keys_from_stdin = self.wanted.credentials_file.as_deref() == Some(Path::new("-"));
        if keys_from_stdin && (self.jsonl || self.request.reads_stdin()) {
            return Err(Failure::input(STDIN_TWICE));
        }
        if self.jsonl {
            return jsonl::verify::run(&self.wanted);
        }
        if !self.request.is_given() {
            return Err(Failure::input(
                "there is no request to verify: give a URL, or --http with a file",
            ));
        }
        let RawRequest { mut request, .. } = self.request.parse()?;
        let credentials = self.wanted.credentials()?;
        let keys = Keys::new([credentials.clone()], Derived::default());
        let hash = request.body.hash()?;
        let mut scratch = Scratch::new();
        let rules = |base| Ok(self.wanted.apply_rules(base));
        // What is checked twice, for its hash and for its chunks, is read twice.
        let mut body = mem::take(&mut request.body);
        let reread = &mut body;
        let given = Given::new(hash, || reread.reader());
        let outcome = request.with_head(|head| {
            check(head, given, &self.wanted, rules, &keys, self.wanted.at(), &mut scratch)
        })?;
        request.body = body;
        let diagnosis = match &outcome {
            Outcome::Refused(refused)
                if refused.code == "SignatureDoesNotMatch" && refused.part.is_none() =>
            {
                let body = match (&request.body, hash) {
                    (Body::Bytes(bytes), _) => ReceivedBody::Whole(bytes),
                    (_, Payload::Sha256(hash)) => ReceivedBody::Hash(hash),
                    _ => ReceivedBody::Whole(b""),
                };
                request.with_head(|head| {
                    let verifier = self.wanted.verifier(head, rules)?;
                    // What cannot be read was refused for that, and said so.
                    Ok(diagnose(&verifier, head, body, &credentials).ok())
                })?
            }
            _ => None,
        };
        match self.output {
            Output::Json => {
                let mut object = outcome.as_json();
                let causes = diagnosis.as_ref().map(Diagnosis::causes);
                object.extend(causes.map(|causes| {
                    let codes = causes.iter().map(|cause| Value::from(cause.code()));
                    ("causes".to_owned(), Value::from_iter(codes))
                }));
                print(format!("{:#}\n", Value::Object(object)))?;
            }
            Output::Text => print_styled(&outcome.shown(diagnosis.as_ref()))?,
        }
        match outcome {
            Outcome::Accepted(_) => Ok(()),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }
}

impl Wanted {
    /// The moment of verifying.
    pub(crate) fn at(&self) -> SystemTime {
        self.time.map_or_else(SystemTime::now, SystemTime::from)
    }

    /// The same for another region or service, where one is given.
    pub(crate) fn made_for(self, region: Option<String>, service: Option<String>) -> Wanted {
        Wanted { region: region.or(self.region), service: service.or(self.service), ..self }
    }

    /// The rules of a service with the options' own.
    pub(crate) fn apply_rules(&self, rules: Rules) -> Rules {
        self.rules.iter().fold(rules, |rules, switch| switch.apply(rules))
    }

    /// A verifier of requests like this one.
    fn verifier(
        &self,
        head: Head<'_>,
        rules: impl FnOnce(Rules) -> Result<Rules, Failure>,
    ) -> Result<Verifier, Failure> {
        let rules = rules(Rules::for_service(&service_of(head, self)))?;
        let mut verifier =
            Verifier::new().with_sigv4a().with_rules(rules).with_checksums(checksums::by_name);
        if let Some(region) = &self.region {
            verifier = verifier.with_region(region);
        }
        if let Some(service) = &self.service {
            verifier = verifier.with_services([service]);
        }
        Ok(verifier)
    }

    /// The keys that are known because an option names them.
    pub(crate) fn keys(&self) -> Result<Option<Credentials>, Failure> {
        let is_named = self.credentials_file.is_some() || self.profile.is_some();
        is_named.then(|| self.credentials()).transpose()
    }

    fn credentials(&self) -> Result<Credentials, Failure> {
        let options = SigningOptions {
            profile: self.profile.clone(),
            credentials_file: self.credentials_file.clone(),
            ..SigningOptions::default()
        };
        Ambient::new(&options).credentials()
    }
}

/// What was found of a request.
pub(crate) enum Outcome {
    Accepted(Accepted),
    Refused(Refused),
}

/// Who signed, and what.
pub(crate) struct Accepted {
    pub(crate) access_key_id: String,
    pub(crate) scope: String,
    /// Of a SigV4A signature.
    pub(crate) region_set: Option<String>,
    pub(crate) signed_headers: String,
    pub(crate) payload: &'static str,
    /// The body comes in chunks, and none was given that could be checked.
    pub(crate) lacks_body: bool,
    pub(crate) expires_at: Option<String>,
}

/// Why not, as AWS would answer.
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) part: Option<RefusedPart>,
}

/// Which part of a body in chunks was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusedPart {
    pub(crate) payload: &'static str,
    /// Counted from 1; `None` for the trailer, and for what is behind the end.
    pub(crate) chunk: Option<u64>,
    /// Where in the body it begins.
    pub(crate) offset: u64,
}

impl RefusedPart {
    pub(crate) fn of(error: &Error, payload: Payload) -> Option<RefusedPart> {
        let offset = error.body_offset()?;
        Some(RefusedPart { payload: payload_name(payload), chunk: error.chunk(), offset })
    }

    /// The fields that say so in JSON.
    pub(crate) fn as_json(&self) -> [(&'static str, Value); 3] {
        [
            ("payload", self.payload.into()),
            ("chunk", self.chunk.into()),
            ("body_offset", self.offset.into()),
        ]
    }
}

/// A body that was read and hashed, and can be read once more.
pub(crate) struct Given<F> {
    hash: Payload,
    open: F,
}

impl<'b, F: FnOnce() -> Result<Option<Box<dyn Read + 'b>>, Failure>> Given<F> {
    /// `open` says `None` if only the head is there.
    pub(crate) fn new(hash: Payload, open: F) -> Given<F> {
        Given { hash, open }
    }
}

/// The service that the request claims to be for, else the one that is wanted, else the one whose host it is.
fn service_of<'h>(head: Head<'h>, wanted: &'h Wanted) -> Cow<'h, str> {
    let of_host = || Target::of_head(head)?.endpoint().ok().map(|found| found.signing_name());
    let wanted = || wanted.service.as_deref().or_else(of_host).unwrap_or_default().into();
    claimed_service(head).unwrap_or_else(wanted)
}

/// Checks a request: its head, then its body by the hash or, if it comes in chunks, by each of these.
pub(crate) fn check<'b>(
    head: Head<'_>,
    body: Given<impl FnOnce() -> Result<Option<Box<dyn Read + 'b>>, Failure>>,
    wanted: &Wanted,
    rules: impl FnOnce(Rules) -> Result<Rules, Failure>,
    keys: &Keys,
    at: SystemTime,
    scratch: &mut Scratch,
) -> Result<Outcome, Failure> {
    let dialect = Dialect::of_service(&service_of(head, wanted));
    let verifier = wanted.verifier(head, rules)?;
    let refused = |error, payload| Outcome::Refused(Refused::new(&error, payload, dialect));
    let verified = verifier.claim(head, at).and_then(|claim| {
        let key = keys.of_claim(&claim);
        let known = key.as_ref().map(KeyOfClaim::as_known);
        let (verified, check) = claim.verify(known, Some(body.hash), scratch)?;
        Ok((Accepted::from(&verified), verified.payload(), check))
    });
    let (mut accepted, payload, mut check) = match verified {
        Ok(verified) => verified,
        Err(error) => return Ok(refused(error, None)),
    };
    let read = if check.is_in_chunks() { (body.open)()? } else { None };
    accepted.lacks_body = check.is_in_chunks() && read.is_none();
    if accepted.lacks_body {
        return Ok(Outcome::Accepted(accepted));
    }
    let mut pushed = Ok(());
    if let Some(read) = read {
        for_each_piece(read, |piece| {
            pushed = check.push(piece);
            pushed.is_ok()
        })
        .map_err(|error| Failure::input(format_args!("cannot read the body: {error}")))?;
    }
    Ok(match pushed.and_then(|()| check.finish()) {
        Ok(_) => Outcome::Accepted(accepted),
        Err(error) => refused(error, Some(payload)),
    })
}

impl From<&Verified<'_>> for Accepted {
    fn from(verified: &Verified<'_>) -> Accepted {
        let expires_at = verified.expires_at().and_then(|at| Timestamp::try_from(at).ok());
        Accepted {
            access_key_id: verified.access_key_id().to_owned(),
            scope: verified.scope().to_string(),
            region_set: verified.region_set().map(str::to_owned),
            signed_headers: verified.signed_headers().collect::<Vec<_>>().join(";"),
            payload: payload_name(verified.payload()),
            lacks_body: false,
            expires_at: expires_at.map(|at| at.to_string()),
        }
    }
}

impl Refused {
    fn new(error: &Error, payload: Option<Payload>, dialect: Dialect) -> Refused {
        Refused {
            part: payload.and_then(|payload| RefusedPart::of(error, payload)),
            code: error.code(dialect),
            status: error.status(dialect),
            message: error.message().to_owned(),
        }
    }
}

impl From<Refused> for Failure {
    /// The answer is no.
    fn from(refused: Refused) -> Failure {
        Failure {
            code: 1,
            kind: "refused",
            message: format!("{}: {}", refused.code, refused.message),
        }
    }
}

impl Outcome {
    /// What was found, as JSON Lines say it.
    pub(crate) fn as_json(&self) -> Map<String, Value> {
        let fields = match self {
            Outcome::Accepted(accepted) => [
                ("ok", Value::from(true)),
                ("access_key_id", Value::from(&*accepted.access_key_id)),
                ("scope", Value::from(&*accepted.scope)),
                ("signed_headers", Value::from(&*accepted.signed_headers)),
                ("payload", Value::from(accepted.payload)),
                ("expires_at", Value::from(accepted.expires_at.as_deref())),
            ]
            .into_iter()
            .chain(accepted.region_set.as_deref().into_iter().flat_map(|set| {
                [("algorithm", Value::from("sigv4a")), ("region_set", Value::from(set))]
            }))
            .chain(accepted.lacks_body.then_some(("body_verified", Value::from(false))))
            .collect::<Vec<_>>(),
            Outcome::Refused(refused) => [
                ("ok", Value::from(false)),
                ("code", Value::from(refused.code)),
                ("status", Value::from(refused.status)),
                ("message", Value::from(&*refused.message)),
            ]
            .into_iter()
            .chain(refused.part.iter().flat_map(RefusedPart::as_json))
            .collect(),
        };
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// As people read it; of a refusal the cause, if one was found.
    fn shown(&self, diagnosis: Option<&Diagnosis>) -> String {
        let Outcome::Accepted(accepted) = self else {
            let diagnosis = diagnosis.filter(|diagnosis| !diagnosis.is_right());
            return diagnosis.map(shown_diagnosis).unwrap_or_default();
        };
        let good = Style::new().bold().fg_color(Some(AnsiColor::Green.into()));
        let mut text = format!("{good}accepted{good:#}\n");
        let payload = match accepted.lacks_body {
            true => format!("{}; no body was given, so none was verified", accepted.payload),
            false => accepted.payload.to_owned(),
        };
        let regions = accepted.region_set.as_deref().map(printable);
        for (label, value) in [
            ("signed by", Some(&*accepted.access_key_id)),
            ("scope", Some(&accepted.scope)),
            ("signed headers", Some(&accepted.signed_headers)),
            ("payload", Some(&payload)),
            ("regions", regions.as_deref()),
            ("expires at", accepted.expires_at.as_deref()),
        ] {
            if let Some(value) = value {
                text += &format!("  {label:<14}  {value}\n");
            }
        }
        text
    }
}

/// The cause in a sentence, and the lines in which the two sides differ.
fn shown_diagnosis(diagnosis: &Diagnosis) -> String {
    // A cause to a line.
    let causes = diagnosis.to_string();
    let mut text: String = causes.lines().map(|line| format!("{}\n", printable(line))).collect();
    for difference in diagnosis.differences() {
        let sides = [("  client signed", difference.client()), ("  received", difference.server())];
        for (label, side) in sides {
            let [before, differing, behind] = side.map(|side| side.parts()).unwrap_or_default();
            let mark = Style::new().bold().underline();
            let (before, differing, behind) =
                (printable(before), printable(differing), printable(behind));
            text += &format!("{label:<16}  {before}{mark}{differing}{mark:#}{behind}\n");
        }
    }
    text
}

/// What the signature says of the body, as JSON Lines call it.
pub(crate) fn payload_name(payload: Payload) -> &'static str {
    match payload {
        Payload::Events => "events",
        Payload::Sha256(_) => "hash",
        Payload::Streaming | Payload::StreamingEcdsa => "streaming",
        Payload::StreamingTrailer | Payload::StreamingEcdsaTrailer => "streaming-trailer",
        Payload::StreamingUnsignedTrailer => "unsigned-trailer",
        Payload::Unsigned => "unsigned",
        _ => "other",
    }
}
