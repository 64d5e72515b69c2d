//! How the vCenter itself is at a moment: what scenarios do to it, apart from the estate.

use std::time::Duration;

use crate::model::Time;
use crate::scenario::{Action, Event};

/// How the vCenter is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Condition {
    /// It takes no connections.
    pub(crate) down: bool,
    /// How often it has lost its sessions: each time that it went down.
    pub(crate) restarts: usize,
    /// How many times longer than usual a call takes.
    pub(crate) slow: f64,
    /// How far its clock is ahead, in milliseconds.
    pub(crate) skew: i64,
    /// When its certificate ends, where a scenario says so.
    pub(crate) certificate_until: Option<Time>,
}

impl Condition {
    /// What the events make of it.
    pub(crate) fn at(events: &[Event], now: Time) -> Self {
        let mut condition = Self { down: false, restarts: 0, slow: 1.0, skew: 0, certificate_until: None };
        for event in events.iter().filter(|event| event.at <= now) {
            let lasts = event.lasts_at(now);
            match event.action {
                Action::VcenterDown | Action::VcenterRestarted => {
                    condition.restarts += 1;
                    condition.down |= lasts;
                }
                Action::VcenterSlow { factor } if lasts => condition.slow *= factor,
                Action::ClockSkew { by_millis } if lasts => condition.skew += by_millis,
                Action::CertificateExpiring { left } if lasts => condition.certificate_until = Some(event.at + left),
                _ => {}
            }
        }
        condition
    }

    /// What the vCenter's clock shows.
    pub(crate) fn clock(&self, now: Time) -> Time {
        Time(now.0 + self.skew)
    }

    /// How long a call takes. Slowness is felt without a cost model, too: as a multiple of `unit`.
    pub(crate) fn slowed(&self, cost: Duration, unit: Duration) -> Duration {
        if self.slow <= 1.0 { cost } else { cost.max(unit).mul_f64(self.slow) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::scenario::Scenario;

    fn at(yaml: &str, minutes: i64) -> Condition {
        let scenario = Scenario::parse(&format!("name: test\nevents:\n{yaml}"), Path::new("test.yml")).unwrap();
        Condition::at(&scenario.starting(Time(0)), Time(minutes * 60_000))
    }

    #[test]
    fn a_vcenter_that_was_down_has_lost_its_sessions() {
        let events = "- {at: 5m, kind: vcenter_down, for: 10m}";
        assert_eq!((at(events, 4).down, at(events, 4).restarts), (false, 0));
        assert_eq!((at(events, 5).down, at(events, 5).restarts), (true, 1));
        assert_eq!((at(events, 15).down, at(events, 15).restarts), (false, 1));
    }

    #[test]
    fn slowness_and_skew_pass() {
        let events =
            "- {at: 0s, kind: clock_skew, by: 90s, for: 2m}\n- {at: 0s, kind: vcenter_slow, factor: 4, for: 2m}";
        assert_eq!(at(events, 1).skew, 90_000);
        assert_eq!(at(events, 1).clock(Time(60_000)), Time(150_000));
        let (cost, unit) = (Duration::from_millis(10), Duration::from_millis(3));
        assert_eq!(at(events, 1).slowed(cost, unit), Duration::from_millis(40));
        assert_eq!(at(events, 1).slowed(Duration::ZERO, unit), Duration::from_millis(12));
        assert_eq!(at(events, 3).slowed(Duration::ZERO, unit), Duration::ZERO);
        assert_eq!(at(events, 3).skew, 0);
    }

    #[test]
    fn a_certificate_ends_when_the_scenario_says() {
        assert_eq!(
            at("- {at: 1m, kind: certificate_expiring, left: 1d}", 1).certificate_until,
            Some(Time(60_000 + 86_400_000))
        );
    }
}
