//! The options that all commands which sign have in common.

use std::{
    cell::{OnceCell, RefCell},
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, SystemTime},
};

use clap::Args;
use countersign::{
    Algorithm, Credentials, Payload, Rules, Signer, Timestamp,
    providers::{Cached, Chain, Ports, ProvideCredentials, RegionChain},
    sigv4a,
};

use zeroize::Zeroizing;

use crate::{
    body,
    failure::Failure,
    host::{self, Target},
    http_client, mfa,
    presign::time_text,
    printed::tell,
    warnings,
};

/// Who signs, where, when and how.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Signing options")]
pub(crate) struct SigningOptions {
    /// The region of the credential scope [default: what the host says, then AWS_REGION,
    /// AWS_DEFAULT_REGION, the profile, the instance's]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// Sign by SigV4A (AWS4-ECDSA-P256-SHA256) for these regions, as in `us-east-1,eu-*`
    #[arg(long, value_name = "LIST", conflicts_with = "region")]
    pub(crate) region_set: Option<String>,

    /// The signing name of the service, as in `s3` or `execute-api` [default: what the host says]
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,

    /// The profile in the shared credentials and config files [default: AWS_PROFILE, `default`]; keys in
    /// the environment then do not count
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// The moment of signing, as 20150830T123600Z or in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) time: Option<Timestamp>,

    /// A file with credentials as a credential_process prints them, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials_file: Option<PathBuf>,

    /// What the signature says of the body: `hash`, `unsigned`, the body's SHA-256 in hexadecimal, or for
    /// a body in chunks `streaming`, `streaming-trailer`, `unsigned-trailer` [default: hash; presigned
    /// for the S3 family: unsigned]
    #[arg(long, value_name = "PAYLOAD")]
    pub(crate) payload: Option<PayloadChoice>,

    /// A header that is sent but not signed; may be repeated
    #[arg(long, value_name = "HEADER")]
    pub(crate) exclude: Vec<String>,

    /// Overrides a rule of the service, as in `double_encode=false`; may be repeated. Rules:
    /// double_encode, normalize_path, content_sha256_header, token_after_signing
    #[arg(long = "rule", value_name = "RULE=BOOL")]
    pub(crate) rules: Vec<RuleSwitch>,
}

/// All that a signature needs beside the request.
#[derive(Debug)]
pub(crate) struct Signing {
    pub(crate) signer: Signer,
    pub(crate) credentials: Credentials,
    pub(crate) at: SystemTime,
}

impl Signing {
    /// Says so if the credentials are known to hold no more, unless another time is signed.
    pub(crate) fn note_expiry(&self, options: &SigningOptions) {
        let expired = self.credentials.expires_at().filter(|expiry| *expiry <= self.at);
        if let (Some(expiry), None) = (expired, options.time) {
            tell(format_args!(
                "note: the credentials expired at {}, so the service will refuse the signature",
                time_text(expiry)
            ));
        }
    }
}

impl SigningOptions {
    /// Finds out who signs and for which scope. `target` is where the request goes, if that is known.
    pub(crate) fn resolve(&self, target: Option<Target>) -> Result<Signing, Failure> {
        let ambient = Ambient::new(self);
        let scope = ambient.scope(Given::default(), || target)?;
        let signer = ambient.signer(scope, Vec::new());
        Ok(Signing { signer, credentials: ambient.credentials()?, at: self.at() })
    }

    /// Whether the credentials come from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.credentials_file.as_deref() == Some(Path::new("-"))
    }

    /// The moment of signing.
    pub(crate) fn at(&self) -> SystemTime {
        self.time.map_or_else(SystemTime::now, SystemTime::from)
    }
}

/// Options, and where what they leave open is looked up.
pub(crate) struct Ambient<'o> {
    pub(crate) options: &'o SigningOptions,
    ports: Ports,
    /// Made when credentials are first asked for; what they come from, and what keeps them.
    provider: OnceCell<(Chain, Cached)>,
    /// What the region chain found, which may be nothing. It is asked once: the last that it asks is the
    /// metadata service, which takes its time where there is none.
    region: OnceCell<Option<String>>,
    /// Why there were no credentials, and until when that is believed: to ask again for each line of a long list
    /// would take as long as the metadata service takes to be silent.
    absent: RefCell<Option<(SystemTime, String)>>,
    /// What `--credentials-file` holds, which is read once.
    of_file: OnceCell<Credentials>,
    keys: sigv4a::KeyCache,
}

/// What a request says of its own signature, which goes before the options.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) region: Option<String>,
    pub(crate) region_set: Option<String>,
    pub(crate) service: Option<String>,
}

/// The algorithm, the region or set of regions, and the service of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    algorithm: Algorithm,
    region: String,
    service: String,
}

impl Ambient<'_> {
    pub(crate) fn new(options: &SigningOptions) -> Ambient<'_> {
        warnings::show();
        Ambient {
            options,
            ports: http_client::ports(options.profile.as_deref()),
            provider: OnceCell::new(),
            region: OnceCell::new(),
            absent: RefCell::default(),
            of_file: OnceCell::new(),
            keys: sigv4a::KeyCache::default(),
        }
    }

    /// Region and service: what the request says, the options, the host, and for the region the
    /// environment and the profile. A set of regions asks for SigV4A, where no algorithm is said.
    pub(crate) fn scope(
        &self,
        given: Given,
        target: impl FnOnce() -> Option<Target>,
    ) -> Result<Names, Failure> {
        let region_set = given.region_set.or_else(|| self.options.region_set.clone());
        let algorithm = given.algorithm.unwrap_or(match region_set {
            Some(_) => Algorithm::EcdsaP256Sha256,
            None => Algorithm::HmacSha256,
        });
        let region = region_set.filter(|_| !algorithm.names_region());
        let region = region.or(given.region).or_else(|| self.options.region.clone());
        let service = given.service.or_else(|| self.options.service.clone());
        if let (Some(region), Some(service)) = (&region, &service) {
            return Ok(Names { algorithm, region: region.clone(), service: service.clone() });
        }
        let endpoint = target().map(|target| target.endpoint());
        let told = endpoint.as_ref().and_then(|endpoint| match endpoint {
            Ok(endpoint) => Some(endpoint.signing_name()),
            Err(unknown) => unknown.signing_name(),
        });
        let cannot_tell = |message: &str| match &endpoint {
            // Whose service was given, of a host that tells nothing, is asked for the rest alone.
            Some(Err(unknown)) if service.is_none() || told.is_some() => host::refusal(unknown),
            _ => Failure::input(message),
        };
        let name = service
            .clone()
            .or_else(|| told.map(str::to_owned))
            .ok_or_else(|| cannot_tell("which service is meant cannot be told: give --service"))?;
        let region = match (region, &endpoint) {
            (Some(region), _) => Some(region),
            (None, Some(endpoint)) => host::region(endpoint, || self.region())?,
            (None, None) => self.region()?,
        };
        let region = region.ok_or_else(|| {
            cannot_tell(
                "which region is meant cannot be told: give --region, or set AWS_REGION or a region \
                 in the profile",
            )
        })?;
        Ok(Names { algorithm, region, service: name })
    }

    /// A signer by the options' rules, which leaves `exclude` unsigned too.
    pub(crate) fn signer(
        &self,
        Names { algorithm, region, service }: Names,
        mut exclude: Vec<String>,
    ) -> Signer {
        let rules = Rules::for_service(&service);
        let rules = self.options.rules.iter().fold(rules, |rules, switch| switch.apply(rules));
        exclude.extend_from_slice(&self.options.exclude);
        let signer = match algorithm {
            Algorithm::EcdsaP256Sha256 => self.keys.signer(region, service),
            _ => Signer::new(region, service),
        };
        signer.with_rules(rules).with_unsigned_headers(exclude)
    }

    /// The credentials to sign with from now on: from the file named, or from wherever the user keeps
    /// them. Those that expire are replaced in time, so ask for each signature.
    pub(crate) fn credentials(&self) -> Result<Credentials, Failure> {
        if let Some(path) = &self.options.credentials_file {
            if let Some(credentials) = self.of_file.get() {
                return Ok(credentials.clone());
            }
            let credentials = read_credentials(path)?;
            return Ok(self.of_file.get_or_init(|| credentials).clone());
        }
        let (chain, cached) = self.provider.get_or_init(|| {
            let chain = chain(&self.ports, self.options.profile.as_deref());
            (chain.clone(), Cached::new(chain, &self.ports))
        });
        if let Some((until, why)) = &*self.absent.borrow()
            && self.ports.clock().now() < *until
        {
            return Err(Failure::credentials(why));
        }
        match pollster::block_on(cached.provide()) {
            Ok(Some(credentials)) => Ok(credentials),
            Ok(None) => {
                let why = format!("{}; `countersign credentials` shows more", chain.explain());
                self.absent.replace(Some((self.ports.clock().now() + ABSENCE, why.clone())));
                Err(Failure::credentials(why))
            }
            Err(error) => Err(Failure::of_provider(&error)),
        }
    }

    /// Reads what `--credentials-file` names, if anything: what is wrong with that is wrong with all of many requests.
    pub(crate) fn read_file(&self) -> Result<(), Failure> {
        match self.options.credentials_file {
            Some(_) => self.credentials().map(drop),
            None => Ok(()),
        }
    }

    fn region(&self) -> Result<Option<String>, Failure> {
        if let Some(region) = self.region.get() {
            return Ok(region.clone());
        }
        let chain = RegionChain::standard(&self.ports);
        let chain = match &self.options.profile {
            Some(profile) => chain.with_profile(profile),
            None => chain,
        };
        let region =
            pollster::block_on(chain.provide()).map_err(|error| Failure::of_provider(&error))?;
        Ok(self.region.get_or_init(|| region).clone())
    }
}

/// How long it is believed that there are no credentials.
const ABSENCE: Duration = Duration::from_secs(5);

/// The chain of all providers, with the user to ask for codes of devices.
pub(crate) fn chain(ports: &Ports, profile: Option<&str>) -> Chain {
    let chain = Chain::standard(ports).with_mfa(mfa::prompt());
    match profile {
        Some(profile) => chain.with_profile(profile),
        None => chain,
    }
}

/// The credentials in a file, as a `credential_process` prints them.
pub(crate) fn read_credentials(path: &Path) -> Result<Credentials, Failure> {
    let text = Zeroizing::new(body::read_text(path)?);
    Credentials::from_process_json(&text).map_err(|error| {
        let path = path.display();
        Failure::credentials(format_args!("the credentials in `{path}` cannot be read: {error}"))
    })
}

/// What the signature is asked to say of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadChoice {
    Given(Payload),
    Hash,
}

impl FromStr for PayloadChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<PayloadChoice, String> {
        match text {
            "hash" => Ok(PayloadChoice::Hash),
            "streaming" => Ok(PayloadChoice::Given(Payload::Streaming)),
            "streaming-trailer" => Ok(PayloadChoice::Given(Payload::StreamingTrailer)),
            "unsigned" => Ok(PayloadChoice::Given(Payload::Unsigned)),
            "unsigned-trailer" => Ok(PayloadChoice::Given(Payload::StreamingUnsignedTrailer)),
            hex => Payload::from_line(hex)
                .filter(Payload::is_hash)
                .map(PayloadChoice::Given)
                .ok_or_else(|| {
                    "it is neither `hash`, `unsigned`, `streaming`, `streaming-trailer`, \
                     `unsigned-trailer` nor 64 lower-case hexadecimal digits"
                        .to_owned()
                }),
        }
    }
}

/// One rule of a service, overridden.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleSwitch {
    apply: fn(Rules, bool) -> Rules,
    on: bool,
}

impl RuleSwitch {
    /// What to say to whoever names another rule.
    pub(crate) const NAMES: &str = "the rules are double_encode, normalize_path, \
        content_sha256_header and token_after_signing";

    /// The rule with this name, as the command line and JSON Lines spell it.
    pub(crate) fn new(name: &str, on: bool) -> Option<RuleSwitch> {
        let apply: fn(Rules, bool) -> Rules = match name {
            "double_encode" => Rules::with_double_encode,
            "normalize_path" => Rules::with_normalize_path,
            "content_sha256_header" => Rules::with_content_sha256_header,
            "token_after_signing" => Rules::with_token_after_signing,
            _ => return None,
        };
        Some(RuleSwitch { apply, on })
    }

    pub(crate) fn apply(&self, rules: Rules) -> Rules {
        (self.apply)(rules, self.on)
    }
}

impl FromStr for RuleSwitch {
    type Err = String;

    fn from_str(text: &str) -> Result<RuleSwitch, String> {
        let (name, on) = text
            .split_once('=')
            .and_then(|(name, on)| Some((name, on.parse().ok()?)))
            .ok_or("it is not like `double_encode=false`")?;
        RuleSwitch::new(name, on).ok_or_else(|| RuleSwitch::NAMES.to_owned())
    }
}
