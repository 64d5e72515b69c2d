//! The functions of the calendar, in UTC.

/// A day of the proleptic Gregorian calendar, and the seconds since it began.
struct Date {
    year: i64,
    month: i64,
    day: i64,
    days_since_1970: i64,
    second: i64,
}

/// By Howard Hinnant's `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>). Like Go's, the calendar
/// has 2^64 seconds, the last of which is followed by the first.
fn date(seconds: i64) -> Date {
    /// Since the first of them, which is in the year -292277022400.
    const UNTIL_1970: u64 = 9_223_372_028_741_760_000;
    let since_first = seconds.cast_unsigned().wrapping_add(UNTIL_1970);
    let days = (since_first / 86_400).cast_signed() - (UNTIL_1970 / 86_400).cast_signed();
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Date {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: of_year - (153 * shifted_month + 2) / 5 + 1,
        days_since_1970: days,
        second: (since_first % 86_400).cast_signed(),
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The function called `name` of a number of seconds since 1970, or none when there is no such function.
pub(super) fn part(name: &str) -> Option<fn(f64) -> f64> {
    // What is no time is the most distant one, as x86 converts it for Go.
    fn at(seconds: f64) -> Date {
        let is_time = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&seconds);
        date(if is_time { seconds as i64 } else { i64::MIN })
    }
    Some(match name {
        "year" => |s| at(s).year as f64,
        "month" => |s| at(s).month as f64,
        "day_of_month" => |s| at(s).day as f64,
        "day_of_week" => |s| (at(s).days_since_1970 + 4).rem_euclid(7) as f64,
        "day_of_year" => |s| {
            let date = at(s);
            let before: i64 = (1..date.month).map(|month| days_in_month(date.year, month)).sum();
            (before + date.day) as f64
        },
        "days_in_month" => |s| {
            let date = at(s);
            days_in_month(date.year, date.month) as f64
        },
        "hour" => |s| (at(s).second / 3600) as f64,
        "minute" => |s| (at(s).second / 60 % 60) as f64,
        _ => return None,
    })
}

/// `2026-11-23T14:00:00Z`
pub(super) fn rfc3339(milliseconds: i64) -> String {
    let d = date(milliseconds.div_euclid(1000));
    let (hour, minute, second) = (d.second / 3600, d.second / 60 % 60, d.second % 60);
    format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", d.year, d.month, d.day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_has_the_date_that_go_gives_it() {
        let of = |seconds: f64| {
            ["year", "month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute"]
                .map(|name| part(name).unwrap()(seconds) as i64)
        };
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert_eq!(of(none), [292_277_026_596, 12, 4, 0, 339, 15, 30], "{none}");
        }
        assert_eq!(of(1e18), [31_688_740_476, 10, 23, 5, 297, 1, 46]);
        assert_eq!(of(-1e18), [-31_688_736_537, 3, 10, 2, 69, 22, 13]);
        assert_eq!(of(9e18), [285_198_648_531, 4, 21, 6, 111, 16, 0]);
    }

    #[test]
    fn leap_years_and_times_before_1970_are_right() {
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(-1000), "1969-12-31T23:59:59Z");
        assert_eq!(part("days_in_month").map(|f| f(951_782_400.0)), Some(29.0));
        assert_eq!(part("day_of_week").map(|f| f(0.0)), Some(4.0));
        assert_eq!(part("day_of_year").map(|f| f(951_782_400.0)), Some(60.0));
    }
}
