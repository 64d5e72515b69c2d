//! `rate`, `increase`, `delta`, `irate`, `idelta`: how much a series has changed, per second or in all.

use std::sync::Arc;

use super::annotation::Annotations;
use super::column::Out;
use super::range_call::RangeCall;
use super::select::Part;
use crate::ast::Extension;
use crate::histogram::{CUSTOM_SCHEMA, Histogram, ResetHint};
use crate::span::Span;

type Histograms<'a> = Part<'a, Arc<Histogram>>;

/// A counter never falls but by a reset.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) counter: bool,
    pub(super) per_second: bool,
}

pub(super) const RATE: Kind = Kind { counter: true, per_second: true };
pub(super) const INCREASE: Kind = Kind { counter: true, per_second: false };
pub(super) const DELTA: Kind = Kind { counter: false, per_second: false };

pub(super) fn change(call: &mut RangeCall<'_>, kind: Kind) -> Option<Out> {
    let window = call.window;
    if !window.floats.is_empty() && !window.histograms.is_empty() {
        call.notes.mixed_range(call.span, call.metric);
        return None;
    }
    match call.extension {
        None => extrapolated(call, kind),
        Some(extension) => {
            let smoothed = extension == Extension::Smoothed;
            if !window.floats.is_empty() {
                bounded_floats(call, kind, smoothed).map(Out::Float)
            } else if !window.histograms.is_empty() {
                bounded_histograms(call, kind, smoothed).map(Out::from)
            } else {
                None
            }
        }
    }
}

/// The change between first and last sample, extended to the borders of the range where the series seems to reach
/// beyond them.
fn extrapolated(call: &mut RangeCall<'_>, kind: Kind) -> Option<Out> {
    let window = call.window;
    let (floats, histograms) = (window.floats, window.histograms);
    let is_float = !floats.is_empty();
    let times = if is_float { floats.times } else { histograms.times };
    let (first, last) = (*times.first()?, *times.last()?);
    let gaps = times.len() - 1;
    let mut change = 0.0;
    let mut change_histogram = None;
    if is_float {
        change = floats.values[gaps] - floats.values[0];
        if kind.counter {
            change = with_resets(call, &floats, change);
        }
    } else if gaps > 0 {
        change_histogram = Some(histogram_change(call, &histograms, kind.counter)?);
    }

    let began = if is_float { floats.start(0) } else { histograms.start(0) };
    let mut sampled = Sampled { first, last, gaps, began: None };
    if kind.counter && call.start_timestamps && began != 0 && began > window.start && began < first {
        // The counter is known to have been 0 when it began, so nothing is guessed on this side.
        sampled.began = Some(began);
        if is_float {
            change += floats.values[0];
        } else {
            let first = &histograms.values[0];
            match &mut change_histogram {
                None => change_histogram = Some(first.as_ref().clone()),
                Some(sum) => add(sum, first, call.notes, call.span, call.metric)?,
            }
        }
    } else if gaps == 0 {
        return None;
    }
    let (first, total) = match &change_histogram {
        None => (floats.values.first().copied().unwrap_or(0.0), change),
        Some(total) => (histograms.values[0].count, total.count),
    };
    let factor = sampled.factor(kind, (window.start, window.end), call.range, (first, total));
    Some(match change_histogram {
        None => Out::Float(change * factor),
        Some(histogram) => histogram.scaled(factor).into(),
    })
}

/// Which part of a range has samples.
pub(super) struct Sampled {
    pub(super) first: i64,
    pub(super) last: i64,
    /// One less than samples.
    pub(super) gaps: usize,
    /// When the counter began, if that is known and before the first sample.
    pub(super) began: Option<i64>,
}

impl Sampled {
    /// By what a change between the samples is multiplied, so that it is one of the whole range, which is (start, end].
    /// `from` is the first value, and the change.
    pub(super) fn factor(&self, kind: Kind, (start, end): (i64, i64), range: i64, from: (f64, f64)) -> f64 {
        let seconds = |milliseconds: i64| milliseconds as f64 / 1000.0;
        let mut sampled = seconds(self.last - self.first);
        let average = if self.gaps > 0 { sampled / self.gaps as f64 } else { 0.0 };
        let threshold = average * 1.1;
        let mut to_start = seconds(self.first - start);
        let mut to_end = seconds(end - self.last);
        if let Some(began) = self.began {
            to_start = 0.0;
            sampled = seconds(self.last - began);
        } else {
            if to_start >= threshold {
                to_start = average / 2.0;
            }
            // A counter was not below 0: it began no earlier than where its slope meets it.
            let (first, total) = from;
            if kind.counter && total > 0.0 && first >= 0.0 {
                to_start = to_start.min(sampled * (first / total));
            }
        }
        if to_end >= threshold {
            to_end = average / 2.0;
        }
        let factor = if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled };
        if kind.per_second { factor / seconds(range) } else { factor }
    }
}

/// A change and, one after the other, what the counter had reached before each reset.
fn with_resets(call: &mut RangeCall<'_>, floats: &Part<'_, f64>, mut change: f64) -> f64 {
    // Seldom are there any, and this is fast: it does not stop at the first.
    let pairs = floats.values.iter().zip(floats.values.iter().skip(1));
    if !call.start_timestamps && !pairs.fold(false, |falls, (before, now)| falls | (now < before)) {
        return change;
    }
    let mut overlaps = false;
    for at in 1..floats.len() {
        let (before, now) = (floats.values[at - 1], floats.values[at]);
        overlaps |= call.start_timestamps && overlap(floats, at);
        if now < before || (call.start_timestamps && restarted(floats, at)) {
            change += before;
        }
    }
    if overlaps {
        call.notes.start_overlap(call.span, call.metric);
    }
    change
}

/// Whether the start time of a sample says that its counter was reset after the sample before.
pub(super) fn restarted<T>(part: &Part<'_, T>, at: usize) -> bool {
    let (before, start) = (at - 1, part.start(at));
    // At the sample's own time it stands for unknown, later it is wrong.
    if start == 0 || start >= part.times[at] || start < part.times[before] {
        return false;
    }
    if start > part.times[before] {
        return true;
    }
    // Deltas start where the one before ended; so does a counter whose start is not known.
    let known = part.start(before);
    known != 0 && known < part.times[before]
}

fn overlap<T>(part: &Part<'_, T>, at: usize) -> bool {
    let start = part.start(at);
    start != 0 && start < part.times[at - 1] && start != part.start(at - 1)
}

fn add(sum: &mut Histogram, other: &Histogram, notes: &mut Annotations, span: Span, metric: &str) -> Option<()> {
    match sum.add(other) {
        Err(_) => {
            notes.mixed_schemas(span, metric);
            None
        }
        Ok(combined) => {
            if combined.bounds_reconciled {
                notes.reconciled(span, "addition");
            }
            Some(())
        }
    }
}

fn sub(sum: &mut Histogram, other: &Histogram, notes: &mut Annotations, span: Span, metric: &str) -> Option<()> {
    match sum.sub(other) {
        Err(_) => {
            notes.mixed_schemas(span, metric);
            None
        }
        Ok(combined) => {
            if combined.bounds_reconciled {
                notes.reconciled(span, "subtraction");
            }
            Some(())
        }
    }
}

/// Of at least two histograms.
fn histogram_change(call: &mut RangeCall<'_>, points: &Histograms<'_>, counter: bool) -> Option<Histogram> {
    let last = points.values.last()?;
    let mut before = Arc::clone(&points.values[0]);
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    let reset = |at: usize, before: &Histogram| {
        (call.start_timestamps && restarted(points, at)) || points.values[at].is_reset_of(before)
    };
    if counter {
        // After a reset nothing of the first one counts, not even its layout.
        if reset(1, &before) {
            let second = &points.values[1];
            let (schema, custom_bounds) = (second.schema, second.custom_bounds.clone());
            before = Arc::new(Histogram { schema, custom_bounds, ..Histogram::default() });
        }
    }
    let custom = before.uses_custom_buckets();
    let mut schema = last.schema.min(before.schema);
    let between = points.values.get(1..points.len() - 1).unwrap_or(&[]);
    let differs = |h: &Histogram| h.uses_custom_buckets() != custom;
    if differs(last) || (counter && between.iter().any(|h| differs(h))) {
        call.notes.mixed_schemas(call.span, call.metric);
        if differs(last) && counter && (is_gauge(&points.values[0]) || is_gauge(last)) {
            call.notes.not_counter(call.span, call.metric);
        }
        return None;
    }
    if counter && !custom {
        schema = between.iter().map(|h| h.schema).fold(schema, i32::min);
    }
    let mut change = if schema == CUSTOM_SCHEMA { last.as_ref().clone() } else { last.to_schema(schema) };
    sub(&mut change, &before, call.notes, call.span, call.metric)?;
    if counter {
        let mut overlaps = false;
        for at in 1..points.len() {
            overlaps |= call.start_timestamps && overlap(points, at);
            if reset(at, &before) {
                add(&mut change, &before, call.notes, call.span, call.metric)?;
            }
            before = Arc::clone(&points.values[at]);
        }
        if points.values.iter().any(|h| is_gauge(h)) {
            call.notes.not_counter(call.span, call.metric);
        }
        if overlaps {
            call.notes.start_overlap(call.span, call.metric);
        }
    } else if !is_gauge(&points.values[0]) || !is_gauge(last) {
        call.notes.not_gauge(call.span, call.metric);
    }
    change.reset_hint = ResetHint::Gauge;
    Some(change.compact())
}

/// Indices of the samples that stand for the borders of a range: the last one not after its start, and, where smoothed,
/// the first one not before its end.
fn borders(times: &[i64], start: i64, end: i64, smoothed: bool) -> Option<(usize, usize)> {
    let last = times.len().checked_sub(1)?;
    let first = times[..last].partition_point(|t| *t <= start).saturating_sub(1);
    let last = if smoothed { times[..last].partition_point(|t| *t < end) } else { last };
    let none = times[last] <= start || (smoothed && times[first] > end);
    (!none).then_some((first, last))
}

fn bounded_floats(call: &mut RangeCall<'_>, kind: Kind, smoothed: bool) -> Option<f64> {
    let window = call.window;
    let (times, values) = (window.floats.times, window.floats.values);
    let (mut first, last) = borders(times, window.start, window.end, smoothed)?;
    let point = |at: usize| (times[at], values[at]);
    let left = if smoothed && times[first] < window.start {
        interpolate(point(first), point(first + 1), window.start, kind.counter)
    } else {
        values[first]
    };
    let right = if smoothed && last > 0 && times[last] > window.end {
        interpolate(point(last - 1), point(last), window.end, kind.counter)
    } else {
        values[last]
    };
    let mut change = right - left;
    if kind.counter {
        first += usize::from(times[first] <= window.start);
        let end = last + usize::from(times[last] < window.end);
        let (mut before, mut lost) = (left, 0.0);
        for &value in values.get(first..end).unwrap_or(&[]).iter().chain([&right]) {
            if value < before {
                lost += before;
            }
            before = value;
        }
        change += lost;
    }
    Some(if kind.per_second { change / (call.range as f64 / 1000.0) } else { change })
}

/// A counter that was reset between two samples is taken to have begun anew at the first one.
fn interpolate((t1, v1): (i64, f64), (t2, v2): (i64, f64), at: i64, counter: bool) -> f64 {
    let from = if counter && v2 < v1 { 0.0 } else { v1 };
    from + (v2 - from) * (at - t1) as f64 / (t2 - t1) as f64
}

fn bounded_histograms(call: &mut RangeCall<'_>, kind: Kind, smoothed: bool) -> Option<Histogram> {
    let window = call.window;
    let points = window.histograms;
    let (first, last) = borders(points.times, window.start, window.end, smoothed)?;
    let used = points.values.get(first..=last)?;
    if used.iter().any(|h| h.uses_custom_buckets() != used[0].uses_custom_buckets()) {
        call.notes.mixed_schemas(call.span, call.metric);
        return None;
    }
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if kind.counter && used.iter().any(|h| is_gauge(h)) {
        call.notes.not_counter(call.span, call.metric);
    }
    let left = if smoothed && points.times[first] < window.start {
        interpolate_histograms(&points, first, window.start, kind.counter, call.notes, call.span, call.metric)?
    } else {
        points.values[first].as_ref().clone()
    };
    let right = if smoothed && last > 0 && points.times[last] > window.end {
        interpolate_histograms(&points, last - 1, window.end, kind.counter, call.notes, call.span, call.metric)?
    } else {
        points.values[last].as_ref().clone()
    };
    let both_gauges = is_gauge(&left) && is_gauge(&right);
    if !kind.counter && !both_gauges {
        call.notes.not_gauge(call.span, call.metric);
    }
    let mut change = right.clone();
    sub(&mut change, &left, call.notes, call.span, call.metric)?;
    if kind.counter {
        let mut before = &left;
        let mut next = first + 1;
        // A reset on the way to the left border is in its interpolation already.
        if smoothed
            && points.times[first] < window.start
            && points.values.get(first + 1).is_some_and(|h| h.is_reset_of(&points.values[first]))
        {
            before = &points.values[first + 1];
            next += 1;
        }
        // The last one is the right border, or its interpolation, which has its hint.
        if next <= last {
            let mut correction: Option<Histogram> = None;
            for now in points.values[next..last].iter().map(Arc::as_ref).chain([&right]) {
                if now.is_reset_of(before) {
                    match &mut correction {
                        None => correction = Some(before.clone()),
                        Some(sum) => add(sum, before, call.notes, call.span, call.metric)?,
                    }
                }
                before = now;
            }
            if let Some(correction) = correction {
                add(&mut change, &correction, call.notes, call.span, call.metric)?;
            }
        }
    }
    if kind.per_second {
        change = change.divided(call.range as f64 / 1000.0);
    }
    change.reset_hint = ResetHint::Gauge;
    Some(change.compact())
}

/// Between the samples `left` and `left + 1`.
fn interpolate_histograms(
    points: &Histograms<'_>,
    left: usize,
    at: i64,
    counter: bool,
    notes: &mut Annotations,
    span: Span,
    metric: &str,
) -> Option<Histogram> {
    let (t1, t2) = (points.times[left], *points.times.get(left + 1)?);
    let (h1, h2) = (&points.values[left], points.values.get(left + 1)?);
    if at == t1 {
        return Some(h1.as_ref().clone());
    }
    if at == t2 {
        return Some(h2.as_ref().clone());
    }
    if h1.uses_custom_buckets() != h2.uses_custom_buckets() {
        notes.mixed_schemas(span, metric);
        return None;
    }
    let fraction = (at - t1) as f64 / (t2 - t1) as f64;
    if counter && h2.is_reset_of(h1) {
        return Some(h2.scaled(fraction));
    }
    let mut out = h2.as_ref().clone();
    sub(&mut out, h1, notes, span, metric)?;
    let mut out = out.scaled(fraction);
    add(&mut out, h1, notes, span, metric)?;
    Some(out)
}

/// The value of a smoothed instant selector: interpolated, or the last one where none follows.
pub(super) fn float_at(floats: &Part<'_, f64>, at: i64) -> Option<f64> {
    let next = floats.times.partition_point(|t| *t < at);
    let before = next.checked_sub(1);
    match (before, floats.times.get(next)) {
        (_, Some(time)) if *time == at => Some(floats.values[next]),
        (Some(b), Some(time)) => {
            Some(interpolate((floats.times[b], floats.values[b]), (*time, floats.values[next]), at, false))
        }
        (Some(b), None) => Some(floats.values[b]),
        (None, _) => None,
    }
}

/// As [`float_at`]; what is not marked as a gauge is a counter.
pub(super) fn histogram_at(
    points: &Histograms<'_>,
    at: i64,
    span: Span,
    metric: &str,
    notes: &mut Annotations,
) -> Option<Histogram> {
    let next = points.times.partition_point(|t| *t < at);
    if points.times.get(next) == Some(&at) {
        return Some(points.values[next].as_ref().clone());
    }
    let before = next.checked_sub(1)?;
    if next == points.len() {
        return Some(points.values[before].as_ref().clone());
    }
    let counter = points.values[next].reset_hint != ResetHint::Gauge;
    interpolate_histograms(points, before, at, counter, notes, span, metric)
}

/// The change between the last two samples.
pub(super) fn instant(call: &mut RangeCall<'_>, per_second: bool) -> Option<Out> {
    let (floats, histograms) = (call.window.floats, call.window.histograms);
    if floats.len() + histograms.len() < 2 {
        return None;
    }
    let newest_float = floats.times.last().copied().unwrap_or(i64::MIN);
    let newest_histogram = histograms.times.last().copied().unwrap_or(i64::MIN);
    let second_newest = |times: &[i64]| times.len().checked_sub(2).map_or(i64::MIN, |at| times[at]);
    let two_floats = second_newest(floats.times) > newest_histogram;
    let two_histograms = second_newest(histograms.times) > newest_float;
    if !two_floats && !two_histograms {
        call.notes.mixed_range(call.last_span, call.metric);
        return None;
    }
    if two_floats {
        let at = floats.len() - 1;
        let (before, now) = (floats.values[at - 1], floats.values[at]);
        let reset = now < before || (call.start_timestamps && restarted(&floats, at));
        let change = if per_second && reset { now } else { now - before };
        let seconds = (floats.times[at] - floats.times[at - 1]) as f64 / 1000.0;
        return Some(Out::Float(if per_second { change / seconds } else { change }));
    }
    let at = histograms.len() - 1;
    let (before, now) = (&histograms.values[at - 1], &histograms.values[at]);
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if per_second && (is_gauge(now) || is_gauge(before)) {
        call.notes.not_counter(call.last_span, call.metric);
    }
    let both_gauges = is_gauge(now) && is_gauge(before);
    if !per_second && !both_gauges {
        call.notes.not_gauge(call.last_span, call.metric);
    }
    let mut change = now.as_ref().clone();
    let reset = (call.start_timestamps && restarted(&histograms, at)) || now.is_reset_of(before);
    if !per_second || !reset {
        sub(&mut change, before, call.notes, call.last_span, call.metric)?;
    }
    change.reset_hint = ResetHint::Gauge;
    if per_second {
        change = change.divided((histograms.times[at] - histograms.times[at - 1]) as f64 / 1000.0);
    }
    Some(change.compact().into())
}

/// `resets` and `changes`: how often `differs` is true of a sample and the one before it.
pub(super) fn count(
    call: &RangeCall<'_>,
    floats_differ: fn(f64, f64) -> bool,
    histograms_differ: fn(&Histogram, &Histogram) -> bool,
    restarts: bool,
) -> Option<Out> {
    let window = call.window;
    let (floats, histograms) = (window.floats, window.histograms);
    let anchored = call.extension.is_some();
    let restarted_float = |at: usize| restarts && call.start_timestamps && restarted(&floats, at);
    let restarted_histogram = |at: usize| restarts && call.start_timestamps && restarted(&histograms, at);

    // All samples in order of time: (time, index, is a histogram).
    let mut order: Vec<(i64, usize, bool)> = Vec::with_capacity(floats.len() + histograms.len());
    order.extend(floats.times.iter().enumerate().map(|(at, t)| (*t, at, false)));
    order.extend(histograms.times.iter().enumerate().map(|(at, t)| (*t, at, true)));
    if !floats.is_empty() && !histograms.is_empty() {
        order.sort();
    }
    let last = order.last()?.0;
    let mut first = 0;
    if anchored {
        if last <= window.start {
            return None;
        }
        first = order.partition_point(|o| o.0 <= window.start).saturating_sub(1);
    }
    let mut total = 0_u64;
    for pair in order[first..].windows(2) {
        let ((_, before, was_histogram), (_, now, is_histogram)) = (pair[0], pair[1]);
        let differs = match (was_histogram, is_histogram) {
            (false, false) => floats_differ(floats.values[before], floats.values[now]) || restarted_float(now),
            (true, true) => {
                histograms_differ(&histograms.values[before], &histograms.values[now]) || restarted_histogram(now)
            }
            _ => true,
        };
        total += u64::from(differs);
    }
    Some(Out::Float(total as f64))
}
