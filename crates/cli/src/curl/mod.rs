//! `countersign curl`: signs what curl is about to send, then runs curl.

mod bytes;
mod data;
mod headers;
mod parse;
mod print;
mod run;
mod table;
mod transfer;
mod url;

use std::{env, ffi::OsString, path::Path};

use clap::Args;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use self::{parse::CommandLine, transfer::Transfer};
use crate::{failure::Failure, framing::Checksum, options::SigningOptions, printed};

/// Sign what curl is about to send, then run curl
#[derive(Args)]
#[command(override_usage = "countersign curl [OPTIONS] [--] <CURL-ARGS>...", after_help = HELP)]
pub(crate) struct Curl {
    /// Print a command for the shell instead of running curl; the signature is in it, the session
    /// token is `$AWS_SESSION_TOKEN`
    #[arg(long)]
    print: bool,

    /// The checksum behind a body of --payload streaming-trailer or unsigned-trailer
    #[arg(long, value_enum, value_name = "NAME", default_value = "crc32")]
    checksum: Checksum,

    /// The arguments of curl, its options among them
    #[arg(value_name = "CURL-ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,

    #[command(flatten)]
    signing: SigningOptions,
}

impl Curl {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.attempt().map_err(|failure| match failure.code {
            127 => failure,
            _ => failure.with_code(FAILED),
        })
    }

    fn attempt(self) -> Result<(), Failure> {
        let args = self.args.into_iter().map(bytes::bytes_of).collect::<Result<_, _>>()?;
        let line = CommandLine::parse(args)?;
        check_stdin(&line, self.signing.credentials_file.as_deref())?;
        let transfer = Transfer::new(line)?;
        let signing = self.signing.resolve(transfer.target())?;
        signing.note_expiry(&self.signing);
        let mut transfer = transfer.sign(&self.signing, &signing, self.checksum)?;
        if !self.print {
            return run::run(transfer);
        }
        let (command, wants_stdin) = print::command(&mut transfer)?;
        if wants_stdin {
            printed::tell(format_args!(
                "note: the signature holds for the body that was read from standard \
                 input: give the command the same"
            ));
        }
        if let Some(token) = signing.credentials.session_token()
            && !is_in_environment(token)
        {
            printed::tell(print::way_to_token(&self.signing));
        }
        printed::print(command)
    }
}

/// Whether the program is called for `countersign curl`, with these arguments.
pub(crate) fn is_meant(args: &[OsString]) -> bool {
    args.get(1).is_some_and(|command| command == "curl")
}

/// Sorts the arguments of `countersign curl`: our options, then `--`, then curl's. Others stay as
/// they are.
///
/// A parser that does not know which of curl's options take a value cannot tell ours from their
/// values.
pub(crate) fn arrange(args: Vec<OsString>) -> Vec<OsString> {
    if !is_meant(&args) {
        return args;
    }
    let known = Curl::augment_args(clap::Command::new("curl"));
    let mut args = args.into_iter();
    let mut ours: Vec<OsString> = args.by_ref().take(2).collect();
    let mut curls = Vec::new();
    while let Some(arg) = args.next() {
        if arg == "--" {
            curls.extend(args);
            break;
        }
        let (list, takes_next) = match is_ours(&known, &arg) {
            Some(takes_next) => (&mut ours, takes_next),
            None => (&mut curls, table::takes_next(arg.as_encoded_bytes())),
        };
        list.push(arg);
        if takes_next {
            list.extend(args.next());
        }
    }
    ours.push("--".into());
    ours.extend(curls);
    ours
}

/// Whether the next argument is the value of this one, if this is an option of ours.
fn is_ours(known: &clap::Command, arg: &OsString) -> Option<bool> {
    let text = arg.to_str()?;
    if matches!(text, "-h" | "--help") {
        return Some(false);
    }
    let option = text.strip_prefix("--")?;
    let (name, is_glued) = option.split_once('=').map_or((option, false), |(name, _)| (name, true));
    let option = known.get_arguments().find(|known| known.get_long() == Some(name))?;
    Some(option.get_action().takes_values() && !is_glued)
}

/// Whether a shell puts this token where a printed command says `$AWS_SESSION_TOKEN`.
fn is_in_environment(token: &str) -> bool {
    let there = Zeroizing::new(env::var("AWS_SESSION_TOKEN").unwrap_or_default());
    there.as_bytes().ct_eq(token.as_bytes()).into()
}

/// Refuses to read standard input twice.
fn check_stdin(line: &CommandLine, credentials_file: Option<&Path>) -> Result<(), Failure> {
    let credentials = credentials_file.filter(|file| *file == Path::new("-"));
    let upload = line.upload.as_deref().filter(|file| transfer::is_stdin(file));
    let data = line.data.iter().filter(|piece| piece.is_stdin());
    let readers = credentials.map(|_| "--credentials-file").into_iter();
    let readers = readers.chain(upload.map(|_| "-T")).chain(data.map(|_| "the data"));
    match readers.collect::<Vec<_>>()[..] {
        [] | [_] => Ok(()),
        [one, other, ..] => Err(Failure::input(format_args!(
            "{one} and {other} both want standard input, which can be read once: use a file"
        ))),
    }
}

/// The exit code when nothing was sent.
pub(crate) const FAILED: u8 = 125;

const HELP: &str = "\
Examples:
  countersign curl https://sts.amazonaws.com/ \\
    -d 'Action=GetCallerIdentity&Version=2011-06-15'
  countersign curl -O https://bucket.s3.eu-central-1.amazonaws.com/cat.jpg
  countersign curl -T cat.jpg https://bucket.s3.eu-central-1.amazonaws.com/
  countersign curl --payload streaming-trailer --checksum crc64nvme \\
      -T cat.mp4 https://bucket.s3.eu-central-1.amazonaws.com/
  countersign curl https://dynamodb.eu-central-1.amazonaws.com/ --json '{}' \\
      -H 'X-Amz-Target: DynamoDB_20120810.ListTables' \\
      -H 'Content-Type: application/x-amz-json-1.0'
  countersign curl --service execute-api --region eu-west-1 \\
      -sS https://api.example.com/orders
  countersign curl --print -I \\
      https://bucket.s3.eu-central-1.amazonaws.com/cat.jpg

The options above may stand anywhere among those of curl, up to the first `--`. curl runs with -q; \
the headers reach it through a config on an inherited descriptor, not through its arguments, which \
every process can read.

Signed are the headers of -H, the Content-Type of a body, and the body. Headers that curl makes of \
-A, -b, -e or -r are sent unsigned. Standard input is read to its end before anything is sent; to \
S3 it is uploaded with its length. -F is taken where a body may go unsigned, as to S3. A body of \
--payload streaming, streaming-trailer or unsigned-trailer is framed in chunks while it is sent, and is \
read once.

Refused by name is what would alter method, URL, headers or body unseen: -L, -u, --aws-sigv4, \
--next, -K, globs, and options that are not known here.

Exit codes: that of curl; 125 if nothing was sent, 127 if there is no curl.";

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(args: &[&str]) -> Vec<String> {
        let args = ["countersign", "curl"].iter().chain(args).map(OsString::from).collect();
        let arranged = arrange(args).into_iter().skip(2);
        arranged.map(|arg| arg.into_string().expect("text")).collect()
    }

    #[test]
    fn our_options_may_stand_anywhere() {
        assert_eq!(
            arranged(&["-sS", "--service", "s3", "-X", "PUT", "u", "--region=x", "--print"]),
            ["--service", "s3", "--region=x", "--print", "--", "-sS", "-X", "PUT", "u"]
        );
    }

    #[test]
    fn a_value_of_curls_is_not_taken_for_an_option_of_ours() {
        assert_eq!(arranged(&["-d", "--print", "u"]), ["--", "-d", "--print", "u"]);
        assert_eq!(arranged(&["-sSo", "--service", "u"]), ["--", "-sSo", "--service", "u"]);
        assert_eq!(arranged(&["--output", "--help", "u"]), ["--", "--output", "--help", "u"]);
        assert_eq!(arranged(&["--region", "--print", "u"]), ["--region", "--print", "--", "u"]);
    }

    #[test]
    fn behind_two_dashes_all_is_curls() {
        assert_eq!(
            arranged(&["--print", "--", "-s", "--region", "--", "u"]),
            ["--print", "--", "-s", "--region", "--", "u"]
        );
    }

    #[test]
    fn other_commands_keep_their_arguments() {
        let args: Vec<OsString> = ["countersign", "sign", "-X", "PUT"].map(OsString::from).into();
        assert_eq!(arrange(args.clone()), args);
    }

    #[test]
    fn standard_input_is_read_once() {
        let check = |args: &[&str], credentials: Option<&str>| {
            let args = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
            check_stdin(&CommandLine::parse(args).expect("a line"), credentials.map(Path::new))
        };
        assert!(check(&["-d", "@-", "u"], None).is_ok());
        assert!(check(&["-d", "@f", "u"], Some("-")).is_ok());
        assert!(check(&["-d", "@-", "u"], Some("-")).is_err());
        assert!(check(&["-T", ".", "u"], Some("-")).is_err());
        assert!(check(&["-d", "@-", "--data-urlencode", "a@-", "u"], None).is_err());
    }
}
