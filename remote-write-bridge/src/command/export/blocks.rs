//! Blocks: one for each window that has samples.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{ExportError, Source, Summary, progress};
use crate::block::{BlockWriter, Meta, Stats};
use crate::chunk::Chunks;
use crate::fetch::Scan;
use crate::time;

const DAY: i64 = 86_400_000;

pub(super) async fn write(source: &Source, folder: &Path) -> Result<Summary, ExportError> {
    let io = |error| ExportError::Io { place: folder.display().to_string(), error };
    std::fs::create_dir_all(folder).map_err(io)?;
    let windows = source.windows();
    let (mut samples, mut blocks, mut oldest) = (0, 0, None);
    let progress = progress(windows.len() as u64, "blocks");
    for window in windows {
        let scan = source.scan(window, None).await?;
        let block = block(scan, folder, |more| progress.set_message(format!("{} samples", samples + more)));
        if let Some(Meta { ulid, min_time, max_time, stats, .. }) = block.await? {
            blocks += 1;
            oldest = oldest.or(Some(max_time));
            samples += stats.num_samples;
            let (first, last) = (time::display(min_time), time::display(max_time - 1));
            let Stats { num_series, num_samples, .. } = stats;
            progress.suspend(|| eprintln!("{ulid}  {first} to {last}  {num_series} series, {num_samples} samples"));
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let mut lines = vec![format!("{samples} samples in {blocks} blocks")];
    if let Some(oldest) = oldest {
        // Blocks are deleted when their end is that old.
        let days = (time::now_millis() - oldest) / DAY + 1;
        lines.push(format!("a Prometheus keeps them with --storage.tsdb.retention.time={days}d or more"));
    }
    Ok(Summary { lines, is_refused: false })
}

async fn block(mut scan: Scan, folder: &Path, said: impl Fn(u64)) -> Result<Option<Meta>, ExportError> {
    let io = |error: io::Error| ExportError::Io { place: folder.display().to_string(), error };
    let symbols: BTreeSet<&str> = scan.labels().flat_map(|(name, value)| [name, value]).collect();
    if symbols.is_empty() {
        return Ok(None);
    }
    let symbols = symbols.into_iter().map(str::to_owned).collect();
    let mut writer = BlockWriter::create(folder, symbols).map_err(io)?;
    let mut samples = 0;
    while let Some(part) = scan.next().await? {
        for series in part.series() {
            for chunk in Chunks::new(series.samples, series.histograms) {
                let chunk = chunk?;
                writer.add(&series.labels, &chunk).map_err(io)?;
                samples += chunk.samples as u64;
            }
        }
        said(samples);
    }
    writer.finish().map_err(io)
}
