//! How much is asked of a vCenter at a time: less when it cannot, slowly more while it can.

use std::time::Duration;

use crate::config::Collection;

/// Fewer objects than this in a query help nobody.
const LEAST_BATCH: usize = 10;

/// A query that takes longer than this is large enough.
const BRISK: Duration = Duration::from_secs(1);

/// An answer with so many series is large enough: about 1.5 MB, and several of them are in memory at a time.
const LARGE: usize = 10_000;

/// vCenter refuses a request of more than 500,000 elements: five for each object, three for each of its counters.
const MAX_ELEMENTS: usize = 450_000;

/// The pressure on one vCenter by one class of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Objects in a query at most.
    pub batch: usize,
    /// Queries at the same time at most.
    pub in_flight: usize,
    most_batch: usize,
    most_in_flight: usize,
}

impl Pressure {
    /// As configured, to begin with.
    pub fn new(collection: &Collection, counters: usize) -> Self {
        let by_elements = (MAX_ELEMENTS / (5 + 3 * counters)).max(1);
        let most_batch = collection.max_batch_size.min(by_elements);
        let most_in_flight = collection.batches_in_flight;
        Self { batch: collection.batch_size.min(most_batch), in_flight: most_in_flight, most_batch, most_in_flight }
    }

    /// Never more objects in a query than this.
    pub fn limit(&mut self, batch: usize) {
        self.most_batch = batch.clamp(1, self.most_batch);
        self.batch = self.batch.min(self.most_batch);
    }

    /// A query of so many objects was too much: half of it. Other queries of the same size that fail as well say nothing
    /// new.
    pub fn too_much(&mut self, objects: usize) {
        if objects <= self.batch {
            self.batch = (self.batch / 2).max(LEAST_BATCH).min(self.batch);
            self.in_flight = (self.in_flight / 2).max(1);
        }
    }

    /// A collection without trouble, whose slowest query took so long and whose largest answer had so many series.
    pub fn calm(&mut self, slowest: Duration, largest: usize) {
        self.in_flight = (self.in_flight + 1).min(self.most_in_flight);
        if slowest < BRISK && largest < LARGE {
            self.batch = (self.batch + self.batch / 4 + 1).min(self.most_batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressure(counters: usize) -> Pressure {
        let second = Duration::from_secs(1);
        let collection = Collection {
            interval: second,
            host_interval: second,
            history_interval: second,
            details_interval: second,
            tags_interval: second,
            max_back_off: second,
            batch_size: 300,
            max_batch_size: 1000,
            batches_in_flight: 5,
        };
        Pressure::new(&collection, counters)
    }

    #[test]
    fn trouble_halves_and_calm_adds_slowly() {
        let mut pressure = pressure(30);
        pressure.too_much(300);
        assert_eq!((pressure.batch, pressure.in_flight), (150, 2));
        // The other queries of that round.
        pressure.too_much(300);
        assert_eq!((pressure.batch, pressure.in_flight), (150, 2));
        pressure.calm(Duration::from_secs(5), 0);
        assert_eq!((pressure.batch, pressure.in_flight), (150, 3));
        pressure.calm(Duration::ZERO, 0);
        assert_eq!((pressure.batch, pressure.in_flight), (188, 4));
        pressure.calm(Duration::ZERO, LARGE);
        assert_eq!((pressure.batch, pressure.in_flight), (188, 5));
    }

    #[test]
    fn there_is_a_least_and_a_most() {
        let mut pressure = pressure(30);
        for _ in 0..20 {
            pressure.too_much(pressure.batch);
        }
        assert_eq!((pressure.batch, pressure.in_flight), (10, 1));
        for _ in 0..100 {
            pressure.calm(Duration::ZERO, 0);
        }
        assert_eq!((pressure.batch, pressure.in_flight), (1000, 5));
    }

    #[test]
    fn a_query_stays_below_the_limit_of_elements() {
        let pressure = pressure(1000);
        assert!((5 + 3 * 1000) * pressure.batch < 500_000, "{pressure:?}");
    }

    #[test]
    fn a_limit_of_the_administrator_holds() {
        let mut pressure = pressure(30);
        pressure.limit(4);
        pressure.calm(Duration::ZERO, 0);
        pressure.too_much(4);
        assert!((1..=4).contains(&pressure.batch), "{pressure:?}");
    }
}
