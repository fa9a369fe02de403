//! Many presigned URLs at once are those that are made one by one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign::{
    Credentials, Error, ErrorKind, Head, Headers, Payload, Presign, PresignMany, Rules, Scratch,
    Signer,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{option, prelude::*, sample::select};

proptest! {
    #[test]
    fn each_key_has_the_url_that_presign_comes_to(
        setting in any_setting(),
        keys in proptest::collection::vec(any_key(), 1..8),
    ) {
        let mut many = setting.many().unwrap();
        for key in &keys {
            let path = setting.directory.to_owned() + &utf8_percent_encode(key, &RESERVED).to_string();
            let query = setting.query.map(|query| format!("?{query}")).unwrap_or_default();
            let url = format!("{}{path}{query}", setting.origin);
            let mut request = http::Request::builder().method(setting.method).uri(url);
            if let Some(value) = setting.header {
                request = request.header("x-amz-meta-a", value);
            }
            let mut request = request.body(()).unwrap();
            let life = setting
                .signer
                .presign(&mut request, setting.presign(), &setting.credentials, setting.at)
                .unwrap();
            prop_assert_eq!(many.key(key), request.uri().to_string(), "{:?}", key);
            prop_assert_eq!(many.life(), life);
        }
    }

    #[test]
    fn each_path_has_the_url_or_the_error_that_presign_comes_to(
        setting in any_setting(),
        paths in proptest::collection::vec("/?([a-z/.+~=é %]|%[0-9a-fA-F]{2}){0,20}", 1..8),
    ) {
        let mut many = setting.many().unwrap();
        for path in &paths {
            let one = setting.one(path);
            match many.path(path) {
                Ok(url) => prop_assert_eq!(url, one.unwrap()),
                Err(error) => {
                    let one = one.unwrap_err();
                    prop_assert_eq!(error.kind(), one.kind());
                    prop_assert_eq!(error.to_string(), one.to_string());
                }
            }
        }
    }
}

#[test]
fn a_bad_path_is_an_error_and_the_next_path_is_signed() {
    let setting = Setting::s3();
    let mut many = setting.many().unwrap();
    for (path, kind) in [
        ("relative", ErrorKind::InvalidUrl),
        ("/100%", ErrorKind::MalformedEscape),
        ("/a?b", ErrorKind::InvalidUrl),
        ("/a#b", ErrorKind::InvalidUrl),
        ("/a\nb", ErrorKind::InvalidUrl),
        ("/a\u{7f}", ErrorKind::InvalidUrl),
    ] {
        assert_eq!(many.path(path).unwrap_err().kind(), kind, "{path:?}");
        assert_eq!(many.path("/cat.jpg").unwrap(), setting.one("/cat.jpg").unwrap());
    }
}

#[test]
fn a_bad_pattern_is_refused_before_any_key() {
    let s3 = Setting::s3();
    let kind = |setting: Setting| setting.many().unwrap_err().kind();
    assert_eq!(kind(Setting { directory: "/100%", ..s3.clone() }), ErrorKind::MalformedEscape);
    assert_eq!(kind(Setting { query: Some("a=%"), ..s3.clone() }), ErrorKind::MalformedEscape);
    assert_eq!(kind(Setting { seconds: 0, ..s3.clone() }), ErrorKind::InvalidExpiry);
    assert_eq!(kind(Setting { method: "GET /", ..s3.clone() }), ErrorKind::InvalidMethod);
    assert_eq!(kind(Setting { origin: "", ..s3.clone() }), ErrorKind::MissingHost);
    let nobody = Credentials::new("", "secret");
    assert_eq!(kind(Setting { credentials: nobody, ..s3 }), ErrorKind::InvalidCredentials);
}

#[test]
fn a_pattern_with_bytes_that_no_text_has_is_refused_by_the_name_of_its_part() {
    let (signer, credentials) =
        (Signer::new("us-east-1", "s3"), Credentials::new("AKID", "secret"));
    for (target, part) in [
        (&b"https://b.s3.amazonaws.com/\xff/"[..], "path"),
        (b"https://b.s3.amazonaws.com/?a=\xff", "query"),
    ] {
        let head = Head::parse(b"GET", target, Headers::Pairs(&[])).unwrap();
        let presign = Presign::expires_in(Duration::from_secs(60));
        let error = signer.presign_many(head, presign, &credentials, UNIX_EPOCH).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl);
        assert!(error.to_string().contains(&format!("the {part} is not UTF-8")), "{error}");
    }
}

#[test]
fn a_signed_body_is_told_in_the_header_to_send() {
    let headers: [(&[u8], &[u8]); 1] = [(b"x-amz-content-sha256", b"?")];
    let target = b"https://bucket.s3.amazonaws.com/";
    let head = Head::parse(b"PUT", target, Headers::Pairs(&headers)).unwrap();
    let presign = Presign::expires_in(Duration::from_secs(60)).with_payload(Payload::hash("meow"));
    let (signer, credentials) =
        (Signer::new("us-east-1", "s3"), Credentials::new("AKID", "secret"));
    let many = signer.presign_many(head, presign, &credentials, UNIX_EPOCH).unwrap();
    let hash = Payload::hash("meow").line();
    assert_eq!(many.headers().collect::<Vec<_>>(), [("x-amz-content-sha256", hash.as_str())]);
    assert_eq!(Setting::s3().many().unwrap().headers().count(), 0);
}

#[test]
fn nothing_that_signs_is_shown() {
    let credentials = Credentials::new("AKID", "secret").with_session_token("a-session-token");
    let many = Setting { credentials, ..Setting::s3() }.many().unwrap();
    let shown = format!("{many:?}");
    assert!(!shown.contains("token") && !shown.contains("AKID"), "{shown}");
}

#[cfg(feature = "sigv4a")]
#[test]
fn urls_for_many_regions_are_accepted_by_each() {
    use countersign::{
        sigv4a::{self, VerifyingKey},
        verify::{Known, Verifier},
    };

    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let signer = sigv4a::signer("us-east-1,eu-*", "s3");
    let setting = Setting { signer, credentials, ..Setting::s3() };
    let mut many = setting.many().unwrap();
    let key = VerifyingKey::derive("AKIDEXAMPLE", "secret");
    let verifier = Verifier::new().with_sigv4a();
    for name in ["cat.jpg", "é/+"] {
        let url = many.key(name).to_owned();
        let host: [(&[u8], &[u8]); 1] = [(b"host", b"bucket.s3.amazonaws.com")];
        let head = Head::parse(b"GET", url.as_bytes(), Headers::Pairs(&host)).unwrap();
        let claim = verifier.claim(head, setting.at).unwrap();
        let (_, body) = claim.verify(Some(Known::new(&key)), None, &mut Scratch::new()).unwrap();
        body.finish().unwrap();
    }
}

/// All that the URLs share.
#[derive(Clone, Debug)]
struct Setting {
    signer: Signer,
    method: &'static str,
    origin: &'static str,
    directory: &'static str,
    query: Option<&'static str>,
    header: Option<&'static str>,
    credentials: Credentials,
    seconds: u64,
    at: SystemTime,
}

impl Setting {
    fn s3() -> Setting {
        Setting {
            signer: Signer::new("us-east-1", "s3"),
            method: "GET",
            origin: "https://bucket.s3.amazonaws.com",
            directory: "/",
            query: None,
            header: None,
            credentials: Credentials::new("AKIDEXAMPLE", "secret"),
            seconds: 900,
            at: UNIX_EPOCH + Duration::from_secs(1_440_938_160),
        }
    }

    fn presign(&self) -> Presign {
        Presign::expires_in(Duration::from_secs(self.seconds))
    }

    fn many(&self) -> Result<PresignMany, Error> {
        self.with_head(self.directory, |head| {
            self.signer.presign_many(head, self.presign(), &self.credentials, self.at)
        })
    }

    /// The URL of one path, by the signer of one URL.
    fn one(&self, path: &str) -> Result<String, Error> {
        let path = if path.is_empty() { "/" } else { path };
        let mut scratch = Scratch::new();
        self.with_head(path, |head| {
            let presigned = self.signer.presign_head(
                head,
                self.presign(),
                &self.credentials,
                self.at,
                &mut scratch,
            )?;
            let query = String::from_utf8(presigned.query().to_vec()).unwrap();
            Ok(format!("{}{path}?{query}", self.origin))
        })
    }

    fn with_head<T>(&self, path: &str, sign: impl FnOnce(Head<'_>) -> T) -> T {
        let (scheme, authority) = self.origin.split_once("://").unwrap_or_default();
        let header: [(&[u8], &[u8]); 1] =
            [(b"x-amz-meta-a", self.header.unwrap_or_default().as_bytes())];
        sign(Head {
            method: self.method.as_bytes(),
            https: scheme != "http",
            authority: Some(authority.as_bytes()).filter(|authority| !authority.is_empty()),
            path: path.as_bytes(),
            query: self.query.map(str::as_bytes),
            headers: Headers::Pairs(if self.header.is_some() { &header } else { &[] }),
        })
    }
}

fn any_setting() -> impl Strategy<Value = Setting> {
    let signer = select(vec![
        Signer::new("us-east-1", "s3"),
        Signer::new("eu-central-1", "s3-outposts"),
        Signer::new("eu-central-1", "execute-api"),
        Signer::new("eu-central-1", "execute-api")
            .with_rules(Rules::GENERAL.with_double_encode(false)),
        Signer::new("eu-central-1", "iotdevicegateway"),
        // Its string to sign takes more than one block before it says anything of the request.
        Signer::new("a-region-with-a-name-that-takes-more-than-a-block-of-64-bytes", "s3"),
        Signer::new("r", "s"),
    ]);
    let origin = select(vec![
        "https://bucket.s3.amazonaws.com",
        "http://127.0.0.1:9000",
        "https://Example.com:443",
    ]);
    let query = option::of(select(vec![
        "versionId=abc",
        "z=1&a=2&X-Amz-Z=3",
        "a=X-Amz-Signature=b",
        "X-Amz-Signature=old&X-Amz-Date=old&b",
    ]));
    let directory = select(vec!["/", "/bucket/", "/a%20b//c/"]);
    let rest = (
        select(vec!["GET", "PUT"]),
        option::of(select(vec!["b", "a  b"])),
        option::of(select(vec!["token", "a/token+with=all&of#it"])),
        1..=604_800_u64,
        0..4_000_000_000_u64,
    );
    (signer, origin, directory, query, rest).prop_map(
        |(signer, origin, directory, query, (method, header, token, seconds, at))| {
            let credentials = Credentials::new("AKIDEXAMPLE", "secret");
            Setting {
                signer,
                method,
                origin,
                directory,
                query,
                header,
                credentials: match token {
                    Some(token) => credentials.with_session_token(token),
                    None => credentials,
                },
                seconds,
                at: UNIX_EPOCH + Duration::from_secs(at),
            }
        },
    )
}

/// Keys of objects, most of them such as a path spells otherwise.
fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9/_-]{0,40}\\.jpg",
        "[a-z/.+%~=&;?# '()*\u{e9}\u{1f600}\u{7f}\n]{0,30}",
        any::<String>(),
        select(vec!["", "/", "//", "..", "a/../b", "./a", "a//b", "%2F", "100%", "a+b c", "~"])
            .prop_map(str::to_owned),
    ]
}

const RESERVED: AsciiSet =
    NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
