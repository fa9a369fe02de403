//! What a server's answer tells beside our own canonical request.

use std::time::{Duration, SystemTime};

use countersign::{
    Credentials, Head, Headers, Payload, Presign, Rules, Scratch, Signer,
    verify::against::{Answer, Cause, Comparison, Ours, compare},
};
use sha2::{Digest, Sha256};

const TOKEN: &str = "IQoJb3JpZ2luX2VjEJ/+token==";

/// A request as we sign it.
struct Mine {
    canonical_request: String,
    string_to_sign: String,
    explanation: countersign::Explanation,
    signature: String,
}

fn at() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

fn keys() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
}

fn sign(signer: &Signer, url: &str, body: &str, credentials: &Credentials) -> Mine {
    let headers: [(&[u8], &[u8]); 3] =
        [(b"content-type", b"text/plain"), (b"x-amz-meta-list", b"a, b"), (b"x-note", b"one two")];
    let head = Head::parse(b"POST", url.as_bytes(), Headers::Pairs(&headers)).unwrap();
    let mut scratch = Scratch::new();
    let payload = Payload::hash(body);
    let signed = signer.sign_head(head, payload, credentials, at(), &mut scratch).unwrap();
    Mine {
        canonical_request: String::from_utf8(signed.canonical_request().to_vec()).unwrap(),
        string_to_sign: signed.string_to_sign().to_owned(),
        explanation: signed.explain(),
        signature: signed.signature().to_owned(),
    }
}

fn presign(credentials: &Credentials) -> Mine {
    let head =
        Head::parse(b"GET", b"https://b.s3.amazonaws.com/k?x=1", Headers::Pairs(&[])).unwrap();
    let presign = Presign::expires_in(Duration::from_secs(900));
    let mut scratch = Scratch::new();
    let signer = Signer::new("us-east-1", "s3");
    let signed = signer.presign_head(head, presign, credentials, at(), &mut scratch).unwrap();
    Mine {
        canonical_request: String::from_utf8(signed.canonical_request().to_vec()).unwrap(),
        string_to_sign: signed.string_to_sign().to_owned(),
        explanation: signed.explain(),
        signature: signed.signature().to_owned(),
    }
}

fn mine(service: &str, url: &str) -> Mine {
    sign(&Signer::new("us-east-1", service), url, "meow", &keys())
}

/// Edits the server's texts; its hash is that of what it saw.
fn edited(mine: &Mine, edits: &[(&str, &str)]) -> (String, String) {
    let apply =
        |text: &str| edits.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    for (from, _) in edits {
        let is_there = apply(&mine.canonical_request) != mine.canonical_request
            || mine.string_to_sign.contains(from);
        assert!(is_there, "`{from}` is in neither of\n{}", mine.canonical_request);
    }
    let canonical_request = apply(&mine.canonical_request);
    let head = apply(mine.string_to_sign.rsplit_once('\n').unwrap().0);
    let hash = hex::encode(Sha256::digest(&canonical_request));
    (canonical_request, format!("{head}\n{hash}"))
}

/// As S3 answers.
fn s3_answer(mine: &Mine, edits: &[(&str, &str)]) -> Answer {
    let (canonical_request, string_to_sign) = edited(mine, edits);
    let bytes =
        |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    Answer::new("SignatureDoesNotMatch", MISMATCH)
        .with_detail("AWSAccessKeyId", "AKIDEXAMPLE")
        .with_detail("StringToSign", &string_to_sign)
        .with_detail("SignatureProvided", &mine.signature)
        .with_detail("StringToSignBytes", bytes(&string_to_sign))
        .with_detail("CanonicalRequest", &canonical_request)
        .with_detail("CanonicalRequestBytes", bytes(&canonical_request))
}

/// As all others answer.
fn general_answer(mine: &Mine, edits: &[(&str, &str)]) -> Answer {
    let (canonical_request, string_to_sign) = edited(mine, edits);
    Answer::new(
        "com.amazon.coral.service#InvalidSignatureException",
        format!(
            "{MISMATCH} Consult the service documentation for details.\n\nThe Canonical String for \
             this request should have been\n'{canonical_request}'\n\nThe String-to-Sign \
             should have been\n'{string_to_sign}'\n"
        ),
    )
}

fn compared(mine: &Mine, answer: &Answer) -> Comparison {
    compare(&Ours::from(&mine.explanation).with_signature(&mine.signature), answer)
}

/// What both forms of answer lead to.
fn causes(mine: &Mine, edits: &[(&str, &str)]) -> Vec<Cause> {
    let found = compared(mine, &s3_answer(mine, edits)).causes().to_vec();
    assert_eq!(found, compared(mine, &general_answer(mine, edits)).causes(), "{edits:?}");
    found
}

fn named(name: &str) -> String {
    name.to_owned()
}

#[test]
fn the_path_tells_who_encoded_it_how_often() {
    for (service, url, from, to, cause) in [
        ("execute-api", "/a%20b", "/a%2520b", "/a%252520b", Cause::PathEncodedOnce),
        ("execute-api", "/a%20b", "/a%2520b", "/a%20b", Cause::PathEncodedTwice),
        ("s3", "/a%20b", "/a%20b", "/a%2520b", Cause::PathSentEncodedTwice),
        ("s3", "/a%2520b", "/a%2520b", "/a%20b", Cause::PathDecoded),
        ("s3", "/a//b/../c", "/a//b/../c", "/a/c", Cause::PathNormalized),
        ("sqs", "/a/b", "/a/b", "/a//x/../b", Cause::PathNotNormalized),
        ("s3", "/a/", "/a/", "/a", Cause::PathFinalSlash),
        ("s3", "/a+b", "/a%2Bb", "/a%20b", Cause::PathPlus),
        ("s3", "/a=b", "/a%3Db", "/a=b", Cause::PathEscapes),
        ("s3", "/a%3Db", "/a%3Db", "/a%3db", Cause::PathEscapes),
        ("s3", "/key/x", "/key/x", "/b/key/x", Cause::BucketMoved),
        ("s3", "/a", "\n/a\n", "\n/other\n", Cause::PathChanged),
        (
            "execute-api",
            "/users",
            "/users",
            "/prod/users",
            Cause::PathPrefixAdded { prefix: named("/prod") },
        ),
        (
            "execute-api",
            "/prod/users",
            "/prod/users",
            "/users",
            Cause::PathPrefixDropped { prefix: named("/prod") },
        ),
    ] {
        let mine = mine(service, &format!("https://b.example.com{url}"));
        assert_eq!(causes(&mine, &[(from, to)]), [cause], "{service} {url} {to}");
    }
}

#[test]
fn a_switched_rule_is_found_out() {
    let signer = |double| {
        Signer::new("us-east-1", "es").with_rules(Rules::GENERAL.with_double_encode(double))
    };
    let url = "https://search.example.com/a%2Ab";
    let [once, twice] = [false, true].map(|double| sign(&signer(double), url, "", &keys()));
    let answer = s3_answer(&twice, &[]);
    assert_eq!(compared(&once, &answer).causes()[0], Cause::PathEncodedOnce);
    let answer = s3_answer(&once, &[]);
    assert_eq!(compared(&twice, &answer).causes()[0], Cause::PathEncodedTwice);
}

#[test]
fn the_query_tells_what_a_hop_did_to_it() {
    let url = "https://api.example.com/?b=x%20y&a=1%2F2&a-b=3";
    let mine = mine("execute-api", url);
    let query = "a=1%2F2&a-b=3&b=x%20y";
    for (to, cause) in [
        ("a-b=3&a=1%2F2&b=x%20y", Cause::QueryReordered),
        ("a=1%2F2&a-b=3&b=x%2By", Cause::QueryPlus { name: named("b") }),
        ("a=1%2F2&a-b=3&b=x+y", Cause::QueryPlus { name: named("b") }),
        ("a=1%252F2&a-b=3&b=x%20y", Cause::QueryEncodedAgain { name: named("a") }),
        ("a=1/2&a-b=3&b=x%20y", Cause::QueryEscapes { name: named("a") }),
        ("a=1%2f2&a-b=3&b=x%20y", Cause::QueryEscapes { name: named("a") }),
        ("a=1%2F2&a-b=4&b=x%20y", Cause::ParameterChanged { name: named("a-b") }),
        ("a-b=3&b=x%20y", Cause::ParameterDropped { name: named("a") }),
        ("a=1%2F2&a-b=3&b=x%20y&c=", Cause::ParameterAdded { name: named("c") }),
    ] {
        assert_eq!(causes(&mine, &[(query, to)]), [cause], "{to}");
    }
    let mine = self::mine("execute-api", "https://api.example.com/?a=1%252F2");
    let decoded = [("a=1%252F2", "a=1%2F2")];
    assert_eq!(causes(&mine, &decoded), [Cause::QueryDecoded { name: named("a") }]);
}

#[test]
fn the_headers_tell_what_a_hop_did_to_them() {
    let mine = mine("execute-api", "https://api.example.com/");
    let name = || named("x-note");
    for (edits, cause) in [
        (&[("one two", "one three")][..], Cause::HeaderChanged { name: name() }),
        (&[("one two", "one  two")], Cause::HeaderRespaced { name: name() }),
        (&[("x-note:one two", "x-note:")], Cause::HeaderDropped { name: name() }),
        (&[("x-note:one two\n", "")], Cause::HeaderDropped { name: name() }),
        (&[("x-note:one two\n", ""), (";x-note", "")], Cause::HeaderLeftUnsigned { name: name() }),
        (&[("a, b", "b, a")], Cause::HeaderReordered { name: named("x-amz-meta-list") }),
        (
            &[
                ("content-type:", "accept:*/*\ncontent-type:"),
                ("\ncontent-type;", "\naccept;content-type;"),
            ],
            Cause::HeaderAdded { name: named("accept") },
        ),
        (
            &[("x-amz-date:", "x-amz-b:\nx-amz-date:"), (";x-amz-date", ";x-amz-b;x-amz-date")],
            Cause::HeaderDropped { name: named("x-amz-b") },
        ),
        (
            &[("\nx-note:", "\nuser-agent:curl/8\nx-note:"), (";x-note", ";user-agent;x-note")],
            Cause::VolatileHeaderSigned { name: named("user-agent") },
        ),
        (
            &[("host:api.example.com", "host:internal:8080")],
            Cause::HostRewritten { ours: named("api.example.com"), theirs: named("internal:8080") },
        ),
        (
            &[("host:api.example.com", "host:api.example.com:443")],
            Cause::PortRewritten {
                ours: named("api.example.com"),
                theirs: named("api.example.com:443"),
            },
        ),
        (&[(";x-note", ";x-note;x-note")], Cause::SignedHeadersDiffer),
        (&[("POST", "GET")], Cause::MethodChanged { ours: named("POST"), theirs: named("GET") }),
    ] {
        assert_eq!(causes(&mine, edits), [cause], "{edits:?}");
    }
}

#[test]
fn the_payload_line_tells_whose_body_it_is() {
    let url = "https://b.s3.amazonaws.com/k";
    let hash = |body: &str| Payload::hash(body).line().as_str().to_owned();
    let (meow, other, empty) = (hash("meow"), hash("other"), hash(""));
    let general = mine("sqs", "https://sqs.us-east-1.amazonaws.com/");
    assert_eq!(causes(&general, &[(&meow, &other)]), [Cause::BodyChanged]);
    assert_eq!(causes(&general, &[(&meow, &empty)]), [Cause::BodyDropped]);
    let s3 = mine("s3", url);
    assert_eq!(causes(&s3, &[(&meow, &other)]), [Cause::ContentHashDiffers]);
    let unsigned = Cause::PayloadDiffers { ours: meow.clone(), theirs: named("UNSIGNED-PAYLOAD") };
    assert_eq!(causes(&s3, &[(&meow, "UNSIGNED-PAYLOAD")]), [unsigned]);
    // The header as it was sent, and another body.
    let body = format!("\n{meow}");
    let answer = s3_answer(&s3, &[(&body, &format!("\n{other}"))]);
    assert_eq!(compared(&s3, &answer).causes(), [Cause::BodyChanged]);
    let bare =
        sign(&Signer::new("us-east-1", "sqs"), "https://sqs.us-east-1.amazonaws.com/", "", &keys());
    assert_eq!(causes(&bare, &[(&empty, &other)]), [Cause::BodyAdded]);
}

#[test]
fn the_string_to_sign_tells_the_scope() {
    let mine = mine("sqs", "https://sqs.us-east-1.amazonaws.com/");
    let pair = |ours: &str, theirs: &str| (named(ours), named(theirs));
    let (ours, theirs) = pair("us-east-1", "eu-west-1");
    let region = [("/us-east-1/", "/eu-west-1/")];
    assert_eq!(causes(&mine, &region), [Cause::RegionDiffers { ours, theirs }]);
    let (ours, theirs) = pair("sqs", "execute-api");
    let service = [("/sqs/aws4", "/execute-api/aws4")];
    assert_eq!(causes(&mine, &service), [Cause::ServiceDiffers { ours, theirs }]);
    assert_eq!(causes(&mine, &[("20150830/", "20150831/")]), [Cause::ScopeDiffers]);
    let (ours, theirs) = pair("20150830T123600Z", "20150901T000000Z");
    let time = [("20150830T123600Z", "20150901T000000Z"), ("20150830/", "20150901/")];
    assert_eq!(causes(&mine, &time), [Cause::TimeDiffers { ours, theirs }]);
    let (ours, theirs) = pair("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256");
    let algorithm = [("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")];
    assert_eq!(causes(&mine, &algorithm), [Cause::AlgorithmDiffers { ours, theirs }]);
}

#[test]
fn where_all_is_equal_the_secret_is_not() {
    let mine = mine("s3", "https://b.s3.amazonaws.com/k");
    assert_eq!(causes(&mine, &[]), [Cause::SecretDiffers]);
    let (canonical_request, string_to_sign) = edited(&mine, &[]);
    let answer = |signature: &str| {
        Answer::new("SignatureDoesNotMatch", MISMATCH)
            .with_detail("CanonicalRequest", &canonical_request)
            .with_detail("StringToSign", &string_to_sign)
            .with_detail("SignatureProvided", signature)
    };
    let other = answer(&"0".repeat(64));
    assert_eq!(compared(&mine, &other).causes(), [Cause::SignedOtherwise]);
    let comparison = compared(&mine, &answer(&mine.signature));
    assert_eq!(comparison.causes(), [Cause::SecretDiffers]);
    let lines = comparison.canonical_request().iter().chain(comparison.string_to_sign());
    assert!(lines.clone().count() > 10 && lines.clone().all(|line| line.differs_at.is_none()));
}

#[test]
fn another_access_key_id_is_named() {
    let mine = mine("s3", "https://b.s3.amazonaws.com/k");
    let credentials = Credentials::new("AKIDOTHER", "secret");
    let signer = Signer::new("us-east-1", "s3");
    let other = sign(&signer, "https://b.s3.amazonaws.com/k", "meow", &credentials);
    let found = compared(&other, &s3_answer(&mine, &[]));
    let (ours, theirs) = (named("AKIDOTHER"), named("AKIDEXAMPLE"));
    assert_eq!(found.causes(), [Cause::KeyDiffers { ours, theirs }]);
}

#[test]
fn a_token_is_compared_and_never_shown() {
    let credentials = keys().with_session_token(TOKEN);
    let url = "https://b.s3.amazonaws.com/k";
    let mine = sign(&Signer::new("us-east-1", "s3"), url, "meow", &credentials);
    let line = format!("x-amz-security-token:{TOKEN}\n");
    let same_length = format!("x-amz-security-token:{}\n", TOKEN.replace('+', " "));
    for (edits, cause) in [
        (&[][..], Cause::SecretDiffers),
        (&[(TOKEN, "short")], Cause::TokenDiffers),
        (&[(&*line, &*same_length)], Cause::TokenDiffers),
        (&[(&*line, ""), (";x-amz-security-token", "")], Cause::TokenMissing),
        (&[(&*line, "x-amz-security-token:\n")], Cause::TokenMissing),
        // A server that shows it where it does not belong.
        (
            &[("POST\n/k\n", &format!("POST\n/k\nX-AMZ-Security-Token={TOKEN}"))],
            Cause::ParameterAdded { name: named("X-AMZ-Security-Token") },
        ),
    ] {
        let answer = s3_answer(&mine, edits);
        let comparison = compared(&mine, &answer);
        assert_eq!(comparison.causes(), [cause], "{edits:?}");
        for shown in [
            format!("{comparison:?}"),
            format!("{answer:?} {}", answer.summary()),
            format!("{:?}", Ours::new(&mine.canonical_request, &mine.string_to_sign)),
        ] {
            assert!(!shown.contains(TOKEN) && !shown.contains(&TOKEN[..12]), "{shown}");
        }
    }
    let answer = s3_answer(&mine, &[]);
    assert!(!answer.canonical_request().unwrap().contains(TOKEN));
    let plain = self::mine("s3", url);
    assert_eq!(compared(&plain, &answer).causes(), [Cause::TokenUnexpected]);
    let temporary = Credentials::new("ASIAEXAMPLE", "secret");
    let bare = sign(&Signer::new("us-east-1", "s3"), url, "meow", &temporary);
    let unknown =
        Answer::new("InvalidAccessKeyId", "").with_detail("AWSAccessKeyId", "ASIAEXAMPLE");
    let id = Some(named("ASIAEXAMPLE"));
    assert_eq!(
        compared(&bare, &unknown).causes(),
        [Cause::KeyUnknown { access_key_id: id }, Cause::TokenMissing]
    );
}

#[test]
fn a_presigned_url_is_compared_by_its_own_parameters() {
    let mine = presign(&keys().with_session_token(TOKEN));
    let answer = s3_answer(&mine, &[]);
    assert_eq!(answer.presigned_for(), Some(Duration::from_secs(900)));
    assert_eq!(answer.signed_at().map(SystemTime::from), Some(at()));
    let token = "IQoJb3JpZ2luX2VjEJ%2F%2Btoken%3D%3D";
    let spaced = "IQoJb3JpZ2luX2VjEJ%2F%20token%3D%3D";
    let parameter = format!("&X-Amz-Security-Token={token}");
    for (edits, cause) in [
        (
            &[("Expires=900", "Expires=90")][..],
            Cause::ParameterChanged { name: named("X-Amz-Expires") },
        ),
        (&[(token, spaced)], Cause::TokenDiffers),
        (&[(&*parameter, "")], Cause::TokenMissing),
        (&[("&x=1", "")], Cause::ParameterDropped { name: named("x") }),
        (
            &[("us-east-1", "eu-west-1")],
            Cause::RegionDiffers { ours: named("us-east-1"), theirs: named("eu-west-1") },
        ),
        (
            &[("20150830T123600Z", "20150830T130000Z")],
            Cause::TimeDiffers {
                ours: named("20150830T123600Z"),
                theirs: named("20150830T130000Z"),
            },
        ),
    ] {
        assert_eq!(causes(&mine, edits), [cause], "{edits:?}");
    }
}

#[test]
fn a_server_that_shows_less_is_believed_less() {
    let mine = mine("s3", "https://b.s3.amazonaws.com/k");
    let (canonical_request, string_to_sign) = edited(&mine, &[("x-note:one", "x-note:1")]);
    let answer = Answer::new("SignatureDoesNotMatch", MISMATCH);
    let hidden = answer.clone().with_detail("StringToSign", &string_to_sign);
    assert_eq!(compared(&mine, &hidden).causes(), [Cause::CanonicalRequestHidden]);
    let nothing = compared(&mine, &answer);
    assert!(nothing.causes().is_empty() && nothing.canonical_request().is_empty());
    let altered = answer
        .clone()
        .with_detail("CanonicalRequest", &mine.canonical_request)
        .with_detail("StringToSign", &string_to_sign);
    assert_eq!(compared(&mine, &altered).causes(), [Cause::AnswerAltered]);
    let alone = answer.with_detail("CanonicalRequest", canonical_request);
    assert_eq!(compared(&mine, &alone).causes(), [Cause::HeaderChanged { name: named("x-note") }]);
    assert_eq!(alone.signed_headers().unwrap().len(), 6);
}

#[test]
fn lines_are_aligned_and_the_place_is_marked() {
    let mine = mine("execute-api", "https://api.example.com/%C3%A4?q=1");
    let edits = [
        ("\ncontent-type:", "\nanew:1\ncontent-type:"),
        ("one two", "one two three"),
        ("/%25C3%25A4", "/%C3%A4"),
    ];
    let comparison = compared(&mine, &general_answer(&mine, &edits));
    let lines: Vec<_> = comparison
        .canonical_request()
        .iter()
        .map(|line| (line.part, line.ours.as_deref(), line.theirs.as_deref(), line.differs_at))
        .collect();
    assert_eq!(lines[1], ("path", Some("/%25C3%25A4"), Some("/%C3%A4"), Some(2)));
    assert_eq!(lines[3], ("header", None, Some("anew:1"), Some(0)));
    assert_eq!(lines[4].3, None);
    assert_eq!(
        lines[8],
        ("header", Some("x-note:one two"), Some("x-note:one two three"), Some(14))
    );
    let parts: Vec<_> = comparison.string_to_sign().iter().map(|line| line.part).collect();
    assert_eq!(parts, ["algorithm", "time", "scope", "hash"]);
}

#[test]
fn values_that_are_secrets_are_not_shown() {
    let theirs = "GET\n/\n\ncookie:id=abc\nhost:h\nx-api-key:12345\n\ncookie;host;x-api-key\n\
                  UNSIGNED-PAYLOAD";
    let ours = theirs.replace("abc", "def");
    let answer = Answer::new("SignatureDoesNotMatch", "").with_detail("CanonicalRequest", theirs);
    let comparison = compare(&Ours::new(&ours, "AWS4-HMAC-SHA256\n\n\n"), &answer);
    assert_eq!(comparison.causes(), [Cause::HeaderChanged { name: named("cookie") }]);
    let shown = format!("{comparison:?}");
    assert!(
        !shown.contains("abc") && !shown.contains("def") && !shown.contains("12345"),
        "{shown}"
    );
    assert_eq!(comparison.canonical_request()[3].differs_at, Some(7));
}

#[test]
fn an_answer_alone_tells_the_clock() {
    let offset = |answer: Answer| {
        let [cause @ Cause::ClockSkew { .. }] = &answer.causes()[..] else {
            panic!("{:?}", answer.causes())
        };
        assert_eq!(cause.name(), "clock_skew");
        cause.to_string()
    };
    let s3 = |time: &str| {
        let message = "The difference between the request time and the current time is too large.";
        offset(
            Answer::new("RequestTimeTooSkewed", message)
                .with_detail("RequestTime", time)
                .with_detail("ServerTime", "2017-04-28T07:17:20Z")
                .with_detail("MaxAllowedSkewMilliseconds", "900000"),
        )
    };
    let behind = "16 min 14 s behind the server's clock (20170428T071720Z); 15 min are allowed";
    assert!(s3("20170428T070106Z").contains(behind));
    assert!(s3("Fri, 28 Apr 2017 07:01:06 GMT").contains(behind));
    assert!(s3("20170429T081720Z").contains("1 d 1 h ahead of the server's clock"));
    let general = |message: &str| offset(Answer::new("SignatureDoesNotMatch", message));
    assert!(
        general(
            "Signature expired: 20141106T010406Z is now earlier than 20141106T011252Z \
             (20141106T011752Z - 5 min.)"
        )
        .contains("13 min 46 s behind the server's clock (20141106T011752Z); 5 min are allowed")
    );
    assert!(
        general(
            "Signature not yet current: 20141106T020000Z is still later than 20141106T013252Z \
             (20141106T011752Z + 15 min.)"
        )
        .contains("42 min 8 s ahead of")
    );
    assert!(general("Signature expired").contains("too far from the server's clock"));
}

#[test]
fn an_answer_alone_tells_what_else_it_says() {
    let some = |text: &str| Some(named(text));
    for (code, message, details, cause) in [
        (
            "AccessDenied",
            "Request has expired",
            &[("X-Amz-Expires", "300"), ("Expires", "2015-08-30T12:41:00Z")][..],
            Cause::UrlExpired { expired_at: some("2015-08-30T12:41:00Z") },
        ),
        (
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            &[("AWSAccessKeyId", "AKIDEXAMPLE")],
            Cause::KeyUnknown { access_key_id: some("AKIDEXAMPLE") },
        ),
        (
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            &[],
            Cause::KeyUnknown { access_key_id: None },
        ),
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            &[],
            Cause::KeyUnknown { access_key_id: None },
        ),
        ("ExpiredToken", "The provided token has expired.", &[], Cause::TokenExpired),
        (
            "ExpiredTokenException",
            "The security token included in the request is expired",
            &[],
            Cause::TokenExpired,
        ),
        (
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
            &[("Token-0", TOKEN)],
            Cause::TokenInvalid,
        ),
        (
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region 'us-east-1' is wrong; expecting \
             'eu-west-1'",
            &[("Region", "eu-west-1")],
            Cause::RegionRefused { signed: some("us-east-1"), expected: some("eu-west-1") },
        ),
        (
            "AuthorizationQueryParametersError",
            "Error parsing the X-Amz-Credential parameter; the region 'us-east-1' is wrong; \
             expecting 'eu-west-1'",
            &[],
            Cause::RegionRefused { signed: some("us-east-1"), expected: some("eu-west-1") },
        ),
        (
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region, not 'us-east-7'. ",
            &[],
            Cause::RegionRefused { signed: some("us-east-7"), expected: None },
        ),
        (
            "InvalidSignatureException",
            "Credential should be scoped to correct service: 'glue'. ",
            &[],
            Cause::ServiceRefused { signed: None, expected: named("glue") },
        ),
        (
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; incorrect service \"sqs\". This endpoint \
             belongs to \"s3\".",
            &[],
            Cause::ServiceRefused { signed: some("sqs"), expected: named("s3") },
        ),
        (
            "SignatureDoesNotMatch",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: \
             '20150831' != '20150830', from '20150830T123600Z'.",
            &[],
            Cause::ScopeDateRefused,
        ),
        (
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; invalid credential date \"20150831\". This \
             date is \
             not the same as X-Amz-Date: \"20150830\".",
            &[],
            Cause::ScopeDateRefused,
        ),
        (
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
            &[],
            Cause::NotSigned,
        ),
        ("", "Missing Authentication Token", &[], Cause::NotSigned),
        (
            "IncompleteSignature",
            "Authorization header requires 'Credential' parameter. Authorization header requires \
             'Signature' parameter. Authorization=Bearer hidden",
            &[],
            Cause::Malformed { missing: vec![named("Credential"), named("Signature")] },
        ),
        (
            "AccessDenied",
            "There were headers present in the request which were not signed",
            &[("HeadersNotSigned", "x-amz-acl, x-amz-meta-a")],
            Cause::HeadersUnsigned { names: vec![named("x-amz-acl"), named("x-amz-meta-a")] },
        ),
        (
            "SignatureDoesNotMatch",
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            &[],
            Cause::HeadersUnsigned { names: vec![named("host")] },
        ),
        (
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            &[("ClientComputedContentSHA256", "aa"), ("S3ComputedContentSHA256", "bb")],
            Cause::ContentHashWrong { declared: some("aa"), found: some("bb") },
        ),
        (
            "InvalidRequest",
            "Missing required header for this request: x-amz-content-sha256",
            &[],
            Cause::ContentHashMissing,
        ),
        (
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use \
             AWS4-HMAC-SHA256.",
            &[],
            Cause::OldSignature,
        ),
        ("AccessDenied", "Access Denied", &[], Cause::NotAuthorized),
        (
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/a is not authorized to perform: sqs:ListQueues",
            &[],
            Cause::NotAuthorized,
        ),
    ] {
        let answer = details.iter().fold(Answer::new(code, message), |answer, (name, value)| {
            answer.with_detail(*name, *value)
        });
        assert_eq!(answer.causes(), std::slice::from_ref(&cause), "{code}: {message}");
        assert!(!answer.summary().contains("hidden"), "{}", answer.summary());
        assert!(!cause.to_string().is_empty() && !cause.advice().is_empty());
    }
    let other = Answer::new("NoSuchKey", "The specified key does not exist.");
    assert!(other.causes().is_empty());
}

#[test]
fn an_answer_is_read_whatever_it_holds() {
    let mine = mine("s3", "https://b.s3.amazonaws.com/k");
    for text in [
        "",
        "\n",
        "\n\n\n\n",
        "GET",
        "a\nb\nc\nd:e",
        "'",
        "é\n\u{0}\n%zz&=&%\nx-amz-security-token:",
        ":::\n\n\n:",
    ] {
        for name in ["CanonicalRequest", "StringToSign", "CanonicalRequestBytes"] {
            let answer = Answer::new("SignatureDoesNotMatch", text).with_detail(name, text);
            let comparison = compared(&mine, &answer);
            let _ = (answer.signed_at(), answer.presigned_for(), answer.signed_headers());
            assert!(comparison.canonical_request().len() < 20);
        }
        let quoted = format!("The Canonical String for this request should have been\n'{text}");
        compared(&mine, &Answer::new("", quoted));
    }
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you \
    provided. Check your key and signing method.";
