//! Config files: YAML as the user writes it into the values that the program uses.
//!
//! Two steps, two types. Parsing (`Raw`) finds unknown keys and wrong types, validation (`Config`) everything
//! else; nothing is parsed twice later. All problems are reported, each as
//! `file:line: key.path: expected …, found …`.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::locate::Keys;
use crate::problems::Problems;

/// What a program uses, made from what the user wrote.
pub trait Config: Sized + Send + 'static {
    /// What the user writes: strings as typed, `#[serde(deny_unknown_fields)]`.
    type Raw: DeserializeOwned;

    /// Checks everything and reports all problems; `None` when there is one. Does no I/O.
    fn validate(raw: Self::Raw, problems: &mut Problems) -> Option<Self>;
}

/// A config that cannot be used. Prints one line for each problem.
#[derive(Debug)]
pub struct ConfigError {
    lines: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Reads a config file.
pub fn load<C: Config>(path: &Path) -> Result<C, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(yaml) => parse(&yaml, path, Problems::look_at_files),
        Err(error) => {
            let hint = if error.kind() == std::io::ErrorKind::NotFound { "; name it with `--config.file`" } else { "" };
            Err(ConfigError { lines: vec![format!("{}: {error}{hint}", path.display())] })
        }
    }
}

/// Reads a config from memory, and no other file. `file` is what errors name, and its folder is what relative paths
/// start from.
pub fn parse_config<C: Config>(yaml: &str, file: &Path) -> Result<C, ConfigError> {
    parse(yaml, file, |_| {})
}

fn parse<C: Config>(yaml: &str, file: &Path, look: fn(&mut Problems)) -> Result<C, ConfigError> {
    if yaml.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Err(ConfigError { lines: vec![format!("{}: expected a config, found nothing in it", file.display())] });
    }
    let raw = parse_raw::<C::Raw>(yaml, file)?;
    let mut problems = Problems::new(file);
    let config = C::validate(raw, &mut problems);
    look(&mut problems);
    let problems = problems.into_found();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            let keys = Keys::of(yaml);
            let mut located: Vec<_> = problems.into_iter().map(|problem| (keys.line(&problem.key), problem)).collect();
            located.sort_by_key(|(line, _)| *line);
            let print = |(line, p): (Option<u64>, crate::problems::Problem)| {
                format!("{}: {}: expected {}, found {}", Position { file, line }, p.key, p.expected, p.found)
            };
            Err(ConfigError { lines: located.into_iter().map(print).collect() })
        }
    }
}

fn parse_raw<R: DeserializeOwned>(yaml: &str, file: &Path) -> Result<R, ConfigError> {
    let mut key = String::new();
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::with_deserializer_from_str_with_options(yaml, options, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            key = error.path().to_string();
            error.into_inner()
        })
    })
    .map_err(|error| {
        let line = error.location().map(|location| location.line());
        let message = plain_message(&error, Keys::of(yaml).scalar(&key));
        let key = if key.is_empty() || key == "." { String::new() } else { format!("{key}: ") };
        ConfigError { lines: vec![format!("{}: {key}{message}", Position { file, line })] }
    })
}

/// The parser's message without the position at its end, which already stands in front, and without Rust's type
/// names, which tell a user nothing.
fn plain_message(error: &serde_saphyr::Error, value: Option<&str>) -> String {
    let text = error.without_snippet().to_string();
    let text = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    let Some((wanted, value)) = text.strip_prefix("invalid ").zip(value) else { return text.to_owned() };
    let wanted = match wanted {
        "bool" => "`true` or `false`",
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative and not too large",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number that is not too large",
        other => other,
    };
    format!("expected {wanted}, found `{value}`")
}

struct Position<'a> {
    file: &'a Path,
    line: Option<u64>,
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) if line > 0 => write!(f, "{}:{line}", self.file.display()),
            _ => write!(f, "{}", self.file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        targets: Vec<RawTarget>,
    }

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawTarget {
        url: String,
        timeout: Option<String>,
        port: Option<u16>,
        password_file: Option<String>,
        password_env: Option<String>,
    }

    #[derive(Debug)]
    struct Checked(usize);

    impl Config for Checked {
        type Raw = Raw;
        fn validate(raw: Raw, problems: &mut Problems) -> Option<Self> {
            for (i, target) in raw.targets.iter().enumerate() {
                problems.url(&format!("targets[{i}].url"), &target.url);
                if let Some(timeout) = &target.timeout {
                    problems.duration(&format!("targets[{i}].timeout"), timeout);
                }
                let key = format!("targets[{i}].password");
                problems.secret(&key, target.password_file.clone(), target.password_env.clone());
            }
            Some(Checked(raw.targets.iter().filter_map(|t| t.port).count()))
        }
    }

    fn check(yaml: &str, expected: &str) {
        let found = match parse_config::<Checked>(yaml, Path::new("config.yml")) {
            Ok(Checked(ports)) => format!("ok, {ports} ports"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_valid_config_is_used() {
        check("targets:\n- url: http://a\n  port: 1\n  password_env: P\n", "ok, 1 ports");
    }

    #[test]
    fn all_problems_are_reported_with_their_lines() {
        check(
            "targets:\n  - url: http://a\n    timeout: soon\n    password_env: P\n  - url: ftp://b\n",
            "config.yml:3: targets[0].timeout: expected a duration such as `30s` or `1m30s`, found `soon`\n\
             config.yml:5: targets[1].url: expected an http or https URL, found `ftp://b`\n\
             config.yml:5: targets[1].password: expected exactly one of `password_file` and `password_env`, found neither",
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_the_known_ones() {
        check(
            "targets:\n  - url: http://a\n    pasword_file: x\n",
            "config.yml:3: targets[0].pasword_file: unknown field `pasword_file`, expected one of url, timeout, port, password_file, password_env",
        );
    }

    #[test]
    fn an_empty_config_is_told() {
        check("# nothing\n\n", "config.yml: expected a config, found nothing in it");
    }

    #[test]
    fn a_wrong_type_is_named() {
        check(
            "targets:\n  - url: http://a\n    port: many\n",
            "config.yml:3: targets[0].port: expected a whole number that is not negative and not too large, found `many`",
        );
    }

    #[test]
    fn broken_yaml_has_a_line() {
        check("targets:\n  - url: 'a\n", "config.yml:2: targets[0]: unclosed quote");
    }
}
