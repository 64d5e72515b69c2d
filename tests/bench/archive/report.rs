//! What was measured, as tables and as JSON.

use std::fmt;

use lynceus_demo::repository;
use serde::Serialize;

use crate::decode::Decoded;
use crate::receive::{OWN, PROMETHEUS, Received, STORED, VICTORIA};

#[derive(Serialize)]
pub(crate) struct Report {
    decoded: Vec<Decoded>,
    received: Vec<Received>,
    goals: Vec<Goal>,
}

/// A number that may not be larger. One that could not be measured is not held.
#[derive(Serialize)]
struct Goal {
    what: String,
    value: Option<f64>,
    limit: f64,
}

impl Report {
    pub(crate) fn new(decoded: Vec<Decoded>, received: Vec<Received>) -> Self {
        let mut goals = Vec::new();
        for Decoded { version, prost, known, new } in &decoded {
            let mut goal = |what: &str, value: f64, limit| {
                goals.push(Goal {
                    what: format!("decoding {version}, {what}, against prost"),
                    value: Some(value / prost),
                    limit,
                });
            };
            goal("known series", *known, 1.0 / 8.0);
            goal("new series", *new, 1.0 / 3.0);
        }
        let of = |name: &str| received.iter().find(|received| received.name == name);
        let own = of(OWN).map(|received| received.acknowledged);
        let against = |peer: &str| Some(own? / of(peer)?.acknowledged);
        let goal = |what: &str, value, limit| Goal { what: what.to_owned(), value, limit };
        goals.push(goal("until the answer, against Prometheus", against(PROMETHEUS), 0.1));
        goals.push(goal("until the answer, against victoria-metrics", against(VICTORIA), 0.25));
        goals.push(goal("until the answer, CPU s by a million samples", own, 0.6));
        let stored = of(STORED).and_then(|received| received.stored);
        goals.push(goal("bridge until the engine has it, CPU s by a million samples", stored, 1.5));
        let both = of(STORED).and_then(|received| Some(received.stored? + received.engine?));
        let against = of(VICTORIA).and_then(|victoria| Some(both? / victoria.acknowledged));
        goals.push(goal("bridge and engine, against victoria-metrics until its answer", against, 1.0));
        Self { decoded, received, goals }
    }

    pub(crate) fn held(&self) -> (usize, usize) {
        (self.goals.iter().filter(|goal| goal.held()).count(), self.goals.len())
    }

    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let folder = repository().join("target/bench");
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join("archive.json"), serde_json::to_string_pretty(self)?)?)
    }
}

impl Goal {
    fn held(&self) -> bool {
        self.value.is_some_and(|value| value <= self.limit)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<40} {:>10} {:>14} {:>12}", "decoding, ns a sample", "prost", "known series", "new series")?;
        for Decoded { version, prost, known, new } in &self.decoded {
            writeln!(f, "{version:<40} {prost:>10.0} {known:>14.0} {new:>12.0}")?;
        }
        let head = "CPU s by a million samples";
        writeln!(
            f,
            "\n{head:<40} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "answered", "stored", "engine", "wall s", "peak MB"
        )?;
        let number = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.2}"));
        for Received { name, wall, acknowledged, stored, engine, memory } in &self.received {
            let (stored, engine) = (number(*stored), number(*engine));
            writeln!(f, "{name:<40} {acknowledged:>10.2} {stored:>10} {engine:>10} {wall:>10.1} {memory:>10.0}")?;
        }
        writeln!(f, "\n{:<62} {:>10} {:>10}", "goals", "measured", "at most")?;
        for goal in &self.goals {
            let verdict = if goal.held() { "held" } else { "MISSED" };
            let measured = goal.value.map_or("-".to_owned(), |value| format!("{value:.3}"));
            writeln!(f, "{:<62} {measured:>10} {:>10.3} {verdict}", goal.what, goal.limit)?;
        }
        Ok(())
    }
}
