//! What other signers got wrong, each as a fact about this one.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials, Error, ErrorKind, Head, Headers, KeyCache, Payload, Presign, Rules, Scope,
    Scratch, SignRequest, Signer, SigningKey,
    verify::{Known, Verifier},
};
use http::{HeaderValue, Request, Uri};

use crate::support::{at, text};

// What is signed

#[test]
fn query_bytes_that_are_not_utf8_are_signed_as_they_are() {
    assert_eq!(query("a=%FF&b=%E4&c=%C3%28"), "a=%FF&b=%E4&c=%C3%28");
}

#[test]
fn an_s3_path_is_decoded_once_and_encoded_once() {
    assert_eq!(path("s3", "/a=b(c)+d"), "/a%3Db%28c%29%2Bd");
    assert_eq!(path("s3", "/a%3db%2Bc%7Ed"), "/a%3Db%2Bc~d");
    assert_eq!(path("s3", "/%E4%FF"), "/%E4%FF");
}

#[test]
fn an_s3_path_is_never_normalized() {
    assert_eq!(path("s3", "//a/./b/../c//"), "//a/./b/../c//");
}

#[test]
fn the_whole_s3_family_has_the_path_rules_of_s3() {
    for service in ["s3", "s3express", "s3-outposts", "s3-object-lambda"] {
        assert_eq!(path(service, "/a//b=c"), "/a//b%3Dc", "{service}");
    }
    assert_eq!(path("s3tables", "/a//b=c"), "/a/b%3Dc");
}

#[test]
fn any_other_path_is_normalized_and_encoded_again() {
    assert_eq!(path("sts", "//a///b/./c/../d/"), "/a/b/d/");
    assert_eq!(path("sts", "/a%20b/%2e%2e/c%2Fd"), "/a%2520b/%252e%252e/c%252Fd");
}

#[test]
fn a_plus_in_a_query_is_a_space() {
    assert_eq!(query("q=a+b%2Bc%20d"), "q=a%20b%2Bc%20d");
}

#[test]
fn an_encoded_query_value_is_not_encoded_again() {
    assert_eq!(query("arn=a%3Ab%2Fc&d=%7e"), "arn=a%3Ab%2Fc&d=~");
}

#[test]
fn every_value_of_a_repeated_parameter_is_signed() {
    assert_eq!(query("a=2&a=1&b&a=2"), "a=1&a=2&a=2&b=");
}

#[test]
fn a_query_is_sorted_by_name_and_then_by_value() {
    assert_eq!(
        query("Filter.10=x&a-b=1&Filter.1=y&a=2&A=3"),
        "A=3&Filter.1=y&Filter.10=x&a=2&a-b=1"
    );
}

#[test]
fn every_value_of_a_repeated_header_is_signed_in_order_of_arrival() {
    assert_eq!(headers(&[("X-A", "z"), ("b", ""), ("x-a", "a"), ("X-a", "z")]), "b:\nx-a:z,a,z\n");
}

#[test]
fn a_hundred_values_of_one_header_keep_their_order_too() {
    let values: Vec<String> = (0..100).map(|number| (number * 7 % 100).to_string()).collect();
    let mut sent: Vec<(&str, &str)> = Vec::new();
    for value in &values {
        sent.extend([("x-b", value.as_str()), ("x-a", value)]);
    }
    let joined = values.join(",");
    assert_eq!(headers(&sent), format!("x-a:{joined}\nx-b:{joined}\n"));
}

#[test]
fn blanks_in_a_header_value_are_folded_to_one_space() {
    assert_eq!(headers(&[("x-a", "  a    b\t\tc \t d  ")]), "x-a:a b c d\n");
    assert_eq!(headers(&[("x-a", "\"a   b\"")]), "x-a:\"a b\"\n");
}

#[test]
fn headers_are_sorted_by_name_and_not_by_line() {
    let sent = [("x-amz-meta-a", "1"), ("x-amz-meta", "2"), ("x-amz", "3"), ("x-amz-meta.a", "4")];
    assert_eq!(headers(&sent), "x-amz:3\nx-amz-meta:2\nx-amz-meta-a:1\nx-amz-meta.a:4\n");
}

#[test]
fn a_header_value_with_a_colon_or_a_comma_stays_whole() {
    assert_eq!(headers(&[("x-a", "b: c, d:e,f")]), "x-a:b: c, d:e,f\n");
}

#[test]
fn a_header_value_that_is_not_utf8_is_signed_byte_for_byte() {
    let mut request = get("https://example.com/");
    let value = HeaderValue::from_bytes(b"caf\xe9 \xa0").unwrap();
    request.headers_mut().insert("x-name", value);
    let (credentials, mut scratch) = (keys(), Scratch::new());
    let signed = Signer::new("us-east-1", "service")
        .sign_head(Head::from(&request), Payload::EMPTY, &credentials, now(), &mut scratch)
        .unwrap();
    assert_eq!(
        signed.canonical_request(),
        b"GET\n/\n\nhost:example.com\nx-amz-date:20150830T123600Z\nx-name:caf\xe9 \xa0\n\n\
          host;x-amz-date;x-name\n\
          e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    sign(&mut request).unwrap();
    presign(&mut request).unwrap();
}

#[test]
fn the_host_is_signed_without_userinfo_and_default_port() {
    assert_eq!(host("https://user:pass@example.com/"), "example.com");
    assert_eq!(host("https://example.com:443/"), "example.com");
    assert_eq!(host("http://example.com:80/"), "example.com");
    assert_eq!(host("https://example.com:80/"), "example.com:80");
    assert_eq!(host("https://example.com:8443/"), "example.com:8443");
    assert_eq!(host("https://[fd00::1]:443/"), "[fd00::1]");
}

#[test]
fn the_host_is_signed_whatever_is_left_out() {
    let signers =
        [signer("s3").with_unsigned_headers(["host", "Host"]), signer("s3").with_minimal_headers()];
    for signer in signers {
        let mut request = get("https://example.com/");
        signer.sign(&mut request, Payload::EMPTY, &keys(), now()).unwrap();
        assert!(authorization(&request).contains("SignedHeaders=host;"));
        signer.presign(&mut request, an_hour(), &keys(), now()).unwrap();
        assert!(request.uri().query().unwrap().contains("X-Amz-SignedHeaders=host"));
    }
}

#[test]
fn every_amz_header_of_the_caller_is_signed() {
    let mut request = get("https://bucket.s3.amazonaws.com/key");
    for name in ["x-amz-copy-source", "x-amz-acl", "x-amz-anything-new"] {
        request.headers_mut().insert(name, HeaderValue::from_static("/other/key"));
    }
    let minimal = signer("s3").with_minimal_headers();
    for signer in [signer("s3"), minimal] {
        signer.sign(&mut request, Payload::EMPTY, &keys(), now()).unwrap();
        assert!(authorization(&request).contains(
            "SignedHeaders=host;x-amz-acl;x-amz-anything-new;x-amz-content-sha256;\
             x-amz-copy-source;x-amz-date,"
        ));
    }
}

#[test]
fn a_minimal_selection_signs_host_content_headers_and_amz_headers() {
    let sent = [("accept", "1"), ("content-type", "2"), ("content-md5", "3"), ("x-custom", "4")];
    let pairs = as_bytes(&sent);
    let head = Head::parse(b"GET", b"https://example.com/", Headers::Pairs(&pairs)).unwrap();
    let (credentials, mut scratch) = (keys(), Scratch::new());
    let signed = signer("sts")
        .with_minimal_headers()
        .sign_head(head, Payload::EMPTY, &credentials, now(), &mut scratch)
        .unwrap();
    assert_eq!(signed.signed_headers(), "content-md5;content-type;host;x-amz-date");
}

#[test]
fn no_payload_but_a_streaming_one_sends_the_streaming_marker() {
    let mut request = get("https://bucket.s3.amazonaws.com/key");
    let stale = HeaderValue::from_static("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    request.headers_mut().insert("x-amz-content-sha256", stale.clone());
    for (payload, line) in
        [(Payload::EMPTY, Payload::EMPTY.line()), (Payload::Unsigned, Payload::Unsigned.line())]
    {
        signer("s3").sign(&mut request, payload, &keys(), now()).unwrap();
        assert_eq!(request.headers()["x-amz-content-sha256"], line.as_str());
    }
    signer("s3").sign(&mut request, Payload::Streaming, &keys(), now()).unwrap();
    assert_eq!(request.headers()["x-amz-content-sha256"], stale);
}

// Signing again

#[test]
fn a_request_signed_in_its_headers_is_signed_again_as_if_for_the_first_time() {
    let mut request = get("https://example.com/?a=1");
    signer("sts").sign(&mut request, Payload::EMPTY, &session(), yesterday()).unwrap();
    sign(&mut request).unwrap();
    let mut fresh = get("https://example.com/?a=1");
    sign(&mut fresh).unwrap();
    assert_eq!(all(&request), all(&fresh));
    assert!(!request.headers().contains_key("x-amz-security-token"));
}

#[test]
fn a_request_signed_in_its_headers_is_presigned_without_them() {
    let mut request = get("https://example.com/?a=1");
    signer("sts").sign(&mut request, Payload::EMPTY, &session(), yesterday()).unwrap();
    presign(&mut request).unwrap();
    let mut fresh = get("https://example.com/?a=1");
    presign(&mut fresh).unwrap();
    assert_eq!(all(&request), all(&fresh));
    assert!(request.headers().is_empty());
}

#[test]
fn a_presigned_request_is_presigned_again_as_if_for_the_first_time() {
    let mut request = get("https://example.com/?b=2&a=1");
    signer("sts").presign(&mut request, an_hour(), &session(), yesterday()).unwrap();
    presign(&mut request).unwrap();
    let mut fresh = get("https://example.com/?b=2&a=1");
    presign(&mut fresh).unwrap();
    assert_eq!(all(&request), all(&fresh));
}

#[test]
fn a_presigned_request_is_signed_in_its_headers_without_the_parameters() {
    let mut request = get("https://example.com/?b=2&a=1");
    signer("sts").presign(&mut request, an_hour(), &session(), yesterday()).unwrap();
    sign(&mut request).unwrap();
    let mut fresh = get("https://example.com/?b=2&a=1");
    sign(&mut fresh).unwrap();
    assert_eq!(all(&request), all(&fresh));
    assert_eq!(request.uri().query(), Some("b=2&a=1"));
}

#[test]
fn a_stale_date_is_replaced_and_a_date_header_stays() {
    let mut request = get("https://example.com/");
    request.headers_mut().insert("x-amz-date", HeaderValue::from_static("20110909T233600Z"));
    request.headers_mut().append("x-amz-date", HeaderValue::from_static("19700101T000000Z"));
    request.headers_mut().insert("date", HeaderValue::from_static("yesterday"));
    sign(&mut request).unwrap();
    let dates: Vec<_> = request.headers().get_all("x-amz-date").iter().collect();
    assert_eq!(dates, ["20150830T123600Z"]);
    assert_eq!(request.headers()["date"], "yesterday");
    assert!(authorization(&request).contains("SignedHeaders=date;host;x-amz-date,"));
}

// Keys

#[test]
fn a_secret_replaced_under_the_same_id_signs_at_once() {
    let (signer, mut scratch) = (signer("sts"), Scratch::new());
    let (old, new) = (Credentials::new("AKID", "old"), Credentials::new("AKID", "new"));
    for credentials in [&old, &new, &old, &new] {
        let expected = fresh_signature("sts", credentials, now());
        assert_eq!(signature(&signer, credentials, now(), &mut scratch), expected);
        let mut request = get(TANGLED);
        signer.sign(&mut request, Payload::EMPTY, credentials, now()).unwrap();
        assert!(authorization(&request).ends_with(&expected));
    }
    assert_ne!(fresh_signature("sts", &old, now()), fresh_signature("sts", &new, now()));
}

#[test]
fn the_key_changes_at_midnight_utc_on_one_scratch() {
    let (signer, mut scratch) = (signer("sts"), Scratch::new());
    for time in ["20151231T235959Z", "20160101T000000Z", "20151231T235959Z"] {
        assert_eq!(
            signature(&signer, &keys(), at(time), &mut scratch),
            fresh_signature("sts", &keys(), at(time)),
            "{time}"
        );
    }
}

#[test]
fn tenants_who_take_turns_on_one_signer_get_their_own_signatures() {
    let (signer, mut scratch) = (signer("sts"), Scratch::new());
    let tenants = [
        Credentials::new("AKIDA", "one"),
        Credentials::new("AKIDB", "two"),
        Credentials::new("AKIDA", "two"),
        Credentials::new("AKIDB", "one"),
        session(),
    ];
    for turn in 0..20 {
        let tenant = &tenants[turn * 3 % tenants.len()];
        let expected = fresh_signature("sts", tenant, now());
        assert_eq!(signature(&signer, tenant, now(), &mut scratch), expected);
    }
}

#[test]
fn a_scope_whose_parts_join_to_the_same_text_has_a_key_of_its_own() {
    let (cache, mut scratch) = (KeyCache::default(), Scratch::new());
    for (region, service) in [("us-east-1", "iam"), ("us-east-1i", "am"), ("us-east-1", "iam")] {
        let fresh = Signer::new(region, service).with_rules(Rules::GENERAL);
        let shared = fresh.clone().with_key_cache(cache.clone());
        assert_eq!(
            signature(&shared, &keys(), now(), &mut scratch),
            signature(&fresh, &keys(), now(), &mut Scratch::new())
        );
    }
    assert_eq!(cache.len(), 2);
}

#[test]
fn clones_of_a_signer_share_its_keys() {
    let cache = KeyCache::default();
    let signer = signer("sts").with_key_cache(cache.clone());
    let clones = [signer.clone(), signer.clone().with_minimal_headers(), signer];
    for clone in &clones {
        signature(clone, &keys(), now(), &mut Scratch::new());
        assert_eq!(cache.len(), 1);
    }
}

#[test]
fn threads_that_share_keys_never_mix_their_rules() {
    let cache = KeyCache::new(4);
    let expected = |service| fresh_signature(service, &keys(), now());
    thread::scope(|threads| {
        for service in ["s3", "sts", "s3", "execute-api"] {
            let signer = signer(service).with_key_cache(cache.clone());
            threads.spawn(move || {
                let expected = expected(service);
                let mut scratch = Scratch::new();
                for _ in 0..200 {
                    assert_eq!(signature(&signer, &keys(), now(), &mut scratch), expected);
                    let mut request = get(TANGLED);
                    signer.sign(&mut request, Payload::EMPTY, &keys(), now()).unwrap();
                    assert!(authorization(&request).ends_with(&expected), "{service}");
                }
            });
        }
    });
}

// Errors

#[test]
fn an_error_leaves_the_request_untouched() {
    for fault in FAULTS {
        // What an earlier signature left must stay too.
        for earlier in [&[][..], EARLIER] {
            let headers = [fault.headers, earlier].concat();
            let request = with_headers(fault.url, &headers);
            let (parts, ()) = request.clone().into_parts();
            refuses(request, fault, all);
            refuses(parts, fault, |parts| (parts.uri.clone(), listed(&parts.headers)));
            #[cfg(feature = "reqwest")]
            if let Ok(url) = reqwest::Url::parse(fault.url) {
                let mut request = reqwest::Request::new(reqwest::Method::GET, url);
                *request.headers_mut() = with_headers("/", &headers).headers().clone();
                refuses(request, fault, |request| {
                    (request.url().as_str().parse().unwrap(), listed(request.headers()))
                });
            }
        }
    }
}

#[test]
fn a_life_of_no_whole_seconds_up_to_a_week_is_refused() {
    let mut request = with_headers("https://example.com/?a=1", EARLIER);
    let before = all(&request);
    for life in [
        Duration::ZERO,
        Duration::from_millis(1500),
        Duration::from_secs(604_801),
        Duration::from_secs(1 << 32 | 900),
        Duration::MAX,
    ] {
        let presign = Presign::expires_in(life);
        let error = signer("s3").presign(&mut request, presign, &keys(), now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidExpiry, "{life:?}");
        assert_eq!(all(&request), before);
    }
    for life in [1, 604_800] {
        let presign = Presign::expires_in(Duration::from_secs(life));
        signer("s3").presign(&mut request, presign, &keys(), now()).unwrap();
        let expires = format!("&X-Amz-Expires={life}&");
        assert!(request.uri().query().unwrap().contains(&expires));
    }
}

#[test]
fn a_query_too_long_for_a_url_leaves_the_request_untouched() {
    let url = format!("https://example.com/?a={}", "b".repeat(65_400));
    let mut request = with_headers(&url, EARLIER);
    let before = all(&request);
    let error = presign(&mut request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUrl);
    assert_eq!(all(&request), before);
    sign(&mut request).unwrap();
}

#[test]
fn more_headers_than_a_map_holds_leave_the_request_untouched() {
    let mut request = get("https://example.com/");
    for number in 0..24_576 {
        let name: http::HeaderName = format!("x-{number}").parse().unwrap();
        request.headers_mut().insert(name, HeaderValue::from_static("1"));
    }
    let before = all(&request);
    let error = sign(&mut request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidHeader);
    assert_eq!(all(&request), before);
}

#[test]
fn a_token_that_no_header_can_hold_leaves_the_request_untouched() {
    let mut request = with_headers("https://example.com/?X-Amz-Date=old", EARLIER);
    let before = all(&request);
    let token = keys().with_session_token("a\u{1}b");
    let error = signer("sts").sign(&mut request, Payload::EMPTY, &token, now()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCredentials);
    assert_eq!(all(&request), before);
}

#[test]
fn a_method_or_a_header_that_is_no_token_is_refused() {
    let refused = |method: &[u8], name: &[u8], value: &[u8]| {
        let pairs = [(name, value)];
        let head = Head::parse(method, b"https://example.com/", Headers::Pairs(&pairs)).unwrap();
        let error = signer("sts").explain(head, Payload::EMPTY, &keys(), now()).unwrap_err();
        error.kind()
    };
    assert_eq!(refused(b"GET /", b"a", b"b"), ErrorKind::InvalidMethod);
    assert_eq!(refused(b"", b"a", b"b"), ErrorKind::InvalidMethod);
    assert_eq!(refused(b"GET", b"a b", b"c"), ErrorKind::InvalidHeader);
    assert_eq!(refused(b"GET", b"", b"c"), ErrorKind::InvalidHeader);
    for value in [&b"b\r\nc: d"[..], b"b\nc", b"b\rc", b"b\0"] {
        assert_eq!(refused(b"GET", b"a", value), ErrorKind::InvalidHeader);
    }
}

#[test]
fn a_time_beyond_all_years_is_an_error_and_no_panic() {
    let last = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(i64::MAX as u64));
    let Some(at) = last else { return };
    let mut request = get("https://example.com/");
    let signed = signer("sts").sign(&mut request, Payload::EMPTY, &keys(), at);
    assert_eq!(signed.unwrap_err().kind(), ErrorKind::InvalidTime);
    let presigned = signer("sts").presign(&mut request, an_hour(), &keys(), at);
    assert_eq!(presigned.unwrap_err().kind(), ErrorKind::InvalidTime);
}

#[test]
fn a_bare_word_is_a_relative_url_and_no_missing_host() {
    let error = sign(&mut get("example.com")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUrl);
}

#[test]
fn a_scheme_that_is_neither_http_nor_websocket_is_refused() {
    let error = sign(&mut get("ftp://example.com/")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUrl);
    for url in ["http://h/", "https://h/", "ws://h/", "wss://h/"] {
        sign(&mut get(url)).unwrap();
    }
}

#[test]
fn a_header_name_may_be_any_token_in_a_presigned_url_too() {
    let name = "x-!#$%&'*+.^_`|~";
    let mut request = http::Request::get("https://b.s3.amazonaws.com/k?z=1&A=2")
        .header(name, "1")
        .body(())
        .unwrap();
    signer("s3").presign(&mut request, an_hour(), &keys(), now()).unwrap();
    let query = request.uri().query().unwrap();
    let expected =
        "&X-Amz-SignedHeaders=host%3Bx-%21%23%24%25%26%27%2A%2B.%5E_%60%7C~&X-Amz-Signature=";
    assert!(query.contains(expected), "{query}");
    let verifier = Verifier::new();
    let claim = verifier.claim(Head::from(&request), now()).unwrap();
    let key = SigningKey::derive(keys().secret_access_key(), &claim.scope());
    let (_, body) = claim.verify(Some(Known::new(&key)), None, &mut Scratch::new()).unwrap();
    body.finish().unwrap();
}

#[test]
fn headers_left_unsigned_add_up() {
    let mut request = http::Request::get("https://example.com/")
        .header("a", "1")
        .header("b", "2")
        .header("c", "3")
        .body(())
        .unwrap();
    let signer = signer("sts").with_unsigned_headers(["a"]).with_unsigned_headers(["B"]);
    signer.sign(&mut request, Payload::EMPTY, &keys(), now()).unwrap();
    let authorization = request.headers()["authorization"].to_str().unwrap();
    assert!(authorization.contains("SignedHeaders=c;host;x-amz-date,"), "{authorization}");
}

#[test]
fn an_empty_session_token_is_none() {
    let mut request = get("https://example.com/");
    let credentials = keys().with_session_token("");
    signer("sts").sign(&mut request, Payload::EMPTY, &credentials, now()).unwrap();
    assert!(!request.headers().contains_key("x-amz-security-token"));
    signer("sts").presign(&mut request, an_hour(), &credentials, now()).unwrap();
    assert!(!request.uri().query().unwrap().contains("X-Amz-Security-Token"));
}

#[test]
fn a_relative_url_is_an_error_and_no_panic() {
    for url in ["", "a/b", "?a=b", "example.com", "*"] {
        let error = Head::parse(b"GET", url.as_bytes(), Headers::Pairs(&[])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{url}");
    }
    // `http::Uri` takes some of them for an authority or a path; a Host header mends neither.
    for url in ["example.com", "example.com:443", "*"] {
        let host = [("host", "example.com")];
        let kind = |result: Result<(), Error>| result.unwrap_err().kind();
        assert_eq!(kind(sign(&mut with_headers(url, &host))), ErrorKind::InvalidUrl, "{url}");
        assert_eq!(kind(presign(&mut with_headers(url, &host))), ErrorKind::InvalidUrl, "{url}");
        assert!(sign(&mut get(url)).is_err() && presign(&mut get(url)).is_err(), "{url}");
    }
}

// Secrets

#[test]
fn headers_that_carry_a_secret_are_marked_sensitive() {
    for credentials in [session(), session().with_s3_express_session(true)] {
        let mut request = get("https://example.com/");
        signer("s3").sign(&mut request, Payload::EMPTY, &credentials, now()).unwrap();
        let sensitive: Vec<_> = request
            .headers()
            .iter()
            .filter(|(_, value)| value.is_sensitive())
            .map(|(name, _)| name.as_str())
            .collect();
        let token = if credentials.is_s3_express_session() {
            "x-amz-s3session-token"
        } else {
            "x-amz-security-token"
        };
        assert_eq!(sorted(sensitive), ["authorization", token]);
    }
}

#[test]
fn no_debug_text_shows_a_secret_a_token_or_a_signature() {
    let credentials = session();
    let cache = KeyCache::default();
    let signer = signer("s3").with_key_cache(cache.clone());
    let mut request = with_headers("https://example.com/a?b=1", &[("x-amz-security-token", TOKEN)]);
    let mut scratch = Scratch::new();
    let head = Head::from(&request);
    let mut shown = Shown::default();

    let signed = signer.sign_head(head, Payload::EMPTY, &credentials, now(), &mut scratch).unwrap();
    shown.hide(signed.signature());
    shown.add(&signed);
    shown.add(&signed.explain());
    let mut other = Scratch::new();
    let presigned = signer.presign_head(head, an_hour(), &credentials, now(), &mut other).unwrap();
    shown.hide(presigned.signature());
    shown.add(&presigned);
    shown.add(&presigned.explain());
    shown.add(&presigned.life());
    shown.add(&scratch);
    shown.add(&credentials);
    shown.add(&signer);
    shown.add(&cache);
    let scope = Scope::parse("20150830/us-east-1/s3/aws4_request").unwrap();
    shown.add(&SigningKey::derive(SECRET, &scope));
    shown.add(&head);

    signer.sign(&mut request, Payload::EMPTY, &credentials, now()).unwrap();
    shown.add(&request);
    shown.add(&Head::from(&request));
    let mut url = get("https://example.com/a?b=1");
    signer.presign(&mut url, an_hour(), &credentials, now()).unwrap();
    shown.add(&Head::from(&url));
    shown.check();
}

#[test]
fn no_error_shows_a_secret_or_a_token() {
    let mut shown = Shown::default();
    let mut add = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        shown.add(&error);
        shown.text += &error.to_string();
    };
    let carrying = [("authorization", TOKEN), ("x-amz-security-token", TOKEN), ("x-a", SECRET)];
    for fault in FAULTS {
        let headers = [fault.headers, &carrying].concat();
        let credentials = || (fault.credentials)().with_session_token(TOKEN);
        // One fault is in the token that this replaces.
        if credentials().access_key_id() == "AKIDEXAMPLE"
            && fault.kind == ErrorKind::InvalidCredentials
        {
            continue;
        }
        let mut request = with_headers(fault.url, &headers);
        let signer = signer(fault.service);
        add(signer.sign(&mut request, Payload::EMPTY, &credentials(), (fault.at)()));
        let life = signer.presign(&mut request, an_hour(), &credentials(), (fault.at)());
        add(life.map(|_| ()));
    }
    for token in [format!("{TOKEN}\n"), format!("{TOKEN}\u{1}")] {
        let broken = Credentials::new("AKID", SECRET).with_session_token(token);
        add(signer("s3").sign(&mut get(TANGLED), Payload::EMPTY, &broken, now()));
    }
    let value = format!("{TOKEN}\n");
    let pairs = [(&b"x-amz-security-token"[..], value.as_bytes())];
    let head = Head::parse(b"GET", b"https://example.com/", Headers::Pairs(&pairs)).unwrap();
    add(signer("s3").explain(head, Payload::EMPTY, &session(), now()).map(|_| ()));
    shown.check();
}

#[test]
fn an_explanation_masks_the_token_and_nothing_else() {
    let (credentials, mut scratch) = (session(), Scratch::new());
    let head = Head::parse(b"GET", b"https://example.com/?a=1", Headers::Pairs(&[])).unwrap();
    let explained = signer("sts").explain(head, Payload::EMPTY, &credentials, now()).unwrap();
    let headers: Vec<_> = explained.headers().collect();
    assert_eq!(
        headers,
        [
            "host:example.com",
            "x-amz-date:20150830T123600Z",
            "x-amz-security-token:<session token of 17 bytes>",
        ]
    );
    assert_eq!(explained.signed_headers(), "host;x-amz-date;x-amz-security-token");
    assert_eq!((explained.method(), explained.path(), explained.query()), ("GET", "/", "a=1"));
    assert_eq!(explained.payload(), Payload::EMPTY.line().as_str());
    let presigned =
        signer("sts").presign_head(head, an_hour(), &credentials, now(), &mut scratch).unwrap();
    let masked = presigned.explain();
    assert!(masked.query().contains("X-Amz-Security-Token=<session token of 17 bytes>&X-Amz-S"));
}

#[test]
fn an_explanation_masks_a_token_with_blanks_too() {
    let credentials = keys().with_session_token(" whispered \t twice ");
    let head = Head::parse(b"GET", b"https://example.com/", Headers::Pairs(&[])).unwrap();
    let explained = signer("sts").explain(head, Payload::EMPTY, &credentials, now()).unwrap();
    assert!(!explained.canonical_request().contains("whispered"), "{explained:?}");
}

#[test]
fn neither_an_error_nor_a_head_shows_a_presigned_query_or_a_password() {
    let mut shown = Shown::default();
    let target = b"example.com/key?X-Amz-Security-Token=whispered&X-Amz-Signature=whispered";
    let error = Head::parse(b"GET", target, Headers::Pairs(&[])).unwrap_err();
    shown.add(&error);
    let url = b"https://user:whispered@example.com/";
    let pairs: [(&[u8], &[u8]); 1] = [(b"host", b"user:whispered@example.com")];
    let head = Head::parse(b"GET", url, Headers::Pairs(&pairs)).unwrap();
    shown.add(&head);
    shown.add(&signer("sts").explain(head, Payload::EMPTY, &keys(), now()).unwrap_err());
    shown.check();
}

/// All that was shown, and what must not be in it.
#[derive(Default)]
struct Shown {
    text: String,
    hidden: Vec<String>,
}

impl Shown {
    fn add(&mut self, value: &impl Debug) {
        self.text += &format!("{value:?} {value:#?}\n");
    }

    fn hide(&mut self, secret: &str) {
        self.hidden.push(secret.to_owned());
    }

    fn check(&self) {
        // What stands between the reserved bytes would show in an encoded token too.
        for secret in self.hidden.iter().map(String::as_str).chain([SECRET, "whispered", TOKEN]) {
            assert!(!self.text.contains(secret), "`{secret}` is shown: {}", self.text);
        }
    }
}

/// Something that cannot be signed in either form, and why.
struct Fault {
    kind: ErrorKind,
    url: &'static str,
    headers: &'static [(&'static str, &'static str)],
    service: &'static str,
    credentials: fn() -> Credentials,
    at: fn() -> SystemTime,
}

const PLAIN: Fault = Fault {
    kind: ErrorKind::InvalidUrl,
    url: "https://example.com/?a=1",
    headers: &[],
    service: "s3",
    credentials: keys,
    at: now,
};

const FAULTS: &[Fault] = &[
    Fault {
        kind: ErrorKind::ConflictingHost,
        headers: &[("host", "example.com"), ("host", "example.com")],
        ..PLAIN
    },
    Fault { kind: ErrorKind::ConflictingHost, headers: &[("host", "example.org")], ..PLAIN },
    Fault {
        kind: ErrorKind::InvalidCredentials,
        credentials: || Credentials::new("AK/ID", SECRET),
        ..PLAIN
    },
    Fault {
        kind: ErrorKind::InvalidCredentials,
        credentials: || Credentials::new("AKID", ""),
        ..PLAIN
    },
    Fault {
        kind: ErrorKind::InvalidCredentials,
        credentials: || keys().with_session_token("a\r\nx-amz-acl: public-read"),
        ..PLAIN
    },
    Fault { kind: ErrorKind::InvalidScope, service: "s/3", ..PLAIN },
    Fault { kind: ErrorKind::InvalidScope, service: "", ..PLAIN },
    Fault {
        kind: ErrorKind::InvalidTime,
        at: || SystemTime::UNIX_EPOCH - Duration::from_secs(1),
        ..PLAIN
    },
    Fault {
        kind: ErrorKind::InvalidTime,
        at: || SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800),
        ..PLAIN
    },
    Fault { url: "example.com", headers: &[("host", "example.com")], ..PLAIN },
    Fault { url: "*", headers: &[("host", "example.com")], ..PLAIN },
    Fault { kind: ErrorKind::MalformedEscape, url: "https://example.com/100%", ..PLAIN },
    Fault {
        kind: ErrorKind::MalformedEscape,
        url: "https://example.com/?a=100%&X-Amz-Date=old",
        ..PLAIN
    },
    Fault { kind: ErrorKind::MissingHost, url: "/no/host?a=1", ..PLAIN },
];

/// What an earlier signature left behind.
const EARLIER: &[(&str, &str)] = &[
    ("authorization", "AWS4-HMAC-SHA256 old"),
    ("x-amz-content-sha256", "old"),
    ("x-amz-date", "20110909T233600Z"),
    ("x-amz-security-token", "old"),
];

/// Tries both forms, and looks at the request before and after.
fn refuses<R: SignRequest + Debug>(
    mut request: R,
    fault: &Fault,
    look: impl Fn(&R) -> (Uri, Vec<(String, Vec<u8>, bool)>),
) {
    let (shown, before) = (format!("{request:?}"), look(&request));
    let (signer, credentials, at) = (signer(fault.service), (fault.credentials)(), (fault.at)());
    let signed = signer.sign(&mut request, Payload::EMPTY, &credentials, at);
    assert_eq!(signed.unwrap_err().kind(), fault.kind, "{shown}");
    assert_eq!((format!("{request:?}"), look(&request)), (shown.clone(), before.clone()));
    let presigned = signer.presign(&mut request, an_hour(), &credentials, at);
    assert_eq!(presigned.unwrap_err().kind(), fault.kind, "{shown}");
    assert_eq!((format!("{request:?}"), look(&request)), (shown, before));
}

fn path(service: &str, path: &str) -> String {
    part(service, &format!("https://example.com{path}"), &[], 1)
}

fn query(query: &str) -> String {
    part("service", &format!("https://example.com/?{query}"), &[], 2)
}

fn host(url: &str) -> String {
    let line = part("service", url, &[], 3);
    line.strip_prefix("host:").unwrap().to_owned()
}

/// The canonical headers but those that every request has.
fn headers(headers: &[(&str, &str)]) -> String {
    let canonical = canonical("service", "https://example.com/", headers);
    let lines = canonical.lines().skip(3).take_while(|line| !line.is_empty());
    let own = lines.filter(|line| !line.starts_with("host:") && !line.starts_with("x-amz-date:"));
    own.map(|line| format!("{line}\n")).collect()
}

fn part(service: &str, url: &str, headers: &[(&str, &str)], line: usize) -> String {
    canonical(service, url, headers).lines().nth(line).unwrap().to_owned()
}

fn canonical(service: &str, url: &str, headers: &[(&str, &str)]) -> String {
    let pairs = as_bytes(headers);
    let head = Head::parse(b"GET", url.as_bytes(), Headers::Pairs(&pairs)).unwrap();
    let (credentials, mut scratch) = (keys(), Scratch::new());
    let signed = signer(service).sign_head(head, Payload::EMPTY, &credentials, now(), &mut scratch);
    text(signed.unwrap().canonical_request())
}

fn as_bytes<'a>(headers: &[(&'a str, &'a str)]) -> Vec<(&'a [u8], &'a [u8])> {
    headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

/// The signature of a request whose path is another under each service's rules.
fn signature(
    signer: &Signer,
    credentials: &Credentials,
    at: SystemTime,
    scratch: &mut Scratch,
) -> String {
    let head = Head::parse(b"GET", TANGLED.as_bytes(), Headers::Pairs(&[])).unwrap();
    let signed = signer.sign_head(head, Payload::EMPTY, credentials, at, scratch).unwrap();
    signed.signature().to_owned()
}

/// The same from a signer and buffers that never saw another request.
fn fresh_signature(service: &str, credentials: &Credentials, at: SystemTime) -> String {
    signature(&signer(service), credentials, at, &mut Scratch::new())
}

fn sign(request: &mut impl SignRequest) -> Result<(), Error> {
    signer("sts").sign(request, Payload::EMPTY, &keys(), now())
}

fn presign(request: &mut impl SignRequest) -> Result<(), Error> {
    signer("sts").presign(request, an_hour(), &keys(), now()).map(|_| ())
}

fn signer(service: &str) -> Signer {
    Signer::new("us-east-1", service)
}

fn keys() -> Credentials {
    Credentials::new("AKIDEXAMPLE", SECRET)
}

fn session() -> Credentials {
    keys().with_session_token(TOKEN)
}

fn now() -> SystemTime {
    at("20150830T123600Z")
}

fn yesterday() -> SystemTime {
    at("20150829T123600Z")
}

fn an_hour() -> Presign {
    Presign::expires_in(Duration::from_secs(3600))
}

fn get(url: &str) -> Request<()> {
    Request::get(url).body(()).unwrap()
}

fn with_headers(url: &str, headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = get(url);
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    request
}

fn authorization(request: &Request<()>) -> &str {
    request.headers()["authorization"].to_str().unwrap()
}

/// All of a request that signing could change.
fn all(request: &Request<()>) -> (Uri, Vec<(String, Vec<u8>, bool)>) {
    (request.uri().clone(), listed(request.headers()))
}

fn listed(headers: &http::HeaderMap) -> Vec<(String, Vec<u8>, bool)> {
    let header = |(name, value): (&http::HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec(), value.is_sensitive())
    };
    sorted(headers.iter().map(header).collect())
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all
}

const SECRET: &str = "hush-wJalrXUtnFEMI/K7MDENG";

const TOKEN: &str = "IQoJb3J/whispered";

/// A URL whose path and query no two rules canonicalize alike.
const TANGLED: &str = "https://example.com//a/./b=c/../d%20e/?q=a+b";
