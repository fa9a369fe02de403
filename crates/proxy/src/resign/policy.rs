//! What a key may do, and how its limits are kept from being walked around.

use std::{net::Ipv4Addr, str::FromStr};

use http::{HeaderMap, HeaderValue, Method, Uri};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, de};

use crate::{Authority, ConfigError, HostPattern, path::has_dot_segment};

/// What a key may do. A list that is absent allows what the route does; an empty one allows nothing.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) services: Services,
    pub(super) regions: Option<Vec<String>>,
    pub(super) hosts: Option<Vec<HostPattern>>,
    pub(super) methods: Option<Vec<String>>,
    pub(super) paths: Option<Vec<PathPattern>>,
}

/// The signing names that a key may be used for.
#[derive(Debug)]
pub(super) enum Services {
    All,
    These(Vec<String>),
}

/// What is asked of the policy of a key: the request as it would go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'r> {
    pub(super) region: &'r str,
    pub(super) service: &'r str,
    pub(super) method: &'r Method,
    pub(super) host: &'r Authority,
    pub(super) https: bool,
    pub(super) url: &'r Uri,
    pub(super) headers: &'r HeaderMap,
}

impl Services {
    pub(super) fn new(names: Vec<String>) -> Services {
        if names.iter().any(|name| name == "*") { Services::All } else { Services::These(names) }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Services::All => true,
            Services::These(names) => names.iter().any(|other| other == name),
        }
    }
}

impl Policy {
    /// Whether a request may go on.
    ///
    /// # Errors
    /// Why not, for the client.
    pub(super) fn check(&self, asked: Asked<'_>) -> Result<(), String> {
        let Asked { region, service, method, host, https, url, headers } = asked;
        if !self.services.has(service) {
            return Err(format!("this key is not for the service `{service}`"));
        }
        if self.regions.as_ref().is_some_and(|regions| !regions.iter().any(|it| it == region)) {
            return Err(format!("this key is not for the region `{region}`"));
        }
        if self.hosts.as_ref().is_some_and(|hosts| !holds(hosts, host, https)) {
            return Err(format!("this key is not for the host `{host}`"));
        }
        if let Some(methods) = &self.methods {
            if !methods.iter().any(|it| it == method.as_str()) {
                return Err(format!("this key is not for the method {method}"));
            }
            if let Some(name) = OTHER_METHOD.iter().find(|name| headers.contains_key(**name)) {
                return Err(format!("this key has methods of its own, so `{name}` is refused"));
            }
        }
        if let Some(paths) = &self.paths
            && !paths.iter().any(|it| it.0 == "*")
        {
            let path = plain(url.path())?;
            if !leads_into(paths, &path) {
                return Err("this key is not for this path".to_owned());
            }
        }
        self.check_sources(asked)
    }

    /// Whether its paths are those of any bucket, where the host of a request names it.
    pub(super) fn leaves_bucket_open(&self) -> bool {
        let has_paths = self.paths.as_ref().is_some_and(|paths| paths.iter().all(|it| it.0 != "*"));
        has_paths && self.hosts.is_none() && self.services.has("s3")
    }

    /// Whether what is read at another place than the request's own may be read.
    fn check_sources(&self, asked: Asked<'_>) -> Result<(), String> {
        let all_paths = self.paths.as_ref().is_none_or(|paths| paths.iter().any(|it| it.0 == "*"));
        if self.hosts.is_none() && all_paths {
            return Ok(());
        }
        let hidden = asked.url.query().is_some_and(|query| {
            query.split('&').any(|pair| {
                let name = pair.split('=').next().unwrap_or_default();
                let name: Vec<u8> = percent_decode_str(name).collect();
                SOURCES.iter().any(|source| name.eq_ignore_ascii_case(source.as_bytes()))
            })
        });
        if hidden {
            return Err("this key has hosts or paths of its own, so a source to copy from is no \
                        parameter of its requests"
                .to_owned());
        }
        // It names an object of the same bucket, in a form that is S3 Express's own.
        if asked.headers.contains_key(RENAME_SOURCE) {
            return Err(format!(
                "this key has hosts or paths of its own, so `{RENAME_SOURCE}` is refused"
            ));
        }
        let mut sources = asked.headers.get_all(COPY_SOURCE).iter();
        match (sources.next(), sources.next()) {
            (None, _) => Ok(()),
            (Some(source), None) => self.check_source(source, asked),
            (Some(_), Some(_)) => Err(format!("the request has two `{COPY_SOURCE}` headers")),
        }
    }

    /// Whether an object that is copied from, `bucket/key`, may be read: as if it were requested itself,
    /// in the way in which the request names its own bucket.
    fn check_source(&self, source: &HeaderValue, asked: Asked<'_>) -> Result<(), String> {
        let refuse = || format!("this key is not for what `{COPY_SOURCE}` names");
        let source = source.to_str().map_err(|_| refuse())?;
        // Whoever reads it as a URL takes what follows for no part of the name.
        if source.contains('#') {
            return Err(refuse());
        }
        let source = source.split_once('?').map_or(source, |(source, _)| source);
        let source = source.strip_prefix('/').unwrap_or(source);
        // An access point's name says nothing of its bucket.
        if source.starts_with("arn:") || source.starts_with("arn%") {
            return Err(refuse());
        }
        let source = plain(&format!("/{source}"))?;
        let (bucket, key) = source[1..].split_once('/').ok_or_else(refuse)?;
        let holds = |path: &str| self.paths.as_ref().is_none_or(|paths| leads_into(paths, path));
        let is_allowed = match BucketPlace::of(asked.host) {
            BucketPlace::Path => holds(&source),
            BucketPlace::Host(own) => own == bucket && holds(&format!("/{key}")),
            BucketPlace::Unknown => false,
        };
        if is_allowed { Ok(()) } else { Err(refuse()) }
    }
}

/// Where a request to a host names its bucket.
#[derive(Debug, PartialEq, Eq)]
enum BucketPlace<'h> {
    Host(&'h str),
    Path,
    /// Nothing in the name says it.
    Unknown,
}

impl BucketPlace<'_> {
    fn of(host: &Authority) -> BucketPlace<'_> {
        let name = host.host();
        let is_s3 = |rest: &str| {
            let label = rest.split('.').next().unwrap_or_default();
            label == "s3" || label.starts_with("s3-")
        };
        let mut dots = name.match_indices('.');
        if let Some((at, _)) = dots.find(|(at, _)| is_s3(&name[at + 1..])) {
            return BucketPlace::Host(&name[..at]);
        }
        // An address or a name without a dot has no room for a bucket.
        let is_address = name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
        match is_s3(name) || is_address || !name.contains('.') {
            true => BucketPlace::Path,
            false => BucketPlace::Unknown,
        }
    }
}

fn holds(hosts: &[HostPattern], host: &Authority, https: bool) -> bool {
    let port = if https { 443 } else { 80 };
    hosts.iter().any(|pattern| pattern.holds_authority(host, port))
}

/// Whether a path is one of these. Some services leave out what follows a `;` in a segment: then only a pattern that
/// says nothing of a path's end is sure to hold for what they read.
fn leads_into(paths: &[PathPattern], path: &str) -> bool {
    let is_plain = !path.contains(';');
    paths.iter().any(|pattern| pattern.holds(path) && (is_plain || pattern.0.ends_with('*')))
}

/// What a path says once its escapes are decoded, if all that could be behind us agree on that.
///
/// One service may decode once more, another take `\` for `/`, `//` for `/`, or dots for a way out. A path that
/// is limited must be one that none of them reads otherwise.
fn plain(path: &str) -> Result<String, String> {
    let refuse = |what: &str| {
        let message = format!("this key has paths of its own, so a path with {what} is refused");
        Err(message)
    };
    if has_dot_segment(path) {
        return refuse("a dot segment");
    }
    let is_escape = |at: usize, text: &[u8]| {
        text.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    let bytes = path.as_bytes();
    if (0..bytes.len()).any(|at| bytes[at] == b'%' && !is_escape(at, bytes)) {
        return refuse("an escape that is none");
    }
    let lower = path.to_ascii_lowercase();
    if lower.contains("%2f") {
        return refuse("an escaped slash");
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    if (0..decoded.len()).any(|at| decoded[at] == b'%' && is_escape(at, &decoded)) {
        return refuse("an escape that is escaped");
    }
    if decoded.windows(2).any(|pair| pair == b"//") {
        return refuse("an empty segment");
    }
    if decoded.contains(&b'\\') {
        return refuse("a backslash");
    }
    if decoded.iter().any(u8::is_ascii_control) {
        return refuse("a control byte");
    }
    match String::from_utf8(decoded) {
        Ok(text) => Ok(text),
        Err(_) => refuse("bytes that are not UTF-8"),
    }
}

/// The paths that a key may be used for: decoded, `*` standing for any run of characters, slashes among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathPattern(String);

impl PathPattern {
    fn holds(&self, path: &str) -> bool {
        let (pattern, path) = (self.0.as_bytes(), path.as_bytes());
        let (mut at, mut reached) = (0, 0);
        // Where the last star stands, and to where it reaches so far.
        let mut star: Option<(usize, usize)> = None;
        while reached < path.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, reached));
                    at += 1;
                }
                Some(byte) if *byte == path[reached] => {
                    at += 1;
                    reached += 1;
                }
                _ => match &mut star {
                    Some((of_star, until)) => {
                        *until += 1;
                        (at, reached) = (*of_star + 1, *until);
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

impl FromStr for PathPattern {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<PathPattern, ConfigError> {
        let wrong = |what: &str| Err(ConfigError::new(format!("`{}` {what}", text.escape_debug())));
        if !text.starts_with(['/', '*']) {
            return wrong("begins neither with `/` nor with `*`, as all paths do");
        }
        // What `plain` refuses holds for no path. Escapes are decoded before the pattern is asked.
        let escaped = text.replace('%', "%25");
        if plain(&escaped).is_err() {
            return wrong(
                "holds for no path: paths are written without escapes, dot segments and `//`",
            );
        }
        Ok(PathPattern(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<PathPattern, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

const COPY_SOURCE: &str = "x-amz-copy-source";
const RENAME_SOURCE: &str = "x-amz-rename-source";
const SOURCES: [&str; 2] = [COPY_SOURCE, RENAME_SOURCE];

/// Headers by which some servers take a request for one of another method.
const OTHER_METHOD: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().expect(text)
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (text, path, expected) in [
            ("/bucket/*", "/bucket/", true),
            ("/bucket/*", "/bucket/a/b", true),
            ("/bucket/*", "/bucket", false),
            ("/bucket/*", "/bucket2/a", false),
            ("/bucket/*", "/a/bucket/b", false),
            ("/a/*/c", "/a/b/b/c", true),
            ("/a/*/c", "/a/c", false),
            ("/*.jpg", "/a/b.jpg", true),
            ("/*.jpg", "/a/b.jpg/c", false),
            ("/a*b*c", "/abxbxc", true),
            ("/a*b*c", "/acb", false),
            ("*", "/", true),
            ("/one", "/one", true),
            ("/one", "/One", false),
            ("/é*", "/éa", true),
        ] {
            assert_eq!(pattern(text).holds(path), expected, "{text} {path}");
        }
        let long = "a".repeat(100_000);
        assert!(!pattern("/*a*a*b").holds(&long));
    }

    #[test]
    fn a_pattern_that_holds_for_no_path_is_none() {
        for text in ["", "bucket/*", "/a/../b", "/a//b", "/a%20b", "/a\\b", "/a\nb", "/%2e"] {
            text.parse::<PathPattern>().expect_err(text);
        }
        pattern("/100%");
    }

    #[test]
    fn a_path_that_could_be_read_otherwise_is_refused() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a//b",
            "//",
            "/a%2fb",
            "/a%2Fb",
            "/a\\b",
            "/a%5cb",
            "/a%00",
            "/a%0ab",
            "/a%7f",
            "/a%252fb",
            "/a%25%32%66b",
            "/a%252e%252e/b",
            "/a%",
            "/a%g0",
            "/a%c0%ae",
            "/..;/b",
        ] {
            plain(path).expect_err(path);
        }
        for (path, expected) in [
            ("/", "/"),
            ("/a%20b+c", "/a b+c"),
            ("/%C3%A9", "/é"),
            ("/100%25", "/100%"),
            ("/100%25x", "/100%x"),
            ("/a..b/...", "/a..b/..."),
            ("/a%3Fb", "/a?b"),
        ] {
            assert_eq!(plain(path).as_deref(), Ok(expected), "{path}");
        }
    }

    fn check(policy: &Policy, host: &str, path: &str, source: Option<&str>) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        if let Some(source) = source {
            headers.insert(COPY_SOURCE, HeaderValue::from_str(source).expect("a value"));
        }
        policy.check(Asked {
            region: "eu-central-1",
            service: "s3",
            method: &Method::PUT,
            host: &host.parse().expect("a host"),
            https: true,
            url: &format!("https://{host}{path}").parse().expect("a URL"),
            headers: &headers,
        })
    }

    fn policy(hosts: Option<&[&str]>, paths: Option<&[&str]>) -> Policy {
        Policy {
            services: Services::All,
            regions: None,
            hosts: hosts.map(|all| all.iter().map(|it| it.parse().expect(it)).collect()),
            methods: None,
            paths: paths.map(|all| all.iter().map(|it| pattern(it)).collect()),
        }
    }

    #[test]
    fn what_is_copied_from_must_be_allowed_as_well() {
        let (s3, own) = ("s3.eu-central-1.amazonaws.com", "own.s3.eu-central-1.amazonaws.com");
        let by_path = policy(None, Some(&["/own/*", "/shared/one"]));
        let by_host = policy(Some(&[own]), None);
        let by_dotted = policy(Some(&["own.data.s3.eu-central-1.amazonaws.com"]), None);
        let by_both = policy(Some(&[own]), Some(&["/in/*"]));
        let free = policy(None, None);
        for (policy, host, path, source, expected) in [
            (&by_path, s3, "/own/a", "/own/b", true),
            (&by_path, s3, "/own/a", "own/b%20c?versionId=/other/x", true),
            (&by_path, s3, "/own/a", "shared/one", true),
            (&by_path, s3, "/own/a", "/other/b", false),
            (&by_path, s3, "/own/a", "/own/../other/b", false),
            (&by_path, s3, "/own/a", "/own%2F..%2Fother/b", false),
            (&by_path, s3, "/own/a", "/own/%252e%252e/other", false),
            (&by_path, s3, "/own/a", "//own/b", false),
            (&by_path, s3, "/own/a", "own", false),
            (&by_path, s3, "/own/a", "", false),
            (&by_path, s3, "/own/a", "arn:aws:s3:eu-central-1:1:accesspoint/p/object/own/b", false),
            (&by_path, s3, "/own/a", "arn%3Aaws%3As3", false),
            (&by_path, s3, "/own/a", "/own/b#c", false),
            (&by_path, s3, "/own/a", "/own/b%23c", true),
            (&by_path, s3, "/own/a", "/own/b;c", true),
            (&by_path, "minio.example:9000", "/own/a", "/own/b", false),
            (&by_path, "localhost:9000", "/own/a", "/own/b", true),
            (&by_path, "127.0.0.1:9000", "/own/a", "/own/b", true),
            (&by_host, own, "/a", "/own/b", true),
            (&by_host, own, "/a", "/other/b", false),
            (&by_host, own, "/a", "/ow/b", false),
            (&by_dotted, "own.data.s3.eu-central-1.amazonaws.com", "/a", "/own/b", false),
            (&by_dotted, "own.data.s3.eu-central-1.amazonaws.com", "/a", "/own.data/b", true),
            // Not the bucket `s3-fips`, with the paths of the host's own.
            (&by_path, "s3-fips.eu-central-1.amazonaws.com", "/own/a", "/s3-fips/own/b", false),
            (&by_both, own, "/in/a", "/own/in/b", true),
            (&by_both, own, "/in/a", "/own/out/b", false),
            // The bucket `in`, not a path within `own`.
            (&by_both, own, "/in/a", "/in/b", false),
            (&free, s3, "/own/a", "/other/b", true),
            (&free, own, "/own/a", "/other/../b", true),
        ] {
            let result = check(policy, host, path, Some(source));
            assert_eq!(result.is_ok(), expected, "{host} {path} {source}: {result:?}");
        }
        assert!(check(&by_host, own, "/a?X-Amz-Copy%2dSource=/other/b", None).is_err());
    }

    #[test]
    fn what_follows_a_semicolon_fits_no_end_of_a_pattern() {
        let these = policy(None, Some(&["/own/*", "/*.jpg", "/one;two"]));
        for (path, expected) in [
            ("/own/a;b", true),
            ("/a.jpg", true),
            ("/secret;.jpg", false),
            ("/secret%3b.jpg", false),
            ("/one;two", false),
        ] {
            assert_eq!(check(&these, "h", path, None).is_ok(), expected, "{path}");
        }
        assert_eq!(check(&policy(None, None), "h", "/one;two", None), Ok(()));
    }

    #[test]
    fn each_limit_holds_by_itself() {
        let all = policy(None, None);
        assert_eq!(check(&all, "h", "/a//../b", None), Ok(()));
        let none = |policy: Policy| check(&policy, "h", "/a", None).expect_err("a limit");
        let these = |names: &[&str]| Some(names.iter().map(|&it| it.to_owned()).collect());
        let services = Services::These(vec!["sqs".to_owned()]);
        assert!(none(Policy { services, ..policy(None, None) }).contains("service `s3`"));
        let regions = these(&["eu-central-2"]);
        assert!(none(Policy { regions, ..policy(None, None) }).contains("region `eu-central-1`"));
        assert!(none(Policy { regions: these(&[]), ..policy(None, None) }).contains("region"));
        let methods = these(&["GET", "put"]);
        assert!(none(Policy { methods, ..policy(None, None) }).contains("method PUT"));
        assert!(none(policy(Some(&["i", "*.h"]), None)).contains("host `h`"));
        assert!(none(policy(Some(&[]), None)).contains("host `h`"));
        assert!(none(policy(None, Some(&["/b"]))).contains("path"));
        assert!(none(policy(None, Some(&[]))).contains("path"));
    }
}
