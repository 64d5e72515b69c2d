//! `label_replace` and `label_join`.

use super::column::{Vector, merged};
use super::error::EvalError;
use crate::regexp;

/// Longest label that is made: with a call within a call it could double each time.
const MAX_LABEL: usize = 1 << 20;

/// `spend` counts the bytes of labels.
pub(super) fn replace(
    mut vector: Vector,
    (dst, replacement, src, pattern): (&str, &str, &str, &str),
    mut spend: impl FnMut(usize) -> Result<(), EvalError>,
) -> Result<Vector, EvalError> {
    let regex = regexp::anchored(pattern).map_err(|_| EvalError::ReplacePattern(pattern.to_owned()))?;
    check_name(dst, "destination", "label_replace")?;
    let template = expandable(replacement);
    let names = template.matches("${").count();
    for row in &mut vector {
        let source = row.labels.get(src);
        let Some(captures) = regex.captures(source) else { continue };
        let most = source.len().saturating_mul(names).saturating_add(template.len());
        check_length(most, "label_replace")?;
        let mut value = String::new();
        captures.expand(&template, &mut value);
        spend(value.len())?;
        row.labels = row.labels.with(dst, &value);
        if dst == "__name__" {
            row.drop_name = false;
        }
    }
    merged(vector, true)
}

pub(super) fn join(
    mut vector: Vector,
    dst: &str,
    separator: &str,
    sources: &[String],
    mut spend: impl FnMut(usize) -> Result<(), EvalError>,
) -> Result<Vector, EvalError> {
    for source in sources {
        check_name(source, "source", "label_join")?;
    }
    check_name(dst, "destination", "label_join")?;
    for row in &mut vector {
        let values: Vec<&str> = sources.iter().map(|source| row.labels.get(source)).collect();
        let length = values.iter().map(|value| value.len() + separator.len()).sum();
        check_length(length, "label_join")?;
        spend(length)?;
        row.labels = row.labels.with(dst, &values.join(separator));
        if dst == "__name__" {
            row.drop_name = false;
        }
    }
    merged(vector, true)
}

/// Any name of UTF-8 is one, but for the empty.
fn check_name(name: &str, role: &'static str, function: &'static str) -> Result<(), EvalError> {
    if name.is_empty() {
        return Err(EvalError::LabelName { role, function, name: name.to_owned() });
    }
    Ok(())
}

fn check_length(length: usize, function: &'static str) -> Result<(), EvalError> {
    if length > MAX_LABEL { Err(EvalError::LabelLength { function, most: MAX_LABEL }) } else { Ok(()) }
}

/// Go and Rust read templates alike but for malformed ones. Braces around each name make its end certain, and a `$`
/// that begins no name is doubled: it stands for itself.
fn expandable(template: &str) -> String {
    let mut out = String::with_capacity(template.len() + 8);
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push_str("$$");
            rest = after;
            continue;
        }
        let (braced, name_text) = match rest.strip_prefix('{') {
            Some(inner) => (true, inner),
            None => (false, rest),
        };
        let length = name_text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name_text.len());
        let name = &name_text[..length];
        let closed = !braced || name_text[length..].starts_with('}');
        if name.is_empty() || !closed {
            // Malformed: Go writes the dollar as it stands.
            out.push_str("$$");
            continue;
        }
        out.push_str("${");
        out.push_str(name);
        out.push('}');
        rest = &name_text[length + usize::from(braced)..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_expanded_as_go_does() {
        assert_eq!(expandable("$1-$name"), "${1}-${name}");
        assert_eq!(expandable("${1}x$1x"), "${1}x${1x}");
        assert_eq!(expandable("$$1 $ ${"), "$$1 $$ $${");
    }
}
