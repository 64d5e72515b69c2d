//! The tables: created at the first start, migrated by later versions, never guessed.

use std::time::Duration;

use clickhouse::Client;
use tracing::{info, warn};

/// The oldest ClickHouse that the schema is made for.
const OLDEST: (u32, u32) = (26, 3);

/// Each is applied once, in this order; what was released is never edited.
const MIGRATIONS: [(u32, &str, &str); 3] = [
    (1, "series_and_samples", include_str!("migrations/0001_series_and_samples.sql")),
    (2, "histograms_and_others", include_str!("migrations/0002_histograms_and_others.sql")),
    (3, "rollups", include_str!("migrations/0003_rollups.sql")),
];

const MIGRATIONS_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations \
     (version UInt32, name String, applied DateTime('UTC') DEFAULT now()) \
     ENGINE = ReplacingMergeTree ORDER BY version SETTINGS fsync_after_insert = 1, fsync_part_directory = 1";

/// Why the schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("expected ClickHouse {major}.{minor} or later, found {found}; upgrade the server", major = OLDEST.0, minor = OLDEST.1)]
    ServerTooOld { found: String },
    #[error(
        "the schema of database `{database}` has version {found}, this bridge knows {known}; \
         run the lynceus-bridge that made it, or a later one"
    )]
    Newer { database: String, found: u32, known: u32 },
    // Not made anew without being asked: an empty table would look as if the archive had always been empty.
    #[error(
        "expected table `{database}.{table}`, which `{database}.schema_migrations` lists, found none; restore it, or \
         have the bridge create it empty: run `TRUNCATE TABLE {database}.schema_migrations`"
    )]
    TableMissing { database: String, table: &'static str },
    // Taken apart by the caller, which knows the server's address.
    #[error("ClickHouse failed")]
    ClickHouse(#[from] clickhouse::error::Error),
}

/// Brings the database to the newest schema, and its TTL to the config. Repeating it does nothing.
pub(super) async fn prepare(client: Client, database: &str, retention: Duration) -> Result<(), SchemaError> {
    let anywhere = client.clone().with_database("default");
    let version: String = anywhere.query("SELECT version()").fetch_one().await?;
    if parse_version(&version).is_none_or(|found| found < OLDEST) {
        return Err(SchemaError::ServerTooOld { found: version });
    }
    let exists: u64 =
        anywhere.query("SELECT count() FROM system.databases WHERE name = ?").bind(database).fetch_one().await?;
    if exists == 0 {
        // Checked before, so that a user who may not create databases can use one.
        anywhere.query(&format!("CREATE DATABASE IF NOT EXISTS `{database}`")).execute().await?;
    }
    client.query(MIGRATIONS_TABLE).execute().await?;
    let found: u32 = client.query("SELECT max(version) FROM schema_migrations").fetch_one().await?;
    let known = MIGRATIONS[MIGRATIONS.len() - 1].0;
    if found > known {
        return Err(SchemaError::Newer { database: database.to_owned(), found, known });
    }
    let (codec, setting) = value_codec(&client).await?;
    let client = match setting {
        Some(setting) => client.with_setting(setting, "1"),
        None => client,
    };
    for (version, name, sql) in MIGRATIONS.into_iter().filter(|(version, ..)| *version > found) {
        let seconds = retention.as_secs().to_string();
        let sql = sql.replace("{value_codec}", codec).replace("{retention_seconds}", &seconds);
        for statement in sql.split_terminator(";\n") {
            client.query(statement).execute().await?;
        }
        client
            .query("INSERT INTO schema_migrations (version, name) SELECT ?, ?")
            .bind(version)
            .bind(name)
            .execute()
            .await?;
        info!(database, version, name, codec, "migrated the schema");
    }
    keep_retention(&client, database, retention).await?;
    info!(database, clickhouse = version, "the archive is ready");
    Ok(())
}

/// ALP stores gauges in a third of what ZSTD alone needs, but is behind a setting whose name depends on the version.
async fn value_codec(client: &Client) -> Result<(&'static str, Option<String>), SchemaError> {
    let alp = "SELECT name FROM system.settings WHERE name IN ('enable_alp_codec', 'allow_experimental_codecs') \
               AND (SELECT count() FROM system.codecs WHERE name = 'ALP') > 0 ORDER BY name DESC LIMIT 1";
    Ok(match client.query(alp).fetch_optional::<String>().await? {
        Some(setting) => ("ALP, ZSTD(1)", Some(setting)),
        None => ("ZSTD(3)", None),
    })
}

/// The TTL follows the config. ClickHouse applies it to what is stored, in the background.
async fn keep_retention(client: &Client, database: &str, retention: Duration) -> Result<(), SchemaError> {
    let seconds = retention.as_secs();
    let by_month = format!("month + INTERVAL 1 MONTH + INTERVAL {seconds} SECOND");
    let by_time = format!("toDateTime(timestamp, 'UTC') + INTERVAL {seconds} SECOND");
    let by_bucket = format!("bucket + INTERVAL {seconds} SECOND");
    let tables = [
        ("series", &by_month),
        ("samples", &by_time),
        ("histograms", &by_time),
        ("exemplars", &by_time),
        ("starts", &by_month),
        ("metadata", &by_month),
        ("rollup_1h", &by_bucket),
        ("rollup_5m", &by_bucket),
    ];
    for (table, ttl) in tables {
        let create: Option<String> = client
            .query("SELECT create_table_query FROM system.tables WHERE database = ? AND name = ?")
            .bind(database)
            .bind(table)
            .fetch_optional()
            .await?;
        let Some(create) = create else {
            return Err(SchemaError::TableMissing { database: database.to_owned(), table });
        };
        if !create.contains(&format!("toIntervalSecond({seconds})")) {
            warn!(database, table, ?retention, "the retention has changed; ClickHouse deletes what is older");
            client.query(&format!("ALTER TABLE {table} MODIFY TTL {ttl}")).execute().await?;
        }
    }
    Ok(())
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(parse_version("26.9.2.1"), Some((26, 9)));
        assert!(parse_version("26.10.1.1") >= Some(OLDEST));
        assert!(parse_version("26.2.9.9") < Some(OLDEST));
        assert_eq!(parse_version("latest"), None);
    }

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (i, (version, ..)) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(*version).unwrap(), i + 1);
        }
    }

    #[test]
    fn no_migration_has_a_question_mark() {
        // The client would take it for a placeholder.
        assert!(MIGRATIONS.iter().all(|(.., sql)| !sql.contains('?')));
    }
}
