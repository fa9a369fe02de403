//! Whole machines, as others recorded them: an environment, files, and what the network answered.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    error::Error,
    fmt::Display,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use countersign::{
    Credentials,
    providers::{
        Chain, Files, HttpError, HttpErrorKind, Platform, Ports, ProfileProvider,
        ProvideCredentials, ProvideToken, ProviderError, TokenChain,
    },
};
use http::{Request, Response, Uri};
use serde_json::Value;

use super::world::{Hands, Servers, answer, refused, run};
use crate::support::{at, external_data};

#[test]
fn the_chain_finds_what_others_find_on_the_machines_that_they_recorded() {
    each("default-credential-provider-chain", 29, |machine| {
        let chain = Chain::standard(&machine.ports);
        machine.check(&chain, &|| chain.explain().to_string())
    });
}

#[test]
fn profiles_give_what_others_get_on_the_machines_that_they_recorded() {
    each("profile-provider", 18, |machine| {
        let provider = ProfileProvider::new(&machine.ports);
        machine.check(&provider, &|| format!("{NOTHING}: {}", provider.absence()))
    });
}

#[test]
fn tokens_are_those_that_others_find_on_the_machines_that_they_recorded() {
    each("default-token-provider-chain", 3, |machine| {
        let token = run(TokenChain::standard(&machine.ports).provide_token());
        let token = token.map_err(|error| told(&error))?.ok_or("there is no token")?;
        machine.network.all_as_recorded()?;
        let expected = &machine.expected["Ok"];
        let expires_at = at(&expected["expiration"].as_str().unwrap().replace(['-', ':'], ""));
        assert_eq!(token.expires_at(), Some(expires_at));
        same("token", token.text(), expected["token"].as_str())
    });
}

/// Runs all machines of a folder, and tells which fail and why.
fn each(folder: &str, count: usize, check: impl Fn(&Machine) -> Result<(), String>) {
    let Some(data) = external_data(folder) else { return };
    let folder = data.with_file_name("credentials/smithy-rs/aws-config").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let names: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), count, "{folder:?}");
    let failures: Vec<_> = names
        .into_iter()
        .filter_map(|name| {
            let failure = check(&Machine::load(&folder.join(&name))).err()?;
            Some((name, failure))
        })
        .collect();
    println!("{}: {} of {count} pass", folder.display(), count - failures.len());
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A recorded machine.
struct Machine {
    ports: Ports,
    network: Network,
    expected: Value,
}

impl Machine {
    fn load(folder: &Path) -> Machine {
        let env: HashMap<String, String> =
            serde_json::from_value(json(&folder.join("env.json"))).unwrap();
        let traffic = folder.join("http-traffic.json");
        let network = Network::of(if traffic.exists() { json(&traffic) } else { Value::Null });
        // The commands of profiles are real ones, for a real shell.
        let ports = Ports::system()
            .with_env(env)
            .with_files(Mounted(folder.join("fs")))
            .with_clock(Hands::at(at("20090101T000000Z")))
            .with_resolver(HashMap::<String, Vec<IpAddr>>::new())
            .with_random(|bytes: &mut [u8]| bytes.fill(7))
            .with_platform(Platform::Unix)
            .with_http(network.servers());
        let expected = json(&folder.join("test-case.json"))["result"].take();
        Machine { ports, network, expected }
    }

    fn check(
        &self,
        provider: &dyn ProvideCredentials,
        absence: &dyn Fn() -> String,
    ) -> Result<(), String> {
        let answer = run(provider.provide());
        if let Ok(Some(found)) = &answer {
            let shown = format!("{provider:?} {found:?} {}", absence());
            assert!(!shown.contains(found.secret_access_key()), "a secret is shown");
        }
        self.network.all_as_recorded()?;
        let text = match (&self.expected["Ok"], answer) {
            (Value::Null, Ok(Some(found))) => return Err(format!("found {found:?}")),
            (Value::Null, Ok(None)) => absence(),
            (Value::Null, Err(error)) => format!("{FAILURE}: {}", told(&error)),
            (expected, Ok(Some(found))) => return compare(&found, expected),
            (_, Ok(None)) => return Err(absence()),
            (_, Err(error)) => return Err(told(&error)),
        };
        let part = self.expected["ErrorContains"].as_str().unwrap();
        if text.contains(part) { Ok(()) } else { Err(format!("`{text}` lacks `{part}`")) }
    }
}

fn compare(found: &Credentials, expected: &Value) -> Result<(), String> {
    let same = |what: &str, found: Option<&str>| match expected[what].as_str() {
        text if text == found => Ok(()),
        text => Err(format!("{what}: {found:?} instead of {text:?}")),
    };
    same("access_key_id", Some(found.access_key_id()))?;
    same("secret_access_key", Some(found.secret_access_key()))?;
    same("session_token", found.session_token())?;
    same("account_id", found.account_id())?;
    let expiry = expected["expiry"].as_u64();
    let expiry = expiry.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    match found.expires_at() {
        at if at == expiry => Ok(()),
        at => Err(format!("expiry: {at:?} instead of {expiry:?}")),
    }
}

/// An error with all that caused it, as those who recorded tell it: without the names of providers. Which
/// of the two [leads](FAILURE) a text has, ours say by their type.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut parts = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let name =
            error.downcast_ref::<ProviderError>().map(|error| format!("{}: ", error.provider()));
        let part = name.and_then(|name| text.strip_prefix(&name).map(str::to_owned));
        parts.push(part.unwrap_or(text));
        next = error.source();
    }
    parts.join(": ")
}

const FAILURE: &str = "an error occurred while loading credentials";
const NOTHING: &str = "the credential provider was not enabled";

/// What the network was asked and answered, in order.
#[derive(Clone)]
struct Network(Arc<Mutex<Recording>>);

struct Recording {
    left: VecDeque<Exchange>,
    problems: Vec<String>,
    /// The last request, if it was answered by a failure of the server's, and this failure.
    failure: Option<(String, Response<Bytes>)>,
}

#[derive(Default)]
struct Exchange {
    request: Value,
    response: Value,
    body: String,
}

impl Network {
    fn of(traffic: Value) -> Network {
        let mut left: Vec<Exchange> = Vec::new();
        for event in traffic["events"].as_array().into_iter().flatten() {
            let number = event["connection_id"].as_u64().unwrap() as usize;
            left.resize_with(left.len().max(number + 1), Exchange::default);
            let (exchange, action) = (&mut left[number], &event["action"]);
            if let Some(request) = action["Request"].get("request") {
                exchange.request = request.clone();
            } else if let Some(response) = action["Response"].get("response") {
                exchange.response = response["Ok"].clone();
            } else if action["Data"]["direction"] == "Response" {
                exchange.body += action["Data"]["data"]["Utf8"].as_str().unwrap();
            }
        }
        Network(Arc::new(Mutex::new(Recording {
            left: left.into(),
            problems: Vec::new(),
            failure: None,
        })))
    }

    fn servers(&self) -> Servers {
        let network = self.clone();
        Servers::answering(move |request| network.0.lock().unwrap().answer(request))
    }

    fn all_as_recorded(&self) -> Result<(), String> {
        let recording = self.0.lock().unwrap();
        let left = recording
            .left
            .iter()
            .map(|exchange| format!("{} was not asked", exchange.request["uri"].as_str().unwrap()));
        let problems: Vec<String> = recording.problems.iter().cloned().chain(left).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }
}

impl Recording {
    fn answer(&mut self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // Those who recorded did not know of these paths yet, as their instances did not.
        if request.uri().path().contains("/security-credentials-extended/") {
            return answer(404, "");
        }
        // Nor did they ask an instance for the region, the last place where we look for it.
        let host = request.uri().host().unwrap_or_default();
        let recorded = |one: &Exchange| one.request["uri"].as_str().unwrap().contains(host);
        if host == "169.254.169.254" && !self.left.iter().any(recorded) {
            return refused();
        }
        // Who failed at last when he was recorded fails as often as he is asked.
        let asked = format!("{} {}", request.method(), request.uri());
        let is_again = |(before, _): &&(String, _)| self.left.is_empty() && *before == asked;
        if let Some((_, failure)) = self.failure.as_ref().filter(is_again) {
            return Ok(failure.clone());
        }
        match self.next(request) {
            Ok(response) => {
                let failure = response.status().is_server_error().then(|| response.clone());
                self.failure = failure.map(|failure| (asked, failure));
                Ok(response)
            }
            Err(problem) => {
                self.problems.push(problem);
                Err(HttpError::new(HttpErrorKind::Failed, "that was not recorded"))
            }
        }
    }

    fn next(&mut self, request: &Request<Bytes>) -> Result<Response<Bytes>, String> {
        let Some(next) = self.left.pop_front() else {
            return Err(format!("nobody recorded {} {}", request.method(), request.uri()));
        };
        same("method", request.method(), next.request["method"].as_str())?;
        let uri = next.request["uri"].as_str().unwrap().parse().unwrap();
        same("URI", in_order(request.uri()), Some(&in_order(&uri)))?;
        for name in ["content-type", "x-aws-ec2-metadata-token"] {
            let found = request.headers().get(name).map(|value| value.to_str().unwrap());
            same(name, found.unwrap_or_default(), next.request["headers"][name][0].as_str())?;
        }
        let mut response =
            Response::builder().status(next.response["status"].as_u64().unwrap() as u16);
        for (name, values) in next.response["headers"].as_object().unwrap() {
            for value in values.as_array().unwrap() {
                response = response.header(name, value.as_str().unwrap());
            }
        }
        Ok(response.body(next.body.into()).unwrap())
    }
}

/// An address with its query in order, for recordings have it in more orders than one.
fn in_order(uri: &Uri) -> String {
    let mut query: Vec<&str> = uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let (scheme, authority) = (uri.scheme_str().unwrap(), uri.authority().unwrap());
    format!("{scheme}://{authority}{}?{}", uri.path(), query.join("&"))
}

fn same(what: &str, found: impl Display, recorded: Option<&str>) -> Result<(), String> {
    let (found, recorded) = (found.to_string(), recorded.unwrap_or_default());
    match found == recorded {
        true => Ok(()),
        false => Err(format!("{what}: `{found}` instead of `{recorded}`")),
    }
}

/// A folder that stands for `/`. What is not there is missing in the operating system's own words.
struct Mounted(PathBuf);

impl Files for Mounted {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(path.strip_prefix("/").unwrap_or(path)))
    }
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}
