//! Selectors, and the modifiers behind an operand: ranges, subqueries, `offset`, `@`.

use super::{Parser, Typed};
use crate::ast::{
    At, DurationExpr, Expr, Extension, Matcher, MatcherOp, MatrixSelector, Subquery, ValueType, VectorSelector,
};
use crate::error::Fault;
use crate::lexer::{Keyword, Kind, Symbol};
use crate::regexp;
use crate::span::Span;

impl Parser<'_> {
    /// An operand with everything behind it that belongs to it.
    pub(super) fn postfix(&mut self) -> Result<Typed, Fault> {
        let mut operand = self.operand()?;
        loop {
            operand = match self.peek().kind {
                Kind::Symbol(Symbol::LeftBracket) => self.range(operand)?,
                Kind::Keyword(Keyword::Offset) => self.offset(operand)?,
                Kind::Symbol(Symbol::At) => self.at_modifier(operand)?,
                Kind::Keyword(Keyword::Anchored) => self.extension(operand, Extension::Anchored)?,
                Kind::Keyword(Keyword::Smoothed) => self.extension(operand, Extension::Smoothed)?,
                _ => return Ok(operand),
            };
        }
    }

    /// Braces with matchers, or just the name; `name_span` is where the name stands.
    pub(super) fn selector(&mut self, name: Option<(String, Span)>) -> Result<VectorSelector, Fault> {
        let start = name.as_ref().map_or(self.peek().span, |(_, span)| *span);
        let name = name.map(|(name, _)| name);
        let mut selector =
            VectorSelector { name, matchers: Vec::new(), offset: None, at: None, extension: None, span: start };
        if !self.eat(Symbol::LeftBrace) {
            return Ok(selector);
        }
        loop {
            let token = self.peek();
            if token.kind == Kind::Symbol(Symbol::RightBrace) {
                break;
            }
            selector.matchers.push(self.matcher()?);
            if !self.eat(Symbol::Comma) {
                break;
            }
        }
        let end = self.advance();
        if end.kind != Kind::Symbol(Symbol::RightBrace) {
            let fault = self.unexpected(end, "`,` or `}`");
            let is_or = end.kind == Kind::Identifier && self.text_of(end).eq_ignore_ascii_case("or");
            return Err(if is_or { fault.hint("`or` between matchers is not PromQL") } else { fault });
        }
        selector.span = start.to(end.span);
        if selector.name.is_some()
            && let Some(twice) = selector.matchers.iter().find(|m| m.name == "__name__")
        {
            return Err(Fault::new(twice.span, "expected the metric name once, found it twice"));
        }
        Ok(selector)
    }

    fn matcher(&mut self) -> Result<Matcher, Fault> {
        let label = self.advance();
        let name = match label.kind {
            Kind::Identifier => self.text_of(label).to_owned(),
            Kind::String => self.string(label)?,
            _ => return Err(self.unexpected(label, "a label name or `}`")),
        };
        let op = match self.peek().kind {
            Kind::Symbol(Symbol::Equal) => MatcherOp::Equal,
            Kind::Symbol(Symbol::NotEqual) => MatcherOp::NotEqual,
            Kind::Symbol(Symbol::EqualTilde) => MatcherOp::Regex,
            Kind::Symbol(Symbol::NotTilde) => MatcherOp::NotRegex,
            // A quoted string alone is the metric's name.
            _ if label.kind == Kind::String => {
                return Ok(Matcher {
                    name: "__name__".to_owned(),
                    op: MatcherOp::Equal,
                    value: name,
                    span: label.span,
                });
            }
            _ => return Err(self.unexpected(self.peek(), "`=`, `!=`, `=~` or `!~`")),
        };
        if name.is_empty() {
            return Err(Fault::expected(label.span, "a label name", "an empty string"));
        }
        self.advance();
        let token = self.advance();
        if token.kind != Kind::String {
            return Err(self.unexpected(token, "a string"));
        }
        let value = self.string(token)?;
        if matches!(op, MatcherOp::Regex | MatcherOp::NotRegex) {
            regexp::check(&value)
                .map_err(|bad| Fault::new(token.span, format!("bad regular expression: {}", bad.0)))?;
        }
        Ok(Matcher { name, op, value, span: label.span.to(token.span) })
    }

    /// Prometheus refuses a selector that everything would match, lest a slip of the pen reads the whole database.
    pub(super) fn expect_narrow(&self, selector: &VectorSelector) -> Result<(), Fault> {
        if selector.name.is_some() {
            return Ok(());
        }
        // Plain values first: they need no regular expression.
        let narrows = |m: &&Matcher| match m.op {
            MatcherOp::Equal => !m.value.is_empty(),
            MatcherOp::NotEqual => m.value.is_empty(),
            MatcherOp::Regex | MatcherOp::NotRegex => false,
        };
        if selector.matchers.iter().any(|m| narrows(&m)) {
            return Ok(());
        }
        for matcher in &selector.matchers {
            let wants = match matcher.op {
                MatcherOp::Regex => false,
                MatcherOp::NotRegex => true,
                MatcherOp::Equal | MatcherOp::NotEqual => continue,
            };
            let empty = regexp::matches_empty(&matcher.value)
                .map_err(|bad| Fault::new(matcher.span, format!("bad regular expression: {}", bad.0)))?;
            if empty == wants {
                return Ok(());
            }
        }
        let message = "expected a metric name or a matcher that does not match the empty string, found none";
        Err(Fault::new(selector.span, message))
    }

    /// `[5m]` or `[1h:5m]`
    fn range(&mut self, operand: Typed) -> Result<Typed, Fault> {
        let open = self.advance().span;
        let range = self.positive_duration()?;
        if self.peek().kind == Kind::Symbol(Symbol::ColonColon) {
            let fault = self.unexpected(self.peek(), "`:` or `]`");
            return Err(fault.hint("the newest Prometheus' aligned subqueries are not known here"));
        }
        if self.eat(Symbol::Colon) {
            let has_step = self.peek().kind != Kind::Symbol(Symbol::RightBracket);
            let step = if has_step { Some(self.positive_duration()?) } else { None };
            let close = self.expect(Symbol::RightBracket)?.span;
            self.count_operator(open)?;
            super::check::expect_type(&operand, ValueType::Vector, "before a subquery")?;
            let span = operand.expr.span().to(close);
            let expr = Box::new(operand.expr);
            let subquery = Subquery { expr, range, step, offset: None, at: None, span };
            return Ok(Typed { expr: Expr::Subquery(subquery), value_type: ValueType::Matrix });
        }
        let close = self.expect_one_of(Symbol::RightBracket, "`:` or `]`")?.span;
        match operand.expr {
            Expr::Vector(selector) if selector.offset.is_none() && selector.at.is_none() => {
                let span = selector.span.to(close);
                let matrix = MatrixSelector { selector, range, span };
                Ok(Typed { expr: Expr::Matrix(matrix), value_type: ValueType::Matrix })
            }
            Expr::Vector(_) => {
                Err(Fault::new(open.to(close), "expected the range before `offset` and `@`, found it behind them"))
            }
            _ => {
                let fault =
                    Fault::new(open.to(close), "expected a range behind a selector, found it behind an expression");
                Err(fault.hint("a subquery has a colon: `[5m:]`"))
            }
        }
    }

    fn offset(&mut self, mut operand: Typed) -> Result<Typed, Fault> {
        let word = self.advance().span;
        let duration = self.offset_duration()?;
        let end = duration.span();
        let (offset, _, span) = modifiable(&mut operand.expr, word, "offset")?;
        if offset.is_some() {
            return Err(Fault::new(word.to(end), "expected one `offset`, found a second one"));
        }
        // An offset of nothing is none, also for Prometheus.
        if duration.as_seconds() != Some(0.0) {
            *offset = Some(duration);
        }
        *span = span.to(end);
        Ok(operand)
    }

    fn at_modifier(&mut self, mut operand: Typed) -> Result<Typed, Fault> {
        let word = self.advance().span;
        let token = self.peek();
        let (value, end) = match token.kind {
            Kind::Keyword(keyword @ (Keyword::Start | Keyword::End)) => {
                self.advance();
                self.expect(Symbol::LeftParen)?;
                let end = self.expect(Symbol::RightParen)?.span;
                (if keyword == Keyword::Start { At::Start } else { At::End }, end)
            }
            Kind::Number | Kind::Duration | Kind::Symbol(Symbol::Plus | Symbol::Minus) => {
                let (seconds, end) = self.signed_number()?;
                let millis = (seconds * 1000.0).round();
                // Beyond, a double cannot tell neighbouring milliseconds apart.
                if millis.is_nan() || millis.abs() >= (1_i64 << 53) as f64 {
                    return Err(Fault::new(end, "expected a timestamp in seconds since 1970, found one out of range"));
                }
                (At::Timestamp(millis as i64), end)
            }
            _ => return Err(self.unexpected(token, "a timestamp, `start()` or `end()`")),
        };
        let (_, at, span) = modifiable(&mut operand.expr, word, "@")?;
        if at.is_some() {
            return Err(Fault::new(word.to(end), "expected one `@`, found a second one"));
        }
        *at = Some(value);
        *span = span.to(end);
        Ok(operand)
    }

    fn extension(&mut self, mut operand: Typed, extension: Extension) -> Result<Typed, Fault> {
        let word = self.advance().span;
        let (target, span) = match &mut operand.expr {
            Expr::Vector(selector) => (&mut selector.extension, &mut selector.span),
            Expr::Matrix(matrix) => (&mut matrix.selector.extension, &mut matrix.span),
            _ => return Err(Fault::new(word, "expected `anchored` and `smoothed` behind a selector only")),
        };
        if target.is_some_and(|other| other != extension) {
            return Err(Fault::new(word, "expected `anchored` or `smoothed`, found both"));
        }
        *target = Some(extension);
        *span = span.to(word);
        Ok(operand)
    }
}

/// Where the modifiers of `expr` are kept.
fn modifiable<'a>(
    expr: &'a mut Expr,
    word: Span,
    name: &str,
) -> Result<(&'a mut Option<DurationExpr>, &'a mut Option<At>, &'a mut Span), Fault> {
    match expr {
        Expr::Vector(selector) => Ok((&mut selector.offset, &mut selector.at, &mut selector.span)),
        Expr::Matrix(matrix) => Ok((&mut matrix.selector.offset, &mut matrix.selector.at, &mut matrix.span)),
        Expr::Subquery(subquery) => Ok((&mut subquery.offset, &mut subquery.at, &mut subquery.span)),
        Expr::Number(_)
        | Expr::String(_)
        | Expr::Call(_)
        | Expr::Aggregate(_)
        | Expr::Binary(_)
        | Expr::Unary(_)
        | Expr::Paren(_) => Err(Fault::new(word, format!("expected `{name}` behind a selector or a subquery only"))),
    }
}
