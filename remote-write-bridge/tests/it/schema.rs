//! The tables: made once, kept, followed, and refused when they are of a later version.

use std::process::Command;

use lynceus_demo::{Process, eventually, repository, tool};

use crate::support::{Archive, LIMIT, has_tools, now, write_config};
use crate::wire::series;

#[tokio::test]
async fn the_tables_are_as_the_contract_says_and_survive_a_restart() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start().await;
    let table = archive
        .sql("SELECT create_table_query FROM system.tables WHERE name = 'samples' AND database = 'lynceus'")
        .await;
    for clause in [
        "ENGINE = ReplacingMergeTree PARTITION BY toYYYYMMDD(timestamp)",
        "ORDER BY (vm_key, series_id, timestamp)",
        "TTL toDateTime(timestamp, \\'UTC\\') + toIntervalSecond(63072000)",
        "ttl_only_drop_parts = 1",
        "fsync_after_insert = 1",
        "fsync_part_directory = 1",
        "CODEC(Delta(8), ZSTD(3))",
        "SETTINGS (min_compress_block_size = 524288, max_compress_block_size = 524288)",
    ] {
        assert!(table.contains(clause), "{clause} in {table}");
    }
    let t = now();
    archive.store(&[series(&[("__name__", "kept"), ("vcenter", "vc"), ("vm_id", "42")], &[(t, 1.)])]).await;
    archive.restart_bridge("").await;
    archive.wait_for_engine().await;
    assert_eq!(
        archive.sql("SELECT groupArray(version) FROM (SELECT version FROM schema_migrations ORDER BY version)").await,
        "[1,2,3,4]"
    );
    assert_eq!(archive.read(t, t, &[(0, "__name__", "kept")]).await.len(), 1);
    // docs/bridge.md shows how a machine's key is computed in SQL.
    let key = "xxh3(concat('\\x02\\0\\0\\0', 'vc', '\\x02\\0\\0\\0', '42'))";
    assert_eq!(archive.sql(&format!("SELECT vm_key = {key} FROM series")).await, "1");
}

#[tokio::test]
async fn the_retention_of_the_tables_follows_the_config() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start().await;
    let (t, day) = (now(), 86_400_000);
    archive.store(&[series(&[("__name__", "aged")], &[(t, 1.), (t - 100 * day, 2.)])]).await;
    // Merges would delete at once what the shorter retention makes old.
    archive.restart_bridge("").await;
    let oldest = async |table: &str| {
        let name = format!("lynceus_bridge_oldest_partition_timestamp_seconds{{table=\"{table}\"}}");
        let found = eventually(LIMIT, "the age of partitions", || async {
            let page = archive.http.get(format!("{}/metrics", archive.url)).send().await?.text().await?;
            let line = page.lines().find_map(|line| line.strip_prefix(&name)).map(|value| value.trim().parse::<i64>());
            Ok(line.ok_or_else(|| anyhow::anyhow!(page.clone()))??)
        });
        found.await.unwrap() * 1000
    };
    let first_day = (t - 100 * day) / day * day;
    assert_eq!(oldest("samples").await, first_day);
    assert!((first_day - 31 * day..=first_day).contains(&oldest("series").await));
    archive.restart_bridge("retention:\n  samples: 30d\n").await;
    archive.wait_for_engine().await;
    eventually(LIMIT, "the deletion of old samples", || async {
        let left = archive.sql("SELECT groupArray(value) FROM samples FINAL").await;
        anyhow::ensure!(left == "[1]", "{left}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_left_alone() {
    if !has_tools(&["python"]) {
        return;
    }
    let mut archive = Archive::start().await;
    archive.sql("INSERT INTO schema_migrations (version, name) VALUES (99, 'from_the_future')").await;
    archive.restart_bridge("").await;
    let expected = "the schema of database `lynceus` has version 99, this bridge knows 4; run the lynceus-bridge that \
                    made it, or a later one";
    eventually(LIMIT, "the reason", || async {
        let log = archive.bridge.log();
        anyhow::ensure!(log.contains(expected), log);
        Ok(())
    })
    .await
    .unwrap();
    // Nothing is lost meanwhile.
    let response = archive.write(&[series(&[("__name__", "up")], &[(now(), 1.)])]).await;
    assert_eq!(response.status().as_u16(), 204);
    assert!(!archive.has_engine().await);
}

#[tokio::test]
async fn tables_that_vanish_are_made_again_with_their_series() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let t = now();
    let one = [series(&[("__name__", "back")], &[(t, 1.)])];
    archive.store(&one).await;
    archive.sql("DROP DATABASE lynceus SYNC").await;
    archive.store(&one).await;
    assert_eq!(archive.read(t, t, &[(0, "__name__", "back")]).await, one);
}

#[tokio::test]
async fn a_table_that_vanishes_by_itself_is_named_with_what_to_do() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let t = now();
    let one = [series(&[("__name__", "back")], &[(t, 1.)])];
    archive.store(&one).await;
    archive.sql("DROP TABLE samples SYNC").await;
    assert_eq!(archive.write(&one).await.status().as_u16(), 204);
    let advice = eventually(LIMIT, "the advice", || async {
        let text = archive.bridge.log();
        let rest = text.split_once("found none; restore it, or have the bridge create it empty: run `");
        let sql = rest.and_then(|(before, rest)| {
            before
                .ends_with("expected table `lynceus.samples`, which `lynceus.schema_migrations` lists, ")
                .then_some(rest)
        });
        let sql = sql.and_then(|rest| rest.split_once('`'));
        sql.map(|(sql, _)| sql.to_owned()).ok_or_else(|| anyhow::anyhow!(text))
    })
    .await
    .unwrap();
    assert!(!archive.has_engine().await);
    archive.sql(&advice).await;
    archive.wait_for_engine().await;
    archive.settle().await;
    assert_eq!(archive.read(t, t, &[(0, "__name__", "back")]).await, one);
}

#[tokio::test]
async fn the_password_is_read_when_it_is_used() {
    if !has_tools(&["python"]) {
        return;
    }
    let config = "clickhouse:\n  url: http://127.0.0.1:{port}\n  username: bridge\n  password_file: password\n";
    let mut archive = Archive::start_without_engine(config).await;
    let dir = archive.dir.path();
    let refusals = |archive: &Archive| {
        archive
            .bridge
            .log()
            .lines()
            .filter(|line| line.contains("ClickHouse cannot be used"))
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let first = refusals(&archive);
    assert!(first[0].contains("failed to read the secret file"), "{first:?}");

    std::fs::write(dir.join("engine-password"), "right\n").unwrap();
    std::fs::write(dir.join("password"), "wrong\n").unwrap();
    let mut command = Command::new(tool("python").unwrap());
    command.arg(repository().join("deploy/embedded-clickhouse/server.py"));
    command.arg("--listen").arg(format!("127.0.0.1:{}", archive.clickhouse_port)).arg("--path").arg(dir.join("data"));
    command.args(["--user", "bridge", "--password-file"]).arg(dir.join("engine-password"));
    archive.clickhouse = Some(Process::start("clickhouse", command, dir).unwrap());
    eventually(LIMIT, "the refused password", || async {
        let log = refusals(&archive);
        anyhow::ensure!(log.iter().any(|line| line.contains("AUTHENTICATION_FAILED")), "{log:?}");
        Ok(())
    })
    .await
    .unwrap();
    std::fs::write(archive.dir.path().join("password"), "right\n").unwrap();
    archive.wait_for_engine().await;
    archive.store(&[series(&[("__name__", "up")], &[(now(), 1.)])]).await;
    assert!(!archive.bridge.log().contains("right"), "the password is in the log");
}

/// Runs `lynceus-bridge schema …`: exit code and output.
fn schema(archive: &Archive, arguments: &[&str], config: &str) -> (i32, String) {
    let file = write_config(archive.dir.path(), archive.clickhouse_port, config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus-bridge"));
    let output = command.arg("schema").args(arguments).arg("--config.file").arg(file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[tokio::test]
async fn the_printed_statements_make_what_the_bridge_makes() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let made = "SELECT name, replace(create_table_query, 'copied', 'lynceus') FROM system.tables \
                WHERE database = currentDatabase() ORDER BY name";
    let expected = archive.sql(made).await;
    let (code, statements) =
        schema(&archive, &["print"], "clickhouse:\n  url: http://127.0.0.1:{port}\n  database: copied\n");
    assert_eq!(code, 0, "{statements}");
    let url = format!("http://127.0.0.1:{}/?wait_end_of_query=1", archive.clickhouse_port);
    let run = async |url: String, sql: &str| {
        let answer = archive.http.post(url).body(sql.to_owned()).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status.as_u16(), 200, "{sql}: {text}");
        text
    };
    for statement in statements.split_terminator(";\n\n").filter(|statement| !statement.starts_with("USE ")) {
        let database = if statement.starts_with("CREATE DATABASE") { "" } else { "&database=copied" };
        run(format!("{url}{database}"), statement).await;
    }
    assert_eq!(run(format!("{url}&database=copied"), made).await.trim_end(), expected);
}

#[tokio::test]
async fn a_check_says_what_is_other_than_it_should_be() {
    if !has_tools(&["python"]) {
        return;
    }
    let archive = Archive::start().await;
    let fine = "database `lynceus` is as this version needs it\n".to_owned();
    assert_eq!(schema(&archive, &["check"], ""), (0, fine.clone()));
    assert_eq!(schema(&archive, &["apply"], ""), (0, fine));
    archive.sql("ALTER TABLE histograms MODIFY COLUMN sum Float32").await;
    archive.sql("ALTER TABLE histograms DROP COLUMN count").await;
    archive.sql("DROP TABLE starts SYNC").await;
    let (code, text) = schema(&archive, &["check"], "retention:\n  samples: 30d\n");
    assert_eq!(code, 1);
    for line in [
        "samples: expected a TTL with toIntervalSecond(2592000) (retention.samples), found another one",
        "histograms.sum: expected Float64, found Float32",
        "histograms.count: expected Float64, found no such column",
        "there is no table `starts`",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let (code, text) = schema(&archive, &["check"], "clickhouse:\n  url: http://127.0.0.1:{port}\n  database: none\n");
    assert_eq!((code, text.as_str()), (1, "there is no database `none`\n"));
}

#[tokio::test]
async fn the_statements_for_a_cluster_are_sql() {
    if !has_tools(&["python"]) {
        return;
    }
    // One engine cannot run them: it has no Keeper and no other node.
    let archive = Archive::start().await;
    let config = "clickhouse:\n  url: http://127.0.0.1:{port}\n  cluster: main\n";
    let (code, statements) = schema(&archive, &["print"], config);
    assert_eq!(code, 0, "{statements}");
    assert_eq!(statements.matches("ReplicatedReplacingMergeTree(").count(), 11);
    assert_eq!(statements.matches("Distributed('main', 'lynceus', ").count(), 10);
    for statement in statements.split_terminator(";\n\n").filter(|statement| statement.starts_with("CREATE")) {
        archive.sql(&format!("EXPLAIN AST {statement}")).await;
    }
}
