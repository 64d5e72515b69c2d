//! Days and months of a millisecond timestamp, as ClickHouse's partitions count them (UTC).

use std::time::SystemTime;

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, Unit};

const DAY_MILLIS: i64 = 86_400_000;

/// The latest time that is asked for; ClickHouse's `DateTime64` goes on for some years, dates of partitions do not.
pub(crate) const LATEST: i64 = 4_102_444_800_000; // 2100-01-01

/// Days since 1970-01-01: a partition of `samples`.
pub(crate) type Day = u16;

/// The present, in milliseconds.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The day of a timestamp, within what ClickHouse's `Date` can say: 1970 to 2149.
pub(crate) fn day(millis: i64) -> Day {
    u16::try_from(millis.div_euclid(DAY_MILLIS).clamp(0, i64::from(u16::MAX))).unwrap_or(u16::MAX)
}

/// The first day of a day's month.
pub(crate) fn month(day: Day) -> Day {
    let first = date(day).first_of_month();
    first.since((Unit::Day, Date::constant(1970, 1, 1))).map_or(0, |span| u16::try_from(span.get_days()).unwrap_or(0))
}

/// The present day, UTC.
pub(crate) fn today() -> Date {
    date(day(now_millis()))
}

fn date(day: Day) -> Date {
    let timestamp = Timestamp::from_second(i64::from(day) * DAY_MILLIS / 1000).unwrap_or(Timestamp::UNIX_EPOCH);
    Offset::UTC.to_datetime(timestamp).date()
}

/// A timestamp for people.
pub(crate) fn display(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map_or_else(|_| format!("{millis} ms"), |timestamp| timestamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_utc() {
        assert_eq!(day(0), 0);
        assert_eq!(day(DAY_MILLIS - 1), 0);
        assert_eq!(day(DAY_MILLIS), 1);
        assert_eq!(day(i64::MIN), 0);
        assert_eq!(day(i64::MAX), u16::MAX);
    }

    #[test]
    fn a_month_is_its_first_day() {
        // 2024-02-29, 2024-02-01, 2024-03-01.
        assert_eq!(month(19782), 19754);
        assert_eq!(month(19754), 19754);
        assert_eq!(month(19783), 19783);
        assert_eq!(month(0), 0);
    }
}
