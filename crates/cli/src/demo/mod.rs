//! `countersign demo`: the whole loop on loopback, without an AWS account.

mod endpoint;
mod proxy;

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use anstyle::{AnsiColor, Style};
use clap::Args;
use countersign::{
    Credentials, Explanation, Head, Headers, Payload, Presign, Signer, verify::against,
};
use reqwest::{
    Client, ClientBuilder, Method, Proxy, Request, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};

use crate::{
    explain,
    failure::Failure,
    http_client,
    printed::{print_line, print_styled},
};

/// Sign, send and check requests on loopback, without an AWS account
///
/// Starts an endpoint that checks signatures as AWS does, signs requests of four services with
/// temporary credentials, sends them and shows each step; then changes a request behind its signature
/// and shows why it is refused. Last, a signing proxy in front of the endpoint takes the same requests from a
/// client that has no credentials.
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
    // Nobody's: they hold on this endpoint alone, and for as long as it runs.
    let credentials = Credentials::new("ASIADEMOEXAMPLE", "demo/secret/access/key/EXAMPLEKEY")
        .with_session_token("demo/session//token+EXAMPLE==");
    let address = endpoint::start(credentials.clone()).await.map_err(|error| network(&error))?;
    let client = client(ClientBuilder::no_proxy)?;
    let demo = Demonstration { base: format!("http://{address}"), client, credentials };
    print_line(format_args!(
        "An endpoint that checks signatures listens on {address}. Five requests are signed with \
         temporary credentials and sent to it."
    ))?;
    for (number, step) in (1..).zip(&STEPS) {
        heading(&format!("{number}. {}", step.title))?;
        let at = SystemTime::now();
        let request = demo.signed(step, at)?;
        demo.show_steps(step, at)?;
        show_authorization(&request)?;
        let answer = send(&demo.client, request).await?;
        answer.show()?;
        answer.expect(true)?;
    }
    heading("6. S3: the same object by a presigned URL")?;
    let answer = demo.presigned(&STEPS[4]).await?;
    answer.show()?;
    answer.expect(true)?;

    heading("7. A request changed behind its signature")?;
    let at = SystemTime::now();
    let mut request = demo.signed(&STEPS[0], at)?;
    let tampered = STEPS[0].body.replace("Value=9", "Value=900");
    say("the body says", "…Value=9 when it is signed, …Value=900 when it is sent")?;
    let ours = demo.explain(&STEPS[0], at)?;
    *request.body_mut() = Some(tampered.into());
    let answer = send(&demo.client, request).await?;
    answer.show()?;
    answer.show_difference(&ours)?;
    answer.expect(false)?;

    demo.through_proxy(address).await?;

    heading("Next")?;
    print_line(format_args!(
        "  countersign curl https://sts.{REGION}.amazonaws.com/ -d 'Action=GetCallerIdentity&Version=2011-06-15'\n  \
           countersign presign https://BUCKET.s3.{REGION}.amazonaws.com/KEY --expires 15m\n  \
           countersign explain 'https://sts.{REGION}.amazonaws.com/?Action=GetCallerIdentity'\n  \
           countersign proxy --upstream https://monitoring.{REGION}.amazonaws.com"
    ))
}

/// A client that asks loopback alone, and goes no further than it is sent.
fn client(set_up: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, Failure> {
    let client = http_client::plain().redirect(reqwest::redirect::Policy::none());
    set_up(client).build().map_err(|error| network(&error))
}

async fn send(client: &Client, request: Request) -> Result<Answer, Failure> {
    let response = client.execute(request).await.map_err(|error| network(&error))?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.text().await.map_err(|error| network(&error))?;
    Ok(Answer { status, headers, body })
}

fn network(error: &dyn fmt::Display) -> Failure {
    Failure::network(format_args!("the demonstration stopped: {error}"))
}

impl Step {
    /// The request without a signature, for the host at the beginning of this URL.
    fn request(&self, base: &str) -> Result<Request, Failure> {
        let url = Url::parse(&format!("{base}{}", self.target)).map_err(Failure::input)?;
        let mut request = Request::new(self.method.clone(), url);
        if !self.body.is_empty() {
            let form = "application/x-www-form-urlencoded; charset=utf-8";
            let kind = if self.method == Method::POST { form } else { "image/jpeg" };
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            *request.body_mut() = Some(self.body.into());
        }
        Ok(request)
    }
}

struct Demonstration {
    base: String,
    client: Client,
    credentials: Credentials,
}

impl Demonstration {
    fn signed(&self, step: &Step, at: SystemTime) -> Result<Request, Failure> {
        let mut request = step.request(&self.base)?;
        let signer = Signer::new(REGION, step.service);
        signer.sign(&mut request, Payload::hash(step.body), &self.credentials, at)?;
        Ok(request)
    }

    /// What [`Signer::sign`] did at that moment, by the same steps on the borrowed head.
    fn explain(&self, step: &Step, at: SystemTime) -> Result<Explanation, Failure> {
        let request = step.request(&self.base)?;
        let url = request.url().as_str().as_bytes();
        let headers = Headers::Map(request.headers());
        let head = Head::parse(request.method().as_str().as_bytes(), url, headers)?;
        let signer = Signer::new(REGION, step.service);
        Ok(signer.explain(head, Payload::hash(step.body), &self.credentials, at)?)
    }

    fn show_steps(&self, step: &Step, at: SystemTime) -> Result<(), Failure> {
        say("request", &format!("{} {}", step.method, step.target))?;
        if !step.body.is_empty() {
            say("body", step.body)?;
        }
        print_styled(&explain::render(&self.explain(step, at)?))
    }

    async fn presigned(&self, step: &Step) -> Result<Answer, Failure> {
        let mut request = step.request(&self.base)?;
        let presign = Presign::expires_in(Duration::from_secs(900));
        Signer::new(REGION, step.service).presign(
            &mut request,
            presign,
            &self.credentials,
            SystemTime::now(),
        )?;
        let token = request.url().as_str().split_once("&X-Amz-Security-Token=");
        let shown = token.map_or(request.url().as_str(), |(before, _)| before);
        say("url", &format!("{shown}&X-Amz-Security-Token=…&X-Amz-Signature=…"))?;
        send(&self.client, request).await
    }

    /// The same requests from a client without credentials, signed on their way.
    async fn through_proxy(&self, endpoint: SocketAddr) -> Result<(), Failure> {
        let address = proxy::start(endpoint, self.credentials.clone()).await?;
        let url = format!("http://{address}");
        let way = Proxy::http(&url).map_err(|error| network(&error))?;
        let client = client(|client| client.proxy(way))?;
        print_line(format_args!(
            "\nA signing proxy listens on {address}, in front of the endpoint. It has the credentials; the \
             client has none, and sends the five requests through it, as with http_proxy={url}."
        ))?;
        for (number, step) in (8..).zip(&STEPS) {
            heading(&format!("{number}. Through the proxy, {}", step.title))?;
            let request = step.request(&format!("http://{}", proxy::host_of(step.service)))?;
            say("request", &format!("{} {}", step.method, request.url()))?;
            show_authorization(&request)?;
            let answer = send(&client, request).await?;
            answer.show_seen()?;
            answer.show()?;
            answer.expect(true)?;
        }
        heading("13. The first request again, past the proxy")?;
        let request = STEPS[0].request(&self.base)?;
        show_authorization(&request)?;
        let answer = send(&self.client, request).await?;
        answer.show()?;
        answer.expect(false)
    }
}

/// What the endpoint said.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn accepted(&self) -> bool {
        self.status == 200
    }

    fn show(&self) -> Result<(), Failure> {
        let (colour, verdict) = if self.accepted() {
            (AnsiColor::Green, "accepted")
        } else {
            (AnsiColor::Red, "refused")
        };
        let style = Style::new().bold().fg_color(Some(colour.into()));
        let said = endpoint::element(&self.body, "Message").unwrap_or(&self.body);
        say("endpoint", &format!("{style}{verdict}{style:#} ({}): {said}", self.status))
    }

    /// What the endpoint saw of a signature that somebody else made.
    fn show_seen(&self) -> Result<(), Failure> {
        for (label, name) in [("signed for", endpoint::SCOPE), ("signed headers", endpoint::SIGNED)]
        {
            let seen = self.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
            say(label, &seen.escape_ascii().to_string())?;
        }
        Ok(())
    }

    /// What differs between the endpoint's canonical request and ours, and why: what `explain --against`
    /// does with an answer of AWS's.
    fn show_difference(&self, ours: &Explanation) -> Result<(), Failure> {
        let text =
            |name| endpoint::unescape(endpoint::element(&self.body, name).unwrap_or_default());
        let answer = against::Answer::new(&text("Code"), text("Message"))
            .with_detail("CanonicalRequest", text("CanonicalRequest"))
            .with_detail("StringToSign", text("StringToSign"));
        let comparison = against::compare(&against::Ours::from(ours), &answer);
        for line in comparison.canonical_request().iter().filter(|line| line.ours != line.theirs) {
            say("difference", line.part)?;
            say("  we signed", line.ours.as_deref().unwrap_or_default())?;
            say("  they saw", line.theirs.as_deref().unwrap_or_default())?;
        }
        for cause in comparison.causes() {
            say("cause", &cause.to_string())?;
        }
        Ok(())
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

fn show_authorization(request: &Request) -> Result<(), Failure> {
    let value = request.headers().get(AUTHORIZATION).map_or(&b"none"[..], HeaderValue::as_bytes);
    say("authorization", &value.escape_ascii().to_string())
}

fn heading(text: &str) -> Result<(), Failure> {
    let style = Style::new().bold().underline();
    print_line(format_args!("\n{style}{text}{style:#}"))
}

fn say(label: &str, text: &str) -> Result<(), Failure> {
    let dim = Style::new().dimmed();
    print_line(format_args!("  {dim}{label:<14}{dim:#}  {text}"))
}
