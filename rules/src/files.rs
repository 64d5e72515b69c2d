//! Which files are meant.

use std::path::{Path, PathBuf};

/// promtool's unit tests are YAML too, but no rule files.
const TESTS: &str = "tests";

/// A file or folder that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system says no.
    #[error("failed to read `{path}`")]
    Read {
        /// File or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing to check: most likely a wrong path.
    #[error("`{path}`: expected rule files (`*.yml`, `*.yaml`), found none")]
    Empty {
        /// The folder.
        path: String,
    },
}

impl FileError {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.display().to_string(), source }
    }
}

/// The files at `paths`: those that are named, and in folders every YAML file, sorted.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    for path in paths {
        let metadata = path.metadata().map_err(|error| FileError::read(path, error))?;
        if metadata.is_dir() {
            let before = found.len();
            walk(path, &mut found)?;
            if found.len() == before {
                return Err(FileError::Empty { path: path.display().to_string() });
            }
        } else {
            found.push(path.clone());
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), FileError> {
    let failed = |error| FileError::read(folder, error);
    for entry in folder.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // A link to a folder is not followed: it could lead back here.
        if entry.file_type().map_err(failed)?.is_dir() {
            if entry.file_name() != TESTS {
                walk(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
            found.push(path);
        }
    }
    Ok(())
}
