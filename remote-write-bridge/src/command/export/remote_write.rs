//! Requests to a receiver of remote write.

use url::Url;

use super::{ExportError, Source, Summary, progress};
use crate::chunk::points;
use crate::remote::{Sender, Version};

pub(super) async fn write(source: &Source, url: &str, version: Version) -> Result<Summary, ExportError> {
    let url = Url::parse(url).map_err(|error| ExportError::Url(url.to_owned(), error))?;
    let mut sender = Sender::new(url, version)?;
    let windows = source.windows();
    let progress = progress(windows.len() as u64, "windows");
    for window in windows {
        let mut scan = source.scan(window, None).await?;
        while let Some(part) = scan.next().await? {
            for series in part.series() {
                for point in points(series.samples, series.histograms) {
                    sender.add(&series.labels, point?).await?;
                }
            }
            progress.set_message(format!("{} samples", sender.sent));
        }
        sender.flush().await?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    let mut lines = vec![format!("{} samples sent", sender.sent)];
    if let Some((requests, text)) = &sender.refused {
        lines.push(format!("{requests} requests were not taken as a whole; of the first one it was said: {text}"));
    }
    Ok(Summary { lines, is_refused: sender.refused.is_some() })
}
