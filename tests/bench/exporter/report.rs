//! What was measured, as tables and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use lynceus_demo::repository;
use serde::Serialize;

use crate::goals::Goal;
use crate::text::median;

#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) estates: Vec<Estate>,
    pub(crate) goals: Vec<Goal>,
}

/// One simulated vCenter, and all that was measured on it.
#[derive(Serialize)]
pub(crate) struct Estate {
    pub(crate) simulator: &'static str,
    pub(crate) vms: u32,
    pub(crate) hosts: u32,
    pub(crate) measured: Vec<Measured>,
    /// What a reader of the numbers should know, and what could not be measured.
    pub(crate) notes: Vec<String>,
}

/// One program on one estate. Times are seconds; all but memory, series and pages is of one collection.
#[derive(Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    /// All of a collection.
    pub(crate) wall: Option<f64>,
    /// Its queries for samples.
    pub(crate) performance: Option<f64>,
    /// From the end of one collection to the end of the next.
    pub(crate) period: Option<f64>,
    pub(crate) cpu: Option<f64>,
    /// The simulator's.
    pub(crate) vcenter_cpu: Option<f64>,
    /// MB.
    pub(crate) memory: Option<f64>,
    /// Samples of each counter.
    pub(crate) samples: Option<f64>,
    /// By method.
    pub(crate) calls: BTreeMap<String, f64>,
    /// Of the answers.
    pub(crate) bytes: Option<f64>,
    pub(crate) series: Option<f64>,
    /// Parts that these are served in.
    pub(crate) pages: Option<f64>,
    pub(crate) plain: Option<Times>,
    pub(crate) gzip: Option<Times>,
}

/// How a page was served, many times.
#[derive(Serialize)]
pub(crate) struct Times {
    /// Milliseconds.
    pub(crate) median: f64,
    pub(crate) slowest: f64,
    /// The largest.
    pub(crate) bytes: usize,
}

impl Times {
    /// From milliseconds and bytes.
    pub(crate) fn of(scrapes: Vec<(f64, usize)>) -> Self {
        let slowest = scrapes.iter().map(|(time, _)| *time).fold(0.0, f64::max);
        let bytes = scrapes.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
        Self { median: median(scrapes.into_iter().map(|(time, _)| time).collect()).unwrap_or_default(), slowest, bytes }
    }
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Megabytes,
    Count,
    Ratio,
}

impl Unit {
    pub(crate) fn show(self, number: f64) -> String {
        match self {
            Self::Seconds => format!("{number:.2} s"),
            Self::Milliseconds => format!("{number:.1} ms"),
            Self::Megabytes => format!("{number:.1} MB"),
            Self::Count if number.fract() == 0.0 => format!("{number:.0}"),
            Self::Count => format!("{number:.1}"),
            Self::Ratio => format!("{number:.2}"),
        }
    }
}

type Row = (&'static str, Unit, fn(&Measured) -> Option<f64>);

const ROWS: [Row; 17] = [
    ("collection", Unit::Seconds, |m| m.wall),
    ("  its queries for samples", Unit::Seconds, |m| m.performance),
    ("from one collection to the next", Unit::Seconds, |m| m.period),
    ("CPU", Unit::Seconds, |m| m.cpu),
    ("CPU of the simulator", Unit::Seconds, |m| m.vcenter_cpu),
    ("peak memory", Unit::Megabytes, |m| m.memory),
    ("samples of each counter", Unit::Ratio, |m| m.samples),
    ("answers", Unit::Megabytes, |m| m.bytes.map(|bytes| bytes / 1e6)),
    ("series", Unit::Count, |m| m.series),
    ("pages", Unit::Count, |m| m.pages),
    ("page, plain", Unit::Megabytes, |m| m.plain.as_ref().map(|times| times.bytes as f64 / 1e6)),
    ("  median", Unit::Milliseconds, |m| m.plain.as_ref().map(|times| times.median)),
    ("  slowest", Unit::Milliseconds, |m| m.plain.as_ref().map(|times| times.slowest)),
    ("page, gzip", Unit::Megabytes, |m| m.gzip.as_ref().map(|times| times.bytes as f64 / 1e6)),
    ("  median", Unit::Milliseconds, |m| m.gzip.as_ref().map(|times| times.median)),
    ("  slowest", Unit::Milliseconds, |m| m.gzip.as_ref().map(|times| times.slowest)),
    ("calls", Unit::Count, |m| (!m.calls.is_empty()).then(|| m.calls.values().sum())),
];

impl Report {
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.goals.iter().filter(|goal| goal.held()).count(), self.goals.len())
    }

    pub(crate) fn save(&self, file: &str) -> anyhow::Result<()> {
        let folder = repository().join("target/bench");
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join(file), serde_json::to_string_pretty(self)?)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for estate in &self.estates {
            writeln!(f, "{estate}")?;
        }
        writeln!(f, "{:<62} {:>10} {:>10}", "goals", "measured", "at most")?;
        for goal in &self.goals {
            let measured = goal.value.map_or("-".to_owned(), |value| goal.unit.show(value));
            let verdict = if goal.held() { "held" } else { "MISSED" };
            let why = goal.why.as_ref().map_or(String::new(), |why| format!(" ({why})"));
            writeln!(f, "{:<62} {measured:>10} {:>10} {verdict}{why}", goal.what, goal.unit.show(goal.limit))?;
        }
        Ok(())
    }
}

impl fmt::Display for Estate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = format!("{}, {} VMs, {} hosts: a collection", self.simulator, self.vms, self.hosts);
        write!(f, "{title:<44}")?;
        for measured in &self.measured {
            write!(f, " {:>15}", measured.name)?;
        }
        writeln!(f)?;
        for (what, unit, number) in ROWS {
            self.row(f, what, unit, number)?;
        }
        let methods = self.measured.iter().flat_map(|measured| measured.calls.keys());
        for method in methods.collect::<std::collections::BTreeSet<_>>() {
            self.row(f, &format!("  {method}"), Unit::Count, |measured| measured.calls.get(method).copied())?;
        }
        for note in &self.notes {
            writeln!(f, "* {note}")?;
        }
        Ok(())
    }
}

impl Estate {
    /// Nothing where nobody has a number.
    fn row(
        &self,
        f: &mut fmt::Formatter<'_>,
        what: &str,
        unit: Unit,
        number: impl Fn(&Measured) -> Option<f64>,
    ) -> fmt::Result {
        let numbers: Vec<_> = self.measured.iter().map(number).collect();
        if numbers.iter().all(Option::is_none) {
            return Ok(());
        }
        write!(f, "{what:<44}")?;
        for number in numbers {
            write!(f, " {:>15}", number.map_or("-".to_owned(), |number| unit.show(number)))?;
        }
        writeln!(f)
    }

    pub(crate) fn of(&self, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.name == name)
    }
}
