//! From where the buckets of a range are read, so that none is of other samples than there are.

use std::collections::BTreeMap;

use lynceus_promql::Windows;

use super::dirty::Missing;
use super::{Blocks, Dirty, HOURS_OF_BLOCK, MILLIS_OF_HOUR, newest_over};
use crate::time::LATEST;

/// Each is a condition in a statement; with more of them samples are read.
const MAX_PIECES: usize = 1000;

/// What a query reads.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    /// The longest buckets, in hours.
    pub(crate) hours: i64,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) blocks: Blocks,
    /// What lies between windows is not read.
    pub(crate) thin: Option<Thin>,
}

/// The buckets of a time from one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) source: Source,
    /// Behind which it begins, in milliseconds.
    pub(crate) start: i64,
    pub(crate) end: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Hours that are made when they are read.
    Samples,
    Hours,
    Blocks,
}

/// Times of which only those within windows are wanted: (start, start + width], and each next one a step later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thin {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) width: i64,
}

impl Thin {
    /// A condition for an expression of milliseconds.
    pub(crate) fn sql(&self, millis: &str) -> String {
        let Self { start, step, width } = self;
        format!("positiveModulo({millis} - ({start}) - 1, {step}) < {width}")
    }
}

impl Plan {
    /// For windows that consist of whole buckets; None where they do not, or where too much is not rolled up.
    pub(crate) fn of_windows(windows: &Windows, dirty: &Dirty) -> Option<Self> {
        let step = if windows.steps > 1 { windows.step } else { 0 };
        let blocks = dirty.blocks();
        let hours = longest(blocks, windows.end, &[windows.range, step])?;
        let width = windows.range;
        let thin = (step > width).then_some(Thin { start: windows.start(), step, width });
        Self::new((hours, blocks), (windows.start(), windows.last()), thin, dirty)
    }

    /// For the newest sample at each of the windows' ends, which is not older than they reach.
    pub(crate) fn of_newest(windows: &Windows, dirty: &Dirty) -> Option<Self> {
        if windows.steps < 2 || windows.range > MILLIS_OF_HOUR {
            return None;
        }
        let blocks = dirty.blocks();
        let hours = longest(blocks, windows.end, &[windows.step])?;
        // Buckets that end with them.
        let thin = Thin { start: windows.end - 1, step: windows.step, width: 1 };
        Self::new((hours, blocks), (windows.end - hours * MILLIS_OF_HOUR, windows.last()), Some(thin), dirty)
    }

    /// The times of each source.
    pub(crate) fn by_source(&self) -> BTreeMap<Source, Vec<(i64, i64)>> {
        let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for piece in &self.pieces {
            all.entry(piece.source).or_default().push((piece.start, piece.end));
        }
        all
    }

    fn new(
        (hours, blocks): (i64, Blocks),
        (start, end): (i64, i64),
        thin: Option<Thin>,
        dirty: &Dirty,
    ) -> Option<Self> {
        let (start, end) = (start.clamp(0, LATEST), end.clamp(0, LATEST));
        let (first, last) = (start / MILLIS_OF_HOUR + 1, end / MILLIS_OF_HOUR);
        let missing = dirty.within(blocks.last_hour(first) - HOURS_OF_BLOCK + 1..=blocks.last_hour(last), blocks)?;
        let pieces = pieces((hours, blocks), (first, last), &missing, newest_over());
        (pieces.len() <= MAX_PIECES).then_some(Self { hours, pieces, blocks, thin })
    }
}

/// The longest buckets, in hours, of which windows consist that end at a time and have these lengths and distances.
fn longest(blocks: Blocks, end: i64, lengths: &[i64]) -> Option<i64> {
    let are_multiples = |hours: i64| lengths.iter().all(|length| length % (hours * MILLIS_OF_HOUR) == 0);
    if blocks.has_border(end) && are_multiples(HOURS_OF_BLOCK) {
        return Some(HOURS_OF_BLOCK);
    }
    (end % MILLIS_OF_HOUR == 0 && are_multiples(1)).then_some(1)
}

/// What is missing, or not over, is read from what is shorter.
fn pieces((hours, blocks): (i64, Blocks), (first, last): (i64, i64), missing: &Missing, newest: i64) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut hour = first;
    while hour <= last {
        let end = if hours == 1 { hour } else { blocks.last_hour(hour) };
        // Nothing is known of hours that are not over.
        if hour > newest {
            push(&mut pieces, Source::Samples, hour, last);
            break;
        }
        let is_clean = |range: std::ops::RangeInclusive<i64>| {
            *range.end() <= newest && missing.hours.range(range).next().is_none()
        };
        let is_made = !missing.blocks.contains(&end);
        if hours > 1 && is_made && is_clean(end - HOURS_OF_BLOCK + 1..=end) {
            push(&mut pieces, Source::Blocks, hour, end);
        } else {
            for hour in hour..=end.min(last) {
                push(&mut pieces, if is_clean(hour..=hour) { Source::Hours } else { Source::Samples }, hour, hour);
            }
        }
        hour = end + 1;
    }
    pieces
}

/// One piece where they follow each other.
fn push(pieces: &mut Vec<Piece>, source: Source, first: i64, last: i64) {
    let (start, end) = ((first - 1) * MILLIS_OF_HOUR, last * MILLIS_OF_HOUR);
    match pieces.last_mut() {
        Some(piece) if piece.source == source && piece.end == start => piece.end = end,
        _ => pieces.push(Piece { source, start, end }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(end: i64, step: i64, steps: usize, range: i64) -> Windows {
        let hours = |hours| hours * MILLIS_OF_HOUR;
        Windows { end: hours(end), step: hours(step), steps, range: hours(range) }
    }

    #[track_caller]
    fn check(hours: i64, range: (i64, i64), dirty: &[i64], newest: i64, expected: &[(Source, i64, i64)]) {
        let missing = Missing { hours: dirty.iter().copied().collect(), blocks: [42].into() };
        let found = pieces((hours, Blocks::default()), range, &missing, newest);
        let found: Vec<_> = found
            .iter()
            .map(|piece| (piece.source, piece.start / MILLIS_OF_HOUR + 1, piece.end / MILLIS_OF_HOUR))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_dirty_or_not_over_is_read_from_samples() {
        use Source::{Blocks, Hours, Samples};
        check(1, (1, 10), &[], 20, &[(Hours, 1, 10)]);
        check(1, (1, 10), &[4, 5], 8, &[(Hours, 1, 3), (Samples, 4, 5), (Hours, 6, 8), (Samples, 9, 10)]);
        check(6, (1, 24), &[], 30, &[(Blocks, 1, 24)]);
        check(
            6,
            (1, 24),
            &[9],
            30,
            &[(Blocks, 1, 6), (Hours, 7, 8), (Samples, 9, 9), (Hours, 10, 12), (Blocks, 13, 24)],
        );
        check(6, (1, 24), &[], 20, &[(Blocks, 1, 18), (Hours, 19, 20), (Samples, 21, 24)]);
        check(6, (1, 24), &[], 0, &[(Samples, 1, 24)]);
        // Of 42 the block is not made.
        check(6, (31, 48), &[], 50, &[(Blocks, 31, 36), (Hours, 37, 42), (Blocks, 43, 48)]);
    }

    #[test]
    fn windows_have_to_consist_of_whole_buckets() {
        let dir = tempfile::tempdir().unwrap();
        let dirty = Dirty::load(dir.path()).unwrap();
        assert_eq!(Plan::of_windows(&windows(12, 6, 3, 6), &dirty), None, "nothing is known of hours");
        dirty.begin(vec![], Blocks::default(), vec![]).unwrap();
        let hours = |windows| Plan::of_windows(&windows, &dirty).map(|plan| (plan.hours, plan.thin.is_some()));
        assert_eq!(hours(windows(12, 6, 3, 12)), Some((6, false)));
        assert_eq!(hours(windows(12, 24, 3, 6)), Some((6, true)));
        assert_eq!(hours(windows(12, 7, 3, 6)), Some((1, true)));
        assert_eq!(hours(windows(12, 7, 1, 6)), Some((6, false)), "one window has no step");
        assert_eq!(hours(windows(13, 6, 3, 6)), Some((1, false)));
        assert_eq!(hours(Windows { end: 60_000, ..windows(0, 6, 3, 6) }), None);
        // In Tokyo a day ends at 15:00.
        dirty.begin(vec![], Blocks::of_zone(9), vec![]).unwrap();
        let hours = |windows| Plan::of_windows(&windows, &dirty).map(|plan| plan.hours);
        assert_eq!(hours(windows(15, 12, 3, 12)), Some(6));
        assert_eq!(hours(windows(12, 12, 3, 12)), Some(1));
    }

    #[test]
    fn the_newest_sample_needs_buckets_that_end_with_the_steps() {
        let dir = tempfile::tempdir().unwrap();
        let dirty = Dirty::load(dir.path()).unwrap();
        dirty.begin(vec![], Blocks::default(), vec![]).unwrap();
        let lookback = |windows: Windows| Windows { range: 300_000, ..windows };
        let plan = Plan::of_newest(&lookback(windows(12, 12, 3, 0)), &dirty).unwrap();
        let thin = plan.thin.unwrap();
        assert_eq!((plan.hours, thin.start, thin.width), (6, 12 * MILLIS_OF_HOUR - 1, 1));
        let all = Piece { source: Source::Blocks, start: 6 * MILLIS_OF_HOUR, end: 36 * MILLIS_OF_HOUR };
        assert_eq!(plan.pieces, [all]);
        assert_eq!(Plan::of_newest(&windows(12, 12, 3, 2), &dirty), None, "it may be in the bucket before");
        assert_eq!(Plan::of_newest(&lookback(windows(12, 12, 1, 0)), &dirty), None);
    }
}
