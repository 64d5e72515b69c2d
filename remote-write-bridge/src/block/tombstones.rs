//! What was deleted from a block since it was written.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::Path;

use super::BlockError;
use super::reader::Cursor;

const MAGIC: u32 = 0x0130_BA30;
const VERSION: u8 = 1;

/// The file of a block from which nothing was deleted.
pub(super) const EMPTY: [u8; 9] = {
    let [a, b, c, d] = MAGIC.to_be_bytes();
    [a, b, c, d, VERSION, 0, 0, 0, 0]
};

/// Times that are gone, by the place of the series in the index.
pub(super) type Tombstones = HashMap<u64, Vec<RangeInclusive<i64>>>;

/// Reads the file `tombstones`; a block without it has none.
pub(super) fn read(block: &Path) -> Result<Tombstones, BlockError> {
    let file = block.join("tombstones");
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Tombstones::new()),
        Err(error) => return Err(BlockError::io(&file)(error)),
    };
    let damaged = |at: usize, expected: &str, found: String| BlockError::damaged(&file, at as u64, expected, found);
    let Some((content, checksum)) = bytes.split_last_chunk().filter(|(content, _)| content.len() >= 5) else {
        return Err(damaged(bytes.len(), "at least 9 bytes", bytes.len().to_string()));
    };
    let (head, stones) = content.split_at(5);
    let expected = [&MAGIC.to_be_bytes()[..], &[VERSION]].concat();
    if head != expected {
        return Err(damaged(0, &format!("{expected:02x?}"), format!("{head:02x?}")));
    }
    let (found, expected) = (crc32c::crc32c(stones), u32::from_be_bytes(*checksum));
    if found != expected {
        return Err(damaged(content.len(), &format!("the checksum {found:08x}"), format!("{expected:08x}")));
    }
    let mut tombstones = Tombstones::new();
    let mut cursor = Cursor::new(&file, stones, 5);
    while !cursor.is_done() {
        let (series, first, last) = (cursor.varint()?, cursor.signed()?, cursor.signed()?);
        tombstones.entry(series).or_default().push(first..=last);
    }
    Ok(tombstones)
}
