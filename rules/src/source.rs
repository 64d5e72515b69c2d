//! A file's text, and where in it a part of a YAML value stands.
//!
//! An expression may be written plain, quoted, or as a block over several lines, so an offset in the value is not an
//! offset in the file. The value is walked beside the text, which leaves out indentation and quotes.

use std::ops::Range;
use std::path::PathBuf;

use serde_saphyr::{Location, Spanned};

use crate::files::FileError;

pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn read(path: PathBuf) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(&path).map_err(|error| FileError::read(&path, error))?;
        Ok(Self { path: path.display().to_string(), text })
    }

    /// The place of a value: its first line.
    pub(crate) fn place_of<T>(&self, value: &Spanned<T>) -> Range<usize> {
        self.place_at(value.referenced)
    }

    /// What stands at a position, up to the end of its line.
    pub(crate) fn place_at(&self, location: Location) -> Range<usize> {
        let start = self.offset(location);
        let line = self.text[start..].lines().next().unwrap_or_default();
        let code = line.split(" #").next().unwrap_or_default().trim_end();
        let length = usize::try_from(location.span().len()).unwrap_or_default();
        let whole = code.char_indices().nth(length).map_or(code.len(), |(end, _)| end);
        start..start + if whole > 0 { whole } else { code.len() }
    }

    /// The place of a part of a value; of the whole value where it is written with escapes.
    pub(crate) fn place_in(&self, value: &Spanned<String>, part: Range<usize>) -> Range<usize> {
        let start = self.offset(value.referenced);
        walk(&self.text, start, &value.value, part).unwrap_or_else(|| self.place_of(value))
    }

    fn offset(&self, location: Location) -> usize {
        let Some(line) = usize::try_from(location.line()).ok().and_then(|line| line.checked_sub(1)) else { return 0 };
        let before: usize = self.text.split_inclusive('\n').take(line).map(str::len).sum();
        let column = usize::try_from(location.column()).unwrap_or(1).saturating_sub(1);
        let rest = self.text.get(before..).unwrap_or_default();
        before + rest.char_indices().nth(column).map_or(rest.len(), |(offset, _)| offset)
    }
}

/// Goes through `value` and the text from `start` at the same time, and gives the place of `part` of the value.
fn walk(text: &str, start: usize, value: &str, part: Range<usize>) -> Option<Range<usize>> {
    let quote = text.get(start..)?.chars().next().filter(|c| matches!(c, '"' | '\''));
    let mut at = start + usize::from(quote.is_some());
    // The parser gives the place of a block's first character, whose indentation is that of the block.
    let line = &text[text[..start].rfind('\n').map_or(0, |end| end + 1)..start];
    let indent = line.chars().all(|c| c == ' ').then_some(line.len());
    let (mut from, mut to) = (None, None);
    for (offset, c) in value.char_indices() {
        if offset == part.start {
            from = Some(at);
        }
        let rest = text.get(at..)?;
        at = if c == '\n' && rest.starts_with(['\n', '\r']) {
            skip_indent(text, at + rest.find('\n')? + 1, indent?)
        } else if c == ' ' && rest.starts_with(['\n', '\r']) {
            // A folded line break.
            at + (rest.len() - rest.trim_start().len())
        } else if rest.starts_with(c) && !(quote == Some('"') && c == '\\') {
            let doubled = c == '\'' && quote == Some('\'');
            at + c.len_utf8() * if doubled { 2 } else { 1 }
        } else if quote == Some('"') && rest.strip_prefix('\\').is_some_and(|rest| rest.starts_with(c)) {
            at + 1 + c.len_utf8()
        } else {
            return None;
        };
        if offset + c.len_utf8() == part.end {
            to = Some(at);
        }
    }
    // An error at the end of the text points behind it.
    let from = from.unwrap_or(at);
    Some(from..to.unwrap_or(at).max(from))
}

fn skip_indent(text: &str, line: usize, indent: usize) -> usize {
    line + text[line..].chars().take(indent).take_while(|c| *c == ' ').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks the place of `needle` of the value `v` in the YAML, and compares.
    fn check(yaml: &str, needle: &str, expected: &str) {
        #[derive(serde::Deserialize)]
        struct File {
            v: Spanned<String>,
        }
        let source = Source { path: String::new(), text: yaml.to_owned() };
        let value = serde_saphyr::from_str::<File>(yaml).unwrap().v;
        let start = value.value.find(needle).unwrap();
        let place = source.place_in(&value, start..start + needle.len());
        let marked = format!("{}«{}»{}", &yaml[..place.start], &yaml[place.clone()], &yaml[place.end..]);
        assert_eq!(marked, expected);
    }

    #[test]
    fn a_plain_value() {
        check("v: up == 0 # c\n", "==", "v: up «==» 0 # c\n");
        check("a: ü\nv:   ü{x=1} == 0\n", "==", "a: ü\nv:   ü{x=1} «==» 0\n");
    }

    #[test]
    fn a_quoted_value() {
        check("v: \"up == 0\"\n", "==", "v: \"up «==» 0\"\n");
        check("v: 'up{a=''b''} == 0'\n", "==", "v: 'up{a=''b''} «==» 0'\n");
        check("v: \"up{a=\\\"b\\\"} == 0\"\n", "==", "v: \"up{a=\\\"b\\\"} «==» 0\"\n");
    }

    #[test]
    fn a_block() {
        check("x:\nv: |\n  up\n    == 0\n\n  or x\n", "== 0", "x:\nv: |\n  up\n    «== 0»\n\n  or x\n");
        check("v: |-\n  up\n\n  or x\n", "or", "v: |-\n  up\n\n  «or» x\n");
    }

    #[test]
    fn a_folded_block_and_a_plain_value_over_lines() {
        check("v: >-\n  up\n  == 0\n", "==", "v: >-\n  up\n  «==» 0\n");
        check("v: up\n  == 0\n", "==", "v: up\n  «==» 0\n");
    }

    #[test]
    fn an_escape_that_is_not_followed_gives_the_whole_value() {
        check("v: \"up\\x20== 0\"\n", "==", "v: «\"up\\x20== 0\"»\n");
    }
}
