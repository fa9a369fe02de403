//! Providers asked in turn.

use std::{error, fmt, sync::Arc, time::Duration};

use super::{
    BoxFuture, ContainerProvider, EnvironmentProvider, InstanceProvider, MfaPrompt, Ports,
    ProfileProvider, ProvideCredentials, ProviderError, WebIdentityProvider, environment, sts,
    trace::{ChainAnswer, ChainStep},
};
use crate::Credentials;

/// The providers that AWS tools ask, in the order in which they ask them: the environment, then the
/// selected profile of the shared files, the role of a web identity, then the agent of the container and the
/// metadata service of the EC2 instance that this runs in.
///
/// The first that has credentials answers. Only `Ok(None)` moves on to the next; an error stops the
/// chain, for what comes after it are other credentials than the ones that were configured. Credentials with
/// [static stability](Credentials::with_static_stability) that have expired are an error of who gave them.
/// An error of the last, the instance, also says why the others had nothing.
///
/// Keys in the environment win over `AWS_PROFILE`, which is logged if both are there. A profile
/// [named in code](Chain::with_profile) wins over keys and web identities in the environment, which are
/// then not looked at. Container and instance still are, if the profile says nothing of credentials.
///
/// ```
/// use std::{collections::HashMap, path::PathBuf};
/// use countersign::providers::{Chain, Ports, ProvideCredentials};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # let future = pin!(async {
/// let config = "\
/// [profile work]
/// aws_access_key_id = AKIDWORK
/// aws_secret_access_key = secret
/// ";
/// let ports = Ports::empty()
///     .with_env(HashMap::from([("HOME", "/home/cat"), ("AWS_PROFILE", "work")]))
///     .with_files(HashMap::from([(PathBuf::from("/home/cat/.aws/config"), config)]));
/// let chain = Chain::standard(&ports);
/// let credentials = chain.provide().await?.ok_or_else(|| chain.explain())?;
/// assert_eq!(credentials.access_key_id(), "AKIDWORK");
/// # Ok(())
/// # });
/// # let mut context = Context::from_waker(Waker::noop());
/// # let Poll::Ready(done) = future.poll(&mut context) else { panic!() };
/// # done
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Chain {
    ports: Ports,
    profile: ProfileProvider,
    providers: Vec<Arc<dyn ProvideCredentials>>,
    /// Providers that the choice of a profile took out of the chain.
    left_out: &'static [&'static str],
}

impl Chain {
    /// The standard chain over these ports.
    pub fn standard(ports: &Ports) -> Chain {
        Chain::around(ports, ProfileProvider::new(ports), &[])
    }

    fn around(ports: &Ports, profile: ProfileProvider, left_out: &'static [&'static str]) -> Chain {
        let in_order: [Arc<dyn ProvideCredentials>; 5] = [
            Arc::new(EnvironmentProvider::new(ports)),
            Arc::new(profile.clone()),
            Arc::new(WebIdentityProvider::new(ports)),
            Arc::new(ContainerProvider::new(ports)),
            Arc::new(InstanceProvider::of_profile(ports, profile.clone())),
        ];
        let is_asked = |provider: &Arc<_>| !left_out.contains(&ProvideCredentials::name(provider));
        let providers = in_order.into_iter().filter(is_asked).collect();
        Chain { ports: ports.clone(), profile, providers, left_out }
    }

    /// The standard chain with the profile named here, by a flag or in code, instead of
    /// `AWS_PROFILE`.
    ///
    /// Whoever names a profile means it: keys in the environment no longer count.
    ///
    /// ```
    /// use countersign::providers::{Chain, Ports};
    ///
    /// let chain = Chain::standard(&Ports::empty()).with_profile("work");
    /// assert!(chain.explain().to_string().contains("environment: not asked"));
    /// ```
    #[must_use]
    pub fn with_profile(self, name: impl Into<String>) -> Chain {
        Chain::around(&self.ports, self.profile.with_name(name), &OF_THE_ENVIRONMENT)
    }

    /// The same chain with somebody to ask for the codes of devices that a profile names (`mfa_serial`).
    ///
    /// ```
    /// use countersign::providers::{Chain, MfaPrompt, Ports};
    ///
    /// let prompt = MfaPrompt::new(|_serial| async { Ok("123456".to_owned()) });
    /// let chain = Chain::standard(&Ports::system()).with_mfa(prompt);
    /// # let _ = chain;
    /// ```
    #[must_use]
    pub fn with_mfa(self, prompt: MfaPrompt) -> Chain {
        Chain::around(&self.ports, self.profile.with_mfa(prompt), self.left_out)
    }

    /// Why there are no credentials: what each provider looked at and did not find.
    ///
    /// To be asked when [`provide`](ProvideCredentials::provide) answered `Ok(None)`.
    ///
    /// ```
    /// use countersign::providers::{Chain, Ports};
    ///
    /// let explanation = Chain::standard(&Ports::empty()).explain();
    /// let providers: Vec<&str> = explanation.reasons().map(|(provider, _)| provider).collect();
    /// let all = ["environment", "profile", "web identity", "container", "instance"];
    /// assert_eq!(providers, all);
    /// ```
    pub fn explain(&self) -> NoCredentials {
        let left_out = self
            .left_out
            .iter()
            .map(|name| ((*name).to_owned(), format!("not asked, because {PROFILE_NAMED}")));
        let asked =
            self.providers.iter().map(|provider| (provider.name().to_owned(), provider.absence()));
        NoCredentials { reasons: left_out.chain(asked).collect() }
    }
}

impl Chain {
    /// Asks as [`provide`](ProvideCredentials::provide) does, and keeps what each provider looked at, what
    /// it answered, and how long that took by the clock of the ports.
    ///
    /// There is a step for each provider, also for those that were not asked.
    ///
    /// ```
    /// use countersign::providers::{Chain, ChainAnswer, Ports};
    ///
    /// async fn show(chain: &Chain) {
    ///     for step in chain.trace().await {
    ///         println!("{}: {}: {}", step.provider(), step.looked_at(), step.answer());
    ///     }
    /// }
    ///
    /// # let future = std::pin::pin!(async {
    /// # show(&Chain::standard(&Ports::empty())).await;
    /// let steps = Chain::standard(&Ports::empty()).trace().await;
    /// assert_eq!(steps.len(), 5);
    /// assert!(steps.iter().all(|step| matches!(step.answer(), ChainAnswer::Nothing(_))));
    /// # });
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// # assert!(future.poll(&mut context).is_ready());
    /// ```
    pub fn trace(&self) -> BoxFuture<'_, Vec<ChainStep>> {
        Box::pin(async {
            self.note_left_out();
            let left_out = self.left_out.iter().map(|name| {
                let answer = ChainAnswer::NotAsked(PROFILE_NAMED.to_owned());
                ChainStep::new(name, String::new(), answer, Duration::ZERO)
            });
            let mut steps: Vec<ChainStep> = left_out.collect();
            let mut settled_by = None;
            for provider in &self.providers {
                let (name, looked_at) = (provider.name(), provider.looks_at());
                if let Some(before) = &settled_by {
                    let answer = ChainAnswer::NotAsked(format!("{before} before it"));
                    steps.push(ChainStep::new(name, looked_at, answer, Duration::ZERO));
                    continue;
                }
                let began = self.ports.clock().now();
                let answer = match self.ask(provider).await {
                    Ok(Some(credentials)) => ChainAnswer::Credentials(credentials),
                    Ok(None) => ChainAnswer::Nothing(provider.absence()),
                    Err(error) => ChainAnswer::Failed(error),
                };
                // A clock that was set back in between says nothing.
                let took = self.ports.clock().now().duration_since(began).unwrap_or_default();
                match answer {
                    ChainAnswer::Nothing(_) => {}
                    ChainAnswer::Failed(_) => settled_by = Some(format!("`{name}` failed")),
                    _ => settled_by = Some(format!("`{name}` answered")),
                }
                steps.push(ChainStep::new(name, looked_at, answer, took));
            }
            steps
        })
    }

    async fn ask(
        &self,
        provider: &Arc<dyn ProvideCredentials>,
    ) -> Result<Option<Credentials>, ProviderError> {
        let answer = provider.provide().await.and_then(|answer| self.judge(provider, answer));
        let provider = provider.name();
        match &answer {
            Ok(Some(_)) => tracing::debug!(provider, "has credentials"),
            Ok(None) => tracing::debug!(provider, "has nothing configured"),
            Err(error) => tracing::debug!(provider, %error, "stops the chain"),
        }
        if provider == environment::NAME && matches!(answer, Ok(Some(_))) {
            self.note_profile();
        }
        answer
    }

    /// Whoever renews credentials without end and gives such as have expired is as good as failing.
    fn judge(
        &self,
        provider: &Arc<dyn ProvideCredentials>,
        answer: Option<Credentials>,
    ) -> Result<Option<Credentials>, ProviderError> {
        let now = self.ports.clock().now();
        let is_over = |given: &&Credentials| given.expires_at().is_some_and(|at| at <= now);
        let stable = answer.as_ref().filter(|given| given.has_static_stability());
        match stable.filter(is_over).and_then(Credentials::expires_at) {
            Some(at) => Err(ProviderError::expired(provider.name().to_owned(), at, now)),
            None => Ok(answer),
        }
    }

    /// That keys go before a profile which the same environment names surprises people most of all.
    fn note_profile(&self) {
        if let Ok(Some(profile)) = self.ports.text(NAME, "AWS_PROFILE") {
            // No warning: tools that put keys into the environment often name their profile with them.
            tracing::info!(
                "AWS_PROFILE names `{}`, which does not count: the keys in the environment go before it. \
                 Unset {} to use the profile",
                profile.escape_debug(),
                environment::ACCESS_KEY_ID,
            );
        }
    }

    /// What to say of the others where the last fails.
    fn before_the_last(&self) -> String {
        let NoCredentials { mut reasons } = self.explain();
        reasons.pop();
        let others = NoCredentials { reasons };
        format!("; nothing is configured before it: {}", others.list())
    }

    /// It surprises who set both, so the log has it.
    fn note_left_out(&self) {
        if !self.left_out.is_empty() && self.ports.filled(environment::ACCESS_KEY_ID).is_some() {
            tracing::debug!("the keys in the environment do not count: {PROFILE_NAMED}");
        }
    }
}

impl ProvideCredentials for Chain {
    fn provide(&self) -> BoxFuture<'_, Result<Option<Credentials>, ProviderError>> {
        Box::pin(async {
            self.note_left_out();
            for (at, provider) in self.providers.iter().enumerate() {
                let is_last = at + 1 == self.providers.len();
                match self.ask(provider).await {
                    Ok(None) => {}
                    // Nobody said that there is an instance: whoever meant another provider learns why it had
                    // nothing.
                    Err(error) if is_last => return Err(error.with_note(&self.before_the_last())),
                    settled => return settled,
                }
            }
            Ok(None)
        })
    }

    fn invalidate(&self, access_key_id: &str) {
        for provider in &self.providers {
            provider.invalidate(access_key_id);
        }
    }

    fn name(&self) -> &str {
        NAME
    }

    fn absence(&self) -> String {
        self.explain().to_string()
    }
}

/// Nothing is configured anywhere: what each provider of a [`Chain`] looked at and did not find.
///
/// ```
/// use countersign::providers::{Chain, Ports};
///
/// let error = Chain::standard(&Ports::empty()).explain();
/// assert!(error.to_string().starts_with("no credentials found"));
/// for (provider, reason) in error.reasons() {
///     println!("{provider}: {reason}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCredentials {
    reasons: Vec<(String, String)>,
}

impl NoCredentials {
    /// Each provider's name and why it had nothing, in the order in which they were asked.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, &str)> {
        self.reasons.iter().map(|(provider, reason)| (provider.as_str(), reason.as_str()))
    }

    fn list(&self) -> String {
        let reasons = self.reasons().map(|(provider, reason)| format!("{provider}: {reason}"));
        reasons.collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for NoCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no credentials found: the credential provider was not enabled")?;
        match self.reasons.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", self.list()),
        }
    }
}

impl error::Error for NoCredentials {}

const NAME: &str = "chain";

/// What a profile that is named in code takes out of the chain.
const OF_THE_ENVIRONMENT: [&str; 2] = [environment::NAME, sts::WEB_IDENTITY];
const PROFILE_NAMED: &str = "a profile was named in code or by a flag";
