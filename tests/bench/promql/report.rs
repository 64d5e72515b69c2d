//! What was measured, as tables and as JSON.

use std::fmt;

use lynceus_demo::repository;
use serde::Serialize;

use crate::archive::{Archived, Way};
use crate::evaluate::Evaluated;

#[derive(Default, Serialize)]
pub(crate) struct Report {
    pub(crate) evaluated: Vec<Evaluated>,
    pub(crate) archived: Vec<Archived>,
    goals: Vec<Goal>,
}

/// A number that may not be larger.
#[derive(Serialize)]
struct Goal {
    what: String,
    value: f64,
    limit: f64,
}

impl Report {
    pub(crate) fn judge(&mut self) {
        let mut goal = |what: String, value, limit| self.goals.push(Goal { what, value, limit });
        for Evaluated { query, peer, own, theirs } in &self.evaluated {
            goal(format!("{query}, against {peer}"), own / theirs, 0.5);
        }
        for archived in self.archived.iter().filter(|archived| archived.way == Way::TwoYears) {
            goal(format!("two years of {}, warm, s", archived.query), archived.seconds, 1.);
            if let Some(cold) = archived.cold {
                goal(format!("two years of {}, cold, s", archived.query), cold, 3.);
            }
            goal(format!("two years of {}, MB of the bridge and the engine", archived.query), archived.memory, 1000.);
        }
    }

    pub(crate) fn held(&self) -> (usize, usize) {
        (self.goals.iter().filter(|goal| goal.held()).count(), self.goals.len())
    }

    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let folder = repository().join("target/bench");
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join("promql.json"), serde_json::to_string_pretty(self)?)?)
    }
}

impl Goal {
    fn held(&self) -> bool {
        self.value <= self.limit
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<64} {:>10} {:>10}  peer", "evaluation, ms", "lynceus", "peer")?;
        for Evaluated { query, peer, own, theirs } in &self.evaluated {
            writeln!(f, "{query:<64} {own:>10.1} {theirs:>10.1}  {peer}")?;
        }
        writeln!(f, "\n{:<64} {:>8} {:>8} {:>8} {:>10}", "archive", "warm s", "cold s", "MB", "numbers")?;
        for Archived { query, way, seconds, cold, memory, numbers } in &self.archived {
            let cold = cold.map_or("-".to_owned(), |cold| format!("{cold:.2}"));
            let what = format!("{}: {query}", way.name());
            writeln!(f, "{what:<64} {seconds:>8.2} {cold:>8} {memory:>8.0} {numbers:>10}")?;
        }
        writeln!(f, "\n{:<84} {:>10} {:>10}", "goals", "measured", "at most")?;
        for goal in &self.goals {
            let verdict = if goal.held() { "held" } else { "MISSED" };
            writeln!(f, "{:<84} {:>10.3} {:>10.3} {verdict}", goal.what, goal.value, goal.limit)?;
        }
        Ok(())
    }
}
