//! Forms that a browser uploads with: what is signed, and what a server lets through.

use std::{
    fs,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{
    Credentials, ErrorKind, KeyCache, Rules, Scope, Signer, SigningKey,
    post::{Condition, LengthCheck, Policy, PostClaim, PostForm, Received, Upload},
    verify::{Dialect, Error, Known, Refusal, Verifier},
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use crate::support::{at, credentials, external_data};

const NOW: &str = "20151229T000000Z";
const URL: &str = "https://bucket.s3.us-east-1.amazonaws.com/";
const HOUR: Duration = Duration::from_secs(3600);

fn keys() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
}

fn policy() -> Policy {
    Policy::expires_in(HOUR, "bucket", "user/${filename}")
}

fn sign(policy: &Policy) -> Form {
    Form::of(&Signer::new("us-east-1", "s3").post(URL, policy, &keys(), at(NOW)).unwrap())
}

/// A form with a policy of its own making: what S3 makes of it no builder decides.
fn sign_json(policy: &str, fields: &[(&str, &str)]) -> Form {
    let mut form = Form::of_fields(fields);
    let scope = Scope::parse("20151229/us-east-1/s3/aws4_request").unwrap();
    form.add("x-amz-algorithm", "AWS4-HMAC-SHA256");
    form.add("x-amz-credential", &format!("AKIDEXAMPLE/{scope}"));
    form.add("x-amz-date", NOW);
    let policy = BASE64_STANDARD.encode(policy);
    let key = SigningKey::derive(keys().secret_access_key(), &scope);
    form.add("x-amz-signature", &hex::encode(key.sign(policy.as_bytes())));
    form.add("policy", &policy);
    form
}

/// A policy that allows what signing adds and these conditions, a list in JSON.
fn policy_json(conditions: &str) -> String {
    let comma = if conditions.is_empty() { "" } else { "," };
    format!(
        r#"{{"expiration": "2015-12-29T01:00:00.000Z", "conditions": [
            {{"bucket": "bucket"}}, ["starts-with", "$x-amz-algorithm", ""],
            ["starts-with", "$x-amz-credential", ""], ["starts-with", "$x-amz-date", ""],
            ["starts-with", "$key", "user/"]{comma} {conditions}]}}"#
    )
}

/// A form as a server receives it.
#[derive(Clone, Debug)]
struct Form {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    file_name: Vec<u8>,
    bucket: String,
}

impl Form {
    fn of(form: &PostForm) -> Form {
        Form::of_fields(&form.fields().collect::<Vec<_>>())
    }

    fn of_fields(fields: &[(&str, &str)]) -> Form {
        let mut form = Form {
            fields: Vec::new(),
            file_name: b"cat.jpg".to_vec(),
            bucket: "bucket".to_owned(),
        };
        for (name, value) in fields {
            form.add(name, value);
        }
        form
    }

    fn add(&mut self, name: &str, value: &str) {
        self.fields.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.drop(name);
        self.add(name, value);
    }

    fn drop(&mut self, name: &str) {
        self.fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name.as_bytes()));
    }

    fn with(&self, name: &str, value: &str) -> Form {
        let mut form = self.clone();
        form.set(name, value);
        form
    }

    fn without(&self, name: &str) -> Form {
        let mut form = self.clone();
        form.drop(name);
        form
    }

    fn value(&self, name: &str) -> &[u8] {
        &self.fields.iter().find(|(other, _)| other == name.as_bytes()).unwrap().1
    }

    fn verify(&self) -> Result<(Upload<'static>, LengthCheck), Error> {
        self.verify_by(&Verifier::new(), &keys(), at(NOW))
    }

    fn verify_by(
        &self,
        verifier: &Verifier,
        known: &Credentials,
        now: SystemTime,
    ) -> Result<(Upload<'static>, LengthCheck), Error> {
        let pairs: Vec<(&[u8], &[u8])> =
            self.fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let received = Received::new(&self.bucket, &pairs).with_file_name(&self.file_name);
        let claim = verifier.claim_post(received, now)?;
        let is_known = claim.access_key_id() == known.access_key_id();
        let key = is_known.then(|| {
            KeyCache::default().key(
                claim.access_key_id(),
                known.secret_access_key(),
                &claim.scope(),
            )
        });
        let known = key.as_ref().map(|key| match known.session_token() {
            Some(token) => Known::new(key).with_session_token(token),
            None => Known::new(key),
        });
        let (upload, length) = claim.verify(known)?;
        Ok((upload.into_owned(), length))
    }

    fn refusal(&self) -> Refusal {
        self.verify().unwrap_err().refusal()
    }

    fn message(&self) -> String {
        self.verify().unwrap_err().message().to_owned()
    }
}

#[test]
fn the_published_form_signs_as_printed_and_verifies() {
    let Some(data) = external_data("the published POST policy") else { return };
    let text = fs::read_to_string(data.join("s3-doc-examples.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["kind"] == "post_policy").unwrap();
    let fields = case["form_fields"].as_object().unwrap();
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let mut form = Form::of_fields(&fields);
    form.bucket = "sigv4examplebucket".to_owned();
    let known = credentials(&case["credentials"]);
    let now = at(case["timestamp"].as_str().unwrap());
    let verifier = Verifier::new().with_region("us-east-1").with_services(["s3"]);
    let (upload, length) = form.verify_by(&verifier, &known, now).unwrap();
    assert_eq!(upload.key(), "user/user1/cat.jpg");
    assert_eq!(upload.field("Acl"), Some(&b"public-read"[..]));
    assert_eq!(upload.expires_at(), at("2015-12-30T12:00:00Z"));
    assert_eq!(length.allowed(), 0..=u64::MAX);

    // Signed by us from its text, it asks the same and more of no one.
    let policy = Policy::parse(case["policy_text"].as_str().unwrap().as_bytes()).unwrap();
    let signed = Signer::new("us-east-1", "s3").post(URL, &policy, &known, now).unwrap();
    assert_eq!(conditions(&signed), sorted(&serde_json::from_str(policy_text(case)).unwrap()));
    assert_eq!(signed.field("key"), Some("user/user1/${filename}"));
    let blanks: Vec<_> = signed.blanks().collect();
    assert_eq!(blanks, [("Content-Type", "image/"), ("x-amz-meta-tag", "")]);
}

fn policy_text(case: &Value) -> &str {
    case["policy_text"].as_str().or(case["policy_json"].as_str()).unwrap()
}

/// The conditions of a form's policy, in any order.
fn conditions(form: &PostForm) -> Vec<String> {
    let policy = BASE64_STANDARD.decode(form.field("policy").unwrap()).unwrap();
    sorted(&serde_json::from_slice(&policy).unwrap())
}

fn sorted(policy: &Value) -> Vec<String> {
    let conditions = policy["conditions"].as_array().unwrap();
    let mut conditions: Vec<String> = conditions.iter().map(Value::to_string).collect();
    conditions.sort();
    conditions
}

#[test]
fn forms_that_boto3_signed_verify_and_their_policies_sign_alike() {
    let Some(data) = external_data("forms that boto3 signed") else { return };
    let text = fs::read_to_string(data.join("tokens.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let mut count = 0;
    for case in cases["cases"].as_array().unwrap().iter().filter(|case| case["kind"] == "post") {
        let fields = case["fields"].as_object().unwrap();
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let mut form = Form::of_fields(&fields);
        form.bucket = "amzn-s3-demo-bucket".to_owned();
        let (known, now) =
            (credentials(&case["credentials"]), at(case["timestamp"].as_str().unwrap()));
        let (upload, mut length) = form.verify_by(&Verifier::new(), &known, now).unwrap();
        assert_eq!(upload.key(), "user/cat.jpg");
        assert_eq!(upload.field("x-amz-security-token"), None);
        assert_eq!(length.allowed(), 1..=1_048_576);
        length.push(17).unwrap();
        length.finish().unwrap();

        let policy = Policy::parse(policy_text(case).as_bytes()).unwrap();
        let signer = Signer::new(case["region"].as_str().unwrap(), "s3");
        let signed = signer.post(case["url"].as_str().unwrap(), &policy, &known, now).unwrap();
        assert_eq!(conditions(&signed), sorted(&serde_json::from_str(policy_text(case)).unwrap()));
        let names = |form: &Form| {
            let mut names: Vec<Vec<u8>> =
                form.fields.iter().map(|(name, _)| name.clone()).collect();
            names.sort();
            names
        };
        let signed = Form::of(&signed);
        let blank = "Content-Type";
        assert_eq!(names(&signed.with(blank, "text/plain")), names(&form));
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn a_form_holds_what_its_user_sends_before_the_file() {
    let policy = policy()
        .with_field("acl", "private")
        .with_starts_with("Content-Type", "image/")
        .with_starts_with("x-amz-meta-tag", "")
        .with_value("x-amz-meta-tag", "cats")
        .with_value("x-ignore-me", "1")
        .with_content_length_range(1..=10);
    let keys = keys().with_session_token("token");
    let form = Signer::new("us-east-1", "s3").post(URL, &policy, &keys, at(NOW)).unwrap();
    assert_eq!(form.url(), URL);
    let names: Vec<&str> = form.fields().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "key",
            "acl",
            "x-amz-meta-tag",
            "x-ignore-me",
            "x-amz-algorithm",
            "x-amz-credential",
            "x-amz-date",
            "x-amz-security-token",
            "policy",
            "x-amz-signature"
        ]
    );
    assert_eq!(form.blanks().collect::<Vec<_>>(), [("Content-Type", "image/")]);
    let document = BASE64_STANDARD.decode(form.field("policy").unwrap()).unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(
        document,
        json!({"expiration": "2015-12-29T01:00:00.000Z", "conditions": [
            {"bucket": "bucket"},
            ["starts-with", "$key", "user/"],
            {"acl": "private"},
            ["starts-with", "$Content-Type", "image/"],
            ["starts-with", "$x-amz-meta-tag", ""],
            ["content-length-range", 1, 10],
            {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
            {"x-amz-credential": "AKIDEXAMPLE/20151229/us-east-1/s3/aws4_request"},
            {"x-amz-date": NOW},
            {"x-amz-security-token": "token"},
        ]})
    );
    let scope = Scope::parse("20151229/us-east-1/s3/aws4_request").unwrap();
    let key = SigningKey::derive(keys.secret_access_key(), &scope);
    let signature = hex::encode(key.sign(form.field("policy").unwrap().as_bytes()));
    assert_eq!(form.field("X-Amz-Signature"), Some(&*signature));
}

#[test]
fn what_is_shown_of_a_form_holds_no_value() {
    let keys = keys().with_session_token("whisper");
    let policy = policy().with_field("x-amz-server-side-encryption-customer-key", "hush");
    let form = Signer::new("us-east-1", "s3").post(URL, &policy, &keys, at(NOW)).unwrap();
    let received = Form::of(&form);
    let (upload, length) = received.verify_by(&Verifier::new(), &keys, at(NOW)).unwrap();
    let pairs: Vec<(&[u8], &[u8])> =
        received.fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let received = Received::new("bucket", &pairs);
    let verifier = Verifier::new();
    let claim: PostClaim<'_> = verifier.claim_post(received, at(NOW)).unwrap();
    let shown = format!("{policy:?} {form:?} {received:?} {claim:?} {upload:?} {length:?}");
    let secret = [form.field("policy").unwrap(), form.field("x-amz-signature").unwrap()];
    for secret in secret.into_iter().chain(["whisper", "hush"]) {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("x-amz-security-token") && shown.contains("customer-key"), "{shown}");
}

#[test]
fn what_no_form_could_keep_to_is_not_signed() {
    let signer = Signer::new("us-east-1", "s3");
    let kind = |policy: Policy| signer.post(URL, &policy, &keys(), at(NOW)).unwrap_err().kind();
    for policy in [
        Policy::expires_in(HOUR, "", "key"),
        Policy::expires_in(HOUR, "a/b", "key"),
        Policy::expires_in(HOUR, "bucket", ""),
        policy().with_field("", "x"),
        policy().with_field("a b", "x"),
        policy().with_field("a", "x\r\ny"),
        policy().with_starts_with("", ""),
        policy().with_starts_with("x-amz-meta-é", ""),
        policy().with_content_length_range(RangeInclusive::new(2, 1)),
        policy().with_field("file", "x"),
        policy().with_field("bucket", "bucket"),
        policy().with_value("acl", "private"),
        policy().with_field("acl", "private").with_value("ACL", "public-read"),
        policy().with_field("acl", "private").with_field("acl", "public-read"),
        policy()
            .with_starts_with("Content-Type", "image/")
            .with_value("Content-Type", "text/plain"),
        policy().with_field("x-amz-meta-long", "x".repeat(20 * 1024)),
    ] {
        let shown = format!("{policy:?}");
        assert_eq!(kind(policy), ErrorKind::InvalidPolicy, "{shown}");
    }
    for life in [Duration::ZERO, Duration::from_secs(604_801), Duration::MAX] {
        assert_eq!(kind(Policy::expires_in(life, "bucket", "key")), ErrorKind::InvalidExpiry);
    }
    for end in ["20151228T235959Z", NOW, "20160105T000001Z"] {
        assert_eq!(kind(Policy::expires_at(at(end), "bucket", "key")), ErrorKind::InvalidExpiry);
    }
    let week = Policy::expires_at(at("20160105T000000Z"), "bucket", "key");
    let life = signer.post(URL, &week, &keys(), at(NOW)).unwrap().life();
    assert_eq!(life.expires_at(), at("20160105T000000Z"));
    assert_eq!(life.cut_short_at(), None);
}

#[test]
fn only_s3_and_what_signs_by_its_rules_takes_forms() {
    let post = |signer: Signer| signer.post(URL, &policy(), &keys(), at(NOW));
    assert_eq!(post(Signer::new("r", "sqs")).unwrap_err().kind(), ErrorKind::InvalidPolicy);
    let minio = Signer::new("us-east-1", "my-store").with_rules(Rules::S3);
    let form = Form::of(&post(minio).unwrap());
    assert_eq!(form.refusal(), Refusal::WrongScope);
    let verifier = Verifier::new().with_rules(Rules::S3).with_services(["my-store"]);
    assert!(form.verify_by(&verifier, &keys(), at(NOW)).is_ok());
    assert_eq!(post(Signer::new("", "s3")).unwrap_err().kind(), ErrorKind::InvalidScope);
    #[cfg(feature = "sigv4a")]
    {
        let error = post(countersign::sigv4a::signer("*", "s3")).unwrap_err();
        assert!(error.to_string().contains("no POST form is signed by AWS4-ECDSA"), "{error}");
    }
    let session = keys().with_session_token("t").with_s3_express_session(true);
    let error = Signer::new("us-east-1", "s3").post(URL, &policy(), &session, at(NOW)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCredentials);
}

#[test]
fn a_url_that_no_form_can_be_sent_to_is_refused() {
    for url in [
        "",
        "/bucket",
        "bucket.s3.amazonaws.com",
        "ftp://bucket.s3.amazonaws.com/",
        "https://user:pass@bucket.s3.amazonaws.com/",
        "https://bucket.s3.amazonaws.com/?a",
        "https://bucket.s3.amazonaws.com/#a",
        "https://bucket .s3.amazonaws.com/",
        "javascript:alert(1)",
    ] {
        let error = Signer::new("us-east-1", "s3").post(url, &policy(), &keys(), at(NOW));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{url}");
        assert!(!error.to_string().contains("pass"), "{error}");
    }
}

#[test]
fn a_policy_read_from_json_needs_a_bucket_and_a_key() {
    let read = |conditions: &str| {
        let json =
            format!(r#"{{"expiration": "2015-12-29T01:00:00Z", "conditions": {conditions}}}"#);
        Policy::parse(json.as_bytes())
    };
    for conditions in [
        "[]",
        r#"[{"bucket": "b"}]"#,
        r#"[{"key": "k"}]"#,
        r#"[["starts-with", "$bucket", ""], {"key": "k"}]"#,
        r#"[{"bucket": "b"}, {"bucket": "c"}, {"key": "k"}]"#,
        "{}",
        "null",
    ] {
        assert_eq!(read(conditions).unwrap_err().kind(), ErrorKind::InvalidPolicy, "{conditions}");
    }
    let policy = read(
        r#"[{"Bucket": "bucket"}, ["starts-with", "$Key", "a"], ["starts-with", "$key", "a/b"],
            {"x-amz-date": "stale"}, {"x-amz-security-token": "stale"}]"#,
    );
    let form = sign(&policy.unwrap());
    assert_eq!(form.value("key"), b"a/b${filename}");
    assert_eq!(form.verify().unwrap().0.key(), "a/bcat.jpg");
    let exact =
        read(r#"[{"bucket": "bucket"}, ["starts-with", "$key", "a"], ["eq", "$key", "ab"]]"#);
    assert_eq!(sign(&exact.unwrap()).value("key"), b"ab");
}

#[test]
fn conditions_hold_or_the_form_is_refused() {
    // Condition, the field's name and value, whether it holds.
    for (condition, name, value, holds) in [
        (r#"{"acl": "private"}"#, "acl", "private", true),
        (r#"{"acl": "private"}"#, "ACL", "private", true),
        (r#"{"aCl": "private"}"#, "acl", "private", true),
        (r#"{"acl": "private"}"#, "acl", "Private", false),
        (r#"{"acl": "private"}"#, "acl", "private ", false),
        (r#"{"acl": "private"}"#, "acl", "", false),
        (r#"["eq", "$acl", "private"]"#, "acl", "private", true),
        (r#"["eq", "$acl", "private"]"#, "acl", "public-read", false),
        (r#"["eq", "$x-amz-meta-a", "\u00e9\n\ud83d\ude3a"]"#, "x-amz-meta-a", "é\n😺", true),
        (r#"["starts-with", "$x-amz-meta-a", ""]"#, "x-amz-meta-a", "", true),
        (r#"["starts-with", "$x-amz-meta-a", ""]"#, "x-amz-meta-a", "anything", true),
        (r#"["starts-with", "$x-amz-meta-a", "ab"]"#, "x-amz-meta-a", "ab", true),
        (r#"["starts-with", "$x-amz-meta-a", "ab"]"#, "X-AMZ-META-A", "abc", true),
        (r#"["starts-with", "$x-amz-meta-a", "ab"]"#, "x-amz-meta-a", "a", false),
        (r#"["starts-with", "$x-amz-meta-a", "ab"]"#, "x-amz-meta-a", "xab", false),
        (r#"["starts-with", "$x-amz-meta-a", "a,"]"#, "x-amz-meta-a", "a,b", true),
        (r#"["starts-with", "$content-type", "image/"]"#, "Content-Type", "image/png", true),
        (r#"["starts-with", "$Content-Type", "image/"]"#, "content-type", "image/a,image/b", true),
        (r#"["starts-with", "$Content-Type", "image/"]"#, "Content-Type", "image/a,text/b", false),
        (r#"["starts-with", "$Content-Type", "image/"]"#, "Content-Type", "image/a,", false),
        (r#"["eq", "$Content-Type", "a,b"]"#, "Content-Type", "a,b", true),
        (
            r#"["starts-with", "$success_action_redirect", ""]"#,
            "success_action_redirect",
            "u",
            true,
        ),
        (r#"["starts-with", "$x-ignore-a", "a"]"#, "x-ignore-a", "b", false),
        // Two conditions on one field must hold both.
        (
            r#"["starts-with", "$tagging", "a"], ["starts-with", "$tagging", "ab"]"#,
            "tagging",
            "ab",
            true,
        ),
        (
            r#"["starts-with", "$tagging", "a"], ["starts-with", "$tagging", "ab"]"#,
            "tagging",
            "ac",
            false,
        ),
    ] {
        let policy = policy_json(condition);
        let form = sign_json(&policy, &[("key", "user/k"), (name, value)]);
        let result = form.verify();
        assert_eq!(result.is_ok(), holds, "{condition} {name}={value}: {result:?}");
        if let Ok((upload, _)) = result {
            assert_eq!(upload.field(name), Some(value.as_bytes()), "{condition}");
        } else {
            assert_eq!(form.refusal(), Refusal::PolicyNotMet, "{condition} {name}={value}");
        }
        // A field that is not there has no value to compare.
        let missing = sign_json(&policy, &[("key", "user/k")]);
        assert_eq!(missing.refusal(), Refusal::PolicyNotMet, "{condition}");
    }
}

#[test]
fn the_answer_names_the_condition_that_failed_and_no_secret() {
    let form = sign(&policy().with_field("acl", "public-read")).with("acl", "private");
    assert_eq!(
        form.message(),
        r#"Invalid according to Policy: Policy Condition failed: ["eq", "$acl", "public-read"]"#
    );
    let form = sign(&policy()).with("key", "other/k");
    assert_eq!(
        form.message(),
        r#"Invalid according to Policy: Policy Condition failed: ["starts-with", "$key", "user/"]"#
    );
    let name = "x-amz-server-side-encryption-customer-key";
    let form = sign(&policy().with_field(name, "hush")).with(name, "other");
    assert!(
        form.message().contains(name) && !form.message().contains("hush"),
        "{}",
        form.message()
    );
}

#[test]
fn a_field_without_a_condition_is_refused_unless_it_needs_none() {
    let form = sign(&policy());
    let mut two = form.with("acl", "public-read");
    two.add("X-Amz-Meta-B\u{1}", "b");
    assert_eq!(
        two.message(),
        "Invalid according to Policy: Extra input fields: acl, x-amz-meta-b\\x01"
    );
    for name in ["acl", "x-ignor-a", "x-ignore", "AWSAccessKeyId", "x-amz-meta-", ""] {
        assert_eq!(form.with(name, "x").refusal(), Refusal::PolicyNotMet, "{name}");
    }
    for name in ["x-ignore-", "X-Ignore-a", "file", "FILE"] {
        let (upload, _) = form.with(name, "x").verify().unwrap();
        assert_eq!(upload.field(name), None, "{name}");
    }
    // S3 takes a policy without the bucket for one that forgot a field.
    let json = policy_json("").replace(r#"{"bucket": "bucket"},"#, "");
    let form = sign_json(&json, &[("key", "user/k")]);
    assert_eq!(form.message(), "Invalid according to Policy: Extra input fields: bucket");
}

#[test]
fn a_form_uploads_to_the_bucket_of_its_policy_alone() {
    let form = sign(&policy());
    assert_eq!(form.verify().unwrap().0.field("bucket"), Some(&b"bucket"[..]));
    let mut elsewhere = form.clone();
    elsewhere.bucket = "other".to_owned();
    assert_eq!(elsewhere.refusal(), Refusal::PolicyNotMet);
    // Some clients send the bucket as a field; it does not choose.
    assert!(form.with("bucket", "bucket").verify().is_ok());
    assert_eq!(elsewhere.with("bucket", "bucket").refusal(), Refusal::MalformedForm);
    assert_eq!(form.with("bucket", "other").refusal(), Refusal::MalformedForm);
}

#[test]
fn the_files_name_stands_in_the_values_that_conditions_see() {
    let policy = policy().with_starts_with("x-amz-meta-name", "is ");
    let form = sign(&policy).with("x-amz-meta-name", "is ${filename}, ${filename}${filenam}");
    for (file_name, key) in [
        ("cat.jpg", "cat.jpg"),
        ("C:\\photos\\cat.jpg", "cat.jpg"),
        ("a/b\\c/cat.jpg", "cat.jpg"),
        ("../../etc/passwd", "passwd"),
        ("${filename}", "${filename}"),
        ("", ""),
        ("photos/", ""),
    ] {
        let mut form = form.clone();
        form.file_name = file_name.as_bytes().to_vec();
        let (upload, _) = form.verify().unwrap();
        assert_eq!(upload.key(), format!("user/{key}"));
        let meta = format!("is {key}, {key}${{filenam}}");
        assert_eq!(upload.field("x-amz-meta-name"), Some(meta.as_bytes()));
    }
    let exact =
        sign_json(&policy_json(r#"{"key": "user/cat.jpg"}"#), &[("key", "user/${filename}")]);
    assert_eq!(exact.verify().unwrap().0.key(), "user/cat.jpg");
    let mut other = exact;
    other.file_name = b"dog.jpg".to_vec();
    assert_eq!(other.refusal(), Refusal::PolicyNotMet);
}

#[test]
fn a_key_that_is_empty_or_no_text_is_refused() {
    let any = policy_json("").replace("user/", "");
    let mut form = sign_json(&any, &[("key", "${filename}")]);
    form.file_name = Vec::new();
    assert_eq!(form.refusal(), Refusal::MalformedForm);
    form.file_name = b"\xff".to_vec();
    assert_eq!(form.refusal(), Refusal::MalformedForm);
    form.file_name = b"k".to_vec();
    assert_eq!(form.verify().unwrap().0.key(), "k");
    assert_eq!(form.with("key", "").refusal(), Refusal::MalformedForm);
}

#[test]
fn few_bytes_that_ask_for_many_file_names_are_refused() {
    let mut form = sign(&policy().with_starts_with("x-amz-meta-a", ""))
        .with("x-amz-meta-a", &"${filename}".repeat(1000));
    form.file_name = vec![b'x'; 20];
    assert!(form.verify().is_ok());
    form.file_name = vec![b'x'; 1 << 16];
    assert_eq!(form.refusal(), Refusal::FormTooLong);
}

#[test]
fn the_files_length_is_checked_as_it_comes() {
    let length = |conditions: &str| {
        sign_json(&policy_json(conditions), &[("key", "user/k")]).verify().unwrap().1
    };
    let check = |conditions: &str, pieces: &[u64]| {
        let mut length = length(conditions);
        for (at, piece) in pieces.iter().enumerate() {
            length.push(*piece).map_err(|error| (at, error.code(Dialect::S3)))?;
        }
        length.finish().map_err(|error| (pieces.len(), error.code(Dialect::S3)))
    };
    let range = r#"["content-length-range", 2, 4]"#;
    assert_eq!(check(range, &[2]), Ok(()));
    assert_eq!(check(range, &[1, 1, 2]), Ok(()));
    assert_eq!(check(range, &[1]), Err((1, "EntityTooSmall")));
    assert_eq!(check(range, &[]), Err((0, "EntityTooSmall")));
    assert_eq!(check(range, &[4, 1, 9]), Err((1, "EntityTooLarge")));
    assert_eq!(check(range, &[u64::MAX, 9]), Err((0, "EntityTooLarge")));
    assert_eq!(check("", &[]), Ok(()));
    assert_eq!(check("", &[u64::MAX, u64::MAX]), Ok(()));
    // Who goes on after a refusal is refused at the end, too.
    let mut careless = length(range);
    assert!(careless.push(5).is_err() && careless.push(0).is_err());
    assert_eq!(careless.finish().unwrap_err().refusal(), Refusal::FileTooLarge);
    // Several ranges must hold all, and bounds may be text.
    let both = r#"["content-length-range", "0", "10"], ["content-length-range", 5, 20]"#;
    assert_eq!(length(both).allowed(), 5..=10);
    let none = r#"["content-length-range", 0, 1], ["content-length-range", 5, 6]"#;
    assert!(length(none).allowed().is_empty());
    for pieces in [&[][..], &[1], &[5]] {
        assert!(check(none, pieces).is_err());
    }
}

#[test]
fn a_signed_policy_that_is_none_is_refused() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let with_condition = |condition: &str| policy_json(condition);
    let with_end = |end: &str| policy_json("").replace("\"2015-12-29T01:00:00.000Z\"", end);
    let cases = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "{\"expiration\": \"2015-12-29T01:00:00Z\"}".to_owned(),
        "{\"conditions\": []}".to_owned(),
        policy_json("") + "x",
        policy_json("").replace("}", ""),
        policy_json("").replacen('{', "{\"conditions\": [],", 1),
        policy_json("").replacen('{', "{\"expiration\": \"2015-12-29T01:00:00Z\",", 1),
        policy_json("").replacen('{', "{\"comment\": 1,", 1),
        policy_json("").replace("conditions", "Conditions"),
        deep.clone(),
        with_condition(&deep),
        with_condition(r#"{"acl": "private"},"#),
        with_condition("{}"),
        with_condition(r#"{"acl": "private", "acl": "private"}"#),
        with_condition(r#"{"acl": "private", "tagging": "a"}"#),
        with_condition(r#"{"acl": 1}"#),
        with_condition(r#"{"acl": null}"#),
        with_condition(r#"{"acl": ["private"]}"#),
        with_condition(r#""acl""#),
        with_condition("1"),
        with_condition("null"),
        with_condition("[]"),
        with_condition(r#"["eq", "$acl"]"#),
        with_condition(r#"["eq", "$acl", "private", "x"]"#),
        with_condition(r#"["eq", "acl", "private"]"#),
        with_condition(r#"["eq", "$acl", 1]"#),
        with_condition(r#"["eq", {"$acl": 1}, "private"]"#),
        with_condition(r#"["ends-with", "$acl", "private"]"#),
        with_condition(r#"["Eq", "$acl", "private"]"#),
        with_condition(r#"[1, "$acl", "private"]"#),
        with_condition(r#"["eq", "$acl", "\ud800"]"#),
        with_condition(r#"["content-length-range", 1]"#),
        with_condition(r#"["content-length-range", 2, 1]"#),
        with_condition(r#"["content-length-range", -1, 1]"#),
        with_condition(r#"["content-length-range", 0, 1.5]"#),
        with_condition(r#"["content-length-range", 0, 1e3]"#),
        with_condition(r#"["content-length-range", 0, "+1"]"#),
        with_condition(r#"["content-length-range", "", 1]"#),
        with_condition(r#"["content-length-range", 0, 18446744073709551616]"#),
        with_condition(r#"["content-length-range", 0, null]"#),
        with_end("\"tomorrow\""),
        with_end("\"2015-12-29T25:00:00Z\""),
        with_end("\"2015-12-29\""),
        with_end("1451350800"),
        with_end("null"),
    ];
    for json in cases {
        let form = sign_json(&json, &[("key", "user/k")]);
        let error = form.verify().unwrap_err();
        assert_eq!(error.refusal(), Refusal::InvalidPolicy, "{json}");
        assert_eq!(
            (error.code(Dialect::S3), error.status(Dialect::S3)),
            ("InvalidPolicyDocument", 400)
        );
        assert!(Policy::parse(json.as_bytes()).is_err(), "{json}");
    }
    assert!(Policy::parse(b"{\"expiration\": \"\xff\"}").is_err());
}

#[test]
fn a_policy_must_be_base64_to_the_letter() {
    let scope = Scope::parse("20151229/us-east-1/s3/aws4_request").unwrap();
    let key = SigningKey::derive(keys().secret_access_key(), &scope);
    let good = sign(&policy());
    let text = String::from_utf8(good.value("policy").to_vec()).unwrap();
    let lines = format!("{}\r\n{}", &text[..8], &text[8..]);
    for odd in [&text[..text.len() - 1], &lines, &format!("{text}\n"), "", "e30", "e3-_", "é"] {
        let signature = hex::encode(key.sign(odd.as_bytes()));
        let form = good.with("policy", odd).with("x-amz-signature", &signature);
        assert_eq!(form.refusal(), Refusal::InvalidPolicy, "{odd}");
    }
}

#[test]
fn fields_that_a_form_must_have_are_missed() {
    let form = sign(&policy());
    for name in
        ["key", "policy", "x-amz-signature", "x-amz-algorithm", "x-amz-credential", "x-amz-date"]
    {
        let form = form.without(name);
        assert_eq!(form.refusal(), Refusal::MalformedForm, "{name}");
        assert!(form.message().contains(&format!("field named '{name}'")), "{}", form.message());
    }
    let unsigned = form.without("policy").without("x-amz-signature");
    assert_eq!(unsigned.refusal(), Refusal::NoCredentials);
    assert_eq!(Form::of_fields(&[]).refusal(), Refusal::NoCredentials);
}

#[test]
fn a_field_twice_is_refused_whatever_it_is() {
    let form = sign(&policy());
    for (name, value) in form.clone().fields {
        let mut twice = form.clone();
        twice.fields.push((name.to_ascii_uppercase(), value));
        assert_eq!(twice.refusal(), Refusal::Ambiguous, "{}", name.escape_ascii());
    }
}

#[test]
fn a_form_that_is_too_long_is_not_looked_at() {
    let form = sign(&policy()).with("x-ignore-a", &"x".repeat(20 * 1024));
    let error = form.verify().unwrap_err();
    assert_eq!(error.refusal(), Refusal::FormTooLong);
    assert_eq!(error.code(Dialect::S3), "MaxPostPreDataLengthExceededError");
}

#[test]
fn scope_date_and_credential_must_agree() {
    let form = sign(&policy());
    for (credential, refusal) in [
        ("AKIDEXAMPLE/20151228/us-east-1/s3/aws4_request", Refusal::WrongScope),
        ("AKIDEXAMPLE/20151229/us-east-1/s3/aws4", Refusal::WrongScope),
        ("AKIDEXAMPLE/20151229/us-east-1/sqs/aws4_request", Refusal::WrongScope),
        ("AKIDEXAMPLE/20151229/us-east-1/s3", Refusal::Malformed),
        ("AKIDEXAMPLE/20151229//s3/aws4_request", Refusal::Malformed),
        ("", Refusal::Malformed),
        ("AKIDEXAMPLE/20151229/eu-west-1/s3/aws4_request", Refusal::SignatureDiffers),
        ("AKIDOTHER/20151229/us-east-1/s3/aws4_request", Refusal::UnknownKey),
    ] {
        assert_eq!(form.with("x-amz-credential", credential).refusal(), refusal, "{credential}");
    }
    for date in ["", "20151229T000000", "2015-12-29T00:00:00Z", "Tue, 29 Dec 2015 00:00:00 GMT"] {
        assert_eq!(form.with("x-amz-date", date).refusal(), Refusal::Malformed, "{date}");
    }
    assert_eq!(form.with("x-amz-algorithm", "AWS4-HMAC-SHA1").refusal(), Refusal::Malformed);
    let mut odd = form.without("x-amz-date");
    odd.fields.push((b"x-amz-date".to_vec(), b"\xff".to_vec()));
    assert_eq!(odd.refusal(), Refusal::Malformed);
    let by =
        |verifier: Verifier| form.verify_by(&verifier, &keys(), at(NOW)).map_err(|e| e.refusal());
    assert!(by(Verifier::new().with_region("us-east-1").with_services(["s3"])).is_ok());
    assert_eq!(by(Verifier::new().with_region("r")).unwrap_err(), Refusal::WrongScope);
    assert_eq!(by(Verifier::new().with_services(["s3express"])).unwrap_err(), Refusal::WrongScope);
}

#[test]
fn a_form_holds_until_its_policy_expires_and_no_longer() {
    let form = sign(&policy());
    let verifier = Verifier::new();
    let at_time =
        |time: &str| form.verify_by(&verifier, &keys(), at(time)).map_err(|e| e.refusal());
    assert!(at_time("20151229T005959Z").is_ok());
    assert_eq!(at_time("20151229T010000Z").unwrap_err(), Refusal::Expired);
    // Its date may lie ahead by the clock skew.
    assert!(at_time("20151228T234500Z").is_ok());
    assert_eq!(at_time("20151228T234459Z").unwrap_err(), Refusal::Expired);
    // However long the policy says, the signature holds a week.
    let json = policy_json("").replace("2015-12-29T01:00:00.000Z", "2099-01-01T00:00:00Z");
    let form = sign_json(&json, &[("key", "user/k")]);
    let at_time =
        |time: &str| form.verify_by(&verifier, &keys(), at(time)).map_err(|e| e.refusal());
    assert!(at_time("20160105T000000Z").is_ok());
    assert_eq!(at_time("20160105T000001Z").unwrap_err(), Refusal::Expired);
    let short = Verifier::new().with_longest_expiry(HOUR);
    assert!(form.verify_by(&short, &keys(), at("20151229T010001Z")).is_err());
}

#[test]
fn the_session_token_must_be_the_keys() {
    let temporary = keys().with_session_token("token");
    let signer = Signer::new("us-east-1", "s3");
    let with_token = Form::of(&signer.post(URL, &policy(), &temporary, at(NOW)).unwrap());
    let without = sign(&policy());
    let verify = |form: &Form, known: &Credentials, uniform: bool| {
        let verifier = Verifier::new().with_uniform_refusals(uniform);
        let result = form.verify_by(&verifier, known, at(NOW));
        result.map(|_| ()).map_err(|error| (error.refusal(), error.code(Dialect::S3)))
    };
    assert_eq!(verify(&with_token, &temporary, false), Ok(()));
    assert_eq!(verify(&without, &keys(), false), Ok(()));
    let other = keys().with_session_token("other");
    for (form, known) in [
        (&with_token, &other),
        (&with_token, &keys()),
        (&without, &temporary),
        (&with_token.with("x-amz-security-token", "tokem"), &temporary),
        (&with_token.without("x-amz-security-token"), &temporary),
    ] {
        assert_eq!(verify(form, known, false), Err((Refusal::WrongToken, "InvalidToken")));
        let uniform = Err((Refusal::WrongToken, "SignatureDoesNotMatch"));
        assert_eq!(verify(form, known, true), uniform);
    }
    let nobody = Credentials::new("AKIDOTHER", "secret");
    let unknown = (Refusal::UnknownKey, "InvalidAccessKeyId");
    assert_eq!(verify(&without, &nobody, false), Err(unknown));
    assert_eq!(verify(&without, &nobody, true), Err((unknown.0, "SignatureDoesNotMatch")));
    // A token that the policy does not know is an extra field, were it the key's.
    let json = sign_json(&policy_json(""), &[("key", "user/k"), ("x-amz-security-token", "token")]);
    assert_eq!(verify(&json, &temporary, false), Err((Refusal::PolicyNotMet, "AccessDenied")));
}

#[test]
fn a_condition_is_read_from_its_json_alone() {
    for json in ["", "{", "{}", "[]", r#"["eq", "a", "b"]"#, r#"{"a": "b"} x"#, "\u{1}"] {
        let error = json.parse::<Condition>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidPolicy, "{json}");
    }
    let shown =
        format!("{:?}", r#"{"x-amz-security-token": "hush"}"#.parse::<Condition>().unwrap());
    assert!(shown.contains("x-amz-security-token") && !shown.contains("hush"), "{shown}");
}

#[test]
fn the_types_go_wherever_a_task_goes() {
    fn is_owned<T: Send + Sync + Unpin + Clone + std::fmt::Debug + 'static>() {}
    fn crosses_threads<T: Send + Sync + std::fmt::Debug>() {}
    is_owned::<Condition>();
    is_owned::<LengthCheck>();
    is_owned::<Policy>();
    is_owned::<PostForm>();
    is_owned::<Upload<'static>>();
    crosses_threads::<PostClaim<'_>>();
    crosses_threads::<Received<'_>>();
}

/// What a policy may be made of.
#[derive(Clone, Debug)]
struct Made {
    key: String,
    fields: Vec<(String, String)>,
    prefixes: Vec<(String, String, String)>,
    least: u64,
    span: u64,
    token: Option<String>,
}

impl Made {
    fn any() -> impl Strategy<Value = Made> {
        let value = "[^\r\n\0]{0,12}";
        (
            "[a-z/$é\"\\\\]{1,8}(\\$\\{filename\\})?[a-z]{0,3}",
            vec(value, 0..4),
            vec((value, value), 0..4),
            0..100_u64,
            0..100_u64,
            proptest::option::of("[A-Za-z0-9/+=]{1,40}"),
        )
            .prop_map(|(key, fields, prefixes, least, span, token)| Made {
                key,
                fields: (0..).zip(fields).map(|(n, v)| (format!("x-amz-meta-f{n}"), v)).collect(),
                prefixes: (0..)
                    .zip(prefixes)
                    .map(|(n, (prefix, rest))| {
                        (format!("X-Amz-Meta-P{n}"), prefix.clone(), prefix + &rest)
                    })
                    .collect(),
                least,
                span,
                token,
            })
    }

    fn keys(&self) -> Credentials {
        match &self.token {
            Some(token) => keys().with_session_token(token),
            None => keys(),
        }
    }

    fn policy(&self) -> Policy {
        let policy = Policy::expires_in(HOUR, "bucket", &self.key)
            .with_content_length_range(self.least..=self.least + self.span);
        let policy =
            self.fields.iter().fold(policy, |policy, (name, value)| policy.with_field(name, value));
        self.prefixes.iter().fold(policy, |policy, (name, prefix, value)| {
            policy.with_starts_with(name, prefix).with_value(name, value)
        })
    }

    fn form(&self) -> Form {
        let signer = Signer::new("us-east-1", "s3");
        Form::of(&signer.post(URL, &self.policy(), &self.keys(), at(NOW)).unwrap())
    }

    fn verify(&self, form: &Form) -> Result<(Upload<'static>, LengthCheck), Error> {
        form.verify_by(&Verifier::new(), &self.keys(), at(NOW))
    }
}

proptest! {
    #[test]
    fn what_is_signed_verifies(made in Made::any(), len in 0..250_u64) {
        let (upload, mut length) = made.verify(&made.form()).unwrap();
        prop_assert_eq!(upload.key(), made.key.replace("${filename}", "cat.jpg"));
        for (name, value) in &made.fields {
            let value = value.replace("${filename}", "cat.jpg");
            prop_assert_eq!(upload.field(name), Some(value.as_bytes()));
        }
        let fits = (made.least..=made.least + made.span).contains(&len);
        prop_assert_eq!(length.push(len).and_then(|()| length.finish()).is_ok(), fits);
    }

    #[test]
    fn what_was_signed_can_be_read_and_signed_again(made in Made::any()) {
        let form = made.form();
        let document = BASE64_STANDARD.decode(form.value("policy")).unwrap();
        let read = Policy::parse(&document).unwrap();
        let signer = Signer::new("us-east-1", "s3");
        let again = signer.post(URL, &read, &made.keys(), at(NOW)).unwrap();
        prop_assert_eq!(again.field("policy").unwrap().as_bytes(), form.value("policy"));
        prop_assert_eq!(
            again.field("x-amz-signature").unwrap().as_bytes(), form.value("x-amz-signature"));
    }

    #[test]
    fn no_byte_of_the_policy_or_the_signature_can_be_changed(
        made in Made::any(), at in any::<prop::sample::Index>(), other in any::<u8>(),
    ) {
        let form = made.form();
        for name in ["policy", "x-amz-signature"] {
            let mut changed = form.clone();
            let (_, value) =
                changed.fields.iter_mut().find(|(field, _)| field == name.as_bytes()).unwrap();
            let at = at.index(value.len());
            prop_assume!(value[at] != other);
            value[at] = other;
            let error = made.verify(&changed).unwrap_err();
            prop_assert_eq!(error.refusal(), Refusal::SignatureDiffers);
        }
    }

    #[test]
    fn no_exact_field_can_be_changed_dropped_or_added(
        made in Made::any(), at in any::<prop::sample::Index>(), other in "[a-z]{0,9}",
    ) {
        let form = made.form();
        // Those that only begin as the policy says may have other values: of `key` some.
        let is_exact = |(name, _): &&(Vec<u8>, Vec<u8>)| {
            !name.starts_with(b"X-Amz-Meta-P") && (name != b"key" || !made.key.contains("${filename}"))
        };
        let exact: Vec<&(Vec<u8>, Vec<u8>)> = form.fields.iter().filter(is_exact).collect();
        let (name, value) = exact[at.index(exact.len())];
        let name = String::from_utf8(name.clone()).unwrap();
        prop_assume!(*value != other.as_bytes());
        prop_assert!(made.verify(&form.with(&name, &other)).is_err(), "{name}={other}");
        prop_assert!(made.verify(&form.without(&name)).is_err(), "without {name}");
        prop_assert!(made.verify(&form.with("x-amz-meta-new", &other)).is_err());
    }

    #[test]
    fn no_policy_however_odd_makes_a_panic(bytes in vec(any::<u8>(), 0..200), text in "[\\[\\]{}\",:$a-z0-9]{0,60}") {
        for policy in [&bytes[..], text.as_bytes()] {
            let _ = Policy::parse(policy);
            let _ = sign_json(&String::from_utf8_lossy(policy), &[("key", "k")]).refusal();
        }
        let _ = text.parse::<Condition>();
    }
}
