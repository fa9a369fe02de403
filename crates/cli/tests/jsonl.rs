//! `sign --jsonl`, the coprocess.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::support::{Coprocess, SECRET, TOKEN, countersign, run};

#[test]
fn each_line_is_answered_before_the_next_is_sent() {
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    for id in 0..3 {
        let line = json!({
            "id": id, "method": "GET", "url": "https://iam.amazonaws.com/?b=1&a", "time": "20150830T123600Z",
            "credentials": {"access_key_id": "AKID", "secret_access_key": "secret"},
        });
        let answer = coprocess.ask(&line.to_string());
        assert_eq!(answer["id"], id);
        assert_eq!(answer["url"], "https://iam.amazonaws.com/?b=1&a");
        assert_eq!(answer["method"], "GET");
        assert_eq!(answer["signed_headers"], "host;x-amz-date");
        assert_eq!(answer["headers"][0], json!(["x-amz-date", "20150830T123600Z"]));
        assert_eq!(answer["headers"][1], json!(["authorization", answer["authorization"]]));
    }
    assert_eq!(coprocess.finish(), 0);
}

#[test]
fn what_is_wrong_with_a_line_is_named_and_not_shown() {
    let sign = |line: &str| ("sign", line.to_owned());
    let verify = |line: &str| ("verify", line.to_owned());
    for ((command, line), said) in [
        (sign(r#"{"url":"sts.amazonaws.com/x"}"#), "is a relative URL"),
        (
            sign(r#"{"url":"https://sqs.eu-west-1.amazonaws.com/","credentials":"hush"}"#),
            "secret_access_key",
        ),
        (
            sign(r#"{"url":"https://sqs.eu-west-1.amazonaws.com/","credentials":{"AKID":"hush"}}"#),
            "secret_access_key",
        ),
        (
            sign(
                r#"{"url":"https://sqs.eu-west-1.amazonaws.com/","rules":{"double_encode":"hush"}}"#,
            ),
            "the rule `double_encode` is neither true nor false",
        ),
        (
            sign(r#"{"url":"https://sqs.eu-west-1.amazonaws.com/","rules":{"double":true}}"#),
            "the rule `double` is not known: the rules are double_encode, ",
        ),
        (
            verify(r#"{"url":"https://h/","credentials":{"AKID":["hush"]}}"#),
            "for each access key id its secret",
        ),
        (
            verify(
                r#"{"url":"https://h/","credentials":{"access_key_id":"AKID","secret_access_key":"hush"}}"#,
            ),
            "names keys by their ids",
        ),
    ] {
        let output = run(countersign(&[command, "--jsonl"]), line.as_bytes());
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(said) && !message.contains("hush"), "{line}: {message}");
    }
}

#[test]
fn in_the_query_the_service_says_whether_the_body_counts_unless_a_line_gives_its_hash() {
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    for (payload, last) in [
        (json!("hash"), "UNSIGNED-PAYLOAD"),
        (json!(null), "UNSIGNED-PAYLOAD"),
        (json!("unsigned"), "UNSIGNED-PAYLOAD"),
        (json!(HASH_OF_X), HASH_OF_X),
    ] {
        let line = json!({
            "url": "https://b.s3.eu-west-1.amazonaws.com/k", "method": "PUT", "body": "x", "payload": payload,
            "as": "query",
        });
        let answer = coprocess.ask(&line.to_string());
        let canonical = answer["canonical_request"].as_str().unwrap();
        assert_eq!(canonical.lines().last(), Some(last), "{answer}");
    }
    assert_eq!(coprocess.finish(), 0);
}

#[test]
fn that_there_are_no_credentials_is_not_found_out_again_for_each_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let mut head = [0; 1024];
            let length = stream.read(&mut head).unwrap();
            // It has a token for whoever asks, and no role.
            let answer = match head[..length].starts_with(b"PUT ") {
                true => {
                    "200 OK\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\nContent-Length: 1"
                }
                false => "404 Not Found\r\nContent-Length: 0",
            };
            let body = if answer.starts_with("200") { "t" } else { "" };
            let _ = write!(stream, "HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    let line = "{\"url\":\"https://iam.amazonaws.com/\"}\n";
    let times = [1, 3].map(|lines| {
        let before = asked.load(Ordering::Relaxed);
        let mut command = countersign(&["sign", "--jsonl"]);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.env_remove("AWS_EC2_METADATA_DISABLED");
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service);
        let output = run(command, line.repeat(lines).as_bytes());
        let answers = String::from_utf8(output.stdout).unwrap();
        assert_eq!(answers.matches("no credentials found").count(), lines, "{answers}");
        asked.load(Ordering::Relaxed) - before
    });
    assert!(times[0] > 0 && times[0] == times[1], "{times:?}");
}

#[test]
fn the_token_of_a_session_of_s3_express_has_a_name_of_its_own() {
    let mut signing = Coprocess::start(&["sign", "--jsonl"]);
    let mut verifying = Coprocess::start(&["verify", "--jsonl"]);
    let known = json!({"AKID": {"secret_access_key": "s", "session_token": "t"}});
    for (is_session, name) in [
        (json!(true), "x-amz-s3session-token"),
        (json!(false), "x-amz-security-token"),
        (json!(true), "x-amz-s3session-token"),
    ] {
        let mut credentials = known["AKID"].clone();
        credentials["access_key_id"] = "AKID".into();
        credentials["s3_express_session"] = is_session;
        let line = json!({
            "url": "https://b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/k",
            "credentials": credentials, "time": "20150830T123600Z",
        });
        let mut signed = signing.ask(&line.to_string());
        assert!(signed["signed_headers"].as_str().unwrap().contains(name), "{signed}");
        let scope = "/s3express/aws4_request";
        assert!(signed["authorization"].as_str().unwrap().contains(scope), "{signed}");
        let signed = signed.as_object_mut().unwrap();
        signed.retain(|field, _| matches!(&**field, "method" | "url" | "headers"));
        signed.insert("credentials".into(), known.clone());
        signed.insert("time".into(), "20150830T123600Z".into());
        let verdict = verifying.ask(&json!(signed).to_string());
        assert_eq!(verdict["ok"], true, "{verdict}");
    }
    assert_eq!((signing.finish(), verifying.finish()), (0, 0));
}

#[test]
fn a_url_that_would_end_its_line_is_refused() {
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    for (bad, shown) in [("\r\nX: y", "0x0d"), ("\n", "0x0a"), ("\0", "0x00")] {
        for form in ["headers", "query"] {
            let url = format!("https://iam.amazonaws.com/a{bad}");
            let answer = coprocess.ask(&json!({"url": url, "as": form}).to_string());
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.contains(shown) && message.contains("position 27"), "{answer}");
        }
    }
    let answer = coprocess.ask(r#"{"url": "https://iam.amazonaws.com/a b\tc"}"#);
    assert_eq!(answer["url"], "https://iam.amazonaws.com/a b\tc", "{answer}");
    assert_eq!(coprocess.finish(), 0);
}

#[test]
fn without_a_signature_the_host_says_in_which_words_a_request_is_refused() {
    let mut coprocess = Coprocess::start(&["verify", "--jsonl"]);
    for (host, code) in [
        ("b.s3.eu-west-1.amazonaws.com", "AccessDenied"),
        ("iam.amazonaws.com", "MissingAuthenticationToken"),
        ("localhost:9000", "MissingAuthenticationToken"),
    ] {
        let answer = coprocess.ask(&json!({"url": format!("https://{host}/k")}).to_string());
        assert_eq!((&answer["code"], &answer["status"]), (&json!(code), &json!(403)), "{answer}");
    }
    assert_eq!(coprocess.finish(), 0);
}

#[test]
fn a_file_of_credentials_that_cannot_be_read_ends_it_at_once() {
    let line = b"{\"url\":\"https://iam.amazonaws.com/\"}\n";
    for args in [&["sign", "--jsonl"][..], &["presign", "--from-file", "-"]] {
        let args = [args, &["--credentials-file", "/nowhere"]].concat();
        let output = run(countersign(&args), line);
        assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{args:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("/nowhere") && !said.contains("line"), "{said}");
    }
}

#[test]
fn a_bad_line_is_answered_and_the_stream_goes_on() {
    let mut coprocess =
        Coprocess::start(&["sign", "--jsonl", "--region", "eu-west-1", "--service", "sqs"]);
    for (line, kind) in [
        ("not json", "invalid_json"),
        ("", "invalid_json"),
        ("[1]", "invalid_request"),
        (r#"{"id":1}"#, "invalid_request"),
        (r#"{"id":1,"url":"relative"}"#, "invalid_url"),
        (r#"{"id":1,"url":"/path"}"#, "missing_host"),
        (r#"{"id":1,"url":"https://h/","method":"G T"}"#, "invalid_method"),
        (r#"{"id":1,"url":"https://h/","headers":[["a b","c"]]}"#, "invalid_header"),
        (r#"{"id":1,"url":"https://h/","headers":[["a","b\r\nc"]]}"#, "invalid_header"),
        (r#"{"id":1,"url":"https://h/","headers":[["host","other"]]}"#, "conflicting_host"),
        (r#"{"id":1,"url":"https://h/?a=%zz"}"#, "malformed_escape"),
        (r#"{"id":1,"url":"https://h/","region":""}"#, "invalid_scope"),
        (r#"{"id":1,"url":"https://h/","time":"19691231T235959Z"}"#, "invalid_time"),
        (r#"{"id":1,"url":"https://h/","as":"query","expires":604801}"#, "invalid_expiry"),
        (r#"{"id":1,"url":"https://h/","body_file":"/nonexistent/body"}"#, "unreadable_file"),
        (
            r#"{"id":1,"url":"https://h/","body":"x","payload":"streaming","as":"query"}"#,
            "unsupported",
        ),
        (
            r#"{"id":1,"url":"https://h/","body":"x","payload":"streaming","as":"query","algorithm":"sigv4a"}"#,
            "unsupported",
        ),
        (
            r#"{"id":1,"url":"https://h/","body":"x","payload":"streaming","trailer":"x-amz-checksum-crc32"}"#,
            "invalid_request",
        ),
        (
            r#"{"id":1,"url":"https://h/","body":"x","payload":"unsigned-trailer","trailer":"x-amz-checksum-md5"}"#,
            "unsupported",
        ),
        (
            r#"{"id":1,"url":"https://h/","body":"x","payload":"streaming","service":"vpc-lattice-svcs"}"#,
            "unsupported_payload",
        ),
        (
            r#"{"id":1,"url":"https://h/","body_file":"/nonexistent/body","payload":"streaming"}"#,
            "unreadable_file",
        ),
    ] {
        let answer = coprocess.ask(line);
        assert_eq!(answer["error"]["kind"], kind, "{line}: {answer}");
        let text = answer.to_string();
        assert!(!text.contains(SECRET) && !text.contains(TOKEN), "{text}");
    }
    let answer = coprocess.ask(r#"{"id":2,"url":"https://h/"}"#);
    assert!(answer["authorization"].as_str().unwrap().contains("/eu-west-1/sqs/"), "{answer}");
    assert_eq!(coprocess.finish(), 0);
}

#[test]
fn signing_again_replaces_the_headers_and_the_query() {
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    let line = json!({
        "url": "https://b.s3.eu-west-1.amazonaws.com/k?x=1&X-Amz-Signature=old",
        "headers": [["Authorization", "old"], ["X-Amz-Date", "old"], ["x-keep", "1"], ["x-keep", "2"]],
    });
    let answer = coprocess.ask(&line.to_string());
    assert_eq!(answer["url"], "https://b.s3.eu-west-1.amazonaws.com/k?x=1");
    let headers = answer["headers"].as_array().unwrap();
    let names: Vec<&str> = headers.iter().map(|pair| pair[0].as_str().unwrap()).collect();
    let expected = [
        "x-keep",
        "x-keep",
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-security-token",
        "authorization",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_line_that_is_too_long_is_answered_and_skipped() {
    let mut input = vec![b' '; (64 << 20) + 1];
    input.extend_from_slice(b"\n{\"id\":\"next\",\"url\":\"https://sts.amazonaws.com/\"}\n");
    let output = run(countersign(&["sign", "--jsonl"]), &input);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0]["error"]["kind"], "line_too_long");
    assert_eq!(lines[1]["id"], "next");
}

#[test]
fn a_body_file_is_hashed() {
    let folder = std::env::temp_dir();
    let path = folder.join(format!("countersign-body-{}", std::process::id()));
    std::fs::write(&path, "meow").unwrap();
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    let url = "https://sts.amazonaws.com/";
    let time = "20150830T123600Z";
    let file = coprocess.ask(&json!({"url": url, "time": time, "body_file": path}).to_string());
    let text = coprocess.ask(&json!({"url": url, "time": time, "body": "meow"}).to_string());
    let base64 =
        coprocess.ask(&json!({"url": url, "time": time, "body_base64": "bWVvdw=="}).to_string());
    std::fs::remove_file(path).unwrap();
    assert!(file["signature"].is_string(), "{file}");
    assert_eq!(file["signature"], text["signature"]);
    assert_eq!(file["signature"], base64["signature"]);
}

/// The line of an upload, with these fields added.
fn upload(fields: serde_json::Value) -> String {
    let mut line = json!({
        "method": "PUT", "url": "https://bucket.s3.amazonaws.com/key", "time": "20150830T123600Z",
        "region": "us-east-1",
    });
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    line.to_string()
}

fn wire_of(answer: &serde_json::Value) -> String {
    let wire = BASE64_STANDARD.decode(answer["body_base64"].as_str().unwrap()).unwrap();
    String::from_utf8(wire).unwrap()
}

fn header<'a>(answer: &'a serde_json::Value, name: &str) -> Vec<&'a str> {
    let headers = answer["headers"].as_array().unwrap().iter();
    headers.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}

#[test]
fn a_body_in_chunks_comes_back_framed() {
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    let answer = coprocess.ask(&upload(json!({
        "body": "meow", "payload": "unsigned-trailer", "trailer": "X-Amz-Checksum-SHA256",
        "headers": [["Content-Encoding", "gzip"], ["Content-Length", "4"]],
    })));
    assert_eq!(
        wire_of(&answer),
        "4\r\nmeow\r\n0\r\n\
         x-amz-checksum-sha256:QEzde8EJxDL4zCRDtFvP6VmA9RByFcZFI25XeSmsPlI=\r\n\r\n"
    );
    assert_eq!(header(&answer, "content-encoding"), ["aws-chunked,gzip"]);
    assert_eq!(header(&answer, "x-amz-decoded-content-length"), ["4"]);
    assert_eq!(header(&answer, "x-amz-trailer"), ["x-amz-checksum-sha256"]);
    assert_eq!(header(&answer, "x-amz-content-sha256"), ["STREAMING-UNSIGNED-PAYLOAD-TRAILER"]);
    assert_eq!(header(&answer, "content-length"), [wire_of(&answer).len().to_string()]);
    assert_eq!(header(&answer, "Content-Length"), [""; 0]);
    assert_eq!(
        answer["signed_headers"],
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-security-token;x-amz-trailer"
    );

    let signed = coprocess.ask(&upload(json!({"body": "", "payload": "streaming"})));
    assert!(wire_of(&signed).starts_with("0;chunk-signature="), "{signed}");
    let signed = coprocess.ask(&upload(json!({"body": "meow", "payload": "streaming-trailer"})));
    let wire = wire_of(&signed);
    assert!(wire.contains("\r\nmeow\r\n0;chunk-signature="), "{wire}");
    assert!(wire.contains("\r\nx-amz-checksum-crc32:"), "{wire}");
    assert!(wire.contains("\r\nx-amz-trailer-signature:"), "{wire}");
}

#[test]
fn what_one_coprocess_frames_the_other_takes_apart_by_either_algorithm() {
    let mut signing = Coprocess::start(&["sign", "--jsonl"]);
    let mut verifying = Coprocess::start(&["verify", "--jsonl"]);
    let body = "meow".repeat(20_000);
    for algorithm in ["sigv4", "sigv4a"] {
        for form in ["streaming", "streaming-trailer", "unsigned-trailer"] {
            let answer = signing.ask(&upload(json!({
                "body": body, "payload": form, "algorithm": algorithm,
                "credentials": {"access_key_id": "AKID", "secret_access_key": "secret"},
            })));
            let line = json!({
                "method": "PUT", "url": answer["url"], "headers": answer["headers"],
                "body_base64": answer["body_base64"], "time": "20150830T123600Z",
                "region": "us-east-1", "credentials": {"AKID": "secret"},
            });
            let verdict = verifying.ask(&line.to_string());
            assert_eq!(verdict["ok"], true, "{algorithm}, {form}: {answer} {verdict}");
            assert_eq!(verdict["payload"], form);
        }
    }
}

#[test]
fn the_three_spellings_of_a_body_are_framed_alike() {
    let path = std::env::temp_dir().join(format!("countersign-framed-{}", std::process::id()));
    std::fs::write(&path, "meow").unwrap();
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    let mut ask = |fields| coprocess.ask(&upload(fields));
    let text = ask(json!({"payload": "streaming", "body": "meow"}));
    let base64 = ask(json!({"payload": "streaming", "body_base64": "bWVvdw=="}));
    let file = ask(json!({"payload": "streaming", "body_file": path}));
    std::fs::remove_file(path).unwrap();
    assert!(text["body_base64"].is_string(), "{text}");
    assert_eq!(text, base64);
    assert_eq!(text, file);
}

#[test]
fn without_a_body_the_head_alone_is_signed() {
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    let answer = coprocess.ask(&upload(json!({
        "payload": "streaming-trailer", "trailer": "x-amz-checksum-crc32",
        "headers": [["content-encoding", "aws-chunked"], ["x-amz-trailer", "x-amz-checksum-crc32"]],
    })));
    assert!(answer["body_base64"].is_null(), "{answer}");
    assert_eq!(header(&answer, "content-length"), [""; 0]);
    assert!(answer["canonical_request"].as_str().unwrap().ends_with("-PAYLOAD-TRAILER"));
}

#[test]
fn a_file_too_long_for_a_line_is_not_framed() {
    let path = std::env::temp_dir().join(format!("countersign-too-long-{}", std::process::id()));
    std::fs::File::create(&path).unwrap().set_len((64 << 20) + 1).unwrap();
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    let answer = coprocess.ask(&upload(json!({"payload": "streaming", "body_file": path})));
    std::fs::remove_file(path).unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("64 MiB"), "{answer}");
}

#[test]
fn an_id_comes_back_to_the_last_digit_whatever_else_is_wrong() {
    for id in [
        "123456789012345678901234567890",
        "-0",
        "1e2",
        "9007199254740993.5",
        "\"\\u00e9\"",
        "[1, {\"a\":null}]",
        "null",
    ] {
        for rest in [
            r#""url":"https://sts.amazonaws.com/""#,
            r#""url":"https://sts.amazonaws.com/?%""#,
            r#""url":7"#,
            r#""url":"https://sts.amazonaws.com/","headers":[["a","\ud800"]]"#,
        ] {
            let line = format!("{{\"id\":{id},{rest}}}\n");
            let output = run(countersign(&["sign", "--jsonl"]), line.as_bytes());
            let answer = String::from_utf8(output.stdout).unwrap();
            assert!(answer.starts_with(&format!("{{\"id\":{id},")), "{line}{answer}");
        }
    }
}

#[test]
fn a_null_field_is_one_that_is_missing() {
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    let url = "https://sts.amazonaws.com/";
    let bare = coprocess.ask(&json!({"url": url, "time": "20150830T123600Z"}).to_string());
    let nulls = json!({
        "id": null, "url": url, "time": "20150830T123600Z", "method": null, "headers": null, "body": null,
        "body_base64": null, "body_file": null, "payload": null, "as": null, "expires": null,
        "exclude": null, "trailer": null, "region": null, "service": null, "algorithm": null,
        "region_set": null, "credentials": null, "rules": null,
    });
    assert!(bare["signature"].is_string(), "{bare}");
    assert_eq!(coprocess.ask(&nulls.to_string()), bare);
}

#[test]
fn credentials_and_requests_from_one_stream_are_refused() {
    for args in [
        &["sign", "--jsonl", "--credentials-file", "-"][..],
        &["sign", "--http", "-", "--credentials-file", "-"],
        &["presign", "https://sts.amazonaws.com/", "-d", "@-", "--credentials-file", "-"],
        &["verify", "--jsonl", "--credentials-file", "-"],
    ] {
        let output = run(countersign(args), b"{}");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("standard input"), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn answers_that_cannot_be_written_are_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = countersign(&["sign", "https://sts.amazonaws.com/"]);
    assert_eq!(command.stdout(full.try_clone().unwrap()).status().unwrap().code(), Some(2));
    let mut command = countersign(&["sign", "--jsonl"]);
    command.stdin(std::process::Stdio::piped()).stdout(full);
    let mut child = command.spawn().unwrap();
    let line = b"{\"url\":\"https://sts.amazonaws.com/\"}\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), line).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

const HASH_OF_X: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
