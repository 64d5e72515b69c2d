//! Prometheus' test scripts as a whole: which there are, what holds, and a ledger of what does not, with the reason of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The folder of the scripts, which are no part of this repository; that there is none is said.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("PROMQLTEST_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => lynceus_demo::repository().parent()?.join("shared/promqltest"),
    };
    if !folder.is_dir() {
        eprintln!("skipped: no folder of promqltest scripts; PROMQLTEST_DIR names one");
        return None;
    }
    Some(folder)
}

/// Names and texts, by name.
pub(crate) fn scripts() -> Option<BTreeMap<String, String>> {
    let paths = std::fs::read_dir(folder()?).unwrap().map(|entry| entry.unwrap().path());
    let scripts = paths.filter(|path| path.extension().is_some_and(|extension| extension == "test"));
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).unwrap())
    };
    Some(scripts.map(named).collect())
}

/// What has held so far, and what has not.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Held and failed, by file.
    counts: BTreeMap<String, (usize, usize)>,
    /// By `file:line`.
    failed: BTreeMap<String, String>,
}

impl Outcome {
    pub(crate) fn add(&mut self, file: &str, line: usize, outcome: Result<(), String>) {
        let (held, failed) = self.counts.entry(file.to_owned()).or_default();
        match outcome {
            Ok(()) => *held += 1,
            Err(reason) => {
                *failed += 1;
                self.failed.insert(format!("{file}:{line}"), reason);
            }
        }
    }

    /// Prints the counts, and fails where the ledger, of lines `file:line reason`, says something else.
    pub(crate) fn check(&self, ledger: &str) {
        let ledger: BTreeMap<&str, &str> = ledger
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_once(' ').unwrap_or_else(|| panic!("expected `file:line reason`, found `{line}`")))
            .collect();
        let mut all = (0, 0);
        for (name, (held, failed)) in &self.counts {
            eprintln!("{name:<28} {held:>4} held {failed:>4} failed");
            all = (all.0 + held, all.1 + failed);
        }
        eprintln!("{:<28} {:>4} held {:>4} failed", "all", all.0, all.1);
        let known: BTreeSet<&str> = self.failed.keys().map(String::as_str).collect();
        let unexpected: Vec<_> = self.failed.iter().filter(|(place, _)| !ledger.contains_key(place.as_str())).collect();
        let held: Vec<_> = ledger.keys().filter(|place| !known.contains(**place)).collect();
        for (place, reason) in &unexpected {
            eprintln!("{place}: {reason}");
        }
        assert!(unexpected.is_empty(), "{} evals do not hold and are not in the ledger", unexpected.len());
        assert!(held.is_empty(), "in the ledger, but held: {held:#?}");
    }
}
