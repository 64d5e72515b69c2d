//! Simulated time. The model has no clock: whoever asks says which moment is meant.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment: milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// Index of a real-time sample, which covers the 20 s that end at `tick * 20 s`.
pub type Tick = i64;

/// Length of a real-time sample (`intervalId` 20) in milliseconds.
pub const TICK_MILLIS: i64 = 20_000;

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

impl Time {
    /// Long before and long after everything that a model knows.
    pub const DISTANT_PAST: Time = Time(i64::MIN / 4);
    /// See [`Time::DISTANT_PAST`].
    pub const DISTANT_FUTURE: Time = Time(i64::MAX / 4);

    /// The end of a sample: the time that it is reported with.
    pub fn of_tick(tick: Tick) -> Time {
        Time(tick * TICK_MILLIS)
    }

    /// The newest sample that is complete at this moment.
    pub fn tick(self) -> Tick {
        self.0.div_euclid(TICK_MILLIS)
    }

    /// Milliseconds from another moment to this one; negative when this one is the earlier.
    pub fn since(self, earlier: Time) -> i64 {
        self.0 - earlier.0
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, duration: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339 in UTC with milliseconds, as vCenter writes `xsd:dateTime`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        // Howard Hinnant's `civil_from_days`: proleptic Gregorian calendar without a table.
        let z = days + 719_468;
        let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute) = (rest / HOUR, rest % HOUR / MINUTE);
        let (second, millis) = (rest % MINUTE / SECOND, rest % SECOND);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_vcenter_writes_it() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_826_154_321, "2000-02-29T12:09:14.321Z"),
            (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Time(millis).to_string(), text);
        }
    }

    #[test]
    fn a_sample_is_complete_at_its_end() {
        assert_eq!(Time(39_999).tick(), 1);
        assert_eq!(Time(40_000).tick(), 2);
        assert_eq!(Time::of_tick(2), Time(40_000));
    }
}
