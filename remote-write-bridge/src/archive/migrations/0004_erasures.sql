-- What was deleted for good, by whom it was asked for.
CREATE TABLE IF NOT EXISTS erasures
(
    erased   DateTime64(3, 'UTC') COMMENT 'When',
    selector String,
    first    DateTime64(3, 'UTC') COMMENT 'From when on; 1970 where from the beginning',
    last     DateTime64(3, 'UTC') COMMENT 'Until when; 2100 where to the end',
    series   UInt64,
    samples  UInt64,
    reason   String
)
ENGINE = ReplacingMergeTree
ORDER BY (erased, selector)
SETTINGS fsync_after_insert = 1,
         fsync_part_directory = 1;
