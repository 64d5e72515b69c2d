//! The values of number, duration and string literals, as Go's `strconv` and Prometheus' `model.ParseDuration` read
//! them.

/// A number token. `1_000`, `0x1f`, `017` (octal, as Go reads it) and `1e3` are numbers; `Inf` and `NaN` in any case.
pub(crate) fn number(text: &str) -> Option<f64> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    if digits.eq_ignore_ascii_case("inf") {
        return Some(f64::INFINITY);
    }
    if digits.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).ok().map(|n| n as f64);
    }
    let octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if octal && let Ok(n) = i64::from_str_radix(&digits, 8) {
        return Some(n as f64);
    }
    digits.parse().ok().filter(|n: &f64| n.is_finite())
}

/// Units in the order in which a duration must name them, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration token (`1h30m`) in seconds, or what is wrong with it.
pub(crate) fn duration(text: &str) -> Result<f64, &'static str> {
    let mut rest = text;
    let mut next_unit = 0;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let amount: u64 = rest[..digits].parse().map_err(|_| TOO_LONG)?;
        let unit = &rest[digits..digits + letters];
        let Some(at) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err("a unit out of ms, s, m, h, d, w, y");
        };
        if at < next_unit {
            return Err("units from long to short, each once");
        }
        next_unit = at + 1;
        let part = amount.checked_mul(UNITS[at].1).ok_or(TOO_LONG)?;
        total = total.checked_add(part).ok_or(TOO_LONG)?;
        rest = &rest[digits + letters..];
    }
    // Prometheus counts in nanoseconds of 63 bits.
    if total > i64::MAX as u64 / 1_000_000 {
        return Err(TOO_LONG);
    }
    Ok(total as f64 / 1000.0)
}

const TOO_LONG: &str = "less than 292 years";

/// Writes seconds as [`duration`] reads them, or none where they are no whole milliseconds or out of range.
pub(crate) fn format_duration(seconds: f64) -> Option<String> {
    let millis = seconds * 1000.0;
    let fits = (0.0..9e15).contains(&millis) && millis.fract() == 0.0 && millis / 1000.0 == seconds;
    if !fits {
        return None;
    }
    let mut rest = millis as u64;
    if rest > i64::MAX as u64 / 1_000_000 {
        return None;
    }
    if rest == 0 {
        return Some("0s".to_owned());
    }
    let mut text = String::new();
    for (unit, length) in UNITS {
        // Years and weeks only where nothing is left over, as Prometheus prints them: `30d`, not `4w2d`.
        if matches!(unit, "y" | "w") && !rest.is_multiple_of(length) {
            continue;
        }
        let amount = rest / length;
        rest %= length;
        if amount > 0 {
            text.push_str(&amount.to_string());
            text.push_str(unit);
        }
    }
    Some(text)
}

/// What is wrong with a string literal, at which byte of it.
pub(crate) struct BadString {
    pub(crate) at: usize,
    pub(crate) length: usize,
    pub(crate) message: String,
}

/// The value of a string token, quotes included in `text`.
pub(crate) fn string(text: &str) -> Result<String, BadString> {
    let inner = &text[1..text.len() - 1];
    if text.starts_with('`') || !inner.contains('\\') {
        return Ok(inner.to_owned());
    }
    let quote = text.as_bytes()[0];
    let mut value = Vec::with_capacity(inner.len());
    let mut at = 0;
    while at < inner.len() {
        if inner.as_bytes()[at] != b'\\' {
            value.push(inner.as_bytes()[at]);
            at += 1;
            continue;
        }
        let bad = |length: usize, message: &str| {
            let end = (at + length).min(inner.len());
            let shown = inner.get(at..end).unwrap_or("\\").to_owned();
            BadString { at: at + 1, length: shown.len(), message: format!("{message} `{shown}`") }
        };
        let kind = inner.as_bytes().get(at + 1).copied().unwrap_or(0);
        let (digits, radix) = match kind {
            b'a' => (0, 0x07),
            b'b' => (0, 0x08),
            b'f' => (0, 0x0c),
            b'n' => (0, b'\n'),
            b'r' => (0, b'\r'),
            b't' => (0, b'\t'),
            b'v' => (0, 0x0b),
            b'\\' => (0, b'\\'),
            _ if kind == quote => (0, quote),
            b'0'..=b'7' => (3, 8),
            b'x' => (2, 16),
            b'u' => (4, 16),
            b'U' => (8, 16),
            _ => {
                let length = 1 + inner[at + 1..].chars().next().map_or(0, char::len_utf8);
                return Err(bad(length, "unknown escape sequence"));
            }
        };
        if digits == 0 {
            value.push(radix);
            at += 2;
            continue;
        }
        let from = if radix == 8 { at + 1 } else { at + 2 };
        let code = inner
            .get(from..from + digits)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u32::from_str_radix(d, u32::from(radix)).ok());
        let length = from + digits - at;
        let Some(code) = code else { return Err(bad(length, "bad escape sequence")) };
        if matches!(kind, b'u' | b'U') {
            let Some(c) = char::from_u32(code) else { return Err(bad(length, "no Unicode character is")) };
            value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            let Ok(byte) = u8::try_from(code) else { return Err(bad(length, "no byte is")) };
            value.push(byte);
        }
        at += length;
    }
    // Label names and values are UTF-8 in Prometheus, so such a string can name nothing.
    String::from_utf8(value).map_err(|_| BadString {
        at: 0,
        length: text.len(),
        message: "expected a string whose escapes give UTF-8, found".to_owned() + " bytes that are not",
    })
}

/// Go's `strconv.Quote`, but for printable characters of any script, which stay as they are.
pub(crate) fn quote(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // Prometheus takes a literal U+FFFD for broken UTF-8.
            '\u{fffd}' => text.push_str("\\ufffd"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => text.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() || is_format(c) => text.push_str(&format!("\\u{:04x}", c as u32)),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// Characters that change how the text around them is shown, or that cannot be seen.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_string(text: &str, expected: Result<&str, &str>) {
        let found = string(text).map_err(|bad| bad.message);
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("1", 1.0),
            ("1_000", 1000.0),
            ("0x1F", 31.0),
            ("017", 15.0),
            ("09", 9.0),
            ("010.5", 10.5),
            ("1.", 1.0),
            (".5e-3", 0.0005),
            ("iNf", f64::INFINITY),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        assert_eq!(number("0xffffffffffffffff"), None);
        assert_eq!(number("0x"), None);
        assert_eq!(number("1e400"), None);
        assert!(number("nan").is_some_and(f64::is_nan));
    }

    #[test]
    fn durations_go_from_long_units_to_short_ones() {
        assert_eq!(duration("1h30m"), Ok(5400.0));
        assert_eq!(duration("1y2w3d4h5m6s7ms"), Ok(33_019_506.007));
        assert_eq!(duration("30m1h"), Err("units from long to short, each once"));
        assert_eq!(duration("5m5m"), Err("units from long to short, each once"));
        assert_eq!(duration("5q"), Err("a unit out of ms, s, m, h, d, w, y"));
        assert_eq!(duration("300y"), Err(TOO_LONG));
        assert_eq!(duration("99999999999999999999y"), Err(TOO_LONG));
    }

    #[test]
    fn durations_are_printed_as_prometheus_prints_them() {
        for text in ["0s", "5m", "1h30m", "30d", "2w", "1y", "1d1ms", "100ms"] {
            assert_eq!(format_duration(duration(text).unwrap()).as_deref(), Some(text));
        }
        assert_eq!(format_duration(duration("60m").unwrap()).as_deref(), Some("1h"));
        assert_eq!(format_duration(0.0005), None);
    }

    #[test]
    fn escapes_are_those_of_go() {
        check_string(r#""a\n\t\x41\u00e9\101\"""#, Ok("a\n\tAéA\""));
        check_string(r#"'it\'s'"#, Ok("it's"));
        check_string(r"`\d+\.`", Ok(r"\d+\."));
        check_string(r#""\xe6\x97\xa5""#, Ok("日"));
        check_string(r#""\d""#, Err("unknown escape sequence `\\d`"));
        check_string(r#""\'""#, Err("unknown escape sequence `\\'`"));
        check_string(r#""\日""#, Err("unknown escape sequence `\\日`"));
        check_string(r#""\x4""#, Err("bad escape sequence `\\x4`"));
        check_string(r#""\u+123""#, Err("bad escape sequence `\\u+123`"));
        check_string(r#""\ud800""#, Err("no Unicode character is `\\ud800`"));
        check_string(r#""\777""#, Err("no byte is `\\777`"));
        check_string(r#""\xff""#, Err("expected a string whose escapes give UTF-8, found bytes that are not"));
    }

    #[test]
    fn a_quoted_string_reads_back() {
        for value in ["", "a\"b\\c", "\n\r\t\u{1}\u{7f}\u{85}\u{fffd}\u{200b}", "日本語 é"] {
            assert_eq!(string(&quote(value)).ok().as_deref(), Some(value));
        }
    }
}
