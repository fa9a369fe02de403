//! Arbitrary hosts, and hosts made of the labels that mean something: each gets an answer, and the same
//! one however it is written.
#![no_main]

use countersign::{
    Rules,
    endpoint::{Endpoint, Partition, UnknownKind},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (kind, input) = input.split_first().unwrap_or((&0, input));
    let (authority, path) = match kind % 2 {
        // As it came, up to the path.
        0 => {
            let text = String::from_utf8_lossy(input);
            let slash = text.find('/').unwrap_or(text.len());
            (text[..slash].to_owned(), text[slash..].to_owned())
        }
        // A label for each byte.
        _ => {
            let labels = input.iter().map(|&byte| LABELS[usize::from(byte) % LABELS.len()]);
            (labels.collect::<Vec<_>>().join("."), "/mqtt".to_owned())
        }
    };
    let answer = Endpoint::of(&authority, &path);
    match &answer {
        Ok(endpoint) => {
            let region = endpoint.region();
            assert!(region.len() <= 24 && region.split('-').count() >= 2, "{region}");
            assert!(
                region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
            assert_eq!(endpoint.partition(), Partition::of_region(region));
            assert_eq!(endpoint.rules(), Rules::for_service(endpoint.signing_name()));
            let signer = endpoint.signer();
            assert_eq!((signer.service(), signer.region()), (endpoint.signing_name(), region));
            // Case, a final dot and a port make no difference.
            let upper = authority.to_ascii_uppercase();
            assert_eq!(Endpoint::of(&upper, &path).as_ref(), Ok(endpoint));
            if !authority.contains(':') && !authority.ends_with('.') {
                let written = format!("{authority}.:8443");
                // A name of 253 bytes is as long as one can be, its final dot aside.
                assert_eq!(Endpoint::of(&written, &path).as_ref(), Ok(endpoint));
            }
            // In front of a bucket's host, anything is a bucket.
            if endpoint.signing_name() == "s3"
                && authority.len() < 200
                && authority.starts_with("s3.")
            {
                assert_eq!(
                    Endpoint::of(&format!("es.us-east-1.{authority}"), &path).as_ref(),
                    Ok(endpoint)
                );
            }
        }
        Err(unknown) => {
            let text = unknown.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
            let candidates = unknown.candidates();
            assert_eq!(candidates.len() > 1, unknown.kind() == UnknownKind::Ambiguous, "{text}");
            for candidate in candidates {
                assert_eq!(Some(candidate.signing_name()), unknown.signing_name());
            }
            if unknown.kind() == UnknownKind::InvalidHost {
                assert!(
                    !format!("{unknown:?}").contains('@'),
                    "what stands before it may be secret"
                );
            }
        }
    }
});

const LABELS: &[&str] = &[
    "s3",
    "s3-fips",
    "s3-eu-west-1",
    "s3-website-us-east-1",
    "s3express-use1-az4",
    "s3-accelerate",
    "vpce",
    "vpce-0a1b-2c",
    "us-east-1",
    "us-gov-west-1",
    "cn-north-1",
    "us-iso-east-1",
    "eusc-de-east-1",
    "xx-new-9",
    "fips",
    "dualstack",
    "global",
    "us-gov",
    "es",
    "aoss-fips",
    "rds",
    "iot",
    "data",
    "jobs",
    "api",
    "ecr",
    "dkr",
    "runtime",
    "sagemaker",
    "kafka",
    "iam",
    "sts",
    "budgets",
    "cloudfront",
    "waf",
    "chime",
    "importexport",
    "queue",
    "signin",
    "oauth",
    "amazonaws",
    "amazonwebservices",
    "com",
    "cn",
    "aws",
    "on",
    "api",
    "eu",
    "ic",
    "gov",
    "c2s",
    "lambda-url",
    "monitoring",
    "maps",
    "geo",
    "endpoint",
    "events",
    "amazonaws-us-gov",
    "",
    "a_b",
    "amazonaws.com",
    "us-west-2.amazonaws.com",
    "api.aws",
    "on.aws",
];
