//! What was measured, as tables and as JSON.

use std::fmt;

use lynceus_demo::repository;
use serde::Serialize;

use crate::engine::Measured;

#[derive(Default, Serialize)]
pub(crate) struct Report {
    pub(crate) samples: f64,
    pub(crate) series: f64,
    /// Of the steps from value to value within a series, in bytes a sample.
    pub(crate) entropy: f64,
    /// Bytes by a raw sample of the tables that the bridge keeps, merged.
    pub(crate) tables: Vec<(String, f64)>,
    pub(crate) variants: Vec<Measured>,
    pub(crate) peers: Vec<Peer>,
}

#[derive(Serialize)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) jitter: u64,
    pub(crate) total: f64,
}

/// A number that may not be larger. One that could not be measured is not held.
struct Goal {
    what: &'static str,
    value: Option<f64>,
    limit: f64,
}

impl Report {
    fn goals(&self) -> Vec<Goal> {
        let shipped =
            |jitter| self.variants.iter().find(|variant| variant.jitter == jitter).map(|variant| variant.total);
        let victoria = |jitter| self.peers.iter().find(|peer| peer.jitter == jitter).map(|peer| peer.total);
        let against = |jitter| Some(shipped(jitter)? / victoria(jitter)?);
        let of = |wanted: &str| self.tables.iter().find(|(table, _)| table == wanted).map(|(_, bytes)| *bytes);
        let tiers = of("rollup_1h").zip(of("rollup_5m")).map(|(hour, five)| hour + five);
        let goal = |what, value, limit| Goal { what, value, limit };
        vec![
            goal("bytes a sample, exact times", shipped(0), 1.6),
            goal("bytes a sample, 3 ms of jitter", shipped(3), 2.0),
            goal("exact times, against victoria-metrics", against(0), 1.3),
            goal("3 ms of jitter, against victoria-metrics", against(3), 1.3),
            goal("against rows of 24 bytes", shipped(3).map(|bytes| bytes / 24.0), 0.1),
            goal("all roll-ups against samples", tiers.zip(of("samples")).map(|(tiers, raw)| tiers / raw), 0.5),
        ]
    }

    pub(crate) fn held(&self) -> (usize, usize) {
        let goals = self.goals();
        (goals.iter().filter(|goal| goal.held()).count(), goals.len())
    }

    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let folder = repository().join("target/bench");
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join("storage.json"), serde_json::to_string_pretty(self)?)?)
    }
}

impl Goal {
    fn held(&self) -> bool {
        self.value.is_some_and(|value| value <= self.limit)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, series, entropy, .. } = self;
        writeln!(
            f,
            "{samples} samples of {series} series; steps between values have {entropy:.2} bytes of entropy a sample"
        )?;
        writeln!(f)?;
        for (table, bytes) in &self.tables {
            writeln!(f, "{table:<56} {bytes:>8.3} bytes by a raw sample")?;
        }
        writeln!(
            f,
            "\n{:<56} {:>8} {:>8} {:>10} {:>10} {:>10}  columns",
            "bytes a sample, milliseconds", "jitter", "bytes", "series", "metric", "machine"
        )?;
        for Measured { name, jitter, columns, total, series, metric, machine } in &self.variants {
            let columns: Vec<_> = columns.iter().map(|(column, bytes)| format!("{column} {bytes:.2}")).collect();
            let columns = columns.join(", ");
            writeln!(
                f,
                "{name:<56} {jitter:>5} ms {total:>8.2} {series:>10.1} {metric:>10.1} {machine:>10.1}  {columns}"
            )?;
        }
        for Peer { name, jitter, total } in &self.peers {
            writeln!(f, "{name:<56} {jitter:>5} ms {total:>8.2}")?;
        }
        writeln!(f, "\n{:<56} {:>10} {:>10}", "goals", "measured", "at most")?;
        for goal in self.goals() {
            let verdict = if goal.held() { "held" } else { "MISSED" };
            let measured = goal.value.map_or("-".to_owned(), |value| format!("{value:.3}"));
            writeln!(f, "{:<56} {measured:>10} {:>10.3} {verdict}", goal.what, goal.limit)?;
        }
        Ok(())
    }
}
