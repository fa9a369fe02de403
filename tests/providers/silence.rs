//! What nobody says: no secret is in any log, of whatever level, nor in what is shown of anything.

use std::{
    collections::HashMap,
    fmt::Debug,
    io,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
#[cfg(feature = "login")]
use countersign::providers::LoginProvider;
#[cfg(feature = "roles-anywhere")]
use countersign::providers::{RolesAnywhere, RolesAnywhereProvider};
use countersign::{
    Credentials,
    providers::{
        AssumeRole, AssumeRoleProvider, AssumeRoleWithSaml, AssumeRoleWithWebIdentity, Cached,
        Chain, CommandOutput, ContainerProvider, EndpointService, Endpoints, EnvironmentProvider,
        FederationToken, FederationTokenProvider, HttpError, InstanceProvider, MfaPrompt, Platform,
        Ports, ProcessProvider, ProfileChain, ProfileFiles, ProfileProvider, ProfileSet,
        ProvideCredentials, ProvideToken, RegionChain, S3ExpressSessions, SamlProvider,
        SessionToken, SessionTokenProvider, SsoProvider, SsoSettings, SsoTokenProvider, Sts, Token,
        TokenChain, WebIdentityProvider,
    },
};
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Response};
use serde_json::json;
use sha2::Sha256;
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter, util::SubscriberInitExt};

use super::world::{Disk, Hands, Servers, answer, chain_of, refused, run};
use crate::support::at;

#[test]
fn no_provider_logs_or_shows_a_secret_whether_it_succeeds_or_fails() {
    let mut heard = String::new();
    for (way, answers) in WAYS {
        for (name, provider) in providers(answers) {
            let ears = Ears::default();
            let (mut shown, mut gave) = (String::new(), false);
            ears.hear(|| {
                // The second has what the first left, and the third what is to be had after a refusal.
                for _ in 0..3 {
                    let answer = run(provider.provide());
                    gave |= matches!(answer, Ok(Some(_)));
                    shown += &show_answer(&answer);
                    shown += &show(&provider);
                    shown += &provider.absence();
                    provider.invalidate("ASIAROLE");
                }
            });
            let needs_nobody =
                ["chain", "environment", "process", "profile", "profile by a process"]
                    .contains(&name);
            assert!(gave == (way == "success" || needs_nobody), "{name}, {way}: {shown}");
            no_secret(&shown);
            no_secret(&ears.heard());
            heard += &ears.heard();
        }
    }
    for said in ["loaded credentials", "asking STS again", "the renewed session cannot be saved"] {
        assert!(heard.contains(said), "nobody logs: {said}");
    }
}

#[test]
fn nothing_public_shows_a_secret() {
    let ports = world(granted);
    let files = ProfileSet::load(&ports).unwrap();
    let base = Credentials::new("AKID", "hush-base").with_session_token("whisper-base");
    let mut shown = show(&base)
        + &show(&Token::new("hush-token"))
        + &show(&ports)
        + &show(&files)
        + &show(&ProfileFiles::locate(&ports))
        + &show(&Endpoints::load(&ports, &files, "default").unwrap())
        + &show(&Endpoints::new(&ports).find(EndpointService::Sts, Some("eu-west-1")).unwrap())
        + &show(&RegionChain::standard(&ports))
        + &show(&SsoTokenProvider::new(&ports, settings()))
        + &show(&TokenChain::standard(&ports).with_service("bedrock"))
        + &show(&run(TokenChain::standard(&ports).with_service("bedrock").provide_token()))
        + &show(&Sts::new(&ports))
        + &show(&AssumeRole::new(ROLE).with_mfa_code("hush12"))
        + &show(&SessionToken::new().with_mfa_code("hush12"))
        + &show(&AssumeRoleWithWebIdentity::new(ROLE, "hush-web"))
        + &show(&AssumeRoleWithSaml::new(
            ROLE,
            "arn:aws:iam::123456789012:saml-provider/a",
            "hush",
        ))
        + &show(&MfaPrompt::new(|_| async { Ok("hush12".to_owned()) }))
        + &show(&S3ExpressSessions::new(base, &ports))
        + &show(&CommandOutput::success("hush-printed"));
    for section in files.profiles() {
        shown += &show(section);
        shown += &show(&ProfileChain::resolve(&files, section.name()));
    }
    no_secret(&shown);
}

#[test]
fn what_is_said_is_heard() {
    let ears = Ears::default();
    ears.hear(|| tracing::trace!(token = "hush-token", "said"));
    assert!(ears.heard().contains("hush-token"), "{}", ears.heard());
    let key = signing_key("hush-base", "20150830", "eu-west-1", "sts");
    for told in ["hush".to_owned(), KEY.to_owned(), hex::encode(key), format!("{key:?}")] {
        assert!(std::panic::catch_unwind(|| no_secret(&told)).is_err(), "{told}");
    }
}

/// Each provider, over services that answer so.
fn providers(answers: Answers) -> Vec<(&'static str, Box<dyn ProvideCredentials>)> {
    let ports = world(answers);
    let base = || Credentials::new("AKID", "hush-base").with_session_token("whisper-base");
    let without_keys = |ports: Ports| {
        let mut variables = variables();
        variables.retain(|name, _| !name.starts_with("AWS_S") && !name.ends_with("KEY_ID"));
        ports.with_env(variables)
    };
    let profile = |name: &str| ProfileProvider::new(&ports).with_name(name);
    let directory = "arn:aws:iam::123456789012:saml-provider/directory";
    let agent = |name: &str, value: &str| {
        let uri = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI".to_owned(), "/get?hush-id".to_owned());
        let token = (name.to_owned(), value.to_owned());
        ContainerProvider::new(&ports.clone().with_env(HashMap::from([uri, token])))
    };
    let mfa = || MfaPrompt::new(|_| async { Ok("123456".to_owned()) });
    let role = || AssumeRole::new(ROLE);
    let sessions = S3ExpressSessions::new(base(), &ports);
    let chain = Chain::standard(&without_keys(ports.clone()));
    #[allow(unused_mut, reason = "features add to it")]
    let mut providers: Vec<(&'static str, Box<dyn ProvideCredentials>)> = vec![
        ("environment", Box::new(EnvironmentProvider::new(&ports))),
        ("process", Box::new(ProcessProvider::new(&ports, "print --password hush-line"))),
        ("profile", Box::new(profile("default"))),
        ("profile by a process", Box::new(profile("process"))),
        ("profile by a role", Box::new(profile("role").with_mfa(mfa()))),
        ("profile by sso", Box::new(profile("sso"))),
        ("chain", Box::new(Cached::new(chain, &ports))),
        ("agent", Box::new(agent("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush-agent"))),
        ("agent by file", Box::new(agent("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/web"))),
        ("instance", Box::new(InstanceProvider::new(&ports))),
        ("role", Box::new(AssumeRoleProvider::new(&ports, base(), role()))),
        ("session", Box::new(SessionTokenProvider::new(&ports, base(), SessionToken::new()))),
        (
            "federation",
            Box::new(FederationTokenProvider::new(&ports, base(), FederationToken::new("kitten"))),
        ),
        ("web", Box::new(WebIdentityProvider::of_file(&ports, ROLE, "/web"))),
        (
            "saml",
            Box::new(SamlProvider::new(&ports, ROLE, directory, || async {
                Ok("hush".to_owned())
            })),
        ),
        ("sso", Box::new(SsoProvider::new(&ports, settings()))),
        ("express", Box::new(sessions.provider("cats--x-s3.s3express.amazonaws.com", "eu-west-1"))),
    ];
    #[cfg(feature = "login")]
    {
        let provider = LoginProvider::new(&ports, "cat").unwrap().with_region("eu-west-1");
        providers.push(("login", Box::new(provider)));
    }
    #[cfg(feature = "roles-anywhere")]
    {
        let arn = |what| format!("arn:aws:rolesanywhere:eu-west-1:123456789012:{what}/a");
        let request = RolesAnywhere::new(arn("trust-anchor"), arn("profile"), ROLE);
        let provider = RolesAnywhereProvider::new(&ports, request, "/both.pem", "/both.pem");
        providers.push(("certificate", Box::new(provider)));
    }
    // As a program has them.
    let cached = |(name, provider): (_, Box<dyn ProvideCredentials>)| {
        let provider: Arc<dyn ProvideCredentials> = Arc::from(provider);
        (name, Box::new(Cached::new(provider, &ports)) as Box<dyn ProvideCredentials>)
    };
    providers.into_iter().map(cached).collect()
}

type Answers = fn(&Request<Bytes>) -> Result<Response<Bytes>, HttpError>;

const WAYS: [(&str, Answers); 7] = [
    ("success", granted),
    ("silence", |_| refused()),
    ("a failure", |request| answer(500, echo(request))),
    ("a refusal", |request| answer(403, echo(request))),
    ("a wrong request", |request| answer(400, echo(request))),
    ("what was asked", |request| answer(200, echo(request))),
    ("garbage", |_| answer(200, "\0hush{")),
];

/// All that a service was told, in words that are no secret's own, as an error in XML or JSON.
fn echo(request: &Request<Bytes>) -> String {
    let mut said = format!("{} {}", request.uri(), String::from_utf8_lossy(request.body()));
    for value in request.headers().values() {
        said += &format!(" {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let is_xml = request.body().starts_with(b"Action=") || request.uri().query() == Some("session");
    let code = "Failed";
    match is_xml {
        true if request.body().is_empty() => format!(
            "<Error><Code>{code}</Code><Message>{}</Message></Error>",
            said.replace('&', "&amp;").replace('<', "&lt;")
        ),
        true => format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>{}</Message></Error></ErrorResponse>",
            said.replace('&', "&amp;").replace('<', "&lt;")
        ),
        false => json!({"Code": code, "message": said, "error": code, "error_description": said})
            .to_string(),
    }
}

/// What each service says when all is well.
fn granted(request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let action = body.strip_prefix("Action=").and_then(|body| body.split('&').next());
    let xml = "<Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>hush</SecretAccessKey>\
               <SessionToken>whisper</SessionToken><Expiration>2015-08-30T18:36:00Z</Expiration>\
               </Credentials>";
    let document = json!({"Code": "Success", "AccessKeyId": "ASIAROLE", "SecretAccessKey": "hush",
        "Token": "whisper", "Expiration": "2015-08-30T18:36:00Z"});
    let token = json!({"accessKeyId": "ASIANEW", "secretAccessKey": "hush", "sessionToken": "whisper",
        "expiration": "2015-08-30T18:36:00Z"});
    let body = match (request.uri().path(), action) {
        (_, Some(action)) => {
            format!("<{action}Response><{action}Result>{xml}</{action}Result></{action}Response>")
        }
        ("/latest/api/token", _) => {
            let response = Response::builder().header("x-aws-ec2-metadata-token-ttl-seconds", "60");
            return Ok(response.body("hush-metadata".into()).unwrap());
        }
        ("/get", _) => document.to_string(),
        ("/token", _) => {
            json!({"accessToken": "hush-new", "tokenType": "Bearer", "expiresIn": 3600,
            "refreshToken": "hush-next"})
            .to_string()
        }
        ("/v1/token", _) => json!({"accessToken": token, "tokenType": "t", "expiresIn": 900,
            "refreshToken": "hush-next"})
        .to_string(),
        ("/federation/credentials", _) => json!({"roleCredentials": {"accessKeyId": "ASIASSO",
            "secretAccessKey": "hush", "sessionToken": "whisper",
            "expiration": 1_440_966_960_000_u64}})
        .to_string(),
        ("/sessions", _) => json!({"credentialSet": [{"credentials": token}]}).to_string(),
        ("/", _) => format!("<CreateSessionResult>{xml}</CreateSessionResult>"),
        (path, _) if path.ends_with('/') => "role".to_owned(),
        _ => document.to_string(),
    };
    answer(200, body)
}

/// A machine with secrets of all kinds, on a disk that is full.
fn world(answers: Answers) -> Ports {
    let disk = Disk::default();
    disk.put("/web", "hush-web");
    disk.put(
        "/home/cat/.aws/credentials",
        "[default]\naws_access_key_id = AKID\n\
        aws_secret_access_key = hush-profile\naws_session_token = whisper-profile\n",
    );
    disk.put(
        "/home/cat/.aws/config",
        "\
[default]
region = eu-west-1
[profile process]
credential_process = print --password hush-line
[profile role]
role_arn = arn:aws:iam::123456789012:role/audit
source_profile = default
mfa_serial = arn:aws:iam::123456789012:mfa/cat
[profile sso]
sso_session = cats
sso_account_id = 123456789012
sso_role_name = Audit
[sso-session cats]
sso_region = eu-west-1
sso_start_url = https://cats.awsapps.com/start
",
    );
    let session = json!({"accessToken": "hush-token", "expiresAt": "2015-08-30T12:00:00Z",
        "refreshToken": "hush-refresh", "clientId": "client", "clientSecret": "hush-client",
        "registrationExpiresAt": "2015-09-30T12:36:00Z"});
    disk.put(
        "/home/cat/.aws/sso/cache/8ebf601f8b808c32b8d2fb570c2e0fbdbb388add.json",
        session.to_string(),
    );
    let session = json!({"accessToken": {"accessKeyId": "ASIAOLD", "secretAccessKey": "hush-old",
            "sessionToken": "whisper-old", "expiresAt": "2015-08-30T12:00:00Z"},
        "tokenType": "t", "refreshToken": "hush-refresh", "clientId": "client", "dpopKey": KEY});
    disk.put(
        "/home/cat/.aws/login/cache/77af778b51abd4a3c51c5ddd97204a9c3ae614ebccb75a606c3b6865aed6744e.json",
        session.to_string(),
    );
    #[cfg(feature = "roles-anywhere")]
    disk.put("/both.pem", format!("{KEY}{CERTIFICATE}"));
    disk.is_full(true);
    let printed = r#"{"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": "hush-printed",
        "SessionToken": "whisper-printed", "Expiration": "2015-08-30T18:36:00Z"}"#;
    Ports::empty()
        .with_env(variables())
        .with_files(disk)
        .with_commands(move |_: &str| Ok::<_, io::Error>(CommandOutput::success(printed)))
        .with_clock(Hands::at(at("20150830T123600Z")))
        .with_platform(Platform::Unix)
        .with_http(Servers::answering(answers))
}

fn variables() -> HashMap<String, String> {
    let pairs = [
        ("HOME", "/home/cat"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "hush-env"),
        ("AWS_SESSION_TOKEN", "whisper-env"),
        ("AWS_BEARER_TOKEN_BEDROCK", "hush-bearer"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect()
}

fn settings() -> SsoSettings {
    SsoSettings::new("eu-west-1", "https://cats.awsapps.com/start")
        .with_session("cats")
        .with_role("123456789012", "Audit")
}

/// Both forms in which anything shows itself.
fn show(value: &(impl Debug + ?Sized)) -> String {
    format!("{value:?}\n{value:#?}\n")
}

fn show_answer(
    answer: &Result<Option<Credentials>, countersign::providers::ProviderError>,
) -> String {
    match answer {
        Ok(found) => show(found),
        Err(error) => format!("{error}\n{}\n{}", chain_of(error), show(error)),
    }
}

/// Fails if a text holds one of the secrets of these tests, or the beginning of one.
pub(super) fn no_secret(text: &str) {
    for secret in ["hush", "whisper", "EEIL28i", "MHcCAQ"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for secret in ["hush", "hush-base", "hush-profile"] {
        for service in ["sts", "s3express"] {
            let key = signing_key(secret, "20150830", "eu-west-1", service);
            let debug = format!("{key:?}");
            let shown = [hex::encode(key), BASE64_STANDARD.encode(key), debug];
            assert!(!shown.iter().any(|shown| text.contains(shown)), "a derived key in {text}");
        }
    }
}

/// The key that requests are signed with, made by hand.
fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> [u8; 32] {
    let hmac = |key: &[u8], message: &str| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message.as_bytes());
        mac.finalize().into_bytes().into()
    };
    let date = hmac(format!("AWS4{secret}").as_bytes(), date);
    hmac(&hmac(&hmac(&date, region), service), "aws4_request")
}

/// Hears everything that is logged on a thread, by `tracing` and by `log`, down to the last detail.
#[derive(Clone, Default)]
pub(super) struct Ears(Arc<Mutex<Vec<u8>>>);

impl Ears {
    pub(super) fn hear<T>(&self, run: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        let _guard = subscriber.set_default();
        run()
    }

    pub(super) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl<'a> MakeWriter<'a> for Ears {
    type Writer = Ears;

    fn make_writer(&'a self) -> Ears {
        self.clone()
    }
}

impl io::Write for Ears {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const ROLE: &str = "arn:aws:iam::123456789012:role/audit";

/// A key for these tests alone.
pub(super) const KEY: &str = "\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIL28iF1JxYg21rsbzA3ZncD8HBcVJQsu3KlGkk7aTxhJoAoGCCqGSM49
AwEHoUQDQgAE/91L2n6N28NRgZ8k4d/wZUZa8FMFzknWlxMmdg8PkcvlKrjo0yH3
uk2+dFEonMzLAiQlUEaCnRJey+Hexe4hEQ==
-----END EC PRIVATE KEY-----
";

/// Of that key, good until the year 2040.
#[cfg(feature = "roles-anywhere")]
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBXjCCAQSgAwIBAgIBBzAKBggqhkjOPQQDAjAOMQwwCgYDVQQDDANjYXQwHhcN
MjYxMTIyMDUzNjEzWhcNNDAwNzMxMDUzNjEzWjAOMQwwCgYDVQQDDANjYXQwWTAT
BgcqhkjOPQIBBggqhkjOPQMBBwNCAAT/3Uvafo3bw1GBnyTh3/BlRlrwUwXOSdaX
EyZ2Dw+Ry+UquOjTIfe6Tb50USiczMsCJCVQRoKdEl7L4d7F7iERo1MwUTAdBgNV
HQ4EFgQUwzjIKKxJmbLnQt2J2dUrYIThEXwwHwYDVR0jBBgwFoAUwzjIKKxJmbLn
Qt2J2dUrYIThEXwwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA
oXUMX6fW4W85MGpRARdQ6YPM04S+U+MgqLx+B/NhNL8CIA/qn5r0bbpVhTBCgrwb
uw0tGHpHsTswJPGzaIHJGqca
-----END CERTIFICATE-----
";
