//! Tokens: made as others make them, and verified by our own verifier.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use countersign::{
    Credentials, Error, ErrorKind, Head, Headers, Payload, Scratch, SigningKey,
    tokens::{
        Bedrock, CallerIdentity, CodeCommit, Dsql, Eks, ElastiCache, ExecVersion, GitCredential,
        GitUser, IdentityRequest, Iot, MemoryDb, MongoAnswer, MongoDb, Msk, Rds, Token, Transcribe,
        Transcription, VaultLogin, exec_credential,
    },
    verify::{self, Known, Refusal, Verifier},
};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{at, credentials as from_json, external_data};

const NOW: &str = "20260102T030405Z";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "session/token+EXAMPLE==";
const HOST: &str = "db.abc.eu-west-1.rds.amazonaws.com";
const GIT: &str = "git-codecommit.us-east-1.amazonaws.com";

fn permanent() -> Credentials {
    Credentials::new("AKIDEXAMPLE", SECRET)
}

fn temporary() -> Credentials {
    permanent().with_session_token(SESSION)
}

/// Whether our verifier takes a URL, at a time so many seconds behind its signing.
fn verify(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    credentials: &Credentials,
    later: u64,
) -> Result<String, verify::Error> {
    let pairs: Vec<(&[u8], &[u8])> =
        headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let head = Head::parse(method.as_bytes(), url.as_bytes(), Headers::Pairs(&pairs)).unwrap();
    check(head, None, credentials, later)
}

fn check(
    head: Head<'_>,
    body: Option<Payload>,
    credentials: &Credentials,
    later: u64,
) -> Result<String, verify::Error> {
    let verifier = Verifier::new();
    let claim = verifier.claim(head, at(NOW) + Duration::from_secs(later))?;
    let key = SigningKey::derive(credentials.secret_access_key(), &claim.scope());
    let known = Known::new(&key);
    let known = match credentials.session_token() {
        Some(token) => known.with_session_token(token),
        None => known,
    };
    let (verified, _) = claim.verify(Some(known), body, &mut Scratch::new())?;
    Ok(verified.scope().to_string())
}

/// Every presigned token, with the method and URL that stand behind it and the headers to send.
fn presigned(credentials: &Credentials) -> Vec<(&'static str, &'static str, String)> {
    let now = at(NOW);
    let text = |token: Result<Token, Error>| token.unwrap().as_str().to_owned();
    let without = |url: String, end: &str| url.strip_suffix(end).unwrap().to_owned();
    let decoded =
        |token: &str| String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
    let bare = |token| format!("https://{}", text(token));
    let eks = text(Eks::new("my-cluster", "us-west-2").sign(credentials, now));
    let msk = text(Msk::new("eu-west-1").with_user_agent("a b/1").sign(credentials, now));
    let bedrock = text(Bedrock::new("us-west-2").sign(credentials, now));
    let bedrock = bedrock.strip_prefix("bedrock-api-key-").unwrap();
    let bedrock = String::from_utf8(BASE64_STANDARD.decode(bedrock).unwrap()).unwrap();
    vec![
        ("rds-db", "GET", bare(Rds::new(HOST, 5432, "a b@c", "eu-west-1").sign(credentials, now))),
        (
            "dsql",
            "GET",
            bare(Dsql::new("abc.dsql.us-east-1.on.aws", "us-east-1").sign(credentials, now)),
        ),
        (
            "dsql",
            "GET",
            bare(Dsql::admin("abc.dsql.us-east-1.on.aws", "us-east-1").sign(credentials, now)),
        ),
        (
            "elasticache",
            "GET",
            bare(ElastiCache::new("my-cache", "u", "us-east-1").sign(credentials, now)),
        ),
        (
            "elasticache",
            "GET",
            bare(
                ElastiCache::new("c", "u", "us-east-1")
                    .with_serverless(true)
                    .sign(credentials, now),
            ),
        ),
        (
            "memorydb",
            "GET",
            bare(MemoryDb::new("my-cluster", "u", "us-east-1").sign(credentials, now)),
        ),
        ("sts", "GET", decoded(eks.strip_prefix("k8s-aws-v1.").unwrap())),
        ("kafka-cluster", "GET", without(decoded(&msk), "&User-Agent=a%20b%2F1")),
        (
            "iotdevicegateway",
            "GET",
            text(Iot::new("a-ats.iot.us-east-1.amazonaws.com", "us-east-1").sign(credentials, now)),
        ),
        (
            "transcribe",
            "GET",
            text(
                Transcribe::new("us-west-2")
                    .with_transcription(Transcription::Medical)
                    .with_parameter("language-code", "en-US")
                    .with_parameter("vocabulary-name", "a b&c=d")
                    .sign(credentials, now),
            ),
        ),
        ("bedrock", "POST", without(format!("https://{bedrock}"), "&Version=1")),
        ("sts", "GET", text(CallerIdentity::new("cn-north-1").sign_url(credentials, now))),
    ]
}

/// The one header that a token of EKS has signed.
fn headers_of(url: &str) -> &'static [(&'static str, &'static str)] {
    if url.contains("x-k8s-aws-id") { &[("x-k8s-aws-id", "my-cluster")] } else { &[] }
}

#[test]
fn every_token_verifies_with_our_verifier() {
    for credentials in [permanent(), temporary()] {
        for (service, method, url) in presigned(&credentials) {
            let scope = verify(method, &url, headers_of(&url), &credentials, 30).unwrap();
            assert!(scope.ends_with(&format!("/{service}/aws4_request")), "{scope} {url}");
            let is_there = url.contains("X-Amz-Security-Token=session%2Ftoken%2BEXAMPLE%3D%3D");
            assert_eq!(is_there, credentials.session_token().is_some(), "{url}");
        }
    }
}

#[test]
fn no_token_verifies_once_it_is_altered_late_or_of_another_key() {
    let other = Credentials::new("AKIDEXAMPLE", "another");
    for (service, method, url) in presigned(&permanent()) {
        let refusal = |url: &str, credentials: &Credentials, later| {
            verify(method, url, headers_of(url), credentials, later).unwrap_err().refusal()
        };
        assert_eq!(refusal(&url, &other, 30), Refusal::SignatureDiffers, "{service}");
        let late = if service == "bedrock" { 43_201 } else { 901 };
        assert_eq!(refusal(&url, &permanent(), late), Refusal::Expired, "{service}");
        let altered = url.replacen('?', "?x=y&", 1);
        assert_eq!(refusal(&altered, &permanent(), 30), Refusal::SignatureDiffers, "{service}");
    }
}

#[test]
fn a_token_for_eks_names_its_cluster_in_a_signed_header() {
    let token = Eks::new("my-cluster", "us-west-2").sign(&permanent(), at(NOW)).unwrap();
    let url = token.as_str().strip_prefix("k8s-aws-v1.").unwrap();
    let url = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(url).unwrap()).unwrap();
    assert!(url.contains("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id"), "{url}");
    for headers in [&[][..], &[("x-k8s-aws-id", "other")]] {
        let error = verify("GET", &url, headers, &permanent(), 30).unwrap_err();
        assert_eq!(error.refusal(), Refusal::SignatureDiffers);
    }
}

#[test]
fn kubectl_is_told_to_renew_a_token_before_it_is_refused() {
    for (version, api) in [
        (ExecVersion::V1, "client.authentication.k8s.io/v1"),
        (ExecVersion::V1Beta1, "client.authentication.k8s.io/v1beta1"),
    ] {
        let eks = Eks::new("my-cluster", "us-west-2");
        let token = eks.sign(&temporary(), at(NOW)).unwrap();
        let json: Value = serde_json::from_str(&exec_credential(&token, version)).unwrap();
        assert_eq!(json["apiVersion"], api);
        assert_eq!(json["kind"], "ExecCredential");
        assert_eq!(json["status"]["expirationTimestamp"], "2026-01-02T03:18:05Z");
        assert_eq!(json["status"]["token"], token.as_str());
        assert_eq!(ExecVersion::from_api(api), Some(version));
        // Credentials that end sooner take the token with them.
        let soon = temporary().with_expires_at(at("20260102T030505Z"));
        let token = eks.sign(&soon, at(NOW)).unwrap();
        let json: Value = serde_json::from_str(&exec_credential(&token, version)).unwrap();
        assert_eq!(json["status"]["expirationTimestamp"], "2026-01-02T03:05:05Z");
    }
    assert_eq!(ExecVersion::from_api("client.authentication.k8s.io/v1alpha1"), None);
}

#[test]
fn a_life_that_the_service_does_not_take_is_refused() {
    let (credentials, now) = (permanent(), at(NOW));
    let for_seconds = |seconds: u64| {
        let life = Duration::from_secs(seconds);
        let identity = CallerIdentity::new("us-east-1").with_expires_in(life);
        [
            (
                900,
                Rds::new(HOST, 1, "u", "us-east-1").with_expires_in(life).sign(&credentials, now),
            ),
            (604_800, Dsql::new(HOST, "us-east-1").with_expires_in(life).sign(&credentials, now)),
            (
                900,
                ElastiCache::new("c", "u", "us-east-1")
                    .with_expires_in(life)
                    .sign(&credentials, now),
            ),
            (
                900,
                MemoryDb::new("c", "u", "us-east-1").with_expires_in(life).sign(&credentials, now),
            ),
            (900, Msk::new("us-east-1").with_expires_in(life).sign(&credentials, now)),
            (604_800, Iot::new(HOST, "us-east-1").with_expires_in(life).sign(&credentials, now)),
            (300, Transcribe::new("us-east-1").with_expires_in(life).sign(&credentials, now)),
            (43_200, Bedrock::new("us-east-1").with_expires_in(life).sign(&credentials, now)),
            (900, identity.sign_url(&credentials, now)),
        ]
    };
    for seconds in [0, 1, 300, 301, 900, 901, 43_200, 43_201, 604_800, 604_801] {
        for (longest, made) in for_seconds(seconds) {
            match made {
                Ok(token) => {
                    assert!((1..=longest).contains(&seconds), "{seconds} of {longest}");
                    assert_eq!(token.life().expires_at(), now + Duration::from_secs(seconds));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidExpiry, "{error}");
                    assert!(!(1..=longest).contains(&seconds), "{seconds} of {longest}: {error}");
                }
            }
        }
    }
}

#[test]
fn credentials_that_end_before_the_token_are_said_to() {
    let soon = at(NOW) + Duration::from_secs(60);
    let credentials = temporary().with_expires_at(soon);
    let rds = Rds::new(HOST, 5432, "u", "eu-west-1").sign(&credentials, at(NOW)).unwrap();
    assert_eq!(rds.life().cut_short_at(), Some(soon));
    let git = CodeCommit::new(GIT, "v1/repos/a", "us-east-1").sign(&credentials, at(NOW)).unwrap();
    assert_eq!(git.life().cut_short_at(), Some(soon));
    let identity = CallerIdentity::new("us-east-1").sign(&credentials, at(NOW)).unwrap();
    assert_eq!(identity.life().cut_short_at(), Some(soon));
    let rds = Rds::new(HOST, 5432, "u", "eu-west-1").sign(&temporary(), at(NOW)).unwrap();
    assert_eq!(rds.life().cut_short_at(), None);
}

#[test]
fn fields_that_no_service_takes_are_refused_by_name() {
    let (credentials, now) = (permanent(), at(NOW));
    let long = "u".repeat(121);
    let kind = |made: Result<Token, Error>| made.map(|_| ()).unwrap_err().kind();
    for host in ["", "https://h", "h/x", "h?x", "h#x", "u@h", "h:1", "h h", "ü", "h\n", "[::1]"] {
        assert_eq!(
            kind(Rds::new(host, 1, "u", "r").sign(&credentials, now)),
            ErrorKind::InvalidUrl
        );
        assert_eq!(kind(Dsql::new(host, "r").sign(&credentials, now)), ErrorKind::InvalidUrl);
        assert_eq!(kind(Iot::new(host, "r").sign(&credentials, now)), ErrorKind::InvalidUrl);
        let eks = Eks::new("c", "us-east-1").with_host(host);
        assert_eq!(kind(eks.sign(&credentials, now)), ErrorKind::InvalidUrl);
        let identity = CallerIdentity::new("us-east-1").with_host(host);
        assert_eq!(kind(identity.sign_url(&credentials, now)), ErrorKind::InvalidUrl);
        let git = CodeCommit::new(host, "v1/repos/a", "us-east-1").sign(&credentials, now);
        // Of a host the port is left out.
        assert!(host == "h:1" || git.unwrap_err().kind() == ErrorKind::InvalidUrl, "{host}");
    }
    for made in [
        Rds::new(HOST, 0, "u", "r").sign(&credentials, now),
        Rds::new(HOST, 1, "", "r").sign(&credentials, now),
        Rds::new(HOST, 1, &long, "r").sign(&credentials, now),
        ElastiCache::new("", "u", "r").sign(&credentials, now),
        ElastiCache::new("my-cache.abc.use1.cache.amazonaws.com", "u", "r").sign(&credentials, now),
        ElastiCache::new("My-cache", "u", "r").sign(&credentials, now),
        MemoryDb::new("c", "", "r").sign(&credentials, now),
        MemoryDb::new("c", &long, "r").sign(&credentials, now),
        Eks::new("", "us-east-1").sign(&credentials, now),
        Eks::new("a/b", "us-east-1").sign(&credentials, now),
        Eks::new(&long, "us-east-1").sign(&credentials, now),
        Msk::new("us-east-1").with_user_agent("").sign(&credentials, now),
        Transcribe::new("us-east-1").with_parameter("a&b", "c").sign(&credentials, now),
        Transcribe::new("us-east-1").with_parameter("X-Amz-Expires", "9").sign(&credentials, now),
        CallerIdentity::new("us-east-1").with_header("Host", "h").sign_url(&credentials, now),
        CallerIdentity::new("us-east-1").with_header("User-Agent", "h").sign_url(&credentials, now),
    ] {
        let error = made.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidTokenField, "{error}");
    }
    for region in ["", "us east", "us-east-1.evil.example/", "US-EAST-1"] {
        assert_eq!(kind(Msk::new(region).sign(&credentials, now)), ErrorKind::InvalidScope);
        assert_eq!(kind(Eks::new("c", region).sign(&credentials, now)), ErrorKind::InvalidScope);
        let transcribe = Transcribe::new(region).sign(&credentials, now);
        assert_eq!(kind(transcribe), ErrorKind::InvalidScope);
    }
}

#[test]
fn tokens_go_wherever_a_task_goes() {
    fn is_owned<T: Send + Sync + Unpin + Clone + 'static>() {}
    is_owned::<CallerIdentity<'static>>();
    is_owned::<GitCredential>();
    is_owned::<GitUser>();
    is_owned::<IdentityRequest>();
    is_owned::<MongoAnswer>();
    is_owned::<Rds<'static>>();
    is_owned::<Token>();
    is_owned::<Transcribe<'static>>();
    is_owned::<VaultLogin>();
}

#[test]
fn the_session_of_a_bucket_signs_no_token() {
    let (session, now) = (temporary().with_s3_express_session(true), at(NOW));
    let kinds = [
        Msk::new("us-east-1").sign(&session, now).map(|_| ()),
        CallerIdentity::new("us-east-1").sign(&session, now).map(|_| ()),
        CodeCommit::new(GIT, "v1/repos/a", "us-east-1").sign(&session, now).map(|_| ()),
    ];
    for made in kinds {
        assert_eq!(made.unwrap_err().kind(), ErrorKind::InvalidCredentials);
    }
}

#[test]
fn no_token_shows_itself_in_debug() {
    let (credentials, now) = (temporary(), at(NOW));
    let git = CodeCommit::new(GIT, "v1/repos/a", "us-east-1").sign(&credentials, now).unwrap();
    let identity = CallerIdentity::new("us-east-1").sign(&credentials, now).unwrap();
    let answer =
        MongoDb::new("sts.amazonaws.com", &[1; 32], &[1; 64]).sign(&credentials, now).unwrap();
    let token = Iot::new(HOST, "us-east-1").sign(&credentials, now).unwrap();
    let verifier = Verifier::new();
    let repository = CodeCommit::new(GIT, "v1/repos/a", "us-east-1");
    let claim = verifier
        .claim_git(repository, git.user().as_bytes(), git.password().as_bytes(), now)
        .unwrap();
    let login = identity.vault_login();
    let shown = format!("{git:?} {identity:?} {answer:?} {token:?} {claim:?} {login:?}");
    let signature = &token.as_str()[token.as_str().find("X-Amz-Signature=").unwrap() + 16..][..64];
    for secret in [SECRET, "session", signature, &git.password()[16..], login.fields()[3].1] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// The whole request of a proof of identity, as whoever gets it would send it.
fn verify_identity(
    headers: &[(&str, &str)],
    body: &str,
    credentials: &Credentials,
) -> Result<String, verify::Error> {
    let pairs: Vec<(&[u8], &[u8])> =
        headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let head = Head::parse(b"POST", b"/", Headers::Pairs(&pairs)).unwrap();
    check(head, Some(Payload::hash(body)), credentials, 30)
}

#[test]
fn vault_gets_a_request_whose_server_id_is_signed() {
    for credentials in [permanent(), temporary()] {
        let identity = CallerIdentity::new("us-east-1")
            .with_host("sts.amazonaws.com")
            .with_header("X-Vault-AWS-IAM-Server-ID", "vault \"1\"");
        let request = identity.sign(&credentials, at(NOW)).unwrap();
        let login = request.vault_login();
        let [(_, method), (_, url), (_, body), (_, headers)] = login.fields();
        let decode = |text: &str| String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap();
        assert_eq!((method, &*decode(url)), ("POST", "https://sts.amazonaws.com/"));
        let headers: Value = serde_json::from_str(&decode(headers)).unwrap();
        let headers: Vec<(&str, &str)> = headers
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, values)| (name.as_str(), values[0].as_str().unwrap()))
            .collect();
        let authorization = request.headers().find(|(name, _)| *name == "authorization").unwrap().1;
        assert!(authorization.contains("x-vault-aws-iam-server-id"), "{authorization}");
        verify_identity(&headers, &decode(body), &credentials).unwrap();
        let altered: Vec<(&str, &str)> = headers
            .iter()
            .map(|&(name, value)| match name {
                "x-vault-aws-iam-server-id" => (name, "another vault"),
                _ => (name, value),
            })
            .collect();
        let error = verify_identity(&altered, &decode(body), &credentials).unwrap_err();
        assert_eq!(error.refusal(), Refusal::SignatureDiffers);
    }
}

#[test]
fn mongodb_gets_its_nonce_back_signed() {
    let mut nonce = [9; 64];
    nonce[..32].fill(7);
    for (host, region) in [
        ("sts.amazonaws.com", "us-east-1"),
        ("first", "us-east-1"),
        ("first.second", "second"),
        ("sts.eu-west-3.amazonaws.com", "eu-west-3"),
    ] {
        for credentials in [permanent(), temporary()] {
            let answer = MongoDb::new(host, &[7; 32], &nonce).sign(&credentials, at(NOW)).unwrap();
            let fields: Vec<(&str, &str)> = answer.fields().collect();
            let encoded = BASE64_STANDARD.encode(nonce);
            let mut headers = vec![
                ("authorization", fields[0].1),
                ("content-length", "43"),
                ("content-type", "application/x-www-form-urlencoded"),
                ("host", host),
                ("x-amz-date", fields[1].1),
                ("x-mongodb-gs2-cb-flag", "n"),
                ("x-mongodb-server-nonce", &encoded),
            ];
            if let Some((name, token)) = fields.get(2) {
                assert_eq!(*name, "t");
                headers.push(("x-amz-security-token", token));
            }
            let body = "Action=GetCallerIdentity&Version=2011-06-15";
            let scope = verify_identity(&headers, body, &credentials).unwrap();
            assert_eq!(scope, format!("20260102/{region}/sts/aws4_request"));
        }
    }
    let kind = |host, nonce: &[u8]| {
        let made = MongoDb::new(host, &[7; 32], nonce).sign(&permanent(), at(NOW));
        made.map(|_| ()).unwrap_err().kind()
    };
    assert_eq!(kind("sts.amazonaws.com", &nonce[1..]), ErrorKind::InvalidTokenField);
    assert_eq!(kind("sts.amazonaws.com", &[8; 64]), ErrorKind::InvalidTokenField);
    for host in ["", ".", "first..second", "sts."] {
        assert_eq!(kind(host, &nonce), ErrorKind::InvalidTokenField, "{host}");
    }
}

#[test]
fn the_servers_nonce_must_begin_with_the_clients() {
    let mut nonce = [7; 64];
    nonce[31] = 8;
    let made = MongoDb::new("sts.amazonaws.com", &[7; 32], &nonce).sign(&permanent(), at(NOW));
    assert_eq!(made.map(|_| ()).unwrap_err().kind(), ErrorKind::InvalidTokenField);
}

/// What the verifier says of a login for a repository, at a time so many seconds behind its signing.
fn verify_git(
    repository: CodeCommit<'_>,
    user: &str,
    password: &str,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<String, verify::Error> {
    let verifier = Verifier::new().with_region("us-east-1").with_services(["codecommit"]);
    let claim = verifier.claim_git(repository, user.as_bytes(), password.as_bytes(), now)?;
    let key = SigningKey::derive(credentials.secret_access_key(), &claim.scope());
    let known = Known::new(&key);
    let known = match credentials.session_token() {
        Some(token) => known.with_session_token(token),
        None => known,
    };
    claim.verify(Some(known)).map(|user| user.access_key_id().to_owned())
}

#[test]
fn git_logs_in_at_codecommit() {
    let repository = CodeCommit::new(GIT, "/v1/repos/test-repo", "us-east-1");
    for credentials in [permanent(), temporary()] {
        let git = repository.sign(&credentials, at(NOW)).unwrap();
        assert!(git.password().starts_with("20260102T030405Z"));
        assert_eq!(git.password().len(), 16 + 64);
        let (user, password) = (git.user(), git.password());
        let now = at(NOW);
        let id = verify_git(repository, user, password, &credentials, now).unwrap();
        assert_eq!(id, "AKIDEXAMPLE");
        // The port of a host is no part of what is signed.
        let at_port = CodeCommit::new(
            "git-codecommit.us-east-1.amazonaws.com:443",
            "v1/repos/test-repo",
            "us-east-1",
        );
        verify_git(at_port, user, password, &credentials, now).unwrap();

        let refusal = |repository, user: &str, password: &str, now| {
            verify_git(repository, user, password, &credentials, now).unwrap_err().refusal()
        };
        let other = CodeCommit::new(GIT, "/v1/repos/other", "us-east-1");
        assert_eq!(refusal(other, user, password, now), Refusal::SignatureDiffers);
        let elsewhere = CodeCommit::new(GIT, "/v1/repos/test-repo", "us-east-2");
        assert_eq!(refusal(elsewhere, user, password, now), Refusal::WrongScope);
        let later = now + Duration::from_secs(901);
        assert_eq!(refusal(repository, user, password, later), Refusal::TimeSkewed);
        let before = now - Duration::from_secs(901);
        assert_eq!(refusal(repository, user, password, before), Refusal::TimeSkewed);
        let wrong_token = format!("{user}%x");
        assert_eq!(refusal(repository, &wrong_token, password, now), Refusal::WrongToken);
        let upper = password.to_uppercase();
        assert_eq!(refusal(repository, user, &upper, now), Refusal::SignatureDiffers);
        let no_z = password.replacen('Z', "", 1);
        for password in ["", "x", &password[..79], &no_z, "20261302T030405Zé"] {
            assert_eq!(refusal(repository, user, password, now), Refusal::Malformed, "{password}");
        }
        assert_eq!(refusal(repository, "", "", now), Refusal::NoCredentials);
        assert_eq!(refusal(repository, "%t", password, now), Refusal::Malformed);
    }
}

#[test]
fn a_git_client_of_nobody_is_refused_as_one_of_somebody() {
    let repository = CodeCommit::new(GIT, "/v1/repos/test-repo", "us-east-1");
    let git = repository.sign(&permanent(), at(NOW)).unwrap();
    let answer = |uniform| {
        let verifier = Verifier::new().with_uniform_refusals(uniform);
        let (user, password) = (git.user().as_bytes(), git.password().as_bytes());
        let claim = verifier.claim_git(repository, user, password, at(NOW)).unwrap();
        let error = claim.verify(None).unwrap_err();
        assert_eq!(error.refusal(), Refusal::UnknownKey);
        error.code(verify::Dialect::General)
    };
    assert_eq!(answer(false), "InvalidClientTokenId");
    assert_eq!(answer(true), "SignatureDoesNotMatch");
}

#[test]
fn what_no_login_of_git_can_hold_is_refused() {
    let now = at(NOW);
    let sign = |path: &str, credentials: &Credentials| {
        CodeCommit::new(GIT, path, "us-east-1")
            .sign(credentials, now)
            .map(|_| ())
            .unwrap_err()
            .kind()
    };
    for path in ["", "/", "v1/repos/a b", "v1/repos/a?b", "v1/repos/a%20b", "v1/ä", "a\nb"] {
        assert_eq!(sign(path, &permanent()), ErrorKind::InvalidUrl, "{path}");
    }
    for credentials in [
        Credentials::new("AK%ID", SECRET),
        Credentials::new("AK:ID", SECRET),
        permanent().with_session_token("a:b"),
        permanent().with_session_token("a\nb"),
    ] {
        assert_eq!(sign("v1/repos/a", &credentials), ErrorKind::InvalidCredentials);
    }
}

/// Text of any kind, the ones that matter more often.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-zA-Z0-9._:/?#@%&=+ -]{0,70}", "[a-z0-9.-]{1,30}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_user_of_any_host_is_refused_or_read_back_as_it_was(
        host in any_text(), user in any_text(), port in any::<u16>(), session in any::<bool>(),
    ) {
        let credentials = if session { temporary() } else { permanent() };
        let made = Rds::new(&host, port, &user, "eu-west-1").sign(&credentials, at(NOW));
        match made {
            Err(error) => {
                let kinds = [ErrorKind::InvalidUrl, ErrorKind::InvalidTokenField];
                prop_assert!(kinds.contains(&error.kind()), "{error}");
            }
            Ok(token) => {
                let url = format!("https://{}", token.as_str());
                prop_assert!(verify("GET", &url, &[], &credentials, 30).is_ok(), "{url}");
                let uri: http::Uri = url.parse().unwrap();
                prop_assert_eq!(uri.host(), Some(&*host));
                prop_assert_eq!(uri.port_u16(), Some(port));
                let users: Vec<_> = url
                    .split(['?', '&'])
                    .filter_map(|piece| piece.strip_prefix("DBUser="))
                    .collect();
                prop_assert_eq!(users.len(), 1);
                let decoded = percent_decode(users[0]);
                prop_assert_eq!(decoded, user.as_bytes());
            }
        }
    }

    #[test]
    fn any_user_of_any_cache_is_refused_or_verifies(name in any_text(), user in any_text()) {
        let credentials = temporary();
        let (name, user) = (&*name, &*user);
        let cache = ElastiCache::new(name, user, "eu-west-1").with_serverless(true);
        let cluster = MemoryDb::new(name, user, "eu-west-1");
        let made = [cache.sign(&credentials, at(NOW)), cluster.sign(&credentials, at(NOW))];
        for token in made.into_iter().flatten() {
            let url = format!("https://{}", token.as_str());
            prop_assert!(verify("GET", &url, &[], &credentials, 30).is_ok(), "{url}");
        }
    }

    #[test]
    fn any_parameter_of_a_transcription_is_refused_or_verifies(
        name in any_text(), value in any_text(),
    ) {
        let made = Transcribe::new("eu-west-1")
            .with_parameter(&name, &value)
            .sign(&temporary(), at(NOW));
        if let Ok(token) = made {
            prop_assert!(verify("GET", token.as_str(), &[], &temporary(), 30).is_ok());
        }
    }

    #[test]
    fn any_server_id_is_refused_or_comes_back_from_vaults_headers(value in any_text()) {
        let identity = CallerIdentity::new("eu-west-1").with_header("x-server-id", &value);
        match identity.sign(&temporary(), at(NOW)) {
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidHeader),
            Ok(request) => {
                let login = request.vault_login();
                let headers = BASE64_STANDARD.decode(login.fields()[3].1).unwrap();
                let headers: Value = serde_json::from_slice(&headers).unwrap();
                prop_assert_eq!(&headers["x-server-id"][0], &value);
            }
        }
    }

    #[test]
    fn any_repository_is_refused_or_logs_in(host in any_text(), path in any_text()) {
        let repository = CodeCommit::new(&host, &path, "us-east-1");
        if let Ok(git) = repository.sign(&temporary(), at(NOW)) {
            let id = verify_git(repository, git.user(), git.password(), &temporary(), at(NOW));
            prop_assert_eq!(id.unwrap(), "AKIDEXAMPLE");
        }
    }

    #[test]
    fn whatever_git_sends_is_answered(
        user in proptest::collection::vec(any::<u8>(), 0..40),
        password in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..100),
            "[0-9]{8}T[0-9]{6}Z[0-9a-f]{64}".prop_map(String::into_bytes),
        ],
    ) {
        let verifier = Verifier::new();
        let repository = CodeCommit::new(GIT, "v1/repos/a", "us-east-1");
        if let Ok(claim) = verifier.claim_git(repository, &user, &password, at(NOW)) {
            let key = SigningKey::derive(SECRET, &claim.scope());
            prop_assert!(claim.verify(Some(Known::new(&key))).is_err());
        }
    }
}

fn percent_decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        if first == b'%' {
            let digits = str::from_utf8(&others[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &others[2..];
        } else {
            bytes.push(first);
            rest = others;
        }
    }
    bytes
}

#[test]
fn tokens_come_out_as_others_make_them() {
    let Some(data) = external_data("tokens.json") else {
        return;
    };
    let text = std::fs::read_to_string(data.join("tokens.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let mut made = 0;
    for case in file["cases"].as_array().unwrap() {
        let part = |key: &str| case[key].as_str().unwrap();
        let param = |key: &str| case["params"][key].as_str().unwrap();
        let (region, now) = (part("region"), at(part("timestamp")));
        let credentials = &from_json(&case["credentials"]);
        let token = match part("name").trim_end_matches("-session") {
            // URLs and forms of S3, and a URL that is to be posted: see the tests of presigning.
            name if name.starts_with("s3-") || name.starts_with("sts-") => continue,
            "rds-auth-token" | "rds-auth-token-special-user" => {
                let port = case["params"]["port"].as_u64().unwrap() as u16;
                Rds::new(param("host"), port, param("user"), region).sign(credentials, now)
            }
            "dsql-connect" => {
                Dsql::new("abc123.dsql.us-east-1.on.aws", region).sign(credentials, now)
            }
            "dsql-admin" => {
                Dsql::admin("abc123.dsql.us-east-1.on.aws", region).sign(credentials, now)
            }
            "elasticache-connect" => {
                ElastiCache::new("my-cache", "iam-user-01", region).sign(credentials, now)
            }
            "eks-get-token" => Eks::new(param("cluster"), region).sign(credentials, now),
            "msk-iam-connect" => Msk::new(region).with_user_agent("example").sign(credentials, now),
            "iot-mqtt-websocket" => Iot::new("abcdef-ats.iot.us-east-1.amazonaws.com", region)
                .with_expires_in(Duration::from_secs(300))
                .sign(credentials, now),
            other => panic!("nobody makes {other}"),
        };
        let expected = case["output"].as_str().unwrap_or(part("url"));
        assert_eq!(token.unwrap().as_str(), expected, "{}", part("name"));
        made += 1;
    }
    println!("{made} tokens");
    assert_eq!(made, 16);
}

#[test]
fn the_login_of_git_is_the_one_that_another_sdk_expects() {
    let Some(data) = external_data("sdk-unit-facts.json") else {
        return;
    };
    let text = std::fs::read_to_string(data.join("sdk-unit-facts.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["name"] == "go-codecommit-git").unwrap();
    let part = |key: &str| case[key].as_str().unwrap();
    let now = at(&format!("{}Z", part("timestamp")));
    let git =
        CodeCommit::new("git-codecommit.us-east-1.amazonaws.com", part("path"), part("region"))
            .sign(&from_json(&case["credentials"]), now)
            .unwrap();
    assert_eq!(git.user(), "AKID%SESSION");
    let expected = format!("{}Z{}", part("timestamp"), part("expected_signature"));
    assert_eq!(git.password(), expected);
}

#[test]
fn every_vector_of_a_token_comes_out_as_it_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/test-vectors/tokens.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let made = made(&case["in"]);
        let expected: BTreeMap<&str, &str> = case["expect"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let made: BTreeMap<&str, &str> =
            made.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(made, expected, "{name}");
        // A case that no other implementation confirms would be a guess.
        let agree = case["agree"].as_object().unwrap();
        let confirmed = agree.values().any(|says| says == true);
        assert!(confirmed && !agree.values().any(|says| says == false), "{name}");
    }
    println!("{} tokens", cases.len());
    assert_eq!(cases.len(), 34);
}

/// What a case of the vectors asks for, by the names of the facts.
fn made(case: &Value) -> Vec<(&'static str, String)> {
    let part = |key: &str| case[key].as_str().unwrap_or_else(|| panic!("{key} of {case}"));
    let life = || Duration::from_secs(case["expires"].as_u64().unwrap());
    let (region, now, credentials) =
        (part("region"), at(part("time")), &from_json(&case["credentials"]));
    let token = match part("kind") {
        "rds" => {
            let port = case["port"].as_u64().unwrap() as u16;
            Rds::new(part("host"), port, part("user"), region).sign(credentials, now)
        }
        "dsql" if case["admin"] == true => {
            Dsql::admin(part("host"), region).with_expires_in(life()).sign(credentials, now)
        }
        "dsql" => Dsql::new(part("host"), region).with_expires_in(life()).sign(credentials, now),
        "elasticache" => ElastiCache::new(part("cache"), part("user"), region)
            .with_serverless(case["serverless"] == true)
            .sign(credentials, now),
        "memorydb" => MemoryDb::new(part("cache"), part("user"), region).sign(credentials, now),
        "eks" => Eks::new(part("cluster"), region).sign(credentials, now),
        "msk" => Msk::new(region).with_user_agent(part("user_agent")).sign(credentials, now),
        "iot" => Iot::new(part("host"), region).with_expires_in(life()).sign(credentials, now),
        "transcribe" => {
            let pairs = case["parameters"].as_array().unwrap();
            let pairs = pairs.iter().map(|pair| (&pair[0], &pair[1]));
            pairs
                .fold(Transcribe::new(region), |made, (name, value)| {
                    made.with_parameter(name.as_str().unwrap(), value.as_str().unwrap())
                })
                .sign(credentials, now)
        }
        "bedrock" => Bedrock::new(region).with_expires_in(life()).sign(credentials, now),
        "identity-url" => {
            CallerIdentity::new(region).with_expires_in(life()).sign_url(credentials, now)
        }
        "identity" => {
            let pairs = case["headers"].as_array().unwrap();
            let request = pairs
                .iter()
                .fold(CallerIdentity::new(region), |made, pair| {
                    made.with_header(pair[0].as_str().unwrap(), pair[1].as_str().unwrap())
                })
                .sign(credentials, now)
                .unwrap();
            let authorization = request.headers().find(|(name, _)| *name == "authorization");
            return vec![("authorization", authorization.unwrap().1.to_owned())];
        }
        "mongodb" => {
            let nonce = hex::decode(part("nonce")).unwrap();
            let answer = MongoDb::new(part("host"), nonce.first_chunk().unwrap(), &nonce)
                .sign(credentials, now)
                .unwrap();
            let authorization = answer.fields().find(|(name, _)| *name == "a").unwrap().1;
            return vec![("authorization", authorization.to_owned())];
        }
        "codecommit" => {
            let git = CodeCommit::new(part("host"), part("path"), region);
            let git = git.sign(credentials, now).unwrap();
            return vec![("password", git.password().to_owned()), ("user", git.user().to_owned())];
        }
        other => panic!("nobody makes {other}"),
    };
    vec![("token", token.unwrap().as_str().to_owned())]
}
