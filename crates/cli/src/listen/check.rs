//! The verdict on a request.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use countersign::{
    Payload, Scratch,
    verify::{self, BodyCheck, Diagnosis, Error, Verified, Verifier},
};

use super::{
    answer::{Answer, Answerer},
    body::{Body, Reading},
    received::Received,
    record::{Cause, Difference, Record, Refused, Verdict},
    said::Said,
};
use crate::{
    keys::{KeyOfClaim, Keys},
    verify::{RefusedPart, payload_name},
};

/// Who is known, and what is accepted.
pub(super) struct Endpoint {
    verifier: Verifier,
    keys: Keys,
    /// The only service served here, if there is one: whose form of errors a request without a
    /// signature is answered in.
    service: Option<String>,
    requests: AtomicU64,
}

/// A request that cannot be verified because it is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// What to tell of a request, and what to answer it.
pub(super) struct Judgement {
    pub(super) record: Record,
    pub(super) answer: Answer,
    /// The signature differs, and nothing says why.
    pub(super) is_puzzling: bool,
}

impl Endpoint {
    pub(super) fn new(verifier: Verifier, keys: Keys, service: Option<String>) -> Endpoint {
        Endpoint { verifier, keys, service, requests: AtomicU64::new(0) }
    }

    /// The access key ids that are known.
    pub(super) fn access_key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.ids()
    }

    /// Begins to read the body of a request. One in chunks is verified while it comes, if the head is signed
    /// as it says; all else is found out when the body is there.
    pub(super) fn begin(&self, request: &Received, now: SystemTime) -> Reading {
        let marker = request.value("x-amz-content-sha256").unwrap_or_default();
        let in_query = request.parameter("X-Amz-Content-Sha256").unwrap_or_default();
        if !marker.starts_with(STREAMING) && !in_query.trim().as_bytes().starts_with(STREAMING) {
            return Reading::default();
        }
        match self.verify(request, None, now) {
            Ok((_, check)) if check.is_in_chunks() => Reading::in_chunks(check),
            _ => Reading::default(),
        }
    }

    fn verify(
        &self,
        request: &Received,
        body: Option<Payload>,
        now: SystemTime,
    ) -> Result<(Verified<'static>, BodyCheck), Refusal> {
        request.with_head(|head| {
            let head = head.map_err(|error| Refusal::Head(error.to_string()))?;
            let claim = self.verifier.claim(head, now)?;
            let key = self.keys.of_claim(&claim);
            let known = key.as_ref().map(KeyOfClaim::as_known);
            let (verified, check) = claim.verify(known, body, &mut Scratch::new())?;
            Ok((verified.into_owned(), check))
        })
    }

    /// Verifies a request that was read to its end.
    pub(super) fn judge(&self, request: &Received, body: &mut Body, now: SystemTime) -> Judgement {
        let answerer = self.answerer(request);
        let mut part = None;
        let outcome = self.verify(request, Some(body.payload()), now).and_then(|checked| {
            let (verified, check) = checked;
            let refused = match body.take_checked() {
                // Its chunks were verified while they came.
                Some(refused) if check.is_in_chunks() => refused,
                // Chunks that nobody read end too early.
                _ => check.finish().err(),
            };
            match refused {
                None => Ok(verified),
                Some(error) => {
                    part = RefusedPart::of(&error, verified.payload());
                    Err(Refusal::Verifier(error))
                }
            }
        });
        match outcome {
            Ok(verified) => {
                let verdict = Verdict::Accepted { payload: payload_name(verified.payload()) };
                let record = Record { said: Some(said(&verified)), ..record(request, verdict) };
                Judgement { record, answer: answerer.accepted(request, body), is_puzzling: false }
            }
            Err(Refusal::Head(message)) => {
                self.malformed(request, &Malformed { status: 400, code: "InvalidURI", message })
            }
            Err(Refusal::Verifier(error)) => {
                let body_differs = error.refusal() == verify::Refusal::BodyDiffers;
                let cause = match part {
                    Some(_) => Some(other_chunks()),
                    None => body_differs.then(another_body),
                };
                let refused = Refused {
                    part,
                    code: answerer.wire.code(&error).to_owned(),
                    status: error.status(answerer.wire.dialect()),
                    message: error.message().to_owned(),
                    causes: cause.into_iter().collect(),
                    difference: body_differs.then(|| payload_difference(request, body)),
                };
                let record = record(request, Verdict::Refused(Box::new(refused)));
                Judgement {
                    record,
                    answer: answerer.refused(&error),
                    is_puzzling: error.refusal() == verify::Refusal::SignatureDiffers,
                }
            }
        }
    }

    /// Finds out what the client signed: that takes thousands of times as long as to verify. `None` if
    /// the key is not known, or if the request cannot be read.
    pub(super) fn diagnose(&self, request: &Received, body: &Body) -> Option<Diagnosis> {
        let credentials = self.keys.find(&Said::of(request)?.access_key_id)?;
        request.with_head(|head| {
            verify::diagnose(&self.verifier, head.ok()?, body.received(), credentials).ok()
        })
    }

    /// Answers what is no request.
    pub(super) fn malformed(&self, request: &Received, why: &Malformed) -> Judgement {
        let Malformed { status, code, message } = why;
        let refused = Refused {
            code: (*code).to_owned(),
            status: *status,
            message: message.clone(),
            ..Refused::default()
        };
        let answer = self.answerer(request).failed(*status, code, message);
        let record = record(request, Verdict::Refused(Box::new(refused)));
        Judgement { record, answer, is_puzzling: false }
    }

    fn answerer(&self, request: &Received) -> Answerer {
        let said = Said::of(request);
        let claimed = said.as_ref().and_then(Said::service);
        let service = claimed.or(self.service.as_deref()).unwrap_or_default();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        Answerer::new(request, service, format!("{number:016X}"))
    }
}

/// Why there is no proof.
enum Refusal {
    /// The target is no path and no URL.
    Head(String),
    Verifier(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Verifier(error)
    }
}

fn record(request: &Received, verdict: Verdict) -> Record {
    Record {
        method: request.shown_method(),
        target: request.shown_target(),
        said: Said::of(request),
        verdict,
        ours: None,
        theirs: None,
    }
}

fn said(verified: &Verified<'_>) -> Said {
    Said {
        access_key_id: verified.access_key_id().to_owned(),
        scope: verified.scope().to_string(),
        signed_headers: verified.signed_headers().collect::<Vec<_>>().join(";"),
        place: verified.place(),
    }
}

fn another_body() -> Cause {
    Cause {
        code: "body_differs",
        sentence:
            "The signature holds, but the body that arrived is not the one that was signed: it \
                   was changed on the way, or another one was hashed."
                .to_owned(),
    }
}

fn other_chunks() -> Cause {
    Cause {
        code: "chunks_differ",
        sentence:
            "The signature of the request holds, but the body is not framed, or its chunks or its trailer \
                   are not signed, as its head says: the message names the first that is not."
                .to_owned(),
    }
}

fn payload_difference(request: &Received, body: &Body) -> Difference {
    let header = request.value("x-amz-content-sha256").map(String::from_utf8_lossy);
    let theirs = header.map(Cow::into_owned);
    Difference {
        part: "payload".to_owned(),
        ours: Some(body.payload().line().as_str().to_owned()),
        theirs: theirs.or_else(|| request.parameter("X-Amz-Content-Sha256")),
    }
}

/// What the payload lines of all bodies that are verified while they come begin with.
const STREAMING: &[u8] = b"STREAMING-";
