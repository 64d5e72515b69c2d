//! Aggregations: many series become one for each group.

use std::collections::HashMap;

use super::column::{Collector, Column, Out, Row, SampleValue, Vector};
use super::error::EvalError;
use super::number::{Kahan, Mean, plain_number, quantile};
use super::rank::{largest, smallest};
use super::select::argument_span;
use super::time::Grid;
use super::{Evaluator, bare};
use crate::ast::{Aggregate, AggregateOp, Grouping};
use crate::histogram::{Accumulator, HistogramMean, HistogramSum, Incompatible, ResetHint};
use crate::labels::{Labels, METADATA};
use crate::span::Span;

/// So many steps are looked at before it is asked again whether the query is still wanted.
const BETWEEN_QUESTIONS: usize = 1 << 12;

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, aggregate: &Aggregate, grid: &Grid) -> Result<Vector, EvalError> {
        let span = argument_span(std::slice::from_ref(&aggregate.expr), 0);
        match aggregate.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                self.ranked(aggregate, grid)
            }
            AggregateOp::CountValues => self.count_values(aggregate, grid),
            AggregateOp::Quantile => {
                let param = aggregate.param.as_deref().ok_or(EvalError::Type { expected: "scalar" })?;
                let qs = self.scalar(param, grid)?;
                let (largest, smallest) = (largest(&qs), smallest(&qs));
                let nan = qs.iter().copied().find(|q| q.is_nan());
                let beyond = [(largest > 1.0).then_some(largest), (smallest < 0.0).then_some(smallest), nan];
                for q in beyond.into_iter().flatten() {
                    self.annotations.quantile_out_of_range(bare(param).span(), q);
                }
                self.grouped(aggregate, grid, span, |cells, step, notes| quantile_of(cells, qs[step], notes))
            }
            op => self.grouped(aggregate, grid, span, |cells, _, notes| fold(op, cells, notes)),
        }
    }

    /// One value for each group and step that has samples.
    fn grouped(
        &mut self,
        aggregate: &Aggregate,
        grid: &Grid,
        span: Span,
        value: impl Fn(&[(SampleValue<'_>, &Labels)], usize, &mut Notes<'_>) -> Option<Out>,
    ) -> Result<Vector, EvalError> {
        let vector = self.vector(&aggregate.expr, grid)?;
        let mut out = Vector::new();
        for (labels, members) in groups(&vector, aggregate.grouping.as_ref()) {
            self.alive()?;
            let mut column = Column::empty(grid.steps);
            let mut cells: Vec<(SampleValue<'_>, &Labels)> = Vec::with_capacity(members.len());
            let mut notes = Notes { annotations: &mut self.annotations, span };
            for step in 0..grid.steps {
                cells.clear();
                let cell = |at: &usize| Some((vector[*at].column.get(step)?, &vector[*at].labels));
                cells.extend(members.iter().filter_map(cell));
                if cells.is_empty() {
                    continue;
                }
                if let Some(value) = value(&cells, step, &mut notes) {
                    column.set(step, value);
                }
            }
            if !column.is_empty() {
                let drop_name = members.iter().any(|at| vector[*at].drop_name);
                out.push(Row { labels, column, drop_name });
            }
        }
        self.count_samples(out.len() * grid.steps)?;
        Ok(out)
    }

    fn count_values(&mut self, aggregate: &Aggregate, grid: &Grid) -> Result<Vector, EvalError> {
        let param = aggregate.param.as_deref().ok_or(EvalError::Type { expected: "string" })?;
        let label = self.text(param)?;
        if label.is_empty() {
            return Err(EvalError::ValueLabel(label));
        }
        let vector = self.vector(&aggregate.expr, grid)?;
        let mut counts: HashMap<(usize, usize), f64> = HashMap::new();
        let mut out = Collector::new(grid.steps);
        for row in &vector {
            for step in 0..grid.steps {
                if step % BETWEEN_QUESTIONS == 0 {
                    self.alive()?;
                }
                let text = match row.column.get(step) {
                    None => continue,
                    Some(SampleValue::Float(value)) => plain_number(value),
                    Some(SampleValue::Histogram(histogram)) => histogram.to_string(),
                };
                let labels = row.labels.with(&label, &text);
                let labels = match &aggregate.grouping {
                    Some(grouping) if !grouping.without => {
                        labels.retain(|name| name == label || grouping.labels.iter().any(|l| l.name == name))
                    }
                    None => labels.retain(|name| name == label),
                    Some(_) => group_labels(&labels, aggregate.grouping.as_ref()),
                };
                let known = out.len();
                let place = out.row(&labels);
                if out.len() > known {
                    self.count_samples(grid.steps)?;
                    self.count_bytes(text.len())?;
                }
                *counts.entry((place, step)).or_insert(0.0) += 1.0;
            }
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(place, _)| *place);
        for ((place, step), count) in counts {
            out.put(place, step, Out::Float(count), false)?;
        }
        let mut vector = out.finish();
        // Else it is that of the steps before, and what rounds would differ with it.
        vector.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(vector)
    }
}

/// Members of each group, in the order in which the groups come up.
pub(super) fn groups(vector: &Vector, grouping: Option<&Grouping>) -> Vec<(Labels, Vec<usize>)> {
    let mut index: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<usize>)> = Vec::new();
    for (at, row) in vector.iter().enumerate() {
        let labels = group_labels(&row.labels, grouping);
        let place = *index.entry(labels).or_insert_with_key(|labels| {
            groups.push((labels.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(at);
    }
    groups
}

fn group_labels(labels: &Labels, grouping: Option<&Grouping>) -> Labels {
    match grouping {
        None => Labels::default(),
        Some(grouping) => labels.retain(|name| {
            let listed = grouping.labels.iter().any(|l| l.name == name);
            if grouping.without { !listed && !METADATA.contains(&name) } else { listed }
        }),
    }
}

/// Where notes about an aggregation go.
struct Notes<'a> {
    annotations: &'a mut super::annotation::Annotations,
    span: Span,
}

type Cells<'a, 'b> = &'a [(SampleValue<'b>, &'b Labels)];

fn fold(op: AggregateOp, cells: Cells<'_, '_>, notes: &mut Notes<'_>) -> Option<Out> {
    match op {
        AggregateOp::Sum => sum(cells, notes),
        AggregateOp::Avg => average(cells, notes),
        AggregateOp::Count => Some(Out::Float(cells.len() as f64)),
        AggregateOp::Group => Some(Out::Float(1.0)),
        AggregateOp::Min => extreme(cells, "min", notes, |new, old| new < old),
        AggregateOp::Max => extreme(cells, "max", notes, |new, old| new > old),
        AggregateOp::Stdvar => variance(cells, "stdvar", notes).map(Out::Float),
        AggregateOp::Stddev => variance(cells, "stddev", notes).map(|v| Out::Float(v.sqrt())),
        AggregateOp::Topk
        | AggregateOp::Bottomk
        | AggregateOp::Limitk
        | AggregateOp::LimitRatio
        | AggregateOp::CountValues
        | AggregateOp::Quantile => None,
    }
}

/// With a note where there are histograms besides.
fn floats<'a>(cells: Cells<'a, '_>, aggregation: &str, notes: &mut Notes<'_>) -> impl Iterator<Item = f64> + use<'a> {
    if has_histograms(cells) {
        notes.annotations.ignored_in_aggregation(notes.span, aggregation);
    }
    only_floats(cells)
}

/// Any number is better than NaN.
fn extreme(cells: Cells<'_, '_>, name: &str, notes: &mut Notes<'_>, better: fn(f64, f64) -> bool) -> Option<Out> {
    let best = floats(cells, name, notes).reduce(|best, v| if better(v, best) || best.is_nan() { v } else { best });
    best.map(Out::Float)
}

fn variance(cells: Cells<'_, '_>, name: &str, notes: &mut Notes<'_>) -> Option<f64> {
    let mut values = floats(cells, name, notes);
    let first = values.next()?;
    let mut squares = if first.is_finite() { 0.0 } else { f64::NAN };
    let (mut mean, mut count) = (first, 1.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    Some(squares / count)
}

fn quantile_of(cells: Cells<'_, '_>, q: f64, notes: &mut Notes<'_>) -> Option<Out> {
    let mut values: Vec<f64> = floats(cells, "quantile", notes).collect();
    (!values.is_empty()).then(|| Out::Float(quantile(q, &mut values)))
}

fn has_histograms(cells: Cells<'_, '_>) -> bool {
    cells.iter().any(|(cell, _)| matches!(cell, SampleValue::Histogram(_)))
}

fn only_floats<'a>(cells: Cells<'a, '_>) -> impl Iterator<Item = f64> + use<'a> {
    cells.iter().filter_map(|(cell, _)| match cell {
        SampleValue::Float(value) => Some(*value),
        SampleValue::Histogram(_) => None,
    })
}

fn sum(cells: Cells<'_, '_>, notes: &mut Notes<'_>) -> Option<Out> {
    if has_histograms(cells) {
        return combined::<HistogramSum>(cells, notes);
    }
    let mut sum = Kahan::default();
    only_floats(cells).for_each(|value| sum.add(value));
    Some(Out::Float(sum.total()))
}

fn average(cells: Cells<'_, '_>, notes: &mut Notes<'_>) -> Option<Out> {
    if has_histograms(cells) {
        return combined::<HistogramMean>(cells, notes);
    }
    let mut values = only_floats(cells);
    let mut mean = Mean::of(values.next()?);
    values.for_each(|value| mean.add(value));
    Some(Out::Float(mean.value()))
}

/// One cell after the other, as Prometheus goes: what comes after two that do not go together is not looked at, and
/// histograms after a float are not added.
fn combined<A: Accumulator>(cells: Cells<'_, '_>, notes: &mut Notes<'_>) -> Option<Out> {
    let mut all: Option<A> = None;
    let (mut has_float, mut has_histogram) = (false, false);
    let (mut reset, mut not_reset) = (false, false);
    let mut is_incompatible = false;
    for (cell, labels) in cells {
        let histogram = match cell {
            SampleValue::Float(_) => {
                has_float = true;
                continue;
            }
            SampleValue::Histogram(histogram) => histogram,
        };
        let is_first = !has_float && !has_histogram;
        has_histogram = true;
        match &mut all {
            None if is_first => all = Some(A::of(histogram)),
            None => continue,
            Some(all) => match all.add(histogram) {
                Ok(combined) if combined.bounds_reconciled => notes.annotations.reconciled(notes.span, "aggregation"),
                Ok(_) => {}
                Err(Incompatible) => {
                    notes.annotations.mixed_schemas(notes.span, labels.metric_name());
                    is_incompatible = true;
                    break;
                }
            },
        }
        reset |= histogram.reset_hint == ResetHint::Reset;
        not_reset |= histogram.reset_hint == ResetHint::NotReset;
    }
    if has_float && has_histogram {
        let text = "encountered a mix of histograms and floats for aggregation";
        notes.annotations.warn(notes.span, text);
        return None;
    }
    if is_incompatible {
        return None;
    }
    if reset && not_reset {
        notes.annotations.hint_collision(notes.span, "aggregation");
    }
    Some(all?.total().into())
}
