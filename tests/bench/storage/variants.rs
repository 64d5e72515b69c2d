//! Ways to lay the same samples out in the engine.

/// A table.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    /// `{keys}`, `{times}` and `{values}` are those of the bridge.
    columns: &'static str,
    /// Engine, partitions, order.
    layout: &'static str,
    /// What is inserted; `{late}` is what each time is moved by.
    select: &'static str,
    pub(crate) is_arrays: bool,
}

const ROWS: &str =
    "SELECT vm_key, series_id, timestamp + INTERVAL {late} MILLISECOND AS timestamp, value FROM samples FINAL";
const KEYS: &str = "vm_key UInt64 CODEC(ZSTD(1)), series_id UInt128 CODEC(ZSTD(1))";
const TIMES: &str = "timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) \
                     SETTINGS (min_compress_block_size = 524288, max_compress_block_size = 524288)";
const VALUES: &str = "value Float64 CODEC(Delta, ZSTD(3))";
const BY_SERIES: &str = "ReplacingMergeTree PARTITION BY toYYYYMMDD(timestamp) PRIMARY KEY (vm_key, series_id) \
                         ORDER BY (vm_key, series_id, timestamp)";

const fn rows(name: &'static str, columns: &'static str) -> Variant {
    Variant { name, columns, layout: BY_SERIES, select: ROWS, is_arrays: false }
}

const fn other(name: &'static str, layout: &'static str) -> Variant {
    Variant { name, columns: "{keys}, {times}, {values}", layout, select: ROWS, is_arrays: false }
}

/// The first one is what the bridge makes, and the others differ from it in one thing.
pub(crate) const VARIANTS: [Variant; 17] = [
    rows("as shipped", "{keys}, {times}, {values}"),
    rows("times in blocks of 64 KiB", "{keys}, timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)), {values}"),
    rows(
        "times in blocks of 1 MiB",
        "{keys}, timestamp DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) \
         SETTINGS (min_compress_block_size = 1048576, max_compress_block_size = 1048576), {values}",
    ),
    rows(
        "the same times DoubleDelta, ZSTD(1)",
        "{keys}, timestamp DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)), {values}",
    ),
    rows("values Delta, ZSTD(1)", "{keys}, {times}, value Float64 CODEC(Delta, ZSTD(1))"),
    rows("values Delta, ZSTD(6)", "{keys}, {times}, value Float64 CODEC(Delta, ZSTD(6))"),
    rows("values ALP, ZSTD(1)", "{keys}, {times}, value Float64 CODEC(ALP, ZSTD(1))"),
    rows("values Gorilla, ZSTD(1)", "{keys}, {times}, value Float64 CODEC(Gorilla, ZSTD(1))"),
    rows("values FPC, ZSTD(1)", "{keys}, {times}, value Float64 CODEC(FPC, ZSTD(1))"),
    rows("values ZSTD(3)", "{keys}, {times}, value Float64 CODEC(ZSTD(3))"),
    other(
        "granules of 1,024 rows",
        "ReplacingMergeTree PARTITION BY toYYYYMMDD(timestamp) PRIMARY KEY (vm_key, series_id) \
         ORDER BY (vm_key, series_id, timestamp) SETTINGS index_granularity = 1024",
    ),
    other(
        "granules of 1,024 rows, times in the key",
        "ReplacingMergeTree PARTITION BY toYYYYMMDD(timestamp) ORDER BY (vm_key, series_id, timestamp) \
         SETTINGS index_granularity = 1024",
    ),
    other(
        "order (vm_key, timestamp, series_id)",
        "ReplacingMergeTree PARTITION BY toYYYYMMDD(timestamp) ORDER BY (vm_key, timestamp, series_id)",
    ),
    other(
        "order (series_id, timestamp)",
        "ReplacingMergeTree PARTITION BY toYYYYMMDD(timestamp) PRIMARY KEY series_id ORDER BY (series_id, timestamp)",
    ),
    other(
        "order (vm_key, series_id, timestamp), a partition a month",
        "ReplacingMergeTree PARTITION BY toYYYYMM(timestamp) PRIMARY KEY (vm_key, series_id) \
         ORDER BY (vm_key, series_id, timestamp)",
    ),
    Variant {
        name: "a row an hour, with arrays",
        columns: "{keys}, hour DateTime('UTC') CODEC(Delta, ZSTD(1)), \
                  timestamp Array(DateTime64(3, 'UTC')) CODEC(Delta, ZSTD(1)), value Array(Float64) CODEC(Delta, ZSTD(3))",
        layout: HOURS,
        select: ARRAYS,
        is_arrays: true,
    },
    Variant {
        name: "a row an hour, with arrays, times in blocks of 512 KiB",
        columns: "{keys}, hour DateTime('UTC') CODEC(Delta, ZSTD(1)), \
                  timestamp Array(DateTime64(3, 'UTC')) CODEC(Delta, ZSTD(1)) \
                  SETTINGS (min_compress_block_size = 524288, max_compress_block_size = 524288), \
                  value Array(Float64) CODEC(Delta, ZSTD(3))",
        layout: HOURS,
        select: ARRAYS,
        is_arrays: true,
    },
];

const HOURS: &str =
    "MergeTree PARTITION BY toYYYYMMDD(hour) ORDER BY (vm_key, series_id, hour) SETTINGS index_granularity = 128";
const ARRAYS: &str = "SELECT vm_key, series_id, toStartOfHour(at) AS hour, groupArray(at), groupArray(value) FROM (\
                      SELECT vm_key, series_id, timestamp + INTERVAL {late} MILLISECOND AS at, value FROM samples FINAL \
                      ORDER BY vm_key, series_id, timestamp) GROUP BY vm_key, series_id, hour";

impl Variant {
    pub(crate) fn create(&self) -> String {
        let columns = self.columns.replace("{keys}", KEYS).replace("{times}", TIMES).replace("{values}", VALUES);
        format!("CREATE TABLE variant ({columns}) ENGINE = {}", self.layout)
    }

    /// All samples, with times that are late by up to so many milliseconds, each scrape by its own.
    pub(crate) fn fill(&self, jitter: u64) -> String {
        let late = format!("(cityHash64(toUnixTimestamp64Milli(timestamp)) % {})", jitter + 1);
        format!("INSERT INTO variant {}", self.select.replace("{late}", &late))
    }
}
