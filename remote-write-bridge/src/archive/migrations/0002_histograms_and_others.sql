-- Native histograms: one row per series and time, as `samples`.
CREATE TABLE IF NOT EXISTS histograms
(
    vm_key    UInt64 CODEC(ZSTD(1)),
    series_id UInt128 CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    count     Float64 COMMENT 'Observations' CODEC(ZSTD(1)),
    sum       Float64 COMMENT 'Of the observations' CODEC(ZSTD(1)),
    histogram String COMMENT 'Protobuf message io.prometheus.write.v2.Histogram, without its time' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(timestamp)
PRIMARY KEY (vm_key, series_id)
ORDER BY (vm_key, series_id, timestamp)
TTL toDateTime(timestamp, 'UTC') + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1,
         fsync_after_insert = 1,
         fsync_part_directory = 1;

-- Exemplars: examples of what was observed, mostly with the id of a trace.
CREATE TABLE IF NOT EXISTS exemplars
(
    vm_key    UInt64 CODEC(ZSTD(1)),
    series_id UInt128 CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    value     Float64 CODEC(ZSTD(1)),
    labels_id UInt64 COMMENT 'XXH3-64 of the sorted labels' CODEC(ZSTD(1)),
    labels    Map(LowCardinality(String), String) COMMENT 'Of the exemplar, not of its series'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(timestamp)
PRIMARY KEY (vm_key, series_id)
ORDER BY (vm_key, series_id, timestamp, labels_id, value)
TTL toDateTime(timestamp, 'UTC') + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1,
         fsync_after_insert = 1,
         fsync_part_directory = 1;

-- When series began to count: a sample belongs to the latest start that is not after it.
CREATE TABLE IF NOT EXISTS starts
(
    month     Date COMMENT 'First day of the month of its first sample, UTC',
    vm_key    UInt64 CODEC(ZSTD(1)),
    series_id UInt128 CODEC(ZSTD(1)),
    start     DateTime64(3, 'UTC') CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(month)
ORDER BY (vm_key, series_id, start)
TTL month + INTERVAL 1 MONTH + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1,
         fsync_after_insert = 1,
         fsync_part_directory = 1;

-- What metrics are: one row per month and description.
CREATE TABLE IF NOT EXISTS metadata
(
    month       Date COMMENT 'First day of the month in which it was sent, UTC',
    metric_name String COMMENT 'Of the family: without the suffixes of histograms and summaries',
    type        LowCardinality(String) COMMENT 'As Prometheus names it: counter, gauge, and so on',
    unit        LowCardinality(String),
    help        String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(month)
ORDER BY (metric_name, type, unit, help)
TTL month + INTERVAL 1 MONTH + INTERVAL {retention_seconds} SECOND
SETTINGS ttl_only_drop_parts = 1,
         fsync_after_insert = 1,
         fsync_part_directory = 1;
