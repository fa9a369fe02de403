//! Where the metadata service is and how it is asked, by code, environment and profile.

use std::{fmt, str::FromStr, time::Duration};

use http::Uri;

use super::NAME;
use crate::providers::{
    Ports, ProfileProvider, ProviderError, ProviderErrorKind, Section, document::shown,
};

/// Whether the metadata service is asked by its address of IPv4 or of IPv6.
///
/// ```
/// use countersign::providers::EndpointMode;
///
/// assert_eq!("ipv6".parse(), Ok(EndpointMode::Ipv6));
/// assert_eq!("IPv7".parse::<EndpointMode>().unwrap_err(), "`IPv7` is not a valid endpoint mode");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointMode {
    /// `http://169.254.169.254`
    #[default]
    Ipv4,
    /// `http://[fd00:ec2::254]`
    Ipv6,
}

impl EndpointMode {
    fn endpoint(self) -> &'static str {
        match self {
            EndpointMode::Ipv4 => "http://169.254.169.254",
            EndpointMode::Ipv6 => "http://[fd00:ec2::254]",
        }
    }
}

impl FromStr for EndpointMode {
    type Err = String;

    fn from_str(text: &str) -> Result<EndpointMode, String> {
        match () {
            () if text.eq_ignore_ascii_case("IPv4") => Ok(EndpointMode::Ipv4),
            () if text.eq_ignore_ascii_case("IPv6") => Ok(EndpointMode::Ipv6),
            () => Err(format!("`{}` is not a valid endpoint mode", shown(text.as_bytes(), 64))),
        }
    }
}

/// What code says of the metadata service.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) ports: Ports,
    pub(super) profile: ProfileProvider,
    pub(super) endpoint: Option<String>,
    pub(super) mode: Option<EndpointMode>,
    pub(super) role: Option<String>,
}

/// What code, environment and profile come to.
#[derive(Debug)]
pub(super) struct Settings {
    /// Scheme, host and perhaps a path, without a slash at the end.
    pub(super) endpoint: String,
    /// For the connection, and as much again for the answer.
    pub(super) timeout: Duration,
    /// How often a request is sent at most.
    pub(super) attempts: u32,
    /// The role whose credentials are asked for; it is discovered otherwise.
    pub(super) role: Option<String>,
}

impl fmt::Debug for Given {
    /// Without the endpoint: nobody has looked yet at what stands in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given")
            .field("profile", &self.profile)
            .field("mode", &self.mode)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Given {
    pub(super) fn is_disabled(&self) -> Result<bool, ProviderError> {
        let disabled = self.ports.text(NAME, DISABLED)?;
        Ok(disabled.is_some_and(|text| text.trim().eq_ignore_ascii_case("true")))
    }

    pub(super) fn settle(&self) -> Result<Settings, ProviderError> {
        let name = self.profile.selected()?;
        let profiles = self.profile.load()?;
        let known = Known { ports: &self.ports, profile: profiles.profile(&name) };
        Ok(Settings {
            endpoint: self.endpoint(&known)?,
            timeout: Duration::from_secs(u64::from(known.number(TIMEOUT)?.unwrap_or(1))),
            attempts: known.number(ATTEMPTS)?.unwrap_or(4),
            role: self.role(&known)?,
        })
    }

    /// An endpoint goes before a mode, wherever either is said.
    fn endpoint(&self, known: &Known<'_>) -> Result<String, ProviderError> {
        let said = match &self.endpoint {
            Some(endpoint) => Some(("the endpoint given".to_owned(), endpoint.clone())),
            None => known.find(ENDPOINT)?,
        };
        let Some((place, text)) = said else {
            return Ok(self.mode(known)?.endpoint().to_owned());
        };
        let uri: Uri = text.trim().parse().map_err(|error: http::uri::InvalidUri| {
            let message = format!("{place} is no URL of a metadata service: {error}");
            invalid(message)
        })?;
        let (scheme, authority) = (uri.scheme_str(), uri.authority());
        match (scheme, authority) {
            (Some(scheme @ ("http" | "https")), Some(authority))
                if !authority.as_str().contains('@') =>
            {
                Ok(format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/')))
            }
            _ => Err(invalid(format!(
                "{place} is no URL of a metadata service: it must be like http://169.254.169.254"
            ))),
        }
    }

    fn mode(&self, known: &Known<'_>) -> Result<EndpointMode, ProviderError> {
        let said = match self.mode {
            Some(mode) => return Ok(mode),
            None => known.find(MODE)?,
        };
        let Some((place, text)) = said else { return Ok(EndpointMode::default()) };
        text.trim().parse().map_err(|problem| invalid(format!("{place}: {problem}")))
    }

    fn role(&self, known: &Known<'_>) -> Result<Option<String>, ProviderError> {
        let said = match &self.role {
            Some(role) => Some(("the instance profile given".to_owned(), role.clone())),
            // A name that is blank says that there is one, and not which.
            None => known.find_even_blank(ROLE)?,
        };
        let Some((place, role)) = said else { return Ok(None) };
        match is_role_name(&role) {
            true => Ok(Some(role)),
            false => Err(invalid(format!(
                "{place} is no name of an instance profile: `{}`; leave it out to use the instance's \
                 own",
                shown(role.as_bytes(), 64)
            ))),
        }
    }
}

/// What IAM allows in names, so that one in a path is one segment of it.
pub(super) fn is_role_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    (1..=128).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.trim_matches('.').is_empty()
}

/// The environment, and behind it the selected profile.
struct Known<'a> {
    ports: &'a Ports,
    profile: Option<&'a Section>,
}

impl Known<'_> {
    /// Where the setting is, and its text.
    fn find(&self, setting: Setting) -> Result<Option<(String, String)>, ProviderError> {
        if let Some(text) = self.ports.text(NAME, setting.variable)? {
            return Ok(Some((setting.variable.to_owned(), text)));
        }
        Ok(self.in_profile(setting).filter(|(_, text)| !text.trim().is_empty()))
    }

    fn find_even_blank(&self, setting: Setting) -> Result<Option<(String, String)>, ProviderError> {
        match self.ports.env().var(setting.variable) {
            Some(_) => {
                let text = self.ports.text(NAME, setting.variable)?.unwrap_or_default();
                Ok(Some((setting.variable.to_owned(), text)))
            }
            None => Ok(self.in_profile(setting)),
        }
    }

    fn in_profile(&self, setting: Setting) -> Option<(String, String)> {
        let profile = self.profile?;
        let text = profile.get(setting.key)?.to_owned();
        Some((format!("{} of the profile `{}`", setting.key, profile.name()), text))
    }

    fn number(&self, setting: Setting) -> Result<Option<u32>, ProviderError> {
        let Some((place, text)) = self.find(setting)? else { return Ok(None) };
        match text.trim().parse() {
            Ok(number @ 1..=60) => Ok(Some(number)),
            _ => Err(invalid(format!(
                "{place} is no whole number from 1 to 60: `{}`",
                shown(text.as_bytes(), 64)
            ))),
        }
    }
}

fn invalid(message: String) -> ProviderError {
    ProviderError::new(NAME, ProviderErrorKind::InvalidConfiguration, message)
}

/// One setting: its variable, and its name in a profile.
#[derive(Clone, Copy)]
struct Setting {
    variable: &'static str,
    key: &'static str,
}

pub(super) const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const ENDPOINT: Setting =
    Setting { variable: "AWS_EC2_METADATA_SERVICE_ENDPOINT", key: "ec2_metadata_service_endpoint" };
const MODE: Setting = Setting {
    variable: "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    key: "ec2_metadata_service_endpoint_mode",
};
const ROLE: Setting =
    Setting { variable: "AWS_EC2_INSTANCE_PROFILE_NAME", key: "ec2_instance_profile_name" };
const TIMEOUT: Setting =
    Setting { variable: "AWS_METADATA_SERVICE_TIMEOUT", key: "metadata_service_timeout" };
const ATTEMPTS: Setting =
    Setting { variable: "AWS_METADATA_SERVICE_NUM_ATTEMPTS", key: "metadata_service_num_attempts" };
