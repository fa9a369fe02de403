//! The keys that clients of a re-signing route sign with, in a file that may change.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, TryLockError},
    time::{Duration, Instant, SystemTime},
};

use countersign::{
    Credentials,
    providers::{AssumeRole, ProvideCredentials},
};
use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::policy::{PathPattern, Policy, Services};
use crate::{ConfigError, HostPattern, Outside, RouteConfig, secrets};

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
    /// Whether the hosts of requests are those that clients name.
    is_of_hosts: bool,
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
        config: &RouteConfig,
        outside: &Arc<dyn Outside>,
    ) -> Result<KeyFile, ConfigError> {
        let stamp = Stamp::of(path).ok();
        let file = KeyFile {
            path: path.to_owned(),
            profile: config.profile.clone(),
            is_of_hosts: !config.allow.is_empty(),
            outside: Arc::clone(outside),
            current: RwLock::default(),
            seen: Mutex::new(Seen { at: Instant::now(), stamp }),
        };
        let keys = file.read().map_err(ConfigError::new)?;
        if Stamp::of(path).ok() != stamp {
            let path = path.display();
            return Err(ConfigError::new(format!(
                "the keys in `{path}` changed while they were read: try again"
            )));
        }
        file.set(keys);
        Ok(file)
    }

    /// The keys of now: as the file has them, or had them a second ago.
    pub(super) fn keys(&self) -> Arc<Keys> {
        // Whoever comes while another one looks takes what is there.
        let seen = match self.seen.try_lock() {
            Ok(seen) => Some(seen),
            Err(TryLockError::Poisoned(seen)) => Some(seen.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut seen) = seen.filter(|seen| seen.at.elapsed() >= PATIENCE) {
            seen.at = Instant::now();
            let stamp = Stamp::of(&self.path).ok();
            if seen.stamp != stamp && self.read_again(stamp) {
                seen.stamp = stamp;
            }
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Warns of a file that others can read, and of keys that may do more than it seems.
    pub(super) fn warn(&self) {
        let keys = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let path = self.path.display();
        if keys.is_open_to_others {
            tracing::warn!("others can read the keys in `{path}`: chmod 600 it");
        }
        if self.is_of_hosts {
            for name in keys.of_any_bucket() {
                tracing::warn!(
                    key = name,
                    "this key in `{path}` has `paths` without `hosts`: they hold for each bucket whose name is in the host"
                );
            }
        }
    }

    /// Whether that is done: what changes while it is read may be there in part, with a key that lacks its limits.
    fn read_again(&self, stamp: Option<Stamp>) -> bool {
        let read = self.read();
        if Stamp::of(&self.path).ok() != stamp {
            return false;
        }
        match read {
            Ok(keys) => {
                tracing::info!(keys = keys.by_id.len(), "read `{}` again", self.path.display());
                self.set(keys);
                self.warn();
            }
            Err(why) => tracing::error!("{why}; the keys of before remain"),
        }
        true
    }

    fn read(&self) -> Result<Keys, String> {
        let path = self.path.display();
        let text = fs::read_to_string(&self.path).map(Zeroizing::new);
        let text = text.map_err(|error| format!("the keys in `{path}` cannot be read: {error}"))?;
        let before = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let role = |role: &RoleConfig| match before.roles.get(role) {
            // What was assumed before goes on.
            Some(provider) => Ok(Arc::clone(provider)),
            None => self.outside.role(self.profile.as_deref(), role.request()),
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

    /// The names of the keys whose paths do not say which bucket is meant, where a host may.
    fn of_any_bucket(&self) -> Vec<&str> {
        let keys = self.by_id.values().filter(|key| key.policy.leaves_bucket_open());
        let mut names: Vec<_> = keys.map(|key| key.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The keys in a text. The error holds nothing of a secret.
    fn parse(
        text: &str,
        role: impl Fn(&RoleConfig) -> Result<Arc<dyn ProvideCredentials>, String>,
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
            let role = match config.role {
                None => None,
                Some(config) => {
                    let config = config.named_after(&name);
                    let of_role = match keys.roles.get(&config) {
                        Some(provider) => Arc::clone(provider),
                        None => role(&config).map_err(wrong)?,
                    };
                    keys.roles.insert(config, Arc::clone(&of_role));
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
    /// The same with a name for its sessions, if it has none. It stands in the logs of the services, where each key
    /// is to be told from the others: only keys that ask for one name share what is assumed.
    fn named_after(mut self, key: &str) -> RoleConfig {
        self.session_name.get_or_insert_with(|| {
            let is_taken = |it: &char| it.is_ascii_alphanumeric() || "_+=,.@-".contains(*it);
            let valid = |it: char| if is_taken(&it) { it } else { '-' };
            let name: String = key.chars().map(valid).take(64).collect();
            if name.len() < 2 { format!("key-{name}") } else { name }
        });
        self
    }

    fn request(&self) -> AssumeRole {
        let mut request = AssumeRole::new(&self.arn);
        if let Some(id) = &self.external_id {
            request = request.with_external_id(id);
        }
        if let Some(name) = &self.session_name {
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn parse(text: &str) -> Result<Keys, String> {
        Keys::parse(text, |_| Ok(Arc::new(Credentials::new("ROLE", "secret"))))
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
    fn keys_share_what_is_assumed_only_if_they_share_the_name_of_its_sessions() {
        let key = |id: &str, more: &str| {
            format!(
                "[[key]]\naccess_key_id = '{id}'\nsecret_access_key = 's'\nservices = []\n[key.role]\narn = 'a'\n{more}\n"
            )
        };
        let same = "session_name = 's1'";
        let text = key("AA", "") + &key("BB", "") + &key("CC", same) + &key("DD", same);
        let keys = parse(&text).expect("a file");
        let role = |id| keys.find(id).and_then(|key| key.role.clone()).expect("a role");
        assert!(!Arc::ptr_eq(&role("AA"), &role("BB")));
        assert!(Arc::ptr_eq(&role("CC"), &role("DD")));
        let mut names: Vec<_> =
            keys.roles.keys().map(|role| role.session_name.as_deref().expect("a name")).collect();
        names.sort_unstable();
        assert_eq!(names, ["AA", "BB", "s1"]);
    }

    #[test]
    fn paths_without_hosts_leave_the_bucket_open_where_hosts_name_it() {
        let key = |id: &str, more: &str| {
            format!("[[key]]\naccess_key_id = '{id}'\nsecret_access_key = 's'\n{more}\n")
        };
        let text = key("A", "services = ['s3']\npaths = ['/in/*']")
            + &key("B", "services = ['*']\npaths = ['/in/*']")
            + &key("C", "services = ['s3']\npaths = ['/in/*']\nhosts = ['own.s3.amazonaws.com']")
            + &key("D", "services = ['s3']\npaths = ['*']")
            + &key("E", "services = ['sqs']\npaths = ['/in/*']")
            + &key("F", "services = ['s3']");
        assert_eq!(parse(&text).expect("a file").of_any_bucket(), ["A", "B"]);
    }

    /// Changes the file whenever a role is asked for, which is while it is read, as often as it is to.
    struct Changing {
        path: PathBuf,
        times: AtomicUsize,
    }

    impl Outside for Changing {
        fn credentials(&self, _: Option<&str>) -> Arc<dyn ProvideCredentials> {
            Arc::new(Credentials::new("A", "secret"))
        }

        fn scope(
            &self,
            _: &str,
            _: &str,
            _: Option<&str>,
            _: Option<&str>,
        ) -> Result<(String, String), String> {
            Err("nothing is known".to_owned())
        }

        fn role(
            &self,
            profile: Option<&str>,
            _: AssumeRole,
        ) -> Result<Arc<dyn ProvideCredentials>, String> {
            let left = |left: usize| left.checked_sub(1);
            if self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
                let more =
                    "\n[[key]]\naccess_key_id = 'C'\nsecret_access_key = 's'\nservices = []\n";
                let text = fs::read_to_string(&self.path).expect("a file") + more;
                fs::write(&self.path, text).expect("a file");
            }
            Ok(self.credentials(profile))
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_at_the_next_look() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.toml");
        let first = "[[key]]\naccess_key_id = 'A'\nsecret_access_key = 's'\nservices = []\n";
        fs::write(&path, first).expect("a file");
        let outside = Arc::new(Changing { path: path.clone(), times: AtomicUsize::new(1) });
        let outside: Arc<dyn Outside> = outside;
        let file = KeyFile::open(&path, &RouteConfig::default(), &outside).expect("keys");
        let second = "[[key]]\naccess_key_id = 'B'\nsecret_access_key = 's'\nservices = []\n[key.role]\narn = 'a'\n";
        fs::write(&path, second).expect("a file");
        // A thread that fails at its look keeps nobody from the next one.
        let look = std::panic::AssertUnwindSafe(|| {
            let mut seen = file.seen.lock().expect("a lock");
            seen.at = seen.at.checked_sub(PATIENCE * 2).expect("a time");
            panic!("within a look");
        });
        std::panic::catch_unwind(look).expect_err("a panic");
        let keys = file.keys();
        assert!(keys.find("A").is_some() && keys.find("B").is_none(), "the half of a change");
        let seen = file.seen.lock().unwrap_or_else(PoisonError::into_inner);
        { seen }.at -= PATIENCE * 2;
        let keys = file.keys();
        assert!(keys.find("A").is_none() && keys.find("B").is_some() && keys.find("C").is_some());
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
    fn the_name_of_a_key_is_that_of_its_sessions_as_far_as_it_can_be() {
        let role = RoleConfig {
            arn: "a".to_owned(),
            external_id: None,
            session_name: None,
            tags: BTreeMap::new(),
        };
        for (key, expected) in [
            ("sandbox-7", "sandbox-7"),
            ("sand box/é", "sand-box--"),
            ("7", "key-7"),
            ("", "key-"),
            (&"a".repeat(70), &"a".repeat(64)),
        ] {
            let request = role.clone().named_after(key).request();
            assert_eq!(request.session_name(), Some(expected));
        }
        let role = RoleConfig { session_name: Some("s".to_owned()), ..role };
        assert_eq!(role.named_after("sandbox-7").request().session_name(), Some("s"));
    }
}
