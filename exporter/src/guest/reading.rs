//! What a guest printed, by the place that it was read from.
//!
//! A guest is not trusted: a login script prints a greeting before, a connection ends within a line, a process has a name
//! with a line break in it. So the text lies between two lines with a mark that nothing in the guest could know, and each
//! line of it names its source.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use thiserror::Error;

/// Names of these files have a colon in them.
const WITH_COLON: &str = "/run/udev/data/";

/// Why a text is not a reading.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Incomplete {
    /// The shell did not even begin.
    #[error("the guest printed {length} bytes, and not the line with which a collection begins: `{start}`")]
    NotBegun {
        /// How long it is.
        length: usize,
        /// What it begins with.
        start: String,
    },
    /// It ends in the midst.
    #[error("the guest's answer ends after {0} bytes, before the line with which a collection ends")]
    NotEnded(usize),
}

/// Lines by source.
#[derive(Debug, Default)]
pub struct Reading<'a> {
    lines: BTreeMap<&'a str, Vec<&'a str>>,
}

/// What nothing in a guest can know, in letters that no shell makes anything of.
pub fn mark() -> String {
    let random = RandomState::new();
    format!("lynceus{:016x}{:016x}", random.hash_one(1), random.hash_one(2))
}

/// As text: what is not UTF-8 in it is replaced.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The source of a line, and the line.
fn with_source(line: &str) -> Option<(&str, &str)> {
    let in_name = match line.strip_prefix(WITH_COLON) {
        Some(rest) => WITH_COLON.len() + rest.find(':')? + 1,
        None => 0,
    };
    let colon = in_name + line[in_name..].find(':')?;
    Some((&line[..colon], &line[colon + 1..]))
}

/// What is between the lines with the mark.
pub fn between<'a>(text: &'a str, mark: &str) -> Result<&'a str, Incomplete> {
    let begin = format!("{mark} begin\n");
    let Some((_, rest)) = text.split_once(&begin) else {
        let start = text.trim_start().chars().take(80).collect();
        return Err(Incomplete::NotBegun { length: text.len(), start });
    };
    let end = format!("{mark} end\n");
    let Some((body, _)) = rest.rsplit_once(&end) else { return Err(Incomplete::NotEnded(text.len())) };
    Ok(body)
}

impl<'a> Reading<'a> {
    /// The lines between those with the mark.
    pub fn of(text: &'a str, mark: &str) -> Result<Self, Incomplete> {
        let body = between(text, mark)?;
        let mut reading = Self::default();
        // A line without a source goes on with the one before, in a file that nobody reads line by line.
        for (source, line) in body.lines().filter_map(with_source) {
            reading.lines.entry(source).or_default().push(line);
        }
        Ok(reading)
    }

    /// The lines of one source.
    pub fn lines(&self, source: &str) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        self.lines.get(source).into_iter().flatten().copied()
    }

    /// The first line of one source.
    pub fn line(&self, source: &str) -> Option<&'a str> {
        self.lines(source).next()
    }

    /// Whether the source is there; of a folder, which ends in a slash, whether anything in it is.
    pub fn has(&self, source: &'static str) -> bool {
        if source.ends_with('/') { self.below(source).next().is_some() } else { self.lines.contains_key(source) }
    }

    /// All sources below a folder, which ends in a slash: the rest of the path, and the first line.
    pub fn below(&self, folder: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a, '_> {
        let from = self.lines.range(folder..);
        let inside = from.take_while(move |(path, _)| path.starts_with(folder));
        inside.filter_map(move |(path, lines)| Some((&path[folder.len()..], *lines.first()?)))
    }

    /// The folders below a folder that have something in them, sorted, each with its files.
    pub fn folders(&self, folder: &'static str) -> BTreeMap<&'a str, BTreeMap<&'a str, &'a str>> {
        let mut folders: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (path, line) in self.below(folder) {
            if let Some((name, file)) = path.split_once('/') {
                folders.entry(name).or_default().insert(file, line);
            }
        }
        folders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_before_and_a_farewell_after_are_not_read() {
        let text = "Welcome!\nm begin\n/proc/a:1\n/proc/a:2\n/proc/b/c:3\nm end\nlogout\n";
        let reading = Reading::of(text, "m").unwrap();
        assert_eq!(reading.lines("/proc/a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(reading.folders("/proc/")["b"]["c"], "3");
        assert!(!reading.has("Welcome!"));
    }

    #[test]
    fn half_an_answer_is_no_answer() {
        assert_eq!(Reading::of("m begin\n/proc/a:1\n/pro", "m").unwrap_err(), Incomplete::NotEnded(22));
        let error = Reading::of("This account is currently not available.\n", "m").unwrap_err().to_string();
        assert!(error.contains("41 bytes") && error.contains("not available"), "{error}");
    }

    #[test]
    fn a_process_cannot_play_another_source() {
        let text = "m begin\n/proc/7/stat:7 (a\n/proc/7/stat:/proc/stat:cpu0 1) S 1\nm end\n";
        let reading = Reading::of(text, "m").unwrap();
        assert!(!reading.has("/proc/stat"));
        assert_eq!(reading.lines("/proc/7/stat").collect::<Vec<_>>(), ["7 (a", "/proc/stat:cpu0 1) S 1"]);
    }

    #[test]
    fn files_of_udev_are_named_by_two_numbers() {
        let reading = Reading::of("m begin\n/run/udev/data/b8:0:E:ID_PATH=pci-0:1\nm end\n", "m").unwrap();
        assert_eq!(reading.line("/run/udev/data/b8:0"), Some("E:ID_PATH=pci-0:1"));
    }
}
