//! `countersign curl`, up to what curl is told.

use std::process::Command;

use crate::support::{SECRET, TOKEN, countersign, run};

/// `countersign curl` for a service and at a time that are always the same.
fn curl(args: &[&str]) -> Command {
    let signing =
        ["curl", "--service", "sqs", "--region", "eu-west-1", "--time", "20260102T030405Z"];
    countersign(&[&signing, args].concat())
}

/// Exit code, standard output and standard error.
fn outcome(command: Command, input: &[u8]) -> (Option<i32>, String, String) {
    let output = run(command, input);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_printed_command_holds_the_signature_and_names_the_token() {
    let (code, command, said) =
        outcome(curl(&["-sS", "-d", "it's", "http://localhost/a/../b", "--print"]), b"");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(command.starts_with("curl -q -H 'x-amz-date: 20260102T030405Z' -H "), "{command}");
    assert!(command.contains(" -H \"x-amz-security-token: $AWS_SESSION_TOKEN\" "), "{command}");
    assert!(command.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"));
    assert!(command.ends_with(" --data-raw 'it'\\''s' -s -S http://localhost/b\n"), "{command}");
    assert!(!command.contains(SECRET) && !command.contains(TOKEN));
}

#[test]
fn a_token_that_the_environment_lacks_is_said_with_the_way_to_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let keys =
        "[work]\naws_access_key_id = ASIA\naws_secret_access_key = s\naws_session_token = other\n";
    std::fs::write(file.path(), keys).unwrap();
    let process =
        r#"{"Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "other"}"#;
    for (args, said_so) in [
        (&["--profile", "work"][..], "$(countersign credentials --profile work --output env)"),
        (&["--credentials-file", "-"], "--credentials-file"),
    ] {
        let mut command = curl(&[&["--print", "http://localhost/"], args].concat());
        command.env("AWS_SHARED_CREDENTIALS_FILE", file.path());
        let (code, command, said) = outcome(command, process.as_bytes());
        assert_eq!(code, Some(0), "{said}");
        assert!(command.contains("$AWS_SESSION_TOKEN") && said.contains(said_so), "{said}");
        assert!(!command.contains("other") && !said.contains("other"), "{command}{said}");
    }
    let mut command = curl(&["--print", "http://localhost/"]);
    command.env_remove("AWS_SESSION_TOKEN");
    assert_eq!(outcome(command, b"").2, "", "there is no token to name");
}

#[test]
fn a_printed_command_that_wants_standard_input_says_so() {
    let (code, command, said) =
        outcome(curl(&["--print", "--data-binary", "@-", "http://localhost/"]), b"body");
    assert_eq!(code, Some(0));
    assert!(command.contains(" --data-binary @- "), "{command}");
    assert!(said.contains("standard input"), "{said}");
}

#[test]
fn every_failure_of_ours_has_the_code_125() {
    for args in [
        &["-L", "http://localhost/"][..],
        &["http://localhost/", "--no-such-option"],
        &["-s"],
        &["http://localhost/", "-d", "@/no/such/file"],
        &["http://localhost/", "--region"],
        &["--payload", "nonsense", "http://localhost/"],
        &["-F", "a=b", "http://localhost/"],
        &["--payload", "streaming", "--retry", "2", "-d", "x", "http://localhost/"],
    ] {
        let (code, printed, said) = outcome(curl(args), b"");
        assert_eq!(code, Some(125), "{args:?}: {said}");
        assert!(printed.is_empty() && !said.is_empty(), "{args:?}");
    }
    let mut command = curl(&["http://localhost/"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let (code, _, said) = outcome(command, b"");
    assert_eq!(code, Some(125), "{said}");
    let (code, help, _) = outcome(countersign(&["curl", "-s", "--help"]), b"");
    assert_eq!(code, Some(0));
    assert!(help.contains("--credentials-file") && help.contains("Examples:"), "{help}");
}

#[test]
fn a_missing_curl_is_said_to_be_missing() {
    let mut command = curl(&["http://localhost/"]);
    command.env("PATH", "/no/such/folder");
    let (code, _, said) = outcome(command, b"");
    assert_eq!(code, Some(127));
    assert!(said.contains("`curl`"), "{said}");
}

#[cfg(unix)]
mod in_place_of_curl {
    use super::*;

    /// Runs the command with a script in place of curl.
    fn with_curl(
        script: &str,
        mut command: Command,
        input: &[u8],
    ) -> (Option<i32>, String, String) {
        command.env("PATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bin"));
        command.env("IN_PLACE_OF_CURL", script);
        outcome(command, input)
    }

    #[test]
    fn the_headers_are_in_the_config_and_not_in_the_arguments() {
        let script = r#"printf '%s\n' "$@"; echo; /bin/cat "$3"; /usr/bin/env"#;
        let command = curl(&["-H", "X-One: \"1\"", "-sSo", "f", "-XPUT", "localhost/?[]"]);
        let (code, told, said) = with_curl(script, command, b"");
        assert_eq!((code, said.as_str()), (Some(0), ""));
        let (arguments, rest) = told.split_once("\n\n").unwrap();
        let arguments: Vec<&str> = arguments.lines().collect();
        assert_eq!(arguments[..2], ["-q", "--config"]);
        assert_eq!(
            arguments[3..],
            ["-s", "-S", "-o", "f", "-X", "PUT", "-g", "http://localhost/?[]"]
        );
        assert!(rest.contains(&format!("header = \"x-amz-security-token: {TOKEN}\"\n")), "{rest}");
        assert!(rest.contains("header = \"authorization: AWS4-HMAC-SHA256 "), "{rest}");
        assert!(rest.contains("header = \"X-One: \\\"1\\\"\"\n"), "{rest}");
        assert!(!rest.contains(SECRET), "{rest}");
    }

    #[test]
    fn its_exit_code_is_passed_on() {
        assert_eq!(with_curl("exit 22", curl(&["http://localhost/"]), b"").0, Some(22));
    }

    #[test]
    fn it_reads_the_body_that_was_hashed() {
        let script = r#"path="${5#@}"; /bin/cat "$path""#;
        let command = curl(&["--data-urlencode", "a@-", "http://localhost/"]);
        assert_eq!(with_curl(script, command, b"b c").1, "a=b+c");
        let command = curl(&["--data", "@-", "http://localhost/"]);
        assert_eq!(with_curl(script, command, b"b\r\nc\0\n").1, "bc");
        let (_, read, _) = with_curl("/bin/cat", curl(&["-T", "-", "http://localhost/"]), b"b c");
        assert_eq!(read, "b c");
    }

    #[test]
    fn a_large_body_from_standard_input_arrives_whole() {
        let body = vec![b'x'; 9 << 20];
        let command = curl(&["-T", "-", "http://localhost/"]);
        let (_, read, _) = with_curl("/bin/cat", command, &body);
        assert_eq!(read.len(), body.len());
    }

    /// `countersign curl` with a body in chunks.
    fn chunked(args: &[&str]) -> Command {
        let signing = ["curl", "--region", "us-east-1", "--time", "20260102T030405Z", "--payload"];
        countersign(&[&signing, args].concat())
    }

    const KEY: &str = "https://bucket.s3.amazonaws.com/a";

    #[test]
    fn a_body_in_chunks_is_read_from_standard_input() {
        let command = chunked(&["unsigned-trailer", "-T", "-", KEY, "--checksum=sha1"]);
        let (code, read, said) = with_curl("/bin/cat", command, b"12345");
        assert_eq!((code, said.as_str()), (Some(0), ""));
        assert_eq!(
            read,
            "5\r\n12345\r\n0\r\nx-amz-checksum-sha1:jLIjfQZ5yojbZGTqxg2pY0VROWQ=\r\n\r\n"
        );
        let command = chunked(&["streaming-trailer", "-d", "a=b", "-d", "c", KEY]);
        let (_, read, _) = with_curl("/bin/cat", command, b"");
        assert!(read.starts_with("5;chunk-signature="), "{read}");
        assert!(read.contains("\r\na=b&c\r\n0;chunk-signature="), "{read}");
        assert!(read.contains("\r\nx-amz-trailer-signature:"), "{read}");
    }

    #[test]
    fn curl_is_told_how_long_the_chunks_are() {
        let script = r#"printf '%s\n' "$@"; echo; /bin/cat "$3""#;
        let header = "Content-Encoding: gzip";
        let command = chunked(&["streaming", "-H", header, "--data-binary", "12345", KEY]);
        let (code, told, said) = with_curl(script, command, b"");
        assert_eq!((code, said.as_str()), (Some(0), ""));
        let (arguments, config) = told.split_once("\n\n").unwrap();
        let arguments: Vec<&str> = arguments.lines().skip(3).collect();
        assert_eq!(arguments, ["-T", "-", "-X", "POST", KEY]);
        for line in [
            "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "Content-Type: application/x-www-form-urlencoded",
            "Transfer-Encoding:",
            "content-encoding: aws-chunked,gzip",
            "content-length: 177",
            "x-amz-decoded-content-length: 5",
        ] {
            assert!(config.contains(&format!("header = \"{line}\"\n")), "{line}: {config}");
        }
        assert!(!config.contains(header), "{config}");
        assert!(
            config.contains("SignedHeaders=content-encoding;content-length;content-type;host;")
        );
    }

    #[test]
    fn a_curl_that_stops_reading_passes_its_code_on() {
        let path = std::env::temp_dir().join(format!("countersign-sent-{}", std::process::id()));
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        let file = path.to_str().unwrap();
        let (code, ..) = with_curl("exit 22", chunked(&["streaming", "-T", file, KEY]), b"");
        let (killed, ..) = with_curl("kill -9 $$", chunked(&["streaming", "-T", file, KEY]), b"");
        std::fs::remove_file(path).unwrap();
        assert_eq!((code, killed), (Some(22), Some(128 + 9)));
    }

    #[test]
    fn what_cannot_be_framed_is_refused() {
        for (args, why) in [
            (&["streaming", KEY][..], "no body"),
            (&["streaming", "-F", "a=b", KEY], "`-F`"),
            (&["streaming", "--print", "-d", "a", KEY], "--print"),
            (&["streaming", "-T", "/no/such/file", KEY], "/no/such/file"),
            (&["unsigned-trailer", "--checksum", "md5", "-d", "a", KEY], "md5"),
            (&["streaming", "--service", "vpc-lattice-svcs", "-d", "a", KEY], "takes no chunks"),
        ] {
            let (code, read, said) = with_curl("echo sent", chunked(args), b"");
            assert_eq!((code, read.as_str()), (Some(125), ""), "{args:?}");
            assert!(said.contains(why), "{args:?}: {said}");
        }
    }

    #[test]
    fn to_s3_standard_input_goes_with_its_length() {
        let mut command = countersign(&["curl", "-T", "-", "https://bucket.s3.amazonaws.com/a"]);
        command.args(["--region", "us-east-1"]);
        let (_, config, _) = with_curl(r#"/bin/cat "$3""#, command, b"12345");
        assert!(config.contains("header = \"Content-Length: 5\"\n"), "{config}");
        assert!(config.contains("header = \"Transfer-Encoding:\"\n"), "{config}");
        assert!(config.contains("SignedHeaders=content-length;host;"), "{config}");
    }
}
