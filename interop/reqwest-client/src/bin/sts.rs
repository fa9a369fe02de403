//! Has the library's providers ask real services for temporary credentials, and uses those. Run it under
//! `servers.py`; it takes addresses and keys from the environment.
//!
//! Prints a line for each check and exits with 1 if one failed.

use std::{
    env,
    error::Error,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use countersign::{
    Credentials, Payload, Signer,
    providers::{
        AssumeRole, AssumeRoleProvider, Cached, FederationToken, FederationTokenProvider, Ports,
        ProvideCredentials, SamlProvider, SessionToken, SessionTokenProvider, Sts,
        WebIdentityProvider,
    },
    reqwest::ReqwestClient,
};
use reqwest::{Body, Client, Method, Request, Url};

const REGION: &str = "us-east-1";

type Outcome = Result<(), Box<dyn Error>>;

/// A server under test, a key that it knows, and a role that this may assume.
struct Server {
    client: Client,
    ports: Ports,
    url: String,
    base: Credentials,
    role: String,
}

impl Server {
    fn from_env(name: &str) -> Result<Server, Box<dyn Error>> {
        let variable = |what| env::var(format!("INTEROP_{name}_{what}"));
        Ok(Server {
            client: Client::builder().timeout(Duration::from_secs(20)).no_proxy().build()?,
            ports: Ports::system().with_http(ReqwestClient::new(|| Client::builder().no_proxy())),
            url: variable("URL")?,
            base: Credentials::new(variable("ACCESS_KEY_ID")?, variable("SECRET_ACCESS_KEY")?),
            role: variable("ROLE_ARN")?,
        })
    }

    fn sts(&self) -> Sts {
        Sts::new(&self.ports).with_region(REGION).with_endpoint_url(&self.url)
    }

    fn role_by(&self, base: Credentials) -> AssumeRoleProvider {
        let request = AssumeRole::new(&self.role).with_session_name("countersign");
        AssumeRoleProvider::new(&self.ports, base, request).with_sts(self.sts())
    }

    /// The credentials that a provider gives, which must be those of a session.
    async fn granted(
        &self,
        provider: impl ProvideCredentials + 'static,
    ) -> Result<Credentials, Box<dyn Error>> {
        let cached = Cached::new(provider, &self.ports);
        let credentials = cached.provide().await.map_err(told)?.ok_or("no credentials")?;
        let lives = credentials.expires_at().is_some_and(|end| end > SystemTime::now());
        match credentials.session_token().is_some() && lives {
            true => Ok(credentials),
            false => Err(format!("these are no session's: {credentials:?}").into()),
        }
    }

    async fn refused(&self, provider: impl ProvideCredentials, code: &str) -> Outcome {
        match provider.provide().await {
            Ok(found) => Err(format!("it was granted: {found:?}").into()),
            Err(error) => expect(&told(error), code),
        }
    }

    /// The status of and the answer to a request that is signed so.
    async fn call(
        &self,
        service: &str,
        method: Method,
        path: &str,
        body: &str,
        by: &Credentials,
    ) -> Result<String, Box<dyn Error>> {
        let mut request = Request::new(method, Url::parse(&format!("{}{path}", self.url))?);
        if service == "sts" {
            let form = "application/x-www-form-urlencoded".parse()?;
            request.headers_mut().insert("content-type", form);
        }
        *request.body_mut() = Some(Body::from(body.to_owned()));
        let payload = Payload::hash(body);
        Signer::new(REGION, service).sign(&mut request, payload, by, SystemTime::now())?;
        let answer = self.client.execute(request).await?;
        Ok(format!("{} {}", answer.status().as_u16(), answer.text().await?))
    }

    /// Has moto check no signatures for the time of a check: it fails over requests that have none, as these two
    /// have.
    async fn unchecked(&self, check: impl Future<Output = Outcome>) -> Outcome {
        self.check_signatures_after("inf").await?;
        let outcome = check.await;
        self.check_signatures_after("0").await?;
        outcome
    }

    async fn check_signatures_after(&self, requests: &'static str) -> Outcome {
        let mut request =
            Request::new(Method::POST, Url::parse(&format!("{}/moto-api/reset-auth", self.url))?);
        request.headers_mut().insert("content-type", "text/plain".parse()?);
        *request.body_mut() = Some(Body::from(requests));
        self.client.execute(request).await?.error_for_status()?;
        Ok(())
    }

    async fn identity(&self, by: &Credentials) -> Result<String, Box<dyn Error>> {
        self.call("sts", Method::POST, "/", CALLER_IDENTITY, by).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (moto, gateway) = (Server::from_env("MOTO")?, Server::from_env("RADOSGW")?);
    let mut checks = Checks::default();
    checks.note("moto AssumeRole", role(&moto).await);
    checks.note("moto AssumeRole for a role of a role", role_of_a_role(&moto).await);
    checks.note("moto refuses a wrong secret", wrong_secret(&moto, "SignatureDoesNotMatch").await);
    checks.note("moto GetSessionToken", session(&moto).await);
    checks.note("moto GetFederationToken", federation(&moto).await);
    let unchecked = moto.unchecked(web_identity(&moto)).await;
    checks.note("moto AssumeRoleWithWebIdentity", unchecked);
    checks.note("moto AssumeRoleWithSAML", moto.unchecked(saml(&moto)).await);
    checks.note("radosgw AssumeRole, and objects with it", objects(&gateway).await);
    checks.note("radosgw refuses another session token", other_token(&gateway).await);
    checks.note("radosgw refuses a wrong secret", wrong_secret(&gateway, "AccessDenied").await);
    println!("sts: {} ok, {} failed", checks.passed, checks.failed);
    Ok(ExitCode::from(u8::from(checks.failed > 0)))
}

async fn role(moto: &Server) -> Outcome {
    let session = moto.granted(moto.role_by(moto.base.clone())).await?;
    expect(&moto.identity(&session).await?, ":assumed-role/interop/countersign</Arn>")
}

async fn role_of_a_role(moto: &Server) -> Outcome {
    let first = moto.role_by(moto.base.clone());
    let request = AssumeRole::new(&moto.role).with_session_name("second");
    let second = AssumeRoleProvider::new(&moto.ports, first, request).with_sts(moto.sts());
    let session = moto.granted(second).await?;
    expect(&moto.identity(&session).await?, ":assumed-role/interop/second</Arn>")
}

async fn wrong_secret(server: &Server, code: &str) -> Outcome {
    let base = Credentials::new(server.base.access_key_id(), "wrong");
    server.refused(server.role_by(base), code).await?;
    server.granted(server.role_by(server.base.clone())).await.map(drop)
}

async fn session(moto: &Server) -> Outcome {
    let request = SessionToken::new().with_duration(Duration::from_secs(900));
    let provider = SessionTokenProvider::new(&moto.ports, moto.base.clone(), request);
    moto.granted(provider.with_sts(moto.sts())).await.map(drop)
}

async fn federation(moto: &Server) -> Outcome {
    let request = FederationToken::new("kitten");
    let provider = FederationTokenProvider::new(&moto.ports, moto.base.clone(), request);
    moto.granted(provider.with_sts(moto.sts())).await.map(drop)
}

async fn web_identity(moto: &Server) -> Outcome {
    let file = env::var("INTEROP_WEB_IDENTITY_FILE")?;
    let provider = WebIdentityProvider::of_file(&moto.ports, &moto.role, file).with_sts(moto.sts());
    let session = moto.granted(provider).await?;
    expect(&moto.identity(&session).await?, ":assumed-role/interop/")
}

async fn saml(moto: &Server) -> Outcome {
    let assertion = env::var("INTEROP_SAML_ASSERTION")?;
    let directory = "arn:aws:iam::123456789012:saml-provider/directory";
    let assert = move || {
        let assertion = assertion.clone();
        async { Ok(assertion) }
    };
    let provider = SamlProvider::new(&moto.ports, &moto.role, directory, assert);
    let session = moto.granted(provider.with_sts(moto.sts())).await?;
    expect(&moto.identity(&session).await?, ":assumed-role/interop/")
}

async fn objects(gateway: &Server) -> Outcome {
    let session = gateway.granted(gateway.role_by(gateway.base.clone())).await?;
    for key in ["plain", "a b", "c+d", "year=2015/x"] {
        let path = format!("/interop/{}", key.replace(' ', "%20").replace('+', "%2B"));
        let put = gateway.call("s3", Method::PUT, &path, key, &session).await?;
        expect(&put, "200 ")?;
        let get = gateway.call("s3", Method::GET, &path, "", &session).await?;
        expect(&get, &format!("200 {key}"))?;
    }
    Ok(())
}

async fn other_token(gateway: &Server) -> Outcome {
    let session = gateway.granted(gateway.role_by(gateway.base.clone())).await?;
    let other = session.clone().with_session_token("b3RoZXIgdG9rZW4gb3RoZXI=");
    let refused = gateway.call("s3", Method::GET, "/interop", "", &other).await?;
    if !refused.starts_with('4') {
        return Err(format!("not refused: {refused:?}").into());
    }
    let none = Credentials::new(session.access_key_id(), session.secret_access_key());
    let refused = gateway.call("s3", Method::GET, "/interop", "", &none).await?;
    if !refused.starts_with('4') {
        return Err(format!("not refused without a token: {refused:?}").into());
    }
    expect(&gateway.call("s3", Method::GET, "/interop", "", &session).await?, "200 ")
}

const CALLER_IDENTITY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// An error with all that caused it.
fn told(error: impl Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn expect(answer: &str, part: &str) -> Outcome {
    match answer.contains(part) {
        true => Ok(()),
        false => Err(format!("no {part:?} in the answer {answer:?}").into()),
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
