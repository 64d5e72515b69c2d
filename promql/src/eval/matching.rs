//! Which series of two vectors belong together.

use std::collections::HashMap;

use super::column::Vector;
use crate::ast::{MatchOn, Matching};
use crate::labels::Labels;

/// Series of both sides that agree in the matching labels.
pub(super) struct Pairing {
    /// Indices into the left and into the right vector, for each signature in the order in which they come up.
    pub(super) groups: Vec<(Vec<usize>, Vec<usize>)>,
}

pub(super) fn pair(left: &Vector, right: &Vector, matching: &Matching) -> Pairing {
    let mut index: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    let mut group = |labels: &Labels, groups: &mut Vec<(Vec<usize>, Vec<usize>)>| {
        *index.entry(signature(labels, matching)).or_insert_with(|| {
            groups.push((Vec::new(), Vec::new()));
            groups.len() - 1
        })
    };
    for (at, row) in left.iter().enumerate() {
        let place = group(&row.labels, &mut groups);
        groups[place].0.push(at);
    }
    for (at, row) in right.iter().enumerate() {
        let place = group(&row.labels, &mut groups);
        groups[place].1.push(at);
    }
    Pairing { groups }
}

/// The labels that are compared: those of `on`, else all but the name and those of `ignoring`.
pub(super) fn signature(labels: &Labels, matching: &Matching) -> Labels {
    match &matching.on {
        Some(MatchOn { ignoring: false, labels: on }) => labels.retain(|name| on.iter().any(|l| l.name == name)),
        Some(MatchOn { ignoring: true, labels: ignored }) => {
            labels.retain(|name| name != "__name__" && !ignored.iter().any(|l| l.name == name))
        }
        None => labels.retain(|name| name != "__name__"),
    }
}
