//! Credentials and regions of this machine: the environment, the shared files, and their order.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials,
    providers::{
        BoxFuture, Chain, Endpoints, Env, EnvironmentProvider, Files, Platform, Ports,
        ProfileFiles, ProfileProvider, ProfileSet, ProvideCredentials, ProviderError,
        ProviderErrorKind, RegionChain,
    },
};
use proptest::{collection, prelude::*};
use serde_json::Value;

use super::{
    cached::Log,
    world::{Disk, chain_of},
};
use crate::support::external_data;

// The environment.

#[test]
fn the_environment_gives_all_that_it_names() {
    let credentials = environment(&[
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_SESSION_TOKEN", "whisper"),
        ("AWS_ACCOUNT_ID", "123456789012"),
        ("AWS_CREDENTIAL_EXPIRATION", "2015-08-30T14:36:00+02:00"),
    ])
    .unwrap()
    .unwrap();
    assert_eq!(credentials.access_key_id(), "AKID");
    assert_eq!(credentials.secret_access_key(), "hush");
    assert_eq!(credentials.session_token(), Some("whisper"));
    assert_eq!(credentials.account_id(), Some("123456789012"));
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
    assert_eq!(credentials.expires_at(), Some(at));
}

#[test]
fn an_environment_without_keys_has_no_credentials() {
    assert!(environment(&[]).unwrap().is_none());
}

#[test]
fn blank_variables_count_as_unset() {
    let blank = [("AWS_ACCESS_KEY_ID", " \t"), ("AWS_SECRET_ACCESS_KEY", "")];
    assert!(environment(&blank).unwrap().is_none());
    let credentials = environment(&[
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_SESSION_TOKEN", " "),
        ("AWS_SECURITY_TOKEN", ""),
        ("AWS_ACCOUNT_ID", ""),
        ("AWS_CREDENTIAL_EXPIRATION", ""),
    ])
    .unwrap()
    .unwrap();
    assert_eq!(credentials.session_token(), None);
    assert_eq!(credentials.account_id(), None);
    assert_eq!(credentials.expires_at(), None);
}

#[test]
fn values_of_the_environment_are_not_trimmed() {
    let credentials =
        environment(&[("AWS_ACCESS_KEY_ID", " AKID"), ("AWS_SECRET_ACCESS_KEY", "hush ")])
            .unwrap()
            .unwrap();
    assert_eq!(credentials.access_key_id(), " AKID");
    assert_eq!(credentials.secret_access_key(), "hush ");
}

#[test]
fn half_a_key_pair_in_the_environment_names_the_missing_half() {
    let error = environment(&[("AWS_ACCESS_KEY_ID", "AKID")]).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
    assert_eq!(error.provider(), "environment");
    let text = error.to_string();
    let expected = "Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY";
    assert!(text.contains(expected), "{text}");
    let error = environment(&[("AWS_SECRET_ACCESS_KEY", "hush")]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("missing: AWS_ACCESS_KEY_ID"), "{text}");
    assert!(!format!("{error:?}{error}").contains("hush"));
}

#[test]
fn old_names_stand_in_for_new_ones_and_never_before_them() {
    let old = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("SECRET_ACCESS_KEY", "old"),
        ("AWS_SECURITY_TOKEN", "old token"),
    ];
    let credentials = environment(&old).unwrap().unwrap();
    assert_eq!(credentials.secret_access_key(), "old");
    assert_eq!(credentials.session_token(), Some("old token"));
    let new = [("AWS_SECRET_ACCESS_KEY", "new"), ("AWS_SESSION_TOKEN", "new token")];
    let credentials = environment(&[&old[..], &new].concat()).unwrap().unwrap();
    assert_eq!(credentials.secret_access_key(), "new");
    assert_eq!(credentials.session_token(), Some("new token"));
}

#[test]
fn a_token_or_an_old_name_alone_configures_nothing() {
    let alone = [("SECRET_ACCESS_KEY", "of another program"), ("AWS_SESSION_TOKEN", "stale")];
    assert!(environment(&alone).unwrap().is_none());
}

#[test]
fn an_expiry_that_is_no_time_is_an_error() {
    let error = environment(&[
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_CREDENTIAL_EXPIRATION", "tomorrow"),
    ])
    .unwrap_err();
    let text = chain_of(&error);
    assert!(text.contains("AWS_CREDENTIAL_EXPIRATION"), "{text}");
    assert!(text.contains("tomorrow"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_an_error_and_not_unset() {
    use std::os::unix::ffi::OsStringExt;

    let broken = OsString::from_vec(b"AKID\xff".to_vec());
    for name in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"] {
        let env = HashMap::from([(name, broken.clone())]);
        let error = ready(Chain::standard(&Ports::empty().with_env(env)).provide()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("{name} is not valid UTF-8")), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_home_directory_need_not_be_text() {
    use std::os::unix::ffi::OsStringExt;

    let home = OsString::from_vec(b"/home/\xff".to_vec());
    let config = PathBuf::from(&home).join(".aws/config");
    let ports = Ports::empty()
        .with_env(HashMap::from([("HOME", home)]))
        .with_files(HashMap::from([(config, "[profile work]")]));
    assert!(ProfileSet::load(&ports).unwrap().profile("work").is_some());
}

// Profiles.

#[test]
fn the_default_profile_gives_its_static_keys() {
    let ports = Home::default().credentials(
        "[default]\naws_access_key_id = AKID\naws_secret_access_key = hush\n\
         aws_session_token = whisper\naws_account_id = 123456789012\n",
    );
    let credentials = profile(&ports.ports()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "AKID");
    assert_eq!(credentials.secret_access_key(), "hush");
    assert_eq!(credentials.session_token(), Some("whisper"));
    assert_eq!(credentials.account_id(), Some("123456789012"));
    assert_eq!(credentials.expires_at(), None);
}

#[test]
fn a_name_in_code_goes_before_aws_profile_and_that_before_default() {
    let home = Home::default().credentials(THREE_PROFILES);
    let id = |provider: ProfileProvider| {
        let credentials = ready(provider.provide()).unwrap().unwrap();
        credentials.access_key_id().to_owned()
    };
    assert_eq!(id(ProfileProvider::new(&home.ports())), "AKIDDEFAULT");
    let ports = home.env("AWS_PROFILE", "work").ports();
    assert_eq!(id(ProfileProvider::new(&ports)), "AKIDWORK");
    assert_eq!(id(ProfileProvider::new(&ports).with_name("home")), "AKIDHOME");
}

#[test]
fn a_blank_aws_profile_selects_the_default_profile() {
    let home = Home::default().env("AWS_PROFILE", "");
    assert_eq!(ProfileProvider::new(&home.ports()).selected().unwrap(), "default");
}

#[test]
fn aws_default_profile_is_ignored() {
    let home = Home::default().env("AWS_DEFAULT_PROFILE", "work");
    assert_eq!(ProfileProvider::new(&home.ports()).selected().unwrap(), "default");
}

#[test]
fn a_named_profile_that_is_missing_is_an_error() {
    let home = Home::default().config("[profile work]").env("AWS_PROFILE", "nope");
    let error = profile(&home.ports()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::MissingProfile);
    let text = error.to_string();
    assert!(text.contains("The config profile (nope) could not be found"), "{text}");
    assert!(text.contains("AWS_PROFILE"), "{text}");
    assert!(text.contains("/home/cat/.aws/config"), "{text}");
    let named = ProfileProvider::new(&Home::default().ports()).with_name("nope");
    let text = ready(named.provide()).unwrap_err().to_string();
    assert!(text.contains("The config profile (nope) could not be found"), "{text}");
}

#[test]
fn a_missing_default_profile_is_no_error() {
    assert!(profile(&Ports::empty()).unwrap().is_none());
    let home = Home::default().config("[profile work]\nregion = eu-west-1");
    assert!(profile(&home.ports()).unwrap().is_none());
}

#[test]
fn a_profile_with_settings_alone_has_no_credentials() {
    let home = Home::default().config("[default]\nmax_attempts = 1");
    assert!(profile(&home.ports()).unwrap().is_none());
}

#[test]
fn half_a_key_pair_in_a_profile_names_the_missing_half() {
    for (have, missing) in [
        ("aws_access_key_id", "aws_secret_access_key"),
        ("aws_secret_access_key", "aws_access_key_id"),
        ("aws_session_token", "aws_access_key_id"),
    ] {
        let home = Home::default().credentials(&format!("[default]\n{have} = hush"));
        let error = profile(&home.ports()).unwrap_err();
        assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
        let text = error.to_string();
        assert!(text.contains(&format!("profile missing {missing}")), "{text}");
        assert!(!format!("{error:?}{error}").contains("hush"));
    }
}

#[test]
fn an_indented_comment_is_no_part_of_a_key() {
    let lines = [
        ("aws_access_key_id", "aws_access_key_id = AKIDHUSH\n"),
        ("aws_secret_access_key", "aws_secret_access_key = hush\n"),
        ("aws_session_token", "aws_session_token = whisper\n"),
    ];
    for (name, _) in lines {
        for below in ["  # of the cat\n", "\tfurther\n"] {
            let lines = lines.iter().map(|(its, line)| match *its == name {
                true => format!("{line}{below}"),
                false => (*line).to_owned(),
            });
            let keys = format!("[default]\n{}", lines.collect::<String>());
            let error = profile(&Home::default().credentials(&keys).ports()).unwrap_err();
            assert_eq!(error.kind(), ProviderErrorKind::InvalidConfiguration);
            let text = error.to_string();
            assert!(
                text.contains(&format!("the profile `default` is wrong: {name} holds")),
                "{text}"
            );
            assert!(text.contains("a comment begins in the first column"), "{text}");
            for secret in ["AKIDHUSH", "hush", "whisper", "of the cat", "further"] {
                assert!(!format!("{error:?}{error}").contains(secret), "{text}");
            }
        }
    }
    let keys = "[default]\naws_access_key_id = AKID\naws_secret_access_key = hu\x07sh\n";
    assert!(profile(&Home::default().credentials(keys).ports()).is_err());
}

#[test]
fn keys_may_be_spread_over_both_files() {
    let home = Home::default()
        .config("[profile work]\naws_access_key_id = AKID\naws_secret_access_key = stale")
        .credentials("[work]\nAWS_SECRET_ACCESS_KEY = hush")
        .env("AWS_PROFILE", "work");
    let credentials = profile(&home.ports()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "AKID");
    assert_eq!(credentials.secret_access_key(), "hush");
}

// Files.

#[test]
fn a_tilde_stands_for_home_only_as_the_whole_first_component() {
    for (written, meant) in [
        ("~/x", "/home/cat/x"),
        ("~", "/home/cat"),
        ("~cat/x", "~cat/x"),
        ("/a/~/x", "/a/~/x"),
        ("a~/x", "a~/x"),
    ] {
        let home = Home::default().env("AWS_CONFIG_FILE", written);
        let files = ProfileFiles::locate(&home.ports());
        assert_eq!(files.config(), Some(Path::new(meant)), "{written}");
    }
}

#[test]
fn a_missing_default_file_is_empty_and_a_missing_named_one_is_warned_of() {
    let home = Home::default();
    assert!(ProfileSet::load(&home.ports()).unwrap().warnings().is_empty());
    let home = home.env("AWS_SHARED_CREDENTIALS_FILE", "/nowhere");
    let profiles = ProfileSet::load(&home.ports()).unwrap();
    let [warning] = profiles.warnings() else { panic!("{profiles:?}") };
    assert_eq!(warning.path(), Path::new("/nowhere"));
    let text = warning.to_string();
    assert!(text.contains("AWS_SHARED_CREDENTIALS_FILE"), "{text}");
}

#[test]
fn a_file_that_does_not_count_is_a_warning_in_the_log() {
    let [missing, locked, broken] = ["/missing", "/locked", "/broken"];
    let disk = Disk::default();
    disk.put(broken, b"[default]\xff");
    for (file, expected) in [
        (missing, "there is no such file, though AWS_CONFIG_FILE names it"),
        (broken, "it is not valid UTF-8"),
        (locked, "permission denied"),
    ] {
        disk.is_locked(file == locked);
        let ports = Home::default().env("AWS_CONFIG_FILE", file).ports().with_files(disk.clone());
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || profile(&ports).unwrap());
        let warning = log.lines().into_iter().find(|line| line.contains(file)).unwrap();
        assert!(warning.starts_with("WARN"), "{warning}");
        assert!(warning.contains(expected), "{warning}");
    }
    let log = Log::default();
    let home = Home::default().config("[typo work]\n");
    tracing::subscriber::with_default(log.clone(), || profile(&home.ports()).unwrap());
    let lines = log.lines().join("\n");
    assert!(lines.contains("DEBUG") && !lines.contains("WARN"), "{lines}");
}

#[test]
fn what_may_be_meant_for_a_profile_in_use_is_a_warning() {
    let credentials =
        "[work]\naws_access_key_id = AKID\naws_secret_access_key = hush\n[profile other]\n";
    let config = "\
[profile role]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = work
sso_session = cats
";
    let said = |name: &str, header: &str| {
        let home = Home::default().credentials(credentials).config(&format!("{config}[{header}]"));
        let log = Log::default();
        let profile = ProfileProvider::new(&home.ports()).with_name(name);
        // That a role needs a region matters to nobody here.
        tracing::subscriber::with_default(log.clone(), || ready(profile.provide()).ok());
        let lines = log.lines();
        assert!(
            lines.iter().any(|line| line.contains("DEBUG") && line.contains("[profile other]"))
        );
        let about = format!("[{}] is ignored", header.escape_debug());
        let line = lines.into_iter().find(|line| line.contains(&about));
        line.unwrap_or_else(|| panic!("{header}")).starts_with("WARN")
    };
    for header in ["work", "profile \"work\"", "'work'", "profilework", "Profile work"] {
        assert!(said("work", header), "{header}");
        assert!(said("role", header), "{header}");
    }
    assert!(said("role", "sso-sesion cats"));
    for header in ["works", "profile \"wo rk\"", "sso-sesion cats", ""] {
        assert!(!said("work", header), "{header}");
    }
}

#[test]
fn what_is_not_found_because_it_is_ignored_is_an_error_that_says_so() {
    for (config, line, reason) in [
        ("[work]\n", 1, "[work] is ignored: a config file writes it [profile work]"),
        ("\n[profile \"work\"]\n", 2, "a name holds no quotes"),
        ("[profile 'work']\n", 1, "a name holds no quotes"),
        ("[proflie work]\n", 1, "[proflie work] is ignored: "),
        ("[default]\nsource_profile = work\nrole_arn = r\n[work]\n", 4, "writes it [profile work]"),
        (
            "[default]\nsso_session = work\n[sso_session work]\n",
            3,
            "[sso_session work] is ignored: ",
        ),
        ("[default]\nservices = work\n[service work]\n", 3, "[service work] is ignored: "),
    ] {
        let home = Home::default().config(config);
        let provider = ProfileProvider::new(&home.ports());
        let provider = match config.contains("[default]") {
            true => provider,
            false => provider.with_name("work"),
        };
        let error = match config.contains("services") {
            true => {
                let endpoints = Endpoints::load(&home.ports(), &home.load(), "default").unwrap();
                endpoints.named("sts").unwrap_err()
            }
            false => ready(provider.provide()).unwrap_err(),
        };
        let place = format!("; but /home/cat/.aws/config line {line}: ");
        let text = error.to_string();
        assert!(text.contains(&place) && text.contains(reason), "{config}: {text}");
    }
    let home = Home::default().config("[others]\n").env("AWS_PROFILE", "work");
    let text = profile(&home.ports()).unwrap_err().to_string();
    assert!(!text.contains("ignored"), "{text}");
}

#[test]
fn a_region_that_a_broken_file_does_not_tell_is_a_warning_too() {
    let home = Home::default().env("AWS_CONFIG_FILE", "/nowhere").env("AWS_PROFILE", "work");
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        ready(RegionChain::standard(&home.ports()).provide()).unwrap();
    });
    let lines = log.lines().join("\n");
    assert!(lines.contains("WARN") && lines.contains("/nowhere"), "{lines}");
}

#[test]
fn it_is_logged_that_keys_go_before_aws_profile() {
    let home = Home::default()
        .credentials("[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = hush\n")
        .env("AWS_PROFILE", "work");
    let keys = home.clone().env("AWS_ACCESS_KEY_ID", "AKIDENV").env("AWS_SECRET_ACCESS_KEY", "s");
    let both = Chain::standard(&keys.ports());
    for (chain, is_logged) in [
        (both.clone(), true),
        (both.with_profile("work"), false),
        (Chain::standard(&home.ports()), false),
    ] {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || ready(chain.provide()).unwrap());
        let lines = log.lines().join("\n");
        assert_eq!(lines.contains("INFO") && lines.contains("names `work`"), is_logged, "{lines}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_empty_and_warned_of() {
    struct Locked;

    impl Files for Locked {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    let ports = Home::default().ports().with_files(Locked);
    let profiles = ProfileSet::load(&ports).unwrap();
    assert_eq!(profiles.warnings().len(), 2);
    let text = Chain::standard(&ports).explain().to_string();
    assert!(text.contains("permission denied"), "{text}");
}

#[test]
fn a_file_that_is_not_utf_8_is_empty_and_warned_of() {
    let files = |bytes: &'static [u8]| HashMap::from([(config_path(), bytes)]);
    let ports = Home::default().ports().with_files(files(b"[default]\xff"));
    let profiles = ProfileSet::load(&ports).unwrap();
    assert_eq!(profiles.profiles().count(), 0);
    let text = profiles.warnings()[0].to_string();
    assert!(text.contains("not valid UTF-8"), "{text}");
    let ports = ports.with_files(files(b"\xff\xfe[\0d\0"));
    let text = ProfileSet::load(&ports).unwrap().warnings()[0].to_string();
    assert!(text.contains("UTF-16"), "{text}");
}

#[test]
fn a_file_named_in_code_must_be_there() {
    let ports = Home::default().ports();
    let files = ProfileFiles::locate(&ports).with_config("/nowhere");
    let error = files.load(&ports).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Failed);
    assert!(error.to_string().contains("/nowhere"), "{error}");
    let provider = ProfileProvider::new(&ports).with_files(files);
    assert!(ready(provider.provide()).is_err());
}

#[test]
fn a_file_named_in_code_goes_before_one_that_the_environment_names() {
    let file = |path: &str, id: &str| {
        let keys = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = hush");
        (PathBuf::from(path), keys)
    };
    let env = HashMap::from([("AWS_SHARED_CREDENTIALS_FILE", "/env")]);
    let files = HashMap::from([file("/env", "AKIDENV"), file("/code", "AKIDCODE")]);
    let ports = Ports::empty().with_env(env).with_files(files);
    let files = ProfileFiles::locate(&ports).with_credentials("/code");
    let provider = ProfileProvider::new(&ports).with_files(files);
    let credentials = ready(provider.provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "AKIDCODE");
}

#[test]
fn a_file_that_cannot_be_parsed_stops_the_chain_and_says_where() {
    let home = Home::default().config("[default]\n= hush\n");
    let error = ready(Chain::standard(&home.ports()).provide()).unwrap_err();
    let text = chain_of(&error);
    assert!(text.contains("could not parse profile file"), "{text}");
    let place = "error parsing /home/cat/.aws/config on line 2:\n  Property did not have a name";
    assert!(text.contains(place), "{text}");
    assert!(!format!("{text}{error:?}").contains("hush"));
}

// The grammar, where the published cases are silent.

#[test]
fn one_byte_order_mark_is_skipped() {
    let profiles = Home::default().config("\u{feff}[profile work]\nregion = x").load();
    assert!(profiles.profile("work").is_some());
    let twice = Home::default().config("\u{feff}\u{feff}[profile work]").ports();
    assert!(ProfileSet::load(&twice).is_err());
}

#[test]
fn only_space_and_tab_are_white_space() {
    let profiles = Home::default()
        .config("[profile work]\nname = \u{a0}value\u{2003}\nother = a\u{a0}# b")
        .load();
    let work = profiles.profile("work").unwrap();
    assert_eq!(work.get("name"), Some("\u{a0}value\u{2003}"));
    assert_eq!(work.get("other"), Some("a\u{a0}# b"));
}

#[test]
fn services_sections_hold_nested_properties() {
    let profiles = Home::default()
        .config(
            "[services local]\nsts =\n\
             \x20 Endpoint_Url = http://a # b\n  endpoint_url = http://c ; d\n\
             plain = x\n  endpoint_url = http://e\n",
        )
        .load();
    let local = profiles.services("local").unwrap();
    assert_eq!(local.nested("STS", "endpoint_URL"), Some("http://c"));
    assert_eq!(local.nested("sts", "other"), None);
    assert_eq!(local.nested("plain", "endpoint_url"), None);
    assert_eq!(local.nested("missing", "endpoint_url"), None);
}

#[test]
fn what_is_ignored_is_warned_of_with_its_line() {
    let home = Home::default()
        .config("[work]\n[default]\n[profile default]\nin valid = hush\n[sso-sesion x]\n[]")
        .credentials("[profile work]");
    let profiles = home.load();
    let warnings: Vec<_> = profiles.warnings().iter().map(ToString::to_string).collect();
    let at = |line: usize, part: &str| {
        let place = format!("config line {line}: ");
        let found = warnings.iter().any(|text| text.contains(&place) && text.contains(part));
        assert!(found, "line {line}, {part}: {warnings:#?}");
    };
    at(1, "[profile work]");
    at(2, "[profile default]");
    at(4, "a property is ignored");
    at(5, "[sso-sesion x]");
    at(6, "[] is ignored");
    assert_eq!(warnings.len(), 6, "{warnings:#?}");
    assert!(!warnings.concat().contains("hush"));
}

#[test]
fn a_syntax_error_under_an_ignored_section_is_an_error_all_the_same() {
    let home = Home::default().config("[nonsense here]\nno equals sign");
    assert!(ProfileSet::load(&home.ports()).is_err());
}

#[test]
fn debug_of_profiles_shows_no_value() {
    let profiles = Home::default().credentials(THREE_PROFILES).load();
    let shown = format!("{profiles:?}");
    assert!(shown.contains("aws_secret_access_key"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(
        config in "(\\PC|[\n\r\t \\[\\]=#;])*",
        lines in collection::vec(
            "[ \t]?(\\[(profile|default|x)?|\\]|[a-z]?=?|[#;]|\u{feff}|é){0,6}\r?",
            0..12,
        ),
    ) {
        let home = Home::default().config(&config).credentials(&lines.join("\n"));
        if let Ok(profiles) = ProfileSet::load(&home.ports()) {
            for profile in profiles.profiles() {
                let _ = (profiles.region(profile.name()), profile.nested("a", "b"));
            }
        }
    }

    #[test]
    fn profiles_that_are_written_are_read_again(
        profiles in collection::btree_map(
            NAME,
            collection::btree_map("[a-z0-9_./%@:+-]{1,8}", collection::vec(LINE, 1..4), 0..4),
            0..4,
        ),
        crlf: bool,
    ) {
        let mut text = String::new();
        for (name, properties) in &profiles {
            text += &format!("[profile {name}]\n");
            for (name, lines) in properties {
                text += &format!("{name} = {}\n", lines.join("\n  "));
            }
        }
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        let read = Home::default().config(&text).load();
        prop_assert_eq!(read.warnings(), []);
        let read = table(&read);
        let written: BTreeMap<_, _> = profiles
            .into_iter()
            .map(|(name, properties)| {
                let join = |(name, lines): (String, Vec<String>)| (name, lines.join("\n"));
                (name, properties.into_iter().map(join).collect())
            })
            .collect();
        prop_assert_eq!(read, written);
    }
}

// The chain.

#[test]
fn keys_in_the_environment_go_before_any_profile() {
    let home = Home::default()
        .credentials(THREE_PROFILES)
        .env("AWS_PROFILE", "nope")
        .env("AWS_ACCESS_KEY_ID", "AKIDENV")
        .env("AWS_SECRET_ACCESS_KEY", "hush");
    let chain = Chain::standard(&home.ports());
    let credentials = ready(chain.provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "AKIDENV");
}

#[test]
fn a_profile_named_in_code_goes_before_keys_in_the_environment() {
    let home = Home::default()
        .credentials(THREE_PROFILES)
        .env("AWS_PROFILE", "home")
        .env("AWS_ACCESS_KEY_ID", "AKIDENV")
        .env("AWS_SECRET_ACCESS_KEY", "hush");
    let chain = Chain::standard(&home.ports()).with_profile("work");
    let credentials = ready(chain.provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "AKIDWORK");
}

#[test]
fn half_a_key_pair_in_the_environment_stops_the_chain() {
    let home = Home::default().credentials(THREE_PROFILES).env("AWS_ACCESS_KEY_ID", "AKIDENV");
    let error = ready(Chain::standard(&home.ports()).provide()).unwrap_err();
    assert_eq!(error.provider(), "environment");
}

#[test]
fn a_missing_aws_profile_is_an_error_unless_the_environment_has_keys() {
    let home = Home::default().env("AWS_PROFILE", "nope");
    let error = ready(Chain::standard(&home.ports()).provide()).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::MissingProfile);
}

#[test]
fn a_chain_that_found_nothing_says_what_each_provider_looked_at() {
    let home = Home::default().config("[work]\n");
    let chain = Chain::standard(&home.ports());
    assert!(ready(chain.provide()).unwrap().is_none());
    let explanation = chain.explain();
    let reasons: Vec<_> = explanation.reasons().collect();
    let [
        ("environment", environment),
        ("profile", profile),
        ("web identity", web_identity),
        ("container", container),
        ("instance", instance),
    ] = reasons[..]
    else {
        panic!("{reasons:?}")
    };
    assert!(web_identity.contains("AWS_WEB_IDENTITY_TOKEN_FILE"), "{web_identity}");
    assert!(container.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI"), "{container}");
    assert!(instance.contains("http://169.254.169.254"), "{instance}");
    assert!(environment.contains("AWS_ACCESS_KEY_ID"), "{environment}");
    assert!(profile.contains("no profile `default`"), "{profile}");
    assert!(profile.contains("/home/cat/.aws/credentials"), "{profile}");
    assert!(profile.contains("[profile work]"), "{profile}");
    let text = explanation.to_string();
    assert!(text.contains("the credential provider was not enabled"), "{text}");
    let chain = chain.with_profile("default");
    assert!(ready(chain.provide()).unwrap().is_none());
    let text = chain.explain().to_string();
    assert!(text.contains("environment: not asked"), "{text}");
    assert!(text.contains("web identity: not asked"), "{text}");
    let text = Chain::standard(&Ports::empty()).explain().to_string();
    assert!(text.contains("no home directory"), "{text}");
}

#[test]
fn debug_of_providers_shows_nothing_of_the_environment() {
    let home = Home::default().env("AWS_SECRET_ACCESS_KEY", "hush");
    let ports = home.ports();
    let shown =
        format!("{ports:?}{:?}{:?}", Chain::standard(&ports), RegionChain::standard(&ports));
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn environment_and_files_are_read_anew_each_time() {
    #[derive(Clone, Default)]
    struct Shell(Arc<Mutex<HashMap<String, String>>>);

    impl Env for Shell {
        fn var(&self, name: &str) -> Option<OsString> {
            self.0.lock().unwrap().var(name)
        }
    }

    let shell = Shell::default();
    let chain = Chain::standard(&Ports::empty().with_env(shell.clone()));
    assert!(ready(chain.provide()).unwrap().is_none());
    let keys = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    let keys = keys.map(|(name, value)| (name.to_owned(), value.to_owned()));
    shell.0.lock().unwrap().extend(keys);
    assert!(ready(chain.provide()).unwrap().is_some());
}

#[test]
fn credentials_provide_themselves() {
    let provider: Box<dyn ProvideCredentials> = Box::new(Credentials::new("AKID", "hush"));
    provider.invalidate("AKID");
    let credentials = ready(provider.provide()).unwrap().unwrap();
    assert_eq!(credentials.access_key_id(), "AKID");
}

#[test]
fn a_provider_needs_no_more_than_provide() {
    #[derive(Debug)]
    struct Nothing;

    impl ProvideCredentials for Nothing {
        fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
            Box::pin(async { Ok(None) })
        }
    }

    assert!(ready(Nothing.provide()).unwrap().is_none());
    assert!(Nothing.name().ends_with("Nothing"));
    assert_eq!(Nothing.absence(), "nothing is configured");
}

#[test]
fn an_error_cannot_disturb_a_terminal() {
    let error = ProviderError::new("test", ProviderErrorKind::Failed, "no \u{1b}[31m\nfile: é\t!");
    assert_eq!(error.to_string(), "test: no \\u{1b}[31m\\nfile: é\\t!");
}

#[test]
fn providers_and_their_errors_may_go_anywhere() {
    fn free<T: Send + Sync + 'static>() {}
    free::<Chain>();
    free::<RegionChain>();
    free::<Ports>();
    free::<ProfileSet>();
    free::<ProviderError>();
    free::<Box<dyn ProvideCredentials>>();
}

// The region.

#[test]
fn the_region_comes_from_code_then_the_environment_then_the_profile() {
    let region = |regions: RegionChain| ready(regions.provide()).unwrap();
    let home = Home::default().config("[default]\nregion = profile\n[profile work]\nregion = work");
    assert_eq!(region(RegionChain::standard(&home.ports())).as_deref(), Some("profile"));
    let work = RegionChain::standard(&home.ports()).with_profile("work");
    assert_eq!(region(work).as_deref(), Some("work"));
    let home = home.env("AWS_DEFAULT_REGION", "default").env("AWS_REGION", "");
    let work = RegionChain::standard(&home.ports()).with_profile("work");
    assert_eq!(region(work).as_deref(), Some("default"));
    let ports = home.env("AWS_REGION", "env").ports();
    assert_eq!(region(RegionChain::standard(&ports)).as_deref(), Some("env"));
    let code = RegionChain::standard(&ports).with_region("code");
    assert_eq!(region(code).as_deref(), Some("code"));
}

#[test]
fn a_profile_without_a_region_has_that_of_its_source_profile() {
    let profiles = Home::default()
        .config(
            "[profile a]\nsource_profile = b\n[profile b]\nsource_profile = c\nregion =\n\
             [profile c]\nregion = eu-west-1\n",
        )
        .load();
    assert_eq!(profiles.region("a"), Some("eu-west-1"));
    assert_eq!(profiles.region("nope"), None);
}

#[test]
fn a_circle_of_profiles_has_no_region() {
    let profiles = Home::default()
        .config(
            "[profile a]\nsource_profile = b\n[profile b]\nsource_profile = a\n\
             [profile c]\nsource_profile = c",
        )
        .load();
    assert_eq!(profiles.region("a"), None);
    assert_eq!(profiles.region("c"), None);
}

#[test]
fn no_region_anywhere_is_no_error() {
    assert_eq!(ready(RegionChain::standard(&Ports::empty()).provide()).unwrap(), None);
    let home = Home::default().env("AWS_PROFILE", "nope");
    assert_eq!(ready(RegionChain::standard(&home.ports()).provide()).unwrap(), None);
}

// Cases that others publish.

#[test]
fn sixty_five_published_profile_files_read_as_expected() {
    let Some(data) = smithy("profile-parser-tests.json") else {
        return;
    };
    let cases = json(&data.join("aws-runtime/profile-parser-tests.json"));
    let cases = cases["tests"].as_array().unwrap();
    for case in cases {
        let input = |name: &str| case["input"][name].as_str().unwrap_or_default();
        let home =
            Home::default().config(input("configFile")).credentials(input("credentialsFile"));
        let read = ProfileSet::load(&home.ports());
        let output = &case["output"];
        if let Some(part) = output["errorContaining"].as_str() {
            let error = read.expect_err(part);
            assert!(chain_of(&error).contains(part), "{}: {case}", chain_of(&error));
            continue;
        }
        let read = read.unwrap_or_else(|error| panic!("{}: {case}", chain_of(&error)));
        let expected = |name: &str| -> BTreeMap<String, BTreeMap<String, String>> {
            match &output["config"][name] {
                Value::Null => BTreeMap::new(),
                sections => serde_json::from_value(sections.clone()).unwrap(),
            }
        };
        assert_eq!(table(&read), expected("profiles"), "{case}");
        let sessions: BTreeMap<_, _> = read.sso_sessions().map(row).collect();
        assert_eq!(sessions, expected("sso_sessions"), "{case}");
    }
    assert_eq!(cases.len(), 65);
}

#[test]
fn nine_published_file_locations_are_found() {
    let Some(data) = smithy("file-location-tests.json") else {
        return;
    };
    let cases = json(&data.join("aws-runtime/file-location-tests.json"));
    let cases = cases["tests"].as_array().unwrap();
    for case in cases {
        let platform = match case["platform"].as_str().unwrap() {
            "linux" => Platform::Unix,
            "windows" => Platform::Windows,
            other => panic!("{other}"),
        };
        let ports = Ports::empty().with_env(env_of(&case["environment"])).with_platform(platform);
        let files = ProfileFiles::locate(&ports);
        let expected = |name: &str| case[name].as_str().map(Path::new);
        assert_eq!(files.config(), expected("configLocation"), "{case}");
        assert_eq!(files.credentials(), expected("credentialsLocation"), "{case}");
        if let Some(name) = case["profile"].as_str() {
            assert_eq!(ProfileProvider::new(&ports).selected().unwrap(), name, "{case}");
        }
    }
    assert_eq!(cases.len(), 9);
}

fn env_of(json: &Value) -> HashMap<String, String> {
    serde_json::from_value(json.clone()).unwrap()
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// The folder of the credential cases; it lies beside that of the signing cases.
fn smithy(of: &str) -> Option<PathBuf> {
    external_data(of).map(|signing| signing.with_file_name("credentials").join("smithy-rs"))
}

/// A home directory and the environment around it.
#[derive(Clone, Default)]
struct Home {
    env: HashMap<String, String>,
    files: HashMap<PathBuf, String>,
}

impl Home {
    fn env(mut self, name: &str, value: &str) -> Home {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn config(mut self, text: &str) -> Home {
        self.files.insert(config_path(), text.to_owned());
        self
    }

    fn credentials(mut self, text: &str) -> Home {
        let path = PathBuf::from("/home/cat/.aws/credentials");
        self.files.insert(path, text.to_owned());
        self
    }

    fn ports(&self) -> Ports {
        let env = self.clone().env("HOME", "/home/cat").env;
        Ports::empty().with_env(env).with_files(self.files.clone()).with_platform(Platform::Unix)
    }

    fn load(&self) -> ProfileSet {
        ProfileSet::load(&self.ports()).unwrap()
    }
}

fn config_path() -> PathBuf {
    PathBuf::from("/home/cat/.aws/config")
}

fn environment(env: &[(&str, &str)]) -> Result<Option<Credentials>, ProviderError> {
    let env: HashMap<String, String> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ready(EnvironmentProvider::new(&Ports::empty().with_env(env)).provide())
}

fn profile(ports: &Ports) -> Result<Option<Credentials>, ProviderError> {
    ready(ProfileProvider::new(ports).provide())
}

fn table(profiles: &ProfileSet) -> BTreeMap<String, BTreeMap<String, String>> {
    profiles.profiles().map(row).collect()
}

fn row(section: &countersign::providers::Section) -> (String, BTreeMap<String, String>) {
    let properties = section.properties().map(|(name, value)| (name.to_owned(), value.to_owned()));
    (section.name().to_owned(), properties.collect())
}

/// What a future that never waits comes to.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("no provider here waits for anything"),
    }
}

const THREE_PROFILES: &str = "
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key = hush
[work]
aws_access_key_id = AKIDWORK
aws_secret_access_key = hush
[home]
aws_access_key_id = AKIDHOME
aws_secret_access_key = hush
";

/// A profile name.
const NAME: &str = "[A-Za-z0-9_./%@:+-]{1,12}";

/// A line of a value that is neither blank at its ends nor has a comment behind it.
const LINE: &str = "[!-\"$-:<-~é]([ -\"$-:<-~é\t]{0,12}[!-\"$-:<-~é])?";
