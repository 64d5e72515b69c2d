//! Writes a block: into a folder that Prometheus takes for none, which gets its name when everything is on the disk.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use prost::encoding::encode_varint;
use ulid::Ulid;

use super::index::IndexWriter;
use super::meta::{Compaction, Meta, Stats};
use super::tombstones;
use super::{ChunkMeta, SEGMENT_HEADER, SEGMENT_MAGIC, SEGMENT_VERSION};
use crate::chunk::Chunk;
use crate::time::now_millis;

/// As large as Prometheus makes them.
const SEGMENT_BYTES: usize = 512 << 20;

pub(crate) struct BlockWriter {
    parent: PathBuf,
    folder: Unfinished,
    meta: Meta,
    index: IndexWriter,
    segments: Segments,
    /// The series that is being written.
    labels: Vec<(String, String)>,
    chunks: Vec<ChunkMeta>,
}

impl BlockWriter {
    /// `symbols` are all strings that its series will have, or more.
    pub(crate) fn create(parent: &Path, symbols: BTreeSet<String>) -> io::Result<Self> {
        let now = u64::try_from(now_millis()).unwrap_or_default();
        let ulid = Ulid::from_parts(now, rand::random()).to_string();
        // Prometheus deletes such folders at its start.
        let folder = Unfinished(parent.join(format!("{ulid}.tmp-for-creation")));
        fs::create_dir_all(folder.0.join("chunks"))?;
        let index = IndexWriter::create(&folder.0.join("index"), symbols)?;
        let segments = Segments { folder: folder.0.join("chunks"), number: 0, current: None };
        let compaction = Compaction { level: 1, sources: vec![ulid.clone()] };
        let (min_time, max_time, stats) = (i64::MAX, i64::MIN, Stats::default());
        let meta = Meta { ulid, min_time, max_time, stats, compaction, version: 1 };
        Ok(Self { parent: parent.to_owned(), folder, meta, index, segments, labels: vec![], chunks: vec![] })
    }

    /// Series come in the order of their labels, which are sorted, and their chunks in that of time.
    pub(crate) fn add(&mut self, labels: &[(&str, &str)], chunk: &Chunk) -> io::Result<()> {
        let current = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        if !current.eq(labels.iter().copied()) {
            self.end_series()?;
            self.labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        }
        let place = self.segments.add(chunk)?;
        self.chunks.push(ChunkMeta { first: chunk.first, last: chunk.last, place });
        let Meta { min_time, max_time, stats, .. } = &mut self.meta;
        *min_time = chunk.first.min(*min_time);
        *max_time = (chunk.last + 1).max(*max_time);
        stats.num_samples += chunk.samples as u64;
        stats.num_chunks += 1;
        Ok(())
    }

    fn end_series(&mut self) -> io::Result<()> {
        if !self.chunks.is_empty() {
            self.index.add(&self.labels, &self.chunks)?;
            self.meta.stats.num_series += 1;
            self.chunks.clear();
        }
        Ok(())
    }

    /// Gives the block its name; `None` where it has no samples and is not made.
    pub(crate) fn finish(mut self) -> io::Result<Option<Meta>> {
        self.end_series()?;
        let Self { parent, folder, meta, index, segments, .. } = self;
        if meta.stats.num_samples == 0 {
            return Ok(None);
        }
        segments.finish()?;
        index.finish()?;
        let write = |name: &str, content: &[u8]| {
            let mut file = File::create(folder.0.join(name))?;
            file.write_all(content)?;
            file.sync_all()
        };
        write("meta.json", &serde_json::to_vec_pretty(&meta)?)?;
        write("tombstones", &tombstones::EMPTY)?;
        File::open(&folder.0)?.sync_all()?;
        fs::rename(&folder.0, parent.join(&meta.ulid))?;
        File::open(&parent)?.sync_all()?;
        Ok(Some(meta))
    }
}

/// Goes away with what is in it, unless it got its name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Whatever it is that failed, its reason is the better answer.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Files with chunks.
struct Segments {
    folder: PathBuf,
    /// How many there were before the current one.
    number: u64,
    current: Option<(BufWriter<File>, usize)>,
}

impl Segments {
    /// Says where it is.
    fn add(&mut self, chunk: &Chunk) -> io::Result<u64> {
        let mut bytes = Vec::with_capacity(chunk.data.len() + 10);
        encode_varint(chunk.data.len() as u64, &mut bytes);
        let data_at = bytes.len();
        bytes.push(chunk.encoding as u8);
        bytes.extend_from_slice(&chunk.data);
        let checksum = crc32c::crc32c(&bytes[data_at..]);
        bytes.extend_from_slice(&checksum.to_be_bytes());

        if self.current.as_ref().is_some_and(|(_, size)| size + bytes.len() > SEGMENT_BYTES) {
            self.end()?;
        }
        let (file, size) = match &mut self.current {
            Some(current) => current,
            none => none.insert(begin(&self.folder, self.number)?),
        };
        file.write_all(&bytes)?;
        let place = self.number << 32 | *size as u64;
        *size += bytes.len();
        Ok(place)
    }

    fn end(&mut self) -> io::Result<()> {
        let Some((mut file, _)) = self.current.take() else { return Ok(()) };
        self.number += 1;
        file.flush()?;
        file.get_ref().sync_all()
    }

    fn finish(mut self) -> io::Result<()> {
        self.end()?;
        File::open(&self.folder)?.sync_all()
    }
}

fn begin(folder: &Path, number: u64) -> io::Result<(BufWriter<File>, usize)> {
    let file = File::create_new(folder.join(format!("{:06}", number + 1)))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    file.write_all(&SEGMENT_MAGIC.to_be_bytes())?;
    file.write_all(&[SEGMENT_VERSION, 0, 0, 0])?;
    Ok((file, SEGMENT_HEADER))
}
