//! `verify`: one request, and the coprocess.

use std::fs;

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign::{Timestamp, sigv4a};
use serde_json::{Value, json};

use crate::{
    support::{Coprocess, SECRET, TOKEN, countersign, forms_of_chunks, run, upload, upload_by},
    vectors::external_data,
};

const TIME: &str = "20150830T123600Z";

/// Signs by the coprocess; what is to be sent.
fn signed(line: &Value) -> Value {
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    coprocess.ask(&line.to_string())
}

/// What it answers to who does not read it.
#[cfg(unix)]
#[test]
fn a_reader_that_went_away_changes_no_verdict() {
    let request = "GET / HTTP/1.1\r\nHost: iam.amazonaws.com\r\n\r\n";
    for output in ["text", "json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = countersign(&["verify", "--http", "-", "--output", output]);
        command.stdout(writer).stderr(std::process::Stdio::null());
        command.stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), request.as_bytes()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{output}");
    }
}

#[test]
fn what_sign_signs_verify_accepts_and_an_altered_one_it_refuses() {
    let mut coprocess = Coprocess::start(&["verify", "--jsonl"]);
    for form in ["headers", "query"] {
        let answer = signed(&json!({
            "method": "PUT", "url": "https://b.s3.eu-west-1.amazonaws.com/a=b%20(1)?x=%2f&y=+", "as": form,
            "headers": [["X-Note", " a  b "]], "body": "meow", "time": TIME,
        }));
        let mut line = json!({
            "id": form, "method": answer["method"], "url": answer["url"], "headers": answer["headers"],
            "body": "meow", "time": TIME,
            "credentials": {"AKIDEXAMPLE": {"secret_access_key": SECRET, "session_token": TOKEN}},
        });
        let verdict = coprocess.ask(&line.to_string());
        assert_eq!(verdict["ok"], true, "{verdict}");
        assert_eq!(verdict["id"], form);
        assert_eq!(verdict["access_key_id"], "AKIDEXAMPLE");
        assert_eq!(verdict["scope"], "20150830/eu-west-1/s3/aws4_request");
        let (payload, expires) = match form {
            "headers" => ("hash", Value::Null),
            _ => ("unsigned", json!("20150830T125100Z")),
        };
        assert_eq!((&verdict["payload"], &verdict["expires_at"]), (&json!(payload), &expires));
        line["method"] = json!("GET");
        let verdict = coprocess.ask(&line.to_string());
        assert_eq!(
            (&verdict["ok"], &verdict["code"], &verdict["status"]),
            (&json!(false), &json!("SignatureDoesNotMatch"), &json!(403))
        );
        line["credentials"] = json!({"AKIDOTHER": "x"});
        assert_eq!(coprocess.ask(&line.to_string())["code"], "InvalidAccessKeyId");
        line["region"] = json!("us-east-1");
        let code = if form == "headers" {
            "AuthorizationHeaderMalformed"
        } else {
            "AuthorizationQueryParametersError"
        };
        assert_eq!(coprocess.ask(&line.to_string())["code"], code);
    }
    assert_eq!(coprocess.ask(r#"{"id":1}"#)["error"]["kind"], "invalid_request");
    assert_eq!(coprocess.finish(), 0);
}

#[test]
fn sigv4a_is_signed_by_a_line_and_verified_with_its_regions() {
    let mut coprocess = Coprocess::start(&["verify", "--jsonl"]);
    for form in ["headers", "query"] {
        let answer = signed(&json!({
            "url": "https://b.s3.amazonaws.com/a=b", "as": form, "time": TIME, "service": "s3",
            "algorithm": "sigv4a", "region_set": "us-east-1,eu-*",
        }));
        let string_to_sign = answer["string_to_sign"].as_str().unwrap();
        let start = "AWS4-ECDSA-P256-SHA256\n20150830T123600Z\n20150830/s3/aws4_request\n";
        assert!(string_to_sign.starts_with(start), "{answer}");
        let mut line = json!({
            "url": answer["url"], "headers": answer["headers"], "time": TIME, "region": "eu-west-1",
            "credentials": {"AKIDEXAMPLE": {"secret_access_key": SECRET, "session_token": TOKEN}},
        });
        let verdict = coprocess.ask(&line.to_string());
        assert_eq!(verdict["ok"], true, "{verdict}");
        assert_eq!(verdict["scope"], "20150830/s3/aws4_request");
        assert_eq!(verdict["algorithm"], "sigv4a");
        assert_eq!(verdict["region_set"], "us-east-1,eu-*");
        line["method"] = json!("PUT");
        assert_eq!(coprocess.ask(&line.to_string())["code"], "SignatureDoesNotMatch");
        line["region"] = json!("ap-east-1");
        assert_eq!(coprocess.ask(&line.to_string())["status"], 400);
    }
    // A set that the line leaves out is the region; one in the options asks for SigV4A by itself.
    let answer = signed(&json!({
        "url": "https://h.example/", "time": TIME, "service": "s", "region": "eu-west-1",
        "algorithm": "sigv4a", "payload": "streaming",
    }));
    let canonical = answer["canonical_request"].as_str().unwrap();
    assert!(canonical.contains("\nx-amz-region-set:eu-west-1\n"), "{answer}");
    assert!(canonical.ends_with("\nSTREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"), "{answer}");
    let mut coprocess = Coprocess::start(&["sign", "--jsonl", "--region-set", "*"]);
    let line = json!({"url": "https://h.example/", "time": TIME, "service": "s", "region": "r"});
    assert!(coprocess.ask(&line.to_string()).to_string().contains("[\"x-amz-region-set\",\"*\"]"));
    let mut line = line;
    line["algorithm"] = json!("sigv4");
    let answer = coprocess.ask(&line.to_string());
    assert!(answer["authorization"].as_str().unwrap().contains("/r/s/aws4_request"), "{answer}");
}

#[test]
fn two_thousand_differential_cases_are_accepted_and_altered_ones_refused() {
    let Some(data) = external_data("verify differential.jsonl") else { return };
    let text = fs::read_to_string(data.join("signing/differential.jsonl")).unwrap();
    let requests: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["in"].clone())
        .collect();
    let lines: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let output = run(countersign(&["sign", "--jsonl"]), lines.as_bytes());
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut received = String::new();
    for (request, answer) in requests.iter().zip(&answers) {
        let keys = &request["credentials"];
        let is_query = request["as"] == "query";
        let mut line = json!({
            "id": request["id"], "method": answer["method"], "url": answer["url"], "headers": answer["headers"],
            "time": request["time"], "region": request["region"], "service": request["service"],
            "credentials": {keys["access_key_id"].as_str().unwrap(): {
                "secret_access_key": keys["secret_access_key"], "session_token": keys["session_token"],
            }},
        });
        if let Some(body) = request.get("body_base64").filter(|_| !is_query) {
            line["body_base64"] = body.clone();
        }
        received += &format!("{line}\n");
        // The last digit of the signature, another one.
        let text = line.to_string();
        let signature = answer["signature"].as_str().unwrap();
        let digit = if signature.ends_with('0') { '1' } else { '0' };
        received +=
            &format!("{}\n", text.replace(signature, &format!("{}{digit}", &signature[..63])));
    }
    let output = run(countersign(&["verify", "--jsonl"]), received.as_bytes());
    let verdicts = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<Value> =
        verdicts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.len(), 4000);
    for pair in verdicts.chunks(2) {
        assert_eq!(pair[0]["ok"], true, "{}", pair[0]);
        assert_eq!(pair[1]["code"], "SignatureDoesNotMatch", "{}", pair[1]);
    }
}

#[test]
fn a_captured_request_is_verified_and_the_exit_code_says_how() {
    let url = "https://sqs.eu-west-1.amazonaws.com/?Action=ListQueues";
    let text =
        run(countersign(&["sign", url, "-d", "x", "--time", TIME, "--output", "http"]), b"").stdout;
    let verify = |text: &[u8]| run(countersign(&["verify", "--http", "-", "--time", TIME]), text);
    let output = verify(&text);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("AKIDEXAMPLE"));
    let altered = String::from_utf8(text).unwrap().replace("ListQueues", "PurgeQueue");
    let output = verify(altered.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SignatureDoesNotMatch"));
    let url =
        run(countersign(&["presign", "https://b.s3.amazonaws.com/k", "--time", TIME]), b"").stdout;
    let url = String::from_utf8(url).unwrap();
    let verify =
        |time| run(countersign(&["verify", url.trim(), "--time", time]), b"").status.code();
    assert_eq!(verify(TIME), Some(0));
    assert_eq!(verify("20150830T125101Z"), Some(1));
}

#[test]
fn a_refused_signature_is_diagnosed() {
    let url = "https://sqs.eu-west-1.amazonaws.com/a%20b?Action=ListQueues";
    let text = run(countersign(&["sign", url, "--time", TIME, "--output", "http"]), b"").stdout;
    let altered = String::from_utf8(text).unwrap().replacen("GET ", "POST ", 1);
    let verify = |output| {
        let args = ["verify", "--http", "-", "--time", TIME, "--output", output];
        String::from_utf8(run(countersign(&args), altered.as_bytes()).stdout).unwrap()
    };
    let object: Value = serde_json::from_str(&verify("json")).unwrap();
    assert_eq!(object["causes"], json!(["method"]), "{object}");
    let said = verify("text");
    assert!(said.contains("client signed") && said.contains("GET"), "{said}");
    assert!(!said.contains(SECRET) && !said.contains(TOKEN), "{said}");
}

fn at() -> std::time::SystemTime {
    TIME.parse::<Timestamp>().unwrap().into()
}

#[test]
fn a_body_in_chunks_is_verified_and_the_first_that_is_bad_is_named() {
    let data = b"meow ".repeat(4000);
    for (form, chunks) in forms_of_chunks(data.len() as u64) {
        let (head, body) = upload(chunks, &data, at());
        let verify = |body: &[u8], output: &str| {
            let command =
                countersign(&["verify", "--http", "-", "--time", TIME, "--output", output]);
            let output = run(command, &[&head[..], body].concat());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
        };
        let (code, out, _) = verify(&body, "text");
        assert_eq!(code, 0, "{out}");
        assert!(out.contains(&format!("payload         {form}\n")), "{out}");
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(json(&verify(&body, "json").1)["payload"], form);
        // Of the third chunk, behind two of 8 KiB.
        let mut bad = body.clone();
        bad[17_500] ^= 1;
        let (code, out, error) = verify(&bad, "text");
        let (code_of_aws, chunk) = match form {
            "unsigned-trailer" => ("BadDigest", Value::Null),
            _ => ("SignatureDoesNotMatch", json!(3)),
        };
        assert_eq!((code, &*out), (1, ""));
        assert!(error.contains(code_of_aws), "{error}");
        assert!(chunk.is_null() || error.contains("chunk 3, which begins at byte "), "{error}");
        let verdict = json(&verify(&bad, "json").1);
        assert_eq!((&verdict["code"], &verdict["chunk"]), (&json!(code_of_aws), &chunk));
        assert_eq!(verdict["payload"], form);
        assert!(verdict["body_offset"].as_u64().unwrap() > 16_384, "{verdict}");
        let (code, _, error) = verify(&body[..body.len() - 1], "text");
        assert_eq!(code, 1);
        assert!(error.contains("IncompleteBody"), "{error}");
        let (code, out, _) = verify(b"", "text");
        assert_eq!(code, 0);
        assert!(out.contains(&format!("{form}; no body was given, so none was verified")), "{out}");
    }
}

#[test]
fn chunks_that_are_signed_by_sigv4a_are_verified() {
    let (signer, data) = (sigv4a::signer("eu-*", "s3"), b"meow ".repeat(4000));
    let mut coprocess = Coprocess::start(&["verify", "--jsonl"]);
    for (form, chunks) in forms_of_chunks(data.len() as u64) {
        let (head, body) = upload_by(&signer, chunks, &data, at());
        let verify = |body: &[u8]| {
            let options = ["verify", "--http", "-", "--time", TIME, "--output", "json"];
            let output = run(countersign(&options), &[&head[..], body].concat());
            let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code().unwrap(), verdict)
        };
        let mut bad = body.clone();
        bad[17_500] ^= 1;
        let (chunk, code) = match form {
            "unsigned-trailer" => (Value::Null, "BadDigest"),
            _ => (json!(3), "SignatureDoesNotMatch"),
        };
        let (status, verdict) = verify(&body);
        assert_eq!((status, &verdict["algorithm"]), (0, &json!("sigv4a")), "{verdict}");
        assert_eq!(verdict["payload"], form);
        let (status, verdict) = verify(&bad);
        assert_eq!((status, &verdict["chunk"]), (1, &chunk), "{verdict}");
        assert_eq!(verdict["code"], code);

        let headers = str::from_utf8(&head).unwrap().lines().skip(1);
        let headers = headers.filter_map(|line| line.split_once(": "));
        let headers: Vec<Value> = headers.map(|(name, value)| json!([name, value])).collect();
        let mut ask = |body: &[u8]| {
            let line = json!({
                "method": "PUT", "url": "https://b.s3.eu-west-1.amazonaws.com/k", "headers": headers,
                "time": TIME, "region": "eu-west-1", "body_base64": BASE64_STANDARD.encode(body),
                "credentials": {"AKIDEXAMPLE": {"secret_access_key": SECRET, "session_token": TOKEN}},
            });
            coprocess.ask(&line.to_string())
        };
        let verdict = ask(&body);
        assert_eq!((&verdict["ok"], &verdict["payload"]), (&json!(true), &json!(form)));
        assert_eq!(verdict["algorithm"], "sigv4a");
        let verdict = ask(&bad);
        assert_eq!((&verdict["code"], &verdict["chunk"]), (&json!(code), &chunk), "{verdict}");
    }
    assert_eq!(coprocess.finish(), 0);
}

#[test]
fn a_line_is_verified_with_its_chunks_or_as_a_head_alone() {
    let mut coprocess = Coprocess::start(&["verify", "--jsonl"]);
    for (form, chunks) in forms_of_chunks(4) {
        let (head, body) = upload(chunks, b"meow", at());
        let head = String::from_utf8(head).unwrap();
        let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let headers: Vec<Value> = headers.map(|(name, value)| json!([name, value])).collect();
        let mut ask = |body: Option<&[u8]>| {
            let mut line = json!({
                "method": "PUT", "url": "https://b.s3.eu-west-1.amazonaws.com/k", "headers": headers,
                "time": TIME,
                "credentials": {"AKIDEXAMPLE": {"secret_access_key": SECRET, "session_token": TOKEN}},
            });
            if let Some(body) = body {
                line["body_base64"] = BASE64_STANDARD.encode(body).into();
            }
            coprocess.ask(&line.to_string())
        };
        let whole = ask(Some(&body));
        assert_eq!((&whole["ok"], &whole["payload"]), (&json!(true), &json!(form)), "{whole}");
        assert!(whole.get("body_verified").is_none(), "{whole}");
        let head = ask(None);
        assert_eq!((&head["ok"], &head["body_verified"]), (&json!(true), &json!(false)));
        let empty = ask(Some(b""));
        assert_eq!((&empty["code"], &empty["chunk"]), (&json!("IncompleteBody"), &json!(1)));
        assert_eq!((&empty["payload"], &empty["body_offset"]), (&json!(form), &json!(0)));
    }
    assert_eq!(coprocess.finish(), 0);
}
