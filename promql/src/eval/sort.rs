//! `sort` and its kin. They matter to an instant query only.

use std::cmp::Ordering;

use super::column::{Row, Vector};
use super::number::nan_first;
use crate::storage::is_stale;

pub(super) fn sorted(function: &str, mut vector: Vector, labels: &[String]) -> Vector {
    match function {
        "sort" | "sort_desc" => {
            let descending = function == "sort_desc";
            vector.iter_mut().for_each(|row| row.column.drop_histograms());
            vector.retain(|row| !row.column.is_empty());
            let value = |row: &Row| row.column.floats.first().copied().filter(|v| !is_stale(*v)).unwrap_or(f64::NAN);
            vector.sort_by(|a, b| by_value(value(a), value(b), descending));
        }
        _ => {
            let descending = function == "sort_by_label_desc";
            vector.sort_by(|a, b| {
                let by_labels = labels.iter().map(|l| natural(a.labels.get(l), b.labels.get(l)));
                let order = by_labels.fold(Ordering::Equal, Ordering::then);
                let order = order.then_with(|| a.labels.cmp(&b.labels));
                if descending { order.reverse() } else { order }
            });
        }
    }
    vector
}

/// NaN comes last both ways.
fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => nan_first(&b, &a),
        (false, false) => nan_first(&a, &b),
    }
}

/// Numbers within names are ordered as numbers: `vm2` before `vm10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (chunks(a), chunks(b));
    loop {
        return match (a.next(), b.next()) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => {
                let is_number = |s: &str| s.starts_with(|c: char| c.is_ascii_digit());
                let order = if is_number(x) && is_number(y) {
                    let (m, n) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
                    m.len().cmp(&n.len()).then_with(|| m.cmp(n)).then_with(|| x.len().cmp(&y.len()))
                } else {
                    x.cmp(y)
                };
                if order == Ordering::Equal {
                    continue;
                }
                order
            }
        };
    }
}

/// Stretches of digits and of all else.
fn chunks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let digits = rest.chars().next()?.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (chunk, after) = rest.split_at(end);
        rest = after;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        assert_eq!(natural("vm2", "vm10"), Ordering::Less);
        assert_eq!(natural("vm2a", "vm2b"), Ordering::Less);
        assert_eq!(natural("vm", "vm1"), Ordering::Less);
        assert_eq!(natural("1.2.10", "1.2.9"), Ordering::Greater);
    }
}
