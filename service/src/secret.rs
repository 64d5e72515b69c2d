//! Values that must not reach a log, and where they come from.

use std::fmt;
use std::path::PathBuf;

/// A value that prints as `<secret>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. Calls of this are the places to look at when a secret leaked.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Where a secret is read from. It is read at each use, so that a rotated one takes effect without a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file whose content, without the newline at its end, is the secret.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// A secret that cannot be read. Says where from, never what.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("failed to read the secret file `{path}`", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The variable is unset or no UTF-8.
    #[error("environment variable `{name}` is not set, or not UTF-8")]
    Env {
        /// The variable.
        name: String,
    },
    /// There is nothing in it.
    #[error("the secret in {origin} is empty")]
    Empty {
        /// The file or variable.
        origin: String,
    },
}

impl SecretSource {
    /// Reads the secret.
    pub fn read(&self) -> Result<Secret<String>, SecretError> {
        let value = match self {
            Self::File(path) => {
                std::fs::read_to_string(path).map_err(|error| SecretError::File { path: path.clone(), error })?
            }
            Self::Env(name) => std::env::var(name).map_err(|_| SecretError::Env { name: name.clone() })?,
        };
        let value = value.trim_end_matches(['\r', '\n']);
        if value.is_empty() {
            let origin = match self {
                Self::File(path) => format!("the file `{}`", path.display()),
                Self::Env(name) => format!("the environment variable `{name}`"),
            };
            return Err(SecretError::Empty { origin });
        }
        Ok(Secret::new(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?}"), "<secret> <secret>");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = SecretSource::File("no/such/file".into()).read().unwrap_err();
        assert_eq!(error.to_string(), "failed to read the secret file `no/such/file`");
    }
}
