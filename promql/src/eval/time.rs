//! Steps, offsets, `@`, and lengths of time that depend on the query.

use super::error::EvalError;
use super::{Evaluator, bare};
use crate::ast::{At, DurationExpr, DurationFunction, DurationOp, Expr, Sign};

/// Times of evaluation, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) start: i64,
    /// Above 0.
    pub(super) step: i64,
    pub(super) steps: usize,
}

impl Grid {
    pub(super) fn new(start: i64, end: i64, step: i64, max: i64) -> Result<Grid, EvalError> {
        if step <= 0 {
            return Err(EvalError::Step);
        }
        if end < start {
            return Err(EvalError::EndBeforeStart);
        }
        check_time(start)?;
        check_time(end)?;
        let gaps = (end - start) / step;
        // Prometheus compares the gaps, so that 11,001 points pass.
        if gaps > max {
            return Err(EvalError::TooManySteps { max });
        }
        Ok(Grid { start, step, steps: gaps as usize + 1 })
    }

    pub(super) fn time(&self, step: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(step as i64))
    }

    pub(super) fn end(&self) -> i64 {
        self.time(self.steps.saturating_sub(1))
    }
}

/// Beyond, seconds as a double do not tell milliseconds apart, and sums of times and durations could overflow.
pub(super) fn check_time(time: i64) -> Result<(), EvalError> {
    if time.unsigned_abs() < 1 << 53 { Ok(()) } else { Err(EvalError::Time(time)) }
}

/// Which times a selector looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shift {
    at: Option<i64>,
    offset: i64,
}

impl Shift {
    pub(super) fn time(&self, now: i64) -> i64 {
        self.at.unwrap_or(now).saturating_sub(self.offset)
    }

    /// What a shift within a subquery amounts to.
    pub(super) fn within(self, outer: Shift) -> Shift {
        if self.at.is_some() { self } else { Shift { at: outer.at, offset: self.offset.saturating_add(outer.offset) } }
    }

    pub(super) fn is_fixed(&self) -> bool {
        self.at.is_some()
    }
}

impl Evaluator<'_> {
    pub(super) fn shift(&self, at: Option<At>, offset: Option<&DurationExpr>) -> Result<Shift, EvalError> {
        let at = at.map(|at| match at {
            At::Timestamp(time) => time,
            At::Start => self.query.start,
            At::End => self.query_end,
        });
        let offset = offset.map_or(Ok(0), |offset| self.milliseconds(offset))?;
        Ok(Shift { at, offset })
    }

    /// A range or a subquery's step, in milliseconds.
    pub(super) fn positive(&self, duration: &DurationExpr) -> Result<i64, EvalError> {
        match self.milliseconds(duration)? {
            length if length > 0 => Ok(length),
            _ => Err(EvalError::Duration("duration must be greater than 0")),
        }
    }

    fn milliseconds(&self, duration: &DurationExpr) -> Result<i64, EvalError> {
        let millis = self.seconds(duration)? * 1000.0;
        // Prometheus counts in nanoseconds of 63 bits.
        if millis.is_nan() || millis.abs() > 9.2e12 {
            return Err(EvalError::Duration("duration is out of range"));
        }
        // A literal such as 0.001 must not lose its last millisecond to rounding.
        Ok(if (millis - millis.round()).abs() < 1e-6 { millis.round() as i64 } else { millis as i64 })
    }

    fn seconds(&self, duration: &DurationExpr) -> Result<f64, EvalError> {
        Ok(match duration {
            DurationExpr::Literal(literal) => literal.seconds,
            DurationExpr::Step(_) => self.query_step as f64 / 1000.0,
            DurationExpr::Range(_) => (self.query_end - self.query.start) as f64 / 1000.0,
            DurationExpr::Paren(paren) => self.seconds(&paren.expr)?,
            DurationExpr::Unary(unary) => match unary.sign {
                Sign::Plus => self.seconds(&unary.expr)?,
                Sign::Minus => -self.seconds(&unary.expr)?,
            },
            DurationExpr::Compare(compare) => {
                let (a, b) = (self.seconds(&compare.lhs)?, self.seconds(&compare.rhs)?);
                match compare.function {
                    DurationFunction::MaxOf | DurationFunction::Max => a.max(b),
                    DurationFunction::MinOf | DurationFunction::Min => a.min(b),
                }
            }
            DurationExpr::Binary(binary) => {
                let (a, b) = (self.seconds(&binary.lhs)?, self.seconds(&binary.rhs)?);
                match binary.op {
                    DurationOp::Add => a + b,
                    DurationOp::Sub => a - b,
                    DurationOp::Mul => a * b,
                    DurationOp::Div if b == 0.0 => return Err(EvalError::Duration("division by zero")),
                    DurationOp::Div => a / b,
                    DurationOp::Mod if b == 0.0 => return Err(EvalError::Duration("modulo by zero")),
                    DurationOp::Mod => a % b,
                    DurationOp::Pow => a.powf(b),
                }
            }
        })
    }

    /// Whether an expression has the same value at each step, so that once is enough.
    pub(super) fn is_step_invariant(&self, expr: &Expr) -> bool {
        match bare(expr) {
            // Cheaper made than copied.
            Expr::Number(_) | Expr::String(_) => false,
            other => invariant(other),
        }
    }
}

/// Functions whose value depends on the time of evaluation even when their arguments do not.
const OF_TIME: [&str; 11] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
];

fn invariant(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(selector) => selector.at.is_some(),
        Expr::Matrix(matrix) => matrix.selector.at.is_some(),
        Expr::Subquery(subquery) => subquery.at.is_some(),
        Expr::Call(call) => !OF_TIME.contains(&call.function.name) && call.args.iter().all(invariant),
        Expr::Aggregate(aggregate) => invariant(&aggregate.expr) && aggregate.param.as_deref().is_none_or(invariant),
        Expr::Binary(binary) => invariant(&binary.lhs) && invariant(&binary.rhs),
        Expr::Unary(unary) => invariant(&unary.expr),
        Expr::Paren(paren) => invariant(&paren.expr),
    }
}
