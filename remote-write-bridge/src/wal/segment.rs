//! Segments as files: a head, then records, each behind its length and checksum.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use super::WalError;

/// What a segment begins with, and the version of its format; then the log's id and the segment's number.
const MAGIC: &[u8; 8] = b"lynwal02";

pub(super) const HEAD: u64 = 32;

/// Length and checksum.
pub(super) const FRAME: u64 = 8;

/// A request has at most 256 MiB; its record is smaller.
const MAX_RECORD: u64 = 512 << 20;

/// A segment that is read.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    file: File,
}

/// What is at a place of a segment.
#[derive(Debug)]
pub(super) enum Found {
    Record(Vec<u8>),
    /// Not a whole record: its bytes are other than they were, or missing.
    Damaged {
        /// Where the next one begins, if its length can be believed.
        next: Option<u64>,
    },
}

/// The name of a segment's file.
pub(super) fn name(number: u64) -> String {
    format!("{number:016}.wal")
}

/// The numbers of all segments, in order.
pub(super) fn list(folder: &Path) -> Result<Vec<u64>, WalError> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(WalError::io("list", folder))? {
        let name = entry.map_err(WalError::io("list", folder))?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".wal")?.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Bytes of a segment; 0 where it has gone.
pub(super) fn size(folder: &Path, number: u64) -> u64 {
    folder.join(name(number)).metadata().map_or(0, |file| file.len())
}

/// Begins a segment. It has to be synced, and its folder too.
pub(super) fn create(folder: &Path, id: u128, number: u64) -> Result<File, WalError> {
    let path = folder.join(name(number));
    let mut file = File::create_new(&path).map_err(WalError::io("create", &path))?;
    let head = [&MAGIC[..], &id.to_le_bytes(), &number.to_le_bytes()].concat();
    file.write_all(&head).map_err(WalError::io("write", &path))?;
    Ok(file)
}

/// Makes names of new files survive a crash.
pub(super) fn sync_folder(folder: &Path) -> Result<(), WalError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(WalError::io("sync the folder", folder))
}

/// A record as it stands in a segment.
pub(super) fn frame(record: &[u8], into: &mut Vec<u8>) {
    // At most MAX_RECORD.
    into.extend_from_slice(&(record.len() as u32).to_le_bytes());
    into.extend_from_slice(&checksum(record).to_le_bytes());
    into.extend_from_slice(record);
}

fn checksum(record: &[u8]) -> u32 {
    // Its lower half is as good as any.
    xxh3_64(record) as u32
}

/// The id of the log that a segment belongs to, if it is one with this number.
pub(super) fn log_of(folder: &Path, number: u64) -> Option<u128> {
    let mut head = [0; HEAD as usize];
    File::open(folder.join(name(number))).ok()?.read_exact_at(&mut head, 0).ok()?;
    let (magic, rest) = head.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (found, _) = rest.split_first_chunk()?;
    (magic == MAGIC && u64::from_le_bytes(*found) == number).then(|| u128::from_le_bytes(*id))
}

impl Segment {
    pub(super) fn open(folder: &Path, number: u64) -> Result<Self, WalError> {
        let path = folder.join(name(number));
        let file = File::open(&path).map_err(WalError::io("open", &path))?;
        Ok(Self { path, file })
    }

    pub(super) fn length(&self) -> Result<u64, WalError> {
        Ok(self.file.metadata().map_err(WalError::io("look at", &self.path))?.len())
    }

    /// What is at `offset`, where the segment ends at `end`, or before: then something has cut it.
    pub(super) fn record(&self, offset: u64, end: u64) -> Result<Found, WalError> {
        let end = end.min(self.length()?);
        if offset + FRAME > end {
            return Ok(Found::Damaged { next: None });
        }
        let head = self.bytes(offset, FRAME)?;
        let number = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let (length, expected) = (u64::from(number(0)), number(4));
        let next = offset + FRAME + length;
        // Zeros are what a crash leaves of a file that had grown; no record is empty.
        if length == 0 || length > MAX_RECORD || next > end {
            return Ok(Found::Damaged { next: None });
        }
        let record = self.bytes(offset + FRAME, length)?;
        if checksum(&record) == expected { Ok(Found::Record(record)) } else { Ok(Found::Damaged { next: Some(next) }) }
    }

    /// Some of its bytes.
    pub(super) fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, WalError> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, offset).map_err(WalError::io("read", &self.path))?;
        Ok(bytes)
    }
}

/// Cuts off what a crash left of the last write: bytes at the end which are no record, and after which there is none.
pub(super) fn cut_torn_tail(path: &Path) -> Result<(), WalError> {
    let folder = path.parent().unwrap_or(path);
    let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).unwrap_or_default();
    let segment = Segment::open(folder, number)?;
    let length = segment.length()?;
    let mut sound = HEAD.min(length);
    let mut at = HEAD;
    while at < length {
        match segment.record(at, length)? {
            Found::Record(record) => {
                at += FRAME + record.len() as u64;
                sound = at;
            }
            // Damage, not a torn end, if a record follows after all.
            Found::Damaged { next: Some(next) } => at = next,
            Found::Damaged { next: None } => break,
        }
    }
    if sound < length {
        warn!(segment = %path.display(), offset = sound, bytes = length - sound, "a crash left part of a write that was never acknowledged: it is cut off");
        let file = File::options().write(true).open(path).map_err(WalError::io("open", path))?;
        file.set_len(sound).and_then(|()| file.sync_all()).map_err(WalError::io("cut", path))?;
    }
    Ok(())
}
