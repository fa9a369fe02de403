//! Tokens of Kubernetes clusters in EKS.

use std::time::{Duration, SystemTime};

use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{
    Token,
    request::{Request, check_field, check_host, host_in, invalid},
    sts::QUERY,
};
use crate::{Credentials, Error, Timestamp};

/// A bearer token with which kubectl and its like talk to a cluster of EKS.
///
/// ```
/// use std::time::SystemTime;
/// use countersign::{Credentials, tokens::{Eks, ExecVersion, exec_credential}};
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let token = Eks::new("my-cluster", "eu-west-1").sign(&credentials, SystemTime::now())?;
/// assert!(token.as_str().starts_with("k8s-aws-v1."));
/// let for_kubectl = exec_credential(&token, ExecVersion::V1);
/// # let _ = for_kubectl;
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Eks<'a> {
    cluster: &'a str,
    region: &'a str,
    host: Option<&'a str>,
}

impl<'a> Eks<'a> {
    /// For the cluster with this name, in this region; of a local cluster on Outposts, its id.
    pub fn new(cluster: &'a str, region: &'a str) -> Eks<'a> {
        Eks { cluster, region, host: None }
    }

    /// Asks another host of STS than the region's own, as one for FIPS 140.
    #[must_use]
    pub fn with_host(self, host: &'a str) -> Eks<'a> {
        Eks { host: Some(host), ..self }
    }

    /// Makes the token: `k8s-aws-v1.` and base64url, without padding, of a presigned URL that holds for
    /// 60 seconds.
    ///
    /// EKS does not look at those: it takes the token for 15 minutes from its date.
    /// [`Token::life`] says 14, so that a token is renewed before it is refused.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTokenField`](crate::ErrorKind::InvalidTokenField) for a name that is no cluster's:
    /// empty, longer than 100 characters, or with other ones than letters, digits, `-`, `_` and `.`;
    /// [`ErrorKind::InvalidUrl`](crate::ErrorKind::InvalidUrl) for a host that is none, or what is wrong with
    /// the credentials, the region or the time.
    pub fn sign(&self, credentials: &Credentials, at: SystemTime) -> Result<Token, Error> {
        check_field("name of the cluster", self.cluster, LONGEST_NAME)?;
        let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !self.cluster.bytes().all(is_ours) {
            return Err(invalid(format!(
                "`{}` is no name of a cluster: letters, digits, `-`, `_` and `.` make one",
                self.cluster.escape_debug()
            )));
        }
        let host = match self.host {
            Some(host) => host.to_owned(),
            None => host_in("sts", self.region)?,
        };
        check_host(&host)?;
        let headers = [("x-k8s-aws-id", self.cluster)];
        let request = Request::new("sts", self.region, &host, &QUERY);
        let url = Request { headers: &headers, expires_in: MINUTE, longest: MINUTE, ..request }
            .sign("https://", "", credentials, at)?
            .held_for(Timestamp::try_from(at)?, 14 * MINUTE);
        Ok(url.encoded("k8s-aws-v1.", &BASE64_URL_SAFE_NO_PAD))
    }
}

/// The version of the object that kubectl is answered with.
///
/// ```
/// use countersign::tokens::ExecVersion;
///
/// let asked = "client.authentication.k8s.io/v1beta1";
/// assert_eq!(ExecVersion::from_api(asked), Some(ExecVersion::V1Beta1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExecVersion {
    /// `client.authentication.k8s.io/v1`.
    #[default]
    V1,
    /// `client.authentication.k8s.io/v1beta1`.
    V1Beta1,
}

impl ExecVersion {
    /// The version as `apiVersion` has it.
    pub fn api(self) -> &'static str {
        match self {
            ExecVersion::V1 => "client.authentication.k8s.io/v1",
            ExecVersion::V1Beta1 => "client.authentication.k8s.io/v1beta1",
        }
    }

    /// The one that `apiVersion` names.
    pub fn from_api(text: &str) -> Option<ExecVersion> {
        [ExecVersion::V1, ExecVersion::V1Beta1].into_iter().find(|version| version.api() == text)
    }
}

/// The `ExecCredential` with which a plugin answers kubectl: a line of JSON, a secret as the token is.
///
/// It names the moment until which kubectl may keep the token: the end of its life, or of the
/// credentials' if that comes first.
///
/// ```
/// use countersign::{Credentials, Timestamp, tokens::{Eks, ExecVersion, exec_credential}};
///
/// let at: Timestamp = "2026-01-02T03:04:05Z".parse()?;
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let token = Eks::new("my-cluster", "eu-west-1").sign(&credentials, at.into())?;
/// let json = exec_credential(&token, ExecVersion::V1);
/// assert!(json.starts_with(r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","#));
/// assert!(json.contains(r#""expirationTimestamp":"2026-01-02T03:18:05Z""#));
/// # Ok::<(), countersign::Error>(())
/// ```
pub fn exec_credential(token: &Token, version: ExecVersion) -> Zeroizing<String> {
    let life = token.life();
    let until = Timestamp::try_from(life.cut_short_at().unwrap_or(life.expires_at()));
    // Tokens are of base64's letters, which JSON holds as they are. What never ends is not said to.
    let until = until.map_or_else(
        |_| String::new(),
        |until| format!(r#""expirationTimestamp":"{}","#, until.to_rfc3339()),
    );
    let api = version.api();
    let parts = [
        r#"{"apiVersion":""#,
        api,
        r#"","kind":"ExecCredential","spec":{},"status":{"#,
        &until,
        r#""token":""#,
        token.as_str(),
        r#""}}"#,
    ];
    let mut json = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| json.push_str(part));
    json
}

const MINUTE: Duration = Duration::from_secs(60);
const LONGEST_NAME: usize = 100;
