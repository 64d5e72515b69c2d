//! Checks Prometheus' rule files without a Prometheus.
//!
//! [`check_paths`] reads each file into a `Source` (text) and a `RuleFile` (what it says, each value with its place),
//! runs every check of `check::CHECKS` on it and gives the findings, which [`Report`] prints with the lines that they
//! are about. Stock Prometheus reads the same files: there is no syntax of our own.
//!
//! Never: it opens no socket and writes no file.

mod catalogue;
mod check;
mod files;
mod finding;
mod report;
mod rule_file;
mod source;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use catalogue::{Catalogue, CatalogueError};
pub use files::FileError;
pub use report::Report;

use check::Context;
use report::Found;
use rule_file::RuleFile;
use source::Source;

/// Checks the rule files, and those in the folders, at `paths`. With a catalogue also the metrics that they name.
pub fn check_paths(paths: &[PathBuf], catalogue: Option<&Catalogue>) -> Result<Report, FileError> {
    let sources = files::find(paths)?.into_iter().map(Source::read).collect::<Result<Vec<_>, _>>()?;
    let mut findings = Vec::new();
    let mut parsed = Vec::new();
    for (file, source) in sources.iter().enumerate() {
        match RuleFile::parse(source) {
            Ok(rules) => parsed.push((file, rules)),
            // A file of another shape has this one finding: no other check can read it.
            Err(finding) => findings.push(Found { file, check: check::rule_file::NAME, finding }),
        }
    }
    // What one file records, another may use.
    let recorded: BTreeSet<&str> = parsed.iter().flat_map(|(_, rules)| rules.recorded()).collect();
    for (file, rules) in &parsed {
        let context = Context { source: &sources[*file], file: rules, catalogue, recorded: &recorded };
        for check in check::CHECKS {
            let mut found = Vec::new();
            (check.run)(&context, &mut found);
            findings.extend(found.into_iter().map(|finding| Found { file: *file, check: check.name, finding }));
        }
    }
    findings.sort_by_key(|found| (found.file, found.finding.place.start));
    let rules = parsed.iter().map(|(_, file)| file.rules().count()).sum();
    Ok(Report::new(sources, findings, rules))
}
