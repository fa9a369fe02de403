//! Profiles that build upon others, and the roles on the way.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use countersign::{
    providers::{
        Chain, CredentialSource, HttpError, MfaPrompt, Platform, Ports, ProfileBase, ProfileChain,
        ProfileFiles, ProfileProvider, ProfileRole, ProfileSet, ProvideCredentials, ProviderError,
        ProviderErrorKind, RegionChain,
    },
    verify::Verifier,
};
use http::{Request, Response};
use serde_json::{Value, json};

use super::world::{Hands, Servers, answer, head_of, ports, refused, run};
use crate::support::{at, external_data};

// The description.

#[test]
fn profiles_resolve_as_published() {
    let Some(data) = external_data("the chains of profiles") else {
        return;
    };
    let path = data.with_file_name("credentials/smithy-rs/aws-config/assume-role-tests.json");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for case in &cases {
        let profiles = profiles_of(&case["input"]);
        let selected = case["input"]["selected_profile"].as_str().unwrap();
        let (name, output) = (case["docs"].as_str().unwrap(), &case["output"]);
        match (ProfileChain::resolve(&profiles, selected), output["Error"].as_str()) {
            (Ok(Some(chain)), None) => {
                assert_eq!(described(&chain), output["ProfileChain"], "{name}");
            }
            // That a profile says nothing of credentials is no error by itself: other providers follow.
            (Ok(None), Some("profile `A` did not contain credential information")) => {
                assert_eq!(name, "profile only contains configuration");
            }
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{name}: {error}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
    println!("{} chains of profiles", cases.len());
    assert_eq!(cases.len(), 28);
}

fn profiles_of(input: &Value) -> ProfileSet {
    let mut config = String::new();
    for (kind, sections) in [("profile", "profiles"), ("sso-session", "sso_sessions")] {
        for (name, section) in input[sections].as_object().into_iter().flatten() {
            config += &format!("[{kind} {name}]\n");
            for (property, value) in section.as_object().unwrap() {
                config += &format!("{property} = {}\n", value.as_str().unwrap());
            }
        }
    }
    ProfileSet::load(&home(&config)).unwrap()
}

/// A chain in the form of the published cases.
fn described(chain: &ProfileChain) -> Value {
    let base = match chain.base() {
        ProfileBase::Static(credentials) => json!({ "AccessKey": present([
            ("access_key_id", Some(credentials.access_key_id())),
            ("secret_access_key", Some(credentials.secret_access_key())),
            ("account_id", credentials.account_id()),
        ])}),
        ProfileBase::Source { source, .. } => json!({ "NamedSource": source.as_str() }),
        ProfileBase::WebIdentity { role_arn, token_file, session_name, .. } => {
            json!({ "WebIdentityToken": present([
                ("role_arn", Some(role_arn)),
                ("web_identity_token_file", token_file.to_str()),
                ("role_session_name", session_name.as_deref()),
            ])})
        }
        ProfileBase::Sso(settings) => json!({ "Sso": present([
            ("sso_account_id", settings.account_id()),
            ("sso_region", Some(settings.region())),
            ("sso_role_name", settings.role_name()),
            ("sso_session", settings.session()),
            ("sso_start_url", Some(settings.start_url())),
        ])}),
        other => panic!("{other:?}"),
    };
    let roles = chain.roles().iter().map(|role| {
        json!({ "AssumeRole": present([
            ("role_arn", Some(role.role_arn())),
            ("role_session_name", role.session_name()),
            ("external_id", role.external_id()),
        ])})
    });
    [base].into_iter().chain(roles).collect()
}

fn present<const N: usize>(pairs: [(&str, Option<&str>); N]) -> Value {
    let pairs =
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    Value::Object(pairs.collect())
}

#[test]
fn what_a_profile_says_first_in_the_order_of_sources_counts() {
    let all = [
        ("role_arn = x\nweb_identity_token_file = /t\n", "WebIdentity(x of default)"),
        ("credential_source = ecscontainer\n", "Source(EcsContainer of default)"),
        ("sso_start_url = u\nsso_region = r\n", "SsoSettings"),
        ("login_session = s\n", "Login(default)"),
        ("credential_process = hush\n", "Process(default)"),
        ("aws_access_key_id = a\naws_secret_access_key = hush\n", "Static"),
    ];
    for (at, (first, expected)) in all.iter().enumerate() {
        let others = all.iter().skip(at + 1);
        let lines: String = [*first].into_iter().chain(others.map(|(lines, _)| *lines)).collect();
        let profiles = ProfileSet::load(&home(&format!("[default]\n{lines}"))).unwrap();
        // A role besides a source that is no file is one to assume.
        let chain = ProfileChain::resolve(&profiles, "default").unwrap().unwrap();
        let shown = format!("{:?}", chain.base());
        assert!(shown.starts_with(expected), "{shown}");
        assert!(!format!("{chain:?}").contains("hush"), "{chain:?}");
    }
}

#[test]
fn a_token_s_file_is_the_end_of_the_search_whatever_else_is_named() {
    for other in ["credential_source = Environment", "source_profile = default"] {
        let config = format!("[default]\nrole_arn = x\nweb_identity_token_file = /t\n{other}\n");
        let profiles = ProfileSet::load(&home(&config)).unwrap();
        let chain = ProfileChain::resolve(&profiles, "default").unwrap().unwrap();
        assert!(matches!(chain.base(), ProfileBase::WebIdentity { .. }), "{chain:?}");
        assert!(chain.roles().is_empty(), "{chain:?}");
    }
}

#[test]
fn a_blank_role_beside_whom_to_assume_it_with_is_an_error() {
    for source in ["source_profile = default", "credential_source = Environment"] {
        let keys = "aws_access_key_id = a\naws_secret_access_key = hush\n";
        let config = format!("[default]\nrole_arn =\n{source}\n{keys}");
        let profiles = ProfileSet::load(&home(&config)).unwrap();
        let message = ProfileChain::resolve(&profiles, "default").unwrap_err().to_string();
        assert!(message.contains("profile `default` is wrong: `role_arn` is blank"), "{message}");
        assert!(message.contains(source.split(' ').next().unwrap()), "{message}");
    }
}

#[test]
fn a_role_without_credentials_to_ask_with_names_its_profile() {
    let config = "[default]\nrole_arn = arn:aws:iam::1:role/x\ncredential_source = Environment\nregion = x\n";
    let error = run(ProfileProvider::new(&home(config)).provide()).unwrap_err().to_string();
    assert!(error.contains("to ask with for the role of the profile `default`: "), "{error}");
    assert!(error.contains("neither AWS_ACCESS_KEY_ID nor"), "{error}");
}

#[test]
fn a_credential_source_is_known_in_any_case_and_others_are_refused() {
    let base = |source: &str| {
        let config = format!("[default]\nrole_arn = x\ncredential_source = {source}");
        let profiles = ProfileSet::load(&home(&config)).unwrap();
        let chain = ProfileChain::resolve(&profiles, "default")?;
        Ok::<_, ProviderError>(chain.unwrap().base().clone())
    };
    for (written, meant) in [
        ("environment", CredentialSource::Environment),
        ("EC2INSTANCEMETADATA", CredentialSource::Ec2InstanceMetadata),
        ("EcsContainer", CredentialSource::EcsContainer),
    ] {
        let base = base(written).unwrap();
        assert!(
            matches!(&base, ProfileBase::Source { source, .. } if *source == meant),
            "{base:?}"
        );
    }
    let message = base("Moon").unwrap_err().to_string();
    let expected = "profile referenced `Moon` provider but that provider is not supported";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_profile_that_is_its_own_source_may_use_whatever_else_it_says() {
    let config = "[profile a]\nrole_arn = x\nsource_profile = b\n\
                  [profile b]\nrole_arn = y\nsource_profile = b\ncredential_process = keys\n";
    let profiles = ProfileSet::load(&home(config)).unwrap();
    let chain = ProfileChain::resolve(&profiles, "a").unwrap().unwrap();
    assert!(matches!(chain.base(), ProfileBase::Process { .. }), "{chain:?}");
    let arns: Vec<&str> = chain.roles().iter().map(ProfileRole::role_arn).collect();
    assert_eq!(arns, ["y", "x"]);
}

#[test]
fn a_duration_that_is_no_number_is_an_error() {
    for source in ["source_profile = default", "web_identity_token_file = /token.jwt"] {
        let config = format!("[default]\nrole_arn = x\n{source}\nduration_seconds = long");
        let profiles = ProfileSet::load(&home(&config)).unwrap();
        let error = ProfileChain::resolve(&profiles, "default").unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
        assert!(error.to_string().contains("duration_seconds is `long`"), "{error}");
    }
}

#[test]
fn a_session_of_sso_needs_a_region_and_a_url() {
    for (missing, session) in
        [("sso_region", "sso_start_url = u"), ("sso_start_url", "sso_region = r")]
    {
        let config = format!("[default]\nsso_session = s\n[sso-session s]\n{session}\n");
        let profiles = ProfileSet::load(&home(&config)).unwrap();
        let message = ProfileChain::resolve(&profiles, "default").unwrap_err().to_string();
        assert!(
            message.contains(&format!("the sso-session `s` is missing {missing}")),
            "{message}"
        );
    }
}

// What is done.

#[test]
fn roles_are_assumed_from_the_base_outward_each_with_its_own_settings() {
    let config = "\
[default]
role_arn = arn:aws:iam::111111111111:role/outer
source_profile = middle
role_session_name = cat
external_id = agreed
duration_seconds = 900
region = eu-west-1
[profile middle]
role_arn = arn:aws:iam::222222222222:role/inner
source_profile = base
mfa_serial = GAHT12345678
region = cn-north-1
[profile base]
aws_access_key_id = AKIDBASE
aws_secret_access_key = hush
";
    let world = World::of(config, &[]);
    let provider = ProfileProvider::new(&world.ports);
    let message = run(provider.provide()).unwrap_err().to_string();
    assert!(message.contains("MFA token required. The device is GAHT12345678"), "{message}");
    let chain = Chain::standard(&world.ports)
        .with_mfa(MfaPrompt::new(|serial| async move { Ok(serial[6..].to_owned()) }));
    let credentials = run(chain.provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "ASIA2");
    let [inner, outer] = &world.requests()[..] else { panic!() };
    assert_eq!(inner.uri(), "https://sts.cn-north-1.amazonaws.com.cn/");
    let body = "Action=AssumeRole&Version=2011-06-15\
                &RoleArn=arn%3Aaws%3Aiam%3A%3A222222222222%3Arole%2Finner\
                &RoleSessionName=assume-role-from-profile-1440938160000\
                &SerialNumber=GAHT12345678&TokenCode=345678";
    assert_eq!(inner.body(), body);
    assert_eq!(outer.uri(), "https://sts.eu-west-1.amazonaws.com/");
    let body = "Action=AssumeRole&Version=2011-06-15\
                &RoleArn=arn%3Aaws%3Aiam%3A%3A111111111111%3Arole%2Fouter\
                &RoleSessionName=cat&DurationSeconds=900&ExternalId=agreed";
    assert_eq!(outer.body(), body);
    assert_eq!((signer(inner), signer(outer)), ("AKIDBASE".to_owned(), "ASIA1".to_owned()));
    assert!(!format!("{chain:?}").contains("hush"), "{chain:?}");
}

#[test]
fn the_region_of_the_environment_goes_before_that_of_a_profile() {
    let config = &format!("{ROLE_BY_KEYS}region = eu-west-1\n");
    let world = World::of(config, &[("AWS_REGION", "us-east-2")]);
    run(ProfileProvider::new(&world.ports).provide()).unwrap();
    assert_eq!(world.servers.asked(), ["POST https://sts.us-east-2.amazonaws.com/"]);
    let world = World::of(config, &[]);
    run(ProfileProvider::new(&world.ports).provide()).unwrap();
    assert_eq!(world.servers.asked(), ["POST https://sts.eu-west-1.amazonaws.com/"]);
    let world = World::of(ROLE_BY_KEYS, &[]);
    let message = run(ProfileProvider::new(&world.ports).provide()).unwrap_err().to_string();
    assert!(message.contains("Missing Region"), "{message}");
}

#[test]
fn a_role_without_a_region_takes_that_of_its_source_and_then_that_of_the_selected_profile() {
    let config = "\
[default]
role_arn = arn:aws:iam::111111111111:role/outer
source_profile = middle
region = eu-west-1
[profile middle]
role_arn = arn:aws:iam::222222222222:role/inner
source_profile = base
[profile base]
aws_access_key_id = AKIDBASE
aws_secret_access_key = hush
";
    let world = World::of(config, &[]);
    run(ProfileProvider::new(&world.ports).provide()).unwrap();
    let ireland = "POST https://sts.eu-west-1.amazonaws.com/";
    assert_eq!(world.servers.asked(), [ireland; 2]);
    let region = run(RegionChain::standard(&world.ports).with_profile("middle").provide());
    assert_eq!(region.unwrap(), None);
    let world = World::of(&format!("{config}region = eu-north-1\n"), &[]);
    run(ProfileProvider::new(&world.ports).provide()).unwrap();
    assert_eq!(world.servers.asked(), ["POST https://sts.eu-north-1.amazonaws.com/", ireland]);
}

#[test]
fn a_role_by_the_environment_needs_keys_there_and_nothing_stands_in() {
    let config = "[default]\nregion = eu-west-1\ncredential_source = Environment\n\
                  role_arn = arn:aws:iam::111111111111:role/outer\n";
    let keys = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    let world = World::of(config, &keys);
    run(ProfileProvider::new(&world.ports).provide()).unwrap();
    assert_eq!(signer(&world.requests()[0]), "AKIDENV");
    let token = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "x")];
    let world = World::of(config, &token);
    let error = run(Chain::standard(&world.ports).provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
    let message = error.to_string();
    assert!(message.contains("not enabled: environment: neither"), "{message}");
}

#[test]
fn a_profile_may_be_the_role_of_a_web_identity() {
    let config = "[default]\nregion = eu-west-1\nweb_identity_token_file = /token.jwt\n\
                  role_session_name = cat\nrole_arn = arn:aws:iam::111111111111:role/pod\n\
                  duration_seconds = 900\n";
    let world = World::of(config, &[]);
    let files = HashMap::from([
        (PathBuf::from("/home/cat/.aws/config"), config),
        (PathBuf::from("/token.jwt"), "ey.J.x"),
    ]);
    let ports = world.ports.clone().with_files(files);
    run(ProfileProvider::new(&ports).provide()).unwrap();
    let [request] = &world.requests()[..] else { panic!() };
    let body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15\
                &RoleArn=arn%3Aaws%3Aiam%3A%3A111111111111%3Arole%2Fpod\
                &RoleSessionName=cat&WebIdentityToken=ey.J.x&DurationSeconds=900";
    assert_eq!(request.body(), body);
    assert_eq!(request.uri(), "https://sts.eu-west-1.amazonaws.com/");
}

#[test]
fn sso_without_a_role_is_about_tokens_and_says_so() {
    let config = "[default]\nsso_start_url = u\nsso_region = r\n";
    let error = run(ProfileProvider::new(&World::of(config, &[]).ports).provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
    let expected = "selected profile will resolve an access token instead of credentials";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn files_named_in_code_also_name_the_region_and_the_endpoint() {
    let world = World::of("[default]\nregion = us-east-2\n", &[("AWS_REGION", "")]);
    let config =
        format!("{ROLE_BY_KEYS}region = eu-west-1\nendpoint_url = http://localhost:4566\n");
    let files = HashMap::from([(PathBuf::from("/code"), config)]);
    let ports = world.ports.clone().with_files(files);
    let files = ProfileFiles::locate(&ports).with_config("/code");
    run(ProfileProvider::new(&ports).with_files(files).provide()).unwrap();
    assert_eq!(world.servers.asked(), ["POST http://localhost:4566/"]);
    let scope = "/eu-west-1/sts/aws4_request";
    let [request] = &world.requests()[..] else { panic!() };
    assert!(request.headers()["authorization"].to_str().unwrap().contains(scope), "{request:?}");
}

#[test]
fn a_broken_chain_stops_the_search_for_credentials() {
    for (config, expected) in [
        ("[default]\nrole_arn = x", "profile must contain `source_profile`"),
        ("[default]\nrole_arn = x\nsource_profile = y", "could not find source profile y"),
        ("[default]\nweb_identity_token_file = x", "`role_arn` was missing"),
    ] {
        let error = run(Chain::standard(&World::of(config, &[]).ports).provide()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

// The world around.

/// A home directory, and an STS that grants `ASIA1`, `ASIA2` and so on.
struct World {
    ports: Ports,
    servers: Servers,
}

impl World {
    fn of(config: &str, variables: &[(&str, &str)]) -> World {
        let count = Arc::new(Mutex::new(0));
        let servers = Servers::answering(move |request| {
            // No instance of EC2: nobody answers for its region.
            if request.uri().host() == Some("169.254.169.254") {
                return refused();
            }
            *count.lock().unwrap() += 1;
            grant(request, *count.lock().unwrap())
        });
        let variables = [variables, &[("HOME", "/home/cat")]].concat();
        let files = HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config.to_owned())]);
        let ports = ports(&variables)
            .with_files(files)
            .with_clock(Hands::at(at("20150830T123600Z")))
            .with_http(servers.clone())
            .with_platform(Platform::Unix);
        World { ports, servers }
    }

    fn requests(&self) -> Vec<Request<Bytes>> {
        self.servers.take().into_iter().map(|(request, _)| request).collect()
    }
}

fn grant(request: &Request<Bytes>, number: u32) -> Result<Response<Bytes>, HttpError> {
    let body = str::from_utf8(request.body()).unwrap();
    let action = body.strip_prefix("Action=").unwrap().split('&').next().unwrap();
    answer(
        200,
        format!(
            "<{action}Response><{action}Result><Credentials><AccessKeyId>ASIA{number}</AccessKeyId>\
             <SecretAccessKey>hush</SecretAccessKey><SessionToken>whisper</SessionToken>\
             <Expiration>2015-08-30T13:36:00Z</Expiration></Credentials></{action}Result>\
             </{action}Response>"
        ),
    )
}

/// Whose key signed a request.
fn signer(request: &Request<Bytes>) -> String {
    let verifier = Verifier::new().with_services(["sts"]);
    let claim = verifier.claim(head_of(request), at("20150830T123600Z")).unwrap();
    claim.access_key_id().to_owned()
}

fn home(config: &str) -> Ports {
    let files = HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config.to_owned())]);
    ports(&[("HOME", "/home/cat")]).with_files(files).with_platform(Platform::Unix)
}

const ROLE_BY_KEYS: &str = "\
[profile base]
aws_access_key_id = AKIDBASE
aws_secret_access_key = hush
[default]
role_arn = arn:aws:iam::111111111111:role/outer
source_profile = base
";
