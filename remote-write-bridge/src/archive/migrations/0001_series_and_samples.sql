-- One row per series and month: what a sample's series_id means, and which series had samples in a month.
CREATE TABLE IF NOT EXISTS series
(
    month       Date COMMENT 'First day of the month, UTC',
    series_id   UInt128 COMMENT 'XXH3-128 of the sorted labels',
    vm_key      UInt64 COMMENT 'XXH3-64 of the labels vcenter and vm_id, 0 for series of no virtual machine',
    metric_name LowCardinality(String) COMMENT 'Label __name__',
    labels      Map(LowCardinality(String), String) COMMENT 'All other labels'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(month)
ORDER BY (metric_name, series_id)
TTL month + INTERVAL 1 MONTH + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1,
         fsync_after_insert = 1,
         fsync_part_directory = 1;

-- One row per series and time. Rows that arrive twice are merged into one; read with FINAL. All series of a scrape have the
-- same times, so a block of times that holds several series costs little more than one of them (make bench-storage).
CREATE TABLE IF NOT EXISTS samples
(
    vm_key    UInt64 CODEC(ZSTD(1)),
    series_id UInt128 CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) SETTINGS (min_compress_block_size = 524288, max_compress_block_size = 524288),
    value     Float64 CODEC(Delta, ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(timestamp)
PRIMARY KEY (vm_key, series_id)
ORDER BY (vm_key, series_id, timestamp)
TTL toDateTime(timestamp, 'UTC') + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1,
         fsync_after_insert = 1,
         fsync_part_directory = 1;
