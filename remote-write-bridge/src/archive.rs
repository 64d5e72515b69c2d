//! ClickHouse: inserts that are harmless to repeat, queries, and what its answers mean.
//!
//! One INSERT is one partition and one block, so it is stored whole or not at all. When it is not known which, it is sent
//! again, and the table merges what arrives twice. ClickHouse's own deduplication is off: it writes down that it has a
//! block before it has it, and a server that is killed in between drops the block when it comes again
//! (docs/decisions/0007).

mod connection;
mod ddl;
mod error;
mod row;
mod schema;

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use lynceus_service::tls::TlsError;
use tokio::time::Instant;
use tracing::debug;

pub(crate) use connection::{Connection, column};
pub(crate) use error::ArchiveError;
use row::OldestRow;
pub(crate) use row::{ExemplarRow, HistogramRow, MetadataRow, SampleRow, SeriesRow, StartRow, TableRow};

use crate::config::Config;
use crate::metrics::Metrics;

/// The archive. Cheap to share, and its config can be replaced while it works.
pub(crate) struct Archive {
    connection: RwLock<Arc<Connection>>,
    metrics: Metrics,
}

impl Archive {
    pub(crate) fn open(config: Config, metrics: Metrics) -> Result<Self, TlsError> {
        let connection = Connection::new(config, "ClickHouse has not answered yet".to_owned())?;
        Ok(Self { connection: RwLock::new(Arc::new(connection)), metrics })
    }

    /// Uses another config from now on. The schema is looked at again, since it may be another server.
    pub(crate) fn reconfigure(&self, config: Config) -> Result<(), TlsError> {
        let next = Arc::new(Connection::new(config, "the config was reloaded".to_owned())?);
        let mut connection = self.connection.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *connection, next).mark_replaced();
        Ok(())
    }

    /// Begins again with the same server, unless another connection is in use already.
    fn begin_again(&self, old: &Arc<Connection>, reason: String) {
        let mut connection = self.connection.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&connection, old) {
            *connection = Arc::new(old.anew(reason));
            old.mark_replaced();
        }
    }

    /// The connection of now.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connection of now, if its tables are there; the error says why not.
    pub(crate) fn prepared(&self) -> Result<Arc<Connection>, ArchiveError> {
        let connection = self.connection();
        connection.require_prepared()?;
        Ok(connection)
    }

    /// Creates and migrates the tables unless that is done; after it, asks whether the server is there.
    pub(crate) async fn check(&self) -> Result<(), ArchiveError> {
        let connection = self.connection();
        let outcome = connection.unless_replaced(connection.check()).await;
        self.metrics.clickhouse_up.set(i64::from(outcome.is_ok()));
        outcome
    }

    /// Notes how old the oldest partitions are. A TTL is a wish: servers have been seen that did not delete.
    pub(crate) async fn look_at_partitions(&self) -> Result<(), ArchiveError> {
        // Partitions are named by day (20261126) or by month (202611).
        const SQL: &str = "SELECT table, toUnixTimestamp(toDateTime(YYYYMMDDToDate(toUInt32(rpad(min(partition), 8, '01'))), 'UTC')) \
                           AS oldest FROM system.parts WHERE database = currentDatabase() AND active \
                           AND table != 'schema_migrations' GROUP BY table";
        let tables: Vec<OldestRow> = self.prepared()?.fetch(|client| client.query(SQL), "tables", 10).await?;
        for OldestRow { table, oldest } in tables {
            self.metrics.oldest_partition(&table, oldest);
        }
        Ok(())
    }

    /// Stores rows of one partition.
    pub(crate) async fn insert<R: TableRow>(
        &self,
        connection: &Arc<Connection>,
        rows: &[R],
    ) -> Result<(), ArchiveError> {
        let table = R::TABLE;
        let start = Instant::now();
        let outcome = connection.unless_replaced(connection.insert(rows)).await;
        self.metrics.observe_insert(table, rows.len(), start.elapsed(), outcome.is_ok());
        match &outcome {
            Ok(()) => debug!(table, rows = rows.len(), "inserted"),
            Err(error) => {
                debug!(%error, table, rows = rows.len(), "an insert failed");
                if error.table_is_missing() {
                    self.begin_again(connection, error.to_string());
                }
            }
        }
        outcome
    }
}

/// Rows of one partition of some table.
pub(crate) trait Insert: Send + Sync {
    fn table(&self) -> &'static str;

    fn rows(&self) -> usize;

    /// Stores them.
    fn send<'a>(&'a self, archive: &'a Archive, connection: &'a Arc<Connection>) -> Sending<'a>;

    /// In ClickHouse's format RowBinary.
    fn row_binary(&self) -> Vec<u8>;
}

pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), ArchiveError>> + Send + 'a>>;

impl<R: TableRow> Insert for Vec<R> {
    fn table(&self) -> &'static str {
        R::TABLE
    }

    fn rows(&self) -> usize {
        self.len()
    }

    fn send<'a>(&'a self, archive: &'a Archive, connection: &'a Arc<Connection>) -> Sending<'a> {
        Box::pin(archive.insert(connection, self))
    }

    fn row_binary(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.iter().for_each(|row| row.row_binary(&mut bytes));
        bytes
    }
}
