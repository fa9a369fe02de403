//! The URL of a curl command line, as curl sends it.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::failure::Failure;

/// A URL that every curl sends in the same way: with a scheme, a host that needs no translation,
/// and a path in which nothing is left to encode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    https: bool,
    host: String,
    /// `None` if it is the scheme's own.
    port: Option<u16>,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
}

impl Url {
    /// Reads what stands on a command line. Without a scheme it is HTTP, unless told otherwise.
    pub(super) fn parse(text: &[u8], https_by_default: bool) -> Result<Url, Failure> {
        let text = until(text, b"#");
        if let Some(&byte) = text.iter().find(|byte| byte.is_ascii_control() || **byte == b' ') {
            return Err(bad(format_args!(
                "contains byte 0x{byte:02x}, which curl does not send: write it as `%{byte:02X}`"
            )));
        }
        let (https, rest) = match text.windows(3).position(|window| window == b"://") {
            Some(at) if text[..at].iter().all(u8::is_ascii_alphanumeric) => {
                let scheme = &text[..at];
                let https = scheme.eq_ignore_ascii_case(b"https");
                if !https && !scheme.eq_ignore_ascii_case(b"http") {
                    let scheme = scheme.escape_ascii();
                    return Err(bad(format_args!(
                        "has the scheme `{scheme}`: only HTTP is signed"
                    )));
                }
                (https, &text[at + 3..])
            }
            _ => (https_by_default, text),
        };
        if [&b"http:/"[..], b"https:/"].iter().any(|scheme| starts_with(rest, scheme)) {
            return Err(bad("has one slash behind its scheme: write two"));
        }
        let authority = until(rest, b"/?");
        let behind = &rest[authority.len()..];
        let (host, port) = parse_authority(authority)?;
        let path = until(behind, b"?");
        let query = behind.get(path.len() + 1..).map(<[u8]>::to_vec);
        let path = if path.is_empty() { b"/".to_vec() } else { encode_non_ascii(path) };
        let port = port.filter(|&port| port != if https { 443 } else { 80 });
        Ok(Url { https, host, port, path, query })
    }

    /// The value of the Host header that curl writes.
    pub(super) fn host_header(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The target of the request line.
    pub(super) fn target(&self) -> Vec<u8> {
        let mut target = self.path.clone();
        if let Some(query) = &self.query {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        target
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let scheme = if self.https { "https" } else { "http" };
        let mut text = format!("{scheme}://{}", self.host_header()).into_bytes();
        text.extend(self.target());
        text
    }

    /// Takes `.` and `..` out of the path (RFC 3986, §5.2.4). `%2e` is no dot.
    pub(super) fn remove_dot_segments(&mut self) {
        let mut kept: Vec<&[u8]> = Vec::new();
        let mut ends_in_dots = false;
        for segment in self.path[1..].split(|&byte| byte == b'/') {
            ends_in_dots = matches!(segment, b"." | b"..");
            match segment {
                b"." => {}
                b".." => drop(kept.pop()),
                name => kept.push(name),
            }
        }
        if ends_in_dots {
            kept.push(b"");
        }
        self.path = [b"/", &kept.join(&b'/')[..]].concat();
    }

    /// Whether a curl, of whatever age, sees dot segments in the path. To those of 2025 and later,
    /// `%2e` is a dot too.
    pub(super) fn has_dot_segments(&self) -> bool {
        self.path.split(|&byte| byte == b'/').any(is_dots)
    }

    /// Whether the path ends in a dot segment.
    pub(super) fn ends_in_dots(&self) -> bool {
        is_dots(self.file_name())
    }

    /// Adds the name of the uploaded file to a path that ends in `/`, encoded as curl does: all
    /// escapes in lower case, and no `?` without a query.
    pub(super) fn complete_with(&mut self, file: &[u8]) {
        if !self.file_name().is_empty() {
            return;
        }
        let name = file.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default();
        for &byte in name {
            if is_unreserved(byte) {
                self.path.push(byte);
            } else {
                self.path.extend(format!("%{byte:02x}").into_bytes());
            }
        }
        self.path = lower_case_escapes(&self.path);
        self.query = self.query.take().filter(|query| !query.is_empty());
    }

    /// Adds the data of `-G` to the query.
    pub(super) fn add_query(&mut self, data: &[u8]) -> Result<(), Failure> {
        if let Some(&byte) =
            data.iter().find(|byte| byte.is_ascii_control() || matches!(byte, b' ' | b'#'))
        {
            return Err(Failure::input(format_args!(
                "the data for the query contains byte 0x{byte:02x}, which no query may hold: use \
                 --data-urlencode"
            )));
        }
        let mut query = self.query.take().unwrap_or_default();
        if !query.is_empty() && !query.ends_with(b"&") {
            query.push(b'&');
        }
        query.extend(lower_case_escapes(data));
        self.query = Some(query).filter(|query| !query.is_empty());
        Ok(())
    }

    /// Puts another target in place of path and query.
    pub(super) fn set_target(&mut self, target: &[u8]) {
        let path = until(target, b"?");
        self.query = target.get(path.len() + 1..).map(<[u8]>::to_vec);
        self.path = path.to_vec();
    }

    fn file_name(&self) -> &[u8] {
        self.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }
}

/// Takes the escapes out with which curl's globs are written, and refuses globs.
///
/// `[]` and an IPv6 address in brackets stand for themselves.
pub(super) fn without_globs(text: &[u8], what: &str) -> Result<Vec<u8>, Failure> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        rest = behind;
        match byte {
            b'\\' if behind.first().is_some_and(|next| b"{}[]".contains(next)) => {
                plain.push(behind[0]);
                rest = &behind[1..];
            }
            b'[' => match behind.iter().position(|&byte| byte == b']') {
                Some(end) if end == 0 || is_ipv6(&behind[..end]) => {
                    plain.push(b'[');
                    plain.extend_from_slice(&behind[..=end]);
                    rest = &behind[end + 1..];
                }
                _ => return Err(glob(*byte, what)),
            },
            b'{' | b'}' | b']' => return Err(glob(*byte, what)),
            _ => plain.push(*byte),
        }
    }
    Ok(plain)
}

pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn parse_authority(authority: &[u8]) -> Result<(String, Option<u16>), Failure> {
    if authority.contains(&b'@') {
        return Err(bad(
            "holds a user name, with which curl writes an Authorization header in place of the \
             signature: leave it out",
        ));
    }
    let Some(authority) = std::str::from_utf8(authority).ok().filter(|text| text.is_ascii()) else {
        return Err(bad(
            "has a host that is not ASCII: write it in Punycode, as in xn--bcher-kva.example",
        ));
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
            Ok(port) => Some(port),
            Err(_) => {
                return Err(bad(format_args!("has the port `{digits}`, and 65535 is the last")));
            }
        },
        other => return Err(bad(format_args!("has the port `{other}`, which is not a number"))),
    };
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let Ok(address) = address.parse::<Ipv6Addr>() else {
            return Err(bad(format_args!(
                "has the host `[{address}]`, which is no IPv6 address (nor may it have a zone)"
            )));
        };
        return Ok((format!("[{address}]"), port));
    }
    if host.is_empty() {
        return Err(bad("has no host: write it like `https://host/path`"));
    }
    if let Some(other) = host.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._~".contains(*c)) {
        return Err(bad(format_args!("has a host with `{other}` in it, which no host name has")));
    }
    // curl takes a host of numbers for an IPv4 address, in whatever notation, and sends the usual
    // one.
    if host.split('.').all(is_number) && host.parse::<Ipv4Addr>().is_err() {
        return Err(bad(format_args!(
            "has the host `{host}`, a number: write it as an address, as in 127.0.0.1"
        )));
    }
    Ok((host.to_owned(), port))
}

/// Whether this is a number as C writes it: decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    let digits = hex.unwrap_or(label);
    !digits.is_empty()
        && digits
            .bytes()
            .all(|b| if hex.is_some() { b.is_ascii_hexdigit() } else { b.is_ascii_digit() })
}

/// Encodes what is not ASCII, with the lower-case digits that curl writes.
fn encode_non_ascii(path: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii() {
            encoded.push(byte);
        } else {
            encoded.extend(format!("%{byte:02x}").into_bytes());
        }
    }
    encoded
}

/// What curl does to a part of a URL that it puts together itself.
fn lower_case_escapes(data: &[u8]) -> Vec<u8> {
    let mut lower = data.to_vec();
    for at in 0..data.len() {
        if let [b'%', a, b, ..] = data[at..]
            && a.is_ascii_hexdigit()
            && b.is_ascii_hexdigit()
        {
            lower[at + 1..at + 3].make_ascii_lowercase();
        }
    }
    lower
}

fn is_dots(segment: &[u8]) -> bool {
    let text = segment.to_ascii_lowercase();
    let mut rest = &text[..];
    let mut dots = 0;
    while let Some(behind) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b"%2e")) {
        rest = behind;
        dots += 1;
    }
    rest.is_empty() && (1..=2).contains(&dots)
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn until<'a>(text: &'a [u8], ends: &[u8]) -> &'a [u8] {
    &text[..text.iter().position(|byte| ends.contains(byte)).unwrap_or(text.len())]
}

/// The URL itself is not quoted: it may hold a password.
fn bad(problem: impl std::fmt::Display) -> Failure {
    Failure::input(format_args!("the URL {problem}"))
}

fn glob(byte: u8, what: &str) -> Failure {
    Failure::input(format_args!(
        "{what} contains `{0}`, which curl takes for a glob, and one signature holds for one \
         request: write `\\{0}`, or use -g",
        char::from(byte)
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text.as_bytes(), false).expect(text)
    }

    fn sent(text: &str) -> String {
        let mut url = url(text);
        url.remove_dot_segments();
        String::from_utf8_lossy(&url.to_bytes()).into_owned()
    }

    #[test]
    fn a_url_is_completed_as_curl_completes_it() {
        for (given, expected) in [
            ("example.com", "http://example.com/"),
            ("HTTP://Example.com:80", "http://Example.com/"),
            ("https://example.com:443?a=b#c?d", "https://example.com/?a=b"),
            ("https://example.com:0080/", "https://example.com:80/"),
            ("example.com:8080/a?", "http://example.com:8080/a?"),
            ("example.com/a?b=http://c", "http://example.com/a?b=http://c"),
            ("http://[FD00:0::1]:80/", "http://[fd00::1]/"),
            ("http://[::1]:8080", "http://[::1]:8080/"),
            ("http://h/Gr\u{fc}n?\u{fc}", "http://h/Gr%c3%bcn?\u{fc}"),
            ("http://h/%C3%BC%zz", "http://h/%C3%BC%zz"),
        ] {
            assert_eq!(sent(given), expected, "{given}");
        }
        let https = Url::parse(b"example.com", true).expect("a URL");
        assert_eq!(https.to_bytes(), b"https://example.com/");
    }

    #[test]
    fn the_host_header_has_the_port_unless_it_is_the_schemes_own() {
        assert_eq!(url("http://h:80/").host_header(), "h");
        assert_eq!(url("http://h:443/").host_header(), "h:443");
        assert_eq!(url("https://h:/").host_header(), "h");
    }

    #[test]
    fn dot_segments_are_removed_as_curl_removes_them() {
        for (given, expected) in [
            ("/a/./b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/b/../", "/a/"),
            ("/../../a", "/a"),
            ("/.", "/"),
            ("/..", "/"),
            ("/a//../b", "/a/b"),
            ("//a//b//", "//a//b//"),
            ("/a/.../.b/..c", "/a/.../.b/..c"),
            ("/a/%2e%2e/b%2E/c", "/a/%2e%2e/b%2E/c"),
            ("/a/..?x=../y", "/?x=../y"),
        ] {
            assert_eq!(sent(&format!("http://h{given}")), format!("http://h{expected}"), "{given}");
        }
    }

    #[test]
    fn encoded_dots_are_dots_to_some_curls() {
        for (path, dots) in [
            ("/a/%2e/b", true),
            ("/a/.%2E", true),
            ("/a/%2e%2e%2e", false),
            ("/a.b/%2ec", false),
            ("/", false),
        ] {
            assert_eq!(url(&format!("http://h{path}")).has_dot_segments(), dots, "{path}");
        }
        assert!(url("http://h/a/..").ends_in_dots() && !url("http://h/../a").ends_in_dots());
    }

    #[test]
    fn the_name_of_the_file_completes_a_path_that_ends_in_a_slash() {
        for (given, file, expected) in [
            ("http://h", "dir/na me+\u{fc}", "http://h/na%20me%2b%c3%bc"),
            ("http://h/b/?x=y", "f", "http://h/b/f?x=y"),
            ("http://h/b", "f", "http://h/b"),
            ("http://h/%C3%BC/?", "f", "http://h/%c3%bc/f"),
            ("http://h/b/", "c:\\dir\\f", "http://h/b/f"),
        ] {
            let mut url = url(given);
            url.complete_with(file.as_bytes());
            assert_eq!(url.to_bytes(), expected.as_bytes(), "{given}");
        }
    }

    #[test]
    fn data_joins_the_query_as_curl_joins_it() {
        for (given, data, expected) in [
            ("http://h", "a=b", "http://h/?a=b"),
            ("http://h?", "a=b", "http://h/?a=b"),
            ("http://h/?c", "a=b", "http://h/?c&a=b"),
            ("http://h/?c&", "a=b", "http://h/?c&a=b"),
            ("http://h/?c", "&a=b", "http://h/?c&&a=b"),
            ("http://h/?c", "", "http://h/?c&"),
            ("http://h/?", "", "http://h/"),
            ("http://h/?x=%2F", "a=%2F%C3%zZ%", "http://h/?x=%2F&a=%2f%c3%zZ%"),
        ] {
            let mut url = url(given);
            url.add_query(data.as_bytes()).expect(data);
            assert_eq!(String::from_utf8_lossy(&url.to_bytes()), expected, "{given} {data}");
        }
        for data in ["a b", "a#b", "a\nb"] {
            assert!(url("http://h").add_query(data.as_bytes()).is_err(), "{data:?}");
        }
    }

    #[test]
    fn a_url_that_curl_would_translate_is_refused() {
        for (given, why) in [
            ("", "no host"),
            ("http:///a", "no host"),
            ("http:/h/a", "one slash"),
            ("http://h/a b", "0x20"),
            ("http://h/a\n", "0x0a"),
            ("ftp://h/", "`ftp`"),
            ("http://name:password@h/", "user name"),
            ("http://b\u{fc}cher.example/", "Punycode"),
            ("http://%68/", "`%`"),
            ("http://h\\x/", "`\\`"),
            ("http://127.1/", "a number"),
            ("http://0x7f.0.0.1/", "a number"),
            ("http://2130706433/", "a number"),
            ("http://127.0.0.01/", "a number"),
            ("http://h:65536/", "65535"),
            ("http://h:+80/", "not a number"),
            ("http://[::1%25eth0]/", "zone"),
            ("http://[::1/", "`[`"),
        ] {
            let failure = Url::parse(given.as_bytes(), false).expect_err(given);
            assert!(failure.message.contains(why), "{given}: {failure}");
            assert!(!failure.message.contains("password"), "{failure}");
        }
    }

    #[test]
    fn globs_are_refused_and_their_escapes_taken_out() {
        for (given, expected) in [
            ("http://h/a\\{b\\}\\[1\\]", Some("http://h/a{b}[1]")),
            ("http://h/?a[]=1\\x", Some("http://h/?a[]=1\\x")),
            ("http://[::1]/", Some("http://[::1]/")),
            ("http://h/[1-3]", None),
            ("http://h/{a,b}", None),
            ("http://h/a}", None),
            ("http://h/a]", None),
            ("http://h/[", None),
        ] {
            let plain = without_globs(given.as_bytes(), "the URL").ok();
            assert_eq!(plain.as_deref(), expected.map(str::as_bytes), "{given}");
        }
    }

    proptest! {
        #[test]
        fn a_url_that_is_read_reads_back_as_itself(
            text in "(https?://)?[a-z0-9.:\\[\\]/?#%@\\\\ \u{fc}{}-]{0,40}"
        ) {
            if let Ok(mut url) = Url::parse(text.as_bytes(), false) {
                url.remove_dot_segments();
                prop_assert_eq!(Url::parse(&url.to_bytes(), true).expect("read before"), url);
            }
        }
    }
}
