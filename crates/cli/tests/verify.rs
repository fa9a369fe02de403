//! `verify`: one request, and the coprocess.

use std::fs;

use serde_json::{Value, json};

use crate::{
    support::{Coprocess, SECRET, TOKEN, countersign, run},
    vectors::external_data,
};

const TIME: &str = "20150830T123600Z";

/// Signs by the coprocess; what is to be sent.
fn signed(line: &Value) -> Value {
    let mut coprocess = Coprocess::start(&["sign", "--jsonl"]);
    coprocess.ask(&line.to_string())
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
