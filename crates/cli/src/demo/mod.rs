//! `countersign demo`: the whole loop on loopback, without an AWS account.

mod endpoint;

use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use clap::Args;
use countersign::{
    Credentials, Explanation, Head, Headers, Payload, Presign, Signer, verify::against,
};
use reqwest::{
    Client, Method, Request, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};

use crate::{explain, failure::Failure, http_client};

/// Sign, send and check requests on loopback, without an AWS account
///
/// Starts an endpoint that checks signatures as AWS does, signs requests of four services with
/// temporary credentials, sends them and shows each step; then changes a request behind its signature
/// and shows why it is refused.
#[derive(Args)]
#[command(after_help = "Example:\n  countersign demo")]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::network(format_args!("cannot start: {error}")))?;
        runtime.block_on(run())
    }
}

/// One request of the demonstration.
struct Step {
    title: &'static str,
    service: &'static str,
    method: Method,
    target: &'static str,
    body: &'static str,
}

const REGION: &str = "eu-central-1";

const STEPS: [Step; 5] = [
    Step {
        title: "CloudWatch: PutMetricData, a form in the body",
        service: "monitoring",
        method: Method::POST,
        target: "/",
        body: "Action=PutMetricData&Version=2010-08-01&Namespace=demo\
               &MetricData.member.1.MetricName=meows&MetricData.member.1.Value=9",
    },
    Step {
        title: "EC2: DescribeInstances, parameters in the query",
        service: "ec2",
        method: Method::GET,
        target: "/?Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag%3Aname&Filter.1.Value.1=cat",
        body: "",
    },
    Step {
        title: "STS: GetCallerIdentity",
        service: "sts",
        method: Method::POST,
        target: "/",
        body: "Action=GetCallerIdentity&Version=2011-06-15",
    },
    Step {
        title: "S3: PUT an object whose key has odd characters",
        service: "s3",
        method: Method::PUT,
        target: "/bucket/photos//cat%20=%20(1)+%C3%A9.jpg",
        body: "meow",
    },
    Step {
        title: "S3: GET it back",
        service: "s3",
        method: Method::GET,
        target: "/bucket/photos//cat%20=%20(1)+%C3%A9.jpg",
        body: "",
    },
];

async fn run() -> Result<(), Failure> {
    let network = |error: &dyn std::fmt::Display| {
        Failure::network(format_args!("the demonstration stopped: {error}"))
    };
    // Nobody's: they hold on this endpoint alone, and for as long as it runs.
    let credentials = Credentials::new("ASIADEMOEXAMPLE", "demo/secret/access/key/EXAMPLEKEY")
        .with_session_token("demo/session//token+EXAMPLE==");
    let address = endpoint::start(credentials.clone()).await.map_err(|error| network(&error))?;
    let client = http_client::plain()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| network(&error))?;
    let demo = Demonstration { base: format!("http://{address}"), client, credentials };
    anstream::println!(
        "An endpoint that checks signatures listens on {address}. Five requests are signed with \
         temporary credentials and sent to it."
    );
    for (number, step) in (1..).zip(&STEPS) {
        heading(&format!("{number}. {}", step.title));
        let at = SystemTime::now();
        let request = demo.signed(step, at)?;
        demo.show_steps(step, at)?;
        demo.show_headers(&request);
        let answer = demo.send(request).await.map_err(|error| network(&error))?;
        answer.show();
        answer.expect(true)?;
    }
    heading("6. S3: the same object by a presigned URL");
    let answer = demo.presigned(&STEPS[4]).await?;
    answer.show();
    answer.expect(true)?;

    heading("7. A request changed behind its signature");
    let at = SystemTime::now();
    let mut request = demo.signed(&STEPS[0], at)?;
    let tampered = STEPS[0].body.replace("Value=9", "Value=900");
    say("the body says", "…Value=9 when it is signed, …Value=900 when it is sent");
    let ours = demo.explain(&STEPS[0], at)?;
    *request.body_mut() = Some(tampered.into());
    let answer = demo.send(request).await.map_err(|error| network(&error))?;
    answer.show();
    answer.show_difference(&ours);
    answer.expect(false)?;

    heading("Next");
    anstream::println!(
        "  countersign curl https://sts.{REGION}.amazonaws.com/ -d 'Action=GetCallerIdentity&Version=2011-06-15'\n  \
           countersign presign https://BUCKET.s3.{REGION}.amazonaws.com/KEY --expires 15m\n  \
           countersign explain 'https://sts.{REGION}.amazonaws.com/?Action=GetCallerIdentity'"
    );
    Ok(())
}

struct Demonstration {
    base: String,
    client: Client,
    credentials: Credentials,
}

impl Demonstration {
    fn request(&self, step: &Step) -> Result<Request, Failure> {
        let url = Url::parse(&format!("{}{}", self.base, step.target)).map_err(Failure::input)?;
        let mut request = Request::new(step.method.clone(), url);
        if !step.body.is_empty() {
            let form = "application/x-www-form-urlencoded; charset=utf-8";
            let kind = if step.method == Method::POST { form } else { "image/jpeg" };
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            *request.body_mut() = Some(step.body.into());
        }
        Ok(request)
    }

    fn signed(&self, step: &Step, at: SystemTime) -> Result<Request, Failure> {
        let mut request = self.request(step)?;
        let signer = Signer::new(REGION, step.service);
        signer.sign(&mut request, Payload::hash(step.body), &self.credentials, at)?;
        Ok(request)
    }

    /// What [`Signer::sign`] did at that moment, by the same steps on the borrowed head.
    fn explain(&self, step: &Step, at: SystemTime) -> Result<Explanation, Failure> {
        let request = self.request(step)?;
        let url = request.url().as_str().as_bytes();
        let headers = Headers::Map(request.headers());
        let head = Head::parse(request.method().as_str().as_bytes(), url, headers)?;
        let signer = Signer::new(REGION, step.service);
        Ok(signer.explain(head, Payload::hash(step.body), &self.credentials, at)?)
    }

    fn show_steps(&self, step: &Step, at: SystemTime) -> Result<(), Failure> {
        say("request", &format!("{} {}", step.method, step.target));
        if !step.body.is_empty() {
            say("body", step.body);
        }
        anstream::print!("{}", explain::render(&self.explain(step, at)?));
        Ok(())
    }

    fn show_headers(&self, request: &Request) {
        let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        say("authorization", &authorization.unwrap_or_default().escape_ascii().to_string());
    }

    async fn presigned(&self, step: &Step) -> Result<Answer, Failure> {
        let mut request = self.request(step)?;
        let presign = Presign::expires_in(Duration::from_secs(900));
        Signer::new(REGION, step.service).presign(
            &mut request,
            presign,
            &self.credentials,
            SystemTime::now(),
        )?;
        let token = request.url().as_str().split_once("&X-Amz-Security-Token=");
        let shown = token.map_or(request.url().as_str(), |(before, _)| before);
        say("url", &format!("{shown}&X-Amz-Security-Token=…&X-Amz-Signature=…"));
        self.send(request)
            .await
            .map_err(|error| Failure::network(format_args!("the demonstration stopped: {error}")))
    }

    async fn send(&self, request: Request) -> Result<Answer, reqwest::Error> {
        let response = self.client.execute(request).await?;
        Ok(Answer { status: response.status().as_u16(), body: response.text().await? })
    }
}

/// What the endpoint said.
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn accepted(&self) -> bool {
        self.status == 200
    }

    fn show(&self) {
        let (colour, verdict) = if self.accepted() {
            (AnsiColor::Green, "accepted")
        } else {
            (AnsiColor::Red, "refused")
        };
        let style = Style::new().bold().fg_color(Some(colour.into()));
        let said = endpoint::element(&self.body, "Message").unwrap_or(&self.body);
        say("endpoint", &format!("{style}{verdict}{style:#} ({}): {said}", self.status));
    }

    /// What differs between the endpoint's canonical request and ours, and why: what `explain --against`
    /// does with an answer of AWS's.
    fn show_difference(&self, ours: &Explanation) {
        let text =
            |name| endpoint::unescape(endpoint::element(&self.body, name).unwrap_or_default());
        let answer = against::Answer::new(&text("Code"), text("Message"))
            .with_detail("CanonicalRequest", text("CanonicalRequest"))
            .with_detail("StringToSign", text("StringToSign"));
        let comparison = against::compare(&against::Ours::from(ours), &answer);
        for line in comparison.canonical_request().iter().filter(|line| line.ours != line.theirs) {
            say("difference", line.part);
            say("  we signed", line.ours.as_deref().unwrap_or_default());
            say("  they saw", line.theirs.as_deref().unwrap_or_default());
        }
        for cause in comparison.causes() {
            say("cause", &cause.to_string());
        }
    }

    fn expect(&self, accepted: bool) -> Result<(), Failure> {
        if self.accepted() == accepted {
            return Ok(());
        }
        Err(Failure {
            code: 1,
            ..Failure::input("the endpoint's verdict is not the one that was expected")
        })
    }
}

fn heading(text: &str) {
    let style = Style::new().bold().underline();
    anstream::println!("\n{style}{text}{style:#}");
}

fn say(label: &str, text: &str) {
    let dim = Style::new().dimmed();
    anstream::println!("  {dim}{label:<14}{dim:#}  {text}");
}
