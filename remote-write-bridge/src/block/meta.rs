//! `meta.json`: what a block has.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Meta {
    pub(crate) ulid: String,
    /// The first millisecond, and that behind the last one.
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
    #[serde(default)]
    pub(crate) stats: Stats,
    #[serde(default)]
    pub(crate) compaction: Compaction,
    pub(crate) version: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Stats {
    pub(crate) num_samples: u64,
    pub(crate) num_series: u64,
    pub(crate) num_chunks: u64,
}

/// Blocks that it was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Compaction {
    pub(crate) level: u32,
    pub(crate) sources: Vec<String>,
}
