//! The commands as users type them: `tests/cmd/*.toml`, each with its output.

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::support::{SECRET, TOKEN, countersign, run};

#[test]
fn commands_print_what_their_files_say() {
    let cases = trycmd::TestCases::new();
    cases.case("tests/cmd/*.toml");
    cases.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    cases.env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    cases.env("AWS_EC2_METADATA_DISABLED", "true");
    cases.env("AWS_CONFIG_FILE", "/nonexistent/config");
    cases.env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials");
    cases.run();
}

#[test]
fn without_credentials_the_exit_code_is_3_and_each_provider_says_why() {
    let mut command = countersign(&["sign", "https://sqs.eu-west-1.amazonaws.com/"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let output = run(command, b"");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("environment") && said.contains("profile"), "{said}");
    assert!(said.ends_with("; `countersign credentials` shows more\n"), "{said}");
}

#[test]
fn what_is_no_url_is_said_before_a_service_is_asked_for() {
    for command in ["sign", "presign", "explain", "verify"] {
        for (url, expected) in [
            (
                "sts.amazonaws.com/x",
                "`sts.amazonaws.com/x` is a relative URL: it needs a scheme and a host",
            ),
            ("", "`` is a relative URL: it needs a scheme and a host"),
            ("s3://photos/a/b.jpg", "give https://photos.s3.REGION.amazonaws.com/a/b.jpg, with"),
        ] {
            let output = run(countersign(&[command, url]), b"");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command} {url}: {said}");
            assert!(said.contains(expected), "{command} {url}: {said}");
        }
    }
    let command = countersign(&["presign", "s3://photos", "--from-file", "-"]);
    let said = String::from_utf8(run(command, b"a\n").stderr).unwrap();
    assert!(said.contains("https://photos.s3.REGION.amazonaws.com/"), "{said}");
}

#[test]
fn credentials_are_no_options_and_it_is_said_where_they_come_from() {
    let url = "https://sqs.eu-west-1.amazonaws.com/";
    for (args, code) in [
        (&["sign", "--secret-access-key", "hush", url][..], 2),
        (&["sign", "--secret-access-key=hush", url], 2),
        (&["presign", url, "--session-token", "hush"], 2),
        (&["--access-key-id", "hush", "sign", url], 2),
        (&["curl", "--secret-access-key", "hush", url], 125),
        (&["curl", "--secret_key=hush", url], 125),
    ] {
        let output = run(countersign(args), b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(
            said.starts_with("countersign: `--") && said.lines().count() == 1,
            "{args:?}: {said}"
        );
        assert!(
            said.contains("AWS_SECRET_ACCESS_KEY") && !said.contains("hush"),
            "{args:?}: {said}"
        );
    }
    for header in ["X-Amz-Security-Token hush", "X-Amz-Security-Token\thush"] {
        for args in [&["sign", url, "-H", header][..], &["token", "sts", "--header", header]] {
            let output = run(countersign(args), b"");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.starts_with("countersign: ") && !said.contains("hush"), "{said}");
            assert!(said.contains("`X-Amz-Security-Token`"), "{said}");
        }
    }
}

#[test]
fn a_command_line_that_cannot_be_read_is_said_as_all_else_is() {
    for args in [&["sign", "--nothing"][..], &["nothing"], &["presign", "u", "--expires", "soon"]] {
        let output = run(countersign(args), b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("countersign: ") && !said.contains("error:"), "{said}");
    }
    let output = run(countersign(&["token"]), b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("Print a token"), "{said}");
}

#[test]
fn credentials_that_have_expired_are_said_to_unless_a_time_is_given() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let expired = r#"{"Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t",
        "Expiration": "2020-01-02T03:04:05Z"}"#;
    std::fs::write(file.path(), expired).unwrap();
    let options = ["--credentials-file", file.path().to_str().unwrap()];
    let url = "https://sqs.eu-west-1.amazonaws.com/";
    for (command, time, is_said) in [
        (&["sign", url][..], &[][..], true),
        (&["sign", url], &["--time", "20150830T123600Z"], false),
        (&["sign", url], &["--time", "20250830T123600Z"], false),
        (&["curl", "--print", url], &[], true),
        (&["curl", "--print", url], &["--time", "20150830T123600Z"], false),
    ] {
        let output = run(countersign(&[command, &options, time].concat()), b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let note = "countersign: note: the credentials expired at 20200102T030405Z";
        assert_eq!(said.contains(note), is_said, "{command:?} {time:?}: {said}");
    }
}

#[test]
fn pieces_of_a_body_are_joined_as_curl_joins_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "c=3").unwrap();
    let at = format!("@{}", file.path().display());
    let sign = |data: &[&str]| {
        let args = ["sign", "https://sqs.eu-west-1.amazonaws.com/", "--time", "20150830T123600Z"];
        let data: Vec<&str> = data.iter().flat_map(|data| ["-d", data]).collect();
        run(countersign(&[&args, &data[..]].concat()), b"b=2")
    };
    let joined = sign(&["a=1", "@-", &at]);
    assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
    assert_eq!(joined.stdout, sign(&["a=1&b=2&c=3"]).stdout);
    assert_eq!(sign(&["@-", "@-"]).status.code(), Some(2));
}

#[test]
fn what_json_cannot_hold_is_refused_and_not_altered() {
    let text = b"GET / HTTP/1.1\nhost: sqs.eu-west-1.amazonaws.com\nx-a: caf\xe9\n\n";
    let sign = |output: &str| run(countersign(&["sign", "--http", "-", "--output", output]), text);
    let refused = sign("json");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("the header `x-a` holds a byte that is not UTF-8"), "{said}");
    assert!(sign("http").stdout.windows(5).any(|bytes| bytes == b"caf\xe9\r"));
}

#[test]
fn verify_without_a_request_asks_for_one_to_verify() {
    let said = String::from_utf8(run(countersign(&["verify"]), b"").stderr).unwrap();
    assert!(said.contains("there is no request to verify"), "{said}");
}

#[test]
fn a_line_that_is_no_host_is_answered_and_the_next_are_read() {
    let lines = b"sqs.eu-west-1.amazonaws.com\n\n\xff\xfe\niam.amazonaws.com\n";
    let output = run(countersign(&["endpoint", "-", "--output", "json"]), lines);
    let answers: Vec<serde_json::Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(answers.len(), 3, "{answers:?}");
    assert_eq!(answers[1]["error"], "line 3 is not UTF-8, as a host is");
    assert_eq!(answers[2]["signing_name"], "iam");

    let mut long = vec![b'a'; (64 << 20) + 1];
    long.extend(b"\niam.amazonaws.com\n");
    let output = run(countersign(&["endpoint", "-"]), &long);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stdout).unwrap().contains("iam"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "countersign: line 1 is longer than 64 MiB\n");
}

#[test]
fn keys_of_the_profile_sign_and_its_region_counts() {
    let folder = std::env::temp_dir().join(format!("countersign-profile-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let credentials =
        file("credentials", "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n");
    let config = file("config", "[profile work]\nregion = eu-north-1\n");
    let mut command = countersign(&["sign", "http://localhost/", "--service", "sqs"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env_remove("AWS_SESSION_TOKEN")
        .env("AWS_PROFILE", "work")
        .env("AWS_CONFIG_FILE", config)
        .env("AWS_SHARED_CREDENTIALS_FILE", credentials);
    let output = run(command, b"");
    std::fs::remove_dir_all(folder).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("Credential=AKIDWORK/") && said.contains("/eu-north-1/sqs/"), "{said}");
}

#[test]
fn explain_masks_the_secret_and_the_token() {
    for args in [
        &["explain", "https://sqs.eu-west-1.amazonaws.com/"][..],
        &["explain", "--output", "json", "https://sqs.eu-west-1.amazonaws.com/"],
    ] {
        let output = run(countersign(args), b"");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("x-amz-security-token:<session token of "), "{said}");
        assert!(!said.contains(SECRET) && !said.contains(TOKEN), "{said}");
    }
}

#[test]
fn a_form_carries_the_session_token_in_a_field_and_in_its_policy() {
    let args = ["post-policy", "--bucket", "b", "--key", "k", "--region", "eu-west-1"];
    let output = run(countersign(&args), b"");
    let form: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(form["fields"]["x-amz-security-token"], TOKEN);
    let policy = form["fields"]["policy"].as_str().unwrap();
    let policy: serde_json::Value =
        serde_json::from_slice(&BASE64_STANDARD.decode(policy).unwrap()).unwrap();
    let conditions = policy["conditions"].as_array().unwrap();
    assert!(conditions.contains(&serde_json::json!({ "x-amz-security-token": TOKEN })), "{policy}");
    assert!(!String::from_utf8(output.stdout).unwrap().contains(SECRET));
}

#[test]
fn a_form_is_sent_where_the_bucket_is() {
    for (bucket, more, url) in [
        ("b", &["--region", "cn-north-1"][..], "https://b.s3.cn-north-1.amazonaws.com.cn/"),
        ("b.c", &["--region", "eu-west-1"], "https://s3.eu-west-1.amazonaws.com/b.c"),
        (
            "b",
            &["--endpoint", "https://b.s3.dualstack.eu-west-1.amazonaws.com"],
            "https://b.s3.dualstack.eu-west-1.amazonaws.com/",
        ),
        (
            "b",
            &["--endpoint", "https://s3.eu-west-1.amazonaws.com/"],
            "https://s3.eu-west-1.amazonaws.com/b",
        ),
    ] {
        let args = [&["post-policy", "--bucket", bucket, "--key", "k"], more].concat();
        let output = run(countersign(&args), b"");
        let form: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(form["url"], url, "{more:?}");
    }
    let credentials = ["--policy", "-", "--credentials-file", "-"];
    let output = run(countersign(&[&["post-policy"], &credentials[..]].concat()), b"{}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_large_standard_input_is_spooled_and_hashed() {
    let body = vec![b'x'; 9 << 20];
    let args =
        ["sign", "https://sqs.eu-west-1.amazonaws.com/", "-d", "@-", "--time", "20150830T123600Z"];
    let piped = run(countersign(&args), &body);
    let path = std::env::temp_dir().join(format!("countersign-large-{}", std::process::id()));
    std::fs::write(&path, &body).unwrap();
    let at = format!("@{}", path.display());
    let read = run(countersign(&[&args[..3], &[&at], &args[4..]].concat()), b"");
    std::fs::remove_file(path).unwrap();
    assert!(piped.status.success());
    assert_eq!(piped.stdout, read.stdout);
}

#[test]
fn the_demonstration_accepts_what_is_right_and_refuses_what_was_altered() {
    let output = run(countersign(&["demo"]), b"");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("accepted (200)").count(), 11, "{said}");
    assert_eq!(said.matches("refused (403): SignatureDoesNotMatch").count(), 1, "{said}");
}

#[test]
fn the_demonstration_has_a_proxy_sign_for_a_client_without_credentials() {
    let output = run(countersign(&["demo"]), b"");
    let said = String::from_utf8(output.stdout).unwrap();
    let (_, proxied) = said.split_once("A signing proxy listens on ").unwrap();
    for service in ["monitoring", "ec2", "sts", "s3"] {
        let host = format!("http://{service}.eu-central-1.amazonaws.com/");
        let scope = format!("/eu-central-1/{service}/aws4_request");
        assert!(proxied.contains(&host) && proxied.contains(&scope), "{service}: {proxied}");
    }
    let none = "authorization   none";
    assert_eq!(proxied.matches(none).count(), 6, "{proxied}");
    assert_eq!(proxied.matches("accepted (200)").count(), 5, "{proxied}");
    assert_eq!(
        proxied.matches("refused (403): MissingAuthenticationToken").count(),
        1,
        "{proxied}"
    );
}

/// A device that takes nothing.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let url = "https://sqs.eu-west-1.amazonaws.com/";
    let signed = run(countersign(&["sign", url, "--output", "http"]), b"").stdout;
    let right = file("right", &signed);
    let wrong = String::from_utf8(signed).unwrap().replace("/eu-west-1/", "/eu-west-2/");
    let wrong = file("wrong", wrong.as_bytes());
    let settings =
        "[[route]]\nupstream = \"http://127.0.0.1:1\"\nservice = \"s3\"\nregion = \"r\"\n";
    let settings = file("proxy.toml", settings.as_bytes());
    let ca = folder.path().join("ca");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (args, code) in [
        (&["sign", url][..], 2),
        (&["verify", "--http", &right], 2),
        (&["verify", "--http", &wrong], 2),
        (&["proxy", "--config", &settings, "--check"], 2),
        (&["proxy", "--config", &settings, "--listen", "0", "--log", "off"], 2),
        (&["proxy", "ca", ca.to_str().unwrap()], 2),
        (&["demo"], 2),
        (&["listen", "0", "--json"], 2),
        (&["--help"], 2),
        (&["--version"], 2),
        (&["sign", "--help"], 2),
        (&["curl", "--help"], 125),
    ] {
        let mut command = countersign(args);
        let output = command.stdout(full()).stderr(std::process::Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(
            said.starts_with("countersign: cannot write to standard output: "),
            "{args:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    }
    // Nor does it matter that nobody can be told.
    let mut command = countersign(&["sign", "a/b", "--region", "r", "--service", "s"]);
    assert_eq!(command.stderr(full()).status().unwrap().code(), Some(2));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for args in [&["demo"][..], &["--help"]] {
        let mut command = countersign(args);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn completions_and_manual_pages_are_made_for_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(countersign(&["completions", shell]), b"");
        assert!(String::from_utf8(output.stdout).unwrap().contains("presign"), "{shell}");
    }
    let folder = std::env::temp_dir().join(format!("countersign-man-{}", std::process::id()));
    let output = run(countersign(&["man", folder.to_str().unwrap()]), b"");
    assert!(output.status.success());
    let pages = std::fs::read_dir(&folder).unwrap().count();
    let page = std::fs::read_to_string(folder.join("countersign-proxy-ca.1")).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(pages >= 8, "{pages} pages");
    let example = ".SH EXAMPLES\n.nf\ncountersign proxy ca ~/.config/countersign\n";
    assert!(page.contains(example) && page.ends_with("\n.fi\n"), "{page}");
}

#[test]
fn the_text_of_a_request_names_the_host_that_is_signed() {
    let url = "https://user:pa55@sqs.eu-west-1.amazonaws.com:443/?a=b#c";
    let output = run(countersign(&["sign", url, "--output", "http"]), b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("GET /?a=b HTTP/1.1\r\nhost: sqs.eu-west-1.amazonaws.com\r\n"),
        "{text}"
    );
    assert!(!text.contains("pa55"), "{text}");
    let split = "https://sqs.eu-west-1.amazonaws.com/a HTTP/1.1\r\nX-Evil: 1";
    let output = run(countersign(&["sign", split, "--output", "http"]), b"");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_query_that_loses_an_earlier_signature_is_said_aloud() {
    let url = "https://sqs.eu-west-1.amazonaws.com/?a=1&X-Amz-Signature=0";
    let output = run(countersign(&["sign", url]), b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("https://sqs.eu-west-1.amazonaws.com/?a=1"), "{said}");
}

#[test]
fn a_header_keeps_what_is_no_blank_and_a_line_end_in_it_is_refused() {
    let url = "https://sqs.eu-west-1.amazonaws.com/";
    let sign =
        |header: &str| run(countersign(&["sign", url, "-H", header, "--output", "json"]), b"");
    let output = sign("x-a: \u{a0}v\u{a0} ");
    assert!(String::from_utf8(output.stdout).unwrap().contains("x-a:\u{a0}v\u{a0}\\n"));
    assert_eq!(sign("x-a: v\r\n").status.code(), Some(2));
}

#[test]
fn of_a_body_in_chunks_the_head_alone_is_printed() {
    let sign = |args: &[&str]| {
        let url = "https://bucket.s3.eu-west-1.amazonaws.com/key";
        run(
            countersign(&[&["sign", url, "-X", "PUT", "--payload", "streaming"], args].concat()),
            b"",
        )
    };
    let said = String::from_utf8(sign(&[]).stdout).unwrap();
    assert!(said.contains("x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n"), "{said}");
    let refused = sign(&["-d", "meow"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("countersign curl"));
    let presign = ["presign", "https://bucket.s3.eu-west-1.amazonaws.com/key", "--expires", "1m"];
    let refused = run(countersign(&[&presign[..], &["--payload", "streaming"]].concat()), b"");
    assert_eq!(refused.status.code(), Some(2));
}
