//! `countersign endpoint`: what the endpoint table says of hosts.

use std::{fmt, io};

use clap::{Args, ValueEnum};
use countersign::{
    Rules,
    endpoint::{Endpoint, Unknown, UnknownKind},
};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    host::Target,
    lines::{LONGEST, Line, read_line},
    printed::{print_line, print_object, tell},
};

/// Print the service, region and rules that a host says
#[derive(Args)]
#[command(after_help = "\
Examples:
  countersign endpoint email.eu-west-1.amazonaws.com
  countersign endpoint --output json \\
    https://a1b2c3-ats.iot.eu-west-1.amazonaws.com/mqtt
  countersign endpoint - < hosts.txt

Rules are those that differ from the general ones, as --rule takes them. Where the host leaves something \
open or the table does not know it, standard error says what, and the exit code is 1; where a line is no \
host, it is 2.")]
pub(crate) struct EndpointCommand {
    /// Hosts or URLs, `-` for one in each line of standard input
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,

    /// How to print it; JSON is one object in a line for each host
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    Json,
    #[default]
    Table,
}

impl EndpointCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut report = Report { output: self.output, width: self.width(), failure: None };
        for host in &self.hosts {
            if host != "-" {
                report.add(host)?;
                continue;
            }
            report.add_lines()?;
        }
        report.failure.map_or(Ok(()), Err)
    }

    /// The width of the hosts that are known before the first is printed.
    fn width(&self) -> usize {
        let longest = self.hosts.iter().map(|host| host.chars().count()).max();
        let has_more = self.hosts.iter().any(|host| host == "-");
        longest.unwrap_or_default().clamp(if has_more { 48 } else { 0 }, LONGEST_HOST)
    }
}

/// Prints hosts one by one, so that a long list can be read while it grows.
struct Report {
    output: Output,
    width: usize,
    /// The last host that cannot be told, with the worst exit code of all.
    failure: Option<Failure>,
}

impl Report {
    /// Adds the hosts in the lines of standard input; a line that holds none is told, and the next are read.
    fn add_lines(&mut self) -> Result<(), Failure> {
        let mut input = io::stdin().lock();
        let mut number: u64 = 0;
        loop {
            let mut line = Vec::new();
            let read = read_line(&mut input, &mut line).map_err(|error| {
                Failure::input(format_args!("cannot read standard input: {error}"))
            })?;
            number += 1;
            match (read, str::from_utf8(&line)) {
                (Line::End, _) => return Ok(()),
                (Line::TooLong, _) => {
                    let most = LONGEST >> 20;
                    self.add_bad(&format!("line {number} is longer than {most} MiB"))?;
                }
                (Line::Whole, Err(_)) => {
                    self.add_bad(&format!("line {number} is not UTF-8, as a host is"))?;
                }
                (Line::Whole, Ok(line)) if line.trim().is_empty() => {}
                (Line::Whole, Ok(line)) => self.add(line.trim())?,
            }
        }
    }

    /// Adds what is no host, and not even text.
    fn add_bad(&mut self, why: &str) -> Result<(), Failure> {
        if self.output == Output::Json {
            print_object(&json!({ "host": null, "error": why, "candidates": [] }))?;
        }
        self.refuse(why, true);
        Ok(())
    }

    fn add(&mut self, host: &str) -> Result<(), Failure> {
        let answer = Target::parse(host).endpoint();
        match (&answer, self.output) {
            (Ok(endpoint), Output::Table) => print_line(self.row(host, endpoint))?,
            (Err(_), Output::Table) => {}
            (answer, Output::Json) => print_object(&object(host, answer))?,
        }
        if let Err(unknown) = answer {
            self.refuse(&unknown, unknown.kind() == UnknownKind::InvalidHost);
        }
        Ok(())
    }

    fn row(&self, host: &str, endpoint: &Endpoint) -> String {
        let width = self.width;
        let (name, region) = (endpoint.signing_name(), endpoint.region());
        let partition = endpoint.partition().as_str();
        let rules = rules(endpoint.rules());
        let rules: Vec<String> = rules.iter().map(|(rule, on)| format!("{rule}={on}")).collect();
        let rules = rules.join(" ");
        format!("{host:width$}  {name:18}  {region:14}  {partition:10}  {rules}")
            .trim_end()
            .to_owned()
    }

    fn refuse(&mut self, why: impl fmt::Display, is_bad: bool) {
        let code = if is_bad { 2 } else { 1 };
        let code = self.failure.as_ref().map_or(code, |failure| failure.code.max(code));
        let failure = Failure::input(why).with_code(code);
        // The last is printed at the end, as every command's failure is.
        if let Some(before) = self.failure.replace(failure) {
            tell(before);
        }
    }
}

/// In bytes (RFC 1035, §2.3.4). What is longer is no host, and no column of a table.
const LONGEST_HOST: usize = 253;

fn object(host: &str, answer: &Result<Endpoint, Unknown>) -> Value {
    match answer {
        Ok(endpoint) => json!({
            "host": host,
            "signing_name": endpoint.signing_name(),
            "region": endpoint.region(),
            "partition": endpoint.partition().as_str(),
            "rules": all_rules(endpoint.rules()).into_iter().collect::<serde_json::Map<_, _>>(),
        }),
        Err(unknown) => {
            let mut candidates: Vec<Value> = unknown
                .candidates()
                .map(|one| json!({ "signing_name": one.signing_name(), "region": one.region() }))
                .collect();
            if let Some(name) = unknown.signing_name().filter(|_| candidates.is_empty()) {
                candidates.push(json!({ "signing_name": name, "region": null }));
            }
            json!({ "host": host, "error": unknown.to_string(), "candidates": candidates })
        }
    }
}

/// The rules as `sign --jsonl` takes them. Whether the header of the body's hash is written may depend on
/// the payload, and is then left out.
fn all_rules(rules: Rules) -> Vec<(String, Value)> {
    SWITCHES
        .iter()
        .filter_map(|(name, switch)| {
            let on = [true, false].into_iter().find(|&on| switch(rules, on) == rules)?;
            Some(((*name).to_owned(), on.into()))
        })
        .collect()
}

/// Those that are not as in general.
fn rules(rules: Rules) -> Vec<(String, Value)> {
    let general = all_rules(Rules::GENERAL);
    all_rules(rules).into_iter().filter(|rule| !general.contains(rule)).collect()
}

type Switch = fn(Rules, bool) -> Rules;

const SWITCHES: [(&str, Switch); 4] = [
    ("double_encode", Rules::with_double_encode),
    ("normalize_path", Rules::with_normalize_path),
    ("content_sha256_header", Rules::with_content_sha256_header),
    ("token_after_signing", Rules::with_token_after_signing),
];
