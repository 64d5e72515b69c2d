//! `*_over_time`: an aggregate of one series' samples.

use std::sync::Arc;

use super::column::Out;
use super::error::EvalError;
use super::number::{Kahan, Mean, quantile};
use super::range_call::RangeCall;
use crate::histogram::{Accumulator, Histogram, HistogramMean, HistogramSum, ResetHint};

type Answer = Result<Option<Out>, EvalError>;

pub(super) fn function(name: &str) -> Option<fn(&mut RangeCall<'_>) -> Answer> {
    Some(match name {
        "sum_over_time" => |c| Ok(sum(c)),
        "avg_over_time" => |c| Ok(average(c)),
        "count_over_time" => |c| float((c.window.floats.len() + c.window.histograms.len()) as f64),
        "present_over_time" => |_| float(1.0),
        "min_over_time" => |c| Ok(extreme(c, |new, old| new < old).map(|(_, value)| Out::Float(value))),
        "max_over_time" => |c| Ok(extreme(c, |new, old| new > old).map(|(_, value)| Out::Float(value))),
        "ts_of_min_over_time" => |c| Ok(extreme(c, |new, old| new <= old).map(|(time, _)| seconds(time))),
        "ts_of_max_over_time" => |c| Ok(extreme(c, |new, old| new >= old).map(|(time, _)| seconds(time))),
        "first_over_time" => |c| Ok(first(c).map(|(_, value)| value)),
        "last_over_time" => |c| Ok(last(c).map(|(_, value)| value)),
        "ts_of_first_over_time" => |c| Ok(first(c).map(|(time, _)| seconds(time))),
        "ts_of_last_over_time" => |c| Ok(last(c).map(|(time, _)| seconds(time))),
        "stddev_over_time" => |c| Ok(variance(c).map(|v| Out::Float(v.sqrt()))),
        "stdvar_over_time" => |c| Ok(variance(c).map(Out::Float)),
        "mad_over_time" => |c| Ok(median_deviation(c)),
        "quantile_over_time" => |c| Ok(quantile_over_time(c)),
        _ => return None,
    })
}

fn float(value: f64) -> Answer {
    Ok(Some(Out::Float(value)))
}

fn seconds(milliseconds: i64) -> Out {
    Out::Float(milliseconds as f64 / 1000.0)
}

/// The floats, with a note where there are histograms besides; none when there is no float.
fn floats<'a>(call: &mut RangeCall<'a>) -> Option<&'a [f64]> {
    let window = call.window;
    if window.floats.is_empty() {
        return None;
    }
    if !window.histograms.is_empty() {
        call.notes.ignored_in_range(call.span, call.metric);
    }
    Some(window.floats.values)
}

/// Samples of one kind, with a warning when there are two.
enum Uniform<'a> {
    Floats(&'a [f64]),
    Histograms(&'a [Arc<Histogram>]),
}

fn uniform<'a>(call: &mut RangeCall<'a>) -> Option<Uniform<'a>> {
    let window = call.window;
    match (window.floats.is_empty(), window.histograms.is_empty()) {
        (false, false) => {
            call.notes.mixed_range(call.span, call.metric);
            None
        }
        (false, true) => Some(Uniform::Floats(window.floats.values)),
        (true, _) => Some(Uniform::Histograms(window.histograms.values)),
    }
}

fn sum(call: &mut RangeCall<'_>) -> Option<Out> {
    match uniform(call)? {
        Uniform::Floats(values) => Some(Out::Float(Kahan::of_all(values).total())),
        Uniform::Histograms(values) => combined::<HistogramSum>(call, values),
    }
}

fn average(call: &mut RangeCall<'_>) -> Option<Out> {
    match uniform(call)? {
        Uniform::Floats(values) => Some(Out::Float(Mean::of_all(values))),
        Uniform::Histograms(values) => combined::<HistogramMean>(call, values),
    }
}

/// Where some do not go together, that is all that is said.
fn combined<A: Accumulator>(call: &mut RangeCall<'_>, histograms: &[Arc<Histogram>]) -> Option<Out> {
    let (first, rest) = histograms.split_first()?;
    let (mut all, mut reconciled) = (A::of(first), false);
    for histogram in rest {
        let Ok(combined) = all.add(histogram) else {
            call.notes.mixed_schemas(call.span, call.metric);
            return None;
        };
        reconciled |= combined.bounds_reconciled;
    }
    if reconciled {
        call.notes.reconciled(call.span, "aggregation");
    }
    let has = |hint| histograms.iter().any(|h| h.reset_hint == hint);
    if has(ResetHint::Reset) && has(ResetHint::NotReset) {
        call.notes.hint_collision(call.span, "aggregation");
    }
    Some(all.total().into())
}

/// The first sample for which `better` is never true of a later one; any number is better than NaN.
fn extreme(call: &mut RangeCall<'_>, better: fn(f64, f64) -> bool) -> Option<(i64, f64)> {
    let values = floats(call)?;
    let times = call.window.floats.times;
    let mut best = (*times.first()?, *values.first()?);
    for (time, value) in times.iter().zip(values) {
        if better(*value, best.1) || best.1.is_nan() {
            best = (*time, *value);
        }
    }
    Some(best)
}

fn first(call: &RangeCall<'_>) -> Option<(i64, Out)> {
    let window = call.window;
    let float = window.floats.times.first().zip(window.floats.values.first());
    let histogram = window.histograms.times.first().zip(window.histograms.values.first());
    match (float, histogram) {
        (Some((time, value)), other) if other.is_none_or(|(t, _)| time < t) => Some((*time, Out::Float(*value))),
        (_, Some((time, value))) => Some((*time, Out::Histogram(Arc::clone(value)))),
        _ => None,
    }
}

fn last(call: &RangeCall<'_>) -> Option<(i64, Out)> {
    let window = call.window;
    let float = window.floats.times.last().zip(window.floats.values.last());
    let histogram = window.histograms.times.last().zip(window.histograms.values.last());
    match (float, histogram) {
        (Some((time, value)), other) if other.is_none_or(|(t, _)| t < time) => Some((*time, Out::Float(*value))),
        (_, Some((time, value))) => Some((*time, Out::Histogram(Arc::clone(value)))),
        _ => None,
    }
}

/// By Welford's method, compensated.
fn variance(call: &mut RangeCall<'_>) -> Option<f64> {
    let values = floats(call)?;
    let (mut mean, mut squares, mut count) = (Kahan::default(), Kahan::default(), 0.0);
    for value in values {
        count += 1.0;
        let delta = value - (mean.sum + mean.lost);
        mean.add(delta / count);
        squares.add(delta * (value - (mean.sum + mean.lost)));
    }
    Some((squares.sum + squares.lost) / count)
}

fn median_deviation(call: &mut RangeCall<'_>) -> Option<Out> {
    let mut values = floats(call)?.to_vec();
    if values.iter().any(|v| v.is_nan()) {
        return Some(Out::Float(f64::NAN));
    }
    let median = quantile(0.5, &mut values);
    values.iter_mut().for_each(|v| *v = (*v - median).abs());
    Some(Out::Float(quantile(0.5, &mut values)))
}

fn quantile_over_time(call: &mut RangeCall<'_>) -> Option<Out> {
    if call.window.floats.is_empty() {
        return None;
    }
    let q = *call.args.first()?;
    if q.is_nan() || !(0.0..=1.0).contains(&q) {
        call.notes.quantile_out_of_range(call.span, q);
    }
    let values = floats(call)?;
    Some(Out::Float(quantile(q, &mut values.to_vec())))
}
