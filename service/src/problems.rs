//! What is wrong with a config, all of it, while it is validated.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::{SecretSource, parse_duration};

/// Collects problems by key path (`vcenters[0].url`); the loader adds file and line.
pub struct Problems {
    folder: PathBuf,
    found: Vec<Problem>,
    later: Vec<Later>,
}

/// A check that reads files: made by a validation, which does no I/O, and run by the loader.
pub(crate) struct Later {
    key: String,
    expected: String,
    check: Box<dyn FnOnce() -> Result<(), String>>,
}

#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) key: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Problems {
    pub(crate) fn new(file: &Path) -> Self {
        Self { folder: file.parent().unwrap_or(Path::new("")).to_owned(), found: Vec::new(), later: Vec::new() }
    }

    pub(crate) fn into_found(self) -> Vec<Problem> {
        self.found
    }

    /// Runs the checks that read files.
    pub(crate) fn look_at_files(&mut self) {
        for Later { key, expected, check } in std::mem::take(&mut self.later) {
            if let Err(found) = check() {
                self.push(key, expected, found);
            }
        }
    }

    /// A check of what a file holds, run when the config is loaded from its own file. Its error says what was found.
    pub fn when_loaded(
        &mut self,
        key: impl Into<String>,
        expected: impl Into<String>,
        check: impl FnOnce() -> Result<(), String> + 'static,
    ) {
        self.later.push(Later { key: key.into(), expected: expected.into(), check: Box::new(check) });
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Adds a problem: printed as `key: expected {expected}, found {found}`.
    pub fn push(&mut self, key: impl Into<String>, expected: impl Into<String>, found: impl Display) {
        self.found.push(Problem { key: key.into(), expected: expected.into(), found: found.to_string() });
    }

    /// An absolute http or https URL.
    pub fn url(&mut self, key: &str, value: &str) -> Option<Url> {
        let url = Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        self.some(url, key, "an http or https URL", value)
    }

    /// A duration in Prometheus' notation.
    pub fn duration(&mut self, key: &str, value: &str) -> Option<Duration> {
        self.some(parse_duration(value), key, "a duration such as `30s` or `1m30s`", value)
    }

    /// A path, taken relative to the folder of the config file.
    pub fn path(&mut self, key: &str, value: &str) -> Option<PathBuf> {
        let path = (!value.is_empty()).then(|| self.folder.join(value));
        self.some(path, key, "a path", value)
    }

    /// A secret from exactly one of `<key>_file` and `<key>_env`.
    pub fn secret(&mut self, key: &str, file: Option<String>, env: Option<String>) -> Option<SecretSource> {
        match (file, env) {
            (Some(file), None) => self.path(&format!("{key}_file"), &file).map(SecretSource::File),
            (None, Some(env)) if env.is_empty() || env.contains(['=', '\0']) => {
                self.push(format!("{key}_env"), "the name of an environment variable", quoted(&env));
                None
            }
            (None, Some(env)) => Some(SecretSource::Env(env)),
            (file, _) => {
                let found = if file.is_some() { "both" } else { "neither" };
                let name = key.rsplit('.').next().unwrap_or(key);
                self.push(key, format!("exactly one of `{name}_file` and `{name}_env`"), found);
                None
            }
        }
    }

    fn some<T>(&mut self, parsed: Option<T>, key: &str, expected: &str, value: &str) -> Option<T> {
        if parsed.is_none() {
            self.push(key, expected, quoted(value));
        }
        parsed
    }
}

fn quoted(value: &str) -> String {
    format!("`{value}`")
}
