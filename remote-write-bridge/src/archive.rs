//! ClickHouse: inserts that are harmless to repeat, queries, and what its answers mean.
//!
//! One INSERT is one partition and one block, so it is stored whole or not at all. It is tried again under the same
//! deduplication token while that may help: ClickHouse then drops the second copy of one that had arrived. Past the
//! request's time the outcome stays unknown; the caller is told so, and the table merges what arrives twice.

mod error;
mod row;
mod schema;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use clickhouse::{Client, Compression, Row, RowOwned, RowWrite};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lynceus_service::tls::TlsError;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

pub(crate) use error::ArchiveError;
pub(crate) use row::{SampleRow, SeriesRow};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::time::Day;

/// Before the second and the following tries of an insert.
const RETRY_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1600)];
/// Remembered series take 40 bytes each. Beyond this they are forgotten, which only writes their rows once more.
const MAX_KNOWN_SERIES: usize = 10_000_000;
/// ClickHouse closes an idle connection after 3 s by default; a request on a closed one would fail.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The archive. Cheap to share, and its config can be replaced while it works.
pub(crate) struct Archive {
    connection: RwLock<Arc<Connection>>,
    /// Why nothing can be written yet, or any more.
    unprepared: RwLock<Option<String>>,
    /// Series whose row of a month is stored for certain.
    known: Mutex<HashSet<(u128, Day)>>,
    metrics: Metrics,
}

struct Connection {
    config: Config,
    /// Without password: that is read at each use.
    client: Client,
}

impl Archive {
    pub(crate) fn open(config: Config, metrics: Metrics) -> Result<Self, TlsError> {
        Ok(Self {
            connection: RwLock::new(Arc::new(Connection::new(config)?)),
            unprepared: RwLock::new(Some("ClickHouse has not answered yet".to_owned())),
            known: Mutex::default(),
            metrics,
        })
    }

    /// Uses another config from now on. The schema is looked at again, since it may be another server.
    pub(crate) fn reconfigure(&self, config: Config) -> Result<(), TlsError> {
        let connection = Arc::new(Connection::new(config)?);
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
        self.unprepare("the config was reloaded".to_owned());
        Ok(())
    }

    /// Creates and migrates the tables unless that is done; after it, asks whether the server is there.
    pub(crate) async fn check(&self) -> Result<(), ArchiveError> {
        let connection = self.connection();
        let prepared = self.require_prepared().is_ok();
        let outcome = match connection.client() {
            Ok(client) if prepared => connection.limited(client.query("SELECT 1").execute()).await,
            Ok(client) => {
                let config = &connection.config;
                connection.limited(schema::prepare(client, &config.clickhouse.database, config.retention)).await
            }
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(()) if !prepared => *self.unprepared() = None,
            Err(error) if !prepared => *self.unprepared() = Some(error.to_string()),
            _ => {}
        }
        self.metrics.clickhouse_up.set(i64::from(outcome.is_ok()));
        outcome
    }

    /// Whether the tables are there; the error says why not.
    pub(crate) fn require_prepared(&self) -> Result<(), ArchiveError> {
        match self.unprepared.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Ok(()),
            Some(reason) => Err(ArchiveError::NotReady(reason.clone())),
        }
    }

    /// Whether a series' row of a month is stored.
    pub(crate) fn knows(&self, series_id: u128, month: Day) -> bool {
        self.known().contains(&(series_id, month))
    }

    /// Stores rows of `series`, all of one month.
    pub(crate) async fn insert_series(&self, rows: &[SeriesRow]) -> Result<(), ArchiveError> {
        self.insert("series", rows).await?;
        let mut known = self.known();
        if known.len() + rows.len() > MAX_KNOWN_SERIES {
            known.clear();
        }
        known.extend(rows.iter().map(|row| (row.series_id, row.month)));
        Ok(())
    }

    /// Stores rows of `samples`, all of one day.
    pub(crate) async fn insert_samples(&self, rows: &[SampleRow]) -> Result<(), ArchiveError> {
        self.insert("samples", rows).await
    }

    async fn insert<R>(&self, table: &'static str, rows: &[R]) -> Result<(), ArchiveError>
    where
        R: Row + RowOwned + RowWrite + Sync,
    {
        let connection = self.connection();
        let deadline = Instant::now() + connection.config.clickhouse.request_timeout;
        // Random, not a hash of the rows: rows that were deleted must be insertable again.
        let token = format!("{:032x}", rand::random::<u128>());
        let mut pauses = RETRY_PAUSES.iter();
        loop {
            let start = Instant::now();
            let outcome = connection.try_insert(table, rows, &token, deadline).await;
            self.metrics.observe_insert(table, rows.len(), start.elapsed(), outcome.is_ok());
            let Err(error) = outcome else {
                debug!(table, rows = rows.len(), "inserted");
                return Ok(());
            };
            if error.table_is_missing() {
                self.unprepare(error.to_string());
            }
            match pauses.next() {
                Some(pause) if error.may_pass() && Instant::now() + *pause < deadline => {
                    debug!(%error, table, "an insert failed and is tried again");
                    tokio::time::sleep(*pause).await;
                }
                _ => {
                    warn!(%error, table, rows = rows.len(), "an insert failed; the senders are asked to send again");
                    return Err(error);
                }
            }
        }
    }

    /// Rows of a query that `make` writes, at most `limit`; one more is [`ArchiveError::TooMany`].
    pub(crate) async fn fetch<R>(
        &self,
        make: impl FnOnce(&Client) -> clickhouse::query::Query,
        what: &'static str,
        limit: usize,
    ) -> Result<Vec<R>, ArchiveError>
    where
        R: RowOwned + clickhouse::RowRead,
    {
        let connection = self.connection();
        let client = connection.client()?;
        let seconds = connection.config.clickhouse.request_timeout.as_secs();
        // Else a query goes on after nobody waits for it any more.
        let query = make(&client).with_setting("max_execution_time", seconds.to_string());
        connection
            .limited(async {
                let mut rows = Vec::new();
                let mut cursor = query.fetch::<R>()?;
                while let Some(row) = cursor.next().await? {
                    if rows.len() == limit {
                        return Ok(Err(ArchiveError::TooMany { what, limit }));
                    }
                    rows.push(row);
                }
                Ok::<_, clickhouse::error::Error>(Ok(rows))
            })
            .await?
    }

    fn unprepare(&self, reason: String) {
        *self.unprepared() = Some(reason);
        self.known().clear();
    }

    fn connection(&self) -> Arc<Connection> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn known(&self) -> MutexGuard<'_, HashSet<(u128, Day)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unprepared(&self) -> std::sync::RwLockWriteGuard<'_, Option<String>> {
        self.unprepared.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn new(config: Config) -> Result<Self, TlsError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(Duration::from_secs(5)));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config.clickhouse.tls.rustls()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let hyper = HyperClient::builder(TokioExecutor::new()).pool_idle_timeout(POOL_IDLE_TIMEOUT).build(https);
        let client = Client::with_http_client(hyper)
            .with_url(config.clickhouse.url.as_str())
            .with_user(&config.clickhouse.username)
            .with_database(&config.clickhouse.database)
            .with_compression(Compression::None);
        Ok(Self { config, client })
    }

    fn client(&self) -> Result<Client, ArchiveError> {
        let client = self.client.clone();
        match &self.config.clickhouse.password {
            None => Ok(client),
            Some(source) => Ok(client.with_password(source.read()?.expose())),
        }
    }

    async fn try_insert<R>(&self, table: &str, rows: &[R], token: &str, deadline: Instant) -> Result<(), ArchiveError>
    where
        R: Row + RowOwned + RowWrite + Sync,
    {
        let client = self.client()?;
        let insert = async {
            let mut insert = client
                .insert::<R>(table)
                .await?
                // ClickHouse may answer an asynchronous insert before it is stored, and 26 makes it the default.
                .with_setting("async_insert", "0")
                .with_setting("insert_deduplicate", "1")
                .with_setting("insert_deduplication_token", token)
                // One block: as many rows as there are, parsed by one thread.
                .with_setting("max_insert_block_size", rows.len().to_string())
                .with_setting("input_format_parallel_parsing", "0");
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await
        };
        match timeout_at(deadline, insert).await {
            Ok(outcome) => outcome.map_err(|error| ArchiveError::from_client(error, &self.config.clickhouse.url)),
            Err(_) => Err(ArchiveError::TimedOut(self.config.clickhouse.request_timeout)),
        }
    }

    async fn limited<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, ArchiveError>
    where
        E: Into<error::Cause>,
    {
        match tokio::time::timeout(self.config.clickhouse.request_timeout, work).await {
            Ok(outcome) => outcome.map_err(|error| ArchiveError::from_cause(error.into(), &self.config.clickhouse.url)),
            Err(_) => Err(ArchiveError::TimedOut(self.config.clickhouse.request_timeout)),
        }
    }
}
