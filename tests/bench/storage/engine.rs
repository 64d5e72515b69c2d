//! Asks the engine by SQL.

use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;

use crate::text::median;
use crate::variants::Variant;

const REPEATS: usize = 5;

pub(crate) struct Engine {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
}

/// Bytes by a sample, merged; milliseconds of questions.
#[derive(Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) jitter: u64,
    /// Of each column.
    pub(crate) columns: Vec<(String, f64)>,
    /// Of all files.
    pub(crate) total: f64,
    /// A series for the whole day.
    pub(crate) series: f64,
    /// A metric of all machines for five minutes.
    pub(crate) metric: f64,
    /// All of a machine for an hour.
    pub(crate) machine: f64,
}

impl Engine {
    pub(crate) async fn ask(&self, sql: &str) -> anyhow::Result<String> {
        let answer = self.http.post(&self.url).body(sql.to_owned()).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{sql}: {text}");
        Ok(text.trim_end().to_owned())
    }

    /// Bytes of a table by column and in all.
    pub(crate) async fn size(&self, table: &str) -> anyhow::Result<(Vec<(String, f64)>, f64)> {
        let of = format!("database = currentDatabase() AND table = '{table}' AND active");
        let columns = self
            .ask(&format!(
                "SELECT column, sum(column_data_compressed_bytes) FROM system.parts_columns WHERE {of} \
                 GROUP BY column, column_position ORDER BY column_position"
            ))
            .await?;
        let columns = columns.lines().filter_map(|line| line.split_once('\t'));
        let columns = columns.map(|(column, bytes)| Ok((column.to_owned(), bytes.parse::<f64>()?)));
        let total = self.ask(&format!("SELECT sum(bytes_on_disk) FROM system.parts WHERE {of}")).await?;
        Ok((columns.collect::<anyhow::Result<_>>()?, total.parse()?))
    }

    /// Makes the variant, measures it, drops it.
    pub(crate) async fn measure(&self, variant: &Variant, jitter: u64, samples: f64) -> anyhow::Result<Measured> {
        self.ask(&variant.create()).await?;
        self.ask(&variant.fill(jitter)).await?;
        self.ask("OPTIMIZE TABLE variant FINAL").await?;
        let (columns, total) = self.size("variant").await?;
        let columns = columns.into_iter().map(|(column, bytes)| (column, bytes / samples)).collect();
        let of_series = "series_id = (SELECT min(series_id) FROM series) AND vm_key = \
                         (SELECT vm_key FROM series WHERE series_id = (SELECT min(series_id) FROM series) LIMIT 1)";
        // As the bridge asks.
        let of_metric = "(vm_key, series_id) IN \
                         (SELECT vm_key, series_id FROM series WHERE metric_name = 'vsphere_vm_cpu_usage_ratio')";
        let of_machine = "vm_key = (SELECT max(vm_key) FROM series)";
        // Noon, by the first sample.
        let noon = "toStartOfDay((SELECT min(timestamp) FROM samples)) + INTERVAL 12 HOUR";
        let five = (format!("BETWEEN {noon} AND {noon} + INTERVAL 5 MINUTE"), of_metric);
        let hour = (format!("BETWEEN {noon} AND {noon} + INTERVAL 1 HOUR"), of_machine);
        let question = |(time, of): &(String, &str)| {
            if variant.is_arrays {
                let hours = time.replace("BETWEEN ", "BETWEEN toStartOfHour(").replacen(" AND", ") AND", 1);
                format!(
                    "SELECT count(), sum(v) FROM variant ARRAY JOIN timestamp AS t, value AS v \
                     WHERE {of} AND hour {hours} AND t {time}"
                )
            } else {
                format!("SELECT count(), sum(value) FROM variant WHERE {of} AND timestamp {time}")
            }
        };
        let whole = if variant.is_arrays { "sum(length(value)), sum(arraySum(value))" } else { "count(), sum(value)" };
        let measured = Measured {
            name: variant.name.to_owned(),
            jitter,
            columns,
            total: total / samples,
            series: self.time(&format!("SELECT {whole} FROM variant WHERE {of_series}")).await?,
            metric: self.time(&question(&five)).await?,
            machine: self.time(&question(&hour)).await?,
        };
        self.ask("DROP TABLE variant SYNC").await?;
        Ok(measured)
    }

    /// Milliseconds, the median. What finds nothing is no measurement.
    async fn time(&self, sql: &str) -> anyhow::Result<f64> {
        let mut times = Vec::new();
        for _ in 0..REPEATS {
            let start = Instant::now();
            let found = self.ask(sql).await?;
            ensure!(!found.starts_with("0\t"), "{sql} finds nothing");
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(median(times).unwrap_or_default())
    }
}
