//! Where credentials come from, with a record of who was asked.

use std::time::{Duration, SystemTime};

use countersign::{
    Credentials,
    providers::{
        AssumeRole, AssumeRoleProvider, Cached, Chain, ChainAnswer, ChainStep, Ports,
        ProvideCredentials, ProviderError, ProviderErrorKind, Sts,
    },
};

use crate::{
    failure::{Failure, with_sources},
    http_client, mfa, options,
    presign::time_text,
    printed::tell,
};

/// The chain, and perhaps a role behind it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    ports: Ports,
    chain: Chain,
    role: Option<(AssumeRole, Sts)>,
}

/// Somebody who was asked, or was not.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) provider: String,
    pub(super) looked_at: String,
    pub(super) answer: ChainAnswer,
    pub(super) took: Duration,
}

/// Credentials, and who gave them.
pub(super) struct Found<'a> {
    pub(super) provider: &'a str,
    pub(super) credentials: &'a Credentials,
}

impl Found<'_> {
    /// Says so if the credentials are known to hold no more.
    pub(super) fn note_expiry(&self, now: SystemTime) {
        if let Some(expiry) = self.credentials.expires_at().filter(|expiry| *expiry <= now) {
            tell(format_args!(
                "note: the credentials expired at {}, so services will refuse what they sign",
                time_text(expiry)
            ));
        }
    }
}

impl Source {
    pub(super) fn new(
        profile: Option<String>,
        role: Option<AssumeRole>,
        region: Option<String>,
    ) -> Source {
        let ports = http_client::ports(profile.as_deref());
        let mut sts = Sts::new(&ports);
        if let Some(name) = &profile {
            sts = sts.with_profile(name);
        }
        if let Some(region) = region {
            sts = sts.with_region(region);
        }
        let chain = options::chain(&ports, profile.as_deref());
        Source { ports, chain, role: role.map(|role| (role, sts)) }
    }

    #[cfg(test)]
    pub(super) fn of(ports: &Ports) -> Source {
        Source { ports: ports.clone(), chain: Chain::standard(ports), role: None }
    }

    pub(super) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Asks in turn, up to the first who answers, and then for the role.
    pub(super) async fn ask(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.chain.trace().await.iter().map(Row::from).collect();
        let Some((role, sts)) = &self.role else { return rows };
        let began = self.now();
        let answer = match answer(&rows) {
            Ok(Some(base)) => self.assume(base, role, sts).await,
            _ => ChainAnswer::NotAsked("there are no credentials to assume it with".to_owned()),
        };
        rows.push(Row {
            provider: ROLE.to_owned(),
            looked_at: role.role_arn().to_owned(),
            answer,
            took: self.now().duration_since(began).unwrap_or_default(),
        });
        rows
    }

    async fn assume(&self, base: Credentials, role: &AssumeRole, sts: &Sts) -> ChainAnswer {
        let provider = AssumeRoleProvider::new(&self.ports, base, role.clone())
            .with_sts(sts.clone())
            .with_mfa(mfa::prompt());
        // By which those that have expired are judged as everywhere.
        let cached = Cached::new(provider, &self.ports);
        match cached.provide().await {
            Ok(Some(credentials)) => ChainAnswer::Credentials(credentials),
            Ok(None) => ChainAnswer::Nothing(cached.absence()),
            Err(error) => ChainAnswer::Failed(error),
        }
    }

    /// What it came to.
    pub(super) fn outcome<'a>(&self, rows: &'a [Row]) -> Result<Found<'a>, Failure> {
        match settled_by(rows) {
            Some(Row { provider, answer: ChainAnswer::Credentials(credentials), .. }) => {
                Ok(Found { provider, credentials })
            }
            Some(Row { provider, answer: ChainAnswer::Failed(error), .. }) => {
                // With what STS is to be asked is for whoever names the role to say.
                let is_input =
                    provider == ROLE && error.kind() == ProviderErrorKind::InvalidConfiguration;
                Err(match is_input {
                    true => Failure::input(with_sources(error)),
                    false => Failure::of_provider(error),
                })
            }
            _ => Err(Failure::credentials(self.chain.explain())),
        }
    }

    fn now(&self) -> SystemTime {
        self.ports.clock().now()
    }
}

/// Who had the last word, if there are credentials or an error. A role stands behind what it is assumed
/// with.
fn settled_by(rows: &[Row]) -> Option<&Row> {
    let settles =
        |answer: &_| matches!(answer, ChainAnswer::Credentials(_) | ChainAnswer::Failed(_));
    rows.iter().rev().find(|row| settles(&row.answer))
}

/// What they came to, as a provider says it.
pub(super) fn answer(rows: &[Row]) -> Result<Option<Credentials>, ProviderError> {
    match settled_by(rows).map(|row| &row.answer) {
        Some(ChainAnswer::Credentials(credentials)) => Ok(Some(credentials.clone())),
        Some(ChainAnswer::Failed(error)) => Err(error.clone()),
        _ => Ok(None),
    }
}

/// What the role is called among providers.
const ROLE: &str = "role";

impl From<&ChainStep> for Row {
    fn from(step: &ChainStep) -> Row {
        Row {
            provider: step.provider().to_owned(),
            looked_at: step.looked_at().to_owned(),
            answer: step.answer().clone(),
            took: step.took(),
        }
    }
}
