//! Arbitrary answers of servers that refused a request, laid beside what we signed: the same text on both sides is no
//! difference, another is found, and no session token and no signature of ours is shown.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use countersign::{
    Credentials, Head, Headers, Payload, Scratch, Signer,
    verify::against::{Answer, Line, Ours, compare},
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Plan {
    code: u8,
    message: String,
    details: Vec<(u8, String)>,
    /// The server's canonical request: ours, with some bytes in place of others; any, if it is not set.
    edit: Option<(u16, u8, String)>,
    is_in_message: bool,
}

fuzz_target!(|plan: Plan| {
    let headers: [(&[u8], &[u8]); 2] =
        [(b"Host", b"example.amazonaws.com"), (b"X-Amz-Meta-A", b"a  b")];
    let head = Head::parse(b"GET", b"/a%20b?b=2&a=1", Headers::Pairs(&headers)).expect("a path");
    let credentials =
        Credentials::new("AKIDEXAMPLE", "hush-secret").with_session_token("hush-token");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    let mut scratch = Scratch::new();
    let signed = Signer::new("us-east-1", "execute-api")
        .sign_head(head, Payload::EMPTY, &credentials, now, &mut scratch)
        .expect("nothing is wrong with it");
    let explanation = signed.explain();
    let whole = String::from_utf8_lossy(signed.canonical_request()).into_owned();
    // The server was sent another token, so that ours is nothing that it could repeat.
    let whole = whole.replace("hush-token", "their-token");
    let mut theirs = whole.clone();
    if let Some((at, out, put)) = &plan.edit {
        let start = usize::from(*at) % (theirs.len() + 1);
        let end = (start + usize::from(*out)).min(theirs.len());
        theirs.replace_range(start..end, put);
    }

    let mut message = plan.message.clone();
    if plan.is_in_message {
        message +=
            &format!("\n\nThe Canonical String for this request should have been\n'{theirs}'\n");
    }
    let mut answer = Answer::new(CODES[usize::from(plan.code) % CODES.len()], message);
    let mut has_own = false;
    for (name, value) in plan.details.iter().take(20) {
        let name = DETAILS[usize::from(*name) % DETAILS.len()];
        has_own |= name == "CanonicalRequest";
        answer = answer.with_detail(name, value.as_str());
    }
    if plan.edit.is_some() && !has_own {
        answer = answer.with_detail("CanonicalRequest", theirs.as_str());
    }
    let ours = Ours::from(&explanation).with_signature(signed.signature());
    let found = compare(&ours, &answer);
    // What the server repeats is its own to show; what it does not know, nobody shows.
    let said = format!("{:?}{answer:?}{}{theirs}", plan.details, plan.message);
    let shown = format!("{found:?}{ours:?}{:?}", answer.causes());
    for secret in ["hush-secret", "hush-token", signed.signature()] {
        assert!(said.contains(secret) || !shown.contains(secret), "{shown}");
    }
    for cause in found.causes() {
        assert!(!cause.name().is_empty() && !cause.advice().is_empty());
    }
    for line in found.canonical_request().iter().chain(found.string_to_sign()) {
        assert_eq!(line.differs_at.is_none(), line.ours == line.theirs, "{line:?}");
    }
    if plan.edit.is_some() && !has_own && theirs == whole {
        let is_token = |line: &Line| line.ours.iter().any(|ours| ours.contains("-security-token:"));
        let is_same = |line: &Line| line.differs_at.is_none() || is_token(line);
        assert!(found.canonical_request().iter().all(is_same), "{found:?}");
    }
});

const CODES: [&str; 4] =
    ["SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed", "AccessDenied"];
const DETAILS: [&str; 7] = [
    "CanonicalRequest",
    "StringToSign",
    "SignatureProvided",
    "AWSAccessKeyId",
    "ServerTime",
    "RequestTime",
    "Expires",
];
