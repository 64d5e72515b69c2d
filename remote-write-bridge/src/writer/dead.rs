//! Batches that ClickHouse will never take, in a form that can be inserted by hand once the reason is gone.

use std::fmt::Write as _;
use std::path::Path;

use crate::archive::{ArchiveError, Insert};

/// Writes rows in ClickHouse's format RowBinary, and the reason beside them.
pub(super) fn write(folder: &Path, name: &str, insert: &dyn Insert, error: &ArchiveError) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let (table, rows) = (insert.table(), insert.rows());
    let mut reason = format!("{error}\n\n{rows} rows of `{table}`. To insert them once the reason is gone:\n");
    // Writing to a String cannot fail.
    let _infallible =
        writeln!(reason, "  clickhouse-client --query 'INSERT INTO {table} FORMAT RowBinary' < {name}.rowbinary");
    for (kind, content) in [("rowbinary", insert.row_binary()), ("txt", reason.into_bytes())] {
        let path = folder.join(format!("{name}.{kind}"));
        std::fs::write(&path, content)?;
        std::fs::File::open(&path)?.sync_all()?;
    }
    Ok(())
}
