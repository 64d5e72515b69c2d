//! Little readers of answers and pages, and the median.

use std::collections::BTreeMap;

/// What stands between two marks.
pub(crate) fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    text.split_once(start)?.1.split_once(end).map(|(found, _)| found)
}

/// The sum of a metric's series on a page.
pub(crate) fn sum(page: &str, metric: &str) -> Option<f64> {
    series(page, metric).map(|(_, value)| value).reduce(|sum, value| sum + value)
}

/// A metric's values by one of its labels.
pub(crate) fn by_label(page: &str, metric: &str, label: &str) -> BTreeMap<String, f64> {
    let start = format!("{label}=\"");
    series(page, metric)
        .filter_map(|(labels, value)| Some((between(labels, &start, "\"")?.to_owned(), value)))
        .collect()
}

/// How many series a page has.
pub(crate) fn count(page: &str) -> usize {
    page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

fn series<'t>(page: &'t str, metric: &str) -> impl Iterator<Item = (&'t str, f64)> {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then_some((labels, value.parse().ok()?))
    })
}

/// The median; of two in the middle the mean.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    Some(if numbers.len().is_multiple_of(2) { f64::midpoint(*numbers.get(middle - 1)?, upper) } else { upper })
}
