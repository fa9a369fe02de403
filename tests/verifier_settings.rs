//! What each setting of a verifier changes, whichever other one is set before it or behind.

use std::time::{Duration, SystemTime};

use countersign::{
    Credentials, Head, Payload, Presign, Rules, Scratch, Signer, SigningKey,
    verify::{BodyCheck, Dialect, Error, Known, Refusal, Verifier},
};

use crate::support::chunks::checksums;

/// A setting, and whether it shows.
struct Setting {
    name: &'static str,
    set: fn(Verifier) -> Verifier,
    shows: fn(&Verifier) -> bool,
}

const SETTINGS: [Setting; 12] = [
    Setting {
        name: "clock skew",
        set: |verifier| verifier.with_clock_skew(Duration::from_secs(3600)),
        shows: |verifier| check_at(verifier, &signed("sts", &[]), minutes(30)).is_ok(),
    },
    Setting {
        name: "longest expiry",
        set: |verifier| verifier.with_longest_expiry(Duration::from_secs(60)),
        shows: |verifier| refuses(verifier, &presigned(), Refusal::InvalidExpiry),
    },
    Setting {
        name: "region",
        set: |verifier| verifier.with_region("us-east-1"),
        shows: |verifier| refuses(verifier, &signed_in("eu-west-1"), Refusal::WrongScope),
    },
    Setting {
        name: "services",
        set: |verifier| verifier.with_services(["s3", "sqs", "sts"]),
        shows: |verifier| refuses(verifier, &signed("iam", &[]), Refusal::WrongScope),
    },
    Setting {
        name: "required headers",
        set: |verifier| verifier.with_required_headers(["x-note"]),
        shows: |verifier| {
            let mut request = http::Request::get("https://h/").body(()).unwrap();
            sign(&Signer::new("us-east-1", "sts"), &mut request, Payload::EMPTY);
            refuses(verifier, &request, Refusal::NotSigned)
        },
    },
    Setting {
        name: "tolerated headers",
        set: |verifier| verifier.with_tolerated_headers(["x-amz-cf-id"]),
        shows: |verifier| {
            let mut request = signed("sts", &[]);
            request.headers_mut().insert("x-amz-cf-id", "7".parse().unwrap());
            check(verifier, &request).is_ok()
        },
    },
    Setting {
        name: "rules",
        set: |verifier| verifier.with_rules(UNUSUAL),
        shows: |verifier| {
            let mut request = request("https://h//a/./b", &[]);
            let signer = Signer::new("us-east-1", "sts").with_rules(UNUSUAL);
            sign(&signer, &mut request, Payload::EMPTY);
            check(verifier, &request).is_ok()
        },
    },
    Setting {
        name: "unsigned payloads",
        set: |verifier| verifier.with_unsigned_payloads(true),
        shows: |verifier| {
            let mut request = request("https://h/", &[]);
            sign(&Signer::new("us-east-1", "sqs"), &mut request, Payload::Unsigned);
            check(verifier, &request).is_ok()
        },
    },
    Setting {
        name: "checksums",
        set: |verifier| verifier.with_checksums(checksums),
        shows: |verifier| {
            let trailer = [("x-amz-trailer", "x-amz-checksum-crc32")];
            check(verifier, &chunked(Payload::StreamingUnsignedTrailer, &trailer)).is_ok()
        },
    },
    Setting {
        name: "chunk limit",
        set: |verifier| verifier.with_chunk_limit(13),
        shows: |verifier| {
            let mut check = check(verifier, &chunked(Payload::Streaming, &[])).unwrap();
            let line = format!("e;chunk-signature={}\r\n", "0".repeat(64));
            check.push(line.as_bytes()).is_err_and(|error| error.refusal() == Refusal::ChunkTooLong)
        },
    },
    Setting {
        name: "uniform refusals",
        set: |verifier| verifier.with_uniform_refusals(true),
        shows: |verifier| {
            let request = signed("sts", &[]);
            let claim = verifier.claim(Head::from(&request), now()).unwrap();
            let error = claim.verify(None, None, &mut Scratch::new()).unwrap_err();
            error.code(Dialect::S3) == "SignatureDoesNotMatch"
        },
    },
    Setting {
        name: "debugging",
        set: |verifier| verifier.with_debugging(true),
        shows: |verifier| {
            let mut request = signed("sts", &[]);
            request.headers_mut().insert("x-note", "changed".parse().unwrap());
            check(verifier, &request).unwrap_err().canonical_request().is_some()
        },
    },
];

/// As no service has them: by them all the other requests here are what they are by the rules of their services.
const UNUSUAL: Rules = Rules::S3.with_content_sha256_header(false);

#[test]
fn each_setting_shows_whichever_other_one_is_set() {
    for one in &SETTINGS {
        assert!(!(one.shows)(&Verifier::new()), "{} without it", one.name);
        for other in &SETTINGS {
            let both = (other.set)((one.set)(Verifier::new()));
            for setting in [one, other] {
                assert!(
                    (setting.shows)(&both),
                    "{}: {} and {}",
                    setting.name,
                    one.name,
                    other.name
                );
            }
        }
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

fn minutes(count: u64) -> SystemTime {
    now() + Duration::from_secs(60 * count)
}

fn keys() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "secret")
}

fn request(url: &str, headers: &[(&str, &str)]) -> http::Request<()> {
    let mut builder = http::Request::get(url).header("x-note", "a");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

fn sign(signer: &Signer, request: &mut http::Request<()>, payload: Payload) {
    signer.sign(request, payload, &keys(), now()).unwrap();
}

fn signed(service: &str, headers: &[(&str, &str)]) -> http::Request<()> {
    let mut request = request("https://h/", headers);
    sign(&Signer::new("us-east-1", service), &mut request, Payload::EMPTY);
    request
}

fn signed_in(region: &str) -> http::Request<()> {
    let mut request = request("https://h/", &[]);
    sign(&Signer::new(region, "sts"), &mut request, Payload::EMPTY);
    request
}

fn presigned() -> http::Request<()> {
    let mut request = request("https://h/", &[]);
    let presign = Presign::expires_in(Duration::from_secs(600));
    Signer::new("us-east-1", "sts").presign(&mut request, presign, &keys(), now()).unwrap();
    request
}

fn chunked(payload: Payload, headers: &[(&str, &str)]) -> http::Request<()> {
    let mut request = request("https://b.s3.amazonaws.com/k", headers);
    sign(&Signer::new("us-east-1", "s3"), &mut request, payload);
    request
}

/// The check of the body of a request whose head is right.
fn check_at(
    verifier: &Verifier,
    request: &http::Request<()>,
    at: SystemTime,
) -> Result<BodyCheck, Error> {
    let claim = verifier.claim(Head::from(request), at)?;
    let key = SigningKey::derive(keys().secret_access_key(), &claim.scope());
    let hash = claim.payload().is_none().then_some(Payload::EMPTY);
    claim.verify(Some(Known::new(&key)), hash, &mut Scratch::new()).map(|(_, check)| check)
}

fn check(verifier: &Verifier, request: &http::Request<()>) -> Result<BodyCheck, Error> {
    check_at(verifier, request, now())
}

fn refuses(verifier: &Verifier, request: &http::Request<()>, refusal: Refusal) -> bool {
    check(verifier, request).is_err_and(|error| error.refusal() == refusal)
}
