//! What stands between operators: literals, selectors, calls, aggregations, parentheses.

use super::{Parser, Typed, check};
use crate::ast::{Aggregate, AggregateOp, Expr, Grouping, NumberLiteral, Paren, StringLiteral, ValueType};
use crate::error::Fault;
use crate::functions;
use crate::lexer::{Keyword, Kind, Symbol, Token};
use crate::span::Span;

impl Parser<'_> {
    pub(super) fn operand(&mut self) -> Result<Typed, Fault> {
        let token = self.peek();
        let before_paren = self.peek_at(1).kind == Kind::Symbol(Symbol::LeftParen);
        match token.kind {
            Kind::Number => {
                self.advance();
                let number = NumberLiteral { value: self.number(token)?, duration: false, span: token.span };
                Ok(Typed { expr: Expr::Number(number), value_type: ValueType::Scalar })
            }
            Kind::Duration => {
                self.advance();
                let number = NumberLiteral { value: self.duration_literal(token)?, duration: true, span: token.span };
                Ok(Typed { expr: Expr::Number(number), value_type: ValueType::Scalar })
            }
            Kind::String => {
                self.advance();
                let string = StringLiteral { value: self.string(token)?, span: token.span };
                Ok(Typed { expr: Expr::String(string), value_type: ValueType::String })
            }
            Kind::Symbol(Symbol::LeftParen) => self.paren(),
            Kind::Symbol(Symbol::LeftBrace) => self.vector(None),
            Kind::Identifier if before_paren => self.call(),
            Kind::Identifier | Kind::MetricIdentifier => self.named_vector(),
            Kind::Keyword(keyword) => self.keyword(keyword, before_paren),
            Kind::End | Kind::Symbol(_) => Err(self.unexpected(token, "an expression")),
        }
    }

    fn keyword(&mut self, keyword: Keyword, before_paren: bool) -> Result<Typed, Fault> {
        let before_grouping = matches!(self.peek_at(1).kind, Kind::Keyword(Keyword::By | Keyword::Without));
        if let Some(op) = aggregate_op(keyword) {
            return if before_paren || before_grouping { self.aggregate(op) } else { self.named_vector() };
        }
        match keyword {
            Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range if before_paren => self.call(),
            Keyword::And
            | Keyword::Or
            | Keyword::Unless
            | Keyword::Offset
            | Keyword::Smoothed
            | Keyword::Anchored
            | Keyword::By
            | Keyword::Without
            | Keyword::Start
            | Keyword::End
            | Keyword::Step
            | Keyword::Range => self.named_vector(),
            _ => Err(self.unexpected(self.peek(), "an expression")),
        }
    }

    fn named_vector(&mut self) -> Result<Typed, Fault> {
        let token = self.advance();
        self.vector(Some(token))
    }

    fn vector(&mut self, name: Option<Token>) -> Result<Typed, Fault> {
        let name = name.map(|token| (self.text_of(token).to_owned(), token.span));
        let selector = self.selector(name)?;
        self.expect_narrow(&selector)?;
        Ok(Typed { expr: Expr::Vector(selector), value_type: ValueType::Vector })
    }

    fn paren(&mut self) -> Result<Typed, Fault> {
        let open = self.advance().span;
        let inner = self.expr()?;
        let close = self.expect_one_of(Symbol::RightParen, "an operator or `)`")?.span;
        let paren = Paren { expr: Box::new(inner.expr), span: open.to(close) };
        Ok(Typed { expr: Expr::Paren(paren), value_type: inner.value_type })
    }

    fn call(&mut self) -> Result<Typed, Fault> {
        let token = self.advance();
        let name = self.text_of(token);
        let Some(function) = functions::function(name) else {
            let fault = Fault::new(token.span, format!("unknown function {}", self.describe(token)));
            return Err(match functions::suggestion(name) {
                Some(suggestion) => fault.hint(suggestion),
                None => fault,
            });
        };
        let is_info = function.name == "info";
        let (args, close) = self.arguments(is_info)?;
        check::call(function, args, token.span.to(close))
    }

    /// `(a, b)`, and where it closes. The second argument of `info` may match everything: it only names labels.
    fn arguments(&mut self, is_info: bool) -> Result<(Vec<Typed>, Span), Fault> {
        self.expect(Symbol::LeftParen)?;
        let mut args = Vec::new();
        if self.peek().kind == Kind::Symbol(Symbol::RightParen) {
            return Ok((args, self.advance().span));
        }
        loop {
            let bare_braces = is_info && args.len() == 1 && self.peek().kind == Kind::Symbol(Symbol::LeftBrace);
            let arg = if bare_braces {
                Typed { expr: Expr::Vector(self.selector(None)?), value_type: ValueType::Vector }
            } else {
                self.expr()?
            };
            args.push(arg);
            if !self.eat(Symbol::Comma) {
                let close = self.expect_one_of(Symbol::RightParen, "an operator, `,` or `)`")?.span;
                return Ok((args, close));
            }
        }
    }

    fn aggregate(&mut self, op: AggregateOp) -> Result<Typed, Fault> {
        let word = self.advance();
        let name = op.as_str();
        let before = self.grouping()?;
        let (args, close) = self.arguments(false)?;
        let after_span = self.peek().span;
        let after = self.grouping()?;
        if before.is_some() && after.is_some() {
            return Err(Fault::new(after_span, format!("expected one grouping of `{name}`, found a second one")));
        }
        let end = if after.is_some() { self.tokens[self.at - 1].span } else { close };
        let span = word.span.to(end);
        let found = args.len();
        let mut args = args.into_iter();
        let (param, expr) = match (op.param(), args.next(), args.next(), args.next()) {
            (None, Some(expr), None, None) => (None, expr),
            (Some(wanted), Some(param), Some(expr), None) => {
                check::expect_type(&param, wanted, &format!("as parameter of `{name}`"))?;
                (Some(Box::new(param.expr)), expr)
            }
            (param, ..) => {
                let expected = if param.is_some() { "2 arguments" } else { "1 argument" };
                return Err(Fault::expected(span, &format!("{expected} of `{name}`"), &found.to_string()));
            }
        };
        check::expect_type(&expr, ValueType::Vector, &format!("as argument of `{name}`"))?;
        let grouping = before.or(after);
        let aggregate = Aggregate { op, param, expr: Box::new(expr.expr), grouping, span };
        Ok(Typed { expr: Expr::Aggregate(aggregate), value_type: ValueType::Vector })
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, Fault> {
        for (keyword, without) in [(Keyword::By, false), (Keyword::Without, true)] {
            if self.eat_keyword(keyword) {
                return Ok(Some(Grouping { without, labels: self.labels()? }));
            }
        }
        Ok(None)
    }
}

fn aggregate_op(keyword: Keyword) -> Option<AggregateOp> {
    Some(match keyword {
        Keyword::Sum => AggregateOp::Sum,
        Keyword::Avg => AggregateOp::Avg,
        Keyword::Count => AggregateOp::Count,
        Keyword::Min => AggregateOp::Min,
        Keyword::Max => AggregateOp::Max,
        Keyword::Group => AggregateOp::Group,
        Keyword::Stddev => AggregateOp::Stddev,
        Keyword::Stdvar => AggregateOp::Stdvar,
        Keyword::Topk => AggregateOp::Topk,
        Keyword::Bottomk => AggregateOp::Bottomk,
        Keyword::CountValues => AggregateOp::CountValues,
        Keyword::Quantile => AggregateOp::Quantile,
        Keyword::Limitk => AggregateOp::Limitk,
        Keyword::LimitRatio => AggregateOp::LimitRatio,
        _ => return None,
    })
}
