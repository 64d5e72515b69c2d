//! What each role does in the course of a day and a week.

use super::inventory::Role;
use super::time::{DAY, HOUR, Time};

/// How a VM of a role behaves. Parts are of what the VM has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Profile {
    /// CPU in the hour in which it does most.
    pub(crate) peak: f64,
    /// CPU on average over a day, for sizing hosts.
    pub(crate) usual: f64,
    /// CPU when it does nothing.
    pub(crate) floor: f64,
    /// Memory in use by the guest.
    pub(crate) memory: f64,
    /// Part of that memory that is touched within minutes, when busy.
    pub(crate) active: f64,
    /// Operations a second when busy.
    pub(crate) iops: f64,
    /// Part of them that are reads.
    pub(crate) reads: f64,
    /// Kilobytes an operation.
    pub(crate) io_kilobytes: f64,
    /// Kilobytes a second received and sent when busy.
    pub(crate) received: f64,
    /// See `received`.
    pub(crate) sent: f64,
    /// How much all of this jumps about, as a part.
    pub(crate) restless: f64,
    /// Part of the peak on Saturday and Sunday.
    weekend: f64,
    /// Part of the peak by hour of the day, UTC.
    day: &'static [u8; 24],
}

/// In percent of the peak, from midnight UTC.
const OFFICE: [u8; 24] = [2, 2, 2, 2, 2, 4, 15, 45, 85, 100, 100, 95, 70, 90, 100, 95, 85, 60, 25, 10, 6, 4, 3, 2];
const PEOPLE: [u8; 24] =
    [25, 18, 14, 12, 12, 15, 25, 40, 60, 75, 82, 85, 85, 82, 80, 80, 82, 88, 95, 100, 98, 85, 60, 40];
const SERVERS: [u8; 24] =
    [55, 50, 60, 65, 55, 45, 45, 55, 70, 80, 88, 90, 88, 88, 85, 85, 88, 90, 95, 100, 95, 85, 70, 60];
const NIGHT: [u8; 24] = [95, 100, 100, 100, 90, 60, 25, 8, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 8, 15, 30, 55, 80, 90];
const FLAT: [u8; 24] = [100; 24];

impl Profile {
    pub(crate) fn of(role: Role) -> &'static Profile {
        match role {
            Role::Web => &Profile {
                peak: 0.42,
                usual: 0.26,
                floor: 0.02,
                memory: 0.62,
                active: 0.45,
                iops: 40.0,
                reads: 0.35,
                io_kilobytes: 16.0,
                received: 1_800.0,
                sent: 6_000.0,
                restless: 0.25,
                weekend: 0.8,
                day: &PEOPLE,
            },
            Role::Database => &Profile {
                peak: 0.45,
                usual: 0.33,
                floor: 0.04,
                memory: 0.88,
                active: 0.55,
                iops: 450.0,
                reads: 0.7,
                io_kilobytes: 14.0,
                received: 2_500.0,
                sent: 3_500.0,
                restless: 0.2,
                weekend: 0.7,
                day: &SERVERS,
            },
            Role::Batch => &Profile {
                peak: 0.75,
                usual: 0.32,
                floor: 0.01,
                memory: 0.7,
                active: 0.7,
                iops: 350.0,
                reads: 0.5,
                io_kilobytes: 64.0,
                received: 4_000.0,
                sent: 2_000.0,
                restless: 0.3,
                weekend: 0.9,
                day: &NIGHT,
            },
            Role::Desktop => &Profile {
                peak: 0.3,
                usual: 0.12,
                floor: 0.015,
                memory: 0.65,
                active: 0.35,
                iops: 25.0,
                reads: 0.4,
                io_kilobytes: 20.0,
                received: 300.0,
                sent: 90.0,
                restless: 0.6,
                weekend: 0.05,
                day: &OFFICE,
            },
            Role::Idle => &Profile {
                peak: 0.03,
                usual: 0.02,
                floor: 0.01,
                memory: 0.35,
                active: 0.1,
                iops: 2.0,
                reads: 0.1,
                io_kilobytes: 8.0,
                received: 4.0,
                sent: 3.0,
                restless: 0.5,
                weekend: 1.0,
                day: &FLAT,
            },
            Role::Zombie => &Profile {
                peak: 0.008,
                usual: 0.006,
                floor: 0.005,
                memory: 0.25,
                active: 0.03,
                iops: 0.4,
                reads: 0.05,
                io_kilobytes: 4.0,
                received: 0.3,
                sent: 0.05,
                restless: 0.3,
                weekend: 1.0,
                day: &FLAT,
            },
        }
    }

    /// How busy it is, from 0 to 1. `late` is how far this VM's day is behind, in milliseconds.
    pub(crate) fn rhythm(&self, at: Time, late: i64) -> f64 {
        let local = at.0 - late;
        let (hour, within) = (local.rem_euclid(DAY) / HOUR, local.rem_euclid(HOUR));
        let of_hour = |hour: i64| f64::from(self.day[hour.rem_euclid(24) as usize]) / 100.0;
        let part = within as f64 / HOUR as f64;
        let day = of_hour(hour) * (1.0 - part) + of_hour(hour + 1) * part;
        day * self.weekday(local)
    }

    /// The step from weekday to weekend is smeared over the hour before midnight.
    fn weekday(&self, local: i64) -> f64 {
        let of_day = |day: i64| if matches!((day + 4).rem_euclid(7), 0 | 6) { self.weekend } else { 1.0 };
        let (day, within) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let part = (within - (DAY - HOUR)).max(0) as f64 / HOUR as f64;
        of_day(day) * (1.0 - part) + of_day(day + 1) * part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thursday 1970-01-01 is where the epoch begins.
    fn at(day: i64, hour: i64) -> Time {
        Time(day * DAY + hour * HOUR)
    }

    #[test]
    fn desktops_rest_at_night_and_at_the_weekend() {
        let desktop = Profile::of(Role::Desktop);
        assert!(desktop.rhythm(at(0, 10), 0) > 0.9);
        assert!(desktop.rhythm(at(0, 2), 0) < 0.05);
        assert!(desktop.rhythm(at(2, 10), 0) < 0.06, "a saturday");
        assert!(desktop.rhythm(at(4, 10), 0) > 0.9, "a monday");
    }

    #[test]
    fn batch_works_while_people_sleep() {
        let (batch, web) = (Profile::of(Role::Batch), Profile::of(Role::Web));
        assert!(batch.rhythm(at(0, 2), 0) > 5.0 * web.rhythm(at(0, 2), 0));
        assert!(web.rhythm(at(0, 19), 0) > 5.0 * batch.rhythm(at(0, 12), 0));
    }

    #[test]
    fn a_rhythm_has_no_steps() {
        for role in Role::ALL {
            let profile = Profile::of(role);
            for minute in 0..7 * 24 * 60 {
                let values = [minute, minute + 1].map(|minute| profile.rhythm(Time(minute * 60_000), 0));
                assert!((values[0] - values[1]).abs() < 0.03, "{role:?} at minute {minute}");
            }
        }
    }
}
