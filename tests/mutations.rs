//! A request with one byte changed is accepted if and only if the change has no meaning.

use std::{fmt, fs, time::Duration};

use countersign::{
    Credentials, Head, Headers, Payload, Presign, Rules, Scratch, SigningKey,
    verify::{Known, Verifier},
};

use crate::{
    external::Suite,
    support::{
        at, external_data,
        reference::{Dialect, canonical_path, canonical_query, folded},
    },
};

#[test]
fn the_official_suite_verifies_and_no_byte_of_it_can_be_changed() {
    let Some(data) = external_data("mutations of the official suite") else { return };
    let (mut mutations, mut without_meaning) = (0, 0);
    for folder in fs::read_dir(data.join("aws-c-auth/v4")).unwrap() {
        let folder = folder.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let suite = Suite::read(folder);
        for is_presigned in [false, true] {
            let received = Received::signed(&suite, is_presigned);
            assert!(received.is_accepted(), "{received:?}");
            for changed in received.changed() {
                let expected = changed.meaning() == received.meaning();
                assert_eq!(changed.is_accepted(), expected, "{received:?} became {changed:?}");
                mutations += 1;
                without_meaning += usize::from(expected);
            }
        }
    }
    println!("{mutations} mutations, {without_meaning} of them without meaning");
    assert!(mutations > 45_000 && without_meaning > 0);
}

/// A request as a server receives it.
#[derive(Clone)]
struct Received {
    method: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    rules: Rules,
    normalize_path: bool,
    token_after_signing: bool,
    time: String,
    credentials: Credentials,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &[u8]| text.escape_ascii().to_string();
        writeln!(f, "{} {}?{}", shown(&self.method), shown(&self.path), shown(&self.query))?;
        for (name, value) in &self.headers {
            writeln!(f, "{}: {}", shown(name), shown(value))?;
        }
        f.write_str(&shown(&self.body))
    }
}

/// What a signature covers; `None` if that cannot be told.
type Meaning = Option<(Vec<u8>, String, String, Vec<(String, Vec<u8>)>, Vec<u8>)>;

impl Received {
    fn signed(suite: &Suite, is_presigned: bool) -> Received {
        let time = suite.context["timestamp"].as_str().unwrap();
        let body =
            if suite.context["sign_body"] == true { suite.request.body.as_str() } else { "" };
        let pairs = suite.request.pairs();
        let method = suite.request.method.as_bytes();
        let head =
            Head::parse(method, suite.request.target.as_bytes(), Headers::Pairs(&pairs)).unwrap();
        let mut headers: Vec<(Vec<u8>, Vec<u8>)> =
            pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let mut query = head.query.unwrap_or_default().to_vec();
        let (payload, mut scratch) = (Payload::hash(body), Scratch::new());
        if is_presigned {
            let presign = Presign::expires_in(Duration::from_secs(3600)).with_payload(payload);
            let signed = suite.signer.presign_head(
                head,
                presign,
                &suite.credentials,
                at(time),
                &mut scratch,
            );
            query = signed.unwrap().query().to_vec();
        } else {
            let signed =
                suite.signer.sign_head(head, payload, &suite.credentials, at(time), &mut scratch);
            headers.extend(signed.unwrap().headers().map(|(n, v)| (n.into(), v.into())));
        }
        Received {
            method: method.to_vec(),
            path: head.path.to_vec(),
            query,
            headers,
            body: body.into(),
            rules: suite.signer.rules(),
            normalize_path: suite.context["normalize"].as_bool().unwrap(),
            token_after_signing: suite.context["omit_session_token"].as_bool().unwrap_or(false),
            time: time.to_owned(),
            credentials: suite.credentials.clone(),
        }
    }

    fn is_accepted(&self) -> bool {
        let pairs: Vec<(&[u8], &[u8])> =
            self.headers.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        let head = Head {
            method: &self.method,
            https: true,
            authority: None,
            path: &self.path,
            query: Some(&self.query),
            headers: Headers::Pairs(&pairs),
        };
        let verifier = Verifier::new().with_rules(self.rules);
        let verify = || {
            let claim = verifier.claim(head, at(&self.time))?;
            let credentials = &self.credentials;
            let is_known = claim.access_key_id() == credentials.access_key_id();
            let secret = credentials.secret_access_key();
            let key = is_known.then(|| SigningKey::derive(secret, &claim.scope()));
            let known = key.as_ref().map(|key| match credentials.session_token() {
                Some(token) => Known::new(key).with_session_token(token),
                None => Known::new(key),
            });
            let hash = Payload::hash(&self.body);
            claim.verify(known, Some(hash), &mut Scratch::new())?.1.finish()
        };
        verify().is_ok()
    }

    /// By the independent reference: method, path, query, headers and body in canonical form.
    fn meaning(&self) -> Meaning {
        let dialect = Dialect { normalize_path: self.normalize_path, ..Dialect::of("service") };
        // A signature is compared as it is, and a token behind it is none of its parts.
        let mut query = canonical_query(&self.query).ok()?;
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        for (name, value) in &self.headers {
            let name = String::from_utf8(name.to_ascii_lowercase()).ok()?;
            if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
                return None;
            }
            // The parts of an Authorization header may be spaced otherwise, and that is all.
            let value = match &*name {
                "authorization" => folded(value)
                    .split(|byte| *byte == b',')
                    .map(<[u8]>::trim_ascii)
                    .collect::<Vec<_>>()
                    .join(&b','),
                _ => folded(value),
            };
            match headers.iter_mut().find(|(other, _)| *other == name) {
                Some((_, all)) => all.extend([b",", &value[..]].concat()),
                None => headers.push((name, value)),
            }
        }
        headers.sort();
        if self.path.first() != Some(&b'/') {
            return None;
        }
        let path = canonical_path(&self.path, dialect).ok()?;
        if self.token_after_signing && self.query.contains(&b'&') {
            // Compared with the key's token all the same.
            query.push('!');
        }
        Some((self.method.clone(), path, query, headers, self.body.clone()))
    }

    /// The same request with one byte changed, for each byte.
    fn changed(&self) -> Vec<Received> {
        let mut all = Vec::new();
        let mut change = |get: &dyn Fn(&mut Received) -> &mut Vec<u8>| {
            let len = get(&mut self.clone()).len();
            for at in 0..len {
                for byte in [0x01, 0x20] {
                    let mut changed = self.clone();
                    get(&mut changed)[at] ^= byte;
                    all.push(changed);
                }
            }
        };
        change(&|received| &mut received.method);
        change(&|received| &mut received.path);
        change(&|received| &mut received.query);
        change(&|received| &mut received.body);
        for at in 0..self.headers.len() {
            change(&|received| &mut received.headers[at].1);
        }
        // A byte put in, where it has no meaning and where it has one.
        for (put, at) in [(&b"/./"[..], 0), (b"/", 0), (b"//", 0), (b"a", self.path.len())] {
            let mut changed = self.clone();
            changed.path.splice(at..at, put.iter().copied());
            all.push(changed);
        }
        all
    }
}

#[test]
fn the_case_whose_token_is_unsigned_is_accepted_under_that_rule_alone() {
    let Some(data) = external_data("the unsigned token of the official suite") else { return };
    let suite = Suite::read(data.join("aws-c-auth/v4/post-sts-header-after"));
    for is_presigned in [false, true] {
        let received = Received::signed(&suite, is_presigned);
        assert!(received.is_accepted());
        let strict = Received { rules: Rules::GENERAL, ..received };
        assert!(!strict.is_accepted());
    }
}
