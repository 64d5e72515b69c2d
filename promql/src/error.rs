use std::fmt;
use std::ops::Range;

use crate::span::Span;

/// Why a text is not PromQL, and where.
///
/// `Display` gives one line (`1:7: expected an expression, found `)``); `span`, `expected` and `hint` are for programs
/// that draw a snippet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// One sentence: lower case, no full stop.
    pub message: String,
    /// Bytes of the query.
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// Characters from 1.
    pub column: usize,
    /// What would have been right here, where that can be listed.
    pub expected: Option<String>,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl ParseError {
    pub(crate) fn new(text: &str, fault: Fault) -> ParseError {
        let span = fault.span.range();
        // A fault points between characters; a slice that would not is clamped rather than trusted.
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ParseError {
            message: fault.message,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span,
            expected: fault.expected,
            hint: fault.hint,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

/// A [`ParseError`] before its line is counted.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) expected: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Fault {
        Fault { message: message.into(), span, expected: None, hint: None }
    }

    pub(crate) fn expected(span: Span, expected: &str, found: &str) -> Fault {
        Fault {
            message: format!("expected {expected}, found {found}"),
            span,
            expected: Some(expected.to_owned()),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }
}
