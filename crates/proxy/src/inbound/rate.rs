//! How much each client may ask.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use crate::{ConfigError, Limits};

/// How much each client may ask, in bounded memory.
pub(crate) struct Rate {
    limiter: RateLimiter<Client, HashMapStateStore<Client>, DefaultClock, NoOpMiddleware>,
    secret: RandomState,
    /// When room was made.
    made: Mutex<Option<Instant>>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Client {
    Address(IpAddr),
    /// One of many, when there are too many to know each.
    Crowd(u64),
    Named(Arc<str>),
}

impl Rate {
    /// Nothing if there is no limit.
    ///
    /// # Errors
    /// If the rate is none.
    pub(crate) fn new(limits: &Limits) -> Result<Option<Rate>, ConfigError> {
        let rate = match (limits.rate, limits.burst) {
            (None, None) => return Ok(None),
            (None, Some(_)) => {
                return Err(ConfigError::new("there is a `burst` but no `rate` in the limits"));
            }
            (Some(rate), _) => rate,
        };
        let apart = Some(rate)
            .filter(|rate| (LEAST..=MOST).contains(rate))
            .and_then(|rate| Duration::try_from_secs_f64(rate.recip()).ok());
        let quota = apart.and_then(Quota::with_period).ok_or_else(|| {
            let message =
                format!("the rate of {rate} requests each second is not {LEAST} to {MOST}");
            ConfigError::new(message)
        })?;
        // As much as in one second, unless it is said.
        let burst = NonZeroU32::new(rate.ceil() as u32).unwrap_or(NonZeroU32::MIN);
        Ok(Some(Rate {
            limiter: RateLimiter::hashmap(quota.allow_burst(limits.burst.unwrap_or(burst))),
            secret: RandomState::new(),
            made: Mutex::new(None),
        }))
    }

    /// # Errors
    /// How long to wait, if the client asks too much.
    pub(crate) fn check(
        &self,
        name: Option<&Arc<str>>,
        address: Option<IpAddr>,
    ) -> Result<(), Duration> {
        let client = match (name, address) {
            (Some(name), _) => Client::Named(Arc::clone(name)),
            (None, Some(address)) => Client::Address(network(address)),
            (None, None) => Client::Named("".into()),
        };
        let client = self.known(client);
        let now = self.limiter.clock().now();
        self.limiter.check_key(&client).map_err(|until| until.wait_time_from(now))
    }

    /// The client, or when there are too many one that stands for several.
    fn known(&self, client: Client) -> Client {
        // Those who have proved who they are, are as many as the settings let in.
        if matches!(client, Client::Named(_)) || self.limiter.len() < CLIENTS {
            return client;
        }
        // Who asked nothing of late is forgotten. Looking at all of them takes time: once a second.
        if let Ok(mut made) = self.made.try_lock()
            && made.is_none_or(|made| made.elapsed() >= Duration::from_secs(1))
        {
            self.limiter.retain_recent();
            *made = Some(Instant::now());
        }
        if self.limiter.len() < CLIENTS {
            return client;
        }
        Client::Crowd(self.secret.hash_one(&client) % CROWDS)
    }
}

/// Whoever has an IPv6 address as a rule has the 2^64 around it.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// One a day.
const LEAST: f64 = 1.0 / 86_400.0;
const MOST: f64 = 1e9;
/// Clients that are known apart, at a time.
const CLIENTS: usize = 1 << 16;
const CROWDS: u64 = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(rate: f64, burst: u32) -> Rate {
        let limits =
            Limits { rate: Some(rate), burst: NonZeroU32::new(burst), ..Limits::default() };
        Rate::new(&limits).expect("limits").expect("a rate")
    }

    #[test]
    fn who_asked_too_much_is_told_how_long_to_wait_and_nobody_else_waits() {
        let rate = rate(0.01, 2);
        let client = Some(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(rate.check(None, client), Ok(()));
        assert_eq!(rate.check(None, client), Ok(()));
        let wait = rate.check(None, client).expect_err("it is the third");
        assert!((90..=100).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(rate.check(None, Some(IpAddr::from([10, 0, 0, 2]))), Ok(()));
        assert_eq!(rate.check(Some(&"ann".into()), client), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let rate = rate(0.01, 1);
        let one = |last| Some(IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, last]));
        rate.check(None, one(1)).expect("it is the first");
        rate.check(None, one(2)).expect_err("it is the second");
    }

    #[test]
    fn clients_beyond_all_bounds_take_no_more_memory() {
        let rate = rate(0.01, 1);
        for number in 0..CLIENTS as u32 + 5_000 {
            let _ = rate.check(None, Some(IpAddr::from(number.to_be_bytes())));
        }
        assert!(rate.limiter.len() <= CLIENTS + CROWDS as usize);
        // Whoever has a name does not wait for strangers.
        for number in 0..5_000 {
            assert_eq!(rate.check(Some(&number.to_string().into()), None), Ok(()));
        }
    }

    #[test]
    fn a_rate_that_is_none_is_refused() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9, 1e12] {
            let limits = Limits { rate: Some(wrong), ..Limits::default() };
            assert!(Rate::new(&limits).is_err(), "{wrong}");
        }
        let limits = Limits { burst: NonZeroU32::new(1), ..Limits::default() };
        assert!(Rate::new(&limits).is_err());
        assert!(Rate::new(&Limits::default()).expect("no limit").is_none());
    }
}
