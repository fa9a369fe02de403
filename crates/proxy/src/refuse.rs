//! Answers of the proxy's own, in the form that clients of the service can read.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use countersign::verify::{self, Dialect, Wire};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::body::{self, Body};

/// Why a request is not forwarded, or its answer not passed on.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    /// What was seen, for the client: never a secret.
    pub(crate) message: String,
    /// What else the client is told.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What a service would answer, where that is not the same for all refusals of the sort.
    codes: Option<Codes>,
}

/// The status and code with which services refuse something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes {
    pub(crate) s3: (u16, &'static str),
    pub(crate) general: (u16, &'static str),
    /// The code of the general services that speak JSON.
    pub(crate) json: &'static str,
}

impl Codes {
    pub(crate) const fn of_all(status: u16, code: &'static str) -> Codes {
        Codes { s3: (status, code), general: (status, code), json: code }
    }

    fn of(self, wire: Wire) -> (u16, &'static str) {
        match wire {
            Wire::S3Xml => self.s3,
            Wire::Json => (self.general.0, self.json),
            _ => self.general,
        }
    }
}

/// The sort of thing that keeps a request from being forwarded; what metrics and logs call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    Address,
    BodyBroken,
    BodyTimeout,
    BodyTooLong,
    Busy,
    CrossSite,
    HeadTimeout,
    HeadTooLong,
    KeyRefused,
    Malformed,
    MethodNotAllowed,
    Misdirected,
    NoAudit,
    NoCredentials,
    NoRoute,
    NotAllowed,
    NotSignable,
    NotVerified,
    ProxyUnauthorized,
    Spool,
    TooManyRequests,
    Unauthorized,
    UpstreamConnect,
    UpstreamFailed,
    UpstreamTimeout,
}

impl Reason {
    /// What metrics and logs call it; the status; and AWS's code, or the one that comes nearest.
    fn facts(self) -> (&'static str, u16, &'static str) {
        match self {
            Reason::Address => ("address", 403, "AccessDenied"),
            Reason::BodyBroken => ("body_broken", 400, "IncompleteBody"),
            Reason::BodyTimeout => ("body_timeout", 408, "RequestTimeout"),
            Reason::BodyTooLong => ("body_too_long", 413, "EntityTooLarge"),
            Reason::Busy => ("busy", 503, "SlowDown"),
            Reason::CrossSite => ("cross_site", 403, "AccessDenied"),
            // HTTP answers these itself, if at all, before there is a request.
            Reason::HeadTimeout => ("head_timeout", 408, "RequestTimeout"),
            Reason::HeadTooLong => ("head_too_long", 431, "RequestHeaderSectionTooLarge"),
            Reason::KeyRefused => ("key_refused", 502, "BadGateway"),
            Reason::Malformed => ("malformed", 400, "InvalidRequest"),
            Reason::MethodNotAllowed => ("method_not_allowed", 405, "MethodNotAllowed"),
            Reason::Misdirected => ("misdirected", 421, "InvalidRequest"),
            Reason::NoAudit => ("no_audit", 503, "ServiceUnavailable"),
            Reason::NoCredentials => ("no_credentials", 503, "ServiceUnavailable"),
            Reason::NoRoute => ("no_route", 404, "NoRoute"),
            Reason::NotAllowed => ("not_allowed", 403, "AccessDenied"),
            Reason::NotSignable => ("not_signable", 400, "InvalidRequest"),
            Reason::NotVerified => ("not_verified", 403, "SignatureDoesNotMatch"),
            Reason::ProxyUnauthorized => ("proxy_unauthorized", 407, "AccessDenied"),
            Reason::Spool => ("spool", 503, "ServiceUnavailable"),
            Reason::TooManyRequests => ("too_many_requests", 429, "SlowDown"),
            Reason::Unauthorized => ("unauthorized", 401, "AccessDenied"),
            Reason::UpstreamConnect => ("upstream_connect", 502, "BadGateway"),
            Reason::UpstreamFailed => ("upstream_failed", 502, "BadGateway"),
            Reason::UpstreamTimeout => ("upstream_timeout", 504, "GatewayTimeout"),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        self.facts().0
    }
}

impl Refusal {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Refusal {
        Refusal { reason, message: message.into(), headers: Vec::new(), codes: None }
    }

    /// The same, whose answer has this header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Refusal {
        self.headers.push((name, value));
        self
    }

    /// A request, or the rest of its body, that is not what its signature says.
    pub(crate) fn unverified(error: &verify::Error) -> Refusal {
        let said = |wire: Wire| (error.status(wire.dialect()), wire.code(error));
        let codes = Codes {
            s3: said(Wire::S3Xml),
            general: said(Wire::QueryXml),
            json: said(Wire::Json).1,
        };
        Refusal::coded(codes, error.message())
    }

    /// The same for a reason that the verifier does not know of.
    pub(crate) fn coded(codes: Codes, message: impl Into<String>) -> Refusal {
        Refusal { codes: Some(codes), ..Refusal::new(Reason::NotVerified, message) }
    }

    /// The answer. Says that it is the proxy's own, which no service does.
    pub(crate) fn response(&self, wire: Wire, id: Id) -> Response<Body> {
        let request_id = &id.to_string();
        let (name, status, code) = self.reason.facts();
        let (status, code) = match (self.codes, self.reason, wire) {
            (Some(codes), ..) => codes.of(wire),
            // As clients of these services know that they are to slow down.
            (_, Reason::TooManyRequests, Wire::Json) => (status, "ThrottlingException"),
            (_, Reason::TooManyRequests, Wire::QueryXml) => (status, "Throttling"),
            (.., Wire::Json) if code == "AccessDenied" => (status, "AccessDeniedException"),
            _ => (status, code),
        };
        let text = wire.body(status, code, &self.message, request_id);
        let mut response = Response::new(body::whole(Bytes::from(text)));
        *response.status_mut() = StatusCode::from_u16(status).expect("they are statuses");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(wire.content_type()));
        headers.insert("x-countersign-refusal", HeaderValue::from_static(name));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(wire.request_id_header(), id);
        }
        if wire.dialect() == Dialect::General {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
        }
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        response
    }
}

/// What the headers of a request tell of the form in which its client reads errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speech {
    is_json: bool,
}

impl Speech {
    pub(crate) fn of(headers: &HeaderMap) -> Speech {
        let is_json = headers.contains_key(TARGET)
            || headers.get(header::CONTENT_TYPE).is_some_and(|value| {
                let kind = b"application/x-amz-json";
                let value = value.as_bytes();
                value.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind))
            });
        Speech { is_json }
    }

    /// The form, if it is a client of this service.
    pub(crate) fn with(self, service: &str) -> Wire {
        match Dialect::of_service(service) {
            Dialect::S3 => Wire::S3Xml,
            _ if self.is_json => Wire::Json,
            _ => Wire::QueryXml,
        }
    }
}

// A name that is made beforehand is not looked at byte by byte with each request.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// Gives each request an id that no other has, and that nobody can foresee.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    secret: RandomState,
    count: Arc<AtomicU64>,
}

impl Ids {
    pub(crate) fn next(&self) -> Id {
        Id(self.secret.hash_one(self.count.fetch_add(1, Ordering::Relaxed)))
    }
}

/// The id of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id(u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}
