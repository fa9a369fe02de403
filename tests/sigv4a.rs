//! Signatures by SigV4A: what is signed, what is accepted and what is refused.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use countersign::{
    Algorithm, Credentials, ErrorKind, Head, Headers, KeyCache, Payload, Presign, Rules, Scope,
    Scratch, Signer, SigningKey as HmacKey,
    sigv4a::{self, SigningKey, VerifyingKey},
    verify::{self, Cause, Dialect, Known, Place, ReceivedBody, Refusal, Verified, Verifier},
};
use proptest::prelude::*;
use serde_json::Value;

use crate::{
    external::{self, Message, Suite, pieces},
    properties::{Faults, any_sample, cases, received},
    support::{at, credentials, external_data, pair, reference::Form, text},
};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

fn keys() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
}

fn key() -> VerifyingKey {
    VerifyingKey::derive("AKIDEXAMPLE", keys().secret_access_key())
}

fn verifier() -> Verifier {
    Verifier::new().with_sigv4a()
}

fn signed(region_set: &str, service: &str, body: &'static str) -> http::Request<&'static str> {
    let url = "https://example.com/a%20b?x=1&y=2";
    let mut request = http::Request::post(url).header("x-note", "a  b").body(body).unwrap();
    let signer = sigv4a::signer(region_set, service);
    signer.sign(&mut request, Payload::hash(body), &keys(), now()).unwrap();
    request
}

fn presigned(region_set: &str, service: &str) -> http::Request<&'static str> {
    let mut request = http::Request::get("https://example.com/a%20b?x=1").body("").unwrap();
    let presign = Presign::expires_in(Duration::from_secs(600));
    sigv4a::signer(region_set, service).presign(&mut request, presign, &keys(), now()).unwrap();
    request
}

fn check(
    verifier: &Verifier,
    request: &http::Request<&str>,
    known: Option<Known<'_>>,
) -> Result<Verified<'static>, verify::Error> {
    let claim = verifier.claim(Head::from(request), now())?;
    let hash = claim.payload().is_none().then(|| Payload::hash(request.body()));
    let (verified, mut check) = claim.verify(known, hash, &mut Scratch::new())?;
    check.push(request.body().as_bytes())?;
    check.finish()?;
    Ok(verified.into_owned())
}

fn refusal(request: &http::Request<&str>) -> Refusal {
    check(&verifier(), request, Some(Known::new(&key()))).unwrap_err().refusal()
}

fn header<'r>(request: &'r http::Request<&str>, name: &str) -> &'r str {
    request.headers()[name].to_str().unwrap()
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
fn a_signed_request_names_its_regions_and_no_region() {
    let request = signed("us-east-1,eu-*", "service", "");
    assert_eq!(header(&request, "x-amz-region-set"), "us-east-1,eu-*");
    let authorization = header(&request, "authorization");
    let start = "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/service/aws4_request, \
                 SignedHeaders=host;x-amz-date;x-amz-region-set;x-note, Signature=30";
    assert!(authorization.starts_with(start), "{authorization}");
    assert!(request.headers()["authorization"].is_sensitive());

    let verified = check(&verifier(), &request, Some(Known::new(&key()))).unwrap();
    assert_eq!(verified.algorithm(), Algorithm::EcdsaP256Sha256);
    assert_eq!(verified.region_set(), Some("us-east-1,eu-*"));
    assert_eq!(verified.scope().to_string(), "20150830/service/aws4_request");
    assert_eq!(verified.scope().region(), "");
    assert_eq!(verified.place(), Place::Header);
}

#[test]
fn a_presigned_url_names_its_regions_behind_the_token() {
    let mut request = http::Request::get("https://example.com/?x=1").body("").unwrap();
    let presign = Presign::expires_in(Duration::from_secs(600));
    let with_token = keys().with_session_token("to/ken");
    sigv4a::signer("eu-*", "s3").presign(&mut request, presign, &with_token, now()).unwrap();
    let query = request.uri().query().unwrap();
    let start = "x=1&X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256\
                 &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fs3%2Faws4_request\
                 &X-Amz-Date=20150830T123600Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host\
                 &X-Amz-Security-Token=to%2Fken&X-Amz-Region-Set=eu-%2A&X-Amz-Signature=30";
    assert!(query.starts_with(start), "{query}");
    assert!(request.headers().is_empty());

    let key = key();
    let known = Known::new(&key).with_session_token("to/ken");
    let verified = check(&verifier().with_region("eu-west-1"), &request, Some(known)).unwrap();
    assert_eq!(verified.region_set(), Some("eu-*"));
    assert_eq!(verified.place(), Place::Query);
    assert_eq!(verified.expires_at(), Some(now() + Duration::from_secs(600)));
}

#[test]
fn the_same_request_has_the_same_signature() {
    let once = signed("*", "service", "body");
    assert_eq!(
        header(&once, "authorization"),
        header(&signed("*", "service", "body"), "authorization")
    );
}

#[test]
fn signing_again_by_either_algorithm_replaces_the_signature() {
    let signers = [Signer::new("us-east-1", "s3"), sigv4a::signer("us-*", "s3")];
    let presign = Presign::expires_in(Duration::from_secs(600));
    let sign = |request: &mut http::Request<()>, signer: &Signer, in_query: bool| match in_query {
        true => drop(signer.presign(request, presign, &keys(), now()).unwrap()),
        false => signer.sign(request, Payload::EMPTY, &keys(), now()).unwrap(),
    };
    for first in &signers {
        for second in &signers {
            for (in_query, then_in_query) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let request =
                    || http::Request::get("https://b.s3.amazonaws.com/k?a=1").body(()).unwrap();
                let (mut once, mut twice) = (request(), request());
                sign(&mut twice, first, in_query);
                // The one header that the first signature leaves for the second.
                if let Some(hash) = twice.headers().get("x-amz-content-sha256") {
                    once.headers_mut().insert("x-amz-content-sha256", hash.clone());
                }
                sign(&mut twice, second, then_in_query);
                sign(&mut once, second, then_in_query);
                assert_eq!(twice.uri(), once.uri());
                assert_eq!(twice.headers(), once.headers());
            }
        }
    }
}

#[test]
fn buffers_serve_signers_of_both_algorithms_in_turn() {
    let head = Head::parse(b"GET", b"https://example.com/", Headers::Pairs(&[])).unwrap();
    let signers = [Signer::new("us-east-1", "service"), sigv4a::signer("us-east-1", "service")];
    let (keys, mut scratch) = (keys(), Scratch::new());
    let sign = |signer: &Signer, scratch: &mut Scratch| {
        let signed = signer.sign_head(head, Payload::EMPTY, &keys, now(), scratch).unwrap();
        assert!(signed.authorization().ends_with(signed.signature()));
        signed.signature().to_owned()
    };
    for _ in 0..2 {
        for signer in &signers {
            assert_eq!(sign(signer, &mut scratch), sign(signer, &mut Scratch::new()));
        }
    }
}

#[test]
fn an_explanation_shows_the_steps() {
    let head = Head::parse(b"GET", b"https://example.com/", Headers::Pairs(&[])).unwrap();
    let signer = sigv4a::signer("us-*", "service");
    let explanation = signer.explain(head, Payload::EMPTY, &keys(), now()).unwrap();
    assert_eq!(explanation.scope(), "20150830/service/aws4_request");
    assert!(explanation.headers().any(|line| line == "x-amz-region-set:us-*"));
    let first = "AWS4-ECDSA-P256-SHA256\n20150830T123600Z\n20150830/service/aws4_request\n";
    assert!(explanation.string_to_sign().starts_with(first));
}

#[test]
fn a_region_set_that_no_header_could_hold_is_refused() {
    for set in ["", "us-east-1\r\nx-evil: 1", "us/east", "\u{0}"] {
        let mut request = http::Request::get("https://example.com/").body(()).unwrap();
        let signer = sigv4a::signer(set, "service");
        let error = signer.sign(&mut request, Payload::EMPTY, &keys(), now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidScope, "{set:?}");
        assert!(error.to_string().contains("region set"), "{error}");
        assert!(request.headers().is_empty());
    }
}

#[test]
fn the_region_set_must_hold_the_servers_region() {
    for (set, region, is_accepted) in [
        ("eu-west-1", "eu-west-1", true),
        ("us-east-1,eu-west-1", "eu-west-1", true),
        ("us-east-1, eu-west-1", "eu-west-1", true),
        ("*", "eu-west-1", true),
        ("eu-*", "eu-west-1", true),
        ("us-*,ap-*", "eu-west-1", false),
        ("eu-west-10", "eu-west-1", false),
        ("eu-west-1", "eu-west", false),
    ] {
        for request in [signed(set, "service", ""), presigned(set, "service")] {
            let verifier = verifier().with_region(region);
            let verdict = check(&verifier, &request, Some(Known::new(&key())));
            match verdict {
                Ok(_) => assert!(is_accepted, "{set} and {region}"),
                Err(error) => {
                    assert!(!is_accepted, "{set} and {region}: {error}");
                    assert_eq!(error.refusal(), Refusal::WrongScope);
                }
            }
        }
    }
}

#[test]
fn a_verifier_that_was_not_told_to_refuses_the_algorithm() {
    for request in [signed("*", "s3", ""), presigned("*", "s3")] {
        let error = check(&Verifier::new(), &request, Some(Known::new(&key()))).unwrap_err();
        assert_eq!((error.refusal(), error.status(Dialect::S3)), (Refusal::Malformed, 400));
        assert!(error.to_string().contains("AWS4-ECDSA-P256-SHA256"), "{error}");
        let head = Head::from(&request);
        let body = ReceivedBody::Whole(b"");
        assert!(verify::diagnose(&Verifier::new(), head, body, &keys()).is_err());
        assert_eq!(verify::claimed_service(head).as_deref(), Some("s3"));
    }
}

#[test]
fn both_algorithms_are_verified_side_by_side() {
    let mut request = http::Request::get("https://example.com/").body("").unwrap();
    let signer = Signer::new("us-east-1", "service");
    signer.sign(&mut request, Payload::EMPTY, &keys(), now()).unwrap();
    let verifier = verifier().with_region("us-east-1");
    let claim = verifier.claim(Head::from(&request), now()).unwrap();
    assert_eq!((claim.algorithm(), claim.region_set()), (Algorithm::HmacSha256, None));
    let hmac = HmacKey::derive(keys().secret_access_key(), &claim.scope());
    let verified = check(&verifier, &request, Some(Known::new(&hmac))).unwrap();
    assert_eq!(verified.algorithm(), Algorithm::HmacSha256);

    // A key of the other algorithm, of the same secret, matches nothing.
    let error = check(&verifier, &request, Some(Known::new(&key()))).unwrap_err();
    assert_eq!(error.refusal(), Refusal::SignatureDiffers);
    let request = signed("us-*", "service", "");
    let claim = verifier.claim(Head::from(&request), now()).unwrap();
    let secret = keys();
    let hmac = KeyCache::default().key("AKIDEXAMPLE", secret.secret_access_key(), &claim.scope());
    let error = check(&verifier, &request, Some(Known::new(&hmac))).unwrap_err();
    assert_eq!(error.refusal(), Refusal::SignatureDiffers);
    // Nor does the one that does the work in the place of another.
    let head = Head::parse(b"POST", b"https://example.com/", Headers::Pairs(&[])).unwrap();
    let signer = sigv4a::signer("us-*", "service");
    let (secret, mut scratch) = (keys(), Scratch::new());
    let right = signer.sign_head(head, Payload::EMPTY, &secret, now(), &mut scratch).unwrap();
    let mut private = [0; 32];
    let published = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    hex::decode_to_slice(published, &mut private).unwrap();
    let stand_in = SigningKey::from_bytes(&private).unwrap();
    let forged = stand_in.sign(right.string_to_sign().as_bytes());
    let authorization = right.authorization().replace(right.signature(), forged.as_str());
    let mut request = http::Request::post("https://example.com/").body("").unwrap();
    signer.sign(&mut request, Payload::EMPTY, &secret, now()).unwrap();
    assert_eq!(check(&verifier, &request, None).unwrap_err().refusal(), Refusal::UnknownKey);
    assert!(check(&verifier, &request, Some(Known::new(&key()))).is_ok());
    set(&mut request, "authorization", &authorization);
    for known in [Known::new(&hmac), Known::new(&key())] {
        let error = check(&verifier, &request, Some(known)).unwrap_err();
        assert_eq!(error.refusal(), Refusal::SignatureDiffers);
    }
    assert_eq!(check(&verifier, &request, None).unwrap_err().refusal(), Refusal::UnknownKey);
}

#[test]
fn the_private_key_and_the_public_key_verify_alike() {
    let private = SigningKey::derive("AKIDEXAMPLE", keys().secret_access_key());
    let received = VerifyingKey::from_sec1(&private.verifying_key().to_sec1()).unwrap();
    let request = signed("*", "service", "body");
    for known in [Known::new(&private), Known::new(&received)] {
        assert!(check(&verifier(), &request, Some(known)).is_ok());
    }
    for point in [&[][..], &[4; 65], &[0], &private.verifying_key().to_sec1()[..64]] {
        assert!(VerifyingKey::from_sec1(point).is_err());
    }
}

#[test]
fn each_change_behind_the_signature_is_refused() {
    type Change = fn(&mut http::Request<&'static str>);
    let changes: [(&str, Refusal, Change); 10] = [
        ("method", Refusal::SignatureDiffers, |r| *r.method_mut() = http::Method::PUT),
        ("path", Refusal::SignatureDiffers, |r| {
            *r.uri_mut() = "https://example.com/a%20c?x=1&y=2".parse().unwrap();
        }),
        ("query", Refusal::SignatureDiffers, |r| set_query(r, |query| format!("{query}&z=3"))),
        ("header", Refusal::SignatureDiffers, |r| set(r, "x-note", "a c")),
        ("regions", Refusal::SignatureDiffers, |r| set(r, "x-amz-region-set", "*,")),
        ("date", Refusal::SignatureDiffers, |r| set(r, "x-amz-date", "20150830T123601Z")),
        ("more", Refusal::UnsignedHeader, |r| set(r, "x-amz-copy-source", "/b/k")),
        ("hash", Refusal::SignatureDiffers, |r| *r.body_mut() = "another body"),
        ("service", Refusal::SignatureDiffers, |r| {
            let value = header(r, "authorization").replace("/service/", "/another/");
            set(r, "authorization", &value);
        }),
        ("no regions", Refusal::Malformed, |r| {
            let value = header(r, "authorization").replace("x-amz-region-set;", "");
            set(r, "authorization", &value);
        }),
    ];
    for (what, expected, change) in changes {
        let mut request = signed("us-*", "service", "body");
        change(&mut request);
        assert_eq!(refusal(&request), expected, "{what}");
    }
}

#[test]
fn a_region_set_that_is_missing_or_there_twice_is_refused() {
    let mut request = signed("us-*", "service", "");
    request.headers_mut().remove("x-amz-region-set");
    assert_eq!(refusal(&request), Refusal::Malformed);
    let mut request = signed("us-*", "service", "");
    request.headers_mut().append("x-amz-region-set", "eu-*".parse().unwrap());
    assert_eq!(refusal(&request), Refusal::Ambiguous);
    let mut request = presigned("us-*", "service");
    set_query(&mut request, |query| query.replace("&X-Amz-Region-Set=us-%2A", ""));
    assert_eq!(refusal(&request), Refusal::Malformed);
    let mut request = presigned("us-*", "service");
    set_query(&mut request, |query| format!("{query}&X-Amz-Region-Set=*"));
    assert_eq!(refusal(&request), Refusal::Ambiguous);
    let mut request = presigned("us-*", "service");
    set_query(&mut request, |query| query.replace("us-%2A", "%2A"));
    assert_eq!(refusal(&request), Refusal::SignatureDiffers);
    let mut request = presigned("us-*", "service");
    set_query(&mut request, |query| query.replace("us-%2A", "%FF"));
    assert_eq!(refusal(&request), Refusal::Malformed);
}

#[test]
fn a_scope_of_the_other_algorithm_is_malformed() {
    let mut request = signed("us-*", "service", "");
    let value = header(&request, "authorization").replace("/service/", "/us-east-1/service/");
    set(&mut request, "authorization", &value);
    assert_eq!(refusal(&request), Refusal::Malformed);
    let mut request = presigned("us-*", "service");
    set_query(&mut request, |query| query.replace("%2Fservice", "%2Fus-east-1%2Fservice"));
    assert_eq!(refusal(&request), Refusal::Malformed);
    let mut request = signed("us-*", "service", "");
    let value = header(&request, "authorization").replace("ECDSA-P256", "HMAC");
    set(&mut request, "authorization", &value);
    assert_eq!(refusal(&request), Refusal::Malformed);
}

#[test]
fn a_signature_has_one_spelling_and_two_values() {
    let private = SigningKey::derive("AKIDEXAMPLE", "secret");
    let public = private.verifying_key();
    let is = |signature: &[u8]| public.is_signature(b"text", signature);
    let signature = private.sign(b"text").to_string();
    assert!(is(signature.as_bytes()));
    let der = hex::decode(&signature).unwrap();
    let (r, s) = der[4..].split_at(der[3].into());
    let s = &s[2..];
    let encode = |der: &[u8]| hex::encode(der);
    let sequence = |r: &[u8], s: &[u8]| {
        let parts = [&[2, r.len() as u8][..], r, &[2, s.len() as u8], s].concat();
        [&[0x30, parts.len() as u8][..], &parts].concat()
    };
    assert_eq!(sequence(r, s), der);
    // The order less s is as good; AWS's own signers send either.
    let mirrored = sequence(r, &order_less(s));
    assert_ne!(mirrored, der);
    assert!(is(encode(&mirrored).as_bytes()));

    let zero_in_front = [&[0][..], s].concat();
    let without_zero: Vec<u8> = r.iter().copied().skip_while(|&byte| byte == 0).collect();
    let long_length = [&[0x30, 0x81, der[1]][..], &der[2..]].concat();
    let long_form = sequence(r, s);
    let mut wrong: Vec<String> = vec![
        signature.to_uppercase(),
        format!("{signature}**"),
        format!("{signature}00"),
        format!(" {signature}"),
        signature[2..].to_owned(),
        signature[..signature.len() - 2].to_owned(),
        signature[..signature.len() - 1].to_owned(),
        encode(&sequence(r, &zero_in_front)),
        encode(&sequence(&[0], s)),
        encode(&sequence(r, &[0])),
        encode(&sequence(r, &order())),
        encode(&sequence(&order(), s)),
        encode(&long_length),
        encode(&[&long_form[..], &[0, 0]].concat()),
        encode(&[&[0x31][..], &der[1..]].concat()),
        format!("{:0<64}", ""),
        "0".repeat(142),
        "3".repeat(100_000),
        String::new(),
    ];
    if without_zero.len() < r.len() {
        wrong.push(encode(&sequence(&without_zero, s)));
    }
    for signature in wrong {
        assert!(!is(signature.as_bytes()), "{}", &signature[..signature.len().min(200)]);
    }
    // Each bit counts.
    for at in 0..8 * der.len() {
        let mut other = der.clone();
        other[at / 8] ^= 1 << (at % 8);
        assert!(!is(encode(&other).as_bytes()), "bit {at}");
    }
}

/// The order of the curve as DER writes it.
fn order() -> Vec<u8> {
    hex::decode("00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap()
}

fn order_less(number: &[u8]) -> Vec<u8> {
    let mut padded = vec![0; 33 - number.len()];
    padded.extend(number);
    let mut borrowed = 0;
    let mut difference: Vec<u8> = order()
        .iter()
        .zip(&padded)
        .rev()
        .map(|(&a, &b)| {
            let difference = i16::from(a) - i16::from(b) - borrowed;
            borrowed = i16::from(difference < 0);
            (difference & 0xff) as u8
        })
        .collect();
    difference.reverse();
    // As short as can be, and positive.
    while difference.len() > 1 && difference[0] == 0 && difference[1] < 0x80 {
        difference.remove(0);
    }
    difference
}

#[test]
fn padding_is_144_bytes_and_comes_off_again() {
    let key = SigningKey::derive("AKIDEXAMPLE", "secret");
    let mut lengths = std::collections::BTreeSet::new();
    for n in 0..40 {
        let signature = key.sign(format!("text {n}").as_bytes());
        let padded = signature.padded();
        assert!(padded.starts_with(signature.as_str().as_bytes()));
        assert_eq!(sigv4a::without_padding(&padded), signature.as_str().as_bytes());
        assert!(!key.verifying_key().is_signature(b"text", &padded));
        lengths.insert(signature.as_str().len());
    }
    assert!(lengths.len() > 1 && lengths.iter().all(|length| *length <= sigv4a::PADDED));
    assert_eq!(sigv4a::without_padding(b"**"), b"");
}

#[test]
fn nothing_shows_a_key() {
    let private = SigningKey::derive("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let cache = sigv4a::KeyCache::default();
    cache.key("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let signer = cache.signer("us-*", "s3");
    let shown =
        format!("{private:?} {cache:?} {signer:?} {:?} {:?}", verifier(), Known::new(&private));
    assert!(shown.contains("us-*"), "{shown}");
    for secret in ["wJalr", "7efc8c0e65a32424", "126, 252, 140"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_diagnosis_finds_what_a_client_signed() {
    // One that signs for S3 by the general rules.
    let mut request = http::Request::get("https://b.s3.amazonaws.com/a%20b").body("").unwrap();
    let rules = Rules::GENERAL.with_content_sha256_header(true);
    let signer = sigv4a::signer("us-*", "s3").with_rules(rules);
    signer.sign(&mut request, Payload::EMPTY, &keys(), now()).unwrap();
    let body = ReceivedBody::Whole(b"");
    let diagnose = |request: &http::Request<&str>| {
        verify::diagnose(&verifier(), Head::from(request), body, &keys()).unwrap()
    };
    assert_eq!(diagnose(&request).causes(), [Cause::PathEncodedTwice]);

    // One whose secret came with a newline.
    let mut request = http::Request::get("https://example.com/").body("").unwrap();
    let other = Credentials::new("AKIDEXAMPLE", format!("{}\n", keys().secret_access_key()));
    sigv4a::signer("us-*", "service").sign(&mut request, Payload::EMPTY, &other, now()).unwrap();
    let diagnosis = diagnose(&request);
    assert_eq!(diagnosis.causes(), [Cause::SecretWhiteSpace]);
    let scope = "\n20150830/service/aws4_request\n";
    assert!(diagnosis.server_string_to_sign().contains(scope));

    let right = signed("us-*", "service", "");
    assert!(diagnose(&right).is_right());
    let mut upper = signed("us-*", "service", "");
    let (start, signature) = header(&upper, "authorization").rsplit_once('=').unwrap();
    let value = format!("{start}={}", signature.to_uppercase());
    set(&mut upper, "authorization", &value);
    assert_eq!(refusal(&upper), Refusal::SignatureDiffers);
    assert_eq!(diagnose(&upper).causes(), [Cause::SignatureUpperCase]);
}

proptest! {
    #![proptest_config(cases(48))]

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
        let rules = sample.signer().rules();
        let credentials = sample.credentials();
        let key = VerifyingKey::derive(&sample.keys.id, &sample.keys.secret);
        let verifier = verifier()
            .with_rules(rules)
            .with_unsigned_payloads(true)
            .with_region("eu-west-1")
            .with_services([sample.service.as_str()]);
        let signer = sigv4a::signer("us-east-1,eu-*", sample.service.as_str()).with_rules(rules);
        for form in sample.forms() {
            let mut request = sample.http();
            match form {
                Form::Headers => {
                    let payload = sample.payload.unwrap_or(Payload::EMPTY);
                    signer.sign(&mut request, payload, &credentials, sample.at()).unwrap();
                }
                Form::Query { .. } => {
                    signer.presign(&mut request, sample.presign(), &credentials, sample.at()).unwrap();
                }
            }
            let mut received = received(&sample, &request);
            for is_altered in [false, true] {
                if is_altered {
                    received.method = b"ALTERED".to_vec();
                }
                let pairs: Vec<(&[u8], &[u8])> =
                    received.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
                let head = Head {
                    method: &received.method,
                    https: received.https,
                    authority: None,
                    path: &received.path,
                    query: received.query.as_deref(),
                    headers: Headers::Pairs(&pairs),
                };
                let claim = verifier.claim(head, sample.at()).unwrap();
                let known = match sample.keys.token.as_deref().filter(|token| !token.is_empty()) {
                    Some(token) => Known::new(&key).with_session_token(token),
                    None => Known::new(&key),
                };
                let body = sample.payload.unwrap_or(Payload::EMPTY);
                let body = (body.is_hash() || claim.payload().is_none()).then_some(body);
                let verdict = claim.verify(Some(known), body, &mut Scratch::new());
                let refusal = verdict.map(drop).map_err(|error| error.refusal());
                match refusal {
                    Err(Refusal::SignatureDiffers) => prop_assert!(is_altered, "{:?}", received),
                    // The signature held; the body could not be checked.
                    Ok(())
                    | Err(Refusal::IncompleteBody | Refusal::MalformedTrailer | Refusal::UnsupportedPayload) => {
                        prop_assert!(!is_altered);
                    }
                    Err(other) => prop_assert!(false, "{:?}: {:?}", other, received),
                }
            }
        }
    }
}

#[test]
fn keys_are_derived_as_others_derive_them() {
    let Some(data) = external_data("sigv4a.json: keys") else { return };
    let file: Value = serde_json::from_str(&external::read(&data.join("sigv4a.json"))).unwrap();
    let (mut count, mut retried) = (0, 0);
    for case in file["kdf"].as_array().unwrap() {
        let part = |name: &str| case[name].as_str().unwrap();
        let derived = SigningKey::derive(part("access_key_id"), part("secret_access_key"));
        let mut private = [0; 32];
        hex::decode_to_slice(part("private_key_hex"), &mut private).unwrap();
        let expected = SigningKey::from_bytes(&private).unwrap();
        assert_eq!(derived.sign(b"text"), expected.sign(b"text"), "{case}");
        let point = format!("04{}{}", part("public_x"), part("public_y"));
        assert_eq!(hex::encode(derived.verifying_key().to_sec1()), point, "{case}");
        retried += usize::from(case["external_counter"].as_u64().unwrap() > 1);
        count += 1;
    }
    println!("{count} keys, {retried} of them from a second try");
    assert_eq!((count, retried), (5, 1));
}

#[test]
fn the_official_suite_signs_and_verifies_as_recorded() {
    let Some(data) = external_data("the official suite of SigV4A") else { return };
    let mut count = 0;
    for folder in fs::read_dir(data.join("aws-c-auth/v4a")).unwrap() {
        let folder = folder.unwrap().path();
        // Two folders hold a request and no expectations.
        if folder.join("header-canonical-request.txt").is_file() {
            run(&Suite::read(folder));
            count += 1;
        }
    }
    println!("{count} cases in both forms");
    assert_eq!(count, 38);
}

/// Compares all that is recorded; the recorded signatures and ours verify.
fn run(suite: &Suite) {
    let name = suite.folder.display();
    let public: Value =
        serde_json::from_str(&external::read(&suite.folder.join("public-key.json"))).unwrap();
    let point = format!("04{}{}", public["X"].as_str().unwrap(), public["Y"].as_str().unwrap());
    let key = VerifyingKey::from_sec1(&hex::decode(point).unwrap()).unwrap();
    let credentials = &suite.credentials;
    let derived =
        VerifyingKey::derive(credentials.access_key_id(), credentials.secret_access_key());
    assert_eq!(key, derived, "{name}");

    let at = at(suite.context["timestamp"].as_str().unwrap());
    let payload = match suite.context["sign_body"] == true {
        true => Payload::hash(&suite.request.body),
        false => Payload::EMPTY,
    };
    let signer = sigv4a::signer(suite.signer.region(), suite.signer.service())
        .with_rules(suite.signer.rules());
    let pairs = suite.request.pairs();
    let (method, target) = (suite.request.method.as_bytes(), suite.request.target.as_bytes());
    let head = Head::parse(method, target, Headers::Pairs(&pairs)).unwrap();
    let mut scratch = Scratch::new();
    let holds = |string_to_sign: &str, signature: &str| {
        assert!(
            key.is_signature(string_to_sign.as_bytes(), signature.as_bytes()),
            "{name}: {signature}"
        );
    };

    let signed = signer.sign_head(head, payload, credentials, at, &mut scratch).unwrap();
    suite.compare("header-canonical-request", &text(signed.canonical_request()));
    suite.compare("header-string-to-sign", signed.string_to_sign());
    holds(signed.string_to_sign(), signed.signature());
    holds(signed.string_to_sign(), &suite.recorded("header-signature"));
    let expected = Message::parse(&suite.recorded("header-signed-request"));
    let mut headers = suite.request.sorted();
    headers.extend(signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    let less_signature = |headers: Vec<(String, String)>| -> Vec<(String, String)> {
        let bare = |value: String| value.split(", Signature=").next().unwrap().to_owned();
        headers.into_iter().map(|(name, value)| (name, bare(value))).collect()
    };
    assert_eq!(less_signature(headers), less_signature(expected.sorted()), "{name}");

    let seconds = suite.context["expiration_in_seconds"].as_u64().unwrap();
    let presign = Presign::expires_in(Duration::from_secs(seconds)).with_payload(payload);
    let presigned = signer.presign_head(head, presign, credentials, at, &mut scratch).unwrap();
    suite.compare("query-canonical-request", &text(presigned.canonical_request()));
    suite.compare("query-string-to-sign", presigned.string_to_sign());
    holds(presigned.string_to_sign(), presigned.signature());
    holds(presigned.string_to_sign(), &suite.recorded("query-signature"));
    let in_query = Message::parse(&suite.recorded("query-signed-request"));
    let (_, query) = in_query.target.split_once('?').unwrap();
    let bare = |query: &str| -> Vec<String> {
        let kept = pieces(query).into_iter().filter(|piece| !piece.starts_with("X-Amz-Signature="));
        kept.map(str::to_owned).collect()
    };
    assert_eq!(bare(&text(presigned.query())), bare(query), "{name}");

    // The requests as they were recorded, through the whole of the verifier.
    let verifier = verifier()
        .with_rules(suite.signer.rules())
        .with_region("us-east-1")
        .with_services([suite.signer.service()]);
    for message in [&expected, &in_query] {
        let pairs = message.pairs();
        let (method, target) = (message.method.as_bytes(), message.target.as_bytes());
        let head = Head::parse(method, target, Headers::Pairs(&pairs)).unwrap();
        let claim = verifier.claim(head, at).unwrap();
        let known = match credentials.session_token() {
            Some(token) => Known::new(&key).with_session_token(token),
            None => Known::new(&key),
        };
        let verified = claim.verify(Some(known), Some(payload), &mut Scratch::new());
        let (verified, _) = verified.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(verified.region_set(), Some("us-east-1"));
    }
}

#[test]
fn sixty_signatures_that_the_crt_made_verify() {
    let Some(data) = external_data("sigv4a.json: signatures") else { return };
    let file: Value = serde_json::from_str(&external::read(&data.join("sigv4a.json"))).unwrap();
    let (mut count, mut accepted) = (0, 0);
    for case in file["awscrt_generated"].as_array().unwrap() {
        let part = |name: &str| case[name].as_str().unwrap();
        let credentials = credentials(case);
        let key = VerifyingKey::derive(part("access_key_id"), part("secret_access_key"));
        let string = part("string_to_sign").as_bytes();
        assert!(key.is_signature(string, part("signature").as_bytes()), "{case}");
        assert!(!key.is_signature(&string[1..], part("signature").as_bytes()), "{case}");

        let headers: Vec<_> =
            case["input"]["headers"].as_array().unwrap().iter().map(pair).collect();
        let pairs: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let input = |name: &str| case["input"][name].as_str().unwrap_or_default();
        let target = match input("query") {
            "" => input("path").to_owned(),
            query => format!("{}?{query}", input("path")),
        };
        let head =
            Head::parse(input("method").as_bytes(), target.as_bytes(), Headers::Pairs(&pairs));
        let head = head.unwrap();
        let line = part("canonical_request").rsplit('\n').next().unwrap();
        let payload = Payload::from_line(line).unwrap();
        let mut rules = Rules::for_service(part("service"));
        // Where the payload line is signed without the header that tells it.
        if !part("canonical_request").contains("\nx-amz-content-sha256:") {
            rules = rules.with_content_sha256_header(false);
        }
        let signer = sigv4a::signer(part("region_set"), part("service")).with_rules(rules);
        let (at, mut scratch) = (at(part("timestamp")), Scratch::new());
        let (canonical, string) = if part("mode") == "header" {
            let signed = signer.sign_head(head, payload, &credentials, at, &mut scratch).unwrap();
            (text(signed.canonical_request()), signed.string_to_sign().to_owned())
        } else {
            let canonical = part("canonical_request");
            let expires = canonical.split("X-Amz-Expires=").nth(1).unwrap();
            let expires = expires.split(['&', '\n']).next().unwrap().parse().unwrap();
            let presign = Presign::expires_in(Duration::from_secs(expires)).with_payload(payload);
            let signed =
                signer.presign_head(head, presign, &credentials, at, &mut scratch).unwrap();
            (text(signed.canonical_request()), signed.string_to_sign().to_owned())
        };
        if canonical == part("canonical_request") {
            assert_eq!(string, part("string_to_sign"), "{case}");
            accepted += 1;
        } else {
            println!("differs: {canonical}\n{}", part("canonical_request"));
        }
        count += 1;
    }
    println!("{count} signatures, {accepted} of them over our canonical request");
    assert_eq!((count, accepted), (60, 60));
}

#[test]
fn the_scope_of_a_claim_derives_no_region() {
    let scope = Scope::parse("20150830/service/aws4_request").unwrap();
    let request = signed("us-*", "service", "");
    let verifier = verifier();
    let claim = verifier.claim(Head::from(&request), now()).unwrap();
    assert_eq!(claim.scope(), scope);
    assert_eq!(claim.region_set(), Some("us-*"));
}
