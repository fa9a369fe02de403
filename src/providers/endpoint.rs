//! Where the services that give credentials answer.

use std::{collections::BTreeMap, fmt};

use http::Uri;

use super::{Ports, ProfileSet, ProviderError, ProviderErrorKind, Section};
use crate::endpoint::Partition;

/// How the endpoints of services are found: what was said in code, what the environment and a profile
/// configure, and what follows from the region.
///
/// The first of these that is there is the endpoint's URL:
/// 1. the one [named in code](Endpoints::with_url);
/// 2. `AWS_ENDPOINT_URL_<SERVICE>`, as in `AWS_ENDPOINT_URL_STS`;
/// 3. `AWS_ENDPOINT_URL`;
/// 4. `endpoint_url` under the service in the `[services]` section that the profile names;
/// 5. `endpoint_url` of the profile;
/// 6. the service's own, by region, partition, FIPS and dual stack.
///
/// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true`, or `ignore_configured_endpoint_urls` in the profile,
/// leaves out 2 to 5. The other settings are, in code, the environment or the profile:
///
/// | Variable | Profile | |
/// |---|---|---|
/// | `AWS_USE_FIPS_ENDPOINT` | `use_fips_endpoint` | `true` or `false` |
/// | `AWS_USE_DUALSTACK_ENDPOINT` | `use_dualstack_endpoint` | `true` or `false` |
/// | `AWS_STS_REGIONAL_ENDPOINTS` | `sts_regional_endpoints` | `regional` or `legacy`: older regions share `sts.amazonaws.com` |
///
/// ```
/// use countersign::providers::{EndpointService, Endpoints, Ports};
///
/// let endpoints = Endpoints::new(&Ports::empty());
/// let endpoint = endpoints.find(EndpointService::Sts, Some("cn-north-1"))?;
/// assert_eq!(endpoint.url(), "https://sts.cn-north-1.amazonaws.com.cn");
/// # Ok::<(), countersign::providers::ProviderError>(())
/// ```
#[derive(Clone)]
pub struct Endpoints {
    ports: Ports,
    url: Option<String>,
    of_profile: Option<String>,
    /// What the section that the profile names says; why that is nothing, if there is no such section.
    of_services: Result<BTreeMap<String, String>, String>,
    /// What was said; where nothing was, the environment is asked each time.
    ignores_configured: Option<bool>,
    fips: Option<bool>,
    dual_stack: Option<bool>,
    legacy_sts: Option<bool>,
}

impl Endpoints {
    /// What the environment configures, and what follows from the region. The environment is looked at when
    /// an endpoint is wanted.
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// use countersign::providers::{EndpointService, Endpoints, Ports};
    ///
    /// let env = HashMap::from([("AWS_USE_FIPS_ENDPOINT", "true")]);
    /// let endpoints = Endpoints::new(&Ports::empty().with_env(env));
    /// let endpoint = endpoints.find(EndpointService::Sts, Some("us-east-1"))?;
    /// assert_eq!(endpoint.url(), "https://sts-fips.us-east-1.amazonaws.com");
    /// # Ok::<(), countersign::providers::ProviderError>(())
    /// ```
    pub fn new(ports: &Ports) -> Endpoints {
        Endpoints {
            ports: ports.clone(),
            url: None,
            of_profile: None,
            of_services: Ok(BTreeMap::new()),
            ignores_configured: None,
            fips: None,
            dual_stack: None,
            legacy_sts: None,
        }
    }

    /// What the environment and a profile configure. A profile that is not there configures nothing.
    ///
    /// # Errors
    /// A setting that is none of what it may be.
    ///
    /// ```
    /// # use std::{collections::HashMap, path::PathBuf};
    /// use countersign::providers::{EndpointService, Endpoints, Ports, ProfileSet};
    ///
    /// # let env = HashMap::from([("HOME", "/home/cat")]);
    /// let config = "[profile secret]\nuse_fips_endpoint = true";
    /// let files = HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]);
    /// let ports = Ports::empty().with_env(env).with_files(files);
    /// let endpoints = Endpoints::load(&ports, &ProfileSet::load(&ports)?, "secret")?;
    /// let endpoint = endpoints.find(EndpointService::Sts, Some("us-east-1"))?;
    /// assert_eq!(endpoint.url(), "https://sts-fips.us-east-1.amazonaws.com");
    /// # Ok::<(), countersign::providers::ProviderError>(())
    /// ```
    pub fn load(
        ports: &Ports,
        profiles: &ProfileSet,
        profile: &str,
    ) -> Result<Endpoints, ProviderError> {
        let section = profiles.profile(profile);
        let setting = |setting: &Setting| match setting.of_environment(ports)? {
            Some(yes) => Ok(Some(yes)),
            None => setting.of_profile(section, profile),
        };
        let of_services = match filled(section, "services") {
            Some(name) => profiles.services(name).map(urls).ok_or_else(|| {
                let ignored = profiles.ignored(name);
                let (profile, name) = (profile.escape_debug(), name.escape_debug());
                format!(
                    "the profile `{profile}` names the services `{name}`, and there is no [services {name}]\
                     {ignored}"
                )
            }),
            None => Ok(BTreeMap::new()),
        };
        Ok(Endpoints {
            of_profile: filled(section, ENDPOINT_URL).map(str::to_owned),
            of_services,
            ignores_configured: setting(&IGNORE_CONFIGURED)?,
            fips: setting(&FIPS)?,
            dual_stack: setting(&DUAL_STACK)?,
            legacy_sts: setting(&LEGACY)?,
            ..Endpoints::new(ports)
        })
    }

    /// The same but for the URL, before all that is configured.
    #[must_use]
    pub fn with_url(self, url: impl Into<String>) -> Endpoints {
        Endpoints { url: Some(url.into()), ..self }
    }

    /// The same without the URLs that are configured, if `yes`.
    #[must_use]
    pub fn with_configured_ignored(self, yes: bool) -> Endpoints {
        Endpoints { ignores_configured: Some(yes), ..self }
    }

    /// The same with endpoints whose cryptography follows FIPS 140, if `yes`.
    #[must_use]
    pub fn with_fips(self, yes: bool) -> Endpoints {
        Endpoints { fips: Some(yes), ..self }
    }

    /// The same with endpoints that also have IPv6 addresses, if `yes`.
    #[must_use]
    pub fn with_dual_stack(self, yes: bool) -> Endpoints {
        Endpoints { dual_stack: Some(yes), ..self }
    }

    /// The same with `sts.amazonaws.com` for the regions that once had no STS of their own, if `yes`.
    #[must_use]
    pub fn with_legacy_sts(self, yes: bool) -> Endpoints {
        Endpoints { legacy_sts: Some(yes), ..self }
    }

    /// Whether both were told the same; the environment's URLs are looked at anew each time.
    pub(super) fn is_same(&self, other: &Endpoints) -> bool {
        let said =
            |all: &Endpoints| (all.ignores_configured, all.fips, all.dual_stack, all.legacy_sts);
        said(self) == said(other)
            && self.url == other.url
            && self.of_profile == other.of_profile
            && self.of_services == other.of_services
    }

    /// The URL that code, environment or profile name for a service; `None` if none does.
    ///
    /// A service is named as in the variable, whatever the case: `sts`, `sso_oidc`, `dynamodb`.
    ///
    /// # Errors
    /// A variable that is no text, or none of what it may be; a `[services]` section that the profile names
    /// and that is not there, unless something before it names the URL.
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// use countersign::providers::{Endpoints, Ports};
    ///
    /// let env = HashMap::from([("AWS_ENDPOINT_URL_S3", "http://localhost:9000")]);
    /// let endpoints = Endpoints::new(&Ports::empty().with_env(env));
    /// assert_eq!(endpoints.named("s3")?.as_deref(), Some("http://localhost:9000"));
    /// assert_eq!(endpoints.named("dynamodb")?, None);
    /// # Ok::<(), countersign::providers::ProviderError>(())
    /// ```
    pub fn named(&self, service: &str) -> Result<Option<String>, ProviderError> {
        if self.url.is_some() || IGNORE_CONFIGURED.is_on(self.ignores_configured, &self.ports)? {
            return Ok(self.url.clone());
        }
        let variable = format!("AWS_ENDPOINT_URL_{}", service.to_ascii_uppercase());
        for variable in [variable.as_str(), "AWS_ENDPOINT_URL"] {
            if let Some(url) = self.ports.text(NAME, variable)? {
                return Ok(Some(url));
            }
        }
        let of_services = self.of_services.as_ref().map_err(|seen| invalid(seen.clone()))?;
        let of_service = of_services.get(&service.to_ascii_lowercase());
        Ok(of_service.or(self.of_profile.as_ref()).cloned())
    }

    /// The endpoint of a service in a region.
    ///
    /// # Errors
    /// As [`Endpoints::named`]; a region that is needed and not known, or cannot be one; a URL that cannot be
    /// one; a URL together with FIPS or dual stack, for then nobody can tell what it was meant to be.
    pub fn find(
        &self,
        service: EndpointService,
        region: Option<&str>,
    ) -> Result<Endpoint, ProviderError> {
        if let Some(region) = region.filter(|region| !is_region(region)) {
            return Err(invalid(format!("`{}` can be no region", region.escape_debug())));
        }
        let fips = FIPS.is_on(self.fips, &self.ports)?;
        let dual_stack = DUAL_STACK.is_on(self.dual_stack, &self.ports)?;
        if let Some(url) = self.named(service.id())? {
            // What stands before an `@` in a URL would be sent to whoever is behind it, and may be secret.
            if url.contains('@') {
                let message =
                    format!("the URL that names the endpoint of {} holds a user", service.id());
                return Err(invalid(message));
            }
            let both = |what| {
                invalid(format!(
                    "Invalid Configuration: {what} and custom endpoint are not supported: {} is to be \
                     asked at {}",
                    service.id(),
                    url.escape_debug()
                ))
            };
            return match (fips, dual_stack) {
                (true, _) => Err(both("FIPS")),
                (_, true) => Err(both("Dualstack")),
                _ => Endpoint::parse(url, region),
            };
        }
        let region = region.ok_or_else(|| {
            invalid(format!(
                "Invalid Configuration: Missing Region: the endpoint of {} follows from it; set AWS_REGION, \
                 or `region` in the profile",
                service.id()
            ))
        })?;
        if service == EndpointService::Sts && !fips && !dual_stack {
            let is_global = region == GLOBAL;
            let is_legacy = LEGACY.is_on(self.legacy_sts, &self.ports)?;
            if is_global || is_legacy && LEGACY_STS.contains(&region) {
                return Endpoint::parse("https://sts.amazonaws.com".to_owned(), Some("us-east-1"));
            }
        }
        let host = service.host(partition_of(region), region, fips, dual_stack);
        Endpoint::parse(format!("https://{host}"), Some(region))
    }
}

impl Endpoints {
    /// The endpoint of STS for a region. What is not signed needs none: the one that all regions share answers
    /// it too, where neither FIPS nor dual stack ask for another.
    pub(super) fn sts(&self, region: Option<&str>, signs: bool) -> Result<Endpoint, ProviderError> {
        let is_plain = !FIPS.is_on(self.fips, &self.ports)?
            && !DUAL_STACK.is_on(self.dual_stack, &self.ports)?;
        let shared = (!signs && is_plain).then_some(GLOBAL);
        self.find(EndpointService::Sts, region.or(shared))
    }
}

impl fmt::Debug for Endpoints {
    /// Without the URLs: nobody has looked yet at what stands in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints")
            .field("ignores_configured", &self.ignores_configured)
            .field("fips", &self.fips)
            .field("dual_stack", &self.dual_stack)
            .field("legacy_sts", &self.legacy_sts)
            .finish_non_exhaustive()
    }
}

/// Where a service answers, and the region to sign for.
///
/// ```
/// use countersign::providers::{EndpointService, Endpoints, Ports};
///
/// let endpoints = Endpoints::new(&Ports::empty()).with_url("http://localhost:4566");
/// let endpoint = endpoints.find(EndpointService::Sts, Some("eu-west-1"))?;
/// assert_eq!((endpoint.url(), endpoint.region()), ("http://localhost:4566", Some("eu-west-1")));
/// # Ok::<(), countersign::providers::ProviderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    uri: Uri,
    region: Option<String>,
}

impl Endpoint {
    fn parse(url: String, region: Option<&str>) -> Result<Endpoint, ProviderError> {
        let shown = || url.escape_debug();
        let uri: Uri = url.parse().map_err(|error| {
            invalid(format!("the endpoint `{}` is no URL", shown())).with_source(error)
        })?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
            return Err(invalid(format!(
                "the endpoint `{}` must begin with https:// or http:// and have no query",
                shown()
            )));
        }
        Ok(Endpoint { url, uri, region: region.map(str::to_owned) })
    }

    /// The URL, as it was configured; it may have a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The region to sign for. A URL that was configured tells none.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    pub(super) fn with_region(self, region: String) -> Endpoint {
        Endpoint { region: Some(region), ..self }
    }

    pub(super) fn uri(&self) -> Uri {
        self.uri.clone()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// A service that has to do with credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointService {
    /// IAM Roles Anywhere.
    RolesAnywhere,
    /// Sign-in, which renews login sessions.
    Signin,
    /// The portal of IAM Identity Center.
    Sso,
    /// The OpenID Connect side of IAM Identity Center.
    SsoOidc,
    /// The security token service.
    Sts,
}

impl EndpointService {
    /// The service as settings name it.
    ///
    /// ```
    /// # use countersign::providers::EndpointService;
    /// assert_eq!(EndpointService::SsoOidc.id(), "sso_oidc");
    /// ```
    pub fn id(self) -> &'static str {
        match self {
            EndpointService::RolesAnywhere => "rolesanywhere",
            EndpointService::Signin => "signin",
            EndpointService::Sso => "sso",
            EndpointService::SsoOidc => "sso_oidc",
            EndpointService::Sts => "sts",
        }
    }

    fn host(self, partition: Partition, region: &str, fips: bool, dual_stack: bool) -> String {
        let rule = self.rule();
        if let Some(host) = rule.special.iter().find_map(|special| {
            let is_meant = special.fips == fips && !dual_stack && special.is_of(partition, region);
            is_meant.then(|| special.host.replace("{region}", region))
        }) {
            return host;
        }
        let fips = if fips { "-fips" } else { "" };
        let suffix = match dual_stack {
            true => partition.dual_stack_suffix(),
            false => partition.dns_suffix(),
        };
        format!("{}{fips}.{region}.{suffix}", rule.prefix)
    }

    fn rule(self) -> &'static Rule {
        match self {
            EndpointService::RolesAnywhere => &Rule { prefix: "rolesanywhere", special: &[] },
            EndpointService::Signin => &SIGNIN,
            EndpointService::Sso => &SSO,
            EndpointService::SsoOidc => &SSO_OIDC,
            EndpointService::Sts => &STS,
        }
    }
}

/// How a service's hosts are named.
struct Rule {
    prefix: &'static str,
    /// Hosts that are named otherwise, without dual stack.
    special: &'static [Special],
}

struct Special {
    /// A partition, or a region of one.
    place: &'static str,
    fips: bool,
    host: &'static str,
}

impl Special {
    fn is_of(&self, partition: Partition, region: &str) -> bool {
        self.place == partition.as_str() || self.place == region
    }
}

/// The partition of a region; that of `aws-global` and its like, too.
fn partition_of(region: &str) -> Partition {
    let global = region.strip_suffix("-global").and_then(Partition::from_name);
    global.unwrap_or_else(|| Partition::of_region(region))
}

/// A setting that is one of two words, in the environment or a profile.
struct Setting {
    variable: &'static str,
    property: &'static str,
    /// For yes and for no, in any case.
    words: [&'static str; 2],
}

impl Setting {
    /// What was said, else what the environment says; no, where that says nothing.
    fn is_on(&self, said: Option<bool>, ports: &Ports) -> Result<bool, ProviderError> {
        match said {
            Some(yes) => Ok(yes),
            None => Ok(self.of_environment(ports)?.unwrap_or(false)),
        }
    }

    fn of_environment(&self, ports: &Ports) -> Result<Option<bool>, ProviderError> {
        let value = ports.text(NAME, self.variable)?;
        value.map(|value| self.read(self.variable, &value)).transpose()
    }

    fn of_profile(
        &self,
        section: Option<&Section>,
        profile: &str,
    ) -> Result<Option<bool>, ProviderError> {
        let value = filled(section, self.property);
        let place = || format!("{} of the profile `{}`", self.property, profile.escape_debug());
        value.map(|value| self.read(&place(), value)).transpose()
    }

    fn read(&self, place: &str, value: &str) -> Result<bool, ProviderError> {
        let value = value.trim();
        match self.words.map(|word| value.eq_ignore_ascii_case(word)) {
            [true, _] => Ok(true),
            [_, true] => Ok(false),
            _ => Err(invalid(format!(
                "{place} is `{}`, and must be {} or {}",
                value.escape_debug(),
                self.words[0],
                self.words[1]
            ))),
        }
    }
}

/// The URL of each service that a `[services]` section names one for.
fn urls(section: &Section) -> BTreeMap<String, String> {
    let urls = section.properties().filter_map(|(service, _)| {
        let url = section.nested(service, ENDPOINT_URL)?;
        (!url.is_empty()).then(|| (service.to_owned(), url.to_owned()))
    });
    urls.collect()
}

/// The value of a property that is there and says something.
fn filled<'s>(section: Option<&'s Section>, name: &str) -> Option<&'s str> {
    section?.get(name).filter(|value| !value.trim().is_empty())
}

/// Whether a region can stand in a host's name: letters, digits and `-` between them.
pub(super) fn is_region(region: &str) -> bool {
    let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&region.len())
        && region.bytes().all(is_ours)
        && !region.starts_with('-')
        && !region.ends_with('-')
}

fn invalid(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
}

const NAME: &str = "endpoint";
const ENDPOINT_URL: &str = "endpoint_url";
const YES_OR_NO: [&str; 2] = ["true", "false"];

const DUAL_STACK: Setting = Setting {
    variable: "AWS_USE_DUALSTACK_ENDPOINT",
    property: "use_dualstack_endpoint",
    words: YES_OR_NO,
};

const FIPS: Setting =
    Setting { variable: "AWS_USE_FIPS_ENDPOINT", property: "use_fips_endpoint", words: YES_OR_NO };

const IGNORE_CONFIGURED: Setting = Setting {
    variable: "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    property: "ignore_configured_endpoint_urls",
    words: YES_OR_NO,
};

const LEGACY: Setting = Setting {
    variable: "AWS_STS_REGIONAL_ENDPOINTS",
    property: "sts_regional_endpoints",
    words: ["legacy", "regional"],
};

/// In the regions of the US government the ordinary hosts follow FIPS 140 already.
const STS: Rule = Rule {
    prefix: "sts",
    special: &[Special { place: "aws-us-gov", fips: true, host: "sts.{region}.amazonaws.com" }],
};

const SSO: Rule = Rule {
    prefix: "portal.sso",
    special: &[Special {
        place: "aws-us-gov",
        fips: true,
        host: "portal.sso.{region}.amazonaws.com",
    }],
};

const SSO_OIDC: Rule = Rule {
    prefix: "oidc",
    special: &[Special { place: "aws-us-gov", fips: true, host: "oidc.{region}.amazonaws.com" }],
};

#[rustfmt::skip]
const SIGNIN: Rule = Rule {
    prefix: "signin",
    special: &[
        Special { place: "aws", fips: false, host: "{region}.signin.aws.amazon.com" },
        Special { place: "aws-cn", fips: false, host: "{region}.signin.amazonaws.cn" },
        Special { place: "aws-iso", fips: false, host: "{region}.signin.c2shome.ic.gov" },
        Special { place: "aws-iso-b", fips: false, host: "{region}.signin.sc2shome.sgov.gov" },
        Special { place: "aws-us-gov", fips: false, host: "{region}.signin.amazonaws-us-gov.com" },
        Special { place: "us-gov-west-1", fips: true, host: "signin-fips.amazonaws-us-gov.com" },
        Special { place: "aws-us-gov", fips: true, host: "{region}.signin-fips.amazonaws-us-gov.com" },
    ],
};

/// What stands for all regions of the partition that is called `aws`.
const GLOBAL: &str = "aws-global";

/// The regions that once had no STS of their own.
const LEGACY_STS: [&str; 15] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];
