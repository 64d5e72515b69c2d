//! Asks a Prometheus which series it has.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Url};
use serde::Deserialize;

use super::metric::METRICS;

const TIMEOUT: Duration = Duration::from_secs(60);
/// What a series has not had a sample for is of the past already.
const RECENT: i64 = 300;

/// Labels of a series, the metric's name among them.
pub(super) type Labels = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Answer {
    data: Option<Vec<Labels>>,
    error: Option<String>,
}

/// Series of the metrics that have a past, with these labels besides.
pub(super) async fn series(prometheus: &Url, more: &[(String, String)]) -> anyhow::Result<Vec<Labels>> {
    let url = Url::parse(&format!("{}/api/v1/series", prometheus.as_str().trim_end_matches('/')))?;
    let names: Vec<_> = METRICS.iter().map(|(name, _)| *name).collect();
    let selector = format!("{{__name__=~\"{}\"}}", names.join("|"));
    let start = jiff::Timestamp::now().as_second() - RECENT;
    let http = Client::builder().timeout(TIMEOUT).build()?;
    let question = http.get(url.clone()).query(&[("match[]", selector), ("start", start.to_string())]);
    let answer = question.send().await.map_err(reqwest::Error::without_url);
    let answer = answer.with_context(|| format!("`{url}` does not answer"))?;
    let status = answer.status();
    let answer: Answer = answer.json().await.with_context(|| format!("`{url}` answered {status}, and no JSON"))?;
    let Some(mut found) = answer.data else {
        bail!("`{url}` answered {status}: {}", answer.error.unwrap_or_default());
    };
    for labels in &mut found {
        for (name, value) in more {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    Ok(found)
}
