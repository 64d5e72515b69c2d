//! Batches that ClickHouse will never take, in a form that can be inserted by hand once the reason is gone.

use std::fmt::Write as _;
use std::path::Path;

use crate::archive::{ArchiveError, SampleRow};

/// Writes rows in ClickHouse's format RowBinary, and the reason beside them.
pub(super) fn write(folder: &Path, name: &str, rows: &[SampleRow], error: &ArchiveError) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut bytes = Vec::with_capacity(rows.len() * 40);
    for row in rows {
        bytes.extend_from_slice(&row.vm_key.to_le_bytes());
        bytes.extend_from_slice(&row.series_id.to_le_bytes());
        bytes.extend_from_slice(&row.timestamp.to_le_bytes());
        bytes.extend_from_slice(&row.value.to_bits().to_le_bytes());
    }
    let mut reason = format!("{error}\n\n{} samples. To insert them once the reason is gone:\n", rows.len());
    // Writing to a String cannot fail.
    let _infallible =
        writeln!(reason, "  clickhouse-client --query 'INSERT INTO samples FORMAT RowBinary' < {name}.rowbinary");
    for (kind, content) in [("rowbinary", bytes), ("txt", reason.into_bytes())] {
        let path = folder.join(format!("{name}.{kind}"));
        std::fs::write(&path, content)?;
        std::fs::File::open(&path)?.sync_all()?;
    }
    Ok(())
}
