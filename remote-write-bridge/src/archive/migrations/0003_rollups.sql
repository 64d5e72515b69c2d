-- Roll-ups: one row per series and bucket, which begins behind its start and ends with its end. Made from `samples`, and
-- again when samples come late: the row that was made last counts.
CREATE TABLE IF NOT EXISTS rollup_1h
(
    metric_name LowCardinality(String),
    bucket      DateTime('UTC') COMMENT 'Its end' CODEC(Delta, ZSTD(1)),
    vm_key      UInt64 CODEC(ZSTD(1)),
    series_id   UInt128 CODEC(ZSTD(1)),
    count       UInt32 COMMENT 'Samples, stale markers not counted' CODEC(ZSTD(1)),
    sum         Float64 CODEC(ZSTD(3)),
    min         Float64 COMMENT 'NaN if all are' CODEC(ZSTD(3)),
    max         Float64 COMMENT 'NaN if all are' CODEC(ZSTD(3)),
    first       Float64 CODEC(ZSTD(3)),
    first_time  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    last        Float64 CODEC(ZSTD(3)),
    last_time   DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    resets      Float64 COMMENT 'Sum of the values before each drop: last - first + resets is the increase' CODEC(ZSTD(3)),
    stale       Bool COMMENT 'Whether the newest sample is a stale marker' CODEC(ZSTD(1)),
    made        DateTime64(3, 'UTC') CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(made)
PARTITION BY toYYYYMM(bucket)
ORDER BY (metric_name, bucket, vm_key, series_id)
TTL bucket + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1,
         fsync_after_insert = 1,
         fsync_part_directory = 1;

-- The same of five minutes, for the metrics that the config names.
CREATE TABLE IF NOT EXISTS rollup_5m AS rollup_1h
ENGINE = ReplacingMergeTree(made)
PARTITION BY toYYYYMM(bucket)
ORDER BY (metric_name, bucket, vm_key, series_id)
TTL bucket + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1,
         fsync_after_insert = 1,
         fsync_part_directory = 1;

-- The same of six hours, made from the hours: ordered so that a series' years stand together.
CREATE TABLE IF NOT EXISTS rollup_6h AS rollup_1h
ENGINE = ReplacingMergeTree(made)
PARTITION BY toYYYYMM(bucket)
ORDER BY (metric_name, vm_key, series_id, bucket)
TTL bucket + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1,
         fsync_after_insert = 1,
         fsync_part_directory = 1;
