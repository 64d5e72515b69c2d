//! The checks. Each has a file here, examples in `tests/check/` and a page in `docs/checks/`.

pub(crate) mod metric;
pub(crate) mod promql;
pub(crate) mod rule_file;

use std::collections::BTreeSet;

use crate::catalogue::Catalogue;
use crate::finding::Finding;
use crate::rule_file::RuleFile;
use crate::source::Source;

/// What a check looks at: one file, and what is known beside it.
pub(crate) struct Context<'a> {
    pub(crate) source: &'a Source,
    pub(crate) file: &'a RuleFile,
    pub(crate) catalogue: Option<&'a Catalogue>,
    /// Metrics that the checked files record, all of them.
    pub(crate) recorded: &'a BTreeSet<&'a str>,
}

pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Context<'_>, &mut Vec<Finding>),
}

/// All checks, in the order in which they run.
pub(crate) const CHECKS: [Check; 3] = [
    Check { name: rule_file::NAME, run: rule_file::run },
    Check { name: promql::NAME, run: promql::run },
    Check { name: metric::NAME, run: metric::run },
];
