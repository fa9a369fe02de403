//! Signs `reqwest` requests with the library and sends them to real servers, which check the
//! signatures. Run it under `servers.py`; it takes addresses and keys from the environment.
//!
//! Prints a line for each check and exits with 1 if one failed.

use std::{
    env,
    error::Error,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use countersign::{Credentials, Payload, Presign, Signer};
use reqwest::{Body, Client, Method, Request, Url, redirect};

const REGION: &str = "us-east-1";
const BUCKET: &str = "interop";
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Paths as they are written in a URL; `Url` itself removes dot segments and encodes what it must.
const NASTY_KEYS: &[&str] = &[
    "a%20b",
    "a b",
    "a+b",
    "c%2Bd",
    "year=2015/x",
    "y%3dz",
    "dir%2Ffile",
    "Grüße/日本",
    "%C3%BC",
    "x//y",
    "~home",
    "%7Eaway",
    "copy (1)",
    "a&b",
    "what%3F",
    "100%25",
    "%2541",
    "a,b:c;d@e",
    "a!b$c*d'e",
    "a%23b",
    "{brace}",
    "a|b^c`d",
];

type Outcome = Result<(), Box<dyn Error>>;

/// A server under test and a key that it knows.
struct Server {
    client: Client,
    url: String,
    credentials: Credentials,
}

impl Server {
    fn from_env(name: &str) -> Result<Server, Box<dyn Error>> {
        let variable = |what| env::var(format!("INTEROP_{name}_{what}"));
        Ok(Server {
            client: Client::builder()
                .redirect(redirect::Policy::none())
                .timeout(Duration::from_secs(20))
                .no_proxy()
                .build()?,
            url: variable("URL")?,
            credentials: Credentials::new(
                variable("ACCESS_KEY_ID")?,
                variable("SECRET_ACCESS_KEY")?,
            ),
        })
    }

    fn with_credentials(&self, credentials: Credentials) -> Server {
        Server { client: self.client.clone(), url: self.url.clone(), credentials }
    }

    fn request(&self, method: Method, path: &str) -> Result<Request, Box<dyn Error>> {
        Ok(Request::new(method, Url::parse(&format!("{}{path}", self.url))?))
    }

    /// Signs a request with this body.
    fn signed(
        &self,
        service: &str,
        mut request: Request,
        body: &str,
    ) -> Result<Request, Box<dyn Error>> {
        let payload = Payload::hash(body);
        if !body.is_empty() {
            *request.body_mut() = Some(Body::from(body.to_owned()));
        }
        let signer = Signer::new(REGION, service);
        signer.sign(&mut request, payload, &self.credentials, SystemTime::now())?;
        Ok(request)
    }

    /// The text of the answer to a request that is signed and sent.
    async fn call(
        &self,
        service: &str,
        request: Request,
        body: &str,
    ) -> Result<String, Box<dyn Error>> {
        self.send(self.signed(service, request, body)?).await
    }

    async fn send(&self, request: Request) -> Result<String, Box<dyn Error>> {
        Ok(self.client.execute(request).await?.text().await?)
    }

    /// A query-protocol call as a form.
    async fn form(&self, service: &str, form: &str) -> Result<String, Box<dyn Error>> {
        let mut request = self.request(Method::POST, "/")?;
        let form_type = "application/x-www-form-urlencoded".parse()?;
        request.headers_mut().insert("content-type", form_type);
        self.call(service, request, form).await
    }

    /// A query-protocol call as a GET. moto verifies it only if it says what its body hashes to.
    async fn query(&self, service: &str, query: &str) -> Result<String, Box<dyn Error>> {
        let mut request = self.request(Method::GET, &format!("/?{query}"))?;
        let hash = EMPTY_HASH.parse()?;
        request.headers_mut().insert("x-amz-content-sha256", hash);
        self.call(service, request, "").await
    }

    fn presigned(&self, method: Method, path: &str) -> Result<Request, Box<dyn Error>> {
        let mut request = self.request(method, path)?;
        let presign = Presign::expires_in(Duration::from_secs(900));
        let signer = Signer::new(REGION, "s3");
        signer.presign(&mut request, presign, &self.credentials, SystemTime::now())?;
        Ok(request)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (moto, s3) = (Server::from_env("MOTO")?, Server::from_env("S3")?);
    let mut checks = Checks::default();

    checks.note("moto CloudWatch", cloudwatch(&moto).await);
    checks.note("moto EC2", ec2(&moto).await);
    checks.note("moto STS", sts(&moto).await);
    checks.note("moto STS as a session", session(&moto).await);
    checks.note("moto refuses what is altered", altered_form(&moto).await);
    for key in NASTY_KEYS {
        checks.note(&format!("s3s-fs put, get, delete {key}"), object(&s3, key).await);
        checks.note(&format!("s3s-fs presigned put, get {key}"), presigned(&s3, key).await);
    }
    checks.note("s3s-fs list", list(&s3).await);
    checks.note("s3s-fs refuses what is altered", altered_object(&s3).await);
    checks.note("s3s-fs refuses an altered presigned URL", altered_url(&s3).await);

    println!("reqwest-client: {} ok, {} failed", checks.passed, checks.failed);
    Ok(ExitCode::from(u8::from(checks.failed > 0)))
}

async fn cloudwatch(moto: &Server) -> Outcome {
    let put = "Action=PutMetricData&Version=2010-08-01&Namespace=re+qwest&\
               MetricData.member.1.MetricName=Latency%26&MetricData.member.1.Value=1.5";
    expect(&moto.form("monitoring", put).await?, "PutMetricDataResponse")?;
    let list = "Action=ListMetrics&Version=2010-08-01";
    expect(&moto.form("monitoring", list).await?, "Latency&amp;")
}

async fn ec2(moto: &Server) -> Outcome {
    let run = "Action=RunInstances&Version=2016-11-15&ImageId=ami-12c6146b&MinCount=1&MaxCount=1";
    let started = moto.form("ec2", run).await?;
    let id = element(&started, "instanceId")?;
    let describe = "Version=2016-11-15&Action=DescribeInstances";
    expect(&moto.form("ec2", describe).await?, id)?;
    expect(&moto.query("ec2", describe).await?, id)
}

async fn sts(moto: &Server) -> Outcome {
    let identity = moto.form("sts", CALLER_IDENTITY).await?;
    expect(&identity, ":user/interop</Arn>")?;
    let identity = moto.query("sts", CALLER_IDENTITY).await?;
    expect(&identity, ":user/interop</Arn>")
}

async fn session(moto: &Server) -> Outcome {
    // moto verifies a form as it would write it itself.
    let role = env::var("INTEROP_MOTO_ROLE_ARN")?.replace(':', "%3A").replace('/', "%2F");
    let assume =
        format!("Action=AssumeRole&Version=2011-06-15&RoleSessionName=session&RoleArn={role}");
    let answer = moto.form("sts", &assume).await?;
    let key =
        Credentials::new(element(&answer, "AccessKeyId")?, element(&answer, "SecretAccessKey")?);
    let token = element(&answer, "SessionToken")?;

    let session = moto.with_credentials(key.clone().with_session_token(token));
    let identity = session.form("sts", CALLER_IDENTITY).await?;
    expect(&identity, ":assumed-role/interop/session</Arn>")?;
    let other = moto.with_credentials(key.with_session_token("another token"));
    expect(&other.form("sts", CALLER_IDENTITY).await?, "InvalidClientTokenId")
}

async fn altered_form(moto: &Server) -> Outcome {
    let mut request = moto.request(Method::POST, "/")?;
    request.headers_mut().insert("x-amz-meta-color", "red".parse()?);
    let request = moto.signed("sts", request, CALLER_IDENTITY)?;
    let copy = || request.try_clone().ok_or("a body that cannot be copied");
    expect(&moto.send(copy()?).await?, ":user/interop</Arn>")?;

    let mut altered = copy()?;
    altered.headers_mut().insert("x-amz-meta-color", "blue".parse()?);
    expect(&moto.send(altered).await?, "SignatureDoesNotMatch")?;
    let mut altered = copy()?;
    *altered.body_mut() = Some(Body::from(format!("{CALLER_IDENTITY}&a=b")));
    expect(&moto.send(altered).await?, "SignatureDoesNotMatch")?;

    let wrong = Credentials::new(moto.credentials.access_key_id(), "wrong");
    let answer = moto.with_credentials(wrong).form("sts", CALLER_IDENTITY).await?;
    expect(&answer, "SignatureDoesNotMatch")?;
    expect(&moto.send(request).await?, ":user/interop</Arn>")
}

async fn object(s3: &Server, key: &str) -> Outcome {
    let path = format!("/{BUCKET}/reqwest/{key}");
    let put = s3.request(Method::PUT, &path)?;
    expect_text(&s3.call("s3", put, key).await?, "")?;
    let get = s3.request(Method::GET, &path)?;
    expect_text(&s3.call("s3", get, "").await?, key)?;
    let delete = s3.request(Method::DELETE, &path)?;
    expect_text(&s3.call("s3", delete, "").await?, "")?;
    let get = s3.request(Method::GET, &path)?;
    expect(&s3.call("s3", get, "").await?, "NoSuchKey")
}

async fn presigned(s3: &Server, key: &str) -> Outcome {
    let path = format!("/{BUCKET}/presigned/{key}?x-id=Object");
    let mut put = s3.presigned(Method::PUT, &path)?;
    *put.body_mut() = Some(Body::from(key.to_owned()));
    expect_text(&s3.send(put).await?, "")?;
    let get = s3.presigned(Method::GET, &path)?;
    expect_text(&s3.send(get).await?, key)
}

async fn list(s3: &Server) -> Outcome {
    for key in ["list/a b", "list/c+d"] {
        let put = s3.request(Method::PUT, &format!("/{BUCKET}/reqwest/{key}"))?;
        expect_text(&s3.call("s3", put, "x").await?, "")?;
    }
    for (prefix, key) in [("a+", "a b"), ("a%20", "a b"), ("c%2B", "c+d")] {
        let query = format!("/{BUCKET}?prefix=reqwest/list/{prefix}&list-type=2");
        let answer = s3.call("s3", s3.request(Method::GET, &query)?, "").await?;
        expect(&answer, "<KeyCount>1</KeyCount>")?;
        expect(&answer, &format!("<Key>reqwest/list/{key}</Key>"))?;
    }
    Ok(())
}

async fn altered_object(s3: &Server) -> Outcome {
    let path = format!("/{BUCKET}/reqwest/alter (1)");
    let put = s3.signed("s3", s3.request(Method::PUT, &path)?, "body")?;
    let copy = || put.try_clone().ok_or("a body that cannot be copied");
    expect_text(&s3.send(copy()?).await?, "")?;

    let mut altered = copy()?;
    altered.url_mut().set_path(&path.replace("alter", "later"));
    expect(&s3.send(altered).await?, "SignatureDoesNotMatch")?;
    let mut altered = copy()?;
    altered.url_mut().set_query(Some("a=b"));
    expect(&s3.send(altered).await?, "SignatureDoesNotMatch")?;
    let mut altered = copy()?;
    *altered.method_mut() = Method::DELETE;
    expect(&s3.send(altered).await?, "SignatureDoesNotMatch")?;
    let mut altered = copy()?;
    *altered.body_mut() = Some(Body::from("bodi"));
    // s3s-fs notices while it reads, and says so as an internal error.
    expect(&s3.send(altered).await?, "<Error>")?;

    expect_text(&s3.send(put).await?, "")?;
    let get = s3.request(Method::GET, &path)?;
    expect_text(&s3.call("s3", get, "").await?, "body")
}

async fn altered_url(s3: &Server) -> Outcome {
    let path = format!("/{BUCKET}/reqwest/url");
    let put = s3.request(Method::PUT, &path)?;
    expect_text(&s3.call("s3", put, "body").await?, "")?;

    let get = s3.presigned(Method::GET, &path)?;
    let copy = || get.try_clone().ok_or("a body that cannot be copied");
    let mut altered = copy()?;
    altered.url_mut().set_path(&format!("/{BUCKET}/reqwest/list/c+d"));
    expect(&s3.send(altered).await?, "SignatureDoesNotMatch")?;
    let mut altered = copy()?;
    let query = altered.url().query().ok_or("no query")?;
    let longer = query.replace("X-Amz-Expires=900", "X-Amz-Expires=901");
    altered.url_mut().set_query(Some(&longer));
    expect(&s3.send(altered).await?, "SignatureDoesNotMatch")?;
    expect_text(&s3.send(get).await?, "body")
}

const CALLER_IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// The text of an element of an XML answer that has no attributes and no escapes.
fn element<'a>(answer: &'a str, name: &str) -> Result<&'a str, String> {
    answer
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")))
        .map(|(text, _)| text)
        .ok_or_else(|| format!("no <{name}> in the answer {answer:?}"))
}

fn expect(answer: &str, part: &str) -> Outcome {
    match answer.contains(part) {
        true => Ok(()),
        false => Err(format!("no {part:?} in the answer {answer:?}").into()),
    }
}

fn expect_text(answer: &str, text: &str) -> Outcome {
    match answer == text {
        true => Ok(()),
        false => Err(format!("the answer is {answer:?}, not {text:?}").into()),
    }
}

#[derive(Default)]
struct Checks {
    passed: u32,
    failed: u32,
}

impl Checks {
    fn note(&mut self, name: &str, outcome: Outcome) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok {name}");
            }
            Err(why) => {
                self.failed += 1;
                println!("FAIL {name}: {}", why.to_string().replace('\n', " "));
            }
        }
    }
}
