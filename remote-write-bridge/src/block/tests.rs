//! Blocks are read back as they were written, and damage is an error with its place.

use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::chunk::{Chunks, Points};
use crate::wire::Sample;

/// Labels, and time and value of the samples.
type Series = (Vec<(&'static str, &'static str)>, Vec<(i64, f64)>);

fn series() -> Vec<Series> {
    let many = (0..500).map(|at| (at * 15_000, (at as f64).sin())).collect();
    vec![
        (vec![("Upper", "ä"), ("__name__", "up")], vec![(7, 1.)]),
        (vec![("__name__", "many"), ("job", "a")], many),
        (vec![("__name__", "up"), ("job", "a")], vec![(-5, 1.), (20, f64::NEG_INFINITY)]),
    ]
}

fn written(dir: &TempDir) -> (PathBuf, Meta) {
    let symbols: BTreeSet<_> =
        series().iter().flat_map(|(labels, _)| labels.clone()).flat_map(|(a, b)| [a, b]).collect();
    let symbols = symbols.into_iter().map(str::to_owned).collect();
    let mut writer = BlockWriter::create(dir.path(), symbols).unwrap();
    for (labels, samples) in series() {
        let sample = |(timestamp, value): &(i64, f64)| Sample { timestamp: *timestamp, value: *value };
        let rows: Vec<_> = samples.iter().map(sample).collect();
        for chunk in Chunks::new(&rows, &[]) {
            writer.add(&labels, &chunk.unwrap()).unwrap();
        }
    }
    let meta = writer.finish().unwrap().unwrap();
    (dir.path().join(&meta.ulid), meta)
}

/// All samples as text, or the first error.
fn read(folder: &Path, first: i64, last: i64) -> Result<Vec<String>, BlockError> {
    Block::meta(folder)?;
    let mut block = Block::open(folder)?;
    let mut found = Vec::new();
    while let Some(series) = block.next_series()? {
        let mut samples = Vec::new();
        for chunk in block.chunks(&series, first, last) {
            let StoredChunk { encoding, data, file, at } = chunk?;
            let damaged = |error| BlockError::Chunk { file: file.clone(), at, error };
            let mut points = Points::new(encoding, &data).map_err(damaged)?;
            while let Some(point) = points.next().map_err(damaged)? {
                if !series.is_deleted(point.timestamp()) {
                    samples.push(point);
                }
            }
        }
        found.push(format!("{:?} {samples:?}", series.labels));
    }
    Ok(found)
}

#[test]
fn a_block_has_what_was_written() {
    let dir = TempDir::new().unwrap();
    let (folder, meta) = written(&dir);
    assert_eq!((meta.min_time, meta.max_time), (-5, 499 * 15_000 + 1));
    assert_eq!((meta.stats.num_series, meta.stats.num_samples, meta.stats.num_chunks), (3, 503, 7));
    assert_eq!(Block::meta(&folder).unwrap(), meta);
    let expected: Vec<_> = series()
        .into_iter()
        .map(|(labels, samples)| {
            let labels: Vec<_> = labels.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
            let point = |(timestamp, value)| crate::chunk::Point::Float(crate::wire::Sample { value, timestamp });
            format!("{labels:?} {:?}", samples.into_iter().map(point).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(read(&folder, i64::MIN, i64::MAX).unwrap(), expected);
    // Only what may have samples of a time is looked at: the last chunk of one series.
    let late = read(&folder, 499 * 15_000, i64::MAX).unwrap();
    assert_eq!(late.iter().map(|text| text.matches("Float").count()).collect::<Vec<_>>(), [0, 20, 0]);
}

#[test]
fn a_block_without_samples_or_without_an_end_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    assert_eq!(BlockWriter::create(dir.path(), BTreeSet::new()).unwrap().finish().unwrap(), None);
    drop(BlockWriter::create(dir.path(), BTreeSet::new()).unwrap());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn tombstones_hide_samples() {
    let dir = TempDir::new().unwrap();
    let (folder, _) = written(&dir);
    let all = read(&folder, i64::MIN, i64::MAX).unwrap();
    // The second series begins behind the first one.
    let mut block = Block::open(&folder).unwrap();
    block.next_series().unwrap();
    let place = block.position().div_ceil(SERIES_ALIGNMENT);
    // From 15 s to 30 s, as zigzag varints.
    let stones = [place as u8, 0xb0, 0xea, 0x01, 0xe0, 0xd4, 0x03];
    let mut file = tombstones::EMPTY[..5].to_vec();
    file.extend_from_slice(&stones);
    file.extend_from_slice(&crc32c::crc32c(&stones).to_be_bytes());
    std::fs::write(folder.join("tombstones"), &file).unwrap();
    let found = read(&folder, i64::MIN, i64::MAX).unwrap();
    assert_eq!((&found[0], &found[2]), (&all[0], &all[2]));
    assert_eq!(found[1].matches("Float").count(), 498);

    file[6] ^= 1;
    std::fs::write(folder.join("tombstones"), &file).unwrap();
    let error = read(&folder, i64::MIN, i64::MAX).unwrap_err().to_string();
    assert!(error.contains("tombstones: at byte 12: expected the checksum"), "{error}");
}

#[test]
fn what_is_no_block_is_said_with_file_and_place() {
    let dir = TempDir::new().unwrap();
    let (folder, _) = written(&dir);
    let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let file = folder.join(name);
        let before = std::fs::read(&file).unwrap();
        let mut bytes = before.clone();
        change(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
        let error = read(&folder, i64::MIN, i64::MAX).unwrap_err().to_string();
        std::fs::write(&file, before).unwrap();
        error.strip_prefix(&format!("{}/", folder.display())).unwrap().to_owned()
    };
    let error = changed("index", &|bytes| bytes[4] = 1);
    assert_eq!(error, "index: at byte 4: expected version 2, which Prometheus writes since 2.3, found version 1");
    let error = changed("index", &|bytes| bytes.truncate(40));
    assert_eq!(error, "index: at byte 40: expected at least 57 bytes, found 40");
    let error = changed("index", &|bytes| bytes[20] ^= 1);
    assert!(error.starts_with("index: at byte 45: expected the checksum "), "{error}");
    let error = changed("chunks/000001", &|bytes| bytes[8 + 3] ^= 1);
    assert!(error.starts_with("chunks/000001: at byte 21: expected the checksum "), "{error}");
    let error = changed("chunks/000001", &|bytes| bytes[0] = 0);
    assert_eq!(error, "chunks/000001: at byte 0: expected [85, bd, 40, dd, 01], found [00, bd, 40, dd, 01]");
    let error = changed("meta.json", &|bytes| bytes.truncate(3));
    assert!(error.starts_with("meta.json: expected the JSON of a block: "), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_damage_is_taken_for_samples(which in 0..2usize, at: prop::sample::Index, byte: u8, cut in prop::bool::weighted(0.3)) {
        let dir = TempDir::new().unwrap();
        let (folder, _) = written(&dir);
        let expected = read(&folder, i64::MIN, i64::MAX).unwrap();
        let file = folder.join(["index", "chunks/000001"][which]);
        let mut bytes = std::fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        std::fs::write(&file, &bytes).unwrap();
        // Postings and padding are not read.
        if let Ok(found) = read(&folder, i64::MIN, i64::MAX) {
            prop_assert_eq!(found, expected);
        }
    }
}
