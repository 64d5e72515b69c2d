//! Performance samples of an entity, over a window of time.

use crate::model::{Connection, Counter, Entity, Power, Series, TICK_MILLIS, Time};

use super::Cx;

/// A window of samples.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    /// Length of a sample in milliseconds.
    period: i64,
    /// First and last sample, by number: a sample covers the period that ends at its number times the period.
    first: i64,
    last: i64,
}

/// The length of a sample of the "past day" in milliseconds.
const HISTORICAL: i64 = 300_000;

impl Window {
    fn of(period: i64, start: Time, end: Time) -> Self {
        // The start is exclusive, the end inclusive.
        Self { period, first: start.0.div_euclid(period) + 1, last: end.0.div_euclid(period) }
    }

    /// Samples of 20 s after a moment until another, the newest of them if there is a limit.
    pub(crate) fn realtime(start: Time, end: Time, max: Option<i64>) -> Self {
        let mut window = Self::of(TICK_MILLIS, start, end);
        if let Some(max) = max {
            window.first = window.first.max(window.last - max + 1);
        }
        window
    }

    /// The newest samples of 20 s.
    pub(crate) fn newest(at: Time, count: i64) -> Self {
        Self::realtime(Time(0), at, Some(count))
    }

    /// Samples of 5 min after a moment until another.
    pub(crate) fn historical(start: Time, end: Time) -> Self {
        // A day is what this roll-up keeps.
        Self::of(HISTORICAL, Time(start.0.max(end.0 - 86_400_000)), end)
    }

    /// When the samples end.
    pub(crate) fn times(&self) -> impl Iterator<Item = Time> {
        (self.first..=self.last).map(|sample| Time(sample * self.period))
    }

    /// Length of a sample in seconds.
    pub(crate) fn seconds(&self) -> i64 {
        self.period / 1000
    }

    pub(crate) fn is_historical(&self) -> bool {
        self.period == HISTORICAL
    }

    pub(crate) fn range(&self) -> std::ops::Range<i64> {
        self.first..self.last.max(self.first - 1) + 1
    }
}

/// The samples of these counters, or of all; nothing for an entity that has none in the window.
pub(crate) fn series(cx: &Cx<'_>, entity: Entity, window: &Window, counters: Option<&[Counter]>) -> Vec<Series> {
    if window.range().is_empty() || !measured(cx, entity) {
        return Vec::new();
    }
    let (model, inventory) = (&cx.moment.model, &cx.moment.inventory);
    let samples = if window.is_historical() {
        model.historical_of(inventory, entity, window.range(), counters)
    } else {
        model.realtime_of(inventory, entity, window.range(), counters)
    };
    let mut found = samples.series;
    // Counters without a single sample are left out, as vCenter does.
    found.retain(|series| series.values.iter().any(|value| *value >= 0));
    found
}

/// Whether somebody measures it now: hosts measure what runs on them and tell as long as they respond.
fn measured(cx: &Cx<'_>, entity: Entity) -> bool {
    let inventory = &cx.moment.inventory;
    let responds = |id| inventory.host(id).is_some_and(|host| host.connection == Connection::Connected);
    match entity {
        Entity::Vm(id) => inventory.vm(id).is_some_and(|vm| vm.power == Power::On && responds(vm.host)),
        Entity::Host(id) => responds(id),
        Entity::Cluster(_) | Entity::Pool(_) | Entity::Datastore(_) => true,
    }
}
