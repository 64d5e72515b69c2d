//! Durations as Prometheus writes them: `1d`, `1h30m`, `500ms`.

use std::time::Duration;

/// Units from the longest to the shortest: the order in which they must stand.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Parses a duration in Prometheus' notation; `None` when it is not one.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut millis: u64 = 0;
    let mut allowed = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let length = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let index = UNITS.iter().position(|(name, _)| *name == &rest[..length])?;
        if index < allowed {
            return None;
        }
        allowed = index + 1;
        millis = millis.checked_add(number.checked_mul(UNITS[index].1)?)?;
        rest = &rest[length..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

/// The notation that [`parse_duration`] reads, with days as the longest unit.
pub fn format_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in &UNITS[2..] {
        if millis >= *length {
            text.push_str(&format!("{}{unit}", millis / length));
            millis %= length;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_notation_is_read_and_written() {
        for (text, millis) in
            [("30s", 30_000), ("1m30s", 90_000), ("8h", 28_800_000), ("500ms", 500), ("1d12h", 129_600_000), ("0", 0)]
        {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration), "{text}");
        }
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        for text in ["", "30", "s", "-1s", "1.5s", "1s1m", "1s1s", "30 s", "99999999999999999999s", "1x", "é"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
