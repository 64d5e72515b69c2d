//! How often a sign-in may fail. Slows down who guesses; never locks an account for everyone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Keys that are remembered. Beyond, those are forgotten that are closest to being free again.
const MAX_KEYS: usize = 20_000;

/// Failures that are free, and the time in which one is forgiven.
#[derive(Clone, Copy)]
struct Limit {
    burst: u32,
    forgiven_after: Duration,
}

/// One person at one address, who mistypes.
const PAIR: Limit = Limit { burst: 5, forgiven_after: Duration::from_secs(30) };
/// One address that tries many names; an office behind one address has many people.
const ADDRESS: Limit = Limit { burst: 30, forgiven_after: Duration::from_secs(5) };
/// One name from many addresses. High, since the person whose name it is waits too.
const NAME: Limit = Limit { burst: 60, forgiven_after: Duration::from_secs(5) };

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(IpAddr, String),
    Address(IpAddr),
    Name(String),
}

/// What is owed for failures: for each key the moment at which all are forgiven.
#[derive(Default)]
pub(crate) struct Throttle {
    free_at: HashMap<Key, Instant>,
}

impl Throttle {
    /// Counts an attempt as failed, or says how long to wait. [`Throttle::succeeded`] takes it back.
    pub(crate) fn attempt(&mut self, address: IpAddr, name: &str, now: Instant) -> Result<(), Duration> {
        let keys = keys(address, name);
        let wait = keys.iter().filter_map(|(key, limit)| self.wait(key, *limit, now)).max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        self.make_room(now);
        for (key, limit) in keys {
            let free_at = self.free_at.entry(key).or_insert(now);
            *free_at = (*free_at).max(now) + limit.forgiven_after;
        }
        Ok(())
    }

    /// The last attempt of this name from this address was right: nothing is owed for it.
    pub(crate) fn succeeded(&mut self, address: IpAddr, name: &str) {
        for (key, limit) in keys(address, name) {
            if let Some(free_at) = self.free_at.get_mut(&key)
                && let Some(earlier) = free_at.checked_sub(limit.forgiven_after)
            {
                *free_at = earlier;
            }
        }
    }

    fn wait(&self, key: &Key, limit: Limit, now: Instant) -> Option<Duration> {
        let owed = self.free_at.get(key)?.saturating_duration_since(now);
        let allowed = limit.forgiven_after * (limit.burst - 1);
        owed.checked_sub(allowed).filter(|wait| !wait.is_zero())
    }

    fn make_room(&mut self, now: Instant) {
        if self.free_at.len() + 3 <= MAX_KEYS {
            return;
        }
        self.free_at.retain(|_, free_at| *free_at > now);
        if self.free_at.len() + 3 > MAX_KEYS {
            let mut ends: Vec<_> = self.free_at.values().copied().collect();
            let middle = ends.len() / 2;
            let (_, median, _) = ends.select_nth_unstable(middle);
            let median = *median;
            self.free_at.retain(|_, free_at| *free_at > median);
        }
    }
}

fn keys(address: IpAddr, name: &str) -> [(Key, Limit); 3] {
    let address = network(address);
    [(Key::Pair(address, name.to_owned()), PAIR), (Key::Address(address), ADDRESS), (Key::Name(name.to_owned()), NAME)]
}

/// One subscriber has a whole /64 of IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn the_sixth_failure_of_a_person_waits() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(throttle.attempt(HOME, "alice", now), Ok(()));
        }
        assert_eq!(throttle.attempt(HOME, "alice", now), Err(Duration::from_secs(30)));
        assert_eq!(throttle.attempt(HOME, "bob", now), Ok(()));
        assert_eq!(throttle.attempt(address(7), "alice", now), Ok(()));
        let later = now + Duration::from_secs(31);
        assert_eq!(throttle.attempt(HOME, "alice", later), Ok(()));
        assert!(throttle.attempt(HOME, "alice", later).is_err());
    }

    #[test]
    fn a_right_password_costs_nothing() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..200 {
            assert_eq!(throttle.attempt(HOME, "alice", now), Ok(()));
            throttle.succeeded(HOME, "alice");
        }
    }

    #[test]
    fn an_address_that_tries_many_names_waits() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..30 {
            assert_eq!(throttle.attempt(HOME, &format!("user{n}"), now), Ok(()));
        }
        assert_eq!(throttle.attempt(HOME, "user30", now), Err(Duration::from_secs(5)));
        assert_eq!(throttle.attempt(address(7), "user30", now), Ok(()));
    }

    #[test]
    fn a_name_that_many_addresses_try_waits_a_little_everywhere() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..60 {
            assert_eq!(throttle.attempt(address(n), "alice", now), Ok(()));
        }
        assert_eq!(throttle.attempt(HOME, "alice", now), Err(Duration::from_secs(5)));
    }

    #[test]
    fn neighbours_in_an_ipv6_network_are_one_address() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..5 {
            let address = format!("2001:db8::{n}").parse().unwrap();
            assert_eq!(throttle.attempt(address, "alice", now), Ok(()));
        }
        assert!(throttle.attempt("2001:db8::ffff".parse().unwrap(), "alice", now).is_err());
        assert!(throttle.attempt("2001:db8:0:1::1".parse().unwrap(), "alice", now).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(throttle.attempt(HOME, "alice", now), Ok(()));
        }
        for n in 0..40_000 {
            assert_eq!(throttle.attempt(address(n), &format!("user{n}"), now), Ok(()));
        }
        assert!(throttle.free_at.len() <= MAX_KEYS);
        assert!(throttle.attempt(HOME, "alice", now).is_err());
    }
}
