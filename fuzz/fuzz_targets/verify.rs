//! A request that we sign is accepted, and what became of it on the way only if it means the same.
//!
//! What a request means is told here by a reference of its own: nothing of the library's canonical form
//! is used for it.
#![no_main]

mod percent;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use arbitrary::Arbitrary;
use countersign::{
    Credentials, Head, Headers, Payload, Presign, Scratch, Signer, SigningKey,
    verify::{Error, Known, Place, Verified, Verifier},
};
use libfuzzer_sys::fuzz_target;

use self::percent::decoded;

#[derive(Arbitrary, Debug)]
struct Plan {
    service: u8,
    is_presigned: bool,
    has_token: bool,
    is_unsigned: bool,
    request: Request,
    edits: Vec<Edit>,
}

#[derive(Arbitrary, Clone, Debug)]
struct Request {
    method: Vec<u8>,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Method(Splice),
    Path(Splice),
    Query(Splice),
    Body(Splice),
    HeaderName(u8, Splice),
    HeaderValue(u8, Splice),
    AddHeader(Vec<u8>, Vec<u8>),
    RemoveHeader(u8),
    SwapHeaders(u8, u8),
    SwapQuery(u8, u8),
}

/// Puts some bytes in place of others.
#[derive(Arbitrary, Debug)]
struct Splice {
    at: u16,
    out: u8,
    put: Vec<u8>,
}

const SERVICES: [&str; 4] = ["s3", "execute-api", "vpc-lattice-svcs", "dynamodb"];

fuzz_target!(|plan: Plan| {
    let service = SERVICES[usize::from(plan.service) % SERVICES.len()];
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let credentials = match plan.has_token {
        true => credentials.with_session_token("to/ke+n="),
        false => credentials,
    };
    let mut request = plan.request.clone();
    if request.method.is_empty() {
        request.method = b"GET".to_vec();
    }
    request.path.insert(0, b'/');
    request.path.retain(|&byte| byte != b'?');
    request.headers.truncate(100);
    request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
    request.headers.push((b"Host".to_vec(), b"example.amazonaws.com".to_vec()));
    let Some(signed) = sign(&plan, service, &credentials, request) else { return };
    let first = match verify(&signed, &credentials) {
        Ok(verified) => verified,
        Err(error) => panic!("what we signed is refused: {error}: {signed:?}"),
    };
    let mut edited = signed.clone();
    for edit in &plan.edits {
        apply(edit, &mut edited);
    }
    let Ok(second) = verify(&edited, &credentials) else { return };
    assert_eq!(meaning(&signed, &first), meaning(&edited, &second), "{signed:?}\n{edited:?}");
});

/// The request with its signature; `None` if it cannot be signed.
fn sign(plan: &Plan, service: &str, keys: &Credentials, mut request: Request) -> Option<Request> {
    let signer = Signer::new("us-east-1", service);
    let payload = if plan.is_unsigned { Payload::Unsigned } else { Payload::hash(&request.body) };
    let (mut scratch, unsigned) = (Scratch::new(), request.clone());
    let pairs = pairs(&unsigned);
    let head = head(&unsigned, &pairs);
    let set = |removed: Vec<&str>, set: Vec<(&str, &str)>, request: &mut Request| {
        let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        request.headers.retain(|(name, _)| {
            !removed.iter().chain(set.iter().map(|(other, _)| other)).any(|other| is(name, other))
        });
        let set = set.into_iter().map(|(name, value)| (name.into(), value.into()));
        request.headers.extend(set);
    };
    if plan.is_presigned {
        let presign = Presign::expires_in(Duration::from_secs(60)).with_payload(payload);
        // Where the query of a presigned request does not say so, its body is the one of the rules.
        let presign = if service == "s3" || service == "vpc-lattice-svcs" {
            Presign::expires_in(Duration::from_secs(60))
        } else if plan.is_unsigned {
            return None;
        } else {
            presign
        };
        let signed = signer.presign_head(head, presign, keys, now(), &mut scratch).ok()?;
        set(signed.replaced_headers().collect(), signed.headers().collect(), &mut request);
        request.query = Some(signed.query().to_vec());
    } else {
        let signed = signer.sign_head(head, payload, keys, now(), &mut scratch).ok()?;
        set(signed.replaced_headers().collect(), signed.headers().collect(), &mut request);
        if let Some(query) = signed.query() {
            request.query = Some(query.to_vec());
        }
    }
    Some(request)
}

fn verify(request: &Request, credentials: &Credentials) -> Result<Verified<'static>, Error> {
    let verifier = Verifier::new().with_unsigned_payloads(true).with_debugging(true);
    let pairs = pairs(request);
    let claim = verifier.claim(head(request, &pairs), now())?;
    let key = SigningKey::derive(credentials.secret_access_key(), &claim.scope());
    let known = (claim.access_key_id() == credentials.access_key_id()).then(|| {
        let known = Known::new(&key);
        match credentials.session_token() {
            Some(token) => known.with_session_token(token),
            None => known,
        }
    });
    let hash = claim.payload().is_none().then(|| Payload::hash(&request.body));
    let (verified, mut check) = claim.verify(known, hash, &mut Scratch::new())?;
    for piece in request.body.chunks(7) {
        check.push(piece)?;
    }
    check.finish()?;
    Ok(verified.into_owned())
}

fn pairs(request: &Request) -> Vec<(&[u8], &[u8])> {
    request.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}

fn head<'a>(request: &'a Request, pairs: &'a [(&'a [u8], &'a [u8])]) -> Head<'a> {
    Head {
        method: &request.method,
        https: true,
        authority: None,
        path: &request.path,
        query: request.query.as_deref(),
        headers: Headers::Pairs(pairs),
    }
}

fn apply(edit: &Edit, request: &mut Request) {
    let headers = &mut request.headers;
    let len = headers.len().max(1);
    let place = |at: u8| usize::from(at) % len;
    match edit {
        Edit::Method(splice) => splice.apply(&mut request.method),
        Edit::Path(splice) => splice.apply(&mut request.path),
        Edit::Query(splice) => splice.apply(request.query.get_or_insert_default()),
        Edit::Body(splice) => splice.apply(&mut request.body),
        Edit::AddHeader(name, value) => headers.push((name.clone(), value.clone())),
        Edit::SwapQuery(a, b) => {
            let query = request.query.clone().unwrap_or_default();
            let mut pieces: Vec<&[u8]> = query.split(|&byte| byte == b'&').collect();
            let len = pieces.len();
            pieces.swap(usize::from(*a) % len, usize::from(*b) % len);
            request.query = Some(pieces.join(&b'&'));
        }
        _ if headers.is_empty() => {}
        Edit::HeaderName(at, splice) => splice.apply(&mut headers[place(*at)].0),
        Edit::HeaderValue(at, splice) => splice.apply(&mut headers[place(*at)].1),
        Edit::RemoveHeader(at) => drop(headers.remove(place(*at))),
        Edit::SwapHeaders(a, b) => headers.swap(place(*a), place(*b)),
    }
}

impl Splice {
    fn apply(&self, text: &mut Vec<u8>) {
        let start = usize::from(self.at) % (text.len() + 1);
        let end = (start + usize::from(self.out)).min(text.len());
        text.splice(start..end, self.put.iter().copied());
    }
}

/// What a request means to a server that believes what is signed and nothing else.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    who: String,
    scope: String,
    at: String,
    method: Vec<u8>,
    path: Vec<u8>,
    query: Vec<(Vec<u8>, Vec<u8>)>,
    headers: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `None`: the signature does not cover it.
    body: Option<Vec<u8>>,
}

fn meaning(request: &Request, verified: &Verified<'_>) -> Meaning {
    let is_s3 = verified.scope().service() == "s3";
    let mut query: Vec<_> = request
        .query
        .as_deref()
        .unwrap_or_default()
        .split(|&byte| byte == b'&')
        .map(|piece| match piece.iter().position(|&byte| byte == b'=') {
            Some(at) => (decoded(&piece[..at], true), decoded(&piece[at + 1..], true)),
            None => (decoded(piece, true), Vec::new()),
        })
        .filter(|(name, _)| !name.is_empty())
        .filter(|(name, _)| verified.place() == Place::Header || name != b"X-Amz-Signature")
        .collect();
    query.sort();
    let mut headers = BTreeMap::new();
    for name in verified.signed_headers() {
        let values: Vec<Vec<u8>> = request
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| folded(value))
            .collect();
        headers.insert(name.to_ascii_lowercase().into_bytes(), values.join(&b','));
    }
    Meaning {
        who: verified.access_key_id().to_owned(),
        scope: verified.scope().to_string(),
        at: verified.at().as_str().to_owned(),
        method: request.method.clone(),
        path: match &request.path[..] {
            b"" => b"/".to_vec(),
            path if is_s3 => decoded(path, false),
            path => [b"/", &normal(path)[..]].concat(),
        },
        query,
        headers,
        body: verified.payload().is_hash().then(|| request.body.clone()),
    }
}

/// RFC 3986, §5.2.4, and no empty segments. Whether a path that ends in dots has a final slash is told
/// either way by clients, so that it means the same.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    kept.join(&b'/')
}

fn folded(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}
