//! Reads a block, from the front of its index to the end. Every checksum is looked at.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::tombstones::{self, Tombstones};
use super::{
    BlockError, ChunkMeta, INDEX_MAGIC, INDEX_VERSION, Meta, SEGMENT_HEADER, SEGMENT_MAGIC, SEGMENT_VERSION,
    SERIES_ALIGNMENT, TOC_BYTES,
};

/// More than any chunk or series has; what claims more is damaged.
const MAX_ENTRY: u64 = 64 << 20;

/// A block that is being read.
pub(crate) struct Block {
    symbols: Vec<String>,
    tombstones: Tombstones,
    index: PathBuf,
    series: BufReader<File>,
    /// Where in the index the next series is, and where they end.
    at: u64,
    end: u64,
    segments: Vec<(PathBuf, File)>,
}

/// A series, and where its samples are.
#[derive(Debug)]
pub(crate) struct StoredSeries {
    /// Sorted.
    pub(crate) labels: Vec<(String, String)>,
    chunks: Vec<ChunkMeta>,
    deleted: Vec<RangeInclusive<i64>>,
}

/// A chunk as it is in its file.
#[derive(Debug)]
pub(crate) struct StoredChunk {
    pub(crate) encoding: u8,
    pub(crate) data: Vec<u8>,
    /// For what is said of it.
    pub(crate) file: PathBuf,
    pub(crate) at: u64,
}

impl StoredSeries {
    pub(crate) fn is_deleted(&self, time: i64) -> bool {
        self.deleted.iter().any(|range| range.contains(&time))
    }
}

impl Block {
    /// What it says of itself.
    pub(crate) fn meta(folder: &Path) -> Result<Meta, BlockError> {
        let file = folder.join("meta.json");
        let meta = std::fs::read(&file).map_err(BlockError::io(&file))?;
        serde_json::from_slice(&meta).map_err(|error| BlockError::Meta { file, error })
    }

    pub(crate) fn open(folder: &Path) -> Result<Self, BlockError> {
        let index = folder.join("index");
        let mut series = File::open(&index).map_err(BlockError::io(&index))?;
        let [symbols_at, series_at, end] = table_of_contents(&index, &mut series)?;
        let symbols = symbols(&index, &series, symbols_at)?;
        let tombstones = tombstones::read(folder)?;
        series.seek(SeekFrom::Start(series_at)).map_err(BlockError::io(&index))?;
        let series = BufReader::with_capacity(1 << 20, series);
        let segments = segments(&folder.join("chunks"))?;
        Ok(Self { symbols, tombstones, index, series, at: series_at, end, segments })
    }

    /// The next series, in the order of labels.
    pub(crate) fn next_series(&mut self) -> Result<Option<StoredSeries>, BlockError> {
        let padding = self.at.next_multiple_of(SERIES_ALIGNMENT) - self.at;
        if self.at + padding >= self.end {
            return Ok(None);
        }
        self.take(padding)?;
        let place = self.at;
        let length = self.varint()?;
        if length > MAX_ENTRY.min(self.end - self.at) {
            return Err(BlockError::damaged(
                &self.index,
                place,
                "a series of at most 64 MiB",
                format!("{length} bytes"),
            ));
        }
        let (entry_at, entry) = (self.at, self.take(length)?);
        let checksum = self.take(4)?;
        check(&self.index, entry_at, &entry, &checksum)?;
        let mut cursor = Cursor::new(&self.index, &entry, entry_at);
        let mut labels = Vec::new();
        for _ in 0..cursor.varint()? {
            labels.push((self.symbol(&mut cursor)?, self.symbol(&mut cursor)?));
        }
        let mut chunks: Vec<ChunkMeta> = Vec::new();
        for _ in 0..cursor.varint()? {
            let first = match chunks.last() {
                None => cursor.signed()?,
                Some(before) => before.last.wrapping_add(cursor.varint()?.cast_signed()),
            };
            let last = first.wrapping_add(cursor.varint()?.cast_signed());
            let place = match chunks.last() {
                None => cursor.varint()?,
                Some(before) => before.place.wrapping_add_signed(cursor.signed()?),
            };
            chunks.push(ChunkMeta { first, last, place });
        }
        let deleted = self.tombstones.remove(&(place / SERIES_ALIGNMENT)).unwrap_or_default();
        Ok(Some(StoredSeries { labels, chunks, deleted }))
    }

    /// Chunks of a series that may have samples of a time.
    pub(crate) fn chunks(
        &self,
        series: &StoredSeries,
        first: i64,
        last: i64,
    ) -> impl Iterator<Item = Result<StoredChunk, BlockError>> {
        let chunks = series.chunks.iter().filter(move |chunk| chunk.first <= last && chunk.last >= first);
        chunks.map(|chunk| self.chunk(chunk))
    }

    fn chunk(&self, chunk: &ChunkMeta) -> Result<StoredChunk, BlockError> {
        let (number, at) = (chunk.place >> 32, chunk.place & u64::from(u32::MAX));
        let segment = usize::try_from(number).ok().and_then(|number| self.segments.get(number));
        let Some((file, segment)) = segment else {
            let found = format!("{} files", self.segments.len());
            return Err(BlockError::damaged(&self.index, 0, format!("file {} in `chunks`", number + 1), found));
        };
        // A length takes at most five bytes; the last chunk may be shorter than that.
        let mut head = [0; 5];
        let mut read = 0;
        while read < head.len() {
            match segment.read_at(&mut head[read..], at + read as u64).map_err(BlockError::io(file))? {
                0 => break,
                more => read += more,
            }
        }
        let mut cursor = Cursor::new(file, &head[..read], at);
        let length = cursor.varint()?;
        if length > MAX_ENTRY {
            return Err(BlockError::damaged(file, at, "a chunk of at most 64 MiB", format!("{length} bytes")));
        }
        let data_at = cursor.position();
        // Encoding, data, checksum.
        let mut bytes = vec![0; length as usize + 5];
        segment.read_exact_at(&mut bytes, data_at).map_err(BlockError::io(file))?;
        let checksum = bytes.split_off(length as usize + 1);
        check(file, data_at, &bytes, &checksum)?;
        let encoding = bytes.remove(0);
        Ok(StoredChunk { encoding, data: bytes, file: file.clone(), at })
    }

    fn symbol(&self, cursor: &mut Cursor<'_>) -> Result<String, BlockError> {
        let at = cursor.position();
        let number = cursor.varint()?;
        let symbol = usize::try_from(number).ok().and_then(|number| self.symbols.get(number));
        let expected = || format!("one of {} symbols", self.symbols.len());
        symbol.cloned().ok_or_else(|| BlockError::damaged(&self.index, at, expected(), format!("symbol {number}")))
    }

    #[cfg(test)]
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    fn take(&mut self, length: u64) -> Result<Vec<u8>, BlockError> {
        let mut bytes = vec![0; length as usize];
        self.series.read_exact(&mut bytes).map_err(BlockError::io(&self.index))?;
        self.at += length;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, BlockError> {
        let (at, mut bytes) = (self.at, Vec::new());
        loop {
            bytes.extend(self.take(1)?);
            if bytes.last().is_some_and(|byte| *byte < 0x80) || bytes.len() == 10 {
                return Cursor::new(&self.index, &bytes, at).varint();
            }
        }
    }
}

fn check(file: &Path, at: u64, bytes: &[u8], checksum: &[u8]) -> Result<(), BlockError> {
    let expected = crc32c::crc32c(bytes).to_be_bytes();
    if checksum == expected {
        return Ok(());
    }
    let end = at + bytes.len() as u64;
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Err(BlockError::damaged(file, end, format!("the checksum {}", text(&expected)), text(checksum)))
}

/// Where symbols and series begin, and where series end.
fn table_of_contents(index: &Path, file: &mut File) -> Result<[u64; 3], BlockError> {
    let length = file.metadata().map_err(BlockError::io(index))?.len();
    let mut head = [0; 5];
    let toc_at = length.checked_sub(TOC_BYTES as u64).filter(|at| *at >= head.len() as u64);
    let Some(toc_at) = toc_at else {
        return Err(BlockError::damaged(index, length, "at least 57 bytes", length));
    };
    file.read_exact_at(&mut head, 0).map_err(BlockError::io(index))?;
    if head[..4] != INDEX_MAGIC.to_be_bytes() {
        return Err(BlockError::damaged(index, 0, "the magic number baaad700", format!("{:02x?}", &head[..4])));
    }
    if head[4] != INDEX_VERSION {
        let expected = "version 2, which Prometheus writes since 2.3";
        return Err(BlockError::damaged(index, 4, expected, format!("version {}", head[4])));
    }
    let mut toc = [0; TOC_BYTES];
    file.read_exact_at(&mut toc, toc_at).map_err(BlockError::io(index))?;
    let (content, checksum) = toc.split_at(TOC_BYTES - 4);
    check(index, toc_at, content, checksum)?;
    let mut places = content.chunks_exact(8).map(|bytes| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)));
    let (symbols_at, series_at) = (places.next().unwrap_or_default(), places.next().unwrap_or_default());
    // Whatever section follows; one that is 0 is not there.
    let end = places.filter(|place| *place >= series_at && *place <= toc_at).min().unwrap_or(toc_at);
    if series_at > toc_at || symbols_at > series_at {
        let found = format!("symbols at {symbols_at}, series at {series_at}");
        return Err(BlockError::damaged(index, toc_at, format!("places before byte {toc_at}"), found));
    }
    Ok([symbols_at, series_at, end])
}

fn symbols(index: &Path, file: &File, at: u64) -> Result<Vec<String>, BlockError> {
    let mut length = [0; 4];
    file.read_exact_at(&mut length, at).map_err(BlockError::io(index))?;
    let length = u64::from(u32::from_be_bytes(length));
    let size = file.metadata().map_err(BlockError::io(index))?.len();
    if at + 4 + length + 4 > size {
        return Err(BlockError::damaged(index, at, format!("a length within {size} bytes"), length));
    }
    let mut table = vec![0; length as usize + 4];
    file.read_exact_at(&mut table, at + 4).map_err(BlockError::io(index))?;
    let checksum = table.split_off(length as usize);
    check(index, at + 4, &table, &checksum)?;
    let mut cursor = Cursor::new(index, &table, at + 4);
    let number = cursor.take(4)?.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
    (0..number).map(|_| cursor.string()).collect()
}

fn segments(folder: &Path) -> Result<Vec<(PathBuf, File)>, BlockError> {
    let mut segments = Vec::new();
    // A block without series has none.
    for number in 1.. {
        let file = folder.join(format!("{number:06}"));
        match File::open(&file) {
            Ok(segment) => {
                let mut head = [0; SEGMENT_HEADER];
                segment.read_exact_at(&mut head, 0).map_err(BlockError::io(&file))?;
                let expected = [&SEGMENT_MAGIC.to_be_bytes()[..], &[SEGMENT_VERSION]].concat();
                if head[..5] != expected {
                    let found = format!("{:02x?}", &head[..5]);
                    return Err(BlockError::damaged(&file, 0, format!("{expected:02x?}"), found));
                }
                segments.push((file, segment));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            Err(error) => return Err(BlockError::io(&file)(error)),
        }
    }
    Ok(segments)
}

/// Reads numbers and strings out of bytes of a file.
pub(super) struct Cursor<'a> {
    file: &'a Path,
    bytes: &'a [u8],
    at: usize,
    /// Where in the file the bytes begin.
    start: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(file: &'a Path, bytes: &'a [u8], start: u64) -> Self {
        Self { file, bytes, at: 0, start }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], BlockError> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let left = rest.len();
        let taken = taken.ok_or_else(|| {
            BlockError::damaged(self.file, self.position(), format!("{length} bytes"), format!("{left} before the end"))
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn varint(&mut self) -> Result<u64, BlockError> {
        let (start, mut value) = (self.position(), 0);
        for place in 0..10 {
            let byte = self.take(1)?[0];
            if place == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BlockError::damaged(self.file, start, "a number of at most 64 bits", "a larger one"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, BlockError> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn string(&mut self) -> Result<String, BlockError> {
        let length = self.varint()?;
        let at = self.position();
        let bytes = self.take(length)?;
        let invalid =
            |_| BlockError::damaged(self.file, at, "text in UTF-8", format!("{:02x?}", &bytes[..bytes.len().min(40)]));
        str::from_utf8(bytes).map(str::to_owned).map_err(invalid)
    }
}
