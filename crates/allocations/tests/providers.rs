//! What memory holds after providers and what they gave are gone: nothing secret of theirs.
//!
//! Each block is looked into just before it is freed. Left out is what belongs to the HTTP client: requests,
//! whose headers and bodies nobody can wipe (they are never freed here, so that they are not found), and
//! answers, which never change hands. Left out are the metadata service's token, which is kept as the header
//! it goes into, and RSA keys, which ring keeps.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    ffi::OsString,
    io, mem,
    path::{Path, PathBuf},
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::{
    Credentials,
    providers::{
        AssumeRole, AssumeRoleProvider, Cached, Chain, CommandOutput, ContainerProvider,
        EnvironmentProvider, FederationToken, FederationTokenProvider, Files, HttpLimits,
        InstanceProvider, LoginProvider, MfaPrompt, Platform, Ports, ProcessProvider,
        ProfileProvider, ProvideCredentials, ProvideToken, RolesAnywhere, RolesAnywhereProvider,
        S3ExpressSessions, SamlProvider, SessionToken, SessionTokenProvider, SsoProvider,
        SsoSettings, SsoTokenProvider, TokenChain, WebIdentityProvider,
    },
};
use countersign_allocations::watching::{Watching, clean_the_stack, leaks};
use http::{Request, Response};

#[global_allocator]
static ALLOCATOR: Watching = Watching;

#[test]
fn keys_of_the_environment_leave_nothing() {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", TOKEN),
    ];
    let ports = with_env(&variables);
    gone(|| gives(EnvironmentProvider::new(&ports)));
    gone(|| gives(Chain::standard(&ports)));
    gone(|| gives(Cached::new(Chain::standard(&ports), &ports)));
}

#[test]
fn keys_of_a_profile_leave_nothing() {
    let keys = format!(
        "[default]\naws_access_key_id = AKID\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
    );
    let ports = with_env(&[]).with_files(Disk::of("/home/cat/.aws/credentials", &keys));
    gone(|| gives(ProfileProvider::new(&ports)));
    gone(|| gives(Cached::new(Chain::standard(&ports), &ports)));
}

#[test]
fn what_a_process_prints_leaves_nothing() {
    for json in [document(), escaped(&document())] {
        let json = leak(json);
        let ports =
            with_env(&[]).with_commands(|_: &str| Ok(CommandOutput::success(json.as_bytes())));
        gone(|| gives(ProcessProvider::new(&ports, format!("print {OTHER}"))));
        gone(|| drop(Credentials::from_process_json(json.as_bytes()).expect("credentials")));
        let config = format!("[default]\ncredential_process = print {OTHER}\n");
        let ports = ports.with_files(Disk::of("/home/cat/.aws/config", &config));
        gone(|| gives(ProfileProvider::new(&ports)));
    }
}

#[test]
fn an_answer_that_is_cut_off_leaves_nothing() {
    for json in [document(), escaped(&document())] {
        for end in (0..json.len()).filter(|&end| json.is_char_boundary(end)).step_by(7) {
            let cut = leak(json[..end].to_owned());
            gone(|| drop(Credentials::from_process_json(cut.as_bytes()).expect_err("half of it")));
        }
    }
}

#[test]
fn the_token_and_the_answer_of_a_container_s_agent_leave_nothing() {
    let path = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/");
    for answer in [document(), escaped(&document())] {
        let by_env = with_env(&[path, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", OTHER)]);
        let by_file = with_env(&[path, ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token")])
            .with_files(Disk::of("/token", OTHER));
        for ports in [by_env, by_file] {
            let ports = answering(ports, answer.clone());
            gone(|| gives(ContainerProvider::new(&ports)));
            gone(|| gives(Cached::new(ContainerProvider::new(&ports), &ports)));
        }
    }
}

#[test]
fn the_answer_of_the_metadata_service_leaves_nothing() {
    for answer in [document(), escaped(&document())] {
        let answer = leak(answer);
        let ports = with_env(&[]).with_http(|request: Request<Bytes>, _: HttpLimits| {
            let body = match request.uri().path() {
                "/latest/api/token" => "token",
                path if path.ends_with('/') => "role",
                _ => answer,
            };
            mem::forget(request);
            let response = Response::builder().header("x-aws-ec2-metadata-token-ttl-seconds", "60");
            Ok(response.body(Bytes::from_static(body.as_bytes())).expect("a header"))
        });
        gone(|| gives(InstanceProvider::new(&ports)));
    }
}

#[test]
fn what_sts_is_asked_with_and_answers_leaves_nothing() {
    let granted = |action: &str| {
        format!(
            "<{action}Response><{action}Result><Credentials><AccessKeyId>ASIA</AccessKeyId>\
             <SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{}</SessionToken>\
             <Expiration>2015-08-30T13:36:00Z</Expiration></Credentials></{action}Result></{action}Response>",
            TOKEN.replace('=', "&#61;").replace('Z', "<![CDATA[Z]]>")
        )
    };
    let ports = with_env(&[("AWS_REGION", "eu-west-1")]).with_files(Disk::of("/token", OTHER));
    let for_action = |action| answering(ports.clone(), granted(action));
    let base = || Credentials::new("AKID", OTHER);

    let ports = for_action("AssumeRole");
    gone(|| {
        let prompt = MfaPrompt::new(|_| async { Ok("123456".to_owned()) });
        let role = AssumeRole::new(ROLE).with_mfa_serial("arn:aws:iam::123456789012:mfa/cat");
        gives(AssumeRoleProvider::new(&ports, base(), role).with_mfa(prompt));
    });
    gone(|| {
        let provider = AssumeRoleProvider::new(&ports, base(), AssumeRole::new(ROLE));
        gives(Cached::new(provider, &ports));
    });
    let ports = for_action("AssumeRoleWithWebIdentity");
    gone(|| gives(WebIdentityProvider::of_file(&ports, ROLE, "/token")));
    let ports = for_action("AssumeRoleWithSAML");
    gone(|| {
        let provider = "arn:aws:iam::123456789012:saml-provider/directory";
        gives(SamlProvider::new(&ports, ROLE, provider, || async { Ok(OTHER.to_owned()) }));
    });
    let ports = for_action("GetSessionToken");
    gone(|| gives(SessionTokenProvider::new(&ports, base(), SessionToken::new())));
    let ports = for_action("GetFederationToken");
    gone(|| gives(FederationTokenProvider::new(&ports, base(), FederationToken::new("kitten"))));
}

#[test]
fn a_session_of_s3_express_leaves_nothing() {
    let granted = format!(
        "<CreateSessionResult><Credentials><AccessKeyId>ASIA</AccessKeyId>\
         <SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>\
         <Expiration>2015-08-30T12:41:00Z</Expiration></Credentials></CreateSessionResult>"
    );
    let ports = answering(with_env(&[]), granted);
    gone(|| {
        let sessions = S3ExpressSessions::new(Credentials::new("AKID", OTHER), &ports);
        gives(sessions.provider("cats--euw1-az1--x-s3", "eu-west-1"));
    });
}

#[test]
fn a_session_of_sso_leaves_nothing() {
    let session = |end: &str| {
        format!(
            r#"{{"accessToken": "{OTHER}", "expiresAt": "{end}", "refreshToken": "{REFRESH}",
                "clientId": "client", "clientSecret": "{CLIENT}", "registrationExpiresAt": "2015-09-30T12:36:00Z"}}"#
        )
    };
    let granted = format!(
        r#"{{"accessToken": "{NEXT}", "expiresIn": 3600, "refreshToken": "{TOKEN}",
            "roleCredentials": {{"accessKeyId": "ASIA", "secretAccessKey": "{SECRET}",
                "sessionToken": "{TOKEN}", "expiration": 1440966960000}}}}"#
    );
    for escape in [str::to_owned, escaped] {
        // One that is good, one to be renewed, one to be renewed that cannot be saved.
        for (end, is_full) in [
            ("2015-08-30T13:36:00Z", false),
            ("2015-08-30T12:37:00Z", false),
            ("2015-08-30T12:37:00Z", true),
        ] {
            let ports = answering(with_env(&[]), escape(&granted));
            let disk = || Disk { is_full, ..Disk::everywhere(&escape(&session(end))) };
            let settings = || {
                SsoSettings::new("eu-west-1", "https://cats.awsapps.com/start")
                    .with_session("cats")
                    .with_role("123456789012", "Audit")
            };
            let ports = || ports.clone().with_files(disk());
            let world = ports();
            gone(|| gives(SsoProvider::new(&world, settings())));
            let world = ports();
            gone(|| {
                let provider = SsoTokenProvider::new(&world, settings());
                for _ in 0..2 {
                    drop(ready(provider.provide_token()).expect("a token").expect("a token"));
                }
            });
            mem::forget(world);
        }
    }
    let ports = with_env(&[("AWS_BEARER_TOKEN_BEDROCK", OTHER)]);
    gone(|| {
        let chain = TokenChain::standard(&ports).with_service("bedrock");
        drop(ready(chain.provide_token()).expect("a token").expect("a token"));
    });
}

#[test]
fn a_login_session_leaves_nothing_not_even_of_its_key() {
    let session = |end: &str| {
        format!(
            r#"{{"accessToken": {{"accessKeyId": "ASIA", "secretAccessKey": "{OTHER}", "sessionToken": "{CLIENT}",
                "accountId": "123456789012", "expiresAt": "{end}"}}, "tokenType": "t", "idToken": "{NEXT}",
                "refreshToken": "{REFRESH}", "clientId": "client", "dpopKey": "{}"}}"#,
            EC_KEY.replace('\n', "\\n")
        )
    };
    let granted = format!(
        r#"{{"accessToken": {{"accessKeyId": "ASIA", "secretAccessKey": "{SECRET}", "sessionToken": "{TOKEN}"}},
            "tokenType": "t", "expiresIn": 900, "refreshToken": "{TOKEN}"}}"#
    );
    for escape in [str::to_owned, escaped] {
        for (end, is_full) in [
            ("2015-08-30T13:36:00Z", false),
            ("2015-08-30T12:37:00Z", false),
            ("2015-08-30T12:37:00Z", true),
        ] {
            let disk = Disk { is_full, ..Disk::everywhere(&escape(&session(end))) };
            let ports = answering(with_env(&[]), escape(&granted)).with_files(disk);
            gone(|| {
                let provider = LoginProvider::new(&ports, "cat").expect("a directory");
                let provider = provider.with_region("eu-west-1");
                gives(provider.clone());
                gives(provider);
            });
            mem::forget(ports);
        }
    }
}

#[test]
fn the_key_of_a_certificate_leaves_nothing() {
    let granted = format!(
        r#"{{"credentialSet": [{{"credentials": {{"accessKeyId": "ASIA", "secretAccessKey": "{SECRET}",
            "sessionToken": "{TOKEN}", "expiration": "2015-08-30T13:36:00Z"}}}}]}}"#
    );
    for escape in [str::to_owned, escaped] {
        for key in [EC_KEY, PKCS8_KEY] {
            // Both in one file, as some have it.
            let file = format!("{key}{CERTIFICATE}");
            let ports =
                answering(with_env(&[]), escape(&granted)).with_files(Disk::of("/both.pem", &file));
            let arn = |what| format!("arn:aws:rolesanywhere:eu-west-1:123456789012:{what}/a");
            let request = || RolesAnywhere::new(arn("trust-anchor"), arn("profile"), ROLE);
            gone(|| gives(RolesAnywhereProvider::new(&ports, request(), "/both.pem", "/both.pem")));
        }
    }
}

#[test]
fn what_is_not_wiped_is_found() {
    for needle in needles() {
        assert_eq!(leaks(&needles(), || drop(needle.clone())), 1);
    }
    // The reader of JSON that providers do without, for it keeps what it unescaped.
    let json = leak(escaped(&document()));
    assert_ne!(leaks(&needles(), || drop(serde_json::from_str::<serde_json::Value>(json))), 0);
}

/// Runs something and finds nothing of any secret in the memory that it gave back.
#[track_caller]
fn gone(run: impl FnOnce()) {
    assert_eq!(leaks(&needles(), run), 0);
}

/// Asks a provider twice, and drops all of it.
fn gives(provider: impl ProvideCredentials) {
    for _ in 0..2 {
        // What an answer left there when it was read would else be in the padding of the next request.
        clean_the_stack();
        let found = ready(provider.provide());
        drop(found.unwrap_or_else(|error| panic!("{error:?}")).expect("credentials"));
    }
    provider.invalidate("ASIA");
    clean_the_stack();
    drop(ready(provider.provide()));
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn with_env(variables: &[(&str, &str)]) -> Ports {
    let home = ("HOME", "/home/cat");
    let variables = variables.iter().chain([&home]);
    let env: HashMap<String, OsString> =
        variables.map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    Ports::empty()
        .with_env(Env(env))
        .with_platform(Platform::Unix)
        .with_clock(SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160))
}

/// The same ports with a service that answers so. What it is asked is never freed.
fn answering(ports: Ports, answer: String) -> Ports {
    let answer = leak(answer);
    ports.with_http(move |request: Request<Bytes>, _: HttpLimits| {
        mem::forget(request);
        Ok(Response::new(Bytes::from_static(answer.as_bytes())))
    })
}

fn leak(text: String) -> &'static str {
    text.leak()
}

struct Env(HashMap<String, OsString>);

impl countersign::providers::Env for Env {
    fn var(&self, name: &str) -> Option<OsString> {
        self.0.get(name).cloned()
    }
}

/// Files with one content, at one path or wherever one looks; what it replaces is never freed.
struct Disk {
    path: Option<PathBuf>,
    contents: Mutex<&'static str>,
    is_full: bool,
}

impl Disk {
    fn of(path: &str, contents: &str) -> Disk {
        Disk { path: Some(path.into()), ..Disk::everywhere(contents) }
    }

    fn everywhere(contents: &str) -> Disk {
        let contents = Mutex::new(leak(contents.to_owned()));
        Disk { path: None, contents, is_full: false }
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if self.path.as_ref().is_some_and(|own| own != path) || path.ends_with("config") {
            let is_own = self.path.as_ref().is_some_and(|own| own == path);
            if !is_own {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        Ok(self.contents.lock().expect("nobody panics with it").as_bytes().to_vec())
    }

    fn replace(&self, _: &Path, contents: &[u8]) -> io::Result<()> {
        if self.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let contents = String::from_utf8(contents.to_vec()).expect("JSON");
        *self.contents.lock().expect("nobody panics with it") = leak(contents);
        Ok(())
    }
}

/// A document of credentials, as agents and processes have it.
fn document() -> String {
    format!(
        r#"{{"Version": 1, "Code": "Success", "AccessKeyId": "ASIA", "SecretAccessKey": "{SECRET}", "Token": "{TOKEN}",
            "Expiration": "2015-08-30T13:36:00Z"}}"#
    )
}

/// JSON that says the same with escapes.
fn escaped(json: &str) -> String {
    json.replace('/', "\\/").replace('+', "\\u002b")
}

/// All that must not be found in memory, in pieces of sixteen bytes: eight may be what the stack held before,
/// carried along as the padding of a value.
fn needles() -> Vec<Vec<u8>> {
    let texts = [SECRET, TOKEN, OTHER, REFRESH, CLIENT, NEXT].map(str::as_bytes);
    // The lines of the keys, as far as they hold the private part.
    let lines = [&EC_KEY[41..84], &PKCS8_KEY[76..92]].map(str::as_bytes);
    let numbers: [u8; 32] = SCALAR;
    let mut backward = numbers;
    backward.reverse();
    let all = texts.into_iter().chain(lines).chain([&numbers[..], &backward[..]]);
    all.flat_map(|secret| secret.chunks_exact(16)).map(<[u8]>::to_vec).collect()
}

const SECRET: &str = "hR7/q0ZtVn3+xLw9bYc5dKf1gMs8PuJ2aEoTiQ6z";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEFkaCXVzLWVhc3QtMSJHMEUCIQDf8+Zx/k3mN7vP1sQwRt5yUa==";
const OTHER: &str = "Tq81/Lm0+wXzE53GvYbNr7KsDh2CjUfP9oAiVeRk";
const REFRESH: &str = "aorAAAAAGkq/3Vb7Nm+1Xc9Lp5RtYw2Zs4QhJd6FgUe8TiOaM0CvBxKn";
const CLIENT: &str = "eyJraWQiOiJr/ZXktMTU2NDAyODA5OSIs+ImFsZyI6IkhTMzg0In0";
const NEXT: &str = "aoaAAAAAGzY/8Wq2Er+6Ty1Ui9Op4As7Df0Gh5Jk3LzXcVbNm";
const ROLE: &str = "arn:aws:iam::123456789012:role/audit";

/// A key for these tests alone, as a number and in two forms of PEM.
const SCALAR: [u8; 32] = [
    0xbd, 0xbc, 0x88, 0x5d, 0x49, 0xc5, 0x88, 0x36, 0xd6, 0xbb, 0x1b, 0xcc, 0x0d, 0xd9, 0x9d, 0xc0,
    0xfc, 0x1c, 0x17, 0x15, 0x25, 0x0b, 0x2e, 0xdc, 0xa9, 0x46, 0x92, 0x4e, 0xda, 0x4f, 0x18, 0x49,
];
const EC_KEY: &str = "\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIL28iF1JxYg21rsbzA3ZncD8HBcVJQsu3KlGkk7aTxhJoAoGCCqGSM49
AwEHoUQDQgAE/91L2n6N28NRgZ8k4d/wZUZa8FMFzknWlxMmdg8PkcvlKrjo0yH3
uk2+dFEonMzLAiQlUEaCnRJey+Hexe4hEQ==
-----END EC PRIVATE KEY-----
";
const PKCS8_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgvbyIXUnFiDbWuxvM
DdmdwPwcFxUlCy7cqUaSTtpPGEmhRANCAAT/3Uvafo3bw1GBnyTh3/BlRlrwUwXO
SdaXEyZ2Dw+Ry+UquOjTIfe6Tb50USiczMsCJCVQRoKdEl7L4d7F7iER
-----END PRIVATE KEY-----
";
/// Of that key, good until the year 2040.
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
