//! What the README and the page on tokens show in Rust: each of their blocks stands in one of these tests.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials, Error, Head, KeyCache, Payload, Scratch, Signer,
    body::ChunkedBody,
    checksums::Crc64Nvme,
    chunked::Chunks,
    tokens::{
        Bedrock, CallerIdentity, CodeCommit, Dsql, Eks, ElastiCache, ExecVersion, Iot, MongoDb,
        Msk, Rds, Transcribe, exec_credential,
    },
    verify::{Known, Verifier},
};
use http_body_util::{BodyExt, Full};

#[test]
fn a_request_is_signed_as_the_readme_signs_it() -> Result<(), Box<dyn std::error::Error>> {
    let signer = Signer::new("eu-central-1", "dynamodb");
    let credentials = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let mut request = http::Request::post("https://dynamodb.eu-central-1.amazonaws.com/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.ListTables")
        .body("{}")?;
    let payload = Payload::hash(request.body());
    signer.sign(&mut request, payload, &credentials, SystemTime::now())?;

    assert!(request.headers().contains_key("authorization"));
    Ok(())
}

#[tokio::test]
async fn a_file_streams_as_in_the_readme() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let signer = Signer::new("eu-central-1", "s3");
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let (file, length) = (Full::new(&b"of a file"[..]), 9);
    let url = "https://bucket.s3.eu-central-1.amazonaws.com/file";
    let mut request = http::Request::put(url).body(file)?;

    let chunks = Chunks::signed(length).with_checksum(Crc64Nvme::new());
    let signer = signer.sign_chunked(&mut request, chunks, &credentials, SystemTime::now())?;
    let request = request.map(|file| ChunkedBody::new(file, signer));

    let sent = request.into_body().collect().await?.to_bytes();
    assert!(sent.starts_with(b"9;chunk-signature="), "{}", sent.escape_ascii());
    Ok(())
}

#[test]
fn a_request_is_verified_as_in_the_readme() -> Result<(), Box<dyn std::error::Error>> {
    let piece = b"of a file";
    let url = "https://bucket.s3.eu-central-1.amazonaws.com/file";
    let mut request = http::Request::put(url).body(())?;
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let signer = Signer::new("eu-central-1", "s3");
    signer.sign(&mut request, Payload::hash(piece), &credentials, SystemTime::now())?;
    let (parts, ()) = request.into_parts();
    let (store, keys) = (Store, KeyCache::default());

    let verifier = Verifier::new().with_region("eu-central-1").with_services(["s3"]);
    let claim = verifier.claim(Head::from(&parts), SystemTime::now())?;
    let secret = store.secret_of(claim.access_key_id());
    let key = secret.map(|secret| keys.key(claim.access_key_id(), &secret, &claim.scope()));
    let (verified, mut body) =
        claim.verify(key.as_ref().map(Known::new), None, &mut Scratch::new())?;
    body.push(piece)?;
    body.finish()?;

    assert_eq!(verified.access_key_id(), "AKIDEXAMPLE");
    Ok(())
}

/// What a server knows.
struct Store;

impl Store {
    fn secret_of(&self, access_key_id: &str) -> Option<String> {
        (access_key_id == "AKIDEXAMPLE").then(|| "secret".to_owned())
    }
}

#[test]
#[allow(unused_variables, reason = "the page shows two ways to the same name")]
fn tokens_are_made_as_their_page_makes_them() -> Result<(), Error> {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret");
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));

    let host = "db.abc.eu-west-1.rds.amazonaws.com";
    let password =
        Rds::new(host, 5432, "app", "eu-west-1").sign(&credentials, SystemTime::now())?;
    assert!(
        password.as_str().starts_with("db.abc.eu-west-1.rds.amazonaws.com:5432/?Action=connect")
    );

    let host = "abc.dsql.us-east-1.on.aws";
    let password = Dsql::admin(host, "us-east-1").sign(&credentials, SystemTime::now())?;
    let password =
        Dsql::new(host, "us-east-1").with_expires_in(hour).sign(&credentials, SystemTime::now())?;
    assert!(password.as_str().contains("X-Amz-Expires=3600"));

    let cache = ElastiCache::new("my-cache", "iam-user-01", "eu-west-1").with_serverless(true);
    let password = cache.sign(&credentials, SystemTime::now())?;
    assert!(password.as_str().contains("ResourceType=ServerlessCache"));

    let token = Eks::new("my-cluster", "eu-west-1").sign(&credentials, SystemTime::now())?;
    let answer = exec_credential(&token, ExecVersion::V1);
    assert!(answer.contains(token.as_str()));

    let token = Msk::new("eu-west-1")
        .with_user_agent("billing/2.1")
        .sign(&credentials, SystemTime::now())?;
    assert!(!token.as_str().contains('='));

    let host = "git-codecommit.eu-west-1.amazonaws.com";
    let git = CodeCommit::new(host, "/v1/repos/app", "eu-west-1")
        .sign(&credentials, SystemTime::now())?;
    let (user, password) = (git.user(), git.password());
    assert_eq!((user, password.contains('Z')), ("AKIDEXAMPLE", true));

    let url =
        Iot::new("abcdef-ats.iot.eu-west-1.amazonaws.com", "eu-west-1").sign(&credentials, now)?;
    assert!(url.as_str().starts_with("wss://abcdef-ats.iot.eu-west-1.amazonaws.com/mqtt?"));

    let url = Transcribe::new("eu-west-1")
        .with_parameter("language-code", "en-GB")
        .with_parameter("media-encoding", "pcm")
        .with_parameter("sample-rate", "16000")
        .sign(&credentials, SystemTime::now())?;
    assert!(url.as_str().contains("language-code=en-GB"));

    let key =
        Bedrock::new("us-west-2").with_expires_in(hour).sign(&credentials, SystemTime::now())?;
    assert!(key.as_str().starts_with("bedrock-api-key-"));

    let mut form = Vec::new();
    let identity = CallerIdentity::new("us-east-1")
        .with_host("sts.amazonaws.com")
        .with_header("x-vault-aws-iam-server-id", "vault.example.com");
    let request = identity.sign(&credentials, SystemTime::now())?;
    for (name, value) in request.vault_login().fields() {
        form.push((name, value.to_owned()));
    }
    assert_eq!(form.len(), 4);

    let (host, client_nonce) = ("sts.amazonaws.com", [7; 32]);
    let server_nonce = [client_nonce, [8; 32]].concat();
    let answer =
        MongoDb::new(host, &client_nonce, &server_nonce).sign(&credentials, SystemTime::now())?;
    assert!(answer.fields().count() > 1);
    Ok(())
}

#[test]
fn all_that_the_pages_show_stands_here() {
    let here = without_blanks(include_str!("pages.rs"));
    for (page, blocks) in [("README.md", 3), ("docs/tokens.md", 11)] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        let shown = text.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let mut count = 0;
        for block in shown {
            let lines = block.lines().filter(|line| !line.starts_with("use "));
            let code = without_blanks(&lines.collect::<String>());
            assert!(here.contains(&code), "{page}: no test here is\n{block}");
            count += 1;
        }
        assert_eq!(count, blocks, "{page}");
    }
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}
