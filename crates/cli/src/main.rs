//! `countersign`, the program: signs what curl is about to send, presigns URLs, explains signatures.
#![forbid(unsafe_code)]

mod against;
mod body;
mod credential_options;
mod credentials;
mod curl;
mod demo;
mod descriptors;
mod endpoint;
mod explain;
mod failure;
mod framing;
mod host;
mod http_client;
mod jsonl;
mod keys;
mod lines;
mod listen;
mod man;
mod mfa;
mod misuse;
mod object;
mod options;
mod post_policy;
mod presign;
mod presign_many;
mod printed;
mod proxy;
mod raw_http;
mod request;
mod sign;
mod signals;
mod signed;
mod token;
mod verify;
mod warnings;

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};

use crate::failure::Failure;

/// Signs AWS requests (Signature Version 4) for curl and for anything else that speaks HTTP.
#[derive(Parser)]
#[command(name = "countersign", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sign what curl is about to send, then run curl
    Curl(curl::Curl),
    /// Print the headers that sign a request
    Sign(sign::Sign),
    /// Print a URL that carries its own signature
    Presign(presign::PresignCommand),
    /// Print a form with which a browser uploads to S3
    PostPolicy(post_policy::PostPolicyCommand),
    /// Print a token that is a signature in disguise: a password, a bearer token or a URL
    Token(token::TokenCommand),
    /// Check a signed request or presigned URL against the known keys
    Verify(verify::VerifyCommand),
    /// Verify whatever a client sends to a port, and answer with the verdict
    Listen(listen::Listen),
    /// Sign requests of clients that cannot, and forward them
    Proxy(Box<proxy::ProxyCommand>),
    /// Show each step on the way to a signature
    Explain(explain::ExplainCommand),
    /// Show which provider has credentials, and why the others have none
    Credentials(credentials::CredentialsCommand),
    /// Print the service, region and rules that a host says
    Endpoint(endpoint::EndpointCommand),
    /// Sign, send and check requests on loopback, without an AWS account
    Demo(demo::Demo),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  source <(countersign completions bash)")]
    Completions {
        /// The shell to print it for
        shell: clap_complete::Shell,
    },
    /// Write the manual pages to a folder
    Man(man::Man),
}

const EXAMPLES: &str = "\
Examples:
  countersign demo
  countersign curl https://sts.amazonaws.com/ \\
    -d 'Action=GetCallerIdentity&Version=2011-06-15'
  countersign presign https://bucket.s3.amazonaws.com/cat.jpg --expires 15m
  countersign sign https://iam.amazonaws.com/ --output json \\
    -d 'Action=ListUsers&Version=2010-05-08'
  countersign credentials

Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, from a profile \
of the shared files (keys, roles, IAM Identity Center, logins, processes), from a web identity, from \
the agent of a container or from the EC2 instance, in this order; or from --credentials-file. They \
are no options: every process can read another's command line.

Exit codes: 0 done, 1 the answer is no, 2 bad input, 3 no credentials, 4 network.";

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    let usage = if curl::is_meant(&args) { curl::FAILED } else { 2 };
    let result = match Cli::try_parse_from(curl::arrange(args)) {
        Ok(cli) => cli.command.run(),
        Err(error) if error.use_stderr() => {
            misuse::tell(&error);
            return ExitCode::from(usage);
        }
        // Help goes to standard output and is no failure.
        Err(help) => printed::written(help.print().and_then(|()| io::stdout().flush()))
            .map_err(|failure| failure.with_code(usage)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printed::tell(&failure);
            ExitCode::from(failure.code)
        }
    }
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Command::Curl(command) => command.run(),
            Command::Sign(command) => command.run(),
            Command::Presign(command) => command.run(),
            Command::PostPolicy(command) => command.run(),
            Command::Token(command) => command.run(),
            Command::Verify(command) => command.run(),
            Command::Listen(command) => command.run(),
            Command::Proxy(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Credentials(command) => command.run(),
            Command::Endpoint(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut script);
                printed::print(script)
            }
            Command::Man(command) => command.run(Cli::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Narrower than the terminals of most people, where longer lines would be broken between words.
    const WIDTH: usize = 78;

    #[test]
    fn no_line_of_an_example_is_broken_by_whoever_prints_it() {
        fn check(command: &clap::Command) -> usize {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|line| line.starts_with("  ")) {
                let width = line.chars().count();
                assert!(width <= WIDTH, "{}: {width} columns: {line}", command.get_name());
            }
            help.lines().count() + command.get_subcommands().map(check).sum::<usize>()
        }
        assert!(check(&Cli::command()) > 100);
    }
}
