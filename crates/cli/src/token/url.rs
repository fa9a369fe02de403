//! `countersign token msk`, `iot`, `transcribe` and `bedrock`: bearer tokens and URLs.

use std::{str::FromStr, time::SystemTime};

use clap::{Args, ValueEnum};
use countersign::tokens::{self, Transcription};

use super::{
    options::{Signing, TokenOptions},
    print_line, print_token, warn,
};
use crate::{failure::Failure, presign::Expires};

/// Print a bearer token for Kafka: MSK with IAM
///
/// It can be used to connect for 15 minutes, by SASL/OAUTHBEARER over TLS, at port 9098. Clients ask for it
/// in a callback, as kcat and Kafka's own tools cannot be told a token: --output json has what they want.
#[derive(Args)]
#[command(after_help = "\
Example, with confluent-kafka for Python:
  import json, subprocess
  def token(_):
      command = ['countersign', 'token', 'msk', '--output', 'json']
      made = json.loads(subprocess.check_output(command))
      return made['token'], made['expires_at_ms'] / 1000
  Consumer({'security.protocol': 'SASL_SSL', 'sasl.mechanisms': 'OAUTHBEARER',
            'oauth_cb': token, …})")]
pub(crate) struct Msk {
    /// What the client calls itself in the logs of AWS; not signed
    #[arg(long, value_name = "NAME")]
    user_agent: Option<String>,

    /// What is printed
    #[arg(long, value_name = "FORM", default_value = "token")]
    output: Output,

    #[command(flatten)]
    signing: TokenOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One object with `token` and `expires_at_ms`, the milliseconds since 1970
    Json,
    /// The token alone
    Token,
}

impl Msk {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Signing { region, credentials, at } = self.signing.resolve("kafka-cluster", None)?;
        let msk = tokens::Msk::new(&region);
        let msk = match &self.user_agent {
            Some(name) => msk.with_user_agent(name),
            None => msk,
        };
        let token = msk.sign(&credentials, at)?;
        if self.output == Output::Token {
            return print_token(&token);
        }
        warn(token.life());
        let until = token.life().cut_short_at().unwrap_or(token.life().expires_at());
        let since = until.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let text = zeroize::Zeroizing::new(format!(
            r#"{{"token":"{}","expires_at_ms":{}}}"#,
            token.as_str(),
            since.as_millis()
        ));
        print_line(&text)
    }
}

/// Print a URL of MQTT over WebSocket at AWS IoT
#[derive(Args)]
#[command(after_help = "\
Example, with MQTT.js (mosquitto_pub connects with a certificate instead):
  URL=\"$(countersign token iot abcdef-ats.iot.eu-west-1.amazonaws.com)\" \\
    node -e '
    const client = require(\"mqtt\").connect(process.env.URL,
      {reconnectPeriod: 0});
    client.on(\"connect\", () =>
      client.publish(\"greetings\", \"hello\", () => client.end()))'")]
pub(crate) struct Iot {
    /// The account's data endpoint, as `aws iot describe-endpoint --endpoint-type iot:Data-ATS` says it
    host: String,

    /// How long it can be used to connect: seconds, or a number with s, m, h or d; a week at most
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    expires: Expires,

    #[command(flatten)]
    signing: TokenOptions,
}

impl Iot {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Signing { region, credentials, at } =
            self.signing.resolve("iotdevicegateway", Some(&self.host))?;
        let iot = tokens::Iot::new(&self.host, &region).with_expires_in(self.expires.0);
        print_token(&iot.sign(&credentials, at)?)
    }
}

/// Print a URL at which audio is streamed to Amazon Transcribe
#[derive(Args)]
#[command(after_help = "\
Example:
  websocat --binary \"$(countersign token transcribe --region eu-west-1 \\
    -p language-code=en-GB -p media-encoding=pcm -p sample-rate=16000)\"")]
pub(crate) struct Transcribe {
    /// A parameter by the name that Transcribe gives it; may be repeated
    #[arg(short, long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<Parameter>,

    /// The sort of transcription
    #[arg(long, value_name = "SORT", default_value = "general")]
    sort: Sort,

    /// How long it can be used to connect: seconds, or a number with s or m; 5 minutes at most
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    expires: Expires,

    #[command(flatten)]
    signing: TokenOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// Of calls, with an analysis
    CallAnalytics,
    /// Of any audio
    General,
    /// Of what is said in medicine
    Medical,
}

impl Transcribe {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Signing { region, credentials, at } = self.signing.resolve("transcribe", None)?;
        let sort = match self.sort {
            Sort::CallAnalytics => Transcription::CallAnalytics,
            Sort::General => Transcription::General,
            Sort::Medical => Transcription::Medical,
        };
        let transcribe = tokens::Transcribe::new(&region)
            .with_transcription(sort)
            .with_expires_in(self.expires.0);
        let transcribe = self.parameters.iter().fold(transcribe, |transcribe, parameter| {
            transcribe.with_parameter(&parameter.name, &parameter.value)
        });
        print_token(&transcribe.sign(&credentials, at)?)
    }
}

#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    value: String,
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Parameter, String> {
        let (name, value) = text.split_once('=').ok_or("it is not like language-code=en-US")?;
        Ok(Parameter { name: name.to_owned(), value: value.to_owned() })
    }
}

/// Print a short-term API key of Bedrock
///
/// It can do what you can at Bedrock, in its region, until it expires.
#[derive(Args)]
#[command(after_help = "\
Examples:
  export AWS_BEARER_TOKEN_BEDROCK=\"$(countersign token bedrock \\
    --region us-west-2)\"
  export OPENAI_API_KEY=\"$(countersign token bedrock \\
    --region us-west-2 --expires 1h)\"")]
pub(crate) struct Bedrock {
    /// How long it can be used: seconds, or a number with s, m or h; 12 hours at most
    #[arg(long, value_name = "DURATION", default_value = "12h")]
    expires: Expires,

    #[command(flatten)]
    signing: TokenOptions,
}

impl Bedrock {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Signing { region, credentials, at } = self.signing.resolve("bedrock", None)?;
        let bedrock = tokens::Bedrock::new(&region).with_expires_in(self.expires.0);
        print_token(&bedrock.sign(&credentials, at)?)
    }
}
