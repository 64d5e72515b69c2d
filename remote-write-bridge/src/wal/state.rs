//! How far the log was shipped, in a file of its own that is replaced as a whole.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Position, WalError, segment};

const FILE: &str = "state.json";

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The log's id.
    pub(super) wal: u128,
    /// All before is in ClickHouse.
    pub(super) shipped: Position,
}

impl State {
    /// As it was written last; a new one where there is none. Without it all segments are shipped again, which is
    /// harmless.
    pub(super) fn load(folder: &Path, segments: &[u64]) -> Result<Self, WalError> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| WalError::State {
                path,
                reason: format!("{error}; delete it to ship all segments again"),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let known = segments.iter().find_map(|number| segment::log_of(folder, *number));
                let shipped = Position { segment: segments.first().copied().unwrap_or(0), offset: 0 };
                let state = Self { wal: known.unwrap_or_else(rand::random), shipped };
                state.save(folder)?;
                Ok(state)
            }
            Err(error) => Err(WalError::io("read", &path)(error)),
        }
    }

    /// Replaces the file.
    pub(super) fn save(&self, folder: &Path) -> Result<(), WalError> {
        let (path, beside) = (folder.join(FILE), folder.join("state.new"));
        let json = serde_json::to_vec(self).map_err(|error| WalError::io("write", &path)(error.into()))?;
        let write = || {
            let mut file = std::fs::File::create(&beside)?;
            file.write_all(&json)?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)
        };
        write().map_err(WalError::io("write", &path))?;
        segment::sync_folder(folder)
    }
}
