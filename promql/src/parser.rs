//! Recursive descent with binding powers; types are known as soon as a node is built.

mod check;
mod duration;
mod operand;
mod selector;

use crate::ast::{BinaryOp, Expr, Fill, Group, Label, MatchOn, Matching, NumberLiteral, Side, Sign, Unary, ValueType};
use crate::error::{Fault, ParseError};
use crate::lexer::{Keyword, Kind, Symbol, Token, tokens};
use crate::limits::{MAX_BYTES, MAX_NESTING, MAX_OPERATORS};
use crate::literal;
use crate::span::Span;

/// Reads a PromQL expression and checks its types.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let tree = || {
        if text.len() > MAX_BYTES {
            let message = format!("expected at most {MAX_BYTES} bytes, found {}", text.len());
            return Err(Fault::new(Span::default(), message));
        }
        let mut parser = Parser { text, tokens: tokens(text)?, at: 0, nesting: 0, operators: 0 };
        let expr = parser.expr()?;
        parser.expect_end()?;
        Ok(expr.expr)
    };
    tree().map_err(|fault| ParseError::new(text, fault))
}

struct Parser<'a> {
    text: &'a str,
    /// The last one is [`Kind::End`].
    tokens: Vec<Token>,
    at: usize,
    nesting: usize,
    operators: usize,
}

struct Typed {
    expr: Expr,
    value_type: ValueType,
}

/// Binding powers; each operator takes operands that bind tighter.
const OR: u8 = 1;
const AND: u8 = 2;
const COMPARE: u8 = 3;
const SUM: u8 = 4;
const PRODUCT: u8 = 5;
const POWER: u8 = 6;

fn operator(kind: Kind) -> Option<(BinaryOp, u8)> {
    Some(match kind {
        Kind::Keyword(Keyword::Or) => (BinaryOp::Or, OR),
        Kind::Keyword(Keyword::And) => (BinaryOp::And, AND),
        Kind::Keyword(Keyword::Unless) => (BinaryOp::Unless, AND),
        Kind::Keyword(Keyword::Atan2) => (BinaryOp::Atan2, PRODUCT),
        Kind::Symbol(Symbol::EqualEqual) => (BinaryOp::Equal, COMPARE),
        Kind::Symbol(Symbol::NotEqual) => (BinaryOp::NotEqual, COMPARE),
        Kind::Symbol(Symbol::Less) => (BinaryOp::Less, COMPARE),
        Kind::Symbol(Symbol::LessEqual) => (BinaryOp::LessEqual, COMPARE),
        Kind::Symbol(Symbol::Greater) => (BinaryOp::Greater, COMPARE),
        Kind::Symbol(Symbol::GreaterEqual) => (BinaryOp::GreaterEqual, COMPARE),
        Kind::Symbol(Symbol::Plus) => (BinaryOp::Add, SUM),
        Kind::Symbol(Symbol::Minus) => (BinaryOp::Sub, SUM),
        Kind::Symbol(Symbol::Star) => (BinaryOp::Mul, PRODUCT),
        Kind::Symbol(Symbol::Slash) => (BinaryOp::Div, PRODUCT),
        Kind::Symbol(Symbol::Percent) => (BinaryOp::Mod, PRODUCT),
        Kind::Symbol(Symbol::Caret) => (BinaryOp::Pow, POWER),
        // How these bind is documented nowhere, so they are taken with parentheses only; see `Parser::binary`.
        Kind::Symbol(Symbol::TrimUpper) => (BinaryOp::TrimUpper, OR),
        Kind::Symbol(Symbol::TrimLower) => (BinaryOp::TrimLower, OR),
        _ => return None,
    })
}

fn is_trim(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower)
}

impl Parser<'_> {
    fn expr(&mut self) -> Result<Typed, Fault> {
        self.binary(0)
    }

    /// An operand and every operator behind it that binds at least as tightly as `min`.
    fn binary(&mut self, min: u8) -> Result<Typed, Fault> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Fault::new(self.peek().span, format!("expected at most {MAX_NESTING} levels of nesting")));
        }
        let mut lhs = self.unary()?;
        while let Some((op, power)) = operator(self.peek().kind).filter(|(_, power)| *power >= min) {
            let op_span = self.advance().span;
            self.count_operator(op_span)?;
            unambiguous_trim(&lhs.expr, op, op_span)?;
            let (return_bool, matching) = self.binary_modifiers()?;
            let rhs = match op {
                BinaryOp::Pow => self.binary(power)?,
                _ => self.binary(power + 1)?,
            };
            unambiguous_trim(&rhs.expr, op, op_span)?;
            lhs = check::binary(op, op_span, lhs, rhs, return_bool, matching)?;
        }
        self.nesting -= 1;
        Ok(lhs)
    }

    fn count_operator(&mut self, span: Span) -> Result<(), Fault> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            return Err(Fault::new(span, format!("expected at most {MAX_OPERATORS} operators and subqueries")));
        }
        Ok(())
    }

    /// A sign binds as a product does: `-2 ^ 2` is `-(2 ^ 2)`.
    fn unary(&mut self) -> Result<Typed, Fault> {
        let sign = match self.peek().kind {
            Kind::Symbol(Symbol::Plus) => Sign::Plus,
            Kind::Symbol(Symbol::Minus) => Sign::Minus,
            _ => return self.postfix(),
        };
        let sign_span = self.advance().span;
        let operand = self.binary(POWER)?;
        let span = sign_span.to(operand.expr.span());
        match (operand.expr, operand.value_type) {
            (Expr::Number(number), value_type) => {
                let value = signed(sign, number.value);
                Ok(Typed { expr: Expr::Number(NumberLiteral { value, span, ..number }), value_type })
            }
            (expr, value_type @ (ValueType::Scalar | ValueType::Vector)) => {
                Ok(Typed { expr: Expr::Unary(Unary { sign, expr: Box::new(expr), span }), value_type })
            }
            (expr, value_type @ (ValueType::Matrix | ValueType::String)) => {
                Err(check::mismatch(expr.span(), "a scalar or an instant vector behind the sign", value_type))
            }
        }
    }

    /// `bool`, `on`, `group_left`, `fill` and their like between an operator and its right side.
    fn binary_modifiers(&mut self) -> Result<(bool, Matching), Fault> {
        let mut matching = Matching::default();
        let return_bool = self.eat_keyword(Keyword::Bool);
        for (keyword, ignoring) in [(Keyword::On, false), (Keyword::Ignoring, true)] {
            if self.eat_keyword(keyword) {
                matching.on = Some(MatchOn { ignoring, labels: self.labels()? });
                break;
            }
        }
        for (keyword, many) in [(Keyword::GroupLeft, Side::Left), (Keyword::GroupRight, Side::Right)] {
            let span = self.peek().span;
            if self.eat_keyword(keyword) {
                if matching.on.is_none() {
                    let word = keyword.as_str();
                    return Err(Fault::expected(span, "`on (...)` or `ignoring (...)`", &format!("`{word}` alone")));
                }
                let has_labels = self.peek().kind == Kind::Symbol(Symbol::LeftParen);
                let include = if has_labels { self.labels()? } else { Vec::new() };
                matching.group = Some(Group { many, include });
                break;
            }
        }
        matching.fill = self.fill()?;
        Ok((return_bool, matching))
    }

    fn fill(&mut self) -> Result<Fill, Fault> {
        let mut fill = Fill::default();
        loop {
            let token = self.peek();
            let (left, right) = match token.kind {
                Kind::Keyword(Keyword::Fill) => (true, true),
                Kind::Keyword(Keyword::FillLeft) => (true, false),
                Kind::Keyword(Keyword::FillRight) => (false, true),
                _ => return Ok(fill),
            };
            if (left && fill.left.is_some()) || (right && fill.right.is_some()) {
                return Err(Fault::new(token.span, "expected one fill value for each side, found a second one"));
            }
            self.advance();
            self.expect(Symbol::LeftParen)?;
            let value = self.signed_number()?.0;
            self.expect(Symbol::RightParen)?;
            fill.left = if left { Some(value) } else { fill.left };
            fill.right = if right { Some(value) } else { fill.right };
        }
    }

    /// A number or duration literal with an optional sign, and where it stands.
    fn signed_number(&mut self) -> Result<(f64, Span), Fault> {
        let first = self.peek();
        let sign = match first.kind {
            Kind::Symbol(Symbol::Minus) => Some(Sign::Minus),
            Kind::Symbol(Symbol::Plus) => Some(Sign::Plus),
            _ => None,
        };
        if sign.is_some() {
            self.advance();
        }
        let token = self.advance();
        let value = match token.kind {
            Kind::Number => self.number(token)?,
            Kind::Duration => self.duration_literal(token)?,
            _ => return Err(self.unexpected(token, "a number")),
        };
        Ok((signed(sign.unwrap_or(Sign::Plus), value), first.span.to(token.span)))
    }

    fn number(&self, token: Token) -> Result<f64, Fault> {
        let text = self.text_of(token);
        literal::number(text)
            .ok_or_else(|| Fault::expected(token.span, "a number within the range of 64 bits", &format!("`{text}`")))
    }

    /// `(a, b, c)` with names of labels.
    fn labels(&mut self) -> Result<Vec<Label>, Fault> {
        self.expect(Symbol::LeftParen)?;
        let mut labels = Vec::new();
        loop {
            if self.eat(Symbol::RightParen) {
                return Ok(labels);
            }
            let token = self.advance();
            let name = match token.kind {
                Kind::Identifier | Kind::MetricIdentifier | Kind::Keyword(_) => self.text_of(token).to_owned(),
                Kind::String => self.string(token)?,
                _ => return Err(self.unexpected(token, "a label name or `)`")),
            };
            if name.is_empty() {
                return Err(Fault::expected(token.span, "a label name", "an empty string"));
            }
            labels.push(Label { name, span: token.span });
            if !self.eat(Symbol::Comma) {
                self.expect_one_of(Symbol::RightParen, "`,` or `)`")?;
                return Ok(labels);
            }
        }
    }

    fn string(&self, token: Token) -> Result<String, Fault> {
        literal::string(self.text_of(token)).map_err(|bad| {
            let start = token.span.start as usize + bad.at;
            let fault = Fault::new(Span::new(start, start + bad.length), bad.message);
            if bad.at > 0 { fault.hint("write \\\\ for a backslash, or quote the string with `") } else { fault }
        })
    }

    fn peek(&self) -> Token {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Token {
        let end = Token { kind: Kind::End, span: Span::new(self.text.len(), self.text.len()) };
        self.tokens.get(self.at + ahead).copied().unwrap_or(end)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn eat(&mut self, symbol: Symbol) -> bool {
        let found = self.peek().kind == Kind::Symbol(symbol);
        self.at += usize::from(found);
        found
    }

    fn eat_keyword(&mut self, keyword: Keyword) -> bool {
        let found = self.peek().kind == Kind::Keyword(keyword);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: Symbol) -> Result<Token, Fault> {
        self.expect_one_of(symbol, &format!("`{}`", symbol.as_str()))
    }

    /// `symbol`; `expected` also names what else could have stood here.
    fn expect_one_of(&mut self, symbol: Symbol, expected: &str) -> Result<Token, Fault> {
        let token = self.advance();
        if token.kind == Kind::Symbol(symbol) { Ok(token) } else { Err(self.unexpected(token, expected)) }
    }

    fn expect_end(&mut self) -> Result<(), Fault> {
        let token = self.advance();
        match token.kind {
            Kind::End => Ok(()),
            _ => Err(self.unexpected(token, "an operator or the end of the query")),
        }
    }

    fn unexpected(&self, token: Token, expected: &str) -> Fault {
        Fault::expected(token.span, expected, &self.describe(token))
    }

    fn describe(&self, token: Token) -> String {
        if token.kind == Kind::End {
            return "the end of the query".to_owned();
        }
        let text = self.text_of(token);
        match text.char_indices().nth(40) {
            Some((end, _)) => format!("`{}...`", &text[..end]),
            None => format!("`{text}`"),
        }
    }

    fn text_of(&self, token: Token) -> &str {
        self.text.get(token.span.range()).unwrap_or_default()
    }
}

fn signed(sign: Sign, value: f64) -> f64 {
    match sign {
        // One NaN for all, so that a tree equals the one of its printed text.
        _ if value.is_nan() => f64::NAN,
        Sign::Plus => value,
        Sign::Minus => -value,
    }
}

/// An operand of `</` or `>/` that is itself an operation, or the reverse, would have to be guessed.
fn unambiguous_trim(operand: &Expr, op: BinaryOp, op_span: Span) -> Result<(), Fault> {
    let trims = match operand {
        Expr::Binary(inner) => is_trim(op) || is_trim(inner.op),
        Expr::Unary(_) => is_trim(op),
        _ => false,
    };
    if !trims {
        return Ok(());
    }
    let message = "expected parentheses around an operation beside `</` or `>/`";
    Err(Fault::new(op_span, message).hint("how tightly these operators bind is not documented"))
}
