//! What the shared files say when they are read as one.

use std::{
    collections::BTreeMap,
    error, fmt, iter,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    DEFAULT, NAME, ProfileFiles,
    parse::{self, BLANK, SyntaxError},
};
use crate::providers::{Ports, ProviderError, ProviderErrorKind};

/// The profiles of the config file and the credentials file, merged.
///
/// Sections of one name are one section, and the last value of a property counts; the credentials
/// file counts more than the config file. What is ignored on the way is told as
/// [warnings](Self::warnings).
///
/// ```
/// use std::{collections::HashMap, path::PathBuf};
/// use countersign::providers::{Ports, ProfileSet};
///
/// let config = "[profile work]\nregion = eu-west-1\n[typo work]\n";
/// let ports = Ports::empty()
///     .with_env(HashMap::from([("HOME", "/home/cat")]))
///     .with_files(HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]));
/// let profiles = ProfileSet::load(&ports)?;
/// let work = profiles.profile("work").unwrap();
/// assert_eq!(work.get("region"), Some("eu-west-1"));
/// assert_eq!(profiles.warnings().len(), 1);
/// # Ok::<(), countersign::providers::ProviderError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProfileSet {
    profiles: BTreeMap<String, Section>,
    sso_sessions: BTreeMap<String, Section>,
    services: BTreeMap<String, Section>,
    files: Vec<PathBuf>,
    warnings: Vec<Warning>,
}

impl ProfileSet {
    /// Reads the files that the environment names, or the default ones.
    ///
    /// # Errors
    /// As [`ProfileFiles::load`].
    pub fn load(ports: &Ports) -> Result<ProfileSet, ProviderError> {
        ProfileFiles::locate(ports).load(ports)
    }

    /// The profile of that name. Names are case-sensitive.
    pub fn profile(&self, name: &str) -> Option<&Section> {
        self.profiles.get(name)
    }

    /// All profiles, by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Section> {
        self.profiles.values()
    }

    /// The section `[sso-session name]` of the config file.
    pub fn sso_session(&self, name: &str) -> Option<&Section> {
        self.sso_sessions.get(name)
    }

    /// All `[sso-session]` sections, by name.
    pub fn sso_sessions(&self) -> impl Iterator<Item = &Section> {
        self.sso_sessions.values()
    }

    /// The section `[services name]` of the config file.
    pub fn services(&self, name: &str) -> Option<&Section> {
        self.services.get(name)
    }

    /// The region of a profile: its own, else that of the profile it builds upon
    /// (`source_profile`), and so on. A circle of profiles ends the search.
    ///
    /// ```
    /// # use std::{collections::HashMap, path::PathBuf};
    /// # use countersign::providers::{Ports, ProfileSet};
    /// # let config =
    /// #     "[profile role]\nsource_profile = base\n[profile base]\nregion = eu-west-1\n";
    /// # let ports = Ports::empty()
    /// #     .with_env(HashMap::from([("HOME", "/home/cat")]))
    /// #     .with_files(HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]));
    /// # let profiles = ProfileSet::load(&ports)?;
    /// // [profile role]
    /// // source_profile = base
    /// // [profile base]
    /// // region = eu-west-1
    /// assert_eq!(profiles.region("role"), Some("eu-west-1"));
    /// # Ok::<(), countersign::providers::ProviderError>(())
    /// ```
    pub fn region(&self, profile: &str) -> Option<&str> {
        let sources = iter::successors(self.profile(profile), |profile| {
            self.profile(profile.get("source_profile")?)
        });
        // Whoever has followed more profiles than there are walks in a circle.
        sources
            .take(self.profiles.len())
            .find_map(|profile| profile.get("region").filter(|region| !region.is_empty()))
    }

    /// What was ignored, and why: sections and properties whose names mean nothing, files that
    /// could not be read. None of it is an error, and each may be the reason why something was not
    /// found.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Logs what was ignored. What a profile in use may be meant to say is worth a warning, and so is a whole
    /// file; whatever else may be for other programs.
    pub(in crate::providers) fn log_warnings(&self, profile: &str) {
        let in_use = self.in_use(profile);
        for warning in &self.warnings {
            if warning.line.is_none() {
                tracing::warn!(%warning, "a shared file does not count");
            } else if in_use.iter().any(|name| warning.may_be_about(name)) {
                tracing::warn!(%warning, "a part of the shared files does not count");
            } else {
                tracing::debug!(%warning, "a part of the shared files does not count");
            }
        }
    }

    /// The names of a profile and of what it stands upon, there or not.
    fn in_use<'a>(&'a self, profile: &'a str) -> Vec<&'a str> {
        let mut names = vec![profile];
        let mut at = 0;
        while let Some(section) = names.get(at).map(|name| self.profile(name)) {
            at += 1;
            let others = ["source_profile", "sso_session", "services"];
            let others = others.iter().filter_map(|name| section?.get(name));
            let others: Vec<&str> = others.filter(|name| !names.contains(name)).collect();
            names.extend(others);
        }
        names
    }

    /// Why nothing has this name, as the end of a message: a file is ignored, or what may be meant by it is. Empty
    /// if nothing is.
    pub(in crate::providers) fn ignored(&self, name: &str) -> String {
        let is_about = |warning: &&Warning| warning.line.is_none() || warning.may_be_about(name);
        self.warnings.iter().filter(is_about).map(|warning| format!("; but {warning}")).collect()
    }

    /// The files as a message names them.
    pub(super) fn places(&self) -> String {
        let files = self.files.iter().map(|path| path.display().to_string());
        match files.collect::<Vec<_>>() {
            files if files.is_empty() => {
                "any file, for no home directory is known to look in".to_owned()
            }
            files => files.join(" or "),
        }
    }

    /// Adds what a file says. It counts more than what was there.
    pub(super) fn add(&mut self, kind: Kind, path: &Path, text: &str) -> Result<(), ProviderError> {
        self.files.push(path.to_owned());
        let sections = parse::parse(text).map_err(|error| {
            let kind = ProviderErrorKind::InvalidConfiguration;
            ProviderError::new(NAME, kind, "could not parse profile file")
                .with_source(ParseError::new(path, &error))
        })?;
        let prefixed_default = sections
            .iter()
            .any(|section| Header::parse(section.header, kind) == Ok(Header::Profile(DEFAULT)));
        for raw in sections {
            let warn = |line, message| {
                let header = Some(raw.header.to_owned());
                Warning { line: Some(line), header, ..Warning::new(path, message) }
            };
            let (table, name) = match Header::parse(raw.header, kind) {
                Ok(Header::Default) if prefixed_default => {
                    let message = "[default] is ignored, for there is a [profile default]";
                    self.warn(warn(raw.line, message.to_owned()));
                    continue;
                }
                Ok(Header::Default) => (&mut self.profiles, DEFAULT),
                Ok(Header::Profile(name)) => (&mut self.profiles, name),
                Ok(Header::Services(name)) => (&mut self.services, name),
                Ok(Header::SsoSession(name)) => (&mut self.sso_sessions, name),
                Err(reason) => {
                    let header = raw.header.escape_debug();
                    self.warn(warn(raw.line, format!("[{header}] is ignored: {reason}")));
                    continue;
                }
            };
            let section = table.entry(name.to_owned()).or_insert_with(|| Section::new(name));
            for property in raw.properties {
                if !is_identifier(property.name) {
                    let message =
                        "a property is ignored: its name holds characters no name may hold";
                    self.warnings.push(warn(property.line, message.to_owned()));
                    continue;
                }
                let value = Zeroizing::new(property.value.join("\n"));
                section.properties.insert(property.name.to_ascii_lowercase(), value);
            }
        }
        Ok(())
    }
}

/// A named group of properties: a profile, an SSO session or a services section.
///
/// `Debug` shows the names of the properties and not their values, which may be secrets. The values
/// are wiped from memory when dropped.
///
/// ```
/// # use std::{collections::HashMap, path::PathBuf};
/// # use countersign::providers::{Ports, ProfileSet};
/// # let config = "[services local]\ns3 =\n  endpoint_url = http://localhost:9000\n";
/// # let ports = Ports::empty()
/// #     .with_env(HashMap::from([("HOME", "/home/cat")]))
/// #     .with_files(HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]));
/// # let profiles = ProfileSet::load(&ports)?;
/// // [services local]
/// // s3 =
/// //   endpoint_url = http://localhost:9000
/// let local = profiles.services("local").unwrap();
/// assert_eq!(local.nested("s3", "endpoint_url"), Some("http://localhost:9000"));
/// assert_eq!(format!("{local:?}"), r#"Section { name: "local", properties: {"s3"} }"#);
/// # Ok::<(), countersign::providers::ProviderError>(())
/// ```
#[derive(Clone)]
pub struct Section {
    name: String,
    properties: BTreeMap<String, Zeroizing<String>>,
}

impl Section {
    fn new(name: &str) -> Section {
        Section { name: name.to_owned(), properties: BTreeMap::new() }
    }

    /// The name, without the prefix that says what sort of section it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of a property, which may be empty. The case of its name does not matter.
    ///
    /// Continuation lines are joined with `\n`; a property with [nested](Section::nested) ones
    /// begins with it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(&name.to_ascii_lowercase()).map(|value| value.as_str())
    }

    /// The value of a property that is indented under another. The case of names does not matter.
    pub fn nested(&self, name: &str, inner: &str) -> Option<&str> {
        let lines = self.get(name)?.strip_prefix('\n')?.lines();
        lines
            .rev()
            .filter_map(|line| parse::split(line).ok())
            .find(|(name, _)| name.eq_ignore_ascii_case(inner))
            .map(|(_, value)| value)
    }

    /// The names, in lower case, and values of all properties, by name.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section")
            .field("name", &self.name)
            .field("properties", &Names(&self.properties))
            .finish()
    }
}

struct Names<'a>(&'a BTreeMap<String, Zeroizing<String>>);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Something in or about a shared file that was ignored.
///
/// ```
/// # use std::{collections::HashMap, path::PathBuf};
/// # use countersign::providers::{Ports, ProfileSet};
/// # let files = HashMap::from([(PathBuf::from("/home/cat/.aws/config"), "[work]\n")]);
/// # let env = HashMap::from([("HOME", "/home/cat")]);
/// # let profiles = ProfileSet::load(&Ports::empty().with_env(env).with_files(files))?;
/// for warning in profiles.warnings() {
///     eprintln!("{warning}");
/// }
/// # assert_eq!(profiles.warnings()[0].line(), Some(1));
/// # assert!(profiles.warnings()[0].to_string().contains("[profile work]"));
/// # Ok::<(), countersign::providers::ProviderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    path: PathBuf,
    line: Option<usize>,
    message: String,
    /// The section's, between its brackets.
    header: Option<String>,
}

impl Warning {
    /// One about a file as a whole.
    pub(super) fn new(path: &Path, message: String) -> Warning {
        Warning { path: path.to_owned(), line: None, message, header: None }
    }

    /// The file it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line it is about, counted from one; `None` if it is about the file as a whole.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Whether who wrote the section may have meant this name: without a prefix, with a wrong one, in quotes.
    fn may_be_about(&self, name: &str) -> bool {
        let Some(header) = self.header.as_deref() else { return false };
        let is_around = |char| BLANK.contains(&char) || "\"'`".contains(char);
        let behind_blank = header.split_once(BLANK).map(|(_, rest)| rest);
        let prefixes = ["profile", "services", "sso-session"];
        let behind_prefix = prefixes.iter().find_map(|prefix| header.strip_prefix(prefix));
        [Some(header), behind_blank, behind_prefix]
            .into_iter()
            .flatten()
            .any(|text| text.trim_matches(is_around) == name)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Which of the two files; they name their profiles differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Config,
    Credentials,
}

/// What a section is.
#[derive(Debug, PartialEq, Eq)]
enum Header<'a> {
    /// `[default]` in the config file; any `[profile default]` there replaces it.
    Default,
    Profile(&'a str),
    Services(&'a str),
    SsoSession(&'a str),
}

impl Header<'_> {
    /// What stands between the brackets; the error says why it means nothing.
    fn parse(text: &str, kind: Kind) -> Result<Header<'_>, String> {
        let (prefix, name) = match text.split_once(BLANK) {
            Some((prefix, name)) => (Some(prefix), name.trim_matches(BLANK)),
            None => (None, text),
        };
        if !is_identifier(name) {
            let quotes = ['"', '\''];
            return Err(
                match name.strip_prefix(quotes).and_then(|name| name.strip_suffix(quotes)) {
                    Some(_) => "a name holds no quotes".to_owned(),
                    None => "its name holds characters no name may hold".to_owned(),
                },
            );
        }
        match (kind, prefix) {
            (Kind::Config, None) if name == DEFAULT => Ok(Header::Default),
            (Kind::Config, None) => Err(format!("a config file writes it [profile {name}]")),
            (Kind::Credentials, None) | (Kind::Config, Some("profile")) => {
                Ok(Header::Profile(name))
            }
            (Kind::Config, Some("services")) => Ok(Header::Services(name)),
            (Kind::Config, Some("sso-session")) => Ok(Header::SsoSession(name)),
            (Kind::Config, Some(_)) => Err("no section begins like that".to_owned()),
            (Kind::Credentials, Some(_)) => {
                Err("a credentials file holds profile names alone".to_owned())
            }
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/.%@:+".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// Where a file breaks the grammar.
#[derive(Debug)]
struct ParseError {
    path: PathBuf,
    line: usize,
    message: &'static str,
}

impl ParseError {
    fn new(path: &Path, error: &SyntaxError) -> ParseError {
        ParseError { path: path.to_owned(), line: error.line, message: error.message }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "error parsing {} on line {}:\n  {}",
            self.path.display(),
            self.line,
            self.message
        )
    }
}

impl error::Error for ParseError {}
