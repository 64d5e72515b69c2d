//! Lines and curves through samples.

use super::column::Out;
use super::error::EvalError;
use super::number::Kahan;
use super::range_call::RangeCall;

/// At least two floats, with a note where histograms are besides.
fn points<'a>(call: &mut RangeCall<'a>) -> Option<(&'a [i64], &'a [f64])> {
    let window = call.window;
    if !window.floats.is_empty() && !window.histograms.is_empty() {
        call.notes.ignored_in_range(call.span, call.metric);
    }
    (window.floats.len() >= 2).then_some((window.floats.times, window.floats.values))
}

/// Slope per second, and the value at `origin`, of the line with the least squares.
fn regression(times: &[i64], values: &[f64], origin: i64) -> (f64, f64) {
    let first = values.first().copied().unwrap_or(f64::NAN);
    if values.iter().all(|v| *v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let count = values.len() as f64;
    let (mut x, mut y, mut xy, mut xx) = (Kahan::default(), Kahan::default(), Kahan::default(), Kahan::default());
    for (time, value) in times.iter().zip(values) {
        let seconds = (time - origin) as f64 / 1000.0;
        x.add(seconds);
        y.add(*value);
        xy.add(seconds * value);
        xx.add(seconds * seconds);
    }
    let (x, y) = (x.sum + x.lost, y.sum + y.lost);
    let covariance = (xy.sum + xy.lost) - x * y / count;
    let variance = (xx.sum + xx.lost) - x * x / count;
    let slope = covariance / variance;
    (slope, y / count - slope * x / count)
}

pub(super) fn deriv(call: &mut RangeCall<'_>) -> Option<Out> {
    let (times, values) = points(call)?;
    // An origin near the samples keeps the sums exact.
    let (slope, _) = regression(times, values, times[0]);
    Some(Out::Float(slope))
}

pub(super) fn predict_linear(call: &mut RangeCall<'_>) -> Option<Out> {
    let seconds = *call.args.first()?;
    let (times, values) = points(call)?;
    let (slope, intercept) = regression(times, values, call.window.now);
    Some(Out::Float(slope * seconds + intercept))
}

/// Holt's linear method; the factors are those of smoothing and of trend.
pub(super) fn double_exponential_smoothing(call: &mut RangeCall<'_>) -> Result<Option<Out>, EvalError> {
    let &[smoothing, trend] = call.args else { return Ok(None) };
    for (kind, symbol, found) in [("smoothing", "sf", smoothing), ("trend", "tf", trend)] {
        if found <= 0.0 || found >= 1.0 {
            return Err(EvalError::Smoothing { kind, symbol, found });
        }
    }
    let Some((_, values)) = points(call) else { return Ok(None) };
    let (mut before, mut level) = (0.0, values[0]);
    let mut slope = values[1] - values[0];
    for (at, value) in values.iter().enumerate().skip(1) {
        if at > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    Ok(Some(Out::Float(level)))
}

/// What lies below the samples: of the value at the left, at the right, or of both in the middle. NaN counts as 0.
pub(super) fn integral(call: &mut RangeCall<'_>) -> Option<Out> {
    let window = call.window;
    if window.floats.is_empty() {
        return None;
    }
    if !window.histograms.is_empty() {
        call.notes.ignored_in_range(call.span, call.metric);
    }
    let strategy = call.args.first().copied().unwrap_or(2.0);
    if ![0.0, 1.0, 2.0].contains(&strategy) {
        call.notes.integral_strategy(call.last_span, strategy);
    }
    let number = |value: f64| if value.is_nan() { 0.0 } else { value };
    let mut sum = Kahan::default();
    for (times, values) in window.floats.times.windows(2).zip(window.floats.values.windows(2)) {
        let (before, now) = (number(values[0]), number(values[1]));
        let height = if strategy == 0.0 {
            Kahan::of(before)
        } else if strategy == 1.0 {
            Kahan::of(now)
        } else {
            middle(before, now)
        };
        if height.sum != 0.0 || height.lost != 0.0 {
            let seconds = (times[1] - times[0]) as f64 / 1000.0;
            sum.lost += height.lost * seconds;
            sum.add(height.sum * seconds);
        }
    }
    Some(Out::Float(sum.total()))
}

/// Of numbers whose sum overflows, too.
fn middle(a: f64, b: f64) -> Kahan {
    let mut sum = Kahan::of(a);
    sum.add(b);
    if sum.sum.is_infinite() && a.is_finite() && b.is_finite() {
        let mut halves = Kahan::of(a / 2.0);
        halves.add(b / 2.0);
        return halves;
    }
    Kahan { sum: sum.sum / 2.0, lost: sum.lost / 2.0 }
}
