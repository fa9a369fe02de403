//! Arbitrary requests, signed in both forms under arbitrary rules: the canonical request, the string to sign, the
//! signature and what is sent are those of the reference that the tests have, or both refuse.
#![no_main]

#[allow(dead_code, reason = "the tests ask more of it")]
#[path = "../../tests/support/reference.rs"]
mod reference;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use arbitrary::Arbitrary;
use countersign::{
    Credentials, Error, Head, Headers, Payload, Presign, Rules, Scratch, Signer, Timestamp,
};
use libfuzzer_sys::fuzz_target;
use reference::{Answer, Dialect, Form, Keys, Request, Scope};

#[derive(Arbitrary, Debug)]
struct Plan {
    method: Option<Vec<u8>>,
    https: bool,
    authority: Option<Vec<u8>>,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
    headers: Vec<(Name, Vec<u8>)>,
    body: Option<Vec<u8>>,
    service: u8,
    token: Option<String>,
    is_express: bool,
    switches: [Option<bool>; 4],
    expires: u16,
}

/// The name of a header: one of those about which there is a rule, or any.
#[derive(Arbitrary, Debug)]
enum Name {
    Any(Vec<u8>),
    Known(u8),
}

fuzz_target!(|plan: Plan| {
    let mut headers: Vec<_> =
        plan.headers.iter().map(|(name, value)| (name.text(), value.clone())).collect();
    headers.truncate(100);
    let request = Request {
        method: plan.method.clone().unwrap_or_else(|| b"GET".to_vec()),
        https: plan.https,
        authority: Some(
            plan.authority.clone().unwrap_or_else(|| b"example.amazonaws.com".to_vec()),
        ),
        path: [b"/", &plan.path[..]].concat(),
        query: plan.query.clone(),
        headers,
    };
    if !is_compared(&request) {
        return;
    }
    let payload = plan.body.as_deref().map(Payload::hash);
    let keys = Keys {
        id: "AKIDEXAMPLE".to_owned(),
        secret: "secret".to_owned(),
        token: plan.token.clone().filter(|token| !token.is_empty()),
        s3_express: plan.is_express,
    };
    let service = SERVICES[usize::from(plan.service) % SERVICES.len()];
    let mut scratch = Scratch::new();
    for form in [Form::Headers, Form::Query { expires: u32::from(plan.expires) + 1 }] {
        let ours = signed(&plan, service, &request, form, payload, &keys, &mut scratch);
        let scope = Scope {
            time: Timestamp::try_from(now())
                .expect("a time that can be written")
                .as_str()
                .to_owned(),
            region: "us-east-1".to_owned(),
            service: service.to_owned(),
        };
        let line = payload.map(|payload| payload.line().as_str().to_owned());
        let theirs =
            reference::sign(&request, form, line.as_deref(), plan.dialect(service), &scope, &keys);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{request:?}"),
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("{ours:?}, the reference {theirs:?}: {request:?}"),
        }
    }
});

/// Whether the reference knows what to make of the host: it looks into none.
fn is_compared(request: &Request) -> bool {
    let is_plain = |host: &[u8]| {
        let is_it = |byte: &u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
        !host.is_empty() && host.iter().all(is_it)
    };
    let is_host = |pair: &&(Vec<u8>, Vec<u8>)| pair.0.eq_ignore_ascii_case(b"host");
    request.authority.as_deref().is_some_and(is_plain)
        && request.headers.iter().filter(is_host).all(|(_, value)| is_plain(value))
}

fn signed(
    plan: &Plan,
    service: &str,
    request: &Request,
    form: Form,
    payload: Option<Payload>,
    keys: &Keys,
    scratch: &mut Scratch,
) -> Result<Answer, Error> {
    let pairs: Vec<(&[u8], &[u8])> =
        request.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let head = Head {
        method: &request.method,
        https: request.https,
        authority: request.authority.as_deref(),
        path: &request.path,
        query: request.query.as_deref(),
        headers: Headers::Pairs(&pairs),
    };
    let mut credentials =
        Credentials::new(&*keys.id, &*keys.secret).with_s3_express_session(keys.s3_express);
    if let Some(token) = &keys.token {
        credentials = credentials.with_session_token(token.as_str());
    }
    let signer = Signer::new("us-east-1", service).with_rules(plan.rules(service));
    let set = |headers: Vec<(&'static str, &str)>| -> BTreeMap<String, String> {
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    Ok(match form {
        Form::Headers => {
            let payload = payload.unwrap_or(Payload::EMPTY);
            let signed = signer.sign_head(head, payload, &credentials, now(), scratch)?;
            Answer {
                canonical_request: signed.canonical_request().to_vec(),
                string_to_sign: signed.string_to_sign().to_owned(),
                signature: signed.signature().to_owned(),
                query: signed.query().or(head.query).map(<[u8]>::to_vec),
                set: set(signed.headers().collect()),
            }
        }
        Form::Query { expires } => {
            let presign = Presign::expires_in(Duration::from_secs(expires.into()));
            let presign = match payload {
                Some(payload) => presign.with_payload(payload),
                None => presign,
            };
            let signed = signer.presign_head(head, presign, &credentials, now(), scratch)?;
            Answer {
                canonical_request: signed.canonical_request().to_vec(),
                string_to_sign: signed.string_to_sign().to_owned(),
                signature: signed.signature().to_owned(),
                query: Some(signed.query().to_vec()),
                set: set(signed.headers().collect()),
            }
        }
    })
}

impl Plan {
    fn rules(&self, service: &str) -> Rules {
        let [double_encode, normalize_path, content_sha256, token_after_signing] = self.switches;
        let mut rules = Rules::for_service(service);
        if let Some(yes) = double_encode {
            rules = rules.with_double_encode(yes);
        }
        if let Some(yes) = normalize_path {
            rules = rules.with_normalize_path(yes);
        }
        if let Some(yes) = content_sha256 {
            rules = rules.with_content_sha256_header(yes);
        }
        if let Some(yes) = token_after_signing {
            rules = rules.with_token_after_signing(yes);
        }
        rules
    }

    fn dialect(&self, service: &str) -> Dialect {
        let own = Dialect::of(service);
        let [double_encode, normalize_path, content_sha256, token_after_signing] = self.switches;
        Dialect {
            double_encode: double_encode.unwrap_or(own.double_encode),
            normalize_path: normalize_path.unwrap_or(own.normalize_path),
            content_sha256: content_sha256.or(own.content_sha256),
            token_after_signing: token_after_signing.unwrap_or(own.token_after_signing),
            ..own
        }
    }
}

impl Name {
    fn text(&self) -> Vec<u8> {
        match self {
            Name::Any(text) => text.clone(),
            Name::Known(at) => NAMES[usize::from(*at) % NAMES.len()].as_bytes().to_vec(),
        }
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

const SERVICES: [&str; 6] =
    ["s3", "execute-api", "aoss", "glacier", "vpc-lattice-svcs", "iotdevicegateway"];

const NAMES: [&str; 12] = [
    "Host",
    "X-Amz-Date",
    "X-Amz-Content-Sha256",
    "X-Amz-Security-Token",
    "X-Amz-Meta-A",
    "x-amz-meta-a",
    "Content-Type",
    "Content-Length",
    "Authorization",
    "User-Agent",
    "X-Forwarded-For",
    "Date",
];
