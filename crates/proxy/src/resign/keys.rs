//! The keys that clients of a re-signing route sign with, in a file that may change.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use countersign::{
    Credentials,
    providers::{AssumeRole, ProvideCredentials},
};
use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::policy::{PathPattern, Policy, Services};
use crate::{ConfigError, HostPattern, Outside, secrets};

/// A key that the proxy gave to a client: it signs nothing that any service takes.
pub(super) struct Key {
    /// Its id and its secret.
    pub(super) credentials: Credentials,
    /// What the audit log calls whoever has it.
    pub(super) name: String,
    pub(super) policy: Policy,
    /// Who has the credentials that sign in its place; those of the route, if nobody.
    pub(super) role: Option<Arc<dyn ProvideCredentials>>,
}

/// The keys of one reading of a file.
#[derive(Default)]
pub(super) struct Keys {
    by_id: HashMap<String, Arc<Key>>,
    roles: HashMap<RoleConfig, Arc<dyn ProvideCredentials>>,
    is_open_to_others: bool,
}

/// A file of keys, read anew when it changes. What is broken then takes the place of nothing.
pub(super) struct KeyFile {
    path: PathBuf,
    profile: Option<String>,
    outside: Arc<dyn Outside>,
    current: RwLock<Arc<Keys>>,
    seen: Mutex<Seen>,
}

/// When somebody last looked whether the file changed, and how it was then.
struct Seen {
    at: Instant,
    stamp: Option<Stamp>,
}

/// What changes with the contents of a file, for all that is known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Another one if the file was replaced by one as long, within the same tick of the clock.
    number: u64,
}

impl KeyFile {
    /// Reads the file for the first time.
    pub(super) fn open(
        path: &Path,
        profile: Option<&str>,
        outside: &Arc<dyn Outside>,
    ) -> Result<KeyFile, ConfigError> {
        let file = KeyFile {
            path: path.to_owned(),
            profile: profile.map(str::to_owned),
            outside: Arc::clone(outside),
            current: RwLock::default(),
            seen: Mutex::new(Seen { at: Instant::now(), stamp: Stamp::of(path).ok() }),
        };
        let keys = file.read().map_err(ConfigError::new)?;
        file.set(keys);
        Ok(file)
    }

    /// The keys of now: as the file has them, or had them a second ago.
    pub(super) fn keys(&self) -> Arc<Keys> {
        // Whoever comes while another one looks takes what is there.
        if let Ok(mut seen) = self.seen.try_lock()
            && seen.at.elapsed() >= PATIENCE
        {
            let stamp = Stamp::of(&self.path).ok();
            if seen.stamp != stamp {
                self.read_again();
            }
            *seen = Seen { at: Instant::now(), stamp };
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Warns of a file that others can read.
    pub(super) fn warn(&self) {
        if self.current.read().unwrap_or_else(PoisonError::into_inner).is_open_to_others {
            let path = self.path.display();
            tracing::warn!("others can read the keys in `{path}`: chmod 600 it");
        }
    }

    fn read_again(&self) {
        match self.read() {
            Ok(keys) => {
                tracing::info!(keys = keys.by_id.len(), "read `{}` again", self.path.display());
                self.set(keys);
                self.warn();
            }
            Err(why) => tracing::error!("{why}; the keys of before remain"),
        }
    }

    fn read(&self) -> Result<Keys, String> {
        let path = self.path.display();
        let text = fs::read_to_string(&self.path).map(Zeroizing::new);
        let text = text.map_err(|error| format!("the keys in `{path}` cannot be read: {error}"))?;
        let before = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let role = |role: &RoleConfig, name: &str| match before.roles.get(role) {
            // What was assumed before goes on.
            Some(provider) => Ok(Arc::clone(provider)),
            None => self.outside.role(self.profile.as_deref(), role.request(name)),
        };
        let mut keys = Keys::parse(&text, role)
            .map_err(|why| format!("the keys in `{path}` cannot be read: {why}"))?;
        keys.is_open_to_others = secrets::is_open(&self.path);
        Ok(keys)
    }

    fn set(&self, keys: Keys) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

impl Keys {
    pub(super) fn find(&self, access_key_id: &str) -> Option<Arc<Key>> {
        self.by_id.get(access_key_id).cloned()
    }

    /// The keys in a text. The error holds nothing of a secret.
    fn parse(
        text: &str,
        role: impl Fn(&RoleConfig, &str) -> Result<Arc<dyn ProvideCredentials>, String>,
    ) -> Result<Keys, String> {
        let file: FileConfig = toml::from_str(text).map_err(|error| {
            // All that it would print is the line itself, which may be the secret's.
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        })?;
        let mut keys = Keys::default();
        for config in file.keys {
            let id = config.access_key_id;
            let name = config.name.unwrap_or_else(|| id.clone());
            let wrong = |what: String| format!("the key `{}` {what}", id.escape_debug());
            if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(wrong("has an id that is not of letters and digits".to_owned()));
            }
            if config.secret_access_key.0.is_empty() {
                return Err(wrong("has an empty secret".to_owned()));
            }
            for (field, list) in [("regions", &config.regions), ("methods", &config.methods)] {
                if list.iter().flatten().any(|it| it.contains('*')) {
                    return Err(wrong(format!("has a `*` in `{field}`: leave it out for all")));
                }
            }
            let role = match &config.role {
                None => None,
                Some(config) => {
                    let of_role = match keys.roles.get(config) {
                        Some(provider) => Arc::clone(provider),
                        None => role(config, &name).map_err(wrong)?,
                    };
                    keys.roles.insert(config.clone(), Arc::clone(&of_role));
                    Some(of_role)
                }
            };
            let policy = Policy {
                services: Services::new(config.services),
                regions: config.regions,
                hosts: config.hosts,
                methods: config.methods,
                paths: config.paths,
            };
            let credentials = Credentials::new(&id, config.secret_access_key.0.as_str());
            let key = Arc::new(Key { credentials, name, policy, role });
            if keys.by_id.insert(id.clone(), key).is_some() {
                return Err(format!("the key `{id}` is there twice"));
            }
        }
        Ok(keys)
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Stamp> {
        let about = fs::metadata(path)?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&about);
        #[cfg(not(unix))]
        let number = 0;
        Ok(Stamp { length: about.len(), modified: about.modified().ok(), number })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    #[serde(default, rename = "key")]
    keys: Vec<KeyConfig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyConfig {
    access_key_id: String,
    secret_access_key: Secret,
    name: Option<String>,
    services: Vec<String>,
    regions: Option<Vec<String>>,
    hosts: Option<Vec<HostPattern>>,
    methods: Option<Vec<String>>,
    paths: Option<Vec<PathPattern>>,
    role: Option<RoleConfig>,
}

#[derive(Clone, Deserialize, PartialEq, Eq, Hash)]
#[serde(deny_unknown_fields)]
struct RoleConfig {
    arn: String,
    external_id: Option<String>,
    session_name: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

impl RoleConfig {
    fn request(&self, key: &str) -> AssumeRole {
        let mut request = AssumeRole::new(&self.arn);
        if let Some(id) = &self.external_id {
            request = request.with_external_id(id);
        }
        // The name of a session stands in the logs of the services, where a key's name says more than the time.
        let is_name = |name: &&str| {
            let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
            (2..=64).contains(&name.len()) && name.bytes().all(is_taken)
        };
        if let Some(name) = self.session_name.as_deref().or(Some(key).filter(is_name)) {
            request = request.with_session_name(name);
        }
        for (key, value) in &self.tags {
            request = request.with_tag(key, value);
        }
        request
    }
}

/// A secret of the file's, wiped when it is dropped.
struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
        // An error of the format's own would hold what is there instead.
        match toml::Value::deserialize(from)? {
            toml::Value::String(text) => Ok(Secret(Zeroizing::new(text))),
            _ => Err(de::Error::custom("the secret access key is no text")),
        }
    }
}

/// For so long nobody looks again whether the file changed.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Keys, String> {
        Keys::parse(text, |_, _| Ok(Arc::new(Credentials::new("ROLE", "secret"))))
    }

    #[test]
    fn a_whole_file_reads() {
        let keys = parse(
            r#"
            [[key]]
            access_key_id = "CSPX1"
            secret_access_key = "hunter2"
            name = "sandbox"
            services = ["s3", "sqs"]
            regions = []
            hosts = ["*.s3.eu-central-1.amazonaws.com"]
            methods = ["GET"]
            paths = ["/bucket/*"]
            [key.role]
            arn = "arn:aws:iam::123456789012:role/sandbox"
            external_id = "x"
            session_name = "s"
            tags = { team = "a" }

            [[key]]
            access_key_id = "CSPX2"
            secret_access_key = "hunter3"
            services = ["*"]
            "#,
        )
        .expect("a file");
        let key = keys.find("CSPX1").expect("a key");
        assert_eq!((key.name.as_str(), key.role.is_some()), ("sandbox", true));
        let key = keys.find("CSPX2").expect("a key");
        assert_eq!((key.name.as_str(), key.role.is_some()), ("CSPX2", false));
        assert!(keys.find("CSPX3").is_none() && parse("").is_ok());
    }

    #[test]
    fn keys_of_one_role_share_what_is_assumed_and_so_do_readings() {
        let key = |id: &str| {
            format!(
                "[[key]]\naccess_key_id = '{id}'\nsecret_access_key = 's'\nservices = []\n[key.role]\narn = 'a'\n"
            )
        };
        let keys = parse(&(key("A") + &key("B"))).expect("a file");
        let role = |id| keys.find(id).and_then(|key| key.role.clone()).expect("a role");
        assert!(Arc::ptr_eq(&role("A"), &role("B")));
    }

    #[test]
    fn what_is_wrong_is_said_by_its_line_and_without_secrets() {
        let key = "[[key]]\naccess_key_id = \"A\"\nservices = [\"*\"]\n";
        for (text, expected) in [
            (format!("{key}secret_access_key = \"hunter2\nx = 1"), "line 4: "),
            (format!("{key}secret_access_key = 70707"), "the secret access key is no text"),
            (format!("{key}secret_access_key = [\"hunter2\"]"), "the secret access key is no text"),
            (format!("{key}secret_access_key = \"\""), "empty secret"),
            (
                format!("{key}secret_access_key = \"hunter2\"\nservice = \"s3\""),
                "line 5: unknown field `service`",
            ),
            (key.to_owned(), "missing field `secret_access_key`"),
            (
                format!("{key}secret_access_key = \"hunter2\"\npaths = [\"bucket/*\"]"),
                "begins neither with",
            ),
            (
                format!("{key}secret_access_key = \"hunter2\"\nregions = [\"*\"]"),
                "has a `*` in `regions`",
            ),
            (
                format!("{key}secret_access_key = \"hunter2\"\n{key}secret_access_key = \"b\""),
                "the key `A` is there twice",
            ),
        ] {
            let why = parse(&text).err().expect(&text);
            assert!(why.contains(expected), "{expected}: {why}");
            assert!(!why.contains("hunter2") && !why.contains("70707"), "{why}");
        }
        let services = "[[key]]\naccess_key_id = \"A\"\nsecret_access_key = \"hunter2\"\n";
        let why = parse(services).err().expect("services are required");
        assert!(why.contains("missing field `services`") && !why.contains("hunter2"), "{why}");
    }

    #[test]
    fn the_name_of_a_key_is_that_of_its_sessions_if_it_can_be() {
        let role = RoleConfig {
            arn: "a".to_owned(),
            external_id: None,
            session_name: None,
            tags: BTreeMap::new(),
        };
        assert_eq!(role.request("sandbox-7").session_name(), Some("sandbox-7"));
        assert_eq!(role.request("sand box").session_name(), None);
        let role = RoleConfig { session_name: Some("s".to_owned()), ..role };
        assert_eq!(role.request("sandbox-7").session_name(), Some("s"));
    }
}
