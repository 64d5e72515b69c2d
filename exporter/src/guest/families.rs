//! The metrics of one guest: families by name, since collectors of node_exporter name some after what the kernel prints.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::catalogue::Kind;
use crate::exposition::{self, Unfinished, Writer};

/// A guest has some 400. What one makes up must not fill Prometheus.
const MAX_SERIES: usize = 20_000;

/// Families by name.
#[derive(Debug, Default)]
pub struct Families {
    families: BTreeMap<Cow<'static, str>, Family>,
    series: usize,
    is_full: bool,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: Cow<'static, str>,
    /// By their labels as they are written: Prometheus takes none twice.
    samples: BTreeMap<String, f64>,
}

/// A label and its value. One without a value is left out of a page: to Prometheus it is the same.
pub type Label<'a> = (&'a str, &'a str);

impl Families {
    /// Adds a sample to a family, and the family where it is new. The first of two with the same labels counts.
    pub fn add(
        &mut self,
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        labels: &[Label<'_>],
        value: f64,
    ) {
        if self.series >= MAX_SERIES {
            self.is_full = true;
            return;
        }
        let family = || Family { kind, help: help.into(), samples: BTreeMap::new() };
        let family = self.families.entry(name.into()).or_insert_with(family);
        let labels: Vec<_> = labels.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
        if let Entry::Vacant(place) = family.samples.entry(exposition::labels(&labels)) {
            place.insert(value);
            self.series += 1;
        }
    }

    /// Whether there were more than may be shown.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// A value that goes up and down.
    pub fn gauge(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        labels: &[Label<'_>],
        value: f64,
    ) {
        self.add(Kind::Gauge, name, help, labels, value);
    }

    /// A value that only goes up.
    pub fn counter(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        labels: &[Label<'_>],
        value: f64,
    ) {
        self.add(Kind::Counter, name, help, labels, value);
    }

    /// Takes out a family that has one sample.
    pub fn take(&mut self, name: &str) -> Option<f64> {
        let family = self.families.remove(name)?;
        family.samples.into_values().next()
    }

    /// The page, to which more can be added.
    pub fn page(&self) -> Unfinished {
        let mut page = Writer::default();
        for (name, family) in &self.families {
            page.family(name, family.kind, &family.help, |out| {
                for (labels, value) in &family.samples {
                    out.of(labels).value(*value);
                }
            });
        }
        page.pause()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::End;

    #[test]
    fn no_guest_shows_more_than_it_may_nor_anything_twice() {
        let mut families = Families::default();
        for i in 0..MAX_SERIES + 5 {
            families.gauge("made_up", "help", &[("i", &(i / 2).to_string())], 1.0);
        }
        assert!(!families.is_full());
        for i in 0..MAX_SERIES {
            families.counter("more", "help", &[("i", &i.to_string())], 1.0);
        }
        assert!(families.is_full());
        assert_eq!(families.page().finish(&End::default()).series, MAX_SERIES);
    }
}
