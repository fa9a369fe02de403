//! IAM Roles Anywhere: what is sent for a certificate, and what becomes of the answer.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use countersign::{
    Credentials,
    providers::{
        EndpointService, Endpoints, Files, HttpError, Platform, Ports, ProvideCredentials,
        ProviderError, ProviderErrorKind, RolesAnywhere, RolesAnywhereProvider,
    },
};
use http::{Request, Response};
use p256::pkcs8::PrivateKeyInfoRef;
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, SerialNumber};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sha2::{Digest, Sha256};

use super::world::{Hands, Servers, answer, chain_of, refused, run};
use crate::support::at;

// What is sent.

#[test]
fn a_session_is_asked_for_with_a_signature_of_the_certificate_s_key() {
    for identity in identities() {
        let world = World::of(&identity, [granted()]);
        let credentials = run(world.provider().provide()).unwrap().unwrap();
        assert_eq!(credentials.access_key_id(), "ASIAANYWHERE");
        assert_eq!(credentials.secret_access_key(), "hush/anywhere");
        assert_eq!(credentials.session_token(), Some("whisper-anywhere"));
        assert_eq!(credentials.account_id(), Some("123456789012"));
        assert_eq!(credentials.expires_at(), Some(at("20260801T130000Z")));
        assert!(credentials.has_static_stability());
        let request = world.only_request();
        assert_eq!(request.method(), "POST");
        let uri = format!("https://rolesanywhere.eu-west-1.amazonaws.com/sessions?{QUERY}");
        assert_eq!(request.uri().to_string(), uri);
        assert_eq!(text(request.body()), r#"{"durationSeconds":3600}"#);
        assert!(!request.headers().contains_key("x-amz-x509-chain"));
        identity.verify(&request);
    }
}

#[test]
fn what_is_said_is_sent() {
    let identity = Identity::new(&signature::ECDSA_P256_SHA256_ASN1, rcgen_p256());
    let world = World::of(&identity, [granted()]);
    let request = asked().with_duration(Duration::from_secs(43_200)).with_session_name("cat@home");
    let provider = RolesAnywhereProvider::new(&world.ports, request, CERTIFICATE, KEY)
        .with_timeout(Duration::from_secs(2));
    run(provider.provide()).unwrap();
    let (request, limits) = world.servers.take().remove(0);
    let body = r#"{"durationSeconds":43200,"roleSessionName":"cat@home"}"#;
    assert_eq!(text(request.body()), body);
    assert_eq!((limits.total, limits.connect), (Duration::from_secs(2), Duration::from_secs(2)));
    identity.verify(&request);
}

#[test]
fn the_chain_is_what_stands_behind_the_certificate_and_in_a_file_of_its_own() {
    let identity = Identity::new(&signature::ECDSA_P256_SHA256_ASN1, rcgen_p256());
    let [one, two] =
        [(); 2].map(|()| Identity::new(&signature::ECDSA_P256_SHA256_ASN1, rcgen_p256()));
    let world = World::of(&identity, [granted()]);
    world.write(CERTIFICATE, &format!("Bag Attributes\n{}\n# next\n{}", identity.pem, one.pem));
    world.write("/chain.pem", &two.pem);
    run(world.provider().with_chain("/chain.pem").provide()).unwrap();
    let request = world.only_request();
    let chain = format!("{},{}", one.certificate(), two.certificate());
    assert_eq!(request.headers()["x-amz-x509-chain"], chain.as_str());
    identity.verify(&request);
    let message = |files: &str| {
        world.write("/chain.pem", files);
        run(world.provider().with_chain("/chain.pem").provide()).unwrap_err().to_string()
    };
    let seen = message(&two.pem.repeat(5));
    assert!(seen.contains("6 further ones in its chain, 5 at most"), "{seen}");
    let seen = message("");
    assert!(seen.contains("/chain.pem holds no certificate"), "{seen}");
}

#[test]
fn keys_are_read_in_each_form_that_openssl_writes() {
    for identity in identities() {
        let der = pem_body(&identity.key);
        let info = PrivateKeyInfoRef::try_from(der.as_slice()).unwrap();
        let label = if identity.is_rsa() { "RSA" } else { "EC" };
        let inner = BASE64_STANDARD.encode(info.private_key.as_bytes());
        let key = format!(
            "-----BEGIN {label} PRIVATE KEY-----\n{inner}\n-----END {label} PRIVATE KEY-----\n"
        );
        let world = World::of(&identity, [granted(), granted()]);
        for key in [key.clone(), format!("{}\n{key}", identity.pem)] {
            world.write(KEY, &key);
            run(world.provider().provide()).unwrap();
            identity.verify(&world.only_request());
        }
    }
    let identity = p384();
    let world = World::of(&identity, [granted()]);
    world.write(KEY, P384_SEC1);
    run(world.provider().provide()).unwrap();
    identity.verify(&world.only_request());
}

#[test]
fn files_are_read_anew_each_time() {
    let [old, new] =
        [(); 2].map(|()| Identity::new(&signature::ECDSA_P256_SHA256_ASN1, rcgen_p256()));
    let world = World::of(&old, [granted(), granted()]);
    let provider = world.provider();
    run(provider.provide()).unwrap();
    old.verify(&world.only_request());
    world.write(CERTIFICATE, &new.pem);
    world.write(KEY, &new.key);
    run(provider.provide()).unwrap();
    new.verify(&world.only_request());
}

#[test]
fn the_endpoint_follows_from_the_region_unless_another_is_configured() {
    let identity = p384();
    let world = World::of(&identity, [granted(), granted()]);
    let endpoints = Endpoints::new(&world.ports).with_url("http://localhost:9000/ra/");
    let endpoint = endpoints.find(EndpointService::RolesAnywhere, None).unwrap();
    run(world.provider().with_endpoint(endpoint).provide()).unwrap();
    assert_eq!(world.servers.asked(), [format!("POST http://localhost:9000/ra/sessions?{QUERY}")]);
    world.servers.take();
    let env = HashMap::from([("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_REGION", "us-east-1")]);
    let ports = world.ports.clone().with_env(env);
    run(RolesAnywhereProvider::new(&ports, asked(), CERTIFICATE, KEY).provide()).unwrap();
    let uri = format!("https://rolesanywhere-fips.eu-west-1.amazonaws.com/sessions?{QUERY}");
    assert_eq!(world.only_request().uri().to_string(), uri);
}

// What is not sent.

#[test]
fn requests_that_could_only_be_refused_are_not_sent() {
    let world = World::of(&p384(), []);
    let far = ANCHOR.replace("eu-west-1", "us-east-1");
    for (request, expected) in [
        (RolesAnywhere::new(&far, PROFILE, ROLE), "region us-east-1 and the profile of eu-west-1"),
        (RolesAnywhere::new("x", PROFILE, ROLE), "`x` is no ARN of a trust anchor"),
        (RolesAnywhere::new(PROFILE, PROFILE, ROLE), "is no ARN of a trust anchor"),
        (RolesAnywhere::new(ANCHOR, ROLE, ROLE), "is no ARN of a profile"),
        (RolesAnywhere::new(ANCHOR, PROFILE, "\u{1b}"), r"`\u{1b}` is no ARN of a role"),
        (asked().with_duration(Duration::from_secs(899)), "899 seconds"),
        (asked().with_duration(Duration::from_secs(43_201)), "43201 seconds"),
        (asked().with_duration(Duration::from_millis(1_000_500)), "1000.5 seconds"),
        (asked().with_session_name("a"), "session name `a`"),
        (asked().with_session_name("cat and dog"), "session name `cat and dog`"),
    ] {
        let provider = RolesAnywhereProvider::new(&world.ports, request, CERTIFICATE, KEY);
        let error = run(provider.provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(world.servers.asked(), [""; 0]);
}

#[test]
fn files_that_hold_nothing_to_sign_with_are_named_and_not_quoted() {
    use ProviderErrorKind::{Failed, InvalidConfiguration};
    let identity = p384();
    let other = Identity::new(&signature::ECDSA_P256_SHA256_ASN1, rcgen_p256());
    let garbled = identity.key.replace("LBid", "hu\u{1b}h");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    let bare = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    let short = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    for (path, content, kind, expected) in [
        (CERTIFICATE, None, Failed, "certificate file /cert.pem could not be read"),
        (CERTIFICATE, Some(""), InvalidConfiguration, "holds no certificate in PEM"),
        (CERTIFICATE, Some(bare), InvalidConfiguration, "a certificate that is no X.509"),
        (CERTIFICATE, Some(&*garbled), InvalidConfiguration, "is no well-formed PEM"),
        (KEY, None, Failed, "private key file /key.pem could not be read"),
        (KEY, Some(""), InvalidConfiguration, "holds no private key"),
        (KEY, Some(&*garbled), InvalidConfiguration, "is no well-formed PEM"),
        (KEY, Some(short), InvalidConfiguration, "holds no key that can be used"),
        (KEY, Some(encrypted), InvalidConfiguration, "encrypted private key"),
        (
            KEY,
            Some(&*other.key),
            InvalidConfiguration,
            "is not the one of the certificate in /cert",
        ),
    ] {
        let world = World::of(&identity, []);
        match content {
            Some(content) => world.write(path, content),
            None => drop(world.files.0.lock().unwrap().remove(Path::new(path))),
        }
        let error = run(world.provider().provide()).unwrap_err();
        let message = chain_of(&error);
        assert_eq!(error.kind(), kind, "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("hu\u{1b}h") && !message.contains("MIG2"), "{message}");
    }
}

#[test]
fn a_certificate_that_has_expired_may_be_replaced_soon() {
    let key = rcgen_p256();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.not_after = rcgen::date_time_ymd(2026, 7, 31);
    let identity = Identity::with(&signature::ECDSA_P256_SHA256_ASN1, key, params);
    let world = World::of(&identity, []);
    let error = run(world.provider().provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    assert!(error.to_string().contains("/cert.pem expired at 20260731T000000Z"), "{error}");
}

// What is answered.

#[test]
fn what_may_pass_is_asked_three_times_and_the_rest_once() {
    use ProviderErrorKind::{Failed, InvalidConfiguration, Refused};
    for (failure, kind, count, expected) in [
        (failure(403, "AccessDeniedException", "no"), Refused, 1, "AccessDeniedException: no"),
        (
            failure(400, "ValidationException:http://x/", "a"),
            InvalidConfiguration,
            1,
            "ValidationException: a",
        ),
        (
            failure(404, "x#ResourceNotFoundException", "b"),
            InvalidConfiguration,
            1,
            "ResourceNotFoundException: b",
        ),
        (failure(400, "ThrottlingException", "c"), Failed, 3, "ThrottlingException: c"),
        (failure(503, "", "d"), Failed, 3, "failed: status 503: d"),
        (
            answer(400, r#"{"__type":"x#Throttled","code":"ThrottlingException","message":"e"}"#),
            Failed,
            3,
            "failed: ThrottlingException: e",
        ),
        (
            answer(400, r#"{"__type":"x#ThrottlingException","Message":"f"}"#),
            Failed,
            3,
            "failed: ThrottlingException: f",
        ),
        (answer(502, "<html>"), Failed, 3, "status 502"),
        (answer(429, ""), Failed, 3, "status 429"),
        (answer(302, ""), Failed, 1, "status 302"),
        (answer(201, "{}"), Failed, 1, "not the JSON that was expected"),
        (answer(201, r#"{"credentialSet":[]}"#), Failed, 1, "its credentialSet is empty"),
        (answer(201, GRANTED.replace("hush/anywhere", "")), Failed, 1, "secretAccessKey is empty"),
        (answer(201, GRANTED.replace("2026", "x")), Failed, 1, "its expiration is no time"),
        (refused(), Failed, 3, "no answer from rolesanywhere.eu-west-1.amazonaws.com"),
    ] {
        let answers = (0..3).map(|_| match &failure {
            Ok(response) => Ok(response.clone()),
            Err(_) => refused(),
        });
        let world = World::of(&p384(), answers.collect::<Vec<_>>());
        let error = run(world.provider().provide()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(world.servers.asked().len(), count, "{error}");
        assert_eq!(world.hands.slept().len(), count - 1, "{error}");
    }
}

#[test]
fn each_attempt_is_signed_anew() {
    let identity = p384();
    let world = World::of(&identity, [answer(503, ""), granted()]);
    run(world.provider().provide()).unwrap();
    let requests = world.servers.take();
    assert_eq!(requests.len(), 2);
    for (request, _) in requests {
        identity.verify(&request);
    }
}

#[test]
fn a_message_of_the_service_cannot_disturb_a_terminal() {
    let message = format!(r"\u001b[2J{}", "x".repeat(10_000));
    let world = World::of(&p384(), [failure(403, "AccessDeniedException", &message)]);
    let message = run(world.provider().provide()).unwrap_err().to_string();
    assert!(message.contains(r"\u{1b}[2Jx") && message.len() < 1_000, "{message}");
}

#[test]
fn no_key_and_no_secret_is_shown() {
    let world = World::of(&p384(), [granted()]);
    let provider = world.provider();
    let credentials: Credentials = run(provider.provide()).unwrap().unwrap();
    let shown = format!("{provider:?}{credentials:?}");
    assert!(!shown.contains("LBid") && !shown.contains("hush") && !shown.contains("whisper"));
}

proptest! {
    // A certificate is made for each case.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_makes_it_panic(
        at in 0_usize..200,
        byte in any::<u8>(),
        is_key in any::<bool>(),
        noise in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
    ) {
        let world = World::of(&p384(), [granted(), granted(), granted()]);
        let path = if is_key { KEY } else { CERTIFICATE };
        let mut content = noise.unwrap_or_else(|| world.files.read(Path::new(path)).unwrap());
        if let Some(place) = content.get_mut(at) {
            *place = byte;
        }
        world.files.0.lock().unwrap().insert(path.into(), content);
        let _: Result<Option<Credentials>, ProviderError> = run(world.provider().provide());
    }

    #[test]
    fn no_answer_makes_it_panic_or_repeat_it(status in 200_u16..600, body in ".{0,200}") {
        let answers = [(); 3].map(|()| answer(status, format!("{body}hush")));
        let world = World::of(&p384(), answers);
        let error = run(world.provider().provide()).unwrap_err();
        prop_assert!(!chain_of(&error).contains("hush"), "{error}");
    }
}

// The world around.

type Answer = Result<Response<Bytes>, HttpError>;

/// A certificate with its key.
struct Identity {
    algorithm: &'static dyn VerificationAlgorithm,
    public_key: Vec<u8>,
    pem: String,
    key: String,
}

impl Identity {
    fn new(algorithm: &'static dyn VerificationAlgorithm, key: KeyPair) -> Identity {
        Identity::with(algorithm, key, CertificateParams::new(Vec::new()).unwrap())
    }

    fn with(
        algorithm: &'static dyn VerificationAlgorithm,
        key: KeyPair,
        mut params: CertificateParams,
    ) -> Identity {
        params.serial_number = Some(SerialNumber::from_slice(&[0x01, 0, 0, 0, 0, 0, 0, 0, 0x02]));
        let pem = params.self_signed(&key).unwrap().pem();
        let public_key = key.public_key_raw().to_vec();
        Identity { algorithm, public_key, pem, key: key.serialize_pem() }
    }

    fn is_rsa(&self) -> bool {
        // An integer of 2048 bits alone is longer than any point.
        self.public_key.len() > 200
    }

    /// The certificate, in base64.
    fn certificate(&self) -> String {
        BASE64_STANDARD.encode(pem_body(&self.pem))
    }

    /// Checks a request as the service would, step by step as its guide has them.
    fn verify(&self, request: &Request<Bytes>) {
        let header = |name: &str| request.headers()[name].to_str().unwrap();
        assert_eq!(header("x-amz-x509"), self.certificate());
        let algorithm =
            if self.is_rsa() { "AWS4-X509-RSA-SHA256" } else { "AWS4-X509-ECDSA-SHA256" };
        let date = header("x-amz-date");
        let scope = format!("{}/eu-west-1/rolesanywhere/aws4_request", &date[..8]);
        let has_chain = request.headers().contains_key("x-amz-x509-chain");
        let mut names = vec!["content-type", "host", "x-amz-date", "x-amz-x509"];
        names.extend(has_chain.then_some("x-amz-x509-chain"));
        // 2^64 + 2.
        let before = format!(
            "{algorithm} Credential=18446744073709551618/{scope}, SignedHeaders={}, Signature=",
            names.join(";")
        );
        let signature = header("authorization").strip_prefix(&before).expect("it begins so");
        let headers = names.iter().map(|name| match *name {
            "host" => format!("host:{}\n", request.uri().authority().unwrap()),
            name => format!("{name}:{}\n", header(name)),
        });
        let canonical = format!(
            "POST\n/sessions\n{QUERY}\n{}\n{}\n{}",
            headers.collect::<String>(),
            names.join(";"),
            hex::encode(Sha256::digest(request.body()))
        );
        let hash = hex::encode(Sha256::digest(canonical));
        let string_to_sign = format!("{algorithm}\n{date}\n{scope}\n{hash}");
        UnparsedPublicKey::new(self.algorithm, &self.public_key)
            .verify(string_to_sign.as_bytes(), &hex::decode(signature).unwrap())
            .expect("the signature is the certificate's");
    }
}

/// One for each kind of key.
fn identities() -> [Identity; 3] {
    let rsa = KeyPair::from_pkcs8_pem_and_sign_algo(RSA, &rcgen::PKCS_RSA_SHA256).unwrap();
    [
        Identity::new(&signature::RSA_PKCS1_2048_8192_SHA256, rsa),
        Identity::new(&signature::ECDSA_P256_SHA256_ASN1, rcgen_p256()),
        p384(),
    ]
}

fn rcgen_p256() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn p384() -> Identity {
    let algorithm = &rcgen::PKCS_ECDSA_P384_SHA384;
    let key = KeyPair::from_pkcs8_pem_and_sign_algo(P384_PKCS8, algorithm).unwrap();
    Identity::new(&signature::ECDSA_P384_SHA256_ASN1, key)
}

/// Files that a test changes behind the back of a provider.
#[derive(Clone)]
struct Disk(Arc<Mutex<HashMap<PathBuf, Vec<u8>>>>);

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }
}

/// A machine with a certificate, and a service that answers these in turn.
struct World {
    hands: Hands,
    servers: Servers,
    files: Disk,
    ports: Ports,
}

impl World {
    fn of(identity: &Identity, answers: impl IntoIterator<Item = Answer>) -> World {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        let servers = Servers::answering(move |_| answers.pop_front().expect("no more is asked"));
        let hands = Hands::at(at("20260801T120000Z"));
        let files = Disk(Arc::default());
        let ports = Ports::empty()
            .with_clock(hands.clone())
            .with_http(servers.clone())
            .with_files(files.clone())
            .with_random(|bytes: &mut [u8]| bytes.fill(0xff))
            .with_platform(Platform::Unix);
        let world = World { hands, servers, files, ports };
        world.write(CERTIFICATE, &identity.pem);
        world.write(KEY, &identity.key);
        world
    }

    fn write(&self, path: &str, content: &str) {
        self.files.0.lock().unwrap().insert(path.into(), content.into());
    }

    fn provider(&self) -> RolesAnywhereProvider {
        RolesAnywhereProvider::new(&self.ports, asked(), CERTIFICATE, KEY)
    }

    fn only_request(&self) -> Request<Bytes> {
        let mut requests = self.servers.take();
        assert_eq!(requests.len(), 1);
        requests.remove(0).0
    }
}

fn asked() -> RolesAnywhere {
    RolesAnywhere::new(ANCHOR, PROFILE, ROLE)
}

fn granted() -> Answer {
    answer(201, GRANTED)
}

fn failure(status: u16, code: &str, message: &str) -> Answer {
    let mut answer = answer(status, format!(r#"{{"message":"{message}"}}"#))?;
    answer.headers_mut().insert("x-amzn-errortype", code.parse().unwrap());
    Ok(answer)
}

fn text(body: &Bytes) -> &str {
    str::from_utf8(body).unwrap()
}

/// The DER of a PEM file with one section.
fn pem_body(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with('-'));
    BASE64_STANDARD.decode(lines.map(str::trim).collect::<String>()).unwrap()
}

const CERTIFICATE: &str = "/cert.pem";
const KEY: &str = "/key.pem";
const ANCHOR: &str = "arn:aws:rolesanywhere:eu-west-1:123456789012:trust-anchor/0f1e2d3c";
const PROFILE: &str = "arn:aws:rolesanywhere:eu-west-1:123456789012:profile/4b5a6978";
const ROLE: &str = "arn:aws:iam::123456789012:role/audit";
const QUERY: &str = "profileArn=arn%3Aaws%3Arolesanywhere%3Aeu-west-1%3A123456789012%3Aprofile%2F4b5a6978\
                     &roleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Faudit\
                     &trustAnchorArn=arn%3Aaws%3Arolesanywhere%3Aeu-west-1%3A123456789012%3Atrust-anchor%2F0f1e2d3c";
const GRANTED: &str = r#"{
    "credentialSet": [{
        "assumedRoleUser": { "arn": "arn:aws:sts::123456789012:assumed-role/audit/1", "assumedRoleId": "AROA:1" },
        "credentials": {
            "accessKeyId": "ASIAANYWHERE",
            "expiration": "2026-08-01T13:00:00Z",
            "secretAccessKey": "hush/anywhere",
            "sessionToken": "whisper-anywhere"
        },
        "packedPolicySize": 0,
        "roleArn": "arn:aws:iam::123456789012:role/audit",
        "sourceIdentity": "CN=cat"
    }],
    "subjectArn": "arn:aws:rolesanywhere:eu-west-1:123456789012:subject/1"
}"#;

/// Keys of nobody, made by OpenSSL for these tests.
const RSA: &str = "-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCzXDdGU5VHXVnY
6zWnsYd+JhxdT1F+C5fjkkL33N88itijCc/18ct2mRYTRaukxcoA/k9Pfhz6S+oK
EGUZi9Rjy27HpjjyzoB5QYvKTteH7qugwyiobkTTUjPEWhrWMB/6KsfrB/+gdjqt
f9G7BbvuJ9WyCRKbeWaSpoV9PgF+XU1yBBWvwoei2Q6sPkSIImrbR2Ylj8xdlE+J
JJUQB3PEpw/mR2x0gSlYL+PKS5zioUZcXkXTrfKVqbm+jT2NrgcJQUzSjl6Nr1oH
46dYd3G+8OsJqlGrX6+7JzjH4/BS8AGjsjb1+Wx4aIKRj7LwqLIEVsRkwUgWrzXo
h+j67Ev9AgMBAAECggEADdIbSEYEiL0+wSJOvh9F64iQQvhrtSS7jYOluWfBo+6n
BtkotzDslrTxKIcD1OyQxkbSYbO8E+VpoWDmCXPm59GzNZsvZDZZW/6bAPnWTdks
THT9Ww00LHx3FLhEvSB0Nli5kvjIz9qMZvYkeR7V/mH/a3qbfnN6Xe6K9r2ia9Qv
PNS1ma34fhlw3eZLvPWiibQOugdPo0AH6MRGrlXd0gHyasa5z6Vqr4O1HDJ9xLkQ
qdx3xmJQRj2wo/ItBFM6DVJFB+DNAgLJKh2jSCTXhaYYnrOvaSvmkeYpgf4CQl6e
cLSRhob+E3hva9IYO7zvsMcbmrgKg7ETkANm/iWUWQKBgQD8ma1Veprye9PDO46D
dTIZ1vvUSwdWAh39nuOMN0WedzIiu/pk0xhCYBHnDfJ8+xB1NqgBWfJ6kRft1JoQ
3EyQoNFet8rFApbbmnA5kAKYwMqjRuFs1ta+YQVyLafK1lTao2Cj7FhwIdcRKPtK
Fo/pvbB+juy7NSucBqjYm6n+GwKBgQC1xjGFLmIs0pHEU22rNlqyLaFsCEGcP0ss
Dr5gNec8nxWaF+RemdhPC6osMHSaHVwGodpHK3Uswt+D2MY2MqK8cCBS+exp2cgi
7nmK5FTTmCynbc7Ev68tr94UdY7DbVqHQD3+wWpozEBj6UNmOXEeXgd7lCZoZTxD
WD3PGi+fxwKBgBlUn9kujlM6r6WoV0Y/fmKw+Ff1niq106QXRuJMuKKHeXOaPiXW
NVySnbj54RM/agsXDAn2pyY7Xpbu9vQx40utlNFWxPK0q8Qh3JcpJdmDm8570SdE
9AvrVsx4X5crnx69u3c0wDmeax7BaVGoqY3bA9PtKTgswM7IrC3sjkN5AoGAdW//
rGDEMts0K9gOwY/TVsxePvKymOTXhzZbTsNkiujoxu5qr6fLdX4+yl/f5XXUb8B/
yn1MLcgVKhSSMo/STdZPO+yWDekTAWZ7Bf3ww+fL6bvq23hQED9QRn2Q57etxjX+
F6oUOnLDowkgb1nrOEhdozya99V38rZ+8F+lpx8CgYEA0INHi8BrAw/GV/u9QhWJ
NsenNeC5OynfVSptx9vd0isy3H/1WlUfsboogej4M0RhPwWOqUzfyDua2PWbfvt2
+4FE3jJYbuG1VVuQBPx/6zJcRlgKYoV7WUjZaaW72ACLyrfGRjc0/FKhwsV9cU9B
fiI8zYvrN2/KZ0KPF8AiRRI=
-----END PRIVATE KEY-----
";

const P384_PKCS8: &str = "-----BEGIN PRIVATE KEY-----
MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDB+LBid7WN4lOiVydfT
eJjIIYjH1tp7KOZs73mPQtQyHGCscQPk6tNrJktVm9pisfyhZANiAAS+l5X31xwp
F1RluvJaQR1QtqpgcsAf2SbOIP0yL1l3JRSbUtnSnkHEaNgkj9wxWxvyjnHya8dV
cbiqkMK2/UR2k4365htsuo0ph8Cip0Zro6OLc7lg5DoCYRzldL9o0mg=
-----END PRIVATE KEY-----
";

/// The same key.
const P384_SEC1: &str = "-----BEGIN EC PARAMETERS-----
BgUrgQQAIg==
-----END EC PARAMETERS-----
-----BEGIN EC PRIVATE KEY-----
MIGkAgEBBDB+LBid7WN4lOiVydfTeJjIIYjH1tp7KOZs73mPQtQyHGCscQPk6tNr
JktVm9pisfygBwYFK4EEACKhZANiAAS+l5X31xwpF1RluvJaQR1QtqpgcsAf2SbO
IP0yL1l3JRSbUtnSnkHEaNgkj9wxWxvyjnHya8dVcbiqkMK2/UR2k4365htsuo0p
h8Cip0Zro6OLc7lg5DoCYRzldL9o0mg=
-----END EC PRIVATE KEY-----
";
