//! What holds for every request, tried on many.

use std::time::{Duration, SystemTime};

use countersign::{
    Credentials, Head, Headers, Payload, Presign, Rules, Scratch, SignRequest, Signer, SigningKey,
    Timestamp,
    verify::{self, Known, Refusal, Verifier},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::support::{
    Sent,
    reference::{self, Dialect, Form, Keys, Request, Scope},
    text,
};

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn the_library_agrees_with_the_reference(sample in any_sample(Faults::Some)) {
        let mut scratch = Scratch::new();
        for form in sample.forms() {
            let expected = sample.reference(form);
            match (sample.sign(form, &mut scratch), expected) {
                (Ok(seen), Ok(expected)) => prop_assert_eq!(seen, expected),
                (Err(_), Err(_)) => {}
                (seen, expected) => prop_assert!(false, "{seen:?} but {expected:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_server_accepts_what_was_signed(mut sample in any_sample(Faults::None)) {
        // Without the header nobody could tell.
        sample.switches.content_sha256 = None;
        // Sessions are S3 Express's alone.
        sample.keys.s3_express &= sample.service == "s3express";
        // A presigned URL says nothing of the body, so S3 takes it for unsigned but for this header.
        if Rules::for_service(&sample.service) == Rules::S3 && sample.payload.is_some() {
            sample.request.headers.push((b"x-amz-content-sha256".to_vec(), b"?".to_vec()));
        }
        for form in sample.forms() {
            let mut request = sample.http();
            sample.sign_in_place(&mut request, form);
            let received = received(&sample, &request);
            let (dialect, body) = (sample.dialect(), sample.payload_line());
            prop_assert!(
                reference::accepts(&received, &body, dialect, &sample.keys.secret),
                "{received:?}"
            );
            let verdict = verdict(&sample, &received);
            prop_assert_eq!(verdict, Ok(()), "{:?}", received);
            // Another method, which no signature covers.
            let altered = Request { method: b"ALTERED".to_vec(), ..received };
            prop_assert!(self::verdict(&sample, &altered).is_err());
        }
    }

    #[test]
    fn signing_what_was_signed_gives_the_same_signature(sample in any_sample(Faults::None)) {
        for form in sample.forms() {
            let mut request = sample.http();
            sample.sign_in_place(&mut request, form);
            let mut again = received(&sample, &request);
            let (names, signature) = carried(&again, form);
            again.headers.retain(|(name, _)| {
                names.split(';').any(|other| other.as_bytes().eq_ignore_ascii_case(name))
            });
            let again = Sample { request: again, ..sample.clone() };
            prop_assert_eq!(again.signature(form), signature);
        }
    }

    #[test]
    fn signing_twice_equals_signing_once(
        sample in any_sample(Faults::None),
        earlier in 0..=LAST_SECOND,
    ) {
        let before = Sample { seconds: earlier, ..sample.clone() };
        for first in sample.forms() {
            for second in sample.forms() {
                let (mut once, mut twice) = (sample.http(), sample.http());
                before.sign_in_place(&mut twice, first);
                // A content hash that the first signature wrote is the caller's to the second.
                if let Some(hash) = twice.headers().get("x-amz-content-sha256") {
                    once.headers_mut().insert("x-amz-content-sha256", hash.clone());
                } else {
                    once.headers_mut().remove("x-amz-content-sha256");
                }
                sample.sign_in_place(&mut twice, second);
                sample.sign_in_place(&mut once, second);
                // A question mark with nothing behind it goes with the last old parameter.
                let sent = |request: &http::Request<()>| {
                    let url = request.uri().to_string();
                    Sent::new(url.strip_suffix('?').unwrap_or(&url), request.headers())
                };
                prop_assert_eq!(sent(&twice), sent(&once), "{:?}, then {:?}", first, second);
            }
        }
    }

    #[test]
    fn the_form_of_a_request_type_is_the_form_of_a_head(sample in any_sample(Faults::None)) {
        for form in sample.forms() {
            let mut request = sample.http();
            let (mut parts, ()) = sample.http().into_parts();
            sample.sign_in_place(&mut request, form);
            sample.sign_in_place(&mut parts, form);
            let answer = sample.sign(form, &mut Scratch::new()).unwrap();
            let mut expected = Sent::new("", sample.http().headers());
            for name in REPLACED {
                expected.drop(name);
            }
            for (name, value) in &answer.set {
                expected.set(name, value);
            }
            let expected = expected.sorted();
            prop_assert_eq!(Sent::new("", request.headers()), expected);
            if let Some(query) = answer.query.as_deref().filter(|query| !query.is_empty()) {
                prop_assert_eq!(request.uri().query().unwrap().as_bytes(), query);
            }
            prop_assert_eq!(request.uri(), &parts.uri);
            prop_assert_eq!(request.headers(), &parts.headers);
        }
    }

    #[test]
    fn what_does_not_change_the_meaning_does_not_change_the_signature(
        sample in any_sample(Faults::None),
    ) {
        for form in sample.forms() {
            let signature = sample.signature(form);
            for (what, edit) in EDITS_WITHOUT_MEANING {
                let mut edited = sample.clone();
                edit(&mut edited);
                prop_assert_eq!(&edited.signature(form), &signature, "{}: {:?}", what, edited);
            }
        }
    }

    #[test]
    fn what_changes_the_meaning_changes_the_signature(sample in any_sample(Faults::None)) {
        for form in sample.forms() {
            let signature = sample.signature(form);
            for (what, edit) in EDITS_WITH_MEANING {
                let mut edited = sample.clone();
                edit(&mut edited);
                prop_assert_ne!(&edited.signature(form), &signature, "{}: {:?}", what, edited);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_scratch_that_was_used_signs_like_a_fresh_one(
        samples in vec(any_sample(Faults::Some), 1..8),
    ) {
        let mut used = Scratch::new();
        for sample in &samples {
            for form in sample.forms() {
                let (reused, fresh) = (sample.sign(form, &mut used), sample.sign(form, &mut Scratch::new()));
                prop_assert_eq!(reused.map_err(|error| error.kind()), fresh.map_err(|error| error.kind()));
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// Long requests are hashed from where they differ from the last one.
    #[test]
    fn requests_that_begin_alike_are_signed_like_the_first_of_their_kind(
        calls in vec((0..3_u64, 0..2_usize, 0..2500_usize, 0..2500_usize), 1..12),
    ) {
        let credentials = ["one", "two"].map(|secret| {
            Credentials::new("AKID", secret).with_session_token("token".repeat(200))
        });
        let signer = Signer::new("eu-west-1", "dynamodb");
        let mut used = Scratch::new();
        for (second, whose, alike, len) in calls {
            let value = ["=".repeat(alike), "x".repeat(len)].concat();
            let headers: [(&[u8], &[u8]); 1] = [(b"x-amz-meta", value.as_bytes())];
            let target = b"https://dynamodb.eu-west-1.amazonaws.com/";
            let head = Head::parse(b"POST", target, Headers::Pairs(&headers)).unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            let sign = |scratch: &mut Scratch| {
                let signed =
                    signer.sign_head(head, Payload::EMPTY, &credentials[whose], at, scratch).unwrap();
                (signed.signature().to_owned(), signed.canonical_request().to_vec())
            };
            prop_assert_eq!(sign(&mut used), sign(&mut Scratch::new()));
        }
    }
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn no_bytes_make_signing_panic(
        (method, target, path, query, authority) in (bytes(), bytes(), bytes(), option::of(bytes()), option::of(bytes())),
        headers in vec((bytes(), bytes()), 0..6),
        (region, service, id, secret, token) in (name(), name(), name(), name(), option::of(name())),
        (at, expires) in (any_time(), any_life()),
        (https, express, minimal) in any::<(bool, bool, bool)>(),
    ) {
        let pairs: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let headers = Headers::Pairs(&pairs);
        let mut heads = vec![Head {
            method: &method,
            https,
            authority: authority.as_deref(),
            path: &path,
            query: query.as_deref(),
            headers,
        }];
        heads.extend(Head::parse(&method, &target, headers));
        let absolute = [b"https://", &target[..]].concat();
        heads.extend(Head::parse(b"GET", &absolute, Headers::Pairs(&[])));
        let rooted = [b"/", &target[..]].concat();
        heads.extend(Head::parse(b"GET", &rooted, Headers::Pairs(&[(b"host", b"example.com")])));

        let mut credentials = Credentials::new(id, secret).with_s3_express_session(express);
        if let Some(token) = token {
            credentials = credentials.with_session_token(token);
        }
        let mut signer = Signer::new(region, service);
        if minimal {
            signer = signer.with_minimal_headers();
        }
        let presign = Presign::expires_in(expires);
        let signers = [signer.clone().with_rules(Rules::S3), signer];
        let mut scratch = Scratch::new();
        for signer in &signers {
            for head in &heads {
                let mut shown = format!("{head:?}");
                let explained = signer.explain(*head, Payload::Unsigned, &credentials, at);
                shown += &format!("{explained:?}");
                match signer.sign_head(*head, Payload::EMPTY, &credentials, at, &mut scratch) {
                    Ok(signed) => {
                        shown += &format!("{signed:?} {:?}", signed.explain());
                        check_shape(signed.canonical_request(), signed.signature());
                    }
                    Err(error) => shown += &format!("{error} {error:?}"),
                }
                match signer.presign_head(*head, presign, &credentials, at, &mut scratch) {
                    Ok(signed) => {
                        shown += &format!("{signed:?} {:?}", signed.explain());
                        check_shape(signed.canonical_request(), signed.signature());
                    }
                    Err(error) => shown += &format!("{error} {error:?}"),
                }
                prop_assert!(!shown.is_empty());
            }
            let request = http::Request::builder().method(&method[..]).uri(&target[..]);
            let request = pairs.iter().fold(request, |request, pair| request.header(pair.0, pair.1));
            if let Ok(mut request) = request.body(()) {
                let before = format!("{request:?}");
                if signer.sign(&mut request, Payload::Unsigned, &credentials, at).is_err() {
                    prop_assert_eq!(&before, &format!("{request:?}"));
                    if signer.presign(&mut request, presign, &credentials, at).is_err() {
                        prop_assert_eq!(&before, &format!("{request:?}"));
                    }
                }
            }
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>(), like in "[0-9TZ:+. /a-z_-]{0,40}") {
        for text in [&text, &like] {
            if let Ok(at) = text.parse::<Timestamp>() {
                prop_assert_eq!(at.as_str().parse::<Timestamp>().unwrap(), at);
                prop_assert_eq!(Timestamp::try_from(SystemTime::from(at)).unwrap(), at);
            }
            if let Ok(scope) = countersign::Scope::parse(text) {
                prop_assert_eq!(&scope.to_string(), text);
            }
            if let Some(payload) = Payload::from_line(text) {
                let line = payload.line();
                prop_assert_eq!(line.as_str(), text);
            }
        }
    }
}

/// A canonical request has its six parts, whatever went in, and a signature its digits.
fn check_shape(canonical_request: &[u8], signature: &str) {
    let lines: Vec<&[u8]> = canonical_request.split(|&byte| byte == b'\n').collect();
    let [_, path, query, headers @ .., empty, names, _] = &lines[..] else {
        panic!("{}", canonical_request.escape_ascii());
    };
    assert!(path.starts_with(b"/") && path.is_ascii() && query.is_ascii());
    assert_eq!(empty, b"");
    let named: Vec<&[u8]> =
        headers.iter().map(|line| line.split(|&byte| byte == b':').next().unwrap()).collect();
    assert_eq!(named.join(&b';'), *names);
    assert_eq!(signature.len(), 64);
}

/// A request with all that a signature depends on.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) request: Request,
    pub(crate) payload: Option<Payload>,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) keys: Keys,
    pub(crate) seconds: u64,
    pub(crate) expires: u32,
    pub(crate) switches: Switches,
}

/// How the rules are to differ from the service's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switches {
    pub(crate) double_encode: Option<bool>,
    pub(crate) normalize_path: Option<bool>,
    pub(crate) content_sha256: Option<bool>,
    pub(crate) token_after_signing: Option<bool>,
}

impl Sample {
    pub(crate) fn forms(&self) -> [Form; 2] {
        [Form::Headers, Form::Query { expires: self.expires }]
    }

    pub(crate) fn signer(&self) -> Signer {
        let mut rules = Rules::for_service(&self.service);
        if let Some(yes) = self.switches.double_encode {
            rules = rules.with_double_encode(yes);
        }
        if let Some(yes) = self.switches.normalize_path {
            rules = rules.with_normalize_path(yes);
        }
        if let Some(yes) = self.switches.content_sha256 {
            rules = rules.with_content_sha256_header(yes);
        }
        if let Some(yes) = self.switches.token_after_signing {
            rules = rules.with_token_after_signing(yes);
        }
        Signer::new(self.region.as_str(), self.service.as_str()).with_rules(rules)
    }

    fn dialect(&self) -> Dialect {
        let dialect = Dialect::of(&self.service);
        let switches = self.switches;
        Dialect {
            double_encode: switches.double_encode.unwrap_or(dialect.double_encode),
            normalize_path: switches.normalize_path.unwrap_or(dialect.normalize_path),
            content_sha256: switches.content_sha256.or(dialect.content_sha256),
            token_after_signing: switches
                .token_after_signing
                .unwrap_or(dialect.token_after_signing),
            ..dialect
        }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        let credentials = Credentials::new(&self.keys.id, &self.keys.secret)
            .with_s3_express_session(self.keys.s3_express);
        match &self.keys.token {
            Some(token) => credentials.with_session_token(token),
            None => credentials,
        }
    }

    pub(crate) fn at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds)
    }

    pub(crate) fn presign(&self) -> Presign {
        let presign = Presign::expires_in(Duration::from_secs(self.expires.into()));
        match self.payload {
            Some(payload) => presign.with_payload(payload),
            None => presign,
        }
    }

    /// What a server finds the body to hash to.
    fn payload_line(&self) -> String {
        self.payload.unwrap_or(Payload::EMPTY).line().as_str().to_owned()
    }

    fn reference(&self, form: Form) -> Result<reference::Answer, countersign::ErrorKind> {
        let scope = Scope {
            time: Timestamp::try_from(self.at()).unwrap().as_str().to_owned(),
            region: self.region.clone(),
            service: self.service.clone(),
        };
        let line = self.payload.map(|payload| payload.line().as_str().to_owned());
        let line = line.as_deref();
        reference::sign(&self.request, form, line, self.dialect(), &scope, &self.keys)
    }

    fn sign(
        &self,
        form: Form,
        scratch: &mut Scratch,
    ) -> Result<reference::Answer, countersign::Error> {
        let pairs: Vec<(&[u8], &[u8])> =
            self.request.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let head = Head {
            method: &self.request.method,
            https: self.request.https,
            authority: self.request.authority.as_deref(),
            path: &self.request.path,
            query: self.request.query.as_deref(),
            headers: Headers::Pairs(&pairs),
        };
        let (signer, credentials) = (self.signer(), self.credentials());
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(match form {
            Form::Headers => {
                let payload = self.payload.unwrap_or(Payload::EMPTY);
                let signed = signer.sign_head(head, payload, &credentials, self.at(), scratch)?;
                reference::Answer {
                    canonical_request: signed.canonical_request().to_vec(),
                    string_to_sign: signed.string_to_sign().to_owned(),
                    signature: signed.signature().to_owned(),
                    query: signed.query().or(head.query).map(<[u8]>::to_vec),
                    set: signed.headers().map(owned).collect(),
                }
            }
            Form::Query { .. } => {
                let signed =
                    signer.presign_head(head, self.presign(), &credentials, self.at(), scratch)?;
                reference::Answer {
                    canonical_request: signed.canonical_request().to_vec(),
                    string_to_sign: signed.string_to_sign().to_owned(),
                    signature: signed.signature().to_owned(),
                    query: Some(signed.query().to_vec()),
                    set: signed.headers().map(owned).collect(),
                }
            }
        })
    }

    fn signature(&self, form: Form) -> String {
        self.sign(form, &mut Scratch::new()).unwrap().signature
    }

    pub(crate) fn http(&self) -> http::Request<()> {
        let mut url = Vec::new();
        if let Some(authority) = &self.request.authority {
            url.extend(if self.request.https { &b"https://"[..] } else { b"http://" });
            url.extend(authority);
        }
        url.extend(&self.request.path);
        if let Some(query) = &self.request.query {
            url.push(b'?');
            url.extend(query);
        }
        if url.is_empty() {
            url.push(b'/');
        } else if url.starts_with(b"?") {
            url.insert(0, b'/');
        }
        let builder = http::Request::builder().method(&self.request.method[..]).uri(&url[..]);
        let headers = self.request.headers.iter();
        headers
            .fold(builder, |builder, (name, value)| builder.header(&name[..], &value[..]))
            .body(())
            .unwrap()
    }

    fn sign_in_place(&self, request: &mut impl SignRequest, form: Form) {
        let (signer, credentials) = (self.signer(), self.credentials());
        match form {
            Form::Headers => {
                let payload = self.payload.unwrap_or(Payload::EMPTY);
                signer.sign(request, payload, &credentials, self.at()).unwrap();
            }
            Form::Query { .. } => {
                signer.presign(request, self.presign(), &credentials, self.at()).unwrap();
            }
        }
    }
}

/// What a server sees of a request: a path with a query, and a Host header.
pub(crate) fn received(sample: &Sample, request: &http::Request<()>) -> Request {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    let mut headers: Vec<_> = request.headers().iter().map(header).collect();
    if !request.headers().contains_key("host") {
        let default = if sample.request.https { ":443" } else { ":80" };
        let authority = request.uri().authority().unwrap().as_str();
        let host = authority.rsplit('@').next().unwrap();
        let host = host.strip_suffix(default).unwrap_or(host);
        headers.push((b"host".to_vec(), host.as_bytes().to_vec()));
    }
    Request {
        method: request.method().as_str().as_bytes().to_vec(),
        https: sample.request.https,
        authority: None,
        path: request.uri().path().as_bytes().to_vec(),
        query: request.uri().query().map(|query| query.as_bytes().to_vec()),
        headers,
    }
}

/// What the library's own verifier says of a request.
fn verdict(sample: &Sample, received: &Request) -> Result<(), Refusal> {
    let pairs: Vec<(&[u8], &[u8])> =
        received.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let head = Head {
        method: &received.method,
        https: received.https,
        authority: received.authority.as_deref(),
        path: &received.path,
        query: received.query.as_deref(),
        headers: Headers::Pairs(&pairs),
    };
    let verifier = Verifier::new().with_rules(sample.signer().rules()).with_unsigned_payloads(true);
    let (keys, now) = (&sample.keys, sample.at());
    let verify = || {
        let claim = verifier.claim(head, now)?;
        let key = SigningKey::derive(&keys.secret, &claim.scope());
        let known = match keys.token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => Known::new(&key).with_session_token(token),
            None => Known::new(&key),
        };
        let body = sample.payload.unwrap_or(Payload::EMPTY);
        // The server is told what the request leaves out.
        let body = (body.is_hash() || claim.payload().is_none()).then_some(body);
        let (_, check) = claim.verify(Some(known), body, &mut Scratch::new())?;
        // The body itself is not at hand, only its hash.
        if body.is_some() { check.finish().map(drop) } else { Ok(()) }
    };
    match verify().map_err(|error: verify::Error| error.refusal()) {
        // The signature held; the body could not be checked.
        Err(Refusal::IncompleteBody | Refusal::MalformedTrailer | Refusal::UnsupportedPayload) => {
            Ok(())
        }
        verdict => verdict,
    }
}

/// The signed names and the signature that a request carries.
fn carried(request: &Request, form: Form) -> (String, String) {
    let (text, names, signature) = match form {
        Form::Headers => {
            let authorization = request.headers.iter().find(|(name, _)| name == b"authorization");
            (text(&authorization.unwrap().1), "SignedHeaders=", "Signature=")
        }
        Form::Query { .. } => {
            let query = text(request.query.as_ref().unwrap()).replace("%3B", ";");
            (query, "X-Amz-SignedHeaders=", "X-Amz-Signature=")
        }
    };
    let behind = |name: &str| {
        let (_, rest) = text.rsplit_once(name).unwrap();
        rest.split([',', '&']).next().unwrap().to_owned()
    };
    (behind(names), behind(signature))
}

type Edit = (&'static str, fn(&mut Sample));

const EDITS_WITHOUT_MEANING: &[Edit] = &[
    ("headers of different names change places", |sample| {
        sample
            .request
            .headers
            .sort_by_key(|(name, _)| std::cmp::Reverse(name.to_ascii_lowercase()));
    }),
    ("header names in upper case", |sample| {
        sample.request.headers.iter_mut().for_each(|(name, _)| name.make_ascii_uppercase());
    }),
    ("more blanks where there are some", |sample| {
        for (_, value) in &mut sample.request.headers {
            let words: Vec<&[u8]> = value.split(|&byte| byte == b' ').collect();
            *value = [b"\t ", &words.join(&b" \t "[..])[..], b"  "].concat();
        }
    }),
    ("a header that is never signed", |sample| {
        sample.request.headers.push((b"User-Agent".to_vec(), b"curl".to_vec()));
    }),
    ("the query from back to front", |sample| {
        if let Some(query) = &mut sample.request.query {
            let mut pieces: Vec<&[u8]> = query.split(|&byte| byte == b'&').collect();
            pieces.reverse();
            *query = pieces.join(&b'&');
        }
    }),
    ("each byte of the query as an escape", |sample| {
        if let Some(query) = &mut sample.request.query {
            let halves = query.split_inclusive(|byte| b"&=".contains(byte));
            let mut all = Vec::new();
            // Only the first `=` of a piece parts it; a further one becomes an escape.
            let mut is_value = false;
            for half in halves {
                let (text, end) = match half.split_last() {
                    Some((b'&', text)) => (text, &b"&"[..]),
                    Some((b'=', text)) if is_value => (text, &b"%3d"[..]),
                    Some((b'=', text)) => (text, &b"="[..]),
                    _ => (half, &b""[..]),
                };
                let spaced: Vec<u8> =
                    text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
                all.extend(escaped(&spaced));
                all.extend(end);
                is_value = end != b"&";
            }
            *query = all;
        }
    }),
    ("empty pieces and empty names in the query", |sample| {
        let query = sample.request.query.get_or_insert_default();
        *query = [&b"&=x&"[..], query, b"&"].concat();
    }),
    ("an escape for each byte of a path that is encoded once", |sample| {
        let dialect = sample.dialect();
        if dialect.normalize_path || dialect.double_encode || sample.request.path.is_empty() {
            return;
        }
        let (slash, rest) = sample.request.path.split_at(1);
        sample.request.path = [slash, &escaped(rest)].concat();
    }),
    ("empty and dot segments in a path that is normalized", |sample| {
        if sample.dialect().normalize_path && !sample.request.path.is_empty() {
            sample.request.path = [&b"//.//x/.."[..], &sample.request.path].concat();
        }
    }),
];

const EDITS_WITH_MEANING: &[Edit] = &[
    ("the method", |sample| sample.request.method.push(b'X')),
    ("one more segment", |sample| sample.request.path.extend(b"/x")),
    ("one more parameter", |sample| {
        let query = sample.request.query.get_or_insert_default();
        query.extend(b"&one-more");
    }),
    ("the same parameter twice", |sample| {
        let query = sample.request.query.get_or_insert_default();
        let twice = [&query[..], b"&a=1&a=1"].concat();
        *query = twice;
    }),
    ("one more header", |sample| {
        sample.request.headers.push((b"X-One-More".to_vec(), Vec::new()));
    }),
    ("the same header twice", |sample| {
        sample.request.headers.push((b"x-amz-meta-twice".to_vec(), b"1".to_vec()));
        sample.request.headers.push((b"x-amz-meta-twice".to_vec(), b"1".to_vec()));
    }),
    ("the payload", |sample| {
        if sample.service == "vpc-lattice-svcs" {
            sample.seconds ^= 1;
        }
        sample.payload = Some(Payload::hash("another body"));
    }),
    ("the region", |sample| sample.region.push('x')),
    ("the service", |sample| sample.service.push('x')),
    ("the secret", |sample| sample.keys.secret.push('x')),
    ("the second", |sample| sample.seconds ^= 1),
];

/// Each byte as an escape in lower case, those that were escaped before too.
fn escaped(text: &[u8]) -> Vec<u8> {
    let bytes = percent_encoding::percent_decode(text);
    bytes.flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect()
}

/// Whether a sample may be one that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faults {
    None,
    Some,
}

pub(crate) fn any_sample(faults: Faults) -> impl Strategy<Value = Sample> {
    let faulty = faults == Faults::Some;
    let payload = option::of(prop_oneof![
        Just(Payload::hash("a body")),
        Just(Payload::Unsigned),
        Just(Payload::Streaming),
        Just(Payload::StreamingUnsignedTrailer),
    ]);
    let region = prop_oneof![Just("us-east-1"), Just("eu-central-1"), Just("région")];
    let keys = (
        select(&["AKIDEXAMPLE", "ASIAEXAMPLE", "ключ"][..]),
        select(&["wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "s", "sécret ☃"][..]),
        option::of(select(&["IQoJb3JpZ2luX2Vj//+/==", "token", "a b"][..])),
        any::<bool>(),
    );
    let seconds =
        prop_oneof![0..=LAST_SECOND, Just(0), Just(LAST_SECOND), 1_440_000_000..=1_450_000_000_u64];
    let fault = if faulty {
        prop_oneof![8 => Just(None), 2 => (0..FAULTS.len()).prop_map(Some)].boxed()
    } else {
        Just(None).boxed()
    };
    let parts = (
        any_request(),
        select(SERVICES),
        payload,
        region,
        keys,
        seconds,
        1..=604_800_u32,
        (any::<bool>(), any_switches()),
        fault,
    );
    parts.prop_map(
        |(
            mut request,
            service,
            payload,
            region,
            (id, secret, token, s3_express),
            seconds,
            expires,
            (odd, switches),
            fault,
        )| {
            // Elsewhere than in S3 a `%` that is no escape stands for itself.
            if odd && Dialect::of(service).normalize_path {
                request.path.extend(b"/100%");
            }
            let mut sample = Sample {
                request,
                payload,
                region: region.to_owned(),
                service: service.to_owned(),
                keys: Keys {
                    id: id.to_owned(),
                    secret: secret.to_owned(),
                    token: token.map(str::to_owned),
                    s3_express,
                },
                seconds,
                expires,
                switches,
            };
            if let Some(fault) = fault {
                FAULTS[fault](&mut sample);
            }
            sample
        },
    )
}

fn any_switches() -> impl Strategy<Value = Switches> {
    let mostly_none = || prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)];
    (mostly_none(), mostly_none(), mostly_none(), mostly_none()).prop_map(
        |(double_encode, normalize_path, content_sha256, token_after_signing)| Switches {
            double_encode,
            normalize_path,
            content_sha256,
            token_after_signing,
        },
    )
}

fn any_request() -> impl Strategy<Value = Request> {
    let piece =
        (concat(NAMES, 2), any::<bool>(), concat(VALUES, 3)).prop_map(|(name, equals, value)| {
            if equals { [name, b"=".to_vec(), value].concat() } else { name }
        });
    let query = option::of(vec(piece, 1..6).prop_map(|pieces| pieces.join(&b'&')));
    let header = (select(HEADERS), concat(HEADER_VALUES, 4))
        .prop_map(|(name, value)| (name.as_bytes().to_vec(), value));
    (
        select(&["GET", "PUT", "POST", "DELETE", "M-SEARCH"][..]),
        any::<bool>(),
        select(AUTHORITIES),
        0..3,
        option::of(concat(SEGMENTS, 6)),
        query,
        vec(header, 0..8),
    )
        .prop_map(|(method, https, authority, host, path, query, mut headers)| {
            let bare = authority.rsplit('@').next().unwrap();
            if host > 0 {
                headers.push((b"Host".to_vec(), bare.as_bytes().to_vec()));
            }
            Request {
                method: method.as_bytes().to_vec(),
                https,
                authority: (host < 2).then(|| authority.as_bytes().to_vec()),
                path: path.map_or(Vec::new(), |path| [b"/".to_vec(), path].concat()),
                query: query.filter(|query| !query.is_empty()),
                headers,
            }
        })
}

fn concat(of: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(of), 0..=most).prop_map(|parts| parts.concat())
}

/// Bytes that look like what a request is made of, and bytes that look like nothing.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        "[ -~]{0,40}".prop_map(String::into_bytes),
        "[%/.&=+:?#@a-f0-9]{0,40}".prop_map(String::into_bytes),
        "(GET|PUT|host|x-amz-date|authorization|example\\.com|/|X-Amz-Signature=a&b)"
            .prop_map(String::into_bytes),
        concat(SEGMENTS, 8),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9-]{0,20}", "[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,20}", any::<String>()]
}

fn any_life() -> impl Strategy<Value = Duration> {
    prop_oneof![(1..=604_800_u64).prop_map(Duration::from_secs), any::<Duration>()]
}

fn any_time() -> impl Strategy<Value = SystemTime> {
    let around = (
        any::<bool>(),
        prop_oneof![0..=LAST_SECOND, any::<u64>(), Just(i64::MAX as u64)],
        0..1_000_000_000_u32,
    );
    around.prop_map(|(before, seconds, nanoseconds)| {
        let distance = Duration::new(seconds, nanoseconds);
        let at = if before {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        };
        at.unwrap_or(SystemTime::UNIX_EPOCH)
    })
}

pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What makes a request one that is refused, or one that almost is.
const FAULTS: &[fn(&mut Sample)] = &[
    |sample| sample.request.method.clear(),
    |sample| sample.request.method.push(b' '),
    |sample| sample.request.path.insert(0, b'x'),
    |sample| sample.request.path.extend(b"/%zz"),
    |sample| sample.request.path.extend(b"/a b\xff"),
    |sample| sample.request.query.get_or_insert_default().extend(b"&a=%4"),
    |sample| sample.request.query.get_or_insert_default().extend(b"&%=1"),
    |sample| sample.request.query.get_or_insert_default().extend(b"&=%zz"),
    |sample| sample.request.query.get_or_insert_default().extend(b"&a=\xff b"),
    |sample| sample.request.query = Some(Vec::new()),
    |sample| sample.request.headers.push((b"a b".to_vec(), b"1".to_vec())),
    |sample| sample.request.headers.push((b"a".to_vec(), b"1\r\nb: 2".to_vec())),
    |sample| sample.request.headers.push((b"user-agent".to_vec(), b"\0".to_vec())),
    |sample| sample.request.headers.push((b"host".to_vec(), b"example.com".to_vec())),
    |sample| sample.request.authority = None,
    |sample| sample.request.authority = Some(b"example.org".to_vec()),
    |sample| sample.region.push('/'),
    |sample| sample.service.clear(),
    |sample| sample.keys.id.push(','),
    |sample| sample.keys.secret.clear(),
    |sample| sample.keys.token = Some("a\nb".to_owned()),
];

const SERVICES: &[&str] = &[
    "s3",
    "s3",
    "s3express",
    "s3-outposts",
    "s3-object-lambda",
    "aoss",
    "execute-api",
    "glacier",
    "iotdevicegateway",
    "sts",
    "vpc-lattice-svcs",
];

const AUTHORITIES: &[&str] = &[
    "example.com",
    "Example.COM:8443",
    "example.com:80",
    "example.com:443",
    "user:p%40ss@example.com",
    "[fd00::1]",
    "[fd00::1]:443",
    "[::80]:8080",
];

const SEGMENTS: &[&[u8]] = &[
    b"a",
    b"B9",
    b"-._~",
    b"/",
    b"/",
    b"//",
    b"/./",
    b"/../",
    b"/.",
    b"/..",
    b".",
    b"..",
    b"%20",
    b"%2F",
    b"%2f",
    b"%3d",
    b"%41",
    b"%2e",
    b"+",
    b"=",
    b"(1)",
    b"'",
    b"*",
    b"@:,;!$",
    b"|",
    b"\xc3\xa9",
    b"%FF",
    b"%25",
];

const NAMES: &[&[u8]] = &[
    b"a",
    b"a-b",
    b"A",
    b"Filter.1",
    b"Filter.10",
    b"prefix",
    b"%61",
    b"%20",
    b"+",
    b"~",
    b"'",
    b"\xc3\xa9",
    b"%e4",
    b"X-Amz-Date",
    b"X-Amz-Expires",
    b"%58-Amz-Signature",
    b"X-Amz-Meta",
    b"x-amz-date",
    b"X-Amz-Security-Token",
];

const VALUES: &[&[u8]] = &[
    b"",
    b"1",
    b"2",
    b"a",
    b"b=c",
    b"=",
    b"+",
    b"%2B",
    b"%2b",
    b"%20",
    b"%e4",
    b"%FF",
    b"%C3%A9",
    b"\xc3\xa9",
    b"/",
    b"%2F",
    b"?",
    b":",
    b"*",
    b"~",
    b"%7E",
    b"'",
    b"@",
];

const HEADERS: &[&str] = &[
    "Accept",
    "accept",
    "Accept-Encoding",
    "Authorization",
    "Content-Length",
    "Content-Type",
    "Date",
    "Range",
    "TE",
    "User-Agent",
    "Via",
    "X-Amz-Content-Sha256",
    "X-Amz-Date",
    "x-amz-meta-a",
    "X-Amz-Meta-B",
    "x-amz-meta",
    "X-Amz-Region-Set",
    "X-Amz-S3session-Token",
    "X-Amz-Security-Token",
    "X-Amzn-Trace-Id",
    "X-Custom",
    "x-custom-2",
    "x-customa2",
    "x-customb",
    "x-forwarded-for",
];

const HEADER_VALUES: &[&[u8]] = &[
    b"",
    b"a",
    b"b c",
    b"a    b",
    b" ",
    b"\t",
    b"  ",
    b"\"x  y\"",
    b": ",
    b",",
    b", ",
    b"\xe9",
    b"\xc2\xa0",
    b";q=0.5",
];

/// The headers of an earlier signature.
const REPLACED: [&str; 6] = [
    "authorization",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-region-set",
    "x-amz-s3session-token",
    "x-amz-security-token",
];

/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;
