//! Functions of instant vectors and scalars.

use std::collections::HashSet;

use super::column::{Column, Out, Row, SampleValue, Vector};
use super::error::EvalError;
use super::select::argument_span;
use super::time::Grid;
use super::{Evaluator, ResetHints, Val, bare, date};
use crate::ast::{Call, Expr, MatcherOp};
use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::storage::is_stale;

impl Evaluator<'_> {
    pub(super) fn call(&mut self, call: &Call, grid: &Grid) -> Result<Val, EvalError> {
        if let Some(values) = self.scalar_call(call, grid)? {
            return Ok(Val::Scalar(values));
        }
        if let Some(vector) = self.range_call(call, grid)? {
            return Ok(Val::Vector(vector));
        }
        self.vector_call(call, grid).map(Val::Vector)
    }

    fn scalar_call(&mut self, call: &Call, grid: &Grid) -> Result<Option<Vec<f64>>, EvalError> {
        let constant = |value: f64| vec![value; grid.steps];
        let seconds = |milliseconds: i64| milliseconds as f64 / 1000.0;
        Ok(Some(match (call.function.name, call.args.as_slice()) {
            ("time", _) => (0..grid.steps).map(|step| seconds(grid.time(step))).collect(),
            ("pi", _) => constant(std::f64::consts::PI),
            ("start", _) => constant(seconds(self.query.start)),
            ("end", _) => constant(seconds(self.query_end)),
            ("step", _) => constant(seconds(self.query_step)),
            ("range", _) => constant(seconds(self.query_end - self.query.start)),
            ("max_of", [a, b]) => {
                let (a, b) = (self.scalar(a, grid)?, self.scalar(b, grid)?);
                a.iter().zip(&b).map(|(a, b)| go_max(*a, *b)).collect()
            }
            ("min_of", [a, b]) => {
                let (a, b) = (self.scalar(a, grid)?, self.scalar(b, grid)?);
                a.iter().zip(&b).map(|(a, b)| go_min(*a, *b)).collect()
            }
            ("scalar", [arg]) => {
                let vector = self.vector(arg, grid)?;
                (0..grid.steps).map(|step| only_float(&vector, step)).collect()
            }
            _ => return Ok(None),
        }))
    }

    fn vector_call(&mut self, call: &Call, grid: &Grid) -> Result<Vector, EvalError> {
        let name = call.function.name;
        if let Some(part) = date::part(name) {
            return match call.args.first() {
                Some(arg) => self.map_floats(arg, grid, part),
                None => {
                    self.count_samples(grid.steps)?;
                    let value = |step| part(grid.time(step).div_euclid(1000) as f64);
                    let column = Column::from_floats((0..grid.steps).map(value).collect());
                    Ok(vec![Row::new(Labels::default(), column)])
                }
            };
        }
        if let (Some(function), Some(arg)) = (float_function(name), call.args.first()) {
            return self.map_floats(arg, grid, function);
        }
        if let (Some(function), Some(arg)) = (histogram_function(name), call.args.first()) {
            let only_counts = matches!(name, "histogram_count" | "histogram_sum" | "histogram_avg");
            let hints = if only_counts { ResetHints::WorkedOut } else { self.hints };
            return self.with_hints(hints, |this| this.map_histograms(arg, grid, function));
        }
        match (name, call.args.as_slice()) {
            ("clamp", [v, min, max]) => {
                let (min, max) = (self.scalar(min, grid)?, self.scalar(max, grid)?);
                self.clamp(v, grid, &min, &max)
            }
            ("clamp_min", [v, min]) => {
                let min = self.scalar(min, grid)?;
                self.clamp(v, grid, &min, &vec![f64::INFINITY; grid.steps])
            }
            ("clamp_max", [v, max]) => {
                let max = self.scalar(max, grid)?;
                self.clamp(v, grid, &vec![f64::NEG_INFINITY; grid.steps], &max)
            }
            ("round", [v]) => self.round(v, grid, &vec![1.0; grid.steps]),
            ("round", [v, to]) => {
                let to = self.scalar(to, grid)?;
                self.round(v, grid, &to)
            }
            ("vector", [scalar]) => {
                let values = self.scalar(scalar, grid)?;
                Ok(vec![Row::new(Labels::default(), Column::from_floats(values))])
            }
            ("timestamp", [arg]) => self.timestamp(arg, grid),
            ("start_timestamp", [arg]) => self.start_timestamp(arg, grid),
            ("absent", [arg]) => self.absent(arg, grid),
            ("label_replace", [v, dst, repl, src, regex]) => {
                let texts = (self.text(dst)?, self.text(repl)?, self.text(src)?, self.text(regex)?);
                let vector = self.vector(v, grid)?;
                let spend = |bytes| self.count_bytes(bytes);
                super::label::replace(vector, (&texts.0, &texts.1, &texts.2, &texts.3), spend)
            }
            ("label_join", [v, dst, separator, sources @ ..]) => {
                let (dst, separator) = (self.text(dst)?, self.text(separator)?);
                let sources: Vec<String> = sources.iter().map(|s| self.text(s)).collect::<Result<_, _>>()?;
                let vector = self.vector(v, grid)?;
                let spend = |bytes| self.count_bytes(bytes);
                super::label::join(vector, &dst, &separator, &sources, spend)
            }
            ("sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc", [v, labels @ ..]) => {
                let labels: Vec<String> = labels.iter().map(|l| self.text(l)).collect::<Result<_, _>>()?;
                let vector = self.vector(v, grid)?;
                if self.query_step != 0 {
                    let text = "sort is ineffective for range queries since results are always ordered by labels";
                    self.annotations.warn(call.span, text);
                }
                Ok(super::sort::sorted(name, vector, &labels))
            }
            ("histogram_quantile", [q, v]) => {
                let qs = self.scalar(q, grid)?;
                let span = argument_span(&call.args, 0);
                self.with_hints(ResetHints::AlwaysAsStored, |this| this.histogram_quantile(&qs, v, grid, span))
            }
            ("histogram_quantiles", [v, label, qs @ ..]) => self.histogram_quantiles(v, label, qs, grid),
            ("histogram_fraction", [lower, upper, v]) => {
                let (lower, upper) = (self.scalar(lower, grid)?, self.scalar(upper, grid)?);
                self.with_hints(ResetHints::AlwaysAsStored, |this| this.histogram_fraction(&lower, &upper, v, grid))
            }
            ("info", [v, rest @ ..]) => self.info(v, rest.first(), grid),
            // Every function of the table is named above or in `range_call`.
            _ => Err(EvalError::Type { expected: "instant vector" }),
        }
    }

    /// A function that knows floats only; histograms vanish.
    fn map_floats(&mut self, arg: &Expr, grid: &Grid, function: fn(f64) -> f64) -> Result<Vector, EvalError> {
        let mut vector = self.vector(arg, grid)?;
        for row in &mut vector {
            row.column.drop_histograms();
            row.column.map_floats(function);
            row.drop_name = true;
        }
        vector.retain(|row| !row.column.is_empty());
        self.renamed(vector, true)
    }

    fn map_steps(
        &mut self,
        arg: &Expr,
        grid: &Grid,
        function: impl Fn(usize, f64) -> Option<f64>,
    ) -> Result<Vector, EvalError> {
        let mut vector = self.vector(arg, grid)?;
        for row in &mut vector {
            row.column.drop_histograms();
            for (step, value) in row.column.floats.iter_mut().enumerate().filter(|(_, v)| !is_stale(**v)) {
                *value = function(step, *value).unwrap_or(crate::storage::STALE);
            }
            row.drop_name = true;
        }
        vector.retain(|row| !row.column.is_empty());
        self.renamed(vector, true)
    }

    fn clamp(&mut self, arg: &Expr, grid: &Grid, min: &[f64], max: &[f64]) -> Result<Vector, EvalError> {
        self.map_steps(arg, grid, |step, value| {
            let empty = max[step] < min[step];
            (!empty).then(|| go_max(min[step], go_min(max[step], value)))
        })
    }

    fn round(&mut self, arg: &Expr, grid: &Grid, to: &[f64]) -> Result<Vector, EvalError> {
        // By the inverse, as Prometheus does: 0.1 has fewer surprises then.
        self.map_steps(arg, grid, |step, value| {
            let inverse = 1.0 / to[step];
            Some((value * inverse + 0.5).floor() / inverse)
        })
    }

    fn map_histograms(
        &mut self,
        arg: &Expr,
        grid: &Grid,
        function: fn(&Histogram) -> f64,
    ) -> Result<Vector, EvalError> {
        let vector = self.vector(arg, grid)?;
        let mut out = Vector::new();
        for row in vector.into_iter().filter(|row| row.column.has_histograms()) {
            let mut column = Column::empty(grid.steps);
            for step in 0..grid.steps {
                if let Some(SampleValue::Histogram(histogram)) = row.column.get(step) {
                    column.set(step, Out::Float(function(histogram)));
                }
            }
            if !column.is_empty() {
                out.push(Row { labels: row.labels, column, drop_name: true });
            }
        }
        self.renamed(out, true)
    }

    /// Of a selector the time of each sample, of any other vector the time of evaluation.
    fn timestamp(&mut self, arg: &Expr, grid: &Grid) -> Result<Vector, EvalError> {
        let mut vector = match bare(arg) {
            Expr::Vector(selector) => {
                self.instant_with(selector, grid, |found| Some(Out::Float(found.time as f64 / 1000.0)))?
            }
            _ => {
                let mut vector = self.vector(arg, grid)?;
                for row in &mut vector {
                    let time = |step| {
                        if row.column.has(step) { grid.time(step) as f64 / 1000.0 } else { crate::storage::STALE }
                    };
                    row.column = Column::from_floats((0..grid.steps).map(time).collect());
                }
                vector
            }
        };
        vector.iter_mut().for_each(|row| row.drop_name = true);
        self.renamed(vector, true)
    }

    /// Only stored samples have a start, where starts are used at all; of those whose start is not known it is 0.
    fn start_timestamp(&mut self, arg: &Expr, grid: &Grid) -> Result<Vector, EvalError> {
        let (Expr::Vector(selector), true) = (bare(arg), self.options.start_timestamps) else {
            // What is wrong with it is still to be said.
            return self.vector(arg, grid).map(|_| Vector::new());
        };
        let seconds = |found: super::select::Found<'_>| Some(Out::Float(found.start as f64 / 1000.0));
        let mut vector = self.instant_with(selector, grid, seconds)?;
        vector.iter_mut().for_each(|row| row.drop_name = true);
        self.renamed(vector, true)
    }

    fn absent(&mut self, arg: &Expr, grid: &Grid) -> Result<Vector, EvalError> {
        let vector = self.vector(arg, grid)?;
        let mut column = Column::from_floats(vec![1.0; grid.steps]);
        for step in 0..grid.steps {
            if vector.iter().any(|row| row.column.has(step)) {
                column.clear(step);
            }
        }
        let rows = if column.is_empty() { Vec::new() } else { vec![Row::new(absent_labels(arg), column)] };
        Ok(rows)
    }
}

/// What a selector's equal matchers say about a series that is not there.
pub(super) fn absent_labels(arg: &Expr) -> Labels {
    let selector = match bare(arg) {
        Expr::Vector(selector) => selector,
        Expr::Matrix(matrix) => &matrix.selector,
        _ => return Labels::default(),
    };
    let mut seen = HashSet::new();
    let mut labels = Labels::default();
    for matcher in selector.matchers.iter().filter(|m| m.name != "__name__") {
        let first = seen.insert(&matcher.name) || matcher.op != MatcherOp::Equal;
        let value = if first && matcher.op == MatcherOp::Equal { matcher.value.as_str() } else { "" };
        labels = labels.with(&matcher.name, value);
        if matcher.op != MatcherOp::Equal {
            seen.remove(&matcher.name);
        }
    }
    labels
}

/// The one float at a step, else NaN.
fn only_float(vector: &[Row], step: usize) -> f64 {
    let mut floats = vector.iter().filter_map(|row| row.column.floats.get(step).copied().filter(|v| !is_stale(*v)));
    match (floats.next(), floats.next()) {
        (Some(value), None) => value,
        _ => f64::NAN,
    }
}

/// Go's `math.Max`: NaN wins over all but an infinity in its favour.
pub(super) fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

pub(super) fn go_min(a: f64, b: f64) -> f64 {
    -go_max(-a, -b)
}

fn float_function(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "rad" => |v| v * std::f64::consts::PI / 180.0,
        "deg" => |v| v * 180.0 / std::f64::consts::PI,
        "sgn" => |v| {
            if v < 0.0 {
                -1.0
            } else if v > 0.0 {
                1.0
            } else {
                v
            }
        },
        _ => return None,
    })
}

fn histogram_function(name: &str) -> Option<fn(&Histogram) -> f64> {
    Some(match name {
        "histogram_count" => |h| h.count,
        "histogram_sum" => |h| h.sum,
        "histogram_avg" => |h| h.sum / h.count,
        "histogram_stddev" => |h| h.variance().sqrt(),
        "histogram_stdvar" => |h| h.variance(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::ValueType;
    use crate::functions::{FUNCTIONS, Variadic};
    use crate::{Memory, Options, parse, query_range};

    /// A call with an argument of each type that a function wants.
    fn example(function: &crate::Function) -> String {
        let count = match function.variadic {
            Variadic::No => function.args.len(),
            Variadic::UpTo(_) | Variadic::Any => function.args.len() - 1,
        };
        let args: Vec<&str> = (0..count.max(function.arity().0))
            .map(|at| match function.arg(at) {
                Some(ValueType::Scalar) => "0.5",
                Some(ValueType::Vector) => "up",
                Some(ValueType::Matrix) => "up[5m]",
                Some(ValueType::String) | None => "\"job\"",
            })
            .collect();
        format!("{}({})", function.name, args.join(", "))
    }

    #[test]
    fn every_function_that_the_parser_knows_is_evaluated() {
        let mut memory = Memory::new();
        let labels = Labels::new([("__name__", "up"), ("job", "a")]);
        (0..10).for_each(|at| memory.push_float(&labels, at * 60_000, at as f64, 0));
        for function in &FUNCTIONS {
            let text = example(function);
            let expr = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let answer = query_range(&expr, (0, 600_000, 60_000), &memory, &Options::default());
            answer.unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}
