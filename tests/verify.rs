//! What a verifier accepts and refuses.

use std::{
    borrow::Cow,
    fs,
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials, Head, Headers, Payload, Presign, Rules, Scratch, Signer, SigningKey, Timestamp,
    verify::{
        Dialect, Error, Known, Place, Refusal, Verified, Verifier, claimed_credential,
        claimed_service,
    },
};

use crate::support::{Case, external_data};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

fn keys() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
}

fn signed(service: &str, url: &str, body: &'static str) -> http::Request<&'static str> {
    let mut request = http::Request::post(url).header("x-note", "a  b").body(body).unwrap();
    let signer = Signer::new("us-east-1", service);
    signer.sign(&mut request, Payload::hash(body), &keys(), now()).unwrap();
    request
}

fn presigned(service: &str, url: &str) -> http::Request<&'static str> {
    let mut request = http::Request::get(url).body("").unwrap();
    let presign = Presign::expires_in(Duration::from_secs(600));
    Signer::new("us-east-1", service).presign(&mut request, presign, &keys(), now()).unwrap();
    request
}

/// Verifies at `at`, by a server that knows these credentials and has read the body.
fn verify_at(
    verifier: &Verifier,
    head: Head<'_>,
    body: &[u8],
    credentials: &Credentials,
    at: SystemTime,
) -> Result<Verified<'static>, Error> {
    let claim = verifier.claim(head, at)?;
    let is_known = claim.access_key_id() == credentials.access_key_id();
    let key = is_known.then(|| SigningKey::derive(credentials.secret_access_key(), &claim.scope()));
    let known = key.as_ref().map(|key| {
        let known = Known::new(key);
        match credentials.session_token() {
            Some(token) => known.with_session_token(token),
            None => known,
        }
    });
    // A body whose hash is not named has to be hashed before; any other is checked behind.
    let hash = claim.payload().is_none().then(|| Payload::hash(body));
    let (verified, mut check) = claim.verify(known, hash, &mut Scratch::new())?;
    for piece in body.chunks(3) {
        check.push(piece)?;
    }
    check.finish()?;
    Ok(verified.into_owned())
}

fn verify(request: &http::Request<&str>) -> Result<Verified<'static>, Error> {
    verify_at(&Verifier::new(), Head::from(request), request.body().as_bytes(), &keys(), now())
}

fn refusal(request: &http::Request<&str>) -> Refusal {
    verify(request).unwrap_err().refusal()
}

fn set(request: &mut http::Request<&str>, name: &'static str, value: &str) {
    request.headers_mut().insert(name, value.parse().unwrap());
}

fn set_query(request: &mut http::Request<&str>, edit: impl FnOnce(&str) -> String) {
    let uri = request.uri();
    let query = edit(uri.query().unwrap_or_default());
    let text = format!("https://{}{}?{query}", uri.authority().unwrap(), uri.path());
    *request.uri_mut() = text.parse().unwrap();
}

#[test]
fn what_was_signed_is_accepted_and_says_by_whom() {
    let verified = verify(&signed("s3", "https://b.s3.amazonaws.com/a=b?x=1", "meow")).unwrap();
    assert_eq!(verified.access_key_id(), "AKIDEXAMPLE");
    assert_eq!(verified.scope().to_string(), "20150830/us-east-1/s3/aws4_request");
    assert_eq!(
        verified.signed_headers().collect::<Vec<_>>(),
        ["host", "x-amz-content-sha256", "x-amz-date", "x-note"]
    );
    assert_eq!(verified.payload(), Payload::hash("meow"));
    assert_eq!((verified.place(), verified.expires_at()), (Place::Header, None));
    let verified = verify(&presigned("sts", "https://sts.amazonaws.com/?Action=x")).unwrap();
    assert_eq!(verified.place(), Place::Query);
    assert_eq!(verified.expires_at(), Some(now() + Duration::from_secs(600)));
}

#[test]
fn a_claim_says_what_the_request_says_of_itself() {
    let mut request = http::Request::put("https://b.s3.amazonaws.com/k").body("meow").unwrap();
    // A header is no query, in which these would be escapes.
    let token = "to+ken%2B";
    let credentials = keys().with_session_token(token);
    let payload = Payload::hash("meow");
    Signer::new("us-east-1", "s3").sign(&mut request, payload, &credentials, now()).unwrap();
    let verifier = Verifier::new().with_clock_skew(Duration::from_secs(60));
    let claim = verifier.claim(Head::from(&request), now()).unwrap();
    let authorization = request.headers()["authorization"].as_bytes();
    assert_eq!(claim.signature(), &authorization[authorization.len() - 64..]);
    assert_eq!(claim.session_token().as_deref(), Some(token.as_bytes()));
    assert_eq!(claim.payload(), Some(payload));
    assert_eq!(claim.clock_skew(), Duration::from_secs(60));
    assert_eq!(claim.region_set(), None);
    assert!(format!("{claim:?}").starts_with("Claim { access_key_id: \"AKIDEXAMPLE\", scope: "));

    let key = SigningKey::derive(keys().secret_access_key(), &claim.scope());
    let known = Known::new(&key).with_session_token(token);
    let (verified, check) = claim.verify(Some(known), None, &mut Scratch::new()).unwrap();
    assert_eq!(verified.region_set(), None);
    assert!(format!("{verified:?}").contains("access_key_id: \"AKIDEXAMPLE\""), "{verified:?}");
    assert_eq!(format!("{check:?}"), "BodyCheck { .. }");
}

#[test]
fn an_event_stream_is_taken_by_who_says_to_check_its_messages() {
    let mut request = http::Request::post("https://h/").body("").unwrap();
    let signer = Signer::new("us-east-1", "transcribe");
    signer.sign(&mut request, Payload::Events, &keys(), now()).unwrap();
    let verify = |body| {
        let verifier = Verifier::new();
        let claim = verifier.claim(Head::from(&request), now()).unwrap();
        let key = SigningKey::derive(keys().secret_access_key(), &claim.scope());
        let verified = claim.verify(Some(Known::new(&key)), body, &mut Scratch::new());
        verified.map(|(verified, _)| verified.payload()).map_err(|error| error.refusal())
    };
    assert_eq!(verify(Some(Payload::Events)), Ok(Payload::Events));
    assert_eq!(verify(None), Err(Refusal::UnsupportedPayload));
}

#[test]
fn two_thousand_differential_cases_are_accepted_and_altered_ones_refused() {
    let Some(data) = external_data("verify differential.jsonl") else { return };
    let text = fs::read_to_string(data.join("differential.jsonl")).unwrap();
    let verifier = Verifier::new().with_unsigned_payloads(true);
    let mut count = 0;
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let case = Case::parse(&line["in"]);
        let sent = case.sign_http().unwrap().unwrap();
        let headers: Vec<(&[u8], &[u8])> =
            sent.headers.iter().map(|(name, value)| (name.as_bytes(), &value[..])).collect();
        let method = case.method.as_bytes();
        let head = Head::parse(method, sent.url.as_bytes(), Headers::Pairs(&headers)).unwrap();
        let at = SystemTime::from(case.at.parse::<Timestamp>().unwrap());
        // The body of a presigned request is not signed by these cases.
        let body: &[u8] = if case.presign { b"" } else { &case.body };
        let check = |head, body| verify_at(&verifier, head, body, &case.credentials, at);
        check(head, body).unwrap_or_else(|error| panic!("{error}: {line}"));
        let query = [head.query.unwrap_or_default(), b"&another"].concat();
        for altered in [
            Head { method: b"TRACE", ..head },
            Head { path: b"/another", ..head },
            Head { query: Some(&query), ..head },
        ] {
            assert!(check(altered, body).is_err(), "{altered:?}: {line}");
        }
        if !case.presign && case.payload.is_none() {
            assert!(check(head, b"another body").is_err(), "{line}");
        }
        let later = at + Duration::from_secs(8 * 86_400);
        assert!(verify_at(&verifier, head, body, &case.credentials, later).is_err(), "{line}");
        count += 1;
    }
    assert_eq!(count, 2000);
}

#[test]
fn a_request_without_a_signature_has_no_credentials() {
    let request = http::Request::get("https://sts.amazonaws.com/").body("").unwrap();
    assert_eq!(refusal(&request), Refusal::NoCredentials);
}

#[test]
fn an_authorization_header_that_cannot_be_read_is_malformed() {
    let good = signed("sts", "https://sts.amazonaws.com/", "x");
    let authorization = good.headers()["authorization"].to_str().unwrap().to_owned();
    for (from, to) in [
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        ("AWS4-HMAC-SHA256", "Bearer"),
        ("SignedHeaders=", "Headers="),
        ("/us-east-1", ""),
        ("/us-east-1", "//us-east-1"),
        ("/aws4_request", "/aws4_request/x"),
        ("AKIDEXAMPLE", ""),
        ("SignedHeaders=", "SignedHeaders=;"),
        ("SignedHeaders=host", "SignedHeaders=host;host"),
        (", Signature=", ", Signature"),
    ] {
        let mut request = good.clone();
        set(&mut request, "authorization", &authorization.replace(from, to));
        assert_eq!(refusal(&request), Refusal::Malformed, "{from} → {to}");
    }
    let mut spaced = good.clone();
    set(&mut spaced, "authorization", &authorization.replace(", ", ","));
    verify(&spaced).unwrap();
}

#[test]
fn an_asymmetric_signature_is_refused_by_who_cannot_verify_it() {
    let mut request = signed("sts", "https://sts.amazonaws.com/", "x");
    set(&mut request, "x-amz-region-set", "us-east-1");
    let signature = "30".repeat(70);
    let authorization = format!(
        "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/sts/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-region-set, Signature={signature}"
    );
    set(&mut request, "authorization", &authorization);
    let error = Verifier::new().claim(Head::from(&request), now()).unwrap_err();
    assert_eq!(error.refusal(), Refusal::Malformed);
    assert!(error.message().contains("AWS4-ECDSA-P256-SHA256 are not accepted"), "{error}");
}

#[test]
fn who_a_request_says_that_it_is_from_can_be_told_though_it_is_refused() {
    const SCOPE: &str = "20150830/us-east-1/s3/aws4_request";
    let of_header = |value: &str| {
        let headers = [(&b"authorization"[..], value.as_bytes())];
        let head = Head::parse(b"GET", b"/", Headers::Pairs(&headers)).unwrap();
        claimed_credential(head).map(Cow::into_owned)
    };
    let whole = Some(format!("AKID/{SCOPE}"));
    assert_eq!(of_header(&format!("AWS4-HMAC-SHA256 Credential=AKID/{SCOPE}, what")), whole);
    assert_eq!(of_header(&format!("AWS5 SignedHeaders=,Credential=AKID/{SCOPE}")), whole);
    assert_eq!(of_header("AWS4-HMAC-SHA256 Credential=AKID").as_deref(), Some("AKID"));
    assert_eq!(of_header("AWS AKID:signature"), None);
    let elsewhere = Verifier::new().with_region("eu-west-1").with_services(["sqs"]);
    for request in
        [signed("s3", "https://example.com/", "meow"), presigned("s3", "https://example.com/?a=b")]
    {
        let head = Head::from(&request);
        assert!(elsewhere.claim(head, now()).is_err());
        assert_eq!(claimed_credential(head), Some(format!("AKIDEXAMPLE/{SCOPE}").into()));
    }
    let none = http::Request::get("https://example.com/").body("").unwrap();
    assert_eq!(claimed_credential(Head::from(&none)), None);
}

#[test]
fn a_signature_that_is_there_twice_is_ambiguous() {
    let good = signed("sts", "https://sts.amazonaws.com/", "x");
    let mut twice = good.clone();
    let authorization = good.headers()["authorization"].clone();
    twice.headers_mut().append("authorization", authorization.clone());
    assert_eq!(refusal(&twice), Refusal::Ambiguous);
    let mut dated = good.clone();
    dated.headers_mut().append("x-amz-date", "20150830T123600Z".parse().unwrap());
    assert_eq!(refusal(&dated), Refusal::Ambiguous);
    let mut both = presigned("sts", "https://sts.amazonaws.com/");
    both.headers_mut().insert("authorization", authorization);
    assert_eq!(refusal(&both), Refusal::Ambiguous);
    let mut query = presigned("sts", "https://sts.amazonaws.com/");
    set_query(&mut query, |query| format!("{query}&X-Amz-Expires=600"));
    assert_eq!(refusal(&query), Refusal::Ambiguous);
    let mut part = good;
    let authorization = part.headers()["authorization"].to_str().unwrap().to_owned();
    set(&mut part, "authorization", &format!("{authorization}, Signature=0"));
    assert_eq!(refusal(&part), Refusal::Ambiguous);
}

#[test]
fn what_decides_and_is_there_twice_is_refused() {
    let good = signed("sts", "https://sts.amazonaws.com/", "x");
    for (name, expected) in [("host", Refusal::Malformed), ("x-amz-region-set", Refusal::Ambiguous)]
    {
        let mut twice = good.clone();
        twice.headers_mut().append(name, "a".parse().unwrap());
        twice.headers_mut().append(name, "a".parse().unwrap());
        assert_eq!(refusal(&twice), expected, "{name}");
    }
    let mut query = presigned("sts", "https://sts.amazonaws.com/");
    set_query(&mut query, |query| format!("{query}&X-Amz-Region-Set=a&X-Amz-Region-Set=a"));
    assert_eq!(refusal(&query), Refusal::Ambiguous);
}

#[test]
fn any_part_of_a_signature_in_a_query_is_a_signature_that_lacks_the_others() {
    let refusal =
        |query: &str| refusal(&http::Request::get(format!("https://h/?{query}")).body("").unwrap());
    for query in [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Credential=AKIDEXAMPLE",
        "X-Amz-Signature=0",
        "%58-Amz-Signature=0",
        "a=1&X-Amz-Signature=0",
        "a=1&X-Amz%2dSignature=0",
    ] {
        assert_eq!(refusal(query), Refusal::Malformed, "{query}");
    }
    for query in ["", "a=1", "X-Amz-Expires=1", "x-amz-signature=0", "a=X-Amz-Signature=0"] {
        assert_eq!(refusal(query), Refusal::NoCredentials, "{query}");
    }
}

#[test]
fn a_header_that_no_request_can_hold_is_refused_before_any_key_is_looked_up() {
    let good = signed("sts", "https://sts.amazonaws.com/", "x");
    let headers = good.headers().iter();
    let mut pairs: Vec<(&[u8], &[u8])> =
        headers.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
    let claim = |pairs: &[(&[u8], &[u8])]| {
        let head = Head { headers: Headers::Pairs(pairs), ..Head::from(&good) };
        Verifier::new().claim(head, now()).map(|_| ()).map_err(|error| error.refusal())
    };
    assert_eq!(claim(&pairs), Ok(()));
    for (name, value) in [("x note", "a"), ("", "a"), ("x-other", "a\nb"), ("x-other", "a\0")] {
        pairs.push((name.as_bytes(), value.as_bytes()));
        assert_eq!(claim(&pairs), Err(Refusal::Malformed), "{name:?}: {value:?}");
        pairs.pop();
    }
}

#[test]
fn the_hash_in_a_query_counts_however_it_is_escaped() {
    let scope = countersign::Scope::parse("20150830/us-east-1/s3/aws4_request").unwrap();
    let hash = Payload::EMPTY.line();
    let query = |hash: &str| {
        format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256={hash}&X-Amz-Credential=AKIDEXAMPLE%2F\
             20150830%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=600&\
             X-Amz-SignedHeaders=host"
        )
    };
    let canonical = format!("GET\n/k\n{}\nhost:b\n\nhost\n{}", query(hash.as_str()), hash.as_str());
    let Payload::Sha256(digest) = Payload::hash(&canonical) else { unreachable!() };
    let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{}", hex(&digest));
    let key = SigningKey::derive(keys().secret_access_key(), &scope);
    let signature = hex(&key.sign(text.as_bytes()));
    for hash in [hash.as_str().to_owned(), hash.as_str().replacen('e', "%65", 1)] {
        let url = format!("https://b/k?{}&X-Amz-Signature={signature}", query(&hash));
        let verified = verify(&http::Request::get(url).body("").unwrap()).unwrap();
        assert_eq!(verified.payload(), Payload::EMPTY);
    }
}

#[test]
fn the_scope_must_be_of_the_day_the_region_and_the_service() {
    let good = signed("sts", "https://sts.amazonaws.com/", "x");
    let authorization = good.headers()["authorization"].to_str().unwrap().to_owned();
    for (from, to) in [("20150830", "20150831"), ("aws4_request", "aws3_request")] {
        let mut request = good.clone();
        set(&mut request, "authorization", &authorization.replace(from, to));
        assert_eq!(refusal(&request), Refusal::WrongScope, "{from} → {to}");
    }
    for verifier in
        [Verifier::new().with_region("eu-west-1"), Verifier::new().with_services(["s3"])]
    {
        let error = verifier.claim(Head::from(&good), now()).unwrap_err();
        assert_eq!(error.refusal(), Refusal::WrongScope);
        assert_eq!(
            (error.code(Dialect::General), error.status(Dialect::General)),
            ("SignatureDoesNotMatch", 403)
        );
        assert_eq!(
            (error.code(Dialect::S3), error.status(Dialect::S3)),
            ("AuthorizationHeaderMalformed", 400)
        );
    }
    let verifier = Verifier::new().with_region("us-east-1").with_services(["s3", "sts"]);
    assert!(verifier.claim(Head::from(&good), now()).is_ok());
}

#[test]
fn the_clock_may_be_off_by_a_quarter_of_an_hour_in_either_direction() {
    let request = signed("sts", "https://sts.amazonaws.com/", "x");
    let verify = |at| verify_at(&Verifier::new(), Head::from(&request), b"x", &keys(), at);
    let (quarter, second) = (Duration::from_secs(900), Duration::from_secs(1));
    verify(now() + quarter).unwrap();
    verify(now() - quarter).unwrap();
    for at in [now() + quarter + second, now() - quarter - second] {
        let error = verify(at).unwrap_err();
        assert_eq!(error.refusal(), Refusal::TimeSkewed);
        assert_eq!(error.code(Dialect::S3), "RequestTimeTooSkewed");
    }
}

#[test]
fn a_presigned_url_holds_until_it_expires_and_not_before_its_date() {
    let request = presigned("s3", "https://b.s3.amazonaws.com/k");
    let verify = |at| verify_at(&Verifier::new(), Head::from(&request), b"", &keys(), at);
    verify(now() + Duration::from_secs(600)).unwrap();
    verify(now() - Duration::from_secs(900)).unwrap();
    for at in [now() + Duration::from_secs(601), now() - Duration::from_secs(901)] {
        let error = verify(at).unwrap_err();
        assert_eq!(error.refusal(), Refusal::Expired);
        assert_eq!((error.code(Dialect::S3), error.status(Dialect::S3)), ("AccessDenied", 403));
    }
}

#[test]
fn a_url_may_hold_longer_than_any_clock_tells() {
    let endless = Verifier::new().with_clock_skew(Duration::MAX).with_longest_expiry(Duration::MAX);
    let mut request = presigned("sts", "https://sts.amazonaws.com/");
    set_query(&mut request, |query| query.replace("&X-Amz-Expires=600", ""));
    assert!(endless.claim(Head::from(&request), now()).is_ok());
    let mut request = presigned("s3", "https://b.s3.amazonaws.com/k");
    set_query(&mut request, |query| query.replace("=600", &format!("={}", u64::MAX)));
    assert!(endless.claim(Head::from(&request), now()).is_ok());
}

#[test]
fn a_hash_that_another_client_named_in_a_url_is_replaced_with_its_signature() {
    for payload in ["UNSIGNED-PAYLOAD", "0".repeat(64).leak()] {
        let stale = format!("?X-Amz-Content-Sha256={payload}");
        let request = presigned("s3", &format!("https://b.s3.amazonaws.com/k{stale}&a=b"));
        verify(&request).unwrap();
        assert!(request.uri().query().unwrap().starts_with("a=b&X-Amz-Algorithm"), "{request:?}");
        let url = format!("https://sts.amazonaws.com/{stale}");
        verify(&presigned("sts", &url)).unwrap();
        verify(&signed("sts", &url, "meow")).unwrap();
    }
}

#[test]
fn names_of_headers_may_be_as_long_as_they_like() {
    let long = "a".repeat(1 << 20);
    for (names, expected) in [
        (format!("host;x-amz-date;{long};{long}"), "names a header twice"),
        (format!("{long};{long}b;host;x-amz-date"), "signature we calculated"),
    ] {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders={names}, Signature={}",
            "0".repeat(64)
        );
        let headers: [(&[u8], &[u8]); 4] = [
            (b"host", b"iam.amazonaws.com"),
            (b"x-amz-date", b"20150830T123600Z"),
            (b"authorization", authorization.as_bytes()),
            (long.as_bytes(), b""),
        ];
        let head = Head::parse(b"GET", b"/", Headers::Pairs(&headers)).unwrap();
        let error = verify_at(&Verifier::new(), head, b"", &keys(), now()).unwrap_err();
        assert!(error.to_string().contains(expected), "{:.300}", error.to_string());
    }
}

#[test]
fn a_presigned_urls_life_is_from_one_second_to_a_week() {
    for life in ["0", "-1", "604801", "x", "", "1.5", "+600", "99999999999999999999"] {
        let mut request = presigned("s3", "https://b.s3.amazonaws.com/k");
        set_query(&mut request, |query| {
            query.replace("X-Amz-Expires=600", &format!("X-Amz-Expires={life}"))
        });
        assert_eq!(refusal(&request), Refusal::InvalidExpiry, "{life}");
    }
    let without = |service, url| {
        let mut request = presigned(service, url);
        set_query(&mut request, |query| query.replace("&X-Amz-Expires=600", ""));
        request
    };
    assert_eq!(refusal(&without("s3", "https://b.s3.amazonaws.com/k")), Refusal::InvalidExpiry);
    // Other services fall back on the clock skew, so it is the signature that differs.
    assert_eq!(refusal(&without("sts", "https://sts.amazonaws.com/")), Refusal::SignatureDiffers);
    let short = Verifier::new().with_longest_expiry(Duration::from_secs(599));
    let request = presigned("s3", "https://b.s3.amazonaws.com/k");
    let error = short.claim(Head::from(&request), now()).unwrap_err();
    assert_eq!(error.refusal(), Refusal::InvalidExpiry);
}

#[test]
fn an_unknown_key_and_a_wrong_secret_are_told_apart_unless_refusals_are_uniform() {
    let request = signed("sts", "https://sts.amazonaws.com/", "x");
    let unknown = Credentials::new("AKIDOTHER", "x");
    let wrong = Credentials::new("AKIDEXAMPLE", "x");
    let temporary = keys().with_session_token("token");
    let verify = |verifier: &Verifier, credentials: &Credentials| {
        verify_at(verifier, Head::from(&request), b"x", credentials, now()).unwrap_err()
    };
    let plain = Verifier::new();
    assert_eq!(verify(&plain, &unknown).code(Dialect::S3), "InvalidAccessKeyId");
    assert_eq!(verify(&plain, &unknown).code(Dialect::General), "InvalidClientTokenId");
    assert_eq!(verify(&plain, &wrong).code(Dialect::General), "SignatureDoesNotMatch");
    assert_eq!(verify(&plain, &temporary).code(Dialect::S3), "InvalidToken");
    let uniform = Verifier::new().with_uniform_refusals(true);
    let answers = [&unknown, &wrong, &temporary].map(|credentials| {
        let error = verify(&uniform, credentials);
        (error.code(Dialect::S3), error.status(Dialect::S3), error.message().to_owned())
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // What was compared is of the request alone, and must not tell who is known.
    let shown = [&unknown, &wrong, &temporary].map(|credentials| {
        let error = verify(&uniform.clone().with_debugging(true), credentials);
        error.canonical_request().map(str::to_owned)
    });
    assert!(shown[0].is_some() && shown.iter().all(|text| *text == shown[0]), "{shown:?}");
}

#[test]
fn a_session_token_must_be_the_keys_in_either_form() {
    let credentials = keys().with_session_token("a/token+with=odd bytes");
    let other = keys().with_session_token("another");
    let mut header = http::Request::get("https://sts.amazonaws.com/").body("").unwrap();
    let mut query = header.clone();
    let signer = Signer::new("us-east-1", "sts");
    signer.sign(&mut header, Payload::EMPTY, &credentials, now()).unwrap();
    let presign = Presign::expires_in(Duration::from_secs(60));
    signer.presign(&mut query, presign, &credentials, now()).unwrap();
    for request in [header, query] {
        let verify = |credentials| {
            verify_at(&Verifier::new(), Head::from(&request), b"", credentials, now())
        };
        verify(&credentials).unwrap();
        for wrong in [&other, &keys()] {
            assert_eq!(verify(wrong).unwrap_err().refusal(), Refusal::WrongToken);
        }
    }
}

#[test]
fn host_and_every_amz_header_must_be_signed() {
    let mut request = signed("sts", "https://sts.amazonaws.com/", "x");
    set(&mut request, "x-amz-acl", "public-read");
    let error = verify(&request).unwrap_err();
    assert_eq!(error.refusal(), Refusal::UnsignedHeader);
    assert_eq!(error.code(Dialect::S3), "AccessDenied");
    let tolerant = Verifier::new().with_tolerated_headers(["X-Amz-Acl"]);
    verify_at(&tolerant, Head::from(&request), b"x", &keys(), now()).unwrap();
    // A header that is no `x-amz-*` may be added by anybody, and is not believed.
    let mut request = signed("sts", "https://sts.amazonaws.com/", "x");
    set(&mut request, "x-other", "1");
    verify(&request).unwrap();
    let strict = Verifier::new().with_required_headers(["x-other"]);
    let error = verify_at(&strict, Head::from(&request), b"x", &keys(), now()).unwrap_err();
    assert_eq!(error.refusal(), Refusal::NotSigned);
    let authorization = request.headers()["authorization"].to_str().unwrap().replace("host;", "");
    set(&mut request, "authorization", &authorization);
    assert_eq!(refusal(&request), Refusal::NotSigned);
}

#[test]
fn a_signature_that_differs_in_any_way_is_refused() {
    let good = signed("sts", "https://sts.amazonaws.com/a?b=c", "x");
    let authorization = good.headers()["authorization"].to_str().unwrap().to_owned();
    let (head, signature) = authorization.split_once("Signature=").unwrap();
    for other in [
        signature.to_uppercase(),
        format!("{signature}0"),
        signature[1..].to_owned(),
        "é".to_owned(),
    ] {
        let mut request = good.clone();
        let value = format!("{head}Signature={other}");
        request
            .headers_mut()
            .insert("authorization", http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        assert_eq!(refusal(&request), Refusal::SignatureDiffers, "{other}");
    }
    let mut request = good.clone();
    set(&mut request, "x-note", "a c");
    assert_eq!(refusal(&request), Refusal::SignatureDiffers);
    request.headers_mut().remove("x-note");
    assert_eq!(refusal(&request), Refusal::SignatureDiffers);
    let error = verify_at(&Verifier::new(), Head::from(&good), b"y", &keys(), now()).unwrap_err();
    assert_eq!(error.refusal(), Refusal::SignatureDiffers);
}

#[test]
fn s3_insists_on_the_hash_of_the_body_and_checks_it() {
    let mut request = signed("s3", "https://b.s3.amazonaws.com/k", "meow");
    let error =
        verify_at(&Verifier::new(), Head::from(&request), b"woof", &keys(), now()).unwrap_err();
    assert_eq!(error.refusal(), Refusal::BodyDiffers);
    assert_eq!(
        (error.code(Dialect::S3), error.status(Dialect::S3)),
        ("XAmzContentSHA256Mismatch", 400)
    );
    let mut unsigned = request.clone();
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let authorization = authorization.replace("x-amz-content-sha256;", "");
    set(&mut unsigned, "authorization", &authorization);
    assert_eq!(verify(&unsigned).unwrap_err().refusal(), Refusal::UnsignedHeader);
    request.headers_mut().remove("x-amz-content-sha256");
    let error = verify(&request).unwrap_err();
    assert_eq!((error.code(Dialect::S3), error.status(Dialect::S3)), ("InvalidRequest", 400));
}

#[test]
fn an_unsigned_payload_is_taken_by_the_s3_family_alone_unless_asked_for() {
    let sign = |service: &str| {
        let mut request = http::Request::put("https://h/k").body("any").unwrap();
        Signer::new("us-east-1", service)
            .sign(&mut request, Payload::Unsigned, &keys(), now())
            .unwrap();
        request
    };
    verify(&sign("s3")).unwrap();
    verify(&sign("vpc-lattice-svcs")).unwrap();
    assert_eq!(refusal(&sign("sqs")), Refusal::UnsignedPayload);
    let lax = Verifier::new().with_unsigned_payloads(true);
    verify_at(&lax, Head::from(&sign("sqs")), b"any", &keys(), now()).unwrap();
}

#[test]
fn s3_paths_signed_as_on_the_wire_are_accepted_and_nothing_else() {
    let target = b"/a=b(1)+c";
    let date: (&[u8], &[u8]) = (b"x-amz-date", b"20150830T123600Z");
    let hash = Payload::EMPTY.line();
    // boto3 and the CRT sign the path verbatim: as if it were to be encoded a second time, but once
    // decoded before, which `double_encode` on the decoded path comes down to.
    let canonical = format!(
        "GET\n/a=b(1)+c\n\nhost:b\nx-amz-content-sha256:{0}\nx-amz-date:20150830T123600Z\n\n\
         host;x-amz-content-sha256;x-amz-date\n{0}",
        hash.as_str()
    );
    let scope = countersign::Scope::parse("20150830/us-east-1/s3/aws4_request").unwrap();
    let Payload::Sha256(digest) = Payload::hash(&canonical) else { unreachable!() };
    let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{}", hex(&digest));
    let key = SigningKey::derive(keys().secret_access_key(), &scope);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={}",
        hex(&key.sign(text.as_bytes()))
    );
    let headers: [(&[u8], &[u8]); 4] = [
        (b"host", b"b"),
        date,
        (b"x-amz-content-sha256", hash.as_str().as_bytes()),
        (b"authorization", authorization.as_bytes()),
    ];
    let verify = |target| {
        let head = Head::parse(b"GET", target, Headers::Pairs(&headers)).unwrap();
        verify_at(&Verifier::new(), head, b"", &keys(), now())
    };
    verify(target).unwrap();
    assert_eq!(verify(b"/a%3Db(1)+c").unwrap_err().refusal(), Refusal::SignatureDiffers);
}

#[test]
fn any_other_path_may_be_signed_without_the_slash_that_its_dots_leave() {
    let dotted = |mut request: http::Request<&'static str>, path: &str| {
        *request.uri_mut() = format!("https://h{path}").parse().unwrap();
        request
    };
    // boto3 signs `/a/.` as if it were `/a`.
    for path in ["/a/.", "/a/b/.."] {
        verify(&dotted(signed("sts", "https://h/a", "x"), path)).unwrap();
        verify(&dotted(signed("sts", "https://h/a/", "x"), path)).unwrap();
        let other = dotted(signed("sts", "https://h/b", "x"), path);
        assert_eq!(refusal(&other), Refusal::SignatureDiffers);
    }
    let without_dots = dotted(signed("sts", "https://h/a", "x"), "/a/");
    assert_eq!(refusal(&without_dots), Refusal::SignatureDiffers);
}

#[test]
fn a_signed_date_header_counts_where_there_is_no_amz_date() {
    let scope = countersign::Scope::parse("20150830/us-east-1/sts/aws4_request").unwrap();
    let date = "Sun, 30 Aug 2015 12:36:00 GMT";
    let canonical =
        format!("GET\n/\n\ndate:{date}\nhost:h\n\ndate;host\n{}", Payload::EMPTY.line().as_str());
    let Payload::Sha256(digest) = Payload::hash(&canonical) else { unreachable!() };
    let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{}", hex(&digest));
    let key = SigningKey::derive(keys().secret_access_key(), &scope);
    let signature = hex(&key.sign(text.as_bytes()));
    let verify = |names: &str, dates: &[&str]| {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        let mut headers: Vec<(&[u8], &[u8])> =
            vec![(b"host", b"h"), (b"authorization", authorization.as_bytes())];
        headers.extend(dates.iter().map(|date| (&b"date"[..], date.as_bytes())));
        let head = Head::parse(b"GET", b"/", Headers::Pairs(&headers)).unwrap();
        verify_at(&Verifier::new(), head, b"", &keys(), now()).map_err(|error| error.refusal())
    };
    assert!(verify("date;host", &[date]).is_ok());
    assert_eq!(verify("host", &[date]), Err(Refusal::Malformed));
    // Which of two tells the time, nobody should have to guess.
    assert_eq!(verify("date;host", &["never", date]), Err(Refusal::Ambiguous));
}

#[test]
fn an_amz_date_has_one_form() {
    let request = signed("sts", "https://sts.amazonaws.com/", "x");
    let url = presigned("sts", "https://sts.amazonaws.com/");
    for (written, refusal) in [
        ("20150830T123601Z", Refusal::SignatureDiffers),
        (" 20150830T123601Z\t", Refusal::SignatureDiffers),
        ("Sun, 30 Aug 2015 12:36:00 GMT", Refusal::Malformed),
        ("2015-08-30T12:36:00Z", Refusal::Malformed),
        ("20150830", Refusal::Malformed),
        ("1440938160", Refusal::Malformed),
    ] {
        let mut request = request.clone();
        set(&mut request, "x-amz-date", written);
        assert_eq!(verify(&request).unwrap_err().refusal(), refusal, "{written:?}");
        let mut url = url.clone();
        let value = written.replace(' ', "%20").replace('\t', "%09");
        set_query(&mut url, |query| query.replace("20150830T123600Z", &value));
        // The blanks around a header are not its own.
        let refusal = if written.starts_with(' ') { Refusal::Malformed } else { refusal };
        assert_eq!(verify(&url).unwrap_err().refusal(), refusal, "{written:?} in the query");
    }
}

#[test]
fn a_signature_that_is_empty_is_malformed() {
    let mut request = signed("sts", "https://sts.amazonaws.com/", "x");
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let (start, _) = authorization.rsplit_once('=').unwrap();
    let start = start.to_owned();
    set(&mut request, "authorization", &format!("{start}="));
    assert_eq!(verify(&request).unwrap_err().refusal(), Refusal::Malformed);
    let mut url = presigned("sts", "https://sts.amazonaws.com/");
    set_query(&mut url, |query| {
        query.split_inclusive("X-Amz-Signature=").next().unwrap().to_owned()
    });
    assert!(url.uri().query().unwrap().ends_with("X-Amz-Signature="));
    assert_eq!(verify(&url).unwrap_err().refusal(), Refusal::Malformed);
}

#[test]
fn the_token_of_a_session_of_s3_express_counts_there_alone() {
    let keys = keys().with_session_token("token");
    for (service, session, expected) in [
        ("s3express", true, Ok(())),
        ("s3express", false, Ok(())),
        ("s3", true, Err(Refusal::WrongToken)),
        ("sts", true, Err(Refusal::WrongToken)),
        ("iotdevicegateway", true, Err(Refusal::WrongToken)),
        ("iotdevicegateway", false, Ok(())),
    ] {
        let session = keys.clone().with_s3_express_session(session);
        let mut header = http::Request::get("https://h/").body("").unwrap();
        let mut query = header.clone();
        let signer = Signer::new("us-east-1", service);
        signer.sign(&mut header, Payload::EMPTY, &session, now()).unwrap();
        let presign = Presign::expires_in(Duration::from_secs(60));
        signer.presign(&mut query, presign, &session, now()).unwrap();
        let refusal = |request: &http::Request<&str>| {
            let verified = verify_at(&Verifier::new(), Head::from(request), b"", &keys, now());
            verified.map(|_| ()).map_err(|error| error.refusal())
        };
        assert_eq!(refusal(&header), expected, "{service}");
        assert_eq!(refusal(&query), expected, "{service} in the query");
    }
    let mut both = http::Request::get("https://h/").header("x-amz-s3session-token", "token");
    both.headers_mut().unwrap().insert("x-amz-security-token", "token".parse().unwrap());
    let both = both.body("").unwrap();
    let authorization = |service: &str| {
        let scope = format!("AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request");
        let names =
            "host;x-amz-content-sha256;x-amz-date;x-amz-s3session-token;x-amz-security-token";
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature=00")
    };
    for (service, refusal) in
        [("s3express", Refusal::Ambiguous), ("sts", Refusal::SignatureDiffers)]
    {
        let mut both = both.clone();
        set(&mut both, "authorization", &authorization(service));
        set(&mut both, "x-amz-date", "20150830T123600Z");
        set(&mut both, "x-amz-content-sha256", Payload::EMPTY.line().as_str());
        let error = verify_at(&Verifier::new(), Head::from(&both), b"", &keys, now()).unwrap_err();
        assert_eq!(error.refusal(), refusal, "{service}");
    }
}

#[test]
fn the_service_that_a_request_claims_is_told_however_malformed_the_rest_is() {
    let service =
        |request: &http::Request<&str>| claimed_service(Head::from(request)).map(Cow::into_owned);
    let url = "https://iam.amazonaws.com/?Action=ListUsers";
    let mut request = signed("iam", url, "");
    assert_eq!(service(&request).as_deref(), Some("iam"));
    set(&mut request, "authorization", "nonsense Credential=a/b/c/sqs/aws4_request, and more");
    assert_eq!(service(&request).as_deref(), Some("sqs"));
    set(&mut request, "authorization", "nonsense");
    assert_eq!(service(&request), None);
    assert_eq!(service(&presigned("s3", "https://b.s3.amazonaws.com/k")).as_deref(), Some("s3"));
    for (authorization, expected) in [
        ("AWS4-HMAC-SHA256 Credential=a/b/c/sqs/other, Signature=0", "sqs"),
        ("AWS4-ECDSA-P256-SHA256 Credential=a/b/sqs/aws4_request, Signature=0", "sqs"),
        ("AWS4-ECDSA-P256-SHA256 Credential=a/b/sqs/other,Signature=0", "sqs"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c d/s q/aws4_request , Signature=0", "s q"),
    ] {
        set(&mut request, "authorization", authorization);
        assert_eq!(service(&request).as_deref(), Some(expected), "{authorization}");
    }
    let headers: [(&[u8], &[u8]); 2] =
        [(b"x-note", b"a\nb"), (b"authorization", b"AWS4-HMAC-SHA256 Credential=a/b/c/s3/d")];
    let head = Head::parse(b"GET", b"/", Headers::Pairs(&headers)).unwrap();
    assert_eq!(claimed_service(head).as_deref(), Some("s3"));
    assert_eq!(service(&http::Request::get(url).body("").unwrap()), None);
}

#[test]
fn of_two_dates_neither_counts_beside_an_amz_date() {
    let mut request = http::Request::get("https://h/").body("").unwrap();
    for date in ["Sun, 30 Aug 2015 12:36:00 GMT", "never"] {
        request.headers_mut().append("date", date.parse().unwrap());
    }
    let signer = Signer::new("us-east-1", "service");
    signer.sign(&mut request, Payload::EMPTY, &keys(), now()).unwrap();
    assert!(request.headers()["authorization"].to_str().unwrap().contains("=date;host;"));
    verify(&request).unwrap();
}

#[test]
fn a_token_added_behind_the_signature_is_accepted_under_that_rule_alone() {
    let credentials = keys().with_session_token("token");
    let rules = Rules::GENERAL.with_token_after_signing(true);
    let signer = Signer::new("us-east-1", "service").with_rules(rules);
    let mut header = http::Request::get("https://h/").body("").unwrap();
    let mut query = header.clone();
    signer.sign(&mut header, Payload::EMPTY, &credentials, now()).unwrap();
    let presign = Presign::expires_in(Duration::from_secs(60));
    signer.presign(&mut query, presign, &credentials, now()).unwrap();
    for request in [header, query] {
        let lenient = Verifier::new().with_rules(rules);
        verify_at(&lenient, Head::from(&request), b"", &credentials, now()).unwrap();
        verify_at(&Verifier::new(), Head::from(&request), b"", &credentials, now()).unwrap_err();
    }
}

#[test]
fn a_token_in_the_other_form_is_signed_or_refused_also_under_that_rule() {
    let rules = Rules::GENERAL.with_token_after_signing(true);
    let signer = Signer::new("us-east-1", "service").with_rules(rules);
    for (keys, token) in [(keys(), ""), (keys().with_session_token("token"), "token")] {
        let mut header = http::Request::get("https://h/").body("").unwrap();
        let mut query = header.clone();
        signer.sign(&mut header, Payload::EMPTY, &keys, now()).unwrap();
        let presign = Presign::expires_in(Duration::from_secs(60));
        signer.presign(&mut query, presign, &keys, now()).unwrap();
        let refusal = |request: &http::Request<&str>| {
            let verifier = Verifier::new().with_rules(rules);
            let verified = verify_at(&verifier, Head::from(request), b"", &keys, now());
            verified.map(|_| ()).map_err(|error| error.refusal())
        };
        assert_eq!((refusal(&header), refusal(&query)), (Ok(()), Ok(())), "{token:?}");
        for name in ["x-amz-security-token", "x-amz-s3session-token"] {
            let mut query = query.clone();
            set(&mut query, name, "evil");
            assert_eq!(refusal(&query), Err(Refusal::UnsignedHeader), "{name}");
        }
        for name in ["X-Amz-Security-Token", "X-Amz-S3session-Token"] {
            let mut header = header.clone();
            set_query(&mut header, |query| format!("{query}&{name}=evil"));
            assert_eq!(refusal(&header), Err(Refusal::SignatureDiffers), "{name}");
        }
    }
}

#[test]
fn a_debugging_verifier_shows_what_it_compared_and_never_the_signature() {
    let mut request = signed("sts", "https://sts.amazonaws.com/", "x");
    set(&mut request, "x-note", "changed");
    let good = signed("sts", "https://sts.amazonaws.com/", "x");
    assert_eq!(verify(&request).unwrap_err().canonical_request(), None);
    let debugging = Verifier::new().with_debugging(true);
    let error = verify_at(&debugging, Head::from(&request), b"x", &keys(), now()).unwrap_err();
    assert!(format!("{error:?}").starts_with("Error(SignatureDiffers: The request signature we"));
    assert!(error.canonical_request().unwrap().contains("x-note:changed"));
    assert!(error.string_to_sign().unwrap().starts_with("AWS4-HMAC-SHA256\n20150830T123600Z\n"));
    // The one that would have been right for the request as it is now.
    let mut resigned = http::Request::post("https://sts.amazonaws.com/")
        .header("x-note", "changed")
        .body("x")
        .unwrap();
    Signer::new("us-east-1", "sts")
        .sign(&mut resigned, Payload::hash("x"), &keys(), now())
        .unwrap();
    let expected = resigned.headers()["authorization"].to_str().unwrap();
    let expected = expected.rsplit_once('=').unwrap().1;
    assert!(!good.headers()["authorization"].to_str().unwrap().contains(expected));
    for shown in [
        format!("{error:?}"),
        error.to_string(),
        error.message().to_owned(),
        error.canonical_request().unwrap().to_owned(),
        error.string_to_sign().unwrap().to_owned(),
    ] {
        assert!(!shown.contains(expected), "{shown}");
    }
}

#[test]
fn malformed_bytes_are_refused_before_any_key_is_looked_up() {
    let good = presigned("s3", "https://b.s3.amazonaws.com/k");
    let head = Head::from(&good);
    let query = format!("{}&flour=100%", good.uri().query().unwrap());
    let bad = [
        Head { path: b"/100%", ..head },
        Head { query: Some(query.as_bytes()), ..head },
        Head { authority: None, ..head },
    ];
    for head in bad {
        let error = Verifier::new().claim(head, now()).unwrap_err();
        assert_eq!(error.refusal(), Refusal::Malformed);
        assert_eq!(error.status(Dialect::S3), 400);
    }
}

#[test]
fn what_no_request_begins_with_is_refused_before_any_key_is_looked_up() {
    let request = signed("sts", "https://sts.amazonaws.com/", "x");
    // Also of a region that is not taken here, of which the refusal would tell.
    let verifier = Verifier::new().with_region("eu-west-1");
    for (method, path) in [(&b"GE T"[..], &b"/"[..]), (b"", b"/"), (b"GET", b"a/b"), (b"GET", b"*")]
    {
        let head = Head { method, path, ..Head::from(&request) };
        let error = verifier.claim(head, now()).unwrap_err();
        assert_eq!(error.refusal(), Refusal::Malformed, "{error}");
        assert_eq!(error.status(Dialect::General), 400);
    }
}

#[test]
fn an_empty_session_token_is_none() {
    let request = signed("sts", "https://sts.amazonaws.com/", "x");
    let credentials = keys().with_session_token("");
    verify_at(&Verifier::new(), Head::from(&request), b"x", &credentials, now()).unwrap();
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
