//! Regular expressions of matchers: RE2 as Go reads it, checked here and turned into the syntax of the `regex` crate.
//!
//! The two differ where it matters: `\d` and `\w` are ASCII in Go, `[a&&b]` is three characters, `{` alone is a
//! letter, `a**` an error.

use crate::limits::MAX_REGEX_BYTES;

/// What is wrong with a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRegex(pub(crate) String);

/// Whether `pattern`, anchored as Prometheus anchors it, matches the empty string, which is a label that is not there.
pub(crate) fn matches_empty(pattern: &str) -> Result<bool, BadRegex> {
    // `.*`, `.+` and plain words need no compiler.
    match pattern {
        "" | ".*" => return Ok(true),
        ".+" => return Ok(false),
        _ if pattern.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => return Ok(false),
        _ => {}
    }
    anchored(pattern).map(|regex| regex.is_match(""))
}

/// Compiles a pattern as Prometheus does: it matches the whole text, and `.` also a line break.
pub(crate) fn anchored(pattern: &str) -> Result<regex::Regex, BadRegex> {
    let translated = translate(pattern)?;
    let regex = regex::RegexBuilder::new(&format!("^(?s:{translated})$")).size_limit(MAX_REGEX_BYTES).build();
    regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => BadRegex("the expression is too large".to_owned()),
        _ => BadRegex("the expression is nested too deeply or not understood".to_owned()),
    })
}

/// Refuses what Go refuses.
pub(crate) fn check(pattern: &str) -> Result<(), BadRegex> {
    translate(pattern).map(drop)
}

pub(crate) fn translate(pattern: &str) -> Result<String, BadRegex> {
    let mut translator = Translator { rest: pattern, out: String::with_capacity(pattern.len() + 8), names: Vec::new() };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    names: Vec<&'a str>,
}

impl<'a> Translator<'a> {
    fn run(&mut self) -> Result<(), BadRegex> {
        let mut depth = 0_usize;
        let mut repeatable = false;
        let mut repeated = false;
        while let Some(c) = self.rest.chars().next() {
            let before = self.rest;
            let is_repeat = matches!(c, '*' | '+' | '?') || (c == '{' && repeat_count(self.rest).is_some());
            if is_repeat {
                self.repeat(c, repeatable, repeated)?;
                repeated = true;
                continue;
            }
            repeated = false;
            match c {
                '(' => {
                    // A group of flags alone opens nothing.
                    if self.group()? {
                        depth += 1;
                        repeatable = false;
                    }
                    continue;
                }
                ')' if depth == 0 => return Err(bad("unexpected", ")")),
                ')' => {
                    depth -= 1;
                    self.take(1);
                    self.out.push(')');
                }
                '|' => {
                    self.take(1);
                    self.out.push('|');
                    repeatable = false;
                    continue;
                }
                '[' => self.class()?,
                '\\' => self.escape()?,
                '.' | '^' | '$' => {
                    self.take(1);
                    self.out.push(c);
                }
                _ => {
                    self.take(c.len_utf8());
                    self.literal(c);
                }
            }
            repeatable = true;
            debug_assert!(self.rest.len() < before.len(), "each turn takes something");
        }
        if depth > 0 { Err(bad("missing closing", ")")) } else { Ok(()) }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn repeat(&mut self, c: char, repeatable: bool, repeated: bool) -> Result<(), BadRegex> {
        let length = if c == '{' { repeat_count(self.rest).map_or(1, |(length, _)| length) } else { 1 };
        let shown = &self.rest[..length];
        if let (true, Some((_, false))) = (c == '{', repeat_count(self.rest)) {
            return Err(bad("expected counts up to 1000 in order, found", shown));
        }
        if !repeatable {
            return Err(bad("nothing to repeat before", shown));
        }
        if repeated {
            return Err(bad("a repetition of a repetition:", shown));
        }
        let operator = self.take(length);
        self.out.push_str(operator);
        if self.rest.starts_with('?') {
            self.take(1);
            self.out.push('?');
        }
        Ok(())
    }

    /// Whether the group stays open.
    fn group(&mut self) -> Result<bool, BadRegex> {
        let rest = self.rest;
        let Some(special) = rest.strip_prefix("(?") else {
            self.take(1);
            self.out.push('(');
            return Ok(true);
        };
        let named = special.strip_prefix("P<").or_else(|| special.strip_prefix('<'));
        if let Some(named) = named {
            let name = named.split_once('>').map_or(named, |(name, _)| name);
            let is_word = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_alphanumeric());
            if !is_word || !named[name.len()..].starts_with('>') || self.names.contains(&name) {
                return Err(bad("expected a name of its own for the group, found", name));
            }
            self.names.push(name);
            self.take(rest.len() - named.len() + name.len() + 1);
            // The name has no meaning in a matcher.
            self.out.push('(');
            return Ok(true);
        }
        let flags = special.find([':', ')']).map(|end| &special[..end]);
        let fits = |flags: &&str| {
            let letters = flags.chars().filter(|c| *c != '-').collect::<String>();
            letters.chars().all(|c| "imsU".contains(c)) && flags.matches('-').count() <= 1 && !flags.ends_with('-')
        };
        let Some(flags) = flags.filter(fits) else {
            return Err(bad("unknown kind of group", rest.get(..3).unwrap_or("(?")));
        };
        let text = self.take(2 + flags.len() + 1);
        if text == "(?)" {
            return Err(bad("unknown kind of group", text));
        }
        self.out.push_str(text);
        Ok(text.ends_with(':'))
    }

    fn escape(&mut self) -> Result<(), BadRegex> {
        if let Some(quoted) = self.rest.strip_prefix("\\Q") {
            let end = quoted.find("\\E");
            let text = &quoted[..end.unwrap_or(quoted.len())];
            self.out.push_str(&regex::escape(text));
            self.take(2 + text.len() + if end.is_some() { 2 } else { 0 });
            return Ok(());
        }
        if matches!(self.rest.as_bytes().get(1), Some(b'A' | b'z' | b'b' | b'B')) {
            let anchor = self.take(2);
            self.out.push_str(anchor);
            return Ok(());
        }
        if let Some(class) = self.perl_class()? {
            self.out.push_str(&class);
            return Ok(());
        }
        let c = self.escaped_char()?;
        self.literal(c);
        Ok(())
    }

    /// `\d`, `\pL`, `\P{Greek}` and their like.
    fn perl_class(&mut self) -> Result<Option<String>, BadRegex> {
        let class = match self.rest.as_bytes().get(1) {
            Some(b'd') => "[0-9]",
            Some(b'D') => "[^0-9]",
            Some(b's') => r"[\t\n\f\r ]",
            Some(b'S') => r"[^\t\n\f\r ]",
            Some(b'w') => "[0-9A-Za-z_]",
            Some(b'W') => "[^0-9A-Za-z_]",
            Some(b'p' | b'P') => return self.unicode_class().map(Some),
            _ => return Ok(None),
        };
        self.take(2);
        Ok(Some(class.to_owned()))
    }

    fn unicode_class(&mut self) -> Result<String, BadRegex> {
        let rest = &self.rest[2..];
        let length = match rest.chars().next() {
            Some('{') => rest.find('}').map(|end| end + 1),
            Some(c) => Some(c.len_utf8()),
            None => None,
        };
        let Some(length) = length else { return Err(bad("unfinished class", self.rest)) };
        let text = self.take(2 + length);
        let negated = text.starts_with(r"\P");
        let name = text[2..].trim_start_matches('{').trim_end_matches('}');
        let (name, negated) = name.strip_prefix('^').map_or((name, negated), |name| (name, !negated));
        let class = format!(r"\{}{{{name}}}", if negated { 'P' } else { 'p' });
        // Only a name, so that this stays cheap however large the pattern is.
        let is_name = !name.is_empty() && name.len() < 32 && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        if !is_name || regex::Regex::new(&class).is_err() {
            return Err(bad("unknown class", text));
        }
        Ok(class)
    }

    /// An escape that stands for one character.
    fn escaped_char(&mut self) -> Result<char, BadRegex> {
        let rest = self.rest;
        let Some(c) = rest[1..].chars().next() else { return Err(bad("unfinished escape", rest)) };
        let shown = &rest[..1 + c.len_utf8()];
        let hex = |digits: &str| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
        let is_hex = |digits: &&str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let (c, length) = match c {
            'a' => ('\x07', 2),
            'f' => ('\x0c', 2),
            'n' => ('\n', 2),
            'r' => ('\r', 2),
            't' => ('\t', 2),
            'v' => ('\x0b', 2),
            'x' => {
                let digits = match rest[2..].strip_prefix('{') {
                    Some(braced) => braced.split_once('}').map(|(digits, _)| (digits, 4 + digits.len())),
                    None => rest.get(2..4).map(|digits| (digits, 4)),
                };
                let value = digits.filter(|(d, _)| is_hex(d)).and_then(|(d, length)| Some((hex(d)?, length)));
                value.ok_or_else(|| bad("expected a character in hexadecimal, found", shown))?
            }
            '0'..='7' => {
                let digits = rest[1..].bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let value = u32::from_str_radix(&rest[1..1 + digits], 8).ok().and_then(char::from_u32);
                match value {
                    // One digit alone would be a back reference.
                    Some(value) if c == '0' || digits > 1 => (value, 1 + digits),
                    _ => return Err(bad("unknown escape", shown)),
                }
            }
            c if c.is_ascii_punctuation() || c == ' ' || c.is_ascii_control() => (c, 2),
            _ => return Err(bad("unknown escape", shown)),
        };
        self.take(length);
        Ok(c)
    }

    fn class(&mut self) -> Result<(), BadRegex> {
        let whole = self.rest;
        self.take(1);
        self.out.push('[');
        if self.rest.starts_with('^') {
            self.take(1);
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.rest.chars().next() else { return Err(bad("missing closing ] of", whole)) };
            if c == ']' && !first {
                self.take(1);
                self.out.push(']');
                return Ok(());
            }
            first = false;
            if let Some(posix) = posix_class(self.rest) {
                let posix = posix?;
                self.take(posix.len());
                self.out.push_str(posix);
                continue;
            }
            if c == '\\'
                && let Some(class) = self.perl_class()?
            {
                self.out.push_str(&class);
                continue;
            }
            let low = self.class_char()?;
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1;
            if !is_range {
                self.out.push_str(&format!("\\x{{{:x}}}", low as u32));
                continue;
            }
            self.take(1);
            let high = self.class_char()?;
            if high < low {
                return Err(bad("expected a range from low to high, found", &format!("{low}-{high}")));
            }
            self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", low as u32, high as u32));
        }
    }

    fn class_char(&mut self) -> Result<char, BadRegex> {
        match self.rest.chars().next() {
            Some('\\') => self.escaped_char(),
            Some(c) => {
                self.take(c.len_utf8());
                Ok(c)
            }
            None => Err(bad("missing closing", "]")),
        }
    }
}

/// `[:alpha:]` and its like at the start of `rest`.
fn posix_class(rest: &str) -> Option<Result<&str, BadRegex>> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
        "word", "xdigit",
    ];
    let inner = rest.strip_prefix("[:")?;
    let end = inner.find(":]")?;
    let name = inner[..end].strip_prefix('^').unwrap_or(&inner[..end]);
    let text = &rest[..end + 4];
    Some(if NAMES.contains(&name) { Ok(text) } else { Err(bad("unknown class", text)) })
}

/// `{2}`, `{2,}` or `{2,3}` at the start of `rest`: its length, and whether Go takes the counts.
fn repeat_count(rest: &str) -> Option<(usize, bool)> {
    let inner = rest.strip_prefix('{')?.split_once('}')?.0;
    let (low, high) = inner.split_once(',').unwrap_or((inner, inner));
    let is_count = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_count(low) || !(high.is_empty() || is_count(high)) {
        return None;
    }
    let count = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= 1000);
    let fits = match (count(low), high) {
        (Some(_), "") => true,
        (Some(low), high) => count(high).is_some_and(|high| low <= high),
        (None, _) => false,
    };
    Some((inner.len() + 2, fits))
}

fn bad(message: &str, text: &str) -> BadRegex {
    let shown: String = text.chars().take(24).collect();
    BadRegex(format!("{message} `{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matches(pattern: &str, text: &str) -> bool {
        let regex = format!("^(?s:{})$", translate(pattern).unwrap());
        regex::Regex::new(&regex).unwrap().is_match(text)
    }

    #[test]
    fn what_go_reads_otherwise_than_rust_is_translated() {
        assert!(!matches(r"\d", "٣"));
        assert!(!matches(r"\w", "é"));
        assert!(matches(r"[a&&b]", "&"));
        assert!(matches(r"[[a]", "["));
        assert!(matches(r"[]a]", "]"));
        assert!(matches(r"a{", "a{"));
        assert!(matches(r"a{,2}", "a{,2}"));
        assert!(matches(r"a{2}", "aa"));
        assert!(matches(r"\Qa.b\E+", "a.bb"));
        assert!(matches(r"\101", "A"));
        assert!(matches(r"[\d-z]", "-"));
        assert!(matches(r"[^\d]", "x"));
        assert!(matches(r"[[:^digit:]x]", "x"));
        assert!(matches(r"\pL\p{Greek}\p{^Greek}", "aαb"));
        assert!(matches(r"(?i)a(?P<n>b)(?<m>c)", "ABC"));
        assert!(matches(r"a.b", "a\nb"));
        assert!(matches(r"#\#\-/", "##-/"));
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "a)(b",
            "(",
            "[",
            "[]",
            "[b-a]",
            "*",
            "a**",
            "a|*",
            "(*)",
            "a{1001}",
            "a{3,2}",
            r"\",
            r"\1",
            r"\C",
            r"\_x\y",
            r"\u0041",
            "(?x)a",
            "(?=a)",
            "(?P<a>b)(?P<a>c)",
            "(?P<>a)",
            "[[:nope:]]",
            r"\p{Nope}",
            r"\x{110000}",
            "(?)",
            "(?i-)a",
            r"\E",
        ] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn the_empty_string_is_found() {
        for pattern in ["", ".*", "a*", "a|", "(a|b)?", r"\z", "(?:)"] {
            assert_eq!(matches_empty(pattern), Ok(true), "{pattern}");
        }
        for pattern in [".+", "a", "a|b", r"\b", "x.*"] {
            assert_eq!(matches_empty(pattern), Ok(false), "{pattern}");
        }
    }

    #[test]
    fn an_expression_made_to_explode_is_refused() {
        assert!(matches_empty("((a{0,1000}){0,1000}){0,1000}").is_err());
        assert!(matches_empty(&"(".repeat(5000)).is_err());
        assert!(matches_empty(&format!("{}{}", "(".repeat(5000), ")".repeat(5000))).is_err());
    }
}
