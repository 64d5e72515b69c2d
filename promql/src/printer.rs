//! Tree to text: one line that parses to the same tree, in words that Prometheus 2 knows too where there is a choice.

use std::fmt::{self, Display, Formatter, Write};

use crate::ast::{
    Aggregate, At, Binary, Call, DurationBinary, DurationCompare, DurationExpr, DurationLiteral, DurationOp,
    DurationParen, DurationUnary, Expr, Extension, Fill, Group, Label, MatchOn, Matcher, Matching, MatrixSelector,
    NumberLiteral, Paren, Side, StringLiteral, Subquery, Unary, ValueType, VectorSelector,
};
use crate::literal::{format_duration, quote};

/// `text` as a regular expression for a matcher that matches just this text.
///
/// Only characters with a meaning are escaped, and only by a backslash: RE2 and every other engine read that alike.
pub fn escape_regex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Number(NumberLiteral { value, duration, span: _ }) => number(f, *value, *duration),
            Expr::String(StringLiteral { value, span: _ }) => f.write_str(&quote(value)),
            Expr::Vector(selector) => selector.fmt(f),
            Expr::Matrix(MatrixSelector { selector, range, span: _ }) => {
                head(f, selector)?;
                write!(f, "[{range}]")?;
                modifiers(f, selector.offset.as_ref(), selector.at, selector.extension)
            }
            Expr::Subquery(Subquery { expr, range, step, offset, at, span: _ }) => {
                write!(f, "{expr}[{range}:")?;
                if let Some(step) = step {
                    step.fmt(f)?;
                }
                f.write_char(']')?;
                modifiers(f, offset.as_ref(), *at, None)
            }
            Expr::Call(Call { function, args, span: _ }) => {
                write!(f, "{}(", function.name)?;
                separated(f, args)?;
                f.write_char(')')
            }
            Expr::Aggregate(Aggregate { op, param, expr, grouping, span: _ }) => {
                f.write_str(op.as_str())?;
                if let Some(grouping) = grouping {
                    f.write_str(if grouping.without { " without (" } else { " by (" })?;
                    separated(f, &grouping.labels)?;
                    f.write_str(") ")?;
                }
                f.write_char('(')?;
                if let Some(param) = param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{expr})")
            }
            Expr::Binary(Binary { op, lhs, rhs, return_bool, matching, op_span: _, span: _ }) => {
                write!(f, "{lhs} {}{}", op.as_str(), if *return_bool { " bool" } else { "" })?;
                write!(f, "{matching} {rhs}")
            }
            Expr::Unary(Unary { sign, expr, span: _ }) => write!(f, "{}{expr}", sign.as_str()),
            Expr::Paren(Paren { expr, span: _ }) => write!(f, "({expr})"),
        }
    }
}

fn separated<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
    }
    Ok(())
}

fn number(f: &mut Formatter<'_>, value: f64, duration: bool) -> fmt::Result {
    if value.is_nan() {
        return f.write_str("NaN");
    }
    if value.is_sign_negative() {
        f.write_char('-')?;
    }
    let size = value.abs();
    if size.is_infinite() {
        return f.write_str("Inf");
    }
    if duration && let Some(text) = format_duration(size) {
        return f.write_str(&text);
    }
    // Beyond these, the digits without an exponent are hundreds.
    if size != 0.0 && !(1e-7..1e21).contains(&size) { write!(f, "{size:e}") } else { write!(f, "{size}") }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        head(f, self)?;
        modifiers(f, self.offset.as_ref(), self.at, self.extension)
    }
}

/// Name and matchers.
fn head(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let VectorSelector { name, matchers, offset: _, at: _, extension: _, span: _ } = selector;
    if let Some(name) = name {
        f.write_str(name)?;
    }
    if name.is_some() && matchers.is_empty() {
        return Ok(());
    }
    f.write_char('{')?;
    for (index, matcher) in matchers.iter().enumerate() {
        write!(f, "{}{matcher}", if index > 0 { "," } else { "" })?;
    }
    f.write_char('}')
}

/// The offset comes first: an offset in parentheses takes a `+` behind it for its own, which `@` would lose.
fn modifiers(
    f: &mut Formatter<'_>,
    offset: Option<&DurationExpr>,
    at: Option<At>,
    extension: Option<Extension>,
) -> fmt::Result {
    if let Some(offset) = offset {
        write!(f, " offset {offset}")?;
    }
    match at {
        None => {}
        Some(At::Timestamp(millis)) => {
            let (sign, size) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
            match size % 1000 {
                0 => write!(f, " @ {sign}{}", size / 1000)?,
                rest => write!(f, " @ {sign}{}.{rest:03}", size / 1000)?,
            }
        }
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
    }
    match extension {
        None => Ok(()),
        Some(Extension::Anchored) => f.write_str(" anchored"),
        Some(Extension::Smoothed) => f.write_str(" smoothed"),
    }
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        label_name(f, &self.name)?;
        write!(f, "{}{}", self.op.as_str(), quote(&self.value))
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        label_name(f, &self.name)
    }
}

fn label_name(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_word && name.starts_with(|c: char| !c.is_ascii_digit()) {
        f.write_str(name)
    } else {
        f.write_str(&quote(name))
    }
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Matching { on, group, fill } = self;
        if let Some(MatchOn { ignoring, labels }) = on {
            f.write_str(if *ignoring { " ignoring (" } else { " on (" })?;
            separated(f, labels)?;
            f.write_char(')')?;
        }
        if let Some(Group { many, include }) = group {
            f.write_str(match many {
                Side::Left => " group_left (",
                Side::Right => " group_right (",
            })?;
            separated(f, include)?;
            f.write_char(')')?;
        }
        let Fill { left, right } = fill;
        for (word, value) in [(" fill_left (", left), (" fill_right (", right)] {
            if let Some(value) = value {
                f.write_str(word)?;
                number(f, *value, false)?;
                f.write_char(')')?;
            }
        }
        Ok(())
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationExpr::Literal(DurationLiteral { seconds, span: _ }) => number(f, *seconds, true),
            DurationExpr::Step(_) => f.write_str("step()"),
            DurationExpr::Range(_) => f.write_str("range()"),
            DurationExpr::Unary(DurationUnary { sign, expr, span: _ }) => write!(f, "{}{expr}", sign.as_str()),
            DurationExpr::Binary(DurationBinary { op, lhs, rhs, span: _ }) => write!(f, "{lhs} {op} {rhs}"),
            DurationExpr::Compare(DurationCompare { function, lhs, rhs, span: _ }) => {
                write!(f, "{}({lhs}, {rhs})", function.as_str())
            }
            DurationExpr::Paren(DurationParen { expr, span: _ }) => write!(f, "({expr})"),
        }
    }
}

impl Display for DurationOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char(match self {
            DurationOp::Add => '+',
            DurationOp::Sub => '-',
            DurationOp::Mul => '*',
            DurationOp::Div => '/',
            DurationOp::Mod => '%',
            DurationOp::Pow => '^',
        })
    }
}

/// The name that Prometheus' documentation and error messages use.
impl Display for ValueType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
            ValueType::String => "string",
        })
    }
}
