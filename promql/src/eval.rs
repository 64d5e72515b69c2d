//! The evaluator: an expression over the samples of a [`Storage`], as Prometheus 3 evaluates it.
//!
//! ```text
//! Expr ─▶ check durations ─▶ eval(node, grid) for each node, all steps at once ─▶ drop names ─▶ Answer
//!                                └─▶ Storage::select, once for each selector and grid
//! ```
//!
//! A node's value is one column over all steps for each series, so that a range query costs one walk of the tree.
//! Evaluation is computation only: no I/O beyond the storage's, no panic, and limits on steps, samples and, by
//! [`Options::cancelled`], time.

mod aggregate;
mod annotation;
mod answer;
mod binary;
mod call;
mod classic;
mod column;
mod date;
mod error;
mod info;
mod label;
mod matching;
mod number;
mod over_time;
mod range_call;
mod rank;
mod rate;
mod select;
mod sort;
mod summary;
mod time;
mod trend;

use std::sync::Arc;

pub use annotation::{Annotation, Severity};
pub use answer::{Answer, Sample, Series, Value};
pub use column::SampleValue;
pub use error::EvalError;
pub(crate) use number::{Kahan, go_number};

use crate::ast::{Expr, Sign, Unary};
use crate::storage::Storage;
use annotation::Annotations;
use column::{Column, Row, Vector};
use time::Grid;

/// How to evaluate. The defaults are those of a Prometheus 3 server.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How old a sample may be, in milliseconds, to be a series' value.
    pub lookback: i64,
    /// Step of a subquery that names none, in milliseconds: the server's evaluation interval.
    pub subquery_step: i64,
    /// Most samples of one query: those read for ranges, and a cell for each series and step of each node.
    pub max_samples: usize,
    /// Most steps of a range query, the first not counted, as Prometheus' API counts.
    pub max_steps: i64,
    /// Drop metric names at the end only, so that `label_replace` still finds them
    /// (`--enable-feature=promql-delayed-name-removal`).
    pub delayed_name_removal: bool,
    /// Know counters by their label `__type__` rather than by their name (`--enable-feature=type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Count resets by the samples' start times, too (`--enable-feature=promql-start-timestamps`).
    pub start_timestamps: bool,
    /// Asked between series; true ends the evaluation with [`EvalError::Cancelled`].
    pub cancelled: &'a dyn Fn() -> bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            lookback: 5 * 60_000,
            subquery_step: 60_000,
            max_samples: 50_000_000,
            max_steps: 11_000,
            delayed_name_removal: false,
            type_and_unit_labels: false,
            start_timestamps: false,
            cancelled: &|| false,
        }
    }
}

/// Evaluates at one time, in milliseconds since 1970.
///
/// ```
/// use lynceus_promql::{Labels, Memory, Options, parse, query};
/// let mut memory = Memory::new();
/// memory.push_float(&Labels::new([("__name__", "up"), ("vm", "a")]), 0, 1.0, 0);
/// let answer = query(&parse("sum(up) + 1")?, 60_000, &memory, &Options::default())?;
/// assert_eq!(answer.value.to_string(), "{} 2 @[60000]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn query(expr: &Expr, time: i64, storage: &dyn Storage, options: &Options<'_>) -> Result<Answer, EvalError> {
    time::check_time(time)?;
    let grid = Grid { start: time, step: 1, steps: 1 };
    let mut evaluator = Evaluator::new(grid, (time, 0), storage, options);
    let value = evaluator.instant(expr, time)?;
    Ok(Answer { value, annotations: evaluator.annotations.finish() })
}

/// Evaluates at `start` and every `step` after it up to `end`, all in milliseconds since 1970. Series of the answer
/// are ordered by their labels.
pub fn query_range(
    expr: &Expr,
    (start, end, step): (i64, i64, i64),
    storage: &dyn Storage,
    options: &Options<'_>,
) -> Result<Answer, EvalError> {
    let grid = Grid::new(start, end, step, options.max_steps)?;
    let mut evaluator = Evaluator::new(grid, (end, step), storage, options);
    let value = evaluator.range(expr)?;
    Ok(Answer { value, annotations: evaluator.annotations.finish() })
}

struct Evaluator<'a> {
    storage: &'a dyn Storage,
    options: &'a Options<'a>,
    /// Of the query, for `start()`, `end()`, `step()` and `range()`.
    query: Grid,
    /// As asked for, on the grid or not.
    query_end: i64,
    query_step: i64,
    samples: usize,
    annotations: Annotations,
    hints: ResetHints,
}

/// Functions that want only count and sum of histograms read them from Prometheus' storage without buckets, and with
/// each reset hint worked out, so that there a warning about hints can come up which else does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ResetHints {
    AsStored,
    WorkedOut,
    /// Somewhere above, the buckets are wanted.
    AlwaysAsStored,
}

/// The value of a node over a grid.
enum Val {
    Scalar(Vec<f64>),
    Vector(Vector),
    Text(Arc<str>),
}

impl<'a> Evaluator<'a> {
    fn new(
        query: Grid,
        (query_end, query_step): (i64, i64),
        storage: &'a dyn Storage,
        options: &'a Options<'a>,
    ) -> Evaluator<'a> {
        Evaluator {
            storage,
            options,
            query,
            query_end,
            query_step,
            samples: 0,
            annotations: Annotations::default(),
            hints: ResetHints::AsStored,
        }
    }

    fn instant(&mut self, expr: &Expr, time: i64) -> Result<Value, EvalError> {
        match bare(expr) {
            Expr::Matrix(_) | Expr::Subquery(_) => {
                let grid = self.query;
                let ranged = self.ranged(expr, &grid)?;
                let mut out = ranged.into_answer(time);
                out.sort_by(|a, b| a.labels.cmp(&b.labels));
                return Ok(Value::Matrix(out));
            }
            _ => {}
        }
        let grid = self.query;
        Ok(match self.eval(expr, &grid)? {
            Val::Scalar(values) => Value::Scalar(time, values.first().copied().unwrap_or(f64::NAN)),
            Val::Text(text) => Value::Text(time, text.to_string()),
            Val::Vector(vector) => Value::Vector(answer::series(self.without_names(vector)?, &grid)),
        })
    }

    fn range(&mut self, expr: &Expr) -> Result<Value, EvalError> {
        let value_type = expr.value_type();
        let grid = self.query;
        let rows = match self.eval_typed(expr, &grid)? {
            Val::Scalar(values) => vec![Row::new(crate::labels::Labels::default(), Column::from_floats(values))],
            Val::Vector(vector) => self.without_names(vector)?,
            Val::Text(_) => return Err(EvalError::NoRangeOf(value_type)),
        };
        let mut series = answer::series(rows, &grid);
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Value::Matrix(series))
    }

    fn eval_typed(&mut self, expr: &Expr, grid: &Grid) -> Result<Val, EvalError> {
        match bare(expr) {
            Expr::Matrix(_) | Expr::Subquery(_) => Err(EvalError::NoRangeOf(expr.value_type())),
            _ => self.eval(expr, grid),
        }
    }

    fn eval(&mut self, expr: &Expr, grid: &Grid) -> Result<Val, EvalError> {
        if grid.steps > 1 && self.is_step_invariant(expr) {
            let once = Grid { steps: 1, ..*grid };
            let value = self.eval_steps(expr, &once)?;
            return self.repeat(value, grid.steps);
        }
        let value = self.eval_steps(expr, grid)?;
        // Vectors are counted where they are made.
        if let Val::Scalar(values) = &value {
            self.count_samples(values.len())?;
        }
        Ok(value)
    }

    fn eval_steps(&mut self, expr: &Expr, grid: &Grid) -> Result<Val, EvalError> {
        match expr {
            Expr::Number(number) => Ok(Val::Scalar(vec![number.value; grid.steps])),
            Expr::String(text) => Ok(Val::Text(text.value.as_str().into())),
            Expr::Paren(paren) => self.eval(&paren.expr, grid),
            Expr::Vector(selector) => self.instant_selector(selector, grid).map(Val::Vector),
            Expr::Unary(unary) => self.unary(unary, grid),
            Expr::Binary(binary) => self.binary(binary, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid).map(Val::Vector),
            Expr::Call(call) => self.call(call, grid),
            // The parser lets these stand only where a function takes them, and at the top.
            Expr::Matrix(_) | Expr::Subquery(_) => Err(EvalError::NoRangeOf(expr.value_type())),
        }
    }

    fn vector(&mut self, expr: &Expr, grid: &Grid) -> Result<Vector, EvalError> {
        match self.eval(expr, grid)? {
            Val::Vector(vector) => Ok(vector),
            Val::Scalar(_) | Val::Text(_) => Err(EvalError::Type { expected: "instant vector" }),
        }
    }

    /// Evaluates with other reset hints.
    fn with_hints<T>(&mut self, hints: ResetHints, eval: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.hints;
        if before != ResetHints::AlwaysAsStored {
            self.hints = hints;
        }
        let value = eval(self);
        self.hints = before;
        value
    }

    fn scalar(&mut self, expr: &Expr, grid: &Grid) -> Result<Vec<f64>, EvalError> {
        match self.eval(expr, grid)? {
            Val::Scalar(values) => Ok(values),
            Val::Vector(_) | Val::Text(_) => Err(EvalError::Type { expected: "scalar" }),
        }
    }

    fn text(&mut self, expr: &Expr) -> Result<String, EvalError> {
        match bare(expr) {
            Expr::String(text) => Ok(text.value.clone()),
            _ => Err(EvalError::Type { expected: "string" }),
        }
    }

    fn unary(&mut self, unary: &Unary, grid: &Grid) -> Result<Val, EvalError> {
        let value = self.eval(&unary.expr, grid)?;
        if unary.sign == Sign::Plus {
            return Ok(value);
        }
        match value {
            Val::Scalar(values) => Ok(Val::Scalar(values.into_iter().map(|v| -v).collect())),
            Val::Vector(mut vector) => {
                for row in &mut vector {
                    row.column.map_floats(|v| -v);
                    row.column.map_histograms(|h| Some(h.scaled(-1.0)));
                    row.drop_name = true;
                }
                self.renamed(vector, true).map(Val::Vector)
            }
            Val::Text(_) => Err(EvalError::Type { expected: "scalar or instant vector" }),
        }
    }

    /// Drops names now, unless that is left to the end. Series that become the same are merged where `merge` allows
    /// it and no step has both.
    fn renamed(&mut self, mut vector: Vector, merge: bool) -> Result<Vector, EvalError> {
        if self.options.delayed_name_removal {
            return Ok(vector);
        }
        for row in vector.iter_mut().filter(|row| row.drop_name) {
            row.labels = row.labels.without_metadata();
            row.drop_name = false;
        }
        column::merged(vector, merge)
    }

    /// What is left to the end.
    fn without_names(&mut self, mut vector: Vector) -> Result<Vector, EvalError> {
        for row in vector.iter_mut().filter(|row| row.drop_name) {
            row.labels = row.labels.without_metadata();
        }
        column::merged(vector, true)
    }

    fn repeat(&mut self, value: Val, steps: usize) -> Result<Val, EvalError> {
        Ok(match value {
            Val::Scalar(values) => {
                self.count_samples(steps)?;
                Val::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); steps])
            }
            Val::Vector(mut vector) => {
                self.count_samples(vector.len() * steps)?;
                for row in &mut vector {
                    row.column = row.column.repeated(steps);
                }
                Val::Vector(vector)
            }
            Val::Text(text) => Val::Text(text),
        })
    }

    /// Counts samples as they are made. They are not given back before the end, so the limit bounds time as well as
    /// memory, and is reached earlier than Prometheus', which counts what is held at a time.
    fn count_samples(&mut self, samples: usize) -> Result<(), EvalError> {
        self.samples = self.samples.saturating_add(samples);
        if self.samples > self.options.max_samples {
            return Err(EvalError::TooManySamples);
        }
        self.alive()
    }

    /// Labels that a query makes count as the samples that would take their room.
    fn count_bytes(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.count_samples(bytes / 16)
    }

    fn alive(&self) -> Result<(), EvalError> {
        if (self.options.cancelled)() { Err(EvalError::Cancelled) } else { Ok(()) }
    }
}

/// Without parentheses around it.
fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(paren) = expr {
        expr = &paren.expr;
    }
    expr
}
