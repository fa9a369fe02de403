//! The verdict on a request.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use countersign::{
    Scratch,
    verify::{Error, Known, Verified, Verifier},
};

use super::{
    answer::{Answer, Answerer},
    body::Body,
    keys::Keys,
    received::Received,
    record::{Record, Refused, Steps, Verdict},
    said::Said,
};
use crate::verify::payload_name;

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

impl Endpoint {
    pub(super) fn new(verifier: Verifier, keys: Keys, service: Option<String>) -> Endpoint {
        Endpoint { verifier, keys, service, requests: AtomicU64::new(0) }
    }

    /// The access key ids that are known.
    pub(super) fn access_key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.ids()
    }

    /// Verifies a request that was read to its end.
    pub(super) fn judge(
        &self,
        request: &Received,
        body: &Body,
        now: SystemTime,
    ) -> (Record, Answer) {
        let answerer = self.answerer(request);
        let mut scratch = Scratch::new();
        let outcome = request.with_head(|head| {
            let head = head.map_err(|error| Refusal::Head(error.to_string()))?;
            let claim = self.verifier.claim(head, now)?;
            let credentials = self.keys.find(claim.access_key_id());
            let key = credentials.map(|credentials| self.keys.derive(credentials, &claim));
            let known = key.as_ref().zip(credentials).map(|(key, credentials)| {
                match credentials.session_token() {
                    Some(token) => Known::new(key).with_session_token(token),
                    None => Known::new(key),
                }
            });
            let (verified, check) = claim.verify(known, Some(body.payload()), &mut scratch)?;
            check.finish()?;
            Ok(verified.into_owned())
        });
        match outcome {
            Ok(verified) => {
                let record = Record {
                    said: Some(said(&verified)),
                    ..record(
                        request,
                        Verdict::Accepted { payload: payload_name(verified.payload()) },
                    )
                };
                (record, answerer.accepted(request, body))
            }
            Err(Refusal::Head(message)) => {
                self.malformed(request, &Malformed { status: 400, code: "InvalidURI", message })
            }
            Err(Refusal::Verifier(error)) => {
                let refused = Refused {
                    code: answerer.wire.code(&error).to_owned(),
                    status: error.status(answerer.wire.dialect()),
                    message: error.message().to_owned(),
                    ours: steps(&error),
                    ..Refused::default()
                };
                let verdict = Verdict::Refused(Box::new(refused));
                (record(request, verdict), answerer.refused(&error))
            }
        }
    }

    /// Answers what is no request.
    pub(super) fn malformed(&self, request: &Received, why: &Malformed) -> (Record, Answer) {
        let Malformed { status, code, message } = why;
        let refused = Refused {
            code: (*code).to_owned(),
            status: *status,
            message: message.clone(),
            ..Refused::default()
        };
        let answer = self.answerer(request).failed(*status, code, message);
        (record(request, Verdict::Refused(Box::new(refused))), answer)
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

fn steps(error: &Error) -> Option<Steps> {
    Some(Steps::masked(error.canonical_request()?, error.string_to_sign()?))
}
