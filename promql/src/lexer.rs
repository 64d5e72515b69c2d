//! Text to tokens, in one pass. What a character means depends on the brackets that are open, as in Prometheus.

use crate::error::Fault;
use crate::span::Span;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    End,
    /// Without a colon, and no keyword.
    Identifier,
    /// With a colon: a metric that a recording rule made.
    MetricIdentifier,
    Keyword(Keyword),
    Number,
    Duration,
    String,
    Symbol(Symbol),
}

macro_rules! names {
    ($(#[$doc:meta])* $enum:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $enum { $($variant,)* }
        impl $enum {
            const ALL: &[(&str, $enum)] = &[$(($text, $enum::$variant),)*];
            pub(crate) fn as_str(self) -> &'static str {
                match self { $($enum::$variant => $text,)* }
            }
        }
    };
}

names!(
    /// Words with a meaning of their own, in any case of letters. Most can be names as well.
    Keyword {
        And = "and", Or = "or", Unless = "unless", Atan2 = "atan2",
        Sum = "sum", Avg = "avg", Count = "count", Min = "min", Max = "max", Group = "group", Stddev = "stddev",
        Stdvar = "stdvar", Topk = "topk", Bottomk = "bottomk", CountValues = "count_values", Quantile = "quantile",
        Limitk = "limitk", LimitRatio = "limit_ratio",
        Offset = "offset", Smoothed = "smoothed", Anchored = "anchored", By = "by", Without = "without", On = "on",
        Ignoring = "ignoring", GroupLeft = "group_left", GroupRight = "group_right", Fill = "fill",
        FillLeft = "fill_left", FillRight = "fill_right", Bool = "bool",
        Start = "start", End = "end", Step = "step", Range = "range",
    }
);

names!(
    /// Longer ones first, so that the first that fits is the right one.
    Symbol {
        EqualEqual = "==", EqualTilde = "=~", NotEqual = "!=", NotTilde = "!~", LessEqual = "<=",
        GreaterEqual = ">=", TrimUpper = "</", TrimLower = ">/", ColonColon = "::",
        LeftParen = "(", RightParen = ")", LeftBrace = "{", RightBrace = "}", LeftBracket = "[", RightBracket = "]",
        Comma = ",", Colon = ":", Equal = "=", Less = "<", Greater = ">", Plus = "+", Minus = "-", Star = "*",
        Slash = "/", Percent = "%", Caret = "^", At = "@",
    }
);

impl Keyword {
    fn of(word: &str) -> Option<Keyword> {
        // The longest keyword bounds the comparison, whatever the length of the word.
        if word.len() > 12 {
            return None;
        }
        Keyword::ALL.iter().find(|(text, _)| text.eq_ignore_ascii_case(word)).map(|(_, keyword)| *keyword)
    }
}

pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer { text, at: 0, in_braces: false, in_brackets: false, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    in_braces: bool,
    in_brackets: bool,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        loop {
            self.skip_blanks();
            let start = self.at;
            let Some(byte) = self.peek(0) else {
                self.push(Kind::End, start);
                return Ok(());
            };
            let kind = match byte {
                b'"' | b'\'' | b'`' => self.string(byte)?,
                b'0'..=b'9' => self.number()?,
                b'.' if self.peek(1).is_some_and(|b| b.is_ascii_digit()) => self.number()?,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word()?,
                b':' if !self.in_braces && !self.in_brackets => self.word()?,
                _ => self.symbol()?,
            };
            self.push(kind, start);
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn push(&mut self, kind: Kind, start: usize) {
        self.tokens.push(Token { kind, span: Span::new(start, self.at) });
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn string(&mut self, quote: u8) -> Result<Kind, Fault> {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                _ if byte == quote => return self.known_utf8(start),
                b'\\' if quote != b'`' && self.peek(0).is_some() => self.at += 1,
                b'\n' if quote != b'`' => break,
                _ => {}
            }
        }
        let quote = char::from(quote);
        let end = self.text[start..].find('\n').map_or(self.text.len(), |line| start + line);
        Err(Fault::new(Span::new(start, end), format!("expected {quote} at the end of the string, found none")))
    }

    /// Prometheus cannot tell a literal U+FFFD from broken UTF-8 and refuses it.
    fn known_utf8(&self, start: usize) -> Result<Kind, Fault> {
        match self.text[start..self.at].find('\u{fffd}') {
            None => Ok(Kind::String),
            Some(at) => {
                let span = Span::new(start + at, start + at + '\u{fffd}'.len_utf8());
                Err(Fault::new(span, "expected UTF-8, found the replacement character U+FFFD").hint("write \\ufffd"))
            }
        }
    }

    /// A number or a duration; both begin with a digit.
    fn number(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        let bytes = &self.text.as_bytes()[start..];
        let length = bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')).count();
        let word = &self.text[start..start + length];
        let hex = word.starts_with("0x") || word.starts_with("0X");
        self.at += length;
        if !hex && word.ends_with(['e', 'E']) && matches!(self.peek(0), Some(b'+' | b'-')) {
            // The sign belongs to the exponent, and so do the digits behind it.
            self.at += 1;
            let rest = &self.text.as_bytes()[self.at..];
            self.at += rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')).count();
        }
        let word = &self.text[start..self.at];
        if is_number(word) {
            return Ok(Kind::Number);
        }
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0
            && word[digits..].bytes().all(|b| b.is_ascii_alphanumeric())
            && !word.ends_with(|c: char| c.is_ascii_digit())
        {
            return Ok(Kind::Duration);
        }
        let hint = (word.contains('.') && word.ends_with(|c: char| c.is_ascii_alphabetic()))
            .then_some("a duration has whole numbers: 1m30s, not 1.5m");
        let fault = Fault::expected(Span::new(start, self.at), "a number or a duration", &format!("`{word}`"));
        Err(match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        })
    }

    fn word(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        let colon = !self.in_braces && !self.in_brackets;
        let bytes = &self.text.as_bytes()[start..];
        let length =
            bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_' || (colon && **b == b':')).count();
        self.at += length;
        let word = &self.text[start..self.at];
        if self.in_braces {
            return Ok(Kind::Identifier);
        }
        if word.contains(':') {
            return Ok(Kind::MetricIdentifier);
        }
        if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan") {
            return Ok(Kind::Number);
        }
        Ok(match Keyword::of(word) {
            // Names of metrics before they became modifiers: only a parenthesis tells.
            Some(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight) if !self.before_paren() => Kind::Identifier,
            Some(keyword) => Kind::Keyword(keyword),
            None => Kind::Identifier,
        })
    }

    fn before_paren(&self) -> bool {
        self.text[self.at..].trim_start_matches([' ', '\t', '\n', '\r']).starts_with('(')
    }

    fn symbol(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        let rest = &self.text[start..];
        let Some((text, symbol)) = Symbol::ALL.iter().find(|(text, _)| rest.starts_with(text)) else {
            let c = rest.chars().next().unwrap_or_default();
            let span = Span::new(start, start + c.len_utf8());
            let fault = Fault::new(span, format!("unexpected character {c:?}"));
            return Err(match c {
                '!' => fault.hint("operators are `!=` and, between braces, `!~`"),
                '“' | '”' | '‘' | '’' => fault.hint("quotes are \", ' and `"),
                _ => fault,
            });
        };
        self.at += text.len();
        match symbol {
            Symbol::LeftBrace => self.in_braces = true,
            Symbol::RightBrace => self.in_braces = false,
            Symbol::LeftBracket => self.in_brackets = true,
            Symbol::RightBracket => self.in_brackets = false,
            _ => {}
        }
        Ok(Kind::Symbol(*symbol))
    }
}

/// The form of a number: digits, at most one point, an exponent, single underscores between digits; or hexadecimal.
fn is_number(word: &str) -> bool {
    let (digits, hex) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        // An underscore may follow the prefix.
        Some(rest) => (rest.strip_prefix('_').unwrap_or(rest), true),
        None => (word, false),
    };
    let is_digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
    if hex {
        return digits.split('_').all(|run| !run.is_empty() && run.bytes().all(is_digit));
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let runs = |text: &str| text.split('_').all(|run| !run.is_empty() && run.bytes().all(is_digit));
    let mantissa_fits = match mantissa.split_once('.') {
        None => runs(mantissa),
        Some((whole, "")) => runs(whole),
        Some(("", fraction)) => runs(fraction),
        Some((whole, fraction)) => runs(whole) && runs(fraction),
    };
    let exponent_fits = exponent.is_none_or(|e| runs(e.strip_prefix(['+', '-']).unwrap_or(e)));
    mantissa_fits && exponent_fits
}
