//! The tables: created at the first start, migrated by later versions, never guessed.

use std::collections::HashMap;

use clickhouse::Client;
use tracing::{info, warn};

use super::ddl::{Ddl, MIGRATIONS, tables};

/// The oldest ClickHouse that the schema is made for.
const OLDEST: (u32, u32) = (26, 3);

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
    TableMissing { database: String, table: String },
    // Taken apart by the caller, which knows the server's address.
    #[error("ClickHouse failed")]
    ClickHouse(#[from] clickhouse::error::Error),
}

/// Brings the database to the newest schema, and its TTL to the config. Repeating it does nothing.
pub(super) async fn prepare(client: Client, ddl: &Ddl) -> Result<(), SchemaError> {
    let database = &ddl.database;
    let server = server_version(&client).await?;
    // Looked at before, so that a user who may create nothing can use what is there.
    if !has_database(&client, database).await? {
        on_no_database(&client, &ddl.create_database()).await?;
    }
    let found = match has_table(&client, database, "schema_migrations").await? {
        true => applied(&client).await?,
        false => {
            client.query(&ddl.create_applied()).execute().await?;
            0
        }
    };
    let known = newest();
    if found > known {
        return Err(SchemaError::Newer { database: database.clone(), found, known });
    }
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > found) {
        for statement in ddl.statements(migration) {
            client.query(&statement).execute().await?;
        }
        client.query(&record(migration.version, migration.name)).execute().await?;
        info!(database, version = migration.version, name = migration.name, "migrated the schema");
    }
    keep_retention(&client, ddl).await?;
    info!(database, clickhouse = server, "the archive is ready");
    Ok(())
}

/// All statements that an empty server needs, in their order.
pub(super) fn print(ddl: &Ddl) -> Vec<String> {
    let mut all = vec![ddl.create_database(), format!("USE `{}`", ddl.database), ddl.create_applied()];
    for migration in &MIGRATIONS {
        all.extend(ddl.statements(migration));
        all.push(record(migration.version, migration.name));
    }
    all
}

/// What is other than it should be; nothing is changed.
pub(super) async fn check(client: &Client, ddl: &Ddl) -> Result<Vec<String>, SchemaError> {
    let database = &ddl.database;
    server_version(client).await?;
    if !has_database(client, database).await? {
        return Ok(vec![format!("there is no database `{database}`")]);
    }
    if !has_table(client, database, "schema_migrations").await? {
        return Ok(vec![format!("database `{database}` has no tables of lynceus-bridge")]);
    }
    let mut problems = Vec::new();
    let (found, known) = (applied(client).await?, newest());
    if found != known {
        problems.push(format!("the schema has version {found}, this bridge knows {known}"));
    }
    let columns: Vec<(String, String, String)> = client
        .query("SELECT table, name, type FROM system.columns WHERE database = ? ORDER BY table, position")
        .bind(database)
        .fetch_all()
        .await?;
    let mut by_table: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
    for (table, name, kind) in &columns {
        by_table.entry(table).or_default().push((name, kind));
    }
    for table in tables() {
        for name in [table.name.to_owned(), ddl.local(table.name)] {
            let Some(found) = by_table.remove(name.as_str()) else { continue };
            for (column, kind) in &table.columns {
                match found.iter().find(|(name, _)| name == column) {
                    None => problems.push(format!("{name}.{column}: expected {kind}, found no such column")),
                    Some((_, found)) if found != kind => {
                        problems.push(format!("{name}.{column}: expected {kind}, found {found}"));
                    }
                    Some(_) => {}
                }
            }
        }
        let (local, ttl) = (ddl.local(table.name), ddl.retention_of(table.name));
        match (create_query(client, database, &local).await?, ttl) {
            (None, _) => problems.push(format!("there is no table `{local}`")),
            (Some(create), Some((expected, _))) if !create.contains(&expected) => {
                problems
                    .push(format!("{local}: expected a TTL with {expected} (retention.samples), found another one"));
            }
            (Some(_), _) => {}
        }
    }
    Ok(problems)
}

fn newest() -> u32 {
    MIGRATIONS[MIGRATIONS.len() - 1].version
}

fn record(version: u32, name: &str) -> String {
    format!("INSERT INTO schema_migrations (version, name) SELECT {version}, '{name}'")
}

/// The server's version, if it is new enough.
async fn server_version(client: &Client) -> Result<String, SchemaError> {
    let version: String = client.clone().with_database("default").query("SELECT version()").fetch_one().await?;
    match parse_version(&version) {
        Some(found) if found >= OLDEST => Ok(version),
        _ => Err(SchemaError::ServerTooOld { found: version }),
    }
}

async fn has_database(client: &Client, database: &str) -> Result<bool, SchemaError> {
    let sql = "SELECT count() FROM system.databases WHERE name = ?";
    let count: u64 = client.clone().with_database("default").query(sql).bind(database).fetch_one().await?;
    Ok(count > 0)
}

/// A statement that cannot name the database as that of the session, because it is not there yet.
async fn on_no_database(client: &Client, sql: &str) -> Result<(), SchemaError> {
    Ok(client.clone().with_database("default").query(sql).execute().await?)
}

async fn has_table(client: &Client, database: &str, table: &str) -> Result<bool, SchemaError> {
    Ok(create_query(client, database, table).await?.is_some())
}

async fn create_query(client: &Client, database: &str, table: &str) -> Result<Option<String>, SchemaError> {
    let sql = "SELECT create_table_query FROM system.tables WHERE database = ? AND name = ?";
    Ok(client.query(sql).bind(database).bind(table).fetch_optional().await?)
}

/// The newest migration that was applied.
async fn applied(client: &Client) -> Result<u32, SchemaError> {
    Ok(client.query("SELECT max(version) FROM schema_migrations").fetch_one().await?)
}

/// The TTL follows the config. ClickHouse applies it to what is stored, in the background.
async fn keep_retention(client: &Client, ddl: &Ddl) -> Result<(), SchemaError> {
    for table in tables() {
        let local = ddl.local(table.name);
        let Some(create) = create_query(client, &ddl.database, &local).await? else {
            return Err(SchemaError::TableMissing { database: ddl.database.clone(), table: local });
        };
        if let Some((expected, change)) = ddl.retention_of(table.name)
            && !create.contains(&expected)
        {
            let (database, retention) = (&ddl.database, ddl.retention);
            warn!(database, table = local, ?retention, "the retention has changed; ClickHouse deletes what is older");
            client.query(&change).execute().await?;
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
}
