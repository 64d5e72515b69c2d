use super::*;
use crate::archive::SampleRow;
use crate::ingest::Sample;
use crate::labels::LabelSet;
use crate::series::Series;

const LIMIT: u64 = 1 << 30;

/// Series of one log: they know their numbers in its segments.
struct Estate(Vec<Arc<Series>>);

impl Estate {
    fn new(count: usize) -> Self {
        Self::named("m", count)
    }

    fn named(name: &str, count: usize) -> Self {
        let series =
            |i| Arc::new(Series::new(LabelSet::of_pairs(vec![("__name__", format!("{name}{i}").as_str())]).unwrap()));
        Self((0..count).map(series).collect())
    }

    /// A sample of each at this time, with the time as its value.
    fn at(&self, timestamp: i64) -> Accepted {
        Accepted {
            series: self.0.iter().map(|series| (series.clone(), 1)).collect(),
            samples: self.0.iter().map(|_| Sample { timestamp, value: timestamp as f64 }).collect(),
            ..Accepted::default()
        }
    }
}

fn open_in(dir: &Path) -> (Wal, Reader) {
    open_with(dir, &Metrics::new())
}

fn open_with(dir: &Path, metrics: &Metrics) -> (Wal, Reader) {
    loop {
        match open(dir, "replica", metrics.clone()) {
            // The thread of the one before is about to end.
            Err(WalError::Locked(_)) => std::thread::sleep(Duration::from_millis(1)),
            opened => return opened.unwrap(),
        }
    }
}

/// The times of all samples that can be read, each as often as there are series.
fn times(reader: &mut Reader, until: Position) -> Vec<i64> {
    let mut found = Vec::new();
    while let Some(chunk) = reader.next(until, 10).unwrap() {
        assert!(!chunk.rows.samples.is_empty() && !chunk.series.is_empty());
        for (number, series_id, _) in &chunk.series {
            assert_eq!(reader.labels(*number).unwrap().unwrap().identity().series_id, *series_id);
        }
        found.extend(chunk.rows.samples.iter().map(|row: &SampleRow| row.timestamp));
    }
    found
}

fn synced(wal: &Wal) -> Position {
    *wal.synced().borrow()
}

fn only_segment(dir: &Path) -> PathBuf {
    let segments = segment::list(dir).unwrap();
    assert_eq!(segments.len(), 1, "{segments:?}");
    dir.join(segment::name(segments[0]))
}

#[tokio::test]
async fn what_is_acknowledged_is_read_in_order_and_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::new(3);
    let (wal, mut reader) = open_in(dir.path());
    for time in [1, 2, 3] {
        wal.append(estate.at(time), LIMIT).await.unwrap();
    }
    assert_eq!(times(&mut reader, synced(&wal)), [1, 1, 1, 2, 2, 2, 3, 3, 3]);
    wal.append(estate.at(4), LIMIT).await.unwrap();
    assert_eq!(times(&mut reader, synced(&wal)), [4, 4, 4]);
    drop((wal, reader));
    // Another process knows the series by nothing but the log.
    let (wal, mut reader) = open_in(dir.path());
    wal.append(estate.at(5), LIMIT).await.unwrap();
    assert_eq!(times(&mut reader, synced(&wal)), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]);
}

#[tokio::test]
async fn a_torn_end_is_cut_and_nothing_else() {
    for torn in [1, 7, 8, 20] {
        let dir = tempfile::tempdir().unwrap();
        let estate = Estate::new(3);
        let (wal, reader) = open_in(dir.path());
        wal.append(estate.at(1), LIMIT).await.unwrap();
        let whole = synced(&wal).offset;
        wal.append(estate.at(2), LIMIT).await.unwrap();
        let end = synced(&wal).offset;
        drop((wal, reader));
        let file = only_segment(dir.path());
        let bytes = std::fs::read(&file).unwrap();
        // Cut short, and with zeros where the file had grown already.
        for tail in [vec![], vec![0; 100]] {
            let kept = usize::try_from(end).unwrap() - torn;
            std::fs::write(&file, [&bytes[..kept], &tail].concat()).unwrap();
            let (wal, mut reader) = open_in(dir.path());
            assert_eq!(file.metadata().unwrap().len(), whole, "{torn} bytes, {} zeros", tail.len());
            assert_eq!(times(&mut reader, synced(&wal)), [1, 1, 1]);
        }
    }
}

#[tokio::test]
async fn a_damaged_record_is_set_aside_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::new(3);
    let (wal, reader) = open_in(dir.path());
    let mut ends = Vec::new();
    for time in 1..5 {
        wal.append(estate.at(time), LIMIT).await.unwrap();
        ends.push(usize::try_from(synced(&wal).offset).unwrap());
    }
    drop((wal, reader));
    let file = only_segment(dir.path());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[ends[2] - 1] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let metrics = Metrics::new();
    let (wal, mut reader) = open_with(dir.path(), &metrics);
    assert_eq!(times(&mut reader, synced(&wal)), [1, 1, 1, 2, 2, 2, 4, 4, 4]);
    assert_eq!(metrics.wal_damaged.get(), 1);
    let aside = dir.path().join(format!("{:016}-{}.damaged", 1, ends[1]));
    assert_eq!(std::fs::read(aside).unwrap(), &bytes[ends[1]..ends[2]]);
}

#[tokio::test]
async fn series_of_a_damaged_record_lose_their_samples_and_no_other_takes_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (Estate::new(2), Estate::named("other", 2));
    let (wal, reader) = open_in(dir.path());
    wal.append(first.at(1), LIMIT).await.unwrap();
    let end = usize::try_from(synced(&wal).offset).unwrap();
    wal.append(second.at(2), LIMIT).await.unwrap();
    wal.append(first.at(3), LIMIT).await.unwrap();
    drop((wal, reader));
    let file = only_segment(dir.path());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[end - 1] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let metrics = Metrics::new();
    let (wal, mut reader) = open_with(dir.path(), &metrics);
    let chunk = reader.next(synced(&wal), 10).unwrap().unwrap();
    let found: Vec<_> = chunk.rows.samples.iter().map(|row| (row.series_id, row.timestamp)).collect();
    let expected: Vec<_> = second.0.iter().map(|series| (series.labels.identity().series_id, 2)).collect();
    assert_eq!(found, expected);
    // The record that defines them, and the one that needs them.
    assert_eq!((reader.next(synced(&wal), 10).unwrap().is_none(), metrics.wal_damaged.get()), (true, 2));
}

#[tokio::test]
async fn after_damage_series_are_defined_again() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::new(2);
    let (wal, mut reader) = open_in(dir.path());
    wal.append(estate.at(1), LIMIT).await.unwrap();
    let file = only_segment(dir.path());
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert!(times(&mut reader, synced(&wal)).is_empty());
    wal.append(estate.at(2), LIMIT).await.unwrap();
    assert_eq!(times(&mut reader, synced(&wal)), [2, 2]);
}

#[tokio::test]
async fn a_segment_of_another_log_is_left_out() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (dir, time) in [(&one, 1), (&other, 2)] {
        let (wal, _) = open_in(dir.path());
        // Each estate numbers its series anew.
        wal.append(Estate::new(1).at(time), LIMIT).await.unwrap();
    }
    let foreign = segment::name(7);
    std::fs::copy(only_segment(other.path()), one.path().join(&foreign)).unwrap();
    let (wal, mut reader) = open_in(one.path());
    assert_eq!(times(&mut reader, synced(&wal)), [1]);
    assert!(one.path().join(foreign).exists());
}

#[tokio::test]
async fn a_full_log_refuses_and_what_is_shipped_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::new(10);
    let (wal, reader) = open_in(dir.path());
    wal.append(estate.at(1), LIMIT).await.unwrap();
    let size = wal.size();
    assert!(matches!(wal.append(estate.at(2), size).await, Err(WalError::Full { .. })));
    assert_eq!(wal.unshipped().unwrap(), size);
    drop((wal, reader));
    let (wal, mut reader) = open_in(dir.path());
    wal.append(estate.at(2), LIMIT).await.unwrap();
    assert!(!wal.is_shipped());
    assert_eq!(times(&mut reader, synced(&wal)).len(), 20);
    wal.set_shipped(synced(&wal), None).unwrap();
    assert!(wal.is_shipped());
    assert_eq!(wal.unshipped().unwrap(), 0);
    wal.clean(LIMIT).unwrap();
    assert_eq!(segment::list(dir.path()).unwrap(), [1, 2]);
    wal.clean(size).unwrap();
    assert_eq!(segment::list(dir.path()).unwrap(), [2]);
    assert_eq!(wal.size(), only_segment(dir.path()).metadata().unwrap().len());
}

#[test]
fn a_log_has_one_bridge() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open_in(dir.path());
    let error = open(dir.path(), "replica", Metrics::new()).err().unwrap().to_string();
    assert_eq!(error, format!("`{}` is in use by another lynceus-bridge", dir.path().display()));
}

#[tokio::test]
async fn requests_that_wait_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::new(2);
    let (wal, mut reader) = open_in(dir.path());
    let mut requests = tokio::task::JoinSet::new();
    for time in 0..200 {
        let (wal, accepted) = (wal.clone(), estate.at(time));
        requests.spawn(async move { wal.append(accepted, LIMIT).await.unwrap() });
    }
    requests.join_all().await;
    let mut found = times(&mut reader, synced(&wal));
    found.sort_unstable();
    assert_eq!(found, (0..200).flat_map(|time| [time, time]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_disk_that_fails_is_tried_again_while_requests_come() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("wal");
    let estate = Estate::new(1);
    let (wal, mut reader) = open_in(&folder);
    std::fs::rename(&folder, dir.path().join("away")).unwrap();
    let error = wal.append(estate.at(1), LIMIT).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to create `"), "{error}");
    std::fs::rename(dir.path().join("away"), &folder).unwrap();
    // More often than the pause after an error.
    let mut refused = 0;
    while wal.append(estate.at(2), LIMIT).await.is_err() {
        refused += 1;
        assert!(refused < 500);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(refused > 10, "{refused}");
    assert_eq!(times(&mut reader, synced(&wal)), [2]);
    assert_eq!(wal.folder.metrics.wal_failures.get(), 1);
}

#[tokio::test]
async fn what_a_failed_write_left_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _reader) = open_in(dir.path());
    wal.append(Estate::new(1).at(1), LIMIT).await.unwrap();
    wal.set_shipped(Position { segment: 9, offset: 0 }, None).unwrap();
    std::fs::write(dir.path().join(segment::name(2)), vec![0; 100_000]).unwrap();
    wal.clean(LIMIT).unwrap();
    assert!(wal.size() > 100_000, "{}", wal.size());
    wal.clean(1000).unwrap();
    assert_eq!(wal.size(), 0);
}

#[tokio::test]
async fn a_segment_that_is_cut_while_it_is_written_loses_what_is_gone_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::new(3);
    let metrics = Metrics::new();
    let (wal, mut reader) = open_with(dir.path(), &metrics);
    for time in [1, 2] {
        wal.append(estate.at(time), LIMIT).await.unwrap();
    }
    let file = std::fs::File::options().write(true).open(only_segment(dir.path())).unwrap();
    file.set_len(synced(&wal).offset - 3).unwrap();
    assert_eq!(times(&mut reader, synced(&wal)), [1, 1, 1]);
    assert_eq!(metrics.wal_damaged.get(), 1);
}
