//! The index of a block, written front to back: symbols, series, postings, the table of postings, the table of contents.
//!
//! Symbols come first, so all strings have to be known before; postings are kept in memory, four bytes for each label of
//! each series.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use prost::encoding::encode_varint;

use super::{ChunkMeta, INDEX_MAGIC, INDEX_VERSION, SERIES_ALIGNMENT};

pub(super) struct IndexWriter {
    out: Out,
    /// Sorted.
    symbols: Vec<String>,
    /// Where series begin.
    series_at: u64,
    /// All series, and those of each label, by the numbers of its name and value.
    all: Vec<u32>,
    postings: HashMap<(u32, u32), Vec<u32>>,
}

impl IndexWriter {
    pub(super) fn create(file: &Path, symbols: BTreeSet<String>) -> io::Result<Self> {
        let mut out = Out { file: BufWriter::with_capacity(1 << 20, File::create(file)?), at: 0 };
        out.write(&INDEX_MAGIC.to_be_bytes())?;
        out.write(&[INDEX_VERSION])?;
        let symbols: Vec<_> = symbols.into_iter().collect();
        let mut table = length(symbols.len())?.to_vec();
        for symbol in &symbols {
            push_string(symbol, &mut table);
        }
        out.section(&table)?;
        let series_at = out.at;
        Ok(Self { out, symbols, series_at, all: Vec::new(), postings: HashMap::new() })
    }

    /// Series come in the order of their labels, and their chunks in that of time.
    pub(super) fn add(&mut self, labels: &[(String, String)], chunks: &[ChunkMeta]) -> io::Result<()> {
        self.out.align(SERIES_ALIGNMENT)?;
        let too_large = || io::Error::other("the index is larger than 64 GiB; use a shorter --block-duration");
        let place = u32::try_from(self.out.at / SERIES_ALIGNMENT).map_err(|_| too_large())?;
        self.all.push(place);
        let mut entry = Vec::new();
        encode_varint(labels.len() as u64, &mut entry);
        for (name, value) in labels {
            let pair = (self.symbol(name)?, self.symbol(value)?);
            encode_varint(u64::from(pair.0), &mut entry);
            encode_varint(u64::from(pair.1), &mut entry);
            self.postings.entry(pair).or_default().push(place);
        }
        encode_varint(chunks.len() as u64, &mut entry);
        let mut before: Option<&ChunkMeta> = None;
        for chunk in chunks {
            match before {
                None => {
                    push_signed(chunk.first, &mut entry);
                    encode_varint((chunk.last - chunk.first).cast_unsigned(), &mut entry);
                    encode_varint(chunk.place, &mut entry);
                }
                Some(before) => {
                    encode_varint((chunk.first - before.last).cast_unsigned(), &mut entry);
                    encode_varint((chunk.last - chunk.first).cast_unsigned(), &mut entry);
                    push_signed((chunk.place - before.place).cast_signed(), &mut entry);
                }
            }
            before = Some(chunk);
        }
        let mut size = Vec::new();
        encode_varint(entry.len() as u64, &mut size);
        self.out.write(&size)?;
        self.out.checked(&entry)
    }

    fn symbol(&self, text: &str) -> io::Result<u32> {
        let found = self.symbols.binary_search_by(|symbol| symbol.as_str().cmp(text));
        let number = found.map_err(|_| io::Error::other(format!("`{text}` is none of the symbols")))?;
        u32::try_from(number).map_err(io::Error::other)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        let symbols_at = 5;
        // Label indices are used no more; Prometheus names the place where they would be.
        let indices_at = self.out.at;
        self.out.align(4)?;
        let postings_at = self.out.at;
        let mut pairs: Vec<_> = self.postings.into_iter().collect();
        // Symbols are sorted, and so are their numbers.
        pairs.sort_unstable_by_key(|(pair, _)| *pair);
        let mut table = length(pairs.len() + 1)?.to_vec();
        let lists = std::iter::once((("", ""), &self.all)).chain(pairs.iter().map(|((name, value), list)| {
            ((self.symbols[*name as usize].as_str(), self.symbols[*value as usize].as_str()), list)
        }));
        for ((name, value), list) in lists {
            self.out.align(4)?;
            encode_varint(2, &mut table);
            push_string(name, &mut table);
            push_string(value, &mut table);
            encode_varint(self.out.at, &mut table);
            let mut postings = length(list.len())?.to_vec();
            list.iter().for_each(|place| postings.extend_from_slice(&place.to_be_bytes()));
            self.out.section(&postings)?;
        }
        let table_at = self.out.at;
        self.out.section(&table)?;
        let toc = [symbols_at, self.series_at, indices_at, table_at, postings_at, table_at];
        self.out.checked(&toc.map(u64::to_be_bytes).concat())?;
        self.out.file.flush()?;
        self.out.file.get_ref().sync_all()
    }
}

/// A file, and how much of it there is.
struct Out {
    file: BufWriter<File>,
    at: u64,
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn align(&mut self, size: u64) -> io::Result<()> {
        let padding = self.at.next_multiple_of(size) - self.at;
        self.write(&[0; SERIES_ALIGNMENT as usize][..padding as usize])
    }

    /// Bytes and their checksum.
    fn checked(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)?;
        self.write(&crc32c::crc32c(bytes).to_be_bytes())
    }

    /// Behind their length.
    fn section(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(&length(bytes.len())?)?;
        self.checked(bytes)
    }
}

fn length(number: usize) -> io::Result<[u8; 4]> {
    let too_large = |_| io::Error::other("a part of the index is larger than 4 GiB; use a shorter --block-duration");
    u32::try_from(number).map(u32::to_be_bytes).map_err(too_large)
}

fn push_string(text: &str, into: &mut Vec<u8>) {
    encode_varint(text.len() as u64, into);
    into.extend_from_slice(text.as_bytes());
}

fn push_signed(value: i64, into: &mut Vec<u8>) {
    encode_varint((value << 1 ^ value >> 63).cast_unsigned(), into);
}
