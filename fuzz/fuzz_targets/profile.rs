//! Two arbitrary files, the config and the credentials: they are read or refused with path and line, each of their
//! profiles comes to a chain, to nothing or to an error, and nothing shows a secret.
#![no_main]

mod told;

use std::{
    collections::HashMap,
    path::PathBuf,
    pin::pin,
    task::{Context, Poll, Waker},
};

use countersign::providers::{
    EndpointService, Endpoints, Ports, ProfileChain, ProfileProvider, ProfileSet,
    ProvideCredentials, ProviderError, RegionChain, Section, SsoSettings,
};
use libfuzzer_sys::fuzz_target;

use self::told::told;

fuzz_target!(|input: &[u8]| {
    // A zero byte stands between the two.
    let at = input.iter().position(|&byte| byte == 0);
    let (config, credentials) = at.map_or((input, &[][..]), |at| (&input[..at], &input[at + 1..]));
    let files = HashMap::from([
        (PathBuf::from(CONFIG), config.to_vec()),
        (PathBuf::from(CREDENTIALS), credentials.to_vec()),
    ]);
    let env = HashMap::from([("HOME", "/home/cat"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    let ports = Ports::empty().with_env(env).with_files(files);
    let profiles = match ProfileSet::load(&ports) {
        Ok(profiles) => profiles,
        Err(error) => {
            refused(&error, config, credentials);
            let whole = ready(ProfileProvider::new(&ports).provide()).expect_err("the same files");
            assert_eq!(whole.to_string(), error.to_string());
            return;
        }
    };
    let secrets = Secrets::of(&profiles, config, credentials);
    secrets.are_not_in(&format!("{profiles:?}"));
    for warning in profiles.warnings() {
        secrets.are_not_in(&warning.to_string());
        assert!([CONFIG, CREDENTIALS].iter().any(|path| warning.path().as_os_str() == *path));
    }
    for name in profiles.profiles().map(Section::name).take(MOST_PROFILES) {
        match ProfileChain::resolve(&profiles, name) {
            Ok(Some(chain)) => {
                assert!(chain.roles().iter().all(|role| !role.role_arn().is_empty()));
                secrets.are_not_in(&format!("{chain:?}"));
            }
            Ok(None) => {}
            Err(error) => secrets.are_kept_by(&error),
        }
        if let Err(error) = SsoSettings::from_profile(&profiles, name) {
            secrets.are_kept_by(&error);
        }
        let provider = ProfileProvider::new(&ports).with_name(name);
        let region = ready(RegionChain::standard(&ports).provide());
        let region = region.unwrap_or_else(|error| {
            secrets.are_kept_by(&error);
            None
        });
        match Endpoints::load(&ports, &profiles, name) {
            Ok(endpoints) => {
                if let Err(error) = endpoints.find(EndpointService::Sts, region.as_deref()) {
                    secrets.are_kept_by(&error);
                }
            }
            Err(error) => secrets.are_kept_by(&error),
        }
        match ready(provider.provide()) {
            Ok(Some(found)) => {
                assert!(!found.access_key_id().is_empty() && !found.secret_access_key().is_empty());
                secrets.are_not_in(&format!("{found:?}"));
            }
            Ok(None) => secrets.are_not_in(&provider.absence()),
            Err(error) => secrets.are_kept_by(&error),
        }
        secrets.are_not_in(&format!("{provider:?}"));
    }
});

/// A file that breaks the grammar: the error says which, where and how, and no more.
fn refused(error: &ProviderError, config: &[u8], credentials: &[u8]) {
    let told = told(error);
    let (_, place) = told.split_once("error parsing ").expect("what was done");
    let (path, rest) = place.split_once(" on line ").expect("the line");
    let (line, problem) = rest.split_once(":\n  ").expect("what is wrong there");
    let file = if path == CONFIG { config } else { credentials };
    assert!(path == CONFIG || path == CREDENTIALS, "{path}");
    let lines = file.split(|&byte| byte == b'\n').count();
    assert!((1..=lines).contains(&line.parse().expect("a number")), "{line} of {lines}");
    assert!(PROBLEMS.contains(&problem), "{problem}");
}

/// The secrets in both files that stand there once, so that nobody shows them by another name.
struct Secrets(Vec<String>);

impl Secrets {
    fn of(profiles: &ProfileSet, config: &[u8], credentials: &[u8]) -> Secrets {
        let texts = [config, credentials].map(String::from_utf8_lossy);
        let count =
            |secret: &str| texts.iter().map(|text| text.matches(secret).count()).sum::<usize>();
        let named = |section: &Section| KEYS.map(|key| section.get(key).map(str::to_owned));
        let all = profiles.profiles().flat_map(named).flatten();
        let is_plain = |secret: &String| secret.contains("hush") && count(secret) == 1;
        Secrets(all.filter(is_plain).collect())
    }

    fn are_not_in(&self, shown: &str) {
        assert!(!self.0.iter().any(|secret| shown.contains(secret)), "{shown}");
    }

    fn are_kept_by(&self, error: &ProviderError) {
        self.are_not_in(&format!("{}{error:?}", told(error)));
        assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    }
}

/// What a future comes to whose ports never wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

const CONFIG: &str = "/home/cat/.aws/config";
const CREDENTIALS: &str = "/home/cat/.aws/credentials";
const KEYS: [&str; 3] = ["aws_secret_access_key", "aws_session_token", "credential_process"];
const MOST_PROFILES: usize = 16;

const PROBLEMS: [&str; 7] = [
    "Expected a profile definition",
    "Expected a property definition, found continuation",
    "Expected an '=' sign defining a property",
    "Expected an '=' sign defining a sub-property",
    "Profile definition must end with ']'",
    "Property did not have a name",
    "Sub-property did not have a name",
];
