//! Arbitrary forms: their policies are read, signed as they are and verified, and nothing panics; what is
//! let through holds every condition.
#![no_main]

use std::time::{Duration, SystemTime};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{
    Credentials, Scope, Signer, SigningKey,
    post::{Condition, Policy, Received},
    verify::{Dialect, Known, Refusal, Verifier, Wire},
};
use libfuzzer_sys::fuzz_target;

// The first line names the file; then come fields, `name:value` each, up to an empty line; what is left is
// the policy.
fuzz_target!(|input: &[u8]| {
    let (file_name, rest) = split(input, b"\n");
    let (fields, policy) = split(rest, b"\n\n");
    let own: Vec<(&[u8], &[u8])> =
        fields.split(|&byte| byte == b'\n').map(|line| split(line, b":")).collect();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_451_347_200);
    let scope = Scope::parse("20151229/us-east-1/s3/aws4_request").expect("a scope");
    let key = SigningKey::derive("secret", &scope);
    let verifier = Verifier::new();

    // As it came: who fuzzes does not know the key.
    let received = Received::new("bucket", &own).with_file_name(file_name);
    let _ = format!("{received:?}");
    if let Ok(claim) = verifier.claim_post(received, now) {
        let _ = (format!("{claim:?}"), claim.session_token());
        claim.verify(Some(Known::new(&key))).expect_err("a signature was made up");
    }

    // With its policy signed by who may.
    let encoded = BASE64_STANDARD.encode(policy);
    let signature = key.sign(encoded.as_bytes()).map(|byte| format!("{byte:02x}")).concat();
    let credential = format!("AKID/{scope}");
    let added: [(&[u8], &[u8]); 5] = [
        (b"x-amz-algorithm", b"AWS4-HMAC-SHA256"),
        (b"x-amz-credential", credential.as_bytes()),
        (b"x-amz-date", b"20151229T000000Z"),
        (b"policy", encoded.as_bytes()),
        (b"x-amz-signature", signature.as_bytes()),
    ];
    let fields: Vec<(&[u8], &[u8])> = own.iter().copied().chain(added).collect();
    let received = Received::new("bucket", &fields).with_file_name(file_name);
    let claim = verifier.claim_post(received, now);
    match claim.and_then(|claim| claim.verify(Some(Known::new(&key)))) {
        Ok((upload, mut length)) => {
            assert!(!upload.key().is_empty());
            for (name, _) in upload.fields() {
                assert_ne!(name, b"x-amz-security-token");
            }
            let allowed = length.allowed();
            let fits = length.push(1000).and_then(|()| length.finish()).is_ok();
            assert_eq!(fits, allowed.contains(&1000));
            let _ = format!("{:?}", upload.into_owned());
        }
        Err(error) => {
            assert_ne!(error.refusal(), Refusal::SignatureDiffers);
            assert!(error.body(Wire::S3Xml, "ID").contains(error.code(Dialect::S3)));
            assert!((400..500).contains(&error.status(Dialect::S3)));
        }
    }

    // Signed by us, once it was read.
    if let Ok(text) = str::from_utf8(policy) {
        let _ = text.parse::<Condition>();
    }
    let Ok(policy) = Policy::parse(policy) else { return };
    let _ = format!("{policy:?}");
    let signer = Signer::new("us-east-1", "s3");
    let keys = Credentials::new("AKID", "secret");
    let Ok(form) = signer.post("https://b.s3.amazonaws.com/", &policy, &keys, now) else { return };
    if form.blanks().next().is_some() {
        return;
    }
    let fields: Vec<(&[u8], &[u8])> =
        form.fields().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let received = Received::new(policy.bucket(), &fields).with_file_name(b"cat.jpg");
    let claim = verifier.claim_post(received, now).expect("a form of ours is well-formed");
    match claim.verify(Some(Known::new(&key))) {
        Ok(_) => {}
        // What the file's name made of a value, signing could not know.
        Err(error) => {
            let is_open = fields.iter().any(|(_, value)| {
                value.windows(11).any(|window| window == b"${filename}")
            });
            assert!(is_open, "a form of ours was refused: {error:?}");
        }
    }
});

fn split<'a>(text: &'a [u8], at: &[u8]) -> (&'a [u8], &'a [u8]) {
    match text.windows(at.len()).position(|window| window == at) {
        Some(end) => (&text[..end], &text[end + at.len()..]),
        None => (text, b""),
    }
}
