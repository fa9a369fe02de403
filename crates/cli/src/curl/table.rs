//! curl's options: which take a value, and what each means for a signature.

/// An option of curl's.
#[derive(Clone, Copy, Debug)]
pub(super) struct CurlOption {
    /// Its names, as in `-X --request`.
    pub(super) names: &'static str,
    pub(super) takes_value: bool,
    pub(super) meaning: Meaning,
}

/// What an option does to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Cookie,
    Data(Encoding),
    Form,
    Get,
    GlobOff,
    /// It changes nothing that a signature covers.
    Harmless,
    Head,
    Header,
    Method,
    PathAsIs,
    ProtoDefault,
    ProxyHeader,
    /// What it does cannot be signed, for this reason.
    Refused(&'static str),
    /// curl writes a header of its own from the value. It goes unsigned, as the User-Agent does:
    /// AWS asks for no more than `host`, `content-type` and `x-amz-*`.
    UnsignedHeader,
    Upload,
    Url,
}

/// How curl reads the value of an option that adds to the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `@` names a file, whose bytes are sent.
    Binary,
    /// As [`Encoding::Binary`], added without an `&` in front, and JSON by its Content-Type.
    Json,
    /// The value is sent, whatever it begins with.
    Raw,
    /// `@` names a file; line ends and NULs in it are dropped.
    Text,
    /// One of `content`, `=content`, `name=content`, `@file` and `name@file`; the content is
    /// encoded.
    UrlEncode,
}

/// The option with this name, as in `-X` or `--request`.
pub(super) fn find(name: &[u8]) -> Option<CurlOption> {
    OPTIONS.iter().find_map(|&(meaning, takes_value, options)| {
        let is_it = |names: &&&str| names.split(' ').any(|known| known.as_bytes() == name);
        let names = options.iter().find(is_it)?;
        Some(CurlOption { names, takes_value, meaning })
    })
}

/// The switch that this argument turns off, as in `--no-location`.
pub(super) fn find_negated(name: &[u8]) -> Option<CurlOption> {
    let switch = name.strip_prefix(b"--no-")?;
    find(&[b"--", switch].concat()).filter(|option| !option.takes_value)
}

/// Whether the argument behind this one is its value.
pub(super) fn takes_next(arg: &[u8]) -> bool {
    match arg {
        [b'-', b'-', ..] => find(arg).is_some_and(|option| option.takes_value),
        [b'-', letters @ ..] => {
            let valued =
                |letter: &u8| find(&[b'-', *letter]).is_some_and(|option| option.takes_value);
            // Whatever stands behind the first letter that takes a value is the value.
            letters.iter().position(valued).is_some_and(|at| at + 1 == letters.len())
        }
        _ => false,
    }
}

const AUTHENTICATION: &str =
    "with it curl writes an Authorization header of its own in place of the signature";
const BODY: &str = "it changes the body behind the signature";
const CONFIG: &str = "the file may change anything in the request: give what it holds as arguments";
const NETRC: &str =
    "a password found there makes curl write an Authorization header in place of the signature";
const NO_REQUEST: &str = "it makes curl print and stop: run curl itself";
const OTHER_HOST: &str =
    "what it remembers may send the request, signature and token, somewhere else";
const REDIRECT: &str = "it would hand the signature and the session token to whatever host the \
                        answer names, for which they were not made: sign a request to the new URL";

/// Meaning, whether a value follows, and the names of all options of that kind.
///
/// An option that is not here is refused: so are those for other protocols, and whatever curl
/// learns next.
const OPTIONS: &[(Meaning, bool, &[&str])] = &[
    (Meaning::Cookie, true, &["-b --cookie"]),
    (Meaning::Data(Encoding::Binary), true, &["--data-binary"]),
    (Meaning::Data(Encoding::Json), true, &["--json"]),
    (Meaning::Data(Encoding::Raw), true, &["--data-raw"]),
    (Meaning::Data(Encoding::Text), true, &["-d --data", "--data-ascii"]),
    (Meaning::Data(Encoding::UrlEncode), true, &["--data-urlencode"]),
    (Meaning::Form, true, &["-F --form", "--form-string"]),
    (Meaning::Get, false, &["-G --get"]),
    (Meaning::GlobOff, false, &["-g --globoff"]),
    (Meaning::Head, false, &["-I --head"]),
    (Meaning::Header, true, &["-H --header"]),
    (Meaning::Method, true, &["-X --request"]),
    (Meaning::PathAsIs, false, &["--path-as-is"]),
    (Meaning::ProtoDefault, true, &["--proto-default"]),
    (Meaning::ProxyHeader, true, &["--proxy-header"]),
    (Meaning::UnsignedHeader, true, &["-A --user-agent", "-e --referer", "-r --range"]),
    (Meaning::Upload, true, &["-T --upload-file"]),
    (Meaning::Url, true, &["--url"]),
    (
        Meaning::Harmless,
        false,
        &[
            "-# --progress-bar",
            "-0 --http1.0",
            "-1 --tlsv1",
            "-2 --sslv2",
            "-3 --sslv3",
            "-4 --ipv4",
            "-6 --ipv6",
            "-f --fail",
            "-i --include --show-headers",
            "-J --remote-header-name",
            "-j --junk-session-cookies",
            "-k --insecure",
            "-N --no-buffer",
            "-O --remote-name",
            "-p --proxytunnel",
            "-q --disable",
            "-R --remote-time",
            "-S --show-error",
            "-s --silent",
            "-v --verbose",
            "-Z --parallel",
            "--alpn",
            "--buffer",
            "--ca-native",
            "--cert-status",
            "--clobber",
            "--compressed",
            "--create-dirs",
            "--disallow-username-in-url",
            "--doh-cert-status",
            "--doh-insecure",
            "--fail-early",
            "--fail-with-body",
            "--false-start",
            "--form-escape",
            "--haproxy-protocol",
            "--http0.9",
            "--http1.1",
            "--http2",
            "--http2-prior-knowledge",
            "--http3",
            "--http3-only",
            "--ignore-content-length",
            "--keepalive",
            "--mptcp",
            "--npn",
            "--out-null",
            "--parallel-immediate",
            "--post301",
            "--post302",
            "--post303",
            "--progress-meter",
            "--proxy-anyauth",
            "--proxy-basic",
            "--proxy-ca-native",
            "--proxy-digest",
            "--proxy-http2",
            "--proxy-insecure",
            "--proxy-negotiate",
            "--proxy-ntlm",
            "--proxy-ssl-allow-beast",
            "--proxy-ssl-auto-client-cert",
            "--proxy-tlsv1",
            "--raw",
            "--remote-name-all",
            "--remove-on-error",
            "--retry-all-errors",
            "--retry-connrefused",
            "--sessionid",
            "--skip-existing",
            "--socks5-basic",
            "--socks5-gssapi",
            "--socks5-gssapi-nec",
            "--ssl",
            "--ssl-allow-beast",
            "--ssl-auto-client-cert",
            "--ssl-no-revoke",
            "--ssl-reqd",
            "--ssl-revoke-best-effort",
            "--styled-output",
            "--suppress-connect-headers",
            "--tcp-fastopen",
            "--tcp-nodelay",
            "--tls-earlydata",
            "--tlsv1.0",
            "--tlsv1.1",
            "--tlsv1.2",
            "--tlsv1.3",
            "--tr-encoding",
            "--trace-ids",
            "--trace-time",
            "--xattr",
        ],
    ),
    (
        Meaning::Harmless,
        true,
        &[
            "-c --cookie-jar",
            "-D --dump-header",
            "-E --cert",
            "-m --max-time",
            "-o --output",
            "-U --proxy-user",
            "-w --write-out",
            "-x --proxy",
            "-Y --speed-limit",
            "-y --speed-time",
            "--abstract-unix-socket",
            "--cacert",
            "--capath",
            "--cert-type",
            "--ciphers",
            "--connect-timeout",
            "--connect-to",
            "--create-file-mode",
            "--crlfile",
            "--curves",
            "--dns-interface",
            "--dns-ipv4-addr",
            "--dns-ipv6-addr",
            "--dns-servers",
            "--doh-url",
            "--ech",
            "--egd-file",
            "--engine",
            "--etag-save",
            "--expect100-timeout",
            "--happy-eyeballs-timeout-ms",
            "--haproxy-clientip",
            "--interface",
            "--ip-tos",
            "--keepalive-cnt",
            "--keepalive-time",
            "--key",
            "--key-type",
            "--libcurl",
            "--limit-rate",
            "--local-port",
            "--max-filesize",
            "--max-redirs",
            "--noproxy",
            "--output-dir",
            "--parallel-max",
            "--parallel-max-host",
            "--pass",
            "--pinnedpubkey",
            "--preproxy",
            "--proto",
            "--proto-redir",
            "--proxy-cacert",
            "--proxy-capath",
            "--proxy-cert",
            "--proxy-cert-type",
            "--proxy-ciphers",
            "--proxy-crlfile",
            "--proxy-key",
            "--proxy-key-type",
            "--proxy-pass",
            "--proxy-pinnedpubkey",
            "--proxy-service-name",
            "--proxy-tls13-ciphers",
            "--proxy-tlsauthtype",
            "--proxy-tlspassword",
            "--proxy-tlsuser",
            "--proxy1.0",
            "--random-file",
            "--rate",
            "--resolve",
            "--retry",
            "--retry-delay",
            "--retry-max-time",
            "--sigalgs",
            "--socks4",
            "--socks4a",
            "--socks5",
            "--socks5-gssapi-service",
            "--socks5-hostname",
            "--stderr",
            "--tls-max",
            "--tls13-ciphers",
            "--tlsauthtype",
            "--tlspassword",
            "--tlsuser",
            "--trace",
            "--trace-ascii",
            "--trace-config",
            "--unix-socket",
            "--vlan-priority",
        ],
    ),
    (
        Meaning::Refused(AUTHENTICATION),
        false,
        &["--anyauth", "--basic", "--digest", "--negotiate", "--ntlm", "--ntlm-wb"],
    ),
    (
        Meaning::Refused(AUTHENTICATION),
        true,
        &["-u --user", "--aws-sigv4", "--login-options", "--oauth2-bearer"],
    ),
    (Meaning::Refused(BODY), false, &["-a --append", "-B --use-ascii", "--crlf"]),
    (Meaning::Refused(CONFIG), true, &["-K --config"]),
    (Meaning::Refused(NETRC), false, &["-n --netrc", "--netrc-optional"]),
    (Meaning::Refused(NETRC), true, &["--netrc-file"]),
    (Meaning::Refused(NO_REQUEST), false, &["-M --manual", "-V --version", "-h --help"]),
    (Meaning::Refused(OTHER_HOST), true, &["--alt-svc", "--hsts"]),
    (Meaning::Refused(REDIRECT), false, &["-L --location", "--follow", "--location-trusted"]),
    (
        Meaning::Refused(
            "it begins a second request, and a signature holds for one: call once for each",
        ),
        false,
        &["-: --next"],
    ),
    (
        Meaning::Refused("it leaves out a part of the body or of the answer: use -r for a range"),
        true,
        &["-C --continue-at"],
    ),
    (
        Meaning::Refused("the header it sends comes from a file: use -H 'If-None-Match: …'"),
        true,
        &["--etag-compare"],
    ),
    (
        Meaning::Refused("the header it sends may come from a file: use -H 'If-Modified-Since: …'"),
        true,
        &["-z --time-cond"],
    ),
    (
        Meaning::Refused(
            "the target it sends is not that of the URL: write the URL as it is to be sent",
        ),
        true,
        &["--request-target"],
    ),
    (
        Meaning::Refused(
            "not every curl has it: write it into the URL, or use -G with --data-urlencode",
        ),
        true,
        &["--url-query"],
    ),
    (
        Meaning::Refused("what it stands for is known to curl alone: let the shell fill it in"),
        true,
        &["--variable"],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_name_stands_once() {
        let mut seen = HashSet::new();
        for (_, _, options) in OPTIONS {
            for name in options.iter().flat_map(|names| names.split(' ')) {
                assert!(name.starts_with("--") || name.len() == 2, "{name}");
                assert!(seen.insert(name), "{name} stands twice");
            }
        }
    }

    #[test]
    fn a_value_may_be_glued_to_a_letter_or_follow_it() {
        for (arg, follows) in [
            ("-X", true),
            ("-XPUT", false),
            ("-sSo", true),
            ("-sSoX", false),
            ("-s", false),
            ("--request", true),
            ("--silent", false),
            ("--unheard-of", false),
            ("-", false),
            ("https://example.com/", false),
        ] {
            assert_eq!(takes_next(arg.as_bytes()), follows, "{arg}");
        }
    }

    #[test]
    fn a_switch_is_turned_off_by_no_in_front() {
        let names = |arg: &str| find_negated(arg.as_bytes()).map(|option| option.names);
        assert_eq!(names("--no-location"), Some("-L --location"));
        assert_eq!(names("--no-keepalive"), Some("--keepalive"));
        assert_eq!(names("--no-request"), None);
        assert_eq!(names("--noproxy"), None);
    }
}
