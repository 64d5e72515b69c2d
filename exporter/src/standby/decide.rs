//! When hosts are asked in place of their vCenter, and until when. Pure: time comes in as a value.

use std::time::{Duration, Instant};

/// Where the numbers of a vCenter come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The vCenter itself.
    Vcenter,
    /// Its hosts.
    Esxi,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Vcenter, Self::Esxi];

    /// The value of the label `source`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vcenter => "vcenter",
            Self::Esxi => "esxi",
        }
    }
}

/// Decides from what the vCenter did.
#[derive(Debug)]
pub struct Decision {
    after: Duration,
    silent_since: Instant,
    standby_since: Option<Instant>,
}

impl Decision {
    /// A vCenter that has never answered is silent from now on. `after` is how long it may be.
    pub fn new(after: Duration, now: Instant) -> Self {
        Self { after, silent_since: now, standby_since: None }
    }

    /// Whom to ask. An answer alone does not end it: the vCenter's inventory has to be followed, too, or nobody would
    /// know what to show.
    pub fn decide(&mut self, now: Instant, followed: bool, last_answer: Option<Instant>) -> Source {
        self.silent_since = last_answer.map_or(self.silent_since, |answer| answer.max(self.silent_since));
        match self.standby_since {
            None if now.saturating_duration_since(self.silent_since) >= self.after => self.standby_since = Some(now),
            Some(since) if followed && self.silent_since > since => self.standby_since = None,
            _ => {}
        }
        if self.standby_since.is_some() { Source::Esxi } else { Source::Vcenter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is decided each second, `v` or `e`: for each second whether the inventory is followed (`f`), an answer comes
    /// (`a`), both (`b`) or neither (`-`). Four seconds of silence are the limit.
    fn check(seconds: &str, expected: &str) {
        let start = Instant::now();
        let mut decision = Decision::new(Duration::from_secs(4), start);
        let (mut last, mut found) = (None, String::new());
        for (second, what) in (1..).zip(seconds.chars()) {
            let now = start + Duration::from_secs(second);
            if matches!(what, 'a' | 'b') {
                last = Some(now);
            }
            found.push(match decision.decide(now, matches!(what, 'f' | 'b'), last) {
                Source::Vcenter => 'v',
                Source::Esxi => 'e',
            });
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn hosts_are_asked_after_the_silence() {
        check("bbb------", "vvvvvveee");
    }

    #[test]
    fn a_vcenter_that_never_answered_is_silent_from_the_start() {
        check("------", "vvveee");
    }

    #[test]
    fn an_inventory_that_nobody_has_given_up_yet_does_not_count_as_an_answer() {
        check("bbffffff", "vvvvveee");
    }

    #[test]
    fn the_vcenter_is_back_when_it_answers_and_is_followed() {
        check("-----aa-b--", "vvveeeeevvv");
    }
}
