//! Ranges, steps and offsets: literals, and the experimental expressions.

use super::{Parser, signed};
use crate::ast::{
    DurationBinary, DurationCompare, DurationExpr, DurationFunction, DurationLiteral, DurationOp, DurationParen,
    DurationUnary, Sign,
};
use crate::error::Fault;
use crate::lexer::{Keyword, Kind, Symbol, Token};
use crate::limits::MAX_NESTING;
use crate::literal;
use crate::span::Span;

const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const POWER: u8 = 3;

/// 63 bits of nanoseconds, as Prometheus counts.
const MAX_SECONDS: f64 = 9_223_372_036.0;

fn operator(kind: Kind) -> Option<(DurationOp, u8)> {
    let Kind::Symbol(symbol) = kind else { return None };
    Some(match symbol {
        Symbol::Plus => (DurationOp::Add, SUM),
        Symbol::Minus => (DurationOp::Sub, SUM),
        Symbol::Star => (DurationOp::Mul, PRODUCT),
        Symbol::Slash => (DurationOp::Div, PRODUCT),
        Symbol::Percent => (DurationOp::Mod, PRODUCT),
        Symbol::Caret => (DurationOp::Pow, POWER),
        _ => return None,
    })
}

impl Parser<'_> {
    /// The range or step between brackets.
    pub(super) fn positive_duration(&mut self) -> Result<DurationExpr, Fault> {
        let duration = self.duration(0)?;
        match &duration {
            DurationExpr::Literal(DurationLiteral { seconds, span }) if *seconds <= 0.0 => {
                let found = format!("`{}`", self.text.get(span.range()).unwrap_or_default());
                Err(Fault::expected(*span, "a duration greater than 0", &found))
            }
            _ => Ok(duration),
        }
    }

    /// Behind `offset`. Arithmetic belongs to the offset only between parentheses: `a offset 5m + b` is a sum of
    /// vectors. (But Prometheus' grammar gives it an operator *behind* parentheses: `a offset (5m) + 1m`.)
    pub(super) fn offset_duration(&mut self) -> Result<DurationExpr, Fault> {
        if self.peek().kind == Kind::Symbol(Symbol::LeftParen) {
            return self.duration(0);
        }
        match self.sign() {
            Some((sign, sign_span)) => {
                let operand = self.duration_operand()?;
                Ok(signed_duration(sign, sign_span, operand))
            }
            None => self.duration_operand(),
        }
    }

    fn duration(&mut self, min: u8) -> Result<DurationExpr, Fault> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Fault::new(self.peek().span, format!("expected at most {MAX_NESTING} levels of nesting")));
        }
        let mut lhs = match self.sign() {
            Some((sign, sign_span)) => {
                let operand = self.duration(POWER)?;
                signed_duration(sign, sign_span, operand)
            }
            None => self.duration_operand()?,
        };
        while let Some((op, power)) = operator(self.peek().kind).filter(|(_, power)| *power >= min) {
            let op_span = self.advance().span;
            self.count_operator(op_span)?;
            let rhs = self.duration(if op == DurationOp::Pow { power } else { power + 1 })?;
            if matches!(op, DurationOp::Div | DurationOp::Mod) && rhs.as_seconds() == Some(0.0) {
                return Err(Fault::expected(rhs.span(), "a divisor", "zero"));
            }
            let span = lhs.span().to(rhs.span());
            lhs = DurationExpr::Binary(DurationBinary { op, lhs: Box::new(lhs), rhs: Box::new(rhs), span });
        }
        self.nesting -= 1;
        Ok(lhs)
    }

    fn sign(&mut self) -> Option<(Sign, Span)> {
        let sign = match self.peek().kind {
            Kind::Symbol(Symbol::Plus) => Sign::Plus,
            Kind::Symbol(Symbol::Minus) => Sign::Minus,
            _ => return None,
        };
        Some((sign, self.advance().span))
    }

    fn duration_operand(&mut self) -> Result<DurationExpr, Fault> {
        let token = self.advance();
        match token.kind {
            Kind::Number => {
                let seconds = self.number(token)?;
                if seconds.is_nan() || seconds > MAX_SECONDS {
                    return Err(self.unexpected(token, "a duration of less than 292 years"));
                }
                Ok(DurationExpr::Literal(DurationLiteral { seconds, span: token.span }))
            }
            Kind::Duration => {
                let seconds = self.duration_literal(token)?;
                Ok(DurationExpr::Literal(DurationLiteral { seconds, span: token.span }))
            }
            Kind::Keyword(Keyword::Step) => Ok(DurationExpr::Step(self.no_arguments(token)?)),
            Kind::Keyword(Keyword::Range) => Ok(DurationExpr::Range(self.no_arguments(token)?)),
            Kind::Keyword(Keyword::Max) => self.compare(token, DurationFunction::Max),
            Kind::Keyword(Keyword::Min) => self.compare(token, DurationFunction::Min),
            Kind::Identifier if self.text_of(token).eq_ignore_ascii_case("max_of") => {
                self.compare(token, DurationFunction::MaxOf)
            }
            Kind::Identifier if self.text_of(token).eq_ignore_ascii_case("min_of") => {
                self.compare(token, DurationFunction::MinOf)
            }
            Kind::Symbol(Symbol::LeftParen) => {
                let expr = Box::new(self.duration(0)?);
                let span = token.span.to(self.expect(Symbol::RightParen)?.span);
                Ok(DurationExpr::Paren(DurationParen { expr, span }))
            }
            _ => Err(self.unexpected(token, "a duration")),
        }
    }

    fn compare(&mut self, word: Token, function: DurationFunction) -> Result<DurationExpr, Fault> {
        self.expect(Symbol::LeftParen)?;
        let lhs = Box::new(self.duration(0)?);
        self.expect(Symbol::Comma)?;
        let rhs = Box::new(self.duration(0)?);
        let span = word.span.to(self.expect(Symbol::RightParen)?.span);
        Ok(DurationExpr::Compare(DurationCompare { function, lhs, rhs, span }))
    }

    fn no_arguments(&mut self, word: Token) -> Result<Span, Fault> {
        self.expect(Symbol::LeftParen)?;
        Ok(word.span.to(self.expect(Symbol::RightParen)?.span))
    }

    pub(super) fn duration_literal(&self, token: Token) -> Result<f64, Fault> {
        let text = self.text_of(token);
        literal::duration(text).map_err(|expected| Fault::expected(token.span, expected, &format!("`{text}`")))
    }
}

/// A sign before a literal is part of the literal.
fn signed_duration(sign: Sign, sign_span: Span, operand: DurationExpr) -> DurationExpr {
    let span = sign_span.to(operand.span());
    match operand {
        DurationExpr::Literal(literal) => {
            DurationExpr::Literal(DurationLiteral { seconds: signed(sign, literal.seconds), span })
        }
        operand => DurationExpr::Unary(DurationUnary { sign, expr: Box::new(operand), span }),
    }
}
