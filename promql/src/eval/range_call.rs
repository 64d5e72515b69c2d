//! Functions of range vectors: one series after the other, one window for each step.

use super::annotation::Annotations;
use super::column::{Column, Out, Row, Vector};
use super::error::EvalError;
use super::rate::{DELTA, INCREASE, RATE};
use super::select::{Cursor, Window, argument_span};
use super::time::Grid;
use super::{Evaluator, bare, over_time, rate, trend};
use crate::ast::{Call, Expr, Extension, ValueType};
use crate::labels::Labels;
use crate::span::Span;

/// One call of a function for one window.
pub(super) struct RangeCall<'a> {
    pub(super) window: Window<'a>,
    /// Length of the range in milliseconds.
    pub(super) range: i64,
    pub(super) extension: Option<Extension>,
    pub(super) start_timestamps: bool,
    /// The scalar arguments, in order.
    pub(super) args: &'a [f64],
    pub(super) notes: &'a mut Annotations,
    pub(super) metric: &'a str,
    /// Of the first argument: where most of Prometheus' annotations point.
    pub(super) span: Span,
    pub(super) last_span: Span,
}

type RangeFunction = fn(&mut RangeCall<'_>) -> Result<Option<Out>, EvalError>;

fn range_function(name: &str) -> Option<RangeFunction> {
    Some(match name {
        "rate" => |c| Ok(rate::change(c, RATE)),
        "increase" => |c| Ok(rate::change(c, INCREASE)),
        "delta" => |c| Ok(rate::change(c, DELTA)),
        "irate" => |c| Ok(rate::instant(c, true)),
        "idelta" => |c| Ok(rate::instant(c, false)),
        "resets" => |c| Ok(rate::count(c, |a, b| b < a, |a, b| b.is_reset_of(a), true)),
        "changes" => |c| Ok(rate::count(c, |a, b| a != b && !(a.is_nan() && b.is_nan()), |a, b| !a.same_as(b), false)),
        "deriv" => |c| Ok(trend::deriv(c)),
        "predict_linear" => |c| Ok(trend::predict_linear(c)),
        "double_exponential_smoothing" => trend::double_exponential_smoothing,
        "integral" => |c| Ok(trend::integral(c)),
        _ => return over_time::function(name),
    })
}

/// So many samples are looked at before it is asked again whether the query is still wanted: some milliseconds.
const BETWEEN_QUESTIONS: usize = 1 << 20;

/// Those whose value is one of the samples keep the metric's name.
const KEEPS_NAME: [&str; 2] = ["first_over_time", "last_over_time"];

impl Evaluator<'_> {
    /// None when the function is not one of range vectors.
    pub(super) fn range_call(&mut self, call: &Call, grid: &Grid) -> Result<Option<Vector>, EvalError> {
        let name = call.function.name;
        if name == "absent_over_time" {
            return self.absent_over_time(call, grid).map(Some);
        }
        let Some(function) = range_function(name) else { return Ok(None) };
        let span = argument_span(&call.args, 0);
        let last_span = argument_span(&call.args, call.args.len().saturating_sub(1));
        if let [arg] = &call.args[..]
            && let Some(mut rows) = self.summarized(name, arg, grid)?
        {
            for row in &mut rows {
                row.drop_name = !KEEPS_NAME.contains(&name);
                self.note_if_no_counter(name, &row.labels, span);
            }
            return self.renamed(rows, false).map(Some);
        }
        let mut ranged = None;
        let mut scalars = Vec::new();
        for arg in &call.args {
            match arg.value_type() {
                ValueType::Matrix => {
                    check_extension(arg, name)?;
                    ranged = Some(self.ranged(arg, grid)?);
                }
                _ => scalars.push(self.scalar(arg, grid)?),
            }
        }
        let ranged = ranged.ok_or(EvalError::Type { expected: "range vector" })?;
        let margins = self.margins(ranged.extension);
        let mut out = Vector::new();
        let mut args = vec![0.0; scalars.len()];
        for series in &ranged.series {
            self.alive()?;
            let metric = series.labels.metric_name();
            let mut column = Column::empty(grid.steps);
            let mut cursors = (Cursor::default(), Cursor::default());
            let mut filled = 0;
            let mut has_float = false;
            let mut same: Option<Option<Out>> = None;
            let mut looked_at = 0;
            // A window that never moves has one answer, unless an argument moves.
            let is_fixed = ranged.shift.is_fixed() && scalars.is_empty();
            for step in 0..grid.steps {
                let now = grid.time(step);
                let value = match (&same, is_fixed) {
                    (Some(value), true) => value.clone(),
                    _ => {
                        let window = ranged.window(&series.data, &mut cursors, now, margins);
                        looked_at += window.floats.len() + window.histograms.len();
                        if looked_at > BETWEEN_QUESTIONS {
                            looked_at = 0;
                            self.alive()?;
                        }
                        if window.floats.is_empty() && window.histograms.is_empty() {
                            None
                        } else {
                            for (arg, values) in args.iter_mut().zip(&scalars) {
                                *arg = values[step];
                            }
                            let mut one = RangeCall {
                                window,
                                range: ranged.range,
                                extension: ranged.extension,
                                start_timestamps: self.options.start_timestamps,
                                args: &args,
                                notes: &mut self.annotations,
                                metric,
                                span,
                                last_span,
                            };
                            function(&mut one)?
                        }
                    }
                };
                if let Some(value) = &value {
                    has_float |= matches!(value, Out::Float(_));
                    column.set(step, value.clone());
                    filled += 1;
                }
                same = Some(value);
            }
            if filled > 0 {
                self.count_samples(grid.steps)?;
                out.push(Row { labels: series.labels.clone(), column, drop_name: !KEEPS_NAME.contains(&name) });
            }
            if has_float {
                self.note_if_no_counter(name, &series.labels, span);
            }
        }
        self.renamed(out, false).map(Some)
    }

    /// For functions of counters that have given a number.
    fn note_if_no_counter(&mut self, function: &str, labels: &Labels, span: Span) {
        let metric = labels.metric_name();
        if metric.is_empty() || !matches!(function, "rate" | "increase") {
            return;
        }
        let quoted = crate::literal::quote(metric);
        if self.options.type_and_unit_labels {
            let found = labels.get("__type__");
            if !matches!(found, "counter" | "histogram") {
                let text = "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\"";
                self.annotations.info(span, format!("{text}, got {}: {quoted}", crate::literal::quote(found)));
            }
        } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix)) {
            let text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:";
            self.annotations.info(span, format!("{text} {quoted}"));
        }
    }

    fn absent_over_time(&mut self, call: &Call, grid: &Grid) -> Result<Vector, EvalError> {
        let Some(arg) = call.args.first() else { return Ok(Vector::new()) };
        check_extension(arg, "absent_over_time")?;
        let ranged = self.ranged(arg, grid)?;
        let mut column = Column::from_floats(vec![1.0; grid.steps]);
        for series in &ranged.series {
            let mut cursors = (Cursor::default(), Cursor::default());
            for step in 0..grid.steps {
                let window = ranged.window(&series.data, &mut cursors, grid.time(step), (0, 0));
                if !window.floats.is_empty() || !window.histograms.is_empty() {
                    column.clear(step);
                }
            }
        }
        if column.is_empty() {
            return Ok(Vector::new());
        }
        self.renamed(vec![Row { labels: super::call::absent_labels(arg), column, drop_name: true }], true)
    }
}

fn check_extension(arg: &Expr, function: &'static str) -> Result<(), EvalError> {
    let Expr::Matrix(matrix) = bare(arg) else { return Ok(()) };
    let (modifier, allowed, functions): (_, &[&str], _) = match matrix.selector.extension {
        None => return Ok(()),
        Some(Extension::Anchored) => {
            let allowed = &["changes", "delta", "increase", "rate", "resets"];
            ("anchored", allowed, "changes, delta, increase, rate, resets")
        }
        Some(Extension::Smoothed) => ("smoothed", &["delta", "increase", "rate"], "delta, increase, rate"),
    };
    if allowed.contains(&function) { Ok(()) } else { Err(EvalError::Modifier { modifier, functions, function }) }
}
