//! The statements that make the tables: one source, for a single server and for a cluster.
//!
//! On a cluster each table is a replicated one on every node, `…_local`, and a distributed one before them that has the
//! name. A machine's samples, series and roll-ups are on one shard, so each node can answer for its own.

use std::time::Duration;

/// Each is applied once, in this order; what was released is never edited.
pub(super) const MIGRATIONS: [Migration; 4] = [
    Migration { version: 1, name: "series_and_samples", sql: include_str!("migrations/0001_series_and_samples.sql") },
    Migration {
        version: 2,
        name: "histograms_and_others",
        sql: include_str!("migrations/0002_histograms_and_others.sql"),
    },
    Migration { version: 3, name: "rollups", sql: include_str!("migrations/0003_rollups.sql") },
    Migration { version: 4, name: "erasures", sql: include_str!("migrations/0004_erasures.sql") },
];

const CREATE: &str = "CREATE TABLE IF NOT EXISTS ";
const ENGINE: &str = "ENGINE = ReplacingMergeTree";

/// Lists what was applied.
const APPLIED: &str = "CREATE TABLE IF NOT EXISTS schema_migrations\n\
     (version UInt32, name String, applied DateTime('UTC') DEFAULT now())\n\
     ENGINE = ReplacingMergeTree ORDER BY version SETTINGS fsync_after_insert = 1, fsync_part_directory = 1";

/// A change of the tables.
pub(super) struct Migration {
    pub(super) version: u32,
    pub(super) name: &'static str,
    sql: &'static str,
}

/// What the statements depend on.
#[derive(Debug, Clone)]
pub(crate) struct Ddl {
    pub(crate) database: String,
    /// As ClickHouse's `remote_servers` name it.
    pub(crate) cluster: Option<String>,
    pub(crate) retention: Duration,
}

/// A table as it should be.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Names and types.
    pub(super) columns: Vec<(&'static str, &'static str)>,
}

impl Ddl {
    /// `ON CLUSTER`, where there is one.
    fn on_cluster(&self) -> String {
        self.cluster.as_ref().map_or_else(String::new, |cluster| format!(" ON CLUSTER `{cluster}`"))
    }

    /// The name of the table that has the data of a node.
    pub(super) fn local(&self, table: &str) -> String {
        if self.cluster.is_some() { format!("{table}_local") } else { table.to_owned() }
    }

    /// It as `ALTER TABLE` names it on all nodes.
    pub(super) fn altered(&self, table: &str) -> String {
        self.local(table) + &self.on_cluster()
    }

    pub(super) fn create_database(&self) -> String {
        format!("CREATE DATABASE IF NOT EXISTS `{}`{}", self.database, self.on_cluster())
    }

    /// The table that lists what was applied: the same on every node.
    pub(super) fn create_applied(&self) -> String {
        let Some(cluster) = &self.cluster else { return APPLIED.to_owned() };
        let path = format!("/clickhouse/tables/{}/schema_migrations", self.database);
        APPLIED
            .replace("schema_migrations\n", &format!("schema_migrations ON CLUSTER `{cluster}`\n"))
            .replace(ENGINE, &format!("ENGINE = ReplicatedReplacingMergeTree('{path}', '{{shard}}-{{replica}}')"))
    }

    /// The statements of a migration.
    pub(super) fn statements(&self, migration: &Migration) -> Vec<String> {
        let sql = migration.sql.replace("{retention_seconds}", &self.retention.as_secs().to_string());
        sql.trim_end().trim_end_matches(';').split(";\n").flat_map(|statement| self.placed(statement.trim())).collect()
    }

    /// A statement for one server as statements for where the tables are.
    fn placed(&self, statement: &str) -> Vec<String> {
        let (Some(cluster), Some(table)) = (&self.cluster, created(statement)) else {
            return vec![statement.to_owned()];
        };
        let database = &self.database;
        let place = format!("'/clickhouse/tables/{{shard}}/{database}/{table}', '{{replica}}'");
        let replicated = "ENGINE = ReplicatedReplacingMergeTree";
        let local = statement
            .replace(&format!("{CREATE}{table}"), &format!("{CREATE}{table}_local ON CLUSTER `{cluster}`"))
            .replace(" AS rollup_1h\n", " AS rollup_1h_local\n")
            .replace(&format!("{ENGINE}\n"), &format!("{replicated}({place})\n"))
            .replace(&format!("{ENGINE}("), &format!("{replicated}({place}, "));
        let key =
            if table == "metadata" { "xxHash64(metric_name)" } else { "if(vm_key = 0, toUInt64(series_id), vm_key)" };
        let distributed = format!(
            "{CREATE}{table} ON CLUSTER `{cluster}` AS {table}_local\n\
             ENGINE = Distributed('{cluster}', '{database}', '{table}_local', {key})"
        );
        vec![local, distributed]
    }

    /// What a table's TTL is, if it has one, and the statement that makes it so.
    pub(super) fn retention_of(&self, table: &str) -> Option<(String, String)> {
        let seconds = self.retention.as_secs();
        let begin = match table {
            // Records of what was deleted are kept for ever.
            "erasures" => return None,
            "series" | "starts" | "metadata" => "month + INTERVAL 1 MONTH",
            "rollup_1h" | "rollup_5m" | "rollup_6h" => "bucket",
            _ => "toDateTime(timestamp, 'UTC')",
        };
        let change = format!("ALTER TABLE {} MODIFY TTL {begin} + INTERVAL {seconds} SECOND", self.altered(table));
        Some((format!("toIntervalSecond({seconds})"), change))
    }
}

/// All tables as the newest migration leaves them.
pub(super) fn tables() -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for statement in MIGRATIONS.iter().flat_map(|migration| migration.sql.split(";\n")) {
        let Some(name) = created(statement.trim()) else { continue };
        let like = statement.split_once(" AS ").and_then(|(_, rest)| rest.split_whitespace().next());
        let columns = match tables.iter().find(|table| Some(table.name) == like) {
            Some(table) => table.columns.clone(),
            None => columns(statement),
        };
        tables.push(Table { name, columns });
    }
    tables
}

/// The table that a statement makes; comments stand before it.
fn created(statement: &str) -> Option<&str> {
    statement.split_once(CREATE)?.1.split_whitespace().next()
}

/// Name and type of each line between the brackets.
fn columns(statement: &'static str) -> Vec<(&'static str, &'static str)> {
    let lines = statement.lines().skip_while(|line| *line != "(").skip(1).take_while(|line| *line != ")");
    let column = |line: &'static str| {
        let (name, rest) = line.trim().split_once(' ')?;
        let end = [" COMMENT", " CODEC"].iter().filter_map(|word| rest.find(word)).min().unwrap_or(rest.len());
        Some((name, rest[..end].trim().trim_end_matches(',')))
    };
    lines.filter_map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ddl(cluster: Option<&str>) -> Ddl {
        let retention = Duration::from_secs(60);
        Ddl { database: "lynceus".into(), cluster: cluster.map(Into::into), retention }
    }

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (i, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.version).unwrap(), i + 1);
        }
    }

    #[test]
    fn no_migration_has_a_question_mark() {
        // The client would take it for a placeholder.
        assert!(MIGRATIONS.iter().all(|migration| !migration.sql.contains('?')));
    }

    #[test]
    fn the_tables_and_their_columns_are_known() {
        let tables = tables();
        let names: Vec<_> = tables.iter().map(|table| table.name).collect();
        let expected = [
            "series",
            "samples",
            "histograms",
            "exemplars",
            "starts",
            "metadata",
            "rollup_1h",
            "rollup_5m",
            "rollup_6h",
            "erasures",
        ];
        assert_eq!(names, expected);
        let samples = [
            ("vm_key", "UInt64"),
            ("series_id", "UInt128"),
            ("timestamp", "DateTime64(3, 'UTC')"),
            ("value", "Float64"),
        ];
        assert_eq!(tables[1].columns, samples);
        assert_eq!(tables[0].columns[4], ("labels", "Map(LowCardinality(String), String)"));
        assert_eq!(tables[6].columns, tables[7].columns);
    }

    #[test]
    fn on_a_cluster_each_table_is_two() {
        let all: Vec<_> = MIGRATIONS.iter().flat_map(|migration| ddl(Some("main")).statements(migration)).collect();
        assert_eq!(all.len(), 20);
        for pair in all.chunks(2) {
            let table = created(&pair[1]).unwrap();
            assert!(pair[0].contains(&format!("{CREATE}{table}_local ON CLUSTER `main`")), "{}", pair[0]);
            let place = format!("('/clickhouse/tables/{{shard}}/lynceus/{table}', '{{replica}}'");
            assert!(pair[0].contains(&format!("ENGINE = ReplicatedReplacingMergeTree{place}")), "{}", pair[0]);
            assert!(pair[1].contains(&format!("Distributed('main', 'lynceus', '{table}_local', ")), "{}", pair[1]);
        }
        assert!(all[12].contains("'{replica}', made)\n"), "{}", all[12]);
        assert!(all[14].contains("AS rollup_1h_local\n"), "{}", all[14]);
        let single: Vec<_> = MIGRATIONS.iter().flat_map(|migration| ddl(None).statements(migration)).collect();
        assert!(single.len() == 10 && single.iter().all(|statement| !statement.contains("local")));
    }
}
