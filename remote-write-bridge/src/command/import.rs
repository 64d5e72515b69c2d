//! `lynceus-bridge import`: samples out of Prometheus' blocks, sent to a running bridge by remote write.
//!
//! Through its front door, so that log, pairs and limits are what they are for every sender. Sending twice is harmless.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use lynceus_promql::SeriesMatcher;
use url::Url;

use super::{Outcome, Selector, below, failed, parse_selector, parse_time, progress};
use crate::block::{Block, BlockError, StoredChunk, StoredSeries};
use crate::chunk::Points;
use crate::remote::{SendError, Sender, Version};
use crate::time;

/// What the command line says.
#[derive(Debug, Args)]
pub struct Options {
    /// A block, or a folder with blocks, like the data of a Prometheus
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,

    /// The bridge
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9201")]
    url: Url,

    /// Series to send
    #[arg(long = "match", value_name = "SELECTOR", value_parser = parse_selector, default_value = "{__name__=~\".+\"}")]
    selector: Selector,

    /// From when: RFC 3339, or a duration before now; from the beginning by default
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<i64>,

    /// Until when, that moment not included; to the end by default
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<i64>,

    /// A label for all series that have none of this name, like `prometheus=main`; may be repeated. What a Prometheus writes
    /// remotely has its `external_labels`, its blocks have not
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let label = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    label.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "expected NAME=VALUE".to_owned())
}

/// Why it cannot go on.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("{}: expected a block or a folder with blocks, found none", .0.display())]
    NoBlocks(PathBuf),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("interrupted")]
    Interrupted,
}

/// Exit codes: 0 all was taken; 1 a block is damaged, or the bridge does not take all; 2 usage.
pub async fn run(options: Options) -> Outcome {
    lynceus_service::tls::install_provider();
    let matchers: Result<_, _> = options.selector.matchers.iter().map(SeriesMatcher::new).collect();
    let matchers = matchers.map_err(|error| failed(2, &format_args!("--match: {error}")))?;
    let blocks = blocks(&options.dir).map_err(|error| failed(2, &error))?;
    let sender = Sender::new(below(&options.url, "api/v1/write"), Version::V2).map_err(|error| failed(2, &error))?;
    let (first, last) = (options.from.unwrap_or(i64::MIN), options.to.map_or(i64::MAX, |to| to.saturating_sub(1)));
    let mut import = Import { matchers, labels: options.labels, first, last, sender, blocks: 0, going_on: None };
    let outcome = tokio::select! {
        outcome = import.work(&blocks) => outcome,
        _ = tokio::signal::ctrl_c() => Err(ImportError::Interrupted),
    };
    let sent = import.sender.sent;
    if let Err(error) = outcome {
        let code = failed(1, &error);
        if let Some(from) = import.going_on {
            eprintln!("{sent} samples were sent; to go on: the same command with --from {}", time::display(from));
        }
        return Err(code);
    }
    eprintln!("{sent} samples of {} blocks sent", import.blocks);
    match &import.sender.refused {
        None => Ok(ExitCode::SUCCESS),
        Some((requests, text)) => Err(failed(
            1,
            &format_args!("{requests} requests were not taken as a whole; of the first one the bridge says: {text}"),
        )),
    }
}

/// The block itself, or all that are in the folder.
fn blocks(dir: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let is_block = |folder: &Path| folder.join("meta.json").is_file();
    if is_block(dir) {
        return Ok(vec![dir.to_owned()]);
    }
    let io = |error| BlockError::Io { file: dir.to_owned(), error };
    let mut blocks = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let folder = entry.map_err(io)?.path();
        // Those with an ending are being written or deleted.
        if folder.extension().is_none() && is_block(&folder) {
            blocks.push(folder);
        }
    }
    if blocks.is_empty() { Err(ImportError::NoBlocks(dir.to_owned())) } else { Ok(blocks) }
}

struct Import {
    matchers: Vec<SeriesMatcher>,
    labels: Vec<(String, String)>,
    first: i64,
    last: i64,
    sender: Sender,
    /// Those that have something of the time.
    blocks: usize,
    /// All blocks that begin before were sent.
    going_on: Option<i64>,
}

impl Import {
    async fn work(&mut self, folders: &[PathBuf]) -> Result<(), ImportError> {
        let mut metas = Vec::new();
        for folder in folders {
            metas.push((Block::meta(folder)?, folder));
        }
        metas.retain(|(meta, _)| meta.min_time <= self.last && meta.max_time > self.first);
        metas.sort_unstable_by_key(|(meta, _)| meta.min_time);
        self.blocks = metas.len();
        let progress = progress(metas.iter().map(|(meta, _)| meta.stats.num_series).sum(), "series");
        for (meta, folder) in metas {
            self.going_on = Some(meta.min_time.max(self.first));
            progress.set_message(meta.ulid);
            let mut block = Block::open(folder)?;
            while let Some(series) = block.next_series()? {
                self.send(&block, &series).await?;
                progress.inc(1);
            }
            self.sender.flush().await?;
        }
        progress.finish_and_clear();
        Ok(())
    }

    async fn send(&mut self, block: &Block, series: &StoredSeries) -> Result<(), ImportError> {
        let mut labels: Vec<_> = series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let value = |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
        if !self.matchers.iter().all(|matcher| matcher.matches(value(&matcher.matcher.name))) {
            return Ok(());
        }
        let more: Vec<_> = self.labels.iter().filter(|(name, _)| value(name).is_empty()).collect();
        labels.extend(more.into_iter().map(|(name, value)| (name.as_str(), value.as_str())));
        labels.sort_unstable();
        for chunk in block.chunks(series, self.first, self.last) {
            let StoredChunk { encoding, data, file, at } = chunk?;
            let damaged = |error| BlockError::Chunk { file: file.clone(), at, error };
            let mut points = Points::new(encoding, &data).map_err(damaged)?;
            while let Some(point) = points.next().map_err(damaged)? {
                let time = point.timestamp();
                if (self.first..=self.last).contains(&time) && !series.is_deleted(time) {
                    self.sender.add(&labels, point).await?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_a_name_and_a_value() {
        assert_eq!(parse_label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        for wrong in ["a", "=b", "a="] {
            assert_eq!(parse_label(wrong), Err("expected NAME=VALUE".to_owned()), "{wrong}");
        }
    }
}
