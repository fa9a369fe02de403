//! Signing and verifying by SigV4A, the derived key at hand and not.
#![forbid(unsafe_code)]

use std::time::{Duration, SystemTime};

use countersign::{
    Credentials, Head, Headers, Payload, Presign, Scratch, Signer,
    sigv4a::{self, KeyCache, SigningKey, VerifyingKey},
    verify::{Known, Verifier},
};
use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let target = b"https://example.accesspoint.s3-global.amazonaws.com/photos/cat.jpg";
    let head = Head::parse(b"GET", target, Headers::Pairs(&[])).expect("a target");
    let signer = sigv4a::signer("*", "s3");
    let mut scratch = Scratch::new();

    let mut group = criterion.benchmark_group("sigv4a");
    group.bench_function("derive", |b| b.iter(|| SigningKey::derive(id, secret)));
    let mut sign = |signer: &Signer| {
        let signed = signer.sign_head(head, Payload::EMPTY, &credentials, at, &mut scratch);
        signed.expect("the request can be signed").signature().len()
    };
    group.bench_function("sign", |b| b.iter(|| sign(&signer)));
    group.bench_function("sign, key cold", |b| {
        b.iter(|| sign(&KeyCache::new(1).signer("*", "s3")));
    });
    group.bench_function("presign", |b| {
        let presign = Presign::expires_in(Duration::from_secs(900));
        let mut scratch = Scratch::new();
        b.iter(|| {
            let presigned = signer.presign_head(head, presign, &credentials, at, &mut scratch);
            presigned.expect("the request can be signed").query().len()
        });
    });

    let mut request = http::Request::get("/photos/cat.jpg").header("host", "example").body(());
    let request = request.as_mut().expect("a request");
    signer.sign(request, Payload::EMPTY, &credentials, at).expect("the request can be signed");
    let verifier = Verifier::new().with_sigv4a().with_region("eu-west-1").with_services(["s3"]);
    let mut scratch = Scratch::new();
    let mut verify = |key: &VerifyingKey| {
        let claim = verifier.claim(Head::from(&*request), at).expect("a claim");
        let verified = claim.verify(Some(Known::new(key)), Some(Payload::EMPTY), &mut scratch);
        verified.expect("the request is rightly signed").0.access_key_id().len()
    };
    let key = VerifyingKey::derive(id, secret);
    group.bench_function("verify", |b| b.iter(|| verify(&key)));
    group.bench_function("verify, key cold", |b| {
        b.iter(|| verify(&VerifyingKey::derive(id, secret)));
    });
    // Both take as long, so that nobody learns by the time which keys there are.
    let another = VerifyingKey::derive(id, "another");
    let refuse = |known: Option<Known<'_>>| {
        let claim = verifier.claim(Head::from(&*request), at).expect("a claim");
        claim.verify(known, Some(Payload::EMPTY), &mut Scratch::new()).is_err()
    };
    group.bench_function("refuse, key unknown", |b| b.iter(|| refuse(None)));
    group.bench_function("refuse, signature differs", |b| {
        b.iter(|| refuse(Some(Known::new(&another))));
    });
    group.finish();
    criterion.final_summary();
}
