//! How far the log was shipped, in a file of its own that is replaced as a whole.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Position, WalError, segment};
use crate::file::replace;

const FILE: &str = "state.json";

/// The state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The log's id.
    pub(super) wal: u128,
    /// All before is in ClickHouse.
    pub(super) shipped: Position,
    /// Where it is read from after a start: before what was held back.
    #[serde(default)]
    pub(super) replay: Option<Position>,
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
                let state = Self { wal: known.unwrap_or_else(rand::random), shipped, replay: None };
                state.save(folder)?;
                Ok(state)
            }
            Err(error) => Err(WalError::io("read", &path)(error)),
        }
    }

    /// Replaces the file.
    pub(super) fn save(&self, folder: &Path) -> Result<(), WalError> {
        let path = folder.join(FILE);
        let written = serde_json::to_vec(self).map_err(Into::into).and_then(|json| replace(folder, FILE, &json));
        written.map_err(WalError::io("write", &path))
    }
}
