//! Which alarms are triggered.
//!
//! vCenter looks at hosts all the time and at space now and then: here every hour, and every minute while a datastore
//! fills up.

use super::inventory::{TriggeredAlarm, Watched};
use super::time::{HOUR, MINUTE, Time};
use super::{Entity, Model};

impl Model {
    /// The triggered alarms at a moment, in the order of entity, then alarm.
    pub(super) fn alarms(&self, at: Time) -> Vec<TriggeredAlarm> {
        let mut found = Vec::new();
        for alarm in &self.estate().alarms {
            match alarm.watches {
                Watched::HostConnection => {
                    for failure in self.effects.failures().filter(|failure| failure.span.holds(at)) {
                        let entity = Entity::Host(self.estate().host_ids[failure.host]);
                        found.push(TriggeredAlarm { entity, alarm: alarm.id, red: true, since: failure.span.from });
                    }
                }
                Watched::DatastoreUsage { yellow, red } => {
                    for (place, datastore) in self.estate().datastores.iter().enumerate() {
                        let Some(colour) = self.colour(place, self.looked_at(place, at), (yellow, red)) else {
                            continue;
                        };
                        let since = self.coloured_since(place, at, (yellow, red), colour);
                        let entity = Entity::Datastore(datastore.id);
                        found.push(TriggeredAlarm { entity, alarm: alarm.id, red: colour, since });
                    }
                }
            }
        }
        found.sort_by_key(|state| (state.entity, state.alarm, state.since));
        found.dedup_by_key(|state| (state.entity, state.alarm));
        found
    }

    /// Whether a datastore is red, or else yellow, if it is either.
    fn colour(&self, place: usize, at: Time, (yellow, red): (u32, u32)) -> Option<bool> {
        let datastore = &self.estate().datastores[place];
        let part = self.datastore_used(datastore.id, at) as f64 / datastore.capacity as f64 * 10_000.0;
        (part >= f64::from(yellow)).then_some(part >= f64::from(red))
    }

    /// When vCenter last looked at a datastore.
    fn looked_at(&self, place: usize, at: Time) -> Time {
        let fills = self.effects.fills.iter().filter(|fill| fill.datastore == place);
        let (mut step, mut latest) = (HOUR, Time::DISTANT_PAST);
        for fill in fills {
            if fill.span.holds(at) {
                step = MINUTE;
            }
            for edge in [fill.span.from, fill.span.until] {
                if edge <= at {
                    latest = latest.max(edge);
                }
            }
        }
        Time(at.0.div_euclid(step) * step).max(latest)
    }

    /// When a datastore took its colour: in the course of the filling, or, when it was so before, at the origin.
    fn coloured_since(&self, place: usize, at: Time, limits: (u32, u32), colour: bool) -> Time {
        let fills = self.effects.fills.iter().filter(|fill| fill.datastore == place && fill.span.holds(at));
        for fill in fills {
            if self.colour(place, Time(fill.span.from.0 - 1), limits) == Some(colour) {
                continue;
            }
            let minutes = (1..).map(|minute| Time((fill.span.from.0.div_euclid(MINUTE) + minute) * MINUTE));
            let mut looks = minutes.take_while(|look| *look <= at && look.0 <= fill.span.from.0 + fill.within + MINUTE);
            if let Some(first) = looks.find(|look| self.colour(place, *look, limits) == Some(colour)) {
                return first;
            }
        }
        self.world.origin
    }

    /// Moments after one and until another at which an alarm may change.
    pub(super) fn alarm_moments(&self, after: Time, until: Time) -> Vec<Time> {
        let mut moments: Vec<Time> = Vec::new();
        let mut grid = |from: Time, to: Time, step: i64| {
            let first = after.max(from).0.div_euclid(step) + 1;
            let last = until.min(to).0.div_euclid(step);
            moments.extend((first..=last).map(|look| Time(look * step)));
        };
        grid(after, until, HOUR);
        for fill in &self.effects.fills {
            grid(fill.span.from, fill.span.until, MINUTE);
        }
        let fills = self.effects.fills.iter().map(|fill| fill.span);
        let failures = self.effects.failures().map(|failure| failure.span);
        for edge in fills.chain(failures).flat_map(|span| [span.from, span.until]) {
            if after < edge && edge <= until {
                moments.push(edge);
            }
        }
        moments.sort_unstable();
        moments.dedup();
        moments
    }
}
