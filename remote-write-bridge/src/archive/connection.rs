//! One server, and what is known of its tables.
//!
//! A reload, and a table that is gone, put another connection in its place which knows nothing yet: what holds for one
//! set of tables is never believed of another. Whoever works with a connection keeps it to the end, so that a series
//! and its samples are on one server.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use clickhouse::native::Block;
use clickhouse::native::decode::Decode;
use clickhouse::{Client, Compression, RowOwned};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lynceus_service::tls::TlsError;
use tokio_util::sync::CancellationToken;

use super::ddl::Ddl;
use super::error::{ArchiveError, Cause};
use super::row::{SeriesRow, TableRow};
use super::schema;
use crate::config::{ClickHouse, Config};
use crate::time::Day;

/// Remembered series take 40 bytes each. Beyond this they are forgotten, which only writes their rows once more.
const MAX_KNOWN_SERIES: usize = 10_000_000;
/// ClickHouse closes an idle connection after 3 s by default; a request on a closed one would fail.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Connection {
    config: Config,
    /// Without password: that is read at each use.
    client: Client,
    /// Why nothing can be written yet.
    unprepared: RwLock<Option<String>>,
    /// Series whose row of a month is stored for certain.
    known: Mutex<HashSet<(u128, Day)>>,
    replaced: CancellationToken,
}

impl Connection {
    /// `unprepared` is why its tables have to be looked at first.
    pub(crate) fn new(config: Config, unprepared: String) -> Result<Self, TlsError> {
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
        let client = match config.clickhouse.cluster {
            None => client,
            // A machine's rows of all tables are on one shard. An insert is acknowledged when most replicas have it.
            Some(_) => client
                .with_setting("distributed_product_mode", "local")
                .with_setting("distributed_foreground_insert", "1")
                .with_setting("insert_quorum", "auto"),
        };
        Ok(Self::with_client(config, client, unprepared))
    }

    /// To the same server, knowing nothing of it.
    pub(super) fn anew(&self, unprepared: String) -> Self {
        Self::with_client(self.config.clone(), self.client.clone(), unprepared)
    }

    fn with_client(config: Config, client: Client, unprepared: String) -> Self {
        let unprepared = RwLock::new(Some(unprepared));
        Self { config, client, unprepared, known: Mutex::default(), replaced: CancellationToken::new() }
    }

    /// Ends what is under way on it, and refuses what comes.
    pub(super) fn mark_replaced(&self) {
        self.replaced.cancel();
    }

    pub(super) async fn unless_replaced<T>(
        &self,
        work: impl Future<Output = Result<T, ArchiveError>>,
    ) -> Result<T, ArchiveError> {
        self.replaced.run_until_cancelled(work).await.unwrap_or(Err(ArchiveError::Replaced))
    }

    /// Creates and migrates the tables unless that is done; after it, asks whether the server is there.
    pub(crate) async fn check(&self) -> Result<(), ArchiveError> {
        if self.require_prepared().is_ok() {
            return self.limited(self.client()?.query("SELECT 1").execute()).await;
        }
        let outcome = self.prepare().await;
        *self.unprepared.write().unwrap_or_else(PoisonError::into_inner) =
            outcome.as_ref().err().map(ToString::to_string);
        outcome
    }

    async fn prepare(&self) -> Result<(), ArchiveError> {
        self.limited(schema::prepare(self.client()?, &self.ddl())).await
    }

    /// What is other than it should be.
    pub(crate) async fn differences(&self) -> Result<Vec<String>, ArchiveError> {
        let client = self.client()?;
        self.limited(schema::check(&client, &self.ddl())).await
    }

    /// The statements for an empty server.
    pub(crate) fn statements(&self) -> Vec<String> {
        schema::print(&self.ddl())
    }

    /// The table that has the data of a node, and that one as `ALTER TABLE` names it on all nodes.
    pub(crate) fn local(&self, table: &str) -> String {
        self.ddl().local(table)
    }

    pub(crate) fn altered(&self, table: &str) -> String {
        self.ddl().altered(table)
    }

    fn ddl(&self) -> Ddl {
        let ClickHouse { database, cluster, .. } = &self.config.clickhouse;
        Ddl { database: database.clone(), cluster: cluster.clone(), retention: self.config.retention }
    }

    /// Whether the tables are there; the error says why not.
    pub(super) fn require_prepared(&self) -> Result<(), ArchiveError> {
        match self.unprepared.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Ok(()),
            Some(reason) => Err(ArchiveError::NotReady(reason.clone())),
        }
    }

    /// Those of some series whose row of a month is not known to be stored.
    pub(crate) fn unknown(&self, series: &[(u32, u128, Day)]) -> Vec<(u32, u128, Day)> {
        let known = self.known();
        series.iter().filter(|(_, series_id, month)| !known.contains(&(*series_id, *month))).copied().collect()
    }

    pub(crate) fn remember(&self, rows: &[SeriesRow]) {
        let mut known = self.known();
        if known.len() + rows.len() > MAX_KNOWN_SERIES {
            known.clear();
        }
        known.extend(rows.iter().map(|row| (row.series_id, row.month)));
    }

    fn known(&self) -> MutexGuard<'_, HashSet<(u128, Day)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn insert<R: TableRow>(&self, rows: &[R]) -> Result<(), ArchiveError> {
        let client = self.client()?;
        let insert = async {
            let mut insert = client
                .insert::<R>(R::TABLE)
                .await?
                // ClickHouse may answer an asynchronous insert before it is stored, and 26 makes it the default.
                .with_setting("async_insert", "0")
                // It loses a block whose server is killed between noting it and having it.
                .with_setting("insert_deduplicate", "0")
                // One block: as many rows as there are, parsed by one thread.
                .with_setting("max_insert_block_size", rows.len().to_string())
                .with_setting("input_format_parallel_parsing", "0");
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await
        };
        self.limited(insert).await
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
        let mut rows = Vec::new();
        self.fetch_each(make, what, limit, |row| rows.push(row)).await?;
        Ok(rows)
    }

    /// The same, one row after the other.
    pub(crate) async fn fetch_each<R>(
        &self,
        make: impl FnOnce(&Client) -> clickhouse::query::Query,
        what: &'static str,
        limit: usize,
        mut each: impl FnMut(R),
    ) -> Result<(), ArchiveError>
    where
        R: RowOwned + clickhouse::RowRead,
    {
        let query = self.bounded(make)?;
        self.limited(async {
            let mut rows = 0;
            let mut cursor = query.fetch::<R>()?;
            while let Some(row) = cursor.next().await? {
                if rows == limit {
                    return Ok(Err(ArchiveError::TooMany { what, limit }));
                }
                rows += 1;
                each(row);
            }
            Ok::<_, clickhouse::error::Error>(Ok(()))
        })
        .await?
    }

    /// The answer as blocks of columns, one after the other.
    pub(crate) async fn fetch_blocks(
        &self,
        make: impl FnOnce(&Client) -> clickhouse::query::Query,
        mut each: impl FnMut(&Block) -> Result<(), clickhouse::error::Error>,
    ) -> Result<(), ArchiveError> {
        let query = self.bounded(make)?;
        self.limited(async {
            let mut cursor = query.fetch_native()?;
            while let Some(block) = cursor.next().await? {
                each(&block)?;
            }
            Ok::<_, clickhouse::error::Error>(())
        })
        .await
    }

    /// Else a query goes on after nobody waits for it any more.
    fn bounded(
        &self,
        make: impl FnOnce(&Client) -> clickhouse::query::Query,
    ) -> Result<clickhouse::query::Query, ArchiveError> {
        let seconds = self.config.clickhouse.request_timeout.as_secs();
        Ok(make(&self.client()?).with_setting("max_execution_time", seconds.to_string()))
    }

    /// Runs a statement that `make` writes; it may take ten times as long as a query.
    pub(crate) async fn execute(
        &self,
        make: impl FnOnce(&Client) -> clickhouse::query::Query,
    ) -> Result<(), ArchiveError> {
        let limit = self.config.clickhouse.request_timeout * 10;
        let statement = make(&self.client()?).with_setting("max_execution_time", limit.as_secs().to_string());
        // It inserts what may be there already.
        let statement = statement.with_setting("insert_deduplicate", "0").with_setting("async_insert", "0");
        match tokio::time::timeout(limit, statement.execute()).await {
            Ok(outcome) => outcome.map_err(|error| ArchiveError::from_client(error, &self.config.clickhouse.url)),
            Err(_) => Err(ArchiveError::TimedOut(limit)),
        }
    }

    fn client(&self) -> Result<Client, ArchiveError> {
        let client = self.client.clone();
        match &self.config.clickhouse.password {
            None => Ok(client),
            Some(source) => Ok(client.with_password(source.read()?.expose())),
        }
    }

    async fn limited<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, ArchiveError>
    where
        E: Into<Cause>,
    {
        match tokio::time::timeout(self.config.clickhouse.request_timeout, work).await {
            Ok(outcome) => outcome.map_err(|error| ArchiveError::from_cause(error.into(), &self.config.clickhouse.url)),
            Err(_) => Err(ArchiveError::TimedOut(self.config.clickhouse.request_timeout)),
        }
    }
}

/// The values of a column; none where the block does not have it.
pub(crate) fn column<T: for<'a> Decode<'a>>(block: &Block, name: &str) -> Result<Vec<T>, clickhouse::error::Error> {
    let Some(column) = block.column_by_name(name) else { return Ok(Vec::new()) };
    let mut values = Vec::with_capacity(block.num_rows());
    for value in column.iter()? {
        values.push(value?);
    }
    Ok(values)
}
