//! Prometheus' blocks on disk: a folder with chunks in segments, an index over them, and what it is in `meta.json`.
//!
//! Formats: <https://github.com/prometheus/prometheus/tree/main/tsdb/docs/format>. Written as Prometheus 3 writes them, and
//! read whoever wrote them (index version 2: every Prometheus since 2.3).

mod index;
mod meta;
mod reader;
#[cfg(test)]
mod tests;
mod tombstones;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use crate::chunk::ChunkError;
pub(crate) use meta::{Meta, Stats};
pub(crate) use reader::{Block, StoredChunk, StoredSeries};
pub(crate) use writer::BlockWriter;

const INDEX_MAGIC: u32 = 0xBAAA_D700;
const INDEX_VERSION: u8 = 2;
/// Sections, each as its offset of eight bytes, and a checksum.
const TOC_BYTES: usize = 6 * 8 + 4;
/// A series is found by its offset in these units.
const SERIES_ALIGNMENT: u64 = 16;

const SEGMENT_MAGIC: u32 = 0x85BD_40DD;
const SEGMENT_VERSION: u8 = 1;
/// Magic, version and padding.
const SEGMENT_HEADER: usize = 8;

/// Where the samples of a chunk are, and of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ChunkMeta {
    first: i64,
    last: i64,
    /// Segment in the upper 32 bits, offset in the lower.
    place: u64,
}

/// Why a file of a block cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockError {
    #[error("{}: {error}", file.display())]
    Io { file: PathBuf, error: io::Error },
    #[error("{}: at byte {at}: expected {expected}, found {found}", file.display())]
    Damaged { file: PathBuf, at: u64, expected: String, found: String },
    #[error("{}: expected the JSON of a block: {error}", file.display())]
    Meta { file: PathBuf, error: serde_json::Error },
    #[error("{}: at byte {at}: {error}", file.display())]
    Chunk { file: PathBuf, at: u64, error: ChunkError },
}

impl BlockError {
    fn io(file: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { file: file.to_owned(), error }
    }

    fn damaged(file: &Path, at: u64, expected: impl ToString, found: impl ToString) -> Self {
        Self::Damaged { file: file.to_owned(), at, expected: expected.to_string(), found: found.to_string() }
    }
}
